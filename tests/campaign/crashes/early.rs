//! Crashes before an act has a row: while its finding is written (J0), its notice goes out (J1), and it is planned (J2).
//!
//! These phases have no crash points in the program; a process dies there by its writes. A small world is played again and again,
//! and each time another write is its process's last; what the state and the mail server know then says between which commits it died, so each phase
//! has a death before its commit and one after it, and J1 one with the mail taken and not yet noted. Afterwards the
//! successors must do the act: one finding, its grace told, one effect.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use chrono::TimeDelta;
use costwarden::domain::finding::Act;
use costwarden::worker::jobs::plan::plan;

use super::{only, planned, scan, succeeded};
use crate::director::Director;
use crate::judge::ends;
use crate::policies::{ACTS, class};
use crate::process::context;
use crate::run::{finish, stage};
use crate::tally::Tally;
use crate::{people, scene};

/// What is known when a process has died.
#[derive(Clone, Copy, Debug)]
struct Known {
    found: bool,
    /// The mail server has the notice.
    taken: bool,
    /// The clock of the grace runs.
    told: bool,
    planned: bool,
}

/// More writes than one of these worlds has before its act.
const WRITES: u32 = 512;

/// Plays one act: for each thing that can be known the last death before it is, and the first one after.
pub async fn play(seed: u64, number: u64) -> Tally {
    let (act, _, _) = ACTS[number as usize % ACTS.len()];
    let mut total = Tally::default();
    let mut deaths: BTreeMap<u32, Option<Known>> = BTreeMap::new();
    let things: [fn(&Known) -> bool; 4] = [|own| own.found, |own| own.taken, |own| own.told, |own| own.planned];
    for is in things {
        // What is known once stays known, so the first such write is found by halves.
        let (mut low, mut high) = (0, WRITES);
        while low < high {
            let middle = (low + high) / 2;
            if let Entry::Vacant(new) = deaths.entry(middle) {
                let (tally, known) = one(seed, act, middle).await;
                total.merge(tally);
                new.insert(known);
            }
            if deaths[&middle].as_ref().is_none_or(is) { high = middle } else { low = middle + 1 }
        }
    }
    for (point, reached) in points(&deaths) {
        if reached {
            *total.crashes.entry(format!("{act} {point}")).or_default() += 1;
        }
    }
    total
}

/// Which points the deaths stand for: the last one before a commit, and the first one after it.
fn points(deaths: &BTreeMap<u32, Option<Known>>) -> [(&'static str, bool); 7] {
    let died = |write: u32| deaths.get(&write).copied().flatten();
    let before = |is: fn(&Known) -> bool| {
        deaths
            .keys()
            .any(|write| died(*write).is_some_and(|own| !is(&own)) && died(write + 1).is_some_and(|own| is(&own)))
    };
    let after = |is: fn(&Known) -> bool| deaths.values().flatten().any(is);
    [
        ("J0.before", before(|own| own.found)),
        ("J0.after", after(|own| own.found && !own.taken)),
        ("J1.before", before(|own| own.taken)),
        ("J1.call", after(|own| own.taken && !own.told)),
        ("J1.after", after(|own| own.told && !own.planned)),
        ("J2.before", before(|own| own.planned)),
        ("J2.after", after(|own| own.planned)),
    ]
}

/// One world, whose process dies at its n-th write after the account was armed, and what was known then; `None` when it has
/// not so many.
async fn one(seed: u64, act: Act, write: u32) -> (Tally, Option<Known>) {
    let director = stage(Arc::new(scene::crowd_with(seed, &[(act, 1)])));
    director.with(|inner| inner.book.pace = only(act));
    people::arm(&director);
    director.die_at_write(write);
    let start = director.scene.world.start;
    let mut known = None;
    // A volume's unused days may begin anew with the scan after a death.
    for day in [0, 5, 10, 15, 16, 20, 21, 22] {
        director.pass_to(start + TimeDelta::days(day) + TimeDelta::hours(2) + TimeDelta::minutes(5));
        scan(&director).await;
        if director.dead.load(SeqCst) {
            known = Some(look(&director, act, false));
            succeeded(&director, 10, 4).await;
            scan(&director).await;
        }
    }
    let made = plan(&context(&director), true).await.is_ok();
    if known.is_none() && made {
        // The first write after the plan's last one, whatever it is.
        let _ = director.store.set_meta("after", "the plan");
        if !director.dead.load(SeqCst) {
            return (finish(&director), None);
        }
    }
    if director.dead.load(SeqCst) {
        known = Some(look(&director, act, made));
        succeeded(&director, 20, 4).await;
    }
    done_once(&director, act, write).await;
    ends::judge(&director);
    (finish(&director), known)
}

/// What a successor will find.
fn look(director: &Director, act: Act, planned: bool) -> Known {
    director.note_mail();
    director.dead.store(false, SeqCst);
    let findings = director.store.findings_open().unwrap_or_default();
    let own = findings.iter().find(|finding| finding.act() == Some(act));
    let known = Known {
        found: own.is_some(),
        taken: director.with(|inner| inner.book.mails > 0),
        told: own.is_some_and(|finding| finding.clock.due_at.is_some()),
        planned,
    };
    director.dead.store(true, SeqCst);
    known
}

/// The successors do it: one finding, one effect.
async fn done_once(director: &Arc<Director>, act: Act, write: u32) {
    let Some((plan, steps)) = planned(director, act).await else {
        return director.judge("I20", Some(format!("{act}, dead at write {write}: no plan was made")));
    };
    people::apply(director, 90, &plan, &steps).await;
    let effects = director.with(|inner| inner.book.sent.iter().filter(|own| own.effective && own.act == act).count());
    let why = (effects != 1).then(|| format!("{act} ({:?}), dead at write {write}: {effects} effects", class(act)));
    director.judge("I20", why);
}
