//! The decision point: whether something may be done, before it is done.
//!
//! `preventive` holds requests for new resources against the typed policies of seed document S1.
//! Pure: what is spent and what things cost comes in with the question, and nothing is logged or sent from here.

mod budget;
mod preventive;

pub use preventive::{Answer, Judged, Violation, judge};
