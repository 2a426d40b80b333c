//! What the cloud may answer, or not answer, and what follows from it.

use super::*;
use crate::domain::finding::State;

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
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        stage.play(&remediator, first, &run).await;
    }
    assert!(stage.frozen().unwrap().contains("2 acts failed in one run"));
    assert_eq!(stage.acts(), Vec::<String>::new());
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
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let end = stage.play(&remediator, first, &run).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{}", end.message);
    let next = stage.due_step(INSTANCE, Action::Stop).await;
    let held = remediator.start(&next, &stage.plan(&next), &run).await.unwrap();
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
    assert!(stage.clock.now() - monday() >= TimeDelta::minutes(15));
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
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
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
async fn a_refusal_that_the_probe_did_not_foresee_counts_as_a_failure_and_the_second_freezes() {
    let stage = Stage::new();
    change_fault(&stage, "DeleteVolume", Effect::Deny);
    change_fault(&stage, "StopInstances", Effect::Reject("ClientVpnLost".into()));
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    for (id, action, frozen) in [(ORPHAN, Action::Terminate, false), (INSTANCE, Action::Stop, true)] {
        let step = stage.due_step(id, action).await;
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{}", end.message);
        assert_eq!(stage.frozen().is_some(), frozen, "{id}");
    }
    assert_eq!(stage.acts().len(), 2, "each once");
}

#[tokio::test]
async fn a_throttled_snapshot_request_ends_the_run_without_an_act() {
    for effect in [Effect::Throttle, Effect::Reject("SnapshotCreationPerVolumeRateExceeded".into())] {
        let stage = Stage::new();
        change_fault(&stage, "CreateSnapshot", effect);
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Aborted), "{}", outcome.message);
        assert_eq!((stage.mutations().len(), stage.acts().len(), stage.frozen()), (1, 0, None));
    }
}

#[tokio::test]
async fn i20_what_the_cloud_refused_outright_is_no_act_and_is_done_the_next_day() {
    let stage = Stage::new();
    let once = Fault { form: Some(Form::Change), ..Fault::on("DeleteVolume", Effect::Throttle) };
    stage.cloud.add_fault(once.nth(1));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Refused));
    stage.clock.advance_to(at("2026-11-24T10:00:00Z"));
    let finding = stage.due_finding(ORPHAN, Action::Terminate);
    let step = stage.step_of(&finding).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-2"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.acts(), ["DeleteVolume vol-0orphan", "DeleteVolume vol-0orphan"]);
    stage.assert_watched();
}

#[tokio::test]
async fn h46_a_second_request_that_was_certainly_not_sent_is_not_counted_as_asked() {
    let stage = Stage::new();
    // The first request is never answered and begins nothing; the second is held after its intent.
    let unanswered = Fault { form: Some(Form::Change), calls: vec![1], ..Fault::on("CreateSnapshot", Effect::Timeout) };
    stage.cloud.add_fault(unanswered);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (store, clock, passes) = (stage.store.clone(), stage.clock.clone(), Arc::new(Mutex::new(0)));
    let counted = passes.clone();
    let frozen_at_the_second = Halt::meanwhile("J5.after", move || {
        let mut passes = counted.lock().unwrap();
        *passes += 1;
        if *passes == 2 {
            store.freeze(&Freeze { at: clock.now(), by: "eve".into(), reason: "audit".into() }).unwrap();
        }
    });
    let (remediator, run) = (stage.remediator(frozen_at_the_second), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!((outcome.progress, *passes.lock().unwrap()), (Progress::Held, 2), "{}", outcome.message);
    assert_eq!(stage.mutations(), [format!("CreateSnapshot {ORPHAN}")], "asked once so far");

    stage.store.unfreeze("eve", stage.clock.now()).unwrap();
    stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(1));
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    let asked = stage.mutations().iter().filter(|call| call.starts_with("CreateSnapshot")).count();
    assert_eq!((asked, stage.frozen()), (2, None), "nothing failed");
}
