//! The way to AWS: names that begin to stand for another machine, certificates that are wrong, a machine that has IPv6
//! alone, and a metadata service that gives no usable credentials.
//!
//! While it is wrong nothing is done; when it is right again, the same plan is done once.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Monotonic};

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, PATIENCE, Running, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;
use crate::support::python::{python, support_file};

const CERTIFICATES: [&str; 3] = ["other", "old", "own"];

/// What the name stands for while the second `apply` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// A machine that is not AWS and answers everything with a page.
    Stranger,
    /// A machine on which nobody listens.
    Nobody,
    /// Nothing: the name server does not answer.
    Nothing,
}

const NAMES: [Name; 3] = [Name::Stranger, Name::Nobody, Name::Nothing];

/// What the metadata service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metadata {
    /// Takes requests and answers none.
    Slow,
    /// Answers with errors.
    Down,
    /// Gives credentials whose time is over.
    Expired,
    /// Gives credentials for a minute, and then errors.
    DownLater,
}

const METADATA: [Metadata; 4] = [Metadata::Slow, Metadata::Down, Metadata::Expired, Metadata::DownLater];

pub const NEEDS: Needs = Needs {
    own: 0,
    lone: 0,
    neighbours: 0,
    loose: CERTIFICATES.len() + NAMES.len() + METADATA.len() + 1,
    crowds: (0, 0),
};

/// The environment of a case with some variables set and others left out.
fn environment(case: &Case, set: &[(&str, String)], without: &[&str]) -> Vec<(String, String)> {
    let mut environment = case.environment();
    let replaced = |name: &str| without.contains(&name) || set.iter().any(|(own, _)| *own == name);
    environment.retain(|(name, _)| !replaced(name));
    environment.extend(set.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    environment
}

fn apply_in(case: &mut Case, environment: Vec<(String, String)>) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwarden"));
    command.args(case.apply_args());
    case.spawn(command, environment)
}

/// With the right way the step is done once.
fn done_at_last(case: &mut Case, what: &str) {
    case.past_the_lease();
    case.seen_out();
    assert_eq!((case.ended(), case.counted().acts), (Some(JournalState::Done), 1), "{what}: {:?}", case.told());
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("moto's address ends with its port")
}

/// `tests/support/tls.py` in front of moto.
struct Tls {
    child: Child,
    folder: tempfile::TempDir,
}

impl Tls {
    fn start(port: u16) -> Tls {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(python());
        command.arg(support_file("tls.py")).arg(folder.path()).arg(port.to_string()).stdin(Stdio::piped());
        let child = command.stdout(Stdio::null()).spawn().expect("the tests' Python starts");
        let mut tls = Tls { child, folder };
        let began = Monotonic::now();
        while !tls.folder.path().join("ports").exists() {
            assert!(tls.child.try_wait().expect("it can be asked").is_none() && began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(20));
        }
        tls
    }

    /// The address behind which this certificate stands, with the authority that the program shall believe.
    fn variables(&self, certificate: &str) -> [(&'static str, String); 2] {
        let ports = fs::read_to_string(self.folder.path().join("ports")).expect("it is there");
        let ports: serde_json::Value = serde_json::from_str(&ports).expect("JSON");
        let authority = self.folder.path().join("authority.pem").display().to_string();
        let url = format!("https://localhost:{}", ports[certificate]);
        [("AWS_ENDPOINT_URL", url), ("SSL_CERT_FILE", authority)]
    }

    fn count(&self, line: &str) -> usize {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().filter(|own| *own == line).count()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn h04_behind_a_wrong_certificate_nothing_is_read_and_nothing_done() {
    let world = World::shared();
    let tls = Tls::start(port_of(&world.moto.url()));
    let jobs = CERTIFICATES.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    side_by_side(jobs, |(certificate, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let wrong = environment(&case, &tls.variables(certificate), &[]);
        let mut running = apply_in(&mut case, wrong);
        let code = running.end().code();
        assert!(!matches!(code, Some(0) | None), "{certificate}: {}", running.errors());
        assert_eq!(case.changes().len(), 0, "{certificate}: {}", running.errors());
        assert_eq!(tls.count(&format!("{certificate} made")), 0, "{certificate}: somebody talked to it");
        case.past_the_lease();
        // The same way with the right one, which shows that only the certificate was in the way.
        let right = environment(&case, &tls.variables("right"), &[]);
        let mut running = apply_in(&mut case, right);
        running.end();
        done_at_last(&mut case, certificate);
    });
    assert!(tls.count("right made") > 0);
    let met = CERTIFICATES.map(|certificate| tls.count(&format!("{certificate} refused")));
    assert!(met.iter().all(|times| *times > 0), "{met:?}");
    reached("wrong certificate", met.iter().sum());
}

/// The library that answers look-ups of `aws.test` from a file.
fn resolver() -> std::path::PathBuf {
    let library = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("libresolver.so");
    let fresh = library.with_extension("so.new");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&fresh).arg(support_file("resolver.c")).arg("-ldl");
    assert!(compile.status().expect("a C compiler, which the build needs as well").success());
    fs::rename(&fresh, &library).expect("a rename within one folder");
    library
}

#[test]
fn h04_a_name_that_begins_to_stand_for_another_machine_gets_nobody_to_act_on_its_word() {
    let world = World::shared();
    let library = resolver();
    let port = port_of(&world.moto.url());
    // Where moto's port belongs to somebody else.
    let stranger = TcpListener::bind(("127.0.0.9", port)).expect("all of 127/8 is this machine");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for stream in stranger.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || answer(stream, "200 OK", "text/html", "", "<html>Welcome to this host</html>"));
        }
    });
    let jobs = NAMES.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let met: Vec<(Name, usize)> = side_by_side(jobs, |(name, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let file = case.folder().join("aws.test");
        let preload = case.environment().into_iter().find(|(name, _)| name == "LD_PRELOAD").expect("a clock").1;
        let set = [
            ("AWS_ENDPOINT_URL", format!("http://aws.test:{port}")),
            ("LD_PRELOAD", format!("{preload} {}", library.display())),
            ("RESOLVER_FILE", file.display().to_string()),
        ];
        fs::write(&file, "127.0.0.1").expect("a file");
        let mut halting = environment(&case, &set, &[]);
        let plain = halting.clone();
        halting.push(("COSTWARDEN_HALT_AT".to_owned(), "J6.after".to_owned()));
        let mut running = apply_in(&mut case, halting);
        running.says("halted at J6.after");
        case.kill(running);
        case.past_the_lease();
        let before = case.counted();
        assert_eq!((before.snapshots, before.acts), (1, 0), "{name:?}");

        let other = match name {
            Name::Stranger => "127.0.0.9",
            Name::Nobody => "127.0.0.10",
            Name::Nothing => "",
        };
        fs::write(&file, other).expect("a file");
        let mut running = apply_in(&mut case, plain.clone());
        let began = Monotonic::now();
        // A worker that waits for AWS to be there again is killed.
        while running.ended().is_none() && began.elapsed() < Duration::from_secs(40) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_ne!(running.ended().map(|status| status.code()), Some(Some(0)), "{name:?}: {}", running.errors());
        case.kill(running);
        assert_eq!(case.counted(), before, "{name:?}");
        let log = fs::read_to_string(case.folder().join("aws.test.log")).expect("names were looked up");
        let met = log.lines().filter(|line| *line == other).count();
        assert!(met > 0, "{name:?}: {log}");
        fs::write(&file, "127.0.0.1").expect("a file");
        done_at_last(&mut case, &format!("{name:?}"));
        (name, met)
    });
    assert!(asked.load(Ordering::Relaxed) > 0, "the stranger was asked");
    eprintln!("{met:?}, {asked:?} connections to the stranger");
    reached("the DNS answer changes", met.iter().map(|(_, times)| times).sum());
}

#[test]
fn over_ipv6_alone_everything_is_done_as_well() {
    let world = World::shared();
    let port = port_of(&world.moto.url());
    let listener = TcpListener::bind("[::1]:0").expect("the machine has IPv6 on loopback, as the test needs it");
    let address = listener.local_addr().expect("its number");
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    std::thread::spawn(move || {
        for inside in listener.incoming().flatten() {
            let outside = TcpStream::connect(("127.0.0.1", port)).expect("moto listens");
            counted.fetch_add(1, Ordering::Relaxed);
            let copies =
                [(inside.try_clone().expect("a socket"), outside.try_clone().expect("a socket")), (outside, inside)];
            for (mut from, mut to) in copies {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    let mut case = Case::new(world, &world.loose(), Act::DeleteVolume);
    let only = environment(&case, &[("AWS_ENDPOINT_URL", format!("http://{address}"))], &[]);
    let mut running = apply_in(&mut case, only);
    assert_eq!(running.end().code(), Some(0), "{}", running.errors());
    assert_eq!((case.ended(), case.counted().acts), (Some(JournalState::Done), 1), "{:?}", case.told());
    reached("IPv6 alone", met.load(Ordering::Relaxed));
}

/// Reads a request and answers it.
fn answer(mut stream: TcpStream, status: &str, kind: &str, headers: &str, body: &str) {
    let mut seen = [0; 8_192];
    if !matches!(stream.read(&mut seen), Ok(count) if count > 0) {
        return;
    }
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

/// A metadata service; its address, and how many requests it met in its bad way.
fn metadata(how: Metadata, now: costwarden::domain::Instant) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = format!("http://{}", listener.local_addr().expect("its number"));
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    std::thread::spawn(move || {
        let mut given = 0;
        for mut stream in listener.incoming().flatten() {
            let mut seen = [0; 8_192];
            let count = stream.read(&mut seen).unwrap_or(0);
            let asked = String::from_utf8_lossy(&seen[..count]).into_owned();
            let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
            let bad = how != Metadata::DownLater || given > 0;
            counted.fetch_add(usize::from(bad), Ordering::Relaxed);
            let end = if how == Metadata::Expired {
                now - chrono::TimeDelta::hours(1)
            } else {
                now + chrono::TimeDelta::minutes(1)
            };
            let (status, body) = match how {
                Metadata::Slow => {
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_secs(120));
                        drop(stream);
                    });
                    continue;
                }
                Metadata::Down => ("503 Service Unavailable", String::new()),
                Metadata::DownLater if given > 0 => ("503 Service Unavailable", String::new()),
                _ if path == "/latest/api/token" => ("200 OK", "a-token".to_owned()),
                _ if path.ends_with("/security-credentials/") || path.ends_with("/security-credentials-extended/") => {
                    ("200 OK", "worker".to_owned())
                }
                _ if path.ends_with("/worker") => {
                    given += 1;
                    let keys = serde_json::json!({
                        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": now, "Expiration": end,
                        "AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "secret", "Token": "session",
                        "AccountId": "123456789012"
                    });
                    ("200 OK", keys.to_string())
                }
                _ => ("404 Not Found", String::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (address, met)
}

#[test]
fn h04_a_metadata_service_that_is_slow_down_or_gives_old_credentials_leads_to_one_act_at_most() {
    let world = World::shared();
    let jobs = METADATA.into_iter().zip(std::iter::repeat_with(|| world.loose())).collect();
    let met: Vec<(Metadata, usize)> = side_by_side(jobs, |(how, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        let (address, met) = metadata(how, super::world::due());
        let without = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"];
        let ambient = environment(&case, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)], &without);
        let mut running = apply_in(&mut case, ambient);
        let began = Monotonic::now();
        while running.ended().is_none() && began.elapsed() < Duration::from_secs(90) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let code = running.ended().map(|status| status.code());
        let said = running.errors();
        case.kill(running);
        let acts = case.counted().acts;
        if matches!(how, Metadata::Slow | Metadata::Down) {
            assert!(acts == 0 && code != Some(Some(0)), "{how:?}: {code:?}: {said}");
            assert!(said.contains("credentials"), "{how:?} does not say what is missing: {said}");
        }
        done_at_last(&mut case, &format!("{how:?}, {said}"));
        (how, met.load(Ordering::Relaxed))
    });
    eprintln!("{met:?}");
    assert!(met.iter().all(|(_, times)| *times > 0), "{met:?}");
    reached("the metadata service is slow, down or late", met.iter().map(|(_, times)| *times).sum());
}
