//! Webhooks that policies and operators name: JSON posted to `webhook:https://…`.
//!
//! The address is held to the same rules as a room's hook (`hook`): https, looked up once, never into this machine,
//! no redirects, never printed. It has to be public, unless the settings list its host by name. The text of the message
//! is the JSON body. With a secret each attempt is signed over its time and the body, so that a receiver can tell it
//! from a forgery and from an old one that somebody sends again; docs/decisions.md tells receivers how. Tries that fail
//! wait in the outbox like every other message.

use anyhow::{Context as _, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::hook::{Reach, client, hook_url};
use super::slack::Slack;
use super::{Message, Outcome};
use crate::clock::Clock;
use crate::domain::Instant;

/// Shortest secret, in characters: 128 bits written as hexadecimal digits.
const MIN_SECRET: usize = 32;
/// When the attempt was made: seconds since 1970, UTC.
const TIME: &str = "costwarden-timestamp";
/// `v1=` and the HMAC-SHA256 of time, a dot and the body, in hexadecimal digits.
const SIGNATURE: &str = "costwarden-signature";

/// How webhooks leave. The default signs nothing and reaches public addresses alone.
#[derive(Debug, Default)]
pub struct Webhooks {
    secret: Option<SecretString>,
    internal: Vec<String>,
}

impl Webhooks {
    /// With the secret to sign with, and the hosts in private networks that may be reached, in lower case.
    ///
    /// # Errors
    /// The secret is too short to be one.
    pub fn new(secret: Option<SecretString>, internal: Vec<String>) -> Result<Webhooks> {
        if secret.as_ref().is_some_and(|secret| secret.expose_secret().chars().count() < MIN_SECRET) {
            bail!(
                "the secret of webhooks.secret_file is too short; accepted: {MIN_SECRET} characters or more, such as \
                 `openssl rand -hex 32` prints"
            );
        }
        Ok(Webhooks { secret, internal })
    }

    /// Sends one message to the address in its `to`. Where Slack is a folder (worlds, the demo), nothing leaves the
    /// machine.
    pub async fn send(&self, message: &Message, slack: Option<&Slack>, clock: &Clock) -> Outcome {
        let Some(address) = message.to.strip_prefix("webhook:") else {
            return Outcome::Never("the message is for no webhook".to_owned());
        };
        if let Some(folder) = slack.filter(|slack| slack.is_folder()) {
            let inside = Message { to: "slack:#webhook".to_owned(), ..message.clone() };
            return folder.send(&inside, clock).await;
        }
        let address = SecretString::from(address);
        match self.post(&address, &message.text, self.reach(&address), clock.now()).await {
            Ok(outcome) => outcome,
            // `hook_url` and `client` take the address out of their errors.
            Err(error) => Outcome::try_later(format!("webhook: {error:#}")),
        }
    }

    /// Private networks for hosts that the settings list, and for no other.
    fn reach(&self, address: &SecretString) -> Reach {
        let url = Url::parse(address.expose_secret().trim()).ok();
        let listed =
            url.as_ref().and_then(Url::host_str).is_some_and(|host| self.internal.iter().any(|own| own == host));
        if listed { Reach::Inside } else { Reach::Public }
    }

    async fn post(&self, address: &SecretString, body: &str, reach: Reach, now: Instant) -> Result<Outcome> {
        let url = match hook_url(address, reach) {
            Ok(url) => url,
            Err(error) => return Ok(Outcome::Never(format!("webhook: {error:#}"))),
        };
        let mut request = client(&url, reach).await?.post(url).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            let seconds = now.timestamp();
            request = request.header(TIME, seconds).header(SIGNATURE, signature(secret, seconds, body)?);
        }
        let sent = request.body(body.to_owned()).send().await;
        let status = sent.map_err(reqwest::Error::without_url).context("posting")?.status();
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
}

/// What a receiver computes again: digits of the time hold no dot, so no other time and body give the same text.
fn signature(secret: &SecretString, seconds: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).context("keying the signature")?;
    mac.update(format!("{seconds}.{body}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("v1={digits}"))
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
        let Outcome::Never(plain) =
            Webhooks::default().send(&message("webhook:http://secret.example/t0ken"), None, &clock).await
        else {
            panic!()
        };
        assert!(plain.contains("accepted: https:") && !plain.contains("t0ken"), "{plain}");
        let inside = Webhooks::default().send(&message("webhook:https://127.0.0.1/t0ken"), None, &clock).await;
        let Outcome::TryLater { reason, channel_down, .. } = inside else { panic!("{inside:?}") };
        assert!(reason.contains("not a public address") && !reason.contains("t0ken") && !channel_down, "{reason}");
    }

    #[tokio::test]
    async fn h35_a_listed_host_may_lie_inside_and_neither_another_nor_this_machine_may() {
        let hooks = Webhooks::new(None, vec!["tracker.corp.example".into(), "localhost".into()]).unwrap();
        let reach = |text: &str| hooks.reach(&SecretString::from(text));
        for inside in ["https://tracker.corp.example/x", "https://TRACKER.corp.example:8443/y?z=1"] {
            assert_eq!(reach(inside), Reach::Inside, "{inside}");
        }
        let others = [
            "https://tracker.corp.example.evil.example/x",
            "https://evil.tracker.corp.example/x",
            "https://tracker.corp.example./x",
            "https://tracker.corp.example@10.0.0.1/x",
            "https://10.0.0.1/tracker.corp.example",
            "https://x/#tracker.corp.example",
        ];
        for public in others {
            assert_eq!(reach(public), Reach::Public, "{public}");
        }
        let clock = Clock::virtual_at("2026-11-22T09:00:00Z".parse().unwrap());
        let here = hooks.send(&message("webhook:https://localhost:1/t0ken"), None, &clock).await;
        let Outcome::TryLater { reason, .. } = here else { panic!("{here:?}") };
        assert!(reason.contains("not an address of a public or private network"), "{reason}");
    }

    #[test]
    fn s9_a_signature_is_the_hmac_of_time_dot_body_and_a_short_secret_is_refused() {
        // Computed apart from this program: printf '1763802000.{"a":1}' | openssl dgst -sha256 -hmac SECRET
        let secret = SecretString::from("0123456789abcdef0123456789abcdef");
        assert_eq!(
            signature(&secret, 1_763_802_000, "{\"a\":1}").unwrap(),
            "v1=19a0b912a3a0f530ef52dd9af54887b1626b46f1fbad94e1965923f53be4cc69"
        );
        let error = Webhooks::new(Some("short-one".into()), vec![]).unwrap_err().to_string();
        assert!(error.contains("32 characters or more") && !error.contains("short-one"), "{error}");
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
            let secret = SecretString::from("0123456789abcdef0123456789abcdef");
            let hooks = Webhooks::new((!accepted).then(|| secret.clone()), vec![]).unwrap();
            let now = "2025-11-22T09:00:00Z".parse().unwrap();
            let (request, outcome) =
                tokio::join!(serve, hooks.post(&address, "{\"a\":1}", Reach::LoopbackForTests, now));
            assert!(request.to_lowercase().contains("content-type: application/json"), "{request}");
            // Only with a secret, and then over the very time and body that arrive.
            let signed = signature(&secret, 1_763_802_000, "{\"a\":1}").unwrap();
            assert_eq!(request.contains(&format!("costwarden-signature: {signed}\r\n")), !accepted, "{request}");
            assert_eq!(request.contains("costwarden-timestamp: 1763802000\r\n"), !accepted, "{request}");
            let outcome = outcome.unwrap();
            assert_eq!(outcome == Outcome::Accepted, accepted, "{outcome:?}");
            assert_eq!(matches!(outcome, Outcome::TryLater { .. }), again, "{outcome:?}");
        }
    }
}
