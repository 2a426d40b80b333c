//! One daemon per state folder: an advisory lock on `daemon.lock`.
//!
//! `cli daemon` takes it before anything else and keeps it to the end; the kernel lets go of it when the process
//! dies, so a stale file never blocks. It keeps daemons apart, not acts: those have a fenced lease in the store.
//! Deleting the file under a running daemon would let a second one in, so the daemon asks at each tick whether the
//! path still leads to the file that it locked.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::store::FileLock;

/// Exit code of a second daemon, and of anything else that meets a held lock.
pub const LOCKED_EXIT: u8 = 75;

/// The lock, held until dropped.
#[derive(Debug)]
pub struct DaemonLock {
    lock: FileLock,
    file: (u64, u64),
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon holds it: exit code [`LOCKED_EXIT`].
    #[error(
        "another costwarden daemon{holder} already works on this state (it holds {path}); stop that one first, or give this one its own --db"
    )]
    Held {
        /// The lock file.
        path: String,
        /// ` (process 4711)`, or nothing where the file does not say.
        holder: String,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock {path}: {source}; the state folder must exist and be writable")]
    Io {
        /// The lock file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl DaemonLock {
    /// Takes the lock of a state folder.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process has it; [`LockError::Io`] when the file cannot be used.
    pub fn take(state_dir: &Path) -> Result<DaemonLock, LockError> {
        let path = state_dir.join("daemon.lock");
        let shown = path.display().to_string();
        let io = |source| LockError::Io { path: shown.clone(), source };
        let Some(lock) = FileLock::try_acquire(&path).map_err(io)? else {
            let pid = FileLock::holder(&path);
            let holder = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            return Err(LockError::Held { path: shown, holder });
        };
        let file = identity(&path).map_err(io)?;
        Ok(DaemonLock { lock, file })
    }

    /// Whether the path still leads to the locked file.
    pub fn still_ours(&self) -> bool {
        identity(self.lock.path()).is_ok_and(|file| file == self.file)
    }
}

/// Which file a path leads to: its device and number.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_who_holds_the_lock_and_gets_it_when_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DaemonLock::take(folder.path()).unwrap();
        let error = DaemonLock::take(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }));
        let text = error.to_string();
        assert!(text.contains(&format!("(process {})", std::process::id())) && text.contains("daemon.lock"), "{text}");
        assert!(first.still_ours());
        drop(first);
        assert!(DaemonLock::take(folder.path()).unwrap().still_ours());
    }

    #[test]
    fn a_removed_or_replaced_lock_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = DaemonLock::take(folder.path()).unwrap();
        fs::remove_file(folder.path().join("daemon.lock")).unwrap();
        assert!(!lock.still_ours());
        let _second = DaemonLock::take(folder.path()).unwrap();
        assert!(!lock.still_ours());
    }

    #[test]
    fn a_missing_folder_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let text = DaemonLock::take(&folder.path().join("none")).unwrap_err().to_string();
        assert!(text.contains("none/daemon.lock") && text.contains("the state folder must exist"), "{text}");
    }
}
