//! Every message that is to leave, with its delivery, and the notices that it carries.
//!
//! A message is written in the transaction that decides to send it; the same `dedup` twice is one message. Delivery
//! marks the message, its notices and the clocks of their findings in one commit, so a grace period runs exactly when
//! a channel accepted the notice. It leaves out how messages look and travel: `deliver` does that.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::error::{Fault, Inner};
use super::findings;
use super::notices::notices;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, FindingId};
use crate::domain::notice::NoticeKind;

/// A message to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// notice, report, budget or alert.
    pub kind: String,
    /// The recipient.
    pub to: String,
    /// What makes it the same message.
    pub dedup: String,
    /// The message without its attachments, JSON text.
    pub message: String,
    /// Attachments in the sender's own framing.
    pub attachments: Option<Vec<u8>>,
    /// The findings that it speaks of.
    pub notices: Vec<(FindingId, NoticeKind)>,
}

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number.
    pub id: i64,
    /// See [`Outgoing`].
    pub kind: String,
    /// See [`Outgoing`].
    pub to: String,
    /// See [`Outgoing`].
    pub dedup: String,
    /// See [`Outgoing`].
    pub message: String,
    /// See [`Outgoing`].
    pub attachments: Option<Vec<u8>>,
    /// When it was decided.
    pub created_at: Instant,
    /// When it is tried next.
    pub next_try_at: Instant,
    /// Failed attempts.
    pub attempts: u32,
    /// What the last one said.
    pub last_error: Option<String>,
    /// When a channel accepted it.
    pub delivered_at: Option<Instant>,
    /// When it was given up.
    pub dead_at: Option<Instant>,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// To be tried, now or later.
    pub pending: u64,
    /// Accepted by a channel.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
}

impl Store {
    /// Queues messages in one transaction and returns the number of each: of the first one where the same `dedup` is
    /// there already, which then stays as it is.
    pub fn enqueue(&self, messages: &[Outgoing], now: Instant) -> Result<Vec<i64>> {
        self.write(format_args!("queueing {} messages", messages.len()), |transaction| {
            enqueue(transaction, messages, now)
        })
    }

    /// Messages to be tried at `now`, longest due first, at most `limit`.
    pub fn outbox_due(&self, now: Instant, limit: usize) -> Result<Vec<OutboxRow>> {
        self.read(format_args!("reading the outbox"), |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let clause = "WHERE delivered_at IS NULL AND dead_at IS NULL AND next_try_at <= ?1
                          ORDER BY next_try_at, id LIMIT ?2";
            messages(connection, clause, params![row::micros(now), limit])
        })
    }

    /// One message, in whatever state.
    pub fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>> {
        self.read(format_args!("reading message {id}"), |connection| {
            Ok(messages(connection, "WHERE id = ?1", params![id])?.into_iter().next())
        })
    }

    /// Notes that a channel accepted a message: the message, its notices and, through `move_clock`, the clocks of
    /// their findings, with a `notified` event each, in one commit. Returns the notices; none when the message was
    /// delivered before, so that no clock moves twice.
    pub fn mark_delivered(
        &self,
        id: i64,
        now: Instant,
        mut move_clock: impl FnMut(&mut Finding, NoticeKind),
    ) -> Result<Vec<(FindingId, NoticeKind)>> {
        self.write(format_args!("marking message {id} as delivered"), |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE outbox SET delivered_at = ?2, dead_at = NULL WHERE id = ?1 AND delivered_at IS NULL",
                )?
                .execute(params![if planted!("send-mail-twice") { -id } else { id }, row::micros(now)])?;
            if changed == 0 && !planted!("send-mail-twice") {
                return if exists(transaction, id)? { Ok(Vec::new()) } else { Err(missing(id)) };
            }
            transaction
                .prepare_cached("UPDATE notice SET delivered_at = ?2 WHERE outbox = ?1")?
                .execute(params![id, row::micros(now)])?;
            let notices = notices(transaction, "WHERE notice.outbox = ?1 ORDER BY notice.id", params![id])?;
            for notice in &notices {
                let Some(mut finding) = findings::load(transaction, &notice.finding)? else { continue };
                move_clock(&mut finding, notice.kind);
                finding.phase = finding.phase_at(now);
                findings::save(transaction, &finding)?;
                let event = FindingEvent {
                    finding: finding.id,
                    at: now,
                    what: "notified".into(),
                    detail: format!("{} notice delivered to {}", notice.kind.word(), notice.to),
                };
                findings::append_events(transaction, [&event])?;
            }
            Ok(notices.into_iter().map(|notice| (notice.finding, notice.kind)).collect())
        })
    }

    /// Notes an attempt that failed at `now` and when to try again, which is never before it.
    pub fn mark_failed(&self, id: i64, now: Instant, next_try_at: Instant, error: &str) -> Result<()> {
        self.write(format_args!("noting that message {id} failed"), |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE outbox SET attempts = attempts + 1, next_try_at = ?2, last_error = ?3
                     WHERE id = ?1 AND delivered_at IS NULL AND dead_at IS NULL",
                )?
                .execute(params![id, row::micros(next_try_at.max(now)), error])?;
            if changed == 1 { Ok(()) } else { Err(missing(id)) }
        })
    }

    /// Gives a message up after a last failed attempt. Its notices count as never sent.
    pub fn mark_dead(&self, id: i64, now: Instant, error: &str) -> Result<()> {
        self.write(format_args!("giving message {id} up"), |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE outbox SET attempts = attempts + 1, dead_at = ?2, last_error = ?3
                     WHERE id = ?1 AND delivered_at IS NULL AND dead_at IS NULL",
                )?
                .execute(params![id, row::micros(now), error])?;
            if changed == 1 { Ok(()) } else { Err(missing(id)) }
        })
    }

    /// How many messages are pending, delivered and dead.
    pub fn outbox_counts(&self) -> Result<OutboxCounts> {
        self.read(format_args!("counting the outbox"), |connection| {
            let counts = connection
                .prepare_cached(
                    "SELECT COUNT(*) FILTER (WHERE delivered_at IS NULL AND dead_at IS NULL),
                            COUNT(*) FILTER (WHERE delivered_at IS NOT NULL),
                            COUNT(*) FILTER (WHERE dead_at IS NOT NULL)
                     FROM outbox",
                )?
                .query_row([], |row| {
                    Ok(OutboxCounts {
                        pending: row::uncount(row.get(0)?),
                        delivered: row::uncount(row.get(1)?),
                        dead: row::uncount(row.get(2)?),
                    })
                })?;
            Ok(counts)
        })
    }

    /// Messages that were given up, oldest first.
    pub fn dead_letters(&self) -> Result<Vec<OutboxRow>> {
        self.read(format_args!("reading the messages that were given up"), |connection| {
            messages(connection, "WHERE dead_at IS NOT NULL ORDER BY id", params![])
        })
    }
}

/// Queues messages inside a transaction that decides more.
pub(super) fn enqueue(transaction: &Transaction<'_>, messages: &[Outgoing], now: Instant) -> Inner<Vec<i64>> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO outbox (dedup, kind, recipient, message, attachments, created_at, next_try_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (dedup) DO NOTHING",
    )?;
    let mut find = transaction.prepare_cached("SELECT id FROM outbox WHERE dedup = ?1")?;
    let mut note =
        transaction.prepare_cached("INSERT INTO notice (finding, kind, outbox, decided_at) VALUES (?1, ?2, ?3, ?4)")?;
    let now = row::micros(now);
    let mut ids = Vec::with_capacity(messages.len());
    for message in messages {
        let fresh = insert.execute(params![
            message.dedup,
            message.kind,
            message.to,
            message.message,
            message.attachments,
            now
        ])?;
        let id: i64 = find.query_row([&message.dedup], |row| row.get(0))?;
        if fresh == 1 {
            for (finding, kind) in &message.notices {
                note.execute(params![finding.0, kind.word(), id, now])?;
            }
        }
        ids.push(id);
    }
    Ok(ids)
}

fn missing(id: i64) -> Fault {
    Fault::Missing(format!("message {id} in the outbox that waits to be delivered"))
}

fn exists(connection: &Connection, id: i64) -> Inner<bool> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT id FROM outbox WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

fn messages(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<OutboxRow>> {
    let sql = format!(
        "SELECT id, kind, recipient, dedup, message, attachments, created_at, next_try_at, attempts, last_error,
                delivered_at, dead_at FROM outbox {clause}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(message(row)?);
    }
    Ok(found)
}

fn message(row: &Row<'_>) -> Inner<OutboxRow> {
    Ok(OutboxRow {
        id: row.get(0)?,
        kind: row.get(1)?,
        to: row.get(2)?,
        dedup: row.get(3)?,
        message: row.get(4)?,
        attachments: row.get(5)?,
        created_at: row::instant(row.get(6)?)?,
        next_try_at: row::instant(row.get(7)?)?,
        attempts: row.get(8)?,
        last_error: row.get(9)?,
        delivered_at: row::maybe_instant(row.get(10)?)?,
        dead_at: row::maybe_instant(row.get(11)?)?,
    })
}
