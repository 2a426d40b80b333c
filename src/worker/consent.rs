//! Approvals at the decision point, with their store: asks what is not on file yet and reads answers back.
//!
//! Called by `cli::evaluate` after the violations were logged, and by `worker::violations` for what policies order. The
//! rows lie in the one table of approvals, kind `request`, where approvers see and answer them. Sends nothing.

use crate::domain::Instant;
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};
use crate::policy::decide::{self, Consent, Context, Evaluation, Judged, Question, consent};
use crate::store::{Store, StoreError};

/// A context's evaluation with the answers on file; what nobody was asked yet is asked.
///
/// # Errors
/// The state cannot be read or written; then there is no decision.
pub fn settle(
    store: &Store,
    context: &Context,
    evaluation: Evaluation,
    now: Instant,
) -> Result<Evaluation, StoreError> {
    decide::settle(context, evaluation, |question| Ok(ask(store, question, now)?.0))
}

/// The same for requests.
///
/// # Errors
/// The state cannot be read or written; then there is no answer.
pub fn settle_requests(store: &Store, judged: Judged, now: Instant) -> Result<Judged, StoreError> {
    decide::settle_requests(judged, |question| Ok(ask(store, question, now)?.0))
}

/// What the answers on file say; a question without an answer is put to each approver who has it not open already.
/// Gives the numbers of the open rows as well, in the order of the approvers.
///
/// # Errors
/// The state cannot be read or written.
pub fn ask(store: &Store, question: &Question, now: Instant) -> Result<(Consent, Vec<i64>), StoreError> {
    let rows = store.approvals_of(ApprovalKind::Request, &question.subject)?;
    let found = consent(question, &rows, now);
    if found != Consent::Pending {
        return Ok((found, Vec::new()));
    }
    let mut open = Vec::new();
    for approver in &question.approvers {
        let stands = rows.iter().find(|row| row.state == ApprovalState::Pending && row.approver == *approver);
        if let Some(row) = stands {
            open.push(row.id);
            continue;
        }
        open.push(store.ask_approval(&Approval {
            id: 0,
            kind: ApprovalKind::Request,
            subject: question.subject.clone(),
            round: 0,
            approver: approver.clone(),
            state: ApprovalState::Pending,
            asked_by: question.asked_by.clone(),
            asked_at: now,
            decided_at: None,
            comment: None,
        })?);
    }
    Ok((found, open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::decide::{Ruling, decide};

    const POLICY: &str = "
id: spend
name: Spend
policy_type: usage
enforcement_mode: enforce
severity: high
violation_actions: [{type: require_approval, approvers: [fin@example.com, cfo@example.com]}]
rules: [{id: large, condition: amount > 100}]
";

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn context(amount: i64) -> Context {
        let mut context = Context::new("buy", "licences");
        context.user_id = Some("ann@example.com".into());
        context.roots.insert("amount".into(), amount.into());
        context
    }

    fn ruling(store: &Store, amount: i64, now: Instant) -> Ruling {
        let policies = crate::policy::parse(std::path::Path::new("p.yaml"), POLICY, &[]).unwrap();
        let context = context(amount);
        let evaluation = decide(&policies, &context).logged(|_| Ok::<_, ()>(())).unwrap();
        settle(store, &context, evaluation, now).unwrap().result
    }

    fn pending(store: &Store) -> Vec<(i64, String)> {
        store.approvals_pending(None).unwrap().into_iter().map(|row| (row.id, row.approver)).collect()
    }

    #[test]
    fn s8_a_request_is_asked_once_then_found_approved_rejected_or_asked_anew_when_the_answer_has_ended() {
        let store = Store::in_memory().unwrap();
        let monday = at("2026-11-23T09:00:00Z");
        assert!(matches!(ruling(&store, 50, monday), Ruling::Allow));
        assert_eq!(pending(&store), []);
        for _ in 0..3 {
            let Ruling::RequireApproval { approvers } = ruling(&store, 500, monday) else { panic!() };
            assert_eq!(approvers, ["fin@example.com", "cfo@example.com"]);
        }
        assert_eq!(pending(&store), [(1, "fin@example.com".to_owned()), (2, "cfo@example.com".to_owned())]);
        let row = &store.approvals_pending(Some("CFO@example.com")).unwrap()[0];
        assert_eq!((row.kind, row.asked_by.as_str()), (ApprovalKind::Request, "ann@example.com"));
        store.decide_approval(2, ApprovalState::Approved, None, monday).unwrap();
        assert_eq!(ruling(&store, 500, monday), Ruling::Allow);
        assert!(matches!(ruling(&store, 600, monday), Ruling::RequireApproval { .. }));
        store.decide_approval(1, ApprovalState::Rejected, Some("not this year"), monday).unwrap();
        let Ruling::Deny { reason } = ruling(&store, 500, monday) else { panic!() };
        assert_eq!(reason, "fin@example.com rejected it: not this year");
        let a_week_later = at("2026-11-30T09:00:00Z");
        assert!(matches!(ruling(&store, 500, a_week_later), Ruling::RequireApproval { .. }));
        assert_eq!(pending(&store).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 4, 5, 6]);
    }

    #[test]
    fn s8_of_two_processes_that_answer_or_ask_at_once_one_is_heard_and_nothing_stands_twice() {
        let folder = tempfile::tempdir().unwrap();
        let monday = at("2026-11-23T09:00:00Z");
        let stores: Vec<Store> = (0..4).map(|_| Store::open_in(folder.path()).unwrap()).collect();
        std::thread::scope(|scope| {
            for store in &stores {
                scope.spawn(move || ruling(store, 500, monday));
            }
        });
        let ids: Vec<i64> = pending(&stores[0]).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 2, "two approvers, whoever asked");
        let first = ids[0];
        let heard: usize = std::thread::scope(|scope| {
            let answer =
                |store, state| scope.spawn(move || Store::decide_approval(store, first, state, None, monday).is_ok());
            let all = [
                answer(&stores[0], ApprovalState::Approved),
                answer(&stores[1], ApprovalState::Rejected),
                answer(&stores[2], ApprovalState::Approved),
            ];
            all.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(heard, 1);
    }
}
