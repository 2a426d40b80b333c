//! EBS snapshots owned by the account: DescribeSnapshots.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Filter};

use super::{Conversion, PAGE_SIZE, errors, instant};
use crate::cloud::{CloudError, Page};
use crate::domain::fact::Fact;
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::resource::{Detail, Resource, Snapshot};

const OPERATION: &str = "DescribeSnapshots";

pub(super) async fn list(client: &Client, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
    page(client, partition, None, cursor).await
}

/// All own snapshots with the tag. The filter is a text comparison with wildcards, so the answer is compared again.
pub(super) async fn tagged(
    client: &Client,
    partition: &Partition,
    key: &str,
    value: &str,
) -> Result<Vec<Resource>, CloudError> {
    let filter = Filter::builder().name(format!("tag:{key}")).values(escaped(value)).build();
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = page(client, partition, Some(filter.clone()), cursor.as_deref()).await?;
        found.extend(page.resources.into_iter().filter(|resource| resource.tag(key) == Some(value)));
        match page.next {
            None => return Ok(found),
            next if next == cursor => {
                return Err(errors::unreadable("ec2", OPERATION, "the page token repeated itself"));
            }
            next => cursor = next,
        }
    }
}

pub(super) async fn describe(client: &Client, key: &ResourceKey) -> Result<Resource, CloudError> {
    let request = client.describe_snapshots().owner_ids("self").snapshot_ids(&*key.id);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    let mut conversion = Conversion::new(OPERATION, &key.partition);
    let page = conversion.page(output.snapshots.as_deref(), None, convert)?;
    conversion.single(key, page)
}

async fn page(
    client: &Client,
    partition: &Partition,
    filter: Option<Filter>,
    cursor: Option<&str>,
) -> Result<Page, CloudError> {
    let request = client.describe_snapshots().owner_ids("self").max_results(PAGE_SIZE);
    let output = request
        .set_filters(filter.map(|filter| vec![filter]))
        .set_next_token(cursor.map(Into::into))
        .send()
        .await
        .map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    Conversion::new(OPERATION, partition).page(output.snapshots.as_deref(), output.next_token(), convert)
}

fn convert(to: &mut Conversion<'_>, snapshot: &types::Snapshot) -> Result<Resource, CloudError> {
    let id = to.need(snapshot.snapshot_id(), "a snapshot", "its id")?;
    let detail = Snapshot {
        state: to.need_text(snapshot.state().map(|state| state.as_str()), id, "its state")?,
        progress: progress(snapshot.progress()),
        volume: to.need_text(snapshot.volume_id(), id, "its source volume")?,
        volume_size_gib: to.need_u32(snapshot.volume_size(), id, "the size of its source")?,
        kms_key: to.text_or_none(snapshot.kms_key_id()),
        // An answer that does not say its tier is no reason to distrust the page; an empty word matches no price.
        storage_tier: to.text(snapshot.storage_tier().map(|tier| tier.as_str()).unwrap_or_default()),
        description: to.text(snapshot.description().unwrap_or_default()),
    };
    let tags = to.tags(snapshot.tags.as_deref());
    let created_at = instant(snapshot.start_time(), "the start time");
    Ok(to.resource(id, tags, created_at, Detail::Snapshot(Box::new(detail))))
}

/// EC2 writes the progress as `99%`.
fn progress(text: Option<&str>) -> Fact<u8> {
    match text.map(|text| text.trim_end_matches('%').parse::<u8>()) {
        Some(Ok(percent)) if percent <= 100 => Fact::Known(percent),
        _ => Fact::unknown("EC2 does not say how far the snapshot is"),
    }
}

/// A filter value that matches only itself: `*`, `?` and `\` are wildcards or escapes in EC2's filters.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '*' | '?' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_percentage_or_unknown() {
        assert_eq!(progress(Some("42%")), Fact::Known(42));
        for text in [None, Some(""), Some("soon"), Some("101%")] {
            assert!(progress(text).is_unknown(), "{text:?}");
        }
    }

    #[test]
    fn a_filter_value_matches_only_itself() {
        assert_eq!(escaped(r"a*b?c\d"), r"a\*b\?c\\d");
    }
}
