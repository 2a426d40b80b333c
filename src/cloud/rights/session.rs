//! The session policy of one call: one API, what its own effect needs, and one resource by its ARN.
//!
//! The AWS adapter assumes the acting role anew for each call under this document, for 15 minutes, so that whatever
//! the role may do, these credentials can do this one thing. A bug that sends another id is answered with
//! `UnauthorizedOperation`. Session policies only ever take away: what the role lacks they do not give.

use serde_json::{Map, Value, json};

use super::documents::{Statement, document, ec2_partition};
use super::{Change, On, When};
use crate::cloud::Call;
use crate::domain::place::{Kind, Place};
use crate::domain::plan::OWN_TAGS;

/// How long the credentials of one call live, seconds; STS's shortest.
pub const SESSION_SECONDS: u64 = 900;

/// Longest inline session policy that STS takes, characters.
pub const LONGEST: usize = 2_048;

/// The document under which nothing can be done but ask who one is.
pub fn nothing() -> String {
    document(&[Statement::allow("WhoAmI", &[super::IDENTITY], vec!["*".into()], Map::new())]).to_string()
}

/// The document of a call; `Err` says why there is none, and then nothing may be sent.
pub fn policy(place: &Place, call: &Call) -> Result<String, String> {
    let id = call.target();
    // The address itself stands in no document: what is allocated has no id yet.
    let written = !matches!(call, Call::AllocateAddress(_));
    if written && (id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')) {
        return Err(format!("{id:?} is no id: letters, digits and hyphens alone are accepted"));
    }
    let text = write(place, call, true);
    if text.len() <= LONGEST {
        return Ok(text);
    }
    // Many long tag keys: the resource is still the only one; the keys are then limited by the role alone.
    let text = write(place, call, false);
    if text.len() <= LONGEST { Ok(text) } else { Err("its session policy would be longer than STS takes".into()) }
}

fn write(place: &Place, call: &Call, with_keys: bool) -> String {
    let mut statements: Vec<Statement> = Vec::new();
    for right in Change::of(call).rights() {
        let mut conditions = Map::new();
        for when in right.when {
            condition(&mut conditions, *when, place, call, with_keys);
        }
        let resources = match (call, right.on) {
            // An image is made of these snapshots and no others.
            (Call::RegisterImage(new), On::Along(Kind::Snapshot)) => {
                new.disks.iter().map(|disk| arn(place, Kind::Snapshot, disk.snapshot.as_str())).collect()
            }
            _ => vec![resource(place, call, right.on)],
        };
        match statements.last_mut() {
            Some(last) if last.actions == [right.action] && last.conditions == conditions => {
                last.resources.extend(resources)
            }
            Some(last) if last.resources == resources && last.conditions == conditions => {
                last.actions.push(right.action.to_owned());
            }
            _ => statements.push(Statement::allow("", &[right.action], resources, conditions)),
        }
    }
    document(&statements).to_string()
}

fn resource(place: &Place, call: &Call, on: On) -> String {
    match on {
        On::Target(kind) => arn(place, kind, call.target()),
        On::Named => arn(place, named_kind(call), call.target()),
        On::New(kind) | On::Along(kind) => arn(place, kind, "*"),
        On::Key => match call {
            Call::CreateVolume(new) | Call::MakeDrill(new) if new.kms_key.as_deref().is_some_and(is_key_arn) => {
                new.kms_key.clone().unwrap_or_default()
            }
            _ => keys(place),
        },
        On::Beside(noun) => beside(place, noun),
        On::Role => roles(place),
        On::Everything => "*".to_owned(),
    }
}

/// Whether it is a key's ARN and can stand in a document by itself.
fn is_key_arn(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'-'));
    plain && text.starts_with("arn:") && text.contains(":key/")
}

fn named_kind(call: &Call) -> Kind {
    match call {
        Call::CreateTags { resource, .. } | Call::DeleteTags { resource, .. } => resource.kind(),
        Call::StopInstance { .. } | Call::StartInstance { .. } | Call::CreateSnapshots { .. } => Kind::Instance,
        Call::DeleteVolume { .. } | Call::ModifyVolume { .. } | Call::CreateSnapshot { .. } => Kind::Volume,
        Call::ReleaseAddress { .. } | Call::AllocateAddress(_) => Kind::Address,
        Call::EndDrill { .. } => Kind::Volume,
        Call::CreateVolume(_) | Call::MakeDrill(_) | Call::DeleteSnapshot { .. } | Call::RestoreSnapshot { .. } => {
            Kind::Snapshot
        }
        Call::ExpireSnapshot { .. } => Kind::Snapshot,
        Call::DeregisterImage { .. } => Kind::Image,
        Call::ModifyInstanceType { .. } | Call::TerminateInstance { .. } => Kind::Instance,
        Call::RegisterImage(_) | Call::RunInstance(_) => Kind::Image,
    }
}

fn condition(into: &mut Map<String, Value>, when: When, place: &Place, call: &Call, with_keys: bool) {
    match when {
        When::OurTagKeys => {
            let (Call::CreateTags { tags, .. } | Call::DeleteTags { tags, .. }) = call else { return };
            if with_keys {
                let keys: Vec<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
                into.insert("ForAllValues:StringEquals".into(), json!({ "aws:TagKeys": keys }));
            }
        }
        When::Creating(operation) => add(into, "StringEquals", "ec2:CreateAction", operation),
        When::ThroughEc2 => add(into, "StringEquals", "kms:ViaService", via(place.region.as_str())),
        When::ForAwsResource => add(into, "Bool", "kms:GrantIsForAWSResource", "true"),
        When::NewType => {
            let Call::ModifyInstanceType { to, .. } = call else { return };
            add(into, "StringEquals", NEW_TYPE, to.as_str());
        }
        When::OurMark => our_mark(into, "StringEquals"),
        When::ThroughImages => through_images(into),
        When::PassedToEc2 => add(into, "StringEquals", "iam:PassedToService", TO_EC2),
        When::BornForDrill => {
            let Call::MakeDrill(new) = call else { return };
            let mark = new.tags.iter().find(|(key, _)| *key == drill_mark()).map(|(_, value)| value.as_str());
            // Without its mark nothing may be made: no value matches.
            add(into, "StringEquals", BORN_FOR_DRILL, mark.unwrap_or("none"));
        }
        When::OfDrill => add(into, "Null", OF_DRILL, "false"),
    }
}

pub(super) fn add(into: &mut Map<String, Value>, operator: &str, key: &str, value: impl Into<Value>) {
    let entry = into.entry(operator).or_insert_with(|| json!({}));
    if let Some(block) = entry.as_object_mut() {
        block.insert(key.to_owned(), value.into());
    }
}

/// The mark of a restore drill's volume, as a request gives it.
pub(super) const BORN_FOR_DRILL: &str = "aws:RequestTag/costwarden:drill";

/// The same, as the volume carries it.
pub(super) const OF_DRILL: &str = "aws:ResourceTag/costwarden:drill";

/// The tag key of the mark.
fn drill_mark() -> String {
    format!("{OWN_TAGS}drill")
}

/// EC2's condition key for an attribute that is being set, here the type; it is there only when the request sets it. What
/// a resource has now is told by other keys (service authorization reference for EC2, read 2026-11).
pub(super) const NEW_TYPE: &str = "ec2:Attribute/InstanceType";

/// The tag that every backup of ours carries from its birth.
pub(super) fn our_mark(into: &mut Map<String, Value>, operator: &str) {
    add(into, operator, &format!("aws:ResourceTag/{OWN_TAGS}safety-snapshot"), "true");
}

/// Through EC2's own look for what refers to an image.
pub(super) fn through_images(into: &mut Map<String, Value>) {
    add(into, "ForAnyValue:StringEquals", "aws:CalledVia", "ec2-images.amazonaws.com");
}

/// The service principal through which EC2 uses keys in a Region.
pub(super) fn via(region: &str) -> String {
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("ec2.{region}.amazonaws.com{end}")
}

/// The ARN of a resource, or of all of a kind with `*` for the id. Snapshots and images have no account in theirs.
pub fn arn(place: &Place, kind: Kind, id: &str) -> String {
    let (partition, region) = (ec2_partition(&place.region), place.region.as_str());
    let account = if matches!(kind, Kind::Snapshot | Kind::Image) { "" } else { place.account.as_str() };
    format!("arn:{partition}:ec2:{region}:{account}:{}/{id}", noun(kind))
}

/// All KMS keys of a place.
pub(super) fn keys(place: &Place) -> String {
    format!("arn:{}:kms:{}:{}:key/*", ec2_partition(&place.region), place.region.as_str(), place.account)
}

/// Where a launch may hand a role to.
pub(super) const TO_EC2: &str = "ec2.amazonaws.com";

/// All things of one word of a place that have no kind here: subnets, for example.
pub(super) fn beside(place: &Place, noun: &str) -> String {
    format!("arn:{}:ec2:{}:{}:{noun}/*", ec2_partition(&place.region), place.region.as_str(), place.account)
}

/// All roles of the account: which one an instance profile holds is not known beforehand.
pub(super) fn roles(place: &Place) -> String {
    format!("arn:{}:iam::{}:role/*", ec2_partition(&place.region), place.account)
}

/// A kind's word in ARNs.
fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Instance => "instance",
        Kind::Volume => "volume",
        Kind::Snapshot => "snapshot",
        Kind::Address => "elastic-ip",
        Kind::Image => "image",
    }
}
