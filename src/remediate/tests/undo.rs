//! Taking acts back: what comes back is compared with the truth, and every crash point of the walk is passed.

use super::storage::{ADDRESS, SNAPSHOT, furnished};
use super::*;
use crate::cloud::sim::Outcome as Answered;
use crate::domain::finding::State;
use crate::domain::resource::Tags;
use crate::domain::undo::{Difference, standing};
use crate::remediate::actions::Recipe;
use crate::remediate::undo::UndoRequest;
use crate::remediate::undo::preview::preview;

/// Every point that an undo passes, in their order.
const POINTS: [&str; 15] = [
    "U3.before",
    "U3.after",
    "U4.call",
    "U4.before",
    "U4.after",
    "U8.before",
    "U8.after",
    "U8.call",
    "U9.before",
    "U9.after",
    "U10.call",
    "U10.before",
    "U10.after",
    "U11.before",
    "U11.after",
];

const BY: &str = "eve";

pub(super) fn wish(act: i64) -> UndoRequest {
    UndoRequest { act, by: BY.into(), while_frozen: false }
}

impl Stage {
    /// Acts, and goes an hour on.
    pub(super) async fn acted(&self, id: &str, action: Action) -> i64 {
        let step = self.due_step(id, action).await;
        if step.act.least_people() > 0 {
            super::people::say_yes(self, &step);
        }
        let outcome = self.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
        self.clock.advance_to(self.clock.now() + TimeDelta::hours(1));
        outcome.id.unwrap()
    }

    /// Takes an act back in a new process and plays that out.
    pub(super) async fn undo(&self, act: i64) -> Outcome {
        self.undo_as(wish(act), "run-u").await
    }

    pub(super) async fn undo_as(&self, request: UndoRequest, run: &str) -> Outcome {
        let (remediator, run) = (self.remediator(Halt::none()), self.run(run));
        let mut outcome = remediator.undo(&request, &run).await.unwrap();
        while let Progress::WaitUntil(until) = outcome.progress {
            assert!(until <= self.clock.now() + TimeDelta::seconds(60));
            self.clock.advance_to(until);
            outcome = remediator.advance_undo(outcome.id.unwrap(), request.while_frozen, &run).await.unwrap();
        }
        outcome
    }

    /// Takes an act back in a process that dies at `point`. True when it did.
    pub(super) async fn undo_dies(&self, act: i64, point: &str, run: &str) -> bool {
        let (remediator, run) = (self.remediator(Halt::failing_at(point)), self.run(run));
        let mut next = remediator.undo(&wish(act), &run).await;
        loop {
            match next {
                Err(Interrupted::Halted(_)) => return true,
                Err(other) => panic!("{point}: {other}"),
                Ok(Outcome { progress: Progress::WaitUntil(until), id, .. }) => {
                    self.clock.advance_to(until);
                    next = remediator.advance_undo(id.unwrap(), false, &run).await;
                }
                Ok(_) => return false,
            }
        }
    }

    pub(super) fn fields(&self, undo: i64) -> Vec<String> {
        self.store.undo(undo).unwrap().unwrap().differences.iter().map(|own| own.field.clone()).collect()
    }

    /// Volumes in truth that carry our mark.
    pub(super) fn restored(&self) -> Vec<Resource> {
        self.cloud.truth(|truth| truth.resources().filter(|own| own.tag(UNDO_TAG).is_some()).cloned().collect())
    }

    /// Calls of the undo that had an effect.
    pub(super) fn effective(&self, operation: &str) -> usize {
        self.cloud.calls().iter().filter(|call| call.operation == operation && call.effective).count()
    }
}

#[tokio::test]
async fn undo_of_a_stop_starts_the_instance_and_everything_is_as_it_was() {
    let stage = Stage::with(|world| {
        let key = world.resources[0].resource.key.partition.place.partition(Kind::Address).key("eipalloc-0web");
        let mut address = plant::address(key, "203.0.113.9");
        if let crate::domain::resource::Detail::Address(own) = &mut address.resource.detail {
            own.instance = Some(INSTANCE.into());
            own.association = Some("eipassoc-01".into());
        }
        world.resources.push(address);
    });
    let act = stage.acted(INSTANCE, Action::Stop).await;
    assert_eq!(stage.truth(INSTANCE), "stopped");
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.truth(INSTANCE), "running");
    let undo = stage.store.undo(outcome.id.unwrap()).unwrap().unwrap();
    assert_eq!(undo.differences, [], "state, type, volumes, tags and the elastic address came back");
    assert!(undo.request_id.is_some() && undo.call_hash.is_some());
    let recipe = Recipe::of(&stage.row(act)).unwrap();
    assert_eq!(recipe.addresses.unwrap().len(), 1, "the address is part of the recipe");
    assert_eq!(stage.mutations().last().unwrap(), &format!("StartInstances {INSTANCE}"));
    let states: Vec<JournalState> =
        stage.store.undo_history(undo.id).unwrap().into_iter().map(|row| row.state).collect();
    use JournalState::*;
    assert_eq!(states, [Claimed, Rechecked, ActIntent, Answered, Observed, Done]);
}

#[tokio::test]
async fn undo_tells_each_field_that_is_not_as_it_was() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    stage.tag(INSTANCE, "owner", "bob@example.com");
    stage.cloud.apply("bob", Change::SetType { instance: INSTANCE.into(), instance_type: "m5.xlarge".into() }).unwrap();
    let outcome = stage.undo(act).await;
    let undo = stage.store.undo(outcome.id.unwrap()).unwrap().unwrap();
    let difference = |field: &str, was: &str, is: &str| Difference {
        field: field.into(),
        was: Some(was.into()),
        is: Some(is.into()),
    };
    assert_eq!(
        undo.differences,
        [difference("tag owner", "ann@example.com", "bob@example.com"), difference("type", "m5.large", "m5.xlarge"),]
    );
    assert!(outcome.message.contains("2 fields differ"), "{}", outcome.message);
}

#[tokio::test]
async fn undo_of_a_deletion_makes_the_volume_anew_and_protects_it() {
    let stage = Stage::with(|world| {
        if let crate::domain::resource::Detail::Volume(volume) = &mut world.resources[3].resource.detail {
            volume.volume_type = "gp3".into();
            volume.iops = Some(4_000);
            volume.throughput = Some(250);
            volume.encrypted = true;
            volume.kms_key = Some("arn:aws:kms:eu-central-1:123456789012:key/k1".into());
        }
    });
    let before = stage.cloud.truth(|truth| truth.resource(ORPHAN).unwrap().clone());
    let act = stage.acted(ORPHAN, Action::Terminate).await;
    assert_eq!(stage.truth(ORPHAN), "gone");
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    let restored = stage.restored();
    assert_eq!(restored.len(), 1);
    assert_eq!(restored[0].volume(), before.volume(), "type, size, operations, throughput, zone, key and state");
    assert_eq!(restored[0].tag("Name"), Some("old database"));
    assert_eq!(stage.fields(outcome.id.unwrap()), ["id"], "an id never comes back");
    assert!(outcome.message.contains(&*restored[0].key.id), "{}", outcome.message);
    // The tag keeps every rule's hands off it.
    let guards = &stage.rules.guards;
    let reading = crate::domain::guard::Reading::Fresh;
    let refused = crate::domain::guard::refusal(
        crate::domain::finding::Act::DeleteVolume,
        &restored[0],
        guards,
        &stage.rules.prices,
        reading,
    );
    assert_eq!(refused.unwrap().0, HoldCode::Protected);
}

#[tokio::test]
async fn undo_of_tags_removes_exactly_ours_where_they_have_our_values() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Tag).await;
    stage.tag(INSTANCE, "project", "apollo");
    stage.tag(INSTANCE, "team", "data");
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    let tags = stage.cloud.truth(|truth| truth.resource(INSTANCE).unwrap().tags.known().cloned().unwrap());
    let expected = [
        ("Name", "build box"),
        ("aws:createdBy", "ann"),
        ("owner", "ann@example.com"),
        ("project", "apollo"),
        ("team", "data"),
    ];
    assert_eq!(tags, Tags::of(&expected));
    assert_eq!(stage.fields(outcome.id.unwrap()), ["tag project", "tag team"]);
}

#[tokio::test]
async fn undo_leaves_a_tag_that_somebody_changes_in_the_last_moment() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Tag).await;
    let cloud = stage.cloud.clone();
    let halt = Halt::meanwhile("U8.before", move || {
        let tags = vec![("project".to_owned(), "apollo".to_owned())];
        cloud.apply("ann", Change::Tag { resource: INSTANCE.into(), tags }).unwrap();
    });
    let (remediator, run) = (stage.remediator(halt), stage.run("run-u"));
    remediator.undo(&wish(act), &run).await.unwrap();
    let project = stage.cloud.truth(|truth| truth.resource(INSTANCE).unwrap().tag("project").map(str::to_owned));
    assert_eq!(project.as_deref(), Some("apollo"));
    assert_eq!(stage.effective("DeleteTags"), 1);
}

#[tokio::test]
async fn h25_after_an_undo_nothing_acts_again_without_a_person() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    let finding = stage.row(act).step.finding;
    stage.undo(act).await;
    let after = stage.store.finding(&finding).unwrap().unwrap();
    assert_eq!((after.state, after.suppressed, after.clock.due_at), (State::Open, true, None));
    let events: Vec<String> =
        stage.store.finding_events(&finding).unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(events.last().unwrap(), "undone");
    // A month later, told again and due: the gate refuses still.
    stage.clock.advance_to(stage.clock.now() + TimeDelta::days(30));
    let told = stage.clock.now() - TimeDelta::days(3);
    let mut again = stage.store.finding(&finding).unwrap().unwrap();
    again.clock.first_notice = Some(told);
    again.clock.due_at = Some(told + TimeDelta::days(1));
    stage.store.update_findings(&[again.clone()], &[]).unwrap();
    let acts = stage.acts().len();
    let outcome = stage.act(&stage.step_of(&again).await).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("undid"), "{}", outcome.message);
    assert_eq!(stage.acts().len(), acts);
}

#[tokio::test]
async fn undo_is_done_once_and_audited() {
    let stage = Stage::new();
    let act = stage.acted(ORPHAN, Action::Terminate).await;
    stage.undo(act).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-again"));
    let again = remediator.undo(&wish(act), &run).await.unwrap_err();
    assert!(again.to_string().contains("was taken back already"), "{again}");
    assert_eq!(stage.effective("CreateVolume"), 1);
    let rows = stage.store.audit_rows(0, 100).unwrap();
    let last = &rows.last().unwrap().entry;
    assert_eq!((last.actor.as_str(), last.what.as_str()), (BY, "undo"));
    assert_eq!(last.detail["remediation"], act);
    stage.store.audit_verify(None).unwrap();
}

#[tokio::test]
async fn undo_refuses_what_was_not_done_or_is_not_as_it_was_left() {
    let stage = Stage::new();
    stage.fault("StopInstances", Effect::Reject("IncorrectInstanceState".into()));
    let step = stage.due_step(INSTANCE, Action::Stop).await;
    let refused = stage.act(&step).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-u"));
    let error = remediator.undo(&wish(refused.id.unwrap()), &run).await.unwrap_err().to_string();
    assert!(error.contains("not done"), "{error}");
    assert!(remediator.undo(&wish(99), &run).await.unwrap_err().to_string().contains("no act r-99"));

    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    stage.cloud.apply("ann", Change::Start(INSTANCE.into())).unwrap();
    stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(10));
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused));
    assert!(outcome.message.contains("running, not stopped"), "{}", outcome.message);
    assert_eq!(stage.effective("StartInstances"), 0);
}

#[tokio::test]
async fn undo_without_its_snapshot_makes_no_volume() {
    let stage = Stage::new();
    let act = stage.acted(ORPHAN, Action::Terminate).await;
    let snapshot = stage.row(act).snapshots[0].snapshot.clone().unwrap();
    stage.cloud.apply("ann", Change::Delete(snapshot.to_string())).unwrap();
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert_eq!(stage.restored(), []);
    assert_eq!(stage.frozen(), None);
}

#[tokio::test]
async fn i21_a_freeze_holds_an_undo_unless_its_person_says_otherwise() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    let freeze = Freeze { at: stage.clock.now(), by: "ann".into(), reason: "looking".into() };
    stage.store.freeze(&freeze).unwrap();
    let held = stage.undo(act).await;
    assert_eq!((held.id, held.progress), (None, Progress::Held), "{}", held.message);
    assert_eq!(stage.effective("StartInstances"), 0);
    let done = stage.undo_as(UndoRequest { while_frozen: true, ..wish(act) }, "run-2").await;
    assert_eq!(done.progress, Progress::Ended(JournalState::Done), "{}", done.message);
    assert_eq!(stage.truth(INSTANCE), "running");
}

#[tokio::test]
async fn i09_an_undo_stays_within_the_accounts_of_the_settings() {
    let mut stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    stage.rules.places.clear();
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(stage.frozen().is_some(), "a foreign target stops everything");
    assert_eq!(stage.effective("StartInstances"), 0);
}

#[tokio::test]
async fn i12_while_an_undo_is_open_nothing_else_acts_on_the_resource_and_a_stale_fence_writes_nothing() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Stop).await;
    assert!(stage.undo_dies(act, "U9.after", "run-u").await);
    let fence = stage.run("other").fence;
    let error = stage.store.claim(&stage.row(act).step, "p-2", fence, stage.clock.now()).unwrap_err();
    assert!(matches!(error, crate::store::ClaimError::AlreadyOpen { .. }), "{error}");
    let mut undo = stage.store.undos_of(act).unwrap().remove(0);
    undo.fence = fence - 1;
    assert!(stage.store.advance_undo(&undo).unwrap_err().is_stale_fence());
}

#[tokio::test]
async fn undo_survives_a_crash_at_every_point_and_never_has_an_effect_twice() {
    let cases = [
        (INSTANCE, Action::Stop, "StartInstances"),
        (ORPHAN, Action::Terminate, "CreateVolume"),
        (INSTANCE, Action::Tag, "DeleteTags"),
        (ORPHAN, Action::Modify, "ModifyVolume"),
        (ADDRESS, Action::Release, "AllocateAddress"),
        (SNAPSHOT, Action::Terminate, "RestoreSnapshotFromRecycleBin"),
        (INSTANCE, Action::Terminate, "RunInstances"),
    ];
    for (id, action, operation) in cases {
        let anew = matches!(operation, "CreateVolume" | "AllocateAddress" | "RunInstances");
        for point in POINTS {
            let mut stage = furnished();
            stage.rules.switches.allow_auto_terminate = true;
            let act = stage.acted(id, action).await;
            // EBS takes the next change of a volume after six hours.
            stage.clock.advance_to(stage.clock.now() + TimeDelta::hours(6));
            let before = stage.effective(operation);
            assert!(stage.undo_dies(act, point, "run-1").await, "{operation} {point} was not reached");
            let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-2"));
            let mut outcomes = remediator.resume_undos(&run).await.unwrap();
            assert!(outcomes.len() <= 1);
            let state = match outcomes.pop() {
                Some(mut outcome) => {
                    while let Progress::WaitUntil(until) = outcome.progress {
                        stage.clock.advance_to(until);
                        outcome = remediator.advance_undo(outcome.id.unwrap(), false, &run).await.unwrap();
                    }
                    let Progress::Ended(state) = outcome.progress else { panic!("{point}: {outcome:?}") };
                    state
                }
                None => match stage.store.undos_of(act).unwrap().last() {
                    Some(undo) => undo.state,
                    None => match stage.undo(act).await.progress {
                        Progress::Ended(state) => state,
                        other => panic!("{point}: {other:?}"),
                    },
                },
            };
            // Only what EC2 itself makes but once may be asked for again when nothing of it was seen.
            let lost = point == "U8.after" && !anew;
            assert_eq!(state, if lost { JournalState::Stuck } else { JournalState::Done }, "{operation} {point}");
            assert_eq!(stage.effective(operation) - before, usize::from(!lost), "{operation} {point}");
            assert_eq!(stage.frozen().is_some(), lost, "{operation} {point}: stuck freezes, nothing else does");
            assert_eq!(stage.restored().len(), usize::from(anew), "{point}");
            assert!(stage.store.open_undos().unwrap().is_empty(), "{point}");
        }
    }
}

#[tokio::test]
async fn undo_finds_the_volume_of_a_lost_answer_by_its_tag() {
    let stage = Stage::with(|world| world.timing.visibility_lag = (30, 60));
    let act = stage.acted(ORPHAN, Action::Terminate).await;
    let form = Some(Form::Change);
    stage.cloud.add_fault(Fault { form, ..Fault::on("CreateVolume", Effect::TimeoutAfterEffect) });
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!(stage.restored().len(), 1);
    let calls = stage.cloud.calls();
    let made = calls.iter().filter(|call| call.operation == "CreateVolume" && !call.dry_run).count();
    assert_eq!(made, 1, "found, not asked for again");
}

#[tokio::test]
async fn undo_of_a_volume_asks_twice_with_one_token_then_a_person_decides_and_may_try_again() {
    let stage = Stage::new();
    let act = stage.acted(ORPHAN, Action::Terminate).await;
    let lost = Fault { form: Some(Form::Change), calls: vec![1, 2], ..Fault::on("CreateVolume", Effect::Timeout) };
    stage.cloud.add_fault(lost);
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck), "{}", outcome.message);
    let made = stage.cloud.calls().iter().filter(|call| call.operation == "CreateVolume" && call.mutating()).count();
    assert_eq!(made, 2);
    assert!(stage.frozen().is_some());
    let again = stage.undo_as(UndoRequest { while_frozen: true, ..wish(act) }, "run-2").await;
    assert_eq!(again.progress, Progress::Ended(JournalState::Done), "{}", again.message);
    assert_eq!(stage.restored().len(), 1);
    let answered = stage.cloud.calls().iter().filter(|call| call.mutating() && call.outcome == Answered::Done).count();
    assert_eq!(answered, 3, "the snapshot, the deletion and the new volume");
}

#[tokio::test]
async fn undo_says_beforehand_what_comes_back_until_when_and_what_keeping_it_costs() {
    let stage = Stage::new();
    let act = stage.acted(ORPHAN, Action::Terminate).await;
    let reader = stage.cloud.reader();
    let calls = stage.cloud.calls().iter().filter(|call| call.mutating()).count();
    let now = stage.clock.now();
    let told =
        preview(&stage.store, &reader, &stage.rules.guards, &stage.rules.prices, act, now).await.unwrap().unwrap();
    assert_eq!(stage.cloud.calls().iter().filter(|call| call.mutating()).count(), calls, "a look changes nothing");
    let begun = stage.row(act).snapshots[0].requested_at.unwrap();
    assert_eq!(told.undoable.until, Some(begun + TimeDelta::days(90)));
    // 50 GiB at 0.05 dollars a GB-month: 2.50 a month, 24 of 730 hours of it a day.
    assert_eq!(told.undoable.daily, crate::domain::money::Usd(82_192));
    assert!(told.losses.iter().any(|loss| loss.contains(ORPHAN)), "{:?}", told.losses);
    assert_eq!(told.call.unwrap().operation(), "CreateVolume");
    let row = stage.row(act);
    let late = standing(&row, false, &stage.rules.prices, begun + TimeDelta::days(91)).unwrap_err();
    assert!(late.contains("was kept until 2027-02-21"), "{late}");
    assert!(standing(&row, true, &stage.rules.prices, now).unwrap_err().contains("already"));
}

#[tokio::test]
async fn h42_an_act_its_backup_and_its_undo_make_exactly_the_changes_of_their_row_of_rights() {
    use crate::cloud::rights::Changes;
    use crate::domain::finding::Act;
    let cases = [
        (INSTANCE, Action::Stop, Act::StopInstance),
        (ORPHAN, Action::Terminate, Act::DeleteVolume),
        (INSTANCE, Action::Tag, Act::AddTags),
    ];
    for (id, action, act) in cases {
        let stage = Stage::new();
        let done = stage.acted(id, action).await;
        stage.undo(done).await;
        let made: Vec<String> =
            stage.mutations().iter().map(|call| call.split(' ').next().unwrap().to_owned()).collect();
        let row: Vec<&str> =
            Changes::of(act).all().map(|change| change.rights()[0].action.trim_start_matches("ec2:")).collect();
        assert_eq!(made, row, "{act:?}");
    }
}
