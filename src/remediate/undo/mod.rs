//! Taking an act back: the journal's walk once more, with the recipe in place of a plan.
//!
//! `actions undo` asks for it ([`Remediator::undo`]), and a later run goes on with what a crash left
//! ([`Remediator::resume_undos`]). Everything is read again, the intent is committed before the call, the call is made
//! at most once and after an unclear answer only reads decide. What comes back under a new id is the exception that
//! proves the rule: a volume's call carries a token, and an address is asked for by its number, so that EC2 itself makes
//! no second one, and both are looked for before they are asked for again. At the end every field is compared with the recipe, and the finding is suppressed: nothing acts on
//! it again without a person. An undo needs no armed account, window or pace (a person asks for one act by its number),
//! but it stays within the accounts of the settings, a freeze holds it unless that person says otherwise, and it stops or
//! changes nothing that people protect by now (`harm`, and by code of its own the gate).

use chrono::TimeDelta;

use self::case::{Case, addresses_of, case, made_anew, made_by, makes_anew, named};
use self::ready::Ready;
use super::actions::Restore;
use super::actions::resize_instance::Passage;
use super::driver::Next;
use super::observe::{BLIND, Seen, seen};
use super::parts::{Row, part_label, settle_last};
use super::recheck::read_one;
use super::written::call_hash;
use super::{Interrupted, Outcome, Progress, Remediator, Ruling, Run};
use crate::cloud::{Call, CloudError, ErrorKind, read_partition};
use crate::domain::mode::Mode;
use crate::domain::place::ResourceKey;
use crate::domain::remediation::{JournalState, Look, Part, PartName, PartOutcome};
use crate::domain::text::clean;
use crate::domain::undo::{Difference, Undo, compare, compare_launch};
use crate::store::{ACTING_LEASE, StoreError, UndoClaimError};

mod case;
mod commit;
mod harm;
pub mod preview;
mod ready;

/// How late the cloud may show a new volume.
const VISIBLE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// How long something that cannot be read is asked for again before the call.
const PATIENCE: TimeDelta = TimeDelta::minutes(15);

/// A person's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoRequest {
    /// The act's number.
    pub act: i64,
    /// Who asks.
    pub by: String,
    /// Do it although everything is frozen: the person who looks at the accident repairs it.
    pub while_frozen: bool,
}

impl Remediator {
    /// Takes an act back, or goes on with an undo of it that is open, as far as that goes without waiting.
    ///
    /// # Errors
    /// [`Interrupted::NoUndo`] when there is nothing that could be taken back; else as [`Remediator::start`].
    pub async fn undo(&self, request: &UndoRequest, run: &Run) -> Result<Outcome, Interrupted> {
        let open = self.tools.store.undos_of(request.act)?.into_iter().find(|undo| !undo.state.ended());
        if let Some(undo) = open {
            return self.advance_undo(undo.id, request.while_frozen, run).await;
        }
        if let Some(why) = self.undo_closed(request.while_frozen, run)? {
            return Ok(Outcome { id: None, progress: Progress::Held, message: why });
        }
        self.tools.halt.pass("U3.before").await?;
        let undo = match self.tools.store.claim_undo(request.act, &request.by, run.fence, self.tools.clock.now()) {
            Ok(undo) => undo,
            Err(UndoClaimError::NotPossible(why)) => return Err(Interrupted::NoUndo(why)),
            Err(UndoClaimError::Busy(why)) => return Ok(Outcome { id: None, progress: Progress::Held, message: why }),
            Err(UndoClaimError::Store(error)) => return Err(error.into()),
        };
        self.tools.halt.pass("U3.after").await?;
        self.advance_undo(undo.id, request.while_frozen, run).await
    }

    /// After a restart: goes on with every open undo, by observing first.
    ///
    /// # Errors
    /// As [`Remediator::start`].
    pub async fn resume_undos(&self, run: &Run) -> Result<Vec<Outcome>, Interrupted> {
        let mut outcomes = Vec::new();
        for undo in self.tools.store.open_undos()? {
            outcomes.push(self.advance_undo(undo.id, false, run).await?);
        }
        Ok(outcomes)
    }

    /// Goes on with one undo until it has ended or must wait; the outcome carries the undo's number.
    ///
    /// # Errors
    /// As [`Remediator::start`].
    pub async fn advance_undo(&self, id: i64, while_frozen: bool, run: &Run) -> Result<Outcome, Interrupted> {
        let _turn = self.turn.lock().await;
        let missing = || Interrupted::NoUndo(format!("there is no undo u-{id} in this state file"));
        let mut undo = self.tools.store.undo(id)?.ok_or_else(missing)?;
        undo.fence = run.fence;
        let progress = loop {
            if undo.state.ended() {
                break Progress::Ended(undo.state);
            }
            let next = match case(&self.tools.store, undo.remediation)? {
                Err(why) => self.end_undo(&mut undo, JournalState::Aborted, &why, None).await?,
                Ok(case) => self.undo_once(&mut undo, &case, while_frozen, run).await?,
            };
            match next {
                Next::Go => {}
                Next::Wait(at) => break Progress::WaitUntil(at),
                Next::Hold => break Progress::Held,
                Next::Ended => break Progress::Ended(undo.state),
            }
        };
        Ok(Outcome { id: Some(id), progress, message: undo.message })
    }

    /// One transition.
    async fn undo_once(
        &self,
        undo: &mut Undo,
        case: &Case,
        while_frozen: bool,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        match undo.state {
            JournalState::Claimed | JournalState::Rechecked => self.call_undo(undo, case, while_frozen, run).await,
            JournalState::ActIntent => {
                let words = "whether the call was made is not known; only reads decide now";
                settle_last(&mut undo.parts, PartOutcome::Uncertain, "");
                self.commit_undo(undo, JournalState::Uncertain, words).await?;
                Ok(Next::Go)
            }
            JournalState::Uncertain | JournalState::Answered if !undo.parts.is_empty() => {
                self.walk_parts_back(undo, case, while_frozen, run).await
            }
            JournalState::PartSeen | JournalState::Compensating => {
                self.walk_parts_back(undo, case, while_frozen, run).await
            }
            JournalState::Uncertain if makes_anew(case) && undo.made.is_none() => {
                self.find_made(undo, case, while_frozen, run).await
            }
            JournalState::Uncertain | JournalState::Answered => self.observe_undo(undo, case).await,
            JournalState::Observed => self.compare_undo(undo, case).await,
            // A backup is an act's, never an undo's; ends were asked for before.
            _ => self.end_undo(undo, JournalState::Aborted, "this state is no state of an undo", None).await,
        }
    }

    /// The way of an undo of several calls, once the first is under way.
    async fn walk_parts_back(
        &self,
        undo: &mut Undo,
        case: &Case,
        while_frozen: bool,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let restart = undo.parts.first().is_some_and(|first| first.name == PartName::Stop);
        let passage = match Passage::undoing(&case.act, restart) {
            Ok(passage) => passage,
            Err(why) => return self.stuck_undo(undo, &why).await,
        };
        let settled = matches!(undo.state, JournalState::PartSeen | JournalState::Compensating);
        let mut row = Row::Undo(undo, while_frozen);
        if settled {
            self.next_part(&mut row, &passage, run).await
        } else {
            self.observe_part(&mut row, &passage, run).await
        }
    }

    /// The reads, the gate, the intent and the one call.
    async fn call_undo(
        &self,
        undo: &mut Undo,
        case: &Case,
        while_frozen: bool,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        if let Some(why) = self.undo_closed(while_frozen, run)? {
            return self.hold_undo(undo, &why);
        }
        let (call, fresh, read_at) = match self.ready(undo, case, run).await? {
            Ready::Call { call, fresh, read_at } => (call, fresh, read_at),
            Ready::Made(key) => {
                undo.made = Some(key);
                self.commit_undo(undo, JournalState::Answered, "an earlier try made it").await?;
                return Ok(Next::Go);
            }
            // After a first call of which nothing was seen, an end without effect is no longer certain.
            Ready::End(_, why) if undo.calls > 0 => return self.stuck_undo(undo, &why).await,
            Ready::Again(why) if undo.calls > 0 && self.tools.clock.now() - undo.updated_at >= BLIND => {
                return self.stuck_undo(undo, &why).await;
            }
            Ready::Again(why) if undo.calls > 0 => return self.wait_undo(undo, undo.updated_at, &why),
            Ready::End(state, why) => return self.end_undo(undo, state, &why, None).await,
            Ready::Again(why) if self.tools.clock.now() - undo.updated_at >= PATIENCE => {
                return self.end_undo(undo, JournalState::Aborted, &why, None).await;
            }
            Ready::Again(why) => return self.wait_undo(undo, undo.updated_at, &why),
            Ready::Foreign(why) => {
                self.freeze("undo", &why)?;
                return self.end_undo(undo, JournalState::Refused, &why, None).await;
            }
        };
        if undo.state == JournalState::Claimed {
            self.commit_undo(undo, JournalState::Rechecked, "read again: it can be taken back").await?;
        }
        let hash = call_hash(&call);
        if matches!(case.recipe.restore, Restore::ResizeInstance { .. }) {
            let first = if matches!(call, Call::StopInstance { .. }) { PartName::Stop } else { PartName::ChangeType };
            undo.parts = vec![Part::intended(first, hash.clone(), self.tools.clock.now())];
        }
        undo.call_hash = Some(hash);
        undo.calls += 1;
        (undo.looks, undo.first_look_at, undo.last_look) = (0, None, None);
        let words = format!("about to call {}", call.operation());
        self.commit_undo(undo, JournalState::ActIntent, &words).await?;
        // From here on there is no await before the call. A freeze of the last moment still stops it, and so does all
        // that speaks against a call by what was read.
        let closed = match self.undo_closed(while_frozen, run)? {
            None => match self.gate_undo(undo, &call, &fresh, read_at)? {
                Ruling::Pass => None,
                Ruling::Hold(why) | Ruling::Refuse(_, why) => Some(why),
                Ruling::Freeze(why) => {
                    self.freeze("undo", &why)?;
                    Some(why)
                }
            },
            closed => closed,
        };
        if let Some(why) = closed {
            if undo.calls > 1 {
                return self.hold_undo(undo, &why);
            }
            let why = format!("stopped in the last moment, no call was made: {why}");
            return self.end_undo(undo, JournalState::Refused, &why, None).await;
        }
        let answer = self.tools.act.execute(&undo.key.partition.place, &call).await;
        self.tools.halt.pass(&format!("{}.call", part_label("U8", &undo.parts))).await?;
        match answer {
            Ok(answer) => {
                settle_last(&mut undo.parts, PartOutcome::Answered, "");
                if let Some(part) = undo.parts.last_mut() {
                    part.request_id = Some(answer.request_id.clone());
                }
                undo.request_id = Some(answer.request_id.clone());
                if makes_anew(case) {
                    let Some(made) = named(case, &answer) else {
                        let words = "the answer does not name what was made; looking for it";
                        self.commit_undo(undo, JournalState::Uncertain, words).await?;
                        return Ok(Next::Go);
                    };
                    undo.made = Some(made);
                }
                let words = format!("the cloud accepted {}", call.operation());
                self.commit_undo(undo, JournalState::Answered, &words).await?;
                Ok(Next::Go)
            }
            Err(error) if error.kind == ErrorKind::Uncertain => {
                let words = format!("whether it was done is not known; only reads decide now: {error}");
                settle_last(&mut undo.parts, PartOutcome::Uncertain, "");
                self.commit_undo(undo, JournalState::Uncertain, &words).await?;
                Ok(Next::Go)
            }
            Err(error) => {
                let why = format!("the cloud refused: {error}");
                settle_last(&mut undo.parts, PartOutcome::Refused, &why);
                if undo.calls > 1 {
                    return self.stuck_undo(undo, &why).await;
                }
                self.end_undo(undo, JournalState::Refused, &why, None).await
            }
        }
    }

    /// After an unclear answer about a new volume: looks for it by its tag, and sends the same call with the same token
    /// once more when the cloud would show it by now.
    async fn find_made(
        &self,
        undo: &mut Undo,
        case: &Case,
        while_frozen: bool,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        match self.tagged(undo, case).await {
            Ok(Some(key)) => {
                undo.made = Some(key);
                self.commit_undo(undo, JournalState::Answered, "found by its tag").await?;
                Ok(Next::Go)
            }
            Ok(None) if self.tools.clock.now() - undo.updated_at < VISIBLE_AFTER => {
                self.wait_undo(undo, undo.updated_at, "whether it was made is not known; looking for it")
            }
            Ok(None) if undo.calls < 2 => self.call_undo(undo, case, while_frozen, run).await,
            Ok(None) => self.stuck_undo(undo, "it was asked for twice and never seen").await,
            Err(error) if self.tools.clock.now() - undo.updated_at >= BLIND => {
                self.stuck_undo(undo, &format!("what was made could not be listed for an hour: {error}")).await
            }
            Err(error) => self.wait_undo(undo, undo.updated_at, &format!("what was made could not be listed: {error}")),
        }
    }

    /// One look for the effect.
    async fn observe_undo(&self, undo: &mut Undo, case: &Case) -> Result<Next, Interrupted> {
        let key = undo.made.clone().unwrap_or_else(|| undo.key.clone());
        let since = undo.updated_at;
        let now = self.tools.clock.now();
        let (look, words) = match read_one(&*self.tools.read, case.act.step.act, &key).await {
            Ok(resource) if resource.key == key => {
                let words = format!("{} seen in state {:?}", key.id, clean(resource.state()));
                ((case.action.undone)(&case.recipe, &resource), words)
            }
            Ok(other) => {
                let why = format!("asked for {key}, the cloud answered {}", other.key);
                return self.stuck_undo(undo, &why).await;
            }
            // What was made just now may show late.
            Err(error) if error.kind == ErrorKind::NotFound && undo.made.is_some() && now - since < VISIBLE_AFTER => {
                return self.wait_undo(undo, since, &format!("{} is not shown yet", key.id));
            }
            Err(error) if error.kind == ErrorKind::NotFound => (Look::Gone, format!("{} not found", key.id)),
            Err(error) if now - since >= BLIND => {
                return self.stuck_undo(undo, &format!("its state could not be read for an hour: {error}")).await;
            }
            Err(error) => return self.wait_undo(undo, since, &format!("its state could not be read: {error}")),
        };
        self.tools.halt.pass("U10.call").await?;
        if undo.last_look == Some(look) {
            undo.looks += 1;
        } else {
            (undo.looks, undo.first_look_at, undo.last_look) = (1, Some(now), Some(look));
        }
        let steady = now - undo.first_look_at.unwrap_or(now);
        let answered = undo.state == JournalState::Answered;
        match seen(look, answered, false, undo.looks, steady, now - since) {
            Seen::Effect(effect) => {
                self.commit_undo(undo, JournalState::Observed, &format!("{effect}, {words}")).await?;
                Ok(Next::Go)
            }
            Seen::NotYet => {
                let words = format!("waiting for the effect: {words}, {} reads in a row", undo.looks);
                self.wait_undo(undo, since, &words)
            }
            Seen::Stuck(why) => self.stuck_undo(undo, &format!("{why}: {words} in {} reads", undo.looks)).await,
        }
    }

    /// Compares what came back with the recipe, and ends.
    async fn compare_undo(&self, undo: &mut Undo, case: &Case) -> Result<Next, Interrupted> {
        let key = undo.made.clone().unwrap_or_else(|| undo.key.clone());
        match self.tools.read.describe(&key).await {
            Ok(now) => {
                let addresses = match &case.recipe.addresses {
                    Some(_) => addresses_of(&*self.tools.read, &key).await,
                    None => None,
                };
                undo.differences = compare(&case.recipe, &now, addresses.as_deref());
                if case.recipe.launch.is_some() {
                    match self.tools.read.launch(&key).await {
                        Ok(launch) => undo.differences.extend(compare_launch(&case.recipe, &launch)),
                        Err(error) => {
                            let is = Some(format!("could not be read: {error}"));
                            undo.differences.push(Difference { field: "launch".into(), was: None, is });
                        }
                    }
                }
            }
            Err(error) if self.tools.clock.now() - undo.updated_at < PATIENCE => {
                let why = format!("it came back; comparing it with what it was waits for a read: {error}");
                return self.wait_undo(undo, undo.updated_at, &why);
            }
            Err(error) => {
                let is = Some(format!("could not be read: {error}"));
                undo.differences = vec![Difference { field: "everything".into(), was: None, is }];
            }
        }
        let count = undo.differences.len();
        let came_back = undo.made.as_ref().map(|made| format!(" as {}", made.id)).unwrap_or_default();
        let words = format!(
            "r-{} was taken back{came_back}; {}",
            undo.remediation,
            match count {
                0 => "everything is as it was".to_owned(),
                1 => "one field differs from what was saved".to_owned(),
                more => format!("{more} fields differ from what was saved"),
            }
        );
        self.end_undo(undo, JournalState::Done, &words, Some(&case.recipe)).await
    }

    /// What an earlier try made, if it shows.
    async fn tagged(&self, undo: &Undo, case: &Case) -> Result<Option<ResourceKey>, CloudError> {
        let Some(kind) = made_anew(case) else { return Ok(None) };
        let partition = undo.key.partition.place.partition(kind);
        let mut found: Vec<ResourceKey> = Vec::new();
        let (_, error) = read_partition(&*self.tools.read, &partition, |page| {
            found.extend(page.into_iter().filter(|own| made_by(case, own)).map(|own| own.key));
        })
        .await;
        found.sort();
        match (found.into_iter().next(), error) {
            (Some(key), _) => Ok(Some(key)),
            (None, None) => Ok(None),
            (None, Some(error)) => Err(error),
        }
    }

    /// Why nothing may be called now.
    pub(super) fn undo_closed(&self, while_frozen: bool, run: &Run) -> Result<Option<String>, StoreError> {
        if self.rules.mode == Mode::Observe {
            return Ok(Some("mode observe changes nothing".into()));
        }
        if !while_frozen && let Some(freeze) = self.tools.store.frozen()? {
            return Ok(Some(format!("frozen by {}: {}", clean(&freeze.by), clean(&freeze.reason))));
        }
        if self.tools.store.lease_fence(ACTING_LEASE)? != Some(run.fence) {
            return Ok(Some("another worker holds the acting lease, or it ran out".into()));
        }
        Ok(None)
    }
}
