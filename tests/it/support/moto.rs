//! The AWS of the wire tests: moto behind `tests/support/front.py`.
//!
//! [`Moto::shared`] serves all tests that bring their own account ([`Moto::account`]): accounts are isolated from each
//! other, faults, page sizes and snapshot rules are set per account, and so is the log read. A test that moves time
//! starts its own with [`Moto::start_at`]. The server ends when this process does, however it ends.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant as Monotonic};

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use costwarden::clock::Clock;
use costwarden::cloud::aws::{AwsAccount, AwsActor, AwsOptions, AwsProber, AwsReader};
use costwarden::domain::Instant;
use costwarden::domain::place::{AccountId, Place, Region};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::python;

/// The account of credentials that no role gave; moto's default.
pub const AMBIENT_ACCOUNT: &str = "123456789012";

/// One running moto.
pub struct Moto {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    clock: Option<FakeClock>,
    keys: Mutex<HashMap<AccountId, Credentials>>,
}

struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

/// Something that goes wrong with the next requests of an operation; `front.py` explains the modes.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    operation: String,
    mode: &'static str,
    count: u32,
    skip: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    acting: bool,
    seconds: f64,
    code: String,
    status: u16,
}

/// One request as the cloud saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    /// Signing name: `ec2`, `monitoring`, `ce`, `sts`, `kms`.
    pub service: Option<String>,
    /// For example `StopInstances`.
    pub operation: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Ids of the resources that it names.
    pub targets: Vec<String>,
    /// Sent with `DryRun`.
    pub dry_run: bool,
    /// All parameters of the request, as sent.
    pub parameters: Value,
    /// The caller's user agent.
    pub agent: String,
    /// HTTP status of the answer; none when there was no answer.
    pub status: Option<u16>,
    /// The fault that met it.
    pub fault: Option<String>,
    /// For a stop or a delete: the volumes that had a completed snapshot when it arrived.
    #[serde(default)]
    pub backups: Vec<String>,
}

impl Moto {
    /// The one that tests with an account of their own share.
    pub fn shared() -> &'static Moto {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Moto::start)
    }

    /// One of your own, on the machine's clock.
    pub fn start() -> Moto {
        Moto::launch(None)
    }

    /// One of your own whose clock begins at `now` and runs on from there; see [`Moto::set_time`].
    pub fn start_at(now: Instant) -> Moto {
        Moto::launch(Some(now))
    }

    fn launch(now: Option<Instant>) -> Moto {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port_file = folder.path().join("port");
        let errors = folder.path().join("stderr");
        let clock = now.map(|now| {
            let clock = FakeClock { library: python::libfaketime(), file: folder.path().join("faketime") };
            clock.set(now);
            clock
        });
        let mut command = Command::new(python::python());
        command.arg(python::support_file("front.py")).arg(&port_file).env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(clock) = &clock {
            // It asks for the time thousands of times a second: reading the file each time took two thirds of its own.
            command.envs(clock.environment()).env_remove("FAKETIME_NO_CACHE").env("FAKETIME_CACHE_DURATION", "1");
        }
        let stderr = fs::File::create(&errors).expect("the temporary folder is writable");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the tests' Python starts");
        let began = Monotonic::now();
        let port = loop {
            if let Some(port) = fs::read_to_string(&port_file).ok().and_then(|text| text.parse().ok()) {
                break port;
            }
            let ended = child.try_wait().expect("the child can be asked");
            if ended.is_some() || began.elapsed() > Duration::from_secs(120) {
                let errors = fs::read_to_string(&errors).unwrap_or_default();
                let _ = child.kill();
                panic!("moto did not start ({ended:?} after {:?}):\n{errors}", began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Moto { child, port, folder, clock, keys: Mutex::default() }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A fresh account that no other test knows.
    pub fn account(&self) -> AccountId {
        static NEXT: AtomicU64 = AtomicU64::new(200_000_000_000);
        AccountId::new(&NEXT.fetch_add(1, Ordering::Relaxed).to_string()).expect("twelve digits")
    }

    /// What the answers to an account say of the time: this many seconds ahead, or nothing at all.
    pub fn tell_time(&self, account: &AccountId, ahead: Option<i64>) {
        self.post("/_front/clock", &json!({"account": account, "ahead": ahead}));
    }

    /// The role through which an account is reached.
    pub fn role(&self, account: &AccountId) -> String {
        format!("arn:aws:iam::{account}:role/costwarden")
    }

    /// The account as the adapter takes it: through its role, or with the ambient credentials if they are its own.
    pub fn aws_account(&self, account: &AccountId) -> AwsAccount {
        let role_arn = (account.as_str() != AMBIENT_ACCOUNT).then(|| self.role(account));
        AwsAccount { id: account.clone(), role_arn, external_id: None, session_name: None }
    }

    /// Production's reader, with pauses short enough for tests.
    pub async fn reader(&self, accounts: &[&AccountId]) -> AwsReader {
        self.reader_with(accounts, quick()).await
    }

    /// A reader with these bounds.
    pub async fn reader_with(&self, accounts: &[&AccountId], options: AwsOptions) -> AwsReader {
        let accounts: Vec<AwsAccount> = accounts.iter().map(|account| self.aws_account(account)).collect();
        AwsReader::with_config(self.ambient().await, &accounts, options).expect("accounts are listed once")
    }

    /// Production's actor.
    pub async fn actor(&self, accounts: &[&AccountId]) -> AwsActor {
        self.actor_with(accounts, quick()).await
    }

    /// An actor with these bounds.
    pub async fn actor_with(&self, accounts: &[&AccountId], options: AwsOptions) -> AwsActor {
        let accounts: Vec<AwsAccount> = accounts.iter().map(|account| self.aws_account(account)).collect();
        AwsActor::with_config(self.ambient().await, &accounts, options).expect("accounts are listed once")
    }

    /// Production's prober of rights.
    pub async fn prober(&self, accounts: &[&AccountId]) -> AwsProber {
        let accounts: Vec<AwsAccount> = accounts.iter().map(|account| self.aws_account(account)).collect();
        AwsProber::with_config(self.ambient().await, &accounts, quick()).expect("accounts are listed once")
    }

    /// From now on roles of `account` may make these operations of EC2 and no others.
    pub fn rights(&self, account: &AccountId, allowed: &[&str]) {
        self.post("/_front/rights", &json!({"account": account, "allowed": allowed}));
    }

    /// The requests for a role of `account`, which the worker's own credentials make.
    pub fn assumed(&self, account: &AccountId) -> Vec<Seen> {
        let ambient = AccountId::new(AMBIENT_ACCOUNT).expect("twelve digits");
        let of_role = |seen: &Seen| seen.parameters["RoleArn"] == self.role(account).as_str();
        self.seen(&ambient, "AssumeRole").into_iter().filter(of_role).collect()
    }

    /// EC2 in a place with the credentials of a session that was assumed under this policy.
    pub async fn ec2_under(&self, place: &Place, policy: &str) -> aws_sdk_ec2::Client {
        let form: String = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role(&place.account)),
            ("RoleSessionName", "narrow"),
            ("Policy", policy),
        ]
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .join("&");
        let keys = credentials(&self.http("POST", "/", &form));
        aws_sdk_ec2::Client::new(&self.sdk_config(place.region.as_str(), keys).await)
    }

    /// For building fixtures: EC2 in an account and Region.
    pub async fn ec2(&self, place: &Place) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config(place).await)
    }

    /// For building fixtures: CloudWatch in an account and Region.
    pub async fn cloudwatch(&self, place: &Place) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.config(place).await)
    }

    /// For building fixtures: KMS in an account and Region.
    pub async fn kms(&self, place: &Place) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.config(place).await)
    }

    /// The environment that makes a child process, the program for example, use this AWS and this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let nowhere = self.folder.path().join("no-such-file").display().to_string();
        let mut variables: Vec<(String, String)> = [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_CONFIG_FILE", nowhere.clone()),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
            ("NO_PROXY", "127.0.0.1".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(clock) = &self.clock {
            variables.extend(clock.environment().map(|(name, value)| (name.to_owned(), value)));
        }
        variables
    }

    /// Moves the clock of moto, and of every child that was given [`Moto::environment`], to `now`; it runs on.
    pub fn set_time(&self, now: Instant) {
        self.clock.as_ref().expect("start_at gives a clock that can be moved").set(now);
        // Moto looks at its clock's file once a second.
        let began = Monotonic::now();
        loop {
            let shown: f64 = self.http("GET", "/_front/time", "").parse().expect("the front answers with a number");
            if (shown - self.now().timestamp_millis() as f64 / 1_000.0).abs() < 2.0 {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "moto does not take its time: it shows {shown}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What its clock shows.
    pub fn now(&self) -> Instant {
        let file = &self.clock.as_ref().expect("start_at gives a clock that can be read").file;
        let text = fs::read_to_string(file).expect("the clock's file");
        let offset: f64 = text.trim().parse().expect("an offset in seconds");
        chrono::Utc::now() + chrono::TimeDelta::milliseconds((offset * 1_000.0) as i64)
    }

    /// [`Moto::environment`] with a clock of the child's own, in this file; see [`write_offset`].
    pub fn environment_with_clock(&self, file: &std::path::Path) -> Vec<(String, String)> {
        let mut variables = self.environment();
        for (name, value) in &mut variables {
            if name == "FAKETIME_TIMESTAMP_FILE" {
                *value = file.display().to_string();
            }
        }
        variables
    }

    /// Plants a fault.
    pub fn fault(&self, fault: Fault) {
        self.post("/_front/faults", &json!([fault]));
    }

    /// Forgets the faults of an account.
    pub fn forget_faults(&self, account: &AccountId) {
        self.http("DELETE", &format!("/_front/faults?account={account}"), "");
    }

    /// Snapshots of `account` stay pending for so many describes and seconds, and end as this word.
    pub fn snapshots(&self, account: &AccountId, describes: u32, pending: Duration, ends_as: &str) {
        let seconds = pending.as_secs_f64();
        let rule = json!({"account": account, "describes": describes, "seconds": seconds, "ends_as": ends_as});
        self.post("/_front/snapshots", &rule);
    }

    /// Snapshots of `account` that are pending end now.
    pub fn settle(&self, account: &AccountId) {
        self.post("/_front/settle", &json!({"account": account}));
    }

    /// A snapshot of another owner that `place` may use. Returns its id.
    pub fn foreign_snapshot(&self, place: &Place) -> String {
        let id = self.post("/_front/foreign-snapshot", &json!({"account": place.account, "region": place.region}));
        serde_json::from_str(&id).expect("the front answers with the id")
    }

    /// Lists of `account` come in pages of at most this many.
    pub fn page_size(&self, account: &AccountId, size: u32) {
        self.post("/_front/pages", &json!({"account": account, "size": size}));
    }

    /// Every request of `account` so far, in order.
    pub fn log(&self, account: &AccountId) -> Vec<Seen> {
        let body = self.http("GET", &format!("/_front/log?account={account}"), "");
        serde_json::from_str(&body).expect("the front's log has the shape of `Seen`")
    }

    /// The requests of `account` to one operation.
    pub fn seen(&self, account: &AccountId, operation: &str) -> Vec<Seen> {
        self.log(account).into_iter().filter(|seen| seen.operation.as_deref() == Some(operation)).collect()
    }

    /// Queues answers of Cost Explorer; the next question takes the first, and keeps it.
    pub fn queue_costs(&self, account: &AccountId, results: Value) {
        self.post("/moto-api/static/ce/cost-and-usage-results", &json!({"account_id": account, "results": results}));
    }

    /// Metrics of `AWS/EC2` for an instance. EC2's own units are bytes, percent and counts; none is sent here,
    /// because readers must not filter by unit.
    pub async fn put_metrics(&self, place: &Place, instance: &str, metric: &str, points: &[(Instant, f64)]) {
        use aws_sdk_cloudwatch::primitives::DateTime;
        use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};

        let client = self.cloudwatch(place).await;
        let dimension = Dimension::builder().name("InstanceId").value(instance).build();
        for chunk in points.chunks(900) {
            let datum = |(at, value): &(Instant, f64)| {
                MetricDatum::builder()
                    .metric_name(metric)
                    .dimensions(dimension.clone())
                    .timestamp(DateTime::from_secs(at.timestamp()))
                    .value(*value)
                    .build()
            };
            let data = Some(chunk.iter().map(datum).collect());
            client
                .put_metric_data()
                .namespace("AWS/EC2")
                .set_metric_data(data)
                .send()
                .await
                .expect("metrics are taken");
        }
    }

    /// From now on an account has this alias, and no other.
    pub fn call_account(&self, account: &AccountId, alias: &str) {
        let form = format!("Action=CreateAccountAlias&Version=2010-05-08&AccountAlias={alias}");
        let keys = self.keys(account);
        self.http_as(keys.access_key_id(), "us-east-1/iam", "POST", "/", &form);
    }

    /// The configuration of someone with ambient credentials.
    pub async fn ambient(&self) -> SdkConfig {
        self.sdk_config("us-east-1", Credentials::new("test", "test", None, None, "tests")).await
    }

    async fn config(&self, place: &Place) -> SdkConfig {
        self.sdk_config(place.region.as_str(), self.keys(&place.account)).await
    }

    async fn sdk_config(&self, region: &str, keys: Credentials) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(SdkRegion::new(region.to_owned()))
            .endpoint_url(self.url())
            .credentials_provider(keys)
            .load()
            .await
    }

    /// Keys of an account, from its role, without an end: the tests' clock is not moto's.
    fn keys(&self, account: &AccountId) -> Credentials {
        if account.as_str() == AMBIENT_ACCOUNT {
            return Credentials::new("test", "test", None, None, "tests");
        }
        let mut keys = self.keys.lock().expect("no test panics while it holds this");
        let entry = keys.entry(account.clone()).or_insert_with(|| {
            let role = self.role(account);
            let form = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName=fixtures");
            credentials(&self.http("POST", "/", &form))
        });
        entry.clone()
    }

    fn post(&self, path: &str, body: &Value) -> String {
        self.http("POST", path, &body.to_string())
    }

    /// One small request over plain sockets: the control endpoints must work from any runtime, or none.
    fn http(&self, method: &str, path: &str, body: &str) -> String {
        match path {
            "/" => self.http_as("test", "us-east-1/sts", method, path, body),
            _ => self.http_as("none", "us-east-1/none", method, path, body),
        }
    }

    /// The same with this key, for a service in a Region.
    fn http_as(&self, key: &str, service: &str, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("moto listens");
        let kind = if path == "/" { "application/x-www-form-urlencoded" } else { "application/json" };
        let scope = format!("{key}/20260101/{service}/aws4_request");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("moto reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("moto answers in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {path} was answered with {status}: {body}");
        body.to_owned()
    }
}

/// The keys in an answer to AssumeRole.
fn credentials(answer: &str) -> Credentials {
    let part = |name: &str| {
        let rest = answer.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
        let value = rest.and_then(|rest| rest.split_once("</")).map(|(value, _)| value.to_owned());
        value.unwrap_or_else(|| panic!("AssumeRole's answer lacks {name}: {answer}"))
    };
    Credentials::new(part("AccessKeyId"), part("SecretAccessKey"), Some(part("SessionToken")), None, "tests")
}

/// A value of a form.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl FakeClock {
    fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    fn set(&self, now: Instant) {
        write_offset(&self.file, now);
    }
}

/// Sets the clock of a file for libfaketime. Written as an offset, so that the clock runs on and all processes agree;
/// renamed, so that none reads half.
pub fn write_offset(file: &std::path::Path, now: Instant) {
    let offset = (now - chrono::Utc::now()).num_milliseconds() as f64 / 1_000.0;
    let fresh = file.with_extension("new");
    fs::write(&fresh, format!("{offset:+.3}\n")).expect("the temporary folder is writable");
    fs::rename(&fresh, file).expect("a rename within one folder");
}

impl Fault {
    /// The next request is refused for too many requests, with EC2's 503.
    pub fn throttle(operation: &str) -> Fault {
        Fault::of(operation, "throttle")
    }

    /// The next request is not permitted.
    pub fn deny(operation: &str) -> Fault {
        Fault::of(operation, "deny")
    }

    /// The next request is answered with this error.
    pub fn error(operation: &str, status: u16, code: &str) -> Fault {
        Fault { status, code: code.into(), ..Fault::of(operation, "error") }
    }

    /// The next request is answered with a proxy's HTML page.
    pub fn html503(operation: &str) -> Fault {
        Fault::of(operation, "html503")
    }

    /// The next request is done and answered after a pause.
    pub fn delay(operation: &str, pause: Duration) -> Fault {
        Fault { seconds: pause.as_secs_f64(), ..Fault::of(operation, "delay") }
    }

    /// The next request is done, and the connection reset without an answer.
    pub fn reset(operation: &str) -> Fault {
        Fault::of(operation, "reset")
    }

    /// The connection of the next request is reset, and nothing done.
    pub fn reset_before(operation: &str) -> Fault {
        Fault::of(operation, "reset_before")
    }

    /// Half of the next answer arrives, then the connection ends.
    pub fn cut(operation: &str) -> Fault {
        Fault::of(operation, "cut")
    }

    /// Half of the next answer arrives with a length that calls it whole.
    pub fn cut_whole(operation: &str) -> Fault {
        Fault::of(operation, "cut_whole")
    }

    /// The next request is done, and its answer comes a byte a second.
    pub fn trickle(operation: &str) -> Fault {
        Fault::of(operation, "trickle")
    }

    /// The next so many requests.
    pub fn times(self, count: u32) -> Fault {
        Fault { count, ..self }
    }

    /// Not the next so many requests, but those after them.
    pub fn after(self, skip: u32) -> Fault {
        Fault { skip, ..self }
    }

    /// Only requests with this account's credentials. Always say it on a shared moto.
    pub fn of_account(self, account: &AccountId) -> Fault {
        Fault { account: Some(account.clone()), ..self }
    }

    /// Only requests that would change something; dry runs go through.
    pub fn acting(self) -> Fault {
        Fault { acting: true, ..self }
    }

    /// Only requests to this Region.
    pub fn in_region(self, region: &Region) -> Fault {
        Fault { region: Some(region.clone()), ..self }
    }

    fn of(operation: &str, mode: &'static str) -> Fault {
        Fault {
            operation: operation.into(),
            mode,
            count: 1,
            skip: 0,
            account: None,
            region: None,
            acting: false,
            seconds: 0.0,
            code: "InternalError".into(),
            status: 500,
        }
    }
}

/// Production's bounds with short pauses between attempts, and none between requests: those are taken on a clock that
/// only they move.
pub fn quick() -> AwsOptions {
    let pacing = Clock::virtual_at(chrono::DateTime::UNIX_EPOCH);
    AwsOptions { max_backoff: Duration::from_millis(20), pacing, ..AwsOptions::default() }
}

/// An account in a Region.
pub fn place(account: &AccountId, region: &str) -> Place {
    Place { account: account.clone(), region: Region::new(region).expect("a Region's name") }
}
