//! Releasing an elastic address that leads nowhere. No backup is possible (checks.md, B10), so two people approve each one.
//!
//! Once it is released, the address is anybody's. The way back asks EC2 for the very same one, which is granted only
//! while nobody else was given it; then it comes under another allocation id, with its old tags and the protecting one.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing, delete_volume};
use crate::cloud::{Call, WantedAddress};
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::AddressId;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;

/// Amazon's own pool, which is the one that is asked where none is named.
const AMAZONS: &str = "amazon";

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::ReleaseAddress, backup, call, look, ends_gone: true, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let address = AddressId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::ReleaseAddress { address })
}

/// An address has no states: it is there, or it is not.
fn look(_: &Remediation, _: &Resource) -> Look {
    Look::Unchanged
}

fn restore(_: &Step, fresh: &Resource, _: &Call) -> Restore {
    Restore::AllocateAddress { address: fresh.address().map(|own| own.public_ip.to_string()).unwrap_or_default() }
}

fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let before = undoing.recipe.resource.address().ok_or("its recipe holds no address")?;
    Ok(Call::AllocateAddress(Box::new(WantedAddress {
        public_ip: before.public_ip.to_string(),
        pool: before.pool.as_deref().filter(|pool| *pool != AMAZONS).map(str::to_owned),
        border_group: before.border_group.as_deref().map(str::to_owned),
        tags: delete_volume::tags(undoing),
    })))
}

fn undone(recipe: &Recipe, fresh: &Resource) -> Look {
    match (recipe.resource.address(), fresh.address()) {
        (Some(before), Some(now)) if before.public_ip == now.public_ip => Look::Reached,
        _ => Look::Between,
    }
}
