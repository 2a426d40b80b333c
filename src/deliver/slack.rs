//! Slack rooms by incoming webhook, for messages to `slack:#room`.
//!
//! `hook` keeps the addresses and posts; here is what a message looks like. Leaves out everything interactive.

use std::path::Path;

use anyhow::Result;
use secrecy::SecretString;

pub use super::hook::Reach;
use super::hook::{Hooks, Rooms};
use super::{Message, Outcome};
use crate::clock::Clock;

/// Longest text of a message, in characters.
const MAX_CHARS: usize = 3_000;

/// All rooms.
pub struct Slack(Rooms);

impl Slack {
    /// Rooms (`#finops`) with their hooks' addresses. Fails on an address that is no https URL, without printing it.
    pub fn hooks(rooms: Vec<(String, SecretString)>, reach: Reach) -> Result<Slack> {
        Ok(Slack(Rooms::Hooks(Hooks::new("Slack", rooms, reach)?)))
    }

    /// Into a folder, made if it is missing.
    pub fn folder(folder: &Path) -> Result<Slack> {
        Ok(Slack(Rooms::folder("Slack", folder)?))
    }

    /// Whether messages go into a folder.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.0, Rooms::Folder(_))
    }

    /// Sends one message to the room in its `to`. Waits on `clock` when the room had one less than a second ago.
    pub async fn send(&self, message: &Message, clock: &Clock) -> Outcome {
        let Some(room) = message.to.strip_prefix("slack:") else {
            return Outcome::Never(format!("{:?} is not a Slack room", message.to));
        };
        self.0.send(room, &payload(message), clock).await
    }
}

/// What is posted: a text alone, which every client shows, with the three characters escaped that mean something.
pub(crate) fn payload(message: &Message) -> serde_json::Value {
    let mut text: String = format!("{}\n{}", message.subject, message.text).chars().take(MAX_CHARS).collect();
    if text.chars().count() == MAX_CHARS {
        text.push('…');
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    serde_json::json!({ "text": text, "mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::MessageKind;
    use crate::report::sample::HOSTILE_NAMES;

    fn message(text: &str) -> Message {
        Message {
            dedup: "budget:1".into(),
            kind: MessageKind::Budget,
            to: "slack:#finops".into(),
            subject: "[cost] Budget".into(),
            text: text.into(),
            html: None,
            attachments: vec![],
        }
    }

    #[tokio::test]
    async fn h35_a_hook_into_this_machine_or_a_private_network_is_refused_before_a_connection() {
        let clock = Clock::System;
        for hook in [
            "https://127.0.0.1:1/x",
            "https://localhost:1/x",
            "https://[::1]:1/x",
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/x",
            "https://0x7f.1/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://10.1.2.3/x",
        ] {
            let slack = Slack::hooks(vec![("#finops".into(), hook.to_owned().into())], Reach::Public).unwrap();
            let Outcome::TryLater { reason, .. } = slack.send(&message("hello"), &clock).await else {
                panic!("{hook}")
            };
            assert!(reason.contains("not a public address; nothing was sent"), "{hook}: {reason}");
        }
    }

    #[test]
    fn h37_a_bad_hook_is_refused_without_printing_it() {
        for hook in
            ["http://hooks.slack.com/services/SECRET", "SECRET", "file:///SECRET", "https://u:SECRET@hooks.slack.com/"]
        {
            let Err(error) = Slack::hooks(vec![("#finops".into(), hook.to_owned().into())], Reach::Public) else {
                panic!("{hook}")
            };
            let words = format!("{error:#}");
            assert!(words.contains("#finops") && !words.contains("SECRET"), "{words}");
        }
    }

    #[test]
    fn h38_slack_text_calls_nobody_and_links_nowhere() {
        for name in HOSTILE_NAMES {
            let payload = payload(&message(name));
            let text = payload["text"].as_str().unwrap();
            assert!(!text.contains('<') && !text.contains('>'), "{text}");
        }
        let text = payload(&message("<!channel> & <@U123>"))["text"].as_str().unwrap().to_owned();
        assert!(text.ends_with("&lt;!channel&gt; &amp; &lt;@U123&gt;"), "{text}");
        let long = payload(&message(&"x".repeat(9_000)))["text"].as_str().unwrap().chars().count();
        assert_eq!(long, MAX_CHARS + 1);
    }

    #[tokio::test]
    async fn a_room_that_the_settings_do_not_name_is_a_dead_letter_at_once() {
        let slack = Slack::hooks(vec![], Reach::Public).unwrap();
        let outcome = slack.send(&message("hello"), &Clock::System).await;
        assert_eq!(outcome, Outcome::Never("the settings name no webhook for the Slack room #finops".into()));
    }

    #[tokio::test]
    async fn a_world_keeps_its_slack_messages_as_files() {
        let folder = tempfile::tempdir().unwrap();
        let slack = Slack::folder(folder.path()).unwrap();
        let clock = Clock::virtual_at("2026-11-22T02:00:00Z".parse().unwrap());
        assert_eq!(slack.send(&message("hello"), &clock).await, Outcome::Accepted);
        let names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["20261122T020000.000000Z-finops.json"]);
    }
}
