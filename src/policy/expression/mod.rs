//! Conditions: CEL text in, true, false or unknown out. Pure; the only user of crate `cel`.
//!
//! Called by the policy loader ([`Condition::compile`]), the decision point and the inventory's judge
//! ([`Condition::evaluate`]) and `policy explain`. What holds: compiling and evaluating end on any text and any facts,
//! without a panic, within a bound; a value that is missing or not known is never taken for false, zero or empty; a
//! name that the facts do not have at all is told apart ([`Truth::NoRoot`]), because then the rule does not apply.
//!
//! Where this differs from plain CEL: whole and decimal numbers mix; `/` keeps its remainder; values of different types
//! are unknown, not unequal; `has()` is false for null too; durations have days (`4d`); `matches` takes its pattern in
//! quotes; `password.in_history(5)` is ours, and reads `password.history_position`.

mod eval;
mod explain;
mod facts;
mod fields;
mod functions;
pub mod fuzz;
mod guard;
mod inventory;
mod node;
mod parse;
mod types;
mod value;

#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use explain::Explained;
pub use facts::Facts;
pub(crate) use facts::{Path, Source};
pub use fields::{FIELDS, Field, FieldType};
pub(crate) use guard::string_around;
pub use guard::{MAX_BYTES, MAX_NESTING};
pub use inventory::{Look, OverInventory};
pub use value::Value;

/// Longest text in facts and results, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// Most items of a list in facts and results.
pub const MAX_ITEMS: usize = 10_000;
/// Most parts of a dotted name.
pub const MAX_SEGMENTS: usize = 16;
/// Most units of work in one evaluation; far below a millisecond.
pub const MAX_STEPS: usize = 20_000;

/// A compiled condition. Cloning it is cheap.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

struct Compiled {
    text: String,
    node: node::Node,
    paths: Vec<Path>,
    reads: Vec<String>,
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; accepted: {accepted}")]
pub struct ConditionError {
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// How many bytes it concerns, at least 1.
    pub width: usize,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub accepted: String,
}

/// What a condition says about some facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// The answer hangs on something that is not known; the reason is for people.
    Unknown(String),
    /// The answer hangs on a root name that the facts do not have: the rule does not apply.
    NoRoot(String),
}

impl Condition {
    /// Compiles a condition. Refused: what CEL cannot parse, functions that do not exist, what is certain not to give
    /// true or false, and whatever exceeds a limit of this module.
    pub fn compile(text: &str) -> Result<Condition, ConditionError> {
        let (node, paths) = parse::parse(text)?;
        types::check(&node, &|_| types::Type::Any)?;
        let reads = paths.iter().map(|path| path.text.clone()).collect();
        Ok(Condition(Arc::new(Compiled { text: text.to_owned(), node, paths, reads })))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Dotted paths that it reads, sorted, each once: `organization.monthly_cost`.
    pub fn reads(&self) -> &[String] {
        &self.0.reads
    }

    /// Whether it holds.
    pub fn evaluate(&self, facts: &Facts) -> Truth {
        self.evaluate_on(facts)
    }

    /// The value of each part, and where it came from.
    pub fn explain(&self, facts: &Facts) -> Explained {
        self.explain_on(facts)
    }

    pub(crate) fn evaluate_on<S: Source + ?Sized>(&self, source: &S) -> Truth {
        explain::truth(eval::Walk::new(source, self.paths()).test(self.node()))
    }

    pub(crate) fn explain_on<S: Source + ?Sized>(&self, source: &S) -> Explained {
        explain::explain(self, source)
    }

    pub(crate) fn paths(&self) -> &[Path] {
        &self.0.paths
    }

    fn node(&self) -> &node::Node {
        &self.0.node
    }

    /// Where a path first stands in the text: byte offset and length.
    fn place_of(&self, path: usize) -> (usize, usize) {
        self.node().place_of(path).unwrap_or((0, self.text().len()))
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text()).finish()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.text() == other.text()
    }
}
