//! `policy validate`, `test`, `template` and `generate` in the real binary.

use serde_json::Value;

use super::Desk;

const PASSWORD: &str = include_str!("../../../fixtures/policies/seeds/password.toml");

fn sarif(desk: &Desk, code: i32) -> Value {
    let ended = desk.call(&["policy", "validate", "-o", "sarif", "policies"]);
    assert_eq!(ended.code, code, "{ended:?}");
    let log: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&log["version"], log["runs"].as_array().unwrap().len()), (&"2.1.0".into(), 1));
    log["runs"][0]["results"].clone()
}

#[test]
fn validate_says_in_sarif_what_is_wrong_and_where() {
    let desk = Desk::empty();
    desk.write("policies/a.toml", PASSWORD);
    assert_eq!(sarif(&desk, 0), Value::Array(Vec::new()));
    desk.write("policies/a.toml", PASSWORD.replace("password.length >= 12", "password.length >= (12"));
    let results = sarif(&desk, 2);
    let [result] = results.as_array().unwrap().as_slice() else { panic!("{results}") };
    let place = &result["locations"][0]["physicalLocation"];
    let line = PASSWORD.lines().position(|line| line.contains("password.length")).unwrap() + 1;
    assert_eq!((&result["ruleId"], &result["level"]), (&"policy-invalid".into(), &"error".into()));
    assert_eq!(place["artifactLocation"]["uri"], "policies/a.toml");
    assert_eq!(place["region"]["startLine"], line);
    assert!(place["region"]["startColumn"].as_u64().unwrap() > "require = \"".len() as u64);
}

#[test]
fn a_format_that_a_command_does_not_print_is_bad_use() {
    let desk = Desk::empty();
    for args in
        [&["findings", "list", "-o", "sarif"][..], &["policy", "validate", "-o", "junit"], &["init", "-o", "sarif"]]
    {
        assert!(desk.call(args).one_error(2).contains("accepted: -o table or -o json"), "{args:?}");
    }
    assert!(desk.files().is_empty());
}

#[test]
fn t9_test_counts_what_passed_and_names_what_did_not_and_what_nobody_tried() {
    let desk = Desk::empty();
    desk.write("policies/a.toml", PASSWORD.replace("length = 11", "length = 12"));
    let silent = "name: S\npolicy_type: usage\nenforcement_mode: monitor\nseverity: low\nrules: [{condition: a.b}]\n";
    desk.write("policies/b.yaml", silent);
    let ended = desk.call(&["policy", "test", "-o", "json", "policies"]);
    let run: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(
        (&run["schema_version"], &run["total_tests"], &run["passed"], &run["failed"]),
        (&1.into(), &2.into(), &1.into(), &1.into())
    );
    assert_eq!(run["failures"].as_array().unwrap().len(), 1);
    assert_eq!(run["failures"][0]["policy_name"], "policy_password_001");
    assert!(run["failures"][0]["reason"].as_str().unwrap().contains("expected violated, got compliant"), "{run}");
    assert_eq!(run["untested"], serde_json::json!(["policy-s"]));

    desk.write("policies/a.toml", PASSWORD);
    assert_eq!(desk.call(&["policy", "test", "policies"]).code, 0);
    let strict = desk.call(&["policy", "test", "--strict", "-o", "junit", "policies"]);
    assert_eq!(strict.code, 1, "{strict:?}");
    let head = strict.out.lines().find(|line| line.starts_with("<testsuites")).unwrap();
    assert!(head.contains("tests=\"3\"") && head.contains("failures=\"1\""), "{head}");
    assert!(strict.out.contains("the policy has no example"), "{}", strict.out);
    let junit = desk.call(&["policy", "test", "-o", "junit", "policies"]);
    assert!(junit.code == 0 && junit.out.contains("<skipped"), "{junit:?}");
}

#[test]
fn t9_a_hostile_name_reaches_no_terminal_and_no_markup() {
    let desk = Desk::empty();
    let text = "name: S\npolicy_type: usage\nenforcement_mode: monitor\nseverity: low\nrules: [{condition: a.b}]\nexamples:\n- {name: \"\\e[2J<x> & \\\"\", context: {a: {b: true}}, expect: compliant}\n";
    desk.write("p.yaml", text);
    for format in ["table", "json", "junit"] {
        let ended = desk.call(&["policy", "test", "-o", format, "p.yaml"]);
        assert!(ended.code == 1 && !ended.out.contains('\u{1b}'), "{ended:?}");
        assert!(format != "junit" || !ended.out.contains("<x>"), "{}", ended.out);
    }
}

#[test]
fn t5_a_template_takes_values_of_its_types_alone() {
    let desk = Desk::empty();
    let made = desk.call(&[
        "policy",
        "template",
        "instantiate",
        "account_lockout",
        "--set",
        "max_failed_attempts=3",
        "--set",
        "lockout_duration_minutes=60",
        "-o",
        "json",
    ]);
    let policies = &made.json()["policies"];
    assert_eq!(policies[0]["rules"][0]["condition"], "failed_logins >= 3");
    assert_eq!(policies[0]["violation_actions"][1]["duration_minutes"], 60);
    assert_eq!(policies[0]["id"], "policy-account-lockout");
    for (set, word) in [
        ("max_failed_attempts=three", "a whole number"),
        ("max_faild_attempts=3", "did you mean \"max_failed_attempts\"?"),
        ("max_failed_attempts", "--set VARIABLE=VALUE"),
    ] {
        let ended = desk.call(&["policy", "template", "instantiate", "account_lockout", "--set", set]);
        assert!(ended.one_error(2).contains(word), "{ended:?}");
    }
    let ended = desk.call(&["policy", "template", "show", "acount_lockout"]);
    assert!(ended.one_error(2).contains("did you mean \"account_lockout\"?"), "{ended:?}");
}

#[test]
fn t8_a_second_run_of_the_generator_changes_nothing_and_an_edited_file_is_safe() {
    let desk = Desk::empty();
    let call = ["policy", "generate", "--framework", "gdpr", "--mode", "monitor", "--scope", "global", "--out", "p"];
    assert_eq!(desk.call(&call).code, 0);
    let first = desk.files();
    let names: Vec<String> = first.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(
        names,
        ["p/policy-gdpr-data-access-request.toml", "p/policy-gdpr-data-retention.toml", "p/policy.schema.json"]
    );
    let second = desk.call(&call);
    assert_eq!((second.code, second.out.matches("unchanged").count()), (0, 3), "{second:?}");
    assert_eq!(desk.files(), first);
    assert_eq!(desk.call(&["policy", "test", "--strict", "p"]).code, 0);

    let edited = format!("{}# mine\n", desk.read("p/policy-gdpr-data-retention.toml"));
    desk.write("p/policy-gdpr-data-retention.toml", &edited);
    std::fs::remove_file(desk.path().join("p/policy-gdpr-data-access-request.toml")).unwrap();
    assert!(desk.call(&call).one_error(2).contains("says something else"));
    assert_eq!(desk.files().len(), 2);
    assert_eq!(desk.read("p/policy-gdpr-data-retention.toml"), edited);
    assert_eq!(desk.call(&[&call[..], &["--force"]].concat()).code, 0);
    assert_eq!(desk.files(), first);
}
