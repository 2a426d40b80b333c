//! Schedulers: instances that a table believed to be stopped, and jobs that ran at the wrong hour or twice.

use chrono::TimeDelta;
use costwarden::cloud::sim::Change;
use costwarden::domain::Instant;
use costwarden::domain::finding::State;
use costwarden::worker::schedule::{Job, JobPattern};

use super::story::*;

/// EC2 goes on listing a terminated instance for an hour; the call for all of them failed on it, and nothing was started.
#[tokio::test]
async fn accident_instance_scheduler_281_a_terminated_instance_that_is_still_listed_breaks_nothing() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = [idle("a"), idle("b")].concat();
        // Terminated minutes before the scan and again minutes before the acts, so that both listings still show it.
        world.events = vec![event(at(1, 1) + TimeDelta::minutes(50), Change::Terminate("i-0a".into()))];
    });
    story.until(at(2, 0)).await;
    assert_eq!(story.acts(), ["StopInstances i-0b"]);
    let (scan, _) = story.cx().last_scan().unwrap().unwrap();
    assert!(scan.complete(), "it is no reason to believe the listing less");
    story.until(at(4, 0)).await;
    assert_ne!(story.finding("i-0a").state, State::Remediated, "nobody here stopped it");
    assert_eq!(story.frozen(), None);
}

/// A table said "stopped" while the instance ran, so it was never looked at again and ran on.
#[tokio::test]
async fn accident_instance_scheduler_592_what_runs_is_seen_running_whatever_our_own_table_says() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
        world.events = vec![event(at(3, 12), Change::Start("i-0a".into()))];
    });
    story.until(at(3, 0)).await;
    assert_eq!(story.finding("i-0a").state, State::Remediated);
    // Seven full quiet days after the start.
    story.until(at(12, 0)).await;
    assert_eq!(story.truth("i-0a"), "running");
    assert_eq!(story.finding("i-0a").state, State::Open, "the finding is open again");
    let report = story.report();
    assert!(report.top_findings.iter().any(|row| row.resource == "i-0a"), "and stands in the report");
}

fn slots(pattern: &str, zone: chrono_tz::Tz, from: &str, days: i64) -> Vec<String> {
    let pattern = JobPattern::parse(Job::Scan, pattern, zone).unwrap();
    let mut next: Instant = from.parse().unwrap();
    let until = next + TimeDelta::days(days);
    let mut found = Vec::new();
    while let Some(slot) = pattern.next_after(next).filter(|slot| *slot < until) {
        found.push(slot.format("%m-%d %H:%M").to_string());
        next = slot;
    }
    found
}

/// The offset of the zone was taken once, when the job was made: after the clocks changed it ran an hour off.
#[test]
fn accident_tokio_cron_scheduler_107_six_in_the_evening_stays_six_in_the_evening_over_both_clock_changes() {
    let dublin = chrono_tz::Europe::Dublin;
    assert_eq!(slots("0 18 * * *", dublin, "2025-03-29T00:00:00Z", 3), ["03-29 18:00", "03-30 17:00", "03-31 17:00"]);
    assert_eq!(slots("0 18 * * *", dublin, "2025-10-25T00:00:00Z", 3), ["10-25 17:00", "10-26 18:00", "10-27 18:00"]);
}

/// A job at eight in Shanghai ran at midnight UTC and once more at eight UTC.
#[test]
fn accident_tokio_cron_scheduler_105_a_zone_gives_one_instant_a_day_and_not_two() {
    let shanghai = chrono_tz::Asia::Shanghai;
    assert_eq!(slots("0 8 * * *", shanghai, "2025-10-27T00:00:01Z", 3), ["10-28 00:00", "10-29 00:00", "10-30 00:00"]);
}

/// The parser's older version fired a daily pattern twice on the night in which an hour is left out.
#[test]
fn accident_croner_3_0_1_half_past_one_happens_once_in_berlin_when_the_hour_behind_it_is_left_out() {
    let berlin = chrono_tz::Europe::Berlin;
    assert_eq!(slots("30 1 * * *", berlin, "2026-03-28T12:00:00Z", 2), ["03-29 00:30", "03-29 23:30"]);
    // The same for a time that does not exist, and for one that exists twice.
    assert_eq!(slots("30 2 * * *", berlin, "2026-03-28T12:00:00Z", 1), ["03-29 01:00"]);
    assert_eq!(slots("30 2 * * *", berlin, "2026-10-24T12:00:00Z", 2), ["10-25 00:30", "10-26 01:30"]);
}
