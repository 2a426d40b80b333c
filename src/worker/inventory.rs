//! Reads one account in one Region: pages of every kind, then metrics, with what could not be read.
//!
//! The scan calls it once per place. A page that fails makes its partition partial, never empty; metrics that cannot be
//! read make the instances partial, because what they would have said is unknown. Metrics are read in bulk: stage 1 for
//! every running instance old enough, stage 2 for the few that stage 1 leaves (product.md, "The six first checks").

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use super::supervise::Pulse;
use crate::cloud::{CloudError, CloudRead, ErrorKind, METRICS_PER_CALL, read_partition};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::inventory::{Coverage, Status};
use crate::domain::place::{Partition, Place};
use crate::domain::resource::{InstanceState, Resource};
use crate::domain::text::Str;
use crate::domain::usage::{Daily, Hourly, Metric, MetricQuery, Series, Statistic, Usage, last_midnight};

/// Bulk metric reads under way at once in one place.
const METRIC_CALLS_AT_ONCE: usize = 4;

/// One partition as read.
#[derive(Debug)]
pub struct PartitionRead {
    /// How far.
    pub coverage: Coverage,
    /// What is on the pages that arrived.
    pub resources: Vec<Resource>,
}

/// Metrics by resource id.
pub type UsageMap = HashMap<Str, Usage>;

/// Reads every page of a partition, with a beat for each.
pub async fn read(cloud: &dyn CloudRead, partition: &Partition, pulse: &Pulse) -> PartitionRead {
    let mut resources = Vec::new();
    let each = |page| {
        resources.extend(page);
        pulse.beat();
    };
    let (pages, error) = read_partition(cloud, partition, each).await;
    once_each(&mut resources);
    resources.shrink_to_fit();
    let status = match (&error, pages) {
        (None, _) => Status::Complete,
        (Some(_), 0) => Status::Failed,
        (Some(_), _) => Status::Partial,
    };
    let coverage = Coverage {
        partition: partition.clone(),
        status,
        pages,
        resources: resources.iter().filter(|resource| !is_gone(resource)).count() as u64,
        error: error.map(|error| error.to_string()),
        suspect: None,
    };
    PartitionRead { coverage, resources }
}

/// Leaves the last of what pages name twice: the pages of a list are not one moment's, and a resource that moves from one
/// to the other, or a page that comes again, must not count twice in totals, pace and inventory floor.
fn once_each(resources: &mut Vec<Resource>) {
    let mut order: Vec<usize> = (0..resources.len()).collect();
    order.sort_unstable_by(|left, right| resources[*left].key.id.cmp(&resources[*right].key.id).then(left.cmp(right)));
    let same = |pair: &&[usize]| resources[pair[0]].key.id == resources[pair[1]].key.id;
    let earlier: HashSet<usize> = order.windows(2).filter(same).map(|pair| pair[0]).collect();
    if earlier.is_empty() {
        return;
    }
    let mut index = 0..;
    resources.retain(|_| index.next().is_some_and(|index| !earlier.contains(&index)));
}

/// Whether a resource is listed only because it was there a while ago. EC2 lists terminated instances for about an
/// hour; they are no part of the total that pace, breaker and inventory floor are taken from.
fn is_gone(resource: &Resource) -> bool {
    matches!(resource.state(), "terminated" | "shutting-down" | "deleting" | "deleted")
}

/// A partition that could not even be asked for.
pub fn unread(partition: &Partition, why: &str) -> Coverage {
    Coverage {
        partition: partition.clone(),
        status: Status::Failed,
        pages: 0,
        resources: 0,
        error: Some(why.to_owned()),
        suspect: None,
    }
}

/// Stage 1: daily CPU average and network sums of the running instances that are older than the window. Returns the
/// first error, if one made a series unknown.
pub async fn daily_usage(
    cloud: &dyn CloudRead,
    place: &Place,
    resources: &[Resource],
    days: u32,
    now: Instant,
    pulse: &Pulse,
) -> (UsageMap, Option<CloudError>) {
    let (from, to) = window(days, now);
    let wanted =
        [(Metric::Cpu, Statistic::Average), (Metric::NetworkIn, Statistic::Sum), (Metric::NetworkOut, Statistic::Sum)];
    let ids: Vec<Str> = resources
        .iter()
        .filter(|resource| {
            resource.instance().is_some_and(|instance| instance.state == InstanceState::Running)
                && resource.created_at.known().is_some_and(|launched| *launched <= from)
        })
        .map(|resource| resource.key.id.clone())
        .collect();
    let dates: Arc<[NaiveDate]> = (0..i64::from(days)).map(|day| (from + TimeDelta::days(day)).date_naive()).collect();
    let by_day = |_, series: Series| -> Fact<Daily> {
        series.map(|points| {
            let mut values = Daily::empty(dates.len());
            for (at, value) in points {
                if let Ok(day) = usize::try_from((at - from).num_days()) {
                    values.set(day, value);
                }
            }
            values
        })
    };
    let (series, error) = read_kept(cloud, place, &ids, &wanted, 86_400, (from, to), pulse, by_day).await;
    let mut map = UsageMap::with_capacity(ids.len());
    let (mut series, mut ids) = (series.into_iter(), ids.into_iter());
    while let (Some(id), Some(cpu_average), Some(network_in), Some(network_out)) =
        (ids.next(), series.next(), series.next(), series.next())
    {
        map.insert(id, Usage { days: dates.clone(), cpu_average, network_in, network_out, hourly: None });
    }
    (map, error)
}

/// Stage 2: hourly figures of the candidates, filled into `usage`. Returns the first error.
pub async fn hourly_usage(
    cloud: &dyn CloudRead,
    place: &Place,
    candidates: &[Str],
    days: u32,
    now: Instant,
    usage: &mut UsageMap,
    pulse: &Pulse,
) -> Option<CloudError> {
    let (found, error) = hourly(cloud, place, candidates, window(days, now), pulse).await;
    for (id, hourly) in candidates.iter().zip(found) {
        if let Some(usage) = usage.get_mut(id) {
            usage.hourly = Some(Box::new(hourly));
        }
    }
    error
}

/// Hourly figures of a few instances over any window that starts and ends on an hour.
pub async fn hourly(
    cloud: &dyn CloudRead,
    place: &Place,
    ids: &[Str],
    (from, to): (Instant, Instant),
    pulse: &Pulse,
) -> (Vec<Hourly>, Option<CloudError>) {
    let wanted = [
        (Metric::Cpu, Statistic::Maximum),
        (Metric::Cpu, Statistic::SampleCount),
        (Metric::EbsReadOps, Statistic::Sum),
        (Metric::EbsWriteOps, Statistic::Sum),
    ];
    // One number a series, as soon as it is read: a week of hours of every candidate would outweigh all the rest.
    let number = |which: usize, series: Series| -> Fact<f64> {
        match which {
            0 => present(series).map(|points| points.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, nan_max)),
            1 => series.map(|points| points.iter().filter(|(_, count)| *count >= 1.0).count() as f64),
            _ => present(series).map(|points| points.iter().map(|(_, value)| *value).sum()),
        }
    };
    let (numbers, error) = read_kept(cloud, place, ids, &wanted, 3_600, (from, to), pulse, number).await;
    let hours_expected = u32::try_from((to - from).num_hours()).unwrap_or(0);
    let found = numbers
        .chunks(wanted.len())
        .map(|numbers| Hourly {
            cpu_peak: numbers[0].clone(),
            hours_seen: numbers[1].clone().map(|hours| hours as u32),
            hours_expected,
            disk_operations: sum_of(&numbers[2], &numbers[3]),
        })
        .collect();
    (found, error)
}

/// The last `days` full UTC days.
pub fn window(days: u32, now: Instant) -> (Instant, Instant) {
    let to = last_midnight(now);
    (to - TimeDelta::days(i64::from(days)), to)
}

/// All series of all ids, in the order ids × wanted, whatever the calls' order of arrival; with a beat for each call.
pub async fn read_series(
    cloud: &dyn CloudRead,
    place: &Place,
    ids: &[Str],
    wanted: &[(Metric, Statistic)],
    period_seconds: u32,
    (from, to): (Instant, Instant),
    pulse: &Pulse,
) -> (Vec<Series>, Option<CloudError>) {
    read_kept(cloud, place, ids, wanted, period_seconds, (from, to), pulse, |_, series| series).await
}

/// The same, but of each series only what `keep` makes of it, as soon as its call is answered. `keep` is told which of
/// `wanted` it is given; for a call that failed it is given unknowns.
#[expect(clippy::too_many_arguments, reason = "read_series' own, and what to keep")]
async fn read_kept<T: Send>(
    cloud: &dyn CloudRead,
    place: &Place,
    ids: &[Str],
    wanted: &[(Metric, Statistic)],
    period_seconds: u32,
    (from, to): (Instant, Instant),
    pulse: &Pulse,
    keep: impl Fn(usize, Series) -> T + Sync,
) -> (Vec<T>, Option<CloudError>) {
    let total = ids.len() * wanted.len();
    let keep = &keep;
    let query = |index: usize| {
        let (metric, statistic) = wanted[index % wanted.len()];
        MetricQuery { resource: ids[index / wanted.len()].clone(), metric, statistic, period_seconds, from, to }
    };
    let calls: Vec<BoxFuture<'_, Answered<T>>> = (0..total)
        .step_by(METRICS_PER_CALL)
        .map(|start| {
            async move {
                // Made when its turn comes: all of them at once would be as large as the answers.
                let queries: Vec<MetricQuery> = (start..total.min(start + METRICS_PER_CALL)).map(query).collect();
                let answer = cloud.metrics(place, &queries).await.and_then(|series| whole(series, queries.len()));
                pulse.beat();
                let (series, error) = match answer {
                    Ok(series) => (series, None),
                    Err(error) => (vec![Series::unknown(&error.to_string()); queries.len()], Some(error)),
                };
                let kept = series.into_iter().enumerate();
                let kept = kept.map(|(index, series)| keep((start + index) % wanted.len(), series)).collect();
                (start, kept, error)
            }
            .boxed()
        })
        .collect();
    let mut answers: Vec<_> = stream::iter(calls).buffer_unordered(METRIC_CALLS_AT_ONCE).collect().await;
    answers.sort_by_key(|(start, _, _)| *start);
    let mut all = Vec::with_capacity(total);
    let mut first_error = None;
    for (_, kept, error) in answers {
        all.extend(kept);
        first_error = first_error.or(error);
    }
    (all, first_error)
}

/// What is kept of one call, by the index of its first query, and why it failed if it did.
type Answered<T> = (usize, Vec<T>, Option<CloudError>);

/// An answer with another number of series cannot be told apart.
fn whole(series: Vec<Series>, asked: usize) -> Result<Vec<Series>, CloudError> {
    if series.len() == asked {
        return Ok(series);
    }
    let message = format!("{asked} series asked, {} answered", series.len());
    Err(CloudError::new(ErrorKind::Uncertain, "cloudwatch", "GetMetricData", None, &message))
}

/// A series that has datapoints; an empty one is absent.
fn present(series: Series) -> Series {
    match series {
        Fact::Known(points) if points.is_empty() => Fact::Absent,
        other => other,
    }
}

/// A NaN anywhere makes the peak NaN, which no limit accepts.
fn nan_max(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

fn sum_of(reads: &Fact<f64>, writes: &Fact<f64>) -> Fact<f64> {
    match (reads, writes) {
        (Fact::Known(reads), Fact::Known(writes)) => Fact::Known(reads + writes),
        (Fact::Unknown(reason), _) | (_, Fact::Unknown(reason)) => Fact::Unknown(reason.clone()),
        _ => Fact::Absent,
    }
}
