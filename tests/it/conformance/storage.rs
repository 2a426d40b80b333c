//! Volumes changed in place, addresses released and had back, snapshots deleted.

use costwarden::cloud::{Call, ErrorKind, WantedAddress};
use costwarden::domain::fact::Fact;
use costwarden::domain::place::{AddressId, ImageId, Kind, ResourceKey, SnapshotId, VolumeId};
use costwarden::domain::resource::Resource;

use super::{Stage, look};

fn modify(volume: &ResourceKey, iops: Option<u32>, throughput: Option<u32>) -> Call {
    Call::ModifyVolume { volume: VolumeId::new(&volume.id).unwrap(), volume_type: "gp3".into(), iops, throughput }
}

fn release(address: &ResourceKey) -> Call {
    Call::ReleaseAddress { address: AddressId::new(&address.id).unwrap() }
}

fn delete(snapshot: &ResourceKey) -> Call {
    Call::DeleteSnapshot { snapshot: SnapshotId::new(&snapshot.id).unwrap() }
}

/// A single read with its particulars.
async fn look_closely(stage: &dyn Stage, key: &ResourceKey) -> Resource {
    let mut resource = look(stage, key).await;
    stage.read().particulars(&mut resource).await;
    resource
}

pub async fn a_gp2_volume_becomes_gp3_in_place_and_says_when(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 100, &[("owner", "a@company.com")]).await;
    let bystander = stage.make_volume(&place, "gp2", 100, &[]).await;
    assert!(look(stage, &volume).await.volume().unwrap().modification.is_unknown(), "a plain read does not ask");
    assert_eq!(look_closely(stage, &volume).await.volume().unwrap().modification, Fact::Absent);
    let answer = stage.act().execute(&place, &modify(&volume, Some(4_000), Some(200))).await.unwrap();
    assert!(!answer.request_id.is_empty());
    stage.settle().await;
    let changed = look_closely(stage, &volume).await;
    let own = changed.volume().unwrap();
    assert_eq!((&*own.volume_type, own.size_gib, own.iops), ("gp3", 100, Some(4_000)));
    assert_eq!((changed.state(), changed.tag("owner")), ("available", Some("a@company.com")));
    let last = own.modification.known().expect("it is on record");
    assert!(matches!(&*last.state, "modifying" | "optimizing" | "completed"), "{}", last.state);
    assert!((stage.now() - last.begun).num_hours().abs() < 24, "{}", last.begun);
    let own = look_closely(stage, &bystander).await;
    assert_eq!(&*own.volume().unwrap().volume_type, "gp2");
    assert_eq!(own.volume().unwrap().modification, Fact::Absent, "a neighbour's change is not its own");
}

pub async fn a_released_address_is_gone_and_is_had_back_by_its_number(stage: &dyn Stage) {
    let place = stage.place();
    let address = stage.make_address(&place, None).await;
    let bystander = stage.make_address(&place, None).await;
    let ip = look(stage, &address).await.address().unwrap().public_ip.to_string();
    stage.act().execute(&place, &release(&address)).await.unwrap();
    stage.settle().await;
    assert_eq!(stage.read().describe(&address).await.unwrap_err().kind, ErrorKind::NotFound);
    let again = stage.act().execute(&place, &release(&address)).await.unwrap_err();
    assert_eq!((again.kind, again.code.as_deref()), (ErrorKind::NotFound, Some("InvalidAllocationID.NotFound")));
    look(stage, &bystander).await;

    let wanted = WantedAddress {
        public_ip: ip.clone(),
        pool: None,
        border_group: None,
        tags: vec![("Name".into(), "again".into())],
    };
    let call = Call::AllocateAddress(Box::new(wanted));
    stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    let answer = stage.act().execute(&place, &call).await.unwrap();
    let back = place.partition(Kind::Address).key(answer.address.expect("the answer names it").as_str());
    stage.settle().await;
    assert_ne!(back, address);
    let back = look(stage, &back).await;
    assert_eq!((&*back.address().unwrap().public_ip, back.tag("Name")), (ip.as_str(), Some("again")));
}

pub async fn a_deleted_snapshot_is_gone_and_cannot_be_deleted_again(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp3", 8, &[]).await;
    let snapshot = stage.make_snapshot(&volume).await;
    let bystander = stage.make_snapshot(&volume).await;
    stage.act().execute(&place, &delete(&snapshot)).await.unwrap();
    stage.settle().await;
    assert_eq!(stage.read().describe(&snapshot).await.unwrap_err().kind, ErrorKind::NotFound);
    let again = stage.act().execute(&place, &delete(&snapshot)).await.unwrap_err();
    assert_eq!((again.kind, again.code.as_deref()), (ErrorKind::NotFound, Some("InvalidSnapshot.NotFound")));
    assert_eq!(look(stage, &bystander).await.state(), "completed");
}

pub async fn a_snapshot_says_which_image_it_is_part_of_and_then_stays(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let image = stage.make_image(&instance, "web").await;
    let part = look(stage, &image).await.image().unwrap().snapshots[0].clone();
    let part = place.partition(Kind::Snapshot).key(&part);
    let volume = stage.make_volume(&place, "gp3", 8, &[]).await;
    let free = stage.make_snapshot(&volume).await;
    assert!(look(stage, &part).await.snapshot().unwrap().image.is_unknown(), "a plain read does not ask");
    assert_eq!(look_closely(stage, &part).await.snapshot().unwrap().image, Fact::Known(image.id.clone()));
    assert_eq!(look_closely(stage, &free).await.snapshot().unwrap().image, Fact::Absent);
    let error = stage.act().execute(&place, &delete(&part)).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Rejected, Some("InvalidSnapshot.InUse")), "{error}");
    assert_eq!(look(stage, &part).await.state(), "completed");
}

pub async fn a_deregistered_image_is_gone_and_lets_its_snapshots_go(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let image = stage.make_image(&instance, "web").await;
    let bystander = stage.make_image(&instance, "db").await;
    let part = look(stage, &image).await.image().unwrap().snapshots[0].clone();
    let part = place.partition(Kind::Snapshot).key(&part);
    // The session of this call reaches only what carries our mark.
    let tags = vec![("costwarden:safety-snapshot".to_owned(), "true".to_owned())];
    stage.act().execute(&place, &Call::CreateTags { resource: image.clone(), tags }).await.unwrap();
    stage.settle().await;
    let call = Call::DeregisterImage { image: ImageId::new(&image.id).unwrap() };
    stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    assert_eq!(look(stage, &image).await.state(), "available", "asked, not done");
    stage.act().execute(&place, &call).await.unwrap();
    stage.settle().await;
    assert_eq!(stage.read().describe(&image).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(look(stage, &part).await.state(), "completed", "its snapshots stay");
    stage.act().execute(&place, &delete(&part)).await.unwrap();
    stage.settle().await;
    assert_eq!(stage.read().describe(&part).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(look(stage, &bystander).await.state(), "available");
}

pub async fn permission_to_change_storage_is_asked_without_changing_it(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 100, &[]).await;
    let address = stage.make_address(&place, None).await;
    let snapshot = stage.make_snapshot(&volume).await;
    for call in [modify(&volume, None, Some(128)), release(&address), delete(&snapshot)] {
        stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    }
    stage.settle().await;
    assert_eq!(&*look(stage, &volume).await.volume().unwrap().volume_type, "gp2");
    look(stage, &address).await;
    assert_eq!(look(stage, &snapshot).await.state(), "completed");
}
