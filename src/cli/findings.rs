//! `findings list` and `findings show`: what was found, where it stands, and everything that happened to it.
//!
//! Both only read the state. Phases are those of this very moment, not of the last scan. Names, tags and messages come
//! from other people and are cleaned for the terminal.

use std::borrow::Cow;

use anyhow::Result;
use clap::Subcommand;
use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::json::{FindingJson, FindingsDocument, not_acted_on};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, Phase, Severity, State};
use crate::domain::money::Usd;
use crate::domain::place::AccountId;
use crate::domain::remediation::Remediation;
use crate::domain::text::clean;
use crate::store::{FindingFilter, NoticeRow, Store};

/// The commands below `findings`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Findings, worst severity first, then most dollars a month
    List(ListArgs),
    /// All about one finding: evidence, clocks, notices, acts, history
    Show {
        /// Its id, or enough of its beginning
        id: String,
    },
}

/// Which findings to list. Lists are separated by commas.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// open, excepted, remediated, resolved
    #[arg(long, value_delimiter = ',', value_parser = state, default_value = "open,excepted", value_name = "STATE")]
    state: Vec<State>,
    /// watching, unnoticed, in_grace, escalated, due, acting, stuck, report_only
    #[arg(long, value_delimiter = ',', value_parser = phase, value_name = "PHASE")]
    phase: Vec<Phase>,
    /// critical, high, medium, low
    #[arg(long, value_delimiter = ',', value_name = "SEVERITY")]
    severity: Vec<Severity>,
    /// The policy's name
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The account, twelve digits
    #[arg(long, value_parser = AccountId::new, value_name = "ID")]
    account: Option<AccountId>,
    /// The owner's address
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// What `findings show -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct FindingDocument<'a> {
    /// Version of this shape.
    schema_version: u32,
    /// When it was asked; the phase is that of this instant.
    at: Instant,
    /// The finding.
    finding: FindingJson<'a>,
    /// Its clocks.
    clocks: Clocks<'a>,
    /// Every notice about it, in order.
    notices: Vec<Notice<'a>>,
    /// Everything that was done or tried, in order.
    acts: Vec<ActJson<'a>>,
    /// What happened to it, in order.
    history: Vec<Event<'a>>,
}

/// What is waited for.
#[derive(Serialize, JsonSchema)]
struct Clocks<'a> {
    /// The first delivered notice of this grace period.
    first_notice: Option<Instant>,
    /// The delivered second notice of an escalated finding.
    second_notice: Option<Instant>,
    /// The last delivered reminder.
    last_reminder: Option<Instant>,
    /// Nothing falls due before a second notice was delivered.
    needs_second_notice: bool,
    /// When the act falls due; `null` until a notice was delivered.
    due_at: Option<Instant>,
    /// The check allows no act before this instant, whatever the grace period says.
    act_not_before: Option<Instant>,
    /// The `costwarden:keep-until` tag holds through this day, UTC.
    keep_until: Option<String>,
    /// The exception that holds, with its reason.
    excepted_by: Option<&'a str>,
}

/// One notice.
#[derive(Serialize, JsonSchema)]
struct Notice<'a> {
    /// first, escalation, reminder, done or stuck.
    kind: &'static str,
    /// The recipient.
    to: &'a str,
    /// When it was decided.
    decided_at: Instant,
    /// When a channel accepted it; `null` while it waits.
    delivered_at: Option<Instant>,
    /// When its message was given up.
    given_up_at: Option<Instant>,
}

/// One act.
#[derive(Serialize, JsonSchema)]
struct ActJson<'a> {
    /// `r-` and a number.
    id: String,
    /// For example `delete_volume`.
    act: &'static str,
    /// The journal's word for how far it is.
    state: &'static str,
    /// When it was claimed.
    claimed_at: Instant,
    /// Its last step.
    updated_at: Instant,
    /// Why it ended as it did, or what it waits for.
    message: &'a str,
}

/// One thing that happened.
#[derive(Serialize, JsonSchema)]
struct Event<'a> {
    /// When.
    at: Instant,
    /// One word.
    what: &'a str,
    /// In words.
    detail: &'a str,
}

/// Prints findings.
///
/// # Errors
/// No state, no such finding, or an id that several begin with.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    let store = open::read_store_in(&open::state_dir(global)?)?;
    let now = Clock::System.now();
    match command {
        Command::List(args) => list(global, &store, args, now)?,
        Command::Show { id } => show(global, &store, id, now)?,
    }
    Ok(Exit::Done)
}

fn list(global: &Global, store: &Store, args: &ListArgs, now: Instant) -> Result<()> {
    let filter = FindingFilter {
        states: args.state.clone(),
        phases: args.phase.clone(),
        severities: args.severity.clone(),
        policy: args.policy.clone(),
        account: args.account.clone(),
        owner: args.owner.clone(),
        limit: args.limit,
    };
    let mut findings = store.findings_at(&filter, now)?;
    if !args.phase.is_empty() {
        // A phase is where an open finding stands; a closed one still carries its last.
        findings.retain(|finding| finding.state == State::Open);
    }
    if global.output == Format::Json {
        return output::json(&FindingsDocument::new(&findings, now));
    }
    if findings.is_empty() {
        if !global.quiet {
            output::tell("no findings");
        }
        return Ok(());
    }
    output::print(&table_of(&findings, now))?;
    if !global.quiet {
        output::tell(&total(&findings));
    }
    Ok(())
}

/// Findings as a table for people; empty without any.
pub fn table_of(findings: &[Finding], now: Instant) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let columns = ["ID", "SEVERITY", "STATE", "RESOURCE", "NAME", "POLICY/RULE", "USD/MONTH", "DUE (UTC)", "OWNER"];
    output::table(&columns, findings.iter().map(|finding| row(finding, now)))
}

fn row(finding: &Finding, now: Instant) -> Vec<String> {
    vec![
        finding.id.0.clone(),
        finding.severity.to_string(),
        standing(finding, now),
        finding.key.id.to_string(),
        finding.name.clone(),
        format!("{}/{}", finding.policy, finding.rule),
        finding.savings.monthly.map_or("unknown".into(), Usd::plain),
        finding.clock.due_at.map_or_else(String::new, |due| due.format("%Y-%m-%d %H:%M").to_string()),
        finding.owner.clone().unwrap_or_default(),
    ]
}

/// The state, and of an open finding its phase.
fn standing(finding: &Finding, now: Instant) -> String {
    match finding.state {
        State::Open => format!("open, {}", finding.phase_at(now)),
        other => other.to_string(),
    }
}

fn total(findings: &[Finding]) -> String {
    let known: Usd = findings.iter().filter_map(|finding| finding.savings.monthly).sum();
    let unknown = findings.iter().filter(|finding| finding.savings.monthly.is_none()).count();
    let word = if findings.len() == 1 { "finding" } else { "findings" };
    let mut text = format!("{} {word}, {known} a month by their own figures", findings.len());
    if unknown > 0 {
        text += &format!(", {unknown} without a known price");
    }
    text
}

fn show(global: &Global, store: &Store, id: &str, now: Instant) -> Result<()> {
    let finding = pick(store.finding_by_prefix(id)?, id)?;
    let notices = store.notices_of(&finding.id)?;
    let acts = store.remediations_of_finding(&finding.id)?;
    let history = store.finding_events(&finding.id)?;
    if global.output == Format::Table {
        return output::print(&page(&finding, &notices, &acts, &history, now));
    }
    output::json(&FindingDocument {
        schema_version: SCHEMA_VERSION,
        at: now,
        finding: FindingJson::of(&finding, now),
        clocks: Clocks {
            first_notice: finding.clock.first_notice,
            second_notice: finding.clock.second_notice,
            last_reminder: finding.clock.last_reminder,
            needs_second_notice: finding.clock.needs_second,
            due_at: finding.clock.due_at,
            act_not_before: finding.act_not_before,
            keep_until: finding.keep_until.map(|day| day.to_string()),
            excepted_by: finding.excepted_by.as_deref(),
        },
        notices: notices.iter().map(Notice::of).collect(),
        acts: acts.iter().map(ActJson::of).collect(),
        history: history.iter().map(|event| Event { at: event.at, what: &event.what, detail: &event.detail }).collect(),
    })
}

/// The one finding that an id stands for.
fn pick(mut found: Vec<Finding>, id: &str) -> Result<Finding> {
    let id = clean(id);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(ExitError::with(
            Exit::Failed,
            format!("there is no finding {id:?}; an id is f- and 16 hexadecimal digits, or enough of its beginning"),
        )),
        _ => {
            let ids: Vec<&str> = found.iter().map(|finding| finding.id.0.as_str()).collect();
            Err(ExitError::bad_use(format!("{id:?} is not enough, several findings begin so: {}", ids.join(", "))))
        }
    }
}

fn page(
    finding: &Finding,
    notices: &[NoticeRow],
    acts: &[Remediation],
    history: &[FindingEvent],
    now: Instant,
) -> String {
    let key = &finding.key;
    let mut text =
        format!("{}  {}  {}\n{}\n\n", finding.id, finding.severity, standing(finding, now), clean(&finding.message));
    let mut fact = |name: &str, value: Cow<'_, str>| {
        if !value.is_empty() {
            text += &format!("{name:<14}{}\n", clean(&value));
        }
    };
    let at = |instant: Option<Instant>| Cow::Owned(instant.map_or_else(String::new, minute));
    fact("resource", format!("{} {}", key.kind(), key.id).into());
    fact("where", format!("{} {}", key.account(), key.region()).into());
    fact("name", finding.name.as_str().into());
    fact("rule", format!("{}/{} (check {})", finding.policy, finding.rule, finding.check).into());
    fact("version", finding.policy_version.as_deref().unwrap_or_default().into());
    fact("recommended", finding.act_words().unwrap_or_else(|| "report it".into()).into());
    fact("saves", savings(finding).into());
    fact("owner", finding.owner.as_deref().unwrap_or("nobody: no notice, and so no act").into());
    fact("reason", finding.reason.as_str().into());
    fact("not acted on", not_acted_on(finding).unwrap_or_default().into());
    fact("exception", finding.excepted_by.as_deref().unwrap_or_default().into());
    fact("detected", minute(finding.detected_at).into());
    fact("last seen", minute(finding.seen_at).into());
    fact("closed", at(finding.closed_at));
    fact("first notice", at(finding.clock.first_notice));
    fact("second notice", at(finding.clock.second_notice));
    fact("last reminder", at(finding.clock.last_reminder));
    fact("due", at(finding.clock.due_at));
    fact("not before", at(finding.act_not_before));
    let keep = finding.keep_until.map_or_else(String::new, |day| format!("{day} (its costwarden:keep-until tag)"));
    fact("kept until", keep.into());
    let mut section = |title: &str, columns: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            text += &format!("\n{title}\n{}", output::table(columns, rows));
        }
    };
    section(
        "Tags",
        &["KEY", "VALUE"],
        finding.tags.iter().map(|(key, value)| vec![key.into(), value.into()]).collect(),
    );
    section(
        "Evidence",
        &["FIGURE", "VALUE", "SOURCE", "READ"],
        finding
            .evidence
            .iter()
            .map(|row| {
                let value = format!("{} {}", row.value, row.unit);
                vec![row.name.clone(), value.trim_end().to_owned(), row.source.clone(), minute(row.at)]
            })
            .collect(),
    );
    section(
        "Notices",
        &["DECIDED", "NOTICE", "TO", "DELIVERED"],
        notices
            .iter()
            .map(|row| vec![minute(row.decided_at), row.kind.word().into(), row.to.clone(), delivery(row)])
            .collect(),
    );
    section(
        "Acts",
        &["CLAIMED", "ID", "ACT", "STATE", ""],
        acts.iter()
            .map(|row| {
                let id = format!("r-{}", row.id);
                let act = row.step.act.to_string();
                vec![minute(row.claimed_at), id, act, row.state.word().into(), row.message.clone()]
            })
            .collect(),
    );
    section(
        "History",
        &["WHEN", "WHAT", ""],
        history.iter().map(|event| vec![minute(event.at), event.what.clone(), event.detail.clone()]).collect(),
    );
    text
}

fn savings(finding: &Finding) -> String {
    let amount = finding.savings.monthly.map_or("an unknown amount".to_owned(), |usd| usd.to_string());
    format!("{amount} a month ({})", finding.savings.basis)
}

fn delivery(row: &NoticeRow) -> String {
    match (row.delivered_at, row.dead_at) {
        (Some(at), _) => minute(at),
        (None, Some(at)) => format!("given up {}", minute(at)),
        (None, None) => "waits".to_owned(),
    }
}

fn minute(at: Instant) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn state(text: &str) -> Result<State, String> {
    State::from_word(text).ok_or_else(|| "accepted: open, excepted, remediated, resolved".to_owned())
}

fn phase(text: &str) -> Result<Phase, String> {
    Phase::from_word(text)
        .ok_or_else(|| "accepted: watching, unnoticed, in_grace, escalated, due, acting, stuck, report_only".to_owned())
}

impl<'a> Notice<'a> {
    fn of(row: &'a NoticeRow) -> Notice<'a> {
        let NoticeRow { kind, to, decided_at, delivered_at, dead_at, .. } = row;
        let (decided_at, delivered_at, given_up_at) = (*decided_at, *delivered_at, *dead_at);
        Notice { kind: kind.word(), to, decided_at, delivered_at, given_up_at }
    }
}

impl<'a> ActJson<'a> {
    fn of(row: &'a Remediation) -> ActJson<'a> {
        ActJson {
            id: format!("r-{}", row.id),
            act: row.step.act.word(),
            state: row.state.word(),
            claimed_at: row.claimed_at,
            updated_at: row.updated_at,
            message: &row.message,
        }
    }
}
