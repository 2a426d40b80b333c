//! The numbers of a report, from findings planted for them.

use super::*;
use crate::domain::finding::Action;
use crate::domain::plan::Step;
use crate::engine::reconcile::CountsAs;
use crate::engine::reconcile::testing::finding;

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn open(id: &str, severity: Severity, dollars: Option<&str>) -> Finding {
    let action = if id.starts_with("vol-") { Action::Terminate } else { Action::Stop };
    let mut finding = finding(id, severity, action);
    finding.savings.monthly = dollars.map(|text| Usd::parse(text).unwrap());
    finding
}

fn input(findings: &[Finding]) -> ReportInput<'_> {
    ReportInput {
        kind: ReportKind::Weekly,
        now: at("2026-11-09T09:00:00Z"),
        from: at("2026-11-02T00:00:00Z"),
        to: at("2026-11-09T00:00:00Z"),
        zone: chrono_tz::UTC,
        scope: "all".into(),
        findings,
        scan: None,
        history: Vec::new(),
        held: &[],
        due_now: &[],
        undoable: Vec::new(),
        remediations: &[],
        exceptions: &[],
        budgets: Vec::new(),
        spend: None,
        self_cost: SelfCost::default(),
        frozen: None,
        notes: Vec::new(),
    }
}

#[test]
fn c9_unknown_prices_are_counted_beside_the_sum_and_never_in_it() {
    let findings = [open("i-1", Severity::Medium, Some("10.5")), open("i-2", Severity::Medium, None)];
    let report = report(input(&findings));
    assert_eq!(report.open_savings, Amounts { count: 2, monthly: Usd::parse("10.5").unwrap(), unpriced: 1 });
    assert_eq!(
        report.headline,
        "2 open findings could save $10.50 a month (1 without a known price); nothing falls due; there is no complete \
         inventory to score."
    );
}

#[test]
fn c9_a_resource_with_two_findings_is_promised_once() {
    let idle = open("i-1", Severity::Medium, Some("100"));
    let mut large = open("i-1", Severity::High, Some("60"));
    large.id.0 = "f-large".into();
    large.policy = "resource-limits".into();
    large.check = "oversized-instance".into();
    let findings = [large, idle];
    let report = report(input(&findings));
    assert_eq!(report.open_savings.monthly, Usd::dollars(100), "idle outranks oversize");
    assert_eq!(report.by_severity[1].open, Amounts { count: 1, monthly: Usd::ZERO, unpriced: 0 });
    let top = &report.top_violators[0];
    assert_eq!((top.violation_count, top.total_cost_impact), (2, Some(Usd::dollars(100))));
    assert_eq!(top.policies, ["policy", "resource-limits"]);
}

#[test]
fn c1_a_finding_older_than_the_period_still_counts_while_it_is_open() {
    let mut old = open("i-1", Severity::Medium, Some("10"));
    old.detected_at = at("2020-01-01T00:00:00Z");
    let mut closed = open("i-2", Severity::Medium, Some("10"));
    closed.state = State::Resolved;
    closed.closed_at = Some(at("2026-11-05T00:00:00Z"));
    let findings = [old, closed];
    let report = report(input(&findings));
    assert_eq!(report.open_savings.count, 1);
    assert_eq!(report.by_severity[2].closed, 1);
}

#[test]
fn c10_ties_are_broken_by_dollars_and_then_by_id() {
    let findings = [
        open("i-3", Severity::Medium, Some("5")),
        open("i-2", Severity::Medium, Some("5")),
        open("i-1", Severity::Medium, Some("9")),
    ];
    let ids: Vec<String> = report(input(&findings)).top_violators.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["i-1", "i-2", "i-3"]);
}

#[test]
fn c11_the_worst_policies_and_large_savings_become_recommendations() {
    let mut summary = ScanSummary::default();
    let resource = crate::checks::testing::instance("i-1", "m5.large", 1);
    for bad in [true, true, false] {
        let counts = if bad { CountsAs::Violating } else { CountsAs::Compliant };
        summary.resource(&resource, "team", [("bad", "c", counts), ("good", "c", CountsAs::Compliant)]);
    }
    let scan = Scan {
        id: "s-1".into(),
        started_at: at("2026-11-08T02:00:00Z"),
        finished_at: Some(at("2026-11-08T02:05:00Z")),
        coverage: Vec::new(),
        requests: Vec::new(),
        resources: Default::default(),
        unknown: Default::default(),
    };
    let findings = [open("i-1", Severity::Medium, Some("1000.01"))];
    let report = report(ReportInput { scan: Some((&scan, &summary)), ..input(&findings) });
    let texts: Vec<&str> = report.recommendations.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "Policy bad holds on 33.3 % of its 3 resources: start with its 0 open findings",
            "Open findings could save $1,000 a month"
        ]
    );
    let rates: Vec<(&str, Option<f64>)> =
        report.by_policy.iter().map(|row| (row.policy.as_str(), row.rate.map(f64::floor))).collect();
    assert_eq!(rates, [("bad", Some(33.0)), ("good", Some(100.0))], "C6: worst first, the quiet one listed");
}

#[test]
fn realised_savings_run_since_each_act_and_stop_when_it_is_reversed() {
    let mut stopped = open("i-1", Severity::Medium, Some("73"));
    stopped.state = State::Remediated;
    let mut reversed = open("i-2", Severity::Medium, Some("73"));
    reversed.suppressed = true;
    let done = |id: i64, finding: &Finding| Remediation {
        id,
        step: Step {
            finding: finding.id.clone(),
            key: finding.key.clone(),
            name: finding.name.clone(),
            act: finding.act().unwrap(),
            policy: finding.policy.clone(),
            rule: finding.rule.clone(),
            policy_hash: "hash".into(),
            message: finding.message.clone(),
            backup: Vec::new(),
            add_tags: Vec::new(),
            to_type: None,
            monthly: finding.savings.monthly,
            fingerprint: Default::default(),
        },
        plan: "p-1".into(),
        state: JournalState::Done,
        fence: 1,
        claimed_at: at("2026-11-04T10:00:00Z"),
        updated_at: at("2026-11-04T23:00:00Z"),
        next_look_at: None,
        rechecked_at: None,
        snapshots: Vec::new(),
        image: None,
        parts: Vec::new(),
        call_hash: None,
        request_id: None,
        looks: 0,
        first_look_at: None,
        last_look: None,
        message: "stopped".into(),
        recipe: None,
    };
    let rows = [done(1, &stopped), done(2, &reversed)];
    let findings = [stopped, reversed];
    let report = report(ReportInput { remediations: &rows, ..input(&findings) });
    // 4 days and 10 hours are 106 hours of 730.
    let expected = Realised { acts: 1, monthly: Usd::dollars(73), to_date: Usd::parse("10.6").unwrap(), unpriced: 0 };
    assert_eq!(report.realised, expected);
    assert_eq!(report.acts.len(), 2, "both are told");
}
