//! Policies: documents in, one model out. Pure.
//!
//! `document` makes trees with positions out of text and reports mistakes with file, line and what is accepted; `raw`
//! holds the shapes as people write them; `front` reads S1's documents, S0's rule expressions and our own types into
//! the [`Policy`] values of `model`; `engine` compiles those into judges. Files are opened by
//! `settings::load_policies`.

pub mod decide;
pub mod document;
mod example;
pub mod expression;
mod front;
pub mod holidays;
pub mod lifecycle;
mod model;
mod polarity;
mod raw;
mod schema;
mod summary;
pub mod template;
mod violation;

pub use example::{Decision, Example, Given, Outcome};
pub(crate) use front::{is_domain, is_mail_address, is_room};
pub use front::{parse, parse_one_json, unite};
pub use model::{
    ActApproval, EnforcementMode, Logic, Polarity, Policy, PolicyScope, PolicySource, PolicyType, Preventive, Rule,
};
pub use schema::schema;
pub use summary::{PolicyLine, summary, summary_text};
pub use violation::{Category, Reach, Record, ViolationAction};
