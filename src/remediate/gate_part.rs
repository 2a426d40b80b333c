//! The gate between two calls of one act: whether the next call is one of this way, and whether anything may be called
//! at all. Asked by `parts` before the intent and again right before the call; shares no code with [`Passage::turn`].

use chrono::TimeDelta;

use super::actions::resize_instance::Passage;
use super::parts::Row;
use super::{FRESH_SECONDS, Remediator, Ruling, Run};
use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::mode::Mode;
use crate::domain::plan::HoldCode;
use crate::domain::resource::Resource;
use crate::domain::text::clean;
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
}
