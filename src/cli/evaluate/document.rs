//! Answers as JSON, and as text for people.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answers;
use crate::cli::output::{SCHEMA_VERSION, table};
use crate::domain::finding::Severity;
use crate::domain::text::clean;
use crate::policy::decide::{Answer, Ruling, Violation};

/// What `evaluate -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct EvaluateDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The weightiest answer of all.
    pub answer: Answer,
    /// Whether everything may go on now.
    pub allowed: bool,
    /// One sentence.
    pub message: String,
    /// How many requests were judged.
    pub requests: usize,
    /// What they add to the bill in a month, as far as it is known; `null` when none was judged.
    pub monthly_usd: Option<f64>,
    /// Where prices come from.
    pub prices: &'a str,
    /// Requests whose cost is not known, which are not in `monthly_usd`.
    pub unpriced: Vec<Unpriced<'a>>,
    /// In the order of requests, policies, rules and checks; budgets last.
    pub violations: &'a [Violation],
    /// What leads to no more than a warning.
    pub warnings: &'a [String],
    /// Who may approve the requests.
    pub approvers: &'a [String],
    /// Contexts with what they meet.
    pub decisions: Vec<DecisionJson<'a>>,
    /// Resources of a plan that nothing here judges.
    pub not_judged: &'a [String],
    /// What a person should know about the reading.
    pub notes: &'a [String],
}

/// A request without a price.
#[derive(Serialize, JsonSchema)]
pub struct Unpriced<'a> {
    /// What people call it.
    pub resource: &'a str,
    /// Why there is none.
    pub reason: &'a str,
}

/// What one context meets.
#[derive(Serialize, JsonSchema)]
pub struct DecisionJson<'a> {
    /// Who wants what.
    pub context: &'a str,
    /// `allow`, `deny` or `require_approval`.
    pub result: &'static str,
    /// Why it is denied.
    pub reason: Option<&'a str>,
    /// Who may approve it.
    pub approvers: &'a [String],
    /// The status code of a middleware; `null` lets the request through.
    pub http_status: Option<u16>,
    /// In the order of the policies.
    pub violations: Vec<ViolatedPolicy<'a>>,
}

/// A policy that a context violates.
#[derive(Serialize, JsonSchema)]
pub struct ViolatedPolicy<'a> {
    /// Its id.
    pub policy_id: &'a str,
    /// What people call it.
    pub policy_name: &'a str,
    /// The rules, in the policy's order.
    pub violated_rules: &'a [String],
    /// What each rule says.
    pub reasons: &'a [String],
    /// Severity of the worst.
    pub severity: Severity,
}

impl<'a> EvaluateDocument<'a> {
    /// From the answers.
    pub fn of(answers: &'a Answers) -> EvaluateDocument<'a> {
        let judged = answers.judged.as_ref();
        EvaluateDocument {
            schema_version: SCHEMA_VERSION,
            answer: answers.worst(),
            allowed: answers.worst() <= Answer::Warn,
            message: answers.message(),
            requests: answers.requests,
            monthly_usd: judged.map(|judged| judged.adds.as_f64()),
            prices: &answers.prices,
            unpriced: judged
                .iter()
                .flat_map(|judged| &judged.unpriced)
                .map(|(resource, reason)| Unpriced { resource, reason })
                .collect(),
            violations: judged.map_or(&[], |judged| &judged.violations),
            warnings: judged.map_or(&[], |judged| &judged.warnings),
            approvers: judged.map_or(&[], |judged| &judged.approvers),
            decisions: answers.decisions.iter().map(|(context, said)| DecisionJson::of(context, said)).collect(),
            not_judged: &answers.not_judged,
            notes: &answers.notes,
        }
    }
}

impl<'a> DecisionJson<'a> {
    fn of(context: &'a str, said: &'a crate::policy::decide::Evaluation) -> DecisionJson<'a> {
        let (result, reason, approvers): (_, _, &[String]) = match &said.result {
            Ruling::Allow => ("allow", None, &[]),
            Ruling::Deny { reason } => ("deny", Some(reason.as_str()), &[]),
            Ruling::RequireApproval { approvers } => ("require_approval", None, approvers),
        };
        let violations = said.violations.iter().map(|violation| ViolatedPolicy {
            policy_id: &violation.policy_id,
            policy_name: &violation.policy_name,
            violated_rules: &violation.violated_rules,
            reasons: &violation.reasons,
            severity: violation.severity,
        });
        let http_status = said.result.http().map(|answer| answer.status);
        DecisionJson { context, result, reason, approvers, http_status, violations: violations.collect() }
    }
}

/// One violation as every layout shows it.
pub struct Line<'a> {
    /// Policy.
    pub policy: &'a str,
    /// Rule.
    pub rule: &'a str,
    /// Deny, wait or warn.
    pub effect: Answer,
    /// Severity.
    pub severity: Severity,
    /// On what; foreign text.
    pub resource: &'a str,
    /// One sentence; may quote foreign text.
    pub message: &'a str,
}

/// All violations, of requests first.
pub fn lines(answers: &Answers) -> Vec<Line<'_>> {
    let requests = answers.judged.iter().flat_map(|judged| &judged.violations).map(|violation| Line {
        policy: &violation.policy_name,
        rule: &violation.rule_name,
        effect: violation.effect,
        severity: violation.severity,
        resource: &violation.resource,
        message: &violation.message,
    });
    let contexts = answers.decisions.iter().flat_map(|(context, said)| {
        let effect = match said.result {
            Ruling::Allow => Answer::Warn,
            Ruling::Deny { .. } => Answer::Deny,
            Ruling::RequireApproval { .. } => Answer::RequireApproval,
        };
        said.violations.iter().flat_map(move |violation| {
            violation.violated_rules.iter().zip(&violation.reasons).map(move |(rule, reason)| Line {
                policy: &violation.policy_id,
                rule,
                effect,
                severity: violation.severity,
                resource: context,
                message: reason,
            })
        })
    });
    requests.chain(contexts).collect()
}

/// What the requests cost, in a sentence; `None` without requests.
pub fn cost(answers: &Answers) -> Option<String> {
    let judged = answers.judged.as_ref()?;
    let unpriced = match judged.unpriced.len() {
        0 => String::new(),
        1 => "; the cost of 1 more is not known".to_owned(),
        many => format!("; the cost of {many} more is not known"),
    };
    Some(format!("Adds {} a month at list prices{unpriced}.", judged.adds))
}

/// The answers for people.
pub fn text(answers: &Answers) -> String {
    let mut text = format!("{}\n", answers.message());
    let lines = lines(answers);
    if !lines.is_empty() {
        let rows = lines.iter().map(|line| {
            vec![
                line.effect.word().replace('_', " "),
                format!("{}/{}", line.policy, line.rule),
                line.resource.to_owned(),
                line.message.to_owned(),
            ]
        });
        text += &format!("\n{}", table(&["LEADS TO", "RULE", "ON", "WHY"], rows));
    }
    if let Some(cost) = cost(answers) {
        text += &format!("\n{cost} {}\n", clean(&answers.prices));
    }
    let judged = answers.judged.as_ref();
    for (resource, reason) in judged.iter().flat_map(|judged| &judged.unpriced) {
        text += &format!("  not priced: {} ({})\n", clean(resource), clean(reason));
    }
    for warning in beside(answers) {
        text += &format!("note: {}\n", clean(warning));
    }
    for address in &answers.not_judged {
        text += &format!("note: {} is judged by nothing here\n", clean(address));
    }
    text
}

/// Warnings that are no violation, and notes.
pub fn beside(answers: &Answers) -> impl Iterator<Item = &str> {
    let warned = answers.judged.iter().flat_map(|judged| {
        let shown = judged.violations.iter().filter(|violation| violation.effect == Answer::Warn).count();
        judged.warnings.iter().skip(shown)
    });
    warned.chain(&answers.notes).map(String::as_str)
}
