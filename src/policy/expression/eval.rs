//! Evaluates a condition's tree, in three values and with a budget.
//!
//! `false && unknown` is false and `true || unknown` is true, whichever side comes first; everything else that needs
//! an unknown is unknown. `cel`'s own evaluator has neither unknowns nor a bound on its work, which is why the walk is
//! ours; `tests` holds both to the same answers.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::facts::{Path, Reading, Source};
use super::functions;
use super::node::{Binary, Each, How, Node, Op};
use super::value::{self, Value};
use super::{MAX_ITEMS, MAX_STEPS};
use crate::domain::text::Str;

/// Why a sub-expression has no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// Something that it needs is not known.
    Unknown(String),
    /// A root that it needs is not among the facts.
    NoRoot(Str),
}

pub(super) type Outcome<'a> = Result<Cow<'a, Value>, Why>;

/// One evaluation under way.
pub(super) struct Walk<'a, S: ?Sized> {
    pub source: &'a S,
    pub paths: &'a [Path],
    /// Values of the names that `exists` and its kin bound, outermost first.
    pub locals: Vec<Cow<'a, Value>>,
    /// Units of work done so far.
    pub steps: usize,
}

impl<'a, S: Source + ?Sized> Walk<'a, S> {
    pub(super) fn new(source: &'a S, paths: &'a [Path]) -> Walk<'a, S> {
        Walk { source, paths, locals: Vec::new(), steps: 0 }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        self.spend(1)?;
        match &node.op {
            Op::Literal(value) => Ok(Cow::Borrowed(value)),
            Op::Path(index, text) => self.path(*index, text),
            Op::Has(index, text) => self.has(*index, text),
            Op::Local(slot, _) => {
                let value = self.locals[*slot].clone();
                if let Cow::Owned(owned) = &value {
                    self.spend(owned.weight())?;
                }
                known(value)
            }
            Op::Select(inner, field) => {
                let inner = self.value(inner)?;
                self.spend(inner.weight())?;
                select(inner, field)
            }
            Op::HasField(inner, field) => match &*self.value(inner)? {
                Value::Map(map) => match map.get(field) {
                    None | Some(Value::Null) => answer(false),
                    Some(Value::Unknown(reason)) => Err(Why::Unknown(reason.clone())),
                    Some(_) => answer(true),
                },
                other => Err(Why::Unknown(format!("{} has no field {field}", other.type_word()))),
            },
            Op::Index(inner, index) => {
                let (inner, index) = (self.value(inner)?, self.value(index)?);
                self.spend(inner.weight())?;
                at_index(inner, &index)
            }
            Op::Not(inner) => answer(!self.test(inner)?),
            Op::Negate(inner) => give(value::negate(&*self.value(inner)?)),
            Op::And(parts) => self.all(parts, true),
            Op::Or(parts) => self.all(parts, false),
            Op::Binary(op, left, right) => self.binary(*op, left, right),
            Op::Choose(test, yes, no) => {
                if self.test(test)? {
                    self.value(yes)
                } else {
                    self.value(no)
                }
            }
            Op::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(self.value(item)?.into_owned());
                }
                Ok(Cow::Owned(Value::List(list)))
            }
            Op::Map(entries) => {
                let mut map = std::collections::BTreeMap::new();
                for (key, value) in entries {
                    map.insert(key.clone(), self.value(value)?.into_owned());
                }
                Ok(Cow::Owned(Value::Map(map)))
            }
            Op::Each(each) => self.each(each),
            Op::Call(call) => {
                let mut args = Vec::with_capacity(call.args.len());
                for arg in &call.args {
                    args.push(self.value(arg)?);
                }
                let given: Vec<&Value> = args.iter().map(|arg| &**arg).collect();
                self.spend(given.iter().map(|value| value.weight()).sum())?;
                give(functions::call(&call.function, call.name, &given))
            }
        }
    }

    /// The value of a node that is true or false.
    pub(super) fn test(&mut self, node: &'a Node) -> Result<bool, Why> {
        match &*self.value(node)? {
            Value::Bool(value) => Ok(*value),
            other => Err(Why::Unknown(format!("`{node}` is {}, not true or false", other.type_word()))),
        }
    }

    fn path(&mut self, index: usize, text: &str) -> Outcome<'a> {
        let path = &self.paths[index];
        match self.source.read(index, path) {
            Reading::Found(value) => match &*value {
                Value::Unknown(reason) => Err(Why::Unknown(format!("{text} is not known: {reason}"))),
                _ => Ok(value),
            },
            Reading::NoRoot => Err(Why::NoRoot(path.segments[0].clone())),
            Reading::Missing(depth) => Err(Why::Unknown(format!("{} is missing", path.segments[..=depth].join(".")))),
            Reading::NotAMap(depth, word) => Err(Why::Unknown(format!(
                "{} is {word} and has no field {}",
                path.segments[..depth].join("."),
                path.segments[depth]
            ))),
        }
    }

    fn has(&mut self, index: usize, text: &str) -> Outcome<'a> {
        let path = &self.paths[index];
        match self.source.read(index, path) {
            Reading::Found(value) => match &*value {
                Value::Null => answer(false),
                Value::Unknown(reason) => Err(Why::Unknown(format!("{text} is not known: {reason}"))),
                _ => answer(true),
            },
            Reading::Missing(depth) if depth + 1 == path.segments.len() => answer(false),
            _ => self.path(index, text),
        }
    }

    /// `&&` for `unit` true, `||` for `unit` false: the first part that is not the unit decides; without one, an
    /// unknown part leaves it unknown.
    fn all(&mut self, parts: &'a [Node], unit: bool) -> Outcome<'a> {
        let mut doubt: Option<Why> = None;
        for part in parts {
            match self.test(part) {
                Ok(value) if value != unit => return answer(!unit),
                Ok(_) => {}
                Err(why) => doubt = Some(both(doubt, why)),
            }
        }
        doubt.map_or_else(|| answer(unit), Err)
    }

    fn binary(&mut self, op: Binary, left: &'a Node, right: &'a Node) -> Outcome<'a> {
        let (left, right) = match (self.value(left), self.value(right)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(left), Err(right)) => return Err(both(Some(left), right)),
            (Err(why), _) | (_, Err(why)) => return Err(why),
        };
        if matches!(*left, Value::Text(_) | Value::List(_) | Value::Map(_))
            || matches!(*right, Value::List(_) | Value::Map(_))
        {
            self.spend(left.weight() + right.weight())?;
        }
        let order = |wanted: fn(Ordering) -> bool| left.order(&right).map(|order| Value::Bool(wanted(order)));
        give(match op {
            Binary::Equal => left.same(&right).map(Value::Bool),
            Binary::Unequal => left.same(&right).map(|same| Value::Bool(!same)),
            Binary::Less => order(Ordering::is_lt),
            Binary::LessEqual => order(Ordering::is_le),
            Binary::Greater => order(Ordering::is_gt),
            Binary::GreaterEqual => order(Ordering::is_ge),
            Binary::Add => value::add(&left, &right),
            Binary::Subtract => value::subtract(&left, &right),
            Binary::Multiply => value::multiply(&left, &right),
            Binary::Divide => value::divide(&left, &right),
            Binary::Remainder => value::remainder(&left, &right),
            Binary::In => return contains(&left, &right),
        })
    }

    fn each(&mut self, each: &'a Each) -> Outcome<'a> {
        let range = self.value(&each.range)?;
        let items = elements(range)?;
        self.spend(items.len())?;
        let (mut doubt, mut found, mut list) = (None, 0, Vec::new());
        for item in items {
            self.locals.truncate(each.slot);
            self.locals.push(item);
            let holds = each.test.as_ref().map_or(Ok(true), |test| self.test(test));
            match (each.how, holds) {
                (How::Exists, Ok(true)) => return answer(true),
                (How::All, Ok(false)) => return answer(false),
                (How::Exists | How::All, Ok(_)) => {}
                (How::Exists | How::All, Err(why)) => doubt = Some(both(doubt, why)),
                (_, Err(why)) => return Err(why),
                (_, Ok(false)) => {}
                (How::ExistsOne, Ok(true)) => found += 1,
                (How::Filter | How::Map, Ok(true)) => {
                    let made = match &each.make {
                        Some(make) => self.value(make)?.into_owned(),
                        None => self.locals[each.slot].clone().into_owned(),
                    };
                    self.spend(made.weight())?;
                    list.push(made);
                }
            }
        }
        self.locals.truncate(each.slot);
        match (each.how, doubt) {
            (_, Some(why)) => Err(why),
            (How::Exists, None) => answer(false),
            (How::All, None) => answer(true),
            (How::ExistsOne, None) => answer(found == 1),
            (How::Filter | How::Map, None) => Ok(Cow::Owned(Value::List(list))),
        }
    }

    fn spend(&mut self, units: usize) -> Result<(), Why> {
        self.steps = self.steps.saturating_add(units);
        if self.steps > MAX_STEPS {
            return Err(Why::Unknown(format!("the condition takes more than {MAX_STEPS} steps on these values")));
        }
        Ok(())
    }
}

/// What `exists` and its kin walk over: a list's items or a map's keys.
pub(super) fn elements(range: Cow<'_, Value>) -> Result<Vec<Cow<'_, Value>>, Why> {
    let too_many = |count: usize| Why::Unknown(format!("a list of {count} items, at most {MAX_ITEMS} are looked at"));
    match range {
        Cow::Borrowed(Value::List(items)) if items.len() <= MAX_ITEMS => Ok(items.iter().map(Cow::Borrowed).collect()),
        Cow::Owned(Value::List(items)) if items.len() <= MAX_ITEMS => Ok(items.into_iter().map(Cow::Owned).collect()),
        other => match &*other {
            Value::List(items) => Err(too_many(items.len())),
            Value::Map(map) if map.len() > MAX_ITEMS => Err(too_many(map.len())),
            Value::Map(map) => Ok(map.keys().map(|key| Cow::Owned(Value::Text(key.clone()))).collect()),
            value => Err(Why::Unknown(format!("{} is not a list", value.type_word()))),
        },
    }
}

/// Two doubts at once: a missing root says that the rule does not apply, and that is the stronger word.
fn both(first: Option<Why>, second: Why) -> Why {
    match first {
        Some(Why::NoRoot(name)) => Why::NoRoot(name),
        Some(first @ Why::Unknown(_)) if matches!(second, Why::Unknown(_)) => first,
        _ => second,
    }
}

fn contains<'a>(wanted: &Value, among: &Value) -> Outcome<'a> {
    match (among, wanted) {
        (Value::Map(map), Value::Text(key)) => match map.get(key) {
            Some(Value::Unknown(reason)) => Err(Why::Unknown(reason.clone())),
            found => answer(found.is_some()),
        },
        (Value::List(items), _) => {
            let mut doubt = None;
            for item in items {
                match wanted.same(item) {
                    Ok(true) => return answer(true),
                    Ok(false) => {}
                    Err(reason) => doubt = Some(Why::Unknown(reason)),
                }
            }
            doubt.map_or_else(|| answer(false), Err)
        }
        (Value::Map(_), other) => Err(Why::Unknown(format!("{} is not a key", other.type_word()))),
        (other, _) => Err(Why::Unknown(format!("{} has nothing in it", other.type_word()))),
    }
}

fn select<'a>(inner: Cow<'a, Value>, field: &str) -> Outcome<'a> {
    let missing = || Err(Why::Unknown(format!("{field} is missing")));
    match inner {
        Cow::Borrowed(Value::Map(map)) => map.get(field).map_or_else(missing, |found| known(Cow::Borrowed(found))),
        Cow::Owned(Value::Map(mut map)) => map.remove(field).map_or_else(missing, |found| known(Cow::Owned(found))),
        other => Err(Why::Unknown(format!("{} has no field {field}", other.type_word()))),
    }
}

fn at_index<'a>(inner: Cow<'a, Value>, index: &Value) -> Outcome<'a> {
    match (&*inner, index) {
        (Value::List(items), Value::Int(at)) => match usize::try_from(*at).ok().and_then(|at| items.get(at)) {
            Some(item) => known(Cow::Owned(item.clone())),
            None => Err(Why::Unknown(format!("there is no item {at} in a list of {}", items.len()))),
        },
        (Value::Map(_), Value::Text(key)) => {
            let key = key.clone();
            select(inner, &key)
        }
        (list, index) => Err(Why::Unknown(format!("{} has no place for {}", list.type_word(), index.type_word()))),
    }
}

fn known(value: Cow<'_, Value>) -> Outcome<'_> {
    match &*value {
        Value::Unknown(reason) => Err(Why::Unknown(reason.clone())),
        _ => Ok(value),
    }
}

fn answer<'a>(value: bool) -> Outcome<'a> {
    Ok(Cow::Owned(Value::Bool(value)))
}

fn give<'a>(value: value::Known<Value>) -> Outcome<'a> {
    value.map(Cow::Owned).map_err(Why::Unknown)
}
