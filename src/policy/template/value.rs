//! Variables of a template: their types, defaults, and the values that are given for them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::domain::text::clean;
use crate::policy::document::nearest;

/// One variable of a template.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Variable {
    /// What stands between the braces.
    pub name: String,
    /// For people.
    pub description: String,
    /// What values it takes.
    #[serde(rename = "type")]
    pub var_type: VariableType,
    /// Used when no value is given; a variable without one must be given.
    #[serde(rename = "default")]
    pub default_value: Option<Json>,
}

/// What values a variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum VariableType {
    /// A whole number.
    Integer,
    /// A number.
    Decimal,
    /// Text; in conditions it becomes a quoted literal.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Whole minutes, hours or days such as `90m`, `24h`, `7d`; minutes where a key ends with `_minutes`.
    Duration,
}

/// A value that fits its variable.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Number(serde_json::Number),
    Text(String),
    Boolean(bool),
    /// As written, and in minutes.
    Duration(String, u64),
}

impl VariableType {
    /// What values look like, for error messages.
    pub fn accepted(self) -> &'static str {
        match self {
            VariableType::Integer => "a whole number",
            VariableType::Decimal => "a number",
            VariableType::Text => "text of one line",
            VariableType::Boolean => "true or false",
            VariableType::Duration => "whole minutes, hours or days such as 90m, 24h, 7d",
        }
    }

    /// A value from text that a person typed; whether it fits is said when it is used.
    pub fn read(self, text: &str) -> Json {
        match self {
            VariableType::Text | VariableType::Duration => text.into(),
            _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        }
    }

    /// The value, when it fits.
    pub(super) fn fit(self, value: &Json) -> Option<Bound> {
        match (self, value) {
            (VariableType::Integer, Json::Number(number)) if number.is_i64() || number.is_u64() => {
                Some(Bound::Number(number.clone()))
            }
            (VariableType::Decimal, Json::Number(number)) => Some(Bound::Number(number.clone())),
            (VariableType::Boolean, Json::Bool(value)) => Some(Bound::Boolean(*value)),
            (VariableType::Text, Json::String(text)) if !text.chars().any(char::is_control) => {
                Some(Bound::Text(text.clone()))
            }
            (VariableType::Duration, Json::String(text)) => Some(Bound::Duration(text.clone(), minutes(text)?)),
            _ => None,
        }
    }

    /// Any value that fits, to try a template whose variable has no default.
    pub(super) fn sample(self) -> Bound {
        match self {
            VariableType::Integer | VariableType::Decimal => Bound::Number(1.into()),
            VariableType::Text => Bound::Text("sample".into()),
            VariableType::Boolean => Bound::Boolean(true),
            VariableType::Duration => Bound::Duration("1h".into(), 60),
        }
    }
}

/// The values of all variables, or every mistake.
pub(super) fn bind(
    template: &str,
    variables: &[Variable],
    given: &BTreeMap<String, Json>,
) -> Result<BTreeMap<String, Bound>, Vec<String>> {
    let mut mistakes = Vec::new();
    let names = || variables.iter().map(|variable| variable.name.as_str());
    for name in given.keys().filter(|name| !names().any(|known| known == name.as_str())) {
        let hint = nearest(name, names()).map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
        let list = names().collect::<Vec<_>>().join(", ");
        mistakes.push(format!(
            "template {template} has no variable {:?}{hint}\n  accepted: {}",
            clean(name),
            if list.is_empty() { "none" } else { &list }
        ));
    }
    let mut bound = BTreeMap::new();
    for variable in variables {
        let value = given.get(&variable.name).or(variable.default_value.as_ref());
        match value.map(|value| (value, variable.var_type.fit(value))) {
            Some((_, Some(value))) => {
                bound.insert(variable.name.clone(), value);
            }
            Some((value, None)) => mistakes.push(format!(
                "template {template}: {} does not fit the variable {:?}, which is {}\n  accepted: {}",
                clean(&value.to_string()),
                variable.name,
                variable.var_type.word(),
                variable.var_type.accepted()
            )),
            None => mistakes.push(format!(
                "template {template}: the variable {:?} has no default, so it needs a value: {}\n  accepted: {}",
                variable.name,
                variable.description,
                variable.var_type.accepted()
            )),
        }
    }
    if mistakes.is_empty() { Ok(bound) } else { Err(mistakes) }
}

impl VariableType {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            VariableType::Integer => "Integer",
            VariableType::Decimal => "Decimal",
            VariableType::Text => "Text",
            VariableType::Boolean => "Boolean",
            VariableType::Duration => "Duration",
        }
    }
}

fn minutes(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let number = text.get(..text.len() - unit.len_utf8())?;
    if number.is_empty() || number.len() > 7 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        'm' => Some(number),
        'h' => Some(number * 60),
        'd' => Some(number * 24 * 60),
        _ => None,
    }
}
