//! Every ordered pair of crash points of an act: one crowd for each point that the first process dies at.
//!
//! The crowd's first resource tells which points a successor passes after that death; then one resource after another
//! dies at the point, and its successor at the next of those. A recovery that passes another point than those before it adds it to the list.

use std::collections::VecDeque;

use costwarden::domain::finding::Act;

use super::led::{Led, Supply};
use super::{crowd_of_one, detours, fall_due, points};
use crate::judge::ends;
use crate::policies::ACTS;
use crate::run::finish;
use crate::tally::Tally;

/// Tries of a pair whose successor did not pass the second point: answers come later for one resource than for another.
const TRIES: u32 = 3;
/// As many resources as a recovery has points at most, with some to spare.
const CROWD: usize = 44;
const CROWD_OF_RESIZES: usize = 80;

/// Where the first process of a crowd dies.
pub struct First {
    act: Act,
    detour: Option<&'static detours::Detour>,
    point: &'static str,
}

/// Every first point, in the order of the list.
pub fn firsts() -> Vec<First> {
    let first = |line: &'static str| {
        let (act, point) = line.split_once(' ')?;
        let (act, _, _) = ACTS.into_iter().find(|(own, _, _)| own.to_string() == act)?;
        Some(match point.split_once(':') {
            Some((word, point)) => First { act, detour: Some(detours::named(word)?), point },
            None => First { act, detour: None, point },
        })
    };
    // What comes before the claim is no act's row yet.
    points::expected().into_iter().filter(|line| !points::early(line)).filter_map(first).collect()
}

/// What a pair is counted under; with 0 while it was only seen in a recovery.
pub const BETWEEN: &str = " > ";

/// Plays the crowd of one first point.
pub async fn play(seed: u64, number: u64) -> Tally {
    let firsts = firsts();
    let first = &firsts[number as usize % firsts.len()];
    let size = if first.act == Act::ResizeInstance { CROWD_OF_RESIZES } else { CROWD };
    let director = crowd_of_one(seed, first.act, size);
    fall_due(&director).await;
    let mut supply = Supply::of(first.act);
    let led = Led { act: first.act, detour: first.detour, first: Some((first.point.to_owned(), 1)), second: None };
    let name = led.point(first.point);
    let mut known: Vec<String> = Vec::new();
    let mut wanted: VecDeque<(String, u32)> = VecDeque::new();
    let mut second = None;
    while let Some(passed) =
        supply.lead(&director, &Led { second: second.clone().map(|(point, _)| point), ..led.clone() }).await
    {
        if passed.deaths == 0 {
            director.judge("I20", Some(format!("nothing died at {name}")));
        }
        for point in passed.recovery {
            if !known.contains(&point) {
                let pair = format!("{name}{BETWEEN}{point}");
                director.with(|inner| {
                    inner.tally.crashes.entry(pair).or_default();
                });
                known.push(point.clone());
                wanted.push_back((point, 1));
            }
        }
        if let Some((point, tries)) = second.take() {
            if passed.deaths > 1 {
                director.with(|inner| *inner.tally.crashes.entry(format!("{name}{BETWEEN}{point}")).or_default() += 1);
            } else if tries < TRIES {
                wanted.push_back((point, tries + 1));
            }
        }
        second = wanted.pop_front();
        if second.is_none() {
            break;
        }
    }
    ends::judge(&director);
    finish(&director)
}
