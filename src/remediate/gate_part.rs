//! The gate between two calls of one act: whether the next call is one of this way, and whether anything may be called
//! at all. Asked by `parts` before the intent and again right before the call; shares no code with [`Passage::turn`].
//!
//! And the gate before an undo's first call, asked by `undo` before the intent and right before the call: clock, age of
//! the read, and what must not be stopped or changed any more. It shares no code with `undo::harm`.

use chrono::TimeDelta;

use super::actions::resize_instance::Passage;
use super::parts::Row;
use super::{FRESH_SECONDS, Remediator, Ruling, Run};
use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::mode::Mode;
use crate::domain::plan::HoldCode;
use crate::domain::resource::{Detail, Resource};
use crate::domain::text::clean;
use crate::domain::undo::Undo;
use crate::store::{ACTING_LEASE, StoreError};

impl Remediator {
    /// What made the act right was asked before its first call; half-way, finishing or going back harms least.
    pub(super) fn gate_part(
        &self,
        row: &Row<'_>,
        passage: &Passage,
        call: &Call,
        fresh: &Resource,
        read_at: Instant,
        run: &Run,
    ) -> Result<Ruling, StoreError> {
        let (now, key) = (self.tools.clock.now(), row.key());
        if !self.rules.places.contains(&key.partition.place) || !key.id.starts_with(key.kind().id_prefix()) {
            return Ok(Ruling::Freeze(format!("{key} is outside the accounts and Regions of the settings")));
        }
        let way = match call {
            Call::StopInstance { .. } | Call::StartInstance { .. } => passage.restart,
            Call::ModifyInstanceType { to, .. } => *to == passage.to || *to == passage.from,
            _ => false,
        };
        if !way || fresh.key != *key || call.target() != &*key.id {
            return Ok(Ruling::Freeze(format!("{call} on {} is no call of this way", fresh.key)));
        }
        if self.tools.store.clock_mark()?.is_some_and(|mark| now + TimeDelta::seconds(60) < mark) {
            return Ok(Ruling::Freeze("the clock went backwards and is not to be believed".into()));
        }
        if self.tools.store.lease_fence(ACTING_LEASE)? != Some(run.fence) {
            return Ok(Ruling::Hold("another worker holds the acting lease, or it ran out".into()));
        }
        let closed = match row {
            Row::Act(_) if self.rules.mode == Mode::Observe => Some("mode observe changes nothing".to_owned()),
            Row::Act(_) => self.tools.store.frozen()?.map(|freeze| {
                format!("frozen by {} since {}: {}", clean(&freeze.by), freeze.at, clean(&freeze.reason))
            }),
            Row::Undo(_, while_frozen) => self.undo_closed(*while_frozen, run)?,
        };
        if let Some(why) = closed {
            return Ok(Ruling::Refuse(HoldCode::Frozen, why));
        }
        let age = now - read_at;
        if age > TimeDelta::seconds(FRESH_SECONDS) || age < TimeDelta::zero() {
            return Ok(Ruling::Refuse(
                HoldCode::StaleScan,
                format!("its last read is {} seconds old", age.num_seconds()),
            ));
        }
        Ok(Ruling::Pass)
    }

    /// Whether an undo's first call may leave, by what was read for it. Whether anything may be called at all, a freeze
    /// among it, is `undo_closed`'s to say. Only what stops or changes something is kept from what people protect.
    pub(super) fn gate_undo(
        &self,
        undo: &Undo,
        call: &Call,
        fresh: &Resource,
        read_at: Instant,
    ) -> Result<Ruling, StoreError> {
        let now = self.tools.clock.now();
        if !self.rules.places.contains(&undo.key.partition.place) {
            return Ok(Ruling::Freeze(format!("{} is outside the accounts and Regions of the settings", undo.key)));
        }
        if let Some(mark) = self.tools.store.clock_mark()?.filter(|mark| now + TimeDelta::seconds(60) < *mark) {
            let why = format!("the clock shows {now} after it showed {mark}; it is not to be believed");
            return Ok(Ruling::Freeze(why));
        }
        let ahead = self.tools.read.clock().map(|clock| clock.ahead.num_seconds());
        if let Some(seconds) = ahead.filter(|seconds| seconds.abs() > 300) {
            let why =
                format!("the cloud's clock differs from ours by {seconds} s; set ours before anything is taken back");
            return Ok(Ruling::Hold(why));
        }
        let age = now - read_at;
        if age > TimeDelta::seconds(FRESH_SECONDS) || age < TimeDelta::zero() {
            let why = format!("the last read before it is {} seconds old", age.num_seconds());
            return Ok(Ruling::Refuse(HoldCode::StaleScan, why));
        }
        let stops = match call {
            Call::StopInstance { .. } => true,
            Call::ModifyInstanceType { .. } | Call::ModifyVolume { .. } => false,
            Call::StartInstance { .. }
            | Call::CreateVolume(_)
            | Call::RunInstance(_)
            | Call::AllocateAddress(_)
            | Call::RestoreSnapshot { .. }
            | Call::DeleteTags { .. } => return Ok(Ruling::Pass),
            _ => return Ok(Ruling::Freeze(format!("{call} takes nothing back"))),
        };
        if fresh.key != undo.key || call.target() != &*undo.key.id {
            return Ok(Ruling::Freeze(format!("{call} by a read of {} is not about {}", fresh.key, undo.key)));
        }
        Ok(untouchable(fresh, stops).map_or(Ruling::Pass, |why| Ruling::Refuse(HoldCode::Protected, why.into())))
    }
}

/// What must not be changed or, with `stops`, not be stopped. What is not known counts as protected.
fn untouchable(fresh: &Resource, stops: bool) -> Option<&'static str> {
    let Fact::Known(tags) = &fresh.tags else { return Some("its tags are not known") };
    let protect = |(key, value): (&str, &str)| {
        key.eq_ignore_ascii_case("costwarden:protect") && !value.eq_ignore_ascii_case("false")
    };
    if tags.iter().any(protect) {
        return Some("the tag costwarden:protect refuses what stops or changes it");
    }
    let instance = match &fresh.detail {
        Detail::Instance(instance) => instance,
        _ if stops => return Some("it is no instance"),
        _ => return None,
    };
    let off = |flag: &Fact<bool>| matches!(flag, Fact::Known(false) | Fact::Absent);
    if !off(&instance.termination_protected) || !off(&instance.stop_protected) {
        return Some("a protection flag is on or could not be read");
    }
    if stops && !off(&instance.instance_store) {
        return Some("it has, or may have, instance-store disks, which a stop loses");
    }
    None
}
