//! What one night's reading amounts to: coverage per partition, references between resources, and how long a
//! condition has been seen.
//!
//! An inventory is its partitions, never one value in memory. A partition that was not read to its end is partial:
//! nothing is concluded from what it does not show (safety.md, I04).

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::Instant;
use super::fact::Fact;
use super::place::{Kind, Partition};
use super::text::Str;

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To its end, without an error.
    Complete,
    /// Some pages, then an error; or its metrics or tags could not be read.
    Partial,
    /// Nothing.
    Failed,
}

/// The coverage row of one partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Which partition.
    #[serde(flatten)]
    pub partition: Partition,
    /// How far it was read.
    pub status: Status,
    /// Pages that arrived.
    pub pages: u32,
    /// Resources on them.
    pub resources: u64,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// Why a complete listing is not believed: it shrank more than the inventory floor allows.
    pub suspect: Option<String>,
}

impl Coverage {
    /// True when conclusions may be drawn from what the partition shows and from what it does not show.
    pub fn trusted(&self) -> bool {
        self.status == Status::Complete && self.suspect.is_none()
    }
}

/// Ids and edges of one place: what a check may ask about other resources.
#[derive(Clone, Debug, Default)]
pub struct RefIndex {
    complete: HashSet<Kind>,
    snapshots_of_images: HashMap<Str, Str>,
}

impl RefIndex {
    /// Notes that `kind` was read to its end here.
    pub fn mark_complete(&mut self, kind: Kind) {
        self.complete.insert(kind);
    }

    /// Notes that `image` is made of `snapshot`.
    pub fn image_uses(&mut self, image: Str, snapshot: Str) {
        self.snapshots_of_images.insert(snapshot, image);
    }

    /// The image that uses a snapshot; unknown while the images are not read completely.
    pub fn image_of_snapshot(&self, snapshot: &str) -> Fact<Str> {
        match self.snapshots_of_images.get(snapshot) {
            Some(image) => Fact::Known(image.clone()),
            None if self.complete.contains(&Kind::Image) => Fact::Absent,
            None => Fact::unknown("the images of this account and Region could not be read completely"),
        }
    }
}

/// How long the worker itself has seen a condition hold (for example "unattached"): the clock for facts that the
/// cloud does not date. It starts at our first sight, never at a default (checks.md, rule 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// First complete scan that saw the condition, without a break since.
    pub since: Instant,
    /// Complete scans that saw it, this one included.
    pub scans: u32,
}
