//! One resource as the last stored night read it, for `policy explain`.
//!
//! Everything that a scan knew of it is put together again: the resource and its metrics from the night, our own
//! sightings, the images of its place. Nothing is read from the cloud.

use anyhow::Context as _;

use super::context::Context;
use super::night::{self, NightLine};
use crate::domain::Instant;
use crate::domain::check::Subject;
use crate::domain::inventory::{RefIndex, Sighting};
use crate::domain::place::{Kind, Partition, ResourceKey};

/// A resource of a stored night with everything that rules may look at.
pub struct Remembered {
    line: NightLine,
    refs: RefIndex,
    sighting: Option<Sighting>,
    /// When the night was read.
    pub at: Instant,
}

impl Remembered {
    /// Its full name.
    pub fn key(&self) -> &ResourceKey {
        &self.line.resource.key
    }

    /// What the rules look at.
    pub fn subject<'a>(&'a self, cx: &'a Context) -> Subject<'a> {
        Subject {
            resource: &self.line.resource,
            usage: self.line.usage.as_ref(),
            refs: &self.refs,
            sighting: self.sighting,
            prices: &cx.prices,
            now: self.at,
        }
    }
}

/// The resource with an id (`vol-0abc`) or a full key in the newest trusted night of its partition; `None` when no
/// stored night has it.
///
/// # Errors
/// The state cannot be read.
pub fn remembered(cx: &Context, named: &str) -> anyhow::Result<Option<Remembered>> {
    // A night is looked for strictly before an instant.
    let before = cx.clock.now() + chrono::TimeDelta::microseconds(1);
    for partition in partitions(cx, named) {
        let id = named.rsplit('/').next().unwrap_or(named);
        let Some((at, blob)) = cx.store.night(&partition, before)? else { continue };
        let lines = night::unpack(&blob).with_context(|| format!("reading the stored night of {partition}"))?;
        let Some(line) = lines.into_iter().find(|line| &*line.resource.key.id == id) else { continue };
        let mut refs = RefIndex::default();
        if let Some((_, images)) = cx.store.night(&partition.place.partition(Kind::Image), before)? {
            for image in night::unpack(&images)? {
                for snapshot in image.resource.image().into_iter().flat_map(|image| image.snapshots.iter()) {
                    refs.image_uses(image.resource.key.id.clone(), snapshot.clone());
                }
            }
            refs.mark_complete(Kind::Image);
        }
        let sighting = cx.store.sightings(&partition)?.remove(id);
        return Ok(Some(Remembered { line, refs, sighting, at }));
    }
    Ok(None)
}

/// Where a resource of this name may lie: its own partition for a full key, else each place's partition of the kind
/// that the id's prefix tells.
fn partitions(cx: &Context, named: &str) -> Vec<Partition> {
    if let Ok(key) = named.parse::<ResourceKey>() {
        return vec![key.partition];
    }
    let kinds = Kind::ALL.into_iter().filter(|kind| named.starts_with(kind.id_prefix()));
    let places = cx.places();
    kinds.flat_map(|kind| places.iter().map(move |place| place.partition(kind))).collect()
}
