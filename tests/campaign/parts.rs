//! The parts of a campaign, and the lines that say how each went.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
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
/// A hundred times is what safety.md's table asks of a release; its text asks for 500, which five times these worlds play.
const EACH_POINT: u64 = 100;
const PAIRS: u64 = 5_000;
const REPLAYS: u64 = 1_000;

impl Size {
    fn of_environment() -> Size {
        let worlds = number("COSTWARDEN_WORLDS").unwrap_or(200);
        Size {
            worlds,
            crowds: worlds.div_ceil(40).next_multiple_of(5),
            pair_crowds: worlds.div_ceil(160).next_multiple_of(5),
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
    let begun = Instant::now();
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| part.contains(word.as_str()));
    let mut closing = Closing::default();
    let told = Told::default();
    if wanted("worlds") {
        worlds(&size, &told, &mut closing);
    }
    if wanted("crashes") {
        all_crashes(&size, &mut closing);
    }
    if wanted("replay") {
        replays(&size, &told, &mut closing);
    }
    if wanted("dry") && !crate::dry::all(size.worlds) {
        closing.missed.push("dry runs that change nothing".to_owned());
    }
    closing.missed.extend(crate::series::all(size.worlds, words));
    println!("campaign {} in {:.0?}", closing.words.join(" "), begun.elapsed());
    if closing.missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("MISSED: {}", closing.missed.join("; "));
    ExitCode::FAILURE
}

/// The hashes of the first worlds' stories, by seed.
type Told = Mutex<BTreeMap<u64, u64>>;

/// What the last line says.
#[derive(Default)]
struct Closing {
    words: Vec<String>,
    missed: Vec<String>,
}

impl Closing {
    /// A number that must be at least so large.
    fn number(&mut self, name: &str, number: u64, least: u64) {
        self.words.push(format!("{name}={number}(>={least})"));
        if number < least {
            self.missed.push(format!("{name} {number} of {least}"));
        }
    }

    fn none(&mut self, name: &str, number: u64) {
        self.words.push(format!("{name}={number}"));
        if number > 0 {
            self.missed.push(format!("{number} {name}"));
        }
    }
}

impl Size {
    /// A floor of the whole campaign for a run of this size. What depends on chance has half of it to play with.
    fn floor(&self, whole: u64, by_chance: bool) -> u64 {
        if self.whole {
            return whole;
        }
        whole * self.worlds / WHOLE_WORLDS / if by_chance { 2 } else { 1 }
    }
}

fn worlds(size: &Size, told: &Told, closing: &mut Closing) {
    let begun = Instant::now();
    let tally = share(1..=size.worlds, |seed| {
        let tally = run::play(seed, None);
        if seed <= size.replays {
            told.lock().expect("nobody panics with it").insert(seed, tally.hash);
        }
        tally
    });
    let floor = size.floor(EACH_KIND, true);
    let reached = |kind: &Kind| tally.reached.get(kind).copied().unwrap_or(0);
    for kind in Kind::ALL {
        let short = if reached(kind) < floor { "  TOO FEW" } else { "" };
        println!("fault {:<40} reached={}{short}", kind.word(), reached(kind));
    }
    close("worlds", &tally, begun);
    closing.missed.extend(crate::hazards::close(&tally, size.worlds));
    closing.number("worlds", tally.worlds, size.worlds);
    closing.none("violations", tally.violations.len() as u64);
    closing.number("faults", tally.faults(), size.floor(FAULTS, false));
    closing.words.push(format!("kinds={}", Kind::ALL.len()));
    if let Some(rarest) = Kind::ALL.iter().min_by_key(|kind| reached(kind)) {
        closing.number(&format!("rarest:{}", rarest.word()), reached(rarest), floor);
    }
    // Safe because it does nothing would be no proof.
    for (act, one_in) in [
        ("StopInstances", 8),
        ("DeleteVolume", 8),
        ("CreateTags", 8),
        ("ModifyInstanceAttribute", 20),
        ("ModifyVolume", 20),
        ("TerminateInstances", 60),
        ("ReleaseAddress", 60),
        ("DeleteSnapshot", 60),
        (crate::judge::drills::DRILLS, 8),
    ] {
        let done = tally.done.get(act).copied().unwrap_or(0);
        println!("alive {act} done={done}");
        closing.number(act, done, size.worlds / one_in);
    }
}

fn all_crashes(size: &Size, closing: &mut Closing) {
    let begun = Instant::now();
    let mut tally = share(1..=size.crowds, |seed| crashes::play(seed, false));
    tally.merge(share(1..=size.pair_crowds, |seed| crashes::play(1_000_000 + seed, true)));
    close("crashes", &tally, begun);
    let pairs: u64 = tally.crashes.iter().filter(|(key, _)| key.ends_with(" pair")).map(|(_, count)| count).sum();
    let singles: Vec<(&String, &u64)> = tally.crashes.iter().filter(|(key, _)| !key.ends_with(" pair")).collect();
    for (point, count) in &singles {
        println!("point {point:<48} died={count}");
    }
    closing.none("violations:crashes", tally.violations.len() as u64);
    closing.words.push(format!("points={}", singles.len()));
    let (rarest, fewest) =
        singles.iter().min_by_key(|(_, count)| **count).map_or(("none", 0), |(key, own)| (key, **own));
    closing.number(&format!("rarest:{}", rarest.replace(' ', "-")), fewest, size.floor(EACH_POINT, true).max(1));
    closing.number("pairs", pairs, size.floor(PAIRS, false));
}

/// The first worlds again, in a process of their own: what a story depends on beside its seed, such as a random id, is
/// another there.
fn replays(size: &Size, told: &Told, closing: &mut Closing) {
    let begun = Instant::now();
    let own = std::env::current_exe().expect("the path of this program");
    let output = Command::new(own).env(STORIES, size.replays.to_string()).stderr(Stdio::inherit()).output();
    let text = String::from_utf8(output.expect("this program starts again").stdout).expect("UTF-8");
    let again: BTreeMap<u64, u64> = text
        .lines()
        .filter_map(|line| {
            let (seed, hash) = line.strip_prefix("story ")?.split_once(' ')?;
            Some((seed.parse().ok()?, u64::from_str_radix(hash, 16).ok()?))
        })
        .collect();
    let told = told.lock().expect("nobody panics with it");
    let first = |seed: &u64| told.get(seed).copied().unwrap_or_else(|| run::play(*seed, None).hash);
    let other: Vec<&u64> = again.iter().filter(|(seed, hash)| first(seed) != **hash).map(|(seed, _)| seed).collect();
    println!("replay seeds={} different={} in {:.0?}", again.len(), other.len(), begun.elapsed());
    for seed in other.iter().take(3) {
        println!("    COSTWARDEN_SEED={seed}: the same seed told another story in another process");
    }
    closing.number("replayed", again.len() as u64, size.replays);
    closing.none("told-otherwise", other.len() as u64);
}

/// How many worlds' stories are wanted, one hash a line, and nothing else.
pub const STORIES: &str = "COSTWARDEN_STORIES";

/// Prints the hash of each story.
pub fn stories(count: u64) -> ExitCode {
    share(1..=count, |seed| {
        let tally = run::play(seed, None);
        println!("story {seed} {:016x}", tally.hash);
        tally
    });
    ExitCode::SUCCESS
}

/// One line for each invariant; what was violated, with its seeds.
fn close(part: &str, tally: &Tally, begun: Instant) {
    for (invariant, says) in INVARIANTS {
        let judged = tally.judged.get(invariant).copied().unwrap_or(0);
        let violations: Vec<&Violation> = tally.violations.iter().filter(|own| own.invariant == invariant).collect();
        println!("{invariant} {part} worlds={} reached={judged} violations={}  {says}", tally.worlds, violations.len());
        for own in violations.iter().take(number("COSTWARDEN_SHOW").unwrap_or(3) as usize) {
            println!("    COSTWARDEN_SEED={}: {}", own.seed, own.what);
        }
    }
    let took = begun.elapsed();
    let (worlds, violations) = (tally.worlds, tally.violations.len());
    println!(
        "{part} worlds={worlds} violations={violations} stories={:016x} in {took:.0?}; {:?}",
        tally.hash, tally.done
    );
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
