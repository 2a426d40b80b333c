//! What a change does, and when it is refused.

use costwarden::cloud::{Call, CloudError, ErrorKind, ImageDisk, NewImage, NewInstance, NewVolume};
use costwarden::domain::place::{InstanceId, Kind, ResourceKey, SnapshotId, VolumeId};

use super::{Stage, look};

pub fn stop(instance: &ResourceKey) -> Call {
    Call::StopInstance { instance: InstanceId::new(&instance.id).unwrap() }
}

pub fn delete(volume: &ResourceKey) -> Call {
    Call::DeleteVolume { volume: VolumeId::new(&volume.id).unwrap() }
}

pub fn tag(resource: &ResourceKey, tags: &[(&str, &str)]) -> Call {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Call::CreateTags { resource: resource.clone(), tags }
}

pub fn snapshot(volume: &ResourceKey, tags: &[(&str, &str)]) -> Call {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Call::CreateSnapshot { volume: VolumeId::new(&volume.id).unwrap(), description: "costwarden backup".into(), tags }
}

pub fn start(instance: &ResourceKey) -> Call {
    Call::StartInstance { instance: InstanceId::new(&instance.id).unwrap() }
}

pub fn change_type(instance: &ResourceKey, to: &str) -> Call {
    Call::ModifyInstanceType { instance: InstanceId::new(&instance.id).unwrap(), to: to.into() }
}

pub fn terminate(instance: &ResourceKey) -> Call {
    Call::TerminateInstance { instance: InstanceId::new(&instance.id).unwrap() }
}

pub fn untag(resource: &ResourceKey, tags: &[(&str, &str)]) -> Call {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Call::DeleteTags { resource: resource.clone(), tags }
}

/// Kind and code of a refusal.
fn refusal(error: &CloudError) -> (ErrorKind, &str) {
    (error.kind, error.code.as_deref().unwrap_or(""))
}

pub async fn a_stop_is_observed_in_the_end(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let bystander = stage.make_instance(&place, "t3.micro", &[]).await;
    let answer = stage.act().execute(&place, &stop(&instance)).await.unwrap();
    assert!(!answer.request_id.is_empty(), "the journal keeps the request's id");
    assert!(answer.snapshots.is_empty());
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "stopped");
    assert_eq!(look(stage, &bystander).await.state(), "running");
}

pub async fn stopping_what_is_stopped_is_no_error(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.act().execute(&place, &stop(&instance)).await.unwrap();
    stage.settle().await;
    stage.act().execute(&place, &stop(&instance)).await.unwrap();
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "stopped");
}

pub async fn stop_protection_refuses(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.protect(&instance, true, false).await;
    let error = stage.act().execute(&place, &stop(&instance)).await.unwrap_err();
    assert_eq!(refusal(&error), (ErrorKind::Rejected, "OperationNotPermitted"), "{error}");
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "running");
}

pub async fn a_volume_in_use_is_not_deleted(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let volume = stage.make_volume(&place, "gp3", 10, &[]).await;
    stage.attach(&volume, &instance, "/dev/sdf").await;
    let error = stage.act().execute(&place, &delete(&volume)).await.unwrap_err();
    assert_eq!(refusal(&error), (ErrorKind::Rejected, "VolumeInUse"), "{error}");
    stage.settle().await;
    assert_eq!(look(stage, &volume).await.state(), "in-use");
}

pub async fn a_deleted_volume_is_gone_and_cannot_be_deleted_again(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 10, &[]).await;
    let bystander = stage.make_volume(&place, "gp2", 10, &[]).await;
    stage.act().execute(&place, &delete(&volume)).await.unwrap();
    stage.settle().await;
    assert_eq!(stage.read().describe(&volume).await.unwrap_err().kind, ErrorKind::NotFound);
    let again = stage.act().execute(&place, &delete(&volume)).await.unwrap_err();
    assert_eq!(refusal(&again), (ErrorKind::NotFound, "InvalidVolume.NotFound"), "{again}");
    assert_eq!(look(stage, &bystander).await.state(), "available");
}

pub async fn permission_asked_is_nothing_done(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let volume = stage.make_volume(&place, "gp2", 10, &[("owner", "a@company.com")]).await;
    let before = super::ids(stage, &place, Kind::Snapshot).await;
    let all_volumes = Call::CreateSnapshots {
        instance: InstanceId::new(&instance.id).unwrap(),
        description: "costwarden backup".into(),
        tags: Vec::new(),
    };
    let (change, end) = (change_type(&instance, "t3.small"), terminate(&instance));
    for call in [
        stop(&instance),
        delete(&volume),
        tag(&volume, &[("new", "1")]),
        snapshot(&volume, &[]),
        all_volumes,
        change,
        end,
    ] {
        stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    }
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "running");
    let untouched = look(stage, &volume).await;
    assert_eq!((untouched.state(), untouched.tags.known().unwrap().len()), ("available", 1));
    assert_eq!(super::ids(stage, &place, Kind::Snapshot).await, before);
}

pub async fn acting_on_what_does_not_exist_is_not_found(stage: &dyn Stage) {
    let place = stage.place();
    let instance = place.partition(Kind::Instance).key("i-0123456789abcdef0");
    let volume = place.partition(Kind::Volume).key("vol-0123456789abcdef0");
    for (call, code) in [
        (stop(&instance), "InvalidInstanceID.NotFound"),
        (change_type(&instance, "t3.small"), "InvalidInstanceID.NotFound"),
        (terminate(&instance), "InvalidInstanceID.NotFound"),
        (delete(&volume), "InvalidVolume.NotFound"),
        (snapshot(&volume, &[]), "InvalidVolume.NotFound"),
    ] {
        let error = stage.act().execute(&place, &call).await.unwrap_err();
        assert_eq!(refusal(&error), (ErrorKind::NotFound, code), "{call}: {error}");
    }
    let error = stage.act().execute(&place, &tag(&volume, &[("a", "b")])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

pub async fn new_tags_leave_the_others(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 10, &[("owner", "a@company.com"), ("Name", "x")]).await;
    stage.act().execute(&place, &tag(&volume, &[("environment", "sandbox"), ("costwarden:a", "1")])).await.unwrap();
    stage.settle().await;
    assert_eq!(
        look(stage, &volume).await.tags.known().unwrap().iter().collect::<Vec<_>>(),
        [("Name", "x"), ("costwarden:a", "1"), ("environment", "sandbox"), ("owner", "a@company.com")]
    );
}

pub async fn the_fifty_first_tag_is_refused_and_none_is_added(stage: &dyn Stage) {
    let place = stage.place();
    let names: Vec<String> = (0..49).map(|number| format!("key-{number:02}")).collect();
    let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let volume = stage.make_volume(&place, "gp2", 10, &tags).await;
    let error = stage.act().execute(&place, &tag(&volume, &[("one", "1"), ("two", "2")])).await.unwrap_err();
    assert_eq!(refusal(&error), (ErrorKind::Rejected, "TagLimitExceeded"), "{error}");
    assert_eq!(look(stage, &volume).await.tags.known().unwrap().len(), 49);
    stage.act().execute(&place, &tag(&volume, &[("one", "1")])).await.unwrap();
    stage.settle().await;
    assert_eq!(look(stage, &volume).await.tags.known().unwrap().len(), 50);
}

pub async fn ids_of_another_kind_cannot_be_built(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let volume = stage.make_volume(&place, "gp2", 10, &[]).await;
    assert!(VolumeId::new(&instance.id).is_err());
    assert!(InstanceId::new(&volume.id).is_err());
    assert!(SnapshotId::new(&volume.id).is_err());
    // A key with a foreign id can be written down; reading it never answers with a resource.
    let crossed = place.partition(Kind::Volume).key(&instance.id);
    let error = stage.read().describe(&crossed).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Rejected | ErrorKind::NotFound), "{error}");
}

pub async fn a_stopped_instance_starts_again(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[("owner", "a@company.com")]).await;
    let before = look(stage, &instance).await;
    stage.act().execute(&place, &stop(&instance)).await.unwrap();
    stage.settle().await;
    let answer = stage.act().execute(&place, &start(&instance)).await.unwrap();
    assert!(!answer.request_id.is_empty());
    stage.settle().await;
    let after = look(stage, &instance).await;
    assert_eq!((after.state(), after.tag("owner")), ("running", Some("a@company.com")));
    let (before, after) = (before.instance().unwrap(), after.instance().unwrap());
    assert_eq!((&after.instance_type, &after.volumes), (&before.instance_type, &before.volumes));
    // Starting what runs is no error.
    stage.act().execute(&place, &start(&instance)).await.unwrap();
}

pub async fn a_volume_comes_back_from_its_snapshot_with_its_size_type_zone_and_tags(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp3", 10, &[]).await;
    let old = look(stage, &volume).await.volume().unwrap().clone();
    let answer = stage.act().execute(&place, &snapshot(&volume, &[])).await.unwrap();
    stage.settle().await;
    stage.act().execute(&place, &delete(&volume)).await.unwrap();
    stage.settle().await;
    let new = NewVolume {
        snapshot: answer.snapshots[0].1.clone(),
        zone: old.zone.to_string(),
        volume_type: "gp3".into(),
        size_gib: 10,
        iops: Some(4_000),
        throughput: Some(200),
        encrypted: false,
        kms_key: None,
        tags: vec![("Name".into(), "again".into())],
        token: "st-0123456789abcdef-r1-undo".into(),
    };
    let call = Call::CreateVolume(Box::new(new));
    stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    let answer = stage.act().execute(&place, &call).await.unwrap();
    let made = place.partition(Kind::Volume).key(answer.volume.expect("the answer names it").as_str());
    stage.settle().await;
    let made = look(stage, &made).await;
    let volume = made.volume().unwrap();
    assert_eq!((made.state(), made.tag("Name")), ("available", Some("again")));
    assert_eq!((volume.size_gib, &*volume.volume_type, &volume.zone), (10, "gp3", &old.zone));
    assert_eq!((volume.iops, volume.throughput), (Some(4_000), Some(200)));
}

pub async fn a_tag_goes_only_while_it_has_the_value_named(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 10, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    stage.act().execute(&place, &untag(&volume, &[("a", "1"), ("b", "other")])).await.unwrap();
    stage.settle().await;
    assert_eq!(look(stage, &volume).await.tags.known().unwrap().iter().collect::<Vec<_>>(), [("b", "2"), ("c", "3")]);
}

pub async fn a_stopped_instance_gets_another_type_and_keeps_the_rest(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[("owner", "a@company.com")]).await;
    let before = look(stage, &instance).await;
    stage.act().execute(&place, &stop(&instance)).await.unwrap();
    stage.settle().await;
    let answer = stage.act().execute(&place, &change_type(&instance, "t3.small")).await.unwrap();
    assert!(!answer.request_id.is_empty());
    stage.settle().await;
    let after = look(stage, &instance).await;
    assert_eq!((after.state(), after.tag("owner")), ("stopped", Some("a@company.com")));
    let (before, after) = (before.instance().unwrap(), after.instance().unwrap());
    assert_eq!((&*before.instance_type, &*after.instance_type), ("t3.micro", "t3.small"));
    assert_eq!(after.volumes, before.volumes);
}

pub async fn a_terminated_instance_is_seen_as_such_and_another_lives(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let bystander = stage.make_instance(&place, "t3.micro", &[]).await;
    let answer = stage.act().execute(&place, &terminate(&instance)).await.unwrap();
    assert!(!answer.request_id.is_empty());
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "terminated");
    assert_eq!(look(stage, &bystander).await.state(), "running");
}

pub async fn termination_protection_refuses(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.protect(&instance, false, true).await;
    let error = stage.act().execute(&place, &terminate(&instance)).await.unwrap_err();
    assert_eq!(refusal(&error), (ErrorKind::Rejected, "OperationNotPermitted"), "{error}");
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "running");
}

pub async fn an_instance_is_launched_from_an_image_of_snapshots(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let launch = stage.read().launch(&instance).await.unwrap();
    let attached = look(stage, &instance).await.instance().unwrap().volumes.clone();
    let call = Call::CreateSnapshots {
        instance: InstanceId::new(&instance.id).unwrap(),
        description: "costwarden backup".into(),
        tags: Vec::new(),
    };
    let snapshots = stage.act().execute(&place, &call).await.unwrap().snapshots;
    stage.settle().await;
    let disks = attached.iter().map(|own| {
        let (_, snapshot) = snapshots.iter().find(|(volume, _)| volume.as_str() == &*own.volume).unwrap();
        ImageDisk {
            device: own.device.to_string(),
            snapshot: snapshot.clone(),
            volume_type: "gp3".into(),
            size_gib: 30,
            iops: None,
            throughput: None,
            delete_on_termination: true,
        }
    });
    let image = NewImage {
        name: "st-0123456789abcdef-r1".into(),
        description: "pre-deletion".into(),
        architecture: launch.architecture.to_string(),
        ena: true,
        boot_mode: None,
        root_device: launch.root_device.to_string(),
        disks: disks.collect(),
        tags: Vec::new(),
    };
    let call = Call::RegisterImage(Box::new(image));
    stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    let image = stage.act().execute(&place, &call).await.unwrap().image.expect("the answer names it");
    stage.settle().await;
    let shown = look(stage, &place.partition(Kind::Image).key(image.as_str())).await;
    assert_eq!((shown.state(), &*shown.image().unwrap().name), ("available", "st-0123456789abcdef-r1"));
    let new = NewInstance {
        image,
        instance_type: "t3.micro".into(),
        subnet: launch.subnet.as_deref().expect("it has a subnet").to_owned(),
        security_groups: launch.security_groups.iter().map(ToString::to_string).collect(),
        profile: None,
        key_name: None,
        ebs_optimized: false,
        monitoring: false,
        placement_group: None,
        metadata: None,
        tags: vec![("Name".into(), "again".into())],
        token: "st-0123456789abcdef-r1-undo".into(),
    };
    let call = Call::RunInstance(Box::new(new));
    stage.act().permitted(&place, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    let made = stage.act().execute(&place, &call).await.unwrap().instance.expect("the answer names it");
    stage.settle().await;
    let made = look(stage, &place.partition(Kind::Instance).key(made.as_str())).await;
    assert_eq!((made.state(), made.tag("Name")), ("running", Some("again")));
    let (old, new) = (look(stage, &instance).await, made.instance().unwrap());
    assert_eq!((&*new.instance_type, &new.zone), ("t3.micro", &old.instance().unwrap().zone));
}
