//! H28: resources that a reader does not see for up to five minutes, in answers that are complete otherwise, on a cloud
//! whose answers lag as long. No finding closes as gone while its resource is there; those that really go do close.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::cloud::sim::{Change, Effect, Fault, Span};
use costwarden::domain::Instant;
use costwarden::domain::finding::{Act, Finding, State};
use costwarden::store::FindingFilter;

use super::{played_in, reached};
use crate::director::Director;
use crate::rng::Rng;
use crate::tally::Tally;
use crate::{crashes, scene};

/// Longest that an answer of EC2 may be behind (safety.md).
const LONGEST: i64 = 300;
/// Scans of a series, one after the other.
const SCANS: usize = 9;

/// A crowd of which some cannot be seen now and then.
pub fn play(seed: u64) -> Tally {
    let mut crowd = scene::crowd_with(seed, &[(Act::StopInstance, 22), (Act::DeleteVolume, 22), (Act::AddTags, 6)]);
    let mut rng = Rng::new(seed, "lag");
    let lag = rng.between(0, LONGEST) as u32;
    crowd.world.timing.visibility_lag = (lag / 2, lag);
    crowd.lag = TimeDelta::seconds(i64::from(lag));
    played_in(crowd, async |director, rng| {
        let mut at = director.truth.now() + TimeDelta::minutes(20);
        let scans: Vec<Instant> = (0..SCANS)
            .map(|_| {
                // Some right after another, some half an hour later.
                at += TimeDelta::seconds(*rng.pick(&[20, 90, 240, 299, 300, 301, 900, 1_800]));
                at
            })
            .collect();
        let gone = hide(director, rng, &scans);
        for (number, scan) in scans.iter().enumerate() {
            for id in gone.iter().filter(|(_, scan)| *scan == number).map(|(id, _)| id) {
                let _ = director.cloud.apply("ann", Change::Delete(id.clone()));
            }
            director.pass_to(*scan);
            crashes::scan(director).await;
            judge(director);
        }
        // And a day later, twice, everybody knows what is gone.
        for hours in [24, 26] {
            director.pass_to(scans[SCANS - 1] + TimeDelta::hours(hours));
            crashes::scan(director).await;
            judge(director);
        }
        for (id, _) in gone {
            let open = findings(director).into_iter().find(|own| *own.key.id == id && own.state == State::Open);
            director.judge("H28", open.map(|own| format!("{id} is gone for a day and {} is open", own.id)));
            director.with(|inner| inner.tally.did("closed rightly", 1));
        }
    })
}

/// Hides resources around scans, few at a time: what shrinks much at once is not believed anyway. Some really go.
fn hide(director: &Arc<Director>, rng: &mut Rng, scans: &[Instant]) -> Vec<(String, usize)> {
    let mut ids: Vec<(String, &str)> = Vec::new();
    for number in 0..22 {
        ids.push((format!("i-{number}"), "DescribeInstances"));
        ids.push((format!("vol-{number}"), "DescribeVolumes"));
    }
    let mut gone = Vec::new();
    for (number, (id, operation)) in ids.into_iter().enumerate() {
        let scan = number % scans.len();
        if operation == "DescribeVolumes" && rng.chance(12) {
            gone.push((id, scan));
            continue;
        }
        // From before this scan on, for at most as long as an answer may be behind.
        let from = scans[scan] - TimeDelta::seconds(rng.between(0, LONGEST - 1));
        let until = from + TimeDelta::seconds(LONGEST);
        let span = Span { from: Some(from), until: Some(until) };
        director.cloud.add_fault(Fault { span, ..Fault::on(operation, Effect::Hide(vec![id])) });
        reached(director, operation);
    }
    gone
}

fn findings(director: &Director) -> Vec<Finding> {
    director.store.findings(&FindingFilter::default()).unwrap_or_default()
}

/// No finding is closed as gone whose resource is there.
fn judge(director: &Director) {
    let there: BTreeSet<String> = director.cloud.truth(|truth| {
        let lives = |state: &str| !matches!(state, "deleting" | "deleted" | "terminated" | "shutting-down");
        truth.resources().filter(|own| lives(own.state())).map(|own| own.key.id.to_string()).collect()
    });
    for own in findings(director).iter().filter(|own| own.state == State::Resolved) {
        let wrong = there.contains(&*own.key.id) && own.reason.starts_with("gone");
        director.judge("H28", wrong.then(|| format!("{} closed ({}) and {} is there", own.id, own.reason, own.key.id)));
    }
}
