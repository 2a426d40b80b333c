//! Policies under the life cycle as JSON: one shape for every command that prints one.

use serde::Serialize;
use serde_json::Value;

use crate::domain::Instant;
use crate::domain::lifecycle::{Brake, Deprecation, Force, PolicyRecord, PolicyVersion, Review, Stage};

/// One policy.
#[derive(Serialize)]
pub struct PolicyJson<'a> {
    id: &'a str,
    name: &'a str,
    /// As of now: approved with a due date is active.
    stage: Stage,
    /// The latest version, with its number.
    version: String,
    seq: i64,
    hash: &'a str,
    created_by: &'a str,
    created_at: Instant,
    updated_at: Instant,
    review: Option<&'a Review>,
    approved_at: Option<Instant>,
    /// The version that scans are judged by; `null` when none is.
    in_force: Option<&'a Force>,
    /// The version that takes its place, and when.
    next: Option<&'a Force>,
    /// A limit on the version in force.
    brake: Option<Brake>,
    deprecation: Option<&'a Deprecation>,
}

/// One version, with the one before it (T6).
#[derive(Serialize)]
pub struct VersionJson<'a> {
    seq: i64,
    version: String,
    hash: &'a str,
    change_type: &'static str,
    change_summary: &'a str,
    created_by: &'a str,
    created_at: Instant,
    previous_policy: Option<&'a Value>,
    current_policy: &'a Value,
}

impl<'a> PolicyJson<'a> {
    /// A record as of an instant.
    pub fn of(record: &'a PolicyRecord, now: Instant) -> PolicyJson<'a> {
        PolicyJson {
            id: &record.id,
            name: &record.name,
            stage: record.stage_at(now),
            version: record.version.to_string(),
            seq: record.seq,
            hash: &record.hash,
            created_by: &record.created_by,
            created_at: record.created_at,
            updated_at: record.updated_at,
            review: record.review.as_ref(),
            approved_at: record.approved_at,
            in_force: record.in_force(now),
            next: record.next.as_ref().filter(|next| next.from > now),
            brake: record.brake_at(now),
            deprecation: record.deprecation.as_ref(),
        }
    }
}

impl<'a> VersionJson<'a> {
    /// All versions, oldest first.
    pub fn list(versions: &'a [PolicyVersion]) -> Vec<VersionJson<'a>> {
        let previous = std::iter::once(None).chain(versions.iter().map(Some));
        versions
            .iter()
            .zip(previous)
            .map(|(version, previous)| VersionJson {
                seq: version.seq,
                version: version.version.to_string(),
                hash: &version.hash,
                change_type: version.change.word(),
                change_summary: &version.summary,
                created_by: &version.by,
                created_at: version.at,
                previous_policy: previous.map(|previous| &previous.json),
                current_policy: &version.json,
            })
            .collect()
    }
}
