//! What a condition over the inventory may read, and how it reads it.
//!
//! [`FIELDS`] is the whole list: `costwarden schema --fields` prints it, the loader refuses any other name with the
//! nearest one ([`OverInventory::bind`]), and evaluation answers straight from the resource, without building a tree of
//! values for each. What a listing did not tell stays unknown. A tag that is certainly not there is null: the tag set
//! is read whole or not at all.

use std::borrow::Cow;

use super::facts::{Path, Reading, Source, walk};
use super::fields::{FIELDS, Field, Read};
use super::parse::error;
use super::types::{self, Type};
use super::value::Value;
use super::{Condition, ConditionError, Explained, Truth};
use crate::domain::check::Subject;
use crate::domain::place::Kind;
use crate::policy::document::nearest;

/// A condition whose names are all found in the table.
#[derive(Clone, Debug)]
pub struct OverInventory {
    condition: Condition,
    /// For each path: the fields that answer it, one for all kinds or one a kind.
    fields: Vec<Vec<&'static Field>>,
}

/// One value that a condition read.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The path as written.
    pub path: String,
    /// What it gave.
    pub value: Value,
    /// Unit; empty when the value says it.
    pub unit: &'static str,
    /// Where it was read.
    pub source: &'static str,
}

impl OverInventory {
    /// Holds a condition against the table. A name must be readable for at least one of the kinds; for the others the
    /// rule does not apply.
    ///
    /// # Errors
    /// The first name that is not in the table, or a comparison that its type does not allow, with its place.
    pub fn bind(condition: &Condition, kinds: &[Kind]) -> Result<OverInventory, ConditionError> {
        let mut fields = Vec::new();
        for (index, path) in condition.paths().iter().enumerate() {
            let found: Vec<&'static Field> =
                FIELDS.iter().filter(|field| answers(field, path) && has_any(field, kinds)).collect();
            if found.is_empty() {
                return Err(no_such(path, kinds, condition.place_of(index)));
            }
            fields.push(found);
        }
        types::check(condition.node(), &|index| type_of(&condition.paths()[index], &fields[index]))?;
        Ok(OverInventory { condition: condition.clone(), fields })
    }

    /// The condition.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Whether it holds for a resource.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Truth {
        self.condition.evaluate_on(&Bound { fields: &self.fields, subject })
    }

    /// The value of each part for a resource.
    pub fn explain(&self, subject: &Subject<'_>) -> Explained {
        self.condition.explain_on(&Bound { fields: &self.fields, subject })
    }

    /// Every value that it reads of a resource, in the order of the names.
    pub fn looks(&self, subject: &Subject<'_>) -> Vec<Look> {
        let bound = Bound { fields: &self.fields, subject };
        let looks = self.condition.paths().iter().enumerate().filter_map(|(index, path)| {
            let field = bound.field(index)?;
            let value = match bound.read(index, path) {
                Reading::Found(value) => value.into_owned(),
                Reading::NoRoot => return None,
                Reading::Missing(_) | Reading::NotAMap(..) => Value::Unknown(format!("{} is missing", path.text)),
            };
            Some(Look { path: path.text.clone(), value, unit: field.unit, source: field.source })
        });
        looks.collect()
    }

    /// Full days of metrics that it reads; `None` when it reads none.
    pub fn usage_days(&self) -> Option<u32> {
        self.fields.iter().flatten().filter_map(|field| field.usage_days).max()
    }
}

/// A condition's names over one resource.
struct Bound<'a> {
    fields: &'a [Vec<&'static Field>],
    subject: &'a Subject<'a>,
}

impl Bound<'_> {
    fn field(&self, index: usize) -> Option<&'static Field> {
        let kind = self.subject.resource.kind();
        self.fields[index].iter().copied().find(|field| field.kinds.contains(&kind))
    }
}

impl Source for Bound<'_> {
    fn read(&self, index: usize, path: &Path) -> Reading<'_> {
        let Some(field) = self.field(index) else {
            return Reading::NoRoot;
        };
        match field.read {
            Read::Value(read) => {
                let value = read(self.subject);
                if path.segments.len() == field.depth() {
                    return Reading::Found(Cow::Owned(value));
                }
                walk(Cow::Owned(value), path, field.depth())
            }
            Read::Tags => match path.segments.get(field.depth()..) {
                Some([key]) => Reading::Found(Cow::Owned(super::fields::tag(self.subject, key))),
                _ => walk(Cow::Owned(super::fields::all_tags(self.subject)), path, field.depth()),
            },
        }
    }

    fn origin(&self, index: usize, _: &Path) -> Option<String> {
        self.field(index).map(|field| field.source.to_owned())
    }
}

/// Whether a field is what a path names, or holds it.
fn answers(field: &Field, path: &Path) -> bool {
    let mut segments = path.segments.iter();
    field.path.split('.').all(|part| segments.next().is_some_and(|segment| **segment == *part))
        && (field.holds_fields() || segments.next().is_none())
}

fn has_any(field: &Field, kinds: &[Kind]) -> bool {
    kinds.is_empty() || field.kinds.iter().any(|kind| kinds.contains(kind))
}

fn type_of(path: &Path, fields: &[&'static Field]) -> Type {
    let mut types = fields.iter().map(|field| match path.segments.len() == field.depth() {
        true => field.of.as_type(),
        // Below a map of tags is a tag.
        false => Type::Text,
    });
    let first = types.next().unwrap_or(Type::Any);
    if types.all(|other| other == first) { first } else { Type::Any }
}

fn no_such(path: &Path, kinds: &[Kind], at: (usize, usize)) -> ConditionError {
    let known = || FIELDS.iter().filter(|field| has_any(field, kinds));
    let nouns: Vec<&str> = kinds.iter().map(|kind| kind.noun()).collect();
    let of = if nouns.is_empty() { String::new() } else { format!(" of {}", nouns.join(" or ")) };
    let leaf = path.segments.last().map_or("", |leaf| &**leaf);
    let near = known()
        .map(|field| field.path)
        .find(|known| known.rsplit('.').next() == Some(leaf))
        .or_else(|| nearest(&path.text, known().map(|field| field.path)));
    let elsewhere = FIELDS.iter().find(|field| answers(field, path)).map(|field| field.kinds);
    let problem = match (elsewhere, near) {
        (Some(kinds), _) => {
            let nouns: Vec<&str> = kinds.iter().map(|kind| kind.noun()).collect();
            format!("{:?} is read of {} only", path.text, nouns.join(" and "))
        }
        (None, Some(near)) => format!("there is no {:?}{of}; did you mean {near:?}?", path.text),
        (None, None) => format!("there is no {:?}{of}", path.text),
    };
    let root = path.segments.first().map_or("", |root| &**root);
    let same_root: Vec<&str> =
        known().map(|field| field.path).filter(|known| known.split('.').next() == Some(root)).collect();
    let accepted = if same_root.is_empty() {
        let mut roots: Vec<&str> = known().filter_map(|field| field.path.split('.').next()).collect();
        roots.dedup();
        format!("names below {}; `costwarden schema --fields` lists them", roots.join(", "))
    } else {
        same_root.join(", ")
    };
    error(at, &problem, &accepted)
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
