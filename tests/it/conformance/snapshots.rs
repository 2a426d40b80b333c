//! Backups: what a snapshot call promises and when a snapshot may be relied on.

use std::collections::BTreeSet;

use costwarden::cloud::Call;
use costwarden::domain::fact::Fact;
use costwarden::domain::place::{InstanceId, Kind};

use super::acting::snapshot;
use super::{Stage, look, new_ids};

const OURS: (&str, &str) = ("costwarden:action", "act-1");

pub async fn a_snapshot_is_pending_and_then_completed(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 10, &[]).await;
    let answer = stage.act().execute(&place, &snapshot(&volume, &[OURS])).await.unwrap();
    let [(source, made)] = &answer.snapshots[..] else { panic!("one snapshot: {:?}", answer.snapshots) };
    assert_eq!(source.as_str(), &*volume.id);
    let key = place.partition(Kind::Snapshot).key(made.as_str());
    assert_eq!(look(stage, &key).await.state(), "pending");
    stage.settle().await;
    let done = look(stage, &key).await;
    assert_eq!(done.state(), "completed");
    assert_eq!(done.snapshot().unwrap().progress, Fact::Known(100));
    assert_eq!(look(stage, &volume).await.state(), "available", "the source is as it was");
}

pub async fn a_snapshot_carries_its_tags_and_is_found_by_them(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 10, &[]).await;
    let tags = [OURS, ("costwarden:source", "nightly"), ("owner", "a@company.com")];
    let mine = stage.act().execute(&place, &snapshot(&volume, &tags)).await.unwrap().snapshots.remove(0).1;
    stage.act().execute(&place, &snapshot(&volume, &[(OURS.0, "act-2")])).await.unwrap();
    stage.act().execute(&place, &snapshot(&volume, &[("other", OURS.1)])).await.unwrap();

    // Found while it is still pending: that is when a crash would make us look for it.
    let found = stage.read().snapshots_tagged(&place, OURS.0, OURS.1).await.unwrap();
    assert_eq!(found.iter().map(|one| one.key.id.to_string()).collect::<Vec<_>>(), [mine.to_string()]);
    assert_eq!(
        found[0].tags.known().unwrap().iter().collect::<Vec<_>>(),
        [OURS, ("costwarden:source", "nightly"), ("owner", "a@company.com")]
    );
    assert!(stage.read().snapshots_tagged(&place, OURS.0, "act-3").await.unwrap().is_empty());
    assert!(stage.read().snapshots_tagged(&stage.other_region(), OURS.0, OURS.1).await.unwrap().is_empty());
}

pub async fn a_snapshot_knows_its_source(stage: &dyn Stage) {
    let place = stage.place();
    let before = super::ids(stage, &place, Kind::Snapshot).await;
    let volume = stage.make_volume(&place, "gp3", 33, &[]).await;
    let made = stage.act().execute(&place, &snapshot(&volume, &[])).await.unwrap().snapshots.remove(0).1;
    stage.settle().await;
    assert_eq!(new_ids(stage, &place, Kind::Snapshot, &before).await, [made.to_string()]);
    let resource = look(stage, &place.partition(Kind::Snapshot).key(made.as_str())).await;
    assert!(resource.created_at.known().is_some());
    let snapshot = resource.snapshot().unwrap();
    assert_eq!((&*snapshot.volume, snapshot.volume_size_gib), (&*volume.id, 33));
    assert_eq!((&*snapshot.storage_tier, &*snapshot.description), ("standard", "costwarden backup"));
}

pub async fn all_attached_volumes_are_snapshotted_in_one_call(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    for device in ["/dev/sdf", "/dev/sdg"] {
        let volume = stage.make_volume(&place, "gp3", 10, &[]).await;
        stage.attach(&volume, &instance, device).await;
    }
    stage.make_volume(&place, "gp3", 10, &[("Name", "not attached")]).await;
    let host = look(stage, &instance).await;
    let attached: BTreeSet<String> =
        host.instance().unwrap().volumes.iter().map(|attached| attached.volume.to_string()).collect();
    assert_eq!(attached.len(), 3, "root and two more");

    let call = Call::CreateSnapshots {
        instance: InstanceId::new(&instance.id).unwrap(),
        description: "costwarden backup".into(),
        tags: vec![(OURS.0.to_owned(), OURS.1.to_owned())],
    };
    let answer = stage.act().execute(&place, &call).await.unwrap();
    let sources: Vec<String> = answer.snapshots.iter().map(|(volume, _)| volume.to_string()).collect();
    assert_eq!(sources.len(), 3, "one of each: {sources:?}");
    assert_eq!(sources.into_iter().collect::<BTreeSet<_>>(), attached);
    stage.settle().await;
    let found = stage.read().snapshots_tagged(&place, OURS.0, OURS.1).await.unwrap();
    assert_eq!(
        found.iter().map(|one| one.key.id.to_string()).collect::<BTreeSet<_>>(),
        answer.snapshots.iter().map(|(_, snapshot)| snapshot.to_string()).collect()
    );
    assert!(found.iter().all(|one| one.state() == "completed"));
}
