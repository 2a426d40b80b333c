//! H17: volumes that are attached now and then, each by its own pattern: between two pods, for minutes or for weeks. The
//! worker scans and acts as ever; no volume is deleted that was attached within its window.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use costwarden::cloud::sim::{Change, Event};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::worker::supervise::Work;

use super::{deliver, played_in, reached};
use crate::director::Director;
use crate::process::Process;
use crate::rng::Rng;
use crate::tally::Tally;
use crate::{crashes, people, scene};

/// Own clock over complete scans (safety.md, H17).
const WINDOW: TimeDelta = TimeDelta::days(14);
const VOLUMES: usize = 32;
/// Long enough that a volume which nobody attaches any more is deleted in the end.
const DAYS: i64 = 44;

/// A crowd of volumes that come and go.
pub fn play(seed: u64) -> Tally {
    let mut crowd = scene::crowd_with(seed, &[(Act::DeleteVolume, VOLUMES), (Act::ModifyVolume, 1)]);
    let mut rng = Rng::new(seed, "flapping");
    let start = crowd.world.start;
    let mut patterns: BTreeMap<String, Vec<(Instant, Instant)>> = BTreeMap::new();
    for number in 0..VOLUMES {
        let volume = format!("vol-{number}");
        let uses = uses(&mut rng, start);
        for (from, until) in &uses {
            let attach = Change::Attach { volume: volume.clone(), instance: "i-0h".into(), device: "/dev/sdz".into() };
            crowd.world.events.push(Event { at: *from, by: "csi".into(), change: attach });
            crowd.world.events.push(Event { at: *until, by: "csi".into(), change: Change::Detach(volume.clone()) });
        }
        patterns.insert(volume, uses);
    }
    crowd.world.events.sort_by_key(|event| event.at);
    played_in(crowd, async |director, _| {
        people::arm(director);
        let mut scans = Vec::new();
        // The crowd has lived for sixteen days and was scanned at a few of them.
        let from = director.truth.now();
        let mut day = 1;
        while start + TimeDelta::days(day) < from {
            day += 1;
        }
        scans.extend([0, 5, 10, 15, 16].map(|day| start + TimeDelta::days(day) + TimeDelta::hours(2)));
        while day < DAYS {
            let night = start + TimeDelta::days(day) + TimeDelta::hours(2);
            director.pass_to(night);
            crashes::scan(director).await;
            scans.push(night);
            director.pass_to(night + TimeDelta::hours(8));
            if let Some(worker) = Process::start(director, 20) {
                let _ = worker.nightly.act_night(&Work::default()).await;
            }
            deliver(director).await;
            day += 2;
        }
        judge(director, &patterns, &scans);
    })
}

/// When one is attached: each time for so long that a scan falls into it, or for minutes that no scan sees.
fn uses(rng: &mut Rng, start: Instant) -> Vec<(Instant, Instant)> {
    let mut uses = Vec::new();
    let mut at = start + TimeDelta::hours(rng.between(1, 9 * 24));
    let times = rng.between(1, 5);
    for _ in 0..times {
        let long = rng.chance(75);
        let length =
            if long { TimeDelta::hours(rng.between(49, 160)) } else { TimeDelta::minutes(rng.between(5, 600)) };
        uses.push((at, at + length));
        at += length + TimeDelta::hours(rng.between(6, 15 * 24));
    }
    uses
}

/// A deleted volume was unattached in truth at that moment, and for fourteen days at every scan that looked.
fn judge(director: &Director, patterns: &BTreeMap<String, Vec<(Instant, Instant)>>, scans: &[Instant]) {
    let deleted: BTreeMap<String, Instant> = director
        .cloud
        .calls()
        .into_iter()
        .filter(|call| call.operation == "DeleteVolume" && call.effective)
        .filter_map(|call| Some((call.target?, call.at)))
        .collect();
    for (volume, uses) in patterns {
        reached(director, if deleted.contains_key(volume) { "deleted in the end" } else { "left alone" });
        let Some(at) = deleted.get(volume) else { continue };
        let used = |when: Instant| uses.iter().any(|(from, until)| *from <= when && when < *until);
        let lag = director.scene.lag;
        let seen = scans.iter().rfind(|scan| **scan < *at && used(**scan) && used(**scan - lag));
        let young = seen.is_some_and(|scan| *at - *scan < WINDOW);
        let wrong = young || used(*at);
        director
            .judge("H17", wrong.then(|| format!("{volume} was deleted at {at}, a scan saw it attached at {seen:?}")));
        let known = director.scene.world.start + WINDOW;
        director.judge("H17", (*at < known).then(|| format!("{volume} was deleted at {at}, after too few scans")));
    }
}
