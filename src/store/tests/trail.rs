//! The audit trail: it holds, it cannot be changed by us, and any change by others is found.

use serde_json::json;

use super::*;

const UNGUARD: &str = "DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete;
    DROP TRIGGER IF EXISTS audit_only_at_the_end";

fn trail(rows: i64) -> Store {
    let store = Store::in_memory().unwrap();
    append(&store, rows);
    store
}

fn append(store: &Store, rows: i64) {
    for number in 1..=rows {
        let entry = AuditEntry {
            actor: "eve".into(),
            what: "arm".into(),
            subject: format!("account \"{number}\""),
            detail: json!({ "z": number, "a": { "y": [1.5, null], "b": "ä\n" } }),
        };
        let head = store.audit_append(minute(number), &entry).unwrap();
        assert_eq!(head.seq, number);
    }
}

/// Changes the file as somebody with the sqlite3 tool would.
fn tamper(store: &Store, sql: &str) {
    let connection = store.lock();
    connection.execute_batch(UNGUARD).unwrap();
    connection.execute_batch(sql).unwrap();
}

impl Store {
    /// An edit of one row by somebody with the file, for the tests of those who ask whether the trail holds.
    pub(crate) fn forge_audit_row(&self, seq: i64) {
        tamper(self, &format!("UPDATE audit SET actor = 'mallory' WHERE seq = {seq}"));
    }
}

#[track_caller]
fn broken_at(store: &Store, noted: Option<&AuditHead>) -> i64 {
    match store.audit_verify(noted).unwrap_err() {
        VerifyError::Broken { seq, .. } => seq,
        VerifyError::Store(error) => panic!("{error}"),
    }
}

#[test]
fn an_untouched_trail_verifies_and_knows_its_earlier_heads() {
    let store = trail(5);
    let head = store.audit_head().unwrap().unwrap();
    assert_eq!(store.audit_verify(None).unwrap(), 5);
    assert_eq!(store.audit_verify(Some(&head)).unwrap(), 5);
    let entry = AuditEntry { actor: "x".into(), what: "y".into(), subject: "z".into(), detail: json!(null) };
    store.audit_append(minute(6), &entry).unwrap();
    assert_eq!(store.audit_verify(Some(&head)).unwrap(), 6, "a trail may grow past a noted head");
    let last = store.audit_rows(5, 10).unwrap();
    assert_eq!((last.len(), &last[0].entry, last[0].at), (1, &entry, minute(6)));
    assert_eq!(Store::in_memory().unwrap().audit_verify(None).unwrap(), 0);
}

#[test]
fn the_spelling_of_keys_does_not_matter_to_the_hash() {
    let heads = [json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 })].map(|detail| {
        let store = Store::in_memory().unwrap();
        let entry = AuditEntry { actor: "x".into(), what: "y".into(), subject: "z".into(), detail };
        store.audit_append(minute(0), &entry).unwrap()
    });
    assert_eq!(heads[0], heads[1]);
}

#[test]
fn the_database_itself_refuses_edits_and_removals() {
    let store = trail(3);
    assert_eq!(store.audit_guards_missing().unwrap(), [""; 0]);
    let row = |head: &str, seq: &str, previous: &str| {
        format!(
            "{head} INTO audit (seq, at, actor, what, subject, detail, previous, hash)
             SELECT {seq}, at, actor, what, subject, detail, {previous}, hash FROM audit WHERE seq = 3"
        )
    };
    for sql in [
        "UPDATE audit SET actor = 'bob'",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit",
        &row("INSERT OR REPLACE", "2", "previous"),
        &row("REPLACE", "3", "hash"),
        &row("INSERT", "5", "hash"),
        &row("INSERT", "4", "previous"),
        &row("INSERT", "NULL", "hash"),
        &row("INSERT", "0", "hash"),
    ] {
        let error = store.lock().execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("the audit trail is append-only"), "{sql}: {error}");
    }
    let known = finding("i-0a1");
    store.update_findings(&[], &[event(&known, 1, "detected")]).unwrap();
    for sql in ["UPDATE finding_event SET what = 'x'", "DELETE FROM finding_event"] {
        let error = store.lock().execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
}

#[test]
fn h40_every_edited_column_is_found_at_its_row() {
    for (column, value) in [
        ("at", "at + 1"),
        ("actor", "'bob'"),
        ("what", "'disarm'"),
        ("subject", "'another account'"),
        ("detail", "replace(detail, '1.5', '1.6')"),
        ("detail", "detail || ' '"),
        ("detail", "'no json'"),
        ("previous", "hash"),
        ("hash", "previous"),
    ] {
        let store = trail(5);
        tamper(&store, &format!("UPDATE audit SET {column} = {value} WHERE seq = 3"));
        assert_eq!(broken_at(&store, None), 3, "{column} = {value}");
    }
}

#[test]
fn h40_removed_reordered_and_inserted_rows_are_found() {
    let store = trail(5);
    tamper(&store, "DELETE FROM audit WHERE seq = 3");
    assert_eq!(broken_at(&store, None), 3);
    let store = trail(5);
    tamper(&store, "DELETE FROM audit WHERE seq = 1");
    assert_eq!(broken_at(&store, None), 1);
    let store = trail(5);
    tamper(&store, "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3");
    assert_eq!(broken_at(&store, None), 3, "closing the gap does not help");
    let store = trail(5);
    tamper(
        &store,
        "UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;
         UPDATE audit SET seq = 3 WHERE seq = 99",
    );
    assert_eq!(broken_at(&store, None), 2);
    let store = trail(2);
    tamper(
        &store,
        "INSERT INTO audit (seq, at, actor, what, subject, detail, previous, hash)
         SELECT 3, at, actor, what, subject, detail, hash, hash FROM audit WHERE seq = 2",
    );
    assert_eq!(broken_at(&store, None), 3);
}

#[test]
fn h40_a_trail_that_was_cut_or_rewritten_is_found_by_a_noted_head() {
    let store = trail(5);
    let head = store.audit_head().unwrap().unwrap();
    tamper(&store, "DELETE FROM audit WHERE seq > 3");
    assert_eq!(broken_at(&store, None), 4, "SQLite remembers how far it counted");
    tamper(&store, "DELETE FROM sqlite_sequence WHERE name = 'audit'");
    assert_eq!(store.audit_verify(None).unwrap(), 3, "a clean cut needs the head that was sent out");
    assert_eq!(broken_at(&store, Some(&head)), 4);

    let rewritten = Store::in_memory().unwrap();
    for number in 1..=5 {
        let entry = AuditEntry { actor: "bob".into(), what: "arm".into(), subject: "x".into(), detail: json!({}) };
        rewritten.audit_append(minute(number), &entry).unwrap();
    }
    assert_eq!(rewritten.audit_verify(None).unwrap(), 5);
    assert_eq!(broken_at(&rewritten, Some(&head)), 5);
}

#[test]
fn h40_guards_that_somebody_dropped_are_named() {
    let store = trail(2);
    store.lock().execute_batch("DROP TRIGGER audit_no_update").unwrap();
    assert_eq!(store.audit_guards_missing().unwrap(), ["audit_no_update"]);
    assert_eq!(store.audit_verify(None).unwrap(), 2, "nothing was changed yet");
}

#[test]
fn h40_a_column_that_is_no_text_any_more_is_a_broken_row_and_no_error_of_ours() {
    let store = trail(3);
    tamper(&store, "UPDATE audit SET actor = CAST(x'ff' AS TEXT) WHERE seq = 2");
    assert_eq!(broken_at(&store, None), 2);
    let store = trail(3);
    tamper(&store, "UPDATE audit SET at = 9223372036854775807 WHERE seq = 2");
    assert_eq!(broken_at(&store, None), 2, "no instant at all");
}

#[test]
fn h40_a_head_without_its_row_is_looked_for_in_the_whole_trail() {
    let store = trail(5);
    let head = store.audit_head().unwrap().unwrap();
    let middle = NotedHead { seq: None, hash: store.audit_rows(2, 1).unwrap()[0].hash.clone() };
    assert_eq!(store.audit_check(Some(&middle)).unwrap(), AuditCheck { rows: 5, head: Some(head.clone()) });
    let other_row = NotedHead { seq: Some(4), hash: head.hash.clone() };
    assert!(matches!(store.audit_check(Some(&other_row)), Err(VerifyError::Broken { seq: 4, .. })));
    let bare = NotedHead { seq: None, hash: head.hash };
    tamper(&store, "DELETE FROM audit WHERE seq > 3; DELETE FROM sqlite_sequence WHERE name = 'audit'");
    assert!(matches!(store.audit_check(Some(&bare)), Err(VerifyError::Broken { seq: 4, .. })));
}

/// A small generator with a seed of its own (SplitMix64), so that a failure names the case that made it.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::try_from(limit).unwrap()) as i64
    }
}

/// Something that a person with the file and the sqlite3 tool could do to a trail of `rows` rows, as SQL that
/// certainly changes it. `rewritten` has the statements that write it anew from a row on, with hashes that fit.
fn tampering(dice: &mut Dice, rows: i64, rewritten: &[String]) -> (&'static str, String) {
    let row = 1 + dice.below(rows);
    let other = 1 + (row + dice.below(rows - 1)) % rows;
    let letter = char::from(b'a' + u8::try_from(dice.below(26)).unwrap());
    match dice.below(8) {
        0 => {
            let column =
                ["actor", "what", "subject", "detail", "previous", "hash"][usize::try_from(dice.below(6)).unwrap()];
            let place = 1 + dice.below(4);
            let edit = match dice.below(3) {
                0 => format!("{column} || '{letter}'"),
                1 => format!("substr({column}, 1, {place} - 1) || substr({column}, {place} + 1)"),
                _ => format!(
                    "substr({column}, 1, {place} - 1) || CASE substr({column}, {place}, 1) WHEN '{letter}' THEN '_' \
                     ELSE '{letter}' END || substr({column}, {place} + 1)"
                ),
            };
            // A text that is shorter than the place is longer by a letter instead.
            let edit = format!("CASE WHEN length({column}) < {place} THEN {column} || '{letter}' ELSE {edit} END");
            ("edit", format!("UPDATE audit SET {column} = {edit} WHERE seq = {row}"))
        }
        1 => {
            ("edit of the time", format!("UPDATE audit SET at = at + {} WHERE seq = {row}", 1 + dice.below(1_000_000)))
        }
        2 => {
            let last = (row + dice.below(3)).min(rows - 1);
            ("delete", format!("DELETE FROM audit WHERE seq BETWEEN {} AND {last}", row.min(rows - 1)))
        }
        3 => (
            "delete that closes the gap",
            format!(
                "DELETE FROM audit WHERE seq = {row}; UPDATE audit SET seq = seq - 1 WHERE seq > {row};
                UPDATE sqlite_sequence SET seq = {} WHERE name = 'audit'",
                rows - 1
            ),
        ),
        4 => (
            "two rows in each other's place",
            format!(
                "UPDATE audit SET seq = -1 WHERE seq = {row}; UPDATE audit SET seq = {row} WHERE seq = {other};
                UPDATE audit SET seq = {other} WHERE seq = -1"
            ),
        ),
        5 => (
            "truncation",
            format!(
                "DELETE FROM audit WHERE seq >= {row}; UPDATE sqlite_sequence SET seq = {} WHERE name = 'audit'",
                row - 1
            ),
        ),
        6 => (
            "one row with another's contents",
            format!(
                "UPDATE audit SET (actor, what, subject, detail) =
                (SELECT actor, what, subject, detail FROM audit WHERE seq = {other}) WHERE seq = {row}"
            ),
        ),
        _ => ("written anew with hashes that fit", rewritten[usize::try_from(row - 1).unwrap()].clone()),
    }
}

/// For each row the SQL that replaces it and all after it by others, hashed as they should be.
fn rewritings(store: &Store, rows: i64) -> Vec<String> {
    let first = |from: i64| {
        let mut other = Store::in_memory().unwrap();
        for row in store.audit_rows(0, usize::MAX).unwrap() {
            let forged = if row.seq >= from { "mallory".to_owned() } else { row.entry.actor.clone() };
            other.audit_append(row.at, &AuditEntry { actor: forged, ..row.entry }).unwrap();
        }
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let mut sql = format!("DELETE FROM audit WHERE seq >= {from};");
        let connection = other.connection.get_mut().unwrap();
        let mut statement = connection
            .prepare("SELECT seq, at, actor, what, subject, detail, previous, hash FROM audit WHERE seq >= ?1")
            .unwrap();
        let mut found = statement.query([from]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let numbers: [i64; 2] = [0, 1].map(|column| row.get(column).unwrap());
            let texts: Vec<String> = (2..8).map(|column| quoted(&row.get::<_, String>(column).unwrap())).collect();
            sql += &format!("INSERT INTO audit VALUES ({}, {}, {});", numbers[0], numbers[1], texts.join(", "));
        }
        sql
    };
    (1..=rows).map(first).collect()
}

#[test]
fn h40_ten_thousand_random_tamperings_of_a_file_are_all_found() {
    const ROWS: i64 = 16;
    const CASES: u64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_in(folder.path()).unwrap();
    append(&store, ROWS);
    let head = NotedHead::from(store.audit_head().unwrap().unwrap());
    let rewritten = rewritings(&store, ROWS);
    store.lock().execute_batch(UNGUARD).unwrap();
    let mut found = std::collections::BTreeMap::<&str, u64>::new();
    for case in 0..CASES {
        let (what, sql) = tampering(&mut Dice(case), ROWS, &rewritten);
        // Committed in the same file and then taken back, so that each case begins with the true trail.
        store.lock().execute_batch("SAVEPOINT tampering").unwrap();
        store.lock().execute_batch(&sql).unwrap_or_else(|error| panic!("case {case}, {what}: {error}: {sql}"));
        match store.audit_check(Some(&head)) {
            Err(VerifyError::Broken { seq, problem }) => {
                assert!((1..=ROWS + 1).contains(&seq) && !problem.is_empty(), "case {case}, {what}: row {seq}");
                *found.entry(what).or_default() += 1;
            }
            other => panic!("case {case}, {what} was not found: {other:?}\n{sql}"),
        }
        store.lock().execute_batch("ROLLBACK TO tampering; RELEASE tampering").unwrap();
    }
    assert_eq!(store.audit_check(Some(&head)).unwrap().rows, 16, "nothing was left behind");
    assert_eq!(found.values().sum::<u64>(), CASES);
    assert!(found.len() == 8 && found.values().all(|count| *count > 1_000), "each kind was tried: {found:?}");
}
