//! `apply` killed at random instants, many times, and started again until the end.
//!
//! An instant is a random time after a random step of the journal was seen on file, so that the kills spread over an act
//! on a fast machine and on a slow one. `COSTWARDEN_KILLS` sets how often (56: with the 44 of `points` a hundred),
//! `COSTWARDEN_KILL_SEED` repeats a series.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Monotonic, SystemTime};

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, PATIENCE, side_by_side};
use super::world::{Needs, World};

/// Steps after which a kill may come; before the first of them nothing is claimed.
const STEPS: [Option<JournalState>; 9] = [
    None,
    Some(JournalState::Claimed),
    Some(JournalState::Rechecked),
    Some(JournalState::SnapIntent),
    Some(JournalState::SnapRequested),
    Some(JournalState::SnapVerified),
    Some(JournalState::ActIntent),
    Some(JournalState::Answered),
    Some(JournalState::Observed),
];

/// Longest from that step to the kill: several steps, or one wait for the cloud.
const SPAN: Duration = Duration::from_millis(600);

/// How many kills.
fn kills() -> usize {
    number("COSTWARDEN_KILLS").map_or(56, |count| count as usize)
}

/// Volumes of an account in which several cases share the place.
const CROWD: usize = 9;

/// What this file's cases need of the shared world: a long series has a world of its own.
pub fn needs() -> Needs {
    if number("COSTWARDEN_KILLS").is_some() { Needs::default() } else { all() }
}

fn all() -> Needs {
    Needs { crowds: (kills().div_ceil(1 + CROWD), CROWD), ..Needs::default() }
}

fn world() -> &'static World {
    if number("COSTWARDEN_KILLS").is_some() { World::of(all()) } else { World::shared() }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// SplitMix64: enough for instants, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[test]
fn killed_at_random_instants_nothing_is_done_twice_and_nothing_without_its_backup() {
    let world = world();
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = number("COSTWARDEN_KILL_SEED").unwrap_or(clock);
    eprintln!("COSTWARDEN_KILL_SEED={seed}");
    let mut random = Random(seed);
    let mut jobs = Vec::new();
    while jobs.len() < kills() {
        for pair in world.crowd() {
            if pair.instance.is_some() {
                jobs.push((pair.clone(), Act::StopInstance));
            }
            jobs.push((pair, Act::DeleteVolume));
        }
    }
    jobs.truncate(kills());
    let steps = STEPS.len() as u64;
    let jobs =
        jobs.into_iter().map(|(pair, act)| (pair, act, STEPS[random.below(steps) as usize], random.below(1_000)));
    let results = side_by_side(jobs.collect(), |(pair, act, step, share)| {
        let mut case = Case::new(world, &pair, act);
        let mut running = case.apply(None);
        let began = Monotonic::now();
        let seen = |case: &Case| step.is_none_or(|step| case.rows().first().is_some_and(|row| row.state >= step));
        while running.ended().is_none() && !seen(&case) {
            assert!(began.elapsed() < PATIENCE, "{act} never came to {step:?}: {}", running.errors());
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(SPAN.mul_f64(share as f64 / 1_000.0));
        let killed = running.ended().is_none();
        if killed {
            case.kill(running);
        }
        let place = case.state().map_or("nothing claimed", JournalState::word);
        let at_death = case.counted();
        case.past_the_lease();
        case.seen_out();
        let (state, counts) = (case.state(), case.counted());
        let message = || format!("{act}, killed {share}/1000 after {step:?}, in {place}: {:?}", case.rows());
        match state {
            Some(JournalState::Done) => assert_eq!(counts.acts, 1, "{}", message()),
            // Killed between the intent and the call: it can never be known, so a person decides.
            Some(JournalState::Stuck) => {
                assert_eq!((place, at_death.acts, counts.acts), ("J8_act_intent", 0, 0), "{}", message());
            }
            _ => panic!("{}", message()),
        }
        (killed, place)
    });
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, place) in results.iter().filter(|(killed, _)| *killed) {
        *places.entry(place).or_default() += 1;
    }
    let killed: usize = places.values().sum();
    eprintln!("{} runs, {killed} killed before their end, 0 violations; killed in: {places:?}", results.len());
    assert!(killed * 2 > results.len(), "most runs ended before they were killed: {places:?}");
    assert!(results.len() < 50 || places.len() >= 5, "the instants do not spread: {places:?}");
}
