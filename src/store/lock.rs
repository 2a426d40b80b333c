//! A lock file: one daemon per state folder, told apart by the operating system and not by what a file says.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// An exclusive lock that holds until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    // Held open for the lock alone.
    _file: File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock without waiting; `None` while another process, or another part of this one, holds it.
    ///
    /// The file holds the process id, for people: nobody decides by it. It stays when the lock is released, because
    /// removing it would let two holders lock two files of one name.
    pub fn try_acquire(path: &Path) -> io::Result<Option<FileLock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(FileLock { _file: file, path: path.to_owned() }))
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says about its holder, for a message; the holder may be gone.
    pub fn holder(path: &Path) -> Option<u32> {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }
}
