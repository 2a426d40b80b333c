//! State files that are lost, garbled, exchanged, doubled or taken over while an act is under way.
//!
//! Whatever becomes of the files, the cloud's log has at most one delete, and none without its completed snapshot; what
//! cannot be known is told and waits for a person.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant as Monotonic};

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;
use costwarden::store::FILE_NAME;
use rusqlite::Connection;

use super::case::{Case, PATIENCE, Running, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;

/// How far an act is when something happens to its files.
const AT: [JournalState; 3] = [JournalState::Claimed, JournalState::SnapRequested, JournalState::SnapVerified];

/// Where it was killed when its log is garbled, and where in the log, in hundredths of its length.
const GARBLED: [(&str, usize); 6] =
    [("J6.after", 20), ("J6.after", 90), ("J8.before", 50), ("J8.before", 99), ("J9.after", 35), ("J9.after", 99)];

/// Where the machine is cloned.
const CLONED: [&str; 4] = ["J3.after", "J6.call", "J6.after", "J8.before"];

/// States that are exchanged with each other, in pairs.
const SWAPPED: usize = 4;

pub const NEEDS: Needs = Needs {
    own: 0,
    lone: 0,
    neighbours: 0,
    loose: AT.len() * 2 + GARBLED.len() + CLONED.len() + SWAPPED,
    crowds: (0, 0),
};

/// Starts `apply` and stops it (SIGSTOP) when its row is this far, outside of any commit.
fn paused(case: &mut Case, state: JournalState) -> Running {
    let mut running = case.apply(None);
    let began = Monotonic::now();
    while case.rows().first().is_none_or(|row| row.state < state) {
        assert!(running.ended().is_none() && began.elapsed() < PATIENCE, "{state:?}: {}", running.errors());
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&running, "-STOP");
    while case.locked() {
        signal(&running, "-CONT");
        std::thread::sleep(Duration::from_millis(5));
        signal(&running, "-STOP");
        assert!(running.ended().is_none() && began.elapsed() < PATIENCE, "{state:?}: {}", running.errors());
    }
    running
}

fn signal(running: &Running, which: &str) {
    let sent = Command::new("kill").args([which, &running.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[test]
fn h16_a_state_folder_that_is_deleted_in_an_act_ends_it_and_a_new_one_knows_that_it_knows_nothing() {
    let world = World::shared();
    let jobs = AT.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let met: Vec<String> = side_by_side(jobs, |(at, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let kept = case.files();
        let mut running = paused(&mut case, at);
        let state = case.folder().join("state");
        fs::remove_dir_all(&state).expect("the folder goes");
        signal(&running, "-CONT");
        let code = running.end().code();
        let said = running.errors();
        let sent = case.counted().acts;
        assert!(sent == 0 && !matches!(code, Some(0) | None), "{at:?}: {sent} acts, {code:?}: {said}");
        // The plan is of a state that is gone.
        let mut again = case.apply(None);
        assert!(!matches!(again.end().code(), Some(0) | None), "{at:?}: {}", again.errors());
        assert_eq!(case.counted().acts, 0, "{at:?}: {}", again.errors());
        // The copy of before the act: it is done by it once, or a person is asked first.
        fs::create_dir_all(&state).expect("a folder");
        case.put_back(&kept);
        case.past_the_lease();
        let code = case.seen_out();
        assert!(matches!(code, 0 | 6), "{at:?}: {code}: {:?}", case.told());
        assert_eq!(case.counted().acts, usize::from(code == 0), "{at:?}");
        format!("{at:?}: {}", said.lines().last().unwrap_or_default())
    });
    reached("the state folder is deleted in the middle", met.len());
    eprintln!("{met:#?}");
}

#[test]
fn h16_a_garbled_log_loses_nothing_unnoticed() {
    let world = World::shared();
    let jobs = GARBLED.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let met: Vec<String> = side_by_side(jobs, |((point, part), pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        case.killed_at(point);
        let before = case.counted();
        let mut files = case.files();
        let log = files.get_mut(&format!("{FILE_NAME}-wal")).expect("it was killed with its log open");
        let at = (log.len() * part / 100).min(log.len() - 1);
        log[at] ^= 0x5a;
        let what = format!("{point}, byte {at} of {}", log.len());
        case.put_back(&files);
        case.past_the_lease();
        let mut running = case.apply(None);
        let began = Monotonic::now();
        while running.ended().is_none() && began.elapsed() < PATIENCE {
            let waits = case.rows().iter().any(|row| row.state == JournalState::Uncertain);
            if waits {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let code = running.ended().and_then(|status| status.code());
        let said = running.errors();
        case.kill(running);
        let after = case.counted();
        assert!(after.acts <= 1 && after.snapshots <= 1, "{what}: {after:?} after {before:?}: {said}");
        if code != Some(0) {
            // What the log lost is missed by the anchor or by the cloud's snapshots, and everything stands.
            assert_eq!(after, before, "{what}: {said}");
        }
        format!("{what}: {code:?} {}", said.lines().last().unwrap_or_default())
    });
    reached("the write-ahead log is garbled", met.len());
    eprintln!("{met:#?}");
}

#[test]
fn h06_a_clone_of_the_machine_with_the_same_state_deletes_nothing_a_second_time() {
    let world = World::shared();
    let jobs = CLONED.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let met: Vec<String> = side_by_side(jobs, |(point, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        case.killed_at(point);
        let files = case.files();
        case.past_the_lease();
        // The clone wakes up with the same files, the same plan and the same clock.
        let folder = case.folder().to_owned();
        let clone = tempfile::tempdir().expect("a temporary folder");
        copied(&folder, clone.path());
        let environment = case.environment();
        let mut command = Command::new(env!("CARGO_BIN_EXE_costwarden"));
        command.args(case.apply_args());
        command.current_dir(clone.path()).env_clear().envs(environment);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(fs::File::create(clone.path().join("errors")).expect("a file"));
        let mut other = command.spawn().expect("the program starts");
        let mut own = case.apply(None);
        let code = own.end().code();
        let of_clone = other.wait().expect("it ends").code();
        let said = fs::read_to_string(clone.path().join("errors")).expect("what it said");
        let deletes = world.moto.seen(&case.account, "DeleteVolume");
        let id = case.step.key.id.to_string();
        let deletes: Vec<_> = deletes.iter().filter(|seen| !seen.dry_run && seen.targets.contains(&id)).collect();
        let effective = deletes.iter().filter(|seen| seen.status == Some(200)).count();
        assert!(effective <= 1, "{point}: {deletes:?}");
        for seen in deletes.iter().filter(|seen| seen.status == Some(200)) {
            assert!(case.step.backup.iter().all(|volume| seen.backups.contains(volume)), "{point}: {seen:?}");
        }
        assert!(code.is_some() && of_clone.is_some(), "{point}: {code:?}, {of_clone:?}: {said}");
        drop(files);
        format!(
            "{point}: {code:?} and {of_clone:?}, {} asked, {effective} done: {}",
            deletes.len(),
            said.lines().last().unwrap_or_default()
        )
    });
    reached("a clone with the same identity", met.len());
    eprintln!("{met:#?}");
}

fn copied(from: &std::path::Path, to: &std::path::Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir(&target).expect("a folder");
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

#[test]
fn h16_two_states_that_were_exchanged_act_on_nothing() {
    let world = World::shared();
    let mut cases: Vec<Case> = (0..SWAPPED).map(|_| Case::new(world, &world.loose(), Act::DeleteVolume)).collect();
    let files: Vec<BTreeMap<String, Vec<u8>>> = cases.iter().map(Case::files).collect();
    let mut met = 0;
    for (number, case) in cases.iter_mut().enumerate() {
        // The other's database in this one's folder; a second pair exchanges the anchors alone.
        let mut mixed = files[number].clone();
        let moved = if number < SWAPPED / 2 { FILE_NAME } else { costwarden::store::ANCHOR_NAME };
        mixed.retain(|name, _| name != moved && (moved != FILE_NAME || !name.starts_with(&format!("{FILE_NAME}-"))));
        mixed.insert(moved.to_owned(), files[number ^ 1][moved].clone());
        case.put_back(&mixed);
        let mut running = case.apply(None);
        let code = running.end().code();
        assert!(!matches!(code, Some(0) | None), "{moved}: {}", running.errors());
        assert_eq!(case.counted().acts + case.counted().snapshots, 0, "{moved}: {}", running.errors());
        met += 1;
    }
    reached("two state files are exchanged", met);
}

#[test]
fn h34_a_worker_whose_state_a_newer_version_took_over_does_nothing_more() {
    let world = World::shared();
    let jobs = AT.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let met: Vec<String> = side_by_side(jobs, |(at, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let mut running = paused(&mut case, at);
        let file = case.folder().join("state").join(FILE_NAME);
        let version = |to: Option<i64>| {
            let connection = Connection::open(&file).expect("the state opens");
            let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number");
            connection.pragma_update(None, "user_version", to.unwrap_or(found + 1)).expect("it is written");
            found
        };
        let known = version(None);
        signal(&running, "-CONT");
        let code = running.end().code();
        let said = running.errors();
        assert!(!matches!(code, Some(0) | None), "{at:?}: {said}");
        assert!(said.contains("newer costwarden"), "{at:?}: {said}");
        assert_eq!(case.counted().acts, 0, "{at:?}: {said}");
        // Another start of the old version is refused as well; the version that knows the file goes on.
        let mut again = case.apply(None);
        assert_eq!(again.end().code(), Some(1), "{at:?}: {}", again.errors());
        version(Some(known));
        case.past_the_lease();
        case.seen_out();
        assert_eq!((case.ended(), case.counted().acts), (Some(JournalState::Done), 1), "{at:?}: {:?}", case.told());
        format!("{at:?}: {}", said.lines().last().unwrap_or_default())
    });
    reached("an upgrade overlaps with the old version", met.len());
    eprintln!("{met:#?}");
}
