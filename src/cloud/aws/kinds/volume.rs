//! EBS volumes: DescribeVolumes.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;

use super::{Conversion, PAGE_SIZE, errors, instant};
use crate::cloud::{CloudError, Page};
use crate::domain::fact::Fact;
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::resource::{Attachment, Detail, Modification, NOT_ASKED, Resource, Volume};
use crate::domain::text::Str;

const OPERATION: &str = "DescribeVolumes";

pub(super) async fn list(client: &Client, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
    let request = client.describe_volumes().include_managed_resources(true).max_results(PAGE_SIZE);
    let output = request
        .set_next_token(cursor.map(Into::into))
        .send()
        .await
        .map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    Conversion::new(OPERATION, partition).page(output.volumes.as_deref(), output.next_token(), convert)
}

pub(super) async fn describe(client: &Client, key: &ResourceKey) -> Result<Resource, CloudError> {
    let request = client.describe_volumes().include_managed_resources(true).volume_ids(&*key.id);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    let mut conversion = Conversion::new(OPERATION, &key.partition);
    let page = conversion.page(output.volumes.as_deref(), None, convert)?;
    conversion.single(key, page)
}

/// The snapshot that a volume was made of; EC2 writes an empty id for none.
pub(super) async fn source_of(client: &Client, key: &ResourceKey) -> Result<Option<String>, CloudError> {
    let request = client.describe_volumes().include_managed_resources(true).volume_ids(&*key.id);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    match output.volumes() {
        [one] if one.volume_id() == Some(&key.id) => {
            Ok(one.snapshot_id().filter(|id| !id.is_empty()).map(str::to_owned))
        }
        other => Err(errors::unreadable("ec2", OPERATION, &format!("{} volumes, not {}", other.len(), key.id))),
    }
}

/// The newest modification that EC2 has on record, which it keeps for 30 days.
pub(super) async fn modification(client: &Client, id: &str) -> Fact<Box<Modification>> {
    let operation = "DescribeVolumesModifications";
    let output = match client.describe_volumes_modifications().volume_ids(id).send().await {
        Ok(output) => output,
        Err(error) => {
            let error = errors::from_sdk("ec2", operation, &error);
            return Fact::unknown(&format!("its last modification could not be read: {error}"));
        }
    };
    let Some(found) = output.volumes_modifications.as_deref() else {
        return Fact::unknown("the answer about its modifications came without its list");
    };
    if output.next_token().is_some_and(|token| !token.is_empty()) {
        return Fact::unknown("the answer about its modifications is not whole");
    }
    let mut newest: Option<Modification> = None;
    for one in found {
        let (Some(state), Fact::Known(begun), true) =
            (one.modification_state(), instant(one.start_time(), "the start"), one.volume_id() == Some(id))
        else {
            return Fact::unknown("a modification came without its state, its start or its volume");
        };
        if newest.as_ref().is_none_or(|known| known.begun < begun) {
            newest = Some(Modification { state: Str::from(state.as_str()), begun });
        }
    }
    newest.map(Box::new).into()
}

fn convert(to: &mut Conversion<'_>, volume: &types::Volume) -> Result<Resource, CloudError> {
    let id = to.need(volume.volume_id(), "a volume", "its id")?;
    let mut attachments = Vec::new();
    for attachment in volume.attachments() {
        attachments.push(attached(to, id, attachment)?);
    }
    attachments.sort();
    let detail = Volume {
        state: to.need_text(volume.state().map(|state| state.as_str()), id, "its state")?,
        size_gib: to.need_u32(volume.size(), id, "its size")?,
        volume_type: to.need_text(volume.volume_type().map(|kind| kind.as_str()), id, "its type")?,
        iops: volume.iops().and_then(|number| u32::try_from(number).ok()),
        throughput: volume.throughput().and_then(|number| u32::try_from(number).ok()),
        zone: to.need_text(volume.availability_zone(), id, "its Availability Zone")?,
        kms_key: to.text_or_none(volume.kms_key_id()),
        encrypted: to.need(volume.encrypted(), id, "whether it is encrypted")?,
        attachments: attachments.into_boxed_slice(),
        operator: to.operator(volume.operator()),
        modification: Fact::Unknown(to.text(NOT_ASKED)),
    };
    let tags = to.tags(volume.tags.as_deref());
    let created_at = instant(volume.create_time(), "the creation time");
    Ok(to.resource(id, tags, created_at, Detail::Volume(Box::new(detail))))
}

fn attached(to: &mut Conversion<'_>, id: &str, attachment: &types::VolumeAttachment) -> Result<Attachment, CloudError> {
    // Volumes of managed compute hang on a service's resource in place of an instance.
    let holder = attachment.instance_id().or(attachment.associated_resource());
    let device = attachment.device().unwrap_or_default();
    Ok(Attachment {
        instance: to.need_text(holder, id, "the instance of its attachment")?,
        device: to.text(device),
        state: to.need_text(attachment.state().map(|state| state.as_str()), id, "the state of its attachment")?,
        delete_on_termination: to.need(attachment.delete_on_termination(), id, "whether it dies with its instance")?,
    })
}
