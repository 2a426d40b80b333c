//! Own machine images, for the snapshots that they hold on to: DescribeImages.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, ImageAttributeName};

use super::{Conversion, PAGE_SIZE, errors};
use crate::cloud::{CloudError, Page};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::{Kind, Partition, ResourceKey};
use crate::domain::resource::{Detail, Image, NOT_ASKED, Resource};
use crate::domain::text::Str;

const OPERATION: &str = "DescribeImages";

/// Deprecated and disabled images are asked for as well: their snapshots are in use all the same.
pub(super) async fn list(client: &Client, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
    let request = client.describe_images().owners("self").include_deprecated(true).include_disabled(true);
    let output = request
        .max_results(PAGE_SIZE)
        .set_next_token(cursor.map(Into::into))
        .send()
        .await
        .map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    Conversion::new(OPERATION, partition).page(output.images.as_deref(), output.next_token(), convert)
}

pub(super) async fn describe(client: &Client, key: &ResourceKey) -> Result<Resource, CloudError> {
    let request = client.describe_images().owners("self").include_deprecated(true).include_disabled(true);
    let output =
        request.image_ids(&*key.id).send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    let mut conversion = Conversion::new(OPERATION, &key.partition);
    let page = conversion.page(output.images.as_deref(), None, convert)?;
    conversion.single(key, page)
}

/// An own image that a snapshot is part of, disabled and deprecated ones included. Every image is looked at: a filter that
/// finds nothing would be indistinguishable from a filter that does not work.
pub(super) async fn of_snapshot(client: &Client, snapshot: &ResourceKey) -> Fact<Str> {
    let partition = snapshot.partition.place.partition(Kind::Image);
    let mut cursor: Option<String> = None;
    loop {
        let page = match list(client, &partition, cursor.as_deref()).await {
            Ok(page) => page,
            Err(error) => return Fact::unknown(&format!("whether an image uses it could not be read: {error}")),
        };
        let uses = |own: &&Resource| own.image().is_some_and(|image| image.snapshots.contains(&snapshot.id));
        if let Some(user) = page.resources.iter().find(uses) {
            return Fact::Known(user.key.id.clone());
        }
        match page.next {
            None => return Fact::Absent,
            next if next == cursor => return Fact::unknown("the listing of images does not come to its end"),
            next => cursor = next,
        }
    }
}

/// What refers to an image: EC2 looks through the account's instances, launch templates, parameters and recipes. An answer
/// that is not whole is none.
pub(super) async fn user(client: &Client, id: &str) -> Fact<Str> {
    let mut cursor: Option<String> = None;
    loop {
        let request = client.describe_image_references().image_ids(id).include_all_resource_types(true);
        let output = match request.set_next_token(cursor.clone()).send().await {
            Ok(output) => output,
            Err(error) => {
                let error = errors::from_sdk("ec2", "DescribeImageReferences", &error);
                return Fact::unknown(&format!("what refers to it could not be read: {error}"));
            }
        };
        let Some(found) = output.image_references.as_deref() else {
            return Fact::unknown("the answer about what refers to it came without its list");
        };
        if let Some(user) = found.iter().find(|own| own.image_id().is_none_or(|own| own == id)) {
            return Fact::Known(Str::from(user.arn().unwrap_or("something that EC2 does not name")));
        }
        match output.next_token().filter(|token| !token.is_empty()) {
            None => return Fact::Absent,
            next if next == cursor.as_deref() => {
                return Fact::unknown("the listing of what refers to it does not come to its end");
            }
            next => cursor = next.map(Into::into),
        }
    }
}

/// Whether others may launch from an image.
pub(super) async fn shared(client: &Client, id: &str) -> Fact<bool> {
    let request = client.describe_image_attribute().image_id(id).attribute(ImageAttributeName::LaunchPermission);
    match request.send().await {
        Ok(output) => match output.launch_permissions.as_deref() {
            Some(permissions) if output.image_id() == Some(id) => Fact::Known(!permissions.is_empty()),
            _ => Fact::unknown("the answer about its launch permissions does not name it, or came without its list"),
        },
        Err(error) => {
            let error = errors::from_sdk("ec2", "DescribeImageAttribute", &error);
            Fact::unknown(&format!("with whom it is shared could not be read: {error}"))
        }
    }
}

fn convert(to: &mut Conversion<'_>, image: &types::Image) -> Result<Resource, CloudError> {
    let id = to.need(image.image_id(), "an image", "its id")?;
    let mut snapshots = Vec::new();
    for disk in image.block_device_mappings().iter().filter_map(|mapping| mapping.ebs()) {
        snapshots.extend(to.text_or_none(disk.snapshot_id()));
    }
    snapshots.sort();
    let detail = Image {
        state: to.need_text(image.state().map(|state| state.as_str()), id, "its state")?,
        snapshots: snapshots.into_boxed_slice(),
        name: to.text(image.name().unwrap_or_default()),
        launched: launched(image.last_launched_time()),
        // A word that this version does not know counts as protected.
        protected: Fact::Known(image.deregistration_protection().is_some_and(|word| word != "disabled")),
        user: Fact::Unknown(to.text(NOT_ASKED)),
        // A public image needs no further question.
        shared: if image.public() == Some(true) { Fact::Known(true) } else { Fact::Unknown(to.text(NOT_ASKED)) },
    };
    let tags = to.tags(image.tags.as_deref());
    Ok(to.resource(id, tags, created(image.creation_date()), Detail::Image(Box::new(detail))))
}

/// When it was last launched from; an answer without it says that it never was.
fn launched(text: Option<&str>) -> Fact<Instant> {
    match text.map(chrono::DateTime::parse_from_rfc3339) {
        None => Fact::Absent,
        Some(Ok(instant)) => Fact::Known(instant.to_utc()),
        Some(Err(_)) => Fact::unknown("when it was last launched from cannot be read"),
    }
}

/// EC2 writes an image's creation date as text.
fn created(text: Option<&str>) -> Fact<Instant> {
    match text.map(chrono::DateTime::parse_from_rfc3339) {
        Some(Ok(instant)) => Fact::Known(instant.to_utc()),
        _ => Fact::unknown("the creation date is not in the answer"),
    }
}
