//! A stateful simulated account: the cloud behind `demo`, worlds, the tests and the safety campaign.
//!
//! [`SimCloud`] holds the truth of one [`World`] and a virtual [`Clock`]; [`SimReader`] and [`SimActor`] are the two
//! ports on it. It has visibility lag, snapshots that take time, EC2's refusals, faults by schedule, and people who
//! change things meanwhile. Its call log and its truth are its own: invariants are judged from them, never from the
//! program's database. The same world and the same sequence of calls and instants give the same answers.
//! It leaves out prices and whatever no check, guard or action asks for.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::cloud::CloudClock;
use crate::domain::Instant;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::place::ResourceKey;
use crate::domain::resource::Image;

mod act;
mod actors;
mod convert;
mod faults;
mod file;
mod hash;
mod launch;
mod log;
mod metrics;
pub mod plant;
mod read;
mod rules;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod when;
mod world;

pub use act::SimActor;
pub use actors::{Change, Event};
pub use faults::{Effect, Fault, Form};
pub use launch::{launch as launch_of, type_facts};
pub use log::{CallRecord, ChangeRecord, Outcome, Side};
pub use metrics::{Activity, Busy, Peak, Shape, Span, Usage};
pub use read::SimReader;
pub use rules::MAX_TAGS;
pub use state::{Planted, Truth};
pub use world::{Account, DatedException, Downtime, Spend, Timing, World, WorldError};

use state::{Due, State};

/// The simulated account. Clones share the same truth and clock.
#[derive(Clone, Debug)]
pub struct SimCloud {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl SimCloud {
    /// Sets a world up. Its events are due from its own start on, whatever the clock says now.
    ///
    /// # Errors
    /// When two resources have one id, an id has another kind's prefix, or an attachment is known on one side only.
    pub fn new(world: World, clock: Clock) -> Result<SimCloud, WorldError> {
        world.check()?;
        let accounts = world.accounts.iter().map(|account| account.id.clone()).collect();
        let mut state = State::new(world.start, world.seed, world.timing, accounts);
        for planted in world.resources {
            state.plant(planted, false);
        }
        for event in world.events {
            state.schedule(event.at, Due::Event(Box::new(event)));
        }
        state.faults = faults::Faults::new(world.faults);
        state.spend = world.spend;
        state.keys = world.keys;
        Ok(SimCloud { state: Arc::new(Mutex::new(state)), clock })
    }

    /// The same account with the same past, which from now on goes its own way by another clock.
    pub fn fork(&self, clock: Clock) -> SimCloud {
        SimCloud { state: Arc::new(Mutex::new(self.with(|state| state.clone()))), clock }
    }

    /// A port that can only read.
    pub fn reader(&self) -> SimReader {
        SimReader::new(self.clone())
    }

    /// The port that changes things.
    pub fn actor(&self) -> SimActor {
        SimActor::new(self.clone())
    }

    /// The clock that it runs on.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Every request so far, in order.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.with(|state| state.calls.clone())
    }

    /// Every request but the first `known` ones, in order.
    pub fn calls_since(&self, known: usize) -> Vec<CallRecord> {
        self.with(|state| state.calls.get(known..).unwrap_or_default().to_vec())
    }

    /// How many requests there were so far.
    pub fn call_count(&self) -> usize {
        self.with(|state| state.calls.len())
    }

    /// Everything that people and other automation did or tried so far, in order.
    pub fn changes(&self) -> Vec<ChangeRecord> {
        self.with(|state| state.changes.clone())
    }

    /// Looks at the account as it really is now.
    pub fn truth<T>(&self, look: impl FnOnce(&Truth<'_>) -> T) -> T {
        self.with(|state| look(&Truth(state)))
    }

    /// Lets somebody do something now. `Err` says why the account refused.
    pub fn apply(&self, by: &str, change: Change) -> Result<(), String> {
        self.with(|state| {
            let at = state.at;
            state.act_out(Event { at, by: by.into(), change });
            state.changes.last().and_then(|record| record.refused.clone()).map_or(Ok(()), Err)
        })
    }

    /// Plans something that somebody will do.
    pub fn schedule(&self, event: Event) {
        self.with(|state| state.schedule(event.at, Due::Event(Box::new(event))));
    }

    /// Gives an instance another past: used like this ever since its launch. Unknown ids change nothing.
    pub fn backdate_usage(&self, instance: &str, usage: Usage) {
        self.with(|state| {
            let entry = state.ids.get(instance).and_then(|key| state.entries.get_mut(key));
            if let Some(entry) = entry {
                entry.activity.usage = vec![(Instant::MIN_UTC, usage)];
            }
        });
    }

    /// Adds a fault to the schedule.
    pub fn add_fault(&self, fault: Fault) {
        self.with(|state| state.faults.add(fault));
    }

    /// Says how an instance was launched; without that it is launched in the plainest way. Unknown ids change nothing.
    pub fn set_launch(&self, instance: &str, launch: Launch) {
        self.with(|state| drop(state.launches.insert(instance.to_owned(), launch)));
    }

    /// Changes an image by other hands: shared, protected, referred to, launched from. Unknown ids change nothing.
    pub fn set_image(&self, image: &ResourceKey, edit: impl FnOnce(&mut Image)) {
        self.with(|state| state.change_image(image, edit));
    }

    /// Says what an instance type can run; without that its name tells.
    pub fn set_type(&self, name: &str, facts: TypeFacts) {
        self.with(|state| drop(state.types.insert(name.to_owned(), facts)));
    }

    /// Whether an instance of a type can be started or launched.
    pub fn set_capacity(&self, instance_type: &str, there: bool) {
        self.with(|state| {
            if there {
                state.full.remove(instance_type);
            } else {
                state.full.insert(instance_type.to_owned());
            }
        });
    }

    /// How many calls each fault has hit so far: the world's faults in their order, then the added ones.
    pub fn fault_hits(&self) -> Vec<u64> {
        self.with(|state| state.faults.hits())
    }

    /// Its answers tell a time that is ahead of the clock by this much from now on; without this call they tell none.
    pub fn tell_time(&self, ahead: TimeDelta) {
        self.with(|state| {
            let readings = state.clock.map_or(0, |clock| clock.readings) + 1;
            state.clock = Some(CloudClock { ahead, readings });
        });
    }

    /// When every change that is under way will be through and visible; people's plans do not count.
    pub fn settled_at(&self) -> Instant {
        self.with(|state| state.settled_at())
    }

    /// Brings the account up to the clock and hands it out.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(self.clock.now());
        work(&mut state)
    }
}
