//! Whole acts from claim to end: what each one does, writes and leaves behind.

use super::*;
use crate::cloud::sim::Outcome as Answered;
use crate::domain::finding::State;
use crate::domain::resource::Tags;
use crate::remediate::actions::{Recipe, Restore};

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

    let recipe = Recipe::of(&stage.row(outcome.id.unwrap())).unwrap();
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
async fn r9_terminating_is_off_by_default_and_skipped_with_the_seeds_words() {
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Terminate).await;
    assert_refused(&stage, &stage.act(&step).await, "disabled (allow_auto_terminate = false); manual action needed");
    assert_eq!(JournalState::Refused.status().word(), "skipped", "a refusal is not a failure");
    assert_eq!(stage.mutations(), Vec::<String>::new(), "not even a snapshot");
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
    let recipe = Recipe::of(&stage.row(outcome.id.unwrap())).unwrap();
    let marks =
        [("costwarden:compliance-status", "needs-review"), ("costwarden:auto-tagged-at", "2026-11-23T10:00:00Z")];
    let marks = marks.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let written = step.add_tags.iter().cloned().chain(marks).collect();
    assert_eq!(recipe.restore, Restore::RemoveTags { tags: written }, "an undo knows our marks too");
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
