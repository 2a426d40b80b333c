//! Exceptions that people ask for: records, history, the questions to approvers, and what each scan used.
//!
//! One step of `engine::exceptions` is one transaction here: record, event, questions and answers, messages and the
//! audit row are written together or not at all. A record that somebody else changed since it was read is refused.

use rusqlite::{Connection, Transaction, params};

use super::error::{Fault, Inner};
use super::outbox::{Outgoing, enqueue};
use super::{AuditEntry, Result, Store, approvals, audit, row};
use crate::domain::exception::{ExceptionEvent, ExceptionRecord, ExceptionStatus, ExceptionUse};
use crate::domain::finding::FindingId;
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};
use crate::domain::person::same_name;

/// One step of an exception's life, to be written.
#[derive(Clone, Copy, Debug)]
pub struct ExceptionStep<'a> {
    /// The record after it, with the revision that was read; 0 for a new one.
    pub record: &'a ExceptionRecord,
    /// Where it stood before; `None` for a new one. Compared in the write.
    pub from: Option<ExceptionStatus>,
    /// What happened.
    pub event: &'a ExceptionEvent,
    /// Whom a new request asks.
    pub ask: &'a [String],
    /// Who is told.
    pub mails: &'a [Outgoing],
    /// The row of the audit trail.
    pub audit: &'a AuditEntry,
}

impl Store {
    /// A new id: a UUID of version 4, from SQLite's own randomness, which the operating system seeds.
    pub fn new_uuid(&self) -> Result<String> {
        self.read(format_args!("making an id"), |connection| {
            let random: Vec<u8> = connection.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
            let hex = |from: usize, to: usize| -> String {
                let byte = |at: usize| match at {
                    6 => random[at] & 0x0f | 0x40,
                    8 => random[at] & 0x3f | 0x80,
                    _ => random[at],
                };
                (from..to).map(|at| format!("{:02x}", byte(at))).collect()
            };
            Ok([hex(0, 4), hex(4, 6), hex(6, 8), hex(8, 10), hex(10, 16)].join("-"))
        })
    }

    /// Every exception, oldest request first.
    pub fn exceptions(&self) -> Result<Vec<ExceptionRecord>> {
        self.read(format_args!("reading the exceptions"), |connection| {
            records(connection, "ORDER BY asked_at, id", params![])
        })
    }

    /// One exception by its id.
    pub fn exception(&self, id: &str) -> Result<Option<ExceptionRecord>> {
        self.read(format_args!("reading exception {id:?}"), |connection| {
            Ok(records(connection, "WHERE id = ?1", params![id])?.into_iter().next())
        })
    }

    /// Exceptions on a resource, in force, asked for and past.
    pub fn exceptions_on(&self, account: &str, resource: &str) -> Result<Vec<ExceptionRecord>> {
        self.read(format_args!("reading the exceptions on {resource:?}"), |connection| {
            let clause = "WHERE account = ?1 AND resource = ?2 ORDER BY asked_at, id";
            records(connection, clause, params![account, resource])
        })
    }

    /// What happened to an exception, oldest first.
    pub fn exception_events(&self, id: &str) -> Result<Vec<ExceptionEvent>> {
        self.read(format_args!("reading the history of exception {id:?}"), |connection| {
            let mut statement =
                connection.prepare_cached("SELECT doc FROM exception_event WHERE exception = ?1 ORDER BY seq")?;
            let mut rows = statement.query([id])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(row::from_json("event of an exception", &row.get::<_, String>(0)?)?);
            }
            Ok(found)
        })
    }

    /// Writes one step.
    pub fn save_exception(&self, step: &ExceptionStep<'_>) -> Result<()> {
        self.write(format_args!("writing exception {:?}", step.record.id), |transaction| {
            save_record(transaction, step)?;
            let doc = row::to_json("event of an exception", step.event)?;
            transaction
                .prepare_cached("INSERT INTO exception_event (exception, doc) VALUES (?1, ?2)")?
                .execute(params![step.record.id, doc])?;
            ask(transaction, step)?;
            answer(transaction, step)?;
            enqueue(transaction, step.mails, step.event.at)?;
            audit::append(transaction, step.event.at, &self.signed(step.audit))?;
            Ok(())
        })
    }

    /// Notes what a scan did not count because of an exception; the same is noted once.
    pub fn note_exception_uses(&self, uses: &[ExceptionUse]) -> Result<()> {
        if uses.is_empty() {
            return Ok(());
        }
        self.write(format_args!("noting the use of exceptions"), |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO exception_use (exception, scan, finding, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            )?;
            for used in uses {
                insert.execute(params![used.exception, used.scan, used.finding.0, row::micros(used.at)])?;
            }
            Ok(())
        })
    }

    /// Every use of an exception, oldest first.
    pub fn exception_uses(&self, exception: &str) -> Result<Vec<ExceptionUse>> {
        self.read(format_args!("reading the uses of exception {exception:?}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT exception, scan, finding, at FROM exception_use WHERE exception = ?1 ORDER BY at, scan, finding",
            )?;
            let mut rows = statement.query([exception])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(ExceptionUse {
                    exception: row.get(0)?,
                    scan: row.get(1)?,
                    finding: FindingId(row.get(2)?),
                    at: row::instant(row.get(3)?)?,
                });
            }
            Ok(found)
        })
    }
}

fn save_record(transaction: &Transaction<'_>, step: &ExceptionStep<'_>) -> Inner<()> {
    let record = step.record;
    let doc = row::to_json("exception", record)?;
    let changed = match step.from {
        None => transaction
            .prepare_cached(
                "INSERT INTO exception (id, account, resource, policy, rule, status, revision, asked_at, doc)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                record.id,
                record.account,
                record.resource_id,
                record.policy_name,
                record.rule_name,
                record.status.word(),
                row::micros(record.requested_at),
                doc
            ])?,
        Some(from) => transaction
            .prepare_cached(
                "UPDATE exception SET status = ?4, revision = revision + 1, doc = ?5
                 WHERE id = ?1 AND revision = ?2 AND status = ?3",
            )?
            .execute(params![record.id, record.revision, from.word(), record.status.word(), doc])?,
    };
    if changed == 1 {
        return Ok(());
    }
    Err(Fault::Refused("somebody else changed the exception in the meantime; look at it and try again".into()))
}

fn ask(transaction: &Transaction<'_>, step: &ExceptionStep<'_>) -> Inner<()> {
    for approver in step.ask {
        let asked = Approval {
            id: 0,
            kind: ApprovalKind::Exception,
            subject: step.record.id.clone(),
            round: 0,
            approver: approver.clone(),
            state: ApprovalState::Pending,
            asked_by: step.record.requested_by.clone(),
            asked_at: step.event.at,
            decided_at: None,
            comment: None,
        };
        approvals::ask(transaction, &asked)?;
    }
    Ok(())
}

/// One answer is enough: it is the approver's row, and the others' questions fall away.
fn answer(transaction: &Transaction<'_>, step: &ExceptionStep<'_>) -> Inner<()> {
    let state = match (step.from, step.record.status) {
        (Some(ExceptionStatus::Pending), ExceptionStatus::Approved) => ApprovalState::Approved,
        (Some(ExceptionStatus::Pending), ExceptionStatus::Rejected) => ApprovalState::Rejected,
        _ => return Ok(()),
    };
    let (id, at) = (&step.record.id, step.event.at);
    let rows = approvals::of(transaction, ApprovalKind::Exception, id)?;
    let own = rows.iter().find(|row| row.state == ApprovalState::Pending && same_name(&row.approver, &step.event.by));
    let Some(own) = own else {
        return Err(Fault::Refused(format!("{:?} was not asked", step.event.by)));
    };
    approvals::decide(transaction, own.id, state, Some(&step.event.detail), at)?;
    approvals::withdraw(transaction, ApprovalKind::Exception, id, None, at)
}

fn records(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<ExceptionRecord>> {
    let columns = "revision, doc, id, account, resource, policy, rule, status";
    let mut statement = connection.prepare_cached(&format!("SELECT {columns} FROM exception {clause}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut record: ExceptionRecord = row::from_json("exception", &row.get::<_, String>(1)?)?;
        record.revision = row.get(0)?;
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(|error| Fault::document("exception", error));
        // They are found by their columns: a document about another resource would protect that, and this no more.
        let pairs = [
            (text(2)?, &*record.id),
            (text(3)?, &*record.account),
            (text(4)?, &*record.resource_id),
            (text(5)?, &*record.policy_name),
            (text(6)?, &*record.rule_name),
            (text(7)?, record.status.word()),
        ];
        row::agree("exception", &pairs)?;
        found.push(record);
    }
    Ok(found)
}
