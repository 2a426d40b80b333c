//! Two installations with states of their own in one account (H06): what one is about to change, the other leaves alone.

use super::*;

/// A safety snapshot that an installation of this state made of a resource at this instant.
fn claim(stage: &Stage, state: &str, of: &str, begun: Option<Instant>) {
    let key = stage.place.partition(Kind::Snapshot).key("snap-0claim");
    let tags = [("costwarden:source", of), (KEY_TAG, &*format!("{state}-r7")), ("costwarden:safety-snapshot", "true")];
    let mut planted = plant::snapshot(key, ORPHAN, 50, begun.unwrap_or(stage.clock.now())).tagged(&tags);
    if begun.is_none() {
        planted.resource.created_at = crate::domain::fact::Fact::unknown("no answer");
    }
    stage.cloud.apply("other", Change::Create(vec![planted])).unwrap();
}

/// Everything that is done to instances and volumes.
const ACTS: [(&str, Action); 5] = [
    (ORPHAN, Action::Terminate),
    (ORPHAN, Action::Modify),
    (INSTANCE, Action::Stop),
    (INSTANCE, Action::Resize),
    (INSTANCE, Action::Terminate),
];

#[tokio::test]
async fn h06_what_another_installation_claims_is_refused_for_seven_days_by_every_act() {
    let day = TimeDelta::days(1);
    for (id, action) in ACTS {
        for (age, refused) in [(TimeDelta::zero(), true), (day * 7, true), (day * 7 + TimeDelta::seconds(1), false)] {
            let mut stage = Stage::new();
            stage.rules.switches.allow_auto_terminate = true;
            claim(&stage, "st-other", id, Some(stage.clock.now() - age));
            let step = stage.due_step(id, action).await;
            let outcome = stage.act(&step).await;
            if refused {
                assert_refused(&stage, &outcome, "another installation of costwarden works on it: its act st-other-r7");
                assert_eq!(stage.mutations(), Vec::<String>::new(), "{action:?} of {id}: not even a snapshot");
            } else {
                assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{action:?}: {}", outcome.message);
            }
        }
    }
}

#[tokio::test]
async fn h06_of_two_installations_that_both_asked_for_their_snapshots_neither_acts() {
    let one = Stage::with(|world| world.timing.visibility_lag = (60, 60));
    one.fault("CreateSnapshot", Effect::SnapshotHours(2));
    let store = Arc::new(Store::in_memory().unwrap());
    let two = Stage::on(one.cloud.clone(), one.clock.clone(), store, one.place.clone());
    assert_ne!(one.store.state_id().unwrap(), two.store.state_id().unwrap());
    let (of_one, of_two) = (one.remediator(Halt::none()), two.remediator(Halt::none()));
    let (run_one, run_two) = (one.run("run-1"), two.run("run-1"));
    let step_one = one.due_step(ORPHAN, Action::Terminate).await;
    let step_two = two.due_step(ORPHAN, Action::Terminate).await;
    let first = of_one.start(&step_one, &one.plan(&step_one), &run_one).await.unwrap();
    let second = of_two.start(&step_two, &two.plan(&step_two), &run_two).await.unwrap();
    assert_eq!(one.mutations().len(), 2, "each asked for its snapshot: {:?}", one.mutations());

    for (stage, other, remediator, begun, run) in
        [(&one, &two, &of_one, first, &run_one), (&two, &one, &of_two, second, &run_two)]
    {
        let now = remediator.advance(begun.id.unwrap(), run).await.unwrap();
        let outcome = stage.play(remediator, now, run).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
        let claimed = format!("works on it: its act {}-r1", other.store.state_id().unwrap());
        assert!(outcome.message.contains(&claimed), "{}", outcome.message);
        assert_eq!(stage.frozen(), None, "each goes on with everything else");
    }
    assert_eq!((one.acts().len(), one.truth(ORPHAN).as_str()), (0, "available"));
}

#[tokio::test]
async fn h06_a_claim_whose_age_nobody_knows_holds() {
    let stage = Stage::new();
    claim(&stage, "st-other", ORPHAN, None);
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_refused(&stage, &stage.act(&step).await, "its act st-other-r7 made snap-0claim; one account");
}

#[tokio::test]
async fn h06_claims_on_others_and_those_of_our_own_state_hold_nobody() {
    let stage = Stage::new();
    let ours = stage.store.state_id().unwrap();
    claim(&stage, &ours, ORPHAN, Some(stage.clock.now() - TimeDelta::days(8)));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    // One of the instance's, which is another resource.
    let key = stage.place.partition(Kind::Snapshot).key("snap-0else");
    let tags = [("costwarden:source", INSTANCE), (KEY_TAG, "st-other-r8")];
    let planted = plant::snapshot(key, ROOT, 30, stage.clock.now()).tagged(&tags);
    stage.cloud.apply("other", Change::Create(vec![planted])).unwrap();
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
}

#[tokio::test]
async fn h06_while_nobody_can_tell_who_claims_it_nothing_is_begun() {
    for (operation, effect) in [("DescribeSnapshots", Effect::Throttle), ("DescribeSnapshots", Effect::MissingTags)] {
        let stage = Stage::new();
        claim(&stage, "st-other", ORPHAN, Some(stage.clock.now()));
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        stage.fault(operation, effect.clone());
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Aborted), "{effect:?}: {}", outcome.message);
        assert_eq!(stage.mutations(), Vec::<String>::new(), "{effect:?}");
    }
}
