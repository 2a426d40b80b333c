//! Policies under the life cycle as JSON: one shape for every command that prints one, and for `costwarden schema`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::domain::Instant;
use crate::domain::lifecycle::{
    Brake, ChangeType, Deprecation, Force, PolicyEvent, PolicyRecord, PolicyVersion, Review, Stage,
};

/// What `policy list -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct PolicyListDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// When it was asked; stages are those of this instant.
    pub at: Instant,
    /// By id.
    pub policies: Vec<PolicyJson<'a>>,
}

/// What `policy show -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct PolicyShowDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The policy.
    pub policy: PolicyJson<'a>,
    /// The text of its latest version.
    pub content: &'a str,
}

/// What `policy history -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct PolicyHistoryDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The policy's id.
    pub policy: &'a str,
    /// Oldest first.
    pub versions: Vec<VersionJson<'a>>,
    /// Everything that happened, oldest first.
    pub events: &'a [PolicyEvent],
}

/// What each step of the life cycle prints with `-o json`: `create`, `update`, `submit`, `approve`, `request-changes`,
/// `activate`, `deprecate`, `archive`, `mode`.
#[derive(Serialize, JsonSchema)]
pub struct PolicyStepDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// As it is afterwards.
    pub policy: PolicyJson<'a>,
    /// What happened, in words; empty when nothing changed.
    pub happened: &'a [String],
    /// Messages that wait in the outbox.
    pub messages: usize,
}

/// What `policy apply -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct PolicyApplyDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// Nothing was written then.
    pub dry_run: bool,
    /// Files in order, then policies that no file has.
    pub policies: Vec<AppliedJson<'a>>,
}

/// What became of one policy.
#[derive(Serialize, JsonSchema)]
pub struct AppliedJson<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id; `null` for one that a dry run would create.
    pub id: Option<&'a str>,
    /// `new`, `changed (minor)`, `changed (major)`, `unchanged`, `gone` or `refused`.
    pub result: &'static str,
    /// In words.
    pub detail: &'a str,
    /// Its file; `null` when that is gone.
    pub file: Option<String>,
}

/// One policy.
#[derive(Serialize, JsonSchema)]
pub struct PolicyJson<'a> {
    /// Given when it was created; never changes.
    id: &'a str,
    /// As its document says; findings go by it.
    name: &'a str,
    /// As of now: approved with a due date is active.
    stage: Stage,
    /// The latest version, with its number.
    version: String,
    /// Counts from 1.
    seq: i64,
    /// Over the latest document's canonical JSON.
    hash: &'a str,
    /// Who made it.
    created_by: &'a str,
    /// When.
    created_at: Instant,
    /// Last step.
    updated_at: Instant,
    /// Who is asked, and who said yes; `null` before the first submission.
    review: Option<&'a Review>,
    /// When the last reviewer agreed.
    approved_at: Option<Instant>,
    /// The version that scans are judged by; `null` when none is.
    in_force: Option<&'a Force>,
    /// The version that takes its place, and when.
    next: Option<&'a Force>,
    /// A limit on the version in force.
    brake: Option<Brake>,
    /// Its end; `null` when none is announced.
    deprecation: Option<&'a Deprecation>,
}

/// One version, with the one before it (T6).
#[derive(Serialize, JsonSchema)]
pub struct VersionJson<'a> {
    /// Counts from 1.
    seq: i64,
    /// For example `1.2.0`.
    version: String,
    /// Over the document's canonical JSON.
    hash: &'a str,
    /// Derived from what changed.
    change_type: ChangeType,
    /// In words.
    change_summary: &'a str,
    /// Who wrote it.
    created_by: &'a str,
    /// When.
    created_at: Instant,
    /// The document before; `null` for the first.
    previous_policy: Option<&'a Value>,
    /// The document.
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
                change_type: version.change,
                change_summary: &version.summary,
                created_by: &version.by,
                created_at: version.at,
                previous_policy: previous.map(|previous| &previous.json),
                current_policy: &version.json,
            })
            .collect()
    }
}
