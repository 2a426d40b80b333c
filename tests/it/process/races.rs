//! Several workers on one state at once: hands, runs of the worker, two daemons, one that was paused past its lease, and
//! people who take one act back at once.
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
use super::world::{Needs, World};

/// Workers in one race.
const WORKERS: usize = 4;

fn races() -> usize {
    std::env::var("COSTWARDEN_RACES").map_or(8, |count| count.parse().expect("COSTWARDEN_RACES is a number"))
}

/// What this file's cases need: `run` and a daemon act on a whole account.
pub fn needs() -> Needs {
    Needs { own: races() + 1, neighbours: 1, loose: PAUSED.len(), ..Needs::default() }
}

/// How far an act is when its worker is paused.
const PAUSED: [JournalState; 4] =
    [JournalState::Claimed, JournalState::SnapRequested, JournalState::SnapVerified, JournalState::Answered];

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
    signal(&first, "-TERM");
    assert_eq!(first.end().code(), Some(143), "{}", first.errors());
    case.later(TimeDelta::minutes(30));
    let counts = case.counted();
    assert_eq!((counts.acts, counts.snapshots), (1, 1), "hands ended with {hands:?}: {:?}", case.changes());
    assert!(!case.frozen());
}

#[test]
fn h06_a_worker_that_was_paused_past_its_lease_does_nothing_more_when_it_goes_on() {
    let world = World::shared();
    let jobs: Vec<_> = PAUSED.into_iter().map(|state| (state, world.loose())).collect();
    let ends = side_by_side(jobs, |(state, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let mut first = case.apply(None);
        let began = Monotonic::now();
        while first.ended().is_none() && case.rows().first().is_none_or(|row| row.state < state) {
            assert!(began.elapsed() < PATIENCE, "{state:?}: {}", first.errors());
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&first, "-STOP");
        // In the middle of a commit it would keep the state locked, and nobody could do anything at all.
        while first.ended().is_none() && case.locked() {
            signal(&first, "-CONT");
            std::thread::sleep(Duration::from_millis(5));
            signal(&first, "-STOP");
        }
        let paused_in = case.rows().first().map(|row| row.state);
        case.past_the_lease();
        // Another one takes over, and brings it to its end.
        case.seen_out();
        let (ended, counts) = (case.ended(), case.counted());
        signal(&first, "-CONT");
        let code = first.end().code();
        assert!(matches!(ended, Some(JournalState::Done | JournalState::Stuck)), "{state:?}: {:?}", case.told());
        assert_eq!(case.ended(), ended, "{state:?}: it went on: {}", first.errors());
        assert_eq!(case.counted(), counts, "{state:?}: it went on: {}", first.errors());
        assert!(code.is_some(), "{state:?}: {}", first.errors());
        assert!(counts.snapshots <= 2 && counts.acts == usize::from(ended == Some(JournalState::Done)), "{counts:?}");
        format!("stopped in {paused_in:?}, ended with {code:?}, the act {ended:?}")
    });
    eprintln!("{} workers paused past their lease, 0 violations: {ends:#?}", ends.len());
}

#[test]
fn h06_people_who_take_one_act_back_at_once_start_the_instance_once() {
    let world = World::shared();
    let mut case = Case::new(world, &world.neighbour(), Act::StopInstance);
    assert_eq!(case.apply(None).end().code(), Some(0));
    let mut people: Vec<Running> = ["ann", "ben", "eve", "joe"]
        .map(|by| case.start(&["actions", "undo", "r-1", "--yes", "--by", by], None))
        .into();
    let codes: Vec<i32> = people.iter_mut().map(|one| one.end().code().expect("ended by itself")).collect();
    let starts = world.moto.seen(&case.account, "StartInstances");
    let starts: Vec<_> = starts.iter().filter(|seen| !seen.dry_run).collect();
    assert_eq!(starts.len(), 1, "{codes:?}: {starts:?}");
    assert_eq!(starts[0].targets, [case.step.key.id.to_string()]);
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "one of them did it: {codes:?}");
    assert_eq!(case.counted().acts, 1, "and the stop is not made again");
}

fn signal(running: &Running, which: &str) {
    let sent = Command::new("kill").args([which, &running.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}
