//! Resources and subjects for the checks' own tests.

use chrono::{NaiveDate, TimeDelta};

use crate::domain::Instant;
use crate::domain::check::Subject;
use crate::domain::fact::Fact;
use crate::domain::inventory::{RefIndex, Sighting};
use crate::domain::money::Rate;
use crate::domain::place::{AccountId, Kind, Place, Region};
use crate::domain::price::{PriceBook, TypeSpec};
use crate::domain::resource::*;
use crate::domain::text::Str;
use crate::domain::usage::{Hourly, Usage};

pub fn now() -> Instant {
    "2026-11-22T02:00:00Z".parse().unwrap()
}

pub fn place() -> Place {
    Place { account: AccountId::new("123456789012").unwrap(), region: Region::new("us-east-1").unwrap() }
}

pub fn resource(kind: Kind, id: &str, age_days: i64, tags: &[(&str, &str)], detail: Detail) -> Resource {
    Resource {
        key: place().partition(kind).key(id),
        tags: Fact::Known(Tags::of(tags)),
        created_at: Fact::Known(now() - TimeDelta::days(age_days)),
        detail,
    }
}

pub fn instance(id: &str, instance_type: &str, age_days: i64) -> Resource {
    let detail = Instance {
        state: InstanceState::Running,
        instance_type: Str::from(instance_type),
        zone: Str::from("us-east-1a"),
        platform: Fact::Known(Str::from("Linux/UNIX")),
        lifecycle: Lifecycle::OnDemand,
        volumes: Box::new([]),
        instance_store: Fact::Known(false),
        auto_public_ip: Fact::Absent,
        operator: None,
        termination_protected: Fact::unknown("not read by a listing"),
        stop_protected: Fact::unknown("not read by a listing"),
        state_since: Fact::Absent,
        image: None,
        subnet: None,
        private_ip: None,
    };
    resource(Kind::Instance, id, age_days, &[], Detail::Instance(Box::new(detail)))
}

pub fn with_state(mut resource: Resource, state: InstanceState) -> Resource {
    if let Detail::Instance(instance) = &mut resource.detail {
        instance.state = state;
    }
    resource
}

pub fn volume(id: &str, size_gib: u32, volume_type: &str) -> Resource {
    let detail = Volume {
        state: Str::from("available"),
        size_gib,
        volume_type: Str::from(volume_type),
        iops: Some(3_000),
        throughput: Some(125),
        zone: Str::from("us-east-1a"),
        kms_key: None,
        encrypted: false,
        attachments: Box::new([]),
        operator: None,
        modification: Fact::Absent,
    };
    resource(Kind::Volume, id, 90, &[], Detail::Volume(Box::new(detail)))
}

pub fn usage(cpu: &[Option<f64>], network: &[Option<f64>], hourly: Option<Hourly>) -> Usage {
    let first = NaiveDate::from_ymd_opt(2026, 11, 15).unwrap();
    Usage {
        days: (0..7).map(|day| first + TimeDelta::days(day)).collect(),
        cpu_average: Fact::Known(cpu.iter().copied().collect()),
        network_in: Fact::Known(network.iter().copied().collect()),
        network_out: Fact::Known([Some(0.0); 7].into_iter().collect()),
        hourly: hourly.map(Box::new),
    }
}

pub fn quiet(peak: f64) -> Hourly {
    Hourly {
        cpu_peak: Fact::Known(peak),
        hours_seen: Fact::Known(168),
        hours_expected: 168,
        disk_operations: Fact::Known(12.0),
    }
}

pub fn prices() -> PriceBook {
    let spec = |vcpus: u32, gib: u64, hourly: &str| TypeSpec {
        vcpus: Some(vcpus),
        memory_mib: Some(gib * 1024),
        arch: Some(Str::from("x86_64")),
        gpus: Some(0),
        instance_storage: Some(false),
        hourly: Rate::parse(hourly),
    };
    PriceBook {
        region: Region::new("us-east-1").unwrap(),
        date: NaiveDate::from_ymd_opt(2026, 7, 20).unwrap(),
        source: Str::from("test list"),
        types: [
            ("m5.large", spec(2, 8, "0.096")),
            ("m5.4xlarge", spec(16, 64, "0.5")),
            ("m5.8xlarge", spec(32, 128, "1")),
            ("p3.8xlarge", TypeSpec { gpus: Some(4), ..spec(32, 244, "12.24") }),
        ]
        .into_iter()
        .map(|(name, spec)| (Str::from(name), spec))
        .collect(),
        volume_gb_month: [("gp3", "0.08"), ("gp2", "0.10")]
            .into_iter()
            .map(|(name, rate)| (Str::from(name), Rate::parse(rate).unwrap()))
            .collect(),
        volume_iops_month: [(Str::from("gp3"), Rate::parse("0.005").unwrap())].into(),
        volume_throughput_month: [(Str::from("gp3"), Rate::parse("0.04").unwrap())].into(),
        snapshot_gb_month: Rate::parse("0.05").unwrap(),
        snapshot_archive_gb_month: Rate::parse("0.0125").unwrap(),
        public_ipv4_hour: Rate::parse("0.005").unwrap(),
        by_series: Default::default(),
    }
}

/// Owns what a `Subject` borrows.
pub struct Bench {
    pub refs: RefIndex,
    pub prices: PriceBook,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { refs: RefIndex::default(), prices: prices() }
    }

    pub fn subject<'a>(
        &'a self,
        resource: &'a Resource,
        usage: Option<&'a Usage>,
        sighting: Option<Sighting>,
    ) -> Subject<'a> {
        Subject { resource, usage, refs: &self.refs, sighting, prices: &self.prices, now: now() }
    }
}

pub fn seen(days: i64, hours: i64, scans: u32) -> Option<Sighting> {
    Some(Sighting { since: now() - TimeDelta::days(days) - TimeDelta::hours(hours), scans })
}
