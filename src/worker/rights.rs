//! Which rights the settings and the enabled policies come to, for each account: what `iam print` and `doctor` start
//! from.
//!
//! The mode does not count: rights are set up before acting is switched on. Acts that are switched off, and acts that
//! this version has no handler for, need none.

use std::collections::BTreeSet;

use crate::cloud::rights::Changes;
use crate::cloud::rights::documents::Scope;
use crate::domain::finding::{Act, Action};
use crate::domain::guard::{Switches, switched_off};
use crate::domain::plan::OWN_TAGS;
use crate::engine::ruleset::{CompiledRule, Ruleset};
use crate::policy::{EnforcementMode, Logic, Policy};
use crate::remediate::actions::add_tags::MARKS;
use crate::settings::{AccountSettings, Settings};

/// What one account's roles need.
pub fn scope(settings: &Settings, rules: &Ruleset, policies: &[Policy], account: &AccountSettings) -> Scope {
    let mine = |rule: &&CompiledRule| rule.is_for_account(&account.id);
    let prefix = settings.tags.prefix.as_str();
    let mut tag_keys = default_tags(policies, account);
    if !tag_keys.is_empty() {
        tag_keys.extend(MARKS.map(|mark| format!("{prefix}{mark}")));
    }
    let switches = switches(settings);
    let mut acts = BTreeSet::new();
    for rule in rules.rules().iter().filter(mine) {
        for kind in &rule.kinds {
            let Some(act) = Act::of(rule.action, *kind) else { continue };
            let able = act.changes_cloud() && switched_off(act, &switches).is_none();
            if able && (act != Act::AddTags || !tag_keys.is_empty()) {
                acts.insert((act, *kind));
                acts.extend(Changes::of(act).endings());
            }
        }
    }
    let makes_backups = acts.iter().any(|(act, _)| !Changes::of(*act).backup.is_empty());
    let mut protect_keys = BTreeSet::from([format!("{OWN_TAGS}protect")]);
    if !prefix.is_empty() {
        protect_keys.insert(format!("{prefix}protect"));
    }
    Scope {
        account: account.id.clone(),
        regions: account.regions.clone(),
        acts,
        tag_keys,
        protect_keys,
        metrics: rules.usage_days().is_some(),
        costs: settings.costs.enabled,
        drill: settings.drill_every_days > 0 && makes_backups,
    }
}

/// The switches of the settings that allow or forbid whole acts.
fn switches(settings: &Settings) -> Switches {
    Switches {
        allow_auto_terminate: settings.enforcement.allow_auto_terminate,
        allow_auto_delete_volumes: settings.enforcement.allow_auto_delete_volumes,
        create_snapshot_before_stop: settings.enforcement.create_snapshot_before_stop,
        recycle_bin_days: settings.enforcement.recycle_bin_days,
    }
}

/// Keys that an enabled rule writes where they are missing.
fn default_tags(policies: &[Policy], account: &AccountSettings) -> BTreeSet<String> {
    let enforced = |mode: EnforcementMode| mode == EnforcementMode::Enforce;
    let mut keys = BTreeSet::new();
    for policy in policies.iter().filter(|policy| enforced(policy.mode)) {
        if !policy.scope.accounts.is_empty() && !policy.scope.accounts.contains(&account.id) {
            continue;
        }
        for rule in policy.rules.iter().filter(|rule| enforced(rule.mode) && rule.action == Action::Tag) {
            let Logic::Tags(tags) = &rule.logic else { continue };
            keys.extend(tags.iter().filter(|tag| tag.default.is_some()).map(|tag| tag.key.clone()));
        }
    }
    keys
}
