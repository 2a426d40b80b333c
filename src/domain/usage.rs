//! Metrics of a resource, in the two stages in which they are read.
//!
//! Stage 1: daily figures of every candidate by age and state. Stage 2: hourly figures of the few that stage 1 left.
//! A day or hour without a datapoint is `None` inside the series, and a series that could not be read is unknown;
//! neither is ever a zero (seed contract X6).

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::fact::Fact;
use super::text::Str;

/// What was read for one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Full UTC days, oldest first, ending with yesterday.
    pub days: Vec<NaiveDate>,
    /// Average CPU of each day, percent 0–100.
    pub cpu_average: Fact<Vec<Option<f64>>>,
    /// Bytes received on each day.
    pub network_in: Fact<Vec<Option<f64>>>,
    /// Bytes sent on each day.
    pub network_out: Fact<Vec<Option<f64>>>,
    /// Stage 2, when it was read.
    pub hourly: Option<Hourly>,
}

/// Hourly figures over the same window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hourly {
    /// Highest CPU of any minute sample, percent 0–100.
    pub cpu_peak: Fact<f64>,
    /// Hours with at least one CPU sample.
    pub hours_seen: Fact<u32>,
    /// Hours in the window.
    pub hours_expected: u32,
    /// Disk operations over the window (EBS reads and writes); absent on instance types that do not report them.
    pub disk_operations: Fact<f64>,
}

/// One series of one metric: what [`Usage`] is put together from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricQuery {
    /// The resource's id, for example `i-0abc`.
    pub resource: Str,
    /// Which metric.
    pub metric: Metric,
    /// How the samples of a period are joined.
    pub statistic: Statistic,
    /// Period in seconds: 86,400 for days, 3,600 for hours.
    pub period_seconds: u32,
    /// First instant of the window, inclusive; on a period boundary in UTC.
    pub from: Instant,
    /// Last instant, exclusive.
    pub to: Instant,
}

/// The CloudWatch metrics that are read, all of namespace `AWS/EC2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// `CPUUtilization`, percent.
    Cpu,
    /// `NetworkIn`, bytes.
    NetworkIn,
    /// `NetworkOut`, bytes.
    NetworkOut,
    /// `EBSReadOps`, count.
    EbsReadOps,
    /// `EBSWriteOps`, count.
    EbsWriteOps,
}

/// CloudWatch statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// `Average`.
    Average,
    /// `Sum`.
    Sum,
    /// `Maximum`.
    Maximum,
    /// `SampleCount`.
    SampleCount,
}

/// The midnight at or before `now`, UTC: where windows of full days end.
pub fn last_midnight(now: Instant) -> Instant {
    now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The answer to one [`MetricQuery`]: datapoints by period start, sorted; periods without data are not listed.
pub type Series = Fact<Vec<(Instant, f64)>>;

impl Metric {
    /// CloudWatch's name.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cpu => "CPUUtilization",
            Metric::NetworkIn => "NetworkIn",
            Metric::NetworkOut => "NetworkOut",
            Metric::EbsReadOps => "EBSReadOps",
            Metric::EbsWriteOps => "EBSWriteOps",
        }
    }
}

impl Statistic {
    /// CloudWatch's name.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Average => "Average",
            Statistic::Sum => "Sum",
            Statistic::Maximum => "Maximum",
            Statistic::SampleCount => "SampleCount",
        }
    }
}

impl Usage {
    /// The last `count` days alone, or `None` if there are fewer. The hourly figures stay those of the whole window.
    pub fn last_days(&self, count: usize) -> Option<Cow<'_, Usage>> {
        let skip = self.days.len().checked_sub(count)?;
        if skip == 0 {
            return Some(Cow::Borrowed(self));
        }
        let tail =
            |series: &Fact<Vec<Option<f64>>>| series.clone().map(|days| days.get(skip..).unwrap_or(&[]).to_vec());
        Some(Cow::Owned(Usage {
            days: self.days[skip..].to_vec(),
            cpu_average: tail(&self.cpu_average),
            network_in: tail(&self.network_in),
            network_out: tail(&self.network_out),
            hourly: self.hourly.clone(),
        }))
    }

    /// Every day's value if all days are there; otherwise why not, in words.
    pub fn complete(&self, what: &str, series: &Fact<Vec<Option<f64>>>) -> Result<Vec<f64>, String> {
        let values = match series {
            Fact::Known(values) => values,
            Fact::Absent => return Err(format!("{what}: CloudWatch has no datapoint in the window")),
            Fact::Unknown(reason) => return Err(format!("{what}: {reason}")),
        };
        let missing: Vec<String> = self
            .days
            .iter()
            .enumerate()
            .filter(|(index, _)| values.get(*index).copied().flatten().is_none())
            .map(|(_, day)| day.to_string())
            .collect();
        if missing.is_empty() {
            Ok(values.iter().copied().flatten().collect())
        } else {
            Err(format!("{what}: no datapoint for {}", missing.join(", ")))
        }
    }
}
