//! A restore drill with the real program on moto: from the safety snapshot to the volume and back to nothing.

use super::{BUILT, Estate, FINE};
use crate::support::fixtures;
use crate::support::moto::place;

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:31:00Z";
const DUE: &str = "2027-03-09T11:00:00Z";
const SOON: &str = "2027-03-11T11:00:00Z";
const WEEK: &str = "2027-03-16T11:00:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h14_a_drill_makes_a_volume_of_a_safety_snapshot_deletes_it_again_and_tells_of_a_disabled_key() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(
        &[&account],
        &[REGION],
        "mode = \"enforce\"\n[reports]\nto = [\"ops@example.com\"]\n[drill]\nevery_days = 7",
    );
    estate.edit_policy("idle-instances", "severity: medium", "severity: critical");
    let here = place(&account, REGION);
    let (ec2, kms) = (estate.moto.ec2(&here).await, estate.moto.kms(&here).await);
    let key = fixtures::key(&kms).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let (idle, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    let data = fixtures::encrypted_volume(&ec2, "eu-central-1a", 8, &key, &FINE).await;
    fixtures::attach(&ec2, &data, &idle, "/dev/sdf").await;
    estate.worked(&here, &idle, BUILT, WEEK, 1.0, 1_000.0).await;
    estate.now(TOLD);
    estate.json(&["run"], 0);
    let armed = estate.call_typing(
        &["arm", "--account", account.as_str(), "--until", "2027-04-01", "--by", "carol"],
        &format!("{account}\n"),
    );
    assert_eq!(armed.code, 0, "{armed:?}");
    let before = estate.volumes(&here).await;

    // It stops, and tries one of the snapshots that it made for that.
    estate.now(DUE);
    estate.json(&["run"], 0);
    let changes = estate.changes(&account);
    let called: Vec<&str> = changes.iter().map(|(operation, _)| operation.as_str()).collect();
    assert_eq!(called, ["CreateSnapshots", "StopInstances", "CreateVolume", "DeleteVolume"], "{changes:?}");
    assert_eq!(estate.volumes(&here).await, before, "nothing is left and nothing else is gone");
    let deleted = &changes[3].1;
    assert!(!before.contains(deleted), "{deleted} was never there before");
    let asked = estate
        .moto
        .seen(&account, "CreateVolume")
        .into_iter()
        .find(|one| !one.dry_run && one.agent.contains("costwarden"));
    let asked = asked.expect("the drill's call").parameters.to_string();
    assert!(asked.contains("costwarden:drill") && asked.contains("ClientToken"), "{asked}");
    let doctor = estate.call(&["doctor"]);
    assert!(doctor.out.contains("passed"), "{doctor:?}");

    // Not again before a week has passed.
    estate.now(SOON);
    estate.json(&["run"], 0);
    assert_eq!(estate.changes(&account).len(), changes.len());
    // A week later only the encrypted one is left, and its key is disabled.
    for snapshot in estate.safety_snapshots(&here).await.iter().filter(|own| own.kms_key_id() != Some(&key)) {
        let id = snapshot.snapshot_id().expect("an id");
        ec2.delete_snapshot().snapshot_id(id).send().await.expect("somebody deletes it");
    }
    fixtures::set_key(&kms, &key, "Disabled").await;
    estate.now(WEEK);
    estate.json(&["run"], 0);
    assert_eq!((estate.changes(&account).len(), estate.volumes(&here).await), (changes.len(), before));
    let told: Vec<_> = estate.sink.received().into_iter().filter(|mail| mail.to == ["ops@example.com"]).collect();
    let told = told.iter().filter(|mail| mail.data.contains("A restore drill failed")).count();
    let doctor = estate.call(&["doctor"]);
    assert!(told == 1 && doctor.out.contains("FAILED") && doctor.out.contains("Disabled"), "{told} {doctor:?}");
}
