//! Two accounts in two Regions each: enforced by the worker itself, after a person armed both.

use super::{BUILT, Estate, FINE, FIRST_NIGHT, expected, found};
use crate::support::fixtures;
use crate::support::moto::place;

const REGIONS: [&str; 2] = ["eu-central-1", "us-west-2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_and_two_regions_are_found_told_and_done_side_by_side() {
    let estate = Estate::at(BUILT).await;
    let accounts = [estate.moto.account(), estate.moto.account()];
    estate.settings(
        &accounts.each_ref(),
        &REGIONS,
        "mode = \"enforce\"\nallow_auto_delete_volumes = true\npace = { percent_of_kind_per_day = 100 }",
    );
    // One notice is enough, so that three runs are: what is done after two is told in another story.
    estate.edit_policy("idle-instances", "severity: medium", "severity: high");
    estate.edit_policy("unattached-volumes", "severity: medium", "severity: high");
    let mut planted = Vec::new();
    for account in &accounts {
        for region in REGIONS {
            let here = place(account, region);
            let ec2 = estate.moto.ec2(&here).await;
            let zone = format!("{region}a");
            let subnet = fixtures::private_subnet(&ec2, &zone, 1).await;
            let (idle, root) = estate.instance(&here, &subnet, "m5.large", &FINE).await;
            let orphan = fixtures::volume(&ec2, &zone, 30, &FINE).await;
            planted.push((here, idle, root, orphan));
        }
    }
    let last = "2027-03-23T10:00:00Z";
    for (here, idle, _, _) in &planted {
        estate.worked(here, idle, BUILT, last, 1.0, 1_000.0).await;
    }

    estate.now(FIRST_NIGHT);
    let scan = estate.json(&["scan"], 0);
    let rows: Vec<_> = planted
        .iter()
        .flat_map(|(_, idle, _, orphan)| {
            [(idle.as_str(), "idle-instance", "unnoticed"), (orphan.as_str(), "unattached-volume", "watching")]
        })
        .collect();
    assert_eq!(found(&scan), expected(&rows));
    assert_eq!(scan["coverage"].as_array().expect("rows").len(), 2 * 2 * 5);
    for account in &accounts {
        let until = ["arm", "--account", account.as_str(), "--until", "2027-04-30", "--by", "carol"];
        let armed = estate.call_typing(&until, "000000000000\n");
        assert_eq!(armed.code, 2, "another id is refused: {armed:?}");
        let armed = estate.call_typing(&until, &format!("{account}\n"));
        assert_eq!(armed.code, 0, "{armed:?}");
    }
    estate.json(&["run"], 0);
    let mails = estate.sink.received();
    assert_eq!(mails.len(), 1, "one owner, one mail");
    assert!(planted.iter().all(|(_, idle, _, _)| mails[0].data.contains(idle.as_str())), "all four are in it");

    // At night nothing is done, due or not; in the window everything is.
    estate.now("2027-03-17T02:30:00Z");
    let night = estate.json(&["run"], 0);
    assert_eq!(night["remediations_due"], 0, "{night:#}");
    assert!(accounts.iter().all(|account| estate.changes(account).is_empty()));
    estate.now(last);
    let day = estate.json(&["run"], 0);
    assert_eq!((&day["remediations_completed"], &day["remediations_failed"]), (&8.into(), &0.into()), "{day:#}");
    judge(&estate, &planted).await;
    let again = estate.json(&["run"], 0);
    assert_eq!(again["remediations_due"], 0, "{again:#}");
    judge(&estate, &planted).await;
}

type Planted = (costwarden::domain::place::Place, String, String, String);

/// Each place lost its own orphan, stopped its own instance, and holds a completed snapshot of both volumes.
async fn judge(estate: &Estate, planted: &[Planted]) {
    for (here, idle, root, orphan) in planted {
        assert_eq!(estate.state_of(here, idle).await, "stopped", "{here}");
        assert_eq!(estate.volumes(here).await, [root.clone()].into(), "{here}");
        let mut backed: Vec<String> = Vec::new();
        for snapshot in estate.safety_snapshots(here).await {
            assert_eq!(snapshot.state().map(|state| state.as_str()), Some("completed"), "{here}: {snapshot:?}");
            backed.extend(snapshot.volume_id().map(str::to_owned));
        }
        backed.sort();
        let mut wanted = [root.clone(), orphan.clone()];
        wanted.sort();
        assert_eq!(backed, wanted, "{here}");
    }
    for account in [&planted[0].0.account, &planted[2].0.account] {
        let mine = planted.iter().filter(|(here, ..)| here.account == *account);
        let mut wanted: Vec<(String, String)> = mine
            .flat_map(|(_, idle, _, orphan)| {
                [("StopInstances".to_owned(), idle.clone()), ("DeleteVolume".to_owned(), orphan.clone())]
            })
            .collect();
        let changes = estate.changes(account);
        let mut done: Vec<_> =
            changes.iter().filter(|(operation, _)| !operation.starts_with("CreateSnapshot")).cloned().collect();
        wanted.sort();
        done.sort();
        assert_eq!(done, wanted, "account {account}: once each, nothing else: {changes:?}");
        assert_eq!(changes.len() - done.len(), 4, "and one snapshot call before each");
    }
}
