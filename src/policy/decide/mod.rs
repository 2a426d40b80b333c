//! The decision point: whether something may be done, before it is done.
//!
//! `preventive` holds requests for new resources against the typed policies of seed document S1; they come from request
//! documents (`request`) or from a Terraform plan (`terraform`), priced by `estimate`.
//! Pure: what is spent and what things cost comes in with the question, and nothing is logged or sent from here.

mod budget;
mod estimate;
mod preventive;
mod request;
mod terraform;

pub use preventive::{Answer, Judged, Violation, judge};
pub use request::{RequestDocument, requests};
pub use terraform::{PlannedRequests, plan};
