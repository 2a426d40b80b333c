//! Documents as versions keep them: one policy each, as text and as a plain value.
//!
//! A policy of a file with several is cut out of it with its comments (`cut`). A piece counts only when it loads alone
//! and says the same; what cannot be cut out is written anew: TOML as TOML, everything else as JSON.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cut;
use crate::domain::check::CheckInfo;
use crate::domain::lifecycle::{Brake, PolicyVersion};
use crate::policy::document::{self, DocumentError, Errors, Node, short_hash, to_toml};
use crate::policy::front::trees;
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
    let trees = trees(file, text)?;
    let nodes: Vec<&Node> = trees.iter().flat_map(policies_of).collect();
    let mut found = Vec::with_capacity(policies.len());
    for policy in &policies {
        let json = nodes.iter().map(|node| node.to_json()).find(|json| short_hash(json) == policy.hash);
        let content = json.and_then(|json| {
            let (text, format) = kept(file, text, policy, &nodes, &json, checks)?;
            Some(Content { name: policy.name.clone(), hash: policy.hash.clone(), format, text, json })
        });
        let Some(content) = content else {
            let problem = format!("the policy {:?} cannot be taken out of its file", policy.name);
            return Err(DocumentError::of_file(file, problem, "a file with this policy alone").into());
        };
        found.push(content);
    }
    Ok(found)
}

/// The document with another mode: the text as it was, with that one value changed, where that can be done safely.
///
/// # Errors
/// The document does not load any more; `enabled: false` would turn the policy off whatever the mode.
pub fn with_mode(
    version: &PolicyVersion,
    mode: EnforcementMode,
    checks: &[&'static CheckInfo],
) -> Result<Content, Errors> {
    let file = file_of(version);
    if mode != EnforcementMode::Disabled && version.json.get("enabled") == Some(&Value::Bool(false)) {
        let problem = format!("enabled is false, so the mode {} would change nothing", mode.word());
        return Err(DocumentError::of_file(&file, problem, "an update with a document that is enabled").into());
    }
    let mut json = version.json.clone();
    set_mode(&mut json, mode);
    let hash = short_hash(&json);
    let alone = |text: &str, format: &str| loads_as(&file.with_extension(format), text, &hash, checks);
    let edited = edited(&file, &version.text, mode).filter(|text| alone(text, &version.format));
    let (text, format) =
        match edited.map(|text| (text, version.format.clone())).or_else(|| written(&file, &json, alone)) {
            Some(found) => found,
            None => {
                // Says why it does not load.
                let file = file.with_extension("json");
                parse(&file, &json_text(&json), checks)?;
                let problem = format!("cannot be written with the mode {}", mode.word());
                return Err(DocumentError::of_file(&file, problem, "an update with a document of that mode").into());
            }
        };
    // The version has the policy's id; a document has its name.
    let name = parse(&file.with_extension(&format), &text, checks)?.into_iter().next().map(|policy| policy.name);
    Ok(Content { name: name.unwrap_or_else(|| version.policy.clone()), hash, format, text, json })
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

/// The policies of a tree: the tree itself, the items of a list, or those below `policies`.
fn policies_of(tree: &Node) -> Vec<&Node> {
    let list = tree.get("policies").unwrap_or(tree);
    match &list.value {
        document::Value::List(items) => items.iter().collect(),
        _ => vec![tree],
    }
}

/// The text of one policy of a file, and the ending of its name: the file when it is alone there, a piece of it, or
/// the policy written anew.
fn kept(
    file: &Path,
    text: &str,
    policy: &Policy,
    nodes: &[&Node],
    json: &Value,
    checks: &[&'static CheckInfo],
) -> Option<(String, String)> {
    let alone = |text: &str, format: &str| loads_as(&file.with_extension(format), text, &policy.hash, checks);
    let format = format_of(file);
    let line = policy.source.line;
    if nodes.len() == 1 && alone(text, &format) {
        return Some((text.to_owned(), format));
    }
    let piece = match format.as_str() {
        "toml" => cut::table(text, line),
        "json" => None,
        _ => {
            let begins: Vec<usize> = nodes.iter().map(|node| node.spot.line).collect();
            cut::document(text, line).filter(|piece| alone(piece, &format)).or_else(|| cut::item(text, line, &begins))
        }
    };
    match piece.filter(|piece| alone(piece, &format)) {
        Some(piece) => Some((piece, format)),
        None => written(file, json, alone),
    }
}

/// A document written anew: a TOML file as TOML, everything else as JSON, the first that says the same.
fn written(file: &Path, json: &Value, same: impl Fn(&str, &str) -> bool) -> Option<(String, String)> {
    let toml = (format_of(file) == "toml").then(|| to_toml(json).ok()).flatten();
    let toml = toml.map(|text| (text, "toml".to_owned()));
    let json = (json_text(json), "json".to_owned());
    toml.into_iter().chain([json]).find(|(text, format)| same(text, format))
}

/// Whether a text holds this one policy and nothing else.
fn loads_as(file: &Path, text: &str, hash: &str, checks: &[&'static CheckInfo]) -> bool {
    parse(file, text, checks).is_ok_and(|list| matches!(&list[..], [one] if one.hash == hash))
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

/// The text of a document with the mode's word replaced, or with a line for it before the other keys beside it.
fn edited(file: &Path, text: &str, mode: EnforcementMode) -> Option<String> {
    let trees = trees(file, text).ok()?;
    let nodes: Vec<&Node> = trees.iter().flat_map(policies_of).collect();
    let [node] = nodes[..] else { return None };
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
    let (beside, above) = match node.entry("spec") {
        Some(spec) => (&spec.node, spec.key_spot.line),
        None => (node, 0),
    };
    let document::Value::Map(entries) = &beside.value else { return None };
    let first = entries.first()?.key_spot;
    if first.line <= above {
        return None;
    }
    let indent = " ".repeat(first.column.checked_sub(1)?);
    let line = match format_of(file).as_str() {
        "json" => format!("{indent}\"mode\": \"{}\",\n", mode.word()),
        "toml" => format!("mode = \"{}\"\n", mode.word()),
        _ => format!("{indent}mode: {}\n", mode.word()),
    };
    lines.insert(first.line.checked_sub(1)?, line);
    Some(lines.concat())
}
