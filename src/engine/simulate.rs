//! A back-test: policies over nights that were read before, as if they had been in force then.
//!
//! `worker::simulate` hands in one partition's night after the other, oldest first. Reconciling, notices and clocks are
//! those of the real thing, every notice counting as delivered at once, so the answer is the earliest that could have
//! happened. A resource that was found and used again on a later night is a false positive; it is told apart whether
//! the policy would have acted on it by then. It leaves out modes, arming and pace: they hold acts back, whatever the
//! policy says. Pure, and nothing is written anywhere.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::evaluate::{EvaluateRules, evaluate};
use super::grace;
use super::notices::decide;
use super::reconcile::{Look, Reconciler};
use super::ruleset::Ruleset;
use crate::domain::Instant;
use crate::domain::check::{Subject, UsedBy, Verdict};
use crate::domain::exception::Exception;
use crate::domain::finding::{Act, Finding, FindingId, Phase, State};
use crate::domain::inventory::{RefIndex, Sighting};
use crate::domain::money::Usd;
use crate::domain::place::{Kind, Partition};
use crate::domain::price::PriceBook;
use crate::domain::resource::{InstanceState, Resource};
use crate::domain::text::Str;
use crate::domain::usage::Usage;

/// Hours in a month of prices.
const MONTH_HOURS: i64 = 730;

/// What holds on every night.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The policies.
    pub rules: &'a Ruleset,
    /// List prices.
    pub prices: &'a PriceBook,
    /// Exceptions of the settings.
    pub exceptions: &'a [Exception],
    /// Who would be told.
    pub owner_of: &'a (dyn Fn(&Resource) -> Option<String> + Sync),
    /// Why an act would be refused whatever the clocks say.
    pub refused: &'a (dyn Fn(Act, &Resource) -> Option<String> + Sync),
    /// Prefix of our own tags.
    pub tag_prefix: &'a str,
}

/// One partition as it was read on one night.
pub struct Night<'a> {
    /// When.
    pub at: Instant,
    /// Which.
    pub partition: &'a Partition,
    /// Its resources, with their metrics.
    pub resources: &'a [(Resource, Option<Usage>)],
    /// What the images of the place refer to.
    pub refs: &'a RefIndex,
    /// Sightings that the state remembers, by resource: how long conditions held before the first night.
    pub remembered: &'a HashMap<String, Sighting>,
    /// Judged by the policies, or only looked at for what was used again.
    pub judged: bool,
}

/// A back-test under way.
pub struct Backtest<'a> {
    setting: Setting<'a>,
    findings: HashMap<Partition, Vec<Finding>>,
    sightings: HashMap<Partition, HashMap<Str, Sighting>>,
    nights: Vec<Instant>,
    seen: HashMap<FindingId, Seen>,
    unknown: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Seen {
    nights: u32,
    acted: Option<Instant>,
    used: Option<(Instant, String)>,
}

/// What a back-test says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulation {
    /// The nights that were judged, oldest first.
    pub nights: Vec<Instant>,
    /// What was found, most dollars first.
    pub found: Vec<Found>,
    /// Verdicts that depended on something unknown, by rule: they found nothing and cleared nothing.
    pub unknown: BTreeMap<String, u64>,
}

/// One finding of a back-test.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The finding as of the last night that showed it.
    pub finding: Finding,
    /// Nights on which the rule was violated.
    pub nights: u32,
    /// When the policy would have acted.
    pub acted: Option<(Act, Instant)>,
    /// What the act would have saved until the last night; `None` without an act or a price.
    pub saved: Option<Usd>,
    /// First later night on which the resource was in use again, and how that showed.
    pub used_again: Option<(Instant, String)>,
}

impl<'a> Backtest<'a> {
    /// Nothing seen yet.
    pub fn new(setting: Setting<'a>) -> Backtest<'a> {
        Backtest {
            setting,
            findings: HashMap::new(),
            sightings: HashMap::new(),
            nights: Vec::new(),
            seen: HashMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Takes one partition's night; they come oldest first, and images before the rest of their place.
    pub fn night(&mut self, night: &Night<'_>) {
        if night.judged && self.nights.last() != Some(&night.at) {
            self.nights.push(night.at);
        }
        let before = self.sightings.remove(night.partition).unwrap_or_default();
        let sightings = sightings(night, &before);
        let Setting { rules, prices, exceptions, owner_of, refused, tag_prefix } = self.setting;
        let existing = self.findings.remove(night.partition).unwrap_or_default();
        let mut reconciler = Reconciler::new(Look { now: night.at, exceptions, owner_of, tag_prefix });
        reconciler.on_file(existing.clone());
        for (resource, usage) in night.resources {
            reconciler.seen(resource);
            let subject = Subject {
                resource,
                usage: usage.as_ref(),
                refs: night.refs,
                sighting: sightings.get(&resource.key.id).copied(),
                prices,
                now: night.at,
            };
            for judged in evaluate(rules, &subject, EvaluateRules { tag_prefix, refused }) {
                let id = FindingId::derive(&resource.key, &judged.rule.policy, &judged.rule.rule);
                match &judged.verdict {
                    Verdict::Violated(_) if night.judged => self.seen.entry(id).or_default().nights += 1,
                    Verdict::Unknown(_) if night.judged => {
                        *self.unknown.entry(format!("{}/{}", judged.rule.policy, judged.rule.rule)).or_default() += 1;
                    }
                    Verdict::Compliant if judged.rule.check.used_by == UsedBy::Waste => {
                        if let Some(seen) = self.seen.get_mut(&id).filter(|seen| seen.used.is_none()) {
                            seen.used = in_use(resource, night.refs).map(|how| (night.at, how));
                        }
                    }
                    _ => {}
                }
                if night.judged {
                    reconciler.observe(resource, judged.rule, judged.verdict);
                }
            }
        }
        let findings = if night.judged { self.settle(existing, reconciler, night.at) } else { existing };
        self.findings.insert(night.partition.clone(), findings);
        self.sightings.insert(night.partition.clone(), sightings);
    }

    /// What all of it amounts to.
    pub fn finish(self) -> Simulation {
        let last = self.nights.last().copied();
        let mut found: Vec<Found> = Vec::new();
        for finding in self.findings.into_values().flatten() {
            let Some(seen) = self.seen.get(&finding.id) else { continue };
            let acted = seen.acted.and_then(|at| Some((finding.act()?, at)));
            let saved = acted
                .zip(finding.savings.monthly)
                .zip(last)
                .map(|(((_, at), monthly), last)| monthly.scaled((last - at).num_hours().max(0), MONTH_HOURS));
            found.push(Found { nights: seen.nights, acted, saved, used_again: seen.used.clone(), finding });
        }
        found.sort_by(|left, right| {
            let monthly = |found: &Found| found.finding.savings.monthly;
            monthly(right)
                .cmp(&monthly(left))
                .then_with(|| left.finding.key.to_string().cmp(&right.finding.key.to_string()))
                .then_with(|| left.finding.id.cmp(&right.finding.id))
        });
        Simulation { nights: self.nights, found, unknown: self.unknown }
    }

    /// The findings after a night: reconciled, told, and acted on where the clocks have run out.
    fn settle(&mut self, existing: Vec<Finding>, reconciler: Reconciler<'_>, at: Instant) -> Vec<Finding> {
        let mut findings: Vec<Finding> = existing;
        let mut places: HashMap<FindingId, usize> =
            findings.iter().enumerate().map(|(place, known)| (known.id.clone(), place)).collect();
        for changed in reconciler.finish().changed {
            match places.get(&changed.id) {
                Some(place) => findings[*place] = changed,
                None => {
                    places.insert(changed.id.clone(), findings.len());
                    findings.push(changed);
                }
            }
        }
        for notice in decide(&findings, &HashSet::new(), at) {
            if let Some(place) = places.get(&notice.finding) {
                grace::delivered(&mut findings[*place], notice.kind, at);
            }
        }
        for finding in findings.iter().filter(|finding| finding.state == State::Open && finding.unjudged.is_none()) {
            let acts = finding.phase_at(at) == Phase::Due && finding.act().is_some_and(|act| act.changes_cloud());
            if acts && finding.owner.is_some() {
                self.seen.entry(finding.id.clone()).or_default().acted.get_or_insert(at);
            }
        }
        findings
    }
}

impl Simulation {
    /// Findings of which the resource was used again later.
    pub fn false_positives(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.used_again.is_some())
    }

    /// Those that the policy would have acted on before that.
    pub fn wrong_acts(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| match (&found.acted, &found.used_again) {
            (Some((_, acted)), Some((used, _))) => acted < used,
            _ => false,
        })
    }
}

/// Our own clocks for what the cloud does not date, as a scan on each of these nights would have kept them.
fn sightings(night: &Night<'_>, before: &HashMap<Str, Sighting>) -> HashMap<Str, Sighting> {
    if !matches!(night.partition.kind, Kind::Volume | Kind::Address) {
        return HashMap::new();
    }
    let idle = night.resources.iter().map(|(resource, _)| resource).filter(|resource| resource.lies_idle());
    idle.map(|resource| {
        let id = resource.key.id.clone();
        let known = before.get(&id).copied();
        let remembered = night.remembered.get(&*id).filter(|sighting| sighting.since <= night.at);
        let sighting = match (known, remembered) {
            (Some(known), _) => Sighting { scans: known.scans.saturating_add(1), ..known },
            // Seen before the first night that is kept: since then, and in at least one scan on each side.
            (None, Some(old)) if old.since < night.at => Sighting { since: old.since, scans: 2.min(old.scans.max(1)) },
            (None, _) => Sighting { since: night.at, scans: 1 },
        };
        (id, sighting)
    })
    .collect()
}

/// How a resource that no longer violates its rule shows that somebody uses it; `None` where that cannot be told.
fn in_use(resource: &Resource, refs: &RefIndex) -> Option<String> {
    if let Some(volume) = resource.volume() {
        return volume.attachments.first().map(|to| format!("attached to {}", to.instance));
    }
    if let Some(address) = resource.address() {
        let to = address.instance.as_ref().or(address.network_interface.as_ref()).or(address.association.as_ref());
        return to.map(|to| format!("associated with {to}"));
    }
    if let Some(instance) = resource.instance() {
        return (instance.state == InstanceState::Running).then(|| "running, and busy".to_owned());
    }
    resource
        .snapshot()
        .and_then(|_| refs.image_of_snapshot(&resource.key.id).known().cloned())
        .map(|image| format!("used by image {image}"))
}

#[cfg(test)]
mod tests;
