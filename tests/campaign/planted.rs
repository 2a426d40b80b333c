//! The proof that the campaign finds mistakes: each planted one within two thousand seeds.

use std::time::Instant;

use costwarden::planted::{WORDS, choose};

use crate::parts::share;
use crate::tally::Tally;
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
        match hunt(word) {
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

/// Worlds and crowds until something is violated that holds without the mistake: after how many seeds, which invariant,
/// what.
fn hunt(word: &'static str) -> Option<(u64, &'static str, String)> {
    for first in (1..=SEEDS).step_by(BATCH as usize) {
        let mut tally = share(first..=first + BATCH - 1, one);
        tally.violations.sort_by_key(|own| own.seed);
        let mut sound: Option<(u64, bool)> = None;
        for own in &tally.violations {
            // A seed that breaks without the mistake proves nothing about it.
            if sound.is_none_or(|(seed, _)| seed != own.seed) {
                choose(None);
                sound = Some((own.seed, one(own.seed).violations.is_empty()));
                choose(Some(word));
            }
            if sound.is_some_and(|(_, sound)| sound) {
                let what: String = own.what.chars().take(110).collect();
                return Some((first + BATCH - 1, own.invariant, what));
            }
        }
    }
    None
}

fn one(seed: u64) -> Tally {
    let mut tally = run::play(seed, None);
    if seed.is_multiple_of(BATCH / 5) {
        tally.merge(crashes::play(seed, false));
    }
    tally
}
