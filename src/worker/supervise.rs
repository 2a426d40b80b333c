//! One running piece of work under watch: it ends, panics, or is put down when it hangs.
//!
//! The daemon starts each job here, as a task of its own, so that a panic or a call that never returns cannot take the
//! loop with it. Work shows that it lives by finished steps ([`Pulse::beat`]: a page read, a row committed, a step of a
//! wait), never by a timer; the daemon feeds systemd's watchdog from these beats alone. Work that shows none for
//! the stall limit, or outlasts its deadline, is cancelled, then aborted.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant as Monotonic, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Counts finished steps of a job. Cloning shares the count.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

/// What a job is given: how it learns that it shall wind down, and how it shows that it lives.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Cancelled when the job shall finish or journal its running step and return.
    pub cancel: CancellationToken,
    /// To be beaten at each finished step; without a beat for the stall limit the job counts as hung.
    pub pulse: Pulse,
}

/// How long a job may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From start to end.
    pub total: Duration,
    /// From one beat to the next. Longer than the longest single operation (30 s).
    pub stall: Duration,
    /// From being cancelled to being aborted, and again from that to being given up.
    pub wind_down: Duration,
}

/// How a piece of work ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End<T> {
    /// By itself.
    Finished(T),
    /// By a panic, with its message.
    Panicked(String),
    /// It hung and was put down. `gone` is false where even aborting did not end it: it blocks its thread, and only
    /// the end of the process will.
    Hung {
        /// What was waited for.
        why: String,
        /// Whether it ended.
        gone: bool,
    },
}

/// A look at running work.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// It beat since the last look.
    Moved,
    /// No beat yet, and no limit reached.
    Quiet,
    /// A limit is reached.
    Hung(String),
}

/// Work that runs.
#[derive(Debug)]
pub struct Running<T> {
    task: JoinHandle<T>,
    work: Work,
    limits: Limits,
    deadline: Monotonic,
    last_beat: (u64, Monotonic),
}

impl Pulse {
    /// One step is finished.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Work {
    /// Waits on purpose: in slices, each of which is a beat, so that a long wait is not taken for a hang.
    /// Returns false, at once, when the work shall wind down.
    pub async fn sleep(&self, clock: &Clock, duration: Duration) -> bool {
        let mut left = duration;
        loop {
            if self.cancel.is_cancelled() {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            let slice = left.min(Duration::from_secs(10));
            tokio::select! {
                () = clock.sleep(slice) => {}
                () = self.cancel.cancelled() => return false,
            }
            self.pulse.beat();
            left -= slice;
        }
    }
}

impl<T: Send + 'static> Running<T> {
    /// Starts work as a task of its own.
    pub fn start<F>(limits: Limits, make: impl FnOnce(Work) -> F) -> Running<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let work = Work::default();
        let now = Monotonic::now();
        Running {
            task: tokio::spawn(make(work.clone())),
            work,
            limits,
            deadline: now + limits.total,
            last_beat: (0, now),
        }
    }

    /// Waits for the end. May be dropped and called again until it returned.
    pub async fn ended(&mut self) -> End<T> {
        match (&mut self.task).await {
            Ok(value) => End::Finished(value),
            Err(error) if error.is_panic() => End::Panicked(panic_text(error.into_panic())),
            Err(_) => End::Hung { why: "it was aborted".into(), gone: true },
        }
    }

    /// Whether it beat since the last look, and whether a limit is reached.
    pub fn look(&mut self) -> Look {
        let now = Monotonic::now();
        let count = self.work.pulse.count();
        if now >= self.deadline {
            return Look::Hung("it did not end by its deadline".to_owned());
        }
        if count != self.last_beat.0 {
            self.last_beat = (count, now);
            return Look::Moved;
        }
        let quiet = now - self.last_beat.1;
        if quiet < self.limits.stall {
            Look::Quiet
        } else {
            Look::Hung(format!("nothing finished in it for {quiet:.0?}"))
        }
    }

    /// Asks it to finish its running step within `grace`. The first call counts.
    pub fn cancel(&mut self, grace: Duration) {
        if !self.work.cancel.is_cancelled() {
            self.work.cancel.cancel();
            self.deadline = self.deadline.min(Monotonic::now() + grace);
        }
    }

    /// Puts it down: cancels, waits, aborts, waits.
    pub async fn put_down(mut self, why: String) -> End<T> {
        self.work.cancel.cancel();
        if timeout(self.limits.wind_down, self.ended()).await.is_ok() {
            return End::Hung { why, gone: true };
        }
        self.task.abort();
        let gone = timeout(self.limits.wind_down, self.ended()).await.is_ok();
        End::Hung { why, gone }
    }
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| "no message".to_owned(), |text| (*text).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Limits = Limits {
        total: Duration::from_secs(5),
        stall: Duration::from_millis(400),
        wind_down: Duration::from_millis(100),
    };

    async fn watch<T: Send + 'static>(mut running: Running<T>) -> (End<T>, usize) {
        let mut beats = 0;
        loop {
            tokio::select! {
                biased;
                end = running.ended() => return (end, beats),
                () = tokio::time::sleep(Duration::from_millis(5)) => match running.look() {
                    Look::Moved => beats += 1,
                    Look::Quiet => {}
                    Look::Hung(why) => return (running.put_down(why).await, beats),
                },
            }
        }
    }

    #[tokio::test]
    async fn work_that_beats_may_take_longer_than_the_stall_limit() {
        let running = Running::start(SHORT, |work| async move {
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                work.pulse.beat();
            }
            7
        });
        let (end, beats) = watch(running).await;
        assert_eq!(end, End::Finished(7));
        assert!(beats >= 3, "{beats}");
    }

    #[tokio::test]
    async fn h32_a_panic_ends_the_work_and_nothing_else() {
        // Printing a panic may take longer than the stall limit of these tests.
        let patient = Limits { stall: Duration::from_secs(5), ..SHORT };
        let running: Running<()> = Running::start(patient, |_| async { panic!("the page had {} rows", 3) });
        assert_eq!(watch(running).await.0, End::Panicked("the page had 3 rows".into()));
    }

    #[tokio::test]
    async fn h32_work_that_finishes_nothing_is_cancelled_and_then_aborted() {
        // One that listens, one that does not.
        let running = Running::start(SHORT, |work| async move { work.cancel.cancelled().await });
        assert!(matches!(watch(running).await.0, End::Hung { gone: true, .. }));
        let running: Running<()> = Running::start(SHORT, |_| std::future::pending());
        let End::Hung { why, gone } = watch(running).await.0 else { panic!("not noticed") };
        assert!(gone && why.starts_with("nothing finished in it for "), "{why}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn h32_work_that_blocks_its_thread_is_reported_as_not_gone() {
        let running = Running::start(SHORT, |_| async { std::thread::sleep(Duration::from_millis(1_500)) });
        assert!(matches!(watch(running).await.0, End::Hung { gone: false, .. }));
    }

    #[tokio::test]
    async fn beats_do_not_lengthen_the_deadline_and_a_cancel_shortens_it() {
        let limits = Limits { total: Duration::from_millis(80), ..SHORT };
        let busy = |work: Work| async move {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                work.pulse.beat();
            }
        };
        let running: Running<()> = Running::start(limits, busy);
        assert_eq!(watch(running).await.0, End::Hung { why: "it did not end by its deadline".into(), gone: true });
        let mut running: Running<()> = Running::start(SHORT, busy);
        running.cancel(Duration::from_millis(30));
        running.cancel(Duration::from_secs(60));
        assert!(matches!(watch(running).await.0, End::Hung { gone: true, .. }));
    }

    #[tokio::test]
    async fn a_wait_on_purpose_beats_and_ends_at_once_when_cancelled() {
        let clock = Clock::virtual_at("2026-11-23T00:00:00Z".parse().unwrap());
        let work = Work::default();
        assert!(work.sleep(&clock, Duration::from_secs(95)).await);
        assert_eq!(work.pulse.count(), 10);
        assert_eq!(clock.now().to_rfc3339(), "2026-11-23T00:01:35+00:00");
        work.cancel.cancel();
        assert!(!work.sleep(&Clock::System, Duration::from_secs(3_600)).await);
    }
}
