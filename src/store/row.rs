//! Between columns and values: instants, documents and words.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Fault, Inner};
use crate::domain::Instant;

/// An instant as its column holds it: whole microseconds since 1970 UTC.
pub(super) fn micros(instant: Instant) -> i64 {
    instant.timestamp_micros()
}

/// An instant from its column.
pub(super) fn instant(micros: i64) -> Inner<Instant> {
    Instant::from_timestamp_micros(micros)
        .ok_or_else(|| Fault::document("instant", format!("{micros} µs is outside the calendar")))
}

/// An instant from a column that may be empty.
pub(super) fn maybe_instant(micros: Option<i64>) -> Inner<Option<Instant>> {
    micros.map(instant).transpose()
}

/// A document as its column holds it.
pub(super) fn to_json<T: Serialize>(what: &str, value: &T) -> Inner<String> {
    serde_json::to_string(value).map_err(|error| Fault::document(what, error))
}

/// A document from its column.
pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Inner<T> {
    serde_json::from_str(text).map_err(|error| Fault::document(what, error))
}

/// A document says what the columns beside it say, pair by pair: what flipped in either is not believed.
pub(super) fn agree(what: &str, pairs: &[(&str, &str)]) -> Inner<()> {
    match pairs.iter().find(|(column, document)| column != document) {
        None => Ok(()),
        Some((column, document)) => {
            Err(Fault::document(what, format!("its row says {column:?} where its document says {document:?}")))
        }
    }
}

/// A word of a closed list from its column.
pub(super) fn word<T>(what: &str, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Inner<T> {
    parse(text).ok_or_else(|| Fault::document(what, format!("{text:?} is not a word that this version knows")))
}

/// A count for its column.
pub(super) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count from its column.
pub(super) fn uncount(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
