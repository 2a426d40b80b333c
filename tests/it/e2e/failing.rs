//! Reads that fail, through the whole program: what was not read leads to no conclusion, everything else goes on.
//!
//! Each way of failing is one scan over six Regions; in each Region another call fails. Between the first scan and
//! this one everything changed everywhere: what was wrong is fixed, and something new is wrong. Where a kind could not
//! be read, neither may show.

use std::collections::BTreeMap;
use std::time::Duration;

use costwarden::domain::place::{AccountId, Place, Region};
use serde_json::Value;

use super::{Estate, FINE, tag};
use crate::support::fixtures;
use crate::support::moto::{Fault, place};

/// The Regions, with the call that fails there and the kind whose conclusions rest on it.
const TABLE: [(&str, &str, &str); 6] = [
    ("eu-central-1", "DescribeInstances", "compute/instance"),
    ("eu-west-1", "DescribeVolumes", "storage/volume"),
    ("eu-north-1", "DescribeSnapshots", "storage/snapshot"),
    ("us-east-1", "DescribeAddresses", "network/address"),
    ("us-west-2", "DescribeImages", "compute/image"),
    ("ap-southeast-2", "GetMetricData", "compute/instance"),
];

/// More than 90 days before the scans.
const BUILT: &str = "2026-11-02T02:00:00Z";
const FIRST: &str = "2027-03-09T02:00:00Z";
const SECOND: &str = "2027-03-10T02:00:00Z";
const IDLE_SINCE: &str = "2027-03-01T00:00:00Z";

/// What one Region holds: one resource of each kind without tags, an old snapshot, and two images.
struct Spot {
    here: Place,
    zone: String,
    subnet: String,
    resources: BTreeMap<&'static str, String>,
    old: String,
}

async fn plant(estate: &Estate, account: &AccountId, region: &str) -> Spot {
    let here = place(account, region);
    let ec2 = estate.moto.ec2(&here).await;
    let zone = format!("{region}a");
    let subnet = fixtures::private_subnet(&ec2, &zone, 1).await;
    let (instance, root) = estate.instance(&here, &subnet, "t3.micro", &[]).await;
    let volume = fixtures::volume(&ec2, &zone, 8, &[]).await;
    fixtures::attach(&ec2, &volume, &instance, "/dev/sdf").await;
    for name in ["first", "second"] {
        fixtures::image(&ec2, &instance, name).await;
    }
    let own = ec2.describe_snapshots().owner_ids("self").send().await.expect("snapshots are listed");
    for used in own.snapshots().iter().filter_map(|snapshot| snapshot.snapshot_id()) {
        tag(&ec2, used, &FINE).await;
    }
    assert!(own.snapshots().len() >= 2, "each image has its snapshot");
    let snapshot = fixtures::snapshot(&ec2, &root, "without tags").await;
    let old = fixtures::snapshot(&ec2, &root, "old, and of nobody's image").await;
    tag(&ec2, &old, &FINE).await;
    let address = fixtures::address(&ec2, Some(&instance)).await;
    let resources = [
        ("compute/instance", instance),
        ("storage/volume", volume),
        ("storage/snapshot", snapshot),
        ("network/address", address),
    ];
    Spot { here, zone, subnet, resources: resources.into(), old }
}

impl Spot {
    /// Fixes all that was found, and plants as much anew. Returns the new resources.
    async fn turn(&self, estate: &Estate) -> BTreeMap<&'static str, String> {
        let ec2 = estate.moto.ec2(&self.here).await;
        for id in self.resources.values() {
            tag(&ec2, id, &FINE).await;
        }
        let (instance, root) = estate.instance(&self.here, &self.subnet, "t3.micro", &[]).await;
        let volume = fixtures::volume(&ec2, &self.zone, 8, &[]).await;
        fixtures::attach(&ec2, &volume, &instance, "/dev/sdf").await;
        let snapshot = fixtures::snapshot(&ec2, &root, "without tags").await;
        let address = fixtures::address(&ec2, Some(&instance)).await;
        [
            ("compute/instance", instance),
            ("storage/volume", volume),
            ("storage/snapshot", snapshot),
            ("network/address", address),
        ]
        .into()
    }
}

/// Every finding on file about a Region and a kind, with all its words but the time of the question.
fn on_file(all: &Value, region: &str, kind: &str) -> Vec<Value> {
    let findings = all["findings"].as_array().expect("findings").iter();
    findings.filter(|one| one["resource"]["region"] == region && one["resource"]["kind"] == kind).cloned().collect()
}

fn by_check<'a>(findings: &'a [Value], check: &str) -> Vec<(&'a str, &'a str)> {
    let these = findings.iter().filter(|one| one["check"] == check);
    let mut rows: Vec<_> = these
        .map(|one| (one["resource"]["id"].as_str().expect("an id"), one["state"].as_str().expect("a state")))
        .collect();
    rows.sort_unstable();
    rows
}

async fn fails(plant_fault: fn(&str) -> Fault, pages_before: u32) {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    let regions = TABLE.map(|(region, _, _)| region);
    estate.settings(&[&account], &regions, "mode = \"notify\"");
    let mut spots = Vec::new();
    for region in regions {
        spots.push(plant(&estate, &account, region).await);
    }
    for spot in &spots {
        let instance = &spot.resources["compute/instance"];
        estate.worked(&spot.here, instance, IDLE_SINCE, SECOND, 1.0, 1_000.0).await;
    }
    estate.now(FIRST);
    estate.json(&["scan"], 0);
    let list = ["findings", "list", "--state", "open,excepted,remediated,resolved"];
    let before = estate.json(&list, 0);

    estate.now(SECOND);
    let mut fresh = Vec::new();
    for spot in &spots {
        fresh.push(spot.turn(&estate).await);
    }
    estate.moto.page_size(&account, 1);
    for (region, operation, _) in TABLE {
        let region = Region::new(region).expect("a Region");
        // Addresses and metrics come in one page.
        let paged = !["DescribeAddresses", "GetMetricData"].contains(&operation);
        let skip = if paged { pages_before } else { 0 };
        estate.moto.fault(plant_fault(operation).after(skip).times(50).of_account(&account).in_region(&region));
    }
    let scan = estate.json(&["scan"], 4);
    let after = estate.json(&list, 0);
    assert_eq!(scan["scan"]["complete"], false);
    let coverage = scan["coverage"].as_array().expect("rows");
    assert_eq!(coverage.len(), 6 * 5);
    for row in coverage {
        let (region, kind) = (row["region"].as_str().expect("a Region"), row["kind"].as_str().expect("a kind"));
        let (index, operation) = TABLE
            .iter()
            .enumerate()
            .find_map(|(index, (own, operation, _))| (*own == region).then_some((index, *operation)))
            .expect("a Region of the table");
        let (was, is) = (on_file(&before, region, kind), on_file(&after, region, kind));
        let (old, new) = (spots[index].resources.get(kind), fresh[index].get(kind));
        if TABLE[index].2 == kind {
            // A metrics read that fails, or a page after good ones, leaves what arrived; otherwise nothing did.
            let some = operation == "GetMetricData" || row["pages"].as_u64() > Some(0);
            assert_eq!(row["status"], if some { "partial" } else { "failed" }, "{row:#}");
            let error = row["error"].as_str().expect("in words");
            assert!(error.contains(operation), "{region} {kind}: {error}");
            assert_eq!(is, was, "{region} {kind}: no new conclusion");
            assert!(kind == "compute/image" || !was.is_empty(), "{region} {kind}: there was something to conclude");
            continue;
        }
        assert_eq!((&row["status"], &row["error"]), (&"complete".into(), &Value::Null), "{region} {kind}");
        let (Some(old), Some(new)) = (old, new) else { continue };
        let mut wanted = [(old.as_str(), "resolved"), (new.as_str(), "open")];
        wanted.sort_unstable();
        assert_eq!(by_check(&is, "required-tags"), wanted, "{region} {kind}: read, so judged");
    }
    // Old snapshots of no image stay on file also where the images could not be read; those of images are not added.
    for (spot, region) in spots.iter().zip(regions) {
        let findings = on_file(&after, region, "storage/snapshot");
        let mut wanted = [spot.resources["storage/snapshot"].as_str(), &spot.old].map(|id| (id, "open"));
        wanted.sort_unstable();
        assert_eq!(by_check(&findings, "old-snapshot"), wanted, "{region}");
        let doubted = findings.iter().filter(|one| one["check"] == "old-snapshot" && !one["not_acted_on"].is_null());
        assert_eq!(doubted.count(), if region == "us-west-2" { 2 } else { 0 }, "{region}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x3_access_denied_on_each_list_call_leads_to_no_conclusion() {
    fails(Fault::deny, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x3_throttling_of_each_list_call_leads_to_no_conclusion() {
    fails(Fault::throttle, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x3_a_cut_second_page_of_each_list_call_leads_to_no_conclusion() {
    fails(Fault::cut, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x3_a_timeout_of_each_list_call_leads_to_no_conclusion() {
    fails(|operation| Fault::delay(operation, Duration::from_secs(60)), 0).await;
}
