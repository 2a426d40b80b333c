//! Policies under the life cycle: records, versions, history, and the review as rows of the table of approvals.
//!
//! One step of `policy::lifecycle` is one transaction here: the record, its new version, what happened, the questions to
//! reviewers, the messages and the audit row are written together or not at all. A record that somebody else changed
//! since it was read is refused.

use rusqlite::{Connection, Row, Transaction, params};

use super::error::{Fault, Inner};
use super::outbox::{Outgoing, enqueue};
use super::{AuditEntry, Result, Store, approvals, audit, row};
use crate::domain::Instant;
use crate::domain::lifecycle::{
    Approval, ApprovalKind, ApprovalState, ChangeType, PolicyEvent, PolicyRecord, PolicyVersion, Review, Reviewer,
    SemVer,
};

/// One step of a policy's life, to be written.
#[derive(Clone, Copy, Debug)]
pub struct PolicyStep<'a> {
    /// The record after it, with the revision that was read; 0 for a new one.
    pub record: &'a PolicyRecord,
    /// The version that it made.
    pub version: Option<&'a PolicyVersion>,
    /// What happened.
    pub events: &'a [PolicyEvent],
    /// Who is told.
    pub mails: &'a [Outgoing],
    /// The row of the audit trail.
    pub audit: &'a AuditEntry,
    /// When.
    pub now: Instant,
}

impl Store {
    /// Every policy, by name and id.
    pub fn policies(&self) -> Result<Vec<PolicyRecord>> {
        self.read(format_args!("reading the policies"), |connection| {
            records(connection, "ORDER BY name, id", params![])
        })
    }

    /// One policy.
    pub fn policy(&self, id: &str) -> Result<Option<PolicyRecord>> {
        self.read(format_args!("reading the policy {id:?}"), |connection| {
            Ok(records(connection, "WHERE id = ?1", params![id])?.into_iter().next())
        })
    }

    /// All versions of a policy, oldest first.
    pub fn policy_versions(&self, id: &str) -> Result<Vec<PolicyVersion>> {
        self.read(format_args!("reading the versions of {id:?}"), |connection| {
            versions(connection, "WHERE policy = ?1 ORDER BY seq", params![id])
        })
    }

    /// One version of a policy.
    pub fn policy_version(&self, id: &str, seq: i64) -> Result<Option<PolicyVersion>> {
        self.read(format_args!("reading version {seq} of {id:?}"), |connection| {
            Ok(versions(connection, "WHERE policy = ?1 AND seq = ?2", params![id, seq])?.into_iter().next())
        })
    }

    /// What happened to a policy, oldest first.
    pub fn policy_events(&self, id: &str) -> Result<Vec<PolicyEvent>> {
        self.read(format_args!("reading the history of {id:?}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, by_whom, what, version, detail FROM policy_event WHERE policy = ?1 ORDER BY seq",
            )?;
            let mut rows = statement.query([id])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(PolicyEvent {
                    at: row::instant(row.get(0)?)?,
                    by: row.get(1)?,
                    what: row.get(2)?,
                    version: version_of(&row.get::<_, String>(3)?)?,
                    detail: row.get(4)?,
                });
            }
            Ok(found)
        })
    }

    /// Writes one step.
    pub fn save_policy(&self, step: &PolicyStep<'_>) -> Result<()> {
        self.write(format_args!("writing the policy {:?}", step.record.id), |transaction| {
            save_record(transaction, step)?;
            if let Some(version) = step.version {
                save_version(transaction, version)?;
            }
            save_events(transaction, &step.record.id, step.events)?;
            save_review(transaction, step.record, step.now)?;
            enqueue(transaction, step.mails, step.now)?;
            audit::append(transaction, step.now, &self.signed(step.audit))?;
            Ok(())
        })
    }
}

fn save_record(transaction: &Transaction<'_>, step: &PolicyStep<'_>) -> Inner<()> {
    let record = step.record;
    let doc = row::to_json("policy", record)?;
    let changed = if record.revision == 0 {
        transaction
            .prepare_cached(
                "INSERT INTO policy (id, name, stage, revision, created_at, updated_at, doc)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                record.id,
                record.name,
                record.stage.word(),
                row::micros(record.created_at),
                row::micros(record.updated_at),
                doc
            ])?
    } else {
        transaction
            .prepare_cached(
                "UPDATE policy SET stage = ?3, revision = revision + 1, updated_at = ?4, doc = ?5
                 WHERE id = ?1 AND revision = ?2",
            )?
            .execute(params![record.id, record.revision, record.stage.word(), row::micros(record.updated_at), doc])?
    };
    if changed == 1 {
        return Ok(());
    }
    Err(Fault::Refused("somebody else changed the policy in the meantime; look at it and try again".into()))
}

fn save_version(transaction: &Transaction<'_>, version: &PolicyVersion) -> Inner<()> {
    let last: Option<i64> = transaction
        .prepare_cached("SELECT MAX(seq) FROM policy_version WHERE policy = ?1")?
        .query_row([&version.policy], |row| row.get(0))?;
    if version.seq != last.unwrap_or(0) + 1 {
        return Err(Fault::Refused(format!("version number {} does not follow {}", version.seq, last.unwrap_or(0))));
    }
    transaction
        .prepare_cached(
            "INSERT INTO policy_version (policy, seq, version, hash, change, summary, by_whom, at, format, content, json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            version.policy,
            version.seq,
            version.version.to_string(),
            version.hash,
            version.change.word(),
            version.summary,
            version.by,
            row::micros(version.at),
            version.format,
            version.text,
            row::to_json("policy document", &version.json)?
        ])?;
    Ok(())
}

fn save_events(transaction: &Transaction<'_>, id: &str, events: &[PolicyEvent]) -> Inner<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO policy_event (policy, at, by_whom, what, version, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for event in events {
        let version = event.version.to_string();
        insert.execute(params![id, row::micros(event.at), event.by, event.what, version, event.detail])?;
    }
    Ok(())
}

/// Brings the rows of approvals to what the record's review says.
fn save_review(transaction: &Transaction<'_>, record: &PolicyRecord, now: Instant) -> Inner<()> {
    let round = record.review.as_ref().map(|review| review.seq);
    approvals::withdraw(transaction, ApprovalKind::PolicyReview, &record.id, round, now)?;
    let Some(review) = &record.review else { return Ok(()) };
    let known = rows_of(transaction, record, review.seq)?;
    for reviewer in &review.reviewers {
        let row = known.iter().find(|row| row.approver == reviewer.who);
        let asked = Approval {
            id: 0,
            kind: ApprovalKind::PolicyReview,
            subject: record.id.clone(),
            round: review.seq,
            approver: reviewer.who.clone(),
            state: ApprovalState::Pending,
            asked_by: review.asked_by.clone(),
            asked_at: review.asked_at,
            decided_at: None,
            comment: None,
        };
        let (id, state) = match row {
            Some(row) => (row.id, row.state),
            None => (approvals::ask(transaction, &asked)?, ApprovalState::Pending),
        };
        if let (Some(at), ApprovalState::Pending) = (reviewer.approved_at, state) {
            approvals::decide(transaction, id, ApprovalState::Approved, reviewer.comment.as_deref(), at)?;
        }
    }
    Ok(())
}

/// The rows of one round that still count.
fn rows_of(connection: &Connection, record: &PolicyRecord, round: i64) -> Inner<Vec<Approval>> {
    let mut rows = approvals::of(connection, ApprovalKind::PolicyReview, &record.id)?;
    rows.retain(|row| row.round == round && row.state != ApprovalState::Withdrawn);
    // A version that was sent back and submitted again unchanged is asked about anew: the last asking counts.
    if let Some(last) = rows.iter().map(|row| row.asked_at).max() {
        rows.retain(|row| row.asked_at == last);
    }
    if let Some(review) = &record.review {
        rows.retain(|row| row.asked_at == review.asked_at);
    }
    Ok(rows)
}

fn records(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<PolicyRecord>> {
    let mut statement = connection.prepare_cached(&format!("SELECT revision, doc FROM policy {clause}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut record: PolicyRecord = row::from_json("policy", &row.get::<_, String>(1)?)?;
        record.revision = row.get(0)?;
        record.review = review_of(connection, &record)?;
        found.push(record);
    }
    Ok(found)
}

fn review_of(connection: &Connection, record: &PolicyRecord) -> Inner<Option<Review>> {
    use crate::domain::lifecycle::Stage;
    if record.stage == Stage::Draft {
        return Ok(None);
    }
    let rows = rows_of(connection, record, record.seq)?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(Review {
        seq: record.seq,
        asked_by: first.asked_by.clone(),
        asked_at: first.asked_at,
        reviewers: rows
            .iter()
            .map(|row| Reviewer {
                who: row.approver.clone(),
                approved_at: row.decided_at.filter(|_| row.state == ApprovalState::Approved),
                comment: row.comment.clone(),
            })
            .collect(),
    }))
}

fn versions(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<PolicyVersion>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT policy, seq, version, hash, change, summary, by_whom, at, format, content, json FROM policy_version {clause}"
    ))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(version(row)?);
    }
    Ok(found)
}

fn version(row: &Row<'_>) -> Inner<PolicyVersion> {
    Ok(PolicyVersion {
        policy: row.get(0)?,
        seq: row.get(1)?,
        version: version_of(&row.get::<_, String>(2)?)?,
        hash: row.get(3)?,
        change: row::word("kind of change", &row.get::<_, String>(4)?, ChangeType::from_word)?,
        summary: row.get(5)?,
        by: row.get(6)?,
        at: row::instant(row.get(7)?)?,
        format: row.get(8)?,
        text: row.get(9)?,
        json: row::from_json("policy document", &row.get::<_, String>(10)?)?,
    })
}

fn version_of(text: &str) -> Inner<SemVer> {
    text.parse().map_err(|problem| Fault::document("version of a policy", problem))
}
