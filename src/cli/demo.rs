//! `demo`: 45 days of unattended work on a simulated account, in seconds, with no AWS and no network.
//!
//! The code is the production code: only the account, the clock and the mail backend differ. `story` prints
//! a timeline; the state, every mail with its PDF, and the last plan are left in a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::Args as ClapArgs;

use super::exit::{Exit, ExitError};
use super::story::Story;
use super::{Global, plan};
use crate::app::WorldApp;
use crate::cloud::CloudAct;
use crate::cloud::sim::World;
use crate::domain::mode::{Arming, Mode};
use crate::domain::report::ReportKind;
use crate::store::{FILE_NAME, Store};
use crate::worker::jobs::plan::plan as make_plan;
use crate::worker::jobs::report;
use crate::worker::nightly::{Loaded, Nightly};
use crate::worker::outlets::Outlets;
use crate::worker::play::{Down, play};
use crate::worker::schedule::Schedule;

/// Flags of `demo`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Another world (see docs/worlds.md)
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// Days to play; the world's own number when absent
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Folder for what it leaves
    #[arg(long, value_name = "FOLDER", default_value = "costwarden-demo")]
    dir: PathBuf,
}

/// Plays and tells.
pub async fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let world = match &args.world {
        Some(file) => World::load(file),
        None => World::demo(),
    }
    .map_err(ExitError::bad_use)?;
    let days = args.days.unwrap_or(world.days);
    prepare(&args.dir)?;
    let app = WorldApp::open(world, Mode::Enforce).map_err(|error| ExitError::bad_use(format!("{error:#}")))?;
    let until = app.world.start + TimeDelta::days(i64::from(days));
    let context = app.context(Store::in_memory()?)?;
    arm(&app, &context.store)?;
    let schedule = Schedule::new(&app.settings.schedule, app.settings.zone)?;
    let outlets = Arc::new(Outlets::folders(&args.dir, "costwarden@example.com")?);
    let actor: Arc<dyn CloudAct> = Arc::new(app.cloud.actor());
    let nightly = Nightly::new(Loaded { context, outlets }, actor, Box::new(|_| bail!("a world does not reload")));
    let downtime: Vec<Down> =
        app.world.downtime.iter().map(|down| Down { from: down.from, until: down.until }).collect();

    let mut story = Story::new(global.quiet, app.world.start);
    story.opening(&app, days)?;
    play(
        &nightly,
        &schedule,
        &app.clock,
        until,
        &downtime,
        |nightly| {
            let mut context = nightly.context();
            context.settings = Arc::new(app.settings_at(app.clock.now()));
            nightly.replace(context);
            Ok(())
        },
        |nightly, played| story.tell(nightly, played),
    )
    .await?;

    let cx = nightly.context();
    let last = make_plan(&cx, false).await?;
    plan::write(&args.dir.join("last-plan.json"), &last.plan)?;
    cx.store.save_to(&args.dir.join(FILE_NAME)).context("saving the state")?;
    let report = report::make(&cx, ReportKind::Weekly)?;
    let mail = args.dir.join("mail");
    let first = last_weekly(&mail).unwrap_or_else(|| mail.clone());
    story.closing(&args.dir, count(&mail), &first, &report)?;
    Ok(Exit::Done)
}

/// An empty folder of our own: a former demo's is emptied, anything else is left alone.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    const MARK: &str = ".costwarden-demo";
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries.count(),
        Err(_) => 0,
    };
    if entries > 0 {
        if !folder.join(MARK).exists() {
            return Err(ExitError::bad_use(format!(
                "{} is not empty and was not made by a demo; give another folder with --dir",
                folder.display()
            )));
        }
        std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(folder.join(MARK), "made by `costwarden demo`\n").context("writing into the demo's folder")
}

/// A world in mode enforce is armed openly: nobody is there to type.
fn arm(app: &WorldApp, store: &Store) -> anyhow::Result<()> {
    let rules = crate::engine::ruleset::Ruleset::compile(&app.policies)?;
    for account in &app.settings.accounts {
        store.arm(&Arming {
            account: account.id.clone(),
            by: "the demo".to_owned(),
            at: app.world.start,
            until: app.world.start + TimeDelta::days(90),
            policies: rules.hashes.clone().into_iter().collect(),
        })?;
    }
    Ok(())
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map(|entries| entries.count()).unwrap_or(0)
}

/// The last weekly report's mail.
fn last_weekly(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|mail| mail.contains("Weekly Compliance Report")))
        .collect();
    found.sort();
    found.pop()
}
