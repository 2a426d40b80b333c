//! The state: one SQLite file, and the only user of rusqlite.
//!
//! [`Store`] is one connection behind a mutex, shared as `Arc<Store>`; every method is synchronous. One file here per
//! aggregate, each with its own `impl Store`. Every write is one durable transaction (WAL, `synchronous=FULL`) that
//! either happened whole or not at all, and takes the write lock first, so that what it checked still holds when it
//! commits. What is in doubt is refused: an old SQLite, a newer schema, a file that is damaged or not ours.
//!
//! It leaves out every decision: it holds what `engine`, `remediate` and `worker` decided, and guards only what a
//! database can guard (one open act per resource, fences, once per slot and period, append-only trails).

mod act_approvals;
mod acts;
mod anchor;
mod approvals;
mod audit;
mod audit_check;
mod control;
mod costs;
mod drills;
mod error;
mod exceptions;
mod findings;
pub mod fuzz;
mod gate;
mod journal;
mod leases;
mod lock;
mod nights;
mod notices;
mod open;
mod outbox;
mod plans;
mod policies;
mod put_back;
mod requests;
mod row;
mod scans;
mod slots;
#[cfg(debug_assertions)]
mod trouble;
mod typed;
mod undos;
mod violations;

pub use crate::domain::audit::{AuditHead, NotedHead};
pub use act_approvals::AskAct;
pub use acts::Transition;
pub use anchor::ANCHOR_NAME;
pub use audit::{AuditEntry, AuditRow};
pub use audit_check::{AuditCheck, VerifyError};
pub use costs::CostRead;
pub use error::{Fault, Result, StoreError};
pub use exceptions::ExceptionStep;
pub use findings::{DueRow, FindingFilter};
pub use gate::{GateClass, GateCounts, GatePass};
pub use journal::ClaimError;
pub use leases::{ACTING_LEASE, Lease};
pub use lock::FileLock;
pub use notices::NoticeRow;
pub use outbox::{OutboxCounts, OutboxRow, Outgoing};
pub use policies::PolicyStep;
pub use put_back::Accepted;
pub use scans::PartitionNight;
pub use slots::{Slot, SlotState};
#[cfg(debug_assertions)]
pub use trouble::{Trouble, Watch};
pub use typed::Decision;
pub use undos::UndoClaimError;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::domain::Instant;
use error::Inner;

/// The state file's name in the state folder.
pub const FILE_NAME: &str = "costwarden.db";

/// The key of `meta` under which the highest instant is kept that was believed, as microseconds since 1970.
const CLOCK_MARK: &str = "clock_mark";

/// The key of `meta` under which the daemon keeps the last instant that it has handled, as microseconds since 1970.
pub const DAEMON_SEEN: &str = "daemon_seen";

/// The state of one installation.
pub struct Store {
    connection: Mutex<Connection>,
    path: Option<PathBuf>,
    /// The anchor as this connection wrote it last.
    anchored: Mutex<Option<anchor::Anchor>>,
    /// Who types what this connection writes; nobody in the worker.
    typist: OnceLock<typed::Typist>,
    #[cfg(debug_assertions)]
    trouble: trouble::Slot,
}

impl Store {
    fn on(connection: Connection, path: Option<PathBuf>) -> Store {
        Store {
            connection: Mutex::new(connection),
            path,
            anchored: Mutex::new(None),
            typist: OnceLock::new(),
            #[cfg(debug_assertions)]
            trouble: Default::default(),
        }
    }

    /// Where the file is; `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The id of this state file, made once when it was created. Plans are bound to it.
    pub fn state_id(&self) -> Result<String> {
        self.read(format_args!("reading the state's id"), |connection| {
            meta(connection, "state_id")?.ok_or_else(|| Fault::Refused("it has no state id".into()))
        })
    }

    /// One fact about this state file.
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        self.read(format_args!("reading {key:?} of the state"), |connection| meta(connection, key))
    }

    /// Sets one fact about this state file.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.write(format_args!("writing {key:?} of the state"), |transaction| set_meta(transaction, key, value))
    }

    /// The latest wall-clock instant that any run has seen, in whole microseconds.
    pub fn clock_mark(&self) -> Result<Option<Instant>> {
        self.read(format_args!("reading the clock's mark"), clock_mark)
    }

    /// Raises the clock's mark to `now`; never lowers it. Returns the mark that holds afterwards.
    pub fn raise_clock_mark(&self, now: Instant) -> Result<Instant> {
        self.write(format_args!("raising the clock's mark"), |transaction| match clock_mark(transaction)? {
            Some(mark) if mark >= now => Ok(mark),
            _ => {
                set_meta(transaction, CLOCK_MARK, &row::micros(now).to_string())?;
                Ok(now)
            }
        })
    }

    /// Runs a read. `doing` is what an error says that we were doing.
    fn read<T>(&self, doing: fmt::Arguments<'_>, work: impl FnOnce(&Connection) -> Inner<T>) -> Result<T> {
        #[cfg(debug_assertions)]
        self.trouble.reading().map_err(|fault| self.error(doing, fault))?;
        work(&self.lock()).map_err(|fault| self.error(doing, fault))
    }

    /// Runs a write as one transaction that holds the write lock from its start, and raises the anchor after it. Where
    /// only that fails the write stands, and the error stops whoever would go on to a call.
    fn write<T>(&self, doing: fmt::Arguments<'_>, work: impl FnOnce(&Transaction<'_>) -> Inner<T>) -> Result<T> {
        #[cfg(debug_assertions)]
        let (work, after) = self.trouble.writing(work);
        let done = in_transaction(&mut self.lock(), |transaction| {
            open::check_version_kept(transaction)?;
            work(transaction)
        });
        #[cfg(debug_assertions)]
        let done = done.and_then(|value| after.map_or(Ok(value), Err));
        let done = done.and_then(|value| self.raise_anchor().map(|()| value));
        done.map_err(|fault| self.error(doing, fault))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back, so the connection is as good as before.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, doing: fmt::Arguments<'_>, fault: Fault) -> StoreError {
        StoreError::new(doing.to_string(), self.path.clone(), fault)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

fn in_transaction<T>(connection: &mut Connection, work: impl FnOnce(&Transaction<'_>) -> Inner<T>) -> Inner<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn meta(connection: &Connection, key: &str) -> Inner<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

fn set_meta(connection: &Connection, key: &str, value: &str) -> Inner<()> {
    connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute([key, value])?;
    Ok(())
}

fn clock_mark(connection: &Connection) -> Inner<Option<Instant>> {
    let Some(text) = meta(connection, CLOCK_MARK)? else { return Ok(None) };
    let micros = text.parse().map_err(|_| Fault::Refused(format!("the clock's mark {text:?} is not a number")))?;
    row::instant(micros).map(Some)
}

#[cfg(test)]
mod tests;
