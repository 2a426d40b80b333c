//! An exception from its request to its end (seed contract, N1 to N10).
//!
//! `engine::exceptions` moves it, `store` keeps it. What it means at an instant is computed from its own dates, so that
//! nothing hangs on a sweep having run: an exception that ran out does not cover, written down or not.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Exception;
use crate::domain::Instant;
use crate::domain::finding::FindingId;
use crate::domain::place::Kind;
use crate::domain::words::words;

/// For so many days after its review fell due, an exception still holds and is shown as overdue; then it has expired.
pub const OVERDUE_DAYS: i64 = 14;

/// How long a rejected request still holds, within the time that it would have held anyway: its owner hears of it first.
const AFTER_REJECTION: TimeDelta = TimeDelta::hours(24);

/// Where an exception stands (N1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExceptionStatus {
    /// Asked for, not answered.
    Pending,
    /// Granted.
    Approved,
    /// Refused.
    Rejected,
    /// Granted once, and over: its end came, its review did not, or its condition broke.
    Expired,
    /// Granted once, and taken back by a person.
    Revoked,
}

/// What ends an exception (N1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExceptionType {
    /// A number of days.
    Temporary,
    /// Nothing, as long as it is reviewed.
    Permanent,
    /// A condition over the resource that no longer holds.
    Conditional,
}

/// One exception with its history in fields (N2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExceptionRecord {
    /// A UUID, version 4.
    pub id: String,
    /// Account id of the resource.
    pub account: String,
    /// For example `vol-0a1b`.
    pub resource_id: String,
    /// What kind of resource it is.
    #[schemars(with = "String")]
    pub resource_kind: Kind,
    /// The policy's name.
    pub policy_name: String,
    /// The rule's name.
    pub rule_name: String,
    /// What ends it.
    pub exception_type: ExceptionType,
    /// Why; other people's text.
    pub justification: String,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: Instant,
    /// Where it stands as last written; [`ExceptionRecord::status_at`] tells it for any instant.
    pub status: ExceptionStatus,
    /// Who granted it.
    pub approved_by: Option<String>,
    /// When; the days count from here (N3).
    pub approved_at: Option<Instant>,
    /// What the approver said with it.
    pub comment: Option<String>,
    /// How many days were asked for.
    pub duration_days: Option<i64>,
    /// Last instant at which it holds; equality still holds (N7).
    pub expires_at: Option<Instant>,
    /// The condition that must hold, as a CEL text.
    pub conditions: Option<String>,
    /// Days from one review to the next.
    pub review_interval_days: i64,
    /// The last review; the approval is the first.
    pub last_reviewed_at: Option<Instant>,
    /// The review that approvers were asked for last, by its due date, so that they are asked once a period.
    pub review_asked_for: Option<Instant>,
    /// Rejection, revocation and what else was written down.
    pub tags: BTreeMap<String, String>,
    /// Until when the request alone holds the act; `None` where an earlier one already did (N8).
    pub holds_until: Option<Instant>,
    /// First instant at which it did not hold any more, where something other than its date ended it.
    pub ended_at: Option<Instant>,
    /// What ended it.
    pub ended_because: Option<String>,
    /// Raised by each write, so that two writers cannot undo each other unseen.
    #[serde(skip)]
    pub revision: i64,
}

/// Something that happened to an exception; append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExceptionEvent {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: String,
    /// One word: requested, approved, rejected, revoked, renewed, expired, voided, review_asked.
    pub what: String,
    /// In words.
    pub detail: String,
}

/// A finding that a scan did not count because of an exception (N8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExceptionUse {
    /// The exception's id, also of one in the settings.
    pub exception: String,
    /// The scan.
    pub scan: String,
    /// The finding.
    pub finding: FindingId,
    /// When.
    pub at: Instant,
}

/// Who may grant exceptions and acts (N4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproverRules {
    /// Manager of a person, both as mail addresses.
    pub managers: BTreeMap<String, String>,
    /// FinOps: for the policies of `finops_for`, and where nobody else may.
    pub finops: Vec<String>,
    /// Security: for the policies of `security_for`.
    pub security: Vec<String>,
    /// Policies that FinOps decides on.
    pub finops_for: Vec<String>,
    /// Policies that security decides on.
    pub security_for: Vec<String>,
    /// How long a request holds at most.
    pub sla: TimeDelta,
}

impl ExceptionRecord {
    /// When its next review falls due; nothing for a temporary one and before the approval.
    pub fn review_due(&self) -> Option<Instant> {
        if self.exception_type == ExceptionType::Temporary {
            return None;
        }
        self.last_reviewed_at.map(|last| last + TimeDelta::days(self.review_interval_days))
    }

    /// The last instant at which it holds unless somebody reviews, renews or revokes it; `None` before its approval.
    pub fn holds_through(&self) -> Option<Instant> {
        let approved = self.approved_at?;
        let review = self.review_due().map(|due| due + TimeDelta::days(OVERDUE_DAYS));
        // One without any end was never granted by us; it ends where it began.
        let natural = [self.expires_at, review].into_iter().flatten().min().unwrap_or(approved);
        Some(match self.ended_at {
            Some(end) => natural.min(end - TimeDelta::microseconds(1)),
            None => natural,
        })
    }

    /// Where it stands at an instant.
    pub fn status_at(&self, now: Instant) -> ExceptionStatus {
        match (self.status, self.holds_through()) {
            (ExceptionStatus::Approved, Some(last)) if last < now => ExceptionStatus::Expired,
            (status, _) => status,
        }
    }

    /// In force, and its review is overdue: still no act (N7).
    pub fn overdue_at(&self, now: Instant) -> bool {
        self.status_at(now) == ExceptionStatus::Approved && self.review_due().is_some_and(|due| due < now)
    }

    /// What it covers and covered since its approval; `None` for one that was never granted.
    pub fn cover(&self) -> Option<Exception> {
        let until = self.holds_through()?;
        Some(self.hold(until, self.approved_by.clone().unwrap_or_default(), self.justification.clone()))
    }

    /// What the mere request holds, or held: no act while approvers have time to answer (N8).
    pub fn asked(&self) -> Option<Exception> {
        let most = self.holds_until?;
        let until = match (self.status, self.ended_at) {
            (ExceptionStatus::Pending, _) => most,
            (ExceptionStatus::Rejected, Some(at)) => most.min(at + AFTER_REJECTION),
            _ => return None,
        };
        Some(self.hold(until, self.requested_by.clone(), self.justification.clone()))
    }

    fn hold(&self, until: Instant, approved_by: String, reason: String) -> Exception {
        Exception {
            id: self.id.clone(),
            resource: self.resource_id.clone(),
            account: Some(self.account.clone()),
            policy: self.policy_name.clone(),
            rule: Some(self.rule_name.clone()),
            reason,
            approved_by,
            until,
        }
    }
}

words!(
    ExceptionStatus,
    Pending => "pending", Approved => "approved", Rejected => "rejected", Expired => "expired", Revoked => "revoked",
);
words!(ExceptionType, Temporary => "temporary", Permanent => "permanent", Conditional => "conditional");
