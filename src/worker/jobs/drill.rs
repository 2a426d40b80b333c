//! The restore drill of an act slot: goes on with one that was interrupted, or begins one when the last is long enough ago.
//!
//! Called by the nightly act alone, after its acts. It chooses among the safety snapshots that the journal saw completed, in
//! armed accounts, by a number that it is given; [`crate::remediate::drill`] walks the rest.

use anyhow::Context as _;
use chrono::TimeDelta;

use super::act::{Acting, NotActing, interrupted, remediator, sleep_until, with_lease};
use crate::deliver::alert;
use crate::deliver::outbox::outgoing;
use crate::domain::drill::Drill;
use crate::domain::mode::Mode;
use crate::domain::plan::OWN_TAGS;
use crate::domain::resource::Resource;
use crate::remediate::actions::Recipe;
use crate::remediate::drill::Drilled;
use crate::remediate::expire::row_of;
use crate::store::Outgoing;
use crate::worker::context::Context;

/// The largest volume that is made for a drill, GiB: gp3's limit.
const LARGEST: u32 = 16_384;

/// Makes the drill that is due, or goes on with an open one; in words what came of it, `None` when there is nothing to do.
///
/// # Errors
/// [`NotActing::Busy`] while another worker acts; otherwise when the state refuses.
pub async fn drill(cx: &Context, acting: &Acting<'_>, random: u64) -> Result<Option<String>, NotActing> {
    let every = cx.settings.drill_every_days;
    let open = cx.store.open_drill().context("reading the open restore drill")?;
    if cx.settings.enforcement.mode != Mode::Enforce || (every == 0 && open.is_none()) {
        return Ok(None);
    }
    if open.is_none() && !due(cx, every)? {
        return Ok(None);
    }
    if cx.store.put_back().context("comparing the state with its anchor")?.is_some() {
        return Ok(None);
    }
    let chosen = match open {
        Some(_) => None,
        None => match choose(cx, random).await? {
            Some(chosen) => Some(chosen),
            None => return Ok(Some("no safety snapshot to try".to_owned())),
        },
    };
    let tell = |drill: &Drill| messages(cx, drill);
    with_lease(cx, async |run, holder| {
        let remediator = remediator(cx, acting)?;
        remediator.doubt_the_trail().map_err(interrupted)?;
        remediator.doubt_the_state().await.map_err(interrupted)?;
        // Read again under the lease: another worker may have ended it meanwhile.
        let open = cx.store.open_drill().context("reading the open restore drill")?;
        let mut now = match (open, &chosen) {
            (Some(open), _) => remediator.walk_drill(open, &run, &tell).await.map_err(interrupted)?,
            (None, Some((snapshot, zone))) => {
                remediator.begin_drill(snapshot, zone, &run, &tell).await.map_err(interrupted)?
            }
            (None, None) => return Ok(None),
        };
        while let (Some(drill), Some(at)) = (now.drill.clone(), now.wait) {
            if !sleep_until(cx, acting, at, &run, &holder).await? {
                return Ok(Some(format!("stopped while waiting: {}", now.message)));
            }
            now = remediator.walk_drill(drill, &run, &tell).await.map_err(interrupted)?;
        }
        Ok(Some(words(&now)))
    })
    .await
}

/// Whether the last drill is long enough ago, whatever came of it.
fn due(cx: &Context, every: u32) -> Result<bool, NotActing> {
    let last = cx.store.last_drill().context("reading the last restore drill")?;
    // A slot is a few minutes early or late.
    let pause = TimeDelta::days(i64::from(every)) - TimeDelta::hours(1);
    Ok(last.is_none_or(|last| cx.clock.now() - last.begun_at >= pause))
}

/// A safety snapshot that the journal saw completed, and the zone of the volume that it is of.
async fn choose(cx: &Context, random: u64) -> Result<Option<(Resource, String)>, NotActing> {
    let state_id = cx.store.state_id().context("reading the state's id")?;
    let now = cx.clock.now();
    let mut candidates = Vec::new();
    for place in cx.places() {
        let armed = cx.store.arming(&place.account).context("reading an arming")?;
        if armed.is_none_or(|arming| arming.until < now) {
            continue;
        }
        let marked = match cx.cloud.snapshots_tagged(&place, &format!("{OWN_TAGS}safety-snapshot"), "true").await {
            Ok(marked) => marked,
            Err(error) => {
                tracing::warn!(%place, "safety snapshots could not be listed for a restore drill: {error}");
                continue;
            }
        };
        for snapshot in marked {
            if let Some(zone) = zone_of(cx, &snapshot, &state_id)? {
                candidates.push((snapshot, zone));
            }
        }
    }
    candidates.sort_by(|left, right| left.0.key.cmp(&right.0.key));
    let index = random.checked_rem(candidates.len() as u64).and_then(|index| usize::try_from(index).ok());
    Ok(index.map(|index| candidates.swap_remove(index)))
}

/// The Availability Zone of the volume that a snapshot backs up, if the journal saw the snapshot completed.
fn zone_of(cx: &Context, snapshot: &Resource, state_id: &str) -> Result<Option<String>, NotActing> {
    let Some(id) = row_of(snapshot, state_id) else { return Ok(None) };
    let Some(row) = cx.store.remediation(id).context("reading the act of a safety snapshot")? else { return Ok(None) };
    let own = row.snapshots.iter().find(|own| own.snapshot.as_ref() == Some(&snapshot.key.id));
    let Some(own) = own.filter(|own| own.completed_at.is_some() && own.size_gib <= LARGEST) else { return Ok(None) };
    let Ok(recipe) = Recipe::of(&row) else { return Ok(None) };
    let volume = recipe.volumes.iter().chain([&recipe.resource]).find(|volume| volume.key.id == own.volume);
    Ok(volume.and_then(Resource::volume).map(|volume| volume.zone.to_string()))
}

/// To whoever gets the reports.
fn messages(cx: &Context, drill: &Drill) -> Vec<Outgoing> {
    let made = cx.settings.reports.to.iter().map(|to| {
        let message = alert::drill(to, drill, cx.settings.zone)?;
        outgoing(&message, Vec::new())
    });
    made.filter_map(|message: anyhow::Result<Outgoing>| match message {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!("the alert about a restore drill could not be written: {error:#}");
            None
        }
    })
    .collect()
}

fn words(now: &Drilled) -> String {
    match &now.drill {
        Some(drill) => format!("restore drill d-{} {}: {}", drill.id, drill.state.word(), now.message),
        None => format!("no restore drill: {}", now.message),
    }
}
