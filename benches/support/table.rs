//! The printed table: what was measured, beside its bound, and whether the bound holds.

use std::io::Write;
use std::process::ExitCode;

/// Rows in the order in which they were measured.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 4]>,
    missed: usize,
}

impl Table {
    /// A figure without a bound.
    pub fn note(&mut self, what: &str, measured: String) {
        self.rows.push([what.to_owned(), measured, String::new(), String::new()]);
    }

    /// A figure with its bound.
    pub fn bound(&mut self, what: &str, measured: String, bound: &str, holds: bool) {
        self.missed += usize::from(!holds);
        let verdict = if holds { "ok" } else { "MISSED" };
        self.rows.push([what.to_owned(), measured, bound.to_owned(), verdict.to_owned()]);
    }

    /// Prints it; the exit code says whether every bound held.
    pub fn finish(self) -> ExitCode {
        let head = ["what", "measured", "bound", ""].map(str::to_owned);
        let width = |column: usize| {
            std::iter::once(&head).chain(&self.rows).map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        for row in std::iter::once(&head).chain(&self.rows) {
            let [what, measured, bound, verdict] = row;
            let [first, second, third] = widths;
            tell(format!("{what:first$}  {measured:>second$}  {bound:third$}  {verdict}").trim_end());
        }
        match self.missed {
            0 => ExitCode::SUCCESS,
            count => {
                tell(&format!("{count} of the bounds missed"));
                ExitCode::FAILURE
            }
        }
    }
}

/// One line on standard output, at once.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader who left needs no more lines.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
