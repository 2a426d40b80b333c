//! `type: Waste`: a waste check with its parameters.

use super::Front;
use super::common::{Allowed, Defaults};
use crate::domain::check::{CheckInfo, ParamInfo, Params, UsedBy};
use crate::domain::finding::Action;
use crate::domain::rule::TypePattern;
use crate::policy::document::{At, Checker};
use crate::policy::raw::{RawRule, WasteRule};
use crate::policy::{Logic, Rule};

/// Actions that remedy waste.
const ACTIONS: &[Action] =
    &[Action::Stop, Action::Terminate, Action::Modify, Action::Release, Action::Notify, Action::Report];

impl Front for WasteRule {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let usable = || checks.iter().copied().filter(|info| info.used_by == UsedBy::Waste);
        let Some(info) = usable().find(|info| info.id == self.check) else {
            checker.bad_word(&at.key("check"), "a check for Waste policies", &self.check, usable().map(|info| info.id));
            return None;
        };
        let given = self.parameters.clone().unwrap_or_default();
        for (name, value) in &given {
            check_param(checker, &at.key("parameters"), info, name, *value);
        }
        let allowed = Allowed { severity: info.severity, action: info.action, actions: ACTIONS, kinds: info.kinds };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        Some(Rule {
            name: self.name.clone(),
            title: None,
            types: info.kinds.iter().map(|kind| TypePattern(kind.name().into())).collect(),
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: None,
            actions: None,
            logic: Logic::Check { check: info.id, params: Params::resolve(info, &given) },
            line: at.spot().line,
        })
    }
}

fn check_param(checker: &mut Checker<'_>, at: &At<'_>, info: &CheckInfo, name: &str, value: f64) {
    let Some(param) = info.params.iter().find(|param| param.name == name) else {
        let what = format!("a parameter of {}", info.id);
        checker.bad_word(&at.name_of(name), &what, name, info.params.iter().map(|param| param.name));
        return;
    };
    // A value that is not a number fails both comparisons and is refused.
    let in_range = value >= param.min && value <= param.max;
    if !in_range || (param.whole && value.fract() != 0.0) {
        checker.fail(&at.key(name), format!("{value} is not accepted for {name}"), accepted(param));
    }
}

fn accepted(param: &ParamInfo) -> String {
    let what = if param.whole { "a whole number" } else { "a number" };
    let unit = if param.unit.is_empty() { String::new() } else { format!(" {}", param.unit) };
    format!("{what} from {} to {}{unit}", param.min, param.max)
}
