//! The gate's own questions about the resource as read a moment ago: its marks, its managers, its flags and its state.
//!
//! Asked by `judge`, after everything that the state knows. Shares nothing with `domain::guard`, which the planner and
//! `recheck` asked before; what only snapshots and addresses have is asked by `storage`.

use chrono::NaiveDate;

use super::super::Ruling;
use super::{Facts, storage};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::plan::HoldCode;
use crate::domain::resource::{Detail, Lifecycle, Tags};

/// What the resource itself forbids, read by code of its own: the guards said so before, or should have.
pub(super) fn untouchable(facts: &Facts<'_>) -> Option<Ruling> {
    let refuse = |code, why: &str| Some(Ruling::Refuse(code, why.into()));
    let Fact::Known(tags) = &facts.fresh.tags else {
        return refuse(HoldCode::Incomplete, "its tags are not known");
    };
    let seen = facts.finding.as_ref().and_then(|finding| finding.keep_tag.as_deref());
    if let Some((code, why)) = marked(tags, seen, facts.now) {
        return refuse(code, why);
    }
    match (&facts.fresh.detail, facts.step.act) {
        (Detail::Instance(instance), act) => {
            let off = |flag: &Fact<bool>| matches!(flag, Fact::Known(false) | Fact::Absent);
            let on = !off(&instance.termination_protected) || !off(&instance.stop_protected);
            if on && !planted!("ignore-protection-flags") {
                return refuse(HoldCode::Protected, "a protection flag is on or could not be read");
            }
            if act == Act::StopInstance && instance.state.as_str() != "running" {
                return refuse(HoldCode::ReportedOnly, "it is not running");
            }
            let changes = matches!(act, Act::StopInstance | Act::ResizeInstance | Act::TerminateInstance);
            if changes && !matches!(instance.state.as_str(), "running" | "stopped") {
                return refuse(HoldCode::ReportedOnly, "it is neither running nor stopped");
            }
            if act == Act::ResizeInstance
                && series(&instance.instance_type) != facts.step.to_type.as_deref().and_then(series)
            {
                return refuse(HoldCode::NotAvailable, "the new type is of another series");
            }
            if changes && instance.lifecycle != Lifecycle::OnDemand && !planted!("stop-spot-instances") {
                return refuse(HoldCode::NotAvailable, "it was not bought on demand");
            }
            if changes && !off(&instance.instance_store) && !planted!("ignore-local-disks") {
                return refuse(HoldCode::WouldLose, "it has, or may have, instance-store disks");
            }
        }
        (Detail::Volume(volume), Act::DeleteVolume)
            if &*volume.state != "available" || !volume.attachments.is_empty() =>
        {
            return refuse(HoldCode::ReportedOnly, "it is attached, or not available");
        }
        _ => {}
    }
    storage::untouchable(facts)
}

/// What its tags forbid. `seen` is the keep-until tag that the last scan has seen.
pub(in crate::remediate) fn marked(tags: &Tags, seen: Option<&str>, now: Instant) -> Option<(HoldCode, &'static str)> {
    for (key, value) in tags.iter() {
        let key = key.to_ascii_lowercase();
        match key.as_str() {
            "costwarden:protect" if !value.eq_ignore_ascii_case("false") && !planted!("ignore-the-protect-tag") => {
                return Some((HoldCode::Protected, "the tag costwarden:protect refuses"));
            }
            "costwarden:safety-snapshot" => return Some((HoldCode::Protected, "it is a safety snapshot of ours")),
            "costwarden:keep-until" if holds(value, seen, now) => {
                return Some((HoldCode::KeepUntil, "the tag costwarden:keep-until holds"));
            }
            "costwarden:remediation" => return Some((HoldCode::Protected, "it is a backup of ours")),
            _ if planted!("ignore-managers") => {}
            _ if key.starts_with("aws:backup:") || key.starts_with("aws:dlm:") || key.starts_with("dlm:") => {
                return Some((HoldCode::Managed, "a backup service manages it"));
            }
            "aws:autoscaling:groupname" | "aws:cloudformation:stack-name" | "eks:cluster-name" | "csivolumename" => {
                return Some((HoldCode::Managed, "something else manages it"));
            }
            _ if key.starts_with("kubernetes.io/") || key.starts_with("ebs.csi.aws.com/") => {
                return Some((HoldCode::Managed, "a cluster manages it"));
            }
            _ => {}
        }
    }
    None
}

/// What is no date holds. A date that the last scan has seen and that is past its 90 days is the finding's to know.
fn holds(keep_until: &str, seen: Option<&str>, now: Instant) -> bool {
    let day = NaiveDate::parse_from_str(keep_until.trim(), "%Y-%m-%d");
    day.map_or(true, |day| day >= now.date_naive() && seen != Some(keep_until))
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
            marked(&tags, seen, now).map(|(code, _)| code) == Some(HoldCode::KeepUntil)
        };
        for text in ["", " ", "!", "-", " 2030-01-01", "31.12.2026", "1 year", "2026-13-01", "\u{202e}2020", "never"] {
            assert!(holds(text, None), "{text:?}");
        }
        assert!(holds("until christmas", Some("until christmas")), "the last scan could not read it either");
        assert!(holds("2026-11-23", None) && !holds("2026-11-22", None) && !holds("2020-01-01 ", None));
        assert!(!holds("2030-01-01", Some("2030-01-01")), "how long that holds, its finding says");
    }
}
