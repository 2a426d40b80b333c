//! Reading the journal: open acts, histories, and what was done to which resource when.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::error::{Fault, Inner};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::{Act, FindingId};
use crate::domain::place::{AccountId, Kind, ResourceKey};
use crate::domain::remediation::{JournalState, Remediation};

/// One transition of one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// Into which state.
    pub state: JournalState,
    /// Under which fence.
    pub fence: i64,
    /// In words.
    pub message: String,
}

impl Store {
    /// Acts that are under way, oldest first: what a restart goes on from.
    pub fn open_remediations(&self) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the open acts"), |connection| {
            rows(connection, "WHERE ended = 0 ORDER BY id", params![])
        })
    }

    /// Stuck acts that no person has settled, oldest first.
    pub fn stuck_remediations(&self) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the stuck acts"), |connection| {
            // The word stands in the text: by it SQLite knows that the small index of open acts is enough.
            rows(connection, "WHERE state = 'stuck' AND settled_at IS NULL ORDER BY id", params![])
        })
    }

    /// One act.
    pub fn remediation(&self, id: i64) -> Result<Option<Remediation>> {
        self.read(format_args!("reading r-{id}"), |connection| load(connection, id))
    }

    /// Acts whose last transition has `from <= at < to`, in the order in which they were claimed.
    pub fn remediations_between(&self, from: Instant, to: Instant) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the acts from {from} to {to}"), |connection| {
            let span = params![row::micros(from), row::micros(to)];
            rows(connection, "WHERE updated_at >= ?1 AND updated_at < ?2 ORDER BY id", span)
        })
    }

    /// Acts for one finding, oldest first.
    pub fn remediations_of_finding(&self, finding: &FindingId) -> Result<Vec<Remediation>> {
        self.read(format_args!("reading the acts for finding {finding}"), |connection| {
            rows(connection, "WHERE finding = ?1 ORDER BY id", params![finding.0])
        })
    }

    /// Every transition of an act, in order.
    pub fn remediation_history(&self, id: i64) -> Result<Vec<Transition>> {
        self.read(format_args!("reading the history of r-{id}"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, state, fence, message FROM remediation_history WHERE remediation = ?1 ORDER BY seq",
            )?;
            let mut rows = statement.query([id])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Transition {
                    at: row::instant(row.get(0)?)?,
                    state: row::word("act's state", &row.get::<_, String>(1)?, JournalState::from_word)?,
                    fence: row.get(2)?,
                    message: row.get(3)?,
                });
            }
            Ok(found)
        })
    }

    /// The last act on a resource that the cloud may have heard, and when: what it refused outright did nothing. Tag
    /// writes are left out: one in between must not hide a stop.
    /// An act that asks for itself names its own row, which does not count.
    pub fn last_act_on(&self, key: &ResourceKey, own: Option<i64>) -> Result<Option<(Instant, Act)>> {
        self.read(format_args!("reading the last act on {key}"), |connection| {
            let which = format!("resource = ?1 AND remediation.id <> ?2 AND {HEARD}");
            // Rows are numbered from 1.
            let found = reached(connection, &which, params![key.to_string(), own.unwrap_or(0)])?;
            Ok(found.into_iter().next_back().map(|(_, act, at)| (at, act)))
        })
    }

    /// The last act on each resource that the cloud may have heard at or after an instant; tag writes are left out.
    pub fn last_acts_since(&self, since: Instant) -> Result<HashMap<ResourceKey, (Instant, Act)>> {
        self.read(format_args!("reading the acts since {since}"), |connection| {
            let found = reached(connection, &format!("history.at >= ?1 AND {HEARD}"), params![row::micros(since)])?;
            Ok(found.into_iter().map(|(key, act, at)| (key, (at, act))).collect())
        })
    }

    /// Acts in an account that reached the call (J8) at or after an instant, in order.
    pub fn acts_since(&self, account: &AccountId, since: Instant) -> Result<Vec<(Act, Kind, Instant)>> {
        self.read(format_args!("reading the acts in account {account}"), |connection| {
            let which = "account = ?1 AND history.at >= ?2";
            let found = reached(connection, which, params![account.as_str(), row::micros(since)])?;
            Ok(found.into_iter().map(|(key, act, at)| (act, key.kind(), at)).collect())
        })
    }
}

/// No tag write, and not an act whose only call was refused outright, from whose intent the journal goes to its end
/// without an answer or a doubt.
const HEARD: &str = "act <> 'add_tags' AND (remediation.state <> 'refused' OR EXISTS (
    SELECT 1 FROM remediation_history AS later
    WHERE later.remediation = remediation.id AND later.state IN ('J9_answered', 'uncertain')))";

/// One act, inside whatever transaction runs.
pub(super) fn load(connection: &Connection, id: i64) -> Inner<Option<Remediation>> {
    Ok(rows(connection, "WHERE id = ?1", params![id])?.into_iter().next())
}

fn rows(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<Remediation>> {
    let sql = format!("SELECT doc, id, resource, act, state, ended FROM remediation {clause}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let act: Remediation = row::from_json("act", &row.get::<_, String>(0)?)?;
        let columns = (row.get::<_, i64>(1)?, row.get::<_, bool>(5)?);
        if columns != (act.id, act.state.ended()) {
            let why = format!("its row is r-{} and its document r-{}, or only one is over", columns.0, act.id);
            return Err(Fault::document("act", why));
        }
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(|error| Fault::document("act", error));
        let pairs =
            [(text(2)?, &*act.step.key.to_string()), (text(3)?, act.step.act.word()), (text(4)?, act.state.word())];
        row::agree("act", &pairs)?;
        found.push(act);
    }
    Ok(found)
}

/// Acts that reached J8, in the order of their first calls: an act of several calls is one act.
fn reached(
    connection: &Connection,
    which: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Inner<Vec<(ResourceKey, Act, Instant)>> {
    let sql = format!(
        "SELECT resource, act, history.at FROM remediation_history AS history
         JOIN remediation ON remediation.id = history.remediation
         WHERE history.seq = (SELECT MIN(first.seq) FROM remediation_history AS first
                              WHERE first.remediation = remediation.id AND first.state = 'J8_act_intent')
           AND {which} ORDER BY history.seq"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get::<_, String>(0)?.parse().map_err(|error| Fault::document("act's resource", error))?;
        let act = row::word("act", &row.get::<_, String>(1)?, Act::from_word)?;
        found.push((key, act, row::instant(row.get(2)?)?));
    }
    Ok(found)
}
