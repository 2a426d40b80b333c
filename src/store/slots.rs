//! Slots of the schedule: one row per job and slot, so that a slot is run once whoever wakes up for it.

use rusqlite::{Connection, Row, params};

use super::error::{Fault, Inner};
use super::{CLOCK_MARK, DAEMON_SEEN, Result, Store, row};
use crate::domain::Instant;

/// One slot of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The job's word, for example `scan`.
    pub job: String,
    /// The instant that the schedule gives.
    pub slot_at: Instant,
    /// How it went.
    pub state: SlotState,
    /// When it was begun.
    pub started_at: Option<Instant>,
    /// When it ended, or was found to be missed.
    pub finished_at: Option<Instant>,
    /// In words.
    pub message: String,
}

/// How a slot went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotState {
    /// Begun and not ended; after a crash it stays so until [`Store::fail_running_slots`].
    Running,
    /// Ended well.
    Done,
    /// Ended with an error.
    Failed,
    /// Never begun.
    Missed,
}

impl SlotState {
    /// The word in SQL and JSON.
    pub fn word(self) -> &'static str {
        match self {
            SlotState::Running => "running",
            SlotState::Done => "done",
            SlotState::Failed => "failed",
            SlotState::Missed => "missed",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<SlotState> {
        [SlotState::Running, SlotState::Done, SlotState::Failed, SlotState::Missed]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

impl Store {
    /// Takes a slot; false when its row exists, in whatever state: somebody ran it, runs it or gave it up.
    pub fn start_slot(&self, job: &str, slot_at: Instant, now: Instant) -> Result<bool> {
        self.write(format_args!("starting the slot of {job:?} at {slot_at}"), |transaction| {
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO slot (job, slot_at, state, started_at) VALUES (?1, ?2, 'running', ?3)
                     ON CONFLICT (job, slot_at) DO NOTHING",
                )?
                .execute(params![job, row::micros(slot_at), row::micros(now)])?;
            Ok(inserted == 1 || planted!("run-a-slot-twice"))
        })
    }

    /// Ends a running slot. An error when it does not run.
    pub fn finish_slot(&self, job: &str, slot_at: Instant, ok: bool, message: &str, now: Instant) -> Result<()> {
        self.write(format_args!("ending the slot of {job:?} at {slot_at}"), |transaction| {
            let state = if ok { SlotState::Done } else { SlotState::Failed };
            let changed = transaction
                .prepare_cached(
                    "UPDATE slot SET state = ?3, finished_at = ?4, message = ?5
                     WHERE job = ?1 AND slot_at = ?2 AND state = 'running'",
                )?
                .execute(params![job, row::micros(slot_at), state.word(), row::micros(now), message])?;
            if changed == 1 { Ok(()) } else { Err(Fault::Missing("such running slot".into())) }
        })
    }

    /// Notes that a slot was never run, and why; false when its row exists.
    pub fn mark_missed(&self, job: &str, slot_at: Instant, why: &str, now: Instant) -> Result<bool> {
        self.write(format_args!("marking the slot of {job:?} at {slot_at} as missed"), |transaction| {
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO slot (job, slot_at, state, finished_at, message)
                     VALUES (?1, ?2, 'missed', ?3, ?4) ON CONFLICT (job, slot_at) DO NOTHING",
                )?
                .execute(params![job, row::micros(slot_at), row::micros(now), why])?;
            Ok(inserted == 1)
        })
    }

    /// Ends every slot that a worker left running when it died; for the start of the only daemon. Returns how many.
    pub fn fail_running_slots(&self, message: &str, now: Instant) -> Result<u64> {
        self.write(format_args!("ending slots that a stopped worker left"), |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE slot SET state = 'failed', finished_at = ?1, message = ?2 WHERE state = 'running'",
                )?
                .execute(params![row::micros(now), message])?;
            Ok(changed as u64)
        })
    }

    /// The clock that this state believed had been ahead, and it is `now`: the clock's mark and what the daemon has
    /// handled go back to it, and slots that have not come yet lose their rows, so that they run when they come. One
    /// commit. Returns how many slots that were.
    pub fn set_clock_back(&self, now: Instant) -> Result<u64> {
        self.write(format_args!("setting the believed time back to {now}"), |transaction| {
            let now = row::micros(now);
            for key in [CLOCK_MARK, DAEMON_SEEN] {
                transaction
                    .prepare_cached(
                        "UPDATE meta SET value = ?2 WHERE key = ?1 AND CAST(value AS INTEGER) > CAST(?2 AS INTEGER)",
                    )?
                    .execute(params![key, now.to_string()])?;
            }
            let gone = transaction.prepare_cached("DELETE FROM slot WHERE slot_at > ?1")?.execute(params![now])?;
            Ok(gone as u64)
        })
    }

    /// The newest slot of a job, by the schedule's instant.
    pub fn last_slot(&self, job: &str) -> Result<Option<Slot>> {
        self.read(format_args!("reading the last slot of {job:?}"), |connection| {
            let found = slots(connection, "WHERE job = ?1 ORDER BY slot_at DESC LIMIT 1", params![job])?;
            Ok(found.into_iter().next())
        })
    }

    /// Slots with `from <= slot_at < to`, oldest first, then by job.
    pub fn slots_between(&self, from: Instant, to: Instant) -> Result<Vec<Slot>> {
        self.read(format_args!("reading the slots from {from} to {to}"), |connection| {
            let span = params![row::micros(from), row::micros(to)];
            slots(connection, "WHERE slot_at >= ?1 AND slot_at < ?2 ORDER BY slot_at, job", span)
        })
    }
}

fn slots(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<Slot>> {
    let sql = format!("SELECT job, slot_at, state, started_at, finished_at, message FROM slot {clause}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(slot(row)?);
    }
    Ok(found)
}

fn slot(row: &Row<'_>) -> Inner<Slot> {
    Ok(Slot {
        job: row.get(0)?,
        slot_at: row::instant(row.get(1)?)?,
        state: row::word("slot's state", &row.get::<_, String>(2)?, SlotState::from_word)?,
        started_at: row::maybe_instant(row.get(3)?)?,
        finished_at: row::maybe_instant(row.get(4)?)?,
        message: row.get(5)?,
    })
}
