//! Metrics of a resource, in the two stages in which they are read.
//!
//! Stage 1: daily figures of every candidate by age and state. Stage 2: hourly figures of the few that stage 1 left.
//! A day or hour without a datapoint is `None` inside the series, and a series that could not be read is unknown;
//! neither is ever a zero (seed contract X6).

use std::sync::Arc;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::Instant;
use super::fact::Fact;
use super::text::Str;

/// What was read for one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Full UTC days, oldest first, ending with yesterday; one list for all resources of a read.
    pub days: Arc<[NaiveDate]>,
    /// Average CPU of each day, percent 0–100.
    pub cpu_average: Fact<Daily>,
    /// Bytes received on each day.
    pub network_in: Fact<Daily>,
    /// Bytes sent on each day.
    pub network_out: Fact<Daily>,
    /// Stage 2, when it was read; few have it.
    pub hourly: Option<Box<Hourly>>,
}

/// One figure a day, or none. Held as plain numbers, half the size of options, because every running instance has three
/// of them in memory; written as numbers and nulls. What is not a finite number is no datapoint.
#[derive(Clone, Debug)]
pub struct Daily(Box<[f64]>);

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
    /// The mean of the last `count` days if every one of them has a datapoint; otherwise why not, in words. `count` is
    /// at least one, and no more than there are days.
    pub fn mean(&self, what: &str, series: &Fact<Daily>, count: usize) -> Result<f64, String> {
        let values = match series {
            Fact::Known(values) => values,
            Fact::Absent => return Err(format!("{what}: CloudWatch has no datapoint in the window")),
            Fact::Unknown(reason) => return Err(format!("{what}: {reason}")),
        };
        let days = self.days.get(self.days.len().saturating_sub(count)..).unwrap_or_default();
        let skipped = self.days.len() - days.len();
        let value = |index: usize| values.day(skipped + index);
        if (0..days.len()).all(|index| value(index).is_some()) {
            let sum: f64 = (0..days.len()).filter_map(value).sum();
            return Ok(sum / days.len() as f64);
        }
        let missing: Vec<String> = days
            .iter()
            .enumerate()
            .filter(|(index, _)| value(*index).is_none())
            .map(|(_, day)| day.to_string())
            .collect();
        Err(format!("{what}: no datapoint for {}", missing.join(", ")))
    }
}

impl Daily {
    /// So many days without a datapoint.
    pub fn empty(days: usize) -> Daily {
        Daily(vec![f64::NAN; days].into())
    }

    /// The figure of a day, by its index.
    pub fn day(&self, index: usize) -> Option<f64> {
        self.0.get(index).copied().filter(|value| value.is_finite())
    }

    /// Sets the figure of a day; days outside the window are left out.
    pub fn set(&mut self, index: usize, value: f64) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = value;
        }
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> {
        (0..self.0.len()).map(|index| self.day(index))
    }
}

impl FromIterator<Option<f64>> for Daily {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(days: I) -> Daily {
        Daily(days.into_iter().map(|day| day.unwrap_or(f64::NAN)).collect())
    }
}

impl PartialEq for Daily {
    fn eq(&self, other: &Daily) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Daily {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Daily {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Daily, D::Error> {
        Ok(Vec::<Option<f64>>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_without_a_datapoint_stays_one_in_memory_and_on_disk() {
        let days: Daily = [Some(0.0), None, Some(2.5), Some(f64::INFINITY)].into_iter().collect();
        assert_eq!(days.iter().collect::<Vec<_>>(), [Some(0.0), None, Some(2.5), None]);
        let text = serde_json::to_string(&days).unwrap();
        assert_eq!(text, "[0.0,null,2.5,null]");
        assert_eq!(serde_json::from_str::<Daily>(&text).unwrap(), days);
        assert_ne!(days, [Some(0.0), Some(0.0), Some(2.5), None].into_iter().collect());
    }

    #[test]
    fn a_mean_needs_every_day_of_its_own_window_and_no_other() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let usage = Usage {
            days: [day("2026-11-19"), day("2026-11-20"), day("2026-11-21")].into(),
            cpu_average: Fact::Known([None, Some(1.0), Some(2.0)].into_iter().collect()),
            network_in: Fact::Absent,
            network_out: Fact::unknown("throttled"),
            hourly: None,
        };
        assert_eq!(usage.mean("CPU", &usage.cpu_average, 2), Ok(1.5));
        assert_eq!(usage.mean("CPU", &usage.cpu_average, 3), Err("CPU: no datapoint for 2026-11-19".into()));
        assert!(usage.mean("in", &usage.network_in, 3).is_err());
        assert_eq!(usage.mean("out", &usage.network_out, 3), Err("out: throttled".into()));
    }
}
