//! One hazard at a time, in numbers: crowds in which what the hazard is about happens to every single resource.
//!
//! The worlds reach a hazard as chance wants it; here each case is made. Everything is the program's own (plan, journal,
//! gate, act slots), and every request is judged by the campaign's invariants besides what each series judges by itself.
//! Each prints one closing line and fails when a case is missing or anything is violated. `COSTWARDEN_SEED` replays a crowd with
//! its story.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use chrono::TimeDelta;
use costwarden::domain::finding::Act;
use costwarden::domain::mode::Pace;
use costwarden::domain::plan::Step;
use costwarden::store::ACTING_LEASE;
use costwarden::worker::jobs::plan::plan;

use crate::director::{Director, Witness};
use crate::parts::share;
use crate::process::{Process, context};
use crate::rng::Rng;
use crate::run::{finish, stage};
use crate::tally::Tally;
use crate::{crashes, people, scene};

mod keeps;
mod resizes;
mod reversals;
mod sights;
mod tags;
mod unused;
mod volumes;

/// Worlds of the whole campaign, of which these series take their share.
const WHOLE_WORLDS: u64 = 20_000;
/// Seeds of the first series begin here, those of each further one so many later.
const FIRST: u64 = 8_000_000;
const APART: u64 = 100_000;

/// One series.
struct Series {
    hazard: &'static str,
    /// Cases of the whole campaign (safety.md, the hazard's last column).
    whole: u64,
    /// Cases of each sort, of those: chance apart.
    each: u64,
    /// Cases that one crowd surely reaches.
    in_one: u64,
    play: fn(u64) -> Tally,
}

const ALL: [Series; 7] = [
    Series { hazard: "H13", whole: 5_000, each: 600, in_one: 20, play: volumes::play },
    Series { hazard: "H17", whole: 5_000, each: 1_000, in_one: 32, play: unused::play },
    Series { hazard: "H21", whole: 9_000, each: 1_000, in_one: 22, play: resizes::play },
    Series { hazard: "H25", whole: 5_000, each: 100, in_one: 50, play: reversals::play },
    Series { hazard: "H26", whole: 2_000, each: 400, in_one: 20, play: keeps::play },
    Series { hazard: "H27", whole: 5_000, each: 500, in_one: 39, play: tags::play },
    Series { hazard: "H28", whole: 5_000, each: 2_000, in_one: 38, play: sights::play },
];

/// Plays every series that `words` name, all of them without; what was missed, in words.
pub fn all(worlds: u64, words: &[String]) -> Vec<String> {
    let mut missed = Vec::new();
    for (number, series) in ALL.iter().enumerate() {
        let named = words.iter().any(|word| word.eq_ignore_ascii_case(series.hazard));
        let whole_part = words.is_empty() || words.iter().any(|word| "series".contains(word.as_str()));
        if named || whole_part {
            missed.extend(series.run(worlds, FIRST + APART * number as u64));
        }
    }
    missed
}

/// Seeds of all crowds that the whole campaign plays of a hazard's series, and how one is played.
#[cfg(feature = "planted")]
pub fn crowds(hazard: &str) -> Option<(std::ops::RangeInclusive<u64>, fn(u64) -> Tally)> {
    let number = ALL.iter().position(|series| series.hazard == hazard)?;
    let (series, first) = (&ALL[number], FIRST + APART * number as u64);
    Some((first..=first + series.whole.div_ceil(series.in_one) - 1, series.play))
}

/// Every hazard that has a series.
#[cfg(feature = "planted")]
pub fn hazards() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|series| series.hazard)
}

/// Plays the one crowd of a seed again with its story; `None` where the seed is no series'.
pub fn replay(seed: u64) -> Option<std::process::ExitCode> {
    let series = ALL.get(usize::try_from(seed.checked_sub(FIRST)? / APART).ok()?)?;
    ALOUD.store(true, SeqCst);
    let tally = (series.play)(seed);
    for own in &tally.violations {
        println!("{}: {} {}", series.hazard, own.invariant, own.what);
    }
    println!("{} seed={seed} violations={}; {:?}", series.hazard, tally.violations.len(), tally.done);
    Some(std::process::ExitCode::from(u8::from(!tally.violations.is_empty())))
}

/// Somebody reads along.
static ALOUD: AtomicBool = AtomicBool::new(false);

impl Series {
    fn run(&self, worlds: u64, first: u64) -> Option<String> {
        let begun = Instant::now();
        let cases = (self.whole * worlds.min(WHOLE_WORLDS) / WHOLE_WORLDS).max(1);
        let crowds = cases.div_ceil(self.in_one);
        let tally = share(first..=first + crowds - 1, self.play);
        for own in tally.violations.iter().take(3) {
            println!("    {} COSTWARDEN_SEED={}: {} {}", self.hazard, own.seed, own.invariant, own.what);
        }
        let count = |key: &str| tally.done.get(key).copied().unwrap_or(0);
        let reached = count(CASE);
        let sorts: Vec<(&str, u64)> =
            tally.done.iter().filter_map(|(key, count)| Some((key.strip_prefix(SORT)?, *count))).collect();
        // A short run has half of its share to play with, and none when that is less than one.
        let each = if worlds >= WHOLE_WORLDS { self.each } else { self.each * worlds / WHOLE_WORLDS / 2 };
        let few = reached < cases || sorts.iter().any(|(_, count)| *count < each);
        println!(
            "{} worlds={} reached={reached}(>={cases}) violations={} in {:.0?}; {}{}",
            self.hazard,
            tally.worlds,
            tally.violations.len(),
            begun.elapsed(),
            sorts.iter().map(|(sort, count)| format!("{sort} {count}")).collect::<Vec<_>>().join(", "),
            if few { "  TOO FEW" } else { "" }
        );
        let bad = few || !tally.violations.is_empty();
        bad.then(|| format!("{} {reached} of {cases} with {} violations", self.hazard, tally.violations.len()))
    }
}

/// What a series counts its cases under, and each sort of them.
const CASE: &str = "case";
const SORT: &str = "case: ";

/// A case was reached: its fault bit.
fn reached(director: &Director, sort: &str) {
    director.with(|inner| {
        inner.tally.did(CASE, 1);
        inner.tally.did(format!("{SORT}{sort}"), 1);
    });
}

/// Plays a crowd, in which everything has fallen due, and counts what it brought.
fn played(seed: u64, sizes: &[(Act, usize)], play: impl AsyncFnOnce(&Arc<Director>, &mut Rng)) -> Tally {
    played_in(scene::crowd_with(seed, sizes), play)
}

fn played_in(scene: scene::Scene, play: impl AsyncFnOnce(&Arc<Director>, &mut Rng)) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut rng = Rng::new(scene.seed, "series");
        let director = stage(Arc::new(scene));
        director.told.store(ALOUD.load(SeqCst), SeqCst);
        director.with(|inner| inner.book.pace = everything());
        crashes::fall_due(&director).await;
        play(&director, &mut rng).await;
        finish(&director)
    })
}

/// Room for all that a crowd is due for.
fn everything() -> Pace {
    Pace {
        destructive_per_run: 10_000,
        disruptive_per_run: 10_000,
        destructive_per_day: 10_000,
        tags_per_run: 10_000,
        percent_of_kind_per_day: 100,
    }
}

/// What is due now, as a person would apply it.
async fn due(director: &Arc<Director>) -> (String, Vec<Step>) {
    let made = plan(&context(director), true).await.expect("a plan is made");
    (made.plan.id.clone(), made.plan.steps)
}

/// Applies one step while `witness` looks at its points; a killed process has its successors. How often it died.
async fn apply(
    director: &Arc<Director>,
    plan: &str,
    step: &Step,
    process: u32,
    witness: impl Fn(&Director, &str) -> bool + Send + Sync + 'static,
) -> u32 {
    let witness: Arc<Witness> = Arc::new(witness);
    director.with(|inner| inner.witness = Some(witness));
    people::apply(director, process, plan, std::slice::from_ref(step)).await;
    let deaths = crashes::succeeded(director, process, 4).await;
    director.with(|inner| inner.witness = None);
    deliver(director).await;
    deaths
}

/// The outbox is worked through.
async fn deliver(director: &Arc<Director>) {
    if let Some(process) = Process::start(director, 1) {
        let _ = process.nightly.deliver().await;
        director.note_mail();
    }
}

/// People look at what is stuck, lift the freeze, and the lease of a dead process runs out.
fn settle(director: &Director) {
    let now = director.wall.now();
    for row in director.store.stuck_remediations().unwrap_or_default() {
        let _ = director.store.settle_stuck(row.id, "eve", "looked at", now);
    }
    let _ = director.store.unfreeze("eve", now);
    if let Ok(Some(lease)) = director.store.lease(ACTING_LEASE)
        && !lease.holder.is_empty()
    {
        director.pass_to(lease.expires_at);
    }
}

/// The plan is made anew when it is a day old, and nobody begins right before midnight.
async fn fresh_day(director: &Arc<Director>, since: &mut costwarden::domain::Instant) {
    let now = director.truth.now();
    if now - *since > TimeDelta::hours(20) || chrono::Timelike::hour(&now) >= 22 {
        director.pass_to(now + TimeDelta::minutes(125));
        crashes::scan(director).await;
        *since = director.truth.now();
    }
}
