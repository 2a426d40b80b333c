//! What an owner reads: one mail a run that says what happens to what, when, and how to stop it.
//!
//! Called by the worker with what `engine::notices` decided, and by `remediate` when an act is done or stuck. The
//! delivery of this mail starts or ends grace periods, so it must be complete: every finding that its notices name is
//! in it, however many there are.

use anyhow::Result;
use chrono::TimeDelta;
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::page::{Group, Item, Letter};
use super::{Message, MessageKind};
use crate::domain::Instant;
use crate::domain::finding::{Act, Finding};
use crate::domain::notice::NoticeKind;
use crate::domain::remediation::Status;
use crate::domain::text::{clean, shown_at};

/// One finding in the mail.
#[derive(Clone, Debug)]
pub struct NoticeItem<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// What is said about it.
    pub kind: NoticeKind,
    /// What would be done, or was done; `None` when only the owner can act.
    pub act: Option<Act>,
    /// The earliest instant of the act.
    pub act_not_before: Option<Instant>,
    /// What is saved before the act, or was saved: "a snapshot of every attached volume".
    pub backup: Option<String>,
    /// How an act ended; for the kinds done and stuck.
    pub ending: Option<Ending>,
}

/// How an act ended (R15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The remediation's id, `r-12`.
    pub remediation: String,
    /// S1's status.
    pub status: Status,
    /// What was seen, in words.
    pub result: String,
}

/// What is the same for all mails of a run.
#[derive(Clone, Copy, Debug)]
pub struct DigestContext<'a> {
    /// When the mail is decided.
    pub now: Instant,
    /// The zone in which times are shown.
    pub zone: Tz,
    /// The run, for example the scan's id: the same items in the same run are the same mail.
    pub run: &'a str,
}

/// The mail to `to` about `items`, most urgent first. Fails only if the built-in template is broken.
pub fn digest(to: &str, items: &[NoticeItem<'_>], context: DigestContext<'_>) -> Result<Message> {
    let letter = letter(items, context);
    Ok(Message {
        dedup: dedup(to, items, context.run),
        kind: MessageKind::Notice,
        to: to.to_owned(),
        text: letter.text(),
        html: Some(letter.html()?),
        subject: letter.subject,
        attachments: Vec::new(),
    })
}

/// R14 and R15: how serious a message of a kind is.
pub fn level(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::First | NoticeKind::Escalation | NoticeKind::Reminder => "warning",
        NoticeKind::Stuck => "critical",
        NoticeKind::Done => "info",
    }
}

/// R15's marks: check, cross, skip.
pub fn mark(status: Status) -> &'static str {
    match status {
        Status::Completed => "✓",
        Status::Failed => "✗",
        Status::Skipped => "↷",
        Status::Pending | Status::InProgress => "…",
    }
}

/// R14: the hours left, rounded to whole ones.
pub fn hours_left(now: Instant, at: Instant) -> i64 {
    let minutes = (at - now).max(TimeDelta::zero()).num_seconds() as f64 / 3600.0;
    minutes.round() as i64
}

const ORDER: [NoticeKind; 5] =
    [NoticeKind::Reminder, NoticeKind::Escalation, NoticeKind::First, NoticeKind::Stuck, NoticeKind::Done];

fn letter(items: &[NoticeItem<'_>], context: DigestContext<'_>) -> Letter {
    let mut groups = Vec::new();
    for kind in ORDER {
        let mut these: Vec<&NoticeItem<'_>> = items.iter().filter(|item| item.kind == kind).collect();
        these.sort_by_key(|item| (item.act_not_before.is_none(), item.act_not_before, item.finding.id.clone()));
        if !these.is_empty() {
            let items = these.into_iter().map(|item| row(item, context)).collect();
            groups.push(Group { heading: heading(kind).to_owned(), accent: accent(kind), items });
        }
    }
    let subject = subject(items, context);
    Letter {
        title: subject.trim_start_matches("[cost] ").to_owned(),
        subject,
        opening: opening(items),
        ways_to_stop: items.iter().any(|item| is_warning(item.kind)),
        closing:
            "You get this mail because a tag of these resources names you as owner or creator, or because they name \
                  nobody and you are their account's contact or the default owner."
                .to_owned(),
        accent: groups.first().map_or("#0072b2", |group| group.accent),
        groups,
    }
}

fn subject(items: &[NoticeItem<'_>], context: DigestContext<'_>) -> String {
    let warnings: Vec<&NoticeItem<'_>> = items.iter().filter(|item| is_warning(item.kind)).collect();
    let stuck = items.iter().filter(|item| item.kind == NoticeKind::Stuck).count();
    let done = items.iter().filter(|item| item.kind == NoticeKind::Done).count();
    let mut parts = Vec::new();
    if stuck > 0 {
        parts
            .push(format!("{} a person", if stuck == 1 { "1 act needs".into() } else { format!("{stuck} acts need") }));
    }
    let first = warnings.iter().filter(|item| announces(item)).filter_map(|item| item.act_not_before).min();
    if let Some(first) = first {
        let urgent = if warnings.iter().any(|item| item.kind != NoticeKind::First) { "last notice, " } else { "" };
        let day = first.with_timezone(&context.zone).format("%a %-d %b %Y");
        let acts = warnings.iter().filter(|item| announces(item)).count();
        let noun = if acts == 1 {
            "1 of your resources is due".to_owned()
        } else {
            format!("{acts} of your resources are due")
        };
        parts.push(format!("{urgent}{noun} from {day}"));
    }
    let to_fix = warnings.iter().filter(|item| !announces(item)).count();
    if to_fix > 0 {
        parts.push(format!(
            "{} to fix",
            if to_fix == 1 { "1 finding".to_owned() } else { format!("{to_fix} findings") }
        ));
    }
    if done > 0 {
        parts.push(if done == 1 { "1 act done".to_owned() } else { format!("{done} acts done") });
    }
    let words = parts.join("; ");
    let mut letters = words.chars();
    let capital: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("[cost] {capital}{}", letters.as_str())
}

fn opening(items: &[NoticeItem<'_>]) -> Vec<String> {
    let mut opening = Vec::new();
    if items.iter().any(|item| is_warning(item.kind)) {
        opening.push(
            "costwarden found resources of yours that look like waste or break a policy. Below is what will happen, \
             when at the earliest, and how to stop it. Everything is looked at again right before an act; what has \
             changed is left alone."
                .to_owned(),
        );
    }
    if items.iter().any(|item| matches!(item.kind, NoticeKind::Done | NoticeKind::Stuck)) {
        opening.push("costwarden acted on resources of yours, as announced.".to_owned());
    }
    opening
}

fn row(item: &NoticeItem<'_>, context: DigestContext<'_>) -> Item {
    let finding = item.finding;
    let mut details = vec![format!("Why: {}", clean(&finding.message))];
    if !finding.evidence.is_empty() {
        let figures: Vec<String> = finding
            .evidence
            .iter()
            .map(|figure| {
                format!("{} {} {}", clean(&figure.name), clean(&figure.value), clean(&figure.unit)).trim().to_owned()
            })
            .collect();
        details.push(format!("Figures: {}", figures.join("; ")));
    }
    details.push(format!(
        "Policy {}, rule {}; severity {}; first seen {}",
        clean(&finding.policy),
        clean(&finding.rule),
        finding.severity,
        shown_at(finding.detected_at, context.zone)
    ));
    if finding.savings.monthly.is_none_or(|monthly| monthly.0 != 0) {
        details.push(match finding.savings.monthly {
            Some(monthly) => format!("Saves about {monthly} a month ({})", clean(&finding.savings.basis)),
            None => format!("What it saves is not known ({})", clean(&finding.savings.basis)),
        });
    }
    if let Some(backup) = &item.backup {
        let when = if item.ending.is_some() { "Backup" } else { "Backup first" };
        details.push(format!("{when}: {}", clean(backup)));
    }
    if let Some(ending) = &item.ending
        && item.kind == NoticeKind::Done
        && ending.status == Status::Completed
        && let Some(how) = item.act.and_then(way_back)
    {
        details.push(format!("To bring it back: {how}"));
    }
    if item.ending.is_none() {
        let to = finding.owner.as_deref().filter(|to| super::address::parse(to).is_ok()).unwrap_or("YOUR-ADDRESS");
        details.push(format!(
            "To ask for an exception: costwarden exception request {} --days 30 --reason \"WHY\" --by {to}",
            finding.id
        ));
    }
    details.push(format!("Finding {}", finding.id));
    Item { resource: resource(finding), place: place(finding), sentence: sentence(item, context), details }
}

/// How an owner undoes an act by hand; `None` where there is nothing to bring back.
fn way_back(act: Act) -> Option<&'static str> {
    match act {
        Act::StopInstance => Some("start the instance again; nothing of it was deleted"),
        Act::DeleteVolume => Some("make a new volume from the snapshot named here"),
        Act::TerminateInstance => Some("costwarden actions undo launches a new one from the snapshots named here"),
        Act::ResizeInstance => Some("costwarden actions undo gives it its old type; it is stopped for that"),
        Act::ModifyVolume => Some("change it back to gp2, six hours later at the earliest"),
        Act::ReleaseAddress => Some("ask for the same address soon: it is given back only while nobody else has it"),
        Act::DeleteSnapshot => Some("restore it from the Recycle Bin while its time there lasts"),
        _ => None,
    }
}

/// R14's warning, R15's note.
fn sentence(item: &NoticeItem<'_>, context: DigestContext<'_>) -> String {
    let act = item.act.filter(|act| act.changes_cloud());
    let to_type = item.finding.to_type.as_deref();
    let act_words = act.map_or_else(|| "nothing".to_owned(), |act| act.words_to(to_type));
    match (item.kind, &item.ending) {
        (NoticeKind::Done | NoticeKind::Stuck, Some(ending)) => format!(
            "{} {}: {act_words}. {}",
            mark(ending.status),
            ending.status.word().replace('_', " "),
            clean(&ending.result)
        ),
        (NoticeKind::Done | NoticeKind::Stuck, None) => format!("An act ended: {act_words}."),
        (_, _) => match (act, item.act_not_before) {
            (Some(act), Some(at)) => format!(
                "costwarden will {}, not before {} ({}).",
                act.words_to(to_type),
                shown_at(at, context.zone),
                match hours_left(context.now, at) {
                    0 => "within the hour".to_owned(),
                    1 => "about 1 hour left".to_owned(),
                    hours => format!("about {hours} hours left"),
                }
            ),
            _ => "costwarden will do nothing by itself; please fix it or ask for an exception.".to_owned(),
        },
    }
}

/// Whether the item tells of an act to come.
fn announces(item: &NoticeItem<'_>) -> bool {
    item.act.is_some_and(Act::changes_cloud) && item.act_not_before.is_some()
}

fn is_warning(kind: NoticeKind) -> bool {
    level(kind) == "warning"
}

fn resource(finding: &Finding) -> String {
    let id = &*finding.key.id;
    if finding.name.trim().is_empty() || finding.name == id {
        clean(id)
    } else {
        format!("{} ({})", clean(&finding.name), clean(id))
    }
}

fn place(finding: &Finding) -> String {
    format!("{} in account {}, {}", finding.key.kind().noun(), finding.key.account(), finding.key.region())
}

fn heading(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Reminder => "Warning: happens soon",
        NoticeKind::Escalation => "Warning: last notice",
        NoticeKind::First => "Warning: new",
        NoticeKind::Stuck => "Needs a person",
        NoticeKind::Done => "Done",
    }
}

fn accent(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Reminder | NoticeKind::Stuck => "#d55e00",
        NoticeKind::Escalation => "#e69f00",
        NoticeKind::First => "#0072b2",
        NoticeKind::Done => "#009e73",
    }
}

fn dedup(to: &str, items: &[NoticeItem<'_>], run: &str) -> String {
    let mut parts: Vec<String> = items
        .iter()
        .map(|item| {
            let ending = item.ending.as_ref().map_or("", |ending| ending.remediation.as_str());
            format!("{} {} {ending}", item.finding.id, item.kind.word())
        })
        .collect();
    parts.sort();
    let hash: String =
        Sha256::digest(parts.join("\n").as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("notice:{to}:{run}:{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::{Confidence, Evidence, Savings};
    use crate::domain::finding::{Action, Severity};
    use crate::domain::money::Usd;
    use crate::engine::reconcile::testing::finding;
    use crate::report::sample::HOSTILE_NAMES;

    fn now() -> Instant {
        "2026-11-22T02:00:00Z".parse().unwrap()
    }

    fn context() -> DigestContext<'static> {
        DigestContext { now: now(), zone: Tz::Europe__Berlin, run: "scan-7" }
    }

    fn idle(id: &str, name: &str) -> Finding {
        let mut finding = finding(id, Severity::Medium, Action::Stop);
        finding.name = name.into();
        finding.policy = "idle-resource-detection".into();
        finding.rule = "low-utilization".into();
        finding.message = "CPU 1.2 % and 312 KB a day over 7 days".into();
        finding.evidence = vec![Evidence {
            name: "cpu average".into(),
            value: "1.2".into(),
            unit: "percent".into(),
            source: "CloudWatch".into(),
            at: now(),
        }];
        finding.savings =
            Savings { monthly: Usd::parse("248.2"), basis: "on-demand list".into(), confidence: Confidence::High };
        finding
    }

    fn warning<'a>(finding: &'a Finding, kind: NoticeKind, at: &str) -> NoticeItem<'a> {
        NoticeItem {
            finding,
            kind,
            act: finding.act(),
            act_not_before: Some(at.parse().unwrap()),
            backup: Some("a snapshot of every attached volume, checked before anything is stopped".into()),
            ending: None,
        }
    }

    #[test]
    fn r14_a_warning_names_resource_act_and_hours_left_and_how_to_stop_it() {
        let (first, soon) = (idle("i-0aaa", "search-canary"), idle("i-0bbb", "reporting-worker-old"));
        let mut tags = finding("i-0ccc", Severity::Medium, Action::Tag);
        tags.message = "tag owner is missing".into();
        let items = [
            warning(&first, NoticeKind::First, "2026-11-30T02:00:00Z"),
            warning(&soon, NoticeKind::Reminder, "2026-11-23T03:31:00Z"),
            NoticeItem {
                finding: &tags,
                kind: NoticeKind::First,
                act: tags.act(),
                act_not_before: None,
                backup: None,
                ending: None,
            },
        ];
        let message = digest("ann@example.com", &items, context()).unwrap();
        insta::assert_snapshot!(format!("Subject: {}\n\n{}", message.subject, message.text));
    }

    #[test]
    fn r15_a_completion_note_names_status_act_resource_and_result_with_a_mark() {
        let (stopped, skipped, stuck) = (idle("i-0aaa", "a"), idle("i-0bbb", "b"), idle("i-0ccc", "c"));
        let ended = |finding, kind, status, result: &str| NoticeItem {
            finding,
            kind,
            act: Some(Act::StopInstance),
            act_not_before: None,
            backup: Some("snap-0a1b2c".into()),
            ending: Some(Ending { remediation: "r-12".into(), status, result: result.into() }),
        };
        let items = [
            ended(&stopped, NoticeKind::Done, Status::Completed, "Seen stopped."),
            ended(&skipped, NoticeKind::Done, Status::Skipped, "It no longer violates."),
            ended(&stuck, NoticeKind::Stuck, Status::Failed, "The answer was lost."),
        ];
        let message = digest("ann@example.com", &items, context()).unwrap();
        assert_eq!(message.subject, "[cost] 1 act needs a person; 2 acts done");
        for sentence in [
            "✓ completed: stop the instance. Seen stopped.",
            "↷ skipped: stop the instance. It no longer violates.",
            "✗ failed: stop the instance. The answer was lost.",
            "To bring it back: start the instance again",
        ] {
            assert!(message.text.contains(sentence), "{sentence}\n{}", message.text);
        }
        assert_eq!(message.text.matches("To bring it back").count(), 1, "only what was done can be undone");
        assert!(!message.text.contains("How to stop it"));
        assert_eq!((level(NoticeKind::Reminder), level(NoticeKind::Done)), ("warning", "info"));
    }

    #[test]
    fn r14_hours_are_rounded_to_whole_ones_and_never_negative() {
        let left = |minutes| hours_left(now(), now() + TimeDelta::minutes(minutes));
        assert_eq!([left(89), left(90), left(24 * 60), left(29), left(-600)], [1, 2, 24, 0, 0]);
    }

    #[test]
    fn h38_hostile_names_are_shown_in_the_body_and_nowhere_else() {
        let findings: Vec<Finding> =
            HOSTILE_NAMES.iter().enumerate().map(|(n, name)| idle(&format!("i-0{n}"), name)).collect();
        let items: Vec<NoticeItem<'_>> =
            findings.iter().map(|finding| warning(finding, NoticeKind::First, "2026-11-30T02:00:00Z")).collect();
        let message = digest("ann@example.com", &items, context()).unwrap();
        let html = message.html.unwrap();
        assert_eq!(message.subject, "[cost] 8 of your resources are due from Mon 30 Nov 2026");
        assert!(!html.contains("<script") && !html.contains("<img") && html.contains("&lt;script&gt;"));
        assert!(!message.text.lines().any(|line| line.starts_with("Bcc:")));
        assert!(!message.text.contains(['\u{202E}', '\u{1b}', '\r']));
    }

    #[test]
    fn every_finding_is_in_the_mail_however_many_there_are() {
        let findings: Vec<Finding> = (0..500).map(|n| idle(&format!("i-0{n:05}"), "")).collect();
        let items: Vec<NoticeItem<'_>> =
            findings.iter().map(|finding| warning(finding, NoticeKind::First, "2026-11-30T02:00:00Z")).collect();
        let message = digest("ann@example.com", &items, context()).unwrap();
        let html = message.html.unwrap();
        assert!(findings.iter().all(|finding| message.text.contains(&finding.id.0) && html.contains(&finding.id.0)));
    }

    #[test]
    fn h45_the_same_items_in_the_same_run_are_the_same_mail() {
        let (one, two) = (idle("i-0aaa", "a"), idle("i-0bbb", "b"));
        let item = |finding| warning(finding, NoticeKind::First, "2026-11-30T02:00:00Z");
        let of = |items: &[NoticeItem<'_>], run| {
            digest("ann@example.com", items, DigestContext { run, ..context() }).unwrap().dedup
        };
        let mail = of(&[item(&one), item(&two)], "scan-7");
        assert_eq!(mail, of(&[item(&two), item(&one)], "scan-7"));
        assert_ne!(mail, of(&[item(&one)], "scan-7"));
        assert_ne!(mail, of(&[item(&one), item(&two)], "scan-8"));
    }
}
