//! Where an undo is written down: one durable commit a transition, and an end with its finding and audit row.

use chrono::TimeDelta;
use serde_json::json;

use super::super::actions::{Recipe, Restore};
use super::super::driver::Next;
use super::super::parts::part_label;
use super::super::{Interrupted, Remediator};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, State};
use crate::domain::place::ResourceKey;
use crate::domain::remediation::JournalState;
use crate::domain::undo::Undo;
use crate::engine::grace;
use crate::store::AuditEntry;

impl Remediator {
    /// One transition, one durable commit.
    pub(in crate::remediate) async fn commit_undo(
        &self,
        undo: &mut Undo,
        to: JournalState,
        message: &str,
    ) -> Result<(), Interrupted> {
        let label = match to {
            JournalState::ActIntent
            | JournalState::Answered
            | JournalState::Uncertain
            | JournalState::PartSeen
            | JournalState::Compensating => part_label(&label(to), &undo.parts),
            _ => label(to),
        };
        self.tools.halt.pass(&format!("{label}.before")).await?;
        let before = undo.clone();
        undo.state = to;
        undo.message = message.to_owned();
        undo.updated_at = self.tools.clock.now();
        if let Err(error) = self.tools.store.advance_undo(undo) {
            *undo = before;
            return Err(error.into());
        }
        tracing::info!(undo = undo.id, state = to.word(), resource = %undo.key, message);
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(())
    }

    /// Ends an undo: row, history, finding, audit row in one commit. `done` is the recipe of what came back.
    pub(in crate::remediate) async fn end_undo(
        &self,
        undo: &mut Undo,
        to: JournalState,
        why: &str,
        done: Option<&Recipe>,
    ) -> Result<Next, Interrupted> {
        let label = label(to);
        self.tools.halt.pass(&format!("{label}.before")).await?;
        let mut ended = undo.clone();
        ended.state = to;
        ended.message = why.to_owned();
        ended.updated_at = self.tools.clock.now();
        self.tools.store.end_undo(&ended, &audit(&ended), &[], |finding| follow(finding, &ended, done))?;
        tracing::info!(undo = ended.id, state = to.word(), resource = %ended.key, message = why);
        *undo = ended;
        self.tools.halt.pass(&format!("{label}.after")).await?;
        Ok(Next::Ended)
    }

    /// The freeze is written first, so that a crash in between repeats it.
    pub(in crate::remediate) async fn stuck_undo(&self, undo: &mut Undo, why: &str) -> Result<Next, Interrupted> {
        self.freeze("undo", &format!("u-{} (r-{}, {}) is stuck: {why}", undo.id, undo.remediation, undo.key))?;
        self.end_undo(undo, JournalState::Stuck, why, None).await
    }

    pub(in crate::remediate) fn wait_undo(
        &self,
        undo: &mut Undo,
        since: Instant,
        why: &str,
    ) -> Result<Next, Interrupted> {
        let now = self.tools.clock.now();
        undo.message = why.to_owned();
        self.tools.store.note_undo_wait(undo)?;
        Ok(Next::Wait(now + ((now - since) / 2).clamp(TimeDelta::seconds(2), TimeDelta::seconds(60))))
    }

    pub(in crate::remediate) fn hold_undo(&self, undo: &mut Undo, why: &str) -> Result<Next, Interrupted> {
        undo.message = format!("held: {why}");
        match self.tools.store.note_undo_wait(undo) {
            Err(error) if error.is_stale_fence() => Ok(Next::Hold),
            other => Ok(other.map(|()| Next::Hold)?),
        }
    }
}

/// What an ended undo means for its finding.
fn follow(finding: &mut Finding, undo: &Undo, done: Option<&Recipe>) -> FindingEvent {
    let at = undo.updated_at;
    let what = match done {
        Some(recipe) => {
            finding.suppressed = true;
            match recipe.restore {
                // The old id is gone for good; what came back carries the protecting tag.
                Restore::CreateVolume { .. } | Restore::AllocateAddress { .. } | Restore::LaunchInstance { .. } => {
                    finding.state = State::Resolved;
                    finding.closed_at = Some(at);
                }
                // No undo of it is ever done.
                Restore::Nothing { .. } => {}
                Restore::StartInstance { .. }
                | Restore::RemoveTags { .. }
                | Restore::ModifyVolume { .. }
                | Restore::RecoverSnapshot { .. }
                | Restore::ResizeInstance { .. } => {
                    finding.state = State::Open;
                    finding.closed_at = None;
                    grace::restart(finding);
                }
            }
            finding.reason =
                format!("{} took r-{} back; nothing is done until a person approves", undo.by, undo.remediation);
            finding.phase = finding.phase_at(at);
            "undone"
        }
        None => "undo_ended",
    };
    let detail = format!("u-{} by {}, {}: {}", undo.id, undo.by, undo.state.word(), undo.message);
    FindingEvent { finding: finding.id.clone(), at, what: what.into(), detail }
}

fn audit(undo: &Undo) -> AuditEntry {
    let detail = json!({
        "undo": undo.id,
        "remediation": undo.remediation,
        "finding": undo.finding,
        "state": undo.state.word(),
        "fence": undo.fence,
        "call_hash": undo.call_hash,
        "parts": undo.parts,
        "request_id": undo.request_id,
        "made": undo.made.as_ref().map(ResourceKey::to_string),
        "differences": undo.differences,
        "message": undo.message,
    });
    AuditEntry { actor: undo.by.clone(), what: "undo".into(), subject: undo.key.to_string(), detail }
}

/// The name of a state's crash points.
fn label(state: JournalState) -> String {
    let word = state.word().split('_').next().unwrap_or_default();
    word.strip_prefix('J').map_or_else(|| format!("U-{word}"), |number| format!("U{number}"))
}
