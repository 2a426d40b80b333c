//! The list of hazards (docs/safety.md): every one has a test that bears its number, and those that no module of its own
//! holds stand here.
//!
//! The sources are read, so that a hazard cannot lose its last test without somebody noticing. What belongs to a part
//! that does not exist yet is named with that part, and must have its test as soon as the part is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use costwarden::checks;
use costwarden::cloud::sim::{Change, Effect};
use costwarden::domain::finding::State;
use costwarden::domain::plan::HoldCode;
use costwarden::policy::{Policy, parse};
use regex::Regex;

use crate::accidents::story::*;
use crate::tidy::{root, rust_files};

mod exit_codes;
mod foreign_text;
mod fuzzing;
mod inside;
mod secrets;

/// How many hazards there are.
const HAZARDS: u32 = 47;

/// Hazards of parts that do not exist yet: number, the folder that will have them.
const LATER: &[(u32, &str)] = &[(36, "src/web"), (39, "src/web")];

/// Names of tests in the sources, by the hazard that they begin with.
fn tests_by_hazard() -> BTreeMap<u32, BTreeSet<String>> {
    let test =
        Regex::new(r"#\[(?:tokio::)?test(?:\([^)]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (h\d\d_\w+)").unwrap();
    let mut found = BTreeMap::<u32, BTreeSet<String>>::new();
    for file in ["src", "tests"].into_iter().flat_map(|own| rust_files(&root().join(own))) {
        for name in test.captures_iter(&file.text).map(|found| found[1].to_owned()) {
            // A test may hold several: `h18_h22_…`.
            for hazard in name.split('_').map_while(|part| part.strip_prefix('h')?.parse().ok()) {
                found.entry(hazard).or_default().insert(name.clone());
            }
        }
    }
    found
}

#[test]
fn every_hazard_has_a_test_of_its_name() {
    let found = tests_by_hazard();
    let later: Vec<u32> =
        LATER.iter().filter(|(_, part)| !root().join(part).exists()).map(|(number, _)| *number).collect();
    let missing: Vec<u32> =
        (1..=HAZARDS).filter(|number| !found.contains_key(number) && !later.contains(number)).collect();
    assert_eq!(missing, Vec::<u32>::new(), "hazards without a test");
    let count: usize = found.values().map(BTreeSet::len).sum();
    eprintln!("hazards={HAZARDS} with_a_test={} tests={count} later={later:?}", found.len());
}

#[test]
fn the_safety_page_lists_every_hazard_with_tests_of_its_number() {
    let page = fs::read_to_string(root().join("docs/safety.md")).unwrap();
    let row = Regex::new(r"(?m)^\| H(\d\d) \| ([^|]+) \| ([^|]+) \|$").unwrap();
    let name = Regex::new(r"`(h\d\d_\w+)`").unwrap();
    let known = tests_by_hazard();
    let mut listed = Vec::new();
    for found in row.captures_iter(&page) {
        let number: u32 = found[1].parse().unwrap();
        listed.push(number);
        let named: Vec<String> = name.captures_iter(&found[3]).map(|name| name[1].to_owned()).collect();
        let later = LATER.iter().any(|(later, _)| *later == number);
        assert!(later || !named.is_empty(), "H{number:02} has no test on the page");
        for one in named {
            let there = known.get(&number).is_some_and(|tests| tests.contains(&one));
            assert!(there, "H{number:02} names {one}, which is no test of that hazard");
        }
    }
    assert_eq!(listed, (1..=HAZARDS).collect::<Vec<_>>());
}

/// One edit of a policy's text at a time: a number, a word, a line.
fn edits(text: &str) -> Vec<String> {
    let token = Regex::new(r"\d+|[A-Za-z][\w-]+").unwrap();
    let mut found = Vec::new();
    for one in token.find_iter(text) {
        let (before, after) = (&text[..one.start()], &text[one.end()..]);
        let others: Vec<String> = match one.as_str().parse::<u64>() {
            Ok(number) => vec![(number + 1).to_string(), (number * 10).to_string(), "0".into()],
            Err(_) => vec![format!("{}x", one.as_str()), one.as_str()[1..].to_owned(), one.as_str().to_uppercase()],
        };
        found.extend(others.into_iter().map(|other| format!("{before}{other}{after}")));
    }
    let lines: Vec<&str> = text.lines().collect();
    for left_out in 0..lines.len() {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| *line).collect();
        found.push(kept.join("\n") + "\n");
    }
    found
}

/// What a policy does, without where it stands and what it is called for people.
fn meaning(mut policy: Policy) -> String {
    policy.hash = String::new();
    policy.source.line = 0;
    (policy.title, policy.description) = (None, None);
    policy.examples.clear();
    for rule in &mut policy.rules {
        rule.line = 0;
    }
    format!("{policy:?}")
}

#[test]
fn h11_a_single_edit_is_refused_or_changes_the_hash_that_an_arming_is_bound_to() {
    let folder = root().join("config/policies");
    let mut texts: Vec<String> = vec![IDLE.into(), ORPHANS.into(), TAGS.into()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let text = fs::read_to_string(path).unwrap();
            // Comments and examples mean nothing to a resource.
            let lines = text.lines().take_while(|line| line.trim() != "examples:");
            let kept: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with('#')).collect();
            texts.push(kept.join("\n") + "\n");
        }
    }
    let load = |text: &str| parse(Path::new("p.yaml"), text, &checks::infos());
    let (mut tried, mut refused, mut changed, mut same) = (0, 0, 0, 0);
    for text in &texts {
        let before = load(text).unwrap();
        for edited in edits(text) {
            tried += 1;
            let Ok(after) = load(&edited) else {
                refused += 1;
                continue;
            };
            let hashes = |policies: &[Policy]| policies.iter().map(|own| own.hash.clone()).collect::<Vec<_>>();
            let meanings = |policies: &[Policy]| policies.iter().cloned().map(meaning).collect::<Vec<_>>();
            if meanings(&after) == meanings(&before) {
                same += 1;
            } else {
                changed += 1;
                assert_ne!(hashes(&after), hashes(&before), "it means something else under the same hash:\n{edited}");
            }
        }
    }
    eprintln!("H11 edits={tried} refused={refused} changed={changed} same={same} violations=0");
    assert!(tried >= 500 && refused > 100 && changed > 50, "{tried} {refused} {changed} {same}");
}

#[tokio::test]
async fn h11_a_policy_that_changed_after_the_arming_is_held_until_a_person_arms_again() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
    });
    let mut arming = story.cx().store.armings().unwrap().remove(0);
    arming.policies = vec![("idle".into(), "of yesterday".into())];
    story.cx().store.arm(&arming).unwrap();
    story.until(at(2, 12)).await;
    assert_eq!(story.acts(), Vec::<String>::new());
    assert_eq!(story.held().await["i-0a"].0, HoldCode::PolicyChanged);
}

#[tokio::test]
async fn h17_a_volume_that_is_used_now_and_then_never_grows_old() {
    let story = Story::open(|world| {
        world.policies = vec![ORPHANS.into()];
        world.resources = [busy("host"), vec![orphan("pod"), orphan("csi"), orphan("gap"), orphan("left")]].concat();
        let csi = with_tag(orphan("csi"), "ebs.csi.aws.com/cluster", "true");
        let last = world.resources.len() - 3;
        world.resources[last] = csi;
        let device = || "/dev/sdf".to_owned();
        for day in [5, 11, 17, 23, 29] {
            let attach = Change::Attach { volume: "vol-0pod".into(), instance: "i-0host".into(), device: device() };
            world.events.push(event(at(day, 1), attach));
            world.events.push(event(at(day, 4), Change::Detach("vol-0pod".into())));
        }
        // A listing that hides a volume for one night is no break and no proof either.
        world.faults = vec![fault("DescribeVolumes", Effect::Hide(vec!["vol-0gap".into()]), at(6, 0), at(7, 0))];
    });
    story.until(at(34, 0)).await;
    let deleted: BTreeSet<String> = story.acts().into_iter().collect();
    assert!(deleted.contains("DeleteVolume vol-0left"), "{deleted:?}");
    assert!(!deleted.contains("DeleteVolume vol-0pod") && !deleted.contains("DeleteVolume vol-0csi"), "{deleted:?}");
    let calls = story.changes();
    let gap = calls.iter().find(|call| call.operation == "DeleteVolume" && call.target.as_deref() == Some("vol-0gap"));
    assert!(gap.is_none_or(|call| call.at >= at(7 + 14, 0)), "its clock began anew after the gap: {gap:?}");
}

#[tokio::test]
async fn h20_every_request_that_changes_something_names_one_resource() {
    let story = Story::open(|world| {
        world.policies.push(TAGS.into());
        world.resources = (0..8).flat_map(|number| idle(&format!("m{number}"))).collect();
        world
            .resources
            .extend((0..4).map(|number| orphan(&format!("v{number}")).tagged(&[("owner", "ann@example.com")])));
    });
    story.until(at(20, 0)).await;
    let calls = story.changes();
    for operation in ["StopInstances", "DeleteVolume", "CreateTags", "CreateSnapshots", "CreateSnapshot"] {
        assert!(calls.iter().any(|call| call.operation == operation), "{operation}: the story has one of each");
    }
    for call in &calls {
        let target = call.target.as_deref().unwrap_or_default();
        assert!(!target.is_empty() && !target.contains([',', ' ']), "{call:?}");
    }
    let once: BTreeSet<(&str, Option<&str>)> =
        calls.iter().map(|call| (call.operation.as_str(), call.target.as_deref())).collect();
    assert_eq!(once.len(), calls.len(), "and no pair of request and resource comes twice");
}

#[tokio::test]
async fn h29_what_somebody_changed_back_is_seen_in_the_next_complete_scan() {
    let story = Story::open(|world| {
        world.policies = vec![TAGS.into()];
        let mut planted = busy("a");
        planted[0] = planted[0].clone().tagged(&[("owner", "ann@example.com")]);
        world.resources = planted;
        let gone = Change::Untag { resource: "i-0a".into(), keys: vec!["cost-center".into()] };
        world.events = vec![event(at(3, 12), gone)];
    });
    story.until(at(3, 0)).await;
    assert_eq!(story.acts(), ["CreateTags i-0a"]);
    assert_eq!(story.finding("i-0a").state, State::Remediated);
    story.until(at(4, 1)).await;
    assert_eq!(story.finding("i-0a").state, State::Remediated, "nobody has looked yet");
    story.until(at(4, 3)).await;
    assert_eq!(story.finding("i-0a").state, State::Open, "the scan at two did");
}

#[test]
fn h43_every_dependency_comes_whole_from_the_one_registry_and_is_held_by_its_checksum() {
    let lock: toml::Table = toml::from_str(&fs::read_to_string(root().join("Cargo.lock")).unwrap()).unwrap();
    let packages = lock["package"].as_array().unwrap();
    let text = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let mut own = Vec::new();
    for package in packages {
        let name = text(package, "name").unwrap();
        match text(package, "source") {
            None => own.push(name),
            Some(source) => {
                assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
                assert!(text(package, "checksum").is_some_and(|sum| sum.len() == 64), "{name} has no checksum");
            }
        }
    }
    assert!(own.iter().any(|name| name == "costwarden") && own.len() <= 2, "{own:?}");
    let deny: toml::Table = toml::from_str(&fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap();
    assert_eq!(deny["bans"]["wildcards"].as_str(), Some("deny"));
    assert!(deny["licenses"]["allow"].as_array().is_some_and(|allowed| !allowed.is_empty()));
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
}

#[tokio::test]
async fn h44_the_report_tells_what_the_account_shows_whatever_went_wrong() {
    let effects = [
        None,
        Some(("StopInstances", Effect::Timeout)),
        Some(("StopInstances", Effect::TimeoutAfterEffect)),
        Some(("StopInstances", Effect::Reject("IncorrectInstanceState".into()))),
        Some(("StopInstances", Effect::Throttle)),
        Some(("StopInstances", Effect::Deny)),
        Some(("CreateSnapshots", Effect::SnapshotFails)),
        Some(("CreateSnapshots", Effect::Timeout)),
    ];
    let mut reports = 0;
    for effect in effects {
        let story = Story::open(|world| {
            world.policies = vec![IDLE.into()];
            world.resources = [idle("a"), idle("b"), busy("c")].concat();
            if let Some((operation, effect)) = effect.clone() {
                world.faults = vec![refused(operation, effect).nth(1)];
            }
        });
        for day in 1..6 {
            story.until(at(day, 20)).await;
            let report = story.report();
            reports += 1;
            let done: BTreeSet<String> =
                report.acts.iter().filter(|row| row.status == "completed").map(|row| row.resource.clone()).collect();
            let stopped: BTreeSet<String> = ["i-0a", "i-0b", "i-0c"]
                .map(String::from)
                .into_iter()
                .filter(|id| story.truth(id) == "stopped")
                .collect();
            let unsure: BTreeSet<String> = report
                .acts
                .iter()
                .filter(|row| row.status == "failed" || row.status == "in_progress")
                .map(|row| row.resource.clone())
                .collect();
            let told: BTreeSet<String> = done.union(&unsure).cloned().collect();
            assert!(done.is_subset(&stopped), "{effect:?} day {day}: {done:?} of {stopped:?}");
            assert!(stopped.is_subset(&told), "{effect:?} day {day}: {stopped:?}, told {told:?}");
            assert_eq!(report.realised.acts as usize, done.len(), "{effect:?} day {day}");
        }
    }
    eprintln!("H44 reports={reports} mismatches=0");
}
