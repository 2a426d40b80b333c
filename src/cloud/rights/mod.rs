//! Which rights each read and each change needs: the one table behind `iam print`, the session policy of every act,
//! and `doctor`.
//!
//! A change without a row does not compile, and neither does an act or a kind. The rows follow AWS's service
//! authorization reference for EC2 (read 2026-11); tests hold them against what the adapter really sends, in both
//! directions. `documents` makes role policies of the rows, `session` the policy of one call. Names of actions are
//! whole: no wildcard is ever written.

use super::Call;
use crate::domain::finding::Act;
use crate::domain::place::Kind;

pub mod documents;
pub mod probes;
pub mod session;

#[cfg(test)]
mod evaluator;
#[cfg(test)]
mod tests;

/// One right: an action on resources, under conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// For example `ec2:StopInstances`.
    pub action: &'static str,
    /// On what.
    pub on: On,
    /// Only when all of these hold.
    pub when: &'static [When],
}

/// What a right is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The one resource that the call names, which is of this kind.
    Target(Kind),
    /// The one resource that the call names, whatever its kind.
    Named,
    /// What the call makes; it has no id yet.
    New(Kind),
    /// What comes along with the target: the volumes of an instance.
    Along(Kind),
    /// KMS keys of the account: the one that the call names, or any.
    Key,
    /// What a launch is put into or given, by its word in ARNs.
    Beside(&'static str),
    /// Roles of the account.
    Role,
    /// The service knows no resources here.
    Everything,
}

/// What must hold for a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only tags with keys of ours.
    OurTagKeys,
    /// Only while this operation makes the resource.
    Creating(&'static str),
    /// Only when EC2 asks on the caller's behalf.
    ThroughEc2,
    /// Only for an AWS resource's own use.
    ForAwsResource,
    /// Only a new type: the same API changes protection flags.
    NewType,
    /// Only what carries the mark of our own backups.
    OurMark,
    /// Only when EC2 looks on the caller's behalf for what refers to an image.
    ThroughImages,
    /// Only for instances.
    PassedToEc2,
    /// Only what gets the mark of a restore drill from its birth.
    BornForDrill,
    /// Only what carries the mark of a restore drill.
    OfDrill,
}

/// A change without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// [`Call::StopInstance`]
    StopInstance,
    /// [`Call::StartInstance`]
    StartInstance,
    /// [`Call::DeleteVolume`]
    DeleteVolume,
    /// [`Call::ModifyVolume`]
    ModifyVolume,
    /// [`Call::ReleaseAddress`]
    ReleaseAddress,
    /// [`Call::AllocateAddress`]
    AllocateAddress,
    /// [`Call::DeleteSnapshot`]
    DeleteSnapshot,
    /// [`Call::ExpireSnapshot`]
    ExpireSnapshot,
    /// [`Call::DeregisterImage`]
    DeregisterImage,
    /// [`Call::RestoreSnapshot`]
    RestoreSnapshot,
    /// [`Call::CreateVolume`]
    CreateVolume,
    /// [`Call::CreateSnapshot`]
    CreateSnapshot,
    /// [`Call::CreateSnapshots`]
    CreateSnapshots,
    /// [`Call::CreateTags`]
    CreateTags,
    /// [`Call::DeleteTags`]
    DeleteTags,
    /// [`Call::ModifyInstanceType`]
    ModifyInstanceType,
    /// [`Call::TerminateInstance`]
    TerminateInstance,
    /// [`Call::RegisterImage`]
    RegisterImage,
    /// [`Call::RunInstance`]
    RunInstance,
    /// [`Call::MakeDrill`]
    MakeDrill,
    /// [`Call::EndDrill`]
    EndDrill,
}

/// The changes that one act may make, from its backup to its undo.
#[derive(Clone, Copy, Debug)]
pub struct Changes {
    /// Before it.
    pub backup: &'static [Change],
    /// The act itself.
    pub act: &'static [Change],
    /// What takes it back.
    pub undo: &'static [Change],
}

const fn right(action: &'static str, on: On) -> Right {
    Right { action, on, when: &[] }
}

/// A right on one of our own backups.
const fn of_ours(action: &'static str, kind: Kind) -> Right {
    Right { action, on: On::Target(kind), when: &[When::OurMark] }
}

const fn tagging(kind: Kind, creating: &'static [When]) -> Right {
    Right { action: "ec2:CreateTags", on: On::New(kind), when: creating }
}

const fn key(action: &'static str, when: &'static [When]) -> Right {
    Right { action, on: On::Key, when }
}

/// What EC2 needs to hand an encrypted disk to an instance.
const GRANT: Right = key("kms:CreateGrant", &[When::ThroughEc2, When::ForAwsResource]);

impl Change {
    /// All of them, in the order of the calls.
    pub const ALL: [Change; 21] = [
        Change::StopInstance,
        Change::StartInstance,
        Change::DeleteVolume,
        Change::ModifyVolume,
        Change::ReleaseAddress,
        Change::AllocateAddress,
        Change::DeleteSnapshot,
        Change::ExpireSnapshot,
        Change::DeregisterImage,
        Change::RestoreSnapshot,
        Change::CreateVolume,
        Change::CreateSnapshot,
        Change::CreateSnapshots,
        Change::CreateTags,
        Change::DeleteTags,
        Change::ModifyInstanceType,
        Change::TerminateInstance,
        Change::RegisterImage,
        Change::RunInstance,
        Change::MakeDrill,
        Change::EndDrill,
    ];

    /// Those of a restore drill, which no act makes.
    pub const DRILL: [Change; 2] = [Change::MakeDrill, Change::EndDrill];

    /// The change that a call makes.
    pub fn of(call: &Call) -> Change {
        match call {
            Call::StopInstance { .. } => Change::StopInstance,
            Call::StartInstance { .. } => Change::StartInstance,
            Call::DeleteVolume { .. } => Change::DeleteVolume,
            Call::ModifyVolume { .. } => Change::ModifyVolume,
            Call::ReleaseAddress { .. } => Change::ReleaseAddress,
            Call::AllocateAddress(_) => Change::AllocateAddress,
            Call::DeleteSnapshot { .. } => Change::DeleteSnapshot,
            Call::ExpireSnapshot { .. } => Change::ExpireSnapshot,
            Call::DeregisterImage { .. } => Change::DeregisterImage,
            Call::RestoreSnapshot { .. } => Change::RestoreSnapshot,
            Call::CreateVolume(_) => Change::CreateVolume,
            Call::CreateSnapshot { .. } => Change::CreateSnapshot,
            Call::CreateSnapshots { .. } => Change::CreateSnapshots,
            Call::CreateTags { .. } => Change::CreateTags,
            Call::DeleteTags { .. } => Change::DeleteTags,
            Call::ModifyInstanceType { .. } => Change::ModifyInstanceType,
            Call::TerminateInstance { .. } => Change::TerminateInstance,
            Call::RegisterImage(_) => Change::RegisterImage,
            Call::RunInstance(_) => Change::RunInstance,
            Call::MakeDrill(_) => Change::MakeDrill,
            Call::EndDrill { .. } => Change::EndDrill,
        }
    }

    /// Its rights. The first is the API that it calls.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Change::StopInstance => const { &[right("ec2:StopInstances", On::Target(Kind::Instance))] },
            // An instance with encrypted disks does not start without the grant, and says so only afterwards.
            Change::StartInstance => const { &[right("ec2:StartInstances", On::Target(Kind::Instance)), GRANT] },
            Change::DeleteVolume => const { &[right("ec2:DeleteVolume", On::Target(Kind::Volume))] },
            Change::ModifyVolume => const { &[right("ec2:ModifyVolume", On::Target(Kind::Volume))] },
            Change::ReleaseAddress => const { &[right("ec2:ReleaseAddress", On::Target(Kind::Address))] },
            Change::AllocateAddress => {
                const {
                    &[
                        right("ec2:AllocateAddress", On::New(Kind::Address)),
                        tagging(Kind::Address, &[When::Creating("AllocateAddress")]),
                    ]
                }
            }
            Change::DeleteSnapshot => const { &[right("ec2:DeleteSnapshot", On::Target(Kind::Snapshot))] },
            Change::ExpireSnapshot => const { &[of_ours("ec2:DeleteSnapshot", Kind::Snapshot)] },
            Change::DeregisterImage => const { &[of_ours("ec2:DeregisterImage", Kind::Image)] },
            Change::RestoreSnapshot => {
                const { &[right("ec2:RestoreSnapshotFromRecycleBin", On::Target(Kind::Snapshot))] }
            }
            Change::CreateVolume => {
                const {
                    &[
                        right("ec2:CreateVolume", On::Target(Kind::Snapshot)),
                        right("ec2:CreateVolume", On::New(Kind::Volume)),
                        tagging(Kind::Volume, &[When::Creating("CreateVolume")]),
                        GRANT,
                        key("kms:Decrypt", &[When::ThroughEc2]),
                        key("kms:DescribeKey", &[When::ThroughEc2]),
                        key("kms:GenerateDataKeyWithoutPlaintext", &[When::ThroughEc2]),
                        key("kms:ReEncryptFrom", &[When::ThroughEc2]),
                        key("kms:ReEncryptTo", &[When::ThroughEc2]),
                    ]
                }
            }
            Change::CreateSnapshot => {
                const {
                    &[
                        right("ec2:CreateSnapshot", On::Target(Kind::Volume)),
                        right("ec2:CreateSnapshot", On::New(Kind::Snapshot)),
                        tagging(Kind::Snapshot, &[When::Creating("CreateSnapshot")]),
                    ]
                }
            }
            Change::CreateSnapshots => {
                const {
                    &[
                        right("ec2:CreateSnapshots", On::Target(Kind::Instance)),
                        right("ec2:CreateSnapshots", On::Along(Kind::Volume)),
                        right("ec2:CreateSnapshots", On::New(Kind::Snapshot)),
                        tagging(Kind::Snapshot, &[When::Creating("CreateSnapshots")]),
                    ]
                }
            }
            Change::CreateTags => {
                const { &[Right { action: "ec2:CreateTags", on: On::Named, when: &[When::OurTagKeys] }] }
            }
            Change::ModifyInstanceType => {
                const {
                    &[Right {
                        action: "ec2:ModifyInstanceAttribute",
                        on: On::Target(Kind::Instance),
                        when: &[When::NewType],
                    }]
                }
            }
            Change::TerminateInstance => const { &[right("ec2:TerminateInstances", On::Target(Kind::Instance))] },
            Change::RegisterImage => {
                const {
                    &[
                        right("ec2:RegisterImage", On::New(Kind::Image)),
                        right("ec2:RegisterImage", On::Along(Kind::Snapshot)),
                        tagging(Kind::Image, &[When::Creating("RegisterImage")]),
                    ]
                }
            }
            Change::RunInstance => {
                const {
                    &[
                        right("ec2:RunInstances", On::Target(Kind::Image)),
                        right("ec2:RunInstances", On::Along(Kind::Snapshot)),
                        right("ec2:RunInstances", On::New(Kind::Instance)),
                        right("ec2:RunInstances", On::New(Kind::Volume)),
                        right("ec2:RunInstances", On::Beside("network-interface")),
                        right("ec2:RunInstances", On::Beside("subnet")),
                        right("ec2:RunInstances", On::Beside("security-group")),
                        right("ec2:RunInstances", On::Beside("key-pair")),
                        right("ec2:RunInstances", On::Beside("placement-group")),
                        tagging(Kind::Instance, &[When::Creating("RunInstances")]),
                        Right { action: "iam:PassRole", on: On::Role, when: &[When::PassedToEc2] },
                        GRANT,
                        key("kms:Decrypt", &[When::ThroughEc2]),
                        key("kms:DescribeKey", &[When::ThroughEc2]),
                        key("kms:GenerateDataKeyWithoutPlaintext", &[When::ThroughEc2]),
                        key("kms:ReEncryptFrom", &[When::ThroughEc2]),
                        key("kms:ReEncryptTo", &[When::ThroughEc2]),
                    ]
                }
            }
            Change::MakeDrill => {
                const {
                    &[
                        right("ec2:CreateVolume", On::Target(Kind::Snapshot)),
                        Right { action: "ec2:CreateVolume", on: On::New(Kind::Volume), when: &[When::BornForDrill] },
                        tagging(Kind::Volume, &[When::Creating("CreateVolume")]),
                        GRANT,
                        key("kms:Decrypt", &[When::ThroughEc2]),
                        key("kms:DescribeKey", &[When::ThroughEc2]),
                        key("kms:GenerateDataKeyWithoutPlaintext", &[When::ThroughEc2]),
                        key("kms:ReEncryptFrom", &[When::ThroughEc2]),
                        key("kms:ReEncryptTo", &[When::ThroughEc2]),
                    ]
                }
            }
            Change::EndDrill => {
                const { &[Right { action: "ec2:DeleteVolume", on: On::Target(Kind::Volume), when: &[When::OfDrill] }] }
            }
            Change::DeleteTags => {
                const { &[Right { action: "ec2:DeleteTags", on: On::Named, when: &[When::OurTagKeys] }] }
            }
        }
    }
}

impl Changes {
    /// Those of an act. An act without a handler in this version has none.
    pub fn of(act: Act) -> Changes {
        match act {
            Act::StopInstance => Changes {
                backup: &[Change::CreateSnapshots],
                act: &[Change::StopInstance],
                undo: &[Change::StartInstance],
            },
            Act::DeleteVolume => Changes {
                backup: &[Change::CreateSnapshot],
                act: &[Change::DeleteVolume],
                undo: &[Change::CreateVolume],
            },
            Act::ModifyVolume => Changes { backup: &[], act: &[Change::ModifyVolume], undo: &[Change::ModifyVolume] },
            Act::ReleaseAddress => {
                Changes { backup: &[], act: &[Change::ReleaseAddress], undo: &[Change::AllocateAddress] }
            }
            Act::DeleteSnapshot => {
                Changes { backup: &[], act: &[Change::DeleteSnapshot], undo: &[Change::RestoreSnapshot] }
            }
            // No policy leads to these: they come with the acts that make such backups, see `Changes::endings`.
            Act::ExpireSnapshot => Changes { backup: &[], act: &[Change::ExpireSnapshot], undo: &[] },
            Act::ExpireImage => Changes { backup: &[], act: &[Change::DeregisterImage], undo: &[] },
            Act::AddTags => Changes { backup: &[], act: &[Change::CreateTags], undo: &[Change::DeleteTags] },
            // The start belongs to the act as well; under `undo` the protect tag, put on meanwhile, does not forbid it.
            Act::ResizeInstance => Changes {
                backup: &[Change::CreateSnapshots],
                act: &[Change::StopInstance, Change::ModifyInstanceType],
                undo: &[Change::StartInstance],
            },
            Act::TerminateInstance => Changes {
                backup: &[Change::CreateSnapshots, Change::RegisterImage],
                act: &[Change::TerminateInstance],
                undo: &[Change::RunInstance],
            },
            Act::SendNotification => Changes { backup: &[], act: &[], undo: &[] },
        }
    }

    /// The acts that end the backups that are made before it, with the kind that each is on.
    pub fn endings(self) -> Vec<(Act, Kind)> {
        let endings = self.backup.iter().filter_map(|change| match change {
            Change::CreateSnapshot | Change::CreateSnapshots => Some((Act::ExpireSnapshot, Kind::Snapshot)),
            Change::RegisterImage => Some((Act::ExpireImage, Kind::Image)),
            _ => None,
        });
        endings.collect()
    }

    /// Whether the keys of encrypted disks are asked for before it: it makes a backup, or takes disks away.
    pub fn ask_for_keys(self) -> bool {
        !self.backup.is_empty()
    }

    /// All three parts.
    pub fn all(self) -> impl Iterator<Item = Change> {
        [self.backup, self.act, self.undo].into_iter().flatten().copied()
    }
}

/// What a scan and a re-check read of a kind. Snapshots are read of every kind's backups, too.
pub fn reads(kind: Kind) -> &'static [Right] {
    match kind {
        Kind::Instance => {
            const {
                &[
                    right("ec2:DescribeInstances", On::Everything),
                    right("ec2:DescribeInstanceAttribute", On::Everything),
                    // Before a resize: would it boot, and is there such a type in its zone.
                    right("ec2:DescribeInstanceTypes", On::Everything),
                    right("ec2:DescribeInstanceTypeOfferings", On::Everything),
                ]
            }
        }
        Kind::Volume => {
            const {
                &[
                    right("ec2:DescribeVolumes", On::Everything),
                    right("ec2:DescribeVolumesModifications", On::Everything),
                ]
            }
        }
        Kind::Snapshot => {
            const {
                &[
                    right("ec2:DescribeSnapshots", On::Everything),
                    right("ec2:DescribeLockedSnapshots", On::Everything),
                    right("ec2:ListSnapshotsInRecycleBin", On::Everything),
                ]
            }
        }
        Kind::Address => const { &[right("ec2:DescribeAddresses", On::Everything)] },
        Kind::Image => {
            const {
                &[
                    right("ec2:DescribeImages", On::Everything),
                    // Before a safety image ends: who uses it, and with whom it is shared.
                    right("ec2:DescribeImageAttribute", On::Everything),
                    right("ec2:DescribeImageReferences", On::Everything),
                ]
            }
        }
    }
}

/// What EC2 reads on the reader's behalf to tell what refers to an image (the EC2 user guide's list, and that of the AWS
/// managed policy AmazonEC2ImageReferencesAccessPolicy v3). By themselves these rights reach nothing.
pub const IMAGE_REFERENCES: &[Right] = &[
    through_images("ec2:DescribeInstances"),
    through_images("ec2:DescribeLaunchTemplateVersions"),
    through_images("ec2:DescribeLaunchTemplates"),
    through_images("imagebuilder:GetContainerRecipe"),
    through_images("imagebuilder:ListContainerRecipes"),
    through_images("imagebuilder:ListImageRecipes"),
    through_images("ssm:DescribeParameters"),
    through_images("ssm:GetParameters"),
];

const fn through_images(action: &'static str) -> Right {
    Right { action, on: On::Everything, when: &[When::ThroughImages] }
}

/// Metrics of a place.
pub const METRICS: Right = right("cloudwatch:GetMetricData", On::Everything);

/// Costs of an account.
pub const COSTS: Right = right("ce:GetCostAndUsage", On::Everything);

/// Whether an encryption key can be used, asked of KMS directly and of keys of other accounts as well: their snapshots may
/// be ours.
pub const KEYS: Right = right("kms:DescribeKey", On::Everything);

/// Who the credentials are. AWS lets everybody ask, so no document grants it.
pub const IDENTITY: &str = "sts:GetCallerIdentity";
