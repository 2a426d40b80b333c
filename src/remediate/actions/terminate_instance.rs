//! Terminating an instance (R9): off unless a person switches it on, and never without a proven way back.
//!
//! Before the call every attached volume has its completed snapshot, and an image made of them is registered and
//! available, from which a new instance may be launched (`remediate::image`). It counts as done when EC2 says
//! `terminated`; that the id is not found proves nothing (safety.md, finding 3). The way back is a new instance with
//! the same type, subnet, groups, profile, tags and volumes; its id, its addresses and its memory are gone.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::{Call, NewInstance};
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::place::{ImageId, InstanceId};
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::{InstanceState, Resource};
use crate::domain::undo::reserved;
use crate::remediate::{PROTECT_TAG, UNDO_TAG};

/// Most tags on an instance.
const MOST_TAGS: usize = 50;

/// Its row in the table.
pub static ACTION: Action =
    Action { act: Act::TerminateInstance, backup, call, look, ends_gone: false, restore, undo, undone };

/// The launch of an instance like the one of the recipe.
///
/// # Errors
/// What the recipe lacks, in words.
pub fn new_instance(act: i64, recipe: &Recipe, image: &str, token: &str) -> Result<NewInstance, String> {
    let before = recipe.resource.instance().ok_or("its recipe holds no instance")?;
    let launch = recipe.launch.as_ref().ok_or("its recipe does not say how it was launched")?;
    let subnet = launch.subnet.as_ref().ok_or("its recipe names no subnet")?;
    Ok(NewInstance {
        image: ImageId::new(image).map_err(|error| error.to_string())?,
        instance_type: before.instance_type.to_string(),
        subnet: subnet.to_string(),
        security_groups: launch.security_groups.iter().map(ToString::to_string).collect(),
        profile: launch.profile.as_deref().map(str::to_owned),
        key_name: launch.key_name.as_deref().map(str::to_owned),
        ebs_optimized: launch.ebs_optimized,
        monitoring: launch.monitoring,
        placement_group: launch.placement_group.as_deref().map(str::to_owned),
        metadata: launch.metadata.clone(),
        tags: tags(act, recipe, token),
        token: token.to_owned(),
    })
}

fn backup(_: &Switches) -> Backup {
    Backup::InstanceVolumes
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let instance = InstanceId::new(&asked.step.key.id).map_err(|error| error.to_string())?;
    Ok(Call::TerminateInstance { instance })
}

fn look(_: &Remediation, fresh: &Resource) -> Look {
    match fresh.instance().map(|instance| &instance.state) {
        Some(InstanceState::Terminated) => Look::Reached,
        Some(InstanceState::Running | InstanceState::Stopped) => Look::Unchanged,
        _ => Look::Between,
    }
}

fn restore(step: &Step, _: &Resource, _: &Call) -> Restore {
    Restore::LaunchInstance { instance: step.key.id.to_string() }
}

/// `fresh` is the image.
fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let new = new_instance(undoing.act.id, undoing.recipe, &undoing.fresh.key.id, undoing.token)?;
    Ok(Call::RunInstance(Box::new(new)))
}

/// Our two marks first, then those of the old instance, as many as fit. The protecting one keeps every rule's hands off
/// the new instance until a person removes it.
fn tags(act: i64, recipe: &Recipe, token: &str) -> Vec<(String, String)> {
    let mut tags =
        vec![(UNDO_TAG.to_owned(), token.to_owned()), (PROTECT_TAG.to_owned(), format!("r-{act} was taken back"))];
    let old = recipe.resource.tags.known();
    for (key, value) in old.into_iter().flat_map(|tags| tags.iter()) {
        if tags.len() < MOST_TAGS && !reserved(key) && key != UNDO_TAG && key != PROTECT_TAG {
            tags.push((key.to_owned(), value.to_owned()));
        }
    }
    tags
}

fn undone(_: &Recipe, fresh: &Resource) -> Look {
    match fresh.instance().map(|instance| &instance.state) {
        Some(InstanceState::Running) => Look::Reached,
        _ => Look::Between,
    }
}
