//! Nights with policies from the state: each is judged by exactly the versions in force at its instant, and a worker
//! that runs on reads them anew for every job.

use std::path::Path;
use std::sync::Arc;

use costwarden::app::WorldApp;
use costwarden::cloud::CloudAct;
use costwarden::cloud::sim::World;
use costwarden::domain::Instant;
use costwarden::domain::finding::State;
use costwarden::domain::mode::Mode;
use costwarden::policy::lifecycle::{By, Edit};
use costwarden::store::{FindingFilter, Store};
use costwarden::worker::jobs::scan::Choice;
use costwarden::worker::nightly::{Loaded, Nightly};
use costwarden::worker::outlets::Outlets;
use costwarden::worker::policies::{Desk, draft};
use costwarden::worker::supervise::Work;

const WORLD: &str = "name: disks\nstart: 2026-09-01T00:00:00Z\ndays: 60\naccounts:\n  \"111122223333\":\n    regions:\n      \
                     us-east-1:\n        volumes:\n          - { id: vol-0idle, size_gib: 100, created: -90d, tags: { owner: \
                     anna@example.com } }\nsettings:\n  policy_source: store\n  owners: { allowed_domains: [example.com] }\n";

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

fn policy(days: u32) -> String {
    format!(
        "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: disks\nspec:\n  type: Waste\n  mode: enforce\n  \
         rules:\n    - name: unattached\n      check: unattached-volume\n      parameters:\n        days: {days}\n"
    )
}

fn day(number: u32) -> Instant {
    format!("2026-09-{number:02}T00:00:00Z").parse().unwrap()
}

/// A running worker and a desk at which people decide, on one state.
struct House {
    app: WorldApp,
    nightly: Nightly,
    store: Store,
    _folder: tempfile::TempDir,
}

impl House {
    fn open() -> House {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("world.yaml");
        std::fs::write(&file, WORLD).unwrap();
        let app = WorldApp::open(World::load(&file).unwrap(), Mode::Observe).unwrap();
        let context = app.context(Store::open_in(folder.path()).unwrap()).unwrap();
        let outlets = Arc::new(Outlets::folders(folder.path(), "costwarden@example.com").unwrap());
        let actor: Arc<dyn CloudAct> = Arc::new(app.cloud.actor());
        let nightly = Nightly::new(Loaded { context, outlets }, actor, Box::new(|_| panic!("nobody asks to reload")));
        let store = Store::open_in(folder.path()).unwrap();
        House { app, nightly, store, _folder: folder }
    }

    fn desk(&self) -> Desk<'_> {
        Desk { store: &self.store, everyone: &[], zone: chrono_tz::UTC }
    }

    /// The night of a day: open findings with the version that each carries.
    async fn night(&self, number: u32) -> Vec<(String, Option<String>)> {
        self.app.clock.advance_to(day(number) + chrono::TimeDelta::hours(2));
        let work = Work::default();
        self.nightly.scan_night(&Choice::default(), &work).await.unwrap();
        let found = self.store.findings(&FindingFilter::default()).unwrap();
        let open = found.into_iter().filter(|finding| finding.state == State::Open);
        open.map(|finding| (finding.key.id.to_string(), finding.policy_version)).collect()
    }
}

fn carrying(version: &str) -> Vec<(String, Option<String>)> {
    vec![("vol-0idle".to_owned(), Some(version.to_owned()))]
}

#[tokio::test]
async fn l5_l8_l9_t6_a_night_is_judged_by_the_version_in_force_and_writes_it_into_the_finding() {
    let house = House::open();
    let desk = house.desk();
    let by = |who, number| By { who, at: day(number) };
    let file = Path::new("disks.yaml");
    let made = desk.create(&draft(file, &policy(3)).unwrap(), by(ANN, 8)).unwrap().record;
    let id = made.id.as_str();
    assert_eq!(house.night(8).await, [], "a draft judges nothing");
    desk.submit(id, &[BOB.to_owned()], by(ANN, 9)).unwrap();
    desk.approve(id, None, None, by(BOB, 9)).unwrap();
    assert_eq!(house.night(9).await, [], "nor does what is only approved");
    desk.activate(id, Some(day(11)), by(ANN, 9)).unwrap();
    assert_eq!(house.night(10).await, [], "nor what begins tomorrow");
    assert_eq!(house.night(11).await, carrying("0.1.0"), "the worker saw it without a restart");

    // Four days of patience more would still find it; a hundred would not, and wait for Bob.
    desk.update(id, &draft(file, &policy(100)).unwrap(), by(ANN, 12), Edit::default()).unwrap();
    assert_eq!(house.night(12).await, carrying("0.1.0"), "under review the old one stays");
    desk.request_changes(id, "too long", by(BOB, 13)).unwrap();
    desk.update(id, &draft(file, &policy(7)).unwrap(), by(ANN, 13), Edit::default()).unwrap();
    desk.submit(id, &[BOB.to_owned()], by(ANN, 13)).unwrap();
    desk.approve(id, None, None, by(BOB, 13)).unwrap();
    assert_eq!(house.night(13).await, carrying("0.1.0"), "approved is not in force");
    desk.activate(id, Some(day(15)), by(ANN, 13)).unwrap();
    assert_eq!(house.night(14).await, carrying("0.1.0"));
    assert_eq!(house.night(15).await, carrying("2.0.0"));

    desk.deprecate(id, day(17), "merged", None, by(ANN, 15)).unwrap();
    assert_eq!(house.night(16).await, carrying("2.0.0"), "until its date");
    assert_eq!(house.night(17).await, [], "and not after it");
}

#[test]
fn l8_a_scan_of_a_world_on_the_command_line_uses_what_the_state_has_in_force() {
    let house = House::open();
    let by = |who| By { who, at: day(1) };
    let made = house.desk().create(&draft(Path::new("disks.yaml"), &policy(7)).unwrap(), by(ANN)).unwrap().record;
    house.desk().submit(&made.id, &[BOB.to_owned()], by(ANN)).unwrap();
    house.desk().approve(&made.id, None, None, by(BOB)).unwrap();
    house.desk().activate(&made.id, Some(day(5)), by(ANN)).unwrap();
    let folder = house._folder.path().to_owned();
    drop(house.nightly);
    let table = crate::cli::Desk::empty();
    let scan = |at: &str| {
        let (world, db) = (folder.join("world.yaml"), folder.display().to_string());
        let world = world.display().to_string();
        let json = table.call(&["scan", "--world", &world, "--as-of", at, "--db", &db, "-o", "json"]).json();
        let rows = json["findings"].as_array().unwrap().clone();
        rows.iter().map(|row| row["policy_version"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(scan("2026-09-04T02:00:00Z"), [] as [serde_json::Value; 0]);
    for number in 5..9 {
        scan(&format!("2026-09-0{number}T02:00:00Z"));
    }
    assert_eq!(scan("2026-09-20T02:00:00Z"), ["0.1.0"]);
}
