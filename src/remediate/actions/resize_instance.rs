//! Resizing an instance (R10): stop, change the type, start, each seen before the next; and the way back when one of
//! them does not work.
//!
//! [`Passage`] is that way, and pure: from what became of the calls so far and what the instance looks like now it
//! says which call is next. `parts` makes the calls and keeps the journal. A definite refusal after the stop leads
//! back to the old type and a running instance; where that does not work either, the passage is lost and people are
//! told. An instance that was stopped before stays stopped. No call is ever repeated unless EC2 said for certain that it
//! did nothing.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::InstanceId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Part, PartName, PartOutcome, Remediation};
use crate::domain::resource::{Instance, InstanceState, Resource};
use crate::domain::text::clean;

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::ResizeInstance, backup, call, look, ends_gone: false, restore, undo, undone };

/// How often in all a call is made that EC2 refuses for certain: on the way there for the number of requests alone, on
/// the way back whatever it says.
const TRIES: usize = 3;

/// One resize, there and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Which instance.
    pub instance: InstanceId,
    /// Its type before.
    pub from: String,
    /// The type that it gets.
    pub to: String,
    /// It ran before and runs afterwards, whatever happens.
    pub restart: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Make this call.
    Call(PartName, Call),
    /// It has its new type, and runs if it ran before.
    Arrived(String),
    /// It has its old type, and runs if it ran before.
    Back(String),
    /// Look again.
    Wait(String),
    /// Nothing more can be done by itself.
    Lost(String),
}

impl Passage {
    /// The way of an act, from its step and its recipe.
    ///
    /// # Errors
    /// When the row does not say where to or from where; in words.
    pub fn of(act: &Remediation) -> Result<Passage, String> {
        let Restore::ResizeInstance { instance, from, restart } = Recipe::of(act)?.restore else {
            return Err(format!("the recipe of r-{} is none of a resize", act.id));
        };
        let to = act.step.to_type.clone().ok_or_else(|| format!("r-{} names no type to change to", act.id))?;
        let instance = InstanceId::new(&instance).map_err(|error| error.to_string())?;
        Ok(Passage { instance, from, to, restart })
    }

    /// The way that a step would take now.
    ///
    /// # Errors
    /// When there is none; in words.
    pub fn planned(step: &Step, fresh: &Resource) -> Result<Passage, String> {
        let Some(to) = step.to_type.clone() else {
            return Err("no type of its series fits the limit, so there is none to change to".into());
        };
        let Some(now) = fresh.instance() else { return Err("it is no instance".into()) };
        if *now.instance_type == *to {
            return Err(format!("it has the type {} already", clean(&to)));
        }
        let instance = InstanceId::new(&step.key.id).map_err(|error| error.to_string())?;
        let restart = now.state == InstanceState::Running;
        Ok(Passage { instance, from: now.instance_type.to_string(), to, restart })
    }

    /// The way back of an act that is taken back. It is started again exactly if it was stopped for this.
    ///
    /// # Errors
    /// As [`Passage::of`].
    pub fn undoing(act: &Remediation, restart: bool) -> Result<Passage, String> {
        let there = Passage::of(act)?;
        Ok(Passage { from: there.to, to: there.from, restart, ..there })
    }

    /// The first call.
    pub fn first(&self) -> PartName {
        if self.restart { PartName::Stop } else { PartName::ChangeType }
    }

    /// Every call that may come, each as it would be made: all of them must be permitted before the first one.
    pub fn calls(&self) -> Vec<Call> {
        let parts: &[PartName] = if self.restart {
            &[PartName::Stop, PartName::ChangeType, PartName::ChangeTypeBack, PartName::Start]
        } else {
            &[PartName::ChangeType]
        };
        parts.iter().map(|part| self.call(*part)).collect()
    }

    /// A part's call.
    pub fn call(&self, part: PartName) -> Call {
        let instance = self.instance.clone();
        match part {
            PartName::Stop => Call::StopInstance { instance },
            PartName::ChangeType => Call::ModifyInstanceType { instance, to: self.to.clone() },
            PartName::ChangeTypeBack => Call::ModifyInstanceType { instance, to: self.from.clone() },
            PartName::Start | PartName::StartAgain => Call::StartInstance { instance },
        }
    }

    /// What one read says about a part's effect.
    pub fn look(&self, part: PartName, now: &Instance) -> Look {
        let typed = |wanted: &str, other: &str| match &*now.instance_type {
            own if own == wanted => Look::Reached,
            own if own == other => Look::Unchanged,
            _ => Look::Between,
        };
        match part {
            PartName::Stop => by_state(now, &InstanceState::Stopped, &InstanceState::Running),
            PartName::Start | PartName::StartAgain => by_state(now, &InstanceState::Running, &InstanceState::Stopped),
            PartName::ChangeType => typed(&self.to, &self.from),
            PartName::ChangeTypeBack => typed(&self.from, &self.to),
        }
    }

    /// What comes next after the calls so far.
    pub fn turn(&self, parts: &[Part], now: &Instance) -> Turn {
        use PartName::{ChangeType, ChangeTypeBack, Start, StartAgain, Stop};
        use PartOutcome::{NoEffect, Refused, Seen, Throttled};
        let Some(last) = parts.last() else { return Turn::Lost("no call was made".into()) };
        if matches!(now.state, InstanceState::ShuttingDown | InstanceState::Terminated) {
            return Turn::Lost(format!("it is {}, which we did not ask for", now.state.as_str()));
        }
        let tries = parts.iter().rev().take_while(|own| own.name == last.name).count();
        let stopped = now.state == InstanceState::Stopped;
        let running = now.state == InstanceState::Running;
        let has = |wanted: &str| &*now.instance_type == wanted;
        match (last.name, last.outcome) {
            (ChangeType | Start, Throttled) if stopped && tries < TRIES => self.go(last.name),
            (ChangeTypeBack | StartAgain, Throttled | Refused) if stopped && tries < TRIES => self.go(last.name),
            (Stop, Seen) if stopped && has(&self.from) => self.go(ChangeType),
            (Stop, Seen) if stopped && has(&self.to) => self.go(Start),
            (ChangeType, Seen) if !self.restart && has(&self.to) => {
                Turn::Arrived(format!("it is {} with type {}", state(now), clean(&self.to)))
            }
            (ChangeType, Seen) if stopped && planted!("leave-it-stopped") => self.arrived(),
            (ChangeType, Seen) if stopped && has(&self.to) => self.go(Start),
            (ChangeType, Refused | Throttled | NoEffect) if !self.restart => {
                Turn::Back(format!("it keeps its type {}; {}", clean(&now.instance_type), clean(&last.words)))
            }
            (ChangeType, Refused | Throttled | NoEffect) if stopped => self.go(StartAgain),
            (Start, Refused | Throttled | NoEffect) if stopped => self.go(ChangeTypeBack),
            (ChangeTypeBack, Seen) if stopped && has(&self.from) => self.go(StartAgain),
            (Start, Seen | NoEffect) | (ChangeTypeBack, _) if running && has(&self.to) => self.arrived(),
            (StartAgain, _) if running && has(&self.to) => self.arrived(),
            (Start | StartAgain, Seen) if running && has(&self.from) => {
                let why = parts.iter().find(|own| matches!(own.outcome, Refused | Throttled | NoEffect));
                let why = why.map_or("the change was not there", |own| &own.words);
                Turn::Back(format!("it runs again with its old type {}; {}", clean(&self.from), clean(why)))
            }
            (ChangeTypeBack | StartAgain, Refused | Throttled | NoEffect) if stopped => Turn::Lost(clean(&last.words)),
            _ => Turn::Wait(format!("it is {} with type {}", state(now), clean(&now.instance_type))),
        }
    }

    fn go(&self, part: PartName) -> Turn {
        Turn::Call(part, self.call(part))
    }

    fn arrived(&self) -> Turn {
        Turn::Arrived(format!("it runs with type {}", clean(&self.to)))
    }
}

fn state(now: &Instance) -> String {
    clean(now.state.as_str())
}

fn by_state(now: &Instance, wanted: &InstanceState, before: &InstanceState) -> Look {
    if now.state == *wanted {
        Look::Reached
    } else if now.state == *before {
        Look::Unchanged
    } else {
        Look::Between
    }
}

/// Always: a stop that is part of a resize loses no less than one alone, and a changed type may not boot.
fn backup(_: &Switches) -> Backup {
    Backup::InstanceVolumes
}

/// The first call.
fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let passage = Passage::planned(asked.step, asked.fresh)?;
    Ok(passage.call(passage.first()))
}

/// Of the last call that was made.
fn look(act: &Remediation, fresh: &Resource) -> Look {
    match (Passage::of(act), act.parts.last(), fresh.instance()) {
        (Ok(passage), Some(part), Some(now)) => passage.look(part.name, now),
        _ => Look::Between,
    }
}

fn restore(step: &Step, before: &Resource, _: &Call) -> Restore {
    let (from, restart) = match before.instance() {
        Some(instance) => (instance.instance_type.to_string(), instance.state == InstanceState::Running),
        None => (String::new(), false),
    };
    Restore::ResizeInstance { instance: step.key.id.to_string(), from, restart }
}

/// The first call of the way back.
fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let Some(now) = undoing.fresh.instance() else { return Err("it is no instance".into()) };
    let restart = now.state == InstanceState::Running;
    let passage = Passage::undoing(undoing.act, restart)?;
    if *now.instance_type != passage.from {
        let (is, was) = (clean(&now.instance_type), clean(&passage.from));
        return Err(format!("its type is {is} by now, not {was}"));
    }
    if !restart && now.state != InstanceState::Stopped {
        return Err(format!("it is {}, neither running nor stopped", state(now)));
    }
    Ok(passage.call(passage.first()))
}

fn undone(recipe: &Recipe, fresh: &Resource) -> Look {
    match (&recipe.restore, fresh.instance()) {
        (Restore::ResizeInstance { from, .. }, Some(now)) if *now.instance_type == **from => Look::Reached,
        _ => Look::Between,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::place;
    use crate::cloud::sim::plant;
    use crate::domain::Instant;
    use crate::domain::place::Kind;

    fn at() -> Instant {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn h21_whatever_became_of_the_last_call_the_next_one_fits_the_state_that_was_seen() {
        use PartName::{ChangeType, ChangeTypeBack, Start, StartAgain, Stop};
        use PartOutcome::{Answered, Intended, NoEffect, Refused, Seen, Throttled, Uncertain};
        let mut calls = 0;
        for restart in [true, false] {
            let instance = InstanceId::new("i-0a").unwrap();
            let passage = Passage { instance, from: "m5.xlarge".into(), to: "m5.large".into(), restart };
            // What was stopped before has one call alone.
            let names: &[PartName] =
                if restart { &[Stop, ChangeType, Start, ChangeTypeBack, StartAgain] } else { &[ChangeType] };
            for &name in names {
                for outcome in [Intended, Uncertain, Answered, Seen, Refused, Throttled, NoEffect] {
                    for tries in 1..=3 {
                        let part = Part { outcome, ..Part::intended(name, String::new(), at()) };
                        let parts = vec![part; tries];
                        for word in ["pending", "running", "stopping", "stopped", "shutting-down", "terminated", "odd"]
                        {
                            for own in ["m5.xlarge", "m5.large", "m5.24xlarge"] {
                                let key = place().partition(Kind::Instance).key("i-0a");
                                let planted = plant::instance(key, own, at())
                                    .with_instance(|now| now.state = InstanceState::from_word(word));
                                let now = planted.resource.instance().unwrap().clone();
                                let what = format!("{restart} {name:?} {outcome:?} {tries} {word} {own}");
                                match passage.turn(&parts, &now) {
                                    Turn::Call(next, call) => {
                                        calls += 1;
                                        assert_eq!(word, "stopped", "{what}: only on what is stopped");
                                        assert_ne!(next, Stop, "{what}: never stopped a second time");
                                        assert!(restart || next == ChangeType, "{what}: stays stopped");
                                        assert_eq!(call.target(), "i-0a");
                                        let settled = matches!(outcome, Seen | Refused | Throttled | NoEffect);
                                        assert!(settled, "{what}: nothing after an unsettled call");
                                        let again = next == name && !matches!(outcome, Refused | Throttled);
                                        assert!(!again, "{what}: only what EC2 refused for certain is asked for again");
                                    }
                                    Turn::Arrived(_) => {
                                        assert_eq!(own, "m5.large", "{what}");
                                        assert!(!restart || word == "running", "{what}");
                                    }
                                    Turn::Back(_) => assert!(!restart || word == "running", "{what}"),
                                    Turn::Wait(_) | Turn::Lost(_) => {}
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(calls > 50, "{calls}");
    }
}
