//! Snapshots that nobody needs any more.
//!
//! Own, completed, older than the limit, used by no image, and not one of our safety snapshots (those are exempt from
//! every check). While the images of the place are not read completely, whether one uses it is unknown.

use super::Judge;
use crate::domain::check::{
    CheckInfo, Confidence, Evidence, ParamInfo, Params, Savings, Standing, Subject, UsedBy, Verdict, Violation,
};
use crate::domain::fact::Fact;
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "old-snapshot",
    title: "Snapshot is old and used by no image",
    why: "Snapshot storage is billed for as long as the snapshot is kept.",
    kinds: &[Kind::Snapshot],
    used_by: UsedBy::Waste,
    severity: Severity::Low,
    action: Action::Report,
    params: &[ParamInfo {
        name: "days",
        unit: "days",
        default: 90.0,
        min: 1.0,
        max: 36500.0,
        whole: true,
        doc: "A finding when more whole days old than this (Turbot's thrifty mod: 90)",
    }],
    reads: "own snapshots, and the snapshots that own images are made of",
    needs_usage: false,
};

/// The judge for a rule's parameters.
pub fn build(params: &Params) -> Box<dyn Judge> {
    Box::new(OldSnapshot { days: params.whole("days") })
}

struct OldSnapshot {
    days: i64,
}

impl Judge for OldSnapshot {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(snapshot) = subject.resource.snapshot() else {
            return Verdict::NotApplicable;
        };
        match &*snapshot.state {
            "completed" => {}
            "pending" | "error" | "recoverable" | "recovering" => return Verdict::NotApplicable,
            other => return Verdict::Unknown(format!("snapshot state {other:?} is not known")),
        }
        let Some(started) = subject.resource.created_at.known() else {
            return Verdict::Unknown("the snapshot's start time is not known".into());
        };
        let days = (subject.now - *started).num_days();
        if days <= self.days {
            return Verdict::Compliant;
        }
        match subject.refs.image_of_snapshot(&subject.resource.key.id) {
            Fact::Known(_) => return Verdict::Compliant,
            Fact::Absent => {}
            Fact::Unknown(reason) => return Verdict::Unknown(reason.to_string()),
        }
        let priced = subject.prices.snapshot_month(snapshot.volume_size_gib, subject.resource.key.region());
        let savings = if &*snapshot.storage_tier == "standard" {
            Savings {
                monthly: Some(priced.monthly),
                basis: "list price of the whole source volume: an upper bound, the stored size is not listed".into(),
                confidence: Confidence::Low,
            }
        } else {
            Savings::unknown("archived: its stored size is not listed")
        };
        Verdict::Violated(Box::new(Violation {
            message: format!(
                "Snapshot of {} ({} GiB) is {days} days old and used by no image",
                snapshot.volume, snapshot.volume_size_gib
            ),
            evidence: vec![Evidence {
                name: "started".into(),
                value: started.format("%Y-%m-%d").to_string(),
                unit: String::new(),
                source: "EC2 listing".into(),
                at: subject.now,
            }],
            savings,
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
    use crate::domain::money::Usd;
    use crate::domain::resource::{Detail, Resource, Snapshot};

    fn snapshot(age_days: i64) -> Resource {
        let detail = Snapshot {
            state: "completed".into(),
            progress: Fact::Known(100),
            volume: "vol-1".into(),
            volume_size_gib: 200,
            kms_key: None,
            storage_tier: "standard".into(),
            description: "".into(),
            image: Fact::Absent,
            locked: Fact::Known(false),
        };
        resource(Kind::Snapshot, "snap-1", age_days, &[], Detail::Snapshot(Box::new(detail)))
    }

    fn judge(bench: &Bench, resource: &Resource) -> Verdict {
        build(&Params::resolve(&INFO, &Default::default())).judge(&bench.subject(resource, None, None))
    }

    #[test]
    fn ninety_one_days_is_old_if_the_images_are_known_and_none_uses_it() {
        let mut bench = Bench::new();
        assert!(matches!(judge(&bench, &snapshot(91)), Verdict::Unknown(_)), "images not read");
        assert_eq!(judge(&bench, &snapshot(90)), Verdict::Compliant, "young, whatever the images are");
        bench.refs.mark_complete(Kind::Image);
        let Verdict::Violated(found) = judge(&bench, &snapshot(91)) else { panic!() };
        assert_eq!(found.savings.monthly, Some(Usd::dollars(10)));
        bench.refs.image_uses("ami-1".into(), "snap-1".into());
        assert_eq!(judge(&bench, &snapshot(91)), Verdict::Compliant);
    }
}
