//! Our own backups whose time is over: which there are, as steps for the journal.
//!
//! The worker asks once in an act slot and walks the steps like any other: claimed, judged again, gated, called once,
//! observed. A backup is a safety snapshot that carries our mark and names a row of this very journal, or the image of a
//! termination whose name says that row. It goes 90 days after it was asked for, when that row is over, however it ended,
//! and nothing takes it back just now; a row that is stuck keeps its backups until a person has settled it. An image goes
//! before its snapshots, which EC2 keeps as long as it is registered. Nobody is warned: the promise was 90 days.
//! What carries our mark and names another state file, or no row, is left for people.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{KEY_TAG, PROTECT_TAG, SNAPSHOT_DAYS};
use crate::cloud::{CloudError, CloudRead, read_partition};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::place::{Kind, Place, ResourceKey};
use crate::domain::plan::{Fingerprint, OWN_TAGS, Step};
use crate::domain::remediation::{JournalState, Remediation};
use crate::domain::resource::Resource;
use crate::domain::text::Str;
use crate::store::{Store, StoreError};

/// Most that go in one run and account: more than any day's acts make, so that they never pile up.
pub const MOST_PER_RUN: usize = 100;

/// How long one that was refused is left alone, days: something holds it, and each try is a row in the journal.
const AGAIN: i64 = 7;

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

/// The images and safety snapshots of a place whose 90 days are over: images first, each sort oldest first, at most
/// `room` in all.
///
/// # Errors
/// When the snapshots or the images cannot be listed to their end, or the state cannot be read.
pub async fn due(
    store: &Store,
    read: &dyn CloudRead,
    place: &Place,
    ignore_tags: &[String],
    room: usize,
    now: Instant,
) -> Result<Vec<Step>, ExpiryError> {
    let state_id = store.state_id()?;
    let images = images(read, place).await?;
    let mut held: BTreeSet<&Str> = BTreeSet::new();
    let mut found = Vec::new();
    for resource in &images {
        let Some(image) = resource.image() else { continue };
        held.extend(image.snapshots.iter());
        // The mark is a tag, and the name cannot be changed: both must say it.
        let Some(made_by) = row_in(&image.name, &state_id).filter(|_| marked(resource)) else { continue };
        if let Some(row) = over(store, made_by, resource, now)? {
            found.push((Act::ExpireImage, resource.created_at.known().copied(), row, resource.clone()));
        }
    }
    for resource in read.snapshots_tagged(place, &mark(), "true").await? {
        // As long as an image is made of it, EC2 does not delete it.
        if held.contains(&resource.key.id) {
            continue;
        }
        let Some(made_by) = row_of(&resource, &state_id) else { continue };
        if let Some(row) = over(store, made_by, &resource, now)? {
            found.push((Act::ExpireSnapshot, resource.created_at.known().copied(), row, resource));
        }
    }
    found.sort_by(|left, right| {
        let rank = |act| act != Act::ExpireImage;
        (rank(left.0), left.1, &left.3.key).cmp(&(rank(right.0), right.1, &right.3.key))
    });
    Ok(found.into_iter().take(room).map(|(act, _, row, resource)| step(act, &row, &resource, ignore_tags)).collect())
}

/// All own images of a place.
async fn images(read: &dyn CloudRead, place: &Place) -> Result<Vec<Resource>, CloudError> {
    let mut images = Vec::new();
    let (_, error) = read_partition(read, &place.partition(Kind::Image), |page| images.extend(page)).await;
    match error {
        Some(error) => Err(error),
        None => Ok(images),
    }
}

/// The row that a backup was made for, when the time of both is over and nothing kept it lately.
fn over(store: &Store, made_by: i64, resource: &Resource, now: Instant) -> Result<Option<Remediation>, StoreError> {
    let (Some(row), Some(created)) = (store.remediation(made_by)?, resource.created_at.known().copied()) else {
        return Ok(None);
    };
    let asked = row.snapshots.iter().filter_map(|own| own.requested_at).chain(row.image.iter().map(|own| own.asked_at));
    let old = |at: Instant| now - at > TimeDelta::days(SNAPSHOT_DAYS);
    if planted!("keep-backups-for-ever") {
        return Ok(None);
    }
    if kept(resource, now) || !old(created) || !asked.into_iter().all(old) || !row.state.ended() {
        return Ok(None);
    }
    if row.state == JournalState::Stuck && store.stuck_remediations()?.iter().any(|stuck| stuck.id == row.id) {
        return Ok(None);
    }
    Ok((!refused_lately(store, &row, &resource.key, now)?).then_some(row))
}

/// Whether an expiry of it was refused in the last days.
fn refused_lately(store: &Store, row: &Remediation, key: &ResourceKey, now: Instant) -> Result<bool, StoreError> {
    Ok(store.remediations_of_finding(&row.step.finding)?.iter().any(|own| {
        let refused = matches!(own.state, JournalState::Refused | JournalState::Aborted);
        own.step.act.expires() && own.step.key == *key && refused && now - own.updated_at < TimeDelta::days(AGAIN)
    }))
}

/// The tag that marks a backup of ours.
fn mark() -> String {
    format!("{OWN_TAGS}safety-snapshot")
}

fn marked(resource: &Resource) -> bool {
    resource.tag(&mark()) == Some("true")
}

/// Whether its own tags keep it: a day that is not over or cannot be read, or the tag that protects.
fn kept(resource: &Resource, now: Instant) -> bool {
    if planted!("expire-what-people-keep") {
        return false;
    }
    let day = resource.tag(&format!("{OWN_TAGS}keep-until")).map(|day| day.parse::<chrono::NaiveDate>());
    day.is_some_and(|day| day.map_or(true, |day| day >= now.date_naive()))
        || resource.tag(PROTECT_TAG).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
}

/// The journal row that a safety snapshot names, if it is of this state file.
pub fn row_of(snapshot: &Resource, state_id: &str) -> Option<i64> {
    row_in(snapshot.tag(KEY_TAG)?, state_id)
}

/// The journal row that a backup names, if it is of this state file.
fn row_in(name: &str, state_id: &str) -> Option<i64> {
    name.strip_prefix(state_id)?.strip_prefix("-r")?.parse().ok()
}

/// The finding is the one that the backup was made for: its history tells the end of the backup as well.
fn step(act: Act, row: &Remediation, resource: &Resource, ignore_tags: &[String]) -> Step {
    let what = if act == Act::ExpireImage { "image" } else { "snapshot" };
    Step {
        to_type: None,
        finding: row.step.finding.clone(),
        key: resource.key.clone(),
        name: resource.name().to_owned(),
        act,
        policy: row.step.policy.clone(),
        rule: row.step.rule.clone(),
        policy_hash: row.step.policy_hash.clone(),
        message: format!("the {SNAPSHOT_DAYS} days of the safety {what} of r-{} are over", row.id),
        backup: Vec::new(),
        add_tags: Vec::new(),
        monthly: None,
        fingerprint: Fingerprint::of(resource, ignore_tags),
    }
}
