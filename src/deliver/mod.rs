//! Delivery: what leaves the program, through one outbox.
//!
//! A message is written into the store's outbox in the transaction that decides to send it, so nothing is lost; it is
//! marked delivered when the channel accepted it, so nothing is sent twice without a crash in between. `mail` is the
//! only user of lettre; `slack`, `teams` and `webhook` post through `hook`; a folder and a memory backend carry the same bytes. `outbox` is the loop that tries,
//! waits longer each time, and puts what cannot be delivered aside where reports show it. What the messages say:
//! `notice` (owners), `budget`, `alert` (operators), `report` (the mail around a report),
//! `policy` (authors and reviewers).

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod address;
pub mod alert;
pub mod budget;
mod conceal;
pub mod exception;
pub mod frame;
pub mod hook;
pub mod mail;
pub mod notice;
pub mod outbox;
pub mod owner;
mod page;
pub mod policy;
pub mod report;
pub mod slack;
pub mod teams;
pub mod webhook;

/// One message to one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Makes a repeated decision the same message; also the seed of the Message-ID.
    pub dedup: String,
    /// Notice, report, budget or alert.
    pub kind: MessageKind,
    /// One address, `slack:#room`, `teams:name`, or `webhook:https://…`.
    pub to: String,
    /// Subject line; already free of foreign control characters.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML with everything foreign escaped; `None` for channels without it.
    pub html: Option<String>,
    /// Files.
    #[serde(skip)]
    pub attachments: Vec<Attachment>,
}

/// A file on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// File name, ASCII.
    pub name: String,
    /// For example `application/pdf`.
    pub media_type: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// To an owner, about findings.
    Notice,
    /// A daily or weekly report.
    Report,
    /// A budget threshold.
    Budget,
    /// Something needs a person: freeze, stuck act.
    Alert,
    /// The life of a policy.
    Policy,
    /// An exception, or an act that people must approve.
    Approval,
}

impl MessageKind {
    /// The word in SQL.
    pub fn word(self) -> &'static str {
        match self {
            MessageKind::Notice => "notice",
            MessageKind::Report => "report",
            MessageKind::Budget => "budget",
            MessageKind::Alert => "alert",
            MessageKind::Policy => "policy",
            MessageKind::Approval => "approval",
        }
    }
}

/// What a channel said to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took it: the message counts as delivered.
    Accepted,
    /// Not now.
    TryLater {
        /// Why, in words.
        reason: String,
        /// The channel asked to wait at least this long.
        wait: Option<Duration>,
        /// The channel itself does not work, so other messages need not be tried at once.
        channel_down: bool,
    },
    /// Not this message, ever.
    Never(String),
}

impl Outcome {
    /// This message must wait; the channel works.
    pub fn try_later(reason: impl Into<String>) -> Outcome {
        Outcome::TryLater { reason: reason.into(), wait: None, channel_down: false }
    }

    /// The channel cannot be used now.
    pub fn unreachable(reason: impl Into<String>) -> Outcome {
        Outcome::TryLater { reason: reason.into(), wait: None, channel_down: true }
    }
}
