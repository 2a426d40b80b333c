//! `completion`: what a shell needs to complete our commands and flags.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::exit::Exit;
use super::{Cli, output};

/// Flags of `completion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell; for bash: costwarden completion bash > /etc/bash_completion.d/costwarden
    shell: Shell,
}

/// Prints the completions of a shell.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(args: &Args) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "costwarden", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
