//! H21: each of the seven steps of a resize fails, in many ways, once or again on the way back, with and without a crash
//! in between. Afterwards the instance runs, or people were told within five minutes that it does not.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use costwarden::cloud::sim::{CallRecord, Effect, Fault, Form, Outcome, Span};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::plan::Step;
use costwarden::domain::resource::Resource;

use super::{apply, due, fresh_day, played, reached, settle};
use crate::director::Director;
use crate::policies::LARGE;
use crate::rng::Rng;
use crate::tally::Tally;

/// The seven steps: name, the point from which on its trouble begins, the call that fails; none for a look.
const STEPS: [(&str, &str, Option<&str>); 7] = [
    ("stop", "J8[stop].before", Some("StopInstances")),
    ("wait-stopped", "J9[stop].before", None),
    ("change", "J8[change_type].before", Some("ModifyInstanceAttribute")),
    ("verify-type", "J9[change_type].before", None),
    ("start", "J8[start].before", Some("StartInstances")),
    ("wait-running", "J9[start].before", None),
    ("verify-end", "J10[start].before", None),
];
/// Told after the first sign of trouble.
const SOON: TimeDelta = TimeDelta::minutes(5);
/// The successor of a dead process waits for its lease, and has its own fifteen minutes (I15).
const AFTER_A_DEATH: TimeDelta = TimeDelta::minutes(36);

/// What goes wrong in one case.
struct Trouble {
    step: usize,
    faults: Vec<Fault>,
    /// No machine of the new type, or of either.
    full: (bool, bool),
    /// The process dies at so many points after the trouble began.
    dies_after: Option<u32>,
}

/// A crowd of resizes.
pub fn play(seed: u64) -> Tally {
    played(seed, &[(Act::ResizeInstance, 24)], async |director, rng| {
        let (mut plan, mut steps) = due(director).await;
        let mut since = director.truth.now();
        let mut number = 0;
        while let Some(index) = steps.iter().position(|step| step.act == Act::ResizeInstance) {
            let step = steps.remove(index);
            one(director, rng, &plan, &step, number).await;
            number += 1;
            let before = since;
            fresh_day(director, &mut since).await;
            if since != before {
                (plan, steps) = due(director).await;
            }
        }
    })
}

async fn one(director: &Arc<Director>, rng: &mut Rng, plan: &str, step: &Step, number: u32) {
    let id = step.key.id.to_string();
    let trouble = draw(rng, &id, number as usize % STEPS.len());
    let sort = STEPS[trouble.step].0;
    let capacity = trouble.full;
    director.tell(|| format!("{id}: {sort} {:?} full {capacity:?} dies {:?}", trouble.faults, trouble.dies_after));
    let known = (director.cloud.call_count(), director.cloud.fault_hits().len());
    let left = Mutex::new(trouble.dies_after);
    let (point, faults, sprung) = (STEPS[trouble.step].1, trouble.faults, AtomicBool::new(false));
    let deaths = apply(director, plan, step, 100 + 10 * number, move |director, passed| {
        if passed == point && !sprung.swap(true, SeqCst) {
            for fault in &faults {
                director.cloud.add_fault(from_now(fault, director.truth.now()));
            }
            if capacity.0 {
                director.cloud.set_capacity(LARGE.1, false);
            }
            if capacity.1 {
                director.cloud.set_capacity(LARGE.0, false);
            }
        }
        if !sprung.load(SeqCst) {
            return false;
        }
        let mut left = left.lock().expect("nobody panics with it");
        match left.as_mut() {
            Some(0) => {
                *left = None;
                true
            }
            Some(more) => {
                *more -= 1;
                false
            }
            None => false,
        }
    })
    .await;
    let calls = director.cloud.calls_since(known.0);
    let hits: u64 = director.cloud.fault_hits().iter().skip(known.1).sum();
    let failed = |own: &&CallRecord| own.outcome != Outcome::Done && !own.dry_run;
    let refused = calls.iter().filter(failed).any(|own| own.operation == "StartInstances");
    if hits > 0 || (refused && (capacity.0 || capacity.1)) {
        reached(director, sort);
        if deaths > 0 {
            director.with(|inner| inner.tally.did("with a crash", 1));
        }
    }
    judge(director, &id, sort, deaths, &calls);
    director.cloud.set_capacity(LARGE.0, true);
    director.cloud.set_capacity(LARGE.1, true);
    // Until every fault of this case is over.
    director.pass_to(director.truth.now() + TimeDelta::minutes(62));
    settle(director);
}

/// It runs, or people know, soon after the first sign of trouble; nothing is left open.
fn judge(director: &Director, id: &str, sort: &str, deaths: u32, calls: &[CallRecord]) {
    let store = &director.store;
    for open in store.open_remediations().unwrap_or_default() {
        director.judge("H21", Some(format!("{sort}: r-{} is open: {}", open.id, open.message)));
    }
    let state = director.cloud.truth(|truth| truth.resource(id).map_or("gone", Resource::state).to_owned());
    let runs = matches!(&*state, "running" | "pending");
    let begun = director.scene.world.start;
    let told = director.with(|inner| inner.book.told_of(id, begun).is_some());
    director.judge("H21", (!runs && !told).then(|| format!("{sort}: {id} is {state} and nobody was told")));
    let about = |own: &&CallRecord| own.target.as_deref() == Some(id) && !own.dry_run;
    let effective = |word: &str| {
        let made = calls.iter().filter(about).filter(|own| own.effective && own.operation == word);
        made.map(|own| own.at).collect::<Vec<Instant>>()
    };
    // From the stop until it starts again, or until people are told.
    let Some(down) = effective("StopInstances").first().copied() else { return };
    let stuck = store.stuck_remediations().unwrap_or_default().into_iter().find(|row| *row.step.key.id == *id);
    // Told is when the mail was taken, not when it was written.
    let told = stuck.and_then(|row| director.with(|inner| inner.book.told_of(id, row.updated_at)));
    let ends = effective("StartInstances").last().copied().into_iter().chain(told);
    let Some(end) = ends.min() else { return };
    let most = if deaths > 0 { AFTER_A_DEATH * deaths as i32 } else { SOON };
    let took = trouble(calls.iter().filter(about).filter(|own| down <= own.at && own.at <= end), end);
    let late = (took > most).then(|| format!("{sort}: {id} stands still, in trouble for {} s", took.num_seconds()));
    director.judge("H21", late);
}

/// The longest time in which every look failed, or in which nobody knew whether a change had been made, or from the
/// first change that failed for certain or without effect until the end.
fn trouble<'a>(calls: impl Iterator<Item = &'a CallRecord>, end: Instant) -> TimeDelta {
    let mut longest = TimeDelta::zero();
    let (mut blind, mut unclear, mut failed) = (None::<Instant>, None::<Instant>, None::<Instant>);
    for own in calls {
        let done = own.outcome == Outcome::Done;
        if own.mutating() {
            // What comes next shows that its effect was seen.
            longest = unclear.take().map_or(longest, |since| longest.max(own.at - since));
            match (done, own.effective) {
                (true, _) => {}
                (false, true) => unclear = Some(own.at),
                (false, false) => failed = failed.or(Some(own.at)),
            }
        } else if done {
            longest = blind.take().map_or(longest, |since| longest.max(own.at - since));
        } else {
            blind = blind.or(Some(own.at));
        }
    }
    [blind, unclear, failed].into_iter().flatten().map(|since| end - since).fold(longest, TimeDelta::max)
}

fn from_now(fault: &Fault, now: Instant) -> Fault {
    let length = fault.span.until.map_or(TimeDelta::hours(1), |until| until - Instant::UNIX_EPOCH);
    Fault { span: Span { from: Some(now), until: Some(now + length) }, ..fault.clone() }
}

/// How a case goes wrong. The length of a fault is said as its end counted from 1970.
fn draw(rng: &mut Rng, id: &str, step: usize) -> Trouble {
    let (_, _, call) = STEPS[step];
    let again = rng.chance(50);
    let errors = [
        Effect::Throttle,
        Effect::Deny,
        Effect::Expired,
        Effect::Timeout,
        Effect::TimeoutAfterEffect,
        Effect::Unavailable,
        Effect::Reject("IncorrectInstanceState".into()),
        Effect::Reject("Unsupported".into()),
        Effect::Reject("OperationNotPermitted".into()),
        Effect::Reject("InternalFailure".into()),
    ];
    let lasts = |minutes: i64| Span { from: None, until: Some(Instant::UNIX_EPOCH + TimeDelta::minutes(minutes)) };
    let target = Some(id.to_owned());
    let mut faults = Vec::new();
    let mut full = (false, false);
    match call {
        Some("StartInstances") if rng.chance(40) => full = (true, again),
        Some(operation) => {
            let calls = if again { Vec::new() } else { (1..=rng.between(1, 2) as u64).collect() };
            let fault =
                Fault { form: Some(Form::Change), target, calls, span: lasts(60), ..fault(operation, rng, &errors) };
            // On the way back another call may fail as well.
            if again && rng.chance(50) {
                let other = *rng.pick(&["ModifyInstanceAttribute", "StartInstances"]);
                let effect = rng.pick(&errors).clone();
                faults.push(Fault {
                    effect,
                    operation: Some(other.into()),
                    calls: vec![rng.between(1, 3) as u64],
                    ..fault.clone()
                });
            }
            faults.push(fault);
        }
        None => {
            let hidden = Effect::Hide(vec![id.to_owned()]);
            let looks = [Effect::Throttle, Effect::Deny, Effect::Expired, Effect::Timeout, Effect::Unavailable, hidden];
            let minutes = if again { 60 } else { rng.between(1, 9) };
            faults.push(Fault { span: lasts(minutes), ..fault("DescribeInstances", rng, &looks) });
        }
    }
    let dies_after = rng.chance(25).then(|| rng.between(0, 6) as u32);
    Trouble { step, faults, full, dies_after }
}

fn fault(operation: &str, rng: &mut Rng, effects: &[Effect]) -> Fault {
    Fault::on(operation, rng.pick(effects).clone())
}
