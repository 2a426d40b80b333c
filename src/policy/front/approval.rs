//! `type: Approval` (D2): what needs a person's word before it is made.

use super::Front;
use super::common::{Allowed, Defaults, region, type_patterns};
use crate::domain::check::CheckInfo;
use crate::domain::finding::{Action, Severity};
use crate::domain::money::Usd;
use crate::domain::request::ApprovalRule;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker};
use crate::policy::raw::{ApprovalRuleShape, RawRule};
use crate::policy::{Logic, Rule};

/// A request is held, nothing that exists is acted on.
const ACTIONS: &[Action] = &[Action::Notify, Action::Report];

impl Front for ApprovalRuleShape {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        _checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let types = type_patterns(checker, at, self.scope.as_deref());
        if self.monthly_above_usd.is_none() && self.purchases.is_none() && self.allowed_regions.is_none() {
            let accepted = "monthlyAboveUsd, purchases, allowedRegions, or several of them";
            checker.fail(at, "the rule asks for approval of nothing", accepted);
        }
        let mut approvers: Vec<String> = Vec::new();
        for (index, name) in self.approvers.iter().enumerate() {
            if name.trim().is_empty() || approvers.contains(name) {
                let problem = format!("{:?} is empty or stands twice", clean(name));
                checker.fail(&at.key("approvers").item(index), problem, "each approver once, by name or mail address");
            }
            approvers.push(name.clone());
        }
        let mut allowed_regions = Vec::new();
        for (index, text) in self.allowed_regions.iter().flatten().enumerate() {
            allowed_regions.extend(region(checker, &at.key("allowedRegions").item(index), text));
        }
        let allowed = Allowed { severity: Severity::Medium, action: Action::Notify, actions: ACTIONS, kinds: &[] };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        Some(Rule {
            name: self.name.clone(),
            title: None,
            types,
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: None,
            actions: None,
            logic: Logic::Approval(ApprovalRule {
                approvers,
                monthly_above: self.monthly_above_usd.and_then(Usd::from_f64),
                purchases: self.purchases.clone().unwrap_or_default(),
                allowed_regions,
            }),
            line: at.spot().line,
        })
    }
}
