//! `evaluate`: a pull-request gate over requests, contexts and Terraform plans.

use serde_json::{Value, json};

use super::{Desk, Ended};

const MIXED: &str = include_str!("../../../fixtures/terraform/mixed.json");
const HOSTILE: &str = include_str!("../../../fixtures/terraform/hostile.json");
const MFA: &str = include_str!("../../../fixtures/policies/seeds/mfa.json");

const LIMITS: &str = "
metadata: {name: resource-limits}
type: ResourceLimit
rules:
  - {name: size, resource: compute/instance, constraint: {maxVCPUs: 8, maxMemoryGB: 64, deniedInstanceFamilies: [gpu]}}
  - {name: disks, resource: storage/volume, constraint: {maxSizeGB: 1000}}
  - {name: databases, resource: database/instance, constraint: {maxVCPUs: 8, maxStorageGB: 500}}
---
metadata: {name: mandatory-tags}
type: TagRequirement
severity: medium
rules:
  - {name: cost-center, requiredTags: [{key: cost-center, pattern: '^CC-[0-9]{6}$'}]}
";

fn desk() -> Desk {
    let desk = Desk::empty();
    desk.write("p.yaml", LIMITS);
    desk.write("plan.json", MIXED);
    desk
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_plan_is_judged_by_exactly_what_it_creates_and_changes() {
    let ended = desk().call(&["evaluate", "--policies", "p.yaml", "--terraform-plan", "plan.json", "-o", "json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let said = document(&ended);
    let found: Vec<_> = said["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| [&v["resource"], &v["rule_name"], &v["effect"]].map(|text| text.as_str().unwrap().to_owned()))
        .collect();
    let rows = [
        ["aws_instance.gpu", "size", "deny"],
        ["aws_instance.gpu", "cost-center", "warn"],
        ["module.data[\"a.b\"].aws_ebs_volume.store", "disks", "deny"],
        ["module.data[\"a.b\"].aws_ebs_volume.store", "cost-center", "warn"],
        ["aws_db_instance.main", "databases", "deny"],
        ["aws_eip.front", "cost-center", "warn"],
    ];
    assert_eq!(found, rows.map(|row| row.map(str::to_owned)));
    assert_eq!((&said["answer"], &said["allowed"], &said["requests"]), (&json!("deny"), &json!(false), &json!(7)));
    assert_eq!(said["not_judged"], json!(["aws_iam_role_policy_attachment.x"]));
    let unpriced: Vec<_> =
        said["unpriced"].as_array().unwrap().iter().map(|item| item["resource"].as_str().unwrap()).collect();
    assert!(unpriced.contains(&"aws_db_instance.main") && !unpriced.contains(&"aws_instance.web"), "{unpriced:?}");
    assert!(said["monthly_usd"].as_f64().unwrap() > 0.0);
}

#[test]
fn exit_codes_fit_a_gate_and_fail_on_catches_what_is_let_through() {
    let desk = desk();
    let code = |args: &[&str]| desk.call(&[&["evaluate", "--policies", "p.yaml"], args].concat()).code;
    desk.write(
        "good.yaml",
        "type: compute/instance\nname: web\ntags: {cost-center: CC-001234}\nspecs: {instance_type: m5.large}\n",
    );
    desk.write("untagged.yaml", "type: compute/instance\ntags: {}\nspecs: {instance_type: m5.large}\n");
    desk.write("huge.json", "{\"type\": \"compute/instance\", \"tags\": {\"cost-center\": \"CC-001234\"}, \"specs\": {\"instance_type\": \"m5.24xlarge\"}}\n");
    assert_eq!(code(&["good.yaml"]), 0);
    assert_eq!(code(&["untagged.yaml"]), 0);
    assert_eq!(code(&["untagged.yaml", "--fail-on", "high"]), 0);
    assert_eq!(code(&["untagged.yaml", "--fail-on", "medium"]), 3);
    assert_eq!(code(&["huge.json"]), 3);
    desk.write(
        "ask.yaml",
        "metadata: {name: ask}\ntype: Approval\nrules:\n  - {name: dear, approvers: [finance], monthlyAboveUsd: 10}\n",
    );
    assert_eq!(desk.call(&["evaluate", "--policies", "ask.yaml", "good.yaml"]).code, 6);
    assert_eq!(desk.call(&["evaluate", "--policies", "ask.yaml", "good.yaml", "--monthly-usd", "web=10"]).code, 0);
    assert_eq!(desk.call(&["evaluate", "--policies", "ask.yaml", "good.yaml", "--monthly-usd", "web=10.01"]).code, 6);
    assert_eq!(desk.call(&["evaluate", "--policies", "ask.yaml", "good.yaml", "--monthly-usd", "wob=10"]).code, 2);
    desk.write("typo.yaml", "type: compute/instance\nspecs: {vcpu: 2}\n");
    let wrong = desk.call(&["evaluate", "--policies", "p.yaml", "typo.yaml"]);
    assert!(
        wrong.code == 2 && wrong.err.contains("typo.yaml:2:") && wrong.err.contains("did you mean \"vcpus\"?"),
        "{wrong:?}"
    );
    desk.write("not.json", "PK\u{3}\u{4}");
    assert_eq!(desk.call(&["evaluate", "--policies", "p.yaml", "--terraform-plan", "not.json"]).code, 2);
    assert_eq!(desk.call(&["evaluate", "--policies", "p.yaml"]).code, 2);
}

#[test]
fn a_context_is_decided_with_the_status_that_a_middleware_answers_with() {
    let desk = Desk::empty();
    desk.write("mfa.json", MFA);
    desk.write("ask.json", "{\"action\": \"delete\", \"resource\": \"project\", \"user_id\": \"ann\", \"user\": {\"role\": \"admin\"}, \"auth\": {\"mfa_verified\": false}}\n");
    let ended = desk.call(&["evaluate", "--policies", "mfa.json", "ask.json", "-o", "json"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let said = &document(&ended)["decisions"][0];
    assert_eq!((&said["result"], &said["http_status"]), (&json!("deny"), &json!(403)));
    assert_eq!(said["context"], "ann wants delete on project");
    let fine = desk.read("ask.json").replace("false", "true");
    desk.write("ask.json", fine);
    assert_eq!(desk.call(&["evaluate", "--policies", "mfa.json", "ask.json"]).code, 0);
}

#[test]
fn e3_violations_are_in_the_audit_trail_when_there_is_a_state_also_when_let_through() {
    let desk = Desk::set_up();
    desk.write("untagged.yaml", "type: compute/instance\ntags: {}\nspecs: {instance_type: m5.large}\n");
    desk.write("p.yaml", LIMITS);
    costwarden::store::Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let args = [
        "evaluate",
        "--config",
        "costwarden.toml",
        "--db",
        "costwarden-state",
        "--policies",
        "p.yaml",
        "untagged.yaml",
    ];
    let ended = desk.call(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    let store = costwarden::store::Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let rows = store.audit_rows(0, 10).unwrap();
    let said: Vec<_> = rows.iter().map(|row| (row.entry.what.as_str(), row.entry.subject.as_str())).collect();
    assert_eq!(said, [("violation", "mandatory-tags / cost-center")]);
}

#[test]
fn sarif_junit_and_markdown_say_the_same_and_hostile_text_stays_text() {
    let desk = desk();
    desk.write("plan.json", HOSTILE);
    desk.write("owner.yaml", "metadata: {name: owners}\ntype: TagRequirement\nrules:\n  - {name: owner, requiredTags: [{key: owner, pattern: '^[a-z]+$'}]}\n");
    let call = |format: &str| {
        let ended = desk.call(&["evaluate", "--policies", "owner.yaml", "--terraform-plan", "plan.json", "-o", format]);
        assert_eq!(ended.code, 3, "{ended:?}");
        ended.out
    };
    let sarif: Value = serde_json::from_str(&call("sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&json!("owners/owner"), &json!("error")));
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "plan.json");
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"], json!([{"id": "owners/owner"}]));
    let junit = call("junit");
    assert!(junit.contains("failures=\"1\"") && junit.contains("classname=\"owners\""), "{junit}");
    assert!(!junit.contains("<img"), "{junit}");
    let markdown = call("md");
    assert!(markdown.starts_with("### ⛔ costwarden: "), "{markdown}");
    assert!(
        !markdown.contains("<img") && !markdown.contains("@everyone") && !markdown.contains("](https"),
        "{markdown}"
    );
    let rows = markdown.lines().filter(|line| line.starts_with("| deny")).count();
    assert_eq!(rows, 1, "{markdown}");
    let table = desk.call(&["evaluate", "--policies", "owner.yaml", "--terraform-plan", "plan.json"]).out;
    assert!(!table.contains('\u{202e}') && table.starts_with("Denied.\n"), "{table}");
}

#[test]
fn v6_a_blocking_budget_without_any_spend_on_file_says_so_and_holds_the_request_to_its_own_cost() {
    let desk = desk();
    desk.write("b.yaml", "metadata: {name: team}\ntype: BudgetLimit\nrules:\n  - {name: all, budget: {monthly: 100, alertThresholds: [{percent: 100, action: block-new-resources}]}}\n");
    desk.write("small.yaml", "type: compute/instance\ntags: {}\nspecs: {instance_type: m5.large}\nmonthly_usd: 100\n");
    let ended = desk.call(&["evaluate", "--policies", "b.yaml", "small.yaml"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("note: budget team / all: what is spent so far is not known"), "{}", ended.out);
    let large = desk.read("small.yaml").replace("100", "101");
    desk.write("small.yaml", large);
    assert_eq!(desk.call(&["evaluate", "--policies", "b.yaml", "small.yaml"]).code, 3);
}

#[test]
fn formats_that_a_command_does_not_print_are_refused() {
    let desk = Desk::set_up();
    for format in ["sarif", "junit", "md"] {
        assert!(desk.call(&["checks", "list", "-o", format]).one_error(2).contains("does not print this format"));
    }
}

#[test]
fn m8_handling_a_violation_leaves_a_ticket_in_the_state_and_what_is_to_be_sent_in_the_outbox() {
    let desk = Desk::set_up();
    let state = desk.path().join("costwarden-state");
    costwarden::store::Store::open_in(&state).unwrap();
    desk.write("lock.yaml", "policies:\n  - id: lockout\n    name: Lockout\n    policy_type: security\n    enforcement_mode: enforce\n    severity: low\n    violation_actions: [{type: alert, recipients: [sec@example.com]}, {type: suspend, duration_minutes: 60}]\n    rules: [{id: suspicious_login, condition: failed_logins >= 3, description: Three failed logins}]\n");
    desk.write("ask.yaml", "action: log in\nresource: console\nuser_id: ann\nfailed_logins: 3\n");
    let args =
        ["evaluate", "--config", "costwarden.toml", "--db", "costwarden-state", "--policies", "lock.yaml", "ask.yaml"];
    let ended = desk.call(&[&args[..], &["--handle"]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let store = costwarden::store::Store::open_in(&state).unwrap();
    assert_eq!(store.outbox_counts().unwrap().pending, 1);
    let [ticket] = store.tickets().unwrap().try_into().unwrap();
    assert_eq!((ticket.assignee.as_str(), ticket.priority.as_str()), ("security_team", "High"));
    assert!(ticket.comments[0].contains("suspend the user for 60 minutes (ann)"), "{ticket:?}");
    assert!(desk.read("costwarden-state/tickets/violation-1.json").contains("security_team"));
    let without = desk.call(&["evaluate", "--policies", "lock.yaml", "ask.yaml", "--handle"]);
    assert!(without.one_error(2).contains("--handle needs a state"));
}

#[test]
fn s8_a_request_that_waits_is_on_file_for_its_approver_and_goes_through_once_approved() {
    use costwarden::domain::lifecycle::{ApprovalKind, ApprovalState};
    let desk = Desk::set_up();
    let state = desk.path().join("costwarden-state");
    let store = costwarden::store::Store::open_in(&state).unwrap();
    desk.write("spend.yaml", "policies:\n  - id: spend\n    name: Spend\n    policy_type: usage\n    enforcement_mode: enforce\n    severity: low\n    violation_actions: [{type: require_approval, approvers: [fin@example.com]}]\n    rules: [{id: large, condition: amount > 100}]\n");
    desk.write("ask.yaml", "action: buy\nresource: licences\nuser_id: ann\namount: 500\n");
    let args =
        ["evaluate", "--config", "costwarden.toml", "--db", "costwarden-state", "--policies", "spend.yaml", "ask.yaml"];
    for handle in [&[][..], &["--handle"], &["--handle"]] {
        let ended = desk.call(&[&args[..], handle].concat());
        assert_eq!(ended.code, 6, "{ended:?}");
        assert!(ended.out.starts_with("Waits for approval by fin@example.com.\n"), "{}", ended.out);
    }
    let [open] = store.approvals_pending(None).unwrap().try_into().unwrap();
    assert_eq!((open.kind, open.asked_by.as_str()), (ApprovalKind::Request, "ann"));
    assert_eq!(store.outbox_counts().unwrap().pending, 1, "one question is one mail");
    let now = costwarden::clock::Clock::System.now();
    store.decide_approval(open.id, ApprovalState::Approved, None, now).unwrap();
    assert_eq!(desk.call(&args).code, 0);
    desk.write("ask.yaml", desk.read("ask.yaml").replace("500", "501"));
    assert_eq!(desk.call(&args).code, 6, "another amount is another request");
}

#[test]
fn e2_forty_thousand_denials_are_told_once_each() {
    use costwarden::policy::decide::{Context, Ruling, decide};
    let text = "id: p\nname: P\npolicy_type: security\nenforcement_mode: enforce\nseverity: high\nviolation_actions: [{type: block}]\nrules: [{id: r, condition: x.bad}]\n";
    let mut policies = costwarden::policy::parse(std::path::Path::new("p.yaml"), text, &[]).unwrap();
    let rule = policies[0].rules[0].clone();
    let numbered = |n: u32| {
        let mut rule = rule.clone();
        rule.name = format!("r{n}");
        rule
    };
    policies[0].rules = (0..40_000).map(numbered).collect();
    let context = Context::from_json(&json!({"action": "a", "resource": "b", "x": {"bad": true}})).unwrap();
    let said = decide(&policies, &context).logged(|_| Ok::<_, ()>(())).unwrap();
    let Ruling::Deny { reason } = said.result else { panic!() };
    let told: std::collections::BTreeSet<&str> = reason.split("; ").collect();
    assert_eq!((told.len(), reason.split("; ").count()), (40_000, 40_000));
}

#[test]
fn t12_a_pasted_context_is_evaluated_and_nothing_is_left_behind() {
    use costwarden::policy::decide::evaluate_policy;
    use costwarden::policy::expression::Facts;
    // The library's half, on which a simulator page can stand: a policy and facts in, an answer out, nothing else.
    let policy = costwarden::policy::parse_one_json(MFA).unwrap();
    let facts = |verified: bool| json!({"user": {"role": "admin"}, "auth": {"mfa_verified": verified}});
    let ask = |facts: &Value| evaluate_policy(&policy, &Facts::from_json(facts).unwrap());
    assert_eq!((ask(&facts(false)).compliant, ask(&facts(true)).compliant), (false, true));
    assert_eq!(ask(&facts(false)).violated_rules, ["rule-an-administrator-has-shown-a-second-factor"]);

    let desk = Desk::empty();
    desk.write("mfa.json", MFA);
    desk.write(
        "pasted.json",
        json!({"action": "log in", "resource": "console", "user": {"role": "admin"}, "auth": {"mfa_verified": false}})
            .to_string(),
    );
    let before = desk.files();
    let ended = desk.call(&["evaluate", "--policies", "mfa.json", "pasted.json", "-o", "json"]);
    assert_eq!((ended.code, &document(&ended)["decisions"][0]["result"]), (3, &json!("deny")));
    assert_eq!(desk.files(), before, "no state, no log, no message");
}

#[test]
fn t11_one_file_is_validated_by_itself() {
    let desk = Desk::empty();
    desk.write("good.json", MFA);
    desk.write("bad.json", MFA.replace("\"security\"", "\"secure\""));
    assert_eq!(desk.call(&["policy", "validate", "good.json"]).code, 0);
    let wrong = desk.call(&["policy", "validate", "bad.json"]);
    assert!(
        wrong.code == 2 && wrong.err.contains("bad.json:4:18") && wrong.err.contains("accepted: access_control"),
        "{wrong:?}"
    );
    assert_eq!(desk.call(&["policy", "validate", "gone.json"]).code, 2);
}
