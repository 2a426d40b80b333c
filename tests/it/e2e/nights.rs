//! Four weeks of one account: found, told, waited, backed up, done, and nothing more.

use chrono::TimeDelta;
use costwarden::domain::Instant;
use costwarden::domain::place::Place;

use super::{BUILT, Estate, FINE, FIRST_NIGHT, at, expected, found, tag, tag_of};
use crate::support::fixtures;
use crate::support::moto::place;
use crate::support::smtp::Received;

const REGION: &str = "eu-central-1";
const ZONE: &str = "eu-central-1a";

/// What is planted.
struct Planted {
    here: Place,
    idle: String,
    idle_volumes: [String; 2],
    batch: String,
    protected: String,
    busy: String,
    bare: String,
    giant: String,
    orphan: String,
    bare_volume: String,
    loose_address: String,
}

async fn plant(estate: &Estate, here: Place) -> Planted {
    let ec2 = estate.moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, ZONE, 1).await;
    let (idle, root) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    let data = fixtures::volume(&ec2, ZONE, 20, &FINE).await;
    fixtures::attach(&ec2, &data, &idle, "/dev/sdf").await;
    let (batch, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    let keep = [FINE.as_slice(), &[("costwarden:protect", "true")]].concat();
    let (protected, _) = estate.instance(&here, &subnet, "m5.large", &keep).await;
    let (busy, _) = estate.instance(&here, &subnet, "t3.micro", &FINE).await;
    let (bare, _) = estate.instance(&here, &subnet, "t3.micro", &[]).await;
    let (giant, _) = estate.instance(&here, &subnet, "m5.24xlarge", &FINE).await;
    let orphan = fixtures::volume(&ec2, ZONE, 100, &FINE).await;
    let bare_volume = fixtures::volume(&ec2, ZONE, 8, &[]).await;
    fixtures::attach(&ec2, &bare_volume, &busy, "/dev/sdf").await;
    let used_address = fixtures::address(&ec2, Some(&busy)).await;
    let loose_address = fixtures::address(&ec2, None).await;
    let snapshot = fixtures::snapshot(&ec2, &data, "made by hand").await;
    for id in [&used_address, &loose_address, &snapshot] {
        tag(&ec2, id, &FINE).await;
    }
    let idle_volumes = [root, data];
    Planted { here, idle, idle_volumes, batch, protected, busy, bare, giant, orphan, bare_volume, loose_address }
}

impl Planted {
    /// What every instance did from one instant until another: the batch box has one busy hour in it.
    async fn live(&self, estate: &Estate, from: &str, to: &str) {
        for id in [&self.idle, &self.batch, &self.protected] {
            estate.worked(&self.here, id, from, to, 1.2, 1_000.0).await;
        }
        for id in [&self.busy, &self.bare, &self.giant] {
            estate.worked(&self.here, id, from, to, 60.0, 5_000_000.0).await;
        }
        let peak: [(Instant, f64); 1] = [(at(to) - TimeDelta::hours(26), 90.0)];
        estate.moto.put_metrics(&self.here, &self.batch, "CPUUtilization", &peak).await;
    }

    /// What is found whatever the day, beside the idle instance and the orphan.
    fn others(&self, address: &'static str) -> Vec<(&str, &'static str, &'static str)> {
        vec![
            (&self.batch, "idle-instance", "report_only"),
            (&self.protected, "idle-instance", "report_only"),
            (&self.loose_address, "unassociated-address", address),
        ]
    }
}

fn to<'a>(mails: &'a [Received], address: &str) -> Vec<&'a Received> {
    mails.iter().filter(|mail| mail.to == [address.to_owned()]).collect()
}

fn subject(mail: &Received) -> String {
    let headers = mail.data.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
    let line = headers.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("a mail without a subject: {headers}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x2_r5_what_is_planted_is_found_told_backed_up_and_done_once() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &[REGION], "mode = \"notify\"\nallow_auto_delete_volumes = true");
    // Its owner is told of the giant, and fixes it or not; resizing has a test of its own.
    estate.edit_policy("oversized-instances", "action: resize", "action: notify");
    estate.moto.snapshots(&account, 1, std::time::Duration::ZERO, "completed");
    let planted = plant(&estate, place(&account, REGION)).await;
    let Planted { here, idle, bare, giant, orphan, bare_volume, .. } = &planted;
    planted.live(&estate, BUILT, FIRST_NIGHT).await;

    // The first night: exactly what was planted.
    estate.now(FIRST_NIGHT);
    let scan = estate.json(&["scan"], 0);
    let mut wanted = planted.others("watching");
    wanted.extend([
        (idle.as_str(), "idle-instance", "unnoticed"),
        (giant, "oversized-instance", "unnoticed"),
        (bare, "required-tags", "unnoticed"),
        (bare_volume, "required-tags", "unnoticed"),
        (orphan, "unattached-volume", "watching"),
    ]);
    assert_eq!(found(&scan), expected(&wanted));
    for (id, why) in [(&planted.batch, "CPU peaked at 90.0 %"), (&planted.protected, "costwarden:protect=true")] {
        let finding = scan["findings"].as_array().expect("findings").iter().find(|one| one["resource"]["id"] == **id);
        let told = finding.and_then(|one| one["not_acted_on"].as_str()).unwrap_or_default();
        assert!(told.contains(why), "{id}: {told:?}");
    }
    assert_eq!(scan["scan"]["complete"], true);
    assert_eq!(scan["summary"]["watching"]["findings"], 2);
    assert!(estate.sink.received().is_empty(), "a scan tells nobody");

    // The worker's own run tells the owners, one mail each.
    estate.json(&["run"], 0);
    let mails = estate.sink.received();
    assert_eq!(mails.len(), 2, "{:?}", mails.iter().map(|mail| (&mail.to, subject(mail))).collect::<Vec<_>>());
    let (ann, team) = (to(&mails, "ann@example.com"), to(&mails, "cloud-team@example.com"));
    assert_eq!((ann.len(), team.len()), (1, 1));
    assert!(subject(ann[0]).contains("1 of your resources is due from Wed 17 Mar 2027"), "{}", subject(ann[0]));
    assert!(ann[0].data.contains(idle.as_str()) && ann[0].data.contains("costwarden:keep-until"));
    assert!(!ann[0].data.contains(orphan.as_str()), "what is only watched is told to nobody");
    assert!(subject(team[0]).contains("2 findings to fix"), "{}", subject(team[0]));
    assert!(team[0].data.contains(bare.as_str()) && team[0].data.contains(bare_volume.as_str()));
    estate.json(&["run"], 0);
    assert_eq!(estate.sink.received().len(), 2, "told once, not at every run");

    // A week later the instance's second notice and the volume's first; then the volume's second and its reminder.
    let mut since = FIRST_NIGHT;
    for (night, mails) in [("2027-03-17T02:30:00Z", 3), ("2027-03-24T03:00:00Z", 4), ("2027-03-25T02:30:00Z", 5)] {
        planted.live(&estate, since, night).await;
        since = night;
        estate.now(night);
        estate.json(&["run"], 0);
        let subjects: Vec<_> = estate.sink.received().iter().map(|mail| (mail.to.clone(), subject(mail))).collect();
        assert_eq!(subjects.len(), mails, "{night}: {subjects:#?}");
    }
    let second = estate.sink.received()[2].clone();
    assert!(second.data.contains(idle.as_str()), "the instance is told of again");
    assert!(second.data.contains(orphan.as_str()) && subject(&second).contains("Last notice"), "{}", subject(&second));
    assert_eq!(estate.changes(&account), [], "nothing is done by itself in mode notify");

    // In the window, everything is due: the plan says so, apply does it.
    let morning = "2027-03-25T10:00:00Z";
    planted.live(&estate, since, morning).await;
    estate.now(morning);
    let plan = estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 7);
    let steps: Vec<_> = plan["plan"]["steps"].as_array().expect("steps").iter().map(|step| &step["act"]).collect();
    assert_eq!(steps, ["stop_instance", "delete_volume"], "{plan:#}");
    let volumes = estate.volumes(here).await;
    let applied = estate.json(&["apply", "plan.json", "--yes"], 0);
    let ended: Vec<_> = applied["steps"].as_array().expect("steps").iter().map(|step| &step["status"]).collect();
    assert_eq!(ended, ["completed", "completed"], "{applied:#}");
    judge_what_was_done(&estate, &planted, &volumes).await;
    let told = estate.sink.received().split_off(5);
    let all: String = told.iter().map(|mail| mail.data.replace("=\r\n", "")).collect();
    assert_eq!(told.len(), 2, "the owner hears of both ends: {all}");
    assert!(all.contains("start the instance again") && all.contains("make a new volume from the snapshot"), "{all}");

    // Again, and another week later: nothing more.
    let before = estate.changes(&account);
    estate.json(&["run"], 0);
    let plan = estate.json(&["plan", "--out", "plan.json", "--detailed-exitcode"], 0);
    assert_eq!(plan["plan"]["steps"], serde_json::json!([]));
    estate.json(&["apply", "plan.json", "--yes"], 0);
    let monday = "2027-04-05T10:00:00Z";
    planted.live(&estate, morning, monday).await;
    estate.now(monday);
    estate.json(&["run"], 0);
    assert_eq!(estate.json(&["plan", "--detailed-exitcode"], 0)["plan"]["steps"], serde_json::json!([]));
    assert_eq!(estate.changes(&account), before);
    let mut wanted = planted.others("report_only");
    wanted.extend([
        (giant.as_str(), "oversized-instance", "in_grace"),
        (bare, "required-tags", "in_grace"),
        (bare_volume, "required-tags", "in_grace"),
    ]);
    let rest = found(&estate.json(&["scan"], 0));
    assert_eq!(rest, expected(&wanted), "what was done is no finding any more, and its backups are none");
}

/// From the cloud's log and from what is left there.
async fn judge_what_was_done(estate: &Estate, planted: &Planted, before: &std::collections::BTreeSet<String>) {
    let Planted { here, idle, idle_volumes, orphan, .. } = planted;
    let changes = estate.changes(&here.account);
    let place_of = |operation: &str| {
        let found: Vec<usize> = (0..changes.len()).filter(|index| changes[*index].0 == operation).collect();
        assert_eq!(found.len(), 1, "exactly one {operation}: {changes:?}");
        found[0]
    };
    let (snapshots, stop) = (place_of("CreateSnapshots"), place_of("StopInstances"));
    let (snapshot, delete) = (place_of("CreateSnapshot"), place_of("DeleteVolume"));
    assert!(snapshots < stop && snapshot < delete, "{changes:?}");
    assert_eq!((changes[stop].1.as_str(), changes[delete].1.as_str()), (idle.as_str(), orphan.as_str()));
    let destroying = changes.iter().filter(|(operation, _)| {
        !["CreateSnapshots", "CreateSnapshot", "StopInstances", "DeleteVolume"].contains(&operation.as_str())
    });
    assert_eq!(destroying.count(), 0, "nothing else was asked for: {changes:?}");

    assert_eq!(estate.state_of(here, idle).await, "stopped");
    for left in [&planted.batch, &planted.protected, &planted.busy, &planted.bare, &planted.giant] {
        assert_eq!(estate.state_of(here, left).await, "running");
    }
    let gone: Vec<String> = before.difference(&estate.volumes(here).await).cloned().collect();
    assert_eq!(gone, std::slice::from_ref(orphan), "one volume is gone and no other");

    let mut backed = Vec::new();
    for snapshot in estate.safety_snapshots(here).await {
        let volume = snapshot.volume_id().expect("a volume").to_owned();
        assert_eq!(snapshot.state().map(|state| state.as_str()), Some("completed"), "{snapshot:?}");
        let source = if volume == *orphan { orphan } else { idle };
        assert_eq!(tag_of(&snapshot, "costwarden:source"), Some(source.as_str()));
        assert!(tag_of(&snapshot, "costwarden:finding").is_some_and(|id| id.starts_with("f-")));
        assert_eq!(tag_of(&snapshot, "owner"), Some("ann@example.com"), "the source's tags are copied");
        assert!(tag_of(&snapshot, "costwarden:keep-until").is_some());
        backed.push(volume);
    }
    backed.sort();
    let mut wanted = [idle_volumes.as_slice(), std::slice::from_ref(orphan)].concat();
    wanted.sort();
    assert_eq!(backed, wanted, "one snapshot of each volume");
}
