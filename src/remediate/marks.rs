//! What a safety snapshot is called and marked with, so that it is found again and known for ours.
//!
//! Used by `backup` for the one call that asks for snapshots; `expire` and `put_back` read the same marks.

use chrono::TimeDelta;

use super::{KEY_TAG, SNAPSHOT_DAYS};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::plan::OWN_TAGS;
use crate::domain::remediation::Remediation;
use crate::domain::resource::Resource;

/// Most tags on a snapshot.
pub(super) const MOST_TAGS: usize = 50;

/// R8's and R11's names.
pub(super) fn snapshot_name(remediation: &Remediation) -> String {
    let prefix = match remediation.step.act {
        Act::DeleteVolume | Act::TerminateInstance => "pre-deletion",
        _ => "pre-remediation",
    };
    format!("{prefix}-{}", remediation.step.finding)
}

/// Our own tags first, then the source's, as many as fit. `aws:` keys cannot be written, and the source's own marks of
/// ours (keep-until, for example) would say something else on a snapshot.
pub(super) fn snapshot_tags(
    remediation: &Remediation,
    name: &str,
    key_value: &str,
    source: &Resource,
    now: Instant,
) -> Vec<(String, String)> {
    let keep_until = (now + TimeDelta::days(SNAPSHOT_DAYS)).date_naive();
    let mut tags = vec![
        ("Name".to_owned(), name.to_owned()),
        (KEY_TAG.to_owned(), key_value.to_owned()),
        (format!("{OWN_TAGS}finding"), remediation.step.finding.to_string()),
        (format!("{OWN_TAGS}source"), source.key.id.to_string()),
        (format!("{OWN_TAGS}keep-until"), keep_until.to_string()),
        (format!("{OWN_TAGS}safety-snapshot"), "true".to_owned()),
    ];
    let foreign = source.tags.known().into_iter().flat_map(|tags| tags.iter());
    for (key, value) in foreign {
        let writable = !key.to_ascii_lowercase().starts_with("aws:") && !key.starts_with(OWN_TAGS) && key != "Name";
        if writable && tags.len() < MOST_TAGS {
            tags.push((key.to_owned(), value.to_owned()));
        }
    }
    tags
}
