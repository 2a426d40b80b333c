//! World files: what is accepted, what is refused and how that is said, and that the shipped ones tell their stories.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{NaiveDate, TimeDelta};
use costwarden::clock::Clock;
use costwarden::cloud::sim::{Change, SimCloud, World};
use costwarden::cloud::{Call, CloudAct, CloudRead, CostGroupBy, CostQuery, read_partition};
use costwarden::domain::budget::CostGroup;
use costwarden::domain::fact::Fact;
use costwarden::domain::mode::Mode;
use costwarden::domain::money::Usd;
use costwarden::domain::place::{InstanceId, Kind, Place, VolumeId};
use costwarden::domain::usage::{Metric, MetricQuery, Statistic, last_midnight};
use costwarden::settings::Settings;

fn shipped(name: &str) -> World {
    World::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/worlds").join(name)).unwrap()
}

fn counts(world: &World) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for planted in &world.resources {
        *counts.entry(planted.resource.kind().noun()).or_default() += 1;
    }
    counts
}

#[test]
fn the_demo_world_holds_two_accounts_with_two_regions_and_a_story_of_forty_five_days() {
    let world = World::demo().unwrap();
    assert_eq!(world.start.to_rfc3339(), "2026-09-07T00:00:00+00:00");
    assert_eq!((world.days, world.places().len()), (45, 4));
    let counts = counts(&world);
    assert_eq!(
        counts,
        BTreeMap::from([("elastic address", 4), ("image", 1), ("instance", 21), ("snapshot", 4), ("volume", 29)])
    );
    assert_eq!(world.policies.len(), 7);
    assert!(world.policies.iter().all(|policy| policy.contains("kind: CostPolicy\n")), "whole documents, no paths");
    assert_eq!(world.settings.as_ref().unwrap()["enforcement"]["mode"], "enforce");
    let last = world.events.iter().map(|event| event.at).max().unwrap();
    assert!(last < world.end(), "{last} is after the end");
}

#[test]
fn the_demo_worlds_policies_and_settings_are_accepted_as_they_stand() {
    let world = World::demo().unwrap();
    let here = Path::new(".");
    let checks = costwarden::checks::infos();
    let policies = world.policies.iter().map(|text| costwarden::policy::parse(Path::new("demo"), text, &checks));
    let policies = costwarden::policy::unite(policies).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(policies.len(), 7);
    for exception in &world.exceptions {
        let policy = policies.iter().find(|policy| policy.name == exception.exception.policy);
        assert!(policy.is_some(), "{} names a policy", exception.exception.id);
    }
    let settings =
        Settings::from_value(world.settings.as_ref().unwrap(), here).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(settings.enforcement.allow_auto_delete_volumes && settings.costs.enabled);
    assert_eq!(settings.enforcement.mode, Mode::Enforce);
    assert!(!settings.enforcement.allow_auto_terminate, "nothing else is loosened");
}

#[tokio::test]
async fn in_the_demo_world_everybody_can_do_what_they_plan() {
    let world = World::demo().unwrap();
    let (start, end, events) = (world.start, world.end(), world.events.len());
    let clock = Clock::virtual_at(start);
    let cloud = SimCloud::new(world, clock.clone()).unwrap();
    // In the story the worker stops the sandbox before its owner starts it; here nobody does, so a start changes nothing.
    clock.advance_to(end);
    let changes = cloud.changes();
    assert_eq!(changes.len(), events);
    let refused: Vec<_> = changes.iter().filter(|change| change.refused.is_some()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    cloud.truth(|truth| {
        assert_eq!(truth.resource("i-0pilot").unwrap().tag("costwarden:keep-until"), Some("2026-09-25"));
        assert_eq!(truth.resource("i-0licence").unwrap().state(), "stopped");
        assert_eq!(truth.resource("vol-0archive").unwrap().state(), "in-use");
        assert_eq!(truth.resource("vol-0ci-cache").unwrap().state(), "available");
        assert!(truth.resource("vol-0bench").is_none());
        assert_eq!(truth.resource("i-0course").unwrap().state(), "running");
    });
}

/// What a week of metrics says about each running instance that is old enough, at an instant.
async fn week(cloud: &SimCloud, places: &[Place]) -> BTreeMap<String, &'static str> {
    let now = cloud.clock().now();
    let (from, to) = (last_midnight(now) - TimeDelta::days(7), last_midnight(now));
    let mut said = BTreeMap::new();
    for place in places {
        let mut instances = Vec::new();
        let partition = place.partition(Kind::Instance);
        let (_, error) = read_partition(&cloud.reader(), &partition, |page| instances.extend(page)).await;
        assert_eq!(error, None);
        for instance in instances {
            let young = instance.created_at.known().is_none_or(|launched| *launched > from);
            if instance.state() != "running" || young {
                continue;
            }
            let query = |metric, statistic| MetricQuery {
                resource: instance.key.id.clone(),
                metric,
                statistic,
                period_seconds: 86_400,
                from,
                to,
            };
            let queries = [
                query(Metric::Cpu, Statistic::Average),
                query(Metric::NetworkIn, Statistic::Sum),
                query(Metric::NetworkOut, Statistic::Sum),
            ];
            let answers = cloud.reader().metrics(place, &queries).await.unwrap();
            let sums: Option<Vec<f64>> = answers
                .iter()
                .map(|series| series.known().filter(|days| days.len() == 7))
                .map(|days| days.map(|days| days.iter().map(|(_, value)| value / 7.0).sum()))
                .collect();
            let verdict = match sums.as_deref() {
                None => "unknown",
                Some([cpu, network_in, network_out]) if *cpu < 5.0 && network_in + network_out < 1e6 => "idle",
                Some(_) => "at work",
            };
            said.insert(instance.key.id.to_string(), verdict);
        }
    }
    said
}

#[tokio::test]
async fn the_demo_worlds_idle_instances_are_these_and_no_others() {
    let world = World::demo().unwrap();
    let (start, places) = (world.start, world.places());
    let clock = Clock::virtual_at(start + TimeDelta::hours(2));
    let cloud = SimCloud::new(world, clock.clone()).unwrap();
    let those = |said: &BTreeMap<String, &str>, word: &str| -> Vec<String> {
        said.iter().filter(|(_, verdict)| **verdict == word).map(|(id, _)| id.clone()).collect()
    };
    let first = week(&cloud, &places).await;
    assert_eq!(
        those(&first, "idle"),
        [
            "i-0audit",
            "i-0bastion",
            "i-0cache",
            "i-0escrow",
            "i-0export",
            "i-0invoice",
            "i-0licence",
            "i-0migrate",
            "i-0pilot",
            "i-0report",
            "i-0sandbox",
            "i-0scaled",
        ]
    );
    assert_eq!(those(&first, "unknown"), ["i-0gap"]);

    // Carla's instance is at work one night after she took it up; the export's metrics cannot be read on day nine.
    clock.advance_to(start + TimeDelta::days(4) + TimeDelta::hours(2));
    let fifth = week(&cloud, &places).await;
    assert_eq!((fifth["i-0migrate"], fifth["i-0gap"]), ("at work", "idle"));
    clock.advance_to(start + TimeDelta::days(8) + TimeDelta::hours(10));
    assert_eq!(week(&cloud, &places).await["i-0export"], "unknown");
    clock.advance_to(start + TimeDelta::days(10) + TimeDelta::hours(10));
    assert_eq!(week(&cloud, &places).await["i-0export"], "idle");
    assert!(!week(&cloud, &places).await.contains_key("i-0course"), "too young");
    clock.advance_to(start + TimeDelta::days(18) + TimeDelta::hours(2));
    assert_eq!(week(&cloud, &places).await["i-0course"], "idle");
}

#[tokio::test]
async fn the_demo_worlds_shop_team_crosses_half_of_its_budget_on_the_eighteenth_and_four_fifths_on_the_twenty_ninth() {
    let world = World::demo().unwrap();
    let account = world.accounts[0].id.clone();
    let clock = Clock::virtual_at(world.end());
    let cloud = SimCloud::new(world, clock).unwrap();
    let day = |text: &str| -> NaiveDate { text.parse().unwrap() };
    let query =
        CostQuery { from: day("2026-09-01"), to: day("2026-10-01"), group_by: CostGroupBy::Tag("cost-center".into()) };
    let rows = cloud.reader().costs(&account, &query).await.unwrap();
    let shop = CostGroup::Tag { key: "cost-center".into(), value: "CC-001234".into() };
    let mut spent = Usd::ZERO;
    let mut crossed = Vec::new();
    for row in rows.iter().filter(|row| row.group == shop) {
        let before = spent;
        spent = spent + row.amount;
        for step in [3_750, 6_000, 7_500] {
            if before < Usd::dollars(step) && spent >= Usd::dollars(step) {
                crossed.push((step, row.day.to_string()));
            }
        }
    }
    assert_eq!(crossed, [(3_750, "2026-09-18".to_owned()), (6_000, "2026-09-29".to_owned())]);
}

#[test]
fn the_demo_world_grants_one_exception_and_is_down_one_night() {
    let world = World::demo().unwrap();
    let at = |days, hours| world.start + TimeDelta::days(days) + TimeDelta::hours(hours);
    assert!(world.exceptions_at(at(2, 14)).is_empty());
    let granted = world.exceptions_at(at(2, 15));
    assert_eq!(granted.len(), 1);
    assert!(granted[0].covers("444455556666", "i-0audit", "idle-resource-detection", "low-utilization", at(20, 18)));
    assert!(!granted[0].covers("444455556666", "i-0audit", "idle-resource-detection", "low-utilization", at(20, 19)));
    assert!(world.down_at(at(15, 2)).is_some(), "the scan of that night is missed");
    assert!(world.down_at(at(15, 10)).is_none(), "the act slot is not");
}

#[tokio::test]
async fn on_the_night_of_the_fault_the_volumes_of_one_place_are_partial_and_the_others_whole() {
    let world = World::demo().unwrap();
    let places = world.places();
    let clock = Clock::virtual_at(world.start + TimeDelta::days(5) + TimeDelta::hours(2));
    let cloud = SimCloud::new(world, clock).unwrap();
    let reader = cloud.reader();
    let mut ended_early = Vec::new();
    for place in &places {
        for kind in Kind::ALL {
            let (pages, error) = read_partition(&reader, &place.partition(kind), |_| ()).await;
            if error.is_some() {
                ended_early.push((format!("{}", place.partition(kind)), pages));
            }
        }
    }
    assert_eq!(ended_early, [("111122223333/us-east-1/storage/volume".to_owned(), 1)]);
    assert_eq!(cloud.fault_hits(), [1]);
}

#[tokio::test]
async fn every_fault_of_the_fault_world_can_be_reached() {
    let world = shipped("faults.yaml");
    let (start, faults) = (world.start, world.faults.len());
    let place = world.places().remove(0);
    let clock = Clock::virtual_at(start);
    let cloud = SimCloud::new(world, clock.clone()).unwrap();
    let (reader, actor) = (cloud.reader(), cloud.actor());
    for night in 0..16 {
        clock.advance_to(start + TimeDelta::days(night) + TimeDelta::hours(2));
        for kind in Kind::ALL {
            read_partition(&reader, &place.partition(kind), |_| ()).await;
        }
        // Answers that come and answers that fail are both fine here: what counts is that the fault was met.
        let _ = reader.identity(&place.account).await;
        let _ = reader.metrics(&place, &[]).await;
        let today = clock.now().date_naive();
        let query = CostQuery { from: today, to: today.succ_opt().unwrap(), group_by: CostGroupBy::Service };
        let _ = reader.costs(&place.account, &query).await;
    }
    let instance = InstanceId::new("i-0idle1").unwrap();
    let volume = VolumeId::new("vol-0orphan1").unwrap();
    let whole = Call::CreateSnapshots { instance: instance.clone(), description: "x".into(), tags: Vec::new() };
    let resource = place.partition(Kind::Volume).key(volume.as_str());
    for call in [
        whole.clone(),
        whole.clone(),
        whole,
        Call::CreateSnapshot { volume: volume.clone(), description: "x".into(), tags: Vec::new() },
        Call::StopInstance { instance },
        Call::DeleteVolume { volume },
        Call::CreateTags { resource, tags: vec![("a".into(), "b".into())] },
    ] {
        let _ = actor.execute(&place, &call).await;
    }
    let hits = cloud.fault_hits();
    assert_eq!(hits.len(), faults);
    assert!(hits.iter().all(|hits| *hits > 0), "{hits:?}");
    cloud.truth(|truth| {
        assert_ne!(truth.resource("i-0idle1").unwrap().state(), "running", "stopped, though nobody was told");
        assert_eq!(truth.resource("vol-0orphan1").unwrap().state(), "available");
    });
}

/// The smallest world, with a place for one more line.
fn with(line: &str) -> String {
    format!(
        "name: x\nstart: 2026-09-07\naccounts:\n  \"111122223333\":\n    regions:\n      us-east-1:\n        \
         instances:\n          - id: i-0a\n            type: m5.large\n            launched: -9d\n{line}\n"
    )
}

#[test]
fn a_mistake_in_a_world_is_told_with_file_line_and_what_is_accepted() {
    assert!(World::parse(&with(""), "x.yaml").is_ok());
    for (line, parts) in [
        ("            launchd: -1d", &["x.yaml, line 11", "launchd", "launched"][..]),
        ("            stopped: yesterday", &["line 11", "yesterday", "+9d 08:30"]),
        ("            stopped: -10d", &["line 8", "before its launch"]),
        ("            usage: lazy", &["line 11", "lazy", "idle"]),
        ("            usage: { cpu: 140 }", &["line 8", "cpu", "140", "0 to 100"]),
        (
            "            usage: { cpu: { level: 1, busy: [{ from_hour: 9, until_hour: 9, level: 2 }] } }",
            &["line 8", "9 to 9"],
        ),
        ("          - { id: i-0a, type: m5.large, launched: -1d }", &["line 11", "i-0a stands twice", "line 8"]),
        ("          - { id: vol-0a, type: m5.large, launched: -1d }", &["line 11", "vol-0a", "i-"]),
        ("        volumes:\n          - { id: vol-0a, size_gib: 5 }", &["line 12", "vol-0a", "created"]),
        (
            "        images:\n          - { id: ami-0a, name: x, created: -1d, snapshots: [snap-0a] }",
            &["line 12", "snap-0a"],
        ),
        ("events:\n  - { at: +1d, by: anna, stop: i-0b }", &["line 12", "no instance i-0b"]),
        ("events:\n  - { at: +1d, by: anna }", &["line 12", "anna does 0 things", "exactly one"]),
        ("events:\n  - { at: +1d, by: anna, stop: i-0a, start: i-0a }", &["line 12", "2 things"]),
        ("faults:\n  - { operation: DropTables, effect: deny }", &["line 12", "DropTables", "DescribeVolumes"]),
        ("faults:\n  - { operation: DeleteVolume, effect: explode }", &["line 12", "explode", "throttle"]),
        ("faults:\n  - { account: \"111122223334\", effect: deny }", &["line 12", "111122223334"]),
        (
            "spend:\n  - { account: \"111122223333\", service: S3, usd_per_day: 0 }",
            &["line 12", "usd_per_day", "above 0"],
        ),
        ("downtime:\n  - { from: +2d, until: +1d, reason: x }", &["line 12", "no length"]),
        ("days: 3\ndays: 4", &["line 12", "duplicate", "given: days: 4"]),
        ("days: many", &["line 11", "u32", "given: days: many"]),
    ] {
        let error = World::parse(&with(line), "x.yaml").expect_err(line).to_string();
        for part in parts {
            assert!(error.contains(part), "{line}\n  gives: {error}\n  without: {part}");
        }
    }
}

#[test]
fn text_that_is_no_world_is_refused_with_a_reason() {
    for (text, part) in [
        ("", "x.yaml"),
        ("name: [", "x.yaml, line 1"),
        ("- 1\n- 2\n", "x.yaml, line 1"),
        ("name: x\nstart: +3d\naccounts: {}\n", "counted from itself"),
        ("name: x\nstart: 2026-09-07\naccounts:\n  111122223333x:\n    regions: {}\n", "twelve digits"),
        ("name: x\nstart: 2026-09-07\naccounts:\n  \"111122223333\":\n    regions: { Mars: {} }\n", "a Region"),
    ] {
        let error = World::parse(text, "x.yaml").expect_err(text).to_string();
        assert!(error.contains(part), "{text:?} gives: {error}");
    }
    let error = World::load(Path::new("/nonexistent/world.yaml")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/world.yaml") && error.contains("cannot be read"), "{error}");
}

#[test]
fn policy_paths_are_relative_to_the_world_and_documents_stay_documents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.yaml");
    std::fs::write(&path, with("policies:\n  - policies/idle.yaml\n  - |\n    kind: CostPolicy\n    x: 1")).unwrap();
    let world = World::load(&path).unwrap();
    assert_eq!(world.policies[0], folder.path().join("policies/idle.yaml").display().to_string());
    assert_eq!(world.policies[1], "kind: CostPolicy\nx: 1\n");
    assert_eq!(world.origin, Some(path));
}

#[test]
fn the_schema_describes_every_top_level_key_of_the_demo_world() {
    let schema = World::schema();
    let properties = schema["properties"].as_object().unwrap();
    let keys: Vec<&str> = include_str!("../../fixtures/worlds/demo.yaml")
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':').map(|(key, _)| key))
        .collect();
    assert!(keys.len() > 10, "{keys:?}");
    for key in keys {
        assert!(properties.contains_key(key), "{key}");
        assert!(properties[key].to_string().contains("description"), "{key} is described");
    }
    assert_eq!(schema["additionalProperties"], false);
}

/// The YAML of the guide's complete example.
fn example_of_the_guide() -> String {
    let guide = include_str!("../../docs/worlds.md");
    let (_, rest) = guide.split_once("```yaml title=\"example\"\n").expect("the guide has a complete example");
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_example_of_the_guide_runs() {
    let world = World::parse(&example_of_the_guide(), "docs/worlds.md").unwrap();
    let (start, end) = (world.start, world.end());
    let places = world.places();
    let clock = Clock::virtual_at(start);
    let cloud = SimCloud::new(world, clock.clone()).unwrap();
    let reader = cloud.reader();
    let mut seen = 0;
    for kind in Kind::ALL {
        let (_, error) = read_partition(&reader, &places[0].partition(kind), |page| seen += page.len()).await;
        assert_eq!(error, None);
    }
    assert_eq!(seen, 3);
    clock.advance_to(end);
    let refused: Vec<_> = cloud.changes().into_iter().filter(|change| change.refused.is_some()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(cloud.changes().len(), 2);
}

#[test]
fn the_guide_names_every_key_of_the_schema() {
    let guide = include_str!("../../docs/worlds.md");
    let schema = World::schema();
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    let keys = objects.iter().filter_map(|object| object["properties"].as_object()).flat_map(|keys| keys.keys());
    let missing: Vec<&String> = keys.filter(|key| !guide.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/worlds.md does not name {missing:?}");
}

#[test]
fn a_world_is_independent_of_the_order_in_which_it_is_read() {
    let (first, second) = (World::demo().unwrap(), World::demo().unwrap());
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    let created = first.events.iter().filter(|event| matches!(event.change, Change::Create(_))).count();
    assert_eq!(created, 1);
    let tags = &first.resources[0].resource.tags;
    assert!(matches!(tags, Fact::Known(tags) if !tags.is_empty()));
}
