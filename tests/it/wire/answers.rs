//! Each kind's answer in AWS's wire format, read by the real SDK from a loopback server.
//!
//! The files under `fixtures/aws` are written from the EC2 service model (API version 2016-11-15). They hold what moto
//! leaves out: managed resources, spot, instance store, unknown words, archived snapshots, public addresses.

use std::path::PathBuf;

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use costwarden::cloud::aws::{AwsAccount, AwsActor, AwsReader};
use costwarden::cloud::{CloudRead, ErrorKind};
use costwarden::domain::fact::Fact;
use costwarden::domain::place::{AccountId, Kind, Partition, Place};
use costwarden::domain::resource::{InstanceState, Lifecycle, Resource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::ids;
use crate::support::moto::{place, quick};

/// The answer file of a kind.
fn file(kind: Kind) -> PathBuf {
    let name = kind.name().rsplit('/').next().expect("a name with a slash");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/aws/{name}.xml"))
}

pub(super) fn answer(kind: Kind) -> String {
    let path = file(kind);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("every kind has its answer file {}: {error}", path.display()))
}

/// A reader whose every request is answered with `body`.
async fn reader_of(body: String) -> (AwsReader, impl Fn(Kind) -> Partition) {
    reader_of_each(vec![("", body)]).await
}

/// A reader whose requests are answered by their operation; an empty name answers every other one.
pub(super) async fn reader_of_each(bodies: Vec<(&'static str, String)>) -> (AwsReader, impl Fn(Kind) -> Partition) {
    let (url, account, entry) = server_of(bodies).await;
    let reader = AwsReader::with_config(config(url).await, &[entry], quick()).expect("one account");
    (reader, move |kind| place(&account, "eu-central-1").partition(kind))
}

/// An actor that is answered so.
pub(super) async fn actor_of(bodies: Vec<(&'static str, String)>) -> (AwsActor, Place) {
    let (url, account, entry) = server_of(bodies).await;
    let actor = AwsActor::with_config(config(url).await, &[entry], quick()).expect("one account");
    (actor, place(&account, "eu-central-1"))
}

async fn server_of(bodies: Vec<(&'static str, String)>) -> (String, AccountId, AwsAccount) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(stream, bodies.clone()));
        }
    });
    let account = AccountId::new("111122223333").expect("twelve digits");
    let entry = AwsAccount { id: account.clone(), role_arn: None, external_id: None, session_name: None };
    (url, account, entry)
}

pub(super) async fn config(url: String) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(SdkRegion::from_static("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .load()
        .await
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream, bodies: Vec<(&'static str, String)>) {
    let mut seen = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        while !is_whole(&seen) {
            match stream.read(&mut chunk).await {
                Ok(count) if count > 0 => seen.extend_from_slice(&chunk[..count]),
                _ => return,
            }
        }
        let asked = String::from_utf8_lossy(&seen).into_owned();
        seen.clear();
        let named = |own: &&(&str, String)| own.0.is_empty() || asked.contains(&format!("Action={}&", own.0));
        let body = bodies.iter().find(named).map_or("", |own| &own.1);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// True when a request's head and body have arrived.
pub(super) fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    body.len() >= length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

async fn list(kind: Kind) -> Vec<Resource> {
    let (reader, partition) = reader_of(answer(kind)).await;
    let page = reader.list(&partition(kind), None).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_eq!(page.next, None, "{kind}");
    page.resources
}

fn find<'a>(resources: &'a [Resource], id: &str) -> &'a Resource {
    resources
        .iter()
        .find(|resource| &*resource.key.id == id)
        .unwrap_or_else(|| panic!("{id} among {:?}", ids(resources)))
}

#[tokio::test]
async fn every_kind_has_an_answer_file_that_reads_whole_and_never_half() {
    for kind in Kind::ALL {
        let whole = answer(kind);
        let resources = list(kind).await;
        assert!(!resources.is_empty(), "{kind}");
        for resource in &resources {
            assert_eq!(resource.kind(), kind);
            assert!(resource.key.id.starts_with(kind.id_prefix()), "{}", resource.key);
            assert!(!resource.tags.is_unknown(), "{}", resource.key);
        }
        // Cut anywhere, with a length that calls it whole: an error, never a shorter list.
        for part in 1..8 {
            let cut: String = whole.chars().take(whole.chars().count() * part / 8).collect();
            let (reader, partition) = reader_of(cut).await;
            let error = reader.list(&partition(kind), None).await.expect_err("half an answer");
            assert_eq!(error.kind, ErrorKind::Uncertain, "{kind} cut after {part}/8: {error}");
        }
    }
}

#[tokio::test]
async fn instances_of_every_sort_are_told_apart() {
    let resources = list(Kind::Instance).await;
    assert_eq!(ids(&resources).len(), 5);
    let plain = find(&resources, "i-0a1b2c3d4e5f60001");
    let instance = plain.instance().expect("an instance");
    assert_eq!(plain.tag("Name"), Some("shop-1"));
    assert_eq!(plain.tag("empty"), Some(""));
    assert_eq!(instance.state, InstanceState::Running);
    assert_eq!(instance.auto_public_ip, Fact::Known("203.0.113.25".into()), "EC2 assigned it, a stop loses it");
    assert_eq!(instance.platform, Fact::Known("Linux/UNIX".into()));
    assert_eq!(instance.operator, None);
    let disks: Vec<_> = instance.volumes.iter().map(|disk| (&*disk.volume, disk.delete_on_termination)).collect();
    assert_eq!(disks, [("vol-0a1b2c3d4e5f60001", true), ("vol-0a1b2c3d4e5f60002", false)]);

    let elastic = find(&resources, "i-0a1b2c3d4e5f60002").instance().expect("an instance");
    assert_eq!(elastic.auto_public_ip, Fact::Absent, "an elastic address stays");
    assert_eq!(elastic.state, InstanceState::Stopped);
    let since = elastic.state_since.known().expect("the stop is dated");
    assert_eq!(since.to_rfc3339(), "2026-09-30T17:05:11+00:00");

    let spot = find(&resources, "i-0a1b2c3d4e5f60003").instance().expect("an instance");
    assert_eq!(spot.lifecycle, Lifecycle::Spot);
    assert_eq!(spot.operator.as_deref(), Some("eks.amazonaws.com"));

    let local = find(&resources, "i-0a1b2c3d4e5f60004").instance().expect("an instance");
    assert_eq!(local.instance_store, Fact::Known(true));
    assert_eq!(local.volumes.len(), 0);

    let new = find(&resources, "i-0a1b2c3d4e5f60005").instance().expect("an instance");
    assert_eq!(new.state, InstanceState::Other("hibernating-soon".into()));
    assert_eq!(new.lifecycle, Lifecycle::Other("interruptible-capacity-reservation".into()));
    assert!(new.instance_store.is_unknown());
    assert_eq!(&*new.instance_type, "m99zn.metal-96xl");
}

#[tokio::test]
async fn volumes_snapshots_addresses_and_images_keep_what_guards_need() {
    let volumes = list(Kind::Volume).await;
    let io2 = find(&volumes, "vol-0a1b2c3d4e5f60010").volume().expect("a volume");
    let holders: Vec<_> = io2.attachments.iter().map(|held| (&*held.instance, &*held.state)).collect();
    assert_eq!(holders, [("i-0a1b2c3d4e5f60001", "attached"), ("i-0a1b2c3d4e5f60002", "detaching")]);
    assert!(io2.encrypted && io2.kms_key.is_some());
    let managed = find(&volumes, "vol-0a1b2c3d4e5f60011").volume().expect("a volume");
    assert_eq!(managed.operator.as_deref(), Some("workspaces-core.amazonaws.com"));

    let snapshots = list(Kind::Snapshot).await;
    let archived = find(&snapshots, "snap-0a1b2c3d4e5f60020").snapshot().expect("a snapshot");
    assert_eq!((&*archived.storage_tier, &*archived.volume), ("archive", "vol-ffffffff"));
    let pending = find(&snapshots, "snap-0a1b2c3d4e5f60021").snapshot().expect("a snapshot");
    assert_eq!((&*pending.state, &pending.progress), ("pending", &Fact::Known(37)));
    let odd = find(&snapshots, "snap-0a1b2c3d4e5f60022").snapshot().expect("a snapshot");
    assert_eq!(&*odd.state, "recovering");
    assert!(odd.progress.is_unknown());

    let addresses = list(Kind::Address).await;
    let free = find(&addresses, "eipalloc-0a1b2c3d4e5f60030").address().expect("an address");
    assert_eq!((&*free.public_ip, &free.association), ("198.51.100.7", &None));
    let service = find(&addresses, "eipalloc-0a1b2c3d4e5f60031").address().expect("an address");
    assert_eq!(service.operator.as_deref(), Some("rnat"));

    let images = list(Kind::Image).await;
    let image = find(&images, "ami-0a1b2c3d4e5f60040");
    let made_of: Vec<&str> = image.image().expect("an image").snapshots.iter().map(|id| &**id).collect();
    assert_eq!(made_of, ["snap-0a1b2c3d4e5f60020", "snap-0a1b2c3d4e5f60023"]);
    assert_eq!(find(&images, "ami-0a1b2c3d4e5f60041").state(), "disabled");
}

#[tokio::test]
async fn an_answer_without_a_field_that_it_must_have_is_an_error_of_the_page() {
    for (kind, lost) in [
        (Kind::Instance, "<instanceState><code>16</code><name>running</name></instanceState>"),
        (Kind::Volume, "<size>500</size>"),
        (Kind::Snapshot, "<volumeSize>100</volumeSize>"),
        (Kind::Address, "<publicIp>198.51.100.7</publicIp>"),
        (Kind::Image, "<imageState>available</imageState>"),
    ] {
        let whole = answer(kind);
        assert!(whole.contains(lost), "{kind}: the answer file has {lost}");
        let (reader, partition) = reader_of(whole.replacen(lost, "", 1)).await;
        let error = reader.list(&partition(kind), None).await.expect_err("a field is missing");
        assert_eq!(error.kind, ErrorKind::Uncertain, "{kind}: {error}");
        assert!(error.message.contains("came without"), "{kind}: {error}");
    }
    // An answer without its list is not an answer with an empty one.
    let empty = "<DescribeVolumesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId></DescribeVolumesResponse>";
    let (reader, partition) = reader_of(empty.into()).await;
    assert_eq!(reader.list(&partition(Kind::Volume), None).await.expect_err("no list").kind, ErrorKind::Uncertain);
}

#[tokio::test]
async fn a_single_read_that_answers_with_another_resource_is_no_answer() {
    let (reader, partition) = reader_of(answer(Kind::Volume)).await;
    let error = reader.describe(&partition(Kind::Volume).key("vol-0a1b2c3d4e5f60010")).await.expect_err("others came");
    assert_eq!(error.kind, ErrorKind::Uncertain, "{error}");
}
