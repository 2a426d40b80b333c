//! The periodic review of all policies (T7): every number and word of it, before any layout.

use serde::{Deserialize, Serialize};

use super::Instant;
use super::report::Amounts;

/// The review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyReview {
    /// First instant of the period.
    pub from: Instant,
    /// When it was made; the period's end.
    pub at: Instant,
    /// Every policy, those that need somebody first.
    pub policies: Vec<ReviewedPolicy>,
    /// What open findings of all policies would save; a resource that several policies see counts once here, and in each
    /// of their rows.
    pub open: Amounts,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReviewedPolicy {
    /// Its name.
    pub name: String,
    /// Its id in the store; `None` for one that comes from a file alone.
    pub id: Option<String>,
    /// The version in force, or the latest where none is.
    pub version: Option<String>,
    /// Stage, or `file`, and the mode that holds.
    pub standing: String,
    /// Whole days since it was created; unknown for files.
    pub age_days: Option<i64>,
    /// When its reviewers last approved it, or somebody last confirmed it; `None` is never, or unknown for files.
    pub last_review: Option<Instant>,
    /// Findings that it raised in the period.
    pub hits: u64,
    /// Findings that are open, and what they would save.
    pub open: Amounts,
    /// Exceptions that hold now.
    pub exceptions: u64,
    /// What our acts on its findings save.
    pub saved: Amounts,
    /// Why somebody should look at it; empty when nothing stands out.
    pub stale: Vec<String>,
}

impl PolicyReview {
    /// How many policies somebody should look at.
    pub fn stale(&self) -> usize {
        self.policies.iter().filter(|policy| !policy.stale.is_empty()).count()
    }

    /// The period as a name, for example `2026-08-24 to 2026-11-22`.
    pub fn period(&self) -> String {
        format!("{} to {}", self.from.format("%Y-%m-%d"), self.at.format("%Y-%m-%d"))
    }
}
