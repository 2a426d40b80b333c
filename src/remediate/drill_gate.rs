//! What a restore drill may do, asked right before each of its two calls, and whose a volume is. Asked by `drill`, which
//! decides none of it: what the state says in that moment, whether the call is this drill's, and whether the volume is
//! its own beyond doubt.

use chrono::TimeDelta;

use super::{DRILL_TAG, FRESH_SECONDS, PROTECT_TAG, Remediator, Run};
use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::drill::Drill;
use crate::domain::mode::Mode;
use crate::domain::resource::Resource;
use crate::domain::text::clean;
use crate::store::StoreError;

impl Remediator {
    /// Why no drill may begin, or go on, at all.
    pub(super) fn drill_closed(&self, drill: &Drill, run: &Run) -> Result<Option<String>, StoreError> {
        let (now, place) = (self.tools.clock.now(), &drill.snapshot.partition.place);
        if !self.rules.places.contains(place) {
            return Ok(Some(format!("{place} is not among the settings' accounts and Regions")));
        }
        if self.rules.mode != Mode::Enforce || self.rules.by_hand {
            return Ok(Some("restore drills are made in mode enforce alone, and not by hand".into()));
        }
        let armed = self.tools.store.arming(&place.account)?;
        let over = |until: Instant| now > until && !planted!("a-disarmed-account-is-armed");
        if armed.is_none_or(|arming| arming.account != place.account || over(arming.until)) {
            return Ok(Some(format!("account {} is not armed", place.account)));
        }
        if self.tools.store.clock_mark()?.is_some_and(|mark| now + TimeDelta::seconds(60) < mark) {
            return Ok(Some("the clock went backwards and is not to be believed".into()));
        }
        let ahead = self.tools.read.clock().map(|clock| clock.ahead.abs());
        if ahead.is_some_and(|ahead| ahead > TimeDelta::minutes(5)) {
            return Ok(Some("our clock and the cloud's differ by more than five minutes".into()));
        }
        self.closed(run)
    }

    /// Why a call may not leave now: asked right before each, on the state of that moment.
    pub(super) fn drill_gate(
        &self,
        drill: &Drill,
        call: &Call,
        read_at: Instant,
        run: &Run,
    ) -> Result<Option<String>, StoreError> {
        let mark = self.drill_mark(drill)?;
        let meant = match call {
            Call::MakeDrill(new) => {
                let marked = new.tags.iter().any(|(key, value)| key == DRILL_TAG && *value == mark);
                drill.made.is_none() && marked && new.token == mark && *new.snapshot.as_str() == *drill.snapshot.id
            }
            Call::EndDrill { volume } => drill.made.as_ref().is_some_and(|made| *made.id == *volume.as_str()),
            _ => false,
        };
        if !meant || drill.id == 0 {
            return Ok(Some(format!("{call} is no call of this drill")));
        }
        let age = self.tools.clock.now() - read_at;
        if age > TimeDelta::seconds(FRESH_SECONDS) || age < TimeDelta::zero() {
            return Ok(Some(format!("the last read is {} seconds old", age.num_seconds())));
        }
        self.drill_closed(drill, run)
    }
}

/// What is wrong with a volume that is available.
pub(super) fn differs(fresh: &Resource, drill: &Drill) -> Option<String> {
    let Some(volume) = fresh.volume() else { return Some("it was read, but not as a volume".into()) };
    if volume.size_gib != drill.size_gib {
        return Some(format!("the volume has {} GiB, its snapshot {}", volume.size_gib, drill.size_gib));
    }
    if volume.kms_key != drill.kms_key || volume.encrypted != drill.kms_key.is_some() {
        return Some("the volume is not encrypted under the key of its snapshot".into());
    }
    None
}

/// Whether a volume is this drill's own beyond doubt, and nobody uses it.
pub(super) fn ours(fresh: &Resource, source: Option<&str>, drill: &Drill, mark: &str) -> Result<(), String> {
    let Some(volume) = fresh.volume() else { return Err("it was read, but not as a volume".into()) };
    if drill.made.as_ref() != Some(&fresh.key) {
        return Err(format!("it is {}, not the one that was made", fresh.key));
    }
    if planted!("drill-takes-any-volume-for-its-own") {
        return Ok(());
    }
    if fresh.tags.known().is_none() || fresh.tag(DRILL_TAG) != Some(mark) {
        return Err(format!("it does not carry {DRILL_TAG}={mark}"));
    }
    if source != Some(&*drill.snapshot.id) {
        return Err(format!("it was made of {}, not of {}", source.unwrap_or("nothing"), drill.snapshot.id));
    }
    if !volume.attachments.is_empty() || !matches!(&*volume.state, "available" | "error") {
        return Err(format!("it is {} and may be in use", clean(&volume.state)));
    }
    if fresh.tag(PROTECT_TAG).is_some_and(|value| !value.eq_ignore_ascii_case("false")) {
        return Err(format!("somebody put {} on it", PROTECT_TAG));
    }
    Ok(())
}
