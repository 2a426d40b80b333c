//! The report on exceptions (N9): how many of each sort, what ends soon, what needs a review, and what they cost.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::exception::{ExceptionRecord, ExceptionStatus, ExceptionType};
use crate::domain::finding::{Finding, State};
use crate::domain::person::same_name;
use crate::domain::text::clean;

/// Which exceptions are meant; everything where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As of now.
    pub status: Option<ExceptionStatus>,
    /// The policy's name.
    pub policy_name: Option<String>,
    /// Who asked, whatever the case.
    pub requested_by: Option<String>,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ExceptionReport {
    /// Version of this shape.
    pub schema_version: u32,
    /// How many.
    pub total: usize,
    /// By status, as of `generated_at`.
    pub by_status: BTreeMap<&'static str, usize>,
    /// By policy.
    pub by_policy: BTreeMap<String, usize>,
    /// By type.
    pub by_type: BTreeMap<&'static str, usize>,
    /// In force, and over within seven days.
    pub expiring_soon: Vec<ExceptionJson>,
    /// Past their last instant, as of `generated_at`.
    pub expired: Vec<ExceptionJson>,
    /// In force, and the review is overdue.
    pub needing_review: Vec<ExceptionJson>,
    /// Dollars a month that those in force keep from being saved; `null` where a price is not known.
    pub total_cost_excepted: Option<f64>,
    /// When.
    pub generated_at: Instant,
}

/// One exception (N10), with its type, reason and cost.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ExceptionJson {
    /// A UUID.
    pub id: String,
    /// For example `vol-0a1b`.
    pub resource_id: String,
    /// The policy's name.
    pub policy_name: String,
    /// The rule's name.
    pub rule_name: String,
    /// As of now.
    pub status: ExceptionStatus,
    /// The last instant by its date; `null` for one without.
    pub expires_at: Option<Instant>,
    /// Who asked.
    pub requested_by: String,
    /// Who granted it.
    pub approved_by: Option<String>,
    /// Account id.
    pub account: String,
    /// What ends it.
    pub exception_type: ExceptionType,
    /// Why.
    pub justification: String,
    /// The last instant at which it holds unless somebody reviews or renews it.
    pub holds_through: Option<Instant>,
    /// Its review is overdue.
    pub overdue: bool,
    /// Dollars a month that it keeps from being saved; `null` when it covers nothing now or a price is not known.
    pub monthly_usd: Option<f64>,
}

/// How long before its end an exception is said to end soon (N9).
const SOON: TimeDelta = TimeDelta::days(7);

impl Filter {
    /// Whether an exception is meant.
    pub fn takes(&self, record: &ExceptionRecord, now: Instant) -> bool {
        self.status.is_none_or(|status| record.status_at(now) == status)
            && self.policy_name.as_ref().is_none_or(|name| *name == record.policy_name)
            && self.requested_by.as_ref().is_none_or(|who| same_name(who, &record.requested_by))
    }
}

impl ExceptionJson {
    /// As of an instant; `findings` are those that may be covered.
    pub fn of(record: &ExceptionRecord, findings: &[Finding], now: Instant) -> ExceptionJson {
        ExceptionJson {
            id: record.id.clone(),
            resource_id: record.resource_id.clone(),
            policy_name: record.policy_name.clone(),
            rule_name: record.rule_name.clone(),
            status: record.status_at(now),
            expires_at: record.expires_at,
            requested_by: record.requested_by.clone(),
            approved_by: record.approved_by.clone(),
            account: record.account.clone(),
            exception_type: record.exception_type,
            justification: record.justification.clone(),
            holds_through: record.holds_through(),
            overdue: record.overdue_at(now),
            monthly_usd: monthly(record, findings, now),
        }
    }
}

/// The report over some exceptions.
pub fn report(records: &[ExceptionRecord], findings: &[Finding], filter: &Filter, now: Instant) -> ExceptionReport {
    let chosen: Vec<&ExceptionRecord> = records.iter().filter(|own| filter.takes(own, now)).collect();
    let listed = |wanted: &dyn Fn(&ExceptionRecord) -> bool| -> Vec<ExceptionJson> {
        chosen.iter().filter(|own| wanted(own)).map(|own| ExceptionJson::of(own, findings, now)).collect()
    };
    let in_force = |own: &ExceptionRecord| own.status_at(now) == ExceptionStatus::Approved;
    let (mut by_status, mut by_policy, mut by_type) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for own in &chosen {
        *by_status.entry(own.status_at(now).word()).or_default() += 1;
        *by_policy.entry(own.policy_name.clone()).or_default() += 1;
        *by_type.entry(own.exception_type.word()).or_default() += 1;
    }
    // What covers nothing just now costs nothing; a covered finding without a price makes the sum unknown.
    let costs = chosen.iter().filter(|own| in_force(own) && covered(own, findings, now).next().is_some());
    let total: Option<f64> = costs.map(|own| monthly(own, findings, now)).sum();
    ExceptionReport {
        schema_version: 1,
        total: chosen.len(),
        by_status,
        by_policy,
        by_type,
        expiring_soon: listed(&|own| in_force(own) && own.holds_through().is_some_and(|end| end < now + SOON)),
        expired: listed(&|own| own.status_at(now) == ExceptionStatus::Expired),
        needing_review: listed(&|own| own.overdue_at(now)),
        total_cost_excepted: total,
        generated_at: now,
    }
}

/// What the daily and weekly reports say beside the exceptions in force: what ends soon, what is overdue, what waits.
pub fn notes(records: &[ExceptionRecord], now: Instant) -> Vec<String> {
    let shown = |own: &ExceptionRecord| {
        let id = own.id.get(..8).unwrap_or(&own.id);
        clean(&format!("{id} on {} ({} / {})", own.resource_id, own.policy_name, own.rule_name))
    };
    let in_force = |own: &&ExceptionRecord| own.status_at(now) == ExceptionStatus::Approved;
    let soon = |own: &&ExceptionRecord| {
        in_force(own) && !own.overdue_at(now) && own.holds_through().is_some_and(|end| end < now + SOON)
    };
    let overdue = |own: &&ExceptionRecord| own.overdue_at(now);
    let waiting = |own: &&ExceptionRecord| own.status == ExceptionStatus::Pending;
    let listed = |what: &str, rows: Vec<&ExceptionRecord>| {
        let names: Vec<String> = rows.iter().map(|own| shown(own)).collect();
        (!rows.is_empty()).then(|| format!("Exceptions {what}: {}", names.join(", ")))
    };
    [
        listed("that end within seven days", records.iter().filter(soon).collect()),
        listed("whose review is overdue", records.iter().filter(overdue).collect()),
        listed("that wait for a decision", records.iter().filter(waiting).collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn monthly(record: &ExceptionRecord, findings: &[Finding], now: Instant) -> Option<f64> {
    let mut amounts = covered(record, findings, now).map(|finding| finding.savings.monthly).peekable();
    amounts.peek()?;
    amounts.sum::<Option<crate::domain::money::Usd>>().map(crate::domain::money::Usd::as_f64)
}

fn covered<'a>(
    record: &ExceptionRecord,
    findings: &'a [Finding],
    now: Instant,
) -> impl Iterator<Item = &'a Finding> + use<'a> {
    let cover = record.cover();
    findings.iter().filter(move |finding| {
        matches!(finding.state, State::Open | State::Excepted)
            && cover.as_ref().is_some_and(|own| {
                own.covers(finding.key.account().as_str(), &finding.key.id, &finding.policy, &finding.rule, now)
            })
    })
}
