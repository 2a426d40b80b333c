//! TOML into a tree with positions, by the toml crate.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{DocumentError, Entry, Errors, Node, Spot, Value};

/// The tree of a file. Dates without quotes become text.
///
/// # Errors
/// The first mistake of syntax, a key given twice, or a file without any key.
pub fn parse_toml(file: &Path, text: &str) -> Result<Node, Errors> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let spot = error.span().map(|span| lines.spot(span)).unwrap_or_default();
        DocumentError::new(file, text, spot, "", crate::domain::text::clean(error.message()), "")
    })?;
    if table.get_ref().is_empty() {
        return Err(DocumentError::of_file(file, "the file is empty", "at least one key; see `costwarden init`").into());
    }
    let mut errors = Vec::new();
    let value = map(table.get_ref(), &lines, &mut |span, problem: &str, accepted: &str| {
        errors.push(DocumentError::new(file, text, lines.spot(span), "", problem, accepted));
    });
    if errors.is_empty() { Ok(Node { spot: Spot { line: 1, column: 1, width: 0 }, value }) } else { Err(errors.into()) }
}

type Fail<'f> = dyn FnMut(std::ops::Range<usize>, &str, &str) + 'f;

fn map(table: &DeTable<'_>, lines: &Lines<'_>, fail: &mut Fail<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_spot: lines.spot(key.span()),
            node: node(value, lines, fail),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_spot);
    Value::Map(entries)
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>, fail: &mut Fail<'_>) -> Node {
    let inner = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, lines, fail)).collect()),
        DeValue::Table(table) => map(table, lines, fail),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Number(number.into()),
            Err(_) => {
                fail(value.span(), "the number is too large", "whole numbers of at most 64 bits");
                Value::Null
            }
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Value::Number(number),
            None => {
                fail(value.span(), "the number is not finite", "a decimal such as 12.5");
                Value::Null
            }
        },
    };
    Node { spot: lines.spot(value.span()), value: inner }
}

/// Byte offsets to lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { text, starts }
    }

    fn spot(&self, span: std::ops::Range<usize>) -> Spot {
        let line = self.starts.partition_point(|start| *start <= span.start).max(1);
        let chars = |from: usize, to: usize| self.text.get(from..to).map_or(0, |part| part.chars().count());
        let end =
            self.text.get(span.start..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |n| span.start + n);
        Spot {
            line,
            column: chars(self.starts[line - 1], span.start.min(self.text.len())) + 1,
            width: chars(span.start, span.end.min(end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, Errors> {
        parse_toml(Path::new("a.toml"), text)
    }

    #[test]
    fn positions_are_lines_and_columns_in_characters() {
        let root = parse("# ü\n[a]\n\"ü\" = [1, 2026-12-24]\n").unwrap();
        let entry = root.get("a").unwrap().entry("ü").unwrap();
        assert_eq!(entry.key_spot, Spot { line: 3, column: 1, width: 3 });
        assert_eq!(entry.node.spot.column, 7);
        let Value::List(items) = &entry.node.value else { panic!("{entry:?}") };
        assert_eq!(items[1].text(), Some("2026-12-24"));
    }

    #[test]
    fn duplicate_keys_bad_syntax_and_empty_files_are_one_error_each() {
        for (text, line) in [("a = 1\na = 2\n", 2), ("a = \n", 1), ("", 0), ("# c\n", 0), ("a = nan\n", 1), ("[a\n", 1)]
        {
            let errors = parse(text).unwrap_err();
            assert_eq!(errors.list().len(), 1, "{errors}");
            assert_eq!(errors.list()[0].line, line, "{text:?}: {errors}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        for text in [format!("a = {}", "[".repeat(20_000)), format!("a{} = 1\n", ".a".repeat(20_000))] {
            let errors = parse(&text).expect_err("must be refused");
            assert_eq!(errors.list().len(), 1, "{errors}");
        }
    }
}
