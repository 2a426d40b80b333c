//! The fourteen flaws of the documents that this program grew from: each one that would cost somebody a machine is a
//! test that it is not here.
//!
//! Played on the small account of `accidents::story` and judged from the simulated cloud's log; the last one, about
//! policies, stands with the life cycle (`src/policy/lifecycle/tests.rs`).

use std::path::Path;

use chrono::TimeDelta;
use costwarden::checks;
use costwarden::cloud::sim::{DatedException, Effect, Usage};
use costwarden::domain::exception::{Exception, ExceptionStatus, ExceptionType};
use costwarden::domain::finding::{Act, Action, State};
use costwarden::domain::place::Kind;
use costwarden::engine::exceptions::Wish;
use costwarden::policy::parse;
use costwarden::worker::exceptions::{By, Desk, Target};
use serde_json::json;

use crate::accidents::story::*;

#[tokio::test]
async fn seed_flaw_01_a_missing_metric_is_not_zero_percent() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        let mut silent = busy("silent");
        silent[0].activity.usage.clear();
        let mut half = busy("half");
        // CPU is told and low, the network is not told at all.
        half[0] = half[0].clone().used(Usage { network_in: None, network_out: None, ..Usage::constant(1.0, 0.0, 0.0) });
        world.resources = [silent, half, idle("idle")].concat();
    });
    story.until(at(5, 0)).await;
    assert_eq!(story.findings().keys().collect::<Vec<_>>(), ["i-0idle"]);
    assert_eq!(story.acts(), ["StopInstances i-0idle"]);
}

#[tokio::test]
async fn seed_flaw_02_terminate_of_a_volume_is_a_delete_of_that_volume() {
    assert_eq!(Act::of(Action::Terminate, Kind::Volume), Some(Act::DeleteVolume));
    let story = Story::open(|world| {
        world.policies = vec![ORPHANS.replace("action: delete", "action: terminate")];
        world.resources = [busy("web"), vec![orphan("old")]].concat();
    });
    story.until(at(16, 0)).await;
    assert_eq!(story.acts(), ["DeleteVolume vol-0old"]);
    assert_eq!(story.truth("i-0web"), "running");
}

#[tokio::test]
async fn seed_flaw_03_an_action_is_the_action_and_never_a_notice_by_its_spelling() {
    for wrong in ["STOP", "Stop", "stopp"] {
        let policy = IDLE.replace("action: stop", &format!("action: {wrong}"));
        let errors = parse(Path::new("p.yaml"), &policy, &checks::infos()).expect_err(wrong).to_string();
        assert!(errors.contains(wrong) && errors.contains("stop"), "{errors}");
    }
    for (word, acts) in [("stop", vec!["StopInstances i-0a"]), ("notify", vec![]), ("report", vec![])] {
        let story = Story::open(|world| {
            world.policies = vec![IDLE.replace("action: stop", &format!("action: {word}"))];
            world.resources = idle("a");
        });
        story.until(at(4, 0)).await;
        assert_eq!(story.acts(), acts, "{word}");
    }
}

#[tokio::test]
async fn seed_flaw_04_a_snapshot_is_waited_for_until_it_is_completed() {
    let story = Story::open(|world| {
        world.policies = vec![ORPHANS.into()];
        let mut slow = orphan("slow");
        slow.snapshot_takes = Some(TimeDelta::hours(30));
        world.resources = vec![slow];
    });
    story.until(at(20, 0)).await;
    let calls = story.changes();
    let begun = calls.iter().find(|call| call.operation == "CreateSnapshot").expect("a backup").at;
    let deletes: Vec<_> = calls.iter().filter(|call| call.operation == "DeleteVolume").collect();
    assert_eq!(deletes.len(), 1);
    assert!(deletes[0].at - begun >= TimeDelta::hours(30), "deleted after {}", deletes[0].at - begun);
}

#[tokio::test]
async fn seed_flaw_05_nothing_is_terminated_or_deleted_without_its_snapshots() {
    for allowed in [false, true] {
        let story = Story::open(|world| {
            world.policies = vec![IDLE.replace("action: stop", "action: terminate"), ORPHANS.into()];
            world.resources = [idle("a"), vec![orphan("b")]].concat();
            world.settings.as_mut().unwrap()["enforcement"]["allow_auto_terminate"] = json!(allowed);
        });
        story.until(at(17, 0)).await;
        let mut backed = Vec::new();
        for call in story.changes() {
            backed.extend(call.created.iter().map(|(_, source)| source.clone()));
            backed.extend(call.created.iter().map(|(made, _)| made.clone()));
            let needs = match call.operation.as_str() {
                "DeleteVolume" => call.target.clone().unwrap(),
                "TerminateInstances" => "vol-0a".to_owned(),
                _ => continue,
            };
            assert!(allowed || call.operation != "TerminateInstances", "switched off");
            assert!(backed.contains(&needs), "{} of {needs} with these backups: {backed:?}", call.operation);
        }
        assert!(story.acts().contains(&"DeleteVolume vol-0b".to_owned()), "{:?}", story.acts());
        if !allowed {
            assert_eq!(story.truth("i-0a"), "running");
        }
    }
}

#[tokio::test]
async fn seed_flaw_06_a_resize_that_fails_half_way_leaves_nobody_with_a_stopped_machine_in_silence() {
    const LIMIT: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: size }\nspec:\n  type: \
                         ResourceLimit\n  severity: high\n  rules:\n    - { name: vcpus, resource: compute/instance, \
                         action: resize, constraint: { maxVCPUs: 16 } }\n";
    let story = Story::open(|world| {
        world.policies = vec![LIMIT.into()];
        let mut big = busy("big");
        big[0] = big[0].clone().with_instance(|own| own.instance_type = "m5.8xlarge".into());
        world.resources = big;
        world.faults = vec![refused("StartInstances", Effect::Reject("InsufficientInstanceCapacity".into())).nth(1)];
    });
    story.until(at(8, 0)).await;
    assert!(story.acts().contains(&"StopInstances i-0big".to_owned()), "it came as far as that: {:?}", story.acts());
    let told = story.mails().iter().any(|mail| mail.to_lowercase().contains("stuck") && mail.contains("i-0big"));
    assert!(story.truth("i-0big") == "running" || told, "{} and nobody knows", story.truth("i-0big"));
}

#[tokio::test]
async fn seed_flaw_07_the_end_of_the_grace_is_fixed_once() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.replace("severity: high", "severity: medium")];
        world.resources = idle("a");
    });
    story.until(at(0, 3)).await;
    let first = story.finding("i-0a").clock;
    assert!(first.first_notice.is_some());
    for day in 1..=6 {
        story.until(at(day, 3)).await;
        let clock = story.finding("i-0a").clock;
        assert_eq!((clock.first_notice, clock.due_at), (first.first_notice, first.due_at), "day {day}");
    }
}

#[tokio::test]
async fn seed_flaw_08_the_same_violation_is_the_same_finding_every_night() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.replace("severity: high", "severity: low"), ORPHANS.replace("high", "low")];
        world.resources = [idle("a"), vec![orphan("b")]].concat();
    });
    story.until(at(9, 0)).await;
    let first = story.findings();
    story.until(at(20, 0)).await;
    let last = story.findings();
    assert_eq!(last.len(), 2);
    for (id, finding) in &first {
        assert_eq!((&last[id].id, last[id].detected_at), (&finding.id, finding.detected_at), "{id}");
    }
    let all = story.cx().store.findings(&costwarden::store::FindingFilter::default()).unwrap();
    assert_eq!(all.len(), 2, "and no second one beside it");
}

fn exception(id: &str, resource: &str, until: costwarden::domain::Instant) -> Exception {
    let text = json!([{ "id": id, "resource": resource, "policy": "idle", "reason": "kept", "approved_by": "fin@example.com",
                        "until": until.format("%Y-%m-%dT%H:%M:%SZ").to_string() }]);
    let settings = costwarden::settings::Settings::from_value(&json!({ "exceptions": text }), Path::new(".")).unwrap();
    settings.exceptions[0].clone()
}

#[tokio::test]
async fn seed_flaw_09_an_exception_that_holds_is_found() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = [idle("a"), idle("b")].concat();
        world.exceptions = vec![DatedException { from: start(), exception: exception("E-1", "i-0a", at(60, 0)) }];
    });
    story.until(at(10, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0b"]);
    assert_eq!(story.finding("i-0a").state, State::Excepted);
}

#[tokio::test]
async fn seed_flaw_10_an_exception_that_was_granted_after_the_scan_holds_the_act() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
        // Between the last scan at two and the acts at ten.
        world.exceptions = vec![DatedException { from: at(1, 9), exception: exception("E-1", "i-0a", at(5, 0)) }];
    });
    story.until(at(1, 9)).await;
    assert!(story.finding("i-0a").clock.due_at.is_some_and(|due| due < at(1, 10)), "it would be due");
    story.until(at(1, 12)).await;
    assert_eq!(story.acts(), Vec::<String>::new());
}

#[tokio::test]
async fn seed_flaw_11_a_permanent_exception_that_nobody_reviews_ends_and_a_full_grace_follows() {
    let story = people(|_| {});
    story.until(at(0, 3)).await;
    let wish = Wish {
        exception_type: ExceptionType::Permanent,
        days: None,
        condition: None,
        review_days: Some(30),
        justification: "kept",
        by: "ann@example.com",
    };
    let (id, target) = (story.finding("i-0a").id.0, Target::default());
    let cx = story.cx();
    let desk = Desk::of(&cx.store, &cx.settings);
    let asked = desk.request(&Target { of: id, ..target }, &wish, at(0, 4)).unwrap().record;
    desk.approve(&asked.id, None, By { who: "fin@example.com", at: at(0, 5) }).unwrap();
    story.until(at(31, 0)).await;
    assert_eq!(story.finding("i-0a").state, State::Excepted, "overdue for review, and shown");
    assert_eq!(story.acts(), Vec::<String>::new());
    story.until(at(46, 3)).await;
    assert_eq!(story.cx().store.exception(&asked.id).unwrap().unwrap().status, ExceptionStatus::Expired);
    let finding = story.finding("i-0a");
    assert_eq!(finding.state, State::Open);
    assert!(finding.clock.first_notice.is_some_and(|told| told > at(44, 0)), "told anew: {:?}", finding.clock);
    assert_eq!(story.acts(), Vec::<String>::new());
}

#[tokio::test]
async fn seed_flaw_12_a_rejection_needs_its_authority_and_a_request_that_is_open() {
    let story = people(|_| {});
    story.until(at(0, 3)).await;
    let wish = Wish {
        exception_type: ExceptionType::Temporary,
        days: Some(5),
        condition: None,
        review_days: None,
        justification: "kept",
        by: "ann@example.com",
    };
    let id = story.finding("i-0a").id.0;
    let cx = story.cx();
    let desk = Desk::of(&cx.store, &cx.settings);
    let asked = desk.request(&Target { of: id, ..Target::default() }, &wish, at(0, 4)).unwrap().record;
    for stranger in ["eve@example.com", "ann@example.com"] {
        assert!(desk.reject(&asked.id, "no", By { who: stranger, at: at(0, 5) }).is_err(), "{stranger}");
    }
    let stored = || cx.store.exception(&asked.id).unwrap().unwrap().status;
    assert_eq!(stored(), ExceptionStatus::Pending);
    desk.approve(&asked.id, None, By { who: "fin@example.com", at: at(0, 6) }).unwrap();
    let approved = stored();
    assert!(desk.reject(&asked.id, "no", By { who: "fin@example.com", at: at(0, 7) }).is_err(), "it is decided");
    assert_eq!(stored(), approved);
}

/// One idle instance, and FinOps who decides.
fn people(change: impl FnOnce(&mut costwarden::cloud::sim::World)) -> Story {
    Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
        world.settings.as_mut().unwrap()["approvals"] = json!({ "finops": ["fin@example.com"] });
        change(world);
    })
}

#[tokio::test]
async fn seed_flaw_13_an_empty_inventory_is_no_data_and_never_a_hundred_percent() {
    let empty = Story::open(|_| {});
    empty.until(at(2, 0)).await;
    assert_eq!(empty.report().score, None);
    let unread = Story::open(|world| {
        world.resources = busy("a");
        world.faults = ["DescribeInstances", "DescribeVolumes"]
            .map(|operation| fault(operation, Effect::Deny, at(0, 0), at(9, 0)))
            .into();
    });
    unread.until(at(2, 0)).await;
    let report = unread.report();
    assert_eq!(report.score, None);
    assert!(!report.gaps.is_empty());
}
