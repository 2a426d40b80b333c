//! `db`: what a person decides about the state file itself.

use anyhow::Result;
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::clock::Clock;
use crate::domain::text::clean;
use crate::engine::grace;
use crate::store::{Accepted, Store};

/// What is done with the state file.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Go on with a state that is older than what was done with it: grace periods begin anew, armings end
    Accept(AcceptArgs),
}

/// Flags of `db accept`.
#[derive(Debug, clap::Args)]
pub struct AcceptArgs {
    /// Who decides; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// What `db accept -o json` prints.
#[derive(Serialize)]
struct AcceptDocument {
    schema_version: u32,
    /// False when nothing spoke against the state.
    accepted: bool,
    /// What spoke against it.
    why: Option<String>,
    /// Findings whose grace period begins anew with the next delivered notice.
    findings_restarted: usize,
    /// Accounts that were armed.
    accounts_disarmed: usize,
}

/// Runs one of them.
///
/// # Errors
/// No state, or one that cannot be written; nobody's name: bad use.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::Accept(args) => accept(global, args),
    }
}

fn accept(global: &Global, args: &AcceptArgs) -> Result<Exit> {
    let by = open::by(args.by.as_deref())?;
    let store = Store::open(&open::existing(&open::state_dir(global)?)?)?;
    let accepted = store.accept_put_back(&by, Clock::System.now(), grace::restart)?;
    if global.output == Format::Json {
        output::json(&AcceptDocument {
            schema_version: SCHEMA_VERSION,
            accepted: accepted.is_some(),
            findings_restarted: accepted.as_ref().map_or(0, |accepted| accepted.restarted),
            accounts_disarmed: accepted.as_ref().map_or(0, |accepted| accepted.disarmed),
            why: accepted.map(|accepted| accepted.why),
        })?;
        return Ok(Exit::Done);
    }
    match accepted {
        None => output::line("Nothing speaks against this state; nothing was changed.")?,
        Some(accepted) => output::print(&words(&accepted))?,
    }
    Ok(Exit::Done)
}

fn words(accepted: &Accepted) -> String {
    format!(
        "Accepted, although {}.\n  {} findings wait for a new notice and a full grace period.\n  {} accounts are disarmed.\n  \
         Exceptions, approvals and freezes since the copy are not known here: give them again.\n  \
         `costwarden unfreeze` lets acts go on.\n",
        clean(&accepted.why),
        accepted.restarted,
        accepted.disarmed
    )
}
