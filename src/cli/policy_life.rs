//! `policy list`, `show`, `history` and the steps of a policy's life: from draft over review into force and out again.
//!
//! Parses, asks `worker::policies`, prints. A step that the life cycle refuses is bad use (2) and says what is possible.

use std::path::PathBuf;

use anyhow::Result;
use chrono::{NaiveDate, NaiveTime};
use clap::{Subcommand, ValueEnum};

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::policy_json::{
    AppliedJson, PolicyApplyDocument, PolicyHistoryDocument, PolicyJson, PolicyListDocument, PolicyShowDocument,
    PolicyStepDocument, VersionJson,
};
use super::{Global, open, policy_diff, policy_review};
use crate::checks;
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::lifecycle::{PolicyRecord, SemVer};
use crate::domain::text::clean;
use crate::policy::EnforcementMode;
use crate::policy::lifecycle::{By, Edit, contents};
use crate::settings::{self, read_text};
use crate::store::Store;
use crate::worker::policies::import::{Import, import};
use crate::worker::policies::{Desk, Done, PolicyError, draft, find, storable};

/// The commands of the life cycle. A policy is named by its id, or by its name where one policy has it.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Policies of the store, and where each stands
    List,
    /// One policy: where it stands, who is asked, what is in force, and its document
    Show {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Every version and everything that happened
    History {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Make a draft from a file with one policy
    Create {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        by: ByArg,
    },
    /// A new version; minor or major is derived from what changed
    Update {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The change in words; derived when absent
        #[arg(long, value_name = "TEXT")]
        summary: Option<String>,
        /// Reviewers in place of the last ones, by mail address; may be given several times
        #[arg(long, value_name = "ADDRESS")]
        reviewer: Vec<String>,
        #[command(flatten)]
        by: ByArg,
    },
    /// Send a draft to its reviewers, all of whom must approve
    Submit {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// A reviewer, by mail address; may be given several times
        #[arg(long, value_name = "ADDRESS", required = true)]
        reviewer: Vec<String>,
        #[command(flatten)]
        by: ByArg,
    },
    /// A reviewer's yes
    Approve {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// The version that was looked at; another one is refused
        #[arg(long, value_name = "VERSION")]
        of: Option<SemVer>,
        /// What goes with it
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        #[command(flatten)]
        by: ByArg,
    },
    /// A reviewer's no: back to draft
    RequestChanges {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// What must change
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        by: ByArg,
    },
    /// Put an approved version in force
    Activate {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// From this day on (UTC); now when absent
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
        #[command(flatten)]
        by: ByArg,
    },
    /// Announce the end of a policy; it is in force until the day
    Deprecate {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// First day on which it is not in force (UTC)
        #[arg(long, value_name = "DATE")]
        on: NaiveDate,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The policy that takes its place
        #[arg(long, value_name = "ID")]
        replaced_by: Option<String>,
        #[command(flatten)]
        by: ByArg,
    },
    /// Put a policy whose last day has passed away
    Archive {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        by: ByArg,
    },
    /// Switch the mode, as a version of its own; a milder one holds at once, a stricter one after its review
    Mode {
        /// The policy
        #[arg(value_name = "ID")]
        id: String,
        /// The mode
        #[arg(value_enum, value_name = "MODE")]
        mode: ModeArg,
        #[command(flatten)]
        by: ByArg,
    },
    /// Compare two policies, versions or files: the text, and what appears or vanishes on the last stored night
    Diff(policy_diff::Args),
    /// The periodic review of all policies: age, last review, hits, exceptions, savings, what is stale
    Review(policy_review::Args),
    /// Bring the policies of files into the store, and say what changed
    Apply {
        /// Files, and folders of policy files
        #[arg(value_name = "DIR", required = true)]
        paths: Vec<PathBuf>,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        by: ByArg,
    },
}

/// Who does it.
#[derive(Debug, clap::Args)]
pub struct ByArg {
    /// Who does it, best as a mail address; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// A mode.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeArg {
    /// Findings lead to notices and acts
    Enforce,
    /// Findings are told, never acted on
    Monitor,
    /// Not evaluated
    Disabled,
}

/// Runs a command.
///
/// # Errors
/// What the life cycle refuses, and wrong documents: bad use. The state cannot be read or written.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::List => list(global),
        Command::Show { id } => show(global, id),
        Command::History { id } => history(global, id),
        Command::Create { file, by } => step(global, by, |desk, by| desk.create(&draft(file, &read_text(file)?)?, by)),
        Command::Update { id, file, summary, reviewer, by } => step(global, by, |desk, by| {
            let reviewers = (!reviewer.is_empty()).then_some(reviewer.as_slice());
            desk.update(id, &draft(file, &read_text(file)?)?, by, Edit { summary: summary.as_deref(), reviewers })
        }),
        Command::Submit { id, reviewer, by } => step(global, by, |desk, by| desk.submit(id, reviewer, by)),
        Command::Approve { id, of, comment, by } => {
            step(global, by, |desk, by| desk.approve(id, *of, comment.as_deref(), by))
        }
        Command::RequestChanges { id, reason, by } => step(global, by, |desk, by| desk.request_changes(id, reason, by)),
        Command::Activate { id, on, by } => step(global, by, |desk, by| desk.activate(id, on.map(midnight), by)),
        Command::Deprecate { id, on, reason, replaced_by, by } => {
            step(global, by, |desk, by| desk.deprecate(id, midnight(*on), reason, replaced_by.as_deref(), by))
        }
        Command::Archive { id, by } => step(global, by, |desk, by| desk.archive(id, by)),
        Command::Mode { id, mode, by } => step(global, by, |desk, by| {
            let mode = match mode {
                ModeArg::Enforce => EnforcementMode::Enforce,
                ModeArg::Monitor => EnforcementMode::Monitor,
                ModeArg::Disabled => EnforcementMode::Disabled,
            };
            desk.update_enforcement_mode(id, mode, by)
        }),
        Command::Diff(args) => policy_diff::run(global, args),
        Command::Review(args) => policy_review::run(global, args),
        Command::Apply { paths, dry_run, by } => apply(global, paths, *dry_run, by),
    }
}

/// What went wrong, with its exit code: the state's own failures are failures, all else is bad use.
pub fn told(error: PolicyError) -> anyhow::Error {
    match error {
        PolicyError::Store(error) => error.into(),
        PolicyError::Message(error) => error,
        other => ExitError::bad_use(other),
    }
}

fn step(
    global: &Global,
    by: &ByArg,
    work: impl FnOnce(&Desk<'_>, By<'_>) -> Result<Done, PolicyError>,
) -> Result<Exit> {
    let who = open::by(by.by.as_deref())?;
    let settings = open::settings(global)?;
    let store = open::typed_store(&settings)?;
    let desk = Desk { store: &store, everyone: &settings.reports.to, zone: settings.zone };
    let now = Clock::System.now();
    let done = work(&desk, By { who: &who, at: now }).map_err(told)?;
    let record = &done.record;
    if global.output == Format::Json {
        output::json(&PolicyStepDocument {
            schema_version: SCHEMA_VERSION,
            policy: PolicyJson::of(record, now),
            happened: &done.happened,
            messages: done.mails,
        })?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{} {} is in stage {}", record.id, record.version, record.stage_at(now)))?;
    if done.happened.is_empty() {
        output::tell("nothing changed");
    }
    for line in &done.happened {
        output::tell(&format!("  {}", clean(line)));
    }
    if done.mails > 0 {
        let plural = if done.mails == 1 { "" } else { "s" };
        output::tell(&format!("  {} message{plural} in the outbox", done.mails));
    }
    Ok(Exit::Done)
}

fn list(global: &Global) -> Result<Exit> {
    let (store, now) = (read(global)?, Clock::System.now());
    let records = store.policies()?;
    if global.output == Format::Json {
        let policies = records.iter().map(|record| PolicyJson::of(record, now)).collect();
        output::json(&PolicyListDocument { schema_version: SCHEMA_VERSION, at: now, policies })?;
        return Ok(Exit::Done);
    }
    if records.is_empty() {
        output::tell(
            "no policies in the store; `costwarden policy create FILE` or `policy apply FOLDER` brings them there",
        );
        return Ok(Exit::Done);
    }
    let rows = records.iter().map(|record| {
        let force = record.in_force(now).map_or_else(|| "-".to_owned(), |force| force.version.to_string());
        vec![
            record.id.clone(),
            record.version.to_string(),
            record.stage_at(now).to_string(),
            record.brake_at(now).map_or_else(|| force.clone(), |brake| format!("{force} ({brake})")),
            record.review.as_ref().map_or_else(String::new, |review| review.waiting().join(", ")),
        ]
    });
    output::print(&output::table(&["ID", "LATEST", "STAGE", "IN FORCE", "WAITS FOR"], rows))?;
    Ok(Exit::Done)
}

fn show(global: &Global, id: &str) -> Result<Exit> {
    let (store, now) = (read(global)?, Clock::System.now());
    let record = find(&store, id).map_err(told)?;
    let latest = store.policy_version(&record.id, record.seq)?;
    let text = latest.as_ref().map_or("", |version| version.text.as_str());
    if global.output == Format::Json {
        let policy = PolicyJson::of(&record, now);
        output::json(&PolicyShowDocument { schema_version: SCHEMA_VERSION, policy, content: text })?;
        return Ok(Exit::Done);
    }
    output::print(&page(&record, now))?;
    output::line("")?;
    let lines: Vec<String> = text.lines().map(clean).collect();
    output::print(&format!("{}\n", lines.join("\n")))?;
    Ok(Exit::Done)
}

fn page(record: &PolicyRecord, now: Instant) -> String {
    let mut text = format!("{}  {}  {}\n\n", record.id, record.version, record.stage_at(now));
    let mut fact = |name: &str, value: String| text += &format!("{name:<14}{}\n", clean(&value));
    fact("name", record.name.clone());
    fact("hash", record.hash.clone());
    fact("created", format!("{} by {}", minute(record.created_at), record.created_by));
    let force = |force: &crate::domain::lifecycle::Force| format!("{} since {}", force.version, minute(force.from));
    fact("in force", record.in_force(now).map_or_else(|| "no version".to_owned(), force));
    if let Some(next) = record.next.as_ref().filter(|next| next.from > now) {
        fact("next", format!("{} from {}", next.version, minute(next.from)));
    }
    if let Some(brake) = record.brake_at(now) {
        fact("limited to", brake.to_string());
    }
    for reviewer in record.review.iter().flat_map(|review| &review.reviewers) {
        let said = reviewer.comment.as_ref().map_or_else(String::new, |comment| format!(": {comment}"));
        let answer =
            reviewer.approved_at.map_or_else(|| "waits".to_owned(), |at| format!("approved {}{said}", minute(at)));
        fact("reviewer", format!("{}, {answer}", reviewer.who));
    }
    if let Some(end) = &record.deprecation {
        let instead = end.replaced_by.as_ref().map_or_else(String::new, |id| format!(", replaced by {id}"));
        fact("ends", format!("{}: {}{instead}", minute(end.on), end.reason));
    }
    text
}

fn history(global: &Global, id: &str) -> Result<Exit> {
    let store = read(global)?;
    let record = find(&store, id).map_err(told)?;
    let (versions, events) = (store.policy_versions(&record.id)?, store.policy_events(&record.id)?);
    if global.output == Format::Json {
        output::json(&PolicyHistoryDocument {
            schema_version: SCHEMA_VERSION,
            policy: &record.id,
            versions: VersionJson::list(&versions),
            events: &events,
        })?;
        return Ok(Exit::Done);
    }
    let rows = versions.iter().map(|version| {
        vec![
            version.seq.to_string(),
            version.version.to_string(),
            minute(version.at),
            version.by.clone(),
            version.change.to_string(),
            version.summary.clone(),
        ]
    });
    output::print(&output::table(&["NO", "VERSION", "WHEN", "BY", "CHANGE", "SUMMARY"], rows))?;
    output::line("")?;
    let rows = events.iter().map(|event| {
        vec![minute(event.at), event.by.clone(), event.what.clone(), event.version.to_string(), event.detail.clone()]
    });
    output::print(&output::table(&["WHEN", "BY", "WHAT", "VERSION", "DETAIL"], rows))?;
    Ok(Exit::Done)
}

fn apply(global: &Global, paths: &[PathBuf], dry_run: bool, by: &ByArg) -> Result<Exit> {
    let who = open::by(by.by.as_deref())?;
    let checks = checks::infos();
    // Every mistake of every file before anything is written; a name that stands twice is one.
    settings::load_policies(paths, &checks).map_err(ExitError::bad_use)?;
    let mut documents = Vec::new();
    for path in paths {
        for file in settings::policy_files(path).map_err(ExitError::bad_use)? {
            let text = read_text(&file).map_err(ExitError::bad_use)?;
            let found = contents(&file, &text, &checks).map_err(ExitError::bad_use)?;
            for content in &found {
                storable(&file, content).map_err(ExitError::bad_use)?;
            }
            documents.extend(found.into_iter().map(|content| (file.clone(), content)));
        }
    }
    let settings = open::settings(global)?;
    // A dry run works on a copy, so that it cannot write by mistake; without a state there is nothing to copy.
    let store = match (dry_run, open::existing(&settings.state_dir)) {
        (true, Ok(file)) => Store::open_read_only(&file)?,
        (true, Err(_)) => Store::in_memory()?,
        (false, _) => open::typed_store(&settings)?,
    };
    let desk = Desk { store: &store, everyone: &settings.reports.to, zone: settings.zone };
    let by = By { who: &who, at: Clock::System.now() };
    let rows = import(&desk, &documents, by, dry_run).map_err(told)?;
    let refused = rows.iter().any(|row| row.what == Import::Refused);
    let exit = if refused { Exit::Failed } else { Exit::Done };
    if global.output == Format::Json {
        let policies = rows
            .iter()
            .map(|row| AppliedJson {
                name: &row.name,
                id: row.id.as_deref(),
                result: row.what.word(),
                detail: &row.detail,
                file: row.file.as_ref().map(|file| file.display().to_string()),
            })
            .collect();
        output::json(&PolicyApplyDocument { schema_version: SCHEMA_VERSION, dry_run, policies })?;
        return Ok(exit);
    }
    let table = rows.iter().map(|row| vec![row.name.clone(), row.what.word().to_owned(), row.detail.clone()]);
    output::print(&output::table(&["POLICY", "RESULT", "DETAIL"], table))?;
    if dry_run {
        output::tell("nothing was written: this was a dry run");
    }
    Ok(exit)
}

fn read(global: &Global) -> Result<Store> {
    open::read_store_in(&open::state_dir(global)?)
}

fn midnight(day: NaiveDate) -> Instant {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn minute(at: Instant) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}
