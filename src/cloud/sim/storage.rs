//! EC2's rules about what is changed in place, released, or thrown into the Recycle Bin.
//!
//! Volumes are modified at most once in six hours, and show their new type when EBS has taken it over; a released
//! address can be had back while nobody else has it; a deleted snapshot goes to the Recycle Bin where the world has a
//! rule for it, and comes back under its id.

use chrono::TimeDelta;

use crate::cloud::WantedAddress;
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::{Kind, Place, ResourceKey};
use crate::domain::resource::{Detail, Modification, Resource, Tags};
use crate::domain::text::Str;

use super::rules::{Effect, Ruled, check_tags, done, not_found, rejected};
use super::state::{Due, State};
use super::{hash, plant};

/// How long EBS takes no other change of the same volume.
const BETWEEN_CHANGES: TimeDelta = TimeDelta::hours(6);

/// How long a change goes on optimizing after it took effect.
const OPTIMIZING: TimeDelta = TimeDelta::hours(1);

/// What a volume becomes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub volume_type: Str,
    pub iops: Option<u32>,
    pub throughput: Option<u32>,
}

impl State {
    pub fn modify_volume(&mut self, key: &ResourceKey, to: Shape) -> Ruled {
        let volume = self.volume(key)?;
        if !matches!(&*volume.state, "available" | "in-use") {
            return Err(rejected("IncorrectState", format!("volume {} is {}", key.id, volume.state)));
        }
        if let Fact::Known(last) = &volume.modification {
            if matches!(&*last.state, "modifying" | "optimizing") {
                let message = format!("volume {} is {} already", key.id, last.state);
                return Err(rejected("IncorrectModificationState", message));
            }
            if self.at - last.begun < BETWEEN_CHANGES {
                let message = format!("volume {} was modified {}; wait six hours", key.id, last.begun);
                return Err(rejected("VolumeModificationRateExceeded", message));
            }
        }
        let to = match &*to.volume_type {
            "gp3" => {
                let (iops, throughput) = (to.iops.unwrap_or(3_000), to.throughput.unwrap_or(125));
                if !(3_000..=16_000).contains(&iops) || !(125..=1_000).contains(&throughput) {
                    let message =
                        format!("gp3 takes 3000 to 16000 iops and 125 to 1000 MiB/s, not {iops}, {throughput}");
                    return Err(rejected("InvalidParameterValue", message));
                }
                Shape { iops: Some(iops), throughput: Some(throughput), ..to }
            }
            "gp2" if to.iops.is_none() && to.throughput.is_none() => {
                Shape { iops: Some((volume.size_gib * 3).clamp(100, 16_000)), ..to }
            }
            other => {
                let message = format!("{other} with {:?} iops and {:?} MiB/s", to.iops, to.throughput);
                return Err(rejected("InvalidParameterCombination", message));
            }
        };
        let begun = self.at;
        let modification = Modification { state: "modifying".into(), begun };
        self.change_volume(key, |volume| volume.modification = Fact::Known(Box::new(modification)));
        let at = begun + TimeDelta::seconds(i64::from(self.timing.start_seconds));
        self.schedule(at, Due::Modified { volume: key.clone(), to });
        done(true)
    }

    /// A modification takes effect, and goes on optimizing.
    pub fn modified(&mut self, key: &ResourceKey, to: Shape) {
        self.change_volume(key, |volume| {
            (volume.volume_type, volume.iops, volume.throughput) = (to.volume_type, to.iops, to.throughput);
            set_state(&mut volume.modification, "optimizing");
        });
        self.schedule(self.at + OPTIMIZING, Due::Optimized(key.clone()));
    }

    pub fn optimized(&mut self, key: &ResourceKey) {
        self.change_volume(key, |volume| set_state(&mut volume.modification, "completed"));
    }

    pub fn release_address(&mut self, key: &ResourceKey) -> Ruled {
        let Some(address) = self.existing(key)?.address() else { return Err(not_found(Kind::Address, &key.id)) };
        if address.association.is_some() || address.instance.is_some() || address.network_interface.is_some() {
            return Err(rejected("InvalidIPAddress.InUse", format!("address {} is in use", address.public_ip)));
        }
        let ip = address.public_ip.to_string();
        self.remove(key);
        self.released.insert(ip, key.partition.place.clone());
        done(true)
    }

    /// Grants an address that this very account released here, while nobody else has it.
    pub fn allocate_address(&mut self, place: &Place, wanted: &WantedAddress) -> Ruled {
        let ip = &wanted.public_ip;
        if self.released.get(ip) != Some(place) {
            return Err(rejected("InvalidAddress.NotFound", format!("address {ip} cannot be had")));
        }
        check_tags(&Tags::default(), &wanted.tags)?;
        self.released.remove(ip);
        self.made += 1;
        let id = format!("eipalloc-0{:016x}", hash::number(self.seed, ip, "address", self.made));
        let mut planted = plant::address(place.partition(Kind::Address).key(&id), ip);
        let tags = wanted.tags.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value)));
        planted.resource.tags = Fact::Known(Tags::new(tags));
        if let Detail::Address(address) = &mut planted.resource.detail {
            address.pool = Some(wanted.pool.as_deref().unwrap_or("amazon").into());
            address.border_group = wanted.border_group.as_deref().map(Str::from);
        }
        self.plant(planted, true);
        Ok(Effect { effective: true, address: Some(id.into()), ..Effect::default() })
    }

    /// Somebody else is given a released address.
    pub fn take_address(&mut self, ip: &str) -> Ruled {
        done(self.released.remove(ip).is_some())
    }

    pub fn delete_snapshot(&mut self, key: &ResourceKey) -> Ruled {
        let resource = self.existing(key)?.clone();
        if let Some(image) = self.image_of(key) {
            let message = format!("snapshot {} is in use by {image}", key.id);
            return Err(rejected("InvalidSnapshot.InUse", message));
        }
        if resource.snapshot().is_some_and(|snapshot| snapshot.locked == Fact::Known(true)) {
            return Err(rejected("SnapshotLocked", format!("snapshot {} is locked", key.id)));
        }
        self.remove(key);
        if let Some(days) = self.timing.recycle_bin_days.filter(|days| *days > 0) {
            let until = self.at + TimeDelta::days(i64::from(days));
            self.bin.insert(key.clone(), (resource, until));
        }
        done(true)
    }

    pub fn restore_snapshot(&mut self, key: &ResourceKey) -> Ruled {
        if self.recycled(key).is_none() {
            return Err(not_found(Kind::Snapshot, &key.id));
        }
        let Some((resource, _)) = self.bin.remove(key) else { return Err(not_found(Kind::Snapshot, &key.id)) };
        self.bring_back(key, resource);
        done(true)
    }

    /// Until when the Recycle Bin keeps a snapshot, if it does.
    pub fn recycled(&self, key: &ResourceKey) -> Option<Instant> {
        self.bin.get(key).map(|(_, until)| *until).filter(|until| self.at < *until)
    }

    pub fn lock_snapshot(&mut self, key: &ResourceKey) -> Ruled {
        self.existing(key)?;
        self.change(key, |resource| {
            if let Detail::Snapshot(snapshot) = &mut resource.detail {
                snapshot.locked = Fact::Known(true);
            }
        });
        done(true)
    }

    /// An image that the snapshot is part of.
    pub fn image_of(&self, key: &ResourceKey) -> Option<Str> {
        let images = key.partition.place.partition(Kind::Image);
        self.partition(&images, "").find_map(|(image, entry)| {
            let user = entry.now.as_ref().and_then(Resource::image)?;
            user.snapshots.contains(&key.id).then(|| image.id.clone())
        })
    }
}

fn set_state(modification: &mut Fact<Box<Modification>>, state: &str) {
    if let Fact::Known(own) = modification {
        own.state = state.into();
    }
}
