//! One act that is led: off its walk by something that goes wrong, to its death at one point, and its successor to its death
//! at another. Says what was passed, and judges how it ended.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::plan::Step;
use costwarden::domain::remediation::JournalState;
use costwarden::domain::resource::Resource;

use super::detours::Detour;
use super::{judge_recovery, late_to_bed, only, planned, settle, succeeded};
use crate::director::{Director, Witness};
use crate::kinds::Kind;
use crate::people;
use crate::policies::LARGE;
use crate::process::Process;

/// Where an act is led.
#[derive(Clone, Debug)]
pub struct Led {
    pub act: Act,
    pub detour: Option<&'static Detour>,
    /// The point at which it dies, and at which of the times that it is passed, counted from 1.
    pub first: Option<(String, usize)>,
    /// The point at which its successor dies.
    pub second: Option<String>,
}

/// What was passed on the way.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// What leads it off its walk has begun, and has bitten.
    begun: bool,
    pub bitten: bool,
    /// Points until its end or death; on a detour those since it was bitten.
    pub walk: Vec<String>,
    /// Points of the first successor, until its end or death.
    pub recovery: Vec<String>,
    /// Processes that died.
    pub deaths: u32,
}

impl Led {
    /// Its name in the list of points.
    pub fn point(&self, point: &str) -> String {
        match self.detour {
            Some(detour) => format!("{} {}:{point}", self.act, detour.word),
            None => format!("{} {point}", self.act),
        }
    }
}

/// Leads one act, and its successors to its end.
pub async fn lead(director: &Arc<Director>, led: &Led, plan: &str, step: &Step, process: u32) -> Passed {
    let passed = Arc::new(Mutex::new(Passed::default()));
    let known = director.cloud.fault_hits().len();
    let until = led.detour.map(|detour| detour.prepare(director, step));
    let witness: Arc<Witness> = {
        let (led, passed, step) = (led.clone(), passed.clone(), step.clone());
        Arc::new(move |director: &Director, point: &str| {
            let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
            look(director, &led, &step, known, &mut passed, point)
        })
    };
    director.tell(|| format!("led: {led:?}"));
    director.with(|inner| inner.witness = Some(witness));
    people::apply(director, process, plan, std::slice::from_ref(step)).await;
    let died = director.truth.now();
    succeeded(director, process, 8).await;
    director.with(|inner| inner.witness = None);
    if let Some(process) = Process::start(director, 1) {
        let _ = process.nightly.deliver().await;
        director.note_mail();
    }
    let passed = passed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let place = led.first.as_ref().map_or("its end", |(point, _)| point.as_str());
    let name = led.point(place);
    if passed.deaths > 0 {
        judge_recovery(director, &name, died, passed.deaths);
    }
    if let Some(detour) = led.detour.filter(|_| passed.bitten) {
        ended_right(director, led, detour, &name, step);
    }
    settle(director, led.act, place);
    if let (Some(detour), Some(until)) = (led.detour, until) {
        detour.clear(director, until);
    }
    passed
}

/// One point is passed; true where the process dies.
fn look(director: &Director, led: &Led, step: &Step, known: usize, passed: &mut Passed, point: &str) -> bool {
    match passed.deaths {
        0 => {
            if let Some(detour) = led.detour {
                passed.begun = passed.begun || detour.begins(director, led.act, step, point);
                passed.bitten = passed.bitten || (passed.begun && detour.bites(director, known, point));
                if !passed.bitten {
                    return false;
                }
            }
            passed.walk.push(point.to_owned());
            let times = passed.walk.iter().filter(|own| *own == point).count();
            if led.first.as_ref().is_none_or(|(first, time)| first != point || *time != times) {
                return false;
            }
            director.reached(Kind::Crash);
        }
        1 => {
            passed.recovery.push(point.to_owned());
            if led.second.as_deref() != Some(point) {
                return false;
            }
            director.reached(Kind::CrashPair);
        }
        _ => return false,
    }
    passed.deaths += 1;
    true
}

/// It ended as its detour must end, and a resize as its row says.
fn ended_right(director: &Director, led: &Led, detour: &Detour, name: &str, step: &Step) {
    let rows = director.store.remediations_of_finding(&step.finding).unwrap_or_default();
    let Some(row) = rows.last() else {
        return director.judge("I15", Some(format!("{name}: nothing of it is in the journal")));
    };
    // A resize that two deaths kept from its end is left to people, who are told. So is one that nobody knows to have been
    // put back; and a call whose intent was the last thing written was never made, so that it comes to nothing.
    let unsent = |point: &str| point.starts_with("J8[") && point.ends_with(".after");
    let cut = led.second.is_some() || led.first.as_ref().is_some_and(|(point, _)| unsent(point));
    let given_up =
        led.act == Act::ResizeInstance && cut && matches!(row.state, JournalState::Stuck | JournalState::Refused);
    let right = detour.ends.contains(&row.state) || given_up;
    let how = || format!("{name}: r-{} ended {}: {}", row.id, row.state.word(), row.message);
    director.judge("I15", (!right).then(how));
    let wanted = match row.state {
        JournalState::Done => LARGE.1,
        JournalState::Refused => LARGE.0,
        _ => return,
    };
    if led.act == Act::ResizeInstance {
        let right = director.cloud.truth(|truth| {
            let now = truth.resource(&step.key.id);
            let runs = now.map(Resource::state).is_some_and(|state| matches!(state, "running" | "pending"));
            runs && now.and_then(Resource::instance).is_some_and(|own| *own.instance_type == *wanted)
        });
        director.judge("I18", (!right).then(|| format!("{}, and it does not run as {wanted}", how())));
    }
}

/// The steps of one act, each resource once, planned anew now and then: people's word holds for a day.
pub struct Supply {
    act: Act,
    plan: String,
    steps: VecDeque<Step>,
    used: BTreeSet<String>,
    since: Option<Instant>,
    process: u32,
}

impl Supply {
    pub fn of(act: Act) -> Supply {
        Supply { act, plan: String::new(), steps: VecDeque::new(), used: BTreeSet::new(), since: None, process: 100 }
    }

    /// The next step, its plan, and the number of the process that shall do it.
    pub async fn next(&mut self, director: &Arc<Director>) -> Option<(String, Step, u32)> {
        director.with(|inner| inner.book.pace = only(self.act));
        late_to_bed(director).await;
        let now = director.truth.now();
        if self.since.is_none_or(|since| now - since > TimeDelta::hours(4)) {
            let (plan, steps) = planned(director, self.act).await?;
            let fresh = steps.into_iter().filter(|step| !self.used.contains(&*step.key.id));
            (self.plan, self.steps, self.since) = (plan, fresh.collect(), Some(now));
        }
        let step = self.steps.pop_front()?;
        self.used.insert(step.key.id.to_string());
        self.process += 10;
        Some((self.plan.clone(), step, self.process))
    }

    /// Leads the next one; `None` when all are used up.
    pub async fn lead(&mut self, director: &Arc<Director>, led: &Led) -> Option<Passed> {
        let (plan, step, process) = self.next(director).await?;
        assert!(!director.dead.load(SeqCst), "the last one was succeeded");
        Some(lead(director, led, &plan, &step, process).await)
    }
}
