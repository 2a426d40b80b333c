//! Two machines with copies of one state (H06): one volume is deleted once at most, and never on the strength of the
//! other's snapshot.

use super::*;
use crate::cloud::sim::Span;

impl Stage {
    /// A machine that was copied with its state while nothing was open.
    fn twin(&self) -> Stage {
        let store = Arc::new(self.store.throwaway_copy().unwrap());
        Stage {
            cloud: self.cloud.clone(),
            clock: self.clock.clone(),
            store,
            watch: self.watch.clone(),
            says: self.says.clone(),
            place: self.place.clone(),
            rules: self.rules.clone(),
            messages: Arc::default(),
        }
    }
}

/// A stage whose snapshots take two hours and are shown late by so many seconds.
fn slow(lag: u32) -> Stage {
    let stage = Stage::with(|world| world.timing.visibility_lag = (lag, lag));
    stage.fault("CreateSnapshot", Effect::SnapshotHours(2));
    stage
}

/// Nobody learns of any snapshot for a minute and a half; until when.
fn lookups_throttled(stage: &Stage) -> Instant {
    let until = stage.clock.now() + TimeDelta::seconds(90);
    let span = Span { from: None, until: Some(until) };
    stage.cloud.add_fault(Fault { span, ..Fault::on("DescribeSnapshots", Effect::Throttle) });
    until
}

fn frozen_by_a_twin(stage: &Stage, words: &str) {
    let why = stage.frozen().unwrap_or_default();
    assert!(why.contains(words) && why.contains("another machine works with a copy of this state"), "{why}");
}

#[tokio::test]
async fn h06_a_twin_that_finds_a_snapshot_under_the_number_of_its_own_act_freezes_and_asks_for_nothing() {
    let stage = slow(0);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let twin = stage.twin();
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "{}", first.message);
    let before = stage.mutations();

    let outcome = twin.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    frozen_by_a_twin(&twin, "carries the number of r-1, which has asked for none");
    assert_eq!(stage.mutations(), before, "the twin asked for nothing");

    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!((stage.acts().len(), stage.truth(ORPHAN).as_str()), (1, "gone"));
}

#[tokio::test]
async fn h06_twins_that_ask_before_either_sees_the_others_snapshot_both_freeze_before_the_act() {
    let stage = slow(120);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let twin = stage.twin();
    let (of_stage, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let (of_twin, run_of_twin) = (twin.remediator(Halt::none()), twin.run("run-1"));
    let first = of_stage.start(&step, &stage.plan(&step), &run).await.unwrap();
    let second = of_twin.start(&step, &twin.plan(&step), &run_of_twin).await.unwrap();
    assert_eq!(stage.mutations().len(), 2, "each asked for its snapshot: {:?}", stage.mutations());

    for (machine, remediator, begun, run) in [(&stage, &of_stage, first, &run), (&twin, &of_twin, second, &run_of_twin)]
    {
        let now = remediator.advance(begun.id.unwrap(), run).await.unwrap();
        let outcome = machine.play(remediator, now, run).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
        frozen_by_a_twin(machine, "carries the number of r-1, which did not ask for it");
    }
    assert_eq!((stage.acts().len(), stage.truth(ORPHAN).as_str()), (0, "available"));
}

#[tokio::test]
async fn h02_a_snapshot_that_is_older_than_the_intent_is_no_backup_of_it_whatever_its_tag_says() {
    // A former life of this state left one under the same number; the process dies where it cannot know what it asked for.
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert!(die_at(&stage, &step, "J5.after").await);
    let value = format!("{}-r1", stage.store.state_id().unwrap());
    let old = at("2026-11-09T10:00:00Z");
    let snapshots = stage.place.partition(Kind::Snapshot);
    let planted = plant::snapshot(snapshots.key("snap-0old"), ORPHAN, 50, old).tagged(&[(KEY_TAG, value.as_str())]);
    stage.cloud.apply("past", Change::Create(vec![planted])).unwrap();

    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    let row = stage.store.remediation(1).unwrap().unwrap();
    assert_ne!(row.snapshots[0].snapshot.as_deref(), Some("snap-0old"), "the backup of another day");
    assert_eq!(stage.mutations().iter().filter(|call| call.starts_with("CreateSnapshot ")).count(), 1);
    stage.assert_watched();
}

#[tokio::test]
async fn h06_a_twin_whose_first_look_fails_still_knows_that_it_never_asked() {
    let stage = slow(0);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let twin = stage.twin();
    let (of_stage, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    of_stage.start(&step, &stage.plan(&step), &run).await.unwrap();
    let before = stage.mutations();
    // Its lookups are throttled, as they are while two machines share one account's budget.
    let until = lookups_throttled(&stage);

    let outcome = twin.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(twin.clock.now() > until);
    frozen_by_a_twin(&twin, "carries the number of r-1, which has asked for none");
    assert_eq!(stage.mutations(), before, "the twin asked for nothing");
}

#[tokio::test]
async fn a_first_look_that_fails_delays_the_snapshot_and_asks_for_it_once() {
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    lookups_throttled(&stage);
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.mutations().iter().filter(|call| call.starts_with("CreateSnapshot ")).count(), 1);
    stage.assert_watched();
}

#[tokio::test]
async fn a_volume_that_was_attached_for_a_moment_and_is_in_our_own_set_is_no_twin() {
    let stage = Stage::new();
    stage.fault("CreateSnapshots", Effect::SnapshotHours(2));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let cloud = stage.cloud.clone();
    let meanwhile = Halt::meanwhile("J5.after", move || {
        let (volume, instance) = (ORPHAN.into(), INSTANCE.into());
        cloud.apply("proxy", Change::Attach { volume, instance, device: "/dev/sdz".into() }).unwrap();
    });
    let (remediator, run) = (stage.remediator(meanwhile), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "{}", first.message);
    stage.cloud.apply("proxy", Change::Detach(ORPHAN.into())).unwrap();
    let of_orphan = stage.cloud.truth(|truth| truth.snapshots_of(ORPHAN).len());
    assert_eq!(of_orphan, 1, "the call took it as well");
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.frozen(), None);
}
