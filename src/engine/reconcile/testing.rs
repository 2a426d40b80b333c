//! Findings for the engine's own tests.

use crate::domain::check::{Savings, Standing};
use crate::domain::finding::*;
use crate::domain::place::Kind;
use crate::domain::resource::Tags;

/// An open, proven finding on `i-…` or `vol-…`, detected on 2026-11-01.
pub fn finding(id: &str, severity: Severity, action: Action) -> Finding {
    let kind = Kind::ALL.into_iter().find(|kind| id.starts_with(kind.id_prefix())).unwrap();
    let key = crate::checks::testing::place().partition(kind).key(id);
    let detected = "2026-11-01T02:00:00Z".parse().unwrap();
    let mut finding = Finding {
        id: FindingId::derive(&key, "policy", "rule"),
        key,
        name: id.into(),
        tags: Tags::default(),
        policy: "policy".into(),
        policy_hash: "hash".into(),
        policy_version: None,
        rule: "rule".into(),
        check: "idle-instance".into(),
        severity,
        action,
        message: "wasteful".into(),
        evidence: Vec::new(),
        savings: Savings::none(),
        standing: Standing::Proven,
        act_not_before: None,
        add_tags: Vec::new(),
        to_type: None,
        owner: Some("ann@example.com".into()),
        detected_at: detected,
        seen_at: detected,
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
        reason: String::new(),
        unjudged: None,
        suppressed: false,
        remediation: None,
    };
    finding.clock.needs_second = crate::engine::grace::needs_second(&finding);
    finding
}
