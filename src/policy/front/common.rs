//! What all rules share: names, severity, action, grace, mode, scope, resource types.

use chrono::TimeDelta;

use crate::domain::finding::{Act, Action, Severity};
use crate::domain::person::same_person;
use crate::domain::place::{AccountId, Kind, Region};
use crate::domain::rule::TypePattern;
use crate::policy::document::{At, Checker};
use crate::policy::raw::{ActionWord, Overrides, RawActApproval, Scope, Spec};
use crate::policy::{ActApproval, EnforcementMode, PolicyScope, Preventive};

/// Longest grace period that a policy may ask for.
const MAX_GRACE_DAYS: i64 = 365;

/// Resource types that scopes may name beside the kinds that are read.
const NOT_READ: [&str; 1] = ["database/instance"];

/// What `spec` says for rules that say nothing.
pub(super) struct Defaults<'a> {
    at: At<'a>,
    severity: Option<Severity>,
    action: Option<ActionWord>,
    grace: Option<TimeDelta>,
    /// The policy's mode.
    pub mode: EnforcementMode,
}

/// The common part of a compiled rule.
pub(super) struct Common {
    pub severity: Severity,
    pub action: Action,
    pub grace: Option<TimeDelta>,
    pub mode: EnforcementMode,
    /// The rule or its policy names a severity.
    severity_named: bool,
}

impl Common {
    /// What a request that breaks the rule meets. A document that names neither `enforcement` nor a severity denies,
    /// as all of S1's own checks do (V2); with a severity alone, critical denies and the others warn.
    pub fn at_requests(&self, named: Option<Preventive>) -> Option<Preventive> {
        named.or((!self.severity_named).then_some(Preventive::Deny))
    }
}

/// What a rule's type allows.
pub(super) struct Allowed<'k> {
    /// Where neither the rule nor its policy says one.
    pub severity: Severity,
    /// Where neither the rule nor its policy says one.
    pub action: Action,
    /// Actions that fit the type.
    pub actions: &'static [Action],
    /// Kinds that the rule covers; an action must make sense for each.
    pub kinds: &'k [Kind],
}

impl<'a> Defaults<'a> {
    /// Reads them from `spec`.
    pub fn of<R>(checker: &mut Checker<'_>, at: &At<'a>, spec: &Spec<R>) -> Defaults<'a> {
        Defaults {
            at: at.clone(),
            severity: spec.severity,
            action: spec.action,
            grace: spec.grace.as_deref().and_then(|text| grace(checker, &at.key("grace"), text)),
            mode: spec.mode.unwrap_or_default(),
        }
    }

    /// The common part of a rule: its own words over the policy's over the type's.
    pub fn resolve(&self, checker: &mut Checker<'_>, at: &At<'_>, own: &Overrides, allowed: &Allowed<'_>) -> Common {
        let action = own.action.or(self.action).map_or(allowed.action, Action::from);
        let fits = allowed.fitting();
        if !fits.contains(&action) {
            let at = if own.action.is_some() { at.key("action") } else { self.at.key("action") };
            let kinds = allowed.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
            let accepted = fits.iter().map(|action| action.word()).collect::<Vec<_>>().join(", ");
            checker.fail(&at, format!("{action} makes no sense for this rule on {kinds}"), accepted);
        }
        Common {
            severity: own.severity.or(self.severity).unwrap_or(allowed.severity),
            action,
            grace: own.grace.as_deref().and_then(|text| grace(checker, &at.key("grace"), text)).or(self.grace),
            mode: own.mode.map_or(self.mode, |own| milder(own, self.mode)),
            severity_named: own.severity.or(self.severity).is_some(),
        }
    }
}

impl Allowed<'_> {
    /// The actions that make sense for every kind: a handler exists for the pair (R5), or nothing is to be done.
    fn fitting(&self) -> Vec<Action> {
        let fits = |action: &Action| {
            *action == Action::Report || self.kinds.iter().all(|kind| Act::of(*action, *kind).is_some())
        };
        self.actions.iter().copied().filter(fits).collect()
    }
}

/// The milder of two modes: either off switch turns a rule off (P4).
pub(super) fn milder(a: EnforcementMode, b: EnforcementMode) -> EnforcementMode {
    let rank = |mode| match mode {
        EnforcementMode::Disabled => 0,
        EnforcementMode::Monitor => 1,
        EnforcementMode::Enforce => 2,
    };
    if rank(a) <= rank(b) { a } else { b }
}

/// Names go into ids, tags and file names, so they are plain.
pub(in crate::policy) fn check_name(checker: &mut Checker<'_>, at: &At<'_>, name: &str) {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 80;
    if !plain {
        let given = crate::domain::text::clean(name);
        checker.fail(
            at,
            format!("{given:?} is not a name"),
            "up to 80 letters, digits, '-', '_' or '.', a letter or digit first",
        );
    }
}

/// `90m`, `24h`, `7d`, or nothing after noting the mistake.
fn grace(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<TimeDelta> {
    let parsed = (|| {
        let unit = text.chars().last()?;
        let number = &text[..text.len() - unit.len_utf8()];
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: i64 = number.parse().ok()?;
        let span = match unit {
            'm' => TimeDelta::try_minutes(number),
            'h' => TimeDelta::try_hours(number),
            'd' => TimeDelta::try_days(number),
            _ => None,
        }?;
        (span <= TimeDelta::days(MAX_GRACE_DAYS)).then_some(span)
    })();
    if parsed.is_none() {
        let given = crate::domain::text::clean(text);
        checker.fail(
            at,
            format!("{given:?} is not a grace period"),
            format!("whole minutes, hours or days such as 90m, 24h, 7d, at most {MAX_GRACE_DAYS}d"),
        );
    }
    parsed
}

/// The policy's scope, or `None` where it has none.
pub(super) fn scope(checker: &mut Checker<'_>, at: &At<'_>, raw: Option<&Scope>) -> Option<PolicyScope> {
    let raw = raw?;
    let mut scope = PolicyScope::default();
    for (index, text) in raw.accounts.iter().flatten().enumerate() {
        match AccountId::new(text) {
            Ok(account) => scope.accounts.push(account),
            Err(_) => bad_account(checker, &at.key("accounts").item(index), text),
        }
    }
    for (index, text) in raw.regions.iter().flatten().enumerate() {
        match Region::new(text) {
            Ok(region) => scope.regions.push(region),
            Err(_) => bad_region(checker, &at.key("regions").item(index), text),
        }
    }
    scope.tags = raw.tags.iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    if raw.accounts.is_none() && raw.regions.is_none() && scope.tags.is_empty() {
        checker.fail(at, "the scope is empty", "accounts, regions or tags; leave the key out for everything");
    }
    Some(scope)
}

/// Whose word an act needs, or `None` where the policy does not ask.
pub(super) fn act_approval(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    raw: Option<&RawActApproval>,
) -> Option<ActApproval> {
    let raw = raw?;
    let mut approvers: Vec<String> = Vec::new();
    for (index, text) in raw.approvers.iter().flatten().enumerate() {
        let at = at.key("approvers").item(index);
        let given = crate::domain::text::clean(text);
        if !is_mail_address(text) {
            checker.fail(&at, format!("{given:?} is not a mail address"), "an address such as name@example.com");
        } else if approvers.iter().any(|known| same_person(known, text)) {
            let problem = format!("{given:?} is a person who stands here already");
            checker.fail(&at, problem, "each person once, under one name");
        }
        approvers.push(text.clone());
    }
    if raw.approvers.is_some() && approvers.len() < usize::from(raw.people) {
        let problem = format!("{} people must say yes and {} may", raw.people, approvers.len());
        checker.fail(&at.key("approvers"), problem, "at least as many approvers as people");
    }
    Some(ActApproval { people: raw.people, approvers })
}

fn bad_account(checker: &mut Checker<'_>, at: &At<'_>, text: &str) {
    let given = crate::domain::text::clean(text);
    checker.fail(at, format!("{given:?} is not an AWS account id"), "twelve digits, quoted");
}

fn bad_region(checker: &mut Checker<'_>, at: &At<'_>, text: &str) {
    let given = crate::domain::text::clean(text);
    checker.fail(at, format!("{given:?} is not a Region"), "a name such as eu-central-1");
}

/// The patterns of a rule's `scope`; everything where it has none (V5).
pub(super) fn type_patterns(checker: &mut Checker<'_>, at: &At<'_>, scope: Option<&[String]>) -> Vec<TypePattern> {
    let Some(scope) = scope else { return vec![TypePattern("*".into())] };
    let patterns = scope.iter().enumerate();
    patterns.filter_map(|(index, text)| type_pattern(checker, &at.key("scope").item(index), text)).collect()
}

/// A Region, or nothing after noting the mistake.
pub(super) fn region(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<Region> {
    let found = Region::new(text).ok();
    if found.is_none() {
        bad_region(checker, at, text);
    }
    found
}

/// A resource-type pattern that can match something (V5), or nothing after noting the mistake.
pub(super) fn type_pattern(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<TypePattern> {
    let types: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).chain(NOT_READ).collect();
    let mut accepted: Vec<String> = vec!["*".into()];
    for name in &types {
        let group = format!("{}/*", name.split('/').next().unwrap_or(name));
        if !accepted.contains(&group) {
            accepted.push(group);
        }
    }
    accepted.extend(types.iter().map(|name| (*name).to_owned()));
    if accepted.iter().any(|known| known == text) {
        return Some(TypePattern(text.to_owned()));
    }
    checker.bad_word(at, "a resource type", text, accepted.iter().map(String::as_str));
    None
}

/// The kinds that patterns cover.
pub(super) fn covered(types: &[TypePattern]) -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| types.iter().any(|pattern| pattern.covers_kind(*kind))).collect()
}

/// Whether a text names a room of a chat service: `slack:#room` or `teams:name`.
pub(crate) fn is_room(text: &str) -> bool {
    let name = match text.split_once(':') {
        Some(("slack", room)) => room.strip_prefix('#'),
        Some(("teams", name)) => Some(name),
        _ => None,
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    name.is_some_and(|name| !name.is_empty() && name.len() <= 80 && name.chars().all(plain))
}

/// Whether a text can be a mail address: one `@`, a local part and a domain without blanks or control characters.
pub(crate) fn is_mail_address(text: &str) -> bool {
    // What no mail server has to take would be a recipient who hears of nothing.
    if text.len() > 254 {
        return false;
    }
    let Some((local, domain)) = text.split_once('@') else { return false };
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && local.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    local_ok && is_domain(domain)
}

/// Whether a text can be a domain name.
pub(crate) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
