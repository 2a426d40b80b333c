//! The front ends: text in, policies out.
//!
//! YAML, TOML and JSON become trees; a tree is one of S0's policies (`expressions`) or a document of S1's and our own
//! types. For the latter this reads the envelope (`apiVersion`, `kind: CostPolicy`, `metadata`, `spec`) and the flattened form with `type` and
//! `rules` at the top (D1), holds each document against its raw shape, then checks what words and numbers mean. All
//! mistakes of a file come at once; with one mistake nothing of the file is loaded.

mod approval;
mod budget;
mod common;
mod conditions;
pub(super) mod expressions;
mod inventory;
mod limits;
mod schedule;
mod tags;
mod waste;

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::document::{
    At, Checker, DocumentError, Entry, Errors, Node, Spot, Value, parse_json, parse_toml, parse_yaml, short_hash,
};
use super::raw::expressions::ExpressionRule;
use super::raw::{ApprovalRuleShape, Envelope, LimitRule, RawRule, ScheduleRule, SpendRule, TagsRule, WasteRule};
use super::{Policy, PolicySource, PolicyType, Reach, Record, Rule};
use crate::domain::check::CheckInfo;
use common::Defaults;
pub(super) use common::check_name;
pub(crate) use common::{is_domain, is_mail_address, is_room};

/// The policies of one file; `checks` is the registry that `check:` names are looked up in.
///
/// # Errors
/// Every mistake of the file with its position; nothing is loaded then.
pub fn parse(file: &Path, text: &str, checks: &[&'static CheckInfo]) -> Result<Vec<Policy>, Errors> {
    let documents = trees(file, text)?;
    let toml = ending(file) == "toml";
    let mut checker = Checker::new(file, text);
    let mut policies = Vec::new();
    for node in &documents {
        if expressions::is_ours(node, toml) {
            policies.extend(expressions::policies(&mut checker, node, file));
        } else {
            policies.extend(document(&mut checker, node, file, checks));
        }
    }
    checker.finish(policies).and_then(|policies| unite([Ok(policies)]))
}

/// The trees of a file, at least one: TOML and JSON by the file's ending, else YAML.
pub(super) fn trees(file: &Path, text: &str) -> Result<Vec<Node>, Errors> {
    match ending(file).as_str() {
        "toml" => Ok(vec![parse_toml(file, text)?]),
        "json" => Ok(vec![parse_json(file, text)?]),
        _ => parse_yaml(file, text),
    }
}

fn ending(file: &Path) -> String {
    file.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// One of S0's policies in JSON, as a request to make one brings it (P13). Its [`Policy::name`] is the id, made from
/// the name where the text has none.
///
/// # Errors
/// Every mistake with its position in the text; a list, or a document of another type, is one.
pub fn parse_one_json(text: &str) -> Result<Policy, Errors> {
    let file = Path::new("policy.json");
    let node = parse_json(file, text)?;
    let mut checker = Checker::new(file, text);
    let policy = expressions::policy(&mut checker, &At::root(&node), &node, file);
    // Without mistakes there is a policy; were there none, that would be said as a mistake of the whole text.
    checker.finish(policy)?.ok_or_else(|| DocumentError::of_file(file, "holds no policy", "one policy").into())
}

/// The policies of all files, or all their mistakes. A name that stands twice is one.
///
/// # Errors
/// Every mistake of every file.
pub fn unite(files: impl IntoIterator<Item = Result<Vec<Policy>, Errors>>) -> Result<Vec<Policy>, Errors> {
    let (mut policies, mut errors) = (Vec::<Policy>::new(), Vec::new());
    for file in files {
        match file {
            Ok(list) => {
                for policy in list {
                    match policies.iter().find(|known| known.name == policy.name) {
                        Some(known) => errors.push(duplicate(&policy, &known.source)),
                        None => policies.push(policy),
                    }
                }
            }
            Err(list) => errors.push(list),
        }
    }
    Errors::join(errors).map_or(Ok(policies), Err)
}

fn duplicate(policy: &Policy, first: &PolicySource) -> Errors {
    let spot = Spot { line: policy.source.line, column: 1, width: 0 };
    let problem =
        format!("the policy name {:?} is already used in {}:{}", policy.name, first.path.display(), first.line);
    let path = if policy.is_over_contexts() { "id" } else { "metadata.name" };
    DocumentError::new(&policy.source.path, "", spot, path, problem, "a name that no other policy has").into()
}

/// What the rules of one type look like and mean.
trait Front: RawRule + DeserializeOwned + JsonSchema {
    /// The rule, or `None` after noting mistakes.
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        checks: &[&'static CheckInfo],
    ) -> Option<Rule>;
}

fn document(checker: &mut Checker<'_>, node: &Node, file: &Path, checks: &[&'static CheckInfo]) -> Option<Policy> {
    let flat = flattened(node);
    let shown = flat.as_ref().unwrap_or(node);
    let root = At::root(shown);
    let root = if flat.is_some() { root.hiding("spec") } else { root };
    let type_at = root.key("spec").key("type");
    if !root.key("spec").exists() {
        // Says which keys are missing or unknown.
        checker.read::<Envelope<WasteRule>>(&root);
        return None;
    }
    let Some(word) = shown.get("spec").and_then(|spec| spec.get("type")) else {
        checker.fail(&type_at, "the key \"type\" is missing", PolicyType::words());
        return None;
    };
    let policy_type = word.text().and_then(PolicyType::from_word);
    let source = PolicySource { path: file.to_owned(), line: node.spot.line };
    let hash = short_hash(&node.to_json());
    match policy_type {
        Some(PolicyType::ResourceLimit) => policy::<LimitRule>(checker, &root, checks, source, hash),
        Some(PolicyType::TagRequirement) => policy::<TagsRule>(checker, &root, checks, source, hash),
        Some(PolicyType::BudgetLimit) => policy::<SpendRule>(checker, &root, checks, source, hash),
        Some(PolicyType::Waste) => policy::<WasteRule>(checker, &root, checks, source, hash),
        Some(PolicyType::Expression) => policy::<ExpressionRule>(checker, &root, checks, source, hash),
        Some(PolicyType::Approval) => policy::<ApprovalRuleShape>(checker, &root, checks, source, hash),
        Some(PolicyType::Schedule) => policy::<ScheduleRule>(checker, &root, checks, source, hash),
        None => {
            match word.text() {
                Some(given) => {
                    checker.bad_word(&type_at, "a policy type", given, PolicyType::ALL.map(PolicyType::word));
                }
                None => checker.fail(&type_at, format!("{} has the wrong type", word.describe()), PolicyType::words()),
            }
            None
        }
    }
}

fn policy<R: Front>(
    checker: &mut Checker<'_>,
    root: &At<'_>,
    checks: &[&'static CheckInfo],
    source: PolicySource,
    hash: String,
) -> Option<Policy> {
    let raw = checker.read::<Envelope<R>>(root)?;
    let before = checker.count();
    let spec = root.key("spec");
    let name_at = root.key("metadata").key("name");
    common::check_name(checker, &name_at, &raw.metadata.name);
    let scope = common::scope(checker, &spec.key("scope"), raw.spec.scope.as_ref());
    let defaults = Defaults::of(checker, &spec, &raw.spec);
    let approval = common::act_approval(checker, &spec.key("approval"), raw.spec.approval.as_ref());
    let mut rules = Vec::with_capacity(raw.spec.rules.len());
    let mut names: Vec<(&str, usize)> = Vec::new();
    for (index, rule) in raw.spec.rules.iter().enumerate() {
        let at = spec.key("rules").item(index);
        common::check_name(checker, &at.key("name"), rule.name());
        if let Some((_, line)) = names.iter().find(|(name, _)| *name == rule.name()) {
            let problem = format!("the rule name {:?} is already used on line {line}", rule.name());
            checker.fail(&at.key("name"), problem, "a name that no other rule of the policy has");
        }
        names.push((rule.name(), at.key("name").spot().line));
        rules.extend(rule.compile(checker, &at, &defaults, checks));
    }
    let names: Vec<String> = raw.spec.rules.iter().map(|rule| rule.name().to_owned()).collect();
    let examples = conditions::examples(checker, &spec.key("examples"), raw.spec.examples.as_deref(), &names, false);
    (checker.count() == before).then(|| Policy {
        name: raw.metadata.name.clone(),
        title: None,
        namespace: raw.metadata.namespace.clone(),
        description: raw.metadata.description.clone(),
        policy_type: raw.spec.policy_type,
        category: None,
        mode: defaults.mode,
        severity_word: None,
        scope: scope.unwrap_or_default(),
        reach: Reach::Global,
        actions: Vec::new(),
        approval,
        rules,
        examples,
        record: Record::default(),
        hash,
        version: None,
        source,
    })
}

/// The enveloped form of a document that has `type` or `rules` at its top; `None` for any other.
fn flattened(node: &Node) -> Option<Node> {
    let Value::Map(entries) = &node.value else { return None };
    if node.get("spec").is_some() || (node.get("type").is_none() && node.get("rules").is_none()) {
        return None;
    }
    let outer = |key: &str| matches!(key, "apiVersion" | "kind" | "metadata");
    let (mut top, inner): (Vec<Entry>, Vec<Entry>) =
        entries.iter().cloned().partition(|entry| outer(entry.key.as_str()));
    for (key, word) in [("apiVersion", "costwarden.dev/v1"), ("kind", "CostPolicy")] {
        if !top.iter().any(|entry| entry.key == key) {
            top.push(made(key, node.spot, Value::Text(word.into())));
        }
    }
    top.push(made("spec", node.spot, Value::Map(inner)));
    Some(Node { spot: node.spot, value: Value::Map(top) })
}

fn made(key: &str, spot: Spot, value: Value) -> Entry {
    Entry { key: key.into(), key_spot: spot, node: Node { spot, value } }
}

#[cfg(test)]
mod tests;
