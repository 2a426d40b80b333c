//! The gate's own list of what says that something else manages a resource: tags, EC2's `operator`, a description.
//!
//! Asked by `resource` for every act, tags included: a manager would replace, undo or fight whatever is changed. List and
//! comparison are the gate's own and shared with nobody, so that a slip in `domain::guard` is caught here and the other
//! way round; `remediate/tests/gate_alone.rs` holds both to the same markers. What AWS alone can write (`aws:`) counts
//! as a manager unless it is known to be harmless, so a service that nobody here has heard of refuses as well.

use crate::domain::resource::{Detail, Resource, Tags};
use crate::domain::text::clean;

/// Tag keys that something writes on what it manages, in lower case. A trailing star stands for any end, a leading one
/// for any beginning.
const MARKS: &[&str] = &[
    // Kubernetes in its many dresses.
    "eks:*",
    "alpha.eksctl.io/*",
    "kubernetes.io/*",
    "k8s.io/*",
    "*.k8s.io/*",
    "*.k8s.aws/*",
    "kubernetescluster",
    "karpenter.sh/*",
    "ebs.csi.aws.com/*",
    "csivolumename",
    "csivolumesnapshotname",
    // Services of AWS that write keys without its prefix.
    "awsbatch*",
    "amazonecs*",
    "dlm:*",
    "elasticbeanstalk:*",
    "opsworks:*",
    "awselasticdisasterrecovery*",
    "awsapplicationmigrationservice*",
    // Infrastructure from code.
    "*terraform*",
    "*opentofu*",
    "*pulumi*",
    "crossplane*",
    "tf-managed",
    "tf_managed",
];

/// What AWS writes on things that nothing manages; every other key of AWS's own means a service.
const OF_AWS_AND_HARMLESS: &[&str] = &["aws:createdby", "aws:ec2launchtemplate:*"];

/// Keys under which people and tools name a manager.
const NAMES_A_MANAGER: &[&str] = &[
    "managed-by",
    "managed_by",
    "managedby",
    "managed by",
    "app.kubernetes.io/managed-by",
    "provisioner",
    "provisioned-by",
];

/// Names under such a key that stand for nobody, for a person, or for this program and the one before it.
const NOBODY: &[&str] = &["", "none", "manual", "manually", "hand", "human", "costwarden", "cost-governance"];

/// Why something else is in charge of the resource, in words. Tags that are not known say nothing here.
pub(in crate::remediate) fn manager(resource: &Resource) -> Option<String> {
    let operator = match &resource.detail {
        Detail::Instance(own) => &own.operator,
        Detail::Volume(own) => &own.operator,
        Detail::Address(own) => &own.operator,
        Detail::Snapshot(own) => {
            let words = own.description.to_ascii_lowercase();
            // Both services write so, and tags can be taken away.
            if words.contains("aws backup") || words.starts_with("created for policy: policy-") {
                return Some(format!("a backup service made it ({})", clean(&own.description)));
            }
            &None
        }
        Detail::Image(_) => &None,
    };
    if let Some(operator) = operator {
        return Some(format!("EC2 calls {} its operator", clean(operator)));
    }
    resource.tags.known().and_then(of_tags)
}

fn of_tags(tags: &Tags) -> Option<String> {
    if planted!("ignore-managers") {
        return None;
    }
    let (key, value) = tags.iter().find(|(key, value)| marks(key, value))?;
    Some(format!("its tag {}={} belongs to something that manages it", clean(key), clean(value)))
}

fn marks(key: &str, value: &str) -> bool {
    let key = key.to_lowercase();
    let in_list = |list: &[&str]| list.iter().any(|pattern| fits(pattern, &key));
    if in_list(NAMES_A_MANAGER) {
        let named = value.trim().to_lowercase();
        return !NOBODY.contains(&named.as_str());
    }
    if key.starts_with("aws:") {
        return !in_list(OF_AWS_AND_HARMLESS);
    }
    in_list(MARKS)
}

/// Whether a pattern with a star at its ends, or none, is the key.
fn fits(pattern: &str, key: &str) -> bool {
    let (open, rest) = pattern.strip_prefix('*').map_or((false, pattern), |rest| (true, rest));
    let (end, middle) = rest.strip_suffix('*').map_or((false, rest), |middle| (true, middle));
    match (open, end) {
        (false, false) => key == middle,
        (false, true) => key.strip_prefix(middle).is_some(),
        (true, false) => key.strip_suffix(middle).is_some(),
        (true, true) => key.split_once(middle).is_some(),
    }
}

/// A key for each row of the lists above that count by key alone, for the test that compares them with the guards'.
#[cfg(test)]
pub(in crate::remediate) fn keys() -> Vec<String> {
    let marks = MARKS.iter().map(|pattern| pattern.replace('*', "x"));
    marks.chain(NAMES_A_MANAGER.iter().chain(OF_AWS_AND_HARMLESS).map(|key| key.replace('*', "x"))).collect()
}
