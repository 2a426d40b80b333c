//! The walk through the journal: one remediation, one transition after another, until it ends or has to wait.
//!
//! [`Remediator::advance`] loads the row and goes on from whatever state a crash may have left. Every transition goes
//! through [`Remediator::commit`]. Nothing here calls the cloud's acting side but [`Remediator::act_now`], which runs
//! at most once in the life of a row: after its commit of J8 no path leads back. An act of several calls (a resize)
//! begins here like any other, and `parts` makes the calls after the first.

use chrono::TimeDelta;

use super::actions::resize_instance::Passage;
use super::actions::{Action, Backup, Recipe, action};
use super::backup::Keys;
use super::freeze::ordinary;
use super::gate::Purpose;
use super::parts::{part_label, settle_last};
use super::recheck::{Fresh, Judged};
use super::written::{audit, call_hash};
use super::{Event, Interrupted, Outcome, Progress, Remediator, Ruling, Run};
use crate::cloud::{Call, ErrorKind};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::plan::Step;
use crate::domain::remediation::{JournalState, Part, PartOutcome, Remediation};
use crate::store::{ACTING_LEASE, ClaimError, GateClass, GatePass, StoreError};

/// How long J3 and J4 ask again for something that cannot be read.
const PATIENCE: TimeDelta = TimeDelta::minutes(15);

/// What to do after one transition.
pub(super) enum Next {
    Go,
    Wait(Instant),
    Hold,
    Ended,
}

/// What is known from earlier in the same call of `advance`, and worthless after it.
#[derive(Default)]
pub(super) struct Here {
    /// J4's reads.
    pub fresh: Option<Fresh>,
    /// The snapshot call whose intent was just written, with the reads it rests on: certainly not sent yet.
    pub snapshot_call: Option<(Call, Fresh)>,
    /// Before J7 saw every snapshot completed, and under which keys.
    pub verified: Option<(Instant, Keys)>,
}

impl Remediator {
    /// Claims a step (J3) and walks as far as it goes without waiting.
    ///
    /// # Errors
    /// When the state file refuses a write or another worker took the lease; the journal tells how far it is.
    pub async fn start(&self, step: &Step, plan: &str, run: &Run) -> Result<Outcome, Interrupted> {
        let place = &step.key.partition.place;
        if !self.rules.places.contains(place) || !step.key.id.starts_with(step.key.kind().id_prefix()) {
            let why = format!("{} is outside the accounts and Regions of the settings, or no id of its kind", step.key);
            self.freeze("gate", &why)?;
            return Ok(Outcome { id: None, progress: Progress::Held, message: why });
        }
        if let Some(why) = self.closed(run)? {
            return Ok(Outcome { id: None, progress: Progress::Held, message: why });
        }
        self.tools.halt.pass("J3.before").await?;
        let claimed = match self.tools.store.claim(step, plan, run.fence, self.tools.clock.now()) {
            Ok(remediation) => remediation,
            Err(open @ ClaimError::AlreadyOpen { .. }) => {
                let message = format!("an act on this resource is open already: {open}");
                return Ok(Outcome { id: None, progress: Progress::Held, message });
            }
            Err(ClaimError::StaleFence { .. }) => return Err(Interrupted::StaleFence),
            Err(ClaimError::Store(error)) => return Err(error.into()),
        };
        self.tools.halt.pass("J3.after").await?;
        self.advance(claimed.id, run).await
    }

    /// After a restart, or in a later run: goes on with every open row, by observing first.
    ///
    /// # Errors
    /// As [`Remediator::start`].
    pub async fn resume_all(&self, run: &Run) -> Result<Vec<Outcome>, Interrupted> {
        let mut outcomes = Vec::new();
        for remediation in self.tools.store.open_remediations()? {
            if planted!("forget-open-acts") {
                break;
            }
            outcomes.push(self.advance(remediation.id, run).await?);
        }
        Ok(outcomes)
    }

    /// Goes on with one row until it has ended or must wait. Calls are taken one at a time.
    ///
    /// # Errors
    /// As [`Remediator::start`].
    pub async fn advance(&self, id: i64, run: &Run) -> Result<Outcome, Interrupted> {
        let _turn = self.turn.lock().await;
        let mut remediation = self.tools.store.remediation(id)?.ok_or(Interrupted::NoSuchRow(id))?;
        let mut here = Here::default();
        let progress = loop {
            let next = match remediation.state {
                JournalState::Claimed => self.recheck_claimed(&mut remediation, &mut here, run).await?,
                JournalState::Rechecked => self.back_up_or_act(&mut remediation, &mut here, run).await?,
                JournalState::SnapIntent => self.request_snapshots(&mut remediation, &mut here, run).await?,
                JournalState::SnapRequested => self.verify_snapshots(&mut remediation, &mut here, run).await?,
                JournalState::SnapVerified => self.act_now(&mut remediation, &here, run).await?,
                JournalState::ActIntent if planted!("repeat-after-a-crash") => {
                    self.act_now(&mut remediation, &here, run).await?
                }
                JournalState::ActIntent => {
                    let words = "whether the call was made is not known; only reads decide now";
                    settle_last(&mut remediation.parts, PartOutcome::Uncertain, "");
                    self.commit(&mut remediation, JournalState::Uncertain, words, run).await?;
                    Next::Go
                }
                JournalState::Uncertain | JournalState::Answered if remediation.parts.is_empty() => {
                    self.observe(&mut remediation, run).await?
                }
                JournalState::Uncertain
                | JournalState::Answered
                | JournalState::PartSeen
                | JournalState::Compensating => self.walk_parts(&mut remediation, run).await?,
                JournalState::Observed => {
                    let words = format!("{}: {}", remediation.step.act.words(), remediation.message);
                    self.end(&mut remediation, JournalState::Done, &words, run).await?
                }
                JournalState::Done | JournalState::Refused | JournalState::Aborted | JournalState::Stuck => Next::Ended,
            };
            match next {
                Next::Go => {}
                Next::Wait(at) => break Progress::WaitUntil(at),
                Next::Hold => break Progress::Held,
                Next::Ended => break Progress::Ended(remediation.state),
            }
        };
        Ok(Outcome { id: Some(id), progress, message: remediation.message })
    }

    /// J4.
    async fn recheck_claimed(
        &self,
        remediation: &mut Remediation,
        here: &mut Here,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let action = match action(remediation.step.act) {
            Ok(action) => action,
            Err(why) => {
                let words = crate::domain::guard::switched_off(remediation.step.act, &self.rules.switches);
                let why = words.map_or(why, |(_, words)| words);
                return self.end(remediation, JournalState::Refused, &why, run).await;
            }
        };
        match self.judge_again(remediation, action, run).await? {
            Judged::Holds(fresh, call) => {
                self.note(remediation, action, &fresh, &call);
                self.note_addresses(remediation, &fresh).await;
                self.commit(remediation, JournalState::Rechecked, "judged again: it still violates", run).await?;
                here.fresh = Some(*fresh);
                Ok(Next::Go)
            }
            other => self.objected(remediation, other, run).await,
        }
    }

    /// From J4 to J5, or straight to the act where nothing is backed up.
    async fn back_up_or_act(
        &self,
        remediation: &mut Remediation,
        here: &mut Here,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let Some(action) = self.action(remediation) else {
            return self.end(remediation, JournalState::Aborted, "this version has no handler for it", run).await;
        };
        let backup = action.backup_of(&remediation.step, &self.rules.switches);
        if backup == Backup::None {
            return self.act_now(remediation, here, run).await;
        }
        let fresh = match here.fresh.take() {
            Some(fresh) => fresh,
            None => match self.judge_again(remediation, action, run).await? {
                Judged::Holds(fresh, call) => {
                    self.note(remediation, action, &fresh, &call);
                    *fresh
                }
                other => return self.objected(remediation, other, run).await,
            },
        };
        self.intend_snapshots(remediation, backup, fresh, here, run).await
    }

    /// J4 once more, the gate, J8, and the call. The only place that makes an act's call.
    async fn act_now(&self, remediation: &mut Remediation, here: &Here, run: &Run) -> Result<Next, Interrupted> {
        let Some(action) = self.action(remediation) else {
            return self.end(remediation, JournalState::Aborted, "this version has no handler for it", run).await;
        };
        if let Some(next) = self.ensure_image(remediation, action, run).await? {
            return Ok(next);
        }
        if let Some(why) = self.no_room(remediation, run)? {
            return self.objected(remediation, Ruling::Hold(why).into(), run).await;
        }
        let (fresh, call) = match self.judge_again(remediation, action, run).await? {
            Judged::Holds(fresh, call) => (*fresh, call),
            other => return self.objected(remediation, other, run).await,
        };
        if action.backup_of(&remediation.step, &self.rules.switches) != Backup::None
            && let Some(next) = self.still_backed_up(remediation, action, &fresh, here, run).await?
        {
            return Ok(next);
        }
        let step = remediation.step.clone();
        match self.gate(Purpose::Act, &step, &call, &fresh.resource, fresh.read_at, run)? {
            Ruling::Pass => {}
            objection => return self.objected(remediation, objection.into(), run).await,
        }
        self.note(remediation, action, &fresh, &call);
        let hash = call_hash(&call);
        if step.act == Act::ResizeInstance {
            let first = match Passage::of(remediation) {
                Ok(passage) => passage.first(),
                Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await,
            };
            remediation.parts = vec![Part::intended(first, hash.clone(), self.tools.clock.now())];
        }
        remediation.call_hash = Some(hash);
        (remediation.looks, remediation.first_look_at, remediation.last_look) = (0, None, None);
        let words = format!("about to call {} once", call.operation());
        let early = planted!("call-before-intent");
        let early = if early { Some(self.tools.act.execute(&step.key.partition.place, &call).await) } else { None };
        self.commit(remediation, JournalState::ActIntent, &words, run).await?;
        // From here on there is no await before the call. Whatever people decided while the intent was written holds.
        let late = match self.closed(run)? {
            Some(why) => Ruling::Hold(why),
            None if planted!("ask-the-gate-once") => Ruling::Pass,
            None => self.gate_again(remediation, &call, &fresh.resource, fresh.read_at, run)?,
        };
        let stopped = match late {
            Ruling::Pass => None,
            Ruling::Hold(why) | Ruling::Refuse(_, why) => Some(why),
            Ruling::Freeze(why) => {
                self.freeze("gate", &why)?;
                Some(why)
            }
        };
        if let Some(why) = stopped {
            let why = format!("stopped in the last moment, no call was made: {why}");
            return self.end(remediation, JournalState::Refused, &why, run).await;
        }
        if let Some(class) = GateClass::of(step.act) {
            self.tools.store.gate_pass(&GatePass {
                remediation: remediation.id,
                run: run.id.clone(),
                account: step.key.account().clone(),
                kind: step.key.kind(),
                class,
                at: self.tools.clock.now(),
            })?;
        }
        let answer = match early {
            Some(answer) => answer,
            None => self.tools.act.execute(&step.key.partition.place, &call).await,
        };
        let answer = match answer {
            Err(_) if planted!("retry-the-call") => self.tools.act.execute(&step.key.partition.place, &call).await,
            answer => answer,
        };
        self.tools.halt.pass(&format!("{}.call", part_label("J8", &remediation.parts))).await?;
        match answer {
            Ok(answer) => {
                settle_last(&mut remediation.parts, PartOutcome::Answered, "");
                if let Some(part) = remediation.parts.last_mut() {
                    part.request_id = Some(answer.request_id.clone());
                }
                remediation.request_id = Some(answer.request_id);
                let words = format!("the cloud accepted {}", call.operation());
                self.commit(remediation, JournalState::Answered, &words, run).await?;
                Ok(Next::Go)
            }
            Err(error) if error.kind == ErrorKind::Uncertain => {
                let words = format!("whether it was done is not known; only reads decide now: {error}");
                settle_last(&mut remediation.parts, PartOutcome::Uncertain, "");
                self.commit(remediation, JournalState::Uncertain, &words, run).await?;
                Ok(Next::Go)
            }
            Err(error) => {
                let why = format!("the cloud refused: {error}");
                settle_last(&mut remediation.parts, PartOutcome::Refused, &why);
                if error.kind == ErrorKind::Throttled {
                    // The account's request budget is shared with production automation (safety.md, H33).
                    self.remember(|memory| memory.over.insert(run.id.clone(), why.clone()));
                    self.end(remediation, JournalState::Refused, &why, run).await
                } else if planted!("refusal-is-success") {
                    self.end(remediation, JournalState::Done, &why, run).await
                } else if error.kind == ErrorKind::NotFound || ordinary(error.code.as_deref()) {
                    self.end(remediation, JournalState::Refused, &why, run).await
                } else {
                    self.fail(remediation, JournalState::Refused, &why, run).await
                }
            }
        }
    }

    /// What follows when J4, the gate or a read does not let it go on.
    pub(super) async fn objected(
        &self,
        remediation: &mut Remediation,
        judged: Judged,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        // With snapshots begun it is worth waiting; before that the next plan begins anew.
        let begun = matches!(
            remediation.state,
            JournalState::SnapIntent | JournalState::SnapRequested | JournalState::SnapVerified
        );
        match judged {
            Judged::Holds(..) | Judged::Objection(Ruling::Pass) => Ok(Next::Go),
            Judged::Objection(Ruling::Hold(why)) if begun => self.hold(remediation, &why, run),
            Judged::Objection(Ruling::Hold(why)) => self.end(remediation, JournalState::Aborted, &why, run).await,
            Judged::Objection(Ruling::Refuse(_, why)) => self.end(remediation, JournalState::Refused, &why, run).await,
            Judged::Objection(Ruling::Freeze(why)) => {
                self.freeze("gate", &why)?;
                self.end(remediation, JournalState::Refused, &why, run).await
            }
            Judged::Unreadable(why) => {
                if let Some(closed) = self.closed(run)? {
                    let why = format!("{why}; {closed}");
                    if begun {
                        return self.hold(remediation, &why, run);
                    }
                    return self.end(remediation, JournalState::Aborted, &why, run).await;
                }
                if !begun && self.tools.clock.now() - remediation.updated_at >= PATIENCE {
                    return self.end(remediation, JournalState::Aborted, &why, run).await;
                }
                self.wait(remediation, remediation.updated_at, &why, run)
            }
        }
    }

    /// Why nothing may begin now: frozen, lease lost, outside the window, or this run is over.
    pub(super) fn closed(&self, run: &Run) -> Result<Option<String>, StoreError> {
        let now = self.tools.clock.now();
        if let Some(freeze) = self.tools.store.frozen()?
            && !planted!("ignore-a-freeze")
        {
            return Ok(Some(format!("frozen by {}: {}", freeze.by, freeze.reason)));
        }
        if self.tools.store.lease_fence(ACTING_LEASE)? != Some(run.fence) && !planted!("drop-the-fence") {
            return Ok(Some("another worker holds the acting lease, or it ran out".into()));
        }
        if let Some(why) = self.remember(|memory| memory.over.get(&run.id).cloned()) {
            return Ok(Some(format!("this run makes no more changes: {why}")));
        }
        Ok(self.rules.window.closed_because(now).filter(|_| !planted!("ignore-the-window")))
    }

    /// The row's handler; versions may differ from the one that claimed it.
    pub(super) fn action(&self, remediation: &Remediation) -> Option<&'static Action> {
        action(remediation.step.act).ok()
    }

    /// Notes what J4 read: when, and what is needed to put things back.
    fn note(&self, remediation: &mut Remediation, action: &Action, fresh: &Fresh, call: &Call) {
        remediation.rechecked_at = Some(fresh.read_at);
        let recipe = Recipe {
            restore: (action.restore)(&remediation.step, &fresh.resource, call),
            resource: fresh.resource.clone(),
            volumes: fresh.volumes.clone(),
            addresses: Recipe::of(remediation).ok().and_then(|earlier| earlier.addresses),
            bin_until: None,
            launch: fresh.launch.clone(),
        };
        remediation.recipe = recipe.kept();
    }

    /// One transition, one durable commit.
    pub(super) async fn commit(
        &self,
        remediation: &mut Remediation,
        to: JournalState,
        message: &str,
        run: &Run,
    ) -> Result<(), Interrupted> {
        let label = match to {
            JournalState::ActIntent
            | JournalState::Answered
            | JournalState::Uncertain
            | JournalState::PartSeen
            | JournalState::Compensating => part_label(label(to), &remediation.parts),
            JournalState::SnapVerified if remediation.image.is_some() => "J7[image]".to_owned(),
            _ => label(to).to_owned(),
        };
        self.tools.halt.pass(&format!("{label}.before")).await?;
        let now = self.tools.clock.now();
        remediation.state = to;
        remediation.message = message.to_owned();
        remediation.fence = run.fence;
        remediation.updated_at = now;
        remediation.next_look_at = None;
        self.tools.store.advance(remediation, run.fence, now)?;
        tracing::info!(remediation = remediation.id, state = to.word(), resource = %remediation.step.key, message);
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(())
    }

    /// Ends a row: row, history, finding, audit row and messages in one commit.
    pub(super) async fn end(
        &self,
        remediation: &mut Remediation,
        to: JournalState,
        why: &str,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let label = label(to);
        self.tools.halt.pass(&format!("{label}.before")).await?;
        let now = self.tools.clock.now();
        let mut ended = remediation.clone();
        ended.state = to;
        ended.message = why.to_owned();
        ended.fence = run.fence;
        ended.updated_at = now;
        ended.next_look_at = None;
        let outgoing = match to {
            JournalState::Done => (self.tools.announce)(&Event::Done(&ended)),
            JournalState::Stuck if !planted!("stuck-in-silence") => (self.tools.announce)(&Event::Stuck(&ended)),
            JournalState::Refused if ended.parts.len() > 1 => (self.tools.announce)(&Event::TakenBack(&ended)),
            _ => Vec::new(),
        };
        self.tools.store.done(&ended, run.fence, now, &audit(&ended), &outgoing)?;
        tracing::info!(remediation = ended.id, state = to.word(), resource = %ended.step.key, message = why);
        *remediation = ended;
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(Next::Ended)
    }

    /// Ends a row that should have worked: two of these in one run freeze.
    pub(super) async fn fail(
        &self,
        remediation: &mut Remediation,
        to: JournalState,
        why: &str,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        self.count_failure(remediation, run, why)?;
        self.end(remediation, to, why, run).await
    }

    /// Waits: looks again soon, later the longer it takes, never more than a minute ahead.
    pub(super) fn wait(
        &self,
        remediation: &mut Remediation,
        since: Instant,
        why: &str,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let now = self.tools.clock.now();
        let delay = ((now - since) / 2).clamp(TimeDelta::seconds(2), TimeDelta::seconds(60));
        let at = now + delay;
        remediation.next_look_at = Some(at);
        remediation.message = why.to_owned();
        self.tools.store.note_wait(remediation, run.fence)?;
        Ok(Next::Wait(at))
    }

    /// Leaves the row open for a later run.
    pub(super) fn hold(&self, remediation: &mut Remediation, why: &str, run: &Run) -> Result<Next, Interrupted> {
        remediation.next_look_at = None;
        remediation.message = format!("held: {why}");
        match self.tools.store.note_wait(remediation, run.fence) {
            // Without the lease there is nothing to write, and nothing to do.
            Err(error) if error.is_stale_fence() => Ok(Next::Hold),
            other => Ok(other.map(|()| Next::Hold)?),
        }
    }
}

/// The name of a state's crash points.
fn label(state: JournalState) -> &'static str {
    let word = state.word();
    word.split('_').next().unwrap_or(word)
}
