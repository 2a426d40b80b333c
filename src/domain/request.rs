//! A resource that somebody wants to have: what the decision point is asked about before it exists.
//!
//! Made from a request document or from a Terraform plan by `policy::decide`. What the request does not say is
//! unknown and stays unknown (V3): no field here has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::money::Usd;
use super::place::{AccountId, Region};
use super::rule::{Family, VolumeClass};

/// One wanted resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// In the words of scopes: `compute/instance`, `storage/volume`, `database/instance`, …
    pub resource_type: String,
    /// Its id, where it has one already.
    pub id: Option<String>,
    /// What people call it, for example its address in a Terraform plan; foreign text.
    pub name: Option<String>,
    /// Where it will live.
    pub account: Fact<AccountId>,
    /// Where it will live.
    pub region: Fact<Region>,
    /// Its tags; a value may be unknown by itself.
    pub tags: Fact<BTreeMap<String, Fact<String>>>,
    /// Its size and sort.
    pub specs: Specs,
    /// How it is bought.
    pub purchase: Fact<Purchase>,
    /// What it will cost in a month; `Absent` for types that this program prices nowhere.
    pub monthly: Fact<Usd>,
    /// What the resource costs in a month as it is now; nothing for a new one.
    pub monthly_before: Fact<Usd>,
    /// Who asks; foreign text.
    pub requester: Option<String>,
}

/// Size and sort. `Absent` is "certainly has none", as memory has for a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Specs {
    /// EC2's or RDS's type name, for example `m5.large` or `db.m5.large`; foreign text.
    pub instance_type: Fact<String>,
    /// Virtual CPUs.
    pub vcpus: Fact<f64>,
    /// Memory in GiB, as S1's `memory_gb` is read.
    pub memory_gib: Fact<f64>,
    /// Family in the words of policies.
    pub family: Fact<Family>,
    /// Volume or database storage in GiB.
    pub size_gib: Fact<f64>,
    /// EBS type, for example `gp3`; foreign text.
    pub volume_type: Fact<String>,
    /// Its class in the words of policies.
    pub volume_class: Fact<VolumeClass>,
    /// Provisioned operations a second.
    pub iops: Fact<f64>,
    /// Throughput in MiB a second.
    pub throughput: Fact<f64>,
    /// Network bandwidth in Mbit/s.
    pub bandwidth_mbps: Fact<f64>,
}

/// How a resource is bought (D2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purchase {
    /// By the hour.
    OnDemand,
    /// Spot.
    Spot,
    /// A reserved instance: a commitment of one or three years.
    Reserved,
    /// A savings plan.
    SavingsPlan,
    /// Reserved capacity, paid for whether used or not.
    CapacityReservation,
    /// A host or tenancy of one's own.
    Dedicated,
}

/// What needs a person's word (D2): any one of the three that is set and met asks for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApprovalRule {
    /// Who may say yes; at least one.
    pub approvers: Vec<String>,
    /// More than this a month needs approval; equal passes.
    pub monthly_above: Option<Usd>,
    /// These ways of buying need approval.
    pub purchases: Vec<Purchase>,
    /// Every other Region needs approval; empty means all are fine.
    pub allowed_regions: Vec<Region>,
}

impl Purchase {
    /// All of them.
    pub const ALL: [Purchase; 6] = [
        Purchase::OnDemand,
        Purchase::Spot,
        Purchase::Reserved,
        Purchase::SavingsPlan,
        Purchase::CapacityReservation,
        Purchase::Dedicated,
    ];

    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Purchase::OnDemand => "on-demand",
            Purchase::Spot => "spot",
            Purchase::Reserved => "reserved",
            Purchase::SavingsPlan => "savings-plan",
            Purchase::CapacityReservation => "capacity-reservation",
            Purchase::Dedicated => "dedicated",
        }
    }
}

impl Request {
    /// Whether it has this tag with this value; one that is not known may.
    pub fn may_carry(&self, key: &str, value: &str) -> bool {
        match &self.tags {
            Fact::Known(tags) => match tags.get(key) {
                Some(Fact::Known(own)) => own == value,
                Some(Fact::Unknown(_)) => true,
                Some(Fact::Absent) | None => false,
            },
            Fact::Absent => false,
            Fact::Unknown(_) => true,
        }
    }

    /// A request of a type that says nothing else.
    pub fn of_type(resource_type: &str) -> Request {
        let unsaid = "the request does not say it";
        Request {
            resource_type: resource_type.to_owned(),
            id: None,
            name: None,
            account: Fact::unknown(unsaid),
            region: Fact::unknown(unsaid),
            tags: Fact::unknown(unsaid),
            specs: Specs {
                instance_type: Fact::unknown(unsaid),
                vcpus: Fact::unknown(unsaid),
                memory_gib: Fact::unknown(unsaid),
                family: Fact::unknown(unsaid),
                size_gib: Fact::unknown(unsaid),
                volume_type: Fact::unknown(unsaid),
                volume_class: Fact::unknown(unsaid),
                iops: Fact::unknown(unsaid),
                throughput: Fact::unknown(unsaid),
                bandwidth_mbps: Fact::unknown(unsaid),
            },
            purchase: Fact::unknown(unsaid),
            monthly: Fact::unknown(unsaid),
            monthly_before: Fact::Known(Usd::ZERO),
            requester: None,
        }
    }

    /// What it adds to the bill in a month; negative when a change makes it cheaper.
    pub fn adds(&self) -> Fact<Usd> {
        match (&self.monthly, &self.monthly_before) {
            (Fact::Known(after), Fact::Known(before)) => Fact::Known(*after - *before),
            (Fact::Unknown(reason), _) | (_, Fact::Unknown(reason)) => Fact::Unknown(reason.clone()),
            (Fact::Absent, _) | (_, Fact::Absent) => Fact::Absent,
        }
    }

    /// What people call it: its name, else its id, else its type.
    pub fn shown(&self) -> &str {
        self.name.as_deref().or(self.id.as_deref()).unwrap_or(&self.resource_type)
    }
}
