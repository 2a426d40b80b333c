//! `type: TagRequirement` (D4, V5, V8).

use regex::{Regex, RegexBuilder};

use super::Front;
use super::common::{Allowed, Defaults, covered, type_patterns};
use crate::domain::check::CheckInfo;
use crate::domain::finding::{Action, Severity};
use crate::domain::rule::TagRule;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker};
use crate::policy::raw::{RawRule, RequiredTag, TagsRule};
use crate::policy::{Logic, Rule};

/// Actions that remedy a missing tag; stopping or deleting for a tag alone is none.
const ACTIONS: &[Action] = &[Action::Tag, Action::Notify, Action::Report];

/// Compiled size of a pattern, in bytes; thousands of times what a sensible one needs.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Longest tag key and tag value that AWS stores, in characters.
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;

impl Front for TagsRule {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        _checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let types = type_patterns(checker, at, self.scope.as_deref());
        let mut tags: Vec<TagRule> = Vec::new();
        for (index, raw) in self.required_tags.iter().enumerate() {
            let at = at.key("requiredTags").item(index);
            if tags.iter().any(|known| known.key == raw.key) {
                checker.fail(
                    &at.key("key"),
                    format!("the key {:?} stands twice", clean(&raw.key)),
                    "each key once a rule",
                );
            }
            tags.push(tag(checker, &at, raw));
        }
        let kinds = covered(&types);
        let allowed = Allowed { severity: Severity::Medium, action: Action::Tag, actions: ACTIONS, kinds: &kinds };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        Some(Rule {
            name: self.name.clone(),
            title: None,
            types,
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: common.at_requests(self.enforcement),
            actions: None,
            logic: Logic::Tags(tags),
            line: at.spot().line,
        })
    }
}

fn tag(checker: &mut Checker<'_>, at: &At<'_>, raw: &RequiredTag) -> TagRule {
    let (key_at, key) = (at.key("key"), clean(&raw.key));
    if raw.key.chars().count() > MAX_KEY_CHARS || raw.key.to_lowercase().starts_with("aws:") {
        checker.fail(
            &key_at,
            format!("{key:?} cannot be a tag of ours"),
            "at most 128 characters, not beginning with aws:",
        );
    }
    if let (Some(min), Some(max)) = (raw.min_length, raw.max_length)
        && min > max
    {
        checker.fail(&at.key("minLength"), format!("{min} is more than maxLength {max}"), format!("at most {max}"));
    }
    let rule = TagRule {
        key: raw.key.clone(),
        pattern: raw.pattern.as_deref().and_then(|text| pattern(checker, &at.key("pattern"), text)),
        allowed_values: raw.allowed_values.clone().unwrap_or_default(),
        min_length: raw.min_length,
        max_length: raw.max_length,
        default: raw.default.clone(),
        description: raw.description.clone(),
    };
    for (index, value) in rule.allowed_values.iter().enumerate() {
        if let Some(why) = refusal(&rule, value, false) {
            let problem = format!("{:?} can never pass: {why}", clean(value));
            checker.fail(&at.key("allowedValues").item(index), problem, "values that the rule's other keys accept");
        }
    }
    if let Some(value) = &rule.default
        && let Some(why) = refusal(&rule, value, true)
    {
        let problem = format!("the default {:?} breaks its own rule: {why}", clean(value));
        checker.fail(&at.key("default"), problem, "a value that the rule accepts");
    }
    rule
}

/// Compiles a pattern so that only a match of the whole value counts. Without multi-line mode `$` is the true end of
/// the text, so a trailing line break never slips through (V8).
fn pattern(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<Regex> {
    let whole = if anchored(text) { text.to_owned() } else { format!("^(?:{text})$") };
    let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build();
    match compile(text).and_then(|_| compile(&whole)) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            checker.fail(at, format!("{:?} is not a pattern: {}", clean(text), clean(&reason)), "a regular expression");
            None
        }
    }
}

/// Whether a pattern plainly binds both ends already; alternatives and flags are never plain.
fn anchored(text: &str) -> bool {
    text.starts_with('^')
        && text.ends_with('$')
        && !text.ends_with("\\$")
        && !text.contains('|')
        && !text.contains("(?")
}

/// Why a value breaks the rule.
fn refusal(rule: &TagRule, value: &str, check_list: bool) -> Option<String> {
    let length = value.chars().count();
    if length > MAX_VALUE_CHARS {
        return Some(format!("longer than {MAX_VALUE_CHARS} characters"));
    }
    if rule.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(value)) {
        return Some("the pattern does not match it".into());
    }
    if check_list && !rule.allowed_values.is_empty() && !rule.allowed_values.iter().any(|allowed| allowed == value) {
        return Some("it is not in allowedValues".into());
    }
    if rule.min_length.is_some_and(|min| length < min) || rule.max_length.is_some_and(|max| length > max) {
        return Some(format!("its length is {length}"));
    }
    None
}
