//! Decides who is told what, once per run.
//!
//! Called after a scan in the modes notify and enforce. What is already waiting in the outbox is not decided again, so
//! an SMTP server that is down for a month leads to one first notice and not to thirty. What a notice says and how it
//! travels is `deliver`'s work; when it counts, `grace`'s.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::grace;
use super::plan::has_handler;
use crate::domain::Instant;
use crate::domain::check::Standing;
use crate::domain::finding::{Action, Finding, FindingId, Severity, State};
use crate::domain::notice::{Notice, NoticeKind};

/// A reminder is sent when the act is at most this far away.
const REMINDER_BEFORE: TimeDelta = TimeDelta::hours(24);
/// And no other message about the finding arrived in this time: nightly runs drift by minutes, so "once a day" is a
/// little less than 24 hours.
const BETWEEN_MESSAGES: TimeDelta = TimeDelta::hours(20);

/// Notices to send now. `pending` are those that wait in the outbox undelivered.
pub fn decide(findings: &[Finding], pending: &HashSet<(FindingId, NoticeKind)>, now: Instant) -> Vec<Notice> {
    findings
        .iter()
        .filter_map(|finding| {
            let kind = kind_due(finding, now)?;
            if pending.contains(&(finding.id.clone(), kind)) {
                return None;
            }
            Some(Notice {
                finding: finding.id.clone(),
                kind,
                to: finding.owner.clone()?,
                act_not_before: finding
                    .act()
                    .filter(|act| has_handler(*act))
                    .and_then(|_| grace::due_if_delivered(finding, kind, now)),
            })
        })
        .collect()
}

fn kind_due(finding: &Finding, now: Instant) -> Option<NoticeKind> {
    let tellable = finding.state == State::Open
        && finding.standing == Standing::Proven
        && finding.unjudged.is_none()
        && finding.severity != Severity::Low
        && finding.action != Action::Report
        && finding.remediation.is_none()
        && (!finding.suppressed || planted!("act-after-an-undo"));
    if !tellable {
        return None;
    }
    let clock = &finding.clock;
    let Some(first) = clock.first_notice else {
        return Some(NoticeKind::First);
    };
    if clock.waits_for_second() && now >= first + grace::MEDIUM_UNTIL_ESCALATION {
        return Some(NoticeKind::Escalation);
    }
    let due = clock.due_at?;
    let last_message = [Some(first), clock.second_notice, clock.last_reminder].into_iter().flatten().max()?;
    let reminder = !clock.waits_for_second()
        && finding.act().is_some_and(has_handler)
        && now < due
        && now >= due - REMINDER_BEFORE
        && now - last_message >= BETWEEN_MESSAGES;
    reminder.then_some(NoticeKind::Reminder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reconcile::testing::finding;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn kinds(finding: &Finding, now: &str) -> Vec<NoticeKind> {
        decide(std::slice::from_ref(finding), &HashSet::new(), at(now)).into_iter().map(|notice| notice.kind).collect()
    }

    #[test]
    fn r3_medium_is_told_escalated_after_seven_days_and_told_again() {
        let mut idle = finding("i-1", Severity::Medium, Action::Stop);
        assert_eq!(kinds(&idle, "2026-11-02T02:00:00Z"), [NoticeKind::First]);
        grace::delivered(&mut idle, NoticeKind::First, at("2026-11-02T02:01:00Z"));
        assert_eq!(kinds(&idle, "2026-11-09T02:00:00Z"), [], "a minute short of seven days");
        assert_eq!(kinds(&idle, "2026-11-10T02:00:00Z"), [NoticeKind::Escalation]);
        grace::delivered(&mut idle, NoticeKind::Escalation, at("2026-11-10T02:01:00Z"));
        assert_eq!(kinds(&idle, "2026-11-10T03:00:00Z"), [], "the second notice is the reminder");
    }

    #[test]
    fn r3_high_gets_a_reminder_before_the_act_and_r14_at_most_one_a_day() {
        let mut idle = finding("i-1", Severity::High, Action::Stop);
        idle.grace_hours = Some(72);
        grace::delivered(&mut idle, NoticeKind::First, at("2026-11-02T02:01:00Z"));
        assert_eq!(kinds(&idle, "2026-11-03T02:00:00Z"), [], "two days to go");
        assert_eq!(kinds(&idle, "2026-11-04T02:02:00Z"), [NoticeKind::Reminder]);
        grace::delivered(&mut idle, NoticeKind::Reminder, at("2026-11-04T02:03:00Z"));
        assert_eq!(kinds(&idle, "2026-11-04T12:00:00Z"), []);
        assert_eq!(kinds(&idle, "2026-11-05T02:02:00Z"), [], "due: no reminder any more");
    }

    #[test]
    fn what_waits_in_the_outbox_is_not_decided_again() {
        let idle = finding("i-1", Severity::High, Action::Stop);
        let pending = HashSet::from([(idle.id.clone(), NoticeKind::First)]);
        assert_eq!(decide(&[idle], &pending, at("2026-11-02T02:00:00Z")), []);
    }

    #[test]
    fn nobody_is_told_of_what_is_watched_reported_unjudged_excepted_or_without_an_owner() {
        let change = |change: &dyn Fn(&mut Finding)| {
            let mut changed = finding("i-1", Severity::High, Action::Stop);
            change(&mut changed);
            kinds(&changed, "2026-11-02T02:00:00Z")
        };
        assert_eq!(change(&|_| {}), [NoticeKind::First]);
        assert_eq!(change(&|finding| finding.standing = Standing::Watching("young".into())), []);
        assert_eq!(change(&|finding| finding.standing = Standing::ReportedOnly("peak".into())), []);
        assert_eq!(change(&|finding| finding.unjudged = Some("throttled".into())), []);
        assert_eq!(change(&|finding| finding.state = State::Excepted), []);
        assert_eq!(change(&|finding| finding.owner = None), []);
        assert_eq!(change(&|finding| finding.severity = Severity::Low), []);
        assert_eq!(change(&|finding| finding.suppressed = true), []);
    }
}
