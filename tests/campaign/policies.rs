//! The policies of the worlds, compiled once, and what the judge knows of them by itself.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use chrono::TimeDelta;
use costwarden::domain::finding::Act;
use costwarden::engine::ruleset::Ruleset;

use crate::scene::Scene;

/// How bad the rules of a set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Critical,
    High,
    Medium,
}

/// One set of policies: `waste` (rules `idle` and `unattached`), `tags` (rule `cost-center`), `size` (rule `large`) and
/// `storage` (rules `gp2`, `address` and `old`).
pub struct PolicySet {
    pub severity: Severity,
    pub rules: Arc<Ruleset>,
}

/// The acts of the worlds, with the policy and the rule that lead to each. An act that the program learns is one line
/// here, its words in `text`, and a resource that invites it in `scene`.
pub const ACTS: [(Act, &str, &str); 8] = [
    (Act::StopInstance, "waste", "idle"),
    (Act::TerminateInstance, "waste", "idle"),
    (Act::DeleteVolume, "waste", "unattached"),
    (Act::AddTags, "tags", "cost-center"),
    (Act::ResizeInstance, "size", "large"),
    (Act::ModifyVolume, "storage", "gp2"),
    (Act::ReleaseAddress, "storage", "address"),
    (Act::DeleteSnapshot, "storage", "old"),
];

/// The type that `size` finds too large, and the one that it asks for.
pub const LARGE: (&str, &str) = ("m5.2xlarge", "m5.xlarge");

/// What pace counts an act as. Written down here a second time on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Destructive,
    Disruptive,
    Tag,
}

/// The class of an act.
pub fn class(act: Act) -> Class {
    match act {
        Act::StopInstance | Act::ResizeInstance | Act::ModifyVolume => Class::Disruptive,
        Act::AddTags | Act::SendNotification => Class::Tag,
        _ => Class::Destructive,
    }
}

/// How many people must have said yes to an act in a world whose policy `waste` asks for so many.
pub fn people_for(act: Act, waste: u8) -> u8 {
    match act {
        Act::StopInstance | Act::TerminateInstance | Act::DeleteVolume => waste,
        Act::ReleaseAddress | Act::DeleteSnapshot => 2,
        _ => 0,
    }
}

/// The key and the value that `tags` adds.
pub const COST_CENTER: (&str, &str) = ("cost-center", "CC-000000");

impl PolicySet {
    /// The least time from the delivered first notice to an act, and whether a second notice is needed (R2, R3). Written
    /// down here a second time on purpose.
    pub fn grace(&self, act: Act) -> (TimeDelta, bool) {
        let floor = match class(act) {
            Class::Disruptive => TimeDelta::hours(1),
            Class::Tag => TimeDelta::zero(),
            Class::Destructive => TimeDelta::hours(24),
        };
        match self.severity {
            Severity::Critical => (floor, false),
            Severity::High => (TimeDelta::hours(24), false),
            Severity::Medium => (TimeDelta::days(8), true),
        }
    }
}

/// Severity, people, edition, whether what is idle is terminated.
type Key = (u8, u8, u8, bool);

/// The set of a scene in an edition: 0, or 1 after somebody edited `waste`.
pub fn of(scene: &Scene, edition: u8) -> &'static PolicySet {
    static SETS: OnceLock<Vec<(Key, PolicySet)>> = OnceLock::new();
    let sets = SETS.get_or_init(|| {
        let mut sets = Vec::new();
        for severity in [Severity::Critical, Severity::High, Severity::Medium] {
            for people in 0..=2 {
                for (edition, ends) in [(0, false), (1, false), (0, true), (1, true)] {
                    let rules = compile(&text(severity, people, edition, ends));
                    sets.push(((severity as u8, people, edition, ends), PolicySet { severity, rules }));
                }
            }
        }
        sets
    });
    let wanted = (scene.severity as u8, scene.people, edition, scene.ends);
    &sets.iter().find(|(key, _)| *key == wanted).expect("every set is made above").1
}

fn compile(text: &str) -> Arc<Ruleset> {
    let checks = costwarden::checks::infos();
    let policies = costwarden::policy::parse(Path::new("campaign.yaml"), text, &checks).expect("the policies load");
    Arc::new(Ruleset::compile(&policies).expect("the policies compile"))
}

fn text(severity: Severity, people: u8, edition: u8, ends: bool) -> String {
    let word = match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
    };
    let approval = if people > 0 { format!("  approval:\n    people: {people}\n") } else { String::new() };
    let cpu = 5 + edition;
    let idle = if ends { "terminate" } else { "stop" };
    format!(
        "apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: waste
spec:
  type: Waste
{approval}  severity: {word}
  rules:
    - name: idle
      check: idle-instance
      action: {idle}
      parameters: {{days: 1, cpu_percent: {cpu}}}
    - name: unattached
      check: unattached-volume
      action: terminate
      parameters: {{days: {edition}}}
---
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: tags
spec:
  type: TagRequirement
  severity: {word}
  rules:
    - name: cost-center
      action: tag
      requiredTags:
        - key: cost-center
          default: CC-000000
      scope: [compute/instance, storage/volume]
---
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: size
spec:
  type: ResourceLimit
  severity: {word}
  rules:
    - name: large
      resource: compute/instance
      action: resize
      constraint: {{maxVCPUs: 4}}
---
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: storage
spec:
  type: Waste
  severity: {word}
  rules:
    - name: gp2
      check: gp2-volume
      action: modify
    - name: address
      check: unassociated-address
      action: release
      parameters: {{days: 0}}
    - name: old
      check: old-snapshot
      action: terminate
      parameters: {{days: 90}}
"
    )
}
