//! The pure pipeline: evaluate → reconcile → notices → plan → summarize.
//!
//! The worker hands in what was read and one `now`, and stores what comes back. No I/O, no async, no clock.
//! `ruleset` compiles policies into judges, `evaluate` judges one resource, `reconcile` moves findings, `grace` owns
//! their clocks, `notices` decides who is told what, `plan` decides what is due and what is held, `summarize` counts.

pub mod budgets;
pub mod condition;
pub mod evaluate;
pub mod examples;
pub mod exceptions;
pub mod explain;
pub mod grace;
pub mod notices;
pub mod plan;
pub mod reconcile;
pub mod review;
pub mod ruleset;
pub mod score;
pub mod simulate;
pub mod summarize;
pub mod violations;
