//! A disk that is full at some write of the journal, and has room again later.
//!
//! Twice: by the kernel's limit on the size of a file (RLIMIT_FSIZE, which needs no rights), so that the write-ahead log
//! of the state cannot grow beyond it; and by a small tmpfs over the state's folder, where the anchor, the locks and
//! SQLite's own files find no room either, or no inode, or which is read-only. Those need a mount namespace, so
//! `tests/system/run` runs them. Whichever write fails, no call leaves without its row, the end says so, and with room again the step ends.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, PATIENCE, Running, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;

/// Sizes at which the disk is full, in KiB of the write-ahead log: from the first commit of an act to its last.
const ROOM: [u32; 12] = [8, 24, 48, 72, 96, 120, 144, 176, 208, 240, 288, 336];

/// What this file's cases need.
pub const NEEDS: Needs = Needs { own: 0, lone: 0, neighbours: 0, loose: ROOM.len(), crowds: (0, 0) };

/// Room left in a state folder of its own size, in KiB: from none at all to enough for everything. SQLite's shared memory
/// takes 32 of them.
const LEFT: [u32; 14] = [0, 24, 40, 64, 88, 112, 136, 160, 184, 208, 248, 288, 344, 4096];

/// Files that the state's folder may make before it has no inode left: none, one, and two of the four that a run makes.
const INODES: [u32; 3] = [0, 1, 2];

/// Where the act stands when the state's folder becomes read-only; the system takes no folder that somebody writes into.
const READ_ONLY: [Option<&str>; 4] = [None, Some("J3.after"), Some("J6.after"), Some("J9.after")];

/// Fills it but for `$LEFT` KiB.
const SMALL: &str = "free=$(df -Pk state | awk 'NR == 2 { print $4 }')
dd if=/dev/zero of=state/ballast bs=1024 count=$((free - LEFT)) status=none
run \"$0\" \"$@\"";

/// Fills it with empty files but for `$LEFT` inodes.
const NO_INODES: &str = "mount -o remount,nr_inodes=$(( $(df -Pi state | awk 'NR == 2 { print $3 }') + LEFT )) state
run \"$0\" \"$@\"";

/// Makes it read-only.
const TO_READ_ONLY: &str = "mount -o remount,ro state
run \"$0\" \"$@\"
mount -o remount,rw state";

/// Mounts a folder of its own over the state's, lets `$0` run there as the middle says, and keeps what it left.
fn in_a_folder_of_its_own(left: u32, middle: &str) -> String {
    format!(
        "LEFT={left}
set -e
mount -t tmpfs -o size=32m tmpfs state
cp -a kept/. state/
run() {{
    set +e
    \"$@\"
    code=$?
}}
{middle}
rm -f state/ballast
find kept -type f -delete
cp -a state/. kept/
exit $code"
    )
}

#[test]
fn h30_a_disk_that_is_full_at_any_write_leaves_no_call_without_its_row() {
    let world = World::shared();
    let jobs = ROOM.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let failed: Vec<(u32, &str)> = side_by_side(jobs, |(room, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let what = format!("room for {room} KiB");
        // The signal that would end the process is ignored, so that the write itself fails, as on a full disk.
        let mut command = Command::new("/bin/bash");
        let program = env!("CARGO_BIN_EXE_costwarden");
        let script = format!("trap '' XFSZ; ulimit -f {room}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, program]).args(case.apply_args());
        let environment = case.environment();
        let running = case.spawn(command, environment);
        judged(case, running, &what, room)
    });
    eprintln!("{} sizes, where each write failed: {failed:?}, 0 violations", failed.len());
    let places: BTreeSet<&str> = failed.iter().map(|(_, place)| *place).collect();
    assert!(places.len() >= 3, "the disk was not full at different steps: {failed:?}");
    reached("quota", failed.iter().filter(|(_, place)| *place != "finished").count());
}

#[test]
#[ignore = "mounts a small folder, for which tests/system/run makes a namespace"]
fn h30_a_state_folder_without_room_leaves_no_call_without_its_row() {
    let world = World::of(Needs { loose: LEFT.len(), ..Needs::default() });
    let jobs = LEFT.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let failed: Vec<(u32, &str)> = side_by_side(jobs, |(left, pair)| {
        let (code, said, case, running) = in_small(Case::new(world, &pair, Act::DeleteVolume), left, SMALL);
        let what = format!("{left} KiB left");
        assert!((left > 64 || code != Some(0)) && (left < 4096 || code == Some(0)), "{what}: {code:?}: {said}");
        judged(case, running, &what, left)
    });
    eprintln!("{} rooms, where each write failed: {failed:?}, 0 violations", failed.len());
    let places: BTreeSet<&str> = failed.iter().map(|(_, place)| *place).collect();
    assert!(places.len() >= 4, "the folder was not full at different steps: {failed:?}");
}

#[test]
#[ignore = "mounts a small folder, for which tests/system/run makes a namespace"]
fn h30_a_state_folder_without_inodes_leaves_no_call_without_its_row() {
    let world = World::of(Needs { loose: INODES.len(), ..Needs::default() });
    let jobs = INODES.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let failed: Vec<(u32, &str)> = side_by_side(jobs, |(left, pair)| {
        let (code, said, case, running) = in_small(Case::new(world, &pair, Act::DeleteVolume), left, NO_INODES);
        let what = format!("{left} inodes left");
        assert_ne!(code, Some(0), "{what}: {said}");
        judged(case, running, &what, left)
    });
    eprintln!("{failed:?}");
    reached("no inode is left", failed.len());
}

#[test]
#[ignore = "mounts a small folder, for which tests/system/run makes a namespace"]
fn h30_a_state_folder_that_becomes_read_only_leaves_no_call_without_its_row() {
    let world = World::of(Needs { loose: READ_ONLY.len(), ..Needs::default() });
    let jobs = READ_ONLY.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let failed: Vec<&str> = side_by_side(jobs, |(point, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        if let Some(point) = point {
            case.killed_at(point);
            case.past_the_lease();
        }
        let before = case.counted();
        let (code, said, case, running) = in_small(case, 0, TO_READ_ONLY);
        let what = format!("read-only at {point:?}");
        assert!(!matches!(code, Some(0) | None), "{what}: {said}");
        assert_eq!(case.counted(), before, "{what}: {said}");
        judged(case, running, &what, 0).1
    });
    eprintln!("{failed:?}");
    reached("the state is mounted read-only", failed.len());
}

/// Runs `apply` in a state folder of its own; its code, what it said, and its case with the state that it left.
fn in_small(mut case: Case, left: u32, middle: &str) -> (Option<i32>, String, Case, Running) {
    let (state, kept) = (case.folder().join("state"), case.folder().join("kept"));
    std::fs::rename(&state, &kept).expect("the state's folder");
    std::fs::create_dir(&state).expect("a folder");
    let mut command = Command::new("unshare");
    let script = in_a_folder_of_its_own(left, middle);
    command.args(["--map-root-user", "--mount", "bash", "-c", &script, env!("CARGO_BIN_EXE_costwarden")]);
    command.args(case.apply_args());
    let mut environment = case.environment();
    environment.push(("PATH".to_owned(), std::env::var("PATH").expect("a path")));
    let mut running = case.spawn(command, environment);
    let code = running.end().code();
    let said = running.errors();
    // What the small folder held is the state from now on.
    std::fs::remove_dir(&state).expect("nothing was mounted here");
    std::fs::rename(&kept, &state).expect("the state's folder");
    let full = [
        "disk is full",
        "cannot be written",
        "No space left",
        "disk or file system failed",
        "unable to open",
        "Read-only file system",
        "readonly",
        "read-only",
    ];
    assert!(code == Some(0) || full.iter().any(|words| said.contains(words)), "{left}: it does not say why: {said}");
    (code, said, case, running)
}

/// Waits for the end where there was too little room, makes room, and says how far it had come.
fn judged(mut case: Case, mut running: Running, what: &str, room: u32) -> (u32, &'static str) {
    let began = std::time::Instant::now();
    while running.ended().is_none() && began.elapsed() < PATIENCE {
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
    (room, if code == Some(0) { "finished" } else { place })
}
