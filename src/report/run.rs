//! The few lines that sum up one run: for Slack, the log and the terminal (O3, O4).
//!
//! Pure; called by `worker` at the end of a run. A score that is not known makes the status `unknown`, never `good`.

use serde::Serialize;

use super::words;
use crate::domain::check::Standing;
use crate::domain::finding::{Finding, State};
use crate::domain::money::grouped;
use crate::domain::report::Score;

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RunFigures {
    /// The score over complete partitions, if any was.
    pub score: Option<Score>,
    /// Findings that this scan confirmed or made, without those that are merely watched.
    pub found: u64,
    /// Of those, covered by no exception and no keep-until tag (O2).
    pub actionable: u64,
    /// Acts done and seen.
    pub remediated: u64,
    /// Acts that need a person.
    pub failed: u64,
}

/// O4's severity of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Score 95 and more.
    Good,
    /// 80 and more.
    Warning,
    /// Less.
    Critical,
    /// No data.
    Unknown,
}

impl RunFigures {
    /// The figures of a run: `seen` are the findings that its scan made or confirmed, whatever became of them since.
    pub fn of(score: Option<Score>, seen: &[Finding], remediated: u64, failed: u64) -> RunFigures {
        let found: Vec<&Finding> =
            seen.iter().filter(|finding| !matches!(finding.standing, Standing::Watching(_))).collect();
        let actionable = found.iter().filter(|finding| finding.state != State::Excepted).count();
        RunFigures { score, found: found.len() as u64, actionable: actionable as u64, remediated, failed }
    }

    /// O4: by the unrounded score.
    pub fn status(&self) -> RunStatus {
        match self.score {
            Some(score) if score.percent >= 95.0 => RunStatus::Good,
            Some(score) if score.percent >= 80.0 => RunStatus::Warning,
            Some(_) => RunStatus::Critical,
            None => RunStatus::Unknown,
        }
    }

    /// O4's lines: score, found, actionable, remediated, failed.
    pub fn lines(&self) -> Vec<String> {
        let score = self.score.map_or_else(|| "no data".to_owned(), |score| words::percent_of_score(score.percent));
        vec![
            format!("Compliance score: {score}"),
            format!("Findings: {}", grouped(self.found)),
            format!("Actionable: {}", grouped(self.actionable)),
            format!("Remediated: {}", grouped(self.remediated)),
            format!("Failed: {}", grouped(self.failed)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(score: Option<Score>) -> RunFigures {
        RunFigures { score, found: 1_204, actionable: 187, remediated: 7, failed: 1 }
    }

    #[test]
    fn o4_the_status_follows_the_score_and_no_data_is_unknown() {
        for (applicable, violating, expected) in [
            (20, 1, RunStatus::Good),
            (100_000, 5_001, RunStatus::Warning),
            (5, 1, RunStatus::Warning),
            (1_000, 201, RunStatus::Critical),
        ] {
            assert_eq!(figures(Score::of(applicable, violating)).status(), expected, "{violating} of {applicable}");
        }
        assert_eq!(figures(None).status(), RunStatus::Unknown);
    }

    #[test]
    fn o4_the_lines_are_score_found_actionable_remediated_failed() {
        assert_eq!(
            figures(Score::of(100_000, 5_001)).lines(),
            ["Compliance score: 94.9%", "Findings: 1,204", "Actionable: 187", "Remediated: 7", "Failed: 1"]
        );
    }
}
