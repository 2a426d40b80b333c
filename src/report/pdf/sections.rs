//! The pages after the first: a table a section, in the order in which people ask.

use super::flow::Flow;
use super::page_one::{Shown, decisions_table, due_table, named};
use super::style::{self, BLUE, BODY, GREEN, ORANGE, VERMILLION};
use super::table::{Cell, Table, column, figures};
use crate::domain::budget::BudgetAction;
use crate::domain::money::{Usd, grouped};
use crate::domain::report::{
    ActRow, ExceptionRow, FindingRow, HeldCount, PolicyRow, Report, ReportKind, TeamRow, ViolatorRow,
};
use crate::domain::text::{clean, shown_at};
use crate::domain::undo::Undoable;
use crate::report::words;

/// Everything that page one did not show.
pub fn draw(flow: &mut Flow, report: &Report, shown: &Shown) {
    flow.new_page();
    if shown.due < report.due.len() {
        section(flow, "Due after that", &due_table(report, &report.due[shown.due..]));
    }
    if shown.decisions < report.decisions.len() {
        section(flow, "Also waits for a person", &decisions_table(&report.decisions[shown.decisions..]));
    }
    acts(flow, report);
    undoable(flow, report);
    if report.kind == ReportKind::Weekly {
        recommendations(flow, report);
        policies(flow, &report.by_policy);
        spend(flow, report);
        findings(flow, report);
        teams(flow, &report.by_team);
        violators(flow, &report.top_violators);
        exceptions(flow, report);
        held(flow, &report.held);
    }
    budgets(flow, report);
    coverage(flow, report);
    notes(flow, report);
}

/// A heading and its table, kept together with the first rows.
fn section(flow: &mut Flow, title: &'static str, table: &Table) {
    if table.rows.is_empty() {
        return;
    }
    let keep = flow.table_height(table, 2);
    flow.heading(title, keep);
    flow.table(table);
}

fn acts(flow: &mut Flow, report: &Report) {
    if report.acts.is_empty() {
        flow.heading("What was done", 30.0);
        flow.paragraph("Nothing was done in this period.", BODY);
        return;
    }
    let zone = words::zone(report);
    let row = |row: &ActRow| {
        let backups = if row.backups.is_empty() { "–".to_owned() } else { clean(&row.backups.join(" ")) };
        vec![
            named(&row.name, &row.resource, &format!("{} · {}", clean(&row.account), clean(&row.region))),
            Cell::new(words::act(Some(row.act))).mark(style::status(&row.status)).note(
                format!("{} {}: {}", words::status_mark(&row.status), clean(&row.status), clean(&row.message)),
                3,
            ),
            Cell::small(backups).lines(3),
            Cell::new(words::short_day(row.at, zone))
                .note(format!("{} · {}", words::clock(row.at, zone), clean(&row.id)), 1),
            Cell::new(words::monthly(row.monthly)),
        ]
    };
    let table = Table {
        title: "What was done",
        columns: vec![
            column("Resource", 130.0),
            column("Act and result", 143.28),
            column("Backups that bring it back", 104.0),
            column("When", 78.0),
            figures("A month", 52.0),
        ],
        rows: report.acts.iter().map(row).collect(),
    };
    section(flow, "What was done", &table);
}

fn undoable(flow: &mut Flow, report: &Report) {
    if report.undoable.is_empty() {
        return;
    }
    let zone = words::zone(report);
    let row = |row: &Undoable| {
        vec![
            named(&row.name, &row.resource, &clean(&row.id)),
            Cell::new(clean(&row.way)).lines(3),
            Cell::small(words::undo_until(row, zone)).lines(3),
        ]
    };
    let table = Table {
        title: "What can be taken back",
        columns: vec![column("Resource", 130.0), column("The way back", 199.28), column("Until when", 178.0)],
        rows: report.undoable.iter().map(row).collect(),
    };
    section(flow, "What can be taken back", &table);
    flow.paragraph(&words::undo_sum(report), BODY);
}

fn recommendations(flow: &mut Flow, report: &Report) {
    if report.recommendations.is_empty() {
        return;
    }
    flow.heading("Do first", 30.0);
    let items: Vec<String> = report.recommendations.iter().map(|row| clean(&row.text)).collect();
    flow.list(&items, BLUE);
}

fn policies(flow: &mut Flow, rows: &[PolicyRow]) {
    let row = |row: &PolicyRow| {
        let rate = match row.rate {
            Some(rate) => Cell::new(words::percent_of_score(rate)).bar((rate / 100.0) as f32, rate_colour(rate)),
            None => Cell::new("applies to nothing"),
        };
        vec![
            Cell::strong(clean(&row.policy)),
            rate,
            Cell::new(format!("{} of {}", grouped(row.violating), grouped(row.applicable))),
            Cell::new(grouped(row.excepted)),
            Cell::new(grouped(row.new)),
            money(row.open.monthly, row.open.unpriced),
        ]
    };
    let table = Table {
        title: "Policies",
        columns: vec![
            column("Policy", 163.28),
            column("Without an open finding", 110.0),
            figures("Violating", 84.0),
            figures("Excepted", 48.0),
            figures("New", 38.0),
            figures("A month", 64.0),
        ],
        rows: rows.iter().map(row).collect(),
    };
    section(flow, "Policies, worst first", &table);
}

fn spend(flow: &mut Flow, report: &Report) {
    let Some(spend) = &report.spend else { return };
    let most = spend.by_service.iter().map(|(_, amount)| amount.0).max().unwrap_or(0).max(1);
    let row = |(service, amount): &(String, Usd)| {
        let share = amount.0 as f64 / spend.total.0.max(1) as f64 * 100.0;
        vec![
            Cell::new(clean(service)),
            Cell::new("").bar(amount.0 as f32 / most as f32, BLUE),
            Cell::new(words::percent(share)),
            Cell::new(amount.to_string()),
        ]
    };
    let table = Table {
        title: "Spend by service",
        columns: vec![column("Service", 210.0), column("", 187.28), figures("Share", 46.0), figures("Unblended", 64.0)],
        rows: spend.by_service.iter().map(row).collect(),
    };
    section(flow, "Spend by service", &table);
    if let Some(line) = words::spend(report) {
        flow.caption(&format!("{}; {} to {}", words::capital(&line), spend.from, spend.to));
    }
}

fn findings(flow: &mut Flow, report: &Report) {
    let zone = words::zone(report);
    let row = |row: &FindingRow| {
        let due =
            row.due_at.map_or_else(|| "no date yet".to_owned(), |due| format!("due {}", words::short_day(due, zone)));
        vec![
            named(&row.name, &row.resource, &format!("{} · {}", clean(&row.account), clean(&row.region))),
            Cell::new(words::severity(row.severity)).mark(style::severity(row.severity)).note(clean(&row.message), 3),
            Cell::new(words::capital(&row.phase.word().replace('_', " "))).note(due, 1),
            Cell::small(row.owner.as_deref().map_or_else(|| "no owner known".to_owned(), clean))
                .lines(2)
                .note(clean(&row.finding), 1),
            Cell::new(words::monthly(row.monthly)),
        ]
    };
    let table = Table {
        title: "Largest open findings",
        columns: vec![
            column("Resource", 130.0),
            column("Finding", 128.28),
            column("State", 76.0),
            column("Owner, finding", 121.0),
            figures("A month", 52.0),
        ],
        rows: report.top_findings.iter().map(row).collect(),
    };
    section(flow, "Largest open findings", &table);
}

fn teams(flow: &mut Flow, rows: &[TeamRow]) {
    let row = |row: &TeamRow| {
        vec![
            Cell::strong(clean(&row.team)),
            Cell::new(words::percent_of_score(row.compliance_score))
                .bar((row.compliance_score / 100.0) as f32, rate_colour(row.compliance_score)),
            Cell::new(grouped(row.violations)),
            Cell::new(grouped(row.total_resources)),
        ]
    };
    let table = Table {
        title: "Teams",
        columns: vec![
            column("Team", 207.28),
            column("Without an open finding", 160.0),
            figures("Open findings", 70.0),
            figures("Resources", 70.0),
        ],
        rows: rows.iter().map(row).collect(),
    };
    section(flow, "Teams, worst first", &table);
}

fn violators(flow: &mut Flow, rows: &[ViolatorRow]) {
    let row = |row: &ViolatorRow| {
        vec![
            named(&row.name, &row.id, ""),
            Cell::new(clean(&row.policies.join(", "))).lines(2),
            Cell::new(grouped(row.violation_count)),
            Cell::new(words::monthly(row.total_cost_impact)),
        ]
    };
    let table = Table {
        title: "Resources with the most findings",
        columns: vec![
            column("Resource", 175.0),
            column("Policies", 210.28),
            figures("Findings", 56.0),
            figures("A month", 66.0),
        ],
        rows: rows.iter().map(row).collect(),
    };
    section(flow, "Resources with the most findings", &table);
}

fn exceptions(flow: &mut Flow, report: &Report) {
    let zone = words::zone(report);
    let row = |row: &ExceptionRow| {
        vec![
            Cell::strong(clean(&row.resource)).note(clean(&row.id), 1),
            Cell::new(clean(&row.reason)).lines(2).note(clean(&row.policy), 2),
            Cell::small(clean(&row.approved_by)).lines(2),
            Cell::new(words::date(row.until, zone)).note(words::clock(row.until, zone), 1),
            Cell::new(words::monthly(row.monthly)),
        ]
    };
    let table = Table {
        title: "Exceptions in force",
        columns: vec![
            column("Resource", 130.0),
            column("Why, and from which rule", 150.28),
            column("Approved by", 95.0),
            column("Until", 70.0),
            figures("A month", 62.0),
        ],
        rows: report.exceptions.iter().map(row).collect(),
    };
    section(flow, "Exceptions in force, soonest end first", &table);
}

fn held(flow: &mut Flow, rows: &[HeldCount]) {
    let row = |row: &HeldCount| {
        vec![
            Cell::strong(words::capital(&words::hold(row.code))),
            Cell::new(clean(&row.example)).lines(2),
            Cell::new(grouped(row.count)),
        ]
    };
    let table = Table {
        title: "Held, by reason",
        columns: vec![column("Reason", 170.0), column("For example", 267.28), figures("Findings", 70.0)],
        rows: rows.iter().map(row).collect(),
    };
    section(flow, "Held, by reason", &table);
}

fn budgets(flow: &mut Flow, report: &Report) {
    let rows = report.budgets.iter().map(|alert| {
        let share = alert.spent.0 as f64 / alert.limit.0.max(1) as f64;
        let colour = if share >= 1.0 { VERMILLION } else { ORANGE };
        let asks = match alert.action {
            BudgetAction::Notify => "people are told",
            BudgetAction::BlockNewResources => "new resources are denied",
        };
        let estimated = if alert.estimated { ", part of it estimated" } else { "" };
        vec![
            Cell::strong(clean(&alert.policy)).note(clean(&alert.rule), 1),
            Cell::new(words::budget_period(alert.period)),
            Cell::new(format!("{} of {}{estimated}", alert.spent, alert.limit)).bar(share as f32, colour),
            Cell::new(format!("{} %", alert.percent)).note(asks, 1),
        ]
    });
    let table = Table {
        title: "Budgets",
        columns: vec![
            column("Budget", 150.0),
            column("Period", 90.0),
            column("Spent", 187.28),
            figures("Threshold", 80.0),
        ],
        rows: rows.collect(),
    };
    section(flow, "Budgets that crossed a threshold", &table);
}

fn coverage(flow: &mut Flow, report: &Report) {
    let gaps = report.gaps.iter().map(|gap| {
        let place = &gap.partition.place;
        let why = gap.suspect.as_deref().or(gap.error.as_deref()).map(clean).unwrap_or_default();
        vec![
            Cell::new(clean(place.account.as_str())),
            Cell::new(clean(place.region.as_str())),
            Cell::new(format!("{}s", gap.partition.kind.noun())),
            Cell::new(words::gap_state(gap)).mark(ORANGE),
            Cell::small(why).lines(3),
            Cell::new(grouped(gap.resources)),
        ]
    });
    let table = Table {
        title: "What could not be read",
        columns: vec![
            column("Account", 82.0),
            column("Region", 78.0),
            column("Kind", 66.0),
            column("State", 76.0),
            column("Why", 145.28),
            figures("Resources", 60.0),
        ],
        rows: gaps.collect(),
    };
    section(flow, "What could not be read or is not believed", &table);
    let unknown: Vec<String> = report
        .unknown
        .iter()
        .map(|(check, count)| format!("{} of {}", words::counted(*count, "unknown verdict"), clean(check)))
        .collect();
    if !unknown.is_empty() {
        flow.caption(&format!("And {}: no new finding, no closing, no act.", unknown.join(", ")));
    }
}

fn notes(flow: &mut Flow, report: &Report) {
    flow.heading("Notes and method", 40.0);
    let own = format!(
        "costwarden made {} to the cloud in this period, for {}. Made {}.",
        words::counted(report.self_cost.requests, "request"),
        report.self_cost.usd,
        shown_at(report.generated_at, words::zone(report))
    );
    let (sentence, head) = words::audit(report);
    let trail = [head.map_or_else(|| sentence.clone(), |head| format!("{sentence} {head}"))];
    let items: Vec<String> = report.notes.iter().map(|note| clean(note)).chain([own]).chain(trail).collect();
    flow.list(&items, style::GREY);
}

fn money(monthly: Usd, unpriced: u64) -> Cell {
    let cell = Cell::new(monthly.to_string());
    if unpriced > 0 { cell.note(format!("{} not priced", grouped(unpriced)), 1) } else { cell }
}

fn rate_colour(rate: f64) -> super::sheet::Colour {
    if rate >= 95.0 {
        GREEN
    } else if rate >= 80.0 {
        ORANGE
    } else {
        VERMILLION
    }
}
