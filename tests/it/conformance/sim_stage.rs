//! The simulated account as a stage.

use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use costwarden::clock::Clock;
use costwarden::cloud::sim::{
    Change, Effect, Fault, Planted, Shape, SimActor, SimCloud, SimReader, Usage, World, plant,
};
use costwarden::cloud::{CloudAct, CloudRead};
use costwarden::domain::Instant;
use costwarden::domain::place::{Kind, Place, ResourceKey};
use costwarden::domain::resource::Resource;
use costwarden::domain::usage::Metric;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Failure, Stage};

const PAGE_SIZE: usize = 2;

pub struct SimStage {
    cloud: SimCloud,
    clock: Clock,
    reader: SimReader,
    actor: SimActor,
    places: Vec<Place>,
    made: AtomicU32,
    usage: Mutex<HashMap<ResourceKey, Usage>>,
}

/// Two accounts with two Regions each, on the morning of a Wednesday.
pub async fn begin(_case: &str) -> SimStage {
    let start: Instant = "2026-09-09T08:00:00Z".parse().unwrap();
    let regions = ["eu-central-1", "us-east-1"];
    let mut world = World::empty(start)
        .with_account("111122223333", &regions)
        .and_then(|world| world.with_account("444455556666", &regions))
        .unwrap();
    world.timing.page_size = PAGE_SIZE;
    let clock = Clock::virtual_at(start);
    let places = world.places();
    let cloud = SimCloud::new(world, clock.clone()).unwrap();
    SimStage {
        reader: cloud.reader(),
        actor: cloud.actor(),
        cloud,
        clock,
        places,
        made: AtomicU32::new(0),
        usage: Mutex::default(),
    }
}

impl SimStage {
    fn key(&self, place: &Place, kind: Kind) -> ResourceKey {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        place.partition(kind).key(&format!("{}0a{number:015}", kind.id_prefix()))
    }

    /// Long enough ago for a week of metrics.
    fn long_ago(&self) -> Instant {
        self.clock.now() - TimeDelta::days(60)
    }

    fn person(&self, change: Change) {
        self.cloud.apply("stage", change).unwrap();
    }

    fn truth(&self, key: &ResourceKey) -> Resource {
        self.cloud.truth(|truth| truth.resource(&key.id).unwrap().clone())
    }

    fn create(&self, planted: Vec<Planted>) -> ResourceKey {
        let key = planted[0].resource.key.clone();
        self.person(Change::Create(planted));
        key
    }
}

#[async_trait]
impl Stage for SimStage {
    fn read(&self) -> &dyn CloudRead {
        &self.reader
    }

    fn act(&self) -> &dyn CloudAct {
        &self.actor
    }

    fn place(&self) -> Place {
        self.places[0].clone()
    }

    fn other_region(&self) -> Place {
        self.places[1].clone()
    }

    fn other_account(&self) -> Place {
        self.places[2].clone()
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn pages(&self, kind: Kind, resources: usize) -> u32 {
        let size = if kind == Kind::Address { usize::MAX } else { PAGE_SIZE };
        u32::try_from(resources.div_ceil(size).max(1)).unwrap()
    }

    async fn make_instance(&self, place: &Place, instance_type: &str, tags: &[(&str, &str)]) -> ResourceKey {
        let launched = self.long_ago();
        let mut instance = plant::instance(self.key(place, Kind::Instance), instance_type, launched).tagged(tags);
        let mut root = plant::volume(self.key(place, Kind::Volume), "gp3", 8, launched);
        plant::attach(&mut instance, &mut root, "/dev/xvda", true);
        self.create(vec![instance, root])
    }

    async fn make_volume(&self, place: &Place, volume_type: &str, size_gib: u32, tags: &[(&str, &str)]) -> ResourceKey {
        let volume = plant::volume(self.key(place, Kind::Volume), volume_type, size_gib, self.clock.now());
        self.create(vec![volume.tagged(tags)])
    }

    async fn make_key(&self, place: &Place) -> String {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        format!("arn:aws:kms:{}:{}:key/{number}", place.region, place.account)
    }

    async fn set_key(&self, _place: &Place, key: &str, state: &str) {
        self.person(Change::SetKey { key: key.into(), state: state.into() });
    }

    async fn make_encrypted_volume(&self, place: &Place, key: &str) -> ResourceKey {
        let volume = plant::volume(self.key(place, Kind::Volume), "gp3", 8, self.clock.now());
        self.create(vec![volume.with_volume(|own| (own.encrypted, own.kms_key) = (true, Some(key.into())))])
    }

    async fn make_snapshot(&self, volume: &ResourceKey) -> ResourceKey {
        let key = self.key(&volume.partition.place, Kind::Snapshot);
        let size = self.truth(volume).volume().unwrap().size_gib;
        self.create(vec![plant::snapshot(key, &volume.id, size, self.clock.now())])
    }

    async fn make_foreign_snapshot(&self, place: &Place) -> ResourceKey {
        // The other account's snapshot: an own listing of `place` must not show it.
        let owner = Place { account: self.other_account().account, region: place.region.clone() };
        let key = self.key(&owner, Kind::Snapshot);
        self.create(vec![plant::snapshot(key, "vol-ffffffff", 8, self.clock.now())])
    }

    async fn make_image(&self, instance: &ResourceKey, name: &str) -> ResourceKey {
        let place = &instance.partition.place;
        let attached = self.truth(instance).instance().unwrap().volumes.clone();
        let mut snapshots = Vec::new();
        for volume in &attached {
            snapshots.push(self.make_snapshot(&place.partition(Kind::Volume).key(&volume.volume)).await.id);
        }
        let snapshots: Vec<&str> = snapshots.iter().map(|id| &**id).collect();
        let key = self.key(place, Kind::Image);
        self.create(vec![plant::image(key, name, &snapshots, self.clock.now())])
    }

    async fn make_address(&self, place: &Place, instance: Option<&ResourceKey>) -> ResourceKey {
        let number = self.made.load(Ordering::SeqCst) % 250;
        let address = plant::address(self.key(place, Kind::Address), &format!("198.51.100.{number}"));
        let address = self.create(vec![address]);
        if let Some(instance) = instance {
            self.person(Change::Associate { address: address.id.to_string(), instance: instance.id.to_string() });
        }
        address
    }

    async fn attach(&self, volume: &ResourceKey, instance: &ResourceKey, device: &str) {
        self.person(Change::Attach {
            volume: volume.id.to_string(),
            instance: instance.id.to_string(),
            device: device.into(),
        });
    }

    async fn protect(&self, instance: &ResourceKey, stop: bool, termination: bool) {
        self.person(Change::Protect {
            instance: instance.id.to_string(),
            stop: Some(stop),
            termination: Some(termination),
        });
    }

    async fn measure(&self, instance: &ResourceKey, metric: Metric, days: &[(NaiveDate, f64)]) {
        let mut shape = Shape::default();
        for day in self.long_ago().date_naive().iter_days().take(90) {
            shape.days.insert(day, None);
        }
        shape.days.extend(days.iter().map(|(day, figure)| (*day, Some(*figure))));
        let usage = {
            let mut all = self.usage.lock().unwrap();
            let usage = all.entry(instance.clone()).or_default();
            match metric {
                Metric::Cpu => usage.cpu = Some(shape),
                Metric::NetworkIn => usage.network_in = Some(shape),
                Metric::NetworkOut => usage.network_out = Some(shape),
                Metric::EbsReadOps | Metric::EbsWriteOps => usage.disk_operations = Some(shape),
            }
            usage.clone()
        };
        self.cloud.backdate_usage(&instance.id, usage);
    }

    async fn fail(&self, operation: &str, failure: Failure) {
        let effect = match failure {
            Failure::Throttle => Effect::Throttle,
            Failure::Deny => Effect::Deny,
            Failure::CutPage(page) => Effect::CutPage(u64::from(page)),
        };
        self.cloud.add_fault(Fault::on(operation, effect));
    }

    async fn settle(&self) {
        self.clock.advance_to(self.cloud.settled_at());
    }
}
