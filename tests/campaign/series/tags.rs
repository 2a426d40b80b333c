//! H27: while the worker adds its tags, people set the very same keys, other keys, and all that there is room for. No
//! key that was there loses its value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use chrono::TimeDelta;
use costwarden::cloud::sim::Change;
use costwarden::domain::finding::Act;

use super::{apply, due, played_in, reached};
use crate::director::Director;
use crate::policies::COST_CENTER;
use crate::rng::Rng;
use crate::scene;
use crate::tally::Tally;

/// Where somebody comes in between: before the act begins, or at a point after which the resource is read once more.
const WHEN: [&str; 5] = ["", "J3.before", "J3.after", "J4.before", "J4.after"];

/// A crowd of tag writes.
pub fn play(seed: u64) -> Tally {
    let mut crowd = scene::crowd_with(seed, &[(Act::AddTags, 40)]);
    // A key whose change does not count as a change of the resource: only the write itself can protect it.
    if seed.is_multiple_of(2) {
        crowd.settings.tags.ignore.push(COST_CENTER.0.to_owned());
    }
    played_in(crowd, async |director, rng| {
        let (plan, steps) = due(director).await;
        for (number, step) in steps.into_iter().filter(|step| step.act == Act::AddTags).enumerate() {
            let id = step.key.id.to_string();
            // What readers cannot see yet cannot be spared: with lag somebody came early enough.
            let lag = director.scene.lag > TimeDelta::zero();
            let when = if lag { "" } else { *rng.pick(&WHEN) };
            let (sort, tags) = draw(rng);
            let change = Change::Tag { resource: id.clone(), tags };
            let came = Arc::new(AtomicBool::new(false));
            let before = Arc::new(std::sync::Mutex::new(of(director, &id)));
            if when.is_empty() {
                let done = director.cloud.apply("ann", change.clone()).is_ok();
                came.store(done, SeqCst);
                *before.lock().expect("nobody panics with it") = of(director, &id);
                director.pass_to(director.truth.now() + director.scene.lag + TimeDelta::seconds(1));
            }
            let (seen, noted) = (came.clone(), before.clone());
            apply(director, &plan, &step, 100 + 10 * number as u32, move |director, point| {
                if point == when && !seen.load(SeqCst) && director.cloud.apply("ann", change.clone()).is_ok() {
                    seen.store(true, SeqCst);
                    *noted.lock().expect("nobody panics with it") = of(director, change.target());
                }
                false
            })
            .await;
            let before = before.lock().expect("nobody panics with it").clone();
            let after = of(director, &id);
            let lost: Vec<&String> =
                before.iter().filter(|(key, value)| after.get(*key) != Some(value)).map(|(key, _)| key).collect();
            director.judge("H27", (!lost.is_empty()).then(|| format!("{id} {sort} {when}: {lost:?} changed")));
            director.judge("H27", (after.len() > 50).then(|| format!("{id}: {} tags", after.len())));
            if came.load(SeqCst) {
                reached(director, sort);
                let written = after.len() > before.len();
                director.with(|inner| inner.tally.did(if written { "written" } else { "left alone" }, 1));
            }
        }
        let overwrote = director.cloud.calls().into_iter().find(|call| !call.overwrote.is_empty());
        director.judge("H27", overwrote.map(|call| format!("{:?} lost {:?}", call.target, call.overwrote)));
    })
}

/// What somebody writes.
fn draw(rng: &mut Rng) -> (&'static str, Vec<(String, String)>) {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let other = format!("CC-{}", rng.between(1, 999_999));
    match rng.below(5) {
        0 => ("the-key", vec![pair(COST_CENTER.0, &other)]),
        1 => ("the-key-in-other-letters", vec![pair("Cost-Center", &other)]),
        2 => (
            "our-marks",
            vec![pair("costwarden:compliance-status", "checked by hand"), pair("costwarden:auto-tagged-at", "never")],
        ),
        3 => ("managed-by", vec![pair("managed-by", "manual"), pair(COST_CENTER.0, "")]),
        _ => {
            let room = rng.between(43, 49);
            ("all-the-room", (1..room).map(|number| pair(&format!("key-{number}"), "theirs")).collect())
        }
    }
}

/// The tags of a resource in truth.
fn of(director: &Director, id: &str) -> BTreeMap<String, String> {
    director.cloud.truth(|truth| {
        let tags = truth.resource(id).and_then(|own| own.tags.known());
        tags.into_iter().flat_map(|tags| tags.iter()).map(|(key, value)| (key.to_string(), value.to_string())).collect()
    })
}
