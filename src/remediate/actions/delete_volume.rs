//! Deleting an unattached volume (R11): a completed snapshot first, then the delete, then it must be gone.
//!
//! The way back is a new volume from that snapshot; the id of the old one never comes back.

use super::{Action, Asked, Backup, Restore};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::VolumeId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;

/// Its row in the table.
pub static ACTION: Action = Action { act: Act::DeleteVolume, backup, call, look, ends_gone: true, restore };

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

fn restore(step: &Step, _: &Resource) -> Restore {
    Restore::CreateVolume { volume: step.key.id.to_string() }
}
