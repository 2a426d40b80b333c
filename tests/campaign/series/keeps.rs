//! H26 and I14, both sides: the backups of a crowd of acts live through their ninety days and beyond. Some are
//! lengthened, protected, locked or made into images meanwhile. None goes early or against such a word, and none that
//! nobody holds is kept for longer than a week after its time.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::cloud::sim::{Change, plant};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::place::Kind;
use costwarden::remediate::KEY_TAG;
use costwarden::worker::daemon::Jobs;
use costwarden::worker::schedule::Job;
use costwarden::worker::supervise::Work;

use super::{due, played, reached};
use crate::director::Director;
use crate::people;
use crate::process::Process;
use crate::rng::Rng;
use crate::tally::Tally;

/// What is promised, and how long after it the last must be gone.
const KEPT: TimeDelta = TimeDelta::days(90);
const LATE: TimeDelta = TimeDelta::days(7);

/// Why somebody keeps a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Lengthened,
    NoDate,
    Protected,
    Locked,
    Imaged,
}

/// A crowd of acts and the end of their backups.
pub fn play(seed: u64) -> Tally {
    let acts: &[(Act, usize)] = match seed % 3 {
        0 => &[(Act::TerminateInstance, 12), (Act::DeleteVolume, 12)],
        _ => &[(Act::StopInstance, 12), (Act::DeleteVolume, 12)],
    };
    played(seed, acts, async |director, rng| {
        let (plan, steps) = due(director).await;
        people::apply(director, 10, &plan, &steps).await;
        let made = backups(director);
        let begun = director.truth.now();
        // Somebody says a word about some of them, in time.
        let mut held = BTreeMap::new();
        for id in made.keys() {
            if rng.chance(25) {
                director.pass_to(director.truth.now() + TimeDelta::minutes(rng.between(1, 900)));
                if let Some(hold) = keep(director, id, rng) {
                    held.insert(id.clone(), hold);
                }
            }
        }
        for days in [60, 85, 88, 89, 90, 91, 92, 94, 97] {
            director.pass_to(begun + TimeDelta::days(days) + TimeDelta::minutes(rng.between(0, 600)));
            // Nobody lets an arming run out.
            director.with(|inner| inner.book.armed.clear());
            people::arm(director);
            if let Some(worker) = Process::start(director, 20) {
                let slot = director.wall.now();
                let _ = worker.nightly.run(Job::Act, slot, Work::default()).await;
                let _ = worker.nightly.deliver().await;
            }
        }
        director.pass_to(begun + KEPT + LATE + TimeDelta::days(1));
        judge(director, &made, &held);
    })
}

/// Safety snapshots and images that are there, with the instant of their making.
fn backups(director: &Director) -> BTreeMap<String, Instant> {
    director.cloud.truth(|truth| {
        let ours = truth.resources().filter(|own| match own.kind() {
            Kind::Snapshot => own.tag(KEY_TAG).is_some(),
            Kind::Image => own.tag("costwarden:safety-snapshot").is_some(),
            _ => false,
        });
        ours.filter_map(|own| Some((own.key.id.to_string(), *own.created_at.known()?))).collect()
    })
}

fn keep(director: &Arc<Director>, id: &str, rng: &mut Rng) -> Option<Hold> {
    let hold = *rng.pick(&[Hold::Lengthened, Hold::NoDate, Hold::Protected, Hold::Locked, Hold::Imaged]);
    let snapshot = id.starts_with("snap-");
    if !snapshot && matches!(hold, Hold::Locked | Hold::Imaged) {
        return None;
    }
    let tag = |key: &str, value: &str| Change::Tag { resource: id.into(), tags: vec![(key.into(), value.into())] };
    let later = (director.truth.now() + TimeDelta::days(200)).date_naive().to_string();
    let change = match hold {
        Hold::Lengthened => tag("costwarden:keep-until", &later),
        Hold::NoDate => tag("costwarden:keep-until", "for ever"),
        Hold::Protected => tag("costwarden:protect", "true"),
        Hold::Locked => Change::Lock(id.into()),
        Hold::Imaged => {
            let place = director.scene.world.places()[0].clone();
            let key = place.partition(Kind::Image).key(&format!("ami-of-{id}"));
            Change::Create(vec![plant::image(key, "theirs", &[id], director.truth.now())])
        }
    };
    director.cloud.apply("ann", change).is_ok().then_some(hold)
}

/// Each went after its time and not before, or is there for a reason.
fn judge(director: &Director, made: &BTreeMap<String, Instant>, held: &BTreeMap<String, Hold>) {
    let gone: BTreeMap<String, Instant> = director
        .cloud
        .calls()
        .into_iter()
        .filter(|call| matches!(&*call.operation, "DeleteSnapshot" | "DeregisterImage") && call.effective)
        .filter_map(|call| Some((call.target?, call.at)))
        .collect();
    // A snapshot stays as long as an image is made of it, ours or theirs.
    let used: Vec<String> = director.cloud.truth(|truth| {
        let images = truth.resources().filter_map(|own| own.image());
        images.flat_map(|own| own.snapshots.iter().map(|id| id.to_string())).collect()
    });
    for (id, at) in made {
        let hold = held.get(id);
        let there = director.cloud.truth(|truth| truth.resource(id).is_some());
        reached(director, if hold.is_some() { "held by somebody" } else { "left to its end" });
        match (gone.get(id), hold) {
            (Some(end), None) => {
                let early = (*end - *at <= KEPT).then(|| format!("{id} of {at} went at {end}, inside its ninety days"));
                director.judge("I14", early);
            }
            (Some(end), Some(hold)) => {
                director.judge("I14", Some(format!("{id} went at {end} although it is {hold:?}")));
            }
            (None, None) if there => {
                let reason = used.contains(id);
                let late = (!reason).then(|| format!("{id} of {at} is there after {} days", (KEPT + LATE).num_days()));
                director.judge("H26", late);
            }
            (None, None) => director.judge("I14", Some(format!("{id} is gone and nobody asked for it"))),
            (None, Some(hold)) => {
                director.judge("I14", (!there).then(|| format!("{id} is gone although it is {hold:?}")));
            }
        }
    }
}
