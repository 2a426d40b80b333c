//! The proof that the campaign finds mistakes: each planted one within two thousand seeds of worlds and crowds of
//! crashes. The proof of each series' power: what it is there for must be found by the series itself, within the crowds
//! that the whole campaign plays of it, whether worlds would find it or not. And the proof that two controls are two: with
//! one of them blinded whole the campaign finds nothing but delays.

use std::ops::RangeInclusive;
use std::time::Instant;

use costwarden::planted::{DOUBLED, IN_SERIES, IN_SERIES_ALONE, WORDS, choose};

use crate::parts::share;
use crate::tally::Tally;
use crate::{crashes, run, series};

/// Seeds that a mistake may take.
const SEEDS: u64 = 2_000;
/// Seeds that are played before the next look.
const BATCH: u64 = 20;
/// Crowds of a series that are played before the next look.
const CROWDS: u64 = 4;

/// What broke with a mistake and holds without it.
struct Found {
    seeds: u64,
    invariant: &'static str,
    what: String,
}

/// Plants them one after another; `words` choose some, by themselves or by a series' hazard.
pub fn all(words: &[String]) -> bool {
    let named = |own: &str| words.iter().any(|word| word.eq_ignore_ascii_case(own));
    let wanted = |word: &&&str| words.is_empty() || named("planted") || named(word) || of(word).into_iter().any(named);
    let (mut found, mut missed) = (0, Vec::new());
    let mut strong: Vec<&str> = Vec::new();
    let begun = Instant::now();
    for word in WORDS.iter().filter(wanted) {
        choose(Some(word));
        let mut everywhere = true;
        if !IN_SERIES_ALONE.contains(word) {
            everywhere &= told(word, "worlds", hunt(word, 1..=SEEDS, BATCH, one));
        }
        for hazard in of(word) {
            let (seeds, play) = series::crowds(hazard).expect("the word names a series that is there");
            let by_series = told(word, hazard, hunt(word, seeds, CROWDS, play));
            everywhere &= by_series;
            strong.extend(by_series.then_some(hazard));
        }
        if everywhere {
            found += 1;
        } else {
            missed.push(*word);
        }
    }
    let mut broke = Vec::new();
    for word in DOUBLED.iter().filter(wanted) {
        choose(Some(word));
        match hunt(word, 1..=SEEDS, BATCH, but_for_delays) {
            None => println!("planted {word:<34} changes nothing in {SEEDS} seeds: the other control holds"),
            Some(Found { seeds, invariant, what }) => {
                broke.push(*word);
                println!("planted {word:<34} BROKE {invariant} within {seeds} seeds: {what}");
            }
        }
    }
    choose(None);
    let weak: Vec<&str> = series::hazards().filter(|own| !strong.contains(own)).collect();
    println!("planted found={found} missed={missed:?} broke={broke:?} in {:.0?}", begun.elapsed());
    let all = words.is_empty() || named("planted");
    println!(
        "series that found what they are for: {strong:?}{}",
        if all { format!(", missed {weak:?}") } else { String::new() }
    );
    missed.is_empty() && broke.is_empty() && (weak.is_empty() || !all)
}

/// The series that must find a word.
fn of(word: &str) -> Vec<&'static str> {
    IN_SERIES.iter().filter(|(own, _)| *own == word).map(|(_, hazard)| *hazard).collect()
}

/// One line about a hunt; whether it found something.
fn told(word: &str, by: &str, found: Option<Found>) -> bool {
    match &found {
        Some(Found { seeds, invariant, what }) => {
            println!("planted {word:<34} {by:<6} found it by {invariant} within {seeds} seeds: {what}");
        }
        None => println!("planted {word:<34} {by:<6} DID NOT FIND IT"),
    }
    found.is_some()
}

/// Plays seeds until something is violated that holds without the mistake.
fn hunt(word: &'static str, seeds: RangeInclusive<u64>, batch: u64, play: fn(u64) -> Tally) -> Option<Found> {
    for first in seeds.clone().step_by(batch as usize) {
        let last = (first + batch - 1).min(*seeds.end());
        let mut tally = share(first..=last, play);
        tally.violations.sort_by_key(|own| own.seed);
        let mut sound: Option<(u64, bool)> = None;
        for own in &tally.violations {
            // A seed that breaks without the mistake proves nothing about it.
            if sound.is_none_or(|(seed, _)| seed != own.seed) {
                choose(None);
                sound = Some((own.seed, play(own.seed).violations.is_empty()));
                choose(Some(word));
            }
            if sound.is_some_and(|(_, sound)| sound) {
                let what = own.what.chars().take(110).collect();
                return Some(Found { seeds: last - seeds.start() + 1, invariant: own.invariant, what });
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

/// What the gate refuses in place of the guards has taken its place in the pace, and something else waits for it (I20).
fn but_for_delays(seed: u64) -> Tally {
    let mut tally = one(seed);
    tally.violations.retain(|own| own.invariant != "I20");
    tally
}
