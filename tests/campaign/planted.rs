//! The proof that the campaign finds mistakes: each planted one within two thousand seeds.

use std::time::Instant;

use costwarden::planted::{WORDS, choose};

use crate::parts::share;
use crate::{crashes, run};

/// Seeds that a mistake may take.
const SEEDS: u64 = 2_000;
/// Seeds that are played before the next look.
const BATCH: u64 = 20;

/// Plants them one after another; `words` choose some.
pub fn all(words: &[String]) -> bool {
    let chosen = |word: &&&str| words.is_empty() || words.iter().any(|own| own == "planted" || *own == ***word);
    let (mut found, mut missed) = (0, Vec::new());
    let begun = Instant::now();
    for word in WORDS.iter().filter(chosen) {
        choose(Some(word));
        match hunt() {
            Some((seeds, invariant, what)) => {
                found += 1;
                println!("planted {word:<32} found by {invariant} within {seeds} seeds: {what}");
            }
            None => {
                missed.push(*word);
                println!("planted {word:<32} NOT FOUND in {SEEDS} seeds");
            }
        }
    }
    choose(None);
    println!("planted found={found} missed={missed:?} in {:.0?}", begun.elapsed());
    missed.is_empty()
}

/// Worlds and crowds until something is violated: after how many seeds, which invariant, what.
fn hunt() -> Option<(u64, &'static str, String)> {
    for first in (1..=SEEDS).step_by(BATCH as usize) {
        let tally = share(first..=first + BATCH - 1, |seed| {
            let mut tally = run::play(seed, None);
            if seed % BATCH == 0 {
                tally.merge(crashes::play(seed, false));
            }
            tally
        });
        if let Some(own) = tally.violations.iter().min_by_key(|own| own.seed) {
            let what: String = own.what.chars().take(110).collect();
            return Some((first + BATCH - 1, own.invariant, what));
        }
    }
    None
}
