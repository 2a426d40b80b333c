//! The journal: one row per act, one history row per transition, each its own durable commit.
//!
//! `remediate` alone calls this. A claim and every transition check in their own transaction that the caller's fence
//! is the acting lease's present one; a unique index lets one act be open (or stuck and unsettled) per resource,
//! whatever the worker believes. The finding follows in the same commit, so the two can never disagree.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::acts::load;
use super::audit::{self, AuditEntry};
use super::error::{Fault, Inner};
use super::findings;
use super::leases::{ACTING_LEASE, check_fence};
use super::outbox::{self, Outgoing};
use super::{Result, Store, StoreError, row, undos};
use crate::domain::Instant;
use crate::domain::finding::{FindingEvent, FindingId, OpenRemediation, State};
use crate::domain::place::ResourceKey;
use crate::domain::plan::Step;
use crate::domain::remediation::{JournalState, Remediation};

/// Why a claim failed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// An act on this resource is open, or stuck and not settled by a person, or is being taken back.
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
            if let Some((remediation, state)) = undos::open_on(transaction, &step.key)? {
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

    /// Writes down what an act in an unchanged state waits for: its message, next look and counted looks. No
    /// transition, so no history row. Refuses like [`Store::advance`].
    pub fn note_wait(&self, remediation: &Remediation, fence: i64) -> Result<()> {
        self.write(format_args!("noting what r-{} waits for", remediation.id), |transaction| {
            let stored = movable(transaction, remediation, fence)?;
            if stored.state != remediation.state {
                let (old, new) = (stored.state.word(), remediation.state.word());
                return Err(Fault::Refused(format!("waiting moves nothing, and {old} is on file, not {new}")));
            }
            let noted = Remediation {
                fence,
                claimed_at: stored.claimed_at,
                updated_at: stored.updated_at,
                ..remediation.clone()
            };
            transaction
                .prepare_cached("UPDATE remediation SET fence = ?2, doc = ?3 WHERE id = ?1")?
                .execute(params![noted.id, fence, row::to_json("act", &noted)?])?;
            Ok(())
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
        image: None,
        parts: Vec::new(),
        call_hash: None,
        request_id: None,
        looks: 0,
        first_look_at: None,
        last_look: None,
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

/// The act as stored, if its caller may move it.
fn movable(transaction: &Transaction<'_>, remediation: &Remediation, fence: i64) -> Inner<Remediation> {
    check_fence(transaction, ACTING_LEASE, fence)?;
    let id = remediation.id;
    let stored = load(transaction, id)?.ok_or_else(|| Fault::Missing(format!("act r-{id}")))?;
    if stored.state.ended() {
        return Err(Fault::Refused(format!("r-{id} is over ({}) and moves no more", stored.state.word())));
    }
    if stored.step != remediation.step {
        return Err(Fault::Refused(format!("r-{id} was claimed for another step")));
    }
    Ok(stored)
}

fn advance(transaction: &Transaction<'_>, remediation: &Remediation, fence: i64, now: Instant) -> Inner<()> {
    let stored = movable(transaction, remediation, fence)?;
    let moved = Remediation { fence, updated_at: now, claimed_at: stored.claimed_at, ..remediation.clone() };
    transaction
        .prepare_cached(
            "UPDATE remediation SET state = ?2, ended = ?3, fence = ?4, updated_at = ?5, doc = ?6 WHERE id = ?1",
        )?
        .execute(params![
            moved.id,
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
    if let Some(act) = act.filter(|act| act.step.act.expires()) {
        return tell(transaction, id, act, now);
    }
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

/// The end of a backup is told in the history of the finding that it was made for, and changes nothing about the finding.
fn tell(transaction: &Transaction<'_>, id: &FindingId, act: &Remediation, now: Instant) -> Inner<()> {
    if !act.state.ended() {
        return Ok(());
    }
    let detail = format!("r-{}: {} ({}): {}", act.id, act.step.act.words(), act.step.key.id, act.message);
    let what = if act.state == JournalState::Done { "backup_expired" } else { "backup_kept" };
    let event = FindingEvent { finding: id.clone(), at: now, what: what.into(), detail };
    findings::append_events(transaction, [&event])
}

/// The act that keeps a resource from being claimed.
pub(super) fn blocker(connection: &Connection, key: &ResourceKey) -> Inner<Option<(i64, JournalState)>> {
    let found = connection
        .prepare_cached(
            "SELECT id, state FROM remediation
             WHERE resource = ?1 AND (ended = 0 OR (state = 'stuck' AND settled_at IS NULL))",
        )?
        .query_row([key.to_string()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    found.map(|(id, state)| Ok((id, row::word("act's state", &state, JournalState::from_word)?))).transpose()
}
