//! Ends that nobody planned: a terminal that closes, a watchdog that aborts, a task that panics, no memory left.
//!
//! Each is met at points of a delete from the first claim to the answer. Whatever ends it, the next start goes on from the
//! journal: at most one delete, and none without its completed snapshot.

use std::process::Command;

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;

/// Before anything, between the snapshot's call and its row, and around the act's call.
const POINTS: [&str; 4] = ["J3.after", "J6.call", "J8.before", "J8.call"];

/// How it ends there.
const ENDS: [&str; 3] = ["-HUP", "-ABRT", "panic"];

/// Memory that the program may take, in MiB of addresses: from too little to start, in small steps, until an act ends well.
const ROOM: std::ops::Range<usize> = 60..1_024;
const STEP: usize = 2;

pub const NEEDS: Needs = Needs { own: 0, lone: 0, neighbours: 0, loose: POINTS.len() * ENDS.len() + 1, crowds: (0, 0) };

#[test]
fn h05_a_hangup_an_abort_and_a_panic_at_any_point_lead_to_one_act_at_most() {
    let world = World::shared();
    let jobs: Vec<_> =
        ENDS.into_iter().flat_map(|end| POINTS.map(|point| (end, point))).map(|job| (job, world.loose())).collect();
    let met: Vec<&str> = side_by_side(jobs, |((end, point), pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let what = format!("{end} at {point}");
        if end == "panic" {
            let mut running = case.apply(Some(&format!("panic:{point}")));
            let code = running.end().code();
            let said = running.errors();
            assert!(!matches!(code, Some(0) | None), "{what}: {code:?}: {said}");
            assert!(said.contains(&format!("told to panic at {point}")), "{what}: {said}");
        } else {
            let mut running = case.apply(Some(point));
            running.says(&format!("halted at {point}"));
            let sent = Command::new("kill").args([end, &running.id().to_string()]).status().expect("kill runs");
            assert!(sent.success());
            let ended = running.end();
            assert_ne!(ended.code(), Some(0), "{what}: {}", running.errors());
        }
        let at_death = case.counted();
        assert_eq!(at_death.acts, usize::from(point == "J8.call"), "{what}: {:?}", case.changes());
        case.past_the_lease();
        case.seen_out();
        let counts = case.counted();
        assert_eq!((case.ended(), counts.acts), (Some(JournalState::Done), 1), "{what}: {:?}", case.told());
        assert_eq!(counts.snapshots, 1, "{what}: {:?}", case.changes());
        end
    });
    let times = |end: &str| met.iter().filter(|own| **own == end).count();
    reached("SIGHUP", times("-HUP"));
    reached("killed by the watchdog", times("-ABRT"));
    reached("a task panics", times("panic"));
}

#[test]
fn h05_without_memory_it_ends_with_words_or_not_at_all_and_goes_on_when_there_is_some() {
    let world = World::shared();
    let mut case = Case::new(world, &world.loose(), Act::DeleteVolume);
    let mut met = 0;
    for room in ROOM.step_by(STEP) {
        let mut command = Command::new("/bin/bash");
        let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", room * 1_024);
        command.args(["-c", &script, env!("CARGO_BIN_EXE_costwarden")]).args(case.apply_args());
        let environment = case.environment();
        let mut running = case.spawn(command, environment);
        let ended = running.end();
        case.counted();
        if ended.code() == Some(0) {
            break;
        }
        // Without any word it is the system that could not start it.
        let said = running.errors();
        met += usize::from(!said.is_empty() && ended.code() != Some(127));
        eprintln!("{room} MiB: {ended}: {}", said.lines().find(|line| !line.is_empty()).unwrap_or_default());
        if !case.rows().is_empty() {
            case.past_the_lease();
        }
    }
    case.past_the_lease();
    case.seen_out();
    let counts = case.counted();
    assert!(matches!(case.ended(), Some(JournalState::Done | JournalState::Stuck)), "{:?}", case.told());
    assert_eq!(counts.acts, usize::from(case.ended() == Some(JournalState::Done)), "{:?}", case.told());
    reached("out of memory", met);
}
