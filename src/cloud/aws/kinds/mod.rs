//! The resource kinds on the wire: a paged list and a fresh single read for each, one file a kind.
//!
//! Each file turns the SDK's types into slim domain values with shared strings. It filters nothing out, keeps words
//! that it does not know, and makes an answer without a field that it must have an error of the whole page: half a
//! page must not look like a whole one.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{OperatorResponse, Tag};

use super::errors;
use crate::cloud::{CloudError, ErrorKind, Page};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::{Kind, Partition, Place, ResourceKey};
use crate::domain::resource::{Detail, Resource, Tags};
use crate::domain::text::{Interner, Str};

mod address;
mod image;
mod instance;
mod launch;
mod snapshot;
mod volume;

/// Largest page that EC2's list calls give.
const PAGE_SIZE: i32 = 1_000;

/// One page of a partition.
pub(super) async fn list(client: &Client, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
    match partition.kind {
        Kind::Instance => instance::list(client, partition, cursor).await,
        Kind::Volume => volume::list(client, partition, cursor).await,
        Kind::Snapshot => snapshot::list(client, partition, cursor).await,
        Kind::Address => address::list(client, partition).await,
        Kind::Image => image::list(client, partition, cursor).await,
    }
}

/// One resource, read fresh.
pub(super) async fn describe(client: &Client, key: &ResourceKey) -> Result<Resource, CloudError> {
    match key.kind() {
        Kind::Instance => instance::describe(client, key).await,
        Kind::Volume => volume::describe(client, key).await,
        Kind::Snapshot => snapshot::describe(client, key).await,
        Kind::Address => address::describe(client, key).await,
        Kind::Image => image::describe(client, key).await,
    }
}

/// What a single read leaves out, where few acts depend on it; unknown when it cannot be read.
pub(super) async fn particulars(client: &Client, resource: &mut Resource) {
    match &mut resource.detail {
        Detail::Volume(own) => own.modification = volume::modification(client, &resource.key.id).await,
        Detail::Snapshot(own) => {
            own.image = image::of_snapshot(client, &resource.key).await;
            own.locked = snapshot::locked(client, &resource.key.id).await;
        }
        Detail::Image(own) => {
            own.user = image::user(client, &resource.key.id).await;
            own.shared = image::shared(client, &resource.key.id).await;
        }
        Detail::Instance(_) | Detail::Address(_) => {}
    }
}

/// Until when the Recycle Bin keeps a snapshot.
pub(super) async fn recycled(client: &Client, key: &ResourceKey) -> Result<Option<Instant>, CloudError> {
    snapshot::recycled(client, key).await
}

/// The snapshot that a volume was made of.
pub(super) async fn source_of(client: &Client, key: &ResourceKey) -> Result<Option<String>, CloudError> {
    volume::source_of(client, key).await
}

/// Own snapshots that carry the tag, all pages.
pub(super) async fn snapshots_tagged(
    client: &Client,
    place: &Place,
    key: &str,
    value: &str,
) -> Result<Vec<Resource>, CloudError> {
    snapshot::tagged(client, &place.partition(Kind::Snapshot), key, value).await
}

pub(super) use launch::{launch, type_facts};

/// What one page's conversion shares: the partition, the operation's name for errors, and the strings.
struct Conversion<'a> {
    operation: &'static str,
    partition: &'a Partition,
    strings: Interner,
}

impl<'a> Conversion<'a> {
    fn new(operation: &'static str, partition: &'a Partition) -> Conversion<'a> {
        Conversion { operation, partition, strings: Interner::default() }
    }

    /// Converts a whole page, or none of it. An answer without its list is not an answer with an empty one.
    fn page<T>(
        &mut self,
        items: Option<&[T]>,
        next: Option<&str>,
        convert: impl Fn(&mut Self, &T) -> Result<Resource, CloudError>,
    ) -> Result<Page, CloudError> {
        let items = self.need(items, "the answer", "its list")?;
        let mut resources = Vec::with_capacity(items.len());
        for item in items {
            resources.push(convert(self, item)?);
        }
        Ok(Page { resources, next: next.filter(|token| !token.is_empty()).map(Into::into) })
    }

    /// The one resource of a single read.
    fn single(&self, key: &ResourceKey, page: Page) -> Result<Resource, CloudError> {
        let mut resources = page.resources.into_iter();
        match (resources.next(), resources.next()) {
            (Some(resource), None) if resource.key == *key => Ok(resource),
            (None, _) => {
                let message = format!("the answer does not list {}", key.id);
                Err(CloudError::new(ErrorKind::NotFound, "ec2", self.operation, None, &message))
            }
            _ => Err(errors::unreadable("ec2", self.operation, &format!("asked for {} alone, got others", key.id))),
        }
    }

    /// A field that every answer must have.
    fn need<T>(&self, value: Option<T>, whose: &str, what: &str) -> Result<T, CloudError> {
        value.ok_or_else(|| errors::unreadable("ec2", self.operation, &format!("{whose} came without {what}")))
    }

    /// A count or size that every answer must have, and that cannot be negative.
    fn need_u32(&self, value: Option<i32>, whose: &str, what: &str) -> Result<u32, CloudError> {
        self.need(value.and_then(|number| u32::try_from(number).ok()), whose, what)
    }

    fn text(&mut self, text: &str) -> Str {
        self.strings.intern(text)
    }

    /// A text that must be there.
    fn need_text(&mut self, value: Option<&str>, whose: &str, what: &str) -> Result<Str, CloudError> {
        let value = self.need(value, whose, what)?;
        Ok(self.text(value))
    }

    fn text_or_none(&mut self, value: Option<&str>) -> Option<Str> {
        value.filter(|text| !text.is_empty()).map(|text| self.text(text))
    }

    /// EC2 leaves the tag set out when there are no tags, so a missing set is an empty one; a tag without its key is
    /// not a tag.
    fn tags(&mut self, tags: Option<&[Tag]>) -> Fact<Tags> {
        let mut pairs = Vec::new();
        for tag in tags.unwrap_or_default() {
            let Some(key) = tag.key() else { return Fact::unknown("a tag came without its key") };
            // A tag's value may be empty, and is then left out by some answers.
            pairs.push((self.text(key), self.text(tag.value().unwrap_or_default())));
        }
        Fact::Known(Tags::new(pairs))
    }

    fn resource(&self, id: &str, tags: Fact<Tags>, created_at: Fact<Instant>, detail: Detail) -> Resource {
        Resource { key: self.partition.key(id), tags, created_at, detail }
    }

    /// The service that manages a resource.
    fn operator(&mut self, operator: Option<&OperatorResponse>) -> Option<Str> {
        let operator = operator?;
        let principal = self.text_or_none(operator.principal());
        match operator.managed() {
            Some(false) => None,
            Some(true) => Some(principal.unwrap_or_else(|| Str::from("a service that EC2 does not name"))),
            None => principal,
        }
    }
}

/// A time of the answer.
fn instant(time: Option<&aws_sdk_ec2::primitives::DateTime>, what: &str) -> Fact<Instant> {
    time.and_then(|time| chrono::DateTime::from_timestamp(time.secs(), time.subsec_nanos()))
        .map_or_else(|| Fact::unknown(&format!("{what} is not in the answer")), Fact::Known)
}
