//! A process that dies at any point of the journal, and the one that comes after it.
//!
//! Each case proves that its point was reached; what must hold is judged from the cloud's own log: at most one
//! destructive call, none without its completed snapshot, and an end in bounded time.

use super::*;

/// Every point that a stop and a delete pass, in their order.
const POINTS: [&str; 24] = [
    "J3.before",
    "J3.after",
    "J4.call",
    "J4.before",
    "J4.after",
    "J5.before",
    "J5.after",
    "J6.call",
    "J6.before",
    "J6.after",
    "J7.call",
    "J7.before",
    "J7.after",
    "J8.before",
    "J8.after",
    "J8.call",
    "J9.before",
    "J9.after",
    "J10.call",
    "J10.before",
    "J10.after",
    "J11.before",
    "J11.after",
    "none",
];

/// What the next process makes of it; a claim that never happened begins anew.
async fn recover(stage: &Stage, step: &Step) -> JournalState {
    let ends = stage.resume("run-2").await;
    let end = match ends.into_iter().next() {
        Some(end) => end,
        None => match stage.store.remediations_of_finding(&step.finding).unwrap().last() {
            Some(row) => return row.state,
            None => stage.act(step).await,
        },
    };
    match end.progress {
        Progress::Ended(state) => state,
        other => panic!("no end: {other:?} {}", end.message),
    }
}

fn assert_safe(stage: &Stage, id: &str, point: &str, end: JournalState) {
    stage.assert_watched();
    let acts = stage.acts();
    let lost = point == "J8.after";
    assert_eq!(acts.len(), usize::from(!lost), "{point}: {acts:?}");
    let expected = if lost { JournalState::Stuck } else { JournalState::Done };
    assert_eq!(end, expected, "{point}");
    assert_eq!(stage.frozen().is_some(), lost, "{point}: stuck freezes, nothing else does");
    let after = match (lost, id) {
        (true, INSTANCE) => "running",
        (true, _) => "available",
        (false, INSTANCE) => "stopped",
        (false, _) => "gone",
    };
    assert_eq!(stage.truth(id), after, "{point}");
    assert!(stage.store.open_remediations().unwrap().is_empty(), "{point}");
}

#[tokio::test]
async fn h05_a_crash_at_every_point_of_a_stop_or_a_delete_never_repeats_a_call_nor_skips_a_backup() {
    for (id, action) in [(INSTANCE, Action::Stop), (ORPHAN, Action::Terminate)] {
        for point in POINTS {
            let stage = Stage::new();
            let step = stage.due_step(id, action).await;
            let died = die_at(&stage, &step, point).await;
            assert_eq!(died, point != "none", "{point} was not reached");
            let crashed = stage.clock.now();
            let end = recover(&stage, &step).await;
            assert_safe(&stage, id, point, end);
            assert!(stage.clock.now() - crashed <= TimeDelta::minutes(25), "{point}: I15 with its snapshot time");
            let volumes: &[&str] = if id == INSTANCE { &[ROOT, DATA] } else { &[ORPHAN] };
            for volume in volumes {
                let made = stage.snapshots_of(volume).len();
                assert_eq!(made, 1, "{point}: H46, the key tag finds what the dead process began");
            }
        }
    }
}

#[tokio::test]
async fn h05_tagging_survives_a_crash_at_every_point_without_a_second_write() {
    for point in WITHOUT_BACKUP {
        let stage = Stage::new();
        let step = stage.due_step(INSTANCE, Action::Tag).await;
        assert!(die_at(&stage, &step, point).await, "{point} was not reached");
        let end = recover(&stage, &step).await;
        let lost = point == "J8.after";
        assert_eq!(end, if lost { JournalState::Stuck } else { JournalState::Done }, "{point}");
        assert_eq!(stage.acts().len(), usize::from(!lost), "{point}");
    }
}

#[tokio::test]
async fn h05_changes_in_place_releases_and_snapshots_survive_a_crash_at_every_point_without_a_second_call() {
    use super::storage::{ADDRESS, SNAPSHOT, furnished};
    let cases = [
        (ORPHAN, Action::Modify, "ModifyVolume", "available"),
        (ADDRESS, Action::Release, "ReleaseAddress", "gone"),
        (SNAPSHOT, Action::Terminate, "DeleteSnapshot", "gone"),
    ];
    for (id, action, operation, after) in cases {
        // No backup is made, so J5 to J7 are never passed.
        for point in POINTS.into_iter().filter(|point| !["J5", "J6", "J7"].iter().any(|own| point.starts_with(own))) {
            let stage = furnished();
            let step = stage.due_step(id, action).await;
            if step.act.least_people() > 0 {
                super::people::say_yes(&stage, &step);
            }
            let died = die_at(&stage, &step, point).await;
            assert_eq!(died, point != "none", "{operation} {point} was not reached");
            let crashed = stage.clock.now();
            let end = recover(&stage, &step).await;
            let lost = point == "J8.after";
            assert_eq!(end, if lost { JournalState::Stuck } else { JournalState::Done }, "{operation} {point}");
            assert_eq!(stage.frozen().is_some(), lost, "{operation} {point}");
            let calls: &[String] = if lost { &[] } else { &[format!("{operation} {id}")] };
            assert_eq!(stage.mutations(), calls, "{operation} {point}");
            assert!(stage.clock.now() - crashed <= TimeDelta::minutes(25), "{operation} {point}: I15");
            if !lost {
                assert_eq!(stage.truth(id), after, "{operation} {point}");
            }
            assert!(stage.store.open_remediations().unwrap().is_empty(), "{operation} {point}");
        }
    }
}

#[tokio::test]
async fn h05_a_second_crash_during_the_recovery_changes_nothing_about_that() {
    for (id, action) in [(INSTANCE, Action::Stop), (ORPHAN, Action::Terminate)] {
        for first in ["J4.after", "J6.call", "J7.after", "J8.call", "J9.after"] {
            for second in POINTS {
                let stage = Stage::new();
                let step = stage.due_step(id, action).await;
                assert!(die_at(&stage, &step, first).await);
                let died = die_again_at(&stage, second).await;
                let ends = stage.resume("run-3").await;
                let end = match ends.into_iter().next().map(|end| end.progress) {
                    Some(Progress::Ended(state)) => state,
                    Some(other) => panic!("{first} {second}: {other:?}"),
                    None => stage.store.remediations_of_finding(&step.finding).unwrap().last().unwrap().state,
                };
                stage.assert_watched();
                let lost = second == "J8.after" && died;
                assert_eq!(stage.acts().len(), usize::from(!lost), "{first} {second}");
                assert_eq!(end, if lost { JournalState::Stuck } else { JournalState::Done }, "{first} {second}");
            }
        }
    }
}

#[tokio::test]
async fn h02_a_restart_from_the_file_on_disk_goes_on_with_the_pending_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("costwarden.db");
    let mut stage = Stage::new();
    stage = Stage::on(stage.cloud, stage.clock, Arc::new(Store::open(&path).unwrap()), stage.place);
    stage.fault("CreateSnapshot", Effect::SnapshotHours(20));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert!(die_at(&stage, &step, "J6.after").await);

    let Stage { cloud, clock, store, place, .. } = stage;
    drop(store);
    clock.advance_to(at("2026-11-24T10:00:00Z"));
    let stage = Stage::on(cloud, clock, Arc::new(Store::open(&path).unwrap()), place);
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    assert_eq!(stage.mutations(), [format!("CreateSnapshot {ORPHAN}"), format!("DeleteVolume {ORPHAN}")]);
    stage.assert_watched();
}

#[tokio::test]
async fn a_crash_right_before_the_call_is_told_to_people_and_waits_for_them() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert!(die_at(&stage, &step, "J8.after").await);
    assert_eq!(recover(&stage, &step).await, JournalState::Stuck);
    let outbox = stage.store.outbox_due(stage.clock.now(), 10).unwrap();
    let kinds: Vec<&str> = outbox.iter().map(|row| row.dedup.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["frozen:", "stuck"]);
    // Nothing acts on the resource again before a person settles it.
    stage.store.unfreeze("eve", stage.clock.now()).unwrap();
    let again = stage.act(&step).await;
    assert_eq!((again.id, again.progress), (None, Progress::Held), "{}", again.message);
    assert_eq!(stage.acts(), Vec::<String>::new());
}

#[tokio::test]
async fn h46_snapshots_that_a_dead_process_began_and_that_show_late_are_waited_for() {
    let stage = Stage::with(|world| world.timing.visibility_lag = (200, 280));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    assert!(die_at(&stage, &step, "J6.call").await);
    assert_eq!(recover(&stage, &step).await, JournalState::Done);
    assert_eq!(stage.mutations(), [format!("CreateSnapshots {INSTANCE}"), format!("StopInstances {INSTANCE}")]);
    stage.assert_watched();
}
