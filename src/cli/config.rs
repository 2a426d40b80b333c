//! `config show` and `config check`: what the settings say, where each value came from, and what will follow from them.

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::text::clean;
use crate::settings::{self, Settings};
use crate::worker::schedule::{Job, Schedule};

/// Runs of each job that `config check` shows.
const RUNS: usize = 5;

/// The commands below `config`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every value with where it came from
    Show,
    /// Load settings and policies; show the next runs and everything that loads but does nothing
    Check,
}

/// Prints settings or checks them.
///
/// # Errors
/// Wrong settings or policies: bad use.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::Show => show(global)?,
        Command::Check => check(global)?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct ShowDocument {
    schema_version: u32,
    values: Vec<ValueJson>,
}

#[derive(Serialize)]
struct ValueJson {
    key: String,
    value: String,
    origin: String,
}

#[derive(Serialize)]
struct CheckDocument {
    schema_version: u32,
    file: Option<String>,
    mode: &'static str,
    state: String,
    policies: usize,
    rules: usize,
    schedule: Vec<JobJson>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct JobJson {
    job: &'static str,
    pattern: String,
    zone: String,
    next: Vec<Instant>,
}

fn show(global: &Global) -> Result<()> {
    let values = open::settings(global)?.show();
    if global.output == Format::Table {
        return output::print(&settings::show_text(&values));
    }
    let values = values.into_iter().map(|shown| ValueJson {
        key: shown.key,
        value: shown.value,
        origin: shown.origin.to_string(),
    });
    output::json(&ShowDocument { schema_version: SCHEMA_VERSION, values: values.collect() })
}

fn check(global: &Global) -> Result<()> {
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    let schedule = Schedule::new(&settings.schedule, settings.zone).map_err(ExitError::bad_use)?;
    let now = Clock::System.now();
    let document = CheckDocument {
        schema_version: SCHEMA_VERSION,
        file: settings.origin.as_ref().map(|file| file.display().to_string()),
        mode: settings.enforcement.mode.word(),
        state: settings.state_dir.display().to_string(),
        policies: policies.len(),
        rules: policies.iter().map(|policy| policy.rules.len()).sum(),
        schedule: schedule
            .jobs()
            .iter()
            .map(|row| JobJson {
                job: row.job.word(),
                pattern: row.text.clone(),
                zone: row.zone.to_string(),
                next: next_runs(&schedule, row.job, now),
            })
            .collect(),
        notes: settings::cross_check(&settings, &policies),
    };
    match global.output {
        Format::Json => output::json(&document),
        _ => output::print(&text(&document, &settings, &schedule)),
    }
}

fn next_runs(schedule: &Schedule, job: Job, now: Instant) -> Vec<Instant> {
    let first = schedule.next_after(job, now);
    std::iter::successors(first, |slot| schedule.next_after(job, *slot)).take(RUNS).collect()
}

fn text(document: &CheckDocument, settings: &Settings, schedule: &Schedule) -> String {
    let file = document.file.as_deref().unwrap_or("built-in defaults");
    let mut text = format!(
        "settings  {}\nstate     {}\nmode      {}\naccounts  {}\npolicies  {} with {} rules\n\n",
        clean(file),
        clean(&document.state),
        document.mode,
        settings.accounts.len(),
        document.policies,
        document.rules,
    );
    for (words, job) in schedule.describe().iter().zip(&document.schedule) {
        text += &format!("{words}\n");
        for slot in &job.next {
            let closed = settings.enforcement.window.closed_because(*slot).filter(|_| job.job == Job::Act.word());
            let note = closed.map(|why| format!("  nothing is done: {why}")).unwrap_or_default();
            text += &format!("        {}{note}\n", schedule.local_text(*slot));
        }
    }
    if document.notes.is_empty() {
        return text + "\nEverything that is set has an effect.\n";
    }
    text += "\nWorth knowing:\n";
    for note in &document.notes {
        text += &format!("- {note}\n");
    }
    text
}
