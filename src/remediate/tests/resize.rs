//! Resizing (safety.md, H21): every step fails once, every point crashes once, and the instance always runs again or
//! people are told. Judged from the simulator's call log and truth.

use super::*;
use crate::remediate::actions::{Recipe, Restore};

pub(super) const OLD: &str = "m5.large";
pub(super) const NEW: &str = "m5.xlarge";

/// Every point that a resize of a running instance passes after its backup, in their order: the seven steps stop, wait,
/// change, verify, start, wait, verify, each before its commit, after it, and where an answer is not yet written down.
pub(super) const POINTS: [&str; 35] = [
    "J8[stop].before",
    "J8[stop].after",
    "J8[stop].call",
    "J9[stop].before",
    "J9[stop].after",
    "J10[stop].call",
    "J10[stop].before",
    "J10[stop].after",
    "J4[stop].call",
    "J8[change_type].before",
    "J8[change_type].after",
    "J8[change_type].call",
    "J9[change_type].before",
    "J9[change_type].after",
    "J10[change_type].call",
    "J10[change_type].before",
    "J10[change_type].after",
    "J4[change_type].call",
    "J8[start].before",
    "J8[start].after",
    "J8[start].call",
    "J9[start].before",
    "J9[start].after",
    "J10[start].call",
    "J10[start].before",
    "J10[start].after",
    "J4[start].call",
    "J10.before",
    "J10.after",
    "J11.before",
    "J11.after",
    // Those of every act with a backup, for the second crash.
    "J4.after",
    "J6.call",
    "J7.after",
    "J5.after",
];

impl Stage {
    pub(super) fn type_of(&self, id: &str) -> String {
        self.cloud.truth(|truth| truth.resource(id).unwrap().instance().unwrap().instance_type.to_string())
    }

    /// Calls that changed something, without the snapshots.
    pub(super) fn effective_acts(&self) -> Vec<String> {
        let calls = self.cloud.calls();
        let made = calls.iter().filter(|call| call.mutating() && call.effective);
        made.map(|call| call.operation.clone()).filter(|call| !call.starts_with("CreateSnapshot")).collect()
    }
}

/// It runs, or people were told that it does not.
fn assert_never_silently_stopped(stage: &Stage, outcome: &Outcome, what: &str) {
    stage.assert_watched();
    let told = stage.messages.lock().unwrap().clone();
    match outcome.progress {
        Progress::Ended(JournalState::Stuck) => {
            assert!(told.iter().any(|word| word.starts_with("stuck r-")), "{what}: {told:?}");
            assert!(stage.frozen().is_some(), "{what}");
        }
        Progress::Ended(state) => {
            stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(10));
            assert_eq!(stage.truth(INSTANCE), "running", "{what}: {state:?} {}", outcome.message);
        }
        other => panic!("{what}: no end: {other:?} {}", outcome.message),
    }
    assert!(stage.store.open_remediations().unwrap().is_empty(), "{what}");
}

#[tokio::test]
async fn r10_a_resize_snapshots_stops_changes_the_type_starts_and_sees_each() {
    use JournalState::*;
    let stage = Stage::new();
    let step = stage.due_step(INSTANCE, Action::Resize).await;
    assert_eq!(step.backup, [DATA, ROOT]);
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(Done), "{}", outcome.message);
    assert_eq!(
        stage.mutations(),
        [
            format!("CreateSnapshots {INSTANCE}"),
            format!("StopInstances {INSTANCE}"),
            format!("ModifyInstanceAttribute {INSTANCE}"),
            format!("StartInstances {INSTANCE}"),
        ]
    );
    assert_eq!((stage.truth(INSTANCE).as_str(), stage.type_of(INSTANCE).as_str()), ("running", NEW));
    stage.assert_watched();
    let id = outcome.id.unwrap();
    let mut expected = vec![Claimed, Rechecked, SnapIntent, SnapRequested, SnapVerified];
    expected.extend([ActIntent, Answered, PartSeen].repeat(3));
    expected.extend([Observed, Done]);
    assert_eq!(states(&stage, id), expected, "each call has its own intent, answer and sight");
    let row = stage.row(id);
    use crate::domain::remediation::{PartName, PartOutcome};
    let parts: Vec<(PartName, PartOutcome)> = row.parts.iter().map(|part| (part.name, part.outcome)).collect();
    let seen = PartOutcome::Seen;
    assert_eq!(parts, [(PartName::Stop, seen), (PartName::ChangeType, seen), (PartName::Start, seen)]);
    assert!(row.parts.iter().all(|part| part.request_id.is_some() && !part.call_hash.is_empty()));
    let restore = Recipe::of(&row).unwrap().restore;
    assert_eq!(restore, Restore::ResizeInstance { instance: INSTANCE.into(), from: OLD.into(), restart: true });
    assert_eq!(*stage.messages.lock().unwrap(), [format!("done r-{id}")]);
    let acts = stage.store.acts_since(&stage.place.account, monday()).unwrap();
    assert_eq!(acts.len(), 1, "three calls are one act to the pace");
}

#[tokio::test]
async fn h21_a_crash_at_every_point_of_a_resize_leaves_nothing_stopped_in_silence() {
    for point in POINTS {
        let stage = Stage::new();
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        assert!(die_at(&stage, &step, point).await, "{point} was not reached");
        let crashed = stage.clock.now();
        let mut ends = stage.resume("run-2").await;
        let outcome = ends.pop().unwrap_or_else(|| {
            let row = stage.store.remediations_of_finding(&step.finding).unwrap().pop().unwrap();
            Outcome { id: Some(row.id), progress: Progress::Ended(row.state), message: row.message }
        });
        assert!(stage.clock.now() - crashed <= TimeDelta::minutes(15), "{point}: I15");
        assert_never_silently_stopped(&stage, &outcome, point);
        let expected = match point {
            // Nothing was called: the instance runs, and a person decides.
            "J8[stop].after" => (JournalState::Stuck, OLD),
            // The change was never made: back to where it was.
            "J8[change_type].after" | "J8[start].after" => (JournalState::Refused, OLD),
            _ => (JournalState::Done, NEW),
        };
        assert_eq!((outcome.progress, &*stage.type_of(INSTANCE)), (Progress::Ended(expected.0), expected.1), "{point}");
        for call in ["StopInstances", "ModifyInstanceAttribute", "StartInstances"] {
            let made = stage.effective_acts().into_iter().filter(|own| own == call).count();
            let back = point == "J8[start].after" && call == "ModifyInstanceAttribute";
            let never = point == "J8[stop].after" || point == "J8[change_type].after" && call.starts_with("Modify");
            assert_eq!(made, if never { 0 } else { 1 + usize::from(back) }, "{point} {call}");
        }
        for volume in [ROOT, DATA] {
            assert_eq!(stage.snapshots_of(volume).len(), 1, "{point}: its backup, once");
        }
    }
}

#[tokio::test]
async fn h21_a_second_crash_during_the_recovery_changes_nothing_about_that() {
    for first in ["J9[stop].after", "J10[stop].after", "J8[change_type].call", "J8[start].after", "J8[start].call"] {
        for second in &POINTS[2..31] {
            let stage = Stage::new();
            let step = stage.due_step(INSTANCE, Action::Resize).await;
            assert!(die_at(&stage, &step, first).await, "{first}");
            let died = die_again_at(&stage, second).await;
            stage.resume("run-3").await;
            let row = stage.store.remediations_of_finding(&step.finding).unwrap().pop().unwrap();
            let end = Outcome { id: Some(row.id), progress: Progress::Ended(row.state), message: row.message };
            let what = format!("{first}, then {second} ({died})");
            assert_never_silently_stopped(&stage, &end, &what);
            let acts = stage.effective_acts();
            let count = |call: &str| acts.iter().filter(|own| *own == call).count();
            assert!(count("StopInstances") == 1 && count("StartInstances") <= 1, "{what}: {acts:?}");
            assert!(count("ModifyInstanceAttribute") <= 2, "{what}: {acts:?}");
        }
    }
}

/// One way in which a step fails.
struct Failing {
    step: &'static str,
    how: fn(&Stage),
    /// How it ends, and with which type.
    ends: JournalState,
    type_after: &'static str,
    state_after: &'static str,
}

#[tokio::test]
async fn h21_each_of_the_seven_steps_fails_and_it_runs_again_or_people_are_told_within_five_minutes() {
    use JournalState::{Refused, Stuck};
    let case = |step, how, ends, type_after, state_after| Failing { step, how, ends, type_after, state_after };

    let cases = [
        case(
            "stop: refused",
            |s| change_fault(s, "StopInstances", Effect::Reject("IncorrectInstanceState".into())),
            Refused,
            OLD,
            "running",
        ),
        case(
            "stop: no answer, no effect",
            |s| change_fault(s, "StopInstances", Effect::Timeout),
            Stuck,
            OLD,
            "running",
        ),
        case(
            "change: refused",
            |s| change_fault(s, "ModifyInstanceAttribute", Effect::Reject("Unsupported".into())),
            Refused,
            OLD,
            "running",
        ),
        case(
            "change: throttled",
            |s| change_fault(s, "ModifyInstanceAttribute", Effect::Throttle),
            Refused,
            OLD,
            "running",
        ),
        case(
            "change: denied at the call",
            |s| change_fault(s, "ModifyInstanceAttribute", Effect::Deny),
            Refused,
            OLD,
            "running",
        ),
        case(
            "verify: no answer, no effect",
            |s| change_fault(s, "ModifyInstanceAttribute", Effect::Timeout),
            Refused,
            OLD,
            "running",
        ),
        case("start: no capacity for the new type", |s| s.cloud.set_capacity(NEW, false), Refused, OLD, "running"),
        case(
            "start: no capacity at all",
            |s| {
                s.cloud.set_capacity(NEW, false);
                s.cloud.set_capacity(OLD, false);
            },
            Stuck,
            OLD,
            "stopped",
        ),
        case("start: denied", |s| change_fault(s, "StartInstances", Effect::Deny), Stuck, OLD, "stopped"),
        case(
            "wait running: no answer, no effect, once",
            |s| {
                s.cloud.add_fault(
                    Fault { form: Some(Form::Change), ..Fault::on("StartInstances", Effect::Timeout) }.nth(1),
                )
            },
            Refused,
            OLD,
            "running",
        ),
        case(
            "wait running: no answer, no effect",
            |s| change_fault(s, "StartInstances", Effect::Timeout),
            Stuck,
            OLD,
            "stopped",
        ),
    ];
    for Failing { step: name, how, ends, type_after, state_after } in cases {
        let stage = Stage::new();
        how(&stage);
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(ends), "{name}: {}", outcome.message);
        assert_never_silently_stopped(&stage, &outcome, name);
        assert_eq!((&*stage.type_of(INSTANCE), &*stage.truth(INSTANCE)), (type_after, state_after), "{name}");
        let row = stage.row(outcome.id.unwrap());
        assert_told_in_time(&stage, &row, name);
        if ends == Refused && row.parts.len() > 1 {
            let told = stage.messages.lock().unwrap().clone();
            assert_eq!(told, [format!("taken back r-{}", row.id)], "{name}: an outage without a result is told");
            assert!(outcome.message.contains(&format!("runs again with its old type {OLD}")), "{}", outcome.message);
        }
        let finding = stage.store.finding(&step.finding).unwrap().unwrap();
        assert_eq!(finding.state, crate::domain::finding::State::Open, "{name}");
    }
}

/// Stuck comes within five minutes of the last thing that went well, unless the instance runs.
fn assert_told_in_time(stage: &Stage, row: &Remediation, what: &str) {
    if row.state != JournalState::Stuck || stage.truth(INSTANCE) == "running" {
        return;
    }
    let history = stage.store.remediation_history(row.id).unwrap();
    let trouble = row.parts.iter().skip(1).find(|part| part.outcome != crate::domain::remediation::PartOutcome::Seen);
    let good = history.iter().rev().find(|own| own.state == JournalState::PartSeen).map(|own| own.at);
    let since = trouble.map(|part| part.intended_at).or(good).unwrap_or(history.last().unwrap().at);
    assert!(row.updated_at - since <= TimeDelta::minutes(5), "{what}: told after {}", row.updated_at - since);
}

#[tokio::test]
async fn h21_a_stop_or_a_start_that_hangs_is_told_within_five_minutes() {
    type Slow = fn(&mut World);
    let cases: [(&str, Slow, &str); 2] = [
        ("stopping", |world| world.timing.stop_seconds = 7_200, OLD),
        ("pending", |world| world.timing.start_seconds = 7_200, NEW),
    ];
    for (state, slow, type_after) in cases {
        let stage = Stage::with(slow);
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{}", outcome.message);
        assert_eq!((&*stage.truth(INSTANCE), &*stage.type_of(INSTANCE)), (state, type_after));
        let row = stage.row(outcome.id.unwrap());
        let last = row.parts.last().unwrap().intended_at;
        assert!(row.updated_at - last <= TimeDelta::minutes(5), "{state}: {}", row.updated_at - last);
        assert!(stage.messages.lock().unwrap().iter().any(|word| word.starts_with("stuck r-")));
    }
}

#[tokio::test]
async fn h21_a_stop_whose_effect_cannot_be_seen_is_told_within_five_minutes() {
    for effect in [Effect::Timeout, Effect::Deny, Effect::Hide(vec![INSTANCE.into()])] {
        let stage = Stage::new();
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        let (cloud, what) = (stage.cloud.clone(), effect.clone());
        let blind =
            Halt::meanwhile("J9[stop].after", move || cloud.add_fault(Fault::on("DescribeInstances", what.clone())));
        let (remediator, run) = (stage.remediator(blind), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let outcome = stage.play(&remediator, first, &run).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{effect:?}: {}", outcome.message);
        assert_eq!(stage.truth(INSTANCE), "stopped", "it stands still");
        let row = stage.row(outcome.id.unwrap());
        let took = row.updated_at - row.parts[0].intended_at;
        assert!(took <= TimeDelta::minutes(5), "{effect:?}: told after {took}");
        assert!(stage.messages.lock().unwrap().iter().any(|word| word.starts_with("stuck r-")));
    }
}

#[tokio::test]
async fn h21_reads_that_fail_half_way_are_told_and_a_lagging_cloud_is_waited_for() {
    for point in ["J10[stop].after", "J9[change_type].after", "J10[start].after"] {
        let stage = Stage::new();
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        let cloud = stage.cloud.clone();
        let halt = Halt::meanwhile(point, move || cloud.add_fault(Fault::on("DescribeInstances", Effect::Timeout)));
        let (remediator, run) = (stage.remediator(halt), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let outcome = stage.play(&remediator, first, &run).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{point}: {}", outcome.message);
        assert_told_in_time(&stage, &stage.row(outcome.id.unwrap()), point);
    }
    for lag in [30, 120, 200, 290] {
        let stage = Stage::with(|world| world.timing.visibility_lag = (lag, lag));
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        let outcome = stage.act(&step).await;
        assert_never_silently_stopped(&stage, &outcome, &format!("lag {lag}"));
        if lag <= 200 {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "lag {lag}: {}", outcome.message);
        }
        let stops = stage.effective_acts().iter().filter(|call| *call == "StopInstances").count();
        assert_eq!(stops, 1);
    }
}

#[tokio::test]
async fn i21_a_freeze_half_way_stops_every_further_call_and_people_are_told_what_is_left() {
    for point in ["J10[stop].after", "J8[change_type].before", "J8[change_type].after", "J4[change_type].call"] {
        let stage = Stage::new();
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        let store = stage.store.clone();
        let halt = Halt::meanwhile(point, move || {
            store.freeze(&Freeze { at: monday(), by: "ann".into(), reason: "looking".into() }).unwrap();
        });
        let (remediator, run) = (stage.remediator(halt), stage.run("run-1"));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let outcome = stage.play(&remediator, first, &run).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{point}");
        assert!(outcome.message.contains("frozen by ann"), "{}", outcome.message);
        let changed = usize::from(point.starts_with("J4[change_type]"));
        assert_eq!(stage.acts().len(), 1 + changed, "{point}: {:?}", stage.acts());
        assert!(stage.messages.lock().unwrap().iter().any(|word| word.starts_with("stuck r-")));
    }
}

#[tokio::test]
async fn r10_a_resize_without_a_target_or_to_the_type_it_has_is_refused() {
    for to in [None, Some(OLD.to_owned())] {
        let stage = Stage::new();
        let mut finding = stage.due_finding(INSTANCE, Action::Resize);
        finding.to_type = to;
        stage.store.update_findings(&[finding.clone()], &[]).unwrap();
        let step = stage.step_of(&finding).await;
        let words =
            if step.to_type.is_none() { "there is none to change to" } else { "it has the type m5.large already" };
        assert_refused(&stage, &stage.act(&step).await, words);
        assert_eq!(stage.mutations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn h21_what_would_not_boot_or_cannot_be_had_is_found_out_before_anything_is_snapshotted() {
    use crate::cloud::sim::{launch_of, type_facts};
    let plain =
        |stage: &Stage| stage.cloud.truth(|truth| launch_of(truth.resource(INSTANCE).unwrap().instance().unwrap()));
    type Change = fn(&Stage, crate::domain::launch::Launch, crate::domain::launch::TypeFacts);
    let cases: [(&str, Change); 5] = [
        ("not offered", |s, _, mut facts| {
            facts.offered = false;
            s.cloud.set_type(NEW, facts)
        }),
        ("does not run x86_64", |s, _, mut facts| {
            facts.architectures = vec!["arm64".into()];
            s.cloud.set_type(NEW, facts)
        }),
        ("9 network interfaces", |s, mut own, _| {
            own.interfaces = 9;
            s.cloud.set_launch(INSTANCE, own)
        }),
        ("enhanced networking", |s, mut own, _| {
            own.ena = Some(false);
            s.cloud.set_launch(INSTANCE, own)
        }),
        ("tenancy is dedicated", |s, mut own, _| {
            own.tenancy = "dedicated".into();
            s.cloud.set_launch(INSTANCE, own)
        }),
    ];
    for (words, change) in cases {
        let stage = Stage::new();
        let (own, facts) = (plain(&stage), type_facts(NEW));
        change(&stage, own, facts);
        let step = stage.due_step(INSTANCE, Action::Resize).await;
        assert_refused(&stage, &stage.act(&step).await, words);
        assert_eq!(stage.mutations(), Vec::<String>::new());
    }
    // A start that is not permitted would leave it stopped: asked for before the stop.
    let stage = Stage::new();
    stage.cloud.add_fault(Fault { form: Some(Form::DryRun), ..Fault::on("StartInstances", Effect::Deny) });
    let step = stage.due_step(INSTANCE, Action::Resize).await;
    assert_refused(&stage, &stage.act(&step).await, "StartInstances i-0idle would not be accepted");
    // What cannot be read is no yes.
    let stage = Stage::new();
    stage.fault("DescribeInstanceTypes", Effect::Deny);
    let step = stage.due_step(INSTANCE, Action::Resize).await;
    assert_refused(&stage, &stage.act(&step).await, "what type m5.large can run could not be read");
}

#[tokio::test]
async fn r10_an_instance_that_was_stopped_gets_its_type_and_stays_stopped() {
    let stage = Stage::new();
    stage.cloud.apply("ann", Change::Stop(INSTANCE.into())).unwrap();
    stage.clock.advance_to(monday() + TimeDelta::minutes(10));
    let step = stage.due_step(INSTANCE, Action::Resize).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.acts(), [format!("ModifyInstanceAttribute {INSTANCE}")]);
    assert_eq!((&*stage.truth(INSTANCE), &*stage.type_of(INSTANCE)), ("stopped", NEW));
    let back = stage.undo(outcome.id.unwrap()).await;
    assert_eq!(back.progress, Progress::Ended(JournalState::Done), "{}", back.message);
    assert_eq!((&*stage.truth(INSTANCE), &*stage.type_of(INSTANCE)), ("stopped", OLD));
    assert_eq!(stage.fields(back.id.unwrap()), Vec::<String>::new(), "everything is as it was");
}
