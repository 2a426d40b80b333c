//! Spend as Cost Explorer told it, when it was asked, and which budget thresholds were told.

use chrono::NaiveDate;
use rusqlite::{OptionalExtension, Transaction, params};

use super::error::{Fault, Inner};
use super::outbox::{Outgoing, enqueue};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::budget::{BudgetAlert, CostGroup, CostRow, Period};
use crate::domain::money::Usd;
use crate::domain::place::AccountId;

/// When a cost query was last answered, and for which days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostRead {
    /// When.
    pub read_at: Instant,
    /// First day.
    pub from: NaiveDate,
    /// Last day, included.
    pub to: NaiveDate,
}

impl Store {
    /// Replaces the spend of an account under one grouping (`service` or `tag:KEY`) from `from` to `to`, both days
    /// included, with what an answer says, and notes that it was read. Every row must be of that account, grouping
    /// and span.
    pub fn save_costs(
        &self,
        account: &AccountId,
        group_by: &str,
        from: NaiveDate,
        to: NaiveDate,
        rows: &[CostRow],
        now: Instant,
    ) -> Result<()> {
        self.write(format_args!("storing the spend of {account} by {group_by}"), |transaction| {
            let (kind, key) = grouping(group_by)?;
            let (first, last) = (from.to_string(), to.to_string());
            transaction
                .prepare_cached(
                    "DELETE FROM cost_day WHERE account = ?1 AND group_kind = ?2 AND group_key = ?3
                     AND day BETWEEN ?4 AND ?5",
                )?
                .execute(params![account.as_str(), kind, key, first, last])?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO cost_day (account, day, group_kind, group_key, group_value, amount, estimated)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for row in rows {
                let (own_kind, own_key, value) = columns(&row.group);
                if &row.account != account || (own_kind, own_key) != (kind, key) || row.day < from || row.day > to {
                    return Err(Fault::Refused(format!("{row:?} is not part of that answer ({first} to {last})")));
                }
                let day = row.day.to_string();
                insert.execute(params![account.as_str(), day, kind, key, value, row.amount.0, row.estimated])?;
            }
            transaction
                .prepare_cached(
                    "INSERT INTO cost_read (account, group_by, read_at, from_day, to_day) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (account, group_by) DO UPDATE SET read_at = ?3, from_day = ?4, to_day = ?5",
                )?
                .execute(params![account.as_str(), group_by, row::micros(now), first, last])?;
            Ok(())
        })
    }

    /// Spend of all accounts under one grouping (`service` or `tag:KEY`), both days included; by day, account, value.
    pub fn costs(&self, from: NaiveDate, to: NaiveDate, group_by: &str) -> Result<Vec<CostRow>> {
        self.read(format_args!("reading the spend by {group_by} from {from} to {to}"), |connection| {
            let (kind, key) = grouping(group_by)?;
            let mut statement = connection.prepare_cached(
                "SELECT account, day, group_value, amount, estimated FROM cost_day
                 WHERE group_kind = ?1 AND group_key = ?2 AND day BETWEEN ?3 AND ?4
                 ORDER BY day, account, group_value",
            )?;
            let mut rows = statement.query(params![kind, key, from.to_string(), to.to_string()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let value: String = row.get(2)?;
                let bad = |problem: String| Fault::document("spend", problem);
                found.push(CostRow {
                    account: AccountId::new(&row.get::<_, String>(0)?).map_err(|error| bad(error.to_string()))?,
                    day: day(&row.get::<_, String>(1)?)?,
                    group: match kind {
                        "service" => CostGroup::Service(value),
                        _ => CostGroup::Tag { key: key.to_owned(), value },
                    },
                    amount: Usd(row.get(3)?),
                    estimated: row.get(4)?,
                });
            }
            Ok(found)
        })
    }

    /// When a cost query was last answered; `None` if never.
    pub fn cost_read_at(&self, account: &AccountId, group_by: &str) -> Result<Option<Instant>> {
        Ok(self.cost_read(account, group_by)?.map(|read| read.read_at))
    }

    /// When a cost query was last answered and for which days; `None` if never.
    pub fn cost_read(&self, account: &AccountId, group_by: &str) -> Result<Option<CostRead>> {
        self.read(format_args!("reading when the spend of {account} was read"), |connection| {
            let found = connection
                .prepare_cached("SELECT read_at, from_day, to_day FROM cost_read WHERE account = ?1 AND group_by = ?2")?
                .query_row([account.as_str(), group_by], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
                })
                .optional()?;
            found
                .map(|(at, from, to)| Ok(CostRead { read_at: row::instant(at)?, from: day(&from)?, to: day(&to)? }))
                .transpose()
        })
    }

    /// Notes that a threshold was crossed; false when it was told in this period already.
    pub fn budget_alert_once(&self, alert: &BudgetAlert, now: Instant) -> Result<bool> {
        self.budget_alert_with(alert, &[], now)
    }

    /// The same, with the messages that tell it, in one commit: they are queued exactly when it returns true.
    pub fn budget_alert_with(&self, alert: &BudgetAlert, outgoing: &[Outgoing], now: Instant) -> Result<bool> {
        self.write(format_args!("noting that {} % of a budget are spent", alert.percent), |transaction| {
            let fresh = insert_alert(transaction, alert, now)?;
            if fresh {
                enqueue(transaction, outgoing, now)?;
            }
            Ok(fresh)
        })
    }

    /// Thresholds that were crossed with `from <= at < to`, oldest first.
    pub fn budget_alerts_between(&self, from: Instant, to: Instant) -> Result<Vec<(Instant, BudgetAlert)>> {
        self.read(format_args!("reading the budget alerts from {from} to {to}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, doc FROM budget_alert WHERE at >= ?1 AND at < ?2 ORDER BY at, policy, rule, percent",
            )?;
            let mut rows = statement.query(params![row::micros(from), row::micros(to)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((row::instant(row.get(0)?)?, row::from_json("budget alert", &row.get::<_, String>(1)?)?));
            }
            Ok(found)
        })
    }
}

fn insert_alert(transaction: &Transaction<'_>, alert: &BudgetAlert, now: Instant) -> Inner<bool> {
    let period = match alert.period {
        Period::Month(first) => format!("month:{first}"),
        Period::Quarter(first) => format!("quarter:{first}"),
    };
    let doc = row::to_json("budget alert", alert)?;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO budget_alert (policy, rule, period, percent, at, doc)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (policy, rule, period, percent) DO NOTHING",
        )?
        .execute(params![alert.policy, alert.rule, period, alert.percent, row::micros(now), doc])?;
    Ok(inserted == 1)
}

/// The columns of a grouping such as `service` or `tag:cost-center`.
fn grouping(group_by: &str) -> Inner<(&'static str, &str)> {
    match group_by.strip_prefix("tag:") {
        _ if group_by == "service" => Ok(("service", "")),
        Some(key) if !key.is_empty() => Ok(("tag", key)),
        _ => Err(Fault::Refused(format!("{group_by:?} is no grouping of costs; accepted: service, tag:KEY"))),
    }
}

fn columns(group: &CostGroup) -> (&'static str, &str, &str) {
    match group {
        CostGroup::Service(service) => ("service", "", service),
        CostGroup::Tag { key, value } => ("tag", key, value),
    }
}

fn day(text: &str) -> Inner<NaiveDate> {
    text.parse().map_err(|error| Fault::document("day", error))
}
