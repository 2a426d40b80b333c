//! The one model that every front end produces and every judge and decision reads.
//!
//! What it means stands here; how it is written stands in `raw` and `front`. A policy over the inventory and a policy
//! over a caller's context are the same value: the first names resource types in its rules, the second has a
//! [`Category`].

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::example::Example;
use super::expression::Condition;
use super::violation::{Category, Reach, Record, ViolationAction};
use crate::domain::budget::BudgetRule;
use crate::domain::check::Params;
use crate::domain::finding::{Action, Severity};
use crate::domain::hours::Schedule;
use crate::domain::place::{AccountId, Region};
use crate::domain::request::ApprovalRule;
use crate::domain::rule::{DatabaseLimit, InstanceLimit, NetworkLimit, TagRule, TypePattern, VolumeLimit};

/// One policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `metadata.name`, S0's `id`; unique among the loaded policies.
    pub name: String,
    /// S0's `name`: what people call it, where that differs from [`Policy::name`].
    pub title: Option<String>,
    /// `metadata.namespace`, kept as it came.
    pub namespace: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// `spec.type`; [`PolicyType::Expression`] for S0's policies.
    pub policy_type: PolicyType,
    /// S0's type (P1); `None` for policies over the inventory, which no context is asked about.
    pub category: Option<Category>,
    /// Whether it leads to acts, to words, or to nothing.
    pub mode: EnforcementMode,
    /// The severity in the document's own word, where that is none of ours (`info`, `warning`).
    pub severity_word: Option<String>,
    /// Where it applies.
    pub scope: PolicyScope,
    /// Whom a decision must be about for the policy to count (P7).
    pub reach: Reach,
    /// What happens on a violation, for rules that say nothing of their own.
    pub actions: Vec<ViolationAction>,
    /// Whose word an act on its findings needs first; `None` where nobody's.
    pub approval: Option<ActApproval>,
    /// At least one.
    pub rules: Vec<Rule>,
    /// What it must say about given contexts and resources; `policy test` asks it.
    pub examples: Vec<Example>,
    /// Who made it, when, and what else was written down.
    pub record: Record,
    /// First 16 hexadecimal digits of SHA-256 over the document's canonical JSON; comments and layout do not count.
    pub hash: String,
    /// Its version under the life cycle; `None` for a policy that comes from a file.
    pub version: Option<String>,
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
    /// Conditions, over the inventory or over a caller's context.
    Expression,
    /// What needs a person's word before it is made.
    Approval,
    /// When something should run, and when not.
    Schedule,
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

/// Whose word an act needs before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActApproval {
    /// How many different people.
    pub people: u8,
    /// Who may say yes; those of the settings when empty.
    pub approvers: Vec<String>,
}

/// One rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique within the policy.
    pub name: String,
    /// What a violation says to people: S0's rule description, `message` of an Expression.
    pub title: Option<String>,
    /// Resource types that it covers; empty for rules over a caller's context.
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
    /// What happens on a violation of this rule, in place of the policy's (P11).
    pub actions: Option<Vec<ViolationAction>>,
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
    /// `resource: database/instance` of a ResourceLimit. Databases are not read yet, so over the inventory it is
    /// listed as "not evaluated"; requests for new ones are held to it.
    Databases(DatabaseLimit),
    /// `maxBandwidthMbps` of a ResourceLimit. No listing tells a bandwidth, so over the inventory it is listed as "not
    /// evaluated"; requests for new resources are held to it.
    Network(NetworkLimit),
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
    /// What needs a person's word before it is made (D2).
    Approval(ApprovalRule),
    /// When something should run (D2).
    Schedule(Schedule),
    /// A condition, and what its truth means (settled row 3).
    Condition {
        /// Compiled.
        condition: Condition,
        /// Whether true is bad or good.
        polarity: Polarity,
    },
}

/// What the truth of a rule's condition means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// `condition`: true is a violation.
    Violates,
    /// `require`: false is a violation.
    Requires,
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
    /// Those that a document may name.
    pub const ALL: [PolicyType; 7] = [
        PolicyType::ResourceLimit,
        PolicyType::TagRequirement,
        PolicyType::BudgetLimit,
        PolicyType::Waste,
        PolicyType::Expression,
        PolicyType::Approval,
        PolicyType::Schedule,
    ];

    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            PolicyType::ResourceLimit => "ResourceLimit",
            PolicyType::TagRequirement => "TagRequirement",
            PolicyType::BudgetLimit => "BudgetLimit",
            PolicyType::Waste => "Waste",
            PolicyType::Expression => "Expression",
            PolicyType::Approval => "Approval",
            PolicyType::Schedule => "Schedule",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<PolicyType> {
        PolicyType::ALL.into_iter().find(|known| known.word() == word)
    }

    pub(super) fn words() -> String {
        PolicyType::ALL.map(PolicyType::word).join(", ")
    }
}

impl Policy {
    /// What a violation of a rule leads to: the rule's own actions over the policy's (P11).
    pub fn actions_of<'p>(&'p self, rule: &'p Rule) -> &'p [ViolationAction] {
        rule.actions.as_deref().unwrap_or(&self.actions)
    }

    /// Whether it is asked about callers' contexts rather than about the inventory.
    pub fn is_over_contexts(&self) -> bool {
        self.category.is_some()
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
