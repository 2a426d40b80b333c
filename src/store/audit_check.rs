//! Follows the audit trail from its first row to its last and names the first that does not hold.
//!
//! Called by `audit verify` and before acts. It reads columns as they lie in the file and trusts none of them: what an
//! edit left is a broken row with its place, never an error of the program. It holds one row in memory at a time.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::{GENESIS, Texts, link};
use super::error::Inner;
use super::{Result, Store, StoreError, row};
use crate::domain::audit::{AuditHead, NotedHead};

/// The triggers that refuse changes.
const GUARDS: [&str; 3] = ["audit_no_delete", "audit_no_update", "audit_only_at_the_end"];

/// A trail that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCheck {
    /// How many rows it has.
    pub rows: u64,
    /// Its end; `None` while it is empty.
    pub head: Option<AuditHead>,
}

/// Why the trail does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A row does not follow from the ones before it, or is gone.
    #[error("the audit trail is broken at row {seq}: {problem}")]
    Broken {
        /// The first row that does not hold.
        seq: i64,
        /// In words.
        problem: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Follows the whole chain. With a head that was noted before, the row at its place must still have that hash,
    /// so a trail that was cut or written anew since is found; a head without its row must be some row's hash.
    ///
    /// # Errors
    /// [`VerifyError::Broken`] with the first row that does not hold.
    pub fn audit_check(&self, noted: Option<&NotedHead>) -> std::result::Result<AuditCheck, VerifyError> {
        let walked = self.read(format_args!("verifying the audit trail"), |connection| walk(connection, noted))?;
        walked.map_err(|(seq, problem)| VerifyError::Broken { seq, problem })
    }

    /// The length of a trail that holds; see [`Store::audit_check`].
    ///
    /// # Errors
    /// As [`Store::audit_check`].
    pub fn audit_verify(&self, noted: Option<&AuditHead>) -> std::result::Result<u64, VerifyError> {
        let noted = noted.cloned().map(NotedHead::from);
        Ok(self.audit_check(noted.as_ref())?.rows)
    }

    /// Triggers that should refuse changes of the trail and are not there: somebody dropped them, because this
    /// program never does.
    pub fn audit_guards_missing(&self) -> Result<Vec<&'static str>> {
        self.read(format_args!("looking for the audit trail's guards"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit' AND name = ?1",
            )?;
            let mut missing = Vec::new();
            for guard in GUARDS {
                if !statement.exists([guard])? {
                    missing.push(guard);
                }
            }
            Ok(missing)
        })
    }
}

type Problem = (i64, String);

fn walk(connection: &Connection, noted: Option<&NotedHead>) -> Inner<std::result::Result<AuditCheck, Problem>> {
    // One snapshot for all statements: a row that is appended meanwhile must not look like a cut.
    let transaction = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let mut last = AuditHead { seq: 0, hash: GENESIS.to_owned() };
    let mut met = false;
    let mut statement = connection
        .prepare_cached("SELECT seq, at, actor, what, subject, detail, previous, hash FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        last = match follow(&last, row)? {
            Ok(head) => head,
            Err(problem) => return Ok(Err(problem)),
        };
        if let Some(noted) = noted {
            if noted.seq == Some(last.seq) && noted.hash != last.hash {
                let problem = "its hash is not the one that was noted before: the trail was written anew";
                return Ok(Err((last.seq, problem.into())));
            }
            met |= noted.hash == last.hash;
        }
    }
    let end = last.seq;
    let expected = issued(connection)?.max(noted.and_then(|noted| noted.seq).unwrap_or(0));
    drop(transaction);
    if expected > end {
        let problem = format!("it is missing; there were {expected} rows, now the trail ends at {end}");
        return Ok(Err((end + 1, problem)));
    }
    if noted.is_some() && !met {
        let problem = "no row has the hash that was noted before: the trail was cut off or written anew";
        return Ok(Err((end + 1, problem.into())));
    }
    Ok(Ok(AuditCheck { rows: row::uncount(end), head: (end > 0).then_some(last) }))
}

/// The head after this row, or what is wrong with it.
fn follow(last: &AuditHead, row: &Row<'_>) -> Inner<std::result::Result<AuditHead, Problem>> {
    let seq: i64 = row.get(0)?;
    if seq != last.seq + 1 {
        let problem = format!("it is missing; row {seq} follows row {}", last.seq);
        return Ok(Err((last.seq + 1, problem)));
    }
    let broken = |problem: &str| Ok(Err((seq, problem.to_owned())));
    let ValueRef::Integer(at) = row.get_ref(1)? else { return broken("its time is no number") };
    let (Some(actor), Some(what), Some(subject), Some(detail), Some(previous), Some(hash)) =
        (text(row, 2)?, text(row, 3)?, text(row, 4)?, text(row, 5)?, text(row, 6)?, text(row, 7)?)
    else {
        return broken("one of its columns is no text");
    };
    if previous != last.hash {
        return broken("it does not follow the row before it");
    }
    if hash != link(&last.hash, seq, at, Texts { actor, what, subject, detail }) {
        return broken("its contents were changed");
    }
    Ok(Ok(AuditHead { seq, hash: hash.to_owned() }))
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Inner<Option<&'row str>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    })
}

/// The highest place that SQLite ever gave out here, which outlives the rows.
fn issued(connection: &Connection) -> Inner<i64> {
    let seq: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(seq.unwrap_or(0))
}
