//! The report as plain text: the first part of every mail, and what `report -o text` prints.
//!
//! Written on purpose, not stripped HTML: 78 columns where the data allow it, the same order as page one of the PDF.

use std::fmt::Write;

use super::words;
use crate::domain::money::grouped;
use crate::domain::notice::WAYS_TO_STOP;
use crate::domain::report::Report;
use crate::domain::text::{clean, shown_at};

/// Rows of each list; the PDF and `costwarden findings` have the rest.
const ROWS: usize = 10;

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut out = Text::default();
    top(report, &mut out);
    due(report, &mut out);
    decisions(report, &mut out);
    acts(report, &mut out);
    undoable(report, &mut out);
    if report.kind == crate::domain::report::ReportKind::Weekly {
        detail(report, &mut out);
    }
    gaps(report, &mut out);
    notes(report, &mut out);
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref().trim_end());
        self.0.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        let _ = write!(self.0, "\n{}\n{}\n", heading, "-".repeat(heading.chars().count()));
    }

    fn more(&mut self, all: usize, what: &str) {
        if all > ROWS {
            self.line(format!("  … and {} more {what}", all - ROWS));
        }
    }

    /// A paragraph behind a dash.
    fn bullet(&mut self, text: &str) {
        let start = self.0.len();
        self.wrapped("    ", text);
        self.0.replace_range(start..(start + 4).min(self.0.len()), "  - ");
    }

    /// A paragraph wrapped at 78 columns, every line indented.
    fn wrapped(&mut self, indent: &str, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > 78 {
                self.line(format!("{indent}{line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(format!("{indent}{line}"));
        }
    }
}

fn top(report: &Report, out: &mut Text) {
    out.line(format!("{}: {}", words::title(report), words::period(report)));
    out.line(format!("Scope: {}. Times are {}.", words::scope(report), clean(&report.zone)));
    out.line("");
    out.wrapped("", &clean(&report.headline));
    out.line("");
    let score = match &report.score {
        Some(score) => format!("{} {}", words::percent_of_score(score.percent), words::level(score.level)),
        None => "no data".to_owned(),
    };
    out.line(format!("  Compliance       {score}; {}", words::score_sentence(report)));
    out.line(format!("                   {}", words::trend(report)));
    out.line(format!(
        "  Open savings     {} a month; {}",
        report.open_savings.monthly,
        words::findings_and_unpriced(&report.open_savings)
    ));
    if report.watching.count > 0 {
        out.line(format!(
            "                   watched apart: {} a month; {}",
            report.watching.monthly,
            words::findings_and_unpriced(&report.watching)
        ));
    }
    let realised = &report.realised;
    let unpriced =
        if realised.unpriced > 0 { format!(", {} not priced", grouped(realised.unpriced)) } else { String::new() };
    out.line(format!(
        "  Realised         {} a month; {} since each act; {}{unpriced}",
        realised.monthly,
        realised.to_date,
        words::counted(realised.acts, "act")
    ));
    let severities: Vec<String> =
        report.by_severity.iter().map(|row| format!("{} {}", grouped(row.open.count), row.severity)).collect();
    out.line(format!("  Open findings    {}", severities.join(", ")));
    if let Some(spend) = &report.spend {
        let change = spend
            .previous
            .and_then(|previous| words::change_percent(spend.total, previous))
            .map(|change| format!(" ({change})"))
            .unwrap_or_default();
        let estimated = match spend.estimated_days {
            0 => String::new(),
            days => format!(", {} still estimated", words::counted(u64::from(days), "day")),
        };
        out.line(format!("  Spend            {}{change}, {} to {}{estimated}", spend.total, spend.from, spend.to));
    }
}

fn due(report: &Report, out: &mut Text) {
    let zone = words::zone(report);
    out.heading("What is due when, and how to stop it");
    if report.due.is_empty() {
        out.line("Nothing is due.");
        return;
    }
    for row in report.due.iter().take(ROWS) {
        out.line(format!("* {}, not before {}", words::act(Some(row.act)), shown_at(row.due_at, zone)));
        out.line(format!(
            "  {}",
            words::resource(
                &row.name,
                &row.resource,
                &format!("account {}, {}", clean(&row.account), clean(&row.region))
            )
        ));
        out.line(format!(
            "  {}; {}; owner {}; {}",
            clean(&row.message),
            words::a_month(row.monthly),
            row.owner.as_deref().map_or_else(|| "unknown".to_owned(), clean),
            clean(&row.finding)
        ));
    }
    out.more(report.due.len(), "acts");
    out.line("");
    out.line("To stop any of these:");
    for (what, brings) in WAYS_TO_STOP {
        out.bullet(&format!("{what}: {brings}."));
    }
}

fn decisions(report: &Report, out: &mut Text) {
    out.heading("Waits for a person");
    if report.decisions.is_empty() {
        out.line("Nothing.");
    }
    for row in report.decisions.iter().take(ROWS) {
        out.line(format!(
            "* {}: {}, {}",
            words::act(row.act),
            words::resource(&row.name, &row.resource, ""),
            words::a_month(row.monthly)
        ));
        out.wrapped("  ", &clean(&row.reason));
    }
    out.more(report.decisions.len(), "findings");
}

fn acts(report: &Report, out: &mut Text) {
    let zone = words::zone(report);
    out.heading("What was done");
    if report.acts.is_empty() {
        out.line("Nothing.");
    }
    for row in report.acts.iter().take(ROWS) {
        out.line(format!(
            "{} {}: {}, {}, {}",
            words::status_mark(&row.status),
            clean(&row.status),
            row.act.words(),
            words::resource(&row.name, &row.resource, ""),
            shown_at(row.at, zone)
        ));
        out.wrapped("  ", &clean(&row.message));
        if !row.backups.is_empty() {
            out.wrapped("  ", &format!("backup: {}", clean(&row.backups.join(", "))));
        }
    }
    out.more(report.acts.len(), "acts");
}

fn undoable(report: &Report, out: &mut Text) {
    if report.undoable.is_empty() {
        return;
    }
    let zone = words::zone(report);
    out.heading("What can be taken back");
    for row in report.undoable.iter().take(ROWS) {
        out.line(format!("{}: {}", clean(&row.id), words::resource(&row.name, &row.resource, "")));
        out.wrapped("  ", &clean(&row.way));
        out.wrapped("  ", &words::undo_until(row, zone));
    }
    out.more(report.undoable.len(), "acts");
    out.wrapped("", &words::undo_sum(report));
}

fn detail(report: &Report, out: &mut Text) {
    if !report.recommendations.is_empty() {
        out.heading("Do first");
        for row in &report.recommendations {
            out.bullet(&clean(&row.text));
        }
    }
    out.heading("Policies, worst first");
    for row in &report.by_policy {
        let rate = row.rate.map_or_else(|| "none applies".to_owned(), words::percent_of_score);
        out.line(format!(
            "{rate:>12}  {} ({} of {} violate, {} excepted, {} new)",
            clean(&row.policy),
            grouped(row.violating),
            grouped(row.applicable),
            grouped(row.excepted),
            grouped(row.new)
        ));
    }
    out.heading("Teams, worst first");
    for row in report.by_team.iter().take(ROWS) {
        out.line(format!(
            "{:>12}  {} ({} of {} resources)",
            words::percent_of_score(row.compliance_score),
            clean(&row.team),
            grouped(row.violations),
            grouped(row.total_resources)
        ));
    }
    out.more(report.by_team.len(), "teams");
    out.heading("Largest open findings");
    for row in report.top_findings.iter().take(ROWS) {
        out.line(format!(
            "{:>12}  {}, {}: {}",
            words::monthly(row.monthly),
            words::resource(&row.name, &row.resource, ""),
            row.severity,
            clean(&row.message)
        ));
    }
    if !report.exceptions.is_empty() {
        out.heading("Exceptions in force");
        for row in report.exceptions.iter().take(ROWS) {
            out.line(format!(
                "* {} until {}: {} ({}); approved by {}; {}",
                clean(&row.resource),
                words::date(row.until, words::zone(report)),
                clean(&row.reason),
                clean(&row.policy),
                clean(&row.approved_by),
                words::a_month(row.monthly)
            ));
        }
        out.more(report.exceptions.len(), "exceptions");
    }
    if !report.held.is_empty() {
        out.heading("Held, by reason");
        for row in &report.held {
            out.line(format!("{:>6}  {}: {}", grouped(row.count), words::hold(row.code), clean(&row.example)));
        }
    }
}

fn gaps(report: &Report, out: &mut Text) {
    out.heading("What could not be read");
    if report.gaps.is_empty() && report.unknown.is_empty() {
        out.line("Everything was read.");
    }
    for gap in report.gaps.iter().take(ROWS) {
        out.bullet(&words::gap(gap));
    }
    out.more(report.gaps.len(), "partitions");
    for (check, count) in &report.unknown {
        out.bullet(&format!("{} of {}", words::counted(*count, "unknown verdict"), clean(check)));
    }
}

fn notes(report: &Report, out: &mut Text) {
    if !report.budgets.is_empty() {
        out.heading("Budgets");
        for alert in &report.budgets {
            out.bullet(&words::budget(alert));
        }
    }
    out.heading("Notes");
    for note in &report.notes {
        out.wrapped("", &clean(note));
    }
    out.line(format!(
        "costwarden made {} in this period, for {}.",
        words::counted(report.self_cost.requests, "request"),
        report.self_cost.usd
    ));
    let (sentence, head) = words::audit(report);
    out.wrapped("", &sentence);
    if let Some(head) = head {
        out.line(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::ReportKind;
    use crate::report::sample;

    #[test]
    fn m4_the_weekly_text_reads_as_a_letter() {
        insta::assert_snapshot!(render(&sample()));
    }

    #[test]
    fn m3_the_daily_text_leaves_the_detail_to_the_weekly_one() {
        let text = render(&Report { kind: ReportKind::Daily, ..sample() });
        assert!(text.contains("What is due when") && text.contains("What was done"));
        assert!(!text.contains("Teams, worst first") && !text.contains("Exceptions in force"));
    }

    #[test]
    fn an_empty_report_says_so_and_invents_nothing() {
        let empty = Report {
            score: None,
            due: vec![],
            decisions: vec![],
            acts: vec![],
            gaps: vec![],
            unknown: vec![],
            ..sample()
        };
        let text = render(&empty);
        for sentence in ["no data; no partition was read completely", "Nothing is due.", "Everything was read."] {
            assert!(text.contains(sentence), "{sentence}: {text}");
        }
    }

    #[test]
    fn h38_no_foreign_text_moves_the_cursor_or_starts_a_line() {
        let text = render(&sample());
        assert!(!text.lines().any(|line| line.starts_with("Bcc:")));
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
    }
}
