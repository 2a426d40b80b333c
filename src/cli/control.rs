//! `freeze`, `unfreeze` and `disarm`: what a person types to stop the worker, and to let it go on.
//!
//! With `--db` they need no settings file, so they work while it is broken. Stopping is written before the audit trail
//! says so, letting go only after it does: whatever fails in between, the worker stands still.

use anyhow::Result;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::mode::Freeze;
use crate::domain::place::AccountId;
use crate::domain::text::clean;
use crate::store::{AuditEntry, FILE_NAME, Store};

/// How far a clock may go back without anybody's word: what a time service corrects.
const CORRECTION: TimeDelta = TimeDelta::seconds(60);

/// Flags of `freeze`.
#[derive(Debug, clap::Args)]
pub struct FreezeArgs {
    /// Why, for the people who find everything standing still
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Flags of `unfreeze`.
#[derive(Debug, clap::Args)]
pub struct UnfreezeArgs {
    /// Who decides; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Flags of `disarm`.
#[derive(Debug, clap::Args)]
pub struct DisarmArgs {
    /// The account, twelve digits
    #[arg(long, value_name = "ID")]
    account: String,
    /// Who decides; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Serialize)]
struct FreezeDocument {
    schema_version: u32,
    frozen: bool,
    /// Freezes that hold after this command.
    freezes: Vec<Freeze>,
    /// Freezes that this command lifted.
    lifted: Vec<Freeze>,
}

#[derive(Serialize)]
struct DisarmDocument {
    schema_version: u32,
    account: String,
    armed: bool,
    /// False when it was not armed before either.
    changed: bool,
}

/// Freezes: nothing is changed in any account until somebody unfreezes.
///
/// # Errors
/// An empty reason or nobody's name: bad use. A state that cannot be written.
pub fn freeze(global: &Global, args: &FreezeArgs) -> Result<Exit> {
    let (by, reason) = (open::by(args.by.as_deref())?, args.reason.trim().to_owned());
    if reason.is_empty() {
        return Err(ExitError::bad_use(
            "--reason is empty: say why, for the people who find everything standing still",
        ));
    }
    let folder = open::state_dir(global)?;
    let new = !folder.join(FILE_NAME).exists();
    let store = Store::open_in(&folder)?;
    let now = Clock::System.now();
    store.freeze(&Freeze { at: now, by: by.clone(), reason: reason.clone() })?;
    audit(&store, now, &by, "freeze", "all", json!({ "reason": reason }))?;
    let freezes = store.freezes()?;
    if new {
        let folder = clean(&folder.display().to_string());
        output::tell(&format!("There was no state in {folder}, so a new one was made; is that the worker's?"));
    }
    if global.output == Format::Json {
        output::json(&FreezeDocument { schema_version: SCHEMA_VERSION, frozen: true, freezes, lifted: Vec::new() })?;
        return Ok(Exit::Done);
    }
    output::line("Frozen: nothing is changed in any account until `costwarden unfreeze`.")?;
    if freezes.len() > 1 {
        output::line(&format!("{} freezes hold; unfreeze lifts them all:", freezes.len()))?;
        output::print(&table(&freezes))?;
    }
    Ok(Exit::Done)
}

/// Lifts every freeze.
///
/// # Errors
/// Nobody's name: bad use. No state, or one that cannot be written.
pub fn unfreeze(global: &Global, args: &UnfreezeArgs) -> Result<Exit> {
    let by = open::by(args.by.as_deref())?;
    let store = Store::open(&open::existing(&open::state_dir(global)?)?)?;
    let now = Clock::System.now();
    // A person who lets the worker go on says that the clock is right now, whatever was believed before.
    if let Some(believed) = store.clock_mark()?.filter(|mark| *mark - now > CORRECTION) {
        audit(&store, now, &by, "set_clock_back", "clock", json!({ "believed": believed }))?;
        store.set_clock_back(now)?;
        output::tell(&format!(
            "The clock was believed at {} before; {} is taken as the time now.",
            believed.format("%Y-%m-%d %H:%M UTC"),
            now.format("%Y-%m-%d %H:%M UTC")
        ));
    }
    let lifted = store.freezes()?;
    if !lifted.is_empty() {
        audit(&store, now, &by, "unfreeze", "all", json!({ "lifted": lifted }))?;
        store.unfreeze(&by, now)?;
    }
    let freezes = store.freezes()?;
    if global.output == Format::Json {
        let (schema_version, frozen) = (SCHEMA_VERSION, !freezes.is_empty());
        output::json(&FreezeDocument { schema_version, frozen, freezes, lifted })?;
    } else if lifted.is_empty() {
        output::line("Nothing was frozen.")?;
    } else {
        output::line("Lifted; the next act slot plans anew:")?;
        output::print(&table(&lifted))?;
    }
    Ok(Exit::Done)
}

/// Ends an account's arming.
///
/// # Errors
/// No account id or nobody's name: bad use. No state, or one that cannot be written.
pub fn disarm(global: &Global, args: &DisarmArgs) -> Result<Exit> {
    let account = AccountId::new(&args.account).map_err(|error| ExitError::bad_use(format!("--account: {error}")))?;
    let by = open::by(args.by.as_deref())?;
    let store = Store::open(&open::existing(&open::state_dir(global)?)?)?;
    let now = Clock::System.now();
    let changed = store.disarm(&account, now)?;
    if changed {
        audit(&store, now, &by, "disarm", account.as_str(), json!({}))?;
    }
    if global.output == Format::Json {
        let (schema_version, account) = (SCHEMA_VERSION, account.to_string());
        output::json(&DisarmDocument { schema_version, account, armed: false, changed })?;
    } else if changed {
        output::line(&format!("Disarmed: nothing is changed in account {account} until it is armed again."))?;
    } else {
        output::line(&format!("Account {account} was not armed."))?;
    }
    Ok(Exit::Done)
}

fn audit(store: &Store, now: Instant, by: &str, what: &str, subject: &str, detail: Value) -> Result<()> {
    let entry = AuditEntry { actor: by.to_owned(), what: what.to_owned(), subject: subject.to_owned(), detail };
    store.audit_append(now, &entry)?;
    Ok(())
}

fn table(freezes: &[Freeze]) -> String {
    let rows = freezes.iter().map(|freeze| {
        vec![freeze.at.format("%Y-%m-%d %H:%M UTC").to_string(), freeze.by.clone(), freeze.reason.clone()]
    });
    output::table(&["SINCE", "BY", "REASON"], rows)
}
