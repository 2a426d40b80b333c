//! The audit trail on the command line: it holds, it was changed, it was cut.

use costwarden::store::{AuditEntry, Store};
use serde_json::{Value, json};

use super::Desk;
use super::state::at;

/// A state with three rows in its trail, and the trail's head.
fn trail() -> (Desk, String) {
    let desk = Desk::set_up();
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let mut head = String::new();
    for number in 1..=3 {
        let entry = AuditEntry {
            actor: "ann\u{1b}[2J".into(),
            what: "arm".into(),
            subject: format!("account {number}"),
            detail: json!({ "until": "2026-12-01" }),
        };
        head = store.audit_append(at("2026-11-20T02:00:00Z"), &entry).unwrap().to_string();
    }
    (desk, head)
}

fn tamper(desk: &Desk, sql: &str) {
    let connection = rusqlite::Connection::open(desk.path().join("costwarden-state/costwarden.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn a_trail_that_holds_says_its_length_and_head_and_what_it_was_compared_with() {
    let (desk, head) = trail();
    let plain = desk.call(&["audit", "verify"]);
    assert_eq!(plain.code, 0, "{plain:?}");
    assert!(plain.out.contains("holds: 3 rows") && plain.out.contains(&head), "{plain:?}");
    assert!(plain.out.contains("--head"), "without a head a cut is not found, and that is said: {plain:?}");
    for given in [head.as_str(), head.split_once(':').unwrap().1] {
        let compared = desk.call(&["audit", "verify", "--head", given]);
        assert_eq!(compared.code, 0, "{compared:?}");
        assert!(!compared.out.contains("--head"), "{compared:?}");
    }
    let json = desk.call(&["audit", "verify", "-o", "json", "--head", &head]).json();
    let (row, hash) = head.split_once(':').unwrap();
    let expected = json!({
        "schema_version": 1, "holds": true, "rows": 3,
        "head": { "row": row.parse::<i64>().unwrap(), "hash": hash },
        "compared_with": head, "broken": null, "guards_missing": [],
    });
    assert_eq!(json, expected);
}

#[test]
fn h40_an_edit_and_a_cut_are_told_with_row_and_what_to_do_and_end_with_1() {
    let (desk, head) = trail();
    tamper(&desk, "DROP TRIGGER audit_no_update; UPDATE audit SET subject = 'account 9' WHERE seq = 2");
    let edited = desk.call(&["audit", "verify"]);
    assert_eq!(edited.code, 1, "{edited:?}");
    for words in
        ["BROKEN at row 2: its contents were changed", "audit_no_update is missing", "costwarden freeze", "backup"]
    {
        assert!(edited.out.contains(words), "{words}: {edited:?}");
    }
    let ended = desk.call(&["audit", "verify", "-o", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&json["holds"], &json["rows"]), (&json!(false), &json!(1)));
    assert_eq!(json["broken"], json!({ "row": 2, "problem": "its contents were changed" }));
    assert_eq!(json["guards_missing"], json!(["audit_no_update"]));

    let (desk, other) = trail();
    assert_eq!(other, head, "the same rows have the same head");
    tamper(
        &desk,
        "DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE seq = 3;
         UPDATE sqlite_sequence SET seq = 2 WHERE name = 'audit';
         CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'no'); END",
    );
    assert_eq!(desk.call(&["audit", "verify"]).code, 0, "a clean cut shows only against a head that was sent out");
    let cut = desk.call(&["audit", "verify", "--head", &head]);
    assert_eq!(cut.code, 1, "{cut:?}");
    assert!(cut.out.contains("BROKEN at row 3: it is missing; there were 3 rows, now the trail ends at 2"), "{cut:?}");
}

#[test]
fn what_is_no_head_is_bad_use_and_names_the_forms() {
    let (desk, _) = trail();
    let wrong = desk.call(&["audit", "verify", "--head", "row 3"]);
    assert!(wrong.one_error(2).contains("ROW:HASH"), "{wrong:?}");
}

#[test]
fn rows_are_listed_from_the_end_and_foreign_names_move_no_cursor() {
    let (desk, _) = trail();
    let table = desk.call(&["audit", "list", "--limit", "2"]);
    assert!(table.out.contains("account 2") && table.out.contains("account 3"), "{table:?}");
    assert!(!table.out.contains("account 1") && !table.out.contains('\u{1b}'), "{table:?}");
    let json = desk.call(&["audit", "list", "--after", "0", "-o", "json"]).json();
    let rows: Vec<&Value> = json["rows"].as_array().unwrap().iter().map(|row| &row["row"]).collect();
    assert_eq!(rows, [1, 2, 3]);
    assert_eq!(json["rows"][0]["actor"], "ann\u{1b}[2J");
}
