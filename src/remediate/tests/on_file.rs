//! What the gate finds on file about a step, as scans and the planner leave it there.

use super::*;
use crate::domain::inventory::{Coverage, Status};
use crate::domain::place::Partition;
use crate::domain::plan::{PLAN_HOURS, Plan};
use crate::domain::scan::Scan;

impl Stage {
    /// A scan that read everything to its end and believes it.
    pub(super) fn scanned(&self) {
        self.scan_with(|_| {});
    }

    /// The same with another word about one partition or more.
    pub(super) fn scan_with(&self, change: impl Fn(&mut Coverage)) {
        let now = self.clock.now();
        let mut coverage = Vec::new();
        for kind in Kind::ALL {
            let mut row = read_whole(self.place.partition(kind));
            change(&mut row);
            coverage.push(row);
        }
        let id = self.store.begin_scan(now).unwrap();
        let scan = Scan {
            id,
            started_at: now,
            finished_at: Some(now),
            coverage,
            requests: Vec::new(),
            resources: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        self.store.finish_scan(&scan, &serde_json::Value::Null).unwrap();
    }

    /// The plan of this one step, stored as the planner stores it: its id.
    pub(super) fn plan(&self, step: &Step) -> String {
        self.plan_with(step, |_| {})
    }

    /// The same with a change that its id does not speak of unless the change derives it again.
    pub(super) fn plan_with(&self, step: &Step, change: impl FnOnce(&mut Plan)) -> String {
        let now = self.clock.now();
        let mut plan = Plan {
            schema_version: 1,
            id: String::new(),
            created_at: now,
            expires_at: now + TimeDelta::hours(PLAN_HOURS),
            state_id: self.store.state_id().unwrap(),
            policies: self.rules.policies.clone(),
            steps: vec![step.clone()],
            held: BTreeMap::new(),
        };
        plan.id = plan.derive_id();
        change(&mut plan);
        self.store.save_plan(&plan, &[]).unwrap();
        plan.id
    }
}

/// The word of a scan that read a partition to its end and believes it.
pub(super) fn read_whole(partition: Partition) -> Coverage {
    Coverage { partition, status: Status::Complete, pages: 1, resources: 400, error: None, suspect: None }
}
