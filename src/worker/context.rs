//! What every job is handed: settings, policies, state, a reader of the cloud, prices and the clock.
//!
//! Put together by `app`. There is no `CloudAct` in it: only the acting job is given one, so a scan, a plan and a dry
//! run cannot change anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Clock;
use crate::cloud::CloudRead;
use crate::deliver::owner::{OwnerRules, owner_of};
use crate::domain::finding::Act;
use crate::domain::guard::{self, GuardRules, Reading, Switches};
use crate::domain::place::Place;
use crate::domain::plan::HoldCode;
use crate::domain::price::PriceBook;
use crate::domain::resource::{Resource, Tags};
use crate::domain::scan::Scan;
use crate::engine::ruleset::Ruleset;
use crate::engine::score::ScanSummary;
use crate::settings::Settings;
use crate::store::Store;

/// Everything that a job reads.
#[derive(Clone)]
pub struct Context {
    /// Checked settings.
    pub settings: Arc<Settings>,
    /// Compiled policies.
    pub rules: Arc<Ruleset>,
    /// The state.
    pub store: Arc<Store>,
    /// Reads the cloud.
    pub cloud: Arc<dyn CloudRead>,
    /// List prices.
    pub prices: Arc<PriceBook>,
    /// Time.
    pub clock: Clock,
}

impl Context {
    /// Every account and Region of the settings.
    pub fn places(&self) -> BTreeSet<Place> {
        self.settings
            .accounts
            .iter()
            .flat_map(|account| {
                account.regions.iter().map(|region| Place { account: account.id.clone(), region: region.clone() })
            })
            .collect()
    }

    /// What the guards may not do.
    pub fn guard_rules(&self) -> GuardRules {
        GuardRules {
            protect: self.settings.enforcement.protect.clone(),
            allow_public_ip_loss: self.settings.enforcement.allow_public_ip_loss,
            tag_prefix: self.settings.tags.prefix.clone(),
        }
    }

    /// What is switched on.
    pub fn switches(&self) -> Switches {
        Switches {
            allow_auto_terminate: self.settings.enforcement.allow_auto_terminate,
            allow_auto_delete_volumes: self.settings.enforcement.allow_auto_delete_volumes,
            create_snapshot_before_stop: self.settings.enforcement.create_snapshot_before_stop,
            recycle_bin_days: self.settings.enforcement.recycle_bin_days,
        }
    }

    /// Why an act on a resource would be refused whatever the clocks say, as far as a listing can tell. An act that
    /// this version lacks is not refused here: its owner is told and the plan holds it. A keep-until tag is an
    /// exemption with an end, which reconciling handles.
    pub fn refused(&self, act: Act, resource: &Resource) -> Option<String> {
        if let Some((HoldCode::SwitchedOff, reason)) = guard::switched_off(act, &self.switches()) {
            return Some(reason);
        }
        guard::refusal(act, resource, &self.guard_rules(), &self.prices, Reading::Listing).map(|(_, reason)| reason)
    }

    /// Who is told about a resource.
    pub fn owner_of(&self, resource: &Resource) -> Option<String> {
        let owners = &self.settings.owners;
        let account = &resource.key.partition.place.account;
        let account = self.settings.accounts.iter().find(|known| known.id == *account);
        let rules = OwnerRules {
            tags: &owners.tags,
            creator_tags: &owners.creator_tags,
            contact: account.and_then(|known| known.contact.as_deref()),
            allowed_domains: &owners.allowed_domains,
            default_owner: owners.default_owner.as_deref(),
        };
        match resource.tags.known() {
            Some(tags) => owner_of(tags, &rules),
            None => owner_of(&Tags::default(), &rules),
        }
    }

    /// The last finished scan with its counts.
    pub fn last_scan(&self) -> anyhow::Result<Option<(Scan, ScanSummary)>> {
        Ok(self.store.last_scan()?.map(|(scan, summary)| {
            let summary = summary.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
            (scan, summary)
        }))
    }
}
