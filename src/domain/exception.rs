//! An exception: a person's decision that a rule does not lead to an act on a resource, for a while.
//!
//! Keyed by resource, policy and rule, so an exception for one policy hides nothing of another (C5). For now they
//! are read from the settings; requests and approvals come later.

use serde::{Deserialize, Serialize};

use super::Instant;

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
        self.resource == resource
            && self.account.as_deref().is_none_or(|own| own == account)
            && self.policy == policy
            && self.rule.as_deref().is_none_or(|own| own == rule)
            && now <= self.until
    }
}
