//! The simulated account's own record of what it was asked and what changed.
//!
//! Invariants of the safety campaign are judged from this record and from the truth, never from the program's
//! database. It is append-only; nothing in the program under test can write to it but by making calls.

use serde::{Deserialize, Serialize};

use crate::cloud::{CloudError, ErrorKind};
use crate::domain::Instant;
use crate::domain::place::{AccountId, Region};

/// One request to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// When it came.
    pub at: Instant,
    /// Through which port.
    pub side: Side,
    /// Of which account.
    pub account: AccountId,
    /// In which Region; none for account-wide calls.
    pub region: Option<Region>,
    /// The API operation, for example `StopInstances`.
    pub operation: String,
    /// The id that it was about, where it was about one.
    pub target: Option<String>,
    /// What else it said, in short.
    pub args: String,
    /// Only a question: about permission (EC2's `DryRun`), or whose the acting credentials are.
    pub dry_run: bool,
    /// What the caller was answered. After [`Outcome::Failed`] with an uncertain kind the change may still be there:
    /// see `effective`.
    pub outcome: Outcome,
    /// True when it changed the account, whatever the caller was told.
    pub effective: bool,
    /// Tag keys that had another value before; a careful caller never causes one.
    pub overwrote: Vec<String>,
    /// Ids that it brought into being, each with its source.
    pub created: Vec<(String, String)>,
}

/// The port a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// `CloudRead`.
    Reader,
    /// `CloudAct`.
    Actor,
}

/// What the caller was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Success.
    Done,
    /// An error.
    Failed {
        /// What follows from it.
        kind: ErrorKind,
        /// EC2's code.
        code: Option<String>,
    },
}

/// One change that people or other automation made, or tried to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: String,
    /// What, in words.
    pub what: String,
    /// The resource's id.
    pub target: String,
    /// Why it could not be done, if it could not.
    pub refused: Option<String>,
}

impl Outcome {
    /// From what the caller gets.
    pub(super) fn of<T>(result: &Result<T, CloudError>) -> Outcome {
        match result {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed { kind: error.kind, code: error.code.clone() },
        }
    }
}

impl CallRecord {
    /// True for a call that could have changed the account: the acting port, and no question about permission or
    /// identity.
    pub fn mutating(&self) -> bool {
        self.side == Side::Actor && !self.dry_run && self.operation != "GetCallerIdentity"
    }
}
