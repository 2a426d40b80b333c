//! What only some acts need: which act a request is for, the image before a termination, people's word that an act was
//! taken back, and things that came back anew.

use chrono::TimeDelta;
use costwarden::cloud::Call;
use costwarden::domain::finding::Act;
use costwarden::domain::place::Kind;
use costwarden::domain::remediation::{JournalState, Remediation};
use costwarden::domain::resource::Resource;
use costwarden::store::ACTING_LEASE;
use sha2::{Digest, Sha256};

use super::calls::{Case, Verdict};
use crate::director::Director;
use crate::policies::LARGE;
use crate::scene::Bait;

/// The act that a request is for; `None` for its backup.
pub fn act_of(call: &Call, row: Option<&Remediation>) -> Option<Act> {
    let own = row.map(|row| row.step.act);
    match call {
        Call::CreateSnapshot { .. } | Call::CreateSnapshots { .. } => None,
        // A resize of an instance that runs begins with its stop.
        Call::StopInstance { .. } => own.filter(|act| *act == Act::ResizeInstance).or(Some(Act::StopInstance)),
        Call::DeleteSnapshot { .. } => own.filter(|act| *act == Act::ExpireSnapshot).or(Some(Act::DeleteSnapshot)),
        Call::DeleteVolume { .. } => Some(Act::DeleteVolume),
        Call::CreateTags { .. } => Some(Act::AddTags),
        Call::TerminateInstance { .. } => Some(Act::TerminateInstance),
        Call::ModifyInstanceType { .. } => Some(Act::ResizeInstance),
        Call::ModifyVolume { .. } => Some(Act::ModifyVolume),
        Call::ReleaseAddress { .. } => Some(Act::ReleaseAddress),
        _ => own,
    }
}

/// The hash that the journal keeps of a call's arguments.
pub fn hash_of(call: &Call) -> String {
    let text = serde_json::to_string(call).expect("a call is plain data");
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether anybody froze, or a fence is not the present one: what no request of any sort may ignore.
pub fn stopped(director: &Director, fence: i64) -> [(&'static str, Option<String>); 2] {
    let now = director.truth.now();
    let person = director.with(|inner| inner.book.frozen_by_person(now));
    let stored = director.store.frozen().ok().flatten();
    let lease = director.store.lease_fence(ACTING_LEASE).ok().flatten();
    let frozen = (person || stored.is_some()).then(|| format!("frozen by a person: {person}; on file: {stored:?}"));
    let stale = (lease != Some(fence)).then(|| format!("its fence is {fence}, the lease's {lease:?}"));
    [("I21", frozen), ("I12", stale)]
}

/// Judges the request for the image of a termination; false for any other request.
pub fn image_asked_for(director: &Director, call: &Call) -> bool {
    let Call::RegisterImage(new) = call else { return false };
    let open = director.store.open_remediations().unwrap_or_default();
    let row = open.into_iter().find(|row| row.image.as_ref().is_some_and(|own| own.name == new.name));
    let Some(row) = row else {
        director.judge("I03", Some(format!("image {} is asked for without an intent", new.name)));
        return true;
    };
    let ready = row.step.act == Act::TerminateInstance && row.state == JournalState::SnapVerified;
    director.judge("I03", (!ready).then(|| format!("an image for r-{}, which is {}", row.id, row.state.word())));
    for (invariant, broken) in stopped(director, row.fence) {
        director.judge(invariant, broken.map(|why| format!("{} for r-{}: {why}", call.operation(), row.id)));
    }
    true
}

/// I01: a terminated instance has its image, made of the snapshots of this very act.
pub(super) fn i01_image(case: &Case<'_>) -> Option<Verdict> {
    let row = case.row.as_ref().filter(|_| case.act == Some(Act::TerminateInstance))?;
    if case.raced() {
        return None;
    }
    let wanted: Vec<&str> = row.snapshots.iter().filter_map(|own| own.snapshot.as_deref()).collect();
    let found = row.image.as_ref().and_then(|own| own.image.as_deref()).is_some_and(|id| {
        case.director.cloud.truth(|all| {
            let image = all.resource(id).and_then(Resource::image);
            image.is_some_and(|own| {
                &*own.state == "available" && wanted.iter().all(|id| own.snapshots.iter().any(|own| &**own == *id))
            })
        })
    });
    Some((!found).then(|| format!("no image of {wanted:?}")))
}

/// I02: what a person took back is not done again without a person.
pub(super) fn i02_taken_back(case: &Case<'_>) -> Option<Verdict> {
    case.act?;
    let finding = case.finding()?;
    let id = case.call.target();
    if case.director.with(|inner| inner.book.made_anew.contains(id)) {
        return Some(Some("it came back by an undo".to_owned()));
    }
    let asked: Vec<i64> = case.director.with(|inner| inner.book.asked_back.iter().copied().collect());
    let store = &case.director.store;
    let undone = asked.into_iter().find(|row| {
        let about = store.remediation(*row).ok().flatten().is_some_and(|own| own.step.finding == finding);
        let undos = if about { store.undos_of(*row).unwrap_or_default() } else { Vec::new() };
        undos.iter().any(|own| own.state == JournalState::Done && own.updated_at < case.now)
    });
    Some(undone.map(|row| format!("a person took r-{row} back")))
}

/// I10 for the acts that came later: that the resource in truth is what the act is for.
pub(super) fn not_for_it(case: &Case<'_>, act: Act, truth: &Resource, bait: Bait) -> Option<String> {
    match act {
        Act::ResizeInstance => {
            let kind = truth.instance().map_or("", |own| &own.instance_type);
            let large = kind == LARGE.0 || kind == "m5d.2xlarge";
            (!large).then(|| format!("it is {kind}"))
        }
        Act::ModifyVolume => {
            let kind = truth.volume().map_or("", |own| &own.volume_type);
            (kind != "gp2").then(|| format!("it is {kind}"))
        }
        Act::ReleaseAddress => {
            let used = truth.address().is_none_or(|own| own.instance.is_some() || own.association.is_some());
            used.then(|| "it leads somewhere".to_owned())
        }
        Act::DeleteSnapshot => {
            let old = truth.created_at.known().is_some_and(|at| case.now - *at > TimeDelta::days(90));
            (!old || bait == Bait::InUse).then(|| "it is not old".to_owned())
        }
        // What expires is judged by I14.
        other if other.expires() => None,
        other => Some(format!("{other} is no act of these worlds")),
    }
}

/// Resources of a kind that our acts took away lately: they were there when the program counted last.
pub(super) fn gone_lately(case: &Case<'_>, kind: Kind) -> u64 {
    let lately = |own: &&super::book::Sent| own.effective && case.now - own.at < TimeDelta::days(4);
    case.director.with(|inner| {
        let sent = inner.book.sent.iter().filter(lately);
        sent.map(|own| match own.act {
            Act::DeleteVolume | Act::TerminateInstance | Act::ReleaseAddress | Act::DeleteSnapshot
                if own.kind == kind =>
            {
                1
            }
            // Volumes go with their instance.
            Act::TerminateInstance if kind == Kind::Volume => 4,
            _ => 0,
        })
        .sum()
    })
}
