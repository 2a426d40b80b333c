//! An audit trail that does not hold stops acts until a person has looked.

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
