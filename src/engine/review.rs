//! Counts the periodic review of policies (T7): age, last review, hits, exceptions, savings, and what is stale.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use super::summarize::winners;
use crate::domain::Instant;
use crate::domain::exception::Exception;
use crate::domain::finding::{Finding, State};
use crate::domain::lifecycle::{PolicyRecord, Stage};
use crate::domain::policy_review::{PolicyReview, ReviewedPolicy};
use crate::domain::report::Amounts;
use crate::policy::{EnforcementMode, Policy};

/// A quarter: what is not looked at for longer is stale.
pub const QUARTER: TimeDelta = TimeDelta::days(90);
/// A draft or a review that does not move for longer is stale.
const STUCK: TimeDelta = TimeDelta::days(30);

/// What is counted.
#[derive(Clone, Copy)]
pub struct ReviewInput<'a> {
    /// The period's end.
    pub now: Instant,
    /// The policies in force, from files or from the store.
    pub policies: &'a [Policy],
    /// The policies of the store.
    pub records: &'a [PolicyRecord],
    /// When somebody last confirmed a policy of the store in a review, by id.
    pub confirmed: &'a HashMap<String, Instant>,
    /// All findings, closed ones included.
    pub findings: &'a [Finding],
    /// Exceptions of the settings.
    pub exceptions: &'a [Exception],
}

/// The review of the quarter that ends now.
pub fn review(input: ReviewInput<'_>) -> PolicyReview {
    let from = input.now - QUARTER;
    let alive: Vec<&PolicyRecord> = input.records.iter().filter(|record| record.stage != Stage::Archived).collect();
    let mut policies: Vec<ReviewedPolicy> = alive.iter().map(|record| of_record(&input, record, from)).collect();
    let known: BTreeSet<&str> = alive.iter().map(|record| record.name.as_str()).collect();
    let files =
        input.policies.iter().filter(|policy| policy.version.is_none() && !known.contains(policy.name.as_str()));
    policies.extend(files.map(|policy| row(&input, &policy.name, Some(policy), from)));
    policies.sort_by(|left, right| {
        right
            .stale
            .len()
            .cmp(&left.stale.len())
            .then_with(|| right.open.monthly.cmp(&left.open.monthly))
            .then_with(|| (&left.name, &left.id).cmp(&(&right.name, &right.id)))
    });
    let mut open = Amounts::default();
    let counted: Vec<&Finding> = input.findings.iter().filter(|finding| finding.counts()).collect();
    let winners = winners(&counted);
    let once = counted.iter().filter(|finding| winners.contains(&finding.id));
    once.for_each(|finding| open.add(finding.savings.monthly));
    PolicyReview { from, at: input.now, policies, open }
}

fn of_record(input: &ReviewInput<'_>, record: &PolicyRecord, from: Instant) -> ReviewedPolicy {
    let now = input.now;
    let force = record.in_force(now);
    let policy = input.policies.iter().find(|policy| policy.name == record.name);
    let mut row = row(input, &record.name, policy.filter(|_| force.is_some()), from);
    let stage = record.stage_at(now);
    row.id = Some(record.id.clone());
    row.version = Some(force.map_or(record.version, |force| force.version).to_string());
    row.standing = match policy.filter(|_| force.is_some()) {
        Some(policy) => format!("{stage}, {}", policy.mode.word()),
        None => stage.to_string(),
    };
    row.age_days = Some((now - record.created_at).num_days());
    row.last_review = record.approved_at.max(input.confirmed.get(&record.id).copied());
    let mut stale = Vec::new();
    match row.last_review {
        Some(at) if now - at > QUARTER => stale.push(format!("not reviewed for {} days", (now - at).num_days())),
        None if now - record.created_at > QUARTER => stale.push("never reviewed".to_owned()),
        _ => {}
    }
    if matches!(stage, Stage::Draft | Stage::Review | Stage::Approved) && now - record.updated_at > STUCK {
        stale.push(format!("{stage} without a change for {} days", (now - record.updated_at).num_days()));
    }
    if stage == Stage::Deprecated && force.is_none() {
        stale.push("past its last day and not archived".to_owned());
    }
    let long = force.is_some_and(|force| now - force.from > QUARTER);
    if long && policy.is_some_and(|policy| policy.mode == EnforcementMode::Monitor) {
        stale.push("only monitors for more than a quarter".to_owned());
    }
    if long && row.hits == 0 && row.open.count == 0 {
        stale.push("found nothing in the period".to_owned());
    }
    row.stale = stale;
    row
}

/// What findings and exceptions say about a policy.
fn row(input: &ReviewInput<'_>, name: &str, policy: Option<&Policy>, from: Instant) -> ReviewedPolicy {
    let (mut open, mut saved, mut hits) = (Amounts::default(), Amounts::default(), 0);
    for finding in input.findings.iter().filter(|finding| finding.policy == name) {
        hits += u64::from(finding.detected_at >= from && finding.detected_at <= input.now);
        if finding.counts() {
            open.add(finding.savings.monthly);
        }
        if finding.state == State::Remediated {
            saved.add(finding.savings.monthly);
        }
    }
    let exceptions = input.exceptions.iter().filter(|one| one.policy == name && one.until >= input.now).count() as u64;
    let mut stale = Vec::new();
    if hits == 0 && open.count == 0 {
        stale.push("found nothing in the period".to_owned());
    }
    let mode = policy.map_or("not in force", |policy| policy.mode.word());
    ReviewedPolicy {
        name: name.to_owned(),
        id: None,
        version: None,
        standing: format!("file, {mode}"),
        age_days: None,
        last_review: None,
        hits,
        open,
        exceptions,
        saved,
        stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::{Action, Severity};
    use crate::engine::reconcile::testing::finding;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn record(name: &str, stage: Stage, approved: Option<&str>) -> PolicyRecord {
        let mut record: PolicyRecord = serde_json::from_value(serde_json::json!({
            "id": format!("policy-{name}-20260101"), "name": name, "stage": "draft", "created_by": "ann@example.com",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z", "seq": 1, "version": "0.1.0",
            "hash": "h", "authors": [], "reviewers": [], "approved_at": null, "current": null, "next": null,
            "brake": null, "deprecation": null
        }))
        .unwrap();
        record.stage = stage;
        record.approved_at = approved.map(at);
        if stage == Stage::Active {
            let from = at("2026-01-03T00:00:00Z");
            record.current = Some(crate::domain::lifecycle::Force { seq: 1, version: record.version, from });
        }
        record
    }

    #[test]
    fn t7_a_review_tells_age_last_review_hits_exceptions_savings_and_what_is_stale() {
        let now = at("2026-11-22T12:00:00Z");
        let mut open = finding("i-1", Severity::Medium, Action::Stop);
        open.policy = "busy".into();
        open.detected_at = now - TimeDelta::days(10);
        let mut old = finding("i-2", Severity::Medium, Action::Stop);
        (old.policy, old.state, old.detected_at) = ("busy".into(), State::Remediated, now - TimeDelta::days(200));
        let monthly = open.savings.monthly;
        let exception = |policy: &str, days: i64| Exception {
            id: "EXC-1".into(),
            resource: "i-1".into(),
            account: None,
            policy: policy.into(),
            rule: None,
            reason: "r".into(),
            approved_by: "ann".into(),
            until: now + TimeDelta::days(days),
        };
        let records = [
            record("busy", Stage::Active, Some("2026-11-01T00:00:00Z")),
            record("dusty", Stage::Active, Some("2026-01-03T00:00:00Z")),
            record("looked-at", Stage::Active, Some("2026-01-03T00:00:00Z")),
            record("draft", Stage::Draft, None),
            record("gone", Stage::Archived, None),
        ];
        let confirmed = HashMap::from([("policy-looked-at-20260101".to_owned(), now - TimeDelta::days(1))]);
        let found = review(ReviewInput {
            now,
            policies: &[],
            records: &records,
            confirmed: &confirmed,
            findings: &[open, old],
            exceptions: &[exception("busy", 1), exception("busy", -1)],
        });
        let rows: Vec<(&str, Vec<&str>)> = found
            .policies
            .iter()
            .map(|row| (row.name.as_str(), row.stale.iter().map(String::as_str).collect()))
            .collect();
        let expected = [
            ("draft", vec!["never reviewed", "draft without a change for 324 days"]),
            ("dusty", vec!["not reviewed for 323 days", "found nothing in the period"]),
            ("looked-at", vec!["found nothing in the period"]),
            ("busy", vec![]),
        ];
        assert_eq!(rows, expected);
        let busy = &found.policies[3];
        assert_eq!((busy.hits, busy.open.count, busy.exceptions, busy.saved.count), (1, 1, 1, 1));
        assert_eq!((Some(busy.open.monthly), busy.age_days, found.stale()), (monthly, Some(325), 3));
    }
}
