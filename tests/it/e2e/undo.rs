//! Taking acts back with the real program on moto: what is said first, what is called, what came back, field by field as
//! the program tells it and as the cloud does.
//!
//! Here are stop, modify volume, delete volume, add tags and release address; a resize and a termination stand in files of
//! their own. The way back of a deleted snapshot is not played here: moto has no Recycle Bin (neither
//! `ListSnapshotsInRecycleBin` nor `RestoreSnapshotFromRecycleBin`). It stands on the simulator alone
//! (`src/remediate/tests/storage.rs`).

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, VolumeType};
use costwarden::domain::place::AccountId;
use serde_json::{Value, json};

use super::{BUILT, Estate, FINE, tag};
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

/// The tags of a resource as EC2 tells them.
async fn tags_of(ec2: &Client, resource: &str) -> BTreeMap<String, String> {
    let of_this = Filter::builder().name("resource-id").values(resource).build();
    let told = ec2.describe_tags().filters(of_this).send().await.expect("tags are listed");
    let pair = |own: &aws_sdk_ec2::types::TagDescription| {
        (own.key().unwrap_or_default().to_owned(), own.value().unwrap_or_default().to_owned())
    };
    told.tags().iter().map(pair).collect()
}

fn pairs(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The changes since the first `before`, and the parameters of the last one.
fn called_since(estate: &Estate, account: &AccountId, before: usize) -> (Vec<String>, Value) {
    let called = estate.changes(account).split_off(before);
    let last = called.last().expect("something was called").0.clone();
    let seen = estate.moto.seen(account, &last).into_iter().rfind(|seen| !seen.dry_run).expect("it is in the log");
    (called.into_iter().map(|(operation, _)| operation).collect(), seen.parameters)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_of_a_deleted_volume_makes_one_like_it_from_its_safety_snapshot() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"\nallow_auto_delete_volumes = true");
    estate.edit_policy("unattached-volumes", "severity: medium", "severity: critical");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let request = ec2.create_volume().availability_zone("eu-central-1b").size(70).volume_type(VolumeType::Gp3);
    let made = request.iops(4_000).throughput(200).send().await.expect("a volume is made");
    let old = made.volume_id.expect("it has an id");
    tag(&ec2, &old, &[FINE.as_slice(), &[("Name", "old database")]].concat()).await;
    let young =
        fixtures::volume(&ec2, "eu-central-1b", 8, &[FINE.as_slice(), &[("costwarden:protect", "")]].concat()).await;
    // Its clock is our own sight of it: fourteen days and three complete scans.
    for night in ["2027-03-01T03:00:00Z", "2027-03-08T03:00:00Z", "2027-03-16T03:00:00Z"] {
        estate.now(night);
        estate.json(&["scan"], 0);
    }
    estate.json(&["run"], 0);
    estate.now("2027-03-17T10:00:00Z");
    estate.json(&["scan"], 0);
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act = applied["steps"][0]["remediation"].as_str().expect("a number").to_owned();
    assert_eq!(estate.volumes(&here).await, [young.clone()].into(), "it is gone, and no other");
    let [snapshot] = &estate.safety_snapshots(&here).await[..] else { panic!("one safety snapshot") };
    let snapshot = snapshot.snapshot_id().expect("an id").to_owned();

    let before = estate.changes(&account).len();
    assert_eq!(before, 2, "a snapshot and the deletion: {:?}", estate.changes(&account));
    let dry = estate.json(&["actions", "undo", &act, "--dry-run"], 0);
    let call = format!("CreateVolume {snapshot}");
    assert_eq!((&dry["status"], &dry["call"]), (&json!("would"), &json!(call)), "{dry:#}");
    assert_eq!(
        dry["cannot_come_back"],
        json!([
            format!("the id {old}: the new volume has another one"),
            "what was written after the safety snapshot was begun"
        ])
    );
    assert_eq!(estate.changes(&account).len(), before, "said, not done");

    let undone = estate.json(&["actions", "undo", &act, "--yes", "--by", "eve"], 0);
    let new = undone["made"].as_str().expect("it names what it made").to_owned();
    assert_eq!(undone["status"], json!("completed"), "{undone:#}");
    assert_eq!(undone["differences"], json!([{ "field": "id", "was": old, "is": new }]));
    let (called, with) = called_since(&estate, &account, before);
    assert_eq!((called, &with["SnapshotId"]), (vec!["CreateVolume".to_owned()], &json!(snapshot)), "{with:#}");
    assert!(with["ClientToken"].as_str().is_some_and(|token| token.contains("-undo")), "{with:#}");
    assert_eq!(estate.volumes(&here).await, [new.clone(), young].into());
    let told = ec2.describe_volumes().volume_ids(&new).send().await.expect("it is there");
    let own = &told.volumes()[0];
    assert_eq!(
        (own.volume_type(), own.size(), own.iops(), own.throughput(), own.availability_zone(), own.encrypted()),
        (Some(&VolumeType::Gp3), Some(70), Some(4_000), Some(200), Some("eu-central-1b"), Some(false))
    );
    assert_eq!((own.state().map(|state| state.as_str()), own.snapshot_id()), (Some("available"), Some(&*snapshot)));
    let mut tags = tags_of(&ec2, &new).await;
    assert_eq!(tags.remove("costwarden:protect"), Some(format!("{act} was taken back")));
    assert!(tags.remove("costwarden:undo-of").is_some_and(|token| with["ClientToken"] == json!(token)));
    assert_eq!(tags, pairs(&[FINE.as_slice(), &[("Name", "old database")]].concat()));
    assert_eq!(estate.safety_snapshots(&here).await.len(), 1, "its backup stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_of_added_tags_takes_exactly_those_away_that_still_are_as_they_were_written() {
    const BARE: [(&str, &str); 2] = [("owner", "ann@example.com"), ("environment", "test")];
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    estate.edit_policy("mandatory-tags", "severity: medium", "severity: critical");
    let pays = "description: Who pays for it";
    estate.edit_policy("mandatory-tags", pays, "description: Who pays for it\n          default: CC-0");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let plain = fixtures::volume(&ec2, "eu-central-1a", 8, &BARE).await;
    let edited = fixtures::volume(&ec2, "eu-central-1a", 8, &BARE).await;
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now(DUE);
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act_on = |id: &str| {
        let mut steps = applied["steps"].as_array().expect("steps").iter();
        let step = steps.find(|step| step["resource"] == *id).unwrap_or_else(|| panic!("{id}: {applied:#}"));
        step["remediation"].as_str().expect("a number").to_owned()
    };
    let marks = ["costwarden:compliance-status", "costwarden:auto-tagged-at"];
    for id in [&plain, &edited] {
        let tags = tags_of(&ec2, id).await;
        assert_eq!(tags.get("cost-center").map(String::as_str), Some("CC-0"), "{tags:?}");
        assert!(marks.iter().all(|mark| tags.contains_key(*mark)) && tags.len() == 5, "{tags:?}");
    }
    // Somebody who knows writes down who really pays.
    tag(&ec2, &edited, &[("cost-center", "CC-7")]).await;
    let before = estate.changes(&account).len();
    assert_eq!(before, 2, "{:?}", estate.changes(&account));

    let dry = estate.json(&["actions", "undo", &act_on(&plain), "--dry-run"], 0);
    assert_eq!(
        (&dry["call"], &dry["cannot_come_back"]),
        (&json!(format!("DeleteTags {plain}")), &json!([])),
        "{dry:#}"
    );
    let undone = estate.json(&["actions", "undo", &act_on(&plain), "--yes", "--by", "eve"], 0);
    assert_eq!((&undone["status"], &undone["differences"]), (&json!("completed"), &json!([])), "{undone:#}");
    assert_eq!(tags_of(&ec2, &plain).await, pairs(&BARE));
    assert_eq!(estate.changes(&account)[before..], [("DeleteTags".to_owned(), plain.clone())]);

    // Somebody edits the audit trail: nothing more is taken back until a person has seen that and says so.
    let state = rusqlite::Connection::open(estate.desk.path().join("state/costwarden.db")).expect("the state");
    let forge = "DROP TRIGGER audit_no_update; UPDATE audit SET subject = 'account 9' WHERE seq = 1";
    state.execute_batch(forge).expect("the trail is edited");
    drop(state);
    let held = estate.json(&["actions", "undo", &act_on(&edited), "--yes", "--by", "eve"], 6);
    assert!(held["message"].as_str().is_some_and(|why| why.contains("broken at row 1")), "{held:#}");
    assert_eq!(estate.changes(&account).len(), before + 1, "held");
    let undone = estate.json(&["actions", "undo", &act_on(&edited), "--yes", "--by", "eve", "--while-frozen"], 5);
    assert_eq!(undone["status"], json!("completed"), "{undone:#}");
    assert_eq!(undone["differences"], json!([{ "field": "tag cost-center", "was": null, "is": "CC-7" }]));
    assert_eq!(tags_of(&ec2, &edited).await, pairs(&[BARE.as_slice(), &[("cost-center", "CC-7")]].concat()));
    let (called, with) = called_since(&estate, &account, before + 1);
    assert_eq!(called, ["DeleteTags"]);
    let asked = with.as_object().expect("parameters");
    let mut keys: Vec<&str> =
        asked.iter().filter(|own| own.0.ends_with(".Key")).filter_map(|own| own.1.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, [marks[1], marks[0]], "what somebody changed is not even asked for: {with:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_of_a_released_address_has_the_same_address_back() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    let people = "mode = \"notify\"\n[approvals]\nfinops = [\"fin@example.com\"]\nsecurity = [\"sec@example.com\"]";
    estate.settings(&[&account], &[REGION], people);
    estate.edit_policy("unassociated-addresses", "severity: low", "severity: critical");
    estate.edit_policy("unassociated-addresses", "action: report", "action: release");
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let (old, kept) = (fixtures::address(&ec2, None).await, fixtures::address(&ec2, None).await);
    tag(&ec2, &old, &[FINE.as_slice(), &[("Name", "old front")]].concat()).await;
    tag(&ec2, &kept, &[FINE.as_slice(), &[("costwarden:protect", "true")]].concat()).await;
    let listed = async || -> BTreeMap<String, String> {
        let told = ec2.describe_addresses().send().await.expect("addresses are listed");
        let pair = |own: &aws_sdk_ec2::types::Address| {
            (own.allocation_id().unwrap_or_default().to_owned(), own.public_ip().unwrap_or_default().to_owned())
        };
        told.addresses().iter().map(pair).collect()
    };
    let at_first = listed().await;
    let ip = at_first[&old].clone();
    estate.now("2027-03-01T03:00:00Z");
    estate.json(&["scan"], 0);
    estate.now(TOLD);
    estate.json(&["run"], 0);
    estate.now("2027-03-10T11:00:00Z");
    estate.json(&["scan"], 0);
    // Nobody could promise that it comes back, so two people say yes to this very act.
    assert_eq!(estate.json(&["plan", "--detailed-exitcode"], 0)["plan"]["steps"], json!([]));
    for person in ["fin@example.com", "sec@example.com"] {
        estate.json(&["approval", "approve", "act-1", "--by", person], 0);
    }
    estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let act = applied["steps"][0]["remediation"].as_str().expect("a number").to_owned();
    assert_eq!(listed().await, [(kept.clone(), at_first[&kept].clone())].into(), "released, and no other");
    assert_eq!(estate.changes(&account), [("ReleaseAddress".to_owned(), old.clone())]);

    let dry = estate.json(&["actions", "undo", &act, "--dry-run"], 0);
    assert_eq!((&dry["status"], &dry["call"]), (&json!("would"), &json!(format!("AllocateAddress {ip}"))), "{dry:#}");
    assert_eq!(
        dry["cannot_come_back"],
        json!([
            format!("its allocation id {old}: the address gets another one"),
            format!("the address {ip} itself, if somebody else was given it meanwhile")
        ])
    );
    assert_eq!(estate.changes(&account).len(), 1, "said, not done");

    let undone = estate.json(&["actions", "undo", &act, "--yes", "--by", "eve"], 0);
    let new = undone["made"].as_str().expect("it names what it made").to_owned();
    assert_eq!(undone["status"], json!("completed"), "{undone:#}");
    assert_eq!(undone["differences"], json!([{ "field": "id", "was": old, "is": new }]));
    let (called, with) = called_since(&estate, &account, 1);
    assert_eq!((called, &with["Address"]), (vec!["AllocateAddress".to_owned()], &json!(ip)), "{with:#}");
    assert_eq!(listed().await, [(kept.clone(), at_first[&kept].clone()), (new.clone(), ip)].into());
    let told = ec2.describe_addresses().allocation_ids(&new).send().await.expect("it is there");
    let own = &told.addresses()[0];
    // moto writes no instance as an empty one.
    assert_eq!(
        (own.association_id(), own.instance_id().unwrap_or_default()),
        (None, ""),
        "it leads nowhere, as before"
    );
    let mut tags = tags_of(&ec2, &new).await;
    assert_eq!(tags.remove("costwarden:protect"), Some(format!("{act} was taken back")));
    assert!(tags.remove("costwarden:undo-of").is_some(), "{tags:?}");
    assert_eq!(tags, pairs(&[FINE.as_slice(), &[("Name", "old front")]].concat()));
}
