//! `config show`: every value with where it came from. Secrets are never in it, because settings hold none.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::raw::RawSettings;
use super::{MailBackend, Settings};
use crate::policy::document::{At, Node};

/// One setting as it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its path, for example `enforcement.pace.destructive_per_run`.
    pub key: String,
    /// Its value as the settings file would write it; `(none)` for nothing.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of a file; line 0 for a value that the program was handed (worlds).
    Line(PathBuf, usize),
    /// An environment variable.
    Environment(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Origin {
    pub(super) fn name_file(&mut self, file: &Path) {
        if let Origin::Line(path, _) = self {
            *path = file.to_owned();
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Line(path, 0) => write!(f, "{}", path.display()),
            Origin::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "${name}"),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

impl Settings {
    /// Every value with its origin, as loaded.
    pub fn show(&self) -> Vec<Shown> {
        self.shown.clone()
    }
}

/// The values as aligned lines: key, value, origin.
pub fn show_text(list: &[Shown]) -> String {
    let width = |of: fn(&Shown) -> &str| list.iter().map(|shown| of(shown).chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(|shown| &shown.key), width(|shown| &shown.value).min(48));
    list.iter().map(|Shown { key, value, origin }| format!("{key:keys$} = {value:values$}  # {origin}\n")).collect()
}

/// Flattens the raw settings; a key that the file has says its line, any other what `default` says.
pub(super) fn shown(
    raw: &RawSettings,
    root: &Node,
    default: &dyn Fn(&str) -> Origin,
    settings: &Settings,
) -> Vec<Shown> {
    // Our own shapes have text keys and finite numbers, so this cannot fail; an empty list would show if it did.
    let json = serde_json::to_value(raw).unwrap_or_default();
    let mut list = Vec::new();
    flatten(&json, &At::root(root), default, &mut list);
    let mut set = |key: &str, value: String| {
        if let Some(shown) = list.iter_mut().find(|shown| shown.key == key) {
            shown.value = value;
        }
    };
    // What follows from other values is shown as it holds.
    set("state_dir", Json::from(settings.state_dir.display().to_string()).to_string());
    if let Some(MailBackend::Smtp { port, .. }) = settings.mail.as_ref().map(|mail| &mail.backend) {
        set("mail.port", port.to_string());
    }
    list
}

fn flatten(value: &Json, at: &At<'_>, default: &dyn Fn(&str) -> Origin, list: &mut Vec<Shown>) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(value, &at.key(key), default, list);
            }
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            for (index, value) in items.iter().enumerate() {
                flatten(value, &at.item(index), default, list);
            }
        }
        _ => {
            let origin = if at.exists() { Origin::Line(PathBuf::new(), at.spot().line) } else { default(at.path()) };
            let value = match value {
                Json::Null => "(none)".to_owned(),
                Json::Object(_) => "{}".to_owned(),
                other => crate::domain::text::clean(&other.to_string()),
            };
            list.push(Shown { key: at.path().to_owned(), value, origin });
        }
    }
}
