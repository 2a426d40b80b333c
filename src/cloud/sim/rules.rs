//! EC2's rules: what a change does to the account and when it is refused, with EC2's own codes.
//!
//! Used by the acting port and by the people of a world alike. Every rule judges by the truth, never by what a reader
//! still sees.

use chrono::TimeDelta;

use crate::cloud::{ErrorKind, KeyState, NewVolume};
use crate::domain::fact::Fact;
use crate::domain::place::{Kind, Place, ResourceKey};
use crate::domain::resource::{
    AttachedVolume, Attachment, Detail, Instance, InstanceState, Lifecycle, Resource, Snapshot, Tags, Volume,
};
use crate::domain::text::Str;

use super::state::{Due, Planted, State};
use super::{hash, plant};

/// Most tags that EC2 keeps on one resource.
pub const MAX_TAGS: usize = 50;

/// A change that EC2 refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub kind: ErrorKind,
    pub code: &'static str,
    pub message: String,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    pub effective: bool,
    pub overwrote: Vec<String>,
    /// Source volume and new snapshot.
    pub created: Vec<(Str, Str)>,
    /// The volume that was made.
    pub volume: Option<Str>,
    /// The address that was allocated.
    pub address: Option<Str>,
    /// The image or the instance that was made.
    pub made: Option<Str>,
}

/// How new snapshots go, where a fault says so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copying {
    /// The state in which they end, instead of `completed`.
    pub ends: Option<&'static str>,
    /// Their size is not their volume's.
    pub another_size: bool,
    pub takes: Option<TimeDelta>,
}

pub(super) type Ruled = Result<Effect, Refusal>;

pub(super) fn done(effective: bool) -> Ruled {
    Ok(Effect { effective, ..Effect::default() })
}

pub(super) fn rejected(code: &'static str, message: String) -> Refusal {
    Refusal { kind: ErrorKind::Rejected, code, message }
}

/// EC2's answer about an id that does not exist.
pub(super) fn not_found(kind: Kind, id: &str) -> Refusal {
    let code = match kind {
        Kind::Instance => "InvalidInstanceID.NotFound",
        Kind::Volume => "InvalidVolume.NotFound",
        Kind::Snapshot => "InvalidSnapshot.NotFound",
        Kind::Address => "InvalidAllocationID.NotFound",
        Kind::Image => "InvalidAMIID.NotFound",
    };
    Refusal { kind: ErrorKind::NotFound, code, message: format!("{} {id} does not exist", kind.noun()) }
}

/// EC2's answer about an id of another shape.
pub(super) fn malformed(kind: Kind, id: &str) -> Refusal {
    let code = match kind {
        Kind::Instance => "InvalidInstanceID.Malformed",
        Kind::Volume => "InvalidVolumeID.Malformed",
        Kind::Snapshot => "InvalidSnapshotID.Malformed",
        Kind::Address => "InvalidAllocationID.Malformed",
        Kind::Image => "InvalidAMIID.Malformed",
    };
    rejected(code, format!("{id:?} is no id of an {}; it must begin with {}", kind.noun(), kind.id_prefix()))
}

impl State {
    pub fn stop(&mut self, key: &ResourceKey) -> Ruled {
        let instance = self.instance(key)?;
        match instance.state {
            InstanceState::Stopping | InstanceState::Stopped => return done(false),
            InstanceState::Running => {}
            ref state => return Err(wrong_instance_state(&key.id, state)),
        }
        if instance.stop_protected == Fact::Known(true) {
            let message = format!("instance {} may not be stopped: stop protection is on", key.id);
            return Err(rejected("OperationNotPermitted", message));
        }
        if instance.lifecycle == Lifecycle::Spot {
            return Err(rejected("UnsupportedOperation", format!("{} is a one-time Spot instance", key.id)));
        }
        let at = self.at;
        self.change_instance(key, |instance| {
            instance.state = InstanceState::Stopping;
            instance.state_since = Fact::Known(at);
            instance.auto_public_ip = Fact::Absent;
        });
        self.end_run(key);
        self.schedule(at + TimeDelta::seconds(i64::from(self.timing.stop_seconds)), Due::Stopped(key.clone()));
        done(true)
    }

    pub fn start(&mut self, key: &ResourceKey) -> Ruled {
        match self.instance(key)?.state {
            InstanceState::Pending | InstanceState::Running => return done(false),
            InstanceState::Stopped => {}
            ref state => return Err(wrong_instance_state(&key.id, state)),
        }
        self.room_for(&self.instance(key)?.instance_type)?;
        let at = self.at;
        self.change(key, |resource| {
            resource.created_at = Fact::Known(at); // EC2's launch time is that of the last start
            if let Detail::Instance(instance) = &mut resource.detail {
                instance.state = InstanceState::Pending;
                instance.state_since = Fact::Absent;
            }
        });
        if let Some(entry) = self.entries.get_mut(key) {
            entry.activity.runs.push((at, None));
        }
        self.schedule(at + TimeDelta::seconds(i64::from(self.timing.start_seconds)), Due::Running(key.clone()));
        done(true)
    }

    pub fn terminate(&mut self, key: &ResourceKey) -> Ruled {
        let instance = self.instance(key)?;
        if matches!(instance.state, InstanceState::ShuttingDown | InstanceState::Terminated) {
            return done(false);
        }
        if instance.termination_protected == Fact::Known(true) {
            let message = format!("instance {} may not be terminated: termination protection is on", key.id);
            return Err(rejected("OperationNotPermitted", message));
        }
        let at = self.at;
        for attached in instance.volumes.clone() {
            let volume = key.partition.place.partition(Kind::Volume).key(&attached.volume);
            if attached.delete_on_termination {
                self.remove(&volume);
            } else {
                self.change_volume(&volume, |volume| {
                    volume.attachments = Box::default();
                    volume.state = "available".into();
                });
            }
        }
        self.change_instance(key, |instance| {
            instance.state = InstanceState::ShuttingDown;
            instance.state_since = Fact::Known(at);
            instance.auto_public_ip = Fact::Absent;
            instance.volumes = Box::default();
        });
        self.end_run(key);
        let addresses = key.partition.place.partition(Kind::Address);
        let theirs: Vec<ResourceKey> = self
            .partition(&addresses, "")
            .filter(|(_, entry)| {
                let address = entry.now.as_ref().and_then(Resource::address);
                address.is_some_and(|address| address.instance.as_deref() == Some(&key.id))
            })
            .map(|(address, _)| address.clone())
            .collect();
        for address in theirs {
            self.associate(&address, None)?;
        }
        self.schedule(at + TimeDelta::seconds(i64::from(self.timing.stop_seconds)), Due::Terminated(key.clone()));
        done(true)
    }

    pub fn delete_volume(&mut self, key: &ResourceKey) -> Ruled {
        let volume = self.volume(key)?;
        if let Some(attachment) = volume.attachments.first() {
            let message = format!("volume {} is attached to {}", key.id, attachment.instance);
            return Err(rejected("VolumeInUse", message));
        }
        match &*volume.state {
            "available" | "error" => {}
            state => return Err(rejected("IncorrectState", format!("volume {} is {state}", key.id))),
        }
        self.change_volume(key, |volume| volume.state = "deleting".into());
        self.schedule(self.at + TimeDelta::seconds(i64::from(self.timing.delete_seconds)), Due::Gone(key.clone()));
        done(true)
    }

    pub fn snapshot_volume(
        &mut self,
        key: &ResourceKey,
        description: &str,
        tags: &[(String, String)],
        copying: Copying,
    ) -> Ruled {
        let volume = self.volume(key)?.clone();
        if matches!(&*volume.state, "deleting" | "deleted" | "creating" | "error") {
            return Err(rejected("IncorrectState", format!("volume {} is {}", key.id, volume.state)));
        }
        check_tags(&Tags::default(), tags)?;
        let default = self.timing.snapshot_base
            + TimeDelta::milliseconds(self.timing.snapshot_millis_per_gib * i64::from(volume.size_gib));
        let takes =
            copying.takes.or_else(|| self.entries.get(key).and_then(|entry| entry.snapshot_takes)).unwrap_or(default);
        let begun = self.at;
        self.made += 1;
        let id = format!("snap-0{:016x}", hash::number(self.seed, &key.to_string(), "snapshot", self.made));
        let snapshot = key.partition.place.partition(Kind::Snapshot).key(&id);
        let resource = Resource {
            key: snapshot.clone(),
            tags: Fact::Known(Tags::new(tags.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value))))),
            created_at: Fact::Known(begun),
            detail: Detail::Snapshot(Box::new(Snapshot {
                state: "pending".into(),
                progress: Fact::Known(0),
                volume: key.id.clone(),
                volume_size_gib: volume.size_gib + u32::from(copying.another_size),
                kms_key: volume.kms_key,
                storage_tier: "standard".into(),
                description: description.into(),
                image: Fact::Absent,
                locked: Fact::Known(false),
            })),
        };
        self.plant(Planted::quiet(resource), true);
        if let Some(entry) = self.entries.get_mut(&snapshot) {
            entry.copying = Some((begun, begun + takes));
        }
        let created = vec![(key.id.clone(), snapshot.id.clone())];
        self.schedule(begun + takes, Due::Copied { snapshot, ends: copying.ends.unwrap_or("completed") });
        Ok(Effect { effective: true, created, ..Effect::default() })
    }

    pub fn snapshot_instance(
        &mut self,
        key: &ResourceKey,
        description: &str,
        tags: &[(String, String)],
        copying: Copying,
    ) -> Ruled {
        let instance = self.instance(key)?;
        if matches!(instance.state, InstanceState::ShuttingDown | InstanceState::Terminated) {
            return Err(wrong_instance_state(&key.id, &instance.state));
        }
        let volumes = instance.volumes.clone();
        if volumes.is_empty() {
            return Err(rejected("InvalidParameterValue", format!("instance {} has no EBS volume", key.id)));
        }
        let mut all = Effect { effective: true, ..Effect::default() };
        for attached in volumes {
            let volume = key.partition.place.partition(Kind::Volume).key(&attached.volume);
            all.created.extend(self.snapshot_volume(&volume, description, tags, copying)?.created);
        }
        Ok(all)
    }

    pub fn tag(&mut self, key: &ResourceKey, tags: &[(String, String)]) -> Ruled {
        let old = self.existing(key)?.tags.known().cloned().unwrap_or_default();
        check_tags(&old, tags)?;
        let overwrote: Vec<String> = tags
            .iter()
            .filter(|(key, value)| old.get(key).is_some_and(|old| old != value))
            .map(|(key, _)| key.clone())
            .collect();
        let pairs = old.iter().map(|(key, value)| (Str::from(key), Str::from(value)));
        let added = tags.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value)));
        let new = Tags::new(pairs.chain(added));
        let effective = new != old;
        self.change(key, |resource| resource.tags = Fact::Known(new));
        Ok(Effect { effective, overwrote, ..Effect::default() })
    }

    pub fn untag(&mut self, key: &ResourceKey, keys: &[String]) -> Ruled {
        let old = self.existing(key)?.tags.known().cloned().unwrap_or_default();
        let kept = old.iter().filter(|(key, _)| !keys.iter().any(|gone| gone == key));
        let new = Tags::new(kept.map(|(key, value)| (Str::from(key), Str::from(value))));
        let effective = new != old;
        self.change(key, |resource| resource.tags = Fact::Known(new));
        done(effective)
    }

    /// Removes tags that still have the values named; others stay, as EC2 does it.
    pub fn untag_values(&mut self, key: &ResourceKey, tags: &[(String, String)]) -> Ruled {
        let old = self.existing(key)?.tags.known().cloned().unwrap_or_default();
        let keys: Vec<String> =
            tags.iter().filter(|(key, value)| old.get(key) == Some(value)).map(|(key, _)| key.clone()).collect();
        self.untag(key, &keys)
    }

    /// A volume from a completed snapshot. The same token with the same arguments answers with the first one.
    pub fn create_volume(&mut self, place: &Place, new: &NewVolume) -> Ruled {
        let key = place.partition(Kind::Snapshot).key(new.snapshot.as_str());
        let snapshot = self.existing(&key)?.snapshot().ok_or_else(|| not_found(Kind::Snapshot, &key.id))?;
        if let Some((volume, first)) = self.tokens.get(&new.token) {
            if first != new {
                let message = format!("token {:?} was used with other arguments", new.token);
                return Err(rejected("IdempotentParameterMismatch", message));
            }
            return Ok(Effect { volume: Some(volume.clone()), ..Effect::default() });
        }
        if &*snapshot.state != "completed" {
            return Err(rejected("IncorrectState", format!("snapshot {} is {}", key.id, snapshot.state)));
        }
        if new.size_gib < snapshot.volume_size_gib {
            let message = format!("{} GiB is smaller than snapshot {}", new.size_gib, key.id);
            return Err(rejected("InvalidParameterValue", message));
        }
        check_tags(&Tags::default(), &new.tags)?;
        let (kms_key, encrypted) = (snapshot.kms_key.clone(), snapshot.kms_key.is_some() || new.encrypted);
        let made_under = new.kms_key.as_deref().map(Str::from).or(kms_key);
        self.made += 1;
        let id = format!("vol-0{:016x}", hash::number(self.seed, &key.to_string(), "volume", self.made));
        let volume = place.partition(Kind::Volume).key(&id);
        let mut planted = plant::volume(volume.clone(), &new.volume_type, new.size_gib, self.at);
        planted.resource.tags =
            Fact::Known(Tags::new(new.tags.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value)))));
        if let Detail::Volume(detail) = &mut planted.resource.detail {
            detail.state = "creating".into();
            detail.zone = Str::from(&*new.zone);
            detail.iops = new.iops.or(detail.iops);
            detail.throughput = new.throughput.or(detail.throughput);
            detail.encrypted = encrypted;
            detail.kms_key = made_under.clone();
        }
        self.plant(planted, true);
        self.tokens.insert(new.token.clone(), (volume.id.clone(), new.clone()));
        // EC2 takes the call, asks KMS while it makes the volume, and without its yes the volume is simply gone again.
        let works = made_under.as_deref().is_none_or(|key| self.key_state(key) == KeyState::ENABLED);
        let due = if works { Due::Created(volume.clone()) } else { Due::Gone(volume.clone()) };
        self.schedule(self.at + TimeDelta::seconds(i64::from(self.timing.start_seconds)), due);
        Ok(Effect { effective: true, volume: Some(volume.id), ..Effect::default() })
    }

    pub fn attach(&mut self, volume: &ResourceKey, instance: &ResourceKey, device: &str, dies: bool) -> Ruled {
        let state = self.instance(instance)?.state.clone();
        if matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated) {
            return Err(wrong_instance_state(&instance.id, &state));
        }
        match &*self.volume(volume)?.state {
            "available" => {}
            "in-use" => return Err(rejected("VolumeInUse", format!("volume {} is attached already", volume.id))),
            state => return Err(rejected("IncorrectState", format!("volume {} is {state}", volume.id))),
        }
        self.change_volume(volume, |volume| {
            volume.state = "in-use".into();
            volume.attachments = Box::new([Attachment {
                instance: instance.id.clone(),
                device: device.into(),
                state: "attached".into(),
                delete_on_termination: dies,
            }]);
        });
        let attached = AttachedVolume { volume: volume.id.clone(), device: device.into(), delete_on_termination: dies };
        self.change_instance(instance, |instance| {
            let mut volumes = std::mem::take(&mut instance.volumes).into_vec();
            volumes.push(attached);
            volumes.sort();
            instance.volumes = volumes.into();
        });
        done(true)
    }

    pub fn detach(&mut self, key: &ResourceKey) -> Ruled {
        let attachments = self.volume(key)?.attachments.clone();
        if attachments.is_empty() {
            return Err(rejected("IncorrectState", format!("volume {} is not attached", key.id)));
        }
        for attachment in attachments {
            let instance = key.partition.place.partition(Kind::Instance).key(&attachment.instance);
            self.change_instance(&instance, |instance| {
                let volumes = std::mem::take(&mut instance.volumes).into_vec();
                instance.volumes = volumes.into_iter().filter(|attached| attached.volume != key.id).collect();
            });
        }
        self.change_volume(key, |volume| {
            volume.attachments = Box::default();
            volume.state = "available".into();
        });
        done(true)
    }

    pub fn set_type(&mut self, key: &ResourceKey, instance_type: &str) -> Ruled {
        let instance = self.instance(key)?;
        if instance.state != InstanceState::Stopped {
            return Err(wrong_instance_state(&key.id, &instance.state));
        }
        self.change_instance(key, |instance| instance.instance_type = instance_type.into());
        done(true)
    }

    pub fn protect(&mut self, key: &ResourceKey, stop: Option<bool>, termination: Option<bool>) -> Ruled {
        self.instance(key)?;
        self.change_instance(key, |instance| {
            if let Some(on) = stop {
                instance.stop_protected = Fact::Known(on);
            }
            if let Some(on) = termination {
                instance.termination_protected = Fact::Known(on);
            }
        });
        done(true)
    }

    pub fn associate(&mut self, key: &ResourceKey, instance: Option<&ResourceKey>) -> Ruled {
        self.existing(key)?;
        if let Some(instance) = instance {
            self.instance(instance)?;
            self.change_instance(instance, |instance| instance.auto_public_ip = Fact::Absent);
        }
        let association = format!("eipassoc-0{:016x}", hash::number(self.seed, &key.id, "association", self.made));
        self.change(key, |resource| {
            if let Detail::Address(address) = &mut resource.detail {
                address.instance = instance.map(|instance| instance.id.clone());
                address.association = instance.map(|_| Str::from(association));
                address.network_interface = instance.map(|instance| instance.id.replacen("i-", "eni-", 1).into());
            }
        });
        done(true)
    }

    /// Deletes what is no instance: a volume over its own rule, a snapshot unless an image uses it, an address, an image.
    pub fn delete(&mut self, key: &ResourceKey) -> Ruled {
        self.existing(key)?;
        match key.kind() {
            Kind::Instance => return self.terminate(key),
            Kind::Volume => return self.delete_volume(key),
            Kind::Snapshot => return self.delete_snapshot(key),
            Kind::Address | Kind::Image => {}
        }
        self.remove(key);
        done(true)
    }

    /// The resource as it is, or EC2's answer that it does not exist.
    pub fn existing(&self, key: &ResourceKey) -> Result<&Resource, Refusal> {
        self.get(key).ok_or_else(|| not_found(key.kind(), &key.id))
    }

    pub(super) fn instance(&self, key: &ResourceKey) -> Result<&Instance, Refusal> {
        self.existing(key)?.instance().ok_or_else(|| not_found(Kind::Instance, &key.id))
    }

    pub(super) fn volume(&self, key: &ResourceKey) -> Result<&Volume, Refusal> {
        self.existing(key)?.volume().ok_or_else(|| not_found(Kind::Volume, &key.id))
    }

    fn change_instance(&mut self, key: &ResourceKey, edit: impl FnOnce(&mut Instance)) {
        self.change(key, |resource| {
            if let Detail::Instance(instance) = &mut resource.detail {
                edit(instance);
            }
        });
    }

    pub(super) fn change_volume(&mut self, key: &ResourceKey, edit: impl FnOnce(&mut Volume)) {
        self.change(key, |resource| {
            if let Detail::Volume(volume) = &mut resource.detail {
                edit(volume);
            }
        });
    }

    fn end_run(&mut self, key: &ResourceKey) {
        let at = self.at;
        if let Some((_, end @ None)) = self.entries.get_mut(key).and_then(|entry| entry.activity.runs.last_mut()) {
            *end = Some(at);
        }
    }
}

fn wrong_instance_state(id: &str, state: &InstanceState) -> Refusal {
    rejected("IncorrectInstanceState", format!("instance {id} is {}", state.as_str()))
}

pub(super) fn check_tags(old: &Tags, new: &[(String, String)]) -> Result<(), Refusal> {
    for (key, value) in new {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            let message = format!("tag {key:?}: a key has 1 to 128 characters and a value at most 256");
            return Err(rejected("InvalidParameterValue", message));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(rejected("InvalidParameterValue", format!("tag {key:?}: keys with aws: are reserved")));
        }
    }
    let fresh: std::collections::BTreeSet<&str> =
        new.iter().map(|(key, _)| &**key).filter(|key| old.get(key).is_none()).collect();
    if old.len() + fresh.len() > MAX_TAGS {
        let message = format!("{} tags and {} more; {MAX_TAGS} are allowed", old.len(), fresh.len());
        return Err(rejected("TagLimitExceeded", message));
    }
    Ok(())
}
