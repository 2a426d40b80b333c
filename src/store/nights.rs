//! A partition's nights as they were read, and how long conditions were seen in it.
//!
//! `scans.rs` writes both with the partition's findings. Only trusted nights are handed out: from a listing that was
//! cut short, or that is not believed, nothing may be concluded.

use std::collections::HashMap;

use chrono::{NaiveTime, TimeDelta};
use rusqlite::{OptionalExtension, Transaction, params};

use super::error::{Fault, Inner};
use super::scans::PartitionNight;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::inventory::{Sighting, Status};
use crate::domain::place::{Kind, Partition, Place, ResourceKey};

impl Store {
    /// How many resources the newest trusted listing of a partition showed, and when: for the inventory floor.
    pub fn last_trusted_count(&self, partition: &Partition) -> Result<Option<(u64, Instant)>> {
        self.read(format_args!("reading the last listing of {partition}"), |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT resources, taken_at FROM night WHERE account = ?1 AND region = ?2 AND kind = ?3
                     AND status = 'complete' AND suspect = 0 ORDER BY taken_at DESC LIMIT 1",
                )?
                .query_row(partition_key(partition), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))
                .optional()?;
            found.map(|(count, at)| Ok((row::uncount(count), row::instant(at)?))).transpose()
        })
    }

    /// The newest trusted night of a partition taken before an instant.
    pub fn night(&self, partition: &Partition, before: Instant) -> Result<Option<(Instant, Vec<u8>)>> {
        self.read(format_args!("reading a night of {partition}"), |connection| {
            let place = &partition.place;
            let found = connection
                .prepare_cached(
                    "SELECT taken_at, blob FROM night WHERE account = ?1 AND region = ?2 AND kind = ?3
                     AND status = 'complete' AND suspect = 0 AND taken_at < ?4 ORDER BY taken_at DESC LIMIT 1",
                )?
                .query_row(
                    params![place.account.as_str(), place.region.as_str(), partition.kind.name(), row::micros(before)],
                    |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
                )
                .optional()?;
            found.map(|(at, blob)| Ok((row::instant(at)?, blob))).transpose()
        })
    }

    /// Every trusted night that is kept, oldest first: its scan, when it was taken, and the partition.
    pub fn trusted_nights(&self) -> Result<Vec<(String, Instant, Partition)>> {
        self.read(format_args!("listing the stored nights"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT scan_id, taken_at, account, region, kind FROM night WHERE status = 'complete' AND suspect = 0
                 ORDER BY taken_at, account, region, kind",
            )?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let bad = |what: &str| Fault::document("night's partition", format!("{what} is not known"));
                let place = Place {
                    account: row.get::<_, String>(2)?.try_into().map_err(|_| bad("its account"))?,
                    region: row.get::<_, String>(3)?.try_into().map_err(|_| bad("its Region"))?,
                };
                let kind: Kind = row.get::<_, String>(4)?.parse().map_err(|_| bad("its kind"))?;
                found.push((row.get(0)?, row::instant(row.get(1)?)?, place.partition(kind)));
            }
            Ok(found)
        })
    }

    /// How long each resource of a partition was seen unattached or unassociated, by resource id.
    pub fn sightings(&self, partition: &Partition) -> Result<HashMap<String, Sighting>> {
        self.read(format_args!("reading the sightings of {partition}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT resource, since, scans FROM sighting WHERE account = ?1 AND region = ?2 AND kind = ?3",
            )?;
            let mut rows = statement.query(partition_key(partition))?;
            let mut found = HashMap::new();
            while let Some(row) = rows.next()? {
                let key: ResourceKey =
                    row.get::<_, String>(0)?.parse().map_err(|error| Fault::document("sighting's resource", error))?;
                let scans = u32::try_from(row.get::<_, i64>(2)?).unwrap_or(u32::MAX);
                found.insert(key.id.to_string(), Sighting { since: row::instant(row.get(1)?)?, scans });
            }
            Ok(found)
        })
    }
}

fn partition_key(partition: &Partition) -> [&str; 3] {
    [partition.place.account.as_str(), partition.place.region.as_str(), partition.kind.name()]
}

/// Replaces what was seen unattached or unassociated in a partition.
pub(super) fn replace_sightings(
    transaction: &Transaction<'_>,
    partition: &Partition,
    sightings: &[(ResourceKey, Sighting)],
) -> Inner<()> {
    transaction
        .prepare_cached("DELETE FROM sighting WHERE account = ?1 AND region = ?2 AND kind = ?3")?
        .execute(partition_key(partition))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO sighting (resource, account, region, kind, since, scans) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let [account, region, kind] = partition_key(partition);
    for (key, sighting) in sightings {
        if &key.partition != partition {
            return Err(Fault::Refused(format!("the sighting of {key} is not of {partition}")));
        }
        insert.execute(params![
            key.to_string(),
            account,
            region,
            kind,
            row::micros(sighting.since),
            i64::from(sighting.scans)
        ])?;
    }
    Ok(())
}

/// Stores a partition as it was read.
pub(super) fn save_night(transaction: &Transaction<'_>, night: &PartitionNight<'_>) -> Inner<()> {
    let status = match night.coverage.status {
        Status::Complete => "complete",
        Status::Partial => "partial",
        Status::Failed => "failed",
    };
    let [account, region, kind] = partition_key(&night.coverage.partition);
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO night (scan_id, account, region, kind, taken_at, status, suspect, resources, blob)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            night.scan,
            account,
            region,
            kind,
            row::micros(night.taken_at),
            status,
            night.coverage.suspect.is_some(),
            row::count(night.coverage.resources),
            night.blob
        ])?;
    Ok(())
}

/// One trusted night a UTC day is enough, and none is kept longer than asked, but the newest trusted one always is:
/// the inventory floor compares with it.
pub(super) fn prune_nights(transaction: &Transaction<'_>, night: &PartitionNight<'_>) -> Inner<()> {
    let [account, region, kind] = partition_key(&night.coverage.partition);
    if night.coverage.trusted() {
        let midnight = night.taken_at.date_naive().and_time(NaiveTime::MIN).and_utc();
        transaction
            .prepare_cached(
                "DELETE FROM night WHERE account = ?1 AND region = ?2 AND kind = ?3
                 AND taken_at >= ?4 AND taken_at < ?5",
            )?
            .execute(params![account, region, kind, row::micros(midnight), row::micros(night.taken_at)])?;
    }
    if planted!("keep-every-night") {
        return Ok(());
    }
    let oldest = night.taken_at - TimeDelta::days(i64::from(night.keep_nights));
    transaction
        .prepare_cached(
            "DELETE FROM night WHERE account = ?1 AND region = ?2 AND kind = ?3 AND taken_at <= ?4
             AND taken_at <> COALESCE((SELECT MAX(taken_at) FROM night WHERE account = ?1 AND region = ?2 AND kind = ?3
                                       AND status = 'complete' AND suspect = 0), -1)",
        )?
        .execute(params![account, region, kind, row::micros(oldest)])?;
    Ok(())
}
