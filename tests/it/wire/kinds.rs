//! Each kind from the customer's call to our domain value.

use costwarden::cloud::{CloudRead, ErrorKind};
use costwarden::domain::fact::Fact;
use costwarden::domain::place::Kind;
use costwarden::domain::resource::{InstanceState, Lifecycle, Tags};

use super::{ids, read, sorted};
use crate::support::fixtures;
use crate::support::moto::{Moto, place};

const REGION: &str = "eu-central-1";
const ZONE: &str = "eu-central-1a";

#[tokio::test]
async fn an_instance_is_read_with_its_disks_tags_and_protection() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, ZONE, 1).await;
    let id = fixtures::instance(&ec2, &subnet, "m5.large", &[("owner", "ana@example.com"), ("Name", "shop")]).await;
    let data = fixtures::volume(&ec2, ZONE, 20, &[]).await;
    fixtures::attach(&ec2, &data, &id, "/dev/sdf").await;
    let reader = moto.reader(&[&account]).await;

    let (listed, pages, error) = read(&reader, &here.partition(Kind::Instance)).await;
    assert_eq!((pages, error), (1, None));
    assert_eq!(ids(&listed), [id.as_str()]);
    assert_eq!(listed[0].name(), "shop");
    assert_eq!(listed[0].tags, Fact::Known(Tags::of(&[("Name", "shop"), ("owner", "ana@example.com")])));
    assert!(listed[0].created_at.known().is_some(), "{:?}", listed[0].created_at);
    let instance = listed[0].instance().expect("an instance");
    assert_eq!(instance.state, InstanceState::Running);
    assert_eq!((&*instance.instance_type, &*instance.zone), ("m5.large", ZONE));
    assert_eq!(instance.lifecycle, Lifecycle::OnDemand);
    assert_eq!(instance.platform, Fact::Known("Linux/UNIX".into()));
    assert_eq!(instance.auto_public_ip, Fact::Absent, "the subnet gives no public address");
    assert_eq!(instance.instance_store, Fact::Known(false));
    assert_eq!(instance.subnet.as_deref(), Some(subnet.as_str()));
    let disks: Vec<(&str, bool)> =
        instance.volumes.iter().map(|disk| (&*disk.device, disk.delete_on_termination)).collect();
    assert_eq!(disks.len(), 2, "the root and the data volume");
    assert!(disks.contains(&("/dev/sda1", true)) && disks.contains(&("/dev/sdf", false)), "{disks:?}");
    assert!(instance.volumes.iter().any(|disk| &*disk.volume == data.as_str()));
    assert!(instance.termination_protected.is_unknown() && instance.stop_protected.is_unknown());

    let key = listed[0].key.clone();
    let fresh = reader.describe(&key).await.expect("it is there");
    let protection = |resource: &costwarden::domain::resource::Resource| {
        let instance = resource.instance().expect("an instance");
        (instance.termination_protected.clone(), instance.stop_protected.clone())
    };
    assert_eq!(protection(&fresh), (Fact::Known(false), Fact::Known(false)));
    fixtures::protect(&ec2, &id, true, true).await;
    let fresh = reader.describe(&key).await.expect("it is there");
    assert_eq!(protection(&fresh), (Fact::Known(true), Fact::Known(true)));
}

#[tokio::test]
async fn an_instance_that_got_a_public_address_says_so_and_one_with_an_elastic_address_does_not() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let subnets = ec2.describe_subnets().send().await.expect("the default subnets are listed");
    let open = subnets.subnets().iter().find(|subnet| subnet.map_public_ip_on_launch() == Some(true));
    let open = open.and_then(|subnet| subnet.subnet_id()).expect("a default subnet gives public addresses");
    let exposed = fixtures::instance(&ec2, open, "t3.micro", &[]).await;
    let private = fixtures::private_subnet(&ec2, ZONE, 2).await;
    let elastic = fixtures::instance(&ec2, &private, "t3.micro", &[]).await;
    let allocation = fixtures::address(&ec2, Some(&elastic)).await;
    let reader = moto.reader(&[&account]).await;

    let (listed, _, error) = read(&reader, &here.partition(Kind::Instance)).await;
    assert_eq!(error, None);
    let ip = |id: &str| {
        let found = listed.iter().find(|resource| &*resource.key.id == id).expect("it is listed");
        found.instance().expect("an instance").auto_public_ip.clone()
    };
    assert!(matches!(ip(&exposed), Fact::Known(_)), "{:?}", ip(&exposed));
    assert_eq!(ip(&elastic), Fact::Absent);

    let (addresses, _, _) = read(&reader, &here.partition(Kind::Address)).await;
    assert_eq!(ids(&addresses), [allocation.as_str()]);
    let address = addresses[0].address().expect("an address");
    assert_eq!(address.instance.as_deref(), Some(elastic.as_str()));
    assert!(address.association.is_some());
}

#[tokio::test]
async fn volumes_snapshots_images_and_addresses_are_listed_and_read_alone() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let volume = fixtures::volume(&ec2, ZONE, 33, &[("team", "core")]).await;
    let snapshot = fixtures::snapshot(&ec2, &volume, "by hand").await;
    let address = fixtures::address(&ec2, None).await;
    let subnet = fixtures::private_subnet(&ec2, ZONE, 3).await;
    let instance = fixtures::instance(&ec2, &subnet, "t3.micro", &[]).await;
    let image = fixtures::image(&ec2, &instance, "golden").await;
    let reader = moto.reader(&[&account]).await;

    for (kind, id) in
        [(Kind::Volume, &volume), (Kind::Snapshot, &snapshot), (Kind::Address, &address), (Kind::Image, &image)]
    {
        let partition = here.partition(kind);
        let (listed, _, error) = read(&reader, &partition).await;
        assert_eq!(error, None, "{kind}");
        let found = listed.iter().find(|resource| *resource.key.id == **id);
        let found = found.unwrap_or_else(|| panic!("{kind} {id} is listed among {:?}", ids(&listed)));
        let fresh = reader.describe(&partition.key(id)).await.expect("it is there");
        assert_eq!(fresh.key, found.key);
        match kind {
            Kind::Volume => {
                let volume = fresh.volume().expect("a volume");
                assert_eq!((volume.size_gib, &*volume.volume_type, &*volume.state), (33, "gp3", "available"));
                assert_eq!((volume.iops, volume.encrypted, &*volume.zone), (Some(3_000), false, ZONE));
                assert!(volume.attachments.is_empty());
                assert_eq!(fresh.tag("team"), Some("core"));
            }
            Kind::Snapshot => {
                let snapshot = fresh.snapshot().expect("a snapshot");
                assert_eq!((&*snapshot.state, snapshot.volume_size_gib), ("completed", 33));
                assert_eq!((&*snapshot.volume, &*snapshot.description), (volume.as_str(), "by hand"));
                assert_eq!((&snapshot.progress, &*snapshot.storage_tier), (&Fact::Known(100), "standard"));
                assert_eq!(fresh.tags, Fact::Known(Tags::default()), "no tags is not unknown tags");
            }
            Kind::Image => {
                let made_of = &fresh.image().expect("an image").snapshots;
                let (snapshots, _, _) = read(&reader, &here.partition(Kind::Snapshot)).await;
                assert!(!made_of.is_empty());
                assert!(made_of.iter().all(|used| ids(&snapshots).contains(&&**used)), "{made_of:?}");
                assert!(fresh.created_at.known().is_some(), "{:?}", fresh.created_at);
            }
            _ => {
                assert!(fresh.address().is_some_and(|address| address.association.is_none()));
                assert!(fresh.created_at.is_unknown(), "EC2 does not date addresses");
            }
        }
    }
}

#[tokio::test]
async fn a_list_of_several_pages_comes_whole() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, ZONE, 4).await;
    let mut instances = Vec::new();
    let mut volumes = Vec::new();
    let mut snapshots = Vec::new();
    for number in 0..5 {
        instances.push(fixtures::instance(&ec2, &subnet, "t3.micro", &[]).await);
        let volume = fixtures::volume(&ec2, ZONE, 10 + number, &[]).await;
        snapshots.push(fixtures::snapshot(&ec2, &volume, "").await);
        volumes.push(volume);
    }
    moto.page_size(&account, 2);
    let reader = moto.reader(&[&account]).await;

    let (listed, pages, error) = read(&reader, &here.partition(Kind::Instance)).await;
    assert_eq!((ids(&listed), pages, error), (sorted(&instances), 3, None));
    let (listed, pages, error) = read(&reader, &here.partition(Kind::Snapshot)).await;
    assert_eq!((ids(&listed), pages, error), (sorted(&snapshots), 3, None));
    let (listed, pages, error) = read(&reader, &here.partition(Kind::Volume)).await;
    assert_eq!((pages, error), (5, None), "five roots and five volumes");
    assert!(volumes.iter().all(|volume| ids(&listed).contains(&volume.as_str())));
    assert_eq!(listed.len(), 10);
    let asked: Vec<_> = reader.requests().into_iter().map(|row| (row.operation, row.count, row.retries)).collect();
    assert!(asked.contains(&("DescribeVolumes".into(), 5, 0)), "{asked:?}");
    assert_eq!(moto.seen(&account, "DescribeVolumes").len(), 5);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let reader = moto.reader(&[&account]).await;
    for kind in Kind::ALL {
        let key = here.partition(kind).key(&format!("{}0123456789abcdef0", kind.id_prefix()));
        let error = reader.describe(&key).await.expect_err("it does not exist");
        assert_eq!(error.kind, ErrorKind::NotFound, "{kind}: {error}");
        let (listed, pages, error) = read(&reader, &here.partition(kind)).await;
        assert_eq!((ids(&listed), pages, error), (vec![], 1, None), "{kind}: an empty list is an answer");
    }
}

#[tokio::test]
async fn a_safety_snapshot_is_found_again_by_its_tag() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let volume = fixtures::volume(&ec2, ZONE, 8, &[]).await;
    let mut made = Vec::new();
    for value in ["r-1", "r-12", "r-*"] {
        let id = fixtures::snapshot(&ec2, &volume, "").await;
        let tag = aws_sdk_ec2::types::Tag::builder().key("costwarden:action").value(value).build();
        ec2.create_tags().resources(&id).tags(tag).send().await.expect("it is tagged");
        made.push(id);
    }
    let reader = moto.reader(&[&account]).await;
    let found = reader.snapshots_tagged(&here, "costwarden:action", "r-1").await.expect("an answer");
    assert_eq!(ids(&found), [made[0].as_str()]);
    let none = reader.snapshots_tagged(&here, "costwarden:action", "r-3").await.expect("an answer");
    assert_eq!(ids(&none), Vec::<&str>::new());
}
