//! SDK configurations and clients, one per account and Region, made on first use and kept.
//!
//! Called by the reader and the actor. It promises that every client has explicit time limits, a bounded number of
//! attempts, the meter, and the check that an answer arrived whole; and that no account outside the list is reached.
//! Credentials are the SDK's: the reader assumes a role once per account and renews it before it expires. The actor
//! assumes its role for each call, under a session policy that names this call alone; whatever else it is asked for,
//! who it is for example, it does under a policy that allows nothing. Only an account without a role acts with the
//! ambient credentials as they are; `doctor` warns of that.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::limiter::{Limiter, Listening, Turnstile};
use super::meter::{Meter, Metering};
use super::{AwsAccount, AwsOptions};
use crate::cloud::{Call, CloudError, ErrorKind, rights};
use crate::domain::place::{AccountId, Place};

/// The Region of calls that belong to no Region, when the ambient configuration names none. Cost Explorer has no
/// other endpoint in the commercial partition.
const HOME_REGION: &str = "us-east-1";

/// The SDK's defaults change with its behaviour version; this is the one that this program was tested with.
fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// How often a call may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempts {
    /// Reading: retried within the options' bounds.
    Retried,
    /// Acting: once.
    One,
}

/// Everything that is kept between calls.
pub(super) struct Sessions {
    base: SdkConfig,
    accounts: HashMap<AccountId, AwsAccount>,
    meter: Arc<Meter>,
    limiter: Arc<Limiter>,
    attempts: Attempts,
    by_account: tokio::sync::Mutex<HashMap<AccountId, SdkConfig>>,
    ec2: Mutex<HashMap<Place, aws_sdk_ec2::Client>>,
    cloudwatch: Mutex<HashMap<Place, aws_sdk_cloudwatch::Client>>,
    cost_explorer: Mutex<HashMap<AccountId, aws_sdk_costexplorer::Client>>,
    kms: Mutex<HashMap<Place, aws_sdk_kms::Client>>,
    sts: Mutex<HashMap<AccountId, aws_sdk_sts::Client>>,
    /// The session policy of everything that is asked for without one of its own.
    narrow: Option<String>,
    /// The last clients with a session policy of their own, so that asking for permission and acting share one.
    narrowed: Mutex<VecDeque<(Place, String, aws_sdk_ec2::Client)>>,
}

/// How many clients of single calls are kept.
const NARROWED: usize = 8;

/// The ambient configuration. The Region comes from the environment or the profile; the instance metadata service
/// is not asked for one, because every call names its Region and a missing service would cost seconds.
pub(super) async fn ambient() -> SdkConfig {
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(HOME_REGION));
    aws_config::defaults(behavior_version()).region(region).load().await
}

impl Sessions {
    pub(super) fn new(
        ambient: SdkConfig,
        accounts: &[AwsAccount],
        options: &AwsOptions,
        attempts: Attempts,
    ) -> anyhow::Result<Sessions> {
        let mut by_id = HashMap::new();
        for account in accounts {
            anyhow::ensure!(
                by_id.insert(account.id.clone(), account.clone()).is_none(),
                "account {} is listed twice; each account has one entry",
                account.id
            );
        }
        Ok(Sessions {
            base: bounded(ambient, options, attempts)?,
            accounts: by_id,
            meter: Arc::default(),
            limiter: Arc::new(Limiter::new(options.pacing.clone())),
            attempts,
            by_account: tokio::sync::Mutex::default(),
            ec2: Mutex::default(),
            cloudwatch: Mutex::default(),
            cost_explorer: Mutex::default(),
            kms: Mutex::default(),
            sts: Mutex::default(),
            narrow: (attempts == Attempts::One).then(rights::session::nothing),
            narrowed: Mutex::default(),
        })
    }

    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    pub(super) async fn ec2(&self, place: &Place) -> Result<aws_sdk_ec2::Client, CloudError> {
        let config = self.config(&place.account, Some(place.region.as_str())).await?;
        Ok(cached(&self.ec2, place, || {
            let config = self.paced(config, &place.to_string());
            let config = aws_sdk_ec2::config::Builder::from(&config).interceptor(self.metering());
            aws_sdk_ec2::Client::from_conf(config.interceptor(self.listening(&place.to_string())).build())
        }))
    }

    /// A client whose credentials can do what `policy` says and no more. An account without a role has only the
    /// ambient credentials, which cannot be narrowed.
    pub(super) async fn ec2_under(&self, place: &Place, policy: String) -> Result<aws_sdk_ec2::Client, CloudError> {
        let entry = self.entry(&place.account)?;
        if entry.role_arn.is_none() {
            return self.ec2(place).await;
        }
        // A poisoned lock only means that another task died between two whole states of the list.
        let known = |list: &VecDeque<(Place, String, aws_sdk_ec2::Client)>| {
            let found = list.iter().find(|(own, text, _)| own == place && *text == policy);
            found.map(|(_, _, client)| client.clone())
        };
        if let Some(client) = known(&self.narrowed.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(client);
        }
        let region = Region::new(place.region.as_str().to_owned());
        let config = self.with_credentials(entry, Some(region.clone()), Some(&policy)).await;
        let config = self.paced(config.into_builder().region(region).build(), &place.to_string());
        let config = aws_sdk_ec2::config::Builder::from(&config).interceptor(self.metering());
        let client = aws_sdk_ec2::Client::from_conf(config.interceptor(self.listening(&place.to_string())).build());
        let mut narrowed = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        narrowed.push_front((place.clone(), policy, client.clone()));
        narrowed.truncate(NARROWED);
        Ok(client)
    }

    /// The ambient credentials as everything else is made from them; `None` when there are none.
    pub(super) async fn ambient_key(&self) -> Option<String> {
        let credentials = self.base.credentials_provider()?.provide_credentials().await.ok()?;
        Some(credentials.access_key_id().to_owned())
    }

    pub(super) async fn cloudwatch(&self, place: &Place) -> Result<aws_sdk_cloudwatch::Client, CloudError> {
        let config = self.config(&place.account, Some(place.region.as_str())).await?;
        Ok(cached(&self.cloudwatch, place, || {
            let config = self.paced(config, &place.to_string());
            let config = aws_sdk_cloudwatch::config::Builder::from(&config).interceptor(self.metering());
            aws_sdk_cloudwatch::Client::from_conf(config.interceptor(self.listening(&place.to_string())).build())
        }))
    }

    /// A disk and its key are always in the same Region.
    pub(super) async fn kms(&self, place: &Place) -> Result<aws_sdk_kms::Client, CloudError> {
        let config = self.config(&place.account, Some(place.region.as_str())).await?;
        Ok(cached(&self.kms, place, || {
            let config = self.paced(config, &place.to_string());
            let config = aws_sdk_kms::config::Builder::from(&config).interceptor(self.metering());
            aws_sdk_kms::Client::from_conf(config.interceptor(self.listening(&place.to_string())).build())
        }))
    }

    pub(super) async fn cost_explorer(&self, account: &AccountId) -> Result<aws_sdk_costexplorer::Client, CloudError> {
        let config = self.config(account, Some(HOME_REGION)).await?;
        Ok(cached(&self.cost_explorer, account, || {
            let config = self.paced(config, &account.to_string());
            let config = aws_sdk_costexplorer::config::Builder::from(&config).interceptor(self.metering());
            aws_sdk_costexplorer::Client::from_conf(config.interceptor(self.listening(&account.to_string())).build())
        }))
    }

    pub(super) async fn sts(&self, account: &AccountId) -> Result<aws_sdk_sts::Client, CloudError> {
        let config = self.config(account, None).await?;
        Ok(cached(&self.sts, account, || {
            let config = self.paced(config, &account.to_string());
            let config = aws_sdk_sts::config::Builder::from(&config).interceptor(self.metering());
            aws_sdk_sts::Client::from_conf(config.interceptor(self.listening(&account.to_string())).build())
        }))
    }

    fn metering(&self) -> Metering {
        Metering(self.meter.clone())
    }

    fn listening(&self, scope: &str) -> Listening {
        Listening { limiter: self.limiter.clone(), scope: scope.to_owned() }
    }

    /// A configuration whose every attempt waits for its turn. Acts take theirs before the call ([`Sessions::turn`]).
    fn paced(&self, config: SdkConfig, scope: &str) -> SdkConfig {
        match (self.attempts, config.identity_cache()) {
            (Attempts::Retried, Some(behind)) => {
                let limiter = self.limiter.clone();
                let turnstile = Turnstile { behind, limiter, scope: scope.to_owned() };
                config.into_builder().identity_cache(turnstile).build()
            }
            _ => config,
        }
    }

    /// Waits until it may be asked whether a change is permitted.
    pub(super) async fn turn_of_question(&self, place: &Place, call: &Call) {
        self.limiter.turn_of_question(&place.to_string(), "EC2", call.operation()).await;
    }

    /// Waits until a change may leave.
    pub(super) async fn turn(&self, place: &Place, call: &Call) {
        self.limiter.turn(&place.to_string(), "EC2", call.operation()).await;
    }

    /// The account's configuration in a Region, or in the ambient one.
    async fn config(&self, account: &AccountId, region: Option<&str>) -> Result<SdkConfig, CloudError> {
        let entry = self.entry(account)?;
        let region = region.map(|name| Region::new(name.to_owned()));
        let mut by_account = self.by_account.lock().await;
        let config = match by_account.get(account) {
            Some(config) => config.clone(),
            None => {
                let config = self.with_credentials(entry, region.clone(), self.narrow.as_deref()).await;
                by_account.insert(account.clone(), config.clone());
                config
            }
        };
        drop(by_account);
        Ok(match region {
            Some(region) => config.into_builder().region(region).build(),
            None => config,
        })
    }

    fn entry(&self, account: &AccountId) -> Result<&AwsAccount, CloudError> {
        self.accounts.get(account).ok_or_else(|| {
            let message = format!("account {account} is not in the list of accounts; nothing was sent");
            CloudError::new(ErrorKind::Denied, "sts", "AssumeRole", None, &message)
        })
    }

    /// The base configuration with the account's credentials, a session policy over them if there is one, and a cache
    /// of its own for them.
    async fn with_credentials(&self, account: &AwsAccount, region: Option<Region>, policy: Option<&str>) -> SdkConfig {
        let mut builder = self.base.to_builder().identity_cache(IdentityCache::lazy().build());
        if let Some(role) = &account.role_arn {
            // Assuming a role changes nothing, so it may be retried even for the actor.
            let sts = self.base.to_builder().retry_config(RetryConfig::standard().with_max_attempts(3)).build();
            let mut provider = AssumeRoleProvider::builder(role)
                .session_name(account.session_name.as_deref().unwrap_or("costwarden"))
                .configure(&sts);
            if let Some(region) = sts.region().cloned().or(region) {
                provider = provider.region(region);
            }
            if let Some(external_id) = &account.external_id {
                provider = provider.external_id(external_id);
            }
            if let Some(policy) = policy {
                let length = Duration::from_secs(rights::session::SESSION_SECONDS);
                provider = provider.policy(policy).session_length(length);
            }
            builder = builder.credentials_provider(SharedCredentialsProvider::new(provider.build().await));
        }
        builder.build()
    }
}

/// `ambient` with every limit set; nothing is left to the SDK's defaults.
fn bounded(ambient: SdkConfig, options: &AwsOptions, attempts: Attempts) -> anyhow::Result<SdkConfig> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .operation_timeout(options.operation_timeout)
        .build();
    let retries = match attempts {
        Attempts::One => RetryConfig::disabled(),
        Attempts::Retried => RetryConfig::standard()
            .with_max_attempts(options.read_attempts.max(1))
            .with_initial_backoff(Duration::from_millis(200).min(options.max_backoff))
            .with_max_backoff(options.max_backoff),
    };
    let mut builder = ambient.into_builder().behavior_version(behavior_version());
    builder = builder.timeout_config(timeouts).retry_config(retries);
    let name = AppName::new(concat!("costwarden-", env!("CARGO_PKG_VERSION")))?;
    Ok(builder.app_name(name).build())
}

/// The cached client of `key`, made by `make` when there is none yet.
fn cached<K: Clone + Eq + std::hash::Hash, C: Clone>(
    clients: &Mutex<HashMap<K, C>>,
    key: &K,
    make: impl FnOnce() -> C,
) -> C {
    // A poisoned lock only means that another task died between two whole states of the map.
    let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
    clients.entry(key.clone()).or_insert_with(make).clone()
}
