//! Stopping an instance (R8): snapshots of all its volumes first, then the stop, then `stopped` must be seen.
//!
//! Stopping loses what is in memory, on instance-store disks and an auto-assigned public address; the guards refuse
//! the last two. The way back is to start it again.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::InstanceId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::{InstanceState, Resource};
use crate::domain::text::clean;

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::StopInstance, backup, call, look, ends_gone: false, restore, undo, undone };

fn backup(switches: &Switches) -> Backup {
    if switches.create_snapshot_before_stop { Backup::InstanceVolumes } else { Backup::None }
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let instance = InstanceId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::StopInstance { instance })
}

fn look(_: &Remediation, fresh: &Resource) -> Look {
    match fresh.instance().map(|instance| &instance.state) {
        Some(InstanceState::Stopped) => Look::Reached,
        Some(InstanceState::Running) => Look::Unchanged,
        _ => Look::Between,
    }
}

fn restore(step: &Step, _: &Resource, _: &Call) -> Restore {
    Restore::StartInstance { instance: step.key.id.to_string() }
}

fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let Some(now) = undoing.fresh.instance() else { return Err("it is no instance".into()) };
    if now.state != InstanceState::Stopped {
        return Err(format!("it is {}, not stopped", clean(now.state.as_str())));
    }
    let instance = InstanceId::new(&undoing.act.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::StartInstance { instance })
}

fn undone(_: &Recipe, fresh: &Resource) -> Look {
    match fresh.instance().map(|instance| &instance.state) {
        Some(InstanceState::Running) => Look::Reached,
        Some(InstanceState::Stopped) => Look::Unchanged,
        _ => Look::Between,
    }
}
