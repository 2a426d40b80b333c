//! `approval`: every open question to people, of whatever kind, and the answers to those that have no command of their
//! own; and lifting the hold on a finding whose act somebody undid.
//!
//! The one table of approvals holds policy reviews, requests, exceptions and acts. An exception is answered by the rules
//! of exceptions whichever command is used; a policy review only by `policy approve`.

use anyhow::Result;
use clap::Subcommand;
use schemars::JsonSchema;
use serde::Serialize;

use super::exception::{ByArg, told};
use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::act_approval::ActRequest;
use crate::domain::finding::FindingId;
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};
use crate::domain::login::Login;
use crate::domain::person::same_name;
use crate::domain::text::clean;
use crate::settings::Settings;
use crate::store::Store;
use crate::worker::act_approvals;
use crate::worker::exceptions::{By, Desk, find};

/// The commands below `approval`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open questions, oldest first
    List {
        /// Only those to this person
        #[arg(long, value_name = "ADDRESS")]
        approver: Option<String>,
    },
    /// What is asked, whom, and what each said
    Show {
        /// A question's number, or what it is about, such as act-3
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Yes. For an act: to this very act, for 24 hours
    Approve {
        /// A question's number, or what it is about, such as act-3
        #[arg(value_name = "ID")]
        id: String,
        /// What goes with it
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        #[command(flatten)]
        by: ByArg,
    },
    /// No; takes an earlier yes to an act back
    Reject {
        /// A question's number, or what it is about, such as act-3
        #[arg(value_name = "ID")]
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        by: ByArg,
    },
    /// Allow another act on a finding although somebody undid one; a full new grace period comes first
    Lift {
        /// The finding
        #[arg(value_name = "FINDING")]
        finding: String,
        /// Why another act is right
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        by: ByArg,
    },
}

/// What `approval list` and `approval show` print with `-o json`.
#[derive(Serialize, JsonSchema)]
pub struct ApprovalsDocument {
    /// Version of this shape.
    pub schema_version: u32,
    /// When.
    pub at: Instant,
    /// The questions, oldest first.
    pub approvals: Vec<ApprovalJson>,
    /// The act that is asked about, where one is.
    pub act: Option<ActRequest>,
}

/// One question to one person.
#[derive(Serialize, JsonSchema)]
pub struct ApprovalJson {
    /// Its number.
    pub id: i64,
    /// What is asked for.
    pub kind: ApprovalKind,
    /// What it is about.
    pub subject: String,
    /// Who is asked.
    pub approver: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Instant,
    /// When it was answered or withdrawn.
    pub decided_at: Option<Instant>,
    /// What was said.
    pub comment: Option<String>,
    /// Whose login typed the answer; null where it was not typed at a command line.
    pub login: Option<Login>,
}

/// Runs a command.
///
/// # Errors
/// No such question, or a person who may not answer it: bad use. The state cannot be read or written.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    let now = Clock::System.now();
    match command {
        Command::List { approver } => {
            let store = open::read_store_in(&open::state_dir(global)?)?;
            print(global, &store, store.approvals_pending(approver.as_deref())?, None, now)
        }
        Command::Show { id } => {
            let store = open::read_store_in(&open::state_dir(global)?)?;
            let rows = rows(&store, id)?;
            let act = rows.first().map(|row| store.act_request(&row.subject)).transpose()?.flatten();
            print(global, &store, rows, act, now)
        }
        Command::Approve { id, comment, by } => answer(global, id, true, comment.as_deref(), by, now),
        Command::Reject { id, reason, by } => answer(global, id, false, Some(reason), by, now),
        Command::Lift { finding, reason, by } => {
            let who = by.who()?;
            let settings = open::settings(global)?;
            let store = open::typed_store(&settings)?;
            let id = FindingId(finding.clone());
            let by = By { who: &who, at: now };
            let lifted = act_approvals::lift(&store, &settings.approvals, &id, reason, by).map_err(told)?;
            if global.output == Format::Json {
                let document = serde_json::json!({ "schema_version": SCHEMA_VERSION, "finding": lifted.id, "suppressed": lifted.suppressed });
                output::json(&document)?;
            } else {
                output::line(&format!("{}: {}", lifted.id, clean(&lifted.reason)))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// The rows of a number or of a subject.
fn rows(store: &Store, id: &str) -> Result<Vec<Approval>> {
    if let Ok(number) = id.parse::<i64>()
        && let Some(row) = store.approval(number)?
    {
        return Ok(store.approvals_of(row.kind, &row.subject)?);
    }
    for kind in [ApprovalKind::Remediation, ApprovalKind::Exception, ApprovalKind::Request, ApprovalKind::PolicyReview]
    {
        let subject = match kind {
            ApprovalKind::Exception => find(store, id).map_or_else(|_| id.to_owned(), |own| own.id),
            _ => id.to_owned(),
        };
        let found = store.approvals_of(kind, &subject)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let message = format!("nobody was asked about {:?}; `approval list` shows what is open", clean(id));
    Err(ExitError::bad_use(message))
}

fn answer(global: &Global, id: &str, yes: bool, said: Option<&str>, by: &ByArg, now: Instant) -> Result<Exit> {
    let who = by.who()?;
    if !yes && said.is_none_or(|reason| reason.trim().is_empty()) {
        return Err(ExitError::bad_use("the reason is empty: say why"));
    }
    let settings: Settings = open::settings(global)?;
    let store = open::typed_store(&settings)?;
    let found = rows(&store, id)?;
    let mine = found
        .iter()
        .filter(|row| same_name(&row.approver, &who))
        .max_by_key(|row| (row.state == ApprovalState::Pending, row.id));
    let by = By { who: &who, at: now };
    let Some(first) = found.first() else { return Err(ExitError::bad_use("nobody was asked")) };
    match first.kind {
        ApprovalKind::PolicyReview => {
            let verb = if yes { "approve" } else { "request-changes" };
            let words = format!("a policy is reviewed with `costwarden policy {verb} {}`", clean(&first.subject));
            return Err(ExitError::bad_use(words));
        }
        ApprovalKind::Exception => {
            let desk = Desk::of(&store, &settings);
            let done = match yes {
                true => desk.approve(&first.subject, said, by),
                false => desk.reject(&first.subject, said.unwrap_or_default(), by),
            };
            done.map_err(told)?;
        }
        ApprovalKind::Request | ApprovalKind::Remediation => {
            let Some(row) = mine else {
                let asked: Vec<&str> = found.iter().map(|row| row.approver.as_str()).collect();
                let words = format!("{} was not asked; asked: {}", clean(&who), clean(&asked.join(", ")));
                return Err(ExitError::bad_use(words));
            };
            act_approvals::answer(&store, row, yes, said, by).map_err(told)?;
        }
    }
    let act = store.act_request(&first.subject)?;
    print(global, &store, store.approvals_of(first.kind, &first.subject)?, act, now)
}

fn print(global: &Global, store: &Store, rows: Vec<Approval>, act: Option<ActRequest>, now: Instant) -> Result<Exit> {
    let mut logins = Vec::with_capacity(rows.len());
    for row in &rows {
        logins.push(typed_by(store, row)?);
    }
    if global.output == Format::Json {
        let approvals = rows.into_iter().zip(logins).map(|(row, login)| ApprovalJson::of(row, login)).collect();
        output::json(&ApprovalsDocument { schema_version: SCHEMA_VERSION, at: now, approvals, act })?;
        return Ok(Exit::Done);
    }
    if let Some(act) = &act {
        let yes = act.yes_at(&rows, now);
        let words = format!(
            "{}: {} {} ({}), {yes} of {} said yes",
            act.subject(),
            act.act.words(),
            act.key.id,
            act.name,
            act.people
        );
        output::line(&clean(&words))?;
    }
    if rows.is_empty() {
        output::tell("nobody is asked anything");
        return Ok(Exit::Done);
    }
    let table = rows.iter().zip(logins).map(|(row, login)| {
        vec![
            row.id.to_string(),
            row.kind.to_string(),
            row.subject.clone(),
            row.approver.clone(),
            row.state.to_string(),
            row.asked_at.format("%Y-%m-%d %H:%M").to_string(),
            login.map(|login| login.to_string()).unwrap_or_default(),
            row.comment.clone().unwrap_or_default(),
        ]
    });
    output::print(&output::table(
        &["NO", "KIND", "ABOUT", "ASKED", "STATE", "SINCE (UTC)", "TYPED BY", "COMMENT"],
        table,
    ))?;
    Ok(Exit::Done)
}

/// Whose login typed the answer to a question, as the audit trail has it.
fn typed_by(store: &Store, row: &Approval) -> Result<Option<Login>> {
    if !matches!(row.state, ApprovalState::Approved | ApprovalState::Rejected) {
        return Ok(None);
    }
    let decisions = store.decisions(&row.subject)?;
    let mut newest = decisions.into_iter().rev();
    let own = newest.find(|made| made.of.map_or_else(|| same_name(&made.by, &row.approver), |of| of == row.id));
    Ok(own.and_then(|made| made.login))
}

impl ApprovalJson {
    fn of(row: Approval, login: Option<Login>) -> ApprovalJson {
        ApprovalJson {
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            approver: row.approver,
            state: row.state,
            asked_by: row.asked_by,
            asked_at: row.asked_at,
            decided_at: row.decided_at,
            comment: row.comment,
            login,
        }
    }
}
