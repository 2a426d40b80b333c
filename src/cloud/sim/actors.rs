//! People and other automation who change things in the account at given instants.
//!
//! They obey the same rules as everybody ([`super::rules`]): a person who attaches a volume that is gone is refused, and
//! the refusal is on record. What they did stands apart from the calls of the program under test.

use crate::cloud::ErrorKind;
use crate::domain::Instant;
use crate::domain::place::{Kind, ResourceKey};

use super::log::ChangeRecord;
use super::metrics::Usage;
use super::rules::{Copying, Effect, Refusal, not_found};
use super::state::{Planted, State};

/// One thing that somebody will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: String,
    /// What.
    pub change: Change,
}

/// What somebody does. Resources are named by their ids, which are unique in a world.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Adds tags or gives them other values.
    Tag {
        /// Which resource.
        resource: String,
        /// Keys and values.
        tags: Vec<(String, String)>,
    },
    /// Takes tags away.
    Untag {
        /// Which resource.
        resource: String,
        /// Keys.
        keys: Vec<String>,
    },
    /// Starts an instance.
    Start(String),
    /// Stops an instance.
    Stop(String),
    /// Terminates an instance.
    Terminate(String),
    /// Attaches a volume.
    Attach {
        /// The volume.
        volume: String,
        /// To this instance.
        instance: String,
        /// Under this device name.
        device: String,
    },
    /// Detaches a volume.
    Detach(String),
    /// Deletes a volume, snapshot, address or image.
    Delete(String),
    /// Snapshots a volume, without tags.
    Snapshot(String),
    /// Makes a resource: the first one, and what comes with it (an instance's volumes).
    Create(Vec<Planted>),
    /// Changes the type of a stopped instance.
    SetType {
        /// Which instance.
        instance: String,
        /// To what.
        instance_type: String,
    },
    /// Switches protection on or off.
    Protect {
        /// Which instance.
        instance: String,
        /// Stop protection.
        stop: Option<bool>,
        /// Termination protection.
        termination: Option<bool>,
    },
    /// Associates an elastic address.
    Associate {
        /// The address.
        address: String,
        /// With this instance.
        instance: String,
    },
    /// Ends an address's association.
    Disassociate(String),
    /// Locks a snapshot against deletion.
    Lock(String),
    /// Another account is given a released address.
    TakeAddress(String),
    /// Puts an encryption key into another state.
    SetKey {
        /// Which key, as volumes and snapshots call it.
        key: String,
        /// KMS's word.
        state: String,
    },
    /// Uses an instance differently from now on.
    Use {
        /// Which instance.
        instance: String,
        /// How.
        usage: Box<Usage>,
    },
}

impl Change {
    /// The id that it is about.
    pub fn target(&self) -> &str {
        match self {
            Change::Tag { resource, .. } | Change::Untag { resource, .. } => resource,
            Change::Start(id) | Change::Stop(id) | Change::Terminate(id) | Change::Detach(id) => id,
            Change::Delete(id) | Change::Snapshot(id) | Change::Disassociate(id) => id,
            Change::Lock(id) | Change::TakeAddress(id) => id,
            Change::SetKey { key, .. } => key,
            Change::Attach { volume, .. } => volume,
            Change::Create(planted) => planted.first().map_or("", |first| &first.resource.key.id),
            Change::SetType { instance, .. } | Change::Protect { instance, .. } | Change::Use { instance, .. } => {
                instance
            }
            Change::Associate { address, .. } => address,
        }
    }

    /// What it is, in words.
    pub fn words(&self) -> String {
        let list = |pairs: &[(String, String)]| {
            pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Change::Tag { tags, .. } => format!("tags {}", list(tags)),
            Change::Untag { keys, .. } => format!("removes tags {}", keys.join(", ")),
            Change::Start(_) => "starts".into(),
            Change::Stop(_) => "stops".into(),
            Change::Terminate(_) => "terminates".into(),
            Change::Attach { instance, device, .. } => format!("attaches to {instance} as {device}"),
            Change::Detach(_) => "detaches".into(),
            Change::Delete(_) => "deletes".into(),
            Change::Snapshot(_) => "snapshots".into(),
            Change::Create(_) => "creates".into(),
            Change::SetType { instance_type, .. } => format!("changes the type to {instance_type}"),
            Change::Protect { .. } => "changes the protection".into(),
            Change::Associate { instance, .. } => format!("associates with {instance}"),
            Change::Disassociate(_) => "disassociates".into(),
            Change::Lock(_) => "locks".into(),
            Change::TakeAddress(_) => "is given".into(),
            Change::SetKey { state, .. } => format!("puts into state {state}"),
            Change::Use { .. } => "uses differently".into(),
        }
    }
}

impl State {
    /// Lets somebody do what they planned, and writes it down.
    pub fn act_out(&mut self, event: Event) {
        let mut record = ChangeRecord {
            at: self.at,
            by: event.by,
            what: event.change.words(),
            target: event.change.target().to_owned(),
            refused: None,
        };
        record.refused = self.apply(event.change).err().map(|refusal| format!("{}: {}", refusal.code, refusal.message));
        self.changes.push(record);
    }

    fn apply(&mut self, change: Change) -> Result<Effect, Refusal> {
        match change {
            Change::Tag { resource, tags } => self.tag(&self.named(&resource)?, &tags),
            Change::Untag { resource, keys } => self.untag(&self.named(&resource)?, &keys),
            Change::Start(id) => self.start(&self.named(&id)?),
            Change::Stop(id) => self.stop(&self.named(&id)?),
            Change::Terminate(id) => self.terminate(&self.named(&id)?),
            Change::Attach { volume, instance, device } => {
                self.attach(&self.named(&volume)?, &self.named(&instance)?, &device, false)
            }
            Change::Detach(id) => self.detach(&self.named(&id)?),
            Change::Delete(id) => self.delete(&self.named(&id)?),
            Change::Snapshot(id) => self.snapshot_volume(&self.named(&id)?, "", &[], Copying::default()),
            Change::Create(planted) => {
                for one in planted {
                    let id = &one.resource.key.id;
                    if self.ids.contains_key(&**id) {
                        let message = format!("{id} exists already, or did");
                        return Err(Refusal { kind: ErrorKind::Rejected, code: "InvalidParameterValue", message });
                    }
                    self.plant(one, true);
                }
                Ok(Effect { effective: true, ..Effect::default() })
            }
            Change::SetType { instance, instance_type } => self.set_type(&self.named(&instance)?, &instance_type),
            Change::Protect { instance, stop, termination } => self.protect(&self.named(&instance)?, stop, termination),
            Change::Associate { address, instance } => {
                self.associate(&self.named(&address)?, Some(&self.named(&instance)?))
            }
            Change::Disassociate(id) => self.associate(&self.named(&id)?, None),
            Change::Lock(id) => self.lock_snapshot(&self.named(&id)?),
            Change::TakeAddress(ip) => self.take_address(&ip),
            Change::SetKey { key, state } => {
                let before = self.key_state(&key).to_owned();
                let effective = before != state;
                self.keys.insert(key, state);
                Ok(Effect { effective, ..Effect::default() })
            }
            Change::Use { instance, usage } => {
                let key = self.named(&instance)?;
                self.existing(&key)?;
                let at = self.at;
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.activity.usage.push((at, *usage));
                }
                Ok(Effect { effective: true, ..Effect::default() })
            }
        }
    }

    fn named(&self, id: &str) -> Result<ResourceKey, Refusal> {
        let kind = Kind::ALL.into_iter().find(|kind| id.starts_with(kind.id_prefix())).unwrap_or(Kind::Instance);
        self.ids.get(id).cloned().ok_or_else(|| not_found(kind, id))
    }
}
