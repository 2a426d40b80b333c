//! The breaker: a policy that became due on too much at once is held whole until a person armed again.

use std::collections::{BTreeSet, HashMap};

use super::people;
use super::{PlanInput, held, in_time, worth_acting};
use crate::domain::Instant;
use crate::domain::finding::{Act, Finding};
use crate::domain::mode::{Arming, Mode, WAY_ON};
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind};
use crate::domain::plan::{Held, HoldCode};

/// Holds a policy whole that became due on too much at once, in the accounts where it may act. What was due when the
/// account was armed has been shown to a person and does not count.
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
    let newly_due = |finding: &Finding| match (seen(input, finding.key.account()), finding.clock.due_at) {
        (Seen::Nowhere, _) => false,
        (Seen::Until(at), Some(due)) => due > at || planted!("breaker-counts-what-was-shown"),
        (Seen::Until(_) | Seen::Never, _) => true,
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
    let counted = |account: &AccountId| seen(input, account) != Seen::Nowhere;
    let tripped: HashMap<(&str, Kind), String> = loads
        .into_iter()
        .filter_map(|((policy, kind), load)| {
            let of_kind = input.totals.iter().filter(|((account, own), _)| *own == kind && counted(account));
            let total: u64 = of_kind.map(|(_, count)| count).sum();
            let most = input.breaker.passes(total);
            if load.count > most && !planted!("no-breaker") {
                let reason = format!(
                    "breaker: policy {policy} became due on {} of {total} {}s at once, {most} pass; {WAY_ON}",
                    load.count,
                    kind.noun()
                );
                return Some(((policy, kind), reason));
            }
            if let Some(limit) = input.breaker.usd
                && (load.monthly > limit || load.unpriced > 0)
            {
                let reason = format!(
                    "breaker: policy {policy} became due on {} a month and {} without a price, {limit} pass; {WAY_ON}",
                    load.monthly, load.unpriced
                );
                return Some(((policy, kind), reason));
            }
            // What nobody owns may be anybody's: each counts as an owner of its own.
            let owners = load.owners.len() as u64 + load.unowned;
            let limit = input.breaker.owners.filter(|limit| owners > u64::from(*limit))?;
            let reason = format!(
                "breaker: policy {policy} became due on {}s of {owners} owners at once, {limit} pass; {WAY_ON}",
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

/// Until when a person has seen what is due in an account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing can happen there: it is not in the settings, or the worker acts and nobody armed it.
    Nowhere,
    /// Nobody armed it, and people apply plans by hand.
    Never,
    /// It was armed then.
    Until(Instant),
}

fn seen(input: &PlanInput<'_>, account: &AccountId) -> Seen {
    let in_force = |arming: &&Arming| arming.until >= input.now || planted!("breaker-counts-the-disarmed");
    let arming = input.armings.iter().find(|arming| arming.account == *account).filter(in_force);
    match arming {
        _ if !input.accounts.contains(account) => Seen::Nowhere,
        Some(arming) => Seen::Until(arming.at),
        None if input.mode == Mode::Enforce => Seen::Nowhere,
        None => Seen::Never,
    }
}
