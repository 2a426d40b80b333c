//! Scans, their partitions' nights, and how long conditions were seen.
//!
//! A partition is written whole in one transaction: findings, their history, sightings and the night as read. What a
//! delivery or an act wrote while the scan was reading is newer than what the scan saw, and stays.

use std::collections::{HashMap, HashSet};

use chrono::{NaiveTime, TimeDelta};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use super::error::{Fault, Inner};
use super::findings;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, FindingId, GraceClock, OpenRemediation};
use crate::domain::inventory::{Coverage, Sighting, Status};
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::scan::Scan;

/// One partition of one scan.
#[derive(Clone, Debug)]
pub struct PartitionNight<'a> {
    /// The scan's id.
    pub scan: &'a str,
    /// How far the partition was read.
    pub coverage: &'a Coverage,
    /// The scan's instant.
    pub taken_at: Instant,
    /// Resources and facts as read, compressed.
    pub blob: Vec<u8>,
    /// Findings that are new or changed; others are left alone.
    pub findings: &'a [Finding],
    /// What happened to them.
    pub events: &'a [FindingEvent],
    /// Everything seen unattached or unassociated here; replaces what was stored, when the coverage is trusted.
    pub sightings: Option<&'a [(ResourceKey, Sighting)]>,
    /// Days for which nights are kept. The newest trusted night stays whatever its age.
    pub keep_nights: u32,
}

impl Store {
    /// Begins a scan and returns its id: `s-` and the instant, with `-2` and so on when that is taken.
    pub fn begin_scan(&self, now: Instant) -> Result<String> {
        self.write(format_args!("beginning a scan"), |transaction| {
            let base = format!("s-{}", now.format("%Y%m%dT%H%M%SZ"));
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO scan (id, started_at, doc) VALUES (?1, ?2, ?3)")?;
            for attempt in 1_u64.. {
                let id = if attempt == 1 { base.clone() } else { format!("{base}-{attempt}") };
                let doc = row::to_json("scan", &begun(&id, now))?;
                if insert.execute(params![id, row::micros(now), doc])? == 1 {
                    return Ok(id);
                }
            }
            Err(Fault::Refused(format!("no id is left for a scan at {now}")))
        })
    }

    /// Writes one partition of a scan in one transaction.
    ///
    /// Where an act moved a finding after `taken_at`, the stored finding stays and the scan's word about it, with its
    /// events, is dropped: the next scan sees what came of the act. Where a notice was delivered after `taken_at`,
    /// the clocks that it moved are kept.
    pub fn save_partition(&self, night: &PartitionNight<'_>) -> Result<()> {
        self.write(format_args!("storing {} of scan {:?}", night.coverage.partition, night.scan), |transaction| {
            save_findings(transaction, night)?;
            if let Some(sightings) = night.sightings.filter(|_| night.coverage.trusted()) {
                replace_sightings(transaction, &night.coverage.partition, sightings)?;
            }
            save_night(transaction, night)?;
            prune_nights(transaction, night)
        })
    }

    /// Ends a scan. An error when it was never begun.
    pub fn finish_scan(&self, scan: &Scan, summary: &Value) -> Result<()> {
        self.write(format_args!("ending scan {:?}", scan.id), |transaction| {
            let finished = scan.finished_at.map(row::micros);
            let complete = finished.is_some() && scan.complete();
            let changed = transaction
                .prepare_cached(
                    "UPDATE scan SET finished_at = ?2, complete = ?3, doc = ?4, summary = ?5 WHERE id = ?1",
                )?
                .execute(params![
                    scan.id,
                    finished,
                    complete,
                    row::to_json("scan", scan)?,
                    row::to_json("summary", summary)?
                ])?;
            if changed == 1 { Ok(()) } else { Err(Fault::Missing(format!("scan {:?}", scan.id))) }
        })
    }

    /// The newest scan that ended, with its summary.
    pub fn last_scan(&self) -> Result<Option<(Scan, Option<Value>)>> {
        self.read(format_args!("reading the last scan"), |connection| {
            one_scan(connection, "WHERE finished_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1")
        })
    }

    /// The newest scan that ended with every partition read to its end and believed.
    pub fn last_complete_scan(&self) -> Result<Option<(Scan, Option<Value>)>> {
        self.read(format_args!("reading the last complete scan"), |connection| {
            one_scan(connection, "WHERE complete = 1 ORDER BY started_at DESC, id DESC LIMIT 1")
        })
    }

    /// Scans that began with `from <= started_at < to`, oldest first; also those that run or died.
    pub fn scans_between(&self, from: Instant, to: Instant) -> Result<Vec<(Scan, Option<Value>)>> {
        self.read(format_args!("reading the scans from {from} to {to}"), |connection| {
            let span = params![row::micros(from), row::micros(to)];
            scans(connection, "WHERE started_at >= ?1 AND started_at < ?2 ORDER BY started_at, id", span)
        })
    }

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

fn begun(id: &str, now: Instant) -> Scan {
    Scan {
        id: id.to_owned(),
        started_at: now,
        finished_at: None,
        coverage: Vec::new(),
        requests: Vec::new(),
        resources: Default::default(),
        unknown: Default::default(),
    }
}

fn partition_key(partition: &Partition) -> [&str; 3] {
    [partition.place.account.as_str(), partition.place.region.as_str(), partition.kind.name()]
}

fn save_findings(transaction: &Transaction<'_>, night: &PartitionNight<'_>) -> Inner<()> {
    let overtaken = ids(transaction, "SELECT finding FROM remediation WHERE updated_at > ?1", night.taken_at)?;
    let told = ids(transaction, "SELECT finding FROM notice WHERE delivered_at > ?1", night.taken_at)?;
    let acting =
        ids(transaction, "SELECT finding FROM remediation WHERE ended = 0 AND updated_at <= ?1", night.taken_at)?;
    for finding in night.findings {
        let partition = &finding.key.partition;
        if partition != &night.coverage.partition {
            return Err(Fault::Refused(format!("finding {} is of {partition}", finding.id)));
        }
        if overtaken.contains(&finding.id) {
            continue;
        }
        let mut merged = None;
        if told.contains(&finding.id) {
            if let Some(stored) = findings::load(transaction, &finding.id)? {
                merged = Some(keep_delivered(finding, &stored.clock, night.taken_at));
            }
        }
        if acting.contains(&finding.id) && finding.remediation != Some(OpenRemediation::Acting) {
            merged.get_or_insert_with(|| finding.clone()).remediation = Some(OpenRemediation::Acting);
        }
        findings::save(transaction, merged.as_ref().unwrap_or(finding))?;
    }
    findings::append_events(transaction, night.events.iter().filter(|event| !overtaken.contains(&event.finding)))
}

/// The scan's finding with the clocks that a delivery moved after the scan read it. A clock that the scan started
/// anew stays new, and no due date comes earlier.
fn keep_delivered(finding: &Finding, stored: &GraceClock, taken_at: Instant) -> Finding {
    let mut merged = finding.clone();
    let same_period = stored.first_notice == finding.clock.first_notice;
    let begun_since = stored.first_notice.is_some_and(|at| at > taken_at);
    if same_period || begun_since {
        merged.clock = GraceClock {
            due_at: stored.due_at.max(finding.clock.due_at.filter(|_| same_period)),
            needs_second: stored.needs_second || finding.clock.needs_second,
            ..stored.clone()
        };
        merged.phase = merged.phase_at(taken_at);
    }
    merged
}

fn ids(connection: &Connection, sql: &str, at: Instant) -> Inner<HashSet<FindingId>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([row::micros(at)], |row| Ok(FindingId(row.get(0)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn replace_sightings(
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

fn save_night(transaction: &Transaction<'_>, night: &PartitionNight<'_>) -> Inner<()> {
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
fn prune_nights(transaction: &Transaction<'_>, night: &PartitionNight<'_>) -> Inner<()> {
    let [account, region, kind] = partition_key(&night.coverage.partition);
    if night.coverage.trusted() {
        let midnight = night.taken_at.date_naive().and_time(NaiveTime::MIN).and_utc();
        transaction
            .prepare_cached(
                "DELETE FROM night WHERE account = ?1 AND region = ?2 AND kind = ?3 AND taken_at >= ?4 AND taken_at < ?5",
            )?
            .execute(params![account, region, kind, row::micros(midnight), row::micros(night.taken_at)])?;
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

fn one_scan(connection: &Connection, clause: &str) -> Inner<Option<(Scan, Option<Value>)>> {
    Ok(scans(connection, clause, params![])?.into_iter().next())
}

fn scans(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<(Scan, Option<Value>)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT doc, summary FROM scan {clause}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(scan(row)?);
    }
    Ok(found)
}

fn scan(row: &Row<'_>) -> Inner<(Scan, Option<Value>)> {
    let summary: Option<String> = row.get(1)?;
    Ok((
        row::from_json("scan", &row.get::<_, String>(0)?)?,
        summary.map(|text| row::from_json("summary", &text)).transpose()?,
    ))
}
