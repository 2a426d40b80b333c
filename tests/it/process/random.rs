//! `apply` killed at random instants, many times, and started again until the end.
//!
//! `COSTWARDEN_KILLS` sets how often (25), `COSTWARDEN_KILL_SEED` repeats a series.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, side_by_side};
use super::world::{CROWD, World};

/// How many kills.
fn kills() -> usize {
    number("COSTWARDEN_KILLS").map_or(25, |count| count as usize)
}

/// How many accounts they need: a stop and several deletes share one.
pub fn crowds() -> usize {
    kills().div_ceil(1 + CROWD)
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
    let world = World::shared();
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = number("COSTWARDEN_KILL_SEED").unwrap_or(clock);
    eprintln!("COSTWARDEN_KILL_SEED={seed}");
    // Instants are shares of the time that an undisturbed one takes here.
    let mut random = Random(seed);
    let mut jobs = Vec::new();
    while jobs.len() < kills() {
        for pair in world.crowd() {
            if pair.instance.is_some() {
                jobs.push((pair.clone(), Act::StopInstance, random.below(1_000)));
            }
            jobs.push((pair, Act::DeleteVolume, random.below(1_000)));
        }
    }
    jobs.truncate(kills());
    let longest = std::sync::Mutex::new(Duration::from_millis(2_500));
    let results = side_by_side(jobs, |(pair, act, share)| {
        let mut case = Case::new(world, &pair, act);
        let span = *longest.lock().expect("no case panics while it holds this");
        let mut running = case.apply(None);
        let began = std::time::Instant::now();
        std::thread::sleep(span.mul_f64(share as f64 / 1_000.0));
        let killed = running.ended().is_none();
        if killed {
            case.kill(running);
        } else {
            // It had ended: later instants of this series are drawn from a shorter span.
            let mut span = longest.lock().expect("no case panics while it holds this");
            *span = (*span).min(began.elapsed());
        }
        let place = case.state().map_or("nothing claimed", JournalState::word);
        let at_death = case.counted();
        case.past_the_lease();
        case.seen_out();
        let (state, counts) = (case.state(), case.counted());
        let message = || format!("{act}, killed at {share}/1000 of {span:?}, in {place}: {:?}", case.rows());
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
    assert!(results.len() < 50 || places.len() >= 3, "the instants do not spread: {places:?}");
}
