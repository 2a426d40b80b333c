//! Deleting an old snapshot into the Recycle Bin (checks.md, B3). Two people approve each one.
//!
//! EC2's interface cannot tell beforehand whether a retention rule covers a snapshot: the settings claim it
//! (`recycle_bin_days`), and a claim is no proof. So it is done only with two people's word; afterwards the snapshot must
//! be seen in the bin. One that is not there shows that the claim is wrong: the act is stuck, everything freezes, and no
//! second snapshot goes the same way. The way back restores it under its own id while its time in the bin lasts.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::SnapshotId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;

/// Its row in the table. That it vanished is not enough, so it does not end gone: `observe` asks the bin.
pub static ACTION: Action =
    Action { act: Act::DeleteSnapshot, backup, call, look, ends_gone: false, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let snapshot = SnapshotId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::DeleteSnapshot { snapshot })
}

/// A snapshot that still shows was not deleted, or not yet.
fn look(_: &Remediation, fresh: &Resource) -> Look {
    if fresh.state() == "completed" { Look::Unchanged } else { Look::Between }
}

fn restore(step: &Step, _: &Resource, _: &Call) -> Restore {
    Restore::RecoverSnapshot { snapshot: step.key.id.to_string() }
}

fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let snapshot = SnapshotId::new(&undoing.act.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::RestoreSnapshot { snapshot })
}

fn undone(_: &Recipe, fresh: &Resource) -> Look {
    if fresh.state() == "completed" { Look::Reached } else { Look::Between }
}
