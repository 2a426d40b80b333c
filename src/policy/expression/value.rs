//! Values that conditions read and give, and how they compare and reckon.
//!
//! Whole and decimal numbers mix freely, because a caller's JSON says `50000` where `50000.0` is meant. Nothing here
//! turns an unknown into anything else: what cannot be told is an `Err` with the reason in words.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::domain::text::{Str, clean};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Known to be nothing: a tag that is not there, JSON's `null`.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal number, always finite.
    Double(f64),
    /// Text.
    Text(Str),
    /// A list.
    List(Vec<Value>),
    /// Named values.
    Map(BTreeMap<Str, Value>),
    /// An instant.
    Time(DateTime<Utc>),
    /// A length of time.
    Span(TimeDelta),
    /// Not known, and why.
    Unknown(String),
}

/// An outcome that may not be known; the reason is for people.
pub(super) type Known<T> = Result<T, String>;

impl Value {
    /// What people call its type.
    pub fn type_word(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "a whole number",
            Value::Double(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Time(_) => "a time",
            Value::Span(_) => "a duration",
            Value::Unknown(_) => "unknown",
        }
    }

    /// Text.
    pub fn text(text: &str) -> Value {
        Value::Text(Str::from(text))
    }

    /// As JSON; times in RFC 3339, durations in seconds, an unknown as an object with the one key `unknown`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Double(value) => (*value).into(),
            Value::Text(text) => (&**text).into(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Map(map) => map.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect(),
            Value::Time(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
            Value::Span(span) => serde_json::json!({ "seconds": seconds(*span) }),
            Value::Unknown(reason) => serde_json::json!({ "unknown": reason }),
        }
    }

    /// Equality. Different types are not "unequal": a number compared with text is a mistake whose answer is unknown.
    pub(super) fn same(&self, other: &Value) -> Known<bool> {
        match (self, other) {
            (Value::Unknown(reason), _) | (_, Value::Unknown(reason)) => Err(reason.clone()),
            (Value::Null, Value::Null) => Ok(true),
            (Value::Null, _) | (_, Value::Null) => Ok(false),
            (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
            (Value::Text(left), Value::Text(right)) => Ok(left == right),
            (Value::Time(left), Value::Time(right)) => Ok(left == right),
            (Value::Span(left), Value::Span(right)) => Ok(left == right),
            (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
                Ok(self.order(other)? == Ordering::Equal)
            }
            (Value::List(left), Value::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                all_same(left.iter().zip(right))
            }
            (Value::Map(left), Value::Map(right)) => {
                if !left.keys().eq(right.keys()) {
                    return Ok(false);
                }
                all_same(left.values().zip(right.values()))
            }
            _ => Err(mismatch("compared", self, other)),
        }
    }

    /// Order of two values of one type.
    pub(super) fn order(&self, other: &Value) -> Known<Ordering> {
        match (self, other) {
            (Value::Unknown(reason), _) | (_, Value::Unknown(reason)) => Err(reason.clone()),
            (Value::Int(left), Value::Int(right)) => Ok(left.cmp(right)),
            (Value::Double(left), Value::Double(right)) => {
                left.partial_cmp(right).ok_or_else(|| "not a number".to_owned())
            }
            (Value::Int(left), Value::Double(right)) => whole_and_decimal(*left, *right),
            (Value::Double(left), Value::Int(right)) => whole_and_decimal(*right, *left).map(Ordering::reverse),
            (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
            (Value::Text(left), Value::Text(right)) => Ok(left.cmp(right)),
            (Value::Time(left), Value::Time(right)) => Ok(left.cmp(right)),
            (Value::Span(left), Value::Span(right)) => Ok(left.cmp(right)),
            _ => Err(mismatch("compared", self, other)),
        }
    }

    /// How many units of work it is to look at all of it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Value::Text(text) => 1 + text.len() / 64,
            Value::List(items) => items.iter().map(Value::weight).sum::<usize>() + 1,
            Value::Map(map) => map.values().map(Value::weight).sum::<usize>() + 1,
            _ => 1,
        }
    }
}

/// `left + right` and its kin: numbers, text and lists, times and durations.
pub(super) fn add(left: &Value, right: &Value) -> Known<Value> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(too_large),
        (Value::Text(a), Value::Text(b)) => {
            if a.len() + b.len() > super::MAX_TEXT {
                return Err(format!("the joined text is longer than {} bytes", super::MAX_TEXT));
            }
            Ok(Value::Text(Str::from(format!("{a}{b}"))))
        }
        (Value::List(a), Value::List(b)) => {
            if a.len() + b.len() > super::MAX_ITEMS {
                return Err(format!("the joined list has more than {} items", super::MAX_ITEMS));
            }
            Ok(Value::List(a.iter().chain(b).cloned().collect()))
        }
        (Value::Time(at), Value::Span(span)) | (Value::Span(span), Value::Time(at)) => {
            at.checked_add_signed(*span).map(Value::Time).ok_or_else(too_large)
        }
        (Value::Span(a), Value::Span(b)) => a.checked_add(b).map(Value::Span).ok_or_else(too_large),
        _ => decimal("added", left, right, |a, b| a + b),
    }
}

/// `left - right`.
pub(super) fn subtract(left: &Value, right: &Value) -> Known<Value> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_sub(*b).map(Value::Int).ok_or_else(too_large),
        (Value::Time(a), Value::Time(b)) => Ok(Value::Span(*a - *b)),
        (Value::Time(at), Value::Span(span)) => at.checked_sub_signed(*span).map(Value::Time).ok_or_else(too_large),
        (Value::Span(a), Value::Span(b)) => a.checked_sub(b).map(Value::Span).ok_or_else(too_large),
        _ => decimal("subtracted", left, right, |a, b| a - b),
    }
}

/// `left * right`.
pub(super) fn multiply(left: &Value, right: &Value) -> Known<Value> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_mul(*b).map(Value::Int).ok_or_else(too_large),
        _ => decimal("multiplied", left, right, |a, b| a * b),
    }
}

/// `left / right`: the exact quotient. CEL drops the remainder of whole numbers, so that a cost of 40,000 over a
/// budget of 50,000 would be 0; here it is 0.8.
pub(super) fn divide(left: &Value, right: &Value) -> Known<Value> {
    match (left, right) {
        (_, Value::Int(0)) => Err("divided by zero".into()),
        (_, Value::Double(zero)) if *zero == 0.0 => Err("divided by zero".into()),
        (Value::Int(a), Value::Int(b)) if a.checked_rem(*b) == Some(0) => Ok(Value::Int(a / b)),
        _ => decimal("divided", left, right, |a, b| a / b),
    }
}

/// `left % right`, of whole numbers.
pub(super) fn remainder(left: &Value, right: &Value) -> Known<Value> {
    match (left, right) {
        (Value::Int(_), Value::Int(0)) => Err("divided by zero".into()),
        (Value::Int(a), Value::Int(b)) => a.checked_rem(*b).map(Value::Int).ok_or_else(too_large),
        _ => Err(mismatch("divided with a remainder", left, right)),
    }
}

/// `-value`.
pub(super) fn negate(value: &Value) -> Known<Value> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(too_large),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Span(span) => Ok(Value::Span(-*span)),
        Value::Unknown(reason) => Err(reason.clone()),
        other => Err(format!("{} has no negative", other.type_word())),
    }
}

/// Whole and fractional seconds of a duration.
pub(super) fn seconds(span: TimeDelta) -> f64 {
    span.num_milliseconds() as f64 / 1000.0
}

impl fmt::Display for Value {
    /// As a condition writes it, foreign text made safe for one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Text(text) => write!(f, "'{}'", clean(text).replace('\\', "\\\\").replace('\'', "\\'")),
            Value::List(items) => {
                f.write_str("[")?;
                separated(f, items.iter(), |f, item| write!(f, "{item}"))?;
                f.write_str("]")
            }
            Value::Map(map) => {
                f.write_str("{")?;
                separated(f, map.iter(), |f, (key, value)| {
                    write!(f, "'{}': {value}", clean(key).replace('\'', "\\'"))
                })?;
                f.write_str("}")
            }
            Value::Time(at) => write!(f, "timestamp('{}')", at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Value::Span(span) => write!(f, "duration('{}')", spelled(*span)),
            Value::Unknown(reason) => write!(f, "unknown ({})", clean(reason)),
        }
    }
}

/// `4d`, `1h30m`, `-90.5s`: as `duration()` reads it.
fn spelled(span: TimeDelta) -> String {
    let sign = if span < TimeDelta::zero() { "-" } else { "" };
    let span = span.abs();
    let mut left = span.num_seconds();
    let mut text = String::from(sign);
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if left >= length {
            text += &format!("{}{unit}", left / length);
            left %= length;
        }
    }
    let rest = left as f64 + f64::from(span.subsec_nanos()) / 1e9;
    if rest > 0.0 || text.len() == sign.len() {
        text += &format!("{rest}s");
    }
    text
}

/// The first twenty, with commas, and how many more there are.
fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl ExactSizeIterator<Item = T>,
    one: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let count = items.len();
    for (index, item) in items.take(20).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        one(f, item)?;
    }
    if count > 20 { write!(f, ", … {} more", count - 20) } else { Ok(()) }
}

/// True when every pair is the same, false when one is known to differ; unknown when that hangs on an unknown.
fn all_same<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Known<bool> {
    let mut doubt = None;
    for (left, right) in pairs {
        match left.same(right) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(reason) => doubt = Some(reason),
        }
    }
    doubt.map_or(Ok(true), Err)
}

/// Exact, also beyond 2^53 where a whole number would change on its way into a decimal one.
fn whole_and_decimal(whole: i64, decimal: f64) -> Known<Ordering> {
    if decimal.is_nan() {
        return Err("not a number".into());
    }
    if decimal >= 9_223_372_036_854_775_808.0 {
        return Ok(Ordering::Less);
    }
    if decimal < -9_223_372_036_854_775_808.0 {
        return Ok(Ordering::Greater);
    }
    let floor = decimal.floor();
    Ok(whole.cmp(&(floor as i64)).then(if decimal > floor { Ordering::Less } else { Ordering::Equal }))
}

fn decimal(verb: &str, left: &Value, right: &Value, reckon: fn(f64, f64) -> f64) -> Known<Value> {
    let (Some(a), Some(b)) = (number(left), number(right)) else {
        return Err(mismatch(verb, left, right));
    };
    let result = reckon(a, b);
    if result.is_finite() { Ok(Value::Double(result)) } else { Err(too_large()) }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        _ => None,
    }
}

fn mismatch(verb: &str, left: &Value, right: &Value) -> String {
    match (left, right) {
        (Value::Unknown(reason), _) | (_, Value::Unknown(reason)) => reason.clone(),
        _ => format!("{} cannot be {verb} with {}", left.type_word(), right.type_word()),
    }
}

fn too_large() -> String {
    "the result is too large".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_decimal_numbers_compare_exactly() {
        let order = |left: Value, right: Value| left.order(&right).unwrap();
        assert_eq!(order(Value::Int(3), Value::Double(3.0)), Ordering::Equal);
        assert_eq!(order(Value::Int(-3), Value::Double(-3.5)), Ordering::Greater);
        assert_eq!(order(Value::Double(2.5), Value::Int(3)), Ordering::Less);
        // 2^53 + 1 has no decimal of its own.
        assert_eq!(order(Value::Int(9_007_199_254_740_993), Value::Double(9_007_199_254_740_992.0)), Ordering::Greater);
        assert_eq!(order(Value::Int(i64::MAX), Value::Double(9.3e18)), Ordering::Less);
        assert_eq!(order(Value::Int(i64::MIN), Value::Double(f64::MIN)), Ordering::Greater);
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        let shown = |seconds: i64| Value::Span(TimeDelta::seconds(seconds)).to_string();
        assert_eq!(shown(345_600), "duration('4d')");
        assert_eq!(shown(-5_400), "duration('-1h30m')");
        assert_eq!(shown(0), "duration('0s')");
        assert_eq!(Value::Span(TimeDelta::milliseconds(61_500)).to_string(), "duration('1m1.5s')");
    }

    #[test]
    fn a_quotient_of_whole_numbers_keeps_its_remainder() {
        assert_eq!(divide(&Value::Int(40_000), &Value::Int(50_000)), Ok(Value::Double(0.8)));
        assert_eq!(divide(&Value::Int(12), &Value::Int(4)), Ok(Value::Int(3)));
        assert_eq!(divide(&Value::Int(i64::MIN), &Value::Int(-1)), Ok(Value::Double(9_223_372_036_854_775_808.0)));
        assert!(divide(&Value::Int(1), &Value::Double(-0.0)).is_err());
    }

    #[test]
    fn different_types_are_neither_equal_nor_unequal() {
        let reason = Value::Int(5).same(&Value::text("5")).unwrap_err();
        assert_eq!(reason, "a whole number cannot be compared with text");
        assert_eq!(Value::Null.same(&Value::text("")), Ok(false));
        let unknown = Value::List(vec![Value::Unknown("x was not read".into()), Value::Int(1)]);
        assert_eq!(unknown.same(&Value::List(vec![Value::Int(7), Value::Int(2)])), Ok(false));
        assert_eq!(unknown.same(&Value::List(vec![Value::Int(7), Value::Int(1)])), Err("x was not read".into()));
    }
}
