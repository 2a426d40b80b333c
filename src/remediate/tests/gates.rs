//! The gate, asked alone and through whole acts.

use super::*;
use crate::domain::mode::Freeze;
use crate::store::{GateClass, GatePass};

fn pass(stage: &Stage, run: &str, class: GateClass, kind: Kind, at: Instant) {
    let account = stage.place.account.clone();
    stage.store.gate_pass(&GatePass { remediation: 999, run: run.into(), account, kind, class, at }).unwrap();
}

#[tokio::test]
async fn h03_one_more_than_the_pace_at_the_gate_is_a_bug_and_freezes() {
    // The gate has let three deletes through in this run, which no journal row knows of.
    let stage = Stage::new();
    for _ in 0..3 {
        pass(&stage, "run-1", GateClass::Destructive, Kind::Volume, stage.clock.now());
    }
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(stage.frozen().unwrap().contains("3 destructive acts in a run"), "{:?}", stage.frozen());
    assert_eq!((stage.acts().len(), stage.truth(ORPHAN).as_str()), (0, "available"));
}

#[tokio::test]
async fn h03_a_plan_file_that_knows_nothing_of_todays_acts_waits_for_room_and_freezes_nothing() {
    let mut stage = Stage::with(|world| {
        let place = crate::checks::testing::place();
        world.resources.push(another_volume(&place, "vol-0second"));
    });
    stage.rules.by_hand = true;
    stage.rules.pace.destructive_per_day = 1;
    let step = stage.due_step("vol-0second", Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Done));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-2"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Held, "{}", outcome.message);
    assert!(outcome.message.contains("over today's pace"), "{}", outcome.message);
    assert_eq!((stage.acts(), stage.frozen()), (vec!["DeleteVolume vol-0second".to_owned()], None));
}

#[tokio::test]
async fn h03_two_of_three_pass_and_another_runs_passes_do_not_count() {
    let stage = Stage::new();
    for _ in 0..2 {
        pass(&stage, "run-1", GateClass::Destructive, Kind::Volume, stage.clock.now());
        pass(&stage, "run-0", GateClass::Destructive, Kind::Volume, stage.clock.now());
    }
    pass(&stage, "run-1", GateClass::Disruptive, Kind::Instance, stage.clock.now());
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Done));
}

#[tokio::test]
async fn h03_the_day_the_share_of_a_kind_and_zero_hold_as_well() {
    let yesterday = monday() - TimeDelta::hours(11);
    type Case = (&'static str, fn(&mut Stage), Option<&'static str>);
    let cases: [Case; 6] = [
        (
            "ten today",
            |stage| (0..10).for_each(|_| pass(stage, "x", GateClass::Destructive, Kind::Instance, stage.clock.now())),
            Some("10 destructive acts in a day"),
        ),
        (
            "nine today",
            |stage| (0..9).for_each(|_| pass(stage, "x", GateClass::Destructive, Kind::Instance, stage.clock.now())),
            None,
        ),
        ("share", |stage| stage.rules.totals.clear(), None),
        (
            "share used up",
            |stage| {
                stage.rules.totals.clear();
                pass(stage, "x", GateClass::Disruptive, Kind::Volume, stage.clock.now());
            },
            Some("1 acts on one kind in a day"),
        ),
        ("zero a run", |stage| stage.rules.pace.destructive_per_run = 0, Some("0 are allowed")),
        ("zero percent", |stage| stage.rules.pace.percent_of_kind_per_day = 0, Some("0 are allowed")),
    ];
    for (name, change, freezes) in cases {
        let mut stage = Stage::new();
        for _ in 0..10 {
            pass(&stage, "old", GateClass::Destructive, Kind::Volume, yesterday);
        }
        change(&mut stage);
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let outcome = stage.act(&step).await;
        match freezes {
            Some(words) => {
                assert!(stage.frozen().unwrap_or_default().contains(words), "{name}: {:?}", stage.frozen());
                assert_eq!(stage.acts().len(), 0, "{name}");
            }
            None => assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{name}: {}", outcome.message),
        }
    }
}

#[tokio::test]
async fn h03_a_step_carried_over_from_yesterday_waits_for_room_instead_of_freezing() {
    let mut stage = Stage::with(|world| {
        let place = crate::checks::testing::place();
        world.resources.push(another_volume(&place, "vol-0second"));
    });
    stage.rules.pace.destructive_per_run = 1;
    stage.fault("CreateSnapshot", Effect::SnapshotHours(20));
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    for id in [ORPHAN, "vol-0second"] {
        let step = stage.due_step(id, Action::Terminate).await;
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        assert_eq!(stage.play(&remediator, first, &run).await.progress, Progress::Held);
        // The second claim of the day is made inside the window too.
        stage.clock.advance_to(if id == ORPHAN { at("2026-11-24T09:30:00Z") } else { stage.clock.now() });
    }
    stage.clock.advance_to(at("2026-11-25T10:00:00Z"));
    let wednesday = stage.resume("run-2").await;
    let ends: Vec<Progress> = wednesday.iter().map(|outcome| outcome.progress).collect();
    assert_eq!(ends, [Progress::Ended(JournalState::Done), Progress::Held]);
    assert!(wednesday[1].message.contains("over today's pace"), "{}", wednesday[1].message);
    assert_eq!((stage.acts().len(), stage.frozen()), (1, None));

    stage.clock.advance_to(at("2026-11-26T10:00:00Z"));
    let thursday = stage.resume("run-3").await;
    assert_eq!(thursday[0].progress, Progress::Ended(JournalState::Done), "{}", thursday[0].message);
    assert_eq!(stage.acts().len(), 2);
    stage.assert_watched();
}

#[tokio::test]
async fn h04_a_target_outside_the_list_or_with_a_wrong_id_freezes_and_is_not_even_read() {
    let foreign: [fn(&mut Step); 3] = [
        |step| step.key = "999999999999/us-east-1/storage/volume/vol-0orphan".parse().unwrap(),
        |step| step.key = "123456789012/eu-west-1/storage/volume/vol-0orphan".parse().unwrap(),
        |step| step.key = "123456789012/us-east-1/storage/volume/i-0idle".parse().unwrap(),
    ];
    for change in foreign {
        let stage = Stage::new();
        let mut step = stage.due_step(ORPHAN, Action::Terminate).await;
        change(&mut step);
        let before = stage.cloud.calls().len();
        let outcome = stage.act(&step).await;
        assert_eq!((outcome.id, outcome.progress), (None, Progress::Held));
        assert!(stage.frozen().unwrap().contains("outside the accounts and Regions"));
        assert_eq!(stage.cloud.calls().len(), before);
    }
}

#[tokio::test]
async fn h04_acting_credentials_of_another_account_freeze_before_any_change() {
    let stage = Stage::new();
    stage.fault("GetCallerIdentity", Effect::WrongIdentity(AccountId::new("999999999999").unwrap()));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    stage.act(&step).await;
    assert!(stage.frozen().unwrap().contains("999999999999"));
    assert_eq!(stage.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn h04_whose_the_credentials_are_is_asked_again_after_fifteen_minutes() {
    let stage = Stage::with(|world| world.timing.snapshot_base = TimeDelta::minutes(40));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Done));
    let asked = stage.cloud.calls().iter().filter(|call| call.operation == "GetCallerIdentity").count();
    assert_eq!(asked, 2, "at the start, and before the act 40 minutes later");
}

#[tokio::test]
async fn modes_arming_and_policies_decide_before_anything_is_read_twice() {
    type Case = (&'static str, fn(&mut Stage), Option<&'static str>);
    let cases: [Case; 9] = [
        ("observe", |stage| stage.rules.mode = Mode::Observe, Some("mode observe")),
        ("notify, daemon", |stage| stage.rules.mode = Mode::Notify, Some("mode notify")),
        (
            "notify, by hand, not armed",
            |stage| {
                (stage.rules.mode, stage.rules.by_hand) = (Mode::Notify, true);
                stage.store.disarm(&stage.place.account, monday()).unwrap();
            },
            None,
        ),
        (
            "not armed",
            |stage| {
                stage.store.disarm(&stage.place.account, monday()).unwrap();
            },
            Some("the arming of account 123456789012 ended"),
        ),
        (
            "not armed, by hand",
            |stage| {
                stage.rules.by_hand = true;
                stage.store.disarm(&stage.place.account, monday()).unwrap();
            },
            Some("the arming of account 123456789012 ended"),
        ),
        ("arming over", |stage| rearm(stage, monday() - TimeDelta::seconds(1), "hash"), Some("ended")),
        ("last instant of the arming", |stage| rearm(stage, at("2026-11-23T15:00:00Z"), "hash"), None),
        ("armed for another policy", |stage| rearm(stage, at("2026-12-23T15:00:00Z"), "older"), Some("changed after")),
        (
            "policy edited after the plan",
            |stage| drop(stage.rules.policies.insert("policy".into(), "newer".into())),
            Some("not the one that the plan was made from"),
        ),
    ];
    for (name, change, refused) in cases {
        let mut stage = Stage::new();
        change(&mut stage);
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let outcome = stage.act(&step).await;
        match refused {
            Some(words) => assert_refused(&stage, &outcome, words),
            None => assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{name}: {}", outcome.message),
        }
    }
}

fn rearm(stage: &mut Stage, until: Instant, hash: &str) {
    let account = stage.place.account.clone();
    let arming = Arming {
        account,
        by: "eve".into(),
        at: monday() - TimeDelta::days(9),
        until,
        policies: vec![("policy".into(), hash.into())],
    };
    stage.store.arm(&arming).unwrap();
}

#[tokio::test]
async fn h08_deletes_wait_24_hours_and_stops_one_hour_after_a_delivered_notice_whatever_the_clock_says() {
    // A due date that somebody set too early: the gate counts from the delivered notice itself.
    for (id, action, told, acts) in [
        (ORPHAN, Action::Terminate, TimeDelta::minutes(24 * 60 - 1), false),
        (ORPHAN, Action::Terminate, TimeDelta::hours(24), true),
        (INSTANCE, Action::Stop, TimeDelta::minutes(59), false),
        (INSTANCE, Action::Stop, TimeDelta::hours(1), true),
        (INSTANCE, Action::Tag, TimeDelta::zero(), true),
    ] {
        let stage = Stage::new();
        let mut finding = stage.finding_told(id, action, Severity::Critical, stage.clock.now() - told);
        finding.clock.due_at = Some(stage.clock.now());
        stage.store.update_findings(&[finding.clone()], &[]).unwrap();
        let outcome = stage.act(&stage.step_of(&finding).await).await;
        if acts {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{id} {told}: {}", outcome.message);
        } else {
            assert_refused(&stage, &outcome, "no notice of this grace period was delivered");
        }
    }
}

#[tokio::test]
async fn h09_without_a_delivery_row_a_clock_that_runs_is_not_believed() {
    let stage = Stage::new();
    let mut finding = reconcile::testing::finding(ORPHAN, Severity::High, Action::Terminate);
    finding.clock.first_notice = Some(monday() - TimeDelta::days(9));
    finding.clock.due_at = Some(monday() - TimeDelta::days(1));
    stage.store.update_findings(&[finding.clone()], &[]).unwrap();
    let outcome = stage.act(&stage.step_of(&finding).await).await;
    assert_refused(&stage, &outcome, "no notice of this grace period was delivered");
}

#[tokio::test]
async fn h25_one_resource_is_acted_on_once_in_seven_days_and_a_tag_does_not_hide_that() {
    let stage = Stage::new();
    let stop = stage.due_step(INSTANCE, Action::Stop).await;
    assert_eq!(stage.act(&stop).await.progress, Progress::Ended(JournalState::Done));
    stage.cloud.apply("ann", Change::Start(INSTANCE.into())).unwrap();
    stage.clock.advance_to(at("2026-11-24T10:00:00Z"));
    let tag = stage.due_step(INSTANCE, Action::Tag).await;
    assert_eq!(stage.act(&tag).await.progress, Progress::Ended(JournalState::Done), "tags may go beside it");
    for (day, acts) in [("2026-11-30T09:59:00Z", false), ("2026-11-30T10:30:00Z", true)] {
        stage.clock.advance_to(at(day));
        let finding = stage.due_finding(INSTANCE, Action::Stop);
        let outcome = stage.act(&stage.step_of(&finding).await).await;
        if acts {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
        } else {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
            assert!(outcome.message.contains("less than seven days ago"), "{}", outcome.message);
        }
    }
}

#[tokio::test]
async fn outside_the_window_nothing_begins_and_by_hand_is_no_exception() {
    for by_hand in [false, true] {
        let mut stage = Stage::new();
        stage.rules.by_hand = by_hand;
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        stage.clock.advance_to(at("2026-11-23T15:30:00Z"));
        let outcome = stage.act(&step).await;
        assert_eq!((outcome.id, outcome.progress), (None, Progress::Held));
        assert!(outcome.message.contains("outside the action window"), "{}", outcome.message);
        assert_eq!(stage.mutations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_clock_that_went_backwards_freezes() {
    let stage = Stage::new();
    stage.store.raise_clock_mark(monday() + TimeDelta::hours(2)).unwrap();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    stage.act(&step).await;
    assert!(stage.frozen().unwrap().contains("not to be believed"));
    assert_eq!(stage.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn h08_a_cloud_that_tells_another_time_holds_every_act_until_the_clocks_agree() {
    for (ahead, side) in [(301, "behind"), (-301, "ahead of"), (30 * 86_400, "behind")] {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        stage.cloud.tell_time(TimeDelta::seconds(ahead));
        let held = stage.act(&step).await;
        assert_eq!(held.progress, Progress::Ended(JournalState::Aborted), "{}", held.message);
        let why = format!("our clock is {} s {side} the cloud's", ahead.abs());
        assert!(held.message.contains(&why), "{}", held.message);
        assert_eq!(stage.mutations(), Vec::<String>::new());
        assert_eq!(stage.frozen(), None, "people set the clock, and it goes on");
        stage.cloud.tell_time(TimeDelta::seconds(ahead.signum() * 300));
        let done = stage.act(&step).await;
        assert_eq!(done.progress, Progress::Ended(JournalState::Done), "{}", done.message);
    }
}

#[tokio::test]
async fn h18_h22_the_gate_refuses_by_its_own_code_what_the_guards_should_have_refused() {
    use super::super::gate::Purpose;
    use crate::domain::fact::Fact;
    use crate::domain::place::InstanceId;
    use crate::domain::resource::{Detail, Tags};
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let call = Call::StopInstance { instance: InstanceId::new(INSTANCE).unwrap() };
    let fresh = stage.cloud.reader().describe(&step.key).await.unwrap();
    let changes: [fn(&mut Resource); 9] = [
        |own| own.tags = Fact::unknown("cut"),
        |own| own.tags = Fact::Known(Tags::of(&[("costwarden:protect", "true")])),
        |own| own.tags = Fact::Known(Tags::of(&[("costwarden:keep-until", "2026-11-23")])),
        |own| own.tags = Fact::Known(Tags::of(&[("aws:autoscaling:groupName", "web")])),
        |own| own.tags = Fact::Known(Tags::of(&[("kubernetes.io/cluster/prod", "owned")])),
        |own| instance(own).termination_protected = Fact::Known(true),
        |own| instance(own).stop_protected = Fact::unknown("denied"),
        |own| instance(own).state = crate::domain::resource::InstanceState::Stopped,
        |own| instance(own).instance_store = Fact::Known(true),
    ];
    fn instance(resource: &mut Resource) -> &mut crate::domain::resource::Instance {
        match &mut resource.detail {
            Detail::Instance(instance) => instance,
            _ => panic!("not an instance"),
        }
    }
    let ask = |fresh: &Resource| remediator.gate(Purpose::Act, &step, &call, fresh, stage.clock.now(), &run).unwrap();
    assert_eq!(ask(&fresh), Ruling::Pass);
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = fresh.clone();
        change(&mut changed);
        assert!(matches!(ask(&changed), Ruling::Refuse(..)), "case {number}");
    }
    stage.store.freeze(&Freeze { at: monday(), by: "eve".into(), reason: "audit".into() }).unwrap();
    assert!(matches!(ask(&fresh), Ruling::Hold(_)));
}

#[tokio::test]
async fn a_freeze_keeps_every_reason_once_and_tells_it_once() {
    let stage = Stage::new();
    let remediator = stage.remediator(Halt::none());
    for reason in ["first", "first", "second"] {
        remediator.freeze("gate", reason).unwrap();
    }
    let reasons: Vec<String> = stage.store.freezes().unwrap().into_iter().map(|freeze| freeze.reason).collect();
    assert_eq!(reasons, ["first", "second"]);
    let alerts = stage.store.outbox_due(stage.clock.now(), 10).unwrap();
    assert_eq!(alerts.iter().map(|row| row.dedup.as_str()).collect::<Vec<_>>(), ["frozen: first", "frozen: second"]);
}
