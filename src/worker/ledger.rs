//! What the daemon keeps in the state: slot rows, how far it has seen, the clock's mark, freezes.
//!
//! A typed view of the store for `daemon` alone, so that the loop reads as a story and the words in SQL stand in one
//! place. A slot's row is written before its work starts; a row that a dead process left running is closed at the
//! next start and not run again.

use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta};

use super::schedule::Job;
use crate::domain::Instant;
use crate::domain::mode::Freeze;
use crate::store::{DAEMON_SEEN as SEEN, Store};

/// The daemon's view of the store.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<Store>,
}

impl Ledger {
    /// A view of a store.
    pub fn new(store: Arc<Store>) -> Ledger {
        Ledger { store }
    }

    /// The last instant at which everything due had been handled; `None` before the first start.
    pub fn seen(&self) -> anyhow::Result<Option<Instant>> {
        let text = self.store.meta(SEEN).context("cannot read how far the daemon has seen")?;
        text.map(|text| {
            let micros = text.parse().ok().and_then(DateTime::from_timestamp_micros);
            micros.with_context(|| format!("meta.{SEEN} is {text:?}, not microseconds since 1970"))
        })
        .transpose()
    }

    /// Moves the last handled instant; never back, see [`Ledger::set_clock_back`].
    pub fn set_seen(&self, now: Instant) -> anyhow::Result<()> {
        if self.seen()?.is_some_and(|seen| seen >= now) {
            return Ok(());
        }
        let micros = now.timestamp_micros().to_string();
        self.store.set_meta(SEEN, &micros).context("cannot write how far the daemon has seen")
    }

    /// The slots in `[from, until]` that have a row.
    pub fn known(&self, from: Instant, until: Instant) -> anyhow::Result<Vec<(Job, Instant)>> {
        // The store leaves the end out.
        let end = until + TimeDelta::microseconds(1);
        let rows = self.store.slots_between(from, end).context("cannot read the slots on file")?;
        Ok(rows.iter().filter_map(|row| Some((Job::of_word(&row.job)?, row.slot_at))).collect())
    }

    /// Writes the row of a slot that is about to start; false when it has one already.
    pub fn start(&self, job: Job, slot: Instant, now: Instant) -> anyhow::Result<bool> {
        self.store.start_slot(job.word(), slot, now).with_context(|| format!("cannot record the start of {job}"))
    }

    /// Closes the row of a slot that ran.
    pub fn finish(&self, job: Job, slot: Instant, ok: bool, message: &str, now: Instant) -> anyhow::Result<()> {
        let done = self.store.finish_slot(job.word(), slot, ok, message, now);
        done.with_context(|| format!("cannot record the end of {job}"))
    }

    /// Records that a slot does not run, and why.
    pub fn missed(&self, job: Job, slot: Instant, why: &str, now: Instant) -> anyhow::Result<()> {
        let done = self.store.mark_missed(job.word(), slot, why, now);
        done.with_context(|| format!("cannot record a missed {job}")).map(drop)
    }

    /// Closes the rows that a dead process left running, as failed. Returns how many.
    pub fn close_left_running(&self, now: Instant) -> anyhow::Result<u64> {
        let closed = self.store.fail_running_slots("the worker ended while it ran", now);
        closed.context("cannot close the slots that were left running")
    }

    /// The highest instant that this state has trusted.
    pub fn clock_mark(&self) -> anyhow::Result<Option<Instant>> {
        self.store.clock_mark().context("cannot read the clock's mark")
    }

    /// Raises it.
    pub fn raise_clock_mark(&self, now: Instant) -> anyhow::Result<()> {
        self.store.raise_clock_mark(now).context("cannot write the clock's mark").map(drop)
    }

    /// The clock had been ahead, and it is `now`: mark and last handled instant go back, and slots that have not come yet
    /// are taken off the books.
    pub fn set_clock_back(&self, now: Instant) -> anyhow::Result<()> {
        self.store.set_clock_back(now).context("cannot write that the clock was ahead").map(drop)
    }

    /// The freeze that holds, if one does.
    pub fn frozen(&self) -> anyhow::Result<Option<Freeze>> {
        self.store.frozen().context("cannot read whether acts are frozen")
    }

    /// Freezes all acts until a person lifts it. An existing freeze stays as it is, with its first reason.
    pub fn freeze(&self, reason: &str, now: Instant) -> anyhow::Result<()> {
        if self.frozen()?.is_some() {
            return Ok(());
        }
        let freeze = Freeze { at: now, by: "daemon".to_owned(), reason: reason.to_owned() };
        self.store.freeze(&freeze).context("cannot write the freeze").map(drop)
    }
}
