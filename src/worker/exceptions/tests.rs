//! The desk with a state: who is told, what the trail keeps, and that two hands at once cannot both win.

use chrono::TimeDelta;

use super::report::{self, ExceptionJson, Filter, report};
use super::*;
use crate::domain::exception::ExceptionType;
use crate::domain::finding::{Action, Severity};
use crate::domain::lifecycle::ApprovalState;
use crate::domain::money::Usd;
use crate::engine::reconcile::testing::finding;

const ANN: &str = "ann@example.com";
const BEN: &str = "ben@example.com";
const FIN: &str = "fin@example.com";

struct Office {
    store: Store,
    rules: ApproverRules,
    now: Instant,
}

impl Office {
    fn new() -> Office {
        let store = Store::in_memory().unwrap();
        let mut idle = finding("i-1", Severity::High, Action::Stop);
        idle.savings.monthly = Some(Usd::dollars(70));
        let mut disk = finding("vol-2", Severity::High, Action::Terminate);
        disk.savings.monthly = None;
        store.update_findings(&[idle, disk], &[]).unwrap();
        let rules = ApproverRules {
            managers: [(ANN.to_owned(), BEN.to_owned())].into(),
            finops: vec![FIN.into()],
            security: Vec::new(),
            finops_for: vec!["policy".into()],
            security_for: Vec::new(),
            sla: TimeDelta::hours(72),
        };
        Office { store, rules, now: "2026-11-23T10:00:00Z".parse().unwrap() }
    }

    fn desk(&self) -> Desk<'_> {
        Desk { store: &self.store, approvers: &self.rules, zone: chrono_tz::UTC }
    }

    fn by<'w>(&self, who: &'w str) -> By<'w> {
        By { who, at: self.now }
    }

    fn request(&self, of: &str, exception_type: ExceptionType, days: Option<i64>) -> Result<Done, ExceptionError> {
        let wish =
            Wish { exception_type, days, condition: None, review_days: None, justification: "audit\nBcc: x", by: ANN };
        self.desk().request(&Target { of: of.into(), ..Target::default() }, &wish, self.now)
    }

    fn temporary(&self) -> ExceptionRecord {
        self.request("i-1", ExceptionType::Temporary, Some(10)).unwrap().record
    }

    /// Recipients in the outbox, in order.
    fn outbox(&self) -> Vec<String> {
        let due = self.store.outbox_due(self.now + TimeDelta::days(1), 99).unwrap();
        due.into_iter().map(|row| row.to).collect()
    }

    fn trail(&self) -> Vec<String> {
        self.store.audit_rows(0, 99).unwrap().into_iter().map(|row| row.entry.what).collect()
    }
}

#[test]
fn n3_a_request_asks_the_approvers_by_mail_and_in_the_one_table() {
    let office = Office::new();
    let done = office.request("i-1", ExceptionType::Temporary, Some(10)).unwrap();
    assert_eq!(done.told, [BEN, FIN]);
    assert_eq!(office.outbox(), [BEN, FIN]);
    let rows = office.store.approvals_of(ApprovalKind::Exception, &done.record.id).unwrap();
    let asked: Vec<_> = rows.iter().map(|row| (row.approver.as_str(), row.state, row.asked_by.as_str())).collect();
    assert_eq!(asked, [(BEN, ApprovalState::Pending, ANN), (FIN, ApprovalState::Pending, ANN)]);
    assert_eq!(office.trail(), ["exception_requested"]);
    let id = &done.record.id;
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!((parts, &id[14..15]), (vec![8, 4, 4, 4, 12], "4"), "a UUID of version 4: {id}");
    assert!("89ab".contains(&id[19..20]), "{id}");
    let unknown = office.request("i-9", ExceptionType::Temporary, Some(1)).unwrap_err();
    assert!(unknown.to_string().contains("no open finding fits i-9"), "{unknown}");
}

#[test]
fn n5_a_yes_is_the_approvers_row_the_others_fall_away_and_the_requester_hears_of_it() {
    let office = Office::new();
    let record = office.temporary();
    assert!(office.desk().approve(&record.id, None, office.by(ANN)).is_err());
    assert!(office.desk().approve(&record.id, None, office.by("eve@example.com")).is_err());
    assert_eq!(office.trail(), ["exception_requested"], "a refused step leaves nothing");
    let done = office.desk().approve(&record.id[..8], Some("until the audit"), office.by(" BEN@example.com")).unwrap();
    assert_eq!((done.record.status, done.told.as_slice()), (ExceptionStatus::Approved, &[ANN.to_owned()][..]));
    let states: Vec<_> = office
        .store
        .approvals_of(ApprovalKind::Exception, &record.id)
        .unwrap()
        .into_iter()
        .map(|row| (row.approver, row.state))
        .collect();
    assert_eq!(states, [(BEN.to_owned(), ApprovalState::Approved), (FIN.to_owned(), ApprovalState::Withdrawn)]);
    assert_eq!(office.trail(), ["exception_requested", "exception_approved"]);
    let events: Vec<_> = office.store.exception_events(&record.id).unwrap().into_iter().map(|own| own.what).collect();
    assert_eq!(events, ["requested", "approved"]);
    assert!(office.store.audit_verify(None).is_ok());
}

#[test]
fn n6_two_approvers_at_once_and_only_the_first_counts() {
    let office = Office::new();
    let record = office.temporary();
    // Both read the pending record; the second write finds another state.
    let asked = [BEN.to_owned(), FIN.to_owned()];
    let yes = rules::approve(&record, &asked, None, BEN, office.now).unwrap();
    let no = rules::reject(&record, &asked, "no", FIN, office.now).unwrap();
    office.desk().save(Some(ExceptionStatus::Pending), yes, &asked).unwrap();
    let late = office.desk().save(Some(ExceptionStatus::Pending), no, &asked).unwrap_err();
    assert!(late.to_string().contains("somebody else changed the exception in the meantime"), "{late}");
    assert_eq!(office.store.exception(&record.id).unwrap().unwrap().status, ExceptionStatus::Approved);
    assert_eq!(office.trail(), ["exception_requested", "exception_approved"]);
}

#[test]
fn n7_time_ends_exceptions_and_asks_for_reviews_once_a_period() {
    let mut office = Office::new();
    let temporary = office.temporary();
    let permanent = office.request("vol-2", ExceptionType::Permanent, None).unwrap().record;
    for own in [&temporary, &permanent] {
        office.desk().approve(&own.id, None, office.by(BEN)).unwrap();
    }
    let start = office.now;
    let status = |office: &Office, id: &str| office.store.exception(id).unwrap().unwrap().status;
    let mut passed = |days: i64| {
        office.now = start + TimeDelta::days(days) + TimeDelta::seconds(1);
        let steps = night::pass_time(&office.desk(), office.now).unwrap();
        (steps, status(&office, &temporary.id), status(&office, &permanent.id))
    };
    use ExceptionStatus::{Approved, Expired};
    assert_eq!(passed(9), (0, Approved, Approved));
    assert_eq!(passed(10), (1, Expired, Approved));
    assert_eq!(passed(90), (1, Expired, Approved), "its review is asked for");
    assert_eq!(passed(91), (0, Expired, Approved), "once");
    assert_eq!(passed(104), (1, Expired, Expired));
    let trail = office.trail();
    assert_eq!(trail[4..], ["exception_expired", "exception_review_asked", "exception_expired"]);
}

#[test]
fn n9_the_report_counts_each_sort_what_ends_soon_what_is_overdue_and_what_it_costs() {
    let office = Office::new();
    let record = office.temporary();
    let permanent = office.request("vol-2", ExceptionType::Permanent, None).unwrap().record;
    office.desk().approve(&record.id, None, office.by(BEN)).unwrap();
    let findings = office.store.findings_open().unwrap();
    let made = |filter: &Filter, days: i64| {
        report(&office.store.exceptions().unwrap(), &findings, filter, office.now + TimeDelta::days(days))
    };
    let ids = |rows: &[ExceptionJson]| rows.iter().map(|own| own.id.clone()).collect::<Vec<_>>();
    let all = made(&Filter::default(), 0);
    assert_eq!((all.total, all.total_cost_excepted), (2, Some(70.0)));
    assert_eq!(all.by_status, [("approved", 1), ("pending", 1)].into());
    assert_eq!(all.by_type, [("permanent", 1), ("temporary", 1)].into());
    assert_eq!(all.by_policy, [("policy".to_owned(), 2)].into());
    assert_eq!(ids(&all.expiring_soon), [] as [String; 0]);
    assert_eq!(ids(&made(&Filter::default(), 4).expiring_soon), [record.id.as_str()]);
    let over = made(&Filter::default(), 11);
    assert_eq!((ids(&over.expiring_soon), ids(&over.expired)), (vec![], vec![record.id.clone()]), "apart");
    assert_eq!(over.total_cost_excepted, Some(0.0));
    office.desk().approve(&permanent.id, None, office.by(BEN)).unwrap();
    assert_eq!(made(&Filter::default(), 0).total_cost_excepted, None, "a price that is not known is no zero");
    assert_eq!(ids(&made(&Filter::default(), 95).needing_review), [permanent.id.as_str()]);
    let mine = Filter { requested_by: Some(" ANN@EXAMPLE.com".into()), ..Filter::default() };
    assert_eq!(made(&mine, 0).total, 2);
    let none = Filter { policy_name: Some("other".into()), ..Filter::default() };
    assert_eq!(made(&none, 0).total, 0);
    let notes = |days: i64| report::notes(&office.store.exceptions().unwrap(), office.now + TimeDelta::days(days));
    let (first, second) = (&record.id[..8], &permanent.id[..8]);
    assert_eq!(notes(0), [] as [String; 0]);
    assert_eq!(notes(4), [format!("Exceptions that end within seven days: {first} on i-1 (policy / rule)")]);
    assert_eq!(notes(95), [format!("Exceptions whose review is overdue: {second} on vol-2 (policy / rule)")]);
    let expired = Filter { status: Some(ExceptionStatus::Expired), ..Filter::default() };
    assert_eq!(made(&expired, 11).total, 1, "as of then, written down or not");
}

#[test]
fn n10_as_json_it_has_the_eight_keys() {
    let office = Office::new();
    let record = office.temporary();
    let json = serde_json::to_value(ExceptionJson::of(&record, &[], office.now)).unwrap();
    let keys = ["id", "resource_id", "policy_name", "rule_name", "status", "expires_at", "requested_by", "approved_by"];
    let seen: Vec<&str> = json.as_object().unwrap().keys().take(8).map(String::as_str).collect();
    assert_eq!(seen, keys);
    assert_eq!((json["status"].as_str(), json["expires_at"].is_null()), (Some("pending"), true));
}

#[test]
fn h38_a_reason_of_a_stranger_stays_one_line_in_the_mail() {
    let office = Office::new();
    office.temporary();
    let rows = office.store.outbox_due(office.now, 9).unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let mail: serde_json::Value = serde_json::from_str(&row.message).unwrap();
        let text = mail["text"].as_str().unwrap();
        assert!(!text.contains("\nBcc"), "{text}");
        assert!(text.contains("costwarden exception approve ") && text.contains("How long: 10 days"), "{text}");
    }
}

#[test]
fn h25_a_finding_whose_act_was_undone_is_lifted_by_finops_alone_and_gets_a_full_new_grace() {
    use crate::worker::act_approvals::lift;
    let office = Office::new();
    let mut undone = finding("i-1", Severity::High, Action::Stop);
    undone.suppressed = true;
    crate::engine::grace::delivered(&mut undone, crate::domain::notice::NoticeKind::First, office.now);
    office.store.update_findings(std::slice::from_ref(&undone), &[]).unwrap();
    let tries = |id: &FindingId, why: &str, who| lift(&office.store, &office.rules, id, why, office.by(who));
    assert!(matches!(tries(&undone.id, "fine", ANN), Err(ExceptionError::Refused(Refusal::Person { .. }))));
    assert!(matches!(tries(&undone.id, " ", FIN), Err(ExceptionError::Refused(Refusal::Wrong(_)))));
    let lifted = tries(&undone.id, "its owner agreed", " FIN@example.com").unwrap();
    assert_eq!((lifted.suppressed, lifted.clock.first_notice, lifted.clock.due_at), (false, None, None));
    assert!(matches!(tries(&undone.id, "again", FIN), Err(ExceptionError::Refused(Refusal::Wrong(_)))));
    assert_eq!(office.trail(), ["finding_lifted"]);
}

#[test]
fn n3_a_condition_is_asked_of_the_resource_broken_ends_it_and_unknown_keeps_it_and_moves_nothing() {
    use crate::checks::testing::{Bench, instance, now};
    use crate::domain::check::Subject;
    use crate::domain::fact::Fact;
    use crate::domain::resource::Tags;
    let office = Office { now: now() - TimeDelta::days(2), ..Office::new() };
    let settings = crate::settings::defaults_for_world();
    let wish = Wish {
        exception_type: ExceptionType::Conditional,
        days: Some(30),
        condition: Some("resource.tags.stage == 'audit'"),
        review_days: None,
        justification: "the audit",
        by: ANN,
    };
    let target = Target { of: "i-1".into(), ..Target::default() };
    let id = office.desk().request(&target, &wish, office.now).unwrap().record.id;
    let granted = office.desk().approve(&id, None, office.by(BEN)).unwrap().record;
    let bench = Bench::new();
    let look = |tags: Fact<Tags>| {
        let mut resource = instance("i-1", "m5.large", 30);
        resource.tags = tags;
        let (refs, prices) = (&bench.refs, &bench.prices);
        let subject = Subject { resource: &resource, usage: None, refs, sighting: None, prices, now: now() };
        let mut watch = night::Watch::open(&office.desk(), &settings, now()).unwrap();
        assert!(watch.asks_about(&resource) && !watch.asks_about(&instance("i-2", "m5.large", 30)));
        watch.look(&office.desk(), &subject).unwrap();
        let covers = |own: &Exception| own.covers(&granted.account, "i-1", "policy", "rule", now());
        (watch.exceptions.iter().any(covers), office.store.exception(&id).unwrap().unwrap())
    };
    assert_eq!(look(Fact::Known(Tags::of(&[("stage", "audit")]))), (true, granted.clone()));
    assert_eq!(look(Fact::unknown("not read")), (true, granted.clone()), "kept as it is, no date moved");
    let (covers, voided) = look(Fact::Known(Tags::of(&[("stage", "done")])));
    assert_eq!((covers, voided.status, voided.ended_at), (false, ExceptionStatus::Expired, Some(now())));
    assert_eq!(office.trail().last().map(String::as_str), Some("exception_voided"));
    assert!(voided.ended_because.unwrap().contains("resource.tags.stage == 'audit'"));
}
