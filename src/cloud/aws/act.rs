//! The acting calls: one resource, one attempt, an answer that names what was asked for.
//!
//! Called by the actor alone, whose clients have retries switched off. Of these EC2 calls only the making of a
//! volume takes an idempotency token (safety.md, finding 2), so everything but a clear yes or a clear no is reported as
//! uncertain. A stop is
//! never forced and never hibernates; the operating system is always asked to shut down.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{
    AttributeValue, DomainType, InstanceSpecification, ResourceType, Tag, TagSpecification, VolumeType,
};

use super::{errors, launch};
use crate::cloud::rights::probes::WOULD_SUCCEED;
use crate::cloud::{Answer, Call, CloudError, ErrorKind};
use crate::domain::place::{AddressId, Place, SnapshotId, VolumeId};

/// Refuses a call whose target is named for another place or kind, before anything is sent.
pub(super) fn check_place(place: &Place, call: &Call) -> Result<(), CloudError> {
    let (Call::CreateTags { resource, tags } | Call::DeleteTags { resource, tags }) = call else { return Ok(()) };
    if resource.partition.place != *place {
        return Err(rejected(call, &format!("{resource} does not live in {place}; nothing was sent")));
    }
    if !resource.id.starts_with(resource.kind().id_prefix()) {
        return Err(rejected(call, &format!("{:?} is no id of a {}; nothing was sent", resource.id, resource.kind())));
    }
    if tags.is_empty() {
        return Err(rejected(call, "no tags to write; nothing was sent"));
    }
    Ok(())
}

/// Sends the call with `DryRun`.
pub(super) async fn permitted(client: &Client, call: &Call) -> Result<(), CloudError> {
    match send(client, call, true).await {
        Err(error) if error.code.as_deref() == Some(WOULD_SUCCEED) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(errors::unreadable("ec2", call.operation(), "a dry run was answered as if it were none")),
    }
}

/// Sends the call.
pub(super) async fn execute(client: &Client, call: &Call) -> Result<Answer, CloudError> {
    send(client, call, false).await
}

async fn send(client: &Client, call: &Call, dry_run: bool) -> Result<Answer, CloudError> {
    let operation = call.operation();
    // Left out of a real call altogether.
    let dry_run = dry_run.then_some(true);
    match call {
        Call::StopInstance { instance } => {
            let request = client.stop_instances().instance_ids(instance.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let named =
                output.stopping_instances().iter().any(|change| change.instance_id() == Some(instance.as_str()));
            if !named {
                return Err(errors::unreadable("ec2", operation, &format!("it does not name {instance}")));
            }
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::StartInstance { instance } => {
            let request = client.start_instances().instance_ids(instance.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let named =
                output.starting_instances().iter().any(|change| change.instance_id() == Some(instance.as_str()));
            if !named {
                return Err(errors::unreadable("ec2", operation, &format!("it does not name {instance}")));
            }
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::CreateVolume(new) | Call::MakeDrill(new) => {
            let count = |value: u32| {
                i32::try_from(value).map_err(|_| rejected(call, &format!("{value} is too large; nothing was sent")))
            };
            let request = client
                .create_volume()
                .snapshot_id(new.snapshot.as_str())
                .availability_zone(&new.zone)
                .volume_type(VolumeType::from(new.volume_type.as_str()))
                .size(count(new.size_gib)?)
                .set_iops(new.iops.map(count).transpose()?)
                .set_throughput(new.throughput.map(count).transpose()?)
                .set_encrypted(new.encrypted.then_some(true))
                .set_kms_key_id(new.kms_key.clone())
                .client_token(&new.token)
                .set_tag_specifications(specification(ResourceType::Volume, &new.tags))
                .set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let volume = VolumeId::new(output.volume_id().unwrap_or_default())
                .map_err(|error| errors::unreadable("ec2", operation, &error.to_string()))?;
            Ok(Answer { volume: Some(volume), ..answer(output.request_id(), Vec::new()) })
        }
        Call::DeleteVolume { volume } | Call::EndDrill { volume } => {
            let request = client.delete_volume().volume_id(volume.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::ModifyVolume { volume, volume_type, iops, throughput } => {
            let count = |value: u32| {
                i32::try_from(value).map_err(|_| rejected(call, &format!("{value} is too large; nothing was sent")))
            };
            let request = client
                .modify_volume()
                .volume_id(volume.as_str())
                .volume_type(VolumeType::from(volume_type.as_str()))
                .set_iops(iops.map(count).transpose()?)
                .set_throughput(throughput.map(count).transpose()?)
                .set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let named = output.volume_modification().and_then(|made| made.volume_id());
            if named != Some(volume.as_str()) {
                return Err(errors::unreadable("ec2", operation, &format!("it does not name {volume}")));
            }
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::ReleaseAddress { address } => {
            let request = client.release_address().allocation_id(address.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::AllocateAddress(wanted) => {
            if wanted.public_ip.parse::<std::net::Ipv4Addr>().is_err() {
                let message = format!("{:?} is no IPv4 address; nothing was sent", wanted.public_ip);
                return Err(rejected(call, &message));
            }
            let request = client
                .allocate_address()
                .domain(DomainType::Vpc)
                .address(&wanted.public_ip)
                .set_public_ipv4_pool(wanted.pool.clone())
                .set_network_border_group(wanted.border_group.clone())
                .set_tag_specifications(specification(ResourceType::ElasticIp, &wanted.tags))
                .set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            if output.public_ip() != Some(&wanted.public_ip) {
                let message = format!("it does not name {}", wanted.public_ip);
                return Err(errors::unreadable("ec2", operation, &message));
            }
            let address = AddressId::new(output.allocation_id().unwrap_or_default())
                .map_err(|error| errors::unreadable("ec2", operation, &error.to_string()))?;
            Ok(Answer { address: Some(address), ..answer(output.request_id(), Vec::new()) })
        }
        Call::DeleteSnapshot { snapshot } | Call::ExpireSnapshot { snapshot } => {
            let request = client.delete_snapshot().snapshot_id(snapshot.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        // Its snapshots end by themselves, each asked for by itself.
        Call::DeregisterImage { image } => {
            let request = client.deregister_image().image_id(image.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::RestoreSnapshot { snapshot } => {
            let request =
                client.restore_snapshot_from_recycle_bin().snapshot_id(snapshot.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            if output.snapshot_id() != Some(snapshot.as_str()) {
                return Err(errors::unreadable("ec2", operation, &format!("it does not name {snapshot}")));
            }
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::CreateSnapshot { volume, description, tags } => {
            let request = client.create_snapshot().volume_id(volume.as_str()).description(description);
            let request =
                request.set_tag_specifications(specification(ResourceType::Snapshot, tags)).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let pair = snapshot(operation, output.volume_id(), output.snapshot_id())?;
            if pair.0 != *volume {
                return Err(errors::unreadable("ec2", operation, &format!("a snapshot of {} for {volume}", pair.0)));
            }
            Ok(answer(output.request_id(), vec![pair]))
        }
        Call::CreateSnapshots { instance, description, tags } => {
            let source =
                InstanceSpecification::builder().instance_id(instance.as_str()).exclude_boot_volume(false).build();
            let request = client.create_snapshots().instance_specification(source).description(description);
            let request =
                request.set_tag_specifications(specification(ResourceType::Snapshot, tags)).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let pairs: Result<Vec<_>, _> = output
                .snapshots()
                .iter()
                .map(|info| snapshot(operation, info.volume_id(), info.snapshot_id()))
                .collect();
            Ok(answer(output.request_id(), pairs?))
        }
        Call::CreateTags { resource, tags } => {
            let request = client.create_tags().resources(&*resource.id);
            let request = request.set_tags(Some(sdk_tags(tags))).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        // With a value EC2 removes a tag only while it has that value.
        Call::DeleteTags { resource, tags } => {
            let request = client.delete_tags().resources(&*resource.id);
            let request = request.set_tags(Some(sdk_tags(tags))).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::ModifyInstanceType { instance, to } => {
            let to = AttributeValue::builder().value(to).build();
            let request = client.modify_instance_attribute().instance_id(instance.as_str()).instance_type(to);
            let output = request
                .set_dry_run(dry_run)
                .send()
                .await
                .map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::TerminateInstance { instance } => {
            let request = client.terminate_instances().instance_ids(instance.as_str()).set_dry_run(dry_run);
            let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
            let named =
                output.terminating_instances().iter().any(|change| change.instance_id() == Some(instance.as_str()));
            if !named {
                return Err(errors::unreadable("ec2", operation, &format!("it does not name {instance}")));
            }
            Ok(answer(output.request_id(), Vec::new()))
        }
        Call::RegisterImage(new) => launch::register(client, new, dry_run, call).await,
        Call::RunInstance(new) => launch::run(client, new, dry_run, call).await,
    }
}

/// An answer without a request id is still an answer; the journal then shows that none came.
pub(super) fn answer(request_id: Option<&str>, snapshots: Vec<(VolumeId, SnapshotId)>) -> Answer {
    Answer {
        request_id: request_id.unwrap_or_default().to_owned(),
        snapshots,
        volume: None,
        address: None,
        image: None,
        instance: None,
    }
}

fn snapshot(
    operation: &str,
    volume: Option<&str>,
    snapshot: Option<&str>,
) -> Result<(VolumeId, SnapshotId), CloudError> {
    let volume = VolumeId::new(volume.unwrap_or_default());
    let snapshot = SnapshotId::new(snapshot.unwrap_or_default());
    match (volume, snapshot) {
        (Ok(volume), Ok(snapshot)) => Ok((volume, snapshot)),
        (Err(error), _) | (_, Err(error)) => Err(errors::unreadable("ec2", operation, &error.to_string())),
    }
}

/// Tags from the resource's birth; nothing is copied behind our back.
pub(super) fn specification(of: ResourceType, tags: &[(String, String)]) -> Option<Vec<TagSpecification>> {
    let specification = TagSpecification::builder().resource_type(of);
    (!tags.is_empty()).then(|| vec![specification.set_tags(Some(sdk_tags(tags))).build()])
}

fn sdk_tags(tags: &[(String, String)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn rejected(call: &Call, message: &str) -> CloudError {
    CloudError::new(ErrorKind::Rejected, "ec2", call.operation(), None, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::{AccountId, Kind, Region};

    fn place(region: &str) -> Place {
        Place { account: AccountId::new("111111111111").unwrap(), region: Region::new(region).unwrap() }
    }

    #[test]
    fn a_tag_for_another_place_or_kind_is_never_sent() {
        let here = place("eu-central-1");
        let tags = vec![("owner".to_owned(), "ana@example.com".to_owned())];
        let volume = here.partition(Kind::Volume).key("vol-0a");
        let call = Call::CreateTags { resource: volume.clone(), tags: tags.clone() };
        assert!(check_place(&here, &call).is_ok());
        assert_eq!(check_place(&place("eu-west-1"), &call).unwrap_err().kind, ErrorKind::Rejected);
        let mislabelled = here.partition(Kind::Instance).key("vol-0a");
        let call = Call::CreateTags { resource: mislabelled, tags };
        assert_eq!(check_place(&here, &call).unwrap_err().kind, ErrorKind::Rejected);
        let call = Call::CreateTags { resource: volume, tags: Vec::new() };
        assert_eq!(check_place(&here, &call).unwrap_err().kind, ErrorKind::Rejected);
    }
}
