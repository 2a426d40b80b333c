//! `config check`: settings and policies that load, and yet do not say what their author thinks.
//!
//! Each note is one sentence that names the key and what to do. Nothing here is an error.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{TimeDelta, TimeZone, Utc};

use super::{MailBackend, Settings};
use crate::domain::finding::Act;
use crate::domain::mode::Mode;
use crate::domain::place::Kind;
use crate::domain::text::clean;
use crate::policy::{Logic, Policy, Rule, ViolationAction};

/// Days over which schedule and window are held against each other.
const LOOK_AHEAD_DAYS: i64 = 35;

/// What a person should know about these settings with these policies.
pub fn cross_check(settings: &Settings, policies: &[Policy]) -> Vec<String> {
    let mut notes = Vec::new();
    if settings.accounts.is_empty() {
        notes.push(
            "accounts: no account is listed, so nothing is looked at; add [[accounts]] with id and regions".into(),
        );
    }
    if policies.is_empty() {
        notes.push("policies: no policy is loaded, so nothing can be found".into());
    }
    telling(settings, &mut notes);
    webhooks(settings, policies, &mut notes);
    rooms(settings, policies, &mut notes);
    exceptions(settings, policies, &mut notes);
    for policy in policies {
        rules(settings, policy, &mut notes);
    }
    if settings.enforcement.mode == Mode::Enforce && !act_slot_in_window(settings) {
        notes.push(format!(
            "schedule.act: {:?} never falls into the action window within {LOOK_AHEAD_DAYS} days, so the worker never acts",
            settings.schedule.act
        ));
    }
    notes
}

fn telling(settings: &Settings, notes: &mut Vec<String>) {
    if settings.enforcement.mode == Mode::Observe {
        return;
    }
    match &settings.mail {
        None => {
            notes.push("mail: without it no notice is delivered, so no grace period starts and nothing is done".into())
        }
        Some(mail) if matches!(mail.backend, MailBackend::Folder(_)) => {
            notes.push("mail.backend: a folder counts as delivery only in worlds, so no grace period starts".into());
        }
        Some(_) => {}
    }
    let owners = &settings.owners;
    // Contacts are addresses of allowed domains, so without these there is none.
    if owners.allowed_domains.is_empty() && owners.default_owner.is_none() {
        notes.push(
            "owners: allowed_domains and default_owner are empty, so nobody can be told and nothing is done".into(),
        );
    }
}

fn webhooks(settings: &Settings, policies: &[Policy], notes: &mut Vec<String>) {
    let posts = |policy: &&Policy| {
        let own = policy.rules.iter().flat_map(|rule| policy.actions_of(rule));
        policy.actions.iter().chain(own).any(|action| matches!(action, ViolationAction::Webhook { .. }))
    };
    let names: Vec<&str> = policies.iter().filter(posts).map(|policy| policy.name.as_str()).collect();
    if settings.webhooks.secret_file.is_none() && !names.is_empty() {
        notes.push(format!(
            "webhooks.secret_file: none is set, so the webhooks of {} leave unsigned and a receiver cannot tell them from forged ones",
            names.join(", ")
        ));
    }
}

/// Rooms that a policy tells or asks and the settings have no address of.
fn rooms(settings: &Settings, policies: &[Policy], notes: &mut Vec<String>) {
    let of_action = |action: &ViolationAction| match action {
        ViolationAction::Alert { recipients } => recipients.clone(),
        ViolationAction::RequireApproval { approvers } => approvers.clone(),
        _ => Vec::new(),
    };
    for policy in policies {
        let mut named: BTreeSet<(String, String)> = BTreeSet::new();
        for to in policy.actions.iter().flat_map(of_action) {
            named.insert((policy.name.clone(), to));
        }
        for rule in &policy.rules {
            let name = format!("{}/{}", policy.name, rule.name);
            let told: Vec<String> = match &rule.logic {
                Logic::Budget(budget) => budget.thresholds.iter().flat_map(|step| step.channels.clone()).collect(),
                _ => rule.actions.iter().flatten().flat_map(of_action).collect(),
            };
            named.extend(told.into_iter().map(|to| (name.clone(), to)));
        }
        for (who, to) in named {
            let (service, rooms) = match to.split_once(':') {
                Some(("slack", _)) => ("slack", &settings.slack),
                Some(("teams", _)) => ("teams", &settings.teams),
                _ => continue,
            };
            let room = &to[service.len() + 1..];
            if !rooms.iter().any(|(known, _)| known == room) {
                notes.push(format!("{who}: {service} has no entry for {}, so nothing is sent there", clean(room)));
            }
        }
    }
}

fn exceptions(settings: &Settings, policies: &[Policy], notes: &mut Vec<String>) {
    for exception in &settings.exceptions {
        let policy = policies.iter().find(|policy| policy.name == exception.policy);
        match (policy, &exception.rule) {
            (None, _) => {
                notes.push(format!(
                    "exceptions: {} names the policy {:?}, which is not loaded",
                    clean(&exception.id),
                    clean(&exception.policy)
                ));
            }
            (Some(policy), Some(rule)) if !policy.rules.iter().any(|known| known.name == *rule) => {
                notes.push(format!(
                    "exceptions: {} names the rule {:?}, which {} does not have",
                    clean(&exception.id),
                    clean(rule),
                    policy.name
                ));
            }
            _ => {}
        }
        if let Some(account) = &exception.account
            && !settings.accounts.iter().any(|known| known.id.as_str() == account)
        {
            notes
                .push(format!("exceptions: {} names the account {account}, which is not listed", clean(&exception.id)));
        }
    }
}

fn rules(settings: &Settings, policy: &Policy, notes: &mut Vec<String>) {
    for account in &policy.scope.accounts {
        if !settings.accounts.iter().any(|known| known.id == *account) {
            notes.push(format!("{}: its scope names the account {account}, which is not listed", policy.name));
        }
    }
    for rule in &policy.rules {
        let name = format!("{}/{}", policy.name, rule.name);
        people(settings, policy, rule, &name, notes);
        match &rule.logic {
            Logic::Databases(_) => {
                notes.push(format!("{name}: this resource type is not read yet, so the rule is not evaluated"))
            }
            Logic::Network(_) => {
                notes.push(format!("{name}: no listing tells network bandwidth, so requests alone are held to it"));
            }
            Logic::Budget(_) if !settings.costs.enabled => {
                notes.push(format!("{name}: costs.enabled is false, so the budget is not watched"));
            }
            Logic::Budget(budget) => {
                if let Some((key, _)) = &budget.tag
                    && !settings.costs.tags.contains(key)
                {
                    notes.push(format!(
                        "{name}: the tag {:?} is not in costs.tags, so the budget sees no spend",
                        clean(key)
                    ));
                }
            }
            _ => {}
        }
    }
}

/// An act that needs two people whatever its policy says, with fewer who may; and a Recycle Bin that nobody named.
fn people(settings: &Settings, policy: &Policy, rule: &Rule, name: &str, notes: &mut Vec<String>) {
    let kinds = rule.types.iter().filter_map(|pattern| pattern.0.parse::<Kind>().ok());
    let acts: Vec<Act> = kinds.filter_map(|kind| Act::of(rule.action, kind)).collect();
    if acts.contains(&Act::DeleteSnapshot) && settings.enforcement.recycle_bin_days.is_none() {
        notes.push(format!("{name}: enforcement.recycle_bin_days is not set, so no snapshot is deleted"));
    }
    let wanted = acts.iter().map(|act| act.least_people()).max().unwrap_or(0);
    let own = policy.approval.as_ref().map(|asked| asked.approvers.len()).filter(|count| *count > 0);
    let may = own.unwrap_or(settings.approvals.finops.len() + settings.approvals.security.len());
    if may < usize::from(wanted) {
        notes.push(format!(
            "{name}: {wanted} people must approve each of its acts and {may} may; name more under [approvals]"
        ));
    }
}

/// Whether the act pattern comes due inside the window at all. Holidays are few, so any five weeks tell.
fn act_slot_in_window(settings: &Settings) -> bool {
    let zone = settings.zone;
    let Ok(cron) = croner::Cron::from_str(&settings.schedule.act) else { return false };
    let Some(mut at) = Utc.with_ymd_and_hms(2026, 2, 2, 0, 0, 0).single().map(|at| at.with_timezone(&zone)) else {
        return false;
    };
    let end = at + TimeDelta::days(LOOK_AHEAD_DAYS);
    while let Ok(next) = cron.find_next_occurrence(&at, false) {
        if next > end {
            break;
        }
        if settings.enforcement.window.closed_because(next.with_timezone(&Utc)).is_none() {
            return true;
        }
        at = next;
    }
    false
}
