//! The gate's own questions about what people said: exceptions, and approvals of this very act.
//!
//! Read from the state in that moment; nothing here is shared with the planner, which asked before.

use chrono::TimeDelta;

use super::super::Ruling;
use super::Facts;
use crate::domain::Instant;
use crate::domain::exception::{Exception, ExceptionRecord};
use crate::domain::finding::{Act, Finding};
use crate::domain::lifecycle::ApprovalState;
use crate::domain::person;
use crate::domain::plan::HoldCode;
use crate::domain::text::clean;

/// An exception that holds, that is asked for, or whose end began a new grace period. One of the settings and one of
/// the state count alike.
pub(super) fn holds(
    of_settings: &[Exception],
    stored: &[ExceptionRecord],
    finding: &Finding,
    now: Instant,
) -> Option<String> {
    let key = &finding.key;
    let about = |own: &Exception| own.concerns(key.account().as_str(), &key.id, &finding.policy, &finding.rule);
    let granted = stored.iter().filter_map(ExceptionRecord::cover);
    for own in of_settings.iter().cloned().chain(granted).filter(about) {
        if own.until >= now && !planted!("reuse-the-plans-exceptions") {
            return Some(format!("exception {} holds", clean(&own.id)));
        }
        let stale = finding.clock.first_notice.is_none_or(|first| first <= own.until);
        if stale && !planted!("old-grace-after-an-exception", "reuse-the-plans-exceptions") {
            return Some(format!("exception {} ended {}; a full new grace comes first", clean(&own.id), own.until));
        }
    }
    let mut asked = stored.iter().filter_map(ExceptionRecord::asked).filter(about);
    asked
        .find(|own| (own.until >= now || own.until >= finding.seen_at) && !planted!("ignore-a-pending-request"))
        .map(|own| format!("exception {} is asked for and not decided", clean(&own.id)))
}

/// The policy asks for people's word, and not enough of them gave it for this very act.
pub(super) fn unapproved(facts: &Facts<'_>) -> Option<Ruling> {
    let step = facts.step;
    let wanted = facts.rules.people.get(&(step.policy.clone(), step.rule.clone())).copied().unwrap_or(0);
    let wanted = wanted.max(facts.finding.as_ref().map_or(0, |finding| finding.approvals));
    // What cannot be taken back for certain needs two people whatever the policy says.
    let wanted = wanted.max(if matches!(step.act, Act::ReleaseAddress | Act::DeleteSnapshot) { 2 } else { 0 });
    if wanted == 0 {
        return None;
    }
    let bound = step.approval_hash();
    let day = TimeDelta::hours(if planted!("old-approvals-count") { 24_000 } else { 24 });
    let mut best = 0;
    for (_, answers) in facts.answers.iter().filter(|(request, _)| request.step == bound) {
        let mut people: Vec<&str> = Vec::new();
        for answer in answers {
            let fresh = answer.decided_at.is_some_and(|at| at <= facts.now && facts.now - at <= day);
            match answer.state {
                ApprovalState::Rejected if planted!("a-withdrawn-yes-counts") => people.push(&answer.approver),
                ApprovalState::Rejected => {
                    let why = format!("{} refused the act", clean(&answer.approver));
                    return Some(Ruling::Refuse(HoldCode::WaitsForApproval, why));
                }
                ApprovalState::Approved if fresh => people.push(&answer.approver),
                _ => {}
            }
        }
        best = best.max(person::count(people));
    }
    if best >= usize::from(wanted) || (best > 0 && planted!("one-of-two-is-enough")) {
        return None;
    }
    let why = format!("waits for approval: {best} of {wanted} people approved this act in the last 24 hours");
    Some(Ruling::Refuse(HoldCode::WaitsForApproval, why))
}
