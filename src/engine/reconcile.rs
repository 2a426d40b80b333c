//! Moves the findings of one partition by what a complete listing of it shows.
//!
//! Called by the scan once per trusted partition, never for a partial or suspect one (safety.md, I04). A finding
//! closes on positive evidence only: its resource was seen and is fine, or it is missing from two complete listings
//! at least five minutes apart. An Unknown verdict changes nothing but the note that it could not be judged.

use std::collections::HashMap;

use chrono::{NaiveDate, TimeDelta};

use super::exceptions::stale_grace;
use super::grace;
use super::ruleset::CompiledRule;
use crate::domain::Instant;
use crate::domain::check::{Standing, Verdict, Violation};
use crate::domain::exception::Exception;
use crate::domain::finding::{Finding, FindingEvent, FindingId, GraceClock, OpenRemediation, Phase, State};
use crate::domain::guard::keep_tag;
use crate::domain::resource::{Resource, Tags};
use crate::domain::text::Str;

/// Two complete listings without a resource must be at least this far apart to close its findings.
pub const GONE_AFTER: TimeDelta = TimeDelta::minutes(5);
/// A keep-until tag holds for at most this many days after we first saw its date.
pub const KEEP_UNTIL_DAYS: i64 = 90;
/// A violation seen this soon after our own act may be an old answer of the cloud, not a reversal.
const SETTLING: TimeDelta = TimeDelta::minutes(15);

/// What reconciling needs to know besides the resources.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The scan's instant.
    pub now: Instant,
    /// Granted exceptions, those that are over included.
    pub exceptions: &'a [Exception],
    /// Who is told about a resource.
    pub owner_of: &'a (dyn Fn(&Resource) -> Option<String> + Sync),
    /// Prefix of our own tags.
    pub tag_prefix: &'a str,
}

/// What changed.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// New and changed findings.
    pub changed: Vec<Finding>,
    /// What happened, in order.
    pub events: Vec<FindingEvent>,
}

/// What one verdict counts as in a score (C2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountsAs {
    /// Judged and fine.
    Compliant,
    /// An open finding.
    Violating,
    /// A violation that an exception or a keep-until tag covers.
    Excepted,
    /// Not yet proven; in no number but its own.
    Watching,
    /// Could not be judged; in no number but its own.
    Unknown,
    /// Not spoken of.
    NotApplicable,
}

/// Takes each resource of the listing with its findings on file and its verdicts, and in the end the findings on what
/// was not listed; then tells what changed.
pub struct Reconciler<'a> {
    look: Look<'a>,
    /// By resource id: there are as many questions as findings.
    exceptions: HashMap<&'a str, Vec<&'a Exception>>,
    findings: Vec<Finding>,
    marks: Vec<Mark>,
    by_resource: HashMap<Str, Vec<usize>>,
    events: Vec<FindingEvent>,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    resource_seen: bool,
    judged: bool,
    changed: bool,
}

impl<'a> Reconciler<'a> {
    /// Knows of no finding yet.
    pub fn new(look: Look<'a>) -> Reconciler<'a> {
        let mut exceptions: HashMap<&str, Vec<&Exception>> = HashMap::new();
        for exception in look.exceptions {
            exceptions.entry(&exception.resource).or_default().push(exception);
        }
        Reconciler {
            look,
            exceptions,
            findings: Vec::new(),
            marks: Vec::new(),
            by_resource: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// Takes findings on file: all of a resource, closed ones included, before the resource is [`Self::seen`]; and the
    /// open ones of resources that are not in the listing.
    pub fn on_file(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.by_resource.entry(finding.key.id.clone()).or_default().push(self.findings.len());
            self.findings.push(finding);
            self.marks.push(Mark::default());
        }
    }

    /// Notes that a resource is in the listing. Call it once for each, before its verdicts.
    pub fn seen(&mut self, resource: &Resource) {
        for index in self.by_resource.get(&resource.key.id).into_iter().flatten() {
            self.marks[*index].resource_seen = true;
            if self.findings[*index].missing_since.take().is_some() {
                self.marks[*index].changed = true;
            }
        }
    }

    /// Takes the verdict of one rule on one resource, and says what it counts as.
    pub fn observe(&mut self, resource: &Resource, rule: &CompiledRule, verdict: Verdict) -> CountsAs {
        let known = self.by_resource.get(&resource.key.id).into_iter().flatten().copied().find(|index| {
            let finding = &self.findings[*index];
            finding.policy == *rule.policy && finding.rule == *rule.rule
        });
        if let Some(index) = known {
            self.marks[index].judged = true;
        }
        match verdict {
            Verdict::Violated(violation) => {
                let index = match known {
                    None => self.detect(resource, rule, *violation),
                    Some(index) => {
                        self.confirm(index, resource, rule, *violation);
                        index
                    }
                };
                let finding = &self.findings[index];
                match (&finding.standing, finding.state) {
                    (Standing::Watching(_), _) => CountsAs::Watching,
                    (_, State::Excepted) => CountsAs::Excepted,
                    (_, State::Open) => CountsAs::Violating,
                    // Our act has just been seen by nobody but us yet; the next listing tells.
                    (_, State::Remediated | State::Resolved) => CountsAs::NotApplicable,
                }
            }
            Verdict::Compliant => {
                known.into_iter().for_each(|index| self.close(index, "seen and fine"));
                CountsAs::Compliant
            }
            Verdict::NotApplicable => {
                known.into_iter().for_each(|index| self.close(index, "the rule no longer applies to it"));
                CountsAs::NotApplicable
            }
            Verdict::Unknown(reason) => {
                known.into_iter().for_each(|index| self.doubt(index, reason.clone()));
                CountsAs::Unknown
            }
        }
    }

    /// Closes what is gone or no longer ruled, and tells everything that changed.
    pub fn finish(mut self) -> Reconciled {
        for index in 0..self.findings.len() {
            let mark = self.marks[index];
            if mark.resource_seen && !mark.judged {
                self.close(index, "its policy or rule is no longer in force here");
            } else if !mark.resource_seen {
                self.missing(index);
            }
        }
        let marks = self.marks;
        let changed = self
            .findings
            .into_iter()
            .zip(marks)
            .filter_map(|(finding, mark)| mark.changed.then_some(finding))
            .collect();
        Reconciled { changed, events: self.events }
    }

    fn detect(&mut self, resource: &Resource, rule: &CompiledRule, violation: Violation) -> usize {
        let now = self.look.now;
        let mut finding = Finding {
            id: FindingId::derive(&resource.key, &rule.policy, &rule.rule),
            key: resource.key.clone(),
            name: String::new(),
            tags: Tags::default(),
            policy: rule.policy.to_string(),
            policy_hash: String::new(),
            policy_version: None,
            rule: rule.rule.to_string(),
            check: rule.check.id.to_owned(),
            severity: rule.severity,
            action: rule.action,
            message: String::new(),
            evidence: Vec::new(),
            savings: violation.savings.clone(),
            standing: violation.standing.clone(),
            act_not_before: None,
            add_tags: Vec::new(),
            to_type: None,
            owner: None,
            detected_at: now,
            seen_at: now,
            state: State::Open,
            phase: Phase::Unnoticed,
            clock: GraceClock::default(),
            excepted_by: None,
            keep_until: None,
            keep_tag: None,
            grace_hours: None,
            approvals: 0,
            missing_since: None,
            closed_at: None,
            reason: "violates its rule".into(),
            unjudged: None,
            suppressed: false,
            remediation: None,
        };
        refresh(&self.look, &mut finding, resource, rule, violation);
        self.events.push(event(&finding, now, "detected", finding.message.clone()));
        let mine = self.exceptions.get(&*finding.key.id).map_or(&[][..], Vec::as_slice);
        apply_exemption(&self.look, mine, &mut self.events, &mut finding, resource);
        finding.phase = finding.phase_at(now);
        self.by_resource.entry(resource.key.id.clone()).or_default().push(self.findings.len());
        self.findings.push(finding);
        self.marks.push(Mark { resource_seen: true, judged: true, changed: true });
        self.findings.len() - 1
    }

    fn confirm(&mut self, index: usize, resource: &Resource, rule: &CompiledRule, violation: Violation) {
        let now = self.look.now;
        let finding = &mut self.findings[index];
        let settling = finding.closed_at.is_some_and(|closed| now - closed < SETTLING);
        if finding.state == State::Remediated && settling {
            return;
        }
        // A later look changes a finding at least in when it was seen; only the same instant's must be compared.
        let before = (finding.seen_at == now).then(|| finding.clone());
        let was_actable = finding.standing == Standing::Proven;
        refresh(&self.look, finding, resource, rule, violation);
        match finding.state {
            State::Resolved | State::Remediated => {
                let reversed = finding.state == State::Remediated;
                finding.state = State::Open;
                finding.closed_at = None;
                finding.suppressed |= reversed && !planted!("fight-people", "again-within-a-week");
                grace::restart(finding);
                let what = if reversed {
                    finding.reason = "somebody undid our act; nothing is done until a person approves".into();
                    "reversed"
                } else {
                    finding.reason = "violates its rule again".into();
                    "reopened"
                };
                self.events.push(event(finding, now, what, finding.message.clone()));
            }
            State::Open | State::Excepted => {
                let actable = finding.standing == Standing::Proven;
                if actable && !was_actable {
                    // Whatever kept it from being acted on is over: the owner gets the whole time from now on.
                    grace::restart(finding);
                    self.events.push(event(finding, now, "proven", finding.message.clone()));
                }
            }
        }
        let mine = self.exceptions.get(&*finding.key.id).map_or(&[][..], Vec::as_slice);
        apply_exemption(&self.look, mine, &mut self.events, finding, resource);
        grace::refresh_due(finding);
        finding.phase = finding.phase_at(now);
        self.marks[index].changed |= before.is_none_or(|before| before != *finding);
    }

    fn close(&mut self, index: usize, why: &str) {
        let now = self.look.now;
        let finding = &mut self.findings[index];
        let acting = finding.remediation == Some(OpenRemediation::Acting);
        if acting || !matches!(finding.state, State::Open | State::Excepted) {
            return;
        }
        finding.state = State::Resolved;
        finding.closed_at = Some(now);
        finding.excepted_by = None;
        finding.unjudged = None;
        finding.remediation = None;
        finding.reason = why.to_owned();
        self.marks[index].changed = true;
        self.events.push(event(finding, now, "resolved", why.to_owned()));
    }

    fn doubt(&mut self, index: usize, reason: String) {
        let finding = &mut self.findings[index];
        if matches!(finding.state, State::Open | State::Excepted) && finding.unjudged.as_ref() != Some(&reason) {
            finding.unjudged = Some(reason);
            self.marks[index].changed = true;
        }
    }

    fn missing(&mut self, index: usize) {
        let now = self.look.now;
        let finding = &mut self.findings[index];
        if !matches!(finding.state, State::Open | State::Excepted) {
            return;
        }
        match finding.missing_since {
            None if planted!("gone-at-first-sight") => self.close(index, "gone from two complete listings"),
            None => {
                finding.missing_since = Some(now);
                finding.unjudged = Some("not in the last complete listing; one more must miss it too".into());
                self.marks[index].changed = true;
            }
            Some(since) if now - since >= GONE_AFTER => self.close(index, "gone from two complete listings"),
            Some(_) => {}
        }
    }
}

/// Copies what the rule and the resource say now.
fn refresh(look: &Look<'_>, finding: &mut Finding, resource: &Resource, rule: &CompiledRule, violation: Violation) {
    // Most findings say the same each night; what is kept need not be made again.
    put(&mut finding.name, resource.name());
    match resource.tags.known() {
        Some(tags) if finding.tags == *tags => {}
        tags => finding.tags = tags.cloned().unwrap_or_default(),
    }
    put(&mut finding.policy_hash, &rule.policy_hash);
    match (&mut finding.policy_version, &rule.policy_version) {
        (Some(known), Some(version)) => put(known, version),
        (known, version) => *known = version.as_deref().map(str::to_owned),
    }
    put(&mut finding.check, rule.check.id);
    finding.severity = rule.severity;
    finding.action = rule.action;
    finding.grace_hours = rule.grace_hours;
    finding.approvals = rule.approval.as_ref().map_or(0, |asked| asked.people);
    finding.message = violation.message;
    finding.evidence = violation.evidence;
    finding.savings = violation.savings;
    finding.standing = violation.standing;
    finding.act_not_before = violation.act_not_before;
    finding.add_tags = violation.add_tags;
    finding.to_type = violation.to_type;
    finding.owner = (look.owner_of)(resource);
    finding.seen_at = look.now;
    finding.unjudged = None;
    finding.clock.needs_second = grace::needs_second(finding);
}

fn put(field: &mut String, value: &str) {
    field.clear();
    field.push_str(value);
}

/// Sets or ends the exempt state by exceptions and the keep-until tag. When one ends, a new full grace starts.
fn apply_exemption(
    look: &Look<'_>,
    exceptions: &[&Exception],
    events: &mut Vec<FindingEvent>,
    finding: &mut Finding,
    resource: &Resource,
) {
    let now = look.now;
    read_keep_tag(finding, resource, look.tag_prefix, now);
    let exemption = exception_for(finding, exceptions.iter().copied(), now)
        .map(|exception| {
            format!(
                "exception {}: {} (approved by {}, until {})",
                exception.id,
                exception.reason,
                exception.approved_by,
                exception.until.format("%Y-%m-%d %H:%M UTC")
            )
        })
        .or_else(|| kept(finding, now).map(|day| format!("tag {}keep-until: {day}", look.tag_prefix)));
    match (finding.state, exemption) {
        (State::Open, Some(reason)) => {
            finding.state = State::Excepted;
            events.push(event(finding, now, "excepted", reason.clone()));
            finding.reason = reason.clone();
            finding.excepted_by = Some(reason);
        }
        (State::Excepted, Some(reason)) => {
            finding.reason = reason.clone();
            finding.excepted_by = Some(reason);
        }
        (State::Excepted, None) => {
            let ended = finding.excepted_by.take().unwrap_or_default();
            finding.state = State::Open;
            finding.reason = format!("its exemption ended ({ended}); a new full grace period begins");
            if !planted!("old-grace-after-an-exception") {
                grace::restart(finding);
            }
            events.push(event(finding, now, "exception_ended", ended));
        }
        (State::Open, None) => {
            // Granted and over between two scans: what ran before it does not count.
            if let Some(end) = stale_grace(finding, exceptions.iter().copied(), now)
                && !planted!("old-grace-after-an-exception")
            {
                let ended = format!("an exception ended {}", end.format("%Y-%m-%d %H:%M UTC"));
                finding.reason = format!("{ended}; a new full grace period begins");
                grace::restart(finding);
                events.push(event(finding, now, "exception_ended", ended));
            }
        }
        _ => {}
    }
}

fn event(finding: &Finding, at: Instant, what: &str, detail: String) -> FindingEvent {
    FindingEvent { finding: finding.id.clone(), at, what: what.to_owned(), detail }
}

/// The exception that covers a finding at an instant.
pub fn exception_for<'a>(
    finding: &Finding,
    exceptions: impl IntoIterator<Item = &'a Exception>,
    now: Instant,
) -> Option<&'a Exception> {
    let (account, id) = (finding.key.account().as_str(), &*finding.key.id);
    exceptions.into_iter().find(|exception| exception.covers(account, id, &finding.policy, &finding.rule, now))
}

/// The day through which a keep-until tag holds, if it still does.
pub fn kept(finding: &Finding, now: Instant) -> Option<NaiveDate> {
    finding.keep_until.filter(|day| now.date_naive() <= *day)
}

fn read_keep_tag(finding: &mut Finding, resource: &Resource, prefix: &str, now: Instant) {
    // Owners are told `costwarden:keep-until`; it holds whatever prefix the settings give to the tags that we write.
    let Some(raw) = resource.tags.known().and_then(|tags| keep_tag(tags, prefix)) else {
        finding.keep_until = None;
        finding.keep_tag = None;
        return;
    };
    match raw.trim().parse::<NaiveDate>() {
        Ok(day) => {
            if finding.keep_tag.as_deref() != Some(raw) {
                finding.keep_until = Some(day.min(now.date_naive() + TimeDelta::days(KEEP_UNTIL_DAYS)));
                finding.keep_tag = Some(raw.to_owned());
            }
        }
        Err(_) => {
            // Somebody wants it kept and wrote it in a way we cannot read: never act, and say what would be read.
            finding.keep_until = None;
            finding.keep_tag = Some(raw.to_owned());
            finding.standing = Standing::ReportedOnly(format!(
                "tag {prefix}keep-until is {:?}; accepted: a date such as 2026-12-31",
                crate::domain::text::clean(raw)
            ));
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
