//! What both kinds of condition rule share: `condition` or `require`, compiled at load, and a policy's examples.

use crate::domain::text::clean;
use crate::policy::document::{At, Checker};
use crate::policy::expression::Condition;
use crate::policy::raw::expressions::RawExample;
use crate::policy::{Example, Given, Logic, Polarity};

/// The logic of a rule, or `None` after noting mistakes. Exactly one of the two keys must be there, so that nobody
/// has to guess whether true is good or bad (settled row 3).
pub(super) fn logic(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    condition: Option<&str>,
    require: Option<&str>,
) -> Option<Logic> {
    const ACCEPTED: &str = "condition (true is a violation) or require (false is a violation)";
    let (key, text, polarity) = match (condition, require) {
        (Some(text), None) => ("condition", text, Polarity::Violates),
        (None, Some(text)) => ("require", text, Polarity::Requires),
        (Some(_), Some(_)) => {
            checker.fail(&at.name_of("require"), "the rule has both condition and require", ACCEPTED);
            return None;
        }
        (None, None) => {
            checker.fail(at, "the rule has neither condition nor require", ACCEPTED);
            return None;
        }
    };
    let at = at.key(key);
    match Condition::compile(text) {
        Ok(condition) => Some(Logic::Condition { condition, polarity }),
        Err(error) => {
            checker.fail_inside(&at, text, (error.offset, error.width), error.problem, error.accepted);
            None
        }
    }
}

/// The examples of a policy whose rules have these names.
pub(super) fn examples(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    raw: Option<&[RawExample]>,
    rules: &[String],
    over_contexts: bool,
) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (index, raw) in raw.unwrap_or_default().iter().enumerate() {
        let at = at.item(index);
        if let Some(first) = examples.iter().find(|known| known.name == raw.name) {
            let problem = format!("the example {:?} is already on line {}", clean(&raw.name), first.line);
            checker.fail(&at.key("name"), problem, "a name that no other example of the policy has");
        }
        for (number, name) in raw.violated.iter().flatten().enumerate() {
            if !rules.contains(name) {
                let place = at.key("violated").item(number);
                checker.bad_word(&place, "a rule of this policy", name, rules.iter().map(String::as_str));
            }
        }
        if raw.expect.is_none() && raw.violated.is_none() && raw.decision.is_none() {
            checker.fail(&at, "the example expects nothing", "expect, violated or decision");
        }
        if raw.decision.is_some() && raw.resource.is_some() {
            let problem = "nobody decides about a resource that is there already";
            checker.fail(
                &at.name_of("decision"),
                problem,
                "expect or violated; a decision needs a context or a request",
            );
        }
        let whole = |map: &std::collections::BTreeMap<String, serde_json::Value>| {
            serde_json::Value::Object(map.clone().into_iter().collect())
        };
        let given = match (&raw.context, &raw.resource, &raw.request) {
            (Some(context), None, None) => Given::Context(whole(context)),
            (None, Some(resource), None) if !over_contexts => Given::Resource(whole(resource)),
            (None, None, Some(request)) if !over_contexts => Given::Request(whole(request)),
            (None, Some(_), None) => {
                checker.fail(&at.name_of("resource"), "a policy over contexts is given no resource", "context");
                continue;
            }
            (None, None, Some(_)) => {
                checker.fail(&at.name_of("request"), "a policy over contexts is given no request", "context");
                continue;
            }
            (None, None, None) => {
                checker.fail(&at, "the example has nothing given", "context, resource or request");
                continue;
            }
            _ => {
                checker.fail(&at, "the example has several things given", "one of context, resource and request");
                continue;
            }
        };
        let violated = raw.violated.as_ref().map(|names| {
            // In the policy's order, whatever order they are written in.
            rules.iter().filter(|rule| names.contains(rule)).cloned().collect()
        });
        examples.push(Example {
            name: raw.name.clone(),
            given,
            expect: raw.expect,
            violated,
            decision: raw.decision,
            line: at.spot().line,
        });
    }
    examples
}
