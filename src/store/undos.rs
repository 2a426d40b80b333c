//! Undos: rows beside the journal's, moved under the same fence, one durable commit a transition.
//!
//! `remediate::undo` alone calls the writing half. An undo is claimed for a finished act, once; while it is open no
//! act on that resource can be claimed, and no undo while an act is. Its end, the finding's change, the audit row and
//! the messages are one commit.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::acts::Transition;
use super::audit::{self, AuditEntry};
use super::error::{Fault, Inner};
use super::journal::blocker;
use super::leases::{ACTING_LEASE, check_fence};
use super::outbox::{self, Outgoing};
use super::{Result, Store, StoreError, acts, findings, row};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent};
use crate::domain::place::ResourceKey;
use crate::domain::remediation::JournalState;
use crate::domain::undo::Undo;

/// Why an undo was not claimed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum UndoClaimError {
    /// There is no such act, it is not done, or it was taken back already; in words.
    #[error("{0}")]
    NotPossible(String),
    /// An undo of it is open already, or another act on the resource is.
    #[error("{0}")]
    Busy(String),
    /// The state failed, or another worker acts by now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Opens an undo of an act that is done.
    pub fn claim_undo(
        &self,
        remediation: i64,
        by: &str,
        fence: i64,
        now: Instant,
    ) -> std::result::Result<Undo, UndoClaimError> {
        let outcome = self.write(format_args!("claiming the undo of r-{remediation}"), |transaction| {
            check_fence(transaction, ACTING_LEASE, fence)?;
            let impossible = |why: String| Ok(Err(UndoClaimError::NotPossible(why)));
            let Some(act) = acts::load(transaction, remediation)? else {
                return impossible(format!("there is no act r-{remediation}"));
            };
            if act.state != JournalState::Done {
                return impossible(format!("r-{remediation} is {}, not done", act.state.status().word()));
            }
            if let Some(done) = of_act(transaction, remediation)?.iter().find(|own| own.state == JournalState::Done) {
                return impossible(format!("r-{remediation} was taken back already (u-{})", done.id));
            }
            if let Some((id, state)) = blocker(transaction, &act.step.key)? {
                let why = format!("r-{id} on this resource is {}", state.word());
                return Ok(Err(UndoClaimError::Busy(why)));
            }
            if let Some((id, state)) = open_on(transaction, &act.step.key)? {
                let why = format!("an undo of r-{id} on this resource is {}", state.word());
                return Ok(Err(UndoClaimError::Busy(why)));
            }
            let mut undo = Undo {
                id: 0,
                remediation,
                finding: act.step.finding.clone(),
                key: act.step.key.clone(),
                by: by.to_owned(),
                state: JournalState::Claimed,
                fence,
                claimed_at: now,
                updated_at: now,
                parts: Vec::new(),
                call_hash: None,
                request_id: None,
                calls: 0,
                made: None,
                looks: 0,
                first_look_at: None,
                last_look: None,
                differences: Vec::new(),
                message: String::new(),
            };
            transaction
                .prepare_cached(
                    "INSERT INTO undo (remediation, resource, state, ended, fence, claimed_at, updated_at, doc)
                     VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5, '{}')",
                )?
                .execute(params![remediation, undo.key.to_string(), undo.state.word(), fence, row::micros(now)])?;
            undo.id = transaction.last_insert_rowid();
            save(transaction, &undo)?;
            note(transaction, &undo)?;
            Ok(Ok(undo))
        });
        outcome.map_err(UndoClaimError::Store)?
    }

    /// Moves an undo: row and history in one durable commit. Refuses a stale fence and an undo that is over.
    pub fn advance_undo(&self, undo: &Undo) -> Result<()> {
        self.write(format_args!("moving u-{} to {}", undo.id, undo.state.word()), |transaction| {
            movable(transaction, undo)?;
            save(transaction, undo)?;
            note(transaction, undo)
        })
    }

    /// Writes down what an undo in an unchanged state waits for. Refuses like [`Store::advance_undo`].
    pub fn note_undo_wait(&self, undo: &Undo) -> Result<()> {
        self.write(format_args!("noting what u-{} waits for", undo.id), |transaction| {
            let stored = movable(transaction, undo)?;
            if stored.state != undo.state {
                let (old, new) = (stored.state.word(), undo.state.word());
                return Err(Fault::Refused(format!("waiting moves nothing, and {old} is on file, not {new}")));
            }
            save(transaction, undo)
        })
    }

    /// Ends an undo with its finding's change, audit row and messages, in one commit. `change` is given the finding as
    /// it is on file and returns what happened to it; it is not called when the finding is gone.
    pub fn end_undo(
        &self,
        undo: &Undo,
        audit: &AuditEntry,
        outgoing: &[Outgoing],
        change: impl FnOnce(&mut Finding) -> FindingEvent,
    ) -> Result<()> {
        self.write(format_args!("ending u-{} as {}", undo.id, undo.state.word()), |transaction| {
            if !undo.state.ended() {
                return Err(Fault::Refused(format!("{} is no end", undo.state.word())));
            }
            movable(transaction, undo)?;
            save(transaction, undo)?;
            note(transaction, undo)?;
            if let Some(mut finding) = findings::load(transaction, &undo.finding)? {
                let event = change(&mut finding);
                findings::save(transaction, &finding)?;
                findings::append_events(transaction, [&event])?;
            }
            audit::append(transaction, undo.updated_at, audit)?;
            outbox::enqueue(transaction, outgoing, undo.updated_at).map(drop)
        })
    }

    /// One undo.
    pub fn undo(&self, id: i64) -> Result<Option<Undo>> {
        self.read(format_args!("reading u-{id}"), |connection| load(connection, id))
    }

    /// Every undo of an act, oldest first.
    pub fn undos_of(&self, remediation: i64) -> Result<Vec<Undo>> {
        self.read(format_args!("reading the undos of r-{remediation}"), |connection| of_act(connection, remediation))
    }

    /// Undos that are under way, oldest first: what a restart goes on from.
    pub fn open_undos(&self) -> Result<Vec<Undo>> {
        self.read(format_args!("reading the open undos"), |connection| {
            rows(connection, "WHERE ended = 0 ORDER BY id", params![])
        })
    }

    /// Numbers of the acts that were taken back.
    pub fn undone(&self) -> Result<BTreeSet<i64>> {
        self.read(format_args!("reading which acts were taken back"), |connection| {
            let mut statement = connection.prepare_cached("SELECT remediation FROM undo WHERE state = ?1")?;
            let found = statement.query_map([JournalState::Done.word()], |row| row.get(0))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Every transition of an undo, in order.
    pub fn undo_history(&self, id: i64) -> Result<Vec<Transition>> {
        self.read(format_args!("reading the history of u-{id}"), |connection| {
            let mut statement = connection
                .prepare_cached("SELECT at, state, fence, message FROM undo_history WHERE undo = ?1 ORDER BY seq")?;
            let mut rows = statement.query([id])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Transition {
                    at: row::instant(row.get(0)?)?,
                    state: row::word("undo's state", &row.get::<_, String>(1)?, JournalState::from_word)?,
                    fence: row.get(2)?,
                    message: row.get(3)?,
                });
            }
            Ok(found)
        })
    }
}

/// The act whose undo is open on a resource, and how far that is.
pub(super) fn open_on(connection: &Connection, key: &ResourceKey) -> Inner<Option<(i64, JournalState)>> {
    let found = connection
        .prepare_cached("SELECT remediation, state FROM undo WHERE resource = ?1 AND ended = 0")?
        .query_row([key.to_string()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    found.map(|(id, state)| Ok((id, row::word("undo's state", &state, JournalState::from_word)?))).transpose()
}

/// The undo as stored, if its caller may move it.
fn movable(transaction: &Transaction<'_>, undo: &Undo) -> Inner<Undo> {
    check_fence(transaction, ACTING_LEASE, undo.fence)?;
    let id = undo.id;
    let stored = load(transaction, id)?.ok_or_else(|| Fault::Missing(format!("undo u-{id}")))?;
    if stored.state.ended() {
        return Err(Fault::Refused(format!("u-{id} is over ({}) and moves no more", stored.state.word())));
    }
    if stored.remediation != undo.remediation || stored.key != undo.key {
        return Err(Fault::Refused(format!("u-{id} was claimed for another act")));
    }
    Ok(stored)
}

fn save(transaction: &Transaction<'_>, undo: &Undo) -> Inner<()> {
    transaction
        .prepare_cached("UPDATE undo SET state = ?2, ended = ?3, fence = ?4, updated_at = ?5, doc = ?6 WHERE id = ?1")?
        .execute(params![
            undo.id,
            undo.state.word(),
            undo.state.ended(),
            undo.fence,
            row::micros(undo.updated_at),
            row::to_json("undo", undo)?
        ])?;
    Ok(())
}

fn note(transaction: &Transaction<'_>, undo: &Undo) -> Inner<()> {
    transaction
        .prepare_cached("INSERT INTO undo_history (undo, at, state, fence, message) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![undo.id, row::micros(undo.updated_at), undo.state.word(), undo.fence, undo.message])?;
    Ok(())
}

fn load(connection: &Connection, id: i64) -> Inner<Option<Undo>> {
    Ok(rows(connection, "WHERE id = ?1", params![id])?.into_iter().next())
}

fn of_act(connection: &Connection, remediation: i64) -> Inner<Vec<Undo>> {
    rows(connection, "WHERE remediation = ?1 ORDER BY id", params![remediation])
}

fn rows(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<Undo>> {
    let sql = format!("SELECT doc, id, remediation, resource, state, ended FROM undo {clause}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let undo: Undo = row::from_json("undo", &row.get::<_, String>(0)?)?;
        let columns = (row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(5)?);
        if columns != (undo.id, undo.remediation, undo.state.ended()) {
            let why = format!("its row is u-{} and its document u-{}, or of another act or end", columns.0, undo.id);
            return Err(Fault::document("undo", why));
        }
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(|error| Fault::document("undo", error));
        row::agree("undo", &[(text(3)?, &*undo.key.to_string()), (text(4)?, undo.state.word())])?;
        found.push(undo);
    }
    Ok(found)
}
