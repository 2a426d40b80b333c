//! H25: people take acts back, in all the ways in which they do that, at any time in the week after; the worker goes on
//! with its nights. Nothing is done twice to one resource within seven days, and what was taken back is not done again.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::cloud::sim::Change;
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::worker::supervise::Work;

use super::{deliver, due, played, reached};
use crate::director::Director;
use crate::judge::book::Sent;
use crate::policies::{COST_CENTER, LARGE};
use crate::process::Process;
use crate::rng::Rng;
use crate::tally::Tally;
use crate::{crashes, people};

/// One person's change of mind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Back {
    /// `actions undo`.
    Undo,
    /// By hand in the console: started, sized down again, the tag taken away.
    ByHand,
    /// The same, and tagged besides.
    Retagged,
    /// Put back, left for a day, and put back into the old state by hand once more.
    Twice,
}

/// A crowd of acts that people take back.
pub fn play(seed: u64) -> Tally {
    // Stops and resizes want the same names: one of them a crowd.
    let first = if seed.is_multiple_of(3) { Act::ResizeInstance } else { Act::StopInstance };
    played(seed, &[(first, 26), (Act::AddTags, 26)], async |director, rng| {
        let (plan, steps) = due(director).await;
        people::apply(director, 10, &plan, &steps).await;
        deliver(director).await;
        let done: Vec<Sent> = director.with(|inner| {
            let done = inner.book.sent.iter().filter(|own| own.effective);
            done.cloned().collect()
        });
        // Finished acts alone can be taken back.
        director.pass_to(director.truth.now() + TimeDelta::minutes(20));
        let mut agenda = agenda(director.truth.now(), &done, rng);
        let mut night = director.truth.now() + TimeDelta::hours(8);
        let end = director.truth.now() + TimeDelta::days(9);
        let mut process = 100;
        while night < end {
            for (at, number, back) in std::mem::take(&mut agenda) {
                if at >= night {
                    agenda.push((at, number, back));
                    continue;
                }
                director.pass_to(at);
                process += 1;
                if take_back(director, &done[number], back, process).await {
                    reached(director, &format!("{} {back:?}", done[number].act));
                }
            }
            director.pass_to(night);
            crashes::scan(director).await;
            director.pass_to(night + TimeDelta::minutes(10));
            if let Some(worker) = Process::start(director, 20) {
                let _ = worker.nightly.act_night(&Work::default()).await;
            }
            deliver(director).await;
            night += TimeDelta::hours(*rng.pick(&[24, 36, 48]));
        }
        judge(director);
    })
}

/// When each is taken back, and how: in their order.
fn agenda(from: Instant, done: &[Sent], rng: &mut Rng) -> Vec<(Instant, usize, Back)> {
    let mut agenda: Vec<(Instant, usize, Back)> = Vec::new();
    for number in 0..done.len() {
        let at = from + TimeDelta::minutes(rng.between(0, 6 * 24 * 60));
        let back = *rng.pick(&[Back::Undo, Back::ByHand, Back::Retagged, Back::Twice]);
        agenda.push((at, number, back));
        if back == Back::Twice {
            agenda.push((at + TimeDelta::hours(rng.between(1, 40)), number, Back::ByHand));
        }
    }
    agenda.sort_by_key(|(at, number, _)| (*at, *number));
    agenda
}

/// Somebody takes one act back; whether that could be done.
async fn take_back(director: &Arc<Director>, act: &Sent, back: Back, process: u32) -> bool {
    let id = act.resource.clone();
    if back == Back::Undo {
        return people::take_back_row(director, process, act.row, &id).await;
    }
    let start = || director.cloud.apply("ann", Change::Start(id.clone())).is_ok();
    let done = match act.act {
        Act::StopInstance => start(),
        Act::ResizeInstance => {
            let stopped = director.cloud.apply("ann", Change::Stop(id.clone())).is_ok();
            director.pass_to(director.truth.now() + TimeDelta::minutes(3));
            let smaller = Change::SetType { instance: id.clone(), instance_type: LARGE.0.into() };
            let back = director.cloud.apply("ann", smaller).is_ok();
            start() && stopped && back
        }
        _ => {
            let keys = vec![COST_CENTER.0.to_owned()];
            director.cloud.apply("ann", Change::Untag { resource: id.clone(), keys }).is_ok()
        }
    };
    if back == Back::Retagged {
        let tags = vec![("project".to_owned(), "ours".to_owned())];
        let _ = director.cloud.apply("ann", Change::Tag { resource: id, tags });
    }
    done
}

/// From the requests that had their effect: no act twice on one resource in seven days, and none at all after it was
/// taken back.
fn judge(director: &Director) {
    let sent = director.with(|inner| inner.book.sent.clone());
    let mut by_resource: BTreeMap<(String, bool), Vec<&Sent>> = BTreeMap::new();
    for own in sent.iter().filter(|own| own.effective) {
        by_resource.entry((own.resource.clone(), own.act == Act::AddTags)).or_default().push(own);
    }
    for ((id, _), acts) in by_resource {
        for pair in acts.windows(2) {
            let apart = pair[1].at - pair[0].at;
            let again = (apart < TimeDelta::days(7)).then(|| {
                format!("{} on {id} at {} and {} again at {}", pair[0].act, pair[0].at, pair[1].act, pair[1].at)
            });
            director.judge("H25", again);
        }
    }
}
