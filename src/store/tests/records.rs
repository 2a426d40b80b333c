//! Findings by filter and prefix, plans, slots, arming, freeze, spend, budget alerts, requests.

use chrono::NaiveDate;

use super::*;
use crate::domain::budget::{BudgetAction, BudgetAlert, CostGroup, CostRow, Period};
use crate::domain::mode::{Arming, Freeze};
use crate::domain::place::AccountId;
use crate::domain::plan::{Held, HoldCode, Plan};
use crate::domain::scan::RequestCount;

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
}

fn account() -> AccountId {
    partition(Kind::Volume).place.account
}

#[test]
fn findings_are_filtered_and_the_worst_and_dearest_come_first() {
    let store = Store::in_memory().unwrap();
    let with = |resource: &str, severity: Severity, dollars: Option<i64>, state: State| Finding {
        severity,
        state,
        savings: Savings { monthly: dollars.map(Usd::dollars), ..Savings::none() },
        ..finding(resource)
    };
    let cheap = with("i-1", Severity::Medium, Some(5), State::Open);
    let dear = with("i-2", Severity::Medium, Some(50), State::Excepted);
    let unpriced = Finding { owner: None, ..with("i-3", Severity::Medium, None, State::Open) };
    let high = Finding { policy: "limits".into(), ..with("vol-1", Severity::High, Some(1), State::Open) };
    let closed = Finding { owner: Some("bob@example.com".into()), ..with("i-4", Severity::Low, None, State::Resolved) };
    let all = [&cheap, &dear, &unpriced, &high, &closed].map(Clone::clone);
    store.update_findings(&all, &[]).unwrap();

    let names = |filter: FindingFilter| -> Vec<String> {
        store.findings(&filter).unwrap().into_iter().map(|finding| finding.name).collect()
    };
    let none = FindingFilter::default;
    assert_eq!(names(none()), ["vol-1", "i-2", "i-1", "i-3", "i-4"]);
    assert_eq!(names(FindingFilter { limit: Some(2), ..none() }), ["vol-1", "i-2"]);
    assert_eq!(names(FindingFilter { states: vec![State::Open], ..none() }), ["vol-1", "i-1", "i-3"]);
    let two = FindingFilter { severities: vec![Severity::High, Severity::Low], ..none() };
    assert_eq!(names(two), ["vol-1", "i-4"]);
    assert_eq!(names(FindingFilter { policy: Some("limits".into()), ..none() }), ["vol-1"]);
    assert_eq!(names(FindingFilter { owner: Some("bob@example.com".into()), ..none() }), ["i-4"]);
    assert_eq!(names(FindingFilter { account: Some(AccountId::new("999999999999").unwrap()), ..none() }), [""; 0]);
    let hostile = FindingFilter { policy: Some("' OR 1=1 --".into()), ..none() };
    assert_eq!(names(hostile), [""; 0]);
    assert_eq!(store.findings_open().unwrap().len(), 4);
}

#[test]
fn a_phase_can_be_asked_for_as_it_is_at_an_instant() {
    let (store, mut findings) = with_findings(&["i-1", "i-2"]);
    findings[0].clock = GraceClock { first_notice: Some(minute(0)), due_at: Some(minute(60)), ..Default::default() };
    findings[0].phase = Phase::InGrace;
    store.update_findings(&findings, &[]).unwrap();
    let due = FindingFilter { phases: vec![Phase::Due], ..FindingFilter::default() };
    assert_eq!(store.findings(&due).unwrap(), [], "as of its last write it was in grace");
    assert_eq!(store.findings_at(&due, minute(59)).unwrap(), []);
    let found = store.findings_at(&due, minute(60)).unwrap();
    assert_eq!((found.len(), &found[0].id, found[0].phase), (1, &findings[0].id, Phase::Due));
    let first = FindingFilter { limit: Some(1), ..FindingFilter::default() };
    assert_eq!(store.findings_at(&first, minute(60)).unwrap().len(), 1);
}

#[test]
fn a_finding_is_found_by_the_beginning_of_its_id() {
    let store = Store::in_memory().unwrap();
    let ids = ["f-00000000000000aa", "f-00000000000000ab", "f-ff000000000000aa"];
    let findings: Vec<Finding> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| Finding { id: FindingId((*id).into()), ..finding(&format!("i-{number}")) })
        .collect();
    store.update_findings(&findings, &[]).unwrap();
    let found = |text: &str| -> Vec<String> {
        store.finding_by_prefix(text).unwrap().into_iter().map(|finding| finding.id.0).collect()
    };
    assert_eq!(found("f-00"), ids[..2]);
    assert_eq!(found("FF"), ids[2..]);
    assert_eq!(found(ids[1]), ids[1..2]);
    for text in ["", "f-", "%", "f-0_", "0000000000000000000"] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}

#[test]
fn a_persons_change_is_made_on_the_finding_as_it_is_now() {
    let (store, findings) = with_findings(&["i-1"]);
    let id = &findings[0].id;
    let fence = acting_lease(&store, "one", minute(0));
    store.claim(&step(&findings[0]), "p", fence, minute(1)).unwrap();
    let change = |finding: &mut Finding| {
        finding.suppressed = true;
        vec![event(finding, 2, "suppressed")]
    };
    let changed = store.modify_finding(id, change).unwrap();
    assert_eq!((changed.suppressed, changed.remediation), (true, Some(OpenRemediation::Acting)));
    assert_eq!(store.finding(id).unwrap(), Some(changed));
    assert!(store.modify_finding(&FindingId("f-none".into()), |_| vec![]).is_err());
}

#[test]
fn a_document_that_somebody_edited_is_told_and_not_guessed() {
    let (store, findings) = with_findings(&["i-1"]);
    store.lock().execute("UPDATE finding SET doc = '{\"id\": 1}'", []).unwrap();
    let error = store.finding(&findings[0].id).unwrap_err();
    assert!(error.is_doubt() && error.to_string().contains("the stored finding cannot be read"), "{error}");
    assert!(store.findings_open().is_err(), "a list is not shortened in silence");
}

#[test]
fn h16_a_document_about_another_resource_than_its_row_is_told_and_not_followed() {
    let edited = |table: &str, from: &str, to: &str| {
        let (store, findings) = with_findings(&["i-1"]);
        let fence = acting_lease(&store, "one", minute(0));
        let act = store.claim(&step(&findings[0]), "p", fence, minute(1)).unwrap();
        let sql = format!("UPDATE {table} SET doc = replace(doc, '{from}', '{to}') WHERE instr(doc, '{from}')");
        assert_eq!(store.lock().execute(&sql, []).unwrap(), 1, "{from}");
        [store.findings_open().map(drop), store.open_remediations().map(drop), store.remediation(act.id).map(drop)]
    };
    for (from, to) in [("\"i-1\"", "\"i-2\""), ("\"open\"", "\"excepted\""), ("eu-central-1", "us-east-1")] {
        let [finding, open, one] = edited("finding", from, to);
        assert!(finding.unwrap_err().is_doubt() && open.is_ok() && one.is_ok(), "{from}");
    }
    for (from, to) in [
        ("\"i-1\"", "\"i-2\""),
        ("\"Claimed\"", "\"Answered\""),
        ("\"Claimed\"", "\"Done\""),
        ("stop_instance", "add_tags"),
    ] {
        let [finding, open, one] = edited("remediation", from, to);
        assert!(finding.is_ok() && open.unwrap_err().is_doubt() && one.unwrap_err().is_doubt(), "{from}");
    }
}

#[test]
fn a_plan_comes_back_with_what_it_held() {
    let store = Store::in_memory().unwrap();
    let volume = finding("vol-1");
    let plan = Plan {
        schema_version: 1,
        id: "p-1".into(),
        created_at: minute(0),
        expires_at: minute(1440),
        state_id: store.state_id().unwrap(),
        policies: Default::default(),
        steps: vec![step(&volume)],
        held: [("pace".to_owned(), 1), ("window".to_owned(), 1)].into(),
    };
    let held = |resource: &str, code: HoldCode| {
        let finding = finding(resource);
        Held {
            finding: finding.id.clone(),
            key: finding.key.clone(),
            name: finding.name.clone(),
            act: finding.act(),
            code,
            reason: "over today's pace".into(),
            due_at: None,
            monthly: None,
        }
    };
    let rows = [held("i-2", HoldCode::Window), held("i-1", HoldCode::Pace)];
    store.save_plan(&plan, &rows).unwrap();
    store.save_plan(&plan, &rows).unwrap();
    assert_eq!(store.plan("p-1").unwrap(), Some(plan));
    assert_eq!(store.held("p-1", None).unwrap(), rows);
    assert_eq!(store.held("p-1", Some("pace")).unwrap(), rows[1..]);
    assert_eq!((store.plan("p-2").unwrap(), store.held("p-2", None).unwrap()), (None, vec![]));
}

#[test]
fn a_slot_runs_once_whoever_wakes_up_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Store::open_in(folder.path()).unwrap(), Store::open_in(folder.path()).unwrap());
    assert!(one.start_slot("scan", minute(0), minute(1)).unwrap());
    assert!(!two.start_slot("scan", minute(0), minute(1)).unwrap());
    assert!(!two.mark_missed("scan", minute(0), "late", minute(9)).unwrap(), "it ran");
    assert!(two.start_slot("act", minute(0), minute(1)).unwrap(), "another job");
    one.finish_slot("scan", minute(0), true, "3 findings", minute(4)).unwrap();
    assert!(one.finish_slot("scan", minute(0), false, "again", minute(5)).is_err(), "it ended");
    assert!(!one.start_slot("scan", minute(0), minute(6)).unwrap(), "an ended slot does not start again");
    assert!(one.mark_missed("scan", minute(1440), "the worker was not running", minute(3000)).unwrap());
    assert!(!one.start_slot("scan", minute(1440), minute(3001)).unwrap());
    let last = two.last_slot("scan").unwrap().unwrap();
    assert_eq!((last.state, last.started_at), (SlotState::Missed, None));
    assert_eq!(last.message, "the worker was not running");

    assert_eq!(one.fail_running_slots("the worker stopped", minute(3000)).unwrap(), 1);
    let slots: Vec<(String, SlotState, String)> = one
        .slots_between(minute(0), minute(1440))
        .unwrap()
        .into_iter()
        .map(|slot| (slot.job, slot.state, slot.message))
        .collect();
    let row = |job: &str, state: SlotState, message: &str| (job.to_owned(), state, message.to_owned());
    let failed = row("act", SlotState::Failed, "the worker stopped");
    assert_eq!(slots, [failed, row("scan", SlotState::Done, "3 findings")]);
    assert_eq!(one.last_slot("weekly").unwrap(), None);
}

#[test]
fn an_account_is_armed_until_a_date_or_until_disarmed() {
    let store = Store::in_memory().unwrap();
    let arming = Arming {
        account: account(),
        by: "eve".into(),
        at: minute(0),
        until: minute(1000),
        policies: vec![("waste".into(), "hash".into())],
    };
    store.arm(&Arming { until: minute(10), ..arming.clone() }).unwrap();
    store.arm(&arming).unwrap();
    assert_eq!(store.armings().unwrap(), [arming]);
    assert_eq!(store.arming(&AccountId::new("999999999999").unwrap()).unwrap(), None);
    assert!(store.disarm(&account(), minute(5)).unwrap());
    assert!(store.arming(&account()).unwrap().unwrap().until < minute(5));
    assert!(!store.disarm(&account(), minute(6)).unwrap(), "nothing was in force");
}

#[test]
fn everything_is_frozen_until_it_is_lifted_and_every_reason_is_kept() {
    let store = Store::in_memory().unwrap();
    assert_eq!(store.frozen().unwrap(), None);
    assert!(!store.unfreeze("eve", minute(0)).unwrap());
    let freeze =
        |by: &str, minutes: i64| Freeze { at: minute(minutes), by: by.into(), reason: format!("{by} says so") };
    store.freeze(&freeze("gate", 1)).unwrap();
    store.freeze(&freeze("eve", 2)).unwrap();
    assert_eq!(store.frozen().unwrap(), Some(freeze("gate", 1)), "the first cause");
    assert_eq!(store.freezes().unwrap().len(), 2);
    assert!(store.unfreeze("eve", minute(3)).unwrap());
    assert_eq!(store.frozen().unwrap(), None);
    store.freeze(&freeze("clock", 4)).unwrap();
    assert_eq!(store.frozen().unwrap(), Some(freeze("clock", 4)));
}

#[test]
fn an_answer_replaces_the_spend_of_its_days_and_grouping_alone() {
    let store = Store::in_memory().unwrap();
    let row = |number: u32, group: CostGroup, dollars: i64| CostRow {
        account: account(),
        day: day(number),
        group,
        amount: Usd::dollars(dollars),
        estimated: number == 3,
    };
    let service = |name: &str| CostGroup::Service(name.into());
    let tag = |value: &str| CostGroup::Tag { key: "team".into(), value: value.into() };
    let own = account();
    let first = [row(1, service("EC2"), 10), row(2, service("EC2"), 11), row(3, service("RDS"), 12)];
    store.save_costs(&own, "service", day(1), day(3), &first, minute(0)).unwrap();
    let tagged = [row(2, tag(""), 4), row(2, tag("a"), 7)];
    store.save_costs(&own, "tag:team", day(2), day(2), &tagged, minute(1)).unwrap();
    assert_eq!(store.costs(day(1), day(3), "service").unwrap(), first);
    assert_eq!(store.costs(day(2), day(2), "service").unwrap(), first[1..2]);
    assert_eq!(store.costs(day(1), day(3), "tag:team").unwrap(), tagged);
    assert_eq!(store.costs(day(1), day(3), "tag:other").unwrap(), []);

    let revised = [row(3, service("RDS"), 20)];
    store.save_costs(&own, "service", day(2), day(3), &revised, minute(9)).unwrap();
    assert_eq!(store.costs(day(1), day(3), "service").unwrap(), [first[0].clone(), revised[0].clone()]);
    assert_eq!(store.costs(day(1), day(3), "tag:team").unwrap(), tagged);
    let read = store.cost_read(&own, "service").unwrap().unwrap();
    assert_eq!(read, CostRead { read_at: minute(9), from: day(2), to: day(3) });
    assert_eq!(store.cost_read_at(&own, "tag:team").unwrap(), Some(minute(1)));
    assert_eq!(store.cost_read_at(&own, "tag:none").unwrap(), None);

    let outside = store.save_costs(&own, "service", day(2), day(2), &revised, minute(10));
    assert!(outside.unwrap_err().to_string().contains("is not part of that answer"));
    assert_eq!(store.costs(day(3), day(3), "service").unwrap(), revised, "the failed write left everything");
    assert!(store.costs(day(1), day(3), "team").unwrap_err().to_string().contains("accepted: service, tag:KEY"));
}

#[test]
fn d6_a_threshold_is_told_once_per_period_with_its_messages() {
    let store = Store::in_memory().unwrap();
    let alert = BudgetAlert {
        policy: "team-budgets".into(),
        rule: "a".into(),
        period: Period::Month(day(1)),
        percent: 80,
        limit: Usd::dollars(100),
        spent: Usd::dollars(81),
        estimated: true,
        action: BudgetAction::Notify,
        channels: vec!["email:ann@example.com".into()],
    };
    let mail = |dedup: &str| Outgoing { dedup: dedup.into(), kind: "budget".into(), ..Outgoing::default() };
    assert!(store.budget_alert_with(&alert, &[mail("80 %")], minute(0)).unwrap());
    let more = BudgetAlert { spent: Usd::dollars(95), ..alert.clone() };
    assert!(!store.budget_alert_with(&more, &[mail("80 % again")], minute(1)).unwrap());
    assert!(!store.budget_alert_once(&more, minute(2)).unwrap());
    assert_eq!(store.outbox_counts().unwrap().pending, 1, "what is not new is not told");
    let next = [
        BudgetAlert { percent: 100, ..more.clone() },
        BudgetAlert { period: Period::Quarter(day(1)), ..more.clone() },
        BudgetAlert { period: Period::Month(NaiveDate::from_ymd_opt(2026, 12, 1).unwrap()), ..more.clone() },
        BudgetAlert { rule: "b".into(), ..more.clone() },
    ];
    for alert in &next {
        assert!(store.budget_alert_once(alert, minute(3)).unwrap(), "{alert:?}");
    }
    assert_eq!(store.budget_alerts_between(minute(0), minute(3)).unwrap(), [(minute(0), alert)]);
    assert_eq!(store.budget_alerts_between(minute(3), minute(4)).unwrap().len(), next.len());
}

#[test]
fn requests_are_summed_and_an_unknown_price_stays_unknown() {
    let store = Store::in_memory().unwrap();
    let count = |service: &str, operation: &str, count: u64, retries: u64, usd: Option<i64>| RequestCount {
        service: service.into(),
        operation: operation.into(),
        count,
        retries,
        usd: usd.map(Usd),
    };
    let cents = 10_000;
    let first = [count("ce", "GetCostAndUsage", 2, 1, Some(2 * cents)), count("ec2", "DescribeVolumes", 5, 0, Some(0))];
    store.add_requests(day(1), &first).unwrap();
    store.add_requests(day(1), &[count("ce", "GetCostAndUsage", 1, 0, Some(cents))]).unwrap();
    store.add_requests(day(2), &[count("ec2", "DescribeVolumes", 1, 0, None)]).unwrap();
    let costs = count("ce", "GetCostAndUsage", 3, 1, Some(3 * cents));
    assert_eq!(store.requests_between(day(1), day(1)).unwrap(), [costs.clone(), first[1].clone()]);
    let volumes = count("ec2", "DescribeVolumes", 6, 0, None);
    assert_eq!(store.requests_between(day(1), day(2)).unwrap(), [costs, volumes]);
    assert_eq!((store.requests_on(day(1), "ce").unwrap(), store.requests_on(day(2), "ce").unwrap()), (4, 0));
    store.add_requests(day(2), &[count("ec2", "DescribeVolumes", 1, 0, Some(0))]).unwrap();
    assert_eq!(store.requests_between(day(2), day(2)).unwrap(), [count("ec2", "DescribeVolumes", 2, 0, None)]);
}
