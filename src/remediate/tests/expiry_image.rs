//! The image of a termination and the end of its 90 days (H26), judged from the simulated account's own log.

use chrono::Datelike;

use super::*;
use crate::domain::fact::Fact;
use crate::domain::place::ResourceKey;
use crate::domain::resource::Image;
use crate::remediate::expire;

impl Stage {
    fn terminating() -> Stage {
        let mut stage = Stage::new().armed_for_years();
        stage.rules.switches.allow_auto_terminate = true;
        stage
    }

    /// A terminated instance, days later at ten o'clock inside the window: its act and its image.
    async fn with_a_termination_of(days: i64) -> (Stage, i64, ResourceKey) {
        let stage = Stage::terminating();
        let act = stage.acted(INSTANCE, Action::Terminate).await;
        let image = stage.row(act).image.unwrap().image.unwrap();
        let key = stage.place.partition(Kind::Image).key(&image);
        stage.clock.advance_to(monday() + TimeDelta::days(days));
        (stage, act, key)
    }

    fn ended(&self, operation: &str) -> Vec<(Instant, String)> {
        let calls = self.cloud.calls();
        let gone = calls.iter().filter(|call| call.operation == operation && call.effective);
        gone.map(|call| (call.at, call.target.clone().unwrap())).collect()
    }

    fn left(&self, kind: Kind) -> Vec<String> {
        let of_kind = |own: &&Resource| own.kind() == kind;
        self.cloud.truth(|truth| truth.resources().filter(of_kind).map(|own| own.key.id.to_string()).collect())
    }
}

fn ids(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| &*step.key.id).collect()
}

#[tokio::test]
async fn h26_after_a_year_of_terminations_every_image_and_then_its_snapshots_ended_in_time() {
    let stage = Stage::terminating();
    let mut made: BTreeMap<String, Instant> = BTreeMap::new();
    let (mut images, mut snapshots) = (0, 0);
    for day in 0..365_i64 {
        let now = monday() + TimeDelta::days(day);
        if now.weekday().num_days_from_monday() > 3 {
            continue;
        }
        stage.clock.advance_to(now);
        let place = &stage.place;
        let (id, disk) = (format!("i-0day{day}"), format!("vol-0day{day}"));
        let since = now - TimeDelta::days(30);
        let mut instance = plant::instance(place.partition(Kind::Instance).key(&id), "m5.large", since);
        let mut root = plant::volume(place.partition(Kind::Volume).key(&disk), "gp3", 8, since);
        plant::attach(&mut instance, &mut root, "/dev/xvda", true);
        stage.cloud.apply("ann", Change::Create(vec![instance, root])).unwrap();
        let step = stage.due_step(&id, Action::Terminate).await;
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run(&format!("run-{day}")));
        let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
        let end = stage.play(&remediator, first, &run).await;
        assert_eq!(end.progress, Progress::Ended(JournalState::Done), "day {day}: {}", end.message);
        let row = stage.row(end.id.unwrap());
        made.insert(row.image.unwrap().image.unwrap().to_string(), now);
        images += 1;
        for own in row.snapshots {
            made.insert(own.snapshot.unwrap().to_string(), now);
            snapshots += 1;
        }
        for end in stage.expire(&format!("run-{day}-e")).await {
            assert_eq!(end.progress, Progress::Ended(JournalState::Done), "day {day}: {}", end.message);
        }
    }
    // Friday to Sunday nothing is changed, and a snapshot waits one act slot for its image.
    for (operation, most, kind, number) in
        [("DeregisterImage", 95, Kind::Image, images), ("DeleteSnapshot", 99, Kind::Snapshot, snapshots)]
    {
        let gone = stage.ended(operation);
        for (at, id) in &gone {
            let age = *at - made[id];
            assert!(age > TimeDelta::days(90), "{id} went after {} days (I14)", age.num_days());
            assert!(age <= TimeDelta::days(most), "{id} was kept {} days", age.num_days());
        }
        let left = stage.left(kind);
        assert_eq!((number, gone.len() + left.len()), (209, 209), "{kind}: every one is there or went, once");
        assert!(left.len() <= 60, "{kind}: {} are left", left.len());
    }
    assert_eq!(stage.frozen(), None);
    stage.store.audit_verify(None).unwrap();
}

#[tokio::test]
async fn i14_an_image_goes_after_its_90_days_its_snapshots_after_it_and_an_undo_says_until_when() {
    use crate::remediate::undo::preview::preview;
    let (stage, act, image) = Stage::with_a_termination_of(89).await;
    assert_eq!(stage.expiring().await, []);
    let row = stage.row(act);
    let asked = row.snapshots[0].requested_at.unwrap();
    let reader = stage.cloud.reader();
    let told = preview(&stage.store, &reader, &stage.rules.guards, &stage.rules.prices, act, stage.clock.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(told.undoable.until, Some(asked + TimeDelta::days(90)), "until then it can be taken back");

    stage.clock.advance_to(monday() + TimeDelta::days(91));
    assert_eq!(ids(&stage.expiring().await), [&*image.id], "as long as it is there, EC2 keeps its snapshots");
    let finding = stage.store.finding(&row.step.finding).unwrap().unwrap();
    let ends = stage.expire("run-e").await;
    assert_eq!(ends[0].progress, Progress::Ended(JournalState::Done), "{}", ends[0].message);
    assert_eq!(stage.left(Kind::Image), Vec::<String>::new());
    let mut backed: Vec<String> = row.snapshots.iter().map(|own| own.snapshot.clone().unwrap().to_string()).collect();
    backed.sort();
    assert_eq!(stage.left(Kind::Snapshot), backed, "the image alone");

    stage.clock.advance_to(monday() + TimeDelta::days(92));
    let steps = stage.expiring().await;
    let mut due: Vec<&str> = ids(&steps);
    due.sort_unstable();
    assert_eq!(due, backed);
    stage.expire("run-f").await;
    assert_eq!((stage.left(Kind::Snapshot), stage.expiring().await), (vec![], vec![]));
    assert_eq!(stage.store.finding(&finding.id).unwrap().unwrap(), finding, "the finding is as it was");
    let events = stage.store.finding_events(&finding.id).unwrap();
    assert_eq!(events.iter().filter(|event| event.what == "backup_expired").count(), 3);
    let late =
        preview(&stage.store, &reader, &stage.rules.guards, &stage.rules.prices, act, stage.clock.now()).await.unwrap();
    assert!(late.unwrap_err().contains("was kept until"), "and then it says that it is over");
    let own = stage.store.remediations_of_finding(&finding.id).unwrap();
    let ended = own.iter().find(|row| row.step.act == crate::domain::finding::Act::ExpireImage).unwrap().id;
    let outcome = stage.undo(ended).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused));
    assert!(outcome.message.contains("its time was over"), "what ended by itself does not come back: {outcome:?}");
}

#[tokio::test]
async fn i14_the_gate_keeps_an_image_whose_mark_age_or_user_speaks_against_it() {
    type Edit = fn(&Stage, &ResourceKey);
    fn edit(stage: &Stage, image: &ResourceKey, change: impl FnOnce(&mut Image)) {
        stage.cloud.set_image(image, change);
    }
    let cases: [(&str, Edit, &str); 12] = [
        ("in a template", |stage, own| edit(stage, own, |own| own.user = Fact::Known("lt-0web".into())), "uses it"),
        (
            "an instance runs from it",
            |stage, own| {
                let key = stage.place.partition(Kind::Instance).key("i-0again");
                let again = plant::instance(key, "m5.large", monday());
                let again = again.with_instance(|instance| instance.image = Some(own.id.clone()));
                stage.cloud.apply("ann", Change::Create(vec![again])).unwrap();
            },
            "uses it",
        ),
        ("users unreadable", |stage, _| stage.fault("DescribeImageReferences", Effect::Deny), "not known"),
        ("sharing unreadable", |stage, _| stage.fault("DescribeImageAttribute", Effect::Throttle), "not known"),
        ("shared", |stage, own| edit(stage, own, |own| own.shared = Fact::Known(true)), "shared or protected"),
        ("protected by EC2", |stage, own| edit(stage, own, |own| own.protected = Fact::Known(true)), "protected"),
        (
            "launched lately",
            |stage, own| {
                let at = stage.clock.now() - TimeDelta::days(30);
                edit(stage, own, |own| own.launched = Fact::Known(at));
            },
            "launched from it lately",
        ),
        ("launches unknown", |stage, own| edit(stage, own, |own| own.launched = Fact::unknown("odd")), "or may"),
        (
            "made of more",
            |stage, own| {
                edit(stage, own, |own| {
                    own.snapshots = own.snapshots.iter().cloned().chain(["snap-0x".into()]).collect()
                })
            },
            "not made of",
        ),
        ("kept by its owner", |stage, own| stage.tag(&own.id, "costwarden:keep-until", "2027-12-31"), "keep-until"),
        ("kept by a tag", |stage, own| stage.tag(&own.id, "costwarden:protect", "true"), "protect refuses"),
        (
            "no mark",
            |stage, own| {
                let keys = vec!["costwarden:safety-snapshot".to_owned()];
                stage.cloud.apply("ann", Change::Untag { resource: own.id.to_string(), keys }).unwrap();
            },
            "no safety snapshot of ours",
        ),
    ];
    for (name, change, words) in cases {
        let (stage, _, image) = Stage::with_a_termination_of(91).await;
        let step = stage.expiring().await.remove(0);
        change(&stage, &image);
        let outcome = stage.act(&step).await;
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{name}: {}", outcome.message);
        assert!(outcome.message.contains(words), "{name}: {}", outcome.message);
        assert_eq!((stage.truth(&image.id).as_str(), stage.ended("DeregisterImage").len()), ("available", 0), "{name}");
        assert_eq!(stage.frozen(), None, "{name}: an ordinary refusal");
        assert_eq!(stage.expiring().await, [], "{name}: it is not tried every day");
        stage.clock.advance_to(stage.clock.now() + TimeDelta::days(7));
        let kept = ["no mark", "kept by its owner", "kept by a tag"].contains(&name);
        assert_eq!(stage.expiring().await.len(), usize::from(!kept), "{name}: but again");
    }
}

#[tokio::test]
async fn i14_a_young_image_and_one_that_names_another_act_stay() {
    let (old, _, _) = Stage::with_a_termination_of(91).await;
    let step = old.expiring().await.remove(0);
    let (young, _, image) = Stage::with_a_termination_of(87).await;
    let early = Step { key: image, ..step.clone() };
    super::expiry::assert_refused_expiry(&young, &early, "90 days are not over").await;

    // Somebody's image that looks like ours and names no act, one of a snapshot's act, and one of another state file.
    let volume = Stage::new().armed_for_years();
    let act = volume.acted(ORPHAN, Action::Terminate).await;
    let snapshot = volume.row(act).snapshots[0].snapshot.clone().unwrap();
    volume.clock.advance_to(monday() + TimeDelta::days(91));
    let state = volume.store.state_id().unwrap();
    for (id, name, words) in [
        ("ami-0none", format!("{state}-r999"), "no act of this state file"),
        ("ami-0other", format!("st-other-r{act}"), "no act of this state file"),
        ("ami-0act", format!("{state}-r{act}"), "made no such image"),
    ] {
        let key = volume.place.partition(Kind::Image).key(id);
        let image = plant::image(key.clone(), &name, &[&snapshot], monday() - TimeDelta::days(9));
        let image = image.tagged(&[("costwarden:safety-snapshot", "true")]);
        volume.cloud.apply("ann", Change::Create(vec![image])).unwrap();
        let mut dressed = step.clone();
        dressed.key = key;
        dressed.finding = volume.row(act).step.finding;
        super::expiry::assert_refused_expiry(&volume, &dressed, words).await;
        volume.cloud.apply("ann", Change::Delete(id.into())).unwrap();
    }
}

#[tokio::test]
async fn i14_an_image_that_an_undo_needs_just_now_stays() {
    let (stage, act, image) = Stage::with_a_termination_of(89).await;
    // The process dies before the launch of the undo.
    let (remediator, run) = (stage.remediator(Halt::failing_at("U8.after")), stage.run("run-u"));
    assert!(matches!(remediator.undo(&super::undo::wish(act), &run).await, Err(Interrupted::Halted(_))));
    stage.clock.advance_to(monday() + TimeDelta::days(91));
    let step = stage.expiring().await.remove(0);
    let outcome = stage.act(&step).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("being taken back"), "{}", outcome.message);
    assert_eq!(stage.truth(&image.id), "available");
}

#[tokio::test]
async fn h05_the_end_of_an_image_survives_a_crash_at_every_point_without_a_second_call() {
    for point in WITHOUT_BACKUP {
        let (stage, _, image) = Stage::with_a_termination_of(91).await;
        let step = stage.expiring().await.remove(0);
        assert!(die_at(&stage, &step, point).await, "{point} was not reached");
        let ends = stage.resume("run-2").await;
        if ends.is_empty() && stage.truth(&image.id) != "gone" {
            stage.act(&step).await;
        }
        let lost = point == "J8.after";
        assert_eq!(stage.truth(&image.id), if lost { "available" } else { "gone" }, "{point}");
        assert_eq!(stage.ended("DeregisterImage").len(), usize::from(!lost), "{point}");
        assert_eq!(stage.left(Kind::Snapshot).len(), 2, "{point}: its snapshots are another step");
        assert_eq!(stage.frozen().is_some(), lost, "{point}");
    }
}

#[tokio::test]
async fn h01_nothing_expires_when_the_images_cannot_be_listed_to_their_end() {
    let (stage, _, _) = Stage::with_a_termination_of(91).await;
    stage.fault("DescribeImages", Effect::Throttle);
    let (reader, now) = (stage.cloud.reader(), stage.clock.now());
    let due = expire::due(&stage.store, &reader, &stage.place, &[], expire::MOST_PER_RUN, now).await;
    assert!(due.is_err(), "without the images nobody can tell which snapshots are in use");
}

#[tokio::test]
async fn no_more_expire_in_a_run_than_there_is_room_for_and_images_come_first() {
    let (stage, _, image) = Stage::with_a_termination_of(91).await;
    let orphan = stage.snapshot_of_an_act_long_ago().await;
    let (reader, now) = (stage.cloud.reader(), stage.clock.now());
    for (room, wanted) in [(0, vec![]), (1, vec![&*image.id]), (2, vec![&*image.id, &*orphan])] {
        let due = expire::due(&stage.store, &reader, &stage.place, &[], room, now).await.unwrap();
        assert_eq!(ids(&due), wanted);
    }
}

impl Stage {
    /// One more snapshot of the act r-1 that no image is made of.
    async fn snapshot_of_an_act_long_ago(&self) -> String {
        let key = self.place.partition(Kind::Snapshot).key("snap-0more");
        let value = format!("{}-r1", self.store.state_id().unwrap());
        let tags = [("costwarden:safety-snapshot", "true"), (KEY_TAG, value.as_str())];
        let planted = plant::snapshot(key, DATA, 100, monday() - TimeDelta::days(400)).tagged(&tags);
        self.cloud.apply("ann", Change::Create(vec![planted])).unwrap();
        "snap-0more".to_owned()
    }
}
