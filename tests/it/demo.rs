//! The demo: 45 nights on the shipped world, with the real binary. Destruction is asserted by identity.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use costwarden::domain::finding::{Act, State};
use costwarden::domain::remediation::JournalState;
use costwarden::store::{FindingFilter, Store};

fn play(folder: &Path, days: u32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_costwarden"))
        .args(["demo", "--days", &days.to_string(), "--dir", "out"])
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn done(store: &Store) -> BTreeSet<(String, Act)> {
    let end = Utc::now() + TimeDelta::days(36_500);
    store
        .remediations_between(DateTime::UNIX_EPOCH, end)
        .unwrap()
        .into_iter()
        .filter(|act| act.state == JournalState::Done)
        .map(|act| (act.step.key.id.to_string(), act.step.act))
        .collect()
}

#[test]
fn forty_five_nights_do_exactly_what_the_story_says_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let story = play(folder.path(), 45);
    let out = folder.path().join("out");
    let store = Store::open(&out.join("costwarden.db")).unwrap();

    let stopped = ["i-0report", "i-0sandbox", "i-0export", "i-0gap", "i-0course", "i-0pilot", "i-0audit"];
    let deleted = ["vol-0old-database", "vol-0test-data", "vol-0eu-logs"];
    let expected: BTreeSet<(String, Act)> = stopped
        .iter()
        .map(|id| (id.to_string(), Act::StopInstance))
        .chain(deleted.iter().map(|id| (id.to_string(), Act::DeleteVolume)))
        .chain([("i-0lab".to_string(), Act::AddTags), ("i-0monolith".to_string(), Act::ResizeInstance)])
        .collect();
    assert_eq!(done(&store), expected);

    let end = Utc::now() + TimeDelta::days(36_500);
    for act in store.remediations_between(DateTime::UNIX_EPOCH, end).unwrap() {
        if act.step.act != Act::AddTags {
            assert!(!act.snapshots.is_empty(), "{} without a backup", act.step.key.id);
            assert!(act.snapshots.iter().all(|backup| backup.completed_at.is_some()), "{}", act.step.key.id);
        }
    }
    for words in ["made up for the night", "a full new grace starts", "50 % of", "incomplete", "could not be judged"] {
        assert!(story.contains(words), "the story lacks {words:?}");
    }
    let open = store.findings(&FindingFilter { states: vec![State::Open], ..FindingFilter::default() }).unwrap();
    let untouched = ["i-0invoice", "i-0bastion", "i-0scaled", "i-0cache", "i-0escrow", "vol-0claim"];
    for id in untouched {
        assert!(open.iter().any(|finding| *finding.key.id == *id), "{id} is protected by a guard and still open");
    }

    let mails: Vec<_> = std::fs::read_dir(out.join("mail")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let weekly =
        mails.iter().filter(|path| std::fs::read_to_string(path).unwrap().contains("Weekly Compliance Report")).count();
    assert_eq!(weekly, 7, "one for each Monday");
    assert!(out.join("last-plan.json").exists());
}

#[test]
fn the_same_world_gives_the_same_story_on_every_run() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(play(first.path(), 12), play(second.path(), 12));
}

#[test]
fn a_folder_that_is_not_a_demos_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    std::fs::write(folder.path().join("out/precious.txt"), "mine").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_costwarden"))
        .args(["demo", "--dir", "out"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(folder.path().join("out/precious.txt")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
}
