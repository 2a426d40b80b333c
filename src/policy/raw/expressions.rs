//! The shapes of S0's policies (P2, P3, P6), and of our own Expression rules and examples.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ActionWord, Overrides, RawRule};
use crate::domain::finding::Severity;
use crate::policy::{Category, Decision, EnforcementMode, Outcome};

/// Several policies in one file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyList {
    /// At least one.
    #[schemars(length(min = 1))]
    #[serde(rename = "policies")]
    pub _policies: Vec<serde_json::Value>,
    /// For editors; has no effect.
    #[serde(rename = "$schema")]
    pub _schema: Option<String>,
}

/// One policy over a caller's context.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextPolicy {
    /// Unique among all loaded policies; made from the name when absent.
    #[schemars(length(min = 1))]
    pub id: Option<String>,
    /// For people.
    #[schemars(length(min = 1))]
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// `access_control`, `data_protection`, `security`, `usage` or `compliance`.
    pub policy_type: Category,
    /// At least one.
    #[schemars(length(min = 1))]
    pub rules: Vec<ContextRule>,
    /// `enforce` (violations block), `monitor` (violations are told) or `disabled`.
    pub enforcement_mode: EnforcementMode,
    /// How bad a violation is: `low` or `info`, `medium` or `warning`, `high`, `critical`.
    pub severity: SeverityWord,
    /// What a violation leads to; `log` alone when absent.
    #[schemars(length(min = 1))]
    pub violation_actions: Option<Vec<RawAction>>,
    /// Whom it is for; `global` when absent.
    pub scope: Option<ReachWord>,
    /// The one organization, user or resource; all of them when absent.
    #[schemars(length(min = 1))]
    pub scope_id: Option<String>,
    /// False turns it off, whatever the mode says; true when absent.
    pub enabled: Option<bool>,
    /// When it was made, RFC 3339.
    pub created_at: Option<String>,
    /// When it was last changed, RFC 3339.
    pub updated_at: Option<String>,
    /// Who made it.
    pub created_by: Option<String>,
    /// Anything else; has no effect.
    pub metadata: Option<BTreeMap<String, serde_json::Value>>,
    /// What it must say about given contexts; `costwarden policy test` asks it.
    #[schemars(length(min = 1))]
    pub examples: Option<Vec<RawExample>>,
    /// For editors; has no effect.
    #[serde(rename = "$schema")]
    pub _schema: Option<String>,
}

/// One rule over a caller's context: either `condition` or `require`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextRule {
    /// Unique within the policy; made from the description when absent.
    #[schemars(length(min = 1))]
    pub id: Option<String>,
    /// What is bad: true is a violation.
    #[schemars(length(min = 1))]
    pub condition: Option<String>,
    /// What is good: false is a violation.
    #[schemars(length(min = 1))]
    pub require: Option<String>,
    /// What a violation says to people.
    pub description: Option<String>,
    /// False skips it; true when absent.
    pub enabled: Option<bool>,
    /// In place of the policy's.
    pub severity: Option<SeverityWord>,
    /// In place of the policy's.
    #[schemars(length(min = 1))]
    pub violation_actions: Option<Vec<RawAction>>,
}

/// One action on a violation; which keys apply depends on `type`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAction {
    /// Decides which of the other keys must be there.
    #[serde(rename = "type")]
    pub action: ActionType,
    /// `alert`: mail addresses, or rooms such as `slack:#finance` and `teams:finance`.
    #[schemars(length(min = 1))]
    pub recipients: Option<Vec<String>>,
    /// `require_approval`: who may say yes.
    #[schemars(length(min = 1))]
    pub approvers: Option<Vec<String>>,
    /// `suspend`: minutes.
    #[schemars(range(min = 1, max = 5_256_000))]
    pub duration_minutes: Option<u64>,
    /// `webhook`: an https address.
    #[schemars(length(min = 1))]
    pub url: Option<String>,
}

/// `type` of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// Written to the audit log.
    Log,
    /// Told to recipients.
    Alert,
    /// The request is denied.
    Block,
    /// The request waits for a person.
    RequireApproval,
    /// The user is suspended for a while.
    Suspend,
    /// A signed message goes to an address.
    Webhook,
}

/// S0's severities and ours (P5, settled row 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityWord {
    /// S0's word for `low`.
    Info,
    /// S0's word for `medium`.
    Warning,
    /// Worst.
    Critical,
    /// Shown as info where three levels are shown.
    Low,
    /// Shown as warning where three levels are shown.
    Medium,
    /// Shown as warning where three levels are shown.
    High,
}

/// `scope` (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReachWord {
    /// Everybody.
    Global,
    /// One organization, or any.
    Organization,
    /// One user, or any.
    User,
    /// One resource, or any.
    Resource,
}

/// A rule of an Expression: a condition over the inventory, either `condition` or `require`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpressionRule {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Resource types that it covers: `*`, `compute/*`, `storage/volume`, ….
    #[schemars(length(min = 1))]
    pub kinds: Vec<String>,
    /// What is bad: true is a violation. `costwarden schema --fields KIND` lists what it may read.
    #[schemars(length(min = 1))]
    pub condition: Option<String>,
    /// What is good: false is a violation.
    #[schemars(length(min = 1))]
    pub require: Option<String>,
    /// What a violation says to people.
    #[schemars(length(min = 1))]
    pub message: Option<String>,
    /// Default `medium`.
    pub severity: Option<Severity>,
    /// Default `notify`.
    pub action: Option<ActionWord>,
    /// Instead of the severity's grace period.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

impl RawRule for ExpressionRule {
    fn name(&self) -> &str {
        &self.name
    }

    fn overrides(&self) -> Overrides {
        Overrides { severity: self.severity, action: self.action, grace: self.grace.clone(), mode: self.mode }
    }
}

/// What a policy must say about given facts: a context, a resource or a request, and at least one of `expect`,
/// `violated` and `decision`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExample {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// A context as a caller would send it.
    pub context: Option<BTreeMap<String, serde_json::Value>>,
    /// One resource: `kind`, and the keys that a world file gives to such a resource.
    pub resource: Option<BTreeMap<String, serde_json::Value>>,
    /// A request for a new resource, as `costwarden evaluate` takes it.
    pub request: Option<BTreeMap<String, serde_json::Value>>,
    /// What the policy as a whole must say.
    pub expect: Option<Outcome>,
    /// Exactly the rules that must be violated.
    pub violated: Option<Vec<String>>,
    /// What the decision point must answer.
    pub decision: Option<Decision>,
}

impl SeverityWord {
    /// One of our four levels.
    pub fn severity(self) -> Severity {
        match self {
            SeverityWord::Info | SeverityWord::Low => Severity::Low,
            SeverityWord::Warning | SeverityWord::Medium => Severity::Medium,
            SeverityWord::High => Severity::High,
            SeverityWord::Critical => Severity::Critical,
        }
    }

    /// The word, where it is none of ours.
    pub fn foreign(self) -> Option<&'static str> {
        match self {
            SeverityWord::Info => Some("info"),
            SeverityWord::Warning => Some("warning"),
            _ => None,
        }
    }
}
