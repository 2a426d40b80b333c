//! From the raw settings to values that the rest of the program can trust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::accounts::{account_id, accounts};
use super::mail::mail;
use super::raw::{RawApprovals, RawEnforcement, RawException, RawSettings};
use super::when::{bad_date, date, schedule, window};
use super::{
    CostSettings, Enforcement, Env, InventorySettings, Owners, ReportSettings, Settings, TagSettings, WebhookSettings,
};
use crate::domain::Instant;
use crate::domain::exception::{ApproverRules, Exception};
use crate::domain::mode::{Breaker, Pace};
use crate::domain::money::Usd;
use crate::domain::place::Kind;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker, nearest};
use crate::policy::{is_domain, is_mail_address, is_room};

/// Where paths of the settings are anchored.
pub(super) struct Base<'a> {
    /// Folder of the settings file.
    pub folder: &'a Path,
    /// The working directory, for the default state folder.
    pub cwd: &'a Path,
    /// The environment.
    pub env: &'a Env<'a>,
}

impl Base<'_> {
    /// The file of a secret, relative to the settings file; `credential:NAME` is a systemd credential, and stays as it
    /// is where systemd gave none (`read_secret` says so when it is needed).
    pub fn secret(&self, checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> PathBuf {
        let Some(name) = text.strip_prefix("credential:") else {
            return self.folder.join(text);
        };
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            checker.fail(at, format!("{:?} is not a credential's name", clean(name)), "credential:NAME");
        }
        match (self.env)("CREDENTIALS_DIRECTORY") {
            Some(folder) => Path::new(&folder).join(name),
            None => PathBuf::from(text),
        }
    }

    fn state_dir(&self, raw: Option<&str>) -> PathBuf {
        match (raw, (self.env)("STATE_DIRECTORY").filter(|list| !list.is_empty())) {
            (Some(text), _) => self.folder.join(text),
            // systemd separates several folders by colons; the first is ours.
            (None, Some(list)) => PathBuf::from(list.split(':').next().unwrap_or(&list)),
            (None, None) => self.cwd.join("costwarden-state"),
        }
    }
}

/// The checked settings; what is wrong is noted in `checker`, and the result then thrown away by the caller.
pub(super) fn settings(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawSettings, base: &Base<'_>) -> Settings {
    let zone = zone(checker, &at.key("zone"), &raw.zone);
    Settings {
        origin: None,
        state_dir: base.state_dir(raw.state_dir.as_deref()),
        policies: raw.policies.iter().map(|path| base.folder.join(path)).collect(),
        policies_from: raw.policy_source,
        zone,
        accounts: accounts(checker, &at.key("accounts"), &raw.accounts, &raw.owners.allowed_domains),
        enforcement: enforcement(checker, &at.key("enforcement"), &raw.enforcement, zone),
        schedule: schedule(checker, &at.key("schedule"), &raw.schedule, zone),
        owners: owners(checker, &at.key("owners"), raw),
        tags: tags(checker, &at.key("tags"), raw),
        exceptions: exceptions(checker, &at.key("exceptions"), &raw.exceptions),
        approvals: approvals(checker, &at.key("approvals"), &raw.approvals),
        distinct_logins: raw.approvals.distinct_logins,
        mail: raw.mail.as_ref().and_then(|raw| mail(checker, &at.key("mail"), raw, base)),
        slack: rooms(checker, &at.key("slack"), "slack", &raw.slack, base),
        teams: rooms(checker, &at.key("teams"), "teams", &raw.teams, base),
        webhooks: webhooks(checker, &at.key("webhooks"), raw, base),
        reports: ReportSettings {
            to: addresses(checker, &at.key("reports").key("to"), &raw.reports.to),
            daily_when_quiet: raw.reports.daily_when_quiet,
        },
        costs: CostSettings {
            enabled: raw.costs.enabled,
            tags: keys(checker, &at.key("costs").key("tags"), &raw.costs.tags),
            requests_per_day: raw.costs.requests_per_day,
        },
        inventory: InventorySettings {
            floor_percent: raw.inventory.floor_percent,
            floor_count: raw.inventory.floor_count,
            concurrency: raw.inventory.concurrency,
            keep_nights: raw.inventory.keep_nights,
            max_age_hours: raw.inventory.max_age_hours,
        },
        drill_every_days: raw.drill.every_days,
        shown: Vec::new(),
    }
}

fn zone(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> chrono_tz::Tz {
    text.parse().unwrap_or_else(|_| {
        let near = nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        checker.fail(
            at,
            format!("{:?} is not a time zone{hint}", clean(text)),
            "an IANA name such as Europe/Berlin or UTC",
        );
        chrono_tz::UTC
    })
}

fn enforcement(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawEnforcement, zone: chrono_tz::Tz) -> Enforcement {
    for (index, text) in raw.protect.iter().enumerate() {
        let tag = text.strip_prefix("tag:").map(|rest| rest.split('=').next().unwrap_or(""));
        let fine = match tag {
            Some(key) => !key.is_empty(),
            None => is_resource_id(text),
        };
        if !fine {
            let problem = format!("{:?} protects nothing", clean(text));
            checker.fail(
                &at.key("protect").item(index),
                problem,
                "a resource id such as i-0abc, tag:KEY or tag:KEY=VALUE",
            );
        }
    }
    Enforcement {
        mode: raw.mode,
        allow_auto_terminate: raw.allow_auto_terminate,
        allow_auto_delete_volumes: raw.allow_auto_delete_volumes,
        create_snapshot_before_stop: raw.create_snapshot_before_stop,
        allow_public_ip_loss: raw.allow_public_ip_loss,
        recycle_bin_days: raw.recycle_bin_days,
        pace: Pace {
            destructive_per_run: raw.pace.destructive_per_run,
            disruptive_per_run: raw.pace.disruptive_per_run,
            destructive_per_day: raw.pace.destructive_per_day,
            tags_per_run: raw.pace.tags_per_run,
            percent_of_kind_per_day: raw.pace.percent_of_kind_per_day,
        },
        breaker: Breaker {
            count: raw.breaker_count,
            percent_of_kind: raw.breaker_percent,
            usd: raw.breaker_usd.and_then(Usd::from_f64),
            owners: raw.breaker_owners,
        },
        window: window(checker, &at.key("window"), &raw.window, zone),
        protect: raw.protect.clone(),
    }
}

fn is_resource_id(text: &str) -> bool {
    Kind::ALL.iter().any(|kind| {
        text.strip_prefix(kind.id_prefix()).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    })
}

fn owners(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawSettings) -> Owners {
    let raw = &raw.owners;
    for (index, domain) in raw.allowed_domains.iter().enumerate() {
        if !is_domain(domain) {
            let problem = format!("{:?} is not a domain", clean(domain));
            checker.fail(
                &at.key("allowed_domains").item(index),
                problem,
                "a domain such as example.com, without @ or *",
            );
        }
    }
    if let Some(address) = &raw.default_owner {
        check_address(checker, &at.key("default_owner"), address);
    }
    Owners {
        tags: keys(checker, &at.key("tags"), &raw.tags),
        creator_tags: keys(checker, &at.key("creator_tags"), &raw.creator_tags),
        allowed_domains: raw.allowed_domains.iter().map(|domain| domain.to_lowercase()).collect(),
        default_owner: raw.default_owner.clone(),
    }
}

fn tags(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawSettings) -> TagSettings {
    let raw = &raw.tags;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '/');
    let fine =
        raw.prefix.is_empty() || (raw.prefix.ends_with(':') && raw.prefix.len() <= 64 && raw.prefix.chars().all(plain));
    if !fine || raw.prefix.to_lowercase().starts_with("aws:") {
        let problem = format!("{:?} is not a prefix for our tags", clean(&raw.prefix));
        checker.fail(
            &at.key("prefix"),
            problem,
            "a word that ends with ':' such as costwarden:, not aws:; or nothing at all",
        );
    }
    TagSettings {
        prefix: raw.prefix.clone(),
        ignore: keys(checker, &at.key("ignore"), &raw.ignore),
        team: raw.team.clone(),
    }
}

/// Tag keys: not empty, and short enough that AWS could store them.
fn keys(checker: &mut Checker<'_>, at: &At<'_>, list: &[String]) -> Vec<String> {
    for (index, key) in list.iter().enumerate() {
        if key.trim().is_empty() || key.chars().count() > 128 {
            checker.fail(&at.item(index), format!("{:?} is not a tag key", clean(key)), "1 to 128 characters");
        }
    }
    list.to_vec()
}

fn addresses(checker: &mut Checker<'_>, at: &At<'_>, list: &[String]) -> Vec<String> {
    for (index, address) in list.iter().enumerate() {
        check_address(checker, &at.item(index), address);
    }
    list.to_vec()
}

pub(super) fn check_address(checker: &mut Checker<'_>, at: &At<'_>, text: &str) {
    if !is_mail_address(text) {
        checker.fail(at, format!("{:?} is not a mail address", clean(text)), "an address such as name@example.com");
    }
}

fn exceptions(checker: &mut Checker<'_>, at: &At<'_>, raw: &[RawException]) -> Vec<Exception> {
    let mut list: Vec<Exception> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let at = at.item(index);
        if !is_resource_id(&raw.resource) {
            let problem = format!("{:?} is not a resource id", clean(&raw.resource));
            checker.fail(&at.key("resource"), problem, "an id such as i-0abc, vol-0abc, snap-0abc, eipalloc-0abc");
        }
        if let Some(account) = &raw.account {
            account_id(checker, &at.key("account"), account);
        }
        if list.iter().any(|known| known.id == raw.id) {
            let problem = format!("the exception {:?} stands twice", clean(&raw.id));
            checker.fail(&at.key("id"), problem, "a name that no other exception has");
        }
        let Some(until) = until(&raw.until) else {
            bad_date(checker, &at.key("until"), &raw.until, "YYYY-MM-DD, or an instant such as 2026-12-31T12:00:00Z");
            continue;
        };
        list.push(Exception {
            id: raw.id.clone(),
            resource: raw.resource.clone(),
            account: raw.account.clone(),
            policy: raw.policy.clone(),
            rule: raw.rule.clone(),
            reason: raw.reason.clone(),
            approved_by: raw.approved_by.clone(),
            until,
        });
    }
    list
}

fn approvals(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawApprovals) -> ApproverRules {
    for (who, manager) in &raw.managers {
        let at = at.key("managers");
        check_address(checker, &at.name_of(who), who);
        check_address(checker, &at.key(who), manager);
    }
    ApproverRules {
        managers: raw.managers.clone(),
        finops: addresses(checker, &at.key("finops"), &raw.finops),
        security: addresses(checker, &at.key("security"), &raw.security),
        finops_for: raw.finops_for.clone(),
        security_for: raw.security_for.clone(),
        sla: chrono::TimeDelta::hours(i64::from(raw.hold_hours)),
    }
}

/// A day means its last second, UTC.
fn until(text: &str) -> Option<Instant> {
    match date(text) {
        Some(day) => Some(day.and_hms_opt(23, 59, 59)?.and_utc()),
        None => chrono::DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.with_timezone(&Utc)),
    }
}

/// The rooms of a chat service, each with the file that holds its address.
fn rooms(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    service: &str,
    raw: &BTreeMap<String, String>,
    base: &Base<'_>,
) -> Vec<(String, PathBuf)> {
    let mut list = Vec::new();
    for (room, path) in raw {
        if !is_room(&format!("{service}:{room}")) {
            let accepted = match service {
                "slack" => "\"#room\", in quotes: letters, digits, - and _",
                _ => "a name such as finops: letters, digits, - and _",
            };
            checker.fail(&at.name_of(room), format!("{:?} is not a room", clean(room)), accepted);
        }
        if path.contains("://") || path.trim().is_empty() {
            // The address is a secret, so it is not repeated.
            let problem = "the webhook's address never stands in the settings";
            checker.fail_quietly(&at.key(room), problem, "a file that holds the address, or credential:NAME");
            continue;
        }
        list.push((room.clone(), base.secret(checker, &at.key(room), path)));
    }
    list
}

fn webhooks(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawSettings, base: &Base<'_>) -> WebhookSettings {
    let raw = &raw.webhooks;
    let secret_file = raw.secret_file.as_deref().map(|text| base.secret(checker, &at.key("secret_file"), text));
    for (index, host) in raw.internal_hosts.iter().enumerate() {
        // A number at the end would make it an address, and an address is no name.
        if !is_domain(host)
            || host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()))
        {
            let problem = format!("{:?} is not a host's name", clean(host));
            let accepted = "the exact name, such as tracker.corp.example, without scheme, port, path, * or address";
            checker.fail(&at.key("internal_hosts").item(index), problem, accepted);
        }
    }
    WebhookSettings { secret_file, internal_hosts: raw.internal_hosts.iter().map(|host| host.to_lowercase()).collect() }
}
