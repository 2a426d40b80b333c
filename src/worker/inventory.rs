//! Reads one account in one Region: pages of every kind, then metrics, with what could not be read.
//!
//! The scan calls it once per place. A page that fails makes its partition partial, never empty; metrics that cannot be
//! read make the instances partial, because what they would have said is unknown. Metrics are read in bulk: stage 1 for
//! every running instance old enough, stage 2 for the few that stage 1 leaves (product.md, "The six first checks").

use std::collections::HashMap;

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
use crate::domain::usage::{Hourly, Metric, MetricQuery, Series, Statistic, Usage, last_midnight};

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
    let (series, error) = read_series(cloud, place, &ids, &wanted, 86_400, (from, to), pulse).await;
    let dates: Vec<NaiveDate> = (0..i64::from(days)).map(|day| (from + TimeDelta::days(day)).date_naive()).collect();
    let by_day = |series: &Series| -> Fact<Vec<Option<f64>>> {
        series.clone().map(|points| {
            let mut values = vec![None; dates.len()];
            for (at, value) in points {
                // A NaN is no datapoint.
                if let Some(slot) = usize::try_from((at - from).num_days()).ok().and_then(|day| values.get_mut(day)) {
                    *slot = Some(value).filter(|value| value.is_finite());
                }
            }
            values
        })
    };
    let map = ids
        .into_iter()
        .zip(series.chunks(wanted.len()))
        .map(|(id, series)| {
            let usage = Usage {
                days: dates.clone(),
                cpu_average: by_day(&series[0]),
                network_in: by_day(&series[1]),
                network_out: by_day(&series[2]),
                hourly: None,
            };
            (id, usage)
        })
        .collect();
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
            usage.hourly = Some(hourly);
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
    let (series, error) = read_series(cloud, place, ids, &wanted, 3_600, (from, to), pulse).await;
    let hours_expected = u32::try_from((to - from).num_hours()).unwrap_or(0);
    let found = series
        .chunks(wanted.len())
        .map(|series| Hourly {
            cpu_peak: present(&series[0])
                .map(|points| points.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, nan_max)),
            hours_seen: series[1].clone().map(|points| points.iter().filter(|(_, count)| *count >= 1.0).count() as u32),
            hours_expected,
            disk_operations: sum_of(&series[2], &series[3]),
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
    let total = ids.len() * wanted.len();
    let query = |index: usize| {
        let (metric, statistic) = wanted[index % wanted.len()];
        MetricQuery { resource: ids[index / wanted.len()].clone(), metric, statistic, period_seconds, from, to }
    };
    let calls: Vec<BoxFuture<'_, Numbered>> = (0..total)
        .step_by(METRICS_PER_CALL)
        .map(|start| {
            let queries: Vec<MetricQuery> = (start..total.min(start + METRICS_PER_CALL)).map(query).collect();
            async move {
                let answer = cloud.metrics(place, &queries).await.and_then(|series| whole(series, queries.len()));
                pulse.beat();
                (start, answer)
            }
            .boxed()
        })
        .collect();
    let mut answers: Vec<_> = stream::iter(calls).buffer_unordered(METRIC_CALLS_AT_ONCE).collect().await;
    answers.sort_by_key(|(start, _)| *start);
    let mut all = Vec::with_capacity(total);
    let mut first_error = None;
    for (start, answer) in answers {
        match answer {
            Ok(series) => all.extend(series),
            Err(error) => {
                let missing = total.min(start + METRICS_PER_CALL) - start;
                let unknown = Series::unknown(&error.to_string());
                all.extend(std::iter::repeat_n(unknown, missing));
                first_error.get_or_insert(error);
            }
        }
    }
    (all, first_error)
}

/// The answer of one bulk read, by the index of its first query.
type Numbered = (usize, Result<Vec<Series>, CloudError>);

/// An answer with another number of series cannot be told apart.
fn whole(series: Vec<Series>, asked: usize) -> Result<Vec<Series>, CloudError> {
    if series.len() == asked {
        return Ok(series);
    }
    let message = format!("{asked} series asked, {} answered", series.len());
    Err(CloudError::new(ErrorKind::Uncertain, "cloudwatch", "GetMetricData", None, &message))
}

/// A series that has datapoints; an empty one is absent.
fn present(series: &Series) -> Series {
    match series {
        Fact::Known(points) if points.is_empty() => Fact::Absent,
        other => other.clone(),
    }
}

/// A NaN anywhere makes the peak NaN, which no limit accepts.
fn nan_max(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

fn sum_of(reads: &Series, writes: &Series) -> Fact<f64> {
    let sum = |series: &Series| present(series).map(|points| points.iter().map(|(_, value)| *value).sum::<f64>());
    match (sum(reads), sum(writes)) {
        (Fact::Known(reads), Fact::Known(writes)) => Fact::Known(reads + writes),
        (Fact::Unknown(reason), _) | (_, Fact::Unknown(reason)) => Fact::Unknown(reason),
        _ => Fact::Absent,
    }
}
