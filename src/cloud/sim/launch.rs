//! Launching in the simulated account: how an instance was launched, what types can run, images of snapshots, and new
//! instances from them, by EC2's rules.

use chrono::TimeDelta;

use super::rules::{Effect, Refusal, Ruled, check_tags, done, not_found, rejected};
use super::state::{Due, State};
use super::{hash, plant};
use crate::cloud::{NewImage, NewInstance};
use crate::domain::fact::Fact;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::place::{Kind, Place, ResourceKey};
use crate::domain::resource::{AttachedVolume, Attachment, Detail, Image, Instance, InstanceState, Tags};
use crate::domain::text::Str;

/// Series that run on Xen.
const XEN: [&str; 22] = [
    "t1", "t2", "m1", "m2", "m3", "m4", "c1", "c3", "c4", "r3", "r4", "x1", "x1e", "p2", "p3", "g3", "i2", "i3", "d2",
    "h1", "f1", "hs1",
];

/// The plainest launch of an instance: its own subnet or a default one, one network interface, no profile.
pub fn launch(instance: &Instance) -> Launch {
    let facts = type_facts(&instance.instance_type);
    let devices: Vec<&Str> = instance.volumes.iter().map(|own| &own.device).collect();
    let root = ["/dev/xvda", "/dev/sda1"].into_iter().find(|root| devices.iter().any(|own| &***own == *root));
    let root = root.or(devices.first().map(|own| &***own)).unwrap_or("/dev/xvda");
    Launch {
        architecture: facts.architectures.first().cloned().unwrap_or_default(),
        virtualization: "hvm".into(),
        ena: Some(true),
        boot_mode: None,
        root_device: root.into(),
        subnet: Some(instance.subnet.clone().unwrap_or_else(|| "subnet-0default".into())),
        interfaces: 1,
        security_groups: vec!["sg-0default".into()],
        profile: None,
        key_name: None,
        ebs_optimized: &*facts.hypervisor == "nitro",
        monitoring: false,
        tenancy: "default".into(),
        placement_group: None,
        metadata: None,
        product_codes: false,
        ipv6: 0,
        secondary_addresses: 0,
    }
}

/// What the name of a type tells: `m6g` is arm64, `m4` runs on Xen, `m5d` has local disks, `.metal` has no hypervisor.
pub fn type_facts(name: &str) -> TypeFacts {
    let (series, size) = name.split_once('.').unwrap_or((name, ""));
    let letters = series.trim_start_matches(|own: char| own.is_ascii_alphabetic());
    let letters = letters.trim_start_matches(|own: char| own.is_ascii_digit());
    let arm = series == "a1" || letters.contains('g');
    let xen = XEN.contains(&series);
    let nvme = if xen { "unsupported" } else { "required" };
    TypeFacts {
        architectures: vec![if arm { "arm64" } else { "x86_64" }.into()],
        virtualizations: vec!["hvm".into()],
        hypervisor: if size == "metal" {
            ""
        } else if xen {
            "xen"
        } else {
            "nitro"
        }
        .into(),
        ena: if xen { "supported" } else { "required" }.into(),
        nvme: nvme.into(),
        local_disks: letters.contains('d'),
        bare_metal: size == "metal",
        interfaces: 2,
        boot_modes: if arm { vec!["uefi".into()] } else { vec!["legacy-bios".into(), "uefi".into()] },
        offered: true,
    }
}

impl State {
    /// How an instance was launched.
    pub fn launch_of(&self, id: &str, instance: &Instance) -> Launch {
        self.launches.get(id).cloned().unwrap_or_else(|| launch(instance))
    }

    /// What a type can run.
    pub fn facts_of(&self, name: &str) -> TypeFacts {
        self.types.get(name).cloned().unwrap_or_else(|| type_facts(name))
    }

    /// EC2 has no room for every type at every instant.
    pub fn room_for(&self, instance_type: &str) -> Result<(), Refusal> {
        if self.full.contains(instance_type) {
            let message = format!("there is no capacity for {instance_type} in this Availability Zone now");
            return Err(rejected("InsufficientInstanceCapacity", message));
        }
        Ok(())
    }

    /// An image of completed snapshots. Its name is taken once in an account and Region.
    pub fn register_image(&mut self, place: &Place, new: &NewImage) -> Ruled {
        let images = place.partition(Kind::Image);
        let taken = self.partition(&images, "").find(|(_, entry)| {
            let image = entry.now.as_ref().and_then(crate::domain::resource::Resource::image);
            image.is_some_and(|image| *image.name == *new.name)
        });
        if let Some((image, _)) = taken {
            let message = format!("the name {:?} is taken by {}", new.name, image.id);
            return Err(rejected("InvalidAMIName.Duplicate", message));
        }
        check_tags(&Tags::default(), &new.tags)?;
        if !new.disks.iter().any(|disk| disk.device == new.root_device) {
            let message = format!("no volume has the root device {}", new.root_device);
            return Err(rejected("InvalidBlockDeviceMapping", message));
        }
        for disk in &new.disks {
            let key = place.partition(Kind::Snapshot).key(disk.snapshot.as_str());
            let snapshot = self.existing(&key)?.snapshot().ok_or_else(|| not_found(Kind::Snapshot, &key.id))?;
            if &*snapshot.state != "completed" {
                return Err(rejected("IncorrectState", format!("snapshot {} is {}", key.id, snapshot.state)));
            }
            if disk.size_gib < snapshot.volume_size_gib {
                let message = format!("{} GiB is smaller than snapshot {}", disk.size_gib, key.id);
                return Err(rejected("InvalidParameterValue", message));
            }
        }
        let key = self.fresh_key(place, Kind::Image, &new.name);
        let snapshots: Vec<&str> = new.disks.iter().map(|disk| disk.snapshot.as_str()).collect();
        let mut planted = plant::image(key.clone(), &new.name, &snapshots, self.at);
        planted.resource.tags = tags(&new.tags);
        self.plant(planted, true);
        self.images.insert(key.id.to_string(), new.clone());
        Ok(Effect { effective: true, made: Some(key.id), ..Effect::default() })
    }

    /// Ends an image; its snapshots stay, and what was launched from it goes on.
    pub fn deregister_image(&mut self, key: &ResourceKey) -> Ruled {
        let image = self.existing(key)?.image().ok_or_else(|| not_found(Kind::Image, &key.id))?;
        if image.protected == Fact::Known(true) {
            let message = format!("image {} is protected against deregistration", key.id);
            return Err(rejected("OperationNotPermitted", message));
        }
        self.remove(key);
        done(true)
    }

    /// What refers to an image: what somebody said of it, or an instance that was launched from it.
    pub fn user_of(&self, key: &ResourceKey) -> Option<Str> {
        let said = self.get(key).and_then(|own| own.image()?.user.known().cloned());
        said.or_else(|| {
            let instances = key.partition.place.partition(Kind::Instance);
            self.partition(&instances, "").find_map(|(instance, entry)| {
                let own = entry.now.as_ref()?.instance()?;
                let lives = own.state != InstanceState::Terminated;
                (lives && own.image.as_ref() == Some(&key.id)).then(|| instance.id.clone())
            })
        })
    }

    /// One instance from an image, with new volumes from its snapshots. The same token with the same arguments answers
    /// with the first one.
    pub fn run_instance(&mut self, place: &Place, new: &NewInstance) -> Ruled {
        if let Some((instance, first)) = self.launched.get(&new.token) {
            if first != new {
                let message = format!("token {:?} was used with other arguments", new.token);
                return Err(rejected("IdempotentParameterMismatch", message));
            }
            return Ok(Effect { made: Some(instance.clone()), ..Effect::default() });
        }
        let image_key = place.partition(Kind::Image).key(new.image.as_str());
        self.existing(&image_key)?;
        let image = self.images.get(new.image.as_str()).cloned();
        let image = image.ok_or_else(|| not_found(Kind::Image, new.image.as_str()))?;
        self.room_for(&new.instance_type)?;
        check_tags(&Tags::default(), &new.tags)?;
        let key = self.fresh_key(place, Kind::Instance, &new.token);
        let mut planted = plant::instance(key.clone(), &new.instance_type, self.at);
        let zone = planted.resource.instance().map(|own| own.zone.clone()).unwrap_or_default();
        let mut volumes = Vec::with_capacity(image.disks.len());
        for disk in &image.disks {
            let volume = self.fresh_key(place, Kind::Volume, disk.snapshot.as_str());
            let source = place.partition(Kind::Snapshot).key(disk.snapshot.as_str());
            let kms_key = self.existing(&source)?.snapshot().and_then(|own| own.kms_key.clone());
            let mut made = plant::volume(volume.clone(), &disk.volume_type, disk.size_gib, self.at);
            if let Detail::Volume(detail) = &mut made.resource.detail {
                detail.state = "in-use".into();
                detail.zone = zone.clone();
                detail.encrypted = kms_key.is_some();
                detail.kms_key = kms_key;
                detail.iops = disk.iops.or(detail.iops);
                detail.throughput = disk.throughput.or(detail.throughput);
                detail.attachments = Box::new([Attachment {
                    instance: key.id.clone(),
                    device: Str::from(&*disk.device),
                    state: "attached".into(),
                    delete_on_termination: disk.delete_on_termination,
                }]);
            }
            self.plant(made, true);
            volumes.push(AttachedVolume {
                volume: volume.id.clone(),
                device: Str::from(&*disk.device),
                delete_on_termination: disk.delete_on_termination,
            });
        }
        volumes.sort();
        planted.resource.tags = tags(&new.tags);
        if let Detail::Instance(instance) = &mut planted.resource.detail {
            instance.state = InstanceState::Pending;
            instance.volumes = volumes.into();
            instance.image = Some(Str::from(new.image.as_str()));
            instance.subnet = Some(Str::from(&*new.subnet));
            let plain = launch(instance);
            let own = Launch {
                architecture: Str::from(&*image.architecture),
                ena: Some(image.ena),
                boot_mode: image.boot_mode.as_deref().map(Str::from),
                root_device: Str::from(&*image.root_device),
                security_groups: new.security_groups.iter().map(|own| Str::from(&**own)).collect(),
                profile: new.profile.as_deref().map(Str::from),
                key_name: new.key_name.as_deref().map(Str::from),
                ebs_optimized: new.ebs_optimized,
                monitoring: new.monitoring,
                placement_group: new.placement_group.as_deref().map(Str::from),
                metadata: new.metadata.clone(),
                ..plain
            };
            self.launches.insert(key.id.to_string(), own);
        }
        self.plant(planted, true);
        let at = self.at;
        self.change_image(&image_key, |image| image.launched = Fact::Known(at));
        self.launched.insert(new.token.clone(), (key.id.clone(), new.clone()));
        self.schedule(self.at + TimeDelta::seconds(i64::from(self.timing.start_seconds)), Due::Running(key.clone()));
        Ok(Effect { effective: true, made: Some(key.id), ..Effect::default() })
    }

    /// Changes an image, if it is one.
    pub fn change_image(&mut self, key: &ResourceKey, edit: impl FnOnce(&mut Image)) {
        self.change(key, |resource| {
            if let Detail::Image(image) = &mut resource.detail {
                edit(image);
            }
        });
    }

    fn fresh_key(&mut self, place: &Place, kind: Kind, of: &str) -> ResourceKey {
        self.made += 1;
        let number = hash::number(self.seed, of, kind.name(), self.made);
        place.partition(kind).key(&format!("{}0{number:016x}", kind.id_prefix()))
    }
}

fn tags(pairs: &[(String, String)]) -> Fact<Tags> {
    Fact::Known(Tags::new(pairs.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value)))))
}
