//! What a condition is evaluated against: named roots with values, each with a word on where it came from.
//!
//! The decision point builds one from a caller's JSON, tests build them by hand. The inventory does not: it answers
//! through [`Source`] straight from the resource, without a tree per resource.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::value::Value;
use super::{MAX_ITEMS, MAX_TEXT};
use crate::domain::text::Str;

/// Deepest accepted nesting of a value.
const MAX_DEPTH: usize = 32;
/// Most values in all.
const MAX_VALUES: usize = 100_000;

/// Named roots, such as `organization` and `password`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    roots: BTreeMap<Str, Root>,
}

#[derive(Clone, Debug, PartialEq)]
struct Root {
    value: Value,
    source: Option<Str>,
}

/// A dotted path that a condition reads, split up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    /// As written, `resource.tags['cost-center']` as `resource.tags.cost-center`.
    pub text: String,
    /// The root, then its fields.
    pub segments: Box<[Str]>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading<'a> {
    /// A value, unknown ones included.
    Found(Cow<'a, Value>),
    /// There is no such root.
    NoRoot,
    /// The root is there, and the segment with this index is not.
    Missing(usize),
    /// The value before the segment with this index has no fields.
    NotAMap(usize, &'static str),
}

/// Where conditions read from.
pub(crate) trait Source {
    /// What the path with this index in [`super::Condition::reads`] leads to.
    fn read(&self, index: usize, path: &Path) -> Reading<'_>;

    /// Where the path's value came from, in words.
    fn origin(&self, index: usize, path: &Path) -> Option<String>;
}

impl Facts {
    /// No roots.
    pub fn new() -> Facts {
        Facts::default()
    }

    /// From a JSON object, whose keys become the roots. Refused: anything but an object, text over 64 KiB, lists over
    /// 10,000 items, nesting over 32, whole numbers beyond 64 bits.
    pub fn from_json(json: &serde_json::Value) -> Result<Facts, String> {
        let serde_json::Value::Object(object) = json else {
            return Err(format!("a context is an object with names and values, not {}", json_word(json)));
        };
        let mut left = MAX_VALUES;
        let mut facts = Facts::new();
        for (name, value) in object {
            let value = convert(value, 1, &mut left).map_err(|problem| format!("{name}{problem}"))?;
            facts.roots.insert(Str::from(name.as_str()), Root { value, source: None });
        }
        Ok(facts)
    }

    /// With one more root, or another value for it.
    pub fn with(mut self, name: &str, value: Value) -> Facts {
        self.roots.insert(Str::from(name), Root { value, source: None });
        self
    }

    /// With a root and where it came from, in words for `explain`.
    pub fn with_source(mut self, name: &str, value: Value, source: &str) -> Facts {
        self.roots.insert(Str::from(name), Root { value, source: Some(Str::from(source)) });
        self
    }

    /// Says where all roots without a source came from.
    pub fn from_source(mut self, source: &str) -> Facts {
        for root in self.roots.values_mut() {
            root.source.get_or_insert_with(|| Str::from(source));
        }
        self
    }

    /// The value of a root.
    pub fn root(&self, name: &str) -> Option<&Value> {
        self.roots.get(name).map(|root| &root.value)
    }

    /// Names of the roots, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roots.keys().map(|name| &**name)
    }
}

impl Source for Facts {
    fn read(&self, _: usize, path: &Path) -> Reading<'_> {
        let Some(root) = self.roots.get(&path.segments[0]) else {
            return Reading::NoRoot;
        };
        walk(Cow::Borrowed(&root.value), path, 1)
    }

    fn origin(&self, _: usize, path: &Path) -> Option<String> {
        self.roots.get(&path.segments[0])?.source.as_ref().map(|source| source.to_string())
    }
}

/// Follows a path's segments from `from` on, down from a value.
pub(crate) fn walk<'a>(value: Cow<'a, Value>, path: &Path, from: usize) -> Reading<'a> {
    match value {
        Cow::Borrowed(mut at) => {
            for (index, segment) in path.segments.iter().enumerate().skip(from) {
                match at {
                    Value::Map(map) => match map.get(segment) {
                        Some(next) => at = next,
                        None => return Reading::Missing(index),
                    },
                    Value::Unknown(_) => break,
                    other => return Reading::NotAMap(index, other.type_word()),
                }
            }
            Reading::Found(Cow::Borrowed(at))
        }
        Cow::Owned(value) => match walk(Cow::Borrowed(&value), path, from) {
            Reading::Found(found) => Reading::Found(Cow::Owned(found.into_owned())),
            Reading::NoRoot => Reading::NoRoot,
            Reading::Missing(index) => Reading::Missing(index),
            Reading::NotAMap(index, word) => Reading::NotAMap(index, word),
        },
    }
}

/// The value of a JSON value, or what is wrong with it, led by the path below the root.
fn convert(json: &serde_json::Value, depth: usize, left: &mut usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!(": nested deeper than {MAX_DEPTH}"));
    }
    *left = left.checked_sub(1).ok_or_else(|| format!(": more than {MAX_VALUES} values in all"))?;
    match json {
        serde_json::Value::Null => Ok(Value::Null),
        serde_json::Value::Bool(value) => Ok(Value::Bool(*value)),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Value::Int(whole)),
            (None, _) if number.is_u64() => Err(format!(": {number} is too large for a whole number")),
            (None, Some(decimal)) if decimal.is_finite() => Ok(Value::Double(decimal)),
            _ => Err(format!(": {number} is too large")),
        },
        serde_json::Value::String(text) if text.len() > MAX_TEXT => {
            Err(format!(": text of {} bytes, at most {MAX_TEXT} are accepted", text.len()))
        }
        serde_json::Value::String(text) => Ok(Value::text(text)),
        serde_json::Value::Array(items) if items.len() > MAX_ITEMS => {
            Err(format!(": a list of {} items, at most {MAX_ITEMS} are accepted", items.len()))
        }
        serde_json::Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| convert(item, depth + 1, left).map_err(|problem| format!("[{index}]{problem}")))
            .collect::<Result<_, _>>()
            .map(Value::List),
        serde_json::Value::Object(object) => object
            .iter()
            .map(|(key, value)| {
                let value = convert(value, depth + 1, left).map_err(|problem| format!(".{key}{problem}"))?;
                Ok((Str::from(key.as_str()), value))
            })
            .collect::<Result<_, String>>()
            .map(Value::Map),
    }
}

fn json_word(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "true or false",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_too_large_is_refused_with_its_place() {
        let refused = |json| Facts::from_json(&json).unwrap_err();
        assert_eq!(refused(json!([1])), "a context is an object with names and values, not a list");
        assert_eq!(
            refused(json!({"a": {"b": [0, "x".repeat(70_000)]}})),
            "a.b[1]: text of 70000 bytes, at most 65536 are accepted"
        );
        assert_eq!(refused(json!({"a": vec![0; 10_001]})), "a: a list of 10001 items, at most 10000 are accepted");
        assert_eq!(refused(json!({"a": u64::MAX})), "a: 18446744073709551615 is too large for a whole number");
        let deep = (0..40).fold(json!(1), |inside, _| json!([inside]));
        assert!(refused(json!({ "a": deep })).ends_with("nested deeper than 32"));
        let many = json!({"a": vec![vec![0; 9_999]; 11]});
        assert!(refused(many).ends_with("more than 100000 values in all"));
    }
}
