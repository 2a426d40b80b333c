//! Faults by schedule: which calls go wrong, when, and how.
//!
//! A fault names the calls that it meets and what happens to them. Every fault counts the calls that it really hit, so
//! that a test can prove that the fault was reached and not merely planned.

use crate::cloud::{CloudError, ErrorKind};
use crate::domain::Instant;
use crate::domain::place::{AccountId, Region};

use super::metrics::Span;

/// One scheduled fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The API operation, for example `DescribeInstances`; every operation when empty.
    pub operation: Option<String>,
    /// Only in this account.
    pub account: Option<AccountId>,
    /// Only in this Region.
    pub region: Option<Region>,
    /// Only calls about this id.
    pub target: Option<String>,
    /// Only in this form.
    pub form: Option<Form>,
    /// Only in this time.
    pub span: Span,
    /// Only these of the matching calls, counted from 1; all when empty.
    pub calls: Vec<u64>,
    /// What happens.
    pub effect: Effect,
}

/// The form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A page of a listing.
    List,
    /// One resource by id.
    Single,
    /// Resources by tag.
    Tagged,
    /// Metrics, costs, identity.
    Other,
    /// A change.
    Change,
    /// A question whether a change would be permitted.
    DryRun,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// `RequestLimitExceeded`; nothing is done.
    Throttle,
    /// `UnauthorizedOperation`; nothing is done.
    Deny,
    /// `RequestExpired`: the credentials ended; nothing is done.
    Expired,
    /// Rejected with this EC2 code; nothing is done.
    Reject(String),
    /// No answer, and nothing was done.
    Timeout,
    /// No answer, though a change was made.
    TimeoutAfterEffect,
    /// `InternalError`, a 500: nothing was done, but the caller cannot know.
    Unavailable,
    /// This page of a listing and all after it break off, counted from 1.
    CutPage(u64),
    /// This page's token is refused, counted from 2.
    RefuseToken(u64),
    /// This page is empty and has a next one, counted from 1.
    EmptyPage(u64),
    /// This page of a listing comes a second time as the one after it, counted from 1.
    RepeatPage(u64),
    /// Resources come without their tag set.
    MissingTags,
    /// A listing lacks this many percent of its resources, chosen by the world's seed, and does not say so.
    Shorter(u32),
    /// A reader does not see these ids.
    Hide(Vec<String>),
    /// Series come without any datapoint.
    NoDatapoints,
    /// Series come back partial, so they are unknown.
    PartialMetrics,
    /// Series have their datapoints, and each of them is no number.
    NanMetrics,
    /// Datapoints of the last hours, so many, have not arrived yet.
    LateMetrics(u32),
    /// Cost Explorer answers, and has no rows.
    NoCosts,
    /// Snapshots begun in this time end in `error`.
    SnapshotFails,
    /// Snapshots begun in this time complete with another size than their volume's.
    SnapshotOfAnotherSize,
    /// Snapshots begun in this time end in `recoverable`.
    SnapshotRecoverable,
    /// Snapshots begun in this time take this many hours.
    SnapshotHours(u32),
    /// The credentials turn out to be this account's.
    WrongIdentity(#[schemars(with = "String")] AccountId),
}

/// One call, as faults see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub operation: &'a str,
    pub account: &'a AccountId,
    pub region: Option<&'a Region>,
    pub target: Option<&'a str>,
    pub form: Form,
    pub page: u64,
    pub at: Instant,
}

/// The schedule with its counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    planned: Vec<Planned>,
}

#[derive(Clone, Debug)]
struct Planned {
    fault: Fault,
    met: u64,
    hits: u64,
}

impl Fault {
    /// A fault that meets every call of one operation at any time.
    pub fn on(operation: &str, effect: Effect) -> Fault {
        Fault {
            operation: Some(operation.into()),
            account: None,
            region: None,
            target: None,
            form: None,
            span: Span::default(),
            calls: Vec::new(),
            effect,
        }
    }

    /// The same, for the n-th matching call alone, counted from 1.
    pub fn nth(self, call: u64) -> Fault {
        Fault { calls: vec![call], ..self }
    }

    fn meets(&self, request: &Request<'_>) -> bool {
        self.operation.as_deref().is_none_or(|operation| operation == request.operation)
            && self.account.as_ref().is_none_or(|account| account == request.account)
            && self.region.as_ref().is_none_or(|region| Some(region) == request.region)
            && self.target.as_deref().is_none_or(|target| Some(target) == request.target)
            && self.form.is_none_or(|form| form == request.form)
            && self.span.holds(request.at)
            && self.effect.concerns(request)
    }
}

impl Effect {
    /// Whether the effect can show on such a call at all; a call that it cannot touch is not counted as hit.
    fn concerns(&self, request: &Request<'_>) -> bool {
        let snapshots = || matches!(request.operation, "CreateSnapshot" | "CreateSnapshots");
        match self {
            Effect::Throttle | Effect::Deny | Effect::Expired | Effect::Reject(_) => true,
            Effect::Timeout | Effect::TimeoutAfterEffect | Effect::Unavailable => true,
            Effect::CutPage(page) => request.form == Form::List && request.page >= *page,
            Effect::RefuseToken(page) | Effect::EmptyPage(page) | Effect::RepeatPage(page) => {
                request.form == Form::List && request.page == *page
            }
            Effect::MissingTags | Effect::Hide(_) => {
                matches!(request.form, Form::List | Form::Single | Form::Tagged)
            }
            Effect::Shorter(_) => request.form == Form::List,
            Effect::NoDatapoints | Effect::PartialMetrics | Effect::NanMetrics | Effect::LateMetrics(_) => {
                request.operation == "GetMetricData"
            }
            Effect::NoCosts => request.operation == "GetCostAndUsage",
            Effect::SnapshotFails
            | Effect::SnapshotHours(_)
            | Effect::SnapshotOfAnotherSize
            | Effect::SnapshotRecoverable => request.form == Form::Change && snapshots(),
            Effect::WrongIdentity(_) => request.operation == "GetCallerIdentity",
        }
    }

    /// The error that a call gets instead of an answer; `None` for effects that change an answer.
    pub(super) fn error(&self, operation: &str) -> Option<CloudError> {
        let service = service_of(operation);
        let error = |kind, code: Option<&str>, message: &str| CloudError::new(kind, service, operation, code, message);
        Some(match self {
            Effect::Throttle => {
                let code = if service == "ec2" { "RequestLimitExceeded" } else { "ThrottlingException" };
                error(ErrorKind::Throttled, Some(code), "Request limit exceeded.")
            }
            Effect::Deny => denied(operation),
            Effect::Expired => error(ErrorKind::Denied, Some("RequestExpired"), "Request has expired."),
            Effect::Reject(code) => error(ErrorKind::Rejected, Some(code), "The request was rejected."),
            Effect::Timeout | Effect::TimeoutAfterEffect => {
                error(ErrorKind::Uncertain, None, "no answer within the time limit")
            }
            Effect::Unavailable => {
                error(ErrorKind::Uncertain, Some("InternalError"), "An internal error has occurred.")
            }
            Effect::CutPage(_) => error(ErrorKind::Uncertain, None, "the answer broke off before its end"),
            Effect::RefuseToken(_) => bad_token(operation),
            _ => return None,
        })
    }
}

impl Faults {
    pub fn new(faults: Vec<Fault>) -> Faults {
        Faults { planned: faults.into_iter().map(|fault| Planned { fault, met: 0, hits: 0 }).collect() }
    }

    pub fn add(&mut self, fault: Fault) {
        self.planned.push(Planned { fault, met: 0, hits: 0 });
    }

    /// The effects that hit this call, in the order of the schedule. Counts them.
    pub fn hitting(&mut self, request: &Request<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for planned in &mut self.planned {
            if planned.fault.meets(request) {
                planned.met += 1;
                if planned.fault.calls.is_empty() || planned.fault.calls.contains(&planned.met) {
                    planned.hits += 1;
                    effects.push(planned.fault.effect.clone());
                }
            }
        }
        effects
    }

    /// How many calls each fault has hit so far, in the order of the schedule.
    pub fn hits(&self) -> Vec<u64> {
        self.planned.iter().map(|planned| planned.hits).collect()
    }
}

/// The service that an operation belongs to.
pub(super) fn service_of(operation: &str) -> &'static str {
    match operation {
        "GetMetricData" => "cloudwatch",
        "GetCostAndUsage" => "ce",
        "GetCallerIdentity" => "sts",
        "DescribeKey" => "kms",
        _ => "ec2",
    }
}

pub(super) fn denied(operation: &str) -> CloudError {
    let service = service_of(operation);
    let code = if service == "ec2" { "UnauthorizedOperation" } else { "AccessDenied" };
    let message = "You are not authorized to perform this operation.";
    CloudError::new(ErrorKind::Denied, service, operation, Some(code), message)
}

pub(super) fn bad_token(operation: &str) -> CloudError {
    let message = "The specified pagination token is not valid or is expired.";
    CloudError::new(ErrorKind::Rejected, "ec2", operation, Some("InvalidPaginationToken"), message)
}
