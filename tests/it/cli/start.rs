//! The first minutes: `init`, then checking what it wrote; help, completions, schemas and the list of checks.

use std::fs;

use costwarden::checks;
use costwarden::settings::init_files;
use serde_json::Value;

use super::Desk;

#[test]
fn what_init_writes_loads_at_once_and_names_the_next_step() {
    let desk = Desk::empty();
    let init = desk.call(&["init"]);
    assert_eq!((init.code, init.err.as_str()), (0, ""));
    let mut expected: Vec<_> = init_files().into_iter().map(|(name, text)| (name.into(), text.into_bytes())).collect();
    expected.sort();
    assert_eq!(desk.files(), expected);
    assert!(init.out.contains("Mode is observe") && init.out.contains("costwarden config check\n"), "{}", init.out);

    let check = desk.call(&["config", "check"]);
    assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    assert!(check.out.contains("act     0 10 * * 1-4    UTC, At 10:00, on Monday"), "{}", check.out);
    assert!(check.out.contains("- accounts: no account is listed"), "{}", check.out);

    let valid = desk.call(&["policy", "validate"]);
    assert_eq!((valid.code, valid.err.as_str()), (0, ""));
    assert!(valid.out.ends_with("\n6 policies in 6 files are valid\n"), "{}", valid.out);
    let quiet = desk.call(&["-q", "policy", "validate", "policies/examples"]);
    assert_eq!(quiet.out, "6 policies in 6 files are valid\n");
    // Looking made no state.
    assert_eq!(desk.files().len(), expected.len());
}

#[test]
fn init_refuses_to_overwrite_and_writes_nothing_then() {
    let desk = Desk::empty();
    desk.write("policies/mandatory-tags.yaml", "mine\n");
    let before = desk.files();
    let refused = desk.call(&["init"]);
    assert!(refused.one_error(2).contains("already: ./policies/mandatory-tags.yaml\n  give --force"), "{refused:?}");
    assert_eq!(desk.files(), before);

    assert_eq!(desk.call(&["init", "--force"]).code, 0);
    assert_eq!(desk.files().len(), init_files().len());
    assert!(desk.read("policies/mandatory-tags.yaml").contains("TagRequirement"));
    // And nothing of what it made aside is left.
    let names: Vec<_> = fs::read_dir(desk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
}

#[test]
fn init_in_another_folder_names_it_in_the_next_steps() {
    let desk = Desk::empty();
    let init = desk.call(&["init", "--dir", "a/b"]);
    assert!(init.out.contains("costwarden config check --config a/b/costwarden.toml\n"), "{init:?}");
    assert_eq!(desk.call(&["config", "check", "--config", "a/b/costwarden.toml"]).code, 0);
    let json = desk.call(&["init", "--dir", "c", "-o", "json"]).json();
    assert_eq!(json["written"].as_array().unwrap().len(), init_files().len());
}

#[test]
fn init_into_a_file_leaves_everything_as_it_was() {
    let desk = Desk::empty();
    desk.write("policies", "a file where a folder must be\n");
    let before = desk.files();
    let failed = desk.call(&["init"]);
    assert!(failed.one_error(1).contains("policies is not a folder"), "{failed:?}");
    assert_eq!(desk.files(), before);
}

#[test]
fn config_show_tells_each_value_with_its_origin() {
    let desk = Desk::set_up();
    let shown = desk.call(&["config", "show", "--db", "elsewhere", "-o", "json"]).json();
    let values = shown["values"].as_array().unwrap();
    let origin = |key: &str| {
        let found: Vec<&Value> = values.iter().filter(|value| value["key"] == key).collect();
        assert_eq!(found.len(), 1, "{key}");
        (found[0]["value"].as_str().unwrap().to_owned(), found[0]["origin"].as_str().unwrap().to_owned())
    };
    let (mode, line) = origin("enforcement.mode");
    assert!(mode == "\"observe\"" && line.contains("costwarden.toml:"), "{mode} {line}");
    let (folder, flag) = origin("state_dir");
    assert!(folder.ends_with("/elsewhere\"") && flag == "--db", "{folder} {flag}");
    assert_eq!(origin("accounts").1, "default");
    assert!(desk.call(&["config", "show"]).out.contains("enforcement.mode "));
}

#[test]
fn config_check_shows_the_next_five_runs_of_each_job_in_the_settings_zone() {
    let desk = Desk::set_up();
    let text = desk.read("costwarden.toml").replace("zone = \"UTC\"", "zone = \"Europe/Berlin\"");
    desk.write("costwarden.toml", text);
    let json = desk.call(&["config", "check", "-o", "json"]).json();
    let jobs = json["schedule"].as_array().unwrap();
    let names: Vec<&str> = jobs.iter().map(|job| job["job"].as_str().unwrap()).collect();
    assert_eq!(names, ["scan", "act", "daily", "weekly"]);
    for job in jobs {
        let next: Vec<&str> = job["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
        assert_eq!((next.len(), job["zone"].as_str()), (5, Some("Europe/Berlin")));
        assert!(next.is_sorted(), "{next:?}");
    }
    assert_eq!(json["policies"], 6);
}

#[test]
fn checks_list_shows_exactly_the_checks_there_are_and_show_all_about_each() {
    let desk = Desk::empty();
    let ids: Vec<&str> = checks::ALL.iter().map(|check| check.info.id).collect();
    let table = desk.call(&["checks", "list"]);
    let shown: Vec<&str> = table.out.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(shown, ids);
    let json = desk.call(&["checks", "list", "-o", "json"]).json();
    let listed: Vec<&str> =
        json["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    for check in checks::ALL {
        let page = desk.call(&["checks", "show", check.info.id]);
        assert_eq!(page.code, 0);
        assert!(page.out.contains(check.info.why), "{}", page.out);
        for param in check.info.params {
            assert!(page.out.contains(param.name), "{} lacks {}", check.info.id, param.name);
        }
    }
    let missing = desk.call(&["checks", "show", "idle-instanc"]);
    assert!(missing.one_error(2).contains("did you mean \"idle-instance\"?"), "{missing:?}");
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    let desk = Desk::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.call(&["completion", shell]);
        assert_eq!((script.code, script.err.as_str()), (0, ""));
        for word in ["costwarden", "findings", "unfreeze", "validate", "log-format"] {
            assert!(script.out.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn schemas_are_json_schemas_and_out_writes_each_to_its_file() {
    let desk = Desk::empty();
    let all = [
        "approvals",
        "audit-list",
        "audit-verify",
        "config",
        "evaluate",
        "exception-report",
        "exception",
        "exceptions",
        "finding",
        "findings",
        "iam",
        "plan",
        "policy-apply",
        "policy-diff",
        "policy-generate",
        "policy-history",
        "policy-list",
        "policy-review",
        "policy-show",
        "policy-step",
        "policy-template-instantiate",
        "policy-template-list",
        "policy-template-show",
        "policy-test",
        "policy",
        "request",
        "scan",
        "simulate",
        "template",
        "world",
    ];
    assert_eq!(desk.call(&["schema", "--out", "schemas"]).code, 0);
    let names: Vec<String> = desk.files().iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(names, all.map(|name| format!("schemas/{name}.schema.json")));
    for name in all {
        let schema = desk.call(&["schema", name]).json();
        assert!(schema["$schema"].as_str().unwrap().starts_with("https://json-schema.org/"), "{name}");
        assert!(schema["title"].as_str().unwrap().starts_with("costwarden "), "{name}");
        let written: Value = serde_json::from_str(&desk.read(&format!("schemas/{name}.schema.json"))).unwrap();
        assert_eq!(written, schema, "{name}");
    }
    assert!(desk.call(&["schema", "plan", "scan"]).one_error(2).contains("--out FOLDER"));
}

#[test]
fn help_is_data_and_wrong_use_is_code_two() {
    let desk = Desk::empty();
    let help = desk.call(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    for args in [&["frobnicate"][..], &["findings", "list", "--state", "opne"], &["-q", "-v", "checks", "list"], &[]] {
        let wrong = desk.call(args);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{args:?}");
        assert!(!wrong.err.is_empty());
    }
    assert_eq!(desk.files(), []);
}
