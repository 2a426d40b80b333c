//! Teams' webhooks against a small HTTP server on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use costwarden::clock::Clock;
use costwarden::deliver::hook::Reach;
use costwarden::deliver::teams::Teams;
use costwarden::deliver::{Message, MessageKind, Outcome};
use tokio::net::TcpListener;

use crate::slack::server;

const DELIVERED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

fn teams(address: SocketAddr) -> Teams {
    let hook = format!("http://{address}/workflows/secret/triggers/manual?sig=secret");
    Teams::hooks(vec![("finops".into(), hook.into())], Reach::LoopbackForTests).expect("a hook for tests")
}

fn message(text: &str) -> Message {
    Message {
        dedup: "budget:1".into(),
        kind: MessageKind::Budget,
        to: "teams:finops".into(),
        subject: "[cost] Budget alpha passed 90 %".into(),
        text: text.into(),
        html: None,
        attachments: vec![],
    }
}

#[tokio::test]
async fn a_card_arrives_in_its_channel_and_calls_nobody() {
    let (address, bodies) = server(DELIVERED).await;
    let outcome =
        teams(address).send(&message("<at>everyone</at> pays\n[now](https://evil.example)"), &Clock::System).await;
    assert_eq!(outcome, Outcome::Accepted);
    let bodies = bodies.lock().expect("no test panicked inside").clone();
    let sent: serde_json::Value = serde_json::from_str(&bodies[0]).expect("JSON");
    let run = |text: &str, weight: &str| {
        serde_json::json!({
            "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": text, "weight": weight }]
        })
    };
    let expected = serde_json::json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": [
                    run("[cost] Budget alpha passed 90 %", "Bolder"),
                    run("<at>everyone</at> pays", "Default"),
                    run("[now](https://evil.example)", "Default"),
                ],
            },
        }],
    });
    assert_eq!((sent, bodies.len()), (expected, 1));
}

#[tokio::test]
async fn what_teams_answers_decides_whether_a_card_waits_or_dies() {
    let later = |reason: &str, wait| Outcome::TryLater { reason: reason.into(), wait, channel_down: false };
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", Outcome::Accepted),
        (
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n",
            later("Teams asks to wait (429)", Some(Duration::from_secs(90))),
        ),
        // The older hooks take the request and say in its text that the message got nowhere.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 58\r\n\r\nWebhook message delivery failed with error: HTTP error 429",
            later("Teams asks to wait (429)", None),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nWebhook message delivery failed: error x",
            later("Teams took the request and could not deliver the message", None),
        ),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", later("Teams answered 502 Bad Gateway", None)),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            Outcome::Never("Teams refused the message (404 Not Found)".into()),
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n",
            Outcome::Never("the webhook answered with a redirect (302 Found), which is not followed".into()),
        ),
    ] {
        let (address, bodies) = server(answer).await;
        assert_eq!(teams(address).send(&message("hello"), &Clock::System).await, expected);
        assert_eq!(bodies.lock().expect("no test panicked inside").len(), 1, "one request and no more");
    }
}

#[tokio::test]
async fn h37_a_channel_that_cannot_be_reached_is_not_printed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("the port's number");
    drop(listener);
    let Outcome::TryLater { reason, .. } = teams(address).send(&message("hello"), &Clock::System).await else {
        panic!("nobody listens")
    };
    assert!(reason.contains("Teams room finops") && !reason.contains("secret"), "{reason}");
}

#[tokio::test]
async fn a_channel_gets_one_card_a_second() {
    let (address, _) = server(DELIVERED).await;
    let teams = teams(address);
    let begin = "2026-11-23T08:00:00Z".parse().expect("an instant");
    let clock = Clock::virtual_at(begin);
    for _ in 0..5 {
        assert_eq!(teams.send(&message("hello"), &clock).await, Outcome::Accepted);
    }
    assert_eq!((clock.now() - begin).num_seconds(), 4);
}
