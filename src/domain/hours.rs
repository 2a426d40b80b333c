//! When something should run: hours, days, holidays and a zone (D2: non-production hours, weekends, holidays).
//!
//! The desired state is computed anew at each look from the instant alone, so a missed look is no missed edge, and a
//! clock change moves the window with the people who set it: everything is compared in the zone's local time. Dates of
//! holidays come from documents; `policy::holidays` reads calendar files into them.

use std::path::PathBuf;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta, Weekday};
use chrono_tz::Tz;

use super::Instant;
use super::text::clean;

/// Minutes in a week, whole days of 24 hours.
const WEEK_MINUTES: i64 = 7 * 24 * 60;

/// When something should run.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Whose clock.
    pub zone: Tz,
    /// Days on which the window opens, each once.
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: NaiveTime,
    /// When it closes, exclusive; at or before `from` it is on the following day.
    pub until: NaiveTime,
    /// Days on which it does not open.
    pub holidays: Vec<Holiday>,
    /// A calendar file that is still to be read into `holidays`; nothing is judged while there is one.
    pub calendar: Option<PathBuf>,
    /// A stopped instance inside the window is reported; starting it is no action of this program.
    pub expect_running: bool,
}

/// One holiday, of one or several days.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holiday {
    /// First day.
    pub first: NaiveDate,
    /// Last day, included.
    pub last: NaiveDate,
    /// Its name; foreign text.
    pub name: String,
}

/// What should be at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desired {
    /// The window is open.
    Running,
    /// It is not, and why in words.
    Off(String),
}

impl Schedule {
    /// What should be at `now`.
    pub fn desired(&self, now: Instant) -> Desired {
        let local = now.with_timezone(&self.zone).naive_local();
        let (day, time) = (local.date(), local.time());
        let before = day - TimeDelta::days(1);
        let overnight = self.until <= self.from;
        let open = if overnight {
            (self.opens_on(day) && time >= self.from) || (self.opens_on(before) && time < self.until)
        } else {
            self.opens_on(day) && time >= self.from && time < self.until
        };
        if open {
            return Desired::Running;
        }
        let shown = local.format("%a %Y-%m-%d %H:%M");
        let why = match self.holiday(day) {
            Some(holiday) => format!("{shown} in {} is a holiday, {}", self.zone, clean(&holiday.name)),
            None if !self.days.contains(&day.weekday()) => format!("{shown} in {} is a day off", self.zone),
            None => format!("{shown} in {} is outside the hours", self.zone),
        };
        Desired::Off(why)
    }

    /// The window in words: `Mon, Tue, Wed, Thu, Fri 07:00 to 19:00 Europe/Berlin`.
    pub fn window(&self) -> String {
        let days: Vec<String> = self.days.iter().map(Weekday::to_string).collect();
        let (from, until) = (self.from.format("%H:%M"), self.until.format("%H:%M"));
        let next = if self.until <= self.from { " of the next day" } else { "" };
        format!("{} {from} to {until}{next} {}", days.join(", "), self.zone)
    }

    /// Minutes of a week without holidays in which the window is closed, of [`WEEK_MINUTES`].
    pub fn closed_share(&self) -> (i64, i64) {
        let minutes = (self.until - self.from).num_minutes();
        let a_day = if minutes <= 0 { minutes + 24 * 60 } else { minutes };
        let open = a_day * i64::try_from(self.days.len()).unwrap_or(7);
        (WEEK_MINUTES - open.min(WEEK_MINUTES), WEEK_MINUTES)
    }

    fn opens_on(&self, day: NaiveDate) -> bool {
        self.days.contains(&day.weekday()) && self.holiday(day).is_none()
    }

    fn holiday(&self, day: NaiveDate) -> Option<&Holiday> {
        self.holidays.iter().find(|holiday| holiday.first <= day && day <= holiday.last)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn office(zone: Tz) -> Schedule {
        use Weekday::*;
        Schedule {
            zone,
            days: vec![Mon, Tue, Wed, Thu, Fri],
            from: "07:00:00".parse().unwrap(),
            until: "19:00:00".parse().unwrap(),
            holidays: vec![Holiday {
                first: "2026-12-24".parse().unwrap(),
                last: "2026-12-26".parse().unwrap(),
                name: "Christmas".into(),
            }],
            calendar: None,
            expect_running: false,
        }
    }

    fn runs(schedule: &Schedule, at: &str) -> bool {
        schedule.desired(at.parse().unwrap()) == Desired::Running
    }

    #[test]
    fn d2_the_window_follows_the_zone_over_both_clock_changes() {
        let berlin = office(chrono_tz::Europe::Berlin);
        // Friday before the clocks go back: 07:00 is 05:00 UTC. Monday after: 06:00 UTC.
        assert!(!runs(&berlin, "2026-10-23T04:59:59Z") && runs(&berlin, "2026-10-23T05:00:00Z"));
        assert!(!runs(&berlin, "2026-10-26T05:59:59Z") && runs(&berlin, "2026-10-26T06:00:00Z"));
        // And forward again in March.
        assert!(!runs(&berlin, "2027-03-26T05:59:59Z") && runs(&berlin, "2027-03-26T06:00:00Z"));
        assert!(!runs(&berlin, "2027-03-29T04:59:59Z") && runs(&berlin, "2027-03-29T05:00:00Z"));
    }

    #[test]
    fn d2_a_window_over_the_hour_that_does_not_exist_or_exists_twice_stays_closed_or_open_for_it() {
        let night = Schedule {
            days: vec![Weekday::Sat],
            from: "22:00:00".parse().unwrap(),
            until: "02:30:00".parse().unwrap(),
            ..office(chrono_tz::Europe::Berlin)
        };
        // 2027-03-28: local 02:30 does not exist; at 01:00 UTC it is 03:00 already.
        assert!(runs(&night, "2027-03-28T00:59:59Z") && !runs(&night, "2027-03-28T01:00:00Z"));
        // 2026-10-25: local 02:00 to 03:00 comes twice; its first half is inside both times.
        assert!(runs(&night, "2026-10-25T00:29:59Z") && !runs(&night, "2026-10-25T00:30:00Z"));
        assert!(runs(&night, "2026-10-25T01:29:59Z") && !runs(&night, "2026-10-25T01:30:00Z"));
    }

    #[test]
    fn d2_weekends_and_holidays_of_several_days_are_off_and_say_why() {
        let berlin = office(chrono_tz::Europe::Berlin);
        let why = |at: &str| match berlin.desired(at.parse().unwrap()) {
            Desired::Off(why) => why,
            Desired::Running => "running".into(),
        };
        assert_eq!(why("2026-12-23T11:00:00Z"), "running");
        assert_eq!(why("2026-12-24T11:00:00Z"), "Thu 2026-12-24 12:00 in Europe/Berlin is a holiday, Christmas");
        assert_eq!(why("2026-12-25T11:00:00Z"), "Fri 2026-12-25 12:00 in Europe/Berlin is a holiday, Christmas");
        assert_eq!(why("2026-12-27T11:00:00Z"), "Sun 2026-12-27 12:00 in Europe/Berlin is a day off");
        assert_eq!(why("2026-12-28T18:00:00Z"), "Mon 2026-12-28 19:00 in Europe/Berlin is outside the hours");
    }

    #[test]
    fn d2_an_overnight_window_belongs_to_the_day_on_which_it_opens() {
        let night = Schedule {
            from: "20:00:00".parse().unwrap(),
            until: "06:00:00".parse().unwrap(),
            ..office(chrono_tz::UTC)
        };
        assert!(runs(&night, "2026-11-28T05:59:00Z"), "Saturday morning is Friday's night");
        assert!(!runs(&night, "2026-11-28T20:30:00Z") && !runs(&night, "2026-11-30T05:59:00Z"));
        assert_eq!(night.closed_share(), (7 * 24 * 60 - 5 * 10 * 60, 7 * 24 * 60));
        assert_eq!(office(chrono_tz::UTC).closed_share(), (108 * 60, 168 * 60));
    }
}
