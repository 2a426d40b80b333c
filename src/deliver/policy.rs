//! What happens to a policy, told to reviewers, authors and everybody under it.

use anyhow::Result;
use chrono_tz::Tz;

use super::page::{Group, Item, Letter};
use super::{Attachment, Message, MessageKind};
use crate::domain::Instant;
use crate::domain::lifecycle::PolicyRecord;
use crate::domain::text::{clean, shown_at};

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct PolicyNews<'a> {
    /// One word: submitted, approved, changes_requested, updated, activated, deprecated, …
    pub what: &'a str,
    /// In a sentence.
    pub detail: &'a str,
    /// Who did it.
    pub by: &'a str,
    /// When.
    pub at: Instant,
    /// The policy's description.
    pub description: Option<&'a str>,
}

/// The message for one recipient.
///
/// # Errors
/// When the letter cannot be laid out.
pub fn letter(to: &str, record: &PolicyRecord, news: &PolicyNews<'_>, zone: Tz) -> Result<Message> {
    let name = clean(&record.name);
    let (title, next) = match news.what {
        "created" => (format!("Policy {name} was created"), format!("costwarden policy submit {}", record.id)),
        "submitted" => (format!("Policy {name} asks for your review"), format!("costwarden policy show {}", record.id)),
        "approved" => (format!("Policy {name} was approved"), format!("costwarden policy activate {}", record.id)),
        "changes_requested" => {
            (format!("Changes are asked for in policy {name}"), format!("costwarden policy update {} FILE", record.id))
        }
        "activated" => (format!("Policy {name} is activated"), format!("costwarden policy show {}", record.id)),
        "deprecated" => (format!("Policy {name} ends"), format!("costwarden policy show {}", record.id)),
        _ => (format!("Policy {name} was changed"), format!("costwarden policy history {}", record.id)),
    };
    let mut details = vec![
        format!("Version {}, by {}, {}", record.version, clean(news.by), shown_at(news.at, zone)),
        format!("Look, or go on: {next}"),
    ];
    details.extend(news.description.map(|text| format!("What it is for: {}", clean(text))));
    let letter = Letter {
        subject: format!("[cost] {title}"),
        title: title.clone(),
        groups: vec![Group {
            heading: "What happened".to_owned(),
            accent: "#0072b2",
            items: vec![Item {
                resource: clean(&record.id),
                place: String::new(),
                sentence: clean(news.detail),
                details,
            }],
        }],
        closing: "You get this message because you wrote, review or are under this policy.".to_owned(),
        accent: "#0072b2",
        ..Letter::default()
    };
    Ok(Message {
        dedup: format!("policy:{}:{}:{}:{}:{to}", record.id, record.version, news.what, news.at.timestamp_micros()),
        kind: MessageKind::Policy,
        to: to.to_owned(),
        text: letter.text(),
        html: Some(letter.html()?),
        subject: letter.subject,
        attachments: Vec::new(),
    })
}

/// The mail around a periodic review; `pdf` is its file name and bytes.
///
/// # Errors
/// When the letter cannot be laid out.
pub fn review(to: &str, title: &str, period: &str, text: &str, pdf: Option<(&str, &[u8])>) -> Result<Message> {
    let letter = Letter {
        subject: format!("[cost] {}", clean(title)),
        title: clean(title),
        opening: vec!["The whole of it is attached.".to_owned()],
        closing: "You get this message because the review was addressed to you.".to_owned(),
        accent: "#0072b2",
        ..Letter::default()
    };
    let attachments = pdf.map(|(name, bytes)| Attachment {
        name: name.to_owned(),
        media_type: "application/pdf".to_owned(),
        bytes: bytes.to_vec(),
    });
    Ok(Message {
        dedup: format!("policy-review:{period}:{to}"),
        kind: MessageKind::Policy,
        to: to.to_owned(),
        subject: letter.subject.clone(),
        text: text.to_owned(),
        html: Some(letter.html()?),
        attachments: attachments.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h38_a_reason_of_a_stranger_stays_one_line_and_each_event_is_its_own_message() {
        let record: PolicyRecord = serde_json::from_value(serde_json::json!({
            "id": "policy-disks-20261102", "name": "disks", "stage": "draft", "created_by": "ann@example.com",
            "created_at": "2026-11-02T12:00:00Z", "updated_at": "2026-11-02T12:00:00Z", "seq": 1, "version": "0.1.0",
            "hash": "h", "authors": [], "reviewers": [], "approved_at": null, "current": null, "next": null,
            "brake": null, "deprecation": null
        }))
        .unwrap();
        let news = |what, at: &str| PolicyNews {
            what,
            detail: "too short\r\nBcc: x@y.z",
            by: "bob",
            at: at.parse().unwrap(),
            description: Some("Disks"),
        };
        let one =
            letter("ann@example.com", &record, &news("changes_requested", "2026-11-02T12:00:00Z"), Tz::UTC).unwrap();
        assert_eq!(one.subject, "[cost] Changes are asked for in policy disks");
        assert!(!one.text.contains('\r') && !one.text.contains("\nBcc"), "{}", one.text);
        for words in ["too short", "Version 0.1.0, by bob", "costwarden policy update policy-disks-20261102 FILE"] {
            assert!(one.text.contains(words), "{words}: {}", one.text);
        }
        let later =
            letter("ann@example.com", &record, &news("changes_requested", "2026-11-02T12:00:01Z"), Tz::UTC).unwrap();
        assert_ne!(one.dedup, later.dedup);
    }
}
