//! What people type: one file per command, and here the tree, the global flags and the dispatch.
//!
//! A command parses, asks `app` for the parts it needs, calls them and prints. It decides nothing. A new command is its
//! file and two lines here: its variant and its arm.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub mod exit;
pub mod output;

use exit::Exit;
use output::Format;

/// Finds wasted cloud resources, warns their owners, waits, backs up, then acts.
#[derive(Debug, Parser)]
#[command(name = "costwarden", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// Settings file; else ./costwarden.toml, else /etc/costwarden/costwarden.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the state; else `state_dir` of the settings, else $STATE_DIRECTORY, else ./costwarden-state
    #[arg(long, global = true, value_name = "FOLDER")]
    pub db: Option<PathBuf>,
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Never ask; a question becomes an error that names the flag to give
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Say less: only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Runs a command.
///
/// # Errors
/// Whatever the command could not do; `exit::of_error` tells its code.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {}
}
