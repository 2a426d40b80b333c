//! Whether what is encrypted can be read again: the state of each key, asked of KMS (safety.md, H14).
//!
//! A snapshot under a key that is disabled or will be deleted is complete, is the right size, may be restored by
//! permission, and cannot be restored. EC2 tells none of that before it is too late, so `recheck` asks at J4 and again in
//! the minute of the call, and `backup` when it verifies the snapshots. Whatever is not a definite `Enabled` stops the act:
//! another word refuses, and so does a read that is denied; one that failed is asked again. Each key is asked for
//! once in a look, however many disks it has. What is not encrypted asks for nothing. `undo` asks as well, before it makes
//! a volume anew or starts an instance.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::actions::{Backup, Recipe, Restore};
use super::recheck::{Fresh, Judged, unread};
use super::{Remediator, Ruling};
use crate::cloud::KeyState;
use crate::domain::finding::Act;
use crate::domain::place::{Kind, Place};
use crate::domain::plan::{HoldCode, Step};
use crate::domain::resource::Resource;
use crate::domain::text::clean;

impl Remediator {
    /// Asks for the keys of the disks that a step puts at risk. `Err` is the judgement that follows.
    pub(super) async fn keys_of_step(&self, step: &Step, backup: Backup, fresh: &Fresh) -> Result<(), Judged> {
        let volumes = self.at_risk(step, backup, fresh).await?;
        self.keys_work(&step.key.partition.place, &volumes).await
    }

    /// Asks for the keys of what comes back: a disk that cannot be read is no way back, and an instance does not start
    /// with one. A start that is tried in vain leaves all as it was, so there only a key that certainly does not work,
    /// of a disk that is attached now, is an objection. `Err` is the judgement that follows.
    pub(super) async fn keys_of_way_back(
        &self,
        place: &Place,
        recipe: &Recipe,
        fresh: &Resource,
    ) -> Result<(), Judged> {
        let then = "so nothing would come back: enable it or cancel its deletion in KMS, then ask for the undo again";
        let volumes = match recipe.restore {
            Restore::CreateVolume { .. } => std::slice::from_ref(&recipe.resource),
            Restore::LaunchInstance { .. } | Restore::ResizeInstance { restart: true, .. } => &recipe.volumes,
            Restore::StartInstance { .. } => {
                let attached = fresh.instance().map_or(&[][..], |instance| &instance.volumes);
                let still = |own: &&Resource| attached.iter().any(|now| now.volume == own.key.id);
                let volumes: Vec<Resource> = recipe.volumes.iter().filter(still).cloned().collect();
                return match self.ask_for_keys(place, &volumes, then).await {
                    Err(certain @ Judged::Objection(Ruling::Refuse(HoldCode::WouldLose, _))) => Err(certain),
                    _ => Ok(()),
                };
            }
            _ => return Ok(()),
        };
        self.ask_for_keys(place, volumes, then).await
    }

    /// Asks for each key under which one of the volumes is encrypted. `Err` is the judgement that follows.
    pub(super) async fn keys_work(&self, place: &Place, volumes: &[Resource]) -> Result<(), Judged> {
        let then = "so no backup under it could be restored: enable it or cancel its deletion in KMS, or leave this \
                    resource alone with an exception";
        self.ask_for_keys(place, volumes, then).await
    }

    async fn ask_for_keys(&self, place: &Place, volumes: &[Resource], then: &str) -> Result<(), Judged> {
        for (key, of) in keys_of(volumes).map_err(|why| Judged::refuse(HoldCode::Incomplete, why))? {
            let name = clean(key);
            match self.tools.read.key_state(place, key).await {
                Ok(KeyState::Enabled) => {}
                Ok(KeyState::Other(_)) if planted!("ignore-the-key-state") => {}
                Ok(KeyState::Other(state)) => {
                    let why = format!("key {name} of {} is {}, not Enabled, {then}", of.join(", "), clean(&state));
                    return Err(Judged::refuse(HoldCode::WouldLose, why));
                }
                Err(error) => {
                    let what = format!(
                        "whether key {name} of {} can be used could not be asked (the reading role needs \
                         kms:DescribeKey on it)",
                        of.join(", ")
                    );
                    return Err(unread(&error, &what));
                }
            }
        }
        Ok(())
    }

    /// The volumes that are backed up; where the settings want no backup before a stop, those that could not be attached
    /// again after it.
    async fn at_risk<'f>(&self, step: &Step, backup: Backup, fresh: &'f Fresh) -> Result<Cow<'f, [Resource]>, Judged> {
        let instance = match (backup, fresh.resource.instance()) {
            (Backup::None, Some(instance)) if step.act == Act::StopInstance => instance,
            (Backup::None, _) => return Ok(Cow::Borrowed(&[])),
            _ => return Ok(Cow::Borrowed(&fresh.volumes)),
        };
        let partition = step.key.partition.place.partition(Kind::Volume);
        let mut volumes = Vec::with_capacity(instance.volumes.len());
        for attached in &instance.volumes {
            let volume = self.tools.read.describe(&partition.key(&attached.volume)).await;
            let what = || format!("volume {} could not be read", attached.volume);
            volumes.push(volume.map_err(|error| unread(&error, &what()))?);
        }
        Ok(Cow::Owned(volumes))
    }
}

/// The keys of volumes, each once, with the volumes that are encrypted under it.
fn keys_of(volumes: &[Resource]) -> Result<BTreeMap<&str, Vec<&str>>, String> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in volumes {
        let Some(volume) = resource.volume() else {
            return Err(format!("{} was read, but not as a volume", resource.key));
        };
        match volume.kms_key.as_deref() {
            Some(key) => keys.entry(key).or_default().push(&resource.key.id),
            None if volume.encrypted => {
                return Err(format!("volume {} is encrypted, and under which key is not known", resource.key.id));
            }
            None => {}
        }
    }
    Ok(keys)
}
