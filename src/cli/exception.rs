//! `exception`: ask for exceptions, decide on them, and see what holds and what it costs.
//!
//! Parses, asks `worker::exceptions`, prints. What the rules refuse is bad use (2) and says what is possible. Listing,
//! showing and reporting only read; with `--db` they do not read the settings.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::exception::{ExceptionEvent, ExceptionRecord, ExceptionStatus, ExceptionType, ExceptionUse};
use crate::domain::finding::{Finding, State};
use crate::domain::text::clean;
use crate::engine::exceptions::Wish;
use crate::store::{FindingFilter, Store};
use crate::worker::exceptions::report::{ExceptionJson, ExceptionReport, Filter, report};
use crate::worker::exceptions::{By, Desk, Done, ExceptionError, Target, find};

/// The commands below `exception`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask that a rule does not lead to an act on a resource
    Request(RequestArgs),
    /// An approver's yes; the days run from here
    Approve {
        /// The exception; the beginning of its id is enough
        #[arg(value_name = "ID")]
        id: String,
        /// What goes with it
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        #[command(flatten)]
        by: ByArg,
    },
    /// An approver's no
    Reject(ReasonArgs),
    /// Take a granted exception back; a full new grace period begins
    Revoke(ReasonArgs),
    /// Grant more days, or say that a permanent one was reviewed and stays
    Renew {
        /// The exception; the beginning of its id is enough
        #[arg(value_name = "ID")]
        id: String,
        /// Days from now; only where it ends by a date
        #[arg(long, value_name = "N")]
        days: Option<i64>,
        #[command(flatten)]
        by: ByArg,
    },
    /// Exceptions, oldest request first
    List(FilterArgs),
    /// One exception: its request, what happened, which scans used it
    Show {
        /// The exception; the beginning of its id is enough
        #[arg(value_name = "ID")]
        id: String,
    },
    /// How many of each sort, what ends soon, what needs a review, what they cost
    Report(FilterArgs),
}

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct RequestArgs {
    /// The finding's id, or the resource's where it has one finding
    #[arg(value_name = "FINDING")]
    of: String,
    /// Only a finding of this policy
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only a finding of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only a finding in this account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// For so many days, counted from the approval
    #[arg(long, value_name = "N", conflicts_with = "permanent")]
    days: Option<i64>,
    /// Without an end, as long as it is reviewed
    #[arg(long, conflicts_with = "while_true")]
    permanent: bool,
    /// As long as this condition over the resource holds; `schema --fields` lists the names
    #[arg(long = "while", value_name = "CEL")]
    while_true: Option<String>,
    /// Days from one review to the next, for those without an end; 90 when absent
    #[arg(long, value_name = "N")]
    review_days: Option<i64>,
    /// Why; shown wherever the exception is
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    by: ByArg,
}

/// A step that needs a reason.
#[derive(Debug, clap::Args)]
pub struct ReasonArgs {
    /// The exception; the beginning of its id is enough
    #[arg(value_name = "ID")]
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    by: ByArg,
}

/// Which exceptions.
#[derive(Debug, clap::Args)]
pub struct FilterArgs {
    /// Only those that stand so now
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<StatusArg>,
    /// Only those of this policy
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only those that this person asked for
    #[arg(long, value_name = "NAME")]
    requested_by: Option<String>,
}

/// Who does it.
#[derive(Debug, clap::Args)]
pub struct ByArg {
    /// Who does it, best as a mail address; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl ByArg {
    /// The person.
    ///
    /// # Errors
    /// Nobody is named.
    pub fn who(&self) -> Result<String> {
        open::by(self.by.as_deref())
    }
}

/// Where an exception stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StatusArg {
    /// Asked for, not answered
    Pending,
    /// Granted and in force
    Approved,
    /// Refused
    Rejected,
    /// Over
    Expired,
    /// Taken back
    Revoked,
}

/// What `exception list -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct ExceptionsDocument {
    /// Version of this shape.
    pub schema_version: u32,
    /// When; the statuses are those of this instant.
    pub at: Instant,
    /// Oldest request first.
    pub exceptions: Vec<ExceptionJson>,
}

/// What `exception show -o json` prints, and the steps with their messages.
#[derive(Serialize, JsonSchema)]
pub struct ExceptionDocument {
    /// Version of this shape.
    pub schema_version: u32,
    /// When.
    pub at: Instant,
    /// In short.
    pub exception: ExceptionJson,
    /// Every field, as stored.
    pub record: ExceptionRecord,
    /// What happened, oldest first.
    pub events: Vec<ExceptionEvent>,
    /// The scans that used it.
    pub uses: Vec<ExceptionUse>,
    /// Who is told by the step that was just done.
    pub told: Vec<String>,
}

/// Runs a command.
///
/// # Errors
/// What the rules of exceptions refuse: bad use. The state cannot be read or written.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::Request(args) => step(global, &args.by, |desk, by| request(desk, args, by)),
        Command::Approve { id, comment, by } => step(global, by, |desk, by| desk.approve(id, comment.as_deref(), by)),
        Command::Reject(args) => step(global, &args.by, |desk, by| desk.reject(&args.id, &args.reason, by)),
        Command::Revoke(args) => step(global, &args.by, |desk, by| desk.revoke(&args.id, &args.reason, by)),
        Command::Renew { id, days, by } => step(global, by, |desk, by| desk.renew(id, *days, by)),
        Command::List(args) => list(global, args),
        Command::Show { id } => {
            let store = open::read_store_in(&open::state_dir(global)?)?;
            let record = find(&store, id).map_err(told)?;
            show(global, &store, record, Vec::new())
        }
        Command::Report(args) => summary(global, args),
    }
}

/// What went wrong, with its exit code: the state's own failures are failures, all else is bad use.
pub fn told(error: ExceptionError) -> anyhow::Error {
    match error {
        ExceptionError::Store(error) => error.into(),
        ExceptionError::Message(error) => error,
        other => ExitError::bad_use(other),
    }
}

fn request(desk: &Desk<'_>, args: &RequestArgs, by: By<'_>) -> Result<Done, ExceptionError> {
    let target = Target {
        of: args.of.clone(),
        policy: args.policy.clone(),
        rule: args.rule.clone(),
        account: args.account.clone(),
    };
    let exception_type = match (&args.while_true, args.permanent) {
        (Some(_), _) => ExceptionType::Conditional,
        (None, true) => ExceptionType::Permanent,
        (None, false) => ExceptionType::Temporary,
    };
    let wish = Wish {
        exception_type,
        days: args.days,
        condition: args.while_true.as_deref(),
        review_days: args.review_days,
        justification: &args.reason,
        by: by.who,
    };
    desk.request(&target, &wish, by.at)
}

fn step(
    global: &Global,
    by: &ByArg,
    work: impl FnOnce(&Desk<'_>, By<'_>) -> Result<Done, ExceptionError>,
) -> Result<Exit> {
    let who = by.who()?;
    let settings = open::settings(global)?;
    let store = open::typed_store(&settings)?;
    let done = work(&Desk::of(&store, &settings), By { who: &who, at: Clock::System.now() }).map_err(told)?;
    show(global, &store, done.record, done.told)
}

fn show(global: &Global, store: &Store, record: ExceptionRecord, told: Vec<String>) -> Result<Exit> {
    let now = Clock::System.now();
    let exception = ExceptionJson::of(&record, &covered(store)?, now);
    let (events, uses) = (store.exception_events(&record.id)?, store.exception_uses(&record.id)?);
    if global.output == Format::Json {
        let schema_version = SCHEMA_VERSION;
        output::json(&ExceptionDocument { schema_version, at: now, exception, record, events, uses, told })?;
        return Ok(Exit::Done);
    }
    output::print(&page(&record, &exception, uses.len()))?;
    for event in &events {
        let words = format!("{}  {} by {}: {}", minute(event.at), event.what, event.by, event.detail);
        output::line(&clean(&words))?;
    }
    if !told.is_empty() {
        output::tell(&format!("  in the outbox: {}", clean(&told.join(", "))));
    }
    Ok(Exit::Done)
}

fn page(record: &ExceptionRecord, exception: &ExceptionJson, uses: usize) -> String {
    let overdue = if exception.overdue { ", review overdue" } else { "" };
    let mut text = format!("{}  {}{overdue}\n\n", record.id, exception.status);
    let mut fact = |name: &str, value: String| text += &format!("{name:<14}{}\n", clean(&value));
    fact("resource", format!("{} in account {}", record.resource_id, record.account));
    fact("from", format!("{} / {}", record.policy_name, record.rule_name));
    fact("how long", record.length());
    fact("why", record.justification.clone());
    fact("asked", format!("{} by {}", minute(record.requested_at), record.requested_by));
    if let (Some(who), Some(at)) = (&record.approved_by, record.approved_at) {
        fact("approved", format!("{} by {who}", minute(at)));
    }
    match (record.holds_through(), record.asked()) {
        (Some(end), _) => fact("holds through", minute(end)),
        (None, Some(asked)) => fact("asked, holds", minute(asked.until)),
        (None, None) => {}
    }
    if let Some(why) = &record.ended_because {
        fact("ended", why.clone());
    }
    fact("a month", exception.monthly_usd.map_or_else(|| "unknown".into(), |usd| format!("${usd:.2}")));
    fact("used", format!("{uses} times"));
    text.push('\n');
    text
}

fn list(global: &Global, args: &FilterArgs) -> Result<Exit> {
    let store = open::read_store_in(&open::state_dir(global)?)?;
    let (now, filter, findings) = (Clock::System.now(), args.filter(), covered(&store)?);
    let chosen = store.exceptions()?.into_iter().filter(|own| filter.takes(own, now));
    let exceptions: Vec<ExceptionJson> = chosen.map(|own| ExceptionJson::of(&own, &findings, now)).collect();
    if global.output == Format::Json {
        output::json(&ExceptionsDocument { schema_version: SCHEMA_VERSION, at: now, exceptions })?;
        return Ok(Exit::Done);
    }
    if exceptions.is_empty() {
        output::tell("no exceptions; those of the settings file stand there");
        return Ok(Exit::Done);
    }
    output::print(&table(&exceptions))?;
    Ok(Exit::Done)
}

fn summary(global: &Global, args: &FilterArgs) -> Result<Exit> {
    let store = open::read_store_in(&open::state_dir(global)?)?;
    let made = report(&store.exceptions()?, &covered(&store)?, &args.filter(), Clock::System.now());
    if global.output == Format::Json {
        output::json(&made)?;
        return Ok(Exit::Done);
    }
    output::print(&text(&made))?;
    Ok(Exit::Done)
}

fn text(made: &ExceptionReport) -> String {
    let cost = made.total_cost_excepted.map_or_else(|| "unknown".to_owned(), |usd| format!("${usd:.2}"));
    let mut text = format!("{} exceptions, {cost} a month under them\n", made.total);
    for (name, count) in &made.by_status {
        text += &format!("{count:>6}  {name}\n");
    }
    let lists = [
        ("Over within seven days", &made.expiring_soon),
        ("Review overdue", &made.needing_review),
        ("Over", &made.expired),
    ];
    for (heading, rows) in lists.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        text += &format!("\n{heading}\n{}", table(rows));
    }
    text
}

fn table(list: &[ExceptionJson]) -> String {
    let rows = list.iter().map(|own| {
        vec![
            own.id.clone(),
            if own.overdue { format!("{}, overdue", own.status) } else { own.status.to_string() },
            own.resource_id.clone(),
            format!("{}/{}", own.policy_name, own.rule_name),
            own.holds_through.map_or_else(|| "-".into(), minute),
            own.monthly_usd.map_or_else(|| "unknown".into(), |usd| format!("{usd:.2}")),
            own.requested_by.clone(),
        ]
    });
    output::table(&["ID", "STATUS", "RESOURCE", "POLICY/RULE", "HOLDS THROUGH", "USD/MONTH", "ASKED BY"], rows)
}

/// Findings that an exception may cover.
fn covered(store: &Store) -> Result<Vec<Finding>> {
    let filter = FindingFilter { states: vec![State::Open, State::Excepted], ..FindingFilter::default() };
    Ok(store.findings(&filter)?)
}

fn minute(at: Instant) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        let status = self.status.map(|status| match status {
            StatusArg::Pending => ExceptionStatus::Pending,
            StatusArg::Approved => ExceptionStatus::Approved,
            StatusArg::Rejected => ExceptionStatus::Rejected,
            StatusArg::Expired => ExceptionStatus::Expired,
            StatusArg::Revoked => ExceptionStatus::Revoked,
        });
        Filter { status, policy_name: self.policy.clone(), requested_by: self.requested_by.clone() }
    }
}
