//! An exception: a person's decision that a rule does not lead to an act on a resource, for a while.
//!
//! Keyed by resource, policy and rule, so an exception for one policy hides nothing of another (C5). [`Exception`] is
//! what scan, planner and gate look at: who covers what until when. It stands in the settings, or is made from a
//! [`ExceptionRecord`], which carries request, approval, reviews and end. One that ended is kept in the lists that are
//! handed around: a grace period that began before that end does not count.

use serde::{Deserialize, Serialize};

use super::Instant;

mod record;

pub use record::{
    ApproverRules, ExceptionEvent, ExceptionRecord, ExceptionStatus, ExceptionType, ExceptionUse, OVERDUE_DAYS,
};

/// One exception in force or past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// A name that people use, for example `EXC-12`.
    pub id: String,
    /// The id of the resource, for example `vol-0a1b`, within `account`.
    pub resource: String,
    /// Account id; every account of the settings when empty.
    pub account: Option<String>,
    /// The policy's name.
    pub policy: String,
    /// One rule of it; all rules when empty.
    pub rule: Option<String>,
    /// Why; shown wherever the exception is.
    pub reason: String,
    /// Who approved it.
    pub approved_by: String,
    /// Last instant at which it holds; equality still holds (N7).
    pub until: Instant,
}

impl Exception {
    /// Whether it covers a resource under a rule at an instant.
    pub fn covers(&self, account: &str, resource: &str, policy: &str, rule: &str, now: Instant) -> bool {
        self.concerns(account, resource, policy, rule) && now <= self.until
    }

    /// Whether it is about a resource under a rule, in force or past.
    pub fn concerns(&self, account: &str, resource: &str, policy: &str, rule: &str) -> bool {
        self.resource == resource
            && self.account.as_deref().is_none_or(|own| own == account)
            && self.policy == policy
            && self.rule.as_deref().is_none_or(|own| own == rule)
    }
}
