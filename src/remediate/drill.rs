//! The walk of a restore drill: a volume made of one safety snapshot, looked at, and deleted again (safety.md, H14).
//!
//! `worker::jobs::drill` begins one in an act slot and walks it until it has ended. Its row is written before the volume is
//! asked for; the call is made once, with a token and with a mark that no other volume has. After a crash or an unclear answer
//! the volume is looked for by that mark: at most one can be there. It is deleted only when a read of this minute shows the
//! id that our own call answered (or the mark found), the mark itself, the very snapshot as its source, and nothing
//! attached; whatever is not clear leaves it where it is and tells a person. Both calls pass a gate of their own: mode enforce,
//! an armed account, no freeze, our lease, the window, clocks that agree.
//! What it leaves out: the data. That a file system mounts, only its owner can tell.

use chrono::TimeDelta;

use super::drill_gate::{differs, ours};
use super::{DRILL_TAG, Interrupted, Remediator, Run};
use crate::cloud::{Call, CloudError, ErrorKind, KeyState, NewVolume, read_partition};
use crate::domain::Instant;
use crate::domain::drill::{Drill, DrillState};
use crate::domain::place::{Kind, SnapshotId, VolumeId};
use crate::domain::resource::Resource;
use crate::domain::text::clean;
use crate::store::{AuditEntry, Outgoing, StoreError};

/// How late the cloud may show what was made, or that it is gone.
const VISIBLE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// How long a volume may take to become available.
const PATIENCE: TimeDelta = TimeDelta::minutes(30);

/// How long reads may fail before a person is told.
const BLIND: TimeDelta = TimeDelta::hours(1);

/// Listings without the volume that a last one must agree with before there is none.
const ABSENT: u32 = 2;

/// Times that the deletion of one volume is asked for, each on fresh reads.
const DELETES: u32 = 3;

/// Where a drill stands after a walk.
#[derive(Clone, Debug)]
pub struct Drilled {
    /// Its row; none when nothing was begun.
    pub drill: Option<Drill>,
    /// When to walk on; `None` when it has ended, or nothing more can be done now.
    pub wait: Option<Instant>,
    /// Why, in words.
    pub message: String,
}

/// Makes the messages that tell people of a drill's end; they are committed with it.
pub type Tell<'a> = dyn Fn(&Drill) -> Vec<Outgoing> + Send + Sync + 'a;

impl Remediator {
    /// Begins a drill of a safety snapshot, with the Availability Zone that its volume was in, and walks as far as it goes
    /// without waiting. Begins nothing while something forbids it: then it says what.
    ///
    /// # Errors
    /// When the state refuses a write or another worker took the lease; the row tells how far it is.
    pub async fn begin_drill(
        &self,
        snapshot: &Resource,
        zone: &str,
        run: &Run,
        tell: &Tell<'_>,
    ) -> Result<Drilled, Interrupted> {
        let nothing = |message: String| Ok(Drilled { drill: None, wait: None, message });
        let Some(detail) = snapshot.snapshot() else { return nothing(format!("{} is no snapshot", snapshot.key)) };
        let now = self.tools.clock.now();
        let mut drill = Drill {
            id: 0,
            snapshot: snapshot.key.clone(),
            size_gib: detail.volume_size_gib,
            kms_key: detail.kms_key.clone(),
            zone: zone.to_owned(),
            state: DrillState::Intended,
            fence: run.fence,
            begun_at: now,
            updated_at: now,
            made: None,
            fault: None,
            deletes: 0,
            gone: 0,
            message: "about to make a volume of it".into(),
        };
        if let Some(why) = self.drill_closed(&drill, run)? {
            return nothing(why);
        }
        let account = snapshot.key.account();
        if let Some(objection) = self.identity(account, run).await? {
            return nothing(format!("whose the acting credentials are is not certain: {objection:?}"));
        }
        let read_at = self.tools.clock.now();
        let fresh = match self.tools.read.describe(&snapshot.key).await {
            Ok(fresh) if fresh.key == snapshot.key => fresh,
            Ok(other) => return nothing(format!("asked for {}, the cloud answered {}", snapshot.key, other.key)),
            Err(error) => return nothing(format!("{} could not be read: {error}", snapshot.key)),
        };
        let fault = match self.unfit(&fresh, &drill).await {
            Ok(fault) => fault,
            Err(error) => return nothing(format!("its key could not be asked for: {error}")),
        };
        // The number is part of the call, so what is asked for permission has none yet.
        let probe = match self.drill_call(&drill) {
            Ok(call) => call,
            Err(why) => return nothing(why),
        };
        if fault.is_none()
            && let Err(error) = self.tools.act.permitted(&snapshot.key.partition.place, &probe).await
        {
            return nothing(format!("a volume may not be made of {}: {error}", snapshot.key.id));
        }
        self.tools.halt.pass("D1.before").await?;
        drill = self.tools.store.begin_drill(&drill)?;
        self.tools.halt.pass("D1.after").await?;
        if let Some(fault) = fault {
            drill.fault = Some(fault.clone());
            return self.end_drill(drill, DrillState::Failed, &fault, tell).await;
        }
        self.make_drill(drill, read_at, run, tell).await
    }

    /// Walks an open drill on, as far as it goes without waiting.
    ///
    /// # Errors
    /// As [`Remediator::begin_drill`].
    pub async fn walk_drill(&self, mut drill: Drill, run: &Run, tell: &Tell<'_>) -> Result<Drilled, Interrupted> {
        drill.fence = run.fence;
        match drill.state {
            DrillState::Intended if planted!("drill-asks-again") => {
                self.make_drill(drill, self.tools.clock.now(), run, tell).await
            }
            DrillState::Intended => self.find_drill(drill, run, tell).await,
            DrillState::Made => self.look_at_drill(drill, run, tell).await,
            DrillState::Ending => self.finish_drill(drill, run, tell).await,
            _ => Ok(Drilled { wait: None, message: drill.message.clone(), drill: Some(drill) }),
        }
    }

    /// The one call that makes the volume. No await lies between the gate and it.
    async fn make_drill(
        &self,
        mut drill: Drill,
        read_at: Instant,
        run: &Run,
        tell: &Tell<'_>,
    ) -> Result<Drilled, Interrupted> {
        let call = match self.drill_call(&drill) {
            Ok(call) => call,
            Err(why) => return self.end_drill(drill, DrillState::GivenUp, &why, tell).await,
        };
        if let Some(why) = self.drill_gate(&drill, &call, read_at, run)? {
            return self.end_drill(drill, DrillState::GivenUp, &why, tell).await;
        }
        let place = drill.snapshot.partition.place.clone();
        let answer = self.tools.act.execute(&place, &call).await;
        self.tools.halt.pass("D1.call").await?;
        match answer {
            Ok(answer) => match answer.volume {
                Some(volume) => {
                    drill.made = Some(place.partition(Kind::Volume).key(volume.as_str()));
                    self.move_drill(&mut drill, DrillState::Made, "the volume was begun").await?;
                    self.wait_drill(drill, "waiting for the volume")
                }
                None => self.wait_drill(drill, "the answer does not name the volume; looking for it"),
            },
            Err(error) if error.kind == ErrorKind::Uncertain => {
                self.wait_drill(drill, &format!("whether the volume was begun is not known: {error}"))
            }
            Err(error) if error.kind == ErrorKind::Throttled => {
                self.end_drill(drill, DrillState::GivenUp, &format!("no volume was made: {error}"), tell).await
            }
            Err(error) => {
                let why = format!("no volume could be made of it: {error}");
                drill.fault = Some(why.clone());
                self.end_drill(drill, DrillState::Failed, &why, tell).await
            }
        }
    }

    /// After a crash or an unclear answer: the volume is looked for by its mark, and never asked for again.
    async fn find_drill(&self, mut drill: Drill, run: &Run, tell: &Tell<'_>) -> Result<Drilled, Interrupted> {
        let mark = self.drill_mark(&drill)?;
        let partition = drill.snapshot.partition.place.partition(Kind::Volume);
        let mut found: Vec<Resource> = Vec::new();
        let any = planted!("drill-takes-any-volume-for-its-own");
        let (_, error) = read_partition(&*self.tools.read, &partition, |page| {
            found.extend(page.into_iter().filter(|own| any || own.tag(DRILL_TAG) == Some(mark.as_str())));
        })
        .await;
        found.truncate(if any { 1 } else { usize::MAX });
        self.tools.halt.pass("D2.call").await?;
        found.sort_by(|left, right| left.key.cmp(&right.key));
        found.dedup_by(|left, right| left.key == right.key);
        let now = self.tools.clock.now();
        match (found.as_slice(), error) {
            ([one], _) => {
                (drill.made, drill.gone) = (Some(one.key.clone()), 0);
                self.move_drill(&mut drill, DrillState::Made, "the volume was found by its mark").await?;
                self.wait_drill(drill, "waiting for the volume")
            }
            // Before the cloud must show it, no listing counts; and any one may be short and not say so.
            ([], None) if now - drill.updated_at < VISIBLE_AFTER || drill.gone < ABSENT => {
                drill.gone += u32::from(now - drill.updated_at >= VISIBLE_AFTER);
                self.wait_drill(drill, "whether the volume was begun is not known; looking for it")
            }
            ([], None) => {
                let why = "interrupted before a volume was made; none shows after five minutes";
                self.end_drill(drill, DrillState::GivenUp, why, tell).await
            }
            ([], Some(error)) if self.unread_for(&drill, run) < BLIND => {
                self.wait_drill(drill, &format!("volumes could not be listed: {error}"))
            }
            ([], Some(error)) => {
                let why =
                    format!("whether a volume with {DRILL_TAG}={mark} is left could not be read for an hour: {error}");
                self.end_drill(drill, DrillState::Unclear, &why, tell).await
            }
            (several, _) => {
                let ids: Vec<&str> = several.iter().map(|own| &*own.key.id).collect();
                let why = format!("several volumes carry the mark of this drill: {}", ids.join(", "));
                self.end_drill(drill, DrillState::Unclear, &why, tell).await
            }
        }
    }

    /// One look at the volume that was made.
    async fn look_at_drill(&self, mut drill: Drill, run: &Run, tell: &Tell<'_>) -> Result<Drilled, Interrupted> {
        let Some(made) = drill.made.clone() else { return self.lost(drill, "its row names no volume", tell).await };
        let read = self.tools.read.describe(&made).await;
        self.tools.halt.pass("D3.call").await?;
        let since = self.tools.clock.now() - drill.updated_at;
        let fault = match read {
            Ok(fresh) if fresh.key != made => {
                let why = format!("asked for {made}, the cloud answered {}", fresh.key);
                return self.lost(drill, &why, tell).await;
            }
            Ok(fresh) => match fresh.state() {
                "available" => differs(&fresh, &drill),
                "creating" if since < PATIENCE => return self.wait_drill(drill, "waiting for the volume"),
                state => Some(format!("the volume that was made of it is {}, not available", clean(state))),
            },
            // EC2 takes a volume away that it could not make; right after the call one is not shown yet.
            Err(error) if error.kind == ErrorKind::NotFound && (since < VISIBLE_AFTER || drill.gone == 0) => {
                drill.gone += 1;
                return self.wait_drill(drill, "the volume is not shown, or not any more");
            }
            Err(error) if error.kind == ErrorKind::NotFound => {
                let why = format!("the volume {} that was made of it vanished: EC2 could not make it", made.id);
                drill.fault = Some(why.clone());
                return self.end_drill(drill, DrillState::Failed, &why, tell).await;
            }
            Err(error) if self.unread_for(&drill, run) < BLIND => {
                return self.wait_drill(drill, &format!("the volume could not be read: {error}"));
            }
            Err(error) => {
                let why = format!("volume {} could not be read for an hour: {error}", made.id);
                return self.lost(drill, &why, tell).await;
            }
        };
        (drill.fault, drill.gone) = (fault, 0);
        self.move_drill(&mut drill, DrillState::Ending, "about to delete the volume").await?;
        self.finish_drill(drill, run, tell).await
    }

    /// Deletes the volume, sees it gone, and ends.
    async fn finish_drill(&self, mut drill: Drill, run: &Run, tell: &Tell<'_>) -> Result<Drilled, Interrupted> {
        let Some(made) = drill.made.clone() else { return self.lost(drill, "its row names no volume", tell).await };
        if planted!("drill-forgets-its-volume") {
            return self.end_drill(drill, DrillState::Passed, "the volume was as its snapshot says", tell).await;
        }
        let read_at = self.tools.clock.now();
        let read = self.tools.read.describe(&made).await;
        self.tools.halt.pass("D4.call").await?;
        let since = self.tools.clock.now() - drill.updated_at;
        let fresh = match read {
            Ok(fresh) => fresh,
            Err(error) if error.kind == ErrorKind::NotFound => {
                drill.gone += 1;
                // Absence alone proves nothing: it counts after a deletion of ours, seen twice.
                if drill.gone < 2 || drill.deletes == 0 && since < VISIBLE_AFTER {
                    return self.wait_drill(drill, "the volume is not found any more; looking once more");
                }
                let (state, words) = match drill.fault.clone() {
                    None => (DrillState::Passed, "the volume was as its snapshot says, and is gone again".to_owned()),
                    Some(fault) => (DrillState::Failed, fault),
                };
                return self.end_drill(drill, state, &words, tell).await;
            }
            Err(error) if self.unread_for(&drill, run) < BLIND => {
                return self.wait_drill(drill, &format!("the volume could not be read: {error}"));
            }
            Err(error) => {
                let why = format!("volume {} could not be read for an hour: {error}", made.id);
                return self.lost(drill, &why, tell).await;
            }
        };
        drill.gone = 0;
        if matches!(fresh.state(), "deleting" | "deleted") || drill.deletes > 0 && since < VISIBLE_AFTER {
            if since >= BLIND {
                let why = format!("volume {} is still {} after an hour", made.id, clean(fresh.state()));
                return self.lost(drill, &why, tell).await;
            }
            return self.wait_drill(drill, "waiting for the volume to be gone");
        }
        if drill.deletes >= DELETES {
            let why = format!("volume {} is still {} after {DELETES} deletions", made.id, clean(fresh.state()));
            return self.lost(drill, &why, tell).await;
        }
        let source = match self.tools.read.source_of(&made).await {
            Ok(source) => source,
            Err(error)
                if matches!(error.kind, ErrorKind::Throttled | ErrorKind::Uncertain)
                    && self.unread_for(&drill, run) < BLIND =>
            {
                return self.wait_drill(drill, &format!("what the volume was made of could not be read: {error}"));
            }
            Err(error) => {
                let why = format!("what volume {} was made of could not be read: {error}", made.id);
                return self.lost(drill, &why, tell).await;
            }
        };
        if let Err(why) = ours(&fresh, source.as_deref(), &drill, &self.drill_mark(&drill)?) {
            let why = format!("volume {} is not deleted: {why}", made.id);
            return self.lost(drill, &why, tell).await;
        }
        // What is walked on in a later slot is another run's, and nobody asked there whose the credentials are by now.
        if let Some(objection) = self.identity(made.account(), run).await? {
            return self.hold_drill(drill, &format!("whose the acting credentials are is not certain: {objection:?}"));
        }
        let volume = match VolumeId::new(&made.id) {
            Ok(volume) => volume,
            Err(error) => return self.lost(drill, &error.to_string(), tell).await,
        };
        let call = Call::EndDrill { volume };
        if let Some(why) = self.drill_gate(&drill, &call, read_at, run)? {
            return self.hold_drill(drill, &why);
        }
        drill.deletes += 1;
        self.move_drill(&mut drill, DrillState::Ending, "deleting the volume").await?;
        if let Some(why) = self.drill_gate(&drill, &call, read_at, run)? {
            drill.deletes -= 1;
            return self.hold_drill(drill, &why);
        }
        let answer = self.tools.act.execute(&made.partition.place, &call).await;
        self.tools.halt.pass("D5.call").await?;
        match answer {
            Ok(_) => self.wait_drill(drill, "the volume is being deleted"),
            Err(error) if matches!(error.kind, ErrorKind::Uncertain | ErrorKind::Throttled | ErrorKind::NotFound) => {
                self.wait_drill(drill, &format!("whether the volume is deleted is not known: {error}"))
            }
            Err(error) => {
                let why = format!("volume {} could not be deleted: {error}", made.id);
                self.lost(drill, &why, tell).await
            }
        }
    }

    /// For how long at most reads of this walk have failed: days in which nobody looked count for nothing.
    fn unread_for(&self, drill: &Drill, run: &Run) -> TimeDelta {
        self.tools.clock.now() - drill.updated_at.max(run.started_at)
    }

    /// Why no volume could come of the snapshot, before one is made.
    async fn unfit(&self, fresh: &Resource, drill: &Drill) -> Result<Option<String>, CloudError> {
        let Some(snapshot) = fresh.snapshot() else { return Ok(Some("it was read, but not as a snapshot".into())) };
        if &*snapshot.state != "completed" {
            return Ok(Some(format!("it is {}, not completed", clean(&snapshot.state))));
        }
        let Some(key) = &drill.kms_key else { return Ok(None) };
        Ok(match self.tools.read.key_state(&drill.snapshot.partition.place, key).await? {
            KeyState::Enabled => None,
            KeyState::Other(state) => Some(format!("its key {} is {}, not Enabled", clean(key), clean(&state))),
        })
    }

    /// The mark of a drill's volume, and its token.
    pub(super) fn drill_mark(&self, drill: &Drill) -> Result<String, StoreError> {
        Ok(format!("{}-d{}", self.tools.store.state_id()?, drill.id))
    }

    fn drill_call(&self, drill: &Drill) -> Result<Call, String> {
        let mark = self.drill_mark(drill).map_err(|error| error.to_string())?;
        Ok(Call::MakeDrill(Box::new(NewVolume {
            snapshot: SnapshotId::new(&drill.snapshot.id).map_err(|error| error.to_string())?,
            zone: drill.zone.clone(),
            volume_type: "gp3".to_owned(),
            size_gib: drill.size_gib,
            iops: None,
            throughput: None,
            encrypted: drill.kms_key.is_some(),
            kms_key: drill.kms_key.as_deref().map(str::to_owned),
            tags: vec![
                ("Name".to_owned(), format!("restore drill of {}", drill.snapshot.id)),
                (DRILL_TAG.to_owned(), mark.clone()),
            ],
            token: mark,
        })))
    }

    async fn move_drill(&self, drill: &mut Drill, to: DrillState, words: &str) -> Result<(), Interrupted> {
        let label = label(to);
        self.tools.halt.pass(&format!("{label}.before")).await?;
        (drill.state, drill.message, drill.updated_at) = (to, words.to_owned(), self.tools.clock.now());
        self.tools.store.move_drill(drill)?;
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(())
    }

    /// Ends with a volume that may be left: a person is told.
    async fn lost(&self, drill: Drill, why: &str, tell: &Tell<'_>) -> Result<Drilled, Interrupted> {
        self.end_drill(drill, DrillState::Unclear, why, tell).await
    }

    async fn end_drill(
        &self,
        mut drill: Drill,
        to: DrillState,
        why: &str,
        tell: &Tell<'_>,
    ) -> Result<Drilled, Interrupted> {
        self.tools.halt.pass("D6.before").await?;
        (drill.state, drill.message, drill.updated_at) = (to, why.to_owned(), self.tools.clock.now());
        let outgoing = if to.alarms() { tell(&drill) } else { Vec::new() };
        self.tools.store.end_drill(&drill, &audit(&drill), &outgoing)?;
        tracing::info!(drill = drill.id, state = to.word(), snapshot = %drill.snapshot, message = why);
        self.tools.halt.pass("D6.after").await?;
        Ok(Drilled { wait: None, message: drill.message.clone(), drill: Some(drill) })
    }

    /// Looks again soon, later the longer it takes.
    fn wait_drill(&self, mut drill: Drill, why: &str) -> Result<Drilled, Interrupted> {
        drill.message = why.to_owned();
        self.tools.store.move_drill(&drill)?;
        let now = self.tools.clock.now();
        let wait = now + ((now - drill.updated_at) / 2).clamp(TimeDelta::seconds(2), TimeDelta::seconds(60));
        Ok(Drilled { drill: Some(drill), wait: Some(wait), message: why.to_owned() })
    }

    /// Leaves it open for a later slot. Without the lease there is nothing to write.
    fn hold_drill(&self, mut drill: Drill, why: &str) -> Result<Drilled, Interrupted> {
        drill.message = format!("held: {why}");
        match self.tools.store.move_drill(&drill) {
            Err(error) if !error.is_stale_fence() => Err(error.into()),
            _ => Ok(Drilled { wait: None, message: drill.message.clone(), drill: Some(drill) }),
        }
    }
}

/// The name of a transition's crash points.
fn label(to: DrillState) -> &'static str {
    match to {
        DrillState::Made => "D2",
        DrillState::Ending => "D4",
        _ => "D6",
    }
}

/// What the audit trail keeps of a drill.
fn audit(drill: &Drill) -> AuditEntry {
    AuditEntry {
        actor: "drill".into(),
        what: drill.state.word().into(),
        subject: drill.snapshot.to_string(),
        detail: serde_json::json!({
            "drill": drill.id,
            "volume": drill.made.as_ref().map(|made| made.id.to_string()),
            "fault": drill.fault,
            "message": drill.message,
            "begun_at": drill.begun_at,
            "deletes": drill.deletes,
            "fence": drill.fence,
        }),
    }
}
