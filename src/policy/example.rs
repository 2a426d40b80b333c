//! What a policy must say about given facts: its tests, carried by itself (T9, E6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One example of a policy: facts in, verdict or decision out.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// For people; unique within the policy.
    pub name: String,
    /// What is asked about.
    pub given: Given,
    /// What the policy as a whole must say: the worst over its rules. At least one of the three is there.
    pub expect: Option<Outcome>,
    /// Exactly the rules that must be violated, by name and in the policy's order.
    pub violated: Option<Vec<String>>,
    /// What the decision point must answer when only this policy is asked.
    pub decision: Option<Decision>,
    /// Line in the source file, from 1.
    pub line: usize,
}

/// The facts of an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A context as a caller would send it: root names with their values.
    Context(serde_json::Value),
    /// One resource of an inventory.
    Resource(serde_json::Value),
    /// A request for a new resource.
    Request(serde_json::Value),
}

/// What a policy or a rule says about facts, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Broken.
    Violated,
    /// It depends on something that is not known.
    Unknown,
    /// Kept.
    Compliant,
    /// Not about these facts at all.
    NotApplicable,
}

/// What the decision point answers, strictest first (E2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Refused.
    Deny,
    /// Waits for a person.
    RequireApproval,
    /// Goes ahead.
    Allow,
}

impl Outcome {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Violated => "violated",
            Outcome::Unknown => "unknown",
            Outcome::Compliant => "compliant",
            Outcome::NotApplicable => "not_applicable",
        }
    }
}

impl Decision {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Deny => "deny",
            Decision::RequireApproval => "require_approval",
            Decision::Allow => "allow",
        }
    }
}
