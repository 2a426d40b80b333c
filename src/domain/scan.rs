//! What one scan did: its coverage, what it asked the cloud for, and what that cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Instant;
use super::inventory::{Coverage, Status};
use super::money::Usd;

/// The row of one scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// `s-` and the start as `YYYYMMDDTHHMMSSZ`, made unique by the store.
    pub id: String,
    /// When it began.
    pub started_at: Instant,
    /// When it ended; empty while it runs or when it died.
    pub finished_at: Option<Instant>,
    /// One row per partition.
    pub coverage: Vec<Coverage>,
    /// Requests by service and operation.
    pub requests: Vec<RequestCount>,
    /// Resources seen, by kind's wire name.
    pub resources: BTreeMap<String, u64>,
    /// Verdicts that were Unknown, with their count by check.
    pub unknown: BTreeMap<String, u64>,
}

/// Requests to one operation of the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestCount {
    /// For example `ec2`.
    pub service: String,
    /// For example `DescribeInstances`.
    pub operation: String,
    /// Calls that the program made.
    pub count: u64,
    /// Attempts beyond the first of each.
    pub retries: u64,
    /// What they cost, in micro-dollars; empty where the price is not known.
    #[schemars(with = "Option<i64>")]
    pub usd: Option<Usd>,
}

impl Scan {
    /// True when every partition was read to its end and is believed.
    pub fn complete(&self) -> bool {
        !self.coverage.is_empty() && self.coverage.iter().all(Coverage::trusted)
    }

    /// Partitions that were not read to their end.
    pub fn gaps(&self) -> impl Iterator<Item = &Coverage> {
        self.coverage.iter().filter(|row| row.status != Status::Complete || row.suspect.is_some())
    }
}
