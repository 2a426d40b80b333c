//! Acting: takes the one acting lease, goes on with what is open, then with the plan's steps.
//!
//! Called by the act slot, `apply`, `run` and the demo, which alone hand in a `CloudAct`. Each step goes through the
//! journal of `remediate`; this file only takes turns between those that wait, renews the lease, and stops when asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::TimeDelta;

use super::plan::totals;
use crate::cloud::CloudAct;
use crate::domain::Instant;
use crate::domain::plan::Step;
use crate::domain::remediation::JournalState;
use crate::remediate::put_back::WAY_ON;
use crate::remediate::{Announce, GateRules, Halt, Interrupted, Outcome, Progress, Remediator, Run, Tools};
use crate::store::ACTING_LEASE;
use crate::worker::context::Context;
use crate::worker::post::Post;
use crate::worker::recheck::FreshFacts;
use crate::worker::supervise::Work;

/// How long the lease holds without being renewed.
const LEASE: TimeDelta = TimeDelta::minutes(15);
/// Longest sleep between two looks at the lease and the stop sign.
const NAP: TimeDelta = TimeDelta::seconds(60);

/// How long an act that is half-way through its calls is walked on after a stop was asked for.
const HALF_WAY: TimeDelta = TimeDelta::seconds(80);

/// What acting needs besides the context.
pub struct Acting<'a> {
    /// Changes the cloud.
    pub actor: Arc<dyn CloudAct>,
    /// A person runs `apply`.
    pub by_hand: bool,
    /// Makes the messages of what happens.
    pub announce: Arc<Announce>,
    /// Sends what people must hear before the run is over.
    pub post: Arc<Post>,
    /// Asks for a graceful stop, and is beaten after each finished step.
    pub work: &'a Work,
    /// Crash points of tests; [`Halt::from_environment`] for everybody else.
    pub halt: Halt,
}

/// How a run of acts ended.
#[derive(Debug, Default)]
pub struct ActOutcome {
    /// One row per step or resumed remediation, in the order in which they ended.
    pub rows: Vec<ActedOn>,
    /// Stopped before everything had ended; the journal goes on from there.
    pub interrupted: bool,
}

/// How one remediation ended or where it waits.
#[derive(Clone, Debug)]
pub struct ActedOn {
    /// Journal row, once claimed.
    pub id: Option<i64>,
    /// The resource's id.
    pub resource: String,
    /// What was to be done, in words.
    pub act: String,
    /// Where it stands.
    pub progress: Progress,
    /// In words.
    pub message: String,
}

/// Why nothing could be begun.
#[derive(Debug, thiserror::Error)]
pub enum NotActing {
    /// Exit code 75.
    #[error("another worker is acting now (it holds the acting lease); try again when it is done")]
    Busy,
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl ActOutcome {
    /// Remediations that ended so.
    pub fn ended(&self, state: JournalState) -> usize {
        self.rows.iter().filter(|row| row.progress == Progress::Ended(state)).count()
    }

    /// Remediations that neither ended nor were refused.
    pub fn open(&self) -> usize {
        self.rows.iter().filter(|row| !matches!(row.progress, Progress::Ended(_))).count()
    }
}

/// Goes on with open remediations, then with `steps` of the plan `plan`.
///
/// # Errors
/// [`NotActing::Busy`] while another worker acts; otherwise when the state refuses.
pub async fn act(cx: &Context, acting: &Acting<'_>, plan: &str, steps: &[Step]) -> Result<ActOutcome, NotActing> {
    with_lease(cx, async |run, holder| turns(cx, acting, plan, steps, &run, &holder).await).await
}

/// Does something under the acting lease, which is given back afterwards whatever came of it.
pub(super) async fn with_lease<T>(
    cx: &Context,
    work: impl AsyncFnOnce(Run, String) -> Result<T, NotActing>,
) -> Result<T, NotActing> {
    let now = cx.clock.now();
    let state_id = cx.store.state_id().context("reading the state's id")?;
    let holder = format!("{}@{}", std::process::id(), now.timestamp_micros());
    let fence = cx
        .store
        .acquire(ACTING_LEASE, &holder, LEASE, now)
        .context("taking the acting lease")?
        .ok_or(NotActing::Busy)?;
    let run = Run { id: format!("{state_id}-{fence}"), fence, started_at: now };
    let result = work(run, holder.clone()).await;
    cx.store.release(ACTING_LEASE, &holder, fence).context("giving the acting lease back")?;
    result
}

async fn turns(
    cx: &Context,
    acting: &Acting<'_>,
    plan: &str,
    steps: &[Step],
    run: &Run,
    holder: &str,
) -> Result<ActOutcome, NotActing> {
    let remediator = remediator(cx, acting)?;
    remediator.doubt_the_trail().map_err(interrupted)?;
    remediator.doubt_the_state().await.map_err(interrupted)?;
    let mut outcome = ActOutcome::default();
    if let Some(why) = cx.store.put_back().context("comparing the state with its anchor")? {
        // What is open in an older copy may have ended since: nothing is gone on with, and nothing begun.
        let held = |step: &Step| ActedOn {
            id: None,
            resource: step.key.id.to_string(),
            act: step.words(),
            progress: Progress::Held,
            message: format!("{why}; {WAY_ON}"),
        };
        outcome.rows = steps.iter().map(held).collect();
        return Ok(outcome);
    }
    let mut waiting: VecDeque<(i64, Instant)> = VecDeque::new();
    let mut notes: BTreeMap<i64, (String, String)> = BTreeMap::new();

    let open = cx.store.open_remediations().context("reading open remediations")?;
    for row in &open {
        notes.insert(row.id, (row.step.key.id.to_string(), row.step.words()));
    }
    for resumed in remediator.resume_all(run).await.map_err(interrupted)? {
        let named = resumed.id.and_then(|id| notes.get(&id).cloned()).unwrap_or_default();
        settle(resumed, named, &mut waiting, &mut outcome);
    }
    // What a dead process left of an undo is gone on with first; a freeze holds it.
    for undo in remediator.resume_undos(run).await.map_err(interrupted)? {
        let mut undo = undo;
        while let (Some(id), Progress::WaitUntil(at)) = (undo.id, undo.progress) {
            if !sleep_until(cx, acting, at, run, holder).await? {
                outcome.interrupted = true;
                break;
            }
            undo = remediator.advance_undo(id, false, run).await.map_err(interrupted)?;
        }
        tracing::info!(undo = undo.id, message = undo.message, "went on with an undo");
    }
    for step in steps {
        if acting.work.cancel.is_cancelled() {
            outcome.interrupted = true;
            break;
        }
        // The same plan applied again after a crash: the step is being gone on with, and is not begun a second time.
        if open.iter().any(|row| row.plan == plan && row.step.finding == step.finding) {
            continue;
        }
        let named = (step.key.id.to_string(), step.words());
        let started = remediator.start(step, plan, run).await.map_err(interrupted)?;
        if let Some(id) = started.id {
            notes.insert(id, named.clone());
        }
        settle(started, named, &mut waiting, &mut outcome);
        acting.work.pulse.beat();
    }
    while let Some((id, at)) = soonest(&mut waiting) {
        if !sleep_until(cx, acting, at, run, holder).await? {
            outcome.interrupted = true;
            waiting.push_back((id, at));
            for ended in finish_half_way(cx, &remediator, &mut waiting, run, holder).await? {
                let named = ended.id.and_then(|id| notes.get(&id).cloned()).unwrap_or_default();
                settle(ended, named, &mut waiting, &mut outcome);
            }
            let Some((id, at)) = soonest(&mut waiting) else { break };
            for (id, at) in std::iter::once((id, at)).chain(waiting.drain(..)) {
                let (resource, act) = notes.get(&id).cloned().unwrap_or_default();
                let message = "stopped while waiting; the journal goes on from here".to_owned();
                outcome.rows.push(ActedOn { id: Some(id), resource, act, progress: Progress::WaitUntil(at), message });
            }
            break;
        }
        let advanced = remediator.advance(id, run).await.map_err(interrupted)?;
        settle(advanced, notes.get(&id).cloned().unwrap_or_default(), &mut waiting, &mut outcome);
        acting.work.pulse.beat();
    }
    Ok(outcome)
}

/// Asked to stop while an act of several calls is half-way: an instance must not stay stopped until the next start of
/// this program, so such acts are walked on, for as long as a stop may take. Takes out of `waiting` what has ended.
async fn finish_half_way(
    cx: &Context,
    remediator: &Remediator,
    waiting: &mut VecDeque<(i64, Instant)>,
    run: &Run,
    holder: &str,
) -> Result<Vec<Outcome>, NotActing> {
    let until = cx.clock.now() + HALF_WAY;
    let mut ended = Vec::new();
    for (id, mut at) in std::mem::take(waiting) {
        let row = cx.store.remediation(id).context("reading an act that waits")?;
        let half_way = row.is_some_and(|row| !row.parts.is_empty() && !row.state.ended());
        let end = loop {
            if !half_way || at > until {
                break None;
            }
            let nap = (at - cx.clock.now()).clamp(TimeDelta::milliseconds(1), NAP).to_std().unwrap_or_default();
            cx.clock.sleep(nap).await;
            let now = cx.clock.now();
            if !cx.store.renew(ACTING_LEASE, holder, run.fence, LEASE, now).context("keeping the acting lease")? {
                break None;
            }
            let outcome = remediator.advance(id, run).await.map_err(interrupted)?;
            match outcome.progress {
                Progress::WaitUntil(next) => at = next,
                Progress::Ended(_) | Progress::Held => break Some(outcome),
            }
        };
        match end {
            Some(outcome) => ended.push(outcome),
            None => waiting.push_back((id, at)),
        }
    }
    Ok(ended)
}

fn settle(
    result: Outcome,
    (resource, act): (String, String),
    waiting: &mut VecDeque<(i64, Instant)>,
    outcome: &mut ActOutcome,
) {
    match (result.id, result.progress) {
        (Some(id), Progress::WaitUntil(at)) => waiting.push_back((id, at)),
        (id, progress) => outcome.rows.push(ActedOn { id, resource, act, progress, message: result.message }),
    }
}

/// Takes the one that is to be looked at first.
fn soonest(waiting: &mut VecDeque<(i64, Instant)>) -> Option<(i64, Instant)> {
    let index = waiting.iter().enumerate().min_by_key(|(_, (_, at))| *at)?.0;
    waiting.remove(index)
}

/// Sleeps in naps and keeps the lease; false when asked to stop.
pub(super) async fn sleep_until(
    cx: &Context,
    acting: &Acting<'_>,
    at: Instant,
    run: &Run,
    holder: &str,
) -> Result<bool, NotActing> {
    loop {
        if acting.work.cancel.is_cancelled() {
            return Ok(false);
        }
        let now = cx.clock.now();
        let kept = cx.store.renew(ACTING_LEASE, holder, run.fence, LEASE, now).context("keeping the acting lease")?;
        if !kept && !planted!("drop-the-fence") {
            return Err(NotActing::Failed(anyhow::anyhow!("the acting lease was lost; another worker has taken over")));
        }
        if now >= at {
            return Ok(true);
        }
        acting.work.pulse.beat();
        acting.post.go().await;
        // A millisecond at least: a clock that counts whole microseconds must not stand still before a finer instant.
        let nap = (at - now).clamp(TimeDelta::milliseconds(1), NAP).to_std().unwrap_or_default();
        tokio::select! {
            () = cx.clock.sleep(nap) => {}
            () = acting.work.cancel.cancelled() => {}
        }
    }
}

pub(super) fn interrupted(why: Interrupted) -> NotActing {
    NotActing::Failed(anyhow::Error::new(why).context("an act was interrupted; the journal goes on from there"))
}

pub(super) fn remediator(cx: &Context, acting: &Acting<'_>) -> Result<Remediator, NotActing> {
    let totals: BTreeMap<_, _> = totals(cx)?.into_iter().collect();
    let enforcement = &cx.settings.enforcement;
    let rules = GateRules {
        places: cx.places(),
        mode: enforcement.mode,
        by_hand: acting.by_hand,
        pace: enforcement.pace,
        breaker: enforcement.breaker,
        totals,
        window: enforcement.window.clone(),
        switches: cx.switches(),
        guards: cx.guard_rules(),
        exceptions: cx.settings.exceptions.clone(),
        people: cx
            .rules
            .rules()
            .iter()
            .filter_map(|rule| {
                let asked = rule.approval.as_ref()?;
                Some(((rule.policy.to_string(), rule.rule.to_string()), asked.people))
            })
            .collect(),
        policies: cx.rules.hashes.clone(),
        ignore_tags: cx.settings.tags.ignore.clone(),
        prices: cx.prices.clone(),
    };
    let tools = Tools {
        store: cx.store.clone(),
        read: cx.cloud.clone(),
        act: acting.actor.clone(),
        clock: cx.clock.clone(),
        recheck: Arc::new(FreshFacts::new(cx.clone())),
        announce: acting.announce.clone(),
        halt: acting.halt.clone(),
    };
    Ok(Remediator::new(tools, rules))
}
