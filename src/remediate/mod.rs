//! The careful shell around one act.
//!
//! The worker and `apply` hand a planned step to [`Remediator::start`], then call [`Remediator::advance`] until it has
//! ended, sleeping in between as told; after a restart [`Remediator::resume_all`] goes on from the journal, by
//! observing first. Every transition of safety.md's J3 to J11 is its own durable commit; the act's intent is written
//! before the call, the call is made at most once, and after an unclear answer only reads decide.
//!
//! `recheck` judges again on fresh reads (J4; `fits` whether an instance would boot or could be made anew, `keys` whether
//! encryption keys work, `claim` whether another installation works on it), `backup` makes and verifies the safety snapshots (J5 to J7; `image` an image of them before a
//! termination; `twin` whether another machine made some under the same number), `gate` counts and compares once more
//! right before each mutating call (J8), `observe` looks for the effect (J9 to J11), `parts` goes on where an act takes
//! several calls, `actions` is the table of acts, `halt` the crash points of tests. `undo` takes back what was done, by
//! the same walk. `drill` tries whether a backup comes back, by a walk of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::clock::Clock;
use crate::cloud::{CloudAct, CloudRead};
use crate::domain::Instant;
use crate::domain::exception::Exception;
use crate::domain::guard::{GuardRules, Switches};
use crate::domain::mode::{Breaker, Freeze, Mode, Pace, Window};
use crate::domain::place::{AccountId, Kind, Place};
use crate::domain::plan::{HoldCode, Step};
use crate::domain::price::PriceBook;
use crate::domain::remediation::{JournalState, Remediation};
use crate::domain::resource::Resource;
use crate::store::{Outgoing, Store, StoreError};

pub mod actions;
mod backup;
mod claim;
pub mod drill;
mod drill_gate;
mod driver;
pub mod expire;
mod fits;
mod freeze;
pub mod fuzz;
mod gate;
mod gate_part;
mod halt;
mod image;
mod keys;
mod marks;
mod observe;
mod pace;
mod parts;
pub mod put_back;
mod recheck;
#[cfg(test)]
mod tests;
mod twin;
pub mod undo;
mod written;

#[cfg(debug_assertions)]
pub use halt::Ask;
pub use halt::{Halt, Halted};

/// Oldest read on which an act may rest, in seconds.
pub const FRESH_SECONDS: i64 = 60;

/// The tag by which a safety snapshot is found again: its value names the state file and the remediation.
pub const KEY_TAG: &str = "costwarden:remediation";

/// The tag by which a volume that an undo made is found again: its value names the state file and the act.
pub const UNDO_TAG: &str = "costwarden:undo-of";

/// The tag that the volume of a restore drill is made with and found again by: its value names the state file and the
/// drill.
pub const DRILL_TAG: &str = "costwarden:drill";

/// The tag that refuses every act.
pub const PROTECT_TAG: &str = "costwarden:protect";

pub use crate::domain::undo::SNAPSHOT_DAYS;

/// Acts on resources, one careful step at a time. One per run, with that run's rules.
pub struct Remediator {
    tools: Tools,
    rules: GateRules,
    memory: Mutex<Memory>,
    turn: tokio::sync::Mutex<()>,
}

/// What a [`Remediator`] works with.
pub struct Tools {
    /// The state file.
    pub store: Arc<Store>,
    /// Reads the cloud.
    pub read: Arc<dyn CloudRead>,
    /// Changes the cloud.
    pub act: Arc<dyn CloudAct>,
    /// Time.
    pub clock: Clock,
    /// Judges the rule again at J4.
    pub recheck: Arc<dyn Recheck>,
    /// Puts what people must hear into messages.
    pub announce: Arc<Announce>,
    /// Crash points of tests.
    pub halt: Halt,
}

/// What is allowed, from the settings and the state of this run. The gate and the guards read it; the planner read
/// the same settings by its own code.
#[derive(Clone, Debug)]
pub struct GateRules {
    /// Accounts with their Regions; nothing else is touched, and a target outside freezes everything.
    pub places: BTreeSet<Place>,
    /// The mode in force.
    pub mode: Mode,
    /// A person runs `apply`; the daemon otherwise.
    pub by_hand: bool,
    /// Most acts per run and day.
    pub pace: Pace,
    /// On how much a policy may fall due at once.
    pub breaker: Breaker,
    /// Resources by account and kind, all Regions together, at the last complete scan.
    pub totals: BTreeMap<(AccountId, Kind), u64>,
    /// When acts may happen.
    pub window: Window,
    /// What is switched on.
    pub switches: Switches,
    /// Protect list, public addresses, own tags.
    pub guards: GuardRules,
    /// Exceptions of the settings; those of the state are read at each question.
    pub exceptions: Vec<Exception>,
    /// How many people must approve an act, by policy and rule, where a policy asks for that.
    pub people: BTreeMap<(String, String), u8>,
    /// Hash of each policy in force, by name.
    pub policies: BTreeMap<String, String>,
    /// Tag keys that may change without the resource counting as changed.
    pub ignore_tags: Vec<String>,
    /// The type table, for local disks.
    pub prices: Arc<PriceBook>,
}

/// Who acts now: made by the caller after it took the acting lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Names this run; what it did is counted under it.
    pub id: String,
    /// Fence number of the acting lease.
    pub fence: i64,
    /// When it began.
    pub started_at: Instant,
}

/// Judges a step's rule again on facts of this minute, the last 24 hours of metrics included.
#[async_trait]
pub trait Recheck: Send + Sync {
    /// Whether `fresh` still violates the rule of `step`. `Err` means that something could not be read just now and
    /// it is worth asking again.
    async fn still_violates(&self, step: &Step, fresh: &Resource) -> Result<StillViolates, String>;
}

/// The answer of [`Recheck`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StillViolates {
    /// It does, and firmly enough for an act.
    Yes,
    /// It does not any more; why, in words.
    No(String),
    /// It cannot be told; why, in words. Refuses.
    Unknown(String),
}

/// Makes the messages of an event. They are committed with it; those of a freeze may be asked for more than once and must
/// then carry the same `dedup`.
pub type Announce = dyn Fn(&Event<'_>) -> Vec<Outgoing> + Send + Sync;

/// What people must hear of.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// An act was done and its effect seen.
    Done(&'a Remediation),
    /// Nobody can tell what happened; a person decides.
    Stuck(&'a Remediation),
    /// An act of several calls did not work and was put back: the resource is as it was, after an outage.
    TakenBack(&'a Remediation),
    /// Everything was frozen.
    Frozen(&'a Freeze),
}

/// Where a remediation stands after a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its journal row; none when nothing was claimed.
    pub id: Option<i64>,
    /// What the caller does next.
    pub progress: Progress,
    /// Why, in words for people.
    pub message: String,
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: it has ended so.
    Ended(JournalState),
    /// Call [`Remediator::advance`] at this instant; never more than a minute ahead.
    WaitUntil(Instant),
    /// Nothing more in this run: frozen, outside the window, the cloud throttles, or the lease is lost. The journal row
    /// stays open, and [`Remediator::resume_all`] of a later run goes on with it. Without a row nothing was begun.
    Held,
}

/// Why a remediation could not be moved; the journal says how far it is.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The state file refused.
    #[error(transparent)]
    Store(StoreError),
    /// Another worker holds the acting lease.
    #[error("another worker holds the acting lease, so this one stops")]
    StaleFence,
    /// No such journal row.
    #[error("there is no remediation r-{0} in this state file")]
    NoSuchRow(i64),
    /// An undo that cannot begin; in words.
    #[error("{0}")]
    NoUndo(String),
    /// A crash point of a test.
    #[error(transparent)]
    Halted(#[from] Halted),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Interrupted {
        if error.is_stale_fence() { Interrupted::StaleFence } else { Interrupted::Store(error) }
    }
}

/// What is remembered within one process; everything that matters after a crash is in the journal.
#[derive(Default)]
struct Memory {
    /// When the acting credentials of an account were last found to be its own.
    identified: HashMap<AccountId, Instant>,
    /// Failed acts by run.
    failed: HashMap<String, u32>,
    /// Runs that make no more changes, and why.
    over: HashMap<String, String>,
    /// Runs in which steps of an earlier run took places of the pace that the planner did not count.
    carried: HashSet<String>,
}

/// What the guards and the gate say about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ruling {
    /// Nothing objects.
    Pass,
    /// Not now; nothing is wrong with the step.
    Hold(String),
    /// Not this step.
    Refuse(HoldCode, String),
    /// Something is wrong with the program or its target: stop everything.
    Freeze(String),
}

impl Remediator {
    /// A remediator for one run.
    pub fn new(tools: Tools, rules: GateRules) -> Remediator {
        let (memory, turn) = Default::default();
        Remediator { tools, rules, memory, turn }
    }

    fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
