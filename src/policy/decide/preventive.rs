//! Requests for new resources held against policies before anything exists (V1–V8).
//!
//! Each violation says what it leads to: deny, approval, or a warning. A rule denies where it says
//! `enforcement: deny`, where it names no severity at all, and where its severity is critical; Monitor and
//! `enforcement: warn` only ever warn. What the request does not say is unknown: it passes no limit, so it weighs as a
//! violation of the rule that needed it (V3). Budgets are judged over all requests together, in `budget`.

use serde::Serialize;

use super::budget;
use super::consent::{self, Question};
use crate::domain::budget::Spending;
use crate::domain::fact::Fact;
use crate::domain::finding::Severity;
use crate::domain::money::Usd;
use crate::domain::place::Kind;
use crate::domain::request::{ApprovalRule, Request};
use crate::domain::rule::{DatabaseLimit, InstanceLimit, NetworkLimit, TagRule, VolumeLimit};
use crate::domain::text::clean;
use crate::policy::document::nearest;
use crate::policy::{EnforcementMode, Logic, Policy, PolicyScope, Preventive, Rule};

/// What a request meets; the later of two outweighs the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nothing stands against it.
    Allow,
    /// It may go on, and somebody should look.
    Warn,
    /// It waits for a person.
    RequireApproval,
    /// It may not go on.
    Deny,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Violation {
    /// The policy's name.
    pub policy_name: String,
    /// The rule's name.
    pub rule_name: String,
    /// One sentence.
    pub message: String,
    /// Critical for whatever denies; else the rule's own.
    pub severity: Severity,
    /// What it leads to.
    pub effect: Answer,
    /// The wanted resource's type; `budget` for a budget, which speaks of all of them.
    pub resource_type: String,
    /// Its id, where it has one.
    pub resource_id: Option<String>,
    /// What people call it; foreign text.
    pub resource: String,
    /// The rule needed something that is not known.
    pub unknown: bool,
    /// What its approvers are asked, for an effect of approval.
    #[serde(skip)]
    pub question: Option<Question>,
}

/// What the requests meet, all of them together.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The weightiest of all effects.
    pub action: Answer,
    /// In the order of requests, policies, rules and checks; budgets last.
    pub violations: Vec<Violation>,
    /// The sentences that lead to no more than a warning, and what else a person should know.
    pub warnings: Vec<String>,
    /// Who may approve, in the order of the rules; empty unless the action is approval.
    pub approvers: Vec<String>,
    /// What the requests add to the bill in a month, as far as it is known.
    pub adds: Usd,
    /// Requests whose cost is not known, each with the reason; they are not in `adds`.
    pub unpriced: Vec<(String, String)>,
}

/// Holds requests against policies.
pub fn judge(policies: &[Policy], requests: &[Request], spending: &Spending) -> Judged {
    let mut judged = Judged {
        action: Answer::Allow,
        violations: Vec::new(),
        warnings: Vec::new(),
        approvers: Vec::new(),
        adds: Usd::ZERO,
        unpriced: Vec::new(),
    };
    for request in requests {
        match request.adds() {
            Fact::Known(usd) => judged.adds = judged.adds + usd,
            Fact::Unknown(reason) => judged.unpriced.push((request.shown().to_owned(), reason.to_string())),
            Fact::Absent => {
                judged.unpriced.push((request.shown().to_owned(), "this type is not priced here".to_owned()))
            }
        }
        if let Some(note) = misspelled(&request.resource_type).filter(|note| !judged.warnings.contains(note)) {
            judged.warnings.push(note);
        }
        for (policy, rule) in in_force(policies) {
            if covers(policy, rule, request) {
                let mut against = Against { policy, rule, request, judged: &mut judged };
                against.check();
            }
        }
    }
    for (policy, rule) in in_force(policies) {
        if let Logic::Budget(limit) = &rule.logic {
            budget::check(&mut judged, policy, rule, limit, requests, spending);
        }
    }
    judged.action = judged.violations.iter().map(|violation| violation.effect).max().unwrap_or(Answer::Allow);
    if judged.action != Answer::RequireApproval {
        judged.approvers.clear();
    }
    judged.warnings.splice(0..0, warned(&judged.violations));
    judged
}

/// The sentences of the violations that only warn; they lead the warnings, and everything else follows them.
pub(super) fn warned(violations: &[Violation]) -> Vec<String> {
    let warned = violations.iter().filter(|violation| violation.effect == Answer::Warn);
    warned.map(|violation| format!("{}: {}", violation.resource, violation.message)).collect()
}

/// A word on a type that nearly is one with limits: rules are found by the exact type, so a slip passes them all.
fn misspelled(resource_type: &str) -> Option<String> {
    let known: Vec<&str> =
        Kind::ALL.iter().map(|kind| kind.name()).chain(["database/instance", "network/connection"]).collect();
    if known.contains(&resource_type) {
        return None;
    }
    let near = nearest(resource_type, known)?;
    Some(format!("no limit is for the type {resource_type:?}, so none was held against it; did you mean {near:?}?"))
}

/// Rules that are not switched off, by their policy or by themselves.
fn in_force(policies: &[Policy]) -> impl Iterator<Item = (&Policy, &Rule)> {
    let policies = policies.iter().filter(|policy| policy.mode != EnforcementMode::Disabled);
    policies.flat_map(|policy| {
        let rules = policy.rules.iter().filter(|rule| rule.mode != EnforcementMode::Disabled);
        rules.map(move |rule| (policy, rule))
    })
}

/// What a violation of this rule leads to.
pub(super) fn effect(policy: &Policy, rule: &Rule) -> Answer {
    if policy.mode == EnforcementMode::Monitor || rule.mode == EnforcementMode::Monitor {
        return Answer::Warn;
    }
    match rule.enforcement {
        Some(Preventive::Deny) => Answer::Deny,
        Some(Preventive::Warn) => Answer::Warn,
        None if rule.severity == Severity::Critical => Answer::Deny,
        None => Answer::Warn,
    }
}

/// Whether a rule speaks about this request at all: with [`judge`] it tells a rule that is kept from one that was never
/// asked.
pub fn is_asked(policy: &Policy, rule: &Rule, request: &Request) -> bool {
    let off = policy.mode == EnforcementMode::Disabled || rule.mode == EnforcementMode::Disabled;
    !off && match &rule.logic {
        Logic::Budget(limit) => within(&policy.scope, request) && budget::counts(limit, request),
        Logic::Check { .. } | Logic::Schedule(_) | Logic::Condition { .. } => false,
        _ => covers(policy, rule, request),
    }
}

/// Whether a rule is for this request. What the request leaves open is taken as covered: a scope is no way out.
fn covers(policy: &Policy, rule: &Rule, request: &Request) -> bool {
    !matches!(rule.logic, Logic::Budget(_))
        && (rule.types.is_empty() || rule.types.iter().any(|pattern| pattern.covers(&request.resource_type)))
        && within(&policy.scope, request)
}

/// Whether a request may lie in a policy's accounts, Regions and tags.
pub(super) fn within(scope: &PolicyScope, request: &Request) -> bool {
    let account = request.account.known().is_none_or(|own| scope.accounts.is_empty() || scope.accounts.contains(own));
    let region = request.region.known().is_none_or(|own| scope.regions.is_empty() || scope.regions.contains(own));
    let tags = scope.tags.iter().all(|(key, value)| request.may_carry(key, value));
    account && region && tags
}

/// One rule against one request.
struct Against<'a, 'j> {
    policy: &'a Policy,
    rule: &'a Rule,
    request: &'a Request,
    judged: &'j mut Judged,
}

impl Against<'_, '_> {
    fn check(&mut self) {
        match &self.rule.logic {
            Logic::Instances(limit) => self.instance(limit),
            Logic::Volumes(limit) => self.volume(limit),
            Logic::Databases(limit) => self.database(limit),
            Logic::Network(limit) => self.network(limit),
            Logic::Tags(tags) => tags.iter().for_each(|tag| self.tag(tag)),
            Logic::Approval(rule) => self.approval(rule),
            // Hours are kept by what runs; waste is a matter of what exists; budgets are judged over all requests together.
            Logic::Check { .. } | Logic::Budget(_) | Logic::Schedule(_) => {}
            // A condition over contexts has no types, and is the decision's matter.
            Logic::Condition { .. } if self.rule.types.is_empty() => {}
            Logic::Condition { .. } => {
                let (policy, rule) = (&self.policy.name, &self.rule.name);
                let note = format!("{policy} / {rule}: its condition is judged over the inventory, not over requests");
                if !self.judged.warnings.contains(&note) {
                    self.judged.warnings.push(note);
                }
            }
        }
    }

    fn instance(&mut self, limit: &InstanceLimit) {
        let specs = &self.request.specs;
        self.most("vCPUs", &specs.vcpus, limit.max_vcpus);
        self.most("GiB of memory", &specs.memory_gib, limit.max_memory_gib);
        let words = |families: &[crate::domain::rule::Family]| families.iter().map(|f| f.name()).collect::<Vec<_>>();
        let family = specs.family.clone().map(|family| family.name());
        self.listed("instance family", &family, &words(&limit.allowed_families), &words(&limit.denied_families));
    }

    fn volume(&mut self, limit: &VolumeLimit) {
        let specs = &self.request.specs;
        self.most("GiB", &specs.size_gib, limit.max_size_gib);
        let words = |types: &[crate::domain::rule::VolumeClass]| types.iter().map(|t| t.name()).collect::<Vec<_>>();
        let class = specs.volume_class.clone().map(|class| class.name());
        self.listed("volume type", &class, &words(&limit.allowed_types), &words(&limit.denied_types));
    }

    fn database(&mut self, limit: &DatabaseLimit) {
        let specs = &self.request.specs;
        self.most("vCPUs", &specs.vcpus, limit.max_vcpus);
        self.most("GiB of storage", &specs.size_gib, limit.max_storage_gib);
    }

    fn network(&mut self, limit: &NetworkLimit) {
        self.most("Mbit/s", &self.request.specs.bandwidth_mbps, limit.max_bandwidth_mbps);
    }

    /// More than the limit is a violation, equal passes, unknown does not pass (V3).
    fn most(&mut self, what: &str, wanted: &Fact<f64>, most: Option<u32>) {
        let Some(most) = most else { return };
        match wanted {
            Fact::Known(wanted) if *wanted > f64::from(most) => {
                self.broken(format!("{wanted} {what} are wanted, at most {most} are allowed"));
            }
            Fact::Known(_) => {}
            Fact::Absent => self.unknown(format!("at most {most} {what} are allowed, and there is no figure")),
            Fact::Unknown(reason) => {
                self.unknown(format!(
                    "at most {most} {what} are allowed, and how many are wanted is not known: {reason}"
                ));
            }
        }
    }

    fn listed(&mut self, what: &str, wanted: &Fact<&'static str>, allowed: &[&str], denied: &[&str]) {
        if allowed.is_empty() && denied.is_empty() {
            return;
        }
        match wanted {
            Fact::Known(word) if denied.contains(word) => self.broken(format!("the {what} {word} is denied")),
            Fact::Known(word) if !allowed.is_empty() && !allowed.contains(word) => {
                self.broken(format!("the {what} {word} is not among those allowed: {}", allowed.join(", ")));
            }
            Fact::Known(_) => {}
            Fact::Absent => self.unknown(format!("the {what} is limited, and there is none")),
            Fact::Unknown(reason) => self.unknown(format!("the {what} is limited, and it is not known: {reason}")),
        }
    }

    /// A missing tag is one violation; a value is held to its pattern, its list and its length, each by itself (V4).
    fn tag(&mut self, tag: &TagRule) {
        let key = clean(&tag.key);
        let value = match &self.request.tags {
            Fact::Known(tags) => tags.get(&tag.key).cloned().unwrap_or(Fact::Absent),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
        };
        let value = match value {
            Fact::Known(value) => value,
            Fact::Absent => return self.broken(format!("the tag {key} is missing")),
            Fact::Unknown(reason) => {
                return self.unknown(format!("the tag {key} is required, and it is not known: {reason}"));
            }
        };
        let shown = clean(&value);
        if let Some(pattern) = &tag.pattern
            && !pattern.is_match(&value)
        {
            self.broken(format!("the tag {key} is {shown:?}, which does not match {}", clean(pattern.as_str())));
        }
        if !tag.allowed_values.is_empty() && !tag.allowed_values.contains(&value) {
            let allowed = clean(&tag.allowed_values.join(", "));
            self.broken(format!("the tag {key} is {shown:?}, which is not one of {allowed}"));
        }
        let length = value.chars().count();
        if tag.min_length.is_some_and(|least| length < least) || tag.max_length.is_some_and(|most| length > most) {
            let (least, most) = (tag.min_length.unwrap_or(0), tag.max_length.unwrap_or(256));
            self.broken(format!("the tag {key} has {length} characters, accepted are {least} to {most}"));
        }
    }

    /// What meets any of the rule's conditions waits for its approvers, and so does what cannot be told (D2).
    fn approval(&mut self, rule: &ApprovalRule) {
        let before = self.judged.violations.len();
        if let Some(most) = rule.monthly_above {
            match &self.request.monthly {
                Fact::Known(usd) if *usd > most => {
                    self.waits(format!("it costs {usd} a month, and more than {most} needs approval"), false);
                }
                Fact::Known(_) => {}
                Fact::Absent => {
                    self.waits(format!("more than {most} a month needs approval, and it has no price"), true)
                }
                Fact::Unknown(reason) => {
                    self.waits(
                        format!("more than {most} a month needs approval, and its cost is not known: {reason}"),
                        true,
                    );
                }
            }
        }
        if !rule.purchases.is_empty() {
            match &self.request.purchase {
                Fact::Known(way) if rule.purchases.contains(way) => {
                    self.waits(format!("it is bought as {}, which needs approval", way.word()), false);
                }
                Fact::Known(_) | Fact::Absent => {}
                Fact::Unknown(reason) => {
                    let words: Vec<_> = rule.purchases.iter().map(|way| way.word()).collect();
                    let words = words.join(", ");
                    self.waits(format!("{words} needs approval, and how it is bought is not known: {reason}"), true);
                }
            }
        }
        if !rule.allowed_regions.is_empty() {
            match &self.request.region {
                Fact::Known(region) if !rule.allowed_regions.contains(region) => {
                    let allowed: Vec<&str> = rule.allowed_regions.iter().map(|region| region.as_str()).collect();
                    let allowed = allowed.join(", ");
                    self.waits(format!("it is for {region}; outside {allowed} it needs approval"), false);
                }
                Fact::Known(_) | Fact::Absent => {}
                Fact::Unknown(reason) => {
                    self.waits(format!("its Region needs approval unless listed, and is not known: {reason}"), true);
                }
            }
        }
        if self.judged.violations[before..].iter().any(|violation| violation.effect == Answer::RequireApproval) {
            let asks = consent::about_request(self.request, &self.policy.name, &self.rule.name, &rule.approvers);
            for violation in &mut self.judged.violations[before..] {
                violation.question = Some(asks.clone());
            }
            for approver in &rule.approvers {
                if !self.judged.approvers.contains(approver) {
                    self.judged.approvers.push(approver.clone());
                }
            }
        }
    }

    fn waits(&mut self, message: String, unknown: bool) {
        let monitored = self.policy.mode == EnforcementMode::Monitor || self.rule.mode == EnforcementMode::Monitor;
        self.push(message, if monitored { Answer::Warn } else { Answer::RequireApproval }, unknown);
    }

    fn broken(&mut self, message: String) {
        self.push(message, effect(self.policy, self.rule), false);
    }

    fn unknown(&mut self, message: String) {
        self.push(message, effect(self.policy, self.rule), true);
    }

    fn push(&mut self, message: String, effect: Answer, unknown: bool) {
        let about = About {
            resource_type: self.request.resource_type.clone(),
            resource_id: self.request.id.clone(),
            resource: self.request.shown().to_owned(),
        };
        self.judged.violations.push(Violation::new(self.policy, self.rule, about, message, effect, unknown));
    }
}

/// What a violation is about.
pub(super) struct About {
    pub(super) resource_type: String,
    pub(super) resource_id: Option<String>,
    pub(super) resource: String,
}

impl Violation {
    /// What denies is critical at the decision point (V2), whatever a finding of the same rule would be.
    pub(super) fn new(
        policy: &Policy,
        rule: &Rule,
        about: About,
        message: String,
        effect: Answer,
        unknown: bool,
    ) -> Violation {
        let About { resource_type, resource_id, resource } = about;
        Violation {
            policy_name: policy.name.clone(),
            rule_name: rule.name.clone(),
            message,
            severity: if effect == Answer::Deny { Severity::Critical } else { rule.severity },
            effect,
            resource_type,
            resource_id,
            resource,
            unknown,
            question: None,
        }
    }
}

impl Answer {
    /// The word in JSON and on the first line for people.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Allow => "allow",
            Answer::Warn => "warn",
            Answer::RequireApproval => "require_approval",
            Answer::Deny => "deny",
        }
    }
}

#[cfg(test)]
#[path = "preventive_tests.rs"]
pub(in crate::policy::decide) mod tests;
