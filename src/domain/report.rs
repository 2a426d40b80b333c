//! Every number and row that a reader of a report sees, before any layout.
//!
//! `engine::summarize` fills it from the store's rows; `report::*` lay it out as text, HTML, JSON and PDF, so that
//! the forms cannot disagree. Names follow seed contract C1 where it has one. An empty score means "no data".

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::audit::AuditHead;
use super::budget::BudgetAlert;
use super::finding::{Act, Phase, Severity};
use super::inventory::Coverage;
use super::money::Usd;
use super::plan::HoldCode;
use super::undo::Undoable;

/// One report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Daily or weekly.
    pub kind: ReportKind,
    /// When it was made.
    pub generated_at: Instant,
    /// First instant of the period, inclusive.
    pub period_start: Instant,
    /// Last instant of the period, exclusive.
    pub period_end: Instant,
    /// The zone in which times are shown.
    pub zone: String,
    /// Accounts and Regions, in words; `all` when every configured one.
    pub scope: String,
    /// One plain sentence that sums it up.
    pub headline: String,
    /// The score over complete partitions; `None` is "no data", level unknown.
    pub score: Option<Score>,
    /// Score at the end of each of the last twelve weeks or fourteen days, oldest first; `None` where there was none.
    pub score_history: Vec<Option<f64>>,
    /// Violations of this period against the period before.
    pub trend: Trend,
    /// Open findings by severity, worst first.
    pub by_severity: Vec<SeverityRow>,
    /// Watched resources, counted apart.
    pub watching: Amounts,
    /// What open findings would save (winners only).
    pub open_savings: Amounts,
    /// What acts so far save, since each act.
    pub realised: Realised,
    /// What falls due next, soonest first.
    pub due: Vec<DueRow>,
    /// What waits for a person.
    pub decisions: Vec<HeldRow>,
    /// Held findings by reason.
    pub held: Vec<HeldCount>,
    /// What was done in the period, newest first.
    pub acts: Vec<ActRow>,
    /// What can still be taken back, newest first.
    #[serde(default)]
    pub undoable: Vec<Undoable>,
    /// Rates by policy, worst first.
    pub by_policy: Vec<PolicyRow>,
    /// Rates by the tag that names the team, worst first.
    pub by_team: Vec<TeamRow>,
    /// Ten resources with the most open findings.
    pub top_violators: Vec<ViolatorRow>,
    /// Open findings with the largest savings.
    pub top_findings: Vec<FindingRow>,
    /// Exceptions in force, soonest end first.
    pub exceptions: Vec<ExceptionRow>,
    /// Budget thresholds crossed in the period.
    pub budgets: Vec<BudgetAlert>,
    /// Spend in the period, if Cost Explorer is on and was read.
    pub spend: Option<Spend>,
    /// What could not be read or is not believed.
    pub gaps: Vec<Coverage>,
    /// Verdicts that were unknown, by check.
    pub unknown: Vec<(String, u64)>,
    /// What to do first (C11).
    pub recommendations: Vec<Recommendation>,
    /// Caveats and method, one sentence each: price source, estimates, missed slots, freeze.
    pub notes: Vec<String>,
    /// Requests made to the cloud in the period and what they cost.
    pub self_cost: SelfCost,
    /// The end of the audit trail when the report was made; `None` while there is no row.
    #[serde(default)]
    pub audit: Option<AuditHead>,
}

/// Which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// Over one day.
    Daily,
    /// Over one week, Monday to Sunday.
    Weekly,
}

/// Compliance (C2, C3).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// 0 to 100, not rounded.
    pub percent: f64,
    /// By the unrounded score.
    pub level: Level,
    /// Resources that some rule applies to, in complete partitions.
    pub applicable: u64,
    /// Of those, with an open finding that no exception covers.
    pub violating: u64,
}

/// C3's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// 95 and more.
    Compliant,
    /// 80 and more.
    Partial,
    /// Less.
    NonCompliant,
    /// No data.
    Unknown,
}

/// C8's result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Findings detected in the period, closed ones included.
    pub current: u64,
    /// Findings detected in the period before.
    pub previous: u64,
    /// Percent; 0 if both are 0, 100 if only the previous one is.
    pub change_percent: f64,
    /// The word.
    pub direction: Direction,
}

/// The one vocabulary of trends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Fewer violations by more than 5 %.
    Improving,
    /// More violations by more than 5 %.
    Declining,
    /// In between, ±5 % included.
    Stable,
}

/// Dollars with what is not in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// How many findings.
    pub count: u64,
    /// Dollars a month of those whose price is known.
    pub monthly: Usd,
    /// How many have no known price.
    pub unpriced: u64,
}

/// Findings of one severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeverityRow {
    /// The severity.
    pub severity: Severity,
    /// Open findings and their dollars.
    pub open: Amounts,
    /// Detected in the period.
    pub new: u64,
    /// Closed in the period.
    pub closed: u64,
}

/// What our acts save.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realised {
    /// Acts done and still standing.
    pub acts: u64,
    /// Dollars a month that they save, by list price.
    pub monthly: Usd,
    /// Dollars saved since each act, up to the report's instant.
    pub to_date: Usd,
    /// Acts without a known price.
    pub unpriced: u64,
}

/// One act that falls due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DueRow {
    /// The finding's id.
    pub finding: String,
    /// Resource id.
    pub resource: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Name; foreign text.
    pub name: String,
    /// What would happen.
    pub act: Act,
    /// Why.
    pub message: String,
    /// When at the earliest.
    pub due_at: Instant,
    /// Who was told.
    pub owner: Option<String>,
    /// Dollars a month.
    pub monthly: Option<Usd>,
}

/// One finding that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldRow {
    /// The finding's id.
    pub finding: String,
    /// Resource id.
    pub resource: String,
    /// Name; foreign text.
    pub name: String,
    /// What would happen.
    pub act: Option<Act>,
    /// Why it is held.
    pub code: HoldCode,
    /// In words.
    pub reason: String,
    /// Dollars a month.
    pub monthly: Option<Usd>,
}

/// Held findings of one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldCount {
    /// The reason.
    pub code: HoldCode,
    /// How many.
    pub count: u64,
    /// An example of the reason in words.
    pub example: String,
}

/// One act of the period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActRow {
    /// Remediation id, `r-12`.
    pub id: String,
    /// Resource id.
    pub resource: String,
    /// Name; foreign text.
    pub name: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// What was done.
    pub act: Act,
    /// S1's status word.
    pub status: String,
    /// What was seen, in words.
    pub message: String,
    /// Snapshots that can bring it back.
    pub backups: Vec<String>,
    /// When.
    pub at: Instant,
    /// Dollars a month.
    pub monthly: Option<Usd>,
}

/// One policy's rate (C6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Its name.
    pub policy: String,
    /// Resources that it applies to.
    pub applicable: u64,
    /// Of those, with an open finding of it.
    pub violating: u64,
    /// Of those, excepted.
    pub excepted: u64,
    /// Percent, 100 without a finding; `None` when it applied to nothing.
    pub rate: Option<f64>,
    /// Detected in the period.
    pub new: u64,
    /// Dollars.
    pub open: Amounts,
}

/// One team's rate (C7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeamRow {
    /// The tag's value, or `untagged`; foreign text.
    pub team: String,
    /// Resources with it.
    pub total_resources: u64,
    /// Open findings.
    pub violations: u64,
    /// Percent without an open finding.
    pub compliance_score: f64,
}

/// One resource with many findings (C10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolatorRow {
    /// Resource id.
    pub id: String,
    /// Name; foreign text.
    pub name: String,
    /// Open findings.
    pub violation_count: u64,
    /// Policies, sorted.
    pub policies: Vec<String>,
    /// Dollars a month of the winner.
    pub total_cost_impact: Option<Usd>,
}

/// One open finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingRow {
    /// Its id.
    pub finding: String,
    /// Resource id.
    pub resource: String,
    /// Kind's wire name.
    pub kind: String,
    /// Name; foreign text.
    pub name: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Owner.
    pub owner: Option<String>,
    /// Severity.
    pub severity: Severity,
    /// Phase.
    pub phase: Phase,
    /// What it says.
    pub message: String,
    /// First seen.
    pub detected_at: Instant,
    /// When due.
    pub due_at: Option<Instant>,
    /// Dollars a month.
    pub monthly: Option<Usd>,
}

/// One exception in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExceptionRow {
    /// Its id.
    pub id: String,
    /// Resource id.
    pub resource: String,
    /// Policy and rule.
    pub policy: String,
    /// Why.
    pub reason: String,
    /// Who approved.
    pub approved_by: String,
    /// Until when.
    pub until: Instant,
    /// Dollars a month that it costs.
    pub monthly: Option<Usd>,
}

/// Spend of the period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spend {
    /// First day.
    pub from: NaiveDate,
    /// Last day, inclusive.
    pub to: NaiveDate,
    /// Unblended cost.
    pub total: Usd,
    /// The same span before it, if known.
    pub previous: Option<Usd>,
    /// Days that Cost Explorer still revises.
    pub estimated_days: u32,
    /// Largest services first.
    pub by_service: Vec<(String, Usd)>,
}

/// One thing to do first (C11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// `high`.
    pub priority: String,
    /// `policy_compliance` or `cost_optimization`.
    pub category: String,
    /// One sentence.
    pub text: String,
}

/// What the worker itself used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCost {
    /// Requests.
    pub requests: u64,
    /// Dollars, of the operations whose price is known.
    pub usd: Usd,
}

impl Level {
    /// From the unrounded score.
    pub fn of(percent: f64) -> Level {
        if percent >= 95.0 {
            Level::Compliant
        } else if percent >= 80.0 {
            Level::Partial
        } else {
            Level::NonCompliant
        }
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Compliant => "compliant",
            Level::Partial => "partial",
            Level::NonCompliant => "non_compliant",
            Level::Unknown => "unknown",
        }
    }
}

impl Score {
    /// Of `violating` among `applicable` resources; `None` without any (C2).
    pub fn of(applicable: u64, violating: u64) -> Option<Score> {
        if applicable == 0 {
            return None;
        }
        let violating = violating.min(applicable);
        let percent = (applicable - violating) as f64 / applicable as f64 * 100.0;
        Some(Score { percent, level: Level::of(percent), applicable, violating })
    }
}

impl Trend {
    /// C8: below −5 % is improving, above 5 % declining, exactly ±5 % stable.
    pub fn of(current: u64, previous: u64) -> Trend {
        let change_percent = match (current, previous) {
            (0, 0) => 0.0,
            (_, 0) => 100.0,
            _ => (current as f64 - previous as f64) / previous as f64 * 100.0,
        };
        let direction = if change_percent < -5.0 {
            Direction::Improving
        } else if change_percent > 5.0 {
            Direction::Declining
        } else {
            Direction::Stable
        };
        Trend { current, previous, change_percent, direction }
    }
}

impl Direction {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Improving => "improving",
            Direction::Declining => "declining",
            Direction::Stable => "stable",
        }
    }
}

impl ReportKind {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            ReportKind::Daily => "daily",
            ReportKind::Weekly => "weekly",
        }
    }
}

impl Amounts {
    /// Adds one finding.
    pub fn add(&mut self, monthly: Option<Usd>) {
        self.count += 1;
        match monthly {
            Some(amount) => self.monthly = self.monthly + amount,
            None => self.unpriced += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_no_data_is_no_score_and_more_violators_than_resources_is_zero() {
        assert_eq!(Score::of(0, 0), None);
        assert_eq!(Score::of(4, 9).unwrap().percent, 0.0);
        assert_eq!(Score::of(8, 1).unwrap().percent, 87.5);
    }

    #[test]
    fn c3_the_level_is_by_the_unrounded_score() {
        assert_eq!(Level::of(95.0), Level::Compliant);
        assert_eq!(Level::of(94.9999), Level::Partial);
        assert_eq!(Level::of(79.9999), Level::NonCompliant);
    }

    #[test]
    fn c8_exactly_five_percent_is_stable() {
        assert_eq!(Trend::of(105, 100).direction, Direction::Stable);
        assert_eq!(Trend::of(95, 100).direction, Direction::Stable);
        assert_eq!(Trend::of(106, 100).direction, Direction::Declining);
        assert_eq!(Trend::of(94, 100).direction, Direction::Improving);
        assert_eq!((Trend::of(3, 0).change_percent, Trend::of(0, 0).change_percent), (100.0, 0.0));
    }
}
