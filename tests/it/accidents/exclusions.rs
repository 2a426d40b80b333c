//! What somebody had excluded, or never enrolled: exclusions that some kinds did not know, images behind snapshots, and
//! an account that became a target by a word in another setting.

use std::collections::BTreeSet;

use costwarden::cloud::sim::{Planted, World, plant};
use costwarden::domain::place::{AccountId, Kind};
use costwarden::domain::plan::HoldCode;
use costwarden::worker::act_approvals;
use costwarden::worker::exceptions::By;
use serde_json::json;

use super::story::*;

const TAGGED: &[(&str, &str)] = &[("owner", "ann@example.com")];

/// Snapshots that are older than 90 days are deleted, with two people's word.
const OLD: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: old }\nspec:\n  type: Waste\n  \
                   rules:\n    - { name: old, check: old-snapshot, severity: high, action: terminate }\n";

/// Addresses that point at nothing are released, with two people's word.
const LOOSE: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: { name: loose }\nspec:\n  type: Waste\n  \
                     rules:\n    - { name: loose, check: unassociated-address, severity: high, action: release }\n";

fn old_snapshot(name: &str) -> Planted {
    let key = place().partition(Kind::Snapshot).key(&format!("snap-0{name}"));
    plant::snapshot(key, "vol-0gone", 8, start() - chrono::TimeDelta::days(200)).tagged(TAGGED)
}

fn loose_address(name: &str, ip: &str) -> Planted {
    plant::address(place().partition(Kind::Address).key(&format!("eipalloc-0{name}")), ip).tagged(TAGGED)
}

/// Two people may approve, and deleted snapshots are said to be kept for a while: all that such acts ask for.
fn with_people(world: &mut World) {
    let settings = world.settings.as_mut().unwrap();
    settings["approvals"] = json!({ "finops": ["fin@example.com"], "security": ["sec@example.com"] });
    settings["enforcement"]["recycle_bin_days"] = json!(30);
    world.timing.recycle_bin_days = Some(30);
}

/// Plays on, and whoever is asked says yes to everything each midnight.
async fn everyone_says_yes_until(story: &Story, days: i64) {
    for day in 1..=days {
        story.until(at(day, 0)).await;
        let (store, now) = (story.cx().store, story.app.clock.now());
        for row in store.approvals_pending(None).unwrap() {
            act_approvals::answer(&store, &row, true, None, By { who: &row.approver, at: now }).unwrap();
        }
    }
}

/// One kind of resource was deleted without regard to the age and the exclusions of the configuration, which the other
/// kinds knew: what was kept for demonstrations was among it.
#[tokio::test]
async fn accident_cloud_nuke_245_an_exclusion_holds_for_every_kind_that_is_acted_on() {
    let kept = ["i-0kept", "vol-0kept", "vol-0spare", "eipalloc-0kept", "snap-0kept"];
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into(), ORPHANS.into(), OLD.into(), LOOSE.into()];
        with_people(world);
        world.settings.as_mut().unwrap()["enforcement"]["protect"] = json!(kept);
        world.resources = [idle("kept"), idle("other")].concat();
        world.resources.extend([orphan("spare"), orphan("loose"), old_snapshot("kept"), old_snapshot("other")]);
        world.resources.extend([loose_address("kept", "203.0.113.8"), loose_address("other", "203.0.113.9")]);
    });
    everyone_says_yes_until(&story, 24).await;
    let acts: BTreeSet<String> = story.acts().into_iter().collect();
    let why = format!("{:?} {:#?}", story.frozen(), story.held().await);
    let expected = [
        "DeleteSnapshot snap-0other",
        "DeleteVolume vol-0loose",
        "ReleaseAddress eipalloc-0other",
        "StopInstances i-0other",
    ];
    assert_eq!(
        acts,
        expected.map(str::to_owned).into(),
        "each kind's act reaches what nobody excluded, and no more: {why}"
    );
    let held = story.held().await;
    for id in ["i-0kept", "vol-0spare", "eipalloc-0kept", "snap-0kept"] {
        assert!(held[id].1.contains("protect list"), "{id}: {:?}", held[id]);
        assert_ne!(story.truth(id), "gone", "{id}");
    }
}

/// Deleting a snapshot went by taking away the image that was made of it, and the tag that should have kept the image was
/// never looked at.
#[tokio::test]
async fn accident_cloud_nuke_829_an_image_is_never_taken_away_to_get_at_its_snapshot() {
    let story = Story::open(|world| {
        world.policies = vec![OLD.into()];
        with_people(world);
        let image = place().partition(Kind::Image).key("ami-0base");
        let made = start() - chrono::TimeDelta::days(200);
        world.resources = vec![
            old_snapshot("used"),
            old_snapshot("loose"),
            plant::image(image, "base", &["snap-0used"], made).tagged(&[("costwarden:protect", "true")]),
        ];
    });
    everyone_says_yes_until(&story, 12).await;
    assert_eq!(story.acts(), ["DeleteSnapshot snap-0loose"], "two people's yes reaches what no image uses");
    assert_eq!(story.findings().keys().collect::<Vec<_>>(), ["snap-0loose"]);
    for id in ["ami-0base", "snap-0used"] {
        assert_ne!(story.truth(id), "gone", "{id}");
    }
}

/// A team gave its development account another level of access; with the level came, unasked, the weekly clean-up, and
/// infrastructure was lost.
#[tokio::test]
async fn accident_modernisation_platform_12887_an_account_that_joins_is_looked_at_and_not_acted_on_until_it_is_armed() {
    let joined = AccountId::new("444455556666").unwrap();
    let story = Story::open(|world| {
        *world = world.clone().with_account(joined.as_str(), &["us-east-1"]).unwrap();
        world.policies = vec![IDLE.into()];
        let mut new = idle("new");
        for planted in &mut new {
            planted.resource.key.partition.place.account = joined.clone();
        }
        world.resources = [idle("known"), new].concat();
    });
    assert!(story.cx().store.disarm(&joined, start()).unwrap(), "a story arms all accounts, a list of accounts none");
    story.until(at(30, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0known"]);
    assert!(story.changes().iter().all(|call| call.target.as_deref() != Some("i-0new")), "not even a snapshot");
    assert_eq!(story.held().await["i-0new"].0, HoldCode::NotArmed);
    assert!(story.finding("i-0new").clock.first_notice.is_some(), "but its owner has heard what is found");
    assert_eq!(story.truth("i-0new"), "running");
}
