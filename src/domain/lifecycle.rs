//! The nouns of a policy's life (seed contract, section k): stages, versions, reviews, and what is in force.
//!
//! `policy::lifecycle` moves them, `store` keeps them, `worker::policies` joins the two. Two versions of one policy can
//! matter at once: the latest, which the stage speaks of, and the one in force, which scans are judged by until the
//! latest takes its place.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Instant;
use super::words::words;

/// Where the latest version of a policy stands (L1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Being written.
    Draft,
    /// Reviewers are asked.
    Review,
    /// All of them agreed.
    Approved,
    /// In force.
    Active,
    /// In force until its last day.
    Deprecated,
    /// History.
    Archived,
}

/// A semantic version: major where behaviour changed, minor where words did; the patch stays 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SemVer {
    /// Raised when what the policy does changed.
    pub major: u32,
    /// Raised when only its words changed.
    pub minor: u32,
    /// Always 0.
    pub patch: u32,
}

/// What a change amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeType {
    /// Words only: description, title, examples.
    Minor,
    /// What it does: thresholds, scope, actions, grace, mode, and everything else.
    Major,
}

/// A limit on the version in force that needs no review, because it only ever makes the policy do less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Brake {
    /// Reported and told, never acted on.
    Monitor,
    /// Not evaluated.
    Disabled,
}

/// One policy under the life cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// `policy-<slug>-<YYYYMMDD>`, with a suffix where that was taken (L2).
    pub id: String,
    /// The name that findings carry; never changes.
    pub name: String,
    /// Where the latest version stands.
    pub stage: Stage,
    /// Who created it.
    pub created_by: String,
    /// When.
    pub created_at: Instant,
    /// Last change of any kind.
    pub updated_at: Instant,
    /// Number of the latest version, from 1.
    pub seq: i64,
    /// The latest version.
    pub version: SemVer,
    /// Hash of the latest version (L3).
    pub hash: String,
    /// Who wrote versions that were not in force yet; none of them may review.
    pub authors: Vec<String>,
    /// The reviewers that were named last.
    pub reviewers: Vec<String>,
    /// The review of the latest version, once it was submitted. Kept in the table of approvals.
    #[serde(skip)]
    pub review: Option<Review>,
    /// When a version was last approved by all of its reviewers.
    pub approved_at: Option<Instant>,
    /// The version in force.
    pub current: Option<Force>,
    /// The version that takes its place, and when.
    pub next: Option<Force>,
    /// A limit on the version in force.
    pub brake: Option<Brake>,
    /// The end of it.
    pub deprecation: Option<Deprecation>,
    /// Raised by each write, so that two writers cannot undo each other unseen.
    #[serde(skip)]
    pub revision: i64,
}

/// A version that is or will be in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Force {
    /// Its number.
    pub seq: i64,
    /// Its version.
    pub version: SemVer,
    /// From when.
    pub from: Instant,
}

/// One round of review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Review {
    /// Number of the version that is reviewed.
    pub seq: i64,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Instant,
    /// Each reviewer with the answer.
    pub reviewers: Vec<Reviewer>,
}

/// One reviewer of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reviewer {
    /// Mail address.
    pub who: String,
    /// When they approved.
    pub approved_at: Option<Instant>,
    /// What they said with it.
    pub comment: Option<String>,
}

/// The end of a policy (L9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Deprecation {
    /// First instant at which it is not in force any more.
    pub on: Instant,
    /// Why.
    pub reason: String,
    /// The policy that takes its place.
    pub replaced_by: Option<String>,
}

/// One version: what the document said from then on. Never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The policy's id.
    pub policy: String,
    /// Its number, from 1 without a gap (T6).
    pub seq: i64,
    /// Its version.
    pub version: SemVer,
    /// Hash over the document's canonical JSON.
    pub hash: String,
    /// What the change was.
    pub change: ChangeType,
    /// The change in words.
    pub summary: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: Instant,
    /// The ending of the file's name, which tells how the text is read.
    pub format: String,
    /// The document as it was written.
    pub text: String,
    /// The document as a plain value.
    pub json: serde_json::Value,
}

/// Something that happened to a policy; append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyEvent {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: String,
    /// One word: created, updated, submitted, approved, changes_requested, activated, deprecated, archived, reviewed, …
    pub what: String,
    /// The version that it was about.
    pub version: SemVer,
    /// In words.
    pub detail: String,
}

/// What a row of the table of approvals asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// A policy's version.
    PolicyReview,
    /// A request at the decision point.
    Request,
    /// An exception.
    Exception,
    /// An act.
    Remediation,
}

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Asked, not answered.
    Pending,
    /// Yes.
    Approved,
    /// No.
    Rejected,
    /// The question fell away.
    Withdrawn,
}

/// One question to one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its number; 0 until it is stored.
    pub id: i64,
    /// What is asked for.
    pub kind: ApprovalKind,
    /// The id of what is asked about.
    pub subject: String,
    /// Which state of the subject: a policy's version number, 0 where there is but one.
    pub round: i64,
    /// Who is asked.
    pub approver: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Instant,
    /// When it was answered or withdrawn.
    pub decided_at: Option<Instant>,
    /// What was said.
    pub comment: Option<String>,
}

impl SemVer {
    /// The version of every new policy (L2).
    pub const FIRST: SemVer = SemVer { major: 0, minor: 1, patch: 0 };

    /// The version after a change (L4).
    pub fn after(self, change: ChangeType) -> SemVer {
        match change {
            ChangeType::Minor => SemVer { minor: self.minor + 1, patch: 0, ..self },
            ChangeType::Major => SemVer { major: self.major + 1, minor: 0, patch: 0 },
        }
    }
}

impl fmt::Display for SemVer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

impl FromStr for SemVer {
    type Err = String;

    fn from_str(text: &str) -> Result<SemVer, String> {
        let bad = || format!("{:?} is not a version; accepted: three numbers such as 1.2.0", super::text::clean(text));
        let parts: Vec<u32> = text
            .split('.')
            .map(|part| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())))
            .collect::<Option<_>>()
            .ok_or_else(bad)?;
        match parts[..] {
            [major, minor, patch] => Ok(SemVer { major, minor, patch }),
            _ => Err(bad()),
        }
    }
}

impl Serialize for SemVer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SemVer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SemVer, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for SemVer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SemVer".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$" })
    }
}

words!(
    Stage,
    Draft => "draft", Review => "review", Approved => "approved", Active => "active", Deprecated => "deprecated",
    Archived => "archived",
);
words!(ChangeType, Minor => "minor", Major => "major");
words!(Brake, Monitor => "monitor", Disabled => "disabled");
words!(
    ApprovalKind,
    PolicyReview => "policy_review", Request => "request", Exception => "exception", Remediation => "remediation",
);
words!(
    ApprovalState,
    Pending => "pending", Approved => "approved", Rejected => "rejected", Withdrawn => "withdrawn",
);

impl Review {
    /// Whether everybody agreed.
    pub fn complete(&self) -> bool {
        self.reviewers.iter().all(|reviewer| reviewer.approved_at.is_some())
    }

    /// Who has not answered yet.
    pub fn waiting(&self) -> Vec<&str> {
        self.reviewers.iter().filter(|one| one.approved_at.is_none()).map(|one| one.who.as_str()).collect()
    }
}

impl PolicyRecord {
    /// The version in force at an instant; what is due counts although nobody wrote it down yet (L8), and a deprecated
    /// policy is in force until its date (L9). What was in force once stays so when the clock goes back behind its date.
    pub fn in_force(&self, at: Instant) -> Option<&Force> {
        if self.stage == Stage::Archived || self.deprecation.as_ref().is_some_and(|end| end.on <= at) {
            return None;
        }
        self.next.as_ref().filter(|next| next.from <= at).or(self.current.as_ref())
    }

    /// The limit that holds at an instant: one that was set on the version which is replaced then ends with it.
    pub fn brake_at(&self, at: Instant) -> Option<Brake> {
        if self.next.as_ref().is_some_and(|next| next.from <= at) { None } else { self.brake }
    }

    /// The stage as of an instant: approved with a due date is active.
    pub fn stage_at(&self, at: Instant) -> Stage {
        match (self.stage, &self.next) {
            (Stage::Approved, Some(next)) if next.from <= at => Stage::Active,
            (stage, _) => stage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l4_versions_step_as_the_contract_counts() {
        let steps = [ChangeType::Minor, ChangeType::Major, ChangeType::Minor];
        let mut version = SemVer::FIRST;
        let seen: Vec<String> = steps
            .map(|step| {
                version = version.after(step);
                version.to_string()
            })
            .into();
        assert_eq!(
            (SemVer::FIRST.to_string().as_str(), seen),
            ("0.1.0", ["0.2.0", "1.0.0", "1.1.0"].map(str::to_owned).into())
        );
    }

    #[test]
    fn t6_a_version_is_three_numbers_and_nothing_else() {
        assert_eq!("12.3.0".parse(), Ok(SemVer { major: 12, minor: 3, patch: 0 }));
        for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x", "+1.2.3", "v1.2.3", "1..3", " 1.2.3", "99999999999.0.0"] {
            assert!(wrong.parse::<SemVer>().is_err(), "{wrong:?}");
        }
    }
}
