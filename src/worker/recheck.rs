//! Judges a planned step again on facts of this minute (safety.md, J4).
//!
//! `remediate` asks right before an act. The whole rule is judged on fresh metrics, and for rules on metrics the last
//! 24 hours by themselves as well: an instance that was idle for a week and woke this morning is not stopped. Only a
//! proven violation is a yes; what cannot be told is never one.

use async_trait::async_trait;
use chrono::{DurationRound, NaiveDate, TimeDelta};

use super::context::Context;
use super::inventory::{self, UsageMap};
use super::supervise::Pulse;
use crate::checks;
use crate::domain::Instant;
use crate::domain::check::{Standing, Subject, Verdict};
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::inventory::RefIndex;
use crate::domain::place::Kind;
use crate::domain::plan::Step;
use crate::domain::resource::Resource;
use crate::domain::usage::{Daily, Metric, Series, Statistic, Usage};
use crate::engine::ruleset::CompiledRule;
use crate::remediate::{Recheck, StillViolates};

/// The worker's [`Recheck`].
pub struct FreshFacts {
    context: Context,
}

impl FreshFacts {
    /// Judges with the policies and readers of this context.
    pub fn new(context: Context) -> FreshFacts {
        FreshFacts { context }
    }
}

#[async_trait]
impl Recheck for FreshFacts {
    async fn still_violates(&self, step: &Step, fresh: &Resource) -> Result<StillViolates, String> {
        let cx = &self.context;
        let Some(rule) = cx.rules.rule(&step.policy, &step.rule) else {
            return Ok(StillViolates::No("its policy or rule is no longer in force".into()));
        };
        if *rule.policy_hash != *step.policy_hash {
            return Ok(StillViolates::No("its policy changed since the plan was made".into()));
        }
        let now = cx.clock.now();
        let usage = self.usage(rule, fresh, now).await?;
        let sightings = cx.store.sightings(&fresh.key.partition).map_err(|error| error.to_string())?;
        let subject = Subject {
            resource: fresh,
            usage: usage.as_ref(),
            refs: &references(fresh),
            sighting: sightings.get(&*fresh.key.id).copied(),
            prices: &cx.prices,
            now,
        };
        let verdict = rule.judge().judge(&subject);
        if let Verdict::Violated(violation) = &verdict
            && step.act == Act::ResizeInstance
            && violation.to_type != step.to_type
        {
            let to = violation.to_type.as_deref().unwrap_or("none");
            return Ok(StillViolates::No(format!("the rule asks for another type by now: {to}")));
        }
        match answer(verdict) {
            StillViolates::Yes if rule.check.needs_usage => self.last_day(rule, fresh, now).await,
            other => Ok(other),
        }
    }
}

impl FreshFacts {
    /// Metrics of the rule's whole window.
    async fn usage(&self, rule: &CompiledRule, fresh: &Resource, now: Instant) -> Result<Option<Usage>, String> {
        let Some(days) = rule.judge().usage_days() else {
            return Ok(None);
        };
        let cloud = &*self.context.cloud;
        let place = &fresh.key.partition.place;
        let one = std::slice::from_ref(fresh);
        let pulse = Pulse::default();
        let (mut usage, daily_error): (UsageMap, _) =
            inventory::daily_usage(cloud, place, one, days, now, &pulse).await;
        let ids = [fresh.key.id.clone()];
        let hourly_error = inventory::hourly_usage(cloud, place, &ids, days, now, &mut usage, &pulse).await;
        match daily_error.or(hourly_error) {
            Some(error) => Err(format!("metrics: {error}")),
            None => Ok(usage.remove(&fresh.key.id)),
        }
    }

    /// The same check over the last 24 whole hours, as one day.
    async fn last_day(&self, rule: &CompiledRule, fresh: &Resource, now: Instant) -> Result<StillViolates, String> {
        let built = checks::find(rule.check.id).and_then(|check| check.build).zip(rule.params.clone());
        let Some((build, params)) = built else {
            return Ok(StillViolates::Unknown("the last 24 hours cannot be judged by this check".into()));
        };
        let to = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let from = to - TimeDelta::hours(24);
        let (cloud, place) = (&*self.context.cloud, &fresh.key.partition.place);
        let ids = [fresh.key.id.clone()];
        let wanted = [
            (Metric::Cpu, Statistic::Average),
            (Metric::NetworkIn, Statistic::Sum),
            (Metric::NetworkOut, Statistic::Sum),
        ];
        let pulse = Pulse::default();
        let (series, error) = inventory::read_series(cloud, place, &ids, &wanted, 3_600, (from, to), &pulse).await;
        let (hourly, peak_error) = inventory::hourly(cloud, place, &ids, (from, to), &pulse).await;
        if let Some(error) = error.or(peak_error) {
            return Err(format!("metrics of the last 24 hours: {error}"));
        }
        let usage = Usage {
            days: [day_of(to)].into(),
            cpu_average: as_one_day(&series[0], |sum, count| sum / count),
            network_in: as_one_day(&series[1], |sum, _| sum),
            network_out: as_one_day(&series[2], |sum, _| sum),
            hourly: hourly.into_iter().next().map(Box::new),
        };
        let subject = Subject {
            resource: fresh,
            usage: Some(&usage),
            refs: &RefIndex::default(),
            sighting: None,
            prices: &self.context.prices,
            now,
        };
        Ok(match answer(build(&params.with("days", 1.0)).judge(&subject)) {
            StillViolates::No(why) => StillViolates::No(format!("in the last 24 hours: {why}")),
            StillViolates::Unknown(why) => StillViolates::Unknown(format!("in the last 24 hours: {why}")),
            StillViolates::Yes => StillViolates::Yes,
        })
    }
}

/// Which image a snapshot is part of, as it was asked for it alone. Of other resources nothing is known here, so a rule
/// that asks about them gets an unknown.
fn references(fresh: &Resource) -> RefIndex {
    let mut refs = RefIndex::default();
    if let Some(snapshot) = fresh.snapshot() {
        match &snapshot.image {
            Fact::Known(image) => {
                refs.mark_complete(Kind::Image);
                refs.image_uses(image.clone(), fresh.key.id.clone());
            }
            Fact::Absent => refs.mark_complete(Kind::Image),
            Fact::Unknown(_) => {}
        }
    }
    refs
}

fn answer(verdict: Verdict) -> StillViolates {
    match verdict {
        Verdict::Violated(violation) => match violation.standing {
            Standing::Proven => StillViolates::Yes,
            Standing::Watching(why) | Standing::ReportedOnly(why) => StillViolates::No(why),
        },
        Verdict::Compliant => StillViolates::No("it is in use or in order again".into()),
        Verdict::NotApplicable => StillViolates::No("the rule no longer applies to it".into()),
        Verdict::Unknown(why) => StillViolates::Unknown(why),
    }
}

fn day_of(to: Instant) -> NaiveDate {
    (to - TimeDelta::seconds(1)).date_naive()
}

/// Joins hourly values into one; no datapoint or a NaN is no value.
fn as_one_day(series: &Series, join: impl Fn(f64, f64) -> f64) -> Fact<Daily> {
    series.clone().map(|points| {
        let sum: f64 = points.iter().map(|(_, value)| *value).sum();
        let joined = join(sum, points.len() as f64);
        [(!points.is_empty()).then_some(joined)].into_iter().collect()
    })
}
