//! The gate's questions about a backup of ours whose time is said to be over: a safety snapshot, or the safety image of
//! a termination (safety.md, H26 and I14).
//!
//! No policy, finding or notice stands behind such a step, so everything is asked of the journal and of the resource, by
//! code of its own: the mark, the row that it names, the age by the cloud's clock and by ours, who still needs it.

use chrono::{NaiveDate, TimeDelta};

use super::super::{Remediator, Ruling, Run};
use super::Facts;
use super::resource::{named_by_people, own_name};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::mode::Mode;
use crate::domain::plan::{HoldCode, Step};
use crate::domain::remediation::Remediation;
use crate::domain::resource::{Detail, Image, Resource, Snapshot};
use crate::store::StoreError;

/// How long a safety snapshot is promised, in days. An image is kept as long, and as long after it was last used.
const PROMISED: i64 = 90;

/// Most of each sort that may go in one run and account.
const MOST: usize = 100;

/// What the state says about where a backup comes from.
pub(in crate::remediate) struct Origin {
    /// The act that it was made for.
    row: Option<Remediation>,
    /// Somebody takes that act back just now, or a person has not settled it.
    needed: bool,
    /// What this run expired of its sort already.
    in_run: usize,
}

impl Remediator {
    /// Reads the origin of what an expiry ends; nothing for any other act. An act whose intent is on file does not count
    /// among those before it.
    pub(super) fn origin(
        &self,
        step: &Step,
        fresh: &Resource,
        run: &Run,
        own: Option<i64>,
    ) -> Result<Option<Origin>, StoreError> {
        // A snapshot names its row by a tag, an image by its name, which nobody can change.
        let named = match step.act {
            Act::ExpireSnapshot => fresh.tag("costwarden:remediation"),
            Act::ExpireImage => fresh.image().map(|image| &*image.name),
            _ => return Ok(None),
        };
        let store = &self.tools.store;
        let named = named.and_then(|value| value.rsplit_once("-r"));
        let state_id = store.state_id()?;
        let id = named.filter(|(state, _)| *state == state_id).and_then(|(_, id)| id.parse::<i64>().ok());
        let row = id.map(|id| store.remediation(id)).transpose()?.flatten();
        let needed = match &row {
            Some(row) => {
                store.undos_of(row.id)?.iter().any(|undo| !undo.state.ended())
                    || store.stuck_remediations()?.iter().any(|stuck| stuck.id == row.id)
            }
            None => true,
        };
        let acts = store.acts_since(step.key.account(), run.started_at)?;
        let in_run =
            acts.iter().filter(|(act, _, _)| *act == step.act).count().saturating_sub(usize::from(own.is_some()));
        Ok(Some(Origin { row, needed, in_run }))
    }
}

/// Why the backup stays; `None` when its time is over and nobody needs it.
pub(super) fn stays(facts: &Facts<'_>) -> Option<Ruling> {
    let refuse = |code, why: &str| Some(Ruling::Refuse(code, why.into()));
    let account = facts.step.key.account();
    match (facts.rules.mode, facts.rules.by_hand) {
        (Mode::Observe, _) | (Mode::Notify, false) => return refuse(HoldCode::Mode, "the mode changes nothing"),
        (Mode::Notify, true) => {}
        (Mode::Enforce, _) => {
            let armed = facts.arming.as_ref().filter(|own| own.account == *account && facts.now <= own.until);
            if armed.is_none() {
                return refuse(HoldCode::NotArmed, "its account is not armed");
            }
        }
    }
    let Fact::Known(tags) = &facts.fresh.tags else {
        return refuse(HoldCode::Incomplete, "its tags are not known");
    };
    if tags.get("costwarden:safety-snapshot") != Some("true") {
        return refuse(HoldCode::Protected, "it does not carry our mark");
    }
    let prefix = &facts.rules.guards.tag_prefix;
    let protects = |key: &str| own_name(key, prefix).as_deref() == Some("protect");
    let protected = tags.iter().any(|(key, value)| protects(key) && !value.trim().eq_ignore_ascii_case("false"));
    if protected && !planted!("expire-what-people-keep") {
        return refuse(HoldCode::Protected, "the tag costwarden:protect refuses");
    }
    if named_by_people(&facts.rules.guards.protect, facts.fresh, tags).is_some() {
        return refuse(HoldCode::Protected, "the protect list of the settings names it");
    }
    // People may lengthen its time by this tag; what is no date keeps it.
    let kept = tags.get("costwarden:keep-until").map(|day| day.parse::<NaiveDate>());
    let kept = kept.is_some_and(|day| day.is_err() || day.is_ok_and(|day| day >= facts.now.date_naive()));
    if kept && !planted!("expire-what-people-keep") {
        return refuse(HoldCode::KeepUntil, "the tag costwarden:keep-until holds");
    }
    let Some(origin) = &facts.origin else { return refuse(HoldCode::Incomplete, "its origin was not read") };
    let Some(row) = &origin.row else {
        return refuse(HoldCode::Protected, "it names no act of this state file");
    };
    if row.step.key.partition.place != facts.step.key.partition.place {
        return refuse(HoldCode::Protected, "the act that it names was elsewhere");
    }
    if !row.state.ended() || origin.needed {
        return refuse(HoldCode::Protected, "the act that it was made for is not over, or is being taken back");
    }
    let old = |at: Instant| facts.now - at > TimeDelta::days(PROMISED);
    let asked = row.snapshots.iter().filter_map(|own| own.requested_at).chain(row.image.iter().map(|own| own.asked_at));
    if !facts.fresh.created_at.known().copied().is_some_and(old) || !asked.into_iter().all(old) {
        return refuse(HoldCode::Protected, "its 90 days are not over");
    }
    let reason = match (facts.step.act, &facts.fresh.detail) {
        (Act::ExpireSnapshot, Detail::Snapshot(snapshot)) => snapshot_stays(row, snapshot),
        (Act::ExpireImage, Detail::Image(image)) => image_stays(row, image, old),
        _ => Some((HoldCode::Protected, "it is of another kind")),
    };
    if let Some((code, why)) = reason {
        return refuse(code, why);
    }
    (origin.in_run >= MOST).then(|| Ruling::Freeze(format!("more than {MOST} backups of a sort expire in one run")))
}

fn snapshot_stays(row: &Remediation, snapshot: &Snapshot) -> Option<(HoldCode, &'static str)> {
    if !row.snapshots.iter().any(|own| own.volume == snapshot.volume) {
        return Some((HoldCode::Protected, "the act that it names backed up another volume"));
    }
    if !matches!(&*snapshot.state, "completed" | "error") {
        return Some((HoldCode::ReportedOnly, "it is neither completed nor failed"));
    }
    let free = snapshot.locked == Fact::Known(false) && snapshot.image == Fact::Absent;
    (!free).then_some((HoldCode::Protected, "it is locked or an image uses it, or may"))
}

fn image_stays(row: &Remediation, image: &Image, old: impl Fn(Instant) -> bool) -> Option<(HoldCode, &'static str)> {
    if row.step.act != Act::TerminateInstance || row.image.as_ref().is_none_or(|own| *own.name != *image.name) {
        return Some((HoldCode::Protected, "the act that it names made no such image"));
    }
    let ours = |id| row.snapshots.iter().any(|own| own.snapshot.as_ref() == Some(id));
    if image.snapshots.is_empty() || !image.snapshots.iter().all(ours) {
        return Some((HoldCode::Protected, "it is not made of the safety snapshots of the act that it names"));
    }
    // A launch shows a day late, and whoever launched from it may want to again.
    let unused = match &image.launched {
        Fact::Absent => true,
        Fact::Known(at) => old(*at),
        Fact::Unknown(_) => false,
    };
    if !unused || image.user != Fact::Absent {
        return Some((HoldCode::Protected, "something uses it or was launched from it lately, or may"));
    }
    let free = image.shared == Fact::Known(false) && image.protected == Fact::Known(false);
    (!free).then_some((HoldCode::Protected, "it is shared or protected, or may be"))
}
