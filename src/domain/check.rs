//! What a check says, and how it describes itself.
//!
//! The logic is in `checks/`, one file each. Verdicts are three-valued: `Unknown` exactly when the outcome depends
//! on something unknown, which means no new finding, no closing and no action.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Instant;
use super::finding::{Action, Severity};
use super::inventory::{RefIndex, Sighting};
use super::money::Usd;
use super::place::Kind;
use super::price::PriceBook;
use super::resource::Resource;
use super::usage::Usage;

/// A check's own page: shown by `checks show`, validated against by the policy loader.
#[derive(Clone, Copy, Debug)]
pub struct CheckInfo {
    /// The word in policies, for example `idle-instance`.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// Why this costs money.
    pub why: &'static str,
    /// What it judges.
    pub kinds: &'static [Kind],
    /// Which documents use it.
    pub used_by: UsedBy,
    /// Severity where the rule names none.
    pub severity: Severity,
    /// Action where the rule names none.
    pub action: Action,
    /// Visible thresholds.
    pub params: &'static [ParamInfo],
    /// What it reads, in words.
    pub reads: &'static str,
    /// Needs metrics of stage 1 and 2.
    pub needs_usage: bool,
}

/// Which policy documents a check serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// `type: Waste` with `check: <id>` and `parameters`.
    Waste,
    /// `type: ResourceLimit`.
    ResourceLimit,
    /// `type: TagRequirement`.
    TagRequirement,
    /// Conditions over the inventory; the rule brings the logic.
    Expression,
    /// `type: Schedule`.
    Schedule,
}

/// One visible parameter.
#[derive(Clone, Copy, Debug)]
pub struct ParamInfo {
    /// The key under `parameters`.
    pub name: &'static str,
    /// Unit, for example `days` or `percent`.
    pub unit: &'static str,
    /// Value where the rule names none.
    pub default: f64,
    /// Smallest accepted value.
    pub min: f64,
    /// Largest accepted value.
    pub max: f64,
    /// Must be a whole number.
    pub whole: bool,
    /// One line for people, with the source of the default.
    pub doc: &'static str,
}

/// Parameters of one rule: every parameter of the check, defaults filled in, ranges checked by the loader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(BTreeMap<&'static str, f64>);

/// Everything that a check may look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// Its metrics; `None` when the scan did not ask for them.
    pub usage: Option<&'a Usage>,
    /// Other resources of the place, by id.
    pub refs: &'a RefIndex,
    /// How long we have seen it unattached or unassociated; `None` when it is attached, or at first sight before
    /// the sighting is stored (then `since` is now).
    pub sighting: Option<Sighting>,
    /// List prices.
    pub prices: &'a PriceBook,
    /// The scan's instant.
    pub now: Instant,
}

/// What a check says about one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The check does not speak about this resource (stopped instance, foreign snapshot, …).
    NotApplicable,
    /// Looked at, and fine.
    Compliant,
    /// Looked at, and not fine.
    Violated(Box<Violation>),
    /// The outcome depends on something that is not known; the reason is for people.
    Unknown(String),
}

/// What a check says now; its life over time is a `Finding`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// One sentence.
    pub message: String,
    /// The figures behind it.
    pub evidence: Vec<Evidence>,
    /// What the bill would drop by.
    pub savings: Savings,
    /// Whether it may lead to an act.
    pub standing: Standing,
    /// Proven enough to tell the owner, but not to act before this instant.
    #[serde(default)]
    pub act_not_before: Option<Instant>,
    /// Tag keys to add with the values that the policy's `default`s give (tags check only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<(String, String)>,
    /// The type that it should have, where the act changes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_type: Option<String>,
}

/// How firm a violation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "because")]
pub enum Standing {
    /// May go the whole way.
    Proven,
    /// Looks like waste, not yet proven old enough: shown apart, in no score and no plan.
    Watching(String),
    /// A violation that is reported and never acted on, and why (it read an unknown, its peak is too high, a
    /// marker forbids it).
    ReportedOnly(String),
}

/// One figure behind a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is, for example `cpu average`.
    pub name: String,
    /// Its value as people read it.
    pub value: String,
    /// Its unit; empty when the value says it.
    pub unit: String,
    /// Where it was read, for example `CloudWatch CPUUtilization, daily average`.
    pub source: String,
    /// When.
    pub at: Instant,
}

/// What the bill would drop by in a month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Savings {
    /// Micro-dollars a month; `None` is unknown and counted beside every total, never in it.
    pub monthly: Option<Usd>,
    /// Which price: `on-demand list`, `none`, …
    pub basis: String,
    /// How sure.
    pub confidence: Confidence,
}

/// How sure an amount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Price of this very Region.
    High,
    /// Priced from another Region, or before discounts that may apply.
    Medium,
    /// An upper bound.
    Low,
}

impl Params {
    /// Defaults of a check, then `given` over them. The loader has checked names and ranges; an unknown name here
    /// is ignored.
    pub fn resolve(info: &CheckInfo, given: &BTreeMap<String, f64>) -> Params {
        Params(
            info.params
                .iter()
                .map(|param| (param.name, given.get(param.name).copied().unwrap_or(param.default)))
                .collect(),
        )
    }

    /// A parameter's value. A check asks only for names of its own table; NaN, which no comparison accepts, stands
    /// for any other.
    pub fn number(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }

    /// The same with one value changed.
    pub fn with(mut self, name: &'static str, value: f64) -> Params {
        self.0.insert(name, value);
        self
    }

    /// A whole-number parameter.
    pub fn whole(&self, name: &str) -> i64 {
        self.number(name) as i64
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().map(|(name, value)| (*name, *value))
    }
}

impl Savings {
    /// For findings whose fix moves no money.
    pub fn none() -> Savings {
        Savings { monthly: Some(Usd::ZERO), basis: "no direct saving".into(), confidence: Confidence::High }
    }

    /// For prices that the book lacks.
    pub fn unknown(why: &str) -> Savings {
        Savings { monthly: None, basis: why.into(), confidence: Confidence::Low }
    }
}
