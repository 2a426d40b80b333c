//! `arm`: a person allows the worker to act on one account, until a date, with the policies as they are now.
//!
//! Shows what would be due and what is held, asks for the account id to be typed, and stores the hash of every policy
//! in force. A policy that changes afterwards holds its own steps until somebody arms again. Reads no cloud.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use clap::Args as ClapArgs;
use serde_json::json;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, apply, open};
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::finding::Finding;
use crate::domain::mode::{Arming, Mode};
use crate::domain::place::AccountId;
use crate::engine::plan::{PlanInput, Selection, select};
use crate::engine::ruleset::Ruleset;
use crate::settings::Settings;
use crate::store::AuditEntry;
use crate::worker::jobs::plan::{Posture, posture_of};

/// Longest time an account stays armed.
const MAX_DAYS: i64 = 90;

/// Flags of `arm`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The account, twelve digits
    #[arg(long, value_name = "ID", value_parser = AccountId::new)]
    account: AccountId,
    /// The last day, at most 90 days from now, for example 2026-12-31
    #[arg(long, value_name = "DATE")]
    until: NaiveDate,
    /// Who allows it; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Arms an account.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let by = open::by(args.by.as_deref())?;
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    let rules = Ruleset::compile(&policies)?;
    if !settings.accounts.iter().any(|account| account.id == args.account) {
        let known: Vec<&str> = settings.accounts.iter().map(|account| account.id.as_str()).collect();
        return Err(ExitError::bad_use(format!(
            "account {} is not in the settings; accepted: {}",
            args.account,
            known.join(", ")
        )));
    }
    let store = open::store(&settings)?;
    let now = Clock::System.now();
    let arming = Arming {
        account: args.account.clone(),
        by,
        at: now,
        until: last_instant(args.until, now)?,
        policies: hashes(&rules),
    };

    let findings = store.findings_open().context("reading the open findings")?;
    let mut posture = posture_of(&store, &settings, now)?;
    posture.armings.retain(|old| old.account != arming.account);
    posture.armings.push(arming.clone());
    let shown = show(&settings, &rules, &posture, &findings, &arming.account);
    if global.no_input {
        return Err(ExitError::bad_use(
            "arming asks for the account id to be typed; it cannot be done with --no-input",
        ));
    }
    output::tell(&shown);
    apply::typed_account(arming.account.as_str())?;
    let entry = AuditEntry {
        actor: arming.by.clone(),
        what: "arm".into(),
        subject: arming.account.to_string(),
        detail: json!({ "until": arming.until, "policies": arming.policies }),
    };
    store.audit_append(now, &entry).context("writing the audit trail")?;
    store.arm(&arming).context("arming")?;
    done(global, &settings, &arming)?;
    Ok(Exit::Done)
}

fn hashes(rules: &Ruleset) -> Vec<(String, String)> {
    rules.hashes.iter().map(|(name, hash)| (name.clone(), hash.clone())).collect()
}

fn last_instant(until: NaiveDate, now: Instant) -> anyhow::Result<Instant> {
    let end = until.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(1) - TimeDelta::seconds(1);
    if end <= now {
        return Err(ExitError::bad_use(format!("--until {until} has passed")));
    }
    if end > now + TimeDelta::days(MAX_DAYS + 1) {
        return Err(ExitError::bad_use(format!("--until {until} is more than {MAX_DAYS} days away")));
    }
    Ok(end)
}

/// What would be due and held if the account were armed now.
fn show(settings: &Settings, rules: &Ruleset, posture: &Posture, findings: &[Finding], account: &AccountId) -> String {
    // What other accounts have due counts for the breaker, too.
    let input = PlanInput {
        mode: Mode::Enforce,
        policies: &rules.hashes,
        ..crate::worker::jobs::plan::input_of(settings, rules, posture, findings, true)
    };
    let Selection { mut chosen, mut held } = select(&input);
    chosen.retain(|finding| finding.key.account() == account);
    held.retain(|row| row.key.account() == account);
    let mut text = format!("Arming account {account}. Policies that may act: {}\n", rules.policy_names().join(", "));
    if chosen.is_empty() {
        text.push_str("Nothing would be due now.\n");
    }
    for finding in &chosen {
        let act = finding.act_words().unwrap_or_default();
        text.push_str(&crate::domain::text::clean(&format!(
            "  due: {act} {} ({}): {}",
            finding.key.id, finding.name, finding.message
        )));
        text.push('\n');
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &held {
        *counts.entry(row.code.word()).or_default() += 1;
    }
    for (code, count) in counts {
        text.push_str(&format!("  held: {count} {code}\n"));
    }
    text
}

fn done(global: &Global, settings: &Settings, arming: &Arming) -> anyhow::Result<()> {
    if global.output == Format::Json {
        return output::json(&json!({ "schema_version": SCHEMA_VERSION, "armed": arming }));
    }
    output::line(&format!(
        "account {} is armed until {} by {}",
        arming.account,
        arming.until.format("%Y-%m-%d %H:%M UTC"),
        crate::domain::text::clean(&arming.by)
    ))?;
    if settings.enforcement.mode != Mode::Enforce {
        let mode = settings.enforcement.mode.word();
        output::tell(&format!(
            "note: the mode is {mode}; the daemon acts only in mode enforce, and then with this arming. Until then it approves \
             what was shown, for the breaker"
        ));
    }
    Ok(())
}
