//! What commands print as JSON is what their schemas say: every key described, every required key there.

use std::collections::BTreeMap;

use costwarden::cli::scan_json::ScanDocument;
use costwarden::domain::check::Standing;
use costwarden::domain::finding::{Finding, FindingId, Severity};
use costwarden::domain::inventory::{Coverage, Status};
use costwarden::domain::money::Usd;
use costwarden::domain::place::Kind;
use costwarden::domain::scan::{RequestCount, Scan};
use costwarden::engine::score::ScanSummary;
use costwarden::store::Store;
use serde_json::{Value, json};

use super::Desk;
use super::state::{at, finding};

/// Everything in which a value is not what a schema describes. Knows the keywords that our schemas use.
fn differences(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    // Documents of people stand in some outputs as they are.
    let words = |key: &String| matches!(key.as_str(), "title" | "description");
    if schema == &Value::Bool(true) || schema.as_object().is_some_and(|map| map.keys().all(words)) {
        return;
    }
    if let Some(target) = schema["$ref"].as_str() {
        let target = root.pointer(target.trim_start_matches('#')).unwrap();
        return differences(root, target, value, path, found);
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(branches) = schema[word].as_array() {
            let fits = |branch: &&Value| {
                let mut inner = Vec::new();
                differences(root, branch, value, path, &mut inner);
                inner.is_empty()
            };
            if branches.iter().find(fits).is_none() {
                found.push(format!("{path}: fits no branch: {value}"));
            }
            return;
        }
    }
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        found.push(format!("{path}: {value} is not {only}"));
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        found.push(format!("{path}: {value} is none of {words:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = types.is_empty() || types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    if !fits {
        found.push(format!("{path}: {kind} where {types:?} is said"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        differences(root, &schema["items"], item, &format!("{path}[{index}]"), found);
    }
    let Some(map) = value.as_object() else { return };
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(key) {
            found.push(format!("{path}: {key} is missing"));
        }
    }
    for (key, item) in map {
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(inner), _) | (None, Some(inner)) => differences(root, inner, item, &format!("{path}.{key}"), found),
            (None, None) => found.push(format!("{path}: {key} is not described")),
        }
    }
}

pub fn assert_conforms(schema: &Value, value: &Value) {
    let mut found = Vec::new();
    differences(schema, schema, value, "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

fn scan() -> Scan {
    let place = finding("vol-0a", Severity::Low, None).key.partition.place;
    let coverage = |kind, status, error: Option<&str>| Coverage {
        partition: place.partition(kind),
        status,
        pages: 1,
        resources: 3,
        error: error.map(str::to_owned),
        suspect: None,
    };
    Scan {
        id: "s-20261120T020000Z".into(),
        started_at: at("2026-11-20T02:00:00Z"),
        finished_at: Some(at("2026-11-20T02:00:05Z")),
        coverage: vec![
            coverage(Kind::Volume, Status::Complete, None),
            coverage(Kind::Snapshot, Status::Failed, Some("access denied")),
        ],
        requests: vec![RequestCount {
            service: "ec2".into(),
            operation: "DescribeVolumes".into(),
            count: 1,
            retries: 0,
            usd: Some(Usd::ZERO),
        }],
        resources: BTreeMap::from([("storage/volume".into(), 3)]),
        unknown: BTreeMap::new(),
    }
}

#[test]
fn findings_conform_to_their_schemas() {
    let desk = Desk::set_up();
    let one = finding("vol-0a", Severity::Critical, Some(Usd::dollars(8)));
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    store.update_findings(&[one.clone(), finding("vol-0b", Severity::Low, None)], &[]).unwrap();
    drop(store);
    let schema = |name: &str| desk.call(&["schema", name]).json();
    assert_conforms(&schema("findings"), &desk.call(&["findings", "list", "-o", "json"]).json());
    let shown = desk.call(&["findings", "show", &one.id.0, "-o", "json"]).json();
    assert_conforms(&schema("finding"), &shown);
    // The judge itself: a wrong word, a missing key and an unknown one are seen.
    let mut wrong = shown;
    wrong["finding"]["severity"] = json!("huge");
    wrong["finding"].as_object_mut().unwrap().remove("id");
    wrong["extra"] = json!(1);
    let (mut found, schema) = (Vec::new(), schema("finding"));
    differences(&schema, &schema, &wrong, "", &mut found);
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn a_scan_conforms_to_its_schema_and_counts_each_resource_once() {
    let dear = finding("vol-0a", Severity::Medium, Some(Usd::dollars(8)));
    let same = Finding {
        id: FindingId::derive(&dear.key, "tags", "owner"),
        check: "required-tags".into(),
        savings: costwarden::domain::check::Savings::none(),
        ..dear.clone()
    };
    let unpriced = finding("vol-0b", Severity::High, None);
    let watched = Finding {
        standing: Standing::Watching("not yet proven".into()),
        ..finding("vol-0c", Severity::Medium, Some(Usd::dollars(5)))
    };
    let (scan, findings) = (scan(), [dear, same, unpriced, watched]);
    let summary = ScanSummary { applicable: 3, violating: 2, ..ScanSummary::default() };
    let document = ScanDocument::new(&scan, &summary, &findings, at("2026-11-20T02:00:05Z"));
    let value = serde_json::to_value(&document).unwrap();
    assert_conforms(&Desk::empty().call(&["schema", "scan"]).json(), &value);
    assert_eq!(value["scan"]["account"], "123456789012");
    assert_eq!(value["scan"]["complete"], false);
    assert_eq!(
        value["summary"],
        json!({
            "resources": 3,
            "compliance_score": 33.33,
            "level": "non_compliant",
            "by_severity": { "critical": 0, "high": 1, "medium": 2, "low": 0 },
            "monthly_savings_usd": 8.0,
            "not_priced": 1,
            "watching": { "findings": 1, "monthly_savings_usd": 5.0, "not_priced": 0 },
            "unknown": {},
        })
    );
    let empty = serde_json::to_value(ScanDocument::new(&scan, &ScanSummary::default(), &[], scan.started_at)).unwrap();
    assert_eq!((&empty["summary"]["compliance_score"], &empty["summary"]["level"]), (&Value::Null, &json!("unknown")));
}

const DISKS: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: disks\nspec:\n  type: Waste\n  \
                     rules:\n    - name: unattached\n      check: unattached-volume\n      parameters:\n        days: 7\n";

#[test]
fn what_commands_about_policies_print_conforms_to_their_schemas() {
    let desk = Desk::set_up();
    let conforms = |name: &str, code: i32, args: &[&str]| {
        let ended = desk.call(&[args, &["-o", "json"]].concat());
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        let value: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{args:?}: {error}"));
        assert_conforms(&desk.call(&["schema", name]).json(), &value);
        value
    };
    desk.write("disks.yaml", DISKS);
    desk.write("longer.yaml", DISKS.replace("days: 7", "days: 9"));
    desk.write("failing.toml", include_str!("../../../fixtures/policies/seeds/password.toml").replace("= 11", "= 12"));
    let (ann, bob) = (["--by", "ann@example.com"], ["--by", "bob@example.com"]);
    let step = |args: &[&str], by: &[&str]| conforms("policy-step", 0, &[&["policy"], args, by].concat());
    step(&["create", "disks.yaml"], &ann);
    step(&["submit", "disks", "--reviewer", "bob@example.com"], &ann);
    step(&["approve", "disks", "--comment", "fine"], &bob);
    step(&["activate", "disks"], &ann);
    step(&["mode", "disks", "disabled"], &ann);
    step(&["request-changes", "disks", "--reason", "why?"], &bob);
    conforms("policy-apply", 0, &["policy", "apply", "longer.yaml", "--dry-run", "--by", "ann"]);
    conforms("policy-list", 0, &["policy", "list"]);
    conforms("policy-show", 0, &["policy", "show", "disks"]);
    conforms("policy-history", 0, &["policy", "history", "disks"]);
    conforms("policy-review", 0, &["policy", "review", "--type", "quarterly"]);
    let run = conforms("policy-test", 1, &["policy", "test", "failing.toml", "disks.yaml"]);
    assert!(run["failures"][0].is_object() && run["untested"][0] == "disks", "{run}");
    conforms("policy-template-list", 0, &["policy", "template", "list"]);
    conforms("policy-template-show", 0, &["policy", "template", "show", "gdpr_compliance"]);
    conforms("policy-template-instantiate", 0, &["policy", "template", "instantiate", "account_lockout"]);
    conforms("policy-generate", 0, &["policy", "generate", "--framework", "finops", "--out", "baseline"]);
    desk.write("world.yaml", "name: w\nstart: 2026-09-01T00:00:00Z\ndays: 12\naccounts:\n  \"111122223333\":\n    regions:\n      \
        us-east-1:\n        volumes:\n          - { id: vol-0a, size_gib: 100, created: -90d, tags: { owner: a@example.com } }\n");
    let simulated = conforms("simulate", 0, &["simulate", "--world", "world.yaml", "--policy", "disks.yaml"]);
    assert_eq!(simulated["found"].as_array().map(Vec::len), Some(1));
    for day in 1..=9 {
        let at = format!("2026-09-0{day}T02:00:00Z");
        assert_eq!(desk.call(&["scan", "--world", "world.yaml", "--as-of", &at, "--db", "costwarden-state"]).code, 0);
    }
    let compared = conforms("policy-diff", 0, &["policy", "diff", "disks.yaml", "longer.yaml"]);
    assert_eq!(compared["effect"]["vanish"].as_array().map(Vec::len), Some(1), "{compared}");
}
