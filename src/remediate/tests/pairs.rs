//! Acts, kinds and calls that do not belong together reach no call.

use super::*;
use crate::domain::finding::Act;

#[tokio::test]
async fn h15_the_gate_freezes_on_a_call_that_is_not_the_steps() {
    use super::super::gate::Purpose;
    use crate::domain::place::{InstanceId, VolumeId};
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let fresh = stage.cloud.reader().describe(&step.key).await.unwrap();
    let delete = |id: &str| Call::DeleteVolume { volume: VolumeId::new(id).unwrap() };
    let snapshot =
        Call::CreateSnapshot { volume: VolumeId::new(ORPHAN).unwrap(), description: String::new(), tags: vec![] };
    let stop = Call::StopInstance { instance: InstanceId::new(INSTANCE).unwrap() };
    let tags = Call::CreateTags { resource: step.key.clone(), tags: vec![] };
    for (call, purpose, passes) in [
        (delete(ORPHAN), Purpose::Act, true),
        (snapshot.clone(), Purpose::Backup, true),
        (delete(DATA), Purpose::Act, false),
        (delete(ORPHAN), Purpose::Backup, false),
        (snapshot, Purpose::Act, false),
        (stop, Purpose::Act, false),
        (tags, Purpose::Act, false),
    ] {
        let ruling = remediator.gate(purpose, &step, &call, &fresh, stage.clock.now(), &run).unwrap();
        assert_eq!(ruling == Ruling::Pass, passes, "{call} {purpose:?}: {ruling:?}");
        assert_eq!(matches!(ruling, Ruling::Freeze(_)), !passes, "{call} {purpose:?}: {ruling:?}");
    }
    let stale = Run { fence: run.fence - 1, ..run.clone() };
    let ruling = remediator.gate(Purpose::Act, &step, &delete(ORPHAN), &fresh, stage.clock.now(), &stale).unwrap();
    assert!(matches!(ruling, Ruling::Hold(_)), "{ruling:?}");
    // A read of more than a minute ago is no ground to act on.
    let old = stage.clock.now() - TimeDelta::seconds(61);
    let ruling = remediator.gate(Purpose::Act, &step, &delete(ORPHAN), &fresh, old, &run).unwrap();
    assert!(matches!(ruling, Ruling::Hold(_)), "{ruling:?}");
    assert_eq!(stage.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn h15_every_pair_of_act_and_kind_that_makes_no_sense_reaches_no_call() {
    use super::storage::{ADDRESS, SNAPSHOT, furnished};
    let acts = [
        Act::StopInstance,
        Act::DeleteVolume,
        Act::TerminateInstance,
        Act::ResizeInstance,
        Act::ModifyVolume,
        Act::ReleaseAddress,
        Act::DeleteSnapshot,
    ];
    let findings = [
        (INSTANCE, Action::Stop),
        (INSTANCE, Action::Resize),
        (INSTANCE, Action::Terminate),
        (ORPHAN, Action::Terminate),
        (ADDRESS, Action::Release),
        (SNAPSHOT, Action::Terminate),
    ];
    for act in acts {
        for (id, action) in findings {
            let mut step = {
                let stage = furnished();
                stage.due_step(id, action).await
            };
            if step.act == act {
                continue;
            }
            step.act = act;
            let mut stage = furnished();
            stage.rules.switches.allow_auto_terminate = true;
            stage.due_finding(id, action);
            super::people::say_yes(&stage, &step);
            let outcome = stage.act(&step).await;
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{act} {id}: {}", outcome.message);
            assert_eq!(stage.mutations(), Vec::<String>::new(), "{act} {id}");
        }
    }
}

#[tokio::test]
async fn h15_the_gate_knows_the_calls_of_a_resize_and_of_a_termination_and_no_others() {
    use super::super::gate::Purpose;
    use crate::domain::place::InstanceId;
    let instance = || InstanceId::new(INSTANCE).unwrap();
    let calls = || {
        let change = |to: &str| Call::ModifyInstanceType { instance: instance(), to: to.into() };
        let backup = Call::CreateSnapshots { instance: instance(), description: String::new(), tags: Vec::new() };
        [
            ("stop", Call::StopInstance { instance: instance() }),
            ("start", Call::StartInstance { instance: instance() }),
            ("change", change("m5.xlarge")),
            ("change elsewhere", change("m5.4xlarge")),
            ("terminate", Call::TerminateInstance { instance: instance() }),
            ("snapshots", backup),
        ]
    };
    let cases: [(Action, bool, Purpose, &[&str]); 5] = [
        (Action::Resize, true, Purpose::Act, &["stop"]),
        (Action::Resize, false, Purpose::Act, &["change"]),
        (Action::Resize, true, Purpose::Backup, &["snapshots"]),
        (Action::Terminate, true, Purpose::Act, &["terminate"]),
        (Action::Terminate, true, Purpose::Backup, &["snapshots"]),
    ];
    for (action, running, purpose, passing) in cases {
        let mut stage = Stage::new();
        stage.rules.switches.allow_auto_terminate = true;
        if !running {
            stage.cloud.apply("ann", Change::Stop(INSTANCE.into())).unwrap();
            stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(5));
        }
        let step = stage.due_step(INSTANCE, action).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let fresh = stage.cloud.reader().describe(&step.key).await.unwrap();
        for (name, call) in calls() {
            let ruling = remediator.gate(purpose, &step, &call, &fresh, stage.clock.now(), &run).unwrap();
            assert_eq!(ruling == Ruling::Pass, passing.contains(&name), "{action} {name} {purpose:?}: {ruling:?}");
            assert_eq!(matches!(ruling, Ruling::Freeze(_)), !passing.contains(&name), "{action} {name}: {ruling:?}");
        }
        // Another series, or a finding that asks for another type by now, is refused.
        if action == Action::Resize && purpose == Purpose::Act {
            let stop = Call::StopInstance { instance: instance() };
            let mut other = step.clone();
            other.to_type = Some("c5.large".into());
            let ruling = remediator.gate(Purpose::Judge, &other, &stop, &fresh, stage.clock.now(), &run).unwrap();
            assert!(!matches!(ruling, Ruling::Pass), "{ruling:?}");
            let mut finding = stage.store.finding(&step.finding).unwrap().unwrap();
            finding.to_type = Some("c5.large".into());
            stage.store.update_findings(&[finding], &[]).unwrap();
            let call = &calls()[if running { 0 } else { 2 }].1;
            for step in [&step, &other] {
                let ruling = remediator.gate(Purpose::Act, step, call, &fresh, stage.clock.now(), &run).unwrap();
                assert!(!matches!(ruling, Ruling::Pass), "{ruling:?}");
            }
        }
    }
}
