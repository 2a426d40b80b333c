//! What changed between two versions, and whether it is words or behaviour (L5).
//!
//! Everything is behaviour but the texts for people at the places where the documents keep them. A key of the same
//! name elsewhere, such as a tag called `description` in a scope, is behaviour like its neighbours. What a policy over
//! contexts keeps about itself (`metadata`, who made it and when) decides nothing and counts as words too; its name and
//! its rules' descriptions do so where an id stands beside them, as the id is made from them otherwise.

use serde_json::Value;

use crate::domain::lifecycle::ChangeType;
use crate::domain::text::clean;

/// Keys whose values are for people.
const WORDS: [&str; 3] = ["description", "title", "examples"];

/// Where such keys stand: the top, the envelope, rules, and required tags.
const HOLDERS: [&[&str]; 8] = [
    &[],
    &["metadata"],
    &["spec"],
    &["rules", "*"],
    &["spec", "rules", "*"],
    &["rules", "*", "requiredTags", "*"],
    &["spec", "rules", "*", "requiredTags", "*"],
    &["spec", "metadata"],
];

/// Keys at the top of a policy over contexts that decide nothing.
const RECORD: [&str; 4] = ["metadata", "created_at", "updated_at", "created_by"];

/// Longest value in a summary, in characters.
const LONGEST: usize = 40;
/// Characters that are shown before the first one that differs.
const CONTEXT: usize = 12;

/// One place that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, for example `spec.rules[0].parameters.days`.
    pub path: String,
    /// Before; `None` where it was not there.
    pub before: Option<Value>,
    /// After; `None` where it went away.
    pub after: Option<Value>,
    /// Words or behaviour.
    pub change: ChangeType,
}

/// Every place in which two documents differ, in the order of their keys.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(&mut found, &mut Vec::new(), Some(before), Some(after), false);
    found
}

/// Major as soon as one place is.
pub fn change_type(found: &[Difference]) -> ChangeType {
    found.iter().map(|one| one.change).max().unwrap_or(ChangeType::Minor)
}

/// The change in a line: the first places, behaviour before words.
pub fn summary(found: &[Difference]) -> String {
    let mut sorted: Vec<&Difference> = found.iter().collect();
    sorted.sort_by_key(|one| std::cmp::Reverse(one.change));
    let shown: Vec<String> = sorted.iter().take(3).map(|one| one.to_string()).collect();
    match sorted.len().saturating_sub(3) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let (before, after) = (before.to_string(), after.to_string());
                let same = before.chars().zip(after.chars()).take_while(|(before, after)| before == after).count();
                write!(f, "{}: {} → {}", self.path, part(&before, same), part(&after, same))
            }
            (None, Some(after)) => write!(f, "{} added: {}", self.path, part(&after.to_string(), 0)),
            (Some(before), None) => write!(f, "{} removed: {}", self.path, part(&before.to_string(), 0)),
            (None, None) => f.write_str(&self.path),
        }
    }
}

/// The part of a long text that is worth reading: around where it parts from the other one.
fn part(text: &str, same: usize) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return clean(text);
    }
    let from = same.saturating_sub(CONTEXT).min(length - LONGEST);
    let middle: String = text.chars().skip(from).take(LONGEST).collect();
    let (head, tail) = (if from > 0 { "…" } else { "" }, if from + LONGEST < length { "…" } else { "" });
    format!("{head}{}{tail}", clean(&middle))
}

#[derive(Clone)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

fn walk<'a>(
    found: &mut Vec<Difference>,
    path: &mut Vec<Step<'a>>,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    words: bool,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut keys: Vec<&'a str> = old.keys().chain(new.keys()).map(String::as_str).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let words = words || is_words(path, key, before, after);
                path.push(Step::Key(key));
                walk(found, path, old.get(key), new.get(key), words);
                path.pop();
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                path.push(Step::Item(index));
                walk(found, path, old.get(index), new.get(index), words);
                path.pop();
            }
        }
        _ => found.push(Difference {
            path: shown(path),
            before: before.cloned(),
            after: after.cloned(),
            change: if words { ChangeType::Minor } else { ChangeType::Major },
        }),
    }
}

/// Whether what stands under a key of two objects is for people alone.
fn is_words(path: &[Step<'_>], key: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
    let both = |key: &str| [before, after].iter().all(|value| value.is_some_and(|value| value.get(key).is_some()));
    let named = both("id") || both("name");
    match key {
        "$schema" => path.is_empty(),
        "name" => path.is_empty() && both("policy_type") && both("id"),
        "namespace" => matches!(path, [Step::Key("metadata")]),
        "description" if path.last().is_some_and(|step| matches!(step, Step::Item(_))) && !named && !both("key") => {
            false
        }
        _ if RECORD.contains(&key) && path.is_empty() && both("policy_type") => true,
        _ => WORDS.contains(&key) && holds_words(path),
    }
}

fn holds_words(path: &[Step<'_>]) -> bool {
    HOLDERS.iter().any(|holder| {
        holder.len() == path.len()
            && holder.iter().zip(path).all(|(name, step)| match step {
                Step::Key(key) => name == key,
                Step::Item(_) => *name == "*",
            })
    })
}

fn shown(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => text = crate::policy::document::join(&text, key),
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(before: Value, after: Value) -> ChangeType {
        change_type(&differences(&before, &after))
    }

    #[test]
    fn l5_words_are_minor_and_everything_else_is_major() {
        let base = json!({
            "metadata": {"name": "p", "description": "old"},
            "spec": {"type": "Waste", "mode": "monitor", "severity": "high", "grace": "24h",
                     "scope": {"tags": {"description": "x"}, "regions": ["eu-central-1"]},
                     "rules": [{"name": "r", "check": "c", "action": "stop", "parameters": {"days": 7}}]}
        });
        let with = |pointer: &str, value: Value| {
            let mut changed = base.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[key] = value;
            kind(base.clone(), changed)
        };
        for pointer in ["/metadata/description", "/metadata/title", "/spec/rules/0/description", "/spec/examples"] {
            assert_eq!(with(pointer, json!("new")), ChangeType::Minor, "{pointer}");
        }
        for (pointer, value) in [
            ("/spec/rules/0/parameters/days", json!(8)),
            ("/spec/scope/regions", json!([])),
            ("/spec/scope/tags/description", json!("y")),
            ("/spec/rules/0/action", json!("notify")),
            ("/spec/grace", json!("48h")),
            ("/spec/mode", json!("enforce")),
            ("/spec/severity", json!("low")),
            ("/spec/rules/0/parameters/description", json!("y")),
            ("/spec/anything", json!(null)),
        ] {
            assert_eq!(with(pointer, value), ChangeType::Major, "{pointer}");
        }
        assert_eq!(kind(base.clone(), base), ChangeType::Minor, "nothing changed");
    }

    #[test]
    fn a_summary_of_long_texts_shows_where_they_part() {
        let before = json!({"condition": "request.action == 'delete' && request.environment == 'production'"});
        let after = json!({"condition": "request.action == 'delete' && request.environment in ['production', 'test']"});
        assert_eq!(
            summary(&differences(&before, &after)),
            "condition: … && request.environment == 'production'\" → …t.environment in ['production', 'test']\""
        );
    }

    #[test]
    fn a_summary_names_behaviour_first_and_counts_the_rest() {
        let before = json!({"description": "a", "rules": [{"n": 1}], "x": 1, "y": 2});
        let after = json!({"description": "b\u{1b}[2J", "rules": [{"n": 2}, {"n": 3}], "x": 2});
        assert_eq!(
            summary(&differences(&before, &after)),
            "rules[0].n: 1 → 2; rules[1] added: {\"n\":3}; x: 1 → 2; and 2 more"
        );
    }
}
