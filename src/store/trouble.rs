//! A failing disk, for the safety campaign; debug builds alone have it.
//!
//! A watch that is set on a store is asked before each read and each write and may let it fail as SQLite would. It is
//! no part of a release build, and nothing in the program sets one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Transaction, ffi};

use super::Store;
use super::error::{Fault, Inner};

/// How an access fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// `SQLITE_FULL` at the end of the transaction, which is rolled back.
    Full,
    /// `SQLITE_IOERR` at the end of the transaction, which is rolled back.
    IoError,
    /// `SQLITE_IOERR` although the transaction is committed: the caller cannot know.
    Ambiguous,
    /// `SQLITE_BUSY` before anything is done.
    Busy,
    /// The process is dead: nothing is read or written any more.
    Dead,
}

/// Is asked before each access, true for a write.
pub type Watch = dyn Fn(bool) -> Option<Trouble> + Send + Sync;

/// Where a store keeps its watch.
#[derive(Default)]
pub(super) struct Slot(Mutex<Option<Arc<Watch>>>);

impl Store {
    /// Sets or removes the watch.
    pub fn watch(&self, watch: Option<Arc<Watch>>) {
        *self.trouble.0.lock().unwrap_or_else(PoisonError::into_inner) = watch;
    }
}

impl Slot {
    fn ask(&self, write: bool) -> Option<Trouble> {
        let watch = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        watch.and_then(|watch| watch(write))
    }

    /// What a read meets; only a dead process and a locked file keep it from being answered.
    pub(super) fn reading(&self) -> Inner<()> {
        match self.ask(false) {
            Some(trouble @ (Trouble::Dead | Trouble::Busy)) => Err(trouble.fault()),
            _ => Ok(()),
        }
    }

    /// The work of a write with what it meets, and what its caller is told after its commit.
    pub(super) fn writing<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Inner<T>,
    ) -> (impl FnOnce(&Transaction<'_>) -> Inner<T>, Option<Fault>) {
        let trouble = self.ask(true);
        let after = (trouble == Some(Trouble::Ambiguous)).then(|| Trouble::Ambiguous.fault());
        let work = move |transaction: &Transaction<'_>| match trouble {
            Some(trouble @ (Trouble::Dead | Trouble::Busy)) => Err(trouble.fault()),
            Some(trouble @ (Trouble::Full | Trouble::IoError)) => work(transaction).and_then(|_| Err(trouble.fault())),
            Some(Trouble::Ambiguous) | None => work(transaction),
        };
        (work, after)
    }
}

impl Trouble {
    fn fault(self) -> Fault {
        let code = match self {
            Trouble::Full => ffi::SQLITE_FULL,
            Trouble::IoError | Trouble::Ambiguous => ffi::SQLITE_IOERR,
            Trouble::Busy => ffi::SQLITE_BUSY,
            Trouble::Dead => ffi::SQLITE_ABORT,
        };
        Fault::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}
