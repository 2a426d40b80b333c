//! The gate's own questions about volumes changed in place, addresses released and snapshots deleted.
//!
//! By figures and code of its own: nothing here is shared with the check, the action or the guards that asked before.

use chrono::TimeDelta;

use super::super::Ruling;
use super::Facts;
use crate::cloud::Call;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::plan::HoldCode;
use crate::domain::resource::{Address, Detail, Resource, Snapshot, Volume};
use crate::domain::text::clean;

/// A volume that would become something else than gp3, or do less as such than it does now.
pub(super) fn slower(fresh: &Resource, call: &Call) -> Option<String> {
    let Call::ModifyVolume { volume_type, iops, throughput, .. } = call else { return None };
    let Detail::Volume(now) = &fresh.detail else { return Some(format!("{call} names no volume")) };
    // EBS's figures for gp2, and those that gp3 has without asking.
    let had_iops = (u64::from(now.size_gib) * 3).clamp(100, 16_000).max(u64::from(now.iops.unwrap_or(0)));
    let had_throughput = if now.size_gib > 170 { 250 } else { 128 };
    let gets = (u64::from(iops.unwrap_or(3_000)), throughput.unwrap_or(125));
    let fine = volume_type == "gp3" && gets.0 >= had_iops && gets.1 >= had_throughput;
    (!fine).then(|| {
        format!(
            "{call} makes it {} with {} operations a second and {} MiB/s; it has {had_iops} and {had_throughput} now",
            clean(volume_type),
            gets.0,
            gets.1
        )
    })
}

/// What such a resource itself forbids.
pub(super) fn untouchable(facts: &Facts<'_>) -> Option<Ruling> {
    let (code, why) = match (&facts.fresh.detail, facts.step.act) {
        (Detail::Volume(volume), Act::ModifyVolume) => volume_at_work(facts, volume)?,
        (Detail::Address(address), Act::ReleaseAddress) => address_in_use(address)?,
        (Detail::Snapshot(snapshot), Act::DeleteSnapshot) => snapshot_needed(snapshot)?,
        _ => return None,
    };
    Some(Ruling::Refuse(code, why.into()))
}

fn volume_at_work(facts: &Facts<'_>, volume: &Volume) -> Option<(HoldCode, &'static str)> {
    if &*volume.volume_type != "gp2" || !matches!(&*volume.state, "available" | "in-use") {
        return Some((HoldCode::ReportedOnly, "it is no gp2 volume that works"));
    }
    let rested = match &volume.modification {
        Fact::Absent => true,
        Fact::Known(last) => {
            matches!(&*last.state, "completed" | "failed") && facts.now - last.begun >= TimeDelta::hours(6)
        }
        Fact::Unknown(_) => false,
    };
    (!rested).then_some((HoldCode::ReportedOnly, "it was changed less than six hours ago, or may have been"))
}

fn address_in_use(address: &Address) -> Option<(HoldCode, &'static str)> {
    let leads = address.association.is_some() || address.instance.is_some() || address.network_interface.is_some();
    (leads || address.operator.is_some())
        .then_some((HoldCode::ReportedOnly, "it leads somewhere, or a service manages it"))
}

fn snapshot_needed(snapshot: &Snapshot) -> Option<(HoldCode, &'static str)> {
    if snapshot.locked != Fact::Known(false) {
        return Some((HoldCode::Protected, "it is locked, or may be"));
    }
    if snapshot.image != Fact::Absent {
        return Some((HoldCode::ReportedOnly, "an image uses it, or may"));
    }
    if &*snapshot.state != "completed" || &*snapshot.storage_tier != "standard" {
        return Some((HoldCode::ReportedOnly, "it is not completed, or is archived"));
    }
    let description = snapshot.description.to_ascii_lowercase();
    (description.contains("aws backup") || description.contains("created for policy: policy-"))
        .then_some((HoldCode::Managed, "a backup service made it"))
}
