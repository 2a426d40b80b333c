//! The cloud as the program sees it: one port that reads and one that acts.
//!
//! Two adapters implement both: `aws` speaks to AWS, `sim` is a stateful simulated account. They are different types
//! on purpose: planning and dry runs are given a [`CloudRead`] and can hold nothing that writes. A reader retries and
//! pages; an actor makes one attempt at one resource and says whether the outcome is certain.
//! `prices` is the price book. What a resource, a metric or a cost row is, `domain` says.

use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::domain::Instant;
use crate::domain::budget::CostRow;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::place::{AccountId, Partition, Place, ResourceKey};
use crate::domain::resource::Resource;
use crate::domain::scan::RequestCount;
use crate::domain::usage::{MetricQuery, Series};

#[cfg(feature = "aws")]
pub mod aws;
mod call;
pub mod none;

pub mod prices;
pub mod rights;
pub mod sim;

pub use call::{Answer, Call, ImageDisk, NewImage, NewInstance, NewVolume, WantedAddress};

/// Most metric queries that one bulk read carries (GetMetricData's limit).
pub const METRICS_PER_CALL: usize = 500;

/// Reads one or several accounts. Every method may be called from many tasks at once.
#[async_trait]
pub trait CloudRead: Send + Sync {
    /// Who the credentials for `account` really are. The caller compares; this only asks.
    async fn identity(&self, account: &AccountId) -> Result<Identity, CloudError>;

    /// One page of a partition: `cursor` is `None` for the first and the last page's `next` after that.
    /// Only own resources are listed. Terminated instances may appear; callers judge by state.
    async fn list(&self, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError>;

    /// One resource, read fresh, with its protection flags. [`ErrorKind::NotFound`] when the cloud says that it does
    /// not exist; that alone is no proof that it is gone (safety.md, finding 3).
    async fn describe(&self, key: &ResourceKey) -> Result<Resource, CloudError>;

    /// At most [`METRICS_PER_CALL`] series in one bulk read, answered in the order asked. Pages of the answer are
    /// followed to their end; a series that the answer lacks or calls partial is unknown.
    async fn metrics(&self, place: &Place, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError>;

    /// Unblended cost by day. Metered: 0.01 dollars a page at AWS.
    async fn costs(&self, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError>;

    /// Own snapshots that carry a tag, for finding a safety snapshot again before another is made.
    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Result<Vec<Resource>, CloudError>;

    /// Asks for what [`CloudRead::describe`] leaves out because few acts depend on it: the last modification of a
    /// volume, which image a snapshot is part of, whether it is locked. What cannot be read is unknown and says why;
    /// an adapter that does not ask leaves everything unknown.
    async fn particulars(&self, _resource: &mut Resource) {}

    /// Until when the Recycle Bin keeps a deleted snapshot; `None` when it is not there. Whether a rule *would* keep
    /// one cannot be read through EC2.
    async fn recycled(&self, snapshot: &ResourceKey) -> Result<Option<Instant>, CloudError> {
        let message = format!("this adapter cannot look for {} in the Recycle Bin", snapshot.id);
        Err(CloudError::new(ErrorKind::Denied, "ec2", "ListSnapshotsInRecycleBin", None, &message))
    }

    /// How an instance was launched, read fresh. An adapter that cannot tell answers with an error, and then no act
    /// that needs it is done.
    async fn launch(&self, instance: &ResourceKey) -> Result<Launch, CloudError> {
        let message = format!("this adapter cannot say how {instance} was launched");
        Err(CloudError::new(ErrorKind::Denied, "ec2", "DescribeInstances", None, &message))
    }

    /// What an instance type can run, and whether it is offered in an Availability Zone of the place.
    async fn type_facts(&self, place: &Place, zone: &str, name: &str) -> Result<TypeFacts, CloudError> {
        let message = format!("this adapter cannot say what type {name} can run in {zone} of {place}");
        Err(CloudError::new(ErrorKind::Denied, "ec2", "DescribeInstanceTypes", None, &message))
    }

    /// Whether a key that disks are encrypted under can be used now. `key` is what EC2 says of a volume or snapshot: an
    /// ARN. An adapter that cannot tell answers with an error, and then nothing is done that needs the key.
    async fn key_state(&self, place: &Place, key: &str) -> Result<KeyState, CloudError> {
        let message = format!("this adapter cannot say of {place} in which state key {key} is");
        Err(CloudError::new(ErrorKind::Denied, "kms", "DescribeKey", None, &message))
    }

    /// The snapshot that a volume was made of; `None` when it was made empty. An adapter that cannot tell answers with an
    /// error, and then a drill's volume is left alone.
    async fn source_of(&self, volume: &ResourceKey) -> Result<Option<String>, CloudError> {
        let message = format!("this adapter cannot say what {volume} was made of");
        Err(CloudError::new(ErrorKind::Denied, "ec2", "DescribeVolumes", None, &message))
    }

    /// Requests made so far by this reader, by operation; grows only.
    fn requests(&self) -> Vec<RequestCount>;

    /// The cloud's clock beside ours, by its latest answer; `None` while none has said the time.
    fn clock(&self) -> Option<CloudClock> {
        None
    }
}

/// Whether an encryption key can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It can, now.
    Enabled,
    /// It is in another state, by KMS's word: `Disabled`, `PendingDeletion`, `PendingImport`, `Unavailable`, or one that
    /// this version does not know. What is encrypted under it cannot be counted on.
    Other(String),
}

impl KeyState {
    /// KMS's word for a state.
    pub const ENABLED: &'static str = "Enabled";

    /// The state of a word; only the one word is enabled.
    pub fn of(word: &str) -> KeyState {
        if word == KeyState::ENABLED { KeyState::Enabled } else { KeyState::Other(word.to_owned()) }
    }
}

/// How the cloud's clock stood to ours at the latest answer that carried a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloudClock {
    /// Its time minus ours, to the second.
    pub ahead: TimeDelta,
    /// Answers compared so far: two equal numbers mean that nothing new was heard.
    pub readings: u64,
}

/// Changes one account. No method retries: after an [`ErrorKind::Uncertain`] only a reader may look.
#[async_trait]
pub trait CloudAct: Send + Sync {
    /// Who the acting credentials for `account` really are: they may be another role's than the reader's, so they
    /// are asked for themselves before acts (safety.md, H04). An adapter that cannot tell answers with an error, and
    /// then nothing is done.
    async fn acting_as(&self, account: &AccountId) -> Result<Identity, CloudError> {
        let message = format!("this adapter cannot say who acts in account {account}");
        Err(CloudError::new(ErrorKind::Denied, "sts", "GetCallerIdentity", None, &message))
    }

    /// Asks whether the call would be permitted, without making it (EC2's `DryRun`). `Ok` means permitted; it says
    /// nothing about state or effect.
    async fn permitted(&self, place: &Place, call: &Call) -> Result<(), CloudError>;

    /// Makes one call on one resource, once.
    async fn execute(&self, place: &Place, call: &Call) -> Result<Answer, CloudError>;
}

/// Who the credentials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The principal's ARN.
    pub arn: String,
}

/// A page of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What is on it.
    pub resources: Vec<Resource>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// Which costs to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostQuery {
    /// First day, inclusive.
    pub from: NaiveDate,
    /// Last day, exclusive.
    pub to: NaiveDate,
    /// By service, or by the values of one cost-allocation tag.
    pub group_by: CostGroupBy,
}

/// How costs are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostGroupBy {
    /// By service.
    Service,
    /// By the values of this tag.
    Tag(String),
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{service} {operation}: {message}{}", self.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct CloudError {
    /// What follows from it.
    pub kind: ErrorKind,
    /// For example `ec2`.
    pub service: String,
    /// For example `DescribeInstances`.
    pub operation: String,
    /// The cloud's error code, when it gave one.
    pub code: Option<String>,
    /// For people, without secrets.
    pub message: String,
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The cloud says that the thing does not exist.
    NotFound,
    /// Not permitted, or the credentials are not valid.
    Denied,
    /// Too many requests; certainly not done.
    Throttled,
    /// Rejected for its state or arguments; certainly not done.
    Rejected,
    /// No usable answer: time-out, cut connection, 5xx, unreadable body. For an act: it may or may not have happened.
    Uncertain,
}

impl CloudError {
    /// An error with its parts.
    pub fn new(kind: ErrorKind, service: &str, operation: &str, code: Option<&str>, message: &str) -> CloudError {
        CloudError {
            kind,
            service: service.into(),
            operation: operation.into(),
            code: code.map(Into::into),
            message: message.into(),
        }
    }

    /// True when an act certainly did not happen.
    pub fn definite(&self) -> bool {
        self.kind != ErrorKind::Uncertain
    }
}

/// Reads a partition to its end and hands each page to `each`. Returns how many pages came and the error that ended
/// it early, if one did.
pub async fn read_partition(
    cloud: &dyn CloudRead,
    partition: &Partition,
    mut each: impl FnMut(Vec<Resource>),
) -> (u32, Option<CloudError>) {
    let mut cursor: Option<String> = None;
    let mut pages = 0;
    loop {
        match cloud.list(partition, cursor.as_deref()).await {
            Ok(page) => {
                pages += 1;
                each(page.resources);
                match page.next {
                    None => return (pages, None),
                    Some(next) if Some(&next) == cursor.as_ref() => {
                        let error = CloudError::new(
                            ErrorKind::Uncertain,
                            "list",
                            partition.kind.name(),
                            None,
                            "the page token repeated itself; stopped reading",
                        );
                        return (pages, Some(error));
                    }
                    Some(next) => cursor = Some(next),
                }
            }
            Err(error) => return (pages, Some(error)),
        }
    }
}
