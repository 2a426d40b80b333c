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
    let ended = runtime().context("starting the runtime").and_then(|runtime| runtime.block_on(cli::run(cli)));
    let exit = ended.unwrap_or_else(|error| {
        output::tell(&format!("error: {error:#}"));
        exit::of_error(&error)
    });
    exit.into()
}

/// The threads that everything runs on. Where the system gives only some of them, for want of memory, the runtime panics
/// while it is made, and taking it apart again would wait for ever; so such a panic ends the program.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| {
        output::tell(&format!("error: starting the runtime: {}", panic.payload_as_str().unwrap_or("it panicked")));
        std::process::exit(1);
    }));
    let made = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    std::panic::set_hook(usual);
    made
}
