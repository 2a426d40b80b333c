//! The clocks of a finding: when its grace period starts, escalates and ends (R2, R3, product.md "A finding's life").
//!
//! A clock starts only when a notice was delivered, and `due_at` moves later but never earlier without a person's act.
//! Floors hold whatever the severity and the policy say: delete and terminate 24 hours, stop and resize one hour
//! after a delivered notice.

use chrono::TimeDelta;

use crate::domain::Instant;
use crate::domain::finding::{Act, Finding, GraceClock, Severity};
use crate::domain::notice::NoticeKind;

/// Grace of a high finding.
pub const HIGH: TimeDelta = TimeDelta::hours(24);
/// A medium finding is escalated after this long.
pub const MEDIUM_UNTIL_ESCALATION: TimeDelta = TimeDelta::days(7);
/// And due this long after its first notice at the earliest.
pub const MEDIUM: TimeDelta = TimeDelta::days(8);
/// And this long after its second one.
pub const AFTER_ESCALATION: TimeDelta = TimeDelta::hours(24);

/// The least time between a delivered notice and the act.
pub fn floor(act: Act) -> TimeDelta {
    if act.destructive() {
        TimeDelta::hours(24)
    } else if act.disruptive() {
        TimeDelta::hours(1)
    } else {
        TimeDelta::zero()
    }
}

/// The grace period that a finding's severity and policy give, floor included; `None` when it never falls due.
pub fn period(finding: &Finding) -> Option<TimeDelta> {
    let act = finding.act().filter(|act| act.changes_cloud())?;
    let by_severity = match finding.severity {
        Severity::Low => return None,
        Severity::Critical => TimeDelta::zero(),
        Severity::High => HIGH,
        Severity::Medium => MEDIUM,
    };
    let asked = finding.grace_hours.map_or(by_severity, TimeDelta::hours);
    Some(asked.max(floor(act)))
}

/// Whether a second notice must be delivered before anything is due.
pub fn needs_second(finding: &Finding) -> bool {
    finding.severity == Severity::Medium && finding.grace_hours.is_none() && period(finding).is_some()
}

/// When the act would fall due if the next notice of this kind were delivered at `at`; for the notice's own text.
pub fn due_if_delivered(finding: &Finding, kind: NoticeKind, at: Instant) -> Option<Instant> {
    let mut copy = finding.clone();
    delivered(&mut copy, kind, at);
    copy.clock.due_at
}

/// Moves the clocks of a finding whose notice was delivered at `at`. Called in the transaction that marks the message
/// delivered.
pub fn delivered(finding: &mut Finding, kind: NoticeKind, at: Instant) {
    match kind {
        NoticeKind::First if finding.clock.first_notice.is_none() => {
            finding.clock.first_notice = Some(at);
            refresh_due(finding);
        }
        NoticeKind::Escalation if finding.clock.first_notice.is_some() && finding.clock.second_notice.is_none() => {
            finding.clock.second_notice = Some(at);
            refresh_due(finding);
        }
        NoticeKind::Reminder => finding.clock.last_reminder = Some(at),
        NoticeKind::First | NoticeKind::Escalation | NoticeKind::Done | NoticeKind::Stuck => {}
    }
    finding.phase = finding.phase_at(at);
}

/// Computes `due_at` from the clocks and keeps the later of the old and the new one. Called after a delivery and after
/// a policy changed severity, grace or action.
pub fn refresh_due(finding: &mut Finding) {
    finding.clock.needs_second = needs_second(finding);
    let Some(first) = finding.clock.first_notice else {
        finding.clock.due_at = None;
        return;
    };
    let Some(period) = period(finding) else {
        // Nothing of ours falls due now; a due date that an owner was told of is kept in case the policy turns back.
        return;
    };
    let mut due = first + period;
    if let (true, Some(second)) = (finding.clock.needs_second, finding.clock.second_notice) {
        due = due.max(second + AFTER_ESCALATION);
    }
    if let Some(earliest) = finding.act_not_before {
        due = due.max(earliest);
    }
    finding.clock.due_at = Some(finding.clock.due_at.map_or(due, |old| old.max(due)));
}

/// Forgets the clocks, so that the next delivered notice starts a full new grace period: after an exception or a
/// keep-until tag ended, and when a closed finding opens again.
pub fn restart(finding: &mut Finding) {
    finding.clock = GraceClock { needs_second: needs_second(finding), ..GraceClock::default() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::Standing;
    use crate::domain::finding::{Action, Phase};
    use crate::engine::reconcile::testing::finding;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn due_after(severity: Severity, action: Action, id: &str) -> Option<TimeDelta> {
        let mut finding = finding(id, severity, action);
        let start = at("2026-11-02T02:00:00Z");
        delivered(&mut finding, NoticeKind::First, start);
        finding.clock.due_at.map(|due| due - start)
    }

    #[test]
    fn r2_grace_runs_by_severity_from_the_delivered_notice_with_floors() {
        let hours = |id, severity, action| due_after(severity, action, id).map(|grace| grace.num_hours());
        assert_eq!(hours("i-1", Severity::Critical, Action::Stop), Some(1), "floor of a stop");
        assert_eq!(hours("vol-1", Severity::Critical, Action::Terminate), Some(24), "floor of a delete");
        assert_eq!(hours("i-1", Severity::Critical, Action::Terminate), Some(24), "floor of a terminate");
        assert_eq!(hours("i-1", Severity::High, Action::Stop), Some(24));
        assert_eq!(hours("i-1", Severity::Medium, Action::Stop), Some(8 * 24));
        assert_eq!(hours("i-1", Severity::Low, Action::Stop), None, "low is never acted on");
        assert_eq!(hours("i-1", Severity::High, Action::Notify), None);
    }

    #[test]
    fn r3_medium_waits_for_its_second_notice_however_late_it_is() {
        let mut finding = finding("i-1", Severity::Medium, Action::Stop);
        delivered(&mut finding, NoticeKind::First, at("2026-11-02T02:00:00Z"));
        assert_eq!(finding.clock.due_at, Some(at("2026-11-10T02:00:00Z")));
        assert_eq!(finding.phase_at(at("2026-12-24T00:00:00Z")), Phase::InGrace, "not due without the second notice");
        delivered(&mut finding, NoticeKind::Escalation, at("2026-11-09T14:00:00Z"));
        assert_eq!(finding.clock.due_at, Some(at("2026-11-10T14:00:00Z")), "24 h after the second");
        assert_eq!(finding.phase_at(at("2026-11-10T13:59:59Z")), Phase::Escalated);
        assert_eq!(finding.phase_at(at("2026-11-10T14:00:00Z")), Phase::Due);
    }

    #[test]
    fn the_first_delivery_counts_and_a_second_one_moves_nothing() {
        let mut finding = finding("i-1", Severity::High, Action::Stop);
        delivered(&mut finding, NoticeKind::First, at("2026-11-02T02:00:00Z"));
        delivered(&mut finding, NoticeKind::First, at("2026-11-05T02:00:00Z"));
        assert_eq!(finding.clock.due_at, Some(at("2026-11-03T02:00:00Z")));
    }

    #[test]
    fn a_severity_edit_moves_the_date_later_and_never_earlier() {
        let mut finding = finding("i-1", Severity::High, Action::Stop);
        delivered(&mut finding, NoticeKind::First, at("2026-11-02T02:00:00Z"));
        finding.severity = Severity::Critical;
        refresh_due(&mut finding);
        assert_eq!(finding.clock.due_at, Some(at("2026-11-03T02:00:00Z")), "not earlier");
        finding.severity = Severity::Medium;
        refresh_due(&mut finding);
        assert_eq!(finding.clock.due_at, Some(at("2026-11-10T02:00:00Z")), "later");
        assert!(finding.clock.waits_for_second());
    }

    #[test]
    fn an_act_is_never_before_the_check_allows_it() {
        let mut finding = finding("vol-1", Severity::Critical, Action::Terminate);
        finding.act_not_before = Some(at("2026-11-20T00:00:00Z"));
        delivered(&mut finding, NoticeKind::First, at("2026-11-02T02:00:00Z"));
        assert_eq!(finding.clock.due_at, Some(at("2026-11-20T00:00:00Z")));
    }

    #[test]
    fn a_policys_own_grace_replaces_the_severitys_but_not_the_floor() {
        let mut finding = finding("vol-1", Severity::Medium, Action::Terminate);
        finding.grace_hours = Some(2);
        delivered(&mut finding, NoticeKind::First, at("2026-11-02T02:00:00Z"));
        assert_eq!(finding.clock.due_at, Some(at("2026-11-03T02:00:00Z")));
        assert!(!finding.clock.waits_for_second());
    }

    #[test]
    fn a_watched_finding_is_never_due() {
        let mut finding = finding("vol-1", Severity::High, Action::Terminate);
        delivered(&mut finding, NoticeKind::First, at("2026-11-02T02:00:00Z"));
        finding.standing = Standing::Watching("young".into());
        assert_eq!(finding.phase_at(at("2027-01-01T00:00:00Z")), Phase::Watching);
    }
}
