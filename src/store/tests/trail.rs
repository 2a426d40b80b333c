//! The audit trail: it holds, it cannot be changed by us, and any change by others is found.

use serde_json::json;

use super::*;

fn trail(rows: i64) -> Store {
    let store = Store::in_memory().unwrap();
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
    store
}

/// Changes the file as somebody with the sqlite3 tool would.
fn tamper(store: &Store, sql: &str) {
    let connection = store.lock();
    connection.execute_batch("DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete").unwrap();
    connection.execute_batch(sql).unwrap();
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
    for sql in ["UPDATE audit SET actor = 'bob'", "DELETE FROM audit WHERE seq = 3", "DELETE FROM audit"] {
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
