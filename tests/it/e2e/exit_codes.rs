//! H47 with a cloud: what went wrong with reads, acts, mail and other workers, and the one code that says so.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as Monotonic};

use aws_sdk_ec2::types::VolumeType;
use chrono::TimeDelta;
use costwarden::domain::place::Place;
use serde_json::Value;

use super::{BUILT, Estate, FINE, at, tag};
use crate::cli::Ended;
use crate::support::fixtures;
use crate::support::moto::{Fault, place};
use crate::support::smtp::Step;

const REGION: &str = "eu-central-1";
const TOLD: &str = "2027-03-09T09:30:00Z";
const DUE: &str = "2027-03-09T11:00:00Z";
/// Longest that anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(180);
const ENOUGH: &str = "mode = \"notify\"\nbreaker_count = 1000\n[enforcement.pace]\npercent_of_kind_per_day = 100\n\
                      disruptive_per_run = 100\ntags_per_run = 100";

/// A row of the table: what happened, how it ended, the code that it must have, and what must be said on stderr or in
/// the data.
fn judge(what: &str, ended: &Ended, code: i32, says: &[&str], scenarios: &mut u32) {
    *scenarios += 1;
    assert_eq!(ended.code, code, "{what}: {ended:?}");
    for words in says {
        assert!(ended.err.contains(words) || ended.out.contains(words), "{what} does not say {words:?}: {ended:?}");
    }
}

/// A few gp2 volumes that nothing else is wrong with, to be changed where the policy says so at once.
async fn estate(count: usize) -> (Estate, Place, Vec<String>) {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], ENOUGH);
    let policy = estate.desk.read("policies/examples/gp2-volumes.yaml");
    estate.desk.write("policies/gp2-volumes.yaml", policy.replace("severity: medium", "severity: critical"));
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let mut volumes = Vec::new();
    for _ in 0..count {
        volumes.push(fixtures::volume_of(&ec2, "eu-central-1a", VolumeType::Gp2, 2_000, &FINE).await);
    }
    (estate, here, volumes)
}

/// Starts the program beside others.
fn start(estate: &Estate, args: &[&str], env: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_costwarden"))
        .args(args)
        .current_dir(estate.desk.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(estate.moto.environment())
        .envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")])
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().expect("the program ends");
    Ended {
        code: output.status.code().expect("ended by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Monotonic::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The plan's findings by resource.
fn findings(plan: &Value) -> BTreeMap<String, String> {
    let steps = plan["plan"]["steps"].as_array().expect("steps").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    steps
        .map(|step| {
            let key = step["key"].to_string();
            let id = key.split(['/', '"']).find(|part| part.starts_with("vol-")).expect("a volume's id");
            (id.to_owned(), word(&step["finding"]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h47_an_apply_and_what_comes_after_it_end_with_what_happened_to_the_steps() {
    let (estate, here, volumes) = estate(7).await;
    let account = here.account.clone();
    let ec2 = estate.moto.ec2(&here).await;
    let mut count = 0;

    estate.now(TOLD);
    estate.sink.always(Some(Step::Data(451, "4.3.0 try later")));
    let told = estate.call(&["run"]);
    judge("a run whose mail is refused", &told, 1, &["not delivered yet: 1 messages"], &mut count);
    estate.sink.always(None);
    estate.now("2027-03-09T09:40:00Z");
    judge("the next run, whose mail is taken", &estate.call(&["run"]), 0, &[], &mut count);
    estate.now(DUE);
    judge("a plan with something due", &estate.call(&["plan", "--detailed-exitcode"]), 7, &[], &mut count);
    let findings = findings(&estate.json(&["plan", "--out", "plan.json"], 0));
    assert_eq!(findings.len(), volumes.len());
    let only = |volume: &str| findings[volume].clone();
    let apply = |volume: &str| estate.call(&["apply", "plan.json", "--yes", "--only", &only(volume)]);
    let changed = || estate.changes(&account).len();

    tag(&ec2, &volumes[0], &[("environment", "production")]).await;
    judge("a step on what was changed", &apply(&volumes[0]), 5, &["environment"], &mut count);
    let dry = estate.call(&["apply", "plan.json", "--dry-run", "--only", &only(&volumes[0])]);
    judge("a dry run of it", &dry, 5, &["environment"], &mut count);
    estate.moto.fault(Fault::deny("ModifyVolume").of_account(&account));
    judge("a step that is not permitted", &apply(&volumes[1]), 5, &["UnauthorizedOperation"], &mut count);
    estate.moto.forget_faults(&account);
    estate.moto.fault(Fault::error("ModifyVolume", 400, "IncorrectModificationState").acting().of_account(&account));
    judge("a step that the cloud refuses", &apply(&volumes[1]), 5, &["IncorrectModificationState"], &mut count);
    estate.moto.fault(Fault::throttle("ModifyVolume").acting().of_account(&account));
    judge("a step that is throttled", &apply(&volumes[2]), 5, &["RequestLimitExceeded"], &mut count);
    assert_eq!(changed(), 2, "the two calls that were refused");

    // Another worker is at it.
    let mut first = start(
        &estate,
        &["apply", "plan.json", "--yes", "--only", &only(&volumes[3])],
        &[("COSTWARDEN_HALT_AT", "J8.before")],
    );
    let open = || estate.call(&["actions", "list", "--open", "-o", "json"]).json()["actions"].to_string();
    until("the first worker claims its step", || open().contains(&volumes[3]));
    judge("an apply beside another", &apply(&volumes[4]), 75, &["error: "], &mut count);
    first.kill().expect("it can be killed");
    first.wait().expect("it was killed");
    judge("an apply while a killed worker's lease holds", &apply(&volumes[4]), 75, &["error: "], &mut count);
    estate.now("2027-03-09T11:20:00Z");
    let done = apply(&volumes[4]);
    judge("an apply that also ends what the killed one began", &done, 0, &[], &mut count);

    // Differences after an undo, and one that comes too early.
    let act = done.out.split_whitespace().find(|word| word.starts_with("r-")).expect("its number").to_owned();
    let undo = |flags: &[&str]| {
        estate.call(&[&["actions", "undo", act.as_str(), "--by", "eve", "--no-input"], flags].concat())
    };
    judge("an undo that comes too early", &undo(&["--yes"]), 5, &["six hours"], &mut count);
    judge("an undo that is not confirmed", &undo(&[]), 5, &["six hours"], &mut count);
    judge("an undo of nothing", &estate.call(&["actions", "undo", "r-99", "--yes"]), 2, &["r-99"], &mut count);

    // The answer is lost: whether it was done cannot be known, and a person decides.
    estate.moto.fault(Fault::html503("ModifyVolume").acting().times(9).of_account(&account));
    let before = changed();
    let mut codes = Vec::new();
    let stuck = loop {
        let child = start(&estate, &["apply", "plan.json", "--yes", "--only", &only(&volumes[5])], &[]);
        std::thread::sleep(Duration::from_millis(1_500));
        until("the call has left", || changed() > before);
        std::thread::sleep(Duration::from_millis(1_500));
        terminate(&child);
        let ended = ended(child);
        codes.push(ended.code);
        if ended.code != 143 {
            break ended;
        }
        assert!(codes.len() < 9, "it does not end: {codes:?}");
        let minutes = TimeDelta::minutes(6 * codes.len() as i64);
        estate.moto.set_time(at("2027-03-09T11:20:00Z") + minutes);
    };
    count += 1;
    assert!(codes.len() >= 3 && codes[..codes.len() - 1].iter().all(|code| *code == 143), "{codes:?}");
    judge("an apply whose act is stuck", &stuck, 1, &[], &mut count);
    estate.moto.forget_faults(&account);
    assert_eq!(changed(), before + 1, "asked once");

    // Stuck freezes everything.
    judge("a plan while frozen", &estate.call(&["plan"]), 6, &[], &mut count);
    judge("an apply while frozen", &apply(&volumes[6]), 6, &[], &mut count);
    judge("a run while frozen", &estate.call(&["run"]), 6, &[], &mut count);
    estate.now("2027-03-09T17:40:00Z");
    judge("an undo while frozen", &undo(&["--yes"]), 6, &["frozen"], &mut count);
    let partial = undo(&["--yes", "--while-frozen"]);
    judge("an undo after which something differs", &partial, 5, &["throughput"], &mut count);
    judge("an undo for the second time", &undo(&["--yes"]), 2, &["taken back already"], &mut count);
    assert_eq!(estate.call(&["unfreeze", "--by", "carol"]).code, 0);

    // The plan file outlives its day.
    estate.now("2027-03-10T11:00:05Z");
    judge("a plan that expired", &apply(&volumes[6]), 5, &["it expired"], &mut count);
    let plan = estate.desk.read("plan.json");
    estate.desk.write("plan.json", plan.replace(&volumes[6], &volumes[5]));
    judge("a plan that was edited", &apply(&volumes[6]), 5, &["it was edited"], &mut count);
    estate.desk.write("plan.json", &plan[..plan.len() / 2]);
    judge("half a plan", &apply(&volumes[6]), 2, &["plan file plan.json, line "], &mut count);
    eprintln!("H47 acting scenarios={count} wrong=0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h47_what_could_not_be_read_or_reached_is_no_success_of_any_command() {
    let (estate, here, _) = estate(1).await;
    let account = here.account.clone();
    let mut count = 0;
    estate.now(TOLD);
    judge("a doctor on a healthy machine", &estate.call(&["doctor"]), 0, &[], &mut count);
    estate.moto.fault(Fault::deny("DescribeVolumes").times(9).of_account(&account));
    judge("a doctor with a missing right", &estate.call(&["doctor"]), 1, &["FAILED", "DescribeVolumes"], &mut count);
    judge("a scan without one listing", &estate.call(&["scan"]), 4, &["incomplete: ", "DescribeVolumes"], &mut count);
    judge("a plan over that scan", &estate.call(&["plan"]), 4, &[], &mut count);
    judge("a run without one listing", &estate.call(&["run"]), 4, &[], &mut count);
    judge("a dry run without one listing", &estate.call(&["run", "--dry-run"]), 4, &[], &mut count);
    let day = ["report", "daily", "--period", "2027-03-09"];
    judge("a report over that run", &estate.call(&day), 4, &[], &mut count);
    let send = [&day[..], &["--send", "--to", "ann@example.com"]].concat();
    estate.sink.always(Some(Step::Recipient(550, "5.1.1 no such user")));
    judge("a report whose recipient is refused", &estate.call(&send), 1, &["given up: message", "550"], &mut count);
    estate.sink.always(None);
    estate.moto.forget_faults(&account);

    // The deadline of a call runs out; and somebody has waited long enough.
    estate.moto.fault(Fault::delay("DescribeVolumes", Duration::from_secs(60)).times(9).of_account(&account));
    judge("a scan whose listing hangs", &estate.call(&["scan"]), 4, &["no answer within the time limit"], &mut count);
    let asked = estate.moto.seen(&account, "DescribeVolumes").len();
    let child = start(&estate, &["scan"], &[]);
    until("the listing is asked for", || estate.moto.seen(&account, "DescribeVolumes").len() > asked);
    terminate(&child);
    judge("a scan that is ended", &ended(child), 143, &[], &mut count);
    estate.moto.forget_faults(&account);

    // Nobody listens, and the credentials are somebody else's.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let nowhere = format!("http://{}", listener.local_addr().expect("its number"));
    drop(listener);
    let silent = ended(start(&estate, &["scan"], &[("AWS_ENDPOINT_URL", nowhere.as_str())]));
    judge("a scan where nobody listens", &silent, 4, &["incomplete: "], &mut count);
    let silent = ended(start(&estate, &["run"], &[("AWS_ENDPOINT_URL", nowhere.as_str())]));
    judge("a run where nobody listens", &silent, 4, &[], &mut count);
    let settings = estate.desk.read("costwarden.toml");
    let own = settings.lines().filter(|line| !line.starts_with("role_arn")).collect::<Vec<_>>().join("\n");
    estate.desk.write("costwarden.toml", own + "\n");
    judge("a scan with another account's keys", &estate.call(&["scan"]), 4, &["belong"], &mut count);
    judge("a doctor with them", &estate.call(&["doctor"]), 1, &["FAILED"], &mut count);
    estate.desk.write("costwarden.toml", settings);

    // Two daemons.
    let mut first = start(&estate, &["daemon", "--log-format", "text"], &[]);
    until("the first one holds the lock", || estate.desk.path().join("state/daemon.lock").exists());
    std::thread::sleep(Duration::from_millis(500));
    judge("a second daemon", &estate.call(&["daemon"]), 75, &["error: "], &mut count);
    assert!(first.try_wait().expect("it can be asked").is_none());
    terminate(&first);
    judge("a daemon that is ended", &ended(first), 143, &[], &mut count);
    eprintln!("H47 reading scenarios={count} wrong=0");
}
