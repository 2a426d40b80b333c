//! One cycle by hand, told in S1's words: what was found, what of it leads on, what was done.

use serde_json::json;

use super::{BUILT, Estate, FINE, FIRST_NIGHT};
use crate::support::fixtures;
use crate::support::moto::place;

const REGION: &str = "eu-central-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_o3_what_is_excepted_is_found_and_leads_to_nothing_and_the_report_sees_what_was_stored() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    let here = place(&account, REGION);
    let ec2 = estate.moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-central-1a", 1).await;
    let (idle, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    let (kept, _) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
    for instance in [&idle, &kept] {
        estate.worked(&here, instance, BUILT, "2027-03-11T02:00:00Z", 1.0, 1_000.0).await;
    }
    estate.settings(&[&account], &[REGION], "mode = \"notify\"");
    let exception = format!(
        "[[exceptions]]\nid = \"EXC-1\"\nresource = \"{kept}\"\npolicy = \"idle-resource-detection\"\n\
         reason = \"a standby\"\napproved_by = \"eve\"\nuntil = \"2027-12-31\"\n"
    );
    estate.desk.write("costwarden.toml", estate.desk.read("costwarden.toml") + &exception);

    estate.now(FIRST_NIGHT);
    let run = estate.json(&["run"], 0);
    let counts = [
        "violations_found",
        "violations_actionable",
        "notices_queued",
        "remediations_due",
        "remediations_completed",
        "remediations_failed",
    ];
    assert_eq!(counts.map(|key| run[key].clone()), [2, 1, 1, 0, 0, 0].map(|count| json!(count)), "{run:#}");
    let start = run["scan_start"].as_str().unwrap_or_default();
    assert!(start.starts_with("2027-03-09T02:00:0") && run["dry_run"] == json!(false), "{run:#}");
    assert!(run["scan_end"].is_string() && run["duration_seconds"].is_number(), "{run:#}");
    assert_eq!(run["compliance_score"], json!(75.0), "two instances and their disks, one of them amiss: {run:#}");
    let report = run["report"].to_string();
    assert!(report.contains(&idle) && report.contains("EXC-1"), "{report}");
    let mails = estate.sink.received();
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].data.contains(&idle) && !mails[0].data.contains(&kept),
        "no task and no word for what is excepted"
    );

    // Only ever looked at: the next night confirms both, and neither is told again.
    estate.now("2027-03-10T02:00:00Z");
    let next = estate.json(&["run", "--dry-run"], 0);
    assert_eq!((&next["violations_found"], &next["violations_actionable"]), (&json!(2), &json!(1)), "{next:#}");
    assert!(estate.changes(&account).is_empty());
}
