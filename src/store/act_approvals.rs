//! Acts that wait for people's word: the requests, and their answers in the one table of approvals.

use rusqlite::{Connection, params};

use super::error::{Fault, Inner};
use super::outbox::{Outgoing, enqueue};
use super::{AuditEntry, Result, Store, approvals, audit, row, typed};
use crate::domain::Instant;
use crate::domain::act_approval::ActRequest;
use crate::domain::finding::FindingId;
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};

/// A question about an act, to be written.
pub struct AskAct<'a> {
    /// What is asked; its number is made here.
    pub request: &'a ActRequest,
    /// Whom.
    pub approvers: &'a [String],
    /// The messages, made with the request's number.
    pub mails: &'a dyn Fn(&ActRequest) -> Vec<Outgoing>,
}

impl Store {
    /// Asks about an act; open questions about an earlier state of the same act fall away. The same open question is
    /// not asked twice, and returns its number.
    pub fn ask_act(&self, ask: &AskAct<'_>) -> Result<ActRequest> {
        let request = ask.request;
        self.write(format_args!("asking about the act on {}", request.key), |transaction| {
            let now = request.asked_at;
            for old in requests(transaction, "WHERE finding = ?1", params![request.finding.0])? {
                let open = of(transaction, &old)?.iter().any(|row| row.state == ApprovalState::Pending);
                if open && old.step == request.step && now <= old.expires_at {
                    return Ok(old);
                }
                approvals::withdraw(transaction, ApprovalKind::Remediation, &old.subject(), None, now)?;
            }
            transaction
                .prepare_cached("INSERT INTO act_request (finding, step, asked_at, doc) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    request.finding.0,
                    request.step,
                    row::micros(now),
                    row::to_json("request for an act", request)?
                ])?;
            let stored = ActRequest { id: transaction.last_insert_rowid(), ..request.clone() };
            for approver in ask.approvers {
                let asked = Approval {
                    id: 0,
                    kind: ApprovalKind::Remediation,
                    subject: stored.subject(),
                    round: 0,
                    approver: approver.clone(),
                    state: ApprovalState::Pending,
                    asked_by: "costwarden".into(),
                    asked_at: now,
                    decided_at: None,
                    comment: None,
                };
                approvals::ask(transaction, &asked)?;
            }
            enqueue(transaction, &(ask.mails)(&stored), now)?;
            let entry = AuditEntry {
                actor: "plan".into(),
                what: "act_approval_asked".into(),
                subject: stored.subject(),
                detail: serde_json::json!({ "plan": stored.plan, "step": stored.step, "of": ask.approvers }),
            };
            audit::append(transaction, now, &entry)?;
            Ok(stored)
        })
    }

    /// One request by its subject, for example `act-3`.
    pub fn act_request(&self, subject: &str) -> Result<Option<ActRequest>> {
        self.read(format_args!("reading the request {subject:?}"), |connection| {
            let Some(id) = subject.strip_prefix("act-").and_then(|id| id.parse::<i64>().ok()) else { return Ok(None) };
            Ok(requests(connection, "WHERE id = ?1", params![id])?.into_iter().next())
        })
    }

    /// The requests about a finding's act with their answers, oldest first.
    pub fn act_requests_of(&self, finding: &FindingId) -> Result<Vec<(ActRequest, Vec<Approval>)>> {
        self.read(format_args!("reading who approved the act of finding {finding}"), |connection| {
            let found = requests(connection, "WHERE finding = ?1", params![finding.0])?;
            found.into_iter().map(|request| of(connection, &request).map(|answers| (request, answers))).collect()
        })
    }

    /// The requests that were made at an instant or later, with their answers, oldest first.
    pub fn act_requests_since(&self, from: Instant) -> Result<Vec<(ActRequest, Vec<Approval>)>> {
        self.read(format_args!("reading who approved acts since {from}"), |connection| {
            let found = requests(connection, "WHERE asked_at >= ?1", params![row::micros(from)])?;
            found.into_iter().map(|request| of(connection, &request).map(|answers| (request, answers))).collect()
        })
    }

    /// Answers one question, with its audit row and messages. A yes may be taken back by a no, nothing else changes.
    pub fn answer_approval(
        &self,
        asked: &Approval,
        state: ApprovalState,
        comment: Option<&str>,
        mails: &[Outgoing],
        audit: &AuditEntry,
        now: Instant,
    ) -> Result<()> {
        self.write(format_args!("answering approval {}", asked.id), |transaction| {
            let doubt = typed::doubt(transaction, self.typist.get(), asked)?;
            if let Some(doubt) = doubt.filter(|_| state == ApprovalState::Approved) {
                return Err(Fault::Refused(doubt));
            }
            let takes_back = state == ApprovalState::Rejected && asked.kind == ApprovalKind::Remediation;
            let changed = transaction
                .prepare_cached(
                    "UPDATE approval SET state = ?2, comment = ?3, decided_at = ?4
                     WHERE id = ?1 AND (state = 'pending' OR (?5 AND state = 'approved'))",
                )?
                .execute(params![asked.id, state.word(), comment, row::micros(now), takes_back])?;
            if changed != 1 {
                return Err(Fault::Refused(format!("approval {} waits for no answer", asked.id)));
            }
            enqueue(transaction, mails, now)?;
            audit::append(transaction, now, &self.signed(audit))?;
            Ok(())
        })
    }

    /// One row of the table of approvals.
    pub fn approval(&self, id: i64) -> Result<Option<Approval>> {
        self.read(format_args!("reading approval {id}"), |connection| {
            Ok(approvals::by_id(connection, id)?.into_iter().next())
        })
    }
}

fn of(connection: &Connection, request: &ActRequest) -> Inner<Vec<Approval>> {
    approvals::of(connection, ApprovalKind::Remediation, &request.subject())
}

fn requests(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<ActRequest>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT id, doc, finding, step FROM act_request {clause} ORDER BY id"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut request: ActRequest = row::from_json("request for an act", &row.get::<_, String>(1)?)?;
        request.id = row.get(0)?;
        let (finding, step): (String, String) = (row.get(2)?, row.get(3)?);
        row::agree("request for an act", &[(&finding, &*request.finding.0), (&step, &*request.step)])?;
        found.push(request);
    }
    Ok(found)
}
