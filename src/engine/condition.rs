//! Judges a resource by a rule's condition: what makes an Expression policy find things in a scan.
//!
//! `ruleset` builds one a rule. A finding says what the rule's own words say, with every value that was read as
//! evidence. It never leads to a change in the cloud: a condition can say that something breaks a rule, not that it is
//! waste that nobody needs, which takes a check with its own proof.

use crate::checks::Judge;
use crate::domain::check::{CheckInfo, Evidence, Savings, Standing, Subject, UsedBy, Verdict, Violation};
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::text::clean;
use crate::policy::expression::{Condition, ConditionError, Look, OverInventory, Value};
use crate::policy::{Outcome, Polarity};

/// The page of conditions that read no metrics.
pub static INFO: CheckInfo = CheckInfo {
    id: "condition",
    title: "Resource breaks a condition",
    why: "The policy that says so knows.",
    kinds: &Kind::ALL,
    used_by: UsedBy::Expression,
    severity: Severity::Medium,
    action: Action::Notify,
    params: &[],
    reads: "the names that the condition reads; `costwarden schema --fields` lists all",
    needs_usage: false,
};

/// The page of conditions that read metrics.
static WITH_USAGE: CheckInfo = CheckInfo { needs_usage: true, ..INFO };

/// A condition over the inventory.
pub struct ConditionJudge {
    bound: OverInventory,
    polarity: Polarity,
    message: String,
    changes_cloud: bool,
}

/// The judge for one rule, and the page that fits it. `title` is what the rule says of a violation.
///
/// # Errors
/// A name that resources of these kinds do not have.
pub fn build(
    condition: &Condition,
    polarity: Polarity,
    kinds: &[Kind],
    title: Option<&str>,
    action: Action,
) -> Result<(&'static CheckInfo, Box<dyn Judge>), ConditionError> {
    let bound = OverInventory::bind(condition, kinds)?;
    let message = title.map_or_else(|| plain_message(condition, polarity), str::to_owned);
    let info = if bound.usage_days().is_some() { &WITH_USAGE } else { &INFO };
    let changes_cloud = !matches!(action, Action::Notify | Action::Report);
    Ok((info, Box::new(ConditionJudge { bound, polarity, message, changes_cloud })))
}

impl Judge for ConditionJudge {
    fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let truth = self.bound.evaluate(subject);
        match self.polarity.outcome(&truth) {
            Outcome::Compliant => Verdict::Compliant,
            Outcome::NotApplicable => Verdict::NotApplicable,
            Outcome::Unknown => Verdict::Unknown(reason(truth)),
            Outcome::Violated => Verdict::Violated(Box::new(self.violation(subject))),
        }
    }

    fn usage_days(&self) -> Option<u32> {
        self.bound.usage_days()
    }
}

impl ConditionJudge {
    fn violation(&self, subject: &Subject<'_>) -> Violation {
        let looks = self.bound.looks(subject);
        let unknown: Vec<String> = looks
            .iter()
            .filter_map(|look| match &look.value {
                Value::Unknown(reason) => Some(format!("{} is not known: {reason}", look.path)),
                _ => None,
            })
            .collect();
        let standing = if !unknown.is_empty() {
            Standing::ReportedOnly(unknown.join("; "))
        } else if self.changes_cloud {
            Standing::ReportedOnly("a condition only tells: no act follows from it".into())
        } else {
            Standing::Proven
        };
        Violation {
            message: self.message.clone(),
            evidence: looks.iter().map(|look| evidence(look, subject)).collect(),
            savings: Savings::unknown("a condition does not say what its fix would save"),
            standing,
            act_not_before: None,
            add_tags: Vec::new(),
            to_type: None,
        }
    }
}

fn evidence(look: &Look, subject: &Subject<'_>) -> Evidence {
    let value = match &look.value {
        Value::Text(text) => text.to_string(),
        Value::Null => "not there".into(),
        Value::Time(at) => at.format("%Y-%m-%d %H:%M UTC").to_string(),
        Value::Double(number) => format!("{}", (number * 100.0).round() / 100.0),
        other => other.to_string(),
    };
    Evidence { name: look.path.clone(), value, unit: look.unit.into(), source: look.source.into(), at: subject.now }
}

/// Without words of the rule's own.
fn plain_message(condition: &Condition, polarity: Polarity) -> String {
    let text = clean(condition.text());
    match polarity {
        Polarity::Violates => format!("Forbidden, and true of it: {text}"),
        Polarity::Requires => format!("Required, and not true of it: {text}"),
    }
}

fn reason(truth: crate::policy::expression::Truth) -> String {
    match truth {
        crate::policy::expression::Truth::Unknown(reason) => reason,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::*;
    use crate::domain::fact::Fact;
    use crate::domain::resource::Tags;

    fn judge(text: &str, polarity: Polarity, action: Action) -> Box<dyn Judge> {
        let condition = Condition::compile(text).unwrap();
        build(&condition, polarity, &Kind::ALL, None, action).unwrap().1
    }

    #[test]
    fn a_violation_says_what_was_read_and_where() {
        let bench = Bench::new();
        let rule = judge("volume.size_gib > 100 && resource.tags.owner == null", Polarity::Violates, Action::Notify);
        let Verdict::Violated(found) = rule.judge(&bench.subject(&volume("vol-1", 200, "gp3"), None, None)) else {
            panic!()
        };
        assert_eq!(found.message, "Forbidden, and true of it: volume.size_gib > 100 && resource.tags.owner == null");
        let shown: Vec<_> = found
            .evidence
            .iter()
            .map(|e| (e.name.as_str(), e.value.as_str(), e.unit.as_str(), e.source.as_str()))
            .collect();
        assert_eq!(
            shown,
            [("resource.tags.owner", "not there", "", "EC2 listing"), ("volume.size_gib", "200", "GiB", "EC2 listing"),]
        );
        assert_eq!((found.standing.clone(), found.savings.monthly), (Standing::Proven, None));
        assert_eq!(rule.judge(&bench.subject(&volume("vol-2", 100, "gp3"), None, None)), Verdict::Compliant);
        assert_eq!(rule.judge(&bench.subject(&instance("i-1", "m5.large", 3), None, None)), Verdict::NotApplicable);
    }

    #[test]
    fn p9_a_requirement_is_broken_by_false_and_by_nothing_else() {
        let bench = Bench::new();
        let rule = judge("volume.encrypted", Polarity::Requires, Action::Notify);
        let verdict = rule.judge(&bench.subject(&volume("vol-1", 8, "gp3"), None, None));
        let Verdict::Violated(found) = verdict else { panic!("{verdict:?}") };
        assert_eq!(found.message, "Required, and not true of it: volume.encrypted");
    }

    #[test]
    fn settled_10_what_is_not_known_is_no_finding_and_what_was_decided_without_it_is_only_reported() {
        let bench = Bench::new();
        let mut disk = volume("vol-1", 200, "gp3");
        disk.tags = Fact::unknown("the tags could not be read");
        let unknown = "resource.tags.env is not known: the tags could not be read";
        for (text, polarity) in
            [("resource.tags.env != 'prod'", Polarity::Violates), ("resource.tags.env == 'prod'", Polarity::Requires)]
        {
            let verdict = judge(text, polarity, Action::Notify).judge(&bench.subject(&disk, None, None));
            assert_eq!(verdict, Verdict::Unknown(unknown.into()), "{text}");
        }
        let either = judge("resource.tags.env == 'dev' || volume.size_gib > 100", Polarity::Violates, Action::Notify);
        let Verdict::Violated(found) = either.judge(&bench.subject(&disk, None, None)) else { panic!() };
        assert_eq!(found.standing, Standing::ReportedOnly(unknown.into()));
        disk.tags = Fact::Known(Tags::of(&[("env", "dev")]));
        let Verdict::Violated(found) = either.judge(&bench.subject(&disk, None, None)) else { panic!() };
        assert_eq!(found.standing, Standing::Proven);
    }

    #[test]
    fn no_condition_leads_to_an_act() {
        let bench = Bench::new();
        use Action::*;
        for action in [Stop, Terminate, Resize, Modify, Release, Tag] {
            let rule = judge("volume.size_gib > 1", Polarity::Violates, action);
            let Verdict::Violated(found) = rule.judge(&bench.subject(&volume("vol-1", 200, "gp3"), None, None)) else {
                panic!()
            };
            assert!(matches!(found.standing, Standing::ReportedOnly(_)), "{action}");
        }
    }

    #[test]
    fn metrics_are_asked_for_only_where_a_condition_reads_them() {
        let page = |text: &str| {
            let condition = Condition::compile(text).unwrap();
            let (info, judge) = build(&condition, Polarity::Violates, &[Kind::Instance], None, Action::Notify).unwrap();
            (info.needs_usage, judge.usage_days())
        };
        assert_eq!(page("usage.cpu_average_7d < 1 || usage.cpu_average_14d < 2"), (true, Some(14)));
        assert_eq!(page("instance.vcpus > 1"), (false, None));
    }
}
