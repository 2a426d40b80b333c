//! `[mail]` as people write it; `settings::mail` checks it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[mail]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMail {
    /// `smtp`, or `folder` for `.eml` files (counts as delivery only in worlds and the demo).
    #[serde(default)]
    pub backend: RawBackend,
    /// The fixed sender: an address, or `Name <address>`.
    pub from: String,
    /// SMTP: host name.
    #[schemars(length(min = 1))]
    pub host: Option<String>,
    /// SMTP: port; 587 for starttls, 465 for tls, 25 for none when absent.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// SMTP: transport security; `none` only towards this very machine.
    #[serde(default)]
    pub tls: RawTls,
    /// SMTP: user name.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// SMTP: file with the password, relative to this file, or `credential:NAME`.
    #[schemars(length(min = 1))]
    pub password_file: Option<String>,
    /// Folder: where the files go, relative to this file.
    #[schemars(length(min = 1))]
    pub folder: Option<String>,
}

/// `mail.backend`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawBackend {
    /// A server.
    #[default]
    Smtp,
    /// A folder.
    Folder,
}

/// `mail.tls`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawTls {
    /// STARTTLS, required.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Plain text.
    None,
}
