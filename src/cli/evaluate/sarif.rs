//! Answers as SARIF 2.1.0, for code scanning: one rule a policy rule, one result a violation.
//!
//! A plan and a request have no source line, so a result points at the file, and names the resource as its logical place.

use serde_json::json;

use super::Answers;
use super::document::lines;
use crate::cli::sarif::{Level, Log, Mistake, RuleInfo};
use crate::policy::decide::Answer;

/// The log.
pub fn render(answers: &Answers) -> Log {
    let lines = lines(answers);
    let mut rules: Vec<String> = lines.iter().map(|line| format!("{}/{}", line.policy, line.rule)).collect();
    rules.sort();
    rules.dedup();
    let rules: Vec<RuleInfo<'_>> = rules.iter().map(|id| (id.as_str(), "")).collect();
    let results = lines.iter().map(|line| Mistake {
        rule: format!("{}/{}", line.policy, line.rule),
        level: match line.effect {
            Answer::Deny => Level::Error,
            Answer::RequireApproval | Answer::Warn => Level::Warning,
            Answer::Allow => Level::Note,
        },
        message: line.message.to_owned(),
        place: Some((answers.file.clone(), 1, 0)),
        resource: Some(line.resource.to_owned()),
        properties: Some(json!({ "effect": line.effect.word(), "severity": line.severity })),
    });
    Log::of(&rules, results)
}
