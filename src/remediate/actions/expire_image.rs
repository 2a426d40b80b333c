//! Deregistering a safety image of our own whose 90 days are over (safety.md, H26). `expire` finds them; no policy asks.
//!
//! A termination makes an image of its safety snapshots, and EC2 deletes no snapshot that a registered image is made of:
//! the image goes first, its snapshots at a later act slot. What was launched from it goes on as it is.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::ImageId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::ExpireImage, backup, call, look, ends_gone: true, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let image = ImageId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::DeregisterImage { image })
}

/// EC2 may go on showing a deregistered image for a while, and says so.
fn look(_: &Remediation, fresh: &Resource) -> Look {
    if fresh.state() == "deregistered" { Look::Gone } else { Look::Unchanged }
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
