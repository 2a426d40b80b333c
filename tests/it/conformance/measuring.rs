//! Metrics: figures by period, and nothing where nothing was measured.

use chrono::{NaiveDate, TimeDelta};
use costwarden::cloud::{ErrorKind, METRICS_PER_CALL};
use costwarden::domain::fact::Fact;
use costwarden::domain::usage::last_midnight;
use costwarden::domain::usage::{Metric, MetricQuery, Statistic};

use super::Stage;

/// Daily figures of the last four full days.
fn by_day(stage: &dyn Stage, resource: &str, metric: Metric, statistic: Statistic) -> MetricQuery {
    let to = last_midnight(stage.now());
    let from = to - TimeDelta::days(4);
    MetricQuery { resource: resource.into(), metric, statistic, period_seconds: 86_400, from, to }
}

/// So many days before today.
fn day(stage: &dyn Stage, ago: i64) -> NaiveDate {
    (last_midnight(stage.now()) - TimeDelta::days(ago)).date_naive()
}

/// The answer as days and figures rounded to thousandths.
fn figures(series: &Fact<Vec<(costwarden::domain::Instant, f64)>>) -> Vec<(NaiveDate, i64)> {
    let points = series.known().unwrap_or_else(|| panic!("figures expected: {series:?}"));
    points.iter().map(|(start, value)| (start.date_naive(), (value * 1_000.0).round() as i64)).collect()
}

pub async fn figures_come_by_day(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let other = stage.make_instance(&place, "t3.micro", &[]).await;
    let cpu: Vec<(NaiveDate, f64)> = (1..=4).map(|ago| (day(stage, ago), ago as f64 + 0.5)).collect();
    let bytes: Vec<(NaiveDate, f64)> = (1..=4).map(|ago| (day(stage, ago), ago as f64 * 1_000.0)).collect();
    stage.measure(&instance, Metric::Cpu, &cpu).await;
    stage.measure(&instance, Metric::NetworkIn, &bytes).await;
    stage.measure(&other, Metric::Cpu, &[(day(stage, 1), 77.0)]).await;

    let queries = [
        by_day(stage, &instance.id, Metric::NetworkIn, Statistic::Sum),
        by_day(stage, &instance.id, Metric::Cpu, Statistic::Average),
    ];
    let answers = stage.read().metrics(&place, &queries).await.unwrap();
    assert_eq!(answers.len(), 2);
    let expected = |factor: f64, plus: f64| -> Vec<(NaiveDate, i64)> {
        (1..=4).rev().map(|ago| (day(stage, ago), ((ago as f64 * factor + plus) * 1_000.0).round() as i64)).collect()
    };
    assert_eq!(figures(&answers[0]), expected(1_000.0, 0.0), "in the order asked, oldest day first");
    assert_eq!(figures(&answers[1]), expected(1.0, 0.5));
}

pub async fn a_missing_day_is_missing(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.measure(&instance, Metric::Cpu, &[(day(stage, 3), 2.0), (day(stage, 1), 4.0)]).await;
    let query = by_day(stage, &instance.id, Metric::Cpu, Statistic::Average);
    let answers = stage.read().metrics(&place, &[query]).await.unwrap();
    assert_eq!(figures(&answers[0]), [(day(stage, 3), 2_000), (day(stage, 1), 4_000)], "no zero in between");
}

pub async fn what_was_never_measured_is_absent(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.measure(&instance, Metric::Cpu, &[(day(stage, 2), 2.0)]).await;
    let queries = [
        by_day(stage, "i-0123456789abcdef0", Metric::Cpu, Statistic::Average),
        by_day(stage, &instance.id, Metric::EbsReadOps, Statistic::Sum),
        by_day(stage, &instance.id, Metric::Cpu, Statistic::Average),
    ];
    let answers = stage.read().metrics(&place, &queries).await.unwrap();
    assert_eq!((&answers[0], &answers[1]), (&Fact::Absent, &Fact::Absent));
    assert_eq!(figures(&answers[2]), [(day(stage, 2), 2_000)]);
}

pub async fn five_hundred_series_are_answered_in_order_and_one_more_is_refused(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.measure(&instance, Metric::Cpu, &[(day(stage, 1), 9.0)]).await;
    let unknown =
        |number: usize| by_day(stage, &format!("i-0123456789abc{number:04}"), Metric::Cpu, Statistic::Average);
    let mut queries: Vec<MetricQuery> = (0..METRICS_PER_CALL).map(unknown).collect();
    queries[321] = by_day(stage, &instance.id, Metric::Cpu, Statistic::Average);
    let answers = stage.read().metrics(&place, &queries).await.unwrap();
    assert_eq!(answers.len(), METRICS_PER_CALL);
    let known: Vec<usize> = (0..METRICS_PER_CALL).filter(|index| answers[*index].known().is_some()).collect();
    assert_eq!(known, [321]);

    queries.push(unknown(METRICS_PER_CALL));
    let error = stage.read().metrics(&place, &queries).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
}
