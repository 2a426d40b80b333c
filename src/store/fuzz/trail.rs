//! Edits of the audit trail by somebody who has the file and knows how its hashes are made.
//!
//! Held: a trail of any words holds; whatever is changed in it afterwards is found, by the chain alone, or where the whole
//! rest was written anew with hashes that fit, or cut off cleanly, by the head that left with a report; and what changes
//! nothing is no false alarm (safety.md, H40).

use rusqlite::{Connection, params};
use serde_json::Value as Json;

use crate::domain::Instant;
use crate::domain::fuzz::Feed;
use crate::store::audit::{Texts, link};
use crate::store::{AuditEntry, Store, VerifyError};

/// Pieces of what rows say; some look like parts of what is hashed.
const PIECES: &[&str] = &[
    "arm",
    "freeze",
    "account",
    "\"",
    "\\",
    "\\\"",
    ",\"seq\":2",
    ",\"subject\":\"x\"",
    "\",\"what\":\"arm",
    "{\"a\":1}",
    "{}",
    "[",
    "]",
    "}",
    "null",
    "1.50",
    "1e5",
    "\u{0}",
    "\n",
    "é",
    "\u{202e}",
    " ",
    ":",
    ",",
    "0",
    "1",
    "a",
    "f",
];

/// The texts of a row.
const COLUMNS: [&str; 6] = ["actor", "what", "subject", "detail", "previous", "hash"];

/// Some rows are written, something is done to them, and the trail is verified. Whether that changed anything.
pub fn trail(bytes: &[u8]) -> bool {
    let mut feed = Feed::new(bytes);
    STORE.with(|store| {
        empty(&store.lock());
        let count = 1 + feed.below(4) as i64;
        let entries: Vec<AuditEntry> = (0..count).map(|_| entry(&mut feed)).collect();
        for (number, entry) in entries.iter().enumerate() {
            let at = Instant::UNIX_EPOCH + chrono::TimeDelta::microseconds(number as i64 * i64::from(feed.number()));
            store.audit_append(at, entry).expect("any words make a row");
        }
        let head = store.audit_head().expect("it is read").expect("there are rows");
        assert_eq!(store.audit_verify(Some(&head)).expect("an untouched trail holds"), count as u64);
        let rows = store.audit_rows(0, 10).expect("they are read");
        assert_eq!(rows.len(), entries.len());
        for (row, entry) in rows.iter().zip(&entries) {
            assert_eq!((&row.entry.actor, &row.entry.what), (&entry.actor, &entry.what));
            assert_eq!(row.entry.subject, entry.subject);
        }

        let before = dump(&store.lock());
        let clean = tamper(&store.lock(), count, &mut feed);
        let changed = dump(&store.lock()) != before;
        let noted = store.audit_verify(Some(&head));
        if !changed {
            assert_eq!(noted.expect("nothing was changed"), count as u64);
            return false;
        }
        assert!(matches!(noted, Err(VerifyError::Broken { .. })), "not found: {noted:?}\n{before:?}");
        if !clean {
            let alone = store.audit_verify(None);
            assert!(
                matches!(alone, Err(VerifyError::Broken { .. })),
                "not found without a head: {alone:?}\n{before:?}"
            );
        }
        true
    })
}

fn entry(feed: &mut Feed<'_>) -> AuditEntry {
    let detail = feed.woven(PIECES);
    AuditEntry {
        actor: feed.woven(PIECES),
        what: feed.woven(PIECES),
        subject: feed.woven(PIECES),
        detail: serde_json::from_str(&detail).unwrap_or(Json::String(detail)),
    }
}

/// Does something to the trail. Whether it knows how: then only a head that was noted before can tell.
fn tamper(connection: &Connection, count: i64, feed: &mut Feed<'_>) -> bool {
    let row = 1 + feed.below(count as usize) as i64;
    let other = 1 + feed.below(count as usize) as i64;
    let run = |sql: &str| connection.execute_batch(sql).expect("the triggers are gone");
    match feed.byte() % 10 {
        0..=3 => {
            let column = COLUMNS[feed.below(COLUMNS.len())];
            let mut text = read(connection, column, row);
            let from = text.floor_char_boundary(feed.below(80).min(text.len()));
            let to = text.floor_char_boundary((from + feed.below(8)).min(text.len()));
            text.replace_range(from..to, &feed.woven(PIECES));
            write(connection, column, row, &text);
        }
        4 => {
            // Some letters go over into the neighbour, so that all of them together are as they were.
            let at = feed.below(3);
            let (mut left, mut right) = (read(connection, COLUMNS[at], row), read(connection, COLUMNS[at + 1], row));
            let moved = right.floor_char_boundary(feed.below(9).min(right.len()));
            left.push_str(&right[..moved]);
            right.replace_range(..moved, "");
            write(connection, COLUMNS[at], row, &left);
            write(connection, COLUMNS[at + 1], row, &right);
        }
        5 => run(&format!("UPDATE audit SET at = at + {} WHERE seq = {row}", i64::from(feed.number()) - 300)),
        6 => run(&format!("DELETE FROM audit WHERE seq = {row}")),
        7 => run(&format!(
            "UPDATE audit SET seq = -1 WHERE seq = {row}; UPDATE audit SET seq = {row} WHERE seq = {other};
             UPDATE audit SET seq = {other} WHERE seq = -1"
        )),
        8 => {
            // Cut off, and SQLite made to forget how far it had counted.
            run(&format!("DELETE FROM audit WHERE seq >= {row}; DELETE FROM sqlite_sequence WHERE name = 'audit'"));
            return true;
        }
        _ => {
            write(connection, COLUMNS[feed.below(4)], row, &feed.woven(PIECES));
            rewrite(connection, row, count);
            return true;
        }
    }
    false
}

/// Gives the rows from one on the hashes that fit.
fn rewrite(connection: &Connection, from: i64, count: i64) {
    let mut previous = read(connection, "previous", from);
    for seq in from..=count {
        let [actor, what, subject, detail] = [0, 1, 2, 3].map(|at| read(connection, COLUMNS[at], seq));
        let at = connection.query_row("SELECT at FROM audit WHERE seq = ?1", [seq], |row| row.get(0));
        let texts = Texts { actor: &actor, what: &what, subject: &subject, detail: &detail };
        let hash = link(&previous, seq, at.expect("the row is there"), texts);
        write(connection, "previous", seq, &previous);
        write(connection, "hash", seq, &hash);
        previous = hash;
    }
}

fn read(connection: &Connection, column: &str, seq: i64) -> String {
    let sql = format!("SELECT {column} FROM audit WHERE seq = ?1");
    connection.query_row(&sql, [seq], |row| row.get(0)).expect("the row is there")
}

fn write(connection: &Connection, column: &str, seq: i64, text: &str) {
    let sql = format!("UPDATE audit SET {column} = ?2 WHERE seq = ?1");
    connection.execute(&sql, params![seq, text]).expect("the triggers are gone");
}

/// Everything that the trail holds.
fn dump(connection: &Connection) -> Vec<(i64, i64, [String; 6])> {
    let mut statement = connection
        .prepare_cached("SELECT seq, at, actor, what, subject, detail, previous, hash FROM audit ORDER BY seq")
        .expect("the table is there");
    let rows = statement.query_map([], |row| {
        let text = |at: usize| row.get::<_, String>(at + 2);
        Ok((row.get(0)?, row.get(1)?, [text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?]))
    });
    rows.and_then(Iterator::collect).expect("texts and numbers")
}

fn empty(connection: &Connection) {
    connection
        .execute_batch("DELETE FROM audit; DELETE FROM sqlite_sequence WHERE name = 'audit'")
        .expect("the triggers are gone");
}

thread_local! {
    /// Without the triggers that refuse edits: whoever has the file can drop them.
    static STORE: Store = {
        let store = Store::in_memory().expect("a state in memory needs no disk");
        store
            .lock()
            .execute_batch(
                "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete; DROP TRIGGER audit_only_at_the_end",
            )
            .expect("it has them");
        store
    };
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn h40_every_sort_of_edit_of_every_row_is_found() {
        let mut changed = [0; 10];
        for how in 0..10_u8 {
            for row in 0..4 {
                for what in 0..24 {
                    // Four rows of one piece in each text, their times, then the edit.
                    let rows = (0..16).flat_map(|text| [1, text + what]);
                    let times = [0, 7].repeat(4);
                    let edit = [row, (row + 1) % 4, how, what, what / 6, 2, 2, what, what + 1];
                    let bytes: Vec<u8> = [3].into_iter().chain(rows).chain(times).chain(edit).collect();
                    changed[usize::from(how)] += usize::from(trail(&bytes));
                }
            }
        }
        assert!(changed.iter().all(|count| *count >= 40), "{changed:?}");
        assert!(!trail(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 7]), "a row put in its own place is none");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn h40_any_edit_of_any_words_is_found(bytes in vec(any::<u8>(), 0..60)) {
            trail(&bytes);
        }
    }
}
