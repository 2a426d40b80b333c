//! Finding and reading the settings file.
//!
//! `--config`, else `./costwarden.toml`, else `/etc/costwarden/costwarden.toml`. The environment and the working
//! directory are passed in. A file that is there and cannot be read is an error, never a reason to look further.

use std::path::{Path, PathBuf};

use super::check::{self, Base};
use super::files::read_text;
use super::raw::RawSettings;
use super::show::{self, Origin};
use super::{Env, Settings};
use crate::policy::document::{At, Checker, DocumentError, Errors, Node, parse_toml};

/// The settings file for a whole machine.
pub const SYSTEM_FILE: &str = "/etc/costwarden/costwarden.toml";

/// Loads the settings.
///
/// # Errors
/// No file, an unreadable one, or every mistake of the file.
pub fn load(explicit: Option<&Path>, env: &Env<'_>, cwd: &Path) -> Result<Settings, Errors> {
    let file = find(explicit, cwd)?;
    let text = read_text(&file)?;
    parse(&file, &text, env, cwd)
}

/// The file that `load` reads.
///
/// # Errors
/// There is none.
pub fn find(explicit: Option<&Path>, cwd: &Path) -> Result<PathBuf, Errors> {
    if let Some(path) = explicit {
        return Ok(cwd.join(path));
    }
    let own = cwd.join("costwarden.toml");
    let found = [own.clone(), PathBuf::from(SYSTEM_FILE)].into_iter().find(|path| path.symlink_metadata().is_ok());
    found.ok_or_else(|| {
        let todo = format!("this file, {SYSTEM_FILE}, or --config FILE; `costwarden init` writes one");
        DocumentError::of_file(&own, "there is no settings file", todo).into()
    })
}

/// The settings of a text; paths in them are relative to `file`'s folder.
///
/// # Errors
/// Every mistake of the text.
pub fn parse(file: &Path, text: &str, env: &Env<'_>, cwd: &Path) -> Result<Settings, Errors> {
    let root = parse_toml(file, text)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(cwd);
    let mut settings = read(file, text, &root, &Base { folder, cwd, env })?;
    settings.origin = Some(file.to_owned());
    Ok(settings)
}

/// What worlds and the demo begin with: every default, observe mode, no accounts.
pub fn defaults_for_world() -> Settings {
    let base = Base { folder: Path::new("."), cwd: Path::new("."), env: &|_| None };
    let (file, node) = (Path::new("defaults"), Node::from_json(&serde_json::json!({})));
    let mut checker = Checker::new(file, "");
    let raw = RawSettings::default();
    let mut settings = check::settings(&mut checker, &At::root(&node), &raw, &base);
    settings.shown = show::shown(&raw, &node, &|_| Origin::Default, &settings);
    settings
}

impl Settings {
    /// Settings given as a value (worlds), through the same shapes and checks; paths are relative to `base`.
    ///
    /// # Errors
    /// Every mistake, by key.
    pub fn from_value(value: &serde_json::Value, base: &Path) -> Result<Settings, Errors> {
        let base = Base { folder: base, cwd: base, env: &|_| None };
        read(Path::new("settings"), "", &Node::from_json(value), &base)
    }
}

fn read(file: &Path, text: &str, root: &Node, base: &Base<'_>) -> Result<Settings, Errors> {
    let mut checker = Checker::new(file, text);
    let at = At::root(root);
    let Some(raw) = checker.read::<RawSettings>(&at) else {
        return checker.finish(()).and_then(|()| {
            Err(DocumentError::of_file(file, "the settings cannot be read", "keys with values").into())
        });
    };
    let mut settings = check::settings(&mut checker, &at, &raw, base);
    let env_state = (base.env)("STATE_DIRECTORY").is_some_and(|list| !list.is_empty());
    let origin = |key: &str| {
        if key == "state_dir" && env_state { Origin::Environment("STATE_DIRECTORY") } else { Origin::Default }
    };
    settings.shown = show::shown(&raw, root, &origin, &settings);
    for shown in &mut settings.shown {
        shown.origin.name_file(file);
    }
    checker.finish(settings)
}
