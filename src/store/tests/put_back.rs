//! A state file that was put back from an older copy: noticed, kept in mind, and accepted by a person alone.

use std::collections::BTreeMap;

use super::*;
use crate::domain::mode::{Arming, Freeze};
use crate::domain::remediation::{JournalState, Remediation};

/// The files of a state at one moment, by name.
type Files = BTreeMap<&'static str, Vec<u8>>;

const STATE: &str = FILE_NAME;
const LOG: &str = "costwarden.db-wal";

/// In memory where the machine has a folder for that: what is asked here does not depend on a disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn taken(folder: &Path) -> Files {
    [STATE, LOG, ANCHOR_NAME]
        .into_iter()
        .filter_map(|name| Some((name, std::fs::read(folder.join(name)).ok()?)))
        .collect()
}

/// Puts these files into a folder and takes away the others of a state.
fn put(folder: &Path, files: &Files) {
    for name in [STATE, LOG, "costwarden.db-shm", ANCHOR_NAME] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// An act on a volume of its own, from its claim to its end.
fn act(store: &Store, number: i64) -> Remediation {
    let finding = finding(&format!("vol-0{number:x}"));
    store.update_findings(std::slice::from_ref(&finding), &[]).unwrap();
    let fence = acting_lease(store, &format!("w{number}"), minute(10 * number));
    let claimed = store.claim(&step(&finding), "p-1", fence, minute(10 * number)).unwrap();
    for state in [JournalState::Rechecked, JournalState::ActIntent, JournalState::Answered, JournalState::Observed] {
        let moved = Remediation { state, ..claimed.clone() };
        store.advance(&moved, fence, minute(10 * number + 1)).unwrap();
    }
    let done = Remediation { state: JournalState::Done, ..claimed };
    store.done(&done, fence, minute(10 * number + 2), &entry(number), &[]).unwrap();
    store.release(ACTING_LEASE, &format!("w{number}"), fence).unwrap();
    done
}

fn entry(number: i64) -> AuditEntry {
    AuditEntry {
        actor: "test".into(),
        what: "act".into(),
        subject: format!("r-{number}"),
        detail: serde_json::json!({}),
    }
}

fn doubt(store: &Store) -> String {
    store.put_back().unwrap().expect("nothing speaks against this state")
}

#[test]
fn h16_an_older_copy_is_noticed_with_and_without_its_log_until_a_person_accepts_it() {
    for with_log in [true, false] {
        let folder = folder();
        let store = Store::open_in(folder.path()).unwrap();
        act(&store, 1);
        // Everything so far in the one file; what follows is in the log alone.
        drop(store);
        let store = Store::open_in(folder.path()).unwrap();
        act(&store, 2);
        let older = taken(folder.path());
        assert!(!older[LOG].is_empty());
        act(&store, 3);
        assert_eq!(store.put_back().unwrap(), None);
        drop(store);
        let now = taken(folder.path());
        let names = if with_log { vec![STATE, LOG] } else { vec![STATE] };
        let mut files: Files = names.into_iter().map(|name| (name, older[name].clone())).collect();
        files.insert(ANCHOR_NAME, now[ANCHOR_NAME].clone());
        put(folder.path(), &files);

        let known = if with_log { 2 } else { 1 };
        let why = format!("this state is an older copy: it has {known} of 3 acts");
        assert_eq!(doubt(&Store::open_read_only(&folder.path().join(STATE)).unwrap()), why, "a reader sees it too");
        let store = Store::open_in(folder.path()).unwrap();
        assert_eq!(doubt(&store), why);
        // It goes on being used, beyond where the other one was: that makes it no better.
        for number in 10..15 {
            act(&store, number);
        }
        drop(store);
        assert_eq!(taken(folder.path())[ANCHOR_NAME], now[ANCHOR_NAME], "the anchor stays with what was done");
        let store = Store::open_in(folder.path()).unwrap();
        assert_eq!(doubt(&store), why);

        let last = store.last_remediation().unwrap();
        let accepted = store.accept_put_back("ann", minute(200), |_| {}).unwrap().unwrap();
        assert_eq!((accepted.why.as_str(), accepted.epoch, accepted.after_row), (why.as_str(), 2, last + 10_000));
        assert_eq!(store.put_back().unwrap(), None);
        assert_eq!(act(&store, 40).id, last + 10_001, "no number that a lost row may have had");
        drop(store);
        let store = Store::open_in(folder.path()).unwrap();
        assert_eq!(store.put_back().unwrap(), None);
        assert_eq!(store.accept_put_back("ann", minute(500), |_| {}).unwrap(), None);
        // The copy that was the latest until then is the older one now.
        drop(store);
        put(
            folder.path(),
            &Files::from([(STATE, now[STATE].clone()), (ANCHOR_NAME, taken(folder.path())[ANCHOR_NAME].clone())]),
        );
        assert_eq!(
            doubt(&Store::open_in(folder.path()).unwrap()),
            "this state is an older copy: it has 1 of 2 accepted copies"
        );
    }
}

#[test]
fn h16_two_thousand_files_that_were_put_back_are_noticed_or_have_lost_nothing() {
    let folder = folder();
    let mut copies: Vec<Files> = Vec::new();
    for number in 1..=40 {
        // Each opening puts the log into the file and begins another.
        let store = Store::open_in(folder.path()).unwrap();
        if number % 5 == 0 {
            let frozen = Freeze { at: minute(10 * number), by: "ann".into(), reason: "a pause".into() };
            store.freeze(&frozen).unwrap();
            store.audit_append(minute(10 * number), &entry(number)).unwrap();
            store.unfreeze("ann", minute(10 * number + 1)).unwrap();
            store.audit_append(minute(10 * number + 1), &entry(number)).unwrap();
        } else {
            act(&store, number);
        }
        copies.push(taken(folder.path()));
        if number % 3 == 0 {
            store.lock().pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
            store.audit_append(minute(10 * number + 5), &entry(number)).unwrap();
            copies.push(taken(folder.path()));
        }
        if number == 40 {
            act(&store, 41);
            copies.push(taken(folder.path()));
        }
    }
    let newest = copies.last().unwrap().clone();
    let reached = |folder: &Path| -> Option<(anchor::Anchor, Vec<String>)> {
        let store = Store::open_in(folder).ok()?;
        if store.put_back().unwrap().is_some() {
            return None;
        }
        let rows = store.audit_rows(0, 10_000).unwrap().into_iter().map(|row| row.hash).collect();
        let anchor = anchor::Anchor::of(&store.lock()).unwrap();
        Some((anchor, rows))
    };
    put(folder.path(), &newest);
    let truth = reached(folder.path()).unwrap();
    let mut random = 7_u64;
    let mut below = |end: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    let (mut noticed, mut whole) = (0, 0);
    for _ in 0..2_000 {
        let (state, log) = (below(copies.len()), below(copies.len() + 1));
        let mut files =
            Files::from([(ANCHOR_NAME, newest[ANCHOR_NAME].clone()), (STATE, copies[state][STATE].clone())]);
        // Its own log, another one's, or none.
        let log = if below(2) == 0 { Some(&copies[state]) } else { copies.get(log) };
        if let Some(bytes) = log.and_then(|files| files.get(LOG)) {
            files.insert(LOG, bytes.clone());
        }
        put(folder.path(), &files);
        match reached(folder.path()) {
            None => noticed += 1,
            Some(found) => {
                assert_eq!(found, truth, "state {state} passed as the latest");
                whole += 1;
            }
        }
    }
    assert!(noticed > 1_500 && noticed + whole == 2_000, "{noticed} noticed, {whole} whole");
    eprintln!("H16 files=2000 noticed={noticed} whole={whole} violations=0");
}

#[test]
fn h16_a_state_that_went_on_from_an_older_copy_without_its_anchor_is_noticed_by_its_trail() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    act(&store, 1);
    drop(store);
    let older = taken(folder.path());
    let store = Store::open_in(folder.path()).unwrap();
    act(&store, 2);
    drop(store);
    let anchor = taken(folder.path())[ANCHOR_NAME].clone();
    // Elsewhere the copy goes on as far and further.
    put(folder.path(), &older);
    let store = Store::open_in(folder.path()).unwrap();
    act(&store, 3);
    act(&store, 4);
    drop(store);
    std::fs::write(folder.path().join(ANCHOR_NAME), anchor).unwrap();
    let why = doubt(&Store::open_in(folder.path()).unwrap());
    assert_eq!(why, "this state went on from an older copy: row 2 of its audit trail is another one");
}

#[test]
fn h16_an_anchor_that_is_missing_foreign_or_unreadable_is_a_doubt_with_a_way_on() {
    type Harm = fn(&Path);
    let harms: [(Harm, &str); 3] = [
        (|path| std::fs::remove_file(path).unwrap(), "is missing, so nobody can tell whether this state is the latest"),
        (|path| std::fs::write(path, "{\"state_id\":\"st-1\"").unwrap(), "cannot be understood"),
        (
            |path| {
                let text = std::fs::read_to_string(path).unwrap();
                let own = text.split('"').nth(3).unwrap().to_owned();
                std::fs::write(path, text.replace(&own, "st-0123456789abcdef")).unwrap();
            },
            "the anchor beside this state belongs to another one, st-0123456789abcdef",
        ),
    ];
    for (harm, words) in harms {
        let folder = folder();
        let store = Store::open_in(folder.path()).unwrap();
        act(&store, 1);
        let account = partition(Kind::Volume).place.account;
        let arming = Arming {
            account: account.clone(),
            by: "ann".into(),
            at: minute(0),
            until: minute(9_000),
            policies: vec![],
        };
        store.arm(&arming).unwrap();
        drop(store);
        harm(&folder.path().join(ANCHOR_NAME));
        let store = Store::open_in(folder.path()).unwrap();
        assert!(doubt(&store).contains(words), "{}", doubt(&store));
        let again = |finding: &mut Finding| finding.reason = "begun anew".into();
        let accepted = store.accept_put_back("ann", minute(60), again).unwrap().unwrap();
        assert_eq!((accepted.disarmed, accepted.restarted), (1, 0), "its only finding is closed");
        assert!(store.arming(&account).unwrap().unwrap().until < minute(60));
        let last = store.audit_rows(1, 10).unwrap().pop().unwrap();
        assert_eq!((last.entry.actor.as_str(), last.entry.what.as_str()), ("ann", "accept_state"));
        drop(store);
        assert_eq!(Store::open_in(folder.path()).unwrap().put_back().unwrap(), None);
    }
}

#[test]
fn h16_accepting_begins_every_grace_period_anew_and_says_so() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    let mut warned = finding("i-0a1");
    warned.clock.first_notice = Some(minute(1));
    warned.clock.due_at = Some(minute(2));
    store.update_findings(std::slice::from_ref(&warned), &[]).unwrap();
    act(&store, 1);
    store.note_put_back("snap-1 was made for r-7", 7).unwrap();
    store.note_put_back("snap-2 was made for r-5", 5).unwrap();
    assert_eq!(doubt(&store), "snap-1 was made for r-7");
    let restart = |finding: &mut Finding| finding.clock = GraceClock::default();
    let accepted = store.accept_put_back("ann", minute(60), restart).unwrap().unwrap();
    assert_eq!((accepted.restarted, accepted.after_row), (1, 10_007));
    let found = store.finding(&warned.id).unwrap().unwrap();
    assert_eq!((found.clock.first_notice, found.clock.due_at), (None, None));
    let told = store.finding_events(&warned.id).unwrap().pop().unwrap();
    assert_eq!(told.detail, "the state was put back from an older copy; a new full grace period begins");
}

#[test]
fn an_older_versions_state_gets_an_anchor_and_an_anchor_that_lags_is_no_doubt() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    act(&store, 1);
    store.lock().execute("DELETE FROM meta WHERE key = 'anchored'", []).unwrap();
    drop(store);
    std::fs::remove_file(folder.path().join(ANCHOR_NAME)).unwrap();
    let store = Store::open_in(folder.path()).unwrap();
    assert_eq!(store.put_back().unwrap(), None, "a version without anchors left none");
    let lagging = taken(folder.path())[ANCHOR_NAME].clone();
    act(&store, 2);
    drop(store);
    // Killed between a commit and its anchor.
    std::fs::write(folder.path().join(ANCHOR_NAME), &lagging).unwrap();
    let store = Store::open_in(folder.path()).unwrap();
    assert_eq!(store.put_back().unwrap(), None);
    assert_ne!(taken(folder.path())[ANCHOR_NAME], lagging, "and it is brought up");
}

#[test]
fn h16_a_worker_whose_state_was_replaced_by_an_accepted_copy_commits_nothing_more_for_a_call() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    act(&store, 1);
    // Somebody replaces the file under the running worker, and accepts the copy.
    let text = std::fs::read_to_string(folder.path().join(ANCHOR_NAME)).unwrap();
    std::fs::write(folder.path().join(ANCHOR_NAME), text.replace("\"epoch\":1", "\"epoch\":2")).unwrap();
    let error = store.audit_append(minute(30), &entry(2)).unwrap_err();
    assert!(error.to_string().contains("another copy of it went on meanwhile"), "{error}");
}

#[test]
fn a_folder_that_takes_no_anchor_stops_whoever_would_call() {
    let folder = folder();
    let store = Store::open_in(folder.path()).unwrap();
    // A folder in the anchor's way: works for root too, whom no mode stops.
    std::fs::create_dir(folder.path().join("costwarden.anchor-new")).unwrap();
    let error = store.audit_append(minute(1), &entry(1)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("costwarden.anchor cannot be written, so nothing further is done"), "{text}");
    std::fs::remove_dir(folder.path().join("costwarden.anchor-new")).unwrap();
    store.audit_append(minute(2), &entry(2)).unwrap();
    assert_eq!(store.audit_head().unwrap().unwrap().seq, 2);
}
