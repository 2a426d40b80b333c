//! Moves exceptions from request over approval to their end, and counts them for the report (seed contract, N1 to N10).
//!
//! Pure: `worker::exceptions` reads and writes, hands in the instant and the new id, and sends what follows. Every step
//! checks the state and the person: nobody grants, refuses or renews what he asked for himself, however he writes
//! his name.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::domain::Instant;
use crate::domain::exception::{
    ApproverRules, Exception, ExceptionEvent, ExceptionRecord, ExceptionStatus, ExceptionType,
};
use crate::domain::finding::Finding;
use crate::domain::person::{same_name, same_person};
use crate::domain::place::Kind;
use crate::domain::text::clean;
use crate::policy::expression::{Condition, OverInventory};

/// Days from one review to the next, where the request names none (N2).
pub const REVIEW_DAYS: i64 = 90;
/// Longest that may be asked for, in days.
pub const MAX_DAYS: i64 = 3650;
/// A request within this time after an unanswered or refused one for the same thing holds nothing by itself (N8).
const HOLDS_AGAIN_AFTER: TimeDelta = TimeDelta::days(30);

/// Why a step is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request itself is wrong.
    #[error("{0}")]
    Wrong(String),
    /// It does not stand where the step begins.
    #[error("exception {id} is {status}: only one that is {accepted} can be {step}")]
    State {
        /// Which.
        id: String,
        /// Where it stands.
        status: ExceptionStatus,
        /// What was tried.
        step: &'static str,
        /// Where it should stand.
        accepted: &'static str,
    },
    /// This person may not.
    #[error("{who} may not do that: {why}")]
    Person {
        /// Who tried.
        who: String,
        /// Why not, and who may.
        why: String,
    },
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// What ends it; temporary where nothing is said.
    pub exception_type: ExceptionType,
    /// Days from the approval.
    pub days: Option<i64>,
    /// The condition of a conditional one.
    pub condition: Option<&'a str>,
    /// Days from one review to the next.
    pub review_days: Option<i64>,
    /// Why.
    pub justification: &'a str,
    /// Who asks.
    pub by: &'a str,
}

/// A step that is possible: the record after it, and what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The record after it.
    pub record: ExceptionRecord,
    /// What happened.
    pub event: ExceptionEvent,
}

/// Who may grant an exception from `policy` that `requester` asks for (N4).
///
/// # Errors
/// Nobody else than the requester may.
pub fn approvers(rules: &ApproverRules, requester: &str, policy: &str) -> Result<Vec<String>, Refusal> {
    let named = |list: &[String]| list.iter().any(|own| own == policy);
    let manager = rules.managers.iter().find(|(who, _)| same_name(who, requester)).map(|(_, manager)| manager);
    let finops = named(&rules.finops_for).then_some(&rules.finops).into_iter().flatten();
    let security = named(&rules.security_for).then_some(&rules.security).into_iter().flatten();
    let mut found = others(manager.into_iter().chain(finops).chain(security), requester);
    if found.is_empty() {
        found = others(rules.finops.iter(), requester);
    }
    if found.is_empty() {
        let why = "nobody else could approve it; name a manager for this address, or FinOps, under [approvals] of the settings";
        return Err(Refusal::Person { who: clean(requester), why: why.into() });
    }
    Ok(found)
}

/// A new request. `before` are the exceptions that there are for the same thing, `id` is a new one.
///
/// # Errors
/// Everything that is wrong with the wish, one at a time; an exception that holds or is asked for already.
pub fn request(
    finding: &Finding,
    wish: &Wish<'_>,
    before: &[ExceptionRecord],
    sla: TimeDelta,
    id: String,
    now: Instant,
) -> Result<Step, Refusal> {
    let wrong = |text: String| Err(Refusal::Wrong(text));
    if wish.justification.trim().is_empty() {
        return wrong("the reason is empty: say why, for those who decide and those who read the report".into());
    }
    let days = wish.days.map(|days| whole_days(days, "a duration")).transpose()?;
    let review = whole_days(wish.review_days.unwrap_or(REVIEW_DAYS), "a review interval")?;
    match (wish.exception_type, days, wish.condition) {
        (ExceptionType::Temporary, None, _) => {
            return wrong("a temporary exception needs its days: at least 1, counted from the approval".into());
        }
        (ExceptionType::Permanent, Some(_), _) => return wrong("a permanent exception has no duration".into()),
        (ExceptionType::Conditional, _, None) => return wrong("a conditional exception needs its condition".into()),
        (ExceptionType::Conditional, _, Some(text)) => {
            bind(text, finding.key.kind())?;
        }
        (_, _, Some(_)) => return wrong("only a conditional exception has a condition".into()),
        _ => {}
    }
    let open = before.iter().find(|own| {
        own.status == ExceptionStatus::Pending
            || (own.status_at(now) == ExceptionStatus::Approved && !own.overdue_at(now))
    });
    if let Some(own) = open {
        return wrong(format!("exception {} for it is {} already", own.id, own.status_at(now)));
    }
    let held_before = before
        .iter()
        .any(|own| own.approved_at.is_none() && own.holds_until.is_some_and(|until| now - until < HOLDS_AGAIN_AFTER));
    let record = ExceptionRecord {
        id,
        account: finding.key.account().to_string(),
        resource_id: finding.key.id.to_string(),
        resource_kind: finding.key.kind(),
        policy_name: finding.policy.clone(),
        rule_name: finding.rule.clone(),
        exception_type: wish.exception_type,
        justification: wish.justification.trim().to_owned(),
        requested_by: wish.by.trim().to_owned(),
        requested_at: now,
        status: ExceptionStatus::Pending,
        approved_by: None,
        approved_at: None,
        comment: None,
        duration_days: days,
        expires_at: None,
        conditions: wish.condition.map(str::to_owned),
        review_interval_days: review,
        last_reviewed_at: None,
        review_asked_for: None,
        tags: BTreeMap::new(),
        holds_until: (!held_before).then(|| now + sla),
        ended_at: None,
        ended_because: None,
        revision: 0,
    };
    let detail = format!("{}: {}", record.length(), record.justification);
    Ok(step(record, wish.by, now, "requested", detail))
}

/// Grants a request. The days run from here (N3, N5).
///
/// # Errors
/// It is not pending; this person may not.
pub fn approve(
    record: &ExceptionRecord,
    approvers: &[String],
    comment: Option<&str>,
    by: &str,
    now: Instant,
) -> Result<Step, Refusal> {
    record.must_be(ExceptionStatus::Pending, "approved", now)?;
    may_decide(record, approvers, by)?;
    let after = ExceptionRecord {
        status: ExceptionStatus::Approved,
        approved_by: Some(by.trim().to_owned()),
        approved_at: Some(now),
        comment: comment.map(str::to_owned),
        expires_at: record.duration_days.map(|days| now + TimeDelta::days(days)),
        last_reviewed_at: Some(now),
        ..record.clone()
    };
    let detail = comment.map_or_else(|| record.length(), |words| format!("{}: {words}", record.length()));
    Ok(step(after, by, now, "approved", detail))
}

/// Refuses a request (N6).
///
/// # Errors
/// It is not pending; this person may not; no reason.
pub fn reject(
    record: &ExceptionRecord,
    approvers: &[String],
    reason: &str,
    by: &str,
    now: Instant,
) -> Result<Step, Refusal> {
    record.must_be(ExceptionStatus::Pending, "rejected", now)?;
    may_decide(record, approvers, by)?;
    let reason = said(reason)?;
    let mut after = ExceptionRecord { status: ExceptionStatus::Rejected, ended_at: Some(now), ..record.clone() };
    after.ended_because = Some(reason.to_owned());
    for (key, value) in [("rejection_reason", reason), ("rejected_by", by.trim()), ("rejected_at", &now.to_rfc3339())] {
        after.tags.insert(key.into(), value.into());
    }
    Ok(step(after, by, now, "rejected", reason.to_owned()))
}

/// Takes a granted exception back. The requester may do that too: it only ends what protects.
///
/// # Errors
/// It is not in force; this person may not; no reason.
pub fn revoke(
    record: &ExceptionRecord,
    approvers: &[String],
    reason: &str,
    by: &str,
    now: Instant,
) -> Result<Step, Refusal> {
    record.must_be(ExceptionStatus::Approved, "revoked", now)?;
    if !same_name(by, &record.requested_by) {
        is_approver(approvers, by)?;
    }
    let reason = said(reason)?;
    let mut after = ExceptionRecord { status: ExceptionStatus::Revoked, ended_at: Some(now), ..record.clone() };
    after.ended_because = Some(reason.to_owned());
    after.tags.insert("revoked_by".into(), by.trim().into());
    Ok(step(after, by, now, "revoked", reason.to_owned()))
}

/// Grants more time: a temporary one gets new days from now, the others count as reviewed.
///
/// # Errors
/// It is not in force; this person may not; days where there are none, or none where there are.
pub fn renew(
    record: &ExceptionRecord,
    approvers: &[String],
    days: Option<i64>,
    by: &str,
    now: Instant,
) -> Result<Step, Refusal> {
    record.must_be(ExceptionStatus::Approved, "renewed", now)?;
    may_decide(record, approvers, by)?;
    let days = days.map(|days| whole_days(days, "a duration")).transpose()?;
    let mut after = ExceptionRecord { last_reviewed_at: Some(now), ..record.clone() };
    let detail = match (record.duration_days, days) {
        (Some(_), None) => return Err(Refusal::Wrong("it ends by its date: say for how many days from now".into())),
        (None, Some(_)) => return Err(Refusal::Wrong("it has no duration: leave the days out to review it".into())),
        (Some(_), Some(days)) => {
            // Never shorter than what was granted: an owner counts on that date.
            after.expires_at = Some((now + TimeDelta::days(days)).max(record.expires_at.unwrap_or(now)));
            after.duration_days = Some(days);
            format!("{days} days from now")
        }
        (None, None) => "reviewed and kept".to_owned(),
    };
    Ok(step(after, by, now, "renewed", detail))
}

/// What time alone did to an exception by `now`: it expired, or its review falls due and somebody must be asked. Asked
/// once a period.
pub fn pass_time(record: &ExceptionRecord, now: Instant) -> Option<Step> {
    if record.status != ExceptionStatus::Approved {
        return None;
    }
    if let Some(last) = record.holds_through().filter(|last| *last < now) {
        let why = match (record.expires_at, record.review_due()) {
            (Some(end), _) if end <= last => "its last day has passed",
            _ => "nobody reviewed it",
        };
        let mut after = ExceptionRecord { status: ExceptionStatus::Expired, ..record.clone() };
        after.ended_because = Some(why.to_owned());
        return Some(step(after, "costwarden", now, "expired", why.to_owned()));
    }
    let due = record.review_due().filter(|due| *due < now && record.review_asked_for != Some(*due))?;
    let after = ExceptionRecord { review_asked_for: Some(due), ..record.clone() };
    let detail = format!("its review was due {}", due.format("%Y-%m-%d"));
    Some(step(after, "costwarden", now, "review_asked", detail))
}

/// Ends a conditional exception whose condition does not hold any more (N3).
pub fn void(record: &ExceptionRecord, why: &str, now: Instant) -> Step {
    let mut after = ExceptionRecord { status: ExceptionStatus::Expired, ended_at: Some(now), ..record.clone() };
    after.ended_because = Some(why.to_owned());
    step(after, "costwarden", now, "voided", why.to_owned())
}

/// The condition of a conditional exception, over resources of one kind.
///
/// # Errors
/// The text is no condition over such a resource.
pub fn bind(text: &str, kind: Kind) -> Result<OverInventory, Refusal> {
    Condition::compile(text)
        .and_then(|condition| OverInventory::bind(&condition, &[kind]))
        .map_err(|error| Refusal::Wrong(format!("the condition: {error}")))
}

/// The end of the last exception on a finding that is over, as far as the lists say.
pub fn last_end<'a>(
    finding: &Finding,
    exceptions: impl IntoIterator<Item = &'a Exception>,
    now: Instant,
) -> Option<Instant> {
    concerning(finding, exceptions).map(|own| own.until).filter(|until| *until < now).max()
}

/// A grace period that began before an exception ended: it does not count, and a full new one must begin (H10).
pub fn stale_grace<'a>(
    finding: &Finding,
    exceptions: impl IntoIterator<Item = &'a Exception>,
    now: Instant,
) -> Option<Instant> {
    last_end(finding, exceptions, now).filter(|end| finding.clock.first_notice.is_some_and(|first| first <= *end))
}

/// The request that holds an act now, or did so since the finding was last looked at (N8).
pub fn asked_for<'a>(finding: &Finding, asked: &'a [Exception], now: Instant) -> Option<&'a Exception> {
    concerning(finding, asked).find(|own| now <= own.until || finding.seen_at <= own.until)
}

fn concerning<'a>(
    finding: &Finding,
    list: impl IntoIterator<Item = &'a Exception>,
) -> impl Iterator<Item = &'a Exception> {
    let (account, id) = (finding.key.account().clone(), finding.key.id.clone());
    let (policy, rule) = (finding.policy.clone(), finding.rule.clone());
    list.into_iter().filter(move |own| own.concerns(account.as_str(), &id, &policy, &rule))
}

fn others<'a>(people: impl Iterator<Item = &'a String>, me: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for who in people {
        if !same_person(who, me) && !found.iter().any(|known| same_person(known, who)) {
            found.push(who.trim().to_owned());
        }
    }
    found
}

fn may_decide(record: &ExceptionRecord, approvers: &[String], by: &str) -> Result<(), Refusal> {
    if same_person(by, &record.requested_by) {
        let why = "nobody decides on what he asked for himself".to_owned();
        return Err(Refusal::Person { who: clean(by), why });
    }
    is_approver(approvers, by)
}

fn is_approver(approvers: &[String], by: &str) -> Result<(), Refusal> {
    if approvers.iter().any(|own| same_name(own, by)) {
        return Ok(());
    }
    let why = format!("{} may", clean(&approvers.join(", ")));
    Err(Refusal::Person { who: clean(by), why })
}

fn said(reason: &str) -> Result<&str, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() { Err(Refusal::Wrong("the reason is empty: say why".into())) } else { Ok(reason) }
}

fn whole_days(days: i64, what: &str) -> Result<i64, Refusal> {
    if (1..=MAX_DAYS).contains(&days) {
        return Ok(days);
    }
    Err(Refusal::Wrong(format!("{days} is not {what}; accepted: whole days from 1 to {MAX_DAYS}")))
}

fn step(record: ExceptionRecord, by: &str, at: Instant, what: &str, detail: String) -> Step {
    Step { event: ExceptionEvent { at, by: by.trim().to_owned(), what: what.to_owned(), detail }, record }
}

impl ExceptionRecord {
    /// How long it holds, for people: "30 days", "Permanent" (N3).
    pub fn length(&self) -> String {
        let days = self.duration_days.map(|days| format!("{days} {}", if days == 1 { "day" } else { "days" }));
        match (self.exception_type, days, &self.conditions) {
            (ExceptionType::Conditional, Some(days), Some(text)) => format!("{days}, while {text}"),
            (ExceptionType::Conditional, None, Some(text)) => format!("while {text}"),
            (_, Some(days), _) => days,
            _ => "Permanent".to_owned(),
        }
    }

    fn must_be(&self, wanted: ExceptionStatus, step: &'static str, now: Instant) -> Result<(), Refusal> {
        let status = self.status_at(now);
        if status == wanted {
            return Ok(());
        }
        Err(Refusal::State { id: self.id.clone(), status, step, accepted: wanted.word() })
    }
}

#[cfg(test)]
mod tests;
