//! Wrong clocks: what is held, what is never written down, and who ends the doubt.

use super::*;

/// A daemon on a state of its own, whose loop looks only when the test makes a minute begin.
async fn started(store: Store, now: &str, answer: Option<i64>, monotonic: fn(&Clock) -> Duration) -> Stage {
    let stage = Stage::spawn(Arc::new(store), now, &[], |daemon| Daemon {
        monotonic,
        timings: Timings { beat: Duration::from_secs(3_600), ..QUICK },
        ..daemon
    });
    stage.jobs.answers(answer);
    stage.until("it looked once", || stage.looks() > 0).await;
    // The first beat of the loop comes at once; let it pass.
    sleep(Duration::from_millis(100)).await;
    stage
}

/// A machine whose running time stands still while the test moves its wall clock.
async fn suspended(now: &str) -> Stage {
    started(Store::in_memory().unwrap(), now, Some(0), |_| Duration::ZERO).await
}

impl Stage {
    /// Signs of life so far: each look ends with one.
    fn looks(&self) -> usize {
        self.notifier.said().iter().filter(|line| *line == "WATCHDOG=1").count()
    }

    /// Sets the clock, back too.
    fn set(&self, now: &str) {
        let Clock::Virtual(micros) = &self.clock else { panic!("the stage's clock is virtual") };
        micros.store(at(now).timestamp_micros(), Ordering::SeqCst);
    }

    /// The clock is set, a minute begins, and nothing is started by it.
    async fn doubtful_tick(&self, now: &str, words: &str) {
        let before = self.looks();
        self.set(now);
        self.send(Event::Tick).await;
        self.until("it looked", || self.looks() > before).await;
        self.doubts(words).await;
    }
}

#[tokio::test]
async fn h08_a_clock_that_jumps_forward_is_not_believed_however_long_it_stays() {
    let stage = suspended("2026-11-23T01:58:00Z").await;
    stage.jobs.answers(None);
    // Thirty days ahead and three sane-looking minutes there.
    for now in ["2026-12-23T01:59:00Z", "2026-12-23T01:59:10Z", "2026-12-23T01:59:20Z", "2026-12-23T01:59:30Z"] {
        stage.doubtful_tick(now, "the clock went forward by").await;
    }
    let asked = "the clock went forward by 2592030 s against the machine's running time and nothing confirms it";
    stage.doubtful_tick("2026-12-23T01:58:30Z", asked).await;
    assert_eq!((stage.jobs.log(), stage.rows()), (vec!["recover".to_owned()], vec![]));
    assert_eq!(stage.store.clock_mark().unwrap(), Some(at("2026-11-23T01:58:00Z")), "no mark of it");
    // Set right: not one slot of the thirty days counts as missed, and the next one runs.
    stage.doubtful_tick("2026-11-23T01:58:20Z", "; 1 more sane readings").await;
    stage.set("2026-11-23T01:58:40Z");
    stage.tick("2026-11-23T01:58:40Z").await;
    assert_eq!(stage.rows(), Vec::<String>::new());
    stage.jobs.answers(Some(0));
    stage.doubtful_tick("2026-11-23T02:00:00Z", "; 1 more sane readings").await;
    stage.tick("2026-11-23T02:00:20Z").await;
    assert_eq!(stage.rows(), ["scan 23 02:00 done: fine"]);
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn h08_a_jump_forward_that_the_cloud_confirms_is_the_time() {
    let stage = suspended("2026-11-23T01:59:50Z").await;
    // Asleep over the hour of the scan.
    stage.doubtful_tick("2026-11-23T05:00:00Z", "; 1 more sane readings").await;
    assert_eq!((stage.jobs.log(), stage.rows()), (vec!["recover".to_owned()], vec![]));
    stage.tick("2026-11-23T05:00:20Z").await;
    assert_eq!(stage.jobs.log(), ["recover", "scan 23 02:00"], "nothing was lost by waiting");
    assert_eq!((stage.frozen(), stage.store.clock_mark().unwrap()), (None, Some(at("2026-11-23T05:00:20Z"))));
}

#[tokio::test]
async fn h08_what_the_cloud_said_before_a_jump_confirms_nothing_after_it() {
    let stage = suspended("2026-11-23T01:59:50Z").await;
    // Heard at the right time, and not looked at before the clock moved.
    stage.jobs.hears(0);
    stage.jobs.answers(None);
    stage.doubtful_tick("2026-11-24T02:00:00Z", "; 2 more sane readings").await;
    assert_eq!((stage.jobs.log(), stage.rows()), (vec!["recover".to_owned()], vec![]));
}

#[tokio::test]
async fn h08_a_clock_that_is_set_back_repeats_nothing_and_misses_nothing() {
    let stage = suspended("2026-11-23T01:59:50Z").await;
    stage.tick("2026-11-23T02:00:10Z").await;
    assert_eq!(stage.rows(), ["scan 23 02:00 done: fine"]);
    stage.jobs.answers(None);
    // Back by a month: the slots of that month were before the first start.
    for now in ["2026-10-23T02:00:00Z", "2026-10-23T10:00:00Z", "2026-10-24T02:00:00Z"] {
        stage.doubtful_tick(now, "the clock went back by").await;
    }
    stage.doubtful_tick("2026-11-23T02:00:20Z", "; 1 more sane readings").await;
    stage.tick("2026-11-23T02:00:30Z").await;
    assert_eq!(stage.rows(), ["scan 23 02:00 done: fine"]);
    assert_eq!(stage.store.clock_mark().unwrap(), Some(at("2026-11-23T02:00:30Z")));
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn h08_a_cloud_that_tells_another_time_is_a_doubt_until_it_takes_that_back() {
    let stage = started(Store::in_memory().unwrap(), "2026-11-23T09:58:30Z", Some(0), Clock::monotonic).await;
    stage.jobs.answers(Some(-86_400));
    stage.jobs.hears(-86_400);
    for now in ["2026-11-23T09:59:30Z", "2026-11-23T10:00:10Z", "2026-11-23T10:00:20Z"] {
        stage.doubtful_tick(now, "the clock is 86400 s ahead of the cloud's; 2 more sane readings").await;
    }
    stage.jobs.answers(Some(-3));
    stage.doubtful_tick("2026-11-23T10:00:40Z", "; 1 more sane readings").await;
    assert_eq!(stage.rows(), Vec::<String>::new(), "nothing starts by a clock in doubt");
    stage.tick("2026-11-23T10:00:50Z").await;
    assert!(!stage.status().contains("doubt"));
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn a_clock_behind_its_own_past_freezes_when_nobody_says_which_is_right() {
    let store = Store::in_memory().unwrap();
    store.raise_clock_mark(at("2026-11-30T00:00:00Z")).unwrap();
    let stage = started(store, "2026-11-23T01:00:00Z", None, Clock::monotonic).await;
    assert!(stage.frozen().unwrap().contains("this state was already used at 2026-11-30"));
    for now in ["2026-11-23T02:00:00Z", "2026-11-23T10:00:00Z"] {
        stage.doubtful_tick(now, "but this state was already used at").await;
    }
    assert_eq!((stage.jobs.log(), stage.rows()), (vec!["recover".to_owned()], vec![]), "nothing has come by it");
    assert_eq!(stage.jobs.alerts.lock().unwrap().len(), 1, "told once, not at every tick");
    assert_eq!(stage.store.clock_mark().unwrap(), Some(at("2026-11-30T00:00:00Z")));
    // A person says that the clock is right, as `unfreeze` does.
    stage.store.set_clock_back(at("2026-11-23T10:00:00Z")).unwrap();
    stage.store.unfreeze("ann", at("2026-11-23T10:00:00Z")).unwrap();
    stage.tick("2026-11-23T10:01:00Z").await;
    assert_eq!(stage.frozen(), None);
    stage.tick("2026-11-24T02:00:00Z").await;
    assert_eq!(stage.jobs.log().last().unwrap(), "scan 24 02:00");
}

#[tokio::test]
async fn h08_a_state_that_believed_a_future_is_set_right_by_the_cloud() {
    let future = at("2026-12-23T12:00:00Z");
    let stage = started(Store::in_memory().unwrap(), "2026-11-20T12:00:00Z", None, Clock::monotonic).await;
    let (_, store) = stage.stop().await;
    store.raise_clock_mark(future).unwrap();
    let ledger = Ledger::new(store.clone());
    ledger.set_seen(future).unwrap();
    // What a worker with that clock left: rows of slots that have not come.
    ledger.missed(Job::Act, at("2026-11-24T10:00:00Z"), "late", future).unwrap();
    assert!(ledger.start(Job::Scan, at("2026-11-24T02:00:00Z"), future).unwrap());
    ledger.finish(Job::Scan, at("2026-11-24T02:00:00Z"), true, "too early", future).unwrap();
    ledger.missed(Job::Act, at("2026-11-22T10:00:00Z"), "really", at("2026-11-22T12:00:00Z")).unwrap();
    let stage = Stage::spawn(store, "2026-11-23T12:00:00Z", &[], |daemon| daemon);
    stage.doubts("this state was already used at 2026-12-23 12:00:00 UTC, and the cloud denies it; 1 more").await;
    assert_eq!(stage.frozen(), None);
    stage.tick("2026-11-23T12:01:00Z").await;
    assert_eq!(stage.store.clock_mark().unwrap(), Some(at("2026-11-23T12:01:00Z")));
    assert_eq!(stage.rows(), ["act 22 10:00 missed: really"], "only what had come stays on the books");
    stage.tick("2026-11-24T02:00:00Z").await;
    stage.tick("2026-11-24T10:00:00Z").await;
    assert_eq!(
        stage.rows()[1..],
        ["scan 24 02:00 done: fine", "daily 24 09:00 done: fine", "act 24 10:00 done: fine"],
        "each runs when its time has come"
    );
}
