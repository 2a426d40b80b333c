//! The table of rights against what the adapter can send, read from its sources: neither may have more than the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use costwarden::cloud::rights::{COSTS, Change, Changes, IDENTITY, KEYS, METRICS, reads};
use costwarden::domain::finding::Act;
use costwarden::domain::place::Kind;
use regex::Regex;

/// Rust files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// Operations of the SDK that the adapter's sources call, as `DescribeVolumes`. Questions about rights are left out:
/// `probes` lists them, and they are dry runs.
fn sent() -> BTreeSet<String> {
    let call = Regex::new(r"\bclient\s*\.\s*([a-z][a-z_]*)\(\)").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud/aws");
    let mut operations = BTreeSet::new();
    for path in files(&folder).iter().filter(|path| !path.ends_with("probe.rs")) {
        let text = fs::read_to_string(path).unwrap();
        for found in call.captures_iter(&text).filter(|found| &found[1] != "clone") {
            let words = found[1].split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
            operations.insert(words.collect::<String>());
        }
    }
    operations
}

#[test]
fn every_operation_that_the_adapter_sends_has_its_row_and_no_row_is_surplus() {
    let own = Change::ALL.iter().map(|change| change.rights()[0].action);
    let read = Kind::ALL.iter().flat_map(|kind| reads(*kind)).map(|right| right.action);
    let rows: BTreeSet<String> = own
        .chain(read)
        .chain([METRICS.action, COSTS.action, KEYS.action, IDENTITY])
        .map(|action| action.split_once(':').expect("service and operation").1.to_owned())
        .collect();
    let sent = sent();
    assert!(sent.len() > 10, "the sources could not be read: {sent:?}");
    assert_eq!(rows, sent);
}

#[test]
fn every_change_belongs_to_some_act_and_an_act_with_changes_can_be_taken_back() {
    let made = Act::ALL.into_iter().flat_map(|act| Changes::of(act).all());
    let used: BTreeSet<Change> = made.chain(Change::DRILL).collect();
    assert_eq!(used, Change::ALL.into_iter().collect());
    for act in Act::ALL {
        let changes = Changes::of(act);
        assert_eq!(changes.act.is_empty(), changes.undo.is_empty() && !act.expires(), "{act:?}");
        assert!(act.changes_cloud() || changes.all().next().is_none(), "{act:?}");
    }
}
