//! EBS snapshots owned by the account: DescribeSnapshots.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Filter};

use super::{Conversion, PAGE_SIZE, errors, instant};
use crate::cloud::{CloudError, ErrorKind, Page};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::resource::{Detail, NOT_ASKED, Resource, Snapshot};

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

/// Whether a lock holds the snapshot. A state that this version does not know counts as locked.
pub(super) async fn locked(client: &Client, id: &str) -> Fact<bool> {
    let output = match client.describe_locked_snapshots().snapshot_ids(id).send().await {
        Ok(output) => output,
        Err(error) => {
            let error = errors::from_sdk("ec2", "DescribeLockedSnapshots", &error);
            return Fact::unknown(&format!("whether it is locked could not be read: {error}"));
        }
    };
    let Some(found) = output.snapshots.as_deref() else {
        return Fact::unknown("the answer about locks came without its list");
    };
    if output.next_token().is_some_and(|token| !token.is_empty()) {
        return Fact::unknown("the answer about locks is not whole");
    }
    let mut theirs = found.iter().filter(|own| own.snapshot_id() == Some(id));
    Fact::Known(theirs.any(|own| own.lock_state().is_none_or(|state| state.as_str() != "expired")))
}

/// Until when the Recycle Bin keeps a snapshot; `None` when it does not list it.
pub(super) async fn recycled(client: &Client, key: &ResourceKey) -> Result<Option<Instant>, CloudError> {
    let operation = "ListSnapshotsInRecycleBin";
    let request = client.list_snapshots_in_recycle_bin().snapshot_ids(&*key.id);
    let output = match request.send().await.map_err(|error| errors::from_sdk("ec2", operation, &error)) {
        Ok(output) => output,
        // What is not in the bin is not found by its id.
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let unreadable = |what: &str| Err(errors::unreadable("ec2", operation, what));
    let Some(found) = output.snapshots.as_deref() else { return unreadable("the answer came without its list") };
    let Some(own) = found.iter().find(|own| own.snapshot_id() == Some(&*key.id)) else {
        return match output.next_token().is_some_and(|token| !token.is_empty()) {
            true => unreadable("the answer is not whole"),
            false => Ok(None),
        };
    };
    match instant(own.recycle_bin_exit_time(), "the end of its time in the Recycle Bin") {
        Fact::Known(until) => Ok(Some(until)),
        _ => unreadable("it does not say until when the Recycle Bin keeps the snapshot"),
    }
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
        image: Fact::Unknown(to.text(NOT_ASKED)),
        locked: Fact::Unknown(to.text(NOT_ASKED)),
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
