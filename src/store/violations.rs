//! Violations of the decision point: what was found, each step after it, tickets, and how far it is dealt with.

use rusqlite::{Connection, params};

use super::error::{Fault, Inner};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::violation::{RecordedViolation, StepOutcome, Ticket, ViolationState};

impl Store {
    /// Puts a violation on file and returns its number.
    pub fn add_violation(&self, violation: &RecordedViolation) -> Result<i64> {
        self.write(format_args!("storing a violation of {}", violation.policy_id), |transaction| {
            let sql = "INSERT INTO violation (at, policy, state, doc) VALUES (?1, ?2, ?3, ?4)";
            let (at, state) = (row::micros(violation.at), violation.state.word());
            transaction.prepare_cached(sql)?.execute(params![at, violation.policy_id, state, json(violation)?])?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// Adds what became of one step, behind those that are there.
    pub fn add_violation_step(&self, violation: i64, step: &StepOutcome) -> Result<()> {
        self.write(format_args!("storing a step of violation {violation}"), |transaction| {
            let sql = "INSERT INTO violation_step (violation, seq, doc)
                       SELECT ?1, COALESCE(MAX(seq), 0) + 1, ?2 FROM violation_step WHERE violation = ?1";
            transaction.prepare_cached(sql)?.execute(params![violation, json(step)?])?;
            Ok(())
        })
    }

    /// All steps of a violation, in order.
    pub fn violation_steps(&self, violation: i64) -> Result<Vec<StepOutcome>> {
        self.read(format_args!("reading the steps of violation {violation}"), |connection| {
            let sql = "SELECT doc FROM violation_step WHERE violation = ?1 ORDER BY seq";
            documents(connection, sql, &[&violation], "a violation's step")
        })
    }

    /// Says how far a violation is dealt with.
    pub fn set_violation_state(&self, violation: i64, state: ViolationState) -> Result<()> {
        self.write(format_args!("changing the state of violation {violation}"), |transaction| {
            let sql = "UPDATE violation SET state = ?2 WHERE id = ?1";
            match transaction.prepare_cached(sql)?.execute(params![violation, state.word()])? {
                1 => Ok(()),
                _ => Err(Fault::Missing(format!("violation {violation}"))),
            }
        })
    }

    /// Violations since an instant, that included, oldest first.
    pub fn violations_since(&self, from: Instant) -> Result<Vec<RecordedViolation>> {
        self.read(format_args!("reading violations"), |connection| {
            let sql = "SELECT id, state, doc FROM violation WHERE at >= ?1 ORDER BY at, id";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([row::micros(from)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, state, doc): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let bad = |problem: String| Fault::document("a violation", problem);
                let mut violation: RecordedViolation =
                    serde_json::from_str(&doc).map_err(|error| bad(error.to_string()))?;
                violation.id = id;
                violation.state = ViolationState::from_word(&state).ok_or_else(|| bad(format!("state {state:?}")))?;
                found.push(violation);
            }
            Ok(found)
        })
    }

    /// Puts a ticket on file; a violation has one at most, and a second one changes nothing.
    pub fn add_ticket(&self, ticket: &Ticket) -> Result<()> {
        self.write(format_args!("storing a ticket"), |transaction| {
            let sql = "INSERT INTO ticket (violation, doc) VALUES (?1, ?2) ON CONFLICT (violation) DO NOTHING";
            transaction.prepare_cached(sql)?.execute(params![ticket.violation, json(ticket)?])?;
            Ok(())
        })
    }

    /// All tickets, oldest first.
    pub fn tickets(&self) -> Result<Vec<Ticket>> {
        self.read(format_args!("reading tickets"), |connection| {
            documents(connection, "SELECT doc FROM ticket ORDER BY id", &[], "a ticket")
        })
    }
}

fn json(value: &impl serde::Serialize) -> Inner<String> {
    serde_json::to_string(value).map_err(|error| Fault::document("a violation", error.to_string()))
}

fn documents<T: serde::de::DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
    what: &'static str,
) -> Inner<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let doc: String = row.get(0)?;
        found.push(serde_json::from_str(&doc).map_err(|error| Fault::document(what, error.to_string()))?);
    }
    Ok(found)
}
