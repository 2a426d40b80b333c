//! Policies compiled into judges, ready to be asked about a hundred thousand resources.
//!
//! Called once per scan. Disabled rules are left out; rules on kinds that are not read are listed as such. A Monitor
//! rule keeps its judge and loses its act: what it finds is told and never acted on.

use std::collections::BTreeMap;
use std::fmt;

use super::condition;
use crate::checks::{self, Judge, off_hours_instance, oversized_instance, oversized_volume, required_tags};
use crate::domain::budget::BudgetRule;
use crate::domain::check::{CheckInfo, Params};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::{AccountId, Kind};
use crate::domain::resource::Resource;
use crate::domain::text::Str;
use crate::policy::{ActApproval, EnforcementMode, Logic, Policy, PolicyScope, Rule};

/// All rules in force.
pub struct Ruleset {
    rules: Vec<CompiledRule>,
    /// Budget rules with their policy's and their own name.
    pub budgets: Vec<(String, String, BudgetRule)>,
    /// Hash of each policy that is not disabled as a whole, by name.
    pub hashes: BTreeMap<String, String>,
    /// Rules that load but cannot be judged by this version, in words.
    pub not_evaluated: Vec<String>,
}

/// One rule with its judge.
pub struct CompiledRule {
    /// The policy's name.
    pub policy: Str,
    /// The policy's hash.
    pub policy_hash: Str,
    /// The policy's version under the life cycle.
    pub policy_version: Option<Str>,
    /// The rule's name.
    pub rule: Str,
    /// The check behind it.
    pub check: &'static CheckInfo,
    /// Kinds that it covers.
    pub kinds: Vec<Kind>,
    /// Severity.
    pub severity: Severity,
    /// What is recommended; `notify` for Monitor rules.
    pub action: Action,
    /// The grace period in place of the severity's, in hours.
    pub grace_hours: Option<i64>,
    /// Whose word an act needs first.
    pub approval: Option<ActApproval>,
    /// The check's parameters, for rules that have them.
    pub params: Option<Params>,
    scope: PolicyScope,
    judge: Box<dyn Judge>,
}

/// A policy that cannot be compiled. The loader refuses such documents, so this names a bug or a foreign model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy:?}, rule {rule:?}: {reason}")]
pub struct CompileError {
    policy: String,
    rule: String,
    reason: String,
}

impl Ruleset {
    /// Compiles policies in their given order.
    pub fn compile(policies: &[Policy]) -> Result<Ruleset, CompileError> {
        let mut set =
            Ruleset { rules: Vec::new(), budgets: Vec::new(), hashes: BTreeMap::new(), not_evaluated: Vec::new() };
        for policy in policies.iter().filter(|policy| policy.mode != EnforcementMode::Disabled) {
            set.hashes.insert(policy.name.clone(), policy.hash.clone());
            for rule in policy.rules.iter().filter(|rule| rule.mode != EnforcementMode::Disabled) {
                set.add(policy, rule)?;
            }
        }
        Ok(set)
    }

    /// Rules that cover a resource.
    pub fn covering<'r, 's>(&'r self, resource: &'s Resource) -> impl Iterator<Item = &'r CompiledRule> + use<'r, 's> {
        self.rules.iter().filter(move |rule| rule.covers(resource))
    }

    /// The rule with these names.
    pub fn rule(&self, policy: &str, rule: &str) -> Option<&CompiledRule> {
        self.rules.iter().find(|own| &*own.policy == policy && &*own.rule == rule)
    }

    /// All rules.
    pub fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// How many days of metrics the rules need; `None` when none needs any.
    pub fn usage_days(&self) -> Option<u32> {
        self.rules.iter().filter(|rule| rule.check.needs_usage).filter_map(|rule| rule.judge.usage_days()).max()
    }

    /// Policies that have at least one rule of their own or a budget, sorted.
    pub fn policy_names(&self) -> Vec<&str> {
        self.hashes.keys().map(String::as_str).collect()
    }

    fn add(&mut self, policy: &Policy, rule: &Rule) -> Result<(), CompileError> {
        let bad = |reason: String| CompileError { policy: policy.name.clone(), rule: rule.name.clone(), reason };
        let (check, judge): (&'static CheckInfo, Box<dyn Judge>) = match &rule.logic {
            Logic::Instances(limit) => (&oversized_instance::INFO, oversized_instance::build(limit)),
            Logic::Volumes(limit) => (&oversized_volume::INFO, oversized_volume::build(limit)),
            Logic::Tags(tags) => (&required_tags::INFO, required_tags::build(tags)),
            Logic::Check { check, params } => {
                let found = checks::find(check).ok_or_else(|| bad(format!("there is no check {check:?}")))?;
                let build = found.build.ok_or_else(|| bad(format!("check {check:?} takes no parameters")))?;
                (found.info, build(params))
            }
            Logic::Schedule(schedule) => {
                if let Some(file) = &schedule.calendar {
                    return Err(bad(format!("its calendar {} was not read", file.display())));
                }
                (&off_hours_instance::INFO, off_hours_instance::build(schedule))
            }
            Logic::Approval(_) => return Ok(()),
            Logic::Budget(budget) => {
                self.budgets.push((policy.name.clone(), rule.name.clone(), budget.clone()));
                return Ok(());
            }
            // Rules without types are about callers' contexts: the decision point's matter.
            Logic::Condition { .. } if rule.types.is_empty() => return Ok(()),
            Logic::Condition { condition, polarity } => {
                condition::build(condition, *polarity, &covered(rule, &Kind::ALL), rule.title.as_deref(), rule.action)
                    .map_err(|error| bad(error.to_string()))?
            }
            Logic::Network(_) => {
                self.not_evaluated.push(format!(
                    "policy {}, rule {}: no listing tells network bandwidth; requests are held to it",
                    policy.name, rule.name
                ));
                return Ok(());
            }
            Logic::Databases(_) => {
                let types: Vec<&str> = rule.types.iter().map(|pattern| pattern.0.as_str()).collect();
                self.not_evaluated.push(format!(
                    "policy {}, rule {}: {} is not read yet",
                    policy.name,
                    rule.name,
                    types.join(", ")
                ));
                return Ok(());
            }
        };
        let kinds = covered(rule, check.kinds);
        if kinds.is_empty() {
            self.not_evaluated.push(format!("policy {}, rule {}: covers no kind that is read", policy.name, rule.name));
            return Ok(());
        }
        self.rules.push(CompiledRule {
            policy: Str::from(policy.name.as_str()),
            policy_hash: Str::from(policy.hash.as_str()),
            policy_version: policy.version.as_deref().map(Str::from),
            rule: Str::from(rule.name.as_str()),
            check,
            kinds,
            severity: rule.severity,
            action: if rule.mode == EnforcementMode::Monitor || policy.mode == EnforcementMode::Monitor {
                monitored(rule.action)
            } else {
                rule.action
            },
            approval: policy.approval.clone(),
            // Whole hours; a part of one is given to the owner.
            grace_hours: rule.grace.map(|grace| (grace.num_minutes() + 59) / 60),
            params: match &rule.logic {
                Logic::Check { params, .. } => Some(params.clone()),
                _ => None,
            },
            scope: policy.scope.clone(),
            judge,
        });
        Ok(())
    }
}

/// Those of some kinds that a rule is about.
pub(super) fn covered(rule: &Rule, kinds: &[Kind]) -> Vec<Kind> {
    let covers = |kind: Kind| rule.types.is_empty() || rule.types.iter().any(|pattern| pattern.covers_kind(kind));
    kinds.iter().copied().filter(|kind| covers(*kind)).collect()
}

/// Monitor tells and never acts; what was only listed stays listed.
fn monitored(action: Action) -> Action {
    match action {
        Action::Report => Action::Report,
        _ => Action::Notify,
    }
}

impl CompiledRule {
    /// The judge.
    pub fn judge(&self) -> &dyn Judge {
        &*self.judge
    }

    /// Whether it is about resources of an account at all.
    pub fn is_for_account(&self, account: &AccountId) -> bool {
        self.scope.accounts.is_empty() || self.scope.accounts.contains(account)
    }

    fn covers(&self, resource: &Resource) -> bool {
        let key = &resource.key;
        self.kinds.contains(&key.kind())
            && self.is_for_account(key.account())
            && (self.scope.regions.is_empty() || self.scope.regions.contains(key.region()))
            // With unknown tags a tag scope cannot be told; the rule does not apply rather than guess.
            && self.scope.tags.iter().all(|(tag, value)| resource.tag(tag) == Some(value.as_str()))
    }
}

impl fmt::Debug for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ruleset")
            .field("rules", &self.rules.iter().map(|rule| (&rule.policy, &rule.rule)).collect::<Vec<_>>())
            .field("budgets", &self.budgets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_a_grace_period_in_minutes_is_never_shortened() {
        for (text, hours) in [("30m", 1), ("90m", 2), ("2h", 2), ("121m", 3), ("7d", 168)] {
            let document = format!(
                "metadata: {{name: p}}\ntype: TagRequirement\ngrace: {text}\nrules:\n  - {{name: r, requiredTags: [{{key: a}}]}}\n"
            );
            let policies = crate::policy::parse(std::path::Path::new("p.yaml"), &document, &[]).unwrap();
            assert_eq!(Ruleset::compile(&policies).unwrap().rules()[0].grace_hours, Some(hours), "{text}");
        }
    }
}
