//! The gate's own count of what a policy fell due on: the planner held it whole before, or should have.
//!
//! Read from the state in that moment, so that a finding which fell due after the plan counts as well. The columns give
//! an upper bound; only above a limit are the findings themselves read, for those that nobody wants an act on. Only
//! accounts count where something can happen: those of the settings, and in mode enforce the armed ones among them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{GateRules, Remediator, Ruling};
use super::Facts;
use super::people::holds;
use crate::domain::Instant;
use crate::domain::check::Standing;
use crate::domain::finding::{Act, Finding, FindingId, Severity, State};
use crate::domain::mode::{Arming, Mode, WAY_ON};
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind};
use crate::domain::plan::{HoldCode, Step};
use crate::domain::text::clean;
use crate::store::{DueRow, FindingFilter, StoreError};

/// What a policy fell due on of one kind, in all accounts together, since each of them was armed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Load {
    /// Findings.
    pub findings: u64,
    /// Their dollars a month in millionths, as far as they are known.
    pub micros: i64,
    /// Findings without a price.
    pub unpriced: u64,
    /// People who own one.
    pub owners: BTreeSet<String>,
    /// Findings that nobody owns.
    pub unowned: u64,
    /// Resources of the kind in the same accounts.
    pub of_kind: u64,
}

impl Load {
    /// Counts rows.
    pub fn of(rows: impl IntoIterator<Item = DueRow>) -> Load {
        let mut load = Load::default();
        for row in rows {
            load.findings += 1;
            match row.monthly {
                Some(amount) => load.micros = load.micros.saturating_add(amount.0),
                None => load.unpriced += 1,
            }
            match row.owner {
                Some(owner) => _ = load.owners.insert(owner),
                None => load.unowned += 1,
            }
        }
        load
    }

    /// Which limit is passed, in words. Zero allows nothing.
    fn over(&self, rules: &GateRules, kind: Kind) -> Option<String> {
        let breaker = &rules.breaker;
        let all = self.of_kind;
        let share = all.saturating_mul(u64::from(breaker.percent_of_kind)) / 100;
        if self.findings > u64::from(breaker.count) && self.findings > share {
            let most = share.max(u64::from(breaker.count));
            return Some(format!("{} of {all} {}s, {most} pass", self.findings, kind.noun()));
        }
        if let Some(usd) = breaker.usd
            && (self.micros > usd.0 || self.unpriced > 0)
        {
            let sum = Usd(self.micros);
            return Some(format!("{sum} a month and {} without a price, {usd} pass", self.unpriced));
        }
        let owners = self.owners.len() as u64 + self.unowned;
        match breaker.owners {
            Some(most) if owners > u64::from(most) => Some(format!("{}s of {owners} owners, {most} pass", kind.noun())),
            _ => None,
        }
    }
}

/// The policy fell due on too much, and nobody armed again since.
pub(super) fn tripped(facts: &Facts<'_>) -> Option<Ruling> {
    let what = facts.load.over(facts.rules, facts.step.key.kind()).filter(|_| !planted!("no-breaker"))?;
    let policy = clean(&facts.step.policy);
    let why = format!("breaker: the gate counted that policy {policy} became due on {what}; {WAY_ON}");
    Some(Ruling::Refuse(HoldCode::Breaker, why))
}

impl Remediator {
    /// What the step's policy fell due on by now. An act that is on file already is none that came before.
    pub(super) fn load(
        &self,
        step: &Step,
        armings: &[Arming],
        now: Instant,
        own: Option<i64>,
    ) -> Result<Load, StoreError> {
        let (store, kind) = (&self.tools.store, step.key.kind());
        // What was due when a person armed was shown to that person. Nobody must arm for `apply`, but may.
        let armed = |account: &AccountId| {
            let own = armings.iter().find(|arming| arming.account == *account);
            own.filter(|arming| now <= arming.until || planted!("breaker-counts-the-disarmed")).map(|arming| arming.at)
        };
        let counted: BTreeMap<&AccountId, Option<Instant>> = self
            .rules
            .places
            .iter()
            .map(|place| (&place.account, armed(&place.account)))
            .filter(|(_, armed)| armed.is_some() || self.rules.mode != Mode::Enforce)
            .collect();
        let after = counted.values().copied().collect::<Option<Vec<Instant>>>().and_then(|each| each.into_iter().min());
        let after = after.filter(|_| !planted!("breaker-counts-what-was-shown"));
        let mut rows = store.due_of_policy(&step.policy, kind, after, now)?;
        let unseen = |row: &DueRow, at: Instant| row.due_at > at || planted!("breaker-counts-what-was-shown");
        rows.retain(|row| counted.get(&row.account).is_some_and(|armed| armed.is_none_or(|at| unseen(row, at))));
        let of_kind =
            self.rules.totals.iter().filter(|((account, own), _)| *own == kind && counted.contains_key(account));
        let of_kind: u64 = of_kind.map(|(_, count)| *count).sum();
        // Who would save less than nothing takes nothing from the bound.
        let most =
            rows.iter().cloned().map(|row| DueRow { monthly: row.monthly.map(|amount| Usd(amount.0.max(0))), ..row });
        let most = Load { of_kind, ..Load::of(most) };
        if most.over(&self.rules, kind).is_none() {
            return Ok(most);
        }
        let of_policy =
            FindingFilter { states: vec![State::Open], policy: Some(step.policy.clone()), ..FindingFilter::default() };
        let due: BTreeSet<&FindingId> = rows.iter().map(|row| &row.finding).collect();
        let mut wanted = BTreeSet::new();
        for finding in store.findings(&of_policy)?.into_iter().filter(|own| due.contains(&own.id)) {
            if self.wants_an_act(&finding, now, own)? {
                wanted.insert(finding.id);
            }
        }
        rows.retain(|row| wanted.contains(&row.finding));
        Ok(Load { of_kind, ..Load::of(rows) })
    }

    /// Whether a due finding asks for an act that nobody's word and no earlier act stands against. What merely cannot be
    /// read just now still asks.
    fn wants_an_act(&self, finding: &Finding, now: Instant, own: Option<i64>) -> Result<bool, StoreError> {
        let reported = finding.severity == Severity::Low || finding.standing != Standing::Proven;
        let Some(act) = finding.act().filter(|act| *act != Act::SendNotification && !reported) else {
            return Ok(false);
        };
        let nowhere_to = act == Act::ResizeInstance && finding.to_type.is_none();
        let kept = finding.keep_until.is_some_and(|day| now.date_naive() <= day);
        if nowhere_to || kept || finding.suppressed || finding.clock.waits_for_second() {
            return Ok(false);
        }
        let stored = self.tools.store.exceptions_on(finding.key.account().as_str(), &finding.key.id)?;
        if holds(&self.rules.exceptions, &stored, finding, now).is_some() {
            return Ok(false);
        }
        if act == Act::AddTags {
            return Ok(true);
        }
        let last = self.tools.store.last_act_on(&finding.key, own)?;
        Ok(last.is_none_or(|(at, _)| now - at >= chrono::TimeDelta::days(7)))
    }
}
