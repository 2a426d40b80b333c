//! The plan: what is due now, read fresh, and what is held.
//!
//! Called by the act slot, `plan`, `run` and `arm`. Reads the cloud once per chosen resource and changes nothing but
//! our own record of the plan.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use anyhow::Context as _;
use chrono::{NaiveTime, TimeDelta};

use crate::domain::Instant;
use crate::domain::exception::{Exception, ExceptionRecord};
use crate::domain::finding::{Finding, FindingId};
use crate::domain::inventory::Coverage;
use crate::domain::mode::{Arming, Freeze};
use crate::domain::place::{AccountId, Kind, Partition, Place, ResourceKey};
use crate::domain::plan::{Held, HoldCode, Plan};
use crate::domain::remediation::JournalState;
use crate::domain::scan::Scan;
use crate::engine::plan::{self, PartitionLook, PastAct, PlanInput};
use crate::engine::ruleset::Ruleset;
use crate::settings::Settings;
use crate::store::Store;
use crate::worker::context::Context;
use crate::worker::{act_approvals, exceptions};

/// How far back scans are looked through for the newest look at a partition.
const LOOK_BACK: TimeDelta = TimeDelta::days(7);

/// A plan with the rows of what it holds.
#[derive(Clone, Debug)]
pub struct PlanOutcome {
    /// The plan.
    pub plan: Plan,
    /// Everything else that is open or excepted.
    pub held: Vec<Held>,
}

/// What planning reads from the state.
pub struct Posture {
    /// When.
    pub now: Instant,
    /// The freeze, if one holds.
    pub frozen: Option<Freeze>,
    /// The accounts of the settings.
    pub accounts: BTreeSet<AccountId>,
    /// Armed accounts.
    pub armings: Vec<Arming>,
    /// The newest look at each partition.
    pub partitions: HashMap<Partition, PartitionLook>,
    /// Resources by account and kind, of believed partitions.
    pub totals: HashMap<(AccountId, Kind), u64>,
    /// Acts that reached the wire since midnight UTC.
    pub today: Vec<PastAct>,
    /// Last act other than tagging, by resource key.
    pub last_acts: HashMap<ResourceKey, Instant>,
    /// Acts of the last seven days that came to nothing, by finding.
    pub in_vain: HashMap<FindingId, u32>,
    /// Exceptions of the settings and granted ones of the state, those that are over included.
    pub exceptions: Vec<Exception>,
    /// Requests that hold by themselves.
    pub asked: Vec<Exception>,
    /// How many people approved an act, by finding.
    pub approved: BTreeMap<FindingId, u8>,
}

/// Makes a plan and stores it. `by_hand` is for `plan` and `apply`, where a person looks.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn plan(cx: &Context, by_hand: bool) -> anyhow::Result<PlanOutcome> {
    let findings = cx.store.findings_open().context("reading the open findings")?;
    let posture = posture(cx)?;
    let input = input(cx, &posture, &findings, by_hand);
    let selection = plan::select(&input);
    let mut held = selection.held;
    let mut steps = Vec::new();
    let snapshot_before_stop = cx.settings.enforcement.create_snapshot_before_stop;
    for finding in selection.chosen {
        match cx.cloud.describe(&finding.key).await {
            Ok(fresh) => match plan::step(finding, &fresh, &cx.settings.tags.ignore, snapshot_before_stop) {
                Ok(step) => match act_approvals::missing(&cx.store, finding, &step, posture.now)? {
                    None => steps.push(step),
                    Some(why) => held.push(plan::held(finding, HoldCode::WaitsForApproval, why)),
                },
                Err(row) => held.push(*row),
            },
            Err(error) => {
                held.push(plan::held(finding, HoldCode::Incomplete, format!("could not be read just now: {error}")));
            }
        }
    }
    let state_id = cx.store.state_id().context("reading the state's id")?;
    let plan = plan::assemble(&input, &state_id, steps, &held);
    cx.store.save_plan(&plan, &held).context("storing the plan")?;
    act_approvals::ask(cx, &plan, &held, &findings).await?;
    Ok(PlanOutcome { plan, held })
}

/// Reads what planning weighs besides the findings.
///
/// # Errors
/// When the state cannot be read.
pub fn posture(cx: &Context) -> anyhow::Result<Posture> {
    posture_of(&cx.store, &cx.settings, cx.clock.now())
}

/// The same without a context: no cloud is needed for it. Accounts and Regions outside the settings, which a scan by
/// hand may have read, are not looked at: nobody is told of them and nothing is planned there.
///
/// # Errors
/// When the state cannot be read.
pub fn posture_of(store: &Store, settings: &Settings, now: Instant) -> anyhow::Result<Posture> {
    let newest = newest_listed(store, settings, now)?;
    let totals = totals_in(&newest);
    let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    let mut today = Vec::new();
    let mut in_vain: HashMap<FindingId, u32> = HashMap::new();
    let last_acts = store.last_acts_since(now - plan::BETWEEN_ACTS)?;
    let recent = store.remediations_between(now - plan::BETWEEN_ACTS, now + TimeDelta::seconds(1))?;
    for act in &recent {
        if matches!(act.state, JournalState::Refused | JournalState::Aborted) {
            *in_vain.entry(act.step.finding.clone()).or_default() += 1;
        }
        // What reached the wire today, and what is open and will: both use up today's pace.
        if (act.call_hash.is_some() && act.updated_at >= midnight) || !act.state.ended() {
            let step = &act.step;
            today.push(PastAct { account: step.key.account().clone(), kind: step.key.kind(), act: step.act });
        }
    }
    Ok(Posture {
        now,
        frozen: store.frozen()?,
        accounts: settings.accounts.iter().map(|account| account.id.clone()).collect(),
        armings: store.armings()?,
        partitions: newest.iter().map(|(partition, (row, at))| (partition.clone(), look(row, *at))).collect(),
        totals,
        today,
        last_acts: last_acts.into_iter().map(|(key, (at, _))| (key, at)).collect(),
        in_vain,
        exceptions: exceptions::in_force(store, settings)?,
        asked: store.exceptions()?.iter().filter_map(ExceptionRecord::asked).collect(),
        approved: act_approvals::approved(store, now)?,
    })
}

/// Resources by account and kind as last believed, without the rest of the posture: what the gate counts shares of.
///
/// # Errors
/// When the state cannot be read.
pub fn totals(cx: &Context) -> anyhow::Result<HashMap<(AccountId, Kind), u64>> {
    Ok(totals_in(&newest_listed(&cx.store, &cx.settings, cx.clock.now())?))
}

/// The newest coverage row of each partition of the settings, with the instant of its scan.
fn newest_listed(
    store: &Store,
    settings: &Settings,
    now: Instant,
) -> anyhow::Result<HashMap<Partition, (Coverage, Instant)>> {
    let places = settings
        .accounts
        .iter()
        .flat_map(|own| own.regions.iter().map(|region| Place { account: own.id.clone(), region: region.clone() }));
    let mut missing: HashSet<Partition> =
        places.flat_map(|place| Kind::ALL.map(|kind| place.partition(kind))).collect();
    let mut newest = HashMap::new();
    let span = (now - LOOK_BACK, now + TimeDelta::seconds(1));
    let look = |scan: Scan| {
        for row in scan.coverage.into_iter().rev() {
            if missing.remove(&row.partition) {
                newest.insert(row.partition.clone(), (row, scan.started_at));
            }
        }
        if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.scans_back(span, look).context("reading the scans")?;
    Ok(newest)
}

fn totals_in(newest: &HashMap<Partition, (Coverage, Instant)>) -> HashMap<(AccountId, Kind), u64> {
    let mut totals: HashMap<(AccountId, Kind), u64> = HashMap::new();
    for (row, _) in newest.values().filter(|(row, _)| row.trusted()) {
        *totals.entry((row.partition.place.account.clone(), row.partition.kind)).or_default() += row.resources;
    }
    totals
}

/// The planner's input from these parts.
pub fn input<'a>(cx: &'a Context, posture: &'a Posture, findings: &'a [Finding], by_hand: bool) -> PlanInput<'a> {
    input_of(&cx.settings, &cx.rules, posture, findings, by_hand)
}

/// The same without a context.
pub fn input_of<'a>(
    settings: &'a Settings,
    rules: &'a Ruleset,
    posture: &'a Posture,
    findings: &'a [Finding],
    by_hand: bool,
) -> PlanInput<'a> {
    PlanInput {
        now: posture.now,
        findings,
        mode: settings.enforcement.mode,
        by_hand,
        frozen: posture.frozen.as_ref(),
        accounts: &posture.accounts,
        armings: &posture.armings,
        policies: &rules.hashes,
        exceptions: &posture.exceptions,
        asked: &posture.asked,
        approved: &posture.approved,
        partitions: &posture.partitions,
        max_age: TimeDelta::hours(i64::from(settings.inventory.max_age_hours)),
        totals: &posture.totals,
        today: &posture.today,
        last_acts: &posture.last_acts,
        in_vain: &posture.in_vain,
        pace: &settings.enforcement.pace,
        breaker: &settings.enforcement.breaker,
        window: &settings.enforcement.window,
    }
}

fn look(row: &Coverage, at: Instant) -> PartitionLook {
    let doubt = match (row.trusted(), &row.error, &row.suspect) {
        (true, _, _) => None,
        (false, Some(error), _) => Some(format!("not read to its end: {error}")),
        (false, None, Some(suspect)) => Some(suspect.clone()),
        (false, None, None) => Some("not read to its end".to_owned()),
    };
    PartitionLook { at, doubt }
}
