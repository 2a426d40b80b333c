//! Networks on which AWS is not heard, or somebody else is: names that lead nowhere, connections that hang, answers that
//! never come, come too late, in pieces, or in another's place.
//!
//! Each way meets reads and acts alike. A read has no page and an uncertain error; an act has one attempt, and an error
//! that never says that it was certainly not done.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use costwarden::cloud::aws::{AwsAccount, AwsActor, AwsOptions, AwsReader};
use costwarden::cloud::{Call, CloudAct, CloudRead, ErrorKind};
use costwarden::domain::place::{AccountId, InstanceId, Kind, Place, VolumeId};
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::answers::{answer, config, is_whole};
use super::{ids, read};
use crate::faults::reached;
use crate::support::moto::{place, quick};

/// So often a kind of fault must be met on the wire.
const OFTEN: usize = 20;
/// When an answer that is late comes.
const LATE: Duration = Duration::from_secs(120);

/// What a server does to each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Resets the connection before it has read the request.
    Reset,
    /// Answers two minutes later.
    Late,
    /// Accepts, and says nothing in the handshake of TLS.
    SilentTls,
    /// Half an answer, then the end.
    Cut,
    /// A byte a second.
    Trickle,
    /// A proxy's page.
    Page(u16),
}

/// Bounds so short that a test need not wait for production's.
fn short() -> AwsOptions {
    AwsOptions {
        connect_timeout: Duration::from_millis(400),
        read_timeout: Duration::from_millis(400),
        attempt_timeout: Duration::from_millis(800),
        operation_timeout: Duration::from_secs(4),
        ..quick()
    }
}

/// A reader and an actor whose AWS is there.
async fn client(url: &str) -> (AwsReader, AwsActor, Place) {
    let account = AccountId::new("111122223333").expect("twelve digits");
    let entry = [AwsAccount { id: account.clone(), role_arn: None, external_id: None, session_name: None }];
    let config = config(url.to_owned()).await;
    let reader = AwsReader::with_config(config.clone(), &entry, short()).expect("one account");
    let actor = AwsActor::with_config(config, &entry, short()).expect("one account");
    (reader, actor, place(&account, "eu-central-1"))
}

fn stop(id: &str) -> Call {
    Call::StopInstance { instance: InstanceId::new(id).expect("an instance's id") }
}

fn delete() -> Call {
    Call::DeleteVolume { volume: VolumeId::new("vol-0a1b2c3d4e5f60010").expect("a volume's id") }
}

/// Reads and acts until the fault was met often enough; none of them may have succeeded. Returns how often it was met:
/// by what the server counted, or where there is none by the attempts.
async fn nothing_comes_through(url: &str, what: &str, met: Option<&AtomicUsize>) -> usize {
    let (reader, actor, here) = client(url).await;
    let partition = here.partition(Kind::Volume);
    for round in 0.. {
        for (listed, pages, error) in join_all((0..4).map(|_| read(&reader, &partition))).await {
            let error = error.unwrap_or_else(|| panic!("{what}: an error, not {listed:?}"));
            assert_eq!((error.kind, pages, listed.len()), (ErrorKind::Uncertain, 0, 0), "{what}: {error}");
        }
        let calls = [stop("i-0a1b2c3d4e5f60001"), delete()];
        for done in join_all((0..12).map(|number| actor.execute(&here, &calls[number % 2]))).await {
            let error = done.expect_err("nobody answered");
            assert!(!error.definite(), "{what}: nobody can know whether it was done: {error}");
        }
        let acts = actor.requests();
        assert!(acts.iter().all(|row| row.retries == 0), "{what}: an act is tried once: {acts:?}");
        let attempts = reader.requests().iter().chain(&acts).map(|row| row.count + row.retries).sum::<u64>() as usize;
        let met = met.map_or(attempts, |met| met.load(Ordering::Relaxed));
        if met >= OFTEN {
            return met;
        }
        assert!(round < 20, "{what}: met {met} times in {attempts} attempts");
    }
    unreachable!("the loop ends by itself")
}

/// A server that does this to every request; its address, and how often it did.
async fn server(way: Way) -> (SocketAddr, Arc<AtomicUsize>) {
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    let address = listen(move |stream| meet(stream, way, counted.clone())).await;
    (address, met)
}

async fn listen<F: Future<Output = ()> + Send + 'static>(each: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("its number");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    address
}

/// The next request of a connection; none when it ended.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut seen, mut chunk) = (Vec::new(), [0; 4_096]);
    while !is_whole(&seen) {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => seen.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&seen).into_owned())
}

fn http(status: u16, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn meet(mut stream: TcpStream, way: Way, met: Arc<AtomicUsize>) {
    if matches!(way, Way::Reset | Way::SilentTls) {
        let mut first = [0; 1];
        let there = matches!(stream.peek(&mut first).await, Ok(1));
        // 22 begins a record of TLS's handshake.
        if there && (way == Way::Reset || first == [22]) {
            met.fetch_add(1, Ordering::Relaxed);
        }
        if way == Way::SilentTls {
            tokio::time::sleep(LATE).await;
        }
        // What arrived and was not read makes the kernel reset the connection.
        return;
    }
    while let Some(asked) = request(&mut stream).await {
        met.fetch_add(1, Ordering::Relaxed);
        let good = http(200, "text/xml", &right(&asked));
        let sent = match way {
            Way::Late => {
                tokio::time::sleep(LATE).await;
                stream.write_all(good.as_bytes()).await
            }
            Way::Cut => {
                let _ = stream.write_all(&good.as_bytes()[..good.len() - 40]).await;
                return;
            }
            Way::Trickle => {
                for byte in good.as_bytes() {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Ok(())
            }
            Way::Page(status) => {
                let page = "<html><body><h1>The proxy says no</h1></body></html>";
                stream.write_all(http(status, "text/html", page).as_bytes()).await
            }
            Way::Reset | Way::SilentTls => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// What AWS would answer.
fn right(asked: &str) -> String {
    let field = |name: &str| {
        let rest = asked.split(&format!("{name}=")).nth(1)?;
        rest.split(['&', '\r', '\n']).next().map(str::to_owned)
    };
    let head = |name: &str, inside: &str| {
        format!("<{name} xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId>{inside}</{name}>")
    };
    match field("Action").as_deref() {
        Some("StopInstances") => {
            let id = field("InstanceId.1").unwrap_or_default();
            let states = "<currentState><code>64</code><name>stopping</name></currentState><previousState><code>16</code>\
                          <name>running</name></previousState>";
            head(
                "StopInstancesResponse",
                &format!("<instancesSet><item><instanceId>{id}</instanceId>{states}</item></instancesSet>"),
            )
        }
        Some("DescribeVolumes") if field("VolumeId.1").is_some() => {
            let id = field("VolumeId.1").unwrap_or_default();
            head(
                "DescribeVolumesResponse",
                &format!(
                    "<volumeSet><item><volumeId>{id}</volumeId><size>8</size><snapshotId/><availabilityZone>eu-central-1a\
                     </availabilityZone><status>available</status><createTime>2026-06-01T08:00:00.000Z</createTime>\
                     <attachmentSet/><volumeType>gp3</volumeType><encrypted>false</encrypted></item></volumeSet>"
                ),
            )
        }
        Some(action) => {
            let kind = Kind::ALL.into_iter().find(|kind| {
                let name = kind.name().rsplit('/').next().unwrap_or_default();
                action.to_lowercase().starts_with(&format!("describe{name}"))
            });
            kind.map_or_else(|| head(&format!("{action}Response"), "<return>true</return>"), answer)
        }
        None => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h05_where_nobody_is_found_nothing_is_known_to_be_done_or_not_done() {
    // The name can have no address (RFC 2606).
    let unknown = nothing_comes_through("http://aws.invalid:80", "DNS failure", None).await;
    reached("DNS failure", unknown);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let closed = listener.local_addr().expect("its number");
    drop(listener);
    reached("refused", nothing_comes_through(&format!("http://{closed}"), "refused", None).await);

    // A queue of connections that is full: the kernel answers no further one.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port on loopback");
    let full = socket.local_addr().expect("its number");
    let listener = socket.listen(1).expect("it listens");
    let mut waiting = Vec::new();
    for _ in 0..8 {
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(full)).await {
            waiting.push(stream);
        }
    }
    assert!(waiting.len() < 8, "the queue did not fill");
    let hung = nothing_comes_through(&format!("http://{full}"), "connect hangs", None).await;
    reached("connect hangs", hung);
    drop((listener, waiting));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h05_what_breaks_between_request_and_answer_leaves_every_act_uncertain() {
    let (address, met) = server(Way::SilentTls).await;
    let times = nothing_comes_through(&format!("https://{address}"), "TLS handshake hangs", Some(&met)).await;
    reached("TLS handshake hangs", times);

    let mut ways = Vec::new();
    for way in [Way::Reset, Way::Cut, Way::Trickle, Way::Late, Way::Page(407), Way::Page(502), Way::Page(503)] {
        let (address, met) = server(way).await;
        let times = nothing_comes_through(&format!("http://{address}"), &format!("{way:?}"), Some(&met)).await;
        ways.push((way, times));
    }
    let times = |wanted: Way| ways.iter().find(|(way, _)| *way == wanted).map_or(0, |(_, times)| *times);
    reached("reset before or after the request's body", times(Way::Reset));
    reached("answer cut in the middle", times(Way::Cut));
    reached("a byte a second", times(Way::Trickle));
    reached("first byte after 120 seconds", times(Way::Late));
    let pages = [407, 502, 503].map(|status| times(Way::Page(status)));
    reached("a proxy's page in place of XML", *pages.iter().min().expect("three pages"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h05_an_answer_in_anothers_place_is_never_taken_for_ones_own() {
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    // From the second request of a connection on, the answer before comes once more first.
    let address = listen(move |mut stream| {
        let met = counted.clone();
        async move {
            let mut before: Option<String> = None;
            while let Some(asked) = request(&mut stream).await {
                let good = http(200, "text/xml", &right(&asked));
                let stale = before.replace(good.clone());
                met.fetch_add(usize::from(stale.is_some()), Ordering::Relaxed);
                let both = stale.unwrap_or_default() + &good;
                if stream.write_all(both.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let (reader, actor, here) = client(&format!("http://{address}")).await;
    let (mut right_ones, mut refused) = (0, 0);
    for round in 0.. {
        // Lists of one kind after another, single reads of one volume after another, stops of one instance after another.
        for kind in Kind::ALL {
            let (listed, _, error) = read(&reader, &here.partition(kind)).await;
            let fine = error.is_none();
            assert!(!fine || listed.iter().all(|own| own.kind() == kind && own.key.id.starts_with(kind.id_prefix())));
            assert!(!fine || !ids(&listed).is_empty(), "{kind}");
            if fine { right_ones += 1 } else { refused += 1 }
        }
        for number in 0..4 {
            let key = here.partition(Kind::Volume).key(&format!("vol-0a1b2c3d4e5f6{number:04}"));
            match reader.describe(&key).await {
                Ok(found) => assert_eq!(found.key, key, "a volume's answer is taken for another's"),
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Uncertain, "{error}");
                    refused += 1;
                }
            }
            if let Err(error) = actor.execute(&here, &stop(&format!("i-0a1b2c3d4e5f6{number:04}"))).await {
                assert!(!error.definite(), "{error}");
                refused += 1;
            }
        }
        if met.load(Ordering::Relaxed) >= OFTEN && refused > 0 {
            break;
        }
        assert!(round < 20, "met {met:?}, {right_ones} right, {refused} refused");
    }
    assert!(right_ones > 0, "nothing was ever read");
    reached("answers twice or in another order on one connection", met.load(Ordering::Relaxed));
}
