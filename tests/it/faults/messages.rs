//! Mail servers and hooks that refuse, break off, keep one waiting or point elsewhere: every message ends as delivered, as
//! waiting, or as given up with its reason, and none is taken for delivered that was not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use costwarden::clock::Clock;
use costwarden::deliver::mail::{Mailer, Security, SmtpConfig};
use costwarden::deliver::slack::{Reach, Slack};
use costwarden::deliver::{Message, MessageKind, Outcome};
use costwarden::domain::Instant;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::reached;
use crate::support::smtp::{SmtpSink, Step};

/// So often a kind of fault must be met on the wire.
const OFTEN: usize = 20;

fn now() -> Instant {
    "2026-11-23T08:00:12Z".parse().expect("an instant")
}

fn message(number: usize, to: &str) -> Message {
    Message {
        dedup: format!("m{number}"),
        kind: MessageKind::Alert,
        to: to.into(),
        subject: format!("[cost] m{number}"),
        text: "Hello\n".into(),
        html: None,
        attachments: vec![],
    }
}

fn mailer(sink: &SmtpSink, security: Security, login: bool) -> Mailer {
    let login = login.then(|| ("costwarden".to_owned(), "not the password".to_owned().into()));
    let config = SmtpConfig { host: "127.0.0.1".into(), port: sink.address.port(), security, login };
    Mailer::smtp(config, "costwarden@example.com").expect("loopback without TLS is allowed")
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It waits, and so does everything else for this server.
    Down,
    /// It waits by itself.
    Later,
    /// It is given up.
    Never,
    Accepted,
}

fn fate(outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Accepted => Fate::Accepted,
        Outcome::TryLater { channel_down: true, .. } => Fate::Down,
        Outcome::TryLater { .. } => Fate::Later,
        Outcome::Never(_) => Fate::Never,
    }
}

#[tokio::test]
async fn h45_a_mail_that_the_server_did_not_take_is_not_delivered_and_one_recipient_is_not_anothers_fault() {
    // The kind, the server's step, what becomes of the mail, and whether the server kept it.
    let cases = [
        ("the server is down", Step::HangUp, Fate::Down, 0),
        ("451, greylisted", Step::Recipient(451, "greylisted, come back"), Fate::Later, 0),
        ("421 in the middle of a session", Step::Recipient(421, "closing"), Fate::Down, 0),
        ("accepted, and reset after the final dot", Step::KeepThenReset, Fate::Down, 1),
        ("552, too large", Step::Data(552, "too large"), Fate::Never, 0),
        ("one recipient of several is refused", Step::Recipient(550, "no such user"), Fate::Never, 0),
    ];
    for (kind, step, expected, kept) in cases {
        // Every second mail is for somebody with whom nothing is wrong.
        let script: Vec<Step> = [step, Step::Accept].repeat(OFTEN);
        let sink = SmtpSink::start(&script).await;
        let mailer = mailer(&sink, Security::None, false);
        let mut met = 0;
        for number in 0..OFTEN {
            let outcome = mailer.send(&message(number, "ann@example.com"), now()).await;
            assert_eq!(fate(&outcome), expected, "{kind}: {outcome:?}");
            met += 1;
            let fine = mailer.send(&message(number, "ben@example.com"), now()).await;
            assert_eq!(fine, Outcome::Accepted, "{kind}: the next one is taken");
        }
        let got = |who: &str| sink.received().iter().filter(|mail| mail.to == [who.to_owned()]).count();
        assert_eq!((got("ann@example.com"), got("ben@example.com")), (OFTEN * kept, OFTEN), "{kind}");
        assert_eq!(sink.sessions(), 2 * OFTEN, "{kind}: each mail was tried once");
        reached(kind, met);
    }
}

#[tokio::test]
async fn h45_without_the_agreed_encryption_or_with_a_refused_login_nothing_is_sent_and_everything_waits() {
    let sink = SmtpSink::start(&[]).await;
    sink.always(Some(Step::BrokenTls));
    let starttls = mailer(&sink, Security::Starttls, true);
    for number in 0..OFTEN {
        let outcome = starttls.send(&message(number, "ann@example.com"), now()).await;
        assert_eq!(fate(&outcome), Fate::Down, "{outcome:?}");
    }
    let met = sink.commands().iter().filter(|line| line.starts_with("STARTTLS")).count();
    let told = sink.commands().iter().any(|line| line.starts_with("MAIL") || line.starts_with("AUTH"));
    assert!(!told, "neither a password nor a mail went over the open line: {:?}", sink.commands());
    reached("TLS is broken", met);

    let sink = SmtpSink::start(&[]).await;
    sink.always(Some(Step::Login(535, "authentication failed")));
    let login = mailer(&sink, Security::None, true);
    for number in 0..OFTEN {
        let outcome = login.send(&message(number, "ann@example.com"), now()).await;
        assert_eq!(fate(&outcome), Fate::Down, "ours to mend, so it waits: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("not the password"), "{outcome:?}");
    }
    let met = sink.commands().iter().filter(|line| line.starts_with("AUTH")).count();
    assert!(!sink.commands().iter().any(|line| line.starts_with("MAIL")) && sink.received().is_empty());
    reached("the login is refused", met);
}

/// A server for hooks: answers with `answer` after a pause. How many requests came.
async fn hooks(answer: String, pause: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("its number");
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(post(stream, answer.clone(), pause, counted.clone()));
        }
    });
    (address, met)
}

async fn post(mut stream: TcpStream, answer: String, pause: Duration, met: Arc<AtomicUsize>) {
    let mut chunk = [0; 8_192];
    if !matches!(stream.read(&mut chunk).await, Ok(count) if count > 0) {
        return;
    }
    met.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(pause).await;
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A message to each of as many rooms, at once.
async fn to_every_room(address: SocketAddr) -> Vec<Outcome> {
    let room = |number: usize| (format!("#r{number}"), format!("http://{address}/services/T0/B0/s3cret").into());
    let slack = Slack::hooks((0..OFTEN).map(room).collect(), Reach::LoopbackForTests).expect("hooks for tests");
    let clock = Clock::virtual_at(now());
    let messages: Vec<Message> = (0..OFTEN).map(|number| message(number, &format!("slack:#r{number}"))).collect();
    join_all(messages.iter().map(|message| slack.send(message, &clock))).await
}

fn empty(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn h45_a_hook_that_asks_to_wait_is_asked_again_when_it_says() {
    let (address, met) = hooks(empty("429 Too Many Requests", "Retry-After: 90\r\n"), Duration::ZERO).await;
    for outcome in to_every_room(address).await {
        let Outcome::TryLater { wait, channel_down, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((wait, channel_down), (Some(Duration::from_secs(90)), false));
    }
    reached("Slack answers 429 with Retry-After", met.load(Ordering::Relaxed));
}

#[tokio::test]
async fn h45_a_hook_that_answers_after_a_minute_is_given_up_long_before_and_the_message_waits() {
    let (address, met) = hooks(empty("200 OK", ""), Duration::from_secs(60)).await;
    let began = std::time::Instant::now();
    for outcome in to_every_room(address).await {
        assert!(matches!(outcome, Outcome::TryLater { .. }), "{outcome:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(55), "nobody waited for the answer: {:?}", began.elapsed());
    reached("a webhook answers 200 after 60 seconds", met.load(Ordering::Relaxed));
}

#[tokio::test]
async fn h35_a_hook_that_points_to_the_metadata_of_the_machine_is_not_followed() {
    let (inside, asked) = hooks(empty("200 OK", ""), Duration::ZERO).await;
    for location in [format!("http://{inside}/latest/meta-data/"), "http://169.254.169.254/latest/meta-data/".into()] {
        let (address, met) = hooks(empty("302 Found", &format!("Location: {location}\r\n")), Duration::ZERO).await;
        for outcome in to_every_room(address).await {
            let Outcome::Never(why) = outcome else { panic!("{outcome:?}") };
            assert!(why.contains("redirect") && !why.contains("s3cret"), "{why}");
        }
        reached("a redirect to the metadata service", met.load(Ordering::Relaxed));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody went there");
}
