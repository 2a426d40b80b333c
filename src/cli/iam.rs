//! `iam print`: the policies of the two roles, as narrow as settings and policies allow, and who may assume them.
//!
//! Needs no network. One document alone is what AWS takes as it is; without a name everything comes in one object.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::exit::{Exit, ExitError};
use super::output::{self, SCHEMA_VERSION};
use super::{Global, open};
use crate::cloud::rights::documents::{self, Scope};
use crate::domain::text::clean;
use crate::engine::ruleset::Ruleset;
use crate::settings::{AccountSettings, Settings};
use crate::worker::rights;

/// Stands for the principal until somebody names it; AWS refuses it.
const NOBODY: &str = "REPLACE-WITH-THE-ARN-OF-THE-ROLE-THAT-THE-WORKER-RUNS-AS";

/// The commands below `iam`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the documents as JSON
    Print(PrintArgs),
}

/// Flags of `iam print`.
#[derive(Debug, clap::Args)]
pub struct PrintArgs {
    /// One document alone, as AWS takes it; all of every account when absent
    #[arg(value_enum)]
    which: Option<Which>,
    /// For one account of the settings; needed for one document when there are several
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// ARN of the role that the worker runs as, for the trust policies
    #[arg(long, value_name = "ARN")]
    principal: Option<String>,
}

/// Which document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// What the reading role may do
    Reader,
    /// What the acting role may do
    Actor,
    /// Who may assume either
    Trust,
}

/// What `iam print -o json` prints without a name.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct IamDocument {
    /// Version of this shape.
    pub schema_version: u32,
    /// In the order of the settings.
    pub accounts: Vec<AccountDocuments>,
}

/// The documents of one account.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct AccountDocuments {
    /// Twelve digits.
    pub account: String,
    /// The role that reads, as the settings name it.
    pub reader_role: Option<String>,
    /// Its policy.
    pub reader: Value,
    /// The role that acts, as the settings name it.
    pub actor_role: Option<String>,
    /// Its policy; null when no enabled policy leads to an act.
    pub actor: Option<Value>,
    /// Who may assume either.
    pub trust: Value,
    /// Acts that the actor's policy is for: act and kind.
    pub acts: Vec<String>,
}

/// Prints.
///
/// # Errors
/// Wrong settings or policies, an account that is not in them, several where one is needed: bad use.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    let Command::Print(args) = command;
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    let rules = Ruleset::compile(&policies)?;
    let chosen = chosen(&settings, args)?;
    let principal = args.principal.as_deref().unwrap_or(NOBODY);
    let scope_of = |account: &AccountSettings| rights::scope(&settings, &rules, &policies, account);
    match args.which {
        None => {
            let accounts = chosen.iter().map(|account| all(account, &scope_of(account), principal)).collect();
            output::json(&IamDocument { schema_version: SCHEMA_VERSION, accounts })?;
        }
        Some(which) => {
            let [account] = chosen.as_slice() else {
                return Err(ExitError::bad_use(format!(
                    "the settings list {} accounts and each has documents of its own: give --account ID",
                    chosen.len()
                )));
            };
            output::json(&one(which, account, &scope_of(account), principal)?)?;
        }
    }
    hints(&chosen, args);
    Ok(Exit::Done)
}

fn chosen<'a>(settings: &'a Settings, args: &PrintArgs) -> Result<Vec<&'a AccountSettings>> {
    let all: Vec<&AccountSettings> = settings.accounts.iter().collect();
    let known = || all.iter().map(|account| account.id.to_string()).collect::<Vec<_>>().join(", ");
    if all.is_empty() {
        return Err(ExitError::bad_use(
            "the settings list no account under [[accounts]], so there is no role to print",
        ));
    }
    let Some(id) = &args.account else { return Ok(all) };
    let found: Vec<_> = all.iter().copied().filter(|account| account.id.as_str() == id).collect();
    if found.is_empty() {
        let given = clean(id);
        return Err(ExitError::bad_use(format!(
            "--account {given}: the settings do not list it\n  listed: {}",
            known()
        )));
    }
    Ok(found)
}

fn one(which: Which, account: &AccountSettings, scope: &Scope, principal: &str) -> Result<Value> {
    match which {
        Which::Reader => Ok(documents::reader(scope)),
        Which::Actor => documents::actor(scope).ok_or_else(|| {
            ExitError::bad_use(
                "no enabled policy leads to an act, so there is nothing that an acting role would need\n  acts come \
                 from rules with the actions stop, terminate and tag, as far as [enforcement] allows them",
            )
        }),
        Which::Trust => Ok(documents::trust(principal, account.external_id.as_deref())),
    }
}

fn all(account: &AccountSettings, scope: &Scope, principal: &str) -> AccountDocuments {
    AccountDocuments {
        account: account.id.to_string(),
        reader_role: account.role_arn.clone(),
        reader: documents::reader(scope),
        actor_role: account.actor_role_arn.clone(),
        actor: documents::actor(scope),
        trust: documents::trust(principal, account.external_id.as_deref()),
        acts: scope.acts.iter().map(|(act, kind)| format!("{} {}", act.word(), kind.name())).collect(),
    }
}

/// What a document cannot say by itself; beside the data, so that the data can go straight to AWS.
fn hints(chosen: &[&AccountSettings], args: &PrintArgs) {
    let wants = |which: Which| args.which.is_none_or(|own| own == which);
    if wants(Which::Trust) && args.principal.is_none() {
        output::tell("note: give --principal ARN, or put the worker's own role in the trust policy's place for it");
    }
    for account in chosen {
        if wants(Which::Trust) && account.external_id.is_none() {
            output::tell(&format!(
                "note: account {} has no external_id; one keeps others from using this trust",
                account.id
            ));
        }
        if wants(Which::Actor) && account.actor_role_arn.is_none() {
            output::tell(&format!(
                "note: account {} has no actor_role_arn, so the reading role would act; the actor's policy denies \
                 everything that it does not allow, reads too, and is for a role of its own",
                account.id
            ));
        }
    }
}
