//! The only reader of time.
//!
//! Every part that needs "now" is handed a [`Clock`] or, better, the one instant that its caller read from it.
//! Production uses the system clock; worlds, the demo and the tests use a virtual one that moves only when told
//! to, so a virtual month takes no real time and waiting never means tokio's timers.
//! It leaves out time zones (see `worker::schedule`) and cron patterns.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A point in time, always UTC.
pub type Instant = DateTime<Utc>;

/// Where "now" comes from. Cloning shares the same clock.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until [`Clock::advance_to`] or [`Clock::sleep`] moves it.
    Virtual(Arc<AtomicI64>),
}

impl Clock {
    /// A virtual clock that starts at `start` (whole microseconds are kept).
    pub fn virtual_at(start: Instant) -> Clock {
        Clock::Virtual(Arc::new(AtomicI64::new(start.timestamp_micros())))
    }

    /// The current instant.
    pub fn now(&self) -> Instant {
        match self {
            Clock::System => Utc::now(),
            Clock::Virtual(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// Time since a fixed point that no change of the wall clock moves; on a virtual clock, its own time.
    pub fn monotonic(&self) -> Duration {
        static START: OnceLock<std::time::Instant> = OnceLock::new();
        match self {
            Clock::System => START.get_or_init(std::time::Instant::now).elapsed(),
            Clock::Virtual(micros) => Duration::from_micros(micros.load(Ordering::SeqCst).unsigned_abs()),
        }
    }

    /// True for the clock of worlds, the demo and tests.
    pub fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }

    /// Moves a virtual clock forward to `instant`; never backwards, and never the system clock.
    pub fn advance_to(&self, instant: Instant) {
        if let Clock::Virtual(micros) = self {
            micros.fetch_max(instant.timestamp_micros(), Ordering::SeqCst);
        }
    }

    /// Waits. On a virtual clock this moves time and returns after one turn of the event loop.
    pub async fn sleep(&self, duration: Duration) {
        match self {
            Clock::System => tokio::time::sleep(duration).await,
            Clock::Virtual(_) => {
                let step = TimeDelta::from_std(duration).unwrap_or(TimeDelta::zero());
                self.advance_to(self.now() + step);
                tokio::task::yield_now().await;
            }
        }
    }
}
