//! Resources without the tags that a TagRequirement policy asks for, or with wrong ones (X5, D4, V4).
//!
//! One finding per rule lists every missing and every wrong key. A missing key is added only where the policy gives a
//! default for it; nobody's value is ever overwritten. Unknown tags are unknown, never missing: one failed tag read
//! once made another tool delete compliant resources (safety.md, finding 1).

use super::Judge;
use crate::domain::check::{CheckInfo, Evidence, Savings, Standing, Subject, UsedBy, Verdict, Violation};
use crate::domain::fact::Fact;
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::resource::{InstanceState, Tags};
use crate::domain::rule::TagRule;
use crate::domain::text::clean;

/// This check's page.
pub static INFO: CheckInfo = CheckInfo {
    id: "required-tags",
    title: "Required tags are missing or wrong",
    why: "Cost that carries no owner and no cost center cannot be allocated, so nobody saves it.",
    kinds: &[Kind::Instance, Kind::Volume, Kind::Snapshot, Kind::Address],
    used_by: UsedBy::TagRequirement,
    severity: Severity::Medium,
    action: Action::Tag,
    params: &[],
    reads: "the resource's tags",
    needs_usage: false,
};

/// The judge for one rule's required tags.
pub fn build(tags: &[TagRule]) -> Box<dyn Judge> {
    Box::new(RequiredTags { tags: tags.to_vec() })
}

struct RequiredTags {
    tags: Vec<TagRule>,
}

/// What is wrong with one tag, in words; several for one value when several demands fail (V4).
pub fn faults(rule: &TagRule, value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let shown = clean(value);
    if rule.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(value)) {
        let pattern = rule.pattern.as_ref().map_or("", |pattern| pattern.as_str());
        faults.push(format!("{} = {shown:?} does not match {pattern}", rule.key));
    }
    if !rule.allowed_values.is_empty() && !rule.allowed_values.iter().any(|allowed| allowed == value) {
        faults.push(format!("{} = {shown:?} is not one of {}", rule.key, rule.allowed_values.join(", ")));
    }
    let length = value.chars().count();
    if let Some(least) = rule.min_length.filter(|least| length < *least) {
        faults.push(format!("{} = {shown:?} is shorter than {least} characters", rule.key));
    }
    if let Some(most) = rule.max_length.filter(|most| length > *most) {
        faults.push(format!("{} = {shown:?} is longer than {most} characters", rule.key));
    }
    faults
}

impl Judge for RequiredTags {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        if let Some(instance) = subject.resource.instance()
            && matches!(instance.state, InstanceState::ShuttingDown | InstanceState::Terminated)
        {
            return Verdict::NotApplicable;
        }
        if matches!(subject.resource.state(), "deleting" | "deleted") {
            return Verdict::NotApplicable;
        }
        let none = Tags::default();
        let tags = match &subject.resource.tags {
            Fact::Known(tags) => tags,
            Fact::Absent => &none,
            Fact::Unknown(reason) => return Verdict::Unknown(format!("tags: {reason}")),
        };
        let (mut missing, mut wrong, mut add_tags) = (Vec::new(), Vec::new(), Vec::new());
        for rule in &self.tags {
            match tags.get(&rule.key) {
                Some(value) => wrong.extend(faults(rule, value)),
                None => {
                    missing.push(rule.key.as_str());
                    if let Some(default) = &rule.default {
                        add_tags.push((rule.key.clone(), default.clone()));
                    }
                }
            }
        }
        if missing.is_empty() && wrong.is_empty() {
            return Verdict::Compliant;
        }
        let mut parts = Vec::new();
        if !missing.is_empty() {
            parts.push(format!("Missing required tags: {}", missing.join(", ")));
        }
        if !wrong.is_empty() {
            parts.push(format!("Wrong tags: {}", wrong.join("; ")));
        }
        Verdict::Violated(Box::new(Violation {
            message: parts.join(". "),
            evidence: vec![Evidence {
                name: "tags".into(),
                value: tags.len().to_string(),
                unit: "present".into(),
                source: "EC2 listing".into(),
                at: subject.now,
            }],
            savings: Savings::none(),
            standing: Standing::Proven,
            act_not_before: None,
            add_tags,
            to_type: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::resource::Resource;
    use regex::Regex;

    fn rule(key: &str) -> TagRule {
        TagRule {
            key: key.into(),
            pattern: None,
            allowed_values: Vec::new(),
            min_length: None,
            max_length: None,
            default: None,
            description: None,
        }
    }

    fn rules() -> Vec<TagRule> {
        vec![
            TagRule { pattern: Some(Regex::new("^CC-[0-9]{6}$").unwrap()), ..rule("cost-center") },
            TagRule {
                allowed_values: ["production", "staging", "development", "sandbox"].map(Into::into).into(),
                default: Some("development".into()),
                ..rule("environment")
            },
            TagRule { min_length: Some(3), max_length: Some(50), ..rule("project") },
        ]
    }

    fn judge(tags: &[(&str, &str)]) -> Verdict {
        let bench = Bench::new();
        let mut resource: Resource = instance("i-1", "m5.large", 1);
        resource.tags = Fact::Known(Tags::of(tags));
        build(&rules()).judge(&bench.subject(&resource, None, None))
    }

    #[test]
    fn x5_one_finding_lists_every_missing_key_and_has_no_savings() {
        let Verdict::Violated(found) = judge(&[]) else { panic!() };
        assert_eq!(found.message, "Missing required tags: cost-center, environment, project");
        assert_eq!(found.add_tags, [("environment".to_owned(), "development".to_owned())]);
        assert_eq!(found.savings.monthly, Some(crate::domain::money::Usd::ZERO));
    }

    #[test]
    fn x5_pattern_values_and_length_are_looked_at_and_a_wrong_value_is_never_rewritten() {
        let Verdict::Violated(found) =
            judge(&[("cost-center", "CC-12345\n"), ("environment", "test"), ("project", "ab")])
        else {
            panic!()
        };
        assert_eq!(
            found.message,
            "Wrong tags: cost-center = \"CC-12345\u{FFFD}\" does not match ^CC-[0-9]{6}$; environment = \"test\" is not \
             one of production, staging, development, sandbox; project = \"ab\" is shorter than 3 characters"
        );
        assert_eq!(found.add_tags, []);
    }

    #[test]
    fn v4_a_value_that_fails_two_demands_has_two_faults() {
        let both =
            TagRule { pattern: Some(Regex::new("^[a-z]+$").unwrap()), allowed_values: vec!["a".into()], ..rule("k") };
        assert_eq!(faults(&both, "B").len(), 2);
        assert_eq!(faults(&both, "a").len(), 0);
    }

    #[test]
    fn d4_a_full_set_passes() {
        assert_eq!(
            judge(&[("cost-center", "CC-001234"), ("environment", "sandbox"), ("project", "alpha")]),
            Verdict::Compliant
        );
    }

    #[test]
    fn unknown_tags_are_not_missing_tags() {
        let bench = Bench::new();
        let mut resource = instance("i-1", "m5.large", 1);
        resource.tags = Fact::unknown("DescribeTags was throttled");
        assert_eq!(
            build(&rules()).judge(&bench.subject(&resource, None, None)),
            Verdict::Unknown("tags: DescribeTags was throttled".into())
        );
    }
}
