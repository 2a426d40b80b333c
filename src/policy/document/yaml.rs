//! YAML into a tree with positions, by serde-saphyr.
//!
//! Strict where YAML is loose: duplicate keys and unknown tags are refused, only `true` and `false` are booleans,
//! and a number with leading zeros (an account id) stays text.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::{DocumentError, Entry, Errors, Node, Spot, Value};

/// Most nodes of a file once its aliases are written out; the largest sensible policy file has a few thousand.
const MAX_NODES: usize = 100_000;

/// All documents of a file, at least one.
///
/// # Errors
/// The first mistake of syntax, or an empty file.
pub fn parse_yaml(file: &Path, text: &str) -> Result<Vec<Node>, Errors> {
    if let Some(spot) = lone_return(text) {
        let problem = "a carriage return stands alone";
        return Err(DocumentError::new(file, text, spot, "", problem, "line breaks \\n or \\r\\n").into());
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH },
    };
    let documents: Vec<Spanned<Tree>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let spot = error.location().map(spot).unwrap_or_default();
        DocumentError::new(file, text, spot, "", message(&error), "")
    })?;
    if documents.is_empty() {
        return Err(DocumentError::of_file(file, "the file is empty", "at least one document").into());
    }
    Ok(documents.into_iter().map(node).collect())
}

/// The first carriage return without a line feed. YAML takes it for a line break and editors do not, so every position
/// behind it would name another line than the one that people see.
fn lone_return(text: &str) -> Option<Spot> {
    let at = text.match_indices('\r').map(|(at, _)| at).find(|at| text.as_bytes().get(at + 1) != Some(&b'\n'))?;
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some(Spot { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, width: 1 })
}

/// Deepest nesting. Reading recurses, and a test thread's 2 MiB stack must never end; documents nest about ten deep.
const MAX_DEPTH: usize = 24;

/// Serde's view of a node; positions come from [`Spanned`].
struct Tree(Inner);

enum Inner {
    Plain(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn node(tree: Spanned<Tree>) -> Node {
    let spot = spot(tree.referenced);
    let value = match tree.value.0 {
        Inner::Plain(value) => value,
        Inner::List(items) => Value::List(items.into_iter().map(node).collect()),
        Inner::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry { key_spot: self::spot(key.referenced), key: key.value, node: node(value) })
                .collect(),
        ),
    };
    Node { spot, value }
}

fn spot(location: Location) -> Spot {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Spot { line: number(location.line()), column: number(location.column()), width: number(location.span().len()) }
}

/// The library's message without its own "at line …", which our prefix already says.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.render();
    let text = text.split(" at line ").next().unwrap_or(&text);
    crate::domain::text::clean(text.lines().next().unwrap_or("not valid YAML"))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree(Inner::Plain(Value::Bool(value))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree(Inner::Plain(Value::Number(value.into()))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree(Inner::Plain(Value::Number(value.into()))))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Tree(Inner::Plain(Value::Number(number))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree(Inner::Plain(Value::Text(value.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree(Inner::Plain(Value::Null)))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree(Inner::Plain(Value::Null)))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree(Inner::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            list.push(entry);
        }
        Ok(Tree(Inner::Map(list)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Node>, Errors> {
        parse_yaml(Path::new("a.yaml"), text)
    }

    #[test]
    fn a_lone_carriage_return_is_told_where_people_see_it() {
        let error = parse_yaml(Path::new("p.yaml"), "a: 1\r\nb: é\rc: 3\n").unwrap_err().to_string();
        assert!(error.contains("p.yaml:2:5") && error.contains("\\r\\n"), "{error}");
        assert!(parse_yaml(Path::new("p.yaml"), "a: 1\r\nb: 2\r\n").is_ok());
        assert!(parse_yaml(Path::new("p.yaml"), "~\r\0").is_err());
    }

    #[test]
    fn positions_types_and_spellings_are_kept() {
        let documents = parse("# c\na: 1\nb:\n  - yes\n  - 012345678901\n  - true\n---\nc: \"1\"\n").unwrap();
        let first = &documents[0];
        assert_eq!(first.spot.line, 2);
        let entry = first.entry("b").unwrap();
        assert_eq!((entry.key_spot.line, entry.key_spot.column, entry.key_spot.width), (3, 1, 1));
        let Value::List(items) = &entry.node.value else { panic!("{entry:?}") };
        assert_eq!(items[0].value, Value::Text("yes".into()));
        assert_eq!(items[1].value, Value::Text("012345678901".into()));
        assert_eq!((items[1].spot.line, items[1].spot.column, items[1].spot.width), (5, 5, 12));
        assert_eq!(items[2].value, Value::Bool(true));
        assert_eq!(documents[1].get("c").unwrap().text(), Some("1"));
        assert_eq!(documents[1].spot.line, 8);
    }

    #[test]
    fn duplicate_keys_bad_syntax_and_empty_files_are_one_error_each() {
        for (text, line) in [("a: 1\na: 2\n", 2), ("a: [1,\n", 1), ("", 0), ("# only a comment\n", 0), ("a: !x 1\n", 1)]
        {
            let errors = parse(text).unwrap_err();
            assert_eq!(errors.list().len(), 1, "{errors}");
            assert_eq!(errors.list()[0].line, line, "{text:?}: {errors}");
        }
    }

    #[test]
    fn an_alias_bomb_is_stopped() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let item = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
        }
        assert_eq!(parse(&text).unwrap_err().list().len(), 1);
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        let fine = MAX_DEPTH - 4;
        assert!(parse(&format!("{}x{}\n", "[".repeat(fine), "]".repeat(fine))).is_ok());
        let braces = "{a: ".repeat(20_000);
        for text in
            ["[".repeat(20_000), "- ".repeat(20_000), braces, format!("{}x{}", "[".repeat(500), "]".repeat(500))]
        {
            let errors = parse(&text).expect_err("must be refused");
            assert_eq!(errors.list().len(), 1, "{errors}");
        }
    }
}
