//! `schema`: JSON Schemas of what people write and of what commands print, made from the very types.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;

use super::exit::{Exit, ExitError};
use super::findings::FindingDocument;
use super::json::{FindingsDocument, schema_of_output};
use super::scan_json::ScanDocument;
use super::{Global, output};
use crate::cloud::sim::World;
use crate::domain::plan::Plan;
use crate::{policy, settings};

/// Flags of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which schemas; all of them with --out alone
    #[arg(value_enum, required_unless_present = "out")]
    what: Vec<What>,
    /// Write NAME.schema.json files into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Policy files
    Policy,
    /// Template files
    Template,
    /// The settings file
    Config,
    /// `findings show -o json`
    Finding,
    /// `findings list -o json`
    Findings,
    /// Plan files
    Plan,
    /// `scan -o json`
    Scan,
    /// World files: simulated accounts
    World,
}

/// Prints one schema or writes several.
///
/// # Errors
/// Several without `--out`: bad use. A file that cannot be written.
pub fn run(global: &Global, args: &Args) -> Result<Exit> {
    match (&args.out, args.what.as_slice()) {
        (Some(folder), []) => write(global, folder, What::value_variants())?,
        (Some(folder), chosen) => write(global, folder, chosen)?,
        (None, [one]) => output::json(&one.schema())?,
        (None, _) => return Err(ExitError::bad_use("stdout takes one schema: name one, or give --out FOLDER")),
    }
    Ok(Exit::Done)
}

impl What {
    /// Its schema, with a title.
    pub fn schema(self) -> Value {
        let (mut schema, title) = match self {
            What::Policy => return policy::schema(),
            What::Config => return settings::schema(),
            What::Template => (policy::template::schema(), "costwarden policy template"),
            What::Finding => (schema_of_output::<FindingDocument<'_>>(), "costwarden findings show"),
            What::Findings => (schema_of_output::<FindingsDocument<'_>>(), "costwarden findings list"),
            What::Plan => (schema_of_output::<Plan>(), "costwarden plan"),
            What::Scan => (schema_of_output::<ScanDocument<'_>>(), "costwarden scan"),
            What::World => (World::schema(), "costwarden world"),
        };
        schema["title"] = title.into();
        schema
    }

    fn word(self) -> &'static str {
        match self {
            What::Policy => "policy",
            What::Template => "template",
            What::Config => "config",
            What::Finding => "finding",
            What::Findings => "findings",
            What::Plan => "plan",
            What::Scan => "scan",
            What::World => "world",
        }
    }
}

fn write(global: &Global, folder: &Path, chosen: &[What]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    for what in chosen {
        let file = folder.join(format!("{}.schema.json", what.word()));
        std::fs::write(&file, format!("{:#}\n", what.schema()))
            .with_context(|| format!("writing {}", file.display()))?;
        if !global.quiet {
            output::tell(&format!("wrote {}", file.display()));
        }
    }
    Ok(())
}
