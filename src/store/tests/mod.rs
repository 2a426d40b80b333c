//! The store's own stories, by theme, over files and memory.

mod acting;
mod opening;
mod policies;
mod put_back;
mod records;
mod scanning;
mod sending;
mod trail;

use super::*;
use crate::domain::check::{Savings, Standing};
use crate::domain::finding::*;
use crate::domain::inventory::{Coverage, Status};
use crate::domain::money::Usd;
use crate::domain::place::{Kind, Partition};
use crate::domain::plan::{Fingerprint, Step};
use crate::domain::resource::Tags;

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// 2 November 2026, 02:00, and so many minutes.
fn minute(minutes: i64) -> Instant {
    at("2026-11-02T02:00:00Z") + chrono::TimeDelta::minutes(minutes)
}

fn partition(kind: Kind) -> Partition {
    let place = crate::domain::place::Place {
        account: "123456789012".to_owned().try_into().unwrap(),
        region: "eu-central-1".to_owned().try_into().unwrap(),
    };
    place.partition(kind)
}

/// An open medium finding on `i-…` or `vol-…`, in the state of `minute(0)`.
fn finding(resource: &str) -> Finding {
    let kind = Kind::ALL.into_iter().find(|kind| resource.starts_with(kind.id_prefix())).unwrap();
    let key = partition(kind).key(resource);
    let action = if kind == Kind::Volume { Action::Terminate } else { Action::Stop };
    Finding {
        id: FindingId::derive(&key, "waste", "rule"),
        key,
        name: resource.into(),
        tags: Tags::default(),
        policy: "waste".into(),
        policy_hash: "hash".into(),
        policy_version: None,
        rule: "rule".into(),
        check: "idle-instance".into(),
        severity: Severity::Medium,
        action,
        message: "wasteful".into(),
        evidence: Vec::new(),
        savings: Savings { monthly: Some(Usd::dollars(30)), ..Savings::none() },
        standing: Standing::Proven,
        act_not_before: None,
        add_tags: Vec::new(),
        to_type: None,
        owner: Some("ann@example.com".into()),
        detected_at: minute(0),
        seen_at: minute(0),
        state: State::Open,
        phase: Phase::Unnoticed,
        clock: GraceClock::default(),
        excepted_by: None,
        keep_until: None,
        keep_tag: None,
        grace_hours: None,
        approvals: 0,
        missing_since: None,
        closed_at: None,
        reason: "violates its rule".into(),
        unjudged: None,
        suppressed: false,
        remediation: None,
    }
}

fn event(finding: &Finding, minutes: i64, what: &str) -> FindingEvent {
    FindingEvent { finding: finding.id.clone(), at: minute(minutes), what: what.into(), detail: String::new() }
}

fn step(finding: &Finding) -> Step {
    Step {
        finding: finding.id.clone(),
        key: finding.key.clone(),
        name: finding.name.clone(),
        act: finding.act().unwrap(),
        policy: finding.policy.clone(),
        rule: finding.rule.clone(),
        policy_hash: finding.policy_hash.clone(),
        message: finding.message.clone(),
        backup: vec![],
        add_tags: vec![],
        to_type: None,
        monthly: finding.savings.monthly,
        fingerprint: Fingerprint::default(),
    }
}

fn complete(kind: Kind, resources: u64) -> Coverage {
    Coverage { partition: partition(kind), status: Status::Complete, pages: 1, resources, error: None, suspect: None }
}

fn night<'a>(scan: &'a str, coverage: &'a Coverage, taken_at: Instant, findings: &'a [Finding]) -> PartitionNight<'a> {
    PartitionNight {
        scan,
        coverage,
        taken_at,
        blob: Vec::new(),
        findings,
        events: &[],
        sightings: None,
        keep_nights: 35,
    }
}

/// A store in memory with open findings on these resources.
fn with_findings(resources: &[&str]) -> (Store, Vec<Finding>) {
    let store = Store::in_memory().unwrap();
    let findings: Vec<Finding> = resources.iter().map(|resource| finding(resource)).collect();
    store.update_findings(&findings, &[]).unwrap();
    (store, findings)
}

fn acting_lease(store: &Store, holder: &str, now: Instant) -> i64 {
    store.acquire(ACTING_LEASE, holder, chrono::TimeDelta::minutes(5), now).unwrap().unwrap()
}
