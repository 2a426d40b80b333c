//! Why a condition gave what it gave: every sub-expression with its value and where that came from.
//!
//! Each part is evaluated by itself, those included that the answer did not hang on.

use std::borrow::Cow;

use serde_json::json;

use super::eval::{Walk, Why, elements};
use super::facts::Source;
use super::node::{Node, Op};
use super::value::Value;
use super::{Condition, Truth};
use crate::domain::text::clean;

/// Most elements of a list that are shown one by one.
const MAX_SHOWN: usize = 5;

/// One sub-expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// As it is written.
    pub text: String,
    /// What it gave; `Unknown` with its reason where it gave nothing.
    pub value: Value,
    /// Where the value was read, for names; `None` for what was reckoned.
    pub source: Option<String>,
    /// Its parts, in the order of the text.
    pub parts: Vec<Explained>,
}

impl Explained {
    /// One line for each sub-expression, parts indented below the whole. Ends with a line break.
    pub fn tree(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    /// As JSON: `expression`, `value`, `source`, `parts`.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "expression": self.text,
            "value": self.value.to_json(),
            "source": self.source,
            "parts": self.parts.iter().map(Explained::to_json).collect::<Vec<_>>(),
        })
    }

    fn write(&self, out: &mut String, depth: usize) {
        let source = self.source.as_ref().map_or(String::new(), |source| format!("   from {}", clean(source)));
        out.push_str(&format!("{}{} → {}{source}\n", "  ".repeat(depth), self.text, self.value));
        for part in &self.parts {
            part.write(out, depth + 1);
        }
    }
}

pub(super) fn explain<S: Source + ?Sized>(condition: &Condition, source: &S) -> Explained {
    let mut walk = Walk::new(source, condition.paths());
    one(condition.node(), &mut walk)
}

/// The truth of what an evaluation gave.
pub(super) fn truth(outcome: Result<bool, Why>) -> Truth {
    match outcome {
        Ok(true) => Truth::True,
        Ok(false) => Truth::False,
        Err(Why::Unknown(reason)) => Truth::Unknown(reason),
        Err(Why::NoRoot(name)) => Truth::NoRoot(name.to_string()),
    }
}

fn one<'a, S: Source + ?Sized>(node: &'a Node, walk: &mut Walk<'a, S>) -> Explained {
    walk.steps = 0;
    let value = match walk.value(node) {
        Ok(value) => value.into_owned(),
        Err(Why::Unknown(reason)) => Value::Unknown(reason),
        Err(Why::NoRoot(name)) => Value::Unknown(format!("there is no {name:?} among the facts")),
    };
    let source = match &node.op {
        Op::Path(index, _) | Op::Has(index, _) => walk.source.origin(*index, &walk.paths[*index]),
        _ => None,
    };
    Explained { text: node.to_string(), value, source, parts: parts(node, walk) }
}

fn parts<'a, S: Source + ?Sized>(node: &'a Node, walk: &mut Walk<'a, S>) -> Vec<Explained> {
    if let Op::Each(each) = &node.op {
        return elements_of(each, walk);
    }
    // A literal says its value already.
    let inner = node.parts().into_iter();
    inner.filter(|part| !matches!(part.op, Op::Literal(_))).map(|part| one(part, walk)).collect()
}

/// The list, and its first elements with what the test said of each.
fn elements_of<'a, S: Source + ?Sized>(each: &'a super::node::Each, walk: &mut Walk<'a, S>) -> Vec<Explained> {
    let range = one(&each.range, walk);
    let items = elements(Cow::Owned(range.value.clone())).unwrap_or_default();
    let mut parts = vec![range];
    for item in items.into_iter().take(MAX_SHOWN).map(Cow::into_owned) {
        walk.locals.truncate(each.slot);
        walk.locals.push(Cow::Owned(item.clone()));
        let inner = each.test.iter().chain(&each.make).map(|part| one(part, walk)).collect();
        parts.push(Explained { text: each.name.to_string(), value: item, source: None, parts: inner });
    }
    walk.locals.truncate(each.slot);
    parts
}
