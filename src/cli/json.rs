//! Findings as JSON: one shape for every command that prints them, and for `costwarden schema`.
//!
//! `findings`, `scan` and `schema` use it. Dollars are decimal numbers and `null` where the price is not known, instants
//! RFC 3339 in UTC. A list borrows the findings and makes one element at a time, so nothing is held twice.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::output::SCHEMA_VERSION;
use crate::domain::Instant;
use crate::domain::check::{Confidence, Evidence, Savings, Standing};
use crate::domain::finding::{Action, Finding, Phase, Severity, State};
use crate::domain::money::Usd;
use crate::domain::resource::Tags;

/// What `findings list -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct FindingsDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// When it was asked; phases are those of this instant.
    pub at: Instant,
    /// Worst severity first, then most dollars a month, then id.
    #[schemars(with = "Vec<FindingJson<'a>>")]
    pub findings: Findings<'a>,
}

/// Findings that are made into JSON one by one, with their phase at an instant.
#[derive(Clone, Copy)]
pub struct Findings<'a> {
    /// The findings, in the order in which they are written.
    pub list: &'a [Finding],
    /// The instant.
    pub now: Instant,
}

/// One finding.
#[derive(Serialize, JsonSchema)]
pub struct FindingJson<'a> {
    /// `f-` and 16 hexadecimal digits; derives from resource, policy and rule.
    pub id: &'a str,
    /// The policy's name.
    pub policy: &'a str,
    /// The version of the policy that raised or last confirmed it; `null` for a policy that comes from a file.
    pub policy_version: Option<&'a str>,
    /// The rule's name.
    pub rule: &'a str,
    /// The check's id.
    pub check: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: State,
    /// Where an open finding stands on its way; `null` once it is not open.
    pub phase: Option<Phase>,
    /// What violates.
    pub resource: ResourceJson<'a>,
    /// One sentence.
    pub message: &'a str,
    /// What the policy recommends.
    pub action: Action,
    /// Who is told; `null` when nobody can be, and then nothing is done.
    pub owner: Option<&'a str>,
    /// First time it was seen; never changes.
    pub detected_at: Instant,
    /// Last look that confirmed it.
    pub seen_at: Instant,
    /// When the act falls due; `null` until a notice was delivered.
    pub due_at: Option<Instant>,
    /// When it was closed or remediated.
    pub closed_at: Option<Instant>,
    /// Why it has its state, in words.
    pub reason: &'a str,
    /// Why nothing is done about it although it is violated, in words: not proven yet, reported only, not judged at the
    /// last look, undone by a person.
    pub not_acted_on: Option<&'a str>,
    /// What the bill would drop by.
    pub savings: SavingsJson<'a>,
    /// The figures behind it.
    pub evidence: Vec<EvidenceJson<'a>>,
}

/// The resource of a finding, as it was at the last look. Name and tags are other people's text.
#[derive(Serialize, JsonSchema)]
pub struct ResourceJson<'a> {
    /// For example `vol-0a1b`.
    pub id: &'a str,
    /// For example `storage/volume`.
    pub kind: &'static str,
    /// Twelve digits.
    pub account: &'a str,
    /// For example `eu-central-1`.
    pub region: &'a str,
    /// The `Name` tag, or the id.
    pub name: &'a str,
    /// All tags.
    #[schemars(with = "BTreeMap<String, String>")]
    pub tags: TagsJson<'a>,
}

/// Tags as an object.
pub struct TagsJson<'a>(&'a Tags);

/// What the bill would drop by in a month.
#[derive(Serialize, JsonSchema)]
pub struct SavingsJson<'a> {
    /// Dollars a month; `null` is unknown, which is not zero.
    pub monthly_usd: Option<f64>,
    /// Which price.
    pub basis: &'a str,
    /// How sure.
    pub confidence: Confidence,
}

/// One figure behind a finding.
#[derive(Serialize, JsonSchema)]
pub struct EvidenceJson<'a> {
    /// What it is.
    pub name: &'a str,
    /// Its value as people read it.
    pub value: &'a str,
    /// Its unit; empty when the value says it.
    pub unit: &'a str,
    /// Where it was read.
    pub source: &'a str,
    /// When.
    pub at: Instant,
}

impl<'a> FindingsDocument<'a> {
    /// The document of a list.
    pub fn new(list: &'a [Finding], now: Instant) -> FindingsDocument<'a> {
        FindingsDocument { schema_version: SCHEMA_VERSION, at: now, findings: Findings { list, now } }
    }
}

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.iter().map(|finding| FindingJson::of(finding, self.now)))
    }
}

impl Serialize for TagsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<'a> FindingJson<'a> {
    /// A finding as it stands at an instant.
    pub fn of(finding: &'a Finding, now: Instant) -> FindingJson<'a> {
        FindingJson {
            id: &finding.id.0,
            policy: &finding.policy,
            policy_version: finding.policy_version.as_deref(),
            rule: &finding.rule,
            check: &finding.check,
            severity: finding.severity,
            state: finding.state,
            phase: (finding.state == State::Open).then(|| finding.phase_at(now)),
            resource: ResourceJson {
                id: &finding.key.id,
                kind: finding.key.kind().name(),
                account: finding.key.account().as_str(),
                region: finding.key.region().as_str(),
                name: &finding.name,
                tags: TagsJson(&finding.tags),
            },
            message: &finding.message,
            action: finding.action,
            owner: finding.owner.as_deref(),
            detected_at: finding.detected_at,
            seen_at: finding.seen_at,
            due_at: finding.clock.due_at,
            closed_at: finding.closed_at,
            reason: &finding.reason,
            not_acted_on: not_acted_on(finding),
            savings: SavingsJson::of(&finding.savings),
            evidence: finding.evidence.iter().map(EvidenceJson::of).collect(),
        }
    }
}

impl<'a> SavingsJson<'a> {
    fn of(savings: &'a Savings) -> SavingsJson<'a> {
        SavingsJson {
            monthly_usd: savings.monthly.map(Usd::as_f64),
            basis: &savings.basis,
            confidence: savings.confidence,
        }
    }
}

impl<'a> EvidenceJson<'a> {
    fn of(figure: &'a Evidence) -> EvidenceJson<'a> {
        EvidenceJson {
            name: &figure.name,
            value: &figure.value,
            unit: &figure.unit,
            source: &figure.source,
            at: figure.at,
        }
    }
}

/// Why nothing follows from a violated rule, as far as the finding itself tells.
pub fn not_acted_on(finding: &Finding) -> Option<&str> {
    if let Some(why) = &finding.unjudged {
        return Some(why);
    }
    if finding.suppressed {
        return Some("a person undid our act; it waits for an approval");
    }
    match &finding.standing {
        Standing::Proven => None,
        Standing::Watching(why) | Standing::ReportedOnly(why) => Some(why),
    }
}

/// The JSON Schema of something that we print.
pub fn schema_of_output<T: JsonSchema>() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
