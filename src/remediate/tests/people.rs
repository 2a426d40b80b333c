//! What people said and did in the state, read again by the gate at the instant of the act.

use super::*;
use crate::domain::act_approval::ActRequest;
use crate::domain::exception::{ApproverRules, ExceptionRecord, ExceptionType};
use crate::domain::finding::State;
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};
use crate::engine::exceptions::{self as rules, Wish};
use crate::store::{AskAct, AuditEntry, ExceptionStep};

const BEN: &str = "ben@example.com";

/// Asked for now; written to the state as the worker does.
fn asked(stage: &Stage, finding: &Finding) -> ExceptionRecord {
    let (step, ask) = wish(stage, finding);
    save(stage, None, step, &ask)
}

/// What would be asked for now, and of whom.
fn wish(stage: &Stage, finding: &Finding) -> (rules::Step, Vec<String>) {
    let wish = Wish {
        exception_type: ExceptionType::Temporary,
        days: Some(1),
        condition: None,
        review_days: None,
        justification: "migration",
        by: "ann@example.com",
    };
    let approvers = ApproverRules {
        managers: BTreeMap::new(),
        finops: vec![BEN.into()],
        security: Vec::new(),
        finops_for: Vec::new(),
        security_for: Vec::new(),
        sla: TimeDelta::hours(72),
    };
    let ask = rules::approvers(&approvers, wish.by, &finding.policy).unwrap();
    let id = stage.store.new_uuid().unwrap();
    (rules::request(finding, &wish, &[], approvers.sla, id, stage.clock.now()).unwrap(), ask)
}

fn save(stage: &Stage, before: Option<&ExceptionRecord>, step: rules::Step, ask: &[String]) -> ExceptionRecord {
    save_in(&stage.store, before, step, ask)
}

fn save_in(store: &Store, before: Option<&ExceptionRecord>, step: rules::Step, ask: &[String]) -> ExceptionRecord {
    let audit = AuditEntry {
        actor: "test".into(),
        what: step.event.what.clone(),
        subject: step.record.id.clone(),
        detail: serde_json::json!({}),
    };
    let from = before.map(|own| own.status);
    let (record, event) = (&step.record, &step.event);
    store.save_exception(&ExceptionStep { record, from, event, ask, mails: &[], audit: &audit }).unwrap();
    store.exception(&step.record.id).unwrap().unwrap()
}

fn approve(stage: &Stage, record: &ExceptionRecord) -> ExceptionRecord {
    let step = rules::approve(record, &[BEN.into()], None, BEN, stage.clock.now()).unwrap();
    save(stage, Some(record), step, &[])
}

#[tokio::test]
async fn h10_an_exception_that_is_approved_after_the_plan_holds_the_step() {
    let stage = Stage::new();
    let finding = stage.due_finding(ORPHAN, Action::Terminate);
    let step = stage.step_of(&finding).await;
    approve(&stage, &asked(&stage, &finding));
    assert_refused(&stage, &stage.act(&step).await, "holds");
    assert_eq!(stage.truth(ORPHAN), "available");
}

#[tokio::test]
async fn i07_a_pending_request_holds_the_step_and_a_lapsed_one_until_a_scan_has_looked() {
    let stage = Stage::new();
    let finding = stage.due_finding(ORPHAN, Action::Terminate);
    let step = stage.step_of(&finding).await;
    asked(&stage, &finding);
    assert_refused(&stage, &stage.act(&step).await, "is asked for and not decided");

    let stage = Stage::new();
    let finding = stage.due_finding(ORPHAN, Action::Terminate);
    asked(&stage, &finding);
    // Thursday, two hours after its 72 hours; the last scan was before.
    stage.clock.advance_to(monday() + TimeDelta::hours(74));
    let step = stage.step_of(&finding).await;
    assert_refused(&stage, &stage.act(&step).await, "is asked for and not decided");
}

#[tokio::test]
async fn h10_a_revoked_exception_never_leads_to_an_act_before_a_full_new_grace() {
    let stage = Stage::new();
    let finding = stage.due_finding(ORPHAN, Action::Terminate);
    let step = stage.step_of(&finding).await;
    let record = approve(&stage, &asked(&stage, &finding));
    stage.clock.advance_to(monday() + TimeDelta::minutes(5));
    let revoked = rules::revoke(&record, &[BEN.into()], "found its owner", BEN, stage.clock.now()).unwrap();
    save(&stage, Some(&record), revoked, &[]);
    assert_refused(&stage, &stage.act(&step).await, "a full new grace comes first");
}

#[tokio::test]
async fn h10_an_exception_that_is_granted_and_expires_while_a_snapshot_is_awaited_holds_the_step() {
    let stage = Stage::new();
    stage.fault("CreateSnapshot", Effect::SnapshotHours(30));
    let finding = stage.due_finding(ORPHAN, Action::Terminate);
    let step = stage.step_of(&finding).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Held, "the window closed over the snapshot");
    let record = approve(&stage, &asked(&stage, &finding));
    // One day was granted at 15:30; on Wednesday it is over, and the snapshot is completed.
    stage.clock.advance_to(at("2026-11-25T10:00:00Z"));
    assert!(record.expires_at.unwrap() < stage.clock.now());
    let ends = stage.resume("run-2").await;
    assert_eq!(ends.len(), 1);
    assert!(
        matches!(ends[0].progress, Progress::Ended(JournalState::Refused | JournalState::Aborted)),
        "{:?}",
        ends[0]
    );
    assert!(ends[0].message.contains("a full new grace comes first"), "{}", ends[0].message);
    assert_eq!((stage.truth(ORPHAN).as_str(), stage.acts().len()), ("available", 0));
}

/// Asks two people about a step, and lets some of them answer.
pub(super) fn ask(stage: &Stage, step: &Step, answers: &[(&str, ApprovalState)]) {
    ask_of(stage, step, [BEN, "fin@example.com"], answers);
}

fn ask_of(stage: &Stage, step: &Step, people: [&str; 2], answers: &[(&str, ApprovalState)]) -> ActRequest {
    let now = stage.clock.now();
    let request = ActRequest {
        id: 0,
        finding: step.finding.clone(),
        key: step.key.clone(),
        name: step.name.clone(),
        act: step.act,
        policy: step.policy.clone(),
        rule: step.rule.clone(),
        message: String::new(),
        plan: "p-0".into(),
        step: step.approval_hash(),
        people: 2,
        asked_at: now,
        expires_at: now + TimeDelta::hours(72),
    };
    let people: Vec<String> = people.map(str::to_owned).into();
    let none = |_: &ActRequest| Vec::new();
    let request = stage.store.ask_act(&AskAct { request: &request, approvers: &people, mails: &none }).unwrap();
    let rows: Vec<Approval> = stage.store.approvals_of(ApprovalKind::Remediation, &request.subject()).unwrap();
    for (who, state) in answers {
        let row = rows.iter().find(|row| row.approver == *who).unwrap();
        answer(&stage.store, &request, row, *state, now);
    }
    request
}

fn answer(store: &Store, request: &ActRequest, row: &Approval, state: ApprovalState, now: Instant) {
    let audit = AuditEntry {
        actor: row.approver.clone(),
        what: "answer".into(),
        subject: request.subject(),
        detail: serde_json::json!({}),
    };
    store.answer_approval(row, state, None, &[], &audit, now).unwrap();
}

/// Two people say yes to a step.
pub(super) fn say_yes(stage: &Stage, step: &Step) -> ActRequest {
    let yes = [(BEN, ApprovalState::Approved), ("fin@example.com", ApprovalState::Approved)];
    ask_of(stage, step, [BEN, "fin@example.com"], &yes)
}

#[tokio::test]
async fn h10_what_people_decide_between_the_intent_and_the_call_still_stops_the_call() {
    type Case = (&'static str, fn(&Store, &Step, &Later));
    let cases: [Case; 5] = [
        ("the finding is excepted", |store, step, _| {
            let mut finding = store.finding(&step.finding).unwrap().unwrap();
            finding.state = State::Excepted;
            store.update_findings(&[finding], &[]).unwrap();
        }),
        ("is asked for and not decided", |store, _, later| {
            let (wish, ask) = &later.wish;
            save_in(store, None, wish.clone(), ask);
        }),
        ("fin@example.com refused the act", |store, _, later| {
            let rows = store.approvals_of(ApprovalKind::Remediation, &later.request.subject()).unwrap();
            let row = rows.iter().find(|row| row.approver == "fin@example.com").unwrap();
            answer(store, &later.request, row, ApprovalState::Rejected, later.at);
        }),
        ("the arming of account", |store, step, later| {
            assert!(store.disarm(step.key.account(), later.at).unwrap());
        }),
        ("frozen by eve", |store, _, later| {
            store.freeze(&Freeze { at: later.at, by: "eve".into(), reason: "audit".into() }).unwrap();
        }),
    ];
    for (id, action) in [(ORPHAN, Action::Terminate), (INSTANCE, Action::Stop)] {
        for (words, decide) in cases {
            let stage = two_people();
            let finding = stage.due_finding(id, action);
            let step = stage.step_of(&finding).await;
            let request = say_yes(&stage, &step);
            let (store, clock, own) = (stage.store.clone(), stage.clock.clone(), step.clone());
            let wish = wish(&stage, &finding);
            let late = Halt::meanwhile("J8.after", move || {
                // The clock goes on by a moment: who disarms, disarms before the call.
                clock.advance_to(clock.now() + TimeDelta::seconds(1));
                decide(
                    &store,
                    &own,
                    &Later {
                        at: clock.now() - TimeDelta::milliseconds(1),
                        request: request.clone(),
                        wish: wish.clone(),
                    },
                );
            });
            let (remediator, run) = (stage.remediator(late), stage.run("run-1"));
            let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
            let end = stage.play(&remediator, first, &run).await;
            assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{id} {words}: {}", end.message);
            assert!(end.message.contains("no call was made: ") && end.message.contains(words), "{id}: {}", end.message);
            assert_eq!(stage.acts(), Vec::<String>::new(), "{id} {words}");
            let passed = stage.store.gate_counts_of_run("run-1", &stage.place.account).unwrap();
            assert_eq!(passed.rows(), [], "{id} {words}: it takes no place of the pace");
        }
    }
}

/// What is decided later.
struct Later {
    at: Instant,
    request: ActRequest,
    wish: (rules::Step, Vec<String>),
}

fn two_people() -> Stage {
    let mut stage = Stage::new();
    stage.rules.people.insert(("policy".into(), "rule".into()), 2);
    stage
}

#[tokio::test]
async fn i07_a_delete_whose_policy_asks_for_two_people_is_done_with_two_and_refused_with_fewer() {
    use ApprovalState::{Approved, Rejected};
    let yes = [(BEN, Approved), ("fin@example.com", Approved)];
    type Case<'a> = (&'a [(&'a str, ApprovalState)], &'a str);
    let cases: [Case<'_>; 3] = [
        (&[], "waits for approval: 0 of 2"),
        (&yes[..1], "waits for approval: 1 of 2"),
        (&[(BEN, Approved), ("fin@example.com", Rejected)], "fin@example.com refused the act"),
    ];
    for (answers, words) in cases {
        let stage = two_people();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        ask(&stage, &step, answers);
        assert_refused(&stage, &stage.act(&step).await, words);
    }
    let stage = two_people();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    ask(&stage, &step, &yes);
    let done = stage.act(&step).await;
    assert_eq!(done.progress, Progress::Ended(JournalState::Done), "{}", done.message);
    assert_eq!(stage.truth(ORPHAN), "gone");
}

#[tokio::test]
async fn i07_a_yes_is_for_this_very_act_and_for_a_day() {
    let yes = [(BEN, ApprovalState::Approved), ("fin@example.com", ApprovalState::Approved)];
    // Another state of the resource.
    let stage = two_people();
    let mut step = stage.due_step(ORPHAN, Action::Terminate).await;
    let mut other = step.clone();
    other.fingerprint.0.insert("size_gib".into(), "999".into());
    ask(&stage, &other, &yes);
    assert_refused(&stage, &stage.act(&step).await, "waits for approval: 0 of 2");
    // A day and a moment later.
    let stage = two_people();
    step = stage.due_step(ORPHAN, Action::Terminate).await;
    ask(&stage, &step, &yes);
    stage.clock.advance_to(monday() + TimeDelta::hours(24) + TimeDelta::seconds(1));
    assert_refused(&stage, &stage.act(&step).await, "waits for approval: 0 of 2");
}

#[tokio::test]
async fn i07_a_second_name_of_the_same_person_is_no_second_person_to_the_gate() {
    for alias in ["ben+1@example.com", "Ben <BEN@example.com>", "ben@example.com.", "ben"] {
        let stage = two_people();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let yes = [(BEN, ApprovalState::Approved), (alias, ApprovalState::Approved)];
        ask_of(&stage, &step, [BEN, alias], &yes);
        assert_refused(&stage, &stage.act(&step).await, "waits for approval: 1 of 2");
    }
}
