//! Changing a gp2 volume to gp3 in place, with no less performance than it had (checks.md, B8).
//!
//! The volume goes on working meanwhile, and nothing is written or lost, so nothing is snapshotted. EBS takes one change
//! of a volume in six hours; the way back is the same call with the old type, after that time.

use chrono::TimeDelta;

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::gp3::{BASE_IOPS, BASE_THROUGHPUT, no_less_than};
use crate::domain::guard::Switches;
use crate::domain::place::VolumeId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::{Resource, Volume};
use crate::domain::text::clean;

/// How long EBS takes no other change of the same volume.
const BETWEEN_CHANGES: TimeDelta = TimeDelta::hours(6);

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::ModifyVolume, backup, call, look, ends_gone: false, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let volume = asked.fresh.volume().ok_or("it is no volume")?;
    let to = no_less_than(volume).ok_or_else(|| format!("it is {}, not gp2", clean(&volume.volume_type)))?;
    changeable(volume, asked.now)?;
    // What gp3 has anyway is left out: EC2 then gives it to volumes of every size.
    Ok(Call::ModifyVolume {
        volume: VolumeId::new(&asked.step.key.id).map_err(|error| error.to_string())?,
        volume_type: "gp3".into(),
        iops: Some(to.iops).filter(|iops| *iops > BASE_IOPS),
        throughput: Some(to.throughput).filter(|throughput| *throughput > BASE_THROUGHPUT),
    })
}

/// Whether EBS takes another change of the volume now.
fn changeable(volume: &Volume, now: Instant) -> Result<(), String> {
    match &volume.modification {
        Fact::Absent => Ok(()),
        Fact::Unknown(why) => Err(format!("when it was last changed is not known: {why}")),
        Fact::Known(last) if !matches!(&*last.state, "completed" | "failed") => {
            Err(format!("EBS is still {} it", clean(&last.state)))
        }
        Fact::Known(last) if now - last.begun < BETWEEN_CHANGES => {
            let from = (last.begun + BETWEEN_CHANGES).format("%Y-%m-%d %H:%M UTC");
            Err(format!("EBS takes one change of a volume in six hours, and the next one from {from} on"))
        }
        Fact::Known(_) => Ok(()),
    }
}

/// DescribeVolumes shows the new type when it is in force; that EBS goes on optimizing then changes nothing about that.
fn look(remediation: &Remediation, fresh: &Resource) -> Look {
    let before = Recipe::of(remediation).ok();
    let wanted = before.as_ref().and_then(|recipe| no_less_than(recipe.resource.volume()?));
    let (Some(wanted), Some(now)) = (wanted, fresh.volume()) else { return Look::Between };
    let enough = now.iops.is_some_and(|iops| iops >= wanted.iops)
        && now.throughput.is_some_and(|throughput| throughput >= wanted.throughput);
    match &*now.volume_type {
        _ if modifying(now) => Look::Between,
        "gp3" if enough => Look::Reached,
        "gp2" => Look::Unchanged,
        _ => Look::Between,
    }
}

fn modifying(volume: &Volume) -> bool {
    volume.modification.known().is_some_and(|own| &*own.state == "modifying")
}

fn restore(step: &Step, _: &Resource, _: &Call) -> Restore {
    Restore::ModifyVolume { volume: step.key.id.to_string() }
}

fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let before = undoing.recipe.resource.volume().ok_or("its recipe holds no volume")?;
    let now = undoing.fresh.volume().ok_or("it is no volume")?;
    if &*now.volume_type != "gp3" {
        return Err(format!("it is {}, not gp3 as we left it", clean(&now.volume_type)));
    }
    if now.size_gib != before.size_gib {
        return Err(format!("it has {} GiB by now, not {} as we left it", now.size_gib, before.size_gib));
    }
    changeable(now, undoing.now)?;
    let volume = VolumeId::new(&undoing.act.step.key.id).map_err(|error| error.to_string())?;
    // gp2 takes neither figure: both follow from its size.
    Ok(Call::ModifyVolume { volume, volume_type: before.volume_type.to_string(), iops: None, throughput: None })
}

fn undone(recipe: &Recipe, fresh: &Resource) -> Look {
    let (Some(before), Some(now)) = (recipe.resource.volume(), fresh.volume()) else { return Look::Between };
    match &*now.volume_type {
        _ if modifying(now) => Look::Between,
        other if *other == *before.volume_type => Look::Reached,
        "gp3" => Look::Unchanged,
        _ => Look::Between,
    }
}
