//! Webhooks that policies and operators name: JSON posted to `webhook:https://…`.
//!
//! The address is held to the same rules as a Slack hook's (`slack`): https, looked up once, never into this machine or
//! a private network, no redirects, never printed. The text of the message is the JSON body. Not signed: whoever
//! listens has to keep the address to itself. Tries that fail wait in the outbox like every other message.

use anyhow::{Context as _, Result};
use secrecy::SecretString;

use super::slack::{Reach, Slack, client, hook_url};
use super::{Message, Outcome};
use crate::clock::Clock;

/// Sends one message to the address in its `to`. Where Slack is a folder (worlds, the demo), nothing leaves the machine.
pub async fn send(message: &Message, slack: Option<&Slack>, clock: &Clock) -> Outcome {
    let Some(address) = message.to.strip_prefix("webhook:") else {
        return Outcome::Never("the message is for no webhook".to_owned());
    };
    if let Some(folder @ Slack::Folder(_)) = slack {
        let inside = Message { to: "slack:#webhook".to_owned(), ..message.clone() };
        return folder.send(&inside, clock).await;
    }
    match post(&SecretString::from(address), &message.text, Reach::Public).await {
        Ok(outcome) => outcome,
        // `hook_url` and `client` take the address out of their errors.
        Err(error) => Outcome::try_later(format!("webhook: {error:#}")),
    }
}

async fn post(address: &SecretString, body: &str, reach: Reach) -> Result<Outcome> {
    let url = match hook_url(address, reach) {
        Ok(url) => url,
        Err(error) => return Ok(Outcome::Never(format!("webhook: {error:#}"))),
    };
    let answer = client(&url, reach)
        .await?
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_owned())
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .context("posting")?;
    let status = answer.status();
    Ok(if status.is_success() {
        Outcome::Accepted
    } else if status.is_redirection() {
        Outcome::Never(format!("the webhook answered with a redirect ({status}), which is not followed"))
    } else if status.is_client_error() && status.as_u16() != 429 && status.as_u16() != 408 {
        Outcome::Never(format!("the webhook refused the message ({status})"))
    } else {
        Outcome::try_later(format!("the webhook answered {status}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::MessageKind;

    fn message(to: &str) -> Message {
        Message {
            dedup: "x".into(),
            kind: MessageKind::Alert,
            to: to.into(),
            subject: "s".into(),
            text: "{\"a\":1}".into(),
            html: None,
            attachments: vec![],
        }
    }

    #[tokio::test]
    async fn h35_an_address_inside_or_without_https_gets_nothing_and_is_not_repeated() {
        let clock = Clock::virtual_at("2026-11-22T09:00:00Z".parse().unwrap());
        let Outcome::Never(plain) = send(&message("webhook:http://secret.example/t0ken"), None, &clock).await else {
            panic!()
        };
        assert!(plain.contains("accepted: https:") && !plain.contains("t0ken"), "{plain}");
        let inside = send(&message("webhook:https://127.0.0.1/t0ken"), None, &clock).await;
        let Outcome::TryLater { reason, channel_down, .. } = inside else { panic!("{inside:?}") };
        assert!(reason.contains("not a public address") && !reason.contains("t0ken") && !channel_down, "{reason}");
    }

    #[tokio::test]
    async fn a_body_arrives_as_json_and_a_refusal_is_final_while_a_failure_is_tried_again() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for (answer, accepted, again) in [
            ("200 OK", true, false),
            ("403 Forbidden", false, false),
            ("503 Unavailable", false, true),
            ("302 Found", false, false),
        ] {
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}/hook", server.local_addr().unwrap());
            let serve = async {
                let (mut stream, _) = server.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let mut length = 0;
                while !String::from_utf8_lossy(&request[..length]).contains("{\"a\":1}") {
                    length += stream.read(&mut request[length..]).await.unwrap();
                }
                let close = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(close.as_bytes()).await.unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            };
            let address = SecretString::from(address);
            let (request, outcome) = tokio::join!(serve, post(&address, "{\"a\":1}", Reach::LoopbackForTests));
            assert!(request.to_lowercase().contains("content-type: application/json"), "{request}");
            let outcome = outcome.unwrap();
            assert_eq!(outcome == Outcome::Accepted, accepted, "{outcome:?}");
            assert_eq!(matches!(outcome, Outcome::TryLater { .. }), again, "{outcome:?}");
        }
    }
}
