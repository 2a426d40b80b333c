//! `report daily` and `report weekly`: the same reports that the slots mail, into files or onto the terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{Days, NaiveDate, Weekday};
use clap::Subcommand;

use super::exit::{Exit, ExitError};
use super::output::{self, Format};
use super::{Global, open, sending};
use crate::app;
use crate::clock::Clock;
use crate::cloud::none::NoCloud;
use crate::deliver::outbox::deliver_due;
use crate::domain::Instant;
use crate::domain::report::{Report, ReportKind};
use crate::engine::grace;
use crate::report as layout;
use crate::worker::context::Context;
use crate::worker::jobs::report;
use crate::worker::outlets::Outlets;

/// Which report.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Of one day; yesterday when --period is absent
    Daily(Args),
    /// Of one week, Monday to Sunday; last week when --period is absent
    Weekly(Args),
}

/// Flags of both.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A day such as 2026-11-22, or a week such as 2026-W47
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
    /// Write into this file; .pdf, .html, .txt, .json or .csv decides how. May be given several times
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
    /// Mail it to the recipients of the settings, or to those of --to
    #[arg(long)]
    send: bool,
    /// Recipients in place of the settings' list
    #[arg(long, value_name = "ADDRESS", requires = "send")]
    to: Vec<String>,
}

/// Makes the report.
pub async fn run(global: &Global, command: &Command) -> anyhow::Result<Exit> {
    let (kind, args) = match command {
        Command::Daily(args) => (ReportKind::Daily, args),
        Command::Weekly(args) => (ReportKind::Weekly, args),
    };
    let mut settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    open::existing(&settings.state_dir)?;
    if !args.to.is_empty() {
        settings.reports.to = args.to.clone();
    }
    if args.send && settings.reports.to.is_empty() {
        return Err(ExitError::bad_use("--send, and nobody to send to: name recipients in reports.to, or give --to"));
    }
    let outlets = if args.send { Some(Outlets::open(&settings, false)?) } else { None };
    // Sending writes the outbox; printing only reads.
    let store = if args.send { open::store(&settings)? } else { open::read_store(&settings)? };
    let cx = app::context(settings, &policies, store, Arc::new(NoCloud), Clock::System)?;
    let report = make(&cx, kind, args.period.as_deref())?;
    for file in &args.out {
        write(&report, file)?;
    }
    let mut sent = Exit::Done;
    if let Some(outlets) = &outlets {
        let mails = report::queue(&cx, &report)?;
        let delivered = deliver_due(&cx.store, outlets.channels(), &cx.clock, grace::delivered).await?;
        output::tell(&format!(
            "{mails} queued, {} delivered, {} waiting",
            delivered.accepted.len(),
            delivered.waiting.len()
        ));
        sent = sending::told(&delivered);
    }
    if args.out.is_empty() && !args.send {
        match global.output {
            Format::Json => output::json(&layout::json::render(&report))?,
            _ => output::print(&layout::text::render(&report))?,
        }
    }
    let complete = report.gaps.is_empty() && report.score.is_some();
    Ok(sent.and(if complete { Exit::Done } else { Exit::Incomplete }))
}

fn make(cx: &Context, kind: ReportKind, period: Option<&str>) -> anyhow::Result<Report> {
    let Some(text) = period else {
        return report::make(cx, kind);
    };
    let (first, days) = parse(kind, text).ok_or_else(|| {
        let accepted = match kind {
            ReportKind::Daily => "a day such as 2026-11-22",
            ReportKind::Weekly => "a week such as 2026-W47",
        };
        ExitError::bad_use(format!("--period {text:?}; accepted: {accepted}"))
    })?;
    let zone = cx.settings.zone;
    let from: Instant = report::midnight(first, zone);
    report::make_for(cx, kind, from, report::midnight(first + Days::new(days), zone))
}

fn parse(kind: ReportKind, text: &str) -> Option<(NaiveDate, u64)> {
    match kind {
        ReportKind::Daily => text.parse().ok().map(|day| (day, 1)),
        ReportKind::Weekly => {
            let (year, week) = text.split_once("-W")?;
            let monday = NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, Weekday::Mon)?;
            Some((monday, 7))
        }
    }
}

/// Writes a report as the file's ending says.
pub fn write(report: &Report, file: &Path) -> anyhow::Result<()> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or("");
    let bytes = match ending {
        "txt" => layout::text::render(report).into_bytes(),
        "html" => layout::html::render(report)?.into_bytes(),
        "csv" => layout::csv::render(report)?.into_bytes(),
        "json" => serde_json::to_vec_pretty(&layout::json::render(report)).context("making JSON")?,
        "pdf" => match report::pdf(report)? {
            Some((_, bytes)) => bytes,
            None => return Err(ExitError::bad_use("this build makes no PDF (feature `pdf`)")),
        },
        other => {
            return Err(ExitError::bad_use(format!(
                "--out {}: {other:?} is no known ending; accepted: .pdf, .html, .txt, .json, .csv",
                file.display()
            )));
        }
    };
    output::file(file, &bytes)
}
