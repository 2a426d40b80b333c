//! What a campaign counts, and how its closing lines look.

use std::collections::BTreeMap;

use crate::kinds::Kind;

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub seed: u64,
    pub what: String,
}

/// Counts of some worlds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub worlds: u64,
    /// Faults that bit, by kind.
    pub reached: BTreeMap<Kind, u64>,
    /// Calls, writes and deliveries that a fault changed.
    pub hits: u64,
    /// How often each invariant had something to judge.
    pub judged: BTreeMap<&'static str, u64>,
    /// Effective changes by operation, and other things that must happen now and then.
    pub done: BTreeMap<String, u64>,
    /// Crashes by act and point.
    pub crashes: BTreeMap<String, u64>,
    pub violations: Vec<Violation>,
    /// FNV over everything that happened, in order.
    pub hash: u64,
}

impl Tally {
    pub fn reach(&mut self, kind: Kind, hits: u64) {
        *self.reached.entry(kind).or_default() += 1;
        self.hits += hits;
    }

    pub fn judge(&mut self, invariant: &'static str) {
        *self.judged.entry(invariant).or_default() += 1;
    }

    pub fn did(&mut self, what: impl Into<String>, count: u64) {
        *self.done.entry(what.into()).or_default() += count;
    }

    /// Stirs a text into the hash.
    pub fn stir(&mut self, text: &str) {
        for byte in text.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub fn merge(&mut self, other: Tally) {
        self.worlds += other.worlds;
        self.hits += other.hits;
        self.hash ^= other.hash;
        let join = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            from.into_iter().for_each(|(key, count)| *into.entry(key).or_default() += count);
        };
        join(&mut self.done, other.done);
        join(&mut self.crashes, other.crashes);
        other.judged.into_iter().for_each(|(key, count)| *self.judged.entry(key).or_default() += count);
        other.reached.into_iter().for_each(|(key, count)| *self.reached.entry(key).or_default() += count);
        self.violations.extend(other.violations);
    }

    /// Faults that bit, of every kind.
    pub fn faults(&self) -> u64 {
        self.reached.values().sum()
    }
}
