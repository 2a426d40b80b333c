//! Policies: documents in, one model out. Pure.
//!
//! `document` makes trees with positions out of text and reports mistakes with file, line and what is accepted; `raw`
//! holds the shapes as people write them; `front` reads S1's documents and our `Waste` type into [`Policy`] values;
//! `engine` compiles those into judges. The expression front end, templates, life cycle and decision point come beside
//! `front` later and produce the same [`Policy`]. Files are opened by `settings::load_policies`.

pub mod document;
pub mod expression;
mod front;
mod raw;
mod schema;
mod summary;

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::domain::budget::BudgetRule;
use crate::domain::check::Params;
use crate::domain::finding::{Action, Severity};
use crate::domain::place::{AccountId, Region};
use crate::domain::rule::{InstanceLimit, TagRule, TypePattern, VolumeLimit};

pub(crate) use front::{is_domain, is_mail_address};
pub use front::{parse, unite};
pub use schema::schema;
pub use summary::{PolicyLine, summary, summary_text};

/// One policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `metadata.name`; unique among the loaded policies.
    pub name: String,
    /// `metadata.namespace`, kept as it came.
    pub namespace: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// `spec.type`.
    pub policy_type: PolicyType,
    /// Whether it leads to acts, to words, or to nothing.
    pub mode: EnforcementMode,
    /// Where it applies.
    pub scope: PolicyScope,
    /// At least one.
    pub rules: Vec<Rule>,
    /// First 16 hexadecimal digits of SHA-256 over the document's canonical JSON; comments and layout do not count.
    pub hash: String,
    /// Where it came from.
    pub source: PolicySource,
}

/// S1's document types and ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PolicyType {
    /// Limits on size and family.
    ResourceLimit,
    /// Tags that must be there.
    TagRequirement,
    /// Spend limits.
    BudgetLimit,
    /// A waste check with parameters.
    Waste,
}

/// S0's modes (P4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnforcementMode {
    /// Findings lead to notices and acts, as far as the worker's own mode allows.
    #[default]
    Enforce,
    /// Findings are reported and told, never acted on.
    Monitor,
    /// Not evaluated.
    Disabled,
}

/// What a request for a new resource that breaks a rule meets (D4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preventive {
    /// Refused.
    Deny,
    /// Let through with a warning.
    Warn,
}

/// Which accounts, Regions and tags a policy is for; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyScope {
    /// Accounts.
    pub accounts: Vec<AccountId>,
    /// Regions.
    pub regions: Vec<Region>,
    /// Tag keys and values that a resource must carry, all of them.
    pub tags: Vec<(String, String)>,
}

/// One rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique within the policy.
    pub name: String,
    /// Resource types that it covers.
    pub types: Vec<TypePattern>,
    /// How bad a violation is.
    pub severity: Severity,
    /// What is recommended.
    pub action: Action,
    /// The grace period where the policy overrides the severity's (R2, R3); floors still hold.
    pub grace: Option<TimeDelta>,
    /// The milder of the policy's mode and the rule's own: either off switch turns it off.
    pub mode: EnforcementMode,
    /// `enforcement` of a TagRequirement: what a request for a new resource meets; kept for the decision point.
    pub enforcement: Option<Preventive>,
    /// What is judged.
    pub logic: Logic,
    /// Line in the source file, from 1.
    pub line: usize,
}

/// What a rule judges.
#[derive(Clone, Debug)]
pub enum Logic {
    /// `resource: compute/instance` of a ResourceLimit.
    Instances(InstanceLimit),
    /// `resource: storage/volume` of a ResourceLimit.
    Volumes(VolumeLimit),
    /// A ResourceLimit on a type that is not read yet (databases); kept so that the document loads whole, and
    /// listed as "not evaluated".
    NotRead,
    /// `requiredTags`.
    Tags(Vec<TagRule>),
    /// `selector` and `budget`.
    Budget(BudgetRule),
    /// `check` and `parameters` of a Waste policy.
    Check {
        /// The check's id, known to exist.
        check: &'static str,
        /// All its parameters.
        params: Params,
    },
}

/// Where a policy came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySource {
    /// The file.
    pub path: PathBuf,
    /// Line of its document in the file, from 1.
    pub line: usize,
}

impl PolicyType {
    /// All of them.
    pub const ALL: [PolicyType; 4] =
        [PolicyType::ResourceLimit, PolicyType::TagRequirement, PolicyType::BudgetLimit, PolicyType::Waste];

    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            PolicyType::ResourceLimit => "ResourceLimit",
            PolicyType::TagRequirement => "TagRequirement",
            PolicyType::BudgetLimit => "BudgetLimit",
            PolicyType::Waste => "Waste",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<PolicyType> {
        PolicyType::ALL.into_iter().find(|known| known.word() == word)
    }

    fn words() -> String {
        PolicyType::ALL.map(PolicyType::word).join(", ")
    }
}

impl EnforcementMode {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            EnforcementMode::Enforce => "enforce",
            EnforcementMode::Monitor => "monitor",
            EnforcementMode::Disabled => "disabled",
        }
    }
}
