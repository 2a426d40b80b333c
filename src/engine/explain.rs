//! Why each rule of a policy says what it says of one resource: `policy explain`.
//!
//! The verdicts are those of [`evaluate`], the very ones of a scan; beside a condition's stands the value of each of its
//! parts. What is not judged on resources at all says so in words.

use super::evaluate::{EvaluateRules, evaluate};
use super::ruleset::{CompileError, Ruleset, covered};
use crate::domain::check::{Evidence, Standing, Subject, Verdict};
use crate::domain::finding::Severity;
use crate::domain::place::Kind;
use crate::policy::expression::{Explained, OverInventory};
use crate::policy::{EnforcementMode, Logic, Outcome, Policy, Rule};

/// One rule, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleExplained {
    /// Its name.
    pub rule: String,
    /// `condition`, `require`, or the check behind it.
    pub judged_by: String,
    /// How bad a violation is.
    pub severity: Severity,
    /// What it says.
    pub outcome: Outcome,
    /// Why, in a sentence; empty for what is compliant.
    pub message: String,
    /// Why a violation leads to no act.
    pub held: Option<String>,
    /// The figures behind a violation.
    pub evidence: Vec<Evidence>,
    /// The condition's parts with their values.
    pub condition: Option<Explained>,
}

/// Every rule of a policy, in the document's order.
///
/// # Errors
/// The policy does not compile.
pub fn explain(
    policy: &Policy,
    subject: &Subject<'_>,
    rules: EvaluateRules<'_>,
) -> Result<Vec<RuleExplained>, CompileError> {
    let ruleset = Ruleset::compile(std::slice::from_ref(policy))?;
    let verdicts: Vec<(&str, Verdict)> =
        evaluate(&ruleset, subject, rules).map(|judged| (&*judged.rule.rule, judged.verdict)).collect();
    let explained = policy.rules.iter().map(|rule| {
        let verdict = verdicts.iter().find(|(name, _)| *name == rule.name).map(|(_, verdict)| verdict);
        one(policy, rule, verdict, &ruleset, subject)
    });
    Ok(explained.collect())
}

fn one(
    policy: &Policy,
    rule: &Rule,
    verdict: Option<&Verdict>,
    ruleset: &Ruleset,
    subject: &Subject<'_>,
) -> RuleExplained {
    let (outcome, message) = match verdict {
        Some(Verdict::Violated(found)) => (Outcome::Violated, found.message.clone()),
        Some(Verdict::Compliant) => (Outcome::Compliant, String::new()),
        Some(Verdict::Unknown(reason)) => (Outcome::Unknown, reason.clone()),
        Some(Verdict::NotApplicable) => {
            (Outcome::NotApplicable, format!("says nothing about this {}", subject.resource.kind().noun()))
        }
        None => (Outcome::NotApplicable, not_asked(policy, rule, subject)),
    };
    let (held, evidence) = match verdict {
        Some(Verdict::Violated(found)) => {
            let held = match &found.standing {
                Standing::Proven => None,
                Standing::Watching(reason) | Standing::ReportedOnly(reason) => Some(reason.clone()),
            };
            (held, found.evidence.clone())
        }
        _ => (None, Vec::new()),
    };
    let condition = match &rule.logic {
        Logic::Condition { condition, .. } if !rule.types.is_empty() => {
            OverInventory::bind(condition, &covered(rule, &Kind::ALL)).ok().map(|bound| bound.explain(subject))
        }
        _ => None,
    };
    let judged_by = match &rule.logic {
        Logic::Condition { polarity, .. } => polarity.word().to_owned(),
        Logic::Budget(_) => "budget".to_owned(),
        _ => ruleset.rule(&policy.name, &rule.name).map_or_else(|| "nothing".to_owned(), |own| own.check.id.to_owned()),
    };
    let (rule, severity) = (rule.name.clone(), rule.severity);
    RuleExplained { rule, judged_by, severity, outcome, message, held, evidence, condition }
}

/// Why a rule was not asked about the resource.
fn not_asked(policy: &Policy, rule: &Rule, subject: &Subject<'_>) -> String {
    let key = &subject.resource.key;
    let scope = &policy.scope;
    let off = [policy.mode, rule.mode].contains(&EnforcementMode::Disabled);
    let covers_kind = rule.types.is_empty() || rule.types.iter().any(|pattern| pattern.covers_kind(key.kind()));
    let missing_tag = scope.tags.iter().find(|(tag, value)| subject.resource.tag(tag) != Some(value.as_str()));
    match (&rule.logic, missing_tag) {
        _ if off => "switched off".into(),
        (Logic::Budget(_), _) => "judged on what was spent, not on one resource".into(),
        (Logic::Condition { .. }, _) if rule.types.is_empty() => {
            "judged on a caller's context, not on one resource".into()
        }
        (Logic::Databases(_), _) => "its resource type is not read yet".into(),
        (Logic::Network(_), _) => {
            "no listing tells bandwidth; it is asked about requests, by `costwarden evaluate`".into()
        }
        (Logic::Approval(_), _) => "it is asked about requests, by `costwarden evaluate`".into(),
        _ if !covers_kind => format!("not about resources of kind {}", key.kind().name()),
        _ if !scope.accounts.is_empty() && !scope.accounts.contains(key.account()) => {
            format!("account {} is outside its scope", key.account())
        }
        _ if !scope.regions.is_empty() && !scope.regions.contains(key.region()) => {
            format!("Region {} is outside its scope", key.region())
        }
        (_, Some((tag, value))) => format!("its scope asks for the tag {tag}={value}"),
        _ => "our own safety snapshots are exempt, or the rule is not about this kind".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::checks::testing::*;
    use crate::policy::expression::Condition;
    use crate::policy::{Polarity, Policy};

    /// A loaded policy whose rule judges by conditions in place of its check.
    fn policy(rules: &[(&str, Polarity, &str)]) -> Policy {
        let text = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: shape\nspec:\n  \
                    type: Waste\n  rules:\n    - name: r\n      check: unattached-volume\n";
        let mut policy =
            crate::policy::parse(Path::new("shape.yaml"), text, &crate::checks::infos()).unwrap().remove(0);
        let template = policy.rules.remove(0);
        for (name, polarity, text) in rules {
            let condition = Condition::compile(text).unwrap();
            let types = vec![crate::domain::rule::TypePattern("storage/*".into())];
            let logic = Logic::Condition { condition, polarity: *polarity };
            policy.rules.push(Rule { name: (*name).into(), types, logic, ..template.clone() });
        }
        policy
    }

    #[test]
    fn each_rule_is_explained_with_its_own_verdict_and_tree() {
        let bench = Bench::new();
        let policy = policy(&[
            ("big", Polarity::Violates, "volume.size_gib > 100 && resource.tags.env != 'prod'"),
            ("encrypted", Polarity::Requires, "volume.encrypted || volume.size_gib < 10"),
            ("dated", Polarity::Violates, "volume.unattached_days > 3"),
        ]);
        let disk = volume("vol-1", 200, "gp3");
        let options = EvaluateRules { tag_prefix: "costwarden:", refused: &|_, _| None };
        let explained = explain(&policy, &bench.subject(&disk, None, None), options).unwrap();
        let outcomes: Vec<_> =
            explained.iter().map(|rule| (rule.rule.as_str(), rule.judged_by.as_str(), rule.outcome)).collect();
        assert_eq!(
            outcomes,
            [
                ("big", "condition", Outcome::Violated),
                ("encrypted", "require", Outcome::Violated),
                ("dated", "condition", Outcome::Unknown),
            ]
        );
        insta::assert_snapshot!(explained[0].condition.as_ref().unwrap().tree(), @r###"
volume.size_gib > 100 && resource.tags.env != 'prod' → true
  volume.size_gib > 100 → true
    volume.size_gib → 200   from EC2 listing
  resource.tags.env != 'prod' → true
    resource.tags.env → null   from EC2 listing
"###);

        let vm = instance("i-1", "m5.large", 30);
        let other = explain(&policy, &bench.subject(&vm, None, None), options).unwrap();
        assert_eq!(
            (other[0].outcome, other[0].message.as_str()),
            (Outcome::NotApplicable, "not about resources of kind compute/instance")
        );
    }
}
