//! Policies of both front ends cut out of their files, compared and switched.

use std::path::Path;

use serde_json::{Value, json};

use costwarden::checks::infos;
use costwarden::domain::lifecycle::{ChangeType, PolicyVersion, SemVer};
use costwarden::policy::EnforcementMode;
use costwarden::policy::document::short_hash;
use costwarden::policy::lifecycle::{Content, change_type, contents, differences, with_mode};

const TWO: &str = r#"#:schema policy.schema.json

# About passwords.
[[policies]]
id = "passwords"
name = "Passwords"
policy_type = "security"
enforcement_mode = "monitor" # for a month
severity = "critical"

# How long.
[[policies.rules]]
id = "length"
require = "password.length >= 12"

# About requests.
[[policies]]
id = "requests"
name = "Requests"
policy_type = "usage"
enforcement_mode = "enforce"
severity = "warning"
metadata = { owner = "platform" }

[[policies.rules]]
id = "many"
condition = "api.requests_per_minute > 100"
description = "Too many"
violation_actions = [{ type = "alert", recipients = ["ops@example.com"] }]
"#;

fn cut(file: &str, text: &str) -> Vec<Content> {
    contents(Path::new(file), text, &infos()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Each piece loads alone to the very policy that the file holds, and is cut no further.
fn held(file: &str, text: &str) -> Vec<Content> {
    let whole = costwarden::policy::parse(Path::new(file), text, &infos()).unwrap();
    let found = cut(file, text);
    let names = |list: &[Content]| list.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), whole.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>(), "{file}");
    for (one, policy) in found.iter().zip(whole) {
        assert_eq!((&one.hash, short_hash(&one.json)), (&policy.hash, policy.hash.clone()), "{file}");
        let path = format!("{}.{}", one.name, one.format);
        let mut alone = costwarden::policy::parse(Path::new(&path), &one.text, &infos()).unwrap();
        let mut policy = policy;
        for policy in [&mut policy, &mut alone[0]] {
            (policy.source.path, policy.source.line) = (path.clone().into(), 0);
            policy.rules.iter_mut().for_each(|rule| rule.line = 0);
            policy.examples.iter_mut().for_each(|example| example.line = 0);
        }
        assert_eq!(format!("{alone:?}"), format!("{:?}", [policy]), "{file}");
        assert_eq!(cut(&path, &one.text), std::slice::from_ref(one), "{file}");
    }
    found
}

#[test]
fn t1_several_policies_of_a_toml_file_are_cut_out_with_their_comments() {
    let found = held("two.toml", TWO);
    let texts: Vec<_> = found.iter().map(|one| (one.format.as_str(), one.text.as_str())).collect();
    let (first, second) = TWO.split_once("# About requests.\n").unwrap();
    let first = first.split_once("\n\n").unwrap().1;
    let second = format!("# About requests.\n{second}");
    assert_eq!(texts, [("toml", first), ("toml", second.as_str())]);
}

#[test]
fn p13_lists_of_json_and_yaml_are_cut_and_what_shares_an_anchor_is_written_anew() {
    let one = |id: &str| {
        json!({"id": id, "name": id, "policy_type": "usage", "enforcement_mode": "enforce", "severity": "info",
            "rules": [{"id": "r", "condition": "a.b > 1.0"}]})
    };
    for (file, text) in [
        ("one.json", format!("{:#}", one("a"))),
        ("list.json", json!([one("a"), one("b")]).to_string()),
        ("below.json", json!({"$schema": "x", "policies": [one("a"), one("b")]}).to_string()),
    ] {
        assert!(held(file, &text).iter().all(|one| one.format == "json"), "{file}");
    }
    let item = |id: &str, actions: &str| {
        format!(
            "  # {id}\n  - id: {id}\n    name: {id}\n    policy_type: usage\n    enforcement_mode: enforce\n    severity: low\n    \
             rules:\n      - id: r\n        condition: a.b > 1\n        violation_actions: {actions}\n"
        )
    };
    let listed = format!("policies:\n{}{}", item("a", "[{type: log}]"), item("b", "[{type: block}]"));
    let texts: Vec<String> = held("list.yaml", &listed).into_iter().map(|one| one.text).collect();
    assert_eq!(
        texts,
        [("a", "log"), ("b", "block")]
            .map(|(id, action)| format!("policies:\n{}", item(id, &format!("[{{type: {action}}}]"))))
    );
    held("bare.yaml", &listed.replace("policies:\n", ""));
    let shared = format!("policies:\n{}{}", item("a", "&told [{type: log}]"), item("b", "*told"));
    let formats: Vec<String> = held("shared.yaml", &shared).into_iter().map(|one| one.format).collect();
    assert_eq!(formats, ["yaml", "json"], "what the second refers to stands in the first");
}

#[test]
fn l2_every_shipped_policy_and_every_seed_is_kept_whole() {
    let mut seen = 0;
    for folder in ["config/policies", "config/policies/examples", "config/policy_frameworks", "fixtures/policies/seeds"]
    {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = path.is_file().then(|| std::fs::read_to_string(&path).unwrap());
            let known =
                path.extension().is_some_and(|ending| ["yaml", "toml", "json"].iter().any(|one| ending == *one));
            if let (Some(text), true) = (text, known && !path.ends_with("policy.schema.json")) {
                seen += held(&path.display().to_string(), &text).len();
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

fn version(content: &Content) -> PolicyVersion {
    PolicyVersion {
        policy: content.name.clone(),
        seq: 1,
        version: SemVer::FIRST,
        hash: content.hash.clone(),
        change: ChangeType::Major,
        summary: String::new(),
        by: "ann".into(),
        at: "2026-11-02T12:00:00Z".parse().unwrap(),
        format: content.format.clone(),
        text: content.text.clone(),
        json: content.json.clone(),
    }
}

#[test]
fn p15_the_mode_is_switched_in_toml_and_json_and_everything_else_stays() {
    let passwords = &cut("two.toml", TWO)[0];
    let switched = with_mode(&version(passwords), EnforcementMode::Enforce, &infos()).unwrap();
    assert_eq!(switched.text, passwords.text.replace("\"monitor\" # for", "\"enforce\" # for"));
    assert_eq!((switched.format.as_str(), &switched.json["enforcement_mode"]), ("toml", &Value::from("enforce")));
    assert_eq!(change_type(&differences(&passwords.json, &switched.json)), ChangeType::Major);

    let text = "{\n  \"name\": \"MFA\", \"policy_type\": \"security\", \"severity\": \"high\",\n  \"enforcement_mode\": \
                \"enforce\",\n  \"rules\": [{\"condition\": \"!auth.mfa_verified\"}]\n}\n";
    for wrapped in [text.to_owned(), format!("[{}]", text.trim())] {
        let mfa = &cut("mfa.json", &wrapped)[0];
        let off = with_mode(&version(mfa), EnforcementMode::Disabled, &infos()).unwrap();
        assert_eq!(off.text, wrapped.replace("\"enforce\"", "\"disabled\""));
    }
    let waste = "type = \"Waste\"\nmetadata = { name = \"disks\" }\n\n[[rules]]\nname = \"unattached\"\ncheck = \
                 \"unattached-volume\"\n";
    let head = "apiVersion = \"costwarden.dev/v1\"\nkind = \"CostPolicy\"\n";
    let disks = &cut("disks.toml", &format!("{head}{waste}"))[0];
    let switched = with_mode(&version(disks), EnforcementMode::Monitor, &infos()).unwrap();
    assert_eq!(switched.text, format!("mode = \"monitor\"\n{head}{waste}"));
}

#[test]
fn p4_a_mode_does_not_turn_on_what_enabled_turns_off() {
    let off = TWO.split("# About requests").next().unwrap().replace("severity =", "enabled = false\nseverity =");
    let off = version(&cut("off.toml", &off)[0]);
    let refused = with_mode(&off, EnforcementMode::Enforce, &infos()).unwrap_err().to_string();
    assert!(refused.contains("enabled is false"), "{refused}");
    assert!(with_mode(&off, EnforcementMode::Disabled, &infos()).is_ok());
}

#[test]
fn l5_in_a_policy_over_contexts_words_and_records_are_minor_and_everything_else_is_major() {
    let base = json!({
        "id": "p", "name": "P", "description": "old", "policy_type": "usage", "enforcement_mode": "monitor",
        "severity": "low", "scope": "organization", "scope_id": "a", "enabled": true, "created_by": "ann",
        "violation_actions": [{"type": "log"}], "metadata": {"owner": "x"}, "examples": [{"name": "e"}],
        "rules": [{"id": "r", "condition": "a > 1", "description": "old", "violation_actions": [{"type": "log"}]},
                  {"condition": "b > 1", "description": "names the rule"}],
    });
    let with = |pointer: &str, value: Value| {
        let mut changed = base.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match changed.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            other => other[key] = value,
        }
        change_type(&differences(&base, &changed))
    };
    for (pointer, value) in [
        ("/name", json!("Other")),
        ("/description", json!("new")),
        ("/created_by", json!("bob")),
        ("/updated_at", json!("2026-11-22T09:00:00Z")),
        ("/metadata/owner", json!("y")),
        ("/metadata", json!({})),
        ("/examples", json!([])),
        ("/$schema", json!("s")),
        ("/rules/0/description", json!("new")),
    ] {
        assert_eq!(with(pointer, value), ChangeType::Minor, "{pointer}");
    }
    for (pointer, value) in [
        ("/id", json!("q")),
        ("/policy_type", json!("security")),
        ("/enforcement_mode", json!("enforce")),
        ("/severity", json!("high")),
        ("/scope", json!("user")),
        ("/scope_id", json!("b")),
        ("/enabled", json!(false)),
        ("/violation_actions", json!([{"type": "block"}])),
        ("/rules/0/condition", json!("a > 2")),
        ("/rules/0/enabled", json!(false)),
        ("/rules/0/severity", json!("high")),
        ("/rules/0/violation_actions/0/type", json!("block")),
        ("/rules/1/description", json!("names it otherwise")),
        (
            "/rules/0",
            json!({"id": "r", "require": "a > 1", "description": "old", "violation_actions": [{"type": "log"}]}),
        ),
    ] {
        assert_eq!(with(pointer, value), ChangeType::Major, "{pointer}");
    }
}
