//! Counts everything that a report shows (C1 to C11), from rows that the store hands in.
//!
//! Pure. Dollars are summed over winners only: of several findings on one resource the best-ranked check's amount
//! counts, so that nothing is promised twice. Open findings count whatever their age (C1's trap); an unread night has
//! no score rather than a perfect one (C2's).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono_tz::Tz;

use super::score::ScanSummary;
use crate::checks;
use crate::domain::Instant;
use crate::domain::budget::BudgetAlert;
use crate::domain::exception::Exception;
use crate::domain::finding::{Finding, FindingId, Phase, Severity, State};
use crate::domain::mode::Freeze;
use crate::domain::money::{HOURS_PER_MONTH, Usd, grouped};
use crate::domain::plan::{Held, HoldCode};
use crate::domain::remediation::{JournalState, Remediation};
use crate::domain::report::*;
use crate::domain::scan::Scan;
use crate::domain::undo::Undoable;

/// Rows in each table of a report; the rest is in the state and said to be.
const ROWS: usize = 10;

/// Everything that a report is made from.
pub struct ReportInput<'a> {
    /// Daily or weekly.
    pub kind: ReportKind,
    /// When it is made.
    pub now: Instant,
    /// First instant, inclusive.
    pub from: Instant,
    /// Last instant, exclusive.
    pub to: Instant,
    /// Zone of times.
    pub zone: Tz,
    /// Accounts and Regions in words.
    pub scope: String,
    /// Every finding that is open, excepted, or was closed or detected since the start of the period before.
    pub findings: &'a [Finding],
    /// The last finished scan and its counts.
    pub scan: Option<(&'a Scan, &'a ScanSummary)>,
    /// Scores of the nights or weeks before, oldest first.
    pub history: Vec<Option<f64>>,
    /// What a plan at `now` holds.
    pub held: &'a [Held],
    /// What a plan at `now` would do.
    pub due_now: &'a [FindingId],
    /// All remediations that are done, and those of the period.
    pub remediations: &'a [Remediation],
    /// Acts that can still be taken back, newest first.
    pub undoable: Vec<Undoable>,
    /// Exceptions of the settings.
    pub exceptions: &'a [Exception],
    /// Thresholds crossed in the period.
    pub budgets: Vec<BudgetAlert>,
    /// Spend, if read.
    pub spend: Option<Spend>,
    /// Own requests in the period.
    pub self_cost: SelfCost,
    /// The freeze, if one holds.
    pub frozen: Option<&'a Freeze>,
    /// Sentences about price source, missed slots, undelivered mail and the like.
    pub notes: Vec<String>,
}

/// The report of these rows.
pub fn report(input: ReportInput<'_>) -> Report {
    let open: Vec<&Finding> = input.findings.iter().filter(|finding| finding.counts()).collect();
    let winners = winners(&open);
    let score = input.scan.and_then(|(_, summary)| summary.score());
    let mut open_savings = Amounts::default();
    for finding in &open {
        open_savings.add(if winners.contains(&finding.id) { finding.savings.monthly } else { Some(Usd::ZERO) });
    }
    let watching = watching(input.findings);
    let realised = realised(input.remediations, input.findings, input.now);
    let due = due(&open, &input);
    let by_policy = by_policy(&input, &open, &winners);
    let notes = notes(&input);
    Report {
        kind: input.kind,
        generated_at: input.now,
        period_start: input.from,
        period_end: input.to,
        zone: input.zone.to_string(),
        headline: headline(&input, score, open_savings, &due),
        score,
        score_history: input.history.clone(),
        trend: trend(&input),
        by_severity: by_severity(&input, &open, &winners),
        watching,
        open_savings,
        realised,
        decisions: decisions(&input),
        held: held_counts(input.held),
        acts: acts(&input),
        undoable: input.undoable.clone(),
        by_team: by_team(&input),
        top_violators: top_violators(&open, &winners),
        top_findings: top_findings(&open, &winners, input.now),
        exceptions: exceptions(&input),
        gaps: input
            .scan
            .filter(|_| !planted!("tell-of-no-gap"))
            .map(|(scan, _)| scan.gaps().cloned().collect())
            .unwrap_or_default(),
        unknown: input.scan.map(|(_, summary)| summary.unknown.clone().into_iter().collect()).unwrap_or_default(),
        recommendations: recommendations(&by_policy, open_savings),
        by_policy,
        due,
        notes,
        budgets: input.budgets,
        spend: input.spend,
        self_cost: input.self_cost,
        // The trail is no part of the fold; whoever reads the state adds its end.
        audit: None,
        scope: input.scope,
    }
}

/// Of several open findings on one resource, the one whose dollars count.
pub fn winners(open: &[&Finding]) -> HashSet<FindingId> {
    let mut best: HashMap<String, &Finding> = HashMap::new();
    for finding in open {
        let order = |finding: &Finding| (checks::rank(&finding.check), finding.id.clone());
        let entry = best.entry(finding.key.to_string()).or_insert(finding);
        if order(finding) < order(entry) {
            *entry = finding;
        }
    }
    best.into_values().map(|finding| finding.id.clone()).collect()
}

/// What watched findings would save, counted apart.
pub fn watching(findings: &[Finding]) -> Amounts {
    let mut amounts = Amounts::default();
    for finding in findings.iter().filter(|finding| finding.state == State::Open && !finding.counts()) {
        amounts.add(finding.savings.monthly);
    }
    amounts
}

fn realised(remediations: &[Remediation], findings: &[Finding], now: Instant) -> Realised {
    let reversed: HashSet<&FindingId> =
        findings.iter().filter(|finding| finding.state != State::Remediated).map(|finding| &finding.id).collect();
    let mut sum = Realised::default();
    for act in remediations {
        let saves = act.state == JournalState::Done
            && (act.step.act.destructive() || act.step.act.disruptive())
            && !reversed.contains(&act.step.finding);
        if !saves {
            continue;
        }
        sum.acts += 1;
        match act.step.monthly {
            Some(monthly) => {
                let minutes = (now - act.updated_at).num_minutes().max(0);
                sum.monthly = sum.monthly + monthly;
                sum.to_date = sum.to_date + monthly.scaled(minutes, HOURS_PER_MONTH * 60);
            }
            None => sum.unpriced += 1,
        }
    }
    sum
}

fn headline(input: &ReportInput<'_>, score: Option<Score>, open: Amounts, due: &[DueRow]) -> String {
    let mut parts = Vec::new();
    if let Some(freeze) = input.frozen {
        parts.push(format!("Frozen by {}: nothing is changed until somebody lifts it", freeze.by));
    }
    parts.push(match open.count {
        0 => "No open findings".to_owned(),
        count => format!(
            "{} open finding{} could save {} a month{}",
            grouped(count),
            if count == 1 { "" } else { "s" },
            open.monthly,
            if open.unpriced > 0 { format!(" ({} without a known price)", open.unpriced) } else { String::new() }
        ),
    });
    match due.first() {
        Some(first) => parts.push(format!(
            "{} act{} due, the first on {}",
            due.len(),
            if due.len() == 1 { " falls" } else { "s fall" },
            first.due_at.with_timezone(&input.zone).format("%a %d %b %H:%M")
        )),
        None => parts.push("nothing falls due".to_owned()),
    }
    parts.push(match score {
        Some(score) => format!("compliance is {:.1} % ({})", score.percent, score.level.word().replace('_', "-")),
        None => "there is no complete inventory to score".to_owned(),
    });
    let mut sentence = parts.join("; ");
    sentence.push('.');
    sentence
}

fn trend(input: &ReportInput<'_>) -> Trend {
    let length = input.to - input.from;
    let detected = |from: Instant, to: Instant| {
        input.findings.iter().filter(|finding| finding.detected_at >= from && finding.detected_at < to).count() as u64
    };
    Trend::of(detected(input.from, input.to), detected(input.from - length, input.from))
}

fn by_severity(input: &ReportInput<'_>, open: &[&Finding], winners: &HashSet<FindingId>) -> Vec<SeverityRow> {
    Severity::ALL
        .into_iter()
        .map(|severity| {
            let mut amounts = Amounts::default();
            for finding in open.iter().filter(|finding| finding.severity == severity) {
                amounts.add(if winners.contains(&finding.id) { finding.savings.monthly } else { Some(Usd::ZERO) });
            }
            let of_period = |instant: Option<Instant>| instant.is_some_and(|at| at >= input.from && at < input.to);
            let mine = || input.findings.iter().filter(move |finding| finding.severity == severity);
            SeverityRow {
                severity,
                open: amounts,
                new: mine().filter(|finding| of_period(Some(finding.detected_at))).count() as u64,
                closed: mine().filter(|finding| of_period(finding.closed_at)).count() as u64,
            }
        })
        .collect()
}

fn due(open: &[&Finding], input: &ReportInput<'_>) -> Vec<DueRow> {
    let waiting: HashSet<&FindingId> = input
        .held
        .iter()
        .filter(|held| matches!(held.code, HoldCode::InGrace | HoldCode::Window | HoldCode::Pace | HoldCode::Mode))
        .map(|held| &held.finding)
        .chain(input.due_now)
        .collect();
    let mut rows: Vec<DueRow> = open
        .iter()
        .filter(|finding| waiting.contains(&finding.id))
        .filter_map(|finding| {
            Some(DueRow {
                finding: finding.id.to_string(),
                resource: finding.key.id.to_string(),
                account: finding.key.account().to_string(),
                region: finding.key.region().to_string(),
                name: finding.name.clone(),
                act: finding.act().filter(|act| super::plan::has_handler(*act))?,
                message: finding.message.clone(),
                due_at: finding.clock.due_at?,
                owner: finding.owner.clone(),
                monthly: finding.savings.monthly,
            })
        })
        .collect();
    rows.sort_by(|left, right| left.due_at.cmp(&right.due_at).then_with(|| left.finding.cmp(&right.finding)));
    rows
}

fn decisions(input: &ReportInput<'_>) -> Vec<HeldRow> {
    let stuck =
        input.findings.iter().filter(|finding| finding.phase_at(input.now) == Phase::Stuck).map(|finding| HeldRow {
            finding: finding.id.to_string(),
            resource: finding.key.id.to_string(),
            name: finding.name.clone(),
            act: finding.act(),
            code: HoldCode::Acting,
            reason: "stuck: the cloud did not say what happened; look at the resource and decide".into(),
            monthly: finding.savings.monthly,
        });
    let waiting = input.held.iter().filter(|held| held.code.waits_for_a_person()).map(|held| HeldRow {
        finding: held.finding.to_string(),
        resource: held.key.id.to_string(),
        name: held.name.clone(),
        act: held.act,
        code: held.code,
        reason: held.reason.clone(),
        monthly: held.monthly,
    });
    let mut rows: Vec<HeldRow> = stuck.chain(waiting).collect();
    rows.sort_by(|left, right| right.monthly.cmp(&left.monthly).then_with(|| left.finding.cmp(&right.finding)));
    rows.truncate(ROWS);
    rows
}

fn held_counts(held: &[Held]) -> Vec<HeldCount> {
    let mut counts: BTreeMap<HoldCode, HeldCount> = BTreeMap::new();
    for row in held {
        counts
            .entry(row.code)
            .or_insert_with(|| HeldCount { code: row.code, count: 0, example: row.reason.clone() })
            .count += 1;
    }
    let mut rows: Vec<HeldCount> = counts.into_values().collect();
    rows.sort_by(|left, right| right.count.cmp(&left.count).then_with(|| left.code.cmp(&right.code)));
    rows
}

fn acts(input: &ReportInput<'_>) -> Vec<ActRow> {
    let mut rows: Vec<ActRow> = input
        .remediations
        .iter()
        .filter(|act| act.updated_at >= input.from && act.updated_at < input.to)
        .map(|act| ActRow {
            id: format!("r-{}", act.id),
            resource: act.step.key.id.to_string(),
            name: act.step.name.clone(),
            account: act.step.key.account().to_string(),
            region: act.step.key.region().to_string(),
            act: act.step.act,
            status: act.state.status().word().to_owned(),
            message: act.message.clone(),
            backups: act.snapshots.iter().filter_map(|backup| backup.snapshot.as_deref().map(str::to_owned)).collect(),
            at: act.updated_at,
            monthly: act.step.monthly,
        })
        .collect();
    rows.sort_by(|left, right| right.at.cmp(&left.at).then_with(|| left.id.cmp(&right.id)));
    rows
}

fn by_policy(input: &ReportInput<'_>, open: &[&Finding], winners: &HashSet<FindingId>) -> Vec<PolicyRow> {
    let Some((_, summary)) = input.scan else {
        return Vec::new();
    };
    let mut amounts: HashMap<&str, Amounts> = HashMap::new();
    for finding in open {
        amounts.entry(&finding.policy).or_default().add(if winners.contains(&finding.id) {
            finding.savings.monthly
        } else {
            Some(Usd::ZERO)
        });
    }
    let new = |policy: &str| {
        input
            .findings
            .iter()
            .filter(|finding| {
                finding.policy == policy && finding.detected_at >= input.from && finding.detected_at < input.to
            })
            .count() as u64
    };
    let mut rows: Vec<PolicyRow> = summary
        .by_policy
        .iter()
        .map(|(policy, count)| PolicyRow {
            policy: policy.clone(),
            applicable: count.applicable,
            violating: count.violating,
            excepted: count.excepted,
            rate: Score::of(count.applicable, count.violating).map(|score| score.percent),
            new: new(policy),
            open: amounts.get(policy.as_str()).copied().unwrap_or_default(),
        })
        .collect();
    rows.sort_by(|left, right| {
        let rate = |row: &PolicyRow| row.rate.unwrap_or(f64::INFINITY);
        rate(left).total_cmp(&rate(right)).then_with(|| left.policy.cmp(&right.policy))
    });
    rows
}

fn by_team(input: &ReportInput<'_>) -> Vec<TeamRow> {
    let Some((_, summary)) = input.scan else {
        return Vec::new();
    };
    let mut rows: Vec<TeamRow> = summary
        .by_team
        .iter()
        .map(|(team, count)| TeamRow {
            team: team.clone(),
            total_resources: count.total,
            violations: count.violations,
            compliance_score: Score::of(count.total, count.violating).map_or(100.0, |score| score.percent),
        })
        .collect();
    rows.sort_by(|left, right| {
        left.compliance_score.total_cmp(&right.compliance_score).then_with(|| left.team.cmp(&right.team))
    });
    rows.truncate(ROWS);
    rows
}

fn top_violators(open: &[&Finding], winners: &HashSet<FindingId>) -> Vec<ViolatorRow> {
    let mut by_resource: HashMap<String, Vec<&Finding>> = HashMap::new();
    for finding in open {
        by_resource.entry(finding.key.to_string()).or_default().push(finding);
    }
    let mut rows: Vec<ViolatorRow> = by_resource
        .into_values()
        .filter_map(|findings| {
            let first = findings.first()?;
            let policies: BTreeSet<&str> = findings.iter().map(|finding| finding.policy.as_str()).collect();
            Some(ViolatorRow {
                id: first.key.id.to_string(),
                name: first.name.clone(),
                violation_count: findings.len() as u64,
                policies: policies.into_iter().map(str::to_owned).collect(),
                total_cost_impact: findings
                    .iter()
                    .find(|finding| winners.contains(&finding.id))
                    .and_then(|finding| finding.savings.monthly),
            })
        })
        .collect();
    rows.sort_by(|left, right| {
        right
            .violation_count
            .cmp(&left.violation_count)
            .then_with(|| right.total_cost_impact.cmp(&left.total_cost_impact))
            .then_with(|| left.id.cmp(&right.id))
    });
    rows.truncate(ROWS);
    rows
}

fn top_findings(open: &[&Finding], winners: &HashSet<FindingId>, now: Instant) -> Vec<FindingRow> {
    let mut best: Vec<&&Finding> = open.iter().filter(|finding| winners.contains(&finding.id)).collect();
    best.sort_by(|left, right| {
        right
            .savings
            .monthly
            .cmp(&left.savings.monthly)
            .then_with(|| left.detected_at.cmp(&right.detected_at))
            .then_with(|| left.id.cmp(&right.id))
    });
    best.into_iter()
        .take(ROWS)
        .map(|finding| FindingRow {
            finding: finding.id.to_string(),
            resource: finding.key.id.to_string(),
            kind: finding.key.kind().name().to_owned(),
            name: finding.name.clone(),
            account: finding.key.account().to_string(),
            region: finding.key.region().to_string(),
            owner: finding.owner.clone(),
            severity: finding.severity,
            phase: finding.phase_at(now),
            message: finding.message.clone(),
            detected_at: finding.detected_at,
            due_at: finding.clock.due_at,
            monthly: finding.savings.monthly,
        })
        .collect()
}

fn exceptions(input: &ReportInput<'_>) -> Vec<ExceptionRow> {
    let mut rows: Vec<ExceptionRow> = input
        .exceptions
        .iter()
        .filter(|exception| input.now <= exception.until)
        .map(|exception| ExceptionRow {
            id: exception.id.clone(),
            resource: exception.resource.clone(),
            policy: match &exception.rule {
                Some(rule) => format!("{} / {rule}", exception.policy),
                None => exception.policy.clone(),
            },
            reason: exception.reason.clone(),
            approved_by: exception.approved_by.clone(),
            until: exception.until,
            monthly: covered_cost(exception, input),
        })
        .collect();
    rows.sort_by(|left, right| left.until.cmp(&right.until).then_with(|| left.id.cmp(&right.id)));
    rows
}

/// What an exception costs a month; `None` when it covers nothing now or one of its prices is unknown.
fn covered_cost(exception: &Exception, input: &ReportInput<'_>) -> Option<Usd> {
    let mut covered = input
        .findings
        .iter()
        .filter(|finding| {
            finding.state == State::Excepted
                && exception.covers(
                    finding.key.account().as_str(),
                    &finding.key.id,
                    &finding.policy,
                    &finding.rule,
                    input.now,
                )
        })
        .map(|finding| finding.savings.monthly)
        .peekable();
    covered.peek()?;
    covered.sum()
}

/// C11: of the three worst policies each below 80 %, and potential savings above 1,000 dollars a month.
fn recommendations(by_policy: &[PolicyRow], open: Amounts) -> Vec<Recommendation> {
    let mut rows: Vec<Recommendation> = by_policy
        .iter()
        .take(3)
        .filter_map(|row| {
            let rate = row.rate.filter(|rate| *rate < 80.0)?;
            Some(Recommendation {
                priority: "high".into(),
                category: "policy_compliance".into(),
                text: format!(
                    "Policy {} holds on {rate:.1} % of its {} resources: start with its {} open findings",
                    row.policy,
                    grouped(row.applicable),
                    grouped(row.open.count)
                ),
            })
        })
        .collect();
    if open.monthly > Usd::dollars(1_000) {
        rows.push(Recommendation {
            priority: "high".into(),
            category: "cost_optimization".into(),
            text: format!("Open findings could save {} a month", open.monthly),
        });
    }
    rows
}

fn notes(input: &ReportInput<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(freeze) = input.frozen {
        notes.push(format!(
            "Frozen since {} by {}: {}",
            freeze.at.with_timezone(&input.zone).format("%Y-%m-%d %H:%M %Z"),
            freeze.by,
            freeze.reason
        ));
    }
    match input.scan {
        Some((scan, _)) => {
            if let Some(finished) = scan.finished_at {
                notes.push(format!("Inventory of {}", finished.with_timezone(&input.zone).format("%Y-%m-%d %H:%M %Z")));
            }
        }
        None => notes.push("No scan has finished yet".to_owned()),
    }
    notes.push("Dollars are list prices of a month of 730 hours, before discounts and commitments".to_owned());
    notes.extend(input.notes.iter().cloned());
    notes
}

#[cfg(test)]
mod tests;
