//! What the gate let through, counted by it alone: never from the planner's or the journal's rows.

use std::fmt;

use rusqlite::{Connection, params};

use super::error::Inner;
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::place::{AccountId, Kind};

/// What a pass counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateClass {
    /// Delete or terminate.
    Destructive,
    /// Stop or resize.
    Disruptive,
    /// Tags.
    Tag,
}

/// One call that the gate let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePass {
    /// The journal row.
    pub remediation: i64,
    /// The run that acts; pace counts per run.
    pub run: String,
    /// The account.
    pub account: AccountId,
    /// The kind of resource.
    pub kind: Kind,
    /// What it counts as.
    pub class: GateClass,
    /// When.
    pub at: Instant,
}

/// How many passes there were of each kind and class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateCounts(Vec<(Kind, GateClass, u64)>);

impl GateClass {
    /// The class of an act; `None` for what changes nothing in the cloud.
    pub fn of(act: Act) -> Option<GateClass> {
        match act {
            Act::DeleteVolume | Act::TerminateInstance => Some(GateClass::Destructive),
            Act::ReleaseAddress | Act::DeleteSnapshot => Some(GateClass::Destructive),
            Act::StopInstance | Act::ResizeInstance | Act::ModifyVolume => Some(GateClass::Disruptive),
            Act::AddTags => Some(GateClass::Tag),
            // What expires has a limit of its own, counted by the journal.
            Act::ExpireSnapshot | Act::ExpireImage | Act::SendNotification => None,
        }
    }

    /// The word in SQL.
    pub fn word(self) -> &'static str {
        match self {
            GateClass::Destructive => "destructive",
            GateClass::Disruptive => "disruptive",
            GateClass::Tag => "tag",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<GateClass> {
        [GateClass::Destructive, GateClass::Disruptive, GateClass::Tag].into_iter().find(|class| class.word() == word)
    }
}

impl fmt::Display for GateClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl GateCounts {
    /// Passes of one class, whatever the kind.
    pub fn of_class(&self, class: GateClass) -> u64 {
        self.0.iter().filter(|row| row.1 == class).map(|row| row.2).sum()
    }

    /// Passes of one kind that stopped, resized or removed something: what the daily share of a kind counts.
    /// Tag writes change no resource's life and have their own limit.
    pub fn changes_of_kind(&self, kind: Kind) -> u64 {
        self.0.iter().filter(|row| row.0 == kind && row.1 != GateClass::Tag).map(|row| row.2).sum()
    }

    /// Passes of one kind, of every class.
    pub fn of_kind(&self, kind: Kind) -> u64 {
        self.0.iter().filter(|row| row.0 == kind).map(|row| row.2).sum()
    }

    /// All of them: kind, class, number; by kind, then class.
    pub fn rows(&self) -> &[(Kind, GateClass, u64)] {
        &self.0
    }
}

impl Store {
    /// Notes one pass. To be committed before the call goes out.
    pub fn gate_pass(&self, pass: &GatePass) -> Result<()> {
        self.write(format_args!("counting the call of r-{} at the gate", pass.remediation), |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO gate_pass (remediation, run, account, kind, class, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    pass.remediation,
                    pass.run,
                    pass.account.as_str(),
                    pass.kind.name(),
                    pass.class.word(),
                    row::micros(pass.at)
                ])?;
            Ok(())
        })
    }

    /// What passed in one run in an account.
    pub fn gate_counts_of_run(&self, run: &str, account: &AccountId) -> Result<GateCounts> {
        self.read(format_args!("counting what passed the gate in run {run:?}"), |connection| {
            counts(connection, "run = ?1 AND account = ?2", params![run, account.as_str()])
        })
    }

    /// What passed in an account at or after an instant.
    pub fn gate_counts_since(&self, account: &AccountId, since: Instant) -> Result<GateCounts> {
        self.read(format_args!("counting what passed the gate in account {account}"), |connection| {
            counts(connection, "account = ?1 AND at >= ?2", params![account.as_str(), row::micros(since)])
        })
    }
}

fn counts(connection: &Connection, which: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<GateCounts> {
    let sql = format!("SELECT kind, class, COUNT(*) FROM gate_pass WHERE {which} GROUP BY kind, class");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = row::word("gate's kind", &row.get::<_, String>(0)?, |text| text.parse().ok())?;
        let class = row::word("gate's class", &row.get::<_, String>(1)?, GateClass::from_word)?;
        found.push((kind, class, row::uncount(row.get(2)?)));
    }
    found.sort();
    Ok(GateCounts(found))
}
