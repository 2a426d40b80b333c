//! What an undo asks before its first call: whether it would stop or change what people protect by now, by which clock,
//! and how old the read is. And what it says beforehand that a stop loses.

use super::undo::wish;
use super::*;
use crate::domain::fact::Fact;
use crate::domain::place::{InstanceId, VolumeId};
use crate::domain::resource::{Detail, Instance, InstanceState, Tags};
use crate::domain::undo::losses;
use crate::remediate::actions::Recipe;
use crate::remediate::undo::UndoRequest;
use crate::remediate::undo::preview::{Preview, preview};

const ADDRESS: &str = "198.51.100.4";

/// What people may do between an act and its undo, in the cloud or in the settings, and how the refusal names it.
type Meanwhile = (fn(&mut Stage), &'static str);

fn protect(stage: &Stage, stop: bool, termination: bool) {
    let change = Change::Protect { instance: INSTANCE.into(), stop: Some(stop), termination: Some(termination) };
    stage.cloud.apply("ann", change).unwrap();
}

/// The dry run of an undo.
async fn told(stage: &Stage, act: i64) -> Preview {
    let (reader, now) = (stage.cloud.reader(), stage.clock.now());
    preview(&stage.store, &reader, &stage.rules.guards, &stage.rules.prices, act, now).await.unwrap().unwrap()
}

/// Time for reads to show what somebody changed.
fn settle(stage: &Stage) {
    stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(10));
}

fn edit(own: &mut Resource, change: impl FnOnce(&mut Instance)) {
    if let Detail::Instance(instance) = &mut own.detail {
        change(instance);
    }
}

#[tokio::test]
async fn i13_an_undo_that_would_stop_or_change_what_is_protected_by_now_calls_nothing_and_says_why() {
    let resized: [Meanwhile; 5] = [
        (|stage| stage.tag(INSTANCE, "costwarden:protect", "pay day"), "the tag costwarden:protect=pay day refuses"),
        (|stage| protect(stage, true, false), "stop protection is on"),
        (|stage| protect(stage, false, true), "termination protection is on"),
        (|stage| stage.rules.guards.protect = vec![INSTANCE.into()], "the protect list of the settings names it"),
        (|stage| stage.fault("DescribeInstanceAttribute", Effect::Deny), "so it counts as on"),
    ];
    let modified: [Meanwhile; 2] = [
        (|stage| stage.tag(ORPHAN, "costwarden:protect", ""), "the tag costwarden:protect= refuses"),
        (|stage| stage.rules.guards.protect = vec![ORPHAN.into()], "the protect list of the settings names it"),
    ];
    let cases = resized.iter().map(|case| (INSTANCE, Action::Resize, "would stop it (StopInstances)", case));
    let others = modified.iter().map(|case| (ORPHAN, Action::Modify, "would change it (ModifyVolume)", case));
    for (id, action, would, (meanwhile, why)) in cases.chain(others) {
        let mut stage = Stage::new();
        let act = stage.acted(id, action).await;
        // EBS takes the next change of a volume after six hours.
        stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(6));
        let before = told(&stage, act).await.call;
        assert!(before.is_ok(), "{why}: nothing spoke against it before: {before:?}");
        meanwhile(&mut stage);
        settle(&stage);
        let (before, state) = (stage.mutations(), stage.truth(id));
        let said = told(&stage, act).await.call.expect_err(why);
        assert!(said.contains(would) && said.contains(why), "{said}");
        let outcome = stage.undo(act).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{why}: {}", outcome.message);
        assert!(outcome.message.contains(would) && outcome.message.contains(why), "{}", outcome.message);
        assert_eq!((stage.mutations(), stage.truth(id), stage.frozen()), (before, state, None), "{why}");
    }
}

#[tokio::test]
async fn i13_a_resize_of_what_is_stopped_by_now_is_not_taken_back_either_while_it_is_protected() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Resize).await;
    stage.cloud.apply("ann", Change::Stop(INSTANCE.into())).unwrap();
    stage.tag(INSTANCE, "costwarden:protect", "true");
    settle(&stage);
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("would change it (ModifyInstanceAttribute)"), "{}", outcome.message);
    // Its owner takes the tag off, and it is done.
    let keys = vec!["costwarden:protect".to_owned()];
    stage.cloud.apply("ann", Change::Untag { resource: INSTANCE.into(), keys }).unwrap();
    settle(&stage);
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.type_of(INSTANCE), super::resize::OLD);
}

#[tokio::test]
async fn an_undo_that_only_starts_or_takes_our_own_tags_away_is_done_on_what_is_protected_by_now() {
    for (action, operation) in [(Action::Stop, "StartInstances"), (Action::Tag, "DeleteTags")] {
        let stage = Stage::new();
        let act = stage.acted(INSTANCE, action).await;
        stage.tag(INSTANCE, "costwarden:protect", "true");
        protect(&stage, true, true);
        settle(&stage);
        let outcome = stage.undo(act).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{operation}: {}", outcome.message);
        assert_eq!(stage.mutations().last().unwrap(), &format!("{operation} {INSTANCE}"));
        let kept = stage.cloud.truth(|truth| truth.resource(INSTANCE).unwrap().tag("costwarden:protect").is_some());
        assert!(kept && stage.truth(INSTANCE) == "running", "{operation}");
    }
}

#[tokio::test]
async fn h08_by_a_clock_that_the_cloud_denies_nothing_is_taken_back_until_they_agree() {
    for ahead in [301, -301] {
        let stage = Stage::new();
        let act = stage.acted(INSTANCE, Action::Stop).await;
        let before = stage.mutations();
        stage.cloud.tell_time(TimeDelta::seconds(ahead));
        let waited = stage.undo(act).await;
        assert_eq!(waited.progress, Progress::Ended(JournalState::Aborted), "{}", waited.message);
        assert!(waited.message.contains(&format!("differs from ours by {ahead} s")), "{}", waited.message);
        assert_eq!((stage.mutations(), stage.frozen()), (before, None));
        stage.cloud.tell_time(TimeDelta::seconds(ahead.signum() * 300));
        let done = stage.undo(act).await;
        assert_eq!(done.progress, Progress::Ended(JournalState::Done), "{}", done.message);
    }
}

#[tokio::test]
async fn h08_by_a_clock_that_stands_before_its_own_past_nothing_is_taken_back_even_while_frozen() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    let before = stage.mutations();
    stage.store.raise_clock_mark(stage.clock.now() + TimeDelta::seconds(90)).unwrap();
    let refused = stage.undo(act).await;
    assert_eq!(refused.progress, Progress::Ended(JournalState::Refused), "{}", refused.message);
    assert!(refused.message.contains("it is not to be believed"), "{}", refused.message);
    assert!(stage.frozen().is_some_and(|why| why.contains("it is not to be believed")));
    let frozen = UndoRequest { while_frozen: true, ..wish(act) };
    let refused = stage.undo_as(frozen.clone(), "run-2").await;
    assert_eq!(refused.progress, Progress::Ended(JournalState::Refused), "{}", refused.message);
    assert_eq!(stage.mutations(), before);
    // The clock is right again; the freeze still stands, and a person who says so passes it.
    stage.clock.advance_to(stage.clock.now() + TimeDelta::seconds(31));
    let done = stage.undo_as(frozen, "run-3").await;
    assert_eq!(done.progress, Progress::Ended(JournalState::Done), "{}", done.message);
}

#[tokio::test]
async fn h07_an_undo_calls_by_no_read_that_is_older_than_a_minute() {
    // Before the intent it reads again.
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    let (clock, passed) = (stage.clock.clone(), Arc::new(Mutex::new(0)));
    let count = passed.clone();
    let slow = Halt::meanwhile("U4.call", move || {
        let mut passed = count.lock().unwrap();
        *passed += 1;
        if *passed <= 2 {
            clock.advance_to(clock.now() + TimeDelta::seconds(61));
        }
    });
    let (remediator, run) = (stage.remediator(slow), stage.run("run-1"));
    let mut outcome = remediator.undo(&wish(act), &run).await.unwrap();
    assert!(outcome.message.contains("the last read before it is 61 seconds old"), "{}", outcome.message);
    assert_eq!(stage.effective("StartInstances"), 0);
    while let Progress::WaitUntil(until) = outcome.progress {
        stage.clock.advance_to(until);
        outcome = remediator.advance_undo(outcome.id.unwrap(), false, &run).await.unwrap();
    }
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!((*passed.lock().unwrap(), stage.effective("StartInstances")), (3, 1), "read three times, called once");

    // Between the intent and the call it is too late to read again: no call.
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    let clock = stage.clock.clone();
    let slow = Halt::meanwhile("U8.after", move || clock.advance_to(clock.now() + TimeDelta::seconds(61)));
    let (remediator, run) = (stage.remediator(slow), stage.run("run-1"));
    let outcome = remediator.undo(&wish(act), &run).await.unwrap();
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    let words = "stopped in the last moment, no call was made: the last read before it is 61 seconds old";
    assert!(outcome.message.contains(words), "{}", outcome.message);
    assert_eq!(stage.effective("StartInstances"), 0);
}

#[tokio::test]
async fn h18_h22_the_gate_of_an_undo_refuses_by_its_own_code_what_should_have_been_refused_before() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Resize).await;
    assert!(stage.undo_dies(act, "U3.after", "run-1").await);
    let undo = stage.store.undos_of(act).unwrap().remove(0);
    let remediator = stage.remediator(Halt::none());
    let now = stage.clock.now();
    let read = stage.cloud.reader().describe(&undo.key).await.unwrap();
    let instance = InstanceId::new(INSTANCE).unwrap();
    let stop = Call::StopInstance { instance: instance.clone() };
    let change = Call::ModifyInstanceType { instance: instance.clone(), to: "m5.large".into() };
    let start = Call::StartInstance { instance: instance.clone() };
    let ask = |call: &Call, fresh: &Resource| remediator.gate_undo(&undo, call, fresh, now).unwrap();
    for call in [&stop, &change, &start] {
        assert_eq!(ask(call, &read), Ruling::Pass, "{call}");
    }
    // What it is, and whether it matters to a change of what is stopped already.
    type Spoilt = (fn(&mut Resource), bool);
    let changes: [Spoilt; 7] = [
        (|own| own.tags = Fact::unknown("cut"), true),
        (|own| own.tags = Fact::Known(Tags::of(&[("costwarden:protect", "true")])), true),
        (|own| own.tags = Fact::Known(Tags::of(&[("CostWarden:Protect", "")])), true),
        (|own| edit(own, |now| now.stop_protected = Fact::Known(true)), true),
        (|own| edit(own, |now| now.termination_protected = Fact::unknown("denied")), true),
        (|own| edit(own, |now| now.instance_store = Fact::Known(true)), false),
        (|own| edit(own, |now| now.instance_store = Fact::unknown("cut")), false),
    ];
    for (number, (spoil, always)) in changes.into_iter().enumerate() {
        let mut fresh = read.clone();
        spoil(&mut fresh);
        let refused = |ruling: Ruling| matches!(ruling, Ruling::Refuse(HoldCode::Protected, _));
        assert!(refused(ask(&stop, &fresh)), "{number}");
        assert_eq!(refused(ask(&change, &fresh)), always, "{number}");
        assert_eq!(ask(&start, &fresh), Ruling::Pass, "{number}");
    }
    // Calls that take nothing back, and calls about something else.
    let other = stage.cloud.reader().describe(&stage.place.partition(Kind::Volume).key(ORPHAN)).await.unwrap();
    let delete = Call::DeleteVolume { volume: VolumeId::new(ORPHAN).unwrap() };
    let foreign = Call::StopInstance { instance: InstanceId::new("i-0other").unwrap() };
    let terminate = Call::TerminateInstance { instance };
    for (call, fresh) in [(&delete, &other), (&terminate, &read), (&foreign, &read), (&stop, &other)] {
        assert!(matches!(ask(call, fresh), Ruling::Freeze(_)), "{call}");
    }
}

#[tokio::test]
async fn undo_of_everything_that_stopped_says_which_public_address_does_not_come_back() {
    for (action, words) in [
        (Action::Stop, format!("its public address {ADDRESS}: a start gets another one")),
        (Action::Resize, format!("its public address {ADDRESS}: the resize stopped it")),
        (Action::Terminate, format!("its public address {ADDRESS}")),
    ] {
        let mut stage = Stage::with(|world| {
            edit(&mut world.resources[0].resource, |own| own.auto_public_ip = Fact::Known(ADDRESS.into()));
        });
        stage.rules.switches.allow_auto_terminate = true;
        stage.rules.guards.allow_public_ip_loss = true;
        let act = stage.acted(INSTANCE, action).await;
        let said = told(&stage, act).await.losses;
        assert!(said.contains(&words), "{action:?}: {said:#?}");
        assert!(said.iter().any(|loss| loss.contains("memory")), "{action:?}: {said:#?}");
    }
}

#[tokio::test]
async fn undo_of_a_resize_says_that_its_own_stop_loses_the_address_that_it_has_by_now() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Resize).await;
    let recipe = Recipe::of(&stage.row(act)).unwrap();
    let read = stage.cloud.reader().describe(&stage.row(act).step.key).await.unwrap();
    let with = |spoil: fn(&mut Instance)| {
        let mut now = read.clone();
        edit(&mut now, spoil);
        losses(&recipe, Some(&now))
    };
    let memory = "what is in its memory, if it runs: it is stopped for this";
    assert_eq!(with(|_| {}), [memory], "it has none, and had none");
    let lost = format!("its public address {ADDRESS}: it is stopped, and a start gets another one");
    assert_eq!(with(|own| own.auto_public_ip = Fact::Known(ADDRESS.into())), [memory.to_owned(), lost]);
    let perhaps = "a public address that AWS assigned, if it has one: a start gets another one";
    assert_eq!(with(|own| own.auto_public_ip = Fact::unknown("cut")), [memory, perhaps]);
    assert_eq!(losses(&recipe, None), [memory, perhaps], "nobody could look");
    let stopped = with(|own| {
        own.state = InstanceState::Stopped;
        own.auto_public_ip = Fact::unknown("cut");
    });
    assert_eq!(stopped, [memory], "what is stopped has none to lose");
}
