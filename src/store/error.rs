//! Errors of the state, for the person who reads them: what was being done, in which file, what went wrong, and what
//! to do about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::FILE_NAME;

/// What every method of the store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What the parts inside a transaction return; [`super::Store`] adds the doing and the path.
pub(super) type Inner<T> = std::result::Result<T, Fault>;

/// Something that the state could not do. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
#[error("while {doing} ({}): {fault}", place(.path))]
pub struct StoreError {
    doing: String,
    path: Option<PathBuf>,
    fault: Box<Fault>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// SQLite said no.
    #[error("{}", sqlite_words(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// A stored document is not what this version writes.
    #[error("the stored {what} cannot be read: {problem}; the file was edited or is damaged, restore a backup")]
    Document {
        /// Which document.
        what: String,
        /// What the parser said.
        problem: String,
    },
    /// The file is damaged or no database; it was left as it is.
    #[error("{0}; nothing was changed in it: restore a backup, or move it away to start with an empty state")]
    Damaged(String),
    /// A later version wrote the file.
    #[error(
        "its schema is version {found}, this program knows up to {known}: a newer costwarden wrote it, use that one"
    )]
    NewerSchema {
        /// In the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// Opened for reading only, and it would need a migration.
    #[error(
        "its schema is version {found}, this program needs {known}: run a command that writes, such as `scan`, first"
    )]
    OlderSchema {
        /// In the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// The library has the WAL-reset corruption bug that 3.51.3 fixed.
    #[error("SQLite {found} can corrupt the file; 3.51.3 or newer is needed (the bundled one is)")]
    OldSqlite {
        /// The library's version.
        found: String,
    },
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Another worker holds the lease by now: nothing more may be done under this fence.
    #[error(
        "fence {given} of the lease {lease:?} is stale ({}): another worker took over, or it was released",
        current.map_or("nobody holds it".to_owned(), |fence| format!("the current one is {fence}"))
    )]
    StaleFence {
        /// Which lease.
        lease: String,
        /// What the caller holds.
        given: i64,
        /// What the state says.
        current: Option<i64>,
    },
    /// Something that must exist does not.
    #[error("there is no {0}")]
    Missing(String),
    /// The request contradicts the state.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    pub(super) fn new(doing: String, path: Option<PathBuf>, fault: Fault) -> StoreError {
        StoreError { doing, path, fault: Box::new(fault) }
    }

    /// What went wrong, for callers that tell cases apart.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Another worker took the lease over.
    pub fn is_stale_fence(&self) -> bool {
        matches!(*self.fault, Fault::StaleFence { .. })
    }

    /// The state itself is in doubt: damaged, edited or of a later version. Such a doubt freezes.
    pub fn is_doubt(&self) -> bool {
        match &*self.fault {
            Fault::Document { .. } | Fault::Damaged(_) | Fault::NewerSchema { .. } => true,
            Fault::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            }
            _ => false,
        }
    }
}

impl Fault {
    pub(super) fn document(what: impl Into<String>, problem: impl std::fmt::Display) -> Fault {
        Fault::Document { what: what.into(), problem: problem.to_string() }
    }
}

fn place(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(|| format!("{FILE_NAME} in memory"), |path| path.display().to_string())
}

fn sqlite_words(error: &rusqlite::Error) -> String {
    let words = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process kept the state file locked for more than 5 seconds; try again when it is done"
        }
        Some(ErrorCode::DiskFull) => "the disk is full; nothing was written, free some space",
        Some(ErrorCode::ReadOnly) => "the state file, or its folder, may not be written to; check owner and mode",
        Some(ErrorCode::CannotOpen) => "the state file, or a file beside it, cannot be opened; check owner and mode",
        Some(ErrorCode::PermissionDenied) => "access to the state file is denied; check owner and mode",
        Some(ErrorCode::SystemIoFailure) => "the disk or file system failed; nothing was written",
        Some(ErrorCode::DatabaseCorrupt) => "the state file is damaged; restore a backup",
        Some(ErrorCode::NotADatabase) => "the file is not a SQLite database",
        _ => return error.to_string(),
    };
    format!("{words} ({error})")
}
