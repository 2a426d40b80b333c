//! A worker starts while the acting lease is held: by a process that was killed, and by one that lives.

use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::app::WorldApp;
use costwarden::cloud::sim::World;
use costwarden::domain::finding::Act;
use costwarden::domain::mode::Mode;
use costwarden::domain::remediation::JournalState;
use costwarden::engine::plan::step;
use costwarden::store::{ACTING_LEASE, FindingFilter, Store};
use costwarden::worker::context::Context;
use costwarden::worker::daemon::Jobs;
use costwarden::worker::jobs::scan::{Choice, scan};
use costwarden::worker::nightly::{Loaded, Nightly};
use costwarden::worker::outlets::Outlets;
use costwarden::worker::supervise::Work;

struct Stage {
    app: WorldApp,
    cx: Context,
    nightly: Nightly,
    act: i64,
    fence: i64,
}

const LEASE: TimeDelta = TimeDelta::minutes(15);
const HOLDER: &str = "somebody";

/// An act is claimed, and the lease under which it was is still held.
async fn stage() -> Stage {
    let app = WorldApp::open(World::demo().unwrap(), Mode::Enforce).unwrap();
    let cx = app.context(Store::in_memory().unwrap()).unwrap();
    scan(&cx, &Choice::default(), &Work::default()).await.unwrap();
    let findings = cx.store.findings(&FindingFilter::default()).unwrap();
    let finding = findings.iter().find(|own| own.act() == Some(Act::StopInstance)).unwrap();
    let fresh = cx.cloud.describe(&finding.key).await.unwrap();
    let step = step(finding, &fresh, &[], true).unwrap();
    let fence = cx.store.acquire(ACTING_LEASE, HOLDER, LEASE, cx.clock.now()).unwrap().unwrap();
    let act = cx.store.claim(&step, "p-1", fence, cx.clock.now()).unwrap().id;
    let folder = tempfile::tempdir().unwrap();
    let outlets = Arc::new(Outlets::folders(folder.path(), "costwarden@example.com").unwrap());
    let loaded = Loaded { context: cx.clone(), outlets };
    let nightly = Nightly::new(loaded, Arc::new(app.cloud.actor()), Box::new(|_| anyhow::bail!("nobody reloads")));
    Stage { app, cx, nightly, act, fence }
}

#[tokio::test]
async fn i15_what_a_killed_worker_left_is_gone_on_with_when_its_lease_has_run_out() {
    let stage = stage().await;
    let killed = stage.app.clock.now();
    stage.nightly.recover(Work::default()).await.unwrap();
    let waited = stage.app.clock.now() - killed;
    assert!(waited >= LEASE && waited < LEASE + TimeDelta::minutes(1), "{waited}");
    let row = stage.cx.store.remediation(stage.act).unwrap().unwrap();
    assert_eq!(row.state, JournalState::Aborted, "the window is closed: {}", row.message);
    assert!(row.fence > stage.fence);
    assert!(!stage.app.cloud.calls().iter().any(|call| call.mutating()));
}

#[tokio::test]
async fn h06_what_a_living_worker_has_open_is_left_to_it() {
    let stage = stage().await;
    // It keeps its lease while it waits.
    let until = stage.app.clock.now() + TimeDelta::hours(1);
    assert!(stage.cx.store.renew(ACTING_LEASE, HOLDER, stage.fence, TimeDelta::minutes(60), until).unwrap());
    let store = stage.cx.store.clone();
    let keeping = tokio::spawn({
        let (clock, fence) = (stage.app.clock.clone(), stage.fence);
        async move {
            while clock.now() < until + TimeDelta::hours(1) {
                store.renew(ACTING_LEASE, HOLDER, fence, TimeDelta::minutes(60), clock.now() + LEASE).unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    stage.nightly.recover(Work::default()).await.unwrap();
    keeping.abort();
    let row = stage.cx.store.remediation(stage.act).unwrap().unwrap();
    assert_eq!((row.state, row.fence), (JournalState::Claimed, stage.fence));
    assert_eq!(stage.cx.store.frozen().unwrap(), None);
}
