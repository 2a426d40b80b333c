//! Opening the state: checks first, pragmas, migrations, and copies in memory.
//!
//! Nothing is written to a file before it was checked to be ours, whole, and not from a later version.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use super::error::{Fault, Inner};
use super::{FILE_NAME, Result, Store, StoreError, anchor, in_transaction, set_meta};

/// Schema changes in order; the index plus one is the version that `user_version` holds.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_foundation.sql"),
    include_str!("migrations/0002_policies.sql"),
    include_str!("migrations/0003_violations.sql"),
    include_str!("migrations/0004_exceptions.sql"),
    include_str!("migrations/0005_undo.sql"),
    include_str!("migrations/0006_audit.sql"),
    include_str!("migrations/0007_drill.sql"),
];

/// "cwst", in the header's application id: tells our file from any other SQLite database.
const APPLICATION_ID: i64 = 0x6377_7374;

/// The first SQLite without the WAL-reset corruption bug: 3.51.3.
const OLDEST_SQLITE: i32 = 3_051_003;

const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// How long a write waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Store {
    /// Opens `costwarden.db` in `state_dir`; makes both when they are missing.
    pub fn open_in(state_dir: &Path) -> Result<Store> {
        Store::open(&state_dir.join(FILE_NAME))
    }

    /// Opens a state file for reading and writing and brings its schema up to date; makes it, with its folder, when
    /// it is missing (modes 0600 and 0700).
    pub fn open(path: &Path) -> Result<Store> {
        open(path).map_err(|fault| StoreError::new("opening the state".into(), Some(path.to_owned()), fault))
    }

    /// Opens an existing state file for reading alone.
    pub fn open_read_only(path: &Path) -> Result<Store> {
        open_read_only(path)
            .map_err(|fault| StoreError::new("opening the state for reading".into(), Some(path.to_owned()), fault))
    }

    /// An empty state in memory: for tests and simulated worlds.
    pub fn in_memory() -> Result<Store> {
        in_memory().map_err(|fault| StoreError::new("making a state in memory".into(), None, fault))
    }

    /// A copy in memory of everything that is committed now. What is done to it leaves no trace: for dry runs.
    pub fn throwaway_copy(&self) -> Result<Store> {
        self.read(format_args!("copying the state into memory"), |source| {
            let mut copy = Connection::open_in_memory()?;
            match Backup::new(source, &mut copy)?.step(-1)? {
                StepResult::Done => {}
                other => return Err(Fault::Refused(format!("the copy is not whole ({other:?}); try again"))),
            }
            set_pragmas(&copy)?;
            Ok(Store::on(copy, None))
        })
    }

    /// Writes everything that is committed now into a new file, for the demo, whose state lives in memory. A file that
    /// is there already is refused.
    pub fn save_to(&self, path: &Path) -> Result<()> {
        self.read(format_args!("saving the state as {}", path.display()), |source| {
            let text = path.to_str().ok_or_else(|| Fault::Refused("the path is not UTF-8".into()))?;
            source.execute("VACUUM INTO ?1", [text])?;
            Ok(())
        })
    }
}

fn open(path: &Path) -> Inner<Store> {
    check_library()?;
    if !path.exists() {
        create(path)?;
    }
    check_header(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    check_schema(&connection)?;
    check_whole(&connection)?;
    set_pragmas(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    migrate(&mut connection)?;
    check_indexes(&connection)?;
    anchor::examine(&mut connection, path)?;
    Ok(Store::on(connection, Some(path.to_owned())))
}

fn open_read_only(path: &Path) -> Inner<Store> {
    check_library()?;
    if !path.exists() {
        return Err(Fault::Missing("state file there yet; `costwarden scan` makes one".into()));
    }
    check_header(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let found = check_schema(&connection)?;
    if found < MIGRATIONS.len() as i64 {
        return Err(Fault::OlderSchema { found, known: MIGRATIONS.len() as i64 });
    }
    set_pragmas(&connection)?;
    Ok(Store::on(connection, Some(path.to_owned())))
}

fn in_memory() -> Inner<Store> {
    check_library()?;
    let mut connection = Connection::open_in_memory()?;
    set_pragmas(&connection)?;
    migrate(&mut connection)?;
    Ok(Store::on(connection, None))
}

fn check_library() -> Inner<()> {
    check_version(rusqlite::version_number(), rusqlite::version())
}

fn check_version(number: i32, words: &str) -> Inner<()> {
    if number < OLDEST_SQLITE { Err(Fault::OldSqlite { found: words.to_owned() }) } else { Ok(()) }
}

/// Makes an empty file that only its owner may read, in a folder that only its owner may enter.
fn create(path: &Path) -> Inner<()> {
    let failed = |what: String| move |source| Fault::Io { what, source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(failed(format!("the folder {} cannot be made", folder.display())))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Another process was faster; its file is as good.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Fault::Io { what: "the file cannot be made".into(), source }),
    }
}

/// Refuses what is no SQLite file before SQLite touches it. An empty file is a new one, unless a write-ahead log
/// lies beside it: SQLite would throw that log away.
fn check_header(path: &Path) -> Inner<()> {
    let failed = |source| Fault::Io { what: "the file cannot be read".into(), source };
    if !path.is_file() {
        return Err(Fault::Damaged("it is not a file".into()));
    }
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(HEADER.len() as u64).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() {
        let log = fs::metadata(beside(path, "-wal")).map_or(0, |data| data.len());
        return match log {
            0 => Ok(()),
            _ => Err(Fault::Damaged("the file is empty although a write-ahead log lies beside it".into())),
        };
    }
    if head != HEADER {
        return Err(Fault::Damaged("the file is not a SQLite database".into()));
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whose file it is and of which version; returns the version.
fn check_schema(connection: &Connection) -> Inner<i64> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(damaged)?;
    let found = number("user_version").map_err(damaged)?;
    let tables: i64 =
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(damaged)?;
    let new = application == 0 && found == 0 && tables == 0;
    if application != APPLICATION_ID && !new {
        return Err(Fault::Damaged("it is a SQLite database of another program".into()));
    }
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Fault::NewerSchema { found, known });
    }
    Ok(found)
}

fn check_whole(connection: &Connection) -> Inner<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
    if verdict == "ok" {
        return Ok(());
    }
    // SQLite breaks its lines.
    let verdict = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Fault::Damaged(format!("the file is damaged: {verdict}")))
}

/// The file has every index of its schema, word for word: some of them are what lets only one act be open on a resource,
/// and SQLite's own check does not miss one that is gone.
fn check_indexes(connection: &Connection) -> Inner<()> {
    static WANTED: OnceLock<Vec<(String, String)>> = OnceLock::new();
    let wanted = match WANTED.get() {
        Some(wanted) => wanted,
        None => {
            let mut fresh = Connection::open_in_memory()?;
            migrate(&mut fresh)?;
            let wanted = indexes(&fresh)?;
            WANTED.get_or_init(|| wanted)
        }
    };
    let found = indexes(connection).map_err(damaged)?;
    match wanted.iter().find(|index| !found.contains(index)) {
        Some((name, _)) => Err(Fault::Damaged(format!("its index {name} is missing or another one"))),
        None => Ok(()),
    }
}

/// Name and text of every index that the schema asks for.
fn indexes(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Refuses a write into a file that a later version took over while this one had it open.
pub(super) fn check_version_kept(connection: &Connection) -> Inner<()> {
    let known = MIGRATIONS.len() as i64;
    let found: i64 = connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
    if found > known { Err(Fault::NewerSchema { found, known }) } else { Ok(()) }
}

fn damaged(error: rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => Fault::Damaged(format!("the file is damaged: {error}")),
        _ => Fault::Sqlite(error),
    }
}

fn set_pragmas(connection: &Connection) -> Inner<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A plan that holds for every value: without it SQLite compiles most cached statements anew at each use, because
    // it looks at the values that are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Brings the schema up to date, each version in its own transaction.
fn migrate(connection: &mut Connection) -> Inner<()> {
    for (index, sql) in MIGRATIONS.iter().enumerate() {
        let version = index as i64 + 1;
        in_transaction(connection, |transaction| {
            // Read again under the write lock: another process may have migrated in between.
            let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found >= version {
                return Ok(());
            }
            transaction.execute_batch(sql)?;
            if found == 0 {
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
                set_meta(transaction, "state_id", &fresh_id(transaction)?)?;
                set_meta(transaction, "epoch", "1")?;
            }
            transaction.pragma_update(None, "user_version", version)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// `st-` and 16 hexadecimal digits of SQLite's own randomness, which the operating system seeds.
fn fresh_id(connection: &Connection) -> Inner<String> {
    let random: Vec<u8> = connection.query_row("SELECT randomblob(32)", [], |row| row.get(0))?;
    let hex: String = Sha256::digest(&random).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("st-{hex}"))
}
