//! The report as an HTML mail: one column of 600 px, styles inline, no remote content, no scripts, no links.
//!
//! The template escapes everything by itself (its name ends in `.html`); this file decides the words and cuts the
//! lists, because Gmail clips a message near 102 KB. The PDF beside it has the rest.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use minijinja::{Environment, Value, context};

use super::words;
use crate::domain::money::grouped;
use crate::domain::notice::WAYS_TO_STOP;
use crate::domain::report::{Report, ReportKind};
use crate::domain::text::{clean, shown_at};

/// Parsed once.
static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    // One that does not parse is missing when it is asked for, which the tests would show.
    let _ = pages.add_template("report.html", include_str!("templates/report.html"));
    pages
});

/// Rows of each list.
const ROWS: usize = 10;

/// The whole page. Fails only if the template is broken, which a test would show.
pub fn render(report: &Report) -> Result<String> {
    let template = PAGES.get_template("report.html").context("the report's HTML template does not parse")?;
    template
        .render(context! {
            title => words::title(report),
            period => words::period(report),
            zone => clean(&report.zone),
            scope => words::scope(report),
            headline => clean(&report.headline),
            weekly => report.kind == ReportKind::Weekly,
            tiles => tiles(report),
            trend => words::trend(report),
            spend => words::spend(report),
            ways => WAYS_TO_STOP.iter().map(|(what, brings)| vec![*what, *brings]).collect::<Vec<_>>(),
            due => due(report),
            due_more => report.due.len().saturating_sub(ROWS),
            decisions => decisions(report),
            decisions_more => report.decisions.len().saturating_sub(ROWS),
            acts => acts(report),
            acts_more => report.acts.len().saturating_sub(ROWS),
            undoable => undoable(report),
            undoable_more => report.undoable.len().saturating_sub(ROWS),
            undo_sum => words::undo_sum(report),
            recommendations => report.recommendations.iter().map(|row| clean(&row.text)).collect::<Vec<_>>(),
            policies => policies(report),
            findings => findings(report),
            gaps => gaps(report),
            gaps_more => report.gaps.len().saturating_sub(ROWS),
            notes => notes(report),
        })
        .context("laying out the report as HTML")
}

fn tiles(report: &Report) -> Vec<Value> {
    let open: u64 = report.by_severity.iter().map(|row| row.open.count).sum();
    let severities: Vec<String> =
        report.by_severity.iter().map(|row| format!("{} {}", grouped(row.open.count), row.severity)).collect();
    let level = words::level_of(report);
    vec![
        context! {
            label => "Compliance",
            value => report.score.map_or_else(|| "no data".to_owned(), |score| words::percent_of_score(score.percent)),
            note => format!("{}; {}", words::level(level), words::score_sentence(report)),
            colour => words::level_colour(level),
        },
        context! {
            label => "Open savings",
            value => words::tile_amount(report.open_savings.monthly),
            note => format!("a month; {}", words::findings_and_unpriced(&report.open_savings)),
            colour => "#0072b2",
        },
        context! {
            label => "Realised savings",
            value => words::tile_amount(report.realised.monthly),
            note => format!("a month; {} so far, {}", report.realised.to_date, words::counted(report.realised.acts, "act")),
            colour => "#009e73",
        },
        context! {
            label => "Open findings",
            value => grouped(open),
            note => severities.join(", "),
            colour => "#51606d",
        },
    ]
}

fn due(report: &Report) -> Vec<Value> {
    let zone = words::zone(report);
    let rows = report.due.iter().take(ROWS).map(|row| {
        context! {
            name => words::name_or(&row.name, &row.resource),
            resource => id_below(&row.name, &row.resource),
            place => format!("account {}, {}", clean(&row.account), clean(&row.region)),
            act => words::act(Some(row.act)),
            message => clean(&row.message),
            owner => owner(row.owner.as_deref()),
            finding => clean(&row.finding),
            day => words::short_day(row.due_at, zone),
            clock => words::clock(row.due_at, zone),
            monthly => words::monthly(row.monthly),
        }
    });
    rows.collect()
}

fn decisions(report: &Report) -> Vec<Value> {
    let rows = report.decisions.iter().take(ROWS).map(|row| {
        context! {
            name => words::name_or(&row.name, &row.resource),
            resource => id_below(&row.name, &row.resource),
            act => words::act(row.act),
            code => words::hold(row.code),
            reason => clean(&row.reason),
            monthly => words::monthly(row.monthly),
        }
    });
    rows.collect()
}

fn acts(report: &Report) -> Vec<Value> {
    let zone = words::zone(report);
    let rows = report.acts.iter().take(ROWS).map(|row| {
        context! {
            name => words::name_or(&row.name, &row.resource),
            resource => id_below(&row.name, &row.resource),
            at => shown_at(row.at, zone),
            mark => words::status_mark(&row.status),
            status => clean(&row.status),
            colour => words::status_colour(&row.status),
            act => row.act.words(),
            message => clean(&row.message),
            backups => clean(&row.backups.join(", ")),
            monthly => words::monthly(row.monthly),
        }
    });
    rows.collect()
}

fn undoable(report: &Report) -> Vec<Value> {
    let zone = words::zone(report);
    let rows = report.undoable.iter().take(ROWS).map(|row| {
        context! {
            id => clean(&row.id),
            name => words::name_or(&row.name, &row.resource),
            resource => id_below(&row.name, &row.resource),
            way => clean(&row.way),
            until => words::undo_until(row, zone),
        }
    });
    rows.collect()
}

fn policies(report: &Report) -> Vec<Value> {
    let rows = report.by_policy.iter().take(2 * ROWS).map(|row| {
        context! {
            policy => clean(&row.policy),
            rate => row.rate.map_or_else(|| "–".to_owned(), words::percent_of_score),
            filled => row.rate.map_or(0, |rate| rate.clamp(0.0, 100.0) as u32),
            violating => format!("{} of {}", grouped(row.violating), grouped(row.applicable)),
            new => grouped(row.new),
            monthly => row.open.monthly.to_string(),
        }
    });
    rows.collect()
}

fn findings(report: &Report) -> Vec<Value> {
    let rows = report.top_findings.iter().take(ROWS).map(|row| {
        context! {
            name => words::name_or(&row.name, &row.resource),
            resource => id_below(&row.name, &row.resource),
            severity => words::severity(row.severity),
            message => clean(&row.message),
            owner => owner(row.owner.as_deref()),
            monthly => words::monthly(row.monthly),
        }
    });
    rows.collect()
}

fn gaps(report: &Report) -> Vec<String> {
    let unknown = report
        .unknown
        .iter()
        .map(|(check, count)| format!("{} of {}", words::counted(*count, "unknown verdict"), clean(check)));
    report.gaps.iter().take(ROWS).map(words::gap).chain(unknown).collect()
}

fn notes(report: &Report) -> Vec<String> {
    let own = format!(
        "costwarden made {} in this period, for {}.",
        words::counted(report.self_cost.requests, "request"),
        report.self_cost.usd
    );
    let (sentence, head) = words::audit(report);
    let trail = std::iter::once(sentence).chain(head);
    let notes = report.notes.iter().map(|note| clean(note));
    report.budgets.iter().map(words::budget).chain(notes).chain([own]).chain(trail).collect()
}

/// The id under a name; nothing where the id stands in the name's place.
fn id_below(name: &str, id: &str) -> String {
    if name.trim().is_empty() { String::new() } else { clean(id) }
}

fn owner(owner: Option<&str>) -> String {
    owner.map_or_else(|| "no owner known".to_owned(), clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::report::sample::HOSTILE_NAMES;

    #[test]
    fn h38_no_foreign_text_becomes_an_element_or_a_template() {
        let html = render(&sample()).unwrap();
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<!channel"));
        assert!(html.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "the name is shown, escaped");
        assert!(html.contains("{{ 7 * 7 }}"), "a template in a name is text");
        assert!(!html.contains('\u{202E}') && !html.contains('\u{1b}'));
        assert!(HOSTILE_NAMES.iter().filter(|name| name.contains('<')).all(|name| !html.contains(*name)));
    }

    #[test]
    fn the_page_fits_below_the_size_at_which_gmail_clips() {
        let mut report = sample();
        for list in 0..40 {
            let more = sample();
            report.due.extend(more.due);
            report.acts.extend(more.acts);
            report.decisions.extend(more.decisions);
            report.gaps.extend(more.gaps);
            report.top_findings.extend(more.top_findings);
            let _ = list;
        }
        let html = render(&report).unwrap();
        assert!(html.len() < 100_000, "{} bytes", html.len());
        assert!(html.contains("… and 482 more"), "the cut is said");
    }

    #[test]
    fn every_table_of_data_has_a_caption_and_column_headers_and_layout_tables_say_so() {
        let html = render(&sample()).unwrap();
        let all = html.matches("<table ").count();
        let layout = html.matches("role=\"presentation\"").count();
        assert_eq!(all - layout, html.matches("<caption").count());
        assert!(html.contains("<html lang=\"en\">") && html.contains("scope=\"col\""));
        assert!(
            !["href=\"", "src=\"", "url(", "@import"].iter().any(|remote| html.contains(*remote)),
            "no remote content"
        );
    }

    #[test]
    fn m4_the_weekly_page_is_what_it_was() {
        insta::assert_snapshot!(render(&sample()).unwrap());
    }
}
