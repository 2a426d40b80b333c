//! H19: dry runs write nothing. Worlds are played for some days, with the cloud's faults and no others; then somebody
//! does everything that can be done dry on the state file of that moment, as the commands do it: a copy in memory, a
//! reader, and nothing that could act or send. Judged by the account's own log, the file's bytes and the mails.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant as Monotonic;

use chrono::TimeDelta;
use costwarden::clock::Clock;
use costwarden::cloud::CloudRead;
use costwarden::cloud::sim::{Effect, Fault, Span};
use costwarden::domain::Instant;
use costwarden::domain::report::ReportKind;
use costwarden::remediate::Recheck;
use costwarden::remediate::undo::preview::preview;
use costwarden::store::{FILE_NAME, Store};
use costwarden::worker::context::Context;
use costwarden::worker::jobs::notices::notices;
use costwarden::worker::jobs::plan::plan;
use costwarden::worker::jobs::report;
use costwarden::worker::jobs::scan::{Choice, scan};
use costwarden::worker::recheck::FreshFacts;
use costwarden::worker::schedule::{Job, Schedule};
use costwarden::worker::supervise::Work;

use crate::director::Director;
use crate::faults::{Planned, What};
use crate::kinds::Kind;
use crate::parts::share;
use crate::process::{Process, context};
use crate::rng::Rng;
use crate::tally::{Tally, Violation};
use crate::{people, run, scene};

/// Dry runs at most (safety.md, H19): a release's number, which five times the whole campaign's worlds play.
const MOST: u64 = 5_000;
/// Seeds of this part's worlds begin here.
const FIRST: u64 = 7_000_000;

/// What the dry runs of all worlds did, beside their violations.
#[derive(Default)]
struct Counts {
    steps: AtomicU64,
    undone: AtomicU64,
    reads: AtomicU64,
    reached: AtomicU64,
}

/// A twentieth as many worlds as the campaign has, and its closing line.
pub fn all(worlds: u64) -> bool {
    let begun = Monotonic::now();
    let worlds = (worlds / 20).clamp(10, MOST);
    let counts = Counts::default();
    let tally = share(FIRST..=FIRST + worlds - 1, |seed| play(seed, &counts));
    let [steps, undone, reads, reached] =
        [&counts.steps, &counts.undone, &counts.reads, &counts.reached].map(|count| count.load(SeqCst));
    for own in tally.violations.iter().take(3) {
        println!("    dry seed {}: {}", own.seed, own.what);
    }
    // What had nothing to do proves nothing.
    let idle = steps * 5 < worlds || undone * 5 < worlds || reached * 2 < worlds;
    println!(
        "H19 worlds={} reached={reached} violations={} in {:.0?}; {steps} steps planned, {undone} undos shown, {reads} \
         reads{}",
        tally.worlds,
        tally.violations.len(),
        begun.elapsed(),
        if idle { "  TOO LITTLE TO DO" } else { "" }
    );
    tally.violations.is_empty() && !idle
}

fn play(seed: u64, counts: &Counts) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut scene = scene::make(seed, None);
    scene.planned.retain(|planned| matches!(planned.what, What::Cloud(_)));
    let mut rng = Rng::new(seed, "dry");
    let violations = runtime.block_on(async {
        let schedule = Schedule::new(&scene.settings.schedule, scene.settings.zone).expect("good patterns");
        let slots = schedule.slots_between(Job::Act, scene.world.start + TimeDelta::days(4), scene.end);
        let slot = if slots.is_empty() { scene.end } else { *rng.pick(&slots[..slots.len().min(14)]) };
        // Before the acts of a day, or after them, when something can be taken back.
        let moment = slot + TimeDelta::minutes(*rng.pick(&[-5, 90]));
        if rng.chance(80) {
            scene.planned.push(Planned { kind: Kind::Denied, what: What::Cloud(at_that_moment(&mut rng, moment)) });
        }
        let director = run::stage(Arc::new(scene));
        people::arm(&director);
        lived_until(&director, moment).await;
        dry(&director, counts).await
    });
    let violation = |what| Violation { invariant: "H19", seed, what };
    Tally { worlds: 1, violations: violations.into_iter().map(violation).collect(), ..Tally::default() }
}

/// A read that fails while the dry run goes on, and not before.
fn at_that_moment(rng: &mut Rng, moment: Instant) -> Fault {
    let operation = *rng.pick(&["DescribeInstances", "DescribeVolumes", "DescribeSnapshots", "GetMetricData"]);
    let effects = [Effect::Deny, Effect::Throttle, Effect::Unavailable, Effect::Timeout, Effect::Expired];
    let span = Span { from: Some(moment), until: Some(moment + TimeDelta::hours(1)) };
    Fault { span, ..Fault::on(operation, rng.pick(&effects).clone()) }
}

/// The worker at its slots.
async fn lived_until(director: &Arc<Director>, end: Instant) {
    let mut process = Process::start(director, 1).expect("the state is new");
    process.boot().await;
    while let Some(next) = process.next_look().filter(|next| *next < end) {
        director.pass_to(next.max(director.truth.now()));
        process.tick().await;
    }
    director.pass_to(end);
}

/// Everything dry, and what it left behind.
async fn dry(director: &Arc<Director>, counts: &Counts) -> Vec<String> {
    let home = tempfile::tempdir().expect("a temporary folder");
    let file = home.path().join(FILE_NAME);
    director.store.save_to(&file).expect("the state is saved");
    let hits: u64 = director.cloud.fault_hits().iter().sum();
    let calls = director.cloud.calls().len();
    let before = (files(home.path()), director.mail.sent().len());

    let copy = Store::open_read_only(&file).and_then(|store| store.throwaway_copy()).expect("the state is read");
    let reader: Arc<dyn CloudRead> = Arc::new(director.cloud.reader());
    let clock = Clock::virtual_at(director.truth.now());
    let cx = Context { store: Arc::new(copy), cloud: reader, clock, ..context(director) };
    commands(&cx, counts).await;

    let made = director.cloud.calls().split_off(calls);
    counts.reads.fetch_add(made.len() as u64, SeqCst);
    if director.cloud.fault_hits().iter().sum::<u64>() > hits {
        counts.reached.fetch_add(1, SeqCst);
    }
    let reading = |operation: &str| ["Describe", "Get", "List"].iter().any(|word| operation.starts_with(word));
    let changing = made.iter().filter(|call| call.mutating() || !reading(&call.operation));
    let mut wrong: Vec<String> =
        changing.map(|call| format!("it called {} {:?}", call.operation, call.target)).collect();
    if files(home.path()) != before.0 {
        wrong.push("the state file changed".to_owned());
    }
    if director.mail.sent().len() != before.1 {
        wrong.push("a mail left".to_owned());
    }
    wrong
}

/// What `run --dry-run`, `plan` and the dry runs of `apply` and `actions undo` do.
async fn commands(cx: &Context, counts: &Counts) {
    let first = plan(cx, true).await;
    if let Ok(scanned) = scan(cx, &Choice::default(), &Work::default()).await {
        let _ = notices(cx, &scanned.scan.id);
    }
    let second = plan(cx, false).await;
    let _ = report::make(cx, ReportKind::Daily);
    let steps: Vec<_> = [first, second].into_iter().flatten().flat_map(|outcome| outcome.plan.steps).collect();
    counts.steps.fetch_add(steps.len() as u64, SeqCst);
    let again = FreshFacts::new(cx.clone());
    for step in &steps {
        if let Ok(fresh) = cx.cloud.describe(&step.key).await {
            let _ = again.still_violates(step, &fresh).await;
        }
    }
    let now = cx.clock.now();
    for act in cx.store.remediations_between(chrono::DateTime::UNIX_EPOCH, now + TimeDelta::days(1)).unwrap_or_default()
    {
        if let Ok(Ok(_)) = preview(&cx.store, &*cx.cloud, &cx.guard_rules(), &cx.prices, act.id, now).await {
            counts.undone.fetch_add(1, SeqCst);
        }
    }
}

/// Every file with its bytes, but the index and the empty log that SQLite makes by reading alone.
fn files(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut found: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            (entry.file_name(), fs::read(entry.path()).expect("a file"))
        })
        .filter(|(name, bytes)| {
            let name = name.to_string_lossy();
            !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty())
        })
        .collect();
    found.sort();
    found
}
