//! `doctor`: whether everything is there that unattended work needs. Reads only.
//!
//! Each line is ok, a warning or a failure with what to do. Reads are tried with the very calls that a scan makes,
//! rights to change something with dry runs (`cli::rights`).

use std::net::ToSocketAddrs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, backups, open, rights};
use crate::app;
use crate::clock::Clock;
use crate::cloud::prices;
use crate::cloud::{CloudRead, ErrorKind};
use crate::deliver::hook::{Hooks, Reach};
use crate::deliver::webhook::Webhooks;
use crate::domain::Instant;
use crate::domain::place::{Kind, Place};
use crate::domain::text::clean;
use crate::domain::usage::{Metric, MetricQuery, Statistic};
use crate::engine::ruleset::Ruleset;
use crate::remediate::put_back::WAY_ON;
use crate::settings::{MailBackend, Settings, read_secret};
use crate::worker::inventory;

/// Least free space for the state, MiB (safety.md, H30).
const FREE_MIB: u64 = 256;
/// Prices older than this are worth a word, days.
const PRICE_DAYS: i64 = 180;

/// Flags of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct Args {}

/// One finding of the doctor.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    status: Health,
    what: String,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Ok,
    Warning,
    Failure,
}

/// Examines and prints.
pub async fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    let now = Clock::System.now();
    let mut lines = vec![line(Health::Ok, "settings", format!("{} policies load", policies.len()))];
    lines.extend(
        crate::settings::cross_check(&settings, &policies)
            .into_iter()
            .map(|why| line(Health::Warning, "settings", why)),
    );
    lines.push(state(&settings));
    lines.extend(drill(&settings));
    lines.push(disk(&settings.state_dir));
    lines.push(price_book(now));
    lines.push(mail(&settings));
    lines.extend(rooms(&settings));
    lines.push(webhooks(&settings));
    lines.extend(cloud(&settings, now).await?);
    let mut found = Vec::new();
    if !settings.accounts.is_empty() {
        lines.push(rights::keys(&settings).await?);
        let rules = Ruleset::compile(&policies)?;
        for account in &settings.accounts {
            let scope = crate::worker::rights::scope(&settings, &rules, &policies, account);
            let (more, roles) = rights::of_account(&settings, account, &scope).await?;
            lines.extend(more);
            lines.extend(backups::of_account(&settings, account, &scope).await?);
            found.extend(roles);
        }
    }
    let failed = lines.iter().any(|line| line.status == Health::Failure);
    if global.output == Format::Json {
        output::json(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "lines": lines, "rights": found }))?;
    } else {
        let rows = lines.iter().map(|line| {
            let word = match line.status {
                Health::Ok => "ok",
                Health::Warning => "warning",
                Health::Failure => "FAILED",
            };
            vec![word.to_owned(), line.what.clone(), line.message.clone()]
        });
        output::print(&output::table(&["", "WHAT", "RESULT"], rows))?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

pub(super) fn line(status: Health, what: &str, message: impl Into<String>) -> Line {
    Line { status, what: what.to_owned(), message: message.into() }
}

fn state(settings: &Settings) -> Line {
    match open::existing(&settings.state_dir) {
        Err(_) => line(Health::Warning, "state", "there is none yet; the first scan makes it"),
        Ok(_) => match open::read_store(settings) {
            Ok(store) => match store.put_back() {
                Ok(None) => line(Health::Ok, "state", format!("{} opens", settings.state_dir.display())),
                Ok(Some(why)) => line(Health::Failure, "state", format!("{}; {WAY_ON}", clean(&why))),
                Err(error) => line(Health::Failure, "state", format!("{error:#}")),
            },
            Err(error) => line(Health::Failure, "state", format!("{error:#}")),
        },
    }
}

/// What the last restore drill showed; nothing where none was ever made.
fn drill(settings: &Settings) -> Option<Line> {
    let last = open::read_store(settings).ok()?.last_drill().ok()??;
    let health = match last.state {
        state if state.alarms() => Health::Failure,
        state if state.ended() => Health::Ok,
        // A later act slot ends it; until then its volume is there.
        _ => Health::Warning,
    };
    let (at, word) = (last.begun_at.format("%Y-%m-%d"), last.state.word());
    let words = format!("d-{} of {} on {at} {word}: {}", last.id, clean(&last.snapshot.id), clean(&last.message));
    Some(line(health, "drill", words))
}

/// Free space by `df`, the one tool that every Unix has for it.
fn disk(folder: &Path) -> Line {
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let answer = Command::new("df").arg("-Pk").arg(there).output();
    let free = answer.ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    match free {
        Some(kib) if kib / 1024 >= FREE_MIB => line(Health::Ok, "disk", format!("{} MiB free", kib / 1024)),
        Some(kib) => line(Health::Failure, "disk", format!("{} MiB free, {FREE_MIB} are needed", kib / 1024)),
        None => line(Health::Warning, "disk", "free space could not be asked (`df -Pk` gave no figure)"),
    }
}

fn price_book(now: Instant) -> Line {
    match prices::embedded() {
        Ok(book) => {
            let age = now.date_naive() - book.date;
            let words =
                format!("{} instance types, {}, {} days old", book.types.len(), book.provenance(), age.num_days());
            line(if age > TimeDelta::days(PRICE_DAYS) { Health::Warning } else { Health::Ok }, "prices", words)
        }
        Err(error) => line(Health::Failure, "prices", error.to_string()),
    }
}

fn mail(settings: &Settings) -> Line {
    let Some(mail) = &settings.mail else {
        return line(
            Health::Warning,
            "mail",
            "no [mail]: nobody is told, so no grace period starts and nothing is done",
        );
    };
    match &mail.backend {
        MailBackend::Folder(folder) => line(
            Health::Warning,
            "mail",
            format!("goes into {}; that counts as no delivery, so no grace period starts", folder.display()),
        ),
        MailBackend::Smtp { host, port, .. } => {
            let reached =
                (host.as_str(), *port).to_socket_addrs().map_err(|error| error.to_string()).and_then(|mut all| {
                    let address = all.next().ok_or_else(|| "the name has no address".to_owned())?;
                    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))
                        .map_err(|error| error.to_string())
                });
            match reached {
                Ok(_) => {
                    line(Health::Ok, "mail", format!("{host}:{port} answers; `report daily --send` tries a whole mail"))
                }
                Err(error) => line(Health::Failure, "mail", format!("{host}:{port}: {error}")),
            }
        }
    }
}

/// Whether each room's address can be read and may be posted to; nothing is sent.
fn rooms(settings: &Settings) -> Vec<Line> {
    let services = [("Slack", &settings.slack), ("Teams", &settings.teams)];
    let rooms = services.into_iter().flat_map(|(service, rooms)| rooms.iter().map(move |room| (service, room)));
    rooms
        .map(|(service, (room, file))| {
            let what = format!("{service} {room}");
            let opened = read_secret(file).map_err(anyhow::Error::from);
            let hook = opened.and_then(|hook| Hooks::new(service, vec![(room.clone(), hook)], Reach::Public));
            match hook {
                Ok(_) => line(Health::Ok, &what, "its address is there; nothing was sent"),
                Err(error) => line(Health::Failure, &what, format!("{error:#}")),
            }
        })
        .collect()
}

fn webhooks(settings: &Settings) -> Line {
    let hooks = &settings.webhooks;
    let Some(file) = &hooks.secret_file else {
        return line(Health::Warning, "webhooks", "no webhooks.secret_file: what is posted leaves unsigned");
    };
    let opened = read_secret(file).map_err(anyhow::Error::from);
    match opened.and_then(|secret| Webhooks::new(Some(secret), hooks.internal_hosts.clone())) {
        Ok(_) => line(Health::Ok, "webhooks", "signed with the secret of webhooks.secret_file"),
        Err(error) => line(Health::Failure, "webhooks", format!("{error:#}")),
    }
}

async fn cloud(settings: &Settings, now: Instant) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    if settings.accounts.is_empty() {
        lines.push(line(Health::Failure, "accounts", "the settings list none under [[accounts]]"));
        return Ok(lines);
    }
    let reader = app::reader(settings).await?;
    for account in &settings.accounts {
        let what = format!("identity {}", account.id);
        match reader.identity(&account.id).await {
            Ok(identity) if identity.account == account.id => lines.push(line(Health::Ok, &what, identity.arn)),
            Ok(identity) => {
                let words =
                    format!("the credentials belong to {} ({}); nothing is read", identity.account, identity.arn);
                lines.push(line(Health::Failure, &what, words));
                continue;
            }
            Err(error) => {
                lines.push(line(Health::Failure, &what, error.to_string()));
                continue;
            }
        }
        for region in &account.regions {
            let place = Place { account: account.id.clone(), region: region.clone() };
            for kind in Kind::ALL {
                let what = format!("read {} {}", place, kind.name());
                lines.push(match reader.list(&place.partition(kind), None).await {
                    Ok(page) => line(Health::Ok, &what, format!("{} on the first page", page.resources.len())),
                    Err(error) => line(failure(error.kind), &what, error.to_string()),
                });
            }
            lines.push(metrics(&*reader, &place, now).await);
        }
    }
    Ok(lines)
}

/// Whether metrics can be read: asks for a day of an instance that does not exist, which costs next to nothing.
async fn metrics(reader: &dyn CloudRead, place: &Place, now: Instant) -> Line {
    let (from, to) = inventory::window(1, now);
    let query = MetricQuery {
        resource: "i-0".into(),
        metric: Metric::Cpu,
        statistic: Statistic::Average,
        period_seconds: 86_400,
        from,
        to,
    };
    let what = format!("read {place} metrics");
    match reader.metrics(place, &[query]).await {
        Ok(_) => line(Health::Ok, &what, "answered"),
        Err(error) => line(failure(error.kind), &what, error.to_string()),
    }
}

fn failure(kind: ErrorKind) -> Health {
    if kind == ErrorKind::Throttled { Health::Warning } else { Health::Failure }
}
