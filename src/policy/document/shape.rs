//! Holding a tree against a raw shape.
//!
//! The shape's JSON Schema is the one description: editors get it from `costwarden schema`, and this walk finds every
//! unknown key, missing key, wrong type, bad word and number out of range in one go. Only what schemars emits for our
//! shapes is understood.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{At, Checker, Node, Spot, Value, join, near};

impl Checker<'_> {
    /// The tree as a raw shape, or `None` after noting every mistake.
    pub fn read<T: DeserializeOwned + JsonSchema>(&mut self, at: &At<'_>) -> Option<T> {
        let before = self.count();
        let schema = known::<T>();
        let node = at.node?;
        Walk { root: &schema, hidden: at.hidden, checker: self }.node(&schema, node, at.path());
        if self.count() > before {
            return None;
        }
        match serde_path_to_error::deserialize(node.to_json()) {
            Ok(value) => Some(value),
            // The walk above should have said it; if a shape ever asks for more, this still refuses the file.
            Err(error) => {
                self.push(
                    at.spot(),
                    &join(at.path(), &error.path().to_string()),
                    error.inner().to_string(),
                    String::new(),
                );
                None
            }
        }
    }
}

/// The schema of a shape, made once: many documents are held against the same few shapes.
fn known<T: JsonSchema>() -> Arc<Json> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Json>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(T::schema_id().into_owned()).or_insert_with(|| Arc::new(schema_of::<T>())).clone()
}

/// The JSON Schema of a shape, as the loader reads it: a key that is there has a value, so `null` is never accepted.
pub fn schema_of<T: JsonSchema>() -> Json {
    let mut schema = schemars::schema_for!(T).to_value();
    without_nulls(&mut schema);
    schema
}

/// Removes `null` from every choice of types, and an `anyOf` that has one branch left.
pub fn without_nulls(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(without_nulls),
        Json::Object(map) => {
            if let Some(Json::Array(types)) = map.get_mut("type") {
                types.retain(|word| word != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if map.get("default").is_some_and(Json::is_null) {
                map.remove("default");
            }
            if let Some(Json::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|word| word != "null"));
                if let [Json::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            map.values_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

struct Walk<'w, 'c> {
    root: &'w Json,
    hidden: Option<&'static str>,
    checker: &'w mut Checker<'c>,
}

impl Walk<'_, '_> {
    fn node(&mut self, schema: &Json, node: &Node, path: &str) {
        let schema = self.resolve(schema);
        if let Some(words) = words(&schema) {
            return self.word(&words, node, path);
        }
        match (schema.get("type").and_then(Json::as_str), &node.value) {
            (None, _) => {}
            (Some("object"), Value::Map(_)) => self.map(&schema, node, path),
            (Some("array"), Value::List(items)) => {
                if let Some(least) = schema.get("minItems").and_then(Json::as_u64)
                    && (items.len() as u64) < least
                {
                    self.fail(node.spot, path, "the list is empty".into(), format!("at least {least}"));
                }
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.node(inner, item, &format!("{path}[{index}]"));
                    }
                }
            }
            (Some("string"), Value::Text(text)) => {
                let least = schema.get("minLength").and_then(Json::as_u64).unwrap_or(0);
                if (text.trim().chars().count() as u64) < least {
                    self.fail(node.spot, path, "the text is empty".into(), "some text".into());
                }
            }
            (Some("boolean"), Value::Bool(_)) => {}
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.range(&schema, number, node.spot, path, "a whole number");
            }
            (Some("number"), Value::Number(number)) => self.range(&schema, number, node.spot, path, "a number"),
            (Some(wanted), _) => self.wrong_type(wanted, &schema, node, path),
        }
    }

    fn wrong_type(&mut self, wanted: &str, schema: &Json, node: &Node, path: &str) {
        let expected = match wanted {
            "object" => "keys with values".to_owned(),
            "array" => "a list".to_owned(),
            "string" => "text".to_owned(),
            "boolean" => "true or false".to_owned(),
            "integer" => limits(schema, "a whole number"),
            _ => limits(schema, "a number"),
        };
        let quote = matches!(node.value, Value::Number(_) | Value::Bool(_)) && wanted == "string";
        let accepted = if quote { format!("{expected}, in quotes") } else { expected };
        self.fail(node.spot, path, format!("{} has the wrong type", node.describe()), accepted);
    }

    fn map(&mut self, schema: &Json, node: &Node, path: &str) {
        let Value::Map(entries) = &node.value else { return };
        let empty = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
        let known = || properties.keys().map(String::as_str);
        let mut mistyped = Vec::new();
        for entry in entries {
            let hide = path.is_empty() && self.hidden == Some(entry.key.as_str());
            let path = if hide { String::new() } else { join(path, &entry.key) };
            match (properties.get(&entry.key), schema.get("additionalProperties")) {
                (Some(inner), _) => self.node(inner, &entry.node, &path),
                (None, Some(Json::Object(inner))) => self.node(&Json::Object(inner.clone()), &entry.node, &path),
                (None, Some(Json::Bool(false))) => {
                    let mut hint = near::hint(&entry.key, known());
                    mistyped.extend(near::nearest(&entry.key, known()));
                    if hint.is_empty() && looks_secret(&entry.key) {
                        hint = "; secrets never stand in the file, it names a file that holds them".into();
                    }
                    self.fail(
                        entry.key_spot,
                        &path,
                        format!("unknown key{hint}"),
                        known().collect::<Vec<_>>().join(", "),
                    );
                }
                (None, _) => {}
            }
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            let there = entries.iter().any(|entry| entry.key == name);
            if !there && !mistyped.contains(&name) {
                let about = properties.get(name).map(|inner| self.resolve(inner)).and_then(|inner| {
                    inner
                        .get("description")
                        .and_then(Json::as_str)
                        .map(|text| text.lines().next().unwrap_or("").to_owned())
                });
                self.fail(node.spot, path, format!("the key {name:?} is missing"), about.unwrap_or_default());
            }
        }
    }

    fn word(&mut self, words: &[String], node: &Node, path: &str) {
        let known = || words.iter().map(String::as_str);
        let accepted = known().collect::<Vec<_>>().join(", ");
        match &node.value {
            Value::Text(text) if words.contains(text) => {}
            Value::Text(text) => {
                let hint = near::hint(text, known());
                let given = crate::domain::text::clean(text);
                self.fail(node.spot, path, format!("{given:?} is not accepted here{hint}"), accepted);
            }
            _ => self.fail(node.spot, path, format!("{} has the wrong type", node.describe()), accepted),
        }
    }

    fn range(&mut self, schema: &Json, number: &serde_json::Number, spot: Spot, path: &str, what: &str) {
        let Some(value) = number.as_f64() else { return };
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        if bound("minimum").is_some_and(|least| value < least) || bound("maximum").is_some_and(|most| value > most) {
            self.fail(spot, path, format!("{number} is out of range"), limits(schema, what));
        }
    }

    /// The schema behind a `$ref`, with the description that stood beside it.
    fn resolve(&self, schema: &Json) -> Json {
        let Some(target) = schema.get("$ref").and_then(Json::as_str) else { return schema.clone() };
        let mut found =
            target.strip_prefix('#').and_then(|path| self.root.pointer(path)).cloned().unwrap_or(Json::Null);
        if let (Some(about), Json::Object(map)) = (schema.get("description"), &mut found) {
            map.insert("description".into(), about.clone());
        }
        found
    }

    fn fail(&mut self, spot: Spot, path: &str, problem: String, accepted: String) {
        self.checker.push(spot, path, problem, accepted);
    }
}

/// The words of an enumeration; `None` for any other schema.
fn words(schema: &Json) -> Option<Vec<String>> {
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        return Some(vec![word.to_owned()]);
    }
    if let Some(list) = schema.get("enum").and_then(Json::as_array) {
        return list.iter().map(|word| word.as_str().map(str::to_owned)).collect();
    }
    let choices = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let lists: Option<Vec<Vec<String>>> = choices.iter().map(words).collect();
    lists.map(|lists| lists.concat())
}

fn limits(schema: &Json, what: &str) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("{what} from {least} to {most}"),
        (Some(least), None) => format!("{what}, at least {least}"),
        (None, Some(most)) => format!("{what}, at most {most}"),
        (None, None) => what.to_owned(),
    }
}

fn looks_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["password", "passwd", "secret", "token", "webhook"].iter().any(|word| key.contains(word))
}
