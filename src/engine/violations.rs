//! What is to be done about a violation of the decision point, and what many of them add up to. Pure.
//!
//! The order is S0's (M6): log, each action, metrics, remediation. Handlers are registered per policy type and asked
//! once for each violated rule (M7). Nothing here suspends or resets anybody: those are orders, which
//! `worker::violations` hands on and keeps as such.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::violation::{Level, RecordedViolation, Stage, ViolationState};
use crate::policy::decide::{Context, PolicyViolation};
use crate::policy::{Category, EnforcementMode, Policy, ViolationAction};

/// How long the summary looks back (M9).
const SUMMARY_DAYS: i64 = 7;
/// How many policies the summary names.
const TOP: usize = 10;

/// A change of more than this many percent is a trend (C8).
const TREND_PERCENT: f64 = 5.0;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// It is on file already: the log came first.
    Logged,
    /// Its level is noted.
    Classify(Level),
    /// Tell these.
    Alert(Vec<String>),
    /// The decision did it.
    Block,
    /// Ask these.
    AskApproval(Vec<String>),
    /// Order a suspension for so many minutes.
    Suspend(u64),
    /// Post to this address.
    Webhook(String),
    /// Alert operators, because of the level (M2).
    AlertOperators,
    /// Open an incident, because of the level (M2).
    Incident,
    /// Tell somebody, because of the level (M2).
    Notify,
    /// Metrics are computed from what is on file, so there is nothing to update.
    Metrics,
    /// Order a remedy for this rule; `None` when no handler knows the rule.
    Remedy(String, Option<Remedy>),
    /// Somebody looks at it again.
    Review,
}

/// What a handler orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The user has to set a new password.
    ForcePasswordReset,
    /// The user has to enrol a second factor.
    ForceMfaEnrolment,
    /// The account is locked and its user told.
    LockAndTell,
}

/// Knows remedies for rules of one policy type.
pub type Handler = fn(rule: &str) -> Option<Remedy>;

/// Handlers by policy type.
#[derive(Clone, Debug, Default)]
pub struct Handlers(BTreeMap<Category, Vec<Handler>>);

impl Handlers {
    /// Those of S0: Security knows three rules, whatever else there is has no remedy (M7).
    pub fn standard() -> Handlers {
        let mut handlers = Handlers::default();
        handlers.register(Category::Security, |rule| match rule {
            "password_expired" => Some(Remedy::ForcePasswordReset),
            "mfa_not_enabled" => Some(Remedy::ForceMfaEnrolment),
            "suspicious_login" => Some(Remedy::LockAndTell),
            _ => None,
        });
        handlers
    }

    /// One more handler for a type; the first that knows a rule is taken.
    pub fn register(&mut self, category: Category, handler: Handler) {
        self.0.entry(category).or_default().push(handler);
    }

    fn remedy(&self, category: Option<Category>, rule: &str) -> Option<Remedy> {
        self.0.get(&category?)?.iter().find_map(|handler| handler(rule))
    }
}

/// The record to keep of a violation.
pub fn record(violation: &PolicyViolation, context: &Context, now: Instant) -> RecordedViolation {
    RecordedViolation {
        id: 0,
        at: now,
        policy_id: violation.policy_id.clone(),
        policy_name: violation.policy_name.clone(),
        category: violation.category.map_or("", Category::word).to_owned(),
        severity: violation.severity,
        rules: violation.violated_rules.clone(),
        reasons: violation.reasons.clone(),
        user_id: context.user_id.clone(),
        context: context.shown(),
        state: ViolationState::Open,
    }
}

/// Everything to do about a violation, in order, with the stage of each.
///
/// Monitor tells and orders nothing: of its actions the log and the alerts are left, and no remedy is asked for.
pub fn todo(violation: &PolicyViolation, handlers: &Handlers) -> Vec<(Stage, Todo)> {
    let enforced = violation.mode == EnforcementMode::Enforce;
    let level = Level::from(violation.severity);
    let mut list = vec![(Stage::Detection, Todo::Logged), (Stage::Classification, Todo::Classify(level))];
    for action in &violation.actions {
        let todo = match action {
            ViolationAction::Log => Todo::Logged,
            ViolationAction::Alert { recipients } => Todo::Alert(recipients.clone()),
            _ if !enforced => continue,
            ViolationAction::Block => Todo::Block,
            ViolationAction::RequireApproval { approvers } => Todo::AskApproval(approvers.clone()),
            ViolationAction::Suspend { duration_minutes } => Todo::Suspend(*duration_minutes),
            ViolationAction::Webhook { url } => Todo::Webhook(url.clone()),
        };
        list.push((Stage::Action, todo));
    }
    match level {
        Level::Critical => {
            list.extend([(Stage::Notification, Todo::AlertOperators), (Stage::Notification, Todo::Incident)])
        }
        Level::Warning => list.push((Stage::Notification, Todo::Notify)),
        Level::Info => {}
    }
    list.push((Stage::Remediation, Todo::Metrics));
    if enforced {
        for rule in &violation.certain {
            let remedy = handlers.remedy(violation.category, rule);
            list.push((Stage::Remediation, Todo::Remedy(rule.clone(), remedy)));
        }
    }
    list.push((Stage::Review, Todo::Review));
    list
}

/// M1's ten figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComplianceMetrics {
    /// 0 to 100: policies in force without a violation in the last 24 hours, of all in force; `None` without policies.
    pub compliance_score: Option<f64>,
    /// Policies over contexts that are in force.
    pub active_policies: u64,
    /// The same score for each type that has a policy in force.
    pub compliance_by_type: BTreeMap<Category, f64>,
    /// Violations in the last 24 hours.
    pub violations_24h: u64,
    /// Of them, critical.
    pub critical_violations: u64,
    /// Of them, warnings.
    pub warning_violations: u64,
    /// Of them, infos.
    pub info_violations: u64,
    /// Of them, by policy id.
    pub violations_by_policy: BTreeMap<String, u64>,
    /// Against the 24 hours before: more than 5 % fewer is improving, more than 5 % more declining (C8).
    pub trend: Trend,
    /// When it was computed.
    pub updated_at: Instant,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// Fewer.
    Improving,
    /// More.
    Declining,
    /// About as many.
    Stable,
}

/// The metrics at `now` (M1). S0 gives no formula for its score; this is S1's, over policies in place of resources.
pub fn metrics(policies: &[Policy], violations: &[RecordedViolation], now: Instant) -> ComplianceMetrics {
    let within = |from: i64, to: i64| {
        let (from, to) = (now - TimeDelta::hours(from), now - TimeDelta::hours(to));
        violations.iter().filter(move |violation| violation.at > from && violation.at <= to)
    };
    let recent: Vec<&RecordedViolation> = within(24, 0).collect();
    let mut by_policy = BTreeMap::new();
    for violation in &recent {
        *by_policy.entry(violation.policy_id.clone()).or_insert(0_u64) += 1;
    }
    let active: Vec<&Policy> = policies
        .iter()
        .filter(|policy| policy.is_over_contexts() && policy.mode != EnforcementMode::Disabled)
        .collect();
    let score = |policies: &[&Policy]| {
        let clean = policies.iter().filter(|policy| !by_policy.contains_key(&policy.name)).count();
        (!policies.is_empty()).then(|| (clean as f64 * 10_000.0 / policies.len() as f64).round() / 100.0)
    };
    let by_type = Category::ALL.into_iter().filter_map(|category| {
        let own: Vec<&Policy> = active.iter().copied().filter(|policy| policy.category == Some(category)).collect();
        Some((category, score(&own)?))
    });
    let count =
        |level: Level| recent.iter().filter(|violation| Level::from(violation.severity) == level).count() as u64;
    ComplianceMetrics {
        compliance_score: score(&active),
        active_policies: active.len() as u64,
        compliance_by_type: by_type.collect(),
        violations_24h: recent.len() as u64,
        critical_violations: count(Level::Critical),
        warning_violations: count(Level::Warning),
        info_violations: count(Level::Info),
        trend: trend(within(48, 24).count(), recent.len()),
        violations_by_policy: by_policy,
        updated_at: now,
    }
}

fn trend(previous: usize, current: usize) -> Trend {
    let change = match (previous, current) {
        (0, 0) => 0.0,
        (0, _) => 100.0,
        _ => (current as f64 - previous as f64) / previous as f64 * 100.0,
    };
    match change {
        _ if change < -TREND_PERCENT => Trend::Improving,
        _ if change > TREND_PERCENT => Trend::Declining,
        _ => Trend::Stable,
    }
}

/// M9's summary of the last seven days.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViolationSummary {
    /// First instant of the window, included.
    pub from: Instant,
    /// Last instant, included.
    pub to: Instant,
    /// All.
    pub total: u64,
    /// Critical ones.
    pub critical: u64,
    /// Warnings.
    pub warning: u64,
    /// Infos.
    pub info: u64,
    /// The ten policies with most, most first, then by id.
    pub top_policies: Vec<(String, u64)>,
    /// Settled.
    pub resolved: u64,
    /// Under way.
    pub in_progress: u64,
    /// Neither.
    pub open: u64,
}

/// The summary at `now` (M9).
pub fn summary(violations: &[RecordedViolation], now: Instant) -> ViolationSummary {
    let from = now - TimeDelta::days(SUMMARY_DAYS);
    let mine: Vec<&RecordedViolation> = violations.iter().filter(|v| v.at >= from && v.at <= now).collect();
    let level = |level: Level| mine.iter().filter(|violation| Level::from(violation.severity) == level).count() as u64;
    let state = |state: ViolationState| mine.iter().filter(|violation| violation.state == state).count() as u64;
    let mut by_policy: BTreeMap<&str, u64> = BTreeMap::new();
    for violation in &mine {
        *by_policy.entry(&violation.policy_id).or_default() += 1;
    }
    let mut top: Vec<(String, u64)> = by_policy.into_iter().map(|(id, count)| (id.to_owned(), count)).collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top.truncate(TOP);
    ViolationSummary {
        from,
        to: now,
        total: mine.len() as u64,
        critical: level(Level::Critical),
        warning: level(Level::Warning),
        info: level(Level::Info),
        top_policies: top,
        resolved: state(ViolationState::Resolved),
        in_progress: state(ViolationState::InProgress),
        open: state(ViolationState::Open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Severity;

    fn violation(severity: Severity, rules: &[&str], actions: Vec<ViolationAction>) -> PolicyViolation {
        PolicyViolation {
            policy_id: "p".into(),
            policy_name: "P".into(),
            violated_rules: rules.iter().map(|rule| (*rule).into()).collect(),
            severity,
            category: Some(Category::Security),
            mode: EnforcementMode::Enforce,
            reasons: rules.iter().map(|rule| format!("{rule} is bad")).collect(),
            actions,
            certain: rules.iter().map(|rule| (*rule).into()).collect(),
        }
    }

    fn at(hours_ago: i64, policy: &str, severity: Severity, state: ViolationState) -> RecordedViolation {
        let mut record =
            record(&violation(severity, &["r"], vec![]), &Context::new("a", "b"), now() - TimeDelta::hours(hours_ago));
        record.policy_id = policy.into();
        record.state = state;
        record
    }

    fn now() -> Instant {
        "2026-11-22T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn m5_and_m6_the_order_is_log_actions_metrics_remediation_with_a_stage_each() {
        let found = violation(
            Severity::Low,
            &["password_expired", "other"],
            vec![
                ViolationAction::Log,
                ViolationAction::Alert { recipients: vec!["a@example.com".into()] },
                ViolationAction::Block,
                ViolationAction::RequireApproval { approvers: vec!["ann".into()] },
                ViolationAction::Suspend { duration_minutes: 30 },
                ViolationAction::Webhook { url: "https://x.example/h".into() },
            ],
        );
        assert_eq!(
            todo(&found, &Handlers::standard()),
            [
                (Stage::Detection, Todo::Logged),
                (Stage::Classification, Todo::Classify(Level::Info)),
                (Stage::Action, Todo::Logged),
                (Stage::Action, Todo::Alert(vec!["a@example.com".into()])),
                (Stage::Action, Todo::Block),
                (Stage::Action, Todo::AskApproval(vec!["ann".into()])),
                (Stage::Action, Todo::Suspend(30)),
                (Stage::Action, Todo::Webhook("https://x.example/h".into())),
                (Stage::Remediation, Todo::Metrics),
                (Stage::Remediation, Todo::Remedy("password_expired".into(), Some(Remedy::ForcePasswordReset))),
                (Stage::Remediation, Todo::Remedy("other".into(), None)),
                (Stage::Review, Todo::Review),
            ]
        );
        let monitored = PolicyViolation { mode: EnforcementMode::Monitor, ..found };
        let left: Vec<Todo> = todo(&monitored, &Handlers::standard()).into_iter().map(|(_, todo)| todo).collect();
        assert_eq!(
            left,
            [
                Todo::Logged,
                Todo::Classify(Level::Info),
                Todo::Logged,
                Todo::Alert(vec!["a@example.com".into()]),
                Todo::Metrics,
                Todo::Review
            ]
        );
    }

    #[test]
    fn m2_critical_alerts_and_opens_an_incident_warning_tells_and_info_only_logs() {
        let told = |severity: Severity| -> Vec<Todo> {
            let list = todo(&violation(severity, &["r"], vec![]), &Handlers::default());
            list.into_iter().filter(|(stage, _)| *stage == Stage::Notification).map(|(_, todo)| todo).collect()
        };
        assert_eq!(told(Severity::Critical), [Todo::AlertOperators, Todo::Incident]);
        assert_eq!((told(Severity::High), told(Severity::Medium)), (vec![Todo::Notify], vec![Todo::Notify]));
        assert_eq!(told(Severity::Low), []);
    }

    #[test]
    fn m7_security_knows_three_rules_once_each_and_other_types_and_rules_are_no_ops() {
        let mut handlers = Handlers::standard();
        let remedies = |handlers: &Handlers, category: Category, rules: &[&str]| -> Vec<Option<Remedy>> {
            let found = PolicyViolation { category: Some(category), ..violation(Severity::Low, rules, vec![]) };
            let list = todo(&found, handlers).into_iter();
            list.filter_map(|(_, todo)| if let Todo::Remedy(_, remedy) = todo { Some(remedy) } else { None }).collect()
        };
        let rules = ["password_expired", "mfa_not_enabled", "suspicious_login", "else"];
        let known =
            [Some(Remedy::ForcePasswordReset), Some(Remedy::ForceMfaEnrolment), Some(Remedy::LockAndTell), None];
        assert_eq!(remedies(&handlers, Category::Security, &rules), known);
        assert_eq!(remedies(&handlers, Category::Usage, &rules), [None; 4]);
        handlers.register(Category::Usage, |rule| (rule == "else").then_some(Remedy::LockAndTell));
        assert_eq!(remedies(&handlers, Category::Usage, &rules)[3], Some(Remedy::LockAndTell));
    }

    #[test]
    fn m1_ten_figures_over_the_last_day_and_a_trend_against_the_day_before() {
        use Severity::{Critical, High, Low, Medium};
        let seeds: Vec<Policy> = [
            ("a.json", include_str!("../../fixtures/policies/seeds/mfa.json")),
            ("b.yaml", include_str!("../../fixtures/policies/seeds/budget.yaml")),
            ("c.toml", include_str!("../../fixtures/policies/seeds/password.toml")),
        ]
        .iter()
        .flat_map(|(name, text)| crate::policy::parse(std::path::Path::new(name), text, &[]).unwrap())
        .collect();
        let open = ViolationState::Open;
        let list = [
            at(1, "policy_budget_001", Critical, open),
            at(2, "policy_budget_001", High, open),
            at(3, "policy_budget_001", Medium, open),
            at(23, "gone", Low, open),
            at(24, "policy_password_001", Critical, open),
            at(30, "x", Low, open),
            at(48, "x", Low, open),
        ];
        let found = metrics(&seeds, &list, now());
        assert_eq!((found.active_policies, found.compliance_score), (3, Some(66.67)));
        let by_type = BTreeMap::from([(Category::Security, 100.0), (Category::Usage, 0.0)]);
        assert_eq!(found.compliance_by_type, by_type);
        let counts = (found.violations_24h, found.critical_violations, found.warning_violations, found.info_violations);
        assert_eq!(counts, (4, 1, 2, 1));
        assert_eq!(
            found.violations_by_policy,
            BTreeMap::from([("gone".to_owned(), 1), ("policy_budget_001".to_owned(), 3)])
        );
        assert_eq!((found.trend, found.updated_at), (Trend::Declining, now()));
        assert_eq!(metrics(&[], &[], now()).compliance_score, None, "no policy, no score");
        assert_eq!(
            (trend(100, 95), trend(100, 94), trend(100, 105), trend(100, 106), trend(0, 0)),
            (Trend::Stable, Trend::Improving, Trend::Stable, Trend::Declining, Trend::Stable)
        );
    }

    #[test]
    fn m9_the_summary_holds_seven_days_ten_policies_and_what_became_of_them() {
        let mut list: Vec<RecordedViolation> =
            (0..12).map(|index| at(1, &format!("p{index:02}"), Severity::Low, ViolationState::Open)).collect();
        list.push(at(2, "p11", Severity::Critical, ViolationState::Resolved));
        list.push(at(7 * 24, "p10", Severity::High, ViolationState::InProgress));
        list.push(at(7 * 24 + 1, "p10", Severity::High, ViolationState::Open));
        let found = summary(&list, now());
        assert_eq!((found.total, found.critical, found.warning, found.info), (14, 1, 1, 12));
        assert_eq!((found.resolved, found.in_progress, found.open), (1, 1, 12));
        assert_eq!(found.top_policies.len(), 10);
        assert_eq!(found.top_policies[..3], [("p10".into(), 2), ("p11".into(), 2), ("p00".into(), 1)]);
    }
}
