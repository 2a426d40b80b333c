//! Another installation's claim, judged from the account's own truth: what it works on gets no request (H06).

use chrono::TimeDelta;
use costwarden::domain::finding::Act;
use costwarden::domain::resource::Resource;
use costwarden::remediate::KEY_TAG;

use super::calls::{Case, Verdict};
use crate::run::STATE_ID;

/// A snapshot of another state, of the last seven days and long enough there for every read to show it.
pub fn i13_claimed(case: &Case<'_>) -> Option<Verdict> {
    if case.act? == Act::AddTags {
        return None;
    }
    let target = case.call.target();
    let shown = case.now - case.director.scene.lag - TimeDelta::seconds(62);
    let claim = case.director.cloud.truth(|truth| {
        let foreign = |own: &&Resource| {
            own.tag("costwarden:source") == Some(target)
                && own.tag(KEY_TAG).is_some_and(|value| !value.starts_with(STATE_ID))
                && own.created_at.known().is_some_and(|at| *at < shown && case.now - *at <= TimeDelta::days(7))
        };
        truth.resources().find(foreign).map(|own| own.key.id.to_string())
    });
    Some(claim.map(|id| format!("{id} is another installation's claim on it")))
}
