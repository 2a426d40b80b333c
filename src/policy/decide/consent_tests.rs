//! Approvals at the decision point, without a store.

use super::*;
use crate::domain::budget::Spending;
use crate::domain::fact::Fact;
use crate::domain::lifecycle::ApprovalKind;
use crate::domain::money::Usd;
use crate::policy::Policy;
use crate::policy::decide::preventive::judge;
use crate::policy::decide::preventive::tests::policies as typed;
use crate::policy::decide::{decide, evaluate_policy};

const SPEND: &str = "
- id: spend
  name: Spend
  policy_type: usage
  enforcement_mode: enforce
  severity: high
  violation_actions: [{type: require_approval, approvers: [fin@example.com, cfo@example.com]}]
  rules: [{id: large, condition: amount > 100}]
- id: legal
  name: Legal
  policy_type: compliance
  enforcement_mode: enforce
  severity: low
  violation_actions: [{type: require_approval, approvers: [law@example.com]}]
  rules: [{id: abroad, condition: country != 'DE'}]
";

fn now() -> Instant {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn contexts(text: &str) -> Vec<Policy> {
    crate::policy::parse(std::path::Path::new("p.yaml"), text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn buy(user: &str, amount: i64) -> Context {
    let mut context = Context::new("buy", "licences");
    context.user_id = Some(user.into());
    context.roots.insert("amount".into(), amount.into());
    context.roots.insert("country".into(), "FR".into());
    context
}

fn evaluated(context: &Context) -> Evaluation {
    decide(&contexts(SPEND), context).logged(|_| Ok::<_, ()>(())).unwrap()
}

fn asked(context: &Context) -> Vec<Question> {
    evaluated(context).violations.iter().flat_map(|violation| questions(context, violation)).collect()
}

fn row(question: &Question, approver: &str, state: ApprovalState, decided_at: Option<Instant>) -> Approval {
    Approval {
        id: 1,
        kind: ApprovalKind::Request,
        subject: question.subject.clone(),
        round: 0,
        approver: approver.into(),
        state,
        asked_by: question.asked_by.clone(),
        asked_at: now() - TimeDelta::days(30),
        decided_at,
        comment: Some("too dear\u{202e}".into()),
    }
}

fn settled(context: &Context, rows: &[Approval]) -> Ruling {
    let answered = settle(context, evaluated(context), |question| Ok::<_, ()>(consent(question, rows, now())));
    answered.unwrap().result
}

#[test]
fn s8_each_list_of_approvers_is_a_question_of_its_own_and_one_yes_each_lets_the_same_request_through() {
    let context = buy("ann", 500);
    let [fin, law] = asked(&context).try_into().unwrap();
    assert_eq!((fin.approvers.len(), law.approvers.as_slice()), (2, ["law@example.com".to_owned()].as_slice()));
    let waits =
        |names: &[&str]| Ruling::RequireApproval { approvers: names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(settled(&context, &[]), waits(&["fin@example.com", "cfo@example.com", "law@example.com"]));
    let yes = |question: &Question, who: &str| row(question, who, ApprovalState::Approved, Some(now()));
    let by_fin = yes(&fin, "fin@example.com");
    assert_eq!(settled(&context, std::slice::from_ref(&by_fin)), waits(&["law@example.com"]), "finance is not legal");
    let both = [by_fin, yes(&law, "law@example.com")];
    assert_eq!(settled(&context, &both), Ruling::Allow);
    assert_eq!(settled(&buy("ann", 501), &both), settled(&buy("ann", 501), &[]), "another amount is another request");
    assert_eq!(settled(&buy("bob", 500), &both), settled(&buy("bob", 500), &[]), "and so is another person");
    let no = row(&fin, "cfo@example.com", ApprovalState::Rejected, Some(now()));
    let Ruling::Deny { reason } = settled(&context, &[both.as_slice(), &[no]].concat()) else { panic!() };
    assert_eq!(reason, "cfo@example.com rejected it: too dear\u{fffd}".replace('\u{fffd}', &clean("\u{202e}")));
}

#[test]
fn s8_answers_end_and_one_from_the_future_or_from_a_stranger_is_no_yes() {
    let [fin, _] = asked(&buy("ann", 500)).try_into().unwrap();
    let answered =
        |who: &str, state: ApprovalState, at: Option<Instant>| consent(&fin, &[row(&fin, who, state, at)], now());
    let (approved, rejected) = (ApprovalState::Approved, ApprovalState::Rejected);
    let old = now() - TimeDelta::days(HOLDS_DAYS);
    let young = old + TimeDelta::seconds(1);
    assert_eq!(answered("fin@example.com", approved, Some(young)), Consent::Approved("fin@example.com".into()));
    assert_eq!(answered("fin@example.com", approved, Some(old)), Consent::Pending);
    assert_eq!(answered("fin@example.com", rejected, Some(old)), Consent::Pending);
    let later = now() + TimeDelta::seconds(1);
    assert_eq!(answered("fin@example.com", approved, Some(later)), Consent::Pending);
    assert!(matches!(answered("fin@example.com", rejected, Some(later)), Consent::Refused(_)), "a no holds");
    assert_eq!(answered("fin@example.com", approved, None), Consent::Pending, "approved without a time is broken");
    assert_eq!(answered("eve@example.com", approved, Some(young)), Consent::Pending);
    let mut other = row(&fin, "fin@example.com", approved, Some(young));
    other.subject = "request:0".into();
    assert_eq!(consent(&fin, &[other], now()), Consent::Pending);
}

#[test]
fn s8_nobody_approves_their_own_request_however_the_name_is_written() {
    for me in [
        "law@example.com",
        " LAW@Example.com ",
        "law",
        "law+x@example.com",
        "The Law <law@example.com>",
        "law@example.com.",
    ] {
        let context = buy(me, 500);
        let law = asked(&context).remove(1);
        assert_eq!(law.approvers, Vec::<String>::new(), "{me}");
        let mine = row(&law, "law@example.com", ApprovalState::Approved, Some(now()));
        assert!(matches!(consent(&law, &[mine], now()), Consent::Refused(_)), "{me}");
        assert!(matches!(settled(&context, &[]), Ruling::Deny { .. }), "{me}");
    }
    assert_eq!(asked(&buy("lawrence@example.com", 500))[1].approvers, ["law@example.com"]);
}

#[test]
fn s8_a_denial_and_monitor_ask_nobody() {
    let never = |_: &Question| -> Result<Consent, ()> { panic!("nothing is to be asked") };
    let context = buy("ann", 500);
    let deny = SPEND.replace("approvers: [law@example.com]}", "approvers: [law@example.com]}, {type: block}");
    let denied = decide(&contexts(&deny), &context).logged(|_| Ok::<_, ()>(())).unwrap();
    assert!(matches!(settle(&context, denied, never).unwrap().result, Ruling::Deny { .. }));
    let told = contexts(&SPEND.replace("enforcement_mode: enforce", "enforcement_mode: monitor"));
    let said = evaluate_policy(&told[0], &context.facts().unwrap());
    assert_eq!(questions(&context, &said.violation.unwrap()), []);
}

#[test]
fn s8_a_request_for_a_resource_waits_for_each_rule_and_a_no_denies_it() {
    let text = "metadata: {name: dear}\ntype: Approval\nrules:\n  - {name: large, monthlyAboveUsd: 100, approvers: [fin@example.com]}\n  - {name: larger, monthlyAboveUsd: 1000, approvers: [cfo@example.com]}\n";
    let mut request = Request::of_type("compute/instance");
    request.name = Some("web".into());
    request.requester = Some("ann@example.com".into());
    request.monthly = Fact::Known(Usd::dollars(2000));
    let judged = || judge(&typed(text), std::slice::from_ref(&request), &Spending::NoSource("a test".into()));
    let answer = |approved: &[&str], rejected: &[&str]| {
        let says = |question: &Question| {
            let who = question.approvers[0].as_str();
            Ok::<_, ()>(match (approved.contains(&who), rejected.contains(&who)) {
                (true, _) => Consent::Approved(who.into()),
                (_, true) => Consent::Refused(format!("{who} rejected it")),
                _ => Consent::Pending,
            })
        };
        let judged = settle_requests(judged(), says).unwrap();
        (judged.action, judged.approvers)
    };
    let (fin, cfo) = ("fin@example.com", "cfo@example.com");
    assert_eq!(answer(&[], &[]), (Answer::RequireApproval, vec![fin.to_owned(), cfo.to_owned()]));
    assert_eq!(answer(&[fin], &[]), (Answer::RequireApproval, vec![cfo.to_owned()]));
    assert_eq!(answer(&[fin, cfo], &[]), (Answer::Warn, vec![]));
    assert_eq!(answer(&[fin], &[cfo]), (Answer::Deny, vec![]));
    // An approved violation leads the warnings; what stood behind it is still there.
    let mut noted = judged();
    noted.warnings.push("a note".into());
    let approved = settle_requests(noted, |_| Ok::<_, ()>(Consent::Approved("eve".into()))).unwrap();
    let leads: Vec<_> = approved.violations.iter().map(|one| format!("{}: {}", one.resource, one.message)).collect();
    assert_eq!(approved.warnings, [leads[0].as_str(), leads[1].as_str(), "a note"]);
    let subjects: Vec<_> = judged().violations.into_iter().filter_map(|one| one.question).map(|q| q.subject).collect();
    request.monthly = Fact::Known(Usd::dollars(2001));
    let dearer = judge(&typed(text), std::slice::from_ref(&request), &Spending::NoSource("a test".into()));
    assert!(dearer.violations.iter().all(|one| !subjects.contains(&one.question.as_ref().unwrap().subject)));
}
