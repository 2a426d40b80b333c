//! Settings and policies that do not load: one error with file and line, exit code 2, and nothing is written.

use std::fs;

use super::Desk;

/// Calls a command on broken files and checks that it left everything alone; returns what it said.
fn refuses(desk: &Desk, args: &[&str]) -> String {
    let before = desk.files();
    let ended = desk.call(args);
    let said = ended.one_error(2).to_owned();
    assert_eq!(desk.files(), before, "{args:?} wrote something");
    said
}

/// The line of a text that holds `needle`, from 1.
fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).unwrap() + 1
}

#[test]
fn broken_settings_give_one_error_with_file_and_line() {
    let good = Desk::set_up().read("costwarden.toml");
    let cut = good.find("breaker_count").unwrap() + 10;
    let mode = line_of(&good, "mode = \"observe\"");
    let cases: [(&str, Vec<u8>, String); 6] = [
        ("truncated", good.as_bytes()[..cut].to_vec(), format!(":{}:", line_of(&good, "breaker_count"))),
        ("unknown key", good.replace("mode = \"observe\"", "mood = \"observe\"").into(), format!(":{mode}:")),
        ("wrong type", good.replace("mode = \"observe\"", "mode = 3").into(), format!(":{mode}:")),
        ("wrong word", good.replace("mode = \"observe\"", "mode = \"obsreve\"").into(), format!(":{mode}:")),
        ("syntax", good.replace("mode = \"observe\"", "mode = = 1").into(), format!(":{mode}:")),
        ("not text", [good.as_bytes(), &[0xff, b'\n']].concat(), format!(":{}:", good.lines().count() + 1)),
    ];
    for (name, bytes, place) in cases {
        for args in [&["config", "check"][..], &["config", "show"], &["policy", "validate"], &["findings", "list"]] {
            let desk = Desk::set_up();
            desk.write("costwarden.toml", &bytes);
            let said = refuses(&desk, args);
            assert!(said.starts_with("error: ") && said.contains(&format!("costwarden.toml{place}")), "{name}: {said}");
        }
    }
}

#[test]
fn settings_that_are_a_folder_or_not_there_say_what_to_do() {
    let desk = Desk::empty();
    fs::create_dir(desk.path().join("costwarden.toml")).unwrap();
    assert!(refuses(&desk, &["config", "check"]).contains("costwarden.toml: is not a file"));
    let gone = Desk::empty();
    let said = refuses(&gone, &["config", "check", "--config", "gone.toml"]);
    assert!(said.contains("gone.toml: cannot be read"), "{said}");
}

#[test]
fn broken_policies_give_one_error_with_file_and_line() {
    let good = Desk::set_up().read("policies/unattached-volumes.yaml");
    let severity = line_of(&good, "severity:");
    let cases: [(&str, Vec<u8>, String); 6] = [
        ("truncated", good.as_bytes()[..good.len() - 3].to_vec(), format!(":{}:", good.lines().count())),
        ("unknown key", good.replace("severity:", "sevrity:").into(), format!(":{severity}:")),
        ("wrong type", good.replace("severity: medium", "severity: [1]").into(), format!(":{severity}:")),
        ("wrong word", good.replace("severity: medium", "severity: midium").into(), format!(":{severity}:")),
        ("empty", Vec::new(), String::new()),
        ("not text", [good.as_bytes(), &[0xff, b'\n']].concat(), format!(":{}:", good.lines().count() + 1)),
    ];
    for (name, bytes, place) in cases {
        assert_ne!(bytes, good.as_bytes(), "{name} changes nothing");
        for args in [&["policy", "validate"][..], &["config", "check"], &["policy", "validate", "policies"]] {
            let desk = Desk::set_up();
            desk.write("policies/unattached-volumes.yaml", &bytes);
            let said = refuses(&desk, args);
            assert!(said.contains(&format!("policies/unattached-volumes.yaml{place}")), "{name}: {said}");
        }
    }
}

#[test]
fn every_mistake_of_every_policy_file_is_told_and_json_lists_the_same() {
    let desk = Desk::set_up();
    for name in ["idle-instances", "old-snapshots"] {
        let file = format!("policies/{name}.yaml");
        desk.write(&file, desk.read(&file).replace("severity:", "sevrity:"));
    }
    let ended = desk.call(&["policy", "validate", "-o", "json"]);
    assert_eq!(ended.code, 2);
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let files: Vec<&str> =
        json["errors"].as_array().unwrap().iter().map(|error| error["file"].as_str().unwrap()).collect();
    assert_eq!((json["valid"].as_bool(), files.len()), (Some(false), 2), "{json:#}");
    for (file, name) in files.iter().zip(["idle-instances", "old-snapshots"]) {
        assert!(file.ends_with(&format!("policies/{name}.yaml")), "{file}");
        assert!(ended.err.contains(file), "{}", ended.err);
    }
}

#[test]
fn policies_that_cannot_be_read_are_named() {
    let desk = Desk::set_up();
    fs::create_dir(desk.path().join("policies/folder.yaml")).unwrap();
    assert!(refuses(&desk, &["policy", "validate"]).contains("policies/folder.yaml: is not a file"));
    assert!(refuses(&desk, &["policy", "validate", "nowhere"]).contains("nowhere: cannot be read"));
    fs::create_dir(desk.path().join("none")).unwrap();
    assert!(refuses(&desk, &["policy", "validate", "none"]).contains("none: the folder holds no policy"));
}
