//! `type: ResourceLimit` (D3).

use super::Front;
use super::common::{Allowed, Defaults};
use crate::domain::check::CheckInfo;
use crate::domain::finding::{Action, Severity};
use crate::domain::place::Kind;
use crate::domain::rule::{DatabaseLimit, InstanceLimit, NetworkLimit, TypePattern, VolumeLimit};
use crate::policy::document::{At, Checker};
use crate::policy::raw::{Constraint, LimitRule, RawRule};
use crate::policy::{Logic, Rule};

/// Actions that remedy a size; deleting is none.
const ACTIONS: &[Action] = &[Action::Resize, Action::Stop, Action::Notify, Action::Report];

const INSTANCE_KEYS: &[&str] = &["maxVCPUs", "maxMemoryGB", "allowedInstanceFamilies", "deniedInstanceFamilies"];
const VOLUME_KEYS: &[&str] = &["maxSizeGB", "allowedTypes", "deniedTypes"];
const DATABASE_KEYS: &[&str] = &["maxVCPUs", "maxStorageGB"];
const NETWORK_KEYS: &[&str] = &["maxBandwidthMbps"];

impl Front for LimitRule {
    fn compile(
        &self,
        checker: &mut Checker<'_>,
        at: &At<'_>,
        defaults: &Defaults<'_>,
        _checks: &[&'static CheckInfo],
    ) -> Option<Rule> {
        let raw = &self.constraint;
        let (logic, keys, kinds, action): (_, _, &[Kind], _) = match self.resource.as_str() {
            "network/connection" => (network(raw), NETWORK_KEYS, &[], Action::Notify),
            // A rule of its own: only requests can be held to it, and the other limits hold what exists as well.
            "compute/instance" if raw.max_bandwidth_mbps.is_some() => (network(raw), NETWORK_KEYS, &[], Action::Notify),
            "compute/instance" => (instances(raw), INSTANCE_KEYS, &[Kind::Instance], Action::Resize),
            "storage/volume" => (volumes(raw), VOLUME_KEYS, &[Kind::Volume], Action::Notify),
            "database/instance" => (databases(raw), DATABASE_KEYS, &[], Action::Notify),
            other => {
                let known = ["compute/instance", "storage/volume", "database/instance", "network/connection"];
                checker.bad_word(&at.key("resource"), "a resource type with limits", other, known);
                return None;
            }
        };
        check_keys(checker, &at.key("constraint"), raw, keys, &self.resource);
        let allowed = Allowed { severity: Severity::High, action, actions: ACTIONS, kinds };
        let common = defaults.resolve(checker, at, &self.overrides(), &allowed);
        Some(Rule {
            name: self.name.clone(),
            title: None,
            types: vec![TypePattern(self.resource.clone())],
            severity: common.severity,
            action: common.action,
            grace: common.grace,
            mode: common.mode,
            enforcement: common.at_requests(None),
            actions: None,
            logic,
            line: at.spot().line,
        })
    }
}

fn instances(raw: &Constraint) -> Logic {
    Logic::Instances(InstanceLimit {
        max_vcpus: raw.max_vcpus,
        max_memory_gib: raw.max_memory_gb,
        allowed_families: raw.allowed_instance_families.clone().unwrap_or_default(),
        denied_families: raw.denied_instance_families.clone().unwrap_or_default(),
    })
}

fn volumes(raw: &Constraint) -> Logic {
    Logic::Volumes(VolumeLimit {
        max_size_gib: raw.max_size_gb,
        allowed_types: raw.allowed_types.clone().unwrap_or_default(),
        denied_types: raw.denied_types.clone().unwrap_or_default(),
    })
}

fn databases(raw: &Constraint) -> Logic {
    Logic::Databases(DatabaseLimit { max_vcpus: raw.max_vcpus, max_storage_gib: raw.max_storage_gb })
}

fn network(raw: &Constraint) -> Logic {
    Logic::Network(NetworkLimit { max_bandwidth_mbps: raw.max_bandwidth_mbps })
}

/// A key that does not apply to the resource would be a limit that nobody enforces, so it is refused.
fn check_keys(checker: &mut Checker<'_>, at: &At<'_>, raw: &Constraint, keys: &[&str], resource: &str) {
    let all = INSTANCE_KEYS.iter().chain(VOLUME_KEYS).chain(DATABASE_KEYS).chain(NETWORK_KEYS);
    let mut given: Vec<&str> = all.copied().filter(|key| at.key(key).exists()).collect();
    given.sort_unstable();
    given.dedup();
    if given.is_empty() {
        checker.fail(at, "the constraint is empty", keys.join(", "));
    }
    for key in given.into_iter().filter(|key| !keys.contains(key)) {
        let problem = match keys {
            NETWORK_KEYS => format!("{key} stands beside maxBandwidthMbps, which needs a rule of its own"),
            _ => format!("{key} is no limit of {resource}"),
        };
        checker.fail(&at.name_of(key), problem, keys.join(", "));
    }
    let families = overlap(raw.allowed_instance_families.as_deref(), raw.denied_instance_families.as_deref());
    if let Some(family) = families {
        let problem = format!("{} is allowed and denied", family.name());
        checker.fail(&at.key("deniedInstanceFamilies"), problem, "each family in one list only");
    }
    if let Some(class) = overlap(raw.allowed_types.as_deref(), raw.denied_types.as_deref()) {
        checker.fail(
            &at.key("deniedTypes"),
            format!("{} is allowed and denied", class.name()),
            "each class in one list only",
        );
    }
}

fn overlap<T: Copy + PartialEq>(a: Option<&[T]>, b: Option<&[T]>) -> Option<T> {
    let b = b?;
    a?.iter().copied().find(|item| b.contains(item))
}
