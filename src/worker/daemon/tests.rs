//! Stories about the daemon with jobs that only keep a log: slots on a virtual clock, trouble in real time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use chrono::TimeDelta;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

mod clocks;
mod hangs;

use super::*;
use crate::settings::SchedulePatterns;
use crate::store::Store;

/// What a fake job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Complete,
    Gaps,
    Fails,
    Panics,
    /// Never returns and never beats; listens to nothing.
    Hangs,
    /// Passes so many awaits, beating, and returns from the next one never, or only when it is cancelled.
    HangsAt {
        awaits: u64,
        listens: bool,
    },
    /// Blocks its thread.
    Blocks,
    /// Takes 300 ms in beating steps, and returns early when cancelled.
    Steps,
}

struct Fake {
    does: Mutex<HashMap<Job, Does>>,
    log: Mutex<Vec<String>>,
    alerts: Mutex<Vec<String>>,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    /// Hangs that were come to.
    hung: AtomicUsize,
    delivered: AtomicUsize,
    reloads: Mutex<Vec<anyhow::Result<Schedule>>>,
    cloud: Mutex<Option<CloudClock>>,
    /// How many seconds ahead the cloud says it is when it is asked; nothing when it cannot be reached.
    answers: Mutex<Option<i64>>,
}

impl Fake {
    fn does(&self, job: Job, does: Does) {
        self.does.lock().unwrap().insert(job, does);
    }

    fn note(&self, line: String) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// An answer of the cloud comes in.
    fn hears(&self, seconds_ahead: i64) {
        let mut cloud = self.cloud.lock().unwrap();
        let readings = cloud.map_or(0, |clock| clock.readings) + 1;
        *cloud = Some(CloudClock { ahead: TimeDelta::seconds(seconds_ahead), readings });
    }

    /// From now on it answers so when it is asked.
    fn answers(&self, seconds_ahead: Option<i64>) {
        *self.answers.lock().unwrap() = seconds_ahead;
    }
}

#[async_trait]
impl Jobs for Fake {
    async fn run(&self, job: Job, slot: Instant, work: Work) -> JobResult {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_inside.fetch_max(inside, Ordering::SeqCst);
        self.note(format!("{job} {}", slot.format("%d %H:%M")));
        let does = self.does.lock().unwrap().get(&job).copied().unwrap_or(Does::Complete);
        let mut message = "fine".to_owned();
        match does {
            Does::Complete | Does::Gaps | Does::Fails => {}
            Does::Panics => panic!("a row without an id"),
            Does::Hangs => std::future::pending().await,
            Does::HangsAt { awaits, listens } => {
                for number in 0..awaits {
                    match number % 3 {
                        0 => sleep(Duration::from_millis(2)).await,
                        1 => tokio::task::yield_now().await,
                        _ => drop(tokio::spawn(async {}).await),
                    }
                    work.pulse.beat();
                }
                self.hung.fetch_add(1, Ordering::SeqCst);
                match listens {
                    true => work.cancel.cancelled().await,
                    false => std::future::pending().await,
                }
            }
            Does::Blocks => std::thread::sleep(Duration::from_secs(3)),
            Does::Steps => {
                for _ in 0..30 {
                    if work.cancel.is_cancelled() {
                        message = "step finished, stopped on request".to_owned();
                        break;
                    }
                    sleep(Duration::from_millis(10)).await;
                    work.pulse.beat();
                }
            }
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
        match does {
            Does::Fails => anyhow::bail!("the cloud said no"),
            _ => Ok(JobReport { message, complete: does == Does::Complete }),
        }
    }

    async fn recover(&self, _work: Work) -> anyhow::Result<()> {
        self.note("recover".to_owned());
        Ok(())
    }

    async fn deliver_outbox(&self, _work: Work) -> anyhow::Result<()> {
        self.delivered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn alert(&self, subject: String, text: String) -> anyhow::Result<()> {
        self.alerts.lock().unwrap().push(format!("{subject}: {text}"));
        Ok(())
    }

    async fn ask_cloud(&self, _work: Work) -> anyhow::Result<()> {
        let answer = *self.answers.lock().unwrap();
        self.hears(answer.context("nobody answers")?);
        Ok(())
    }

    fn cloud_clock(&self) -> Option<CloudClock> {
        *self.cloud.lock().unwrap()
    }

    fn reload(&self) -> anyhow::Result<Schedule> {
        self.note("reload".to_owned());
        self.reloads.lock().unwrap().remove(0)
    }
}

/// A daemon on a virtual clock, the state that outlives it, and the person at its side.
struct Stage {
    clock: Clock,
    store: Arc<Store>,
    jobs: Arc<Fake>,
    notifier: Notifier,
    sender: mpsc::Sender<Event>,
    daemon: JoinHandle<anyhow::Result<DaemonEnd>>,
}

const QUICK: Timings = Timings {
    beat: Duration::from_millis(20),
    late_tick: Duration::from_secs(600),
    stop_grace: Duration::from_secs(2),
    stall: Duration::from_millis(500),
    wind_down: Duration::from_millis(200),
    long_job: Duration::from_secs(20),
    short_job: Duration::from_secs(20),
};

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn schedule(scan: &str) -> Schedule {
    let patterns = SchedulePatterns {
        scan: scan.into(),
        act: "0 10 * * 1-4".into(),
        daily: "0 9 * * *".into(),
        weekly: "0 9 * * 1".into(),
    };
    Schedule::new(&patterns, chrono_tz::UTC).unwrap()
}

impl Stage {
    /// Starts a daemon on a fresh state and waits for its first look.
    async fn new(now: &str) -> Stage {
        Stage::on(Arc::new(Store::in_memory().unwrap()), now, &[]).await
    }

    async fn on(store: Arc<Store>, now: &str, does: &[(Job, Does)]) -> Stage {
        Stage::with(store, now, does, |daemon| daemon).await
    }

    async fn with(store: Arc<Store>, now: &str, does: &[(Job, Does)], adjust: impl FnOnce(Daemon) -> Daemon) -> Stage {
        let stage = Stage::spawn(store, now, does, adjust);
        stage.settled(0).await;
        stage
    }

    /// Starts a daemon hours after the last one: it hears the cloud's time twice before it believes the machine's.
    async fn after_a_pause(store: Arc<Store>, now: &str, does: &[(Job, Does)]) -> Stage {
        let stage = Stage::spawn(store, now, does, |daemon| daemon);
        stage.doubts("and the cloud has not confirmed it since; 1 more sane readings").await;
        assert_eq!(stage.jobs.log(), ["recover"]);
        stage.tick(now).await;
        stage
    }

    fn spawn(store: Arc<Store>, now: &str, does: &[(Job, Does)], adjust: impl FnOnce(Daemon) -> Daemon) -> Stage {
        let jobs = Arc::new(Fake {
            does: Mutex::new(does.iter().copied().collect()),
            log: Mutex::default(),
            alerts: Mutex::default(),
            inside: AtomicUsize::new(0),
            most_inside: AtomicUsize::new(0),
            hung: AtomicUsize::new(0),
            delivered: AtomicUsize::new(0),
            reloads: Mutex::default(),
            cloud: Mutex::default(),
            answers: Mutex::new(Some(0)),
        });
        let (sender, events) = mpsc::channel(64);
        let clock = Clock::virtual_at(at(now));
        let notifier = Notifier::recorded();
        let daemon = Daemon {
            jobs: jobs.clone(),
            schedule: schedule("0 2 * * *"),
            ledger: Ledger::new(store.clone()),
            clock: clock.clone(),
            monotonic: Clock::monotonic,
            notifier: notifier.clone(),
            lock: None,
            events,
            timings: QUICK,
        };
        Stage { clock, store, jobs, notifier, sender, daemon: tokio::spawn(adjust(daemon).run()) }
    }

    /// Waits until more than `before` ticks were handled to their end; the outbox comes last in each.
    async fn settled(&self, before: usize) {
        self.until("the tick was handled", || self.jobs.delivered.load(Ordering::SeqCst) > before).await;
    }

    async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(
            timeout(Duration::from_secs(120), wait).await.is_ok(),
            "waited in vain until {what}: {:?}",
            self.notifier.said()
        );
    }

    /// Waits until the status tells of this doubt.
    async fn doubts(&self, words: &str) {
        let shown = || self.status().contains("clock in doubt: ") && self.status().contains(words);
        self.until("the doubt is shown", shown).await;
    }

    async fn send(&self, event: Event) {
        self.sender.send(event).await.unwrap();
    }

    /// The clock goes to `now` and a minute begins.
    async fn tick(&self, now: &str) {
        let before = self.jobs.delivered.load(Ordering::SeqCst);
        self.clock.advance_to(at(now));
        self.send(Event::Tick).await;
        self.settled(before).await;
    }

    /// Stops it and returns its end.
    async fn stop(self) -> (DaemonEnd, Arc<Store>) {
        self.send(Event::Stop(StopSignal::Terminate)).await;
        let store = self.store.clone();
        (self.ended().await, store)
    }

    async fn ended(self) -> DaemonEnd {
        timeout(Duration::from_secs(120), self.daemon).await.expect("the daemon did not end").unwrap().unwrap()
    }

    /// The slots on file: `job day hour state: message`.
    fn rows(&self) -> Vec<String> {
        let mut rows = self.store.slots_between(at("2026-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z")).unwrap();
        rows.sort_by_key(|row| (row.slot_at, Job::of_word(&row.job)));
        let line = |row: &crate::store::Slot| {
            format!("{} {} {}: {}", row.job, row.slot_at.format("%d %H:%M"), row.state.word(), row.message)
        };
        rows.iter().map(line).collect()
    }

    fn frozen(&self) -> Option<String> {
        self.store.frozen().unwrap().map(|freeze| freeze.reason)
    }

    fn status(&self) -> String {
        let said = self.notifier.said();
        said.iter().rev().find_map(|line| line.strip_prefix("STATUS=")).unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn m4_a_monday_runs_scan_daily_weekly_and_act_each_once_in_that_order() {
    let stage = Stage::new("2026-11-22T20:00:00Z").await;
    for now in ["T01:59:00Z", "T02:00:00Z", "T02:01:00Z", "T09:00:00Z", "T09:01:00Z", "T10:00:00Z", "T10:01:00Z"] {
        stage.tick(&format!("2026-11-23{now}")).await;
    }
    let jobs = ["recover", "scan 23 02:00", "daily 23 09:00", "weekly 23 09:00", "act 23 10:00"];
    assert_eq!(stage.jobs.log(), jobs);
    assert_eq!(
        stage.rows(),
        [
            "scan 23 02:00 done: fine",
            "daily 23 09:00 done: fine",
            "weekly 23 09:00 done: fine",
            "act 23 10:00 done: fine"
        ]
    );
    let said = stage.notifier.said();
    assert_eq!(said[..2], ["READY=1", "STATUS=recovering"]);
    stage.until("the next run is shown", || stage.status() == "next: scan 2026-11-24 02:00 UTC").await;
    let (end, _) = stage.stop().await;
    assert_eq!((end.exit_code(), end.to_string()), (143, "stopped by SIGTERM".to_owned()));
}

#[tokio::test]
async fn a_first_start_makes_nothing_up() {
    let stage = Stage::new("2026-11-24T09:59:30Z").await;
    assert_eq!(stage.jobs.log(), ["recover"]);
    stage.tick("2026-11-24T10:00:00Z").await;
    assert_eq!(stage.jobs.log(), ["recover"], "no act before a complete scan");
    assert_eq!(stage.rows(), ["act 24 10:00 missed: no complete scan since this daemon started"]);
}

#[tokio::test]
async fn a_missed_night_is_made_up_once_and_a_missed_act_never() {
    let stage = Stage::new("2026-11-22T20:00:00Z").await;
    let (_, store) = stage.stop().await;
    // Down for Monday and half of Tuesday.
    let stage = Stage::after_a_pause(store, "2026-11-24T12:00:00Z", &[]).await;
    assert_eq!(stage.jobs.log(), ["recover", "scan 24 02:00", "daily 24 09:00"]);
    let states: Vec<_> = stage.rows().iter().map(|row| row.split(':').take(2).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(
        states,
        [
            "scan 23 02:00 missed",
            "daily 23 09:00 missed",
            "weekly 23 09:00 missed",
            "act 23 10:00 missed",
            "scan 24 02:00 done",
            "daily 24 09:00 done",
            "act 24 10:00 missed",
        ]
    );
    // The scan that was made up is a complete one, so the next day's act is free to run, after that day's own scan.
    stage.tick("2026-11-25T02:00:00Z").await;
    stage.tick("2026-11-25T10:00:00Z").await;
    assert_eq!(stage.jobs.log()[3..], ["scan 25 02:00", "daily 25 09:00", "act 25 10:00"]);
}

#[tokio::test]
async fn after_a_restart_no_act_starts_before_a_complete_scan() {
    let stage = Stage::new("2026-11-23T01:00:00Z").await;
    stage.tick("2026-11-23T02:00:00Z").await;
    let (_, store) = stage.stop().await;
    let stage = Stage::after_a_pause(store, "2026-11-23T09:50:00Z", &[(Job::Scan, Does::Gaps)]).await;
    stage.tick("2026-11-23T10:00:00Z").await;
    stage.tick("2026-11-24T02:00:00Z").await;
    stage.tick("2026-11-24T10:00:00Z").await;
    stage.jobs.does(Job::Scan, Does::Complete);
    stage.tick("2026-11-25T02:00:00Z").await;
    stage.tick("2026-11-25T10:00:00Z").await;
    let acts: Vec<_> = stage.rows().into_iter().filter(|row| row.starts_with("act")).collect();
    assert_eq!(
        acts,
        [
            "act 23 10:00 missed: no complete scan since this daemon started",
            "act 24 10:00 missed: no complete scan since this daemon started",
            "act 25 10:00 done: fine",
        ]
    );
}

#[tokio::test]
async fn jobs_never_overlap_however_many_ticks_come() {
    let store = Arc::new(Store::in_memory().unwrap());
    let stage = Stage::on(store, "2026-11-23T01:00:00Z", &[(Job::Scan, Does::Steps), (Job::Daily, Does::Steps)]).await;
    stage.clock.advance_to(at("2026-11-23T09:00:00Z"));
    for _ in 0..40 {
        stage.send(Event::Tick).await;
    }
    stage.until("all ran", || stage.jobs.log().len() == 4).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(stage.jobs.log(), ["recover", "scan 23 02:00", "daily 23 09:00", "weekly 23 09:00"]);
    assert_eq!(stage.jobs.most_inside.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn h32_a_panic_freezes_acts_alerts_and_the_daemon_goes_on() {
    let stage = Stage::new("2026-11-23T01:00:00Z").await;
    stage.jobs.does(Job::Scan, Does::Panics);
    stage.tick("2026-11-23T02:00:00Z").await;
    assert_eq!(stage.frozen().as_deref(), Some("scan panicked: a row without an id"));
    assert_eq!(*stage.jobs.alerts.lock().unwrap(), ["acts are frozen: scan panicked: a row without an id"]);
    stage.tick("2026-11-23T09:00:00Z").await;
    assert_eq!(
        stage.rows(),
        [
            "scan 23 02:00 failed: panicked: a row without an id",
            "daily 23 09:00 done: fine",
            "weekly 23 09:00 done: fine"
        ]
    );
    assert!(stage.status().contains("FROZEN: scan panicked"), "{}", stage.status());
}

#[tokio::test]
async fn h32_a_job_that_finishes_nothing_is_put_down_and_gets_no_watchdog_feed() {
    let stage = Stage::new("2026-11-23T01:00:00Z").await;
    stage.jobs.does(Job::Scan, Does::Hangs);
    stage.clock.advance_to(at("2026-11-23T02:00:00Z"));
    stage.send(Event::Tick).await;
    stage.until("it runs", || stage.jobs.log().len() == 2).await;
    let fed = |stage: &Stage| stage.notifier.said().iter().filter(|line| *line == "WATCHDOG=1").count();
    let before = fed(&stage);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(fed(&stage), before, "systemd was told of life that was not there");
    stage.until("it was put down", || stage.frozen().is_some()).await;
    let reason = stage.frozen().unwrap();
    assert!(reason.starts_with("scan hung: nothing finished in it for "), "{reason}");
    stage.tick("2026-11-23T09:00:00Z").await;
    assert_eq!(stage.jobs.log()[2..], ["daily 23 09:00", "weekly 23 09:00"]);
    // Work that beats keeps systemd content all the while.
    stage.jobs.does(Job::Scan, Does::Steps);
    let before = fed(&stage);
    stage.tick("2026-11-24T02:00:00Z").await;
    assert!(fed(&stage) > before + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn h32_a_job_that_blocks_its_thread_ends_the_daemon_after_the_freeze() {
    let store = Arc::new(Store::in_memory().unwrap());
    let stage = Stage::on(store.clone(), "2026-11-23T01:00:00Z", &[(Job::Scan, Does::Blocks)]).await;
    stage.clock.advance_to(at("2026-11-23T02:00:00Z"));
    stage.send(Event::Tick).await;
    let end = stage.ended().await;
    assert_eq!((end.exit_code(), end), (1, DaemonEnd::Stuck("scan".into())));
    assert!(store.frozen().unwrap().is_some());
}

#[tokio::test]
async fn a_failed_job_is_recorded_and_told_but_freezes_nothing() {
    let stage = Stage::new("2026-11-23T01:00:00Z").await;
    stage.jobs.does(Job::Scan, Does::Fails);
    stage.tick("2026-11-23T02:00:00Z").await;
    assert_eq!(stage.rows(), ["scan 23 02:00 failed: the cloud said no"]);
    assert_eq!(*stage.jobs.alerts.lock().unwrap(), ["scan of 2026-11-23 02:00 UTC failed: the cloud said no"]);
    assert_eq!(stage.frozen(), None);
    stage.tick("2026-11-23T10:00:00Z").await;
    let missed = "missed: the last scan failed, and what it could not read is not on file";
    assert_eq!(stage.rows().last().unwrap(), &format!("act 23 10:00 {missed}"));
}

#[tokio::test]
async fn i04_after_a_scan_that_failed_nothing_is_done_until_one_has_ended_whatever_was_known_before() {
    let stage = Stage::new("2026-11-23T01:00:00Z").await;
    let act_slots = || stage.rows().into_iter().filter(|row| row.starts_with("act")).collect::<Vec<_>>();
    for (day, does) in [(23, Does::Complete), (24, Does::Fails), (25, Does::Complete)] {
        stage.jobs.does(Job::Scan, does);
        stage.tick(&format!("2026-11-{day}T02:00:00Z")).await;
        stage.tick(&format!("2026-11-{day}T10:00:00Z")).await;
    }
    let missed = "missed: the last scan failed, and what it could not read is not on file";
    assert_eq!(
        act_slots(),
        ["act 23 10:00 done: fine".to_owned(), format!("act 24 10:00 {missed}"), "act 25 10:00 done: fine".to_owned()]
    );
}

#[tokio::test]
async fn a_stop_lets_the_running_step_finish_and_starts_nothing_more() {
    for (signal, code) in [(StopSignal::Interrupt, 130), (StopSignal::Terminate, 143)] {
        let stage = Stage::new("2026-11-23T01:00:00Z").await;
        stage.jobs.does(Job::Scan, Does::Steps);
        stage.clock.advance_to(at("2026-11-23T09:00:00Z"));
        stage.send(Event::Tick).await;
        stage.until("the scan runs", || stage.jobs.log().len() == 2).await;
        stage.send(Event::Stop(signal)).await;
        stage.until("it stops", || stage.daemon.is_finished()).await;
        assert_eq!(stage.rows(), ["scan 23 02:00 done: step finished, stopped on request"]);
        assert_eq!(stage.frozen(), None);
        assert!(stage.notifier.said().contains(&"STOPPING=1".to_owned()));
        assert_eq!(stage.ended().await.exit_code(), code);
    }
}

#[tokio::test]
async fn a_stop_cuts_off_a_job_that_does_not_listen_without_blaming_it() {
    let stage = Stage::with(
        Arc::new(Store::in_memory().unwrap()),
        "2026-11-23T01:00:00Z",
        &[(Job::Scan, Does::Hangs)],
        |daemon| Daemon {
            timings: Timings { stop_grace: Duration::from_millis(100), stall: Duration::from_secs(9), ..QUICK },
            ..daemon
        },
    )
    .await;
    stage.clock.advance_to(at("2026-11-23T02:00:00Z"));
    stage.send(Event::Tick).await;
    stage.until("the scan runs", || stage.jobs.log().len() == 2).await;
    stage.send(Event::Stop(StopSignal::Terminate)).await;
    stage.until("it stops", || stage.daemon.is_finished()).await;
    assert_eq!((stage.rows().len(), stage.frozen()), (1, None));
    assert!(stage.rows()[0].starts_with("scan 23 02:00 failed: put down"), "{:?}", stage.rows());
}

#[tokio::test]
async fn a_reload_waits_for_the_running_job_and_an_error_keeps_the_old_schedule() {
    let stage = Stage::new("2026-11-23T01:00:00Z").await;
    stage.jobs.does(Job::Scan, Does::Steps);
    let results = [Err(anyhow::anyhow!("costwarden.toml:7: unknown key \"shedule\"")), Ok(schedule("0 3 * * *"))];
    *stage.jobs.reloads.lock().unwrap() = results.into();
    stage.clock.advance_to(at("2026-11-23T09:00:00Z"));
    stage.send(Event::Tick).await;
    stage.until("the scan runs", || stage.jobs.log().len() == 2).await;
    stage.send(Event::Reload).await;
    stage.until("it was read", || stage.jobs.log().contains(&"reload".to_owned())).await;
    assert_eq!(stage.jobs.log(), ["recover", "scan 23 02:00", "daily 23 09:00", "weekly 23 09:00", "reload"]);
    let wrong = "old settings hold, the new ones were not taken: costwarden.toml:7: unknown key \"shedule\"";
    stage.until("the error is shown", || stage.status().ends_with(wrong)).await;
    // The old schedule holds …
    stage.tick("2026-11-24T02:00:00Z").await;
    assert_eq!(stage.jobs.log().last().unwrap(), "scan 24 02:00");
    // … until one is taken, and then the old hour is no slot any more.
    stage.send(Event::Reload).await;
    stage.until("the error is gone", || stage.status() == "next: scan 2026-11-24 03:00 UTC").await;
    stage.tick("2026-11-25T02:30:00Z").await;
    assert!(!stage.jobs.log().contains(&"scan 25 02:00".to_owned()));
    let said = stage.notifier.said();
    let reloading = said.iter().position(|line| line == "RELOADING=1").unwrap();
    assert!(said[reloading..].contains(&"READY=1".to_owned()));
}

#[tokio::test]
async fn a_slot_left_running_by_a_dead_process_is_closed_and_not_run_again() {
    let store = Arc::new(Store::in_memory().unwrap());
    let stage = Stage::on(store, "2026-11-23T01:00:00Z", &[]).await;
    stage.tick("2026-11-23T01:59:00Z").await;
    let ledger = Ledger::new(stage.store.clone());
    assert!(ledger.start(Job::Scan, at("2026-11-23T02:00:00Z"), at("2026-11-23T02:00:01Z")).unwrap());
    stage.daemon.abort();
    let stage = Stage::on(stage.store.clone(), "2026-11-23T02:05:00Z", &[]).await;
    assert_eq!(stage.jobs.log(), ["recover"]);
    assert_eq!(stage.rows(), ["scan 23 02:00 failed: the worker ended while it ran"]);
}

#[tokio::test]
async fn an_act_winds_down_when_the_clock_becomes_doubtful() {
    let store = Arc::new(Store::in_memory().unwrap());
    let stage = Stage::with(store, "2026-11-23T09:59:30Z", &[(Job::Act, Does::Steps)], |daemon| Daemon {
        monotonic: |_| Duration::ZERO,
        schedule: schedule("0 10 * * *"),
        ..daemon
    })
    .await;
    stage.clock.advance_to(at("2026-11-23T10:00:00Z"));
    stage.send(Event::Tick).await;
    stage.until("the act runs", || stage.jobs.log().len() == 3).await;
    stage.clock.advance_to(at("2026-11-23T13:00:00Z"));
    stage.send(Event::Tick).await;
    stage.until("the doubt is shown", || stage.status().contains("clock in doubt")).await;
    let rows = stage.rows();
    assert_eq!(rows, ["scan 23 10:00 done: fine", "act 23 10:00 done: step finished, stopped on request"]);
}

#[tokio::test]
async fn a_boot_in_1970_is_refused() {
    let stage = Stage::spawn(Arc::new(Store::in_memory().unwrap()), "1970-01-01T00:00:20Z", &[], |daemon| daemon);
    let error = timeout(Duration::from_secs(120), stage.daemon).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("set the clock"), "{error}");
    assert!(stage.jobs.log().is_empty());
}

#[tokio::test]
async fn a_removed_lock_file_ends_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let lock = DaemonLock::take(folder.path()).unwrap();
    let store = Arc::new(Store::in_memory().unwrap());
    let stage = Stage::with(store, "2026-11-23T01:00:00Z", &[], |daemon| Daemon { lock: Some(lock), ..daemon }).await;
    std::fs::remove_file(folder.path().join("daemon.lock")).unwrap();
    stage.clock.advance_to(at("2026-11-23T02:00:00Z"));
    stage.send(Event::Tick).await;
    let jobs = stage.jobs.clone();
    let end = stage.ended().await;
    assert_eq!((end.exit_code(), end), (1, DaemonEnd::LockLost));
    assert_eq!(jobs.log(), ["recover"]);
}

#[tokio::test]
async fn without_a_wake_up_the_loop_looks_by_itself() {
    let stage = Stage::with(Arc::new(Store::in_memory().unwrap()), "2026-11-23T01:00:00Z", &[], |daemon| Daemon {
        timings: Timings { late_tick: Duration::from_millis(50), ..QUICK },
        ..daemon
    })
    .await;
    stage.clock.advance_to(at("2026-11-23T01:00:00Z") + TimeDelta::hours(1));
    stage.until("the scan ran", || stage.jobs.log().len() == 2).await;
}
