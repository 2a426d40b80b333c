//! `audit`: looks whether the trail of who did what still holds, and prints its rows.
//!
//! Reads only, and with `--db` needs no settings. The rows hold foreign text; tables clean it.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::domain::Instant;
use crate::domain::money::grouped;
use crate::domain::text::clean;
use crate::store::{AuditCheck, AuditHead, AuditRow, NotedHead, Store, VerifyError};

/// What is done with the trail.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Follow the whole chain and name the first row that does not hold
    Verify(VerifyArgs),
    /// Print rows, oldest first
    List(ListArgs),
}

/// Flags of `audit verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A head from a report's mail, as ROW:HASH or the hash alone: finds also what was cut off or written anew
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
}

/// Flags of `audit list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Begin after this row; else the last rows
    #[arg(long, value_name = "ROW")]
    after: Option<u32>,
    /// At most so many rows
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

/// What `audit verify -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerifyDocument {
    /// Version of this shape.
    pub schema_version: u32,
    /// Every row follows from the one before it, the noted head is among them, and nothing that refuses changes is
    /// missing.
    pub holds: bool,
    /// How many rows hold, from the first one on.
    pub rows: u64,
    /// The last row that holds; null when none does.
    #[schemars(with = "Option<HeadJson>")]
    pub head: Option<AuditHead>,
    /// The head that was given to compare with.
    pub compared_with: Option<String>,
    /// The first row that does not hold.
    pub broken: Option<BrokenJson>,
    /// Triggers that should refuse changes and are not there.
    pub guards_missing: Vec<&'static str>,
}

/// A place in the trail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HeadJson {
    /// From 1.
    pub row: i64,
    /// SHA-256, 64 hexadecimal digits.
    pub hash: String,
}

/// The first row that does not hold.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BrokenJson {
    /// Its place.
    pub row: i64,
    /// What is wrong with it.
    pub problem: String,
}

/// What `audit list -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListDocument {
    /// Version of this shape.
    pub schema_version: u32,
    /// Oldest first.
    pub rows: Vec<RowJson>,
}

/// One row of the trail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RowJson {
    /// Its place, from 1.
    pub row: i64,
    /// When.
    pub at: Instant,
    /// Who: a person's name, or the part of the worker.
    pub actor: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub subject: String,
    /// Why and with which inputs.
    pub detail: Value,
    /// SHA-256, 64 hexadecimal digits.
    pub hash: String,
}

/// Runs one.
///
/// # Errors
/// A head that is none: bad use. No state, or one that cannot be read.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::Verify(args) => verify(global, args),
        Command::List(args) => list(global, args),
    }
}

fn verify(global: &Global, args: &VerifyArgs) -> Result<Exit> {
    let noted = args
        .head
        .as_deref()
        .map(|text| text.parse::<NotedHead>().map_err(|error| ExitError::bad_use(format!("--head {}", clean(&error)))));
    let noted = noted.transpose()?;
    let store = open::read_store_in(&open::state_dir(global)?)?;
    let guards_missing = store.audit_guards_missing()?;
    let (check, broken) = match store.audit_check(noted.as_ref()) {
        Ok(check) => (check, None),
        Err(VerifyError::Broken { seq, problem }) => {
            let head = store.audit_rows(seq - 2, 1).ok().and_then(|mut rows| rows.pop());
            let head = head.filter(|row| row.seq == seq - 1).map(|row| AuditHead { seq: row.seq, hash: row.hash });
            let rows = u64::try_from(seq - 1).unwrap_or(0);
            (AuditCheck { rows, head }, Some(BrokenJson { row: seq, problem }))
        }
        Err(VerifyError::Store(error)) => return Err(error.into()),
    };
    let holds = broken.is_none() && guards_missing.is_empty();
    if global.output == Format::Json {
        output::json(&VerifyDocument {
            schema_version: SCHEMA_VERSION,
            holds,
            rows: check.rows,
            head: check.head,
            compared_with: args.head.clone(),
            broken,
            guards_missing,
        })?;
    } else {
        told(&store, &check, noted.is_some(), broken.as_ref(), &guards_missing)?;
    }
    Ok(if holds { Exit::Done } else { Exit::Failed })
}

fn told(
    store: &Store,
    check: &AuditCheck,
    compared: bool,
    broken: Option<&BrokenJson>,
    guards_missing: &[&str],
) -> Result<()> {
    let file = store.path().map(|path| clean(&path.display().to_string())).unwrap_or_default();
    let rows = grouped(check.rows);
    if let Some(broken) = broken {
        output::line(&format!("BROKEN at row {}: {}.", broken.row, clean(&broken.problem)))?;
        output::line(&format!("The {rows} rows before it hold; nothing is proved by what follows."))?;
    } else {
        output::line(&format!("The audit trail holds: {rows} rows."))?;
        if let Some(head) = &check.head {
            output::line(&format!("Head {head}"))?;
        }
        if !compared {
            output::line(
                "Not compared with an earlier head: rows cut off its end leave a trail that holds. --head takes \
                          the one that every report's mail ends with.",
            )?;
        }
    }
    for guard in guards_missing {
        output::line(&format!("The trigger {guard} is missing: somebody took away what refuses changes."))?;
    }
    if broken.is_some() || !guards_missing.is_empty() {
        output::line(&format!(
            "What to do: `costwarden freeze --reason \"audit trail\"`; keep a copy of {file} as it is; compare it with \
             the newest backup and with the heads in the reports' mails to see since when; find out who can write the \
             file. costwarden itself never changes a row."
        ))?;
    }
    Ok(())
}

fn list(global: &Global, args: &ListArgs) -> Result<Exit> {
    let store = open::read_store_in(&open::state_dir(global)?)?;
    let last = store.audit_head()?.map_or(0, |head| head.seq);
    let after = args.after.map_or((last - i64::from(args.limit)).max(0), i64::from);
    let rows = store.audit_rows(after, usize::try_from(args.limit)?)?;
    if global.output == Format::Json {
        let rows = rows.into_iter().map(row).collect();
        output::json(&ListDocument { schema_version: SCHEMA_VERSION, rows })?;
        return Ok(Exit::Done);
    }
    let rows = rows.into_iter().map(|row| {
        let at = row.at.format("%Y-%m-%d %H:%M:%S").to_string();
        vec![row.seq.to_string(), at, row.entry.actor, row.entry.what, row.entry.subject, row.entry.detail.to_string()]
    });
    output::print(&output::table(&["ROW", "AT (UTC)", "WHO", "WHAT", "TO WHAT", "WHY"], rows))?;
    Ok(Exit::Done)
}

fn row(row: AuditRow) -> RowJson {
    let AuditRow { seq, at, entry, hash } = row;
    RowJson { row: seq, at, actor: entry.actor, what: entry.what, subject: entry.subject, detail: entry.detail, hash }
}
