//! The corpus of broken policy files: each is a shipped file with one edit that must break it.
//!
//! The edits are chosen so that none can stay valid: a key that no shape has, a word that no list has, a bracket that
//! never closes. So nothing is skipped. Every file must be refused with a place that a person can go to, and nothing of
//! it may be loaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use costwarden::policy::document::Errors;
use costwarden::policy::template::Template;
use costwarden::{checks, policy};
use regex::Regex;

/// Folders whose files are shipped or typed from the seed documents.
const FOLDERS: [&str; 5] = [
    "config/policies",
    "config/policies/examples",
    "config/policy_frameworks",
    "config/policy_templates",
    "fixtures/policies/seeds",
];

/// Keys that every shape with them refuses when they are misspelt.
const KEYS: &[&str] = &[
    "apiVersion",
    "metadata",
    "spec",
    "rules",
    "name",
    "mode",
    "severity",
    "check",
    "action",
    "parameters",
    "resource",
    "constraint",
    "requiredTags",
    "pattern",
    "key",
    "selector",
    "budget",
    "monthly",
    "quarterly",
    "percent",
    "alertThresholds",
    "allowedValues",
    "enforcement",
    "policy_type",
    "enforcement_mode",
    "violation_actions",
    "condition",
    "require",
    "created_by",
    "var_type",
    "category",
    "variables",
    "expect",
    "decision",
    "violated",
];

/// Keys below which a person may write what he likes, as they stand at the beginning of a line.
const FREE: &[&str] = &[
    "budget_currency",
    "budget_period",
    "cost-center",
    "project",
    "data",
    "account",
    "length",
    "has_uppercase",
    "has_lowercase",
    "has_number",
    "has_special",
    "history_position",
    "$schema",
    "context",
    "tags",
    "default_value",
];

/// Keys that take one word of a list.
const WORDS: &[&str] =
    &["severity", "mode", "enforcement_mode", "policy_type", "scope", "var_type", "category", "action", "expect"];

/// One line that gives a key a value on the same line.
struct Line<'t> {
    number: usize,
    /// What stands before the key, a list's dash included.
    before: &'t str,
    key: &'t str,
    between: &'t str,
    value: &'t str,
    /// A comma, in JSON.
    after: &'t str,
}

struct Shipped {
    path: PathBuf,
    text: String,
    ending: String,
}

fn shipped() -> Vec<Shipped> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in FOLDERS {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let policy =
                path.extension().is_some_and(|ending| ["yaml", "toml", "json"].iter().any(|own| ending == *own));
            if policy {
                let text = std::fs::read_to_string(&path).unwrap();
                let ending = path.extension().unwrap().to_string_lossy().into_owned();
                files.push(Shipped { path: path.strip_prefix(root).unwrap().to_owned(), text, ending });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Reads a file as what it is: how many policies, or its mistakes.
fn load(file: &Shipped, text: &str) -> Result<usize, Errors> {
    if is_template(file) {
        return Template::parse(&file.path, text).map(|_| 1);
    }
    policy::parse(&file.path, text, &checks::infos()).map(|policies| policies.len())
}

fn is_template(file: &Shipped) -> bool {
    file.path.starts_with("config/policy_templates")
}

fn lines<'t>(file: &Shipped, text: &'t str) -> Vec<Line<'t>> {
    let pattern = match file.ending.as_str() {
        "toml" => r#"^(\s*)([\w$-]+)( = )(.+?)()$"#,
        "json" => r#"^(\s*")([\w$-]+)(": )(.+?)(,?)$"#,
        _ => r#"^(\s*(?:- )?)([\w$-]+)(: )(.+?)()$"#,
    };
    let pattern = Regex::new(pattern).unwrap();
    let found = |(number, line): (usize, &'t str)| {
        let found = pattern.captures(line)?;
        let part = |index: usize| found.get(index).unwrap().as_str();
        let (before, key, between) = (part(1), part(2), part(3));
        Some(Line { number, before, key, between, value: part(4), after: part(5) })
    };
    text.lines().enumerate().filter_map(found).filter(|line| !FREE.contains(&line.key)).collect()
}

/// The text with one line in another's place.
fn with_line(text: &str, number: usize, line: &str) -> String {
    let lines = text.lines().enumerate().map(|(index, old)| if index == number { line } else { old });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Everything that is done to one file: what was done, and the text.
fn mutations(file: &Shipped) -> Vec<(String, String)> {
    let text = &file.text;
    let (yaml, json) = (file.ending == "yaml", file.ending == "json");
    let quoted = |word: &str| if yaml { word.to_owned() } else { format!("\"{word}\"") };
    let mut out: Vec<(String, String)> = Vec::new();
    for line in lines(file, text) {
        let Line { number, before, key, between, value, after } = line;
        let mut edit = |what: &str, new: String| {
            out.push((format!("{what} on line {}", number + 1), with_line(text, number, &new)));
        };
        let scalar = !value.starts_with(['[', '{', '|', '>', '&', '*']);
        // A resource of an example is written in the words of a world file.
        let of_example = matches!(key, "kind" | "type" | "id" | "launched") && before.len() > 4;
        if of_example {
            continue;
        }
        if KEYS.contains(&key) {
            edit("misspelt key", format!("{before}{key}x{between}{value}{after}"));
        }
        if scalar && !before.contains("- ") {
            let twice = format!("{before}{key}{between}{value}{}", if json { "," } else { "" });
            edit("key twice", format!("{twice}\n{before}{key}{between}{value}{after}"));
        }
        if scalar {
            edit("wrong type", format!("{before}{key}{between}[[]]{after}"));
        }
        if scalar && WORDS.contains(&key) {
            edit("bad word", format!("{before}{key}{between}{}{after}", quoted("colour")));
        }
        if value.parse::<f64>().is_ok() {
            edit("bad number", format!("{before}{key}{between}-999999{after}"));
        }
        if matches!(key, "condition" | "require") {
            let begun = |what: &str| match value.strip_prefix('"') {
                Some(inside) => format!("{before}{key}{between}\"{what}{inside}{after}"),
                None => format!("{before}{key}{between}{what}{value}{after}"),
            };
            edit("open bracket", begun("("));
            edit("operator without a left side", begun("1 + && "));
        }
        if key == "pattern" {
            edit("bad pattern", format!("{before}{key}{between}\"({}{after}", &value[1..]));
        }
        if key == "name" && scalar {
            edit("empty name", format!("{before}{key}{between}\"\"{after}"));
        }
        let needed = ["check", "policy_type", "enforcement_mode", "apiVersion", "condition", "require", "category"];
        // A template may leave these two out; they have defaults there.
        let default = ["policy_type", "enforcement_mode"].contains(&key) && is_template(file);
        if needed.contains(&key) && !default && !before.contains("- ") {
            let lines = text.lines().enumerate().filter(|(index, _)| *index != number);
            let left = lines.map(|(_, line)| format!("{line}\n")).collect();
            out.push((format!("needed key gone from line {}", number + 1), left));
        }
        if yaml && before.len() > 1 && before.trim().is_empty() {
            let tabbed = with_line(text, number, &format!("\t{key}{between}{value}"));
            out.push((format!("tab on line {}", number + 1), tabbed));
        }
    }
    let cut = Regex::new(r"(?m)^[^#\n]*?rul").unwrap().find(text).unwrap().end();
    out.push(("cut in the middle of a word".into(), format!("{}\n", &text[..cut])));
    out
}

#[test]
fn every_shipped_file_loads_whole_and_names_its_schema() {
    let header = |file: &Shipped| match file.ending.as_str() {
        "toml" => Some("#:schema "),
        "yaml" => Some("# yaml-language-server: $schema="),
        _ => None,
    };
    let mut loaded = 0;
    for file in shipped() {
        let count = load(&file, &file.text).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(count > 0, "{}", file.path.display());
        if let Some(header) = header(&file) {
            let first = file.text.lines().next().unwrap();
            assert!(first.starts_with(header) && first.ends_with(".schema.json"), "{}: {first}", file.path.display());
        }
        loaded += 1;
    }
    assert!(loaded >= 18, "{loaded}");
}

#[test]
fn every_single_edit_that_breaks_a_shipped_file_is_refused_with_its_place() {
    let mut seen: BTreeSet<(PathBuf, String)> = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for file in shipped() {
        for (what, text) in mutations(&file) {
            assert_ne!(text, file.text, "{}: {what} changes nothing", file.path.display());
            kinds.insert(
                what.split(" on line ").next().unwrap_or(&what).split(" from line ").next().unwrap().to_owned(),
            );
            seen.insert((file.path.clone(), text.clone()));
            let last = text.lines().count() + 1;
            match load(&file, &text) {
                Ok(count) => wrong.push(format!("{}: {what}: {count} loaded", file.path.display())),
                Err(errors) => {
                    for error in errors.list() {
                        let there = (1..=last).contains(&error.line) && error.column >= 1;
                        if !there || error.problem.is_empty() || error.file != file.path {
                            wrong.push(format!("{}: {what}: no place: {error}", file.path.display()));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), seen.len(), wrong.join("\n"));
    assert!(seen.len() >= 200, "{} files", seen.len());
    assert_eq!(kinds.len(), 12, "{kinds:?}");
}
