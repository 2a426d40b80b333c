//! Secrets: from files that others cannot read, or from systemd credentials.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroize;

/// Longest secret, in bytes.
const MAX_BYTES: u64 = 16 * 1024;

/// Why a secret cannot be had. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `credential:NAME` without systemd's folder.
    #[error(
        "the systemd credential {0:?} is not there: $CREDENTIALS_DIRECTORY is not set; load it with LoadCredential= in the unit, or name a file"
    )]
    NoCredentials(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Others may read or write it.
    #[error("the secret file {path} has mode {mode:04o}: every user of the machine can reach it; run chmod 600 on it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold one line of text.
    #[error("the secret file {path} {problem}; accepted: one line of text")]
    NotOneLine {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Reads a secret as the settings name it; a line break at its end does not belong to it.
///
/// # Errors
/// See [`SecretError`].
pub fn read_secret(path: &Path) -> Result<SecretString, SecretError> {
    if let Some(name) = path.to_str().and_then(|text| text.strip_prefix("credential:")) {
        return Err(SecretError::NoCredentials(name.to_owned()));
    }
    let unreadable = |cause| SecretError::Unreadable { path: path.to_owned(), cause };
    let bad = |problem| SecretError::NotOneLine { path: path.to_owned(), problem };
    let file = File::open(path).map_err(unreadable)?;
    // The opened file is what is checked, so that nothing can be put in its place in between.
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(bad("is not a file"));
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o006 != 0 {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let result = match line {
        _ if text.len() as u64 > MAX_BYTES => Err(bad("is too long")),
        "" => Err(bad("is empty")),
        line if line.contains(['\n', '\r', '\0']) => Err(bad("holds several lines")),
        line => Ok(SecretString::from(line)),
    };
    text.zeroize();
    result
}
