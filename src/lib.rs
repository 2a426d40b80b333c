//! costwarden: a cloud-cost governance worker.
//!
//! A tick or a command → `worker` reads an inventory through `cloud` → `engine` evaluates it with `policy` and
//! `checks` → reconciles the result with the findings in `store` → plans what is due and what is held →
//! `remediate` acts, step by step, with a verified backup first → `report` lays out what happened → `deliver`
//! sends it. `app` puts the parts together from `settings`; `cli` is what people type.
//!
//! The middle (`domain`, `policy`, `checks`, `engine`) is pure: no I/O, no async, no clock.

/// True while the campaign has this mistake planted. A build without the feature `planted` has none: there it is the
/// constant `false`, and the words are gone.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($($word:literal),+) => {
        [$($word),+].into_iter().any(crate::planted::grows)
    };
}
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($($word:literal),+) => {
        false
    };
}

#[cfg(feature = "planted")]
pub mod planted;

pub mod clock;
pub mod domain;

pub mod checks;
pub mod engine;
pub mod policy;

pub mod cloud;
pub mod deliver;
pub mod remediate;
pub mod report;
pub mod settings;
pub mod store;

pub mod app;
pub mod cli;
pub mod worker;
