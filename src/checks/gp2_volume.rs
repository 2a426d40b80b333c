//! Volumes of the older type gp2, which gp3 does for less.
//!
//! Compared at equal performance: a gp3 volume is given no less than the gp2 volume can do, and where that would cost as
//! much (very small volumes: their 3 MiB/s more cost more than the gigabytes save), nothing is said. Online and
//! reversible, so the proof that it is worth while is the price alone.

use super::Judge;
use crate::domain::check::{
    CheckInfo, Confidence, Evidence, Params, Savings, Standing, Subject, UsedBy, Verdict, Violation,
};
use crate::domain::finding::{Action, Severity};
use crate::domain::gp3::no_less_than;
use crate::domain::money::Usd;
use crate::domain::place::Kind;

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "gp2-volume",
    title: "Volume is of type gp2, and gp3 does the same for less",
    why: "A gigabyte of gp2 is listed a quarter above one of gp3 with the same performance.",
    kinds: &[Kind::Volume],
    used_by: UsedBy::Waste,
    severity: Severity::Medium,
    action: Action::Modify,
    params: &[],
    reads: "the volume's type, size and operations a second",
    needs_usage: false,
};

/// The judge for a rule's parameters.
pub fn build(_: &Params) -> Box<dyn Judge> {
    Box::new(Gp2Volume)
}

struct Gp2Volume;

impl Judge for Gp2Volume {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(volume) = subject.resource.volume() else {
            return Verdict::NotApplicable;
        };
        if !matches!(&*volume.state, "available" | "in-use") {
            return Verdict::NotApplicable;
        }
        let Some(same) = no_less_than(volume) else {
            return Verdict::Compliant;
        };
        let (region, size) = (subject.resource.key.region(), volume.size_gib);
        let now = subject.prices.volume_month("gp2", size, volume.iops, volume.throughput, region);
        let then = subject.prices.volume_month("gp3", size, Some(same.iops), Some(same.throughput), region);
        let (Some(now), Some(then)) = (now, then) else {
            return Verdict::Unknown("the price list does not say what the same volume would cost as gp3".into());
        };
        let saved = now.monthly - then.monthly;
        if saved <= Usd::ZERO {
            return Verdict::Compliant;
        }
        let figure = |name: &str, value: String, unit: &str, source: &str| Evidence {
            name: name.into(),
            value,
            unit: unit.into(),
            source: source.into(),
            at: subject.now,
        };
        Verdict::Violated(Box::new(Violation {
            to_type: None,
            message: format!(
                "Volume of {size} GiB is gp2; as gp3 with {} operations a second and {} MiB/s it does no less",
                same.iops, same.throughput
            ),
            evidence: vec![
                figure("type", volume.volume_type.to_string(), "", "EC2 listing"),
                figure("size", size.to_string(), "GiB", "EC2 listing"),
                figure("as gp2", now.monthly.plain(), "dollars a month", "price list"),
                figure("as gp3", then.monthly.plain(), "dollars a month", "price list"),
            ],
            savings: Savings {
                monthly: Some(saved),
                basis: "list prices of both types at equal performance".into(),
                confidence: if now.estimate { Confidence::Medium } else { Confidence::High },
            },
            standing: Standing::Proven,
            act_not_before: None,
            add_tags: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::resource::{Detail, Resource};

    fn gp2(size_gib: u32) -> Resource {
        let mut resource = volume("vol-1", size_gib, "gp2");
        if let Detail::Volume(own) = &mut resource.detail {
            (own.iops, own.throughput) = (Some((size_gib * 3).clamp(100, 16_000)), None);
        }
        resource
    }

    fn judge(resource: &Resource) -> Verdict {
        let bench = Bench::new();
        build(&Params::resolve(&INFO, &Default::default())).judge(&bench.subject(resource, None, None))
    }

    fn saved(size_gib: u32) -> Usd {
        let Verdict::Violated(found) = judge(&gp2(size_gib)) else { panic!("{size_gib} GiB") };
        found.savings.monthly.unwrap()
    }

    #[test]
    fn savings_are_the_difference_at_equal_performance() {
        // 100 GiB: 10.00 as gp2; 8.00 and 3 MiB/s at 0.04 as gp3.
        assert_eq!(saved(100), Usd::parse("1.88").unwrap());
        // 1,000 GiB: 100.00; 80.00 and 125 MiB/s.
        assert_eq!(saved(1_000), Usd::parse("15").unwrap());
        // 2,000 GiB: 200.00; 160.00, 3,000 operations at 0.005 and 125 MiB/s.
        assert_eq!(saved(2_000), Usd::parse("20").unwrap());
    }

    #[test]
    fn what_would_not_be_cheaper_is_left_alone() {
        // 3 MiB/s cost 0.12, what 6 GiB save.
        assert_eq!(judge(&gp2(6)), Verdict::Compliant);
        assert_eq!(saved(7), Usd::parse("0.02").unwrap());
        assert!(saved(16_384) > Usd::dollars(200));
    }

    #[test]
    fn other_types_and_states_are_no_matter_of_this_check() {
        assert_eq!(judge(&volume("vol-1", 100, "gp3")), Verdict::Compliant);
        let mut going = gp2(100);
        if let Detail::Volume(own) = &mut going.detail {
            own.state = "deleting".into();
        }
        assert_eq!(judge(&going), Verdict::NotApplicable);
    }

    #[test]
    fn without_a_price_nothing_is_concluded() {
        let mut bench = Bench::new();
        bench.prices.volume_throughput_month.clear();
        let judge = build(&Params::resolve(&INFO, &Default::default()));
        assert!(matches!(judge.judge(&bench.subject(&gp2(100), None, None)), Verdict::Unknown(_)));
    }
}
