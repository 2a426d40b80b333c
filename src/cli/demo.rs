//! `demo`: 45 days of unattended work on a simulated account, in seconds, with no AWS and no network.
//!
//! The code is the production code: only the account, the clock and the mail backend differ. It prints a timeline and
//! leaves the state, every mail with its PDF, and the last plan in a folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::Args as ClapArgs;

use super::exit::{Exit, ExitError};
use super::{Global, output, plan};
use crate::app::WorldApp;
use crate::cloud::CloudAct;
use crate::cloud::sim::World;
use crate::domain::Instant;
use crate::domain::finding::FindingId;
use crate::domain::mode::{Arming, Mode};
use crate::domain::plan::{Held, HoldCode};
use crate::domain::remediation::JournalState;
use crate::domain::report::{Report, ReportKind};
use crate::domain::text::clean;
use crate::store::{FILE_NAME, Store};
use crate::worker::jobs::plan::plan as make_plan;
use crate::worker::jobs::report;
use crate::worker::nightly::{Loaded, Nightly};
use crate::worker::outlets::Outlets;
use crate::worker::play::{Down, Played, play};
use crate::worker::schedule::{Job, Schedule};

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

    let mut story = Story { quiet: global.quiet, told_until: app.world.start, held: HashSet::new() };
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
    story.closing(&args.dir, &report)?;
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

/// Tells what happened, once each.
struct Story {
    quiet: bool,
    told_until: Instant,
    held: HashSet<(FindingId, HoldCode)>,
}

impl Story {
    fn opening(&self, app: &WorldApp, days: u32) -> anyhow::Result<()> {
        self.line(&format!(
            "World {:?}: {} accounts, {days} days from {}. Mode {}. Nothing here is real.\n",
            app.world.name,
            app.world.accounts.len(),
            app.world.start.format("%a %d %b %Y"),
            app.settings.enforcement.mode.word()
        ))
    }

    /// Everything between the last call and now.
    fn tell(&mut self, nightly: &Nightly, played: &Played) -> anyhow::Result<()> {
        let cx = nightly.context();
        let until = cx.clock.now() + TimeDelta::microseconds(1);
        let from = std::mem::replace(&mut self.told_until, until);
        self.job(played)?;
        for event in cx.store.events_between(from, until)? {
            let word = match event.what.as_str() {
                "detected" | "notified" | "proven" => continue,
                "exception_ended" => "exempt until now",
                other => other,
            };
            let finding = cx.store.finding(&event.finding)?;
            let name = finding.map(|finding| format!("{} {}", finding.key.id, finding.name)).unwrap_or_default();
            self.row(event.at, word, &format!("{name}: {}", event.detail))?;
        }
        for (at, alert) in cx.store.budget_alerts_between(from, until)? {
            let words = format!(
                "{} / {}: {} % of {} spent ({})",
                alert.policy, alert.rule, alert.percent, alert.limit, alert.spent
            );
            self.row(at, "budget", &words)?;
        }
        for act in cx.store.remediations_between(from, until)? {
            let word = match act.state {
                JournalState::Done => "done",
                JournalState::Stuck => "STUCK",
                state if state.ended() => "refused",
                _ => "waiting",
            };
            let backups: Vec<&str> = act.snapshots.iter().filter_map(|backup| backup.snapshot.as_deref()).collect();
            let backup = if backups.is_empty() { String::new() } else { format!(" [backup {}]", backups.join(", ")) };
            let words =
                format!("{} {} {}: {}{backup}", act.step.act.words(), act.step.key.id, act.step.name, act.message);
            self.row(act.updated_at, word, &words)?;
        }
        if played.job == Job::Act && !played.missed {
            self.holds(nightly)?;
        }
        Ok(())
    }

    fn job(&self, played: &Played) -> anyhow::Result<()> {
        let word = match (played.missed, played.made_up) {
            (true, _) => format!("{} missed", played.job),
            (_, true) => format!("{} made up", played.job),
            _ => played.job.to_string(),
        };
        match &played.result {
            Ok(report) => self.row(played.at, &word, &report.message),
            Err(why) => self.row(played.at, &word, why),
        }
    }

    /// Held findings that are worth a word, each reason once.
    fn holds(&mut self, nightly: &Nightly) -> anyhow::Result<()> {
        let cx = nightly.context();
        let posture = crate::worker::jobs::plan::posture(&cx)?;
        let open = cx.store.findings_open()?;
        let input = crate::worker::jobs::plan::input(&cx, &posture, &open, false);
        let held: Vec<Held> = crate::engine::plan::select(&input).held;
        for row in held {
            let telling = matches!(
                row.code,
                HoldCode::Incomplete
                    | HoldCode::Pace
                    | HoldCode::ReportedOnly
                    | HoldCode::NotAvailable
                    | HoldCode::Breaker
            );
            if telling && self.held.insert((row.finding.clone(), row.code)) {
                self.row(cx.clock.now(), "held", &format!("{} {}: {}", row.key.id, row.name, row.reason))?;
            }
        }
        Ok(())
    }

    fn closing(&self, folder: &Path, report: &Report) -> anyhow::Result<()> {
        let mails = count(&folder.join("mail"));
        let score = match report.score {
            Some(score) => format!("{:.1} %", score.percent),
            None => "no data".to_owned(),
        };
        output::line("")?;
        output::line(&format!("Score {score}. {}", report.headline))?;
        output::line(&format!(
            "Done by itself: {} acts that save {} a month, {} so far. {mails} mails were sent.",
            report.realised.acts, report.realised.monthly, report.realised.to_date
        ))?;
        output::line(&format!("Everything is in {}: {FILE_NAME}, mail/, slack/, last-plan.json", folder.display()))?;
        let first = first_weekly(&folder.join("mail")).unwrap_or_else(|| folder.join("mail"));
        output::line(&format!("Open first: {}", first.display()))
    }

    fn row(&self, at: Instant, word: &str, words: &str) -> anyhow::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.line(&format!("{}  {word:<16}  {}", at.format("%a %d %b %H:%M"), clean(words)))
    }

    fn line(&self, text: &str) -> anyhow::Result<()> {
        if self.quiet { Ok(()) } else { output::line(text) }
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map(|entries| entries.count()).unwrap_or(0)
}

/// The last weekly report's mail.
fn first_weekly(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|mail| mail.contains("Weekly Compliance Report")))
        .collect();
    found.sort();
    found.pop()
}
