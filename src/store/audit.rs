//! The audit trail: append-only rows, each with a hash over itself and the hash before it.
//!
//! An edit, a removal in the middle and another order break the chain. Rows cut off its end break nothing in it, so
//! the head leaves with every report; `audit_check` follows the chain and takes such a head to compare with. Triggers
//! refuse every change but the next row.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::Inner;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::audit::AuditHead;

/// What stands before the first row.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The texts of a row as its columns hold them.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) actor: &'a str,
    pub(super) what: &'a str,
    pub(super) subject: &'a str,
    pub(super) detail: &'a str,
}

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

impl Store {
    /// Appends one row.
    pub fn audit_append(&self, at: Instant, entry: &AuditEntry) -> Result<AuditHead> {
        self.write(format_args!("writing the audit trail"), |transaction| append(transaction, at, &self.signed(entry)))
    }

    /// The trail's end; `None` while it is empty.
    pub fn audit_head(&self) -> Result<Option<AuditHead>> {
        self.read(format_args!("reading the audit trail's end"), head)
    }

    /// Rows after `seq`, in order, at most `limit`.
    pub fn audit_rows(&self, after: i64, limit: usize) -> Result<Vec<AuditRow>> {
        self.read(format_args!("reading the audit trail"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, at, actor, what, subject, detail, hash FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read_row(row)?);
            }
            Ok(found)
        })
    }
}

/// Appends one row inside a transaction that does more.
pub(super) fn append(transaction: &Transaction<'_>, at: Instant, entry: &AuditEntry) -> Inner<AuditHead> {
    let last = head(transaction)?.unwrap_or(AuditHead { seq: 0, hash: GENESIS.to_owned() });
    let seq = last.seq + 1;
    let at = row::micros(at);
    let detail = canonical(&entry.detail);
    let texts = Texts { actor: &entry.actor, what: &entry.what, subject: &entry.subject, detail: &detail };
    let hash = link(&last.hash, seq, at, texts);
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

/// A row for people. An edit may have left a detail that is no JSON; it is still shown.
fn read_row(row: &Row<'_>) -> Inner<AuditRow> {
    let detail: String = row.get(5)?;
    let entry = AuditEntry {
        actor: row.get(2)?,
        what: row.get(3)?,
        subject: row.get(4)?,
        detail: serde_json::from_str(&detail).unwrap_or(Value::String(detail)),
    };
    Ok(AuditRow { seq: row.get(0)?, at: row::instant(row.get(1)?)?, entry, hash: row.get(6)? })
}

/// The hash of one row: SHA-256 over the hash before it and the row as JSON with sorted keys. The detail enters as
/// the text that is stored, so that no number is read and written anew.
pub(super) fn link(previous: &str, seq: i64, at: i64, texts: Texts<'_>) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let (actor, subject, what) = (text(texts.actor), text(texts.subject), text(texts.what));
    let detail = texts.detail;
    let row =
        format!(r#"{{"actor":{actor},"at":{at},"detail":{detail},"seq":{seq},"subject":{subject},"what":{what}}}"#);
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(row.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        hex.push(char::from(HEX[usize::from(byte >> 4)]));
        hex.push(char::from(HEX[usize::from(byte & 15)]));
    }
    hex
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
