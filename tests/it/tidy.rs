//! The lines that hold the tree together, read from the sources: who may import whom, which file alone may use a
//! crate, who reads the clock, how a file opens and how long it grows.
//!
//! Each rule is one test and names every place that breaks it. What is allowed beyond the plain rule stands in a table
//! with its reason, so that an exception is a decision. Imports are judged in the code that ships: a file's tests, from
//! `#[cfg(test)] mod tests` on, may use what they like.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// What each top-level module may import of ours, from the bottom up. A module that is missing here is refused, so a
/// new one needs a decision.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("checks", &["domain"]),
    ("policy", &["domain"]),
    ("engine", &["checks", "domain", "policy"]),
    ("cloud", &["domain"]),
    ("store", &["domain"]),
    ("report", &["domain"]),
    ("deliver", &["domain"]),
    ("settings", &["domain"]),
    ("remediate", &["checks", "clock", "cloud", "domain", "engine", "policy", "store"]),
    (
        "worker",
        &[
            "checks",
            "clock",
            "cloud",
            "deliver",
            "domain",
            "engine",
            "policy",
            "remediate",
            "report",
            "settings",
            "store",
        ],
    ),
    ("web", &["checks", "clock", "domain", "engine", "policy", "report", "settings", "store", "worker"]),
    (
        "app",
        &[
            "checks",
            "clock",
            "cloud",
            "deliver",
            "domain",
            "engine",
            "policy",
            "remediate",
            "report",
            "settings",
            "store",
            "web",
            "worker",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "checks",
            "clock",
            "cloud",
            "deliver",
            "domain",
            "engine",
            "policy",
            "remediate",
            "report",
            "settings",
            "store",
            "web",
            "worker",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &["planted"]),
    ("planted", &[]),
];

/// Imports beyond that: module, what it imports, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("cloud", "clock", "the simulated account lives in virtual time"),
    ("deliver", "clock", "tries wait, and on a virtual clock waiting moves it"),
    ("deliver", "settings", "the mail backend is built from the checked mail settings"),
    ("deliver", "store", "the outbox is a table: what was accepted is marked where the message lies"),
    ("settings", "checks", "`init` writes one policy file per check and takes the parameters from the catalogue"),
    ("settings", "policy", "`init` writes policy files, and settings name the policies that they load"),
];

/// Crates that only some files may use: how the crate's name begins, where, why.
const CRATES: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["src/store/"], "SQL rows stop at the store"),
    ("aws_", &["src/cloud/aws/"], "SDK types stop at the adapter"),
    ("cel", &["src/policy/expression/"], "conditions stand behind one module that adds limits and unknowns"),
    ("lettre", &["src/deliver/mail.rs", "src/deliver/mail/"], "mail is an enum of backends behind one file"),
    ("reqwest", &["src/deliver/"], "only delivery speaks HTTP by itself"),
    ("printpdf", &["src/report/pdf.rs", "src/report/pdf/"], "pages are laid out by our own layer above it"),
    ("tokio_cron_scheduler", &["src/worker/signals.rs"], "only the minute wake-up; slots are computed by us"),
    (
        "croner",
        &["src/settings/", "src/worker/schedule.rs"],
        "settings refuse a bad pattern at its line, slots follow it",
    ),
    ("sd_notify", &["src/worker/notify.rs"], "systemd is told in one place"),
];

/// Folders that do no I/O, wait for nothing and read no clock.
const PURE: &[&str] = &["src/domain/", "src/checks/", "src/policy/", "src/engine/"];

/// Files whose shipped part is longer than [`LONGEST`] lines: file, why it is one idea all the same.
const LONG: &[(&str, &str)] = &[
    ("src/cloud/sim/file.rs", "the shapes of the world file, which its schema is made from"),
    ("src/engine/summarize.rs", "one fold from findings to the report's numbers"),
];

/// Longest shipped part of a file, in lines.
const LONGEST: usize = 500;

/// Longest file of tests, in lines.
const LONGEST_TESTS: usize = 900;

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut broken = Vec::new();
    for file in sources() {
        let module = top_module(&file.path);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            broken.push(format!("{}: module {module:?} has no row in MAY_IMPORT", file.path));
            continue;
        };
        for (line, import) in imports(&file.path, shipped(&file.text)) {
            let known = MAY_IMPORT.iter().any(|(name, _)| *name == import);
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == module && *to == import);
            if known && import != module && !allowed.contains(&import.as_str()) && !excepted {
                broken.push(format!("{}:{line}: {module} must not import {import}", file.path));
            }
        }
    }
    assert_none(broken);
}

#[test]
fn crates_with_one_home_are_used_nowhere_else() {
    let mut broken = Vec::new();
    for (name, homes, why) in CRATES {
        let used = Regex::new(&format!(r"\b{name}\w*::|\buse {name}\w*\b")).unwrap();
        for file in sources() {
            if homes.iter().any(|home| file.path.starts_with(home)) {
                continue;
            }
            let lines = code_lines(&file.text).filter(|(_, line)| used.is_match(line));
            broken.extend(lines.map(|(line, _)| format!("{}:{line}: {name} is for {homes:?} alone: {why}", file.path)));
        }
    }
    assert_none(broken);
}

#[test]
fn only_the_clock_reads_the_time() {
    let reading = Regex::new(r"\b(Utc|Local|SystemTime)::(now|today)\b").unwrap();
    let found = find(&reading, |path| path == "src/clock.rs" || !path.starts_with("src/"), |file| &file.text);
    assert_none(found.map(|place| format!("{place}: take `now` as an argument, or ask the Clock")).collect());
}

#[test]
fn the_middle_of_the_program_is_pure() {
    let effect = Regex::new(r"\b(tokio|std::(fs|env|net|process|time))::|\basync fn\b|\.await\b|\bClock\b").unwrap();
    let found = find(&effect, |path| !PURE.iter().any(|folder| path.starts_with(folder)), |file| shipped(&file.text));
    assert_none(found.map(|place| format!("{place}: no I/O, no waiting and no clock here")).collect());
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let opens = |file: &&Source| !file.text.starts_with("//! ");
    let files = sources().into_iter().chain(tests()).collect::<Vec<_>>();
    assert_none(files.iter().filter(opens).map(|file| format!("{}: no `//!` in the first line", file.path)).collect());
}

#[test]
fn files_stay_short_or_say_why_not() {
    let mut broken = Vec::new();
    for file in sources().into_iter().chain(tests()) {
        let only_tests = file.path.starts_with("tests/") || file.path.ends_with("tests.rs");
        let (lines, most) = if only_tests {
            (file.text.lines().count(), LONGEST_TESTS)
        } else {
            (shipped(&file.text).lines().count(), LONGEST)
        };
        let listed = LONG.iter().any(|(path, _)| *path == file.path);
        match (lines > most, listed) {
            (true, false) => broken.push(format!("{}: {lines} lines, at most {most}; split it", file.path)),
            (false, true) => broken.push(format!("{}: no longer long; take it out of LONG", file.path)),
            _ => {}
        }
    }
    let gone = LONG.iter().filter(|(path, _)| !root().join(path).exists());
    broken.extend(gone.map(|(path, _)| format!("{path}: in LONG, but there is no such file")));
    assert_none(broken);
}

#[test]
fn no_test_is_switched_off_and_no_code_is_kept_for_nobody() {
    // Written in two parts, or this file would find itself.
    let switched_off = Regex::new(concat!(r"#\[ign", r"ore|allow\((dead|unused)_|expect\((dead|unused)_")).unwrap();
    let found = find(&switched_off, |_| false, |file| &file.text);
    // One test needs a mount namespace: the system tier runs it by name, and fails when it does not find it there.
    let system = std::fs::read_to_string(root().join("tests/system/run")).unwrap();
    let elsewhere = |place: &String| {
        place.starts_with("tests/it/process/disk.rs") && system.contains("process::disk:: -- --ignored --nocapture")
    };
    let found = found.filter(|place| !elsewhere(place));
    assert_none(found.map(|place| format!("{place}: run it or remove it")).collect());
}

#[test]
fn nothing_names_a_folder_of_the_machine_it_was_written_on() {
    let folder = Regex::new(concat!(r#"(^|[\s"'`(=:,])/(wo"#, r"rk|ro", r"ot|t", r"mp)/")).unwrap();
    let mut broken = Vec::new();
    for path in text_files(root()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let shown = relative(&path);
        let lines = text.lines().enumerate().filter(|(_, line)| folder.is_match(line));
        broken.extend(lines.map(|(index, line)| format!("{shown}:{}: {}", index + 1, line.trim())));
    }
    assert_none(broken);
}

#[test]
fn the_rules_can_read_what_they_judge() {
    let text = "use crate::store::Store;\n// use crate::cli::X;\nuse crate::{\n    cloud::CloudRead,\n    domain::{self, Instant},\n};\n\
                fn f() { super::super::report::text() }\n#[cfg(test)]\nmod tests { use crate::web::Api; }\n";
    let found: Vec<_> = imports("src/engine/plan.rs", shipped(text)).into_iter().collect();
    let expected = [(1, "store"), (3, "cloud"), (3, "domain"), (7, "report")];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
    assert_eq!(imports("src/engine/mod.rs", "use super::cloud::X;\nuse super::super::y;"), [(1, "cloud".to_owned())]);
    assert_eq!(imports("src/engine/plan.rs", "use super::evaluate::X;"), []);
    assert_eq!((top_module("src/clock.rs"), top_module("src/cloud/aws/mod.rs")), ("clock".into(), "cloud".into()));
    assert!(sources().len() > 30 && sources().iter().any(|file| file.path == "src/domain/mod.rs"));
}

/// One file of ours.
pub struct Source {
    /// From the project's folder, with slashes.
    pub path: String,
    pub text: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn sources() -> Vec<Source> {
    rust_files(&root().join("src"))
}

fn tests() -> Vec<Source> {
    rust_files(&root().join("tests"))
}

/// The Rust files below a folder, sorted.
pub fn rust_files(folder: &Path) -> Vec<Source> {
    let rust = text_files(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.map(|path| Source { path: relative(&path), text: fs::read_to_string(&path).unwrap() }).collect()
}

/// All files below a folder but what builds and runs leave there, sorted.
fn text_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir()
                && !["target", ".git", "costwarden-demo", "costwarden-state", "__pycache__"].contains(&&*name)
            {
                folders.push(path);
            } else if path.is_file() && name != ".git" && !name.ends_with(".pending-snap") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The part of a file before its tests.
fn shipped(text: &str) -> &str {
    let tests = Regex::new(r"(?m)^#\[cfg\(test\)\]\n(#\[path[^\n]*\n)?(pub\(crate\) )?mod ").unwrap();
    tests.find(text).map_or(text, |found| &text[..found.start()])
}

/// Lines that are not comments, with their number from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every code line that matches, as `file:line: text`.
fn find(
    pattern: &Regex,
    exempt: impl Fn(&str) -> bool,
    part: impl Fn(&Source) -> &str,
) -> impl Iterator<Item = String> {
    let mut places = Vec::new();
    for file in sources().into_iter().chain(tests()).filter(|file| !exempt(&file.path)) {
        let lines = code_lines(part(&file)).filter(|(_, line)| pattern.is_match(line));
        places.extend(lines.map(|(line, text)| format!("{}:{line}: {}", file.path, text.trim())));
    }
    places.into_iter()
}

/// `src/cloud/aws/mod.rs` belongs to `cloud`, `src/clock.rs` to `clock`.
fn top_module(path: &str) -> String {
    let inside = path.trim_start_matches("src/");
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a text names, with the line where the path begins: after `crate::`, in the braces of
/// `crate::{…}`, or after as many `super::` as lead out of the file's own module. Each once a line.
fn imports(path: &str, text: &str) -> Vec<(usize, String)> {
    // Comments go, line breaks stay, so that lines can be counted.
    let mut code = String::new();
    for line in text.lines() {
        code.push_str(if line.trim_start().starts_with("//") { "" } else { line });
        code.push('\n');
    }
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let depth = inside.trim_end_matches("/mod").split('/').count();
    let outward = format!(r"(?:super::){{{depth}}}");
    let start = Regex::new(&format!(r"(^|[^:\w])(?:crate::|costwarden::|{outward})(\{{|[a-z_]\w*)")).unwrap();
    let mut found = Vec::new();
    for place in start.captures_iter(&code) {
        let (Some(whole), Some(name)) = (place.get(0), place.get(2)) else { continue };
        let line = code[..whole.start() + place[1].len()].matches('\n').count() + 1;
        let names = if name.as_str() == "{" { braced(&code[name.end()..]) } else { vec![name.as_str().to_owned()] };
        found.extend(names.into_iter().filter(|name| name != "super").map(|name| (line, name)));
    }
    found.dedup();
    found
}

/// The first path segment of each item in a brace list, up to its closing brace.
fn braced(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (0, Vec::new(), String::new());
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(character),
            _ => {}
        }
    }
    names.push(item);
    let first = |item: String| item.trim().split("::").next().unwrap_or_default().trim().to_owned();
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} places break the rule:\n{}", broken.len(), broken.join("\n"));
}
