//! A small account that the worker lives in: scans, acts and reports at their slots on a clock that jumps.
//!
//! A replay plants the resources and the fault of its incident, plays days, and asks the simulated cloud's own log what
//! reached it. Everything that settings can allow is allowed, so that what holds is the guard under test and not a
//! switch. Faults that were planted and never met make the replay fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::app::WorldApp;
use costwarden::cloud::sim::{
    CallRecord, Change, Effect, Event, Fault, Form, Planted, SimCloud, Span, Usage, World, plant,
};
use costwarden::domain::Instant;
use costwarden::domain::finding::Finding;
use costwarden::domain::mode::{Arming, Mode};
use costwarden::domain::place::{AccountId, Kind, Place, Region};
use costwarden::domain::plan::HoldCode;
use costwarden::domain::report::{Report, ReportKind};
use costwarden::store::{FindingFilter, Store};
use costwarden::worker::context::Context;
use costwarden::worker::jobs::{plan, report};
use costwarden::worker::nightly::{Loaded, Nightly};
use costwarden::worker::outlets::Outlets;
use costwarden::worker::play::play;
use costwarden::worker::schedule::Schedule;
use serde_json::json;
use tempfile::TempDir;

pub const ACCOUNT: &str = "111122223333";

/// Idle instances are told, and stopped a day later.
pub const IDLE: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: idle }\nspec:\n  type: Waste\n  \
                        rules:\n    - { name: quiet, check: idle-instance, severity: high, action: stop }\n";

/// Volumes that nothing uses are told, and deleted after two weeks.
pub const ORPHANS: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: orphans }\nspec:\n  type: Waste\n  rules:\n    - { \
     name: unattached, check: unattached-volume, severity: high, action: delete }\n";

/// A missing cost-center is added.
pub const TAGS: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: tags }\nspec:\n  type: \
                        TagRequirement\n  severity: high\n  rules:\n    - name: cost-center\n      action: tag\n      \
                        requiredTags: [{ key: cost-center, default: CC-000000 }]\n      scope: [compute/instance, \
                        storage/volume]\n";

/// Monday, midnight.
pub fn start() -> Instant {
    "2026-09-07T00:00:00Z".parse().unwrap()
}

/// So many days and hours after the start.
pub fn at(days: i64, hours: i64) -> Instant {
    start() + TimeDelta::days(days) + TimeDelta::hours(hours)
}

pub fn place() -> Place {
    Place { account: AccountId::new(ACCOUNT).unwrap(), region: Region::new("us-east-1").unwrap() }
}

const OWNED: &[(&str, &str)] = &[("owner", "ann@example.com"), ("cost-center", "CC-001234")];

/// An instance that does nothing, `i-0NAME`, with its root volume `vol-0NAME`.
pub fn idle(name: &str) -> Vec<Planted> {
    machine(name, Usage::constant(1.4, 120_000.0, 80_000.0))
}

/// An instance at work.
pub fn busy(name: &str) -> Vec<Planted> {
    machine(name, Usage::constant(46.0, 2e9, 3e9))
}

fn machine(name: &str, usage: Usage) -> Vec<Planted> {
    let launched = start() - TimeDelta::days(60);
    let place = place();
    let key = place.partition(Kind::Instance).key(&format!("i-0{name}"));
    let mut host = plant::instance(key, "m5.large", launched).tagged(OWNED).used(usage);
    let key = place.partition(Kind::Volume).key(&format!("vol-0{name}"));
    let mut root = plant::volume(key, "gp3", 20, launched).tagged(OWNED);
    plant::attach(&mut host, &mut root, "/dev/xvda", true);
    vec![host, root]
}

/// A volume that nothing uses, `vol-0NAME`, made long ago.
pub fn orphan(name: &str) -> Planted {
    let key = place().partition(Kind::Volume).key(&format!("vol-0{name}"));
    plant::volume(key, "gp2", 50, start() - TimeDelta::days(400)).tagged(OWNED)
}

/// One more tag on a planted resource.
pub fn with_tag(planted: Planted, key: &str, value: &str) -> Planted {
    let mut tags: Vec<(&str, &str)> = OWNED.to_vec();
    tags.push((key, value));
    planted.tagged(&tags)
}

/// What somebody does at an instant.
pub fn event(at: Instant, change: Change) -> Event {
    Event { at, by: "ann".into(), change }
}

/// A fault on reads, from one instant until another.
pub fn fault(operation: &str, effect: Effect, from: Instant, until: Instant) -> Fault {
    Fault { span: Span { from: Some(from), until: Some(until) }, ..Fault::on(operation, effect) }
}

/// A fault on changes, not on the question for permission before them.
pub fn refused(operation: &str, effect: Effect) -> Fault {
    Fault { form: Some(Form::Change), ..Fault::on(operation, effect) }
}

pub struct Story {
    pub app: WorldApp,
    nightly: Nightly,
    schedule: Schedule,
    folder: TempDir,
}

impl Story {
    /// One armed account in mode enforce with the policies [`IDLE`] and [`ORPHANS`], as `change` makes it.
    pub fn open(change: impl FnOnce(&mut World)) -> Story {
        let mut world = World::empty(start()).with_account(ACCOUNT, &["us-east-1"]).unwrap();
        world.policies = vec![IDLE.into(), ORPHANS.into()];
        world.settings = Some(json!({
            "enforcement": {
                "mode": "enforce", "allow_auto_delete_volumes": true, "breaker_count": 100,
                "pace": { "percent_of_kind_per_day": 100 }
            },
            "owners": { "allowed_domains": ["example.com"], "default_owner": "team@example.com" },
            "reports": { "to": ["boss@example.com"] }
        }));
        change(&mut world);
        let app = WorldApp::open(world, Mode::Enforce).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let context = app.context(Store::in_memory().unwrap()).unwrap();
        for account in &app.settings.accounts {
            let arming = Arming {
                account: account.id.clone(),
                by: "eve".into(),
                at: start(),
                until: start() + TimeDelta::days(90),
                policies: context.rules.hashes.clone().into_iter().collect(),
            };
            context.store.arm(&arming).unwrap();
        }
        let outlets = Arc::new(Outlets::folders(folder.path(), "costwarden@example.com").unwrap());
        let schedule = Schedule::new(&app.settings.schedule, app.settings.zone).unwrap();
        let nightly = Nightly::new(
            Loaded { context, outlets },
            Arc::new(app.cloud.actor()),
            Box::new(|_| anyhow::bail!("a story does not reload")),
        );
        Story { app, nightly, schedule, folder }
    }

    /// Plays on to an instant.
    pub async fn until(&self, until: Instant) {
        let before = |nightly: &Nightly| {
            let mut context = nightly.context();
            context.settings = Arc::new(self.app.settings_at(self.app.clock.now()));
            nightly.replace(context);
            Ok(())
        };
        play(&self.nightly, &self.schedule, &self.app.clock, until, &[], before, |_, _| Ok(())).await.unwrap();
    }

    /// Runs the acting job once more, now.
    pub async fn act_again(&self) {
        self.nightly.act_night(&costwarden::worker::supervise::Work::default()).await.unwrap();
    }

    pub fn cx(&self) -> Context {
        self.nightly.context()
    }

    pub fn cloud(&self) -> &SimCloud {
        &self.app.cloud
    }

    /// Every request that could have changed the account, in order.
    pub fn changes(&self) -> Vec<CallRecord> {
        self.cloud().calls().into_iter().filter(CallRecord::mutating).collect()
    }

    /// Those that are no snapshots, as `Operation id`, in order.
    pub fn acts(&self) -> Vec<String> {
        let made = self.changes().into_iter().filter(|call| !call.operation.starts_with("CreateSnapshot"));
        made.map(|call| format!("{} {}", call.operation, call.target.unwrap_or_default())).collect()
    }

    /// How many of them fell on each day of the story.
    pub fn acts_by_day(&self) -> BTreeMap<i64, usize> {
        let mut days = BTreeMap::new();
        for call in self.changes().iter().filter(|call| !call.operation.starts_with("CreateSnapshot")) {
            *days.entry((call.at - start()).num_days()).or_default() += 1;
        }
        days
    }

    /// Every finding, by the resource's id.
    pub fn findings(&self) -> BTreeMap<String, Finding> {
        let all = self.cx().store.findings(&FindingFilter::default()).unwrap();
        all.into_iter().map(|finding| (finding.key.id.to_string(), finding)).collect()
    }

    pub fn finding(&self, id: &str) -> Finding {
        self.findings().remove(id).unwrap_or_else(|| panic!("no finding on {id}"))
    }

    /// What a plan made now holds, with which code and why.
    pub async fn held(&self) -> BTreeMap<String, (HoldCode, String)> {
        let planned = plan::plan(&self.cx(), false).await.unwrap();
        planned.held.into_iter().map(|row| (row.key.id.to_string(), (row.code, row.reason))).collect()
    }

    /// The state of a resource as it really is.
    pub fn truth(&self, id: &str) -> String {
        self.cloud().truth(|truth| truth.resource(id).map_or("gone".into(), |resource| resource.state().to_owned()))
    }

    /// The week's report.
    pub fn report(&self) -> Report {
        let now = self.app.clock.now();
        report::make_for(&self.cx(), ReportKind::Weekly, now - TimeDelta::days(7), now).unwrap()
    }

    /// Every mail so far, whole.
    pub fn mails(&self) -> Vec<String> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.folder.path().join("mail")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    pub fn frozen(&self) -> Option<String> {
        self.cx().store.frozen().unwrap().map(|freeze| freeze.reason)
    }
}

/// A replay that did not meet its fault proves nothing.
impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let hits = self.cloud().fault_hits();
            assert!(hits.iter().all(|hits| *hits > 0), "a planted fault was never met: {hits:?}");
        }
    }
}
