//! A disabled key between plan and act, with the real program on moto.

use serde_json::json;

use super::{BUILT, Estate, FINE};
use crate::support::fixtures;
use crate::support::moto::place;

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:30:00Z";
const DUE: &str = "2027-03-09T11:00:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h14_an_instance_with_a_disk_under_a_disabled_key_is_not_stopped_until_the_key_is_enabled_again() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    estate.edit_policy("idle-instances", "severity: medium", "severity: critical");
    let here = place(&account, REGION);
    let (ec2, kms) = (estate.moto.ec2(&here).await, estate.moto.kms(&here).await);
    let key = fixtures::key(&kms).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let (idle, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    let data = fixtures::encrypted_volume(&ec2, "eu-central-1a", 8, &key, &FINE).await;
    fixtures::attach(&ec2, &data, &idle, "/dev/sdf").await;
    estate.worked(&here, &idle, BUILT, "2027-03-09T13:00:00Z", 1.0, 1_000.0).await;
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now(DUE);
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);

    fixtures::set_key(&kms, &key, "Disabled").await;
    let refused = estate.json(&["apply", "plan.json", "--yes"], 5);
    let told = refused["steps"][0].to_string();
    assert!(told.contains(&format!("key {key} of {data} is Disabled, not Enabled")), "{refused:#}");
    assert_eq!(estate.changes(&account), [], "not even a snapshot");
    assert_eq!(estate.state_of(&here, &idle).await, "running");

    fixtures::set_key(&kms, &key, "Enabled").await;
    estate.json(&["plan", "--out", "again.json", "--detailed-exitcode"], 7);
    let applied = estate.json(&["apply", "again.json", "--yes"], 0);
    assert_eq!(applied["steps"][0]["status"], json!("completed"), "{applied:#}");
    assert_eq!(estate.state_of(&here, &idle).await, "stopped");
    assert_eq!(estate.safety_snapshots(&here).await.len(), 2);
    let asked = estate.moto.seen(&account, "DescribeKey").into_iter().filter(|one| one.agent.contains("costwarden"));
    assert_eq!(asked.count(), 1 + 3, "the refusal took one look, the stop three");
}
