//! Running instances that do nothing (X6).
//!
//! Seven full UTC days must all have a CPU and a network datapoint: a missing day is unknown, never a zero, and an
//! instance launched inside the window is unknown too. Acts only if the hourly CPU peak stays under a second limit,
//! because a weekly batch box is idle on average and busy at its peak. Stopped instances are not spoken of.

use chrono::TimeDelta;

use super::Judge;
use crate::domain::check::{
    CheckInfo, Confidence, Evidence, ParamInfo, Params, Savings, Standing, Subject, UsedBy, Verdict, Violation,
};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::resource::{Instance, InstanceState};
use crate::domain::usage::Usage;

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "idle-instance",
    title: "Instance runs and does nothing",
    why: "A running instance is billed by the second whether it works or not; stopped, only its volumes are billed.",
    kinds: &[Kind::Instance],
    used_by: UsedBy::Waste,
    severity: Severity::Medium,
    action: Action::Stop,
    params: &[
        ParamInfo {
            name: "days",
            unit: "days",
            default: 7.0,
            min: 1.0,
            max: 62.0,
            whole: true,
            doc: "Full UTC days looked at; all must have data (seed document: 7)",
        },
        ParamInfo {
            name: "cpu_percent",
            unit: "percent",
            default: 5.0,
            min: 0.0,
            max: 100.0,
            whole: false,
            doc: "Idle when the CPU average is below this (seed and Compute Optimizer: 5)",
        },
        ParamInfo {
            name: "network_bytes_per_day",
            unit: "bytes a day",
            default: 1_000_000.0,
            min: 0.0,
            max: 1e12,
            whole: true,
            doc: "Idle when network in + out a day is below this on average (seed: 1,000,000)",
        },
        ParamInfo {
            name: "act_peak_percent",
            unit: "percent",
            default: 20.0,
            min: 0.0,
            max: 100.0,
            whole: false,
            doc: "Acted on only if no hour's CPU peak reached this",
        },
    ],
    reads: "CloudWatch CPUUtilization (daily average), NetworkIn and NetworkOut (daily sums); for candidates \
            CPUUtilization (hourly maximum and sample count), EBSReadOps and EBSWriteOps",
    needs_usage: true,
};

/// Share of the window's hours that must have a sample before an act (checks.md, rule a.2).
const HOURLY_COVERAGE: f64 = 0.9;

struct IdleInstance {
    days: i64,
    cpu_percent: f64,
    network_bytes: f64,
    act_peak_percent: f64,
}

/// The judge for a rule's parameters.
pub fn build(params: &Params) -> Box<dyn Judge> {
    Box::new(IdleInstance {
        days: params.whole("days"),
        cpu_percent: params.number("cpu_percent"),
        network_bytes: params.number("network_bytes_per_day"),
        act_peak_percent: params.number("act_peak_percent"),
    })
}

impl Judge for IdleInstance {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(instance) = subject.resource.instance() else {
            return Verdict::NotApplicable;
        };
        match &instance.state {
            InstanceState::Running => {}
            InstanceState::Other(word) => return Verdict::Unknown(format!("instance state {word:?} is not known")),
            _ => return Verdict::NotApplicable,
        }
        let window_start = crate::domain::usage::last_midnight(subject.now) - TimeDelta::days(self.days);
        match subject.resource.created_at.known() {
            Some(launched) if *launched <= window_start => {}
            Some(launched) => {
                return Verdict::Unknown(format!(
                    "launched {}, less than {} full days ago",
                    launched.format("%Y-%m-%d %H:%M UTC"),
                    self.days
                ));
            }
            None => return Verdict::Unknown("launch time is not known".into()),
        }
        let Some(usage) = subject.usage else {
            return Verdict::Unknown("metrics were not read".into());
        };
        let days = self.days as usize;
        if usage.days.len() < days {
            return Verdict::Unknown(format!("metrics cover {} days, {days} are needed", usage.days.len()));
        }
        let cpu = usage.mean("CPU", &usage.cpu_average, days);
        if matches!(&cpu, Ok(cpu) if *cpu >= self.cpu_percent) {
            // One busy figure decides, whatever the other one is.
            return Verdict::Compliant;
        }
        let cpu = if planted!("missing-metrics-are-zero") { cpu.or(Ok(0.0)) } else { cpu };
        let network = network_per_day(usage, days);
        let network = if planted!("missing-metrics-are-zero") { network.or(Ok(0.0)) } else { network };
        if matches!(&network, Ok(bytes) if *bytes >= self.network_bytes) {
            return Verdict::Compliant;
        }
        match (cpu, network) {
            (Ok(cpu), Ok(bytes)) => self.idle(subject, instance, usage, cpu, bytes),
            (Err(reason), _) | (_, Err(reason)) => Verdict::Unknown(reason),
        }
    }

    fn usage_days(&self) -> Option<u32> {
        u32::try_from(self.days).ok()
    }
}

impl IdleInstance {
    fn idle(&self, subject: &Subject<'_>, instance: &Instance, usage: &Usage, cpu: f64, bytes: f64) -> Verdict {
        let at = subject.now;
        let figure = |name: &str, value: String, unit: &str, source: &str| Evidence {
            name: name.into(),
            value,
            unit: unit.into(),
            source: source.into(),
            at,
        };
        let mut evidence = vec![
            figure("cpu average", format!("{cpu:.1}"), "percent", "CloudWatch CPUUtilization, daily average"),
            figure("network in + out", format!("{bytes:.0}"), "bytes a day", "CloudWatch NetworkIn, NetworkOut"),
        ];
        if let Some(hourly) = &usage.hourly {
            if let Some(peak) = hourly.cpu_peak.known() {
                evidence.push(figure("cpu peak", format!("{peak:.1}"), "percent", "CloudWatch CPUUtilization, hourly"));
            }
            if let Some(operations) = hourly.disk_operations.known() {
                let source = "CloudWatch EBSReadOps, EBSWriteOps";
                evidence.push(figure("disk operations", format!("{operations:.0}"), "in the window", source));
            }
        }
        Verdict::Violated(Box::new(Violation {
            message: format!(
                "Idle for {} full days: CPU {cpu:.1} % on average, network {:.0} KB a day",
                self.days,
                bytes / 1_000.0
            ),
            evidence,
            savings: savings(subject, instance),
            standing: self.standing(usage),
            act_not_before: None,
            add_tags: Vec::new(),
            to_type: None,
        }))
    }

    fn standing(&self, usage: &Usage) -> Standing {
        let Some(hourly) = &usage.hourly else {
            return Standing::ReportedOnly("the hourly CPU peak was not read".into());
        };
        let (Some(peak), Some(seen)) = (hourly.cpu_peak.known(), hourly.hours_seen.known()) else {
            let reason = hourly.cpu_peak.unknown_reason().or(hourly.hours_seen.unknown_reason());
            return Standing::ReportedOnly(format!(
                "the hourly CPU peak could not be read: {}",
                reason.unwrap_or("no datapoint in the window")
            ));
        };
        if f64::from(*seen) < HOURLY_COVERAGE * f64::from(hourly.hours_expected) {
            return Standing::ReportedOnly(format!(
                "only {seen} of {} hours have a CPU sample; {:.0} % are needed to act",
                hourly.hours_expected,
                HOURLY_COVERAGE * 100.0
            ));
        }
        // Written so that a NaN peak refuses as well.
        if *peak < self.act_peak_percent {
            Standing::Proven
        } else {
            Standing::ReportedOnly(format!(
                "CPU peaked at {peak:.1} % in one hour; acts only below {:.0} %",
                self.act_peak_percent
            ))
        }
    }
}

fn network_per_day(usage: &Usage, days: usize) -> Result<f64, String> {
    let received = usage.mean("network in", &usage.network_in, days)?;
    let sent = usage.mean("network out", &usage.network_out, days)?;
    Ok(received + sent)
}

fn savings(subject: &Subject<'_>, instance: &Instance) -> Savings {
    match instance.platform.known() {
        Some(platform) if &**platform == "Linux/UNIX" => {}
        Some(platform) => return Savings::unknown(&format!("no list price for platform {platform}")),
        None => return Savings::unknown("platform is not known"),
    }
    match subject.prices.instance_month(&instance.instance_type, subject.resource.key.region()) {
        Some(priced) => Savings {
            monthly: Some(priced.monthly),
            basis: "on-demand list, 730 h; volumes stay billed; before commitments".into(),
            confidence: if priced.estimate { Confidence::Low } else { Confidence::Medium },
        },
        None => Savings::unknown(&format!("no list price for {}", instance.instance_type)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::fact::Fact;
    use crate::domain::money::Usd;

    fn judge(usage: Option<&Usage>, resource: &crate::domain::resource::Resource) -> Verdict {
        let bench = Bench::new();
        build(&Params::resolve(&INFO, &Default::default())).judge(&bench.subject(resource, usage, None))
    }

    fn idle_usage(cpu: f64, network: f64, peak: f64) -> Usage {
        usage(&[Some(cpu); 7], &[Some(network); 7], Some(quiet(peak)))
    }

    #[test]
    fn x6_an_idle_instance_is_told_with_cpu_to_one_decimal_and_kilobytes_to_none() {
        let found = judge(Some(&idle_usage(1.24, 34_400.0, 3.0)), &instance("i-1", "m5.large", 30));
        let Verdict::Violated(violation) = found else { panic!("{found:?}") };
        assert_eq!(violation.message, "Idle for 7 full days: CPU 1.2 % on average, network 34 KB a day");
        assert_eq!(violation.standing, Standing::Proven);
        assert_eq!(violation.savings.monthly, Some(Usd::parse("70.08").unwrap()), "0.096 × 730 h");
    }

    #[test]
    fn x6_the_thresholds_themselves_are_not_idle() {
        let resource = instance("i-1", "m5.large", 30);
        assert_eq!(judge(Some(&idle_usage(5.0, 0.0, 1.0)), &resource), Verdict::Compliant);
        assert_eq!(judge(Some(&idle_usage(0.0, 1_000_000.0, 1.0)), &resource), Verdict::Compliant);
        assert!(matches!(judge(Some(&idle_usage(4.99, 999_999.0, 1.0)), &resource), Verdict::Violated(_)));
    }

    #[test]
    fn x6_a_missing_metric_is_unknown_and_never_zero() {
        let resource = instance("i-1", "m5.large", 30);
        let mut days = [Some(0.0); 7];
        days[3] = None;
        let gap = usage(&days, &[Some(0.0); 7], Some(quiet(1.0)));
        assert_eq!(judge(Some(&gap), &resource), Verdict::Unknown("CPU: no datapoint for 2026-11-18".into()));
        assert!(matches!(judge(None, &resource), Verdict::Unknown(_)));
        let mut unread = idle_usage(0.0, 0.0, 1.0);
        unread.network_in = Fact::unknown("throttled");
        assert_eq!(judge(Some(&unread), &resource), Verdict::Unknown("network in: throttled".into()));
        unread.cpu_average = Fact::Known([Some(50.0); 7].into_iter().collect());
        assert_eq!(judge(Some(&unread), &resource), Verdict::Compliant, "a busy CPU decides alone");
    }

    #[test]
    fn x6_a_young_instance_is_unknown_and_a_stopped_one_is_not_spoken_of() {
        let idle = idle_usage(0.0, 0.0, 1.0);
        assert!(matches!(judge(Some(&idle), &instance("i-1", "m5.large", 7)), Verdict::Unknown(_)), "02:00 on day 7");
        assert!(matches!(judge(Some(&idle), &instance("i-1", "m5.large", 8)), Verdict::Violated(_)));
        let stopped = with_state(instance("i-1", "m5.large", 30), InstanceState::Stopped);
        assert_eq!(judge(Some(&idle), &stopped), Verdict::NotApplicable);
        let odd = with_state(instance("i-1", "m5.large", 30), InstanceState::Other("hibernating".into()));
        assert!(matches!(judge(Some(&idle), &odd), Verdict::Unknown(_)));
    }

    #[test]
    fn a_high_or_unread_peak_reports_and_never_acts() {
        let resource = instance("i-1", "m5.large", 30);
        let standing = |hourly| match judge(Some(&usage(&[Some(1.0); 7], &[Some(1.0); 7], hourly)), &resource) {
            Verdict::Violated(violation) => violation.standing,
            other => panic!("{other:?}"),
        };
        assert_eq!(standing(Some(quiet(19.9))), Standing::Proven);
        assert!(matches!(standing(Some(quiet(20.0))), Standing::ReportedOnly(_)));
        assert!(matches!(standing(Some(quiet(f64::NAN))), Standing::ReportedOnly(_)));
        assert!(matches!(standing(None), Standing::ReportedOnly(_)));
        let mut sparse = quiet(1.0);
        sparse.hours_seen = Fact::Known(151);
        assert!(matches!(standing(Some(sparse.clone())), Standing::ReportedOnly(_)), "151 of 168 is under 90 %");
        sparse.hours_seen = Fact::Known(152);
        assert_eq!(standing(Some(sparse)), Standing::Proven);
    }

    #[test]
    fn a_type_without_a_price_has_an_unknown_saving() {
        let found = judge(Some(&idle_usage(0.0, 0.0, 1.0)), &instance("i-1", "m99.large", 30));
        let Verdict::Violated(violation) = found else { panic!("{found:?}") };
        assert_eq!(violation.savings.monthly, None);
    }
}
