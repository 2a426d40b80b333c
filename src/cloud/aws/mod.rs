//! The AWS adapter: the only user of the AWS SDK crates.
//!
//! `app` makes an [`AwsReader`] for everything that looks and, for armed work alone, an [`AwsActor`]; both serve
//! several accounts and Regions, each account through its own role or the ambient credentials. The reader pages and
//! retries within bounds; the actor makes one attempt at one resource. Every time limit is explicit, because the
//! SDK's own leave a hanging answer waiting (safety.md, finding 9).
//!
//! One file per resource kind in `kinds`, then `metrics`, `costs` and `act`; SDK types stop there. What an error
//! means is decided in `errors` alone. No value that should be in an answer is ever defaulted: it is unknown, or the
//! page is an error and the caller makes the partition partial.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::cloud::{
    Answer, Call, CloudAct, CloudClock, CloudError, CloudRead, CostQuery, ErrorKind, Identity, KeyState, Page, rights,
};
use crate::domain::Instant;
use crate::domain::budget::CostRow;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::place::{AccountId, Partition, Place, ResourceKey};
use crate::domain::resource::Resource;
use crate::domain::scan::RequestCount;
use crate::domain::usage::{MetricQuery, Series};

mod act;
mod costs;
mod errors;
mod identity;
mod key;
mod kinds;
mod launch;
mod limiter;
mod meter;
mod metrics;
mod probe;
mod session;

pub use probe::AwsProber;

use session::{Attempts, Sessions};

/// One account that may be reached, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsAccount {
    /// Twelve digits.
    pub id: AccountId,
    /// Role to assume; without it the ambient credentials are used, and must be this account's.
    pub role_arn: Option<String>,
    /// External id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// Session name that CloudTrail shows; `costwarden` when absent.
    pub session_name: Option<String>,
}

/// Bounds of a request. [`Default`] has the values for production.
#[derive(Clone, Debug)]
pub struct AwsOptions {
    /// Longest TCP and TLS connect; 3.1 seconds, a little over one lost SYN.
    pub connect_timeout: Duration,
    /// Longest wait for the first byte of an answer; 10 seconds.
    pub read_timeout: Duration,
    /// Longest single attempt; 10 seconds.
    pub attempt_timeout: Duration,
    /// Longest call with all its attempts; 30 seconds.
    pub operation_timeout: Duration,
    /// Attempts of a reading call, the first included; 3. An acting call has one whatever stands here.
    pub read_attempts: u32,
    /// Longest pause between two attempts; 5 seconds.
    pub max_backoff: Duration,
    /// By which requests wait for their part of the account's budget; the system's. On a virtual clock nobody really
    /// waits.
    pub pacing: Clock,
}

/// Reads the accounts that it was given. Cloning is not needed: share it behind an `Arc`.
pub struct AwsReader {
    sessions: Sessions,
}

/// Changes resources of the accounts that it was given, one attempt a call.
pub struct AwsActor {
    sessions: Sessions,
}

impl Default for AwsOptions {
    fn default() -> AwsOptions {
        AwsOptions {
            connect_timeout: Duration::from_millis(3_100),
            read_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            read_attempts: 3,
            max_backoff: Duration::from_secs(5),
            pacing: Clock::System,
        }
    }
}

impl AwsReader {
    /// A reader on the ambient configuration: environment, profile, container or instance role, and the standard
    /// `AWS_ENDPOINT_URL`. Nothing is sent yet. Fails when an account is listed twice.
    pub async fn connect(accounts: &[AwsAccount], options: AwsOptions) -> anyhow::Result<AwsReader> {
        let ambient = session::ambient().await;
        AwsReader::with_config(ambient, accounts, options)
    }

    /// As [`AwsReader::connect`], on a configuration that the caller made: where the credentials and the endpoint
    /// come from is then the caller's affair. Time limits and retries are set here all the same.
    pub fn with_config(
        config: aws_config::SdkConfig,
        accounts: &[AwsAccount],
        options: AwsOptions,
    ) -> anyhow::Result<AwsReader> {
        Ok(AwsReader { sessions: Sessions::new(config, accounts, &options, Attempts::Retried)? })
    }
}

impl AwsActor {
    /// An actor on the ambient configuration; see [`AwsReader::connect`]. Give it the accounts with their acting
    /// roles.
    pub async fn connect(accounts: &[AwsAccount], options: AwsOptions) -> anyhow::Result<AwsActor> {
        let ambient = session::ambient().await;
        AwsActor::with_config(ambient, accounts, options)
    }

    /// As [`AwsActor::connect`], on a configuration that the caller made.
    pub fn with_config(
        config: aws_config::SdkConfig,
        accounts: &[AwsAccount],
        options: AwsOptions,
    ) -> anyhow::Result<AwsActor> {
        Ok(AwsActor { sessions: Sessions::new(config, accounts, &options, Attempts::One)? })
    }

    /// A client that can make this one call on this one resource, for 15 minutes (safety.md, H42).
    async fn client_of(&self, place: &Place, call: &Call) -> Result<aws_sdk_ec2::Client, CloudError> {
        act::check_place(place, call)?;
        let policy = rights::session::policy(place, call).map_err(|why| {
            let message = format!("{why}; nothing was sent");
            CloudError::new(ErrorKind::Rejected, "ec2", call.operation(), None, &message)
        })?;
        self.sessions.ec2_under(place, policy).await
    }

    /// Requests made so far by this actor, by operation; grows only.
    pub fn requests(&self) -> Vec<RequestCount> {
        self.sessions.meter().counts()
    }
}

#[async_trait]
impl CloudRead for AwsReader {
    async fn identity(&self, account: &AccountId) -> Result<Identity, CloudError> {
        identity::caller(&self.sessions.sts(account).await?).await
    }

    async fn list(&self, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
        kinds::list(&self.sessions.ec2(&partition.place).await?, partition, cursor).await
    }

    async fn describe(&self, key: &ResourceKey) -> Result<Resource, CloudError> {
        kinds::describe(&self.sessions.ec2(&key.partition.place).await?, key).await
    }

    async fn metrics(&self, place: &Place, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
        let client = self.sessions.cloudwatch(place).await?;
        metrics::read(&client, self.sessions.meter(), queries).await
    }

    async fn costs(&self, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
        costs::read(&self.sessions.cost_explorer(account).await?, account, query).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Result<Vec<Resource>, CloudError> {
        kinds::snapshots_tagged(&self.sessions.ec2(place).await?, place, key, value).await
    }

    async fn particulars(&self, resource: &mut Resource) {
        match self.sessions.ec2(&resource.key.partition.place).await {
            Ok(client) => kinds::particulars(&client, resource).await,
            Err(error) => tracing::warn!(resource = %resource.key, "its particulars could not be asked for: {error}"),
        }
    }

    async fn recycled(&self, snapshot: &ResourceKey) -> Result<Option<Instant>, CloudError> {
        kinds::recycled(&self.sessions.ec2(&snapshot.partition.place).await?, snapshot).await
    }

    async fn launch(&self, instance: &ResourceKey) -> Result<Launch, CloudError> {
        kinds::launch(&self.sessions.ec2(&instance.partition.place).await?, instance).await
    }

    async fn type_facts(&self, place: &Place, zone: &str, name: &str) -> Result<TypeFacts, CloudError> {
        kinds::type_facts(&self.sessions.ec2(place).await?, place, zone, name).await
    }

    async fn source_of(&self, volume: &ResourceKey) -> Result<Option<String>, CloudError> {
        kinds::source_of(&self.sessions.ec2(&volume.partition.place).await?, volume).await
    }

    async fn key_state(&self, place: &Place, key: &str) -> Result<KeyState, CloudError> {
        key::state(&self.sessions.kms(place).await?, key).await
    }

    fn requests(&self) -> Vec<RequestCount> {
        self.sessions.meter().counts()
    }

    fn clock(&self) -> Option<CloudClock> {
        self.sessions.meter().clock()
    }
}

#[async_trait]
impl CloudAct for AwsActor {
    async fn acting_as(&self, account: &AccountId) -> Result<Identity, CloudError> {
        identity::caller(&self.sessions.sts(account).await?).await
    }

    async fn permitted(&self, place: &Place, call: &Call) -> Result<(), CloudError> {
        let client = self.client_of(place, call).await?;
        self.sessions.turn_of_question(place, call).await;
        act::permitted(&client, call).await
    }

    async fn execute(&self, place: &Place, call: &Call) -> Result<Answer, CloudError> {
        let client = self.client_of(place, call).await?;
        // Outside the call's time limits: a change that waited for its turn too long must not look like one that may
        // have been made.
        self.sessions.turn(place, call).await;
        act::execute(&client, call).await
    }
}
