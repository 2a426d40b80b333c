//! Policies under the life cycle: written whole or not at all, never undone unseen, versions for ever.

use super::*;
use crate::domain::lifecycle::*;

fn record(id: &str) -> PolicyRecord {
    PolicyRecord {
        id: id.into(),
        name: "disks".into(),
        stage: Stage::Draft,
        created_by: "ann@example.com".into(),
        created_at: minute(0),
        updated_at: minute(0),
        seq: 1,
        version: SemVer::FIRST,
        hash: "0123456789abcdef".into(),
        authors: vec!["ann@example.com".into()],
        reviewers: Vec::new(),
        review: None,
        approved_at: None,
        current: None,
        next: None,
        brake: None,
        deprecation: None,
        revision: 0,
    }
}

fn version(record: &PolicyRecord) -> PolicyVersion {
    PolicyVersion {
        policy: record.id.clone(),
        seq: record.seq,
        version: record.version,
        hash: record.hash.clone(),
        change: ChangeType::Major,
        summary: "Initial draft".into(),
        by: "ann@example.com".into(),
        at: minute(0),
        format: "yaml".into(),
        text: "name: disks\n".into(),
        json: serde_json::json!({"name": "disks"}),
    }
}

fn happened(record: &PolicyRecord, what: &str) -> PolicyEvent {
    PolicyEvent { at: minute(0), by: "ann".into(), what: what.into(), version: record.version, detail: "d".into() }
}

fn save(store: &Store, record: &PolicyRecord, version: Option<&PolicyVersion>, what: &str) -> Result<()> {
    let mail =
        Outgoing { kind: "policy".into(), to: "bob@example.com".into(), dedup: what.into(), ..Outgoing::default() };
    let audit = AuditEntry {
        actor: "ann".into(),
        what: format!("policy_{what}"),
        subject: record.id.clone(),
        detail: serde_json::json!({}),
    };
    store.save_policy(&PolicyStep {
        record,
        version,
        events: &[happened(record, what)],
        mails: &[mail],
        audit: &audit,
        now: minute(1),
    })
}

fn in_review(mut record: PolicyRecord, minutes: i64) -> PolicyRecord {
    let ask = |who: &str| Reviewer { who: who.into(), approved_at: None, comment: None };
    record.stage = Stage::Review;
    record.review = Some(Review {
        seq: record.seq,
        asked_by: "ann@example.com".into(),
        asked_at: minute(minutes),
        reviewers: vec![ask("bob@example.com"), ask("eve@example.com")],
    });
    record
}

#[test]
fn t6_a_step_is_written_whole_and_comes_back_as_it_was() {
    let store = Store::in_memory().unwrap();
    let draft = record("policy-disks-20261102");
    save(&store, &draft, Some(&version(&draft)), "created").unwrap();
    let mut expected = draft.clone();
    expected.revision = 1;
    assert_eq!(store.policy(&draft.id).unwrap(), Some(expected.clone()));
    assert_eq!(store.policies().unwrap(), [expected]);
    assert_eq!(store.policy_versions(&draft.id).unwrap(), [version(&draft)]);
    assert_eq!(store.policy_events(&draft.id).unwrap(), [happened(&draft, "created")]);
    assert_eq!(store.outbox_counts().unwrap().pending, 1);
    let trail: Vec<String> = store.audit_rows(0, 9).unwrap().into_iter().map(|row| row.entry.what).collect();
    assert_eq!(trail, ["policy_created"]);
}

#[test]
fn what_somebody_else_changed_meanwhile_is_not_overwritten_and_nothing_of_the_step_stays() {
    let store = Store::in_memory().unwrap();
    let draft = record("policy-disks-20261102");
    save(&store, &draft, Some(&version(&draft)), "created").unwrap();
    let read = store.policy(&draft.id).unwrap().unwrap();
    save(&store, &in_review(read.clone(), 2), None, "submitted").unwrap();
    let late = save(&store, &read, None, "updated").unwrap_err();
    assert!(late.to_string().contains("somebody else changed the policy"), "{late}");
    assert!(save(&store, &draft, Some(&version(&draft)), "again").is_err(), "nor is it made twice");
    assert_eq!(store.policy_events(&draft.id).unwrap().len(), 2);
    assert_eq!(store.outbox_counts().unwrap().pending, 2);
    assert_eq!(store.policy(&draft.id).unwrap().unwrap().stage, Stage::Review);
}

#[test]
fn a_review_is_rows_of_the_table_of_approvals_and_a_new_round_leaves_the_old_answers_behind() {
    let store = Store::in_memory().unwrap();
    let draft = record("policy-disks-20261102");
    save(&store, &draft, Some(&version(&draft)), "created").unwrap();
    let mut asked = in_review(store.policy(&draft.id).unwrap().unwrap(), 2);
    save(&store, &asked, None, "submitted").unwrap();
    asked.revision = 2;
    assert_eq!(store.policy(&draft.id).unwrap().as_ref(), Some(&asked));

    let answer = &mut asked.review.as_mut().unwrap().reviewers[0];
    (answer.approved_at, answer.comment) = (Some(minute(3)), Some("fine".into()));
    save(&store, &asked, None, "approved").unwrap();
    let pending: Vec<String> = store.approvals_pending(None).unwrap().into_iter().map(|row| row.approver).collect();
    assert_eq!(pending, ["eve@example.com"]);

    // An edit: the version after it is asked about anew.
    let mut edited = store.policy(&draft.id).unwrap().unwrap();
    assert_eq!(edited.review, asked.review);
    (edited.seq, edited.version) = (2, SemVer::FIRST.after(ChangeType::Minor));
    let edited = in_review(edited, 4);
    save(&store, &edited, Some(&version(&edited)), "updated").unwrap();
    let rows = store.approvals_of(ApprovalKind::PolicyReview, &draft.id).unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.round, row.approver.as_str(), row.state)).collect();
    use ApprovalState::*;
    let expected = [
        (1, "bob@example.com", Approved),
        (1, "eve@example.com", Withdrawn),
        (2, "bob@example.com", Pending),
        (2, "eve@example.com", Pending),
    ];
    assert_eq!(seen, expected);
    assert_eq!(store.policy(&draft.id).unwrap().unwrap().review.unwrap().waiting().len(), 2);

    // Sent back and submitted again without an edit: the same version, asked anew.
    let mut back = store.policy(&draft.id).unwrap().unwrap();
    (back.stage, back.review) = (Stage::Draft, None);
    save(&store, &back, None, "changes_requested").unwrap();
    assert_eq!(store.approvals_pending(None).unwrap(), []);
    let again = in_review(store.policy(&draft.id).unwrap().unwrap(), 9);
    save(&store, &again, None, "resubmitted").unwrap();
    assert_eq!(store.policy(&draft.id).unwrap().unwrap().review, again.review);
}

#[test]
fn t6_versions_and_history_cannot_be_changed_and_have_no_gap() {
    let store = Store::in_memory().unwrap();
    let draft = record("policy-disks-20261102");
    save(&store, &draft, Some(&version(&draft)), "created").unwrap();
    let read = store.policy(&draft.id).unwrap().unwrap();
    let gap = PolicyVersion { seq: 3, ..version(&draft) };
    assert!(save(&store, &read, Some(&gap), "updated").unwrap_err().to_string().contains("does not follow 1"));
    let connection = store.lock();
    for sql in [
        "UPDATE policy_version SET content = 'x'",
        "DELETE FROM policy_version",
        "UPDATE policy_event SET detail = 'x'",
        "DELETE FROM policy_event",
    ] {
        let error = connection.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
}

#[test]
fn approvals_of_every_kind_share_the_table_and_an_open_question_is_asked_once() {
    let store = Store::in_memory().unwrap();
    let asked = |kind, approver: &str| Approval {
        id: 0,
        kind,
        subject: "x-1".into(),
        round: 0,
        approver: approver.into(),
        state: ApprovalState::Pending,
        asked_by: "ann".into(),
        asked_at: minute(0),
        decided_at: None,
        comment: None,
    };
    let ids: Vec<i64> =
        ApprovalKind::ALL.iter().map(|kind| store.ask_approval(&asked(*kind, "bob")).unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert_eq!(store.ask_approval(&asked(ApprovalKind::Request, "bob")).unwrap(), 2, "the same question");
    store.decide_approval(2, ApprovalState::Rejected, Some("no"), minute(5)).unwrap();
    assert!(store.decide_approval(2, ApprovalState::Approved, None, minute(6)).is_err(), "an answer stays");
    let row = store.approvals_of(ApprovalKind::Request, "x-1").unwrap().remove(0);
    assert_eq!(
        (row.state, row.comment.as_deref(), row.decided_at),
        (ApprovalState::Rejected, Some("no"), Some(minute(5)))
    );
    assert_eq!(store.approvals_pending(Some("BOB")).unwrap().len(), 3);
}
