//! One seed again, with its story, and the shortest list of faults that still breaks the same invariant.

use std::process::ExitCode;

use crate::{run, scene};

/// Replays a seed. Fails when an invariant does not hold.
pub fn replay(seed: u64) -> ExitCode {
    let tally = run::play(seed, None);
    let planned = scene::make(seed, None).planned;
    println!("seed {seed}: {} faults planned, {} reached, hash {:016x}", planned.len(), tally.faults(), tally.hash);
    let Some(violation) = tally.violations.first() else {
        println!("every invariant holds");
        return ExitCode::SUCCESS;
    };
    println!("{}: {}", violation.invariant, violation.what);
    let shortest = shortest(seed, violation.invariant, (0..planned.len()).collect());
    println!("the shortest list of faults that breaks {}:", violation.invariant);
    for index in &shortest {
        println!("    {}: {:?}", planned[*index].kind.word(), planned[*index].what);
    }
    if shortest.is_empty() {
        println!("    none: it breaks without any");
    }
    println!("its story with these alone:");
    run::play_aloud(seed, Some(&shortest));
    ExitCode::FAILURE
}

/// Leaves out halves, then quarters, then single faults, as long as the invariant stays broken.
pub fn shortest(seed: u64, invariant: &str, mut kept: Vec<usize>) -> Vec<usize> {
    let broken = |only: &[usize]| {
        let tally = run::play(seed, Some(only));
        tally.violations.iter().any(|own| own.invariant == invariant)
    };
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < kept.len() {
            let without: Vec<usize> = kept
                .iter()
                .enumerate()
                .filter(|(index, _)| *index < at || *index >= at + size)
                .map(|(_, own)| *own)
                .collect();
            if broken(&without) {
                kept = without;
            } else {
                at += size;
            }
        }
        if size == 1 {
            return kept;
        }
        size = size.div_ceil(2);
    }
}
