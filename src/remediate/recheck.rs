//! J4: everything about a step is judged again on reads of this minute.
//!
//! Fresh reads of the resource and, where they are backed up, of its volumes; the guards; the plan's fingerprint; the
//! policy's rule through [`super::Recheck`]; a permission probe; and the gate's questions that need no call. A read that
//! fails is never an answer: it is asked again or ends the step without an act.

use super::actions::{Action, Asked, Backup};
use super::fits::later_calls;
use super::gate::Purpose;
use super::{Interrupted, Remediator, Ruling, Run, StillViolates};
use crate::cloud::{Call, CloudError, CloudRead, ErrorKind};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::guard::{Reading, keep_until, refusal, switched_off};
use crate::domain::launch::Launch;
use crate::domain::place::{Kind, ResourceKey};
use crate::domain::plan::{Fingerprint, HoldCode};
use crate::domain::remediation::Remediation;
use crate::domain::resource::Resource;
use crate::domain::text::clean;

/// A resource and its volumes as read just now.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    /// The resource.
    pub resource: Resource,
    /// The volumes that would be backed up, sorted by id.
    pub volumes: Vec<Resource>,
    /// Before the first of these reads.
    pub read_at: Instant,
    /// How it was launched, for acts that must know.
    pub launch: Option<Launch>,
}

/// What J4 says.
#[derive(Debug)]
pub(super) enum Judged {
    /// Everything holds; the call that the act would make.
    Holds(Box<Fresh>, Call),
    /// A guard, the gate or the rule objects.
    Objection(Ruling),
    /// Something could not be read; worth asking again.
    Unreadable(String),
}

impl From<Ruling> for Judged {
    fn from(ruling: Ruling) -> Judged {
        Judged::Objection(ruling)
    }
}

impl Judged {
    pub(super) fn refuse(code: HoldCode, why: String) -> Judged {
        Judged::Objection(Ruling::Refuse(code, why))
    }
}

impl Remediator {
    /// Judges a step again. Reads only.
    pub(super) async fn judge_again(
        &self,
        remediation: &Remediation,
        action: &'static Action,
        run: &Run,
    ) -> Result<Judged, Interrupted> {
        let step = &remediation.step;
        // A foreign target is not even read.
        if !self.rules.places.contains(&step.key.partition.place)
            || !step.key.id.starts_with(step.key.kind().id_prefix())
        {
            let why = format!("{} is outside the accounts and Regions of the settings, or no id of its kind", step.key);
            return Ok(Ruling::Freeze(why).into());
        }
        if let Some((code, why)) = switched_off(step.act, &self.rules.switches) {
            return Ok(Judged::refuse(code, why));
        }
        let backup = action.backup_of(step, &self.rules.switches);
        let mut fresh = match self.read_fresh(remediation, backup).await {
            Ok(fresh) => fresh,
            Err(judged) => return Ok(judged),
        };
        self.tools.halt.pass("J4.call").await?;
        let (resource, now) = (&fresh.resource, self.tools.clock.now());
        if let Some((code, why)) = refusal(step.act, resource, &self.rules.guards, &self.rules.prices, Reading::Fresh) {
            return Ok(Judged::refuse(code, why));
        }
        // What expires rests on the journal, not on a finding and its rule: the gate asks for that.
        let expires = step.act.expires();
        match self.tools.store.finding(&step.finding)? {
            _ if expires => {}
            None => {
                return Ok(Judged::refuse(HoldCode::Incomplete, format!("finding {} is not on file", step.finding)));
            }
            Some(finding) => {
                if let Some(why) = keep_until(resource, &self.rules.guards.tag_prefix, &finding, now) {
                    return Ok(Judged::refuse(HoldCode::KeepUntil, why));
                }
            }
        }
        let changes = step.fingerprint.changes(&Fingerprint::of(resource, &self.rules.ignore_tags));
        if !changes.is_empty() && !planted!("ignore-the-fingerprint", "miss-what-was-attached", "overwrite-their-tags")
        {
            let changes: Vec<String> = changes.iter().map(|change| clean(change)).collect();
            return Ok(Judged::refuse(
                HoldCode::StaleScan,
                format!("it changed since the plan was made: {}", changes.join("; ")),
            ));
        }
        if let Err(why) = covers(&step.backup, &fresh, backup) {
            return Ok(Judged::refuse(HoldCode::StaleScan, why));
        }
        let still =
            if expires { Ok(StillViolates::Yes) } else { self.tools.recheck.still_violates(step, resource).await };
        match still {
            _ if planted!("skip-recheck", "overwrite-their-tags") => {}
            Ok(StillViolates::Yes) => {}
            Ok(StillViolates::No(why)) => {
                return Ok(Judged::refuse(HoldCode::StaleScan, format!("no longer violates: {why}")));
            }
            Ok(StillViolates::Unknown(why)) => {
                return Ok(Judged::refuse(HoldCode::Incomplete, format!("could not be judged again: {why}")));
            }
            Err(why) => return Ok(Judged::Unreadable(format!("could not be judged again: {why}"))),
        }
        let asked = Asked { step, fresh: resource, tag_prefix: &self.rules.guards.tag_prefix, now };
        let call = match (action.call)(&asked) {
            Ok(call) => call,
            Err(why) => return Ok(Judged::refuse(HoldCode::OwnerActs, why)),
        };
        match self.gate(Purpose::Judge, step, &call, resource, fresh.read_at, run)? {
            Ruling::Pass => {}
            objection => return Ok(objection.into()),
        }
        match self.gate_plan(remediation)? {
            Ruling::Pass => {}
            objection => return Ok(objection.into()),
        }
        if let Some(objection) = self.identity(step.key.account(), run).await? {
            return Ok(objection);
        }
        // Every call that may follow must be permitted as well, the way back among them.
        for call in std::iter::once(call.clone()).chain(later_calls(step, resource)) {
            if let Err(error) = self.tools.act.permitted(&step.key.partition.place, &call).await {
                return Ok(unread(&error, &format!("{call} would not be accepted")));
            }
        }
        if let Some(judged) = self.claimed_elsewhere(step).await? {
            return Ok(judged);
        }
        match self.launch_of(step, resource).await {
            Ok(launch) => fresh.launch = launch,
            Err(judged) => return Ok(judged),
        }
        // Last of all: between this answer and the call lies least.
        if let Err(judged) = self.keys_of_step(step, backup, &fresh).await {
            return Ok(judged);
        }
        Ok(Judged::Holds(Box::new(fresh), call))
    }

    /// Reads the resource and its volumes. `Err` is the judgement that follows from a failed read.
    pub(super) async fn read_fresh(&self, remediation: &Remediation, backup: Backup) -> Result<Fresh, Judged> {
        let key = &remediation.step.key;
        let read_at = self.tools.clock.now();
        let resource = read_one(&*self.tools.read, remediation.step.act, key)
            .await
            .map_err(|error| unread(&error, "it could not be read again"))?;
        if resource.key != *key {
            return Err(Ruling::Freeze(format!("asked for {key}, the cloud answered {}", resource.key)).into());
        }
        let volumes = match (backup, resource.instance()) {
            (Backup::InstanceVolumes, Some(instance)) => {
                let partition = key.partition.place.partition(Kind::Volume);
                let mut volumes = Vec::with_capacity(instance.volumes.len());
                for attached in &instance.volumes {
                    let volume =
                        self.tools.read.describe(&partition.key(&attached.volume)).await.map_err(|error| {
                            unread(&error, &format!("volume {} could not be read", attached.volume))
                        })?;
                    volumes.push(volume);
                }
                volumes.sort_by(|left, right| left.key.cmp(&right.key));
                volumes
            }
            (Backup::Volume, None) => vec![resource.clone()],
            _ => Vec::new(),
        };
        Ok(Fresh { resource, volumes, read_at, launch: None })
    }

    /// Makes sure that the acting credentials are the account's: at the start of a run and every 15 minutes.
    pub(super) async fn identity(
        &self,
        account: &crate::domain::place::AccountId,
        run: &Run,
    ) -> Result<Option<Judged>, Interrupted> {
        let now = self.tools.clock.now();
        let known = self.remember(|memory| memory.identified.get(account).copied());
        if known.is_some_and(|at| at >= run.started_at && at <= now && now - at < chrono::TimeDelta::minutes(15)) {
            return Ok(None);
        }
        match self.tools.act.acting_as(account).await {
            Ok(identity) if identity.account == *account || planted!("foreign-credentials") => {
                self.remember(|memory| memory.identified.insert(account.clone(), now));
                Ok(None)
            }
            Ok(identity) => {
                let why = format!(
                    "the acting credentials are of account {} ({}), not of {account}",
                    identity.account,
                    clean(&identity.arn)
                );
                Ok(Some(Ruling::Freeze(why).into()))
            }
            Err(error) => Ok(Some(unread(&error, "whose the acting credentials are could not be asked"))),
        }
    }
}

/// Whether the plan's list of volumes is the list that would be snapshotted now.
fn covers(planned: &[String], fresh: &Fresh, backup: Backup) -> Result<(), String> {
    let now: Vec<&str> = fresh.volumes.iter().map(|volume| &*volume.key.id).collect();
    if backup == Backup::None {
        return Ok(());
    }
    if now.is_empty() {
        return Err("it has no EBS volume that could be backed up".into());
    }
    if let Some(odd) = fresh.volumes.iter().find(|volume| volume.volume().is_none()) {
        return Err(format!("{} was read, but not as a volume", odd.key));
    }
    let mut planned: Vec<&str> = planned.iter().map(String::as_str).collect();
    planned.sort_unstable();
    if planned != now && !planted!("miss-what-was-attached") {
        return Err(format!(
            "the plan backs up {}, attached now: {}",
            if planned.is_empty() { "nothing".into() } else { planned.join(", ") },
            now.join(", ")
        ));
    }
    Ok(())
}

/// One fresh read, with the particulars that this act depends on.
pub(super) async fn read_one(read: &dyn CloudRead, act: Act, key: &ResourceKey) -> Result<Resource, CloudError> {
    let mut resource = read.describe(key).await?;
    if matches!(act, Act::ModifyVolume | Act::DeleteSnapshot) || act.expires() {
        read.particulars(&mut resource).await;
    }
    Ok(resource)
}

/// What follows from a request that brought no answer to judge by.
pub(super) fn unread(error: &CloudError, what: &str) -> Judged {
    match error.kind {
        ErrorKind::Throttled | ErrorKind::Uncertain => Judged::Unreadable(format!("{what}: {error}")),
        ErrorKind::NotFound => Judged::refuse(
            HoldCode::Incomplete,
            format!("{what}: the cloud does not find it now, which is no proof that it is gone ({error})"),
        ),
        ErrorKind::Denied | ErrorKind::Rejected => Judged::refuse(HoldCode::Incomplete, format!("{what}: {error}")),
    }
}
