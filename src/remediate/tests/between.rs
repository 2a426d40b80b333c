//! What may come between plan and act: changes, exceptions, freezes, other workers, long waits.

use super::*;
use crate::cloud::sim::SimReader;
use crate::cloud::{CostQuery, Page};
use crate::domain::budget::CostRow;
use crate::domain::exception::Exception;
use crate::domain::finding::State;
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::resource::Detail;
use crate::domain::scan::RequestCount;
use crate::domain::usage::{MetricQuery, Series};

#[tokio::test]
async fn h02_a_snapshot_that_takes_days_is_waited_for_over_windows_and_restarts() {
    let stage = Stage::new();
    stage.fault("CreateSnapshot", Effect::SnapshotHours(50));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Held, "{}", outcome.message);
    assert!(outcome.message.contains("15:30 is outside the action window"), "{}", outcome.message);
    assert!(stage.clock.now() < at("2026-11-23T15:31:01Z"), "held as soon as the window closed");
    assert_eq!(stage.truth(ORPHAN), "available");

    // Tuesday: another process, still pending.
    stage.clock.advance_to(at("2026-11-24T10:00:00Z"));
    let tuesday = stage.resume("run-2").await;
    assert_eq!(tuesday.len(), 1);
    assert_eq!(tuesday[0].progress, Progress::Held, "{}", tuesday[0].message);
    assert_eq!(stage.acts(), Vec::<String>::new());

    // Wednesday at noon it is completed.
    stage.clock.advance_to(at("2026-11-25T10:00:00Z"));
    let wednesday = stage.resume("run-3").await;
    assert_eq!(wednesday[0].progress, Progress::Ended(JournalState::Done), "{}", wednesday[0].message);
    assert!(stage.clock.now() >= at("2026-11-25T12:00:00Z"));
    assert_eq!(stage.mutations(), [format!("CreateSnapshot {ORPHAN}"), format!("DeleteVolume {ORPHAN}")]);
    stage.assert_watched();
    assert_eq!(stage.resume("run-4").await, [], "nothing is left to do");
}

#[tokio::test]
async fn h02_a_snapshot_that_somebody_deletes_while_we_wait_stops_the_act() {
    let stage = Stage::new();
    stage.fault("CreateSnapshots", Effect::SnapshotHours(30));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Held);
    let snapshot = stage.snapshots_of(DATA)[0].key.id.to_string();
    stage.cloud.apply("bob", Change::Delete(snapshot)).unwrap();
    stage.clock.advance_to(at("2026-11-24T10:00:00Z"));
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Aborted), "{}", ends[0].message);
    assert_eq!((stage.truth(INSTANCE).as_str(), stage.acts().len()), ("running", 0));
}

#[tokio::test]
async fn h13_a_volume_attached_between_plan_and_act_refuses() {
    let attach = Change::Attach { volume: ORPHAN.into(), instance: INSTANCE.into(), device: "/dev/sdg".into() };
    // Before the claim.
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    stage.cloud.apply("ann", attach.clone()).unwrap();
    assert_refused(&stage, &stage.act(&step).await, ORPHAN);

    // While the snapshots are made.
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "{first:?}");
    stage.cloud.apply("ann", attach).unwrap();
    let end = stage.play(&remediator, first, &run).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Aborted), "{}", end.message);
    assert!(end.message.contains("its volumes changed"), "{}", end.message);
    assert_eq!(stage.acts(), Vec::<String>::new());
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn h07_whatever_changed_since_the_plan_refuses_and_is_named() {
    let cases: [(&str, Action, Change, &str); 5] = [
        (
            INSTANCE,
            Action::Stop,
            Change::Tag { resource: INSTANCE.into(), tags: vec![("team".into(), "data".into())] },
            "tag team",
        ),
        (
            ORPHAN,
            Action::Terminate,
            Change::Attach { volume: ORPHAN.into(), instance: INSTANCE.into(), device: "/dev/sdg".into() },
            "attached to i-0idle",
        ),
        (INSTANCE, Action::Stop, Change::Stop(INSTANCE.into()), "stopping"),
        (
            INSTANCE,
            Action::Stop,
            Change::Protect { instance: INSTANCE.into(), stop: Some(true), termination: None },
            "stop protection",
        ),
        (ORPHAN, Action::Terminate, Change::Delete(ORPHAN.into()), "deleting"),
    ];
    for (id, action, change, words) in cases {
        let stage = Stage::new();
        let step = stage.due_step(id, action).await;
        stage.cloud.apply("ann", change).unwrap();
        assert_refused(&stage, &stage.act(&step).await, words);
        assert_eq!(stage.mutations(), Vec::<String>::new(), "not even a snapshot");
    }
}

#[tokio::test]
async fn h07_a_change_while_the_snapshot_is_made_still_stops_the_act() {
    type Case = (fn(&Stage), &'static str);
    let cases: [Case; 5] = [
        (|stage| stage.tag(ORPHAN, "costwarden:protect", "true"), "protect"),
        (|stage| stage.tag(ORPHAN, "costwarden:keep-until", "2026-12-01"), "keep-until"),
        (|stage| stage.tag(ORPHAN, "ebs.csi.aws.com/cluster", "true"), "CSI"),
        (|stage| stage.tag(ORPHAN, "in-use-by", "ann"), "changed since the plan"),
        (
            |stage| {
                *stage.says.0.lock().unwrap() = Ok(StillViolates::No("it was read an hour ago".into()));
            },
            "no longer violates",
        ),
    ];
    for (change, words) in cases {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        assert!(matches!(first.progress, Progress::WaitUntil(_)), "{first:?}");
        change(&stage);
        let end = stage.play(&remediator, first, &run).await;
        assert_refused(&stage, &end, words);
        assert_eq!(stage.truth(ORPHAN), "available");
    }
}

#[tokio::test]
async fn h10_an_exception_a_closed_finding_or_an_undecided_look_while_we_wait_refuses() {
    type Case = (&'static str, fn(&Stage, &mut Finding));
    let cases: [Case; 4] = [
        ("excepted", |_, finding| finding.state = State::Excepted),
        ("resolved", |_, finding| finding.state = State::Resolved),
        ("could not tell", |_, finding| finding.unjudged = Some("no datapoint".into())),
        ("not due before", |stage, finding| finding.clock.due_at = Some(stage.clock.now() + TimeDelta::days(3))),
    ];
    for (words, change) in cases {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let mut finding = stage.store.finding(&step.finding).unwrap().unwrap();
        change(&stage, &mut finding);
        stage.store.update_findings(&[finding], &[]).unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_refused(&stage, &end, words);
    }
    let mut stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    stage.rules.exceptions.push(Exception {
        id: "EXC-12".into(),
        resource: ORPHAN.into(),
        account: None,
        policy: "policy".into(),
        rule: None,
        reason: "migration".into(),
        approved_by: "eve".into(),
        until: monday(),
    });
    assert_refused(&stage, &stage.act(&step).await, "exception EXC-12 holds");
}

#[tokio::test]
async fn i21_a_freeze_while_we_wait_holds_and_after_it_everything_is_judged_again() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    stage.store.freeze(&Freeze { at: stage.clock.now(), by: "eve".into(), reason: "audit".into() }).unwrap();
    let held = stage.play(&remediator, first, &run).await;
    assert_eq!(held.progress, Progress::Held, "{}", held.message);
    assert!(held.message.contains("frozen by eve"), "{}", held.message);
    assert_eq!(stage.acts(), Vec::<String>::new());
    // And nothing new begins.
    let other = stage.due_step(INSTANCE, Action::Stop).await;
    let refused = remediator.start(&other, &stage.plan(&other), &run).await.unwrap();
    assert_eq!((refused.id, refused.progress), (None, Progress::Held));

    stage.store.unfreeze("eve", stage.clock.now()).unwrap();
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    stage.assert_watched();
}

#[tokio::test]
async fn h06_another_worker_with_a_newer_fence_ends_this_one_before_the_wire() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let snapshots = stage.mutations();
    // This worker slept past its lease; another took it.
    stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(1));
    let newer = stage.run("run-2");
    assert!(newer.fence > run.fence);
    let stale = remediator.advance(first.id.unwrap(), &run).await;
    assert!(
        matches!(stale, Err(Interrupted::StaleFence)) || matches!(&stale, Ok(own) if own.progress == Progress::Held)
    );
    assert_eq!(stage.mutations(), snapshots, "the stale one called nothing");
    assert!(matches!(
        remediator.start(&step, &stage.plan(&step), &run).await,
        Ok(Outcome { id: None, progress: Progress::Held, .. })
    ));

    let other = stage.remediator(Halt::none());
    let resumed = other.resume_all(&newer).await.unwrap();
    let end = stage.play(&other, resumed[0].clone(), &newer).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Done), "{}", end.message);
    assert_eq!(stage.acts(), [format!("DeleteVolume {ORPHAN}")]);
}

#[tokio::test]
async fn h06_one_resource_has_one_open_act() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let second = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    assert_eq!((second.id, second.progress), (None, Progress::Held));
    assert!(second.message.contains("open"), "{}", second.message);
    stage.play(&remediator, first, &run).await;
    assert_eq!(stage.acts(), [format!("DeleteVolume {ORPHAN}")]);
}

#[tokio::test]
async fn h02_a_verified_snapshot_is_looked_at_again_by_the_process_that_acts() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert!(die_at(&stage, &step, "J7.after").await);
    let snapshot = stage.snapshots_of(ORPHAN)[0].key.id.to_string();
    stage.cloud.apply("bob", Change::Delete(snapshot)).unwrap();
    stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(10));
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Aborted), "{}", ends[0].message);
    assert_eq!((stage.truth(ORPHAN).as_str(), stage.acts().len()), ("available", 0));
}

#[tokio::test]
async fn h02_a_snapshot_that_goes_while_the_reads_take_long_is_missed_before_the_act() {
    for (id, of, action) in [(INSTANCE, DATA, Action::Stop), (ORPHAN, ORPHAN, Action::Terminate)] {
        let stage = Stage::new();
        let step = stage.due_step(id, action).await;
        let (cloud, clock) = (stage.cloud.clone(), stage.clock.clone());
        // Between the look that sees it completed and its record.
        let slowly = Halt::meanwhile("J7.call", move || {
            let snapshot = cloud.truth(|truth| truth.snapshots_of(of).first().map(|own| own.key.id.to_string()));
            cloud.apply("bob", Change::Delete(snapshot.unwrap())).unwrap();
            clock.advance_to(clock.now() + TimeDelta::minutes(2));
        });
        let (remediator, run) = (stage.remediator(slowly), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Aborted), "{id}: {}", end.message);
        assert!(end.message.contains("is not there any more"), "{id}: {}", end.message);
        assert_eq!(stage.acts(), Vec::<String>::new(), "{id}");
    }
}

#[tokio::test]
async fn h13_a_volume_that_grew_after_its_snapshot_is_no_longer_covered() {
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    assert!(die_at(&stage, &step, "J7.after").await);
    let (mut remediator, run) = (stage.remediator(Halt::none()), stage.run("run-2"));
    remediator.tools.read = Arc::new(Grown(stage.cloud.reader()));
    let ends = remediator.resume_all(&run).await.unwrap();
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Aborted), "{}", ends[0].message);
    assert!(ends[0].message.contains("vol-0data (200 GiB)"), "{}", ends[0].message);
    assert_eq!((stage.truth(INSTANCE).as_str(), stage.acts().len()), ("running", 0));
}

#[tokio::test]
async fn h13_a_plan_that_forgot_a_volume_is_refused_before_anything_is_snapshotted() {
    let stage = Stage::new();
    let mut step = stage.due_step(INSTANCE, Action::Stop).await;
    step.backup.retain(|volume| volume != DATA);
    assert_refused(&stage, &stage.act(&step).await, "the plan backs up vol-0root, attached now: vol-0data, vol-0root");
    assert_eq!(stage.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn i21_a_freeze_between_the_intent_and_the_call_still_stops_the_call() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (store, clock) = (stage.store.clone(), stage.clock.clone());
    let freezes = Halt::meanwhile("J8.after", move || {
        store.freeze(&Freeze { at: clock.now(), by: "eve".into(), reason: "audit".into() }).unwrap();
    });
    let (remediator, run) = (stage.remediator(freezes), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let end = stage.play(&remediator, first, &run).await;
    assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{}", end.message);
    assert!(end.message.contains("no call was made: frozen by eve"), "{}", end.message);
    assert_eq!((stage.truth(ORPHAN).as_str(), stage.acts().len()), ("available", 0));
    assert_eq!(stage.store.gate_counts_of_run("run-1", &stage.place.account).unwrap().rows(), [], "nothing passed");
}

#[tokio::test]
async fn h06_a_lease_that_is_lost_between_the_intent_and_the_call_stops_the_call() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (store, clock) = (stage.store.clone(), stage.clock.clone());
    let taken = Halt::meanwhile("J8.after", move || {
        let later = clock.now() + TimeDelta::days(60);
        store.acquire(ACTING_LEASE, "another", TimeDelta::days(1), later).unwrap().unwrap();
    });
    let (remediator, run) = (stage.remediator(taken), stage.run("run-1"));
    let mut next = remediator.start(&step, &stage.plan(&step), &run).await;
    while let Ok(Outcome { progress: Progress::WaitUntil(until), id, .. }) = next {
        stage.clock.advance_to(until);
        next = remediator.advance(id.unwrap(), &run).await;
    }
    assert!(matches!(next, Err(Interrupted::StaleFence)), "{next:?}");
    assert_eq!((stage.truth(ORPHAN).as_str(), stage.acts().len()), ("available", 0));
}

#[tokio::test]
async fn h07_a_change_in_any_gap_before_the_last_look_stops_the_act() {
    type Gap = (&'static str, fn(&SimCloud, &Store));
    let changes: [Gap; 4] = [
        ("protect", |cloud, _| tag(cloud, "costwarden:protect", "true")),
        ("changed since the plan", |cloud, _| tag(cloud, "team", "data")),
        ("attached", |cloud, _| {
            let attach = Change::Attach { volume: ORPHAN.into(), instance: INSTANCE.into(), device: "/dev/sdg".into() };
            // Refused from the second time on, because it is attached by then.
            let _ = cloud.apply("ann", attach);
        }),
        ("the finding is excepted", |_, store| {
            let mut finding = store.findings_open().unwrap().remove(0);
            finding.state = State::Excepted;
            store.update_findings(&[finding], &[]).unwrap();
        }),
    ];
    fn tag(cloud: &SimCloud, key: &str, value: &str) {
        let tags = vec![(key.to_owned(), value.to_owned())];
        cloud.apply("ann", Change::Tag { resource: ORPHAN.into(), tags }).unwrap();
    }
    for point in
        ["J3.after", "J4.before", "J4.after", "J5.before", "J5.after", "J6.call", "J6.after", "J7.call", "J7.after"]
    {
        for (words, change) in changes {
            let stage = Stage::new();
            let step = stage.due_step(ORPHAN, Action::Terminate).await;
            let (cloud, store) = (stage.cloud.clone(), stage.store.clone());
            let (remediator, run) =
                (stage.remediator(Halt::meanwhile(point, move || change(&cloud, &store))), stage.run("run-1"));
            let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
            let end = stage.play(&remediator, first, &run).await;
            assert_refused(&stage, &end, words);
            assert_ne!(stage.truth(ORPHAN), "gone", "{point} {words}");
        }
    }
}

/// A reader for which the data volume has grown to 200 GiB.
struct Grown(SimReader);

#[async_trait]
impl CloudRead for Grown {
    async fn identity(&self, account: &AccountId) -> Result<Identity, CloudError> {
        self.0.identity(account).await
    }

    async fn list(&self, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
        self.0.list(partition, cursor).await
    }

    async fn describe(&self, key: &ResourceKey) -> Result<Resource, CloudError> {
        let mut resource = self.0.describe(key).await?;
        if let (DATA, Detail::Volume(volume)) = (&*key.id, &mut resource.detail) {
            volume.size_gib = 200;
        }
        Ok(resource)
    }

    async fn metrics(&self, place: &Place, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
        self.0.metrics(place, queries).await
    }

    async fn costs(&self, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
        self.0.costs(account, query).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Result<Vec<Resource>, CloudError> {
        self.0.snapshots_tagged(place, key, value).await
    }

    fn requests(&self) -> Vec<RequestCount> {
        self.0.requests()
    }
}
