//! Judges the later calls of an act of several (a resize): each has its own committed intent, none is repeated unless it
//! certainly did nothing, none leaves under a freeze, and nothing that ran stays stopped in silence.

use costwarden::cloud::{Answer, Call, CloudError};
use costwarden::domain::finding::Act;
use costwarden::domain::place::Place;
use costwarden::domain::remediation::{JournalState, PartName};
use costwarden::domain::resource::Resource;

use super::made::{hash_of, stopped};
use crate::director::Director;

/// A later call.
pub struct Part {
    row: i64,
    operation: String,
}

/// How often a call that was certainly refused may be made in all.
const TRIES: usize = 3;

/// Judges a request if it is a later call of an open act; `None` otherwise.
pub fn before(director: &Director, place: &Place, call: &Call) -> Option<Part> {
    let open = director.store.open_remediations().unwrap_or_default();
    let row = open.into_iter().find(|row| *row.step.key.id == *call.target())?;
    if row.step.act != Act::ResizeInstance || row.parts.len() < 2 || row.state != JournalState::ActIntent {
        return None;
    }
    let operation = call.operation().to_owned();
    let about = |why: String| format!("{operation} half-way in r-{}: {why}", row.id);
    let fits = row.call_hash.as_deref() == Some(hash_of(call).as_str());
    director.judge("I03", (!fits).then(|| about("it is committed for other arguments".into())));
    let listed = director.scene.settings.accounts.iter();
    let listed = listed.clone().any(|own| own.id == place.account && own.regions.contains(&place.region));
    let there = listed && *place == row.step.key.partition.place;
    director.judge("I09", (!there).then(|| about(format!("{place} is not its place, or not listed"))));
    for (invariant, broken) in stopped(director, row.fence) {
        director.judge(invariant, broken.map(about));
    }
    let made: Vec<bool> = director.with(|inner| {
        let own = inner.book.parts.iter().filter(|(id, made, _)| *id == row.id && *made == operation);
        own.map(|(_, _, rejected)| *rejected).collect()
    });
    // The type is changed there and, when the start does not work, back.
    let unclear = made.iter().filter(|rejected| !**rejected).count();
    let most = if operation == "StopInstances" { 0 } else { 1 };
    let often = unclear > most || made.len() > 2 * TRIES;
    director.judge("I02", often.then(|| about(format!("it was made {} times already", made.len()))));
    Some(Part { row: row.id, operation })
}

/// Takes down what became of it.
pub fn after(director: &Director, part: &Part, answer: &Result<Answer, CloudError>) {
    let rejected = answer.as_ref().is_err_and(CloudError::definite);
    director.with(|inner| inner.book.parts.push((part.row, part.operation.clone(), rejected)));
}

/// I15: what ran before a resize runs at the end, or people were told, or somebody did something with it themselves.
pub fn nothing_left_stopped(director: &Director) {
    let rows: Vec<(i64, String)> = director.with(|inner| {
        let resizes = inner.book.sent.iter().filter(|own| own.act == Act::ResizeInstance && own.effective);
        resizes.map(|own| (own.row, own.resource.clone())).collect()
    });
    for (row, id) in rows {
        let Ok(Some(act)) = director.store.remediation(row) else { continue };
        let ran = act.parts.first().is_some_and(|first| first.name == PartName::Stop);
        if !act.state.ended() || !ran {
            continue;
        }
        let now = director.cloud.truth(|truth| truth.resource(&id).map(Resource::state).map(str::to_owned));
        let runs = now.as_deref().is_none_or(|state| matches!(state, "running" | "pending"));
        let theirs = director.cloud.changes().iter().any(|change| change.target == id && change.refused.is_none());
        let later = director.with(|inner| {
            let alert = inner.book.told_of(&id, director.scene.world.start).is_some();
            alert || inner.book.sent.iter().any(|own| own.resource == id && own.row > row && own.effective)
        });
        let back = director.with(|inner| inner.book.asked_back.contains(&row));
        let silent = !runs && !theirs && !later && !back;
        director.judge("I15", silent.then(|| format!("{id} ran before the resize r-{row} and is {now:?}")));
    }
}
