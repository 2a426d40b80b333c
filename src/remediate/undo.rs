//! Taking an act back: the journal's walk once more, with the recipe in place of a plan.
//!
//! `actions undo` asks for it ([`Remediator::undo`]), and a later run goes on with what a crash left
//! ([`Remediator::resume_undos`]). Everything is read again, the intent is committed before the call, the call is made
//! at most once and after an unclear answer only reads decide. A new volume is the exception that proves the rule: its
//! call carries a token, so that EC2 itself makes no second one, and the volume is looked up by its tag before it is
//! asked for again. At the end every field is compared with the recipe, and the finding is suppressed: nothing acts on
//! it again without a person. An undo needs no armed account, window or pace (a person asks for one act by its number),
//! but it stays within the accounts of the settings, and a freeze holds it unless that person says otherwise.

use chrono::TimeDelta;
use serde_json::json;

use super::actions::{Action, Recipe, Restore, Undoing, action};
use super::backup::usable;
use super::driver::{Next, call_hash};
use super::observe::{BLIND, Seen, seen};
use super::recheck::{Judged, unread};
use super::{Interrupted, Outcome, Progress, Remediator, Ruling, Run, UNDO_TAG};
use crate::cloud::{Call, CloudError, CloudRead, ErrorKind, read_partition};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, State};
use crate::domain::guard::managed_by;
use crate::domain::mode::Mode;
use crate::domain::place::{Kind, ResourceKey};
use crate::domain::remediation::{JournalState, Look, Remediation};
use crate::domain::resource::Resource;
use crate::domain::text::clean;
use crate::domain::undo::{Difference, Undo, compare};
use crate::engine::grace;
use crate::store::{ACTING_LEASE, AuditEntry, Store, StoreError, UndoClaimError};

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

/// What follows from a look before the call.
enum Ready {
    /// The call that takes it back.
    Call(Call),
    /// It was made by an earlier try.
    Made(ResourceKey),
    /// It ends here.
    End(JournalState, String),
    /// Ask again.
    Again(String),
    /// A target that may never be touched.
    Foreign(String),
}

/// What an undo is about, read from the state file.
pub(super) struct Case {
    pub act: Remediation,
    pub recipe: Recipe,
    pub action: &'static Action,
    pub token: String,
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
            let next = match self.case(&undo)? {
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
                self.commit_undo(undo, JournalState::Uncertain, words).await?;
                Ok(Next::Go)
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
        let call = match self.ready(undo, case, run).await? {
            Ready::Call(call) => call,
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
        undo.call_hash = Some(call_hash(&call));
        undo.calls += 1;
        (undo.looks, undo.first_look_at, undo.last_look) = (0, None, None);
        let words = format!("about to call {}", call.operation());
        self.commit_undo(undo, JournalState::ActIntent, &words).await?;
        // From here on there is no await before the call. A freeze of the last moment still stops it.
        if let Some(why) = self.undo_closed(while_frozen, run)? {
            if undo.calls > 1 {
                return self.hold_undo(undo, &why);
            }
            let why = format!("stopped in the last moment, no call was made: {why}");
            return self.end_undo(undo, JournalState::Refused, &why, None).await;
        }
        let answer = self.tools.act.execute(&undo.key.partition.place, &call).await;
        self.tools.halt.pass("U8.call").await?;
        match answer {
            Ok(answer) => {
                undo.request_id = Some(answer.request_id);
                if makes_anew(case) {
                    let Some(volume) = answer.volume else {
                        let words = "the answer names no volume; looking for it by its tag";
                        self.commit_undo(undo, JournalState::Uncertain, words).await?;
                        return Ok(Next::Go);
                    };
                    undo.made = Some(undo.key.partition.place.partition(Kind::Volume).key(volume.as_str()));
                }
                let words = format!("the cloud accepted {}", call.operation());
                self.commit_undo(undo, JournalState::Answered, &words).await?;
                Ok(Next::Go)
            }
            Err(error) if error.kind == ErrorKind::Uncertain => {
                let words = format!("whether it was done is not known; only reads decide now: {error}");
                self.commit_undo(undo, JournalState::Uncertain, &words).await?;
                Ok(Next::Go)
            }
            Err(error) => {
                let why = format!("the cloud refused: {error}");
                if undo.calls > 1 {
                    return self.stuck_undo(undo, &why).await;
                }
                self.end_undo(undo, JournalState::Refused, &why, None).await
            }
        }
    }

    /// What can be said before the call. Reads only.
    async fn ready(&self, undo: &Undo, case: &Case, run: &Run) -> Result<Ready, Interrupted> {
        let place = &undo.key.partition.place;
        if !self.rules.places.contains(place) || !undo.key.id.starts_with(undo.key.kind().id_prefix()) {
            let why = format!("{} is outside the accounts and Regions of the settings, or no id of its kind", undo.key);
            return Ok(Ready::Foreign(why));
        }
        if makes_anew(case) {
            match self.tagged(undo, case).await {
                Ok(Some(key)) => return Ok(Ready::Made(key)),
                Ok(None) => {}
                Err(error) => return Ok(Ready::Again(format!("whether it was made before is not known: {error}"))),
            }
        }
        let subject = match subject(case) {
            Ok(subject) => subject,
            Err(why) => return Ok(Ready::End(JournalState::Refused, why)),
        };
        let fresh = match self.tools.read.describe(&subject).await {
            Ok(fresh) if fresh.key == subject => fresh,
            Ok(other) => {
                return Ok(Ready::Foreign(format!("asked for {subject}, the cloud answered {}", other.key)));
            }
            Err(error) => return Ok(after(unread(&error, &format!("{} could not be read", subject.id)))),
        };
        self.tools.halt.pass("U4.call").await?;
        if let Err(why) = intact(case, &fresh) {
            return Ok(Ready::End(JournalState::Refused, why));
        }
        let undoing = Undoing { act: &case.act, recipe: &case.recipe, fresh: &fresh, token: &case.token };
        let call = match (case.action.undo)(&undoing) {
            Ok(call) => call,
            Err(why) => return Ok(Ready::End(JournalState::Refused, why)),
        };
        if let Err(why) = expected(case, &subject, &call) {
            return Ok(Ready::Foreign(why));
        }
        if let Some(objection) = self.identity(undo.key.account(), run).await? {
            return Ok(after(objection));
        }
        match self.tools.act.permitted(place, &call).await {
            Ok(()) => Ok(Ready::Call(call)),
            Err(error) => Ok(after(unread(&error, &format!("{call} would not be accepted")))),
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
                self.wait_undo(undo, undo.updated_at, "whether the volume was made is not known; looking for it")
            }
            Ok(None) if undo.calls < 2 => self.call_undo(undo, case, while_frozen, run).await,
            Ok(None) => self.stuck_undo(undo, "the volume was asked for twice and never seen").await,
            Err(error) if self.tools.clock.now() - undo.updated_at >= BLIND => {
                self.stuck_undo(undo, &format!("volumes could not be listed for an hour: {error}")).await
            }
            Err(error) => self.wait_undo(undo, undo.updated_at, &format!("volumes could not be listed: {error}")),
        }
    }

    /// One look for the effect.
    async fn observe_undo(&self, undo: &mut Undo, case: &Case) -> Result<Next, Interrupted> {
        let key = undo.made.clone().unwrap_or_else(|| undo.key.clone());
        let since = undo.updated_at;
        let now = self.tools.clock.now();
        let (look, words) = match self.tools.read.describe(&key).await {
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

    /// The volume that an earlier try made, by its tag.
    async fn tagged(&self, undo: &Undo, case: &Case) -> Result<Option<ResourceKey>, CloudError> {
        let partition = undo.key.partition.place.partition(Kind::Volume);
        let mut found: Vec<ResourceKey> = Vec::new();
        let (_, error) = read_partition(&*self.tools.read, &partition, |page| {
            let ours = page.into_iter().filter(|own| {
                own.tag(UNDO_TAG) == Some(&case.token) && !matches!(own.state(), "deleting" | "deleted" | "error")
            });
            found.extend(ours.map(|own| own.key));
        })
        .await;
        found.sort();
        match (found.into_iter().next(), error) {
            (Some(key), _) => Ok(Some(key)),
            (None, None) => Ok(None),
            (None, Some(error)) => Err(error),
        }
    }

    fn case(&self, undo: &Undo) -> Result<Result<Case, String>, StoreError> {
        case(&self.tools.store, undo.remediation)
    }

    /// Why nothing may be called now.
    fn undo_closed(&self, while_frozen: bool, run: &Run) -> Result<Option<String>, StoreError> {
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

    /// One transition, one durable commit.
    async fn commit_undo(&self, undo: &mut Undo, to: JournalState, message: &str) -> Result<(), Interrupted> {
        let label = label(to);
        self.tools.halt.pass(&format!("{label}.before")).await?;
        let before = undo.clone();
        undo.state = to;
        undo.message = message.to_owned();
        undo.updated_at = self.tools.clock.now();
        if let Err(error) = self.tools.store.advance_undo(undo) {
            *undo = before;
            return Err(error.into());
        }
        tracing::info!(undo = undo.id, state = to.word(), resource = %undo.key, message);
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(())
    }

    /// Ends an undo: row, history, finding, audit row in one commit. `done` is the recipe of what came back.
    async fn end_undo(
        &self,
        undo: &mut Undo,
        to: JournalState,
        why: &str,
        done: Option<&Recipe>,
    ) -> Result<Next, Interrupted> {
        let label = label(to);
        self.tools.halt.pass(&format!("{label}.before")).await?;
        let mut ended = undo.clone();
        ended.state = to;
        ended.message = why.to_owned();
        ended.updated_at = self.tools.clock.now();
        self.tools.store.end_undo(&ended, &audit(&ended), &[], |finding| follow(finding, &ended, done))?;
        tracing::info!(undo = ended.id, state = to.word(), resource = %ended.key, message = why);
        *undo = ended;
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(Next::Ended)
    }

    /// The freeze is written first, so that a crash in between repeats it.
    async fn stuck_undo(&self, undo: &mut Undo, why: &str) -> Result<Next, Interrupted> {
        self.freeze("undo", &format!("u-{} (r-{}, {}) is stuck: {why}", undo.id, undo.remediation, undo.key))?;
        self.end_undo(undo, JournalState::Stuck, why, None).await
    }

    fn wait_undo(&self, undo: &mut Undo, since: Instant, why: &str) -> Result<Next, Interrupted> {
        let now = self.tools.clock.now();
        undo.message = why.to_owned();
        self.tools.store.note_undo_wait(undo)?;
        Ok(Next::Wait(now + ((now - since) / 2).clamp(TimeDelta::seconds(2), TimeDelta::seconds(60))))
    }

    fn hold_undo(&self, undo: &mut Undo, why: &str) -> Result<Next, Interrupted> {
        undo.message = format!("held: {why}");
        match self.tools.store.note_undo_wait(undo) {
            Err(error) if error.is_stale_fence() => Ok(Next::Hold),
            other => Ok(other.map(|()| Next::Hold)?),
        }
    }
}

/// An act with all that is needed to take it back.
pub(super) fn case(store: &Store, act: i64) -> Result<Result<Case, String>, StoreError> {
    let Some(act) = store.remediation(act)? else {
        return Ok(Err(format!("there is no act r-{act}")));
    };
    let token = token(&store.state_id()?, act.id);
    let recipe = match Recipe::of(&act) {
        Ok(recipe) => recipe,
        Err(why) => return Ok(Err(why)),
    };
    Ok(action(act.step.act).map(|action| Case { act, recipe, action, token }))
}

/// The elastic addresses that point to an instance; `None` when they could not be read.
pub(super) async fn addresses_of(read: &dyn CloudRead, instance: &ResourceKey) -> Option<Vec<Resource>> {
    let mut found = Vec::new();
    let partition = instance.partition.place.partition(Kind::Address);
    let (_, error) = read_partition(read, &partition, |page| {
        found.extend(
            page.into_iter()
                .filter(|own| own.address().is_some_and(|address| address.instance.as_deref() == Some(&*instance.id))),
        );
    })
    .await;
    found.sort_by(|left, right| left.key.cmp(&right.key));
    error.is_none().then_some(found)
}

/// Names an undo's call and what it makes, the same for every try: at most 64 characters, EC2's limit for tokens.
fn token(state_id: &str, act: i64) -> String {
    format!("{state_id}-r{act}-undo")
}

/// Whether something comes back under a new id.
fn makes_anew(case: &Case) -> bool {
    matches!(case.recipe.restore, Restore::CreateVolume { .. })
}

/// What is read before the call.
pub(super) fn subject(case: &Case) -> Result<ResourceKey, String> {
    let key = &case.act.step.key;
    if !makes_anew(case) {
        return Ok(key.clone());
    }
    let own = case.act.snapshots.iter().find(|own| own.volume == key.id);
    let snapshot = own.and_then(|own| own.snapshot.as_ref());
    let snapshot = snapshot.ok_or_else(|| format!("r-{} has no safety snapshot of {}", case.act.id, key.id))?;
    Ok(key.partition.place.partition(Kind::Snapshot).key(snapshot))
}

/// Whether what was read is what the recipe was saved for: a completed snapshot of that volume, or the resource that
/// nothing else manages by now.
pub(super) fn intact(case: &Case, fresh: &Resource) -> Result<(), String> {
    if !makes_anew(case) {
        return managed_by(fresh).map_or(Ok(()), Err);
    }
    let own = case.act.snapshots.iter().find(|own| own.snapshot.as_deref() == Some(&*fresh.key.id));
    match usable(own.ok_or("it is none of the act's snapshots")?, fresh)? {
        None => Ok(()),
        Some(state) => Err(format!("its safety snapshot {} is {state}", fresh.key.id)),
    }
}

/// Asked once more by the gate's rule: the call is that way's, and names what was read.
fn expected(case: &Case, subject: &ResourceKey, call: &Call) -> Result<(), String> {
    let fits = matches!(
        (&case.recipe.restore, call),
        (Restore::StartInstance { .. }, Call::StartInstance { .. })
            | (Restore::CreateVolume { .. }, Call::CreateVolume(_))
            | (Restore::RemoveTags { .. }, Call::DeleteTags { .. })
    );
    if fits && call.target() == &*subject.id {
        return Ok(());
    }
    Err(format!("{call} is not how r-{} on {} is taken back", case.act.id, case.act.step.key))
}

fn after(judged: Judged) -> Ready {
    match judged {
        Judged::Unreadable(why) | Judged::Objection(Ruling::Hold(why)) => Ready::Again(why),
        Judged::Objection(Ruling::Refuse(_, why)) => Ready::End(JournalState::Refused, why),
        Judged::Objection(Ruling::Freeze(why)) => Ready::Foreign(why),
        Judged::Holds(..) | Judged::Objection(Ruling::Pass) => Ready::Again("nothing was asked".into()),
    }
}

/// What an ended undo means for its finding.
fn follow(finding: &mut Finding, undo: &Undo, done: Option<&Recipe>) -> FindingEvent {
    let at = undo.updated_at;
    let what = match done {
        Some(recipe) => {
            finding.suppressed = true;
            match recipe.restore {
                // The old id is gone for good; the new volume carries the protecting tag.
                Restore::CreateVolume { .. } => {
                    finding.state = State::Resolved;
                    finding.closed_at = Some(at);
                }
                Restore::StartInstance { .. } | Restore::RemoveTags { .. } => {
                    finding.state = State::Open;
                    finding.closed_at = None;
                    grace::restart(finding);
                }
            }
            finding.reason =
                format!("{} took r-{} back; nothing is done until a person approves", undo.by, undo.remediation);
            finding.phase = finding.phase_at(at);
            "undone"
        }
        None => "undo_ended",
    };
    let detail = format!("u-{} by {}, {}: {}", undo.id, undo.by, undo.state.word(), undo.message);
    FindingEvent { finding: finding.id.clone(), at, what: what.into(), detail }
}

fn audit(undo: &Undo) -> AuditEntry {
    let detail = json!({
        "undo": undo.id,
        "remediation": undo.remediation,
        "finding": undo.finding,
        "state": undo.state.word(),
        "fence": undo.fence,
        "call_hash": undo.call_hash,
        "request_id": undo.request_id,
        "made": undo.made.as_ref().map(ResourceKey::to_string),
        "differences": undo.differences,
        "message": undo.message,
    });
    AuditEntry { actor: undo.by.clone(), what: "undo".into(), subject: undo.key.to_string(), detail }
}

/// The name of a state's crash points.
fn label(state: JournalState) -> String {
    let word = state.word().split('_').next().unwrap_or_default();
    word.strip_prefix('J').map_or_else(|| format!("U-{word}"), |number| format!("U{number}"))
}
