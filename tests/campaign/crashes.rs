//! Crashes at every point of every act, and a second one in the recovery.
//!
//! A crowd of resources falls due on one day. For each act the points of an undisturbed run are taken down first; then
//! act after act dies, each at the next point of that list, and its successor must bring it to an end. `detours` does the
//! same off the undisturbed walk, `early` before an act has a row, `pairs` with every second death; `points` is the list of
//! what must be reached.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use chrono::{TimeDelta, Timelike};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::mode::Pace;
use costwarden::domain::plan::Step;
use costwarden::domain::remediation::JournalState;
use costwarden::store::ACTING_LEASE;
use costwarden::worker::jobs::plan::plan;
use costwarden::worker::jobs::scan::Choice;
use costwarden::worker::supervise::Work;

use self::led::Led;
use crate::director::{Director, Gap};
use crate::faults::Deed;
use crate::judge::{ends, nights};
use crate::kinds::Kind;
use crate::people;
use crate::policies::{Class, class, people_for};
use crate::process::{Process, RESTART, context};
use crate::rng::Rng;
use crate::run::{finish, stage};
use crate::scene;
use crate::tally::Tally;

pub mod detours;
pub mod early;
mod led;
pub mod pairs;
pub mod points;

/// Seeds of each sort of crowds begin here.
pub const SINGLES: u64 = 500_000;
pub const RANDOM_PAIRS: u64 = 1_000_000;
pub const DETOURS: u64 = 2_000_000;
pub const PAIRS: u64 = 3_000_000;
pub const EARLY: u64 = 4_000_000;
const END: u64 = 5_000_000;

/// Seconds until everybody sees a change, at most, in crowds of one act.
const SOON: u32 = 20;

/// The crowd of a seed, whichever sort it is of.
pub fn crowd(seed: u64) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    match seed {
        EARLY.. => runtime.block_on(early::play(seed, seed - EARLY)),
        PAIRS.. => runtime.block_on(pairs::play(seed, seed - PAIRS)),
        DETOURS.. => runtime.block_on(detours::play(seed, seed - DETOURS)),
        RANDOM_PAIRS.. => play(seed, true),
        _ => play(seed, false),
    }
}

/// Plays the crowd of a seed again; `None` where the seed is no crowd's. `COSTWARDEN_STORY` tells its story.
pub fn replay(seed: u64) -> Option<std::process::ExitCode> {
    let tally = (SINGLES..END).contains(&seed).then(|| crowd(seed))?;
    for own in &tally.violations {
        println!("{}: {}", own.invariant, own.what);
    }
    println!("crowd seed={seed} violations={}; {:?}", tally.violations.len(), tally.crashes);
    Some(std::process::ExitCode::from(u8::from(!tally.violations.is_empty())))
}

/// A crowd of one act alone, at its start. The cloud shows everything soon: which points are passed is not left to chance.
fn crowd_of_one(seed: u64, act: Act, size: usize) -> Arc<Director> {
    let mut scene = scene::crowd_with(seed, &[(act, size)]);
    let (least, most) = scene.world.timing.visibility_lag;
    scene.world.timing.visibility_lag = (least.min(SOON), most.min(SOON));
    scene.lag = scene.lag.min(TimeDelta::seconds(i64::from(SOON)));
    let director = stage(Arc::new(scene));
    director.told.store(std::env::var_os("COSTWARDEN_STORY").is_some(), SeqCst);
    director
}

/// One world of crashes; in pairs, or one for each act.
pub fn play(seed: u64, pairs: bool) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let director = stage(Arc::new(scene::crowd(seed)));
        director.told.store(std::env::var_os("COSTWARDEN_STORY").is_some(), SeqCst);
        fall_due(&director).await;
        let mut rng = Rng::new(seed, "crashes");
        for act in scene::crowd_of(seed) {
            die_often(&director, *act, pairs, scene::crowds_before(seed), &mut rng).await;
        }
        ends::judge(&director);
        finish(&director)
    })
}

/// Scans until everything is due.
pub async fn fall_due(director: &Arc<Director>) {
    people::arm(director);
    let start = director.scene.world.start;
    for day in [0, 5, 10, 15, 16] {
        director.pass_to(start + TimeDelta::days(day) + TimeDelta::hours(2));
        scan(director).await;
    }
    // After the grace of the last notice.
    director.pass_to(director.truth.now() + TimeDelta::minutes(5));
}

pub async fn scan(director: &Arc<Director>) {
    let Some(process) = Process::start(director, 1) else { return };
    let before = nights::before_scan(director);
    let scanned = process.nightly.scan_night(&Choice::default(), &Work::default()).await;
    if director.dead.load(SeqCst) {
        return;
    }
    nights::after_scan(director, before, scanned.is_ok());
    let _ = process.nightly.deliver().await;
    director.note_mail();
}

/// The lease of a process that died after everything was done runs out.
pub fn wait_for_the_lease(director: &Director) {
    if let Ok(Some(lease)) = director.store.lease(ACTING_LEASE)
        && !lease.holder.is_empty()
    {
        director.pass_to(lease.expires_at);
    }
}

/// Every act of one class, none of the others.
pub fn only(act: Act) -> Pace {
    let all = |own: Class| if own == class(act) { 10_000 } else { 0 };
    Pace {
        destructive_per_run: all(Class::Destructive),
        disruptive_per_run: all(Class::Disruptive),
        destructive_per_day: 10_000,
        tags_per_run: all(Class::Tag),
        percent_of_kind_per_day: 100,
    }
}

/// The steps of one act, once people have said yes where they must.
pub async fn planned(director: &Arc<Director>, act: Act) -> Option<(String, Vec<Step>)> {
    let mut made = plan(&context(director), true).await.ok()?;
    if people_for(act, 0) > 0 {
        people::all_say_yes(director);
        made = plan(&context(director), true).await.ok()?;
    }
    let steps = made.plan.steps.into_iter().filter(|step| step.act == act).collect();
    Some((made.plan.id, steps))
}

async fn die_often(director: &Arc<Director>, act: Act, pairs: bool, before: u64, rng: &mut Rng) {
    director.with(|inner| inner.book.pace = only(act));
    scan(director).await;
    let Some((id, steps)) = planned(director, act).await else { return };
    let mut steps = steps.into_iter();
    director.with(|inner| inner.trace = Some(Vec::new()));
    people::apply(director, 10, &id, steps.next().as_slice()).await;
    let points = director.with(|inner| inner.trace.take()).unwrap_or_default();
    if points.is_empty() {
        director.judge("I20", Some(format!("no {act} was done although all of them are due")));
        return;
    }
    // Points by their names: reads that are repeated pass one many times.
    let mut names: Vec<&String> = points.iter().collect();
    names.sort();
    names.dedup();
    // Each crowd goes on where the one before it ended.
    let first = before as usize * steps.len() % names.len();
    for (number, step) in steps.enumerate() {
        late_to_bed(director).await;
        let process = 100 + 10 * number as u32;
        if pairs {
            let index = rng.below(points.len() as u64) as usize;
            // A recovery passes fewer points than the act it goes on with.
            let death = Death { act, point: &points[index], index: index as u32, again: rng.between(1, 10) as u32 };
            die_once(director, &death, &id, &step, process).await;
            continue;
        }
        let name = names[(first + number) % names.len()];
        let times = points.iter().filter(|point| *point == name).count() as u64;
        let time = if rng.chance(50) { 1 } else { 1 + rng.below(times) as usize };
        let led = Led { act, detour: None, first: Some((name.clone(), time)), second: None };
        if led::lead(director, &led, &id, &step, process).await.deaths > 0 {
            director.with(|inner| *inner.tally.crashes.entry(led.point(name)).or_default() += 1);
        }
    }
}

/// The window closes for a minute at midnight; nobody begins right before it.
pub async fn late_to_bed(director: &Arc<Director>) {
    let now = director.truth.now();
    if now.hour() >= 22 {
        director.pass_to(now + TimeDelta::minutes(125));
        scan(director).await;
    }
}

/// How a process and its successor die.
struct Death<'a> {
    act: Act,
    point: &'a str,
    index: u32,
    /// The successor dies at its n-th point.
    again: u32,
}

/// An act dies at a point, and its successor, or the successor of that one, ends it.
async fn die_once(director: &Arc<Director>, death: &Death<'_>, plan: &str, step: &Step, process: u32) {
    let Death { act, point, index, again } = *death;
    let passes = director.passes();
    let (kind, deed) = (Kind::CrashPair, Deed::CrashTwice(again));
    director.with(|inner| inner.gaps.push(Gap { pass: passes + index + 1, kind, deed, tries: 0 }));
    people::apply(director, process, plan, std::slice::from_ref(step)).await;
    if !director.dead.load(SeqCst) {
        director.with(|inner| inner.gaps.clear());
        return;
    }
    let died = director.truth.now();
    let deaths = succeeded(director, process, 8).await;
    if deaths > 1 {
        director.with(|inner| *inner.tally.crashes.entry(format!("{act} pair")).or_default() += 1);
    }
    judge_recovery(director, &format!("{act} at {point}"), died, deaths);
    settle(director, act, point);
}

/// I15: soon after a death, nothing is open.
fn judge_recovery(director: &Director, name: &str, died: Instant, deaths: u32) {
    // The lease of the dead runs out first, once for each of them; then fifteen minutes, and the snapshots' time.
    let most = TimeDelta::minutes(16 * i64::from(deaths) + 15 + 5);
    let took = director.truth.now() - died;
    director.judge("I15", (took > most).then(|| format!("{name}: recovery took {} min", took.num_minutes())));
    for open in director.store.open_remediations().unwrap_or_default() {
        director.judge("I15", Some(format!("{name}: r-{} is open: {}", open.id, open.message)));
    }
}

/// Successors of a dead process, so many at most, until one lives. Says how many died before it.
pub async fn succeeded(director: &Arc<Director>, process: u32, most: u32) -> u32 {
    let mut deaths = 0;
    while director.dead.load(SeqCst) && deaths < most {
        deaths += 1;
        director.dead.store(false, SeqCst);
        director.acting.store(false, SeqCst);
        director.pass_to(director.truth.now() + RESTART);
        if let Some(mut next) = Process::start(director, process + deaths) {
            next.boot().await;
            let _ = next.nightly.deliver().await;
            director.note_mail();
        }
    }
    director.dead.store(false, SeqCst);
    deaths
}

/// Only a call that nobody made leaves something stuck; people look at it and go on.
fn settle(director: &Arc<Director>, act: Act, point: &str) {
    let stuck = director.store.stuck_remediations().unwrap_or_default();
    for row in &stuck {
        let done = director.with(|inner| inner.book.sent.iter().any(|own| own.row == row.id && own.effective));
        // A resize that two deaths kept from its end is left to people, who are told.
        let done = done && row.parts.len() < 2;
        let why = format!("{act} at {point}: r-{} was done and is stuck: {}", row.id, row.message);
        director.judge("I15", done.then_some(why));
    }
    for row in director
        .store
        .remediations_between(director.truth.now() - TimeDelta::hours(2), director.truth.now())
        .unwrap_or_default()
    {
        let sent = director.with(|inner| inner.book.sent.iter().any(|own| own.row == row.id && own.effective));
        let lies = row.state == JournalState::Done && !sent;
        director.judge("I18", lies.then(|| format!("{act} at {point}: r-{} is told as done", row.id)));
    }
    let now = director.wall.now();
    for row in stuck {
        let _ = director.store.settle_stuck(row.id, "eve", "looked at", now);
    }
    let _ = director.store.unfreeze("eve", now);
    wait_for_the_lease(director);
}
