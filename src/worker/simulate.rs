//! Stored nights through the back-test: `simulate`, and the effect that `policy diff` shows.
//!
//! Reads nights from the state (of an installation, or of a world in memory) and hands them to `engine::simulate`, one
//! partition at a time. Writes nothing: callers give it a state that is opened for reading alone, or one in memory.

use std::collections::HashMap;

use anyhow::Context as _;
use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::context::Context;
use super::jobs::scan::{Choice, scan};
use super::night;
use super::supervise::Work;
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::inventory::RefIndex;
use crate::domain::place::{Kind, Partition, Place};
use crate::domain::resource::Resource;
use crate::domain::usage::Usage;
use crate::engine::ruleset::Ruleset;
use crate::engine::simulate::{Backtest, Night, Setting, Simulation};

/// Which stored nights are judged. Later ones are looked at all the same, for what was used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nights {
    /// All of them.
    All,
    /// The last one of each partition alone.
    Last,
    /// The night of a scan.
    Scan(String),
    /// The nights of a UTC day.
    Day(NaiveDate),
}

/// The policies of `rules` over the stored nights of a state.
///
/// # Errors
/// The state cannot be read.
pub fn backtest(cx: &Context, rules: &Ruleset, nights: &Nights) -> anyhow::Result<Simulation> {
    let owner_of = |resource: &Resource| cx.owner_of(resource);
    let refused = |act: Act, resource: &Resource| cx.refused(act, resource);
    let exceptions = super::exceptions::in_force(&cx.store, &cx.settings)?;
    let mut test = Backtest::new(Setting {
        rules,
        prices: &cx.prices,
        exceptions: &exceptions,
        owner_of: &owner_of,
        refused: &refused,
        tag_prefix: &cx.settings.tags.prefix,
    });
    let mut stored = cx.store.trusted_nights().context("listing the stored nights")?;
    // Images first: they are the references that snapshots are judged by.
    stored.sort_by_key(|(_, at, partition)| (*at, partition.place.clone(), partition.kind != Kind::Image));
    let last: HashMap<Partition, Instant> = stored.iter().map(|(_, at, partition)| (partition.clone(), *at)).collect();
    let mut refs: (Option<(Instant, Place)>, RefIndex) = (None, RefIndex::default());
    let mut remembered = HashMap::new();
    for (scan, at, partition) in &stored {
        let Some((_, blob)) = cx
            .store
            .night(partition, *at + TimeDelta::microseconds(1))
            .with_context(|| format!("reading the night of {at} in {partition}"))?
        else {
            continue;
        };
        let resources: Vec<(Resource, Option<Usage>)> =
            night::unpack(&blob)?.into_iter().map(|line| (line.resource, line.usage)).collect();
        let here = Some((*at, partition.place.clone()));
        if refs.0 != here {
            refs = (here, RefIndex::default());
        }
        if partition.kind == Kind::Image {
            for (resource, _) in &resources {
                for snapshot in resource.image().into_iter().flat_map(|image| image.snapshots.iter()) {
                    refs.1.image_uses(resource.key.id.clone(), snapshot.clone());
                }
            }
            refs.1.mark_complete(Kind::Image);
        }
        if !remembered.contains_key(partition) {
            let found = cx.store.sightings(partition).context("reading our own sightings")?;
            remembered.insert(partition.clone(), found);
        }
        let judged = match nights {
            Nights::All => true,
            Nights::Last => last.get(partition) == Some(at),
            Nights::Scan(id) => id == scan,
            Nights::Day(day) => at.date_naive() == *day,
        };
        let remembered = &remembered[partition];
        test.night(&Night { at: *at, partition, resources: &resources, refs: &refs.1, remembered, judged });
    }
    Ok(test.finish())
}

/// Scans a world every night at two until an instant, into a state in memory, so that it can be back-tested.
///
/// # Errors
/// When a scan fails.
pub async fn nights_of_world(cx: &Context, until: Instant) -> anyhow::Result<()> {
    let mut next = cx.clock.now().date_naive().and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(2);
    loop {
        let at = next.max(cx.clock.now()).min(until);
        cx.clock.advance_to(at);
        scan(cx, &Choice::default(), &Work::default()).await?;
        if at >= until {
            return Ok(());
        }
        next += TimeDelta::days(1);
    }
}
