//! The gate's own questions about the resource as read a moment ago: its marks, its managers, its flags and its state.
//!
//! Asked by `judge`, after everything that the state knows. Shares nothing with `domain::guard`, which the planner and
//! `recheck` asked before: lists and comparisons are the gate's own. Who else manages it is asked by `managers`, what
//! an instance would lose by `losses`, what only snapshots and addresses have by `storage`. An act that adds tags is
//! refused by marks, managers, flags and dead states alone, as by the guards.

use chrono::NaiveDate;

use super::super::Ruling;
use super::{Facts, losses, managers, storage};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::plan::HoldCode;
use crate::domain::resource::{Detail, Instance, Resource, Tags};
use crate::domain::text::clean;

/// What the resource itself forbids, read by code of its own: the guards said so before, or should have.
pub(super) fn untouchable(facts: &Facts<'_>) -> Option<Ruling> {
    if planted!("blind-the-gate") {
        return None;
    }
    let Fact::Known(tags) = &facts.fresh.tags else {
        return Some(Ruling::Refuse(HoldCode::Incomplete, "its tags are not known".into()));
    };
    let prefix = &facts.rules.guards.tag_prefix;
    let seen = facts.finding.as_ref().and_then(|finding| finding.keep_tag.as_deref());
    let refused = marked(tags, prefix, seen, facts.now)
        .map(|(code, why)| (code, why.to_owned()))
        .or_else(|| {
            let entry = named_by_people(&facts.rules.guards.protect, facts.fresh, tags)?;
            Some((HoldCode::Protected, format!("people wrote {} on the protect list", clean(entry))))
        })
        .or_else(|| managers::manager(facts.fresh).map(|why| (HoldCode::Managed, why)))
        .or_else(|| {
            let (code, why) = match &facts.fresh.detail {
                Detail::Instance(instance) => instance_forbids(facts, instance)?,
                Detail::Volume(volume) => match facts.step.act {
                    Act::DeleteVolume if &*volume.state != "available" || !volume.attachments.is_empty() => {
                        (HoldCode::ReportedOnly, "it is attached, or not available")
                    }
                    Act::AddTags if !matches!(&*volume.state, "available" | "in-use") => {
                        (HoldCode::ReportedOnly, "it is neither available nor in use")
                    }
                    _ => return None,
                },
                _ => return None,
            };
            Some((code, why.to_owned()))
        });
    match refused {
        Some((code, why)) => Some(Ruling::Refuse(code, why)),
        None => losses::lost(facts).or_else(|| storage::untouchable(facts)),
    }
}

/// The entry of the protect list that names the resource: its id, its whole key, a tag's key, or a tag.
pub(super) fn named_by_people<'a>(list: &'a [String], resource: &Resource, tags: &Tags) -> Option<&'a String> {
    let (id, whole) = (&*resource.key.id, resource.key.to_string());
    list.iter().filter(|_| !planted!("ignore-the-protect-list")).find(|entry| match entry.strip_prefix("tag:") {
        Some(wanted) => tags.iter().any(|(key, value)| {
            wanted == key || wanted.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')) == Some(value)
        }),
        None => entry.as_str() == id || **entry == whole,
    })
}

/// The name of one of our own tags, under our prefix or that of the settings, in whatever case somebody wrote it.
pub(super) fn own_name(key: &str, prefix: &str) -> Option<String> {
    let (key, prefix) = (key.to_ascii_lowercase(), prefix.to_ascii_lowercase());
    let ours = key.strip_prefix("costwarden:");
    let ours = ours.or_else(|| if prefix.is_empty() { None } else { key.strip_prefix(prefix.as_str()) });
    ours.map(str::to_owned)
}

/// What a tag of our own says. `seen` is the keep-until tag that the last scan has seen.
pub(in crate::remediate) fn marked(
    tags: &Tags,
    prefix: &str,
    seen: Option<&str>,
    now: Instant,
) -> Option<(HoldCode, &'static str)> {
    for (key, value) in tags.iter() {
        match own_name(key, prefix).as_deref() {
            Some("protect") if !value.trim().eq_ignore_ascii_case("false") && !planted!("ignore-the-protect-tag") => {
                return Some((HoldCode::Protected, "the tag costwarden:protect refuses"));
            }
            Some("safety-snapshot") => return Some((HoldCode::Protected, "it is a safety snapshot of ours")),
            Some("remediation") if key.to_ascii_lowercase().starts_with("costwarden:") => {
                return Some((HoldCode::Protected, "it is a backup of ours"));
            }
            Some("keep-until") if kept(value, seen, now) => {
                return Some((HoldCode::KeepUntil, "the tag costwarden:keep-until holds, or is no date"));
            }
            _ => {}
        }
    }
    None
}

/// A day that has not passed, or no day at all. A date that the last scan has seen and that is past its 90 days is the
/// finding's to know.
fn kept(text: &str, seen: Option<&str>, now: Instant) -> bool {
    let day = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d");
    day.map_or(true, |day| day >= now.date_naive() && seen != Some(text))
}

/// The flags and the state of an instance.
fn instance_forbids(facts: &Facts<'_>, instance: &Instance) -> Option<(HoldCode, &'static str)> {
    let act = facts.step.act;
    let off = |flag: &Fact<bool>| matches!(flag, Fact::Known(false) | Fact::Absent);
    let on = !off(&instance.termination_protected) || !off(&instance.stop_protected);
    if on && !planted!("ignore-protection-flags") {
        return Some((HoldCode::Protected, "a protection flag is on or could not be read"));
    }
    let state = instance.state.as_str();
    if act == Act::StopInstance && state != "running" {
        return Some((HoldCode::ReportedOnly, "it is not running"));
    }
    if matches!(act, Act::ResizeInstance | Act::TerminateInstance) && !matches!(state, "running" | "stopped") {
        return Some((HoldCode::ReportedOnly, "it is neither running nor stopped"));
    }
    if act == Act::AddTags && !matches!(state, "pending" | "running" | "stopping" | "stopped") {
        return Some((HoldCode::ReportedOnly, "it is on its way out, or in a state that is not known"));
    }
    if act == Act::ResizeInstance && series(&instance.instance_type) != facts.step.to_type.as_deref().and_then(series) {
        return Some((HoldCode::NotAvailable, "the new type is of another series"));
    }
    None
}

/// `m5` of `m5.large`.
fn series(instance_type: &str) -> Option<&str> {
    instance_type.split_once('.').map(|(series, _)| series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_the_gate_takes_no_keep_until_tag_that_it_cannot_read_for_one_that_is_over() {
        let now: Instant = "2026-11-23T10:00:00Z".parse().unwrap();
        let holds = |text: &str, seen: Option<&str>| {
            let tags = Tags::of(&[("costwarden:keep-until", text)]);
            marked(&tags, "costwarden:", seen, now).map(|(code, _)| code) == Some(HoldCode::KeepUntil)
        };
        for text in ["", " ", "!", "-", " 2030-01-01", "31.12.2026", "1 year", "2026-13-01", "\u{202e}2020", "never"] {
            assert!(holds(text, None), "{text:?}");
        }
        assert!(holds("until christmas", Some("until christmas")), "the last scan could not read it either");
        assert!(holds("2026-11-23", None) && !holds("2026-11-22", None) && !holds("2020-01-01 ", None));
        assert!(!holds("2030-01-01", Some("2030-01-01")), "how long that holds, its finding says");
    }
}
