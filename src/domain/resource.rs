//! Cloud resources as the checks and guards see them.
//!
//! Slim on purpose: a field is here because a check, a guard, a backup or a report reads it. The AWS adapter and
//! the simulator build these; nothing else does. What a listing cannot tell (protection flags, for example) is a
//! [`Fact`] that a fresh single read fills in.

use serde::{Deserialize, Serialize};

use super::Instant;
use super::fact::Fact;
use super::place::{Kind, ResourceKey};
use super::text::Str;

/// One resource as read at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Account, Region, kind and id.
    pub key: ResourceKey,
    /// All tags, sorted by key. Unknown when the answer came without its tag set.
    pub tags: Fact<Tags>,
    /// When it was created, or launched for an instance.
    pub created_at: Fact<Instant>,
    /// What only this kind has.
    pub detail: Detail,
}

/// Tag keys and values, sorted by key; keys are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(Box<[(Str, Str)]>);

/// The part of a resource that its kind decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// See [`Instance`].
    Instance(Box<Instance>),
    /// See [`Volume`].
    Volume(Box<Volume>),
    /// See [`Snapshot`].
    Snapshot(Box<Snapshot>),
    /// See [`Address`].
    Address(Box<Address>),
    /// See [`Image`].
    Image(Box<Image>),
}

/// An EC2 instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The life-cycle state; words we do not know are kept as they came.
    pub state: InstanceState,
    /// For example `m5.large`.
    pub instance_type: Str,
    /// Availability Zone.
    pub zone: Str,
    /// `Linux/UNIX`, `Windows`, …: EC2's platform details. The price book covers `Linux/UNIX` alone.
    pub platform: Fact<Str>,
    /// Purchase: on demand, spot or capacity block.
    pub lifecycle: Lifecycle,
    /// EBS volumes attached to it, sorted by volume id.
    pub volumes: Box<[AttachedVolume]>,
    /// True when an instance-store disk is mapped or the root is on instance store. Types with local disks are
    /// known from the price book as well; either refuses.
    pub instance_store: Fact<bool>,
    /// The auto-assigned public IPv4 address, which a stop would lose. Absent when there is none or it is elastic.
    pub auto_public_ip: Fact<Str>,
    /// The service that manages it, from EC2's `operator` field.
    pub operator: Option<Str>,
    /// Termination protection; only a fresh single read knows it.
    pub termination_protected: Fact<bool>,
    /// Stop protection; only a fresh single read knows it.
    pub stop_protected: Fact<bool>,
    /// When it entered its state, where EC2's transition reason tells.
    pub state_since: Fact<Instant>,
    /// Subnet, network and image, for the restore recipe.
    pub image: Option<Str>,
    /// Subnet id.
    pub subnet: Option<Str>,
    /// Private IPv4 address.
    pub private_ip: Option<Str>,
}

/// EC2's instance states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Running, and billed.
    Running,
    /// On its way to stopped.
    Stopping,
    /// Stopped; its volumes are still billed.
    Stopped,
    /// On its way to terminated.
    ShuttingDown,
    /// Gone, and listed for about an hour more.
    Terminated,
    /// A word that this version does not know.
    Other(Str),
}

/// How an instance was bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// On demand, or covered by a commitment.
    OnDemand,
    /// Spot: cannot be stopped in general, and may be relaunched by a persistent request.
    Spot,
    /// Anything else, as it came.
    Other(Str),
}

/// An EBS volume seen from its instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttachedVolume {
    /// `vol-…`.
    pub volume: Str,
    /// Device name.
    pub device: Str,
    /// Dies with the instance.
    pub delete_on_termination: bool,
}

/// An EBS volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// `available`, `in-use`, `creating`, `deleting`, `deleted`, `error`, as EC2 says it.
    pub state: Str,
    /// Size in GiB.
    pub size_gib: u32,
    /// `gp2`, `gp3`, `io1`, …
    pub volume_type: Str,
    /// Provisioned or baseline operations a second.
    pub iops: Option<u32>,
    /// Throughput in MiB a second.
    pub throughput: Option<u32>,
    /// Availability Zone.
    pub zone: Str,
    /// Encryption key, when encrypted under one.
    pub kms_key: Option<Str>,
    /// Encrypted at all.
    pub encrypted: bool,
    /// Where it is attached, sorted.
    pub attachments: Box<[Attachment]>,
    /// The service that manages it, from EC2's `operator` field.
    pub operator: Option<Str>,
    /// Its last change of size, type or performance; absent when there is none on EC2's record. Asked for only where
    /// it decides, see [`NOT_ASKED`].
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub modification: Fact<Box<Modification>>,
}

/// What a resource says of a particular that only a few acts ask for.
pub const NOT_ASKED: &str = "a listing does not tell; it is asked for before an act that depends on it";

/// A change of a volume in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modification {
    /// `modifying`, `optimizing`, `completed`, `failed`, as EC2 says it.
    pub state: Str,
    /// When it was asked for.
    pub begun: Instant,
}

/// A volume's attachment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attachment {
    /// `i-…`.
    pub instance: Str,
    /// Device name.
    pub device: Str,
    /// `attaching`, `attached`, `detaching`, `busy`.
    pub state: Str,
    /// Dies with the instance.
    pub delete_on_termination: bool,
}

/// An EBS snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `pending`, `completed`, `error`, `recoverable`, `recovering`, as EC2 says it.
    pub state: Str,
    /// Progress, 0 to 100.
    pub progress: Fact<u8>,
    /// The source volume; EC2 writes `vol-ffffffff` when it is not known.
    pub volume: Str,
    /// Size of the source volume in GiB; the snapshot's own billed size is smaller and not listed.
    pub volume_size_gib: u32,
    /// Encryption key, when encrypted under one.
    pub kms_key: Option<Str>,
    /// `standard` or `archive`.
    pub storage_tier: Str,
    /// The free text given at creation.
    pub description: Str,
    /// An own image that is made of it; absent when there is none. Asked for only where it decides.
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub image: Fact<Str>,
    /// Locked against deletion. Asked for only where it decides.
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub locked: Fact<bool>,
}

/// An elastic address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// The IPv4 address.
    pub public_ip: Str,
    /// Association id while it is associated.
    pub association: Option<Str>,
    /// The instance behind it.
    pub instance: Option<Str>,
    /// The network interface behind it.
    pub network_interface: Option<Str>,
    /// The service that manages it, where EC2 says so.
    pub operator: Option<Str>,
    /// The pool that it is from: `amazon`, or one of the account's own.
    #[serde(default)]
    pub pool: Option<Str>,
    /// The group of zones that it is announced from.
    #[serde(default)]
    pub border_group: Option<Str>,
}

/// An own machine image, read for its snapshots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// `available`, `pending`, …
    pub state: Str,
    /// Snapshots it is made of.
    pub snapshots: Box<[Str]>,
    /// Name.
    pub name: Str,
    /// When an instance was last launched from it; absent when none ever was. EC2 tells it a day late.
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub launched: Fact<Instant>,
    /// Protected against deregistration.
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub protected: Fact<bool>,
    /// What refers to it: an instance, a launch template, a parameter, a recipe. Asked for only where it decides.
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub user: Fact<Str>,
    /// Others may launch from it. Asked for only where it decides.
    #[serde(default = "not_asked", skip_serializing_if = "Fact::is_unknown")]
    pub shared: Fact<bool>,
}

impl Resource {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.key.kind()
    }

    /// The value of the `Name` tag, or the id.
    pub fn name(&self) -> &str {
        self.tag("Name").filter(|name| !name.is_empty()).unwrap_or(&self.key.id)
    }

    /// The value of one tag; `None` when it is missing or the tags are unknown. Ask [`Resource::tags`] where the
    /// difference matters.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.known().and_then(|tags| tags.get(key))
    }

    /// The instance, if it is one.
    pub fn instance(&self) -> Option<&Instance> {
        match &self.detail {
            Detail::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// The volume, if it is one.
    pub fn volume(&self) -> Option<&Volume> {
        match &self.detail {
            Detail::Volume(volume) => Some(volume),
            _ => None,
        }
    }

    /// The snapshot, if it is one.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match &self.detail {
            Detail::Snapshot(snapshot) => Some(snapshot),
            _ => None,
        }
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<&Address> {
        match &self.detail {
            Detail::Address(address) => Some(address),
            _ => None,
        }
    }

    /// Whether it is a volume that is attached to nothing, or an address that leads nowhere.
    pub fn lies_idle(&self) -> bool {
        match (self.volume(), self.address()) {
            (Some(volume), _) => volume.attachments.is_empty() && &*volume.state == "available",
            (_, Some(address)) => {
                address.association.is_none() && address.instance.is_none() && address.network_interface.is_none()
            }
            _ => false,
        }
    }

    /// The image, if it is one.
    pub fn image(&self) -> Option<&Image> {
        match &self.detail {
            Detail::Image(image) => Some(image),
            _ => None,
        }
    }

    /// The state word, as the cloud says it; empty for kinds without one.
    pub fn state(&self) -> &str {
        match &self.detail {
            Detail::Instance(instance) => instance.state.as_str(),
            Detail::Volume(volume) => &volume.state,
            Detail::Snapshot(snapshot) => &snapshot.state,
            Detail::Address(_) => "",
            Detail::Image(image) => &image.state,
        }
    }
}

/// A particular that nobody asked for.
pub fn not_asked<T>() -> Fact<T> {
    Fact::unknown(NOT_ASKED)
}

impl Tags {
    /// Sorts the pairs; of a repeated key the last one stays.
    pub fn new(pairs: impl IntoIterator<Item = (Str, Str)>) -> Tags {
        let mut pairs: Vec<(Str, Str)> = pairs.into_iter().collect();
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        pairs.reverse();
        pairs.dedup_by(|next, kept| next.0 == kept.0);
        pairs.reverse();
        Tags(pairs.into_boxed_slice())
    }

    /// From plain text pairs.
    pub fn of(pairs: &[(&str, &str)]) -> Tags {
        Tags::new(pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.binary_search_by(|pair| (*pair.0).cmp(key)).ok().map(|index| &*self.0[index].1)
    }

    /// Pairs in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many there are; EC2 allows 50.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl InstanceState {
    /// EC2's word.
    pub fn as_str(&self) -> &str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
            InstanceState::ShuttingDown => "shutting-down",
            InstanceState::Terminated => "terminated",
            InstanceState::Other(word) => word,
        }
    }

    /// From EC2's word.
    pub fn from_word(word: &str) -> InstanceState {
        match word {
            "pending" => InstanceState::Pending,
            "running" => InstanceState::Running,
            "stopping" => InstanceState::Stopping,
            "stopped" => InstanceState::Stopped,
            "shutting-down" => InstanceState::ShuttingDown,
            "terminated" => InstanceState::Terminated,
            other => InstanceState::Other(Str::from(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_sorted_and_the_last_of_a_repeated_key_stays() {
        let tags = Tags::of(&[("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(tags.get("b"), Some("3"));
        assert_eq!(tags.get("c"), None);
    }
}
