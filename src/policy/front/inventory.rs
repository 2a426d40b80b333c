//! `type: Expression`: conditions over the inventory, in S1's envelope.

use super::Front;
use super::common::{Allowed, Defaults, covered, type_pattern};
use super::conditions;
use crate::domain::check::CheckInfo;
use crate::domain::finding::{Action, Severity};
use crate::policy::document::{At, Checker};
use crate::policy::expression::OverInventory;
use crate::policy::raw::RawRule;
use crate::policy::raw::expressions::ExpressionRule;
use crate::policy::{Logic, Rule};

/// Actions that a condition may ask for. A tag policy alone knows which tags to add, a limit alone what to resize to.
const ACTIONS: &[Action] = &[Action::Notify, Action::Report, Action::Stop, Action::Terminate];

impl Front for ExpressionRule {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        _checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let types: Vec<_> = self
            .kinds
            .iter()
            .enumerate()
            .filter_map(|(index, text)| type_pattern(checker, &at.key("kinds").item(index), text))
            .collect();
        let kinds = covered(&types);
        let allowed = Allowed { severity: Severity::Medium, action: Action::Notify, actions: ACTIONS, kinds: &kinds };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        let logic = conditions::logic(checker, at, self.condition.as_deref(), self.require.as_deref())?;
        // A name that these kinds do not have would stop the whole scan when the rules are compiled.
        if let Logic::Condition { condition, polarity } = &logic
            && let Err(error) = OverInventory::bind(condition, &kinds)
        {
            let place = (error.offset, error.width);
            checker.fail_inside(&at.key(polarity.word()), condition.text(), place, error.problem, error.accepted);
        }
        Some(Rule {
            name: self.name.clone(),
            title: self.message.clone(),
            types,
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: None,
            actions: None,
            logic,
            line: at.spot().line,
        })
    }
}
