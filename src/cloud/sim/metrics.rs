//! Metrics of simulated instances: shapes evaluated hour by hour for any query, the same on every run.
//!
//! A shape gives an hour's average and its highest sample; a period's figure is joined from its hours as CloudWatch
//! joins samples. Samples come every five minutes while the instance runs (basic monitoring), so a stopped instance
//! has no datapoints at all, and a gap in the world has none either. Small noise comes from a hash, never from chance.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, TimeDelta, Timelike, Weekday};

use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::usage::{Metric, MetricQuery, Series, Statistic};

use super::hash;

/// Seconds between two samples of basic monitoring.
const SAMPLE_SECONDS: i64 = 300;
const HOUR: i64 = 3_600;

/// How an instance is used: one shape per metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Percent 0–100.
    pub cpu: Option<Shape>,
    /// Bytes a day.
    pub network_in: Option<Shape>,
    /// Bytes a day.
    pub network_out: Option<Shape>,
    /// EBS operations a day; half are reads, half are writes.
    pub disk_operations: Option<Shape>,
    /// Spans whose samples never arrived at CloudWatch.
    pub missing: Vec<Span>,
    /// Spans in which a reader gets no usable answer for these series, whatever window it asks for.
    pub unreadable: Vec<Span>,
}

/// One metric over time. CPU is a level in percent; the others are amounts a day, spread over it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// The level where nothing else is said.
    pub base: f64,
    /// Noise around the level, as a share of it: 0.1 is ± 10 %.
    pub noise: f64,
    /// Hours of the day with another level.
    pub busy: Vec<Busy>,
    /// Single samples that stand out.
    pub peaks: Vec<Peak>,
    /// Days with a level of their own; `None` is a day without datapoints.
    pub days: BTreeMap<NaiveDate, Option<f64>>,
}

/// Hours with another level.
#[derive(Clone, Debug, PartialEq)]
pub struct Busy {
    /// First hour of the day, UTC, 0–23.
    pub from_hour: u32,
    /// First hour after it, 1–24.
    pub until_hour: u32,
    /// Days of the week; every day when empty.
    pub weekdays: Vec<Weekday>,
    /// The level.
    pub level: f64,
}

/// One sample that stands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Its instant.
    pub at: Instant,
    /// Its height.
    pub level: f64,
}

/// A span of time; an end that is `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First instant, inclusive.
    pub from: Option<Instant>,
    /// Last instant, exclusive.
    pub until: Option<Instant>,
}

impl Span {
    /// True inside.
    pub fn holds(&self, at: Instant) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

impl Shape {
    /// Always the same level, with the noise that real metrics have.
    pub fn steady(level: f64) -> Shape {
        Shape { base: level, noise: 0.1, ..Shape::default() }
    }

    /// Always exactly the same level.
    pub fn constant(level: f64) -> Shape {
        Shape { base: level, ..Shape::default() }
    }

    /// The level during one hour, without noise.
    fn level(&self, hour: Instant) -> Option<f64> {
        if let Some(day) = self.days.get(&hour.date_naive()) {
            return *day;
        }
        let busy = self.busy.iter().find(|busy| {
            (busy.from_hour..busy.until_hour).contains(&hour.hour())
                && (busy.weekdays.is_empty() || busy.weekdays.contains(&hour.weekday()))
        });
        Some(busy.map_or(self.base, |busy| busy.level))
    }
}

impl Usage {
    /// CPU in percent and network bytes a day in each direction, all exactly constant.
    pub fn constant(cpu: f64, network_in: f64, network_out: f64) -> Usage {
        Usage {
            cpu: Some(Shape::constant(cpu)),
            network_in: Some(Shape::constant(network_in)),
            network_out: Some(Shape::constant(network_out)),
            disk_operations: Some(Shape::constant(2_000.0)),
            ..Usage::default()
        }
    }

    fn shape(&self, metric: Metric) -> Option<&Shape> {
        match metric {
            Metric::Cpu => self.cpu.as_ref(),
            Metric::NetworkIn => self.network_in.as_ref(),
            Metric::NetworkOut => self.network_out.as_ref(),
            Metric::EbsReadOps | Metric::EbsWriteOps => self.disk_operations.as_ref(),
        }
    }
}

/// What an instance did over time: which usage held from when, and when it ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Usage from an instant on, in order; nothing before the first.
    pub usage: Vec<(Instant, Usage)>,
    /// When it ran; an open end is "still".
    pub runs: Vec<(Instant, Option<Instant>)>,
}

impl Activity {
    fn usage_at(&self, at: Instant) -> Option<&Usage> {
        self.usage.iter().rev().find(|(from, _)| *from <= at).map(|(_, usage)| usage)
    }

    fn ran_at(&self, at: Instant) -> bool {
        self.runs.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at < until))
    }

    /// True when it ran through `[from, from + 1 h)` without a break.
    fn ran_all_hour(&self, from: Instant) -> bool {
        let end = from + TimeDelta::seconds(HOUR);
        self.runs.iter().any(|(start, until)| *start <= from && until.is_none_or(|until| end <= until))
    }
}

/// The figures of one hour, or of the part of it that a shorter period asks for.
struct Hour {
    samples: i64,
    average: f64,
    highest: f64,
}

/// Answers one query at `now`. No datapoint in the whole window is [`Fact::Absent`], as an empty answer of CloudWatch is.
pub(super) fn answer(activity: &Activity, query: &MetricQuery, now: Instant, seed: u64) -> Series {
    if activity.usage_at(now).is_some_and(|usage| usage.unreadable.iter().any(|span| span.holds(now))) {
        return Fact::unknown("CloudWatch answered InternalError for this series");
    }
    let period = i64::from(query.period_seconds.max(1));
    let mut points = Vec::new();
    let mut start = query.from;
    while start < query.to {
        let end = (start + TimeDelta::seconds(period)).min(query.to);
        if let Some(value) = point(activity, query, start, end, now, seed) {
            points.push((start, value));
        }
        start += TimeDelta::seconds(period);
    }
    if points.is_empty() { Fact::Absent } else { Fact::Known(points) }
}

fn point(
    activity: &Activity,
    query: &MetricQuery,
    start: Instant,
    end: Instant,
    now: Instant,
    seed: u64,
) -> Option<f64> {
    let (mut samples, mut total, mut highest) = (0_i64, 0.0_f64, f64::MIN);
    let mut at = start;
    while at < end {
        let next = (at + TimeDelta::seconds(HOUR)).min(end);
        if let Some(hour) = hour(activity, query, at, next, now, seed) {
            samples += hour.samples;
            total += hour.average * hour.samples as f64;
            highest = highest.max(hour.highest);
        }
        at = next;
    }
    (samples > 0).then(|| match query.statistic {
        Statistic::Average => total / samples as f64,
        Statistic::Sum => total,
        Statistic::Maximum => highest,
        Statistic::SampleCount => samples as f64,
    })
}

fn hour(
    activity: &Activity,
    query: &MetricQuery,
    from: Instant,
    until: Instant,
    now: Instant,
    seed: u64,
) -> Option<Hour> {
    let usage = activity.usage_at(from).or_else(|| activity.usage_at(until - TimeDelta::seconds(1)))?;
    let shape = usage.shape(query.metric)?;
    let level = shape.level(from)?;
    let slots = (until - from).num_seconds() / SAMPLE_SECONDS;
    let whole = usage.missing.is_empty() && until <= now && activity.ran_all_hour(from);
    let samples = if whole {
        slots
    } else {
        let present = |slot: &i64| {
            let at = from + TimeDelta::seconds(slot * SAMPLE_SECONDS);
            at + TimeDelta::seconds(SAMPLE_SECONDS) <= now
                && activity.ran_at(at)
                && !usage.missing.iter().any(|span| span.holds(at))
        };
        (0..slots).filter(present).count() as i64
    };
    if samples == 0 {
        return None;
    }
    let roll = hash::unit(seed, &query.resource, query.metric.name(), from.timestamp());
    let level = (level * (1.0 + shape.noise * (2.0 * roll - 1.0))).max(0.0);
    let peak = shape.peaks.iter().find(|peak| from <= peak.at && peak.at < until).map(|peak| peak.level);
    Some(match query.metric {
        Metric::Cpu => {
            let usual_highest = level * (1.0 + 4.0 * shape.noise);
            let raised = peak.map_or(level, |peak| level + (peak - level).max(0.0) / samples as f64);
            Hour {
                samples,
                average: raised.min(100.0),
                highest: peak.unwrap_or(usual_highest).max(usual_highest).min(100.0),
            }
        }
        Metric::NetworkIn | Metric::NetworkOut | Metric::EbsReadOps | Metric::EbsWriteOps => {
            let half = matches!(query.metric, Metric::EbsReadOps | Metric::EbsWriteOps);
            let share = if half { 0.5 } else { 1.0 };
            let average = level * share * SAMPLE_SECONDS as f64 / 86_400.0;
            Hour { samples, average, highest: peak.unwrap_or(average).max(average) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::Str;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn running(usage: Usage) -> Activity {
        let launched = at("2026-08-01T00:00:00Z");
        Activity { usage: vec![(launched, usage)], runs: vec![(launched, None)] }
    }

    fn query(metric: Metric, statistic: Statistic, period_seconds: u32, from: &str, to: &str) -> MetricQuery {
        MetricQuery { resource: Str::from("i-0a"), metric, statistic, period_seconds, from: at(from), to: at(to) }
    }

    fn ask(activity: &Activity, query: &MetricQuery) -> Series {
        answer(activity, query, at("2026-09-10T02:00:00Z"), 7)
    }

    #[test]
    fn a_constant_shape_gives_exactly_its_level_and_its_amount_a_day() {
        let activity = running(Usage::constant(3.0, 400_000.0, 100_000.0));
        let days = |metric, statistic| {
            ask(&activity, &query(metric, statistic, 86_400, "2026-09-07T00:00:00Z", "2026-09-10T00:00:00Z"))
        };
        let cpu = days(Metric::Cpu, Statistic::Average);
        let cpu = cpu.known().unwrap();
        assert_eq!(cpu.len(), 3);
        assert_eq!(cpu[2].0, at("2026-09-09T00:00:00Z"));
        assert!(cpu.iter().all(|(_, value)| (value - 3.0).abs() < 1e-9), "{cpu:?}");
        let bytes = days(Metric::NetworkIn, Statistic::Sum);
        assert!(bytes.known().unwrap().iter().all(|(_, value)| (value - 400_000.0).abs() < 1e-3), "{bytes:?}");
        let samples = days(Metric::Cpu, Statistic::SampleCount);
        assert_eq!(samples.known().unwrap()[0].1, 288.0);
    }

    #[test]
    fn a_peak_shows_in_the_maximum_and_hardly_in_the_average() {
        let mut usage = Usage::constant(2.0, 0.0, 0.0);
        usage.cpu.as_mut().unwrap().peaks.push(Peak { at: at("2026-09-08T14:10:00Z"), level: 90.0 });
        let activity = running(usage);
        let hours = query(Metric::Cpu, Statistic::Maximum, 3_600, "2026-09-08T00:00:00Z", "2026-09-09T00:00:00Z");
        let highest: Vec<f64> = ask(&activity, &hours).known().unwrap().iter().map(|(_, value)| *value).collect();
        assert_eq!((highest[13], highest[14], highest[15]), (2.0, 90.0, 2.0));
        let day = MetricQuery { statistic: Statistic::Average, period_seconds: 86_400, ..hours };
        let average = ask(&activity, &day).known().unwrap()[0].1;
        assert!((average - (2.0 + 88.0 / 288.0)).abs() < 1e-9, "{average}");
    }

    #[test]
    fn a_missing_day_has_no_datapoint_and_a_stopped_instance_has_none_at_all() {
        let mut usage = Usage::constant(2.0, 0.0, 0.0);
        usage.cpu.as_mut().unwrap().days.insert("2026-09-08".parse().unwrap(), None);
        let days = query(Metric::Cpu, Statistic::Average, 86_400, "2026-09-07T00:00:00Z", "2026-09-10T00:00:00Z");
        let mut activity = running(usage);
        let starts: Vec<Instant> = ask(&activity, &days).known().unwrap().iter().map(|(start, _)| *start).collect();
        assert_eq!(starts, [at("2026-09-07T00:00:00Z"), at("2026-09-09T00:00:00Z")]);

        activity.runs[0].1 = Some(at("2026-09-06T12:00:00Z"));
        assert_eq!(ask(&activity, &days), Fact::Absent);
        assert_eq!(ask(&Activity::default(), &days), Fact::Absent);
    }

    #[test]
    fn a_part_of_a_day_counts_its_own_samples_only() {
        let mut activity = running(Usage::constant(2.0, 86_400.0, 0.0));
        activity.runs[0] = (at("2026-09-08T18:00:00Z"), None);
        let day = query(Metric::NetworkIn, Statistic::Sum, 86_400, "2026-09-08T00:00:00Z", "2026-09-09T00:00:00Z");
        assert_eq!(ask(&activity, &day).known().unwrap()[0].1.round(), 21_600.0);
        let samples = MetricQuery { statistic: Statistic::SampleCount, ..day };
        assert_eq!(ask(&activity, &samples).known().unwrap()[0].1, 72.0);
    }

    #[test]
    fn unreadable_is_about_when_one_reads_and_missing_about_the_data() {
        let mut usage = Usage::constant(2.0, 0.0, 0.0);
        usage.unreadable.push(Span { from: Some(at("2026-09-10T00:00:00Z")), until: Some(at("2026-09-11T00:00:00Z")) });
        usage.missing.push(Span { from: None, until: Some(at("2026-09-07T12:00:00Z")) });
        let activity = running(usage);
        let days = query(Metric::Cpu, Statistic::SampleCount, 86_400, "2026-09-07T00:00:00Z", "2026-09-08T00:00:00Z");
        assert!(answer(&activity, &days, at("2026-09-10T02:00:00Z"), 7).is_unknown());
        let later = answer(&activity, &days, at("2026-09-11T02:00:00Z"), 7);
        assert_eq!(later.known().unwrap()[0].1, 144.0);
    }
}
