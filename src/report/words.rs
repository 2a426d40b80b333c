//! The phrases that every form of a report shares: title, period, subject line, amounts, instants.
//!
//! Pure functions of a [`Report`]. Anything rounded is rounded here, once. A score is cut, never rounded up, so that
//! 94.96 never reads "95.0" beside the word "partial".

use chrono::{Datelike, TimeDelta};
use chrono_tz::Tz;

use crate::domain::Instant;
use crate::domain::budget::{BudgetAlert, Period};
use crate::domain::finding::{Act, Severity};
use crate::domain::inventory::{Coverage, Status};
use crate::domain::money::{Usd, grouped};
use crate::domain::plan::HoldCode;
use crate::domain::report::{Amounts, Direction, Level, Report, ReportKind};
use crate::domain::text::{clean, shown_at};
use crate::domain::undo::Undoable;

/// The report's zone; UTC where the name is not one.
pub fn zone(report: &Report) -> Tz {
    report.zone.parse().unwrap_or(Tz::UTC)
}

/// "Daily compliance report".
pub fn title(report: &Report) -> &'static str {
    match report.kind {
        ReportKind::Daily => "Daily compliance report",
        ReportKind::Weekly => "Weekly compliance report",
    }
}

/// The period's short name: `2026-W47`, or the day `2026-11-22`.
pub fn period_name(report: &Report) -> String {
    let first = report.period_start.with_timezone(&zone(report));
    match report.kind {
        ReportKind::Daily => first.format("%Y-%m-%d").to_string(),
        ReportKind::Weekly => first.format("%G-W%V").to_string(),
    }
}

/// The period in words: `2026-W47 (16–22 Nov 2026)`, or `Sunday 22 November 2026`.
pub fn period(report: &Report) -> String {
    let zone = zone(report);
    let first = report.period_start.with_timezone(&zone);
    let last = (report.period_end - TimeDelta::microseconds(1)).with_timezone(&zone);
    match report.kind {
        ReportKind::Daily => first.format("%A %-d %B %Y").to_string(),
        ReportKind::Weekly if first.year() != last.year() => {
            format!("{} ({} – {})", period_name(report), first.format("%-d %b %Y"), last.format("%-d %b %Y"))
        }
        ReportKind::Weekly if first.month() != last.month() => {
            format!("{} ({} – {})", period_name(report), first.format("%-d %b"), last.format("%-d %b %Y"))
        }
        ReportKind::Weekly => format!("{} ({}–{})", period_name(report), first.day(), last.format("%-d %b %Y")),
    }
}

/// What the report covers: `all configured accounts and Regions`, or the scope as given.
pub fn scope(report: &Report) -> String {
    if report.scope == "all" { "all configured accounts and Regions".to_owned() } else { clean(&report.scope) }
}

/// The subject line; it carries the status, so that the mail list is a report of its own. M3's plain subject is part
/// of the daily one.
pub fn subject(report: &Report) -> String {
    let name = match report.kind {
        ReportKind::Daily => "Daily Compliance Report",
        ReportKind::Weekly => "Weekly Compliance Report",
    };
    let mut parts = Vec::new();
    if let Some(spend) = &report.spend {
        let change = spend.previous.and_then(|previous| change_percent(spend.total, previous));
        parts.push(match change {
            Some(change) => format!("{} spent ({change})", spend.total),
            None => format!("{} spent", spend.total),
        });
    }
    parts.push(match &report.score {
        Some(score) => format!("score {} {}", percent_of_score(score.percent), level(score.level)),
        None => "no score".to_owned(),
    });
    parts.push(format!("{} a month open", report.open_savings.monthly));
    if let (Some(first), count) = (report.due.first(), report.due.len()) {
        parts.push(format!("{count} due from {}", short_day(first.due_at, zone(report))));
    }
    if !report.decisions.is_empty() {
        parts.push(format!("{} to decide", report.decisions.len()));
    }
    if !report.gaps.is_empty() {
        parts.push("incomplete".to_owned());
    }
    format!("[cost] {name} {}: {}", period_name(report), parts.join(", "))
}

/// `94.9%`: cut to one decimal, never rounded up over a level's border.
pub fn percent_of_score(percent: f64) -> String {
    format!("{:.1}%", (percent * 10.0).floor() / 10.0)
}

/// A plain percentage: one decimal below ten, none above.
pub fn percent(percent: f64) -> String {
    if percent.abs() < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

/// The signed change from `previous` to `current`; `None` when there is nothing to compare with.
pub fn change_percent(current: Usd, previous: Usd) -> Option<String> {
    (previous.0 > 0).then(|| signed_percent((current.0 - previous.0) as f64 / previous.0 as f64 * 100.0))
}

/// `+12%`, `−5.0%`, `0.0%`.
pub fn signed_percent(value: f64) -> String {
    let sign = if value < 0.0 {
        "−"
    } else if value > 0.0 {
        "+"
    } else {
        ""
    };
    format!("{sign}{}", percent(value.abs()))
}

/// C3's word for people.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Compliant => "compliant",
        Level::Partial => "partial",
        Level::NonCompliant => "non-compliant",
        Level::Unknown => "unknown",
    }
}

/// The level of a report; unknown without data.
pub fn level_of(report: &Report) -> Level {
    report.score.map_or(Level::Unknown, |score| score.level)
}

/// "61 of 1,045 resources violate", or what is missing.
pub fn score_sentence(report: &Report) -> String {
    match &report.score {
        Some(score) => format!("{} of {} resources violate", grouped(score.violating), grouped(score.applicable)),
        None => "no partition was read completely".to_owned(),
    }
}

/// "▼ improving: 34 new, 41 the week before (−17%)".
pub fn trend(report: &Report) -> String {
    let trend = &report.trend;
    let before = match report.kind {
        ReportKind::Daily => "the day before",
        ReportKind::Weekly => "the week before",
    };
    format!(
        "{} {}: {} new, {} {before} ({})",
        arrow(trend.direction),
        trend.direction.word(),
        grouped(trend.current),
        grouped(trend.previous),
        signed_percent(trend.change_percent)
    )
}

/// The way that new findings go: down is better.
pub fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Improving => "▼",
        Direction::Declining => "▲",
        Direction::Stable => "■",
    }
}

/// Dollars a month, or that the price is not known.
pub fn monthly(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "not priced".to_owned(), |amount| amount.to_string())
}

/// "$12.50 a month", or that the price is not known.
pub fn a_month(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "price not known".to_owned(), |amount| format!("{amount} a month"))
}

/// A resource in one line: `name (id, …)`, or the id alone where it has no name.
pub fn resource(name: &str, id: &str, more: &str) -> String {
    match (name.trim().is_empty(), more.is_empty()) {
        (true, true) => clean(id),
        (true, false) => format!("{} ({more})", clean(id)),
        (false, true) => format!("{} ({})", clean(name), clean(id)),
        (false, false) => format!("{} ({}, {more})", clean(name), clean(id)),
    }
}

/// For tiles alone: millions are shortened, `$1.2M`.
pub fn tile_amount(amount: Usd) -> String {
    if amount.0.unsigned_abs() >= 1_000_000_000_000 {
        format!("${:.1}M", amount.as_f64() / 1e6)
    } else {
        amount.to_string()
    }
}

/// "243 findings, 12 not priced".
pub fn findings_and_unpriced(amounts: &Amounts) -> String {
    let mut words = counted(amounts.count, "finding");
    if amounts.unpriced > 0 {
        words.push_str(&format!(", {} not priced", grouped(amounts.unpriced)));
    }
    words
}

/// Until when an act can be taken back, and what keeping that possible costs.
pub fn undo_until(row: &Undoable, zone: Tz) -> String {
    let until =
        row.until.map_or_else(|| "as long as it is there".to_owned(), |at| format!("until {}", shown_at(at, zone)));
    match row.daily {
        Usd::ZERO => format!("{until}; costs nothing to keep"),
        daily => format!(
            "{until}; its snapshots cost at most {daily} a day{}",
            if row.estimate { " (estimate)" } else { "" }
        ),
    }
}

/// What keeping everything that can be taken back costs a day.
pub fn undo_sum(report: &Report) -> String {
    let daily: Usd = report.undoable.iter().map(|row| row.daily).sum();
    format!("`costwarden actions undo ID` takes one back. Keeping all of them possible costs at most {daily} a day.")
}

/// `1 act`, `2 acts`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `Tue 24 Nov`.
pub fn short_day(at: Instant, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %-d %b").to_string()
}

/// `10:00 CET`.
pub fn clock(at: Instant, zone: Tz) -> String {
    at.with_timezone(&zone).format("%H:%M %Z").to_string()
}

/// `24 Nov 2026`.
pub fn date(at: Instant, zone: Tz) -> String {
    at.with_timezone(&zone).format("%-d %b %Y").to_string()
}

/// The name of a resource, or its id where it has none.
pub fn name_or(name: &str, id: &str) -> String {
    clean(if name.trim().is_empty() { id } else { name })
}

/// A sentence's first letter in upper case.
pub fn capital(words: &str) -> String {
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + characters.as_str())
}

/// "Stop the instance", or that nothing would be done.
pub fn act(act: Option<Act>) -> String {
    act.map_or_else(|| "Nothing by itself".to_owned(), |act| capital(act.words()))
}

/// A severity's heading.
pub fn severity(severity: Severity) -> String {
    capital(severity.word())
}

/// A hold reason's heading for people: `over today's pace`.
pub fn hold(code: HoldCode) -> String {
    let words = match code {
        HoldCode::Mode => "the mode does not act",
        HoldCode::NotArmed => "account not armed",
        HoldCode::PolicyChanged => "policy changed after arming",
        HoldCode::Frozen => "everything is frozen",
        HoldCode::Unnoticed => "no notice delivered yet",
        HoldCode::InGrace => "grace period runs",
        HoldCode::Excepted => "exception in force",
        HoldCode::KeepUntil => "keep-until tag",
        HoldCode::Protected => "protected",
        HoldCode::Managed => "managed by something else",
        HoldCode::ReportedOnly => "reported only",
        HoldCode::Watching => "watched, not yet proven",
        HoldCode::ReportOnly => "low severity, report only",
        HoldCode::Incomplete => "inventory incomplete",
        HoldCode::StaleScan => "scan too old",
        HoldCode::Window => "outside the action window",
        HoldCode::Pace => "over today's pace",
        HoldCode::Breaker => "policy over the breaker",
        HoldCode::SwitchedOff => "switched off in the settings",
        HoldCode::NotAvailable => "no handler in this version",
        HoldCode::WouldLose => "a disk or address would be lost",
        HoldCode::ActedRecently => "acted on recently",
        HoldCode::Acting => "an act is under way",
        HoldCode::Outranked => "another finding goes first",
        HoldCode::WaitsForApproval => "waits for approval",
        HoldCode::OwnerActs => "only the owner can fix it",
    };
    words.to_owned()
}

/// What was spent, and how that compares: "spend $42,120 (+12%), 2 days still estimated". Nothing without costs.
pub fn spend(report: &Report) -> Option<String> {
    let spend = report.spend.as_ref()?;
    let change = spend.previous.and_then(|previous| change_percent(spend.total, previous));
    let estimated = match spend.estimated_days {
        0 => String::new(),
        days => format!(", {} still estimated", counted(u64::from(days), "day")),
    };
    Some(format!("spend {}{}{estimated}", spend.total, change.map(|change| format!(" ({change})")).unwrap_or_default()))
}

/// How far a partition was read, in two words.
pub fn gap_state(coverage: &Coverage) -> &'static str {
    match (coverage.status, &coverage.suspect) {
        (Status::Complete, Some(_)) => "not believed",
        (Status::Complete, None) => "complete",
        (Status::Partial, _) => "partly read",
        (Status::Failed, _) => "not read",
    }
}

/// One gap in one line: place, kind, how far it was read and why.
pub fn gap(coverage: &Coverage) -> String {
    let place = &coverage.partition.place;
    let why = coverage.suspect.as_deref().or(coverage.error.as_deref()).map(clean).unwrap_or_default();
    let colon = if why.is_empty() { "" } else { ": " };
    format!(
        "{} {} {}s {}{colon}{why}",
        place.account,
        place.region,
        coverage.partition.kind.noun(),
        gap_state(coverage)
    )
}

/// One crossed budget threshold in one sentence.
pub fn budget(alert: &BudgetAlert) -> String {
    let estimated = if alert.estimated { ", part of it estimated" } else { "" };
    format!(
        "Budget {} ({}, {}) passed {} %: {} of {}{estimated}.",
        clean(&alert.policy),
        clean(&alert.rule),
        budget_period(alert.period),
        alert.percent,
        alert.spent,
        alert.limit
    )
}

/// `November 2026`, or `Q4 2026`.
pub fn budget_period(period: Period) -> String {
    match period {
        Period::Month(first) => first.format("%B %Y").to_string(),
        Period::Quarter(first) => format!("Q{} {}", first.month0() / 3 + 1, first.year()),
    }
}

/// The colour beside a level's word, from the Okabe–Ito palette; never the only sign.
pub fn level_colour(level: Level) -> &'static str {
    match level {
        Level::Compliant => "#009e73",
        Level::Partial => "#e69f00",
        Level::NonCompliant => "#d55e00",
        Level::Unknown => "#7a8794",
    }
}

/// The colour beside a status word, dark enough to read as text.
pub fn status_colour(status: &str) -> &'static str {
    match status {
        "completed" => "#00705a",
        "failed" => "#b34700",
        _ => "#51606d",
    }
}

/// A status word of S1 with its mark (R15).
pub fn status_mark(status: &str) -> &'static str {
    match status {
        "completed" => "✓",
        "failed" => "✗",
        "skipped" => "→",
        _ => "·",
    }
}

/// The end of the audit trail, and what to do with it. Two parts: the sentence, and the head by itself, which is
/// copied from a mail and must stay in one piece.
pub fn audit(report: &Report) -> (String, Option<String>) {
    match &report.audit {
        None => ("The audit trail has no rows yet.".to_owned(), None),
        Some(head) => (
            format!(
                "The audit trail ended at row {} when this was made. Keep this mail: `costwarden audit verify --head \
                 HEAD` shows whether a row was changed or cut off since. HEAD is",
                grouped(u64::try_from(head.seq).unwrap_or(0))
            ),
            Some(head.to_string()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::Score;
    use crate::report::sample;

    #[test]
    fn m3_the_daily_subject_carries_the_seeds_words_and_the_status() {
        let mut report = sample();
        report.kind = ReportKind::Daily;
        report.gaps.clear();
        assert_eq!(
            subject(&report),
            "[cost] Daily Compliance Report 2026-11-16: $42,120 spent (+12%), score 87.7% partial, $5,214 a month \
             open, 12 due from Tue 24 Nov, 4 to decide"
        );
    }

    #[test]
    fn m4_the_weekly_subject_names_the_week_and_that_something_could_not_be_read() {
        let subject = subject(&sample());
        assert!(subject.starts_with("[cost] Weekly Compliance Report 2026-W47: "), "{subject}");
        assert!(subject.ends_with(", incomplete"), "{subject}");
    }

    #[test]
    fn c3_a_score_is_cut_and_never_rounded_up_over_a_border() {
        assert_eq!(percent_of_score(94.9999), "94.9%");
        assert_eq!(percent_of_score(95.0), "95.0%");
        assert_eq!(percent_of_score(Score::of(3, 1).unwrap().percent), "66.6%");
    }

    #[test]
    fn c2_without_data_the_subject_says_no_score() {
        let report = Report { score: None, ..sample() };
        assert!(subject(&report).contains("no score"));
        assert_eq!(level(level_of(&report)), "unknown");
    }

    #[test]
    fn a_week_over_a_month_or_a_year_names_both_ends() {
        let week = |start: &str, end: &str| {
            let report = Report { period_start: start.parse().unwrap(), period_end: end.parse().unwrap(), ..sample() };
            period(&report)
        };
        assert_eq!(week("2026-11-15T23:00:00Z", "2026-11-22T23:00:00Z"), "2026-W47 (16–22 Nov 2026)");
        assert_eq!(week("2026-11-29T23:00:00Z", "2026-12-06T23:00:00Z"), "2026-W49 (30 Nov – 6 Dec 2026)");
        assert_eq!(week("2026-12-27T23:00:00Z", "2027-01-03T23:00:00Z"), "2026-W53 (28 Dec 2026 – 3 Jan 2027)");
    }

    #[test]
    fn a_tile_shortens_millions_and_nothing_else() {
        assert_eq!(tile_amount(Usd::dollars(1_234_567)), "$1.2M");
        assert_eq!(tile_amount(Usd::dollars(999_999)), "$999,999");
    }
}
