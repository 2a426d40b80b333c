//! The cloud as the program sees it: one port that reads and one that acts.
//!
//! Two adapters implement both: `aws` speaks to AWS, `sim` is a stateful simulated account. They are different types
//! on purpose: planning and dry runs are given a [`CloudRead`] and can hold nothing that writes. A reader retries and
//! pages; an actor makes one attempt at one resource and says whether the outcome is certain.
//! `prices` is the price book. What a resource, a metric or a cost row is, `domain` says.

use std::fmt;

use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::domain::Instant;
use crate::domain::budget::CostRow;
use crate::domain::launch::{Launch, MetadataOptions, TypeFacts};
use crate::domain::place::{
    AccountId, AddressId, ImageId, InstanceId, Partition, Place, ResourceKey, SnapshotId, VolumeId,
};
use crate::domain::resource::Resource;
use crate::domain::scan::RequestCount;
use crate::domain::usage::{MetricQuery, Series};

#[cfg(feature = "aws")]
pub mod aws;
pub mod none;

pub mod prices;
pub mod rights;
pub mod sim;

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

    /// Requests made so far by this reader, by operation; grows only.
    fn requests(&self) -> Vec<RequestCount>;

    /// The cloud's clock beside ours, by its latest answer; `None` while none has said the time.
    fn clock(&self) -> Option<CloudClock> {
        None
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

/// One change of one resource. There is no batch form (safety.md, H20).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "call")]
pub enum Call {
    /// Stops an instance.
    StopInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Starts a stopped instance.
    StartInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Deletes a volume.
    DeleteVolume {
        /// Which.
        volume: VolumeId,
    },
    /// Changes a volume's type and performance in place. What is left out becomes the type's own default.
    ModifyVolume {
        /// Which.
        volume: VolumeId,
        /// For example `gp3`.
        volume_type: String,
        /// Operations a second, where the type takes them.
        iops: Option<u32>,
        /// Throughput in MiB a second, where the type takes it.
        throughput: Option<u32>,
    },
    /// Releases an elastic address.
    ReleaseAddress {
        /// Which.
        address: AddressId,
    },
    /// Asks for an address that was released, by its number. Granted only while nobody else has it, so a second try
    /// makes no second one.
    AllocateAddress(Box<WantedAddress>),
    /// Deletes a snapshot; where a rule covers it, it goes to the Recycle Bin.
    DeleteSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Takes a snapshot out of the Recycle Bin, under its old id.
    RestoreSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Makes a volume from a snapshot. Sent again with the same token it makes no second one.
    CreateVolume(Box<NewVolume>),
    /// Snapshots one volume, with tags from its birth.
    CreateSnapshot {
        /// Source.
        volume: VolumeId,
        /// For people.
        description: String,
        /// Tags of the new snapshot.
        tags: Vec<(String, String)>,
    },
    /// Snapshots all attached EBS volumes of an instance at one instant (crash-consistent).
    CreateSnapshots {
        /// Source.
        instance: InstanceId,
        /// For people.
        description: String,
        /// Tags of each new snapshot.
        tags: Vec<(String, String)>,
    },
    /// Adds tags. The caller has made sure that no key exists with another value.
    CreateTags {
        /// The resource's id.
        resource: ResourceKey,
        /// What to add.
        tags: Vec<(String, String)>,
    },
    /// Removes tags, each only while it has the value that is named here.
    DeleteTags {
        /// The resource's id.
        resource: ResourceKey,
        /// Keys with the values that they must still have.
        tags: Vec<(String, String)>,
    },
    /// Changes the type of a stopped instance.
    ModifyInstanceType {
        /// Which.
        instance: InstanceId,
        /// To what, for example `m5.large`.
        to: String,
    },
    /// Terminates an instance.
    TerminateInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Makes an image of snapshots. Its name is taken once in an account and Region, so sent again it makes no second.
    RegisterImage(Box<NewImage>),
    /// Launches one instance from an image. Sent again with the same token it launches no second one.
    RunInstance(Box<NewInstance>),
}

/// An image to be made of safety snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewImage {
    /// Its name; unique in an account and Region.
    pub name: String,
    /// For people.
    pub description: String,
    /// `x86_64`, `arm64`, …
    pub architecture: String,
    /// Enhanced networking.
    pub ena: bool,
    /// Boot mode, where there is one.
    pub boot_mode: Option<String>,
    /// Device name of the root volume.
    pub root_device: String,
    /// Its volumes, the root one among them.
    pub disks: Vec<ImageDisk>,
    /// Tags from its birth.
    pub tags: Vec<(String, String)>,
}

/// One volume of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDisk {
    /// Device name.
    pub device: String,
    /// Where its data come from.
    pub snapshot: SnapshotId,
    /// For example `gp3`.
    pub volume_type: String,
    /// Size in GiB.
    pub size_gib: u32,
    /// Operations a second, where the type takes them.
    pub iops: Option<u32>,
    /// Throughput in MiB a second, where the type takes it.
    pub throughput: Option<u32>,
    /// Dies with its instance.
    pub delete_on_termination: bool,
}

/// An instance to be launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInstance {
    /// From which image.
    pub image: ImageId,
    /// For example `m5.large`.
    pub instance_type: String,
    /// Into which subnet.
    pub subnet: String,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// ARN of the instance profile.
    pub profile: Option<String>,
    /// Name of the key pair.
    pub key_name: Option<String>,
    /// Dedicated throughput to its volumes.
    pub ebs_optimized: bool,
    /// Detailed monitoring.
    pub monitoring: bool,
    /// Placement group.
    pub placement_group: Option<String>,
    /// Metadata options.
    pub metadata: Option<MetadataOptions>,
    /// Tags of the instance from its birth.
    pub tags: Vec<(String, String)>,
    /// Makes a repeated call the same call.
    pub token: String,
}

/// A volume to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVolume {
    /// Where its data come from.
    pub snapshot: SnapshotId,
    /// Availability Zone.
    pub zone: String,
    /// For example `gp3`.
    pub volume_type: String,
    /// Size in GiB.
    pub size_gib: u32,
    /// Operations a second, where the type takes them.
    pub iops: Option<u32>,
    /// Throughput in MiB a second, where the type takes it.
    pub throughput: Option<u32>,
    /// Encrypted at all.
    pub encrypted: bool,
    /// Under which key.
    pub kms_key: Option<String>,
    /// Tags from its birth.
    pub tags: Vec<(String, String)>,
    /// Makes a repeated call the same call.
    pub token: String,
}

/// An address to be had back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedAddress {
    /// The address itself.
    pub public_ip: String,
    /// The account's own pool that it was from; Amazon's when absent.
    pub pool: Option<String>,
    /// The group of zones that it was announced from.
    pub border_group: Option<String>,
    /// Tags from its birth.
    pub tags: Vec<(String, String)>,
}

/// A definite positive answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The cloud's id of the request, for the journal.
    pub request_id: String,
    /// Snapshots that were begun: source volume and new snapshot.
    pub snapshots: Vec<(VolumeId, SnapshotId)>,
    /// The volume that was made.
    #[serde(default)]
    pub volume: Option<VolumeId>,
    /// The address that was allocated.
    #[serde(default)]
    pub address: Option<AddressId>,
    /// The image that was made.
    #[serde(default)]
    pub image: Option<ImageId>,
    /// The instance that was launched.
    #[serde(default)]
    pub instance: Option<InstanceId>,
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

impl Call {
    /// The API operation's name.
    pub fn operation(&self) -> &'static str {
        match self {
            Call::StopInstance { .. } => "StopInstances",
            Call::StartInstance { .. } => "StartInstances",
            Call::DeleteVolume { .. } => "DeleteVolume",
            Call::ModifyVolume { .. } => "ModifyVolume",
            Call::ReleaseAddress { .. } => "ReleaseAddress",
            Call::AllocateAddress(_) => "AllocateAddress",
            Call::DeleteSnapshot { .. } => "DeleteSnapshot",
            Call::RestoreSnapshot { .. } => "RestoreSnapshotFromRecycleBin",
            Call::CreateVolume(_) => "CreateVolume",
            Call::CreateSnapshot { .. } => "CreateSnapshot",
            Call::CreateSnapshots { .. } => "CreateSnapshots",
            Call::CreateTags { .. } => "CreateTags",
            Call::DeleteTags { .. } => "DeleteTags",
            Call::ModifyInstanceType { .. } => "ModifyInstanceAttribute",
            Call::TerminateInstance { .. } => "TerminateInstances",
            Call::RegisterImage(_) => "RegisterImage",
            Call::RunInstance(_) => "RunInstances",
        }
    }

    /// The id that it targets; for an image that is not there yet its name.
    pub fn target(&self) -> &str {
        match self {
            Call::StopInstance { instance }
            | Call::StartInstance { instance }
            | Call::CreateSnapshots { instance, .. }
            | Call::ModifyInstanceType { instance, .. }
            | Call::TerminateInstance { instance } => instance.as_str(),
            Call::CreateVolume(new) => new.snapshot.as_str(),
            Call::DeleteVolume { volume } | Call::CreateSnapshot { volume, .. } | Call::ModifyVolume { volume, .. } => {
                volume.as_str()
            }
            Call::ReleaseAddress { address } => address.as_str(),
            Call::AllocateAddress(wanted) => &wanted.public_ip,
            Call::DeleteSnapshot { snapshot } | Call::RestoreSnapshot { snapshot } => snapshot.as_str(),
            Call::RegisterImage(new) => &new.name,
            Call::RunInstance(new) => new.image.as_str(),
            Call::CreateTags { resource, .. } | Call::DeleteTags { resource, .. } => &resource.id,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation(), self.target())
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
