//! Requests counted against budgets (V6): spend so far plus what the requests add, against each limit.
//!
//! A threshold that asks for `block-new-resources` denies once the spend has reached it, or when the requests would
//! carry the spend over it; changes that add nothing always pass. In a quarter a request is counted for the months
//! that are left, this one included. Where nobody reads the spend there is nothing to hold a request to but its own
//! cost, and that is said aloud; where spend is read and this budget's figure or the request's price is missing, the
//! outcome is unknown and the rule denies.

use chrono::{Datelike, NaiveDate};

use super::preventive::{About, Answer, Judged, Violation, effect, within};
use crate::domain::budget::{BudgetAction, BudgetRule, Spending, Threshold};
use crate::domain::fact::Fact;
use crate::domain::money::Usd;
use crate::domain::request::Request;
use crate::domain::text::clean;
use crate::policy::{EnforcementMode, Policy, Rule};

/// The names that Cost Explorer gives to what a resource type is billed under.
const SERVICES: &[(&str, &str)] = &[
    ("compute/instance", "Amazon Elastic Compute Cloud - Compute"),
    ("storage/volume", "EC2 - Other"),
    ("storage/snapshot", "EC2 - Other"),
    ("network/address", "Amazon Virtual Private Cloud"),
    ("network/connection", "AWS Direct Connect"),
    ("database/instance", "Amazon Relational Database Service"),
];

/// Holds all requests together against one budget.
pub(super) fn check(
    judged: &mut Judged,
    policy: &Policy,
    rule: &Rule,
    budget: &BudgetRule,
    requests: &[Request],
    spending: &Spending,
) {
    let mine: Vec<&Request> =
        requests.iter().filter(|request| within(&policy.scope, request) && counts(budget, request)).collect();
    let added = Added::of(&mine);
    if mine.is_empty() || added.nothing() {
        return;
    }
    let mut case = Case { judged, policy, rule, added };
    let (standing, today) = match spending {
        Spending::NoSource(reason) => {
            let text = format!(
                "budget {} / {}: what is spent so far is not known, because {reason}; only the cost of this request was \
                 held against it",
                policy.name, rule.name
            );
            case.judged.warnings.push(text);
            (None, None)
        }
        Spending::Read { today, budgets } => (budgets.get(&(policy.name.clone(), rule.name.clone())), Some(*today)),
    };
    let unread = || Fact::unknown("no spend is on file for this budget");
    for (limit, months, words) in
        [(budget.monthly, 1, "month"), (budget.quarterly, today.map_or(1, months_left_in_quarter), "quarter")]
    {
        let Some(limit) = limit else { continue };
        let spent = match (standing, spending, words) {
            (_, Spending::NoSource(_), _) => Fact::Known(Usd::ZERO),
            (Some(standing), _, "month") => standing.month.clone(),
            (Some(standing), _, _) => standing.quarter.clone(),
            (None, ..) => unread(),
        };
        case.period(limit, &spent, months, words, &budget.thresholds);
        let forecast = standing
            .and_then(|standing| if words == "month" { standing.month_forecast } else { standing.quarter_forecast });
        if let Some(forecast) = forecast.filter(|forecast| *forecast > limit) {
            case.judged.warnings.push(format!(
                "budget {} / {}: at its pace the {words} comes to {forecast} without this request, and the limit is {limit}",
                case.policy.name, case.rule.name
            ));
        }
    }
}

/// What the requests add.
struct Added {
    known: Usd,
    unknown: Vec<String>,
}

impl Added {
    fn of(requests: &[&Request]) -> Added {
        let mut added = Added { known: Usd::ZERO, unknown: Vec::new() };
        for request in requests {
            match request.adds() {
                Fact::Known(usd) => added.known = added.known + usd,
                // Roles, rules and the like: most are free, and none is priced here; the result lists them.
                Fact::Absent => {}
                Fact::Unknown(reason) => added.unknown.push(format!("{} ({reason})", clean(request.shown()))),
            }
        }
        added
    }

    fn nothing(&self) -> bool {
        self.unknown.is_empty() && self.known <= Usd::ZERO
    }
}

struct Case<'a, 'j> {
    judged: &'j mut Judged,
    policy: &'a Policy,
    rule: &'a Rule,
    added: Added,
}

impl Case<'_, '_> {
    fn period(&mut self, limit: Usd, spent: &Fact<Usd>, months: i64, words: &str, steps: &[Threshold]) {
        let adds = self.added.known.scaled(months, 1);
        let over = if months == 1 { String::new() } else { format!(" over the {months} months that are left") };
        // The lowest blocking step is the one that a request meets first.
        let block = steps.iter().filter(|step| step.action == BudgetAction::BlockNewResources).map(|step| step.percent);
        if let Some(percent) = block.min() {
            let step = limit.scaled(i64::from(percent), 100);
            match spent {
                Fact::Known(spent) if *spent >= step => self.violated(
                    format!("{spent} of {limit} a {words} are spent; from {percent} % on new resources are blocked"),
                    false,
                ),
                Fact::Known(spent) if *spent + adds > step => self.violated(
                    format!(
                        "{spent} of {limit} a {words} are spent and this adds {adds}{over}; above {percent} % ({step}) \
                         new resources are blocked"
                    ),
                    false,
                ),
                Fact::Known(_) if !self.added.unknown.is_empty() => self.violated(
                    format!(
                        "above {percent} % of {limit} a {words} new resources are blocked, and the cost is not known of \
                         {}; give it with the request to have it counted",
                        self.added.unknown.join(", ")
                    ),
                    true,
                ),
                Fact::Known(_) => {}
                Fact::Absent => self.violated(format!("the spend of the {words} has no figure"), true),
                Fact::Unknown(reason) => self.violated(
                    format!("from {percent} % of {limit} a {words} on new resources are blocked, and the spend is not known: {reason}"),
                    true,
                ),
            }
        }
        let notify = steps.iter().filter(|step| step.action == BudgetAction::Notify);
        if let Fact::Known(spent) = spent {
            for step in notify {
                let at = limit.scaled(i64::from(step.percent), 100);
                if *spent < at && *spent + adds >= at {
                    let text = format!(
                        "budget {} / {}: this carries the {words} past {} % of {limit}: {spent} are spent, {adds}{over} come on top",
                        self.policy.name, self.rule.name, step.percent
                    );
                    self.judged.warnings.push(text);
                }
            }
        }
    }

    /// A blocking budget denies, as its step says, unless the policy only monitors or its rule says `warn`.
    fn violated(&mut self, message: String, unknown: bool) {
        let monitored = self.policy.mode == EnforcementMode::Monitor || self.rule.mode == EnforcementMode::Monitor;
        let effect =
            if monitored || self.rule.enforcement.is_some() { effect(self.policy, self.rule) } else { Answer::Deny };
        let about = About {
            resource_type: "budget".to_owned(),
            resource_id: None,
            resource: format!("{} / {}", self.policy.name, self.rule.name),
        };
        self.judged.violations.push(Violation::new(self.policy, self.rule, about, message, effect, unknown));
    }
}

/// Whether a request's cost falls under a budget; a tag whose value is not known may.
pub(super) fn counts(budget: &BudgetRule, request: &Request) -> bool {
    if let Some((key, value)) = &budget.tag {
        return request.may_carry(key, value);
    }
    match &budget.service {
        Some(service) => {
            SERVICES.iter().any(|(resource_type, name)| *resource_type == request.resource_type && name == service)
        }
        None => true,
    }
}

/// Months of the quarter that are left, the current one included.
fn months_left_in_quarter(today: NaiveDate) -> i64 {
    3 - i64::from(today.month0() % 3)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
