//! What people decide about acting at all: which accounts are armed, and whether everything is frozen.
//!
//! Who did it and when is told by the audit trail too; callers append that row.

use rusqlite::{Connection, Row, params};

use super::error::Inner;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::mode::{Arming, Freeze};
use crate::domain::place::AccountId;

impl Store {
    /// Arms an account, in place of what held before.
    pub fn arm(&self, arming: &Arming) -> Result<()> {
        self.write(format_args!("arming account {}", arming.account), |transaction| {
            let policies = row::to_json("arming", &arming.policies)?;
            transaction
                .prepare_cached(
                    "INSERT INTO arming (account, by_whom, at, until, policies) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (account) DO UPDATE SET by_whom = ?2, at = ?3, until = ?4, policies = ?5",
                )?
                .execute(params![
                    arming.account.as_str(),
                    arming.by,
                    row::micros(arming.at),
                    row::micros(arming.until),
                    policies
                ])?;
            Ok(())
        })
    }

    /// Ends an account's arming: its last instant is right before `now`. False when none was in force.
    pub fn disarm(&self, account: &AccountId, now: Instant) -> Result<bool> {
        self.write(format_args!("disarming account {account}"), |transaction| {
            let now = row::micros(now);
            let changed = transaction
                .prepare_cached("UPDATE arming SET until = ?2 - 1 WHERE account = ?1 AND until >= ?2")?
                .execute(params![account.as_str(), now])?;
            Ok(changed == 1)
        })
    }

    /// An account's arming, also when its last instant is past: the caller compares `until`.
    pub fn arming(&self, account: &AccountId) -> Result<Option<Arming>> {
        Ok(self.armings()?.into_iter().find(|arming| &arming.account == account))
    }

    /// All armings, past ones included, by account.
    pub fn armings(&self) -> Result<Vec<Arming>> {
        self.read(format_args!("reading which accounts are armed"), |connection| {
            let mut statement = connection
                .prepare_cached("SELECT account, by_whom, at, until, policies FROM arming ORDER BY account")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(arming(row)?);
            }
            Ok(found)
        })
    }

    /// Freezes. While a freeze holds, a further one is kept beside it, so that no reason is lost.
    pub fn freeze(&self, freeze: &Freeze) -> Result<()> {
        self.write(format_args!("freezing"), |transaction| {
            transaction
                .prepare_cached("INSERT INTO freeze (at, by_whom, reason) VALUES (?1, ?2, ?3)")?
                .execute(params![row::micros(freeze.at), freeze.by, freeze.reason])?;
            Ok(())
        })
    }

    /// Lifts every freeze that holds; false when none did.
    pub fn unfreeze(&self, by: &str, now: Instant) -> Result<bool> {
        self.write(format_args!("lifting the freeze"), |transaction| {
            let lifted = transaction
                .prepare_cached("UPDATE freeze SET lifted_at = ?1, lifted_by = ?2 WHERE lifted_at IS NULL")?
                .execute(params![row::micros(now), by])?;
            Ok(lifted > 0)
        })
    }

    /// The freeze that holds, if any: the first of those that were not lifted.
    pub fn frozen(&self) -> Result<Option<Freeze>> {
        Ok(self.freezes()?.into_iter().next())
    }

    /// Every freeze that holds, in the order in which they came.
    pub fn freezes(&self) -> Result<Vec<Freeze>> {
        self.read(format_args!("reading whether all is frozen"), freezes)
    }
}

fn freezes(connection: &Connection) -> Inner<Vec<Freeze>> {
    let mut statement =
        connection.prepare_cached("SELECT at, by_whom, reason FROM freeze WHERE lifted_at IS NULL ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Freeze { at: row::instant(row.get(0)?)?, by: row.get(1)?, reason: row.get(2)? });
    }
    Ok(found)
}

fn arming(row: &Row<'_>) -> Inner<Arming> {
    let account: String = row.get(0)?;
    Ok(Arming {
        account: AccountId::new(&account).map_err(|error| super::Fault::document("arming", error))?,
        by: row.get(1)?,
        at: row::instant(row.get(2)?)?,
        until: row::instant(row.get(3)?)?,
        policies: row::from_json("arming", &row.get::<_, String>(4)?)?,
    })
}
