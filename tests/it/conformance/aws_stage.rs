//! The AWS adapter in front of moto as a stage.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::VolumeType;
use chrono::{NaiveDate, NaiveTime, Utc};
use costwarden::cloud::aws::{AwsActor, AwsReader};
use costwarden::cloud::{CloudAct, CloudRead};
use costwarden::domain::Instant;
use costwarden::domain::place::{AccountId, Kind, Place, ResourceKey};
use costwarden::domain::usage::Metric;

use super::{Failure, Stage};
use crate::support::fixtures;
use crate::support::moto::{Fault, Moto, place};

const PAGE_SIZE: u32 = 2;

/// More requests than any case makes.
const ALWAYS: u32 = 1_000_000;

pub struct AwsStage {
    moto: &'static Moto,
    reader: AwsReader,
    actor: AwsActor,
    accounts: [AccountId; 2],
    subnets: tokio::sync::Mutex<HashMap<Place, String>>,
}

/// Two fresh accounts with small pages, in which a snapshot stays pending until the stage settles.
pub async fn begin(_case: &str) -> AwsStage {
    let moto = Moto::shared();
    let accounts = [moto.account(), moto.account()];
    for account in &accounts {
        moto.page_size(account, PAGE_SIZE);
        moto.snapshots(account, ALWAYS, Duration::ZERO, "completed");
    }
    let all: Vec<&AccountId> = accounts.iter().collect();
    let (reader, actor) = (moto.reader(&all).await, moto.actor(&all).await);
    AwsStage { moto, reader, actor, accounts, subnets: tokio::sync::Mutex::default() }
}

impl AwsStage {
    async fn ec2(&self, place: &Place) -> Client {
        self.moto.ec2(place).await
    }

    async fn subnet(&self, place: &Place) -> String {
        let mut subnets = self.subnets.lock().await;
        if let Some(subnet) = subnets.get(place) {
            return subnet.clone();
        }
        let subnet = fixtures::private_subnet(&self.ec2(place).await, &zone(place), 1).await;
        subnets.insert(place.clone(), subnet.clone());
        subnet
    }
}

#[async_trait]
impl Stage for AwsStage {
    fn read(&self) -> &dyn CloudRead {
        &self.reader
    }

    fn act(&self) -> &dyn CloudAct {
        &self.actor
    }

    fn place(&self) -> Place {
        place(&self.accounts[0], "eu-central-1")
    }

    fn other_region(&self) -> Place {
        place(&self.accounts[0], "us-east-1")
    }

    fn other_account(&self) -> Place {
        place(&self.accounts[1], "eu-central-1")
    }

    fn now(&self) -> Instant {
        Utc::now()
    }

    fn pages(&self, kind: Kind, resources: usize) -> u32 {
        let size = if kind == Kind::Address { usize::MAX } else { PAGE_SIZE as usize };
        u32::try_from(resources.div_ceil(size).max(1)).unwrap()
    }

    async fn make_instance(&self, place: &Place, instance_type: &str, tags: &[(&str, &str)]) -> ResourceKey {
        let subnet = self.subnet(place).await;
        let id = fixtures::instance(&self.ec2(place).await, &subnet, instance_type, tags).await;
        place.partition(Kind::Instance).key(&id)
    }

    async fn make_volume(&self, place: &Place, volume_type: &str, size_gib: u32, tags: &[(&str, &str)]) -> ResourceKey {
        let (ec2, size) = (self.ec2(place).await, i32::try_from(size_gib).unwrap());
        let id = fixtures::volume_of(&ec2, &zone(place), VolumeType::from(volume_type), size, tags).await;
        place.partition(Kind::Volume).key(&id)
    }

    async fn make_key(&self, place: &Place) -> String {
        fixtures::key(&self.moto.kms(place).await).await
    }

    async fn set_key(&self, place: &Place, key: &str, state: &str) {
        fixtures::set_key(&self.moto.kms(place).await, key, state).await;
    }

    async fn make_encrypted_volume(&self, place: &Place, key: &str) -> ResourceKey {
        let id = fixtures::encrypted_volume(&self.ec2(place).await, &zone(place), 8, key, &[]).await;
        place.partition(Kind::Volume).key(&id)
    }

    async fn make_snapshot(&self, volume: &ResourceKey) -> ResourceKey {
        let place = &volume.partition.place;
        let id = fixtures::snapshot(&self.ec2(place).await, &volume.id, "by hand").await;
        self.moto.settle(&place.account);
        place.partition(Kind::Snapshot).key(&id)
    }

    async fn make_foreign_snapshot(&self, place: &Place) -> ResourceKey {
        place.partition(Kind::Snapshot).key(&self.moto.foreign_snapshot(place))
    }

    async fn make_image(&self, instance: &ResourceKey, name: &str) -> ResourceKey {
        let place = &instance.partition.place;
        let id = fixtures::image(&self.ec2(place).await, &instance.id, name).await;
        place.partition(Kind::Image).key(&id)
    }

    async fn make_address(&self, place: &Place, instance: Option<&ResourceKey>) -> ResourceKey {
        let instance = instance.map(|key| &*key.id);
        let id = fixtures::address(&self.ec2(place).await, instance).await;
        place.partition(Kind::Address).key(&id)
    }

    async fn attach(&self, volume: &ResourceKey, instance: &ResourceKey, device: &str) {
        fixtures::attach(&self.ec2(&volume.partition.place).await, &volume.id, &instance.id, device).await;
    }

    async fn protect(&self, instance: &ResourceKey, stop: bool, termination: bool) {
        fixtures::protect(&self.ec2(&instance.partition.place).await, &instance.id, stop, termination).await;
    }

    async fn measure(&self, instance: &ResourceKey, metric: Metric, days: &[(NaiveDate, f64)]) {
        let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap();
        let points: Vec<(Instant, f64)> =
            days.iter().map(|(day, figure)| (day.and_time(noon).and_utc(), *figure)).collect();
        self.moto.put_metrics(&instance.partition.place, &instance.id, metric.name(), &points).await;
    }

    async fn fail(&self, operation: &str, failure: Failure) {
        let fault = match failure {
            Failure::Throttle => Fault::throttle(operation),
            Failure::Deny => Fault::deny(operation),
            Failure::CutPage(page) => Fault::cut(operation).after(page - 1),
        };
        for account in &self.accounts {
            self.moto.fault(fault.clone().times(ALWAYS).of_account(account));
        }
    }

    async fn settle(&self) {
        for account in &self.accounts {
            self.moto.settle(account);
        }
    }
}

/// The first Availability Zone of a Region.
fn zone(place: &Place) -> String {
    format!("{}a", place.region)
}
