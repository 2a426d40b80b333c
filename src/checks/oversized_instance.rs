//! Instances larger than a ResourceLimit policy allows (X4, V3, D3).
//!
//! More vCPUs or memory than the limit is a violation, equal passes; so is a denied family, or one that an allow list
//! does not name. What cannot be looked up is unknown, unless another limit is already broken. The saving is the
//! price of the largest type of the same series that fits, not a linear guess.

use super::Judge;
use crate::domain::check::{CheckInfo, Confidence, Evidence, Savings, Standing, Subject, UsedBy, Verdict, Violation};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::price::{PriceBook, TypeSpec};
use crate::domain::resource::InstanceState;
use crate::domain::rule::{Family, InstanceLimit};

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "oversized-instance",
    title: "Instance is larger than policy allows",
    why: "Price grows with size: one size down halves it.",
    kinds: &[Kind::Instance],
    used_by: UsedBy::ResourceLimit,
    severity: Severity::High,
    action: Action::Resize,
    params: &[],
    reads: "the instance's type, and the type's vCPUs, memory and GPUs from the price book",
    needs_usage: false,
};

/// The judge for one `resource: compute/instance` rule.
pub fn build(limit: &InstanceLimit) -> Box<dyn Judge> {
    Box::new(OversizedInstance { limit: limit.clone() })
}

struct OversizedInstance {
    limit: InstanceLimit,
}

/// One broken limit with what is allowed, or what could not be told.
enum Fault {
    Vcpus(u32, u32),
    Memory(u64, u32),
    Denied(Family),
    NotAllowed(Family),
    Unknown(&'static str),
}

impl Judge for OversizedInstance {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(instance) = subject.resource.instance() else {
            return Verdict::NotApplicable;
        };
        match &instance.state {
            InstanceState::ShuttingDown | InstanceState::Terminated => return Verdict::NotApplicable,
            InstanceState::Other(word) => return Verdict::Unknown(format!("instance state {word:?} is not known")),
            _ => {}
        }
        let spec = subject.prices.types.get(&instance.instance_type);
        let (broken, unknown) = self.compare(&instance.instance_type, spec);
        if broken.is_empty() {
            return match unknown.first() {
                Some(reason) => Verdict::Unknown(reason.clone()),
                None => Verdict::Compliant,
            };
        }
        let evidence = std::iter::once(("type", instance.instance_type.to_string(), ""))
            .chain(spec.and_then(|spec| spec.vcpus).map(|vcpus| ("vCPUs", vcpus.to_string(), "")))
            .chain(spec.and_then(|spec| spec.memory_mib).map(|mib| ("memory", (mib / 1024).to_string(), "GiB")))
            .map(|(name, value, unit)| Evidence {
                name: name.into(),
                value,
                unit: unit.into(),
                source: "EC2 listing and price book".into(),
                at: subject.now,
            })
            .collect();
        Verdict::Violated(Box::new(Violation {
            message: format!("{} breaks its limit: {}", instance.instance_type, broken.join("; ")),
            evidence,
            savings: self.savings(subject, &instance.instance_type, instance.state == InstanceState::Running),
            standing: if unknown.is_empty() { Standing::Proven } else { Standing::ReportedOnly(unknown.join("; ")) },
            act_not_before: None,
            add_tags: Vec::new(),
            to_type: self.target(subject.prices, &instance.instance_type).map(str::to_owned),
        }))
    }
}

impl OversizedInstance {
    /// What is broken, and what could not be told, each in words.
    fn compare(&self, instance_type: &str, spec: Option<&TypeSpec>) -> (Vec<String>, Vec<String>) {
        let (mut broken, mut unknown) = (Vec::new(), Vec::new());
        self.faults(instance_type, spec, |fault| match fault {
            Fault::Vcpus(vcpus, most) => broken.push(format!("{vcpus} vCPUs, at most {most} allowed")),
            Fault::Memory(mib, most) => {
                broken.push(format!("{:.0} GiB memory, at most {most} allowed", mib as f64 / 1024.0));
            }
            Fault::Denied(family) => broken.push(format!("family {} is denied", family.name())),
            Fault::NotAllowed(family) => broken.push(format!("family {} is not among those allowed", family.name())),
            Fault::Unknown(what) => unknown.push(format!("{what} of {instance_type} is not in the price book")),
        });
        (broken, unknown)
    }

    /// Whether a type breaks no limit for sure.
    fn fits(&self, instance_type: &str, spec: &TypeSpec) -> bool {
        let mut fits = true;
        self.faults(instance_type, Some(spec), |_| fits = false);
        fits
    }

    /// Tells each fault; words are made by who wants them.
    fn faults(&self, instance_type: &str, spec: Option<&TypeSpec>, mut tell: impl FnMut(Fault)) {
        if let Some(most) = self.limit.max_vcpus {
            match spec.and_then(|spec| spec.vcpus) {
                Some(vcpus) if vcpus > most => tell(Fault::Vcpus(vcpus, most)),
                Some(_) => {}
                None => tell(Fault::Unknown("the vCPU count")),
            }
        }
        if let Some(most) = self.limit.max_memory_gib {
            match spec.and_then(|spec| spec.memory_mib) {
                Some(mib) if mib > u64::from(most) * 1024 => tell(Fault::Memory(mib, most)),
                Some(_) => {}
                None => tell(Fault::Unknown("the memory")),
            }
        }
        let (allowed, denied) = (&self.limit.allowed_families, &self.limit.denied_families);
        if !allowed.is_empty() || !denied.is_empty() {
            match Family::of_type(instance_type, spec.and_then(|spec| spec.gpus)) {
                Some(family) if denied.contains(&family) => tell(Fault::Denied(family)),
                Some(family) if !allowed.is_empty() && !allowed.contains(&family) => tell(Fault::NotAllowed(family)),
                Some(_) => {}
                None => tell(Fault::Unknown("the family")),
            }
        }
    }

    fn savings(&self, subject: &Subject<'_>, instance_type: &str, running: bool) -> Savings {
        if !running {
            return Savings { basis: "not running: no instance price to save".into(), ..Savings::none() };
        }
        let region = subject.resource.key.region();
        let current = subject.prices.instance_month(instance_type, region);
        let target = self.target(subject.prices, instance_type);
        let smaller = target.and_then(|name| subject.prices.instance_month(name, region).map(|priced| (name, priced)));
        match (current, smaller) {
            (Some(current), Some((name, smaller))) => Savings {
                monthly: Some(current.monthly - smaller.monthly),
                basis: format!("on-demand list, {instance_type} to {name}, 730 h, before commitments"),
                confidence: if current.estimate { Confidence::Low } else { Confidence::Medium },
            },
            (None, _) => Savings::unknown(&format!("no list price for {instance_type}")),
            (_, None) => Savings::unknown(&format!("no type of the series of {instance_type} fits the limit")),
        }
    }

    /// The largest type of the same series that breaks no limit.
    fn target<'a>(&self, prices: &'a PriceBook, instance_type: &str) -> Option<&'a str> {
        let series = instance_type.split_once('.')?.0;
        prices
            .series(series)
            .filter(|(name, spec)| spec.hourly.is_some() && self.fits(name, spec))
            .max_by_key(|(name, spec)| (spec.vcpus, spec.memory_mib, std::cmp::Reverse(name.len()), (*name).clone()))
            .map(|(name, _)| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::money::Usd;

    fn limit() -> InstanceLimit {
        InstanceLimit {
            max_vcpus: Some(16),
            max_memory_gib: Some(64),
            allowed_families: vec![Family::GeneralPurpose, Family::ComputeOptimized],
            denied_families: vec![Family::Gpu, Family::HighMemory],
        }
    }

    fn judge(limit: &InstanceLimit, resource: &crate::domain::resource::Resource) -> Verdict {
        let bench = Bench::new();
        build(limit).judge(&bench.subject(resource, None, None))
    }

    #[test]
    fn x4_the_saving_is_the_price_of_the_type_that_fits() {
        let found = judge(&limit(), &instance("i-1", "m5.8xlarge", 1));
        let Verdict::Violated(violation) = found else { panic!("{found:?}") };
        assert_eq!(
            violation.message,
            "m5.8xlarge breaks its limit: 32 vCPUs, at most 16 allowed; 128 GiB memory, at most 64 allowed"
        );
        let monthly = violation.savings.monthly.unwrap();
        assert_eq!(monthly, Usd::parse("365").unwrap(), "0.5 dollars × 730 h");
        assert_eq!(monthly.scaled(720, 730), Usd::dollars(360), "the seed's month of 720 h");
    }

    #[test]
    fn v3_equal_passes_and_what_cannot_be_looked_up_is_unknown() {
        assert_eq!(judge(&limit(), &instance("i-1", "m5.4xlarge", 1)), Verdict::Compliant);
        assert!(matches!(judge(&limit(), &instance("i-1", "m99.large", 1)), Verdict::Unknown(_)));
        assert!(matches!(judge(&limit(), &instance("i-1", "quantum.large", 1)), Verdict::Unknown(_)));
    }

    #[test]
    fn d3_a_denied_family_is_a_violation_even_where_the_size_is_unknown() {
        let found = judge(&limit(), &instance("i-1", "p5.48xlarge", 1));
        let Verdict::Violated(violation) = found else { panic!("{found:?}") };
        assert_eq!(violation.message, "p5.48xlarge breaks its limit: family gpu is denied");
        assert!(matches!(violation.standing, Standing::ReportedOnly(_)), "it read an unknown size");
    }

    #[test]
    fn d3_a_family_that_the_allow_list_does_not_name_is_a_violation() {
        let only = InstanceLimit { allowed_families: vec![Family::ComputeOptimized], ..InstanceLimit::default() };
        let found = judge(&only, &instance("i-1", "m5.large", 1));
        let Verdict::Violated(violation) = found else { panic!("{found:?}") };
        assert_eq!(violation.message, "m5.large breaks its limit: family general-purpose is not among those allowed");
    }

    #[test]
    fn a_terminated_instance_is_not_spoken_of() {
        let gone = with_state(instance("i-1", "m5.8xlarge", 1), InstanceState::Terminated);
        assert_eq!(judge(&limit(), &gone), Verdict::NotApplicable);
    }
}
