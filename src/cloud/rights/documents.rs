//! The policies of the two roles, as narrow as the enabled policies and settings allow, and who may assume them.
//!
//! `iam print` prints them. The reader reads; the actor's document allows what the enabled acts, their backups and
//! their undo need and nothing else, and denies the rest by name and as a whole, so that another policy on the same
//! role cannot add to it. What the documents leave out: a lock on a claim tag, because this program writes none before
//! an act, and rights on its own state, which needs none.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::session::{
    BORN_FOR_DRILL, NEW_TYPE, OF_DRILL, TO_EC2, add, arn, beside, keys, our_mark, roles, through_images, via,
};
use super::{COSTS, Change, Changes, IDENTITY, IMAGE_REFERENCES, KEYS, METRICS, On, Right, When, reads};
use crate::domain::finding::Act;
use crate::domain::place::{AccountId, Kind, Place, Region};

/// Rights that the actor never gets, whatever else is attached to its role; those that an enabled act needs are left
/// out where they would forbid it.
const NEVER: [&str; 24] = [
    "ec2:DeleteSnapshot",
    "ec2:DeregisterImage",
    "ec2:DisableEbsEncryptionByDefault",
    "ec2:ModifyImageAttribute",
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifySnapshotAttribute",
    "ec2:ReleaseAddress",
    "ec2:ResetInstanceAttribute",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
    "iam:AttachRolePolicy",
    "iam:CreateAccessKey",
    "iam:CreateRole",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "kms:CancelKeyDeletion",
    "kms:DisableKey",
    "kms:PutKeyPolicy",
    "kms:RetireGrant",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "sts:AssumeRole",
];

/// What one account's documents are made from.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The account.
    pub account: AccountId,
    /// Its Regions.
    pub regions: Vec<Region>,
    /// Acts that some enabled policy may lead to, with the kind that each is on.
    pub acts: BTreeSet<(Act, Kind)>,
    /// Tag keys that may be written and taken back.
    pub tag_keys: BTreeSet<String>,
    /// Tag keys that protect a resource.
    pub protect_keys: BTreeSet<String>,
    /// Some enabled check reads metrics.
    pub metrics: bool,
    /// Costs are read.
    pub costs: bool,
    /// Restore drills are made.
    pub drill: bool,
}

/// One statement of a policy document.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    sid: String,
    deny: bool,
    except: bool,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) conditions: Map<String, Value>,
}

impl Statement {
    pub(super) fn allow(
        sid: &str,
        actions: &[&str],
        resources: Vec<String>,
        conditions: Map<String, Value>,
    ) -> Statement {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        Statement { sid: sid.to_owned(), deny: false, except: false, actions, resources, conditions }
    }

    fn deny(sid: &str, actions: Vec<String>, conditions: Map<String, Value>) -> Statement {
        Statement { sid: sid.to_owned(), deny: true, except: false, actions, resources: vec!["*".into()], conditions }
    }

    /// Denies everything but these actions.
    fn deny_all_but(sid: &str, actions: Vec<String>, conditions: Map<String, Value>) -> Statement {
        Statement { except: true, ..Statement::deny(sid, actions, conditions) }
    }

    fn json(&self) -> Value {
        let mut out = Map::new();
        if !self.sid.is_empty() {
            out.insert("Sid".into(), self.sid.as_str().into());
        }
        out.insert("Effect".into(), if self.deny { "Deny" } else { "Allow" }.into());
        out.insert(if self.except { "NotAction" } else { "Action" }.into(), one_or_many(&self.actions));
        out.insert("Resource".into(), one_or_many(&self.resources));
        if !self.conditions.is_empty() {
            out.insert("Condition".into(), Value::Object(self.conditions.clone()));
        }
        Value::Object(out)
    }
}

/// A policy document.
pub(super) fn document(statements: &[Statement]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements.iter().map(Statement::json).collect::<Vec<_>>() })
}

/// The reading role's policy.
pub fn reader(scope: &Scope) -> Value {
    let mut statements = Vec::new();
    let mut inventory: Vec<&str> = Kind::ALL.iter().flat_map(|kind| reads(*kind)).map(|right| right.action).collect();
    inventory.sort_unstable();
    statements.push(Statement::allow("ReadInventory", &inventory, vec!["*".into()], in_regions(scope)));
    if scope.acts.iter().any(|(act, _)| *act == Act::ExpireImage) {
        let actions: Vec<&str> = IMAGE_REFERENCES.iter().map(|right| right.action).collect();
        let mut conditions = Map::new();
        through_images(&mut conditions);
        statements.push(Statement::allow("ReadImageReferences", &actions, vec!["*".into()], conditions));
    }
    if scope.acts.iter().any(|(act, _)| Changes::of(*act).ask_for_keys()) {
        statements.push(Statement::allow("ReadKeys", &[KEYS.action], vec!["*".into()], in_regions(scope)));
    }
    if scope.metrics {
        statements.push(Statement::allow("ReadMetrics", &[METRICS.action], vec!["*".into()], in_regions(scope)));
    }
    if scope.costs {
        // Cost Explorer has one endpoint for all Regions, so the list of Regions says nothing about it.
        statements.push(Statement::allow("ReadCosts", &[COSTS.action], vec!["*".into()], Map::new()));
    }
    document(&statements)
}

/// The acting role's policy; `None` when no enabled policy leads to an act.
pub fn actor(scope: &Scope) -> Option<Value> {
    let mut statements = allowed(scope);
    if statements.is_empty() {
        return None;
    }
    let granted = actions(scope);
    let granted_text: Vec<String> = granted.iter().map(|action| (*action).to_owned()).collect();
    let except = |more: &[String]| more.iter().cloned().chain([IDENTITY.to_owned()]).collect::<Vec<_>>();
    statements.push(Statement::deny_all_but("NothingElse", except(&granted_text), Map::new()));
    let mut elsewhere = Map::new();
    let regions: Vec<&str> = scope.regions.iter().map(Region::as_str).collect();
    add(&mut elsewhere, "StringNotEquals", "aws:RequestedRegion", regions);
    statements.push(Statement::deny_all_but("NoOtherRegion", except(&[]), elsewhere));
    let never = NEVER.iter().filter(|action| !granted.contains(**action)).map(|action| (*action).to_owned()).collect();
    statements.push(Statement::deny("Never", never, Map::new()));
    let ours = only_marked(scope);
    if !ours.is_empty() {
        let mut conditions = Map::new();
        our_mark(&mut conditions, "StringNotEquals");
        let actions = ours.iter().map(|action| (*action).to_owned()).collect();
        statements.push(Statement::deny("OnlyOurBackups", actions, conditions));
    }
    statements.extend(protections(scope, &granted));
    Some(document(&statements))
}

/// The actions that the acting role needs.
pub fn actions(scope: &Scope) -> BTreeSet<&'static str> {
    changes(scope).iter().flat_map(|(change, _)| change.rights()).map(|right| right.action).collect()
}

/// The actions that are needed on what carries our mark, and on nothing else.
pub fn only_marked(scope: &Scope) -> BTreeSet<&'static str> {
    let rights = || changes(scope).into_iter().flat_map(|(change, _)| change.rights());
    let marked = |right: &Right| right.when.contains(&When::OurMark);
    let elsewhere: BTreeSet<&str> = rights().filter(|own| !marked(own)).map(|own| own.action).collect();
    rights().filter(|own| marked(own) && !elsewhere.contains(own.action)).map(|own| own.action).collect()
}

/// Who may assume a role: one principal, with the external id where the settings have one.
pub fn trust(principal: &str, external_id: Option<&str>) -> Value {
    let mut statement = json!({
        "Effect": "Allow",
        "Principal": { "AWS": principal },
        "Action": "sts:AssumeRole",
    });
    if let Some(id) = external_id {
        statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": id } });
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// The AWS partition of a Region, as ARNs name it.
pub(super) fn ec2_partition(region: &Region) -> &'static str {
    match region.as_str() {
        name if name.starts_with("cn-") => "aws-cn",
        name if name.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Every change that the enabled acts may make, with the kind that each act is on.
fn changes(scope: &Scope) -> BTreeSet<(Change, Kind)> {
    let drills = Change::DRILL.into_iter().filter(|_| scope.drill).map(|change| (change, Kind::Volume));
    let acts = scope.acts.iter().flat_map(|(act, kind)| Changes::of(*act).all().map(|change| (change, *kind)));
    acts.chain(drills).collect()
}

/// One statement for each action and condition, with all resources that it is needed on.
fn allowed(scope: &Scope) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    for (change, kind) in changes(scope) {
        for right in change.rights() {
            let conditions = conditions(scope, right);
            let resources = scope.regions.iter().map(|region| {
                let place = Place { account: scope.account.clone(), region: region.clone() };
                resource(&place, right, kind)
            });
            let known = statements.iter_mut().find(|own| own.actions == [right.action] && own.conditions == conditions);
            let own = match known {
                Some(own) => own,
                None => {
                    statements.push(Statement::allow("", &[right.action], Vec::new(), conditions));
                    let last = statements.len() - 1;
                    &mut statements[last]
                }
            };
            for resource in resources {
                if !own.resources.contains(&resource) {
                    own.resources.push(resource);
                }
            }
        }
    }
    merged(statements)
}

/// Statements that differ in their action alone become one, then each gets a name.
fn merged(statements: Vec<Statement>) -> Vec<Statement> {
    let mut merged: Vec<Statement> = Vec::new();
    for statement in statements {
        let same =
            |own: &&mut Statement| own.resources == statement.resources && own.conditions == statement.conditions;
        match merged.iter_mut().find(same) {
            Some(own) => own.actions.extend(statement.actions),
            None => merged.push(statement),
        }
    }
    for (number, statement) in merged.iter_mut().enumerate() {
        let word = statement.actions[0].split(':').nth(1).unwrap_or_default();
        statement.sid = format!("{word}{}", number + 1);
    }
    merged
}

fn resource(place: &Place, right: &Right, kind: Kind) -> String {
    match right.on {
        On::Target(kind) | On::New(kind) | On::Along(kind) => arn(place, kind, "*"),
        On::Named => arn(place, kind, "*"),
        On::Key => keys(place),
        On::Beside(noun) => beside(place, noun),
        On::Role => roles(place),
        On::Everything => "*".to_owned(),
    }
}

fn conditions(scope: &Scope, right: &Right) -> Map<String, Value> {
    let mut conditions = Map::new();
    for when in right.when {
        match when {
            When::OurTagKeys => {
                let keys: Vec<&str> = scope.tag_keys.iter().map(String::as_str).collect();
                add(&mut conditions, "ForAllValues:StringEquals", "aws:TagKeys", keys);
                // Without this a call that names no tag at all would pass.
                add(&mut conditions, "Null", "aws:TagKeys", "false");
            }
            When::Creating(operation) => add(&mut conditions, "StringEquals", "ec2:CreateAction", *operation),
            When::ThroughEc2 => {
                let services: Vec<String> = scope.regions.iter().map(|region| via(region.as_str())).collect();
                add(&mut conditions, "StringEquals", "kms:ViaService", services);
            }
            When::ForAwsResource => add(&mut conditions, "Bool", "kms:GrantIsForAWSResource", "true"),
            // To which one, the session of each act says.
            When::NewType => add(&mut conditions, "Null", NEW_TYPE, "false"),
            When::OurMark => our_mark(&mut conditions, "StringEquals"),
            When::ThroughImages => through_images(&mut conditions),
            When::PassedToEc2 => add(&mut conditions, "StringEquals", "iam:PassedToService", TO_EC2),
            When::BornForDrill => add(&mut conditions, "Null", BORN_FOR_DRILL, "false"),
            When::OfDrill => add(&mut conditions, "Null", OF_DRILL, "false"),
        }
    }
    conditions
}

/// What a protect tag forbids, and that the tag itself is neither removed nor written over. A value of `false` does
/// not protect, as in the program's own guard.
fn protections(scope: &Scope, granted: &BTreeSet<&str>) -> Vec<Statement> {
    let harmful: BTreeSet<String> = scope
        .acts
        .iter()
        .filter(|(act, _)| act.destructive() || act.disruptive() || act.expires())
        .flat_map(|(act, _)| Changes::of(*act).act)
        .map(|change| change.rights()[0].action.to_owned())
        .collect();
    let mut statements = Vec::new();
    for (number, key) in scope.protect_keys.iter().enumerate() {
        if harmful.is_empty() {
            break;
        }
        let tag = format!("aws:ResourceTag/{key}");
        let mut conditions = Map::new();
        add(&mut conditions, "Null", &tag, "false");
        add(&mut conditions, "StringNotEqualsIgnoreCase", &tag, "false");
        let sid = format!("NothingProtected{}", number + 1);
        statements.push(Statement::deny(&sid, harmful.iter().cloned().collect(), conditions));
    }
    let keys: Vec<&str> = scope.protect_keys.iter().map(String::as_str).collect();
    let mut touching = Map::new();
    add(&mut touching, "ForAnyValue:StringEquals", "aws:TagKeys", keys);
    if granted.contains("ec2:DeleteTags") {
        statements.push(Statement::deny("ProtectionStays", vec!["ec2:DeleteTags".into()], touching.clone()));
    }
    if granted.contains("ec2:CreateTags") {
        // What is being made may be born protected.
        add(&mut touching, "Null", "ec2:CreateAction", "true");
        statements.push(Statement::deny("ProtectionIsNotOverwritten", vec!["ec2:CreateTags".into()], touching));
    }
    statements
}

fn in_regions(scope: &Scope) -> Map<String, Value> {
    let mut conditions = Map::new();
    let regions: Vec<&str> = scope.regions.iter().map(Region::as_str).collect();
    add(&mut conditions, "StringEquals", "aws:RequestedRegion", regions);
    conditions
}

fn one_or_many(values: &[String]) -> Value {
    match values {
        [one] => one.as_str().into(),
        many => many.into(),
    }
}
