//! Policies: documents in, one model out. Pure.
//!
//! `document` reads S1's envelope (`apiVersion`, `kind: CostPolicy`, `spec.type`), checks every key and gives errors
//! with file, line and what is accepted; `engine` compiles the model into judges. The expression front end, templates,
//! life cycle and decision point come beside `document` later and produce the same [`Policy`].

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::domain::budget::BudgetRule;
use crate::domain::check::Params;
use crate::domain::finding::{Action, Severity};
use crate::domain::place::{AccountId, Region};
use crate::domain::rule::{InstanceLimit, TagRule, TypePattern, VolumeLimit};

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
    /// The policy's mode unless the rule has its own.
    pub mode: EnforcementMode,
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
