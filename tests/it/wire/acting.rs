//! The acting side, judged from the cloud's own log.

use std::time::Duration;

use costwarden::cloud::aws::AwsOptions;
use costwarden::cloud::{Call, CloudAct, CloudRead, ErrorKind};
use costwarden::domain::fact::Fact;
use costwarden::domain::place::{AccountId, InstanceId, Kind, Place, VolumeId};
use costwarden::domain::resource::{InstanceState, Tags};

use super::ids;
use crate::support::fixtures;
use crate::support::moto::{Fault, Moto, place, quick};

const REGION: &str = "ap-southeast-2";
const ZONE: &str = "ap-southeast-2a";

/// An account with a running instance of two disks and an unattached volume.
struct Shop {
    moto: &'static Moto,
    account: AccountId,
    here: Place,
    instance: String,
    volume: String,
}

impl Shop {
    async fn open() -> Shop {
        let moto = Moto::shared();
        let account = moto.account();
        let here = place(&account, REGION);
        let ec2 = moto.ec2(&here).await;
        let subnet = fixtures::private_subnet(&ec2, ZONE, 1).await;
        let instance = fixtures::instance(&ec2, &subnet, "m5.large", &[]).await;
        let data = fixtures::volume(&ec2, ZONE, 30, &[]).await;
        fixtures::attach(&ec2, &data, &instance, "/dev/sdf").await;
        let volume = fixtures::volume(&ec2, ZONE, 15, &[("owner", "ana@example.com")]).await;
        Shop { moto, account, here, instance, volume }
    }

    fn stop(&self) -> Call {
        Call::StopInstance { instance: InstanceId::new(&self.instance).expect("an instance's id") }
    }

    fn delete(&self) -> Call {
        Call::DeleteVolume { volume: self.volume_id() }
    }

    fn snapshot(&self) -> Call {
        Call::CreateSnapshot { volume: self.volume_id(), description: "before delete".into(), tags: tags() }
    }

    fn snapshots(&self) -> Call {
        let instance = InstanceId::new(&self.instance).expect("an instance's id");
        Call::CreateSnapshots { instance, description: "before stop".into(), tags: tags() }
    }

    fn tag(&self) -> Call {
        let resource = self.here.partition(Kind::Volume).key(&self.volume);
        Call::CreateTags { resource, tags: vec![("environment".into(), "unset".into())] }
    }

    fn volume_id(&self) -> VolumeId {
        VolumeId::new(&self.volume).expect("a volume's id")
    }

    fn every_call(&self) -> [Call; 5] {
        [self.stop(), self.delete(), self.snapshot(), self.snapshots(), self.tag()]
    }
}

fn tags() -> Vec<(String, String)> {
    vec![("costwarden:action".into(), "r-1".into()), ("owner".into(), "ana@example.com".into())]
}

#[tokio::test]
async fn asking_for_permission_changes_nothing() {
    let shop = Shop::open().await;
    let actor = shop.moto.actor(&[&shop.account]).await;
    for call in shop.every_call() {
        actor.permitted(&shop.here, &call).await.unwrap_or_else(|error| panic!("{call}: {error}"));
        let seen = shop.moto.seen(&shop.account, call.operation());
        let last = seen.last().expect("it was asked");
        assert!(last.dry_run, "{call}");
        assert!(last.targets.iter().any(|target| target == call.target()), "{call}: {:?}", last.targets);
        shop.moto.fault(Fault::deny(call.operation()).of_account(&shop.account));
        let error = actor.permitted(&shop.here, &call).await.expect_err("not permitted");
        assert_eq!(error.kind, ErrorKind::Denied, "{call}: {error}");
    }
    let reader = shop.moto.reader(&[&shop.account]).await;
    let instance = reader.describe(&shop.here.partition(Kind::Instance).key(&shop.instance)).await.expect("there");
    assert_eq!(instance.instance().expect("an instance").state, InstanceState::Running);
    assert!(reader.describe(&shop.here.partition(Kind::Volume).key(&shop.volume)).await.is_ok());
    let snapshots = reader.list(&shop.here.partition(Kind::Snapshot), None).await.expect("a list");
    assert_eq!(ids(&snapshots.resources), Vec::<&str>::new());
}

#[tokio::test]
async fn a_stop_asks_the_system_to_shut_down_and_its_answer_carries_the_request_id() {
    let shop = Shop::open().await;
    let actor = shop.moto.actor(&[&shop.account]).await;
    let answer = actor.execute(&shop.here, &shop.stop()).await.expect("it stops");
    assert!(!answer.request_id.is_empty());
    assert_eq!(answer.snapshots, []);
    let seen = shop.moto.seen(&shop.account, "StopInstances");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].targets, [shop.instance.as_str()]);
    for never in ["Force", "Hibernate", "SkipOsShutdown", "DryRun"] {
        assert!(seen[0].parameters.get(never).is_none(), "{never} is never sent: {:?}", seen[0].parameters);
    }
    let reader = shop.moto.reader(&[&shop.account]).await;
    let fresh = reader.describe(&shop.here.partition(Kind::Instance).key(&shop.instance)).await.expect("there");
    let instance = fresh.instance().expect("an instance");
    assert_eq!(instance.state, InstanceState::Stopped);
    assert!(matches!(instance.state_since, Fact::Known(_)), "{:?}", instance.state_since);
}

#[tokio::test]
async fn snapshots_of_an_instance_cover_every_disk_and_are_born_with_our_tags() {
    let shop = Shop::open().await;
    shop.moto.snapshots(&shop.account, 2, Duration::ZERO, "completed");
    let actor = shop.moto.actor(&[&shop.account]).await;
    let reader = shop.moto.reader(&[&shop.account]).await;
    let key = shop.here.partition(Kind::Instance).key(&shop.instance);
    let disks = reader.describe(&key).await.expect("there").instance().expect("an instance").volumes.clone();
    let answer = actor.execute(&shop.here, &shop.snapshots()).await.expect("snapshots begin");
    let mut covered: Vec<&str> = answer.snapshots.iter().map(|(volume, _)| volume.as_str()).collect();
    covered.sort_unstable();
    assert_eq!(covered, disks.iter().map(|disk| &*disk.volume).collect::<Vec<_>>());
    let key = shop.here.partition(Kind::Snapshot).key(answer.snapshots[0].1.as_str());
    let mut states = Vec::new();
    for _ in 0..4 {
        let snapshot = reader.describe(&key).await.expect("there");
        assert_eq!(snapshot.tags, Fact::Known(Tags::of(&[("costwarden:action", "r-1"), ("owner", "ana@example.com")])));
        states.push(snapshot.state().to_owned());
    }
    assert_eq!(states, ["pending", "pending", "completed", "completed"]);
}

#[tokio::test]
async fn a_volume_is_snapshotted_tagged_and_deleted() {
    let shop = Shop::open().await;
    let actor = shop.moto.actor(&[&shop.account]).await;
    let reader = shop.moto.reader(&[&shop.account]).await;
    let key = shop.here.partition(Kind::Volume).key(&shop.volume);
    let answer = actor.execute(&shop.here, &shop.snapshot()).await.expect("a snapshot begins");
    assert_eq!(answer.snapshots.len(), 1);
    assert_eq!(answer.snapshots[0].0.as_str(), shop.volume);
    actor.execute(&shop.here, &shop.tag()).await.expect("it is tagged");
    let tagged = reader.describe(&key).await.expect("there");
    assert_eq!(tagged.tags, Fact::Known(Tags::of(&[("environment", "unset"), ("owner", "ana@example.com")])));
    actor.execute(&shop.here, &shop.delete()).await.expect("it is deleted");
    assert_eq!(reader.describe(&key).await.expect_err("gone").kind, ErrorKind::NotFound);
    let again = actor.execute(&shop.here, &shop.delete()).await.expect_err("gone");
    assert_eq!(again.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn the_cloud_refuses_what_it_must_refuse() {
    let shop = Shop::open().await;
    let actor = shop.moto.actor(&[&shop.account]).await;
    let reader = shop.moto.reader(&[&shop.account]).await;
    let key = shop.here.partition(Kind::Instance).key(&shop.instance);
    let disks = reader.describe(&key).await.expect("there").instance().expect("an instance").volumes.clone();
    let attached = Call::DeleteVolume { volume: VolumeId::new(&disks[0].volume).expect("an id") };
    let error = actor.execute(&shop.here, &attached).await.expect_err("attached");
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Rejected, Some("VolumeInUse")));
    let ec2 = shop.moto.ec2(&shop.here).await;
    ec2.terminate_instances().instance_ids(&shop.instance).send().await.expect("terminated");
    let error = actor.execute(&shop.here, &shop.stop()).await.expect_err("terminated");
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Rejected, Some("IncorrectInstanceState")));
    assert!(error.definite());
}

#[tokio::test]
async fn h05_an_act_without_an_answer_is_uncertain_and_is_never_sent_twice() {
    let shop = Shop::open().await;
    let impatient = AwsOptions { read_timeout: Duration::from_secs(1), ..quick() };
    let actor = shop.moto.actor_with(&[&shop.account], impatient).await;
    type Plant = fn(&str) -> Fault;
    let ways: [(&str, Plant); 7] = [
        ("reset after the request", Fault::reset),
        ("reset before it was done", Fault::reset_before),
        ("answer cut", Fault::cut),
        ("answer cut, calling itself whole", Fault::cut_whole),
        ("proxy's page", Fault::html503),
        ("internal error", |operation| Fault::error(operation, 500, "InternalError")),
        ("no answer in time", |operation| Fault::delay(operation, Duration::from_secs(3))),
    ];
    // Two calls that a repetition would not harm, so that each way can be tried on the same resources.
    for call in [shop.stop(), shop.tag()] {
        // A first call leaves a connection in the pool: a reused connection is where a client may retry by itself.
        actor.execute(&shop.here, &call).await.expect("an answer");
        for (name, plant) in ways {
            let before = shop.moto.seen(&shop.account, call.operation()).len();
            shop.moto.fault(plant(call.operation()).of_account(&shop.account));
            let outcome = actor.execute(&shop.here, &call).await;
            let error = outcome.expect_err(name);
            assert_eq!(error.kind, ErrorKind::Uncertain, "{call}, {name}: {error}");
            assert!(!error.definite());
            let sent = shop.moto.seen(&shop.account, call.operation()).len() - before;
            assert_eq!(sent, 1, "{call}, {name}: exactly one request reached the cloud");
        }
        let definite: [(&str, Fault, ErrorKind); 3] = [
            ("throttled", Fault::throttle(call.operation()), ErrorKind::Throttled),
            ("denied", Fault::deny(call.operation()), ErrorKind::Denied),
            (
                "snapshot rate",
                Fault::error(call.operation(), 400, "SnapshotCreationPerVolumeRateExceeded"),
                ErrorKind::Throttled,
            ),
        ];
        for (name, fault, expected) in definite {
            let before = shop.moto.seen(&shop.account, call.operation()).len();
            shop.moto.fault(fault.of_account(&shop.account));
            let error = actor.execute(&shop.here, &call).await.expect_err(name);
            assert_eq!(error.kind, expected, "{call}, {name}: {error}");
            assert!(error.definite());
            assert_eq!(shop.moto.seen(&shop.account, call.operation()).len() - before, 1, "{call}, {name}");
        }
    }
    let requests = actor.requests();
    assert!(requests.iter().all(|row| row.retries == 0), "{requests:?}");
}

#[tokio::test]
async fn nobody_listening_is_uncertain_too() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let call = Call::DeleteVolume { volume: VolumeId::new("vol-0123456789abcdef0").expect("an id") };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let nowhere = moto.ambient().await.into_builder().endpoint_url(url).build();
    let mut entry = moto.aws_account(&account);
    entry.role_arn = None;
    let actor = costwarden::cloud::aws::AwsActor::with_config(nowhere, &[entry], quick()).expect("one account");
    let error = actor.execute(&here, &call).await.expect_err("nobody listens");
    assert_eq!(error.kind, ErrorKind::Uncertain, "{error}");
}
