//! The parts of a campaign, and the lines that say how each went.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::crashes::points;
use crate::judge::INVARIANTS;
use crate::kinds::Kind;
use crate::policies::ACTS;
use crate::tally::{Tally, Violation};
use crate::{crashes, number, run};

/// How much is played, and what must be reached.
struct Size {
    worlds: u64,
    crowds: u64,
    /// Pairs of crashes by chance.
    pair_crowds: u64,
    /// First points of which every pair is played.
    all_pairs: u64,
    /// Rounds of the detours, and of what comes before an act's row.
    rounds: u64,
    early_rounds: u64,
    replays: u64,
    /// The whole campaign: its floors hold.
    whole: bool,
}

/// The whole campaign, which every run of `.ci/run` plays, and that of a release (safety.md, "Numbers to aim at").
const WHOLE_WORLDS: u64 = 20_000;
const RELEASE_WORLDS: u64 = 1_000_000;

/// A number of the whole campaign, and of a release.
type Floor = (u64, u64);

const FAULTS: Floor = (400_000, 20_000_000);
const EACH_KIND: Floor = (1_000, 50_000);
/// A hundred times each is what safety.md's table asks of a release, and five hundred its text of the undisturbed walk.
const EACH_POINT: Floor = (100, 500);
const EACH_DETOUR: Floor = (5, 100);
const PAIRS: u64 = 5_000;
const REPLAYS: Floor = (1_000, 10_000);
/// What is played for that.
const CROWDS: Floor = (500, 2_500);
const ROUNDS: Floor = (10, 200);
const EARLY_ROUNDS: Floor = (2, 100);

impl Size {
    fn of_environment() -> Size {
        let worlds = number("COSTWARDEN_WORLDS").unwrap_or(200);
        let whole = worlds >= WHOLE_WORLDS;
        let grown = |floor| grown(worlds, floor);
        Size {
            worlds,
            crowds: grown(CROWDS).next_multiple_of(5),
            pair_crowds: worlds.min(WHOLE_WORLDS).div_ceil(160).next_multiple_of(5),
            all_pairs: grown((0, crashes::pairs::firsts().len() as u64)),
            rounds: grown(ROUNDS),
            early_rounds: grown(EARLY_ROUNDS),
            replays: grown(REPLAYS).max(1),
            whole,
        }
    }
}

/// What a run of so many worlds has of a number: its share up to the whole campaign, and from there to a release's in
/// proportion.
fn grown(worlds: u64, (whole, release): Floor) -> u64 {
    match worlds.checked_sub(WHOLE_WORLDS) {
        None => whole * worlds / WHOLE_WORLDS,
        Some(more) => {
            whole + (release - whole) * more.min(RELEASE_WORLDS - WHOLE_WORLDS) / (RELEASE_WORLDS - WHOLE_WORLDS)
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
    // By its name every pair, without it a share of them that grows to all of a release's.
    let named = words.iter().any(|word| word == "pairs");
    let firsts = if named { crashes::pairs::firsts().len() as u64 } else { size.all_pairs };
    if wanted("pairs") && firsts > 0 {
        all_pairs(firsts, &mut closing);
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
    /// Whether this run is long enough to come by a point for certain.
    fn asks_for(&self, point: &str) -> bool {
        (self.rounds > 0 || !points::led(point)) && (self.early_rounds > 0 || !points::early(point))
    }

    /// A floor for a run of this size. What depends on chance has half of it to play with in a short one.
    fn floor(&self, floor: Floor, by_chance: bool) -> u64 {
        grown(self.worlds, floor) / if by_chance && !self.whole { 2 } else { 1 }
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
    let crowds = |first: u64, count: u64| share(first..=first + count - 1, crashes::crowd);
    let mut tally = crowds(crashes::SINGLES + 1, size.crowds);
    tally.merge(crowds(crashes::RANDOM_PAIRS + 1, size.pair_crowds));
    println!("crowds of single points and pairs in {:.0?}", begun.elapsed());
    // A run that is too short for a round plays one crowd of each.
    tally.merge(crowds(crashes::DETOURS, (size.rounds * crashes::detours::round().len() as u64).max(1)));
    tally.merge(crowds(crashes::EARLY, (size.early_rounds * ACTS.len() as u64).max(1)));
    close("crashes", &tally, begun);
    let pairs: u64 = tally.crashes.iter().filter(|(key, _)| key.ends_with(" pair")).map(|(_, count)| count).sum();
    let singles = points::singles(&tally.crashes);
    for (point, count) in &singles {
        println!("point {point:<48} died={count}");
    }
    closing.none("violations:crashes", tally.violations.len() as u64);
    let (missing, strange) = points::compare(&singles);
    let missing = missing.into_iter().filter(|point| size.asks_for(point)).collect::<Vec<_>>();
    for (sort, some) in [("missing", &missing), ("not on the list", &strange)] {
        some.iter().for_each(|point| println!("point {point:<48} {sort}"));
    }
    let least = points::expected().into_iter().filter(|point| size.asks_for(point)).count() as u64;
    closing.number("points", singles.len() as u64, least);
    closing.none("points-missing", missing.len() as u64);
    closing.none("points-not-on-the-list", strange.len() as u64);
    type Sort = fn(&str) -> bool;
    let sorts: [(&str, Sort, u64); 3] = [
        ("rarest", |point| !points::led(point) && !points::early(point), size.floor(EACH_POINT, true).max(1)),
        ("rarest-detour", points::led, size.floor(EACH_DETOUR, true)),
        ("rarest-early", points::early, size.early_rounds),
    ];
    for (word, is, least) in sorts {
        let own = singles.iter().filter(|(point, _)| is(point)).min_by_key(|(_, count)| **count);
        let (rarest, fewest) = own.map_or(("none", 0), |(point, count)| (point, *count));
        closing.number(&format!("{word}:{}", rarest.replace(' ', "-")), fewest, least);
    }
    closing.number("pairs", pairs, grown(size.worlds.min(WHOLE_WORLDS), (PAIRS, PAIRS)));
}

/// Every pair of so many first points.
fn all_pairs(firsts: u64, closing: &mut Closing) {
    let begun = Instant::now();
    let tally = share(crashes::PAIRS..=crashes::PAIRS + firsts - 1, crashes::crowd);
    close("pairs", &tally, begun);
    let pairs: Vec<(&String, &u64)> =
        tally.crashes.iter().filter(|(key, _)| key.contains(crashes::pairs::BETWEEN)).collect();
    let reached = pairs.iter().filter(|(_, count)| **count > 0).count();
    for (pair, _) in pairs.iter().filter(|(_, count)| **count == 0) {
        println!("pair {pair} not reached");
    }
    println!(
        "pairs={reached} of {} distinct, of {firsts} first points of {}",
        pairs.len(),
        crashes::pairs::firsts().len()
    );
    closing.none("violations:pairs", tally.violations.len() as u64);
    closing.number("distinct-pairs", reached as u64, pairs.len().max(1) as u64);
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
