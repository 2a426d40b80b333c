//! CloudWatch metrics in bulk: GetMetricData with up to 500 queries a call.
//!
//! CloudWatch answers per query with a status of its own. Only `Complete` is an answer; partial data, an internal
//! error or a refusal makes that series unknown and leaves the others as they are. An answer that is complete and
//! empty means that there is no datapoint, which is absent and not zero.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode};

use super::errors;
use super::meter::Meter;
use crate::cloud::{CloudError, ErrorKind, METRICS_PER_CALL};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::usage::{MetricQuery, Series};

const OPERATION: &str = "GetMetricData";

/// What has arrived for one query.
#[derive(Clone, Default)]
struct Partial {
    /// In the order of arrival.
    points: Vec<(Instant, f64)>,
    status: Option<StatusCode>,
    problem: Option<&'static str>,
}

/// The series of `queries`, in their order. Queries with the same window share a call.
pub(super) async fn read(client: &Client, meter: &Meter, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
    if queries.len() > METRICS_PER_CALL {
        let message =
            format!("{} series asked for in one read; at most {METRICS_PER_CALL} are possible", queries.len());
        return Err(CloudError::new(ErrorKind::Rejected, "cloudwatch", OPERATION, None, &message));
    }
    let mut windows: BTreeMap<(Instant, Instant), Vec<usize>> = BTreeMap::new();
    for (index, query) in queries.iter().enumerate() {
        windows.entry((query.from, query.to)).or_default().push(index);
    }
    let mut answers = vec![Partial::default(); queries.len()];
    for (window, indices) in windows {
        read_window(client, meter, queries, window, &indices, &mut answers).await?;
    }
    Ok(answers.into_iter().map(series).collect())
}

/// Follows the pages of one window to their end. `indices` are sorted.
async fn read_window(
    client: &Client,
    meter: &Meter,
    queries: &[MetricQuery],
    (from, to): (Instant, Instant),
    indices: &[usize],
    answers: &mut [Partial],
) -> Result<(), CloudError> {
    let mut token: Option<String> = None;
    loop {
        // Made anew for each page: nearly every answer has one, and a kept copy would cost as much each time.
        let asked: Vec<MetricDataQuery> = indices.iter().map(|index| query(*index, &queries[*index])).collect();
        meter.add_metrics(asked.len());
        let output = client
            .get_metric_data()
            .set_metric_data_queries(Some(asked))
            .start_time(DateTime::from_secs(from.timestamp()))
            .end_time(DateTime::from_secs(to.timestamp()))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(token.clone())
            .send()
            .await
            .map_err(|error| errors::from_sdk("cloudwatch", OPERATION, &error))?;
        for result in output.metric_data_results() {
            let index = result.id().and_then(index_of).filter(|index| indices.binary_search(index).is_ok());
            let Some(index) = index else {
                let what = format!("a series with the id {:?} that was not asked for", result.id());
                return Err(errors::unreadable("cloudwatch", OPERATION, &what));
            };
            add(&mut answers[index], result);
        }
        match output.next_token.filter(|next| !next.is_empty()) {
            None => return Ok(()),
            next if next == token => {
                return Err(errors::unreadable("cloudwatch", OPERATION, "the page token repeated itself"));
            }
            next => token = next,
        }
    }
}

fn query(index: usize, query: &MetricQuery) -> MetricDataQuery {
    let dimension = Dimension::builder().name("InstanceId").value(&*query.resource).build();
    let metric = Metric::builder().namespace("AWS/EC2").metric_name(query.metric.name()).dimensions(dimension).build();
    // CloudWatch's own limit for a period is far below i32::MAX; a larger one would be rejected there.
    let period = i32::try_from(query.period_seconds).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period).stat(query.statistic.name()).build();
    MetricDataQuery::builder().id(format!("m{index}")).metric_stat(stat).return_data(true).build()
}

fn index_of(id: &str) -> Option<usize> {
    id.strip_prefix('m')?.parse().ok()
}

/// Adds one page's part of a series; the last page's status counts.
fn add(answer: &mut Partial, result: &MetricDataResult) {
    if result.timestamps().len() != result.values().len() {
        answer.problem = Some("CloudWatch sent more times than values, or fewer");
    }
    for (time, value) in result.timestamps().iter().zip(result.values()) {
        match chrono::DateTime::from_timestamp(time.secs(), time.subsec_nanos()) {
            Some(instant) if value.is_finite() => {
                answer.points.push((instant, *value));
            }
            _ => answer.problem = Some("CloudWatch sent a datapoint that is no number"),
        }
    }
    // An internal error or a refusal on any page stays, whatever a later page says.
    if !matches!(answer.status, Some(StatusCode::InternalError | StatusCode::Forbidden)) {
        answer.status = result.status_code().cloned();
    }
}

fn series(answer: Partial) -> Series {
    if let Some(problem) = answer.problem {
        return Fact::unknown(problem);
    }
    match answer.status {
        Some(StatusCode::Complete) if answer.points.is_empty() => Fact::Absent,
        Some(StatusCode::Complete) => Fact::Known(sorted(answer.points)),
        Some(StatusCode::PartialData) => Fact::unknown("CloudWatch gave only a part of the data"),
        Some(StatusCode::Forbidden) => Fact::unknown("CloudWatch refused access to this metric"),
        Some(StatusCode::InternalError) => Fact::unknown("CloudWatch had an internal error"),
        Some(other) => Fact::unknown(&format!("CloudWatch answered with the status {:?}", other.as_str())),
        None => Fact::unknown("the answer of CloudWatch lacks this metric"),
    }
}

/// By time, oldest first; of two values for one instant the one that came last stays.
fn sorted(mut points: Vec<(Instant, f64)>) -> Vec<(Instant, f64)> {
    if !points.is_sorted_by(|left, right| left.0 < right.0) {
        points.sort_by_key(|(at, _)| *at);
        points.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = next.1;
            }
            same
        });
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(status: StatusCode, points: &[(i64, f64)]) -> MetricDataResult {
        MetricDataResult::builder()
            .id("m0")
            .status_code(status)
            .set_timestamps(Some(points.iter().map(|(time, _)| DateTime::from_secs(*time)).collect()))
            .set_values(Some(points.iter().map(|(_, value)| *value).collect()))
            .build()
    }

    fn joined(parts: &[MetricDataResult]) -> Series {
        let mut answer = Partial::default();
        for part in parts {
            add(&mut answer, part);
        }
        series(answer)
    }

    fn at(seconds: i64) -> Instant {
        chrono::DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn pages_of_a_series_are_joined_and_sorted() {
        let pages = [part(StatusCode::PartialData, &[(3_600, 2.0)]), part(StatusCode::Complete, &[(0, 1.0)])];
        assert_eq!(joined(&pages), Fact::Known(vec![(at(0), 1.0), (at(3_600), 2.0)]));
    }

    #[test]
    fn of_two_values_for_one_instant_the_last_one_stays_and_time_runs_forward() {
        let pages = [
            part(StatusCode::PartialData, &[(7_200, 3.0), (0, 1.0)]),
            part(StatusCode::Complete, &[(3_600, 2.0), (0, 9.0)]),
        ];
        assert_eq!(joined(&pages), Fact::Known(vec![(at(0), 9.0), (at(3_600), 2.0), (at(7_200), 3.0)]));
    }

    #[test]
    fn only_a_complete_answer_is_believed() {
        assert_eq!(joined(&[part(StatusCode::Complete, &[])]), Fact::Absent);
        assert!(joined(&[]).is_unknown());
        for status in [StatusCode::PartialData, StatusCode::InternalError, StatusCode::Forbidden, "New".into()] {
            assert!(joined(&[part(status.clone(), &[(0, 1.0)])]).is_unknown(), "{status:?}");
        }
        let refused_then_complete = [part(StatusCode::Forbidden, &[]), part(StatusCode::Complete, &[(0, 1.0)])];
        assert!(joined(&refused_then_complete).is_unknown());
        assert!(joined(&[part(StatusCode::Complete, &[(0, f64::NAN)])]).is_unknown());
    }

    #[test]
    fn a_value_without_its_time_makes_the_series_unknown() {
        let lopsided = MetricDataResult::builder().id("m0").status_code(StatusCode::Complete).values(1.0).build();
        assert!(joined(&[lopsided]).is_unknown());
    }
}
