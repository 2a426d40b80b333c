//! The front end for S0's policies: rules as expressions over a caller's context (P1–P12).
//!
//! One policy, a list of them, or `policies` with a list, in TOML, JSON or YAML: the trees are the same. What is left
//! out is filled as documented on the shapes; an id that is left out is made from the name alone, so that loading a
//! file again gives the same policies.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::common::{check_name, is_mail_address, is_room, milder};
use super::conditions;
use crate::domain::finding::Action;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker, Node, Value, short_hash};
use crate::policy::raw::expressions::{ActionType, ContextPolicy, ContextRule, PolicyList, RawAction, ReachWord};
use crate::policy::{
    EnforcementMode, Policy, PolicyScope, PolicySource, PolicyType, Reach, Record, Rule, ViolationAction,
};

/// Longest made id of a rule, in characters, without the number that tells two apart.
const MADE_ID_CHARS: usize = 60;

/// Whether a tree is S0's: a list, `policies`, or a map with keys that only S0's policies have.
pub(super) fn is_ours(node: &Node, toml: bool) -> bool {
    let has = |keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    match &node.value {
        Value::List(_) => true,
        Value::Map(_) if has(&["spec", "apiVersion", "kind"]) => false,
        Value::Map(_) => {
            has(&["policies", "policy_type", "enforcement_mode", "violation_actions"]) || (toml && !has(&["type"]))
        }
        _ => false,
    }
}

/// The policies of a tree; those with mistakes are left out after noting them.
pub(super) fn policies(checker: &mut Checker<'_>, node: &Node, file: &Path) -> Vec<Policy> {
    let root = At::root(node);
    let (at, list) = match &node.value {
        Value::List(items) => (root, items),
        Value::Map(_) if node.get("variables").is_some() => {
            let at = root.name_of("variables");
            checker.fail(
                &at,
                "this is a template, not a policy",
                "`costwarden policy template instantiate` makes policies of it",
            );
            return Vec::new();
        }
        Value::Map(_) if node.get("policies").is_some() => {
            if checker.read::<PolicyList>(&root).is_none() {
                return Vec::new();
            }
            match node.get("policies").map(|inner| &inner.value) {
                Some(Value::List(items)) => (root.key("policies"), items),
                _ => return Vec::new(),
            }
        }
        _ => return policy(checker, &root, node, file).into_iter().collect(),
    };
    if list.is_empty() {
        checker.fail(&at, "the list is empty", "at least one policy");
    }
    list.iter().enumerate().filter_map(|(index, node)| policy(checker, &at.item(index), node, file)).collect()
}

/// One policy.
pub(crate) fn policy(checker: &mut Checker<'_>, at: &At<'_>, node: &Node, file: &Path) -> Option<Policy> {
    let before = checker.count();
    let Some(raw) = checker.read::<ContextPolicy>(at) else {
        // Shape and meaning are told together as far as a condition can be read.
        conditions_of(checker, at, node);
        return None;
    };
    let name = match &raw.id {
        Some(id) => {
            check_name(checker, &at.key("id"), id);
            id.clone()
        }
        None => made_id("policy", &raw.name).unwrap_or_else(|| {
            checker.fail(
                &at.key("name"),
                "no id can be made from this name",
                "a name with letters or digits, or an id",
            );
            String::new()
        }),
    };
    let mode = if raw.enabled == Some(false) { EnforcementMode::Disabled } else { raw.enforcement_mode };
    let actions = match &raw.violation_actions {
        Some(list) => actions(checker, &at.key("violation_actions"), list),
        None => vec![ViolationAction::Log],
    };
    let reach = reach(checker, at, &raw);
    let mut rules: Vec<Rule> = Vec::with_capacity(raw.rules.len());
    let mut ids = RuleIds::default();
    for (index, rule) in raw.rules.iter().enumerate() {
        let place = at.key("rules").item(index);
        if let Some(rule) = self::rule(checker, &place, rule, &raw, mode, &mut ids) {
            ids.lines.insert(rule.name.clone(), rule.line);
            rules.push(rule);
        }
    }
    let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    // With a broken rule the names are not complete, and complaints about them would be noise.
    let examples = if checker.count() == before {
        conditions::examples(checker, &at.key("examples"), raw.examples.as_deref(), &names, true)
    } else {
        Vec::new()
    };
    let record = Record {
        created_at: raw.created_at.as_deref().and_then(|text| instant(checker, &at.key("created_at"), text)),
        updated_at: raw.updated_at.as_deref().and_then(|text| instant(checker, &at.key("updated_at"), text)),
        created_by: raw.created_by.clone(),
        metadata: raw.metadata.clone().unwrap_or_default(),
    };
    (checker.count() == before).then(|| Policy {
        name,
        title: Some(raw.name.clone()),
        namespace: None,
        description: raw.description.clone(),
        policy_type: PolicyType::Expression,
        category: Some(raw.policy_type),
        mode,
        severity_word: raw.severity.foreign().map(str::to_owned),
        scope: PolicyScope::default(),
        reach,
        actions,
        approval: None,
        rules,
        examples,
        record,
        hash: short_hash(&node.to_json()),
        version: None,
        source: PolicySource { path: file.to_owned(), line: node.spot.line },
    })
}

/// Notes mistakes in the conditions of a policy whose shape is wrong elsewhere, so that one go tells all.
fn conditions_of(checker: &mut Checker<'_>, at: &At<'_>, node: &Node) {
    let Some(Value::List(rules)) = node.get("rules").map(|rules| &rules.value) else { return };
    for (index, rule) in rules.iter().enumerate() {
        let at = at.key("rules").item(index);
        let text = |key: &str| rule.get(key).and_then(Node::text).filter(|text| !text.trim().is_empty());
        if let (Some(_), None) | (None, Some(_)) = (text("condition"), text("require")) {
            conditions::logic(checker, &at, text("condition"), text("require"));
        }
    }
}

/// The ids of a policy's rules so far.
#[derive(Default)]
struct RuleIds {
    /// On which line each stands.
    lines: HashMap<String, usize>,
    /// The number that a made id is tried with next; counting from the beginning each time would have no end when
    /// thousands of rules have one description.
    next: HashMap<String, usize>,
}

impl RuleIds {
    /// The made id itself, or with the first number that is free behind it.
    fn free(&mut self, made: String) -> String {
        let next = self.next.entry(made.clone()).or_insert(1);
        loop {
            let name = if *next == 1 { made.clone() } else { format!("{made}-{next}") };
            *next += 1;
            if !self.lines.contains_key(&name) {
                return name;
            }
        }
    }
}

fn rule(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    raw: &ContextRule,
    policy: &ContextPolicy,
    mode: EnforcementMode,
    ids: &mut RuleIds,
) -> Option<Rule> {
    let name = match &raw.id {
        Some(id) => {
            check_name(checker, &at.key("id"), id);
            if let Some(line) = ids.lines.get(id) {
                let problem = format!("the rule id {:?} is already used on line {line}", clean(id));
                checker.fail(&at.key("id"), problem, "an id that no other rule of the policy has");
            }
            id.clone()
        }
        None => {
            let made = raw.description.as_deref().and_then(|text| made_id("rule", text));
            ids.free(made.unwrap_or_else(|| format!("rule-{}", ids.lines.len() + 1)))
        }
    };
    let own_mode = if raw.enabled == Some(false) { EnforcementMode::Disabled } else { mode };
    let actions = raw.violation_actions.as_deref();
    let actions = actions.map(|list| self::actions(checker, &at.key("violation_actions"), list));
    let logic = conditions::logic(checker, at, raw.condition.as_deref(), raw.require.as_deref())?;
    Some(Rule {
        name,
        title: raw.description.clone(),
        types: Vec::new(),
        severity: raw.severity.unwrap_or(policy.severity).severity(),
        action: Action::Report,
        grace: None,
        mode: milder(own_mode, mode),
        enforcement: None,
        actions,
        logic,
        line: at.spot().line,
    })
}

fn reach(checker: &mut Checker<'_>, at: &At<'_>, raw: &ContextPolicy) -> Reach {
    let id = raw.scope_id.clone();
    match raw.scope.unwrap_or(ReachWord::Global) {
        ReachWord::Global => {
            if id.is_some() {
                let problem = "a global policy is for everybody, so it has no scope_id";
                checker.fail(&at.name_of("scope_id"), problem, "scope: organization, user or resource; or no scope_id");
            }
            Reach::Global
        }
        ReachWord::Organization => Reach::Organization(id),
        ReachWord::User => Reach::User(id),
        ReachWord::Resource => Reach::Resource(id),
    }
}

fn actions(checker: &mut Checker<'_>, at: &At<'_>, list: &[RawAction]) -> Vec<ViolationAction> {
    list.iter().enumerate().filter_map(|(index, raw)| action(checker, &at.item(index), raw)).collect()
}

fn action(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawAction) -> Option<ViolationAction> {
    let (word, wanted) = match raw.action {
        ActionType::Log => ("log", None),
        ActionType::Alert => ("alert", Some("recipients")),
        ActionType::Block => ("block", None),
        ActionType::RequireApproval => ("require_approval", Some("approvers")),
        ActionType::Suspend => ("suspend", Some("duration_minutes")),
        ActionType::Webhook => ("webhook", Some("url")),
    };
    let mut sound = true;
    for key in ["recipients", "approvers", "duration_minutes", "url"] {
        let there = at.key(key).exists();
        if there && wanted != Some(key) {
            let accepted = wanted.map_or("type alone".to_owned(), |wanted| format!("type and {wanted}"));
            checker.fail(&at.name_of(key), format!("{word} has no key {key:?}"), accepted);
            sound = false;
        } else if !there && wanted == Some(key) {
            checker.fail(at, format!("the key {key:?} is missing"), format!("{word} needs {key}"));
            sound = false;
        }
    }
    if !sound {
        return None;
    }
    Some(match raw.action {
        ActionType::Log => ViolationAction::Log,
        ActionType::Block => ViolationAction::Block,
        ActionType::Alert => {
            let recipients = raw.recipients.clone()?;
            for (index, to) in recipients.iter().enumerate() {
                let address = to.strip_prefix("email:").unwrap_or(to);
                if !is_room(to) && !is_mail_address(address) {
                    let problem = format!("{:?} is no recipient", clean(to));
                    let at = at.key("recipients").item(index);
                    let accepted = "a mail address, slack:#room or teams:name; a webhook is an action of its own: type webhook and url";
                    checker.fail(&at, problem, accepted);
                }
            }
            ViolationAction::Alert { recipients }
        }
        ActionType::RequireApproval => {
            let approvers = raw.approvers.clone()?;
            for (index, name) in approvers.iter().enumerate().filter(|(_, name)| name.trim().is_empty()) {
                let at = at.key("approvers").item(index);
                checker.fail(&at, format!("{:?} is no approver", clean(name)), "a person's or a group's name");
            }
            ViolationAction::RequireApproval { approvers }
        }
        ActionType::Suspend => ViolationAction::Suspend { duration_minutes: raw.duration_minutes? },
        ActionType::Webhook => {
            let url = raw.url.clone()?;
            let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', ':', '?', '#']).next());
            if !host.is_some_and(super::common::is_domain) {
                // The address may hold a secret, so the line is not repeated.
                checker.fail_quietly(&at.key("url"), "this is no address for a webhook", "https://host/path");
            }
            ViolationAction::Webhook { url }
        }
    })
}

fn instant(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<DateTime<Utc>> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => Some(instant.with_timezone(&Utc)),
        Err(_) => {
            checker.fail(at, format!("{:?} is no instant", clean(text)), "RFC 3339, such as 2026-11-22T09:00:00Z");
            None
        }
    }
}

/// `policy-gdpr-data-retention` of `GDPR Data Retention`; `None` when nothing is left. The same name gives the same
/// id on every machine and every day.
pub(crate) fn made_id(what: &str, name: &str) -> Option<String> {
    let mut slug = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= MADE_ID_CHARS {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| format!("{what}-{slug}"))
}

#[cfg(test)]
mod tests;
