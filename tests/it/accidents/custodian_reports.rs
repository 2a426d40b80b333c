//! cloud-custodian: reports that told of things that had not happened, and exit codes that told nothing.

use costwarden::cloud::sim::{Change, Effect};
use costwarden::domain::finding::State;

use super::custodian_reads::world_file;
use super::story::*;
use crate::cli::Desk;

/// A delete failed and the notice behind it went out all the same: owners read that their volume was gone. The reporter
/// feared the same for a snapshot that should come before a delete.
#[tokio::test]
async fn accident_cloud_custodian_3531_a_failed_backup_ends_the_act_and_nobody_reads_that_it_was_done() {
    let story = Story::open(|world| {
        world.policies = vec![ORPHANS.into()];
        world.resources = vec![orphan("data")];
        world.faults = vec![fault("CreateSnapshot", Effect::SnapshotFails, at(14, 0), at(17, 0))];
    });
    story.until(at(16, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "no delete follows a snapshot that failed");
    assert_eq!(story.truth("vol-0data"), "available");
    let report = story.report();
    assert!(!report.acts.is_empty(), "the attempt is told");
    assert!(report.acts.iter().all(|row| row.status != "completed"), "{:?}", report.acts);
    assert_eq!(report.realised.acts, 0);
    assert_ne!(story.finding("vol-0data").state, State::Remediated);
}

/// The file of deleted snapshots listed those whose deletion had failed.
#[tokio::test]
async fn accident_cloud_custodian_10000_what_was_refused_is_not_listed_as_done() {
    let story = Story::open(|world| {
        world.policies = vec![ORPHANS.into()];
        world.resources = vec![orphan("data"), orphan("spare")];
        let wrong = refused("DeleteVolume", Effect::Reject("VolumeInUse".into()));
        world.faults = vec![costwarden::cloud::sim::Fault { target: Some("vol-0data".into()), ..wrong }];
    });
    story.until(at(15, 0)).await;
    assert_eq!((story.truth("vol-0data"), story.truth("vol-0spare")), ("available".into(), "gone".into()));
    let report = story.report();
    let done: Vec<&str> =
        report.acts.iter().filter(|row| row.status == "completed").map(|row| row.resource.as_str()).collect();
    assert_eq!(done, ["vol-0spare"]);
    assert_eq!(report.realised.acts, 1);
    let told = |id: &str| {
        let mails = story.mails();
        mails.iter().filter(|mail| mail.contains(id) && mail.contains("completed: delete the volume")).count()
    };
    assert_eq!((told("vol-0spare"), told("vol-0data")), (1, 0), "the owner hears of the one that is gone");
}

/// The scheduler tagged what it had stopped with "started by the scheduler".
#[tokio::test]
async fn accident_instance_scheduler_286_the_words_come_from_the_state_that_was_seen() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = [idle("a"), idle("b")].concat();
        // One stop's answer is lost after its effect, the other is an ordinary one.
        let lost = refused("StopInstances", Effect::TimeoutAfterEffect);
        world.faults = vec![costwarden::cloud::sim::Fault { target: Some("i-0a".into()), ..lost }];
        world.events = vec![event(at(4, 0), Change::Start("i-0b".into()))];
    });
    story.until(at(2, 0)).await;
    let report = story.report();
    assert_eq!(report.acts.len(), 2);
    for row in &report.acts {
        assert_eq!((row.status.as_str(), story.truth(&row.resource)), ("completed", "stopped".into()), "{row:?}");
        assert!(row.message.contains("stopped") && !row.message.contains("started"), "{}", row.message);
    }
    assert_eq!(story.acts().len(), 2, "a lost answer is looked for and not asked for again");
    story.until(at(5, 0)).await;
    assert_eq!(story.truth("i-0b"), "running");
}

/// Run over many accounts, the tool was refused in some of them and still ended with code 0.
#[test]
fn accident_cloud_custodian_2656_access_denied_in_one_account_of_two_is_no_success() {
    let desk = Desk::empty();
    let denied = "faults: [{ operation: DescribeInstances, account: \"444455556666\", effect: deny }]";
    desk.write("world.yaml", world_file(denied));
    let ended = desk.call(&["scan", "--world", "world.yaml"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(format!("{}{}", ended.out, ended.err).contains("444455556666"), "it says where: {ended:?}");
}

/// A policy that could not be run was logged, the others ran, and the process ended with code 0.
#[test]
fn accident_cloud_custodian_95_a_policy_with_a_mistake_fails_the_command_before_anything_runs() {
    let desk = Desk::empty();
    let broken = "policies:\n  - |\n    apiVersion: costwarden.dev/v1\n    kind: CostPolicy\n    metadata: { name: x }\n    \
                  spec: { type: Waste, rules: [{ name: r, check: idle-instances }] }\n";
    desk.write("world.yaml", world_file(broken));
    let ended = desk.call(&["scan", "--world", "world.yaml"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("idle-instances") && ended.err.contains("idle-instance"), "{}", ended.err);
    assert_eq!(ended.out, "", "nothing was scanned");
}
