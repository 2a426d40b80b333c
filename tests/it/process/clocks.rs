//! A machine whose clock is wrong: ahead or behind by minutes or by a month, while the cloud knows the time.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant as Monotonic};

use chrono::{DurationRound, TimeDelta};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, PATIENCE, Running, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;

/// How far the clock is wrong.
const WRONG: [TimeDelta; 9] = [
    TimeDelta::minutes(10),
    TimeDelta::minutes(-10),
    TimeDelta::hours(20),
    TimeDelta::hours(-20),
    TimeDelta::days(30),
    TimeDelta::days(-30),
    // January 1970: a machine without a battery.
    TimeDelta::days(-SINCE_1970),
    TimeDelta::days(4 - SINCE_1970),
    TimeDelta::days(30 - SINCE_1970),
];

/// Days from the first of January 1970 to the day of the cases.
const SINCE_1970: i64 = 20_775;

/// How far the clock of a running daemon is moved.
const MOVED: [TimeDelta; 2] = [TimeDelta::days(30), TimeDelta::days(-30)];

/// What this file's cases need: an account each, whose cloud tells the time.
pub const NEEDS: Needs = Needs { own: 0, lone: WRONG.len() + MOVED.len(), neighbours: 0, loose: 0, crowds: (0, 0) };

#[test]
fn h08_by_a_wrong_clock_nothing_is_done_and_by_the_right_one_it_is() {
    let world = World::shared();
    let jobs = WRONG.into_iter().zip(std::iter::repeat_with(|| world.lone())).collect();
    let said: Vec<String> = side_by_side(jobs, |(wrong, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        case.cloud_tells_the_time();
        case.set_clock(case.right_time() + wrong);
        let mut running = case.apply(None);
        let code = running.end().code();
        let said = running.errors();
        assert!(!matches!(code, Some(0) | None), "{wrong}: {said}");
        assert_eq!(case.counted().acts, 0, "{wrong}: {said}");
        case.set_clock(case.right_time());
        let mut running = case.apply(None);
        let code = running.end().code();
        if case.frozen() {
            // A clock that had been ahead of its own past: a person looks, and lifts it.
            assert_ne!(code, Some(0));
            let mut lifted = case.start(&["unfreeze", "--by", "ann"], None);
            assert_eq!(lifted.end().code(), Some(0), "{}", lifted.errors());
            case.apply(None).end();
        }
        assert_eq!((case.ended(), case.counted().acts), (Some(JournalState::Done), 1), "{wrong}: {:?}", case.told());
        format!("{wrong}: {}", said.lines().last().unwrap_or_default())
    });
    eprintln!("{} wrong clocks, 0 acts by them: {said:#?}", said.len());
    reached("a boot in 1970", WRONG.iter().filter(|wrong| wrong.num_days() < 40 - SINCE_1970).count());
}

#[test]
fn h08_a_daemon_whose_clock_is_moved_for_minutes_believes_nothing_and_has_missed_nothing() {
    let world = World::shared();
    let jobs = MOVED.into_iter().zip(std::iter::repeat_with(|| world.lone())).collect();
    side_by_side(jobs, |(moved, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        case.cloud_tells_the_time();
        // Slots that lie hours away by the right clock, and daily on all the days between.
        let settings = case.folder().join("costwarden.toml");
        let text = fs::read_to_string(&settings).expect("settings");
        let schedule = "[schedule]\nscan = \"0 4 * * *\"\nact = \"0 5 * * *\"\ndaily = \"0 6 * * *\"\n";
        fs::write(&settings, format!("{text}{schedule}")).expect("settings");
        let mut daemon = case.start(&["daemon", "--log-format", "text"], None);
        daemon.says("ready");
        let mark = |case: &Case| case.store().clock_mark().expect("the mark is read");
        until(&mut daemon, "it believes the right time", || mark(&case).is_some());

        // Three looks at a clock that runs evenly from then on: it was believed at the third once.
        for look in 1..=3 {
            // Right before a minute begins, so that the next look is near.
            let minute = (case.right_time() + moved).duration_trunc(TimeDelta::minutes(1)).expect("a minute");
            case.set_clock(if look == 1 { case.right_time() + moved } else { minute + TimeDelta::seconds(57) });
            until_words(&mut daemon, "nothing is started", look);
        }
        let by_wrong = case.store();
        assert_eq!(rows(&by_wrong), Vec::<String>::new(), "{moved}");
        let right = case.right_time();
        assert!(mark(&case).is_some_and(|mark| mark <= right), "{moved}: {:?}", mark(&case));
        case.set_clock(right);
        until(&mut daemon, "it believes the right time again", || mark(&case).is_some_and(|mark| mark >= right));
        assert_eq!(rows(&case.store()), Vec::<String>::new(), "{moved}: no slot of the time between counts as missed");
        assert!(!case.frozen(), "{moved}: {}", daemon.errors());

        // Nothing of the wrong time holds an act.
        let mut running = case.apply(None);
        assert_eq!(running.end().code(), Some(0), "{moved}: {}", running.errors());
        assert_eq!((case.ended(), case.counted().acts), (Some(JournalState::Done), 1), "{moved}: {:?}", case.told());
        let sent = Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        assert_eq!(daemon.end().code(), Some(143), "{}", daemon.errors());
    });
}

/// Every slot on file.
fn rows(store: &costwarden::store::Store) -> Vec<String> {
    let at = |text: &str| -> Instant { text.parse().expect("an instant") };
    let rows = store.slots_between(at("2026-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z")).expect("the slots are read");
    rows.iter().map(|row| format!("{} {} {}: {}", row.job, row.slot_at, row.state.word(), row.message)).collect()
}

/// Waits until the daemon has said these words so many times.
fn until_words(daemon: &mut Running, words: &str, times: usize) {
    let errors = daemon.errors_file();
    until(daemon, words, || fs::read_to_string(&errors).unwrap_or_default().matches(words).count() >= times);
}

fn until(daemon: &mut Running, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Monotonic::now();
    while !holds() {
        assert!(daemon.ended().is_none() && began.elapsed() < PATIENCE, "never {what}: {}", daemon.errors());
        std::thread::sleep(Duration::from_millis(50));
    }
}
