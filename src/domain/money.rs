//! Money: whole micro-dollars for amounts, whole pico-dollars for unit rates, rounded once at display.
//!
//! A price that is not known is an `Option` or a [`super::fact::Fact`] at its place of use, never a zero.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

use serde::{Deserialize, Serialize};

/// Hours in a billing month: 365 × 24 ÷ 12.
pub const HOURS_PER_MONTH: i64 = 730;

/// An amount in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(pub i64);

/// A price per unit (hour, GB-month, request) in millionths of a millionth of a US dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub i64);

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// Whole dollars.
    pub const fn dollars(dollars: i64) -> Usd {
        Usd(dollars * 1_000_000)
    }

    /// Reads a decimal such as `12.5` exactly; at most six digits after the point.
    pub fn parse(text: &str) -> Option<Usd> {
        decimal(text, 6).map(Usd)
    }

    /// From a float of dollars, rounded to the nearest micro-dollar; only for values that others hand us as floats.
    pub fn from_f64(dollars: f64) -> Option<Usd> {
        let micros = dollars * 1e6;
        (micros.is_finite() && micros.abs() < 9e18).then(|| Usd(micros.round() as i64))
    }

    /// Dollars as a float, for JSON and charts only.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This amount multiplied and divided, rounded half away from zero.
    pub fn scaled(self, numerator: i64, denominator: i64) -> Usd {
        Usd(divide_rounded(i128::from(self.0) * i128::from(numerator), i128::from(denominator)))
    }

    /// Exactly two decimals without grouping, as machine output and mail want it: `1234.50`.
    pub fn plain(self) -> String {
        let cents = divide_rounded(i128::from(self.0), 10_000);
        let sign = if cents < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
    }
}

impl Rate {
    /// Reads a decimal price such as `0.0416` exactly; at most twelve digits after the point.
    pub fn parse(text: &str) -> Option<Rate> {
        decimal(text, 12).map(Rate)
    }

    /// The price of `units` units, rounded to the nearest micro-dollar.
    pub fn times(self, units: i64) -> Usd {
        Usd(divide_rounded(i128::from(self.0) * i128::from(units), 1_000_000))
    }

    /// The price of a month of an hourly rate ([`HOURS_PER_MONTH`]).
    pub fn per_month(self) -> Usd {
        self.times(HOURS_PER_MONTH)
    }
}

impl fmt::Display for Usd {
    /// For people: cents below 1,000 dollars, whole dollars above, thousands grouped: `$12.50`, `$42,120`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        // 999.995 dollars would round to 1,000.00, so the switch is decided on the rounded cents.
        let cents = (magnitude + 5_000) / 10_000;
        if cents < 100_000 {
            write!(f, "{sign}${}.{:02}", cents / 100, cents % 100)
        } else {
            write!(f, "{sign}${}", grouped((magnitude + 500_000) / 1_000_000))
        }
    }
}

impl Add for Usd {
    type Output = Usd;
    fn add(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }
}

impl Sub for Usd {
    type Output = Usd;
    fn sub(self, other: Usd) -> Usd {
        Usd(self.0.saturating_sub(other.0))
    }
}

impl Neg for Usd {
    type Output = Usd;
    fn neg(self) -> Usd {
        Usd(self.0.saturating_neg())
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(amounts: I) -> Usd {
        amounts.fold(Usd::ZERO, Add::add)
    }
}

/// Digits in groups of three: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn divide_rounded(numerator: i128, denominator: i128) -> i64 {
    let half = denominator.abs() / 2;
    let rounded = if (numerator < 0) == (denominator < 0) {
        numerator + half * denominator.signum()
    } else {
        numerator - half * denominator.signum()
    };
    (rounded / denominator).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

fn decimal(text: &str, places: usize) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fits = !whole.is_empty()
        && fraction.len() <= places
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !fits {
        return None;
    }
    let units: i64 = format!("{whole}{fraction:0<places$}").parse().ok()?;
    Some(if negative { -units } else { units })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_of_an_hourly_rate_is_exact() {
        assert_eq!(Rate::parse("0.0416").unwrap().per_month(), Usd::parse("30.368").unwrap());
        assert_eq!(Rate::parse("0.204").unwrap().times(1), Usd(204_000));
    }

    #[test]
    fn people_read_cents_below_a_thousand_and_dollars_above() {
        assert_eq!(Usd::parse("12.5").unwrap().to_string(), "$12.50");
        assert_eq!(Usd::parse("999.996").unwrap().to_string(), "$1,000");
        assert_eq!(Usd::dollars(-42_120).to_string(), "-$42,120");
        assert_eq!(Usd::parse("-0.5").unwrap().plain(), "-0.50");
    }

    #[test]
    fn a_number_that_is_not_a_decimal_is_no_money() {
        for text in ["", "1e3", "1,000", "0.1234567", "NaN", "--1", "1.", ".5"] {
            assert_eq!(Usd::parse(text), (text == "1.").then_some(Usd::dollars(1)), "{text}");
        }
        assert_eq!(Usd::from_f64(f64::NAN), None);
    }

    #[test]
    fn scaling_rounds_half_away_from_zero() {
        assert_eq!(Usd(5).scaled(1, 2), Usd(3));
        assert_eq!(Usd(-5).scaled(1, 2), Usd(-3));
    }
}
