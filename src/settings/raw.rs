//! The settings file as people write it.
//!
//! Unknown keys are refused everywhere, and every default stands here in one place: `config show` prints it, the JSON
//! Schema carries it, and `config/costwarden.toml` is held equal to it by a test. What words and numbers mean is
//! checked in `check`.

mod mail;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PoliciesFrom;
use crate::domain::mode::{Breaker, Mode, Pace};

pub use mail::{RawBackend, RawMail, RawTls};

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSettings {
    /// Folder of the state file and its locks; `$STATE_DIRECTORY`, else `./costwarden-state`, when absent.
    #[schemars(length(min = 1))]
    pub state_dir: Option<String>,
    /// Policy files, and folders whose `.yaml` files are loaded in name order; relative to this file.
    pub policies: Vec<String>,
    /// Where the policies in force come from: `files` are those of `policies`, `store` the active versions of the life
    /// cycle (`costwarden policy`).
    pub policy_source: PoliciesFrom,
    /// Time zone of schedule, action window and reports, by its IANA name.
    pub zone: String,
    /// The accounts; nothing outside this list is touched.
    pub accounts: Vec<RawAccount>,
    /// How far the worker may go.
    pub enforcement: RawEnforcement,
    /// When it works.
    pub schedule: RawSchedule,
    /// Who is told.
    pub owners: RawOwners,
    /// Tags.
    pub tags: RawTags,
    /// Resources that a rule does not act on, for a while.
    pub exceptions: Vec<RawException>,
    /// Who grants exceptions and acts.
    pub approvals: RawApprovals,
    /// How mail leaves; without it nothing is sent, so no grace period starts.
    pub mail: Option<RawMail>,
    /// Slack rooms such as `#finops`, with the file that holds the webhook's address, or `credential:NAME`.
    pub slack: BTreeMap<String, String>,
    /// Teams channels by a name of your own, such as `finops`, with the file that holds the webhook's address, or
    /// `credential:NAME`.
    pub teams: BTreeMap<String, String>,
    /// Webhooks that policies and operators name.
    pub webhooks: RawWebhooks,
    /// Reports.
    pub reports: RawReports,
    /// Cost Explorer.
    pub costs: RawCosts,
    /// How inventories are read and believed.
    pub inventory: RawInventory,
    /// Restore drills.
    pub drill: RawDrill,
}

/// One account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAccount {
    /// Twelve digits, in quotes.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Role to assume for reading; without it the ambient credentials must be this account's.
    pub role_arn: Option<String>,
    /// External id for the roles.
    #[schemars(length(min = 1))]
    pub external_id: Option<String>,
    /// Role to assume for acting; the reading role when absent.
    pub actor_role_arn: Option<String>,
    /// Regions to look at.
    #[schemars(length(min = 1))]
    pub regions: Vec<String>,
    /// Who is told about its resources when no tag names anyone: an address of `owners.allowed_domains`.
    #[schemars(length(min = 1, max = 254))]
    pub contact: Option<String>,
}

/// `[enforcement]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawEnforcement {
    /// `observe` never changes anything and tells no owner; `notify` tells owners; `enforce` acts on armed accounts.
    pub mode: Mode,
    /// Terminate instances (R9).
    pub allow_auto_terminate: bool,
    /// Delete volumes (R11).
    pub allow_auto_delete_volumes: bool,
    /// Back up before a stop (R8).
    pub create_snapshot_before_stop: bool,
    /// Stop instances although their auto-assigned public IPv4 address is lost.
    pub allow_public_ip_loss: bool,
    /// A Recycle Bin retention rule keeps deleted EBS snapshots so many days, in every account and Region of this file.
    /// No snapshot is deleted where this is absent; where it is given, two people must still approve each deletion.
    #[schemars(range(min = 1, max = 365))]
    pub recycle_bin_days: Option<u32>,
    /// Never touched: resource ids, `tag:KEY` or `tag:KEY=VALUE`.
    pub protect: Vec<String>,
    /// A policy that becomes newly due on more findings than this (or `breaker_percent`) is held whole.
    #[schemars(range(min = 0, max = 100_000))]
    pub breaker_count: u32,
    /// The same in percent of the kind; the larger of both holds.
    #[schemars(range(min = 0, max = 100))]
    pub breaker_percent: u32,
    /// The same in dollars a month; absent is off.
    #[schemars(range(min = 0.0, max = 1e12))]
    pub breaker_usd: Option<f64>,
    /// The same in different owners; absent is off. What has no owner counts as one of its own.
    #[schemars(range(min = 0, max = 100_000))]
    pub breaker_owners: Option<u32>,
    /// Most changes in a run and in a day, per account; 0 means none.
    pub pace: RawPace,
    /// When acts may happen.
    pub window: RawWindow,
}

/// `[enforcement.pace]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPace {
    /// Deletes and terminates in one run.
    #[schemars(range(min = 0, max = 1000))]
    pub destructive_per_run: u32,
    /// Stops and resizes in one run.
    #[schemars(range(min = 0, max = 10_000))]
    pub disruptive_per_run: u32,
    /// Deletes and terminates in one day.
    #[schemars(range(min = 0, max = 1000))]
    pub destructive_per_day: u32,
    /// Tag writes in one run.
    #[schemars(range(min = 0, max = 100_000))]
    pub tags_per_run: u32,
    /// Percent of the resources of a kind that may change in one day; at least one resource, unless 0.
    #[schemars(range(min = 0, max = 100))]
    pub percent_of_kind_per_day: u32,
}

/// `[enforcement.window]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawWindow {
    /// Days of the week.
    #[schemars(length(min = 1))]
    pub days: Vec<RawDay>,
    /// First minute, `HH:MM`.
    pub from: String,
    /// First minute after it, `HH:MM`.
    pub to: String,
    /// Days without acts, `YYYY-MM-DD`.
    pub holidays: Vec<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawDay {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// `[schedule]`: cron patterns of five fields.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSchedule {
    /// Inventory, evaluation, notices.
    pub scan: String,
    /// Acts, inside the window only.
    pub act: String,
    /// Daily report.
    pub daily: String,
    /// Weekly report.
    pub weekly: String,
}

/// `[owners]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOwners {
    /// Tag keys that may hold an owner's mail address, in order.
    #[schemars(length(min = 1))]
    pub tags: Vec<String>,
    /// Tag keys that may say who made a resource, asked in order when no owner tag is believed. The value is an address,
    /// or what AWS writes (`AssumedRole:ID:SESSION`) with an address as its name.
    pub creator_tags: Vec<String>,
    /// Domains whose addresses are believed; a tag or contact of another domain is not.
    pub allowed_domains: Vec<String>,
    /// Who is told when no tag names anyone and the account has no contact; without it such a finding is never acted on.
    pub default_owner: Option<String>,
}

/// `[tags]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawTags {
    /// Prefix of the tags that the worker writes.
    pub prefix: String,
    /// Keys that may change without a resource counting as changed since its notice.
    pub ignore: Vec<String>,
    /// The tag that names the team in reports.
    #[schemars(length(min = 1))]
    pub team: String,
}

/// `[[exceptions]]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawException {
    /// A name that people use, for example `EXC-12`.
    #[schemars(length(min = 1))]
    pub id: String,
    /// The resource's id, for example `vol-0a1b`.
    pub resource: String,
    /// Its account; any when absent.
    pub account: Option<String>,
    /// The policy's name.
    #[schemars(length(min = 1))]
    pub policy: String,
    /// One rule of the policy; all when absent.
    #[schemars(length(min = 1))]
    pub rule: Option<String>,
    /// Why; shown wherever the exception is.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// Who approved it.
    #[schemars(length(min = 1))]
    pub approved_by: String,
    /// Last day on which it holds (UTC, `YYYY-MM-DD`), or last instant (`2026-12-31T12:00:00Z`).
    pub until: String,
}

/// `[approvals]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawApprovals {
    /// FinOps, by mail address: decides for the policies of `finops_for`, and where nobody else may.
    pub finops: Vec<String>,
    /// Security, by mail address: decides for the policies of `security_for`.
    pub security: Vec<String>,
    /// Policies whose exceptions FinOps decides on.
    pub finops_for: Vec<String>,
    /// Policies whose exceptions security decides on.
    pub security_for: Vec<String>,
    /// Who decides for whom: a person's mail address, and the manager's.
    pub managers: BTreeMap<String, String>,
    /// How long a request for an exception holds the act by itself, at most, in hours.
    #[schemars(range(min = 1, max = 336))]
    pub hold_hours: u32,
    /// Take a second yes to an act only from another person's login on this machine, as the operating system tells it;
    /// a login that cannot be told, or that services share, is not another one.
    pub distinct_logins: bool,
}

/// `[webhooks]`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawWebhooks {
    /// File with the secret that webhooks are signed with (32 characters or more), relative to this file, or
    /// `credential:NAME`; without it they leave unsigned.
    #[schemars(length(min = 1))]
    pub secret_file: Option<String>,
    /// Hosts in private networks that webhooks may reach, by their exact names; all others have to be public.
    pub internal_hosts: Vec<String>,
}

/// `[reports]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawReports {
    /// Recipients of daily and weekly reports.
    pub to: Vec<String>,
    /// Send a daily report even when nothing changed.
    pub daily_when_quiet: bool,
}

/// `[costs]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCosts {
    /// Read costs; each request costs 0.01 dollars.
    pub enabled: bool,
    /// Cost-allocation tags to group by; budgets select by these.
    pub tags: Vec<String>,
    /// Most requests in a day.
    #[schemars(range(min = 0, max = 1000))]
    pub requests_per_day: u32,
}

/// `[drill]`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDrill {
    /// Days from one restore drill to the next; 0 is off.
    #[schemars(range(min = 0, max = 365))]
    pub every_days: u32,
}

/// `[inventory]`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawInventory {
    /// A listing that shrank by more than this percentage, and by more than `floor_count`, is not believed.
    #[schemars(range(min = 1, max = 100))]
    pub floor_percent: u32,
    /// See `floor_percent`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub floor_count: u64,
    /// Places (account and Region) read side by side.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,
    /// Nights of inventory kept for back-tests.
    #[schemars(range(min = 1, max = 400))]
    pub keep_nights: u32,
    /// Oldest complete scan that an act may rest on, in hours.
    #[schemars(range(min = 1, max = 72))]
    pub max_age_hours: u32,
}

impl Default for RawSettings {
    fn default() -> RawSettings {
        RawSettings {
            state_dir: None,
            policies: vec!["policies".into()],
            policy_source: PoliciesFrom::Files,
            zone: "UTC".into(),
            accounts: Vec::new(),
            enforcement: RawEnforcement::default(),
            schedule: RawSchedule::default(),
            owners: RawOwners::default(),
            tags: RawTags::default(),
            exceptions: Vec::new(),
            approvals: RawApprovals::default(),
            mail: None,
            slack: BTreeMap::new(),
            teams: BTreeMap::new(),
            webhooks: RawWebhooks::default(),
            reports: RawReports::default(),
            costs: RawCosts::default(),
            inventory: RawInventory::default(),
            drill: RawDrill::default(),
        }
    }
}

impl Default for RawEnforcement {
    fn default() -> RawEnforcement {
        let breaker = Breaker::default();
        RawEnforcement {
            mode: Mode::Observe,
            allow_auto_terminate: false,
            allow_auto_delete_volumes: false,
            create_snapshot_before_stop: true,
            allow_public_ip_loss: false,
            recycle_bin_days: None,
            protect: Vec::new(),
            breaker_count: breaker.count,
            breaker_percent: breaker.percent_of_kind,
            breaker_usd: None,
            breaker_owners: None,
            pace: RawPace::default(),
            window: RawWindow::default(),
        }
    }
}

impl Default for RawPace {
    fn default() -> RawPace {
        let pace = Pace::default();
        RawPace {
            destructive_per_run: pace.destructive_per_run,
            disruptive_per_run: pace.disruptive_per_run,
            destructive_per_day: pace.destructive_per_day,
            tags_per_run: pace.tags_per_run,
            percent_of_kind_per_day: pace.percent_of_kind_per_day,
        }
    }
}

impl Default for RawWindow {
    fn default() -> RawWindow {
        RawWindow {
            days: vec![RawDay::Mon, RawDay::Tue, RawDay::Wed, RawDay::Thu],
            from: "09:30".into(),
            to: "15:30".into(),
            holidays: Vec::new(),
        }
    }
}

impl Default for RawSchedule {
    fn default() -> RawSchedule {
        RawSchedule {
            scan: "0 2 * * *".into(),
            act: "0 10 * * 1-4".into(),
            daily: "0 9 * * *".into(),
            weekly: "0 9 * * 1".into(),
        }
    }
}

impl Default for RawOwners {
    fn default() -> RawOwners {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        RawOwners {
            tags: list(&["owner", "Owner"]),
            creator_tags: list(&["aws:createdBy", "creator", "created-by", "CreatedBy"]),
            allowed_domains: Vec::new(),
            default_owner: None,
        }
    }
}

impl Default for RawTags {
    fn default() -> RawTags {
        RawTags { prefix: "costwarden:".into(), ignore: Vec::new(), team: "cost-center".into() }
    }
}

impl Default for RawApprovals {
    fn default() -> RawApprovals {
        let list = |names: [&str; 2]| names.map(str::to_owned).into();
        RawApprovals {
            finops: Vec::new(),
            security: Vec::new(),
            finops_for: list(["team-budgets", "project-budgets"]),
            security_for: list(["mandatory-tags", "resource-limits"]),
            managers: BTreeMap::new(),
            hold_hours: 72,
            distinct_logins: false,
        }
    }
}

impl Default for RawReports {
    fn default() -> RawReports {
        RawReports { to: Vec::new(), daily_when_quiet: true }
    }
}

impl Default for RawCosts {
    fn default() -> RawCosts {
        RawCosts { enabled: false, tags: Vec::new(), requests_per_day: 20 }
    }
}

impl Default for RawInventory {
    fn default() -> RawInventory {
        RawInventory { floor_percent: 30, floor_count: 10, concurrency: 8, keep_nights: 35, max_age_hours: 26 }
    }
}
