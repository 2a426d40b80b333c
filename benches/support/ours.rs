//! One whole night of ours: `worker::jobs::scan` with the AWS reader, the six shipped policies and a state file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use aws_config::SdkConfig;
use chrono::TimeDelta;
use costwarden::clock::Clock;
use costwarden::cloud::aws::{AwsAccount, AwsOptions, AwsReader};
use costwarden::domain::place::{AccountId, Region};
use costwarden::settings::{self, AccountSettings};
use costwarden::store::Store;
use costwarden::worker::jobs::scan::{Choice, scan};
use costwarden::worker::supervise::Work;
use costwarden::{app, checks, policy};
use serde::{Deserialize, Serialize};

use super::account::{ID, REGION, now};

/// What a night brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Night {
    /// Resources of all kinds.
    pub resources: u64,
    /// Calls by operation.
    pub requests: BTreeMap<String, u64>,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Open findings by check.
    pub open: BTreeMap<String, usize>,
}

/// Runs the scan of the `number`th night on the state in `folder`.
pub async fn night(config: SdkConfig, folder: &Path, number: u32) -> anyhow::Result<Night> {
    let id = AccountId::new(ID)?;
    let mut settings = settings::defaults_for_world();
    settings.accounts = vec![AccountSettings {
        id: id.clone(),
        name: None,
        role_arn: None,
        external_id: None,
        actor_role_arn: None,
        contact: None,
        regions: vec![Region::new(REGION)?],
    }];
    settings.owners.allowed_domains = vec!["example.com".into()];
    let infos = checks::infos();
    let shipped = settings::init_files().into_iter().filter(|(path, _)| {
        path.starts_with("policies/") && path.ends_with(".yaml") && !path.starts_with("policies/examples/")
    });
    let policies = policy::unite(shipped.map(|(path, text)| policy::parse(Path::new(path), &text, &infos)))?;
    ensure!(policies.len() == 6, "{} policies are shipped, not six", policies.len());

    let entry = AwsAccount { id, role_arn: None, external_id: None, session_name: None };
    // The server on loopback answers at once, and AWS does not: the pauses by which requests leave others their part of
    // the budget are taken on a clock of their own.
    let options = AwsOptions { pacing: Clock::virtual_at(now()), ..AwsOptions::default() };
    let reader = Arc::new(AwsReader::with_config(config, &[entry], options)?);
    let clock = Clock::virtual_at(now() + TimeDelta::days(i64::from(number) - 1));
    let cx = app::context(settings, &policies, Store::open_in(folder)?, reader, clock)?;
    let outcome = scan(&cx, &Choice::default(), &Work::default()).await?;
    ensure!(outcome.scan.complete(), "the scan is not complete: {:?}", outcome.scan.coverage);
    Ok(Night {
        resources: outcome.scan.resources.values().sum(),
        requests: outcome.scan.requests.iter().map(|row| (row.operation.clone(), row.count)).collect(),
        retries: outcome.scan.requests.iter().map(|row| row.retries).sum(),
        open: BTreeMap::new(),
    })
}

/// Open findings by check, read from the state.
pub fn open_findings(folder: &Path) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut open = BTreeMap::new();
    for finding in Store::open_in(folder)?.findings_open()? {
        *open.entry(finding.check).or_default() += 1;
    }
    Ok(open)
}
