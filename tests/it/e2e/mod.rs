//! The whole program on a real wire: the binary as built, moto's AWS, a real SMTP server, one clock for all of them.
//!
//! What is found is compared as a whole set, what was done is judged from the cloud's own log and from the resources
//! that are left. Nothing here looks into the program.

mod drill;
mod exit_codes;
mod failing;
mod keys;
mod nights;
mod places;
mod plans;
mod resize;
mod rights;
mod runs;
mod terminate;
mod undo;
mod wrong;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use aws_sdk_ec2::types::{Filter, Snapshot, Tag};
use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::place::{AccountId, Place};
use serde_json::Value;

use crate::cli::{Desk, Ended};
use crate::support::fixtures;
use crate::support::moto::{Moto, Seen};
use crate::support::smtp::SmtpSink;

/// Tags with which nobody finds fault.
const FINE: [(&str, &str); 3] = [("owner", "ann@example.com"), ("cost-center", "CC-1"), ("environment", "test")];

/// A Monday, when everything is built.
const BUILT: &str = "2027-03-01T02:00:00Z";
/// Eight nights later: seven full days have passed since.
const FIRST_NIGHT: &str = "2027-03-09T02:00:00Z";

/// Files with their bytes.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// An AWS, a mail server, and a desk from which the program is called, all at the same time of the same day.
struct Estate {
    moto: Moto,
    sink: SmtpSink,
    desk: Desk,
}

impl Estate {
    /// Everything empty, at an instant.
    async fn at(now: &str) -> Estate {
        Estate { moto: Moto::start_at(at(now)), sink: SmtpSink::start(&[]).await, desk: Desk::set_up() }
    }

    /// Settings for these accounts, reached by role, each in these Regions; `enforcement` are lines of that table.
    fn settings(&self, accounts: &[&AccountId], regions: &[&str], enforcement: &str) {
        let entry = |account: &&AccountId| {
            format!(
                "[[accounts]]\nid = \"{account}\"\nrole_arn = \"{}\"\nregions = {regions:?}\n",
                self.moto.role(account)
            )
        };
        let accounts: String = accounts.iter().map(entry).collect();
        self.desk.write(
            "costwarden.toml",
            format!(
                "state_dir = \"state\"\n{accounts}[enforcement]\n{enforcement}\n[owners]\n\
                 allowed_domains = [\"example.com\"]\ndefault_owner = \"cloud-team@example.com\"\n\
                 [mail]\nfrom = \"costwarden@example.com\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
                self.sink.address.port()
            ),
        );
    }

    /// Replaces words in a policy that `init` wrote.
    fn edit_policy(&self, name: &str, from: &str, to: &str) {
        let file = format!("policies/{name}.yaml");
        let text = self.desk.read(&file);
        assert!(text.contains(from), "{file} lacks {from:?}");
        self.desk.write(&file, text.replace(from, to));
    }

    /// Moves everybody's clock.
    fn now(&self, now: &str) {
        self.moto.set_time(at(now));
    }

    /// Calls the program.
    fn call(&self, args: &[&str]) -> Ended {
        self.call_typing(args, "")
    }

    /// Calls the program and types into it.
    fn call_typing(&self, args: &[&str], typed: &str) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_costwarden"))
            .args(args)
            .current_dir(self.desk.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.moto.environment())
            // Files that are there and empty: about missing ones the SDK warns, and what is said is counted here.
            .envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("the pipe takes a line");
        let output = child.wait_with_output().expect("the program ends");
        Ended {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// A call that must end with this code, and its JSON.
    fn json(&self, args: &[&str], code: i32) -> Value {
        let ended = self.call(&[args, &["-o", "json"]].concat());
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {ended:?}"))
    }

    /// Every file, but SQLite's index for readers and a write-ahead log without anything in it: both come to be by
    /// reading alone.
    fn files(&self) -> Files {
        let is_content = |(path, bytes): &(PathBuf, Vec<u8>)| {
            let name = path.to_string_lossy();
            !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty())
        };
        self.desk.files().into_iter().filter(is_content).collect()
    }

    /// Every file of the desk is as it was, by name and byte.
    fn unchanged_since(&self, before: &Files, why: &str) {
        let now = self.files();
        let missing = |one: &Files, other: &Files| -> Vec<PathBuf> {
            one.iter().filter(|file| !other.contains(file)).map(|(path, _)| path.clone()).collect()
        };
        let changed = (missing(before, &now), missing(&now, before));
        assert_eq!(changed, (Vec::new(), Vec::new()), "{why}: files gone or changed, and files new or changed");
    }

    /// Requests of an account that changed something, by operation and target, in order; what builds the fixtures and
    /// dry runs are left out.
    fn changes(&self, account: &AccountId) -> Vec<(String, String)> {
        self.moto.log(account).into_iter().filter(changed_by_the_program).map(operation_and_target).collect()
    }

    /// A running instance whose root volume is tagged as well; returns its id and the root volume's.
    async fn instance(&self, place: &Place, subnet: &str, kind: &str, tags: &[(&str, &str)]) -> (String, String) {
        let ec2 = self.moto.ec2(place).await;
        let id = fixtures::instance(&ec2, subnet, kind, tags).await;
        let of_this = Filter::builder().name("attachment.instance-id").values(&id).build();
        let volumes = ec2.describe_volumes().filters(of_this).send().await.expect("volumes are listed");
        let root = volumes.volumes()[0].volume_id().expect("it has an id").to_owned();
        tag(&ec2, &root, &FINE).await;
        (id, root)
    }

    /// What an instance did in every hour from one instant until another.
    async fn worked(&self, place: &Place, instance: &str, from: &str, to: &str, cpu: f64, bytes_an_hour: f64) {
        let hours = (at(to) - at(from)).num_hours();
        let hourly = |value: f64| -> Vec<(Instant, f64)> {
            (0..hours).map(|hour| (at(from) + TimeDelta::hours(hour) + TimeDelta::minutes(5), value)).collect()
        };
        self.moto.put_metrics(place, instance, "CPUUtilization", &hourly(cpu)).await;
        for metric in ["NetworkIn", "NetworkOut"] {
            self.moto.put_metrics(place, instance, metric, &hourly(bytes_an_hour / 2.0)).await;
        }
    }

    /// The state of an instance as EC2 tells it.
    async fn state_of(&self, place: &Place, instance: &str) -> String {
        let ec2 = self.moto.ec2(place).await;
        let told = ec2.describe_instances().instance_ids(instance).send().await.expect("it is there");
        let state = told.reservations()[0].instances()[0].state().and_then(|state| state.name()).expect("a state");
        state.as_str().to_owned()
    }

    /// The ids of all volumes.
    async fn volumes(&self, place: &Place) -> BTreeSet<String> {
        let told = self.moto.ec2(place).await.describe_volumes().send().await.expect("volumes are listed");
        told.volumes().iter().map(|volume| volume.volume_id().expect("an id").to_owned()).collect()
    }

    /// The account's own snapshots that the program marked as its safety snapshots.
    async fn safety_snapshots(&self, place: &Place) -> Vec<Snapshot> {
        let request = self.moto.ec2(place).await.describe_snapshots().owner_ids("self").send();
        let told = request.await.expect("snapshots are listed");
        told.snapshots().iter().filter(|one| tag_of(one, "costwarden:safety-snapshot").is_some()).cloned().collect()
    }
}

fn at(text: &str) -> Instant {
    text.parse().expect("an instant")
}

async fn tag(ec2: &aws_sdk_ec2::Client, resource: &str, tags: &[(&str, &str)]) {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
    ec2.create_tags().resources(resource).set_tags(Some(tags)).send().await.expect("tags are written");
}

fn tag_of<'a>(snapshot: &'a Snapshot, key: &str) -> Option<&'a str> {
    snapshot.tags().iter().find(|tag| tag.key() == Some(key)).and_then(Tag::value)
}

/// Whether the program (and not the test) asked for a change.
fn changed_by_the_program(seen: &Seen) -> bool {
    let reading = ["Describe", "Get", "List", "AssumeRole"];
    let operation = seen.operation.as_deref().unwrap_or("?");
    seen.agent.contains("app/costwarden-") && !seen.dry_run && !reading.iter().any(|word| operation.starts_with(word))
}

fn operation_and_target(seen: Seen) -> (String, String) {
    (seen.operation.unwrap_or_default(), seen.targets.join(" "))
}

/// The findings of a document, as resource, check and phase.
fn found(document: &Value) -> BTreeSet<(String, String, String)> {
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let findings = document["findings"].as_array().expect("findings");
    let found: BTreeSet<_> =
        findings.iter().map(|one| (word(&one["resource"]["id"]), word(&one["check"]), word(&one["phase"]))).collect();
    assert_eq!(found.len(), findings.len(), "one finding for each resource and check");
    found
}

/// The same, as the test expects it.
fn expected(rows: &[(&str, &str, &str)]) -> BTreeSet<(String, String, String)> {
    rows.iter().map(|(id, check, phase)| ((*id).to_owned(), (*check).to_owned(), (*phase).to_owned())).collect()
}
