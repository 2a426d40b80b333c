//! Who may grant what, for how long, and what its end leads to.

use super::*;
use crate::domain::finding::{Action, Severity};
use crate::domain::notice::NoticeKind;
use crate::engine::grace;
use crate::engine::reconcile::testing::finding;

const ID: &str = "6f1e2f34-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
const ANN: &str = "ann@example.com";
const BEN: &str = "ben@example.com";

fn now() -> Instant {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

fn days(count: i64) -> TimeDelta {
    TimeDelta::days(count)
}

fn rules() -> ApproverRules {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    ApproverRules {
        managers: BTreeMap::from([("Ann@Example.com".to_owned(), BEN.to_owned())]),
        finops: list(&["fin@example.com", "Ben@example.com"]),
        security: list(&["sec@example.com"]),
        finops_for: list(&["team-budgets", "project-budgets"]),
        security_for: list(&["mandatory-tags", "resource-limits"]),
        sla: TimeDelta::hours(72),
    }
}

fn wish(exception_type: ExceptionType) -> Wish<'static> {
    let temporary = exception_type == ExceptionType::Temporary;
    Wish {
        exception_type,
        days: temporary.then_some(30),
        condition: (exception_type == ExceptionType::Conditional).then_some("resource.tags.env == 'prod'"),
        review_days: None,
        justification: "migration",
        by: ANN,
    }
}

fn own_finding() -> Finding {
    finding("i-1", Severity::High, Action::Stop)
}

fn asked(wish: &Wish<'_>) -> ExceptionRecord {
    request(&own_finding(), wish, &[], rules().sla, ID.into(), now()).unwrap().record
}

fn granted(exception_type: ExceptionType) -> ExceptionRecord {
    approve(&asked(&wish(exception_type)), &[BEN.into()], Some("fine"), BEN, now() + days(2)).unwrap().record
}

fn refused(wish: &Wish<'_>, before: &[ExceptionRecord]) -> String {
    request(&own_finding(), wish, before, rules().sla, ID.into(), now()).unwrap_err().to_string()
}

#[test]
fn n1_statuses_and_types_have_the_seeds_words_and_each_is_reached() {
    let words: Vec<&str> = ExceptionStatus::ALL.iter().map(|status| status.word()).collect();
    assert_eq!(words, ["pending", "approved", "rejected", "expired", "revoked"]);
    let words: Vec<&str> = ExceptionType::ALL.iter().map(|of| of.word()).collect();
    assert_eq!(words, ["temporary", "permanent", "conditional"]);
    let pending = asked(&wish(ExceptionType::Temporary));
    let approved = granted(ExceptionType::Temporary);
    let by = [BEN.to_owned()];
    let rejected = reject(&pending, &by, "no", BEN, now()).unwrap().record;
    let revoked = revoke(&approved, &by, "no longer", BEN, now() + days(3)).unwrap().record;
    let expired = pass_time(&approved, now() + days(33)).unwrap().record;
    let seen = [pending, approved, rejected, expired, revoked].map(|own| own.status);
    assert_eq!(seen.as_slice(), ExceptionStatus::ALL);
}

#[test]
fn n2_a_request_fills_its_fields_and_a_permanent_one_is_reviewed_after_ninety_days() {
    let record = asked(&wish(ExceptionType::Permanent));
    assert_eq!(
        (record.resource_id.as_str(), record.policy_name.as_str(), record.rule_name.as_str()),
        ("i-1", "policy", "rule")
    );
    assert_eq!((record.review_interval_days, record.requested_by.as_str()), (90, ANN));
    assert_eq!((record.approved_by, record.expires_at, record.last_reviewed_at), (None, None, None));
    assert_eq!((record.requested_at, record.status), (now(), ExceptionStatus::Pending));
}

#[test]
fn n3_a_temporary_exception_needs_a_day_and_runs_from_its_approval() {
    let no_days = Wish { days: None, ..wish(ExceptionType::Temporary) };
    assert!(refused(&no_days, &[]).contains("at least 1"));
    for wrong in [0, -5, MAX_DAYS + 1] {
        let message = refused(&Wish { days: Some(wrong), ..wish(ExceptionType::Temporary) }, &[]);
        assert!(message.contains("whole days from 1 to 3650"), "{message}");
    }
    let record = asked(&Wish { days: Some(1), ..wish(ExceptionType::Temporary) });
    assert_eq!((record.expires_at, record.length().as_str()), (None, "1 day"));
    let late = now() + days(3);
    let approved = approve(&record, &[BEN.into()], None, BEN, late).unwrap().record;
    assert_eq!(approved.expires_at, Some(late + days(1)), "three days of waiting took nothing from it");
    assert_eq!(asked(&wish(ExceptionType::Permanent)).length(), "Permanent");
}

#[test]
fn n3_a_condition_must_be_one_over_the_resource_and_belongs_to_conditional_ones() {
    let with = |text| Wish { condition: Some(text), ..wish(ExceptionType::Conditional) };
    assert!(refused(&with("resource.tags.env =="), &[]).contains("the condition"));
    assert!(refused(&with("resource.tagz.env == 'prod'"), &[]).contains("tagz"), "a name that no instance has");
    assert!(
        refused(&Wish { condition: None, ..wish(ExceptionType::Conditional) }, &[]).contains("needs its condition")
    );
    assert!(
        refused(&Wish { condition: Some("true"), ..wish(ExceptionType::Temporary) }, &[])
            .contains("only a conditional")
    );
    assert!(refused(&Wish { days: Some(3), ..wish(ExceptionType::Permanent) }, &[]).contains("no duration"));
    assert_eq!(asked(&with("resource.tags.env == 'prod'")).length(), "while resource.tags.env == 'prod'");
}

#[test]
fn n4_approvers_are_manager_finops_and_security_by_policy_without_doubles() {
    let of = |who, policy| approvers(&rules(), who, policy).unwrap();
    assert_eq!(of("ann@example.com", "idle-resource-detection"), [BEN]);
    assert_eq!(of(" ANN@example.com ", "team-budgets"), [BEN, "fin@example.com"], "Ben is manager and FinOps: once");
    assert_eq!(of("ann@example.com", "project-budgets"), [BEN, "fin@example.com"]);
    assert_eq!(of("ann@example.com", "mandatory-tags"), [BEN, "sec@example.com"]);
    assert_eq!(of("ann@example.com", "resource-limits"), [BEN, "sec@example.com"]);
    assert_eq!(of("zoe@example.com", "idle-resource-detection"), ["fin@example.com", "Ben@example.com"], "fallback");
    assert_eq!(of("SEC@example.com", "mandatory-tags"), ["fin@example.com", "Ben@example.com"], "never the requester");
    assert_eq!(of("ann+1@example.com", "idle"), ["fin@example.com", "Ben@example.com"], "an alias has no manager");
    assert_eq!(of("ben+1@example.com", "idle"), ["fin@example.com"], "and is never asked about its own");
    let alone = ApproverRules { finops: vec!["zoe@example.com".into()], managers: BTreeMap::new(), ..rules() };
    let nobody = approvers(&alone, "Zoe@example.com", "idle-resource-detection").unwrap_err();
    assert!(nobody.to_string().contains("[approvals]"), "{nobody}");
}

#[test]
fn n5_only_an_approver_approves_only_what_is_pending_and_never_his_own() {
    let record = asked(&wish(ExceptionType::Permanent));
    let may = [BEN.to_owned(), "ANN@example.com".to_owned()];
    let tries = |who: &str| approve(&record, &may, Some("ok"), who, now());
    assert!(matches!(tries("eve@example.com"), Err(Refusal::Person { .. })));
    for own in [ANN, " Ann@Example.COM ", "ann+1@example.com", "Ann <ann@example.com>", "ann@example.com.", "ann"] {
        let own = tries(own).unwrap_err().to_string();
        assert!(own.contains("asked for himself"), "{own}");
    }
    // What resembles an approver's name grants nothing: only the name in the list does.
    for other in ["ben", "ben+1@example.com", "Ben <ben@example.com>", "ben@example.com."] {
        let other = tries(other).unwrap_err().to_string();
        assert!(other.contains("ben@example.com, ANN@example.com may"), "{other}");
    }
    let step = tries(" BEN@example.com ").unwrap();
    assert_eq!(step.record.approved_by.as_deref(), Some("BEN@example.com"));
    assert_eq!((step.record.approved_at, step.record.last_reviewed_at), (Some(now()), Some(now())));
    assert_eq!((step.record.comment.as_deref(), step.record.review_due()), (Some("ok"), Some(now() + days(90))));
    let again = approve(&step.record, &may, None, BEN, now()).unwrap_err().to_string();
    assert!(again.contains("is approved: only one that is pending can be approved"), "{again}");
}

#[test]
fn n6_a_rejection_has_the_same_checks_and_keeps_who_when_and_why() {
    let record = asked(&wish(ExceptionType::Temporary));
    let may = [BEN.to_owned()];
    assert!(matches!(reject(&record, &may, "no", "eve@example.com", now()), Err(Refusal::Person { .. })));
    assert!(matches!(reject(&record, &may, "no", ANN, now()), Err(Refusal::Person { .. })));
    assert!(matches!(reject(&record, &may, "  ", BEN, now()), Err(Refusal::Wrong(_))));
    let rejected = reject(&record, &may, "use a tag", BEN, now()).unwrap().record;
    let tags: Vec<_> = rejected.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected =
        [("rejected_at", "2026-11-23T10:00:00+00:00"), ("rejected_by", BEN), ("rejection_reason", "use a tag")];
    assert_eq!(tags, expected);
    for (status, own) in [("rejected", rejected), ("approved", granted(ExceptionType::Temporary))] {
        let late = reject(&own, &may, "no", BEN, now() + days(3)).unwrap_err().to_string();
        assert!(late.contains(status), "{late}");
    }
}

#[test]
fn n7_equality_is_valid_and_the_instant_after_it_has_expired() {
    let record = granted(ExceptionType::Temporary);
    let end = record.expires_at.unwrap();
    let cover = record.cover().unwrap();
    let covers = |at| cover.covers(&record.account, "i-1", "policy", "rule", at);
    assert_eq!((record.status_at(end), covers(end)), (ExceptionStatus::Approved, true));
    let after = end + TimeDelta::microseconds(1);
    assert_eq!((record.status_at(after), covers(after)), (ExceptionStatus::Expired, false));
    assert!(
        !cover.covers(&record.account, "i-1", "policy", "other", end)
            && !cover.covers("1", "i-1", "policy", "rule", end)
    );
    assert_eq!(pass_time(&record, end), None);
    assert_eq!(pass_time(&record, after).unwrap().record.status, ExceptionStatus::Expired);
}

#[test]
fn n7_an_overdue_permanent_one_still_holds_for_fourteen_days_and_is_asked_about_once_a_period() {
    let record = granted(ExceptionType::Permanent);
    let due = record.review_due().unwrap();
    assert_eq!((record.overdue_at(due), pass_time(&record, due)), (false, None), "equality is not overdue");
    let step = pass_time(&record, due + days(1)).unwrap();
    assert_eq!((step.event.what.as_str(), step.record.status), ("review_asked", ExceptionStatus::Approved));
    assert_eq!(pass_time(&step.record, due + days(2)), None, "asked once");
    let last = due + days(14);
    assert!(step.record.overdue_at(last) && step.record.cover().unwrap().until == last);
    let expired = pass_time(&step.record, last + TimeDelta::seconds(1)).unwrap();
    assert_eq!((expired.event.what.as_str(), expired.event.detail.as_str()), ("expired", "nobody reviewed it"));
    // Reviewed in time, it goes on, and the next period asks again.
    let kept = renew(&step.record, &[BEN.into()], None, BEN, last).unwrap().record;
    assert!(!kept.overdue_at(last + days(90)) && kept.overdue_at(last + days(91)));
    assert_eq!(pass_time(&kept, last + days(91)).unwrap().event.what, "review_asked");
}

#[test]
fn n8_a_pending_request_holds_at_most_for_its_time_and_a_second_one_adds_nothing() {
    let record = asked(&wish(ExceptionType::Temporary));
    let most = now() + TimeDelta::hours(72);
    assert_eq!((record.cover(), record.asked().unwrap().until), (None, most));
    let rejected = |at| reject(&record, &[BEN.into()], "no", BEN, at).unwrap().record.asked().unwrap().until;
    assert_eq!(rejected(now() + TimeDelta::hours(10)), now() + TimeDelta::hours(34), "a day to hear of it");
    assert_eq!(rejected(now() + TimeDelta::hours(60)), most, "never past it");
    assert!(refused(&wish(ExceptionType::Temporary), std::slice::from_ref(&record)).contains("is pending already"));
    let no = reject(&record, &[BEN.into()], "no", BEN, now()).unwrap().record;
    let again =
        request(&own_finding(), &wish(ExceptionType::Temporary), &[no], rules().sla, ID.into(), now() + days(4));
    assert_eq!(again.unwrap().record.asked(), None, "it may be granted, but it holds nothing by itself");
    assert_eq!(granted(ExceptionType::Temporary).asked(), None);
}

#[test]
fn n1_a_revoked_one_covers_nothing_from_that_instant_on_and_its_requester_may_revoke_it_too() {
    let record = granted(ExceptionType::Permanent);
    let at = now() + days(5);
    assert!(matches!(revoke(&record, &[BEN.into()], "x", "eve@example.com", at), Err(Refusal::Person { .. })));
    assert!(matches!(revoke(&record, &[BEN.into()], "x", "ann+1@example.com", at), Err(Refusal::Person { .. })));
    for who in [BEN, " ANN@example.com"] {
        let revoked = revoke(&record, &[BEN.into()], "found an owner", who, at).unwrap().record;
        let cover = revoked.cover().unwrap();
        let covers = |at| cover.covers(&revoked.account, "i-1", "policy", "rule", at);
        assert_eq!((covers(at - TimeDelta::microseconds(1)), covers(at)), (true, false));
        assert!(matches!(revoke(&revoked, &[BEN.into()], "again", BEN, at), Err(Refusal::State { .. })));
        assert!(matches!(renew(&revoked, &[BEN.into()], None, BEN, at), Err(Refusal::State { .. })));
    }
}

#[test]
fn n1_renewing_never_shortens_and_is_not_for_the_requester() {
    let record = granted(ExceptionType::Temporary);
    let at = now() + days(10);
    let end = record.expires_at.unwrap();
    let may = [BEN.to_owned()];
    assert!(matches!(renew(&record, &may, Some(90), ANN, at), Err(Refusal::Person { .. })));
    assert_eq!(renew(&record, &may, Some(90), BEN, at).unwrap().record.expires_at, Some(at + days(90)));
    assert_eq!(renew(&record, &may, Some(1), BEN, at).unwrap().record.expires_at, Some(end));
    assert!(matches!(renew(&record, &may, None, BEN, at), Err(Refusal::Wrong(_))));
    assert!(matches!(renew(&record, &may, Some(5), BEN, end + days(1)), Err(Refusal::State { .. })));
}

#[test]
fn h10_a_grace_period_that_began_before_an_exception_ended_does_not_count() {
    let mut finding = own_finding();
    let cover = granted(ExceptionType::Temporary).cover().unwrap();
    let end = cover.until;
    grace::delivered(&mut finding, NoticeKind::First, end - days(40));
    let list = [cover];
    assert_eq!(stale_grace(&finding, &list, end), None, "it holds still");
    assert_eq!(stale_grace(&finding, &list, end + TimeDelta::seconds(1)), Some(end));
    finding.clock = Default::default();
    assert_eq!(stale_grace(&finding, &list, end + days(1)), None, "no clock runs");
    grace::delivered(&mut finding, NoticeKind::First, end + TimeDelta::seconds(1));
    assert_eq!(stale_grace(&finding, &list, end + days(1)), None, "a new one began after it");
}
