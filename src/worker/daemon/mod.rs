//! The daemon: one event loop that runs the jobs at their slots, one after another, and never acts on doubt.
//!
//! `cli daemon` builds it through `app` and awaits [`Daemon::run`]; the work itself is behind [`Jobs`]. At a start it
//! tells systemd that it is ready, recovers what a dead process left, and then waits for one complete scan before any
//! new act. A slot's row is written before its work starts. A panic or a hang in any job freezes acts, alerts a person
//! and ends that job alone. SIGTERM and SIGINT let the running step finish or be journalled; SIGHUP reads settings and
//! policies again between two jobs, and keeps the old ones on an error. It leaves out what the jobs do.

mod turn;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::clock_guard::ClockGuard;
use super::ledger::Ledger;
use super::lock::DaemonLock;
use super::notify::Notifier;
use super::schedule::{Job, Schedule};
use super::signals::{Event, StopSignal};
use super::supervise::Work;
use crate::clock::Clock;
use crate::cloud::CloudClock;
use crate::domain::Instant;
use turn::Loop;

/// The work that the daemon starts. One value serves all jobs; it is told to reload only while none runs.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// Runs one job for its slot. It beats `work.pulse` at each finished step, waits with [`Work::sleep`], and
    /// returns soon after `work.cancel`, with everything begun in the journal.
    async fn run(&self, job: Job, slot: Instant, work: Work) -> JobResult;

    /// Brings every act that a dead process left open to an end or to a person. Runs once, before anything else.
    async fn recover(&self, work: Work) -> anyhow::Result<()>;

    /// Tries what waits in the outbox. Runs at every tick, after the jobs.
    async fn deliver_outbox(&self, work: Work) -> anyhow::Result<()>;

    /// Queues a message to the people who run this worker. `subject` is the same for the same event.
    async fn alert(&self, subject: String, text: String) -> anyhow::Result<()>;

    /// Makes the cloud answer something, whatever it is, so that it tells its time. Called when the clock is in doubt.
    async fn ask_cloud(&self, work: Work) -> anyhow::Result<()>;

    /// The cloud's clock beside ours, by its latest answer.
    fn cloud_clock(&self) -> Option<CloudClock>;

    /// Reads settings and policies again. On success the new ones hold from now on.
    ///
    /// # Errors
    /// Anything wrong in them; then nothing has changed.
    fn reload(&self) -> anyhow::Result<Schedule>;
}

/// How a job ended; an error is a job that failed.
pub type JobResult = anyhow::Result<JobReport>;

/// What a job that ended says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobReport {
    /// One line for the slot's row and the log.
    pub message: String,
    /// For a scan: every partition was read to its end and is believed.
    pub complete: bool,
}

/// The parts of a daemon.
pub struct Daemon {
    /// The jobs.
    pub jobs: Arc<dyn Jobs>,
    /// When they are due.
    pub schedule: Schedule,
    /// The state.
    pub ledger: Ledger,
    /// Time.
    pub clock: Clock,
    /// The wall clock's witness: [`Clock::monotonic`].
    pub monotonic: fn(&Clock) -> Duration,
    /// systemd.
    pub notifier: Notifier,
    /// One daemon per state; `None` for a state in memory.
    pub lock: Option<DaemonLock>,
    /// Ticks and signals.
    pub events: mpsc::Receiver<Event>,
    /// Limits.
    pub timings: Timings,
}

/// How often the loop looks, and how long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// From one look at running work, and one sign of life to systemd, to the next. At most half of WatchdogSec.
    pub beat: Duration,
    /// After this time without a tick the loop makes one itself (the wall clock stood still or went back).
    pub late_tick: Duration,
    /// From a stop signal to putting the running job down; with twice `wind_down`, less than TimeoutStopSec.
    pub stop_grace: Duration,
    /// Without a finished step for this long, work counts as hung. Longer than one operation of a cloud call (30 s),
    /// shorter than WatchdogSec.
    pub stall: Duration,
    /// From cancelling hung work to aborting it, and from that to giving it up.
    pub wind_down: Duration,
    /// Most time for recovery, a scan or an act.
    pub long_job: Duration,
    /// Most time for a report, a delivery, an alert or a reload.
    pub short_job: Duration,
}

/// Why the daemon ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonEnd {
    /// A signal; the journal is consistent.
    Stopped(StopSignal),
    /// The lock file was removed or replaced, so another daemon may run.
    LockLost,
    /// A job blocks its thread and cannot be ended. The process must exit without waiting for it.
    Stuck(String),
    /// Nothing can send events any more.
    NoEvents,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings {
            beat: Duration::from_secs(15),
            late_tick: Duration::from_secs(90),
            stop_grace: Duration::from_secs(90),
            stall: Duration::from_secs(45),
            wind_down: Duration::from_secs(10),
            long_job: Duration::from_secs(6 * 3_600),
            short_job: Duration::from_secs(1_800),
        }
    }
}

impl DaemonEnd {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            DaemonEnd::Stopped(signal) => signal.exit_code(),
            DaemonEnd::LockLost | DaemonEnd::Stuck(_) | DaemonEnd::NoEvents => 1,
        }
    }
}

impl fmt::Display for DaemonEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaemonEnd::Stopped(signal) => write!(f, "stopped by {}", signal.name()),
            DaemonEnd::LockLost => f.write_str(
                "daemon.lock was removed or replaced while this daemon ran, so another one may be running; start again",
            ),
            DaemonEnd::Stuck(what) => write!(f, "{what} blocks and cannot be ended; start again"),
            DaemonEnd::NoEvents => f.write_str("nothing can wake the daemon any more; start again"),
        }
    }
}

impl Daemon {
    /// Runs until a signal or a reason to start afresh. Call it after the store is migrated and the settings are
    /// checked: it tells systemd READY first.
    ///
    /// # Errors
    /// A clock from before this program, or a state that cannot be read at the start.
    pub async fn run(self) -> anyhow::Result<DaemonEnd> {
        if let Some(why) = ClockGuard::refuses_start(self.clock.now()) {
            anyhow::bail!(why);
        }
        let end = Loop::new(self)?.run().await?;
        tracing::info!(%end, "the daemon ends");
        Ok(end)
    }
}

#[cfg(test)]
mod tests;
