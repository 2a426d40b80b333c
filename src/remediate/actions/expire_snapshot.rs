//! Deleting a safety snapshot of our own whose 90 days are over (safety.md, H26). `expire` finds them; no policy asks.
//!
//! It is a backup that nothing can ask for any more, so it needs none, and there is no way back but a Recycle Bin that may
//! happen to keep it.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::SnapshotId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::ExpireSnapshot, backup, call, look, ends_gone: true, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let snapshot = SnapshotId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::ExpireSnapshot { snapshot })
}

/// A snapshot that still shows was not deleted, or not yet.
fn look(_: &Remediation, _: &Resource) -> Look {
    Look::Unchanged
}

fn restore(step: &Step, _: &Resource, _: &Call) -> Restore {
    Restore::Nothing { ended: step.key.id.to_string() }
}

fn undo(_: &Undoing<'_>) -> Result<Call, String> {
    Err("its time was over; nothing is kept of it".into())
}

fn undone(_: &Recipe, _: &Resource) -> Look {
    Look::Between
}
