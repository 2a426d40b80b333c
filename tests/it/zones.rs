//! Slots over ten years in every zone of the time zone database, against a second way of finding them.
//!
//! The program walks forward from slot to slot and bisects its way out of gaps. Here every local day is taken in turn,
//! each wall-clock time that the pattern names is placed on it, and the two lists must be equal: nothing wrong, nothing
//! twice, nothing lost. Zones whose offsets run the same course over those years are walked once, as nothing else of a
//! zone is ever asked; `COSTWARDEN_ZONES=all` walks each by itself.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use costwarden::domain::Instant;
use costwarden::worker::schedule::{Job, JobPattern};

use crate::faults::reached;

/// A pattern, and what it means said a second time.
struct Asked {
    text: &'static str,
    hours: &'static [u32],
    minutes: &'static [u32],
    day: fn(NaiveDate) -> bool,
}

const EVERY_DAY: fn(NaiveDate) -> bool = |_| true;

/// The defaults, times at which clocks change, midnight and its neighbours, lists, and days of the week and month.
const PATTERNS: [Asked; 10] = [
    Asked { text: "0 2 * * *", hours: &[2], minutes: &[0], day: EVERY_DAY },
    Asked { text: "0 9 * * *", hours: &[9], minutes: &[0], day: EVERY_DAY },
    Asked { text: "0 9 * * 1", hours: &[9], minutes: &[0], day: |day| day.weekday().number_from_monday() == 1 },
    Asked { text: "0 10 * * 1-4", hours: &[10], minutes: &[0], day: |day| day.weekday().number_from_monday() <= 4 },
    Asked { text: "30 2 * * *", hours: &[2], minutes: &[30], day: EVERY_DAY },
    Asked { text: "30 1 * * *", hours: &[1], minutes: &[30], day: EVERY_DAY },
    Asked { text: "0 0 * * *", hours: &[0], minutes: &[0], day: EVERY_DAY },
    Asked { text: "59 23 * * *", hours: &[23], minutes: &[59], day: EVERY_DAY },
    Asked {
        text: "0,45 2,3 * * 0",
        hours: &[2, 3],
        minutes: &[0, 45],
        day: |day| day.weekday().num_days_from_sunday() == 0,
    },
    Asked { text: "15 3 1,29 * *", hours: &[3], minutes: &[15], day: |day| matches!(day.day(), 1 | 29) },
];

fn at(text: &str) -> Instant {
    text.parse().expect("an instant")
}

/// The one instant that a wall-clock time stands for: the first time it happens, or the first minute after a gap.
fn meant(zone: Tz, wall: NaiveDateTime, moved: &mut usize) -> Instant {
    let mut tried = wall;
    loop {
        match zone.from_local_datetime(&tried) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return at.to_utc(),
            LocalResult::None => tried += TimeDelta::minutes(1),
        }
        *moved += usize::from(tried == wall + TimeDelta::minutes(1));
    }
}

/// Zones by the course of their offsets: the first instant's, and each change with its second.
fn courses(from: Instant, until: Instant) -> Vec<(Tz, usize)> {
    let mut distinct: BTreeMap<Vec<(i64, i32)>, (Tz, usize)> = BTreeMap::new();
    for zone in chrono_tz::TZ_VARIANTS {
        let offset = |at: Instant| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
        let mut course = vec![(0, offset(from))];
        let mut at = from;
        // No zone has ever changed twice within a day.
        while at < until {
            let next = at + TimeDelta::days(1);
            if offset(at) != offset(next) {
                let (mut before, mut after) = (at, next);
                while after - before > TimeDelta::seconds(1) {
                    let middle = before + (after - before) / 2;
                    if offset(middle) == offset(before) { before = middle } else { after = middle }
                }
                course.push((after.timestamp(), offset(after)));
            }
            at = next;
        }
        if std::env::var("COSTWARDEN_ZONES").is_ok_and(|which| which == "all") {
            course.push((i64::MAX, distinct.len() as i32));
        }
        distinct.entry(course).or_insert((zone, 0)).1 += 1;
    }
    distinct.into_values().collect()
}

#[test]
fn h31_no_zone_has_a_wrong_doubled_or_lost_slot_in_ten_years() {
    let (from, until) = (at("2026-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
    let zones = courses(from, until);
    let all: usize = zones.iter().map(|(_, zones)| zones).sum();
    assert_eq!(all, chrono_tz::TZ_VARIANTS.len());
    assert!(all > 590 && zones.len() > 60, "{all} zones with {} courses", zones.len());

    let next = AtomicUsize::new(0);
    let totals = Mutex::new((0, 0, [0; 3]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((zone, _)) = zones.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (slots, moved, odd) = compare(*zone, from, until);
                    let mut totals = totals.lock().expect("no walk panicked under it");
                    let sums = std::array::from_fn(|which| totals.2[which] + odd[which]);
                    *totals = (totals.0 + slots, totals.1 + moved, sums);
                }
            });
        }
    });
    let (slots, moved, odd) = *totals.lock().expect("all walks have ended");
    eprintln!(
        "H31 zones={all} courses={} patterns={} years=10 slots={slots} moved={moved} wrong=0",
        zones.len(),
        PATTERNS.len()
    );
    assert!(slots > 1_700_000 && moved > 800, "{slots} slots of which {moved} met a gap prove too little");
    let [changes, leap_days, year_ends] = odd;
    reached("summer time begins or ends", changes);
    reached("leap day", leap_days);
    reached("year end", year_ends);
}

/// One zone through all patterns; how many slots there were, how many wall-clock times did not exist, and how many slots
/// lay within a day of a change of the offset, on a leap day, and on the first or last day of a year.
fn compare(zone: Tz, from: Instant, until: Instant) -> (usize, usize, [usize; 3]) {
    let (mut slots, mut moved, mut odd) = (0, 0, [0; 3]);
    let offset = |at: Instant| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    let first_day = from.with_timezone(&zone).date_naive() - TimeDelta::days(1);
    for asked in &PATTERNS {
        let mut wanted = Vec::new();
        let mut day = first_day;
        loop {
            let midnight = day.and_hms_opt(0, 0, 0).expect("midnight is a time");
            if midnight.and_utc() > until + TimeDelta::days(2) {
                break;
            }
            if (asked.day)(day) {
                for hour in asked.hours {
                    for minute in asked.minutes {
                        let wall = day.and_hms_opt(*hour, *minute, 0).expect("a time of day");
                        wanted.push(meant(zone, wall, &mut moved));
                    }
                }
            }
            day += TimeDelta::days(1);
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|slot| *slot > from && *slot < until);

        let row = JobPattern::parse(Job::Scan, asked.text, zone).expect("a pattern");
        let walked: Vec<Instant> = std::iter::successors(row.next_after(from), |slot| row.next_after(*slot))
            .take_while(|slot| *slot < until)
            .collect();
        if walked != wanted {
            let odd = walked.iter().find(|slot| !wanted.contains(slot));
            let lost = wanted.iter().find(|slot| !walked.contains(slot));
            panic!("{zone} {:?}: walked but not meant {odd:?}, meant but not walked {lost:?}", asked.text);
        }
        slots += walked.len();
        for slot in walked {
            let day = slot.with_timezone(&zone).date_naive();
            odd[0] += usize::from(offset(slot - TimeDelta::days(1)) != offset(slot + TimeDelta::days(1)));
            odd[1] += usize::from((day.month(), day.day()) == (2, 29));
            odd[2] += usize::from(matches!((day.month(), day.day()), (12, 31) | (1, 1)));
        }
    }
    (slots, moved, odd)
}
