//! What operators must know at once: a freeze, an act that is stuck, a job that failed.

use anyhow::Result;
use chrono_tz::Tz;

use super::page::{Group, Item, Letter};
use super::{Message, MessageKind};
use crate::domain::Instant;
use crate::domain::drill::{Drill, DrillState};
use crate::domain::mode::Freeze;
use crate::domain::remediation::Remediation;
use crate::domain::text::{clean, shown_at};

/// Everything is frozen.
pub fn frozen(to: &str, freeze: &Freeze, zone: Tz) -> Result<Message> {
    let item = Item {
        resource: "Nothing is changed until a person lifts the freeze".to_owned(),
        place: String::new(),
        sentence: format!("Reason: {}", clean(&freeze.reason)),
        details: vec![
            format!("Since {}, by {}", shown_at(freeze.at, zone), clean(&freeze.by)),
            "To lift it: costwarden unfreeze".to_owned(),
        ],
    };
    let dedup = format!("alert:freeze:{}:{to}", freeze.at.timestamp_micros());
    message(to, dedup, "costwarden is frozen", item)
}

/// A remediation is stuck.
pub fn stuck(to: &str, remediation: &Remediation, zone: Tz) -> Result<Message> {
    let step = &remediation.step;
    let snapshots: Vec<String> =
        remediation.snapshots.iter().filter_map(|backup| backup.snapshot.as_deref().map(clean)).collect();
    let item = Item {
        resource: format!("{} ({})", clean(&step.name), clean(&step.key.id)),
        place: format!("account {}, {}", step.key.account(), step.key.region()),
        sentence: format!("{}: {}", step.words(), clean(&remediation.message)),
        details: vec![
            format!("Claimed {}, last seen {}", shown_at(remediation.claimed_at, zone), remediation.state.word()),
            if snapshots.is_empty() {
                "No snapshots were made".to_owned()
            } else {
                format!("Snapshots: {}", snapshots.join(", "))
            },
            format!("Look: costwarden actions show r-{}", remediation.id),
        ],
    };
    message(to, format!("alert:stuck:r-{}:{to}", remediation.id), "An act is stuck and needs a person", item)
}

/// A restore drill failed, or left something that a person has to look at.
pub fn drill(to: &str, drill: &Drill, zone: Tz) -> Result<Message> {
    let volume = match &drill.made {
        Some(made) if drill.state == DrillState::Unclear => {
            format!("Volume {} may be left; look at it and delete it by hand", clean(&made.id))
        }
        Some(made) => format!("Volume {} was made of it", clean(&made.id)),
        None => "No volume was made of it".to_owned(),
    };
    let item = Item {
        resource: format!("Safety snapshot {}", clean(&drill.snapshot.id)),
        place: format!("account {}, {}", drill.snapshot.account(), drill.snapshot.region()),
        sentence: clean(&drill.message),
        details: vec![
            format!("Restore drill d-{}, begun {}", drill.id, shown_at(drill.begun_at, zone)),
            volume,
            "What this snapshot backs up may not come back by an undo; look: costwarden doctor".to_owned(),
        ],
    };
    message(to, format!("alert:drill:d-{}:{to}", drill.id), "A restore drill failed", item)
}

/// A job of the worker failed.
pub fn job_failed(to: &str, job: &str, slot: Instant, error: &str, zone: Tz) -> Result<Message> {
    let item = Item {
        resource: format!("{} of {}", clean(job), shown_at(slot, zone)),
        place: String::new(),
        sentence: clean(error),
        details: vec!["Look: costwarden doctor, and the daemon's log".to_owned()],
    };
    message(
        to,
        format!("alert:job:{job}:{}:{to}", slot.timestamp_micros()),
        &format!("The job {} failed", clean(job)),
        item,
    )
}

fn message(to: &str, dedup: String, title: &str, item: Item) -> Result<Message> {
    let letter = Letter {
        subject: format!("[cost] {title}"),
        title: title.to_owned(),
        groups: vec![Group { heading: "What happened".to_owned(), accent: "#d55e00", items: vec![item] }],
        closing: "You get this message because the settings name you for alerts.".to_owned(),
        accent: "#d55e00",
        ..Letter::default()
    };
    Ok(Message {
        dedup,
        kind: MessageKind::Alert,
        to: to.to_owned(),
        text: letter.text(),
        html: Some(letter.html()?),
        subject: letter.subject,
        attachments: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_says_since_when_by_whom_why_and_how_to_lift_it() {
        let freeze = Freeze {
            at: "2026-11-23T09:00:00Z".parse().unwrap(),
            by: "gate".into(),
            reason: "4 deletes where the pace allows 3\r\nBcc: x@y.z".into(),
        };
        let message = frozen("ops@example.com", &freeze, Tz::UTC).unwrap();
        assert_eq!(message.subject, "[cost] costwarden is frozen");
        for words in ["4 deletes where the pace allows 3", "Mon 23 Nov 2026, 09:00 UTC, by gate", "costwarden unfreeze"]
        {
            assert!(message.text.contains(words), "{words}: {}", message.text);
        }
        assert!(!message.text.contains('\r') && !message.text.contains("\nBcc"));
    }

    #[test]
    fn each_failed_slot_is_its_own_alert() {
        let of = |slot: &str| {
            job_failed("ops@example.com", "scan", slot.parse().unwrap(), "timeout", Tz::UTC).unwrap().dedup
        };
        assert_ne!(of("2026-11-22T02:00:00Z"), of("2026-11-23T02:00:00Z"));
    }
}
