//! Taking one act back by hand: takes the acting lease, walks the undo to its end, keeps the lease while it waits.
//!
//! Called by `actions undo` alone, which hands in the `CloudAct`. What a crash leaves open is gone on with by the next
//! `actions undo` of the same act and by the next run of acts.

use anyhow::Context as _;

use super::act::{Acting, NotActing, interrupted, remediator, sleep_until, with_lease};
use crate::domain::undo::Undo;
use crate::remediate::put_back::WAY_ON;
use crate::remediate::undo::UndoRequest;
use crate::remediate::{Interrupted, Progress};
use crate::worker::context::Context;

/// How an undo ended, or where it stands.
#[derive(Debug)]
pub struct Undone {
    /// Its row; none when nothing was begun.
    pub undo: Option<Undo>,
    /// Where it stands.
    pub progress: Progress,
    /// In words.
    pub message: String,
}

/// Takes an act back. `Ok(Err)` says in words why nothing can be.
///
/// # Errors
/// [`NotActing::Busy`] while another worker acts; otherwise when the state refuses.
pub async fn undo(
    cx: &Context,
    acting: &Acting<'_>,
    request: &UndoRequest,
) -> Result<Result<Undone, String>, NotActing> {
    with_lease(cx, async |run, holder| {
        let remediator = remediator(cx, acting)?;
        // As before a run of acts: a trail that does not hold freezes, and the freeze holds this unless the person who
        // asks has seen it and says so.
        remediator.doubt_the_trail().map_err(interrupted)?;
        // Not even under a freeze: an older state may not know that the act was taken back already.
        remediator.doubt_the_state().await.map_err(interrupted)?;
        if let Some(why) = cx.store.put_back().context("comparing the state with its anchor")? {
            return Ok(Err(format!("{why}; {WAY_ON}")));
        }
        let mut outcome = match remediator.undo(request, &run).await {
            Ok(outcome) => outcome,
            Err(Interrupted::NoUndo(why)) => return Ok(Err(why)),
            Err(other) => return Err(interrupted(other)),
        };
        while let (Some(id), Progress::WaitUntil(at)) = (outcome.id, outcome.progress) {
            if !sleep_until(cx, acting, at, &run, &holder).await? {
                break;
            }
            outcome = remediator.advance_undo(id, request.while_frozen, &run).await.map_err(interrupted)?;
        }
        let undo = match outcome.id {
            Some(id) => cx.store.undo(id).context("reading the undo")?,
            None => None,
        };
        Ok(Ok(Undone { undo, progress: outcome.progress, message: outcome.message }))
    })
    .await
}
