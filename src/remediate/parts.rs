//! Acts of several calls: from one settled call to the next, there and, when one does not work, back.
//!
//! `driver` and `undo` make the first call with all their questions and come here for the rest. Every call has its own
//! intent, committed before it is made, its own answer, and is seen before the next; each is a durable commit of the
//! same row (`parts`). After a crash the last call is only looked at. What may come next is
//! [`Passage`]'s to say; here are the clock, the gate and the journal. Whatever happens between the first call and the
//! last, nobody is left in the dark: people are told within five minutes of the first sign of trouble, or the instance
//! runs again (safety.md, H21).

use chrono::TimeDelta;

use super::actions::resize_instance::{Passage, Turn};
use super::driver::Next;
use super::observe::{BLIND, LOOKS, Seen, seen};
use super::written::call_hash;
use super::{Interrupted, Remediator, Ruling, Run};
use crate::cloud::{Answer, Call, CloudError, ErrorKind};
use crate::domain::Instant;
use crate::domain::place::ResourceKey;
use crate::domain::remediation::{JournalState, Look, Part, PartName, PartOutcome, Remediation};
use crate::domain::text::clean;
use crate::domain::undo::Undo;

/// How long reads must agree that an accepted call had no effect: the cloud may show a change minutes late.
const ACCEPTED: TimeDelta = TimeDelta::minutes(4);

/// How long they must agree after an unclear answer. What follows is another call, which EC2 refuses if they were wrong.
const UNCLEAR: TimeDelta = TimeDelta::minutes(2);

/// How long after the first sign of trouble people are told at the latest.
const TROUBLE: TimeDelta = TimeDelta::seconds(280);

/// Between two tries of a call that was refused for certain.
const PAUSE: TimeDelta = TimeDelta::seconds(20);

/// Longest wait for the next look.
const LONGEST: TimeDelta = TimeDelta::seconds(10);

/// The journal row that is walked: of an act, or of an undo that a person may have asked for in spite of a freeze.
pub(super) enum Row<'a> {
    Act(&'a mut Remediation),
    Undo(&'a mut Undo, bool),
}

/// What the reads after one call amount to.
enum Settled {
    Seen(String),
    NoEffect(String),
    NotYet,
    Lost(String),
}

impl Remediator {
    /// The way of an act of several calls, once the first is under way.
    pub(super) async fn walk_parts(&self, remediation: &mut Remediation, run: &Run) -> Result<Next, Interrupted> {
        let passage = match Passage::of(remediation) {
            Ok(passage) => passage,
            Err(why) => return self.stuck(remediation, &why, run).await,
        };
        let settled = matches!(remediation.state, JournalState::PartSeen | JournalState::Compensating);
        let mut row = Row::Act(remediation);
        if settled {
            self.next_part(&mut row, &passage, run).await
        } else {
            self.observe_part(&mut row, &passage, run).await
        }
    }

    /// One look for the effect of the last call.
    pub(super) async fn observe_part(
        &self,
        row: &mut Row<'_>,
        passage: &Passage,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let Some(last) = row.parts().last().cloned() else {
            return row.stuck(self, "no call is on file", run).await;
        };
        let key = row.key().clone();
        let (look, words) = match self.tools.read.describe(&key).await {
            Ok(fresh) if fresh.key == key => match fresh.instance() {
                Some(now) => (passage.look(last.name, now), seen_words(now.state.as_str(), &now.instance_type)),
                None => return row.stuck(self, "it was read, but not as an instance", run).await,
            },
            Ok(other) => {
                return row.stuck(self, &format!("asked for {key}, the cloud answered {}", other.key), run).await;
            }
            Err(error) if error.kind == ErrorKind::NotFound => (Look::Gone, "not found".to_owned()),
            Err(error) => return self.blind(row, passage, &error, run).await,
        };
        self.tools.halt.pass(&row.point("10", "call")).await?;
        let now = self.tools.clock.now();
        let (looks, steady) = row.count(look, now);
        let answered = row.state() == JournalState::Answered;
        // While it stops, or cannot be found any more, it serves nobody: that is told as soon as any other trouble.
        let hangs = passage.restart && now - row.updated_at().max(run.started_at) >= TROUBLE;
        let settled = if row.parts().len() == 1 && hangs && look == Look::Between {
            Settled::Lost("it does not arrive".into())
        } else if row.parts().len() == 1 && hangs && look == Look::Gone {
            Settled::Lost("it is not found any more, which proves nothing".into())
        } else if row.parts().len() == 1 {
            match seen(look, answered, false, looks, steady, now - row.updated_at()) {
                Seen::Effect(effect) => Settled::Seen(effect),
                Seen::NotYet => Settled::NotYet,
                Seen::Stuck(why) => Settled::Lost(why),
            }
        } else {
            settle(look, answered, looks, steady, overdue(row, passage, run, now))
        };
        match settled {
            Settled::Seen(effect) => {
                let words = format!("{}: {effect}, {words}", last.name.word());
                row.settle(PartOutcome::Seen, "");
                row.commit(self, JournalState::PartSeen, &words, run).await?;
                Ok(Next::Go)
            }
            Settled::NoEffect(why) => {
                let words = format!("{}: {why}, {words}", last.name.word());
                row.settle(PartOutcome::NoEffect, &words);
                row.commit(self, JournalState::Compensating, &words, run).await?;
                Ok(Next::Go)
            }
            Settled::NotYet => {
                let words = format!("waiting for {}: {words}, {looks} reads in a row", last.name.word());
                row.wait(self, &words, run)
            }
            Settled::Lost(why) => {
                let why = format!("{}: {why}: {words} in {looks} reads", last.name.word());
                row.stuck(self, &why, run).await
            }
        }
    }

    /// Decides what comes after a settled call, and does it.
    pub(super) async fn next_part(&self, row: &mut Row<'_>, passage: &Passage, run: &Run) -> Result<Next, Interrupted> {
        let key = row.key().clone();
        let read_at = self.tools.clock.now();
        let fresh = match self.tools.read.describe(&key).await {
            Ok(fresh) => fresh,
            Err(error) => return self.blind(row, passage, &error, run).await,
        };
        self.tools.halt.pass(&row.point("4", "call")).await?;
        let Some(instance) = fresh.instance().filter(|_| fresh.key == key) else {
            return row.stuck(self, &format!("asked for {key}, the cloud answered {}", fresh.key), run).await;
        };
        let now = self.tools.clock.now();
        let late = overdue(row, passage, run, now);
        let (name, call) = match passage.turn(row.parts(), instance) {
            Turn::Arrived(words) => {
                row.commit(self, JournalState::Observed, &words, run).await?;
                return Ok(Next::Go);
            }
            Turn::Back(words) => return row.taken_back(self, &words, run).await,
            Turn::Call(name, call) if !late => (name, call),
            Turn::Lost(why) => {
                let words = seen_words(instance.state.as_str(), &instance.instance_type);
                return row.stuck(self, &format!("{why}; it is left {words}"), run).await;
            }
            Turn::Wait(words) if !late => return row.wait(self, &words, run),
            Turn::Call(..) | Turn::Wait(_) => {
                let words = seen_words(instance.state.as_str(), &instance.instance_type);
                return row.stuck(self, &format!("it could not be finished in time; it is left {words}"), run).await;
            }
        };
        let again = row.parts().last().is_some_and(|last| last.name == name && now < last.intended_at + PAUSE);
        if again {
            return row.wait(self, &format!("asking for {} again soon", name.word()), run);
        }
        match self.gate_part(row, passage, &call, &fresh, read_at, run)? {
            Ruling::Pass => {}
            Ruling::Hold(why) => return row.hold(self, &why, run),
            Ruling::Refuse(_, why) | Ruling::Freeze(why) => {
                let words = seen_words(instance.state.as_str(), &instance.instance_type);
                return row.stuck(self, &format!("stopped half-way: {why}; it is left {words}"), run).await;
            }
        }
        row.begin(name, call_hash(&call), now);
        let words = format!("about to call {} once, to {}", call.operation(), name.word());
        row.commit(self, JournalState::ActIntent, &words, run).await?;
        // From here on there is no await before the call. A freeze of the last moment still stops it.
        match self.gate_part(row, passage, &call, &fresh, read_at, run)? {
            Ruling::Pass => {}
            Ruling::Hold(why) => return row.hold(self, &why, run),
            Ruling::Refuse(_, why) | Ruling::Freeze(why) => {
                row.settle(PartOutcome::Refused, &why);
                let why = format!("stopped in the last moment, {} was not called: {why}", call.operation());
                return row.stuck(self, &why, run).await;
            }
        }
        let answer = self.tools.act.execute(&key.partition.place, &call).await;
        self.tools.halt.pass(&row.point("8", "call")).await?;
        self.part_answered(row, &call, answer, run).await
    }

    /// Writes down what the cloud said to a call that was not the first.
    async fn part_answered(
        &self,
        row: &mut Row<'_>,
        call: &Call,
        answer: Result<Answer, CloudError>,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let (outcome, state, words) = match answer {
            Ok(answer) => {
                row.answered(answer.request_id);
                (PartOutcome::Answered, JournalState::Answered, format!("the cloud accepted {}", call.operation()))
            }
            Err(error) if error.kind == ErrorKind::Uncertain => {
                let words = format!("whether it was done is not known; only reads decide now: {error}");
                (PartOutcome::Uncertain, JournalState::Uncertain, words)
            }
            Err(error) => {
                let throttled = error.kind == ErrorKind::Throttled;
                let outcome = if throttled { PartOutcome::Throttled } else { PartOutcome::Refused };
                (outcome, JournalState::Compensating, format!("the cloud refused: {error}"))
            }
        };
        row.settle(outcome, if state == JournalState::Compensating { &words } else { "" });
        row.commit(self, state, &words, run).await?;
        Ok(Next::Go)
    }

    /// A read that failed says nothing; too long without one, and people must look.
    async fn blind(
        &self,
        row: &mut Row<'_>,
        passage: &Passage,
        error: &CloudError,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let now = self.tools.clock.now();
        if overdue(row, passage, run, now) || now - row.updated_at() >= BLIND {
            let why = format!("half-way through, its state could not be read: {error}");
            return row.stuck(self, &why, run).await;
        }
        row.wait(self, &format!("its state could not be read: {error}"), run)
    }
}

/// The reads after a call that was not the first.
fn settle(look: Look, answered: bool, looks: u32, steady: TimeDelta, late: bool) -> Settled {
    let long = if answered { ACCEPTED } else { UNCLEAR };
    match look {
        Look::Reached => Settled::Seen("its effect was seen".into()),
        Look::Unchanged if looks >= LOOKS && steady >= long => {
            Settled::NoEffect(format!("no effect in {looks} reads over {} seconds", steady.num_seconds()))
        }
        _ if late => Settled::Lost("its effect does not show".into()),
        _ => Settled::NotYet,
    }
}

/// Whether people must be told now: an instance that ran is not running, or may not be, for this long since the call that
/// did not work, or since the last thing that was seen. A restarted process looks for itself first.
fn overdue(row: &Row<'_>, passage: &Passage, run: &Run, now: Instant) -> bool {
    if !passage.restart {
        return false;
    }
    let trouble = row.parts().iter().skip(1).find(|part| part.outcome != PartOutcome::Seen);
    let since = trouble.map_or(row.updated_at(), |part| part.intended_at);
    now - since.max(run.started_at) >= TROUBLE
}

fn seen_words(state: &str, instance_type: &str) -> String {
    format!("{} with type {}", clean(state), clean(instance_type))
}

impl Row<'_> {
    pub fn key(&self) -> &ResourceKey {
        match self {
            Row::Act(act) => &act.step.key,
            Row::Undo(undo, _) => &undo.key,
        }
    }

    pub fn parts(&self) -> &[Part] {
        match self {
            Row::Act(act) => &act.parts,
            Row::Undo(undo, _) => &undo.parts,
        }
    }

    fn state(&self) -> JournalState {
        match self {
            Row::Act(act) => act.state,
            Row::Undo(undo, _) => undo.state,
        }
    }

    fn updated_at(&self) -> Instant {
        match self {
            Row::Act(act) => act.updated_at,
            Row::Undo(undo, _) => undo.updated_at,
        }
    }

    /// The name of a crash point: `J8[start].call`.
    fn point(&self, number: &str, place: &str) -> String {
        let letter = if matches!(self, Row::Act(_)) { 'J' } else { 'U' };
        format!("{}.{place}", part_label(&format!("{letter}{number}"), self.parts()))
    }

    fn begin(&mut self, name: PartName, hash: String, now: Instant) {
        let part = Part::intended(name, hash.clone(), now);
        match self {
            Row::Act(act) => {
                act.parts.push(part);
                act.call_hash = Some(hash);
                (act.looks, act.first_look_at, act.last_look) = (0, None, None);
            }
            Row::Undo(undo, _) => {
                undo.parts.push(part);
                undo.call_hash = Some(hash);
                (undo.looks, undo.first_look_at, undo.last_look) = (0, None, None);
            }
        }
    }

    fn answered(&mut self, request_id: String) {
        let (own, parts) = match self {
            Row::Act(act) => (&mut act.request_id, &mut act.parts),
            Row::Undo(undo, _) => (&mut undo.request_id, &mut undo.parts),
        };
        if let Some(last) = parts.last_mut() {
            last.request_id = Some(request_id.clone());
        }
        *own = Some(request_id);
    }

    fn settle(&mut self, outcome: PartOutcome, words: &str) {
        let parts = match self {
            Row::Act(act) => &mut act.parts,
            Row::Undo(undo, _) => &mut undo.parts,
        };
        settle_last(parts, outcome, words);
    }

    /// Counts one look; how many in a row said the same, and for how long.
    fn count(&mut self, look: Look, now: Instant) -> (u32, TimeDelta) {
        let (looks, first, last) = match self {
            Row::Act(act) => (&mut act.looks, &mut act.first_look_at, &mut act.last_look),
            Row::Undo(undo, _) => (&mut undo.looks, &mut undo.first_look_at, &mut undo.last_look),
        };
        if *last == Some(look) {
            *looks += 1;
        } else {
            (*looks, *first, *last) = (1, Some(now), Some(look));
        }
        (*looks, now - first.unwrap_or(now))
    }

    async fn commit(&mut self, own: &Remediator, to: JournalState, words: &str, run: &Run) -> Result<(), Interrupted> {
        match self {
            Row::Act(act) => own.commit(act, to, words, run).await,
            Row::Undo(undo, _) => own.commit_undo(undo, to, words).await,
        }
    }

    async fn stuck(&mut self, own: &Remediator, why: &str, run: &Run) -> Result<Next, Interrupted> {
        match self {
            Row::Act(act) => own.stuck(act, why, run).await,
            Row::Undo(undo, _) => own.stuck_undo(undo, why).await,
        }
    }

    /// Ends without the effect that was asked for, everything as it was: a failure that people hear of.
    async fn taken_back(&mut self, own: &Remediator, words: &str, run: &Run) -> Result<Next, Interrupted> {
        match self {
            Row::Act(act) => own.fail(act, JournalState::Refused, words, run).await,
            Row::Undo(undo, _) => own.end_undo(undo, JournalState::Refused, words, None).await,
        }
    }

    fn wait(&mut self, own: &Remediator, why: &str, run: &Run) -> Result<Next, Interrupted> {
        let now = own.tools.clock.now();
        let since = self.updated_at();
        let at = now + ((now - since) / 2).clamp(TimeDelta::seconds(2), LONGEST);
        match self {
            Row::Act(act) => {
                act.next_look_at = Some(at);
                act.message = why.to_owned();
                own.tools.store.note_wait(act, run.fence)?;
            }
            Row::Undo(undo, _) => {
                undo.message = why.to_owned();
                own.tools.store.note_undo_wait(undo)?;
            }
        }
        Ok(Next::Wait(at))
    }

    fn hold(&mut self, own: &Remediator, why: &str, run: &Run) -> Result<Next, Interrupted> {
        match self {
            Row::Act(act) => own.hold(act, why, run),
            Row::Undo(undo, _) => own.hold_undo(undo, why),
        }
    }
}

/// Notes what became of the last call.
pub(super) fn settle_last(parts: &mut [Part], outcome: PartOutcome, words: &str) {
    if let Some(last) = parts.last_mut() {
        last.outcome = outcome;
        last.words = words.to_owned();
    }
}

/// The name of a state's crash points, with the call that it is about.
pub(super) fn part_label(label: &str, parts: &[Part]) -> String {
    match parts.last() {
        Some(last) => format!("{label}[{}]", last.name.word()),
        None => label.to_owned(),
    }
}
