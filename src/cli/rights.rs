//! `doctor` about rights: what the roles lack, what they have too much, and how the worker itself is known to AWS.
//!
//! Every question is a dry run on something that does not exist. What cannot be told is said, never taken for fine.

use serde::Serialize;

use super::doctor::{Health, Line, line};
use crate::app;
use crate::cloud::rights::documents::{Scope, only_marked};
use crate::cloud::rights::probes::{Holds, Judged, judge, needed};
use crate::domain::mode::Mode;
use crate::domain::place::Place;
use crate::settings::{AccountSettings, Settings};

/// What one role may do in one place.
#[derive(Debug, Serialize)]
pub(super) struct RoleRights {
    role: &'static str,
    account: String,
    region: String,
    #[serde(flatten)]
    judged: Judged,
}

/// Asks the roles of an account in each of its Regions.
pub(super) async fn of_account(
    settings: &Settings,
    account: &AccountSettings,
    scope: &Scope,
) -> anyhow::Result<(Vec<Line>, Vec<RoleRights>)> {
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    lines.extend(how_it_acts(settings, account));
    // A key that may be written, so that the question about tags is the one that an act would ask.
    let tag_key = scope.tag_keys.first().map_or("costwarden:probe", String::as_str);
    let roles: &[(&str, bool)] = if account.actor_role_arn.is_some() {
        &[("reader", false), ("actor", true)]
    } else {
        &[("reader and actor", true)]
    };
    for region in &account.regions {
        let place = Place { account: account.id.clone(), region: region.clone() };
        for (role, acting) in roles {
            let what = format!("rights {role} {place}");
            let answers = match app::rights(settings, &place, *acting, tag_key).await {
                Ok(answers) => answers,
                Err(error) => {
                    lines.push(line(Health::Failure, &what, format!("{error:#}")));
                    continue;
                }
            };
            let (judged, health, words) = told(settings.enforcement.mode, scope, *acting, &answers);
            lines.push(line(health, &what, words));
            let (account, region) = (place.account.to_string(), place.region.to_string());
            found.push(RoleRights { role, account, region, judged });
        }
    }
    Ok((lines, found))
}

/// Whether the machine's own credentials are keys that live until somebody takes them away.
pub(super) async fn keys(settings: &Settings) -> anyhow::Result<Line> {
    Ok(match app::long_lived_keys(settings).await? {
        Some(false) => line(Health::Ok, "keys", "the worker's own credentials are temporary"),
        Some(true) => line(
            Health::Warning,
            "keys",
            "the worker runs with a user's access key, which works until somebody takes it away: give the machine a role",
        ),
        None => line(Health::Warning, "keys", "which credentials the worker runs with could not be told"),
    })
}

fn how_it_acts(settings: &Settings, account: &AccountSettings) -> Option<Line> {
    let words = match (&account.actor_role_arn, &account.role_arn) {
        (Some(_), _) => return None,
        _ if settings.enforcement.mode == Mode::Observe => return None,
        (None, Some(_)) => {
            "no actor_role_arn: the role that reads all night also acts; give acting a role of its own \
             (`costwarden iam print actor`)"
        }
        (None, None) => {
            "no role: acts run with the machine's own credentials, which no session policy can narrow to one call; \
             give actor_role_arn (`costwarden iam print actor`)"
        }
    };
    Some(line(Health::Warning, &format!("acting {}", account.id), words))
}

/// What the answers say of a role, for people.
fn told(mode: Mode, scope: &Scope, acting: bool, answers: &[(&'static str, Holds)]) -> (Judged, Health, String) {
    let needed = if acting { needed(scope) } else { Default::default() };
    let marked = if acting { only_marked(scope) } else { Default::default() };
    let judged = judge(&needed, &marked, answers);
    let mut parts = Vec::new();
    if !judged.missing.is_empty() {
        parts.push(format!("missing {}", judged.missing.join(", ")));
    }
    if !judged.surplus.is_empty() {
        let named = |action: &String| match marked.contains(action.as_str()) {
            true => format!("{action} on what does not carry our mark"),
            false => action.clone(),
        };
        let names: Vec<String> = judged.surplus.iter().map(named).collect();
        parts.push(format!("not needed and better taken away: {}", names.join(", ")));
    }
    if !judged.unknown.is_empty() {
        let names: Vec<String> = judged.unknown.iter().map(|(action, why)| format!("{action} ({why})")).collect();
        parts.push(format!("could not be told: {}", names.join(", ")));
    }
    if parts.is_empty() {
        parts.push(format!(
            "{} needed rights are there, {} others that were asked for are not",
            judged.there.len(),
            answers.len() - judged.there.len()
        ));
    } else {
        parts.push("`costwarden iam print` has what the role needs".to_owned());
    }
    if !judged.only_marked.is_empty() {
        let names = judged.only_marked.join(", ");
        parts.push(format!("refused for what does not carry our mark, as it should be: {names}"));
    }
    parts.push("rights outside EC2 cannot be asked for".to_owned());
    // What is missing only matters once something may be done.
    let health = match (judged.missing.is_empty(), judged.surplus.is_empty() && judged.unknown.is_empty()) {
        (false, _) if mode != Mode::Observe => Health::Failure,
        (true, true) => Health::Ok,
        _ => Health::Warning,
    };
    (judged, health, parts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::finding::Act;
    use crate::domain::place::{AccountId, Kind};

    fn scope() -> Scope {
        Scope {
            account: AccountId::new("111111111111").unwrap(),
            regions: Vec::new(),
            acts: [(Act::StopInstance, Kind::Instance)].into(),
            tag_keys: BTreeSet::new(),
            protect_keys: BTreeSet::new(),
            metrics: false,
            costs: false,
            drill: false,
        }
    }

    #[test]
    fn a_missing_right_fails_once_something_may_be_done_and_a_reader_needs_no_write_at_all() {
        let all = |stop: Holds| {
            vec![
                ("ec2:StopInstances", stop),
                ("ec2:StartInstances", Holds::Yes),
                ("ec2:CreateSnapshots", Holds::Yes),
                ("ec2:DeleteVpc", Holds::No),
            ]
        };
        let health = |mode, acting, answers: &[_]| told(mode, &scope(), acting, answers).1;
        assert_eq!(health(Mode::Enforce, true, &all(Holds::Yes)), Health::Ok);
        assert_eq!(health(Mode::Enforce, true, &all(Holds::No)), Health::Failure);
        assert_eq!(health(Mode::Observe, true, &all(Holds::No)), Health::Warning);
        assert_eq!(health(Mode::Enforce, true, &all(Holds::Unknown("throttled".into()))), Health::Warning);
        let (judged, health, words) = told(Mode::Enforce, &scope(), false, &all(Holds::No));
        assert_eq!(
            (judged.surplus, health),
            (vec!["ec2:StartInstances".into(), "ec2:CreateSnapshots".into()], Health::Warning)
        );
        assert!(words.contains("better taken away: ec2:StartInstances, ec2:CreateSnapshots"), "{words}");
    }
}
