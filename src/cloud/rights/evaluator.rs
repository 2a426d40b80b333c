//! A small judge of IAM documents for the tests: explicit deny wins, then an allow for every resource, else no.
//!
//! It knows the operators that our documents use and panics on any other, so that a document which it cannot judge
//! passes no test. [`requests`] is EC2's side, written from the service authorization reference and not from the
//! table: which actions on which resources one call is checked for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cloud::Call;
use crate::domain::place::{Kind, Place};

/// One authorization that AWS asks for: every resource must be allowed.
#[derive(Clone, Debug)]
pub struct Request {
    pub action: String,
    pub resources: Vec<String>,
    pub context: BTreeMap<String, Vec<String>>,
}

/// What AWS checks when the call is made in a place, for resources without tags.
pub fn requests(place: &Place, call: &Call) -> Vec<Request> {
    let (account, region) = (place.account.as_str(), place.region.as_str());
    let partition = if region.starts_with("cn-") { "aws-cn" } else { "aws" };
    let owned = |noun: &str, id: &str| format!("arn:{partition}:ec2:{region}:{account}:{noun}/{id}");
    let snapshot = |id: &str| format!("arn:{partition}:ec2:{region}::snapshot/{id}");
    let request = |action: &str, resources: Vec<String>, context: &[(&str, Vec<String>)]| Request {
        action: action.into(),
        resources,
        context: context
            .iter()
            .map(|(key, values)| ((*key).to_owned(), values.clone()))
            .chain([("aws:RequestedRegion".to_owned(), vec![region.to_owned()])])
            .collect(),
    };
    let keys = |tags: &[(String, String)]| tags.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let born = |resource: String, creating: &str, tags: &[(String, String)]| {
        let context = [("ec2:CreateAction", vec![creating.to_owned()]), ("aws:TagKeys", keys(tags))];
        request("ec2:CreateTags", vec![resource], &context)
    };
    match call {
        Call::StopInstance { instance } => {
            vec![request("ec2:StopInstances", vec![owned("instance", instance.as_str())], &[])]
        }
        Call::StartInstance { instance } => {
            let through = [
                ("kms:ViaService", vec![format!("ec2.{region}.amazonaws.com")]),
                ("kms:GrantIsForAWSResource", vec!["true".to_owned()]),
            ];
            let key = format!("arn:{partition}:kms:{region}:{account}:key/1234abcd");
            vec![
                request("ec2:StartInstances", vec![owned("instance", instance.as_str())], &[]),
                request("kms:CreateGrant", vec![key], &through),
            ]
        }
        Call::DeleteVolume { volume } => {
            vec![request("ec2:DeleteVolume", vec![owned("volume", volume.as_str())], &[])]
        }
        Call::ModifyVolume { volume, .. } => {
            vec![request("ec2:ModifyVolume", vec![owned("volume", volume.as_str())], &[])]
        }
        Call::ReleaseAddress { address } => {
            vec![request("ec2:ReleaseAddress", vec![owned("elastic-ip", address.as_str())], &[])]
        }
        Call::AllocateAddress(wanted) => vec![
            request("ec2:AllocateAddress", vec![owned("elastic-ip", "*")], &[]),
            born(owned("elastic-ip", "eipalloc-00new"), "AllocateAddress", &wanted.tags),
        ],
        Call::DeleteSnapshot { snapshot: id } => {
            vec![request("ec2:DeleteSnapshot", vec![snapshot(id.as_str())], &[])]
        }
        // These are asked of something that carries our mark.
        Call::ExpireSnapshot { snapshot: id } => {
            vec![request("ec2:DeleteSnapshot", vec![snapshot(id.as_str())], &[marked()])]
        }
        Call::DeregisterImage { image } => {
            let image = format!("arn:{partition}:ec2:{region}::image/{image}");
            vec![request("ec2:DeregisterImage", vec![image], &[marked()])]
        }
        Call::RestoreSnapshot { snapshot: id } => {
            vec![request("ec2:RestoreSnapshotFromRecycleBin", vec![snapshot(id.as_str())], &[])]
        }
        Call::CreateVolume(new) => vec![
            request("ec2:CreateVolume", vec![owned("volume", "*"), snapshot(new.snapshot.as_str())], &[]),
            born(owned("volume", "vol-00new"), "CreateVolume", &new.tags),
        ],
        Call::MakeDrill(new) => {
            let mark = new.tags.iter().filter(|(key, _)| key == "costwarden:drill").map(|(_, value)| value.clone());
            let resources = vec![owned("volume", "*"), snapshot(new.snapshot.as_str())];
            let context = [("aws:RequestTag/costwarden:drill", mark.collect::<Vec<_>>())];
            vec![
                request("ec2:CreateVolume", resources, &context),
                born(owned("volume", "vol-00new"), "CreateVolume", &new.tags),
            ]
        }
        Call::EndDrill { volume } => {
            let context = [("aws:ResourceTag/costwarden:drill", vec!["st-d1".to_owned()])];
            vec![request("ec2:DeleteVolume", vec![owned("volume", volume.as_str())], &context)]
        }
        Call::CreateSnapshot { volume, tags, .. } => vec![
            request("ec2:CreateSnapshot", vec![owned("volume", volume.as_str()), snapshot("*")], &[]),
            born(snapshot("*"), "CreateSnapshot", tags),
        ],
        Call::CreateSnapshots { instance, tags, .. } => {
            let resources = vec![owned("instance", instance.as_str()), owned("volume", "vol-0a"), snapshot("*")];
            vec![request("ec2:CreateSnapshots", resources, &[]), born(snapshot("*"), "CreateSnapshots", tags)]
        }
        Call::ModifyInstanceType { instance, to } => {
            let resources = vec![owned("instance", instance.as_str())];
            let context = [("ec2:Attribute/InstanceType", vec![to.clone()])];
            vec![request("ec2:ModifyInstanceAttribute", resources, &context)]
        }
        Call::TerminateInstance { instance } => {
            vec![request("ec2:TerminateInstances", vec![owned("instance", instance.as_str())], &[])]
        }
        Call::RegisterImage(new) => {
            let image = format!("arn:{partition}:ec2:{region}::image/ami-00new");
            let mut resources: Vec<String> = new.disks.iter().map(|disk| snapshot(disk.snapshot.as_str())).collect();
            resources.push(image.clone());
            vec![request("ec2:RegisterImage", resources, &[]), born(image, "RegisterImage", &new.tags)]
        }
        Call::RunInstance(new) => {
            let resources = vec![
                format!("arn:{partition}:ec2:{region}::image/{}", new.image),
                snapshot("snap-0a"),
                owned("instance", "*"),
                owned("volume", "*"),
                owned("network-interface", "*"),
                owned("subnet", &new.subnet),
                owned("security-group", "sg-0a"),
                owned("key-pair", "ops"),
                owned("placement-group", "near"),
            ];
            let passed = [("iam:PassedToService", vec!["ec2.amazonaws.com".to_owned()])];
            vec![
                request("ec2:RunInstances", resources, &[]),
                born(owned("instance", "i-00new"), "RunInstances", &new.tags),
                request("iam:PassRole", vec![format!("arn:{partition}:iam::{account}:role/build")], &passed),
            ]
        }
        Call::CreateTags { resource, tags } | Call::DeleteTags { resource, tags } => {
            let action = if matches!(call, Call::CreateTags { .. }) { "ec2:CreateTags" } else { "ec2:DeleteTags" };
            let named = match resource.kind() {
                Kind::Instance => owned("instance", &resource.id),
                Kind::Volume => owned("volume", &resource.id),
                Kind::Address => owned("elastic-ip", &resource.id),
                Kind::Snapshot => snapshot(&resource.id),
                Kind::Image => format!("arn:{partition}:ec2:{region}::image/{}", resource.id),
            };
            vec![request(action, vec![named], &[("aws:TagKeys", keys(tags))])]
        }
    }
}

fn marked() -> (&'static str, Vec<String>) {
    ("aws:ResourceTag/costwarden:safety-snapshot", vec!["true".to_owned()])
}

/// Whether all documents allow the request: a role's policy and the session's, for example.
pub fn allowed(documents: &[&Value], request: &Request) -> bool {
    documents.iter().all(|document| {
        request.resources.iter().all(|resource| {
            let applies = |statement: &&Value| applies(statement, request, resource);
            let mut met = statements(document).iter().filter(applies).peekable();
            met.peek().is_some() && met.all(|statement| statement["Effect"] == "Allow")
        })
    })
}

pub fn statements(document: &Value) -> &[Value] {
    document["Statement"].as_array().expect("a list of statements")
}

pub fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().map(|one| one.as_str().expect("a text")).collect(),
        other => panic!("neither a text nor a list of them: {other}"),
    }
}

fn applies(statement: &Value, request: &Request, resource: &str) -> bool {
    let action = match (statement.get("Action"), statement.get("NotAction")) {
        (Some(actions), None) => strings(actions).iter().any(|own| *own == request.action),
        (None, Some(others)) => strings(others).iter().all(|own| *own != request.action),
        _ => panic!("one of Action and NotAction: {statement}"),
    };
    action
        && strings(&statement["Resource"]).iter().any(|pattern| matches(pattern, resource))
        && statement.get("Condition").is_none_or(|conditions| {
            let blocks = conditions.as_object().expect("operators");
            blocks.iter().all(|(operator, block)| {
                let keys = block.as_object().expect("keys");
                keys.iter().all(|(key, wanted)| holds(operator, request.context.get(key), &strings(wanted)))
            })
        })
}

fn holds(operator: &str, found: Option<&Vec<String>>, wanted: &[&str]) -> bool {
    let equal = |value: &String| wanted.contains(&value.as_str());
    match operator {
        "StringEquals" | "Bool" => found.is_some_and(|values| values.iter().any(equal)),
        "StringNotEquals" => !found.is_some_and(|values| values.iter().any(equal)),
        "StringNotEqualsIgnoreCase" => {
            let alike = |value: &String| wanted.iter().any(|own| own.eq_ignore_ascii_case(value));
            !found.is_some_and(|values| values.iter().any(alike))
        }
        "ForAllValues:StringEquals" => found.is_none_or(|values| values.iter().all(equal)),
        "ForAnyValue:StringEquals" => found.is_some_and(|values| values.iter().any(equal)),
        "Null" => (wanted == ["true"]) == found.is_none(),
        other => panic!("this judge does not know {other:?}"),
    }
}

/// IAM's `*`; a resource that is made is asked for as `…/*` itself, and only a pattern that ends so meets it.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    rest.is_empty() || (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
}
