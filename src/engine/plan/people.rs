//! What people said that holds a finding: exceptions in force, asked for and just over, keep-until tags, and approvals
//! that its policy wants and does not have yet.

use super::{PlanInput, Reason};
use crate::domain::finding::{Finding, State};
use crate::domain::plan::HoldCode;
use crate::engine::exceptions::{asked_for, stale_grace};
use crate::engine::reconcile::{exception_for, kept};

/// Kept by its owner, excepted, asked for, or excepted until a moment ago.
pub(super) fn exempt(input: &PlanInput<'_>, finding: &Finding) -> Result<(), Reason> {
    if let Some(day) = kept(finding, input.now) {
        return Err((HoldCode::KeepUntil, format!("its keep-until tag holds through {day}")));
    }
    if let Some(exception) = exception_for(finding, input.exceptions, input.now) {
        return Err((HoldCode::Excepted, format!("exception {}: {}", exception.id, exception.reason)));
    }
    if finding.state == State::Excepted {
        let reason = finding.excepted_by.clone().unwrap_or_default();
        return Err((HoldCode::Excepted, format!("was exempt at the last scan ({reason}); the next scan ends that")));
    }
    if let Some(end) = stale_grace(finding, input.exceptions, input.now)
        && !planted!("old-grace-after-an-exception")
    {
        let end = end.format("%Y-%m-%d %H:%M UTC");
        let reason = format!("an exception ended {end}; the next scan begins a new full grace period");
        return Err((HoldCode::Excepted, reason));
    }
    if let Some(asked) = asked_for(finding, input.asked, input.now).filter(|_| !planted!("ignore-a-pending-request")) {
        let until = asked.until.format("%Y-%m-%d %H:%M UTC");
        let reason =
            format!("{} asked for exception {}; held until {until} and the scan after it", asked.approved_by, asked.id);
        return Err((HoldCode::Excepted, reason));
    }
    Ok(())
}

/// The policy's own demand for people. Asked last, so that nobody is asked about what could not be done anyway.
pub(super) fn approved(input: &PlanInput<'_>, finding: &Finding) -> Result<(), Reason> {
    let said = input.approved.get(&finding.id).copied().unwrap_or(0);
    let wanted = finding.people_wanted();
    if said >= wanted || (said > 0 && planted!("one-of-two-is-enough")) {
        return Ok(());
    }
    let reason = format!("waits for approval: {said} of {} said yes; `costwarden approval list`", people(wanted));
    Err((HoldCode::WaitsForApproval, reason))
}

fn people(count: u8) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}
