//! Deleting an unattached volume (R11): a completed snapshot first, then the delete, then it must be gone.
//!
//! The way back is a new volume from that snapshot; the id of the old one never comes back.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::{Call, NewVolume};
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::{SnapshotId, VolumeId};
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;
use crate::domain::undo::reserved;
use crate::remediate::{PROTECT_TAG, UNDO_TAG};

/// Most tags on a volume.
const MOST_TAGS: usize = 50;

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::DeleteVolume, backup, call, look, ends_gone: true, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::Volume
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let volume = VolumeId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::DeleteVolume { volume })
}

fn look(_: &Remediation, fresh: &Resource) -> Look {
    match fresh.state() {
        "deleted" => Look::Gone,
        "available" | "in-use" => Look::Unchanged,
        _ => Look::Between,
    }
}

fn restore(step: &Step, _: &Resource, _: &Call) -> Restore {
    Restore::CreateVolume { volume: step.key.id.to_string() }
}

/// `fresh` is the safety snapshot.
fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let before = undoing.recipe.resource.volume().ok_or("its recipe holds no volume")?;
    let snapshot = SnapshotId::new(&undoing.fresh.key.id).map_err(|error| error.to_string())?;
    let kind = &*before.volume_type;
    Ok(Call::CreateVolume(Box::new(NewVolume {
        snapshot,
        zone: before.zone.to_string(),
        volume_type: kind.to_owned(),
        size_gib: before.size_gib,
        iops: before.iops.filter(|_| matches!(kind, "gp3" | "io1" | "io2")),
        throughput: before.throughput.filter(|_| kind == "gp3"),
        encrypted: before.encrypted,
        kms_key: before.kms_key.as_deref().map(str::to_owned),
        tags: tags(undoing),
        token: undoing.token.to_owned(),
    })))
}

/// Our two marks first, then those of the old volume, as many as fit. The protecting one keeps every rule's hands off
/// the new volume, or the address that came back, until a person removes it.
pub(super) fn tags(undoing: &Undoing<'_>) -> Vec<(String, String)> {
    let mut tags = vec![
        (UNDO_TAG.to_owned(), undoing.token.to_owned()),
        (PROTECT_TAG.to_owned(), format!("r-{} was taken back", undoing.act.id)),
    ];
    let old = undoing.recipe.resource.tags.known();
    for (key, value) in old.into_iter().flat_map(|tags| tags.iter()) {
        if tags.len() < MOST_TAGS && !reserved(key) && key != UNDO_TAG && key != PROTECT_TAG {
            tags.push((key.to_owned(), value.to_owned()));
        }
    }
    tags
}

fn undone(_: &Recipe, fresh: &Resource) -> Look {
    match fresh.state() {
        "available" | "in-use" => Look::Reached,
        _ => Look::Between,
    }
}
