//! Mail over real SMTP on loopback, read back by a second parser.

use std::io::Write;
use std::process::{Command, Stdio};

use costwarden::clock::Clock;
use costwarden::deliver::mail::{Mailer, Security, SmtpConfig};
use costwarden::deliver::outbox::{Channels, deliver_due, outgoing};
use costwarden::deliver::report::ReportMail;
use costwarden::deliver::webhook::Webhooks;
use costwarden::deliver::{Message, MessageKind, Outcome};
use costwarden::domain::Instant;
use costwarden::report;
use costwarden::report::sample::HOSTILE_NAMES;
use costwarden::store::Store;
use serde_json::Value;

use crate::support::python::{python, support_file};
use crate::support::smtp::{SmtpSink, Step};

fn now() -> Instant {
    "2026-11-23T08:00:12Z".parse().expect("an instant")
}

fn mailer(sink: &SmtpSink, security: Security) -> Mailer {
    let config = SmtpConfig { host: "127.0.0.1".into(), port: sink.address.port(), security, login: None };
    Mailer::smtp(config, "costwarden@example.com").expect("loopback without TLS is allowed")
}

fn message(dedup: &str) -> Message {
    Message {
        dedup: dedup.into(),
        kind: MessageKind::Alert,
        to: "ann@example.com".into(),
        subject: format!("[cost] {dedup}"),
        text: "Hello\n.\n..\nFrom here\n".into(),
        html: Some("<p>Hello</p>".into()),
        attachments: vec![],
    }
}

/// What Python's parser makes of a mail.
fn read(mail: &str) -> Value {
    let mut child = Command::new(python())
        .arg(support_file("read_mail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().expect("a pipe").write_all(mail.as_bytes()).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test]
async fn g6_a_report_arrives_with_text_html_and_one_pdf_and_a_resend_has_the_same_id() {
    let sink = SmtpSink::start(&[]).await;
    let report = report::sample();
    let pdf = b"%PDF-1.7 stands for the report".to_vec();
    let text = report::text::render(&report);
    let html = report::html::render(&report).expect("the template is fine");
    let subject = report::words::subject(&report);
    let mail = ReportMail {
        kind: report.kind.word(),
        period: &report::words::period_name(&report),
        subject: &subject,
        text: &text,
        html: &html,
        pdf: Some(("costwarden-weekly-2026-W47.pdf", &pdf)),
    };
    let mailer = mailer(&sink, Security::None);
    for _ in 0..2 {
        assert_eq!(mailer.send(&mail.to("cfo@example.com"), now()).await, Outcome::Accepted);
    }
    let received = sink.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0], received[1], "the same bytes, Message-ID included");
    assert_eq!(
        (received[0].from.as_str(), &received[0].to[..]),
        ("costwarden@example.com", &["cfo@example.com".to_owned()][..])
    );

    let read = read(&received[0].data);
    assert_eq!(read["defects"], serde_json::json!([]));
    assert_eq!(header(&read, "Subject"), subject);
    assert_eq!(header(&read, "Auto-Submitted"), "auto-generated");
    assert_eq!(read["body"]["type"], "multipart/mixed");
    let parts = read["body"]["parts"].as_array().expect("parts");
    assert_eq!(parts[0]["type"], "multipart/alternative");
    assert_eq!(parts[0]["parts"][0]["type"], "text/plain");
    assert_eq!(normal(parts[0]["parts"][0]["text"].as_str().expect("text")), normal(&text));
    assert_eq!(parts[0]["parts"][1]["type"], "text/html");
    assert_eq!(normal(parts[0]["parts"][1]["text"].as_str().expect("html")), normal(&html));
    assert_eq!(parts.len(), 2, "exactly one attachment");
    assert_eq!(
        (&parts[1]["type"], &parts[1]["name"]),
        (&"application/pdf".into(), &"costwarden-weekly-2026-W47.pdf".into())
    );
    assert_eq!(parts[1]["bytes"], pdf.len());
}

#[tokio::test]
async fn h38_hostile_names_add_no_header_no_recipient_and_no_part() {
    let sink = SmtpSink::start(&[]).await;
    let mailer = mailer(&sink, Security::None);
    for (number, name) in HOSTILE_NAMES.into_iter().enumerate() {
        let hostile = Message {
            subject: format!("{name}\r\nBcc: all@example.com"),
            text: format!("{name}\r\n.\r\nRCPT TO:<all@example.com>\r\n"),
            ..message(&number.to_string())
        };
        assert_eq!(mailer.send(&hostile, now()).await, Outcome::Accepted);
    }
    let received = sink.received();
    assert_eq!(received.len(), HOSTILE_NAMES.len());
    assert!(received.iter().all(|mail| mail.to == ["ann@example.com"]));
    assert_eq!(sink.commands().iter().filter(|line| line.starts_with("RCPT")).count(), HOSTILE_NAMES.len());
    for mail in &received {
        let read = read(&mail.data);
        assert_eq!(read["defects"], serde_json::json!([]));
        assert_eq!(read["to"], serde_json::json!(["ann@example.com"]));
        let names: Vec<&str> = read["headers"]
            .as_array()
            .expect("headers")
            .iter()
            .map(|header| header[0].as_str().expect("a name"))
            .collect();
        assert_eq!(
            names,
            ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
        );
        assert_eq!(read["body"]["parts"].as_array().expect("parts").len(), 2);
    }
}

#[tokio::test]
async fn what_the_server_says_decides_whether_a_message_waits_or_dies() {
    let waits =
        |outcome: &Outcome, down| matches!(outcome, Outcome::TryLater { channel_down, .. } if *channel_down == down);
    for (step, expected) in [
        (Step::HangUp, "down"),
        (Step::Recipient(451, "greylisted, come back"), "later"),
        (Step::Recipient(421, "closing"), "down"),
        (Step::Recipient(550, "no such user"), "never"),
        (Step::Data(452, "out of space"), "later"),
        (Step::Data(552, "too large"), "never"),
        (Step::Data(554, "unwilling"), "later"),
        (Step::KeepThenReset, "down"),
        (Step::Accept, "accepted"),
    ] {
        let sink = SmtpSink::start(&[step]).await;
        let outcome = mailer(&sink, Security::None).send(&message("m"), now()).await;
        let fits = match expected {
            "down" => waits(&outcome, true),
            "later" => waits(&outcome, false),
            "never" => matches!(outcome, Outcome::Never(_)),
            _ => outcome == Outcome::Accepted,
        };
        assert!(fits, "{step:?} should be {expected}, is {outcome:?}");
        let kept = usize::from(matches!(step, Step::Accept | Step::KeepThenReset));
        assert_eq!((sink.received().len(), sink.sessions()), (kept, 1), "{step:?}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_mail_when_starttls_is_asked_for() {
    let sink = SmtpSink::start(&[]).await;
    let outcome = mailer(&sink, Security::Starttls).send(&message("m"), now()).await;
    assert!(matches!(outcome, Outcome::TryLater { channel_down: true, .. }), "{outcome:?}");
    assert_eq!(sink.received(), []);
    assert!(!sink.commands().iter().any(|line| line.starts_with("MAIL")), "{:?}", sink.commands());
}

#[tokio::test]
async fn h45_through_a_faulty_server_everything_arrives_and_only_a_lost_answer_doubles() {
    let script = [
        Step::Recipient(451, "greylisted"),
        Step::Accept,
        Step::KeepThenReset,
        Step::HangUp,
        Step::Data(452, "out of space"),
    ];
    let sink = SmtpSink::start(&script).await;
    let mailer = mailer(&sink, Security::None);
    let store = Store::in_memory().expect("a state in memory");
    let clock = Clock::virtual_at(now());
    let rows: Vec<_> = (0..6).map(|n| outgoing(&message(&format!("m{n}")), vec![]).expect("a row")).collect();
    store.enqueue(&rows, now()).expect("queued");
    for _ in 0..10 {
        let channels = Channels { mailer: Some(&mailer), slack: None, teams: None, webhooks: &Webhooks::default() };
        deliver_due(&store, channels, &clock, |_, _, _| {}).await.expect("the state works");
        clock.sleep(std::time::Duration::from_secs(600)).await;
    }
    let counts = store.outbox_counts().expect("counts");
    assert_eq!((counts.pending, counts.delivered, counts.dead), (0, 6, 0));
    let mut subjects: Vec<String> = sink.received().iter().map(|mail| header(&read(&mail.data), "Subject")).collect();
    subjects.sort();
    let twice = subjects.iter().filter(|subject| subjects.iter().filter(|other| other == subject).count() == 2).count();
    subjects.dedup();
    assert_eq!(subjects, (0..6).map(|n| format!("[cost] m{n}")).collect::<Vec<_>>());
    assert_eq!(twice, 2, "one mail came twice: the one whose answer was lost");
}

fn header(read: &Value, name: &str) -> String {
    let headers = read["headers"].as_array().expect("headers");
    let found = headers.iter().find(|header| header[0] == name).unwrap_or_else(|| panic!("no {name}: {headers:?}"));
    found[1].as_str().expect("a value").to_owned()
}

fn normal(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end().to_owned()
}
