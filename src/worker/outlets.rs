//! Where messages go: the channels of the settings, opened.
//!
//! Commands and the daemon open them once; the outbox takes them at each delivery. Secrets are read here, from files,
//! and kept nowhere else.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::deliver::hook::Reach;
use crate::deliver::mail::{Mailer, Security, SmtpConfig};
use crate::deliver::outbox::Channels;
use crate::deliver::slack::Slack;
use crate::deliver::teams::Teams;
use crate::deliver::webhook::Webhooks;
use crate::settings::{MailBackend, Settings, SmtpTls, read_secret};

/// Opened channels.
pub struct Outlets {
    mailer: Option<Mailer>,
    slack: Option<Slack>,
    teams: Option<Teams>,
    webhooks: Webhooks,
}

impl Outlets {
    /// From the settings; `world` says that a mail folder counts as delivery.
    ///
    /// # Errors
    /// When a secret cannot be read, a server cannot be addressed or a folder cannot be made.
    pub fn open(settings: &Settings, world: bool) -> anyhow::Result<Outlets> {
        let mailer = match &settings.mail {
            None => None,
            Some(mail) => Some(match &mail.backend {
                MailBackend::Folder(folder) => Mailer::folder(folder, &mail.from, world)?,
                MailBackend::Smtp { host, port, tls, login } => {
                    let login = match login {
                        Some((user, file)) => Some((user.clone(), read_secret(file)?)),
                        None => None,
                    };
                    let security = match tls {
                        SmtpTls::Starttls => Security::Starttls,
                        SmtpTls::Tls => Security::Tls,
                        SmtpTls::None => Security::None,
                    };
                    Mailer::smtp(SmtpConfig { host: host.clone(), port: *port, security, login }, &mail.from)?
                }
            }),
        };
        let rooms = hooks(&settings.slack)?;
        let slack = if rooms.is_empty() { None } else { Some(Slack::hooks(rooms, Reach::Public)?) };
        let channels = hooks(&settings.teams)?;
        let teams = if channels.is_empty() { None } else { Some(Teams::hooks(channels, Reach::Public)?) };
        let secret = settings.webhooks.secret_file.as_deref().map(read_secret).transpose()?;
        let webhooks = Webhooks::new(secret, settings.webhooks.internal_hosts.clone())?;
        Ok(Outlets { mailer, slack, teams, webhooks })
    }

    /// Into folders that count as delivery, for worlds and the demo.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn folders(folder: &Path, from: &str) -> anyhow::Result<Outlets> {
        Ok(Outlets {
            mailer: Some(Mailer::folder(&folder.join("mail"), from, true)?),
            slack: Some(Slack::folder(&folder.join("slack"))?),
            teams: Some(Teams::folder(&folder.join("teams"))?),
            webhooks: Webhooks::default(),
        })
    }

    /// Mail alone, by a mailer that is open already: for simulations.
    pub fn mail(mailer: Mailer) -> Outlets {
        Outlets { mailer: Some(mailer), slack: None, teams: None, webhooks: Webhooks::default() }
    }

    /// As the outbox takes them.
    pub fn channels(&self) -> Channels<'_> {
        let (slack, teams) = (self.slack.as_ref(), self.teams.as_ref());
        Channels { mailer: self.mailer.as_ref(), slack, teams, webhooks: &self.webhooks }
    }
}

fn hooks(rooms: &[(String, PathBuf)]) -> anyhow::Result<Vec<(String, SecretString)>> {
    rooms.iter().map(|(room, file)| Ok((room.clone(), read_secret(file)?))).collect()
}
