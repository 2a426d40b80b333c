//! People's word on one act: what is asked, and when the answers suffice.
//!
//! A request is bound to the plan in which the act waited and to the hash of its step, so a yes is for this very act on
//! the resource as it was then, and for no other. Each yes holds for 24 hours, as a plan does.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::exception::person;
use super::finding::{Act, FindingId};
use super::lifecycle::{Approval, ApprovalState};
use super::place::ResourceKey;
use super::plan::PLAN_HOURS;

/// An act that waits for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ActRequest {
    /// Its number; 0 until it is stored.
    pub id: i64,
    /// Why it would be done.
    pub finding: FindingId,
    /// On what.
    pub key: ResourceKey,
    /// Its name; foreign text.
    pub name: String,
    /// What.
    pub act: Act,
    /// The policy that wants to be asked.
    pub policy: String,
    /// The rule.
    pub rule: String,
    /// The finding's sentence.
    pub message: String,
    /// The plan in which it waited.
    pub plan: String,
    /// Hash of what is approved: `Step::approval_hash`.
    pub step: String,
    /// How many different people must say yes.
    pub people: u8,
    /// When they were asked.
    pub asked_at: Instant,
    /// Last instant at which the question may be answered.
    pub expires_at: Instant,
}

impl ActRequest {
    /// Its subject in the table of approvals.
    pub fn subject(&self) -> String {
        format!("act-{}", self.id)
    }

    /// Different people whose yes holds at an instant; none as soon as one of them says no.
    pub fn yes_at(&self, answers: &[Approval], now: Instant) -> u8 {
        if answers.iter().any(|answer| answer.state == ApprovalState::Rejected) {
            return 0;
        }
        let fresh = |at: Instant| at <= now && now - at <= TimeDelta::hours(PLAN_HOURS);
        let people: BTreeSet<String> = answers
            .iter()
            .filter(|answer| answer.state == ApprovalState::Approved && answer.decided_at.is_some_and(fresh))
            .map(|answer| person(&answer.approver))
            .collect();
        u8::try_from(people.len()).unwrap_or(u8::MAX)
    }
}
