//! H13: a volume is attached to an instance at every point of its stop, its resize or its termination, volumes that die
//! with the instance are there from the start. No volume is gone without a completed snapshot, and none is attached at a
//! call that could show it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use chrono::TimeDelta;
use costwarden::cloud::sim::Change;
use costwarden::domain::finding::Act;
use costwarden::domain::resource::Resource;

use super::{apply, due, fresh_day, played, reached, settle};
use crate::director::Director;
use crate::tally::Tally;

/// A crowd in whose gaps somebody attaches.
pub fn play(seed: u64) -> Tally {
    let act = [Act::TerminateInstance, Act::StopInstance, Act::ResizeInstance][(seed % 3) as usize];
    played(seed, &[(act, 28), (Act::DeleteVolume, 28)], async |director, rng| {
        let (mut plan, mut steps) = due(director).await;
        let mut since = director.truth.now();
        // How many points an undisturbed act passes: the first one is only looked at.
        let passed = Arc::new(AtomicUsize::new(0));
        let mut number = 0;
        while let Some(index) = steps.iter().position(|step| step.act == act) {
            let step = steps.remove(index);
            let points = passed.load(SeqCst);
            let gap = rng.below(points.max(1) as u64) as usize;
            let (count, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let (counted, attached) = (count.clone(), done.clone());
            let volume = format!("vol-{number}");
            let id = step.key.id.to_string();
            let attach = Change::Attach { volume: volume.clone(), instance: id.clone(), device: "/dev/sdz".into() };
            apply(director, &plan, &step, 100 + 10 * number, move |director, _| {
                if counted.fetch_add(1, SeqCst) == gap && points > 0 {
                    attached.store(director.cloud.apply("ann", attach.clone()).is_ok(), SeqCst);
                }
                false
            })
            .await;
            if points == 0 {
                passed.store(count.load(SeqCst), SeqCst);
            }
            if done.load(SeqCst) {
                reached(director, &act.to_string());
                judge(director, &id, &volume);
            }
            settle(director);
            director.pass_to(director.truth.now() + TimeDelta::minutes(6));
            number += 1;
            let before = since;
            fresh_day(director, &mut since).await;
            if since != before {
                (plan, steps) = due(director).await;
            }
        }
        uncovered(director);
    })
}

/// What was attached in between is there, or covered.
fn judge(director: &Director, instance: &str, volume: &str) {
    let lost = director.cloud.truth(|truth| truth.resource(volume).is_none() && !covered(truth, volume));
    director.judge("H13", lost.then(|| format!("{volume} went with {instance} and no snapshot holds it")));
}

/// Every volume of the crowd that is not there any more has a completed snapshot.
fn uncovered(director: &Director) {
    let volumes: Vec<String> = director.scene.cards.keys().filter(|id| id.starts_with("vol-")).cloned().collect();
    let lost: Vec<String> = director.cloud.truth(|truth| {
        let gone = |id: &String| truth.resource(id).is_none() && !covered(truth, id);
        volumes.iter().filter(|id| gone(id)).cloned().collect()
    });
    director.judge("H13", (!lost.is_empty()).then(|| format!("gone without a snapshot: {lost:?}")));
}

fn covered(truth: &costwarden::cloud::sim::Truth<'_>, volume: &str) -> bool {
    truth.snapshots_of(volume).into_iter().filter_map(Resource::snapshot).any(|own| &*own.state == "completed")
}
