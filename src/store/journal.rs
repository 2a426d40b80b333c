//! The journal: one row per act, one history row per transition, each its own durable commit.
//!
//! `remediate` alone calls this. A claim and every transition check in their own transaction that the caller's fence
//! is the acting lease's present one; a unique index lets one act be open (or stuck and unsettled) per resource,
//! whatever the worker believes. The finding follows in the same commit, so the two can never disagree.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::audit::{self, AuditEntry};
use super::error::{Fault, Inner};
use super::findings;
use super::leases::{ACTING_LEASE, check_fence};
use super::outbox::{self, Outgoing};
use super::{Result, Store, StoreError, row};
use crate::domain::Instant;
use crate::domain::finding::{Act, FindingEvent, FindingId, OpenRemediation, State};
use crate::domain::place::{AccountId, Kind, ResourceKey};
use crate::domain::plan::Step;
use crate::domain::remediation::{JournalState, Remediation};

/// Why a claim failed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// An act on this resource is open, or stuck and not settled by a person.
    #[error("r-{remediation} on this resource is {}", state.word())]
    AlreadyOpen {
        /// The other act.
        remediation: i64,
        /// How far it is.
        state: JournalState,
    },
    /// Another worker acts by now.
    #[error("another worker took the acting lease over (fence {given}, now {current:?})")]
    StaleFence {
        /// What the caller holds.
        given: i64,
        /// What the state says.
        current: Option<i64>,
    },
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One transition of one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// Into which state.
    pub state: JournalState,
    /// Under which fence.
    pub fence: i64,
    /// In words.
    pub message: String,
}

impl Store {
    /// J3: opens an act on a resource and marks its finding as acting. The finding must exist.
    pub fn claim(
        &self,
        step: &Step,
        plan: &str,
        fence: i64,
        now: Instant,
    ) -> std::result::Result<Remediation, ClaimError> {
        let outcome = self.write(format_args!("claiming {} for {}", step.key, step.act), |transaction| {
            check_fence(transaction, ACTING_LEASE, fence)?;
            if let Some((remediation, state)) = blocker(transaction, &step.key)? {
                return Ok(Err(ClaimError::AlreadyOpen { remediation, state }));
            }
            insert(transaction, step, plan, fence, now).map(Ok)
        });
        match outcome {
            Ok(claimed) => claimed,
            Err(error) => Err(match error.fault() {
                Fault::StaleFence { given, current, .. } => ClaimError::StaleFence { given: *given, current: *current },
                _ => ClaimError::Store(error),
            }),
        }
    }

    /// Moves an act: row, history and, at an end, its finding in one durable commit. Refuses a stale fence, an act
    /// that is over, and one that does not exist.
    pub fn advance(&self, remediation: &Remediation, fence: i64, now: Instant) -> Result<()> {
        self.write(format_args!("moving r-{} to {}", remediation.id, remediation.state.word()), |transaction| {
            advance(transaction, remediation, fence, now)
        })
    }

    /// Ends an act (J11, or any other end) with its audit row and the messages that tell it, in one commit. Returns
    /// the messages' numbers.
    pub fn done(
        &self,
        remediation: &Remediation,
        fence: i64,
        now: Instant,
        audit: &AuditEntry,
        outgoing: &[Outgoing],
    ) -> Result<Vec<i64>> {
        self.write(format_args!("ending r-{} as {}", remediation.id, remediation.state.word()), |transaction| {
            if !remediation.state.ended() {
                return Err(Fault::Refused(format!("{} is no end", remediation.state.word())));
            }
            advance(transaction, remediation, fence, now)?;
            audit::append(transaction, now, audit)?;
            outbox::enqueue(transaction, outgoing, now)
        })
    }

    /// A person's decision about a stuck act: the resource is free for new acts again, and its finding is judged
    /// anew. The act's row stays stuck; the decision is told by the finding's history and the audit trail.
    pub fn settle_stuck(&self, id: i64, by: &str, reason: &str, now: Instant) -> Result<()> {
        self.write(format_args!("settling r-{id}"), |transaction| {
            let settled = transaction
                .prepare_cached(
                    "UPDATE remediation SET settled_at = ?2 WHERE id = ?1 AND state = ?3 AND settled_at IS NULL",
                )?
                .execute(params![id, row::micros(now), JournalState::Stuck.word()])?;
            if settled == 0 {
                return Err(Fault::Missing(format!("stuck act r-{id}")));
            }
            let remediation = load(transaction, id)?.ok_or_else(|| Fault::Missing(format!("act r-{id}")))?;
            follow(transaction, &remediation.step.finding, None, now)?;
            let event = FindingEvent {
                finding: remediation.step.finding.clone(),
                at: now,
                what: "settled".into(),
                detail: format!("{by} settled r-{id}: {reason}"),
            };
            findings::append_events(transaction, [&event])?;
            let detail = serde_json::json!({ "reason": reason, "resource": remediation.step.key.to_string() });
            let entry = AuditEntry { actor: by.into(), what: "settle".into(), subject: format!("r-{id}"), detail };
            audit::append(transaction, now, &entry).map(drop)
        })
    }

    /// Acts that are under way, oldest first: what a restart goes on from.
    pub fn open_remediations(&self) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the open acts"), |connection| {
            rows(connection, "WHERE ended = 0 ORDER BY id", params![])
        })
    }

    /// Stuck acts that no person has settled, oldest first.
    pub fn stuck_remediations(&self) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the stuck acts"), |connection| {
            let clause = "WHERE state = ?1 AND settled_at IS NULL ORDER BY id";
            rows(connection, clause, params![JournalState::Stuck.word()])
        })
    }

    /// One act.
    pub fn remediation(&self, id: i64) -> Result<Option<Remediation>> {
        self.read(format_args!("reading r-{id}"), |connection| load(connection, id))
    }

    /// Acts whose last transition has `from <= at < to`, in the order in which they were claimed.
    pub fn remediations_between(&self, from: Instant, to: Instant) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the acts from {from} to {to}"), |connection| {
            let span = params![row::micros(from), row::micros(to)];
            rows(connection, "WHERE updated_at >= ?1 AND updated_at < ?2 ORDER BY id", span)
        })
    }

    /// Acts for one finding, oldest first.
    pub fn remediations_of_finding(&self, finding: &FindingId) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the acts for finding {finding}"), |connection| {
            rows(connection, "WHERE finding = ?1 ORDER BY id", params![finding.0])
        })
    }

    /// Every transition of an act, in order.
    pub fn remediation_history(&self, id: i64) -> Result<Vec<Transition>> {
        self.read(format_args!("reading the history of r-{id}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, state, fence, message FROM remediation_history WHERE remediation = ?1 ORDER BY seq",
            )?;
            let mut rows = statement.query([id])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Transition {
                    at: row::instant(row.get(0)?)?,
                    state: row::word("act's state", &row.get::<_, String>(1)?, JournalState::from_word)?,
                    fence: row.get(2)?,
                    message: row.get(3)?,
                });
            }
            Ok(found)
        })
    }

    /// The last act on a resource that reached the call (J8), and when.
    pub fn last_act_on(&self, key: &ResourceKey) -> Result<Option<(Instant, Act)>> {
        self.read(format_args!("reading the last act on {key}"), |connection| {
            let found = reached(connection, "resource = ?1", params![key.to_string()])?;
            Ok(found.into_iter().next_back().map(|(_, act, at)| (at, act)))
        })
    }

    /// The last act on each resource that reached the call (J8) at or after an instant.
    pub fn last_acts_since(&self, since: Instant) -> Result<HashMap<ResourceKey, (Instant, Act)>> {
        self.read(format_args!("reading the acts since {since}"), |connection| {
            let found = reached(connection, "history.at >= ?1", params![row::micros(since)])?;
            Ok(found.into_iter().map(|(key, act, at)| (key, (at, act))).collect())
        })
    }

    /// Acts in an account that reached the call (J8) at or after an instant, in order.
    pub fn acts_since(&self, account: &AccountId, since: Instant) -> Result<Vec<(Act, Kind, Instant)>> {
        self.read(format_args!("reading the acts in account {account}"), |connection| {
            let which = "account = ?1 AND history.at >= ?2";
            let found = reached(connection, which, params![account.as_str(), row::micros(since)])?;
            Ok(found.into_iter().map(|(key, act, at)| (act, key.kind(), at)).collect())
        })
    }
}

fn insert(transaction: &Transaction<'_>, step: &Step, plan: &str, fence: i64, now: Instant) -> Inner<Remediation> {
    let mut remediation = Remediation {
        id: 0,
        step: step.clone(),
        plan: plan.to_owned(),
        state: JournalState::Claimed,
        fence,
        claimed_at: now,
        updated_at: now,
        next_look_at: None,
        rechecked_at: None,
        snapshots: Vec::new(),
        call_hash: None,
        request_id: None,
        looks: 0,
        first_look_at: None,
        message: String::new(),
        recipe: None,
    };
    transaction
        .prepare_cached(
            "INSERT INTO remediation (finding, resource, account, act, state, ended, fence, claimed_at, updated_at, doc)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?7, '{}')",
        )?
        .execute(params![
            step.finding.0,
            step.key.to_string(),
            step.key.account().as_str(),
            step.act.word(),
            remediation.state.word(),
            fence,
            row::micros(now)
        ])?;
    // Only now the number is known that the document carries too.
    remediation.id = transaction.last_insert_rowid();
    transaction
        .prepare_cached("UPDATE remediation SET doc = ?2 WHERE id = ?1")?
        .execute(params![remediation.id, row::to_json("act", &remediation)?])?;
    note(transaction, &remediation, fence, now)?;
    follow(transaction, &step.finding, Some(&remediation), now)?;
    Ok(remediation)
}

fn advance(transaction: &Transaction<'_>, remediation: &Remediation, fence: i64, now: Instant) -> Inner<()> {
    check_fence(transaction, ACTING_LEASE, fence)?;
    let id = remediation.id;
    let stored = load(transaction, id)?.ok_or_else(|| Fault::Missing(format!("act r-{id}")))?;
    if stored.state.ended() {
        return Err(Fault::Refused(format!("r-{id} is over ({}) and moves no more", stored.state.word())));
    }
    if stored.step != remediation.step {
        return Err(Fault::Refused(format!("r-{id} was claimed for another step")));
    }
    let moved = Remediation { fence, updated_at: now, claimed_at: stored.claimed_at, ..remediation.clone() };
    transaction
        .prepare_cached(
            "UPDATE remediation SET state = ?2, ended = ?3, fence = ?4, updated_at = ?5, doc = ?6 WHERE id = ?1",
        )?
        .execute(params![
            id,
            moved.state.word(),
            moved.state.ended(),
            fence,
            row::micros(now),
            row::to_json("act", &moved)?
        ])?;
    note(transaction, &moved, fence, now)?;
    if moved.state.ended() {
        follow(transaction, &moved.step.finding, Some(&moved), now)?;
    }
    Ok(())
}

fn note(transaction: &Transaction<'_>, remediation: &Remediation, fence: i64, now: Instant) -> Inner<()> {
    transaction
        .prepare_cached(
            "INSERT INTO remediation_history (remediation, at, state, fence, message) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![remediation.id, row::micros(now), remediation.state.word(), fence, remediation.message])?;
    Ok(())
}

/// Lets the finding follow its act; `None` is a stuck act that a person settled.
fn follow(transaction: &Transaction<'_>, id: &FindingId, act: Option<&Remediation>, now: Instant) -> Inner<()> {
    let mut finding = findings::load(transaction, id)?.ok_or_else(|| Fault::Missing(format!("finding {id}")))?;
    finding.remediation = None;
    if let Some(act) = act {
        let words = act.step.act.words();
        let (what, detail) = match act.state {
            JournalState::Done => {
                // A notification fixes nothing: the finding stays as it is.
                if act.step.act.changes_cloud() {
                    finding.state = State::Remediated;
                    finding.closed_at = Some(now);
                    finding.reason = format!("r-{}: {words}, done and seen", act.id);
                }
                ("remediated", format!("r-{}: {words}, done and seen", act.id))
            }
            JournalState::Refused | JournalState::Aborted => {
                ("act_skipped", format!("r-{}: {words}, {}: {}", act.id, act.state.word(), act.message))
            }
            JournalState::Stuck => {
                finding.remediation = Some(OpenRemediation::Stuck);
                ("stuck", format!("r-{}: {words}: {}", act.id, act.message))
            }
            _ => {
                finding.remediation = Some(OpenRemediation::Acting);
                ("acting", format!("r-{}: {words}", act.id))
            }
        };
        let what = if what == "remediated" && !act.step.act.changes_cloud() { "told" } else { what };
        let event = FindingEvent { finding: id.clone(), at: now, what: what.into(), detail };
        findings::append_events(transaction, [&event])?;
    }
    finding.phase = finding.phase_at(now);
    findings::save(transaction, &finding)
}

/// The act that keeps a resource from being claimed.
fn blocker(connection: &Connection, key: &ResourceKey) -> Inner<Option<(i64, JournalState)>> {
    let found = connection
        .prepare_cached("SELECT id, state FROM remediation WHERE resource = ?1 AND settled_at IS NULL AND (ended = 0 OR state = 'stuck')")?
        .query_row([key.to_string()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    found.map(|(id, state)| Ok((id, row::word("act's state", &state, JournalState::from_word)?))).transpose()
}

fn load(connection: &Connection, id: i64) -> Inner<Option<Remediation>> {
    Ok(rows(connection, "WHERE id = ?1", params![id])?.into_iter().next())
}

fn rows(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<Remediation>> {
    let mut statement = connection.prepare_cached(&format!("SELECT doc FROM remediation {clause}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(row::from_json("act", &row.get::<_, String>(0)?)?);
    }
    Ok(found)
}

/// Acts that reached J8, in the order of their calls.
fn reached(
    connection: &Connection,
    which: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Inner<Vec<(ResourceKey, Act, Instant)>> {
    let sql = format!(
        "SELECT resource, act, history.at FROM remediation_history AS history
         JOIN remediation ON remediation.id = history.remediation
         WHERE history.state = 'J8_act_intent' AND {which} ORDER BY history.seq"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get::<_, String>(0)?.parse().map_err(|error| Fault::document("act's resource", error))?;
        let act = row::word("act", &row.get::<_, String>(1)?, Act::from_word)?;
        found.push((key, act, row::instant(row.get(2)?)?));
    }
    Ok(found)
}
