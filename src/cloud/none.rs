//! No cloud at all: for commands that read our own state alone.
//!
//! `report` gets this in place of a reader, so that it works without credentials and in builds without the AWS adapter.
//! Whatever asks it gets a refusal that says so.

use async_trait::async_trait;

use super::{CloudError, CloudRead, CostQuery, ErrorKind, Identity, KeyState, Page};
use crate::domain::budget::CostRow;
use crate::domain::place::{AccountId, Partition, Place, ResourceKey};
use crate::domain::resource::Resource;
use crate::domain::scan::RequestCount;
use crate::domain::usage::{MetricQuery, Series};

/// Refuses every question.
pub struct NoCloud;

fn refusal(operation: &str) -> CloudError {
    CloudError::new(ErrorKind::Denied, "none", operation, None, "this command does not read the cloud")
}

#[async_trait]
impl CloudRead for NoCloud {
    async fn identity(&self, _account: &AccountId) -> Result<Identity, CloudError> {
        Err(refusal("identity"))
    }

    async fn list(&self, _partition: &Partition, _cursor: Option<&str>) -> Result<Page, CloudError> {
        Err(refusal("list"))
    }

    async fn describe(&self, _key: &ResourceKey) -> Result<Resource, CloudError> {
        Err(refusal("describe"))
    }

    async fn metrics(&self, _place: &Place, _queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
        Err(refusal("metrics"))
    }

    async fn costs(&self, _account: &AccountId, _query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
        Err(refusal("costs"))
    }

    async fn snapshots_tagged(&self, _place: &Place, _key: &str, _value: &str) -> Result<Vec<Resource>, CloudError> {
        Err(refusal("snapshots_tagged"))
    }

    async fn key_state(&self, _place: &Place, _key: &str) -> Result<KeyState, CloudError> {
        Err(refusal("key_state"))
    }

    fn requests(&self) -> Vec<RequestCount> {
        Vec::new()
    }
}
