//! The report as PDF: A4, two faces, tables and small charts, tagged for screen readers.
//!
//! The only user of printpdf. Page one alone is enough; a weekly report goes on with the detail, a daily one with
//! what was done. The same report gives the same bytes: fonts have fixed names, dates come from the report, the
//! file's id from its content. Text operators only: no links, actions, scripts or files.

mod chart;
mod document;
mod flow;
mod font;
mod page_one;
pub mod review;
mod sections;
mod sheet;
mod style;
mod table;

use anyhow::Result;

use self::document::About;
use self::flow::Flow;
use self::font::Faces;
use self::sheet::Sheet;
use super::words;
use crate::domain::report::Report;

/// The finished file. Fails only on a date before year 1 or after 9999, or on damaged built-in faces.
pub fn render(report: &Report) -> Result<Vec<u8>> {
    let mut flow = Flow::new(Sheet::new(Faces::load()?));
    let shown = page_one::draw(&mut flow, report);
    sections::draw(&mut flow, report, &shown);
    let name = format!("{} {}", words::title(report), words::period_name(report));
    flow.footers(&format!("costwarden  ·  {name}"));
    document::save(flow.sheet, &About { title: name, subject: words::subject(report), at: report.generated_at })
}

/// The file's name: `costwarden-weekly-2026-W47.pdf`.
pub fn file_name(report: &Report) -> String {
    format!("costwarden-{}-{}.pdf", report.kind.word(), words::period_name(report))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::report::ReportKind;
    use crate::report::sample;

    /// Of all pages, in reading order, as the operators show it.
    fn pages(report: &Report) -> Vec<String> {
        let mut flow = Flow::new(Sheet::new(Faces::load().unwrap()));
        let shown = page_one::draw(&mut flow, report);
        sections::draw(&mut flow, report, &shown);
        let words = |op: &printpdf::Op| match op {
            printpdf::Op::ShowText { items } => Some(items.iter().map(item).collect::<String>() + "\n"),
            _ => None,
        };
        flow.sheet.finish().0.iter().map(|page| page.ops.iter().filter_map(words).collect()).collect()
    }

    fn item(item: &printpdf::TextItem) -> String {
        match item {
            printpdf::TextItem::GlyphIds(glyphs) => glyphs.iter().filter_map(|glyph| glyph.cid.clone()).collect(),
            _ => String::new(),
        }
    }

    #[test]
    fn the_same_report_gives_the_same_bytes_and_another_one_another_id() {
        let first = render(&sample()).unwrap();
        assert!(first == render(&sample()).unwrap(), "two builds in one process differ");
        let other = render(&Report { headline: "Another week.".into(), ..sample() }).unwrap();
        let id = |bytes: &[u8]| bytes[bytes.windows(3).rposition(|at| at == b"/ID").unwrap()..].to_vec();
        assert_ne!(id(&first), id(&other));
    }

    #[test]
    fn page_one_alone_is_enough() {
        let first = &pages(&sample())[0];
        for sentence in [
            "Weekly compliance report",
            "2026-W47 (16–22 Nov 2026)",
            "times in Europe/Berlin",
            "87.7%",
            "$5,214",
            "187 findings, 12 not priced",
            "$8,941 since each act",
            "1 critical, 14 high",
            "reporting-worker-old",
            "i-0b7e41c09d5f2a813",
            "Tue 24 Nov",
            "10:00 CET",
            "$248.20",
            "anna.lindholm@example.com",
            "Tag it costwarden:keep-until=YYYY-MM-DD",
            "Tag it costwarden:protect=true",
            "Ask for an exception",
            "Fix it",
            "Waits for a person",
            "Could not be read or is not believed: 3 partitions, 17 unknown verdicts. Nothing is concluded from it.",
        ] {
            assert!(first.contains(sentence), "{sentence} is not on page one:\n{first}");
        }
    }

    #[test]
    fn m3_a_daily_report_is_page_one_and_what_was_done() {
        let all = pages(&Report { kind: ReportKind::Daily, ..sample() }).concat();
        assert!(all.contains("What was done") && all.contains("Notes and method"));
        for section in ["Policies, worst first", "Teams, worst first", "Exceptions in force", "Held, by reason"] {
            assert!(!all.contains(section), "{section}");
        }
    }

    #[test]
    fn every_row_is_on_some_page_also_when_there_are_hundreds() {
        let mut report = sample();
        report.due = (0..300)
            .map(|n| {
                let mut row = sample().due[0].clone();
                row.resource = format!("i-{n:017x}");
                row
            })
            .collect();
        let all = pages(&report);
        assert!(
            all.iter()
                .filter(
                    |page| page.contains("Due after that, continued") || page.contains("What is due when, continued")
                )
                .count()
                > 5
        );
        let all = all.concat();
        let missing: Vec<&str> =
            report.due.iter().map(|row| row.resource.as_str()).filter(|id| !all.contains(*id)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn no_data_is_said_and_an_empty_report_is_still_a_page() {
        let report = Report {
            score: None,
            score_history: vec![],
            by_severity: vec![],
            due: vec![],
            decisions: vec![],
            acts: vec![],
            gaps: vec![],
            unknown: vec![],
            spend: None,
            notes: vec![],
            ..sample()
        };
        let all = pages(&report).concat();
        for sentence in
            ["no data", "nothing was read completely", "Nothing is due.", "Nothing was done in this period."]
        {
            assert!(all.contains(sentence), "{sentence}");
        }
        assert!(render(&report).unwrap().starts_with(b"%PDF-1.7"));
    }

    #[test]
    fn a_weekly_report_takes_less_than_a_second_and_300_kilobytes() {
        let begin = Instant::now();
        let made = render(&sample()).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        assert!(made.len() <= 300_000, "{} bytes", made.len());
    }

    #[test]
    fn h38_foreign_text_makes_no_links_actions_scripts_or_files() {
        let made = render(&sample()).unwrap();
        for marker in
            [&b"/URI"[..], b"/JavaScript", b"/JS", b"/Launch", b"/EmbeddedFile", b"/OpenAction", b"/AA", b"/Link"]
        {
            assert!(!made.windows(marker.len()).any(|at| at == marker), "{}", String::from_utf8_lossy(marker));
        }
    }

    /// Writes what is expected with `COSTWARDEN_WRITE_SAMPLES=1`.
    #[test]
    fn g6_the_sample_in_the_repository_is_what_the_program_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample-weekly.pdf");
        let made = render(&sample()).unwrap();
        if std::env::var_os("COSTWARDEN_WRITE_SAMPLES").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read(&path).unwrap();
        assert!(kept == made, "reports/sample-weekly.pdf is out of date; reports/README.md says how to write it anew");
    }
}
