//! The anchor: a small file beside the state that says how far the state has come (safety.md, H16).
//!
//! A state file that was put back from an older copy does not know what was done since: acts, exceptions, freezes. So
//! every commit that adds to the journal, the undos or the audit trail is followed by a new anchor, written whole, before
//! the caller goes on to its call; and whoever opens the state compares. What contradicts is written into the state,
//! where it stays until a person accepts the copy ([`Store::accept_put_back`]). The anchor is never ahead of the state: a
//! crash between the two leaves it behind, which contradicts nothing. A state in memory has none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::audit::GENESIS;
use super::error::{Fault, Inner};
use super::{Result, Store, in_transaction, meta, set_meta};

/// The anchor's name in the state folder.
pub const ANCHOR_NAME: &str = "costwarden.anchor";

/// The key of `meta` under which it is kept why this state is older than what was done with it.
const PUT_BACK: &str = "put_back";

/// The key of `meta` for the highest journal row that the cloud knows and this state does not.
const LOST_ROW: &str = "put_back_row";

/// The key of `meta` that says that an anchor was written once, so that its absence is a sign.
const ANCHORED: &str = "anchored";

/// More rows than any journal will have; a tag in the cloud may say anything.
const MOST_ROWS: i64 = 1 << 40;

/// The highest journal row that was ever given: of an accepted copy, what is to be left free too.
const LAST_ROW: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'remediation'";

/// How far a state has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anchor {
    /// Whose.
    pub state_id: String,
    /// How often an older copy was accepted, plus one.
    pub epoch: i64,
    /// The highest journal row.
    pub acts: i64,
    /// Transitions of acts.
    pub transitions: i64,
    /// Transitions of undos.
    pub undos: i64,
    /// Rows of the audit trail.
    pub audit: i64,
    /// The hash of the last of them.
    pub hash: String,
}

impl Store {
    /// Why this state is older than what was done with it, in words; `None` when nothing says so.
    pub fn put_back(&self) -> Result<Option<String>> {
        self.read(format_args!("comparing the state with its anchor"), |connection| {
            match (meta(connection, PUT_BACK)?, &self.path) {
                (Some(why), _) => Ok(Some(why)),
                (None, Some(path)) => contradiction(connection, path),
                (None, None) => Ok(None),
            }
        })
    }

    /// Something outside of this file shows an act of it, row `row`, that it does not know. Holds until a person accepts
    /// the state; the first reason stays.
    pub fn note_put_back(&self, why: &str, row: i64) -> Result<()> {
        self.write(format_args!("noting that the state is older than what was done"), |transaction| {
            let known: i64 = meta(transaction, LOST_ROW)?.and_then(|text| text.parse().ok()).unwrap_or(0);
            set_meta(transaction, LOST_ROW, &known.max(row).to_string())?;
            if meta(transaction, PUT_BACK)?.is_none() {
                set_meta(transaction, PUT_BACK, why)?;
            }
            Ok(())
        })
    }

    /// The highest journal row that was ever given; 0 before the first.
    pub fn last_remediation(&self) -> Result<i64> {
        self.read(format_args!("reading the journal's last row"), |connection| last(connection, LAST_ROW))
    }

    /// Brings the anchor up to what was just committed. Called after every write.
    ///
    /// An error means that the commit stands and its caller must not go on: the anchor cannot be written, or another copy
    /// of this state went on meanwhile.
    pub(super) fn raise_anchor(&self) -> Inner<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut connection = self.lock();
        let mut kept = self.anchored.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.as_ref() == Some(&Anchor::of(&connection)?) {
            return Ok(());
        }
        // Under the write lock, so that of two processes the later one writes the later anchor.
        *kept = in_transaction(&mut connection, |transaction| {
            let own = Anchor::of(transaction)?;
            if meta(transaction, PUT_BACK)?.is_none() {
                if let Some(found) = read(path)?
                    && let Some(why) = found.denies(&own, transaction)?
                {
                    return Err(Fault::Refused(format!("{why}; another copy of it went on meanwhile")));
                }
                write(path, &own)?;
            }
            Ok(Some(own))
        })?;
        Ok(())
    }
}

/// At the opening for writing: compares, and writes down what contradicts. A state that never had an anchor gets one.
pub(super) fn examine(connection: &mut Connection, path: &Path) -> Inner<()> {
    in_transaction(connection, |transaction| {
        if meta(transaction, PUT_BACK)?.is_some() {
            return Ok(());
        }
        if let Some(why) = contradiction(transaction, path)? {
            tracing::error!(why, "the state is older than what was done with it");
            return set_meta(transaction, PUT_BACK, &why);
        }
        let own = Anchor::of(transaction)?;
        if read(path)?.as_ref() != Some(&own)
            && let Err(error) = write(path, &own)
        {
            // Nothing was committed by us yet; the next commit must write it or fail.
            tracing::warn!("{error}");
            return Ok(());
        }
        if meta(transaction, ANCHORED)?.is_none() { set_meta(transaction, ANCHORED, "1") } else { Ok(()) }
    })
}

/// What the anchor beside a state says against it.
fn contradiction(connection: &Connection, path: &Path) -> Inner<Option<String>> {
    let found = match read(path) {
        Ok(Some(found)) => found,
        Ok(None) if meta(connection, ANCHORED)?.is_none() => return Ok(None),
        Ok(None) => {
            let missing = "is missing, so nobody can tell whether this state is the latest";
            return Ok(Some(format!("the anchor {} {missing}", anchor_of(path).display())));
        }
        Err(unreadable) => return Ok(Some(unreadable.to_string())),
    };
    found.denies(&Anchor::of(connection)?, connection)
}

impl Anchor {
    /// How far a state is.
    pub(super) fn of(connection: &Connection) -> Inner<Anchor> {
        let end = connection
            .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (audit, hash) = end.unwrap_or_else(|| (0, GENESIS.to_owned()));
        Ok(Anchor {
            state_id: meta(connection, "state_id")?.ok_or_else(|| Fault::Refused("it has no state id".into()))?,
            epoch: meta(connection, "epoch")?.and_then(|text| text.parse().ok()).unwrap_or(0),
            acts: last(connection, LAST_ROW)?,
            transitions: last(connection, "SELECT MAX(seq) FROM remediation_history")?,
            undos: last(connection, "SELECT MAX(seq) FROM undo_history")?,
            audit,
            hash,
        })
    }

    /// Why a state that is `own` far cannot be the one that this anchor was written for.
    fn denies(&self, own: &Anchor, connection: &Connection) -> Inner<Option<String>> {
        if self.state_id != own.state_id {
            return Ok(Some(format!("the anchor beside this state belongs to another one, {}", self.state_id)));
        }
        if self.epoch < own.epoch {
            return Ok(None);
        }
        let behind = [
            (self.epoch, own.epoch, "accepted copies"),
            (self.acts, own.acts, "acts"),
            (self.transitions, own.transitions, "steps of acts"),
            (self.undos, own.undos, "steps of undos"),
            (self.audit, own.audit, "rows of the audit trail"),
        ];
        if let Some((known, found, what)) = behind.into_iter().find(|(known, found, _)| known > found) {
            return Ok(Some(format!("this state is an older copy: it has {found} of {known} {what}")));
        }
        let hash: Option<String> = connection
            .prepare_cached("SELECT hash FROM audit WHERE seq = ?1")?
            .query_row([self.audit], |row| row.get(0))
            .optional()?;
        let same = hash.as_deref().unwrap_or(GENESIS) == self.hash;
        Ok((!same).then(|| {
            format!("this state went on from an older copy: row {} of its audit trail is another one", self.audit)
        }))
    }
}

fn last(connection: &Connection, sql: &str) -> Inner<i64> {
    let found = connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(found.flatten().unwrap_or(0))
}

/// The anchor's place, beside the state's.
pub(super) fn anchor_of(state: &Path) -> PathBuf {
    state.with_file_name(ANCHOR_NAME)
}

/// Reads the anchor of a state; `None` when there is none.
pub(super) fn read(state: &Path) -> Inner<Option<Anchor>> {
    let path = anchor_of(state);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Fault::Io { what: format!("the anchor {} cannot be read", path.display()), source }),
    };
    let unreadable = |error| Fault::Refused(format!("the anchor {} cannot be understood: {error}", path.display()));
    serde_json::from_str(&text).map(Some).map_err(unreadable)
}

/// Writes the anchor of a state whole: beside it, to the disk, then in its place.
pub(super) fn write(state: &Path, anchor: &Anchor) -> Inner<()> {
    let path = anchor_of(state);
    let new = path.with_extension("anchor-new");
    let what = || format!("the anchor {} cannot be written, so nothing further is done", path.display());
    let text = serde_json::to_string(anchor).map_err(|error| Fault::document("anchor", error))?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let done = options.open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    done.map_err(|source| Fault::Io { what: what(), source })
}

/// Forgets why the state was in doubt; returns the highest journal row that anybody knows of.
pub(super) fn settle(connection: &Connection, path: Option<&Path>) -> Inner<(i64, i64)> {
    let own = Anchor::of(connection)?;
    let found = path.and_then(|path| read(path).ok().flatten()).filter(|found| found.state_id == own.state_id);
    let lost: i64 = meta(connection, LOST_ROW)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let (epoch, acts) = found.map_or((0, 0), |found| (found.epoch, found.acts));
    connection.execute("DELETE FROM meta WHERE key IN (?1, ?2)", [PUT_BACK, LOST_ROW])?;
    Ok((own.epoch.max(epoch), own.acts.max(acts).max(lost.min(MOST_ROWS))))
}
