//! What the pages for people promise: the files, tests and commands that they name are there.
//!
//! Read from the README and the other Markdown pages; nothing here knows a page's wording. What a command prints is
//! the business of `cli`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use costwarden::cli::Cli;
use regex::Regex;

const PAGES: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/faults.md",
    "docs/operations.md",
    "docs/policies.md",
    "docs/safety.md",
    "docs/worlds.md",
    "reports/README.md",
    "systemd/README.md",
];

#[test]
fn every_file_that_a_page_names_exists() {
    let link = Regex::new(r##"(?:\]\(|href="|src=")([^)"#:\s]+)"##).unwrap();
    let path = Regex::new(r"`((?:src|tests|docs|config|fixtures|reports|systemd|\.ci)/[\w./-]*\w/?)`").unwrap();
    let mut named = 0;
    let mut missing = Vec::new();
    for (page, text) in pages() {
        let folder = root().join(page).parent().map(Path::to_path_buf).unwrap_or_default();
        let links = link.captures_iter(&text).map(|found| (folder.join(&found[1]), found[1].to_owned()));
        let paths = path.captures_iter(&text).map(|found| (root().join(&found[1]), found[1].to_owned()));
        for (file, name) in links.chain(paths) {
            named += 1;
            if !file.exists() {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(missing.is_empty() && named > 40, "{named} named, not there: {missing:#?}");
}

#[test]
fn every_test_that_backs_a_claim_exists() {
    let name = Regex::new(r"`([a-z][a-z0-9]*(?:_[a-z0-9]+){4,})`").unwrap();
    let mut sources = String::new();
    read_rust(&root().join("src"), &mut sources);
    read_rust(&root().join("tests"), &mut sources);
    let mut named = 0;
    let mut missing = Vec::new();
    for (page, text) in pages() {
        for found in name.captures_iter(&text) {
            named += 1;
            if !sources.contains(&format!("fn {}(", &found[1])) {
                missing.push(format!("{page}: {}", &found[1]));
            }
        }
    }
    assert!(missing.is_empty() && named > 40, "{named} named, not there: {missing:#?}");
}

#[test]
fn every_command_that_a_page_shows_is_one() {
    // In code only: after a backtick, a prompt, the start of a line, or the name of a folder's file.
    let shown = Regex::new(r"(?m)(?:`|^|\$ |\(|&& |\| )costwarden ([^`\n|#]+)").unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for found in shown.captures_iter(&text) {
            seen += 1;
            if let Err(word) = known(&found[1]) {
                wrong.push(format!("{page}: costwarden {}: {word} is unknown", found[1].trim()));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 40, "{seen} seen: {wrong:#?}");
    assert_eq!(known("scan --world x --as-off y"), Err("--as-off".to_owned()));
    assert_eq!(known("policy revue"), Err("revue".to_owned()));
}

/// Walks the subcommands that a line names and looks up its long flags; the first word that is not known.
fn known(line: &str) -> Result<(), String> {
    let mut command = Cli::command();
    command.build();
    let mut command = &command;
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.trim_end_matches([')', ';', ',', '.']);
            let argument = command.get_arguments().find(|argument| argument.get_long() == Some(flag));
            let argument = argument.ok_or_else(|| word.to_owned())?;
            if argument.get_action().takes_values() {
                words.next();
            }
        } else if command.has_subcommands() && !word.starts_with('-') {
            let word = word.trim_end_matches([')', ';', ',', '.']);
            command = command.find_subcommand(word).ok_or_else(|| word.to_owned())?;
        }
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(&'static str, String)> {
    PAGES.iter().map(|page| (*page, fs::read_to_string(root().join(page)).unwrap())).collect()
}

fn read_rust(folder: &Path, into: &mut String) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            read_rust(&entry, into);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            into.push_str(&fs::read_to_string(&entry).unwrap());
        }
    }
}
