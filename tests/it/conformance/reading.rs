//! What a reader is told.

use chrono::TimeDelta;
use costwarden::cloud::{ErrorKind, read_partition};
use costwarden::domain::fact::Fact;
use costwarden::domain::place::Kind;
use costwarden::domain::resource::{InstanceState, Lifecycle};

use super::{Stage, all, ids, look, new_ids, sorted};

pub async fn an_empty_partition_is_one_empty_page(stage: &dyn Stage) {
    let volumes = stage.other_region().partition(Kind::Volume);
    let page = stage.read().list(&volumes, None).await.unwrap();
    assert!(page.resources.is_empty());
    assert_eq!(page.next, None);
}

pub async fn small_pages_bring_every_resource_once(stage: &dyn Stage) {
    let place = stage.place();
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(stage.make_instance(&place, "t3.micro", &[]).await);
    }
    let mut seen = Vec::new();
    let instances = place.partition(Kind::Instance);
    let (pages, error) = read_partition(stage.read(), &instances, |page| seen.extend(page)).await;
    assert_eq!(error, None);
    assert!(pages >= 2, "small pages were asked for");
    assert_eq!(pages, stage.pages(Kind::Instance, 7));
    assert_eq!(seen.len(), 7, "none twice");
    assert_eq!(sorted(&seen.into_iter().map(|resource| resource.key).collect::<Vec<_>>()), sorted(&made));
}

pub async fn what_does_not_exist_is_not_found(stage: &dyn Stage) {
    for (kind, id) in [
        (Kind::Instance, "i-0123456789abcdef0"),
        (Kind::Volume, "vol-0123456789abcdef0"),
        (Kind::Snapshot, "snap-0123456789abcdef0"),
        (Kind::Address, "eipalloc-0123456789abcdef0"),
        (Kind::Image, "ami-0123456789abcdef0"),
    ] {
        let error = stage.read().describe(&stage.place().partition(kind).key(id)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.definite());
    }
}

pub async fn an_instance_is_read_with_its_particulars(stage: &dyn Stage) {
    let place = stage.place();
    let key = stage.make_instance(&place, "m5.large", &[("Name", "web")]).await;
    for resource in [look(stage, &key).await, all(stage, &place, Kind::Instance).await.remove(0)] {
        assert_eq!(resource.key, key);
        assert_eq!(resource.name(), "web");
        let launched = *resource.created_at.known().expect("EC2 tells when an instance was launched");
        assert!(launched <= stage.now() + TimeDelta::minutes(1), "{launched} is in the future");
        let instance = resource.instance().unwrap();
        assert_eq!(instance.state, InstanceState::Running);
        assert_eq!(&*instance.instance_type, "m5.large");
        assert!(instance.zone.starts_with(place.region.as_str()), "{}", instance.zone);
        assert_eq!(instance.lifecycle, Lifecycle::OnDemand);
        assert_eq!(instance.volumes.len(), 1, "its root volume");
        assert_eq!(instance.instance_store.known(), Some(&false));
    }
}

pub async fn a_volume_is_read_with_its_particulars(stage: &dyn Stage) {
    let place = stage.place();
    let key = stage.make_volume(&place, "gp3", 80, &[("Name", "data")]).await;
    for resource in [look(stage, &key).await, all(stage, &place, Kind::Volume).await.remove(0)] {
        assert_eq!(resource.key, key);
        assert_eq!(resource.name(), "data");
        assert!(resource.created_at.known().is_some_and(|created| *created <= stage.now() + TimeDelta::minutes(1)));
        let volume = resource.volume().unwrap();
        assert_eq!((&*volume.state, volume.size_gib, &*volume.volume_type), ("available", 80, "gp3"));
        assert!(volume.zone.starts_with(place.region.as_str()), "{}", volume.zone);
    }
}

pub async fn tags_come_sorted_and_whole(stage: &dyn Stage) {
    let pairs = [("owner", "a@company.com"), ("Name", "x"), ("cost-center", "CC-001234"), ("empty", "")];
    let key = stage.make_volume(&stage.place(), "gp2", 1, &pairs).await;
    let listed = all(stage, &stage.place(), Kind::Volume).await.remove(0);
    for resource in [look(stage, &key).await, listed] {
        let tags = resource.tags.known().expect("tags were read");
        assert_eq!(
            tags.iter().collect::<Vec<_>>(),
            [("Name", "x"), ("cost-center", "CC-001234"), ("empty", ""), ("owner", "a@company.com")]
        );
    }
}

pub async fn protection_is_known_to_a_single_read_and_unknown_to_a_listing(stage: &dyn Stage) {
    let place = stage.place();
    let open = stage.make_instance(&place, "t3.micro", &[]).await;
    let shut = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.protect(&shut, true, true).await;
    for (key, on) in [(&open, false), (&shut, true)] {
        let fresh = look(stage, key).await;
        let instance = fresh.instance().unwrap();
        assert_eq!(instance.stop_protected, Fact::Known(on), "{key}");
        assert_eq!(instance.termination_protected, Fact::Known(on), "{key}");
    }
    for listed in all(stage, &place, Kind::Instance).await {
        let instance = listed.instance().unwrap();
        assert!(instance.stop_protected.is_unknown() && instance.termination_protected.is_unknown());
    }
}

pub async fn an_attachment_is_seen_from_both_sides(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let volume = stage.make_volume(&place, "gp3", 10, &[]).await;
    stage.attach(&volume, &instance, "/dev/sdf").await;

    let host = look(stage, &instance).await;
    let mounted = host.instance().unwrap().volumes.iter().find(|attached| attached.volume == volume.id).cloned();
    let mounted = mounted.expect("the instance names the volume");
    assert_eq!((&*mounted.device, mounted.delete_on_termination), ("/dev/sdf", false));

    let disk = look(stage, &volume).await;
    let disk = disk.volume().unwrap();
    assert_eq!(&*disk.state, "in-use");
    let [attachment] = &*disk.attachments else { panic!("exactly one attachment: {:?}", disk.attachments) };
    assert_eq!((&attachment.instance, &*attachment.device), (&instance.id, "/dev/sdf"));
    assert_eq!(&*attachment.state, "attached");
}

pub async fn an_unattached_volume_has_no_attachment(stage: &dyn Stage) {
    let key = stage.make_volume(&stage.place(), "gp2", 10, &[]).await;
    let resource = look(stage, &key).await;
    let volume = resource.volume().unwrap();
    assert_eq!((&*volume.state, volume.attachments.len()), ("available", 0));
}

pub async fn an_address_says_whether_something_uses_it(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let used = stage.make_address(&place, Some(&instance)).await;
    let free = stage.make_address(&place, None).await;
    let seen = all(stage, &place, Kind::Address).await;
    assert_eq!(
        sorted(&seen.iter().map(|one| one.key.clone()).collect::<Vec<_>>()),
        sorted(&[used.clone(), free.clone()])
    );
    for resource in seen {
        let address = resource.address().unwrap();
        assert!(address.public_ip.parse::<std::net::Ipv4Addr>().is_ok(), "{}", address.public_ip);
        let in_use = resource.key == used;
        assert_eq!(address.association.is_some(), in_use, "{}", resource.key);
        assert_eq!(address.instance.as_ref(), in_use.then_some(&instance.id), "{}", resource.key);
    }
    assert_eq!(look(stage, &free).await.address().unwrap().association, None);
}

pub async fn an_image_names_its_snapshots(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let before = ids(stage, &place, Kind::Image).await;
    let image = stage.make_image(&instance, "golden").await;
    assert_eq!(new_ids(stage, &place, Kind::Image, &before).await, sorted(std::slice::from_ref(&image)));
    let resource = look(stage, &image).await;
    let image = resource.image().unwrap();
    assert_eq!((&*image.name, &*image.state), ("golden", "available"));
    assert!(!image.snapshots.is_empty(), "an image of an EBS-backed instance has a snapshot");
    let snapshots = ids(stage, &place, Kind::Snapshot).await;
    for snapshot in &image.snapshots {
        assert!(snapshots.contains(&**snapshot), "{snapshot} is listed as an own snapshot");
    }
}

pub async fn only_own_snapshots_are_listed(stage: &dyn Stage) {
    let place = stage.place();
    let before = ids(stage, &place, Kind::Snapshot).await;
    let volume = stage.make_volume(&place, "gp2", 5, &[]).await;
    let own = stage.make_snapshot(&volume).await;
    stage.make_foreign_snapshot(&place).await;
    assert_eq!(new_ids(stage, &place, Kind::Snapshot, &before).await, [own.id.to_string()]);
}

pub async fn the_credentials_say_whose_they_are(stage: &dyn Stage) {
    for place in [stage.place(), stage.other_account()] {
        let reading = stage.read().identity(&place.account).await.unwrap();
        let acting = stage.act().acting_as(&place.account).await.unwrap();
        for identity in [reading, acting] {
            assert_eq!(identity.account, place.account);
            assert!(identity.arn.contains(place.account.as_str()), "{}", identity.arn);
        }
    }
}

pub async fn two_accounts_do_not_see_each_other(stage: &dyn Stage) {
    let (here, there) = (stage.place(), stage.other_account());
    assert_ne!(here.account, there.account);
    let mine = stage.make_volume(&here, "gp2", 5, &[]).await;
    let theirs = stage.make_volume(&there, "gp2", 6, &[]).await;
    assert_eq!(ids(stage, &here, Kind::Volume).await.into_iter().collect::<Vec<_>>(), [mine.id.to_string()]);
    assert_eq!(ids(stage, &there, Kind::Volume).await.into_iter().collect::<Vec<_>>(), [theirs.id.to_string()]);
    let across = here.partition(Kind::Volume).key(&theirs.id);
    assert_eq!(stage.read().describe(&across).await.unwrap_err().kind, ErrorKind::NotFound);
}

pub async fn two_regions_do_not_see_each_other(stage: &dyn Stage) {
    let (here, there) = (stage.place(), stage.other_region());
    assert_ne!(here.region, there.region);
    let mine = stage.make_volume(&here, "gp2", 5, &[]).await;
    let theirs = stage.make_volume(&there, "gp2", 6, &[]).await;
    assert_eq!(ids(stage, &here, Kind::Volume).await.into_iter().collect::<Vec<_>>(), [mine.id.to_string()]);
    assert_eq!(ids(stage, &there, Kind::Volume).await.into_iter().collect::<Vec<_>>(), [theirs.id.to_string()]);
    let across = here.partition(Kind::Volume).key(&theirs.id);
    assert_eq!(stage.read().describe(&across).await.unwrap_err().kind, ErrorKind::NotFound);
}

pub async fn every_request_is_counted(stage: &dyn Stage) {
    let count = |operation: &str| {
        let rows = stage.read().requests();
        rows.iter().filter(|row| row.operation == operation).map(|row| row.count).sum::<u64>()
    };
    let place = stage.place();
    for _ in 0..3 {
        stage.make_instance(&place, "t3.micro", &[]).await;
    }
    let (instances, volumes) = (count("DescribeInstances"), count("DescribeVolumes"));
    all(stage, &place, Kind::Instance).await;
    assert_eq!(count("DescribeInstances") - instances, u64::from(stage.pages(Kind::Instance, 3)));
    assert_eq!(count("DescribeVolumes"), volumes, "nothing else was asked");
}

pub async fn a_launch_and_a_type_are_told_for_prechecks(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    let launch = stage.read().launch(&instance).await.unwrap();
    assert_eq!((&*launch.architecture, launch.interfaces, &*launch.tenancy), ("x86_64", 1, "default"));
    assert!(launch.subnet.is_some() && !launch.root_device.is_empty());
    assert!(!launch.product_codes && launch.profile.is_none());
    let zone = look(stage, &instance).await.instance().unwrap().zone.clone();
    let facts = stage.read().type_facts(&place, &zone, "m5.large").await.unwrap();
    assert_eq!((&*facts.hypervisor, &*facts.ena, &*facts.nvme), ("nitro", "required", "required"));
    assert!(facts.offered && !facts.local_disks && !facts.bare_metal && facts.interfaces > 1);
    assert!(facts.architectures.iter().any(|own| &**own == "x86_64"));
    assert!(facts.virtualizations.iter().any(|own| &**own == "hvm"));
    let arm = stage.read().type_facts(&place, &zone, "m6gd.large").await.unwrap();
    assert_eq!(
        (arm.architectures.iter().map(|own| &**own).collect::<Vec<_>>(), arm.local_disks),
        (vec!["arm64"], true)
    );
    assert!(stage.read().type_facts(&place, &zone, "m5.metal").await.unwrap().bare_metal);
}
