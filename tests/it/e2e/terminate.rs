//! A termination with the real program on moto: its snapshots and their image first, one call, and an instance like it
//! again from that image.
//!
//! The front of moto keeps the disks, the machine and the tags of a registered image, and launches from it with them
//! (`tests/support/patches.py`); moto itself forgets them.

use std::collections::BTreeSet;

use serde_json::json;

use super::{BUILT, Estate, FINE, tag};
use crate::support::fixtures;
use crate::support::moto::place;

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:30:00Z";
/// A day and more after its owner was told.
const DUE: &str = "2027-03-10T11:00:00Z";
/// Linux on hvm (`tests/support/amis.json`).
const IMAGE: &str = "ami-0a0000000000hvm00";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_a_termination_has_its_image_first_and_is_launched_anew_with_all_its_disks() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"\nallow_auto_terminate = true");
    estate.edit_policy("idle-instances", "severity: medium", "severity: critical");
    estate.edit_policy("idle-instances", "action: stop", "action: terminate");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let old = fixtures::instance_from(&ec2, IMAGE, &subnet, "m5.large", &FINE).await;
    let data = fixtures::volume(&ec2, "eu-central-1a", 20, &FINE).await;
    fixtures::attach(&ec2, &data, &old, "/dev/sdf").await;
    let volumes = estate.volumes(&here).await;
    for volume in &volumes {
        tag(&ec2, volume, &FINE).await;
    }
    estate.worked(&here, &old, BUILT, DUE, 1.0, 1_000.0).await;
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now(DUE);
    estate.json(&["scan"], 0);
    let planned = estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    assert_eq!(planned["plan"]["steps"][0]["act"], json!("terminate_instance"), "{planned:#}");

    let before = estate.changes(&account).len();
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act = applied["steps"][0]["remediation"].as_str().expect("a number").to_owned();
    assert_eq!(estate.state_of(&here, &old).await, "terminated");
    let called: Vec<String> = estate.changes(&account).split_off(before).into_iter().map(|(call, _)| call).collect();
    assert_eq!(called, ["CreateSnapshots", "RegisterImage", "TerminateInstances"]);
    let snapshots = estate.safety_snapshots(&here).await;
    let backed: BTreeSet<&str> = snapshots.iter().filter_map(|own| own.volume_id()).collect();
    assert_eq!(backed, volumes.iter().map(String::as_str).collect(), "every volume");
    let told = ec2.describe_images().owners("self").send().await.expect("images are listed");
    let [image] = told.images() else { panic!("one image: {:?}", told.images()) };
    let of: BTreeSet<&str> = image.block_device_mappings().iter().filter_map(|own| own.ebs()?.snapshot_id()).collect();
    assert_eq!(of, snapshots.iter().filter_map(|own| own.snapshot_id()).collect(), "of exactly the safety snapshots");
    let mark = |key: &str| image.tags().iter().find(|own| own.key() == Some(key)).and_then(|own| own.value());
    assert_eq!(mark("costwarden:safety-snapshot"), Some("true"));

    let dry = estate.json(&["actions", "undo", &act, "--dry-run"], 0);
    let id = image.image_id().expect("an id");
    assert_eq!((&dry["status"], &dry["call"]), (&json!("would"), &json!(format!("RunInstances {id}"))), "{dry:#}");
    assert!(dry["cannot_come_back"].to_string().contains(&old), "{dry:#}");
    let undone = estate.json(&["actions", "undo", &act, "--yes", "--by", "eve"], 5);
    assert_eq!(undone["status"], json!("completed"), "{undone:#}");
    let fields: Vec<&str> = undone["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|own| own["field"].as_str().expect("a field"))
        .collect();
    assert_eq!(fields, ["id", "private address"], "as was said before; everything else came back: {undone:#}");
    let told = ec2.describe_instances().send().await.expect("instances are listed");
    let all = told.reservations().iter().flat_map(|own| own.instances());
    let [new] = all.filter(|own| own.image_id() == Some(id)).collect::<Vec<_>>()[..] else {
        panic!("one new instance")
    };
    let mut disks: Vec<&str> = new.block_device_mappings().iter().filter_map(|own| own.device_name()).collect();
    disks.sort_unstable();
    assert_eq!(disks, ["/dev/sda1", "/dev/sdf"]);
    let mark = |key: &str| new.tags().iter().find(|own| own.key() == Some(key)).and_then(|own| own.value());
    assert_eq!(mark("owner"), Some("ann@example.com"));
    assert!(mark("costwarden:protect").is_some(), "and no rule's hands are on it");
}
