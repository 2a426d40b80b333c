//! The reading port of the simulated account.
//!
//! Answers what a reader would see: behind the truth by the visibility lag, in pages, with whatever the fault schedule
//! does to this call. Every call is written to the account's own log.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::cloud::{
    CloudClock, CloudError, CloudRead, CostGroupBy, CostQuery, ErrorKind, Identity, KeyState, METRICS_PER_CALL, Page,
};
use crate::domain::Instant;
use crate::domain::budget::{CostGroup, CostRow};
use crate::domain::fact::Fact;
use crate::domain::launch::{Launch, TypeFacts};
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind, Partition, Place, ResourceKey};
use crate::domain::resource::{Detail, Resource, not_asked};
use crate::domain::scan::RequestCount;
use crate::domain::usage::{MetricQuery, Series};

use super::act::identity_of;
use super::faults::{Effect, Form, Request, bad_token, denied, service_of};
use super::log::{CallRecord, Outcome, Side};
use super::rules::{malformed, not_found};
use super::state::State;
use super::{SimCloud, hash, metrics};

/// What a listing cannot tell about an instance.
const NOT_LISTED: &str = "a listing does not tell; only a fresh single read does";
/// GetMetricData's price for one metric asked for: 0.01 dollars per 1,000.
const USD_PER_METRIC: Usd = Usd(10);
/// Cost Explorer's price for one request: 0.01 dollars.
const USD_PER_COST_REQUEST: Usd = Usd(10_000);
/// KMS's price for one request, rounded to a millionth: 0.03 dollars per 10,000.
const USD_PER_KEY: Usd = Usd(3);

/// Reads the simulated account. Clones share their request count.
#[derive(Clone, Debug)]
pub struct SimReader {
    cloud: SimCloud,
    requests: Arc<Mutex<Vec<RequestCount>>>,
}

impl SimReader {
    pub(super) fn new(cloud: SimCloud) -> SimReader {
        SimReader { cloud, requests: Arc::default() }
    }

    fn count(&self, operation: &str, calls: u64, usd: Usd) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match requests.iter_mut().find(|row| row.operation == operation) {
            Some(row) => {
                row.count += calls;
                row.usd = row.usd.map(|sum| sum + usd);
            }
            None => requests.push(RequestCount {
                service: service_of(operation).into(),
                operation: operation.into(),
                count: calls,
                retries: 0,
                usd: Some(usd),
            }),
        }
    }

    /// Counts one request, lets the faults and the log have it, and answers it by `answer`.
    fn ask<T>(
        &self,
        call: Asked<'_>,
        usd: Usd,
        answer: impl FnOnce(&mut State, &[Effect]) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        self.count(call.operation, 1, usd);
        self.cloud.with(|state| {
            let request = Request {
                operation: call.operation,
                account: call.account,
                region: call.place.map(|place| &place.region),
                target: call.target,
                form: call.form,
                page: call.page,
                at: state.at,
            };
            let effects = state.faults.hitting(&request);
            let failure = effects.iter().find_map(|effect| effect.error(call.operation));
            let result = match failure {
                Some(error) => Err(error),
                None if !state.accounts.contains(call.account) => Err(denied(call.operation)),
                None => answer(state, &effects),
            };
            state.calls.push(CallRecord {
                at: state.at,
                side: Side::Reader,
                account: call.account.clone(),
                region: call.place.map(|place| place.region.clone()),
                operation: call.operation.into(),
                target: call.target.map(Into::into),
                args: call.args,
                dry_run: false,
                outcome: Outcome::of(&result),
                effective: false,
                overwrote: Vec::new(),
                created: Vec::new(),
            });
            result
        })
    }
}

/// One request, before it is answered.
struct Asked<'a> {
    operation: &'a str,
    account: &'a AccountId,
    place: Option<&'a Place>,
    target: Option<&'a str>,
    form: Form,
    page: u64,
    args: String,
}

impl<'a> Asked<'a> {
    fn of_place(operation: &'a str, place: &'a Place, form: Form, args: String) -> Asked<'a> {
        Asked { operation, account: &place.account, place: Some(place), target: None, form, page: 1, args }
    }

    fn of_account(operation: &'a str, account: &'a AccountId, args: String) -> Asked<'a> {
        Asked { operation, account, place: None, target: None, form: Form::Other, page: 1, args }
    }
}

#[async_trait]
impl CloudRead for SimReader {
    async fn identity(&self, account: &AccountId) -> Result<Identity, CloudError> {
        self.ask(Asked::of_account("GetCallerIdentity", account, String::new()), Usd::ZERO, |_, effects| {
            Ok(identity_of(account, effects, "reader"))
        })
    }

    async fn list(&self, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
        let operation = describe_operation(partition.kind);
        let seed = self.cloud.with(|state| state.seed);
        let position = cursor.map(|cursor| Token::read(cursor, partition, seed));
        let page = position.as_ref().map_or(1, |position| position.as_ref().map_or(0, |token| token.page));
        let asked = Asked { page, ..Asked::of_place(operation, &partition.place, Form::List, format!("page {page}")) };
        self.ask(asked, Usd::ZERO, |state, effects| {
            let after = match position {
                None => String::new(),
                Some(Some(token)) => token.after,
                Some(None) => return Err(bad_token(operation)),
            };
            Ok(list_page(state, partition, &after, page, effects))
        })
    }

    async fn describe(&self, key: &ResourceKey) -> Result<Resource, CloudError> {
        let operation = describe_operation(key.kind());
        let asked = Asked {
            target: Some(&key.id),
            ..Asked::of_place(operation, &key.partition.place, Form::Single, String::new())
        };
        let mut resource = self.ask(asked, Usd::ZERO, |state, effects| {
            let refused = |refusal: super::rules::Refusal| {
                CloudError::new(refusal.kind, "ec2", operation, Some(refusal.code), &refusal.message)
            };
            if !key.id.starts_with(key.kind().id_prefix()) {
                return Err(refused(malformed(key.kind(), &key.id)));
            }
            let seen = state.entries.get(key).and_then(|entry| entry.seen(state.at));
            let seen = seen.filter(|resource| !hidden(resource, effects));
            let resource = seen.ok_or_else(|| refused(not_found(key.kind(), &key.id)))?;
            Ok(not_asked_for(without_tags_if(effects, resource)))
        })?;
        // EC2 tells protection by attribute, one request each.
        if let Detail::Instance(instance) = &mut resource.detail {
            for (attribute, flag) in [
                ("disableApiTermination", &mut instance.termination_protected),
                ("disableApiStop", &mut instance.stop_protected),
            ] {
                let asked = Asked {
                    target: Some(&key.id),
                    ..Asked::of_place(
                        "DescribeInstanceAttribute",
                        &key.partition.place,
                        Form::Single,
                        attribute.to_owned(),
                    )
                };
                if let Err(error) = self.ask(asked, Usd::ZERO, |_, _| Ok(())) {
                    *flag = Fact::unknown(&error.to_string());
                }
            }
        }
        Ok(resource)
    }

    async fn launch(&self, key: &ResourceKey) -> Result<Launch, CloudError> {
        let operation = describe_operation(key.kind());
        let place = &key.partition.place;
        let asked =
            Asked { target: Some(&key.id), ..Asked::of_place(operation, place, Form::Single, "launch".to_owned()) };
        self.ask(asked, Usd::ZERO, |state, effects| {
            let seen = state.entries.get(key).and_then(|entry| entry.seen(state.at));
            let seen = seen.filter(|resource| !hidden(resource, effects));
            let instance = seen.as_ref().and_then(Resource::instance).ok_or_else(|| {
                let refusal = not_found(key.kind(), &key.id);
                CloudError::new(refusal.kind, "ec2", operation, Some(refusal.code), &refusal.message)
            })?;
            Ok(state.launch_of(&key.id, instance))
        })
    }

    async fn type_facts(&self, place: &Place, zone: &str, name: &str) -> Result<TypeFacts, CloudError> {
        let asked = Asked::of_place("DescribeInstanceTypes", place, Form::Other, format!("{name} in {zone}"));
        self.ask(asked, Usd::ZERO, |state, _| Ok(state.facts_of(name)))
    }

    async fn metrics(&self, place: &Place, queries: &[MetricQuery]) -> Result<Vec<Series>, CloudError> {
        let args = format!("{} series", queries.len());
        let usd = Usd(USD_PER_METRIC.0 * i64::try_from(queries.len()).unwrap_or(i64::MAX / 1_000));
        self.ask(Asked::of_place("GetMetricData", place, Form::Other, args), usd, |state, effects| {
            if queries.len() > METRICS_PER_CALL {
                let message = format!("{} queries; at most {METRICS_PER_CALL} are accepted", queries.len());
                return Err(CloudError::new(
                    ErrorKind::Rejected,
                    "cloudwatch",
                    "GetMetricData",
                    Some("ValidationError"),
                    &message,
                ));
            }
            Ok(queries.iter().map(|query| series(state, place, query, effects)).collect())
        })
    }

    async fn costs(&self, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
        let args = format!("{} to {} by {:?}", query.from, query.to, query.group_by);
        let asked = Asked::of_account("GetCostAndUsage", account, args);
        self.ask(asked, USD_PER_COST_REQUEST, |state, effects| {
            let none = effects.contains(&Effect::NoCosts);
            Ok(if none { Vec::new() } else { cost_rows(state, account, query) })
        })
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Result<Vec<Resource>, CloudError> {
        let args = format!("{key}={value}");
        self.ask(Asked::of_place("DescribeSnapshots", place, Form::Tagged, args), Usd::ZERO, |state, effects| {
            let partition = place.partition(Kind::Snapshot);
            let now = state.at;
            let seen = state.partition(&partition, "").filter_map(|(_, entry)| entry.seen(now));
            Ok(seen
                .filter(|resource| resource.tag(key) == Some(value) && !hidden(resource, effects))
                .map(|resource| not_asked_for(without_tags_if(effects, resource)))
                .collect())
        })
    }

    async fn particulars(&self, resource: &mut Resource) {
        let key = resource.key.clone();
        let about = |operation| Asked {
            target: Some(&key.id),
            ..Asked::of_place(operation, &key.partition.place, Form::Single, String::new())
        };
        match &mut resource.detail {
            Detail::Volume(volume) => {
                let seen = self.ask(about("DescribeVolumesModifications"), Usd::ZERO, |state, _| Ok(seen(state, &key)));
                volume.modification = told(seen, |seen| seen.volume().map(|own| own.modification.clone()));
            }
            Detail::Snapshot(snapshot) => {
                let image = self.ask(about("DescribeImages"), Usd::ZERO, |state, _| Ok(state.image_of(&key)));
                snapshot.image = match image {
                    Ok(image) => image.into(),
                    Err(error) => Fact::unknown(&error.to_string()),
                };
                let seen = self.ask(about("DescribeLockedSnapshots"), Usd::ZERO, |state, _| Ok(seen(state, &key)));
                snapshot.locked = told(seen, |seen| seen.snapshot().map(|own| own.locked.clone()));
            }
            Detail::Image(image) => {
                let user = self.ask(about("DescribeImageReferences"), Usd::ZERO, |state, _| Ok(state.user_of(&key)));
                image.user = match user {
                    Ok(user) => user.into(),
                    Err(error) => Fact::unknown(&error.to_string()),
                };
                let seen = self.ask(about("DescribeImageAttribute"), Usd::ZERO, |state, _| Ok(seen(state, &key)));
                image.shared = told(seen, |seen| seen.image().map(|own| own.shared.clone()));
            }
            Detail::Instance(_) | Detail::Address(_) => {}
        }
    }

    async fn recycled(&self, snapshot: &ResourceKey) -> Result<Option<Instant>, CloudError> {
        let asked = Asked {
            target: Some(&snapshot.id),
            ..Asked::of_place("ListSnapshotsInRecycleBin", &snapshot.partition.place, Form::Single, String::new())
        };
        self.ask(asked, Usd::ZERO, |state, _| Ok(state.recycled(snapshot)))
    }

    async fn source_of(&self, volume: &ResourceKey) -> Result<Option<String>, CloudError> {
        let place = &volume.partition.place;
        let asked = Asked {
            target: Some(&volume.id),
            ..Asked::of_place("DescribeVolumes", place, Form::Single, "source".to_owned())
        };
        self.ask(asked, Usd::ZERO, |state, _| {
            let mut made = state.tokens.values().filter(|(id, _)| *id == volume.id);
            Ok(made.next().map(|(_, new)| new.snapshot.to_string()))
        })
    }

    async fn key_state(&self, place: &Place, key: &str) -> Result<KeyState, CloudError> {
        let asked = Asked { target: Some(key), ..Asked::of_place("DescribeKey", place, Form::Single, String::new()) };
        self.ask(asked, USD_PER_KEY, |state, _| Ok(KeyState::of(state.key_state(key))))
    }

    fn requests(&self) -> Vec<RequestCount> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        requests.sort_by(|left, right| (&left.service, &left.operation).cmp(&(&right.service, &right.operation)));
        requests
    }

    fn clock(&self) -> Option<CloudClock> {
        self.cloud.with(|state| state.clock)
    }
}

fn describe_operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Instance => "DescribeInstances",
        Kind::Volume => "DescribeVolumes",
        Kind::Snapshot => "DescribeSnapshots",
        Kind::Address => "DescribeAddresses",
        Kind::Image => "DescribeImages",
    }
}

fn list_page(state: &State, partition: &Partition, after: &str, page: u64, effects: &[Effect]) -> Page {
    let next = |after: &str| Some(Token { page: page + 1, after: after.to_owned() }.write(partition, state.seed));
    if effects.iter().any(|effect| matches!(effect, Effect::EmptyPage(_))) {
        return Page { resources: Vec::new(), next: next(after) };
    }
    // DescribeAddresses has no pages.
    let size = if partition.kind == Kind::Address { usize::MAX } else { state.timing.page_size.max(1) };
    let mut rest = state
        .partition(partition, after)
        .filter_map(|(_, entry)| entry.seen(state.at))
        .filter(|resource| !hidden(resource, effects) && !left_out(resource, state.seed, effects));
    let resources: Vec<Resource> =
        rest.by_ref().take(size).map(|resource| as_listed(without_tags_if(effects, resource))).collect();
    if effects.iter().any(|effect| matches!(effect, Effect::RepeatPage(_))) {
        return Page { resources, next: next(after) };
    }
    let next = rest.next().and_then(|_| next(&resources.last()?.key.id));
    Page { resources, next }
}

fn as_listed(mut resource: Resource) -> Resource {
    if let Detail::Instance(instance) = &mut resource.detail {
        instance.termination_protected = Fact::unknown(NOT_LISTED);
        instance.stop_protected = Fact::unknown(NOT_LISTED);
    }
    not_asked_for(resource)
}

/// Without what only `particulars` asks for.
fn not_asked_for(mut resource: Resource) -> Resource {
    match &mut resource.detail {
        Detail::Volume(volume) => volume.modification = not_asked(),
        Detail::Snapshot(snapshot) => (snapshot.image, snapshot.locked) = (not_asked(), not_asked()),
        Detail::Image(image) => (image.user, image.shared) = (not_asked(), not_asked()),
        Detail::Instance(_) | Detail::Address(_) => {}
    }
    resource
}

fn seen(state: &State, key: &ResourceKey) -> Option<Resource> {
    state.entries.get(key).and_then(|entry| entry.seen(state.at))
}

/// A fact about a resource that was asked for by itself.
fn told<T>(seen: Result<Option<Resource>, CloudError>, fact: impl Fn(&Resource) -> Option<Fact<T>>) -> Fact<T> {
    match seen {
        Ok(Some(resource)) => fact(&resource).unwrap_or_else(|| Fact::unknown("it is of another kind")),
        Ok(None) => Fact::unknown("it is not there"),
        Err(error) => Fact::unknown(&error.to_string()),
    }
}

fn hidden(resource: &Resource, effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Hide(ids) if ids.iter().any(|id| **id == *resource.key.id)))
}

fn left_out(resource: &Resource, seed: u64, effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Shorter(percent) => hash::number(seed, &resource.key.id, "shorter", 0) % 100 < u64::from(*percent),
        _ => false,
    })
}

fn without_tags_if(effects: &[Effect], mut resource: Resource) -> Resource {
    if effects.contains(&Effect::MissingTags) {
        resource.tags = Fact::unknown("the answer came without its tag set");
    }
    resource
}

fn series(state: &State, place: &Place, query: &MetricQuery, effects: &[Effect]) -> Series {
    if effects.contains(&Effect::PartialMetrics) {
        return Fact::unknown("CloudWatch called the answer partial");
    }
    if effects.contains(&Effect::NoDatapoints) {
        return Fact::Absent;
    }
    let late = effects.iter().find_map(|effect| match effect {
        Effect::LateMetrics(hours) => Some(chrono::TimeDelta::hours(i64::from(*hours))),
        _ => None,
    });
    let arrived = state.at - late.unwrap_or_default();
    let series = match state.entries.get(&place.partition(Kind::Instance).key(&query.resource)) {
        Some(entry) => metrics::answer(&entry.activity, query, arrived, state.seed),
        None => Fact::Absent,
    };
    if effects.contains(&Effect::NanMetrics) {
        return series.map(|points| points.into_iter().map(|(at, _)| (at, f64::NAN)).collect());
    }
    series
}

fn cost_rows(state: &State, account: &AccountId, query: &CostQuery) -> Vec<CostRow> {
    let today = state.at.date_naive();
    let mut rows: Vec<CostRow> = Vec::new();
    for day in query.from.iter_days().take_while(|day| *day < query.to && *day <= today) {
        for spend in state.spend.iter().filter(|spend| spend.account == *account) {
            let amount = spend.on(day, state.at);
            if amount == Usd::ZERO {
                continue;
            }
            let group = match &query.group_by {
                CostGroupBy::Service => CostGroup::Service(spend.service.clone()),
                CostGroupBy::Tag(key) => {
                    CostGroup::Tag { key: key.clone(), value: spend.tags.get(key).cloned().unwrap_or_default() }
                }
            };
            match rows.iter_mut().find(|row| row.day == day && row.group == group) {
                Some(row) => row.amount = row.amount + amount,
                None => rows.push(CostRow {
                    account: account.clone(),
                    day,
                    group,
                    amount,
                    estimated: is_estimated(day, state.at),
                }),
            }
        }
    }
    rows
}

/// Cost Explorer goes on revising the last days.
fn is_estimated(day: chrono::NaiveDate, now: Instant) -> bool {
    (now.date_naive() - day).num_days() < 2
}

/// A page token: where to go on, sealed so that a made-up or foreign one is refused.
struct Token {
    page: u64,
    after: String,
}

impl Token {
    fn write(&self, partition: &Partition, seed: u64) -> String {
        format!("{}.{}.{:016x}", self.page, self.after, self.seal(partition, seed))
    }

    fn read(text: &str, partition: &Partition, seed: u64) -> Option<Token> {
        let (page, rest) = text.split_once('.')?;
        let (after, seal) = rest.rsplit_once('.')?;
        let token = Token { page: page.parse().ok()?, after: after.to_owned() };
        (format!("{:016x}", token.seal(partition, seed)) == seal).then_some(token)
    }

    fn seal(&self, partition: &Partition, seed: u64) -> u64 {
        hash::number(seed, &partition.to_string(), &self.after, i64::try_from(self.page).unwrap_or(0))
    }
}
