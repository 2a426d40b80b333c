//! The journal and its lease: one act per resource, one holder per fence, findings that follow.

use chrono::TimeDelta;

use super::*;
use crate::domain::plan::Step;
use crate::domain::remediation::{JournalState, Remediation};

fn moved(remediation: &Remediation, state: JournalState, message: &str) -> Remediation {
    Remediation { state, message: message.into(), ..remediation.clone() }
}

fn entry() -> AuditEntry {
    AuditEntry {
        actor: "remediate".into(),
        what: "act".into(),
        subject: "r-1".into(),
        detail: serde_json::json!({ "b": 1, "a": [null, "x"] }),
    }
}

/// Two stores on one file: two processes.
fn two_workers() -> (tempfile::TempDir, Store, Store) {
    let folder = tempfile::tempdir().unwrap();
    let one = Store::open_in(folder.path()).unwrap();
    let two = Store::open_in(folder.path()).unwrap();
    (folder, one, two)
}

#[test]
fn an_act_is_told_step_by_step_and_its_finding_follows() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    let claimed = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
    assert_eq!(claimed.state, JournalState::Claimed);
    let acting = store.finding(&findings[0].id).unwrap().unwrap();
    assert_eq!((acting.remediation, acting.phase), (Some(OpenRemediation::Acting), Phase::Acting));
    assert_eq!(store.open_remediations().unwrap(), std::slice::from_ref(&claimed));

    let intent = moved(&claimed, JournalState::ActIntent, "StopInstances");
    store.advance(&intent, fence, minute(2)).unwrap();
    assert_eq!(store.last_act_on(&findings[0].key, None).unwrap(), Some((minute(2), Act::StopInstance)));
    let done = moved(&claimed, JournalState::Done, "done");
    let mail = Outgoing {
        kind: "notice".into(),
        to: "ann@example.com".into(),
        dedup: "done r-1".into(),
        message: "{}".into(),
        attachments: None,
        notices: vec![(findings[0].id.clone(), crate::domain::notice::NoticeKind::Done)],
    };
    store.done(&done, fence, minute(3), &entry(), &[mail]).unwrap();

    let closed = store.finding(&findings[0].id).unwrap().unwrap();
    assert_eq!((closed.state, closed.remediation, closed.closed_at), (State::Remediated, None, Some(minute(3))));
    assert_eq!(store.open_remediations().unwrap(), []);
    let history: Vec<(Instant, JournalState)> =
        store.remediation_history(claimed.id).unwrap().iter().map(|row| (row.at, row.state)).collect();
    use JournalState::{ActIntent, Claimed, Done};
    assert_eq!(history, [(minute(1), Claimed), (minute(2), ActIntent), (minute(3), Done)]);
    assert_eq!(store.audit_verify(None).unwrap(), 1);
    assert_eq!(store.outbox_counts().unwrap(), OutboxCounts { pending: 1, delivered: 0, dead: 0 });
    let told: Vec<String> =
        store.finding_events(&findings[0].id).unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(told, ["acting", "remediated"]);
    let account = findings[0].key.account();
    assert_eq!(store.acts_since(account, minute(2)).unwrap(), [(Act::StopInstance, Kind::Instance, minute(2))]);
    assert_eq!(store.acts_since(account, minute(3)).unwrap(), []);
    assert_eq!(store.last_acts_since(minute(0)).unwrap().len(), 1);
    assert_eq!(store.remediations_between(minute(3), minute(4)).unwrap().len(), 1);
    assert_eq!(store.remediations_of_finding(&findings[0].id).unwrap().len(), 1);
}

#[test]
fn the_end_of_an_act_is_written_whole_or_not_at_all() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    let claimed = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
    // The message cannot be written: a table is gone at the worst moment.
    store.lock().execute_batch("ALTER TABLE outbox RENAME TO away").unwrap();
    let mail = Outgoing { dedup: "done".into(), ..Outgoing::default() };
    let done = moved(&claimed, JournalState::Done, "done");
    store.done(&done, fence, minute(2), &entry(), std::slice::from_ref(&mail)).unwrap_err();
    assert_eq!(store.remediation(claimed.id).unwrap().unwrap().state, JournalState::Claimed);
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().state, State::Open);
    assert_eq!(store.audit_head().unwrap(), None);
    store.lock().execute_batch("ALTER TABLE away RENAME TO outbox").unwrap();
    store.done(&done, fence, minute(2), &entry(), &[mail]).unwrap();
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().state, State::Remediated);
}

#[test]
fn refused_and_aborted_acts_leave_the_finding_open() {
    for end in [JournalState::Refused, JournalState::Aborted] {
        let (store, findings) = with_findings(&["vol-0a1"]);
        let fence = acting_lease(&store, "one", minute(0));
        let claimed = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
        store.advance(&moved(&claimed, end, "in use again"), fence, minute(2)).unwrap();
        let after = store.finding(&findings[0].id).unwrap().unwrap();
        assert_eq!(after, findings[0], "the finding is as it was before the claim");
        assert_eq!(store.finding_events(&findings[0].id).unwrap()[1].what, "act_skipped");
        store.claim(&step(&findings[0]), "p-2", fence, minute(3)).unwrap();
    }
}

#[test]
fn a_delivered_notification_fixes_nothing() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    let told = Step { act: Act::SendNotification, ..step(&findings[0]) };
    let claimed = store.claim(&told, "p-1", fence, minute(1)).unwrap();
    store.done(&moved(&claimed, JournalState::Done, "sent"), fence, minute(2), &entry(), &[]).unwrap();
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap(), findings[0]);
}

#[test]
fn a_stuck_act_blocks_its_resource_until_a_person_settles_it() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    let claimed = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
    store.advance(&moved(&claimed, JournalState::Stuck, "no answer, no effect"), fence, minute(2)).unwrap();
    let stuck = store.finding(&findings[0].id).unwrap().unwrap();
    assert_eq!((stuck.remediation, stuck.phase), (Some(OpenRemediation::Stuck), Phase::Stuck));
    assert_eq!(store.stuck_remediations().unwrap().len(), 1);
    let again = store.claim(&step(&findings[0]), "p-2", fence, minute(3)).unwrap_err();
    assert!(matches!(again, ClaimError::AlreadyOpen { remediation: 1, state: JournalState::Stuck }), "{again}");

    store.settle_stuck(claimed.id, "eve", "it never ran", minute(4)).unwrap();
    store.settle_stuck(claimed.id, "eve", "twice", minute(5)).unwrap_err();
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().remediation, None);
    assert_eq!(store.stuck_remediations().unwrap(), []);
    assert_eq!(store.remediation(claimed.id).unwrap().unwrap().state, JournalState::Stuck, "the row tells the truth");
    assert_eq!(store.audit_rows(0, 10).unwrap()[0].entry.actor, "eve");
    assert_eq!(store.claim(&step(&findings[0]), "p-3", fence, minute(6)).unwrap().id, 2);
}

#[test]
fn an_act_that_is_over_moves_no_more() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    let claimed = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
    store.advance(&moved(&claimed, JournalState::Refused, "drifted"), fence, minute(2)).unwrap();
    let error = store.advance(&moved(&claimed, JournalState::ActIntent, "again"), fence, minute(3)).unwrap_err();
    assert!(error.to_string().contains("is over (refused) and moves no more"), "{error}");
    assert_eq!(store.remediation_history(claimed.id).unwrap().len(), 2);
    let unfinished = moved(&claimed, JournalState::Answered, "");
    assert!(store.done(&unfinished, fence, minute(3), &entry(), &[]).unwrap_err().to_string().contains("is no end"));
}

#[test]
fn a_wait_is_written_down_without_a_transition() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    let claimed = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
    let waiting = Remediation { next_look_at: Some(minute(2)), looks: 1, message: "pending".into(), ..claimed.clone() };
    store.note_wait(&waiting, fence).unwrap();
    assert_eq!(store.remediation(claimed.id).unwrap(), Some(waiting.clone()));
    assert_eq!(store.remediation_history(claimed.id).unwrap().len(), 1);
    let other = Remediation { state: JournalState::Observed, ..waiting.clone() };
    assert!(store.note_wait(&other, fence).is_err(), "a wait moves nothing");
    acting_lease(&store, "one", minute(2));
    assert!(store.note_wait(&waiting, fence).unwrap_err().is_stale_fence());
}

#[test]
fn h06_two_processes_open_one_act_on_one_resource() {
    let (_folder, one, two) = two_workers();
    let idle = finding("i-0a1");
    let other = Finding { id: FindingId("f-0000000000000001".into()), rule: "other".into(), ..idle.clone() };
    one.update_findings(&[idle.clone(), other.clone()], &[]).unwrap();
    let fence = acting_lease(&one, "one", minute(0));
    let claimed = one.claim(&step(&idle), "p-1", fence, minute(1)).unwrap();
    // Another rule's finding on the same resource, and another connection with the same fence.
    let error = two.claim(&step(&other), "p-1", fence, minute(1)).unwrap_err();
    assert!(matches!(error, ClaimError::AlreadyOpen { remediation, .. } if remediation == claimed.id), "{error}");
    assert_eq!(two.open_remediations().unwrap(), [claimed]);
    assert_eq!(two.finding(&other.id).unwrap().unwrap().remediation, None);
    // The index holds even for who does not ask first.
    let forced = two.lock().execute(
        "INSERT INTO remediation (finding, resource, account, act, state, ended, fence, claimed_at, updated_at, doc)
         SELECT finding, resource, account, act, state, ended, fence, claimed_at, updated_at, doc FROM remediation",
        [],
    );
    assert!(forced.unwrap_err().to_string().contains("UNIQUE constraint failed: remediation.resource"));
}

#[test]
fn h06_many_claims_at_once_open_one_act() {
    let (_folder, one, two) = two_workers();
    let idle = finding("i-0a1");
    one.update_findings(std::slice::from_ref(&idle), &[]).unwrap();
    let fence = acting_lease(&one, "one", minute(0));
    let wins: usize = std::thread::scope(|scope| {
        let race = |store| {
            let step = step(&idle);
            scope.spawn(move || {
                let tries = (0..20).map(|_| Store::claim(store, &step, "p-1", fence, minute(1)));
                tries
                    .filter(|outcome| match outcome {
                        Ok(_) => true,
                        Err(ClaimError::AlreadyOpen { .. }) => false,
                        Err(error) => panic!("{error}"),
                    })
                    .count()
            })
        };
        [race(&one), race(&two)].into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(wins, 1);
    assert_eq!(one.open_remediations().unwrap().len(), 1);
}

#[test]
fn i12_a_paused_worker_that_was_overtaken_writes_nothing_more() {
    let (_folder, paused, fresh) = two_workers();
    let findings = [finding("i-0a1"), finding("i-0b2")];
    paused.update_findings(&findings, &[]).unwrap();
    let old = acting_lease(&paused, "paused", minute(0));
    let claimed = paused.claim(&step(&findings[0]), "p-1", old, minute(1)).unwrap();
    // Its lease of five minutes runs out while it sleeps.
    assert_eq!(fresh.acquire(ACTING_LEASE, "fresh", TimeDelta::minutes(5), minute(4)).unwrap(), None);
    let new = acting_lease(&fresh, "fresh", minute(5));
    assert_eq!(new, old + 1);

    let intent = moved(&claimed, JournalState::ActIntent, "StopInstances");
    assert!(paused.advance(&intent, old, minute(6)).unwrap_err().is_stale_fence());
    let done = moved(&claimed, JournalState::Done, "done");
    assert!(paused.done(&done, old, minute(6), &entry(), &[]).unwrap_err().is_stale_fence());
    let error = paused.claim(&step(&findings[1]), "p-1", old, minute(6)).unwrap_err();
    assert!(matches!(error, ClaimError::StaleFence { given: 1, current: Some(2) }), "{error}");
    assert!(!paused.renew(ACTING_LEASE, "paused", old, TimeDelta::minutes(5), minute(6)).unwrap());
    assert!(!paused.release(ACTING_LEASE, "paused", old).unwrap());

    assert_eq!(fresh.remediation(claimed.id).unwrap(), Some(claimed.clone()), "the row is as it was claimed");
    fresh.advance(&intent, new, minute(6)).unwrap();
    assert_eq!(fresh.remediation(claimed.id).unwrap().unwrap().fence, new);
    let message = paused.advance(&done, old, minute(7)).unwrap_err().to_string();
    assert!(message.contains("fence 1 of the lease \"acting\" is stale (the current one is 2)"), "{message}");
}

#[test]
fn a_lease_is_renewed_released_and_taken_in_turn() {
    let store = Store::in_memory().unwrap();
    let ttl = TimeDelta::minutes(5);
    assert_eq!(store.acquire("scan x", "one", ttl, minute(0)).unwrap(), Some(1));
    assert_eq!(store.acquire("scan x", "two", ttl, minute(1)).unwrap(), None);
    assert!(store.renew("scan x", "one", 1, ttl, minute(4)).unwrap());
    assert_eq!(store.acquire("scan x", "two", ttl, minute(8)).unwrap(), None, "held until minute 9");
    assert_eq!(store.acquire("scan y", "two", ttl, minute(8)).unwrap(), Some(1), "leases are apart");
    assert!(store.release("scan x", "one", 1).unwrap());
    assert_eq!(store.lease_fence("scan x").unwrap(), None);
    assert_eq!(store.acquire("scan x", "two", ttl, minute(8)).unwrap(), Some(2));
    assert_eq!(store.acquire("scan x", "two", ttl, minute(8)).unwrap(), Some(3), "one's own is taken anew");
    assert!(store.acquire("scan x", "", ttl, minute(60)).is_err());
    assert_eq!(store.lease("scan x").unwrap().unwrap().holder, "two");
}

#[test]
fn a_released_lease_lets_nobody_act() {
    let (store, findings) = with_findings(&["i-0a1"]);
    let fence = acting_lease(&store, "one", minute(0));
    store.release(ACTING_LEASE, "one", fence).unwrap();
    let error = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap_err();
    assert!(matches!(error, ClaimError::StaleFence { given: 1, current: None }), "{error}");
}

#[test]
fn an_act_needs_its_finding() {
    let store = Store::in_memory().unwrap();
    let fence = acting_lease(&store, "one", minute(0));
    let error = store.claim(&step(&finding("i-0a1")), "p-1", fence, minute(1)).unwrap_err();
    assert!(error.to_string().contains("there is no finding f-"), "{error}");
    assert_eq!(store.open_remediations().unwrap(), []);
}

#[test]
fn the_gate_counts_by_run_and_day_by_class_and_kind() {
    let store = Store::in_memory().unwrap();
    let pass = |run: &str, kind: Kind, class: GateClass, minutes: i64, account: &str| {
        let account = account.to_owned().try_into().unwrap();
        let pass = GatePass { remediation: 1, run: run.into(), account, kind, class, at: minute(minutes) };
        store.gate_pass(&pass).unwrap();
    };
    let own = "123456789012";
    pass("run-1", Kind::Volume, GateClass::Destructive, 0, own);
    pass("run-1", Kind::Volume, GateClass::Tag, 1, own);
    pass("run-2", Kind::Volume, GateClass::Destructive, 2, own);
    pass("run-2", Kind::Instance, GateClass::Disruptive, 3, own);
    pass("run-2", Kind::Instance, GateClass::Destructive, 3, "999999999999");
    let account = partition(Kind::Volume).place.account;
    let run = store.gate_counts_of_run("run-2", &account).unwrap();
    use GateClass::{Destructive, Disruptive, Tag};
    assert_eq!(run.rows(), [(Kind::Instance, Disruptive, 1), (Kind::Volume, Destructive, 1)]);
    let since = store.gate_counts_since(&account, minute(0)).unwrap();
    assert_eq!((since.of_class(Destructive), since.of_class(Disruptive), since.of_class(Tag)), (2, 1, 1));
    assert_eq!((since.changes_of_kind(Kind::Volume), since.of_kind(Kind::Volume)), (2, 3));
    assert_eq!(store.gate_counts_since(&account, minute(1)).unwrap().of_class(Destructive), 1);
    assert_eq!(store.gate_counts_since(&account, minute(4)).unwrap(), GateCounts::default());
}

#[test]
fn one_restore_drill_is_open_at_a_time_under_the_acting_lease_and_its_end_is_in_the_trail() {
    use crate::domain::drill::{Drill, DrillState};
    let (_folder, one, two) = two_workers();
    let fence = acting_lease(&one, "one", minute(0));
    let new = Drill {
        id: 0,
        snapshot: partition(crate::domain::place::Kind::Snapshot).key("snap-0a"),
        size_gib: 8,
        kms_key: None,
        zone: "eu-central-1a".into(),
        state: DrillState::Intended,
        fence,
        begun_at: minute(1),
        updated_at: minute(1),
        made: None,
        fault: None,
        deletes: 0,
        gone: 0,
        message: String::new(),
    };
    assert!(one.begin_drill(&Drill { fence: fence + 1, ..new.clone() }).unwrap_err().is_stale_fence());
    let begun = one.begin_drill(&new).unwrap();
    assert_eq!((two.open_drill().unwrap(), begun.id), (Some(begun.clone()), 1));
    assert!(one.begin_drill(&new).is_err(), "one at a time");
    let ended = Drill { state: DrillState::Passed, updated_at: minute(3), ..begun.clone() };
    assert!(one.end_drill(&begun, &entry(), &[]).is_err(), "intended is no end");
    // Another worker took the lease meanwhile.
    let newer = two.acquire(ACTING_LEASE, "two", TimeDelta::hours(1), minute(60 * 24)).unwrap().unwrap();
    assert!(one.move_drill(&begun).unwrap_err().is_stale_fence());
    assert!(one.end_drill(&ended, &entry(), &[]).unwrap_err().is_stale_fence());
    let rows = one.audit_rows(0, 100).unwrap().len();
    two.end_drill(&Drill { fence: newer, ..ended.clone() }, &entry(), &[]).unwrap();
    assert_eq!((one.open_drill().unwrap(), one.audit_rows(0, 100).unwrap().len()), (None, rows + 1));
    assert!(two.move_drill(&Drill { fence: newer, ..begun }).is_err(), "it is over");
    assert_eq!(one.begin_drill(&Drill { fence: newer, ..new }).unwrap().id, 2, "a number is never used again");
    assert_eq!(one.last_drill().unwrap().map(|last| last.id), Some(2));
}
