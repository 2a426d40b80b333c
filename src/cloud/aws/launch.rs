//! Making an image of safety snapshots, and launching an instance from it.
//!
//! Called by `act` alone. An image's name is taken once in an account and Region and a launch carries a token, so
//! neither makes a second thing when it is sent again.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, HttpTokensState,
    IamInstanceProfileSpecification, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceMetadataTagsState, InstanceType, Placement, ResourceType, RunInstancesMonitoringEnabled, VolumeType,
};

use super::act::{answer, rejected, specification};
use super::errors;
use crate::cloud::{Answer, Call, CloudError, NewImage, NewInstance};
use crate::domain::launch::MetadataOptions;
use crate::domain::place::{ImageId, InstanceId};

/// Registers the image.
pub(super) async fn register(
    client: &Client,
    new: &NewImage,
    dry_run: Option<bool>,
    call: &Call,
) -> Result<Answer, CloudError> {
    let operation = call.operation();
    let mut mappings = Vec::with_capacity(new.disks.len());
    for disk in &new.disks {
        let ebs = EbsBlockDevice::builder()
            .snapshot_id(disk.snapshot.as_str())
            .volume_type(VolumeType::from(disk.volume_type.as_str()))
            .volume_size(count(disk.size_gib, call)?)
            .set_iops(disk.iops.map(|value| count(value, call)).transpose()?)
            .set_throughput(disk.throughput.map(|value| count(value, call)).transpose()?)
            .delete_on_termination(disk.delete_on_termination)
            .build();
        mappings.push(BlockDeviceMapping::builder().device_name(&disk.device).ebs(ebs).build());
    }
    let request = client
        .register_image()
        .name(&new.name)
        .description(&new.description)
        .architecture(ArchitectureValues::from(new.architecture.as_str()))
        .virtualization_type("hvm")
        .ena_support(new.ena)
        .set_boot_mode(new.boot_mode.as_deref().map(BootModeValues::from))
        .root_device_name(&new.root_device)
        .set_block_device_mappings(Some(mappings))
        .set_tag_specifications(specification(ResourceType::Image, &new.tags))
        .set_dry_run(dry_run);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
    let image = ImageId::new(output.image_id().unwrap_or_default())
        .map_err(|error| errors::unreadable("ec2", operation, &error.to_string()))?;
    Ok(Answer { image: Some(image), ..answer(output.request_id(), Vec::new()) })
}

/// Launches the instance: exactly one.
pub(super) async fn run(
    client: &Client,
    new: &NewInstance,
    dry_run: Option<bool>,
    call: &Call,
) -> Result<Answer, CloudError> {
    let operation = call.operation();
    let profile = new.profile.as_ref().map(|arn| IamInstanceProfileSpecification::builder().arn(arn).build());
    let placement = new.placement_group.as_ref().map(|group| Placement::builder().group_name(group).build());
    let metadata = new.metadata.as_ref().map(|own| metadata(own, call)).transpose()?;
    let request = client
        .run_instances()
        .image_id(new.image.as_str())
        .instance_type(InstanceType::from(new.instance_type.as_str()))
        .subnet_id(&new.subnet)
        .set_security_group_ids(Some(new.security_groups.clone()))
        .set_iam_instance_profile(profile)
        .set_key_name(new.key_name.clone())
        .ebs_optimized(new.ebs_optimized)
        .monitoring(RunInstancesMonitoringEnabled::builder().enabled(new.monitoring).build())
        .set_placement(placement)
        .set_metadata_options(metadata)
        .set_tag_specifications(specification(ResourceType::Instance, &new.tags))
        .client_token(&new.token)
        .min_count(1)
        .max_count(1)
        .set_dry_run(dry_run);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error))?;
    let ids: Vec<&str> = output.instances().iter().filter_map(|own| own.instance_id()).collect();
    let [id] = ids.as_slice() else {
        return Err(errors::unreadable("ec2", operation, &format!("it names {} instances, not one", ids.len())));
    };
    let instance = InstanceId::new(id).map_err(|error| errors::unreadable("ec2", operation, &error.to_string()))?;
    Ok(Answer { instance: Some(instance), ..answer(output.request_id(), Vec::new()) })
}

fn metadata(own: &MetadataOptions, call: &Call) -> Result<InstanceMetadataOptionsRequest, CloudError> {
    Ok(InstanceMetadataOptionsRequest::builder()
        .http_tokens(HttpTokensState::from(&*own.tokens))
        .http_endpoint(InstanceMetadataEndpointState::from(&*own.endpoint))
        .http_put_response_hop_limit(count(own.hop_limit, call)?)
        .instance_metadata_tags(InstanceMetadataTagsState::from(&*own.tags))
        .build())
}

fn count(value: u32, call: &Call) -> Result<i32, CloudError> {
    i32::try_from(value).map_err(|_| rejected(call, &format!("{value} is too large; nothing was sent")))
}
