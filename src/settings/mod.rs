//! Settings: one TOML file, checked into values that the rest of the program can trust.
//!
//! `raw` holds the serde shapes (unknown keys refused), `load` finds the file, `check` turns it into values or into
//! errors with file, line, what was given and what is accepted. `show`, `init` and `cross` are what `config show`,
//! `init` and `config check` print. Secrets never stand in the file: it names files or systemd credentials, and
//! `secret` reads them. `files` opens policy files for the pure front end in `policy`. Nothing outside the account
//! list is ever touched.

mod accounts;
mod check;
mod cross;
mod files;
pub mod fuzz;
mod init;
mod load;
mod mail;
mod raw;
mod secret;
mod show;
mod when;

use std::path::PathBuf;

use crate::domain::exception::{ApproverRules, Exception};
use crate::domain::mode::{Breaker, Mode, Pace, Window};
use crate::domain::place::{AccountId, Region};
use crate::policy::document::{self, schema_of};

pub use cross::cross_check;
pub use files::{load_policies, policy_files, read_text};
pub use init::init_files;
pub use load::{SYSTEM_FILE, defaults_for_world, find, load, parse};
pub use secret::{SecretError, read_secret};
pub use show::{Origin, Shown, show_text};

/// Every mistake of a settings file.
pub type SettingsError = document::Errors;

/// The environment, as a function of a variable's name.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// JSON Schema of the settings file.
pub fn schema() -> serde_json::Value {
    let mut schema = schema_of::<raw::RawSettings>();
    schema["title"] = "costwarden settings".into();
    schema
}

/// Everything that a person can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file they came from; `None` for built-in defaults (worlds and the demo).
    pub origin: Option<PathBuf>,
    /// Where the state file and its locks live.
    pub state_dir: PathBuf,
    /// Policy files and folders, resolved against the settings file's folder.
    pub policies: Vec<PathBuf>,
    /// `policy_source`; default files.
    pub policies_from: PoliciesFrom,
    /// Zone of schedule and reports.
    pub zone: chrono_tz::Tz,
    /// The accounts; nothing else is touched.
    pub accounts: Vec<AccountSettings>,
    /// `[enforcement]`
    pub enforcement: Enforcement,
    /// `[schedule]`: five-field cron patterns in `zone`.
    pub schedule: SchedulePatterns,
    /// `[owners]`
    pub owners: Owners,
    /// `[tags]`
    pub tags: TagSettings,
    /// `[[exceptions]]`
    pub exceptions: Vec<Exception>,
    /// `[approvals]`
    pub approvals: ApproverRules,
    /// Whether two yeses to one act must come from two people's logins; default false.
    pub distinct_logins: bool,
    /// `[mail]`; without it nothing is sent, so no grace period starts.
    pub mail: Option<MailSettings>,
    /// `[slack]`: room name (`#finops`) to the file that holds its webhook address; for [`read_secret`].
    pub slack: Vec<(String, PathBuf)>,
    /// `[teams]`: a channel's name to the file that holds its webhook address; for [`read_secret`].
    pub teams: Vec<(String, PathBuf)>,
    /// `[webhooks]`
    pub webhooks: WebhookSettings,
    /// `[reports]`
    pub reports: ReportSettings,
    /// `[costs]`
    pub costs: CostSettings,
    /// `[inventory]`
    pub inventory: InventorySettings,
    /// `[drill]`: days from one restore drill to the next; 0 (the default) is off.
    pub drill_every_days: u32,
    /// Every value with its origin, as loaded; for `config show`.
    pub shown: Vec<Shown>,
}

/// Where the policies in force come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PoliciesFrom {
    /// The files that the settings name.
    #[default]
    Files,
    /// The state: the versions that the life cycle has in force.
    Store,
}

/// One account of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Twelve digits.
    pub id: AccountId,
    /// For people.
    pub name: Option<String>,
    /// Role to assume; without it the ambient credentials must be this account's.
    pub role_arn: Option<String>,
    /// External id for the role.
    pub external_id: Option<String>,
    /// Role for acting; the reading role when absent.
    pub actor_role_arn: Option<String>,
    /// At least one.
    pub regions: Vec<Region>,
    /// Who is told about its resources when no tag names anyone; an address of an allowed domain.
    pub contact: Option<String>,
}

/// How far the worker may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// Default observe.
    pub mode: Mode,
    /// R9; default false.
    pub allow_auto_terminate: bool,
    /// R11; default false.
    pub allow_auto_delete_volumes: bool,
    /// R8; default true.
    pub create_snapshot_before_stop: bool,
    /// Stop instances although an auto-assigned public IPv4 address is lost; default false.
    pub allow_public_ip_loss: bool,
    /// Days that a Recycle Bin rule keeps deleted snapshots in every account and Region, as a person claims; default none.
    pub recycle_bin_days: Option<u32>,
    /// Limits.
    pub pace: Pace,
    /// Circuit breaker.
    pub breaker: Breaker,
    /// Action window and holidays.
    pub window: Window,
    /// Never touched: resource ids, or `tag:KEY=VALUE`, or `tag:KEY`.
    pub protect: Vec<String>,
}

/// Cron patterns, five fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulePatterns {
    /// Default `0 2 * * *`.
    pub scan: String,
    /// Default `0 10 * * 1-4`.
    pub act: String,
    /// Default `0 9 * * *`.
    pub daily: String,
    /// Default `0 9 * * 1`.
    pub weekly: String,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    /// Tag keys that may hold an owner's address, in order; default `owner`, `Owner`.
    pub tags: Vec<String>,
    /// Tag keys that may say who made a resource, asked when no owner tag is believed.
    pub creator_tags: Vec<String>,
    /// Domains whose addresses are believed.
    pub allowed_domains: Vec<String>,
    /// Who is told when no tag names anyone and the account has no contact; without it such a finding is never acted on.
    pub default_owner: Option<String>,
}

/// Tags we write and tags that do not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSettings {
    /// Prefix of our own tags; default `costwarden:`.
    pub prefix: String,
    /// Keys that may change without a resource counting as changed.
    pub ignore: Vec<String>,
    /// The tag that names the team in reports; default `cost-center`.
    pub team: String,
}

/// How mail leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    /// Server or folder.
    pub backend: MailBackend,
    /// The fixed sender.
    pub from: String,
}

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailBackend {
    /// An SMTP server.
    Smtp {
        /// Host name.
        host: String,
        /// Port; default 587 (starttls), 465 (tls), 25 (none).
        port: u16,
        /// Transport security; default starttls.
        tls: SmtpTls,
        /// User name and the file that holds the password; for [`read_secret`].
        login: Option<(String, PathBuf)>,
    },
    /// A folder of `.eml` files. Counts as delivery only in worlds and the demo.
    Folder(PathBuf),
}

/// Transport security of SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// STARTTLS, required.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Plain text: only towards loopback addresses.
    None,
}

/// How webhooks leave that policies and operators name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The file of the secret that they are signed with; for [`read_secret`]. Without it they leave unsigned.
    pub secret_file: Option<PathBuf>,
    /// Hosts in private networks that they may reach, by their exact names; all others have to be public.
    pub internal_hosts: Vec<String>,
}

/// Who gets reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// Recipients of daily and weekly reports; S0's sample is `compliance@example.com`.
    pub to: Vec<String>,
    /// Send a daily report even when nothing changed; default true.
    pub daily_when_quiet: bool,
}

/// Cost Explorer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostSettings {
    /// Read costs at all: each request costs 0.01 dollars. Default false; `init` explains it.
    pub enabled: bool,
    /// Cost-allocation tags to group by; budgets select by these.
    pub tags: Vec<String>,
    /// Most requests in a day; default 20.
    pub requests_per_day: u32,
}

/// How inventories are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventorySettings {
    /// Inventory floor: percent that a partition may shrink; default 30.
    pub floor_percent: u32,
    /// Inventory floor: resources that it may shrink by whatever the percentage; default 10.
    pub floor_count: u64,
    /// Places read side by side; default 8.
    pub concurrency: usize,
    /// Nights kept; default 35.
    pub keep_nights: u32,
    /// Oldest complete scan that an act may rest on, in hours; default 26.
    pub max_age_hours: u32,
}

#[cfg(test)]
mod tests;
