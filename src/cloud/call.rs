//! What an actor can be asked to do: one call on one resource, with ids of the right kind, and its answer.
//!
//! `remediate` makes them, both adapters of `cloud` send them, and `rights` says what each needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::launch::MetadataOptions;
use crate::domain::place::{AddressId, ImageId, InstanceId, ResourceKey, SnapshotId, VolumeId};

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
    /// Deletes a safety snapshot of ours whose time is over: the same operation, under a session that reaches only
    /// what carries our mark.
    ExpireSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Deregisters a safety image of ours; its snapshots stay.
    DeregisterImage {
        /// Which.
        image: ImageId,
    },
    /// Takes a snapshot out of the Recycle Bin, under its old id.
    RestoreSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Makes a volume from a snapshot. Sent again with the same token it makes no second one.
    CreateVolume(Box<NewVolume>),
    /// Makes the volume of a restore drill: the same operation, under a session that lets only what carries the drill's
    /// mark from its birth come to be.
    MakeDrill(Box<NewVolume>),
    /// Deletes the volume of a restore drill, under a session that reaches only what carries the drill's mark.
    EndDrill {
        /// Which.
        volume: VolumeId,
    },
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

impl Call {
    /// The API operation's name.
    pub fn operation(&self) -> &'static str {
        match self {
            Call::StopInstance { .. } => "StopInstances",
            Call::StartInstance { .. } => "StartInstances",
            Call::DeleteVolume { .. } | Call::EndDrill { .. } => "DeleteVolume",
            Call::ModifyVolume { .. } => "ModifyVolume",
            Call::ReleaseAddress { .. } => "ReleaseAddress",
            Call::AllocateAddress(_) => "AllocateAddress",
            Call::DeleteSnapshot { .. } | Call::ExpireSnapshot { .. } => "DeleteSnapshot",
            Call::DeregisterImage { .. } => "DeregisterImage",
            Call::RestoreSnapshot { .. } => "RestoreSnapshotFromRecycleBin",
            Call::CreateVolume(_) | Call::MakeDrill(_) => "CreateVolume",
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
            Call::CreateVolume(new) | Call::MakeDrill(new) => new.snapshot.as_str(),
            Call::DeleteVolume { volume }
            | Call::EndDrill { volume }
            | Call::CreateSnapshot { volume, .. }
            | Call::ModifyVolume { volume, .. } => volume.as_str(),
            Call::ReleaseAddress { address } => address.as_str(),
            Call::AllocateAddress(wanted) => &wanted.public_ip,
            Call::DeleteSnapshot { snapshot }
            | Call::ExpireSnapshot { snapshot }
            | Call::RestoreSnapshot { snapshot } => snapshot.as_str(),
            Call::DeregisterImage { image } => image.as_str(),
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
