//! What both seed documents agree on here, where they say two things: the settled rows that policies live by.

use std::path::Path;

use costwarden::checks::infos;
use costwarden::domain::budget::BudgetAction;
use costwarden::domain::finding::Severity;
use costwarden::domain::violation::Level;
use costwarden::engine::ruleset::Ruleset;
use costwarden::policy::decide::evaluate_policy;
use costwarden::policy::expression::Facts;
use costwarden::policy::{Logic, Outcome, Polarity, Policy, parse};
use serde_json::json;

fn load(file: &str, text: &str) -> Vec<Policy> {
    parse(Path::new(file), text, &infos()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn seed(path: &str) -> Vec<Policy> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    load(path, &std::fs::read_to_string(root.join(path)).unwrap())
}

/// One of S0's, with a severity and a rule.
fn over_contexts(severity: &str, rule: &str) -> String {
    format!(
        "id: x\nname: X\npolicy_type: usage\nenforcement_mode: enforce\nseverity: {severity}\nrules:\n  - {{id: r, {rule}}}\n"
    )
}

/// One of S1's.
fn over_inventory(severity: &str, rule: &str) -> String {
    format!(
        "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: {{name: x}}\nspec:\n  type: Expression\n  severity: \
         {severity}\n  rules:\n    - {{name: r, kinds: [storage/volume], {rule}}}\n"
    )
}

#[test]
fn settled_1_both_seeds_words_become_four_severities_that_show_as_three_levels() {
    let rows = [
        ("low", Severity::Low, Level::Info, None),
        ("medium", Severity::Medium, Level::Warning, None),
        ("high", Severity::High, Level::Warning, None),
        ("critical", Severity::Critical, Level::Critical, None),
        ("info", Severity::Low, Level::Info, Some("info")),
        ("warning", Severity::Medium, Level::Warning, Some("warning")),
    ];
    for (word, severity, level, kept) in rows {
        let policy = load("x.yaml", &over_contexts(word, "condition: a.b")).remove(0);
        assert_eq!((policy.rules[0].severity, Level::from(policy.rules[0].severity)), (severity, level), "{word}");
        assert_eq!(policy.severity_word.as_deref(), kept, "{word}");
    }
    for word in ["low", "medium", "high", "critical"] {
        let policy = load("x.yaml", &over_inventory(word, "condition: volume.size_gib > 1")).remove(0);
        assert_eq!(policy.rules[0].severity.to_string(), word);
    }
}

#[test]
fn settled_3_a_rule_of_either_kind_says_what_is_bad_or_what_is_good_and_never_both() {
    for kind in [over_contexts, over_inventory] {
        let condition = if kind("low", "").contains("kinds") { "volume.size_gib > 1" } else { "a.b > 1" };
        let polarity = |rule: &str| match &load("x.yaml", &kind("low", rule))[0].rules[0].logic {
            Logic::Condition { polarity, .. } => *polarity,
            other => panic!("{other:?}"),
        };
        assert_eq!(polarity(&format!("condition: {condition}")), Polarity::Violates);
        assert_eq!(polarity(&format!("require: {condition}")), Polarity::Requires);
        for rule in [format!("condition: {condition}, require: {condition}"), String::new()] {
            let text = kind("low", &rule).replace(", }", "}");
            let errors = parse(Path::new("x.yaml"), &text, &infos()).unwrap_err().to_string();
            assert!(errors.contains("condition") && errors.contains("require"), "{rule:?}: {errors}");
        }
    }
    // The seed's own two sides: long enough is good, too many requests are bad.
    let said = |rule: &str, facts| {
        let policy = load("x.yaml", &over_contexts("low", rule)).remove(0);
        let evaluated = evaluate_policy(&policy, &Facts::from_json(&facts).unwrap());
        (evaluated.compliant, evaluated.violated_rules.len())
    };
    assert_eq!(said("require: password.length >= 12", json!({"password": {"length": 12}})), (true, 0));
    assert_eq!(said("condition: password.length >= 12", json!({"password": {"length": 12}})), (false, 1));
}

#[test]
fn settled_6_the_steps_of_a_budget_belong_to_its_policy_and_all_three_documents_load() {
    let steps = |path: &str| -> Vec<(String, Vec<(u32, BudgetAction)>)> {
        seed(path)
            .iter()
            .flat_map(|policy| &policy.rules)
            .filter_map(|rule| match &rule.logic {
                Logic::Budget(budget) => {
                    let steps = budget.thresholds.iter().map(|step| (step.percent, step.action)).collect();
                    Some((rule.name.clone(), steps))
                }
                _ => None,
            })
            .collect()
    };
    let found = steps("config/policies/examples/budget-policy.yaml");
    let percents: Vec<Vec<u32>> =
        found.iter().map(|(_, steps)| steps.iter().map(|(percent, _)| *percent).collect()).collect();
    assert!(percents.contains(&vec![50, 80, 100]) && percents.contains(&vec![90]), "{found:?}");
    let ours: Vec<String> =
        seed("fixtures/policies/seeds/budget.yaml")[0].rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(ours, ["rule_budget_warning", "rule_budget_critical", "rule_budget_exceeded"]);
}

#[test]
fn settled_7_both_front_ends_give_one_model_that_one_engine_judges() {
    let condition = "condition: volume.size_gib > 100, description: big";
    let toml = "id = \"x\"\nname = \"X\"\npolicy_type = \"usage\"\nenforcement_mode = \"enforce\"\nseverity = \"low\"\n[[rules]]\nid = \
                \"r\"\ncondition = \"volume.size_gib > 100\"\n";
    let loaded = [
        load("x.yaml", &over_contexts("low", condition)).remove(0),
        load("x.toml", toml).remove(0),
        load("x.yaml", &over_inventory("low", "condition: volume.size_gib > 100")).remove(0),
    ];
    let logic = format!("{:?}", loaded[0].rules[0].logic);
    for policy in &loaded {
        assert_eq!((policy.rules[0].name.as_str(), policy.rules[0].severity), ("r", Severity::Low));
        assert_eq!(format!("{:?}", policy.rules[0].logic), logic, "the same condition, compiled the same");
        let Logic::Condition { condition, polarity } = &policy.rules[0].logic else { panic!("{policy:?}") };
        let outcome = |facts| polarity.outcome(&condition.evaluate(&Facts::from_json(&facts).unwrap()));
        assert_eq!(outcome(json!({"volume": {"size_gib": 101}})), Outcome::Violated);
        assert_eq!(outcome(json!({"volume": {"size_gib": 100}})), Outcome::Compliant);
        assert_eq!(outcome(json!({"volume": {}})), Outcome::Unknown);
        Ruleset::compile(std::slice::from_ref(policy)).unwrap();
    }
}
