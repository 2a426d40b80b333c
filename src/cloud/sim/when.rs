//! Instants in a world file: absolute, or counted from the world's start.
//!
//! `-40d`, `+9d 08:30`, `+2h30m`, `2026-09-16` and `2026-09-16T08:30:00Z` are accepted. Relative forms let a world be
//! read as a story ("on the tenth morning") and be moved to other dates by changing one line.

use std::fmt;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use serde::{Deserialize, Deserializer};

use crate::domain::Instant;

/// What a world file may say instead of an instant.
pub const ACCEPTED: &str = "an offset from the world's start such as -40d, +2h30m or +9d 08:30, or a UTC date such as \
                            2026-09-16 or 2026-09-16T08:30:00Z";

/// An instant as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(with = "String")]
pub enum When {
    /// A point in time.
    Absolute(Instant),
    /// Counted from the world's start.
    FromStart(TimeDelta),
}

impl When {
    /// Reads one of the accepted forms.
    pub fn parse(text: &str) -> Option<When> {
        if let Some(rest) = text.strip_prefix(['+', '-']) {
            offset(rest, text.starts_with('-')).map(When::FromStart)
        } else if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
            Some(When::Absolute(instant.to_utc()))
        } else {
            let date: NaiveDate = text.parse().ok()?;
            Some(When::Absolute(date.and_time(NaiveTime::MIN).and_utc()))
        }
    }

    /// The instant in a world that starts at `start`.
    pub fn resolve(self, start: Instant) -> Instant {
        match self {
            When::Absolute(instant) => instant,
            When::FromStart(offset) => start + offset,
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<When, D::Error> {
        let text = String::deserialize(deserializer)?;
        When::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is no instant; accepted: {ACCEPTED}")))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Absolute(instant) => write!(f, "{}", instant.format("%FT%TZ")),
            When::FromStart(offset) => write!(f, "start {:+} s", offset.num_seconds()),
        }
    }
}

/// `40d`, `2h30m`, `9d 08:30`: the clock time goes with days only and always counts forward.
fn offset(text: &str, negative: bool) -> Option<TimeDelta> {
    let (parts, clock) = match text.split_once(' ') {
        Some((parts, clock)) => (parts, Some(clock)),
        None => (text, None),
    };
    let mut total = TimeDelta::zero();
    let mut rest = parts;
    let mut seen = 0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok().filter(|count| *count <= 1_000_000)?;
        let unit = rest[digits..].chars().next()?;
        if clock.is_some() && unit != 'd' {
            return None;
        }
        total += match unit {
            'd' => TimeDelta::days(count),
            'h' => TimeDelta::hours(count),
            'm' => TimeDelta::minutes(count),
            's' => TimeDelta::seconds(count),
            _ => return None,
        };
        seen += 1;
        rest = &rest[digits + unit.len_utf8()..];
    }
    let time = match clock {
        None => TimeDelta::zero(),
        Some(clock) => {
            let time =
                NaiveTime::parse_from_str(clock, "%H:%M").or_else(|_| NaiveTime::parse_from_str(clock, "%H:%M:%S"));
            time.ok()?.signed_duration_since(NaiveTime::MIN)
        }
    };
    (seen > 0).then_some(if negative { time - total } else { time + total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_form_means_one_instant() {
        let start: Instant = "2026-09-07T00:00:00Z".parse().unwrap();
        for (text, instant) in [
            ("-40d", "2026-07-29T00:00:00Z"),
            ("+0d", "2026-09-07T00:00:00Z"),
            ("+9d 08:30", "2026-09-16T08:30:00Z"),
            ("-1d 08:30:05", "2026-09-06T08:30:05Z"),
            ("+2h30m", "2026-09-07T02:30:00Z"),
            ("2026-09-16", "2026-09-16T00:00:00Z"),
            ("2026-09-16T08:30:00+02:00", "2026-09-16T06:30:00Z"),
        ] {
            let instant: Instant = instant.parse().unwrap();
            assert_eq!(When::parse(text).map(|when| when.resolve(start)), Some(instant), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "+", "-", "40d", "+40", "+4w", "+2h 08:30", "+1d 25:00", "+1d ", "tomorrow", "2026-13-01", "+ü"]
        {
            assert_eq!(When::parse(text), None, "{text}");
        }
    }
}
