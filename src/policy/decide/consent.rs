//! Approvals at the decision point: what is asked, of whom, and what the answers on file amount to. Pure.
//!
//! A question is about one request exactly as it was made, one policy and one list of approvers; its subject is a hash
//! over all three, so that a yes covers the very same request again and nothing else. One approver's yes is enough for
//! its question, each further policy or list is a question of its own, and a no outweighs every yes. Who asks never
//! counts as approver, however the name is written. An answer holds for [`HOLDS_DAYS`] days, and one that lies in the
//! future (a clock that went back) is no yes. `worker::consent` reads and writes the rows.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::preventive::{self, Answer, Judged};
use super::{Context, Evaluation, PolicyViolation, Ruling};
use crate::domain::Instant;
use crate::domain::lifecycle::{Approval, ApprovalState};
use crate::domain::person::same_person;
use crate::domain::request::Request;
use crate::domain::text::clean;
use crate::policy::document::canonical_json;
use crate::policy::{EnforcementMode, ViolationAction};

/// How long an answer holds, in days.
pub const HOLDS_DAYS: i64 = 7;

/// Who is named as asking when the request does not say.
const NOBODY_NAMED: &str = "(not named)";

/// One question; a yes of any one of its approvers answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What approvals on file call it.
    pub subject: String,
    /// Who asks.
    pub asked_by: String,
    /// Who may answer: those named, without whoever asks.
    pub approvers: Vec<String>,
}

/// What the answers to a question amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nobody answered yet.
    Pending,
    /// A yes, by whom.
    Approved(String),
    /// It cannot go on, and why.
    Refused(String),
}

/// The questions of one violation: one for each of its lists of approvers. Monitor asks nobody.
pub fn questions(context: &Context, violation: &PolicyViolation) -> Vec<Question> {
    if violation.mode != EnforcementMode::Enforce {
        return Vec::new();
    }
    let lists = violation.actions.iter().filter_map(|action| match action {
        ViolationAction::RequireApproval { approvers } => Some(approvers),
        _ => None,
    });
    lists.map(|approvers| about_context(context, violation, approvers)).collect()
}

/// The question that one list of approvers is asked about a context.
pub fn about_context(context: &Context, violation: &PolicyViolation, approvers: &[String]) -> Question {
    let what = json!({
        "user_id": context.user_id, "organization_id": context.organization_id, "action": context.action,
        "resource": context.resource, "metadata": context.metadata, "roots": context.roots,
        "policy": violation.policy_id, "rules": violation.violated_rules, "approvers": approvers,
    });
    question(&what, context.user_id.as_deref(), approvers)
}

/// The question that a rule's approvers are asked about a request for a resource.
pub(super) fn about_request(request: &Request, policy: &str, rule: &str, approvers: &[String]) -> Question {
    // A request has no JSON of its own; what Rust shows of it holds every field, and a new field asks anew.
    let what = json!({ "request": format!("{request:?}"), "policy": policy, "rule": rule, "approvers": approvers });
    question(&what, request.requester.as_deref(), approvers)
}

fn question(what: &Value, asked_by: Option<&str>, named: &[String]) -> Question {
    let digits: String =
        Sha256::digest(canonical_json(what).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut approvers: Vec<String> = Vec::new();
    for name in named.iter().map(|name| name.trim()) {
        let asks = asked_by.is_some_and(|asks| same_person(asks, name));
        if !asks && !approvers.iter().any(|known| same_person(known, name)) {
            approvers.push(name.to_owned());
        }
    }
    Question { subject: format!("request:{digits}"), asked_by: asked_by.unwrap_or(NOBODY_NAMED).to_owned(), approvers }
}

/// What the answers on file to a question amount to at `now`.
pub fn consent(question: &Question, rows: &[Approval], now: Instant) -> Consent {
    if question.approvers.is_empty() {
        return Consent::Refused(format!("nobody but {}, who asks, may approve it", clean(&question.asked_by)));
    }
    let mine = rows.iter().filter(|row| row.subject == question.subject && question.approvers.contains(&row.approver));
    let mut yes = None;
    for row in mine {
        let Some(decided) = row.decided_at else { continue };
        if now - decided >= TimeDelta::days(HOLDS_DAYS) {
            continue;
        }
        match row.state {
            ApprovalState::Rejected => {
                let said = row.comment.as_deref().map_or_else(String::new, |text| format!(": {}", clean(text)));
                return Consent::Refused(format!("{} rejected it{said}", clean(&row.approver)));
            }
            ApprovalState::Approved if decided <= now => yes = Some(row.approver.clone()),
            ApprovalState::Approved | ApprovalState::Pending | ApprovalState::Withdrawn => {}
        }
    }
    yes.map_or(Consent::Pending, Consent::Approved)
}

/// The evaluation of a context with the answers to its questions. Only a decision that waits is changed: a denial
/// stays one, and what was found stays on the list.
///
/// # Errors
/// Whatever `answers` says; then there is no decision.
pub fn settle<E>(
    context: &Context,
    mut evaluation: Evaluation,
    mut answers: impl FnMut(&Question) -> Result<Consent, E>,
) -> Result<Evaluation, E> {
    if !matches!(evaluation.result, Ruling::RequireApproval { .. }) {
        return Ok(evaluation);
    }
    let (mut waits, mut refused) = (Vec::new(), Vec::new());
    for question in evaluation.violations.iter().flat_map(|violation| questions(context, violation)) {
        match answers(&question)? {
            Consent::Approved(_) => {}
            Consent::Refused(reason) => refused.push(reason),
            Consent::Pending => {
                waits.extend(question.approvers.into_iter().filter(|name| !waits.contains(name)).collect::<Vec<_>>());
            }
        }
    }
    evaluation.result = match (refused.is_empty(), waits.is_empty()) {
        (false, _) => Ruling::Deny { reason: refused.join("; ") },
        (true, false) => Ruling::RequireApproval { approvers: waits },
        (true, true) => Ruling::Allow,
    };
    Ok(evaluation)
}

/// The same for requests: a violation with a yes is a warning that names it, one with a no denies.
///
/// # Errors
/// Whatever `answers` says; then there is no answer.
pub fn settle_requests<E>(
    mut judged: Judged,
    mut answers: impl FnMut(&Question) -> Result<Consent, E>,
) -> Result<Judged, E> {
    if judged.action != Answer::RequireApproval {
        return Ok(judged);
    }
    judged.approvers.clear();
    let warned_before = preventive::warned(&judged.violations).len();
    for violation in &mut judged.violations {
        let Some(question) = violation.question.as_ref().filter(|_| violation.effect == Answer::RequireApproval) else {
            continue;
        };
        match answers(question)? {
            Consent::Pending => {
                for name in &question.approvers {
                    if !judged.approvers.contains(name) {
                        judged.approvers.push(name.clone());
                    }
                }
            }
            Consent::Approved(who) => {
                violation.effect = Answer::Warn;
                violation.message = format!("{}; {} approved it", violation.message, clean(&who));
            }
            Consent::Refused(reason) => {
                violation.effect = Answer::Deny;
                violation.message = format!("{}; {reason}", violation.message);
            }
        }
    }
    judged.warnings.splice(0..warned_before, preventive::warned(&judged.violations));
    judged.action = judged.violations.iter().map(|violation| violation.effect).max().unwrap_or(Answer::Allow);
    if judged.action != Answer::RequireApproval {
        judged.approvers.clear();
    }
    Ok(judged)
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
