//! The policies of the worlds, compiled once, and what the judge knows of them by itself.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use chrono::TimeDelta;
use costwarden::domain::finding::Act;
use costwarden::engine::ruleset::Ruleset;

/// How bad the rules of a set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Critical,
    High,
    Medium,
}

/// One set of policies: `waste` (rules `idle` and `unattached`) and `tags` (rule `cost-center`).
pub struct PolicySet {
    pub severity: Severity,
    pub rules: Arc<Ruleset>,
}

/// The acts of the worlds, with the policy and the rule that lead to each. An act that the program learns is one line
/// here, its words in `text`, and a resource that invites it in `scene`.
pub const ACTS: [(Act, &str, &str); 3] = [
    (Act::StopInstance, "waste", "idle"),
    (Act::DeleteVolume, "waste", "unattached"),
    (Act::AddTags, "tags", "cost-center"),
];

/// The key and the value that `tags` adds.
pub const COST_CENTER: (&str, &str) = ("cost-center", "CC-000000");

impl PolicySet {
    /// The least time from the delivered first notice to an act, and whether a second notice is needed (R2, R3). Written
    /// down here a second time on purpose.
    pub fn grace(&self, act: Act) -> (TimeDelta, bool) {
        let floor = match act {
            Act::StopInstance => TimeDelta::hours(1),
            Act::AddTags => TimeDelta::zero(),
            _ => TimeDelta::hours(24),
        };
        match self.severity {
            Severity::Critical => (floor, false),
            Severity::High => (TimeDelta::hours(24), false),
            Severity::Medium => (TimeDelta::days(8), true),
        }
    }
}

/// Severity, people, edition.
type Key = (u8, u8, u8);

/// The set of a severity, a number of people, and an edition: 0, or 1 after somebody edited it.
pub fn set(severity: Severity, people: u8, edition: u8) -> &'static PolicySet {
    static SETS: OnceLock<Vec<(Key, PolicySet)>> = OnceLock::new();
    let sets = SETS.get_or_init(|| {
        let mut sets = Vec::new();
        for severity in [Severity::Critical, Severity::High, Severity::Medium] {
            for people in 0..=2 {
                for edition in 0..=1 {
                    let rules = compile(&text(severity, people, edition));
                    sets.push(((severity as u8, people, edition), PolicySet { severity, rules }));
                }
            }
        }
        sets
    });
    let wanted = (severity as u8, people, edition);
    &sets.iter().find(|(key, _)| *key == wanted).expect("every set is made above").1
}

fn compile(text: &str) -> Arc<Ruleset> {
    let checks = costwarden::checks::infos();
    let policies = costwarden::policy::parse(Path::new("campaign.yaml"), text, &checks).expect("the policies load");
    Arc::new(Ruleset::compile(&policies).expect("the policies compile"))
}

fn text(severity: Severity, people: u8, edition: u8) -> String {
    let word = match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
    };
    let approval = if people > 0 { format!("  approval:\n    people: {people}\n") } else { String::new() };
    let cpu = 5 + edition;
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
      action: stop
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
"
    )
}
