//! S0's policies: what loads, with which defaults, and what is refused where.

use std::path::Path;

use super::*;
use crate::domain::finding::{Act, Severity};
use crate::policy::document::Errors;
use crate::policy::{Category, Decision, Given, Logic, Outcome, Polarity, parse, parse_one_json};

const PASSWORD: &str = include_str!("../../../../fixtures/policies/seeds/password.toml");
const BUDGET: &str = include_str!("../../../../fixtures/policies/seeds/budget.yaml");
const RETENTION: &str = include_str!("../../../../fixtures/policies/seeds/retention.json");
const MFA: &str = include_str!("../../../../fixtures/policies/seeds/mfa.json");

fn load(file: &str, text: &str) -> Result<Vec<Policy>, Errors> {
    parse(Path::new(file), text, &[])
}

fn one(file: &str, text: &str) -> Policy {
    let mut list = load(file, text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(list.len(), 1);
    list.remove(0)
}

/// Line, column, path and problem of every mistake.
fn mistakes(file: &str, text: &str) -> Vec<(usize, usize, String, String)> {
    let errors = load(file, text).expect_err("must be refused");
    errors.into_iter().map(|error| (error.line, error.column, error.path, error.problem)).collect()
}

/// Name, polarity and text of every rule.
fn rules(policy: &Policy) -> Vec<(&str, Polarity, &str)> {
    let logic = |rule: &'_ Rule| match &rule.logic {
        Logic::Condition { condition, polarity } => (*polarity, condition.text().to_owned()),
        other => panic!("{other:?}"),
    };
    policy
        .rules
        .iter()
        .map(|rule| {
            let (polarity, text) = logic(rule);
            (rule.name.as_str(), polarity, &*text.leak())
        })
        .collect()
}

fn told() -> Vec<ViolationAction> {
    let recipients = vec!["finance@example.com".to_owned(), "admin@example.com".to_owned()];
    vec![ViolationAction::Log, ViolationAction::Alert { recipients }]
}

#[test]
fn p2_p9_and_p10_the_password_policy_states_what_is_good() {
    let policy = one("password.toml", PASSWORD);
    assert_eq!(
        (policy.name.as_str(), policy.title.as_deref()),
        ("policy_password_001", Some("Strong Password Policy"))
    );
    assert_eq!((policy.category, policy.policy_type), (Some(Category::Security), PolicyType::Expression));
    assert_eq!((policy.mode, &policy.reach), (EnforcementMode::Enforce, &Reach::Global));
    assert_eq!(policy.actions, [ViolationAction::Log, ViolationAction::Block]);
    assert_eq!(policy.record.created_by.as_deref(), Some("admin"));
    assert_eq!(
        rules(&policy),
        [
            ("rule_pwd_length", Polarity::Requires, "password.length >= 12"),
            (
                "rule_pwd_complexity",
                Polarity::Requires,
                "password.has_uppercase && password.has_lowercase && password.has_number && password.has_special"
            ),
            ("rule_pwd_history", Polarity::Requires, "!password.in_history(5)"),
        ]
    );
    assert!(policy.rules.iter().all(|rule| rule.severity == Severity::Critical && rule.types.is_empty()));
}

#[test]
fn p11_only_the_last_step_of_the_budget_asks_for_approval() {
    let policy = one("budget.yaml", BUDGET);
    assert_eq!((policy.name.as_str(), policy.category), ("policy_budget_001", Some(Category::Usage)));
    assert_eq!(policy.reach, Reach::Organization(Some("org_12345".into())));
    let approval = ViolationAction::RequireApproval { approvers: vec!["finance_manager".into()] };
    let all: Vec<_> = told().into_iter().chain([approval]).collect();
    let actions: Vec<_> = policy.rules.iter().map(|rule| (rule.name.as_str(), policy.actions_of(rule))).collect();
    assert_eq!(
        actions,
        [("rule_budget_warning", &*told()), ("rule_budget_critical", &*told()), ("rule_budget_exceeded", &*all),]
    );
    assert_eq!((policy.rules[0].severity, policy.severity_word.as_deref()), (Severity::Medium, Some("warning")));
    assert_eq!(policy.record.metadata["budget_currency"], "USD");
    assert_eq!(policy.record.metadata["budget_period"], "monthly");
    let texts: Vec<_> = rules(&policy).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(
        texts,
        [
            "organization.monthly_cost >= organization.budget * 0.8",
            "organization.monthly_cost >= organization.budget * 0.95",
            "organization.monthly_cost >= organization.budget",
        ]
    );
}

#[test]
fn p12_the_ninety_days_count_from_the_deletion() {
    let policy = one("retention.json", RETENTION);
    assert_eq!((policy.name.as_str(), policy.category), ("policy_retention_001", Some(Category::DataProtection)));
    assert_eq!((policy.rules[0].severity, policy.severity_word.as_deref()), (Severity::Low, Some("info")));
    assert_eq!(policy.actions, [ViolationAction::Log]);
    let personal = "data.type == 'personal' && account.deleted && account.days_since_deletion > 90";
    assert_eq!(rules(&policy)[2], ("rule_retention_personal", Polarity::Violates, personal));
}

#[test]
fn p3_and_p13_the_rest_sample_gets_an_id_and_the_defaults_and_always_the_same_ones() {
    let policy = parse_one_json(MFA).unwrap();
    assert_eq!(policy.name, "policy-mfa-requirement-for-admins");
    assert_eq!(
        rules(&policy),
        [(
            "rule-an-administrator-has-shown-a-second-factor",
            Polarity::Violates,
            "user.role == 'admin' && !auth.mfa_verified"
        )]
    );
    assert_eq!((policy.mode, policy.rules[0].mode), (EnforcementMode::Enforce, EnforcementMode::Enforce));
    let again = parse_one_json(MFA).unwrap();
    assert_eq!((again.name, again.hash), (policy.name, policy.hash));

    let errors = parse_one_json(&format!("[{MFA}]")).unwrap_err();
    assert_eq!(errors.list().len(), 1, "{errors}");
    let enforced = MFA.replace("\"enforce\"", "\"enforced\"").replace("\"global\"", "\"globe\"");
    let errors = parse_one_json(&enforced).unwrap_err();
    let found: Vec<_> = errors.list().iter().map(|error| (error.line, error.path.as_str())).collect();
    assert_eq!(found, [(11, "enforcement_mode"), (14, "scope")]);
}

#[test]
fn p4_either_switch_turns_a_policy_off_and_p3_one_rule_can_be_off() {
    let with = |mode: &str, enabled: &str, rule: &str| {
        let text = format!(
            "name: x\npolicy_type: usage\nseverity: high\nenforcement_mode: {mode}\n{enabled}\nrules:\n- condition: a > 1\n- condition: b > 1\n  {rule}\n"
        );
        let policy = one("a.yaml", &text);
        (policy.mode, policy.rules[0].mode, policy.rules[1].mode)
    };
    use EnforcementMode::{Disabled, Enforce, Monitor};
    assert_eq!(with("enforce", "enabled: true", ""), (Enforce, Enforce, Enforce));
    assert_eq!(with("monitor", "", "enabled: true"), (Monitor, Monitor, Monitor));
    assert_eq!(with("enforce", "enabled: false", "enabled: true"), (Disabled, Disabled, Disabled));
    assert_eq!(with("disabled", "enabled: true", ""), (Disabled, Disabled, Disabled));
    assert_eq!(with("enforce", "", "enabled: false"), (Enforce, Enforce, Disabled));
}

#[test]
fn p5_three_words_load_as_four_levels_and_the_original_is_kept() {
    for (word, severity, kept) in [
        ("info", Severity::Low, Some("info")),
        ("warning", Severity::Medium, Some("warning")),
        ("critical", Severity::Critical, None),
        ("low", Severity::Low, None),
        ("medium", Severity::Medium, None),
        ("high", Severity::High, None),
    ] {
        let text = format!(
            "name = \"x\"\npolicy_type = \"usage\"\nenforcement_mode = \"monitor\"\nseverity = \"{word}\"\n[[rules]]\ncondition = \"a\"\n"
        );
        let policy = one("a.toml", &text);
        assert_eq!((policy.rules[0].severity, policy.severity_word.as_deref()), (severity, kept), "{word}");
    }
}

#[test]
fn p7_four_scopes_with_or_without_an_id() {
    let with = |scope: &str| {
        let text = format!(
            "name: x\npolicy_type: usage\nseverity: high\nenforcement_mode: monitor\nrules: [{{condition: a}}]\n{scope}"
        );
        load("a.yaml", &text).map(|mut list| list.remove(0).reach)
    };
    assert_eq!(with("").unwrap(), Reach::Global);
    assert_eq!(with("scope: global\n").unwrap(), Reach::Global);
    assert_eq!(with("scope: organization\nscope_id: o\n").unwrap(), Reach::Organization(Some("o".into())));
    assert_eq!(with("scope: user\n").unwrap(), Reach::User(None));
    assert_eq!(with("scope: resource\nscope_id: r\n").unwrap(), Reach::Resource(Some("r".into())));
    let errors = with("scope_id: o\n").unwrap_err();
    assert_eq!((errors.list()[0].line, errors.list()[0].path.as_str()), (6, "scope_id"));
}

#[test]
fn p9_a_rule_has_a_condition_or_a_requirement_and_never_both() {
    let text = "\
- name: x
  policy_type: usage
  enforcement_mode: enforce
  severity: high
  rules:
    - id: both
      condition: a > 1
      require: b > 1
    - id: neither
    - id: good
      require: c > 1
";
    let found = mistakes("a.yaml", text);
    assert_eq!(
        found.iter().map(|(line, column, path, _)| (*line, *column, path.as_str())).collect::<Vec<_>>(),
        [(8, 7, "[0].rules[0].require"), (9, 7, "[0].rules[1]")]
    );
}

#[test]
fn all_mistakes_of_a_file_come_at_once_in_every_notation_with_the_nearest_name() {
    let toml = r#"
[[policies]]
name = "One"
policy_typ = "usage"
enforcement_mode = "enforced"
severity = "warming"

[[policies.rules]]
condition = ""
enabled = "yes"

[[policies]]
id = "no blanks"
name = "Two"
policy_type = "usage"
enforcement_mode = "enforce"
severity = "info"
violation_actions = [{ type = "suspend" }, { type = "log", url = "https://x.example" }, { type = "alert", recipients = ["finance"] }]
created_at = "yesterday"

[[policies.rules]]
id = "a"
condition = "x > 1"

[[policies.rules]]
id = "a"
condition = "y > 1"
"#;
    let found = mistakes("a.toml", toml);
    let places: Vec<_> = found.iter().map(|(line, _, path, _)| (*line, path.as_str())).collect();
    assert_eq!(
        places,
        [
            (4, "policies[0].policy_typ"),
            (5, "policies[0].enforcement_mode"),
            (6, "policies[0].severity"),
            (9, "policies[0].rules[0].condition"),
            (10, "policies[0].rules[0].enabled"),
            (13, "policies[1].id"),
            (18, "policies[1].violation_actions[0]"),
            (18, "policies[1].violation_actions[1].url"),
            (18, "policies[1].violation_actions[2].recipients[0]"),
            (19, "policies[1].created_at"),
            (26, "policies[1].rules[1].id"),
        ]
    );
    assert!(found[0].3.contains("did you mean \"policy_type\"?"), "{found:?}");
    assert!(found[2].3.contains("did you mean \"warning\"?"), "{found:?}");

    let json = "{\"name\": \"x\", \"policy_type\": \"usage\",\n \"severity\": \"high\", \"enforcement_mode\": \"enforce\",\n \"rules\": [{\"condition\": \"a\", \"colour\": 1}]}";
    let found = mistakes("a.json", json);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1, found[0].2.as_str()), (3, 31, "rules[0].colour"));
}

#[test]
fn names_that_stand_twice_are_refused_across_front_ends() {
    let text = "policies:\n- &p {name: X, policy_type: usage, severity: high, enforcement_mode: monitor, rules: [{condition: a}]}\n- *p\n";
    let found = mistakes("a.yaml", text);
    assert_eq!(found.len(), 1);
    assert!(found[0].3.contains("\"policy-x\" is already used"), "{found:?}");
}

#[test]
fn the_expression_type_judges_the_inventory_in_s1s_envelope() {
    let text = "\
metadata: {name: no-old-generations}
type: Expression
severity: high
rules:
  - name: no-t2
    kinds: [compute/instance]
    condition: instance.type.startsWith('t2.')
    message: t2 is the old generation
    action: stop
  - name: encrypted
    kinds: [storage/*]
    require: volume.encrypted
examples:
  - name: old
    resource: {kind: compute/instance, type: t2.micro}
    violated: [no-t2]
";
    let policy = one("a.yaml", text);
    assert_eq!((policy.policy_type, policy.category), (PolicyType::Expression, None));
    let [first, second] = policy.rules.as_slice() else { panic!("{policy:?}") };
    assert_eq!((first.title.as_deref(), first.severity), (Some("t2 is the old generation"), Severity::High));
    assert!(first.types[0].covers("compute/instance") && second.types[0].covers("storage/volume"));
    assert_eq!((first.action, second.action), (Action::Stop, Action::Notify));
    assert_eq!(Act::of(first.action, crate::domain::place::Kind::Instance), Some(Act::StopInstance));
    let polarities: Vec<_> = rules(&policy).into_iter().map(|(_, polarity, _)| polarity).collect();
    assert_eq!(polarities, [Polarity::Violates, Polarity::Requires]);
    let [example] = policy.examples.as_slice() else { panic!("{policy:?}") };
    assert!(matches!(&example.given, Given::Resource(resource) if resource["type"] == "t2.micro"));

    let wrong = text.replace("kinds: [storage/*]", "kinds: [storage/disk]").replace("action: stop", "action: tag");
    let places: Vec<_> = mistakes("a.yaml", &wrong).into_iter().map(|(line, _, path, _)| (line, path)).collect();
    assert_eq!(places, [(9, "rules[0].action".to_owned()), (11, "rules[1].kinds[0]".to_owned())]);
}

#[test]
fn e6_examples_load_and_those_that_say_nothing_are_refused() {
    let policy = one("mfa.json", MFA);
    let found: Vec<_> = policy.examples.iter().map(|one| (one.expect, one.decision)).collect();
    assert_eq!(
        found,
        [
            (Some(Outcome::Violated), Some(Decision::Deny)),
            (Some(Outcome::Compliant), Some(Decision::Allow)),
            (Some(Outcome::Compliant), Some(Decision::Allow)),
            (Some(Outcome::Unknown), Some(Decision::Deny)),
        ]
    );
    let over = "metadata: {name: a}\ntype: Expression\nrules: [{name: r, kinds: [compute/instance], condition: 'true'}]\nexamples:\n- {name: e, resource: {}, decision: deny}\n";
    assert_eq!(mistakes("a.yaml", over).iter().map(|one| one.2.as_str()).collect::<Vec<_>>(), ["examples[0].decision"]);
    let base = "name: x\npolicy_type: usage\nseverity: high\nenforcement_mode: monitor\nrules: [{id: r, condition: a}]\nexamples:\n";
    for (example, path) in [
        ("- {name: e, context: {}}", "examples[0]"),
        ("- {name: e, expect: violated}", "examples[0]"),
        ("- {name: e, resource: {}, expect: violated}", "examples[0].resource"),
        ("- {name: e, context: {}, resource: {}, expect: violated}", "examples[0]"),
        ("- {name: e, request: {}, expect: violated}", "examples[0].request"),
        ("- {name: e, context: {}, request: {}, expect: violated}", "examples[0]"),
        ("- {name: e, context: {}, violated: [q]}", "examples[0].violated[0]"),
        ("- {name: e, context: {}, expect: bad}", "examples[0].expect"),
    ] {
        let found = mistakes("a.yaml", &format!("{base}{example}\n"));
        assert_eq!(found.iter().map(|one| one.2.as_str()).collect::<Vec<_>>(), [path], "{example}");
    }
}

#[test]
fn a_template_is_not_loaded_as_policies() {
    let text = include_str!("../../../../config/policy_templates/gdpr_compliance.toml");
    let found = mistakes("a.toml", text);
    assert_eq!(found.len(), 1);
    assert!(found[0].3.contains("template"), "{found:?}");
}

#[test]
fn m6_a_recipient_that_nothing_delivers_to_is_refused_with_the_action_that_does() {
    for to in ["webhook:tracker", "webhook:https://hooks.example.com/x", "pager:ops", "email:", "slack:finance"] {
        let text = format!(
            "id: p\nname: P\npolicy_type: usage\nenforcement_mode: enforce\nseverity: high\nviolation_actions:\n  \
             - {{type: alert, recipients: [ops@example.com, {to:?}]}}\nrules: [{{condition: a > 1}}]\n"
        );
        let errors = load("p.yaml", &text).expect_err(to);
        let [error] = errors.list() else { panic!("{errors}") };
        assert_eq!((error.line, error.path.as_str()), (7, "violation_actions[0].recipients[1]"), "{to}");
        assert!(error.accepted.contains("type webhook and url"), "{to}: {}", error.accepted);
    }
}

#[test]
fn p3_thousands_of_rules_with_one_description_get_ids_of_their_own_without_counting_over_and_over() {
    let head = "id: p\nname: P\npolicy_type: usage\nenforcement_mode: enforce\nseverity: high\nrules:\n  \
                - {id: rule-same-2, condition: a > 0}\n";
    let rules = "  - {condition: a > 1, description: same}\n".repeat(5_000);
    let policy = one("p.yaml", &format!("{head}{rules}"));
    let names: Vec<&str> = policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names[..4], ["rule-same-2", "rule-same", "rule-same-3", "rule-same-4"]);
    assert_eq!((names.len(), names[5_000]), (5_001, "rule-same-5001"));
}
