//! Judges what takes an act back: only when a person asked, by its committed intent, once, not while frozen, and with the
//! effect that is told.

use costwarden::cloud::{Answer, Call, CloudError};
use costwarden::domain::finding::Act;
use costwarden::domain::mode::Mode;
use costwarden::domain::place::Place;
use costwarden::domain::remediation::JournalState;
use costwarden::domain::resource::Resource;
use costwarden::worker::jobs::undo::Undone;

use super::made::{hash_of, stopped};
use crate::director::Director;

/// A request that takes an act back.
pub struct Taking {
    pub act: i64,
    operation: String,
    of: Option<Act>,
    calls: usize,
}

/// Judges a request if an open undo has its intent; `None` otherwise.
pub fn before(director: &Director, place: &Place, call: &Call) -> Option<Taking> {
    let hash = hash_of(call);
    let open = director.store.open_undos().unwrap_or_default();
    let undo = open.into_iter().find(|own| own.call_hash.as_deref() == Some(hash.as_str()))?;
    let operation = call.operation().to_owned();
    let about = |why: String| format!("{operation} takes r-{} back: {why}", undo.remediation);
    let intended = undo.state == JournalState::ActIntent;
    director.judge("I03", (!intended).then(|| about(format!("u-{} is {}", undo.id, undo.state.word()))));
    for (invariant, broken) in stopped(director, undo.fence) {
        director.judge(invariant, broken.map(about));
    }
    let listed = director.scene.settings.accounts.iter();
    let listed = listed.clone().any(|own| own.id == place.account && own.regions.contains(&place.region));
    let there = listed && *place == undo.key.partition.place;
    director.judge("I09", (!there).then(|| about(format!("{place} is not its place, or not listed"))));
    let (asked, mode, again, done) = director.with(|inner| {
        let book = &inner.book;
        let sent = book.sent.iter().find(|own| own.row == undo.remediation);
        (
            book.asked_back.contains(&undo.remediation),
            book.mode,
            book.taken_back.contains(&(undo.remediation, operation.clone())),
            sent.cloned(),
        )
    });
    director.judge("I07", (!asked).then(|| about("nobody asked for it".into())));
    director.judge("I06", (mode == Mode::Observe).then(|| about("the mode is observe".into())));
    // A resize is taken back by the same calls, and goes there again when that does not work.
    let of = done.as_ref().map(|own| own.act);
    let twice = again && of != Some(Act::ResizeInstance) && !anew(call);
    director.judge("I02", twice.then(|| about("it had its effect already".into())));
    Some(Taking { act: undo.remediation, operation, of, calls: director.cloud.call_count() })
}

/// Calls that carry a token or a number, so that the cloud itself makes no second one.
fn anew(call: &Call) -> bool {
    matches!(call, Call::CreateVolume(_) | Call::RunInstance(_) | Call::AllocateAddress(_))
}

/// Takes down what became of it.
pub fn after(director: &Director, taking: &Taking, call: &Call, answer: &Result<Answer, CloudError>) {
    let record = director.cloud.calls_since(taking.calls).into_iter().find(|own| own.mutating());
    let effective = record.is_some_and(|own| own.effective);
    let again = director.with(|inner| {
        let key = (taking.act, taking.operation.clone());
        if let Ok(answer) = answer {
            let made =
                [answer.volume.as_ref().map(|own| own.as_str()), answer.address.as_ref().map(|own| own.as_str())];
            let made = made.into_iter().chain([answer.instance.as_ref().map(|own| own.as_str())]).flatten();
            inner.book.made_anew.extend(made.map(str::to_owned));
        }
        effective && !inner.book.taken_back.insert(key)
    });
    let twice = again && anew(call);
    director.judge("I02", twice.then(|| format!("{} made a second one for r-{}", taking.operation, taking.act)));
    if effective && taking.of.is_none() {
        director.judge("I02", Some(format!("r-{} was taken back and never asked for anything", taking.act)));
    }
}

/// I18: an undo that is told as done had its effect.
pub fn ended(director: &Director, undone: &Undone) {
    let Some(undo) = undone.undo.as_ref().filter(|own| own.state == JournalState::Done) else { return };
    let Ok(Some(act)) = director.store.remediation(undo.remediation) else { return };
    let id = undo.made.as_ref().map_or_else(|| act.step.key.id.to_string(), |key| key.id.to_string());
    let theirs = director.cloud.changes().iter().any(|change| change.target == id);
    let state = director.cloud.truth(|truth| truth.resource(&id).map(Resource::state).map(str::to_owned));
    let fits = match (act.step.act, state.as_deref()) {
        (Act::StopInstance | Act::TerminateInstance, state) => matches!(state, Some("running" | "pending")),
        (_, state) => state.is_some(),
    };
    let word = format!("u-{} of {} is told as done, and {id} is {state:?}", undo.id, act.step.act);
    director.judge("I18", (!fits && !theirs).then_some(word));
    director.with(|inner| {
        inner.tally.did(format!("took back {}", act.step.act), 1);
        if let Some(made) = &undo.made {
            inner.book.made_anew.insert(made.id.to_string());
        }
    });
}
