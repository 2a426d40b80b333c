//! The two ports with a witness before them: time follows, dead processes reach nothing, and every change is judged in
//! the moment in which it is asked for.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use async_trait::async_trait;
use costwarden::cloud::sim::{SimActor, SimReader};
use costwarden::cloud::{
    Answer, Call, CloudAct, CloudClock, CloudError, CloudRead, CostQuery, ErrorKind, Identity, KeyState, Page,
};
use costwarden::domain::Instant;
use costwarden::domain::budget::CostRow;
use costwarden::domain::launch::{Launch, TypeFacts};
use costwarden::domain::place::{AccountId, Kind, Partition, Place, ResourceKey};
use costwarden::domain::resource::Resource;
use costwarden::domain::scan::RequestCount;
use costwarden::domain::usage::{MetricQuery, Series};

use crate::director::Director;
use crate::judge::{calls, drills, made, parts, undos};

/// The reading port of one process.
pub struct Reader {
    pub director: Arc<Director>,
    pub inner: SimReader,
}

/// The acting port of one process.
pub struct Actor {
    pub director: Arc<Director>,
    pub process: u32,
    pub inner: SimActor,
}

fn dead(operation: &str) -> CloudError {
    CloudError::new(ErrorKind::Uncertain, "ec2", operation, None, "the process is dead")
}

impl Reader {
    fn alive(&self, operation: &str) -> Result<(), CloudError> {
        self.director.sync();
        if self.director.dead.load(SeqCst) {
            return Err(dead(operation));
        }
        self.director.hear();
        Ok(())
    }

    fn note(&self, partition: Partition, failed: bool) {
        self.director.with(|inner| {
            if inner.scanning {
                *inner.broken_reads.entry(partition).or_default() |= failed;
            }
        });
    }
}

#[async_trait]
impl CloudRead for Reader {
    async fn identity(&self, account: &AccountId) -> Result<Identity, CloudError> {
        self.alive("GetCallerIdentity")?;
        self.inner.identity(account).await
    }

    async fn list(&self, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
        self.alive("list")?;
        let page = self.inner.list(partition, cursor).await;
        self.note(partition.clone(), page.is_err());
        page
    }

    async fn describe(&self, key: &ResourceKey) -> Result<Resource, CloudError> {
        self.alive("describe")?;
        self.inner.describe(key).await
    }

    async fn metrics(&self, place: &Place, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
        self.alive("GetMetricData")?;
        let series = self.inner.metrics(place, queries).await;
        if !self.director.acting.load(SeqCst) {
            self.note(place.partition(Kind::Instance), series.is_err());
        }
        series
    }

    async fn costs(&self, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
        self.alive("GetCostAndUsage")?;
        self.inner.costs(account, query).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Result<Vec<Resource>, CloudError> {
        self.alive("DescribeSnapshots")?;
        self.inner.snapshots_tagged(place, key, value).await
    }

    async fn particulars(&self, resource: &mut Resource) {
        if self.alive("particulars").is_ok() {
            self.inner.particulars(resource).await;
        }
    }

    async fn launch(&self, instance: &ResourceKey) -> Result<Launch, CloudError> {
        self.alive("launch")?;
        self.inner.launch(instance).await
    }

    async fn type_facts(&self, place: &Place, zone: &str, name: &str) -> Result<TypeFacts, CloudError> {
        self.alive("DescribeInstanceTypes")?;
        self.inner.type_facts(place, zone, name).await
    }

    async fn recycled(&self, snapshot: &ResourceKey) -> Result<Option<Instant>, CloudError> {
        self.alive("ListSnapshotsInRecycleBin")?;
        self.inner.recycled(snapshot).await
    }

    async fn source_of(&self, volume: &ResourceKey) -> Result<Option<String>, CloudError> {
        self.alive("DescribeVolumes")?;
        self.inner.source_of(volume).await
    }

    async fn key_state(&self, place: &Place, key: &str) -> Result<KeyState, CloudError> {
        self.alive("DescribeKey")?;
        self.inner.key_state(place, key).await
    }

    fn clock(&self) -> Option<CloudClock> {
        self.director.with(|inner| inner.heard)
    }

    fn requests(&self) -> Vec<RequestCount> {
        self.inner.requests()
    }
}

#[async_trait]
impl CloudAct for Actor {
    async fn acting_as(&self, account: &AccountId) -> Result<Identity, CloudError> {
        self.director.sync();
        if self.director.dead.load(SeqCst) {
            return Err(dead("GetCallerIdentity"));
        }
        self.inner.acting_as(account).await
    }

    async fn permitted(&self, place: &Place, call: &Call) -> Result<(), CloudError> {
        self.director.sync();
        if self.director.dead.load(SeqCst) {
            return Err(dead(call.operation()));
        }
        self.inner.permitted(place, call).await
    }

    async fn execute(&self, place: &Place, call: &Call) -> Result<Answer, CloudError> {
        self.director.sync();
        if self.director.dead.load(SeqCst) {
            return Err(dead(call.operation()));
        }
        if let Some(drill) = drills::before(&self.director, self.process, place, call) {
            let answer = self.inner.execute(place, call).await;
            drills::after(&self.director, &drill, &answer);
            self.director.tell(|| format!("worker {}: {call} for drill {} -> {answer:?}", self.process, drill.mark));
            return answer;
        }
        if let Some(undo) = undos::before(&self.director, place, call) {
            let answer = self.inner.execute(place, call).await;
            undos::after(&self.director, &undo, call, &answer);
            self.director.tell(|| format!("worker {}: {call} to take r-{} back -> {answer:?}", self.process, undo.act));
            return answer;
        }
        if let Some(part) = parts::before(&self.director, place, call) {
            let answer = self.inner.execute(place, call).await;
            parts::after(&self.director, &part, &answer);
            self.director.tell(|| format!("worker {}: {call}, half-way -> {answer:?}", self.process));
            return answer;
        }
        if made::image_asked_for(&self.director, call) {
            return self.inner.execute(place, call).await;
        }
        let case = calls::before(&self.director, self.process, place, call);
        let answer = self.inner.execute(place, call).await;
        calls::after(&self.director, &case, call, &answer);
        self.director.tell(|| format!("worker {}: {call} -> {answer:?}", self.process));
        answer
    }
}
