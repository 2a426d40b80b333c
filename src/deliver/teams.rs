//! Teams channels by webhook, for messages to `teams:name`: a workflow's ("When a Teams webhook request is received"),
//! or an incoming webhook of the older sort. Both take an Adaptive Card.
//!
//! `hook` keeps the addresses and posts; here is what a card looks like. Foreign text stands in text runs, which know no
//! Markdown, so that it is no link, and a card without a list of mentions calls nobody. A card is kept below the 28 KB
//! that Teams takes. Leaves out everything interactive.

use std::path::Path;

use anyhow::Result;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::hook::{Hooks, Reach, Rooms};
use super::{Message, Outcome};
use crate::clock::Clock;
use crate::domain::text::is_hostile;

/// Longest text of a message, in characters; four bytes each at most.
const MAX_CHARS: usize = 3_000;
/// Most lines; each is a block with some hundred bytes of its own.
const MAX_LINES: usize = 100;

/// All channels.
pub struct Teams(Rooms);

impl Teams {
    /// Channels, by the names of the settings, with their hooks' addresses. Fails on an address that is no https URL,
    /// without printing it.
    pub fn hooks(channels: Vec<(String, SecretString)>, reach: Reach) -> Result<Teams> {
        Ok(Teams(Rooms::Hooks(Hooks::new("Teams", channels, reach)?)))
    }

    /// Into a folder, made if it is missing.
    pub fn folder(folder: &Path) -> Result<Teams> {
        Ok(Teams(Rooms::folder("Teams", folder)?))
    }

    /// Sends one message to the channel in its `to`. Waits on `clock` when the channel had one less than a second ago.
    pub async fn send(&self, message: &Message, clock: &Clock) -> Outcome {
        let Some(name) = message.to.strip_prefix("teams:") else {
            return Outcome::Never(format!("{:?} is not a Teams channel", message.to));
        };
        self.0.send(name, &payload(message), clock).await
    }
}

/// What is posted: a card with the subject, and a block for each line of the text.
pub(crate) fn payload(message: &Message) -> Value {
    let mut left = MAX_CHARS;
    let mut blocks = vec![block(&cut(&message.subject, &mut left), true)];
    for line in message.text.lines() {
        if left == 0 || blocks.len() == MAX_LINES {
            blocks.push(block("…", false));
            break;
        }
        blocks.push(block(&cut(line, &mut left), false));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": blocks,
            },
        }],
    })
}

fn cut(line: &str, left: &mut usize) -> String {
    // Not `clean`, which cuts a line short: a long reason is worth reading.
    let line: String =
        line.chars().take(*left).map(|c| if is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    *left -= line.chars().count();
    line
}

fn block(line: &str, heading: bool) -> Value {
    // Cards replace {{DATE(…)}} and {{TIME(…)}} by what they read in them.
    let mut line = line.to_owned();
    while line.contains("{{") {
        // Once is not enough: of three, the last two would stand together again.
        line = line.replace("{{", "{ {");
    }
    // A run without text is no run.
    let line = if line.is_empty() { " ".to_owned() } else { line };
    let weight = if heading { "Bolder" } else { "Default" };
    json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": line, "weight": weight }] })
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
            to: "teams:finops".into(),
            subject: "[cost] Budget".into(),
            text: text.into(),
            html: None,
            attachments: vec![],
        }
    }

    fn lines(card: &Value) -> Vec<&str> {
        let body = card["attachments"][0]["content"]["body"].as_array().unwrap();
        body.iter().map(|block| block["inlines"][0]["text"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn h35_a_hook_into_this_machine_or_a_private_network_is_refused_before_a_connection() {
        for hook in
            ["https://127.0.0.1:1/x", "https://localhost:1/x", "https://169.254.169.254/x", "https://10.1.2.3/x"]
        {
            let teams = Teams::hooks(vec![("finops".into(), hook.to_owned().into())], Reach::Public).unwrap();
            let Outcome::TryLater { reason, .. } = teams.send(&message("hello"), &Clock::System).await else {
                panic!("{hook}")
            };
            assert!(reason.contains("not a public address; nothing was sent"), "{hook}: {reason}");
        }
    }

    #[test]
    fn h37_a_bad_hook_is_refused_without_printing_it() {
        for hook in ["http://example.webhook.office.com/SECRET", "SECRET", "https://u:SECRET@example.com/"] {
            let Err(error) = Teams::hooks(vec![("finops".into(), hook.to_owned().into())], Reach::Public) else {
                panic!("{hook}")
            };
            let words = format!("{error:#}");
            assert!(words.contains("Teams room finops") && !words.contains("SECRET"), "{words}");
        }
    }

    #[test]
    fn h38_a_card_has_foreign_text_in_runs_alone_and_calls_nobody() {
        let text =
            HOSTILE_NAMES.join("\n") + "\n<at>everyone</at> [x](https://evil.example) {{DATE(2026-11-22T02:00:00Z)}}";
        let card = payload(&message(&text));
        let content = &card["attachments"][0]["content"];
        for block in content["body"].as_array().unwrap() {
            assert_eq!((&block["type"], &block["inlines"][0]["type"]), (&json!("RichTextBlock"), &json!("TextRun")));
            assert_eq!(block["inlines"].as_array().unwrap().len(), 1);
            let text = block["inlines"][0]["text"].as_str().unwrap();
            assert!(!text.contains("{{") && !text.chars().any(char::is_control) && !text.is_empty(), "{text:?}");
        }
        assert_eq!(content["msteams"], json!({ "width": "Full" }), "no mentions");
        assert!(lines(&card).last().unwrap().contains("[x](https://evil.example) { {DATE("), "shown as it is written");
    }

    #[test]
    fn h38_three_braces_are_no_way_to_have_a_card_fill_something_in() {
        let date = "DATE(2026-01-01T00:00:00Z, SHORT)";
        for braces in 2..9 {
            let card = payload(&message(&format!("{}{date}{}", "{".repeat(braces), "}".repeat(braces))));
            assert!(!card.to_string().contains("{{"), "{card}");
        }
        assert_eq!(lines(&payload(&message("{a} {{{b}}}")))[1], "{a} { { {b}}}");
    }

    #[test]
    fn a_card_stays_below_what_teams_takes_and_says_where_it_was_cut() {
        for text in ["\u{1f600}".repeat(9_000), "x\n".repeat(9_000), "\"".repeat(9_000), "\n".repeat(9_000)] {
            let card = payload(&message(&text));
            assert!(card.to_string().len() < 28_000, "{}", card.to_string().len());
            let said = lines(&card);
            assert!(said.len() > 1 && said.len() <= MAX_LINES + 1);
        }
        assert_eq!(lines(&payload(&message(&"x\n".repeat(500)))).last(), Some(&"…"));
        assert_eq!(lines(&payload(&message("one\n\ntwo"))), ["[cost] Budget", "one", " ", "two"]);
    }

    #[tokio::test]
    async fn a_world_keeps_its_cards_as_files_and_a_channel_without_a_hook_is_a_dead_letter() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::virtual_at("2026-11-22T02:00:00Z".parse().unwrap());
        let teams = Teams::folder(folder.path()).unwrap();
        assert_eq!(teams.send(&message("hello"), &clock).await, Outcome::Accepted);
        assert!(folder.path().join("20261122T020000.000000Z-finops.json").exists());
        let none = Teams::hooks(vec![], Reach::Public).unwrap().send(&message("hello"), &clock).await;
        assert_eq!(none, Outcome::Never("the settings name no webhook for the Teams room finops".into()));
    }
}
