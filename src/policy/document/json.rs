//! JSON into a tree with positions.
//!
//! serde_json says whether a text is JSON and where it is not; it keeps no positions and lets a key stand twice. So a
//! second walk over the text, which then is known to be JSON, notes where everything stands and refuses such keys.

use std::path::Path;

use super::{DocumentError, Entry, Errors, Node, Spot, Value};

/// Deepest nesting, as in YAML.
const MAX_DEPTH: usize = 24;

/// The tree of a file.
///
/// # Errors
/// The first mistake of syntax, an empty file, or every key that stands twice.
pub fn parse_json(file: &Path, text: &str) -> Result<Node, Errors> {
    if text.trim().is_empty() {
        return Err(DocumentError::of_file(file, "the file is empty", "one policy, or a list of them").into());
    }
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let spot = Spot { line: error.line(), column: column(text, error.line(), error.column()), width: 0 };
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        return Err(DocumentError::new(file, text, spot, "", crate::domain::text::clean(message), "").into());
    }
    let mut walk = Walk { rest: text, spot: Spot { line: 1, column: 1, width: 0 }, depth: 0, errors: Vec::new() };
    walk.blank();
    let node = walk.node();
    if walk.errors.is_empty() {
        return Ok(node);
    }
    let named = walk
        .errors
        .into_iter()
        .map(|(spot, problem, accepted)| DocumentError::new(file, text, spot, "", problem, accepted));
    Err(Errors::from(named.collect::<Vec<_>>()))
}

/// serde_json counts bytes from 1, and 0 at a line's end.
fn column(text: &str, line: usize, bytes: usize) -> usize {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    line.char_indices().take_while(|(at, _)| *at + 1 < bytes).count() + 1
}

struct Walk<'t> {
    rest: &'t str,
    spot: Spot,
    depth: usize,
    errors: Vec<(Spot, String, &'static str)>,
}

impl<'t> Walk<'t> {
    fn node(&mut self) -> Node {
        let start = self.spot;
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH {
            self.errors.push((start, format!("nested deeper than {MAX_DEPTH} levels"), "less nesting"));
            self.rest = "";
            Value::Null
        } else {
            self.value()
        };
        self.depth -= 1;
        let width = if self.spot.line == start.line { self.spot.column - start.column } else { 0 };
        Node { spot: Spot { width, ..start }, value }
    }

    fn value(&mut self) -> Value {
        match self.rest.chars().next() {
            Some('{') => self.map(),
            Some('[') => {
                let mut items = Vec::new();
                self.open();
                while !self.closes(']') {
                    items.push(self.node());
                    self.comma();
                }
                Value::List(items)
            }
            Some('"') => Value::Text(self.text()),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(self.rest.len());
                match serde_json::from_str(self.take(end)) {
                    Ok(serde_json::Value::Bool(value)) => Value::Bool(value),
                    Ok(serde_json::Value::Number(number)) => Value::Number(number),
                    _ => Value::Null,
                }
            }
        }
    }

    fn map(&mut self) -> Value {
        let mut entries: Vec<Entry> = Vec::new();
        self.open();
        while !self.closes('}') {
            let start = self.spot;
            let key = self.text();
            let key_spot = Spot { width: self.spot.column - start.column, ..start };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let problem = format!(
                    "the key {:?} stands twice, first on line {}",
                    crate::domain::text::clean(&key),
                    first.key_spot.line
                );
                self.errors.push((key_spot, problem, "each key once"));
            }
            self.blank();
            self.take(1);
            self.blank();
            let node = self.node();
            entries.push(Entry { key, key_spot, node });
            self.comma();
        }
        Value::Map(entries)
    }

    /// A quoted text with its escapes read.
    fn text(&mut self) -> String {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, character)| {
            let ends = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            ends
        });
        let token = self.take(end.map_or(self.rest.len(), |(at, _)| at + 1));
        serde_json::from_str(token).unwrap_or_default()
    }

    fn open(&mut self) {
        self.take(1);
        self.blank();
    }

    /// Whether a list or map ends here (and steps over its end), or the text itself does.
    fn closes(&mut self, end: char) -> bool {
        let ends = self.rest.is_empty() || self.rest.starts_with(end);
        if ends {
            self.take(usize::from(!self.rest.is_empty()));
        }
        ends
    }

    fn comma(&mut self) {
        self.blank();
        if self.rest.starts_with(',') {
            self.take(1);
            self.blank();
        }
    }

    fn blank(&mut self) {
        self.take(self.rest.len() - self.rest.trim_start_matches([' ', '\n', '\r', '\t']).len());
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.spot.pass(taken);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, Errors> {
        parse_json(Path::new("a.json"), text)
    }

    #[test]
    fn positions_and_values_are_those_of_the_text() {
        let text = "{\n  \"ü\": [1, -2.5e1, true, null, \"a\\\"\\u00e9,]\"],\n  \"b\" : { }\n}\n";
        let root = parse(text).unwrap();
        assert_eq!(root.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        let list = root.entry("ü").unwrap();
        assert_eq!((list.key_spot, list.node.spot.column), (Spot { line: 2, column: 3, width: 3 }, 8));
        let Value::List(items) = &list.node.value else { panic!("{list:?}") };
        assert_eq!(items[4].spot, Spot { line: 2, column: 32, width: 13 });
        assert_eq!(root.entry("b").unwrap().node.spot, Spot { line: 3, column: 9, width: 3 });
    }

    #[test]
    fn bad_syntax_empty_files_and_keys_that_stand_twice_are_refused_where_they_are() {
        let cases = [
            ("{\"a\": 1,}", 1, 9),
            ("{\"a\" 1}", 1, 6),
            ("[1", 1, 2),
            ("", 0, 0),
            ("{\"a\": 1,\n \"a\": 2}", 2, 2),
            ("{} {}", 1, 4),
        ];
        for (text, line, column) in cases {
            let errors = parse(text).unwrap_err();
            let found: Vec<_> = errors.list().iter().map(|error| (error.line, error.column)).collect();
            assert_eq!(found, [(line, column)], "{text}: {errors}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        for depth in [25, 100, 20_000] {
            let errors = parse(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).expect_err("must be refused");
            assert_eq!(errors.list().len(), 1, "{errors}");
        }
        assert!(parse(&format!("{}{}", "[".repeat(24), "]".repeat(24))).is_ok());
    }
}
