//! Decides what is due now and what is held, and why.
//!
//! Pure: `select` weighs every open finding against mode, arming, clocks, window, breaker and pace; the caller then
//! reads each chosen resource fresh and `step` binds the act to what it looks like. The same words stand in plan,
//! report and log. `remediate::gate` counts the limits again by its own code.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::TimeDelta;

use crate::checks;
use crate::domain::Instant;
use crate::domain::check::Standing;
use crate::domain::exception::Exception;
use crate::domain::finding::{Act, Action, Finding, FindingId, OpenRemediation, Severity};
use crate::domain::mode::{Arming, Breaker, Freeze, Mode, Pace, Window};
use crate::domain::place::{AccountId, Kind, Partition, ResourceKey};
use crate::domain::plan::{Fingerprint, Held, HoldCode, PLAN_HOURS, Plan, Step};
use crate::domain::resource::Resource;

mod breaker;
mod people;

/// A resource is acted on at most once in this time (safety.md, H25).
pub const BETWEEN_ACTS: TimeDelta = TimeDelta::days(7);
/// Version of the plan file.
pub const PLAN_SCHEMA: u32 = 1;

/// Everything that planning weighs.
#[derive(Clone, Copy)]
pub struct PlanInput<'a> {
    /// The instant of planning.
    pub now: Instant,
    /// Open and excepted findings.
    pub findings: &'a [Finding],
    /// The worker's mode.
    pub mode: Mode,
    /// A person plans for `apply`; in mode notify that is the only way to change anything.
    pub by_hand: bool,
    /// The freeze, if one holds.
    pub frozen: Option<&'a Freeze>,
    /// The accounts of the settings.
    pub accounts: &'a BTreeSet<AccountId>,
    /// Armed accounts.
    pub armings: &'a [Arming],
    /// Hash of each policy in force, by name.
    pub policies: &'a BTreeMap<String, String>,
    /// Granted exceptions, looked at again because they may have come or gone after the scan.
    pub exceptions: &'a [Exception],
    /// Requests for exceptions that hold by themselves for a while.
    pub asked: &'a [Exception],
    /// How many people approved the act on a finding, where its policy asks for that.
    pub approved: &'a BTreeMap<FindingId, u8>,
    /// The last look at each partition.
    pub partitions: &'a HashMap<Partition, PartitionLook>,
    /// Oldest look that an act may rest on.
    pub max_age: TimeDelta,
    /// Resources by account and kind.
    pub totals: &'a HashMap<(AccountId, Kind), u64>,
    /// Acts that reached the wire since midnight UTC.
    pub today: &'a [PastAct],
    /// Last stop, resize, delete or terminate of a resource.
    pub last_acts: &'a HashMap<ResourceKey, Instant>,
    /// How often the act on a finding was begun in the last seven days and came to nothing.
    pub in_vain: &'a HashMap<FindingId, u32>,
    /// How much may change.
    pub pace: &'a Pace,
    /// When a policy is held whole.
    pub breaker: &'a Breaker,
    /// When acts may happen.
    pub window: &'a Window,
}

/// How a partition looked when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLook {
    /// When.
    pub at: Instant,
    /// Why it is not believed; `None` when it was complete.
    pub doubt: Option<String>,
}

/// An act of today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAct {
    /// Where.
    pub account: AccountId,
    /// On what.
    pub kind: Kind,
    /// What.
    pub act: Act,
}

/// What is due and what is held.
#[derive(Debug, Default)]
pub struct Selection<'a> {
    /// Due now, largest savings first.
    pub chosen: Vec<&'a Finding>,
    /// Everything else that is open or excepted.
    pub held: Vec<Held>,
}

/// Whether this version can carry an act out.
pub fn has_handler(act: Act) -> bool {
    match act {
        Act::StopInstance | Act::ResizeInstance | Act::TerminateInstance | Act::DeleteVolume | Act::AddTags => true,
        Act::ModifyVolume | Act::ReleaseAddress | Act::DeleteSnapshot => true,
        // No finding asks for an expiry.
        Act::SendNotification | Act::ExpireSnapshot | Act::ExpireImage => false,
    }
}

/// Weighs every finding.
pub fn select<'a>(input: &PlanInput<'a>) -> Selection<'a> {
    let mut selection = Selection::default();
    let mut candidates: Vec<(&Finding, Act)> = Vec::new();
    for finding in input.findings {
        match hold(input, finding) {
            Ok(act) => candidates.push((finding, act)),
            Err((code, reason)) => selection.held.push(held(finding, code, reason)),
        }
    }
    let candidates = one_per_resource(candidates, &mut selection.held);
    let candidates = breaker::break_circuit(input, candidates, &mut selection.held);
    selection.chosen = keep_pace(input, candidates, &mut selection.held);
    selection
}

/// Binds a chosen finding to its resource as read now; `Err` when the resource no longer fits. Without
/// `snapshot_before_stop` (R8) a stop promises no backup; a delete always does.
pub fn step(
    finding: &Finding,
    fresh: &Resource,
    ignore_tags: &[String],
    snapshot_before_stop: bool,
) -> Result<Step, Box<Held>> {
    let Some(act) = finding.act().filter(|act| has_handler(*act)) else {
        return Err(Box::new(held(finding, HoldCode::NotAvailable, "this version has no handler for it".into())));
    };
    let backup = match act {
        Act::DeleteVolume => vec![finding.key.id.to_string()],
        Act::StopInstance if !snapshot_before_stop => Vec::new(),
        Act::StopInstance | Act::ResizeInstance | Act::TerminateInstance => fresh
            .instance()
            .map(|instance| instance.volumes.iter().map(|attached| attached.volume.to_string()).collect())
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Step {
        finding: finding.id.clone(),
        key: finding.key.clone(),
        name: finding.name.clone(),
        act,
        policy: finding.policy.clone(),
        rule: finding.rule.clone(),
        policy_hash: finding.policy_hash.clone(),
        message: finding.message.clone(),
        backup,
        add_tags: finding.add_tags.clone(),
        to_type: finding.to_type.clone(),
        monthly: finding.savings.monthly,
        fingerprint: Fingerprint::of(fresh, ignore_tags),
    })
}

/// The plan of these steps, with its id.
pub fn assemble(input: &PlanInput<'_>, state_id: &str, steps: Vec<Step>, held: &[Held]) -> Plan {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for row in held {
        *counts.entry(row.code.word().to_owned()).or_default() += 1;
    }
    let mut plan = Plan {
        schema_version: PLAN_SCHEMA,
        id: String::new(),
        created_at: input.now,
        expires_at: input.now + TimeDelta::hours(PLAN_HOURS),
        state_id: state_id.to_owned(),
        policies: input.policies.clone(),
        steps,
        held: counts,
    };
    plan.id = plan.derive_id();
    plan
}

/// A held row.
pub fn held(finding: &Finding, code: HoldCode, reason: String) -> Held {
    Held {
        finding: finding.id.clone(),
        key: finding.key.clone(),
        name: finding.name.clone(),
        act: finding.act(),
        code,
        reason,
        due_at: finding.clock.due_at,
        monthly: finding.savings.monthly,
    }
}

type Reason = (HoldCode, String);

/// Why one finding is held on its own account; `Ok` is its act.
fn hold(input: &PlanInput<'_>, finding: &Finding) -> Result<Act, Reason> {
    people::exempt(input, finding)?;
    let act = worth_acting(finding)?;
    not_under_way(finding)?;
    in_time(input, finding)?;
    believed(input, finding)?;
    allowed(input, finding)?;
    people::approved(input, finding)?;
    Ok(act)
}

fn worth_acting(finding: &Finding) -> Result<Act, Reason> {
    match &finding.standing {
        Standing::Watching(reason) => return Err((HoldCode::Watching, reason.clone())),
        Standing::ReportedOnly(reason) => return Err((HoldCode::ReportedOnly, reason.clone())),
        Standing::Proven => {}
    }
    if finding.severity == Severity::Low || finding.action == Action::Report {
        return Err((HoldCode::ReportOnly, "reported only: its severity or policy asks for no act".into()));
    }
    match finding.act() {
        Some(Act::SendNotification) => Err((HoldCode::OwnerActs, "only its owner can fix it".into())),
        // R10: without a target there is nothing to do.
        Some(Act::ResizeInstance) if finding.to_type.is_none() => {
            Err((HoldCode::NotAvailable, "no type of its series fits the limit".into()))
        }
        Some(act) => Ok(act),
        None => Err((
            HoldCode::NotAvailable,
            format!("{} makes no sense for a {}", finding.action, finding.key.kind().noun()),
        )),
    }
}

fn not_under_way(finding: &Finding) -> Result<(), Reason> {
    match finding.remediation {
        Some(OpenRemediation::Acting) => Err((HoldCode::Acting, "an act on it is under way".into())),
        Some(OpenRemediation::Stuck) => Err((HoldCode::Acting, "an act on it is stuck; a person decides".into())),
        None => Ok(()),
    }
}

fn in_time(input: &PlanInput<'_>, finding: &Finding) -> Result<(), Reason> {
    if finding.suppressed && !planted!("act-after-an-undo") {
        return Err((HoldCode::ActedRecently, "somebody undid our act; a person must approve another".into()));
    }
    let Some(first) = finding.clock.first_notice else {
        return Err(match (input.mode, &finding.owner) {
            (Mode::Observe, _) => (HoldCode::Mode, "mode observe: nobody is told, so no grace period runs".into()),
            (_, None) => (HoldCode::Unnoticed, "it has no owner and there is no default owner to tell".into()),
            (_, Some(owner)) => (HoldCode::Unnoticed, format!("no notice to {owner} was delivered yet")),
        });
    };
    let first = first.format("%Y-%m-%d %H:%M UTC");
    if finding.clock.waits_for_second() {
        return Err((HoldCode::InGrace, format!("told {first}; a second notice must be delivered first")));
    }
    match finding.clock.due_at {
        Some(due) if due <= input.now || planted!("act-before-due") => {}
        Some(due) => {
            return Err((HoldCode::InGrace, format!("told {first}; due {}", due.format("%Y-%m-%d %H:%M UTC"))));
        }
        None => return Err((HoldCode::InGrace, format!("told {first}; no due date"))),
    }
    match finding.act() {
        Some(act) if !has_handler(act) => Err((HoldCode::NotAvailable, format!("{act} not available"))),
        _ => match input.last_acts.get(&finding.key) {
            Some(last)
                if input.now - *last < BETWEEN_ACTS
                    && !planted!("again-within-a-week")
                    && finding.act() != Some(Act::AddTags) =>
            {
                Err((
                    HoldCode::ActedRecently,
                    format!("acted on {}; at most once in seven days", last.format("%Y-%m-%d %H:%M UTC")),
                ))
            }
            _ => Ok(()),
        },
    }
}

fn believed(input: &PlanInput<'_>, finding: &Finding) -> Result<(), Reason> {
    if let Some(reason) = &finding.unjudged {
        return Err((HoldCode::Incomplete, format!("could not be judged in the last scan: {reason}")));
    }
    let partition = &finding.key.partition;
    match input.partitions.get(partition) {
        None => Err((HoldCode::Incomplete, format!("{partition} has not been scanned"))),
        Some(PartitionLook { doubt: Some(doubt), .. }) if !planted!("act-on-a-half-read") => {
            Err((HoldCode::Incomplete, format!("{partition}: {doubt}")))
        }
        Some(look) if input.now - look.at > input.max_age => Err((
            HoldCode::StaleScan,
            format!(
                "last complete scan {}, older than {} h",
                look.at.format("%Y-%m-%d %H:%M UTC"),
                input.max_age.num_hours()
            ),
        )),
        Some(_) => Ok(()),
    }
}

fn allowed(input: &PlanInput<'_>, finding: &Finding) -> Result<(), Reason> {
    if let Some(freeze) = input.frozen {
        return Err((HoldCode::Frozen, format!("frozen by {}: {}", freeze.by, freeze.reason)));
    }
    match (input.mode, input.by_hand) {
        (Mode::Observe, _) if planted!("observe-acts") => {}
        (Mode::Observe, _) => return Err((HoldCode::Mode, "mode observe changes nothing".into())),
        (Mode::Notify, false) => return Err((HoldCode::Mode, "mode notify acts only by `apply PLANFILE`".into())),
        (Mode::Notify, true) => {}
        (Mode::Enforce, _) => armed(input, finding)?,
    }
    match input.window.closed_because(input.now) {
        Some(reason) => Err((HoldCode::Window, reason)),
        None => Ok(()),
    }
}

fn armed(input: &PlanInput<'_>, finding: &Finding) -> Result<(), Reason> {
    let account = finding.key.account();
    let Some(arming) = input.armings.iter().find(|arming| &arming.account == account) else {
        return Err((HoldCode::NotArmed, format!("account {account} is not armed")));
    };
    if arming.until < input.now {
        return Err((
            HoldCode::NotArmed,
            format!("account {account} was armed until {}", arming.until.format("%Y-%m-%d")),
        ));
    }
    let in_force = input.policies.get(&finding.policy);
    match arming.policies.iter().find(|(name, _)| name == &finding.policy) {
        Some((_, hash)) if Some(hash) == in_force && hash == &finding.policy_hash => Ok(()),
        Some(_) if planted!("ignore-the-policys-hash") => Ok(()),
        Some(_) => Err((HoldCode::PolicyChanged, format!("policy {} changed after arming; arm again", finding.policy))),
        None => Err((HoldCode::PolicyChanged, format!("policy {} was not there at arming; arm again", finding.policy))),
    }
}

/// Of several acts on one resource the best-ranked check's goes; tags may go beside it.
fn one_per_resource<'a>(candidates: Vec<(&'a Finding, Act)>, held_rows: &mut Vec<Held>) -> Vec<(&'a Finding, Act)> {
    let mut best: HashMap<&ResourceKey, (usize, &str)> = HashMap::new();
    for (finding, _) in candidates.iter().filter(|(_, act)| *act != Act::AddTags) {
        let rank = checks::rank(&finding.check);
        let entry = best.entry(&finding.key).or_insert((rank, &finding.id.0));
        if (rank, finding.id.0.as_str()) < *entry {
            *entry = (rank, &finding.id.0);
        }
    }
    candidates
        .into_iter()
        .filter(|(finding, act)| {
            let winner = best.get(&finding.key);
            let goes = *act == Act::AddTags || winner.is_some_and(|(_, id)| *id == finding.id.0);
            if !goes {
                let reason = "another finding on the same resource goes first".to_owned();
                held_rows.push(held(finding, HoldCode::Outranked, reason));
            }
            goes
        })
        .collect()
}

/// Takes the largest savings first, as far as the pace of this run and this day goes. What was refused at its last look
/// stands behind what was not: the same refusal every night must not take the place of everything else.
fn keep_pace<'a>(
    input: &PlanInput<'_>,
    mut candidates: Vec<(&'a Finding, Act)>,
    held_rows: &mut Vec<Held>,
) -> Vec<&'a Finding> {
    let in_vain = |finding: &Finding| input.in_vain.get(&finding.id).copied().unwrap_or(0);
    // Tags go last: a resource that is stopped and tagged in one run would count as changed after its tagging.
    candidates.sort_by(|(left, left_act), (right, right_act)| {
        (*left_act == Act::AddTags)
            .cmp(&(*right_act == Act::AddTags))
            .then_with(|| in_vain(left).cmp(&in_vain(right)))
            .then_with(|| right.savings.monthly.cmp(&left.savings.monthly))
            .then_with(|| left.clock.due_at.cmp(&right.clock.due_at))
            .then_with(|| left.id.cmp(&right.id))
    });
    let mut run: HashMap<(AccountId, &'static str), u32> = HashMap::new();
    let mut day_destructive: HashMap<AccountId, u32> = HashMap::new();
    let mut day_kind: HashMap<(AccountId, Kind), u64> = HashMap::new();
    for past in input.today {
        if past.act != Act::AddTags {
            *day_kind.entry((past.account.clone(), past.kind)).or_default() += 1;
        }
        if past.act.destructive() {
            *day_destructive.entry(past.account.clone()).or_default() += 1;
        }
    }
    let mut chosen = Vec::new();
    for (finding, act) in candidates {
        let account = finding.key.account().clone();
        let kind = finding.key.kind();
        let (class, most) = if act.destructive() {
            ("destructive", input.pace.destructive_per_run)
        } else if act.disruptive() {
            ("disruptive", input.pace.disruptive_per_run)
        } else {
            ("tag", input.pace.tags_per_run)
        };
        let this_run = run.entry((account.clone(), class)).or_default();
        let this_day = day_destructive.entry(account.clone()).or_default();
        let of_kind = day_kind.entry((account.clone(), kind)).or_default();
        let share = input.pace.daily_share(input.totals.get(&(account.clone(), kind)).copied().unwrap_or(0));
        let spare = u32::from(planted!("one-over-the-pace"));
        let over = if planted!("zero-is-no-limit") && (most == 0 || share == 0) {
            None
        } else if *this_run >= most + spare {
            Some(format!("over today's pace: {most} {class} acts a run"))
        } else if act.destructive() && *this_day >= input.pace.destructive_per_day {
            Some(format!("over today's pace: {} destructive acts a day", input.pace.destructive_per_day))
        } else if act != Act::AddTags && *of_kind >= share {
            Some(format!("over today's pace: {share} {}s of account {account} a day", kind.noun()))
        } else {
            None
        };
        match over {
            Some(reason) => held_rows.push(held(finding, HoldCode::Pace, reason)),
            None => {
                *this_run += 1;
                *this_day += u32::from(act.destructive());
                *of_kind += u64::from(act != Act::AddTags);
                chosen.push(finding);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
