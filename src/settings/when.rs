//! Dates, the action window and the schedule.

use chrono::{NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use croner::parser::{CronParser, Seconds, Year};

use super::SchedulePatterns;
use super::raw::{RawDay, RawSchedule, RawWindow};
use crate::domain::mode::Window;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker};

/// The action window in its zone.
pub(super) fn window(checker: &mut Checker<'_>, at: &At<'_>, raw: &RawWindow, zone: chrono_tz::Tz) -> Window {
    let mut time = |key: &str, text: &str| {
        let shaped = text.len() == 5 && text.as_bytes()[2] == b':';
        let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| shaped);
        if time.is_none() {
            checker.fail(&at.key(key), format!("{:?} is not a time of day", clean(text)), "HH:MM from 00:00 to 23:59");
        }
        time
    };
    let (from, to) = (time("from", &raw.from), time("to", &raw.to));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        let problem = format!("the window ends at {} and begins at {}", raw.to, raw.from);
        checker.fail(&at.key("to"), problem, "a time of day after `from`");
    }
    let mut holidays = Vec::new();
    for (index, text) in raw.holidays.iter().enumerate() {
        match date(text) {
            Some(day) => holidays.push(day),
            None => bad_date(checker, &at.key("holidays").item(index), text, "YYYY-MM-DD"),
        }
    }
    Window {
        days: raw.days.iter().map(|day| weekday(*day)).collect(),
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        zone,
        holidays,
    }
}

fn weekday(day: RawDay) -> Weekday {
    match day {
        RawDay::Mon => Weekday::Mon,
        RawDay::Tue => Weekday::Tue,
        RawDay::Wed => Weekday::Wed,
        RawDay::Thu => Weekday::Thu,
        RawDay::Fri => Weekday::Fri,
        RawDay::Sat => Weekday::Sat,
        RawDay::Sun => Weekday::Sun,
    }
}

/// Four patterns that come due.
pub(super) fn schedule(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    raw: &RawSchedule,
    zone: chrono_tz::Tz,
) -> SchedulePatterns {
    for (key, pattern) in [("scan", &raw.scan), ("act", &raw.act), ("daily", &raw.daily), ("weekly", &raw.weekly)] {
        if let Err(why) = check_cron(pattern, zone) {
            let problem = format!("{:?} is not a schedule: {}", clean(pattern), clean(&why));
            checker.fail(&at.key(key), problem, "five cron fields: minute hour day-of-month month day-of-week");
        }
    }
    SchedulePatterns {
        scan: raw.scan.clone(),
        act: raw.act.clone(),
        daily: raw.daily.clone(),
        weekly: raw.weekly.clone(),
    }
}

/// Five fields that croner reads and that come due at least once.
fn check_cron(pattern: &str, zone: chrono_tz::Tz) -> Result<(), String> {
    let fields = pattern.split_whitespace().count();
    if fields != 5 {
        return Err(format!("it has {fields} fields"));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(pattern).map_err(|error| error.to_string())?;
    // Any instant serves: a pattern of five fields repeats within 28 years.
    let from = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().unwrap_or_default().with_timezone(&zone);
    cron.find_next_occurrence(&from, true).map(|_| ()).map_err(|_| "it never comes due".into())
}

/// `YYYY-MM-DD` and nothing shorter.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    (text.len() == 10).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()
}

pub(super) fn bad_date(checker: &mut Checker<'_>, at: &At<'_>, text: &str, accepted: &str) {
    checker.fail(at, format!("{:?} is not a date", clean(text)), accepted);
}
