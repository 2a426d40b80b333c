//! What commands open before they work: settings, policies, the state, and who is typing.
//!
//! Every error here says which file and what to do. Wrong settings and policies are bad use (2), a state that is not
//! there or cannot be opened is a failure (1).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Global;
use super::exit::{Exit, ExitError};
use crate::clock::Clock;
use crate::domain::text::clean;
use crate::policy::Policy;
use crate::settings::{self, Origin, PoliciesFrom, Settings};
use crate::store::{FILE_NAME, Fault, Store};
use crate::worker::context::Context;
use crate::{app, checks};

/// The settings of this call; `--db` takes the place of `state_dir`.
///
/// # Errors
/// No settings file, or every mistake of it: bad use.
pub fn settings(global: &Global) -> Result<Settings> {
    let cwd = cwd()?;
    let mut settings = settings::load(global.config.as_deref(), &environment, &cwd).map_err(ExitError::bad_use)?;
    if let Some(folder) = &global.db {
        settings.state_dir = cwd.join(folder);
        if let Some(shown) = settings.shown.iter_mut().find(|shown| shown.key == "state_dir") {
            shown.value = serde_json::Value::from(settings.state_dir.display().to_string()).to_string();
            shown.origin = Origin::Flag("--db");
        }
    }
    Ok(settings)
}

/// The policies in force: those of the files that the settings name, or the active versions of the state.
///
/// # Errors
/// Every mistake of every file or stored document: bad use. No state although the policies come from it.
pub fn policies(settings: &Settings) -> Result<Vec<Policy>> {
    if settings.policies_from == PoliciesFrom::Store {
        let file = existing(&settings.state_dir)?;
        let store = match Store::open_read_only(&file) {
            Err(error) if matches!(error.fault(), Fault::OlderSchema { .. }) => Store::open(&file)?,
            other => other?,
        };
        return crate::worker::policies::in_force(&store, Clock::System.now()).map_err(ExitError::bad_use);
    }
    settings::load_policies(&settings.policies, &checks::infos()).map_err(ExitError::bad_use)
}

/// Everything that a command needs which acts on what is in the state already. A dry run works on a copy in memory that
/// gives nothing back.
///
/// # Errors
/// Those of [`settings`] and [`policies`]; there is no state yet; the credentials do not do.
pub async fn context(global: &Global, dry_run: bool) -> Result<Context> {
    let settings = settings(global)?;
    let policies = policies(&settings)?;
    let file = existing(&settings.state_dir)?;
    let store = if dry_run { Store::open_read_only(&file)?.throwaway_copy()? } else { store(&settings)? };
    let reader = app::reader(&settings).await?;
    app::context(settings, &policies, store, reader, Clock::System)
}

/// The folder of the state. With `--db` the settings are not read, so that `freeze` and the reading commands work
/// while they are broken.
///
/// # Errors
/// Those of [`settings`].
pub fn state_dir(global: &Global) -> Result<PathBuf> {
    match &global.db {
        Some(folder) => Ok(cwd()?.join(folder)),
        None => Ok(settings(global)?.state_dir),
    }
}

/// The state for writing; made when it is not there.
///
/// # Errors
/// It cannot be made, opened or brought up to date.
pub fn store(settings: &Settings) -> Result<Store> {
    Ok(Store::open_in(&settings.state_dir)?)
}

/// The state as [`store`], for commands with which people decide: the audit trail gets their login.
///
/// # Errors
/// Those of [`store`].
pub fn typed_store(settings: &Settings) -> Result<Store> {
    let store = store(settings)?;
    store.typed_by(super::login::here(), settings.distinct_logins);
    Ok(store)
}

/// The state for reading alone.
///
/// # Errors
/// There is none yet, or it cannot be opened.
pub fn read_store(settings: &Settings) -> Result<Store> {
    read_store_in(&settings.state_dir)
}

/// The same, by its folder.
///
/// # Errors
/// Those of [`read_store`].
pub fn read_store_in(folder: &Path) -> Result<Store> {
    Ok(Store::open_read_only(&existing(folder)?)?)
}

/// The state file in a folder, which must be there.
///
/// # Errors
/// There is none yet.
pub fn existing(folder: &Path) -> Result<PathBuf> {
    let file = folder.join(FILE_NAME);
    if file.exists() {
        return Ok(file);
    }
    let message = format!(
        "there is no state in {} yet: run `costwarden scan` first, or name the folder of another one with --db",
        clean(&folder.display().to_string())
    );
    Err(ExitError::with(Exit::Failed, message))
}

/// Who decides: `--by`, else who is logged in ($SUDO_USER before $USER, so that sudo does not make everyone root).
///
/// # Errors
/// Nobody is named: bad use.
pub fn by(given: Option<&str>) -> Result<String> {
    let name = given.map(str::to_owned).or_else(whoami).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| ExitError::bad_use("nobody is named, and neither $SUDO_USER nor $USER is set: give --by NAME"))
}

/// The person at the keyboard, as the environment tells it.
pub fn whoami() -> Option<String> {
    whoami_in(&environment)
}

fn whoami_in(env: &settings::Env<'_>) -> Option<String> {
    ["SUDO_USER", "USER"].into_iter().find_map(|name| env(name).filter(|value| !value.trim().is_empty()))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The folder that relative paths of the command line start from.
fn cwd() -> Result<PathBuf> {
    std::env::current_dir().context("finding the current folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_does_not_hide_the_person() {
        let both = |name: &str| match name {
            "SUDO_USER" => Some("ann".to_owned()),
            "USER" => Some("root".to_owned()),
            _ => None,
        };
        assert_eq!(whoami_in(&both).as_deref(), Some("ann"));
        assert_eq!(whoami_in(&|name| (name == "USER").then(|| "bob".to_owned())).as_deref(), Some("bob"));
        assert_eq!(whoami_in(&|name| (name == "USER").then(|| "  ".to_owned())), None);
        assert_eq!(whoami_in(&|_| None), None);
    }

    #[test]
    fn a_given_name_wins_and_an_empty_one_is_bad_use() {
        assert_eq!(by(Some(" carol ")).unwrap(), "carol");
        let error = by(Some("  ")).unwrap_err();
        assert_eq!(super::super::exit::of_error(&error), Exit::BadUse);
    }
}
