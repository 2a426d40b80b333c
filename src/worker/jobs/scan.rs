//! The scan: identity → inventory → evaluate → reconcile → store, place by place.
//!
//! Called by the daemon's scan slot, `scan`, `run` and the demo. It reads and writes our own state; it holds nothing
//! that could change the cloud. Places are read side by side, the kinds of a place one after another, so that no
//! more than a few partitions are in memory at once. What was not read completely leads to no conclusion.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use crate::domain::Instant;
use crate::domain::check::{Subject, Verdict};
use crate::domain::finding::Act;
use crate::domain::inventory::{Coverage, RefIndex, Sighting, Status};
use crate::domain::place::{AccountId, Kind, Partition, Place, ResourceKey};
use crate::domain::remediation::JournalState;
use crate::domain::resource::Resource;
use crate::domain::scan::{RequestCount, Scan};
use crate::domain::text::Str;
use crate::engine::evaluate::{EvaluateRules, evaluate};
use crate::engine::reconcile::{CountsAs, Look, Reconciler};
use crate::engine::score::ScanSummary;
use crate::store::PartitionNight;
use crate::worker::context::Context;
use crate::worker::exceptions::Desk;
use crate::worker::exceptions::night::{self, Watch};
use crate::worker::inventory::{self, PartitionRead, UsageMap};
use crate::worker::night::Packer;
use crate::worker::supervise::{Pulse, Work};

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// These places in place of the settings' list; for reading only.
    pub places: Option<Vec<Place>>,
    /// Believe partitions that shrank beyond the inventory floor: a person has looked.
    pub accept_shrink: bool,
}

/// What a scan brought.
#[derive(Clone, Debug)]
pub struct ScanOutcome {
    /// Its row.
    pub scan: Scan,
    /// Its counts.
    pub summary: ScanSummary,
}

/// How long a scan may hold a partition's lease; what a killed one left stands in the way no longer than this.
const LEASE: TimeDelta = TimeDelta::minutes(30);

/// Runs one scan.
///
/// # Errors
/// When the state cannot be written. What the cloud refuses is coverage, not an error.
pub async fn scan(cx: &Context, choice: &Choice, work: &Work) -> anyhow::Result<ScanOutcome> {
    let started_at = cx.clock.now();
    let before = cx.cloud.requests();
    let id = cx.store.begin_scan(started_at).context("beginning a scan")?;
    let places: Vec<Place> = choice.places.clone().unwrap_or_else(|| cx.places().into_iter().collect());
    night::pass_time(&Desk::of(&cx.store, &cx.settings), started_at)?;
    let strangers = strangers(cx, &places).await;

    let mut summary = ScanSummary::default();
    for name in cx.rules.policy_names() {
        summary.policy(name);
    }
    let mut coverage = Vec::new();
    let mut resources: BTreeMap<String, u64> = BTreeMap::new();
    let concurrency = cx.settings.inventory.concurrency.max(1);
    let tonight = Night { scan: &id, now: started_at, accept_shrink: choice.accept_shrink, work };
    // Owned places, and boxed futures: borrowed ones in a stream confuse the compiler's check that this is `Send`.
    let jobs: Vec<BoxFuture<'_, anyhow::Result<PlaceNight>>> = places
        .into_iter()
        .map(|place| {
            let refused = strangers.get(&place.account).cloned();
            scan_place(cx, place, refused, tonight).boxed()
        })
        .collect();
    let mut nights = stream::iter(jobs).buffered(concurrency);
    while let Some(night) = nights.next().await {
        let night = night?;
        for row in &night.coverage {
            *resources.entry(row.partition.kind.name().to_owned()).or_default() += row.resources;
        }
        coverage.extend(night.coverage);
        summary.merge(night.summary);
    }
    drop(nights);

    let finished_at = cx.clock.now();
    let requests = difference(&before, cx.cloud.requests());
    cx.store.add_requests(started_at.date_naive(), &requests).context("storing the request counts")?;
    let scan = Scan {
        id,
        started_at,
        finished_at: Some(finished_at),
        coverage,
        requests,
        resources,
        unknown: summary.unknown.clone(),
    };
    let counts = serde_json::to_value(&summary).context("storing the scan's counts")?;
    cx.store.finish_scan(&scan, &counts).context("finishing a scan")?;
    Ok(ScanOutcome { scan, summary })
}

/// Accounts whose credentials are not theirs or could not be asked, with the reason; nothing of them is read.
async fn strangers(cx: &Context, places: &[Place]) -> HashMap<AccountId, String> {
    let mut accounts: Vec<&AccountId> = places.iter().map(|place| &place.account).collect();
    accounts.sort();
    accounts.dedup();
    let mut refused = HashMap::new();
    for account in accounts {
        match cx.cloud.identity(account).await {
            Ok(identity) if identity.account == *account => {}
            Ok(identity) => {
                let why = format!("refused: the credentials belong to account {} ({})", identity.account, identity.arn);
                refused.insert(account.clone(), why);
            }
            Err(error) => {
                refused.insert(account.clone(), format!("whose the credentials are could not be asked: {error}"));
            }
        }
    }
    refused
}

/// What is the same for every place of a scan.
#[derive(Clone, Copy)]
struct Night<'a> {
    scan: &'a str,
    now: Instant,
    accept_shrink: bool,
    work: &'a Work,
}

/// One place's part of a scan.
struct PlaceNight {
    coverage: Vec<Coverage>,
    summary: ScanSummary,
}

async fn scan_place(
    cx: &Context,
    place: Place,
    refused: Option<String>,
    tonight: Night<'_>,
) -> anyhow::Result<PlaceNight> {
    let Night { scan, now, work, .. } = tonight;
    let mut night = PlaceNight { coverage: Vec::new(), summary: ScanSummary::default() };
    if let Some(why) = refused {
        night.coverage.extend(Kind::ALL.map(|kind| inventory::unread(&place.partition(kind), &why)));
        return Ok(night);
    }
    // Images first: they are the references that snapshots are judged by.
    let mut refs = RefIndex::default();
    for kind in [Kind::Image, Kind::Instance, Kind::Volume, Kind::Snapshot, Kind::Address] {
        let partition = place.partition(kind);
        if work.cancel.is_cancelled() {
            night.coverage.push(inventory::unread(&partition, "the scan was stopped"));
            continue;
        }
        let lease = format!("scan:{partition}");
        let Some(fence) = cx.store.acquire(&lease, scan, LEASE, now).context("leasing a partition")? else {
            night.coverage.push(inventory::unread(&partition, "another worker is scanning it now"));
            continue;
        };
        let read = inventory::read(&*cx.cloud, &partition, &work.pulse).await;
        let judged = judge_partition(cx, &place, read, &mut refs, tonight).await;
        work.pulse.beat();
        cx.store.release(&lease, scan, fence).context("releasing a partition")?;
        let (coverage, summary) = judged?;
        night.coverage.push(coverage);
        night.summary.merge(summary);
    }
    Ok(night)
}

async fn judge_partition(
    cx: &Context,
    place: &Place,
    read: PartitionRead,
    refs: &mut RefIndex,
    tonight: Night<'_>,
) -> anyhow::Result<(Coverage, ScanSummary)> {
    let Night { scan, now, accept_shrink, work } = tonight;
    let PartitionRead { mut coverage, resources } = read;
    let partition = coverage.partition.clone();
    if coverage.status == Status::Complete && !accept_shrink {
        coverage.suspect = suspect(cx, &coverage, now)?;
    }
    if partition.kind == Kind::Image {
        index_images(refs, &coverage, &resources);
    }
    let mut usage = if partition.kind == Kind::Instance && coverage.trusted() {
        read_usage(cx, place, &resources, refs, now, &mut coverage, &work.pulse).await
    } else {
        UsageMap::new()
    };
    let mut packer = Packer::default();
    let mut summary = ScanSummary::default();
    if !coverage.trusted() && !planted!("judge-what-was-half-read") {
        for resource in &resources {
            packer.add(resource, usage.get(&resource.key.id))?;
        }
        save(cx, scan, &coverage, now, packer.finish()?, None)?;
        return Ok((coverage, summary));
    }
    let sightings = sightings(cx, &partition, &resources, now)?;
    let mut on_file = cx.store.resources_with_findings(&partition).context("reading the findings on file")?;
    let owner_of = |resource: &Resource| cx.owner_of(resource);
    let refused = |act: Act, resource: &Resource| cx.refused(act, resource);
    let desk = Desk::of(&cx.store, &cx.settings);
    let mut watch = Watch::open(&desk, &cx.settings, now)?;
    for resource in resources.iter().filter(|resource| watch.asks_about(resource)).collect::<Vec<_>>() {
        let subject = Subject {
            resource,
            usage: usage.get(&resource.key.id),
            refs,
            sighting: sightings.get(&resource.key.id).copied(),
            prices: &cx.prices,
            now,
        };
        watch.look(&desk, &subject)?;
    }
    let exceptions = watch.exceptions.clone();
    let look = Look { now, exceptions: &exceptions, owner_of: &owner_of, tag_prefix: &cx.settings.tags.prefix };
    let rules = EvaluateRules { tag_prefix: &cx.settings.tags.prefix, refused: &refused };
    let mut reconciler = Reconciler::new(look);
    let mut verdicts: Vec<(&str, &str, CountsAs)> = Vec::new();
    // Each resource goes once it is packed and judged: the blob and the findings grow into the room that it leaves.
    for resource in resources {
        let (resource, usage) = (&resource, usage.remove(&resource.key.id));
        packer.add(resource, usage.as_ref())?;
        if on_file.remove(&resource.key).is_some() {
            reconciler.on_file(cx.store.findings_on(&resource.key).context("reading the findings on file")?);
        }
        reconciler.seen(resource);
        verdicts.clear();
        let subject = Subject {
            resource,
            usage: usage.as_ref(),
            refs,
            sighting: sightings.get(&resource.key.id).copied(),
            prices: &cx.prices,
            now,
        };
        for judged in evaluate(&cx.rules, &subject, rules) {
            let counts_as = reconciler.observe(resource, judged.rule, judged.verdict);
            if counts_as == CountsAs::Excepted {
                watch.used(resource, &judged.rule.policy, &judged.rule.rule, scan, now);
            }
            verdicts.push((&judged.rule.policy, judged.rule.check.id, counts_as));
        }
        summary.resource(resource, &cx.settings.tags.team, verdicts.drain(..));
    }
    summary.partition(&partition, coverage.resources);
    let mut unlisted: Vec<ResourceKey> = on_file.into_iter().filter_map(|(key, open)| open.then_some(key)).collect();
    unlisted.sort();
    for key in &unlisted {
        reconciler.on_file(cx.store.findings_on(key).context("reading the findings on file")?);
    }
    drop(usage);
    let result = reconciler.finish();
    cx.store.note_exception_uses(&watch.into_uses()).context("noting the use of exceptions")?;
    let sightings: Vec<(ResourceKey, Sighting)> =
        sightings.into_iter().map(|(id, sighting)| (partition.key(&id), sighting)).collect();
    save(cx, scan, &coverage, now, packer.finish()?, Some((&result.changed, &result.events, &sightings)))?;
    Ok((coverage, summary))
}

type Changes<'a> =
    (&'a [crate::domain::finding::Finding], &'a [crate::domain::finding::FindingEvent], &'a [(ResourceKey, Sighting)]);

fn save(
    cx: &Context,
    scan: &str,
    coverage: &Coverage,
    taken_at: Instant,
    blob: Vec<u8>,
    changes: Option<Changes<'_>>,
) -> anyhow::Result<()> {
    let (findings, events, sightings) = match changes {
        Some((findings, events, sightings)) => (findings, events, Some(sightings)),
        None => (&[][..], &[][..], None),
    };
    cx.store
        .save_partition(&PartitionNight {
            scan,
            coverage,
            taken_at,
            blob,
            findings,
            events,
            sightings,
            keep_nights: cx.settings.inventory.keep_nights,
        })
        .with_context(|| format!("storing {}", coverage.partition))
}

/// Metrics in two stages. A read that failed makes the partition partial: what it would have said is unknown.
async fn read_usage(
    cx: &Context,
    place: &Place,
    resources: &[Resource],
    refs: &RefIndex,
    now: Instant,
    coverage: &mut Coverage,
    pulse: &Pulse,
) -> UsageMap {
    let Some(days) = cx.rules.usage_days() else {
        return UsageMap::new();
    };
    let (mut usage, daily_error) = inventory::daily_usage(&*cx.cloud, place, resources, days, now, pulse).await;
    let candidates: Vec<Str> = resources
        .iter()
        .filter(|resource| {
            let subject =
                Subject { resource, usage: usage.get(&resource.key.id), refs, sighting: None, prices: &cx.prices, now };
            cx.rules
                .covering(resource)
                .filter(|rule| rule.check.needs_usage)
                .any(|rule| matches!(rule.judge().judge(&subject), Verdict::Violated(_)))
        })
        .map(|resource| resource.key.id.clone())
        .collect();
    let hourly_error = inventory::hourly_usage(&*cx.cloud, place, &candidates, days, now, &mut usage, pulse).await;
    if let Some(error) = daily_error.or(hourly_error) {
        coverage.status = Status::Partial;
        coverage.error = Some(format!("metrics: {error}"));
    }
    usage
}

fn index_images(refs: &mut RefIndex, coverage: &Coverage, resources: &[Resource]) {
    for resource in resources {
        for snapshot in resource.image().into_iter().flat_map(|image| image.snapshots.iter()) {
            refs.image_uses(resource.key.id.clone(), snapshot.clone());
        }
    }
    if coverage.trusted() {
        refs.mark_complete(Kind::Image);
    }
}

/// Our own clocks for unattached volumes and unassociated addresses: kept while the condition holds, begun at first
/// sight, gone with it.
fn sightings(
    cx: &Context,
    partition: &Partition,
    resources: &[Resource],
    now: Instant,
) -> anyhow::Result<HashMap<Str, Sighting>> {
    if !matches!(partition.kind, Kind::Volume | Kind::Address) {
        return Ok(HashMap::new());
    }
    let known = cx.store.sightings(partition).context("reading our own sightings")?;
    Ok(resources
        .iter()
        .filter(|own| own.lies_idle() || planted!("forget-the-last-attachment") && known.contains_key(&*own.key.id))
        .map(|resource| {
            let sighting = match known.get(&*resource.key.id) {
                Some(old) => Sighting { since: old.since.min(now), scans: old.scans.saturating_add(1) },
                None => Sighting { since: now, scans: 1 },
            };
            (resource.key.id.clone(), sighting)
        })
        .collect())
}

/// The inventory floor: why a complete listing is not believed. Our own removals since the last believed one do not
/// count as shrinking.
fn suspect(cx: &Context, coverage: &Coverage, now: Instant) -> anyhow::Result<Option<String>> {
    let partition = &coverage.partition;
    let Some((before, at)) = cx.store.last_trusted_count(partition).context("reading the last inventory")? else {
        return Ok(None);
    };
    // What did not shrink needs no look at what we removed ourselves.
    if coverage.resources >= before {
        return Ok(None);
    }
    let removed = cx
        .store
        .remediations_between(at, now + TimeDelta::seconds(1))
        .context("reading our own removals")?
        .iter()
        .filter(|act| act.state == JournalState::Done && act.step.act.removes() && act.step.key.partition == *partition)
        .count() as u64;
    Ok(floor(before.saturating_sub(removed), coverage.resources, &cx.settings.inventory).map(|reason| {
        format!("{reason} since {}; look, then `costwarden scan --accept-shrink`", at.format("%Y-%m-%d %H:%M UTC"))
    }))
}

fn floor(expected: u64, now: u64, settings: &crate::settings::InventorySettings) -> Option<String> {
    let shrunk = expected.saturating_sub(now);
    let over_share = shrunk * 100 > expected * u64::from(settings.floor_percent);
    let emptied = now == 0 && expected >= settings.floor_count.max(1);
    ((over_share && shrunk > settings.floor_count) || emptied)
        .then(|| format!("suspect: shrank from {expected} to {now} resources"))
}

/// Requests made between two counts.
pub fn difference(before: &[RequestCount], after: Vec<RequestCount>) -> Vec<RequestCount> {
    after
        .into_iter()
        .filter_map(|mut count| {
            let old = before.iter().find(|old| old.service == count.service && old.operation == count.operation);
            if let Some(old) = old {
                count.count -= old.count.min(count.count);
                count.retries -= old.retries.min(count.retries);
                count.usd = count.usd.zip(old.usd).map(|(now, then)| now - then).or(count.usd);
            }
            (count.count > 0).then_some(count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::InventorySettings;

    #[test]
    fn the_inventory_floor_needs_a_share_and_a_number_or_nothing_left() {
        let settings = InventorySettings {
            floor_percent: 30,
            floor_count: 10,
            concurrency: 8,
            keep_nights: 35,
            max_age_hours: 26,
        };
        let suspected = |before, now| floor(before, now, &settings).is_some();
        assert!(!suspected(100, 70), "exactly 30 %");
        assert!(suspected(100, 69));
        assert!(!suspected(30, 20), "a third, but only ten resources");
        assert!(suspected(30, 19));
        assert!(suspected(10, 0));
        assert!(!suspected(9, 0));
        assert!(!suspected(0, 50));
    }
}
