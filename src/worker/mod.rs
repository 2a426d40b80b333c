//! The worker: what runs by itself, and when.
//!
//! `schedule` turns cron patterns into instants in a real time zone, `slots` decides which of them are due, made up
//! or missed, `clock_guard` says whether the clock can be believed, and `daemon` is the one event loop that runs
//! the jobs one after another; `notify` tells systemd. What a job does lives under `jobs`; the daemon sees it only
//! through the [`daemon::Jobs`] trait.

pub mod clock_guard;

pub mod daemon;
pub mod ledger;
pub mod lock;
pub mod notify;
pub mod schedule;
pub mod signals;
pub mod slots;
pub mod supervise;
