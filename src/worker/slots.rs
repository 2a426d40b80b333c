//! Which slots are to be run now, and which are only recorded as missed. Pure.
//!
//! The daemon calls [`due`] at each tick and after each job, with the rows that the store already has; a slot with a
//! row is never returned again, so each (job, slot) runs at most once. A missed scan is made up once, for the latest
//! missed slot. A missed act slot is never made up: acts happen at the hour people know, or not at all. A report is
//! made up within its own day. Nothing from before the daemon's first start is due.
//! It leaves out holds (clock, first scan after a start): the daemon adds them.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::schedule::{Job, Schedule};
use crate::domain::Instant;

/// How late a slot may start and still be on time. Longer than any report runs, shorter than the way from one slot
/// of the defaults to the next.
pub const ON_TIME: TimeDelta = TimeDelta::minutes(15);

/// Most missed slots of one job that get a row of their own; older ones are counted in the oldest row's reason.
pub const MISSED_ROWS: usize = 400;

/// One slot without a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSlot {
    /// Whose.
    pub job: Job,
    /// When it was to start.
    pub at: Instant,
    /// What to do about it.
    pub verdict: Verdict,
}

/// What to do about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start it now.
    Run,
    /// Start it now, although its time has passed.
    MakeUp,
    /// Record that it did not run, and why.
    Missed(String),
}

impl DueSlot {
    /// Whether the job is to be started.
    pub fn runs(&self) -> bool {
        !matches!(self.verdict, Verdict::Missed(_))
    }
}

/// The slots in `(last_seen, now]` that have no row in `known`, in the order in which they are to be handled: by time,
/// and at one instant in the jobs' fixed order. `last_seen` is the last instant at which everything due had been
/// handled; `None` means that the daemon has never run, and then nothing is due.
pub fn due(schedule: &Schedule, known: &[(Job, Instant)], now: Instant, last_seen: Option<Instant>) -> Vec<DueSlot> {
    let Some(last_seen) = last_seen else { return Vec::new() };
    let known: BTreeSet<_> = known.iter().copied().collect();
    let mut found = Vec::new();
    for row in schedule.jobs() {
        let mut slots = schedule.slots_between(row.job, last_seen, now);
        slots.retain(|slot| !known.contains(&(row.job, *slot)) || planted!("run-a-slot-twice"));
        let Some(latest) = slots.pop() else { continue };
        let left_out = slots.len().saturating_sub(MISSED_ROWS);
        for (index, slot) in slots.into_iter().enumerate().skip(left_out) {
            let mut reason = match judge(schedule, row.job, slot, now) {
                Verdict::Missed(reason) => reason,
                _ => format!("the later slot of {} stands for it", schedule.local_text(latest)),
            };
            if index == left_out && left_out > 0 {
                reason.push_str(&format!("; {left_out} slots before it were missed as well"));
            }
            found.push(DueSlot { job: row.job, at: slot, verdict: Verdict::Missed(reason) });
        }
        found.push(DueSlot { job: row.job, at: latest, verdict: judge(schedule, row.job, latest, now) });
    }
    found.sort_by_key(|slot| (slot.at, slot.job));
    found
}

/// What to do about a job's latest slot without a row.
fn judge(schedule: &Schedule, job: Job, slot: Instant, now: Instant) -> Verdict {
    if now - slot <= ON_TIME {
        return Verdict::Run;
    }
    let late = format!("the worker came to it {} late", span(now - slot));
    match job {
        Job::Scan => Verdict::MakeUp,
        Job::Act => Verdict::Missed(format!("{late}, and a missed act slot is never made up")),
        Job::Daily | Job::Weekly if schedule.local_day(job, slot) == schedule.local_day(job, now) => Verdict::MakeUp,
        Job::Daily | Job::Weekly => Verdict::Missed(format!("{late}, and a report is made up only on its own day")),
    }
}

/// A length of time in words, to the minute: `3 d 4 h`, `2 h 5 min`, `16 min`.
fn span(length: TimeDelta) -> String {
    let minutes = length.num_minutes();
    match (minutes / 1_440, minutes % 1_440 / 60, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::SchedulePatterns;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn schedule() -> Schedule {
        let patterns = SchedulePatterns {
            scan: "0 2 * * *".into(),
            act: "0 10 * * 1-4".into(),
            daily: "0 9 * * *".into(),
            weekly: "0 9 * * 1".into(),
        };
        Schedule::new(&patterns, chrono_tz::UTC).unwrap()
    }

    fn due_at(now: &str, last_seen: &str) -> Vec<String> {
        let slots = due(&schedule(), &[], at(now), Some(at(last_seen)));
        slots.iter().map(|slot| format!("{} {} {}", slot.job, slot.at.format("%d %H:%M"), word(slot))).collect()
    }

    fn word(slot: &DueSlot) -> &'static str {
        match slot.verdict {
            Verdict::Run => "run",
            Verdict::MakeUp => "make up",
            Verdict::Missed(_) => "missed",
        }
    }

    #[test]
    fn each_slot_is_due_once_at_its_minute_and_monday_has_daily_before_weekly() {
        assert_eq!(due_at("2026-11-23T08:59:00Z", "2026-11-23T08:58:00Z"), Vec::<String>::new());
        assert_eq!(
            due_at("2026-11-23T09:00:00Z", "2026-11-23T08:59:00Z"),
            ["daily 23 09:00 run", "weekly 23 09:00 run"]
        );
        assert_eq!(due_at("2026-11-23T09:01:00Z", "2026-11-23T09:00:00Z"), Vec::<String>::new());
        // A row for the daily leaves the weekly alone.
        let known = [(Job::Daily, at("2026-11-23T09:00:00Z"))];
        let left = due(&schedule(), &known, at("2026-11-23T09:03:00Z"), Some(at("2026-11-23T08:59:00Z")));
        assert_eq!(left.iter().map(|slot| slot.job).collect::<Vec<_>>(), [Job::Weekly]);
    }

    #[test]
    fn a_missed_scan_is_made_up_once_a_missed_act_never_and_reports_on_their_own_day() {
        // Off from Friday evening until Tuesday 10:16, one minute too late for the act.
        assert_eq!(
            due_at("2026-11-24T10:16:00Z", "2026-11-20T20:00:00Z"),
            [
                "scan 21 02:00 missed",
                "daily 21 09:00 missed",
                "scan 22 02:00 missed",
                "daily 22 09:00 missed",
                "scan 23 02:00 missed",
                "daily 23 09:00 missed",
                "weekly 23 09:00 missed",
                "act 23 10:00 missed",
                "scan 24 02:00 make up",
                "daily 24 09:00 make up",
                "act 24 10:00 missed",
            ]
        );
        // Behind a long report, but within the quarter of an hour.
        assert_eq!(due_at("2026-11-24T10:15:00Z", "2026-11-24T09:59:00Z"), ["act 24 10:00 run"]);
    }

    #[test]
    fn the_reasons_say_why_a_slot_did_not_run() {
        let slots = due(&schedule(), &[], at("2026-11-24T12:05:00Z"), Some(at("2026-11-22T20:00:00Z")));
        let reasons: Vec<_> = slots
            .iter()
            .filter_map(|slot| match &slot.verdict {
                Verdict::Missed(reason) => Some(format!("{} {}: {reason}", slot.job, slot.at.format("%d"))),
                _ => None,
            })
            .collect();
        assert_eq!(
            reasons,
            [
                "scan 23: the later slot of 2026-11-24 02:00 UTC stands for it",
                "daily 23: the worker came to it 1 d 3 h late, and a report is made up only on its own day",
                "weekly 23: the worker came to it 1 d 3 h late, and a report is made up only on its own day",
                "act 23: the worker came to it 1 d 2 h late, and a missed act slot is never made up",
                "act 24: the worker came to it 2 h 5 min late, and a missed act slot is never made up",
            ]
        );
    }

    #[test]
    fn nothing_from_before_the_first_start_is_due_and_a_clock_set_back_repeats_nothing() {
        assert_eq!(due(&schedule(), &[], at("2026-11-24T12:00:00Z"), None), []);
        assert_eq!(due_at("2026-11-22T12:00:00Z", "2026-11-24T12:00:00Z"), Vec::<String>::new());
    }

    #[test]
    fn very_many_missed_slots_are_counted_not_listed() {
        let slots = due(&schedule(), &[], at("2029-11-24T02:00:00Z"), Some(at("2026-11-24T02:00:00Z")));
        let scans: Vec<_> = slots.iter().filter(|slot| slot.job == Job::Scan).collect();
        assert_eq!(scans.len(), MISSED_ROWS + 1);
        let Verdict::Missed(reason) = &scans[0].verdict else { panic!("{scans:?}") };
        assert!(reason.ends_with("; 695 slots before it were missed as well"), "{reason}");
        assert_eq!(scans.last().unwrap().verdict, Verdict::Run);
    }

    proptest! {
        /// A month with ticks at any distance, rows written as the daemon writes them: no slot twice, each slot
        /// handled, at most one scan made up a tick, and no act later than [`ON_TIME`].
        #[test]
        fn h31_every_slot_is_handled_exactly_once_however_the_ticks_fall(
            gaps in prop::collection::vec(prop_oneof![4 => 1i64..3, 2 => 1i64..600, 1 => 600i64..6_000], 1..200),
        ) {
            let schedule = schedule();
            let start = at("2026-11-01T00:00:30Z");
            let (mut now, mut seen) = (start, start);
            let mut known = Vec::new();
            for gap in gaps {
                now += TimeDelta::minutes(gap);
                let slots = due(&schedule, &known, now, Some(seen));
                prop_assert!(slots.iter().filter(|slot| slot.job == Job::Scan && slot.runs()).count() <= 1);
                for slot in slots {
                    prop_assert!(!known.contains(&(slot.job, slot.at)));
                    prop_assert!(slot.job != Job::Act || !slot.runs() || now - slot.at <= ON_TIME);
                    known.push((slot.job, slot.at));
                }
                seen = now;
            }
            let all = Job::ALL.map(|job| schedule.slots_between(job, start, now).len()).iter().sum::<usize>();
            prop_assert_eq!(known.len(), all);
        }
    }
}
