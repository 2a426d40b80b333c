//! A plan file between its making and its use: what it is bound to, what a dry run leaves alone, what the doctor says.

use costwarden::domain::place::Place;
use serde_json::{Value, json};

use super::{BUILT, Estate, FINE, tag};
use crate::support::fixtures;
use crate::support::moto::{Fault, place};

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:30:00Z";
const DUE: &str = "2027-03-09T11:00:00Z";

/// One idle instance, critical, told an hour and a half ago: its stop is due.
async fn due() -> (Estate, Place, String) {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    estate.edit_policy("idle-instances", "severity: medium", "severity: critical");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let (idle, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    estate.worked(&here, &idle, BUILT, DUE, 1.0, 1_000.0).await;
    estate.now(TOLD);
    let nothing_yet = estate.call(&["plan"]);
    assert!(nothing_yet.one_error(1).contains("costwarden scan"), "{nothing_yet:?}");
    estate.json(&["run"], 0);
    assert_eq!(estate.json(&["plan", "--detailed-exitcode"], 0)["plan"]["steps"], json!([]), "the floor of a stop");
    estate.now(DUE);
    (estate, here, idle)
}

fn message(value: &Value) -> &str {
    value["steps"][0]["message"].as_str().expect("in words")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_asks_for_no_change_and_leaves_every_byte() {
    let (estate, here, idle) = due().await;
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let (files, changes) = (estate.files(), estate.changes(&here.account));
    let requests = estate.moto.log(&here.account).len();
    let dry = estate.json(&["apply", "plan.json", "--dry-run"], 0);
    assert_eq!((dry["dry_run"].as_bool(), &dry["steps"][0]["status"]), (Some(true), &"would".into()), "{dry:#}");
    assert_eq!(dry["steps"][0]["resource"], *idle);
    estate.json(&["run", "--dry-run"], 0);
    let asked = estate.moto.log(&here.account).split_off(requests);
    let reading = |operation: &str| operation.starts_with("Describe") || operation.starts_with("Get");
    let other: Vec<_> = asked.iter().filter_map(|seen| seen.operation.as_deref()).filter(|one| !reading(one)).collect();
    assert!(!asked.is_empty() && other.is_empty(), "a dry run only reads: {other:?}");
    assert_eq!(estate.changes(&here.account), changes);
    estate.unchanged_since(&files, "a dry run");
    assert_eq!(estate.sink.received().len(), 1, "the first notice, and nothing since");

    // Somebody starts to use it: the dry run says that it would not be stopped.
    tag(&estate.moto.ec2(&here).await, &idle, &[("environment", "production")]).await;
    let dry = estate.json(&["apply", "plan.json", "--dry-run"], 5);
    assert_eq!(dry["steps"][0]["status"], "skipped");
    assert!(message(&dry).contains("environment"), "{dry:#}");
    let applied = estate.json(&["apply", "plan.json", "--yes"], 5);
    assert!(message(&applied).contains("environment"), "{applied:#}");
    assert_eq!(estate.changes(&here.account), []);
    assert_eq!(estate.state_of(&here, &idle).await, "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_edited_expired_or_outlived_its_policy_is_refused() {
    let (estate, here, idle) = due().await;
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let good = estate.desk.read("plan.json");
    let stale = |why: &str| {
        let files = estate.files();
        for args in [&["apply", "plan.json", "--yes"][..], &["apply", "plan.json", "--dry-run"]] {
            let ended = estate.call(args);
            let said = ended.one_error(5);
            assert!(said.contains(why) && said.contains("costwarden plan"), "{args:?}: {said}");
        }
        estate.unchanged_since(&files, why);
    };
    let other = format!("i-{}", "0".repeat(17));
    estate.desk.write("plan.json", good.replace(&idle, &other));
    stale("it was edited");
    estate.desk.write("plan.json", &good);
    let policy = estate.desk.read("policies/idle-instances.yaml");
    estate.edit_policy("idle-instances", "cpu_percent: 5", "cpu_percent: 4");
    stale("policy idle-resource-detection has changed");
    estate.desk.write("policies/idle-instances.yaml", policy);
    let again = estate.call(&["apply", "plan.json", "--yes", "--only", "f-none"]);
    assert!(again.one_error(2).contains("names 0 steps"), "the plan itself is fine again: {again:?}");
    estate.now("2027-03-10T11:00:05Z");
    stale("it expired 2027-03-10 11:00 UTC");

    estate.desk.write("plan.json", &good[..good.len() / 2]);
    let cut = estate.call(&["apply", "plan.json", "--yes"]);
    assert!(cut.one_error(2).contains("plan file plan.json, line "), "{cut:?}");
    let gone = estate.call(&["apply", "gone.json", "--yes"]);
    assert!(gone.one_error(2).contains("plan file gone.json cannot be read"), "{gone:?}");
    assert_eq!(estate.changes(&here.account), []);
    assert_eq!(estate.state_of(&here, &idle).await, "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_account_id_typed_changes_nothing_and_a_freeze_holds_what_is_due() {
    let (estate, here, idle) = due().await;
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let refused = estate.call_typing(&["apply", "plan.json"], "123456789012\n");
    assert!(refused.code == 2 && refused.err.contains("nothing was done"), "{refused:?}");
    let silent = estate.call(&["apply", "plan.json", "--no-input"]);
    assert!(silent.one_error(2).contains("--yes"), "{silent:?}");
    let frozen = estate.call(&["freeze", "--reason", "audit", "--by", "carol"]);
    assert_eq!(frozen.code, 0, "{frozen:?}");
    assert_eq!(estate.json(&["plan", "--detailed-exitcode"], 6)["plan"]["steps"], json!([]));
    assert_eq!(estate.call(&["apply", "plan.json", "--yes"]).code, 6);
    assert_eq!(estate.changes(&here.account), []);
    assert_eq!(estate.call(&["unfreeze", "--by", "carol"]).code, 0);
    let applied = estate.call_typing(&["apply", "plan.json"], &format!("{}\n", here.account));
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(estate.state_of(&here, &idle).await, "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_probes_what_a_scan_needs_and_names_what_is_refused() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    let lines = |document: &Value| -> Vec<(String, String, String)> {
        let word = |value: &Value| value.as_str().expect("a word").to_owned();
        let lines = document["lines"].as_array().expect("lines").iter();
        lines.map(|one| (word(&one["status"]), word(&one["what"]), word(&one["message"]))).collect()
    };
    let healthy = lines(&estate.json(&["doctor"], 0));
    let of =
        |word: &str| -> Vec<_> { healthy.iter().filter(|line| line.0 == word).map(|line| line.1.as_str()).collect() };
    assert_eq!(of("failure"), Vec::<&str>::new(), "{healthy:#?}");
    assert_eq!(healthy.iter().filter(|line| line.0 == "ok" && line.1.starts_with("read ")).count(), 6, "{healthy:#?}");
    assert!(of("ok").contains(&format!("identity {account}").as_str()) && of("ok").contains(&"mail"));

    estate.moto.fault(Fault::deny("DescribeVolumes").times(9).of_account(&account));
    let ill = lines(&estate.json(&["doctor"], 1));
    let failed: Vec<_> = ill.iter().filter(|line| line.0 == "failure").collect();
    assert_eq!(failed.len(), 1, "{ill:#?}");
    assert!(failed[0].1.ends_with("storage/volume") && failed[0].2.contains("DescribeVolumes"), "{:?}", failed[0]);
    assert_eq!(estate.changes(&account), [], "the doctor only reads");
    assert!(!estate.desk.path().join("state").exists(), "and makes no state");
}
