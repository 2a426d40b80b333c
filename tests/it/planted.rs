//! The mistakes that prove the campaign are in no build but the campaign's own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::{Regex, bytes};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words of `src/planted.rs`, of both its lists.
fn words() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("src/planted.rs")).unwrap();
    let list = &text[text.find("WORDS").unwrap()..text.rfind("];").unwrap()];
    Regex::new(r#""([a-z-]+)""#).unwrap().captures_iter(list).map(|found| found[1].to_owned()).collect()
}

fn planted_in(folder: &Path, found: &mut BTreeSet<String>) {
    let places = Regex::new(r"planted!\(([^)]*)\)").unwrap();
    let word = Regex::new(r#""([a-z-]+)""#).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            planted_in(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("planted.rs") {
            let text = fs::read_to_string(&path).unwrap();
            for place in places.captures_iter(&text) {
                found.extend(word.captures_iter(&place[1]).map(|word| word[1].to_owned()));
            }
        }
    }
}

#[test]
fn every_planted_mistake_stands_somewhere_and_in_the_list() {
    let mut found = BTreeSet::new();
    planted_in(&root().join("src"), &mut found);
    assert_eq!(found, words());
    assert!(found.len() >= 40, "{}", found.len());
}

#[test]
fn no_planted_mistake_is_in_a_default_build() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let defaults = manifest.lines().find(|line| line.starts_with("default = ")).unwrap();
    assert!(!defaults.contains("planted"), "{defaults}");
    let program = fs::read(env!("CARGO_BIN_EXE_costwarden")).unwrap();
    let any: Vec<String> = words().into_iter().collect();
    let any = bytes::Regex::new(&any.join("|")).unwrap();
    let found: Vec<String> =
        any.find_iter(&program).map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned()).collect();
    assert_eq!(found.is_empty(), !cfg!(feature = "planted"), "{found:?}");
}
