//! Which finding a message speaks of: what was decided, what waits, what a channel accepted.
//!
//! Rows are written by `outbox.rs`, with their message; here they are only read. The notices of a message that was
//! given up count as never sent.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use super::error::Inner;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::FindingId;
use crate::domain::notice::NoticeKind;

/// One finding in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Which finding.
    pub finding: FindingId,
    /// What it says.
    pub kind: NoticeKind,
    /// The message.
    pub outbox: i64,
    /// The recipient.
    pub to: String,
    /// When it was decided.
    pub decided_at: Instant,
    /// When a channel accepted it.
    pub delivered_at: Option<Instant>,
    /// When its message was given up.
    pub dead_at: Option<Instant>,
}

impl Store {
    /// Every notice of a finding, in order.
    pub fn notices_of(&self, finding: &FindingId) -> Result<Vec<NoticeRow>> {
        self.read(format_args!("reading the notices of finding {finding}"), |connection| {
            notices(connection, "WHERE notice.finding = ?1 ORDER BY notice.id", params![finding.0])
        })
    }

    /// When a notice was last decided, delivered or not yet; one that was given up does not count.
    pub fn last_notice_decided(&self, finding: &FindingId, kind: NoticeKind) -> Result<Option<Instant>> {
        self.read(format_args!("reading the notices of finding {finding}"), |connection| {
            let newest: Option<i64> = connection
                .prepare_cached(
                    "SELECT MAX(decided_at) FROM notice JOIN outbox ON outbox.id = notice.outbox
                     WHERE finding = ?1 AND notice.kind = ?2 AND outbox.dead_at IS NULL",
                )?
                .query_row([finding.0.as_str(), kind.word()], |row| row.get(0))?;
            row::maybe_instant(newest)
        })
    }

    /// The same for all findings at once.
    pub fn last_notices_decided(&self) -> Result<HashMap<(FindingId, NoticeKind), Instant>> {
        self.read(format_args!("reading the notices"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT finding, notice.kind, MAX(decided_at) FROM notice JOIN outbox ON outbox.id = notice.outbox
                 WHERE outbox.dead_at IS NULL GROUP BY finding, notice.kind",
            )?;
            let mut rows = statement.query([])?;
            let mut found = HashMap::new();
            while let Some(row) = rows.next()? {
                let kind = row::word("notice", &row.get::<_, String>(1)?, NoticeKind::from_word)?;
                found.insert((FindingId(row.get(0)?), kind), row::instant(row.get(2)?)?);
            }
            Ok(found)
        })
    }

    /// Notices that are queued, neither delivered nor given up.
    pub fn pending_notices(&self) -> Result<HashSet<(FindingId, NoticeKind)>> {
        self.read(format_args!("reading the queued notices"), |connection| {
            let clause = "WHERE outbox.delivered_at IS NULL AND outbox.dead_at IS NULL";
            let pending = notices(connection, clause, params![])?;
            Ok(pending.into_iter().map(|notice| (notice.finding, notice.kind)).collect())
        })
    }
}

/// Notices that a clause selects, with their message's recipient.
pub(super) fn notices(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<NoticeRow>> {
    let sql = format!(
        "SELECT notice.finding, notice.kind, notice.outbox, outbox.recipient, notice.decided_at, notice.delivered_at,
                outbox.dead_at FROM notice JOIN outbox ON outbox.id = notice.outbox {clause}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(NoticeRow {
            finding: FindingId(row.get(0)?),
            kind: row::word("notice", &row.get::<_, String>(1)?, NoticeKind::from_word)?,
            outbox: row.get(2)?,
            to: row.get(3)?,
            decided_at: row::instant(row.get(4)?)?,
            delivered_at: row::maybe_instant(row.get(5)?)?,
            dead_at: row::maybe_instant(row.get(6)?)?,
        });
    }
    Ok(found)
}
