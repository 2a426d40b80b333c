//! Judges each slot, scan and report.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::finding::{Finding, State};
use costwarden::domain::place::Kind;
use costwarden::domain::report::ReportKind;
use costwarden::store::FindingFilter;
use costwarden::worker::context::Context;
use costwarden::worker::jobs::report;
use costwarden::worker::schedule::Job;

use super::reports;
use crate::director::Director;
use crate::scene::Bait;

/// A slot's job starts.
pub fn slot_starts(director: &Director, job: Job, slot: Instant) {
    let new = director.with(|inner| {
        inner.scanning &= job == Job::Scan;
        inner.book.slots.insert((job, slot))
    });
    director.judge("I19", (!new).then(|| format!("{job} of {slot} ran twice")));
}

/// The findings before a scan, and a clean slate for what it reads.
pub fn before_scan(director: &Director) -> Vec<Finding> {
    let now = director.truth.now();
    director.with(|inner| {
        inner.broken_reads.clear();
        inner.scanning = true;
        inner.book.scanned_at = Some(now);
    });
    director.store.findings(&FindingFilter::default()).unwrap_or_default()
}

/// What a scan made of what it could read.
pub fn after_scan(director: &Director, before: Vec<Finding>, finished: bool) {
    let now = director.truth.now();
    let broken = director.with(|inner| {
        inner.scanning = false;
        inner.broken_reads.clone()
    });
    let after = director.store.findings(&FindingFilter::default()).unwrap_or_default();
    let old: BTreeMap<&str, &Finding> = before.iter().map(|own| (own.id.0.as_str(), own)).collect();
    for finding in &after {
        let read = broken.get(&finding.key.partition).copied();
        let before = old.get(finding.id.0.as_str());
        let same = before.is_some_and(|old| {
            (old.state, old.seen_at, old.clock.due_at, old.missing_since, &old.reason)
                == (finding.state, finding.seen_at, finding.clock.due_at, finding.missing_since, &finding.reason)
        });
        wrong_conclusion(director, before.copied(), finding);
        if read != Some(false) {
            director.judge("I04", (!same).then(|| format!("{} changed by a read that met an error", finding.id)));
        }
    }
    // A clock that was set back begins its scans before earlier ones.
    let ours = |at: Instant| director.wall.now() - at < TimeDelta::minutes(1) && at <= director.wall.now();
    if finished
        && let Ok(Some((scan, summary))) = director.store.last_scan()
        && ours(scan.started_at)
    {
        let gaps = broken.iter().filter(|(_, broken)| **broken).map(|(partition, _)| partition.clone()).collect();
        director.with(|inner| inner.book.gaps = (scan.id.clone(), gaps));
        for row in &scan.coverage {
            if broken.get(&row.partition) == Some(&true) {
                let believed = row.trusted().then(|| format!("{} counts as read", row.partition));
                director.judge("I04", believed);
            }
        }
        let none = scan.coverage.iter().all(|row| !row.trusted());
        let score = summary
            .and_then(|value| serde_json::from_value::<costwarden::engine::score::ScanSummary>(value).ok())
            .and_then(|summary| summary.score());
        director.judge("I18", (none && score.is_some()).then(|| "a score over nothing".to_owned()));
    }
    note_attached(director, &broken, now);
    let mut line = format!("scan {now}");
    for own in &after {
        line.push_str(&format!(" {}:{:?}:{:?}", own.id, own.state, own.phase));
    }
    director.with(|inner| inner.tally.stir(&line));
}

/// A finding that closed because one listing did not show its resource, or one about what is plainly in use.
fn wrong_conclusion(director: &Director, before: Option<&Finding>, after: &Finding) {
    let closed = after.state == State::Resolved && before.is_some_and(|own| own.state == State::Open);
    if closed && after.reason.starts_with("gone") {
        let once = before.is_some_and(|own| own.missing_since.is_none());
        director.judge("I04", once.then(|| format!("{} was closed by one listing", after.id)));
    }
    let busy =
        director.scene.cards.get(&*after.key.id).is_some_and(|card| matches!(card.bait, Bait::InUse | Bait::Only(_)));
    if busy && before.is_none() && after.rule == "idle" {
        director.judge("I10", Some(format!("{} is in use and is called idle", after.key)));
    }
}

/// Volumes that this scan saw attached.
fn note_attached(director: &Director, broken: &BTreeMap<costwarden::domain::place::Partition, bool>, now: Instant) {
    let lag = director.scene.lag;
    let recent: Vec<String> = director
        .cloud
        .changes()
        .into_iter()
        .filter(|change| now - change.at <= lag)
        .map(|change| change.target)
        .collect();
    let attached: Vec<String> = director.cloud.truth(|truth| {
        let whole = |one: &&costwarden::domain::resource::Resource| {
            let partition = one.key.partition.place.partition(Kind::Volume);
            broken.get(&partition) == Some(&false) && !recent.iter().any(|id| **id == *one.key.id)
        };
        let volumes = truth.resources().filter(|one| one.volume().is_some_and(|own| !own.attachments.is_empty()));
        volumes.filter(whole).map(|one| one.key.id.to_string()).collect()
    });
    director.with(|inner| inner.book.seen_attached.extend(attached.into_iter().map(|id| (id, now))));
}

/// What a report says was done must have been done. Every third world's reports are judged: four times the 5,000 that
/// safety.md asks for.
pub fn after_report(director: &Director, context: &Context) {
    if !director.scene.seed.is_multiple_of(3) {
        return;
    }
    let Ok(report) = report::make(context, ReportKind::Weekly) else { return };
    reports::against_the_truth(director, &report);
    // A later scan whose end nobody saw is another one's to judge.
    let (of, gaps) = director.with(|inner| inner.book.gaps.clone());
    let last = director.store.last_scan().ok().flatten().is_some_and(|(scan, _)| scan.id == of);
    for partition in gaps.into_iter().filter(|_| last) {
        let told = report.gaps.iter().any(|own| own.partition == partition);
        director.judge("I18", (!told).then(|| format!("{partition} could not be read and the report does not say so")));
    }
    let open = director.store.findings(&FindingFilter { states: vec![State::Open], ..FindingFilter::default() });
    let counted: u64 = report.by_severity.iter().map(|row| row.open.count).sum();
    let known = open.unwrap_or_default().iter().filter(|own| own.counts()).count() as u64;
    director.judge("I18", (counted != known).then(|| format!("{counted} open findings told, {known} there")));
}
