//! What a step stands on, by the gate's own look into the state: a listing that is believed, and a plan of this state.
//!
//! The planner takes nothing from a partition that was not read to its end or whose listing shrank below the inventory
//! floor; a scan between plan and act may say so as well, so the newest word about the partition counts here. `apply`
//! checks its file before it begins, and the daemon acts on the plan that it just made; neither can speak for a row that
//! was claimed nights ago. So the row's own plan is read again: on file, whole (its id is the hash of its contents), of
//! this state, not expired when the row was claimed, and with this very step in it. Waiting for a snapshot may outlive a
//! plan's 24 hours. What expires has no plan and no finding; `expiry` asks the journal instead.

use std::ops::ControlFlow;

use chrono::TimeDelta;

use super::super::{Remediator, Ruling};
use super::Facts;
use crate::domain::Instant;
use crate::domain::inventory::Coverage;
use crate::domain::plan::{HoldCode, Plan, Step};
use crate::domain::remediation::Remediation;
use crate::domain::text::clean;
use crate::store::StoreError;

/// How old a look at a partition may be. The settings say less; that is the planner's to ask.
const OLDEST: TimeDelta = TimeDelta::days(7);

/// How far the clock may have gone back between a plan and its claim.
const SLACK: TimeDelta = TimeDelta::minutes(5);

/// The step's partition was not read to its end, is not believed, or nobody looked.
pub(super) fn unbelieved(facts: &Facts<'_>) -> Option<Ruling> {
    let hold = |why: String| Some(Ruling::Hold(why));
    let partition = &facts.step.key.partition;
    let Some(row) = &facts.look else {
        return hold(format!("{partition} was not looked at in the last {} days", OLDEST.num_days()));
    };
    if planted!("act-on-a-half-read") {
        return None;
    }
    match (row.status, row.suspect.as_deref(), row.error.as_deref()) {
        (_, Some(doubt), _) => hold(format!("the listing of {partition} is not believed: {}", clean(doubt))),
        (crate::domain::inventory::Status::Complete, None, _) => None,
        (_, None, error) => {
            hold(format!("{partition} was not read to its end: {}", clean(error.unwrap_or("nobody said why"))))
        }
    }
}

impl Remediator {
    /// The newest word of any scan that ended about the step's partition.
    pub(super) fn last_look(&self, step: &Step, now: Instant) -> Result<Option<Coverage>, StoreError> {
        let mut found = None;
        self.tools.store.scans_back((now - OLDEST, now + TimeDelta::seconds(1)), |scan| {
            found = scan.coverage.into_iter().rfind(|row| row.partition == step.key.partition);
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Whether the row's step is one of its plan, and the plan one that could be acted on when the row was claimed.
    pub(in crate::remediate) fn gate_plan(&self, row: &Remediation) -> Result<Ruling, StoreError> {
        if row.step.act.expires() {
            return Ok(Ruling::Pass);
        }
        let store = &self.tools.store;
        Ok(judge(row, store.plan(&row.plan)?.as_ref(), &store.state_id()?))
    }
}

/// The decision. Pure.
fn judge(row: &Remediation, plan: Option<&Plan>, state_id: &str) -> Ruling {
    let refuse = |why: &str| Ruling::Refuse(HoldCode::StaleScan, format!("plan {}: {why}", clean(&row.plan)));
    let Some(plan) = plan else { return refuse("it is not on file here, so nobody can tell what it said") };
    if plan.id != row.plan || plan.id != plan.derive_id() {
        return refuse("what is on file is not what was planned: its contents do not give its id");
    }
    if plan.state_id != state_id {
        return refuse("it was made from another state file");
    }
    if row.claimed_at > plan.expires_at {
        return refuse("it had expired when this act was begun");
    }
    if row.claimed_at + SLACK < plan.created_at {
        return refuse("it was made after this act was begun");
    }
    let of_finding = plan.steps.iter().find(|step| step.finding == row.step.finding);
    match of_finding {
        None => Ruling::Freeze(format!("plan {} has no step like r-{}", plan.id, row.id)),
        Some(step) if *step != row.step => {
            Ruling::Freeze(format!("plan {} wanted to {}, not what r-{} is about", plan.id, step.words(), row.id))
        }
        Some(_) => Ruling::Pass,
    }
}
