//! A resize with the real program on moto: planned with its target, made in three calls, and taken back by the same.
//!
//! moto does not say whether enhanced networking is on, so this plays on a series that needs none.

use serde_json::json;

use super::{BUILT, Estate, FINE, tag};
use crate::support::fixtures;
use crate::support::moto::place;

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:30:00Z";
const DUE: &str = "2027-03-09T11:00:00Z";
/// Linux on hvm (`tests/support/amis.json`).
const IMAGE: &str = "ami-0a0000000000hvm00";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_resize_is_planned_made_in_three_calls_and_taken_back() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    estate.edit_policy("oversized-instances", "severity: high", "severity: critical");
    estate.edit_policy("oversized-instances", "maxVCPUs: 16", "maxVCPUs: 4");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let large = fixtures::instance_from(&ec2, IMAGE, &subnet, "t2.2xlarge", &FINE).await;
    let volumes = estate.volumes(&here).await;
    for volume in &volumes {
        tag(&ec2, volume, &FINE).await;
    }
    let type_now = async || {
        let told = ec2.describe_instances().instance_ids(&large).send().await.expect("it is there");
        told.reservations()[0].instances()[0].instance_type().expect("a type").as_str().to_owned()
    };
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now(DUE);
    let planned = estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let step = &planned["plan"]["steps"][0];
    assert_eq!((&step["act"], &step["to_type"]), (&json!("resize_instance"), &json!("t2.xlarge")), "{planned:#}");
    let shown = estate.call(&["plan"]);
    assert!(shown.out.contains("resize the instance to t2.xlarge"), "{shown:?}");

    let before = estate.changes(&account).len();
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act = applied["steps"][0]["remediation"].as_str().expect("a number").to_owned();
    assert_eq!((estate.state_of(&here, &large).await.as_str(), type_now().await.as_str()), ("running", "t2.xlarge"));
    let called: Vec<String> = estate.changes(&account).split_off(before).into_iter().map(|(call, _)| call).collect();
    assert_eq!(called, ["CreateSnapshots", "StopInstances", "ModifyInstanceAttribute", "StartInstances"]);
    assert_eq!(estate.safety_snapshots(&here).await.len(), volumes.len());

    let dry = estate.json(&["actions", "undo", &act, "--dry-run"], 0);
    assert_eq!((&dry["status"], &dry["call"]), (&json!("would"), &json!(format!("StopInstances {large}"))), "{dry:#}");
    let undone = estate.json(&["actions", "undo", &act, "--yes", "--by", "eve"], 0);
    assert_eq!((&undone["status"], &undone["differences"]), (&json!("completed"), &json!([])), "{undone:#}");
    assert_eq!((estate.state_of(&here, &large).await.as_str(), type_now().await.as_str()), ("running", "t2.2xlarge"));
}
