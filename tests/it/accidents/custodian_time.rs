//! cloud-custodian: deadlines that moved with zones, and tags with dates that were read differently from one to the next.

use costwarden::domain::finding::State;
use costwarden::domain::plan::HoldCode;
use serde_json::json;

use super::story::*;

/// The zone of the first resource's mark stayed set while the next ones were judged, so their deadlines moved by hours.
#[tokio::test]
async fn accident_cloud_custodian_4818_a_deadline_is_an_instant_and_no_neighbour_or_zone_moves_it() {
    let mut seen = Vec::new();
    for zone in ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"] {
        for neighbour in [false, true] {
            let story = Story::open(|world| {
                world.policies = vec![IDLE.into()];
                world.resources = idle("b");
                if neighbour {
                    let mut other = idle("a");
                    other[0] = with_tag(other[0].clone(), "costwarden:keep-until", "2026-09-20");
                    world.resources.extend(other);
                }
                let settings = world.settings.as_mut().unwrap();
                settings["zone"] = json!(zone);
                // The same scan instants whatever the zone, so that nothing but the deadline's arithmetic can differ.
                settings["schedule"] = json!({ "scan": "0 * * * *" });
            });
            story.until(at(0, 3)).await;
            seen.push(story.finding("i-0b").clock.due_at.expect("told at the first scan") - start());
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

/// A mark with an hour and a zone beside one with a bare date broke the comparison of both.
#[tokio::test]
async fn accident_cloud_custodian_8306_a_date_that_cannot_be_read_holds_its_own_resource_and_no_other() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        for (name, until) in [("a", "2022/02/22 4pm UTC"), ("b", "2026-09-15"), ("c", "2022-02-19")] {
            let mut planted = idle(name);
            planted[0] = with_tag(planted[0].clone(), "costwarden:keep-until", until);
            world.resources.extend(planted);
        }
    });
    story.until(at(7, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0c"], "its date is long over");
    story.until(at(15, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0c", "StopInstances i-0b"]);
    assert_eq!(story.truth("i-0a"), "running", "what nobody can read is never over");
    assert_eq!(story.finding("i-0a").state, State::Open);
    let (code, why) = &story.held().await["i-0a"];
    assert!(*code == HoldCode::ReportedOnly && why.contains("2022/02/22 4pm UTC"), "{code:?} {why}");
}

/// A snapshot that was marked for 7 May in California was deleted on 6 May there, because UTC had turned already.
#[tokio::test]
async fn accident_cloud_custodian_5728_a_day_that_was_promised_is_over_in_every_zone_before_anything_happens() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        let mut planted = idle("a");
        planted[0] = with_tag(planted[0].clone(), "costwarden:keep-until", "2026-09-16");
        world.resources = planted;
        let settings = world.settings.as_mut().unwrap();
        settings["zone"] = json!("America/Los_Angeles");
        settings["schedule"] = json!({ "scan": "0 */6 * * *", "act": "30 9-15 * * 1-4" });
    });
    // Midnight behind 16 September in California is seven in the morning of the 17th in UTC.
    story.until("2026-09-17T07:00:00Z".parse().unwrap()).await;
    assert_eq!(story.acts(), Vec::<String>::new());
    story.until(at(14, 0)).await;
    let stops: Vec<_> = story.changes().into_iter().filter(|call| call.operation == "StopInstances").collect();
    assert_eq!(stops.len(), 0, "a full new day of grace follows, and then comes a weekend");
    story.until(at(17, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0a"]);
}
