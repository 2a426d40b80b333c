//! `run`: one cycle by hand, the same that the daemon does at its slots, as far as the mode allows.
//!
//! With `--dry-run` it works on a copy of the state in memory, sends nothing and is built without anything that can
//! change the cloud.

use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, interrupt, open, sending};
use crate::app;
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::finding::{Act, Finding};
use crate::domain::plan::HoldCode;
use crate::domain::remediation::JournalState;
use crate::domain::report::{Report, ReportKind};
use crate::remediate::Progress;
use crate::report::run::RunFigures;
use crate::store::Store;
use crate::worker::jobs::act::{ActOutcome, NotActing};
use crate::worker::jobs::notices::notices;
use crate::worker::jobs::plan::{PlanOutcome, plan};
use crate::worker::jobs::report;
use crate::worker::jobs::scan::{Choice, scan};
use crate::worker::nightly::{Loaded, Nightly};
use crate::worker::outlets::Outlets;
use crate::worker::supervise::Work;

/// Flags of `run`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Change nothing, tell nobody: scan and plan on a copy of the state
    #[arg(long)]
    dry_run: bool,
}

/// What `run -o json` prints: O3's keys, and what was only told counted apart from what was changed.
#[derive(Serialize)]
struct Document {
    schema_version: u32,
    scan_start: Instant,
    scan_end: Instant,
    duration_seconds: f64,
    dry_run: bool,
    violations_found: u64,
    violations_actionable: u64,
    notices_queued: u64,
    remediations_due: u64,
    remediations_completed: u64,
    remediations_failed: u64,
    remediations_skipped: u64,
    remediations_open: u64,
    compliance_score: Option<f64>,
    status: crate::report::run::RunStatus,
    report: serde_json::Value,
}

/// Runs one cycle.
pub async fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    let reader = app::reader(&settings).await?;
    let work = Work::default();
    if args.dry_run {
        let store = match open::existing(&settings.state_dir) {
            Ok(file) => Store::open_read_only(&file)?.throwaway_copy()?,
            Err(_) => Store::in_memory()?,
        };
        let cx = app::context(settings, &policies, store, reader, Clock::System)?;
        let (scanned, stopped) = interrupt::watch(&work, scan(&cx, &Choice::default(), &work)).await;
        let scanned = scanned?;
        let queued = notices(&cx, &scanned.scan.id)?.notices;
        let planned = plan(&cx, false).await?;
        let report = report::make(&cx, ReportKind::Daily)?;
        let acted = ActOutcome::default();
        let complete = scanned.scan.complete();
        let seen = cx.store.findings_seen_since(scanned.scan.started_at)?;
        let cycle =
            Cycle { scan: &scanned.scan, seen: &seen, queued, planned: &planned, acted: &acted, report: &report };
        print(global, true, &cycle)?;
        return Ok(exit(complete, &planned, &acted).and(stopped));
    }
    let store = open::store(&settings)?;
    let outlets = Outlets::open(&settings, false)?;
    let actor = app::actor(&settings).await?;
    let context = app::context(settings, &policies, store, reader, Clock::System)?;
    let loaded = Loaded { context, outlets: Arc::new(outlets) };
    let nightly = Nightly::new(loaded, actor, Box::new(|_| anyhow::bail!("`run` reads its settings once")));
    let (ended, stopped) = interrupt::watch(&work, one_cycle(&nightly, &work)).await;
    let (night, planned, acted, sent) = ended?;
    let context = nightly.context();
    let report = report::make(&context, ReportKind::Daily)?;
    let scan = &night.scan.scan;
    let seen = context.store.findings_seen_since(scan.started_at)?;
    let queued = night.notices.notices;
    print(global, false, &Cycle { scan, seen: &seen, queued, planned: &planned, acted: &acted, report: &report })?;
    Ok(exit(scan.complete(), &planned, &acted).and(sent).and(stopped))
}

async fn one_cycle(
    nightly: &Nightly,
    work: &Work,
) -> anyhow::Result<(crate::worker::nightly::ScanNight, PlanOutcome, ActOutcome, Exit)> {
    let night = nightly.scan_night(&Choice::default(), work).await?;
    let delivered = nightly.deliver().await?;
    let (planned, acted) = nightly.act_night(work).await.map_err(|error| match error {
        NotActing::Busy => ExitError::with(Exit::Busy, error),
        NotActing::Failed(error) => error,
    })?;
    let delivered = delivered.then(nightly.deliver().await?);
    Ok((night, planned, acted, sending::told(&delivered)))
}

fn exit(complete: bool, planned: &PlanOutcome, acted: &ActOutcome) -> Exit {
    let held = planned.held.iter().any(|row| matches!(row.code, HoldCode::Frozen | HoldCode::Breaker));
    super::apply::exit(acted).and(if complete { Exit::Done } else { Exit::Incomplete }).and(if held {
        Exit::Held
    } else {
        Exit::Done
    })
}

/// What one cycle brought.
struct Cycle<'a> {
    scan: &'a crate::domain::scan::Scan,
    /// Findings that the scan made or confirmed.
    seen: &'a [Finding],
    queued: usize,
    planned: &'a PlanOutcome,
    acted: &'a ActOutcome,
    report: &'a Report,
}

fn print(global: &Global, dry_run: bool, cycle: &Cycle<'_>) -> anyhow::Result<()> {
    let Cycle { scan, seen, queued, planned, acted, report } = *cycle;
    let changing = planned.plan.steps.iter().filter(|step| step.act != Act::SendNotification).count();
    let (remediated, failed) = (acted.ended(JournalState::Done), acted.ended(JournalState::Stuck));
    let figures = RunFigures::of(report.score, seen, remediated as u64, failed as u64);
    if global.output == Format::Json {
        let end = scan.finished_at.unwrap_or(scan.started_at);
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            scan_start: scan.started_at,
            scan_end: end,
            duration_seconds: (end - scan.started_at).num_milliseconds() as f64 / 1_000.0,
            dry_run,
            violations_found: figures.found,
            violations_actionable: figures.actionable,
            notices_queued: queued as u64,
            remediations_due: changing as u64,
            remediations_completed: figures.remediated,
            remediations_failed: figures.failed,
            remediations_skipped: (acted.ended(JournalState::Refused) + acted.ended(JournalState::Aborted)) as u64,
            remediations_open: acted.open() as u64,
            compliance_score: report.score.map(|score| (score.percent * 100.0).round() / 100.0),
            status: figures.status(),
            report: crate::report::json::render(report),
        });
    }
    for line in figures.lines() {
        output::line(&line)?;
    }
    let verb = if dry_run { "would be told" } else { "queued" };
    output::line(&format!("Notices {verb}: {queued}"))?;
    output::line(&format!("Due now: {changing}; held: {}", planned.held.len()))?;
    for row in &acted.rows {
        let state = match row.progress {
            Progress::Ended(state) => state.status().word(),
            Progress::WaitUntil(_) | Progress::Held => "in_progress",
        };
        let line = format!("  {state}: {} {}: {}", row.act, row.resource, row.message);
        output::line(&crate::domain::text::clean(&line))?;
    }
    Ok(())
}
