//! The resources of acts that came after the first three: large instances, gp2 volumes, addresses that lead nowhere, old
//! snapshots; each now and then with a reason to leave it alone.

use chrono::TimeDelta;
use costwarden::cloud::sim::{Planted, Spend, Usage, plant};
use costwarden::domain::fact::Fact;
use costwarden::domain::finding::Act;
use costwarden::domain::money::Usd;
use costwarden::domain::place::{AccountId, Kind, Place};
use costwarden::domain::resource::Detail;

use super::{Bait, MARKERS, OWNER, Scene};
use crate::faults::{Deed, Planned as Fault, What};
use crate::kinds::Kind as FaultKind;
use crate::policies::{COST_CENTER, LARGE};
use crate::rng::Rng;

impl Scene {
    /// What a place has besides.
    pub(super) fn furnish_more(&mut self, rng: &mut Rng, place: &Place, number: usize) {
        const INSTANCE: [Bait; 9] = [
            Bait::ProtectTag,
            Bait::ProtectList,
            Bait::Flag,
            Bait::Managed,
            Bait::Spot,
            Bait::LocalDisks,
            Bait::PublicAddress,
            Bait::KeepUntil,
            Bait::NoOwner,
        ];
        const OTHER: [Bait; 5] = [Bait::ProtectTag, Bait::ProtectList, Bait::Managed, Bait::KeepUntil, Bait::NoOwner];
        if rng.chance(30) {
            let bait = if rng.chance(75) { Bait::Only(Act::ResizeInstance) } else { *rng.pick(&INSTANCE) };
            let kind = if bait == Bait::LocalDisks && rng.chance(50) { "m5d.2xlarge" } else { LARGE.0 };
            self.add_instance_of(rng, place, &format!("i-{number}large"), kind, bait);
        }
        if rng.chance(25) {
            let bait = if rng.chance(75) { Bait::Only(Act::ModifyVolume) } else { *rng.pick(&OTHER) };
            self.add_volume(rng, place, &format!("vol-{number}gp2"), bait);
        }
        if rng.chance(35) {
            let bait = if rng.chance(75) { Bait::Only(Act::ReleaseAddress) } else { *rng.pick(&OTHER) };
            self.add_address(rng, place, &format!("eipalloc-{number}"), bait);
        }
        if rng.chance(35) {
            let bait = match rng.below(100) {
                0..75 => Bait::Only(Act::DeleteSnapshot),
                75..82 => Bait::Flag,
                _ => *rng.pick(&OTHER),
            };
            self.add_snapshot(rng, place, &format!("snap-{number}old"), bait);
        }
    }

    /// More waste for a flood in an account that is disarmed, so that people's changes do not dry it up; and more passes,
    /// so that what the other account has passes by itself.
    pub(super) fn flood_more(&mut self, place: &Place) {
        let mut rng = Rng::new(self.seed, "flood");
        self.settings.enforcement.breaker.count = 6;
        for index in 4..14 {
            self.add_instance(&mut rng, place, &format!("i-0w{index}"), Bait::None);
        }
    }

    /// In a share of the worlds most volumes are encrypted, under one of two keys of their place.
    pub(super) fn encrypt(&mut self, rng: &mut Rng) {
        self.encrypted = rng.chance(40);
        if !self.encrypted {
            return;
        }
        for planted in &mut self.world.resources {
            let place = planted.resource.key.partition.place.clone();
            if let Detail::Volume(volume) = &mut planted.resource.detail
                && rng.chance(70)
            {
                let key = format!("arn:aws:kms:{}:{}:key/k-{}", place.region, place.account, rng.below(2));
                (volume.encrypted, volume.kms_key) = (true, Some(key.as_str().into()));
            }
        }
    }

    fn add_address(&mut self, rng: &mut Rng, place: &Place, id: &str, bait: Bait) {
        let mut tags = self.tags(rng, bait);
        if bait == Bait::Managed {
            tags.push(*rng.pick(&MARKERS));
        }
        let ip = format!("203.0.113.{}", self.world.resources.len() % 250);
        self.put(plant::address(place.partition(Kind::Address).key(id), &ip).tagged(&tags), bait);
    }

    fn add_snapshot(&mut self, rng: &mut Rng, place: &Place, id: &str, bait: Bait) {
        let created = self.world.start - TimeDelta::days(rng.between(85, 400));
        let mut tags = self.tags(rng, bait);
        if bait == Bait::Managed {
            tags.push(*rng.pick(&MARKERS));
        }
        let key = place.partition(Kind::Snapshot).key(id);
        let mut planted = plant::snapshot(key, "vol-gone", 8, created).tagged(&tags);
        if bait == Bait::Flag {
            lock(&mut planted);
        }
        self.put(planted, bait);
    }

    /// What invites one act in a crowd.
    pub(super) fn add_one_of_a_crowd(&mut self, place: &Place, act: Act, number: usize) {
        let created = self.world.start - TimeDelta::days(20);
        let tags: [(&str, &str); 2] = [COST_CENTER, ("owner", OWNER)];
        let instance = |id: &str, kind: &str, cpu: f64| {
            plant::instance(place.partition(Kind::Instance).key(id), kind, created)
                .used(Usage::constant(cpu, 1e5, 1e5))
                .tagged(&tags)
        };
        let volume = |id: &str, sort: &str, size: u32| {
            plant::volume(place.partition(Kind::Volume).key(id), sort, size, created).tagged(&tags)
        };
        match act {
            Act::StopInstance | Act::TerminateInstance | Act::ResizeInstance => {
                let resize = act == Act::ResizeInstance;
                let (kind, cpu) = if resize { (LARGE.0, 50.0) } else { ("m5.large", 1.0) };
                let mut host = instance(&format!("i-{number}"), kind, cpu);
                let mut root = volume(&format!("vol-{number}root"), "gp3", 8);
                plant::attach(&mut host, &mut root, "/dev/xvda", true);
                self.put(host, if resize { Bait::Only(act) } else { Bait::None });
                self.put(root, Bait::InUse);
            }
            Act::DeleteVolume => self.put(volume(&format!("vol-{number}"), "gp3", 20), Bait::None),
            Act::AddTags => {
                let busy = instance(&format!("i-{number}t"), "m5.large", 50.0).tagged(&[("owner", OWNER)]);
                self.put(busy, Bait::InUse);
            }
            Act::ModifyVolume => {
                let mut host = instance(&format!("i-{number}h"), "m5.large", 50.0);
                let mut disk = volume(&format!("vol-{number}gp2"), "gp2", 100);
                plant::attach(&mut host, &mut disk, "/dev/sdf", false);
                self.put(host, Bait::InUse);
                self.put(disk, Bait::Only(act));
            }
            Act::ReleaseAddress => {
                let key = place.partition(Kind::Address).key(&format!("eipalloc-{number}"));
                let ip = format!("203.0.113.{number}");
                self.put(plant::address(key, &ip).tagged(&tags), Bait::Only(act));
            }
            Act::DeleteSnapshot => {
                let key = place.partition(Kind::Snapshot).key(&format!("snap-{number}old"));
                let old = self.world.start - TimeDelta::days(200);
                self.put(plant::snapshot(key, "vol-gone", 8, old).tagged(&tags), Bait::Only(act));
            }
            Act::ExpireSnapshot | Act::ExpireImage | Act::SendNotification => {}
        }
    }
}

/// In half of the floods the account of the flood is disarmed before anything falls due, for so many hours, and there
/// is another one that stays armed.
pub(super) fn a_disarmed_account(seed: u64, places: &mut Vec<Place>) -> Option<i64> {
    let mut rng = Rng::new(seed, "disarmed");
    if !rng.chance(50) {
        return None;
    }
    if places.iter().all(|own| own.account == places[0].account) {
        let account = AccountId::new("444455556666").expect("twelve digits");
        places.push(Place { account, region: places[0].region.clone() });
    }
    Some(rng.between(5 * 24, 15 * 24))
}

/// That somebody disarms the first account early on.
pub(super) fn disarms(scene: &Scene, hours: i64) -> Fault {
    let at = scene.world.start + TimeDelta::minutes(90);
    Fault { kind: FaultKind::DisarmGap, what: What::Time(at, Deed::Disarm(hours)) }
}

/// A hundred dollars a day.
pub(super) fn spend(account: &AccountId) -> Spend {
    Spend {
        account: account.clone(),
        service: "Amazon Elastic Compute Cloud".into(),
        tags: Default::default(),
        per_day: Usd::dollars(100),
        span: Default::default(),
    }
}

fn lock(planted: &mut Planted) {
    if let Detail::Snapshot(snapshot) = &mut planted.resource.detail {
        snapshot.locked = Fact::Known(true);
    }
}
