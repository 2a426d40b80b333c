//! The safety campaign: seeded worlds with injected faults, judged from the simulator's own truth.
//!
//! `cargo test --test campaign` plays a short one; `.ci/run` plays the whole in an optimised build. `COSTWARDEN_WORLDS`
//! sets the number of worlds, `COSTWARDEN_SEED` replays one with its story and its shortest list of faults. Words after
//! `--` choose parts: `worlds`, `crashes`, `pairs`, `replay`, `dry`, `series`, or one of the series by its hazard, such as `h21`.

#![expect(clippy::print_stdout, reason = "its numbers are what it is run for")]

mod crashes;
mod director;
mod dry;
mod faults;
mod hazards;
mod judge;
mod kinds;
mod parts;
mod people;
#[cfg(feature = "planted")]
mod planted;
mod policies;
mod ports;
mod process;
mod rng;
mod run;
mod scene;
mod series;
mod shrink;
mod tally;

// Worlds are many small allocations; the program itself uses it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(count) = number(parts::STORIES) {
        return parts::stories(count);
    }
    match number("COSTWARDEN_SEED") {
        Some(seed) => {
            let crowd = || crashes::replay(seed).unwrap_or_else(|| shrink::replay(seed));
            series::replay(seed).unwrap_or_else(crowd)
        }
        None => parts::run(&words),
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name} is {text:?}; accepted: a whole number"),
    }
}
