//! One state copied, one step of the plan: started, killed, started again, and judged by the cloud's log.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Monotonic};

use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::place::AccountId;
use costwarden::domain::plan::{Plan, Step};
use costwarden::domain::remediation::{JournalState, Remediation};
use costwarden::store::{ANCHOR_NAME, FILE_NAME, Store};

use super::world::{Pair, World, due};
use crate::support::moto::{Seen, write_offset};

/// Longer than a killed worker's lease holds.
const PAST_THE_LEASE: TimeDelta = TimeDelta::minutes(16);
/// The plan of a case, in its folder.
const PLAN: &str = "plan.json";
/// Longest that anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub struct Case {
    pub world: &'static World,
    pub account: AccountId,
    pub step: Step,
    now: Instant,
    /// The right time of this case minus the cloud's clock, once the two are tied.
    right: TimeDelta,
    home: tempfile::TempDir,
    calls: u32,
    /// How often it was killed.
    pub kills: u32,
}

/// A running call of the program.
pub struct Running {
    child: Child,
    errors: PathBuf,
}

/// What the cloud saw of a case.
#[derive(Debug, PartialEq, Eq)]
pub struct Counts {
    /// Calls that asked for snapshots.
    pub snapshots: usize,
    /// Stops of the instance, or deletes of the volume.
    pub acts: usize,
}

impl Case {
    pub fn new(world: &'static World, pair: &Pair, act: Act) -> Case {
        let (account, step) = (pair.account.clone(), world.step(pair, act).clone());
        let home = tempfile::tempdir().expect("a temporary folder");
        world.copy_to(home.path(), &account, "notify");
        own_state(world, home.path());
        let case = Case { world, account, step, now: due(), right: TimeDelta::zero(), home, calls: 0, kills: 0 };
        write_offset(&case.clock(), case.now);
        case
    }

    /// Moves the clock of this case.
    pub fn later(&mut self, by: TimeDelta) {
        self.set_clock(self.now + by);
    }

    /// Sets the clock of this case, forward or back.
    pub fn set_clock(&mut self, now: Instant) {
        self.now = now;
        write_offset(&self.clock(), self.now);
    }

    /// From now on this account's cloud tells the time that the clock of this case shows now, however that one is moved.
    pub fn cloud_tells_the_time(&mut self) {
        write_offset(&self.clock(), self.now);
        self.right = self.now - self.world.moto.now();
        self.world.moto.tell_time(&self.account, Some(self.right.num_seconds()));
    }

    /// The right time, by the cloud.
    pub fn right_time(&self) -> Instant {
        self.world.moto.now() + self.right
    }

    /// Past the lease of a worker that was killed.
    pub fn past_the_lease(&mut self) {
        self.later(PAST_THE_LEASE);
    }

    /// Starts `apply` with the plan file for this case's finding.
    pub fn apply(&mut self, halt_at: Option<&str>) -> Running {
        let plan = self.home.path().join(PLAN).display().to_string();
        let only = self.step.finding.to_string();
        self.start(&["apply", &plan, "--yes", "--only", &only], halt_at)
    }

    /// Starts the program.
    pub fn start(&mut self, args: &[&str], halt_at: Option<&str>) -> Running {
        // Whoever runs the tests under nohup hands down a hangup that is ignored; a terminal of its own does not.
        let mut command = Command::new("/usr/bin/env");
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_costwarden")]).args(args);
        let mut environment = self.environment();
        environment.extend(halt_at.map(|point| ("COSTWARDEN_HALT_AT".to_owned(), point.to_owned())));
        self.spawn(command, environment)
    }

    /// Starts something in this case's folder, with this environment and no other.
    pub fn spawn(&mut self, mut command: Command, environment: Vec<(String, String)>) -> Running {
        self.calls += 1;
        let errors = self.home.path().join(format!("errors-{}", self.calls));
        let child = command
            .current_dir(self.home.path())
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(File::create(self.home.path().join(format!("out-{}", self.calls))).expect("a file"))
            .stderr(File::create(&errors).expect("a file"))
            .spawn()
            .expect("the program starts");
        Running { child, errors }
    }

    /// The cloud and the clock of this case.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.world.moto.environment_with_clock(&self.clock())
    }

    /// The flags with which `apply` works on this case's step alone.
    pub fn apply_args(&self) -> Vec<String> {
        let plan = self.home.path().join(PLAN).display().to_string();
        ["apply", &plan, "--yes", "--only", &self.step.finding.0].map(str::to_owned).into()
    }

    /// Arms the account of this case for the worker's own acts.
    pub fn arm(&mut self, until: &str) {
        self.mode("enforce");
        let account = self.account.to_string();
        let mut arm = Command::new(env!("CARGO_BIN_EXE_costwarden"))
            .args(["arm", "--account", &account, "--until", until, "--by", "ann"])
            .current_dir(self.home.path())
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut typed = arm.stdin.take().expect("a pipe");
        typed.write_all(format!("{account}\n").as_bytes()).expect("the pipe takes a line");
        drop(typed);
        assert!(arm.wait().expect("it ends").success());
    }

    /// Kills with SIGKILL.
    pub fn kill(&mut self, mut running: Running) {
        running.child.kill().expect("it can be killed");
        running.child.wait().expect("it was killed");
        self.kills += 1;
    }

    /// Runs `apply` until it halts at a point, and kills it there.
    pub fn killed_at(&mut self, point: &str) {
        let mut running = self.apply(Some(point));
        let began = Monotonic::now();
        while !running.errors().contains(&format!("halted at {point}")) {
            if let Some(status) = running.ended() {
                panic!("{}: it did not halt at {point}, {status}: {}", self.step.act, running.errors());
            }
            assert!(began.elapsed() < PATIENCE, "{point} was not reached: {}", running.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill(running);
    }

    /// `apply` again and again until the row has ended. Where only reads decide it is killed at every wait, so that the
    /// minutes between two looks need not pass. Returns the last exit code.
    pub fn seen_out(&mut self) -> i32 {
        for _ in 0..8 {
            let mut running = self.apply(None);
            let began = Monotonic::now();
            loop {
                if let Some(status) = running.ended() {
                    return status.code().unwrap_or_else(|| panic!("ended by a signal: {}", running.errors()));
                }
                let waits = self.rows().iter().any(|row| {
                    row.state == JournalState::Uncertain && row.next_look_at.is_some_and(|at| at >= self.now)
                });
                if waits || began.elapsed() > PATIENCE {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            self.kill(running);
            self.past_the_lease();
        }
        panic!("it does not end: {:?}", self.rows());
    }

    /// While a killed worker's lease holds nobody acts.
    pub fn assert_busy(&mut self) {
        let before = self.changes().len();
        let mut running = self.apply(None);
        assert_eq!(running.end().code(), Some(75), "{}", running.errors());
        assert_eq!(self.changes().len(), before);
    }

    /// The state's files as they are now, by name. Nobody must be writing them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.home.path().join("state")).expect("the state's folder");
        let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        files.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
    }

    /// Puts these files in the place of all that the state's folder has.
    pub fn put_back(&self, files: &BTreeMap<String, Vec<u8>>) {
        let folder = self.home.path().join("state");
        for name in self.files().keys() {
            fs::remove_file(folder.join(name)).expect("a file");
        }
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).expect("a file");
        }
    }

    /// The state, for reading.
    pub fn store(&self) -> Store {
        Store::open_read_only(&self.home.path().join("state").join(FILE_NAME)).expect("the state opens")
    }

    /// Whether somebody is in the middle of a commit.
    pub fn locked(&self) -> bool {
        Store::open_in(&self.home.path().join("state")).is_err()
    }

    /// The journal rows of this finding, oldest first.
    pub fn rows(&self) -> Vec<Remediation> {
        let store = self.store();
        store.remediations_of_finding(&self.step.finding).expect("the journal is read")
    }

    /// The state of the row that carries the act. Whatever came after it was refused.
    pub fn state(&self) -> Option<JournalState> {
        let rows = self.rows();
        assert!(rows.iter().skip(1).all(|row| row.state == JournalState::Refused), "{rows:?}");
        rows.first().map(|row| row.state)
    }

    /// How the step ended: done if any row is, otherwise as the last one stands.
    pub fn ended(&self) -> Option<JournalState> {
        let rows = self.rows();
        let done = rows.iter().find(|row| row.state == JournalState::Done);
        done.or(rows.last()).map(|row| row.state)
    }

    /// Where each row stands, in words.
    pub fn told(&self) -> Vec<String> {
        self.rows().iter().map(|row| format!("{}: {}", row.state.word(), row.message)).collect()
    }

    pub fn frozen(&self) -> bool {
        self.store().frozen().expect("the freeze is read").is_some()
    }

    /// What the cloud was asked to change for this step, in its order.
    pub fn changes(&self) -> Vec<Seen> {
        let id = self.step.key.id.to_string();
        let changing = ["StopInstances", "DeleteVolume", "CreateSnapshot", "CreateSnapshots"];
        let log = self.world.moto.log(&self.account).into_iter();
        log.filter(|seen| !seen.dry_run && seen.operation.as_deref().is_some_and(|own| changing.contains(&own)))
            .filter(|seen| format!("{:?} {}", seen.targets, seen.parameters).contains(&id))
            .collect()
    }

    /// Counts the calls, and asserts what must hold whatever happened: at most one act, every lost volume backed up at
    /// the moment when the act arrived.
    pub fn counted(&self) -> Counts {
        let changes = self.changes();
        let (acts, snapshots): (Vec<&Seen>, Vec<&Seen>) = changes
            .iter()
            .partition(|seen| matches!(seen.operation.as_deref(), Some("StopInstances" | "DeleteVolume")));
        assert!(acts.len() <= 1, "VIOLATION: a second destructive call on {}: {acts:?}", self.step.key);
        assert!(!self.step.backup.is_empty());
        for act in &acts {
            for volume in &self.step.backup {
                assert!(act.backups.contains(volume), "VIOLATION: {volume} had no completed snapshot: {act:?}");
            }
        }
        Counts { snapshots: snapshots.len(), acts: acts.len() }
    }

    /// Another copy of the settings, in another mode.
    pub fn mode(&self, mode: &str) {
        self.world.settings(self.home.path(), &[&self.account], mode);
    }

    pub fn folder(&self) -> &std::path::Path {
        self.home.path()
    }

    fn clock(&self) -> PathBuf {
        self.home.path().join("clock")
    }
}

/// Makes the copy of the state in a folder one of its own, with its plan: a case must not find another's snapshots, which
/// would tell it that it is an older copy.
fn own_state(world: &World, folder: &std::path::Path) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("st-{:016x}", NEXT.fetch_add(1, Ordering::Relaxed));
    let store = Store::open_in(&folder.join("state")).expect("the state opens");
    fs::remove_file(folder.join("state").join(ANCHOR_NAME)).expect("an anchor");
    store.set_meta("state_id", &id).expect("the state is written");
    let mut plan = Plan { state_id: id, ..world.plan.clone() };
    plan.id = plan.derive_id();
    store.save_plan(&plan, &[]).expect("the state is written");
    fs::write(folder.join(PLAN), serde_json::to_string(&plan).expect("a plan")).expect("a file");
}

impl Running {
    /// What it said on stderr so far.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Where it says things.
    pub fn errors_file(&self) -> PathBuf {
        self.errors.clone()
    }

    /// Waits until it says these words.
    pub fn says(&mut self, words: &str) {
        let began = Monotonic::now();
        while !self.errors().contains(words) {
            assert!(self.ended().is_none() && began.elapsed() < PATIENCE, "it never said {words:?}: {}", self.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        let began = Monotonic::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {}", self.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A case that panics leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs jobs on a few threads; a panic of one is a panic of all, after all have ended.
pub fn side_by_side<T: Send, R: Send>(jobs: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let queue = std::sync::Mutex::new(jobs.into_iter());
    let results = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let job = queue.lock().expect("no job runs under it").next();
                    let Some(job) = job else { break };
                    let result = work(job);
                    results.lock().expect("no job runs under it").push(result);
                }
            });
        }
    });
    results.into_inner().expect("no job runs under it")
}
