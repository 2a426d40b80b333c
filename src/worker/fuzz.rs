//! What fuzzing runs on the two texts that decide when something happens and who hears of it: cron patterns in a zone,
//! and the tags that name an owner.
//!
//! `fuzz/fuzz_targets/{schedule,owners}.rs` call these, and so do the tests below. Held: a pattern that the settings take
//! can be followed, and its slots go forward, each once and from wherever one asks (safety.md, H31); an owner is one plain
//! address of an allowed domain, or the one that the settings name, and nobody approves what they asked for (H38, H36).

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{TimeDelta, TimeZone, Timelike};

use super::schedule::{Job, JobPattern};
use crate::deliver::address;
use crate::deliver::owner::{OwnerRules, owner_of};
use crate::domain::Instant;
use crate::domain::exception::ApproverRules;
use crate::domain::fuzz::Feed;
use crate::domain::person::{self, same_name, same_person};
use crate::domain::resource::Tags;
use crate::engine::exceptions::approvers;
use crate::policy::document::to_toml;
use crate::policy::is_mail_address;
use crate::settings;

/// Pieces of cron patterns.
const CRON: &[&str] = &[
    " ",
    " ",
    " ",
    "*",
    "0",
    "1",
    "2",
    "3",
    "30",
    "59",
    "60",
    "7",
    "12",
    "23",
    "24",
    "31",
    "29",
    "2",
    ",",
    "-",
    "/",
    "*/5",
    "0-59",
    "1-4",
    "MON",
    "sun",
    "JAN",
    "L",
    "W",
    "#",
    "?",
    "+",
    "@daily",
    "5L",
    "1#2",
    "15W",
    "0 9 * * 1",
    "30 2 * * *",
    "0 0 29 2 *",
    "0 9 30 2 *",
    "\t",
    "\u{3000}",
    "\n",
    "00",
    "-1",
    "99999999999",
    "é",
    "0/7",
    "LW",
];

/// Slots that are looked at for one pattern.
const SLOTS: usize = 24;

/// A pattern, a zone and an instant: how many slots followed.
pub fn schedule(bytes: &[u8]) -> usize {
    let mut feed = Feed::new(bytes);
    let zone = chrono_tz::TZ_VARIANTS[usize::from(feed.number()) % chrono_tz::TZ_VARIANTS.len()];
    // From 1970 on, for 109 years, to the minute.
    let minutes = i64::from(feed.number()) * 876 + i64::from(feed.number() % 876);
    let from = Instant::UNIX_EPOCH + TimeDelta::minutes(minutes);
    let text = match feed.byte() % 3 {
        0 => feed.rest(),
        1 => feed.woven(CRON),
        _ => (0..5).map(|_| feed.pick(&CRON[3..])).collect::<Vec<_>>().join(" "),
    };
    let pattern = JobPattern::parse(Job::Act, &text, zone);
    let file = serde_json::json!({ "zone": zone.name(), "schedule": { "act": text } });
    let file = to_toml(&file).expect("tables of text");
    let taken = settings::parse(Path::new("costwarden.toml"), &file, &|_| None, Path::new("."));
    let Ok(pattern) = pattern else {
        assert!(taken.is_err(), "the settings take {text:?}, which the schedule then refuses");
        return 0;
    };
    assert!(taken.is_ok(), "the settings refuse {text:?}, which the schedule would follow");

    let (mut last, mut walls, mut slots) = (from, None, 0);
    while slots < SLOTS {
        let Some(slot) = pattern.next_after(last) else { break };
        assert!(slot > last, "{text:?} in {zone}: {slot} is not after {last}");
        let wall = zone.from_utc_datetime(&slot.naive_utc()).naive_local();
        assert!(walls.is_none_or(|before| wall > before), "{text:?} in {zone}: {wall} comes a second time");
        assert_eq!(wall.second(), 0, "{text:?} in {zone}: {wall}");
        // Whoever asks in between, and without a memory, is told the same slot.
        let between = last + (slot - last) / i32::from(feed.byte() % 7 + 2);
        let forgetful = JobPattern::parse(Job::Act, &text, zone).expect("it was taken before");
        assert_eq!(forgetful.next_after(between), Some(slot), "{text:?} in {zone}, asked at {between} after {last}");
        (last, walls, slots) = (slot, Some(wall), slots + 1);
    }
    slots
}

/// Pieces of addresses and names.
const PEOPLE: &[&str] = &[
    "ann@example.com",
    "ann",
    "@",
    "example.com",
    "example.org",
    ".",
    "+work",
    " ",
    "<",
    ">",
    ",",
    ";",
    "\r\nBcc: ",
    "\"",
    "(x)",
    "Ann Lee <ann@example.com>",
    "EXAMPLE.COM",
    "bob@sub.example.com",
    "@example.com",
    "\u{202e}",
    "\0",
    "é",
    "a",
    "-",
    "_",
    "xn--",
    "ann@example.com.",
    "slack:#room",
    "webhook:https://x",
    "%0d%0a",
    "\u{3000}",
    "\t",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.",
    "[127.0.0.1]",
    "K@example.com",
    "İ",
    "ß",
];

/// Tags of a stranger, rules of the settings, and names of people. Whether somebody is told.
pub fn owners(bytes: &[u8]) -> bool {
    let mut feed = Feed::new(bytes);
    let (keys, creators) = (["owner", "Owner"].map(str::to_owned), ["creator", "aws:createdBy"].map(str::to_owned));
    let tags: Vec<(String, String)> = (0..feed.below(4))
        .map(|_| (feed.pick(&["owner", "Owner", "creator", "aws:createdBy", "OWNER"]).to_owned(), feed.woven(PEOPLE)))
        .collect();
    let tags = Tags::new(tags.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())));
    let allowed = ["example.com", "corp.example.org"].map(str::to_owned);
    let default = feed.woven(PEOPLE);
    if is_mail_address(&default) {
        assert!(address::parse(&default).is_ok(), "the settings take {default:?}, to whom nothing can be sent");
    }
    // What the settings refuse never gets here.
    let default_owner = is_mail_address(&default).then_some(default.as_str());
    let contact = feed.woven(PEOPLE);
    let rules = OwnerRules {
        tags: &keys,
        creator_tags: &creators,
        contact: Some(&contact),
        allowed_domains: &allowed,
        default_owner,
    };
    let owner = owner_of(&tags, &rules);
    assert_eq!(owner, owner_of(&tags, &rules));
    assert!(owner.is_some() || default_owner.is_none(), "nobody is told, although the settings name somebody");
    if let Some(owner) = &owner {
        plain(owner);
        let domain = owner.split_once('@').map_or("", |(_, domain)| domain);
        let named = default_owner.is_some_and(|default| default.eq_ignore_ascii_case(owner));
        assert!(named || allowed.iter().any(|own| own == domain), "{owner:?} is of a domain that nobody allowed");
        let said = |text: &str| text.trim().eq_ignore_ascii_case(owner);
        let written = |(key, value): (&str, &str)| match key {
            _ if keys.iter().any(|own| own == key) => said(value),
            // AWS writes who created something as `IAMUser:ID:NAME`.
            _ if creators.iter().any(|own| own == key) => said(value) || value.rsplit(':').next().is_some_and(said),
            _ => false,
        };
        assert!(named || said(&contact) || tags.iter().any(written), "{owner:?} stands in no tag and in no setting");
    }
    people(&mut feed);
    owner.is_some()
}

/// One address that no header, no command and no list of recipients takes apart.
fn plain(owner: &str) {
    let fine = |byte: u8| byte.is_ascii_graphic() && !b"<>,;:\"\\()[]".contains(&byte);
    assert!(owner.bytes().all(fine) && owner.matches('@').count() == 1, "{owner:?} is not one plain address");
    assert!((3..=254).contains(&owner.len()), "{owner:?} is too long");
}

/// What grants is narrower than what refuses, and nobody is asked about what they asked for.
fn people(feed: &mut Feed<'_>) {
    let names: Vec<String> = (0..4).map(|_| feed.woven(PEOPLE)).collect();
    for left in &names {
        assert!(same_person(left, left), "{left:?} is not itself");
        for right in &names {
            assert_eq!(same_person(left, right), same_person(right, left), "{left:?} and {right:?}");
            assert!(
                !same_name(left, right) || same_person(left, right),
                "{left:?} and {right:?} grant and do not refuse"
            );
        }
    }
    let count = person::count(names.iter().map(String::as_str));
    assert_eq!(count, person::count(names.iter().rev().map(String::as_str)), "{names:?} count by their order");
    assert!((1..=names.len()).contains(&count));
    let [requester, first, second, manager] = names.as_slice() else { unreachable!("four were made") };
    let rules = ApproverRules {
        managers: BTreeMap::from([(requester.clone(), manager.clone())]),
        finops: vec![first.clone(), requester.clone()],
        security: vec![second.clone()],
        finops_for: vec!["a".into()],
        security_for: vec!["a".into(), "b".into()],
        sla: TimeDelta::hours(72),
    };
    for policy in ["a", "b", "c"] {
        let Ok(found) = approvers(&rules, requester, policy) else { continue };
        assert!(!found.is_empty(), "asked nobody");
        for approver in &found {
            assert!(!same_person(approver, requester), "{requester:?} is asked about an own wish, as {approver:?}");
            assert!(names.iter().any(|own| own.trim() == approver), "{approver:?} stands nowhere");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Zone, instant, the mark for a text as it is, and the text.
    fn pattern(zone: &str, minute: i64, text: &str) -> usize {
        let zone = chrono_tz::TZ_VARIANTS.iter().position(|own| own.name() == zone).expect("a zone");
        let head = [zone as u16, (minute / 876) as u16, (minute % 876) as u16].map(u16::to_be_bytes).concat();
        schedule(&[&head, &[0][..], text.as_bytes()].concat())
    }

    #[test]
    fn h31_nasty_patterns_are_refused_by_settings_and_schedule_alike_and_the_others_go_forward() {
        let at = |text: &str| text.parse::<Instant>().expect("an instant").timestamp() / 60;
        for (zone, from) in [
            ("Europe/Berlin", "2026-03-28T00:00:00Z"),
            ("Europe/Berlin", "2026-10-24T22:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T12:00:00Z"),
            ("Africa/Cairo", "2026-04-23T12:00:00Z"),
            ("Pacific/Apia", "2011-12-29T00:00:00Z"),
            ("Africa/Monrovia", "1972-01-06T00:00:00Z"),
            ("America/Nuuk", "2026-10-24T00:00:00Z"),
            ("UTC", "2037-12-31T23:00:00Z"),
        ] {
            for text in ["30 2 * * *", "*/7 * * * *", "0,30 0-3 * * *", "59 23 31 12 *", "0 0 29 2 *", "0 9 1 * 1"] {
                assert_eq!(pattern(zone, at(from), text), SLOTS, "{text} in {zone}");
            }
            for text in
                ["", "@daily", "0 9 30 2 *", "0 9 31 4,6 *", "60 * * * *", "0 0 0 9 *", "0 9 * * 1 1", "é é é é é"]
            {
                assert_eq!(pattern(zone, at(from), text), 0, "{text} in {zone}");
            }
            for text in
                ["0 9 L * *", "0 9 * * 5L", "0 9 15W * *", "0 9 * * 1#2", "0\u{3000}9 * * 1", "0 9 ? * 1", "0 9 * * 7"]
            {
                pattern(zone, at(from), text);
            }
        }
    }

    #[test]
    fn h38_nasty_owners_become_no_recipient_and_approve_nothing_of_their_own() {
        let told: usize = (0..=255)
            .map(|first| {
                usize::from(owners(&[3, 0, 1, first, 1, 2, 0, first, 1, 1, first, 1, first, 2, 0, first, 2, 1, 1]))
            })
            .sum();
        assert!((10..250).contains(&told), "{told} of 256 were told");
        for piece in PEOPLE {
            for other in PEOPLE {
                let place = |piece: &str| PEOPLE.iter().position(|own| *own == piece).expect("one of them") as u8;
                let two = [2, place(piece), place(other)];
                owners(&[&[1, 0][..], &two, &two, &two, &[1, place(other)], &[1, place(piece)], &two].concat());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn h31_any_pattern_in_any_zone_goes_forward(bytes in vec(any::<u8>(), 7..24)) {
            schedule(&bytes);
        }

        #[test]
        fn h38_any_tags_name_one_plain_address_or_nobody(bytes in vec(any::<u8>(), 0..60)) {
            owners(&bytes);
        }
    }
}
