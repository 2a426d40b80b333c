//! `apply PLANFILE`: does exactly what the plan says, under every guard; `--dry-run` does nothing and says what would.
//!
//! The file is bound to its state, accounts and policies and expires after 24 hours (exit 5). A dry run works on a copy
//! of the state in memory and is built without anything that can change the cloud.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, interrupt, open, sending};
use crate::app;
use crate::deliver::outbox::deliver_due;
use crate::domain::guard::{self, Reading};
use crate::domain::mode::Mode;
use crate::domain::plan::{Fingerprint, Plan, Step};
use crate::domain::remediation::JournalState;
use crate::engine::grace;
use crate::remediate::{Halt, Progress, Recheck, StillViolates};
use crate::worker::context::Context;
use crate::worker::jobs::act::{ActOutcome, Acting, NotActing, act};
use crate::worker::jobs::announce::announce;
use crate::worker::outlets::Outlets;
use crate::worker::post::Post;
use crate::worker::recheck::FreshFacts;
use crate::worker::supervise::Work;

/// Flags of `apply`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A file that `plan --out` wrote
    plan: PathBuf,
    /// Judge every step again and say what would happen; changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for the account id
    #[arg(long)]
    yes: bool,
    /// At most this many steps
    #[arg(long, value_name = "N")]
    max_actions: Option<usize>,
    /// Only the step of this finding
    #[arg(long, value_name = "FINDING")]
    only: Option<String>,
}

/// What `apply -o json` prints.
#[derive(Serialize)]
struct Document {
    schema_version: u32,
    plan: String,
    dry_run: bool,
    steps: Vec<RowJson>,
}

/// One step's ending.
#[derive(Serialize)]
struct RowJson {
    remediation: Option<String>,
    resource: String,
    act: String,
    /// S1's words: completed, failed, skipped, in_progress; `would` in a dry run.
    status: &'static str,
    message: String,
}

/// Applies a plan file.
pub async fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let plan = read(&args.plan)?;
    let cx = open::context(global, args.dry_run).await?;
    check(&cx, &plan)?;
    let steps = chosen(args, &plan)?;
    if args.dry_run {
        return dry_run(global, &cx, &plan, &steps).await;
    }
    if cx.settings.enforcement.mode == Mode::Observe {
        return Err(ExitError::with(
            Exit::Held,
            "mode observe changes nothing; set enforcement.mode to notify or enforce",
        ));
    }
    if !steps.is_empty() && !args.yes {
        confirm(global, &steps)?;
    }
    let actor = app::actor(&cx.settings).await?;
    let outlets = Arc::new(Outlets::open(&cx.settings, false)?);
    let post = Post::new(cx.store.clone(), outlets.clone(), cx.clock.clone());
    let work = Work::default();
    let announce = announce(&cx);
    let acting =
        Acting { actor, by_hand: true, announce, post: post.clone(), work: &work, halt: Halt::from_environment() };
    if !global.quiet {
        output::tell(&format!("applying {}: {} steps", plan.id, steps.len()));
    }
    let (acted, stopped) = interrupt::watch(&work, act(&cx, &acting, &plan.id, &steps)).await;
    let acted = acted.map_err(|error| match error {
        NotActing::Busy => ExitError::with(Exit::Busy, error),
        NotActing::Failed(error) => error,
    })?;
    let sent = post.rest().await.then(deliver_due(&cx.store, outlets.channels(), &cx.clock, grace::delivered).await?);
    let sent = sending::told(&sent);
    print(global, &plan, &acted)?;
    Ok(exit(&acted).and(sent).and(stopped))
}

fn read(file: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| ExitError::bad_use(format!("plan file {} cannot be read: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        ExitError::bad_use(format!(
            "plan file {}, line {}, column {}: {error}; accepted: a file that `costwarden plan --out` wrote",
            file.display(),
            error.line(),
            error.column()
        ))
    })
}

/// Whether the plan is whole, of this state, of these policies and young enough.
fn check(cx: &Context, plan: &Plan) -> anyhow::Result<()> {
    let stale = |why: String| {
        Err(ExitError::with(Exit::Stale, format!("plan {}: {why}; make a new one with `costwarden plan`", plan.id)))
    };
    if plan.id != plan.derive_id() {
        return stale("its contents do not match its id, so it was edited".to_owned());
    }
    if plan.state_id != cx.store.state_id()? {
        return stale("it was made from another state file".to_owned());
    }
    let now = cx.clock.now();
    if plan.created_at > now + TimeDelta::minutes(5) {
        let made = plan.created_at.format("%Y-%m-%d %H:%M UTC");
        return stale(format!("it was made {made}, which has not come yet by this machine's clock; set the clock"));
    }
    if now > plan.expires_at {
        return stale(format!("it expired {}", plan.expires_at.format("%Y-%m-%d %H:%M UTC")));
    }
    for step in &plan.steps {
        if cx.rules.hashes.get(&step.policy) != Some(&step.policy_hash) {
            return stale(format!("policy {} has changed since", step.policy));
        }
    }
    Ok(())
}

fn chosen(args: &Args, plan: &Plan) -> anyhow::Result<Vec<Step>> {
    let steps: Vec<Step> = match &args.only {
        None => plan.steps.clone(),
        Some(only) => {
            let found: Vec<Step> =
                plan.steps.iter().filter(|step| step.finding.0.starts_with(only.as_str())).cloned().collect();
            if found.len() != 1 {
                return Err(ExitError::bad_use(format!(
                    "--only {only:?} names {} steps of the plan; give the finding's id",
                    found.len()
                )));
            }
            found
        }
    };
    Ok(steps.into_iter().take(args.max_actions.unwrap_or(usize::MAX)).collect())
}

/// Shows the steps and asks for every account's id to be typed.
fn confirm(global: &Global, steps: &[Step]) -> anyhow::Result<()> {
    if global.no_input {
        return Err(ExitError::bad_use("--no-input and no --yes: give --yes to apply without being asked"));
    }
    for step in steps {
        let line = format!("  {} {} ({})", step.words(), step.key.id, step.name);
        output::tell(&crate::domain::text::clean(&line));
    }
    let mut accounts: Vec<&str> = steps.iter().map(|step| step.key.account().as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts {
        typed_account(account)?;
    }
    Ok(())
}

/// Asks for an account's id to be typed.
pub fn typed_account(account: &str) -> anyhow::Result<()> {
    let mut error = anstream::stderr();
    write!(error, "type {account} to go on: ").and_then(|()| error.flush()).context("asking on the terminal")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("reading the answer")?;
    if line.trim() == account {
        return Ok(());
    }
    Err(ExitError::bad_use(format!("{:?} is not {account}; nothing was done", line.trim())))
}

async fn dry_run(global: &Global, cx: &Context, plan: &Plan, steps: &[Step]) -> anyhow::Result<Exit> {
    let recheck = Arc::new(FreshFacts::new(cx.clone()));
    let mut rows = Vec::new();
    let mut drifted = false;
    for step in steps {
        let verdict = would(cx, &*recheck, step).await;
        drifted |= verdict.is_err();
        let (status, message) = match verdict {
            Ok(()) => ("would", format!("would {}", step.words())),
            Err(why) => ("skipped", why),
        };
        rows.push(RowJson {
            remediation: None,
            resource: step.key.id.to_string(),
            act: step.act.word().to_owned(),
            status,
            message,
        });
    }
    show(global, plan, true, rows)?;
    Ok(if drifted { Exit::Stale } else { Exit::Done })
}

/// What J4 would say about a step, as far as reading can tell.
async fn would(cx: &Context, recheck: &dyn Recheck, step: &Step) -> Result<(), String> {
    let fresh = cx.cloud.describe(&step.key).await.map_err(|error| error.to_string())?;
    let changes = step.fingerprint.changes(&Fingerprint::of(&fresh, &cx.settings.tags.ignore));
    if !changes.is_empty() {
        return Err(format!("it changed since the plan was made: {}", changes.join("; ")));
    }
    if let Some((_, why)) = guard::switched_off(step.act, &cx.switches()) {
        return Err(why);
    }
    if let Some((_, why)) = guard::refusal(step.act, &fresh, &cx.guard_rules(), &cx.prices, Reading::Fresh) {
        return Err(why);
    }
    match recheck.still_violates(step, &fresh).await? {
        StillViolates::Yes => Ok(()),
        StillViolates::No(why) => Err(format!("no longer violates: {why}")),
        StillViolates::Unknown(why) => Err(format!("could not be judged again: {why}")),
    }
}

fn print(global: &Global, plan: &Plan, acted: &ActOutcome) -> anyhow::Result<()> {
    let rows = acted
        .rows
        .iter()
        .map(|row| RowJson {
            remediation: row.id.map(|id| format!("r-{id}")),
            resource: row.resource.clone(),
            act: row.act.clone(),
            status: match row.progress {
                Progress::Ended(state) => state.status().word(),
                Progress::WaitUntil(_) | Progress::Held => "in_progress",
            },
            message: row.message.clone(),
        })
        .collect();
    show(global, plan, false, rows)
}

fn show(global: &Global, plan: &Plan, dry_run: bool, rows: Vec<RowJson>) -> anyhow::Result<()> {
    if global.output == Format::Json {
        return output::json(&Document { schema_version: SCHEMA_VERSION, plan: plan.id.clone(), dry_run, steps: rows });
    }
    if rows.is_empty() {
        return output::line("the plan has no steps");
    }
    let table = rows.into_iter().map(|row| {
        vec![row.remediation.unwrap_or_default(), row.resource, row.act, row.status.to_owned(), row.message]
    });
    output::print(&output::table(&["ID", "RESOURCE", "ACT", "STATUS", "RESULT"], table))
}

/// Stuck is 1, refused steps are 5 (the world has moved on), what is held or waits is 6.
pub fn exit(acted: &ActOutcome) -> Exit {
    let mut exit = Exit::Done;
    for row in &acted.rows {
        exit = exit.and(match row.progress {
            Progress::Ended(JournalState::Stuck) => Exit::Failed,
            Progress::Ended(JournalState::Refused | JournalState::Aborted) => Exit::Stale,
            Progress::Ended(_) => Exit::Done,
            Progress::Held | Progress::WaitUntil(_) => Exit::Held,
        });
    }
    exit
}
