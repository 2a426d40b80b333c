//! The program: reads the command line, starts logging and the runtime, runs the command, and ends with its exit code.

use std::process::ExitCode;

use anyhow::Context;
use costwarden::cli::{self, exit, log, output};

/// A scan makes and drops millions of small texts while a hundred thousand resources stay; the system's allocator spends
/// a fifth of the whole night on finding room between them (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Wrong use ends here with 2, --help and --version with 0.
    let cli = cli::parse();
    log::start(&cli);
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(cli::run(cli)));
    let exit = ended.unwrap_or_else(|error| {
        output::tell(&format!("error: {error:#}"));
        exit::of_error(&error)
    });
    exit.into()
}
