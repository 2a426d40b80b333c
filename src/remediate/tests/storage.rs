//! Changing a volume in place, releasing an address, throwing a snapshot into the Recycle Bin: each with its refusals, its
//! gaps and its way back.

use super::people::{ask, say_yes};
use super::undo::wish;
use super::*;
use crate::domain::fact::Fact;
use crate::domain::lifecycle::ApprovalState;
use crate::domain::resource::{Detail, Modification};
use crate::domain::undo::standing;
use crate::remediate::actions::{Recipe, Restore};
use crate::remediate::recheck::read_one;
use crate::remediate::undo::preview::preview;

pub(super) const ADDRESS: &str = "eipalloc-0idle";
pub(super) const SNAPSHOT: &str = "snap-0old";
const IP: &str = "203.0.113.9";

/// A stage with an idle address and an old snapshot, a Recycle Bin rule of 30 days, and settings that name it.
pub(super) fn furnished() -> Stage {
    furnished_with(|_| {})
}

fn furnished_with(change: impl FnOnce(&mut World)) -> Stage {
    let mut stage = Stage::with(|world| {
        let place = crate::checks::testing::place();
        let address = plant::address(place.partition(Kind::Address).key(ADDRESS), IP).tagged(&[("Name", "old front")]);
        let snapshot = plant::snapshot(place.partition(Kind::Snapshot).key(SNAPSHOT), "vol-0gone", 200, long_ago());
        world.resources.extend([address, snapshot.tagged(&[("Name", "before the move")])]);
        world.timing.recycle_bin_days = Some(30);
        change(world);
    });
    stage.rules.switches.recycle_bin_days = Some(30);
    stage
}

fn long_ago() -> Instant {
    at("2026-05-01T00:00:00Z")
}

fn orphan(stage: &Stage) -> crate::domain::resource::Volume {
    stage.cloud.truth(|truth| truth.resource(ORPHAN).unwrap().volume().unwrap().clone())
}

async fn modify(stage: &Stage) -> Outcome {
    let step = stage.due_step(ORPHAN, Action::Modify).await;
    stage.act(&step).await
}

async fn with_people(stage: &Stage, id: &str, action: Action) -> (Step, Outcome) {
    let step = stage.due_step(id, action).await;
    say_yes(stage, &step);
    let outcome = stage.act(&step).await;
    (step, outcome)
}

fn done(outcome: &Outcome) -> i64 {
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    outcome.id.unwrap()
}

#[tokio::test]
async fn a_gp2_volume_becomes_gp3_with_no_less_performance_and_without_a_snapshot() {
    for (size, iops, throughput) in [(50, 3_000, 128), (171, 3_000, 250), (2_000, 6_000, 250)] {
        let stage = Stage::with(|world| {
            let Detail::Volume(volume) = &mut world.resources[3].resource.detail else { panic!() };
            (volume.size_gib, volume.iops) = (size, Some(size * 3));
        });
        let id = done(&modify(&stage).await);
        let now = orphan(&stage);
        assert_eq!((&*now.volume_type, now.iops, now.throughput), ("gp3", Some(iops), Some(throughput)), "{size} GiB");
        assert_eq!(stage.mutations(), [format!("ModifyVolume {ORPHAN}")]);
        let recipe = Recipe::of(&stage.row(id)).unwrap();
        assert_eq!(recipe.restore, Restore::ModifyVolume { volume: ORPHAN.into() });
        assert_eq!(recipe.resource.volume().unwrap().iops, Some(size * 3), "as it was before");
    }
}

#[tokio::test]
async fn a_volume_is_not_modified_while_ebs_would_refuse_and_when_that_is_not_known() {
    let last = |state: &'static str, hours: i64| {
        Stage::with(move |world| {
            let begun = monday() - TimeDelta::hours(hours);
            let Detail::Volume(volume) = &mut world.resources[3].resource.detail else { panic!() };
            volume.modification = Fact::Known(Box::new(Modification { state: state.into(), begun }));
        })
    };
    for (state, hours, words) in
        [("optimizing", 48, "still optimizing"), ("modifying", 48, "still modifying"), ("completed", 5, "six hours")]
    {
        let stage = last(state, hours);
        assert_refused(&stage, &modify(&stage).await, words);
    }
    done(&modify(&last("completed", 6)).await);
    done(&modify(&last("failed", 6)).await);

    let stage = Stage::new();
    stage.fault("DescribeVolumesModifications", Effect::Deny);
    assert_refused(&stage, &modify(&stage).await, "last changed is not known");
    assert_eq!(orphan(&stage).volume_type, "gp2".into());
}

#[tokio::test]
async fn a_modification_that_fails_is_stuck_and_told() {
    let stage = Stage::new();
    change_fault(&stage, "ModifyVolume", Effect::Timeout);
    let outcome = modify(&stage).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{}", outcome.message);
    assert!(stage.frozen().is_some());
    assert_eq!(stage.acts().len(), 1, "never asked for twice");
}

#[tokio::test]
async fn undo_of_a_modification_waits_for_its_six_hours_and_brings_every_field_back() {
    let stage = Stage::new();
    let before = orphan(&stage);
    let act = stage.acted(ORPHAN, Action::Modify).await;
    let early = stage.undo(act).await;
    assert_eq!(early.progress, Progress::Ended(JournalState::Refused), "{}", early.message);
    assert!(early.message.contains("still optimizing") || early.message.contains("six hours"), "{}", early.message);
    assert_eq!((stage.effective("ModifyVolume"), stage.frozen()), (1, None));

    stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(6));
    let outcome = stage.undo_as(wish(act), "run-late").await;
    done(&outcome);
    assert_eq!(stage.fields(outcome.id.unwrap()), Vec::<String>::new());
    let after = orphan(&stage);
    assert_eq!(
        (&after.volume_type, after.iops, after.throughput),
        (&before.volume_type, before.iops, before.throughput)
    );
}

#[tokio::test]
async fn undo_leaves_a_volume_that_somebody_changed_since() {
    let stage = Stage::new();
    let act = stage.acted(ORPHAN, Action::Modify).await;
    stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(7));
    stage.cloud.apply("ann", Change::Delete(ORPHAN.into())).unwrap();
    stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(5));
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert_eq!((stage.effective("ModifyVolume"), stage.frozen()), (1, None));
}

#[tokio::test]
async fn the_gate_freezes_on_a_modification_that_would_make_a_volume_slower_or_something_else() {
    use super::super::gate::Purpose;
    use crate::domain::place::VolumeId;
    let stage = Stage::with(|world| {
        let Detail::Volume(volume) = &mut world.resources[3].resource.detail else { panic!() };
        (volume.size_gib, volume.iops) = (2_000, Some(6_000));
    });
    let step = stage.due_step(ORPHAN, Action::Modify).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let fresh = read_one(&stage.cloud.reader(), step.act, &step.key).await.unwrap();
    let to = |volume_type: &str, iops, throughput| Call::ModifyVolume {
        volume: VolumeId::new(ORPHAN).unwrap(),
        volume_type: volume_type.into(),
        iops,
        throughput,
    };
    for (call, passes) in [
        (to("gp3", Some(6_000), Some(250)), true),
        (to("gp3", Some(5_999), Some(250)), false),
        (to("gp3", None, Some(250)), false),
        (to("gp3", Some(6_000), Some(249)), false),
        (to("gp3", Some(6_000), None), false),
        (to("io2", Some(6_000), Some(250)), false),
        (to("st1", None, Some(500)), false),
    ] {
        let ruling = remediator.gate(Purpose::Act, &step, &call, &fresh, stage.clock.now(), &run).unwrap();
        assert_eq!(ruling == Ruling::Pass, passes, "{call:?}: {ruling:?}");
        assert_eq!(matches!(ruling, Ruling::Freeze(_)), !passes, "{call:?}: {ruling:?}");
    }
}

#[tokio::test]
async fn i07_an_address_or_a_snapshot_goes_with_two_peoples_word_whatever_the_policy_says() {
    use ApprovalState::{Approved, Rejected};
    let (ben, fin) = ("ben@example.com", "fin@example.com");
    for (id, action) in [(ADDRESS, Action::Release), (SNAPSHOT, Action::Terminate)] {
        let cases: [&[(&str, ApprovalState)]; 4] =
            [&[], &[(ben, Approved)], &[(ben, Approved), (fin, Rejected)], &[(fin, Rejected)]];
        for answers in cases {
            let stage = furnished();
            let step = stage.due_step(id, action).await;
            assert_eq!(stage.store.finding(&step.finding).unwrap().unwrap().approvals, 0, "the policy asks for nobody");
            ask(&stage, &step, answers);
            let outcome = stage.act(&step).await;
            let words =
                if answers.iter().any(|(_, said)| *said == Rejected) { "refused" } else { "waits for approval" };
            assert_refused(&stage, &outcome, words);
            assert!(stage.cloud.truth(|truth| truth.resource(id).is_some()), "{id}");
        }
        let stage = furnished();
        let (_, outcome) = with_people(&stage, id, action).await;
        done(&outcome);
        assert_eq!(stage.truth(id), "gone");
    }
}

#[tokio::test]
async fn a_released_address_can_be_had_back_by_its_number_while_nobody_else_has_it() {
    let stage = furnished();
    let act = stage.acted(ADDRESS, Action::Release).await;
    assert_eq!(stage.truth(ADDRESS), "gone");
    let now = stage.clock.now();
    let told = preview(&stage.store, &stage.cloud.reader(), &stage.rules.guards, &stage.rules.prices, act, now)
        .await
        .unwrap()
        .unwrap();
    assert!(told.losses.iter().any(|loss| loss.contains("if somebody else was given it")), "{:?}", told.losses);
    assert_eq!((told.undoable.until, told.call.unwrap().target()), (None, IP));

    let outcome = stage.undo(act).await;
    done(&outcome);
    let back = stage.restored();
    assert_eq!(back.len(), 1);
    assert_eq!(&*back[0].address().unwrap().public_ip, IP);
    assert_eq!((back[0].tag("Name"), back[0].tag(PROTECT_TAG).is_some()), (Some("old front"), true));
    assert_ne!(&*back[0].key.id, ADDRESS);
    assert_eq!(stage.fields(outcome.id.unwrap()), ["id"], "an allocation id never comes back");
}

#[tokio::test]
async fn undo_says_so_when_a_released_address_is_somebody_elses_by_now() {
    let stage = furnished();
    let act = stage.acted(ADDRESS, Action::Release).await;
    stage.cloud.apply("another account", Change::TakeAddress(IP.into())).unwrap();
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains(IP) && outcome.message.contains("cannot be had"), "{}", outcome.message);
    assert_eq!((stage.restored(), stage.frozen()), (vec![], None));
}

#[tokio::test]
async fn undo_finds_the_address_of_a_lost_answer_by_its_number() {
    let stage = furnished();
    let act = stage.acted(ADDRESS, Action::Release).await;
    change_fault(&stage, "AllocateAddress", Effect::TimeoutAfterEffect);
    done(&stage.undo(act).await);
    assert_eq!((stage.restored().len(), stage.effective("AllocateAddress")), (1, 1));
}

#[tokio::test]
async fn h07_an_address_that_is_used_in_the_last_moment_is_not_released() {
    for point in ["J4.call", "J8.before"] {
        let stage = furnished();
        let step = stage.due_step(ADDRESS, Action::Release).await;
        say_yes(&stage, &step);
        let cloud = stage.cloud.clone();
        let halt = Halt::meanwhile(point, move || {
            let change = Change::Associate { address: ADDRESS.into(), instance: INSTANCE.into() };
            cloud.apply("ann", change).unwrap();
        });
        let (remediator, run) = (stage.remediator(halt), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{point}: {}", end.message);
        assert!(stage.cloud.truth(|truth| truth.resource(ADDRESS).is_some()), "{point}");
        assert_eq!((stage.effective("ReleaseAddress"), stage.frozen()), (0, None), "{point}");
    }
}

#[tokio::test]
async fn deleting_snapshots_is_off_where_no_recycle_bin_rule_is_named() {
    let mut stage = furnished();
    stage.rules.switches.recycle_bin_days = None;
    let (_, outcome) = with_people(&stage, SNAPSHOT, Action::Terminate).await;
    assert_refused(&stage, &outcome, "recycle_bin_days");
}

#[tokio::test]
async fn a_deleted_snapshot_is_seen_in_the_recycle_bin_and_comes_back_under_its_id() {
    let stage = furnished();
    let before = stage.cloud.truth(|truth| truth.resource(SNAPSHOT).unwrap().clone());
    let act = stage.acted(SNAPSHOT, Action::Terminate).await;
    let row = stage.row(act);
    assert!(row.message.contains("Recycle Bin, which keeps it until 2026-12-23"), "{}", row.message);
    let own = standing(&row, false, &stage.rules.prices, stage.clock.now()).unwrap();
    assert_eq!(own.until.unwrap().date_naive().to_string(), "2026-12-23");
    // 200 GiB at 0.05 dollars a GB-month: 10.00 a month, 24 of 730 hours of it a day. In the bin it costs what it did.
    assert_eq!(own.daily, crate::domain::money::Usd(328_767));

    let outcome = stage.undo(act).await;
    done(&outcome);
    assert_eq!(stage.fields(outcome.id.unwrap()), Vec::<String>::new(), "id, tags and all came back");
    assert_eq!(stage.cloud.truth(|truth| truth.resource(SNAPSHOT).unwrap().clone()), before);
}

#[tokio::test]
async fn a_claim_of_a_recycle_bin_rule_that_proves_wrong_freezes_before_a_second_snapshot_goes() {
    let stage = furnished_with(|world| world.timing.recycle_bin_days = None);
    let (_, outcome) = with_people(&stage, SNAPSHOT, Action::Terminate).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{}", outcome.message);
    assert!(outcome.message.contains("not in the Recycle Bin"), "{}", outcome.message);
    assert!(stage.frozen().is_some(), "no second one goes the same way");
}

#[tokio::test]
async fn h01_a_recycle_bin_that_cannot_be_read_is_asked_again_and_never_taken_for_empty() {
    let stage = furnished();
    let unread = Fault { calls: (1..=5).collect(), ..Fault::on("ListSnapshotsInRecycleBin", Effect::Throttle) };
    stage.cloud.add_fault(unread);
    let (_, outcome) = with_people(&stage, SNAPSHOT, Action::Terminate).await;
    done(&outcome);
    assert_eq!(stage.acts(), [format!("DeleteSnapshot {SNAPSHOT}")]);
}

#[tokio::test]
async fn after_its_time_in_the_recycle_bin_a_snapshot_does_not_come_back() {
    let stage = furnished();
    let act = stage.acted(SNAPSHOT, Action::Terminate).await;
    stage.clock.advance_to(stage.clock.now() + TimeDelta::days(31));
    let why = standing(&stage.row(act), false, &stage.rules.prices, stage.clock.now()).unwrap_err();
    assert!(why.contains("Recycle Bin kept it until 2026-12-23"), "{why}");
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("not in the Recycle Bin any more"), "{}", outcome.message);
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn i14_h22_no_snapshot_goes_that_an_image_uses_a_lock_holds_or_a_service_or_we_ourselves_made() {
    type Edit = fn(&mut Planted);
    fn own(planted: &mut Planted) -> &mut crate::domain::resource::Snapshot {
        match &mut planted.resource.detail {
            Detail::Snapshot(own) => own,
            _ => panic!("not a snapshot"),
        }
    }
    fn tags(planted: &mut Planted, tags: &[(&str, &str)]) {
        planted.resource.tags = Fact::Known(crate::domain::resource::Tags::of(tags));
    }
    let cases: [(&str, Edit); 8] = [
        ("lock", |planted| own(planted).locked = Fact::Known(true)),
        ("AWS Backup", |planted| tags(planted, &[("aws:backup:source-resource", "x")])),
        ("AWS Backup", |planted| {
            own(planted).description = "This snapshot is created by the AWS Backup service.".into()
        }),
        ("Data Lifecycle Manager", |planted| tags(planted, &[("dlm:managed", "true")])),
        ("Data Lifecycle Manager", |planted| own(planted).description = "Created for policy: policy-0a1 x".into()),
        ("safety snapshot", |planted| tags(planted, &[("costwarden:safety-snapshot", "true")])),
        ("archive", |planted| own(planted).storage_tier = "archive".into()),
        ("image ami-0web", |_| {}),
    ];
    for (words, edit) in cases {
        let stage = furnished_with(|world| {
            edit(world.resources.last_mut().unwrap());
            if words.starts_with("image") {
                let key = crate::checks::testing::place().partition(Kind::Image).key("ami-0web");
                world.resources.push(plant::image(key, "web", &[SNAPSHOT], long_ago()));
            }
        });
        let (_, outcome) = with_people(&stage, SNAPSHOT, Action::Terminate).await;
        assert_refused(&stage, &outcome, words);
        assert_eq!(stage.truth(SNAPSHOT), "completed", "{words}");
    }
}

#[tokio::test]
async fn h07_a_snapshot_that_is_locked_in_the_last_moment_stays() {
    for point in ["J4.call", "J8.before"] {
        let stage = furnished();
        let step = stage.due_step(SNAPSHOT, Action::Terminate).await;
        say_yes(&stage, &step);
        let cloud = stage.cloud.clone();
        let halt = Halt::meanwhile(point, move || cloud.apply("ann", Change::Lock(SNAPSHOT.into())).unwrap());
        let (remediator, run) = (stage.remediator(halt), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Refused), "{point}: {}", end.message);
        assert_eq!((stage.truth(SNAPSHOT).as_str(), stage.frozen()), ("completed", None), "{point}");
    }
}

#[tokio::test]
async fn h18_the_gate_refuses_by_its_own_code_what_the_guards_should_have_refused() {
    use super::super::gate::Purpose;
    use crate::domain::place::{AddressId, SnapshotId, VolumeId};
    let stage = furnished();
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let modify = Call::ModifyVolume {
        volume: VolumeId::new(ORPHAN).unwrap(),
        volume_type: "gp3".into(),
        iops: None,
        throughput: Some(128),
    };
    let release = Call::ReleaseAddress { address: AddressId::new(ADDRESS).unwrap() };
    let delete = Call::DeleteSnapshot { snapshot: SnapshotId::new(SNAPSHOT).unwrap() };
    type Edit = fn(&mut Resource);
    fn volume(resource: &mut Resource) -> &mut crate::domain::resource::Volume {
        match &mut resource.detail {
            Detail::Volume(own) => own,
            _ => panic!("not a volume"),
        }
    }
    fn address(resource: &mut Resource) -> &mut crate::domain::resource::Address {
        match &mut resource.detail {
            Detail::Address(own) => own,
            _ => panic!("not an address"),
        }
    }
    fn snapshot(resource: &mut Resource) -> &mut crate::domain::resource::Snapshot {
        match &mut resource.detail {
            Detail::Snapshot(own) => own,
            _ => panic!("not a snapshot"),
        }
    }
    fn last(hours: i64, state: &str) -> Fact<Box<Modification>> {
        let begun = monday() - TimeDelta::hours(hours);
        Fact::Known(Box::new(Modification { state: state.into(), begun }))
    }
    let cases: [(&str, Action, &Call, &[Edit]); 3] = [
        (
            ORPHAN,
            Action::Modify,
            &modify,
            &[
                |own| volume(own).modification = Fact::unknown("denied"),
                |own| volume(own).modification = last(5, "completed"),
                |own| volume(own).modification = last(48, "optimizing"),
                |own| volume(own).state = "creating".into(),
                |own| volume(own).volume_type = "io1".into(),
            ],
        ),
        (
            ADDRESS,
            Action::Release,
            &release,
            &[
                |own| address(own).association = Some("eipassoc-1".into()),
                |own| address(own).instance = Some(INSTANCE.into()),
                |own| address(own).network_interface = Some("eni-1".into()),
                |own| address(own).operator = Some("nat".into()),
            ],
        ),
        (
            SNAPSHOT,
            Action::Terminate,
            &delete,
            &[
                |own| snapshot(own).image = Fact::Known("ami-1".into()),
                |own| snapshot(own).image = Fact::unknown("cut"),
                |own| snapshot(own).locked = Fact::Known(true),
                |own| snapshot(own).locked = Fact::unknown("denied"),
                |own| snapshot(own).state = "error".into(),
                |own| snapshot(own).storage_tier = "archive".into(),
                |own| snapshot(own).description = "by the AWS Backup service".into(),
                |own| own.tags = Fact::Known(crate::domain::resource::Tags::of(&[("dlm:managed", "true")])),
                |own| own.tags = Fact::Known(crate::domain::resource::Tags::of(&[(KEY_TAG, "st-1-r1")])),
            ],
        ),
    ];
    for (id, action, call, edits) in cases {
        let step = stage.due_step(id, action).await;
        say_yes(&stage, &step);
        let fresh = read_one(&stage.cloud.reader(), step.act, &step.key).await.unwrap();
        let ask = |own: &Resource| remediator.gate(Purpose::Act, &step, call, own, stage.clock.now(), &run).unwrap();
        assert_eq!(ask(&fresh), Ruling::Pass, "{call}");
        for (number, edit) in edits.iter().enumerate() {
            let mut changed = fresh.clone();
            edit(&mut changed);
            assert!(matches!(ask(&changed), Ruling::Refuse(..)), "{call} case {number}: {:?}", ask(&changed));
        }
    }
}
