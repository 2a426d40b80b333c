//! Several workers on one state at once: hands, runs of the worker, and two daemons.
//!
//! `COSTWARDEN_RACES` sets how many races there are (8).

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant as Monotonic};

use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, PATIENCE, Running, side_by_side};
use super::world::World;

/// Workers in one race.
const WORKERS: usize = 4;

fn races() -> usize {
    std::env::var("COSTWARDEN_RACES").map_or(8, |count| count.parse().expect("COSTWARDEN_RACES is a number"))
}

/// Pairs that this file's cases need.
pub fn pairs() -> usize {
    races() + 1
}

#[test]
fn h06_of_workers_that_start_at_once_one_acts_and_the_others_say_that_they_wait() {
    let world = World::shared();
    let jobs: Vec<_> = (0..races()).map(|_| world.pair()).collect();
    let codes: Vec<Vec<i32>> = side_by_side(jobs, |pair| {
        let mut case = Case::new(world, &pair, Act::StopInstance);
        case.arm("2026-12-01");
        let plan = case.apply_args();
        let apply: Vec<&str> = plan.iter().map(String::as_str).collect();
        let mut workers: Vec<Running> = (0..WORKERS)
            .map(|number| if number == 0 { case.start(&["run"], None) } else { case.start(&apply, None) })
            .collect();
        let codes: Vec<i32> = workers.iter_mut().map(|worker| worker.end().code().expect("ended by itself")).collect();
        case.past_the_lease();
        case.seen_out();
        let counts = case.counted();
        assert_eq!((counts.acts, counts.snapshots), (1, 1), "{codes:?}: {:?}", case.changes());
        let done = case.rows().iter().filter(|row| row.state == JournalState::Done).count();
        assert_eq!(done, 1, "{:?}", case.told());
        // 75: another worker acts; 5: the plan was overtaken by what that one did.
        assert!(codes.iter().all(|code| matches!(code, 0 | 3 | 5 | 75)), "{codes:?}");
        codes
    });
    let turned_away = codes.iter().flatten().filter(|code| matches!(code, 5 | 75)).count();
    eprintln!("{} races of {WORKERS}, {turned_away} turned away, 0 violations", codes.len());
    assert!(turned_away > 0, "nobody met anybody: {codes:?}");
}

#[test]
fn h06_two_daemons_and_a_hand_at_the_hour_of_acting_stop_an_instance_once() {
    let world = World::shared();
    let pair = world.pair();
    let mut case = Case::new(world, &pair, Act::StopInstance);
    case.arm("2026-12-01");
    let settings = case.folder().join("costwarden.toml");
    let text = fs::read_to_string(&settings).expect("settings");
    let schedule = "[schedule]\nscan = \"59 9 * * *\"\nact = \"0 10 * * *\"\n";
    fs::write(&settings, format!("{text}{schedule}")).expect("settings");
    let now: Instant = "2026-11-18T09:58:45Z".parse().expect("an instant");
    case.set_clock(now);
    let mut first = case.start(&["daemon", "--log-format", "text"], None);
    first.says("ready");
    let mut second = case.start(&["daemon", "--log-format", "text"], None);
    assert_eq!(second.end().code(), Some(75), "one daemon for a state: {}", second.errors());

    // Hands come again and again while the daemon scans and acts.
    let began = Monotonic::now();
    let mut hands = Vec::new();
    while !case.rows().iter().any(|row| row.state == JournalState::Done) {
        assert!(began.elapsed() < PATIENCE, "nobody acted: {}", first.errors());
        assert!(first.ended().is_none(), "{}", first.errors());
        if began.elapsed() > Duration::from_secs(60) {
            hands.push(case.apply(None).end().code().expect("ended by itself"));
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    std::thread::sleep(Duration::from_secs(2));
    let sent = Command::new("kill").args(["-TERM", &first.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(first.end().code(), Some(143), "{}", first.errors());
    case.later(TimeDelta::minutes(30));
    let counts = case.counted();
    assert_eq!((counts.acts, counts.snapshots), (1, 1), "hands ended with {hands:?}: {:?}", case.changes());
    assert!(!case.frozen());
}
