//! `doctor` about backups: whether the safety snapshots that are there could be made volumes of again.
//!
//! EC2 is asked with `DryRun`, which proves that the acting role would be let, and not that the data or the key are good:
//! EC2 asks the key's service only while it makes a volume. Each key is therefore asked for by itself, and named.

use std::collections::BTreeSet;

use super::doctor::{Health, Line, line};
use crate::app;
use crate::cloud::rights::Change;
use crate::cloud::rights::Changes;
use crate::cloud::rights::documents::Scope;
use crate::cloud::rights::probes::Holds;
use crate::cloud::{CloudError, KeyState};
use crate::domain::place::Place;
use crate::domain::plan::OWN_TAGS;
use crate::domain::resource::Resource;
use crate::domain::text::clean;
use crate::settings::{AccountSettings, Settings};

/// How many snapshots of a place are asked about: the newest, which an undo needs first.
const SAMPLE: usize = 5;

/// Most keys that are asked for and named.
const KEYS: usize = 10;

/// One line for each Region of an account that has safety snapshots.
pub(super) async fn of_account(
    settings: &Settings,
    account: &AccountSettings,
    scope: &Scope,
) -> anyhow::Result<Vec<Line>> {
    let made = |own: &Change| *own == Change::CreateVolume;
    // Only where the role is meant to make volumes is it worth asking.
    if !scope.acts.iter().any(|(act, _)| Changes::of(*act).all().any(|own| made(&own))) {
        return Ok(Vec::new());
    }
    let reader = app::reader(settings).await?;
    let mut lines = Vec::new();
    for region in &account.regions {
        let place = Place { account: account.id.clone(), region: region.clone() };
        let what = format!("backups {place}");
        let mut found = match reader.snapshots_tagged(&place, &format!("{OWN_TAGS}safety-snapshot"), "true").await {
            Ok(found) => found,
            Err(error) => {
                lines.push(line(Health::Warning, &what, format!("safety snapshots could not be listed: {error}")));
                continue;
            }
        };
        if found.is_empty() {
            continue;
        }
        found.sort_by_key(|own| std::cmp::Reverse(own.created_at.known().copied()));
        let mut answers = Vec::new();
        for snapshot in found.iter().take(SAMPLE) {
            let answer = match app::restorable(settings, &place, snapshot).await {
                Ok(answer) => answer,
                Err(error) => Holds::Unknown(format!("{error:#}")),
            };
            answers.push((snapshot.key.id.to_string(), answer));
        }
        let mut keys = Vec::new();
        for key in keys_of(&found).into_iter().take(KEYS) {
            keys.push((key, reader.key_state(&place, key).await));
        }
        let (health, words) = told(&found, &answers, &keys);
        lines.push(line(health, &what, words));
    }
    Ok(lines)
}

/// The keys that snapshots are encrypted under.
fn keys_of(found: &[Resource]) -> BTreeSet<&str> {
    found.iter().filter_map(|own| own.snapshot().and_then(|own| own.kms_key.as_deref())).collect()
}

/// What the answers say, for people.
fn told(
    found: &[Resource],
    answers: &[(String, Holds)],
    keys: &[(&str, Result<KeyState, CloudError>)],
) -> (Health, String) {
    let of = |wanted: fn(&Holds) -> bool| -> Vec<&str> {
        answers.iter().filter(|(_, own)| wanted(own)).map(|(id, _)| id.as_str()).collect()
    };
    let refused = of(|own| *own == Holds::No);
    let unknown = of(|own| matches!(own, Holds::Unknown(_)));
    let mut parts = vec![format!(
        "{} safety snapshots; of the {} newest, {} could be made a volume of (a dry run: rights, not data or keys)",
        found.len(),
        answers.len(),
        answers.len() - refused.len() - unknown.len()
    )];
    if !refused.is_empty() {
        parts.push(format!("the acting role may not restore {}", refused.join(", ")));
    }
    if !unknown.is_empty() {
        let why = answers.iter().find_map(|(_, own)| if let Holds::Unknown(why) = own { Some(why) } else { None });
        parts.push(format!("could not be told of {}: {}", unknown.join(", "), why.map(String::as_str).unwrap_or("?")));
    }
    let (mut lost, mut unasked) = (false, false);
    for (key, state) in keys {
        let name = clean(key);
        parts.push(match state {
            Ok(KeyState::Enabled) => format!("worthless without key {name}, which is enabled"),
            Ok(KeyState::Other(state)) => {
                lost = true;
                let word = clean(state);
                format!("key {name} is {word}: what is encrypted under it cannot be restored until it is enabled again")
            }
            Err(error) => {
                unasked = true;
                format!("whether key {name} can be used could not be asked: {error}")
            }
        });
    }
    let all = keys_of(found).len();
    if all > keys.len() {
        parts.push(format!("{} more keys were not asked for", all - keys.len()));
    }
    let health = match (refused.is_empty() && !lost, unknown.is_empty() && !unasked) {
        (false, _) => Health::Failure,
        (true, false) => Health::Warning,
        (true, true) => Health::Ok,
    };
    (health, parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::place;
    use crate::cloud::sim::plant;
    use crate::domain::place::Kind;
    use crate::domain::resource::Detail;

    fn snapshot(id: &str, key: Option<&str>) -> Resource {
        let at = "2026-11-23T10:00:00Z".parse().unwrap();
        let mut made = plant::snapshot(place().partition(Kind::Snapshot).key(id), "vol-1", 8, at).resource;
        if let Detail::Snapshot(own) = &mut made.detail {
            own.kms_key = key.map(Into::into);
        }
        made
    }

    #[test]
    fn h14_a_snapshot_that_may_not_be_restored_fails_and_what_its_key_is_worth_is_said() {
        const KEY: &str = "arn:aws:kms:eu-central-1:1:key/a";
        let found = [snapshot("snap-1", Some(KEY)), snapshot("snap-2", None)];
        let answers = |second: Holds| vec![("snap-1".to_owned(), Holds::Yes), ("snap-2".to_owned(), second)];
        let enabled = [(KEY, Ok(KeyState::Enabled))];
        let (health, words) = told(&found, &answers(Holds::Yes), &enabled);
        assert_eq!(health, Health::Ok);
        assert!(words.contains("of the 2 newest, 2") && words.contains("key/a, which is enabled"), "{words}");
        let (health, words) = told(&found, &answers(Holds::No), &enabled);
        assert_eq!(health, Health::Failure);
        assert!(words.contains("may not restore snap-2"), "{words}");
        let (health, words) = told(&found, &answers(Holds::Unknown("throttled".into())), &enabled);
        assert_eq!(health, Health::Warning, "an answer that does not tell is no yes");
        assert!(words.contains("snap-2: throttled"), "{words}");
        for state in ["Disabled", "PendingDeletion", "Frobnicated"] {
            let (health, words) = told(&found, &answers(Holds::Yes), &[(KEY, Ok(KeyState::of(state)))]);
            assert_eq!(health, Health::Failure, "{state}");
            assert!(words.contains(&format!("key {KEY} is {state}: what is encrypted")), "{words}");
        }
        let denied = CloudError::new(crate::cloud::ErrorKind::Denied, "kms", "DescribeKey", None, "no");
        let (health, words) = told(&found, &answers(Holds::Yes), &[(KEY, Err(denied))]);
        assert!(health == Health::Warning && words.contains("could not be asked: kms DescribeKey: no"), "{words}");
        assert_eq!(told(&found, &answers(Holds::Yes), &[]).0, Health::Ok);
        assert!(told(&found, &answers(Holds::Yes), &[]).1.contains("1 more keys were not asked for"));
    }
}
