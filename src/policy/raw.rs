//! The shapes of policy documents as people write them.
//!
//! Unknown keys are refused everywhere. JSON Schema for editors and the loader's own checks of shape both come from
//! here; what words and numbers mean is checked in `front`. A field with an underscore is checked and not used yet.

pub mod expressions;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{EnforcementMode, Preventive};
use crate::domain::budget::BudgetAction;
use crate::domain::finding::{Action, Severity};
use crate::domain::request::Purchase;
use crate::domain::rule::{Family, VolumeClass};

/// `apiVersion`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// Ours.
    #[serde(rename = "costwarden.dev/v1")]
    Own,
    /// Of seed document S1.
    #[serde(rename = "policy.oneuptime.com/v1")]
    Seed,
}

/// `kind`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum DocumentKind {
    /// The only one.
    CostPolicy,
}

/// A policy in its envelope.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope<R> {
    /// Version of this format.
    #[serde(rename = "apiVersion")]
    pub _api_version: ApiVersion,
    /// Always `CostPolicy`.
    #[serde(rename = "kind")]
    pub _kind: DocumentKind,
    /// Name and description.
    pub metadata: Metadata,
    /// What the policy says.
    pub spec: Spec<R>,
}

/// Name and description.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique among all loaded policies; letters, digits, `-`, `_`, `.`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Kept as it came; has no effect.
    pub namespace: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// What a policy says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec<R> {
    /// Decides what the rules look like.
    #[serde(rename = "type")]
    pub policy_type: super::PolicyType,
    /// At least one.
    #[schemars(length(min = 1))]
    pub rules: Vec<R>,
    /// For rules that name none.
    pub severity: Option<Severity>,
    /// For rules that name none.
    pub action: Option<ActionWord>,
    /// For rules that name none: whole minutes, hours or days, such as `90m`, `24h`, `7d`.
    pub grace: Option<String>,
    /// `enforce` (default), `monitor` (told, never acted on) or `disabled`.
    pub mode: Option<EnforcementMode>,
    /// Which accounts, Regions and tags the policy is for; everything when absent.
    pub scope: Option<Scope>,
    /// Whose word an act on its findings needs first; nobody's when absent.
    pub approval: Option<RawActApproval>,
    /// What it must say about given resources and requests; `costwarden policy test` asks it.
    #[schemars(length(min = 1))]
    pub examples: Option<Vec<expressions::RawExample>>,
}

/// Whose word an act needs: each time, for this very act on the resource as it is then.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawActApproval {
    /// How many different people must say yes: 1 or 2.
    #[schemars(range(min = 1, max = 2))]
    pub people: u8,
    /// Mail addresses of those who may; FinOps and security of the settings when absent.
    #[schemars(length(min = 1))]
    pub approvers: Option<Vec<String>>,
}

/// Which accounts, Regions and tags; all that are given must match.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// Account ids, twelve digits in quotes.
    #[schemars(length(min = 1))]
    pub accounts: Option<Vec<String>>,
    /// Region names such as `eu-central-1`.
    #[schemars(length(min = 1))]
    pub regions: Option<Vec<String>>,
    /// Tag keys and values that a resource must carry, all of them.
    pub tags: Option<BTreeMap<String, String>>,
}

/// `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionWord {
    /// Tell the owner, nothing more.
    Notify,
    /// Add missing tags that the policy has defaults for.
    Tag,
    /// Stop an instance.
    Stop,
    /// Terminate an instance, delete a volume or a snapshot.
    Terminate,
    /// Another word for `terminate`.
    Delete,
    /// Change an instance's type.
    Resize,
    /// Change a volume from gp2 to gp3 in place.
    Modify,
    /// Release an elastic address.
    Release,
    /// List it in the reports, tell nobody.
    Report,
}

impl From<ActionWord> for Action {
    fn from(word: ActionWord) -> Action {
        match word {
            ActionWord::Notify => Action::Notify,
            ActionWord::Tag => Action::Tag,
            ActionWord::Stop => Action::Stop,
            ActionWord::Terminate | ActionWord::Delete => Action::Terminate,
            ActionWord::Resize => Action::Resize,
            ActionWord::Modify => Action::Modify,
            ActionWord::Release => Action::Release,
            ActionWord::Report => Action::Report,
        }
    }
}

/// What every rule may say over its policy. A plain mirror of the same four keys in each rule shape, because serde
/// cannot flatten and refuse unknown keys at once.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Severity.
    pub severity: Option<Severity>,
    /// Action.
    pub action: Option<ActionWord>,
    /// Grace period.
    pub grace: Option<String>,
    /// Mode.
    pub mode: Option<EnforcementMode>,
}

/// A rule of any type.
pub trait RawRule {
    /// Its name.
    fn name(&self) -> &str;
    /// Its four common keys.
    fn overrides(&self) -> Overrides;
}

macro_rules! raw_rule {
    ($type:ty) => {
        impl RawRule for $type {
            fn name(&self) -> &str {
                &self.name
            }
            fn overrides(&self) -> Overrides {
                Overrides { severity: self.severity, action: self.action, grace: self.grace.clone(), mode: self.mode }
            }
        }
    };
}

/// A rule of a ResourceLimit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitRule {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// `compute/instance`, `storage/volume`, `database/instance` or `network/connection`.
    pub resource: String,
    /// What is allowed.
    pub constraint: Constraint,
    /// Default `high`.
    pub severity: Option<Severity>,
    /// Default `resize` for instances, `notify` for everything else.
    pub action: Option<ActionWord>,
    /// Instead of the severity's grace period.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

/// The constraint of a ResourceLimit; which keys apply depends on `resource`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Constraint {
    /// Instances, databases: most vCPUs; equal passes.
    #[serde(rename = "maxVCPUs")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_vcpus: Option<u32>,
    /// Instances: most memory, GiB; equal passes.
    #[serde(rename = "maxMemoryGB")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_memory_gb: Option<u32>,
    /// Instances: families that are allowed; all that are not denied when absent.
    #[schemars(length(min = 1))]
    pub allowed_instance_families: Option<Vec<Family>>,
    /// Instances: families that are denied.
    #[schemars(length(min = 1))]
    pub denied_instance_families: Option<Vec<Family>>,
    /// Volumes: largest size, GiB; equal passes.
    #[serde(rename = "maxSizeGB")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_size_gb: Option<u32>,
    /// Volumes: classes that are allowed; all that are not denied when absent.
    #[schemars(length(min = 1))]
    pub allowed_types: Option<Vec<VolumeClass>>,
    /// Volumes: classes that are denied.
    #[schemars(length(min = 1))]
    pub denied_types: Option<Vec<VolumeClass>>,
    /// Databases: most storage, GiB.
    #[serde(rename = "maxStorageGB")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_storage_gb: Option<u32>,
    /// Lines of one's own, instances: most network bandwidth, Mbit/s; equal passes. Judged when somebody asks for one.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_bandwidth_mbps: Option<u32>,
}

/// A rule of a TagRequirement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagsRule {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The tags that must be there.
    #[schemars(length(min = 1))]
    pub required_tags: Vec<RequiredTag>,
    /// Resource types: `*`, `group/*` or an exact type; default `*`.
    #[schemars(length(min = 1))]
    pub scope: Option<Vec<String>>,
    /// What happens to a request for a new resource without the tags: `deny` or `warn`.
    pub enforcement: Option<Preventive>,
    /// Default `medium`.
    pub severity: Option<Severity>,
    /// Default `tag`: adds a missing key that has a `default`, and tells the owner of the others.
    pub action: Option<ActionWord>,
    /// Instead of the severity's grace period.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

/// One required tag.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredTag {
    /// The tag's key.
    #[schemars(length(min = 1))]
    pub key: String,
    /// Regular expression that the whole value must match.
    #[schemars(length(min = 1))]
    pub pattern: Option<String>,
    /// Values that are accepted.
    #[schemars(length(min = 1))]
    pub allowed_values: Option<Vec<String>>,
    /// Shortest accepted value, in characters.
    #[schemars(range(min = 0, max = 256))]
    pub min_length: Option<usize>,
    /// Longest accepted value, in characters.
    #[schemars(range(min = 1, max = 256))]
    pub max_length: Option<usize>,
    /// Written where the key is missing; must satisfy this very rule. Never overwrites.
    pub default: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// A rule of a BudgetLimit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpendRule {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which spend counts; all of it when absent.
    pub selector: Option<Selector>,
    /// Limits and steps.
    pub budget: Budget,
    /// Default `medium`.
    pub severity: Option<Severity>,
    /// `notify` (default) or `report`.
    pub action: Option<ActionWord>,
    /// Has no effect on a budget.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

/// Which spend counts: one tag, or one service.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// One cost-allocation tag with its value.
    pub tags: Option<BTreeMap<String, String>>,
    /// A service as Cost Explorer names it.
    #[schemars(length(min = 1))]
    pub service: Option<String>,
}

/// Limits in dollars, and what happens on the way to them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Dollars in a calendar month.
    #[schemars(range(min = 0.01, max = 1e12))]
    pub monthly: Option<f64>,
    /// Dollars in a calendar quarter.
    #[schemars(range(min = 0.01, max = 1e12))]
    pub quarterly: Option<f64>,
    /// Steps, in rising order.
    #[schemars(length(min = 1))]
    pub alert_thresholds: Vec<Step>,
}

/// One step of a budget.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Percent of the limit.
    #[schemars(range(min = 1, max = 1000))]
    pub percent: u32,
    /// What happens.
    pub action: BudgetAction,
    /// Where it is told: `slack:#room`, `teams:name`, `email:name@example.com`; the report's recipients when absent.
    #[schemars(length(min = 1))]
    pub channels: Option<Vec<String>>,
}

/// A rule of a Waste policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WasteRule {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The check's id; `costwarden checks list` shows all.
    #[schemars(length(min = 1))]
    pub check: String,
    /// Thresholds by name; `costwarden checks show ID` explains them. The check's defaults hold for the others.
    pub parameters: Option<BTreeMap<String, f64>>,
    /// Default: the check's.
    pub severity: Option<Severity>,
    /// Default: the check's.
    pub action: Option<ActionWord>,
    /// Instead of the severity's grace period.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

/// A rule of an Approval policy: any one of its three conditions that is met asks for a person's word.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRuleShape {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Who may say yes, by name or mail address.
    #[schemars(length(min = 1))]
    pub approvers: Vec<String>,
    /// Dollars a month; more than this needs approval, equal passes. A cost that is not known needs it too.
    #[schemars(range(min = 0, max = 1e12))]
    pub monthly_above_usd: Option<f64>,
    /// Ways of buying that need approval.
    #[schemars(length(min = 1))]
    pub purchases: Option<Vec<Purchase>>,
    /// Every Region that is not listed needs approval.
    #[schemars(length(min = 1))]
    pub allowed_regions: Option<Vec<String>>,
    /// Resource types: `*`, `group/*` or an exact type; default `*`.
    #[schemars(length(min = 1))]
    pub scope: Option<Vec<String>>,
    /// Default `medium`.
    pub severity: Option<Severity>,
    /// `notify` (default) or `report`.
    pub action: Option<ActionWord>,
    /// Has no effect on a request.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

/// A rule of a Schedule policy: when instances should run. What should be is computed anew at each look.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleRule {
    /// Unique within the policy.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Whose clock: a zone of the IANA list such as `Europe/Berlin`.
    #[schemars(length(min = 1))]
    pub time_zone: String,
    /// When the hours begin, local time: `"07:00"`.
    #[schemars(length(min = 1))]
    pub from: String,
    /// When they end, exclusive; at or before `from` it is the next day.
    #[schemars(length(min = 1))]
    pub until: String,
    /// Days on which the hours begin; Monday to Friday when absent.
    #[schemars(length(min = 1))]
    pub days: Option<Vec<DayWord>>,
    /// Days without hours, such as `"2026-12-24"`.
    #[schemars(length(min = 1))]
    pub holidays: Option<Vec<String>>,
    /// A calendar file (.ics) beside this one whose events are days without hours.
    #[schemars(length(min = 1))]
    pub holiday_calendar: Option<String>,
    /// Also report an instance that is stopped inside its hours; it is never started. Default false.
    pub expect_running: Option<bool>,
    /// Default `medium`.
    pub severity: Option<Severity>,
    /// `notify` (default), `stop` or `report`.
    pub action: Option<ActionWord>,
    /// Instead of the severity's grace period.
    pub grace: Option<String>,
    /// May only be milder than the policy's.
    pub mode: Option<EnforcementMode>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DayWord {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl From<DayWord> for chrono::Weekday {
    fn from(day: DayWord) -> chrono::Weekday {
        match day {
            DayWord::Mon => chrono::Weekday::Mon,
            DayWord::Tue => chrono::Weekday::Tue,
            DayWord::Wed => chrono::Weekday::Wed,
            DayWord::Thu => chrono::Weekday::Thu,
            DayWord::Fri => chrono::Weekday::Fri,
            DayWord::Sat => chrono::Weekday::Sat,
            DayWord::Sun => chrono::Weekday::Sun,
        }
    }
}

raw_rule!(ApprovalRuleShape);
raw_rule!(ScheduleRule);
raw_rule!(LimitRule);
raw_rule!(TagsRule);
raw_rule!(SpendRule);
raw_rule!(WasteRule);
