//! Calendar files (iCalendar, RFC 5545) read into holidays for Schedule policies.
//!
//! The only user of crate `icalendar`. A whole-day event is a holiday from its first to its last day (`DTEND` of a
//! date is the day after); an event with times counts for the days that it covers wholly in the schedule's zone. What
//! cannot be told, above all a recurrence, is refused: a holiday that is silently missed would start a clock on a day
//! off, and one that is invented would end a working day. `settings::load_policies` reads the files.

use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use icalendar::parser::{Component, Property, read_components, unfold};

use super::document::{DocumentError, Errors, Spot};
use super::{Logic, Policy};
use crate::domain::hours::Holiday;
use crate::domain::text::clean;

/// Fills in the calendars that policies name, read by `read` from a path beside the policy's own file, and makes the
/// calendar's contents part of the policy's hash: what it says decides when something is stopped.
///
/// # Errors
/// Every calendar that cannot be read or understood, with the policy that names it.
pub fn resolve(policies: &mut [Policy], mut read: impl FnMut(&Path) -> Result<String, Errors>) -> Result<(), Errors> {
    let mut errors = Vec::new();
    for policy in policies {
        let mut texts = Vec::new();
        let folder = policy.source.path.parent().map(Path::to_owned).unwrap_or_default();
        for rule in &mut policy.rules {
            let Logic::Schedule(schedule) = &mut rule.logic else { continue };
            let Some(path) = schedule.calendar.take() else { continue };
            let path = folder.join(path);
            let found = read(&path).and_then(|text| {
                let holidays = holidays(&path, &text, schedule.zone)?;
                Ok((text, holidays))
            });
            match found {
                Ok((text, holidays)) => {
                    schedule.holidays.extend(holidays);
                    schedule.holidays.sort();
                    texts.push(text);
                }
                Err(list) => errors.push(list),
            }
        }
        if !texts.is_empty() {
            texts.insert(0, policy.hash.clone());
            policy.hash = super::document::short_hash(&serde_json::Value::from(texts));
        }
    }
    Errors::join(errors).map_or(Ok(()), Err)
}

/// The holidays of one calendar.
///
/// # Errors
/// No calendar, an event without dates, a recurrence, a zone that is not known.
pub fn holidays(file: &Path, text: &str, zone: Tz) -> Result<Vec<Holiday>, Errors> {
    let bad = |problem: String, accepted: &str| DocumentError::of_file(file, problem, accepted);
    let unfolded = unfold(text);
    // The parser stops quietly at what it does not understand, so the ends are checked here.
    let whole = unfolded.trim().starts_with("BEGIN:VCALENDAR") && unfolded.trim().ends_with("END:VCALENDAR");
    let components = read_components(&unfolded).map_err(|error| {
        let first = error.lines().find(|line| !line.trim().is_empty()).unwrap_or("").to_owned();
        Errors::from(bad(format!("is not a calendar: {}", clean(&first)), "an iCalendar file"))
    })?;
    if !whole || components.is_empty() {
        return Err(bad("is not a whole calendar".into(), "BEGIN:VCALENDAR … END:VCALENDAR").into());
    }
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let events: Vec<&Component<'_>> = components.iter().flat_map(|calendar| &calendar.components).collect();
    let events = events.into_iter().filter(|component| component.name.as_str() == "VEVENT");
    let mut seen = 0;
    for event in events {
        seen += 1;
        match holiday(event, zone) {
            Ok(Some(holiday)) => found.push(holiday),
            Ok(None) => {}
            Err(problem) => {
                let name = summary(event);
                let line = text.lines().position(|line| line.contains(name.as_str())).map_or(0, |index| index + 1);
                let spot = Spot { line, column: usize::from(line > 0), width: 0 };
                errors.push(DocumentError::new(
                    file,
                    text,
                    spot,
                    "",
                    format!("the event {:?} {problem}", clean(&name)),
                    "whole days, DTSTART;VALUE=DATE:20261224, each day written out",
                ));
            }
        }
    }
    let written = unfolded.lines().filter(|line| line.trim() == "BEGIN:VEVENT").count();
    if seen == 0 || seen != written {
        errors.push(bad(format!("{seen} of {written} events could be read"), "a calendar with at least one event"));
    }
    if errors.is_empty() {
        found.sort();
        Ok(found)
    } else {
        Err(Errors::from(errors))
    }
}

fn holiday(event: &Component<'_>, zone: Tz) -> Result<Option<Holiday>, String> {
    if let Some(property) = ["RRULE", "RDATE", "EXDATE", "DURATION"].iter().find(|name| event.find_prop(name).is_some())
    {
        return Err(format!("has {property}, which is not read"));
    }
    if event.find_prop("STATUS").is_some_and(|status| status.val.as_str().eq_ignore_ascii_case("CANCELLED")) {
        return Ok(None);
    }
    let start = moment(event.find_prop("DTSTART").ok_or("has no DTSTART")?, zone)?;
    let end = event.find_prop("DTEND").map(|end| moment(end, zone)).transpose()?;
    let (first, last) = match (start, end) {
        (Moment::Day(first), None) => (first, first),
        (Moment::Day(first), Some(Moment::Day(after))) => (first, after - TimeDelta::days(1)),
        (Moment::Time(from), Some(Moment::Time(to))) => {
            if to < from {
                return Err("ends before it begins".into());
            }
            let midnight = from.time() == NaiveTime::MIN;
            let first = if midnight { from.date() } else { from.date() + TimeDelta::days(1) };
            (first, to.date() - TimeDelta::days(1))
        }
        (Moment::Time(_), None) => return Err("has a time and no end".into()),
        _ => return Err("begins with a date and ends with a time, or the other way round".into()),
    };
    if matches!(end, Some(Moment::Day(_))) && last < first {
        return Err("ends before it begins".into());
    }
    Ok((first <= last).then(|| Holiday { first, last, name: summary(event) }))
}

#[derive(Clone, Copy)]
enum Moment {
    Day(NaiveDate),
    /// In the schedule's zone.
    Time(NaiveDateTime),
}

fn moment(property: &Property<'_>, zone: Tz) -> Result<Moment, String> {
    let text = property.val.as_str().trim();
    let shown = clean(text);
    if text.len() == 8 {
        return NaiveDate::parse_from_str(text, "%Y%m%d")
            .map(Moment::Day)
            .map_err(|_| format!("has no date in {shown:?}"));
    }
    if let Some(utc) = text.strip_suffix('Z') {
        let time =
            NaiveDateTime::parse_from_str(utc, "%Y%m%dT%H%M%S").map_err(|_| format!("has no time in {shown:?}"))?;
        return Ok(Moment::Time(time.and_utc().with_timezone(&zone).naive_local()));
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").map_err(|_| format!("has no date in {shown:?}"))?;
    let named = property.params.iter().find(|param| param.key.as_str() == "TZID").and_then(|param| param.val.as_ref());
    let Some(named) = named else { return Ok(Moment::Time(time)) };
    let own: Tz = named
        .as_str()
        .parse()
        .map_err(|_| format!("names the zone {:?}, which is not known", clean(named.as_str())))?;
    // Of an hour that comes twice the first is meant; an hour that does not exist is none.
    let fixed: DateTime<Tz> =
        own.from_local_datetime(&time).earliest().ok_or_else(|| format!("has a time that does not exist: {shown}"))?;
    Ok(Moment::Time(fixed.with_timezone(&zone).naive_local()))
}

fn summary(event: &Component<'_>) -> String {
    event.find_prop("SUMMARY").map_or_else(|| "a day without a name".to_owned(), |name| name.val.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(events: &str) -> Result<Vec<(String, String, String)>, String> {
        let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n");
        let list = holidays(Path::new("de.ics"), &text, chrono_tz::Europe::Berlin).map_err(|e| e.to_string())?;
        Ok(list.into_iter().map(|h| (h.first.to_string(), h.last.to_string(), h.name)).collect())
    }

    fn event(lines: &str) -> String {
        format!("BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Feast\r\n{lines}\r\nEND:VEVENT\r\n")
    }

    fn days(lines: &str) -> Vec<(String, String)> {
        read(&event(lines)).unwrap().into_iter().map(|(first, last, _)| (first, last)).collect()
    }

    fn pair(first: &str, last: &str) -> Vec<(String, String)> {
        vec![(first.into(), last.into())]
    }

    #[test]
    fn d2_dates_of_one_and_of_several_days_are_holidays_and_the_end_is_the_day_after() {
        assert_eq!(days("DTSTART;VALUE=DATE:20261225"), pair("2026-12-25", "2026-12-25"));
        assert_eq!(days("DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261226"), pair("2026-12-25", "2026-12-25"));
        assert_eq!(days("DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20270102"), pair("2026-12-24", "2027-01-01"));
        assert_eq!(days("DTSTART;VALUE=DATE:20261225\r\nSTATUS:CANCELLED"), []);
    }

    #[test]
    fn d2_an_event_with_times_counts_for_the_days_that_it_covers_wholly_in_the_zone() {
        // 23:00 UTC is midnight in Berlin in winter.
        assert_eq!(days("DTSTART:20261223T230000Z\r\nDTEND:20261225T230000Z"), pair("2026-12-24", "2026-12-25"));
        let new_york = "DTSTART;TZID=America/New_York:20261224T000000\r\nDTEND;TZID=America/New_York:20261226T000000";
        assert_eq!(days(new_york), pair("2026-12-25", "2026-12-25"));
        assert_eq!(days("DTSTART:20261224T090000Z\r\nDTEND:20261224T170000Z"), []);
    }

    #[test]
    fn d2_what_cannot_be_told_is_refused_with_its_line() {
        let refused = |lines: &str| read(&event(lines)).unwrap_err();
        assert!(refused("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=YEARLY").contains("has RRULE, which is not read"));
        assert!(refused("DTSTART;VALUE=DATE:20261325").contains("has no date in \"20261325\""));
        assert!(refused("DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261224").contains("ends before it begins"));
        assert!(
            refused("DTSTART;TZID=Mars/North:20261224T000000\r\nDTEND:20261226T000000Z").contains("\"Mars/North\"")
        );
        assert!(
            refused("DESCRIPTION:x").contains("de.ics:6:1: the event \"Feast\" has no DTSTART"),
            "{}",
            refused("DESCRIPTION:x")
        );
        assert!(read("").unwrap_err().contains("0 of 0 events"));
        let cut = holidays(Path::new("a.ics"), "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", chrono_tz::UTC).unwrap_err();
        assert!(cut.to_string().contains("calendar"), "{cut}");
    }
}
