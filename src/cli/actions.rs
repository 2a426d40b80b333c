//! `actions`: what was done, how far it is, what can be taken back, and a person's word on what is stuck.
//!
//! An act is stuck when the cloud did not say what happened to it; its resource is left alone until somebody has looked
//! and settles it here. Listing and showing only read the state; with `--db` neither they nor settling reads the settings. `actions undo` is in `undo`.

use anyhow::Result;
use chrono::{DateTime, TimeDelta};
use clap::Subcommand;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::undo::{self, UndoableJson};
use super::{Global, open};
use crate::clock::Clock;
use crate::cloud::prices;
use crate::domain::Instant;
use crate::domain::remediation::Remediation;
use crate::domain::text::clean;
use crate::domain::undo::{Undoable, standing};
use crate::store::{Store, Transition};

/// The commands below `actions`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Acts, newest first
    List {
        /// Only those that are under way or stuck
        #[arg(long)]
        open: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// All about one act: its steps, its backups, its request
    Show {
        /// For example r-12
        id: String,
    },
    /// Take an act back: start, make the volume anew from its snapshot, remove the tags
    Undo(undo::Args),
    /// Say that you have looked at a stuck act; its resource is judged anew from the next scan on
    Settle {
        /// For example r-12
        id: String,
        /// What you found
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who decides; else $SUDO_USER, else $USER
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

/// One act as JSON.
#[derive(Serialize)]
struct ActJson<'a> {
    id: String,
    finding: &'a str,
    resource: String,
    act: &'static str,
    /// S1's word: completed, failed, skipped, in_progress.
    status: &'static str,
    /// The journal's word.
    state: &'static str,
    claimed_at: Instant,
    updated_at: Instant,
    request_id: Option<&'a str>,
    backups: Vec<&'a str>,
    /// How it can still be taken back; null when it cannot.
    undo: Option<UndoableJson>,
    message: &'a str,
}

/// One step of an act as JSON.
#[derive(Serialize)]
struct StepJson<'a> {
    at: Instant,
    state: &'static str,
    message: &'a str,
}

/// Lists, shows, takes back or settles.
///
/// # Errors
/// No state, no such act, an act that is not stuck, or an empty reason.
pub async fn run(global: &Global, command: &Command) -> Result<Exit> {
    if let Command::Undo(args) = command {
        return undo::run(global, args, number(&args.id)?).await;
    }
    let file = open::existing(&open::state_dir(global)?)?;
    let now = Clock::System.now();
    match command {
        Command::List { open, limit } => list(global, &Store::open_read_only(&file)?, *open, *limit, now)?,
        Command::Show { id } => show(global, &Store::open_read_only(&file)?, number(id)?, now)?,
        Command::Undo(_) => {}
        Command::Settle { id, reason, by } => {
            let by = open::by(by.as_deref())?;
            if reason.trim().is_empty() {
                return Err(ExitError::bad_use("--reason is empty: say what you found, for those who come after you"));
            }
            settle(global, &Store::open(&file)?, number(id)?, &by, reason.trim(), now)?;
        }
    }
    Ok(Exit::Done)
}

fn list(global: &Global, store: &Store, open: bool, limit: usize, now: Instant) -> Result<()> {
    let mut acts = if open {
        let mut acts = store.open_remediations()?;
        acts.extend(store.stuck_remediations()?);
        acts
    } else {
        store.remediations_between(DateTime::UNIX_EPOCH, now + TimeDelta::seconds(1))?
    };
    acts.sort_by_key(|act| std::cmp::Reverse(act.id));
    acts.truncate(limit);
    let (prices, undone) = (prices::embedded()?, store.undone()?);
    let undoable = |act: &Remediation| standing(act, undone.contains(&act.id), &prices, now).ok();
    if global.output == Format::Json {
        let acts: Vec<ActJson<'_>> = acts.iter().map(|act| act_json(act, undoable(act))).collect();
        return output::json(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "actions": acts }));
    }
    if acts.is_empty() {
        output::tell("no acts");
        return Ok(());
    }
    let rows = acts.iter().map(|act| {
        vec![
            format!("r-{}", act.id),
            act.updated_at.format("%Y-%m-%d %H:%M").to_string(),
            act.state.status().word().to_owned(),
            act.step.words(),
            act.step.key.id.to_string(),
            act.step.name.clone(),
            backups(act).join(", "),
            undoable(act).map(|own| until(&own)).unwrap_or_default(),
            act.message.clone(),
        ]
    });
    let columns = ["ID", "LAST (UTC)", "STATUS", "ACT", "RESOURCE", "NAME", "BACKUP", "UNDO UNTIL", "RESULT"];
    output::print(&output::table(&columns, rows))
}

/// Until when, and what keeping it costs a day at most.
fn until(own: &Undoable) -> String {
    let day = own.until.map_or_else(|| "any time".to_owned(), |until| until.format("%Y-%m-%d").to_string());
    if own.daily.0 == 0 { day } else { format!("{day}, at most {} a day", own.daily) }
}

fn show(global: &Global, store: &Store, id: i64, now: Instant) -> Result<()> {
    let act = store.remediation(id)?.ok_or_else(|| ExitError::bad_use(format!("there is no act r-{id}")))?;
    let history = store.remediation_history(id)?;
    let undoable = standing(&act, store.undone()?.contains(&id), &prices::embedded()?, now);
    if global.output == Format::Json {
        let steps: Vec<StepJson<'_>> = history.iter().map(step_json).collect();
        let (version, act) = (SCHEMA_VERSION, act_json(&act, undoable.ok()));
        return output::json(&serde_json::json!({ "schema_version": version, "action": act, "steps": steps }));
    }
    let line = |name: &str, value: &str| output::line(&format!("{name:<10} {}", clean(value)));
    line("act", &format!("r-{id}: {} {} ({})", act.step.words(), act.step.key, act.step.name))?;
    line("status", &format!("{} ({})", act.state.status().word(), act.state.word()))?;
    line("because", &format!("{}/{}: {}", act.step.policy, act.step.rule, act.step.message))?;
    line("finding", &act.step.finding.0)?;
    line("plan", &act.plan)?;
    line("request", act.request_id.as_deref().unwrap_or("none was answered"))?;
    line("backup", &backups(&act).join(", "))?;
    line("undo", &undoable.map_or_else(|why| why, |own| format!("{}; {}", own.way, until(&own))))?;
    line("result", &act.message)?;
    for undo in store.undos_of(id)? {
        line("undone", &format!("u-{} by {}, {}: {}", undo.id, undo.by, undo.state.status().word(), undo.message))?;
        for own in &undo.differences {
            line("", &own.to_string())?;
        }
    }
    let rows = history.iter().map(|step| {
        vec![step.at.format("%Y-%m-%d %H:%M:%S").to_string(), step.state.word().to_owned(), step.message.clone()]
    });
    output::line("")?;
    output::print(&output::table(&["AT (UTC)", "STATE", "WHAT"], rows))
}

fn settle(global: &Global, store: &Store, id: i64, by: &str, reason: &str, now: Instant) -> Result<()> {
    if !store.stuck_remediations()?.iter().any(|act| act.id == id) {
        return Err(ExitError::bad_use(format!("r-{id} is not stuck; `costwarden actions list --open` shows what is")));
    }
    store.settle_stuck(id, by, reason, now)?;
    if global.output == Format::Json {
        return output::json(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "settled": format!("r-{id}") }));
    }
    output::line(&format!("r-{id} is settled by {}; its resource is judged anew at the next scan", clean(by)))?;
    if store.frozen()?.is_some() {
        output::tell("everything is still frozen; lift that with `costwarden unfreeze` when you are done looking");
    }
    Ok(())
}

fn number(text: &str) -> Result<i64> {
    let digits = text.strip_prefix("r-").unwrap_or(text);
    digits.parse().map_err(|_| ExitError::bad_use(format!("{text:?} is no act; accepted: r- and a number, as r-12")))
}

fn backups(act: &Remediation) -> Vec<&str> {
    act.snapshots.iter().filter_map(|backup| backup.snapshot.as_deref()).collect()
}

fn act_json(act: &Remediation, undoable: Option<Undoable>) -> ActJson<'_> {
    ActJson {
        id: format!("r-{}", act.id),
        finding: &act.step.finding.0,
        resource: act.step.key.to_string(),
        act: act.step.act.word(),
        status: act.state.status().word(),
        state: act.state.word(),
        claimed_at: act.claimed_at,
        updated_at: act.updated_at,
        request_id: act.request_id.as_deref(),
        backups: backups(act),
        undo: undoable.map(UndoableJson::from),
        message: &act.message,
    }
}

fn step_json(step: &Transition) -> StepJson<'_> {
    StepJson { at: step.at, state: step.state.word(), message: &step.message }
}
