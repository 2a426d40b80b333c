//! cloud-custodian: reads that failed, batches in which one member was wrong, and what is managed elsewhere.

use costwarden::cloud::sim::{Change, Effect, Fault, Planted};
use costwarden::domain::finding::State;
use costwarden::domain::inventory::Status;
use costwarden::domain::plan::HoldCode;

use super::story::*;
use crate::cli::Desk;

/// One internal error of a tag read was caught and the run went on: a bucket with correct tags looked untagged, so the
/// policy emptied and deleted it.
#[tokio::test]
async fn accident_cloud_custodian_2824_a_tag_read_that_failed_is_not_a_missing_tag() {
    let story = Story::open(|world| {
        world.policies = vec![TAGS.into(), ORPHANS.into()];
        world.resources = vec![with_tag(orphan("kept"), "costwarden:protect", "true"), orphan("spare")];
        world.resources.extend(busy("web"));
        // From the tenth day on, every answer about volumes and instances lacks its tags.
        for operation in ["DescribeVolumes", "DescribeInstances"] {
            world.faults.push(fault(operation, Effect::MissingTags, at(10, 0), at(30, 0)));
        }
    });
    story.until(at(24, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "neither a tag is added nor the protected volume deleted");
    let findings = story.findings();
    assert!(findings.values().all(|finding| finding.policy == "orphans"), "nothing counts as untagged: {findings:?}");
    for id in ["vol-0kept", "vol-0spare", "vol-0web"] {
        assert_ne!(story.truth(id), "gone");
    }
}

/// Load balancers were deleted as untagged after the network had broken down between two reads; the tags came back empty.
#[tokio::test]
async fn accident_cloud_custodian_4949_tags_that_vanish_between_the_plan_and_the_act_stop_the_act() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("web");
        world.faults = vec![fault("DescribeInstances", Effect::MissingTags, at(1, 9), at(1, 12))];
    });
    story.until(at(2, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new());
    story.until(at(3, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0web"], "once the tags are read again");
}

/// A listing was throttled, the run went on with 0 of 0 resources, and nobody could tell that from "all is well".
#[tokio::test]
async fn accident_cloud_custodian_2204_a_throttled_listing_is_a_gap_and_never_zero_resources() {
    let story = Story::open(|world| {
        world.resources = [idle("a"), idle("b")].concat();
        world.faults = vec![fault("DescribeInstances", Effect::Throttle, at(1, 0), at(5, 0))];
    });
    story.until(at(0, 12)).await;
    let before = story.findings();
    assert_eq!(before.keys().collect::<Vec<_>>(), ["i-0a", "i-0b"]);
    story.until(at(4, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "nothing rests on a listing that failed");
    for (id, finding) in story.findings() {
        assert_eq!((finding.state, finding.missing_since), (State::Open, None), "{id} is neither gone nor fine");
    }
    let report = story.report();
    assert!(report.gaps.iter().any(|gap| gap.status == Status::Failed), "{:?}", report.gaps);
    let (scan, _) = story.cx().last_scan().unwrap().unwrap();
    assert!(!scan.complete());
}

/// The same on the command line: the run has to say that it saw only a part.
#[test]
fn accident_cloud_custodian_2204_the_command_tells_scripts_that_it_could_not_read_all() {
    let desk = Desk::empty();
    desk.write("world.yaml", world_file("faults: [{ operation: DescribeInstances, effect: throttle }]"));
    let ended = desk.call(&["scan", "--world", "world.yaml"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    desk.write("world.yaml", world_file(""));
    assert_eq!(desk.call(&["scan", "--world", "world.yaml"]).code, 0);
}

/// An instance was terminated while a start of 253 ran; the call for all of them failed, and the rest stayed stopped.
#[tokio::test]
async fn accident_cloud_custodian_3143_one_instance_that_changed_meanwhile_does_not_decide_over_the_others() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = [idle("a"), idle("b"), idle("c")].concat();
        // One is terminated minutes before the acts; for another the call finds another state than the read did.
        world.events = vec![event(at(1, 9), Change::Terminate("i-0b".into()))];
        let wrong = refused("StopInstances", Effect::Reject("IncorrectInstanceState".into()));
        world.faults = vec![Fault { target: Some("i-0a".into()), ..wrong }.nth(1)];
    });
    story.until(at(2, 0)).await;
    let mut acts = story.acts();
    acts.sort();
    assert_eq!(acts, ["StopInstances i-0a", "StopInstances i-0c"], "one call each, none on what is gone");
    assert_eq!((story.truth("i-0a"), story.truth("i-0c")), ("running".into(), "stopped".into()));
    assert_eq!(story.frozen(), None, "one definite no is an ordinary end");
}

/// Termination protection of one instance made the call for the whole batch fail, so nothing else was ended either; the
/// same where EC2 alone knows of the protection.
#[tokio::test]
async fn accident_cloud_custodian_7555_a_protected_instance_is_left_and_the_others_are_dealt_with() {
    let told_beforehand = |planted: Planted| {
        planted.with_instance(|instance| instance.termination_protected = costwarden::domain::fact::Fact::Known(true))
    };
    for known in [true, false] {
        let story = Story::open(|world| {
            world.policies = vec![IDLE.replace("action: stop", "action: terminate")];
            world.settings.as_mut().unwrap()["enforcement"]["allow_auto_terminate"] = serde_json::json!(true);
            let mut kept = idle("kept");
            if known {
                kept[0] = told_beforehand(kept[0].clone());
            } else {
                let no = refused("TerminateInstances", Effect::Reject("OperationNotPermitted".into()));
                world.faults = vec![Fault { target: Some("i-0kept".into()), ..no }];
            }
            world.resources = [idle("a"), kept, idle("z")].concat();
        });
        story.until(at(2, 0)).await;
        let ended: Vec<String> = story.acts().into_iter().filter(|act| act.starts_with("TerminateInstances")).collect();
        let asked = |id: &str| ended.iter().filter(|act| act.ends_with(id)).count();
        assert_eq!((asked("i-0a"), asked("i-0z")), (1, 1), "one call each, protected {known}: {ended:?}");
        assert_eq!(asked("i-0kept"), usize::from(!known), "{ended:?}");
        assert_eq!(story.truth("i-0kept"), "running");
        assert!(["i-0a", "i-0z"].iter().all(|id| ["terminated", "gone"].contains(&story.truth(id).as_str())));
        assert!(story.changes().iter().all(|call| call.operation != "ModifyInstanceAttribute"), "and stays protected");
        assert_eq!(story.frozen(), None);
    }
}

/// A change of the batch loop passed all instances to each of its calls, so everything was terminated once per batch.
#[tokio::test]
async fn accident_cloud_custodian_7607_every_call_names_one_resource_and_none_is_named_twice() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = (0..9).flat_map(|number| idle(&format!("m{number}"))).collect();
    });
    story.until(at(4, 0)).await;
    let mut acts = story.acts();
    acts.sort();
    let expected: Vec<String> = (0..9).map(|number| format!("StopInstances i-0m{number}")).collect();
    assert_eq!(acts, expected);
    let snapshots = story.changes().into_iter().filter(|call| call.operation.starts_with("CreateSnapshot"));
    assert_eq!(snapshots.count(), 9, "and one backup each");
}

/// Users keep Auto Scaling and EMR out by filters in every single policy; the one who forgets it fights the group.
#[tokio::test]
async fn accident_cloud_custodian_1673_what_a_group_or_a_cluster_manages_is_left_without_any_filter_in_the_policy() {
    let markers =
        ["aws:autoscaling:groupName", "aws:elasticmapreduce:job-flow-id", "aws:elasticmapreduce:instance-group-role"];
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("plain");
        for (number, marker) in markers.iter().enumerate() {
            let mut planted: Vec<Planted> = idle(&format!("managed{number}"));
            planted[0] = with_tag(planted[0].clone(), marker, "web");
            world.resources.extend(planted);
        }
    });
    story.until(at(4, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0plain"]);
    let held = story.held().await;
    for (number, marker) in markers.iter().enumerate() {
        let (code, why) = &held[&format!("i-0managed{number}")];
        assert!(matches!(code, HoldCode::Managed | HoldCode::ReportedOnly) && why.contains(marker), "{code:?} {why}");
    }
}

/// Deleting a snapshot that an image is made of cannot work; the policy went on listing such snapshots as deletable.
#[tokio::test]
async fn accident_cloud_custodian_3700_a_snapshot_that_an_image_uses_is_no_waste() {
    let story = snapshots(Vec::new());
    story.until(at(1, 0)).await;
    assert_eq!(story.findings().keys().collect::<Vec<_>>(), ["snap-0loose"]);
    story.until(at(10, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new());
}

/// A sweeper tried to delete 2,728 snapshots that images used: it never asked for the images.
#[tokio::test]
async fn accident_terraform_provider_aws_22684_without_the_images_nothing_is_said_about_snapshots() {
    let story = snapshots(vec![fault("DescribeImages", Effect::Deny, at(0, 0), at(5, 0))]);
    story.until(at(4, 0)).await;
    assert!(story.findings().is_empty(), "which snapshots are in use is not known: {:?}", story.findings());
    story.until(at(6, 0)).await;
    assert_eq!(story.findings().keys().collect::<Vec<_>>(), ["snap-0loose"]);
    assert_eq!(story.acts(), Vec::<String>::new());
}

fn snapshots(faults: Vec<Fault>) -> Story {
    use chrono::TimeDelta;
    use costwarden::cloud::sim::plant;
    use costwarden::domain::place::Kind;
    const OLD: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: old }\nspec:\n  type: Waste\n  \
                       rules:\n    - { name: old, check: old-snapshot, severity: low, action: report }\n";
    Story::open(|world| {
        world.policies = vec![OLD.into()];
        let old = start() - TimeDelta::days(200);
        let (snapshots, images) = (place().partition(Kind::Snapshot), place().partition(Kind::Image));
        world.resources = vec![
            plant::snapshot(snapshots.key("snap-0used"), "vol-0gone", 8, old),
            plant::snapshot(snapshots.key("snap-0loose"), "vol-0gone", 8, old),
            plant::image(images.key("ami-0base"), "base", &["snap-0used"], old),
        ];
        world.faults = faults;
    })
}

/// Two accounts with an idle machine each, for the command line.
pub fn world_file(more: &str) -> String {
    let machine = |id: &str| {
        format!(
            "{{ us-east-1: {{ instances: [{{ id: i-0{id}, type: m5.large, launched: -60d, usage: idle, tags: {{ owner: \
             ann@example.com }} }}] }} }}"
        )
    };
    format!(
        "name: two\nstart: 2026-09-07\naccounts:\n  \"111122223333\": {{ regions: {} }}\n  \"444455556666\": {{ regions: {} \
         }}\n{more}\n",
        machine("first"),
        machine("second")
    )
}
