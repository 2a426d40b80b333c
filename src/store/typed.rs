//! Who typed what this connection writes: goes into the audit row of each decision, and keeps two yeses of one login
//! to one act apart where the settings ask for it.
//!
//! The command line says who types; the worker never does, so its rows stay as they are. Rows are found by reading the
//! trail: a person's command may take the time, and the trail is what nobody can edit.

use rusqlite::{Connection, params};
use serde_json::Value;

use super::error::Inner;
use super::{AuditEntry, Result, Store, approvals};
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};
use crate::domain::login::Login;

/// Who types, and whether two yeses to one act must come from two logins.
#[derive(Debug)]
pub(super) struct Typist {
    login: Login,
    distinct: bool,
}

/// A decision on a question, as the trail has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The question's number, where the row names one.
    pub of: Option<i64>,
    /// The name that was claimed.
    pub by: String,
    /// Who typed it; `None` when it did not come from the command line.
    pub login: Option<Login>,
}

impl Store {
    /// From now on decisions over this connection are those of a login; the first call counts. `distinct`: a second yes
    /// to one act is refused unless it is certainly another person's login.
    pub fn typed_by(&self, login: Login, distinct: bool) {
        let _ = self.typist.set(Typist { login, distinct });
    }

    /// Why a yes to this question is not taken from this login; `None` when it is.
    pub fn doubtful_yes(&self, asked: &Approval) -> Result<Option<String>> {
        self.read(format_args!("reading who else approved {:?}", asked.subject), |connection| {
            doubt(connection, self.typist.get(), asked)
        })
    }

    /// The decisions about one thing, oldest first.
    pub fn decisions(&self, subject: &str) -> Result<Vec<Decision>> {
        self.read(format_args!("reading who decided about {subject:?}"), |connection| decisions(connection, subject))
    }

    /// The entry with the login that types it.
    pub(super) fn signed(&self, entry: &AuditEntry) -> AuditEntry {
        let mut entry = entry.clone();
        if let (Some(typist), Value::Object(detail)) = (self.typist.get(), &mut entry.detail) {
            detail.insert("login".into(), serde_json::json!(typist.login));
        }
        entry
    }
}

/// As [`Store::doubtful_yes`], inside the transaction that writes the yes.
pub(super) fn doubt(connection: &Connection, typist: Option<&Typist>, asked: &Approval) -> Inner<Option<String>> {
    let Some(typist) = typist.filter(|typist| typist.distinct && asked.kind == ApprovalKind::Remediation) else {
        return Ok(None);
    };
    let known = decisions(connection, &asked.subject)?;
    for row in approvals::of(connection, asked.kind, &asked.subject)? {
        if row.id == asked.id || row.state != ApprovalState::Approved {
            continue;
        }
        let earlier = known.iter().rev().find(|decision| decision.of == Some(row.id));
        let login = earlier.and_then(|decision| decision.login.clone()).unwrap_or_default();
        if !typist.login.certainly_not(&login) {
            return Ok(Some(format!(
                "the yes of {} was typed by {login}, this one by {}: two people approve from two logins of their own \
                 (approvals.distinct_logins)",
                row.approver, typist.login
            )));
        }
    }
    Ok(None)
}

fn decisions(connection: &Connection, subject: &str) -> Inner<Vec<Decision>> {
    let mut statement = connection.prepare_cached(
        "SELECT actor, detail FROM audit WHERE subject = ?1
         AND what IN ('approval_approved', 'approval_rejected', 'exception_approved', 'exception_rejected')
         ORDER BY seq",
    )?;
    let mut rows = statement.query(params![subject])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        // An edited detail is for `audit verify` to tell; here it is a decision of nobody known.
        let detail: Value = serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
        let login = detail.get("login").and_then(|login| serde_json::from_value(login.clone()).ok());
        found.push(Decision { of: detail.get("of").and_then(Value::as_i64), by: row.get(0)?, login });
    }
    Ok(found)
}
