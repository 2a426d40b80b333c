//! The breaker: a policy that became due on too much at once is held whole until a person armed again.

use std::collections::{BTreeSet, HashMap};

use super::people;
use super::{PlanInput, held, in_time, worth_acting};
use crate::domain::finding::{Act, Finding};
use crate::domain::mode::{Breaker, Mode};
use crate::domain::money::Usd;
use crate::domain::place::Kind;
use crate::domain::plan::{Held, HoldCode};

/// Holds a policy whole that became due on too much at once. What was due when the account was armed has been shown
/// to a person and does not count.
pub(super) fn break_circuit<'a>(
    input: &PlanInput<'_>,
    candidates: Vec<(&'a Finding, Act)>,
    held_rows: &mut Vec<Held>,
) -> Vec<(&'a Finding, Act)> {
    #[derive(Default)]
    struct Load<'a> {
        count: u64,
        monthly: Usd,
        unpriced: u64,
        owners: BTreeSet<&'a str>,
        unowned: u64,
    }
    let newly_due = |finding: &Finding| {
        let armed_at = (input.mode == Mode::Enforce)
            .then(|| input.armings.iter().find(|arming| &arming.account == finding.key.account()))
            .flatten()
            .map(|arming| arming.at);
        match (armed_at, finding.clock.due_at) {
            (Some(at), Some(due)) => due > at,
            _ => true,
        }
    };
    let mut loads: HashMap<(&str, Kind), Load<'_>> = HashMap::new();
    // What is held for another reason counts too: neither a read that failed nor an act that is under way may bring a
    // policy under its limit.
    let due = |finding: &&Finding| {
        let held =
            people::exempt(input, finding).and_then(|()| worth_acting(finding)).and_then(|_| in_time(input, finding));
        held.is_ok() && newly_due(finding)
    };
    for finding in input.findings.iter().filter(due) {
        let load = loads.entry((finding.policy.as_str(), finding.key.kind())).or_default();
        load.count += 1;
        match finding.savings.monthly {
            Some(amount) => load.monthly = load.monthly + amount,
            None => load.unpriced += 1,
        }
        match &finding.owner {
            Some(owner) => _ = load.owners.insert(owner),
            None => load.unowned += 1,
        }
    }
    let way_on = Breaker::way_on(input.mode);
    let tripped: HashMap<(&str, Kind), String> = loads
        .into_iter()
        .filter_map(|((policy, kind), load)| {
            let total: u64 = input.totals.iter().filter(|((_, own), _)| *own == kind).map(|(_, count)| count).sum();
            let most = input.breaker.passes(total);
            if load.count > most && !planted!("no-breaker") {
                let reason = format!(
                    "breaker: policy {policy} became due on {} of {total} {}s at once, {most} pass; {way_on}",
                    load.count,
                    kind.noun()
                );
                return Some(((policy, kind), reason));
            }
            if let Some(limit) = input.breaker.usd
                && (load.monthly > limit || load.unpriced > 0)
            {
                let reason = format!(
                    "breaker: policy {policy} became due on {} a month and {} without a price, {limit} pass; {way_on}",
                    load.monthly, load.unpriced
                );
                return Some(((policy, kind), reason));
            }
            // What nobody owns may be anybody's: each counts as an owner of its own.
            let owners = load.owners.len() as u64 + load.unowned;
            let limit = input.breaker.owners.filter(|limit| owners > u64::from(*limit))?;
            let reason = format!(
                "breaker: policy {policy} became due on {}s of {owners} owners at once, {limit} pass; {way_on}",
                kind.noun()
            );
            Some(((policy, kind), reason))
        })
        .collect();
    candidates
        .into_iter()
        .filter(|(finding, _)| match tripped.get(&(finding.policy.as_str(), finding.key.kind())) {
            Some(reason) => {
                held_rows.push(held(finding, HoldCode::Breaker, reason.clone()));
                false
            }
            None => true,
        })
        .collect()
}
