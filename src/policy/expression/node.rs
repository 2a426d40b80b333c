//! The tree that a condition is evaluated from, and how its parts are written.
//!
//! `parse` makes it out of CEL's own tree. Chains of `&&` and of `||` are one node each, so that `explain` shows them
//! as people wrote them.

use std::fmt;
use std::sync::Arc;

use super::functions::Function;
use super::value::Value;
use crate::domain::text::Str;

/// One sub-expression.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    /// Byte offset and length of its sign in the text.
    pub at: (usize, usize),
}

/// What a sub-expression does.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// As written.
    Literal(Value),
    /// Reads the path with this index in `Condition::reads`.
    Path(usize, Arc<str>),
    /// `has(path)`.
    Has(usize, Arc<str>),
    /// A name bound by `exists` and its kin: its place on the stack.
    Local(usize, Str),
    /// `inner.field`, where `inner` is no path.
    Select(Box<Node>, Str),
    /// `has(inner.field)`, where `inner` is no path.
    HasField(Box<Node>, Str),
    /// `inner[index]`.
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// `test ? yes : no`.
    Choose(Box<Node>, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Str, Node)>),
    Each(Box<Each>),
    Call(Box<Call>),
}

/// `range.exists(name, test)` and its kin.
#[derive(Clone, Debug)]
pub(super) struct Each {
    pub how: How,
    pub range: Node,
    pub name: Str,
    /// Where the element lies on the stack.
    pub slot: usize,
    pub test: Option<Node>,
    /// What `map` makes of an element.
    pub make: Option<Node>,
}

/// A function or method; a method's receiver is the first argument.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub function: Function,
    pub name: &'static str,
    pub method: bool,
    pub args: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Exists,
    All,
    ExistsOne,
    Filter,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    In,
}

impl Binary {
    pub(super) const ALL: [(Binary, &'static str, &'static str); 12] = [
        (Binary::Equal, "_==_", "=="),
        (Binary::Unequal, "_!=_", "!="),
        (Binary::Less, "_<_", "<"),
        (Binary::LessEqual, "_<=_", "<="),
        (Binary::Greater, "_>_", ">"),
        (Binary::GreaterEqual, "_>=_", ">="),
        (Binary::Add, "_+_", "+"),
        (Binary::Subtract, "_-_", "-"),
        (Binary::Multiply, "_*_", "*"),
        (Binary::Divide, "_/_", "/"),
        (Binary::Remainder, "_%_", "%"),
        (Binary::In, "@in", "in"),
    ];

    pub(super) fn sign(self) -> &'static str {
        Binary::ALL.into_iter().find(|(op, ..)| *op == self).map_or("", |(.., sign)| sign)
    }

    /// Gives true or false.
    pub(super) fn is_test(self) -> bool {
        self.rank() == RELATION
    }

    fn rank(self) -> u8 {
        match self {
            Binary::Add | Binary::Subtract => 5,
            Binary::Multiply | Binary::Divide | Binary::Remainder => 6,
            _ => RELATION,
        }
    }
}

impl How {
    pub(super) const ALL: [(How, &'static str); 6] = [
        (How::Exists, "exists"),
        (How::All, "all"),
        (How::ExistsOne, "exists_one"),
        (How::ExistsOne, "existsOne"),
        (How::Filter, "filter"),
        (How::Map, "map"),
    ];

    pub(super) fn word(self) -> &'static str {
        How::ALL.into_iter().find(|(how, _)| *how == self).map_or("", |(_, word)| word)
    }
}

const RELATION: u8 = 4;
const UNARY: u8 = 7;
const MEMBER: u8 = 8;

impl Node {
    /// How tightly it binds; a part that binds less than its place needs brackets.
    fn rank(&self) -> u8 {
        match &self.op {
            Op::Choose(..) => 1,
            Op::Or(_) => 2,
            Op::And(_) => 3,
            Op::Binary(op, ..) => op.rank(),
            Op::Not(_) | Op::Negate(_) => UNARY,
            Op::Literal(Value::Int(value)) if *value < 0 => UNARY,
            Op::Literal(Value::Double(value)) if *value < 0.0 => UNARY,
            _ => MEMBER,
        }
    }

    /// Its direct parts, in the order of the text.
    pub(super) fn parts(&self) -> Vec<&Node> {
        match &self.op {
            Op::Literal(_) | Op::Path(..) | Op::Has(..) | Op::Local(..) => Vec::new(),
            Op::Select(inner, _) | Op::HasField(inner, _) | Op::Not(inner) | Op::Negate(inner) => vec![inner],
            Op::Index(left, right) | Op::Binary(_, left, right) => vec![left, right],
            Op::And(parts) | Op::Or(parts) | Op::List(parts) => parts.iter().collect(),
            Op::Choose(test, yes, no) => vec![test, yes, no],
            Op::Map(entries) => entries.iter().map(|(_, value)| value).collect(),
            Op::Call(call) => call.args.iter().collect(),
            Op::Each(each) => std::iter::once(&each.range).chain(&each.test).chain(&each.make).collect(),
        }
    }

    /// Where a path first stands in the text.
    pub(super) fn place_of(&self, path: usize) -> Option<(usize, usize)> {
        match &self.op {
            Op::Path(index, _) | Op::Has(index, _) if *index == path => Some(self.at),
            _ => self.parts().into_iter().find_map(|part| part.place_of(path)),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        let brackets = self.rank() < least;
        if brackets {
            f.write_str("(")?;
        }
        match &self.op {
            Op::Literal(value) => write!(f, "{value}")?,
            Op::Path(_, text) => f.write_str(text)?,
            Op::Has(_, text) => write!(f, "has({text})")?,
            Op::Local(_, name) => f.write_str(name)?,
            Op::Select(inner, field) => {
                inner.write(f, MEMBER)?;
                write!(f, ".{field}")?;
            }
            Op::HasField(inner, field) => {
                f.write_str("has(")?;
                inner.write(f, MEMBER)?;
                write!(f, ".{field})")?;
            }
            Op::Index(inner, index) => {
                inner.write(f, MEMBER)?;
                write!(f, "[{index}]")?;
            }
            Op::Not(inner) => {
                f.write_str("!")?;
                inner.write(f, UNARY)?;
            }
            Op::Negate(inner) => {
                f.write_str("-")?;
                inner.write(f, UNARY + 1)?;
            }
            Op::And(parts) => chain(f, parts, " && ", 4)?,
            Op::Or(parts) => chain(f, parts, " || ", 3)?,
            Op::Binary(op, left, right) => {
                left.write(f, op.rank())?;
                write!(f, " {} ", op.sign())?;
                right.write(f, op.rank() + 1)?;
            }
            Op::Choose(test, yes, no) => {
                test.write(f, 2)?;
                write!(f, " ? ")?;
                yes.write(f, 2)?;
                write!(f, " : {no}")?;
            }
            Op::List(items) => {
                f.write_str("[")?;
                chain(f, items, ", ", 0)?;
                f.write_str("]")?;
            }
            Op::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {value}", Value::Text(key.clone()))?;
                }
                f.write_str("}")?;
            }
            Op::Each(each) => {
                each.range.write(f, MEMBER)?;
                write!(f, ".{}({}", each.how.word(), each.name)?;
                for part in each.test.iter().chain(&each.make) {
                    write!(f, ", {part}")?;
                }
                f.write_str(")")?;
            }
            Op::Call(call) => {
                let mut args = &call.args[..];
                if let (true, Some((receiver, rest))) = (call.method, args.split_first()) {
                    receiver.write(f, MEMBER)?;
                    f.write_str(".")?;
                    args = rest;
                }
                write!(f, "{}(", call.name)?;
                chain(f, args, ", ", 0)?;
                f.write_str(")")?;
            }
        }
        if brackets { f.write_str(")") } else { Ok(()) }
    }
}

fn chain(f: &mut fmt::Formatter<'_>, parts: &[Node], between: &str, least: u8) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        part.write(f, least)?;
    }
    Ok(())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
