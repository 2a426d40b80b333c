//! Adding missing tags (R12): the policy's defaults for keys that are not there, and two marks of ours that ask for
//! a review. A key that exists, with whatever value, is left alone.

use super::{Action, Asked, Backup, Recipe, Restore};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::{Resource, Tags};

/// Most tags that EC2 allows on a resource; those under `aws:` do not count.
pub const MOST_TAGS: usize = 50;

/// Its row in the table.
pub static ACTION: Action = Action { act: Act::AddTags, backup, call, look, ends_gone: false, restore };

fn backup(_: &Switches) -> Backup {
    Backup::None
}

fn call(asked: &Asked<'_>) -> Result<Call, String> {
    let present = asked.fresh.tags.known().ok_or("its tags are not known")?;
    let defaults = missing(&asked.step.add_tags, present);
    if defaults.is_empty() {
        return Err("every key that was missing is there now".into());
    }
    let marks = [
        (format!("{}compliance-status", asked.tag_prefix), "needs-review".to_owned()),
        (format!("{}auto-tagged-at", asked.tag_prefix), asked.now.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
    ];
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
    wanted.iter().filter(|(key, _)| present.get(key).is_none()).cloned().collect()
}

/// Reached when each key that was missing before the act is there with the value that we wrote.
fn look(remediation: &Remediation, fresh: &Resource) -> Look {
    let Some(now) = fresh.tags.known() else { return Look::Between };
    let before: Option<Recipe> =
        remediation.recipe.as_ref().and_then(|recipe| serde_json::from_value(recipe.clone()).ok());
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

fn restore(step: &Step, fresh: &Resource) -> Restore {
    let tags = fresh.tags.known().map(|present| missing(&step.add_tags, present)).unwrap_or_default();
    Restore::RemoveTags { tags }
}
