//! Scans and what they found, partition by partition.
//!
//! A partition is written whole in one transaction: findings, their history, sightings and the night as read. What a
//! delivery or an act wrote while the scan was reading is newer than what the scan saw, and stays.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::ControlFlow;

use rusqlite::{Connection, Row, Transaction, params};
use serde_json::Value;

use super::error::{Fault, Inner};
use super::findings;
use super::nights::{prune_nights, replace_sightings, save_night};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, FindingId, GraceClock};
use crate::domain::inventory::{Coverage, Sighting};
use crate::domain::place::ResourceKey;
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
            let mut insert = transaction.prepare_cached(
                "INSERT INTO scan (id, started_at, doc) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
            )?;
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

    /// Scans that began in a span, the newest first and without their summaries, until `look` has seen enough.
    pub fn scans_back(
        &self,
        (from, to): (Instant, Instant),
        mut look: impl FnMut(Scan) -> ControlFlow<()>,
    ) -> Result<()> {
        self.read(format_args!("reading the scans from {from} to {to}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT doc FROM scan WHERE started_at >= ?1 AND started_at < ?2 ORDER BY started_at DESC, id DESC",
            )?;
            let mut rows = statement.query(params![row::micros(from), row::micros(to)])?;
            while let Some(row) = rows.next()? {
                let doc = row.get_ref(0)?.as_str().map_err(|error| Fault::document("scan", error))?;
                if look(row::from_json("scan", doc)?).is_break() {
                    break;
                }
            }
            Ok(())
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

fn save_findings(transaction: &Transaction<'_>, night: &PartitionNight<'_>) -> Inner<()> {
    let overtaken = ids(transaction, "SELECT finding FROM remediation WHERE updated_at > ?1", night.taken_at)?;
    let told = ids(transaction, "SELECT finding FROM notice WHERE delivered_at > ?1", night.taken_at)?;
    let acting = findings::acting(transaction)?;
    for finding in night.findings {
        let partition = &finding.key.partition;
        if partition != &night.coverage.partition {
            return Err(Fault::Refused(format!("finding {} is of {partition}", finding.id)));
        }
        if overtaken.contains(&finding.id) {
            continue;
        }
        let mut finding = Cow::Borrowed(finding);
        if told.contains(&finding.id)
            && let Some(stored) = findings::load(transaction, &finding.id)?
        {
            finding = Cow::Owned(keep_delivered(&finding, &stored.clock, night.taken_at));
        }
        if let Some(corrected) = findings::as_journal_says(&finding, &acting) {
            finding = Cow::Owned(corrected);
        }
        findings::save(transaction, &finding)?;
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
