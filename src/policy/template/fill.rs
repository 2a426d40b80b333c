//! Putting values into a template's policies.
//!
//! A text that is nothing but `{{name}}` becomes the value with its type, so that a quoted number is a number. Inside
//! a longer text the value is written out; inside a condition it is written as a literal of the condition's language,
//! so that no value can change what a condition says.

use std::collections::BTreeMap;
use std::ops::Range;

use super::value::Bound;
use crate::policy::Category;
use crate::policy::document::{Entry, Node, Spot, Value};
use crate::policy::expression::string_around;
use crate::policy::front::expressions::made_id;

/// One `{{name}}` in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'t> {
    /// Where it stands, in bytes, braces included.
    pub range: Range<usize>,
    /// What stands between the braces, trimmed.
    pub name: &'t str,
}

/// What a text is for.
#[derive(Clone, Copy)]
enum Role<'k> {
    Condition,
    Under(&'k str),
}

/// The places of a text, or the offset of braces that never close.
pub(super) fn places(text: &str) -> Result<Vec<Place<'_>>, usize> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(open) = text[from..].find("{{").map(|at| from + at) {
        let close = text[open..].find("}}").map(|at| open + at).ok_or(open)?;
        found.push(Place { range: open..close + 2, name: text[open + 2..close].trim() });
        from = close + 2;
    }
    Ok(found)
}

/// Why a place of a condition cannot take a value, if so: a literal within a longer text, or grown together with a
/// word, a number or another literal, would end that one or become part of it, and the value could say anything.
pub(super) fn misplaced(text: &str, place: &Range<usize>) -> Option<&'static str> {
    let mut whole = place.clone();
    if let Some(quoted) = string_around(text, place.start) {
        if quoted != (place.start.saturating_sub(1)..place.end + 1) {
            return Some("a value inside a longer text in quotes");
        }
        whole = quoted;
    }
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '"');
    let (before, after) = (&text[..whole.start], &text[whole.end..]);
    let fraction = after.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let grown = before.ends_with(|c: char| word(c) || c == '.')
        || before.ends_with("}}")
        || after.starts_with(word)
        || after.starts_with("{{")
        || fraction;
    grown.then_some("a value that touches what stands beside it")
}

/// The policy with all places filled and what the short form leaves out written out.
pub(super) fn filled(node: &Node, category: Category, bound: &BTreeMap<String, Bound>) -> Node {
    let mut whole = filled_node(&spelled_out(node), Role::Under(""), bound);
    let spot = whole.spot;
    if let Value::Map(entries) = &mut whole.value {
        let defaults = [("policy_type", category.word()), ("enforcement_mode", "enforce"), ("severity", "warning")];
        for (key, word) in defaults {
            if !entries.iter().any(|entry| entry.key == key) {
                entries.push(made(key, spot, Value::Text(word.into())));
            }
        }
    }
    whole
}

/// The policy with the id that its name gives, first of its keys; one that has an id is left alone.
pub(super) fn with_id(mut node: Node) -> Node {
    let id = node.get("name").and_then(Node::text).and_then(|name| made_id("policy", name));
    let (has, spot) = (node.get("id").is_some(), node.spot);
    if let (Some(id), false, Value::Map(entries)) = (id, has, &mut node.value) {
        entries.insert(0, made("id", spot, Value::Text(id)));
    }
    node
}

/// The short form in full: rules that are conditions alone, `actions` for `violation_actions`.
fn spelled_out(node: &Node) -> Node {
    let Value::Map(entries) = &node.value else { return node.clone() };
    let full = |entry: &Entry| match (entry.key.as_str(), &entry.node.value) {
        ("actions", _) if node.get("violation_actions").is_none() => {
            Entry { key: "violation_actions".into(), ..entry.clone() }
        }
        ("rules", Value::List(rules)) => {
            let rule = |rule: &Node| match &rule.value {
                Value::Text(_) => {
                    Node { spot: rule.spot, value: Value::Map(vec![entry_of("condition", rule.clone())]) }
                }
                _ => rule.clone(),
            };
            let rules = Value::List(rules.iter().map(rule).collect());
            Entry { node: Node { spot: entry.node.spot, value: rules }, ..entry.clone() }
        }
        _ => entry.clone(),
    };
    Node { spot: node.spot, value: Value::Map(entries.iter().map(full).collect()) }
}

fn filled_node(node: &Node, role: Role<'_>, bound: &BTreeMap<String, Bound>) -> Node {
    let value = match &node.value {
        Value::Text(text) => filled_text(text, role, bound),
        Value::List(items) => Value::List(items.iter().map(|item| filled_node(item, role, bound)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|entry| {
                    let role = match entry.key.as_str() {
                        "condition" | "require" => Role::Condition,
                        key => Role::Under(key),
                    };
                    Entry { node: filled_node(&entry.node, role, bound), ..entry.clone() }
                })
                .collect(),
        ),
        plain => plain.clone(),
    };
    Node { spot: node.spot, value }
}

fn filled_text(text: &str, role: Role<'_>, bound: &BTreeMap<String, Bound>) -> Value {
    // Loading a template refuses braces that never close and names that it does not know.
    let places = places(text).unwrap_or_default();
    if let (Role::Under(key), [place]) = (role, places.as_slice())
        && place.range == (0..text.len())
        && let Some(value) = bound.get(place.name)
    {
        return typed(value, key);
    }
    let (mut out, mut from) = (String::new(), 0);
    for place in places {
        let Some(value) = bound.get(place.name) else { continue };
        let mut range = place.range;
        let written = match role {
            Role::Condition => {
                // Quotes around the braces are part of the place: the literal brings its own.
                let quoted = |mark: char| text[..range.start].ends_with(mark) && text[range.end..].starts_with(mark);
                if quoted('\'') || quoted('"') {
                    range = range.start - 1..range.end + 1;
                }
                literal(value)
            }
            Role::Under(_) => plain(value),
        };
        out += &text[from..range.start];
        out += &written;
        from = range.end;
    }
    out += &text[from..];
    Value::Text(out)
}

fn typed(value: &Bound, key: &str) -> Value {
    match value {
        Bound::Number(number) => Value::Number(number.clone()),
        Bound::Text(text) => Value::Text(text.clone()),
        Bound::Boolean(value) => Value::Bool(*value),
        Bound::Duration(_, minutes) if key.ends_with("_minutes") => Value::Number((*minutes).into()),
        Bound::Duration(text, _) => Value::Text(text.clone()),
    }
}

fn plain(value: &Bound) -> String {
    match value {
        Bound::Number(number) => number.to_string(),
        Bound::Text(text) | Bound::Duration(text, _) => text.clone(),
        Bound::Boolean(value) => value.to_string(),
    }
}

/// As the conditions' language writes it.
fn literal(value: &Bound) -> String {
    match value {
        Bound::Text(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Bound::Duration(_, minutes) => format!("duration('{minutes}m')"),
        Bound::Number(number) if number.as_f64().is_some_and(|number| number < 0.0) => format!("({number})"),
        other => plain(other),
    }
}

fn made(key: &str, spot: Spot, value: Value) -> Entry {
    Entry { key: key.into(), key_spot: spot, node: Node { spot, value } }
}

fn entry_of(key: &str, node: Node) -> Entry {
    Entry { key: key.into(), key_spot: node.spot, node }
}
