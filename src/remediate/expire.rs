//! Our own safety snapshots whose time is over: which there are, as steps for the journal.
//!
//! The worker asks once in an act slot and walks the steps like any other: claimed, judged again, gated, called once,
//! observed. A safety snapshot is one that carries our mark and names a row of this very journal; it goes 90 days after it
//! was asked for, when that row is over and nothing takes it back just now. Nobody is warned: the promise was 90 days.
//! What carries our mark and names another state file, or no row, is left for people.

use chrono::TimeDelta;

use super::{KEY_TAG, PROTECT_TAG, SNAPSHOT_DAYS};
use crate::cloud::{CloudError, CloudRead};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::place::Place;
use crate::domain::plan::{Fingerprint, OWN_TAGS, Step};
use crate::domain::remediation::{JournalState, Remediation};
use crate::domain::resource::Resource;
use crate::store::{Store, StoreError};

/// Most that go in one run and account: more than any day's acts make, so that they never pile up.
pub const MOST_PER_RUN: u64 = 100;

/// Why it cannot be said which there are.
#[derive(Debug, thiserror::Error)]
pub enum ExpiryError {
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cloud.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// The safety snapshots of a place whose 90 days are over, oldest first, at most [`MOST_PER_RUN`].
///
/// # Errors
/// When the snapshots cannot be listed to their end, or the state cannot be read.
pub async fn due(
    store: &Store,
    read: &dyn CloudRead,
    place: &Place,
    ignore_tags: &[String],
    now: Instant,
) -> Result<Vec<Step>, ExpiryError> {
    let state_id = store.state_id()?;
    let mut found = Vec::new();
    for resource in read.snapshots_tagged(place, &format!("{OWN_TAGS}safety-snapshot"), "true").await? {
        if kept(&resource, now) {
            continue;
        }
        let Some(made_by) = row_of(&resource, &state_id) else { continue };
        let (Some(row), Some(created)) = (store.remediation(made_by)?, resource.created_at.known().copied()) else {
            continue;
        };
        let asked = row.snapshots.iter().filter_map(|own| own.requested_at).max();
        let over = |at: Instant| now - at > TimeDelta::days(SNAPSHOT_DAYS);
        if over(created) && asked.is_none_or(over) && row.state.ended() && row.state != JournalState::Stuck {
            found.push((created, step(&row, &resource, ignore_tags)));
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0).then_with(|| left.1.key.cmp(&right.1.key)));
    let most = usize::try_from(MOST_PER_RUN).unwrap_or(usize::MAX);
    Ok(found.into_iter().map(|(_, step)| step).take(most).collect())
}

/// Whether its own tags keep it: a day that is not over or cannot be read, or the tag that protects.
fn kept(resource: &Resource, now: Instant) -> bool {
    let day = resource.tag(&format!("{OWN_TAGS}keep-until")).map(|day| day.parse::<chrono::NaiveDate>());
    day.is_some_and(|day| day.map_or(true, |day| day >= now.date_naive()))
        || resource.tag(PROTECT_TAG).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
}

/// The journal row that a safety snapshot names, if it is of this state file.
fn row_of(resource: &Resource, state_id: &str) -> Option<i64> {
    resource.tag(KEY_TAG)?.strip_prefix(state_id)?.strip_prefix("-r")?.parse().ok()
}

/// The finding is the one that the backup was made for: its history tells the end of the backup as well.
fn step(row: &Remediation, resource: &Resource, ignore_tags: &[String]) -> Step {
    Step {
        to_type: None,
        finding: row.step.finding.clone(),
        key: resource.key.clone(),
        name: resource.name().to_owned(),
        act: Act::ExpireSnapshot,
        policy: row.step.policy.clone(),
        rule: row.step.rule.clone(),
        policy_hash: row.step.policy_hash.clone(),
        message: format!("the {SNAPSHOT_DAYS} days of the safety snapshot of r-{} are over", row.id),
        backup: Vec::new(),
        add_tags: Vec::new(),
        monthly: None,
        fingerprint: Fingerprint::of(resource, ignore_tags),
    }
}
