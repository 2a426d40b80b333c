//! In force, out of force, and into the archive (L8–L10).

use chrono::TimeDelta;

use super::{Audience, By, Moved, Refusal, day, refuse, settled, take_force};
use crate::domain::Instant;
use crate::domain::lifecycle::{Deprecation, Force, PolicyRecord, Stage};

/// Puts the approved version in force, now or on a later date. Until then the version before it stays in force.
///
/// # Errors
/// Not approved, or a date that has passed.
pub fn activate(record: &PolicyRecord, by: By<'_>, on: Option<Instant>) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    if moved.record.stage != Stage::Approved {
        return Err(refuse(&moved.record, "only an approved version can be activated"));
    }
    let from = on.unwrap_or(by.at);
    // Midnight of the present day is what `--on` of today means.
    if from < by.at - TimeDelta::days(1) {
        return Err(refuse(&moved.record, format!("{} has passed; the date is today or later", day(from))));
    }
    let from = from.max(by.at);
    let force = Force { seq: moved.record.seq, version: moved.record.version, from };
    if from <= by.at {
        moved.event(by, "activated", "in force now");
        take_force(&mut moved.record, force);
    } else {
        moved.event(by, "activated", format!("in force from {}", day(from)));
        moved.record.next = Some(force);
    }
    let since = if from <= by.at { "now".to_owned() } else { format!("from {}", day(from)) };
    moved.tell(Audience::Everyone, "activated", format!("Version {} is in force {since}.", moved.record.version));
    Ok(moved)
}

/// Announces the end. The policy is in force until the date.
///
/// # Errors
/// Not active, a date that has passed, or no reason.
pub fn deprecate(
    record: &PolicyRecord,
    by: By<'_>,
    on: Instant,
    reason: &str,
    replaced_by: Option<&str>,
) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    if moved.record.stage != Stage::Active {
        return Err(refuse(&moved.record, "only an active policy can be deprecated"));
    }
    if on < by.at - TimeDelta::days(1) {
        return Err(refuse(&moved.record, format!("{} has passed; the date is today or later", day(on))));
    }
    if reason.trim().is_empty() {
        return Err(refuse(&moved.record, "the reason is empty, and the people under the policy need one"));
    }
    if replaced_by == Some(record.id.as_str()) {
        return Err(refuse(&moved.record, "a policy does not replace itself"));
    }
    let on = on.max(by.at);
    let replaced_by = replaced_by.map(str::to_owned);
    let instead = replaced_by.as_ref().map_or_else(String::new, |id| format!("; {id} takes its place"));
    moved.record.stage = Stage::Deprecated;
    moved.record.deprecation = Some(Deprecation { on, reason: reason.trim().to_owned(), replaced_by });
    moved.event(by, "deprecated", format!("ends {}: {}{instead}", day(on), reason.trim()));
    let words = format!("It is in force until {}: {}{instead}.", day(on), reason.trim().trim_end_matches('.'));
    moved.tell(Audience::Everyone, "deprecated", words);
    Ok(moved)
}

/// Puts a policy whose date has passed away.
///
/// # Errors
/// Not deprecated, or its date lies ahead.
pub fn archive(record: &PolicyRecord, by: By<'_>) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    let end = match (&moved.record.deprecation, moved.record.stage) {
        (Some(end), Stage::Deprecated) => end.on,
        _ => return Err(refuse(&moved.record, "only a deprecated policy can be archived")),
    };
    if end > by.at {
        return Err(refuse(&moved.record, format!("it is in force until {}", day(end))));
    }
    moved.record.stage = Stage::Archived;
    moved.record.current = None;
    moved.event(by, "archived", format!("ended {}", day(end)));
    Ok(moved)
}

/// Notes that a person looked at the policy in a periodic review and left it as it is (T7).
pub fn note_review(record: &PolicyRecord, by: By<'_>, what: &str) -> Moved {
    let mut moved = settled(record, by);
    moved.event(by, "reviewed", what);
    moved
}
