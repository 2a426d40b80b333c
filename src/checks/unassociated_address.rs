//! Elastic addresses that point at nothing.
//!
//! EC2 does not date a disassociation, so the clock is our own first sight. A released address cannot be had back
//! (checks.md, B10): reported only.

use super::Judge;
use crate::domain::check::{
    CheckInfo, Confidence, Evidence, ParamInfo, Params, Savings, Standing, Subject, UsedBy, Verdict, Violation,
};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "unassociated-address",
    title: "Elastic address points at nothing",
    why: "Every public IPv4 address is billed by the hour, used or not.",
    kinds: &[Kind::Address],
    used_by: UsedBy::Waste,
    severity: Severity::Low,
    action: Action::Report,
    params: &[ParamInfo {
        name: "days",
        unit: "days",
        default: 7.0,
        min: 0.0,
        max: 3650.0,
        whole: true,
        doc: "A finding after more whole days than this (Cloud Custodian's sample and OptScale: 7)",
    }],
    reads: "the address's association, and our own first sight of it without one",
    needs_usage: false,
};

/// The judge for a rule's parameters.
pub fn build(params: &Params) -> Box<dyn Judge> {
    Box::new(UnassociatedAddress { days: params.whole("days") })
}

struct UnassociatedAddress {
    days: i64,
}

impl Judge for UnassociatedAddress {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let Some(address) = subject.resource.address() else {
            return Verdict::NotApplicable;
        };
        if address.association.is_some() || address.instance.is_some() || address.network_interface.is_some() {
            return Verdict::Compliant;
        }
        let Some(sighting) = subject.sighting else {
            return Verdict::Unknown("the scan was not complete, so our own clock did not start".into());
        };
        let days = (subject.now - sighting.since).num_days();
        let priced = subject.prices.address_month(subject.resource.key.region());
        Verdict::Violated(Box::new(Violation {
            message: format!("Elastic address {} unassociated for {days} days", address.public_ip),
            evidence: vec![Evidence {
                name: "unassociated since".into(),
                value: sighting.since.format("%Y-%m-%d %H:%M UTC").to_string(),
                unit: String::new(),
                source: "own sighting".into(),
                at: subject.now,
            }],
            savings: Savings {
                monthly: Some(priced.monthly),
                basis: "list price, 730 h".into(),
                confidence: if priced.estimate { Confidence::Medium } else { Confidence::High },
            },
            standing: if days > self.days {
                Standing::Proven
            } else {
                Standing::Watching(format!("unassociated for {days} whole days, more than {} are needed", self.days))
            },
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
    use crate::domain::inventory::Sighting;
    use crate::domain::money::Usd;
    use crate::domain::resource::{Address, Detail, Resource};

    fn address(association: Option<&str>) -> Resource {
        let detail = Address {
            public_ip: "198.51.100.7".into(),
            association: association.map(Into::into),
            instance: None,
            network_interface: None,
            operator: None,
            pool: None,
            border_group: None,
        };
        resource(Kind::Address, "eipalloc-1", 0, &[], Detail::Address(Box::new(detail)))
    }

    fn judge(resource: &Resource, sighting: Option<Sighting>) -> Verdict {
        let bench = Bench::new();
        build(&Params::resolve(&INFO, &Default::default())).judge(&bench.subject(resource, None, sighting))
    }

    #[test]
    fn an_address_is_watched_for_a_week_and_then_reported() {
        let Verdict::Violated(young) = judge(&address(None), seen(7, 20, 8)) else { panic!() };
        assert!(matches!(young.standing, Standing::Watching(_)));
        let Verdict::Violated(old) = judge(&address(None), seen(8, 0, 9)) else { panic!() };
        assert_eq!(old.standing, Standing::Proven);
        assert_eq!(old.savings.monthly, Some(Usd::parse("3.65").unwrap()));
        assert_eq!(judge(&address(Some("eipassoc-1")), None), Verdict::Compliant);
        assert!(matches!(judge(&address(None), None), Verdict::Unknown(_)));
    }
}
