//! Ordinary resources for worlds that are put together in code: tests, the conformance suite, the safety campaign.
//!
//! Each function gives the plainest resource of its kind; callers change what their story needs and hand it to a
//! [`super::World`].

use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::ResourceKey;
use crate::domain::resource::{
    Address, AttachedVolume, Attachment, Detail, Image, Instance, InstanceState, Lifecycle, Resource, Snapshot, Tags,
    Volume,
};
use crate::domain::text::Str;

use super::metrics::{Activity, Usage};
use super::state::Planted;

/// A running on-demand Linux instance without volumes, protection or public address.
pub fn instance(key: ResourceKey, instance_type: &str, launched: Instant) -> Planted {
    let zone = zone_a(&key);
    let detail = Detail::Instance(Box::new(Instance {
        state: InstanceState::Running,
        instance_type: instance_type.into(),
        zone,
        platform: Fact::Known("Linux/UNIX".into()),
        lifecycle: Lifecycle::OnDemand,
        volumes: Box::default(),
        instance_store: Fact::Known(false),
        auto_public_ip: Fact::Absent,
        operator: None,
        termination_protected: Fact::Known(false),
        stop_protected: Fact::Known(false),
        state_since: Fact::Absent,
        image: None,
        subnet: None,
        private_ip: None,
    }));
    let activity = Activity { usage: Vec::new(), runs: vec![(launched, None)] };
    Planted { resource: resource(key, launched, detail), activity, snapshot_takes: None }
}

/// An unattached volume.
pub fn volume(key: ResourceKey, volume_type: &str, size_gib: u32, created: Instant) -> Planted {
    let (iops, throughput) = match volume_type {
        "gp3" => (Some(3_000), Some(125)),
        "gp2" => (Some((size_gib * 3).clamp(100, 16_000)), None),
        _ => (None, None),
    };
    let zone = zone_a(&key);
    let detail = Detail::Volume(Box::new(Volume {
        state: "available".into(),
        size_gib,
        volume_type: volume_type.into(),
        iops,
        throughput,
        zone,
        kms_key: None,
        encrypted: false,
        attachments: Box::default(),
        operator: None,
        modification: Fact::Absent,
    }));
    Planted::quiet(resource(key, created, detail))
}

/// A completed snapshot.
pub fn snapshot(key: ResourceKey, volume: &str, size_gib: u32, created: Instant) -> Planted {
    let detail = Detail::Snapshot(Box::new(Snapshot {
        state: "completed".into(),
        progress: Fact::Known(100),
        volume: volume.into(),
        volume_size_gib: size_gib,
        kms_key: None,
        storage_tier: "standard".into(),
        description: "".into(),
        image: Fact::Absent,
        locked: Fact::Known(false),
    }));
    Planted::quiet(resource(key, created, detail))
}

/// An elastic address that nothing uses.
pub fn address(key: ResourceKey, public_ip: &str) -> Planted {
    let detail = Detail::Address(Box::new(Address {
        public_ip: public_ip.into(),
        association: None,
        instance: None,
        network_interface: None,
        operator: None,
        pool: Some("amazon".into()),
        border_group: None,
    }));
    let created_at = Fact::unknown("EC2 does not say when an address was allocated");
    Planted::quiet(Resource { key, tags: Fact::Known(Tags::default()), created_at, detail })
}

/// An available image made of snapshots.
pub fn image(key: ResourceKey, name: &str, snapshots: &[&str], created: Instant) -> Planted {
    let mut snapshots: Vec<Str> = snapshots.iter().map(|id| Str::from(*id)).collect();
    snapshots.sort();
    let detail = Detail::Image(Box::new(Image {
        state: "available".into(),
        snapshots: snapshots.into(),
        name: name.into(),
        launched: Fact::Absent,
        protected: Fact::Known(false),
        user: Fact::Absent,
        shared: Fact::Known(false),
    }));
    Planted::quiet(resource(key, created, detail))
}

/// Attaches `volume` to `instance` on both sides.
pub fn attach(instance: &mut Planted, volume: &mut Planted, device: &str, delete_on_termination: bool) {
    let (on_instance, on_volume) = (&mut instance.resource, &mut volume.resource);
    if let (Detail::Instance(host), Detail::Volume(disk)) = (&mut on_instance.detail, &mut on_volume.detail) {
        disk.state = "in-use".into();
        disk.attachments = Box::new([Attachment {
            instance: on_instance.key.id.clone(),
            device: device.into(),
            state: "attached".into(),
            delete_on_termination,
        }]);
        let mut volumes = std::mem::take(&mut host.volumes).into_vec();
        volumes.push(AttachedVolume { volume: on_volume.key.id.clone(), device: device.into(), delete_on_termination });
        volumes.sort();
        host.volumes = volumes.into();
    }
}

impl Planted {
    /// With these tags.
    pub fn tagged(mut self, tags: &[(&str, &str)]) -> Planted {
        self.resource.tags = Fact::Known(Tags::of(tags));
        self
    }

    /// Used like this since its launch.
    pub fn used(mut self, usage: Usage) -> Planted {
        let since = self.activity.runs.first().map_or(Instant::MIN_UTC, |(from, _)| *from);
        self.activity.usage = vec![(since, usage)];
        self
    }

    /// Changes the instance, if it is one.
    pub fn with_instance(mut self, edit: impl FnOnce(&mut Instance)) -> Planted {
        if let Detail::Instance(instance) = &mut self.resource.detail {
            edit(instance);
        }
        self
    }

    /// Changes the volume, if it is one.
    pub fn with_volume(mut self, edit: impl FnOnce(&mut Volume)) -> Planted {
        if let Detail::Volume(volume) = &mut self.resource.detail {
            edit(volume);
        }
        self
    }
}

fn resource(key: ResourceKey, created: Instant, detail: Detail) -> Resource {
    Resource { key, tags: Fact::Known(Tags::default()), created_at: Fact::Known(created), detail }
}

fn zone_a(key: &ResourceKey) -> Str {
    format!("{}a", key.region()).into()
}
