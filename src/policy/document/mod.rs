//! Documents with positions: the common ground of policy files, settings and worlds.
//!
//! YAML, TOML and JSON values become one tree of [`Node`]s that know their line and column. A tree is held against
//! the JSON Schema that schemars derives from a raw shape ([`Checker::read`]), so the schema that editors use and the
//! loader cannot drift apart, and every mistake of a file is found in one go. Checks of meaning go on with [`At`],
//! which keeps path and position. Callers: `policy::parse`, `settings::load`. Pure: files are read elsewhere.

mod canonical;
mod error;
mod inside;
mod json;
mod near;
mod shape;
mod toml;
mod write;
mod yaml;

use std::path::Path;

pub use canonical::{canonical_json, short_hash};
pub use error::{DocumentError, Errors};
pub use json::parse_json;
pub use near::nearest;
pub use shape::{schema_of, without_nulls};
pub use toml::parse_toml;
pub use write::{to_toml, to_yaml};
pub use yaml::parse_yaml;

/// A position in a file, both from 1; line 0 means that there is no file (a value given by the program).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline; 0 where unknown.
    pub width: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub spot: Spot,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in the file's order.
    Map(Vec<Entry>),
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_spot: Spot,
    /// Its value.
    pub node: Node,
}

/// A place in a document while its meaning is checked. A place that is absent from the file keeps the position of
/// what should hold it.
#[derive(Clone, Debug)]
pub struct At<'a> {
    node: Option<&'a Node>,
    spot: Spot,
    path: String,
    hidden: Option<&'static str>,
}

/// Collects the mistakes of one file.
#[derive(Debug)]
pub struct Checker<'a> {
    file: &'a Path,
    text: &'a str,
    errors: Vec<DocumentError>,
}

impl Spot {
    /// Moves behind a piece of text.
    pub(crate) fn pass(&mut self, taken: &str) {
        for character in taken.chars() {
            if character == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
    }
}

impl Node {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// As text, when it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The plain value without positions.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect::<serde_json::Map<_, _>>()
            }
            .into(),
        }
    }

    /// A tree without positions.
    pub fn from_json(value: &serde_json::Value) -> Node {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => Value::Number(number.clone()),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Node::from_json).collect()),
            serde_json::Value::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_spot: Spot::default(),
                        node: Node::from_json(value),
                    })
                    .collect(),
            ),
        };
        Node { spot: Spot::default(), value }
    }

    /// What it is, for error messages: `the text "abc"`, `the number 5`, `a list`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "no value".into(),
            Value::Bool(value) => format!("{value}"),
            Value::Number(number) => format!("the number {number}"),
            // An address may be a secret one (a webhook).
            Value::Text(text) if text.contains("://") => "an address".into(),
            Value::Text(text) => format!("the text {:?}", crate::domain::text::clean(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "keys with values".into(),
        }
    }
}

impl<'a> At<'a> {
    /// The top of a document.
    pub fn root(node: &'a Node) -> At<'a> {
        At { node: Some(node), spot: node.spot, path: String::new(), hidden: None }
    }

    /// The same place, whose `key` is not written in paths: it was made by the program, not by the file.
    pub fn hiding(mut self, key: &'static str) -> At<'a> {
        self.hidden = Some(key);
        self
    }

    /// The same place under another path, for a part of a file that is looked at by itself.
    pub fn named(mut self, path: String) -> At<'a> {
        self.path = path;
        self
    }

    /// The place under a key.
    pub fn key(&self, key: &str) -> At<'a> {
        let hide = self.path.is_empty() && self.hidden == Some(key);
        let path = if hide { String::new() } else { join(&self.path, key) };
        let hidden = None;
        match self.node.and_then(|node| node.get(key)) {
            Some(node) => At { node: Some(node), spot: node.spot, path, hidden },
            None => At { node: None, spot: self.spot, path, hidden },
        }
    }

    /// The place of the key itself, for mistakes about a key rather than its value.
    pub fn name_of(&self, key: &str) -> At<'a> {
        let mut at = self.key(key);
        if let Some(entry) = self.node.and_then(|node| node.entry(key)) {
            at.spot = entry.key_spot;
        }
        at
    }

    /// The place of an item, from 0.
    pub fn item(&self, index: usize) -> At<'a> {
        let path = format!("{}[{index}]", self.path);
        let node = match self.node.map(|node| &node.value) {
            Some(Value::List(items)) => items.get(index),
            _ => None,
        };
        At { node, spot: node.map_or(self.spot, |node| node.spot), path, hidden: None }
    }

    /// Whether the file has it.
    pub fn exists(&self) -> bool {
        self.node.is_some()
    }

    /// Where it stands.
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// Its path, for example `spec.rules[0].name`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl<'a> Checker<'a> {
    /// For one file; `text` is what excerpts are cut from.
    pub fn new(file: &'a Path, text: &'a str) -> Checker<'a> {
        Checker { file, text, errors: Vec::new() }
    }

    /// Notes a mistake: what is wrong (with what was given), and what is accepted.
    pub fn fail(&mut self, at: &At<'_>, problem: impl Into<String>, accepted: impl Into<String>) {
        self.push(at.spot, &at.path, problem.into(), accepted.into());
    }

    /// A mistake whose line must not be repeated, because it holds a secret.
    pub fn fail_quietly(&mut self, at: &At<'_>, problem: impl Into<String>, accepted: impl Into<String>) {
        self.errors.push(DocumentError::new(self.file, "", at.spot, &at.path, problem, accepted));
    }

    /// A mistake about a word, with the nearest accepted one.
    pub fn bad_word<'w>(
        &mut self,
        at: &At<'_>,
        what: &str,
        given: &str,
        accepted: impl IntoIterator<Item = &'w str> + Clone,
    ) {
        let list = accepted.clone().into_iter().collect::<Vec<_>>().join(", ");
        let hint = near::hint(given, accepted);
        self.fail(at, format!("{:?} is not {what}{hint}", crate::domain::text::clean(given)), list);
    }

    pub(super) fn push(&mut self, spot: Spot, path: &str, problem: String, accepted: String) {
        self.errors.push(DocumentError::new(self.file, self.text, spot, path, problem, accepted));
    }

    /// How many mistakes so far.
    pub fn count(&self) -> usize {
        self.errors.len()
    }

    /// All mistakes in the file's order, or the value when there is none.
    pub fn finish<T>(self, value: T) -> Result<T, Errors> {
        if self.errors.is_empty() { Ok(value) } else { Err(Errors::from(self.errors)) }
    }
}

/// `spec` and `rules` as `spec.rules`; keys that are not plain are quoted.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let key = if plain { key.to_owned() } else { format!("{:?}", crate::domain::text::clean(key)) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
