//! Reports: reads the rows, has the engine count them, lays them out, and queues one mail per recipient.
//!
//! Called by the daily and weekly slots, `report` and the demo. Reads our own state only, never the cloud.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::plan::{input as plan_input, posture};
use crate::deliver::outbox::outgoing;
use crate::deliver::report::ReportMail;
use crate::domain::Instant;
use crate::domain::finding::{Finding, State};
use crate::domain::money::Usd;
use crate::domain::remediation::Remediation;
use crate::domain::report::{Report, ReportKind, SelfCost, Spend};
use crate::domain::undo::{SNAPSHOT_DAYS, Undoable, standing};
use crate::engine::plan::select;
use crate::engine::score::ScanSummary;
use crate::engine::summarize::{self, ReportInput};
use crate::report;
use crate::store::{FindingFilter, SlotState};
use crate::worker::context::Context;
use crate::worker::exceptions;

/// The report of the day or week that ended last before `now`.
///
/// # Errors
/// When the state cannot be read.
pub fn make(cx: &Context, kind: ReportKind) -> anyhow::Result<Report> {
    let now = cx.clock.now();
    let (from, to) = period(kind, now, cx.settings.zone);
    make_for(cx, kind, from, to)
}

/// The report of a period, with everything that is open as of now.
///
/// # Errors
/// When the state cannot be read.
pub fn make_for(cx: &Context, kind: ReportKind, from: Instant, to: Instant) -> anyhow::Result<Report> {
    let posture = posture(cx)?;
    let now = posture.now;
    let before = from - (to - from);
    let findings: Vec<Finding> = cx
        .store
        .findings(&FindingFilter::default())
        .context("reading the findings")?
        .into_iter()
        .filter(|finding| match finding.state {
            State::Open | State::Excepted | State::Remediated => true,
            State::Resolved => finding.closed_at.is_none_or(|closed| closed >= before) || finding.detected_at >= before,
        })
        .collect();
    let open: Vec<Finding> =
        findings.iter().filter(|finding| matches!(finding.state, State::Open | State::Excepted)).cloned().collect();
    let plan_input = plan_input(cx, &posture, &open, false);
    let selection = select(&plan_input);
    let due_now: Vec<_> = selection.chosen.iter().map(|finding| finding.id.clone()).collect();
    let scan = cx.last_scan()?;
    let remediations =
        cx.store.remediations_between(DateTime::UNIX_EPOCH, now + TimeDelta::seconds(1)).context("reading the acts")?;
    let budgets = cx.store.budget_alerts_between(from, now + TimeDelta::seconds(1))?;
    let audit = cx.store.audit_head().context("reading the end of the audit trail")?;
    let report = summarize::report(ReportInput {
        kind,
        now,
        from,
        to,
        zone: cx.settings.zone,
        scope: "all".to_owned(),
        findings: &findings,
        scan: scan.as_ref().map(|(scan, summary)| (scan, summary)),
        history: history(cx, kind, to)?,
        held: &selection.held,
        due_now: &due_now,
        remediations: &remediations,
        exceptions: &posture.exceptions,
        undoable: undoable(cx, &remediations, now)?,
        budgets: budgets.into_iter().map(|(_, alert)| alert).collect(),
        spend: spend(cx, from, to)?,
        self_cost: self_cost(cx, from, to)?,
        frozen: posture.frozen.as_ref(),
        notes: notes(cx, from, now)?,
    });
    Ok(Report { audit, ..report })
}

/// What can still be taken back of the acts of the last ninety days, newest first.
fn undoable(cx: &Context, acts: &[Remediation], now: Instant) -> anyhow::Result<Vec<Undoable>> {
    let undone = cx.store.undone().context("reading what was taken back")?;
    let since = now - TimeDelta::days(SNAPSHOT_DAYS);
    let young = acts.iter().rev().filter(|act| act.updated_at >= since);
    Ok(young.filter_map(|act| standing(act, undone.contains(&act.id), &cx.prices, now).ok()).collect())
}

/// Queues the report for every recipient of the settings; returns how many.
///
/// # Errors
/// When it cannot be laid out or the state cannot be written.
pub fn queue(cx: &Context, report: &Report) -> anyhow::Result<usize> {
    let text = report::text::render(report);
    let html = report::html::render(report).context("laying the report out as HTML")?;
    let pdf = pdf(report)?;
    let mail = ReportMail {
        kind: report.kind.word(),
        period: &report::words::period_name(report),
        subject: &report::words::subject(report),
        text: &text,
        html: &html,
        pdf: pdf.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    };
    let mails: Vec<_> =
        cx.settings.reports.to.iter().map(|to| outgoing(&mail.to(to), Vec::new())).collect::<anyhow::Result<_>>()?;
    cx.store.enqueue(&mails, cx.clock.now()).context("queueing the report")?;
    Ok(mails.len())
}

/// File name and bytes of the PDF; `None` when the program was built without it.
#[cfg(feature = "pdf")]
pub fn pdf(report: &Report) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let bytes = report::pdf::render(report).context("laying the report out as PDF")?;
    Ok(Some((report::pdf::file_name(report), bytes)))
}

/// File name and bytes of the PDF; `None` when the program was built without it.
#[cfg(not(feature = "pdf"))]
pub fn pdf(_report: &Report) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    Ok(None)
}

/// The day before `now`'s day, or the week, Monday to Sunday, before `now`'s week, in the zone.
pub fn period(kind: ReportKind, now: Instant, zone: Tz) -> (Instant, Instant) {
    let today = now.with_timezone(&zone).date_naive();
    let (first, last) = match kind {
        ReportKind::Daily => (today - Days::new(1), today),
        ReportKind::Weekly => {
            let monday = today - Days::new(u64::from(today.weekday().num_days_from_monday()));
            (monday - Days::new(7), monday)
        }
    };
    (midnight(first, zone), midnight(last, zone))
}

/// The first instant of a day in a zone, also where midnight does not exist.
pub fn midnight(day: NaiveDate, zone: Tz) -> Instant {
    let mut local = day.and_time(NaiveTime::MIN);
    for _ in 0..8 {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return at.to_utc(),
            LocalResult::None => local += TimeDelta::minutes(30),
        }
    }
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The score at the end of each of the last fourteen days or twelve weeks up to `to`.
fn history(cx: &Context, kind: ReportKind, to: Instant) -> anyhow::Result<Vec<Option<f64>>> {
    let (length, count) = match kind {
        ReportKind::Daily => (TimeDelta::days(1), 14),
        ReportKind::Weekly => (TimeDelta::days(7), 12),
    };
    let start = to - length * count;
    let mut last: BTreeMap<i64, f64> = BTreeMap::new();
    for (scan, summary) in cx.store.scans_between(start, to).context("reading the scans")? {
        let score = summary
            .and_then(|value| serde_json::from_value::<ScanSummary>(value).ok())
            .and_then(|summary| summary.score());
        if let Some(score) = score {
            last.insert((scan.started_at - start).num_seconds() / length.num_seconds(), score.percent);
        }
    }
    Ok((0..i64::from(count)).map(|bucket| last.get(&bucket).copied()).collect())
}

fn spend(cx: &Context, from: Instant, to: Instant) -> anyhow::Result<Option<Spend>> {
    if !cx.settings.costs.enabled {
        return Ok(None);
    }
    // Cost Explorer's days are UTC days; the last one of the period is the day of its last instant.
    let first = from.date_naive();
    let last = (to - TimeDelta::microseconds(1)).date_naive();
    let rows = cx.store.costs(first, last, "service").context("reading the spend")?;
    if rows.is_empty() {
        return Ok(None);
    }
    let days = (last - first).num_days() + 1;
    let earlier = cx.store.costs(first - TimeDelta::days(days), first - TimeDelta::days(1), "service")?;
    let mut by_service: BTreeMap<String, Usd> = BTreeMap::new();
    let mut estimated: Vec<NaiveDate> = Vec::new();
    for row in &rows {
        if let crate::domain::budget::CostGroup::Service(service) = &row.group {
            let sum = by_service.entry(service.clone()).or_default();
            *sum = *sum + row.amount;
        }
        if row.estimated && !estimated.contains(&row.day) {
            estimated.push(row.day);
        }
    }
    let mut by_service: Vec<(String, Usd)> = by_service.into_iter().collect();
    by_service.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    by_service.truncate(10);
    Ok(Some(Spend {
        from: first,
        to: last,
        total: rows.iter().map(|row| row.amount).sum(),
        previous: (!earlier.is_empty()).then(|| earlier.iter().map(|row| row.amount).sum()),
        estimated_days: estimated.len() as u32,
        by_service,
    }))
}

fn self_cost(cx: &Context, from: Instant, to: Instant) -> anyhow::Result<SelfCost> {
    let last = (to - TimeDelta::microseconds(1)).date_naive();
    let rows = cx.store.requests_between(from.date_naive(), last).context("reading the request counts")?;
    Ok(SelfCost { requests: rows.iter().map(|row| row.count).sum(), usd: rows.iter().filter_map(|row| row.usd).sum() })
}

fn notes(cx: &Context, from: Instant, now: Instant) -> anyhow::Result<Vec<String>> {
    let mut notes = vec![format!("Prices: {}", cx.prices.provenance())];
    let zone = cx.settings.zone;
    for slot in cx.store.slots_between(from, now).context("reading the slots")? {
        if matches!(slot.state, SlotState::Missed | SlotState::Failed) {
            notes.push(format!(
                "{} of {} {}: {}",
                slot.job,
                slot.slot_at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z"),
                slot.state.word(),
                slot.message
            ));
        }
    }
    let outbox = cx.store.outbox_counts().context("reading the outbox")?;
    if outbox.dead > 0 {
        notes.push(format!("{} messages could not be delivered and were given up", outbox.dead));
    }
    notes.extend(exceptions::report::notes(&cx.store.exceptions().context("reading the exceptions")?, now));
    notes.extend(cx.rules.not_evaluated.iter().cloned());
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn m3_the_daily_report_is_of_yesterday_and_m4_the_weekly_one_of_last_monday_to_sunday() {
        let now = at("2026-11-23T09:00:00Z");
        assert_eq!(period(ReportKind::Daily, now, Tz::UTC), (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        assert_eq!(period(ReportKind::Weekly, now, Tz::UTC), (at("2026-11-16T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        assert_eq!(
            period(ReportKind::Weekly, at("2026-11-22T23:59:00Z"), Tz::UTC),
            (at("2026-11-09T00:00:00Z"), at("2026-11-16T00:00:00Z")),
            "on Sunday the running week has not ended"
        );
    }

    #[test]
    fn a_period_over_a_clock_change_is_an_hour_longer_or_shorter() {
        let berlin = chrono_tz::Europe::Berlin;
        let (from, to) = period(ReportKind::Daily, at("2026-10-26T08:00:00Z"), berlin);
        assert_eq!((to - from).num_hours(), 25);
        let (from, to) = period(ReportKind::Daily, at("2027-03-29T08:00:00Z"), berlin);
        assert_eq!((to - from).num_hours(), 23);
    }
}
