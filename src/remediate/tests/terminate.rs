//! Terminating (R9, H02, H13): never without its backup and its image, seen as `terminated`, and launched again by an undo.

use super::*;
use crate::domain::launch::{Launch, MetadataOptions};
use crate::remediate::actions::{Recipe, Restore};
use crate::remediate::undo::preview::preview;

/// Every point that a termination passes, in their order.
const POINTS: [&str; 26] = [
    "J3.before",
    "J3.after",
    "J4.call",
    "J4.before",
    "J4.after",
    "J5.before",
    "J5.after",
    "J6.call",
    "J6.before",
    "J6.after",
    "J7.call",
    "J7.before",
    "J7.after",
    "J7[image].before",
    "J7[image].after",
    "J7[image].call",
    "J8.before",
    "J8.after",
    "J8.call",
    "J9.before",
    "J9.after",
    "J10.call",
    "J10.before",
    "J10.after",
    "J11.before",
    "J11.after",
];

/// A stage on which termination is switched on.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.rules.switches.allow_auto_terminate = true;
    stage
}

fn images(stage: &Stage) -> Vec<Resource> {
    stage.cloud.truth(|truth| truth.resources().filter(|own| own.kind() == Kind::Image).cloned().collect())
}

#[tokio::test]
async fn r9_a_termination_snapshots_every_volume_makes_an_image_and_then_terminates_once() {
    use JournalState::*;
    let stage = stage();
    let step = stage.due_step(INSTANCE, Action::Terminate).await;
    assert_eq!(step.backup, [DATA, ROOT], "those that survive it as well");
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(Done), "{}", outcome.message);
    let id = outcome.id.unwrap();
    let name = format!("{}-r{id}", stage.store.state_id().unwrap());
    assert_eq!(
        stage.mutations(),
        [
            format!("CreateSnapshots {INSTANCE}"),
            format!("RegisterImage {name}"),
            format!("TerminateInstances {INSTANCE}"),
        ]
    );
    assert_eq!(stage.truth(INSTANCE), "terminated");
    assert_eq!((stage.truth(ROOT).as_str(), stage.truth(DATA).as_str()), ("gone", "available"));
    stage.assert_watched();
    let row = stage.row(id);
    let made = images(&stage);
    assert_eq!(made.len(), 1);
    let mut backed: Vec<_> = row.snapshots.iter().filter_map(|own| own.snapshot.clone()).collect();
    backed.sort();
    assert_eq!(made[0].image().unwrap().snapshots.to_vec(), backed, "of exactly the safety snapshots");
    assert_eq!(made[0].tag("costwarden:safety-snapshot"), Some("true"));
    let recipe = Recipe::of(&row).unwrap();
    assert_eq!(recipe.restore, Restore::LaunchInstance { instance: INSTANCE.into() });
    assert!(recipe.launch.is_some() && recipe.volumes.len() == 2);
    let states = states(&stage, id);
    assert_eq!(
        states,
        [Claimed, Rechecked, SnapIntent, SnapRequested, SnapVerified, ActIntent, Answered, Observed, Done]
    );
}

#[tokio::test]
async fn h05_a_crash_at_every_point_of_a_termination_never_repeats_a_call_nor_skips_a_backup() {
    for point in POINTS {
        let stage = stage();
        let step = stage.due_step(INSTANCE, Action::Terminate).await;
        assert!(die_at(&stage, &step, point).await, "{point} was not reached");
        let crashed = stage.clock.now();
        let mut ends = stage.resume("run-2").await;
        let end = match ends.pop() {
            Some(Outcome { progress: Progress::Ended(state), .. }) => state,
            Some(other) => panic!("{point}: {other:?}"),
            None => match stage.store.remediations_of_finding(&step.finding).unwrap().pop() {
                Some(row) => row.state,
                None => match stage.act(&step).await.progress {
                    Progress::Ended(state) => state,
                    other => panic!("{point}: {other:?}"),
                },
            },
        };
        let lost = point == "J8.after";
        assert_eq!(end, if lost { JournalState::Stuck } else { JournalState::Done }, "{point}");
        assert!(stage.clock.now() - crashed <= TimeDelta::minutes(25), "{point}: I15 with its snapshot time");
        stage.assert_watched();
        let count = |call: &str| stage.mutations().iter().filter(|own| own.starts_with(call)).count();
        assert_eq!(count("TerminateInstances"), usize::from(!lost), "{point}");
        assert_eq!(stage.truth(INSTANCE), if lost { "running" } else { "terminated" }, "{point}");
        for volume in [ROOT, DATA] {
            assert_eq!(stage.snapshots_of(volume).len(), 1, "{point}: H46");
        }
        assert_eq!(images(&stage).len(), 1, "{point}: one image");
        assert!(stage.store.open_remediations().unwrap().is_empty(), "{point}");
    }
}

#[tokio::test]
async fn h05_a_second_crash_during_the_recovery_of_a_termination_changes_nothing_about_that() {
    for first in ["J7[image].after", "J7[image].call", "J7.after", "J8.call", "J9.after"] {
        for second in &POINTS[11..] {
            let stage = stage();
            let step = stage.due_step(INSTANCE, Action::Terminate).await;
            assert!(die_at(&stage, &step, first).await, "{first}");
            let died = die_again_at(&stage, second).await;
            stage.resume("run-3").await;
            let row = stage.store.remediations_of_finding(&step.finding).unwrap().pop().unwrap();
            // Intended twice and sent never: asked for no third time, and given up before anything was lost.
            let given_up = died && (first, *second) == ("J7[image].after", "J7[image].after");
            let lost = died && *second == "J8.after";
            let expected = match (given_up, lost) {
                (true, _) => JournalState::Aborted,
                (_, true) => JournalState::Stuck,
                _ => JournalState::Done,
            };
            assert_eq!(row.state, expected, "{first} {second}: {}", row.message);
            let ended = stage.mutations().iter().filter(|own| own.starts_with("TerminateInstances")).count();
            let made = (usize::from(!lost && !given_up), usize::from(!given_up));
            assert_eq!((ended, images(&stage).len()), made, "{first} {second}");
            stage.assert_watched();
        }
    }
}

#[tokio::test]
async fn h28_an_instance_that_is_not_found_after_its_termination_is_no_proof() {
    let stage = stage();
    let step = stage.due_step(INSTANCE, Action::Terminate).await;
    let cloud = stage.cloud.clone();
    let hide = move || cloud.add_fault(Fault::on("DescribeInstances", Effect::Hide(vec![INSTANCE.into()])));
    let (remediator, run) = (stage.remediator(Halt::meanwhile("J9.after", hide)), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck));
    assert!(outcome.message.contains("proves nothing"), "{}", outcome.message);
}

#[tokio::test]
async fn r9_what_could_not_be_made_anew_is_not_terminated() {
    use crate::cloud::sim::launch_of;
    type Case = (&'static str, fn(&mut Launch));
    let cases: [Case; 5] = [
        ("Marketplace product", |own| own.product_codes = true),
        ("virtualisation is paravirtual", |own| own.virtualization = "paravirtual".into()),
        ("2 network interfaces", |own| own.interfaces = 2),
        ("tenancy is host", |own| own.tenancy = "host".into()),
        ("is none of its volumes", |own| own.root_device = "/dev/sdz".into()),
    ];
    for (words, change) in cases {
        let stage = stage();
        let mut own = stage.cloud.truth(|truth| launch_of(truth.resource(INSTANCE).unwrap().instance().unwrap()));
        change(&mut own);
        stage.cloud.set_launch(INSTANCE, own);
        let step = stage.due_step(INSTANCE, Action::Terminate).await;
        assert_refused(&stage, &stage.act(&step).await, words);
        assert_eq!(stage.mutations(), Vec::<String>::new());
    }
    let mut windows = Stage::with(|world| {
        if let crate::domain::resource::Detail::Instance(own) = &mut world.resources[0].resource.detail {
            own.platform = crate::domain::fact::Fact::Known("Windows".into());
        }
    });
    windows.rules.switches.allow_auto_terminate = true;
    let step = windows.due_step(INSTANCE, Action::Terminate).await;
    assert_refused(&windows, &windows.act(&step).await, "its platform is Windows");
}

#[tokio::test]
async fn r9_without_a_way_back_that_is_permitted_nothing_is_terminated() {
    for (operation, words) in
        [("RunInstances", "its undo would not be accepted"), ("RegisterImage", "would not be accepted")]
    {
        let stage = stage();
        stage.cloud.add_fault(Fault { form: Some(Form::DryRun), ..Fault::on(operation, Effect::Deny) });
        let step = stage.due_step(INSTANCE, Action::Terminate).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
        assert!(outcome.message.contains(words), "{}", outcome.message);
        assert_eq!(stage.truth(INSTANCE), "running");
    }
    let stage = stage();
    change_fault(&stage, "RegisterImage", Effect::Reject("InvalidParameterValue".into()));
    let step = stage.due_step(INSTANCE, Action::Terminate).await;
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Aborted), "{}", outcome.message);
    assert_eq!((stage.truth(INSTANCE).as_str(), stage.acts().len()), ("running", 1));
}

#[tokio::test]
async fn h46_an_image_whose_answer_was_lost_is_found_by_its_name_and_asked_for_twice_at_most() {
    let lost = |effect| Fault { form: Some(Form::Change), ..Fault::on("RegisterImage", effect) };
    let stage = Stage { ..stage() };
    stage.cloud.add_fault(lost(Effect::TimeoutAfterEffect));
    let step = stage.due_step(INSTANCE, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Done));
    assert_eq!(images(&stage).len(), 1);
    let asked = |stage: &Stage| stage.mutations().iter().filter(|own| own.starts_with("RegisterImage")).count();
    assert_eq!(asked(&stage), 1);

    let stage = self::stage();
    stage.cloud.add_fault(lost(Effect::Timeout));
    let step = stage.due_step(INSTANCE, Action::Terminate).await;
    assert_eq!(stage.act(&step).await.progress, Progress::Ended(JournalState::Aborted));
    assert_eq!((asked(&stage), stage.truth(INSTANCE).as_str()), (2, "running"));
}

#[tokio::test]
async fn undo_of_a_termination_launches_the_instance_anew_and_tells_every_difference() {
    use crate::cloud::sim::launch_of;
    let stage = stage();
    let mut own = stage.cloud.truth(|truth| launch_of(truth.resource(INSTANCE).unwrap().instance().unwrap()));
    own.security_groups = vec!["sg-0a".into(), "sg-0b".into()];
    own.profile = Some("arn:aws:iam::123456789012:instance-profile/build".into());
    own.key_name = Some("ops".into());
    own.monitoring = true;
    own.metadata = Some(MetadataOptions {
        tokens: "required".into(),
        endpoint: "enabled".into(),
        hop_limit: 2,
        tags: "disabled".into(),
    });
    stage.cloud.set_launch(INSTANCE, own);
    let act = stage.acted(INSTANCE, Action::Terminate).await;
    let reader = stage.cloud.reader();
    let told = preview(&stage.store, &reader, &stage.rules.guards, &stage.rules.prices, act, stage.clock.now())
        .await
        .unwrap()
        .unwrap();
    assert!(told.losses.iter().any(|loss| loss.contains(&format!("the id {INSTANCE}"))), "{:?}", told.losses);
    assert!(told.losses.iter().any(|loss| loss.contains("private address")), "{:?}", told.losses);
    assert_eq!(told.call.unwrap().operation(), "RunInstances");
    assert!(told.undoable.until.is_some() && told.undoable.daily.0 > 0);

    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.fields(outcome.id.unwrap()), ["id", "tag aws:createdBy"], "everything else came back");
    let restored = stage.restored();
    assert_eq!(restored.len(), 1);
    let new = restored[0].instance().unwrap();
    assert_eq!((restored[0].state(), &*new.instance_type, new.volumes.len()), ("running", "m5.large", 2));
    assert_eq!(restored[0].tag("Name"), Some("build box"));
    assert!(restored[0].tag(PROTECT_TAG).is_some());
    for attached in &new.volumes {
        let size = stage.cloud.truth(|truth| truth.resource(&attached.volume).unwrap().volume().unwrap().size_gib);
        assert_eq!(size, if &*attached.device == "/dev/xvda" { 30 } else { 100 });
        assert_eq!(attached.delete_on_termination, &*attached.device == "/dev/xvda");
    }
    let guards = &stage.rules.guards;
    let reading = crate::domain::guard::Reading::Fresh;
    let act = crate::domain::finding::Act::TerminateInstance;
    let refused = crate::domain::guard::refusal(act, &restored[0], guards, &stage.rules.prices, reading);
    assert_eq!(refused.unwrap().0, HoldCode::Protected);
}

#[tokio::test]
async fn undo_of_a_termination_without_its_image_or_its_snapshots_launches_nothing() {
    let stage = stage();
    let act = stage.acted(INSTANCE, Action::Terminate).await;
    let image = images(&stage)[0].key.id.to_string();
    stage.cloud.apply("ann", Change::Delete(image)).unwrap();
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert_eq!((stage.restored(), stage.frozen()), (vec![], None));
}
