//! When each job is due: cron patterns in a real time zone, turned into instants. Pure.
//!
//! `slots` and the daemon call it, and `config check` prints it. A pattern names wall-clock times; each of them is
//! one slot on its day, whatever the clock does: a time that a clock change skips runs at the first minute that
//! exists, a time that happens twice runs the first time only, and two times that fall on one instant are one slot.
//! croner parses and walks the wall clock; the zone is applied here, so that lists and ranges (`30 2,14 * * *`) follow
//! the same rule as single times. Day of month and day of week together mean "either", as POSIX says.
//! It leaves out whether a slot has run: `slots` knows.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::domain::Instant;
use crate::settings::SchedulePatterns;

/// What the daemon runs by itself. The order is the one in which jobs of the same instant run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Inventory, judgement, findings and notices.
    Scan,
    /// A fresh plan and its due steps.
    Act,
    /// The daily report.
    Daily,
    /// The weekly report; after the daily of the same instant.
    Weekly,
}

/// One job's pattern in its zone.
#[derive(Clone, Debug)]
pub struct JobPattern {
    /// Which job.
    pub job: Job,
    /// The pattern as it was given, five fields.
    pub text: String,
    /// The zone whose wall clock it speaks of.
    pub zone: Tz,
    cron: Cron,
    /// An instant that was asked about, and the slot after it: every tick asks, and the answer changes once a slot.
    last: Arc<Mutex<Option<(Instant, Instant)>>>,
}

/// All jobs with their patterns.
#[derive(Clone, Debug)]
pub struct Schedule {
    jobs: Vec<JobPattern>,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "schedule.{job} = {given:?}: {problem}; give five fields, \"minute hour day-of-month month day-of-week\", for \
     example \"0 9 * * 1\" for Mondays at 09:00"
)]
pub struct ScheduleError {
    /// The key under `[schedule]`.
    pub job: Job,
    /// What was given.
    pub given: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Job {
    /// All jobs, in their fixed order.
    pub const ALL: [Job; 4] = [Job::Scan, Job::Act, Job::Daily, Job::Weekly];

    /// The word in settings, state and logs.
    pub fn word(self) -> &'static str {
        match self {
            Job::Scan => "scan",
            Job::Act => "act",
            Job::Daily => "daily",
            Job::Weekly => "weekly",
        }
    }

    /// The job of a word; `None` for any other text.
    pub fn of_word(word: &str) -> Option<Job> {
        Job::ALL.into_iter().find(|job| job.word() == word)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl JobPattern {
    /// Parses five fields.
    ///
    /// # Errors
    /// Another number of fields, an unknown character or value, or a date that never comes.
    pub fn parse(job: Job, text: &str, zone: Tz) -> Result<JobPattern, ScheduleError> {
        let refuse = |problem: String| ScheduleError { job, given: text.to_owned(), problem };
        let fields = text.split_whitespace().count();
        if fields != 5 {
            return Err(refuse(format!("it has {fields} field{}", if fields == 1 { "" } else { "s" })));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(text)
            .map_err(|error| refuse(error.to_string().trim_end_matches('.').to_owned()))?;
        // 30 February parses, and croner gives up on it only in the year 5000. The calendar repeats itself after 28
        // years (no century between 2024 and 2052 drops its leap day), so what does not come in them never comes.
        let start = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or(NaiveDate::MIN).and_time(chrono::NaiveTime::MIN);
        match cron.find_next_occurrence(&start, true) {
            Ok(first) if first - start <= TimeDelta::days(366 * 28) => {}
            _ => return Err(refuse("no such date ever comes".to_owned())),
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(JobPattern { job, text, zone, cron, last: Arc::default() })
    }

    /// The first slot after an instant; `None` only at the end of the calendar.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, slot)) = *last
            && (asked..slot).contains(&after)
        {
            return Some(slot);
        }
        let slot = self.looked_up(after)?;
        *last = Some((after, slot));
        Some(slot)
    }

    fn looked_up(&self, after: Instant) -> Option<Instant> {
        let mut wall = after.with_timezone(&self.zone).naive_local();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            // In the second pass of a repeated hour the wall time was already used in the first.
            match first_instant(self.zone, wall) {
                Some(slot) if slot > after => return Some(slot),
                Some(_) => {}
                None => return None,
            }
        }
    }
}

impl Schedule {
    /// The patterns of the settings, in their zone.
    ///
    /// # Errors
    /// The first pattern that cannot be used, named by its key.
    pub fn new(patterns: &SchedulePatterns, zone: Tz) -> Result<Schedule, ScheduleError> {
        let texts = [
            (Job::Scan, &patterns.scan),
            (Job::Act, &patterns.act),
            (Job::Daily, &patterns.daily),
            (Job::Weekly, &patterns.weekly),
        ];
        let jobs = texts.into_iter().map(|(job, text)| JobPattern::parse(job, text, zone));
        Ok(Schedule { jobs: jobs.collect::<Result<_, _>>()? })
    }

    /// The patterns, in the jobs' fixed order.
    pub fn jobs(&self) -> &[JobPattern] {
        &self.jobs
    }

    /// The job's first slot after an instant.
    pub fn next_after(&self, job: Job, after: Instant) -> Option<Instant> {
        self.pattern(job)?.next_after(after)
    }

    /// The job's slots in `(after, until]`, oldest first.
    pub fn slots_between(&self, job: Job, after: Instant, until: Instant) -> Vec<Instant> {
        let next = |from: &Instant| self.next_after(job, *from).filter(|slot| *slot <= until);
        std::iter::successors(next(&after), next).collect()
    }

    /// The next slot of any job after an instant, the first job in the fixed order where several share it.
    pub fn next(&self, after: Instant) -> Option<(Job, Instant)> {
        let nexts = self.jobs.iter().filter_map(|row| Some((row.job, row.next_after(after)?)));
        nexts.min_by_key(|(job, slot)| (*slot, *job))
    }

    /// The day on the job's wall clock.
    pub fn local_day(&self, job: Job, at: Instant) -> NaiveDate {
        self.pattern(job).map_or_else(|| at.date_naive(), |row| at.with_timezone(&row.zone).date_naive())
    }

    /// An instant on the wall clock of the first job's zone, for people: `2026-11-23 02:00 CET`.
    pub fn local_text(&self, at: Instant) -> String {
        let zone = self.jobs.first().map_or(chrono_tz::UTC, |row| row.zone);
        at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// One line a job: its pattern, the zone, and what that means in words.
    pub fn describe(&self) -> Vec<String> {
        let line = |row: &JobPattern| {
            let words = row.cron.describe();
            format!("{:<6}  {:<14}  {}, {}", row.job.word(), row.text, row.zone, words.trim_end_matches('.'))
        };
        self.jobs.iter().map(line).collect()
    }

    fn pattern(&self, job: Job) -> Option<&JobPattern> {
        self.jobs.iter().find(|row| row.job == job)
    }
}

/// The one instant of a wall-clock time: its first where it happens twice, the first minute after the gap where it
/// does not happen.
fn first_instant(zone: Tz, wall: NaiveDateTime) -> Option<Instant> {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.to_utc()),
        LocalResult::None => after_gap(zone, wall),
    }
}

/// Bisects to the end of the gap that `wall` lies in. Gaps are shorter than two days (Samoa skipped one day in 2011).
fn after_gap(zone: Tz, wall: NaiveDateTime) -> Option<Instant> {
    let resolve = |minutes: i64| zone.from_local_datetime(&(wall + TimeDelta::minutes(minutes))).earliest();
    let (mut inside, mut outside) = (0, 2 * 24 * 60);
    resolve(outside)?;
    while outside - inside > 1 {
        let middle = inside + (outside - inside) / 2;
        match resolve(middle) {
            Some(_) => outside = middle,
            None => inside = middle,
        }
    }
    resolve(outside).map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn pattern(text: &str, zone: Tz) -> JobPattern {
        JobPattern::parse(Job::Scan, text, zone).unwrap()
    }

    fn defaults(zone: Tz) -> Schedule {
        let patterns = SchedulePatterns {
            scan: "0 2 * * *".into(),
            act: "0 10 * * 1-4".into(),
            daily: "0 9 * * *".into(),
            weekly: "0 9 * * 1".into(),
        };
        Schedule::new(&patterns, zone).unwrap()
    }

    fn texts(slots: &[Instant]) -> Vec<String> {
        slots.iter().map(|slot| slot.format("%Y-%m-%dT%H:%MZ").to_string()).collect()
    }

    #[test]
    fn m3_the_daily_report_is_at_nine_local_time_on_both_sides_of_every_berlin_change() {
        let schedule = defaults(chrono_tz::Europe::Berlin);
        let slots = |from: &str, until: &str| texts(&schedule.slots_between(Job::Daily, at(from), at(until)));
        assert_eq!(
            slots("2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z"),
            ["2026-03-28T08:00Z", "2026-03-29T07:00Z", "2026-03-30T07:00Z"]
        );
        assert_eq!(
            slots("2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z"),
            ["2026-10-24T07:00Z", "2026-10-25T08:00Z", "2026-10-26T08:00Z"]
        );
        assert_eq!(
            slots("2027-03-27T00:00:00Z", "2027-03-29T12:00:00Z"),
            ["2027-03-27T08:00Z", "2027-03-28T07:00Z", "2027-03-29T07:00Z"]
        );
        assert_eq!(
            slots("2027-10-30T00:00:00Z", "2027-11-01T12:00:00Z"),
            ["2027-10-30T07:00Z", "2027-10-31T08:00Z", "2027-11-01T08:00Z"]
        );
    }

    #[test]
    fn m4_the_weekly_report_is_on_mondays_at_nine_after_the_daily_of_that_instant() {
        let schedule = defaults(chrono_tz::UTC);
        let weekly = schedule.slots_between(Job::Weekly, at("2026-11-22T00:00:00Z"), at("2026-12-08T00:00:00Z"));
        assert_eq!(texts(&weekly), ["2026-11-23T09:00Z", "2026-11-30T09:00Z", "2026-12-07T09:00Z"]);
        assert!(Job::Daily < Job::Weekly);
        let monday = at("2026-11-23T08:59:59Z");
        assert_eq!(schedule.next(monday), Some((Job::Daily, at("2026-11-23T09:00:00Z"))));
        assert_eq!(schedule.next_after(Job::Weekly, monday), Some(at("2026-11-23T09:00:00Z")));
        // Berlin's Monday after each change of 2026 and 2027.
        let berlin = defaults(chrono_tz::Europe::Berlin);
        for (before, slot) in [
            ("2026-03-29T12:00:00Z", "2026-03-30T07:00:00Z"),
            ("2026-10-25T12:00:00Z", "2026-10-26T08:00:00Z"),
            ("2027-03-28T12:00:00Z", "2027-03-29T07:00:00Z"),
            ("2027-10-31T12:00:00Z", "2027-11-01T08:00:00Z"),
        ] {
            assert_eq!(berlin.next_after(Job::Weekly, at(before)), Some(at(slot)));
        }
    }

    #[test]
    fn a_skipped_time_runs_at_the_first_minute_that_exists_and_a_repeated_one_once() {
        let night = pattern("30 2 * * *", chrono_tz::Europe::Berlin);
        let walk = |row: &JobPattern, from: &str, count: usize| {
            let slots = std::iter::successors(row.next_after(at(from)), |slot| row.next_after(*slot));
            texts(&slots.take(count).collect::<Vec<_>>())
        };
        assert_eq!(
            walk(&night, "2027-03-27T00:00:00Z", 3),
            ["2027-03-27T01:30Z", "2027-03-28T01:00Z", "2027-03-29T00:30Z"]
        );
        assert_eq!(
            walk(&night, "2026-10-24T00:00:00Z", 3),
            ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"]
        );
        // Lists follow the same rule; 02:30 and 03:00 meet on the day of the gap.
        let twice = pattern("0,30 2,3 * * *", chrono_tz::Europe::Berlin);
        assert_eq!(
            walk(&twice, "2027-03-28T00:59:00Z", 3),
            ["2027-03-28T01:00Z", "2027-03-28T01:30Z", "2027-03-29T00:00Z"]
        );
        // Started in the second pass of the repeated hour, the used wall times do not come back.
        assert_eq!(walk(&twice, "2026-10-25T01:10:00Z", 2), ["2026-10-25T02:00Z", "2026-10-25T02:30Z"]);
        // Half an hour's gap at Lord Howe, and midnight gaps in Cairo.
        let howe = pattern("15 2 * * *", chrono_tz::Australia::Lord_Howe);
        assert_eq!(walk(&howe, "2026-10-03T12:00:00Z", 1), ["2026-10-03T15:30Z"]);
        let cairo = pattern("0 0 * * *", chrono_tz::Africa::Cairo);
        assert_eq!(walk(&cairo, "2026-04-23T12:00:00Z", 2), ["2026-04-23T22:00Z", "2026-04-24T21:00Z"]);
    }

    #[test]
    fn day_of_month_and_day_of_week_together_mean_either() {
        let either = pattern("0 9 1 * 1", chrono_tz::UTC);
        let slots =
            std::iter::successors(either.next_after(at("2026-11-29T00:00:00Z")), |slot| either.next_after(*slot));
        let dates: Vec<_> = texts(&slots.take(4).collect::<Vec<_>>());
        assert_eq!(dates, ["2026-11-30T09:00Z", "2026-12-01T09:00Z", "2026-12-07T09:00Z", "2026-12-14T09:00Z"]);
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_refused_with_its_key_and_an_example() {
        let refuse = |text: &str| JobPattern::parse(Job::Weekly, text, chrono_tz::UTC).unwrap_err().to_string();
        assert_eq!(
            refuse("0 0 9 * * 1"),
            "schedule.weekly = \"0 0 9 * * 1\": it has 6 fields; give five fields, \"minute hour day-of-month month \
             day-of-week\", for example \"0 9 * * 1\" for Mondays at 09:00"
        );
        for (text, problem) in [
            ("", "it has 0 fields"),
            ("@daily", "it has 1 field;"),
            ("0 25 * * *", "25"),
            ("0 9 * * MONDAY!", "!"),
            ("0 9 30 2 *", "no such date ever comes"),
        ] {
            assert!(refuse(text).contains(problem), "{text}: {}", refuse(text));
        }
        assert!(JobPattern::parse(Job::Scan, "0 9 29 2 *", chrono_tz::UTC).is_ok());
    }

    #[test]
    fn the_description_says_pattern_zone_and_words() {
        assert_eq!(
            defaults(chrono_tz::Europe::Berlin).describe(),
            [
                "scan    0 2 * * *       Europe/Berlin, At 02:00",
                "act     0 10 * * 1-4    Europe/Berlin, At 10:00, on Monday, Tuesday, Wednesday, and Thursday",
                "daily   0 9 * * *       Europe/Berlin, At 09:00",
                "weekly  0 9 * * 1       Europe/Berlin, At 09:00, on Monday",
            ]
        );
        assert_eq!(defaults(chrono_tz::Europe::Berlin).local_text(at("2026-11-23T01:00:00Z")), "2026-11-23 02:00 CET");
    }

    proptest! {
        /// From wherever the walk starts, the answer is the same slot list: nothing depends on when the daemon woke.
        #[test]
        fn h31_the_next_slot_does_not_depend_on_where_the_walk_began(
            minutes in 0i64..(4 * 366 * 24 * 60),
            zone in prop::sample::select(vec![
                chrono_tz::Europe::Berlin, chrono_tz::America::New_York, chrono_tz::Australia::Lord_Howe,
                chrono_tz::Africa::Cairo, chrono_tz::America::Nuuk, chrono_tz::Africa::Casablanca, chrono_tz::UTC,
            ]),
            text in prop::sample::select(vec!["0 9 * * *", "30 2 * * *", "*/20 * * * *", "0 2,3 1 * 0", "15 0 * * 1"]),
        ) {
            let row = pattern(text, zone);
            let start = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(minutes);
            let next = row.next_after(start).unwrap();
            prop_assert!(next > start);
            for back in [1, 29, 61, 1_441] {
                let mut slot = row.next_after(start - TimeDelta::minutes(back)).unwrap();
                while slot <= start {
                    slot = row.next_after(slot).unwrap();
                }
                prop_assert_eq!(slot, next);
            }
            // What is remembered from one question answers the next as a pattern would that was never asked.
            for asked in [-90, 0, 7, -3, 61, 1_441, 20] {
                let asked = start + TimeDelta::minutes(asked);
                prop_assert_eq!(row.next_after(asked), row.looked_up(asked));
            }
        }
    }
}
