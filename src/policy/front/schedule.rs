//! `type: Schedule` (D2): hours, days and holidays of what need not run all the time.

use chrono::{NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;

use super::Front;
use super::common::{Allowed, Defaults};
use crate::domain::check::CheckInfo;
use crate::domain::finding::{Action, Severity};
use crate::domain::hours::{Holiday, Schedule};
use crate::domain::place::Kind;
use crate::domain::rule::TypePattern;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker, nearest};
use crate::policy::raw::{RawRule, ScheduleRule};
use crate::policy::{Logic, Rule};

/// Actions that end a run; there is no action that starts one.
const ACTIONS: &[Action] = &[Action::Stop, Action::Notify, Action::Report];

/// Zones that show what a name looks like.
const ZONES: &str = "a zone of the IANA list such as Europe/Berlin, America/New_York, UTC";

impl Front for ScheduleRule {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        _checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let zone = zone(checker, &at.key("timeZone"), &self.time_zone);
        let from = time(checker, &at.key("from"), &self.from);
        let until = time(checker, &at.key("until"), &self.until);
        let days: Vec<Weekday> = match &self.days {
            None => vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri],
            Some(list) => {
                let mut days = Vec::new();
                for (index, day) in list.iter().enumerate() {
                    let day = Weekday::from(*day);
                    if days.contains(&day) {
                        checker.fail(&at.key("days").item(index), format!("{day} stands twice"), "each day once");
                    }
                    days.push(day);
                }
                days.sort_by_key(Weekday::num_days_from_monday);
                days
            }
        };
        let mut holidays = Vec::new();
        for (index, text) in self.holidays.iter().flatten().enumerate() {
            match text.parse::<NaiveDate>() {
                Ok(day) => holidays.push(Holiday { first: day, last: day, name: "named in the policy".into() }),
                Err(_) => {
                    let problem = format!("{:?} is not a date", clean(text));
                    checker.fail(&at.key("holidays").item(index), problem, "a day such as 2026-12-24, in quotes");
                }
            }
        }
        if self.holiday_calendar.as_deref().is_some_and(|file| !file.to_ascii_lowercase().ends_with(".ics")) {
            checker.fail(
                &at.key("holidayCalendar"),
                "is not a calendar file",
                "a file that ends with .ics, beside this one",
            );
        }
        let allowed =
            Allowed { severity: Severity::Medium, action: Action::Notify, actions: ACTIONS, kinds: &[Kind::Instance] };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        Some(Rule {
            name: self.name.clone(),
            title: None,
            types: vec![TypePattern(Kind::Instance.name().into())],
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: None,
            actions: None,
            logic: Logic::Schedule(Schedule {
                zone: zone?,
                days,
                from: from?,
                until: until?,
                holidays,
                calendar: self.holiday_calendar.as_deref().map(Into::into),
                expect_running: self.expect_running.unwrap_or(false),
            }),
            line: at.spot().line,
        })
    }
}

fn zone(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<Tz> {
    let found = text.parse().ok();
    if found.is_none() {
        let hint = nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = hint.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        checker.fail(at, format!("{:?} is not a time zone{hint}", clean(text)), ZONES);
    }
    found
}

/// `07:00`; `24:00` is the midnight that ends the day.
fn time(checker: &mut Checker<'_>, at: &At<'_>, text: &str) -> Option<NaiveTime> {
    let found = match text {
        "24:00" => Some(NaiveTime::MIN),
        _ if text.len() == 5 => NaiveTime::parse_from_str(text, "%H:%M").ok(),
        _ => None,
    };
    if found.is_none() {
        checker.fail(at, format!("{:?} is not a time of day", clean(text)), "hours and minutes in quotes: \"07:00\"");
    }
    found
}
