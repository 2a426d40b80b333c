//! A thousand hangs (safety.md, H32): at any await of any job, whether it listens or not, each ends in a freeze, an alert
//! and a daemon that goes on.

use std::sync::atomic::AtomicU64;

use super::*;

/// Hangs that must be reached.
const HANGS: u64 = 1_000;
/// Daemons that live side by side; each waits, so they cost little.
const DAEMONS: u64 = 250;
/// How many days each lives at most: on a busy machine some jobs are put down before they come to their hang.
const MOST_DAYS: u64 = 12;

#[test]
fn h32_from_a_hang_to_the_freeze_the_daemons_own_limits_leave_less_than_ninety_seconds() {
    let Timings { beat, stall, wind_down, .. } = Timings::default();
    // The last beat is a look old, the next look sees it, then it is cancelled and aborted.
    let longest = stall + beat.min(stall / 2) + wind_down + wind_down;
    assert!(longest <= Duration::from_secs(90), "{longest:?}");
}

#[tokio::test]
async fn h32_a_thousand_hangs_at_any_await_of_any_job_freeze_and_the_daemon_goes_on() {
    let template = Store::in_memory().unwrap();
    let reached = Arc::new(AtomicU64::new(0));
    let lives = (0..DAEMONS).map(|number| {
        let (store, reached) = (Arc::new(template.throwaway_copy().unwrap()), reached.clone());
        tokio::spawn(async move { one_life(store, number, &reached).await })
    });
    let mut by_job = [0; 3];
    for life in lives.collect::<Vec<_>>() {
        for (sum, own) in by_job.iter_mut().zip(life.await.unwrap()) {
            *sum += own;
        }
    }
    let reached = reached.load(Ordering::SeqCst);
    eprintln!("H32 hangs={reached} scan={} act={} daily={} without a freeze=0", by_job[0], by_job[1], by_job[2]);
    assert!(reached >= HANGS && by_job.iter().all(|own| *own >= HANGS / 10), "{reached} {by_job:?}");
}

/// One daemon, one hang a day, until it has had its share. How many each job had.
async fn one_life(store: Arc<Store>, number: u64, reached: &AtomicU64) -> [u64; 3] {
    let timings = Timings { stall: Duration::from_secs(1), beat: Duration::from_millis(50), ..QUICK };
    let stage = Stage::with(store, "2026-11-23T01:00:00Z", &[], |daemon| Daemon { timings, ..daemon }).await;
    let jobs = [(Job::Scan, "02:00"), (Job::Act, "10:00"), (Job::Daily, "09:00")];
    let mut own = [0; 3];
    let mut day = at("2026-11-23T00:00:00Z");
    for turn in 0..MOST_DAYS {
        if own.iter().sum::<u64>() >= HANGS / DAEMONS {
            break;
        }
        // Acts go from Monday to Thursday.
        if chrono::Datelike::weekday(&day).number_from_monday() > 4 {
            day += TimeDelta::days(1);
            continue;
        }
        let which = ((number + turn) % 3) as usize;
        let (job, _) = jobs[which];
        let (awaits, listens) = ((number * 7 + turn * 3) % 9, (number + turn).is_multiple_of(2));
        stage.jobs.hung.store(0, Ordering::SeqCst);
        stage.jobs.does(job, Does::HangsAt { awaits, listens });
        for (slot, time) in [(Job::Scan, "02:00"), (Job::Daily, "09:00"), (Job::Act, "10:00")] {
            stage.tick(&format!("{}T{time}:00Z", day.format("%Y-%m-%d"))).await;
            if slot == job {
                let reason = stage.frozen().unwrap_or_default();
                assert!(reason.starts_with(&format!("{job} hung: nothing finished in it for ")), "{job}: {reason:?}");
                let told = stage.jobs.alerts.lock().unwrap().last().cloned().unwrap_or_default();
                assert!(told.ends_with(&reason), "{told}");
                assert!(stage.store.unfreeze("eve", stage.clock.now()).unwrap());
            }
        }
        let hung = stage.jobs.hung.load(Ordering::SeqCst) as u64;
        own[which] += hung;
        reached.fetch_add(hung, Ordering::SeqCst);
        stage.jobs.does(job, Does::Complete);
        day += TimeDelta::days(1);
    }
    own
}
