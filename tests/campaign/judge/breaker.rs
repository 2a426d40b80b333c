//! The breaker, from both sides: nothing of a policy is touched that became due on too much since people armed, and no
//! policy is held that did not.
//!
//! What counts is what the product promises: findings that fell due after their account was armed, in every account that
//! is armed. Where nobody wants acts nothing counts, and nobody else waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::domain::finding::{Act, FindingId};
use costwarden::domain::mode::Mode;
use costwarden::domain::place::{Kind, ResourceKey};
use costwarden::domain::plan::HoldCode;
use costwarden::domain::remediation::Remediation;
use costwarden::domain::resource::Resource;

use super::book::{Book, Word};
use super::calls::{Case, Verdict};
use crate::director::Director;
use crate::policies::{self, ACTS, Severity};
use crate::process::held_back;
use crate::scene::Bait;

/// More of a policy than passes became due at once, and nobody armed since: none of them may be touched.
pub(super) fn i08_breaker(case: &Case<'_>) -> Option<Verdict> {
    let scene = &case.director.scene;
    if !scene.flood || case.act? != Act::StopInstance {
        return None;
    }
    let (grace, second) = case.set().grace(Act::StopInstance);
    let instances = case.director.cloud.truth(|truth| {
        let idle = |one: &&Resource| {
            let card = scene.cards.get(&*one.key.id);
            one.state() == "running" && card.is_some_and(|card| card.bait == Bait::None)
        };
        let instances = truth.resources().filter(|one| one.instance().is_some());
        instances.filter(idle).map(|one| one.key.clone()).collect::<Vec<_>>()
    });
    case.director.with(|inner| {
        let since = inner.book.armed.get(&case.place.account).map(|(at, _)| *at)?;
        let due = |key: &&ResourceKey| {
            let id = FindingId::derive(key, "waste", "idle").0;
            let warned = inner.book.warnings.get(&id).map_or(&[][..], |own| own.as_slice());
            let touched = case.changes.iter().any(|change| change.target == *key.id)
                || inner.book.grants.iter().any(|own| own.resource == *key.id)
                || inner.book.sent.iter().any(|own| own.resource == *key.id);
            // Told twice for the first time is a grace that began anew.
            let mut firsts = warned.iter().filter(|(_, word)| *word == Word::First).map(|(at, _)| *at);
            let (Some(first), None) = (firsts.next(), firsts.next()) else { return false };
            let armed = inner.book.armed.get(key.account());
            let counts = armed.is_some_and(|(at, _)| first + grace > *at);
            !touched && !second && first + grace <= case.now && counts
        };
        let count = instances.iter().filter(due).count();
        let words = || format!("{count} became due at once and nobody armed since {since}");
        // One may have changed in a way that only the program can know yet.
        let most = scene.settings.enforcement.breaker.count as usize + 1;
        Some((count > most).then(words))
    })
}

/// After an act slot: what the breaker holds became due on more than passes. Asked where floods are, and in a share of
/// the other worlds, in which nothing can trip it.
pub fn held_rightly(director: &Arc<Director>) {
    let scene = &director.scene;
    let asked = scene.flood || scene.seed.is_multiple_of(8);
    if !asked || director.with(|inner| inner.book.jumped_at.is_some() || inner.book.mode != Mode::Enforce) {
        return;
    }
    // Who died right after a delivery has not counted it yet.
    director.note_mail();
    let held = held_back(director).into_iter().filter(|own| own.code == HoldCode::Breaker);
    let held: BTreeSet<(String, Kind)> = held
        .filter_map(|own| {
            let policy = own.reason.strip_prefix("breaker: policy ")?.split(' ').next()?;
            Some((policy.to_owned(), own.key.kind()))
        })
        .collect();
    for (policy, kind) in held {
        let most = most(director, &policy, kind, true);
        verdict(director, &policy, kind, most, "after an act slot");
    }
}

/// What the gate refused because of the breaker became due on more than passes, once in its life at least.
pub(super) fn refused_rightly(director: &Director, row: &Remediation) {
    if !row.message.contains("breaker: the gate counted") || director.with(|inner| inner.book.jumped_at.is_some()) {
        return;
    }
    let kind = row.step.key.kind();
    let most = most(director, &row.step.policy, kind, false);
    verdict(director, &row.step.policy, kind, most, &format!("for r-{}", row.id));
}

fn verdict(director: &Director, policy: &str, kind: Kind, most: u32, when: &str) {
    let passes = director.scene.settings.enforcement.breaker.count;
    let wrong = (most <= passes).then(|| {
        format!("the breaker holds {policy} {when}: it became due on {most} {}s at most, {passes} pass", kind.noun())
    });
    director.judge("I08", wrong);
}

/// How many findings of a policy on a kind can be due at most: whose owner was told at all, and, where those that count
/// `now` are wanted alone, in an account that is armed and not surely due by the time at which somebody armed it.
fn most(director: &Director, policy: &str, kind: Kind, now: bool) -> u32 {
    let planted = director.scene.world.resources.iter().map(|own| own.resource.key.clone());
    let there = director.cloud.truth(|truth| truth.resources().map(|own| own.key.clone()).collect::<Vec<_>>());
    let keys: BTreeSet<ResourceKey> = planted.chain(there).filter(|key| key.kind() == kind).collect();
    let edition = director.with(|inner| inner.book.edition);
    let set = policies::of(&director.scene, edition);
    let changed: BTreeSet<String> = director.cloud.changes().into_iter().map(|change| change.target).collect();
    let rules: BTreeMap<&str, Act> =
        ACTS.iter().filter(|(_, own, _)| *own == policy).map(|(act, _, rule)| (*rule, *act)).collect();
    director.with(|inner| {
        let book = &inner.book;
        let counts = |key: &ResourceKey, rule: &str, act: Act| {
            let id = FindingId::derive(key, policy, rule).0;
            let firsts = firsts(book, &id);
            let touched = changed.contains(&*key.id)
                || book.grants.iter().any(|own| own.resource == *key.id)
                || book.sent.iter().any(|own| own.resource == *key.id);
            let grace = set.grace(act).0 + TimeDelta::hours(1);
            let unseen = match (firsts.as_slice(), book.armed.get(key.account())) {
                (_, None) => false,
                ([first], Some((at, _))) => touched || set.severity == Severity::Medium || *first + grace > *at,
                _ => true,
            };
            !firsts.is_empty() && (unseen || !now)
        };
        let all = keys.iter().flat_map(|key| rules.iter().map(move |(rule, act)| (key, *rule, *act)));
        all.filter(|(key, rule, act)| counts(key, rule, *act)).count() as u32
    })
}

fn firsts(book: &Book, finding: &str) -> Vec<costwarden::domain::Instant> {
    let warned = book.warnings.get(finding).into_iter().flatten();
    warned.filter(|(_, word)| *word == Word::First).map(|(at, _)| *at).collect()
}
