//! Resizing (safety.md, H21): every step fails once, every point crashes once, and the instance always runs again or
//! people are told. Judged from the simulator's call log and truth.

use super::*;
use crate::remediate::actions::{Recipe, Restore};

const OLD: &str = "m5.large";
const NEW: &str = "m5.xlarge";

/// Every point that a resize of a running instance passes after its backup, in their order: the seven steps stop, wait,
/// change, verify, start, wait, verify, each before its commit, after it, and where an answer is not yet written down.
const POINTS: [&str; 35] = [
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
    fn type_of(&self, id: &str) -> String {
        self.cloud.truth(|truth| truth.resource(id).unwrap().instance().unwrap().instance_type.to_string())
    }

    /// Calls that changed something, without the snapshots.
    fn effective_acts(&self) -> Vec<String> {
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
