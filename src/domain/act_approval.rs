//! People's word on one act: what is asked, and when the answers suffice.
//!
//! A request is bound to the plan in which the act waited and to the hash of its step, so a yes is for this very act on
//! the resource as it was then, and for no other. Each yes holds for 24 hours, as a plan does.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::finding::{Act, FindingId};
use super::lifecycle::{Approval, ApprovalState};
use super::person;
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
        let fresh =
            |at: Instant| at <= now && (now - at <= TimeDelta::hours(PLAN_HOURS) || planted!("old-approvals-count"));
        let yes = answers
            .iter()
            .filter(|answer| answer.state == ApprovalState::Approved && answer.decided_at.is_some_and(fresh));
        u8::try_from(person::count(yes.map(|answer| answer.approver.as_str()))).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::ApprovalKind;
    use crate::domain::place::{AccountId, Kind, Place, Region};

    fn now() -> Instant {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn yes(approver: &str) -> Approval {
        Approval {
            id: 0,
            kind: ApprovalKind::Remediation,
            subject: "act-1".into(),
            round: 0,
            approver: approver.into(),
            state: ApprovalState::Approved,
            asked_by: "costwarden".into(),
            asked_at: now(),
            decided_at: Some(now()),
            comment: None,
        }
    }

    fn request() -> ActRequest {
        let (account, region) = (AccountId::new("111122223333").unwrap(), Region::new("eu-central-1").unwrap());
        let place = Place { account, region };
        ActRequest {
            id: 1,
            finding: FindingId("f".into()),
            key: place.partition(Kind::Volume).key("vol-1"),
            name: String::new(),
            act: Act::DeleteVolume,
            policy: "policy".into(),
            rule: "rule".into(),
            message: String::new(),
            plan: "p".into(),
            step: "s".into(),
            people: 2,
            asked_at: now(),
            expires_at: now(),
        }
    }

    #[test]
    fn i07_a_second_name_of_the_same_person_is_no_second_person_to_the_planner() {
        let request = request();
        let count = |names: &[&str]| request.yes_at(&names.iter().map(|name| yes(name)).collect::<Vec<_>>(), now());
        for alias in ["ann+1@x.test", "Ann <ANN@x.test>", "ann@x.test.", "ann"] {
            assert_eq!(count(&["ann@x.test", alias]), 1, "{alias}");
        }
        assert_eq!(count(&["ann@x.test", "ben@x.test", "ann+1@x.test"]), 2);
        let mut no = yes("ann+1@x.test");
        no.state = ApprovalState::Rejected;
        assert_eq!(request.yes_at(&[yes("ann@x.test"), yes("ben@x.test"), no], now()), 0);
    }
}
