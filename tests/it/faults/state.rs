//! State files that are damaged, foreign, half there or held by somebody else, given to the real program: it refuses with
//! words, or has lost nothing; it never ends by itself in the middle, and never goes on with half.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use costwarden::domain::finding::Severity;
use costwarden::store::{FILE_NAME, Store};
use rusqlite::Connection;

use super::reached;
use crate::cli::Desk;
use crate::cli::state::finding;

const STATE: &str = "costwarden-state";

type Files = BTreeMap<String, Vec<u8>>;

/// The program's files of a state.
fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

fn put(desk: &Desk, files: &Files) {
    let folder = desk.path().join(STATE);
    let _ = fs::remove_dir_all(&folder);
    for (name, bytes) in files {
        desk.write(&format!("{STATE}/{name}"), bytes);
    }
}

/// A desk, the files of a state with 40 findings at a clean end, and the same with its write-ahead log still open, in
/// which the last one stands.
fn stocked() -> (Desk, Files, Files) {
    let desk = Desk::set_up();
    let folder = desk.path().join(STATE);
    let store = Store::open_in(&folder).unwrap();
    let all: Vec<_> = (0..40).map(|number| finding(&format!("vol-0{number:02}"), Severity::High, None)).collect();
    store.update_findings(&all, &[]).unwrap();
    drop(store);
    let closed = files(&folder);
    let store = Store::open_in(&folder).unwrap();
    store.update_findings(&[finding("vol-0last", Severity::High, None)], &[]).unwrap();
    let open = files(&folder);
    assert!(open[&format!("{FILE_NAME}-wal")].len() > 4_096 && open.contains_key(&format!("{FILE_NAME}-shm")));
    drop(store);
    (desk, closed, open)
}

fn listed(desk: &Desk) -> Option<usize> {
    let ended = desk.call(&["findings", "list", "-o", "json"]);
    (ended.code == 0).then(|| {
        let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        json["findings"].as_array().unwrap().len()
    })
}

/// A command that writes; it must be refused with these words, and leave the file as it is.
fn refused(desk: &Desk, words: &str, what: &str) {
    let before = files(&desk.path().join(STATE)).remove(FILE_NAME);
    let ended = desk.call(&["freeze", "--reason", "test", "--by", "ann"]);
    assert!(ended.one_error(1).contains(words), "{what}: {ended:?}");
    assert!(files(&desk.path().join(STATE)).remove(FILE_NAME) == before, "{what}: the file was changed");
}

#[test]
fn h16_flipped_bits_are_refused_or_harmless_and_never_the_end_of_the_program() {
    let (desk, closed, _) = stocked();
    let (mut told, mut passed) = (0, 0);
    let size = closed[FILE_NAME].len();
    for number in 0..24 {
        let mut damaged = closed.clone();
        // Spread over the file; a few bytes of each place, as a bad sector has them.
        let at = number * size / 24 + number * 7 % 512;
        for byte in &mut damaged.get_mut(FILE_NAME).unwrap()[at..(at + 48).min(size)] {
            *byte ^= 1 << (number % 8);
        }
        put(&desk, &damaged);
        let ended = desk.call(&["freeze", "--reason", "test", "--by", "ann"]);
        match ended.code {
            0 => passed += 1,
            1 => {
                assert!(ended.one_error(1).contains("error: "), "{ended:?}");
                told += 1;
            }
            _ => panic!("bits at {at}: {ended:?}"),
        }
        // What the first look passed over is met by somebody who reads every row, or is in no row.
        let ended = desk.call(&["findings", "list"]);
        assert!(ended.code == 0 || !ended.one_error(1).is_empty(), "bits at {at}: {ended:?}");
    }
    eprintln!("of 24 damaged files {told} were refused, {passed} had their damage where a freeze reads nothing");
    assert!(told >= 3, "{told} refused, {passed} not");
    reached("bits flip", told + passed);
}

#[test]
fn h16_another_schema_a_missing_index_or_a_lost_file_is_refused_and_left() {
    let (desk, closed, open) = stocked();
    let changed = |sql: &str| {
        put(&desk, &closed);
        let connection = Connection::open(desk.path().join(STATE).join(FILE_NAME)).unwrap();
        connection.execute_batch(&format!("{sql}; PRAGMA wal_checkpoint(TRUNCATE)")).unwrap();
        connection
    };
    let mut met = 0;
    for version in [1_000, 77, i32::MAX] {
        drop(changed(&format!("PRAGMA user_version = {version}")));
        refused(&desk, "newer costwarden", &format!("version {version}"));
        assert_eq!(listed(&desk), None);
        met += 1;
    }
    reached("the schema is of another version", met);

    let connection = changed("SELECT 1");
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").unwrap();
    let indexes: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(statement);
    drop(connection);
    assert!(indexes.iter().any(|name| name == "remediation_one_open"), "{indexes:?}");
    let mut met = 0;
    for index in indexes.iter().filter(|name| name.contains("_one_") || name.contains("once")).chain(&indexes[..3]) {
        drop(changed(&format!("DROP INDEX {index}")));
        refused(&desk, index, &format!("without {index}"));
        met += 1;
    }
    drop(changed("DROP INDEX remediation_one_open; CREATE INDEX remediation_one_open ON remediation (resource)"));
    refused(&desk, "remediation_one_open", "with an index of that name that lets two acts through");
    reached("an index is missing", met + 1);

    // The log alone: what was checkpointed is gone.
    let (wal, shm) = (format!("{FILE_NAME}-wal"), format!("{FILE_NAME}-shm"));
    let mut met = 0;
    for keeps in [&[&wal][..], &[&wal, &shm], &[&wal, &"costwarden.anchor".to_owned()]] {
        let mut left = open.clone();
        left.retain(|name, _| keeps.contains(&name));
        put(&desk, &left);
        let ended = desk.call(&["freeze", "--reason", "test", "--by", "ann"]);
        assert!(ended.one_error(1).contains("write-ahead log"), "{keeps:?}: {ended:?}");
        assert_eq!(listed(&desk), None, "{keeps:?}");
        assert_eq!(files(&desk.path().join(STATE))[&wal], open[&wal], "{keeps:?}: the log is left for who can use it");
        met += 1;
    }
    reached("a write-ahead log without its file", met);
}

#[test]
fn h16_a_stale_index_of_the_log_loses_nothing() {
    let (desk, closed, open) = stocked();
    put(&desk, &open);
    assert_eq!(listed(&desk), Some(41), "the last finding stands in the log alone");
    let shm = format!("{FILE_NAME}-shm");
    let good = &open[&shm];
    let mut met = 0;
    let garbled: Vec<u8> = good.iter().map(|byte| byte.wrapping_mul(31).wrapping_add(7)).collect();
    let short = good[..200.min(good.len())].to_vec();
    for stale in [vec![0; good.len()], garbled, short, b"nothing of the kind".to_vec()] {
        put(&desk, &open);
        desk.write(&format!("{STATE}/{shm}"), &stale);
        assert_eq!(desk.call(&["freeze", "--reason", "test", "--by", "ann"]).code, 0);
        assert_eq!(listed(&desk), Some(41));
        met += 1;
    }
    put(&desk, &closed);
    assert_eq!(listed(&desk), Some(40));
    reached("the shared memory file is stale", met);
}

#[test]
fn h16_a_file_that_somebody_else_keeps_locked_is_told_in_words_and_nothing_is_done() {
    let (desk, closed, _) = stocked();
    put(&desk, &closed);
    let mut holder = Connection::open(desk.path().join(STATE).join(FILE_NAME)).unwrap();
    let held = holder.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).unwrap();
    let calls: [&[&str]; 3] = [
        &["freeze", "--reason", "test", "--by", "ann"],
        &["unfreeze", "--by", "ann"],
        &["disarm", "--account", "123456789012", "--by", "ann"],
    ];
    let ended: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = calls.iter().map(|args| scope.spawn(|| desk.call(args))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (args, ended) in calls.iter().zip(&ended) {
        assert!(ended.one_error(1).contains("another process kept the state file locked"), "{args:?}: {ended:?}");
    }
    drop(held);
    drop(holder);
    assert!(Store::open_in(&desk.path().join(STATE)).unwrap().frozen().unwrap().is_none(), "nothing was written");
    reached("another process keeps it locked", ended.len());
}
