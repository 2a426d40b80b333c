//! A disk that is full at some write of the journal, and has room again later.
//!
//! The limit is the kernel's on the size of a file (RLIMIT_FSIZE, which needs no rights), so that the write-ahead log
//! of the state cannot grow beyond it: the commit that does not fit fails inside SQLite. Whichever that is, no call
//! leaves without its row, and with room again the step ends.

use std::process::Command;
use std::time::Duration;

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, side_by_side};
use super::world::World;

/// Sizes at which the disk is full, in KiB of the write-ahead log: from the first commit of an act to its last.
const ROOM: [u32; 12] = [8, 24, 48, 72, 96, 120, 144, 176, 208, 240, 288, 336];

/// Pairs that this file's cases need.
pub const PAIRS: usize = ROOM.len();

#[test]
fn h30_a_disk_that_is_full_at_any_write_leaves_no_call_without_its_row() {
    let world = World::shared();
    let jobs = ROOM.into_iter().zip(std::iter::repeat_with(|| world.pair())).collect();
    let failed: Vec<(u32, &str)> = side_by_side(jobs, |(room, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let what = format!("room for {room} KiB");
        // The signal that would end the process is ignored, so that the write itself fails, as on a full disk.
        let mut command = Command::new("/bin/bash");
        let program = env!("CARGO_BIN_EXE_costwarden");
        let script = format!("trap '' XFSZ; ulimit -f {room}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, program]).args(case.apply_args());
        let environment = case.environment();
        let mut running = case.spawn(command, environment);
        let began = std::time::Instant::now();
        while running.ended().is_none() && began.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let code = running.ended().and_then(|status| status.code());
        case.kill(running);
        let place = case.rows().last().map_or("nothing claimed", |row| row.state.word());
        let sent = case.counted();
        if sent.acts > 0 {
            let known = case.rows().last().is_some_and(|row| row.state >= JournalState::ActIntent);
            assert!(known, "{what}: VIOLATION: a call left without its row: {:?}", case.told());
        }
        case.past_the_lease();
        case.seen_out();
        let (ended, counts) = (case.ended(), case.counted());
        match ended {
            Some(JournalState::Done) => assert_eq!(counts.acts, 1, "{what}"),
            // The intent was on file and the call not made: a person decides.
            Some(JournalState::Stuck) => assert_eq!((place, counts.acts), ("J8_act_intent", 0), "{what}"),
            _ => panic!("{what}: it does not end: {:?}", case.told()),
        }
        if code != Some(0) { (room, place) } else { (room, "finished") }
    });
    eprintln!("{} sizes, where each write failed: {failed:?}, 0 violations", failed.len());
    let places: std::collections::BTreeSet<&str> = failed.iter().map(|(_, place)| *place).collect();
    assert!(places.len() >= 3, "the disk was not full at different steps: {failed:?}");
}
