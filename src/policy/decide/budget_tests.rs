//! V6, D5 and D6 at the decision point.

use std::collections::BTreeMap;

use super::*;
use crate::domain::budget::Standing;
use crate::policy::decide::preventive::judge;
use crate::policy::decide::preventive::tests::{policies, tags};

const BUDGET: &str = "
metadata: {name: team-budgets}
type: BudgetLimit
rules:
  - name: engineering
    selector: {tags: {cost-center: CC-001234}}
    budget:
      monthly: 50000
      quarterly: 140000
      alertThresholds: [{percent: 80, action: notify}, {percent: 100, action: block-new-resources}]
";

fn wanted(dollars: i64) -> Request {
    let mut request = Request::of_type("compute/instance");
    request.tags = tags(&[("cost-center", "CC-001234")]);
    request.monthly = Fact::Known(Usd::dollars(dollars));
    request
}

fn spending(month: Fact<Usd>, quarter: Fact<Usd>) -> Spending {
    let standing =
        Standing { month, quarter, month_forecast: None, quarter_forecast: None, through: None, estimated: false };
    let budgets = BTreeMap::from([(("team-budgets".to_owned(), "engineering".to_owned()), standing)]);
    Spending::Read { today: "2026-11-22".parse().unwrap(), budgets }
}

fn spent(month: i64, quarter: i64) -> Spending {
    spending(Fact::Known(Usd::dollars(month)), Fact::Known(Usd::dollars(quarter)))
}

fn said(judged: &Judged) -> (Answer, Vec<&str>) {
    (judged.action, judged.violations.iter().map(|violation| violation.message.as_str()).collect())
}

#[test]
fn v6_spend_so_far_plus_the_request_is_held_against_the_limit() {
    let ask = |request: Request, spending: Spending| judge(&policies(BUDGET), &[request], &spending);
    assert_eq!(ask(wanted(1_000), spent(49_000, 90_000)).action, Answer::Allow, "exactly the limit passes");
    let over = ask(wanted(1_001), spent(49_000, 90_000));
    assert_eq!(
        said(&over),
        (
            Answer::Deny,
            vec![
                "$49,000 of $50,000 a month are spent and this adds $1,001; above 100 % ($50,000) new resources are blocked"
            ]
        )
    );
    let reached = ask(wanted(1), spent(50_000, 90_000));
    assert_eq!(said(&reached).1, ["$50,000 of $50,000 a month are spent; from 100 % on new resources are blocked"]);
}

#[test]
fn d6_the_quarter_has_its_own_limit_and_counts_the_months_that_are_left() {
    let judged = judge(&policies(BUDGET), &[wanted(1_001)], &spent(10_000, 138_000));
    assert_eq!(
        said(&judged).1,
        ["$138,000 of $140,000 a quarter are spent and this adds $2,002 over the 2 months that are left; above 100 % \
             ($140,000) new resources are blocked"]
    );
}

#[test]
fn v6_requests_of_one_plan_count_together_and_only_those_under_the_selector() {
    let mut other = wanted(40_000);
    other.tags = tags(&[("cost-center", "CC-000001")]);
    let two = [wanted(600), wanted(600), other];
    assert_eq!(judge(&policies(BUDGET), &two, &spent(49_000, 60_000)).action, Answer::Deny);
    assert_eq!(judge(&policies(BUDGET), &two[1..], &spent(49_000, 60_000)).action, Answer::Allow);
    // A change that costs nothing more passes even when all is spent.
    let mut smaller = wanted(500);
    smaller.monthly_before = Fact::Known(Usd::dollars(900));
    assert_eq!(judge(&policies(BUDGET), &[smaller], &spent(60_000, 60_000)).action, Answer::Allow);
}

#[test]
fn v6_what_is_not_known_denies_and_without_any_source_of_spend_only_the_request_counts_and_that_is_said() {
    let unread = spending(Fact::unknown("no day is on file"), Fact::unknown("no day is on file"));
    let judged = judge(&policies(BUDGET), &[wanted(1)], &unread);
    assert_eq!(judged.action, Answer::Deny);
    assert!(judged.violations.iter().all(|violation| violation.unknown) && judged.violations.len() == 2);

    let mut unpriced = wanted(1);
    unpriced.monthly = Fact::unknown("x9.huge is not in the price book");
    let judged = judge(&policies(BUDGET), &[unpriced], &spent(1, 1));
    assert_eq!(judged.action, Answer::Deny);
    assert!(said(&judged).1[0].contains("compute/instance (x9.huge is not in the price book)"), "{:?}", said(&judged));

    let none = Spending::NoSource("there is no state".into());
    let judged = judge(&policies(BUDGET), &[wanted(50_000)], &none);
    assert_eq!(judged.action, Answer::Allow);
    assert_eq!(
        judged.warnings[0],
        "budget team-budgets / engineering: what is spent so far is not known, because there is no state; only the cost \
         of this request was held against it"
    );
    assert_eq!(judge(&policies(BUDGET), &[wanted(50_001)], &none).action, Answer::Deny);
}

#[test]
fn v6_a_notify_step_and_a_forecast_over_the_limit_are_warnings() {
    let judged = judge(&policies(BUDGET), &[wanted(2_000)], &spent(39_000, 60_000));
    assert_eq!(judged.action, Answer::Allow);
    assert_eq!(
        judged.warnings,
        [
            "budget team-budgets / engineering: this carries the month past 80 % of $50,000: $39,000 are spent, $2,000 come on top"
        ]
    );
    let monitored = policies(&BUDGET.replace("type: BudgetLimit", "type: BudgetLimit\nmode: monitor"));
    assert_eq!(judge(&monitored, &[wanted(1)], &spent(50_000, 1)).action, Answer::Warn);
}
