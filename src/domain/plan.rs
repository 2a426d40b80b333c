//! A plan: what would be done now, and with equal rank what is held and why.
//!
//! `engine::plan` builds it, the plan file carries it, and it is the only thing that can be applied. A step names
//! the state that the resource must still have; the whole is bound to this state file, its accounts and policies by
//! hash and expires after 24 hours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Instant;
use super::finding::{Act, FindingId};
use super::money::Usd;
use super::place::ResourceKey;
use super::resource::{Detail, Resource};

/// How long a plan may be applied, in hours.
pub const PLAN_HOURS: i64 = 24;

/// The prefix of our own tags.
pub const OWN_TAGS: &str = "costwarden:";

/// What would be done and what is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// Version of this format.
    pub schema_version: u32,
    /// `p-` and 16 hexadecimal digits over everything below.
    pub id: String,
    /// When it was made.
    pub created_at: Instant,
    /// Last instant at which it may be applied.
    pub expires_at: Instant,
    /// Id of the state file that it was made from.
    pub state_id: String,
    /// Hash of each policy in force, by name.
    pub policies: BTreeMap<String, String>,
    /// In the order in which they would be done.
    pub steps: Vec<Step>,
    /// Number of held findings by reason code; the rows are in the state under the plan's id.
    pub held: BTreeMap<String, u64>,
}

/// One act on one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// Why.
    pub finding: FindingId,
    /// On what.
    pub key: ResourceKey,
    /// Its name, for people; foreign text.
    pub name: String,
    /// What is done.
    pub act: Act,
    /// The policy and rule that ask for it.
    pub policy: String,
    /// The rule.
    pub rule: String,
    /// The policy's hash when the plan was made.
    pub policy_hash: String,
    /// The finding's sentence.
    pub message: String,
    /// Volumes that are snapshotted first, sorted; empty when the act needs no backup.
    pub backup: Vec<String>,
    /// Tags to add, for `add_tags`.
    pub add_tags: Vec<(String, String)>,
    /// The type that it gets, where the act changes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_type: Option<String>,
    /// What the bill would drop by a month in micro-dollars, if known.
    #[schemars(with = "Option<i64>")]
    pub monthly: Option<Usd>,
    /// What the resource must still look like.
    pub fingerprint: Fingerprint,
}

/// The fields of a resource that must not have changed between plan and act, by name. Protection flags are left
/// out: they refuse on their own, whatever the plan saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Fingerprint(pub BTreeMap<String, String>);

/// A finding that is not acted on now, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Which finding.
    pub finding: FindingId,
    /// Its resource.
    pub key: ResourceKey,
    /// Its name; foreign text.
    pub name: String,
    /// What would be done.
    pub act: Option<Act>,
    /// The reason, as a word for counting.
    pub code: HoldCode,
    /// The reason, in words; the same in plan, report, API and log.
    pub reason: String,
    /// When it may be done at the earliest, where that is known.
    pub due_at: Option<Instant>,
    /// What waiting costs a month.
    pub monthly: Option<Usd>,
}

/// Why a finding is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCode {
    /// Mode observe or notify.
    Mode,
    /// The account is not armed, or no longer.
    NotArmed,
    /// The policy changed after arming.
    PolicyChanged,
    /// Everything is frozen.
    Frozen,
    /// No notice was delivered yet.
    Unnoticed,
    /// The grace period runs.
    InGrace,
    /// An exception holds.
    Excepted,
    /// A keep-until tag holds.
    KeepUntil,
    /// Protected by a tag, a protection flag or the protect list.
    Protected,
    /// Managed by something else.
    Managed,
    /// The violation is reported only.
    ReportedOnly,
    /// Not yet proven old enough.
    Watching,
    /// Severity low, or the policy asks for a report.
    ReportOnly,
    /// Its partition was not read completely, or its listing is suspect.
    Incomplete,
    /// The scan is older than allowed.
    StaleScan,
    /// Outside the action window.
    Window,
    /// Over today's pace.
    Pace,
    /// The breaker holds its policy.
    Breaker,
    /// Switched off in the settings.
    SwitchedOff,
    /// This version has no handler for it.
    NotAvailable,
    /// A local disk or a public address would be lost.
    WouldLose,
    /// We acted on this resource less than seven days ago, or a person undid it.
    ActedRecently,
    /// A remediation of this resource is open.
    Acting,
    /// Another finding on the same resource goes first.
    Outranked,
    /// Its policy asks for people's word first.
    WaitsForApproval,
    /// Only the owner can fix it; nothing for us to do.
    OwnerActs,
}

impl HoldCode {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            HoldCode::Mode => "mode",
            HoldCode::NotArmed => "not_armed",
            HoldCode::PolicyChanged => "policy_changed",
            HoldCode::Frozen => "frozen",
            HoldCode::Unnoticed => "unnoticed",
            HoldCode::InGrace => "in_grace",
            HoldCode::Excepted => "excepted",
            HoldCode::KeepUntil => "keep_until",
            HoldCode::Protected => "protected",
            HoldCode::Managed => "managed",
            HoldCode::ReportedOnly => "reported_only",
            HoldCode::Watching => "watching",
            HoldCode::ReportOnly => "report_only",
            HoldCode::Incomplete => "incomplete",
            HoldCode::StaleScan => "stale_scan",
            HoldCode::Window => "window",
            HoldCode::Pace => "pace",
            HoldCode::Breaker => "breaker",
            HoldCode::SwitchedOff => "switched_off",
            HoldCode::NotAvailable => "not_available",
            HoldCode::WouldLose => "would_lose",
            HoldCode::ActedRecently => "acted_recently",
            HoldCode::Acting => "acting",
            HoldCode::Outranked => "outranked",
            HoldCode::WaitsForApproval => "waits_for_approval",
            HoldCode::OwnerActs => "owner_acts",
        }
    }

    /// True where a person must decide before the finding can move (exit code 6).
    pub fn waits_for_a_person(self) -> bool {
        matches!(
            self,
            HoldCode::Frozen
                | HoldCode::Breaker
                | HoldCode::PolicyChanged
                | HoldCode::NotArmed
                | HoldCode::WaitsForApproval
        )
    }
}

impl Step {
    /// What is done, for people: "resize the instance to m5.large".
    pub fn words(&self) -> String {
        self.act.words_to(self.to_type.as_deref())
    }

    /// What people approve: the act, its target, the policy and all that the resource must still look like. Words,
    /// prices and the plan that it stands in may change from night to night, this may not.
    pub fn approval_hash(&self) -> String {
        let mut bound = vec![
            serde_json::json!(self.finding),
            serde_json::json!(self.key),
            serde_json::json!(self.act),
            serde_json::json!(self.policy),
            serde_json::json!(self.rule),
            serde_json::json!(self.policy_hash),
            serde_json::json!(self.backup),
            serde_json::json!(self.add_tags),
            serde_json::json!(self.fingerprint),
        ];
        // Last and only where there is one, so that what was approved before stays what it was.
        bound.extend(self.to_type.iter().map(|to| serde_json::json!({ "to_type": to })));
        let bound = serde_json::Value::Array(bound);
        Sha256::digest(bound.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Fingerprint {
    /// Of a resource as read now. Our own tags and `ignore_tags` are left out: they change without meaning.
    pub fn of(resource: &Resource, ignore_tags: &[String]) -> Fingerprint {
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
        put("id", resource.key.to_string());
        put("state", resource.state().to_owned());
        put("created_at", format!("{:?}", resource.created_at));
        match &resource.detail {
            Detail::Instance(instance) => {
                put("type", instance.instance_type.to_string());
                let volumes: Vec<&str> = instance.volumes.iter().map(|attached| &*attached.volume).collect();
                put("volumes", volumes.join(","));
                put("operator", format!("{:?}", instance.operator));
                put("auto_public_ip", format!("{:?}", instance.auto_public_ip));
            }
            Detail::Volume(volume) => {
                put("type", volume.volume_type.to_string());
                put("size_gib", volume.size_gib.to_string());
                let attached: Vec<String> =
                    volume.attachments.iter().map(|at| format!("{}:{}", at.instance, at.state)).collect();
                put("attachments", attached.join(","));
                put("operator", format!("{:?}", volume.operator));
            }
            Detail::Snapshot(snapshot) => {
                put("volume", snapshot.volume.to_string());
            }
            Detail::Address(address) => {
                put("association", format!("{:?}", address.association));
            }
            Detail::Image(_) => {}
        }
        match resource.tags.known() {
            Some(tags) => {
                for (key, value) in tags.iter() {
                    if !key.starts_with(OWN_TAGS) && !ignore_tags.iter().any(|ignored| ignored == key) {
                        put(&format!("tag {key}"), value.to_owned());
                    }
                }
            }
            None => {
                put("tags", "unknown".to_owned());
            }
        }
        Fingerprint(fields)
    }

    /// What differs in `fresh`, in words; empty when they are equal.
    pub fn changes(&self, fresh: &Fingerprint) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(fresh.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), fresh.0.get(name)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(old), Some(new)) => Some(format!("{name} was {old:?}, is {new:?}")),
                (Some(old), None) => Some(format!("{name} was {old:?}, is gone")),
                (None, Some(new)) => Some(format!("{name} is new: {new:?}")),
                (None, None) => None,
            })
            .collect()
    }
}

impl Plan {
    /// The id that the contents give; a plan file whose id differs was edited.
    pub fn derive_id(&self) -> String {
        let mut copy = self.clone();
        copy.id.clear();
        let text = serde_json::to_string(&copy).unwrap_or_default();
        let hex: String = Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("p-{hex}")
    }
}
