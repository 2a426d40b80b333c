//! omicron: steps that failed half-way, undo steps that nobody had ever run, and tests that did not reach their fault.

use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::cloud::sim::{Effect, Fault};
use costwarden::deliver::mail::Mailer;
use costwarden::domain::Instant;
use costwarden::domain::remediation::JournalState;
use costwarden::remediate::undo::UndoRequest;
use costwarden::store::OutboxRow;
use costwarden::worker::jobs::act::Acting;
use costwarden::worker::jobs::announce::announce;
use costwarden::worker::jobs::undo::undo;
use costwarden::worker::outlets::Outlets;
use costwarden::worker::post::Post;
use costwarden::worker::supervise::Work;

use super::story::*;

/// An undo step failed too, the program took it for impossible and ended itself; after each restart it did so again.
#[tokio::test]
async fn accident_omicron_3085_what_fails_half_way_is_stuck_and_told_and_the_nights_go_on() {
    let story = Story::open(|world| {
        world.resources = idle("a");
        world.resources.push(orphan("later"));
        // The stop is never answered and never happens.
        world.faults = vec![refused("StopInstances", Effect::Timeout)];
    });
    story.until(at(3, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0a"], "asked for once, looked for ever after");
    let stuck = story.cx().store.stuck_remediations().unwrap();
    assert_eq!(
        stuck.iter().map(|row| (row.state, &*row.step.key.id)).collect::<Vec<_>>(),
        [(JournalState::Stuck, "i-0a")]
    );
    assert!(story.frozen().is_some());
    let told: Vec<String> = story.mails().into_iter().filter(|mail| mail.to_lowercase().contains("stuck")).collect();
    assert!(told.iter().any(|mail| mail.contains("i-0a")), "somebody is told");
    story.until(at(20, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0a"], "frozen: nothing else is begun");
    let (scan, _) = story.cx().last_scan().unwrap().unwrap();
    assert!(scan.complete() && scan.started_at >= at(19, 0), "but scans, notices and reports go on");
    assert_eq!(story.findings().len(), 2);
}

/// The tests of failing steps passed for months although every run had failed at the same early node: they asked only
/// whether it failed, never where.
#[tokio::test]
#[should_panic(expected = "a planted fault was never met")]
async fn accident_omicron_3265_a_replay_whose_fault_was_not_reached_fails() {
    let story = Story::open(|world| {
        world.resources = busy("a");
        world.faults = vec![refused("StopInstances", Effect::Timeout)];
    });
    story.until(at(4, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "it looks like a success");
}

/// The same from the other side: of two faults the later one counts only when the walk came as far as that.
#[tokio::test]
async fn accident_omicron_3265_each_planted_fault_counts_the_calls_that_it_met() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
        world.faults = vec![
            refused("CreateSnapshots", Effect::Reject("InvalidInstanceID.NotFound".into())).nth(1),
            refused("StopInstances", Effect::TimeoutAfterEffect),
        ];
    });
    story.until(at(1, 12)).await;
    assert_eq!(story.cloud().fault_hits()[0], 1, "the first try ends at the backup");
    story.until(at(4, 0)).await;
    assert_eq!(story.cloud().fault_hits(), [1, 1], "a later one comes to the call");
    assert_eq!(story.acts(), ["StopInstances i-0a"]);
}

/// Two undo steps looked for a value under a name that no step had ever written; no test had run them after their own
/// step.
#[tokio::test]
async fn accident_omicron_3894_every_act_is_taken_back_after_having_really_been_done() {
    let story = Story::open(|world| {
        world.policies.push(TAGS.into());
        world.resources = idle("a");
        world.resources.push(orphan("spare"));
        world
            .resources
            .push(orphan("bare").tagged(&[("owner", "ann@example.com"), ("costwarden:keep-until", "2026-12-01")]));
    });
    let before = story.cloud().truth(|truth| {
        let spare = truth.resource("vol-0spare").unwrap().clone();
        (truth.resource("i-0a").unwrap().state().to_owned(), spare)
    });
    story.until(at(15, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0a", "DeleteVolume vol-0spare"]);
    let (cx, work) = (story.cx(), Work::default());
    let acting = Acting {
        actor: Arc::new(story.cloud().actor()),
        by_hand: true,
        announce: announce(&cx),
        post: Post::new(
            cx.store.clone(),
            Arc::new(Outlets::mail(Mailer::memory("costwarden@example.com").unwrap().0)),
            cx.clock.clone(),
        ),
        work: &work,
        halt: costwarden::remediate::Halt::none(),
    };
    for act in cx.store.remediations_between(start(), at(15, 0)).unwrap() {
        let request = UndoRequest { act: act.id, by: "ann".into(), while_frozen: false };
        let undone = undo(&cx, &acting, &request).await.unwrap().unwrap();
        assert!(undone.undo.is_some_and(|undo| undo.state.ended()), "{}", undone.message);
    }
    assert_eq!(story.truth("i-0a"), before.0);
    let size = before.1.volume().unwrap().size_gib;
    let back: Vec<String> = story.cloud().truth(|truth| {
        let volumes = truth.resources().filter(|own| own.tag("owner") == Some("ann@example.com"));
        let same = volumes.filter(|own| own.volume().is_some_and(|volume| volume.size_gib == size));
        same.map(|own| own.key.id.to_string()).collect()
    });
    assert_eq!(back.len(), 2, "the bare one and the one that was made anew: {back:?}");
}

/// The run goes on looking for the other one; what went wrong in its first minutes is not kept until then.
#[tokio::test]
async fn h21_what_needs_a_person_is_told_while_another_act_is_still_looked_for() {
    let play = async |blind: Option<Instant>| {
        let story = Story::open(|world| {
            world.resources = idle("a");
            world.resources.extend(idle("b"));
            let never = refused("StopInstances", Effect::Timeout);
            world.faults = vec![Fault { target: Some("i-0a".into()), ..never }];
            if let Some(from) = blind {
                let unseen = fault("DescribeInstances", Effect::Timeout, from, from + TimeDelta::hours(2));
                world.faults.push(Fault { target: Some("i-0b".into()), ..unseen });
            }
        });
        story.until(at(3, 0)).await;
        assert_eq!(story.acts(), ["StopInstances i-0a", "StopInstances i-0b"]);
        story
    };
    let seen = play(None).await;
    let stopped = seen.changes().into_iter().rfind(|call| call.operation == "StopInstances").unwrap().at;
    drop(seen);
    let story = play(Some(stopped + TimeDelta::seconds(1))).await;
    let store = story.cx().store;
    let row = |id: &str| {
        let all = store.remediations_between(start(), at(3, 0)).unwrap();
        all.into_iter().find(|row| &*row.step.key.id == id).unwrap()
    };
    let (stuck, other) = (row("i-0a"), row("i-0b"));
    assert_eq!(stuck.state, JournalState::Stuck, "{}", stuck.message);
    let mails: Vec<OutboxRow> = (1..).map_while(|id| store.outbox_row(id).unwrap()).collect();
    let told = mails.iter().filter(|mail| mail.created_at == stuck.updated_at && mail.message.contains("i-0a"));
    let told: Vec<Instant> = told.map(|mail| mail.delivered_at.expect("it was taken")).collect();
    assert!(!told.is_empty());
    for at in told {
        assert!(at - stuck.updated_at <= TimeDelta::minutes(5), "told at {at}, stuck since {}", stuck.updated_at);
        assert!(other.updated_at > at + TimeDelta::minutes(5), "the run was not over: {}", other.updated_at);
    }
}
