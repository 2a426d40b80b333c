//! Mail: the only user of lettre.
//!
//! One message becomes one MIME mail to one recipient, and leaves by SMTP, into a folder, or into memory; all three
//! carry the same bytes. Foreign text never reaches an address or a display name, the subject is one line, and the
//! Message-ID derives from what makes the message the same, so a second copy after a crash can be told. It leaves out
//! when to try again: `outbox` does that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as MimeAttachment, Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::conceal::Conceal;
use super::{Message, MessageKind, Outcome, address};
use crate::domain::Instant;
use crate::domain::text::clean;

/// An attachment larger than this stays behind; the text says so.
pub const MAX_ATTACHMENT_BYTES: usize = 10 * 1024 * 1024;

/// Each step of an SMTP session may take this long.
const STEP: Duration = Duration::from_secs(30);
/// And the whole of it this long.
const SESSION: Duration = Duration::from_secs(180);

/// Where mail goes.
#[derive(Clone)]
pub enum Mailer {
    /// An SMTP server.
    Smtp(SmtpMailer),
    /// A folder of `.eml` files.
    Folder(FolderMailer),
    /// Memory, for tests and simulations.
    Memory(MemoryMailer),
}

/// Transport security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS; a server that does not offer it gets no mail.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Plain text, towards this machine only.
    None,
}

/// How to reach a server.
pub struct SmtpConfig {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Transport security.
    pub security: Security,
    /// User name and password.
    pub login: Option<(String, SecretString)>,
}

/// Mail by SMTP.
#[derive(Clone)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Sender,
    conceal: Conceal,
}

/// Mail as files.
#[derive(Clone)]
pub struct FolderMailer {
    folder: PathBuf,
    from: Sender,
    counts: bool,
}

/// Mail in memory; cloning shares it.
#[derive(Clone)]
pub struct MemoryMailer {
    from: Sender,
    inner: Arc<Mutex<MemoryState>>,
}

#[derive(Default)]
struct MemoryState {
    sent: Vec<Sent>,
    answer: Option<Outcome>,
    /// What is answered is not what was done: the mail is taken all the same.
    takes: bool,
}

/// One mail that a [`MemoryMailer`] took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// The message.
    pub message: Message,
    /// The mail as it would travel.
    pub bytes: Vec<u8>,
}

/// The fixed sender: an address without a display name.
#[derive(Clone)]
struct Sender {
    address: Address,
}

impl Mailer {
    /// By SMTP from `from`. Fails on a bad sender, on plain text to another machine, on unusable TLS.
    pub fn smtp(config: SmtpConfig, from: &str) -> Result<Mailer> {
        let tls = match config.security {
            Security::None => {
                let local = matches!(config.host.as_str(), "localhost" | "127.0.0.1" | "::1");
                ensure!(
                    local,
                    "mail.tls = \"none\" is for this machine alone, not for {:?}; use \"starttls\"",
                    config.host
                );
                Tls::None
            }
            Security::Starttls => Tls::Required(tls_parameters(&config.host)?),
            Security::Tls => Tls::Wrapper(tls_parameters(&config.host)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host)
            .port(config.port)
            .timeout(Some(STEP))
            .tls(tls);
        let mut conceal = Conceal::default();
        if let Some((user, password)) = config.login {
            conceal = Conceal::login(&user, &password);
            builder = builder.credentials(Credentials::new(user, password.expose_secret().to_owned()));
        }
        Ok(Mailer::Smtp(SmtpMailer { transport: builder.build(), from: Sender::new(from)?, conceal }))
    }

    /// Into a folder, made if it is missing. Only where `counts` (worlds, the demo) does a file count as delivery.
    pub fn folder(folder: &Path, from: &str, counts: bool) -> Result<Mailer> {
        std::fs::create_dir_all(folder).with_context(|| format!("making the mail folder {}", folder.display()))?;
        Ok(Mailer::Folder(FolderMailer { folder: folder.to_owned(), from: Sender::new(from)?, counts }))
    }

    /// Into memory.
    pub fn memory(from: &str) -> Result<(Mailer, MemoryMailer)> {
        let memory = MemoryMailer { from: Sender::new(from)?, inner: Arc::default() };
        Ok((Mailer::Memory(memory.clone()), memory))
    }

    /// Whether an accepted mail starts a grace period.
    pub fn counts(&self) -> bool {
        match self {
            Mailer::Smtp(_) | Mailer::Memory(_) => true,
            Mailer::Folder(folder) => folder.counts,
        }
    }

    /// Sends one message. Never fails in any other way than its outcome.
    pub async fn send(&self, message: &Message, now: Instant) -> Outcome {
        let from = match self {
            Mailer::Smtp(SmtpMailer { from, .. }) => from,
            Mailer::Folder(FolderMailer { from, .. }) => from,
            Mailer::Memory(MemoryMailer { from, .. }) => from,
        };
        let mail = match build(message, from, now) {
            Ok(mail) => mail,
            Err(reason) => return Outcome::Never(reason),
        };
        match self {
            Mailer::Smtp(smtp) => smtp.send(mail).await,
            Mailer::Folder(folder) => match folder.write(message, &mail.formatted(), now) {
                Ok(()) => Outcome::Accepted,
                Err(error) => Outcome::unreachable(format!("{error:#}")),
            },
            Mailer::Memory(memory) => memory.take(message, mail.formatted(), now),
        }
    }
}

impl SmtpMailer {
    async fn send(&self, mail: lettre::Message) -> Outcome {
        match tokio::time::timeout(SESSION, self.transport.send(mail)).await {
            Ok(Ok(_)) => Outcome::Accepted,
            Ok(Err(error)) => judge(&error, &self.conceal),
            Err(_) => Outcome::unreachable(format!("the SMTP server took longer than {} seconds", SESSION.as_secs())),
        }
    }
}

/// What an SMTP error means for this message. Only an answer that is about the recipient or the message itself ends
/// it: a refused login or an unwilling server is ours to mend, and the message waits. 554 can be either, so it waits.
fn judge(error: &lettre::transport::smtp::Error, conceal: &Conceal) -> Outcome {
    let reason = clean(&conceal.from(&chain(error)));
    let code = error.status().map(|code| code.to_string()).and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(501 | 510 | 511 | 550..=553 | 555 | 556) => Outcome::Never(reason),
        Some(421) | None => Outcome::unreachable(reason),
        Some(530 | 534 | 535 | 538) => Outcome::unreachable(reason),
        Some(_) => Outcome::try_later(reason),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

impl FolderMailer {
    /// Written beside and renamed, so that a reader never sees half a mail. The name sorts by time.
    fn write(&self, message: &Message, bytes: &[u8], now: Instant) -> Result<()> {
        let who: String = message
            .to
            .chars()
            .map(
                |character| {
                    if character.is_ascii_alphanumeric() || ".@-_".contains(character) { character } else { '_' }
                },
            )
            .take(60)
            .collect();
        let stamp = now.format("%Y%m%dT%H%M%S%.6fZ");
        let id = hex(&Sha256::digest(identity(message).as_bytes())[..4]);
        let name = format!("{stamp}-{}-{who}-{id}.eml", message.kind.word());
        write_durably(&self.folder, &name, bytes)
    }
}

/// Writes a file so that it is there whole or not at all, and still there after a power cut.
pub(super) fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let (beside, path) = (folder.join(format!(".{name}.part")), folder.join(name));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

impl MemoryMailer {
    /// Everything taken so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.lock().sent.clone()
    }

    /// From now on every mail gets this answer and, unless it is accepted, is not taken. `None` accepts again.
    pub fn answer_with(&self, answer: Option<Outcome>) {
        let mut inner = self.lock();
        (inner.answer, inner.takes) = (answer, false);
    }

    /// From now on every mail is taken and its sender gets this answer: a connection that is lost after the last dot.
    pub fn take_and_answer(&self, answer: Outcome) {
        let mut inner = self.lock();
        (inner.answer, inner.takes) = (Some(answer), true);
    }

    /// Mails taken so far but the first `known` of them: when, and what.
    pub fn taken_since(&self, known: usize) -> Vec<(Instant, Message)> {
        self.lock().sent.iter().skip(known).map(|sent| (sent.at, sent.message.clone())).collect()
    }

    fn take(&self, message: &Message, bytes: Vec<u8>, at: Instant) -> Outcome {
        let mut inner = self.lock();
        let refused = inner.answer.clone().filter(|answer| *answer != Outcome::Accepted);
        if refused.is_none() || inner.takes {
            inner.sent.push(Sent { at, message: message.clone(), bytes });
        }
        refused.unwrap_or(Outcome::Accepted)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, MemoryState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    fn new(from: &str) -> Result<Sender> {
        let (user, domain) = address::parse(from).map_err(|reason| {
            anyhow::anyhow!("mail.from: {reason}; accepted: one address such as costwarden@example.com")
        })?;
        Ok(Sender { address: Address::new(user, domain).with_context(|| format!("mail.from: {from:?}"))? })
    }
}

/// What makes a message the same: its subject matter and its recipient.
fn identity(message: &Message) -> String {
    format!("{}\n{}", message.dedup, message.to)
}

/// The mail, or why it can never be one.
fn build(message: &Message, from: &Sender, now: Instant) -> Result<lettre::Message, String> {
    let (user, domain) = address::parse(&message.to)?;
    let to = Address::new(user, domain).map_err(|error| format!("{:?}: {error}", message.to))?;
    let id = hex(&Sha256::digest(identity(message).as_bytes())[..16]);
    let host = from.address.domain();

    // No display name, ever: lettre panics on line breaks in one, and a tag could spoof a person with it.
    let mut builder = MessageBuilder::new()
        .from(Mailbox::new(None, from.address.clone()))
        .to(Mailbox::new(None, to))
        .subject(clean(&message.subject))
        .date(SystemTime::from(now))
        .message_id(Some(format!("<{id}@{host}>")))
        .raw_header(header("Auto-Submitted", "auto-generated"));
    if message.kind == MessageKind::Report {
        builder = builder.raw_header(header("List-Id", &format!("<reports.costwarden.{host}>")));
    }

    let (small, large): (Vec<_>, Vec<_>) =
        message.attachments.iter().partition(|attachment| attachment.bytes.len() <= MAX_ATTACHMENT_BYTES);
    let mut text = message.text.clone();
    for attachment in large {
        text.push_str(&format!(
            "\n{} ({} MiB) is too large for a mail; `costwarden report` writes it again.\n",
            clean(&attachment.name),
            attachment.bytes.len() / (1024 * 1024)
        ));
    }
    // Derived from everything, so that no text inside can contain it.
    let mut seed = Sha256::new();
    seed.update(text.as_bytes());
    seed.update(message.html.as_deref().unwrap_or_default().as_bytes());
    for attachment in &small {
        seed.update(&attachment.bytes);
    }
    let boundary = hex(&seed.finalize()[..16]);

    let plain = SinglePart::plain(text);
    let body = match &message.html {
        Some(html) => MultiPart::alternative()
            .boundary(format!("alternative-{boundary}"))
            .singlepart(plain)
            .singlepart(SinglePart::html(html.clone())),
        None => MultiPart::mixed().boundary(format!("text-{boundary}")).singlepart(plain),
    };
    let mail = if small.is_empty() {
        builder.multipart(body)
    } else {
        let mut mixed = MultiPart::mixed().boundary(format!("mixed-{boundary}")).multipart(body);
        for attachment in small {
            let media_type = ContentType::parse(&attachment.media_type)
                .map_err(|_| format!("{:?} is not a media type", attachment.media_type))?;
            let name: String = attachment
                .name
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' })
                .collect();
            mixed = mixed.singlepart(MimeAttachment::new(name).body(attachment.bytes.clone(), media_type));
        }
        builder.multipart(mixed)
    };
    mail.map_err(|error| format!("the mail could not be made: {error}"))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn tls_parameters(host: &str) -> Result<TlsParameters> {
    TlsParameters::new(host.to_owned()).with_context(|| format!("setting up TLS for the SMTP server {host:?}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::Attachment;
    use crate::report::sample::HOSTILE_NAMES;

    fn message() -> Message {
        Message {
            dedup: "notice:ann@example.com:scan-1".into(),
            kind: MessageKind::Notice,
            to: "ann@example.com".into(),
            subject: "[cost] Two of your resources".into(),
            text: "Hello\n".into(),
            html: Some("<p>Hello</p>".into()),
            attachments: vec![],
        }
    }

    fn now() -> Instant {
        "2026-11-22T02:00:00Z".parse().unwrap()
    }

    fn mail(message: &Message) -> String {
        let from = Sender::new("costwarden@example.com").unwrap();
        String::from_utf8(build(message, &from, now()).unwrap().formatted()).unwrap()
    }

    #[test]
    fn the_mail_is_the_same_bytes_for_the_same_message() {
        assert_eq!(mail(&message()), mail(&message()));
        insta::assert_snapshot!(mail(&message()).replace("\r\n", "\n"));
    }

    #[test]
    fn the_message_id_derives_from_dedup_and_recipient_alone() {
        let id =
            |message: &Message| mail(message).lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
        let again = Message { text: "Other words".into(), ..message() };
        assert_eq!(id(&message()), id(&again));
        assert_ne!(id(&message()), id(&Message { dedup: "notice:ann@example.com:scan-2".into(), ..message() }));
        assert_ne!(id(&message()), id(&Message { to: "bob@example.com".into(), ..message() }));
    }

    #[test]
    fn h38_foreign_text_in_a_subject_adds_no_header_and_never_panics() {
        for name in HOSTILE_NAMES {
            for subject in [name.to_owned(), format!("{name}\r\nBcc: all@example.com"), format!("a\n\n{name}\0")] {
                let mail = mail(&Message { subject, ..message() });
                let headers: Vec<&str> = mail.split("\r\n\r\n").next().unwrap().split("\r\n").collect();
                let names: Vec<&str> = (headers.iter())
                    .filter(|line| !line.starts_with([' ', '\t']))
                    .map(|line| line.split(':').next().unwrap())
                    .collect();
                assert_eq!(
                    names,
                    ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
                );
            }
        }
    }

    #[test]
    fn h38_a_bad_recipient_is_never_tried() {
        let from = Sender::new("costwarden@example.com").unwrap();
        for to in ["ann@example.com\r\nRCPT TO:<x@y.z>", "Ann <ann@example.com>", "a@b,c@d", "slack:#room", ""] {
            assert!(build(&Message { to: to.into(), ..message() }, &from, now()).is_err(), "{to:?}");
        }
        assert!(Sender::new("Cost Warden <c@example.com>").is_err());
    }

    #[test]
    fn a_very_large_attachment_stays_behind_and_the_text_says_so() {
        let attachment = |bytes| Attachment { name: "r.pdf".into(), media_type: "application/pdf".into(), bytes };
        let small = mail(&Message { attachments: vec![attachment(vec![b'x'; 1000])], ..message() });
        assert!(small.contains("multipart/mixed") && small.contains("filename=\"r.pdf\""));
        let large = mail(&Message { attachments: vec![attachment(vec![b'x'; MAX_ATTACHMENT_BYTES + 1])], ..message() });
        assert!(!large.contains("multipart/mixed") && large.contains("too large for a mail"));
    }

    #[test]
    fn plain_text_smtp_leaves_this_machine_never() {
        let config = |host: &str| SmtpConfig { host: host.into(), port: 25, security: Security::None, login: None };
        assert!(Mailer::smtp(config("127.0.0.1"), "c@example.com").is_ok());
        for host in ["mail.example.com", "127.0.0.1.example.com", "10.0.0.1", "localhost.example.com"] {
            assert!(Mailer::smtp(config(host), "c@example.com").is_err(), "{host}");
        }
    }

    #[tokio::test]
    async fn a_folder_keeps_whole_mails_whose_names_sort_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::folder(folder.path(), "costwarden@example.com", true).unwrap();
        for hours in [3, 1, 2] {
            let at = now() + chrono::TimeDelta::hours(hours);
            assert_eq!(mailer.send(&Message { dedup: hours.to_string(), ..message() }, at).await, Outcome::Accepted);
        }
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let hours: Vec<&str> = names.iter().map(|name| &name[9..11]).collect();
        assert_eq!(hours, ["03", "04", "05"]);
        assert!(names.iter().all(|name| name.ends_with(".eml") && !name.starts_with('.')));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_tried_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::folder(&folder.path().join("mail"), "costwarden@example.com", false).unwrap();
        std::fs::remove_dir(folder.path().join("mail")).unwrap();
        assert!(matches!(mailer.send(&message(), now()).await, Outcome::TryLater { .. }));
        assert!(!mailer.counts(), "a folder starts no grace period outside worlds");
    }
}
