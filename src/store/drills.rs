//! Restore drills: one open row at most, moved under the acting lease's fence, one durable commit a transition.
//!
//! `remediate::drill` alone writes. An end, its audit row and the messages that tell it are one commit.

use rusqlite::{Connection, Transaction, params};

use super::audit::{self, AuditEntry};
use super::error::{Fault, Inner};
use super::leases::{ACTING_LEASE, check_fence};
use super::outbox::{self, Outgoing};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::drill::Drill;

impl Store {
    /// Writes a new drill down and gives it its number.
    ///
    /// # Errors
    /// Another one is open, the fence is stale, or the state refuses.
    pub fn begin_drill(&self, drill: &Drill) -> Result<Drill> {
        self.write(format_args!("beginning a restore drill of {}", drill.snapshot), |transaction| {
            check_fence(transaction, ACTING_LEASE, drill.fence)?;
            if let Some(open) = one(transaction, "WHERE ended = 0")? {
                return Err(Fault::Refused(format!("restore drill d-{} is open", open.id)));
            }
            let (state, at) = (drill.state.word(), row::micros(drill.begun_at));
            transaction
                .prepare_cached(
                    "INSERT INTO drill (state, ended, fence, begun_at, updated_at, doc) VALUES (?1, 0, ?2, ?3, ?3, '{}')",
                )?
                .execute(params![state, drill.fence, at])?;
            let begun = Drill { id: transaction.last_insert_rowid(), ..drill.clone() };
            save(transaction, &begun)?;
            Ok(begun)
        })
    }

    /// Moves a drill. Refuses a stale fence and one that is over.
    ///
    /// # Errors
    /// As said, or the state refuses.
    pub fn move_drill(&self, drill: &Drill) -> Result<()> {
        self.write(format_args!("moving d-{} to {}", drill.id, drill.state.word()), |transaction| {
            movable(transaction, drill)?;
            save(transaction, drill)
        })
    }

    /// Ends a drill with its audit row and the messages that tell it, in one commit.
    ///
    /// # Errors
    /// As [`Store::move_drill`]; and when its state is no end.
    pub fn end_drill(&self, drill: &Drill, entry: &AuditEntry, outgoing: &[Outgoing]) -> Result<()> {
        self.write(format_args!("ending d-{} as {}", drill.id, drill.state.word()), |transaction| {
            if !drill.state.ended() {
                return Err(Fault::Refused(format!("{} is no end", drill.state.word())));
            }
            movable(transaction, drill)?;
            save(transaction, drill)?;
            audit::append(transaction, drill.updated_at, entry)?;
            outbox::enqueue(transaction, outgoing, drill.updated_at).map(drop)
        })
    }

    /// The drill that is under way, if one is.
    pub fn open_drill(&self) -> Result<Option<Drill>> {
        self.read(format_args!("reading the open restore drill"), |connection| one(connection, "WHERE ended = 0"))
    }

    /// The newest drill, open or over.
    pub fn last_drill(&self) -> Result<Option<Drill>> {
        self.read(format_args!("reading the last restore drill"), |connection| {
            one(connection, "ORDER BY id DESC LIMIT 1")
        })
    }

    /// Drills begun at an instant or later, oldest first.
    pub fn drills_since(&self, since: Instant) -> Result<Vec<Drill>> {
        self.read(format_args!("reading the restore drills"), |connection| {
            let mut statement = connection.prepare_cached("SELECT doc FROM drill WHERE begun_at >= ?1 ORDER BY id")?;
            let mut rows = statement.query([row::micros(since)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(row::from_json("drill", &row.get::<_, String>(0)?)?);
            }
            Ok(found)
        })
    }
}

fn movable(transaction: &Transaction<'_>, drill: &Drill) -> Inner<()> {
    check_fence(transaction, ACTING_LEASE, drill.fence)?;
    match one(transaction, "WHERE ended = 0")? {
        Some(open) if open.id == drill.id && open.snapshot == drill.snapshot => Ok(()),
        Some(open) => Err(Fault::Refused(format!("restore drill d-{} is open, not d-{}", open.id, drill.id))),
        None => Err(Fault::Refused(format!("restore drill d-{} is over and moves no more", drill.id))),
    }
}

fn save(transaction: &Transaction<'_>, drill: &Drill) -> Inner<()> {
    transaction
        .prepare_cached("UPDATE drill SET state = ?2, ended = ?3, fence = ?4, updated_at = ?5, doc = ?6 WHERE id = ?1")?
        .execute(params![
            drill.id,
            drill.state.word(),
            drill.state.ended(),
            drill.fence,
            row::micros(drill.updated_at),
            row::to_json("drill", drill)?
        ])?;
    Ok(())
}

fn one(connection: &Connection, clause: &str) -> Inner<Option<Drill>> {
    let mut statement = connection.prepare_cached(&format!("SELECT doc FROM drill {clause}"))?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    row::from_json("drill", &row.get::<_, String>(0)?).map(Some)
}
