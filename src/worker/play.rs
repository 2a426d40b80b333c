//! Plays a world: the same jobs at the same slots as the daemon, on a clock that jumps from slot to slot.
//!
//! For `demo`. What people and automation do in the world happens between the slots by the world's own events. Times
//! in which the worker is down are skipped, and what is due afterwards is decided by the daemon's own rules.

use anyhow::Context as _;
use chrono::TimeDelta;

use super::daemon::{JobReport, Jobs};
use super::ledger::Ledger;
use super::nightly::Nightly;
use super::schedule::{Job, Schedule};
use super::slots::{self, Verdict};
use super::supervise::Work;
use crate::clock::Clock;
use crate::domain::Instant;

/// A time in which the worker does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down {
    /// First instant.
    pub from: Instant,
    /// First instant after it.
    pub until: Instant,
}

/// What happened at one slot.
#[derive(Debug)]
pub struct Played {
    /// When it happened.
    pub at: Instant,
    /// Which job.
    pub job: Job,
    /// Its slot.
    pub slot: Instant,
    /// How it went; the reason of a missed slot.
    pub result: Result<JobReport, String>,
    /// It ran although its time had passed.
    pub made_up: bool,
    /// It did not run.
    pub missed: bool,
}

/// Plays from the clock's instant to `until`. `before` is called before each job (settings may change then), `after`
/// with what happened.
///
/// # Errors
/// When the state refuses; a job that fails is told to `after` and the play goes on.
pub async fn play(
    nightly: &Nightly,
    schedule: &Schedule,
    clock: &Clock,
    until: Instant,
    downtime: &[Down],
    mut before: impl FnMut(&Nightly) -> anyhow::Result<()>,
    mut after: impl FnMut(&Nightly, &Played) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let ledger = Ledger::new(nightly.context().store.clone());
    ledger.set_seen(clock.now())?;
    while let Some(next) = next_look(schedule, clock.now(), downtime).filter(|next| *next <= until) {
        clock.advance_to(next);
        let now = clock.now();
        let seen = ledger.seen()?;
        let known = ledger.known(seen.unwrap_or(now), now)?;
        for due in slots::due(schedule, &known, now, seen) {
            before(nightly)?;
            let played = match due.verdict {
                Verdict::Missed(why) => {
                    ledger.missed(due.job, due.at, &why, clock.now())?;
                    let at = clock.now();
                    Played { at, job: due.job, slot: due.at, result: Err(why), made_up: false, missed: true }
                }
                verdict => {
                    if !ledger.start(due.job, due.at, clock.now())? {
                        continue;
                    }
                    let at = clock.now();
                    let result = nightly.run(due.job, due.at, Work::default()).await;
                    let (ok, message) = match &result {
                        Ok(report) => (true, report.message.clone()),
                        Err(error) => (false, format!("{error:#}")),
                    };
                    ledger.finish(due.job, due.at, ok, &message, clock.now())?;
                    nightly.deliver().await.context("delivering messages")?;
                    let made_up = verdict == Verdict::MakeUp;
                    let result = result.map_err(|error| format!("{error:#}"));
                    Played { at, job: due.job, slot: due.at, result, made_up, missed: false }
                }
            };
            after(nightly, &played)?;
        }
        ledger.set_seen(now)?;
    }
    clock.advance_to(until);
    Ok(())
}

/// The next instant at which a running worker would look: the next slot, or the end of a downtime that it lies in.
fn next_look(schedule: &Schedule, after: Instant, downtime: &[Down]) -> Option<Instant> {
    let slot = Job::ALL.into_iter().filter_map(|job| schedule.next_after(job, after)).min()?;
    let down = downtime.iter().find(|down| slot >= down.from && slot < down.until);
    // The daemon's first tick after a start is within the minute.
    Some(down.map_or(slot, |down| down.until + TimeDelta::minutes(1)))
}
