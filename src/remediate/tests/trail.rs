//! An audit trail that does not hold, or a state that is older than the cloud knows, stops acts until a person has looked.

use serde_json::json;

use super::*;
use crate::store::AuditEntry;

#[tokio::test]
async fn h40_a_trail_that_was_edited_freezes_before_an_act_and_once_for_each_break() {
    let stage = Stage::new();
    let entry = AuditEntry { actor: "ann".into(), what: "arm".into(), subject: "x".into(), detail: json!({}) };
    for _ in 0..3 {
        stage.store.audit_append(monday(), &entry).unwrap();
    }
    let remediator = stage.remediator(Halt::none());
    remediator.doubt_the_trail().unwrap();
    assert_eq!(stage.frozen(), None, "a trail that holds is no reason");

    stage.store.forge_audit_row(2);
    remediator.doubt_the_trail().unwrap();
    let reason = stage.frozen().unwrap();
    assert!(reason.contains("broken at row 2") && reason.contains("audit verify"), "{reason}");
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_ne!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.mutations(), Vec::<String>::new(), "nothing is changed while the trail is in doubt");

    stage.store.unfreeze("ann", stage.clock.now()).unwrap();
    remediator.doubt_the_trail().unwrap();
    assert_eq!(stage.frozen(), None, "a person has looked at this break");
    stage.store.forge_audit_row(1);
    remediator.doubt_the_trail().unwrap();
    assert!(stage.frozen().unwrap().contains("broken at row 1"), "another break is another doubt");
}

#[tokio::test]
async fn h16_a_snapshot_of_an_act_that_the_journal_does_not_know_freezes_until_the_state_is_accepted() {
    let stage = Stage::new();
    let done = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&done).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    let remediator = stage.remediator(Halt::none());
    remediator.doubt_the_state().await.unwrap();
    assert_eq!(stage.frozen(), None, "the journal knows the snapshot that was made");

    // What the latest state made lies in the cloud; this file is a copy from before it.
    let snapshot = stage.row(outcome.id.unwrap()).snapshots[0].snapshot.clone().unwrap().to_string();
    stage.tag(&snapshot, KEY_TAG, "st-0123456789abcdef-r77");
    remediator.doubt_the_state().await.unwrap();
    assert_eq!(stage.frozen(), None, "another state's snapshots say nothing about this one");
    stage.tag(&snapshot, KEY_TAG, &format!("{}-r77", stage.store.state_id().unwrap()));
    remediator.doubt_the_state().await.unwrap();
    let reason = stage.frozen().unwrap();
    assert!(reason.contains("was made for its act r-77, and its journal ends at r-1"), "{reason}");
    assert!(reason.contains("`costwarden db accept`"), "{reason}");
    let before = stage.mutations();
    stage.store.unfreeze("ann", stage.clock.now()).unwrap();
    remediator.doubt_the_state().await.unwrap();
    assert!(stage.frozen().is_some(), "lifting the freeze does not accept the state");

    let accepted =
        stage.store.accept_put_back("ann", stage.clock.now(), crate::engine::grace::restart).unwrap().unwrap();
    assert_eq!(accepted.after_row, 10_077);
    stage.store.unfreeze("ann", stage.clock.now()).unwrap();
    remediator.doubt_the_state().await.unwrap();
    assert_eq!((stage.frozen(), stage.mutations()), (None, before), "the same snapshot is no doubt any more");
}
