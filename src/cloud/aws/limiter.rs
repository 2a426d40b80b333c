//! Leaves four fifths of an account's request budget to everybody else (safety.md, H33).
//!
//! EC2 counts requests for each API, account and Region with a token bucket, and the production's own automation draws
//! from the same one. This limiter holds a bucket of a fifth of that size for each, and who finds it empty waits his
//! turn in the order of arrival: a long scan is slower, and never louder. A throttled answer halves the rate and
//! empties the bucket; answers that are not throttled bring the rate back bit by bit.
//!
//! The adapter's clients ask for every attempt that reads, retries included ([`Turnstile`]), the actor before each
//! change. Where tokens are there nobody waits. Reads and changes are different APIs, so neither takes the other's. It
//! knows nothing of what other programs use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::{
    IdentityFuture, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;

use super::errors;
use crate::clock::Clock;

/// Our part of a documented bucket (safety.md, H33: at most 20 %).
const SHARE: f64 = 0.2;

/// After throttling no rate falls below this part of its usual one.
const SLOWEST: f64 = 1.0 / 16.0;

/// How much of the usual rate an answer brings back after throttling.
const BACK: f64 = 1.0 / 32.0;

/// A token bucket as AWS documents it: its size, and the tokens that come back in a second.
type Documented = (f64, f64);

/// The documented bucket of an operation, for one account and Region (docs.aws.amazon.com/ec2/latest/devguide,
/// "Request throttling"; CloudWatch's and STS's service quotas; read 2026-11). Cost Explorer documents none.
fn documented(service: &str, operation: &str) -> Documented {
    match (service, operation) {
        // Neither filtered nor paged.
        ("EC2", "DescribeAddresses") => (50.0, 10.0),
        ("EC2", name) if name.starts_with("Describe") || name.starts_with("Get") || name.starts_with("List") => {
            (100.0, 20.0)
        }
        ("EC2", "StartInstances" | "RunInstances") => (5.0, 2.0),
        ("EC2", _) => (50.0, 5.0),
        ("CloudWatch", _) => (50.0, 50.0),
        ("STS", _) => (100.0, 100.0),
        // KMS allows 2,000 DescribeKey a second; nobody needs to ask so often.
        ("KMS", _) => (100.0, 100.0),
        _ => (5.0, 5.0),
    }
}

/// The buckets of one reader or actor.
#[derive(Debug)]
pub(super) struct Limiter {
    clock: Clock,
    buckets: Mutex<HashMap<(String, String), Arc<Bucket>>>,
}

/// One bucket, and the queue before it.
#[derive(Debug)]
struct Bucket {
    queue: tokio::sync::Mutex<()>,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// Most tokens, at least one.
    size: f64,
    /// Tokens a second while nothing is throttled.
    usual: f64,
    /// Tokens a second now.
    rate: f64,
    tokens: f64,
    at: Duration,
}

impl Limiter {
    pub(super) fn new(clock: Clock) -> Limiter {
        Limiter { clock, buckets: Mutex::default() }
    }

    /// Returns when this request may leave. `scope` is the account and Region, `service` and `operation` are the SDK's
    /// names. Cancelling the wait takes no token.
    pub(super) async fn turn(&self, scope: &str, service: &str, operation: &str) {
        self.turn_that_leaves(0.0, scope, service, operation).await;
    }

    /// The turn of a question whether a change is permitted: it leaves a token for the change itself, which therefore
    /// need not wait between its last check and its call.
    pub(super) async fn turn_of_question(&self, scope: &str, service: &str, operation: &str) {
        self.turn_that_leaves(1.0, scope, service, operation).await;
    }

    async fn turn_that_leaves(&self, rest: f64, scope: &str, service: &str, operation: &str) {
        let bucket = self.bucket(scope, service, operation);
        // Whoever waits holds the queue, so that requests leave one after the other in the order in which they came.
        let _place = bucket.queue.lock().await;
        loop {
            let wait = bucket.level().take(rest, self.clock.monotonic());
            match wait {
                None => return,
                Some(wait) => {
                    tracing::debug!(operation, ?wait, "waiting so that others keep their part of the request budget");
                    self.clock.sleep(wait).await;
                }
            }
        }
    }

    /// What an answer says about the rate.
    pub(super) fn answered(&self, scope: &str, service: &str, operation: &str, throttled: bool) {
        let bucket = self.bucket(scope, service, operation);
        let mut level = bucket.level();
        if throttled {
            level.slow_down();
            tracing::warn!(operation, scope, rate = level.rate, "throttled: asking more slowly");
        } else {
            level.recover();
        }
    }

    fn bucket(&self, scope: &str, service: &str, operation: &str) -> Arc<Bucket> {
        // A poisoned lock only means that another task died between two whole states of the map.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (scope.to_owned(), operation.to_owned());
        let now = self.clock.monotonic();
        buckets.entry(key).or_insert_with(|| Arc::new(Bucket::new(documented(service, operation), now))).clone()
    }
}

impl Bucket {
    fn new((size, rate): Documented, now: Duration) -> Bucket {
        let (size, usual) = ((size * SHARE).max(1.0), rate * SHARE);
        Bucket {
            queue: tokio::sync::Mutex::default(),
            level: Mutex::new(Level { size, usual, rate: usual, tokens: size, at: now }),
        }
    }

    fn level(&self) -> std::sync::MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level {
    /// Takes a token and leaves `rest`, as far as the bucket can hold so many; or says how long until that is possible.
    fn take(&mut self, rest: f64, now: Duration) -> Option<Duration> {
        self.fill(now);
        let needed = (1.0 + rest).min(self.size);
        // Rounding must not make anybody wait for the last millionth of a token.
        if self.tokens >= needed - 1e-6 {
            self.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((needed - self.tokens) / self.rate).max(Duration::from_millis(1)))
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.size);
        self.at = now;
    }

    fn slow_down(&mut self) {
        self.rate = (self.rate / 2.0).max(self.usual * SLOWEST);
        self.tokens = self.tokens.min(0.0);
    }

    fn recover(&mut self) {
        self.rate = (self.rate + self.usual * BACK).min(self.usual);
    }
}

/// Stands before a client's cache of credentials. The SDK asks there once for each attempt, right before it signs, and
/// it is the one place of an attempt that may wait.
#[derive(Debug)]
pub(super) struct Turnstile {
    pub(super) behind: SharedIdentityCache,
    pub(super) limiter: Arc<Limiter>,
    pub(super) scope: String,
}

impl ResolveCachedIdentity for Turnstile {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        cfg: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move {
            if let Some(metadata) = cfg.load::<Metadata>() {
                self.limiter.turn(&self.scope, metadata.service(), metadata.name()).await;
            }
            self.behind.resolve_cached_identity(resolver, components, cfg).await
        })
    }

    fn validate_base_client_config(&self, rest: &RuntimeComponentsBuilder, cfg: &ConfigBag) -> Result<(), BoxError> {
        self.behind.validate_base_client_config(rest, cfg)
    }

    fn validate_final_config(&self, rest: &RuntimeComponents, cfg: &ConfigBag) -> Result<(), BoxError> {
        self.behind.validate_final_config(rest, cfg)
    }
}

/// Tells the limiter how each attempt was answered.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) limiter: Arc<Limiter>,
    pub(super) scope: String,
}

impl Intercept for Listening {
    fn name(&self) -> &'static str {
        "costwarden-limiter"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        let throttled = !answer.status().is_success() && answer.body().bytes().is_some_and(errors::names_throttling);
        if let Some(metadata) = cfg.load::<Metadata>() {
            self.limiter.answered(&self.scope, metadata.service(), metadata.name(), throttled);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    const HERE: &str = "111122223333/eu-central-1";

    fn limiter() -> Limiter {
        Limiter::new(Clock::virtual_at("2026-11-23T02:00:00Z".parse().unwrap()))
    }

    /// When each of so many requests left, one after the other.
    async fn leave(limiter: &Limiter, service: &str, operation: &str, count: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..count {
            limiter.turn(HERE, service, operation).await;
            times.push(limiter.clock.monotonic());
        }
        times
    }

    /// Most requests in any second.
    fn peak(times: &[Duration]) -> usize {
        let second = Duration::from_secs(1);
        let from = |from: Duration| times.iter().filter(|at| **at >= from && **at < from + second).count();
        times.iter().map(|at| from(*at)).max().unwrap_or(0)
    }

    #[tokio::test]
    async fn h33_no_second_has_more_than_a_fifth_of_what_aws_documents() {
        for (service, operation, tokens, refill) in [
            ("EC2", "DescribeInstances", 100.0, 20.0),
            ("EC2", "DescribeAddresses", 50.0, 10.0),
            ("EC2", "StopInstances", 50.0, 5.0),
            ("EC2", "StartInstances", 5.0, 2.0),
            ("CloudWatch", "GetMetricData", 50.0, 50.0),
        ] {
            let limiter = limiter();
            let times = leave(&limiter, service, operation, 600).await;
            let limit = (tokens + refill) * SHARE;
            assert!(peak(&times) as f64 <= limit, "{operation}: {} in a second, {limit} are ours", peak(&times));
            let took = (times[599] - times[0]).as_secs_f64();
            let fair = (600.0 - (tokens * SHARE).max(1.0)) / (refill * SHARE);
            assert!((took - fair).abs() < 2.0, "{operation}: it uses its whole part: {took} seconds, {fair} expected");
        }
    }

    #[tokio::test]
    async fn h33_nobody_waits_while_tokens_are_there() {
        let limiter = limiter();
        let begun = limiter.clock.monotonic();
        // A page of a thousand instances takes the cloud longer than a token takes to come back.
        for _ in 0..500 {
            limiter.turn(HERE, "EC2", "DescribeInstances").await;
            limiter.clock.sleep(Duration::from_millis(250)).await;
        }
        assert_eq!(limiter.clock.monotonic() - begun, Duration::from_millis(500 * 250), "not a moment was added");
    }

    #[tokio::test]
    async fn h33_requests_side_by_side_share_one_bucket_and_other_places_have_their_own() {
        let limiter = limiter();
        let times = Mutex::new(Vec::new());
        join_all((0..200).map(|_| async {
            limiter.turn(HERE, "EC2", "DescribeVolumes").await;
            times.lock().unwrap().push(limiter.clock.monotonic());
        }))
        .await;
        let times = times.into_inner().unwrap();
        assert!(times.is_sorted() && peak(&times) <= 24, "{}", peak(&times));
        let now = limiter.clock.monotonic();
        limiter.turn("111122223333/us-east-1", "EC2", "DescribeVolumes").await;
        limiter.turn("444455556666/eu-central-1", "EC2", "DescribeVolumes").await;
        limiter.turn(HERE, "EC2", "DescribeInstances").await;
        limiter.turn(HERE, "EC2", "DeleteVolume").await;
        assert_eq!(limiter.clock.monotonic(), now, "another Region, account or API has tokens of its own");
    }

    #[tokio::test]
    async fn h33_a_change_that_was_asked_about_does_not_wait_between_its_check_and_its_call() {
        let limiter = limiter();
        for _ in 0..100 {
            limiter.turn_of_question(HERE, "EC2", "DeleteVolume").await;
            let asked = limiter.clock.monotonic();
            limiter.turn(HERE, "EC2", "DeleteVolume").await;
            assert_eq!(limiter.clock.monotonic(), asked);
        }
        assert!(limiter.clock.monotonic() > Duration::ZERO);
    }

    #[tokio::test]
    async fn h33_throttling_makes_it_slower_and_answers_bring_the_rate_back() {
        let limiter = limiter();
        let each = |times: &[Duration]| {
            let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
            gaps.iter().sum::<f64>() / gaps.len() as f64
        };
        let mut before = 0.0;
        for _ in 0..3 {
            limiter.answered(HERE, "EC2", "DescribeInstances", true);
            let gap = each(&leave(&limiter, "EC2", "DescribeInstances", 5).await);
            assert!(gap > before * 1.9, "each throttled answer halves the rate: {gap} after {before}");
            before = gap;
        }
        assert!((before - 2.0).abs() < 0.1, "an eighth of four a second: {before}");
        for _ in 0..20 {
            limiter.answered(HERE, "EC2", "DescribeInstances", true);
        }
        let slowest = each(&leave(&limiter, "EC2", "DescribeInstances", 3).await);
        assert!((slowest - 4.0).abs() < 0.1, "it never stands still: {slowest}");
        for _ in 0..32 {
            limiter.answered(HERE, "EC2", "DescribeInstances", false);
        }
        leave(&limiter, "EC2", "DescribeInstances", 1).await;
        let again = each(&leave(&limiter, "EC2", "DescribeInstances", 5).await);
        assert!((again - 0.25).abs() < 0.01, "four a second again: {again}");
    }
}
