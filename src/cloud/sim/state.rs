//! The truth of the simulated account: every resource, its history, and what is still under way.
//!
//! Time moves only in [`State::advance`]: everything that is due (a stop that ends, a snapshot that completes, a person
//! who does something) happens at its own instant and in one order, however late the next call comes. What a reader
//! sees can lag behind the truth by the world's visibility lag; what a change is judged by never does.
//! EC2's rules about changes are in `rules`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use chrono::TimeDelta;

use crate::cloud::{CloudClock, KeyState, NewImage, NewInstance, NewVolume};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::place::{AccountId, Kind, Partition, Place, ResourceKey};
use crate::domain::resource::{Detail, InstanceState, Resource};
use crate::domain::text::Str;

use super::actors::Event;
use super::faults::Faults;
use super::hash;
use super::log::{CallRecord, ChangeRecord};
use super::metrics::Activity;
use super::storage::Shape;
use super::world::{Spend, Timing};

/// A resource as a world plants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planted {
    /// The resource, all facts known.
    pub resource: Resource,
    /// What it does, for instances.
    pub activity: Activity,
    /// How long a snapshot of this volume takes, where the world says so.
    pub snapshot_takes: Option<TimeDelta>,
}

impl Planted {
    /// A resource without metrics.
    pub fn quiet(resource: Resource) -> Planted {
        Planted { resource, activity: Activity::default(), snapshot_takes: None }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The truth; `None` once it is gone.
    pub now: Option<Resource>,
    /// What readers still see, each until its instant; oldest first.
    shown: VecDeque<(Instant, Option<Resource>)>,
    pub activity: Activity,
    pub snapshot_takes: Option<TimeDelta>,
    /// Begin and end of a pending snapshot.
    pub copying: Option<(Instant, Instant)>,
    changes: i64,
}

/// Something that happens by itself.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Event(Box<Event>),
    Running(ResourceKey),
    Stopped(ResourceKey),
    Terminated(ResourceKey),
    Gone(ResourceKey),
    Created(ResourceKey),
    Copied { snapshot: ResourceKey, ends: &'static str },
    Modified { volume: ResourceKey, to: Shape },
    Optimized(ResourceKey),
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub seed: u64,
    pub timing: Timing,
    pub at: Instant,
    pub accounts: BTreeSet<AccountId>,
    pub entries: BTreeMap<ResourceKey, Entry>,
    pub ids: HashMap<String, ResourceKey>,
    queue: BTreeMap<(Instant, u64), Due>,
    queued: u64,
    pub made: i64,
    /// Volumes that were made, by the token of their call.
    pub tokens: HashMap<String, (Str, NewVolume)>,
    /// Deleted snapshots in the Recycle Bin, each until its instant.
    pub bin: BTreeMap<ResourceKey, (Resource, Instant)>,
    /// Released addresses that nobody else has yet, and where they were.
    pub released: BTreeMap<String, Place>,
    /// How instances were launched, where that is not the plainest way.
    pub launches: HashMap<String, Launch>,
    /// What types can run, where the name does not tell.
    pub types: HashMap<String, TypeFacts>,
    /// Types that cannot be started now.
    pub full: BTreeSet<String>,
    /// Images that were registered here, by id.
    pub images: HashMap<String, NewImage>,
    /// Instances that were launched here, by the token of their call.
    pub launched: HashMap<String, (Str, NewInstance)>,
    /// States of keys, where they are not enabled.
    pub keys: BTreeMap<String, String>,
    pub faults: Faults,
    pub calls: Vec<CallRecord>,
    pub changes: Vec<ChangeRecord>,
    pub spend: Vec<Spend>,
    /// What its answers say of the time.
    pub clock: Option<CloudClock>,
}

/// The account as it really is, for invariants: no lag, no faults, no pages.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'a>(pub(super) &'a State);

impl Entry {
    fn new(planted: Planted) -> Entry {
        Entry {
            now: Some(planted.resource),
            shown: VecDeque::new(),
            activity: planted.activity,
            snapshot_takes: planted.snapshot_takes,
            copying: None,
            changes: 0,
        }
    }

    /// What a reader sees at `now`.
    pub fn seen(&self, now: Instant) -> Option<Resource> {
        let shown = self.shown.iter().find(|(until, _)| now < *until);
        let mut resource = shown.map_or(&self.now, |(_, old)| old).clone()?;
        if let (Detail::Snapshot(snapshot), Some((begun, done))) = (&mut resource.detail, self.copying)
            && &*snapshot.state == "pending"
        {
            let whole = (done - begun).num_seconds().max(1);
            let share = (now - begun).num_seconds().clamp(0, whole) * 99 / whole;
            snapshot.progress = Fact::Known(u8::try_from(share).unwrap_or(99));
        }
        Some(resource)
    }
}

impl State {
    pub fn new(at: Instant, seed: u64, timing: Timing, accounts: BTreeSet<AccountId>) -> State {
        State {
            seed,
            timing,
            at,
            accounts,
            entries: BTreeMap::new(),
            ids: HashMap::new(),
            queue: BTreeMap::new(),
            queued: 0,
            made: 0,
            tokens: HashMap::new(),
            bin: BTreeMap::new(),
            released: BTreeMap::new(),
            launches: HashMap::new(),
            types: HashMap::new(),
            full: BTreeSet::new(),
            images: HashMap::new(),
            launched: HashMap::new(),
            keys: BTreeMap::new(),
            faults: Faults::default(),
            calls: Vec::new(),
            changes: Vec::new(),
            spend: Vec::new(),
            clock: None,
        }
    }

    /// Lets everything happen that is due until `now`.
    pub fn advance(&mut self, now: Instant) {
        while let Some(first) = self.queue.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((at, _), due) = first.remove_entry();
            self.at = self.at.max(at);
            self.happen(due);
        }
        self.at = self.at.max(now);
    }

    pub fn schedule(&mut self, at: Instant, due: Due) {
        self.queue.insert((at, self.queued), due);
        self.queued += 1;
    }

    /// When the last change that is already under way will be through; people's plans do not count.
    pub fn settled_at(&self) -> Instant {
        let under_way = self.queue.iter().filter(|(_, due)| {
            !matches!(due, Due::Event(_)) && !matches!(due, Due::Gone(key) if key.kind() == Kind::Instance)
        });
        let shown = self.entries.values().filter_map(|entry| entry.shown.back()).map(|(until, _)| *until);
        under_way.map(|((at, _), _)| *at).chain(shown).max().map_or(self.at, |last| last.max(self.at))
    }

    /// Puts a new resource in; it is planted without lag when `lagging` is false.
    pub fn plant(&mut self, planted: Planted, lagging: bool) {
        let key = planted.resource.key.clone();
        self.ids.insert(key.id.to_string(), key.clone());
        let mut entry = Entry::new(planted);
        if lagging {
            let until = self.at + self.lag(&key, 0);
            entry.changes = 1;
            if until > self.at {
                entry.shown.push_back((until, None));
            }
        }
        self.entries.insert(key, entry);
    }

    /// Changes a resource, keeping what readers go on seeing for a while. `None` when it is gone.
    pub fn change<T>(&mut self, key: &ResourceKey, edit: impl FnOnce(&mut Resource) -> T) -> Option<T> {
        let lag = self.lag(key, self.entries.get(key)?.changes);
        let entry = self.entries.get_mut(key)?;
        let mut after = entry.now.clone()?;
        let result = edit(&mut after);
        let before = entry.now.replace(after);
        entry.remember(before, self.at, lag);
        Some(result)
    }

    /// Takes a resource away.
    pub fn remove(&mut self, key: &ResourceKey) {
        let Some(changes) = self.entries.get(key).map(|entry| entry.changes) else { return };
        let lag = self.lag(key, changes);
        if let Some(entry) = self.entries.get_mut(key) {
            let before = entry.now.take();
            entry.remember(before, self.at, lag);
        }
    }

    /// Puts a resource that was taken away back in its place.
    pub fn bring_back(&mut self, key: &ResourceKey, resource: Resource) {
        let Some(changes) = self.entries.get(key).map(|entry| entry.changes) else { return };
        let lag = self.lag(key, changes);
        if let Some(entry) = self.entries.get_mut(key) {
            let before = entry.now.replace(resource);
            entry.remember(before, self.at, lag);
        }
    }

    /// The truth about one resource.
    pub fn get(&self, key: &ResourceKey) -> Option<&Resource> {
        self.entries.get(key)?.now.as_ref()
    }

    /// Entries of one partition by id, those after `after` alone.
    pub fn partition<'a>(
        &'a self,
        partition: &'a Partition,
        after: &str,
    ) -> impl Iterator<Item = (&'a ResourceKey, &'a Entry)> {
        let from = std::ops::Bound::Excluded(partition.key(after));
        self.entries.range((from, std::ops::Bound::Unbounded)).take_while(move |(key, _)| key.partition == *partition)
    }

    /// KMS's word for the state of a key.
    pub fn key_state(&self, key: &str) -> &str {
        self.keys.get(key).map_or(KeyState::ENABLED, String::as_str)
    }

    fn lag(&self, key: &ResourceKey, change: i64) -> TimeDelta {
        let (least, most) = self.timing.visibility_lag;
        let span = u64::from(most.saturating_sub(least)) + 1;
        let extra = hash::number(self.seed, &key.id, "lag", change) % span;
        TimeDelta::seconds(i64::from(least) + extra as i64)
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Event(event) => self.act_out(*event),
            Due::Running(key) => self.turn(&key, InstanceState::Pending, InstanceState::Running),
            Due::Stopped(key) => self.turn(&key, InstanceState::Stopping, InstanceState::Stopped),
            Due::Terminated(key) => {
                self.turn(&key, InstanceState::ShuttingDown, InstanceState::Terminated);
                self.schedule(self.at + TimeDelta::hours(1), Due::Gone(key));
            }
            Due::Gone(key) => self.remove(&key),
            Due::Created(key) => {
                self.change(&key, |resource| {
                    if let Detail::Volume(volume) = &mut resource.detail
                        && &*volume.state == "creating"
                    {
                        volume.state = "available".into();
                    }
                });
            }
            Due::Modified { volume, to } => self.modified(&volume, to),
            Due::Optimized(volume) => self.optimized(&volume),
            Due::Copied { snapshot, ends } => {
                self.change(&snapshot, |resource| {
                    if let Detail::Snapshot(snapshot) = &mut resource.detail {
                        snapshot.state = ends.into();
                        snapshot.progress = Fact::Known(if ends == "completed" { 100 } else { 0 });
                    }
                });
            }
        }
    }

    fn turn(&mut self, key: &ResourceKey, from: InstanceState, to: InstanceState) {
        self.change(key, |resource| {
            if let Detail::Instance(instance) = &mut resource.detail
                && instance.state == from
            {
                instance.state = to;
            }
        });
    }
}

impl Entry {
    fn remember(&mut self, before: Option<Resource>, at: Instant, lag: TimeDelta) {
        if before == self.now {
            return;
        }
        self.changes += 1;
        self.shown.retain(|(until, _)| *until > at);
        if lag > TimeDelta::zero() {
            // An older change never becomes visible after a newer one.
            let earliest = self.shown.back().map_or(at, |(until, _)| *until);
            self.shown.push_back(((at + lag).max(earliest), before));
        }
    }
}

impl<'a> Truth<'a> {
    /// The instant that it is true at.
    pub fn at(&self) -> Instant {
        self.0.at
    }

    /// One resource by its id, if it exists.
    pub fn resource(&self, id: &str) -> Option<&'a Resource> {
        self.0.get(self.0.ids.get(id)?)
    }

    /// KMS's word for the state of a key; every key that is named somewhere is enabled unless somebody said otherwise.
    pub fn key_state(&self, key: &str) -> &'a str {
        self.0.key_state(key)
    }

    /// Every resource that exists, by account, Region, kind and id.
    pub fn resources(&self) -> impl Iterator<Item = &'a Resource> {
        self.0.entries.values().filter_map(|entry| entry.now.as_ref())
    }

    /// Every snapshot of a volume that exists.
    pub fn snapshots_of(&self, volume: &str) -> Vec<&'a Resource> {
        self.resources()
            .filter(|resource| resource.snapshot().is_some_and(|snapshot| &*snapshot.volume == volume))
            .collect()
    }
}
