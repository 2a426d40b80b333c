//! The gate's own questions about the resource as read a moment ago: its marks, its managers, its flags and its state.
//!
//! Asked by `judge`, after everything that the state knows. Shares nothing with `domain::guard`, which the planner and
//! `recheck` asked before; what only snapshots and addresses have is asked by `storage`.

use super::super::Ruling;
use super::{Facts, storage};
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::plan::HoldCode;
use crate::domain::resource::{Detail, Lifecycle};

/// What the resource itself forbids, read by code of its own: the guards said so before, or should have.
pub(super) fn untouchable(facts: &Facts<'_>) -> Option<Ruling> {
    let refuse = |code, why: &str| Some(Ruling::Refuse(code, why.into()));
    let Fact::Known(tags) = &facts.fresh.tags else {
        return refuse(HoldCode::Incomplete, "its tags are not known");
    };
    for (key, value) in tags.iter() {
        let key = key.to_ascii_lowercase();
        match key.as_str() {
            "costwarden:protect" if !value.eq_ignore_ascii_case("false") && !planted!("ignore-the-protect-tag") => {
                return refuse(HoldCode::Protected, "the tag costwarden:protect refuses");
            }
            "costwarden:safety-snapshot" => return refuse(HoldCode::Protected, "it is a safety snapshot of ours"),
            // A tag that the last scan has seen and that is past its 90 days is the finding's to know.
            "costwarden:keep-until"
                if *value >= *facts.now.format("%Y-%m-%d").to_string()
                    && facts.finding.as_ref().and_then(|finding| finding.keep_tag.as_deref()) != Some(value) =>
            {
                return refuse(HoldCode::KeepUntil, "the tag costwarden:keep-until holds");
            }
            "costwarden:remediation" => return refuse(HoldCode::Protected, "it is a backup of ours"),
            _ if planted!("ignore-managers") => {}
            _ if key.starts_with("aws:backup:") || key.starts_with("aws:dlm:") || key.starts_with("dlm:") => {
                return refuse(HoldCode::Managed, "a backup service manages it");
            }
            "aws:autoscaling:groupname" | "aws:cloudformation:stack-name" | "eks:cluster-name" | "csivolumename" => {
                return refuse(HoldCode::Managed, "something else manages it");
            }
            _ if key.starts_with("kubernetes.io/") || key.starts_with("ebs.csi.aws.com/") => {
                return refuse(HoldCode::Managed, "a cluster manages it");
            }
            _ => {}
        }
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

/// `m5` of `m5.large`.
fn series(instance_type: &str) -> Option<&str> {
    instance_type.split_once('.').map(|(series, _)| series)
}
