//! The worker: what runs by itself, and when.
//!
//! `schedule` turns cron patterns into instants in a real time zone, `slots` decides which of them are due, made up
//! or missed, `clock_guard` says whether the clock can be believed, and `daemon` is the one event loop that runs
//! the jobs one after another; `notify` tells systemd. What a job does lives under `jobs`; the daemon sees it only
//! through the [`daemon::Jobs`] trait. `context` is what every job is handed, `inventory` reads one place, `night`
//! packs it, `recheck` judges a step again right before an act.

pub mod act_approvals;
pub mod clock_guard;
pub mod consent;
pub mod context;
pub mod daemon;
pub mod exceptions;
pub mod explain;
pub mod fuzz;
pub mod inventory;
pub mod jobs;
pub mod ledger;
pub mod lock;
pub mod night;
pub mod nightly;
pub mod notify;
pub mod outlets;
pub mod play;
pub mod policies;
pub mod post;
pub mod recheck;
pub mod rights;
pub mod sample;
pub mod scanned;
pub mod schedule;
pub mod signals;
pub mod simulate;
pub mod slots;
pub mod supervise;
pub mod violations;
