//! Slack's webhook against a small HTTP server on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use costwarden::clock::Clock;
use costwarden::deliver::slack::{Reach, Slack};
use costwarden::deliver::{Message, MessageKind, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request with `answer` and keeps the bodies.
pub async fn server(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("the port's number");
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = bodies.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !whole(&request) {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend(&buffer[..count]),
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
            kept.lock().expect("no test panicked inside").push(body);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, bodies)
}

/// Whether a request has arrived to its end, by its content length.
fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    length.and_then(|length| length.trim().parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
}

fn slack(address: SocketAddr) -> Slack {
    let hook = format!("http://{address}/services/T0/B0/secret");
    Slack::hooks(vec![("#finops".into(), hook.into())], Reach::LoopbackForTests).expect("a hook for tests")
}

fn message(text: &str) -> Message {
    Message {
        dedup: "budget:1".into(),
        kind: MessageKind::Budget,
        to: "slack:#finops".into(),
        subject: "[cost] Budget alpha passed 90 %".into(),
        text: text.into(),
        html: None,
        attachments: vec![],
    }
}

#[tokio::test]
async fn r13_a_message_arrives_in_its_room_and_calls_nobody() {
    let (address, bodies) = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let outcome = slack(address).send(&message("<!channel> pays & <@U1> laughs"), &Clock::System).await;
    assert_eq!(outcome, Outcome::Accepted);
    let bodies = bodies.lock().expect("no test panicked inside").clone();
    let sent: serde_json::Value = serde_json::from_str(&bodies[0]).expect("JSON");
    assert_eq!(sent["text"], "[cost] Budget alpha passed 90 %\n&lt;!channel&gt; pays &amp; &lt;@U1&gt; laughs");
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn what_slack_answers_decides_whether_a_message_waits_or_dies() {
    let later = |reason: &str, wait| Outcome::TryLater { reason: reason.into(), wait, channel_down: false };
    for (answer, expected) in [
        (
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n",
            later("Slack asks to wait (429)", Some(Duration::from_secs(90))),
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            later("Slack answered 503 Service Unavailable", None),
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nno_service",
            Outcome::Never("Slack refused the message (404 Not Found)".into()),
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n",
            Outcome::Never("the webhook answered with a redirect (302 Found), which is not followed".into()),
        ),
    ] {
        let (address, bodies) = server(answer).await;
        assert_eq!(slack(address).send(&message("hello"), &Clock::System).await, expected);
        assert_eq!(bodies.lock().expect("no test panicked inside").len(), 1, "one request and no more");
    }
}

#[tokio::test]
async fn h37_a_hook_that_cannot_be_reached_is_not_printed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("the port's number");
    drop(listener);
    let Outcome::TryLater { reason, .. } = slack(address).send(&message("hello"), &Clock::System).await else {
        panic!("nobody listens")
    };
    assert!(reason.contains("#finops") && !reason.contains("secret") && !reason.contains("services"), "{reason}");
}

#[tokio::test]
async fn a_room_gets_one_message_a_second() {
    let (address, _) = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let slack = slack(address);
    let begin = "2026-11-23T08:00:00Z".parse().expect("an instant");
    let clock = Clock::virtual_at(begin);
    for _ in 0..5 {
        assert_eq!(slack.send(&message("hello"), &clock).await, Outcome::Accepted);
    }
    assert_eq!((clock.now() - begin).num_seconds(), 4);
}
