//! Adding missing tags (R12): the policy's defaults for keys that are not there, and two marks of ours that ask for
//! a review. A key that exists, with whatever value, is left alone.

use super::{Action, Asked, Backup, Recipe, Restore, Undoing};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::{Resource, Tags};

/// Most tags that EC2 allows on a resource; those under `aws:` do not count.
pub const MOST_TAGS: usize = 50;

/// Names of our own two marks, behind the prefix of the settings.
pub const MARKS: [&str; 2] = ["compliance-status", "auto-tagged-at"];

/// Its row in the table.
pub static ACTION: Action = Action { act: Act::AddTags, backup, call, look, ends_gone: false, restore, undo, undone };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let present = asked.fresh.tags.known().ok_or("its tags are not known")?;
    let defaults = missing(&asked.step.add_tags, present);
    if defaults.is_empty() {
        return Err("every key that was missing is there now".into());
    }
    let [status, at] = MARKS.map(|mark| format!("{}{mark}", asked.tag_prefix));
    let marks = [(status, "needs-review".to_owned()), (at, asked.now.format("%Y-%m-%dT%H:%M:%SZ").to_string())];
    let mut tags = defaults;
    for mark in missing(&marks, present) {
        if !tags.iter().any(|(key, _)| *key == mark.0) {
            tags.push(mark);
        }
    }
    if let Some((key, _)) = tags.iter().find(|(key, _)| key.is_empty() || key.to_lowercase().starts_with("aws:")) {
        return Err(format!("{key:?} is no tag key that may be written"));
    }
    let own = present.iter().filter(|(key, _)| !key.starts_with("aws:")).count();
    if own + tags.len() > MOST_TAGS {
        return Err(format!("it carries {own} of {MOST_TAGS} tags, so there is no room for {} more", tags.len()));
    }
    Ok(Call::CreateTags { resource: asked.step.key.clone(), tags })
}

fn missing(wanted: &[(String, String)], present: &Tags) -> Vec<(String, String)> {
    wanted.iter().filter(|(key, _)| present.get(key).is_none() || planted!("overwrite-their-tags")).cloned().collect()
}

/// Reached when each key that was missing before the act is there with the value that we wrote.
fn look(remediation: &Remediation, fresh: &Resource) -> Look {
    let Some(now) = fresh.tags.known() else { return Look::Between };
    let before = Recipe::of(remediation).ok();
    let before = before.as_ref().and_then(|recipe| recipe.resource.tags.known()).cloned().unwrap_or_default();
    let written = missing(&remediation.step.add_tags, &before);
    let there = written.iter().filter(|(key, value)| now.get(key) == Some(value)).count();
    let absent = written.iter().filter(|(key, _)| now.get(key).is_none()).count();
    if there == written.len() {
        Look::Reached
    } else if absent == written.len() {
        Look::Unchanged
    } else {
        Look::Between
    }
}

/// What the call writes, our marks included.
fn restore(_: &Step, _: &Resource, call: &Call) -> Restore {
    let tags = match call {
        Call::CreateTags { tags, .. } => tags.clone(),
        _ => Vec::new(),
    };
    Restore::RemoveTags { tags }
}

/// Exactly the tags that we added and that still have our values; the call names the values, so that a tag which
/// somebody changes in the last moment stays.
fn undo(undoing: &Undoing<'_>) -> Result<Call, String> {
    let present = undoing.fresh.tags.known().ok_or("its tags are not known")?;
    let tags = still_ours(undoing.recipe, present);
    if tags.is_empty() {
        return Err("none of the tags that were added is there with our value any more".into());
    }
    Ok(Call::DeleteTags { resource: undoing.act.step.key.clone(), tags })
}

fn undone(recipe: &Recipe, fresh: &Resource) -> Look {
    match fresh.tags.known() {
        Some(present) if still_ours(recipe, present).is_empty() => Look::Reached,
        Some(_) => Look::Unchanged,
        None => Look::Between,
    }
}

fn still_ours(recipe: &Recipe, present: &Tags) -> Vec<(String, String)> {
    let Restore::RemoveTags { tags } = &recipe.restore else { return Vec::new() };
    tags.iter().filter(|(key, value)| present.get(key) == Some(value)).cloned().collect()
}
