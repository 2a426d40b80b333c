//! Taking acts back with the real program on moto: what is said first, what is called, what came back.

use aws_sdk_ec2::types::VolumeType;
use serde_json::json;

use super::{BUILT, Estate, FINE};
use crate::support::fixtures;
use crate::support::moto::place;

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:30:00Z";
const DUE: &str = "2027-03-09T11:00:00Z";
const LATER: &str = "2027-03-09T13:00:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_of_a_stop_is_shown_done_compared_and_leaves_the_instance_alone() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    estate.edit_policy("idle-instances", "severity: medium", "severity: critical");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let (idle, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    estate.worked(&here, &idle, BUILT, LATER, 1.0, 1_000.0).await;
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now(DUE);
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act = applied["steps"][0]["remediation"].as_str().expect("a number").to_owned();
    assert_eq!(estate.state_of(&here, &idle).await, "stopped");

    // What is said first changes nothing, here or there.
    let (files, changes) = (estate.files(), estate.changes(&account));
    let dry = estate.json(&["actions", "undo", &act, "--dry-run"], 0);
    assert_eq!((&dry["status"], &dry["call"]), (&json!("would"), &json!(format!("StartInstances {idle}"))), "{dry:#}");
    assert!(dry["cannot_come_back"].to_string().contains("memory"), "{dry:#}");
    assert_eq!(estate.changes(&account), changes);
    estate.unchanged_since(&files, "a dry run of an undo");
    let asked = estate.call(&["actions", "undo", &act, "--no-input", "--by", "eve"]);
    assert!(asked.code == 2 && asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(estate.changes(&account), changes);

    let undone = estate.json(&["actions", "undo", &act, "--yes", "--by", "eve"], 0);
    assert_eq!((&undone["status"], &undone["differences"]), (&json!("completed"), &json!([])), "{undone:#}");
    assert_eq!(estate.state_of(&here, &idle).await, "running");
    let called = estate.changes(&account).split_off(changes.len());
    assert_eq!(called, [("StartInstances".to_owned(), idle.clone())]);

    let again = estate.call(&["actions", "undo", &act, "--yes", "--by", "eve"]);
    assert!(again.one_error(2).contains("was taken back already"), "{again:?}");
    // It is idle still, and nobody stops it again.
    estate.now(LATER);
    estate.json(&["run"], 0);
    assert_eq!(estate.json(&["plan"], 0)["plan"]["steps"], json!([]));
    assert_eq!(estate.state_of(&here, &idle).await, "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gp2_volume_is_changed_to_gp3_and_back_after_six_hours() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    let policy = estate.desk.read("policies/examples/gp2-volumes.yaml");
    estate.desk.write("policies/gp2-volumes.yaml", policy.replace("severity: medium", "severity: critical"));
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let volume = fixtures::volume_of(&ec2, "eu-central-1a", VolumeType::Gp2, 2_000, &FINE).await;
    let kind = async || {
        let told = ec2.describe_volumes().volume_ids(&volume).send().await.expect("it is there");
        let own = &told.volumes()[0];
        (own.volume_type().expect("a type").as_str().to_owned(), own.iops(), own.throughput())
    };
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now(DUE);
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act = applied["steps"][0]["remediation"].as_str().expect("a number").to_owned();
    assert_eq!(kind().await, ("gp3".to_owned(), Some(6_000), Some(250)), "no less than 2,000 GiB of gp2 can do");
    assert_eq!(estate.changes(&account), [("ModifyVolume".to_owned(), volume.clone())], "and no snapshot");

    let early = estate.call(&["actions", "undo", &act, "--yes", "--by", "eve"]);
    assert!(early.code == 5 && early.err.contains("one change of a volume in six hours"), "{early:?}");
    estate.now("2027-03-09T17:30:00Z");
    let undone = estate.json(&["actions", "undo", &act, "--yes", "--by", "eve"], 5);
    assert_eq!(undone["status"], json!("completed"), "{undone:#}");
    assert_eq!(kind().await.0, "gp2");
    // What gp2 does not take, moto leaves as it was; the comparison tells each such field.
    let told = undone["differences"].to_string();
    assert!(told.contains("throughput") && !told.contains("type"), "{told}");
    let called: Vec<String> = estate.changes(&account).into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(called, ["ModifyVolume", "ModifyVolume"]);
}
