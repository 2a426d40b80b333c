//! The decision point: whether something may be done, before it is done.
//!
//! `decision` asks S0's policies about a caller's context; its answer is had only by logging what was found.
//! `preventive` holds requests for new resources against the typed policies of seed document S1; they come from request
//! documents (`request`) or from a Terraform plan (`terraform`), priced by `estimate`.
//! Pure: what is spent and what things cost comes in with the question, and nothing is sent from here. Callers:
//! `cli::evaluate`, and whoever answers requests over HTTP ([`Ruling::http`]).

mod answer;
mod budget;
mod consent;
mod context;
mod decision;
mod estimate;
mod preventive;
mod request;
mod terraform;

pub use answer::{Notification, RequestAnswer, answer, notification};
pub use consent::{Consent, HOLDS_DAYS, Question, about_context, consent, questions, settle, settle_requests};
pub use context::{Context, policies_for_scope};
pub use decision::{
    Evaluation, HttpAnswer, PolicyEvaluation, PolicyViolation, Ruling, Undisclosed, decide, evaluate_policy,
};
pub use preventive::{Answer, Judged, Violation, is_asked, judge};
pub use request::{RequestDocument, requests};
pub use terraform::{PlannedRequests, plan};
