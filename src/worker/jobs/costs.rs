//! Spend: asks Cost Explorer once a day per account and grouping, and tells crossed budget thresholds once a period.
//!
//! Off by default, because each request costs 0.01 dollars; never more requests a day than the settings allow. A
//! failed read leaves yesterday's figures and says so; nothing is taken for zero.

use anyhow::Context as _;
use chrono::TimeDelta;

use crate::cloud::{CostGroupBy, CostQuery};
use crate::deliver::budget;
use crate::deliver::outbox::outgoing;
use crate::domain::Instant;
use crate::domain::budget::{BudgetAlert, BudgetRule, CostRow};
use crate::domain::place::AccountId;
use crate::engine::budgets::{self, Read};
use crate::settings::Settings;
use crate::store::Store;
use crate::worker::context::Context;

/// Days back that are asked for, at least: Cost Explorer revises the last few, and a month needs its first.
const DAYS_BACK: i64 = 35;
/// Cost Explorer's name among the request counts.
const SERVICE: &str = "ce";

/// What was read and told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CostOutcome {
    /// Groupings read now.
    pub read: u32,
    /// What could not be read, in words.
    pub problems: Vec<String>,
    /// Thresholds told now.
    pub alerts: Vec<BudgetAlert>,
}

/// Reads what is not yet read today and tells what is crossed.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn costs(cx: &Context) -> anyhow::Result<CostOutcome> {
    let mut outcome = CostOutcome::default();
    if !cx.settings.costs.enabled {
        return Ok(outcome);
    }
    let now = cx.clock.now();
    for account in &cx.settings.accounts {
        for group_by in groupings(cx) {
            read_once(cx, &account.id, &group_by, now, &mut outcome).await?;
        }
    }
    tell(cx, now, &mut outcome)?;
    Ok(outcome)
}

/// The spend rows that budgets look at: everything of the current quarter and month.
///
/// # Errors
/// When the state cannot be read.
pub fn rows(cx: &Context, now: Instant) -> anyhow::Result<Vec<CostRow>> {
    let (from, to) = (budgets::first_of_quarter(now.date_naive()), now.date_naive());
    let mut rows = Vec::new();
    for group_by in groupings(cx) {
        rows.extend(cx.store.costs(from, to, &name(&group_by)).context("reading the spend on file")?);
    }
    Ok(rows)
}

/// The name of the grouping that a budget's spend is read by.
pub fn grouping(budget: &BudgetRule) -> String {
    name(&budget.tag.as_ref().map_or(CostGroupBy::Service, |(key, _)| CostGroupBy::Tag(key.clone())))
}

/// How far a grouping was read for all accounts: the earliest of their last reads.
///
/// # Errors
/// When the state cannot be read.
pub fn last_read(store: &Store, settings: &Settings, grouping: &str) -> anyhow::Result<Read> {
    let mut read = Read::Never("no account is listed in the settings".to_owned());
    for account in &settings.accounts {
        read = match (store.cost_read(&account.id, grouping)?, read) {
            (None, _) => {
                return Ok(Read::Never(format!("the spend of account {} was never read by {grouping}", account.id)));
            }
            (Some(found), Read::Through(day)) => Read::Through(day.min(found.to)),
            (Some(found), Read::Never(_)) => Read::Through(found.to),
        };
    }
    Ok(read)
}

fn groupings(cx: &Context) -> Vec<CostGroupBy> {
    let mut tags: Vec<&str> = cx.settings.costs.tags.iter().map(String::as_str).collect();
    tags.extend(cx.rules.budgets.iter().filter_map(|(_, _, rule)| rule.tag.as_ref().map(|(key, _)| key.as_str())));
    tags.sort_unstable();
    tags.dedup();
    std::iter::once(CostGroupBy::Service).chain(tags.into_iter().map(|tag| CostGroupBy::Tag(tag.to_owned()))).collect()
}

fn name(group_by: &CostGroupBy) -> String {
    match group_by {
        CostGroupBy::Service => "service".to_owned(),
        CostGroupBy::Tag(key) => format!("tag:{key}"),
    }
}

async fn read_once(
    cx: &Context,
    account: &AccountId,
    group_by: &CostGroupBy,
    now: Instant,
    outcome: &mut CostOutcome,
) -> anyhow::Result<()> {
    let today = now.date_naive();
    let name = name(group_by);
    let last = cx.store.cost_read_at(account, &name).context("reading when the spend was read")?;
    if last.is_some_and(|at| at.date_naive() == today) {
        return Ok(());
    }
    if cx.store.requests_on(today, SERVICE)? >= u64::from(cx.settings.costs.requests_per_day) {
        let most = cx.settings.costs.requests_per_day;
        outcome.problems.push(format!("spend of {account} by {name} not read: {most} requests a day are used up"));
        return Ok(());
    }
    let from = budgets::first_of_quarter(today).min(today - TimeDelta::days(DAYS_BACK));
    let query = CostQuery { from, to: today + TimeDelta::days(1), group_by: group_by.clone() };
    let before = cx.cloud.requests();
    let answer = cx.cloud.costs(account, &query).await;
    // Counted whether it worked or not: a failed request is billed as well.
    let used: Vec<_> = super::scan::difference(&before, cx.cloud.requests())
        .into_iter()
        .filter(|count| count.service == SERVICE)
        .collect();
    cx.store.add_requests(today, &used).context("storing the request counts")?;
    match answer {
        Ok(rows) => {
            cx.store.save_costs(account, &name, from, today, &rows, now).context("storing the spend")?;
            outcome.read += 1;
        }
        Err(error) => outcome.problems.push(format!("spend of {account} by {name} not read: {error}")),
    }
    Ok(())
}

fn tell(cx: &Context, now: Instant, outcome: &mut CostOutcome) -> anyhow::Result<()> {
    let rows = rows(cx, now)?;
    for (policy, rule, budget) in &cx.rules.budgets {
        if budgets::unread(budget, &rows, now.date_naive()) {
            outcome.problems.push(format!("budget {policy} / {rule}: no spend on file for {}", selector(budget)));
        }
        let today = now.date_naive();
        let read = last_read(&cx.store, &cx.settings, &grouping(budget))?;
        let standing = budgets::standing(budget, &rows, &read, today);
        for alert in budgets::reached(policy, rule, budget, &rows, today) {
            let forecast = budgets::forecast(&standing, alert.period, today);
            let messages: Vec<_> = budget::messages(&with_channels(cx, &alert), forecast)?
                .iter()
                .map(|message| outgoing(message, Vec::new()))
                .collect::<anyhow::Result<_>>()?;
            if cx.store.budget_alert_with(&alert, &messages, now).context("storing a budget alert")? {
                outcome.alerts.push(alert);
            }
        }
    }
    Ok(())
}

fn selector(rule: &BudgetRule) -> String {
    match (&rule.tag, &rule.service) {
        (Some((key, value)), _) => format!("tag {key} = {value}; is {key} activated as a cost-allocation tag?"),
        (None, Some(service)) => format!("service {service}"),
        (None, None) => "all services".to_owned(),
    }
}

/// The threshold's own channels, or the report's recipients where it names none.
fn with_channels(cx: &Context, alert: &BudgetAlert) -> BudgetAlert {
    let mut alert = alert.clone();
    if alert.channels.is_empty() {
        alert.channels = cx.settings.reports.to.iter().map(|to| format!("email:{to}")).collect();
    }
    alert
}
