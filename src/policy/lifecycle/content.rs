//! Documents as versions keep them: one policy each, as text and as a plain value.
//!
//! A file with several documents is cut at its `---` lines; what cannot be cut out of its file is kept as JSON, which
//! every loader of YAML reads.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::domain::check::CheckInfo;
use crate::domain::lifecycle::{Brake, PolicyVersion};
use crate::policy::document::{DocumentError, Errors, Node, parse_toml, parse_yaml, short_hash};
use crate::policy::{EnforcementMode, Policy, parse};

/// One policy's document.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// The policy's name.
    pub name: String,
    /// Hash over the canonical JSON (L3).
    pub hash: String,
    /// The ending of the file's name.
    pub format: String,
    /// As it was written.
    pub text: String,
    /// As a plain value.
    pub json: Value,
}

/// The documents of a file, each a policy that loads.
///
/// # Errors
/// Every mistake of the file; nothing is taken then.
pub fn contents(file: &Path, text: &str, checks: &[&'static CheckInfo]) -> Result<Vec<Content>, Errors> {
    let policies = parse(file, text, checks)?;
    if let [policy] = &policies[..]
        && let [json] = &values(file, text)?[..]
        && short_hash(json) == policy.hash
    {
        let (name, hash) = (policy.name.clone(), policy.hash.clone());
        return Ok(vec![Content { name, hash, format: format_of(file), text: text.to_owned(), json: json.clone() }]);
    }
    let values = values(file, text)?;
    let pieces = pieces(text);
    let mut found = Vec::with_capacity(policies.len());
    for policy in &policies {
        let Some(json) = values.iter().find(|json| short_hash(json) == policy.hash) else {
            let problem = format!("the policy {:?} cannot be taken out of its file", policy.name);
            return Err(DocumentError::of_file(file, problem, "a file with this policy alone").into());
        };
        let alone = |text: &str, file: &Path| {
            parse(file, text, checks).is_ok_and(|list| matches!(&list[..], [one] if one.hash == policy.hash))
        };
        let (text, format) = match pieces.iter().find(|(lines, _)| lines.contains(&policy.source.line)) {
            Some((_, piece)) if alone(piece, file) => ((*piece).to_owned(), format_of(file)),
            _ => (json_text(json), "yaml".to_owned()),
        };
        let (name, hash) = (policy.name.clone(), policy.hash.clone());
        found.push(Content { name, hash, format, text, json: json.clone() });
    }
    Ok(found)
}

/// The document with another mode: the text as it was, with that one value changed, where that can be done safely.
///
/// # Errors
/// The document does not load any more.
pub fn with_mode(
    version: &PolicyVersion,
    mode: EnforcementMode,
    checks: &[&'static CheckInfo],
) -> Result<Content, Errors> {
    let file = file_of(version);
    let switched = |text: &str, file: &Path| {
        let found = contents(file, text, checks).ok()?.into_iter().next()?;
        let mut expected = version.json.clone();
        set_mode(&mut expected, mode);
        (found.hash == short_hash(&expected)).then_some(found)
    };
    if let Some(found) = edited(&file, &version.text, mode).and_then(|text| switched(&text, &file)) {
        return Ok(found);
    }
    let mut json = version.json.clone();
    set_mode(&mut json, mode);
    let file = file.with_extension("yaml");
    let found = contents(&file, &json_text(&json), checks)?;
    Ok(found.into_iter().next().unwrap_or_else(|| Content {
        name: version.policy.clone(),
        hash: short_hash(&json),
        format: "yaml".into(),
        text: json_text(&json),
        json,
    }))
}

/// A stored version as a policy for the engine, with the version that its findings carry and the brake on it.
///
/// # Errors
/// The stored document does not load in this version of the program.
pub fn in_force(
    version: &PolicyVersion,
    brake: Option<Brake>,
    checks: &[&'static CheckInfo],
) -> Result<Vec<Policy>, Errors> {
    let mut policies = parse(&file_of(version), &version.text, checks)?;
    for policy in &mut policies {
        policy.version = Some(version.version.to_string());
        let Some(brake) = brake else { continue };
        policy.mode = limited(policy.mode, brake);
        policy.rules.iter_mut().for_each(|rule| rule.mode = limited(rule.mode, brake));
    }
    Ok(policies)
}

/// The name under which mistakes in a stored version are told: its id and version.
fn file_of(version: &PolicyVersion) -> PathBuf {
    PathBuf::from(format!("{}@{}.{}", version.policy, version.version, version.format))
}

fn format_of(file: &Path) -> String {
    let known = |ending: &str| matches!(ending, "yaml" | "yml" | "json" | "toml");
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.filter(|ending| known(ending)).unwrap_or_else(|| "yaml".to_owned())
}

fn limited(mode: EnforcementMode, brake: Brake) -> EnforcementMode {
    match (mode, brake) {
        (EnforcementMode::Disabled, _) | (_, Brake::Disabled) => EnforcementMode::Disabled,
        (_, Brake::Monitor) => EnforcementMode::Monitor,
    }
}

fn json_text(json: &Value) -> String {
    format!("{json:#}\n")
}

/// The documents of a file as plain values; those of a template-like file with a list of policies are its items.
fn values(file: &Path, text: &str) -> Result<Vec<Value>, Errors> {
    let nodes: Vec<Node> =
        if format_of(file) == "toml" { vec![parse_toml(file, text)?] } else { parse_yaml(file, text)? };
    let mut found: Vec<Value> = Vec::new();
    for json in nodes.iter().map(Node::to_json) {
        found.extend(json.get("policies").and_then(Value::as_array).into_iter().flatten().cloned());
        found.push(json);
    }
    Ok(found)
}

/// The text between `---` lines, with the lines that each covers, from 1.
fn pieces(text: &str) -> Vec<(std::ops::RangeInclusive<usize>, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut first, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            found.push((first..=index, &text[begin..at]));
            (begin, first) = (at + line.len(), index + 2);
        }
        at += line.len();
    }
    found.push((first..=text.lines().count().max(first), &text[begin..]));
    found
}

/// Where a document keeps its mode.
const MODES: [&[&str]; 3] = [&["spec", "mode"], &["mode"], &["enforcement_mode"]];

fn set_mode(json: &mut Value, mode: EnforcementMode) {
    let there = MODES.iter().find(|path| path.iter().try_fold(&*json, |value, key| value.get(key)).is_some());
    let path = match there {
        Some(path) => path,
        None if json.get("spec").is_some() => MODES[0],
        None if json.get("policy_type").is_some() => MODES[2],
        None => MODES[1],
    };
    let mut value = json;
    for key in path {
        value = &mut value[*key];
    }
    *value = Value::from(mode.word());
}

/// The text of a YAML document with the mode's word replaced, or with a line for it below `spec:`.
fn edited(file: &Path, text: &str, mode: EnforcementMode) -> Option<String> {
    if format_of(file) == "toml" {
        return None;
    }
    let nodes = parse_yaml(file, text).ok()?;
    let [node] = &nodes[..] else { return None };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let found = MODES.iter().find_map(|path| path.iter().try_fold(node, |node, key| node.get(key)));
    if let Some(word) = found {
        let line = lines.get_mut(word.spot.line.checked_sub(1)?)?;
        let given = word.text()?;
        let start = line.char_indices().nth(word.spot.column.checked_sub(1)?)?.0;
        let at = start + line[start..].find(given)?;
        line.replace_range(at..at + given.len(), mode.word());
        return Some(lines.concat());
    }
    let spec = node.entry("spec")?;
    let crate::policy::document::Value::Map(entries) = &spec.node.value else { return None };
    let first = entries.first()?.key_spot;
    if first.line <= spec.key_spot.line {
        return None;
    }
    let indent = " ".repeat(first.column.checked_sub(1)?);
    lines.insert(first.line.checked_sub(1)?, format!("{indent}mode: {}\n", mode.word()));
    Some(lines.concat())
}
