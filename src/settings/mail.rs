//! `[mail]`: server or folder, never half of each.

use std::net::IpAddr;

use super::check::Base;
use super::raw::{RawBackend, RawMail, RawTls};
use super::{MailBackend, MailSettings, SmtpTls};
use crate::domain::text::clean;
use crate::policy::document::{At, Checker};
use crate::policy::{is_domain, is_mail_address};

/// The checked mail settings, or `None` after noting what is wrong.
pub(super) fn mail(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawMail, base: &Base<'_>) -> Option<MailSettings> {
    let before = checker.count();
    if !is_sender(&raw.from) {
        let problem = format!("{:?} is not a sender", clean(&raw.from));
        checker.fail(&at.key("from"), problem, "an address, or \"Name <address>\" with a plain name");
    }
    let backend = match raw.backend {
        RawBackend::Smtp => smtp(checker, at, raw, base),
        RawBackend::Folder => folder(checker, at, raw, base),
    }?;
    (checker.count() == before).then(|| MailSettings { backend, from: raw.from.clone() })
}

fn folder(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawMail, base: &Base<'_>) -> Option<MailBackend> {
    for key in ["host", "port", "tls", "user", "password_file"] {
        if at.key(key).exists() {
            checker.fail(&at.name_of(key), format!("{key} is for backend = \"smtp\""), "folder and from");
        }
    }
    let Some(path) = &raw.folder else {
        checker.fail(&at.key("folder"), "the key \"folder\" is missing", "where the .eml files go");
        return None;
    };
    Some(MailBackend::Folder(base.folder.join(path)))
}

fn smtp(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawMail, base: &Base<'_>) -> Option<MailBackend> {
    if raw.folder.is_some() {
        checker.fail(
            &at.name_of("folder"),
            "folder is for backend = \"folder\"",
            "host, port, tls, user, password_file",
        );
    }
    let (tls, usual_port) = match raw.tls {
        RawTls::Starttls => (SmtpTls::Starttls, 587),
        RawTls::Tls => (SmtpTls::Tls, 465),
        RawTls::None => (SmtpTls::None, 25),
    };
    let login = match (&raw.user, &raw.password_file) {
        (Some(user), Some(file)) => Some((user.clone(), base.secret(checker, &at.key("password_file"), file))),
        (None, None) => None,
        (user, _) => {
            let (given, missing) = if user.is_some() { ("user", "password_file") } else { ("password_file", "user") };
            checker.fail(&at.name_of(given), format!("{given} stands without {missing}"), "both, or neither");
            None
        }
    };
    let Some(host) = &raw.host else {
        checker.fail(&at.key("host"), "the key \"host\" is missing", "the SMTP server's host name");
        return None;
    };
    if host.parse::<IpAddr>().is_err() && !is_domain(host) {
        checker.fail(&at.key("host"), format!("{:?} is not a host name", clean(host)), "a host name or an IP address");
    }
    if tls == SmtpTls::None && !is_loopback(host) {
        let problem = format!("plain text towards {:?} would show every mail to the network", clean(host));
        checker.fail(&at.key("tls"), problem, "starttls or tls; none only for localhost, 127.0.0.1 or ::1");
    }
    Some(MailBackend::Smtp { host: host.clone(), port: raw.port.unwrap_or(usual_port), tls, login })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `name@example.com`, or `Name <name@example.com>` where the name cannot break a header.
fn is_sender(text: &str) -> bool {
    match text.split_once('<') {
        None => is_mail_address(text),
        Some((name, rest)) => {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
            !name.trim().is_empty() && name.chars().all(plain) && rest.strip_suffix('>').is_some_and(is_mail_address)
        }
    }
}
