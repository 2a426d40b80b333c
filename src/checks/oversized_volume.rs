//! Volumes larger, or of a dearer class, than a ResourceLimit policy allows (D3).
//!
//! A volume's size cannot shrink in place, so the owner is told and nothing is done.

use super::Judge;
use crate::domain::check::{CheckInfo, Evidence, Savings, Standing, Subject, UsedBy, Verdict, Violation};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::rule::{VolumeClass, VolumeLimit};

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "oversized-volume",
    title: "Volume is larger or dearer than policy allows",
    why: "Storage is billed by provisioned size and class, used or not.",
    kinds: &[Kind::Volume],
    used_by: UsedBy::ResourceLimit,
    severity: Severity::High,
    action: Action::Notify,
    params: &[],
    reads: "the volume's size and type",
    needs_usage: false,
};

/// The judge for one `resource: storage/volume` rule.
pub fn build(limit: &VolumeLimit) -> Box<dyn Judge> {
    Box::new(OversizedVolume { limit: limit.clone() })
}

struct OversizedVolume {
    limit: VolumeLimit,
}

impl Judge for OversizedVolume {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(volume) = subject.resource.volume() else {
            return Verdict::NotApplicable;
        };
        if matches!(&*volume.state, "deleting" | "deleted") {
            return Verdict::NotApplicable;
        }
        let class = VolumeClass::of_type(&volume.volume_type);
        let mut broken = Vec::new();
        if let Some(most) = self.limit.max_size_gib.filter(|most| volume.size_gib > *most) {
            broken.push(format!("{} GiB, at most {most} allowed", volume.size_gib));
        }
        let mut unknown = None;
        match class {
            Some(class) if self.limit.denied_types.contains(&class) => {
                broken.push(format!("type {} ({}) is denied", volume.volume_type, class.name()));
            }
            Some(class) if !self.limit.allowed_types.is_empty() && !self.limit.allowed_types.contains(&class) => {
                broken.push(format!("type {} ({}) is not among those allowed", volume.volume_type, class.name()));
            }
            None if !self.limit.denied_types.is_empty() || !self.limit.allowed_types.is_empty() => {
                unknown = Some(format!("the class of volume type {} is not known here", volume.volume_type));
            }
            Some(_) | None => {}
        }
        if broken.is_empty() {
            return unknown.map_or(Verdict::Compliant, Verdict::Unknown);
        }
        let figure = |name: &str, value: String, unit: &str| Evidence {
            name: name.into(),
            value,
            unit: unit.into(),
            source: "EC2 listing".into(),
            at: subject.now,
        };
        Verdict::Violated(Box::new(Violation {
            message: format!("Volume breaks its limit: {}", broken.join("; ")),
            evidence: vec![
                figure("size", volume.size_gib.to_string(), "GiB"),
                figure("type", volume.volume_type.to_string(), ""),
            ],
            savings: Savings::unknown("depends on the volume that replaces it"),
            standing: Standing::Proven,
            act_not_before: None,
            add_tags: Vec::new(),
            to_type: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;

    #[test]
    fn d3_size_is_strict_and_classes_come_from_the_type() {
        let limit = VolumeLimit {
            max_size_gib: Some(1_000),
            allowed_types: vec![VolumeClass::Standard, VolumeClass::Ssd],
            denied_types: vec![VolumeClass::ProvisionedIops],
        };
        let bench = Bench::new();
        let judge = |size, name| build(&limit).judge(&bench.subject(&volume("vol-1", size, name), None, None));
        assert_eq!(judge(1_000, "gp3"), Verdict::Compliant);
        assert_eq!(judge(10, "st1"), Verdict::Compliant);
        assert!(matches!(judge(10, "io3"), Verdict::Unknown(_)), "a type of tomorrow is no standard one");
        let Verdict::Violated(_) = judge(1_001, "io3") else { panic!("its size is known") };
        let Verdict::Violated(found) = judge(1_001, "io2") else { panic!() };
        assert_eq!(
            found.message,
            "Volume breaks its limit: 1001 GiB, at most 1000 allowed; type io2 (provisioned-iops) is denied"
        );
    }
}
