//! The fuzz targets: each is built, run by `.ci/run --long`, asked by a plain test as well, and told in docs/safety.md.
//!
//! Without this a target would be written and never run, or run and never told.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use crate::tidy::{root, rust_files};

/// How many there are at least (safety.md asks for ten).
const TARGETS: usize = 10;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a pattern finds, by its first group.
fn all(pattern: &str, text: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_fuzz_target_is_built_run_tested_and_told() {
    let files = rust_files(&root().join("fuzz/fuzz_targets"));
    let name = |path: &str| path.trim_start_matches("fuzz/fuzz_targets/").trim_end_matches(".rs").to_owned();
    let targets: BTreeSet<String> = files.iter().map(|file| name(&file.path)).collect();
    assert!(targets.len() >= TARGETS, "{targets:?}");
    assert_eq!(all(r#"(?m)^path = "fuzz_targets/(\w+)\.rs"$"#, &read("fuzz/Cargo.toml")), targets, "fuzz/Cargo.toml");
    assert_eq!(all(r"(?m)^\| `(\w+)` \| .*\| `\w+`.* \|$", &read("docs/safety.md")), targets, "docs/safety.md");
    let run = read(".ci/run");
    let listed = all(r"(?m)^    for target in ([\w ]+); do$", &run);
    let run: BTreeSet<String> = listed.iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect();
    assert_eq!(run, targets, ".ci/run");

    let sources: Vec<_> =
        rust_files(&root().join("src")).into_iter().filter(|file| file.path.contains("/fuzz")).collect();
    for file in &files {
        let called = all(r"costwarden::[\w:]*fuzz::(\w+)\(bytes", &file.text);
        let [function] = called.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            panic!("{} calls {called:?}", file.path);
        };
        let tested = sources.iter().any(|source| {
            let Some((shipped, tests)) = source.text.split_once("#[cfg(test)]") else { return false };
            shipped.contains(&format!("pub fn {function}(bytes: &[u8]"))
                && tests.contains("#[test]")
                && tests.contains(&format!("{function}(&"))
        });
        assert!(tested, "no test of {function}, which {} calls, stands beside it", file.path);
    }
}
