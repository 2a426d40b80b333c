//! Spend and budgets.
//!
//! Spend comes from Cost Explorer by day, service and cost-allocation tag. A budget that crosses one of its
//! thresholds is told once per period and threshold (D5, D6); blocking new resources is the decision point's work.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::money::Usd;
use super::place::AccountId;

/// Cost of one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// Whose.
    pub account: AccountId,
    /// The day, UTC.
    pub day: NaiveDate,
    /// What it is grouped by.
    pub group: CostGroup,
    /// Unblended cost.
    pub amount: Usd,
    /// Cost Explorer still revises it.
    pub estimated: bool,
}

/// What a cost row is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostGroup {
    /// One AWS service.
    Service(String),
    /// One value of a cost-allocation tag; an empty value is "without the tag".
    Tag {
        /// The tag's key.
        key: String,
        /// The tag's value.
        value: String,
    },
}

/// What a budget covers and allows.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetRule {
    /// Tag key and value that select the spend; all must be one tag, because Cost Explorer groups by one.
    pub tag: Option<(String, String)>,
    /// Service that selects the spend.
    pub service: Option<String>,
    /// Limit for a calendar month.
    pub monthly: Option<Usd>,
    /// Limit for a calendar quarter.
    pub quarterly: Option<Usd>,
    /// Steps, in percent of the limit.
    pub thresholds: Vec<Threshold>,
}

/// One step of a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Percent of the limit; reached when spend ≥ limit × percent ÷ 100.
    pub percent: u32,
    /// What happens.
    pub action: BudgetAction,
    /// Where it is told: `email:a@b`, `slack:#room`, `teams:name`.
    pub channels: Vec<String>,
}

/// What a threshold asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetAction {
    /// Tell people.
    Notify,
    /// Tell people, and deny new resources at the decision point.
    BlockNewResources,
}

/// A period that a budget counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A calendar month, by its first day.
    Month(NaiveDate),
    /// A calendar quarter, by its first day.
    Quarter(NaiveDate),
}

/// What is known about spend when a request for a new resource is judged (V6).
#[derive(Clone, Debug, PartialEq)]
pub enum Spending {
    /// Nobody reads the spend here; the reason is for people.
    NoSource(String),
    /// By policy and rule.
    Read {
        /// The day it is judged on, UTC.
        today: NaiveDate,
        /// Each budget's standing, by policy and rule.
        budgets: BTreeMap<(String, String), Standing>,
    },
}

/// Where one budget stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Spend of the current calendar month so far.
    pub month: Fact<Usd>,
    /// Spend of the current calendar quarter so far.
    pub quarter: Fact<Usd>,
    /// What the month will come to at the pace of its whole days; `None` before there is one.
    pub month_forecast: Option<Usd>,
    /// The same for the quarter.
    pub quarter_forecast: Option<Usd>,
    /// Last day with figures.
    pub through: Option<NaiveDate>,
    /// Part of it is still revised by Cost Explorer.
    pub estimated: bool,
}

/// What a period will come to at the pace of its whole days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Dollars at the period's end.
    pub amount: Usd,
    /// First day that the pace was taken from.
    pub from: NaiveDate,
    /// Last one; today is not over and never counts.
    pub to: NaiveDate,
}

/// One threshold that was crossed; spend is summed over all accounts of the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetAlert {
    /// The policy.
    pub policy: String,
    /// The rule.
    pub rule: String,
    /// The period.
    pub period: Period,
    /// Percent.
    pub percent: u32,
    /// The limit.
    pub limit: Usd,
    /// Spend so far.
    pub spent: Usd,
    /// Part of the spend is still an estimate.
    pub estimated: bool,
    /// What the threshold asks for.
    pub action: BudgetAction,
    /// Where it is told.
    pub channels: Vec<String>,
}
