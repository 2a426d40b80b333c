//! What is on file about spend, for budgets at the decision point.
//!
//! No settings, no state, or `costs.enabled = false` is no source at all. A source that was not read for one of the
//! accounts, is older than three days, or sees no value of a budget's tag leaves that budget unknown, with the reason.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::cli::open;
use crate::domain::Instant;
use crate::domain::budget::{BudgetRule, Spending};
use crate::engine::budgets;
use crate::policy::{Logic, Policy};
use crate::settings::Settings;
use crate::worker::jobs::costs::{grouping, last_read};

/// The standing of every budget of the policies.
///
/// # Errors
/// A state that is there and cannot be read.
pub fn spending(settings: Option<&Settings>, policies: &[Policy], now: Instant) -> Result<Spending> {
    let none = |reason: &str| Ok(Spending::NoSource(reason.to_owned()));
    let Some(settings) = settings else { return none("no settings are read with --policies alone") };
    if !settings.costs.enabled {
        return none("costs.enabled is false in the settings");
    }
    if open::existing(&settings.state_dir).is_err() {
        return none("there is no state with the spend in it");
    }
    let store = open::read_store(settings)?;
    let today = now.date_naive();
    let (mut rows, mut reads, mut standings) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (policy, rule, budget) in of(policies) {
        let grouping = grouping(budget);
        if !reads.contains_key(&grouping) {
            rows.extend(
                store.costs(budgets::first_of_quarter(today), today, &grouping).context("reading the spend on file")?,
            );
            reads.insert(grouping.clone(), last_read(&store, settings, &grouping)?);
        }
        standings
            .insert((policy.to_owned(), rule.to_owned()), budgets::standing(budget, &rows, &reads[&grouping], today));
    }
    Ok(Spending::Read { today, budgets: standings })
}

fn of(policies: &[Policy]) -> impl Iterator<Item = (&str, &str, &BudgetRule)> {
    policies.iter().flat_map(|policy| {
        policy.rules.iter().filter_map(|rule| match &rule.logic {
            Logic::Budget(budget) => Some((policy.name.as_str(), rule.name.as_str(), budget)),
            _ => None,
        })
    })
}
