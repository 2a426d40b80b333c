//! GetMetricData over CBOR: daily and hourly series, bulk, faults.

use chrono::{TimeDelta, Utc};
use costwarden::cloud::{CloudRead, ErrorKind, METRICS_PER_CALL};
use costwarden::domain::Instant;
use costwarden::domain::fact::Fact;
use costwarden::domain::money::Usd;
use costwarden::domain::usage::{Metric, MetricQuery, Statistic, last_midnight};

use crate::support::moto::{Fault, Moto, place};

const DAY: u32 = 86_400;

fn query(resource: &str, metric: Metric, statistic: Statistic, from: Instant, to: Instant) -> MetricQuery {
    MetricQuery { resource: resource.into(), metric, statistic, period_seconds: DAY, from, to }
}

#[tokio::test]
async fn daily_series_come_back_sorted_in_the_order_asked_and_a_gap_stays_a_gap() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, "eu-north-1");
    let to = last_midnight(Utc::now());
    let from = to - TimeDelta::days(7);
    let at = |day: i64, hour: i64| from + TimeDelta::days(day) + TimeDelta::hours(hour);
    // Day 3 has no sample at all.
    let cpu: Vec<(Instant, f64)> =
        (0..7).filter(|day| *day != 3).flat_map(|day| [(at(day, 1), 2.0), (at(day, 13), 4.0)]).collect();
    moto.put_metrics(&here, "i-0aaa", "CPUUtilization", &cpu).await;
    let bytes: Vec<(Instant, f64)> = (0..7).map(|day| (at(day, 2), 1_500.0)).collect();
    moto.put_metrics(&here, "i-0aaa", "NetworkIn", &bytes).await;
    let reader = moto.reader(&[&account]).await;

    let series = reader
        .metrics(
            &here,
            &[
                query("i-0aaa", Metric::NetworkIn, Statistic::Sum, from, to),
                query("i-0bbb", Metric::Cpu, Statistic::Average, from, to),
                query("i-0aaa", Metric::Cpu, Statistic::Average, from, to),
                query("i-0aaa", Metric::Cpu, Statistic::Maximum, from, to),
                query("i-0aaa", Metric::Cpu, Statistic::SampleCount, from, to),
            ],
        )
        .await
        .expect("an answer");

    let days = |value: f64, missing: Option<i64>| {
        Fact::Known((0..7).filter(|day| Some(*day) != missing).map(|day| (at(day, 0), value)).collect::<Vec<_>>())
    };
    assert_eq!(series[0], days(1_500.0, None));
    assert_eq!(series[1], Fact::Absent, "an instance without datapoints is absent, not zero");
    assert_eq!(series[2], days(3.0, Some(3)), "the mean of 2 and 4, and no value for the day without samples");
    assert_eq!(series[3], days(4.0, Some(3)));
    assert_eq!(series[4], days(2.0, Some(3)));
    assert_eq!(moto.seen(&account, "GetMetricData").len(), 1, "five series, one request");
}

#[tokio::test]
async fn five_hundred_series_are_one_request_and_one_more_is_refused() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, "eu-north-1");
    let to = last_midnight(Utc::now());
    let from = to - TimeDelta::days(7);
    let reader = moto.reader(&[&account]).await;
    let mut queries: Vec<MetricQuery> = (0..METRICS_PER_CALL)
        .map(|number| query(&format!("i-{number:04}"), Metric::Cpu, Statistic::Average, from, to))
        .collect();
    let series = reader.metrics(&here, &queries).await.expect("an answer");
    assert_eq!(series.len(), METRICS_PER_CALL);
    assert!(series.iter().all(|series| *series == Fact::Absent));
    let seen = moto.seen(&account, "GetMetricData");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].parameters["queries"], 500);
    let counted = reader.requests();
    assert_eq!((counted[0].count, counted[0].usd), (1, Some(Usd(5_000))), "half a cent for 500 metrics");

    queries.push(query("i-more", Metric::Cpu, Statistic::Average, from, to));
    assert_eq!(reader.metrics(&here, &queries).await.expect_err("too many").kind, ErrorKind::Rejected);
    assert_eq!(moto.seen(&account, "GetMetricData").len(), 1, "nothing more was sent");
}

#[tokio::test]
async fn a_failed_metrics_read_is_an_error_over_cbor_too() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, "eu-north-1");
    let to = last_midnight(Utc::now());
    let queries = [query("i-0aaa", Metric::Cpu, Statistic::Average, to - TimeDelta::days(7), to)];
    let reader = moto.reader(&[&account]).await;
    for (fault, expected) in [
        (Fault::error("GetMetricData", 400, "ThrottlingException"), ErrorKind::Throttled),
        (Fault::error("GetMetricData", 403, "AccessDeniedException"), ErrorKind::Denied),
        (Fault::error("GetMetricData", 400, "InvalidParameterValueException"), ErrorKind::Rejected),
        (Fault::html503("GetMetricData"), ErrorKind::Uncertain),
        (Fault::cut("GetMetricData"), ErrorKind::Uncertain),
        (Fault::cut_whole("GetMetricData"), ErrorKind::Uncertain),
    ] {
        moto.fault(fault.clone().times(3).of_account(&account));
        let error = reader.metrics(&here, &queries).await.expect_err("a fault is no answer");
        assert_eq!(error.kind, expected, "{fault:?}: {error}");
        moto.forget_faults(&account);
    }
    assert_eq!(reader.metrics(&here, &queries).await.expect("an answer"), [Fact::Absent]);
}
