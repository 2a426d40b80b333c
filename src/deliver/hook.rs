//! Rooms of a chat service behind secret addresses: what Slack and Teams have in common.
//!
//! The hook's address is a secret and a door: it is never printed, it must be https, it is resolved once, refused if it
//! points into this machine or a private network, and pinned, so that a name that changes cannot lead elsewhere;
//! redirects are not followed (safety.md, H35). One message a second for each room. What a message looks like is the
//! service's own matter (`slack`, `teams`); `webhook` uses the same door for addresses that policies name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use reqwest::{StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

use super::Outcome;
use super::mail::write_durably;
use crate::clock::Clock;
use crate::domain::Instant;

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(10);
/// Pause between two messages to one room.
const PACE: TimeDelta = TimeDelta::seconds(1);
/// So much of an answer is read, in bytes.
const MOST_ANSWER: usize = 4_096;

/// Which addresses a hook may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public ones, by https. The only choice outside tests.
    Public,
    /// By https, public ones and private networks: for a host that the settings list by name. Never this machine, and
    /// never where clouds serve credentials.
    Inside,
    /// This machine, by http: for a test's own server.
    LoopbackForTests,
}

/// Rooms of one service and their hooks.
pub struct Hooks {
    service: &'static str,
    rooms: HashMap<String, SecretString>,
    reach: Reach,
    last: Mutex<HashMap<String, Instant>>,
}

/// Where the messages to the rooms of one service go.
pub(super) enum Rooms {
    /// Posted to their hooks.
    Hooks(Hooks),
    /// Into a folder of `.json` files, for worlds and the demo.
    Folder(PathBuf),
}

impl Rooms {
    /// A folder, made if it is missing.
    pub(super) fn folder(service: &str, folder: &Path) -> Result<Rooms> {
        std::fs::create_dir_all(folder).with_context(|| format!("making the {service} folder {}", folder.display()))?;
        Ok(Rooms::Folder(folder.to_owned()))
    }

    /// Sends a body to a room. Waits on `clock` when the room had one less than a second ago.
    pub(super) async fn send(&self, room: &str, body: &serde_json::Value, clock: &Clock) -> Outcome {
        match self {
            Rooms::Hooks(hooks) => hooks.send(room, body, clock).await,
            Rooms::Folder(folder) => {
                let room: String = room.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
                let name = format!("{}-{room}.json", clock.now().format("%Y%m%dT%H%M%S%.6fZ"));
                match write_durably(folder, &name, body.to_string().as_bytes()) {
                    Ok(()) => Outcome::Accepted,
                    Err(error) => Outcome::unreachable(format!("{error:#}")),
                }
            }
        }
    }
}

impl Hooks {
    /// The rooms of a service, by name, with their hooks' addresses.
    ///
    /// # Errors
    /// An address that is no https URL; it is not printed.
    pub fn new(service: &'static str, rooms: Vec<(String, SecretString)>, reach: Reach) -> Result<Hooks> {
        for (room, hook) in &rooms {
            hook_url(hook, reach).with_context(|| format!("the webhook of the {service} room {room}"))?;
        }
        Ok(Hooks { service, rooms: rooms.into_iter().collect(), reach, last: Mutex::default() })
    }

    /// Posts a body to a room. Waits on `clock` when the room had one less than a second ago.
    pub async fn send(&self, room: &str, body: &serde_json::Value, clock: &Clock) -> Outcome {
        let service = self.service;
        let Some(hook) = self.rooms.get(room) else {
            return Outcome::Never(format!("the settings name no webhook for the {service} room {room}"));
        };
        self.wait_for_turn(room, clock).await;
        let outcome = match self.post(hook, body).await {
            Ok(outcome) => outcome,
            // `post` takes the address out of its errors.
            Err(error) => Outcome::try_later(format!("{service} room {room}: {error:#}")),
        };
        self.lock().insert(room.to_owned(), clock.now());
        outcome
    }

    async fn wait_for_turn(&self, room: &str, clock: &Clock) {
        let next = self.lock().get(room).map(|last| *last + PACE);
        if let Some(wait) = next.and_then(|next| (next - clock.now()).to_std().ok()) {
            clock.sleep(wait).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(&self, hook: &SecretString, body: &serde_json::Value) -> Result<Outcome> {
        let url = hook_url(hook, self.reach)?;
        let service = self.service;
        let answer = client(&url, self.reach)
            .await?
            .post(url)
            .json(body)
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .context("posting")?;
        let status = answer.status();
        let wait = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse::<u64>().ok())
            .map(|seconds| Duration::from_secs(seconds.min(24 * 3600)));
        Ok(match status {
            _ if status.is_success() => match failed(service, answer).await {
                Some(reason) => Outcome::TryLater { reason, wait, channel_down: false },
                None => Outcome::Accepted,
            },
            StatusCode::TOO_MANY_REQUESTS => {
                Outcome::TryLater { reason: format!("{service} asks to wait (429)"), wait, channel_down: false }
            }
            _ if status.is_redirection() => {
                Outcome::Never(format!("the webhook answered with a redirect ({status}), which is not followed"))
            }
            _ if status.is_client_error() => Outcome::Never(format!("{service} refused the message ({status})")),
            _ => Outcome::TryLater { reason: format!("{service} answered {status}"), wait, channel_down: false },
        })
    }
}

/// What a hook says that took the request and not the message: Teams' older hooks answer 200 and tell in the text that
/// they failed. An answer that breaks off is taken for the yes that its status is.
async fn failed(service: &str, mut answer: reqwest::Response) -> Option<String> {
    let mut text = Vec::new();
    while let Ok(Some(part)) = answer.chunk().await {
        text.extend(part);
        if text.len() >= MOST_ANSWER {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    text.contains("delivery failed").then(|| match text.contains("429") {
        true => format!("{service} asks to wait (429)"),
        false => format!("{service} took the request and could not deliver the message"),
    })
}

/// A client for one address alone, which was looked up and is pinned.
pub(super) async fn client(url: &Url, reach: Reach) -> Result<reqwest::Client> {
    let addresses = resolve(url, reach).await?;
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .map_err(reqwest::Error::without_url)
        .context("setting up HTTPS")
}

/// The address, if a hook may have it. Its errors do not contain it.
pub(super) fn hook_url(hook: &SecretString, reach: Reach) -> Result<Url> {
    let url = Url::parse(hook.expose_secret().trim())
        .ok()
        .context("it is not an address such as https://hooks.example.com/…")?;
    match (reach, url.scheme()) {
        (Reach::Public | Reach::Inside, "https") | (Reach::LoopbackForTests, "http" | "https") => {}
        (_, scheme) => bail!("it begins with {scheme}:, accepted: https:"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        bail!("it has a user name or a password before the host");
    }
    url.host_str().context("it has no host")?;
    Ok(url)
}

/// All addresses of the host; an error if any of them may not be reached.
async fn resolve(url: &Url, reach: Reach) -> Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(443);
    let looked_up = tokio::time::timeout(CONNECT, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = looked_up
        .ok()
        .context("looking its name up took too long")?
        .ok()
        .context("its name cannot be looked up")?
        .collect();
    if addresses.is_empty() {
        bail!("its name has no address");
    }
    for address in &addresses {
        let ip = address.ip();
        let fine = match reach {
            Reach::Public => is_public(ip),
            Reach::Inside => is_public(ip) || is_private(ip),
            Reach::LoopbackForTests => ip.is_loopback(),
        };
        if !fine {
            bail!("its name leads to {ip}, which is not {}; nothing was sent", reach.words());
        }
    }
    Ok(addresses)
}

/// Whether an address is on the public internet. Everything with a special meaning is not (IANA's registries of
/// special-purpose addresses), and an IPv6 address that carries an IPv4 one is judged by that as well.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    // Only global unicast, 2000::/3; and within it neither Teredo, documentation, benchmarking nor 6to4.
    let global = segments[0] & 0xe000 == 0x2000;
    let special = (segments[0] == 0x2001 && (segments[1] < 0x0200 || segments[1] == 0x0db8))
        || segments[0] == 0x2002
        || (segments[0] == 0x3fff && segments[1] < 0x1000);
    global && !special
}

/// Whether an address lies in a network of one's own: RFC 1918, RFC 4193 without the block that AWS serves instance
/// metadata from, and the shared addresses of RFC 6598. Loopback and link-local addresses do not count.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => ip.is_unique_local() && ip.segments()[..2] != [0xfd00, 0x0ec2],
        },
    }
}

impl Reach {
    fn words(self) -> &'static str {
        match self {
            Reach::Public => "a public address",
            Reach::Inside => "an address of a public or private network",
            Reach::LoopbackForTests => "this machine",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h35_addresses_with_a_special_meaning_are_not_public() {
        let special = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "100::1",
            "3fff::1",
        ];
        let public =
            ["8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.3.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1"];
        let judged_public = |texts: &[&str]| -> Vec<String> {
            texts.iter().filter(|text| is_public(text.parse().unwrap())).map(|text| (*text).to_owned()).collect()
        };
        assert_eq!(judged_public(&special), Vec::<String>::new());
        assert_eq!(judged_public(&public), public);
        let private = ["10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1", "::ffff:10.0.0.1"];
        let judged: Vec<&str> = special.into_iter().filter(|text| is_private(text.parse().unwrap())).collect();
        assert_eq!(judged.len(), private.len() + 2, "{judged:?}");
        assert!(private.iter().all(|text| judged.contains(text)), "{judged:?}");
    }
}
