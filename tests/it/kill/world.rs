//! One state on the day on which a stop and a delete are due in each of many accounts.
//!
//! Played by the binary: three scans over fifteen days, a run that tells the owners, a plan a day later. It is made
//! once for all cases; each copies the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

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
    pub plan_file: PathBuf,
    home: tempfile::TempDir,
    mail_port: u16,
    free: Mutex<Vec<AccountId>>,
    // Mail is taken as long as this lives.
    _runtime: tokio::runtime::Runtime,
}

/// When the plan was made, and the cases begin.
pub fn due() -> Instant {
    "2026-11-18T07:00:00Z".parse().expect("an instant")
}

impl World {
    /// Made by the first who asks.
    pub fn shared() -> &'static World {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(|| World::play(super::points::accounts() + super::random::accounts()))
    }

    /// An account that no other case has.
    pub fn account(&self) -> AccountId {
        self.free.lock().expect("no case panics while it holds this").pop().expect("enough accounts were made")
    }

    /// The step that the plan has for an account.
    pub fn step(&self, account: &AccountId, act: Act) -> &Step {
        let found = self.plan.steps.iter().find(|step| step.key.account() == account && step.act == act);
        found.expect("every account has an instance to stop and a volume to delete")
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
             [enforcement.window]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
             from = \"00:00\"\nto = \"23:59\"\n[owners]\nallowed_domains = [\"example.com\"]\n\
             [mail]\nfrom = \"costwarden@example.com\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
            self.mail_port
        );
        fs::create_dir_all(folder.join("policies")).expect("a folder");
        fs::write(folder.join("policies/waste.yaml"), POLICY).expect("a file");
        fs::write(folder.join("costwarden.toml"), text).expect("a file");
    }

    fn play(count: usize) -> World {
        let began = std::time::Instant::now();
        let built: Instant = "2026-11-02T02:00:00Z".parse().expect("an instant");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let moto = Moto::start_at(built);
        let accounts: Vec<AccountId> = (0..count).map(|_| moto.account()).collect();
        let sink = runtime.block_on(async {
            stream::iter(&accounts).for_each_concurrent(4, |account| plant(&moto, account)).await;
            SmtpSink::start(&[]).await
        });
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
            free: Mutex::new(accounts.clone()),
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
        assert_eq!(world.plan.steps.len(), 2 * count, "a stop and a delete in every account: {text}");
        eprintln!("{count} accounts planted in {planted:?}, brought to the day in {:?}", began.elapsed() - planted);
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

/// An idle instance and a volume that belongs to nothing. Snapshots are pending at the first look.
async fn plant(moto: &Moto, account: &AccountId) {
    moto.snapshots(account, 1, Duration::ZERO, "completed");
    let here = place(account, REGION);
    let ec2 = moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, ZONE, 1).await;
    let instance = fixtures::instance(&ec2, &subnet, "m5.large", &TAGS).await;
    fixtures::volume(&ec2, ZONE, 20, &TAGS).await;
    let from: Instant = "2026-11-09T00:05:00Z".parse().expect("an instant");
    let hourly = |value: f64| (0..11 * 24).map(|hour| (from + TimeDelta::hours(hour), value)).collect::<Vec<_>>();
    moto.put_metrics(&here, &instance, "CPUUtilization", &hourly(1.0)).await;
    moto.put_metrics(&here, &instance, "NetworkIn", &hourly(500.0)).await;
    moto.put_metrics(&here, &instance, "NetworkOut", &hourly(500.0)).await;
}
