//! Counts requests and their price, compares clocks, and refuses answers that did not arrive whole.
//!
//! One meter per reader or actor, hooked into every client; the SDK calls it for each call and each attempt. Prices
//! are AWS's list prices: 0.01 dollars a request of Cost Explorer, 0.01 dollars for 1,000 metrics asked for with
//! GetMetricData, 0.03 dollars for 10,000 requests of KMS; describing in EC2 and STS are free. Attempts are counted as requests when money is concerned, because a
//! retry is billed as well. Requests for a role's credentials are the SDK's own and are not counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextRef,
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, TimeDelta};

use crate::clock::Clock;
use crate::cloud::CloudClock;
use crate::domain::Instant;
use crate::domain::money::Usd;
use crate::domain::scan::RequestCount;

/// One page of Cost Explorer: 0.01 dollars (aws.amazon.com/aws-cost-management/pricing, read 2026-11).
const COST_EXPLORER_PAGE: Usd = Usd(10_000);

/// One metric asked for with GetMetricData: 0.01 dollars for 1,000 (aws.amazon.com/cloudwatch/pricing, read
/// 2026-11).
const METRIC: Usd = Usd(10);

/// One request of KMS: 0.03 dollars for 10,000 (aws.amazon.com/kms/pricing, read 2026-11).
const KEY: Usd = Usd(3);

/// Requests by service and operation since the start.
#[derive(Debug, Default)]
pub(super) struct Meter {
    counts: Mutex<BTreeMap<(&'static str, String), Tally>>,
    clock: Mutex<Option<CloudClock>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: u64,
    attempts: u64,
    metrics: u64,
}

/// The meter as the SDK's clients hold it.
#[derive(Clone, Debug)]
pub(super) struct Metering(pub(super) Arc<Meter>);

impl Meter {
    /// One row per operation, sorted by service and operation.
    pub(super) fn counts(&self) -> Vec<RequestCount> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |((service, operation), tally): (&(&'static str, String), &Tally)| RequestCount {
            service: (*service).into(),
            operation: operation.clone(),
            count: tally.calls,
            retries: tally.attempts.saturating_sub(tally.calls),
            usd: price(service, operation, *tally),
        };
        counts.iter().map(row).collect()
    }

    /// The cloud's clock beside ours, by the latest answer.
    pub(super) fn clock(&self) -> Option<CloudClock> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the `Date` of an answer that came at `now`. A date that cannot be read says nothing.
    fn saw_date(&self, date: &str, now: Instant) {
        let Ok(theirs) = DateTime::parse_from_rfc2822(date) else { return };
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = TimeDelta::seconds(theirs.timestamp() - now.timestamp());
        *clock = Some(CloudClock { ahead, readings: clock.map_or(0, |clock| clock.readings) + 1 });
    }

    /// Notes that one request asks for so many metrics.
    pub(super) fn add_metrics(&self, count: usize) {
        self.change("cloudwatch", "GetMetricData", |tally| tally.metrics += count as u64);
    }

    fn change(&self, service: &'static str, operation: &str, change: impl FnOnce(&mut Tally)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(counts.entry((service, operation.to_owned())).or_default());
    }

    fn note(&self, cfg: &ConfigBag, change: impl FnOnce(&mut Tally)) {
        if let Some(metadata) = cfg.load::<Metadata>() {
            self.change(short(metadata.service()), metadata.name(), change);
        }
    }
}

impl Intercept for Metering {
    fn name(&self) -> &'static str {
        "costwarden-meter"
    }

    /// Once a call; before this hook the SDK does not say yet which operation it is.
    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.note(cfg, |tally| tally.calls += 1);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.note(cfg, |tally| tally.attempts += 1);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.0.saw_date(date, Clock::System.now());
        }
        Ok(())
    }

    /// The SDK's XML reader takes a document that just stops for one that ended: half a page would read as a whole
    /// one with fewer resources and no next page.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match context.response().body().bytes() {
            Some(body) if is_cut_xml(body) => Err("the XML answer stops before its end".into()),
            _ => Ok(()),
        }
    }
}

/// Our short name of a service.
fn short(service: &str) -> &'static str {
    match service {
        "EC2" => "ec2",
        "CloudWatch" => "cloudwatch",
        "Cost Explorer" => "ce",
        "STS" => "sts",
        "KMS" => "kms",
        _ => "aws",
    }
}

fn price(service: &str, operation: &str, tally: Tally) -> Option<Usd> {
    match (service, operation) {
        ("ce", _) => Some(COST_EXPLORER_PAGE.scaled(i64::try_from(tally.attempts).ok()?, 1)),
        ("cloudwatch", "GetMetricData") => Some(METRIC.scaled(i64::try_from(tally.metrics).ok()?, 1)),
        ("kms", _) => Some(KEY.scaled(i64::try_from(tally.attempts).ok()?, 1)),
        ("ec2" | "sts", _) => Some(Usd::ZERO),
        _ => None,
    }
}

/// True for an XML document whose last tag does not close its first.
fn is_cut_xml(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if !body.starts_with(b"<") {
        return false;
    }
    let Some((root, rest)) = root(body) else { return true };
    let closed = body.ends_with(&[b"</", root, b">"].concat());
    let empty = rest.ends_with(b"/>") && !rest.contains(&b'<');
    !closed && !empty
}

/// The name of the first element past the declaration and comments, and what follows the name.
fn root(mut body: &[u8]) -> Option<(&[u8], &[u8])> {
    while body.starts_with(b"<?") || body.starts_with(b"<!") {
        let end: &[u8] = if body.starts_with(b"<!--") { b"-->" } else { b">" };
        let at = body.windows(end.len()).position(|window| window == end)?;
        body = body[at + end.len()..].trim_ascii_start();
    }
    let rest = body.strip_prefix(b"<")?;
    let length = rest.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))?;
    Some(rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_stops_is_told_from_one_that_ends() {
        let whole = br#"<?xml version="1.0"?><!-- a > b --><A xmlns="x"><b>1</b></A>
"#;
        assert!(!is_cut_xml(whole));
        for cut in 1..whole.trim_ascii_end().len() {
            assert!(is_cut_xml(&whole[..cut]), "cut after {cut} bytes");
        }
        assert!(!is_cut_xml(b"<A/>"));
        assert!(is_cut_xml(b"<A><b/>"));
        assert!(!is_cut_xml(br#"{"json": true}"#));
        assert!(!is_cut_xml(b""));
    }

    #[test]
    fn the_clouds_clock_is_compared_to_the_second_and_a_broken_date_says_nothing() {
        let meter = Meter::default();
        let now = "2026-11-23T09:00:00.900Z".parse().unwrap();
        meter.saw_date("yesterday", now);
        assert_eq!(meter.clock(), None);
        meter.saw_date("Mon, 23 Nov 2026 09:10:01 GMT", now);
        assert_eq!(meter.clock(), Some(CloudClock { ahead: TimeDelta::seconds(601), readings: 1 }));
        meter.saw_date("Mon, 23 Nov 2026 08:59:00 GMT", now);
        meter.saw_date("", now);
        assert_eq!(meter.clock(), Some(CloudClock { ahead: TimeDelta::seconds(-60), readings: 2 }));
    }

    #[test]
    fn money_is_counted_for_the_two_metered_operations() {
        let meter = Meter::default();
        meter.add_metrics(500);
        meter.change("cloudwatch", "GetMetricData", |tally| (tally.calls, tally.attempts) = (1, 2));
        meter.change("ce", "GetCostAndUsage", |tally| (tally.calls, tally.attempts) = (2, 3));
        meter.change("ec2", "DescribeVolumes", |tally| (tally.calls, tally.attempts) = (4, 4));
        let rows: Vec<(String, u64, u64, Option<Usd>)> =
            meter.counts().into_iter().map(|row| (row.operation, row.count, row.retries, row.usd)).collect();
        assert_eq!(
            rows,
            [
                ("GetCostAndUsage".into(), 2, 1, Some(Usd(30_000))),
                ("GetMetricData".into(), 1, 1, Some(Usd(5_000))),
                ("DescribeVolumes".into(), 4, 0, Some(Usd::ZERO)),
            ]
        );
    }
}
