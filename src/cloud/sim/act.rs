//! The acting port of the simulated account: one attempt, one resource, one line in the log.
//!
//! A time-out can hide a change that was made; the log says so in `effective`, whatever the caller was told.

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::cloud::{Answer, Call, CloudAct, CloudError, Identity};
use crate::domain::place::{AccountId, AddressId, BadName, ImageId, InstanceId, Kind, Place, SnapshotId, VolumeId};

use super::faults::{Effect, Form, Request, denied};
use super::log::{CallRecord, Outcome, Side};
use super::rules::{self, Copying, Refusal, not_found};
use super::state::State;
use super::storage::Shape;
use super::{SimCloud, hash};

/// Changes the simulated account.
#[derive(Clone, Debug)]
pub struct SimActor {
    cloud: SimCloud,
}

impl SimActor {
    pub(super) fn new(cloud: SimCloud) -> SimActor {
        SimActor { cloud }
    }

    fn make(&self, place: &Place, call: &Call, dry_run: bool) -> Result<Answer, CloudError> {
        let operation = call.operation();
        self.cloud.with(|state| {
            let request = Request {
                operation,
                account: &place.account,
                region: Some(&place.region),
                target: Some(call.target()),
                form: if dry_run { Form::DryRun } else { Form::Change },
                page: 1,
                at: state.at,
            };
            let effects = state.faults.hitting(&request);
            let failure = effects.iter().find_map(|effect| Some((effect, effect.error(operation)?)));
            let mut ruled = Ok(rules::Effect::default());
            let result = match failure {
                Some((Effect::TimeoutAfterEffect, error)) if !dry_run && state.accounts.contains(&place.account) => {
                    ruled = rule(state, place, call, &effects);
                    Err(error)
                }
                Some((_, error)) => Err(error),
                None if !state.accounts.contains(&place.account) => Err(denied(operation)),
                None if dry_run => Ok(()),
                None => {
                    ruled = rule(state, place, call, &effects);
                    match &ruled {
                        Ok(_) => Ok(()),
                        Err(refusal) => {
                            Err(CloudError::new(refusal.kind, "ec2", operation, Some(refusal.code), &refusal.message))
                        }
                    }
                }
            };
            let effect = ruled.unwrap_or_default();
            let number = i64::try_from(state.calls.len()).unwrap_or(i64::MAX);
            state.calls.push(CallRecord {
                at: state.at,
                side: Side::Actor,
                account: place.account.clone(),
                region: Some(place.region.clone()),
                operation: operation.into(),
                target: Some(call.target().to_owned()),
                args: arguments(call),
                dry_run,
                outcome: Outcome::of(&result),
                effective: effect.effective,
                overwrote: effect.overwrote,
                created: effect
                    .created
                    .iter()
                    .map(|(from, to)| (from.to_string(), to.to_string()))
                    .chain(effect.made.iter().map(|made| (call.target().to_owned(), made.to_string())))
                    .collect(),
            });
            result?;
            let odd = |error: BadName| {
                CloudError::new(crate::cloud::ErrorKind::Uncertain, "ec2", operation, None, &error.to_string())
            };
            let volume = effect.volume.as_deref().map(VolumeId::new).transpose().map_err(odd)?;
            let address = effect.address.as_deref().map(AddressId::new).transpose().map_err(odd)?;
            let snapshots = effect
                .created
                .iter()
                .map(|(volume, snapshot)| Ok((VolumeId::new(volume)?, SnapshotId::new(snapshot)?)))
                .collect::<Result<Vec<_>, BadName>>()
                .map_err(odd)?;
            let request_id = format!("sim-{:016x}", hash::number(state.seed, operation, call.target(), number));
            let made = effect.made.as_deref();
            let image = made.filter(|_| matches!(call, Call::RegisterImage(_))).map(ImageId::new);
            let instance = made.filter(|_| matches!(call, Call::RunInstance(_))).map(InstanceId::new);
            let (image, instance) = (image.transpose().map_err(odd)?, instance.transpose().map_err(odd)?);
            Ok(Answer { request_id, snapshots, volume, address, image, instance })
        })
    }
}

#[async_trait]
impl CloudAct for SimActor {
    async fn acting_as(&self, account: &AccountId) -> Result<Identity, CloudError> {
        let operation = "GetCallerIdentity";
        self.cloud.with(|state| {
            let request =
                Request { operation, account, region: None, target: None, form: Form::Other, page: 1, at: state.at };
            let effects = state.faults.hitting(&request);
            let result = match effects.iter().find_map(|effect| effect.error(operation)) {
                Some(error) => Err(error),
                None if !state.accounts.contains(account) => Err(denied(operation)),
                None => Ok(identity_of(account, &effects, "actor")),
            };
            state.calls.push(CallRecord {
                at: state.at,
                side: Side::Actor,
                account: account.clone(),
                region: None,
                operation: operation.into(),
                target: None,
                args: String::new(),
                dry_run: false,
                outcome: Outcome::of(&result),
                effective: false,
                overwrote: Vec::new(),
                created: Vec::new(),
            });
            result
        })
    }

    async fn permitted(&self, place: &Place, call: &Call) -> Result<(), CloudError> {
        self.make(place, call, true).map(|_| ())
    }

    async fn execute(&self, place: &Place, call: &Call) -> Result<Answer, CloudError> {
        self.make(place, call, false)
    }
}

/// Who the credentials for an account turn out to be.
pub(super) fn identity_of(account: &AccountId, effects: &[Effect], role: &str) -> Identity {
    let wrong = effects.iter().find_map(|effect| match effect {
        Effect::WrongIdentity(other) => Some(other),
        _ => None,
    });
    let account = wrong.unwrap_or(account).clone();
    let arn = format!("arn:aws:sts::{account}:assumed-role/costwarden-{role}/simulated");
    Identity { account, arn }
}

/// Applies EC2's rules to one call.
fn rule(state: &mut State, place: &Place, call: &Call, effects: &[Effect]) -> Result<rules::Effect, Refusal> {
    let instance = |id: &str| place.partition(Kind::Instance).key(id);
    let volume = |id: &str| place.partition(Kind::Volume).key(id);
    let snapshot = |id: &str| place.partition(Kind::Snapshot).key(id);
    let copying = Copying {
        ends: effects.iter().find_map(|effect| match effect {
            Effect::SnapshotFails => Some("error"),
            Effect::SnapshotRecoverable => Some("recoverable"),
            _ => None,
        }),
        another_size: effects.contains(&Effect::SnapshotOfAnotherSize),
        takes: effects.iter().find_map(|effect| match effect {
            Effect::SnapshotHours(hours) => Some(TimeDelta::hours(i64::from(*hours))),
            _ => None,
        }),
    };
    match call {
        Call::StopInstance { instance: id } => state.stop(&instance(id.as_str())),
        Call::StartInstance { instance: id } => state.start(&instance(id.as_str())),
        Call::CreateVolume(new) | Call::MakeDrill(new) => state.create_volume(place, new),
        Call::DeleteVolume { volume: id } | Call::EndDrill { volume: id } => state.delete_volume(&volume(id.as_str())),
        Call::ModifyVolume { volume: id, volume_type, iops, throughput } => {
            let to = Shape { volume_type: volume_type.as_str().into(), iops: *iops, throughput: *throughput };
            state.modify_volume(&volume(id.as_str()), to)
        }
        Call::ReleaseAddress { address } => {
            state.release_address(&place.partition(Kind::Address).key(address.as_str()))
        }
        Call::AllocateAddress(wanted) => state.allocate_address(place, wanted),
        Call::DeleteSnapshot { snapshot: id } | Call::ExpireSnapshot { snapshot: id } => {
            state.delete_snapshot(&snapshot(id.as_str()))
        }
        Call::DeregisterImage { image } => state.deregister_image(&place.partition(Kind::Image).key(image.as_str())),
        Call::RestoreSnapshot { snapshot: id } => state.restore_snapshot(&snapshot(id.as_str())),
        Call::CreateSnapshot { volume: id, description, tags } => {
            state.snapshot_volume(&volume(id.as_str()), description, tags, copying)
        }
        Call::CreateSnapshots { instance: id, description, tags } => {
            state.snapshot_instance(&instance(id.as_str()), description, tags, copying)
        }
        // EC2 looks ids up in the Region that it was asked in.
        Call::CreateTags { resource, .. } | Call::DeleteTags { resource, .. } if resource.partition.place != *place => {
            Err(not_found(resource.kind(), &resource.id))
        }
        Call::CreateTags { resource, tags } => state.tag(resource, tags),
        Call::DeleteTags { resource, tags } => state.untag_values(resource, tags),
        Call::ModifyInstanceType { instance: id, to } => state.set_type(&instance(id.as_str()), to),
        Call::TerminateInstance { instance: id } => state.terminate(&instance(id.as_str())),
        Call::RegisterImage(new) => state.register_image(place, new),
        Call::RunInstance(new) => state.run_instance(place, new),
    }
}

fn arguments(call: &Call) -> String {
    match call {
        Call::StopInstance { .. } | Call::StartInstance { .. } | Call::DeleteVolume { .. } => String::new(),
        Call::ReleaseAddress { .. } | Call::DeleteSnapshot { .. } | Call::RestoreSnapshot { .. } => String::new(),
        Call::ExpireSnapshot { .. } | Call::DeregisterImage { .. } | Call::EndDrill { .. } => String::new(),
        Call::ModifyVolume { volume_type, iops, throughput, .. } => {
            format!("to {volume_type}, iops {iops:?}, MiB/s {throughput:?}")
        }
        Call::AllocateAddress(wanted) => format!("{}, pool {:?}", wanted.public_ip, wanted.pool),
        Call::TerminateInstance { .. } => String::new(),
        Call::ModifyInstanceType { to, .. } => to.clone(),
        Call::RegisterImage(new) => format!("{} volumes", new.disks.len()),
        Call::RunInstance(new) => format!("{} in {}, {}", new.instance_type, new.subnet, new.token),
        Call::CreateVolume(new) | Call::MakeDrill(new) => {
            format!("{} {} GiB in {}, {}", new.volume_type, new.size_gib, new.zone, new.token)
        }
        Call::CreateSnapshot { tags, .. }
        | Call::CreateSnapshots { tags, .. }
        | Call::CreateTags { tags, .. }
        | Call::DeleteTags { tags, .. } => {
            tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
        }
    }
}
