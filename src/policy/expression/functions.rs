//! Functions and methods that conditions may call.
//!
//! Text and size functions are ours: they bound their work, and `matches` keeps its pattern compiled. Conversions and
//! the parts of times and durations are `cel`'s own, called with values that are known already.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr};
use cel::{Context, IdedExpr};
use chrono::{TimeDelta, Utc};
use regex::{Regex, RegexBuilder};

use super::value::{Known, Value};
use crate::domain::text::Str;

/// Longest pattern of `matches`, in bytes.
const MAX_PATTERN: usize = 512;
/// Largest compiled pattern, in bytes; `(a{100}){100}` is refused.
const MAX_PATTERN_SIZE: usize = 1 << 18;
/// Longest text that `matches` looks at, in bytes: matching is linear, and this keeps it under a millisecond.
const MAX_MATCHED: usize = 8 * 1024;

/// What a call does with its arguments.
#[derive(Clone, Debug)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    /// `password.in_history(5)`.
    InHistory,
    /// With its compiled pattern.
    Matches(Regex),
    Duration,
    /// One of `cel`'s own: a call with the variables `a0`, `a1`, ….
    Standard(Arc<IdedExpr>),
}

/// A function's row: name, written as a function, written as a method (numbers of arguments, the receiver not
/// counted), what it gives.
pub(super) struct Signature {
    pub name: &'static str,
    pub function: Option<usize>,
    pub method: Option<(usize, usize)>,
    pub gives: Gives,
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    Test,
    Number,
    Text,
    Time,
    Span,
}

const fn row(name: &'static str, function: Option<usize>, method: Option<(usize, usize)>, gives: Gives) -> Signature {
    Signature { name, function, method, gives }
}

/// Every function.
pub(super) const ALL: &[Signature] = &[
    row("size", Some(1), Some((0, 0)), Gives::Number),
    row("contains", None, Some((1, 1)), Gives::Test),
    row("startsWith", None, Some((1, 1)), Gives::Test),
    row("endsWith", None, Some((1, 1)), Gives::Test),
    row("matches", Some(2), Some((1, 1)), Gives::Test),
    row("lowerAscii", None, Some((0, 0)), Gives::Text),
    row("in_history", None, Some((1, 1)), Gives::Test),
    row("duration", Some(1), None, Gives::Span),
    row("timestamp", Some(1), None, Gives::Time),
    row("string", Some(1), None, Gives::Text),
    row("int", Some(1), None, Gives::Number),
    row("double", Some(1), None, Gives::Number),
    row("getFullYear", None, Some((0, 1)), Gives::Number),
    row("getMonth", None, Some((0, 1)), Gives::Number),
    row("getDate", None, Some((0, 1)), Gives::Number),
    row("getDayOfMonth", None, Some((0, 1)), Gives::Number),
    row("getDayOfWeek", None, Some((0, 1)), Gives::Number),
    row("getDayOfYear", None, Some((0, 1)), Gives::Number),
    row("getHours", None, Some((0, 1)), Gives::Number),
    row("getMinutes", None, Some((0, 1)), Gives::Number),
    row("getSeconds", None, Some((0, 1)), Gives::Number),
];

/// The function behind a name that [`ALL`] has, `matches` aside.
pub(super) fn find(signature: &Signature, arguments: usize, method: bool) -> Function {
    match signature.name {
        "size" => Function::Size,
        "contains" => Function::Contains,
        "startsWith" => Function::StartsWith,
        "endsWith" => Function::EndsWith,
        "lowerAscii" => Function::LowerAscii,
        "in_history" => Function::InHistory,
        "duration" => Function::Duration,
        name => {
            let mut args = (0..arguments).map(|index| ided(Expr::Ident(argument(index)))).collect::<Vec<_>>();
            let target = if method && !args.is_empty() { Some(Box::new(args.remove(0))) } else { None };
            Function::Standard(Arc::new(ided(Expr::Call(CallExpr { func_name: name.to_owned(), target, args }))))
        }
    }
}

/// The pattern of `matches`; an error says what is wrong with it.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_PATTERN {
        return Err(format!("the pattern has {} bytes, at most {MAX_PATTERN} are accepted", text.len()));
    }
    RegexBuilder::new(text).size_limit(MAX_PATTERN_SIZE).nest_limit(16).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large once its repetitions are written out".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or("it cannot be read");
            format!("the pattern is wrong: {}", last.trim_start_matches("error: "))
        }
    })
}

/// Calls a function with values that are known.
pub(super) fn call(function: &Function, name: &str, args: &[&Value]) -> Known<Value> {
    let refused = |accepted: &str| Err(format!("{name} takes {accepted}, not {}", words(args)));
    match (function, args) {
        (Function::Size, [Value::Text(text)]) => Ok(Value::Int(text.chars().count() as i64)),
        (Function::Size, [Value::List(items)]) => Ok(Value::Int(items.len() as i64)),
        (Function::Size, [Value::Map(map)]) => Ok(Value::Int(map.len() as i64)),
        (Function::Size, _) => refused("text, a list or a map"),
        (Function::Contains, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.contains(&**part))),
        (Function::StartsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        (Function::EndsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        (Function::LowerAscii, [Value::Text(text)]) => Ok(Value::Text(Str::from(text.to_ascii_lowercase()))),
        (Function::Matches(regex), [Value::Text(text), _]) => {
            if text.len() > MAX_MATCHED {
                return Err(format!("matches looks at {MAX_MATCHED} bytes at most, the text has {}", text.len()));
            }
            Ok(Value::Bool(regex.is_match(text)))
        }
        (
            Function::Contains
            | Function::StartsWith
            | Function::EndsWith
            | Function::LowerAscii
            | Function::Matches(_),
            _,
        ) => refused("text"),
        (Function::InHistory, [Value::Map(password), Value::Int(newest)]) => in_history(password, *newest),
        (Function::InHistory, _) => refused("a map with `history_position` and a whole number"),
        (Function::Duration, [Value::Text(text)]) => duration(text).map(Value::Span),
        (Function::Duration, [Value::Span(span)]) => Ok(Value::Span(*span)),
        (Function::Duration, _) => refused("text such as '4d' or '1h30m'"),
        (Function::Standard(expression), args) => standard(expression, args),
    }
}

/// Whether this password is among the newest `newest` old ones. `history_position` says where it stands: 1 is the
/// password before the present one, `null` is "in none of them".
fn in_history(password: &BTreeMap<Str, Value>, newest: i64) -> Known<Value> {
    match password.get("history_position") {
        Some(Value::Null) => Ok(Value::Bool(false)),
        Some(Value::Int(position)) if *position >= 1 => Ok(Value::Bool(*position <= newest)),
        Some(Value::Unknown(reason)) => Err(reason.clone()),
        Some(other) => {
            Err(format!("history_position is {other}; accepted: a whole number from 1, or null for a new password"))
        }
        None => Err("history_position is missing".to_owned()),
    }
}

/// `4d`, `1h30m`, `1.5h`, `-90s`, `2w`: CEL's units and beside them days and weeks of 24 hours.
fn duration(text: &str) -> Known<TimeDelta> {
    let wrong =
        || format!("{:?} is not a duration; accepted: such as 4d, 1h30m or 90s", crate::domain::text::clean(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() || rest.len() > 64 {
        return Err(wrong());
    }
    let mut nanoseconds = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let amount: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "w" => 604_800e9,
            "d" => 86_400e9,
            "h" => 3_600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return Err(wrong()),
        };
        nanoseconds += amount * unit;
        rest = &rest[letters..];
    }
    if nanoseconds >= i64::MAX as f64 {
        return Err(format!("{text:?} is longer than 292 years"));
    }
    let span = TimeDelta::nanoseconds(nanoseconds.round() as i64);
    Ok(if negative { -span } else { span })
}

thread_local! {
    // A context takes some 40 µs to make, so each thread keeps one and opens a scope in it for each call.
    static BASE: Context<'static, 'static> = Context::default();
}

/// One of `cel`'s own functions. A panic in it is an unknown like any other failure.
fn standard(expression: &IdedExpr, args: &[&Value]) -> Known<Value> {
    let args = args.iter().map(|value| to_cel(value)).collect::<Known<Vec<_>>>()?;
    let result = catch_unwind(AssertUnwindSafe(|| {
        BASE.with(|base| {
            let mut scope = base.new_inner_scope();
            for (index, value) in args.into_iter().enumerate() {
                scope.add_variable_from_value(argument(index), value);
            }
            scope.resolve(expression).map_err(|error| error.to_string())
        })
    }));
    from_cel(result.map_err(|_| "the function failed".to_owned())??)
}

fn to_cel(value: &Value) -> Known<cel::Value> {
    Ok(match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Int(value) => cel::Value::Int(*value),
        Value::Double(value) => cel::Value::Float(*value),
        Value::Text(text) => cel::Value::String(Arc::new(text.to_string())),
        Value::Time(at) => cel::Value::Timestamp(at.fixed_offset()),
        Value::Span(span) => cel::Value::Duration(*span),
        Value::List(_) | Value::Map(_) => return Err(format!("the function does not take {}", value.type_word())),
        Value::Unknown(reason) => return Err(reason.clone()),
    })
}

fn from_cel(value: cel::Value) -> Known<Value> {
    match value {
        cel::Value::Null => Ok(Value::Null),
        cel::Value::Bool(value) => Ok(Value::Bool(value)),
        cel::Value::Int(value) => Ok(Value::Int(value)),
        cel::Value::Float(value) if value.is_finite() => Ok(Value::Double(value)),
        cel::Value::String(text) => Ok(Value::text(&text)),
        cel::Value::Timestamp(at) => Ok(Value::Time(at.with_timezone(&Utc))),
        cel::Value::Duration(span) => Ok(Value::Span(span)),
        other => Err(format!("the function gave {}, which conditions cannot use", other.type_of())),
    }
}

fn argument(index: usize) -> String {
    format!("a{index}")
}

fn ided(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn words(args: &[&Value]) -> String {
    args.iter().map(|value| value.type_word()).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_days_and_weeks() {
        let parsed = |text: &str| duration(text).unwrap();
        assert_eq!(parsed("4d"), TimeDelta::days(4));
        assert_eq!(parsed("2w"), TimeDelta::days(14));
        assert_eq!(parsed("1h30m"), TimeDelta::minutes(90));
        assert_eq!(parsed("-1.5h"), TimeDelta::minutes(-90));
        for wrong in ["", "-", "4", "d", "4 d", "4y", "1..5h", "99999999d", "4dd", &"1h".repeat(50)] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_that_would_grow_are_refused() {
        assert!(pattern("^(a+)+$").is_ok(), "matching is linear whatever the pattern");
        let problem = |text: &str| pattern(text).unwrap_err();
        assert_eq!(problem("((a{100}){100}){100}"), "the pattern is too large once its repetitions are written out");
        assert_eq!(problem("a(b"), "the pattern is wrong: unclosed group");
        assert_eq!(problem(&"a".repeat(600)), "the pattern has 600 bytes, at most 512 are accepted");
        assert!(problem(&"(".repeat(40)).starts_with("the pattern is wrong"));
    }

    #[test]
    fn every_name_of_the_table_can_be_called() {
        for signature in ALL.iter().filter(|signature| signature.name != "matches") {
            let method = signature.function.is_none();
            let count = signature.function.or(signature.method.map(|(least, _)| least + 1)).unwrap();
            let function = find(signature, count, method);
            let Function::Standard(_) = function else { continue };
            let given = match signature.name {
                "timestamp" | "string" => Value::text("2026-11-22T10:00:00Z"),
                "int" | "double" => Value::text("7"),
                _ => Value::Time(chrono::DateTime::UNIX_EPOCH),
            };
            let answer = call(&function, signature.name, &[&given]);
            assert!(answer.is_ok(), "{}: {answer:?}", signature.name);
        }
    }
}
