//! H14 as far as EC2 tells it: before a volume is deleted, EC2 is asked whether a new one may be made of its snapshot.

use super::*;

fn dry(stage: &Stage, operation: &str) -> Vec<Instant> {
    let calls = stage.cloud.calls();
    calls.iter().filter(|call| call.operation == operation && call.dry_run).map(|call| call.at).collect()
}

#[tokio::test]
async fn h14_without_a_way_back_that_is_permitted_no_volume_is_deleted() {
    let stage = Stage::new();
    stage.cloud.add_fault(Fault { form: Some(Form::DryRun), ..Fault::on("CreateVolume", Effect::Deny) });
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_refused(&stage, &outcome, "its undo would not be accepted");
    assert_eq!(stage.truth(ORPHAN), "available");
    assert_eq!(stage.snapshots_of(ORPHAN).len(), 1, "what was made stays, and goes when its time is over");
}

#[tokio::test]
async fn h14_the_way_back_is_asked_for_before_each_deletion_and_an_answer_that_does_not_tell_is_no_yes() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    let asked = dry(&stage, "CreateVolume");
    assert_eq!(asked.len(), 1);
    let calls = stage.cloud.calls();
    let deleted = calls.iter().find(|call| call.operation == "DeleteVolume" && call.effective).unwrap().at;
    assert!(asked[0] <= deleted);
    assert_eq!(stage.effective("CreateVolume"), 0, "asked, not made");

    // Throttled for a while: it waits and asks again.
    let stage = Stage::new();
    let on = Fault::on("CreateVolume", Effect::Throttle);
    stage.cloud.add_fault(Fault { form: Some(Form::DryRun), calls: vec![1, 2, 3], ..on });
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(dry(&stage, "CreateVolume").len(), 4);
}

#[tokio::test]
async fn h14_a_stop_needs_no_volume_made_and_asks_for_none() {
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Done));
    assert!(dry(&stage, "CreateVolume").is_empty());
}
