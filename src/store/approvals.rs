//! The one table of approvals, of every kind: policy reviews, requests, exceptions, remediations.
//!
//! A row is one question to one person about one state of one thing. Who may be asked, and what follows from an answer,
//! is for the kind's own code. A question that fell away is withdrawn, never removed.

use rusqlite::{Connection, Row, Transaction, params};

use super::error::{Fault, Inner};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};

impl Store {
    /// Every question of a kind about one thing, in the order of asking.
    pub fn approvals_of(&self, kind: ApprovalKind, subject: &str) -> Result<Vec<Approval>> {
        self.read(format_args!("reading the approvals of {subject:?}"), |connection| of(connection, kind, subject))
    }

    /// Open questions of every kind, or those to one person, oldest first.
    pub fn approvals_pending(&self, approver: Option<&str>) -> Result<Vec<Approval>> {
        self.read(format_args!("reading the open approvals"), |connection| {
            let clause = "WHERE state = 'pending' AND (?1 IS NULL OR approver = ?1 COLLATE NOCASE) ORDER BY id";
            approvals(connection, clause, params![approver])
        })
    }

    /// Asks one person. The same open question is not asked twice.
    pub fn ask_approval(&self, asked: &Approval) -> Result<i64> {
        self.write(format_args!("asking for an approval of {:?}", asked.subject), |transaction| ask(transaction, asked))
    }

    /// Notes an answer to an open question.
    pub fn decide_approval(&self, id: i64, state: ApprovalState, comment: Option<&str>, now: Instant) -> Result<()> {
        self.write(format_args!("answering approval {id}"), |transaction| decide(transaction, id, state, comment, now))
    }
}

/// Questions about one thing, inside a transaction that does more.
pub(super) fn of(connection: &Connection, kind: ApprovalKind, subject: &str) -> Inner<Vec<Approval>> {
    approvals(connection, "WHERE kind = ?1 AND subject = ?2 ORDER BY id", params![kind.word(), subject])
}

/// One question.
pub(super) fn by_id(connection: &Connection, id: i64) -> Inner<Vec<Approval>> {
    approvals(connection, "WHERE id = ?1", params![id])
}

/// Asks, inside a transaction that does more.
pub(super) fn ask(transaction: &Transaction<'_>, asked: &Approval) -> Inner<i64> {
    transaction
        .prepare_cached(
            "INSERT INTO approval (kind, subject, round, approver, state, asked_by, asked_at, decided_at, comment)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            asked.kind.word(),
            asked.subject,
            asked.round,
            asked.approver,
            asked.state.word(),
            asked.asked_by,
            row::micros(asked.asked_at),
            asked.decided_at.map(row::micros),
            asked.comment
        ])?;
    Ok(transaction
        .prepare_cached("SELECT MAX(id) FROM approval WHERE kind = ?1 AND subject = ?2 AND approver = ?3")?
        .query_row(params![asked.kind.word(), asked.subject, asked.approver], |row| row.get(0))?)
}

/// Answers an open question, inside a transaction that does more.
pub(super) fn decide(
    transaction: &Transaction<'_>,
    id: i64,
    state: ApprovalState,
    comment: Option<&str>,
    now: Instant,
) -> Inner<()> {
    let changed = transaction
        .prepare_cached(
            "UPDATE approval SET state = ?2, comment = ?3, decided_at = ?4 WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![id, state.word(), comment, row::micros(now)])?;
    if changed == 1 { Ok(()) } else { Err(Fault::Missing(format!("approval {id} that waits for an answer"))) }
}

/// Everything that was asked about a thing and is not part of `round` any more falls away, answered or not.
pub(super) fn withdraw(
    transaction: &Transaction<'_>,
    kind: ApprovalKind,
    subject: &str,
    round: Option<i64>,
    now: Instant,
) -> Inner<()> {
    transaction
        .prepare_cached(
            "UPDATE approval SET state = 'withdrawn', decided_at = ?4 WHERE kind = ?1 AND subject = ?2
             AND (?3 IS NULL OR round <> ?3) AND state = 'pending'",
        )?
        .execute(params![kind.word(), subject, round, row::micros(now)])?;
    Ok(())
}

fn approvals(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<Approval>> {
    let sql = format!(
        "SELECT id, kind, subject, round, approver, state, asked_by, asked_at, decided_at, comment FROM approval {clause}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(approval(row)?);
    }
    Ok(found)
}

fn approval(row: &Row<'_>) -> Inner<Approval> {
    Ok(Approval {
        id: row.get(0)?,
        kind: row::word("kind of approval", &row.get::<_, String>(1)?, ApprovalKind::from_word)?,
        subject: row.get(2)?,
        round: row.get(3)?,
        approver: row.get(4)?,
        state: row::word("state of an approval", &row.get::<_, String>(5)?, ApprovalState::from_word)?,
        asked_by: row.get(6)?,
        asked_at: row::instant(row.get(7)?)?,
        decided_at: row::maybe_instant(row.get(8)?)?,
        comment: row.get(9)?,
    })
}
