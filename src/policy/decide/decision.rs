//! The decision over a context: allow, deny, or wait for approval, with every violation (E2).
//!
//! All policies that reach the context are evaluated, none stops the others. Deny outweighs approval, approval outweighs
//! allow. Monitor lists and never blocks; what is switched off is skipped. In Enforce, an answer that hangs on an
//! unknown denies with the reason. The decision cannot be had without its violations having been logged first:
//! [`decide`] returns [`Undisclosed`], and only [`Undisclosed::logged`] opens it (E3).

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::context::Context;
use crate::domain::finding::Severity;
use crate::domain::text::clean;
use crate::policy::expression::{Facts, Truth};
use crate::policy::{Category, EnforcementMode, Logic, Polarity, Policy, Rule, ViolationAction};

/// What the decision point answers. Two answers compare with `==` (E6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Ruling {
    /// It may go on.
    Allow,
    /// It may not.
    Deny {
        /// Why, for the person who asked.
        reason: String,
    },
    /// It waits.
    RequireApproval {
        /// Who may say yes, each once.
        approvers: Vec<String>,
    },
}

/// One policy that is violated (E5).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyViolation {
    /// The policy's id.
    pub policy_id: String,
    /// What people call it.
    pub policy_name: String,
    /// The rules, in the policy's order.
    pub violated_rules: Vec<String>,
    /// Severity of the worst of them.
    pub severity: Severity,
    /// S0's type, which remediation handlers are registered for.
    pub category: Option<Category>,
    /// Enforce or Monitor.
    pub mode: EnforcementMode,
    /// What each rule says, in the same order.
    pub reasons: Vec<String>,
    /// What follows, each once, in the rules' order.
    pub actions: Vec<ViolationAction>,
    /// Of the rules, those that are violated for certain and enforced: nothing is ordered about people over the others.
    #[serde(skip)]
    pub certain: Vec<String>,
}

/// What one policy says (E5): S0 reads both `result` and `compliant` of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyEvaluation {
    /// What it alone would answer.
    #[serde(flatten)]
    pub result: Ruling,
    /// No rule is violated, and none hangs on an unknown.
    pub compliant: bool,
    /// Rules that are violated, or hang on an unknown.
    pub violated_rules: Vec<String>,
    /// The violation, when there is one.
    pub violation: Option<PolicyViolation>,
}

/// The decision and everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The answer.
    #[serde(flatten)]
    pub result: Ruling,
    /// In the order of the policies.
    pub violations: Vec<PolicyViolation>,
}

/// A decision whose violations are still to be logged.
#[derive(Debug)]
#[must_use = "a decision is had by logging its violations"]
pub struct Undisclosed(Evaluation);

impl Undisclosed {
    /// Hands every violation to the log, then gives the decision out. When the log fails there is no decision, and the
    /// caller has to refuse.
    ///
    /// # Errors
    /// Whatever the log says.
    pub fn logged<E>(self, mut log: impl FnMut(&PolicyViolation) -> Result<(), E>) -> Result<Evaluation, E> {
        self.0.violations.iter().try_for_each(&mut log)?;
        Ok(self.0)
    }
}

/// Asks all policies that reach a context.
pub fn decide(policies: &[Policy], context: &Context) -> Undisclosed {
    let (mut tally, mut violations) = (Tally::default(), Vec::new());
    let facts = context.facts();
    for policy in policies.iter().filter(|policy| context.reached_by(policy)) {
        let said = match &facts {
            Ok(facts) => evaluate_policy(policy, facts),
            Err(problem) => refused(policy, problem),
        };
        tally.add(said.result);
        violations.extend(said.violation);
    }
    Undisclosed(Evaluation { result: tally.ruling(), violations })
}

/// What one policy says about facts. A policy that is switched off is compliant.
pub fn evaluate_policy(policy: &Policy, facts: &Facts) -> PolicyEvaluation {
    let mut said = Said::default();
    if policy.mode != EnforcementMode::Disabled {
        for rule in policy.rules.iter().filter(|rule| rule.mode != EnforcementMode::Disabled) {
            let Logic::Condition { condition, polarity } = &rule.logic else { continue };
            let truth = condition.evaluate(facts);
            match (truth, polarity) {
                (Truth::True, Polarity::Violates) | (Truth::False, Polarity::Requires) => said.violated(policy, rule),
                (Truth::False, Polarity::Violates) | (Truth::True, Polarity::Requires) => {}
                (Truth::NoRoot(_), _) => {}
                (Truth::Unknown(why), _) => said.unknown(policy, rule, &why),
            }
        }
    }
    said.finish(policy)
}

/// What a policy says when nothing could be evaluated: in Enforce that denies (E4).
fn refused(policy: &Policy, problem: &str) -> PolicyEvaluation {
    let mut said = Said::default();
    if policy.mode != EnforcementMode::Disabled {
        for rule in policy.rules.iter().filter(|rule| rule.mode != EnforcementMode::Disabled) {
            said.unknown(policy, rule, problem);
        }
    }
    said.finish(policy)
}

/// The rules of one policy, as they are gone through.
#[derive(Default)]
struct Said {
    rules: Vec<String>,
    certain: Vec<String>,
    reasons: Vec<String>,
    actions: Vec<ViolationAction>,
    known_actions: HashSet<ViolationAction>,
    severity: Option<Severity>,
    tally: Tally,
}

impl Said {
    fn violated(&mut self, policy: &Policy, rule: &Rule) {
        let reason = rule.title.as_deref().map_or_else(|| format!("rule {} is violated", rule.name), clean);
        let actions = policy.actions_of(rule);
        let enforced = enforced(policy, rule);
        if enforced {
            self.certain.push(rule.name.clone());
            for action in actions {
                match action {
                    ViolationAction::Block => self.tally.add(Ruling::Deny { reason: reason.clone() }),
                    ViolationAction::RequireApproval { approvers } => {
                        self.tally.add(Ruling::RequireApproval { approvers: approvers.clone() });
                    }
                    ViolationAction::Log
                    | ViolationAction::Alert { .. }
                    | ViolationAction::Suspend { .. }
                    | ViolationAction::Webhook { .. } => {}
                }
            }
        }
        // A rule that only monitors tells, whatever its policy does.
        let tells = |action: &&ViolationAction| matches!(action, ViolationAction::Log | ViolationAction::Alert { .. });
        let hold = |action: &&ViolationAction| enforced || policy.mode != EnforcementMode::Enforce || tells(action);
        self.note(rule, reason, actions.iter().filter(hold));
    }

    fn unknown(&mut self, policy: &Policy, rule: &Rule, why: &str) {
        let reason = format!("rule {} cannot be decided: {}", rule.name, clean(why));
        if enforced(policy, rule) {
            self.tally.add(Ruling::Deny { reason: reason.clone() });
        }
        // Nobody is suspended or asked for approval over what is not known; it is logged.
        self.note(rule, reason, std::iter::empty());
    }

    fn note<'a>(&mut self, rule: &Rule, reason: String, actions: impl Iterator<Item = &'a ViolationAction>) {
        self.rules.push(rule.name.clone());
        self.reasons.push(reason);
        self.severity = self.severity.max(Some(rule.severity));
        for action in actions {
            if self.known_actions.insert(action.clone()) {
                self.actions.push(action.clone());
            }
        }
    }

    fn finish(self, policy: &Policy) -> PolicyEvaluation {
        let violation = self.severity.map(|severity| PolicyViolation {
            policy_id: policy.name.clone(),
            policy_name: policy.title.clone().unwrap_or_else(|| policy.name.clone()),
            violated_rules: self.rules.clone(),
            severity,
            category: policy.category,
            mode: policy.mode,
            reasons: self.reasons,
            actions: self.actions,
            certain: self.certain,
        });
        PolicyEvaluation {
            result: self.tally.ruling(),
            compliant: violation.is_none(),
            violated_rules: self.rules,
            violation,
        }
    }
}

fn enforced(policy: &Policy, rule: &Rule) -> bool {
    policy.mode == EnforcementMode::Enforce && rule.mode == EnforcementMode::Enforce
}

/// Rulings added up: deny over approval over allow. Reasons and approvers add up too, each once, in their order.
#[derive(Default)]
struct Tally {
    denied: bool,
    reasons: Vec<String>,
    waits: bool,
    approvers: Vec<String>,
    known: HashSet<String>,
}

impl Tally {
    fn add(&mut self, ruling: Ruling) {
        match ruling {
            Ruling::Allow => {}
            Ruling::Deny { reason } => {
                self.denied = true;
                if self.known.insert(format!("reason {reason}")) {
                    self.reasons.push(reason);
                }
            }
            Ruling::RequireApproval { approvers } => {
                self.waits = true;
                for approver in approvers {
                    if self.known.insert(format!("approver {approver}")) {
                        self.approvers.push(approver);
                    }
                }
            }
        }
    }

    fn ruling(self) -> Ruling {
        match (self.denied, self.waits) {
            (true, _) => Ruling::Deny { reason: self.reasons.join("; ") },
            (false, true) => Ruling::RequireApproval { approvers: self.approvers },
            (false, false) => Ruling::Allow,
        }
    }
}

/// What a middleware answers with (E4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
}

impl Ruling {
    /// The answer of a middleware; `None` lets the request through.
    pub fn http(&self) -> Option<HttpAnswer> {
        match self {
            Ruling::Allow => None,
            Ruling::Deny { reason } => {
                Some(HttpAnswer { status: 403, body: json!({ "status": "denied", "reason": reason }) })
            }
            Ruling::RequireApproval { approvers } => {
                let body = json!({ "status": "pending_approval", "approvers": approvers });
                Some(HttpAnswer { status: 202, body })
            }
        }
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
