//! One act from claim to end, and everything that may come between.

use super::*;
use crate::cloud::sim::Outcome as Answered;
use crate::domain::exception::Exception;
use crate::domain::finding::State;
use crate::domain::resource::Tags;
use crate::remediate::actions::{Recipe, Restore};

fn states(stage: &Stage, id: i64) -> Vec<JournalState> {
    let mut states: Vec<JournalState> =
        stage.store.remediation_history(id).unwrap().into_iter().map(|row| row.state).collect();
    states.dedup();
    states
}

#[tokio::test]
async fn r8_a_stop_snapshots_every_volume_waits_for_them_and_then_stops_once() {
    use JournalState::*;
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let outcome = stage.act(&step).await;

    assert_eq!(outcome.progress, Progress::Ended(Done), "{}", outcome.message);
    assert_eq!(stage.mutations(), [format!("CreateSnapshots {INSTANCE}"), format!("StopInstances {INSTANCE}")]);
    assert_eq!(stage.truth(INSTANCE), "stopped");
    stage.assert_watched();
    let id = outcome.id.unwrap();
    assert_eq!(
        states(&stage, id),
        [Claimed, Rechecked, SnapIntent, SnapRequested, SnapVerified, ActIntent, Answered, Observed, Done]
    );
    let row = stage.row(id);
    let volumes: Vec<&str> = row.snapshots.iter().map(|own| &*own.volume).collect();
    assert_eq!(volumes, [DATA, ROOT], "exactly the attached ones");
    assert!(row.request_id.is_some() && row.call_hash.is_some());
    let finding = stage.store.finding(&step.finding).unwrap().unwrap();
    assert_eq!((finding.state, finding.remediation), (State::Remediated, None));
    assert_eq!(*stage.messages.lock().unwrap(), [format!("done r-{id}")]);
}

#[tokio::test]
async fn r8_safety_snapshots_carry_the_sources_tags_our_own_and_the_findings_name() {
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let id = stage.act(&step).await.id.unwrap();
    let name = format!("pre-remediation-{}", step.finding);
    let key = format!("{}-r{id}", stage.store.state_id().unwrap());
    let expected = [
        ("Name", name.as_str()),
        ("costwarden:finding", &step.finding.0),
        ("costwarden:keep-until", "2027-02-21"),
        (KEY_TAG, &key),
        ("costwarden:safety-snapshot", "true"),
        ("costwarden:source", INSTANCE),
        ("owner", "ann@example.com"),
    ];
    for volume in [ROOT, DATA] {
        let snapshots = stage.snapshots_of(volume);
        assert_eq!(snapshots.len(), 1);
        assert_eq!(snapshots[0].tags.known().unwrap(), &Tags::of(&expected), "no aws: tag, and no Name of the source");
        assert_eq!(&*snapshots[0].snapshot().unwrap().description, name);
    }
}

#[tokio::test]
async fn r8_without_snapshots_before_stops_a_plan_without_backup_stops_at_once() {
    let mut stage = Stage::new();
    stage.rules.switches.create_snapshot_before_stop = false;
    let mut step = stage.due_step(INSTANCE, Action::Stop).await;
    step.backup.clear();
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.mutations(), [format!("StopInstances {INSTANCE}")]);
}

#[tokio::test]
async fn r8_a_plan_that_promised_a_backup_gets_it_though_the_settings_no_longer_ask() {
    let mut stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    stage.rules.switches.create_snapshot_before_stop = false;
    stage.act(&step).await;
    assert_eq!(stage.mutations(), [format!("CreateSnapshots {INSTANCE}"), format!("StopInstances {INSTANCE}")]);
    stage.assert_watched();
}

#[tokio::test]
async fn r11_a_delete_has_its_completed_snapshot_first() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.mutations(), [format!("CreateSnapshot {ORPHAN}"), format!("DeleteVolume {ORPHAN}")]);
    assert_eq!(stage.truth(ORPHAN), "gone");
    stage.assert_watched();
    let snapshots = stage.snapshots_of(ORPHAN);
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0].tag("Name"), Some(format!("pre-deletion-{}", step.finding).as_str()));

    let recipe: Recipe = serde_json::from_value(stage.row(outcome.id.unwrap()).recipe.unwrap()).unwrap();
    assert_eq!(recipe.restore, Restore::CreateVolume { volume: ORPHAN.into() });
    assert_eq!(recipe.resource.volume().unwrap().size_gib, 50);
}

#[tokio::test]
async fn r11_deleting_volumes_is_off_by_default_and_skipped_not_failed() {
    let mut stage = Stage::new();
    stage.rules.switches = Switches::default();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_refused(&stage, &outcome, "disabled");
    assert_eq!(stage.mutations(), Vec::<String>::new(), "not even a snapshot");
}

#[tokio::test]
async fn r9_terminating_is_refused_with_the_seeds_words_even_where_it_is_allowed() {
    for allowed in [false, true] {
        let mut stage = Stage::new();
        stage.rules.switches.allow_auto_terminate = allowed;
        let mut step = stage.due_step(INSTANCE, Action::Stop).await;
        step.act = crate::domain::finding::Act::TerminateInstance;
        let outcome = stage.act(&step).await;
        assert_refused(&stage, &outcome, "manual action needed");
        assert_eq!(outcome.message.contains("disabled"), !allowed);
        assert_eq!(JournalState::Refused.status().word(), "skipped");
        assert_eq!(stage.mutations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn r10_resizing_is_not_available() {
    let stage = Stage::new();
    let mut step = stage.due_step(INSTANCE, Action::Stop).await;
    step.act = crate::domain::finding::Act::ResizeInstance;
    assert_refused(&stage, &stage.act(&step).await, "resize not available");
}

#[tokio::test]
async fn r12_missing_tags_are_added_with_our_two_marks_and_nothing_is_overwritten() {
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Tag).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.mutations(), [format!("CreateTags {INSTANCE}")]);
    let tags = stage.cloud.truth(|truth| truth.resource(INSTANCE).unwrap().tags.known().unwrap().clone());
    let expected = [
        ("Name", "build box"),
        ("aws:createdBy", "ann"),
        ("cost-center", "CC-000000"),
        ("costwarden:auto-tagged-at", "2026-11-23T10:00:00Z"),
        ("costwarden:compliance-status", "needs-review"),
        ("owner", "ann@example.com"),
        ("project", "unknown"),
    ];
    assert_eq!(tags, Tags::of(&expected));
    assert!(stage.cloud.calls().iter().all(|call| call.overwrote.is_empty()));
    let recipe: Recipe = serde_json::from_value(stage.row(outcome.id.unwrap()).recipe.unwrap()).unwrap();
    assert_eq!(recipe.restore, Restore::RemoveTags { tags: step.add_tags.clone() });
}

#[tokio::test]
async fn r12_with_an_empty_prefix_the_marks_have_the_seeds_plain_names() {
    let mut stage = Stage::new();
    stage.rules.guards.tag_prefix = String::new();
    let step = stage.due_step(INSTANCE, Action::Tag).await;
    stage.act(&step).await;
    let mark = stage.cloud.truth(|truth| truth.resource(INSTANCE).unwrap().tag("compliance-status").map(String::from));
    assert_eq!(mark.as_deref(), Some("needs-review"));
}

#[tokio::test]
async fn h27_a_key_that_somebody_set_meanwhile_keeps_its_value() {
    // The key may change without the resource counting as changed, so only the action itself can protect it.
    let mut stage = Stage::new();
    stage.rules.ignore_tags.push("project".into());
    let step = stage.due_step(INSTANCE, Action::Tag).await;
    stage.tag(INSTANCE, "project", "apollo");
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    stage.cloud.truth(|truth| {
        let resource = truth.resource(INSTANCE).unwrap();
        assert_eq!((resource.tag("project"), resource.tag("cost-center")), (Some("apollo"), Some("CC-000000")));
    });
    assert!(stage.cloud.calls().iter().all(|call| call.overwrote.is_empty()));
}

#[tokio::test]
async fn r12_a_resource_without_room_for_more_tags_is_left_alone() {
    let stage = Stage::with(|world| {
        let many: Vec<(String, String)> = (0..47).map(|number| (format!("k{number}"), "v".to_owned())).collect();
        let pairs: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        world.resources[0].resource.tags = crate::domain::fact::Fact::Known(Tags::of(&pairs));
    });
    let step = stage.due_step(INSTANCE, Action::Tag).await;
    assert_refused(&stage, &stage.act(&step).await, "47 of 50 tags");
}

#[tokio::test]
async fn h02_a_snapshot_that_takes_days_is_waited_for_over_windows_and_restarts() {
    let stage = Stage::new();
    stage.fault("CreateSnapshot", Effect::SnapshotHours(50));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Held, "{}", outcome.message);
    assert!(outcome.message.contains("15:30 is outside the action window"), "{}", outcome.message);
    assert!(stage.clock.now() < at("2026-11-23T15:31:01Z"), "held as soon as the window closed");
    assert_eq!(stage.truth(ORPHAN), "available");

    // Tuesday: another process, still pending.
    stage.clock.advance_to(at("2026-11-24T10:00:00Z"));
    let tuesday = stage.resume("run-2").await;
    assert_eq!(tuesday.len(), 1);
    assert_eq!(tuesday[0].progress, Progress::Held, "{}", tuesday[0].message);
    assert_eq!(stage.acts(), Vec::<String>::new());

    // Wednesday at noon it is completed.
    stage.clock.advance_to(at("2026-11-25T10:00:00Z"));
    let wednesday = stage.resume("run-3").await;
    assert_eq!(wednesday[0].progress, Progress::Ended(JournalState::Done), "{}", wednesday[0].message);
    assert!(stage.clock.now() >= at("2026-11-25T12:00:00Z"));
    assert_eq!(stage.mutations(), [format!("CreateSnapshot {ORPHAN}"), format!("DeleteVolume {ORPHAN}")]);
    stage.assert_watched();
    assert_eq!(stage.resume("run-4").await, [], "nothing is left to do");
}

#[tokio::test]
async fn h02_a_failed_snapshot_ends_the_step_and_the_volume_survives() {
    let stage = Stage::new();
    stage.fault("CreateSnapshot", Effect::SnapshotFails);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Aborted));
    assert!(outcome.message.contains("error"), "{}", outcome.message);
    assert_eq!((stage.truth(ORPHAN).as_str(), stage.acts().len()), ("available", 0));
    assert_eq!(stage.frozen(), None, "one failure does not freeze");
    let finding = stage.store.finding(&step.finding).unwrap().unwrap();
    assert_eq!((finding.state, finding.remediation), (State::Open, None));
}

#[tokio::test]
async fn two_failed_acts_in_one_run_freeze() {
    let stage = Stage::with(|world| {
        let place = crate::checks::testing::place();
        world.resources.push(another_volume(&place, "vol-0second"));
    });
    stage.fault("CreateSnapshot", Effect::SnapshotFails);
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    for id in [ORPHAN, "vol-0second"] {
        let step = stage.due_step(id, Action::Terminate).await;
        let first = remediator.start(&step, "p-1", &run).await.unwrap();
        stage.play(&remediator, first, &run).await;
    }
    assert!(stage.frozen().unwrap().contains("2 acts failed in one run"));
    assert_eq!(stage.acts(), Vec::<String>::new());
}

#[tokio::test]
async fn h02_a_snapshot_that_somebody_deletes_while_we_wait_stops_the_act() {
    let stage = Stage::new();
    stage.fault("CreateSnapshots", Effect::SnapshotHours(30));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Held);
    let snapshot = stage.snapshots_of(DATA)[0].key.id.to_string();
    stage.cloud.apply("bob", Change::Delete(snapshot)).unwrap();
    stage.clock.advance_to(at("2026-11-24T10:00:00Z"));
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Aborted), "{}", ends[0].message);
    assert_eq!((stage.truth(INSTANCE).as_str(), stage.acts().len()), ("running", 0));
}

#[tokio::test]
async fn h13_a_volume_attached_between_plan_and_act_refuses() {
    let attach = Change::Attach { volume: ORPHAN.into(), instance: INSTANCE.into(), device: "/dev/sdg".into() };
    // Before the claim.
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    stage.cloud.apply("ann", attach.clone()).unwrap();
    assert_refused(&stage, &stage.act(&step).await, ORPHAN);

    // While the snapshots are made.
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, "p-1", &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "{first:?}");
    stage.cloud.apply("ann", attach).unwrap();
    let end = stage.play(&remediator, first, &run).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Aborted), "{}", end.message);
    assert!(end.message.contains("its volumes changed"), "{}", end.message);
    assert_eq!(stage.acts(), Vec::<String>::new());
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn h07_whatever_changed_since_the_plan_refuses_and_is_named() {
    let cases: [(&str, Action, Change, &str); 5] = [
        (
            INSTANCE,
            Action::Stop,
            Change::Tag { resource: INSTANCE.into(), tags: vec![("team".into(), "data".into())] },
            "tag team",
        ),
        (
            ORPHAN,
            Action::Terminate,
            Change::Attach { volume: ORPHAN.into(), instance: INSTANCE.into(), device: "/dev/sdg".into() },
            "attached to i-0idle",
        ),
        (INSTANCE, Action::Stop, Change::Stop(INSTANCE.into()), "stopping"),
        (
            INSTANCE,
            Action::Stop,
            Change::Protect { instance: INSTANCE.into(), stop: Some(true), termination: None },
            "stop protection",
        ),
        (ORPHAN, Action::Terminate, Change::Delete(ORPHAN.into()), "deleting"),
    ];
    for (id, action, change, words) in cases {
        let stage = Stage::new();
        let step = stage.due_step(id, action).await;
        stage.cloud.apply("ann", change).unwrap();
        assert_refused(&stage, &stage.act(&step).await, words);
        assert_eq!(stage.mutations(), Vec::<String>::new(), "not even a snapshot");
    }
}

#[tokio::test]
async fn h07_a_change_while_the_snapshot_is_made_still_stops_the_act() {
    let cases: [(fn(&Stage), &str); 5] = [
        (|stage| stage.tag(ORPHAN, "costwarden:protect", "true"), "protect"),
        (|stage| stage.tag(ORPHAN, "costwarden:keep-until", "2026-12-01"), "keep-until"),
        (|stage| stage.tag(ORPHAN, "ebs.csi.aws.com/cluster", "true"), "CSI"),
        (|stage| stage.tag(ORPHAN, "in-use-by", "ann"), "changed since the plan"),
        (
            |stage| {
                *stage.says.0.lock().unwrap() = Ok(StillViolates::No("it was read an hour ago".into()));
            },
            "no longer violates",
        ),
    ];
    for (change, words) in cases {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let first = remediator.start(&step, "p-1", &run).await.unwrap();
        assert!(matches!(first.progress, Progress::WaitUntil(_)), "{first:?}");
        change(&stage);
        let end = stage.play(&remediator, first, &run).await;
        assert_refused(&stage, &end, words);
        assert_eq!(stage.truth(ORPHAN), "available");
    }
}

#[tokio::test]
async fn h10_an_exception_a_closed_finding_or_an_undecided_look_while_we_wait_refuses() {
    let cases: [(&str, fn(&Stage, &mut Finding)); 4] = [
        ("excepted", |_, finding| finding.state = State::Excepted),
        ("resolved", |_, finding| finding.state = State::Resolved),
        ("could not tell", |_, finding| finding.unjudged = Some("no datapoint".into())),
        ("not due before", |stage, finding| finding.clock.due_at = Some(stage.clock.now() + TimeDelta::days(3))),
    ];
    for (words, change) in cases {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let first = remediator.start(&step, "p-1", &run).await.unwrap();
        let mut finding = stage.store.finding(&step.finding).unwrap().unwrap();
        change(&stage, &mut finding);
        stage.store.update_findings(&[finding], &[]).unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_refused(&stage, &end, words);
    }
    let mut stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    stage.rules.exceptions.push(Exception {
        id: "EXC-12".into(),
        resource: ORPHAN.into(),
        account: None,
        policy: "policy".into(),
        rule: None,
        reason: "migration".into(),
        approved_by: "eve".into(),
        until: monday(),
    });
    assert_refused(&stage, &stage.act(&step).await, "exception EXC-12 holds");
}

#[tokio::test]
async fn i21_a_freeze_while_we_wait_holds_and_after_it_everything_is_judged_again() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, "p-1", &run).await.unwrap();
    stage.store.freeze(&Freeze { at: stage.clock.now(), by: "eve".into(), reason: "audit".into() }).unwrap();
    let held = stage.play(&remediator, first, &run).await;
    assert_eq!(held.progress, Progress::Held, "{}", held.message);
    assert!(held.message.contains("frozen by eve"), "{}", held.message);
    assert_eq!(stage.acts(), Vec::<String>::new());
    // And nothing new begins.
    let other = stage.due_step(INSTANCE, Action::Stop).await;
    let refused = remediator.start(&other, "p-1", &run).await.unwrap();
    assert_eq!((refused.id, refused.progress), (None, Progress::Held));

    stage.store.unfreeze("eve", stage.clock.now()).unwrap();
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    stage.assert_watched();
}

#[tokio::test]
async fn h06_another_worker_with_a_newer_fence_ends_this_one_before_the_wire() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, "p-1", &run).await.unwrap();
    let snapshots = stage.mutations();
    // This worker slept past its lease; another took it.
    stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(1));
    let newer = stage.run("run-2");
    assert!(newer.fence > run.fence);
    let stale = remediator.advance(first.id.unwrap(), &run).await;
    assert!(
        matches!(stale, Err(Interrupted::StaleFence)) || matches!(&stale, Ok(own) if own.progress == Progress::Held)
    );
    assert_eq!(stage.mutations(), snapshots, "the stale one called nothing");
    assert!(matches!(
        remediator.start(&step, "p-1", &run).await,
        Ok(Outcome { id: None, progress: Progress::Held, .. })
    ));

    let other = stage.remediator(Halt::none());
    let resumed = other.resume_all(&newer).await.unwrap();
    let end = stage.play(&other, resumed[0].clone(), &newer).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Done), "{}", end.message);
    assert_eq!(stage.acts(), [format!("DeleteVolume {ORPHAN}")]);
}

#[tokio::test]
async fn h06_one_resource_has_one_open_act() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, "p-1", &run).await.unwrap();
    let second = remediator.start(&step, "p-1", &run).await.unwrap();
    assert_eq!((second.id, second.progress), (None, Progress::Held));
    assert!(second.message.contains("open"), "{}", second.message);
    stage.play(&remediator, first, &run).await;
    assert_eq!(stage.acts(), [format!("DeleteVolume {ORPHAN}")]);
}

#[tokio::test]
async fn h05_a_lost_answer_after_the_effect_is_found_by_looking_and_never_repeated() {
    for (id, action, operation) in
        [(INSTANCE, Action::Stop, "StopInstances"), (ORPHAN, Action::Terminate, "DeleteVolume")]
    {
        let stage = Stage::new();
        change_fault(&stage, operation, Effect::TimeoutAfterEffect);
        let step = stage.due_step(id, action).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
        assert_eq!(stage.acts(), [format!("{operation} {id}")], "once");
        assert!(states(&stage, outcome.id.unwrap()).contains(&JournalState::Uncertain));
        stage.assert_watched();
        assert_eq!(stage.frozen(), None);
    }
}

#[tokio::test]
async fn h05_an_answer_that_never_came_and_had_no_effect_ends_stuck_after_three_looks_over_ten_minutes() {
    let stage = Stage::new();
    change_fault(&stage, "DeleteVolume", Effect::Timeout);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{}", outcome.message);
    assert_eq!(stage.acts(), [format!("DeleteVolume {ORPHAN}")], "once");
    let row = stage.row(outcome.id.unwrap());
    assert!(row.looks >= 3);
    assert!(row.updated_at - row.first_look_at.unwrap() >= TimeDelta::minutes(10));
    assert!(stage.frozen().unwrap().contains("stuck"));
    let told = stage.messages.lock().unwrap().clone();
    assert!(told.iter().any(|word| word.starts_with("stuck r-")), "{told:?}");
    let finding = stage.store.finding(&step.finding).unwrap().unwrap();
    assert_eq!(finding.phase_at(stage.clock.now()), crate::domain::finding::Phase::Stuck);
}

/// A fault that meets changes, not the permission probe before them.
fn change_fault(stage: &Stage, operation: &str, effect: Effect) {
    stage.cloud.add_fault(Fault { form: Some(crate::cloud::sim::Form::Change), ..Fault::on(operation, effect) });
}

#[tokio::test]
async fn a_definite_refusal_of_the_ordinary_sort_ends_the_step_and_never_freezes() {
    for code in ["VolumeInUse", "IncorrectState", "OperationNotPermitted"] {
        let stage = Stage::new();
        change_fault(&stage, "DeleteVolume", Effect::Reject(code.into()));
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused));
        assert!(outcome.message.contains(code), "{}", outcome.message);
        assert_eq!(stage.acts(), [format!("DeleteVolume {ORPHAN}")], "once");
        assert_eq!((stage.frozen(), stage.truth(ORPHAN).as_str()), (None, "available"));
    }
}

#[tokio::test]
async fn h33_the_first_throttle_on_a_change_ends_the_run() {
    let stage = Stage::new();
    change_fault(&stage, "DeleteVolume", Effect::Throttle);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, "p-1", &run).await.unwrap();
    let end = stage.play(&remediator, first, &run).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{}", end.message);
    let next = stage.due_step(INSTANCE, Action::Stop).await;
    let held = remediator.start(&next, "p-1", &run).await.unwrap();
    assert_eq!((held.id, held.progress), (None, Progress::Held));
    assert!(held.message.contains("this run makes no more changes"), "{}", held.message);
    assert_eq!((stage.acts().len(), stage.frozen()), (1, None));
}

#[tokio::test]
async fn an_act_that_is_not_permitted_is_found_out_before_anything_is_snapshotted() {
    let stage = Stage::new();
    stage.fault("DeleteVolume", Effect::Deny);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_refused(&stage, &stage.act(&step).await, "UnauthorizedOperation");
    assert_eq!(stage.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn h46_a_snapshot_request_without_an_answer_is_looked_up_and_not_repeated() {
    let stage = Stage::with(|world| world.timing.visibility_lag = (100, 100));
    change_fault(&stage, "CreateSnapshots", Effect::TimeoutAfterEffect);
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.mutations(), [format!("CreateSnapshots {INSTANCE}"), format!("StopInstances {INSTANCE}")]);
    assert_eq!((stage.snapshots_of(ROOT).len(), stage.snapshots_of(DATA).len()), (1, 1));
    stage.assert_watched();
}

#[tokio::test]
async fn h46_a_snapshot_request_that_was_lost_is_repeated_once_and_then_given_up() {
    let stage = Stage::new();
    let lost = Fault { form: Some(crate::cloud::sim::Form::Change), ..Fault::on("CreateSnapshot", Effect::Timeout) };
    stage.cloud.add_fault(lost.clone().nth(1));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Done));
    assert_eq!(stage.mutations().len(), 3, "two requests, one of them without effect, and the delete");
    assert_eq!(stage.snapshots_of(ORPHAN).len(), 1);

    let stage = Stage::new();
    stage.cloud.add_fault(lost);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Aborted));
    assert_eq!(stage.mutations(), [format!("CreateSnapshot {ORPHAN}"), format!("CreateSnapshot {ORPHAN}")]);
    assert_eq!(stage.truth(ORPHAN), "available");
}

#[tokio::test]
async fn h01_what_cannot_be_read_is_asked_again_and_then_left_alone() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    stage.fault("DescribeVolumes", Effect::Timeout);
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Aborted));
    assert!(outcome.message.contains("could not be read again"), "{}", outcome.message);
    assert_eq!(stage.clock.now() - monday() >= TimeDelta::minutes(15), true);
    assert_eq!(stage.mutations(), Vec::<String>::new());

    for (effect, words) in [(Effect::MissingTags, "tags could not be read"), (Effect::Deny, "UnauthorizedOperation")] {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        stage.fault("DescribeVolumes", effect);
        assert_refused(&stage, &stage.act(&step).await, words);
    }
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    stage.fault("DescribeInstanceAttribute", Effect::Deny);
    assert_refused(&stage, &stage.act(&step).await, "counts as on");
}

#[tokio::test]
async fn h01_a_rule_that_cannot_be_judged_again_refuses_and_a_failed_metric_read_is_repeated() {
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    *stage.says.0.lock().unwrap() = Ok(StillViolates::Unknown("no datapoint for 2026-11-22".into()));
    assert_refused(&stage, &stage.act(&step).await, "could not be judged again: no datapoint for 2026-11-22");

    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    *stage.says.0.lock().unwrap() = Err("cloudwatch GetMetricData: no answer".into());
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, "p-1", &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "{first:?}");
    *stage.says.0.lock().unwrap() = Ok(StillViolates::Yes);
    let end = stage.play(&remediator, first, &run).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Done), "{}", end.message);
}

#[tokio::test]
async fn h28_a_stop_that_is_shown_late_is_waited_for() {
    let stage = Stage::with(|world| world.timing.visibility_lag = (120, 300));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.acts(), [format!("StopInstances {INSTANCE}")]);
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn the_audit_trail_tells_every_end_and_verifies() {
    let stage = Stage::new();
    let delete = stage.due_step(ORPHAN, Action::Terminate).await;
    stage.act(&delete).await;
    let stop = stage.due_step(INSTANCE, Action::Stop).await;
    stage.tag(INSTANCE, "team", "data");
    stage.act(&stop).await;
    let rows = stage.store.audit_rows(0, 100).unwrap();
    let told: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.entry.what.as_str(), row.entry.subject.rsplit('/').next().unwrap())).collect();
    assert_eq!(told, [("J11_done", ORPHAN), ("refused", INSTANCE)]);
    assert_eq!(stage.store.audit_verify(None).unwrap(), 2);
}

#[tokio::test]
async fn every_request_that_could_change_something_was_answered_or_is_in_the_journal() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let id = stage.act(&step).await.id.unwrap();
    let answered = stage.cloud.calls().iter().filter(|call| call.mutating() && call.outcome == Answered::Done).count();
    assert_eq!(answered, 2);
    assert!(stage.row(id).request_id.is_some());
}
