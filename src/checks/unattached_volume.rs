//! Volumes that no instance uses (X7).
//!
//! EC2 does not date a detach, so the clock is our own first sight, kept over complete scans without a break: never
//! the creation date and never "now". Told after more than `days` whole days; deleted only when seen unattached for
//! `delete_after_days` in at least `delete_after_scans` complete scans. Markers of clusters, CSI drivers and backup
//! tools are refused by the guards for every act.

use chrono::TimeDelta;

use super::Judge;
use crate::domain::check::{
    CheckInfo, Confidence, Evidence, ParamInfo, Params, Savings, Standing, Subject, UsedBy, Verdict, Violation,
};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::resource::Volume;

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "unattached-volume",
    title: "Volume is attached to nothing",
    why: "An unattached volume is billed in full by its size.",
    kinds: &[Kind::Volume],
    used_by: UsedBy::Waste,
    severity: Severity::Medium,
    action: Action::Terminate,
    params: &[
        ParamInfo {
            name: "days",
            unit: "days",
            default: 7.0,
            min: 0.0,
            max: 3650.0,
            whole: true,
            doc: "A finding after more whole days than this (seed and Trusted Advisor: 7)",
        },
        ParamInfo {
            name: "delete_after_days",
            unit: "days",
            default: 14.0,
            min: 14.0,
            max: 3650.0,
            whole: true,
            doc: "Deleted only when seen unattached at least this long; 14 is the floor",
        },
        ParamInfo {
            name: "delete_after_scans",
            unit: "scans",
            default: 3.0,
            min: 3.0,
            max: 1000.0,
            whole: true,
            doc: "Deleted only when at least this many complete scans saw it unattached; 3 is the floor",
        },
    ],
    reads: "the volume's state and attachments, and our own first sight of it unattached",
    needs_usage: false,
};

/// The judge for a rule's parameters.
pub fn build(params: &Params) -> Box<dyn Judge> {
    Box::new(UnattachedVolume {
        days: params.whole("days"),
        delete_after_days: params.whole("delete_after_days"),
        delete_after_scans: params.whole("delete_after_scans"),
    })
}

struct UnattachedVolume {
    days: i64,
    delete_after_days: i64,
    delete_after_scans: i64,
}

impl Judge for UnattachedVolume {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(volume) = subject.resource.volume() else {
            return Verdict::NotApplicable;
        };
        match &*volume.state {
            "available" if volume.attachments.is_empty() => {}
            "available" | "in-use" => return Verdict::Compliant,
            "creating" | "deleting" | "deleted" | "error" => return Verdict::NotApplicable,
            other => return Verdict::Unknown(format!("volume state {other:?} is not known")),
        }
        let Some(sighting) = subject.sighting else {
            return Verdict::Unknown("the scan was not complete, so our own clock did not start".into());
        };
        let days = (subject.now - sighting.since).num_days();
        let standing = if days <= self.days {
            Standing::Watching(format!("seen unattached for {days} whole days, more than {} are needed", self.days))
        } else if i64::from(sighting.scans) < self.delete_after_scans {
            Standing::ReportedOnly(format!(
                "seen unattached in {} complete scans, {} are needed",
                sighting.scans, self.delete_after_scans
            ))
        } else {
            Standing::Proven
        };
        let figure = |name: &str, value: String, unit: &str, source: &str| Evidence {
            name: name.into(),
            value,
            unit: unit.into(),
            source: source.into(),
            at: subject.now,
        };
        Verdict::Violated(Box::new(Violation {
            message: format!(
                "{} GiB {} volume attached to nothing for {days} days",
                volume.size_gib, volume.volume_type
            ),
            evidence: vec![
                figure("unattached since", sighting.since.format("%Y-%m-%d %H:%M UTC").to_string(), "", "own sighting"),
                figure("complete scans", sighting.scans.to_string(), "", "own sighting"),
                figure("size", volume.size_gib.to_string(), "GiB", "EC2 listing"),
            ],
            savings: savings(subject, volume),
            standing,
            act_not_before: Some(sighting.since + TimeDelta::days(self.delete_after_days)),
            add_tags: Vec::new(),
            to_type: None,
        }))
    }
}

fn savings(subject: &Subject<'_>, volume: &Volume) -> Savings {
    let region = subject.resource.key.region();
    match subject.prices.volume_month(&volume.volume_type, volume.size_gib, volume.iops, volume.throughput, region) {
        Some(priced) => {
            let kept = subject.prices.snapshot_month(volume.size_gib, region).monthly;
            Savings {
                monthly: Some(priced.monthly),
                basis: format!("list price; a full safety snapshot costs up to {kept} a month while it is kept"),
                confidence: if priced.estimate { Confidence::Medium } else { Confidence::High },
            }
        }
        None => Savings::unknown(&format!("no list price for this {} volume", volume.volume_type)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::inventory::Sighting;
    use crate::domain::money::Usd;
    use crate::domain::resource::{Attachment, Detail, Resource};

    fn judge(resource: &Resource, sighting: Option<Sighting>) -> Verdict {
        let bench = Bench::new();
        build(&Params::resolve(&INFO, &Default::default())).judge(&bench.subject(resource, None, sighting))
    }

    fn standing(sighting: Option<Sighting>) -> Standing {
        match judge(&volume("vol-1", 100, "gp3"), sighting) {
            Verdict::Violated(violation) => violation.standing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn x7_more_than_seven_whole_days_is_eight_or_more() {
        assert!(matches!(standing(seen(7, 23, 8)), Standing::Watching(_)), "7 days and 23 hours are 7 whole days");
        assert_eq!(standing(seen(8, 0, 9)), Standing::Proven);
    }

    #[test]
    fn x7_the_saving_is_the_volumes_monthly_cost() {
        let found = judge(&volume("vol-1", 100, "gp3"), seen(8, 0, 9));
        let Verdict::Violated(violation) = found else { panic!("{found:?}") };
        assert_eq!(violation.savings.monthly, Some(Usd::dollars(8)));
        assert_eq!(violation.message, "100 GiB gp3 volume attached to nothing for 8 days");
        assert_eq!(violation.act_not_before, Some(now() + TimeDelta::days(6)), "14 days after first sight");
    }

    #[test]
    fn few_complete_scans_report_and_never_act() {
        assert!(matches!(standing(seen(30, 0, 2)), Standing::ReportedOnly(_)));
        assert_eq!(standing(seen(30, 0, 3)), Standing::Proven);
    }

    #[test]
    fn without_a_complete_scan_there_is_no_clock() {
        assert!(matches!(judge(&volume("vol-1", 100, "gp3"), None), Verdict::Unknown(_)));
    }

    #[test]
    fn an_attached_or_half_detached_volume_is_fine() {
        let mut attached = volume("vol-1", 100, "gp3");
        if let Detail::Volume(volume) = &mut attached.detail {
            volume.attachments = Box::new([Attachment {
                instance: "i-1".into(),
                device: "/dev/sdf".into(),
                state: "detaching".into(),
                delete_on_termination: false,
            }]);
        }
        assert_eq!(judge(&attached, seen(30, 0, 30)), Verdict::Compliant);
    }
}
