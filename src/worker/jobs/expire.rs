//! The steps that expire our own safety snapshots, for the act slot.
//!
//! Called by the nightly act alone, in mode enforce. A place that cannot be read is left for the next slot; so is an account
//! that is not armed, or whose acting role may not delete snapshots: that is said once in the log, not in a refused act for
//! each snapshot.

use crate::cloud::{Call, CloudAct, ErrorKind};
use crate::domain::place::SnapshotId;
use crate::domain::plan::Step;
use crate::remediate::expire;
use crate::worker::context::Context;

/// What is to be expired now.
///
/// # Errors
/// When the state cannot be read.
pub async fn steps(cx: &Context, actor: &dyn CloudAct) -> anyhow::Result<Vec<Step>> {
    let now = cx.clock.now();
    let mut steps = Vec::new();
    for place in cx.places() {
        let armed = cx.store.arming(&place.account)?;
        if armed.is_none_or(|arming| arming.until < now) {
            continue;
        }
        let due = match expire::due(&cx.store, &*cx.cloud, &place, &cx.settings.tags.ignore, now).await {
            Ok(due) => due,
            Err(expire::ExpiryError::Store(error)) => return Err(error.into()),
            Err(expire::ExpiryError::Cloud(error)) => {
                tracing::warn!(%place, "safety snapshots could not be listed: {error}");
                continue;
            }
        };
        let Some(first) = due.first() else { continue };
        let snapshot = match SnapshotId::new(&first.key.id) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(%place, "{error}");
                continue;
            }
        };
        match actor.permitted(&place, &Call::DeleteSnapshot { snapshot }).await {
            Err(error) if error.kind == ErrorKind::Denied => {
                let count = due.len();
                tracing::warn!(%place, count, "safety snapshots are older than promised and may not be deleted: {error}");
            }
            // Any other answer is for the act itself to judge.
            _ => steps.extend(due),
        }
    }
    Ok(steps)
}
