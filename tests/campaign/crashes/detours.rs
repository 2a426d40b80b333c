//! The ways off the undisturbed walk, and crowds that die at each point of each of them.
//!
//! A detour is brought about by a fault of the simulated cloud or by a person's deed. In a crowd each is walked once
//! without a death, and then once more for each point that was passed after it had bitten.

use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::cloud::sim::{Change, Effect, Fault, Form, Span};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::mode::Freeze;
use costwarden::domain::plan::Step;
use costwarden::domain::remediation::JournalState::{self, Aborted, Done, Refused, Stuck};

use super::led::{Led, Supply};
use super::{crowd_of_one, fall_due};
use crate::director::Director;
use crate::policies::{ACTS, LARGE};
use crate::rng::Rng;
use crate::run::finish;
use crate::tally::Tally;

/// A way off the walk.
#[derive(Debug)]
pub struct Detour {
    pub word: &'static str,
    /// The acts that have it; all of them when empty.
    of: &'static [Act],
    how: How,
    /// How it may end, whoever died on it.
    pub ends: &'static [JournalState],
}

/// What leads there.
#[derive(Debug)]
enum How {
    /// Somebody tags the resource before the act's last questions.
    Tagged,
    /// A person freezes everything right after the claim.
    Frozen,
    /// A call goes wrong.
    Wrong(Wrong),
    /// There is no machine of the new type, or of either; and now and then a call goes wrong besides.
    Full(bool, Option<Wrong>),
}

/// How a call goes wrong.
#[derive(Debug)]
struct Wrong {
    operation: Operation,
    /// The n-th of them from 1, and with `on` all after it.
    nth: u64,
    on: bool,
    effect: Meets,
}

#[derive(Debug)]
enum Operation {
    /// The act's first one.
    Own,
    Snapshots,
    /// Named by what it makes, not by the act's resource.
    Image,
    Change,
    Start,
}

#[derive(Debug)]
enum Meets {
    Refusal(&'static str),
    /// Done, and nobody hears of it.
    LostAnswer,
    /// Not done, and nobody hears of it.
    Silence,
    FailedSnapshot,
}

const fn wrong(operation: Operation, nth: u64, on: bool, effect: Meets) -> Wrong {
    Wrong { operation, nth, on, effect }
}

const RESIZE: &[Act] = &[Act::ResizeInstance];
const BACKED_UP: &[Act] = &[Act::StopInstance, Act::DeleteVolume, Act::ResizeInstance, Act::TerminateInstance];

const fn detour(word: &'static str, of: &'static [Act], how: How, ends: &'static [JournalState]) -> Detour {
    Detour { word, of, how, ends }
}

/// All of them. Where a refusal died with the process that heard it, the old state is all that can be seen: Stuck is right.
static ALL: [Detour; 16] = [
    detour("changed", &[], How::Tagged, &[Refused]),
    detour(
        "refused",
        &[],
        How::Wrong(wrong(Operation::Own, 1, false, Meets::Refusal("OperationNotPermitted"))),
        &[Refused, Stuck],
    ),
    detour("frozen", &[], How::Frozen, &[Aborted]),
    detour("lost", &[], How::Wrong(wrong(Operation::Own, 1, false, Meets::LostAnswer)), &[Done]),
    detour("unheard", &[], How::Wrong(wrong(Operation::Own, 1, false, Meets::Silence)), &[Stuck]),
    detour(
        "snapshot-fails",
        BACKED_UP,
        How::Wrong(wrong(Operation::Snapshots, 1, true, Meets::FailedSnapshot)),
        &[Aborted],
    ),
    detour(
        "image-refused",
        &[Act::TerminateInstance],
        How::Wrong(wrong(Operation::Image, 1, true, Meets::Refusal("OperationNotPermitted"))),
        &[Aborted],
    ),
    detour(
        "change-refused",
        RESIZE,
        How::Wrong(wrong(Operation::Change, 1, true, Meets::Refusal("Unsupported"))),
        &[Refused],
    ),
    detour("change-lost", RESIZE, How::Wrong(wrong(Operation::Change, 1, false, Meets::LostAnswer)), &[Done]),
    detour("change-unheard", RESIZE, How::Wrong(wrong(Operation::Change, 1, false, Meets::Silence)), &[Refused]),
    detour("start-lost", RESIZE, How::Wrong(wrong(Operation::Start, 1, false, Meets::LostAnswer)), &[Done]),
    detour("start-unheard", RESIZE, How::Wrong(wrong(Operation::Start, 1, false, Meets::Silence)), &[Refused]),
    detour("no-room", RESIZE, How::Full(false, None), &[Refused]),
    detour("no-room-at-all", RESIZE, How::Full(true, None), &[Stuck]),
    detour(
        "back-lost",
        RESIZE,
        How::Full(false, Some(wrong(Operation::Change, 2, false, Meets::LostAnswer))),
        &[Refused],
    ),
    detour(
        "back-refused",
        RESIZE,
        How::Full(false, Some(wrong(Operation::Change, 2, true, Meets::Refusal("OperationNotPermitted")))),
        &[Stuck],
    ),
];

/// So many detours of a resize, which have most points, are in one crowd.
const IN_ONE: usize = 3;
/// How many resources a crowd has: as many as there are points, and one for each detour.
const CROWD: usize = 52;
const CROWD_OF_RESIZES: usize = 76;
/// How long a fault lasts that no single resource bounds; longer than any recovery.
const LASTS: TimeDelta = TimeDelta::hours(1);

/// The detours of an act.
pub fn of(act: Act) -> Vec<&'static Detour> {
    ALL.iter().filter(|own| own.of.is_empty() || own.of.contains(&act)).collect()
}

/// The detour of this name.
pub fn named(word: &str) -> Option<&'static Detour> {
    ALL.iter().find(|own| own.word == word)
}

/// Each crowd of one round: an act and some of its detours.
pub fn round() -> Vec<(Act, Vec<&'static Detour>)> {
    let mut crowds = Vec::new();
    for (act, _, _) in ACTS {
        let most = if act == Act::ResizeInstance { IN_ONE } else { usize::MAX };
        crowds.extend(of(act).chunks(most).map(|some| (act, some.to_vec())));
    }
    crowds
}

/// Plays a crowd: the first seeds are the first round, and so on.
pub async fn play(seed: u64, number: u64) -> Tally {
    let round = round();
    let (act, detours) = &round[number as usize % round.len()];
    let size = if *act == Act::ResizeInstance { CROWD_OF_RESIZES } else { CROWD };
    let director = crowd_of_one(seed, *act, size);
    fall_due(&director).await;
    let mut rng = Rng::new(seed, "detours");
    let mut supply = Supply::of(*act);
    for detour in detours {
        die_at_each(&director, &mut supply, *act, detour, &mut rng).await;
    }
    crate::judge::ends::judge(&director);
    finish(&director)
}

/// One detour, walked once and then died on at each of its points.
async fn die_at_each(director: &Arc<Director>, supply: &mut Supply, act: Act, detour: &'static Detour, rng: &mut Rng) {
    let alive = Led { act, detour: Some(detour), first: None, second: None };
    let Some(traced) = supply.lead(director, &alive).await else { return };
    if !traced.bitten {
        return director.judge("I20", Some(format!("no {act} was led to {}", detour.word)));
    }
    let mut points: Vec<&String> = traced.walk.iter().collect();
    points.sort();
    points.dedup();
    for point in points {
        let times = traced.walk.iter().filter(|own| *own == point).count();
        let time = if rng.chance(50) { 1 } else { 1 + rng.below(times as u64) as usize };
        let led = Led { first: Some((point.clone(), time)), ..alive.clone() };
        let Some(passed) = supply.lead(director, &led).await else { return };
        if passed.deaths > 0 {
            director.with(|inner| *inner.tally.crashes.entry(led.point(point)).or_default() += 1);
        }
    }
}

impl Detour {
    /// Gets the cloud ready for it. When what it does there is over.
    pub fn prepare(&self, director: &Director, step: &Step) -> Instant {
        let until = director.truth.now() + LASTS;
        if let How::Full(both, _) = self.how {
            director.cloud.set_capacity(LARGE.1, false);
            director.cloud.set_capacity(LARGE.0, !both);
        }
        if let Some(wrong) = self.wrong() {
            director.cloud.add_fault(wrong.fault(step, until));
        }
        until
    }

    /// The cloud is well again.
    pub fn clear(&self, director: &Director, until: Instant) {
        match &self.how {
            How::Full(..) => {
                director.cloud.set_capacity(LARGE.1, true);
                director.cloud.set_capacity(LARGE.0, true);
            }
            How::Wrong(Wrong { operation: Operation::Image, .. }) => director.pass_to(until),
            _ => {}
        }
    }

    fn wrong(&self) -> Option<&Wrong> {
        match &self.how {
            How::Wrong(wrong) | How::Full(_, Some(wrong)) => Some(wrong),
            _ => None,
        }
    }

    /// Does at a point what is to be done there; true once there is nothing more to do.
    pub fn begins(&self, director: &Director, act: Act, step: &Step, point: &str) -> bool {
        match &self.how {
            How::Tagged if point == if BACKED_UP.contains(&act) { "J7.after" } else { "J4.after" } => {
                let tags = vec![("project".to_owned(), "changed".to_owned())];
                let done = director.cloud.apply("ann", Change::Tag { resource: step.key.id.to_string(), tags }).is_ok();
                // Long enough for every read to show it.
                director.pass_to(director.truth.now() + director.scene.lag + TimeDelta::minutes(2));
                done
            }
            How::Frozen if point == "J3.after" => {
                let freeze = Freeze { at: director.wall.now(), by: "eve".into(), reason: "let me look".into() };
                director.store.freeze(&freeze).is_ok()
            }
            How::Tagged | How::Frozen => false,
            How::Wrong(_) | How::Full(..) => true,
        }
    }

    /// Whether it shows at this point; `known` faults were there before its own.
    pub fn bites(&self, director: &Director, known: usize, point: &str) -> bool {
        match &self.how {
            How::Tagged | How::Frozen => true,
            How::Wrong(_) | How::Full(_, Some(_)) => {
                director.cloud.fault_hits().get(known).is_some_and(|hits| *hits > 0)
            }
            How::Full(_, None) => point == "J8[start].call",
        }
    }
}

impl Wrong {
    fn fault(&self, step: &Step, until: Instant) -> Fault {
        let operation = match self.operation {
            Operation::Own => own_call(step.act),
            Operation::Snapshots if step.act == Act::DeleteVolume => "CreateSnapshot",
            Operation::Snapshots => "CreateSnapshots",
            Operation::Image => "RegisterImage",
            Operation::Change => "ModifyInstanceAttribute",
            Operation::Start => "StartInstances",
        };
        let effect = match self.effect {
            Meets::Refusal(code) => Effect::Reject(code.into()),
            Meets::LostAnswer => Effect::TimeoutAfterEffect,
            Meets::Silence => Effect::Timeout,
            Meets::FailedSnapshot => Effect::SnapshotFails,
        };
        // Of the resource's own calls; an image is named by itself and bounded by time.
        let target = (!matches!(self.operation, Operation::Image)).then(|| step.key.id.to_string());
        let last = if self.on { self.nth + 9 } else { self.nth };
        Fault {
            target,
            form: Some(Form::Change),
            calls: (self.nth..=last).collect(),
            span: Span { from: None, until: Some(until) },
            ..Fault::on(operation, effect)
        }
    }
}

fn own_call(act: Act) -> &'static str {
    match act {
        Act::StopInstance | Act::ResizeInstance => "StopInstances",
        Act::TerminateInstance => "TerminateInstances",
        Act::DeleteVolume => "DeleteVolume",
        Act::AddTags => "CreateTags",
        Act::ModifyVolume => "ModifyVolume",
        Act::ReleaseAddress => "ReleaseAddress",
        Act::DeleteSnapshot => "DeleteSnapshot",
        Act::ExpireSnapshot | Act::ExpireImage | Act::SendNotification => "",
    }
}
