//! Taking an act back: what is saved before it, what can come back and what cannot, and how the two are compared.
//!
//! `remediate` saves a [`Recipe`] with every act and walks an [`Undo`] through the journal's states; `actions list` and
//! the report ask [`standing`] what can still be undone, until when, and what keeping that possible costs a day. Pure.
//! An undo never promises an id or an address that the cloud does not give back: [`losses`] says so beforehand.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::fact::Fact;
use super::finding::FindingId;
use super::kept::Kept;
use super::launch::Launch;
use super::money::Usd;
use super::place::ResourceKey;
use super::plan::OWN_TAGS;
use super::price::PriceBook;
use super::remediation::{JournalState, Look, Part, Remediation};
use super::resource::{Detail, Resource};
use super::text::{Str, clean};

/// How long safety snapshots are kept, in days.
pub const SNAPSHOT_DAYS: i64 = 90;

/// What a day is of a billing month of 730 hours.
const HOURS_PER_DAY: i64 = 24;

/// What is needed to put things back; saved in the journal before the act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The way back.
    pub restore: Restore,
    /// The resource as it was read before the act.
    pub resource: Resource,
    /// Its volumes as they were read before the act.
    pub volumes: Vec<Resource>,
    /// The elastic addresses that pointed to it before the act; `None` when they could not be read.
    #[serde(default)]
    pub addresses: Option<Vec<Resource>>,
    /// Until when the Recycle Bin keeps a deleted snapshot, as it was seen there.
    #[serde(default)]
    pub bin_until: Option<Instant>,
    /// How it was launched, for acts after which it may have to be launched again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
}

/// The way back of one act (checks.md, B1 to B8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Restore {
    /// Start the instance again; its volumes stayed, and the snapshots are a second net.
    StartInstance {
        /// Which.
        instance: String,
    },
    /// Make a new volume from the safety snapshot, with the type, zone, size and tags of the old one. Its id is new.
    CreateVolume {
        /// The volume that was deleted.
        volume: String,
    },
    /// Change the volume back to the type that it had.
    ModifyVolume {
        /// Which.
        volume: String,
    },
    /// Ask for the same address again. Granted only while nobody else has it; its allocation id is new.
    AllocateAddress {
        /// The IPv4 address.
        address: String,
    },
    /// Take the snapshot out of the Recycle Bin, under its own id.
    RecoverSnapshot {
        /// Which.
        snapshot: String,
    },
    /// Remove the tags that were added, where they still have our values.
    RemoveTags {
        /// Keys and values that were added.
        tags: Vec<(String, String)>,
    },
    /// Give the instance its old type again, by the same calls.
    ResizeInstance {
        /// Which.
        instance: String,
        /// Its type before.
        from: String,
        /// It ran before.
        restart: bool,
    },
    /// None: a backup whose time was over was ended.
    Nothing {
        /// The snapshot or image.
        ended: String,
    },
    /// Launch a new instance from the image of the safety snapshots. Its id and addresses are new.
    LaunchInstance {
        /// The instance that was terminated.
        instance: String,
    },
}

/// One undo of one act: a journal row like the act's own, with the same states less those of the backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// `u-` and a number; never reused.
    pub id: i64,
    /// The act that is taken back.
    pub remediation: i64,
    /// The finding that asked for the act.
    pub finding: FindingId,
    /// On which resource the act was.
    pub key: ResourceKey,
    /// Who asks for it.
    pub by: String,
    /// How far it is.
    pub state: JournalState,
    /// Fence number of the worker that moved it last.
    pub fence: i64,
    /// When it was asked for.
    pub claimed_at: Instant,
    /// Last transition.
    pub updated_at: Instant,
    /// The calls of an undo that takes several, in their order; empty for an undo of one call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Hash of the call's arguments, from the intent on.
    pub call_hash: Option<String>,
    /// The answer's request id.
    pub request_id: Option<String>,
    /// How often the call was made; more than once only for a call that the cloud itself makes but once (a new volume,
    /// by its token).
    pub calls: u32,
    /// What came back under a new id.
    pub made: Option<ResourceKey>,
    /// Reads in a row that said the same.
    pub looks: u32,
    /// Instant of the first of these reads.
    pub first_look_at: Option<Instant>,
    /// What they said.
    pub last_look: Option<Look>,
    /// What differs from the recipe in what came back; filled at the end.
    pub differences: Vec<Difference>,
    /// Why it ended as it did, or what it waits for, in words.
    pub message: String,
}

/// One field that is not as the recipe says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which field.
    pub field: String,
    /// Before the act; `None` when it was not there.
    pub was: Option<String>,
    /// Now; `None` when it is not there.
    pub is: Option<String>,
}

/// An act that can still be taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undoable {
    /// The act, `r-12`.
    pub id: String,
    /// Resource id.
    pub resource: String,
    /// Its name; foreign text.
    pub name: String,
    /// What an undo does, in words.
    pub way: String,
    /// Last instant at which its backup is promised to be there; `None` when it needs none.
    pub until: Option<Instant>,
    /// What keeping the backup costs a day, at most (list price of the full size; snapshots are billed by the blocks
    /// that they hold). Zero without a backup.
    pub daily: Usd,
    /// Priced from another Region's list.
    pub estimate: bool,
}

impl Recipe {
    /// As an act's row keeps it.
    pub fn kept(&self) -> Option<Kept> {
        Kept::of(self)
    }

    /// The recipe of an act; `Err` says in words why there is none.
    pub fn of(act: &Remediation) -> Result<Recipe, String> {
        let stored = act.recipe.as_ref().ok_or_else(|| format!("r-{} saved no recipe", act.id))?;
        stored.read().map_err(|error| format!("the recipe of r-{} cannot be read: {error}", act.id))
    }
}

impl Restore {
    /// What it does, in words.
    pub fn words(&self) -> String {
        match self {
            Restore::StartInstance { instance } => format!("start {} again", clean(instance)),
            Restore::CreateVolume { volume } => {
                format!("make a new volume from the safety snapshot of {}", clean(volume))
            }
            Restore::ModifyVolume { volume } => format!("change {} back to the type that it had", clean(volume)),
            Restore::AllocateAddress { address } => {
                format!("ask for the address {} again, which is granted only while nobody else has it", clean(address))
            }
            Restore::RecoverSnapshot { snapshot } => format!("take {} out of the Recycle Bin", clean(snapshot)),
            Restore::RemoveTags { tags } => {
                let keys: Vec<String> = tags.iter().map(|(key, _)| clean(key)).collect();
                format!("remove the tags that were added ({})", keys.join(", "))
            }
            Restore::ResizeInstance { instance, from, .. } => {
                format!("give {} its type {} again", clean(instance), clean(from))
            }
            Restore::Nothing { ended } => format!("nothing is kept of {}: its time was over", clean(ended)),
            Restore::LaunchInstance { instance } => {
                format!("launch a new instance from the safety snapshots of {}", clean(instance))
            }
        }
    }
}

/// Whether an act can still be taken back, and what that costs; `Err` says in words why not.
pub fn standing(act: &Remediation, undone: bool, prices: &PriceBook, now: Instant) -> Result<Undoable, String> {
    if act.state != JournalState::Done {
        return Err(format!("r-{} is {}, not done: there is nothing to take back", act.id, act.state.status().word()));
    }
    if undone {
        return Err(format!("r-{} was taken back already", act.id));
    }
    let recipe = Recipe::of(act)?;
    let until = act.snapshots.iter().filter_map(|own| own.requested_at).min().map(|at| at + keeping());
    let mut gib = act.snapshots.iter().filter(|own| own.snapshot.is_some()).map(|own| own.size_gib).sum();
    let until = match recipe.restore {
        Restore::CreateVolume { .. } | Restore::LaunchInstance { .. } => {
            let until = until.ok_or_else(|| format!("r-{} has no safety snapshot", act.id))?;
            if until < now {
                return Err(format!("its safety snapshot was kept until {}", until.format("%Y-%m-%d")));
            }
            Some(until)
        }
        Restore::Nothing { .. } => return Err(recipe.restore.words()),
        // In the bin it is billed as before.
        Restore::RecoverSnapshot { .. } => {
            gib = recipe.resource.snapshot().map_or(gib, |own| own.volume_size_gib);
            let until = recipe.bin_until.ok_or_else(|| format!("r-{} was not seen in the Recycle Bin", act.id))?;
            if until <= now {
                return Err(format!("the Recycle Bin kept it until {}", until.format("%Y-%m-%d %H:%M UTC")));
            }
            Some(until)
        }
        _ => None,
    };
    let priced = prices.snapshot_month(gib, act.step.key.region());
    Ok(Undoable {
        id: format!("r-{}", act.id),
        resource: act.step.key.id.to_string(),
        name: act.step.name.clone(),
        way: recipe.restore.words(),
        until,
        daily: priced.monthly.scaled(HOURS_PER_DAY, super::money::HOURS_PER_MONTH),
        estimate: priced.estimate && gib > 0,
    })
}

/// What an undo cannot bring back, one sentence each; said before it begins. `now` is the resource as it was read just
/// now, where it could be: an undo that stops something loses what is there by now, too.
pub fn losses(recipe: &Recipe, now: Option<&Resource>) -> Vec<String> {
    let mut lost = Vec::new();
    match (&recipe.restore, &recipe.resource.detail) {
        (Restore::StartInstance { .. }, Detail::Instance(instance)) => {
            lost.push("what was in its memory when it was stopped".to_owned());
            if let Some(address) = instance.auto_public_ip.known() {
                lost.push(format!("its public address {}: a start gets another one", clean(address)));
            }
            if !matches!(instance.instance_store, Fact::Known(false) | Fact::Absent) {
                lost.push("what was on its instance-store disks".to_owned());
            }
        }
        (Restore::CreateVolume { volume }, _) => {
            lost.push(format!("the id {}: the new volume has another one", clean(volume)));
            lost.push("what was written after the safety snapshot was begun".to_owned());
            lost.extend(foreign_tags(recipe));
        }
        (Restore::ResizeInstance { restart, .. }, Detail::Instance(before)) => {
            lost.push("what is in its memory, if it runs: it is stopped for this".to_owned());
            let stops = now.is_none_or(|now| now.state() != "stopped");
            let by_now = now.and_then(Resource::instance).map(|now| &now.auto_public_ip);
            if let (true, Some(address)) = (*restart, before.auto_public_ip.known())
                && by_now.and_then(Fact::known) != Some(address)
            {
                lost.push(format!("its public address {}: the resize stopped it", clean(address)));
            }
            match by_now {
                _ if !stops => {}
                Some(Fact::Absent) => {}
                Some(Fact::Known(address)) => {
                    let address = clean(address);
                    lost.push(format!("its public address {address}: it is stopped, and a start gets another one"));
                }
                Some(Fact::Unknown(_)) | None => {
                    lost.push("a public address that AWS assigned, if it has one: a start gets another one".to_owned());
                }
            }
        }
        (Restore::LaunchInstance { instance: old }, Detail::Instance(instance)) => {
            lost.push(format!("the id {}: the new instance has another one", clean(old)));
            lost.push("what was in its memory".to_owned());
            lost.push("what was written after the safety snapshots were begun".to_owned());
            let address = instance.private_ip.as_deref().map(|own| format!(" {}", clean(own))).unwrap_or_default();
            lost.push(format!("its private address{address}: the new one gets another of its subnet"));
            if let Some(address) = instance.auto_public_ip.known() {
                lost.push(format!("its public address {}", clean(address)));
            }
            for own in recipe.addresses.iter().flatten() {
                lost.push(format!("its elastic address {}: associate it by hand", clean(&own.key.id)));
            }
            lost.push("its user data: they are not saved, and a first start would run them again".to_owned());
            lost.extend(foreign_tags(recipe));
            lost.push("what points to its id or addresses: load balancers, alarms, DNS names".to_owned());
            if instance.state != super::resource::InstanceState::Running {
                lost.push(format!("that it was {}: the new one runs", clean(instance.state.as_str())));
            }
            if let Some(launch) = &recipe.launch
                && launch.ipv6 + launch.secondary_addresses > 0
            {
                lost.push("its IPv6 and further private addresses".to_owned());
            }
        }
        (Restore::AllocateAddress { address }, _) => {
            let address = clean(address);
            lost.push(format!("its allocation id {}: the address gets another one", recipe.resource.key.id));
            lost.push(format!("the address {address} itself, if somebody else was given it meanwhile"));
        }
        _ => {}
    }
    lost
}

/// Tags that nobody but AWS can write on what is made anew.
fn foreign_tags(recipe: &Recipe) -> Option<String> {
    let tags = recipe.resource.tags.known()?;
    let foreign: Vec<String> = tags.iter().filter(|(key, _)| reserved(key)).map(|(key, _)| clean(key)).collect();
    (!foreign.is_empty()).then(|| format!("tags that AWS alone can write: {}", foreign.join(", ")))
}

/// What of `now` is not as the recipe says, by field; our own tags are left out. `addresses` are the elastic addresses
/// that point to it now, where they were read.
pub fn compare(recipe: &Recipe, now: &Resource, addresses: Option<&[Resource]>) -> Vec<Difference> {
    let mut before = fields(&recipe.resource);
    let mut after = fields(now);
    if matches!(recipe.restore, Restore::LaunchInstance { .. }) {
        // Its volumes have new ids as well; what must be there again are the devices.
        by_device(&mut before, &recipe.resource);
        by_device(&mut after, now);
    }
    match (&recipe.addresses, addresses) {
        (Some(then), Some(now)) => {
            put_addresses(&mut before, then);
            put_addresses(&mut after, now);
        }
        (Some(then), None) if !then.is_empty() => {
            put_addresses(&mut before, then);
            for own in then {
                after.insert(format!("elastic address {}", own.key.id), "could not be read".to_owned());
            }
        }
        _ => {}
    }
    let names: std::collections::BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    names
        .into_iter()
        .filter_map(|field| {
            let (was, is) = (before.get(&field).cloned(), after.get(&field).cloned());
            (was != is).then_some(Difference { field, was, is })
        })
        .collect()
}

/// What of the way it was launched is not as the recipe says, by field; nothing where the recipe holds none.
pub fn compare_launch(recipe: &Recipe, now: &Launch) -> Vec<Difference> {
    let before = recipe.launch.as_ref().map(Launch::fields).unwrap_or_default();
    let after = now.fields();
    before
        .into_iter()
        .filter_map(|(field, was)| {
            let is = after.get(&field).cloned();
            (is.as_ref() != Some(&was)).then_some(Difference { field, was: Some(was), is })
        })
        .collect()
}

fn by_device(fields: &mut BTreeMap<String, String>, resource: &Resource) {
    for attached in resource.instance().into_iter().flat_map(|instance| &instance.volumes) {
        fields.remove(&format!("volume {}", attached.volume));
        let dies = if attached.delete_on_termination { "dies with it" } else { "survives it" };
        fields.insert(format!("volume at {}", attached.device), dies.to_owned());
    }
}

/// Whether only AWS can write a tag of this key.
pub fn reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("aws:")
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = clean(&self.field);
        match (&self.was, &self.is) {
            (Some(was), Some(is)) => write!(f, "{field} was {}, is {}", clean(was), clean(is)),
            (Some(was), None) => write!(f, "{field} was {}, is not there", clean(was)),
            (None, Some(is)) => write!(f, "{field} was not there, is {}", clean(is)),
            (None, None) => write!(f, "{field}"),
        }
    }
}

/// How long a safety snapshot is kept.
fn keeping() -> TimeDelta {
    TimeDelta::days(SNAPSHOT_DAYS)
}

fn put_addresses(fields: &mut BTreeMap<String, String>, addresses: &[Resource]) {
    for own in addresses {
        let ip: &Str = match own.address() {
            Some(address) => &address.public_ip,
            None => continue,
        };
        fields.insert(format!("elastic address {}", own.key.id), ip.to_string());
    }
}

fn fields(resource: &Resource) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    let words = |value: &Option<u32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    put("id", resource.key.id.to_string());
    put("state", resource.state().to_owned());
    match &resource.detail {
        Detail::Instance(instance) => {
            put("type", instance.instance_type.to_string());
            put("zone", instance.zone.to_string());
            for attached in &instance.volumes {
                put(&format!("volume {}", attached.volume), attached.device.to_string());
            }
            if let Some(address) = instance.auto_public_ip.known() {
                put("public address", address.to_string());
            }
            if let Some(address) = &instance.private_ip {
                put("private address", address.to_string());
            }
        }
        Detail::Volume(volume) => {
            put("type", volume.volume_type.to_string());
            put("size (GiB)", volume.size_gib.to_string());
            put("zone", volume.zone.to_string());
            put("operations a second", words(&volume.iops));
            put("throughput (MiB/s)", words(&volume.throughput));
            put("encrypted", volume.encrypted.to_string());
            put("key", volume.kms_key.as_deref().unwrap_or("none").to_owned());
        }
        Detail::Address(address) => {
            put("address", address.public_ip.to_string());
            put("pool", address.pool.as_deref().unwrap_or("none").to_owned());
            put("border group", address.border_group.as_deref().unwrap_or("none").to_owned());
        }
        Detail::Snapshot(snapshot) => {
            put("volume", snapshot.volume.to_string());
            put("size (GiB)", snapshot.volume_size_gib.to_string());
            put("storage tier", snapshot.storage_tier.to_string());
            put("description", snapshot.description.to_string());
            put("key", snapshot.kms_key.as_deref().unwrap_or("none").to_owned());
        }
        Detail::Image(_) => {}
    }
    match resource.tags.known() {
        Some(tags) => {
            for (key, value) in tags.iter().filter(|(key, _)| !key.starts_with(OWN_TAGS)) {
                put(&format!("tag {key}"), value.to_owned());
            }
        }
        None => {
            put("tags", "could not be read".to_owned());
        }
    }
    fields
}
