//! A scan writes a partition whole, keeps nights, and does not undo what happened while it read.

use super::*;
use crate::domain::inventory::Sighting;
use crate::domain::notice::NoticeKind;
use crate::domain::remediation::{JournalState, Remediation};
use crate::domain::scan::Scan;

fn scan(id: &str, started: Instant, finished: Option<Instant>, coverage: Vec<Coverage>) -> Scan {
    Scan {
        id: id.into(),
        started_at: started,
        finished_at: finished,
        coverage,
        requests: vec![],
        resources: Default::default(),
        unknown: Default::default(),
    }
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| a.id.cmp(&b.id));
    findings
}

#[test]
fn a_partition_comes_back_as_it_was_written_ordered_by_id_and_alone() {
    let store = Store::in_memory().unwrap();
    let id = store.begin_scan(minute(0)).unwrap();
    let found: Vec<Finding> = (0..30).map(|number| finding(&format!("i-{number:03}"))).collect();
    let events = [event(&found[0], 0, "detected"), event(&found[1], 0, "detected")];
    let coverage = complete(Kind::Instance, 400);
    store.save_partition(&PartitionNight { events: &events, ..night(&id, &coverage, minute(0), &found) }).unwrap();
    let volume = [finding("vol-1")];
    store.save_partition(&night(&id, &complete(Kind::Volume, 1), minute(0), &volume)).unwrap();

    let open_in = |kind| -> Vec<Finding> {
        let open = store.findings_open().unwrap().into_iter();
        open.filter(|finding| finding.key.partition == partition(kind)).collect()
    };
    assert_eq!(open_in(Kind::Instance), sorted(found.clone()));
    assert_eq!(open_in(Kind::Volume), volume);
    assert_eq!(open_in(Kind::Snapshot), []);
    assert_eq!(store.finding_events(&found[0].id).unwrap(), events[..1]);
    assert_eq!(store.events_between(minute(0), minute(1)).unwrap(), events);
    assert_eq!(store.events_between(minute(1), minute(2)).unwrap(), []);
    assert_eq!(store.last_trusted_count(&partition(Kind::Instance)).unwrap(), Some((400, minute(0))));
}

#[test]
fn only_the_findings_that_changed_are_written() {
    let store = Store::in_memory().unwrap();
    let id = store.begin_scan(minute(0)).unwrap();
    let found: Vec<Finding> = (0..1000).map(|number| finding(&format!("i-{number:04}"))).collect();
    let coverage = complete(Kind::Instance, 1000);
    store.save_partition(&night(&id, &coverage, minute(0), &found)).unwrap();
    let before = store.lock().total_changes();
    let seen = [Finding { seen_at: minute(1440), ..found[7].clone() }];
    store.save_partition(&night(&id, &coverage, minute(1440), &seen)).unwrap();
    // One finding and one night.
    assert_eq!(store.lock().total_changes() - before, 2);
    assert_eq!(store.finding(&seen[0].id).unwrap().unwrap().seen_at, minute(1440));
}

#[test]
fn a_finding_of_another_partition_fails_the_whole_write() {
    let store = Store::in_memory().unwrap();
    let id = store.begin_scan(minute(0)).unwrap();
    let mixed = [finding("i-1"), finding("vol-1")];
    let error = store.save_partition(&night(&id, &complete(Kind::Instance, 2), minute(0), &mixed)).unwrap_err();
    assert!(error.to_string().contains("is of 123456789012/eu-central-1/storage/volume"), "{error}");
    assert_eq!(store.findings_open().unwrap(), []);
    assert_eq!(store.last_trusted_count(&partition(Kind::Instance)).unwrap(), None);
}

#[test]
fn sightings_are_replaced_by_trusted_listings_alone() {
    let store = Store::in_memory().unwrap();
    let id = store.begin_scan(minute(0)).unwrap();
    let key = |id: &str| partition(Kind::Volume).key(id);
    let sighting = |scans: u32| Sighting { since: minute(0), scans };
    let save = |coverage: &Coverage, minutes: i64, seen: &[(crate::domain::place::ResourceKey, Sighting)]| {
        let night = PartitionNight { sightings: Some(seen), ..night(&id, coverage, minute(minutes), &[]) };
        store.save_partition(&night).unwrap();
    };
    let stored = || {
        let mut rows: Vec<(String, Sighting)> =
            store.sightings(&partition(Kind::Volume)).unwrap().into_iter().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    };
    let whole = complete(Kind::Volume, 2);
    save(&whole, 0, &[(key("vol-1"), sighting(1)), (key("vol-2"), sighting(1))]);
    assert_eq!(stored(), [("vol-1".into(), sighting(1)), ("vol-2".into(), sighting(1))]);
    // A failed read shows nothing: it must not end anybody's clock. Nor must a listing that shrank too much.
    save(&Coverage { status: Status::Failed, resources: 0, ..whole.clone() }, 1, &[]);
    save(&Coverage { suspect: Some("shrank".into()), ..whole.clone() }, 2, &[]);
    assert_eq!(stored().len(), 2);
    save(&whole, 3, &[(key("vol-2"), sighting(2))]);
    assert_eq!(stored(), [("vol-2".into(), sighting(2))]);
}

#[test]
fn the_floor_compares_with_the_newest_trusted_night_however_old_it_is() {
    let store = Store::in_memory().unwrap();
    let id = store.begin_scan(minute(0)).unwrap();
    let day = |number: i64| minute(number * 24 * 60);
    let own = partition(Kind::Instance);
    let whole = complete(Kind::Instance, 100);
    let save = |coverage: &Coverage, taken_at: Instant, blob: &[u8]| {
        let night = PartitionNight { blob: blob.to_vec(), keep_nights: 5, ..night(&id, coverage, taken_at, &[]) };
        store.save_partition(&night).unwrap();
    };
    let nights = || -> Vec<i64> {
        let connection = store.lock();
        let mut statement = connection.prepare("SELECT taken_at FROM night ORDER BY taken_at").unwrap();
        let taken = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        taken.map(|at| (at.unwrap() - minute(0).timestamp_micros()) / 86_400_000_000).collect()
    };
    for number in 0..8 {
        save(&whole, day(number), format!("night {number}").as_bytes());
    }
    assert_eq!(nights(), [3, 4, 5, 6, 7]);
    assert_eq!(store.night(&own, day(5)).unwrap(), Some((day(4), b"night 4".to_vec())), "strictly before");
    assert_eq!(store.night(&own, day(3)).unwrap(), None);

    // Two weeks without a believable listing.
    let failed = Coverage { status: Status::Partial, resources: 3, ..whole.clone() };
    let suspect = Coverage { suspect: Some("shrank".into()), resources: 2, ..whole.clone() };
    for number in 8..22 {
        save(if number % 2 == 0 { &failed } else { &suspect }, day(number), b"cut short");
    }
    assert_eq!(store.last_trusted_count(&own).unwrap(), Some((100, day(7))));
    assert_eq!(store.night(&own, day(40)).unwrap(), Some((day(7), b"night 7".to_vec())));
    assert_eq!(nights(), [7, 17, 18, 19, 20, 21]);

    // A second trusted listing of the same day takes the first one's place.
    save(&whole, day(22), b"first");
    save(&whole, day(22) + chrono::TimeDelta::hours(1), b"second");
    assert_eq!(store.night(&own, day(40)).unwrap().unwrap().1, b"second");
    assert_eq!(nights(), [18, 19, 20, 21, 22]);
}

#[test]
fn a_scan_is_begun_ended_and_found_again() {
    let store = Store::in_memory().unwrap();
    assert_eq!(store.last_scan().unwrap(), None);
    let first = store.begin_scan(minute(0)).unwrap();
    let second = store.begin_scan(minute(0)).unwrap();
    assert_eq!((first.as_str(), second.as_str()), ("s-20261102T020000Z", "s-20261102T020000Z-2"));
    assert_eq!(store.last_scan().unwrap(), None, "none has ended");
    let whole = scan(&first, minute(0), Some(minute(5)), vec![complete(Kind::Volume, 3)]);
    let summary = serde_json::json!({ "score": 87.5 });
    store.finish_scan(&whole, &summary).unwrap();
    let partial = Coverage { status: Status::Partial, ..complete(Kind::Volume, 1) };
    let cut = scan(&second, minute(0), Some(minute(6)), vec![partial]);
    store.finish_scan(&cut, &serde_json::Value::Null).unwrap();

    assert_eq!(store.last_scan().unwrap(), Some((cut.clone(), Some(serde_json::Value::Null))));
    assert_eq!(store.last_complete_scan().unwrap(), Some((whole.clone(), Some(summary.clone()))));
    let third = store.begin_scan(minute(10)).unwrap();
    let scans: Vec<String> =
        store.scans_between(minute(0), minute(11)).unwrap().into_iter().map(|(scan, _)| scan.id).collect();
    assert_eq!(scans, [first, second, third], "the one that runs too");
    assert!(store.finish_scan(&scan("s-none", minute(0), None, vec![]), &summary).is_err());
}

#[test]
fn an_act_during_a_scan_wins_over_what_the_scan_read_before() {
    let (store, findings) = with_findings(&["i-0a1", "i-0b2"]);
    let id = store.begin_scan(minute(0)).unwrap();
    let fence = acting_lease(&store, "apply", minute(0));
    // Both are read at minute 0. Until the scan writes at minute 9, one is being stopped, the other was.
    let open = store.claim(&step(&findings[0]), "p-1", fence, minute(1)).unwrap();
    let claimed = store.claim(&step(&findings[1]), "p-1", fence, minute(1)).unwrap();
    let done = Remediation { state: JournalState::Done, ..claimed };
    let entry = AuditEntry { actor: "a".into(), what: "b".into(), subject: "c".into(), detail: Default::default() };
    store.done(&done, fence, minute(5), &entry, &[]).unwrap();
    let seen: Vec<Finding> =
        findings.iter().map(|finding| Finding { message: "still wasteful".into(), ..finding.clone() }).collect();
    let events = [event(&seen[0], 0, "confirmed"), event(&seen[1], 0, "confirmed")];
    let coverage = complete(Kind::Instance, 2);
    store.save_partition(&PartitionNight { events: &events, ..night(&id, &coverage, minute(0), &seen) }).unwrap();

    let acting = store.finding(&findings[0].id).unwrap().unwrap();
    assert_eq!(acting.remediation, Some(OpenRemediation::Acting));
    let remediated = store.finding(&findings[1].id).unwrap().unwrap();
    assert_eq!((remediated.state, remediated.remediation), (State::Remediated, None));
    let told: Vec<String> =
        store.finding_events(&findings[1].id).unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(told, ["acting", "remediated"], "no word of the overtaken scan");

    // The next scan began after the claim and does not know of it: the journal still wins.
    store.save_partition(&night(&id, &coverage, minute(20), &seen[..1])).unwrap();
    let acting = store.finding(&findings[0].id).unwrap().unwrap();
    assert_eq!((acting.message.as_str(), acting.remediation), ("still wasteful", Some(OpenRemediation::Acting)));
    store.update_findings(&seen[..1], &[]).unwrap();
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().phase, Phase::Acting);
    let refused = Remediation { state: JournalState::Refused, ..open };
    store.advance(&refused, fence, minute(30)).unwrap();
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().remediation, None);
}

#[test]
fn h08_a_notice_delivered_during_a_scan_keeps_its_clock_and_a_restart_stays_a_restart() {
    let (store, findings) = with_findings(&["i-0a1", "i-0b2"]);
    let id = store.begin_scan(minute(0)).unwrap();
    let deliver = |finding: &Finding, kind: NoticeKind, minutes: i64| {
        let mail = Outgoing {
            dedup: format!("{} {minutes}", finding.id),
            notices: vec![(finding.id.clone(), kind)],
            ..Outgoing::default()
        };
        let ids = store.enqueue(&[mail], minute(minutes)).unwrap();
        let move_clock = |finding: &mut Finding, kind: NoticeKind| match kind {
            NoticeKind::First => {
                finding.clock.first_notice = Some(minute(minutes));
                finding.clock.due_at = Some(minute(minutes + 1440));
            }
            _ => finding.clock.last_reminder = Some(minute(minutes)),
        };
        store.mark_delivered(ids[0], minute(minutes), move_clock).unwrap();
    };
    let clock = |finding: &Finding| store.finding(&finding.id).unwrap().unwrap().clock;
    // The second one was told long before the scan; the first one while the scan reads.
    deliver(&findings[1], NoticeKind::First, -2000);
    let read = store.findings_open().unwrap();
    deliver(&findings[0], NoticeKind::First, 3);
    deliver(&findings[1], NoticeKind::Reminder, 3);
    // The scan ends the second one's exception: its clock starts anew.
    let seen: Vec<Finding> = read.into_iter().map(|read| Finding { clock: GraceClock::default(), ..read }).collect();
    store.save_partition(&night(&id, &complete(Kind::Instance, 2), minute(0), &seen)).unwrap();
    assert_eq!(clock(&findings[0]).due_at, Some(minute(1443)), "the notice was delivered and counts");
    assert_eq!(store.finding(&findings[0].id).unwrap().unwrap().phase, Phase::InGrace);
    assert_eq!(clock(&findings[1]), GraceClock::default(), "a reminder does not bring the old clock back");

    // A scan that began later is believed as it is.
    store.save_partition(&night(&id, &complete(Kind::Instance, 2), minute(10), &seen)).unwrap();
    assert_eq!(clock(&findings[0]), GraceClock::default());
}

#[test]
fn a_policy_that_moves_a_due_date_later_is_not_overruled_by_a_reminder() {
    let (store, mut findings) = with_findings(&["i-0a1"]);
    let id = store.begin_scan(minute(0)).unwrap();
    findings[0].clock = GraceClock { first_notice: Some(minute(-60)), due_at: Some(minute(60)), ..Default::default() };
    store.update_findings(&findings, &[]).unwrap();
    let mail = Outgoing { notices: vec![(findings[0].id.clone(), NoticeKind::Reminder)], ..Outgoing::default() };
    let message = store.enqueue(&[mail], minute(1)).unwrap()[0];
    store.mark_delivered(message, minute(1), |finding, _| finding.clock.last_reminder = Some(minute(1))).unwrap();
    findings[0].clock.due_at = Some(minute(900));
    store.save_partition(&night(&id, &complete(Kind::Instance, 1), minute(0), &findings)).unwrap();
    let clock = store.finding(&findings[0].id).unwrap().unwrap().clock;
    assert_eq!((clock.due_at, clock.last_reminder), (Some(minute(900)), Some(minute(1))));
}
