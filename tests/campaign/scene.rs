//! One seed's world: what is there, what people will do, what goes wrong, and what nobody may touch.
//!
//! Every resource invites an act; a [`Bait`] gives one reason why it must not happen. The judge knows that reason from
//! here, never from the program.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, TimeDelta};
use costwarden::cloud::sim::{Change, Event, Planted, Usage, World, plant};
use costwarden::domain::Instant;
use costwarden::domain::fact::Fact;
use costwarden::domain::finding::Act;
use costwarden::domain::mode::{Breaker, Mode, Pace, Window};
use costwarden::domain::place::{AccountId, Kind, Place, Region};
use costwarden::domain::resource::Lifecycle;
use costwarden::settings::Settings;

use crate::faults::{self, Planned};
use crate::policies::{COST_CENTER, Severity};
use crate::rng::Rng;

mod more;

/// Why a resource that looks like waste must be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bait {
    /// Nothing forbids it: the worker shall act.
    None,
    /// Nothing forbids this act, and nothing asks for another one.
    Only(Act),
    /// It is in use.
    InUse,
    /// `costwarden:protect`.
    ProtectTag,
    /// The settings' protect list.
    ProtectList,
    /// Termination or stop protection.
    Flag,
    /// A tag or EC2's operator field names a manager.
    Managed,
    /// Bought as Spot.
    Spot,
    /// Local disks, by block map or by type.
    LocalDisks,
    /// An auto-assigned address.
    PublicAddress,
    /// `costwarden:keep-until`, a date beyond the world's end, or no date at all.
    KeepUntil,
    /// Attached now and then.
    Flapping,
    /// Nobody can be told of it.
    NoOwner,
    /// In a Region that the settings do not list.
    Elsewhere,
}

/// What the judge knows about one resource.
#[derive(Clone, Debug)]
pub struct Card {
    pub kind: Kind,
    pub bait: Bait,
}

/// One world.
pub struct Scene {
    pub seed: u64,
    pub world: World,
    pub settings: Settings,
    pub severity: Severity,
    pub people: u8,
    /// Where the fault-free last days begin.
    pub calm_from: Instant,
    pub end: Instant,
    pub cards: BTreeMap<String, Card>,
    pub planned: Vec<Planned>,
    pub lag: TimeDelta,
    /// More waste than one policy may act on at once, until somebody arms again.
    pub flood: bool,
    /// What is idle is terminated, not stopped.
    pub ends: bool,
    /// Some volumes are encrypted.
    pub encrypted: bool,
}

const OWNER: &str = "ann@example.com";
/// Markers of managers, one of each sort.
const MARKERS: [(&str, &str); 12] = [
    ("aws:autoscaling:groupName", "web"),
    ("eks:cluster-name", "prod"),
    ("kubernetes.io/cluster/prod", "owned"),
    ("aws:cloudformation:stack-name", "net"),
    ("aws:elasticmapreduce:job-flow-id", "j-1"),
    ("aws:backup:source-resource", "x"),
    ("karpenter.sh/nodepool", "default"),
    ("ebs.csi.aws.com/cluster", "true"),
    ("terraform", "true"),
    ("managed-by", "pulumi"),
    ("AWSBatchServiceTag", "batch"),
    ("elasticbeanstalk:environment-name", "shop"),
];

/// Days without a new fault at the end of each world: a notice, its grace and the act fit into them.
const CALM_DAYS: i64 = 12;

/// Makes the world of a seed. `only` keeps some of its faults, by their numbers, for finding the shortest list.
pub fn make(seed: u64, only: Option<&[usize]>) -> Scene {
    let mut rng = Rng::new(seed, "scene");
    let start = day("2026-01-05") + TimeDelta::days(rng.between(0, 600)) + TimeDelta::minutes(rng.between(0, 1439));
    let longest = if rng.chance(6) { 90 } else { 33 };
    let length = rng.between(30, longest);
    let end = start + TimeDelta::days(length);
    let severity = *rng.pick(&[Severity::High, Severity::High, Severity::Critical, Severity::Medium]);
    let people = *rng.pick(&[0, 0, 0, 1, 2, 2]);
    let mut places = places(&mut rng);
    let flood = rng.chance(6);
    let disarmed = if flood { more::a_disarmed_account(seed, &mut places) } else { None };
    // What came later has a stream of its own.
    let mut more = Rng::new(seed, "more");
    let ends = more.chance(15);
    let bin = more.chance(70).then_some(7);
    let mut world = World::empty(start);
    world.seed = seed;
    // Now and then the settings claim a rule that is not there.
    world.timing.recycle_bin_days = bin.filter(|_| !more.chance(4));
    world.timing.page_size = *rng.pick(&[2, 3, 100]);
    let lag = if rng.chance(40) { rng.between(1, 300) as u32 } else { 0 };
    world.timing.visibility_lag = (lag / 2, lag);
    for place in &places {
        world = with_place(world, place);
    }
    let mut scene = Scene {
        seed,
        settings: settings(&mut rng, &places, flood),
        world,
        severity,
        people,
        calm_from: end - TimeDelta::days(CALM_DAYS),
        end,
        cards: BTreeMap::new(),
        planned: Vec::new(),
        lag: TimeDelta::seconds(i64::from(lag)),
        flood,
        ends,
        encrypted: false,
    };
    scene.settings.enforcement.allow_auto_terminate = ends && more.chance(90);
    scene.settings.enforcement.recycle_bin_days = bin;
    scene.settings.costs.enabled = more.chance(50);
    if scene.settings.costs.enabled {
        scene.world.spend = scene.settings.accounts.iter().map(|own| more::spend(&own.id)).collect();
    }
    for (number, place) in places.iter().enumerate() {
        scene.furnish(&mut rng, place, number);
        scene.furnish_more(&mut more, place, number);
    }
    if disarmed.is_some() {
        scene.flood_more(&places[0]);
    }
    if rng.chance(10) {
        let elsewhere = Place { account: places[0].account.clone(), region: Region::new("sa-east-1").unwrap() };
        scene.world = with_place(std::mem::replace(&mut scene.world, World::empty(start)), &elsewhere);
        scene.add_instance(&mut rng, &elsewhere, "i-9elsewhere", Bait::Elsewhere);
    }
    scene.encrypt(&mut Rng::new(seed, "keys"));
    scene.plan_human_changes(&mut rng);
    if Rng::new(seed, "drills").chance(25) {
        scene.settings.drill_every_days = 7;
    }
    scene.planned = faults::plan(&scene, &mut Rng::new(seed, "faults"));
    scene.planned.extend(disarmed.map(|hours| more::disarms(&scene, hours)));
    if let Some(only) = only {
        let mut number = 0;
        scene.planned.retain(|_| {
            number += 1;
            only.contains(&(number - 1))
        });
    }
    scene
}

/// The acts of a crowd, by its number: those that need much beside them have one for themselves.
pub const CROWDS: [&[Act]; 4] = [
    &[Act::StopInstance, Act::DeleteVolume],
    &[Act::ResizeInstance],
    &[Act::TerminateInstance, Act::AddTags],
    &[Act::ModifyVolume, Act::ReleaseAddress, Act::DeleteSnapshot],
];

/// How many of a crowd there are for an act: more where there are more points to die at.
fn size_of(act: Act) -> usize {
    match act {
        Act::StopInstance | Act::DeleteVolume | Act::ResizeInstance => 36,
        Act::TerminateInstance => 48,
        _ => 26,
    }
}

/// A world for crashes alone: resources for each act of its crowd, all due on the same day, with nothing in the way.
pub fn crowd(seed: u64) -> Scene {
    let sizes: Vec<(Act, usize)> = crowd_of(seed).iter().map(|act| (*act, size_of(*act))).collect();
    crowd_with(seed, &sizes)
}

/// The same with so many for each of these acts.
pub fn crowd_with(seed: u64, sizes: &[(Act, usize)]) -> Scene {
    let mut rng = Rng::new(seed, "crowd");
    let start = day("2026-01-05") + TimeDelta::days(rng.between(0, 600));
    let place = places(&mut Rng::new(0, "crowd")).remove(0);
    let mut settings = settings(&mut rng, std::slice::from_ref(&place), false);
    let enforcement = &mut settings.enforcement;
    enforcement.allow_auto_delete_volumes = true;
    enforcement.allow_auto_terminate = true;
    enforcement.recycle_bin_days = Some(30);
    enforcement.create_snapshot_before_stop = true;
    enforcement.breaker = Breaker { count: 100_000, percent_of_kind: 100, usd: None, owners: None };
    enforcement.window = Window {
        days: [0, 1, 2, 3, 4, 5, 6].map(|day| chrono::Weekday::try_from(day).expect("a weekday")).into(),
        from: chrono::NaiveTime::MIN,
        to: chrono::NaiveTime::from_hms_opt(23, 59, 0).expect("a time"),
        ..Window::default()
    };
    settings.zone = chrono_tz::UTC;
    let lag = if rng.chance(50) { rng.between(1, 200) as u32 } else { 0 };
    let mut world = with_place(World::empty(start), &place);
    world.seed = seed;
    world.timing.visibility_lag = (lag / 2, lag);
    world.timing.recycle_bin_days = Some(30);
    let mut scene = Scene {
        seed,
        settings,
        world,
        severity: Severity::High,
        people: 0,
        calm_from: start + TimeDelta::days(90),
        end: start + TimeDelta::days(90),
        cards: BTreeMap::new(),
        planned: Vec::new(),
        lag: TimeDelta::seconds(i64::from(lag)),
        flood: false,
        ends: sizes.iter().any(|(act, _)| *act == Act::TerminateInstance),
        encrypted: false,
    };
    for (act, size) in sizes {
        for number in 0..*size {
            scene.add_one_of_a_crowd(&place, *act, number);
        }
    }
    scene
}

/// The acts of a seed's crowd. Every fifth is a resize, which has most points.
pub fn crowd_of(seed: u64) -> &'static [Act] {
    CROWDS[[0, 1, 2, 3, 1][(seed % 5) as usize]]
}

/// How many crowds of the same acts have smaller seeds.
pub fn crowds_before(seed: u64) -> u64 {
    let (rounds, place) = (seed / 5, seed % 5);
    if crowd_of(place) == CROWDS[1] { 2 * rounds + place / 4 } else { rounds }
}

/// Midnight of a day.
pub fn day(text: &str) -> Instant {
    let day: NaiveDate = text.parse().expect("a date");
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

fn places(rng: &mut Rng) -> Vec<Place> {
    let place = |account: &str, region: &str| Place {
        account: AccountId::new(account).expect("twelve digits"),
        region: Region::new(region).expect("a Region"),
    };
    let mut places = vec![place("111122223333", "eu-central-1")];
    if rng.chance(8) {
        places.push(place("111122223333", "us-east-1"));
    }
    if rng.chance(8) {
        places.push(place("444455556666", "eu-central-1"));
    }
    places
}

fn with_place(mut world: World, place: &Place) -> World {
    match world.accounts.iter_mut().find(|account| account.id == place.account) {
        Some(account) => account.regions.push(place.region.clone()),
        None => world = world.with_account(place.account.as_str(), &[place.region.as_str()]).expect("good names"),
    }
    world
}

fn settings(rng: &mut Rng, places: &[Place], flood: bool) -> Settings {
    let mut settings = base_settings().clone();
    settings.accounts.clear();
    for place in places {
        match settings.accounts.iter_mut().find(|account| account.id == place.account) {
            Some(account) => account.regions.push(place.region.clone()),
            None => settings.accounts.push(costwarden::settings::AccountSettings {
                id: place.account.clone(),
                name: None,
                role_arn: None,
                external_id: None,
                actor_role_arn: None,
                regions: vec![place.region.clone()],
                contact: None,
            }),
        }
    }
    let enforcement = &mut settings.enforcement;
    enforcement.mode = Mode::Enforce;
    enforcement.allow_auto_delete_volumes = rng.chance(90);
    enforcement.create_snapshot_before_stop = rng.chance(80);
    enforcement.allow_public_ip_loss = false;
    enforcement.pace = Pace {
        destructive_per_run: *rng.pick(&[1, 2, 3, 3, 0]),
        disruptive_per_run: *rng.pick(&[1, 2, 10, 10, 0]),
        destructive_per_day: *rng.pick(&[1, 3, 10]),
        tags_per_run: *rng.pick(&[1, 3, 500, 0]),
        percent_of_kind_per_day: *rng.pick(&[5, 50, 100, 100, 0]),
    };
    enforcement.breaker = Breaker { count: if flood { 2 } else { 20 }, percent_of_kind: 0, usd: None, owners: None };
    enforcement.window = window(rng);
    enforcement.protect = vec!["tag:never=true".into()];
    let schedule = &mut settings.schedule;
    let days = *rng.pick(&["1,3", "1,3", "1,3", "1,3", "1,3", "2,4", "2,4", "1-4"]);
    schedule.scan = format!("0 2 * * {days}");
    schedule.act = format!("0 10 * * {days}");
    schedule.daily = "0 16 1,15 * *".into();
    schedule.weekly = "30 16 28 * *".into();
    settings.zone = enforcement.window.zone;
    settings
}

fn base_settings() -> &'static Settings {
    static BASE: std::sync::OnceLock<Settings> = std::sync::OnceLock::new();
    BASE.get_or_init(|| {
        let mut settings = costwarden::settings::defaults_for_world();
        settings.owners.allowed_domains = vec!["example.com".into()];
        settings.owners.default_owner = None;
        settings.approvals.finops = vec!["fin@example.com".into(), "fay@example.com".into()];
        settings.approvals.security = vec!["sec@example.com".into()];
        settings.approvals.finops_for = vec!["waste".into(), "tags".into()];
        settings.reports.to = vec!["compliance@example.com".into()];
        settings
    })
}

fn window(rng: &mut Rng) -> Window {
    let zone = *rng.pick(&[chrono_tz::UTC, chrono_tz::Europe::Berlin, chrono_tz::America::New_York]);
    let holidays = (0..rng.below(3)).map(|_| (day("2026-01-05") + TimeDelta::days(rng.between(0, 640))).date_naive());
    Window { zone, holidays: holidays.collect(), ..Window::default() }
}

impl Scene {
    fn furnish(&mut self, rng: &mut Rng, place: &Place, number: usize) {
        const INSTANCE: [Bait; 12] = [
            Bait::None,
            Bait::InUse,
            Bait::ProtectTag,
            Bait::ProtectList,
            Bait::Flag,
            Bait::Managed,
            Bait::Spot,
            Bait::LocalDisks,
            Bait::PublicAddress,
            Bait::KeepUntil,
            Bait::NoOwner,
            Bait::None,
        ];
        const VOLUME: [Bait; 8] = [
            Bait::None,
            Bait::InUse,
            Bait::ProtectTag,
            Bait::ProtectList,
            Bait::Managed,
            Bait::KeepUntil,
            Bait::Flapping,
            Bait::NoOwner,
        ];
        let waste = if self.flood && number == 0 { 4 } else { rng.between(1, 2) };
        for index in 0..waste {
            self.add_instance(rng, place, &format!("i-{number}w{index}"), Bait::None);
        }
        for index in 0..rng.between(1, 2) {
            let bait = *rng.pick(&INSTANCE);
            self.add_instance(rng, place, &format!("i-{number}b{index}"), bait);
        }
        for index in 0..rng.between(1, 2) {
            self.add_volume(rng, place, &format!("vol-{number}w{index}"), Bait::None);
        }
        for index in 0..rng.between(1, 2) {
            let bait = *rng.pick(&VOLUME);
            self.add_volume(rng, place, &format!("vol-{number}b{index}"), bait);
        }
    }

    fn add_instance(&mut self, rng: &mut Rng, place: &Place, id: &str, bait: Bait) {
        let kind = if bait == Bait::LocalDisks && rng.chance(50) { "m5d.large" } else { "m5.large" };
        self.add_instance_of(rng, place, id, kind, bait);
    }

    fn add_instance_of(&mut self, rng: &mut Rng, place: &Place, id: &str, kind: &str, bait: Bait) {
        let launched = self.world.start - TimeDelta::days(rng.between(3, 90));
        let mut instance = plant::instance(place.partition(Kind::Instance).key(id), kind, launched);
        let busy = if matches!(bait, Bait::InUse | Bait::Only(_)) { 45.0 } else { 1.5 };
        instance = instance.used(Usage::constant(busy, 100_000.0, 100_000.0));
        let mut tags = self.tags(rng, bait);
        instance = match bait {
            Bait::Flag if rng.chance(50) => instance.with_instance(|own| own.stop_protected = Fact::Known(true)),
            Bait::Flag => instance.with_instance(|own| own.termination_protected = Fact::Known(true)),
            Bait::Managed if rng.chance(20) => {
                instance.with_instance(|own| own.operator = Some("eks.amazonaws.com".into()))
            }
            Bait::Managed => {
                let (key, value) = *rng.pick(&MARKERS);
                tags.push((key, value));
                instance
            }
            Bait::Spot => instance.with_instance(|own| own.lifecycle = Lifecycle::Spot),
            Bait::LocalDisks if !kind.starts_with("m5d") => {
                instance.with_instance(|own| own.instance_store = Fact::Known(true))
            }
            Bait::PublicAddress => {
                instance.with_instance(|own| own.auto_public_ip = Fact::Known("198.51.100.9".into()))
            }
            _ => instance,
        };
        instance = instance.tagged(&tags);
        let mut volumes = Vec::new();
        for number in 0..rng.between(1, 2) {
            let key = place.partition(Kind::Volume).key(&format!("vol-{}{number}", id.replace("i-", "of")));
            let mut volume = plant::volume(key, "gp3", rng.between(8, 100) as u32, launched)
                .tagged(&[COST_CENTER, ("owner", OWNER)]);
            plant::attach(&mut instance, &mut volume, &format!("/dev/sd{number}"), number == 0);
            volumes.push(volume);
        }
        for planted in std::iter::once(instance).chain(volumes) {
            let own = &*planted.resource.key.id == id;
            self.put(planted, if own { bait } else { Bait::InUse });
        }
    }

    fn add_volume(&mut self, rng: &mut Rng, place: &Place, id: &str, bait: Bait) {
        let created = self.world.start - TimeDelta::days(rng.between(1, 60));
        let mut tags = self.tags(rng, bait);
        if bait == Bait::Managed {
            tags.push(*rng.pick(&MARKERS));
        }
        let size = rng.between(8, 200) as u32;
        let sort = if matches!(bait, Bait::Only(_)) || size.is_multiple_of(4) { "gp2" } else { "gp3" };
        let mut volume = plant::volume(place.partition(Kind::Volume).key(id), sort, size, created).tagged(&tags);
        match bait {
            Bait::InUse | Bait::Only(_) => {
                // A host of its own, which is busy.
                let key = place.partition(Kind::Instance).key(&id.replace("vol-", "i-host"));
                let mut host = plant::instance(key, "m5.large", created)
                    .used(Usage::constant(40.0, 1e9, 1e9))
                    .tagged(&[COST_CENTER, ("owner", OWNER)]);
                plant::attach(&mut host, &mut volume, "/dev/sdf", false);
                self.put(host, Bait::InUse);
            }
            Bait::Flapping => {
                let key = place.partition(Kind::Instance).key(&id.replace("vol-", "i-host"));
                let host = plant::instance(key.clone(), "m5.large", created)
                    .used(Usage::constant(40.0, 1e9, 1e9))
                    .tagged(&[COST_CENTER, ("owner", OWNER)]);
                self.put(host, Bait::InUse);
                self.flap(rng, id, &key.id);
            }
            _ => {}
        }
        self.put(volume, bait);
    }

    /// Attached for a day at least every thirteen days: never unattached for fourteen.
    fn flap(&mut self, rng: &mut Rng, volume: &str, host: &str) {
        let mut at = self.world.start + TimeDelta::hours(rng.between(1, 200));
        while at < self.end {
            let (volume, host) = (volume.to_owned(), host.to_owned());
            let attach = Change::Attach { volume: volume.clone(), instance: host, device: "/dev/sdg".into() };
            self.event(at, "csi-driver", attach);
            // Over a whole week: at least one scan sees it.
            at += TimeDelta::days(7);
            self.event(at, "csi-driver", Change::Detach(volume));
            at += TimeDelta::hours(rng.between(12, 6 * 24));
        }
    }

    fn tags(&self, rng: &mut Rng, bait: Bait) -> Vec<(&'static str, &'static str)> {
        let mut tags = vec![("Name", "box")];
        if bait != Bait::NoOwner {
            tags.push(("owner", OWNER));
        }
        if !rng.chance(40) {
            tags.push(COST_CENTER);
        }
        match bait {
            Bait::ProtectTag => tags.push(("costwarden:protect", "yes")),
            Bait::ProtectList => tags.push(("never", "true")),
            // At most 90 days count from when it was first seen; no world is longer.
            Bait::KeepUntil => tags.push(("costwarden:keep-until", *rng.pick(&["2035-01-01", "someday"]))),
            _ => {}
        }
        tags
    }

    fn put(&mut self, planted: Planted, bait: Bait) {
        let key = &planted.resource.key;
        let card = Card { kind: key.kind(), bait };
        self.cards.insert(key.id.to_string(), card);
        self.world.resources.push(planted);
    }

    fn event(&mut self, at: Instant, by: &str, change: Change) {
        self.world.events.push(Event { at, by: by.into(), change });
    }

    /// What people and automation do by themselves: start again what was stopped, use it for some days, tag it.
    fn plan_human_changes(&mut self, rng: &mut Rng) {
        let ids: Vec<(String, Kind)> = self
            .cards
            .iter()
            .filter(|(_, card)| card.bait == Bait::None)
            .map(|(id, card)| (id.clone(), card.kind))
            .collect();
        for (id, kind) in ids {
            if !rng.chance(35) {
                continue;
            }
            let at =
                self.world.start + TimeDelta::hours(rng.between(24, (self.calm_from - self.world.start).num_hours()));
            match (kind, rng.below(3)) {
                (Kind::Instance, 0) => {
                    let busy = Box::new(Usage::constant(60.0, 1e9, 1e9));
                    self.event(at, "ann", Change::Use { instance: id.clone(), usage: busy });
                    let idle = Box::new(Usage::constant(1.0, 1e5, 1e5));
                    let until = at + TimeDelta::days(rng.between(1, 6));
                    self.event(until, "ann", Change::Use { instance: id, usage: idle });
                }
                (Kind::Instance, 1) => self.event(at, "ann", Change::Start(id)),
                _ => {
                    let tags = vec![("project".to_owned(), format!("p{}", rng.below(9)))];
                    self.event(at, "ann", Change::Tag { resource: id, tags });
                }
            }
        }
        self.world.events.sort_by_key(|event| event.at);
    }
}

/// Monday to Sunday as 1 to 7.
pub fn weekday(at: Instant, zone: chrono_tz::Tz) -> u32 {
    at.with_timezone(&zone).weekday().number_from_monday()
}
