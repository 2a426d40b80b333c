//! Settings and policies that do not load, on a machine that has been working: one error with file and line, exit 2,
//! no request to the cloud, and nothing that was known is lost.

use std::fs;
use std::path::Path;

use super::{BUILT, Estate, FIRST_NIGHT};
use crate::support::fixtures;
use crate::support::moto::place;

/// The line of a text that holds `needle`, from 1.
fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).expect("it is there") + 1
}

/// What a text becomes, where the error must point, and what it must say.
type Case = (&'static str, Vec<u8>, String, &'static [&'static str]);

/// Every command that reads settings and policies and then the cloud.
const COMMANDS: [&[&str]; 6] = [
    &["scan"],
    &["plan", "--out", "new-plan.json"],
    &["apply", "plan.json", "--yes"],
    &["run"],
    &["doctor"],
    &["arm", "--account", "000000000000", "--until", "2027-04-01", "--by", "carol"],
];

/// An estate that has worked: a state with a finding, and a plan file.
async fn worked() -> Estate {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &["eu-central-1"], "mode = \"notify\"");
    let here = place(&account, "eu-central-1");
    fixtures::volume(&estate.moto.ec2(&here).await, "eu-central-1a", 8, &[]).await;
    estate.now(FIRST_NIGHT);
    estate.json(&["run"], 0);
    estate.json(&["plan", "--out", "plan.json"], 0);
    estate
}

fn each_is_refused(estate: &Estate, file: &str, cases: &[Case]) {
    let good = estate.desk.read(file);
    let account = estate.desk.read("costwarden.toml");
    let account = account.split("id = \"").nth(1).and_then(|rest| rest.get(..12)).expect("an account").to_owned();
    for (name, bytes, line, words) in cases {
        assert_ne!(*bytes, good.as_bytes(), "{name} changes nothing");
        estate.desk.write(file, bytes);
        let files = estate.files();
        for args in COMMANDS {
            let args: Vec<&str> = args.iter().map(|arg| if *arg == "000000000000" { &account } else { *arg }).collect();
            let ended = estate.call(&args);
            let said = ended.one_error(2);
            assert!(said.contains(&format!("{file}{line}")), "{name}, {args:?}: {said}");
            for word in *words {
                assert!(said.contains(word), "{name}, {args:?} does not say {word:?}: {said}");
            }
            estate.unchanged_since(&files, &format!("{name}: {args:?}"));
        }
    }
    estate.desk.write(file, good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_and_policies_that_do_not_load_stop_every_command_and_lose_nothing() {
    let estate = worked().await;
    let asked = estate.moto.log(&only_account(&estate)).len();
    let settings = estate.desk.read("costwarden.toml");
    let line = |needle: &str| format!(":{}:", line_of(&settings, needle));
    let swap = |from: &str, to: &str| settings.replace(from, to).into_bytes();
    let cases: [Case; 5] = [
        (
            "truncated",
            settings.as_bytes()[..settings.find("\"notify\"").expect("mode") + 4].into(),
            line("mode ="),
            &[],
        ),
        ("unknown key", swap("mode =", "mood ="), line("mode ="), &["mood", "mode"]),
        ("wrong type", swap("\"notify\"", "3"), line("mode ="), &["3", "observe"]),
        ("wrong word", swap("\"notify\"", "\"notfy\""), line("mode ="), &["notfy", "observe", "notify", "enforce"]),
        ("not text", [settings.as_bytes(), b"\xff\n"].concat(), format!(":{}:", settings.lines().count() + 1), &[]),
    ];
    each_is_refused(&estate, "costwarden.toml", &cases);

    let file = "policies/unattached-volumes.yaml";
    let policy = estate.desk.read(file);
    let line = |needle: &str| format!(":{}:", line_of(&policy, needle));
    let swap = |from: &str, to: &str| policy.replace(from, to).into_bytes();
    let end = policy.find("action: terminate").expect("an action");
    let cases: [Case; 6] = [
        ("truncated", policy.as_bytes()[..end + 6].into(), line("action: terminate"), &[]),
        ("unknown key", swap("severity:", "sevrity:"), line("severity:"), &["sevrity", "severity"]),
        ("wrong type", swap("days: 7", "days: [7]"), line("days: 7"), &["days"]),
        ("wrong word", swap("severity: medium", "severity: midium"), line("severity:"), &["midium", "medium"]),
        ("too small", swap("delete_after_days: 14", "delete_after_days: 1"), line("delete_after_days: 14"), &["14"]),
        ("empty", Vec::new(), String::new(), &[]),
    ];
    each_is_refused(&estate, file, &cases);
    assert_eq!(estate.moto.log(&only_account(&estate)).len(), asked, "the cloud was not even asked");

    // Good files again: everything is still known.
    let findings = estate.json(&["findings", "list"], 0);
    assert_eq!(findings["findings"].as_array().map(Vec::len), Some(2), "untagged and unattached: {findings:#}");
    estate.json(&["scan"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_no_file_say_so_and_lose_nothing() {
    let estate = worked().await;
    let files = estate.files();
    fs::rename(estate.desk.path().join("costwarden.toml"), estate.desk.path().join("kept.toml")).expect("renamed");
    for (name, make) in [("a folder", fs::create_dir as fn(std::path::PathBuf) -> _), ("nothing", fs::remove_dir)] {
        make(estate.desk.path().join("costwarden.toml")).expect("it is our folder");
        for args in [&["scan", "--config", "costwarden.toml"][..], &["plan", "--config", "costwarden.toml"]] {
            let ended = estate.call(args);
            assert!(ended.one_error(2).contains("costwarden.toml: "), "{name}: {ended:?}");
        }
    }
    fs::rename(estate.desk.path().join("kept.toml"), estate.desk.path().join("costwarden.toml")).expect("renamed");
    estate.unchanged_since(&files, "settings that were not there");
    assert!(Path::new(estate.desk.path()).join("state").is_dir());
}

fn only_account(estate: &Estate) -> costwarden::domain::place::AccountId {
    let settings = estate.desk.read("costwarden.toml");
    let id = settings.split("id = \"").nth(1).and_then(|rest| rest.get(..12)).expect("an account");
    costwarden::domain::place::AccountId::new(id).expect("twelve digits")
}
