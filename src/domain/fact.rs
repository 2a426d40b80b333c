//! A value that may not be known.
//!
//! The most dangerous input of a governance tool is a failed read taken for a zero (safety.md, H01). A fact is
//! therefore known, known to be absent, or unknown with a reason; nothing converts an unknown into a default.

use serde::{Deserialize, Serialize};

use super::text::Str;

/// What we know about one property of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// Read and present.
    Known(T),
    /// Read, and certainly not there.
    Absent,
    /// Not read, or read without an answer; the reason is for people.
    Unknown(Str),
}

impl<T> Fact<T> {
    /// An unknown with its reason.
    pub fn unknown(reason: &str) -> Fact<T> {
        Fact::Unknown(Str::from(reason))
    }

    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Absent | Fact::Unknown(_) => None,
        }
    }

    /// Why it is unknown, if it is.
    pub fn unknown_reason(&self) -> Option<&str> {
        match self {
            Fact::Unknown(reason) => Some(reason),
            Fact::Known(_) | Fact::Absent => None,
        }
    }

    /// True when nothing may be concluded from this fact.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Fact::Unknown(_))
    }

    /// Applies `f` to a known value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(f(value)),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(reason) => Fact::Unknown(reason),
        }
    }
}

impl<T> From<Option<T>> for Fact<T> {
    /// For fields that the cloud's answer certainly carries when they exist.
    fn from(value: Option<T>) -> Fact<T> {
        value.map_or(Fact::Absent, Fact::Known)
    }
}
