//! Judges one resource against every rule that covers it.
//!
//! Adds what no single check may decide: our own safety snapshots are exempt from everything, and a violation whose
//! act the guards would refuse anyway (protected, managed, would lose data) is reported only, so that no owner is
//! threatened with something that will not happen.

use super::ruleset::{CompiledRule, Ruleset};
use crate::domain::check::{Standing, Subject, Verdict};
use crate::domain::finding::Act;
use crate::domain::plan::OWN_TAGS;
use crate::domain::resource::Resource;

/// The tag that marks our own safety snapshots, without its prefix.
pub const SAFETY_SNAPSHOT_TAG: &str = "safety-snapshot";

/// What evaluation needs besides the subject.
#[derive(Clone, Copy)]
pub struct EvaluateRules<'a> {
    /// Prefix of our own tags, `costwarden:` unless set otherwise.
    pub tag_prefix: &'a str,
    /// Why an act on a resource would be refused whatever the clocks say, as far as a listing can tell.
    pub refused: &'a (dyn Fn(Act, &Resource) -> Option<String> + Sync),
}

/// The verdict of one rule.
pub struct Judged<'a> {
    /// The rule.
    pub rule: &'a CompiledRule,
    /// What it says.
    pub verdict: Verdict,
}

/// All verdicts on one resource, in the order of the rules.
pub fn evaluate<'r, 's>(
    ruleset: &'r Ruleset,
    subject: &'s Subject<'s>,
    rules: EvaluateRules<'s>,
) -> impl Iterator<Item = Judged<'r>> + use<'r, 's> {
    let exempt = is_safety_snapshot(subject.resource, rules.tag_prefix);
    ruleset.covering(subject.resource).filter(move |_| !exempt).map(move |rule| {
        let verdict = match rule.judge().judge(subject) {
            Verdict::Violated(mut violation) => {
                if violation.standing == Standing::Proven
                    && let Some(act) = Act::of(rule.action, subject.resource.kind())
                    && act.changes_cloud()
                    && !(act == Act::AddTags && violation.add_tags.is_empty())
                    && let Some(reason) = (rules.refused)(act, subject.resource)
                {
                    violation.standing = Standing::ReportedOnly(reason);
                }
                Verdict::Violated(violation)
            }
            other => other,
        };
        Judged { rule, verdict }
    })
}

/// Whether a snapshot is one of our own backups. Backups carry `costwarden:` whatever prefix the settings give to
/// other tags, so both are read.
pub fn is_safety_snapshot(resource: &Resource, tag_prefix: &str) -> bool {
    resource.snapshot().is_some()
        && [OWN_TAGS, tag_prefix]
            .iter()
            .any(|prefix| !prefix.is_empty() && resource.tag(&format!("{prefix}{SAFETY_SNAPSHOT_TAG}")).is_some())
}
