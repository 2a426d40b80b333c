//! Restore drills (H14): what they find, what they leave behind, and that they delete nothing but their own volume.
//! Judged from the simulator's call log and truth.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::cloud::sim::Span;
use crate::domain::drill::{Drill, DrillState};
use crate::domain::text::Str;
use crate::remediate::drill::Drilled;

const GOOD: &str = "arn:aws:kms:eu-central-1:123456789012:key/good";
const BAD: &str = "arn:aws:kms:eu-central-1:123456789012:key/bad";

/// Safety snapshots: some plain, some under a key that works, some under one that does not, one that failed.
const SNAPSHOTS: [(&str, Option<&str>, &str); 8] = [
    ("snap-0a", None, "completed"),
    ("snap-0b", Some(GOOD), "completed"),
    ("snap-0c", Some(BAD), "completed"),
    ("snap-0d", None, "error"),
    ("snap-0e", Some(GOOD), "completed"),
    ("snap-0f", None, "completed"),
    ("snap-0g", None, "recoverable"),
    ("snap-0h", Some(GOOD), "completed"),
];

fn stage() -> Stage {
    let mut stage = Stage::with(|world| {
        let start = at("2026-11-01T00:00:00Z");
        let partition = crate::checks::testing::place().partition(Kind::Snapshot);
        world.timing.visibility_lag = (0, 40);
        world.keys.insert(BAD.into(), "Disabled".into());
        for (id, key, state) in SNAPSHOTS {
            let mut planted = plant::snapshot(partition.key(id), ORPHAN, 50, start);
            planted = planted.tagged(&[("costwarden:safety-snapshot", "true")]);
            if let crate::domain::resource::Detail::Snapshot(own) = &mut planted.resource.detail {
                (own.kms_key, own.state) = (key.map(Str::from), state.into());
            }
            world.resources.push(planted);
        }
    });
    stage.rules.window = Window {
        days: [0, 1, 2, 3, 4, 5, 6].map(|day| chrono::Weekday::try_from(day).unwrap()).into(),
        from: chrono::NaiveTime::MIN,
        to: chrono::NaiveTime::from_hms_opt(23, 59, 59).unwrap(),
        ..Window::default()
    };
    stage
}

impl Stage {
    async fn begin(&self, id: &str, halt: Halt) -> Result<Drilled, Interrupted> {
        let key = self.place.partition(Kind::Snapshot).key(id);
        let snapshot = self.cloud.truth(|truth| truth.resource(&key.id).unwrap().clone());
        let (remediator, run) = (self.remediator(halt), self.run("drill"));
        let first = remediator.begin_drill(&snapshot, "eu-central-1a", &run, &|drill| self.tell(drill)).await?;
        self.walk(&remediator, &run, first).await
    }

    /// Another worker, which goes on with what is open.
    async fn go_on(&self, halt: Halt) -> Result<Option<Drilled>, Interrupted> {
        let Some(open) = self.store.open_drill().unwrap() else { return Ok(None) };
        let (remediator, run) = (self.remediator(halt), self.run("next"));
        let first = remediator.walk_drill(open, &run, &|drill| self.tell(drill)).await?;
        self.walk(&remediator, &run, first).await.map(Some)
    }

    async fn walk(&self, remediator: &Remediator, run: &Run, first: Drilled) -> Result<Drilled, Interrupted> {
        let mut now = first;
        while let (Some(drill), Some(until)) = (now.drill.clone(), now.wait) {
            assert!(until > self.clock.now() && until <= self.clock.now() + TimeDelta::seconds(60));
            self.clock.advance_to(until);
            now = remediator.walk_drill(drill, run, &|drill| self.tell(drill)).await?;
        }
        Ok(now)
    }

    fn tell(&self, drill: &Drill) -> Vec<Outgoing> {
        self.messages.lock().unwrap().push(format!("d-{} {}", drill.id, drill.state.word()));
        Vec::new()
    }

    /// Volumes that carry the mark of a drill, in truth.
    fn marked(&self) -> Vec<String> {
        self.cloud.truth(|truth| {
            let marked = truth.resources().filter(|own| own.kind() == Kind::Volume && own.tag(DRILL_TAG).is_some());
            marked.map(|own| own.key.id.to_string()).collect()
        })
    }

    /// Volumes that were made, and volumes that were deleted, as the cloud's log has it.
    fn made_and_deleted(&self) -> (Vec<String>, Vec<String>) {
        let calls = self.cloud.calls().into_iter().filter(|call| call.mutating() && call.effective);
        let (mut made, mut deleted) = (Vec::new(), Vec::new());
        for call in calls {
            match call.operation.as_str() {
                "CreateVolume" => made.extend(self.cloud.truth(|_| call.args.rsplit(", ").next().map(str::to_owned))),
                "DeleteVolume" => deleted.extend(call.target),
                _ => {}
            }
        }
        (made, deleted)
    }

    /// What was there before any drill is there still.
    fn assert_untouched(&self) {
        for id in [ROOT, DATA, ORPHAN] {
            assert_ne!(self.truth(id), "gone", "{id}");
        }
        let (_, deleted) = self.made_and_deleted();
        let known = [ROOT, DATA, ORPHAN].map(str::to_owned);
        assert!(deleted.iter().all(|id| !known.contains(id)), "{deleted:?}");
    }
}

fn state(drilled: &Drilled) -> Option<DrillState> {
    drilled.drill.as_ref().map(|drill| drill.state)
}

#[tokio::test]
async fn h14_of_a_thousand_drills_those_that_can_succeed_do_and_every_bad_key_or_snapshot_is_told() {
    let stage = stage();
    let changes = |operation: &str, effect, calls: std::ops::Range<u64>| Fault {
        form: Some(Form::Change),
        calls: calls.filter(|call| call % 17 == 5).collect(),
        ..Fault::on(operation, effect)
    };
    stage.cloud.add_fault(changes("CreateVolume", Effect::TimeoutAfterEffect, 0..400));
    stage.cloud.add_fault(changes("DeleteVolume", Effect::Timeout, 0..200));
    stage.cloud.add_fault(changes("DeleteVolume", Effect::TimeoutAfterEffect, 200..400));
    let calls = (0..4_000).filter(|call| call % 13 == 7).collect();
    stage.cloud.add_fault(Fault { calls, ..Fault::on("DescribeVolumes", Effect::Throttle) });
    let (mut good, mut passed, mut bad, mut failed, mut random) = (0, 0, 0, 0, 1_u64);
    for _ in 0..1_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, key, word) = SNAPSHOTS[(random >> 33) as usize % SNAPSHOTS.len()];
        let end = stage.begin(id, Halt::none()).await.unwrap();
        if key != Some(BAD) && word == "completed" {
            good += 1;
            passed += u32::from(state(&end) == Some(DrillState::Passed));
        } else {
            bad += 1;
            failed += u32::from(state(&end) == Some(DrillState::Failed));
        }
    }
    assert!(good > 400 && bad > 200, "{good} {bad}");
    assert!(passed * 100 >= good * 99, "{passed} of {good} passed");
    assert_eq!(failed, bad, "every one that could not succeed was told");
    assert_eq!(stage.messages.lock().unwrap().len() as u32, failed + (good - passed));
    assert_eq!(stage.marked(), Vec::<String>::new(), "nothing is left");
    assert_eq!(stage.store.drills_since(at("2026-01-01T00:00:00Z")).unwrap().len(), 1_000);
    stage.assert_untouched();
    assert!(stage.cloud.fault_hits().iter().all(|hits| *hits > 5), "{:?}", stage.cloud.fault_hits());
}

/// Dies at the n-th point that is passed.
fn dying_at(nth: u32) -> Halt {
    let passed = Arc::new(AtomicU32::new(0));
    Halt::asking(Arc::new(move |_| {
        let dies = passed.fetch_add(1, Ordering::SeqCst) + 1 == nth;
        Box::pin(async move { dies })
    }))
}

#[tokio::test]
async fn h05_h14_a_crash_at_every_point_of_a_drill_leaves_one_volume_at_most_and_the_next_worker_ends_it() {
    let mut deaths = (0, 0);
    for first in 1.. {
        let mut survived = false;
        for second in 1.. {
            let stage = stage();
            match stage.begin("snap-0b", dying_at(first)).await {
                Err(Interrupted::Halted(_)) => {}
                other => {
                    assert_eq!(state(&other.unwrap()), Some(DrillState::Passed));
                    survived = true;
                }
            }
            assert!(stage.marked().len() <= 1);
            let died = matches!(stage.go_on(dying_at(second)).await, Err(Interrupted::Halted(_)));
            assert!(stage.marked().len() <= 1);
            let end = stage.go_on(Halt::none()).await.unwrap();
            let (made, deleted) = stage.made_and_deleted();
            assert!(made.len() <= 1 && deleted.len() <= made.len(), "{first} {second}: {made:?} {deleted:?}");
            assert_eq!(stage.marked(), Vec::<String>::new(), "{first} {second}: {end:?}");
            assert_eq!(stage.store.open_drill().unwrap(), None, "{first} {second}");
            let ended = stage.store.last_drill().unwrap().map(|drill| drill.state);
            let fine = [None, Some(DrillState::Passed), Some(DrillState::GivenUp)].contains(&ended);
            assert!(fine, "{first} {second}: {ended:?}");
            assert_eq!(made.is_empty(), ended != Some(DrillState::Passed), "{first} {second}");
            stage.assert_untouched();
            deaths.0 += u32::from(!survived);
            deaths.1 += u32::from(died);
            if survived || !died {
                break;
            }
        }
        if survived {
            break;
        }
    }
    assert!(deaths.0 > 60 && deaths.1 > 50, "{deaths:?}");
}

#[tokio::test]
async fn h14_a_volume_that_is_not_the_drills_own_beyond_doubt_is_left_and_a_person_is_told() {
    type Case = (&'static str, fn(&SimCloud, String));
    let cases: [Case; 4] = [
        ("it does not carry", |cloud, id| {
            let _ = cloud.apply("ann", Change::Untag { resource: id, keys: vec![DRILL_TAG.into()] });
        }),
        ("it does not carry", |cloud, id| {
            let tags = vec![(DRILL_TAG.into(), "st-another-d1".into())];
            let _ = cloud.apply("ann", Change::Tag { resource: id, tags });
        }),
        ("somebody put", |cloud, id| {
            let _ = cloud.apply("ann", Change::Tag { resource: id, tags: vec![(PROTECT_TAG.into(), "x".into())] });
        }),
        ("may be in use", |cloud, id| {
            let attach = Change::Attach { volume: id, instance: INSTANCE.into(), device: "/dev/sdz".into() };
            let _ = cloud.apply("ann", attach);
        }),
    ];
    for (words, change) in cases {
        let stage = stage();
        let (cloud, clock) = (stage.cloud.clone(), stage.clock.clone());
        // After the volume was seen, and long enough before the next read for that to show it.
        let meanwhile = Halt::meanwhile("D4.before", move || {
            let marked = cloud.truth(|truth| {
                let mut all = truth.resources().filter(|own| own.tag(DRILL_TAG).is_some());
                all.next().map(|own| own.key.id.to_string())
            });
            if let Some(id) = marked {
                change(&cloud, id);
                clock.advance_to(clock.now() + TimeDelta::seconds(45));
            }
        });
        let end = stage.begin("snap-0a", meanwhile).await.unwrap();
        assert_eq!(state(&end), Some(DrillState::Unclear), "{words}: {}", end.message);
        assert!(end.message.contains(words), "{words}: {}", end.message);
        let (made, deleted) = stage.made_and_deleted();
        assert_eq!((made.len(), deleted), (1, Vec::new()), "{words}");
        assert_eq!(*stage.messages.lock().unwrap(), ["d-1 unclear"]);
        assert_eq!(stage.store.open_drill().unwrap(), None, "it is not touched again");
        stage.assert_untouched();
    }
}

#[tokio::test]
async fn h14_a_key_that_goes_between_the_question_and_the_volume_makes_the_drill_fail() {
    let stage = stage();
    let cloud = stage.cloud.clone();
    let meanwhile = Halt::meanwhile("D1.after", move || {
        cloud.apply("sec", Change::SetKey { key: GOOD.into(), state: "PendingDeletion".into() }).unwrap();
    });
    let end = stage.begin("snap-0b", meanwhile).await.unwrap();
    assert_eq!(state(&end), Some(DrillState::Failed), "{}", end.message);
    assert!(end.message.contains("vanished"), "{}", end.message);
    assert_eq!((stage.marked(), stage.made_and_deleted().1), (Vec::new(), Vec::new()));
    assert_eq!(*stage.messages.lock().unwrap(), ["d-1 failed"]);
}

#[tokio::test]
async fn h14_no_drill_begins_where_nothing_may_be_changed_and_a_freeze_half_way_holds_it() {
    type Case = (&'static str, fn(&mut Stage));
    let cases: [Case; 7] = [
        ("mode enforce alone", |stage| stage.rules.mode = Mode::Observe),
        ("mode enforce alone", |stage| stage.rules.mode = Mode::Notify),
        ("mode enforce alone", |stage| stage.rules.by_hand = true),
        ("is not armed", |stage| assert!(stage.store.disarm(&stage.place.account, stage.clock.now()).unwrap())),
        ("frozen by eve", |stage| {
            stage.store.freeze(&Freeze { at: stage.clock.now(), by: "eve".into(), reason: "audit".into() }).unwrap();
        }),
        ("is no action day", |stage| stage.rules.window = Window { days: Default::default(), ..Window::default() }),
        ("not among the settings", |stage| stage.rules.places.clear()),
    ];
    for (words, change) in cases {
        let mut stage = stage();
        change(&mut stage);
        let end = stage.begin("snap-0a", Halt::none()).await.unwrap();
        assert!(end.drill.is_none() && end.message.contains(words), "{words}: {}", end.message);
        assert_eq!((stage.mutations(), stage.store.last_drill().unwrap()), (Vec::new(), None), "{words}");
    }
    // Half-way: nothing is deleted while it is frozen; afterwards it ends.
    let stage = stage();
    let (store, clock) = (stage.store.clone(), stage.clock.clone());
    let freezes = Halt::meanwhile("D3.call", move || {
        store.freeze(&Freeze { at: clock.now(), by: "eve".into(), reason: "audit".into() }).unwrap();
    });
    let held = stage.begin("snap-0a", freezes).await.unwrap();
    assert!(held.message.contains("held: frozen by eve"), "{}", held.message);
    assert_eq!((stage.marked().len(), stage.made_and_deleted().1), (1, Vec::new()));
    stage.store.unfreeze("eve", stage.clock.now()).unwrap();
    let end = stage.go_on(Halt::none()).await.unwrap().unwrap();
    assert_eq!((state(&end), stage.marked()), (Some(DrillState::Passed), Vec::new()));
}

#[tokio::test]
async fn h14_days_in_which_nobody_looked_are_no_hour_of_failed_reads() {
    // Before the volume is known, while it is waited for, and when it is about to be deleted.
    for point in ["D1.call", "D2.after", "D4.after"] {
        let stage = stage();
        let dies = Halt::asking(Arc::new(move |passed| Box::pin(async move { passed == point })));
        assert!(matches!(stage.begin("snap-0a", dies).await, Err(Interrupted::Halted(_))), "{point}");
        assert_eq!(stage.marked().len(), 1, "{point}");
        // Two days later the first reads fail, for some seconds.
        stage.clock.advance_to(stage.clock.now() + TimeDelta::days(2));
        let until = Some(stage.clock.now() + TimeDelta::seconds(5));
        let span = Span { from: None, until };
        stage.cloud.add_fault(Fault { span, ..Fault::on("DescribeVolumes", Effect::Throttle) });
        let end = stage.go_on(Halt::none()).await.unwrap().unwrap();
        assert_eq!((state(&end), stage.marked()), (Some(DrillState::Passed), Vec::new()), "{point}: {}", end.message);
        assert!(stage.cloud.fault_hits().iter().all(|hits| *hits > 0), "{point}: the fault was reached");
    }
}

#[tokio::test]
async fn h14_one_listing_without_the_volume_is_no_proof_that_none_was_made() {
    let stage = stage();
    let dies = Halt::asking(Arc::new(|point| Box::pin(async move { point == "D1.call" })));
    assert!(matches!(stage.begin("snap-0a", dies).await, Err(Interrupted::Halted(_))));
    assert_eq!(stage.marked().len(), 1);
    // Two days later the first listing is empty, and says nothing of it.
    stage.clock.advance_to(stage.clock.now() + TimeDelta::days(2));
    let span = Span { from: None, until: Some(stage.clock.now() + TimeDelta::seconds(5)) };
    let form = Some(Form::List);
    stage.cloud.add_fault(Fault { span, form, ..Fault::on("DescribeVolumes", Effect::Shorter(100)) });
    let end = stage.go_on(Halt::none()).await.unwrap().unwrap();
    assert_eq!((state(&end), stage.marked()), (Some(DrillState::Passed), Vec::new()), "{}", end.message);
    assert!(stage.cloud.fault_hits().iter().all(|hits| *hits > 0), "the fault was reached");
}

#[tokio::test]
async fn h04_a_drill_that_goes_on_in_a_later_run_asks_again_whose_the_credentials_are() {
    let stage = stage();
    let dies = Halt::asking(Arc::new(|point| Box::pin(async move { point == "D2.after" })));
    assert!(matches!(stage.begin("snap-0a", dies).await, Err(Interrupted::Halted(_))));
    let other = Effect::WrongIdentity(crate::domain::place::AccountId::new("999999999999").unwrap());
    let until = Some(stage.clock.now() + TimeDelta::hours(1));
    let span = Span { from: None, until };
    stage.cloud.add_fault(Fault { span, ..Fault::on("GetCallerIdentity", other) });
    let held = stage.go_on(Halt::none()).await.unwrap().unwrap();
    assert!(held.message.contains("whose the acting credentials are"), "{}", held.message);
    assert_eq!((stage.marked().len(), stage.made_and_deleted().1), (1, Vec::new()), "nothing is deleted");
    assert!(stage.cloud.fault_hits().iter().all(|hits| *hits > 0), "the fault was reached");
    // With the right credentials again a later slot ends it.
    stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(2));
    let end = stage.go_on(Halt::none()).await.unwrap().unwrap();
    assert_eq!((state(&end), stage.marked()), (Some(DrillState::Passed), Vec::new()), "{}", end.message);
}

#[tokio::test]
async fn h14_what_cannot_be_read_for_an_hour_is_left_and_told() {
    let stage = stage();
    let from = Some(stage.clock.now() + TimeDelta::seconds(3));
    let span = Span { from, until: None };
    stage.cloud.add_fault(Fault { span, ..Fault::on("DescribeVolumes", Effect::Unavailable) });
    let end = stage.begin("snap-0a", Halt::none()).await.unwrap();
    assert_eq!(state(&end), Some(DrillState::Unclear), "{}", end.message);
    assert_eq!((stage.marked().len(), stage.made_and_deleted().1), (1, Vec::new()), "left for a person");
    assert_eq!(*stage.messages.lock().unwrap(), ["d-1 unclear"]);
}
