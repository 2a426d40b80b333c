//! Resources of a world file.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::super::file::{self, Name};
use super::super::plant;
use super::super::rules::MAX_TAGS;
use super::super::state::Planted;
use super::super::world::Account;
use super::{Read, Reader};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::{AccountId, Kind, Place, Region, ResourceKey};
use crate::domain::resource::{Detail, InstanceState, Lifecycle, Tags};
use crate::domain::text::Str;

impl Reader {
    pub(super) fn account(&mut self, id: &Name, file: file::AccountFile) -> Read<()> {
        let account = AccountId::new(id.text()).or_else(|error| self.wrong(id.line(), error.to_string()))?;
        let mut regions = Vec::new();
        for (name, content) in file.regions {
            let region = Region::new(name.text()).or_else(|error| self.wrong(name.line(), error.to_string()))?;
            regions.push(region.clone());
            self.region(&Place { account: account.clone(), region }, content)?;
        }
        if regions.is_empty() {
            return self.wrong(id.line(), format!("account {account} has no Region"));
        }
        self.world.accounts.push(Account { id: account, name: file.name, regions });
        Ok(())
    }

    fn region(&mut self, place: &Place, content: file::RegionFile) -> Read<()> {
        let mut all = Vec::new();
        for instance in &content.instances {
            all.extend(self.instance(place, instance)?);
        }
        for volume in &content.volumes {
            all.push(self.free_volume(place, volume)?);
        }
        for snapshot in &content.snapshots {
            all.push(self.snapshot(place, snapshot)?);
        }
        for image in &content.images {
            for snapshot in &image.snapshots {
                self.existing(snapshot, Kind::Snapshot)?;
            }
            let key = self.born(place, Kind::Image, &image.id)?;
            let snapshots: Vec<&str> = image.snapshots.iter().map(Name::text).collect();
            let planted = plant::image(key, &image.name, &snapshots, self.at(image.created));
            all.push(self.tagged(planted, &image.id, &image.tags)?);
        }
        for address in &content.addresses {
            all.push(self.address(place, address)?);
        }
        for key in content.keys {
            let (id, state) = self.key(&key)?;
            self.world.keys.insert(id, state);
        }
        self.world.resources.extend(all);
        Ok(())
    }

    pub(super) fn instance(&mut self, place: &Place, file: &file::InstanceFile) -> Read<Vec<Planted>> {
        let key = self.born(place, Kind::Instance, &file.id)?;
        let launched = self.at(file.launched);
        let mut planted = plant::instance(key, &file.instance_type, launched);
        let zone = zone(place, file.zone.as_deref());
        let stopped = file.stopped.map(|when| self.at(when));
        if let Some(stopped) = stopped {
            if stopped <= launched {
                return self.wrong(file.id.line(), format!("{} was stopped before its launch", file.id.text()));
            }
            planted.activity.runs = vec![(launched, Some(stopped))];
        }
        if let Some(usage) = &file.usage {
            planted = planted.used(self.usage(usage, file.id.line())?);
        }
        planted = self.tagged(planted, &file.id, &file.tags)?.with_instance(|instance| {
            instance.zone = zone.clone();
            if let Some(stopped) = stopped {
                instance.state = InstanceState::Stopped;
                instance.state_since = Fact::Known(stopped);
            }
            if let Some(platform) = &file.platform {
                instance.platform = Fact::Known(platform.as_str().into());
            }
            if matches!(file.lifecycle, file::LifecycleFile::Spot) {
                instance.lifecycle = Lifecycle::Spot;
            }
            instance.instance_store = Fact::Known(file.instance_store);
            instance.auto_public_ip = file.auto_public_ip.as_deref().map(Str::from).into();
            instance.operator = file.operator.as_deref().map(Str::from);
            instance.termination_protected = Fact::Known(file.termination_protected);
            instance.stop_protected = Fact::Known(file.stop_protected);
            instance.image = file.image.as_deref().map(Str::from);
            instance.subnet = file.subnet.as_deref().map(Str::from);
            instance.private_ip = file.private_ip.as_deref().map(Str::from);
        });
        let mut volumes = Vec::new();
        for (index, file) in file.volumes.iter().enumerate() {
            let created = file.created.map_or(launched, |when| self.at(when));
            let mut volume = self.volume(place, file, created)?;
            if file.zone.is_none() {
                volume = volume.with_volume(|volume| volume.zone = zone.clone());
            }
            let usual = match index {
                0 => "/dev/xvda".to_owned(),
                // /dev/sdf to /dev/sdp are what EC2 recommends for data volumes.
                index => format!("/dev/sd{}", char::from(b'e' + u8::try_from(index.min(20)).unwrap_or(20))),
            };
            let device = file.device.as_deref().unwrap_or(&usual);
            plant::attach(&mut planted, &mut volume, device, file.delete_on_termination.unwrap_or(index == 0));
            volumes.push(volume);
        }
        Ok(std::iter::once(planted).chain(volumes).collect())
    }

    fn free_volume(&mut self, place: &Place, file: &file::VolumeFile) -> Read<Planted> {
        let Some(created) = file.created else {
            return self.wrong(file.id.line(), format!("{}: an unattached volume needs `created`", file.id.text()));
        };
        if file.device.is_some() || file.delete_on_termination.is_some() {
            let message = "`device` and `delete_on_termination` belong to a volume under an instance's `volumes`";
            return self.wrong(file.id.line(), format!("{}: {message}", file.id.text()));
        }
        self.volume(place, file, self.at(created))
    }

    pub(super) fn volume(&mut self, place: &Place, file: &file::VolumeFile, created: Instant) -> Read<Planted> {
        let key = self.born(place, Kind::Volume, &file.id)?;
        if file.size_gib == 0 {
            return self.wrong(file.id.line(), format!("{}: size_gib is 0", file.id.text()));
        }
        let volume_type = file.volume_type.as_deref().unwrap_or("gp3");
        let mut planted = plant::volume(key, volume_type, file.size_gib, created);
        if let Some(minutes) = file.snapshot_minutes {
            if !(0.0..=100_000.0).contains(&minutes) {
                let message = format!("{}: snapshot_minutes {minutes} given; accepted: 0 to 100000", file.id.text());
                return self.wrong(file.id.line(), message);
            }
            planted.snapshot_takes = Some(TimeDelta::seconds((minutes * 60.0).round() as i64));
        }
        Ok(self.tagged(planted, &file.id, &file.tags)?.with_volume(|volume| {
            volume.zone = zone(place, file.zone.as_deref());
            volume.iops = file.iops.or(volume.iops);
            volume.throughput = file.throughput.or(volume.throughput);
            volume.kms_key = file.kms_key.as_deref().map(Str::from);
            volume.encrypted = file.kms_key.is_some();
            volume.operator = file.operator.as_deref().map(Str::from);
        }))
    }

    pub(super) fn snapshot(&mut self, place: &Place, file: &file::SnapshotFile) -> Read<Planted> {
        let key = self.born(place, Kind::Snapshot, &file.id)?;
        // EC2 writes this where the source is not known.
        let source = file.volume.as_deref().unwrap_or("vol-ffffffff");
        let mut planted = plant::snapshot(key, source, file.size_gib, self.at(file.created));
        if let Detail::Snapshot(snapshot) = &mut planted.resource.detail {
            if let Some(state) = &file.state {
                snapshot.state = state.as_str().into();
                snapshot.progress = Fact::Known(if state == "completed" { 100 } else { 0 });
            }
            if let Some(tier) = &file.storage_tier {
                snapshot.storage_tier = tier.as_str().into();
            }
            snapshot.description = file.description.as_deref().unwrap_or("").into();
            snapshot.kms_key = file.kms_key.as_deref().map(Str::from);
            snapshot.locked = Fact::Known(file.locked);
        }
        self.tagged(planted, &file.id, &file.tags)
    }

    pub(super) fn address(&mut self, place: &Place, file: &file::AddressFile) -> Read<Planted> {
        let key = self.born(place, Kind::Address, &file.id)?;
        let instance = file.instance.as_ref().map(|name| self.existing(name, Kind::Instance)).transpose()?;
        let mut planted = plant::address(key, &file.public_ip);
        if let Detail::Address(address) = &mut planted.resource.detail {
            if let Some(instance) = instance {
                address.association = Some(file.id.text().replacen("eipalloc-", "eipassoc-", 1).into());
                address.network_interface = Some(instance.id.replacen("i-", "eni-", 1).into());
                address.instance = Some(instance.id);
            }
            address.operator = file.operator.as_deref().map(Str::from);
        }
        self.tagged(planted, &file.id, &file.tags)
    }

    /// Registers a new id.
    fn born(&mut self, place: &Place, kind: Kind, id: &Name) -> Read<ResourceKey> {
        let text = id.text();
        let rest = text.strip_prefix(kind.id_prefix()).unwrap_or("");
        if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let prefix = kind.id_prefix();
            let accepted = format!("{prefix} and letters, digits or hyphens");
            return self.wrong(id.line(), format!("{text:?} is no id of an {}; accepted: {accepted}", kind.noun()));
        }
        let key = place.partition(kind).key(text);
        if let Some((line, _)) = self.lines.insert(text.to_owned(), (id.line(), key.clone())) {
            return self.wrong(id.line(), format!("{text} stands twice; the first is on line {line}"));
        }
        Ok(key)
    }

    fn tagged(&self, mut planted: Planted, id: &Name, tags: &BTreeMap<String, String>) -> Read<Planted> {
        if tags.len() > MAX_TAGS {
            let message = format!("{} has {} tags; EC2 allows {MAX_TAGS}", id.text(), tags.len());
            return self.wrong(id.line(), message);
        }
        let pairs = tags.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value)));
        planted.resource.tags = Fact::Known(Tags::new(pairs));
        Ok(planted)
    }
}

/// A zone's whole name from its letter.
fn zone(place: &Place, given: Option<&str>) -> Str {
    match given {
        Some(whole) if whole.len() > 1 => whole.into(),
        letter => format!("{}{}", place.region, letter.unwrap_or("a")).into(),
    }
}
