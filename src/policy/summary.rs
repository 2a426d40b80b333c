//! What `policy validate` prints of policies that loaded: one line a rule.

use serde::Serialize;

use super::{EnforcementMode, Logic, Policy, PolicyType};
use crate::domain::finding::{Action, Severity};

/// One rule, in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyLine {
    /// The policy's name.
    pub policy: String,
    /// Its type.
    #[serde(rename = "type")]
    pub policy_type: PolicyType,
    /// The first 16 digits of its hash.
    pub hash: String,
    /// The rule's name.
    pub rule: String,
    /// The check that judges it, or `tags`, `limits`, `budget`.
    pub judged_by: String,
    /// Severity.
    pub severity: Severity,
    /// Action.
    pub action: Action,
    /// Mode that holds for it.
    pub mode: EnforcementMode,
    /// False for what is not read yet.
    pub evaluated: bool,
    /// File and line.
    pub source: String,
}

/// One line a rule, in the order of loading.
pub fn summary(policies: &[Policy]) -> Vec<PolicyLine> {
    let line = |policy: &Policy, rule: &super::Rule| PolicyLine {
        policy: policy.name.clone(),
        policy_type: policy.policy_type,
        hash: policy.hash.clone(),
        rule: rule.name.clone(),
        judged_by: match &rule.logic {
            Logic::Instances(_) | Logic::Volumes(_) | Logic::Databases(_) | Logic::Network(_) => "limits".into(),
            Logic::Tags(_) => "tags".into(),
            Logic::Budget(_) => "budget".into(),
            Logic::Check { check, .. } => (*check).into(),
            Logic::Approval(_) => "approval".into(),
            Logic::Schedule(_) => "schedule".into(),
            Logic::Condition { .. } => "condition".into(),
        },
        severity: rule.severity,
        action: rule.action,
        mode: rule.mode,
        evaluated: !matches!(rule.logic, Logic::Databases(_) | Logic::Network(_))
            && rule.mode != EnforcementMode::Disabled,
        source: format!("{}:{}", policy.source.path.display(), rule.line),
    };
    policies.iter().flat_map(|policy| policy.rules.iter().map(move |rule| line(policy, rule))).collect()
}

/// The lines for people, and a count.
pub fn summary_text(policies: &[Policy]) -> String {
    let lines = summary(policies);
    let name = |line: &PolicyLine| format!("{}/{}", line.policy, line.rule);
    let width = lines.iter().map(|line| name(line).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in &lines {
        let note = if line.evaluated { "" } else { "  (not evaluated)" };
        text += &format!(
            "{:width$}  {:8}  {:9}  {:8}  {}  {}{note}\n",
            name(line),
            line.severity,
            line.action,
            line.mode.word(),
            line.hash,
            crate::domain::text::clean(&line.source),
        );
    }
    text + &format!("{} policies with {} rules are valid\n", policies.len(), lines.len())
}
