//! The audit trail: append-only rows, each with a hash over itself and the hash before it.
//!
//! An edit, a removal in the middle and another order break the chain. Rows cut off its end break nothing in it, so
//! the head leaves with the daily report, and [`Store::audit_verify`] takes such a head to compare with.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::Inner;
use super::{Result, Store, StoreError, row};
use crate::domain::Instant;

/// What stands before the first row.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What one row says.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Who: a person's name, or the part of the worker.
    pub actor: String,
    /// What was done, one word: `arm`, `freeze`, `act`, …
    pub what: String,
    /// To what.
    pub subject: String,
    /// Why and with which inputs.
    pub detail: Value,
}

/// One row of the trail.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Its place, from 1 without a gap.
    pub seq: i64,
    /// When, in whole microseconds.
    pub at: Instant,
    /// What it says.
    pub entry: AuditEntry,
    /// SHA-256, 64 hexadecimal digits.
    pub hash: String,
}

/// The end of the trail at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The last row's place.
    pub seq: i64,
    /// The last row's hash.
    pub hash: String,
}

/// Why the trail does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A row does not follow from the ones before it, or is gone.
    #[error("the audit trail is broken at row {seq}: {problem}")]
    Broken {
        /// The first row that does not hold.
        seq: i64,
        /// In words.
        problem: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Appends one row.
    pub fn audit_append(&self, at: Instant, entry: &AuditEntry) -> Result<AuditHead> {
        self.write(format_args!("writing the audit trail"), |transaction| append(transaction, at, entry))
    }

    /// The trail's end; `None` while it is empty.
    pub fn audit_head(&self) -> Result<Option<AuditHead>> {
        self.read(format_args!("reading the audit trail's end"), head)
    }

    /// Rows after `seq`, in order, at most `limit`.
    pub fn audit_rows(&self, after: i64, limit: usize) -> Result<Vec<AuditRow>> {
        self.read(format_args!("reading the audit trail"), |connection| {
            let mut found = Vec::new();
            walk(connection, after, limit, |row, _, _| {
                found.push(row);
                Ok(true)
            })?;
            Ok(found)
        })
    }

    /// Follows the whole chain and returns its length. With a head that was noted before, the row at its place must
    /// still have that hash, so a trail that was cut or rewritten since is found.
    pub fn audit_verify(&self, noted: Option<&AuditHead>) -> std::result::Result<u64, VerifyError> {
        let (length, problem) = self.read(format_args!("verifying the audit trail"), |connection| {
            let mut last = AuditHead { seq: 0, hash: GENESIS.to_owned() };
            let mut problem = None;
            walk(connection, 0, usize::MAX, |row, previous, detail| {
                problem = check(&last, &row, previous, detail, noted);
                last = AuditHead { seq: row.seq, hash: row.hash };
                Ok(problem.is_none())
            })?;
            let end = last.seq;
            let issued = issued(connection)?;
            Ok((end, problem.or_else(|| cut(end, issued.max(noted.map_or(0, |head| head.seq))))))
        })?;
        match problem {
            Some((seq, problem)) => Err(VerifyError::Broken { seq, problem }),
            None => Ok(row::uncount(length)),
        }
    }
}

/// Appends one row inside a transaction that does more.
pub(super) fn append(transaction: &Transaction<'_>, at: Instant, entry: &AuditEntry) -> Inner<AuditHead> {
    let last = head(transaction)?.unwrap_or(AuditHead { seq: 0, hash: GENESIS.to_owned() });
    let seq = last.seq + 1;
    let at = row::micros(at);
    let detail = canonical(&entry.detail);
    let hash = link(&last.hash, seq, at, entry, &detail);
    transaction
        .prepare_cached(
            "INSERT INTO audit (seq, at, actor, what, subject, detail, previous, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![seq, at, entry.actor, entry.what, entry.subject, detail, last.hash, hash])?;
    Ok(AuditHead { seq, hash })
}

fn head(connection: &Connection) -> Inner<Option<AuditHead>> {
    Ok(connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(AuditHead { seq: row.get(0)?, hash: row.get(1)? }))
        .optional()?)
}

/// The highest place that SQLite ever gave out here, which outlives the rows.
fn issued(connection: &Connection) -> Inner<i64> {
    let seq: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(seq.unwrap_or(0))
}

/// Calls `each` with every row, the previous hash that it states and the exact text of its detail, until it returns
/// false.
fn walk(
    connection: &Connection,
    after: i64,
    limit: usize,
    mut each: impl FnMut(AuditRow, &str, &str) -> Inner<bool>,
) -> Inner<()> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, actor, what, subject, detail, previous, hash FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let detail: String = row.get(5)?;
        let entry = AuditEntry {
            actor: row.get(2)?,
            what: row.get(3)?,
            subject: row.get(4)?,
            // An edit may have left no JSON; it is still shown, and the hash over the text tells.
            detail: serde_json::from_str(&detail).unwrap_or_else(|_| Value::String(detail.clone())),
        };
        let found = AuditRow { seq: row.get(0)?, at: row::instant(row.get(1)?)?, entry, hash: row.get(7)? };
        let previous: String = row.get(6)?;
        if !each(found, &previous, &detail)? {
            break;
        }
    }
    Ok(())
}

fn check(
    last: &AuditHead,
    row: &AuditRow,
    previous: &str,
    detail: &str,
    noted: Option<&AuditHead>,
) -> Option<(i64, String)> {
    if row.seq != last.seq + 1 {
        return Some((last.seq + 1, format!("it is missing; row {} follows row {}", row.seq, last.seq)));
    }
    if previous != last.hash {
        return Some((row.seq, "it does not follow the row before it".into()));
    }
    if row.hash != link(&last.hash, row.seq, row::micros(row.at), &row.entry, detail) {
        return Some((row.seq, "its contents were changed".into()));
    }
    match noted {
        Some(noted) if noted.seq == row.seq && noted.hash != row.hash => {
            Some((row.seq, "its hash is not the one that was noted before: the trail was rewritten".into()))
        }
        _ => None,
    }
}

fn cut(end: i64, expected: i64) -> Option<(i64, String)> {
    (expected > end)
        .then(|| (end + 1, format!("it is missing; there were {expected} rows, now the trail ends at {end}")))
}

/// The hash of one row: SHA-256 over the hash before it and the row as JSON with sorted keys. The detail enters as
/// the text that is stored, so that no number is read and written anew.
fn link(previous: &str, seq: i64, at: i64, entry: &AuditEntry, detail: &str) -> String {
    let text = |text: &str| Value::String(text.to_owned()).to_string();
    let (actor, subject, what) = (text(&entry.actor), text(&entry.subject), text(&entry.what));
    let row =
        format!(r#"{{"actor":{actor},"at":{at},"detail":{detail},"seq":{seq},"subject":{subject},"what":{what}}}"#);
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(row.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON with sorted keys and no spaces: one spelling for one value.
fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
