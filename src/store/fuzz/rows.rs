//! Rows that are not as this version writes them.
//!
//! Held: a row that cannot be read is an error and never one row less, so that no act that is open, no exception and no
//! question to people is forgotten by it; a word that this version does not know is an error, and so is a document that is
//! about something else than its row; what can be read is the same when it is written and read again (safety.md, H10,
//! H16, H34).

use rusqlite::params;
use serde_json::Value as Json;

use crate::domain::Instant;
use crate::domain::finding::FindingId;
use crate::domain::fuzz::Feed;
use crate::domain::kept::Kept;
use crate::domain::remediation::Remediation;
use crate::domain::undo::Recipe;
use crate::store::{FindingFilter, Result, Store};

/// A document of each table, as a version of today writes it. A later version must read them.
const SAMPLES: &str = include_str!("rows.json");

/// A table whose rows hold documents.
struct Table {
    /// Its name, and that of its sample.
    name: &'static str,
    /// Writes the sample's row; its document is the only parameter.
    insert: &'static str,
    /// Fields that must be there, and be words that the program knows.
    words: &'static [&'static str],
    /// Fields that stand in columns, too: another document under them is not believed.
    bound: &'static [&'static str],
    /// Its rows, by each way in which they are read for a decision.
    read: fn(&Store) -> Result<Vec<Vec<Json>>>,
}

const TABLES: [Table; 8] = [
    Table {
        name: "finding",
        insert: "INSERT INTO finding (id, account, region, kind, resource, policy, rule, severity, state, phase,
                                      detected_at, seen_at, doc)
                 VALUES ('f-5496be1b516f9f63', '111122223333', 'us-east-1', 'compute/instance',
                         '111122223333/us-east-1/compute/instance/i-0scaled', 'p', 'r', 'medium', 'open', 'reported', 1,
                         1, ?1)",
        words: &[
            "/key/account",
            "/key/region",
            "/key/kind",
            "/severity",
            "/action",
            "/state",
            "/phase",
            "/detected_at",
        ],
        bound: &["/id", "/key", "/state"],
        read: |store| {
            let one = store.finding(&FindingId("f-5496be1b516f9f63".into()))?;
            let all = store.findings(&FindingFilter::default())?;
            Ok(vec![json(one)?, json(all)?, json(store.findings_open()?)?])
        },
    },
    Table {
        name: "remediation",
        insert: "INSERT INTO remediation (id, finding, resource, account, act, state, ended, fence, claimed_at,
                                          updated_at, doc)
                 VALUES (1, 'f', '111122223333/us-east-1/compute/instance/i-0monolith', '111122223333',
                         'resize_instance', 'J9_answered', 0, 2, 1, 1, ?1)",
        words: &["/step/key/account", "/step/key/region", "/step/key/kind", "/step/act", "/state", "/claimed_at"],
        bound: &["/id", "/step/key", "/step/act", "/state"],
        read: |store| {
            let open = store.open_remediations()?;
            open.iter().for_each(recipe);
            Ok(vec![json(open)?, json(store.remediation(1)?)?])
        },
    },
    Table {
        name: "undo",
        insert: "INSERT INTO undo (id, remediation, resource, state, ended, fence, claimed_at, updated_at, doc)
                 VALUES (1, 1, '111122223333/us-east-1/compute/instance/i-0monolith', 'J8_act_intent', 0, 3, 1, 1, ?1)",
        words: &["/key/account", "/key/kind", "/state", "/updated_at"],
        bound: &["/id", "/remediation", "/key", "/state"],
        read: |store| Ok(vec![json(store.open_undos()?)?, json(store.undo(1)?)?, json(store.undos_of(1)?)?]),
    },
    Table {
        name: "exception",
        insert: "INSERT INTO exception (id, account, resource, policy, rule, status, revision, asked_at, doc)
                 VALUES ('0b8f6c9e-3a1d-4c53-9b1e-2f1a5c0d7e11', '111122223333', 'i-0monolith', 'resource-limits',
                         'max-instance-size', 'approved', 2, 1, ?1)",
        words: &["/resource_kind", "/exception_type", "/status", "/requested_at"],
        bound: &["/id", "/account", "/resource_id", "/policy_name", "/rule_name", "/status"],
        read: |store| {
            let on = store.exceptions_on("111122223333", "i-0monolith")?;
            Ok(vec![json(store.exceptions()?)?, json(on)?, json(store.exception("0b8f6c9e-3a1d-4c53-9b1e-2f1a5c0d7e11")?)?])
        },
    },
    Table {
        name: "act_request",
        insert: "INSERT INTO act_request (id, finding, step, asked_at, doc)
                 VALUES (3, 'f-6c79a725e9626222', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 1, ?1)",
        words: &["/key/account", "/key/kind", "/act", "/expires_at", "/people"],
        bound: &["/finding", "/step"],
        read: |store| {
            let of = store.act_requests_of(&FindingId("f-6c79a725e9626222".into()))?.into_iter().map(|(request, _)| request);
            Ok(vec![json(of.collect::<Vec<_>>())?, json(store.act_request("act-3")?)?])
        },
    },
    Table {
        name: "plan",
        insert: "INSERT INTO plan (id, created_at, doc) VALUES ('p', 1, ?1)",
        words: &["/steps/0/key/account", "/steps/0/key/kind", "/steps/0/act", "/expires_at"],
        bound: &[],
        read: |store| Ok(vec![json(store.plan("p")?)?]),
    },
    Table {
        name: "plan_held",
        insert: "INSERT INTO plan_held (plan, seq, code, doc) VALUES ('p', 0, 'x', ?1)",
        words: &["/key/account", "/key/kind", "/code"],
        bound: &[],
        read: |store| Ok(vec![json(store.held("p", None)?)?]),
    },
    Table {
        name: "drill",
        insert: "INSERT INTO drill (id, state, ended, fence, begun_at, updated_at, doc)
                 VALUES (1, 'intended', 0, 4, 1, 1, ?1)",
        words: &["/snapshot/account", "/snapshot/kind", "/state", "/begun_at"],
        bound: &[],
        read: |store| {
            let since = store.drills_since(Instant::UNIX_EPOCH)?;
            Ok(vec![json(store.open_drill()?)?, json(store.last_drill()?)?, json(since)?])
        },
    },
];

/// Values that take the place of others.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "256",
    "4294967296",
    "9223372036854775807",
    "1e300",
    "0.1",
    "\"\"",
    "\"x\"",
    "[]",
    "[[]]",
    "{}",
    "\"2026-02-30T00:00:00Z\"",
    "\"+262142-12-31T23:59:60Z\"",
    "\"1970-01-01T00:00:00.000000001Z\"",
    "\"Done\"",
    "\"done\"",
    "\"stop_instance\"",
    "\"Stuck\"",
    "\"storage/volume\"",
    "\"123456789012\"",
    "\"eu-central-1\"",
    "[[\"k\", \"v\"]]",
    "[null]",
    "{\"known\": null}",
    "{\"unknown\": \"x\"}",
    "\"absent\"",
    "\"\\u0000\\ud83e\\udd80\"",
];

/// A word that no version knows.
const NO_WORD: &str = "zz";

/// A document is garbled in its row, and the table read. How many ways of reading gave the row.
pub fn rows(bytes: &[u8]) -> usize {
    let mut feed = Feed::new(bytes);
    let table = &TABLES[feed.below(TABLES.len())];
    let sample = &samples()[table.name];
    match feed.byte() % 8 {
        0 => judge(table, &feed.rest(), false),
        1 | 2 => {
            let mut text = sample.to_string();
            let (at, length) = (feed.number(), feed.below(9));
            let from = text.floor_char_boundary(usize::from(at) % text.len());
            let to = text.floor_char_boundary((from + length).min(text.len()));
            text.replace_range(from..to, &feed.rest());
            judge(table, &text, false)
        }
        _ => {
            let mut document = sample.clone();
            while !feed.is_empty() {
                edit(&mut document, table, &mut feed);
            }
            let unknown = |path: &&str| document.pointer(path).is_none_or(|value| value == NO_WORD);
            judge(table, &document.to_string(), table.words.iter().any(unknown))
        }
    }
}

/// One edit: a word becomes unknown, or something is removed, replaced or added.
fn edit(document: &mut Json, table: &Table, feed: &mut Feed<'_>) {
    let how = feed.byte() % 4;
    if how == 0 {
        if let Some(word) = document.pointer_mut(feed.pick(table.words)) {
            *word = NO_WORD.into();
        }
        return;
    }
    let mut paths = Vec::new();
    collect(document, String::new(), &mut paths);
    if paths.is_empty() {
        return;
    }
    let path = paths.swap_remove(feed.below(paths.len()));
    let value: Json = serde_json::from_str(feed.pick(VALUES)).expect("each of them is JSON");
    let (parent, key) = path.rsplit_once('/').unwrap_or_default();
    match document.pointer_mut(parent) {
        Some(Json::Object(fields)) if how == 1 => drop(fields.remove(key)),
        Some(Json::Object(fields)) if how == 2 => drop(fields.insert(key.to_owned(), value)),
        Some(Json::Object(fields)) => drop(fields.insert(format!("{key}_of_tomorrow"), value)),
        Some(Json::Array(items)) => match key.parse::<usize>() {
            Ok(at) if how == 1 && at < items.len() => drop(items.remove(at)),
            Ok(at) if at < items.len() => items[at] = value,
            _ => {}
        },
        _ => {}
    }
}

/// Pointers to everything in a document. None of our own keys has a slash or a tilde; those that do are not found again.
fn collect(value: &Json, path: String, found: &mut Vec<String>) {
    match value {
        Json::Object(fields) => fields.iter().for_each(|(key, value)| collect(value, format!("{path}/{key}"), found)),
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| collect(value, format!("{path}/{at}"), found));
        }
        _ => {}
    }
    if !path.is_empty() {
        found.push(path);
    }
}

/// Reads the table with this document in its only row.
fn judge(table: &Table, text: &str, must_fail: bool) -> usize {
    STORE.with(|store| {
        put(store, table, text);
        let found = (table.read)(store);
        let count = match &found {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                0
            }
            Ok(ways) => {
                assert!(!must_fail, "{}: it lacks a word, and is read all the same: {text}", table.name);
                for rows in ways {
                    assert_eq!(rows.len(), 1, "{}: a row is lost: {text}", table.name);
                    for path in table.bound {
                        let (own, sample) = (rows[0].pointer(path), samples()[table.name].pointer(path));
                        assert_eq!(own, sample, "{}: another document is believed: {text}", table.name);
                    }
                    put(store, table, &rows[0].to_string());
                    let again = (table.read)(store).unwrap_or_else(|error| panic!("{error}: {}", rows[0]));
                    assert_eq!(again[0][0], rows[0], "{}: written again it is another: {text}", table.name);
                }
                ways.len()
            }
        };
        put(store, table, &samples()[table.name].to_string());
        count
    })
}

/// A recipe is read when something is taken back: then it is whole or an error.
fn recipe(act: &Remediation) {
    let Some(Ok(read)) = act.recipe.as_ref().map(Kept::read::<Recipe>) else { return };
    let kept = Kept::of(&read).expect("our own types are JSON");
    assert_eq!(kept.read::<Recipe>().expect("what we wrote"), read);
}

thread_local! {
    static STORE: Store = {
        let store = Store::in_memory().expect("a state in memory needs no disk");
        for table in &TABLES {
            let text = samples()[table.name].to_string();
            store.lock().execute(table.insert, params![text]).expect("a row of today's schema");
        }
        store
    };
}

fn samples() -> &'static Json {
    static READ: std::sync::LazyLock<Json> =
        std::sync::LazyLock::new(|| serde_json::from_str(SAMPLES).expect("a test reads it"));
    &READ
}

fn put(store: &Store, table: &Table, text: &str) {
    // Text of SQLite ends nowhere but at its end; a row with a NUL is one that cannot be read.
    store.lock().execute(&format!("UPDATE {} SET doc = ?1", table.name), params![text]).expect("nothing forbids it");
}

fn json<T: serde::Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Vec<Json>> {
    Ok(rows.into_iter().map(|row| serde_json::to_value(row).expect("our own types are JSON")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn h34_rows_of_an_older_version_are_read_and_lose_nothing() {
        for table in &TABLES {
            let sample = samples()[table.name].clone();
            assert!(judge(table, &sample.to_string(), false) > 0, "{}", table.name);
            let read = STORE.with(|store| (table.read)(store)).unwrap();
            let mut written = read[0][0].clone();
            if table.name == "act_request" {
                written["id"] = 0.into();
            }
            let mut sample = sample;
            if table.name == "exception" {
                // It is a column.
                sample.as_object_mut().unwrap().remove("revision");
            }
            assert_eq!(written, sample, "{}", table.name);
        }
    }

    #[test]
    fn h16_a_row_with_an_unknown_word_or_none_is_an_error_and_never_one_row_less() {
        let (mut refused, mut read) = (0, 0);
        for table in &TABLES {
            for path in table.words {
                for how in 0..2 {
                    let mut document = samples()[table.name].clone();
                    let (parent, key) = path.rsplit_once('/').unwrap();
                    let parent = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                    assert!(parent.remove(key).is_some(), "{}: {path}", table.name);
                    if how == 0 {
                        parent.insert(key.into(), NO_WORD.into());
                    }
                    assert_eq!(judge(table, &document.to_string(), true), 0);
                    refused += 1;
                }
            }
            for text in ["", "null", "{}", "[]", "\0", "{\"a\": 1, \"a\": 2}", "1e999", "\"", &"[".repeat(500)] {
                assert_eq!(judge(table, text, true), 0, "{}: {text:?}", table.name);
                refused += 1;
            }
            // Every field of the first level in turn becomes every value.
            let sample = samples()[table.name].as_object().unwrap();
            for key in sample.keys() {
                for value in VALUES {
                    let mut document = sample.clone();
                    document.insert(key.clone(), serde_json::from_str(value).unwrap());
                    read += usize::from(judge(table, &Json::Object(document).to_string(), false) > 0);
                }
            }
        }
        assert!(refused > 140 && read > 300, "{refused} were refused, {read} read");
    }

    #[test]
    fn h16_a_document_that_says_something_else_than_its_row_is_not_believed() {
        let mut refused = 0;
        for table in &TABLES {
            for path in table.bound {
                let sample = &samples()[table.name];
                let other = match sample.pointer(path) {
                    Some(Json::Number(number)) => (number.as_i64().unwrap() + 1).into(),
                    Some(Json::Object(key)) => {
                        let mut key = key.clone();
                        key.insert("id".into(), "i-0another".into());
                        Json::Object(key)
                    }
                    _ => match *path {
                        "/state" if table.name == "finding" => "excepted".into(),
                        "/state" => "Claimed".into(),
                        "/status" => "pending".into(),
                        "/step/act" => "stop_instance".into(),
                        _ => "another".into(),
                    },
                };
                let mut document = sample.clone();
                *document.pointer_mut(path).unwrap() = other;
                assert_eq!(judge(table, &document.to_string(), false), 0, "{}: {path}", table.name);
                put_and_expect(table, &document, if path == &"/id" { "document" } else { "its row says" });
                refused += 1;
            }
        }
        assert_eq!(refused, 19);
    }

    /// The reason is that the two differ, and no other.
    fn put_and_expect(table: &Table, document: &Json, words: &str) {
        STORE.with(|store| {
            put(store, table, &document.to_string());
            let error = (table.read)(store).unwrap_err();
            let error = format!("{:#}", anyhow::Error::from(error));
            assert!(error.contains(words) || error.contains("its row is"), "{error}");
            put(store, table, &samples()[table.name].to_string());
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn h16_any_garbled_row_is_an_error_or_the_same_when_written_again(bytes in vec(any::<u8>(), 0..40)) {
            rows(&bytes);
        }
    }
}
