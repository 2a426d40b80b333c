//! Runs the examples that policies carry (T9, E6): facts in, what was expected against what the policy says.
//!
//! Pure: contexts and requests are asked here, resources by whoever can make one (`worker::sample`). A policy without an example is
//! counted apart and never as passed. An example whose facts cannot be read has failed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value as Json;

use crate::domain::budget::Spending;
use crate::domain::price::PriceBook;
use crate::policy::decide::{Answer, Ruling, evaluate_policy, is_asked, judge, requests};
use crate::policy::expression::Facts;
use crate::policy::{Decision, EnforcementMode, Example, Given, Logic, Outcome, Policy, Rule};

/// What the examples of several policies said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TestRun {
    /// Examples that were run.
    pub total_tests: usize,
    /// Those that said what was expected.
    pub passed: usize,
    /// Those that did not.
    pub failed: usize,
    /// Why, one by one.
    pub failures: Vec<Failure>,
    /// Names of policies without any example.
    pub untested: Vec<String>,
    /// Every example in its order.
    pub cases: Vec<Case>,
}

/// An example that did not say what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Failure {
    /// The policy.
    pub policy_name: String,
    /// The example.
    pub example: String,
    /// What was expected, and what came.
    pub reason: String,
    /// File and line of the example.
    pub source: String,
}

/// One example that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Case {
    /// The policy.
    pub policy_name: String,
    /// The example.
    pub example: String,
    /// What was expected and what came; nothing when both are the same.
    pub reason: Option<String>,
}

/// What each rule says about one resource, by rule name; rules that are not about it may be missing.
pub type OfResource<'a> = dyn Fn(&Policy, &Json) -> Result<BTreeMap<String, Outcome>, String> + 'a;

/// Runs every example of every policy.
pub fn run(policies: &[Policy], prices: &PriceBook, of_resource: &OfResource<'_>) -> TestRun {
    let mut run = TestRun::default();
    for policy in policies {
        if policy.examples.is_empty() {
            run.untested.push(policy.name.clone());
        }
        for example in &policy.examples {
            let reason = try_out(policy, example, prices, of_resource);
            run.total_tests += 1;
            match &reason {
                None => run.passed += 1,
                Some(reason) => {
                    run.failed += 1;
                    run.failures.push(Failure {
                        policy_name: policy.name.clone(),
                        example: example.name.clone(),
                        reason: reason.clone(),
                        source: format!("{}:{}", policy.source.path.display(), example.line),
                    });
                }
            }
            let (policy_name, example) = (policy.name.clone(), example.name.clone());
            run.cases.push(Case { policy_name, example, reason });
        }
    }
    run
}

/// What one rule says about a context.
///
/// # Errors
/// A context that is no object, or too large.
pub fn of_context(policy: &Policy, context: &Json) -> Result<BTreeMap<String, Outcome>, String> {
    let facts = Facts::from_json(context)?;
    Ok(policy.rules.iter().map(|rule| (rule.name.clone(), outcome(rule, &facts))).collect())
}

fn outcome(rule: &Rule, facts: &Facts) -> Outcome {
    let Logic::Condition { condition, polarity } = &rule.logic else { return Outcome::NotApplicable };
    if rule.mode == EnforcementMode::Disabled {
        return Outcome::NotApplicable;
    }
    polarity.outcome(&condition.evaluate(facts))
}

/// What the decision point answers to a context when only this policy is asked, whomever it is for.
///
/// # Errors
/// A context that is no object, or too large.
pub fn decision(policy: &Policy, context: &Json) -> Result<Decision, String> {
    Ok(match evaluate_policy(policy, &Facts::from_json(context)?).result {
        Ruling::Allow => Decision::Allow,
        Ruling::Deny { .. } => Decision::Deny,
        Ruling::RequireApproval { .. } => Decision::RequireApproval,
    })
}

/// What each rule says about a request, and what the decision point answers to it when only this policy is asked. Of a
/// budget nothing is spent yet.
///
/// # Errors
/// A document that is no request, with every mistake.
pub fn of_request(
    policy: &Policy,
    request: &Json,
    prices: &PriceBook,
) -> Result<(BTreeMap<String, Outcome>, Decision), String> {
    let asked = requests(Path::new("request"), &request.to_string(), prices).map_err(|errors| {
        // Positions are those of a line that nobody wrote.
        let each = errors.list().iter().map(|error| format!("{}: {}; {}", error.path, error.problem, error.accepted));
        each.collect::<Vec<_>>().join("; ")
    })?;
    let [asked] = asked.as_slice() else { return Err("it is not one request".into()) };
    let spending = Spending::NoSource("an example has none".into());
    let judged = judge(std::slice::from_ref(policy), std::slice::from_ref(asked), &spending);
    let outcome = |rule: &Rule| {
        let broken: Vec<bool> =
            judged.violations.iter().filter(|one| one.rule_name == rule.name).map(|one| one.unknown).collect();
        match (is_asked(policy, rule, asked), broken.as_slice()) {
            (false, _) => Outcome::NotApplicable,
            (true, []) => Outcome::Compliant,
            (true, unknown) if unknown.iter().all(|unknown| *unknown) => Outcome::Unknown,
            (true, _) => Outcome::Violated,
        }
    };
    let decision = match judged.action {
        Answer::Allow | Answer::Warn => Decision::Allow,
        Answer::RequireApproval => Decision::RequireApproval,
        Answer::Deny => Decision::Deny,
    };
    Ok((policy.rules.iter().map(|rule| (rule.name.clone(), outcome(rule))).collect(), decision))
}

/// Why an example does not say what was expected; nothing when it does.
fn try_out(policy: &Policy, example: &Example, prices: &PriceBook, of_resource: &OfResource<'_>) -> Option<String> {
    let said = match &example.given {
        Given::Context(context) => of_context(policy, context)
            .and_then(|outcomes| decision(policy, context).map(|decision| (outcomes, Some(decision)))),
        Given::Resource(resource) => of_resource(policy, resource).map(|outcomes| (outcomes, None)),
        Given::Request(request) => {
            of_request(policy, request, prices).map(|(outcomes, decision)| (outcomes, Some(decision)))
        }
    };
    let (outcomes, decided) = match said {
        Ok(said) => said,
        Err(problem) => return Some(format!("the facts cannot be read: {problem}")),
    };
    let mut reasons = Vec::new();
    let whole = outcomes.values().copied().min().unwrap_or(Outcome::NotApplicable);
    if let Some(expected) = example.expect
        && expected != whole
    {
        reasons.push(format!("expected {}, got {}{}", expected.word(), whole.word(), by_rule(policy, &outcomes)));
    }
    if let Some(expected) = &example.violated {
        let found: Vec<&str> = violated(policy, &outcomes).collect();
        if *expected != found {
            let names = |list: &[&str]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            reasons.push(format!(
                "expected as violated: {}; violated: {}{}",
                names(&expected),
                names(&found),
                by_rule(policy, &outcomes)
            ));
        }
    }
    if let (Some(expected), Some(found)) = (example.decision, decided)
        && expected != found
    {
        let (expected, found) = (expected.word(), found.word());
        reasons.push(format!("expected the decision {expected}, got {found}{}", by_rule(policy, &outcomes)));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn violated<'p>(policy: &'p Policy, outcomes: &BTreeMap<String, Outcome>) -> impl Iterator<Item = &'p str> {
    let names = policy.rules.iter().map(|rule| rule.name.as_str());
    names.filter(|name| outcomes.get(*name) == Some(&Outcome::Violated))
}

fn by_rule(policy: &Policy, outcomes: &BTreeMap<String, Outcome>) -> String {
    let word = |rule: &Rule| outcomes.get(&rule.name).copied().unwrap_or(Outcome::NotApplicable).word();
    let list: Vec<String> = policy.rules.iter().map(|rule| format!("{} {}", rule.name, word(rule))).collect();
    format!(" ({})", list.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::policy::template::{Framework, Options, generate};
    use crate::policy::{Reach, parse};

    const SEEDS: [(&str, &str); 4] = [
        ("password.toml", include_str!("../../fixtures/policies/seeds/password.toml")),
        ("budget.yaml", include_str!("../../fixtures/policies/seeds/budget.yaml")),
        ("retention.json", include_str!("../../fixtures/policies/seeds/retention.json")),
        ("mfa.json", include_str!("../../fixtures/policies/seeds/mfa.json")),
    ];

    fn seed(file: &str) -> Policy {
        let text = SEEDS.iter().find(|(name, _)| *name == file).unwrap().1;
        parse(Path::new(file), text, &[]).unwrap_or_else(|errors| panic!("{errors}")).remove(0)
    }

    fn no_resources(_: &Policy, _: &Json) -> Result<BTreeMap<String, Outcome>, String> {
        Err("no resources here".into())
    }

    /// Violated rules and decision.
    fn ask(policy: &Policy, context: &Json) -> (Vec<String>, Decision) {
        let outcomes = of_context(policy, context).unwrap();
        (violated(policy, &outcomes).map(str::to_owned).collect(), decision(policy, context).unwrap())
    }

    #[test]
    fn p10_good_passwords_pass_and_each_bad_one_breaks_its_own_rule() {
        let policy = seed("password.toml");
        let password = |length: u32, special: bool, position: u32| {
            let mut facts = json!({"password": {
                "length": length, "has_uppercase": true, "has_lowercase": true, "has_number": true, "has_special": special,
            }});
            facts["password"]["history_position"] = position.into();
            ask(&policy, &facts)
        };
        assert_eq!(password(12, true, 6), (vec![], Decision::Allow));
        assert_eq!(password(11, true, 6), (vec!["rule_pwd_length".to_owned()], Decision::Deny));
        assert_eq!(password(12, false, 6), (vec!["rule_pwd_complexity".to_owned()], Decision::Deny));
        assert_eq!(password(12, true, 5), (vec!["rule_pwd_history".to_owned()], Decision::Deny));
        let unknown = json!({"password": {"length": 12}});
        assert_eq!(of_context(&policy, &unknown).unwrap()["rule_pwd_complexity"], Outcome::Unknown);
        assert_eq!(decision(&policy, &unknown), Ok(Decision::Deny));
    }

    #[test]
    fn p11_eighty_and_ninety_five_percent_tell_and_a_hundred_needs_approval() {
        let policy = seed("budget.yaml");
        let at = |cost: f64| ask(&policy, &json!({"organization": {"monthly_cost": cost, "budget": 50000}}));
        let names = ["rule_budget_warning", "rule_budget_critical", "rule_budget_exceeded"].map(str::to_owned);
        assert_eq!(at(39_999.99), (vec![], Decision::Allow));
        assert_eq!(at(40_000.0), (names[..1].to_vec(), Decision::Allow));
        assert_eq!(at(47_500.0), (names[..2].to_vec(), Decision::Allow));
        assert_eq!(at(50_000.0), (names.to_vec(), Decision::RequireApproval));
    }

    #[test]
    fn p12_personal_data_goes_ninety_days_after_the_deletion_whatever_its_own_age() {
        let policy = seed("retention.json");
        let personal = |age: u32, since: Option<u32>| {
            let account =
                since.map_or(json!({"deleted": false}), |days| json!({"deleted": true, "days_since_deletion": days}));
            ask(&policy, &json!({"data": {"type": "personal", "age_days": age}, "account": account})).0
        };
        assert_eq!(personal(4000, None), Vec::<String>::new());
        assert_eq!(personal(4000, Some(90)), Vec::<String>::new());
        assert_eq!(personal(91, Some(91)), ["rule_retention_personal"]);
    }

    #[test]
    fn t9_every_seed_policy_says_what_its_examples_expect() {
        let policies: Vec<Policy> = SEEDS.iter().map(|(file, _)| seed(file)).collect();
        let run = run(&policies, &crate::checks::testing::prices(), &no_resources);
        assert_eq!(run.failures, []);
        assert_eq!((run.total_tests, run.passed, run.failed), (16, 16, 0));
        assert_eq!(run.untested, Vec::<String>::new());
    }

    #[test]
    fn t2_t3_t4_and_t5_templates_make_policies_that_pass_their_own_examples() {
        let values = [("retention_days".to_owned(), json!(365))].into();
        for template in crate::policy::template::Template::built_in().unwrap() {
            let given = if template.variable("retention_days").is_some() { &values } else { &BTreeMap::new() };
            let made = template.instantiate(given).unwrap_or_else(|error| panic!("{error}"));
            let policies: Vec<Policy> = made.into_iter().map(|one| one.policy).collect();
            let run = run(&policies, &crate::checks::testing::prices(), &no_resources);
            assert_eq!((run.failures, run.untested), (vec![], vec![]), "{}", template.name);
            assert!(run.total_tests >= 2, "{}", template.name);
        }
    }

    #[test]
    fn t9_a_wrong_expectation_fails_with_both_sides_and_no_example_is_no_pass() {
        let text = "\
- {id: silent, name: Silent, policy_type: usage, enforcement_mode: monitor, severity: low, rules: [{condition: a.b}]}
- id: told
  name: Told
  policy_type: usage
  enforcement_mode: enforce
  severity: low
  rules: [{id: r, condition: a.n > 3}]
  examples:
    - {name: right, context: {a: {n: 4}}, expect: violated, decision: allow}
    - {name: wrong, context: {a: {n: 3}}, expect: violated, violated: [r], decision: deny}
    - {name: unknown, context: {a: {}}, expect: unknown, decision: deny}
    - {name: elsewhere, context: {b: 1}, expect: not_applicable, decision: allow}
";
        let policies = parse(Path::new("a.yaml"), text, &[]).unwrap();
        let run = run(&policies, &crate::checks::testing::prices(), &no_resources);
        assert_eq!((run.total_tests, run.passed, run.failed), (4, 3, 1));
        assert_eq!(run.untested, ["silent"]);
        assert_eq!(
            run.failures,
            [Failure {
                policy_name: "told".into(),
                example: "wrong".into(),
                reason: "expected violated, got compliant (r compliant); expected as violated: r; violated: none (r compliant); expected the decision deny, got allow (r compliant)".into(),
                source: "a.yaml:10".into(),
            }]
        );
    }

    #[test]
    fn t8_a_framework_gives_the_same_files_every_time_and_they_load_as_what_they_say() {
        let checks = crate::checks::infos();
        for framework in Framework::ALL {
            let options = &Options { mode: EnforcementMode::Monitor, reach: Reach::Global, values: BTreeMap::new() };
            let make = || generate(framework, options, &checks).unwrap();
            let (first, second) = (make(), make());
            assert!(!first.is_empty());
            for (one, other) in first.iter().zip(&second) {
                assert_eq!((&one.file, &one.text, &one.policy.hash), (&other.file, &other.text, &other.policy.hash));
                assert_eq!(one.policy.mode, EnforcementMode::Monitor);
                assert!(!one.policy.examples.is_empty(), "{}", one.file);
                let loaded = parse(Path::new(&one.file), &one.text, &checks).unwrap();
                assert_eq!((&loaded[0].name, &loaded[0].hash), (&one.policy.name, &one.policy.hash));
            }
            let names: Vec<_> = first.iter().map(|one| one.policy.name.as_str()).collect();
            let expected: &[&str] = match framework {
                Framework::Gdpr => &["policy-gdpr-data-access-request", "policy-gdpr-data-retention"],
                Framework::Soc2 => &["policy-soc-2-strong-authentication", "policy-soc-2-access-review"],
                Framework::Finops => &["finops-waste", "finops-tags", "finops-limits"],
            };
            assert_eq!(names, expected);
        }
    }
}
