//! Which files are opened, which are refused, and that a refused one stays as it is.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::domain::remediation::Remediation;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Opening is refused with these words, twice, and the file's bytes stay.
#[track_caller]
fn refused(path: &Path, words: &str) {
    let before = std::fs::read(path).unwrap();
    for _ in 0..2 {
        let error = Store::open(path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(path.to_str().unwrap()), "{text}");
        assert!(error.is_doubt(), "{text}");
    }
    assert_eq!(std::fs::read(path).unwrap(), before, "a refused file stays as it is");
    assert!(!path.with_file_name("costwarden.db-wal").exists(), "nothing is left beside it");
}

#[test]
fn a_first_start_makes_folder_and_file_for_the_owner_alone() {
    let folder = folder();
    let state = folder.path().join("deep").join("state");
    let store = Store::open_in(&state).unwrap();
    assert_eq!(store.path().unwrap(), state.join("costwarden.db"));
    assert_eq!((mode(&state), mode(store.path().unwrap())), (0o700, 0o600));
    store.set_meta("word", "kept").unwrap();
    assert_eq!(mode(&state.join("costwarden.db-wal")), 0o600);
}

#[test]
fn the_state_id_is_made_once_and_differs_between_files() {
    let folder = folder();
    let id = Store::open_in(folder.path()).unwrap().state_id().unwrap();
    assert_eq!(Store::open_in(folder.path()).unwrap().state_id().unwrap(), id);
    assert_ne!(Store::in_memory().unwrap().state_id().unwrap(), id);
    assert!(id.starts_with("st-") && id.len() == 19, "{id}");
}

#[test]
fn the_file_is_written_ahead_and_flushed_at_every_commit() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    let connection = store.lock();
    let pragma = |name: &str| -> String {
        connection
            .pragma_query_value(None, name, |row| {
                Ok(match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str()?.to_owned(),
                })
            })
            .unwrap()
    };
    let names = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout", "trusted_schema", "user_version"];
    assert_eq!(names.map(pragma), ["wal", "2", "1", "5000", "0", "7"]);
}

#[test]
fn an_empty_file_is_migrated_like_a_missing_one() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, b"").unwrap();
    let store = Store::open(&path).unwrap();
    store.set_meta("word", "kept").unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().meta("word").unwrap().as_deref(), Some("kept"));
}

#[test]
fn h16_an_empty_file_beside_a_log_is_a_loss_and_not_a_new_state() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, b"").unwrap();
    let log = folder.path().join("costwarden.db-wal");
    std::fs::write(&log, b"what was committed").unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().contains("write-ahead log lies beside it"), "{error}");
    assert_eq!(std::fs::read(&log).unwrap(), b"what was committed");
}

#[test]
fn a_file_of_something_else_is_refused_and_left() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, "not a database at all, but long enough to be read as a header\n".repeat(50)).unwrap();
    refused(&path, "the file is not a SQLite database");
    std::fs::write(&path, "short").unwrap();
    refused(&path, "the file is not a SQLite database");
}

#[test]
fn a_database_of_another_program_is_refused_and_left() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photos (name TEXT)").unwrap();
    refused(&path, "a SQLite database of another program");
}

#[test]
fn h16_a_truncated_file_is_refused_and_left() {
    let folder = folder();
    let path = whole_file(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    for kept in [bytes.len() / 2, 4096, 1000, 100, 20] {
        std::fs::write(&path, &bytes[..kept]).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(error.is_doubt(), "{kept} bytes: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), &bytes[..kept]);
    }
}

#[test]
fn h16_a_file_without_one_of_its_indexes_is_refused_and_left() {
    let folder = folder();
    let path = whole_file(folder.path());
    let open = || rusqlite::Connection::open(&path).unwrap();
    open().execute_batch("DROP INDEX remediation_one_open; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    refused(&path, "its index remediation_one_open is missing or another one");
    // One of that name that lets two acts be open on a resource.
    let other = "CREATE INDEX remediation_one_open ON remediation (resource); PRAGMA wal_checkpoint(TRUNCATE)";
    open().execute_batch(other).unwrap();
    refused(&path, "its index remediation_one_open is missing or another one");
}

#[test]
fn h34_a_file_that_a_newer_version_took_over_takes_no_further_write_of_this_one() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    store.set_meta("before", "1").unwrap();
    let newer = rusqlite::Connection::open(folder.path().join(FILE_NAME)).unwrap();
    newer.pragma_update(None, "user_version", 1_000).unwrap();
    let error = store.set_meta("after", "1").unwrap_err();
    assert!(error.is_doubt() && error.to_string().contains("a newer costwarden wrote it"), "{error}");
    let kept: i64 = newer.query_row("SELECT COUNT(*) FROM meta WHERE key = 'after'", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

#[test]
fn h16_a_page_of_rubbish_is_refused_and_left() {
    let folder = folder();
    let path = whole_file(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    // Every page in turn, from the second on: the first one is the header that other tests break.
    let pages = bytes.len() / 4096;
    let mut found = 0;
    for page in 1..pages {
        let mut broken = bytes.clone();
        broken[page * 4096..(page + 1) * 4096].fill(0xa5);
        std::fs::write(&path, &broken).unwrap();
        match Store::open(&path) {
            Err(error) => {
                assert!(error.is_doubt(), "page {page}: {error}");
                found += 1;
                assert_eq!(std::fs::read(&path).unwrap(), broken);
            }
            // A page on the list of free ones holds nothing.
            Ok(_) => std::fs::remove_file(path.with_file_name("costwarden.db-wal")).unwrap_or(()),
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(found >= pages - 2, "{found} of {pages} broken pages were found");
}

#[test]
fn a_state_of_a_newer_version_is_refused_and_left() {
    let folder = folder();
    let path = whole_file(folder.path());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    checkpoint(&path);
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error.fault(), Fault::NewerSchema { found: 99, known: 7 }), "{error}");
    assert!(error.to_string().contains("a newer costwarden wrote it"), "{error}");
    assert!(Store::open_read_only(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_reader_reads_and_cannot_write() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    let none = Store::open_read_only(&path).unwrap_err();
    assert!(none.to_string().contains("no state file there yet"), "{none}");
    assert!(!path.exists(), "a reader makes nothing");
    let writer = Store::open(&path).unwrap();
    writer.set_meta("word", "seen").unwrap();
    let reader = Store::open_read_only(&path).unwrap();
    assert_eq!(reader.meta("word").unwrap().as_deref(), Some("seen"));
    let error = reader.set_meta("word", "changed").unwrap_err();
    assert!(error.to_string().contains("may not be written to"), "{error}");
    assert_eq!(writer.meta("word").unwrap().as_deref(), Some("seen"));
}

#[test]
fn a_throwaway_copy_has_everything_and_gives_nothing_back() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    let known = finding("i-0a1");
    store.update_findings(std::slice::from_ref(&known), &[]).unwrap();
    let copy = store.throwaway_copy().unwrap();
    assert_eq!(copy.path(), None);
    assert_eq!(copy.state_id().unwrap(), store.state_id().unwrap());
    assert_eq!(copy.finding(&known.id).unwrap(), Some(known));
    let fence = acting_lease(&copy, "dry run", minute(0));
    copy.claim(&step(&finding("i-0a1")), "p-dry", fence, minute(0)).unwrap();
    copy.set_meta("word", "dry").unwrap();
    assert_eq!(store.open_remediations().unwrap(), []);
    assert_eq!(store.lease_fence(ACTING_LEASE).unwrap(), None);
    assert_eq!(store.meta("word").unwrap(), None);
}

#[test]
fn the_clock_mark_only_rises() {
    let store = Store::in_memory().unwrap();
    assert_eq!(store.clock_mark().unwrap(), None);
    assert_eq!(store.raise_clock_mark(minute(5)).unwrap(), minute(5));
    assert_eq!(store.raise_clock_mark(minute(1)).unwrap(), minute(5));
    assert_eq!(store.clock_mark().unwrap(), Some(minute(5)));
}

#[test]
fn a_file_that_another_process_keeps_locked_is_told_in_words() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    store.lock().busy_timeout(std::time::Duration::from_millis(20)).unwrap();
    let other = Connection::open(store.path().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.set_meta("word", "kept").unwrap_err();
    assert!(error.to_string().contains("another process kept the state file locked"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    store.set_meta("word", "kept").unwrap();
}

#[test]
fn a_lock_file_lets_one_holder_in_and_frees_with_it() {
    let folder = folder();
    let path = folder.path().join("daemon.lock");
    let held = FileLock::try_acquire(&path).unwrap().unwrap();
    assert!(FileLock::try_acquire(&path).unwrap().is_none());
    assert_eq!(FileLock::holder(&path), Some(std::process::id()));
    drop(held);
    assert!(FileLock::try_acquire(&path).unwrap().is_some());
}

#[test]
fn a_state_of_the_first_version_keeps_its_rows_and_gets_the_tables_of_policies() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    let known = finding("i-0a1");
    {
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(include_str!("../migrations/0001_foundation.sql")).unwrap();
        connection.pragma_update(None, "application_id", 0x6377_7374).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let doc = serde_json::to_string(&known).unwrap();
        connection
            .execute(
                "INSERT INTO finding (id, account, region, kind, resource, policy, rule, severity, state, phase,
                 detected_at, seen_at, doc) VALUES (?1, '123456789012', 'eu-central-1', 'compute/instance', ?2, 'waste',
                 'rule', 'medium', 'open', 'unnoticed', 0, 0, ?3)",
                [known.id.0.as_str(), &known.key.to_string(), &doc],
            )
            .unwrap();
        connection.execute("INSERT INTO meta VALUES ('state_id', 's-1'), ('epoch', '0')", []).unwrap();
    }
    let older = Store::open_read_only(&path).unwrap_err();
    assert!(matches!(older.fault(), Fault::OlderSchema { found: 1, known: 7 }), "{older}");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.finding(&known.id).unwrap(), Some(known), "it came from no version of a policy");
    assert_eq!((store.policies().unwrap(), store.approvals_pending(None).unwrap()), (vec![], vec![]));
    assert_eq!(store.state_id().unwrap(), "s-1");
}

/// A state with some rows, all in the one file, closed.
fn whole_file(folder: &Path) -> PathBuf {
    let path = folder.join(FILE_NAME);
    let store = Store::open(&path).unwrap();
    let findings: Vec<Finding> = (0..50).map(|number| finding(&format!("i-{number:04}"))).collect();
    store.update_findings(&findings, &[]).unwrap();
    drop(store);
    checkpoint(&path);
    path
}

/// Moves the log into the file and removes it.
fn checkpoint(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn a_state_of_the_version_before_violations_keeps_its_rows_and_gains_the_tables() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    store.set_meta("word", "kept").unwrap();
    {
        let connection = store.lock();
        connection.execute_batch("DROP TABLE ticket; DROP TABLE violation_step; DROP TABLE violation;").unwrap();
        connection
            .execute_batch("DROP TABLE exception_event; DROP TABLE exception_use; DROP TABLE exception;")
            .unwrap();
        connection.execute_batch("DROP TABLE act_request; DROP TRIGGER audit_only_at_the_end;").unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
    }
    drop(store);
    let store = Store::open_in(folder.path()).unwrap();
    assert_eq!(store.meta("word").unwrap().as_deref(), Some("kept"));
    assert_eq!(store.tickets().unwrap(), []);
    assert_eq!(store.exceptions().unwrap(), []);
    assert_eq!(store.violations_since("2026-01-01T00:00:00Z".parse().unwrap()).unwrap(), []);
}

#[test]
fn h34_an_act_that_an_older_version_left_open_is_still_open_for_the_next_to_look() {
    use crate::domain::remediation::JournalState as J;
    for state in [J::Claimed, J::SnapIntent, J::SnapRequested, J::SnapVerified, J::ActIntent, J::Answered, J::Uncertain]
    {
        let folder = folder();
        let store = Store::open_in(folder.path()).unwrap();
        let known = finding("i-0a1");
        store.update_findings(std::slice::from_ref(&known), &[]).unwrap();
        let fence = acting_lease(&store, "older", minute(0));
        let claimed = store.claim(&step(&known), "p-1", fence, minute(1)).unwrap();
        let open = Remediation { state, message: "left so".into(), ..claimed };
        if state != J::Claimed {
            store.advance(&open, fence, minute(2)).unwrap();
        }
        let before = store.open_remediations().unwrap();
        // As the version before undo and exceptions left it: without their tables.
        store
            .lock()
            .execute_batch(
                "DROP TABLE ticket; DROP TABLE violation_step; DROP TABLE violation; DROP TABLE exception_event;
                 DROP TABLE exception_use; DROP TABLE exception; DROP TABLE act_request;
                 DROP TRIGGER audit_only_at_the_end; PRAGMA user_version = 2",
            )
            .unwrap();
        drop(store);
        let store = Store::open_in(folder.path()).unwrap();
        assert_eq!(store.open_remediations().unwrap(), before, "{state:?}");
        assert_eq!(before.len(), 1);
        assert!(
            store.claim(&step(&known), "p-2", fence, minute(3)).is_err(),
            "{state:?}: and nothing begins beside it"
        );
    }
}

#[test]
fn a_trail_of_the_version_before_its_last_guard_keeps_its_rows_and_gains_the_guard() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    let entry =
        AuditEntry { actor: "a".into(), what: "arm".into(), subject: "b".into(), detail: serde_json::json!({}) };
    let head = store.audit_append(minute(0), &entry).unwrap();
    store.lock().execute_batch("DROP TRIGGER audit_only_at_the_end; PRAGMA user_version = 5").unwrap();
    drop(store);
    let store = Store::open_in(folder.path()).unwrap();
    assert_eq!(store.audit_verify(Some(&head)).unwrap(), 1);
    assert_eq!(store.audit_guards_missing().unwrap(), [""; 0]);
}

#[test]
fn a_state_of_the_version_before_restore_drills_keeps_its_trail_and_gains_their_table() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    let entry =
        AuditEntry { actor: "ann".into(), what: "arm".into(), subject: "x".into(), detail: serde_json::json!({}) };
    store.audit_append("2026-11-23T10:00:00Z".parse().unwrap(), &entry).unwrap();
    let rows = store.audit_rows(0, 9).unwrap();
    store.lock().execute_batch("DROP TABLE drill; PRAGMA user_version = 6").unwrap();
    drop(store);
    let store = Store::open_in(folder.path()).unwrap();
    assert_eq!((store.audit_rows(0, 9).unwrap(), store.last_drill().unwrap()), (rows, None));
}
