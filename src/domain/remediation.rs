//! One remediation: the journal row of one act on one resource (safety.md, "Journal states").
//!
//! Every transition is its own durable commit, made by `remediate::journal`. What a crash can leave behind is one of
//! these states, and `remediate` goes on from it by observing first.

use serde::{Deserialize, Serialize};

use super::Instant;
use super::kept::Kept;
use super::plan::Step;
use super::text::Str;

/// How far an act has come. The names are those of safety.md. J0 to J2 are the finding's own phases; a row begins
/// at J3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JournalState {
    /// J3: lease and fence number taken.
    Claimed,
    /// J4: judged again on fresh facts, all guards passed.
    Rechecked,
    /// J5: snapshot key tag and volume set written.
    SnapIntent,
    /// J6: snapshot ids stored.
    SnapRequested,
    /// J7: all completed, count and size equal.
    SnapVerified,
    /// J8: call name, arguments hash and fence written; the next thing on the wire is the call.
    ActIntent,
    /// J9: the cloud answered.
    Answered,
    /// J10: the target state was seen.
    Observed,
    /// J11: evidence, audit and outbox rows written.
    Done,
    /// End: refused by a guard or by the cloud, definitely without effect.
    Refused,
    /// End: given up before J8.
    Aborted,
    /// Detour: J8 without J9 at start-up; only observation is allowed.
    Uncertain,
    /// Detour of an act of several calls: one call is settled, the next is decided from a fresh read.
    PartSeen,
    /// Detour of an act of several calls: a later call was refused or had no effect, and what was changed is put back.
    Compensating,
    /// End until a person decides.
    Stuck,
}

/// The status words of S1 (R1), a projection of the journal state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Planned, grace running or held.
    Pending,
    /// Under way.
    InProgress,
    /// Done and seen.
    Completed,
    /// Needs a person.
    Failed,
    /// Refused or aborted, with the reason.
    Skipped,
}

/// One journal row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remediation {
    /// `r-` and a number; never reused.
    pub id: i64,
    /// What is done, as planned.
    pub step: Step,
    /// The plan it came from.
    pub plan: String,
    /// How far it is.
    pub state: JournalState,
    /// Fence number of the worker that moved it last.
    pub fence: i64,
    /// When it was claimed.
    pub claimed_at: Instant,
    /// Last transition.
    pub updated_at: Instant,
    /// Next look at something we wait for; nothing sleeps longer than a minute.
    pub next_look_at: Option<Instant>,
    /// Last time that J4 held.
    pub rechecked_at: Option<Instant>,
    /// Snapshots by volume id.
    pub snapshots: Vec<SafetySnapshot>,
    /// The image that an instance could be launched from again, where the act needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<SafetyImage>,
    /// The calls of an act that takes several, in their order; empty for an act of one call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Hash of the call's arguments, from J8 on.
    pub call_hash: Option<String>,
    /// The answer's request id, from J9 on.
    pub request_id: Option<String>,
    /// Reads since J8 or J9 that looked for the target state; before J8, how often the snapshots were asked for.
    pub looks: u32,
    /// Instant of the first such read.
    pub first_look_at: Option<Instant>,
    /// What those reads said; `looks` and `first_look_at` count only reads in a row that said the same.
    #[serde(default)]
    pub last_look: Option<Look>,
    /// Why it ended as it did, or what it waits for, in words.
    pub message: String,
    /// What is needed to put things back: the resource as it was read at J4.
    pub recipe: Option<Kept>,
}

/// One call of an act that takes several: its intent, its answer and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which.
    pub name: PartName,
    /// Hash of the call's arguments, committed before it is made.
    pub call_hash: String,
    /// When the intent was committed.
    pub intended_at: Instant,
    /// The answer's request id.
    pub request_id: Option<String>,
    /// What became of it.
    pub outcome: PartOutcome,
    /// Why it was refused, or what was seen instead of its effect, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// The calls of a resize, there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartName {
    /// Stop it.
    Stop,
    /// Give it the new type.
    ChangeType,
    /// Start it with the new type.
    Start,
    /// Give it the old type again.
    ChangeTypeBack,
    /// Start it after the change did not work.
    StartAgain,
}

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartOutcome {
    /// The intent is written; whether the call was made is not known after a crash.
    Intended,
    /// No clear answer came.
    Uncertain,
    /// The cloud accepted it.
    Answered,
    /// Its effect was seen.
    Seen,
    /// The cloud refused it for certain: nothing was done.
    Refused,
    /// The cloud refused it for the number of requests: nothing was done, and it may be asked for again.
    Throttled,
    /// Reads over minutes showed no effect.
    NoEffect,
}

/// What a read after the call says about its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// The target state.
    Reached,
    /// The cloud says that the resource does not exist, or calls it deleted.
    Gone,
    /// The state from before the call.
    Unchanged,
    /// Anything else: on its way, or elsewhere.
    Between,
}

/// An image made of the safety snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyImage {
    /// Its name, by which it is found again; taken once in an account and Region.
    pub name: String,
    /// Its id, once it is known.
    pub image: Option<Str>,
    /// When it was last asked for.
    pub asked_at: Instant,
    /// How often it was asked for.
    pub tries: u32,
}

/// One backup of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetySnapshot {
    /// The source.
    pub volume: Str,
    /// Size of the source in GiB; the snapshot's must be equal.
    pub size_gib: u32,
    /// The snapshot, once requested.
    pub snapshot: Option<Str>,
    /// When it was first asked for.
    pub requested_at: Option<Instant>,
    /// When it was seen completed.
    pub completed_at: Option<Instant>,
}

impl PartName {
    /// The word in the names of crash points and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            PartName::Stop => "stop",
            PartName::ChangeType => "change_type",
            PartName::Start => "start",
            PartName::ChangeTypeBack => "change_type_back",
            PartName::StartAgain => "start_again",
        }
    }
}

impl Part {
    /// Before its call.
    pub fn intended(name: PartName, call_hash: String, now: Instant) -> Part {
        Part {
            name,
            call_hash,
            intended_at: now,
            request_id: None,
            outcome: PartOutcome::Intended,
            words: String::new(),
        }
    }
}

impl JournalState {
    /// The word in SQL and JSON, with the number of safety.md.
    pub fn word(self) -> &'static str {
        match self {
            JournalState::Claimed => "J3_claimed",
            JournalState::Rechecked => "J4_rechecked",
            JournalState::SnapIntent => "J5_snap_intent",
            JournalState::SnapRequested => "J6_snap_requested",
            JournalState::SnapVerified => "J7_snap_verified",
            JournalState::ActIntent => "J8_act_intent",
            JournalState::Answered => "J9_answered",
            JournalState::Observed => "J10_observed",
            JournalState::Done => "J11_done",
            JournalState::Refused => "refused",
            JournalState::Aborted => "aborted",
            JournalState::Uncertain => "uncertain",
            JournalState::PartSeen => "J10_part_seen",
            JournalState::Compensating => "compensating",
            JournalState::Stuck => "stuck",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<JournalState> {
        use JournalState::*;
        [
            Claimed,
            Rechecked,
            SnapIntent,
            SnapRequested,
            SnapVerified,
            ActIntent,
            Answered,
            Observed,
            Done,
            Refused,
            Aborted,
            Uncertain,
            PartSeen,
            Compensating,
            Stuck,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }

    /// Nothing more will happen by itself.
    pub fn ended(self) -> bool {
        matches!(self, JournalState::Done | JournalState::Refused | JournalState::Aborted | JournalState::Stuck)
    }

    /// S1's word (R1).
    pub fn status(self) -> Status {
        match self {
            JournalState::Done => Status::Completed,
            JournalState::Stuck => Status::Failed,
            JournalState::Refused | JournalState::Aborted => Status::Skipped,
            _ => Status::InProgress,
        }
    }
}

impl Status {
    /// S1's word (R1).
    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_the_status_words_are_the_seeds() {
        let words: Vec<&str> =
            [Status::Pending, Status::InProgress, Status::Completed, Status::Failed, Status::Skipped]
                .into_iter()
                .map(Status::word)
                .collect();
        assert_eq!(words, ["pending", "in_progress", "completed", "failed", "skipped"]);
        assert_eq!(JournalState::Refused.status(), Status::Skipped, "R9: a refusal is not a failure");
    }
}
