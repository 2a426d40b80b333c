//! Safety snapshots and the end of their 90 days, judged from the simulated account's own log.

use chrono::Datelike;

use super::undo::wish;
use super::*;
use crate::domain::fact::Fact;
use crate::domain::resource::Detail;
use crate::remediate::expire;

impl Stage {
    /// Armed for as long as these stories take.
    pub(super) fn armed_for_years(self) -> Stage {
        self.store
            .arm(&Arming {
                account: self.place.account.clone(),
                by: "eve".into(),
                at: monday() - TimeDelta::days(20),
                until: monday() + TimeDelta::days(800),
                policies: vec![("policy".into(), "hash".into())],
            })
            .unwrap();
        self
    }

    pub(super) async fn expiring(&self) -> Vec<Step> {
        let (reader, now) = (self.cloud.reader(), self.clock.now());
        expire::due(&self.store, &reader, &self.place, &self.rules.ignore_tags, expire::MOST_PER_RUN, now)
            .await
            .unwrap()
    }

    /// Expires what is due, as the act slot does.
    pub(super) async fn expire(&self, run: &str) -> Vec<Outcome> {
        let (remediator, run) = (self.remediator(Halt::none()), self.run(run));
        let mut ends = Vec::new();
        for step in self.expiring().await {
            let first = remediator.start(&step, "p-e", &run).await.unwrap();
            ends.push(self.play(&remediator, first, &run).await);
        }
        ends
    }

    /// A deleted volume with its safety snapshot, days later at ten o'clock inside the window.
    async fn with_a_backup_of(days: i64) -> (Stage, i64, String) {
        let stage = Stage::new().armed_for_years();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let act = stage.act(&step).await.id.unwrap();
        let snapshot = stage.row(act).snapshots[0].snapshot.clone().unwrap().to_string();
        stage.clock.advance_to(monday() + TimeDelta::days(days));
        (stage, act, snapshot)
    }

    fn deleted_snapshots(&self) -> Vec<(Instant, String)> {
        let calls = self.cloud.calls();
        let gone = calls.iter().filter(|call| call.operation == "DeleteSnapshot" && call.effective);
        gone.map(|call| (call.at, call.target.clone().unwrap())).collect()
    }
}

#[tokio::test]
async fn h26_after_365_days_of_acts_no_safety_snapshot_is_older_than_promised_and_none_went_early() {
    let stage = Stage::new().armed_for_years();
    let volumes = stage.place.partition(Kind::Volume);
    let mut made: BTreeMap<String, Instant> = BTreeMap::new();
    for day in 0..365_i64 {
        let now = monday() + TimeDelta::days(day);
        if now.weekday().num_days_from_monday() > 3 {
            continue;
        }
        stage.clock.advance_to(now);
        let id = format!("vol-0day{day}");
        let volume = plant::volume(volumes.key(&id), "gp3", 8, now - TimeDelta::days(30));
        stage.cloud.apply("ann", Change::Create(vec![volume])).unwrap();
        let step = stage.due_step(&id, Action::Terminate).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run(&format!("run-{day}")));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Done), "day {day}: {}", end.message);
        made.insert(stage.row(end.id.unwrap()).snapshots[0].snapshot.clone().unwrap().to_string(), now);
        for end in stage.expire(&format!("run-{day}-e")).await {
            assert_eq!(end.progress, Progress::Ended(JournalState::Done), "day {day}: {}", end.message);
        }
    }
    let gone = stage.deleted_snapshots();
    for (at, snapshot) in &gone {
        let age = *at - made[snapshot];
        assert!(age > TimeDelta::days(90), "{snapshot} went after {} days (I14)", age.num_days());
        // Friday to Sunday nothing is changed.
        assert!(age <= TimeDelta::days(95), "{snapshot} was kept {} days", age.num_days());
    }
    let left: Vec<String> = stage.cloud.truth(|truth| {
        truth.resources().filter(|own| own.snapshot().is_some()).map(|own| own.key.id.to_string()).collect()
    });
    assert_eq!((made.len(), gone.len() + left.len()), (209, 209), "every one made is there or went, once");
    // Four a week, 95 days at most: 13 weeks and four days.
    assert!(left.len() <= 56, "{} are left", left.len());
    assert_eq!(stage.frozen(), None);
    stage.store.audit_verify(None).unwrap();
}

#[tokio::test]
async fn i14_a_safety_snapshot_goes_after_its_90_days_and_not_a_moment_before() {
    let (stage, act, snapshot) = Stage::with_a_backup_of(90).await;
    assert_eq!(stage.expiring().await, [], "its last day is not over");
    let finding = stage.store.finding(&stage.row(act).step.finding).unwrap().unwrap();
    stage.clock.advance_to(monday() + TimeDelta::days(91));
    let steps = stage.expiring().await;
    assert_eq!(steps.iter().map(|step| &*step.key.id).collect::<Vec<_>>(), [&*snapshot]);
    let ends = stage.expire("run-e").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    assert_eq!(stage.truth(&snapshot), "gone");
    let after = stage.store.finding(&finding.id).unwrap().unwrap();
    assert_eq!(after, finding, "the finding is as it was");
    let events: Vec<String> =
        stage.store.finding_events(&finding.id).unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(events.last().unwrap(), "backup_expired");
    assert_eq!(stage.expire("run-f").await.len(), 0, "and then there is nothing more to do");
}

#[tokio::test]
async fn i14_the_gate_keeps_a_safety_snapshot_whose_mark_row_age_or_user_speaks_against_it() {
    type Edit = fn(&Stage, i64, &str);
    fn tag(stage: &Stage, snapshot: &str, key: &str, value: &str) {
        stage.tag(snapshot, key, value);
    }
    let cases: [(&str, Edit, &str); 9] = [
        (
            "another state file",
            |stage, act, own| tag(stage, own, KEY_TAG, &format!("st-other-r{act}")),
            "no act of this",
        ),
        (
            "no row",
            |stage, _, own| {
                let value = format!("{}-r999", stage.store.state_id().unwrap());
                tag(stage, own, KEY_TAG, &value);
            },
            "no act of this",
        ),
        (
            "no mark",
            |stage, _, own| {
                let keys = vec!["costwarden:safety-snapshot".to_owned()];
                stage.cloud.apply("ann", Change::Untag { resource: own.into(), keys }).unwrap();
            },
            "no safety snapshot",
        ),
        ("lengthened", |stage, _, own| tag(stage, own, "costwarden:keep-until", "2027-12-31"), "keep-until holds"),
        ("no date", |stage, _, own| tag(stage, own, "costwarden:keep-until", "for ever"), "keep-until holds"),
        ("protected", |stage, _, own| tag(stage, own, "costwarden:protect", "true"), "protect refuses"),
        ("locked", |stage, _, own| stage.cloud.apply("ann", Change::Lock(own.into())).unwrap(), "locked"),
        (
            "imaged",
            |stage, _, own| {
                let image = plant::image(stage.place.partition(Kind::Image).key("ami-0web"), "web", &[own], monday());
                stage.cloud.apply("ann", Change::Create(vec![image])).unwrap();
            },
            "uses it",
        ),
        (
            "frozen",
            |stage, _, _| {
                let freeze = Freeze { at: stage.clock.now(), by: "ann".into(), reason: "looking".into() };
                stage.store.freeze(&freeze).unwrap();
            },
            "frozen",
        ),
    ];
    for (name, edit, words) in cases {
        let (stage, act, snapshot) = Stage::with_a_backup_of(91).await;
        let step = stage.expiring().await.remove(0);
        edit(&stage, act, &snapshot);
        let outcome = stage.act(&step).await;
        assert!(outcome.message.contains(words), "{name}: {}", outcome.message);
        assert_eq!((stage.truth(&snapshot).as_str(), stage.deleted_snapshots().len()), ("completed", 0), "{name}");
    }
    // A step that somebody made by hand for a young one.
    let (stage, _, snapshot) = Stage::with_a_backup_of(91).await;
    let step = stage.expiring().await.remove(0);
    // A Thursday.
    let (young, _, own) = Stage::with_a_backup_of(87).await;
    assert_eq!(own, snapshot, "the same world");
    assert_refused_expiry(&young, &step, "keep-until holds").await;
    young.tag(&own, "costwarden:keep-until", "2026-11-24");
    assert_refused_expiry(&young, &step, "90 days are not over").await;
}

#[tokio::test]
async fn i14_the_gate_alone_keeps_a_safety_snapshot_that_people_protect_by_list_or_by_a_tag_under_their_prefix() {
    use crate::domain::resource::Tags;
    use crate::remediate::actions::{Asked, action};
    use crate::remediate::gate::Purpose;
    let (mut stage, _, snapshot) = Stage::with_a_backup_of(91).await;
    let step = stage.expiring().await.remove(0);
    let fresh = crate::remediate::recheck::read_one(&stage.cloud.reader(), step.act, &step.key).await.unwrap();
    let (now, run) = (stage.clock.now(), stage.run("run-x"));
    let asked = Asked { step: &step, fresh: &fresh, tag_prefix: &stage.rules.guards.tag_prefix, now };
    let call = (action(step.act).unwrap().call)(&asked).unwrap();
    let gate = |stage: &Stage, fresh: &Resource| {
        stage.remediator(Halt::none()).gate(Purpose::Act, &step, &call, fresh, now, &run).unwrap()
    };
    assert_eq!(gate(&stage, &fresh), Ruling::Pass);
    let named = [&*snapshot, "tag:costwarden:safety-snapshot", "tag:costwarden:safety-snapshot=true"];
    for (entry, kept) in
        named.map(|entry| (entry, true)).into_iter().chain([("tag:costwarden:safety-snapshot=no", false)])
    {
        stage.rules.guards.protect = vec![entry.into()];
        assert_eq!(matches!(gate(&stage, &fresh), Ruling::Refuse(HoldCode::Protected, _)), kept, "{entry}");
    }
    stage.rules.guards.protect.clear();
    stage.rules.guards.tag_prefix = "warden/".into();
    for (value, kept) in [("true", true), ("", true), (" False ", false)] {
        let mut tagged = fresh.clone();
        let mut tags: Vec<(&str, &str)> = fresh.tags.known().unwrap().iter().collect();
        tags.push(("warden/protect", value));
        tagged.tags = Fact::Known(Tags::of(&tags));
        assert_eq!(matches!(gate(&stage, &tagged), Ruling::Refuse(HoldCode::Protected, _)), kept, "{value:?}");
    }
}

pub(super) async fn assert_refused_expiry(stage: &Stage, step: &Step, words: &str) {
    let mut step = step.clone();
    step.fingerprint = crate::domain::plan::Fingerprint::of(
        &stage.cloud.reader().describe(&step.key).await.unwrap(),
        &stage.rules.ignore_tags,
    );
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused));
    assert!(outcome.message.contains(words), "{}", outcome.message);
    assert_eq!(stage.deleted_snapshots(), []);
}

#[tokio::test]
async fn i14_a_safety_snapshot_that_an_undo_needs_just_now_stays() {
    let (stage, act, snapshot) = Stage::with_a_backup_of(89).await;
    // The volume comes back, and the process dies before that is written down.
    let (remediator, run) = (stage.remediator(Halt::failing_at("U9.after")), stage.run("run-u"));
    assert!(matches!(remediator.undo(&wish(act), &run).await, Err(Interrupted::Halted(_))));
    stage.clock.advance_to(monday() + TimeDelta::days(91));
    let step = stage.expiring().await.remove(0);
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("being taken back"), "{}", outcome.message);
    assert_eq!(stage.truth(&snapshot), "completed");
}

#[tokio::test]
async fn i14_the_backups_of_acts_that_came_to_nothing_go_as_well_once_nobody_needs_them() {
    let after = |days: i64| monday() + TimeDelta::days(days);
    // Refused after its snapshot: somebody tagged the volume meanwhile.
    let refused = Stage::new().armed_for_years();
    let step = refused.due_step(ORPHAN, Action::Terminate).await;
    assert!(die_at(&refused, &step, "J7.before").await);
    refused.tag(ORPHAN, "team", "data");
    assert_eq!(refused.resume("run-2").await[0].progress, Progress::Ended(JournalState::Refused));
    // Aborted: its snapshot failed.
    let aborted = Stage::new().armed_for_years();
    change_fault(&aborted, "CreateSnapshot", Effect::SnapshotFails);
    let step = aborted.due_step(ORPHAN, Action::Terminate).await;
    assert_eq!(aborted.act(&step).await.progress, Progress::Ended(JournalState::Aborted));
    for stage in [refused, aborted] {
        let snapshot = stage.snapshots_of(ORPHAN).remove(0).key.id.to_string();
        stage.clock.advance_to(after(90));
        assert_eq!(stage.expiring().await, [], "not before its time");
        stage.clock.advance_to(after(91));
        let ends = stage.expire("run-e").await;
        assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
        assert_eq!(
            (ends.len(), stage.truth(&snapshot).as_str(), stage.truth(ORPHAN).as_str()),
            (1, "gone", "available")
        );
    }
    // Stuck: nobody knows whether the volume is gone, so its snapshot stays until a person has said so.
    let stuck = Stage::new().armed_for_years();
    let step = stuck.due_step(ORPHAN, Action::Terminate).await;
    assert!(die_at(&stuck, &step, "J8.after").await);
    let outcome = stuck.resume("run-2").await.remove(0);
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Stuck));
    assert!(stuck.store.unfreeze("eve", stuck.clock.now()).unwrap());
    let snapshot = stuck.snapshots_of(ORPHAN).remove(0).key.clone();
    stuck.clock.advance_to(after(203));
    assert_eq!(stuck.expiring().await, []);
    let mut dressed = step.clone();
    (dressed.act, dressed.key) = (crate::domain::finding::Act::ExpireSnapshot, snapshot.clone());
    assert_refused_expiry(&stuck, &dressed, "is not over").await;
    stuck.store.settle_stuck(outcome.id.unwrap(), "eve", "it is still there", stuck.clock.now()).unwrap();
    stuck.clock.advance_to(after(210));
    assert_eq!(stuck.expire("run-e").await[0].progress, Progress::Ended(JournalState::Done));
    assert_eq!((stuck.truth(&snapshot.id).as_str(), stuck.truth(ORPHAN).as_str()), ("gone", "available"));
}

#[tokio::test]
async fn h03_a_hundred_backups_of_a_sort_end_in_a_run_and_one_more_is_a_bug_and_freezes() {
    let (stage, act, _) = Stage::with_a_backup_of(91).await;
    let value = format!("{}-r{act}", stage.store.state_id().unwrap());
    for number in 0..expire::MOST_PER_RUN {
        let key = stage.place.partition(Kind::Snapshot).key(&format!("snap-0more{number}"));
        let tags = [("costwarden:safety-snapshot", "true"), (KEY_TAG, value.as_str())];
        let more = plant::snapshot(key, ORPHAN, 50, monday() - TimeDelta::days(1)).tagged(&tags);
        stage.cloud.apply("ann", Change::Create(vec![more])).unwrap();
    }
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-e"));
    let steps = stage.expiring().await;
    assert_eq!(steps.len(), 100, "no more are asked for at once");
    for step in steps {
        let first = remediator.start(&step, "p-e", &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Done), "{}", end.message);
    }
    assert_eq!((stage.deleted_snapshots().len(), stage.frozen()), (100, None));
    let left = stage.expiring().await.remove(0);
    let first = remediator.start(&left, "p-e", &run).await.unwrap();
    assert_eq!(stage.play(&remediator, first, &run).await.progress, Progress::Ended(JournalState::Refused));
    assert!(stage.frozen().unwrap().contains("more than 100 backups"));
    assert_eq!(stage.deleted_snapshots().len(), 100);
}

#[tokio::test]
async fn an_expiry_needs_an_armed_account_in_mode_enforce_and_the_window() {
    let (mut stage, _, snapshot) = Stage::with_a_backup_of(91).await;
    let step = stage.expiring().await.remove(0);
    for mode in [Mode::Observe, Mode::Notify] {
        stage.rules.mode = mode;
        let outcome = stage.act(&step).await;
        assert!(outcome.message.contains("mode changes nothing"), "{mode:?}: {}", outcome.message);
    }
    stage.rules.mode = Mode::Enforce;
    stage.store.disarm(&stage.place.account, stage.clock.now()).unwrap();
    assert!(stage.act(&step).await.message.contains("not armed"));
    // A Friday.
    stage.clock.advance_to(monday() + TimeDelta::days(95));
    assert_eq!(stage.act(&step).await.progress, Progress::Held);
    assert_eq!(stage.truth(&snapshot), "completed");
}

#[tokio::test]
async fn h05_an_expiry_survives_a_crash_at_every_point_without_a_second_call() {
    for point in WITHOUT_BACKUP {
        let (stage, _, snapshot) = Stage::with_a_backup_of(91).await;
        let step = stage.expiring().await.remove(0);
        assert!(die_at(&stage, &step, point).await, "{point} was not reached");
        let ends = stage.resume("run-2").await;
        if ends.is_empty() && stage.truth(&snapshot) != "gone" {
            stage.act(&step).await;
        }
        let lost = point == "J8.after";
        assert_eq!(stage.truth(&snapshot), if lost { "completed" } else { "gone" }, "{point}");
        assert_eq!(stage.deleted_snapshots().len(), usize::from(!lost), "{point}");
        assert_eq!(stage.frozen().is_some(), lost, "{point}");
    }
}

#[tokio::test]
async fn h01_nothing_expires_when_the_snapshots_cannot_be_listed_or_their_tags_are_missing() {
    let (stage, _, _) = Stage::with_a_backup_of(91).await;
    stage.fault("DescribeSnapshots", Effect::Throttle);
    let (reader, now) = (stage.cloud.reader(), stage.clock.now());
    assert!(expire::due(&stage.store, &reader, &stage.place, &[], expire::MOST_PER_RUN, now).await.is_err());

    let (stage, _, snapshot) = Stage::with_a_backup_of(91).await;
    let step = stage.expiring().await.remove(0);
    stage.fault("DescribeSnapshots", Effect::MissingTags);
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert_eq!(stage.truth(&snapshot), "completed");
}

#[tokio::test]
async fn h15_only_a_snapshot_expires() {
    let (stage, _, _) = Stage::with_a_backup_of(91).await;
    let expiry = stage.expiring().await.remove(0);
    for id in [INSTANCE, DATA] {
        let mut step = expiry.clone();
        let kind = if id == INSTANCE { Kind::Instance } else { Kind::Volume };
        step.key = stage.place.partition(kind).key(id);
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{id}: {}", outcome.message);
    }
    // A snapshot of somebody's, dressed as a step of ours.
    let theirs = plant::snapshot(stage.place.partition(Kind::Snapshot).key("snap-0theirs"), DATA, 8, monday());
    assert!(matches!(&theirs.resource.detail, Detail::Snapshot(own) if own.locked == Fact::Known(false)));
    stage.cloud.apply("ann", Change::Create(vec![theirs])).unwrap();
    let mut step = expiry.clone();
    step.key = stage.place.partition(Kind::Snapshot).key("snap-0theirs");
    assert_refused_expiry(&stage, &step, "no safety snapshot of ours").await;
    assert_eq!(stage.truth("snap-0theirs"), "completed");
}
