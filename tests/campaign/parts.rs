//! The parts of a campaign, and the lines that say how each went.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::judge::INVARIANTS;
use crate::kinds::Kind;
use crate::tally::{Tally, Violation};
use crate::{crashes, number, run};

/// How much is played, and what must be reached.
struct Size {
    worlds: u64,
    crowds: u64,
    pair_crowds: u64,
    replays: u64,
    /// The whole campaign: its floors hold.
    whole: bool,
}

/// Floors of the whole campaign (safety.md, "Numbers to aim at").
const WHOLE_WORLDS: u64 = 20_000;
const FAULTS: u64 = 400_000;
const EACH_KIND: u64 = 1_000;
const EACH_POINT: u64 = 500;
const PAIRS: u64 = 5_000;
const REPLAYS: u64 = 1_000;

impl Size {
    fn of_environment() -> Size {
        let worlds = number("COSTWARDEN_WORLDS").unwrap_or(200);
        Size {
            worlds,
            crowds: worlds.div_ceil(35),
            pair_crowds: worlds.div_ceil(120),
            replays: (worlds / 20).clamp(1, REPLAYS),
            whole: worlds >= WHOLE_WORLDS,
        }
    }
}

/// Plays the parts that `words` name, all of them without words.
pub fn run(words: &[String]) -> ExitCode {
    let size = Size::of_environment();
    #[cfg(feature = "planted")]
    if std::env::var_os("COSTWARDEN_PLANTED").is_some() {
        return if crate::planted::all(words) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| part.contains(word.as_str()));
    let mut good = true;
    if wanted("worlds") {
        good &= worlds(&size);
    }
    if wanted("crashes") {
        good &= all_crashes(&size);
    }
    if wanted("replay") {
        good &= replays(&size);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn worlds(size: &Size) -> bool {
    let begun = Instant::now();
    let tally = share(1..=size.worlds, |seed| run::play(seed, None));
    let mut good = true;
    for kind in Kind::ALL {
        let reached = tally.reached.get(kind).copied().unwrap_or(0);
        let floor = if size.whole { EACH_KIND } else { u64::from(size.worlds >= 300) };
        let short = reached < floor;
        good &= !short;
        println!("fault {:<40} reached={reached}{}", kind.word(), if short { "  TOO FEW" } else { "" });
    }
    good &= close("worlds", &tally, begun);
    let floor = if size.whole { FAULTS } else { size.worlds * 10 };
    let short = tally.faults() < floor;
    good &= !short;
    println!("faults reached={} at least={floor}{}", tally.faults(), if short { "  TOO FEW" } else { "" });
    for act in ["StopInstances", "DeleteVolume", "CreateTags"] {
        let done = tally.done.get(act).copied().unwrap_or(0);
        let short = done * 8 < size.worlds;
        good &= !short;
        println!("alive {act} done={done}{}", if short { "  TOO FEW: safe because it does nothing" } else { "" });
    }
    good
}

fn all_crashes(size: &Size) -> bool {
    let begun = Instant::now();
    let mut tally = share(1..=size.crowds, |seed| crashes::play(seed, false));
    tally.merge(share(1..=size.pair_crowds, |seed| crashes::play(1_000_000 + seed, true)));
    let mut good = close("crashes", &tally, begun);
    let pairs: u64 = tally.crashes.iter().filter(|(key, _)| key.ends_with(" pair")).map(|(_, count)| count).sum();
    let singles = tally.crashes.iter().filter(|(key, _)| !key.ends_with(" pair"));
    let (points, fewest) = singles.fold((0, u64::MAX), |(points, fewest), (_, count)| (points + 1, fewest.min(*count)));
    let short = size.whole && (fewest < EACH_POINT || pairs < PAIRS);
    good &= !short && points > 0;
    println!("crash points={points} fewest={fewest} pairs={pairs}{}", if short { "  TOO FEW" } else { "" });
    good
}

fn replays(size: &Size) -> bool {
    let begun = Instant::now();
    let tally = share(1..=size.replays, |seed| {
        let (first, second) = (run::play(seed, None), run::play(seed, None));
        let same = first.hash == second.hash;
        let what = "the same seed told another story".to_owned();
        let violations = if same { Vec::new() } else { vec![Violation { invariant: "replay", seed, what }] };
        Tally { worlds: 1, violations, ..Tally::default() }
    });
    println!("replay seeds={} different={} in {:.0?}", tally.worlds, tally.violations.len(), begun.elapsed());
    tally.violations.is_empty()
}

/// One line for each invariant; what was violated, with its seeds.
fn close(part: &str, tally: &Tally, begun: Instant) -> bool {
    for (invariant, says) in INVARIANTS {
        let judged = tally.judged.get(invariant).copied().unwrap_or(0);
        let violations: Vec<&Violation> = tally.violations.iter().filter(|own| own.invariant == invariant).collect();
        println!("{invariant} {part} worlds={} reached={judged} violations={}  {says}", tally.worlds, violations.len());
        for own in violations.iter().take(number("COSTWARDEN_SHOW").unwrap_or(3) as usize) {
            println!("    COSTWARDEN_SEED={}: {}", own.seed, own.what);
        }
    }
    let took = begun.elapsed();
    println!("{part} worlds={} violations={} in {took:.0?}; {:?}", tally.worlds, tally.violations.len(), tally.done);
    tally.violations.is_empty()
}

/// Plays seeds on as many threads as there are cores.
pub fn share(seeds: std::ops::RangeInclusive<u64>, play: impl Fn(u64) -> Tally + Sync) -> Tally {
    let next = AtomicU64::new(*seeds.start());
    let threads = number("COSTWARDEN_THREADS").unwrap_or(2);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed > *seeds.end() {
                return tally;
            }
            tally.merge(play(seed));
        }
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            total.merge(thread.join().expect("a world panicked; its seed is the last one printed"));
        }
    });
    total
}
