//! E1 to E6, P4 and P7: what the decision point answers, and that nothing is answered unlogged.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::policy::Reach;
use crate::policy::decide::context::policies_for_scope;

const MFA: &str = include_str!("../../../fixtures/policies/seeds/mfa.json");
const BUDGET: &str = include_str!("../../../fixtures/policies/seeds/budget.yaml");
const PASSWORD: &str = include_str!("../../../fixtures/policies/seeds/password.toml");

fn load(name: &str, text: &str) -> Vec<Policy> {
    crate::policy::parse(Path::new(name), text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn seeds() -> Vec<Policy> {
    [load("mfa.json", MFA), load("budget.yaml", BUDGET), load("password.toml", PASSWORD)].concat()
}

fn context(json: Value) -> Context {
    let mut whole = json!({
        "user_id": "user_12345", "organization_id": "org_12345", "action": "create", "resource": "api_key",
        "metadata": {"ip_address": "203.0.113.42", "user_agent": "curl"},
    });
    whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
    Context::from_json(&whole).unwrap()
}

fn ask(policies: &[Policy], json: Value) -> Evaluation {
    decide(policies, &context(json)).logged(|_| Ok::<(), ()>(())).unwrap()
}

fn violated(evaluation: &Evaluation) -> Vec<(&str, Vec<&str>)> {
    evaluation
        .violations
        .iter()
        .map(|v| (v.policy_id.as_str(), v.violated_rules.iter().map(String::as_str).collect()))
        .collect()
}

/// A policy in S0's words with one rule `x.bad`.
fn policy(id: &str, mode: &str, scope: &str, actions: &str) -> Vec<Policy> {
    let text = format!(
        "policies:\n  - id: {id}\n    name: {id}\n    policy_type: usage\n    enforcement_mode: {mode}\n    severity: warning\n    violation_actions: [{actions}]\n    {scope}\n    rules: [{{id: r, condition: x.bad, description: It is bad for {id}}}]\n"
    );
    load("p.yaml", &text)
}

const BLOCK: &str = "{type: block}";
const WAIT: &str = "{type: require_approval, approvers: [ann, bob]}";

#[test]
fn e1_a_context_has_action_and_resource_and_everything_else_is_a_root() {
    let full = context(json!({"failed_logins": 3}));
    assert_eq!((full.action.as_str(), full.resource.as_str()), ("create", "api_key"));
    assert_eq!(full.metadata["ip_address"], "203.0.113.42");
    assert_eq!(full.roots.keys().collect::<Vec<_>>(), ["failed_logins"]);
    let names: Vec<String> = full.facts().unwrap().names().map(str::to_owned).collect();
    assert_eq!(names, ["action", "failed_logins", "metadata", "organization_id", "resource", "user_id"]);
    let anonymous = Context::from_json(&json!({"action": "read", "resource": "report"})).unwrap();
    assert_eq!((anonymous.user_id, anonymous.organization_id), (None, None));
    assert_eq!(
        Context::from_json(&json!({"action": "read"})).unwrap_err(),
        "resource is missing; a context has action and resource"
    );
    assert!(Context::from_json(&json!({"action": "read", "resource": 3})).is_err());
}

#[test]
fn e2_deny_outweighs_approval_and_approval_outweighs_allow_and_every_violation_is_listed() {
    let all = [
        policy("a", "enforce", "", WAIT),
        policy("b", "enforce", "", BLOCK),
        policy("c", "enforce", "", "{type: log}"),
    ]
    .concat();
    let denied = ask(&all, json!({"x": {"bad": true}}));
    assert_eq!(denied.result, Ruling::Deny { reason: "It is bad for b".into() });
    assert_eq!(violated(&denied), [("a", vec!["r"]), ("b", vec!["r"]), ("c", vec!["r"])]);

    let waits = ask(&[all[0].clone(), all[2].clone()], json!({"x": {"bad": true}}));
    assert_eq!(waits.result, Ruling::RequireApproval { approvers: vec!["ann".into(), "bob".into()] });
    let logged = ask(&all[2..], json!({"x": {"bad": true}}));
    assert_eq!((logged.result.clone(), logged.violations.len()), (Ruling::Allow, 1));
    assert_eq!(ask(&all, json!({"x": {"bad": false}})), Evaluation { result: Ruling::Allow, violations: vec![] });
}

#[test]
fn p4_monitor_lists_and_never_blocks_and_either_off_switch_turns_off() {
    let monitored = ask(&policy("m", "monitor", "", BLOCK), json!({"x": {"bad": true}}));
    assert_eq!((monitored.result.clone(), monitored.violations.len()), (Ruling::Allow, 1));
    assert_eq!(ask(&policy("d", "disabled", "", BLOCK), json!({"x": {"bad": true}})).violations, []);
    assert_eq!(ask(&policy("e", "enforce", "enabled: false", BLOCK), json!({"x": {"bad": true}})).violations, []);
    // In Monitor an unknown is listed too, and denies nobody.
    let unknown = ask(&policy("m", "monitor", "", BLOCK), json!({"x": {}}));
    assert_eq!((unknown.result.clone(), unknown.violations.len()), (Ruling::Allow, 1));
}

#[test]
fn p7_all_matching_scopes_are_asked_and_no_other() {
    let all = [
        policy("global", "enforce", "", BLOCK),
        policy("ours", "enforce", "scope: organization\n    scope_id: org_12345", BLOCK),
        policy("theirs", "enforce", "scope: organization\n    scope_id: org_98765", BLOCK),
        policy("any_user", "enforce", "scope: user", BLOCK),
        policy("other_user", "enforce", "scope: user\n    scope_id: user_1", BLOCK),
        policy("this_resource", "enforce", "scope: resource\n    scope_id: api_key", BLOCK),
    ]
    .concat();
    let ids: Vec<_> = ask(&all, json!({"x": {"bad": true}})).violations.into_iter().map(|v| v.policy_id).collect();
    assert_eq!(ids, ["global", "ours", "any_user", "this_resource"]);
}

#[test]
fn e3_nothing_is_answered_before_every_violation_was_logged_and_a_log_that_fails_is_no_answer() {
    let all = [policy("a", "enforce", "", BLOCK), policy("b", "monitor", "", BLOCK)].concat();
    let mut log = Vec::new();
    let said = decide(&all, &context(json!({"x": {"bad": true}}))).logged(|violation| {
        log.push(violation.policy_id.clone());
        Ok::<(), String>(())
    });
    assert!(matches!(said.unwrap().result, Ruling::Deny { .. }));
    assert_eq!(log, ["a", "b"], "the one that lets through is logged as well");
    let failing = decide(&all, &context(json!({"x": {"bad": true}}))).logged(|_| Err("the disk is full"));
    assert_eq!(failing.unwrap_err(), "the disk is full");
}

#[test]
fn e4_answers_map_to_403_and_202_and_allow_goes_on() {
    assert_eq!(Ruling::Allow.http(), None);
    let denied = Ruling::Deny { reason: "no".into() }.http().unwrap();
    assert_eq!((denied.status, denied.body["reason"].as_str()), (403, Some("no")));
    let waits = Ruling::RequireApproval { approvers: vec!["ann".into()] }.http().unwrap();
    assert_eq!((waits.status, waits.body), (202, json!({"status": "pending_approval", "approvers": ["ann"]})));
}

#[test]
fn e4_an_unknown_or_an_error_in_enforce_fails_closed_and_a_missing_root_does_not_apply() {
    let enforce = policy("a", "enforce", "", "{type: log}");
    let unknown = ask(&enforce, json!({"x": {}}));
    let Ruling::Deny { reason } = &unknown.result else { panic!("{unknown:?}") };
    assert!(reason.starts_with("rule r cannot be decided: "), "{reason}");
    let wrong = ask(&enforce, json!({"x": {"bad": "yes"}}));
    assert!(matches!(wrong.result, Ruling::Deny { .. }), "{wrong:?}");
    // A context beyond the engine's limits cannot be judged at all.
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert!(matches!(ask(&enforce, json!({"x": deep.clone()})).result, Ruling::Deny { .. }));
    assert_eq!(ask(&policy("m", "monitor", "", BLOCK), json!({"x": deep})).result, Ruling::Allow);
    assert_eq!(ask(&enforce, json!({})), Evaluation { result: Ruling::Allow, violations: vec![] });
}

#[test]
fn e5_the_batch_takes_policies_of_one_scope_and_tells_compliance_rules_and_severity() {
    let seeds = seeds();
    let scope = Reach::Organization(Some("org_12345".into()));
    let ids: Vec<_> = policies_for_scope(&seeds, &scope).iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(ids, ["policy_budget_001"]);
    let facts = context(json!({"organization": {"monthly_cost": 9600, "budget": 10000}})).facts().unwrap();
    let budget = policies_for_scope(&seeds, &scope)[0];
    let said = evaluate_policy(budget, &facts);
    assert_eq!((said.result.clone(), said.compliant), (Ruling::Allow, false));
    assert_eq!(said.violated_rules, ["rule_budget_warning", "rule_budget_critical"]);
    let violation = said.violation.unwrap();
    assert_eq!(
        (violation.policy_id.as_str(), violation.policy_name.as_str()),
        ("policy_budget_001", "Monthly Cost Budget")
    );
    assert_eq!((violation.severity, violation.violated_rules), (Severity::Medium, said.violated_rules));

    let quiet = evaluate_policy(
        budget,
        &context(json!({"organization": {"monthly_cost": 1, "budget": 10000}})).facts().unwrap(),
    );
    assert_eq!((quiet.compliant, quiet.violation, quiet.result), (true, None, Ruling::Allow));
}

#[test]
fn p11_eighty_percent_is_told_and_only_the_whole_budget_needs_approval() {
    let seeds = seeds();
    let at = |cost: i64| ask(&seeds, json!({"organization": {"monthly_cost": cost, "budget": 10000}})).result;
    assert_eq!((at(7_999), at(8_000), at(9_500)), (Ruling::Allow, Ruling::Allow, Ruling::Allow));
    assert_eq!(at(10_000), Ruling::RequireApproval { approvers: vec!["finance_manager".into()] });
}

#[test]
fn e6_a_synthetic_context_is_compared_with_allow() {
    let admin = |verified: bool| ask(&seeds(), json!({"user": {"role": "admin"}, "auth": {"mfa_verified": verified}}));
    assert_eq!(admin(true).result, Ruling::Allow);
    assert_ne!(admin(false).result, Ruling::Allow);
    let short = json!({"password": {"length": 11, "has_uppercase": true, "has_lowercase": true, "has_number": true,
        "has_special": true, "history_position": null}});
    assert_eq!(violated(&ask(&seeds(), short)), [("policy_password_001", vec!["rule_pwd_length"])]);
}

fn loaded(text: &str) -> Vec<Policy> {
    crate::policy::parse(std::path::Path::new("p.yaml"), text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn m7_nothing_is_ordered_about_people_over_a_rule_that_is_unknown_or_only_monitors() {
    let text = "id: p\nname: P\npolicy_type: security\nenforcement_mode: enforce\nseverity: high\nviolation_actions: [{type: log}, {type: suspend, duration_minutes: 5}]\nrules: [{id: suspicious_login, condition: x.odd}, {id: mfa_not_enabled, require: x.mfa}]\n";
    let mut policies = loaded(text);
    let found = |policies: &[Policy]| {
        let context = context(json!({"x": {"mfa": false}}));
        decide(policies, &context).logged(|_| Ok::<_, ()>(())).unwrap().violations.remove(0)
    };
    let violation = found(&policies);
    assert_eq!(violation.violated_rules, ["suspicious_login", "mfa_not_enabled"]);
    assert_eq!(violation.certain, ["mfa_not_enabled"], "nobody is locked out over an unknown");
    policies[0].rules[1].mode = EnforcementMode::Monitor;
    let violation = found(&policies);
    assert_eq!((violation.certain, violation.actions), (vec![], vec![ViolationAction::Log]));
}

#[test]
fn p7_a_policy_for_a_user_is_asked_whichever_of_the_two_ids_names_them() {
    let text = "id: p\nname: P\npolicy_type: security\nenforcement_mode: enforce\nseverity: high\nscope: user\nscope_id: bob\nviolation_actions: [{type: block}]\nrules: [{id: r, condition: user.id == 'bob'}]\n";
    let policies = loaded(text);
    let ruling =
        |facts: serde_json::Value| decide(&policies, &context(facts)).logged(|_| Ok::<_, ()>(())).unwrap().result;
    assert!(matches!(ruling(json!({"user_id": "ann", "user": {"id": "bob"}})), Ruling::Deny { .. }));
    assert!(matches!(ruling(json!({"user": {"id": "bob"}})), Ruling::Deny { .. }));
    assert_eq!(ruling(json!({"user_id": "ann", "user": {"id": "ann"}})), Ruling::Allow);
}

#[test]
fn p7_an_id_that_is_written_oddly_is_no_way_out_of_a_policy() {
    let one = policy("one", "enforce", "scope: organization\n    scope_id: \"12345\"", BLOCK);
    let denied = |organization: Value| {
        let json = json!({"organization_id": null, "organization": organization, "x": {"bad": true}});
        ask(&one, json).result != Ruling::Allow
    };
    for own in [json!({"id": "12345"}), json!({"id": 12345}), json!("12345"), json!(12345), json!({"id": ["12345"]})] {
        assert!(denied(own.clone()), "{own}");
    }
    for other in [json!({"id": "12346"}), json!({"id": 12346}), json!({}), json!({"id": null}), json!("1"), json!(null)]
    {
        assert!(!denied(other.clone()), "{other}");
    }
}
