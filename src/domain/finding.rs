//! A finding: one violation of one rule by one resource, over time.
//!
//! Its id derives from resource, policy and rule, so a scan can never make a second one (X2). `detected_at` never
//! changes; `due_at` is empty until a notice was delivered and only ever moves later without a person's act.
//! `engine::reconcile` is the one pure function that moves its state.

use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Instant;
use super::check::{Evidence, Savings, Standing};
use super::place::{Kind, ResourceKey};
use super::resource::Tags;
use super::text::clean;
use super::words::words;

/// How bad it is; decides the grace period (R2, R3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Reported, never acted on.
    Low,
    /// Seven days, then escalated and one day more.
    Medium,
    /// One day.
    High,
    /// No grace beyond the action's floor.
    Critical,
}

/// What a policy recommends (X1). With the kind it selects one handler: [`Act::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Tell the owner, nothing more.
    Notify,
    /// Add missing tags that the policy has defaults for.
    Tag,
    /// Stop an instance.
    Stop,
    /// Terminate an instance, delete a volume or a snapshot; S1's word for all.
    #[serde(alias = "delete")]
    Terminate,
    /// Change an instance's type.
    Resize,
    /// Change a volume from gp2 to gp3 in place.
    Modify,
    /// Release an elastic address.
    Release,
    /// List it in the reports, tell nobody.
    Report,
}

/// The handler for a pair of action and kind (R5). Pairs that make no sense do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// `stop_instance`
    StopInstance,
    /// `terminate_instance`
    TerminateInstance,
    /// `resize_instance`
    ResizeInstance,
    /// `delete_volume`
    DeleteVolume,
    /// `modify_volume`
    ModifyVolume,
    /// `release_address`
    ReleaseAddress,
    /// `delete_snapshot`
    DeleteSnapshot,
    /// `expire_snapshot`: no policy asks for it, see `remediate::expire`
    ExpireSnapshot,
    /// `expire_image`: no policy asks for it either
    ExpireImage,
    /// `add_tags`
    AddTags,
    /// `send_notification`
    SendNotification,
}

/// Where a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Violated at the last look that could tell.
    Open,
    /// Violated, and an exception holds.
    Excepted,
    /// We acted, and saw the effect.
    Remediated,
    /// Seen and fine, or gone from two complete listings.
    Resolved,
}

/// Where an open finding stands on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not yet proven old enough.
    Watching,
    /// No notice was delivered yet, so no clock runs.
    Unnoticed,
    /// A notice was delivered; the grace period runs.
    InGrace,
    /// Medium after seven days: the second notice was sent.
    Escalated,
    /// The grace period is over.
    Due,
    /// A remediation is under way.
    Acting,
    /// A remediation cannot tell what happened; a person decides.
    Stuck,
    /// Listed in the reports only.
    ReportOnly,
}

/// A stable id: `f-` and 16 hexadecimal digits of SHA-256 over resource, policy and rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct FindingId(pub String);

/// One finding as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// See [`FindingId`].
    pub id: FindingId,
    /// What violates.
    pub key: ResourceKey,
    /// Its name at the last look; foreign text.
    pub name: String,
    /// Its tags at the last look; foreign text.
    pub tags: Tags,
    /// The policy's name.
    pub policy: String,
    /// Hash of the policy version that raised or last confirmed it.
    pub policy_hash: String,
    /// The version of the policy that raised or last confirmed it; `None` for a policy that comes from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// The rule's name.
    pub rule: String,
    /// The check's id.
    pub check: String,
    /// Severity as the policy says it now.
    pub severity: Severity,
    /// What the policy recommends.
    pub action: Action,
    /// One sentence.
    pub message: String,
    /// The figures.
    pub evidence: Vec<Evidence>,
    /// What the bill would drop by.
    pub savings: Savings,
    /// How firm it is.
    pub standing: Standing,
    /// The check does not allow an act before this instant, whatever the grace period says.
    #[serde(default)]
    pub act_not_before: Option<Instant>,
    /// Tags to add.
    pub add_tags: Vec<(String, String)>,
    /// The type that it should have, where the act changes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_type: Option<String>,
    /// Who is told; `None` when nobody can be.
    pub owner: Option<String>,
    /// First time it was seen; never changes, not even when it reopens.
    pub detected_at: Instant,
    /// Last look that confirmed it.
    pub seen_at: Instant,
    /// Where it stands.
    pub state: State,
    /// Phase as of the last reconcile; [`Finding::phase_at`] tells it for any instant.
    pub phase: Phase,
    /// The clocks.
    pub clock: GraceClock,
    /// The exception that holds, with its reason, while `state` is excepted.
    pub excepted_by: Option<String>,
    /// The `costwarden:keep-until` tag holds through this day, UTC: its own date, or 90 days after we first saw that
    /// date if that is sooner.
    pub keep_until: Option<NaiveDate>,
    /// The tag's value that `keep_until` was made from, so that an unchanged tag is not counted anew.
    #[serde(default)]
    pub keep_tag: Option<String>,
    /// The grace period that the policy sets in place of the severity's, in hours.
    #[serde(default)]
    pub grace_hours: Option<i64>,
    /// How many people must approve the act before it is done, as the policy asks; 0 where it does not ask.
    #[serde(default)]
    pub approvals: u8,
    /// First complete listing that did not show the resource; a second one at least five minutes later closes.
    pub missing_since: Option<Instant>,
    /// When it was closed or remediated.
    pub closed_at: Option<Instant>,
    /// Why it has its state, in words.
    pub reason: String,
    /// Why the last look could not tell whether it still holds; nothing is done while this is set.
    #[serde(default)]
    pub unjudged: Option<String>,
    /// A person undid our act: no act until re-approved (H25).
    pub suppressed: bool,
    /// A remediation is open or stuck.
    pub remediation: Option<OpenRemediation>,
}

/// Something that happened to a finding; append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingEvent {
    /// Which finding.
    pub finding: FindingId,
    /// When.
    pub at: Instant,
    /// One word: detected, proven, excepted, exception_ended, notified, escalated, resolved, reopened, reversed, …
    pub what: String,
    /// In words.
    pub detail: String,
}

/// The clocks of one grace period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraceClock {
    /// The first delivered notice of this grace period.
    pub first_notice: Option<Instant>,
    /// The delivered second notice of an escalated finding.
    pub second_notice: Option<Instant>,
    /// The last delivered reminder.
    pub last_reminder: Option<Instant>,
    /// When the act falls due; empty without a delivered notice.
    pub due_at: Option<Instant>,
    /// Nothing is due before a second notice was delivered (medium, unless its policy sets its own grace period).
    #[serde(default)]
    pub needs_second: bool,
}

/// Whether a remediation is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenRemediation {
    /// Claimed and not finished.
    Acting,
    /// Needs a person.
    Stuck,
}

impl GraceClock {
    /// The second notice is needed and was not delivered yet.
    pub fn waits_for_second(&self) -> bool {
        self.needs_second && self.second_notice.is_none()
    }
}

impl FindingId {
    /// The id of a finding.
    pub fn derive(key: &ResourceKey, policy: &str, rule: &str) -> FindingId {
        let mut hash = Sha256::new();
        for part in [key.to_string().as_str(), policy, rule] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let first = hash.finalize().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        FindingId(format!("f-{first:016x}"))
    }
}

impl Finding {
    /// The phase at an instant, from the stored clocks alone.
    pub fn phase_at(&self, now: Instant) -> Phase {
        match self.remediation {
            Some(OpenRemediation::Stuck) => return Phase::Stuck,
            Some(OpenRemediation::Acting) => return Phase::Acting,
            None => {}
        }
        if matches!(self.standing, Standing::Watching(_)) {
            return Phase::Watching;
        }
        let told_to_nobody = matches!(self.standing, Standing::ReportedOnly(_));
        if told_to_nobody || self.severity == Severity::Low || self.action == Action::Report {
            return Phase::ReportOnly;
        }
        match (self.clock.first_notice, self.clock.due_at) {
            (None, _) => Phase::Unnoticed,
            (Some(_), Some(due)) if due <= now && !self.clock.waits_for_second() => Phase::Due,
            _ if self.clock.second_notice.is_some() => Phase::Escalated,
            _ => Phase::InGrace,
        }
    }

    /// The handler that the recommended action selects for this kind.
    pub fn act(&self) -> Option<Act> {
        match Act::of(self.action, self.key.kind()) {
            // A tag finding whose missing keys have no default can only be told.
            Some(Act::AddTags) if self.add_tags.is_empty() => Some(Act::SendNotification),
            other => other,
        }
    }

    /// How many people must approve its act: what its policy asks for, and no fewer than the act itself needs.
    pub fn people_wanted(&self) -> u8 {
        self.approvals.max(self.act().map_or(0, Act::least_people))
    }

    /// What its act does, for people; `None` where there is none.
    pub fn act_words(&self) -> Option<String> {
        self.act().map(|act| act.words_to(self.to_type.as_deref()))
    }

    /// Open in the sense of scores and reports: violated, not excepted, not merely watched.
    pub fn counts(&self) -> bool {
        self.state == State::Open && !matches!(self.standing, Standing::Watching(_))
    }
}

impl Act {
    /// The handler for an action on a kind; `None` where the pair makes no sense (R5).
    pub fn of(action: Action, kind: Kind) -> Option<Act> {
        match (action, kind) {
            (Action::Stop, Kind::Instance) => Some(Act::StopInstance),
            (Action::Terminate, Kind::Instance) => Some(Act::TerminateInstance),
            (Action::Terminate, Kind::Volume) => Some(Act::DeleteVolume),
            (Action::Terminate, Kind::Snapshot) => Some(Act::DeleteSnapshot),
            (Action::Resize, Kind::Instance) => Some(Act::ResizeInstance),
            (Action::Modify, Kind::Volume) => Some(Act::ModifyVolume),
            (Action::Release, Kind::Address) => Some(Act::ReleaseAddress),
            (Action::Tag, Kind::Instance | Kind::Volume) => Some(Act::AddTags),
            (Action::Tag, Kind::Snapshot | Kind::Address | Kind::Image) => Some(Act::AddTags),
            (Action::Notify, _) => Some(Act::SendNotification),
            (Action::Report, _) => None,
            (Action::Stop | Action::Terminate | Action::Resize | Action::Modify | Action::Release, _) => None,
        }
    }

    /// What it does, for people: "stop the instance".
    pub fn words(self) -> &'static str {
        match self {
            Act::StopInstance => "stop the instance",
            Act::TerminateInstance => "terminate the instance",
            Act::ResizeInstance => "resize the instance",
            Act::DeleteVolume => "delete the volume",
            Act::ModifyVolume => "change the volume from gp2 to gp3",
            Act::ReleaseAddress => "release the address",
            Act::DeleteSnapshot => "delete the snapshot",
            Act::ExpireSnapshot => "delete the safety snapshot whose time is over",
            Act::ExpireImage => "deregister the safety image whose time is over",
            Act::AddTags => "add the missing tags",
            Act::SendNotification => "tell the owner",
        }
    }

    /// The same with the type that it gets, where it changes one: "resize the instance to m5.large".
    pub fn words_to(self, to_type: Option<&str>) -> String {
        match to_type {
            Some(to) if self == Act::ResizeInstance => format!("{} to {}", self.words(), clean(to)),
            _ => self.words().to_owned(),
        }
    }

    /// Delete, terminate or release: what cannot be taken back without a backup.
    pub fn destructive(self) -> bool {
        matches!(self, Act::DeleteVolume | Act::TerminateInstance | Act::ReleaseAddress | Act::DeleteSnapshot)
    }

    /// The resource is in no listing afterwards: what the inventory floor must not take for a shrunken listing.
    pub fn removes(self) -> bool {
        self.destructive() || self.expires()
    }

    /// Ends a backup of our own whose time is over: no policy, finding or notice stands behind it.
    pub fn expires(self) -> bool {
        matches!(self, Act::ExpireSnapshot | Act::ExpireImage)
    }

    /// Stop, resize or modify: an outage or a change in place, not a loss.
    pub fn disruptive(self) -> bool {
        matches!(self, Act::StopInstance | Act::ResizeInstance | Act::ModifyVolume)
    }

    /// How many people must approve it whatever its policy says: two where nothing proves beforehand that it can be
    /// taken back (checks.md, B10). An address is anybody's once it is released. That a Recycle Bin rule covers a
    /// snapshot cannot be read through EC2, so what the settings say of it is a claim and no proof.
    pub fn least_people(self) -> u8 {
        if matches!(self, Act::ReleaseAddress | Act::DeleteSnapshot) { 2 } else { 0 }
    }

    /// Changes the cloud at all.
    pub fn changes_cloud(self) -> bool {
        self != Act::SendNotification
    }
}

impl std::str::FromStr for Severity {
    type Err = String;

    /// Accepts the four words, and S0's `info` (low) and `warning` (medium).
    fn from_str(text: &str) -> Result<Severity, String> {
        match text {
            "low" | "info" => Ok(Severity::Low),
            "medium" | "warning" => Ok(Severity::Medium),
            "high" => Ok(Severity::High),
            "critical" => Ok(Severity::Critical),
            other => Err(format!("{other:?} is not a severity; accepted: critical, high, medium, low")),
        }
    }
}

words!(State, Open => "open", Excepted => "excepted", Remediated => "remediated", Resolved => "resolved");
words!(
    Phase,
    Watching => "watching", Unnoticed => "unnoticed", InGrace => "in_grace", Escalated => "escalated",
    Due => "due", Acting => "acting", Stuck => "stuck", ReportOnly => "report_only",
);
words!(
    Action,
    Notify => "notify", Tag => "tag", Stop => "stop", Terminate => "terminate", Resize => "resize",
    Modify => "modify", Release => "release", Report => "report",
);
words!(
    Act,
    StopInstance => "stop_instance", TerminateInstance => "terminate_instance",
    ResizeInstance => "resize_instance", DeleteVolume => "delete_volume", ModifyVolume => "modify_volume",
    ReleaseAddress => "release_address", DeleteSnapshot => "delete_snapshot",
    ExpireSnapshot => "expire_snapshot", ExpireImage => "expire_image", AddTags => "add_tags",
    SendNotification => "send_notification",
);
// Worst first, as people read them.
words!(Severity, Critical => "critical", High => "high", Medium => "medium", Low => "low");

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> ResourceKey {
        "123456789012/eu-central-1/storage/volume/vol-0a1b".parse().unwrap()
    }

    #[test]
    fn x2_the_id_derives_from_resource_policy_and_rule_and_nothing_else() {
        let id = FindingId::derive(&volume(), "orphaned-resource-detection", "unattached-volume");
        assert_eq!(id, FindingId::derive(&volume(), "orphaned-resource-detection", "unattached-volume"));
        assert_ne!(id, FindingId::derive(&volume(), "orphaned-resource-detectio", "nunattached-volume"));
        assert_eq!(id.0.len(), 18);
    }

    #[test]
    fn r5_the_handler_is_chosen_by_action_and_kind() {
        assert_eq!(Act::of(Action::Terminate, Kind::Volume), Some(Act::DeleteVolume));
        assert_eq!(Act::of(Action::Terminate, Kind::Instance), Some(Act::TerminateInstance));
        assert_eq!(Act::of(Action::Stop, Kind::Volume), None);
        assert_eq!(Act::of(Action::Terminate, Kind::Snapshot), Some(Act::DeleteSnapshot));
        assert_eq!(Act::of(Action::Release, Kind::Address), Some(Act::ReleaseAddress));
        assert_eq!(Act::of(Action::Modify, Kind::Volume), Some(Act::ModifyVolume));
        for kind in Kind::ALL {
            assert_eq!(Act::of(Action::Release, kind).is_some(), kind == Kind::Address, "{kind}");
            assert_eq!(Act::of(Action::Modify, kind).is_some(), kind == Kind::Volume, "{kind}");
        }
        assert_eq!(Act::of(Action::Terminate, Kind::Address), None, "an address is released, in its own word");
        assert_eq!(Act::of(Action::Notify, Kind::Address), Some(Act::SendNotification));
    }

    #[test]
    fn what_we_remove_ourselves_is_no_shrunken_listing() {
        use Act::*;
        let gone = [TerminateInstance, DeleteVolume, ReleaseAddress, DeleteSnapshot, ExpireSnapshot, ExpireImage];
        let stays = [StopInstance, ResizeInstance, ModifyVolume, AddTags, SendNotification];
        assert!(gone.into_iter().all(Act::removes) && !stays.into_iter().any(Act::removes));
        for ends in [ExpireSnapshot, ExpireImage] {
            assert!(ends.expires() && !ends.destructive(), "its own limit, not the pace of deletions");
        }
    }

    #[test]
    fn x1_the_recommended_actions_have_the_seeds_words() {
        for word in ["notify", "tag", "stop", "terminate", "resize"] {
            assert_eq!(Action::from_word(word).unwrap().word(), word);
        }
    }
}
