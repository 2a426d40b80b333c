//! What an owner is told about a finding, and when it counts.
//!
//! A notice counts as delivered when an SMTP server, or another channel, accepted the mail that carries it. One
//! mail carries all notices of one owner and run; each finding keeps its own row.

use serde::{Deserialize, Serialize};

use super::Instant;
use super::finding::FindingId;

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// First word: what will happen and when at the earliest. Starts the grace period when delivered.
    First,
    /// A medium finding was escalated after seven days. Starts the last 24 hours when delivered.
    Escalation,
    /// About 24 hours before the act, at most one a day.
    Reminder,
    /// What was done, and how to undo it (R15).
    Done,
    /// Something needs a person: stuck or failed.
    Stuck,
}

/// A notice that is to be sent, as `engine::notices` decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Which finding.
    pub finding: FindingId,
    /// What it says.
    pub kind: NoticeKind,
    /// The owner's address, or the default owner's.
    pub to: String,
    /// The earliest instant of the act if the notice were delivered now; `None` when nothing will be done by us.
    pub act_not_before: Option<Instant>,
}

/// How an owner or anyone else stops an act: what to do, and what it brings. Every notice, report and plan shows
/// these four, so they stand in one place.
pub const WAYS_TO_STOP: [(&str, &str); 4] = [
    (
        "Tag it costwarden:keep-until=YYYY-MM-DD",
        "nothing happens through that day, 90 days ahead at most; then a full new grace period starts",
    ),
    ("Tag it costwarden:protect=true", "it is never touched while the tag is there"),
    ("Ask for an exception", "with a reason and an end; your FinOps team enters it"),
    ("Fix it", "use it, resize it, tag it or delete it yourself; the next complete scan closes the finding"),
];

impl NoticeKind {
    /// The word in SQL and JSON.
    pub fn word(self) -> &'static str {
        match self {
            NoticeKind::First => "first",
            NoticeKind::Escalation => "escalation",
            NoticeKind::Reminder => "reminder",
            NoticeKind::Done => "done",
            NoticeKind::Stuck => "stuck",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<NoticeKind> {
        [NoticeKind::First, NoticeKind::Escalation, NoticeKind::Reminder, NoticeKind::Done, NoticeKind::Stuck]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}
