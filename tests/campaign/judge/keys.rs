//! Encryption keys, judged from the account's own truth: nothing that needs a backup, and no stop, while a key of it does
//! not work (H14).

use chrono::TimeDelta;
use costwarden::cloud::KeyState;
use costwarden::domain::finding::Act;
use costwarden::domain::resource::Resource;

use super::calls::{Case, Verdict};
use crate::director::Director;

/// The keys of the volumes that an act on a resource puts at risk, in truth.
pub fn at_risk(director: &Director, act: Act, id: &str) -> Vec<String> {
    director.cloud.truth(|truth| {
        let key = |id: &str| truth.resource(id)?.volume()?.kms_key.as_deref().map(str::to_owned);
        match act {
            Act::DeleteVolume => key(id).into_iter().collect(),
            Act::StopInstance | Act::TerminateInstance | Act::ResizeInstance => {
                let instance = truth.resource(id).and_then(Resource::instance);
                instance.into_iter().flat_map(|own| own.volumes.iter()).filter_map(|own| key(&own.volume)).collect()
            }
            _ => Vec::new(),
        }
    })
}

/// Every key works, or has not for a minute: no look can be younger than that.
pub fn i01_keys(case: &Case<'_>) -> Option<Verdict> {
    let act = case.act?;
    let mut keys = at_risk(case.director, act, case.call.target());
    let snapshots = case.row.iter().flat_map(|row| row.snapshots.iter()).filter_map(|own| own.snapshot.as_deref());
    let snapshots: Vec<&str> = snapshots.collect();
    let unusable = case.director.cloud.truth(|truth| {
        let key = |id: &&str| truth.resource(id)?.snapshot()?.kms_key.as_deref().map(str::to_owned);
        keys.extend(snapshots.iter().filter_map(key));
        let broken = |key: &&String| truth.key_state(key) != KeyState::ENABLED;
        keys.iter().find(broken).map(|key| (key.clone(), truth.key_state(key).to_owned()))
    });
    if keys.is_empty() || case.raced() {
        return None;
    }
    let Some((key, state)) = unusable else { return Some(None) };
    let lately = |at| case.now - at <= TimeDelta::seconds(62);
    let raced = case.changes.iter().any(|own| own.target == key && lately(own.at));
    (!raced).then(|| Some(format!("key {key} is {state}")))
}
