//! `type: BudgetLimit` (D5, D6).

use super::Front;
use super::common::{Allowed, Defaults, is_mail_address, is_room};
use crate::domain::budget::{BudgetRule, Threshold};
use crate::domain::check::CheckInfo;
use crate::domain::finding::{Action, Severity};
use crate::domain::money::Usd;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker};
use crate::policy::raw::{RawRule, Selector, SpendRule, Step};
use crate::policy::{Logic, Rule};

/// A budget is told; what a threshold asks for stands in its steps.
const ACTIONS: &[Action] = &[Action::Notify, Action::Report];

impl Front for SpendRule {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        _checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let selector = self.selector.clone().unwrap_or_default();
        let tag = selected_tag(checker, &at.key("selector"), &selector);
        let budget_at = at.key("budget");
        if self.budget.monthly.is_none() && self.budget.quarterly.is_none() {
            checker.fail(&budget_at, "the budget has no limit", "monthly, quarterly, or both, in dollars");
        }
        let allowed = Allowed { severity: Severity::Medium, action: Action::Notify, actions: ACTIONS, kinds: &[] };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        Some(Rule {
            name: self.name.clone(),
            title: None,
            types: Vec::new(),
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: None,
            actions: None,
            logic: Logic::Budget(BudgetRule {
                tag,
                service: selector.service,
                // The shape has refused what is not finite or too large.
                monthly: self.budget.monthly.and_then(Usd::from_f64),
                quarterly: self.budget.quarterly.and_then(Usd::from_f64),
                thresholds: thresholds(checker, &budget_at.key("alertThresholds"), &self.budget.alert_thresholds),
            }),
            line: at.spot().line,
        })
    }
}

fn selected_tag(checker: &mut Checker<'_>, at: &At<'_>, selector: &Selector) -> Option<(String, String)> {
    let tags = selector.tags.iter().flatten().count();
    if at.exists()
        && (tags > 1 || (tags == 0 && selector.service.is_none()) || (tags == 1 && selector.service.is_some()))
    {
        let problem = format!("the selector names {tags} tags and {} service", usize::from(selector.service.is_some()));
        checker.fail(
            at,
            problem,
            "one tag or one service, because Cost Explorer groups by one; no selector for all spend",
        );
    }
    selector.tags.iter().flatten().next().map(|(key, value)| (key.clone(), value.clone()))
}

fn thresholds(checker: &mut Checker<'_>, at: &At<'_>, steps: &[Step]) -> Vec<Threshold> {
    let mut list: Vec<Threshold> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let at = at.item(index);
        if list.iter().any(|known| known.percent == step.percent) {
            checker.fail(&at.key("percent"), format!("{} percent stands twice", step.percent), "each percentage once");
        }
        let channels = step.channels.clone().unwrap_or_default();
        for (index, channel) in channels.iter().enumerate() {
            if !is_channel(channel) {
                let problem = format!("{:?} is not a channel", clean(channel));
                checker.fail(
                    &at.key("channels").item(index),
                    problem,
                    "slack:#room, teams:name or email:name@example.com",
                );
            }
        }
        list.push(Threshold { percent: step.percent, action: step.action, channels });
    }
    list.sort_by_key(|threshold| threshold.percent);
    list
}

fn is_channel(text: &str) -> bool {
    match text.split_once(':') {
        Some(("email", address)) => is_mail_address(address),
        _ => is_room(text),
    }
}
