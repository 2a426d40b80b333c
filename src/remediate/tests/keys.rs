//! Encryption keys (H14): no act with a backup, and no stop, while a key of its disks is not definitely enabled.
//! Judged from the simulator's call log and truth.

use super::*;
use crate::cloud::sim::SimReader;
use crate::cloud::{CostQuery, KeyState, Page};
use crate::domain::budget::CostRow;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::scan::RequestCount;
use crate::domain::text::Str;
use crate::domain::usage::{MetricQuery, Series};

const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/data";
const OTHER: &str = "arn:aws:kms:eu-central-1:123456789012:key/root";

/// KMS's words but the one, and some that are none of them.
const UNUSABLE: [&str; 10] = [
    "Disabled",
    "PendingDeletion",
    "PendingImport",
    "PendingReplicaDeletion",
    "Unavailable",
    "Creating",
    "Updating",
    "enabled",
    "Frobnicated",
    "",
];

/// Every act that takes disks away or makes a backup of them, and whether the settings want a backup before a stop.
const ACTS: [(&str, Action, bool); 5] = [
    (INSTANCE, Action::Stop, true),
    (INSTANCE, Action::Stop, false),
    (INSTANCE, Action::Resize, true),
    (INSTANCE, Action::Terminate, true),
    (ORPHAN, Action::Terminate, true),
];

/// A stage whose volumes are encrypted: the data and the unused one under one key, the root under another.
fn encrypted() -> Stage {
    encrypted_under(&[(ROOT, OTHER), (DATA, KEY), (ORPHAN, KEY)])
}

fn encrypted_under(keys: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::with(|world| {
        for planted in std::mem::take(&mut world.resources) {
            let key = keys.iter().find(|(id, _)| *id == &*planted.resource.key.id).map(|(_, key)| Str::from(*key));
            let planted = match key {
                Some(key) => planted.with_volume(|own| (own.kms_key, own.encrypted) = (Some(key), true)),
                None => planted,
            };
            world.resources.push(planted);
        }
    });
    stage.rules.switches.allow_auto_terminate = true;
    stage
}

/// A due step on that stage. The planner promises no backup where the settings want none.
async fn due(id: &str, action: Action, backup: bool) -> (Stage, Step) {
    let mut stage = encrypted();
    stage.rules.switches.create_snapshot_before_stop = backup;
    let mut step = stage.due_step(id, action).await;
    step.backup.retain(|_| backup);
    (stage, step)
}

impl Stage {
    fn set_key(&self, key: &str, state: &str) {
        self.cloud.apply("sec", Change::SetKey { key: key.into(), state: state.into() }).unwrap();
    }

    /// The keys that were asked for, in order.
    fn asked_for(&self) -> Vec<String> {
        let calls = self.cloud.calls().into_iter().filter(|call| call.operation == "DescribeKey");
        calls.filter_map(|call| call.target).collect()
    }

    /// Calls that stopped, changed or deleted something; neither a backup nor its image.
    fn harm(&self) -> Vec<String> {
        let harmless = |call: &String| call.starts_with("CreateSnapshot") || call.starts_with("RegisterImage");
        self.mutations().into_iter().filter(|call| !harmless(call)).collect()
    }
}

#[tokio::test]
async fn h14_while_a_key_is_not_enabled_nothing_is_done_that_needs_it_and_while_it_is_everything() {
    let mut refused = 0;
    for (id, action, backup) in ACTS {
        for state in UNUSABLE {
            let (stage, step) = due(id, action, backup).await;
            stage.set_key(KEY, state);
            let outcome = stage.act(&step).await;
            let words = format!("key {KEY} of ");
            assert_refused(&stage, &outcome, &words);
            assert!(outcome.message.contains(&format!("is {state}, not Enabled")), "{}", outcome.message);
            assert!(outcome.message.contains("enable it or cancel its deletion in KMS"), "{}", outcome.message);
            assert_eq!(stage.mutations(), Vec::<String>::new(), "{id} {action:?} {state}: not even a snapshot");
            assert!(stage.asked_for().contains(&KEY.to_owned()), "{id} {action:?} {state}");
            refused += 1;
        }
        let (stage, step) = due(id, action, backup).await;
        stage.set_key(KEY, KeyState::ENABLED);
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{id} {action:?}: {}", outcome.message);
        assert!(!stage.harm().is_empty(), "{id} {action:?}");
    }
    assert_eq!(refused, 50);
}

#[tokio::test]
async fn h14_a_key_that_somebody_schedules_for_deletion_in_any_gap_before_the_last_look_stops_the_act() {
    let points = ["J3.after", "J4.call", "J4.before", "J4.after", "J5.before", "J5.after", "J6.call", "J6.before"];
    let mut reached = 0;
    for (id, action, backup) in ACTS {
        for point in points.into_iter().chain(["J6.after", "J7.call", "J7.before", "J7.after"]) {
            let (stage, step) = due(id, action, backup).await;
            let (cloud, hit) = (stage.cloud.clone(), Arc::new(Mutex::new(false)));
            let seen = hit.clone();
            let meanwhile = Halt::meanwhile(point, move || {
                *seen.lock().unwrap() = true;
                let change = Change::SetKey { key: KEY.into(), state: "PendingDeletion".into() };
                cloud.apply("sec", change).unwrap();
            });
            let (remediator, run) = (stage.remediator(meanwhile), stage.run("run-1"));
            let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
            let end = stage.play(&remediator, first, &run).await;
            if !*hit.lock().unwrap() {
                // Without a backup there is no such gap.
                assert!(!backup, "{id} {action:?} {point} was not reached");
                continue;
            }
            reached += 1;
            assert_eq!(
                end.progress,
                Progress::Ended(JournalState::Refused),
                "{id} {action:?} {point}: {}",
                end.message
            );
            assert!(end.message.contains("is PendingDeletion, not Enabled"), "{point}: {}", end.message);
            assert_eq!(stage.harm(), Vec::<String>::new(), "{id} {action:?} {point}");
            assert_eq!(stage.frozen(), None);
        }
    }
    assert_eq!(reached, 4 * 12 + 4, "a stop without a backup knows J3 and J4 alone");
}

#[tokio::test]
async fn h14_a_key_that_went_while_the_worker_was_down_stops_what_was_begun() {
    for (id, action, backup) in ACTS.into_iter().filter(|(_, _, backup)| *backup) {
        let (stage, step) = due(id, action, backup).await;
        assert!(die_at(&stage, &step, "J7.after").await, "{id} {action:?}");
        stage.set_key(KEY, "Disabled");
        stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(10));
        let ends = stage.resume("run-2").await;
        assert_eq!(ends[0].progress, Progress::Ended(JournalState::Refused), "{}", ends[0].message);
        assert_eq!(stage.harm(), Vec::<String>::new(), "{id} {action:?}");
    }
}

#[tokio::test]
async fn h14_an_answer_that_is_denied_or_none_is_no_yes() {
    for (id, action, backup) in ACTS {
        // Denied, as for another account's key, or one that is not there: a person has to look.
        for effect in [Effect::Deny, Effect::Reject("InvalidArnException".into())] {
            let (stage, step) = due(id, action, backup).await;
            stage.fault("DescribeKey", effect);
            let outcome = stage.act(&step).await;
            assert_refused(&stage, &outcome, "the reading role needs kms:DescribeKey on it");
            assert_eq!(stage.mutations(), Vec::<String>::new());
            assert_eq!(stage.cloud.fault_hits(), [1], "{id} {action:?}");
        }
        // Throttled or unanswered all the time: asked again for a quarter of an hour, then given up.
        for effect in [Effect::Throttle, Effect::Timeout, Effect::Unavailable] {
            let (stage, step) = due(id, action, backup).await;
            stage.fault("DescribeKey", effect);
            let outcome = stage.act(&step).await;
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Aborted), "{}", outcome.message);
            assert_eq!(stage.mutations(), Vec::<String>::new(), "{id} {action:?}");
            assert!(stage.cloud.fault_hits()[0] > 5, "{id} {action:?}");
        }
        // Throttled once: asked again, and done.
        for call in 1..=3 {
            let (stage, step) = due(id, action, backup).await;
            stage.cloud.add_fault(Fault::on("DescribeKey", Effect::Throttle).nth(call));
            let outcome = stage.act(&step).await;
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{id} {action:?}: {}", outcome.message);
            assert_eq!(stage.cloud.fault_hits(), [1], "{id} {action:?} {call}");
        }
    }
}

#[tokio::test]
async fn h14_each_key_is_asked_for_once_in_a_look_and_what_is_not_encrypted_asks_for_nothing() {
    let asked = |keys: &'static [(&str, &str)], id: &'static str, action| async move {
        let stage = encrypted_under(keys);
        let step = stage.due_step(id, action).await;
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
        stage.asked_for()
    };
    // The three looks are J4's, J7's and the one in the minute of the call.
    assert_eq!(asked(&[(ROOT, KEY), (DATA, KEY)], INSTANCE, Action::Stop).await, [KEY; 3]);
    assert_eq!(asked(&[(DATA, KEY)], INSTANCE, Action::Stop).await, [KEY; 3]);
    let both = [KEY, OTHER, KEY, OTHER, KEY, OTHER];
    assert_eq!(asked(&[(ROOT, OTHER), (DATA, KEY)], INSTANCE, Action::Stop).await, both);
    assert_eq!(asked(&[(ORPHAN, KEY)], ORPHAN, Action::Terminate).await, [KEY; 3]);
    let none: [&str; 0] = [];
    for (id, action) in [(INSTANCE, Action::Stop), (INSTANCE, Action::Terminate), (ORPHAN, Action::Terminate)] {
        assert_eq!(asked(&[], id, action).await, none, "{id} {action:?}");
    }
    // A tag needs no backup, whatever its volume is encrypted under.
    assert_eq!(asked(&[(ORPHAN, KEY)], ORPHAN, Action::Tag).await, none);
}

#[tokio::test]
async fn h14_encrypted_under_nobody_knows_which_key_is_not_backed_up() {
    let stage = Stage::with(|world| {
        let orphan = world.resources.pop().unwrap();
        world.resources.push(orphan.with_volume(|own| own.encrypted = true));
    });
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    assert_refused(&stage, &stage.act(&step).await, "under which key is not known");
}

#[tokio::test]
async fn h14_a_yes_that_is_older_than_a_minute_at_the_call_counts_no_more() {
    let stage = encrypted();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (mut remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    remediator.tools.read = Arc::new(Slow { inner: stage.cloud.reader(), clock: stage.clock.clone() });
    let mut next = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    while let Progress::WaitUntil(until) = next.progress {
        stage.clock.advance_to(until);
        next = remediator.advance(next.id.unwrap(), &run).await.unwrap();
    }
    assert_eq!(next.progress, Progress::Held, "{}", next.message);
    assert!(next.message.contains("seconds old"), "{}", next.message);
    assert_eq!(stage.harm(), Vec::<String>::new());
    // A reader that answers in time, in a later run.
    let ends = stage.resume("run-2").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
}

/// A reader that hears about a key after a minute and a second.
struct Slow {
    inner: SimReader,
    clock: Clock,
}

#[async_trait]
impl CloudRead for Slow {
    async fn identity(&self, account: &AccountId) -> Result<Identity, CloudError> {
        self.inner.identity(account).await
    }

    async fn list(&self, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
        self.inner.list(partition, cursor).await
    }

    async fn describe(&self, key: &ResourceKey) -> Result<Resource, CloudError> {
        self.inner.describe(key).await
    }

    async fn metrics(&self, place: &Place, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
        self.inner.metrics(place, queries).await
    }

    async fn costs(&self, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
        self.inner.costs(account, query).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Result<Vec<Resource>, CloudError> {
        self.inner.snapshots_tagged(place, key, value).await
    }

    async fn launch(&self, instance: &ResourceKey) -> Result<Launch, CloudError> {
        self.inner.launch(instance).await
    }

    async fn type_facts(&self, place: &Place, zone: &str, name: &str) -> Result<TypeFacts, CloudError> {
        self.inner.type_facts(place, zone, name).await
    }

    async fn key_state(&self, place: &Place, key: &str) -> Result<KeyState, CloudError> {
        let state = self.inner.key_state(place, key).await;
        self.clock.advance_to(self.clock.now() + TimeDelta::seconds(61));
        state
    }

    fn requests(&self) -> Vec<RequestCount> {
        self.inner.requests()
    }
}

#[tokio::test]
async fn h14_an_undo_that_needs_a_key_makes_no_call_before_the_key_is_enabled_again() {
    let undone = [
        (INSTANCE, Action::Stop, "StartInstances"),
        (INSTANCE, Action::Resize, "ModifyInstanceAttribute"),
        (INSTANCE, Action::Terminate, "RunInstances"),
        (ORPHAN, Action::Terminate, "CreateVolume"),
    ];
    for (id, action, operation) in undone {
        for state in ["PendingDeletion", "Disabled"] {
            let stage = encrypted();
            let act = stage.acted(id, action).await;
            let before = stage.mutations();
            stage.set_key(KEY, state);
            let outcome = stage.undo(act).await;
            assert_eq!(
                outcome.progress,
                Progress::Ended(JournalState::Refused),
                "{id} {action:?}: {}",
                outcome.message
            );
            let words = format!("is {state}, not Enabled, so nothing would come back: enable it");
            assert!(outcome.message.contains(&words), "{}", outcome.message);
            assert_eq!(stage.mutations(), before, "{id} {action:?}: no call while the key is {state}");

            stage.set_key(KEY, KeyState::ENABLED);
            let outcome = stage.undo(act).await;
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{id} {action:?}: {}", outcome.message);
            assert!(
                stage.mutations()[before.len()..].iter().any(|call| call.starts_with(operation)),
                "{id} {action:?}"
            );
        }
    }
}

#[tokio::test]
async fn h14_a_start_is_kept_back_by_a_key_that_certainly_fails_and_by_nothing_else() {
    // The disk whose key goes was replaced while the instance was stopped.
    let stage = encrypted();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    stage.cloud.apply("ann", Change::Detach(DATA.into())).unwrap();
    stage.set_key(KEY, "PendingDeletion");
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);

    // Nobody may ask for the key: a start that fails leaves all as it was.
    for operation in ["StartInstances", "ModifyInstanceAttribute"] {
        let stage = encrypted();
        let action = if operation == "StartInstances" { Action::Stop } else { Action::Resize };
        let act = stage.acted(INSTANCE, action).await;
        stage.fault("DescribeKey", Effect::Deny);
        let before = stage.mutations();
        let outcome = stage.undo(act).await;
        if action == Action::Stop {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
            continue;
        }
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
        assert!(outcome.message.contains("kms:DescribeKey"), "{}", outcome.message);
        assert_eq!(stage.mutations(), before, "a resize would stop it first");
    }
}
