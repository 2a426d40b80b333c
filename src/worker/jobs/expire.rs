//! The steps that expire our own backups, for the act slot.
//!
//! Called by the nightly act alone, in mode enforce. A place that cannot be read is left for the next slot; so is an account
//! that is not armed, or whose acting role may not end backups: that is said once in the log, not in a refused act for
//! each of them.

use std::collections::BTreeMap;

use crate::cloud::{Call, CloudAct, ErrorKind};
use crate::domain::finding::Act;
use crate::domain::place::{BadName, ImageId, SnapshotId};
use crate::domain::plan::Step;
use crate::remediate::expire;
use crate::worker::context::Context;

/// What is to be expired now: at most [`expire::MOST_PER_RUN`] in an account, all its Regions together.
///
/// # Errors
/// When the state cannot be read.
pub async fn steps(cx: &Context, actor: &dyn CloudAct) -> anyhow::Result<Vec<Step>> {
    let now = cx.clock.now();
    let mut steps: Vec<Step> = Vec::new();
    let mut taken = BTreeMap::new();
    for place in cx.places() {
        let armed = cx.store.arming(&place.account)?;
        if armed.is_none_or(|arming| arming.until < now) {
            continue;
        }
        let count: &mut usize = taken.entry(place.account.clone()).or_default();
        let room = expire::MOST_PER_RUN - *count;
        let due = match expire::due(&cx.store, &*cx.cloud, &place, &cx.settings.tags.ignore, room, now).await {
            Ok(due) => due,
            Err(expire::ExpiryError::Store(error)) => return Err(error.into()),
            Err(expire::ExpiryError::Cloud(error)) => {
                tracing::warn!(%place, "safety snapshots and images could not be listed: {error}");
                continue;
            }
        };
        for act in [Act::ExpireImage, Act::ExpireSnapshot] {
            let of_it: Vec<Step> = due.iter().filter(|step| step.act == act).cloned().collect();
            let Some(first) = of_it.first() else { continue };
            let call = match call(first) {
                Ok(call) => call,
                Err(error) => {
                    tracing::warn!(%place, "{error}");
                    continue;
                }
            };
            match actor.permitted(&place, &call).await {
                Err(error) if error.kind == ErrorKind::Denied => {
                    let number = of_it.len();
                    tracing::warn!(%place, number, "backups are older than promised and may not be ended: {error}");
                }
                // Any other answer is for the act itself to judge.
                _ => {
                    *count += of_it.len();
                    steps.extend(of_it);
                }
            }
        }
    }
    Ok(steps)
}

fn call(step: &Step) -> Result<Call, BadName> {
    Ok(match step.act {
        Act::ExpireImage => Call::DeregisterImage { image: ImageId::new(&step.key.id)? },
        _ => Call::ExpireSnapshot { snapshot: SnapshotId::new(&step.key.id)? },
    })
}
