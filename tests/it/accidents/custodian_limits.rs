//! cloud-custodian and Swabbie: limits that were there and did not hold.

use costwarden::domain::plan::HoldCode;
use serde_json::{Value, json};

use super::story::*;

/// An account with so many idle machines among so many at work, and other limits.
fn account(idle_ones: usize, busy_ones: usize, enforcement: Value) -> Story {
    Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = (0..idle_ones).flat_map(|number| idle(&format!("idle{number}"))).collect();
        world.resources.extend((0..busy_ones).flat_map(|number| busy(&format!("busy{number}"))));
        limit(world, enforcement);
    })
}

fn limit(world: &mut costwarden::cloud::sim::World, enforcement: Value) {
    let settings = world.settings.as_mut().unwrap();
    for (key, value) in enforcement.as_object().unwrap() {
        settings["enforcement"][key] = value.clone();
    }
}

/// Somebody feared a bug in a filter that matches 80 % of all instances; nothing stopped a policy from ending them all.
#[tokio::test]
async fn accident_cloud_custodian_2532_a_policy_that_suddenly_matches_most_machines_ends_none() {
    let story = account(12, 3, json!({ "breaker_count": 10, "breaker_percent": 20 }));
    story.until(at(3, 12)).await;
    assert_eq!(story.acts(), Vec::<String>::new());
    let held = story.held().await;
    assert_eq!(held.len(), 12);
    assert!(held.values().all(|(code, _)| *code == HoldCode::Breaker), "{held:?}");
}

/// Asked for a limit that still deletes a random part, the maintainers refused: more matches than foreseen mean that the
/// policy is wrong, so no part of it is safe to carry out.
#[tokio::test]
async fn accident_cloud_custodian_4997_over_the_limit_no_part_is_done_while_other_policies_go_on() {
    let story = Story::open(|world| {
        world.resources = (0..4).flat_map(|number| idle(&format!("m{number}"))).collect();
        world.resources.push(orphan("spare"));
        limit(world, json!({ "breaker_count": 3, "breaker_percent": 0 }));
    });
    story.until(at(15, 12)).await;
    assert_eq!(story.acts(), ["DeleteVolume vol-0spare"]);
    let waiting: Vec<String> = story.report().decisions.iter().map(|row| row.resource.clone()).collect();
    for number in 0..4 {
        assert!(waiting.contains(&format!("i-0m{number}")), "the report names each: {waiting:?}");
    }
}

/// The limit was asked only when the cloud was read; from cached data the same policy ran over it.
#[tokio::test]
async fn accident_cloud_custodian_3477_a_second_run_on_the_same_stored_scan_counts_what_the_first_one_did() {
    let story = account(6, 34, json!({ "pace": { "percent_of_kind_per_day": 5 } }));
    story.until(at(1, 11)).await;
    assert_eq!(story.acts().len(), 2, "5 % of 40");
    story.act_again().await;
    story.act_again().await;
    assert_eq!(story.acts().len(), 2, "the day's share is used up, whoever asks from whatever scan");
    story.until(at(3, 12)).await;
    assert_eq!(story.acts_by_day(), [(1, 2), (2, 2), (3, 2)].into());
}

/// The limit of a policy on groups was compared with the number of images that one of its filters had listed.
#[tokio::test]
async fn accident_cloud_custodian_2905_a_share_is_of_the_kind_that_is_acted_on() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = (0..4).flat_map(|number| idle(&format!("m{number}"))).collect();
        // Two hundred other things: a tenth of everything would be twenty, a tenth of the machines is one.
        world.resources.extend((0..200).map(|number| orphan(&format!("disk{number}"))));
        limit(world, json!({ "pace": { "percent_of_kind_per_day": 10 } }));
    });
    story.until(at(4, 0)).await;
    assert_eq!(story.acts_by_day(), [(1, 1), (2, 1), (3, 1)].into());
}

/// The first version of the limit was compared the wrong way round, and a limit of 0 percent meant "no limit".
#[tokio::test]
async fn accident_cloud_custodian_2854_the_limit_holds_from_one_above_it_on_and_zero_is_zero() {
    for (due, most, done) in [(1, 2, 1), (2, 2, 2), (3, 2, 0), (1, 0, 0)] {
        let story = account(due, 5, json!({ "breaker_count": most, "breaker_percent": 0 }));
        story.until(at(4, 0)).await;
        assert_eq!(story.acts().len(), done, "{due} due, breaker_count {most}");
    }
    let story = account(2, 5, json!({ "pace": { "percent_of_kind_per_day": 0 } }));
    story.until(at(4, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "0 percent a day is none a day");
}

/// Swabbie counted what it had marked on a value that never changed, so its cap compared 1 with the limit for ever.
#[tokio::test]
async fn accident_swabbie_dead_cap_the_cap_counts_up_and_the_next_one_waits() {
    for (most, days) in [(2, vec![(14, 2), (15, 2), (16, 1)]), (0, vec![])] {
        let story = Story::open(|world| {
            world.policies = vec![ORPHANS.into()];
            world.resources = (0..5).map(|number| orphan(&format!("v{number}"))).collect();
            limit(world, json!({ "pace": { "destructive_per_run": most, "percent_of_kind_per_day": 100 } }));
        });
        story.until(at(17, 0)).await;
        assert_eq!(story.acts_by_day(), days.into_iter().collect(), "destructive_per_run = {most}");
        assert_eq!(story.frozen(), None, "holding back is no fault");
    }
}

/// With every bulk action the tool ran into the account's request limit and answered with more requests, until production
/// was throttled as well.
#[tokio::test]
async fn accident_cloud_custodian_1390_the_first_throttled_change_ends_the_run() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = (0..5).flat_map(|number| idle(&format!("m{number}"))).collect();
        let throttled = refused("StopInstances", costwarden::cloud::sim::Effect::Throttle);
        world.faults = vec![costwarden::cloud::sim::Fault { calls: vec![1, 2], ..throttled }];
    });
    story.until(at(1, 12)).await;
    assert_eq!(story.acts().len(), 1, "one call, one no, nothing behind it");
    story.until(at(2, 12)).await;
    assert_eq!(story.acts().len(), 2, "the next day asks once again");
    story.until(at(4, 0)).await;
    let stopped = (0..5).filter(|number| story.truth(&format!("i-0m{number}")) == "stopped").count();
    assert_eq!((stopped, story.acts().len()), (5, 7), "what did not happen does not wait for a week");
}
