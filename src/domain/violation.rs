//! A violated policy of the decision point, as it is kept: what was found, and what became of each step after it.
//!
//! Findings are about resources that exist; these are about requests that callers made. `engine::violations` says what
//! is to be done about one, `worker::violations` does it, the store keeps every step with its own outcome (M5, M6).

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::finding::Severity;

/// S0's three levels (P5): low is Info, medium and high are Warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Logged.
    Info,
    /// Told.
    Warning,
    /// Told at once, and an incident.
    Critical,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Level {
        match severity {
            Severity::Low => Level::Info,
            Severity::Medium | Severity::High => Level::Warning,
            Severity::Critical => Level::Critical,
        }
    }
}

/// One violation on file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedViolation {
    /// Its number in the state; 0 before it is stored.
    pub id: i64,
    /// When it was found.
    pub at: Instant,
    /// The policy's id.
    pub policy_id: String,
    /// What people call the policy.
    pub policy_name: String,
    /// S0's type of the policy, its wire name.
    pub category: String,
    /// Severity.
    pub severity: Severity,
    /// The rules, in the policy's order.
    pub rules: Vec<String>,
    /// What each says.
    pub reasons: Vec<String>,
    /// Whose request it was; foreign text.
    pub user_id: Option<String>,
    /// Who wanted what, on one line.
    pub context: String,
    /// How far it is dealt with.
    pub state: ViolationState,
}

/// How far a violation is dealt with (M9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationState {
    /// Nobody works on it.
    Open,
    /// A ticket or an order is out.
    InProgress,
    /// Somebody said that it is settled.
    Resolved,
}

impl ViolationState {
    /// The word in JSON and SQL.
    pub fn word(self) -> &'static str {
        match self {
            ViolationState::Open => "open",
            ViolationState::InProgress => "in_progress",
            ViolationState::Resolved => "resolved",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<ViolationState> {
        [ViolationState::Open, ViolationState::InProgress, ViolationState::Resolved]
            .into_iter()
            .find(|s| s.word() == word)
    }
}

/// The stages of the workflow (M5), in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is on file.
    Detection,
    /// Its level is known.
    Classification,
    /// What its actions say.
    Action,
    /// Who is told because of its level.
    Notification,
    /// What its handlers ask for.
    Remediation,
    /// Somebody looks at it again.
    Review,
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The stage that it belongs to.
    pub stage: Stage,
    /// One word: `log`, `alert`, `block`, `suspend`, `force_password_reset`, …
    pub what: String,
    /// How it ended.
    pub end: StepEnd,
    /// In words.
    pub detail: String,
    /// When.
    pub at: Instant,
}

/// How one step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// Done here.
    Done,
    /// Handed to somebody who does it: an outbox message, a ticket. Nothing here claims that it happened.
    Ordered,
    /// Nothing was to be done.
    NoOp,
    /// It failed; the steps after it went on.
    Failed,
}

/// A task for people (M8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The violation.
    pub violation: i64,
    /// One line, free of foreign control characters.
    pub title: String,
    /// Who has it.
    pub assignee: String,
    /// How urgent.
    pub priority: String,
    /// Until when.
    pub due_at: Instant,
    /// What has been said about it so far.
    pub comments: Vec<String>,
    /// When it was opened.
    pub opened_at: Instant,
}

/// Who gets tickets of violations.
const ASSIGNEE: &str = "security_team";

impl Ticket {
    /// The ticket for a violation: the security team, high, due a day from now, with one comment (M8).
    pub fn open(violation: &RecordedViolation, orders: &[String], now: Instant) -> Ticket {
        let orders = if orders.is_empty() { "look at it".to_owned() } else { orders.join("; ") };
        Ticket {
            violation: violation.id,
            title: format!("Policy {} violated: {}", violation.policy_id, violation.context),
            assignee: ASSIGNEE.to_owned(),
            priority: "High".to_owned(),
            due_at: now + TimeDelta::days(1),
            comments: vec![format!("{}. To do: {orders}.", violation.reasons.join("; "))],
            opened_at: now,
        }
    }
}
