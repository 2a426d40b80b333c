//! The table of actions: for each act what is backed up, which call is made, how its effect looks, and how it is
//! taken back. One file each; `driver` walks the journal with them, and `undo` walks it back.
//!
//! The typed ids of `cloud::Call` are made here from the step's key, so a call cannot be handed an id of another
//! kind:
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::VolumeId;
//! // A volume is not stopped.
//! let call = Call::StopInstance { instance: VolumeId::new("vol-0a1b").unwrap() };
//! ```
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::InstanceId;
//! // An instance is not deleted as a volume.
//! let call = Call::DeleteVolume { volume: InstanceId::new("i-0a1b").unwrap() };
//! ```
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::VolumeId;
//! // A volume is not deleted as a snapshot.
//! let call = Call::DeleteSnapshot { snapshot: VolumeId::new("vol-0a1b").unwrap() };
//! ```
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::VolumeId;
//! // A volume is not terminated: the seed maps its TERMINATE to an instance.
//! let call = Call::TerminateInstance { instance: VolumeId::new("vol-0a1b").unwrap() };
//! ```
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::SnapshotId;
//! // A snapshot is not released.
//! let call = Call::ReleaseAddress { address: SnapshotId::new("snap-0a1b").unwrap() };
//! ```
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::SnapshotId;
//! // A snapshot is not deregistered.
//! let call = Call::DeregisterImage { image: SnapshotId::new("snap-0a1b").unwrap() };
//! ```
//!
//! ```compile_fail
//! use costwarden::cloud::Call;
//! use costwarden::domain::place::VolumeId;
//! // A volume has no instance's type.
//! let call = Call::ModifyInstanceType { instance: VolumeId::new("vol-0a1b").unwrap(), to: "m5.large".into() };
//! ```

use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::guard::Switches;
use crate::domain::plan::Step;
use crate::domain::remediation::{Look, Remediation};
use crate::domain::resource::Resource;
pub use crate::domain::undo::{Recipe, Restore};

pub mod add_tags;
pub mod delete_snapshot;
pub mod delete_volume;
pub mod expire_image;
pub mod expire_snapshot;
pub mod modify_volume;
pub mod release_address;
pub mod resize_instance;
pub mod stop_instance;
pub mod terminate_instance;

/// One row of the table.
pub struct Action {
    /// Which act.
    pub act: Act,
    /// What must be safe before the call.
    pub backup: fn(&Switches) -> Backup,
    /// The call, made from the step and the resource as it was read just now; `Err` says why there is none.
    pub call: fn(&Asked<'_>) -> Result<Call, String>,
    /// What one read says about the effect.
    pub look: fn(&Remediation, &Resource) -> Look,
    /// The effect is that the resource is no longer there.
    pub ends_gone: bool,
    /// How it is taken back, from the resource as it was and the call that is about to be made.
    pub restore: fn(&Step, &Resource, &Call) -> Restore,
    /// The call that takes it back; `Err` says in words why there is none now.
    pub undo: fn(&Undoing<'_>) -> Result<Call, String>,
    /// What one read of the resource that comes back says about the undo.
    pub undone: fn(&Recipe, &Resource) -> Look,
}

/// What an action's call is made from.
pub struct Asked<'a> {
    /// The planned step.
    pub step: &'a Step,
    /// The resource as read just now.
    pub fresh: &'a Resource,
    /// Prefix of our own tags (settings); may be empty.
    pub tag_prefix: &'a str,
    /// Now.
    pub now: Instant,
}

/// What is snapshotted before an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// Nothing.
    None,
    /// The volume itself.
    Volume,
    /// Every attached volume of the instance, at one instant.
    InstanceVolumes,
}

/// What an undo's call is made from.
pub struct Undoing<'a> {
    /// The act that is taken back.
    pub act: &'a Remediation,
    /// What was saved before it.
    pub recipe: &'a Recipe,
    /// What was read just now: the safety snapshot where a volume is made anew; the recipe's own resource where it is
    /// known to be gone, or in the Recycle Bin; else the resource itself.
    pub fresh: &'a Resource,
    /// Names this undo, for ever the same: the token and the tag of what it makes.
    pub token: &'a str,
    /// Now.
    pub now: Instant,
}

/// The row of an act; `Err` says in words why this version has none.
pub fn action(act: Act) -> Result<&'static Action, String> {
    match act {
        Act::StopInstance => Ok(&stop_instance::ACTION),
        Act::DeleteVolume => Ok(&delete_volume::ACTION),
        Act::ModifyVolume => Ok(&modify_volume::ACTION),
        Act::ReleaseAddress => Ok(&release_address::ACTION),
        Act::DeleteSnapshot => Ok(&delete_snapshot::ACTION),
        Act::ExpireSnapshot => Ok(&expire_snapshot::ACTION),
        Act::ExpireImage => Ok(&expire_image::ACTION),
        Act::AddTags => Ok(&add_tags::ACTION),
        Act::TerminateInstance => Ok(&terminate_instance::ACTION),
        Act::ResizeInstance => Ok(&resize_instance::ACTION),
        Act::SendNotification => Err("a notification changes nothing in the cloud; notices do it".to_owned()),
    }
}

impl Action {
    /// What is backed up before this step: what the settings ask for, and never less than the plan promised.
    pub fn backup_of(&self, step: &Step, switches: &Switches) -> Backup {
        match ((self.backup)(switches), step.backup.is_empty(), self.act) {
            _ if planted!("no-backup") => Backup::None,
            (Backup::None, false, Act::StopInstance) => Backup::InstanceVolumes,
            (backup, _, _) => backup,
        }
    }
}
