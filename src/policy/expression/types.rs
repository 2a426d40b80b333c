//! What a condition's parts give, as far as it shows without facts: a rule that compares a number with text, or that
//! is not true or false at all, is a mistake of the policy and told at load.

use super::ConditionError;
use super::functions::{self, Gives};
use super::node::{Binary, How, Node, Op};
use super::parse::error;
use super::value::Value;

/// The type of a sub-expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Only facts can tell.
    Any,
    Null,
    Test,
    Number,
    Text,
    Time,
    Span,
    List,
    Map,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Type::Any => "anything",
            Type::Null => "null",
            Type::Test => "true or false",
            Type::Number => "a number",
            Type::Text => "text",
            Type::Time => "a time",
            Type::Span => "a duration",
            Type::List => "a list",
            Type::Map => "a map",
        }
    }

    fn fits(self, wanted: &[Type]) -> bool {
        self == Type::Any || wanted.contains(&self)
    }
}

/// Refuses what can never give true or false. `of_path` tells the type of the path with an index.
pub(super) fn check(node: &Node, of_path: &dyn Fn(usize) -> Type) -> Result<(), ConditionError> {
    let given = type_of(node, of_path)?;
    wants(node, given, &[Type::Test], "a comparison, such as `resource.age_days > 30`")
}

fn type_of(node: &Node, of_path: &dyn Fn(usize) -> Type) -> Result<Type, ConditionError> {
    let of = |inner: &Node| type_of(inner, of_path);
    Ok(match &node.op {
        Op::Literal(value) => match value {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Test,
            Value::Int(_) | Value::Double(_) => Type::Number,
            Value::Text(_) => Type::Text,
            Value::Time(_) => Type::Time,
            Value::Span(_) => Type::Span,
            Value::List(_) => Type::List,
            Value::Map(_) => Type::Map,
            Value::Unknown(_) => Type::Any,
        },
        Op::Path(index, _) => of_path(*index),
        Op::Has(..) => Type::Test,
        Op::HasField(inner, _) => {
            wants(inner, of(inner)?, &[Type::Map], "a map")?;
            Type::Test
        }
        Op::Local(..) => Type::Any,
        Op::Select(inner, _) => {
            wants(inner, of(inner)?, &[Type::Map], "a map")?;
            Type::Any
        }
        Op::Index(inner, index) => {
            wants(inner, of(inner)?, &[Type::List, Type::Map], "a list or a map")?;
            wants(index, of(index)?, &[Type::Number, Type::Text], "a number or text")?;
            Type::Any
        }
        Op::Not(inner) => {
            wants(inner, of(inner)?, &[Type::Test], "true or false")?;
            Type::Test
        }
        Op::Negate(inner) => {
            let given = of(inner)?;
            wants(inner, given, &[Type::Number, Type::Span], "a number")?;
            given
        }
        Op::And(parts) | Op::Or(parts) => {
            for part in parts {
                wants(part, of(part)?, &[Type::Test], "true or false on both sides")?;
            }
            Type::Test
        }
        Op::Choose(test, yes, no) => {
            wants(test, of(test)?, &[Type::Test], "true or false before `?`")?;
            let (yes, no) = (of(yes)?, of(no)?);
            if yes == no { yes } else { Type::Any }
        }
        Op::List(items) => {
            for item in items {
                of(item)?;
            }
            Type::List
        }
        Op::Map(entries) => {
            for (_, value) in entries {
                of(value)?;
            }
            Type::Map
        }
        Op::Each(each) => {
            wants(&each.range, of(&each.range)?, &[Type::List, Type::Map], "a list or a map")?;
            if let Some(test) = &each.test {
                wants(test, of(test)?, &[Type::Test], "a test that is true or false")?;
            }
            if let Some(make) = &each.make {
                of(make)?;
            }
            if matches!(each.how, How::Filter | How::Map) { Type::List } else { Type::Test }
        }
        Op::Binary(op, left, right) => binary(node, *op, of(left)?, of(right)?)?,
        Op::Call(call) => {
            for arg in &call.args {
                of(arg)?;
            }
            let gives = functions::ALL.iter().find(|known| known.name == call.name).map(|known| known.gives);
            match gives {
                Some(Gives::Test) => Type::Test,
                Some(Gives::Number) => Type::Number,
                Some(Gives::Text) => Type::Text,
                Some(Gives::Time) => Type::Time,
                Some(Gives::Span) => Type::Span,
                None => Type::Any,
            }
        }
    })
}

fn binary(node: &Node, op: Binary, left: Type, right: Type) -> Result<Type, ConditionError> {
    use Type::{Any, List, Map, Null, Number, Span, Test, Text, Time};
    let given = match (op, left, right) {
        (Binary::In, _, Any | List | Map) => Some(Test),
        (Binary::In, ..) => None,
        (Binary::Equal | Binary::Unequal, ..)
            if left == right || [left, right].iter().any(|t| matches!(t, Any | Null)) =>
        {
            Some(Test)
        }
        (Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual, ..) => {
            let ordered = [Number, Text, Time, Span, Test];
            let same = left == right || left == Any || right == Any;
            (same && left.fits(&ordered) && right.fits(&ordered)).then_some(Test)
        }
        (_, Any, Any) => Some(Any),
        (Binary::Add, Time, Span | Any) | (Binary::Add, Span, Time) => Some(Time),
        (Binary::Subtract, Time, Span) => Some(Time),
        (Binary::Subtract, Time, Time) => Some(Span),
        (Binary::Add | Binary::Subtract, Span, Span) => Some(Span),
        (Binary::Add, Text, Text | Any) | (Binary::Add, Any, Text) => Some(Text),
        (Binary::Add, List, List | Any) | (Binary::Add, Any, List) => Some(List),
        (Binary::Add | Binary::Subtract, Any, Time | Span) | (Binary::Subtract, Time, Any) => Some(Any),
        (Binary::Add | Binary::Subtract, Span, Any) => Some(Any),
        (Binary::Equal | Binary::Unequal, ..) => None,
        (_, Number | Any, Number | Any) => Some(Number),
        _ => None,
    };
    given.ok_or_else(|| {
        error(
            node.at,
            &format!("`{}` between {} and {}", op.sign(), left.word(), right.word()),
            match op {
                Binary::In => "a list or a map on the right of `in`",
                _ if op.is_test() => "two values of one type",
                _ => "two numbers",
            },
        )
    })
}

fn wants(node: &Node, given: Type, wanted: &[Type], accepted: &str) -> Result<(), ConditionError> {
    if given.fits(wanted) {
        return Ok(());
    }
    Err(error(node.at, &format!("`{node}` is {}", given.word()), accepted))
}
