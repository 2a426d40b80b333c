//! The nouns of the program: plain values, no I/O, no async, no clock.
//!
//! Everything else imports from here and this folder imports nothing of ours but the `Instant` alias. A value
//! that can be unknown says so in its type ([`fact::Fact`]); money is whole micro-dollars ([`money::Usd`]).

pub mod act_approval;
pub mod audit;
pub mod budget;
pub mod check;
pub mod drill;
pub mod exception;
pub mod fact;
pub mod finding;
pub mod fuzz;
pub mod gp3;
pub mod guard;
pub mod hours;
pub mod inventory;
pub mod kept;
pub mod launch;
pub mod lifecycle;
pub mod login;
pub mod mode;
pub mod money;
pub mod notice;
pub mod person;
pub mod place;
pub mod plan;
pub mod policy_review;
pub mod price;
pub mod remediation;
pub mod report;
pub mod request;
pub mod resource;
pub mod rule;
pub mod scan;
pub mod text;
pub mod undo;
pub mod usage;
pub mod violation;
mod words;

/// A point in time, always UTC.
pub type Instant = chrono::DateTime<chrono::Utc>;
