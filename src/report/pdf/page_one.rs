//! Page one, which must be enough: what it came to, what is due and how to stop it, what waits for a person, and
//! what could not be read. It adapts the number of rows to the room; `sections` prints the rest.

use super::chart::{sparkline, stacked};
use super::flow::{COLUMN, Flow, MARGIN, fit, wrap};
use super::sheet::{Colour, Style, WIDTH};
use super::style::{
    self, BLUE, BODY, BRAND, FIGURE, GREEN, HEADLINE, INK, MUTED, NOTE, ORANGE, PANEL, PANEL_AMBER, PANEL_BLUE, STRONG,
    TITLE,
};
use super::table::{Cell, Table, column, figures};
use crate::domain::money::grouped;
use crate::domain::notice::WAYS_TO_STOP;
use crate::domain::report::{DueRow, HeldRow, Report, ReportKind};
use crate::domain::text::{clean, shown_at};
use crate::report::words;

/// How much of the lists stands on page one.
pub struct Shown {
    /// Rows of what is due.
    pub due: usize,
    /// Rows of what waits for a person.
    pub decisions: usize,
}

/// Draws page one and tells how many rows it took.
pub fn draw(flow: &mut Flow, report: &Report) -> Shown {
    top(flow, report);
    tiles(flow, report);
    summary_line(flow, report);

    let gaps = report.gaps.len().min(3);
    let mut decisions = report.decisions.len().min(4);
    let mut waiting = decisions_table(&report.decisions[..decisions]);
    let mut below = STOP_BOX + decisions_height(flow, report, &waiting) + gaps_height(report, gaps);
    // What is due goes before what waits: two decisions make room for it, the others are on the next page.
    while decisions > 2 && due_that_fit(flow, report, below) < report.due.len().min(6) {
        decisions -= 1;
        waiting = decisions_table(&report.decisions[..decisions]);
        below = STOP_BOX + decisions_height(flow, report, &waiting) + gaps_height(report, gaps);
    }
    let due = draw_due(flow, report, below);
    stop_box(flow);
    draw_decisions(flow, report, &waiting, decisions);
    draw_gaps(flow, report, gaps);
    Shown { due, decisions }
}

fn top(flow: &mut Flow, report: &Report) {
    let zone = words::zone(report);
    flow.sheet.fill(0.0, 0.0, WIDTH, 6.0, BLUE);
    let made = format!("made {}", shown_at(report.generated_at, zone));
    let open = flow.sheet.aside();
    flow.sheet.text(MARGIN, 42.0, BRAND, "costwarden");
    flow.sheet.text_right(WIDTH - MARGIN, 42.0, NOTE, &made);
    flow.sheet.back(open);
    flow.sheet.begin("H1", None);
    flow.sheet.text(MARGIN, 69.0, TITLE, words::title(report));
    flow.sheet.end();
    let line = format!("{}  ·  times in {}  ·  {}", words::period(report), clean(&report.zone), words::scope(report));
    let line = fit(&flow.sheet, BODY, &line, COLUMN);
    flow.sheet.begin("P", None);
    flow.sheet.text(MARGIN, 85.0, Style { colour: MUTED, ..BODY }, &line);
    flow.sheet.end();
    flow.y = 97.0;
    flow.rule();
    flow.y += 10.0;
    flow.sheet.begin("P", None);
    for line in wrap(&flow.sheet, HEADLINE, &clean(&report.headline), COLUMN, 3) {
        flow.sheet.text(MARGIN, flow.y + HEADLINE.size, HEADLINE, &line);
        flow.y += HEADLINE.leading;
    }
    flow.sheet.end();
    flow.y += 10.0;
}

const TILE_GAP: f32 = 9.0;
const TILE: f32 = (COLUMN - 3.0 * TILE_GAP) / 4.0;
const TILE_HEIGHT: f32 = 86.0;
const TILE_PADDING: f32 = 9.0;

fn tiles(flow: &mut Flow, report: &Report) {
    let level = words::level_of(report);
    let score = report.score.map_or_else(|| "no data".to_owned(), |score| words::percent_of_score(score.percent));
    let violating = report.score.map_or_else(
        || "nothing was read completely".to_owned(),
        |score| format!("{} of {} violate", grouped(score.violating), grouped(score.applicable)),
    );
    let score_notes = [words::capital(words::level(level)), violating];
    let (x, y) = tile(flow, 0, "Compliance score", &score, &score_notes, style::level(level));
    history(flow, report, (x, y));

    let open = &report.open_savings;
    let mut notes = vec![words::findings_and_unpriced(open)];
    if report.watching.count > 0 {
        notes.push(format!("{} watched, apart:", report.watching.monthly));
        notes.push(words::findings_and_unpriced(&report.watching));
    }
    tile(flow, 1, "Open savings a month", &words::tile_amount(open.monthly), &notes, BLUE);

    let realised = &report.realised;
    let mut notes = vec![format!("{} since each act", realised.to_date), words::counted(realised.acts, "act")];
    if realised.unpriced > 0 {
        notes[1] = format!("{}, {} not priced", notes[1], grouped(realised.unpriced));
    }
    tile(flow, 2, "Realised savings a month", &words::tile_amount(realised.monthly), &notes, GREEN);

    let count: u64 = report.by_severity.iter().map(|row| row.open.count).sum();
    let severities: Vec<String> =
        report.by_severity.iter().map(|row| format!("{} {}", grouped(row.open.count), row.severity)).collect();
    let notes: Vec<String> = severities.chunks(2).map(|pair| pair.join(", ")).collect();
    let (x, y) = tile(flow, 3, "Open findings", &grouped(count), &notes, style::GREY);
    let parts: Vec<(u64, Colour)> =
        report.by_severity.iter().map(|row| (row.open.count, style::severity(row.severity))).collect();
    stacked(&mut flow.sheet, &parts, (x, y + 2.0), (TILE - 2.0 * TILE_PADDING, 6.0));
    flow.y += TILE_HEIGHT + 4.0;
}

/// One tile; returns where its chart may begin.
fn tile(flow: &mut Flow, place: usize, label: &str, value: &str, notes: &[String], accent: Colour) -> (f32, f32) {
    let left = MARGIN + place as f32 * (TILE + TILE_GAP);
    let (x, width) = (left + TILE_PADDING, TILE - 2.0 * TILE_PADDING);
    let sheet = &mut flow.sheet;
    sheet.fill(left, flow.y, TILE, TILE_HEIGHT, PANEL);
    sheet.fill(left, flow.y, TILE, 2.4, accent);
    sheet.begin("P", None);
    sheet.text(x, flow.y + 16.0, NOTE, &fit(sheet, NOTE, label, width));
    sheet.text(x, flow.y + 37.0, FIGURE, &fit(sheet, FIGURE, value, width));
    let mut y = flow.y + 50.0;
    for note in notes {
        let line = fit(sheet, NOTE, note, width);
        sheet.text(x, y, NOTE, &line);
        y += NOTE.leading;
    }
    sheet.end();
    (x, flow.y + TILE_HEIGHT - 19.0)
}

fn history(flow: &mut Flow, report: &Report, (x, y): (f32, f32)) {
    let known: Vec<f64> = report.score_history.iter().flatten().copied().collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return };
    let span = match report.kind {
        ReportKind::Daily => "days",
        ReportKind::Weekly => "weeks",
    };
    let words = format!("{} {span}", report.score_history.len());
    let alt = format!(
        "The score over {words}: from {} to {}.",
        words::percent_of_score(*first),
        words::percent_of_score(*last)
    );
    let label = flow.sheet.width(NOTE, &words);
    let width = TILE - 2.0 * TILE_PADDING;
    flow.sheet.begin("Figure", Some(alt));
    sparkline(
        &mut flow.sheet,
        &report.score_history,
        (x, y),
        (width - label - 7.0, 9.0),
        style::level(words::level_of(report)),
    );
    flow.sheet.text(x + width - label, y + 9.0, NOTE, &words);
    flow.sheet.end();
}

fn summary_line(flow: &mut Flow, report: &Report) {
    let mut line = words::capital(&words::trend(report));
    if let Some(spend) = words::spend(report) {
        line = format!("{line}   ·   {}", words::capital(&spend));
    }
    flow.caption(&line);
}

/// The table of what is due, for page one and for the pages after it.
pub fn due_table(report: &Report, rows: &[DueRow]) -> Table {
    let zone = words::zone(report);
    let row = |row: &DueRow| {
        let owner = row.owner.as_deref().map_or_else(|| "no owner known".to_owned(), clean);
        let (name, id) = name_and_id(&row.name, &row.resource);
        vec![
            Cell::strong(name).note(id, 1),
            Cell::new(words::act(Some(row.act))).note(clean(&row.message), 1),
            Cell::new(words::short_day(row.due_at, zone)).note(words::clock(row.due_at, zone), 1),
            Cell::new(words::monthly(row.monthly)),
            Cell::small(owner).note(format!("{} · {}", clean(&row.account), clean(&row.region)), 1),
        ]
    };
    Table {
        title: "What is due when",
        columns: vec![
            column("Resource", 116.0),
            column("What happens, and why", 146.28),
            column("Not before", 58.0),
            figures("A month", 58.0),
            column("Owner, account and Region", 129.0),
        ],
        rows: rows.iter().map(row).collect(),
    }
}

/// A resource's name and the id below it; the id alone where it has no name.
fn name_and_id(name: &str, id: &str) -> (String, String) {
    if name.trim().is_empty() { (clean(id), String::new()) } else { (clean(name), clean(id)) }
}

/// A resource's name with its id and place below.
pub fn named(name: &str, id: &str, place: &str) -> Cell {
    let (name, id) = name_and_id(name, id);
    let below = [id.as_str(), place].into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    Cell::strong(name).note(below, 1)
}

/// How many rows of what is due leave `below` points free under them; at least one, if there is one.
fn due_that_fit(flow: &Flow, report: &Report, below: f32) -> usize {
    let all = report.due.len();
    let table = due_table(report, &report.due[..all.min(30)]);
    let room = flow.room() - HEADING_HEIGHT - below;
    let mut fits = flow.rows_that_fit(&table, room - more_height(all, all));
    if fits < all {
        fits = flow.rows_that_fit(&table, room - more_height(0, all));
    }
    fits.max(1).min(all)
}

fn draw_due(flow: &mut Flow, report: &Report, below: f32) -> usize {
    let shown = due_that_fit(flow, report, below);
    flow.heading("What is due when, and how to stop it", 0.0);
    if report.due.is_empty() {
        flow.paragraph("Nothing is due.", BODY);
        flow.y += 4.0;
        return 0;
    }
    flow.table(&due_table(report, &report.due[..shown]));
    if shown < report.due.len() {
        flow.caption(&format!(
            "… and {} on the next page",
            words::counted((report.due.len() - shown) as u64, "more act")
        ));
    } else {
        flow.y += 5.0;
    }
    shown
}

fn more_height(shown: usize, all: usize) -> f32 {
    if shown < all { NOTE.leading + 10.0 } else { 5.0 }
}

const STOP_BOX: f32 = 76.0;

fn stop_box(flow: &mut Flow) {
    flow.ensure(STOP_BOX);
    let sheet = &mut flow.sheet;
    sheet.fill(MARGIN, flow.y, COLUMN, STOP_BOX, PANEL_BLUE);
    sheet.fill(MARGIN, flow.y, 2.4, STOP_BOX, BLUE);
    sheet.begin("P", None);
    let (left, width) = (MARGIN + 12.0, (COLUMN - 24.0 - 16.0) / 2.0);
    for (number, (what, brings)) in WAYS_TO_STOP.iter().enumerate() {
        let x = left + (number % 2) as f32 * (width + 16.0);
        let mut y = flow.y + 8.0 + (number / 2) as f32 * 33.0;
        sheet.text(x, y + STRONG.size, STRONG, what);
        y += STRONG.leading;
        for line in wrap(sheet, NOTE, brings, width, 2) {
            sheet.text(x, y + NOTE.size, NOTE, &line);
            y += NOTE.leading;
        }
    }
    sheet.end();
    flow.y += STOP_BOX;
}

/// The table of what waits for a person.
pub fn decisions_table(rows: &[HeldRow]) -> Table {
    let row = |row: &HeldRow| {
        vec![
            named(&row.name, &row.resource, ""),
            Cell::new(format!("{}: {}", words::act(row.act), words::hold(row.code))).note(clean(&row.reason), 2),
            Cell::new(words::monthly(row.monthly)),
        ]
    };
    Table {
        title: "Waits for a person",
        columns: vec![column("Resource", 116.0), column("What is held, and why", 333.28), figures("A month", 58.0)],
        rows: rows.iter().map(row).collect(),
    }
}

/// What [`Flow::heading`] takes.
const HEADING_HEIGHT: f32 = 15.0 + 15.0 + 4.0;

fn decisions_height(flow: &Flow, report: &Report, table: &Table) -> f32 {
    if report.decisions.is_empty() {
        return 0.0;
    }
    HEADING_HEIGHT + flow.table_height(table, table.rows.len()) + more_height(table.rows.len(), report.decisions.len())
}

fn draw_decisions(flow: &mut Flow, report: &Report, table: &Table, shown: usize) {
    if report.decisions.is_empty() {
        return;
    }
    flow.heading("Waits for a person", 40.0);
    flow.table(table);
    if shown < report.decisions.len() {
        let more = words::counted((report.decisions.len() - shown) as u64, "more finding");
        flow.caption(&format!("… and {more} on the next page"));
    } else {
        flow.y += 5.0;
    }
}

fn gaps_height(report: &Report, shown: usize) -> f32 {
    if report.gaps.is_empty() && report.unknown.is_empty() {
        return 0.0;
    }
    9.0 + 14.0 + STRONG.leading + shown as f32 * NOTE.leading
}

fn draw_gaps(flow: &mut Flow, report: &Report, shown: usize) {
    let height = gaps_height(report, shown);
    if height == 0.0 {
        return;
    }
    flow.y += 9.0;
    flow.ensure(height);
    let box_height = height - 9.0;
    flow.sheet.fill(MARGIN, flow.y, COLUMN, box_height, PANEL_AMBER);
    flow.sheet.fill(MARGIN, flow.y, 2.4, box_height, ORANGE);
    let unknown: u64 = report.unknown.iter().map(|(_, count)| count).sum();
    let mut parts = Vec::new();
    if !report.gaps.is_empty() {
        let rest = report.gaps.len() - shown;
        let more =
            if rest > 0 { format!(" ({} more on the coverage page)", grouped(rest as u64)) } else { String::new() };
        parts.push(format!("{}{more}", words::counted(report.gaps.len() as u64, "partition")));
    }
    if unknown > 0 {
        parts.push(words::counted(unknown, "unknown verdict"));
    }
    let title = format!("Could not be read or is not believed: {}. Nothing is concluded from it.", parts.join(", "));
    let mut y = flow.y + 7.0;
    let width = COLUMN - 24.0;
    flow.sheet.begin("P", None);
    let title = fit(&flow.sheet, STRONG, &title, width);
    flow.sheet.text(MARGIN + 12.0, y + STRONG.size, Style { colour: INK, ..STRONG }, &title);
    y += STRONG.leading;
    for gap in &report.gaps[..shown] {
        let line = fit(&flow.sheet, NOTE, &words::gap(gap), width);
        flow.sheet.text(MARGIN + 12.0, y + NOTE.size, NOTE, &line);
        y += NOTE.leading;
    }
    flow.sheet.end();
    flow.y += box_height;
}
