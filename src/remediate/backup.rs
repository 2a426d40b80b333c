//! J5 to J7: safety snapshots, asked for once, found again by their tag, and believed only when complete.
//!
//! Snapshot calls take no idempotency token, so each carries a key tag that names the state file and the remediation:
//! before anything is asked for, the tag is looked up. After an unclear answer, or a restart, it is looked up for
//! five minutes (the cloud may show things late) and asked for once more at most. A set counts when every
//! volume has a snapshot that is `completed`, of that volume and of its size. Before a volume is deleted, EC2 is asked
//! whether a new one may be made of its snapshot. Whether an encryption key still works EC2 does not tell before it uses it:
//! `keys` asks KMS. A snapshot under another key than its volume's is not believed.

use chrono::TimeDelta;

use super::actions::{Action, Backup, Recipe, Undoing};
use super::driver::{Here, Next};
use super::freeze::ordinary;
use super::gate::Purpose;
use super::marks::{snapshot_name, snapshot_tags};
use super::recheck::{Fresh, Judged, unread};
use super::{Interrupted, KEY_TAG, Remediator, Ruling, Run};
use crate::cloud::{Call, ErrorKind};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::place::{InstanceId, Kind, VolumeId};
use crate::domain::remediation::{JournalState, Remediation, SafetySnapshot};
use crate::domain::resource::Resource;
use crate::domain::text::{Str, clean};

/// How late the cloud may show a new snapshot.
const VISIBLE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// What `looks` is while the intent is on file and the call certainly was not made. One and two are how often it may have
/// been made: each is committed before its call, and taken back when the call was certainly not sent.
const UNASKED: u32 = 0;

/// The key that the snapshot of each volume is encrypted under.
pub(super) type Keys = Vec<(Str, Option<Str>)>;

/// What the snapshots of a remediation look like now.
enum Set {
    /// All completed.
    Completed(Keys),
    /// Some are still being made.
    Pending(String),
    /// Will never be a backup.
    Broken(String),
}

impl Remediator {
    /// J5: writes which volumes will be snapshotted, with their sizes, before anything is asked for.
    pub(super) async fn intend_snapshots(
        &self,
        remediation: &mut Remediation,
        backup: Backup,
        fresh: Fresh,
        here: &mut Here,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let now = self.tools.clock.now();
        let sizes = fresh.volumes.iter().filter_map(|resource| {
            let volume = resource.volume()?;
            Some(SafetySnapshot {
                volume: resource.key.id.clone(),
                size_gib: volume.size_gib,
                snapshot: None,
                requested_at: Some(now),
                completed_at: None,
            })
        });
        remediation.snapshots = sizes.skip(usize::from(planted!("miss-one-volume"))).collect();
        let call = match self.snapshot_call(remediation, backup, &fresh.resource) {
            Ok(call) => call,
            Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await,
        };
        remediation.call_hash = Some(super::written::call_hash(&call));
        remediation.looks = 1;
        let words = format!("{} volumes will be snapshotted first", remediation.snapshots.len());
        self.commit(remediation, JournalState::SnapIntent, &words, run).await?;
        here.snapshot_call = Some((call, fresh));
        Ok(Next::Go)
    }

    /// J6: looks the key tag up, and asks for the snapshots if they are not there.
    pub(super) async fn request_snapshots(
        &self,
        remediation: &mut Remediation,
        here: &mut Here,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let place = remediation.step.key.partition.place.clone();
        let value = self.key_value(remediation)?;
        let never_asked = remediation.looks == UNASKED || (here.snapshot_call.is_some() && remediation.looks == 1);
        match self.tools.read.snapshots_tagged(&place, KEY_TAG, &value).await {
            Ok(found) if never_asked => {
                if let Some(other) = Remediator::twin_before(remediation, &found) {
                    return self.objected(remediation, other, run).await;
                }
            }
            Ok(found) if adopt(remediation, &found) => {
                self.commit(remediation, JournalState::SnapRequested, "snapshots were begun", run).await?;
                return Ok(Next::Go);
            }
            Ok(_) => {}
            Err(error) => {
                if here.snapshot_call.take().is_some() {
                    remediation.looks -= 1;
                }
                let why = format!("snapshots could not be looked up: {error}");
                return self.wait(remediation, remediation.updated_at, &why, run);
            }
        }
        match here.snapshot_call.take() {
            Some((call, fresh)) => self.send_snapshot_call(remediation, call, fresh, run).await,
            None => self.ask_once_more(remediation, here, run).await,
        }
    }

    /// After an unclear answer or a restart: whether the call was made is not known. Or it certainly was not, and what
    /// it rested on is too old by now.
    async fn ask_once_more(
        &self,
        remediation: &mut Remediation,
        here: &mut Here,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let unasked = remediation.looks == UNASKED;
        if !unasked && self.tools.clock.now() - remediation.updated_at < VISIBLE_AFTER {
            let why = "whether the snapshots were begun is not known; looking for them";
            return self.wait(remediation, remediation.updated_at, why, run);
        }
        if remediation.looks >= 2 {
            let why = "the snapshots were asked for twice and never seen";
            return self.fail(remediation, JournalState::Aborted, why, run).await;
        }
        let Some(action) = self.action(remediation) else {
            return self.end(remediation, JournalState::Aborted, "this version has no handler for it", run).await;
        };
        let backup = action.backup_of(&remediation.step, &self.rules.switches);
        match self.judge_again(remediation, action, run).await? {
            Judged::Holds(fresh, _) => {
                if let Err(why) = same_set(remediation, &fresh) {
                    return self.end(remediation, JournalState::Aborted, &why, run).await;
                }
                let call = match self.snapshot_call(remediation, backup, &fresh.resource) {
                    Ok(call) => call,
                    Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await,
                };
                remediation.call_hash = Some(super::written::call_hash(&call));
                remediation.rechecked_at = Some(fresh.read_at);
                remediation.looks = if unasked { 1 } else { 2 };
                let words = if unasked { "asking for the snapshots" } else { "asking for the snapshots once more" };
                self.commit(remediation, JournalState::SnapIntent, words, run).await?;
                here.snapshot_call = Some((call, *fresh));
                Ok(Next::Go)
            }
            other => self.objected(remediation, other, run).await,
        }
    }

    async fn send_snapshot_call(
        &self,
        remediation: &mut Remediation,
        call: Call,
        fresh: Fresh,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let step = &remediation.step;
        match self.gate(Purpose::Backup, step, &call, &fresh.resource, fresh.read_at, run)? {
            Ruling::Pass => {}
            objection => {
                remediation.looks -= 1;
                return self.objected(remediation, objection.into(), run).await;
            }
        }
        let answer = self.tools.act.execute(&step.key.partition.place, &call).await;
        self.tools.halt.pass("J6.call").await?;
        match answer {
            Ok(answer) => {
                let mut missing: Vec<&str> = Vec::new();
                for wanted in &mut remediation.snapshots {
                    let id = answer.snapshots.iter().find(|(volume, _)| volume.as_str() == &*wanted.volume);
                    match id {
                        Some((_, id)) => wanted.snapshot = Some(Str::from(id.as_str())),
                        None => missing.push(&wanted.volume),
                    }
                }
                if !missing.is_empty() {
                    let why = format!("the cloud began no snapshot of {}", missing.join(", "));
                    return self.fail(remediation, JournalState::Aborted, &why, run).await;
                }
                self.commit(remediation, JournalState::SnapRequested, "snapshots were begun", run).await?;
                Ok(Next::Go)
            }
            Err(error) if error.kind == ErrorKind::Uncertain => {
                let why = format!("whether the snapshots were begun is not known: {error}");
                self.wait(remediation, remediation.updated_at, &why, run)
            }
            Err(error) => {
                let why = format!("the snapshots were refused: {error}");
                let limit = error.code.as_deref() == Some("SnapshotCreationPerVolumeRateExceeded");
                if error.kind == ErrorKind::Throttled || limit {
                    self.remember(|memory| memory.over.insert(run.id.clone(), why.clone()));
                    self.end(remediation, JournalState::Aborted, &why, run).await
                } else if error.kind == ErrorKind::NotFound || ordinary(error.code.as_deref()) {
                    self.end(remediation, JournalState::Aborted, &why, run).await
                } else {
                    self.fail(remediation, JournalState::Aborted, &why, run).await
                }
            }
        }
    }

    /// J7: waits until all are completed, then compares them with what is attached now.
    pub(super) async fn verify_snapshots(
        &self,
        remediation: &mut Remediation,
        here: &mut Here,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let asked = remediation.snapshots.iter().filter_map(|snapshot| snapshot.requested_at).min();
        let since = asked.unwrap_or(remediation.updated_at);
        let looked_at = self.tools.clock.now();
        let keys = match self.look_at_snapshots(remediation).await {
            Ok(Set::Completed(keys)) => keys,
            Ok(Set::Pending(why)) | Err(Judged::Unreadable(why)) => {
                if let Some(closed) = self.closed(run)? {
                    return self.hold(remediation, &format!("{why}; {closed}"), run);
                }
                return self.wait(remediation, since, &why, run);
            }
            Ok(Set::Broken(why)) => return self.fail(remediation, JournalState::Aborted, &why, run).await,
            Err(other) => return self.objected(remediation, other, run).await,
        };
        self.tools.halt.pass("J7.call").await?;
        let Some(action) = self.action(remediation) else {
            return self.end(remediation, JournalState::Aborted, "this version has no handler for it", run).await;
        };
        let fresh = match self.read_fresh(remediation, action.backup_of(&remediation.step, &self.rules.switches)).await
        {
            Ok(fresh) => fresh,
            Err(other) => return self.objected(remediation, other, run).await,
        };
        if let Err(why) = same_set(remediation, &fresh) {
            return self.end(remediation, JournalState::Aborted, &why, run).await;
        }
        if let Err(why) = same_keys(&keys, &fresh) {
            return self.fail(remediation, JournalState::Aborted, &why, run).await;
        }
        if let Err(other) = self.keys_work(&remediation.step.key.partition.place, &fresh.volumes).await {
            return self.objected(remediation, other, run).await;
        }
        if let Some(other) = self.twin_beside(remediation).await? {
            return self.objected(remediation, other, run).await;
        }
        here.verified = Some((looked_at, keys));
        self.commit(remediation, JournalState::SnapVerified, "every snapshot is completed", run).await?;
        Ok(Next::Go)
    }

    /// Right before the act: of the same volumes, still there though begun days ago, under their keys, and restorable.
    /// `None` when all of that holds.
    pub(super) async fn still_backed_up(
        &self,
        remediation: &mut Remediation,
        action: &'static Action,
        fresh: &Fresh,
        here: &Here,
        run: &Run,
    ) -> Result<Option<Next>, Interrupted> {
        if let Err(why) = same_set(remediation, fresh) {
            return self.end(remediation, JournalState::Aborted, &why, run).await.map(Some);
        }
        let now = self.tools.clock.now();
        let recent = |at: Instant| now - at <= TimeDelta::seconds(super::FRESH_SECONDS);
        let keys = match &here.verified {
            Some((at, keys)) if recent(*at) => keys.clone(),
            _ => match self.look_at_snapshots(remediation).await {
                Ok(Set::Completed(keys)) => keys,
                Ok(Set::Pending(why) | Set::Broken(why)) => {
                    return self.fail(remediation, JournalState::Aborted, &why, run).await.map(Some);
                }
                Err(other) => return self.objected(remediation, other, run).await.map(Some),
            },
        };
        // The volumes' keys worked a moment ago; the snapshots' keys are these and no others.
        if let Err(why) = same_keys(&keys, fresh) {
            return self.fail(remediation, JournalState::Aborted, &why, run).await.map(Some);
        }
        if remediation.snapshots.iter().any(|own| own.snapshot.is_none() || own.completed_at.is_none()) {
            let why = "not every snapshot is completed";
            return self.fail(remediation, JournalState::Aborted, why, run).await.map(Some);
        }
        self.restorable(remediation, action, run).await
    }

    /// Whether EC2 would let the way back of a deletion be gone: a new volume from each snapshot, asked for with a dry
    /// run. `None` when it would, or nothing is deleted; a deletion without one is none of ours. It does not prove that
    /// the key of an encrypted snapshot works: EC2 asks the key's service only while it makes the volume, `keys` before.
    async fn restorable(
        &self,
        remediation: &mut Remediation,
        action: &'static Action,
        run: &Run,
    ) -> Result<Option<Next>, Interrupted> {
        if action.act != Act::DeleteVolume || planted!("trust-a-lost-snapshot") {
            return Ok(None);
        }
        let place = remediation.step.key.partition.place.clone();
        let token = format!("{}-undo", self.key_value(remediation)?);
        let recipe = match Recipe::of(remediation) {
            Ok(recipe) => recipe,
            Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await.map(Some),
        };
        for own in remediation.snapshots.clone() {
            let id = own.snapshot.as_deref().unwrap_or_default();
            let fresh = match self.tools.read.describe(&place.partition(Kind::Snapshot).key(id)).await {
                Ok(fresh) => fresh,
                Err(error) => {
                    let judged = unread(&error, &format!("snapshot {id} could not be read"));
                    return self.objected(remediation, judged, run).await.map(Some);
                }
            };
            let now = self.tools.clock.now();
            let undoing = Undoing { act: remediation, recipe: &recipe, fresh: &fresh, token: &token, now };
            let call = match (action.undo)(&undoing) {
                Ok(call) => call,
                Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await.map(Some),
            };
            if let Err(error) = self.tools.act.permitted(&place, &call).await {
                let judged = unread(&error, "its undo would not be accepted, so it is not deleted");
                return self.objected(remediation, judged, run).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Reads every snapshot of the set and notes which are completed.
    async fn look_at_snapshots(&self, remediation: &mut Remediation) -> Result<Set, Judged> {
        let partition = remediation.step.key.partition.place.partition(Kind::Snapshot);
        let now = self.tools.clock.now();
        let key_of = remediation.step.key.clone();
        let (mut pending, mut keys) = (Vec::new(), Vec::new());
        for wanted in &mut remediation.snapshots {
            let Some(id) = wanted.snapshot.clone() else {
                return Ok(Set::Broken(format!("volume {} of {key_of} has no snapshot", wanted.volume)));
            };
            let found = match self.tools.read.describe(&partition.key(&id)).await {
                Ok(found) => found,
                Err(error) if error.kind == ErrorKind::NotFound => {
                    let young = wanted.requested_at.is_some_and(|at| now - at < VISIBLE_AFTER);
                    if young && wanted.completed_at.is_none() {
                        pending.push(format!("{id} is not shown yet"));
                        continue;
                    }
                    if planted!("trust-a-lost-snapshot") {
                        keys.push((wanted.volume.clone(), None));
                        continue;
                    }
                    return Ok(Set::Broken(format!("snapshot {id} of {} is not there any more", wanted.volume)));
                }
                Err(error) => return Err(unread(&error, &format!("snapshot {id} could not be read"))),
            };
            match usable(wanted, &found) {
                Ok(None) => {
                    wanted.completed_at = wanted.completed_at.or(Some(now));
                    let key = found.snapshot().and_then(|snapshot| snapshot.kms_key.clone());
                    keys.push((wanted.volume.clone(), key));
                }
                Ok(Some(progress)) => pending.push(format!("{id} is {progress}")),
                Err(why) => return Ok(Set::Broken(why)),
            }
        }
        match (remediation.snapshots.is_empty(), pending.is_empty()) {
            (true, _) => Ok(Set::Broken("there is no snapshot at all".into())),
            (false, true) => Ok(Set::Completed(keys)),
            (false, false) => Ok(Set::Pending(format!("waiting for the snapshot: {}", pending.join(", ")))),
        }
    }

    /// The one call that snapshots the set.
    fn snapshot_call(&self, remediation: &Remediation, backup: Backup, fresh: &Resource) -> Result<Call, String> {
        let step = &remediation.step;
        let description = snapshot_name(remediation);
        let value = self.key_value(remediation).map_err(|error| error.to_string())?;
        let tags = snapshot_tags(remediation, &description, &value, fresh, self.tools.clock.now());
        match backup {
            Backup::InstanceVolumes => {
                let instance = InstanceId::new(&step.key.id).map_err(|error| error.to_string())?;
                Ok(Call::CreateSnapshots { instance, description, tags })
            }
            Backup::Volume => {
                let volume = VolumeId::new(&step.key.id).map_err(|error| error.to_string())?;
                Ok(Call::CreateSnapshot { volume, description, tags })
            }
            Backup::None => Err(format!("{} needs no backup", step.act)),
        }
    }

    /// The value of the key tag.
    pub(super) fn key_value(&self, remediation: &Remediation) -> Result<String, Interrupted> {
        Ok(format!("{}-r{}", self.tools.store.state_id()?, remediation.id))
    }
}

/// Takes over snapshots that carry the key tag, if every volume has one; of several the latest. One that is older than
/// the intent is another act's, whatever its tag says.
fn adopt(remediation: &mut Remediation, found: &[Resource]) -> bool {
    let mut ids = Vec::with_capacity(remediation.snapshots.len());
    for wanted in &remediation.snapshots {
        let ours = |own: &Resource| match (own.created_at.known(), wanted.requested_at) {
            (Some(made), Some(asked)) => *made + super::gate::CLOCK_DIFFERENCE >= asked,
            _ => false,
        };
        let latest = found
            .iter()
            .filter(|resource| resource.snapshot().is_some_and(|snapshot| snapshot.volume == wanted.volume))
            .filter(|resource| ours(resource))
            .max_by_key(|resource| (resource.created_at.known().copied(), resource.key.id.clone()));
        match latest {
            Some(resource) => ids.push(resource.key.id.clone()),
            None => return false,
        }
    }
    for (wanted, id) in remediation.snapshots.iter_mut().zip(ids) {
        wanted.snapshot = Some(id);
    }
    !remediation.snapshots.is_empty()
}

/// `Ok(None)` for a completed backup of the volume, `Ok(Some(state))` while it is made, `Err` when it never will be.
pub(super) fn usable(wanted: &SafetySnapshot, found: &Resource) -> Result<Option<String>, String> {
    let id = &found.key.id;
    let Some(snapshot) = found.snapshot() else { return Err(format!("{id} was read, but not as a snapshot")) };
    if snapshot.volume != wanted.volume {
        return Err(format!("snapshot {id} is of {}, not of {}", clean(&snapshot.volume), wanted.volume));
    }
    match &*snapshot.state {
        "pending" if planted!("accept-a-pending-snapshot") => return Ok(None),
        "pending" => {
            let progress = snapshot.progress.known().map(|percent| format!(" at {percent} %")).unwrap_or_default();
            return Ok(Some(format!("pending{progress}")));
        }
        "completed" => {}
        "error" if planted!("accept-a-failed-snapshot") => return Ok(None),
        "recoverable" if planted!("accept-a-recoverable-snapshot") => return Ok(None),
        other => return Err(format!("snapshot {id} of {} is in state {}", wanted.volume, clean(other))),
    }
    if snapshot.volume_size_gib != wanted.size_gib && !planted!("accept-another-size") {
        return Err(format!(
            "snapshot {id} holds {} GiB, volume {} had {}",
            snapshot.volume_size_gib, wanted.volume, wanted.size_gib
        ));
    }
    match snapshot.progress.known() {
        Some(percent) if *percent < 100 => Ok(Some(format!("completed, but at {percent} %"))),
        _ => Ok(None),
    }
}

/// Whether the snapshotted volumes are exactly those that would be lost now, at the same size and under the same key.
pub(super) fn same_set(remediation: &Remediation, fresh: &Fresh) -> Result<(), String> {
    let mut backed: Vec<(&str, u32)> =
        remediation.snapshots.iter().map(|snapshot| (&*snapshot.volume, snapshot.size_gib)).collect();
    let mut now: Vec<(&str, u32)> =
        fresh.volumes.iter().filter_map(|resource| Some((&*resource.key.id, resource.volume()?.size_gib))).collect();
    backed.sort_unstable();
    now.sort_unstable();
    if (backed == now && now.len() == fresh.volumes.len()) || planted!("miss-one-volume", "miss-what-was-attached") {
        return Ok(());
    }
    let words = |set: &[(&str, u32)]| {
        let words: Vec<String> = set.iter().map(|(volume, size)| format!("{volume} ({size} GiB)")).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    };
    Err(format!("its volumes changed: snapshotted {}, attached now {}", words(&backed), words(&now)))
}

/// Whether each snapshot is encrypted under its volume's key: one under another key may not be restorable.
fn same_keys(keys: &[(Str, Option<Str>)], fresh: &Fresh) -> Result<(), String> {
    for (volume, key) in keys {
        let source = fresh.volumes.iter().find(|resource| resource.key.id == *volume).and_then(Resource::volume);
        if source.is_none_or(|source| source.kms_key != *key) {
            return Err(format!("the snapshot of {volume} is not encrypted under the volume's key"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::place;
    use crate::cloud::sim::plant;
    use crate::domain::fact::Fact;
    use crate::domain::resource::{Detail, Snapshot, Tags};
    use crate::remediate::marks::MOST_TAGS;

    fn begun() -> Instant {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn wanted() -> SafetySnapshot {
        SafetySnapshot {
            volume: "vol-1".into(),
            size_gib: 8,
            snapshot: Some("snap-1".into()),
            requested_at: Some(begun()),
            completed_at: None,
        }
    }

    fn found(change: impl FnOnce(&mut Snapshot)) -> Resource {
        let mut resource =
            plant::snapshot(place().partition(Kind::Snapshot).key("snap-1"), "vol-1", 8, begun()).resource;
        if let Detail::Snapshot(snapshot) = &mut resource.detail {
            change(snapshot);
        }
        resource
    }

    #[test]
    fn h02_only_a_completed_snapshot_of_that_volume_and_size_is_a_backup() {
        assert_eq!(usable(&wanted(), &found(|_| {})), Ok(None));
        for state in ["error", "recoverable", "recovering", "new-word", ""] {
            assert!(usable(&wanted(), &found(|own| own.state = state.into())).is_err(), "{state}");
        }
        assert!(usable(&wanted(), &found(|own| own.volume_size_gib = 7)).is_err());
        assert!(usable(&wanted(), &found(|own| own.volume = "vol-2".into())).is_err());
        assert!(matches!(usable(&wanted(), &found(|own| own.state = "pending".into())), Ok(Some(_))));
        assert!(matches!(usable(&wanted(), &found(|own| own.progress = Fact::Known(99))), Ok(Some(_))));
        assert_eq!(usable(&wanted(), &found(|own| own.progress = Fact::Absent)), Ok(None));
    }

    #[test]
    fn h14_a_snapshot_under_another_key_than_its_volume_is_not_believed() {
        let key = |key: Option<&str>| vec![(Str::from("vol-1"), key.map(Str::from))];
        let fresh = |key: Option<&str>| {
            let planted = plant::volume(place().partition(Kind::Volume).key("vol-1"), "gp3", 8, begun());
            let volume = planted.with_volume(|own| own.kms_key = key.map(Str::from)).resource;
            Fresh { resource: volume.clone(), volumes: vec![volume], read_at: begun(), launch: None }
        };
        assert!(same_keys(&key(None), &fresh(None)).is_ok());
        assert!(same_keys(&key(Some("k1")), &fresh(Some("k1"))).is_ok());
        assert!(same_keys(&key(None), &fresh(Some("k1"))).is_err());
        assert!(same_keys(&key(Some("k2")), &fresh(Some("k1"))).is_err());
    }

    #[test]
    fn a_set_is_taken_over_only_when_every_volume_has_a_snapshot_and_the_latest_counts() {
        let other = SafetySnapshot { volume: "vol-2".into(), ..wanted() };
        let mut remediation = remediation(vec![wanted(), other]);
        let at = |id: &str, volume: &str, minutes: i64| {
            let key = place().partition(Kind::Snapshot).key(id);
            plant::snapshot(key, volume, 8, begun() + TimeDelta::minutes(minutes)).resource
        };
        assert!(!adopt(&mut remediation, &[at("snap-a", "vol-1", 0)]));
        assert!(adopt(
            &mut remediation,
            &[at("snap-a", "vol-1", 0), at("snap-b", "vol-2", 0), at("snap-c", "vol-1", 5)]
        ));
        let ids: Vec<&str> = remediation.snapshots.iter().filter_map(|own| own.snapshot.as_deref()).collect();
        assert_eq!(ids, ["snap-c", "snap-b"]);
    }

    #[test]
    fn r8_our_own_tags_always_fit_and_the_sources_fill_what_is_left() {
        let many: Vec<(String, String)> = (0..60).map(|number| (format!("k{number:02}"), "v".to_owned())).collect();
        let mut pairs: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        pairs.extend([("aws:createdBy", "x"), ("costwarden:keep-until", "2030-01-01"), ("Name", "disk")]);
        let mut source = found(|_| {});
        source.tags = Fact::Known(Tags::of(&pairs));
        let tags = snapshot_tags(&remediation(vec![wanted()]), "pre-deletion-f", "state-r1", &source, begun());
        assert_eq!(tags.len(), MOST_TAGS);
        let value =
            |key: &str| tags.iter().filter(|(own, _)| own == key).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        assert_eq!(value("Name"), ["pre-deletion-f"]);
        assert_eq!(value(KEY_TAG), ["state-r1"]);
        assert_eq!(value("costwarden:keep-until"), ["2027-02-21"], "ours, 90 days, and not the source's");
        assert_eq!(value("aws:createdBy"), Vec::<&str>::new());
    }

    fn remediation(snapshots: Vec<SafetySnapshot>) -> Remediation {
        use crate::domain::finding::{Action, Severity};
        let finding = crate::engine::reconcile::testing::finding("vol-1", Severity::High, Action::Terminate);
        let fresh = plant::volume(finding.key.clone(), "gp3", 8, begun()).resource;
        let store = crate::store::Store::in_memory().unwrap();
        store.update_findings(std::slice::from_ref(&finding), &[]).unwrap();
        let fence = store.acquire(crate::store::ACTING_LEASE, "test", TimeDelta::hours(1), begun()).unwrap().unwrap();
        let step = crate::engine::plan::step(&finding, &fresh, &[], true).unwrap();
        let mut remediation = store.claim(&step, "p-1", fence, begun()).unwrap();
        remediation.snapshots = snapshots;
        remediation
    }
}
