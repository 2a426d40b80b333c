//! One state on the day on which a stop and a delete are due on many resources.
//!
//! Played by the binary: three scans over fifteen days, a run that tells the owners, a plan a day later. It is made
//! once for all cases; each copies the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::place::AccountId;
use costwarden::domain::plan::{Plan, Step};
use futures::stream::{self, StreamExt};

use crate::support::fixtures;
use crate::support::moto::{Moto, place};
use crate::support::smtp::SmtpSink;

const REGION: &str = "eu-central-1";
const ZONE: &str = "eu-central-1a";
const TAGS: [(&str, &str); 1] = [("owner", "ann@example.com")];

const POLICY: &str = "apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: waste
spec:
  type: Waste
  mode: enforce
  rules:
    - name: idle
      check: idle-instance
      severity: high
      action: stop
    - name: unattached
      check: unattached-volume
      severity: high
      action: terminate
";

/// Everything that the cases share.
pub struct World {
    pub moto: Moto,
    pub plan: Plan,
    plan_file: PathBuf,
    home: tempfile::TempDir,
    mail_port: u16,
    planted: [Mutex<Vec<Vec<Pair>>>; 5],
    // Mail is taken as long as this lives.
    _runtime: tokio::runtime::Runtime,
}

/// An idle instance and a volume that belongs to nothing: one case for each.
#[derive(Clone, Debug)]
pub struct Pair {
    pub account: AccountId,
    pub instance: Option<String>,
    volume: String,
}

/// What the cases of a file need. An account costs the most, then an instance with its metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Pairs in an account of their own: where the account breaks, tells the time, or is acted on as a whole.
    pub own: usize,
    /// Volumes in an account of their own.
    pub lone: usize,
    /// Pairs that share accounts.
    pub neighbours: usize,
    /// Volumes that share accounts.
    pub loose: usize,
    /// Whole accounts with one instance, and so many volumes in each.
    pub crowds: (usize, usize),
}

/// Pairs and volumes in an account that is shared.
const NEIGHBOURS: usize = 4;
const LOOSE: usize = 8;

impl Needs {
    /// Accounts of each sort: how many, with how many instances and volumes.
    fn accounts(&self) -> [(usize, usize, usize); 5] {
        [
            (self.own, 1, 1),
            (self.lone, 0, 1),
            (self.neighbours.div_ceil(NEIGHBOURS), NEIGHBOURS, NEIGHBOURS),
            (self.loose.div_ceil(LOOSE), 0, LOOSE),
            (self.crowds.0, 1, self.crowds.1),
        ]
    }

    fn and(self, other: Needs) -> Needs {
        Needs {
            own: self.own + other.own,
            lone: self.lone + other.lone,
            neighbours: self.neighbours + other.neighbours,
            loose: self.loose + other.loose,
            crowds: (self.crowds.0 + other.crowds.0, self.crowds.1.max(other.crowds.1)),
        }
    }
}

/// When the plan was made, and the cases begin.
pub fn due() -> Instant {
    "2026-11-18T07:00:00Z".parse().expect("an instant")
}

impl World {
    /// Made by the first who asks.
    pub fn shared() -> &'static World {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(|| {
            let files = [
                super::points::NEEDS,
                super::network::needs(),
                super::disk::NEEDS,
                super::races::needs(),
                super::clocks::NEEDS,
                super::put_back::NEEDS,
                super::ends::NEEDS,
                super::files::NEEDS,
                super::ways::NEEDS,
                super::random::needs(),
            ];
            World::play(files.into_iter().fold(Needs::default(), Needs::and))
        })
    }

    /// One for a test that runs by itself. It lives as long as the process.
    pub fn of(needs: Needs) -> &'static World {
        Box::leak(Box::new(World::play(needs)))
    }

    /// A pair in an account that has no other.
    pub fn pair(&self) -> Pair {
        self.take(0)
    }

    /// A volume in an account that has nothing else.
    pub fn lone(&self) -> Pair {
        self.take(1)
    }

    /// A pair in an account that has others.
    pub fn neighbour(&self) -> Pair {
        self.take(2)
    }

    /// A volume in an account that has others.
    pub fn loose(&self) -> Pair {
        self.take(3)
    }

    /// All of an account with several volumes; only the first has an instance.
    pub fn crowd(&self) -> Vec<Pair> {
        self.planted[4].lock().expect("no case panics while it holds this").pop().expect("enough accounts were made")
    }

    fn take(&self, sort: usize) -> Pair {
        let mut accounts = self.planted[sort].lock().expect("no case panics while it holds this");
        accounts.retain(|account| !account.is_empty());
        accounts.last_mut().and_then(Vec::pop).expect("enough of this sort were made")
    }

    /// The plan's step on a pair.
    pub fn step(&self, pair: &Pair, act: Act) -> &Step {
        let id = if act == Act::StopInstance { pair.instance.as_deref().expect("an instance") } else { &pair.volume };
        let found = self.plan.steps.iter().find(|step| step.act == act && &*step.key.id == id);
        found.expect("every pair has an instance to stop and a volume to delete")
    }

    /// Settings for one account, in a folder of its own with the policy and a copy of the state.
    pub fn copy_to(&self, folder: &Path, account: &AccountId, mode: &str) {
        fs::create_dir_all(folder.join("state")).expect("a folder");
        for entry in fs::read_dir(self.home.path().join("state")).expect("the state") {
            let file = entry.expect("an entry").path();
            if file.is_file() {
                fs::copy(&file, folder.join("state").join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
        self.settings(folder, &[account], mode);
    }

    /// Writes settings and policy.
    pub fn settings(&self, folder: &Path, accounts: &[&AccountId], mode: &str) {
        let mut text = String::from("state_dir = \"state\"\npolicies = [\"policies\"]\n");
        for account in accounts {
            let role = self.moto.role(account);
            text += &format!("[[accounts]]\nid = \"{account}\"\nrole_arn = \"{role}\"\nregions = [\"{REGION}\"]\n");
        }
        text += &format!(
            "[enforcement]\nmode = \"{mode}\"\nallow_auto_delete_volumes = true\nbreaker_count = 100000\n\
             [enforcement.pace]\ndestructive_per_run = 1000\ndestructive_per_day = 1000\n\
             disruptive_per_run = 1000\npercent_of_kind_per_day = 100\n\
             [enforcement.window]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
             from = \"00:00\"\nto = \"23:59\"\n[owners]\nallowed_domains = [\"example.com\"]\n\
             [mail]\nfrom = \"costwarden@example.com\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
            self.mail_port
        );
        fs::create_dir_all(folder.join("policies")).expect("a folder");
        fs::write(folder.join("policies/waste.yaml"), POLICY).expect("a file");
        fs::write(folder.join("costwarden.toml"), text).expect("a file");
    }

    fn play(needs: Needs) -> World {
        let began = std::time::Instant::now();
        let built: Instant = "2026-11-02T02:00:00Z".parse().expect("an instant");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let moto = Moto::start_at(built);
        let sorts = needs.accounts();
        let jobs: Vec<(usize, AccountId, usize, usize)> = (0..sorts.len())
            .flat_map(|sort| std::iter::repeat_n(sort, sorts[sort].0))
            .map(|sort| (sort, moto.account(), sorts[sort].1, sorts[sort].2))
            .collect();
        let accounts: Vec<AccountId> = jobs.iter().map(|(_, account, ..)| account.clone()).collect();
        // Each case has a clock of its own, and several share an account: their cloud tells no time.
        accounts.iter().for_each(|account| moto.tell_time(account, None));
        let count: usize = jobs.iter().map(|(_, _, instances, volumes)| instances + volumes).sum();
        let (made, sink) = runtime.block_on(async {
            let planted = stream::iter(jobs.into_iter().map(|(sort, account, instances, volumes)| {
                let moto = &moto;
                async move { (sort, plant(moto, &account, instances, volumes).await) }
            }));
            let made: Vec<(usize, Vec<Pair>)> = planted.buffered(4).collect().await;
            (made, SmtpSink::start(&[]).await)
        });
        let pairs: [Mutex<Vec<Vec<Pair>>>; 5] = Default::default();
        for (sort, account) in made {
            pairs[sort].lock().expect("nobody else has it").push(account);
        }
        let planted = began.elapsed();
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut world = World {
            moto,
            plan: serde_json::from_value(serde_json::json!({
                "schema_version": 1, "id": "", "created_at": built, "expires_at": built, "state_id": "",
                "policies": {}, "steps": [], "held": {}
            }))
            .expect("an empty plan"),
            plan_file: home.path().join("plan.json"),
            home,
            mail_port: sink.address.port(),
            planted: pairs,
            _runtime: runtime,
        };
        world.settings(world.home.path(), &accounts.iter().collect::<Vec<_>>(), "notify");
        for (days, args) in [(0, ["scan"]), (14, ["scan"]), (15, ["run"])] {
            world.moto.set_time(built + TimeDelta::days(days) + TimeDelta::hours(days / 15 * 4));
            world.call(&args);
        }
        assert_eq!(sink.received().len(), 1, "one owner, one mail");
        world.moto.set_time(due());
        world.call(&["plan", "--out", "plan.json"]);
        let text = fs::read_to_string(&world.plan_file).expect("a plan file");
        world.plan = serde_json::from_str(&text).expect("a plan");
        assert_eq!(world.plan.steps.len(), count, "every instance and every volume is due");
        eprintln!("{count} resources planted in {planted:?}, brought to the day in {:?}", began.elapsed() - planted);
        world
    }

    fn call(&self, args: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_costwarden"))
            .args(args)
            .current_dir(self.home.path())
            .env_clear()
            .envs(self.moto.environment())
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Plants instances and volumes in an account. Its snapshots are pending at the first look.
async fn plant(moto: &Moto, account: &AccountId, instances: usize, volumes: usize) -> Vec<Pair> {
    moto.snapshots(account, 1, Duration::ZERO, "completed");
    let here = place(account, REGION);
    let ec2 = moto.ec2(&here).await;
    let mut made = Vec::with_capacity(instances);
    if instances > 0 {
        let cloudwatch = moto.cloudwatch(&here).await;
        let subnet = fixtures::private_subnet(&ec2, ZONE, 1).await;
        for _ in 0..instances {
            let instance = fixtures::instance(&ec2, &subnet, "m5.large", &TAGS).await;
            let data = Some(idle(&instance));
            let put = cloudwatch.put_metric_data().namespace("AWS/EC2").set_metric_data(data).send();
            put.await.expect("metrics are taken");
            made.push(instance);
        }
    }
    let mut pairs = Vec::with_capacity(volumes);
    for _ in 0..volumes {
        let volume = fixtures::volume(&ec2, ZONE, 20, &TAGS).await;
        pairs.push(Pair { account: account.clone(), instance: made.pop(), volume });
    }
    pairs
}

/// Nine days of an instance that does nothing.
fn idle(instance: &str) -> Vec<MetricDatum> {
    let from: Instant = "2026-11-09T23:05:00Z".parse().expect("an instant");
    let dimension = Dimension::builder().name("InstanceId").value(instance).build();
    let datum = |metric: &str, hour: i64, value: f64| {
        MetricDatum::builder()
            .metric_name(metric)
            .dimensions(dimension.clone())
            .timestamp(DateTime::from_secs((from + TimeDelta::hours(hour)).timestamp()))
            .value(value)
            .build()
    };
    // The network's sums need one value a day, and moto's answers take longer the more there is.
    let network =
        (0..9 * 24).step_by(8).flat_map(|hour| ["NetworkIn", "NetworkOut"].map(|own| datum(own, hour, 500.0)));
    (0..9 * 24).map(|hour| datum("CPUUtilization", hour, 1.0)).chain(network).collect()
}
