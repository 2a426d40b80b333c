//! The composition root: settings → state, cloud, prices, channels, context.
//!
//! Commands and the daemon ask here for the parts that they need and get nothing more: a scan, a plan and a dry run are
//! built without anything that can change the cloud. A world takes the cloud's place with everything else unchanged.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::cloud::prices;
use crate::cloud::rights::probes::Holds;
use crate::cloud::sim::{SimCloud, World};
use crate::cloud::{CloudAct, CloudRead};
use crate::domain::mode::Mode;
use crate::domain::place::Place;
use crate::domain::resource::Resource;
use crate::engine::ruleset::Ruleset;
use crate::policy::{self, Policy};
use crate::settings::{self, PoliciesFrom, Settings};
use crate::store::Store;
use crate::worker::context::Context;

/// Puts a context together.
///
/// # Errors
/// When the policies do not compile or the price book cannot be read.
pub fn context(
    settings: Settings,
    policies: &[Policy],
    store: Store,
    cloud: Arc<dyn CloudRead>,
    clock: Clock,
) -> anyhow::Result<Context> {
    Ok(Context {
        settings: Arc::new(settings),
        rules: Arc::new(Ruleset::compile(policies)?),
        store: Arc::new(store),
        cloud,
        prices: Arc::new(prices::embedded().context("reading the price book")?.clone()),
        clock,
    })
}

/// A reader of the accounts in the settings.
///
/// # Errors
/// When the program was built without the AWS adapter, or an account is listed twice.
#[cfg(feature = "aws")]
pub async fn reader(settings: &Settings) -> anyhow::Result<Arc<dyn CloudRead>> {
    use crate::cloud::aws::{AwsOptions, AwsReader};
    let accounts = aws_accounts(settings, |account| account.role_arn.clone());
    Ok(Arc::new(AwsReader::connect(&accounts, AwsOptions::default()).await?))
}

/// An actor for the accounts in the settings; asked for only by what may act.
///
/// # Errors
/// As [`reader`].
#[cfg(feature = "aws")]
pub async fn actor(settings: &Settings) -> anyhow::Result<Arc<dyn CloudAct>> {
    use crate::cloud::aws::{AwsActor, AwsOptions};
    let accounts = aws_accounts(settings, |account| account.actor_role_arn.clone().or(account.role_arn.clone()));
    Ok(Arc::new(AwsActor::connect(&accounts, AwsOptions::default()).await?))
}

#[cfg(feature = "aws")]
fn aws_accounts(
    settings: &Settings,
    role: impl Fn(&settings::AccountSettings) -> Option<String>,
) -> Vec<crate::cloud::aws::AwsAccount> {
    settings
        .accounts
        .iter()
        .map(|account| crate::cloud::aws::AwsAccount {
            id: account.id.clone(),
            role_arn: role(account),
            external_id: account.external_id.clone(),
            session_name: None,
        })
        .collect()
}

/// Asks the reading or the acting role which rights it has in a place, with dry runs alone.
///
/// # Errors
/// As [`reader`]; the role cannot be assumed.
#[cfg(feature = "aws")]
pub async fn rights(
    settings: &Settings,
    place: &Place,
    acting: bool,
    tag_key: &str,
) -> anyhow::Result<Vec<(&'static str, Holds)>> {
    use crate::cloud::aws::{AwsOptions, AwsProber};
    let accounts = aws_accounts(settings, |account| match (&account.actor_role_arn, acting) {
        (Some(actor), true) => Some(actor.clone()),
        _ => account.role_arn.clone(),
    });
    let prober = AwsProber::connect(&accounts, AwsOptions::default()).await?;
    Ok(prober.rights(place, tag_key).await?)
}

/// Whether the acting role of a place would be let make a volume of a snapshot; asked with a dry run alone.
///
/// # Errors
/// As [`rights`].
#[cfg(feature = "aws")]
pub async fn restorable(settings: &Settings, place: &Place, snapshot: &Resource) -> anyhow::Result<Holds> {
    use crate::cloud::aws::{AwsOptions, AwsProber};
    let accounts = aws_accounts(settings, |account| match &account.actor_role_arn {
        Some(actor) => Some(actor.clone()),
        None => account.role_arn.clone(),
    });
    let prober = AwsProber::connect(&accounts, AwsOptions::default()).await?;
    Ok(prober.restorable(place, snapshot).await?)
}

/// Whether the acting role would be let make a volume of a snapshot.
///
/// # Errors
/// Always: this build has no AWS adapter.
#[cfg(not(feature = "aws"))]
pub async fn restorable(_settings: &Settings, _place: &Place, _snapshot: &Resource) -> anyhow::Result<Holds> {
    anyhow::bail!("this build has no AWS adapter (feature `aws`)")
}

/// Whether the ambient credentials are a user's access key; `None` when that cannot be told.
///
/// # Errors
/// As [`reader`].
#[cfg(feature = "aws")]
pub async fn long_lived_keys(settings: &Settings) -> anyhow::Result<Option<bool>> {
    use crate::cloud::aws::{AwsOptions, AwsProber};
    let accounts = aws_accounts(settings, |account| account.role_arn.clone());
    Ok(AwsProber::connect(&accounts, AwsOptions::default()).await?.long_lived_keys().await)
}

/// Asks a role which rights it has.
///
/// # Errors
/// Always: this build has no AWS adapter.
#[cfg(not(feature = "aws"))]
pub async fn rights(
    _settings: &Settings,
    _place: &Place,
    _acting: bool,
    _tag_key: &str,
) -> anyhow::Result<Vec<(&'static str, Holds)>> {
    anyhow::bail!("this build has no AWS adapter (feature `aws`)")
}

/// Whether the ambient credentials are a user's access key.
///
/// # Errors
/// Always: this build has no AWS adapter.
#[cfg(not(feature = "aws"))]
pub async fn long_lived_keys(_settings: &Settings) -> anyhow::Result<Option<bool>> {
    anyhow::bail!("this build has no AWS adapter (feature `aws`)")
}

/// A reader of the accounts in the settings.
///
/// # Errors
/// Always: this build has no AWS adapter.
#[cfg(not(feature = "aws"))]
pub async fn reader(_settings: &Settings) -> anyhow::Result<Arc<dyn CloudRead>> {
    anyhow::bail!("this build has no AWS adapter (feature `aws`); use --world FILE")
}

/// An actor for the accounts in the settings.
///
/// # Errors
/// Always: this build has no AWS adapter.
#[cfg(not(feature = "aws"))]
pub async fn actor(_settings: &Settings) -> anyhow::Result<Arc<dyn CloudAct>> {
    anyhow::bail!("this build has no AWS adapter (feature `aws`); use --world FILE")
}

/// A world in the cloud's place.
pub struct WorldApp {
    /// The simulated account.
    pub cloud: SimCloud,
    /// The settings that the world brings, with every account and Region of it.
    pub settings: Settings,
    /// Its policies.
    pub policies: Vec<Policy>,
    /// Its clock.
    pub clock: Clock,
    /// What it was made from.
    pub world: World,
}

impl WorldApp {
    /// Opens a world at its first instant. `mode` stands in for a world that says nothing.
    ///
    /// # Errors
    /// When the world's settings or policies are wrong.
    pub fn open(world: World, mode: Mode) -> anyhow::Result<WorldApp> {
        let base = world.origin.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        let mut settings = match &world.settings {
            Some(value) => Settings::from_value(value, &base)?,
            None => {
                let mut settings = settings::defaults_for_world();
                settings.enforcement.mode = mode;
                settings
            }
        };
        // The world says which accounts there are; the settings may name people for them.
        let named = std::mem::take(&mut settings.accounts);
        settings.accounts = world
            .accounts
            .iter()
            .map(|account| settings::AccountSettings {
                id: account.id.clone(),
                name: account.name.clone(),
                role_arn: None,
                external_id: None,
                actor_role_arn: None,
                regions: account.regions.clone(),
                contact: named.iter().find(|known| known.id == account.id).and_then(|known| known.contact.clone()),
            })
            .collect();
        let policies = world_policies(&world, &base)?;
        let clock = Clock::virtual_at(world.start);
        let cloud = SimCloud::new(world.clone(), clock.clone())?;
        Ok(WorldApp { cloud, settings, policies, clock, world })
    }

    /// A context on this world: with its own policies, or with those that the state has in force at the world's
    /// instant where its settings say `policy_source: store`.
    ///
    /// # Errors
    /// As [`context`]; a stored policy does not load.
    pub fn context(&self, store: Store) -> anyhow::Result<Context> {
        let reader: Arc<dyn CloudRead> = Arc::new(self.cloud.reader());
        let policies = match self.settings.policies_from {
            PoliciesFrom::Files => self.policies.clone(),
            PoliciesFrom::Store => crate::worker::policies::in_force(&store, self.clock.now())?,
        };
        context(self.settings.clone(), &policies, store, reader, self.clock.clone())
    }

    /// The settings at an instant: exceptions that were granted by then.
    pub fn settings_at(&self, now: crate::domain::Instant) -> Settings {
        let mut settings = self.settings.clone();
        settings.exceptions.extend(
            self.world.exceptions.iter().filter(|granted| granted.from <= now).map(|granted| granted.exception.clone()),
        );
        settings
    }
}

/// The world's own policies, or the ones that `init` writes.
fn world_policies(world: &World, base: &Path) -> anyhow::Result<Vec<Policy>> {
    let checks = crate::checks::infos();
    if world.policies.is_empty() {
        let shipped = settings::init_files().into_iter().filter(|(path, _)| {
            path.starts_with("policies/") && path.ends_with(".yaml") && !path.starts_with("policies/examples/")
        });
        return Ok(policy::unite(shipped.map(|(path, text)| policy::parse(Path::new(path), &text, &checks)))?);
    }
    let mut loaded = Vec::new();
    for (index, entry) in world.policies.iter().enumerate() {
        loaded.push(if entry.contains('\n') {
            let name = format!("policy {} of world {}", index + 1, world.name);
            policy::parse(Path::new(&name), entry, &checks)
        } else {
            settings::load_policies(&[base.join(entry)], &checks)
        });
    }
    Ok(policy::unite(loaded)?)
}
