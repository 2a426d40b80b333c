//! Guards: why a resource may not be touched, whatever a policy says. Pure.
//!
//! `engine::plan` asks early, on a listing, so that people see the hold and its reason in the plan;
//! `remediate` asks again on a fresh single read right before the act. Anything that is not known refuses, except
//! what only a fresh read can know while the resource comes from a listing. `remediate::gate` repeats the decisive
//! ones by separate code. Which marker means which manager is in [`managed_by`].

use chrono::NaiveDate;

use super::Instant;
use super::fact::Fact;
use super::finding::{Act, Finding};
use super::place::Kind;
use super::plan::{HoldCode, OWN_TAGS};
use super::price::PriceBook;
use super::resource::{Instance, InstanceState, Lifecycle, Resource, Snapshot, Tags, Volume};
use super::text::clean;

/// How the resource was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// From a page of a listing, which carries no protection flags.
    Listing,
    /// By a single read just now: everything must be known.
    Fresh,
}

/// What a person has set about guarding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardRules {
    /// Never touched: resource ids, `tag:KEY=VALUE` or `tag:KEY`.
    pub protect: Vec<String>,
    /// Stop although an auto-assigned public IPv4 address is lost.
    pub allow_public_ip_loss: bool,
    /// Prefix of our own tags in the settings; `costwarden:` is always read as well.
    pub tag_prefix: String,
}

/// What a person has allowed the daemon and `apply` to do (settings, `[enforcement]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// R9; default false.
    pub allow_auto_terminate: bool,
    /// R11; default false.
    pub allow_auto_delete_volumes: bool,
    /// R8; default true.
    pub create_snapshot_before_stop: bool,
    /// How long the Recycle Bin keeps deleted snapshots, as a person claims; no snapshot is deleted where nobody does.
    pub recycle_bin_days: Option<u32>,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            allow_auto_terminate: false,
            allow_auto_delete_volumes: false,
            create_snapshot_before_stop: true,
            recycle_bin_days: None,
        }
    }
}

/// Why an act is not done on anything: switched off, or without a handler in this version.
pub fn switched_off(act: Act, switches: &Switches) -> Option<(HoldCode, String)> {
    match act {
        Act::TerminateInstance if !switches.allow_auto_terminate => Some((
            HoldCode::SwitchedOff,
            "automatic termination is disabled (allow_auto_terminate = false); manual action needed".into(),
        )),
        Act::DeleteVolume if !switches.allow_auto_delete_volumes => Some((
            HoldCode::SwitchedOff,
            "automatic deletion of volumes is disabled (allow_auto_delete_volumes = false); manual action needed"
                .into(),
        )),
        Act::DeleteSnapshot if switches.recycle_bin_days.is_none() => Some((
            HoldCode::SwitchedOff,
            "deleting snapshots is off: the settings name no Recycle Bin rule that would keep them \
             (recycle_bin_days); manual action needed"
                .into(),
        )),
        Act::TerminateInstance | Act::ResizeInstance | Act::StopInstance | Act::DeleteVolume | Act::AddTags => None,
        Act::SendNotification | Act::ModifyVolume | Act::ReleaseAddress | Act::DeleteSnapshot => None,
        Act::ExpireSnapshot | Act::ExpireImage => None,
    }
}

/// Why `act` must not happen to `resource`; `None` when no guard objects. The first reason in order of weight.
pub fn refusal(
    act: Act,
    resource: &Resource,
    rules: &GuardRules,
    prices: &PriceBook,
    reading: Reading,
) -> Option<(HoldCode, String)> {
    if !act.changes_cloud() {
        return None;
    }
    let tags = match &resource.tags {
        Fact::Known(tags) => tags.clone(),
        Fact::Absent => Tags::default(),
        Fact::Unknown(why) => return Some((HoldCode::Incomplete, format!("its tags could not be read: {why}"))),
    };
    if planted!("blind-the-guards") {
        return None;
    }
    if act.expires() {
        return expiring(act, resource, &tags, rules);
    }
    protection(resource, &tags, rules, reading)
        .map(|why| (HoldCode::Protected, why))
        .or_else(|| managed_by(resource).map(|why| (HoldCode::Managed, why)))
        .or_else(|| wrong_state(act, resource).map(|why| (HoldCode::ReportedOnly, why)))
        .or_else(|| particulars(act, resource, reading))
        .or_else(|| match (&act, resource.instance()) {
            (Act::StopInstance | Act::TerminateInstance | Act::ResizeInstance, Some(instance)) => {
                outage(instance, rules, prices)
            }
            _ => None,
        })
}

/// Why people's word keeps a freshly read resource from any change: the protecting tag, the settings' list, EC2's own
/// flags. Tags or flags that could not be read keep it as well. For what no act of a policy does; those ask [`refusal`].
pub fn protected(resource: &Resource, rules: &GuardRules) -> Option<String> {
    match &resource.tags {
        Fact::Known(tags) => protection(resource, tags, rules, Reading::Fresh),
        Fact::Absent => protection(resource, &Tags::default(), rules, Reading::Fresh),
        Fact::Unknown(why) => Some(format!("its tags could not be read: {why}")),
    }
}

/// Why a backup of our own stays although its time is over. The tag that protects it from every other act is what makes
/// it one of ours.
fn expiring(act: Act, resource: &Resource, tags: &Tags, rules: &GuardRules) -> Option<(HoldCode, String)> {
    let protected = |why: &str| Some((HoldCode::Protected, why.to_owned()));
    match act {
        Act::ExpireSnapshot if resource.snapshot().is_none() => return protected("it is no snapshot"),
        Act::ExpireImage if resource.image().is_none() => return protected("it is no image"),
        _ => {}
    }
    if tags.get(&format!("{OWN_TAGS}safety-snapshot")).is_none() {
        return protected("it is no safety snapshot of ours");
    }
    if protect_tag(tags, &rules.tag_prefix).is_some() && !planted!("expire-what-people-keep") {
        return protected("the tag costwarden:protect refuses every act");
    }
    if let Some(entry) = rules.protect.iter().find(|entry| listed(entry, resource, tags)) {
        return Some((HoldCode::Protected, format!("the protect list of the settings names it ({})", clean(entry))));
    }
    if let Some(image) = resource.image() {
        return match (&image.user, &image.shared, &image.protected) {
            (Fact::Absent, Fact::Known(false), Fact::Known(false)) => None,
            (Fact::Known(user), ..) => Some((HoldCode::ReportedOnly, format!("{} uses it", clean(user)))),
            _ => protected("it is shared or protected, or whether it is shared, protected or used is not known"),
        };
    }
    match resource.snapshot().map(|snapshot| (&snapshot.image, &snapshot.locked)) {
        Some((Fact::Absent, Fact::Known(false) | Fact::Absent)) => None,
        Some((Fact::Known(image), _)) => Some((HoldCode::ReportedOnly, format!("image {} uses it", clean(image)))),
        _ => protected("it is locked, or whether it is locked or used is not known"),
    }
}

/// What manages the resource and would fight us, or replace it, or break: from its tags and EC2's `operator` field.
/// `None` when nothing says so; unknown tags say nothing here, [`refusal`] refuses those.
pub fn managed_by(resource: &Resource) -> Option<String> {
    use super::resource::Detail;
    let operator = match &resource.detail {
        Detail::Instance(instance) => instance.operator.as_deref(),
        Detail::Volume(volume) => volume.operator.as_deref(),
        Detail::Address(address) => address.operator.as_deref(),
        Detail::Snapshot(snapshot) => return by_description(snapshot).or_else(|| by_tags(resource)),
        Detail::Image(_) => None,
    };
    if let Some(operator) = operator {
        return Some(format!("EC2 says that {} operates it", clean(operator)));
    }
    by_tags(resource)
}

fn by_tags(resource: &Resource) -> Option<String> {
    let tags = resource.tags.known()?;
    tags.iter().filter(|_| !planted!("ignore-managers")).find_map(|(key, value)| marker(key, value))
}

/// AWS Backup and Data Lifecycle Manager write what they make into the description as well as into tags, and tags can be
/// taken away.
fn by_description(snapshot: &Snapshot) -> Option<String> {
    let text = snapshot.description.to_lowercase();
    let who = if text.contains("aws backup") {
        "AWS Backup"
    } else if text.starts_with("created for policy: policy-") {
        "Data Lifecycle Manager"
    } else {
        return None;
    };
    Some(format!("it is managed by {who} (description {})", clean(&snapshot.description)))
}

/// Why a keep-until tag on the resource as read now forbids an act on it. A tag that the last scan has seen already
/// holds as long as `finding` says (90 days at most); a new one, or one that is no date, holds whatever it says.
pub fn keep_until(resource: &Resource, prefix: &str, finding: &Finding, now: Instant) -> Option<String> {
    let text = keep_tag(resource.tags.known()?, prefix)?;
    let Ok(day) = text.trim().parse::<NaiveDate>() else {
        return Some(format!(
            "the tag {OWN_TAGS}keep-until={} is no date; write YYYY-MM-DD, or remove the tag to let the rule act",
            clean(text)
        ));
    };
    let day = match finding.keep_until {
        Some(kept) if finding.keep_tag.as_deref() == Some(text) => kept,
        _ => day,
    };
    (day >= now.date_naive()).then(|| format!("the tag {OWN_TAGS}keep-until holds through {day}"))
}

/// The keep-until tag that holds longest, where a resource has one under each prefix: one that is no date before any date.
pub fn keep_tag<'a>(tags: &'a Tags, prefix: &str) -> Option<&'a str> {
    let end = |text: &str| text.trim().parse::<NaiveDate>().unwrap_or(NaiveDate::MAX);
    own_tags(tags, prefix, "keep-until").max_by_key(|text| end(text))
}

/// What protects, where one of the tags that can does not say "false".
fn protect_tag<'a>(tags: &'a Tags, prefix: &str) -> Option<&'a str> {
    own_tags(tags, prefix, "protect").find(|value| !value.trim().eq_ignore_ascii_case("false"))
}

/// One of our own tags, under `costwarden:` and under the prefix of the settings. Whoever wrote either means it, so
/// that one never hides the other.
fn own_tags<'a>(tags: &'a Tags, prefix: &str, name: &str) -> impl Iterator<Item = &'a str> {
    let prefixes = [Some(OWN_TAGS), Some(prefix).filter(|prefix| !prefix.is_empty())];
    prefixes.map(|prefix| prefix.and_then(|prefix| tags.get(&format!("{prefix}{name}")))).into_iter().flatten()
}

fn protection(resource: &Resource, tags: &Tags, rules: &GuardRules, reading: Reading) -> Option<String> {
    if own_tags(tags, &rules.tag_prefix, "safety-snapshot").next().is_some() {
        return Some("it is a safety snapshot of ours".into());
    }
    if let Some(value) = protect_tag(tags, &rules.tag_prefix)
        && !planted!("ignore-the-protect-tag")
    {
        return Some(format!("the tag {OWN_TAGS}protect={} refuses every act", clean(value)));
    }
    if let Some(entry) =
        rules.protect.iter().find(|entry| listed(entry, resource, tags) && !planted!("ignore-the-protect-list"))
    {
        return Some(format!("the protect list of the settings names it ({})", clean(entry)));
    }
    let instance = resource.instance()?;
    for (flag, name) in
        [(&instance.termination_protected, "termination protection"), (&instance.stop_protected, "stop protection")]
    {
        match flag {
            Fact::Known(true) if planted!("ignore-protection-flags") => {}
            Fact::Known(true) => return Some(format!("{name} is on; nobody here switches it off")),
            Fact::Unknown(why) if reading == Reading::Fresh => {
                return Some(format!("{name} could not be read ({why}), so it counts as on"));
            }
            Fact::Known(false) | Fact::Absent | Fact::Unknown(_) => {}
        }
    }
    None
}

/// Whether an entry of the protect list names the resource.
fn listed(entry: &str, resource: &Resource, tags: &Tags) -> bool {
    match entry.strip_prefix("tag:") {
        None => *entry == *resource.key.id || entry == resource.key.to_string(),
        Some(tag) => match tag.split_once('=') {
            Some((key, value)) => tags.get(key) == Some(value),
            None => tags.get(tag).is_some(),
        },
    }
}

fn wrong_state(act: Act, resource: &Resource) -> Option<String> {
    match (act, resource.instance(), resource.volume()) {
        (Act::StopInstance, Some(instance), _) => (instance.state != InstanceState::Running)
            .then(|| format!("it is {}, not running", clean(instance.state.as_str()))),
        (Act::TerminateInstance | Act::ResizeInstance, Some(instance), _) => {
            (!matches!(instance.state, InstanceState::Running | InstanceState::Stopped))
                .then(|| format!("it is {}, neither running nor stopped", clean(instance.state.as_str())))
        }
        (Act::DeleteVolume, _, Some(volume)) => in_use(volume),
        (Act::ModifyVolume, _, Some(volume)) => match (&*volume.state, &*volume.volume_type) {
            ("available" | "in-use", "gp2") => None,
            ("available" | "in-use", other) => Some(format!("it is of type {}, not gp2", clean(other))),
            (state, _) => Some(format!("it is {}", clean(state))),
        },
        (Act::ReleaseAddress, None, None) if resource.address().is_some() => {
            (!resource.lies_idle()).then(|| "it is associated with something".to_owned())
        }
        (Act::DeleteSnapshot, None, None) if resource.snapshot().is_some() => {
            let snapshot = resource.snapshot()?;
            match (&*snapshot.state, &*snapshot.storage_tier) {
                ("completed", "standard") => None,
                ("completed", tier) => Some(format!("it is in the storage tier {}", clean(tier))),
                (state, _) => Some(format!("it is {}, not completed", clean(state))),
            }
        }
        (Act::AddTags, Some(instance), _) => {
            use InstanceState::{Pending, Running, Stopped, Stopping};
            (!matches!(instance.state, Pending | Running | Stopping | Stopped))
                .then(|| format!("it is {}", clean(instance.state.as_str())))
        }
        (Act::AddTags, _, Some(volume)) => {
            (!matches!(&*volume.state, "available" | "in-use")).then(|| format!("it is {}", clean(&volume.state)))
        }
        (Act::AddTags, None, None) => match resource.kind() {
            Kind::Snapshot | Kind::Address | Kind::Image => None,
            Kind::Instance | Kind::Volume => Some("its details do not fit its kind".into()),
        },
        (act, _, _) => Some(format!("{} is nothing that can be done to a {}", act.word(), resource.kind().noun())),
    }
}

/// What only a fresh read asks for, and what follows from it. Not asked is as good as not known then.
fn particulars(act: Act, resource: &Resource, reading: Reading) -> Option<(HoldCode, String)> {
    let fresh = reading == Reading::Fresh;
    match (act, resource.volume(), resource.snapshot()) {
        (Act::ModifyVolume, Some(volume), _) => match &volume.modification {
            Fact::Known(last) if !matches!(&*last.state, "completed" | "failed") => {
                Some((HoldCode::ReportedOnly, format!("EBS is still {} it", clean(&last.state))))
            }
            Fact::Unknown(why) if fresh => {
                Some((HoldCode::Incomplete, format!("when it was last changed is not known: {why}")))
            }
            Fact::Known(_) | Fact::Absent | Fact::Unknown(_) => None,
        },
        (Act::DeleteSnapshot, _, Some(snapshot)) => match (&snapshot.image, &snapshot.locked) {
            (Fact::Known(image), _) => Some((HoldCode::ReportedOnly, format!("image {} uses it", clean(image)))),
            (_, Fact::Known(true)) => Some((HoldCode::Protected, "a snapshot lock holds; nobody here opens it".into())),
            (Fact::Unknown(why), _) if fresh => {
                Some((HoldCode::Incomplete, format!("whether an image uses it is not known: {why}")))
            }
            (_, Fact::Unknown(why)) if fresh => Some((
                HoldCode::Protected,
                format!("whether it is locked is not known ({why}), so it counts as locked"),
            )),
            _ => None,
        },
        _ => None,
    }
}

fn in_use(volume: &Volume) -> Option<String> {
    if let Some(attachment) = volume.attachments.first() {
        return Some(format!("it is attached to {} ({})", clean(&attachment.instance), clean(&attachment.state)));
    }
    (&*volume.state != "available").then(|| format!("it is {}, not available", clean(&volume.state)))
}

/// What would be lost, or would not work, when an instance stops.
fn outage(instance: &Instance, rules: &GuardRules, prices: &PriceBook) -> Option<(HoldCode, String)> {
    match &instance.lifecycle {
        Lifecycle::OnDemand => {}
        Lifecycle::Spot if planted!("stop-spot-instances") => {}
        Lifecycle::Spot => {
            return Some((HoldCode::NotAvailable, "it is a spot instance: its request may start another".into()));
        }
        Lifecycle::Other(word) => {
            return Some((HoldCode::NotAvailable, format!("it was bought as {}, not on demand", clean(word))));
        }
    }
    match &instance.instance_store {
        Fact::Known(false) | Fact::Absent => {}
        Fact::Known(true) if planted!("ignore-local-disks") => {}
        Fact::Known(true) => return Some((HoldCode::WouldLose, "its instance-store disks would be lost".into())),
        Fact::Unknown(why) => {
            return Some((HoldCode::WouldLose, format!("it may have instance-store disks: {why}")));
        }
    }
    match prices.types.get(&instance.instance_type).and_then(|spec| spec.instance_storage) {
        Some(true) if planted!("ignore-local-disks") => {}
        Some(false) => {}
        Some(true) => {
            let reason = format!("type {} has local disks, which would be lost", clean(&instance.instance_type));
            return Some((HoldCode::WouldLose, reason));
        }
        None => {
            let reason = format!(
                "type {} is not in the type table, so whether it has local disks is not known",
                clean(&instance.instance_type)
            );
            return Some((HoldCode::WouldLose, reason));
        }
    }
    if rules.allow_public_ip_loss || planted!("lose-the-public-address") {
        return None;
    }
    match &instance.auto_public_ip {
        Fact::Absent => None,
        Fact::Known(address) => Some((
            HoldCode::WouldLose,
            format!("its public IPv4 address {} is auto-assigned and would be lost", clean(address)),
        )),
        Fact::Unknown(why) => Some((HoldCode::WouldLose, format!("it may lose a public IPv4 address: {why}"))),
    }
}

/// How a marker's key is compared, in lower case.
enum Match {
    /// The whole key.
    Key(&'static str),
    /// Its beginning.
    Begins(&'static str),
    /// Any part of it.
    Contains(&'static str),
}

use Match::{Begins, Contains, Key};

/// Tag keys that say who manages a resource. The first match names the manager.
const MARKERS: &[(Match, &str)] = &[
    (Key("aws:autoscaling:groupname"), "an Auto Scaling group, which would replace it"),
    (Begins("aws:autoscaling:"), "Auto Scaling"),
    (Begins("eks:"), "an EKS cluster"),
    (Begins("aws:eks:"), "an EKS cluster"),
    (Begins("alpha.eksctl.io/"), "eksctl"),
    (Begins("kubernetes.io/"), "a Kubernetes cluster"),
    (Begins("k8s.io/"), "a Kubernetes cluster"),
    (Contains(".k8s.io/"), "a Kubernetes cluster"),
    (Contains(".k8s.aws/"), "a Kubernetes cluster"),
    (Key("kubernetescluster"), "a Kubernetes cluster"),
    (Begins("karpenter.sh/"), "Karpenter"),
    (Begins("ebs.csi.aws.com/"), "the EBS CSI driver of a Kubernetes cluster"),
    (Key("csivolumename"), "the EBS CSI driver of a Kubernetes cluster"),
    (Key("csivolumesnapshotname"), "the EBS CSI driver of a Kubernetes cluster"),
    (Begins("aws:cloudformation:"), "a CloudFormation stack"),
    (Begins("aws:elasticmapreduce:"), "an EMR cluster"),
    (Begins("awsbatch"), "AWS Batch"),
    (Begins("aws:batch:"), "AWS Batch"),
    (Begins("aws:ecs:"), "ECS"),
    (Begins("amazonecs"), "ECS"),
    (Begins("aws:servicecatalog:"), "a Service Catalog product"),
    (Begins("aws:backup:"), "AWS Backup"),
    (Begins("aws:dlm:"), "Data Lifecycle Manager"),
    (Begins("dlm:"), "Data Lifecycle Manager"),
    (Begins("elasticbeanstalk:"), "Elastic Beanstalk"),
    (Begins("opsworks:"), "OpsWorks"),
    (Begins("aws:ec2:fleet-id"), "an EC2 Fleet"),
    (Begins("aws:ec2spot:"), "a Spot Fleet"),
    (Begins("awselasticdisasterrecovery"), "Elastic Disaster Recovery"),
    (Begins("awsapplicationmigrationservice"), "Application Migration Service"),
    (Key("aws:createdby"), ""),
    (Begins("aws:ec2launchtemplate:"), ""),
    // AWS alone can write these, and each that is not known to be harmless belongs to a service.
    (Begins("aws:"), "an AWS service"),
    (Contains("terraform"), "Terraform"),
    (Contains("opentofu"), "OpenTofu"),
    (Key("tf-managed"), "Terraform"),
    (Key("tf_managed"), "Terraform"),
    (Contains("pulumi"), "Pulumi"),
    (Begins("crossplane"), "Crossplane"),
];

/// Keys whose value names the manager.
const MANAGER_KEYS: [&str; 7] = [
    "managed-by",
    "managed_by",
    "managedby",
    "managed by",
    "app.kubernetes.io/managed-by",
    "provisioner",
    "provisioned-by",
];

/// Values of those keys that mean a person, nobody, or the tag that S1's own tool wrote (R12).
const NO_MANAGER: [&str; 8] = ["", "manual", "manually", "human", "hand", "none", "costwarden", "cost-governance"];

/// What one tag says about a manager.
fn marker(key: &str, value: &str) -> Option<String> {
    let lower = key.to_lowercase();
    if MANAGER_KEYS.contains(&lower.as_str()) {
        return (!NO_MANAGER.contains(&value.trim().to_lowercase().as_str()))
            .then(|| format!("it is managed by {} (tag {})", clean(value), clean(key)));
    }
    let (_, who) = MARKERS.iter().find(|(matched, _)| match matched {
        Key(text) => lower == *text,
        Begins(text) => lower.starts_with(text),
        Contains(text) => lower.contains(text),
    })?;
    (!who.is_empty()).then(|| format!("it is managed by {who} (tag {}={})", clean(key), clean(value)))
}

/// A key for each row of [`MARKERS`] and of [`MANAGER_KEYS`], for the test that compares them with the gate's own.
#[cfg(test)]
pub(crate) fn marker_keys() -> Vec<String> {
    let markers = MARKERS.iter().map(|(matched, _)| match matched {
        Key(text) => (*text).to_owned(),
        Begins(text) => format!("{text}x"),
        Contains(text) => format!("x{text}x"),
    });
    markers.chain(MANAGER_KEYS.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::money::Rate;
    use super::super::place::{AccountId, Place, Region};
    use super::super::price::TypeSpec;
    use super::super::resource::{Address, Attachment, Detail, Modification};
    use super::super::text::Str;
    use super::*;

    const ACTS: [Act; 8] = [
        Act::StopInstance,
        Act::TerminateInstance,
        Act::ResizeInstance,
        Act::DeleteVolume,
        Act::ModifyVolume,
        Act::ReleaseAddress,
        Act::DeleteSnapshot,
        Act::AddTags,
    ];

    type Change = fn(&mut Instance);

    fn now() -> Instant {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn prices() -> PriceBook {
        let spec = |local| TypeSpec {
            vcpus: Some(2),
            memory_mib: Some(8_192),
            arch: None,
            gpus: None,
            instance_storage: local,
            hourly: None,
        };
        PriceBook {
            region: Region::new("us-east-1").unwrap(),
            date: "2026-08-01".parse().unwrap(),
            source: "a test".into(),
            types: [("m5.large", Some(false)), ("m5d.large", Some(true)), ("x9.odd", None)]
                .map(|(name, local)| (Str::from(name), spec(local)))
                .into(),
            volume_gb_month: Default::default(),
            volume_iops_month: Default::default(),
            volume_throughput_month: Default::default(),
            snapshot_gb_month: Rate(0),
            snapshot_archive_gb_month: Rate(0),
            public_ipv4_hour: Rate(0),
            by_series: Default::default(),
        }
    }

    fn place() -> Place {
        Place { account: AccountId::new("123456789012").unwrap(), region: Region::new("eu-central-1").unwrap() }
    }

    fn instance(change: impl FnOnce(&mut Instance)) -> Resource {
        let mut detail = Instance {
            state: InstanceState::Running,
            instance_type: "m5.large".into(),
            zone: "eu-central-1a".into(),
            platform: Fact::Known("Linux/UNIX".into()),
            lifecycle: Lifecycle::OnDemand,
            volumes: Box::default(),
            instance_store: Fact::Known(false),
            auto_public_ip: Fact::Absent,
            operator: None,
            termination_protected: Fact::Known(false),
            stop_protected: Fact::Known(false),
            state_since: Fact::Absent,
            image: None,
            subnet: None,
            private_ip: None,
        };
        change(&mut detail);
        Resource {
            key: place().partition(Kind::Instance).key("i-0a1b"),
            tags: Fact::Known(Tags::default()),
            created_at: Fact::Known(now()),
            detail: Detail::Instance(Box::new(detail)),
        }
    }

    fn volume(change: impl FnOnce(&mut Volume)) -> Resource {
        let mut detail = Volume {
            state: "available".into(),
            size_gib: 8,
            volume_type: "gp3".into(),
            iops: None,
            throughput: None,
            zone: "eu-central-1a".into(),
            kms_key: None,
            encrypted: false,
            attachments: Box::default(),
            operator: None,
            modification: Fact::Absent,
        };
        change(&mut detail);
        Resource {
            key: place().partition(Kind::Volume).key("vol-0a1b"),
            tags: Fact::Known(Tags::default()),
            created_at: Fact::Known(now()),
            detail: Detail::Volume(Box::new(detail)),
        }
    }

    fn tagged(mut resource: Resource, tags: &[(&str, &str)]) -> Resource {
        resource.tags = Fact::Known(Tags::of(tags));
        resource
    }

    fn fresh(act: Act, resource: &Resource) -> Option<HoldCode> {
        refusal(act, resource, &GuardRules::default(), &prices(), Reading::Fresh).map(|(code, _)| code)
    }

    /// A resource on which the act is possible.
    fn healthy(act: Act) -> Resource {
        match act {
            Act::DeleteVolume => volume(|_| {}),
            Act::ModifyVolume => volume(|volume| volume.volume_type = "gp2".into()),
            Act::ReleaseAddress => address(|_| {}),
            Act::DeleteSnapshot => snapshot(|_| {}),
            _ => instance(|_| {}),
        }
    }

    fn address(change: impl FnOnce(&mut Address)) -> Resource {
        let mut resource = plain(Kind::Address, "eipalloc-0a1b");
        let mut detail = Address {
            public_ip: "203.0.113.9".into(),
            association: None,
            instance: None,
            network_interface: None,
            operator: None,
            pool: Some("amazon".into()),
            border_group: None,
        };
        change(&mut detail);
        resource.detail = Detail::Address(Box::new(detail));
        resource
    }

    fn snapshot(change: impl FnOnce(&mut Snapshot)) -> Resource {
        let mut resource = plain(Kind::Snapshot, "snap-0a1b");
        let mut detail = Snapshot {
            state: "completed".into(),
            progress: Fact::Known(100),
            volume: "vol-0a1b".into(),
            volume_size_gib: 8,
            kms_key: None,
            storage_tier: "standard".into(),
            description: "".into(),
            image: Fact::Absent,
            locked: Fact::Known(false),
        };
        change(&mut detail);
        resource.detail = Detail::Snapshot(Box::new(detail));
        resource
    }

    fn plain(kind: Kind, id: &str) -> Resource {
        Resource { key: place().partition(kind).key(id), ..volume(|_| {}) }
    }

    #[test]
    fn nothing_objects_to_a_plain_resource_in_the_right_state() {
        for act in ACTS {
            assert_eq!(fresh(act, &healthy(act)), None, "{act}");
        }
    }

    #[test]
    fn r9_r11_terminate_and_delete_are_off_until_a_person_switches_them_on() {
        let off = Switches::default();
        let (code, words) = switched_off(Act::TerminateInstance, &off).unwrap();
        assert_eq!(code, HoldCode::SwitchedOff);
        assert!(words.contains("disabled") && words.contains("manual action needed"), "{words}");
        let (code, words) = switched_off(Act::DeleteVolume, &off).unwrap();
        assert_eq!(code, HoldCode::SwitchedOff);
        assert!(words.contains("disabled") && words.contains("manual action needed"), "{words}");
        let on = Switches { allow_auto_terminate: true, allow_auto_delete_volumes: true, ..off };
        assert_eq!(switched_off(Act::DeleteVolume, &on), None);
        assert_eq!(switched_off(Act::TerminateInstance, &on), None);
        assert_eq!(switched_off(Act::ResizeInstance, &off), None, "its way back is its own kind of backup");
        assert_eq!(switched_off(Act::StopInstance, &off), None);
    }

    #[test]
    fn h18_twelve_markers_refuse_every_act() {
        let markers = [
            ("aws:autoscaling:groupName", "web"),
            ("eks:cluster-name", "prod"),
            ("kubernetes.io/cluster/prod", "owned"),
            ("aws:cloudformation:stack-name", "net"),
            ("aws:elasticmapreduce:job-flow-id", "j-1"),
            ("AWSBatchServiceTag", "batch"),
            ("aws:servicecatalog:productArn", "arn"),
            ("aws:backup:source-resource", "x"),
            ("dlm:managed", "true"),
            ("ebs.csi.aws.com/cluster", "true"),
            ("kubernetes.io/created-for/pvc/name", "data"),
            ("managed-by", "Terraform"),
            ("CSIVolumeName", "pvc-1"),
            ("tf-managed", "true"),
            ("my-terraform-workspace", "x"),
            ("ManagedBy", "pulumi"),
            ("aws:something-new:id", "x"),
        ];
        for marker in markers {
            for act in ACTS {
                let resource = tagged(healthy(act), &[marker]);
                assert_eq!(fresh(act, &resource), Some(HoldCode::Managed), "{marker:?} {act}");
            }
        }
        for act in ACTS {
            let operated = match act {
                Act::DeleteVolume | Act::ModifyVolume => volume(|volume| volume.operator = Some("workspaces".into())),
                Act::ReleaseAddress => address(|address| address.operator = Some("nat".into())),
                Act::DeleteSnapshot => snapshot(|snapshot| {
                    snapshot.description = "This snapshot is created by the AWS Backup service.".into();
                }),
                _ => instance(|instance| instance.operator = Some("eks".into())),
            };
            assert_eq!(fresh(act, &operated), Some(HoldCode::Managed), "{act}");
        }
    }

    #[test]
    fn tags_that_name_no_manager_do_not_refuse() {
        let tags = [("managed-by", "manual"), ("aws:ec2launchtemplate:id", "lt-1"), ("team", "platform")];
        assert_eq!(fresh(Act::StopInstance, &tagged(instance(|_| {}), &tags)), None);
    }

    #[test]
    fn h22_protection_means_no_and_an_unread_flag_counts_as_on() {
        let cases: [(&str, Change); 4] = [
            ("termination", |instance| instance.termination_protected = Fact::Known(true)),
            ("stop", |instance| instance.stop_protected = Fact::Known(true)),
            ("termination unknown", |instance| instance.termination_protected = Fact::unknown("denied")),
            ("stop unknown", |instance| instance.stop_protected = Fact::unknown("denied")),
        ];
        for (name, change) in cases {
            for act in [Act::StopInstance, Act::TerminateInstance, Act::ResizeInstance, Act::AddTags] {
                assert_eq!(fresh(act, &instance(change)), Some(HoldCode::Protected), "{name} {act}");
            }
        }
        let listed = instance(|instance| instance.stop_protected = Fact::unknown("a listing does not say"));
        let reading = Reading::Listing;
        assert_eq!(refusal(Act::StopInstance, &listed, &GuardRules::default(), &prices(), reading), None);
    }

    #[test]
    fn h10_a_protect_or_keep_until_tag_under_either_prefix_counts_whatever_the_other_says() {
        let rules = GuardRules { tag_prefix: "acme:".into(), ..GuardRules::default() };
        for (told, ours, refuses) in
            [("false", "true", true), ("true", "false", true), ("false", " False ", false), ("", "false", true)]
        {
            for act in ACTS {
                let both = tagged(healthy(act), &[("costwarden:protect", told), ("acme:protect", ours)]);
                let answer = refusal(act, &both, &rules, &prices(), Reading::Fresh);
                assert_eq!(answer.is_some(), refuses, "{act} {told:?} {ours:?}");
            }
        }
        let longest = |told: &str, ours: &str| {
            let tags = Tags::of(&[("costwarden:keep-until", told), ("acme:keep-until", ours)]);
            keep_tag(&tags, "acme:").map(str::to_owned)
        };
        assert_eq!(longest("2020-01-01", "2030-01-01").as_deref(), Some("2030-01-01"));
        assert_eq!(longest("2030-01-01", "2020-01-01").as_deref(), Some("2030-01-01"));
        assert_eq!(longest("2030-01-01", "for ever").as_deref(), Some("for ever"));
        let foreign = Tags::of(&[("other:keep-until", "2030-01-01"), ("keep-until", "2030-01-01")]);
        assert_eq!((keep_tag(&foreign, "acme:"), keep_tag(&foreign, "")), (None, None));
    }

    #[test]
    fn the_protect_tag_and_the_protect_list_refuse_every_act() {
        for act in ACTS {
            let by_tag = tagged(healthy(act), &[("costwarden:protect", "true")]);
            assert_eq!(fresh(act, &by_tag), Some(HoldCode::Protected), "{act}");
            let plain = tagged(healthy(act), &[("env", "prod")]);
            let id = plain.key.id.to_string();
            for (entry, refuses) in [
                (id.as_str(), true),
                ("tag:env=prod", true),
                ("tag:env", true),
                ("tag:env=dev", false),
                ("i-0a", false),
            ] {
                let rules = GuardRules { protect: vec![entry.into()], ..GuardRules::default() };
                let answer = refusal(act, &plain, &rules, &prices(), Reading::Fresh);
                assert_eq!(answer.is_some(), refuses, "{act} {entry}");
            }
        }
    }

    #[test]
    fn h12_local_disks_refuse_by_block_map_by_type_and_when_unknown() {
        let cases: [Change; 4] = [
            |instance| instance.instance_store = Fact::Known(true),
            |instance| instance.instance_store = Fact::unknown("no block map"),
            |instance| instance.instance_type = "m5d.large".into(),
            |instance| instance.instance_type = "new9.large".into(),
        ];
        for change in cases {
            for act in [Act::StopInstance, Act::TerminateInstance, Act::ResizeInstance] {
                assert_eq!(fresh(act, &instance(change)), Some(HoldCode::WouldLose), "{act}");
            }
        }
        assert_eq!(
            fresh(Act::StopInstance, &instance(|instance| instance.instance_type = "x9.odd".into())),
            Some(HoldCode::WouldLose)
        );
    }

    #[test]
    fn h23_an_auto_assigned_address_refuses_unless_allowed() {
        let lost = instance(|instance| instance.auto_public_ip = Fact::Known("203.0.113.7".into()));
        assert_eq!(fresh(Act::StopInstance, &lost), Some(HoldCode::WouldLose));
        let unknown = instance(|instance| instance.auto_public_ip = Fact::unknown("not read"));
        assert_eq!(fresh(Act::StopInstance, &unknown), Some(HoldCode::WouldLose));
        let rules = GuardRules { allow_public_ip_loss: true, ..GuardRules::default() };
        assert_eq!(refusal(Act::StopInstance, &lost, &rules, &prices(), Reading::Fresh), None);
    }

    #[test]
    fn h24_only_on_demand_instances_are_stopped() {
        for lifecycle in [Lifecycle::Spot, Lifecycle::Other("capacity-block".into())] {
            for act in [Act::StopInstance, Act::TerminateInstance, Act::ResizeInstance] {
                let resource = instance(|instance| instance.lifecycle = lifecycle.clone());
                assert_eq!(fresh(act, &resource), Some(HoldCode::NotAvailable), "{lifecycle:?} {act}");
            }
        }
    }

    #[test]
    fn a_wrong_or_unknown_state_refuses() {
        for word in ["pending", "stopping", "stopped", "shutting-down", "terminated", "paused"] {
            let resource = instance(|instance| instance.state = InstanceState::from_word(word));
            assert!(fresh(Act::StopInstance, &resource).is_some(), "{word}");
        }
        for word in ["creating", "in-use", "deleting", "deleted", "error", "archived"] {
            assert!(fresh(Act::DeleteVolume, &volume(|volume| volume.state = word.into())).is_some(), "{word}");
        }
        let attached = volume(|volume| {
            volume.attachments = Box::new([Attachment {
                instance: "i-0a1b".into(),
                device: "/dev/sdf".into(),
                state: "attaching".into(),
                delete_on_termination: false,
            }]);
        });
        assert!(fresh(Act::DeleteVolume, &attached).is_some(), "state still says available");
    }

    #[test]
    fn only_a_gp2_volume_at_rest_is_modified_and_what_was_not_asked_refuses() {
        let at_rest = |state: &str| {
            let last = Modification { state: state.into(), begun: now() };
            volume(|volume| {
                volume.volume_type = "gp2".into();
                volume.modification = Fact::Known(Box::new(last));
            })
        };
        assert_eq!(fresh(Act::ModifyVolume, &at_rest("completed")), None);
        assert_eq!(fresh(Act::ModifyVolume, &at_rest("failed")), None);
        for state in ["modifying", "optimizing", "new-word"] {
            assert_eq!(fresh(Act::ModifyVolume, &at_rest(state)), Some(HoldCode::ReportedOnly), "{state}");
        }
        let mut unread = healthy(Act::ModifyVolume);
        if let Detail::Volume(volume) = &mut unread.detail {
            volume.modification = Fact::unknown("denied");
        }
        assert_eq!(fresh(Act::ModifyVolume, &unread), Some(HoldCode::Incomplete));
        let listed = refusal(Act::ModifyVolume, &unread, &GuardRules::default(), &prices(), Reading::Listing);
        assert_eq!(listed, None, "a listing cannot know");
        assert_eq!(fresh(Act::ModifyVolume, &volume(|_| {})), Some(HoldCode::ReportedOnly), "gp3 already");
    }

    #[test]
    fn an_address_that_leads_anywhere_is_not_released() {
        let cases: [fn(&mut Address); 3] = [
            |own| own.association = Some("eipassoc-1".into()),
            |own| own.instance = Some("i-1".into()),
            |own| own.network_interface = Some("eni-1".into()),
        ];
        for (number, change) in cases.into_iter().enumerate() {
            assert_eq!(fresh(Act::ReleaseAddress, &address(change)), Some(HoldCode::ReportedOnly), "{number}");
        }
    }

    #[test]
    fn a_snapshot_that_is_used_locked_archived_or_anothers_is_not_deleted() {
        type Case = (&'static str, fn(&mut Snapshot), HoldCode);
        let cases: [Case; 9] = [
            ("used", |own| own.image = Fact::Known("ami-1".into()), HoldCode::ReportedOnly),
            ("may be used", |own| own.image = Fact::unknown("cut"), HoldCode::Incomplete),
            ("locked", |own| own.locked = Fact::Known(true), HoldCode::Protected),
            ("may be locked", |own| own.locked = Fact::unknown("denied"), HoldCode::Protected),
            ("archived", |own| own.storage_tier = "archive".into(), HoldCode::ReportedOnly),
            ("of an unknown tier", |own| own.storage_tier = "".into(), HoldCode::ReportedOnly),
            ("pending", |own| own.state = "pending".into(), HoldCode::ReportedOnly),
            ("AWS Backup's", |own| own.description = "created by the AWS Backup service".into(), HoldCode::Managed),
            ("DLM's", |own| own.description = "Created for policy: policy-0a schedule: x".into(), HoldCode::Managed),
        ];
        for (name, change, code) in cases {
            assert_eq!(fresh(Act::DeleteSnapshot, &snapshot(change)), Some(code), "{name}");
        }
        let ours = tagged(snapshot(|_| {}), &[("costwarden:safety-snapshot", "true")]);
        assert_eq!(fresh(Act::DeleteSnapshot, &ours), Some(HoldCode::Protected), "H26");
        assert_eq!(switched_off(Act::DeleteSnapshot, &Switches::default()).unwrap().0, HoldCode::SwitchedOff);
        let claimed = Switches { recycle_bin_days: Some(30), ..Switches::default() };
        assert_eq!(switched_off(Act::DeleteSnapshot, &claimed), None);
    }

    #[test]
    fn h01_unknown_tags_refuse_every_act() {
        for act in ACTS {
            let mut resource = healthy(act);
            resource.tags = Fact::unknown("the answer came without its tag set");
            assert_eq!(fresh(act, &resource), Some(HoldCode::Incomplete), "{act}");
        }
    }

    #[test]
    fn h15_an_act_on_another_kind_refuses() {
        assert!(fresh(Act::DeleteVolume, &instance(|_| {})).is_some());
        for act in [Act::ModifyVolume, Act::ReleaseAddress, Act::DeleteSnapshot] {
            for other in ACTS.into_iter().filter(|other| *other != act) {
                let resource = healthy(other);
                if resource.kind() != healthy(act).kind() {
                    assert!(fresh(act, &resource).is_some(), "{act} {other}");
                }
            }
        }
        assert!(fresh(Act::StopInstance, &volume(|_| {})).is_some());
        assert!(fresh(Act::TerminateInstance, &volume(|_| {})).is_some());
    }
}
