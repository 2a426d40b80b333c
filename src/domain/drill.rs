//! Restore drills: one safety snapshot made into a volume, looked at, and the volume deleted again (safety.md, H14).
//!
//! `remediate::drill` moves one, `store` keeps it, `doctor` shows the last. A drill is a row of its own and no act: no
//! policy asks for it, and what it makes and deletes is its own volume alone.

use serde::{Deserialize, Serialize};

use super::Instant;
use super::place::ResourceKey;
use super::text::Str;

/// How far a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillState {
    /// Written down before the volume is asked for: whether it was, only the cloud knows.
    Intended,
    /// The volume has an id, and is waited for.
    Made,
    /// What it was worth is known; the volume is being deleted.
    Ending,
    /// The volume was available, of the right size and under the right key, and is gone again.
    Passed,
    /// No such volume came of the snapshot. A person is told.
    Failed,
    /// A volume of ours may be left. It is not touched again; a person is told.
    Unclear,
    /// It was interrupted before anything was made.
    GivenUp,
}

/// One drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Its number; never reused.
    pub id: i64,
    /// The safety snapshot that is tried.
    pub snapshot: ResourceKey,
    /// Size that the volume must have, GiB.
    pub size_gib: u32,
    /// The key that it must be encrypted under.
    pub kms_key: Option<Str>,
    /// Where it is made: the Availability Zone of the volume that was backed up.
    pub zone: String,
    /// How far it is.
    pub state: DrillState,
    /// Fence number of the worker that moved it last.
    pub fence: i64,
    /// When it was begun.
    pub begun_at: Instant,
    /// Last transition.
    pub updated_at: Instant,
    /// The volume that was made.
    pub made: Option<ResourceKey>,
    /// What is wrong with the restored volume, once that is known; none when nothing is.
    pub fault: Option<String>,
    /// How often the deletion was asked for.
    pub deletes: u32,
    /// Reads in a row that did not find the volume any more.
    pub gone: u32,
    /// Where it stands, in words.
    pub message: String,
}

impl DrillState {
    /// The word in the state.
    pub fn word(self) -> &'static str {
        match self {
            DrillState::Intended => "intended",
            DrillState::Made => "made",
            DrillState::Ending => "ending",
            DrillState::Passed => "passed",
            DrillState::Failed => "failed",
            DrillState::Unclear => "unclear",
            DrillState::GivenUp => "given_up",
        }
    }

    /// Nothing more happens to it.
    pub fn ended(self) -> bool {
        matches!(self, DrillState::Passed | DrillState::Failed | DrillState::Unclear | DrillState::GivenUp)
    }

    /// A person must hear of it.
    pub fn alarms(self) -> bool {
        matches!(self, DrillState::Failed | DrillState::Unclear)
    }
}
