//! The documents against a judge of IAM and EC2's side of it: enough for each call, and for nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::documents::{Scope, actor, reader};
use super::evaluator::{Request, allowed, requests, statements, strings};
use super::session::{LONGEST, SESSION_SECONDS, nothing, policy};
use super::*;
use crate::cloud::{ImageDisk, NewImage, NewInstance, NewVolume, WantedAddress};
use crate::domain::place::{AccountId, AddressId, ImageId, InstanceId, Place, Region, SnapshotId, VolumeId};

fn place(account: &str, region: &str) -> Place {
    Place { account: AccountId::new(account).unwrap(), region: Region::new(region).unwrap() }
}

fn here() -> Place {
    place("111111111111", "eu-central-1")
}

/// A call of each sort on the resource with these hexadecimal digits, in a place.
fn call(change: Change, place: &Place, hex: &str, tag: &str) -> Call {
    let instance = InstanceId::new(&format!("i-{hex}")).unwrap();
    let volume = VolumeId::new(&format!("vol-{hex}")).unwrap();
    let snapshot = SnapshotId::new(&format!("snap-{hex}")).unwrap();
    let tags = vec![(tag.to_owned(), "x".to_owned())];
    let description = String::new();
    let resource = place.partition(Kind::Volume).key(&format!("vol-{hex}"));
    match change {
        Change::StopInstance => Call::StopInstance { instance },
        Change::StartInstance => Call::StartInstance { instance },
        Change::DeleteVolume => Call::DeleteVolume { volume },
        Change::ModifyVolume => Call::ModifyVolume { volume, volume_type: "gp3".into(), iops: None, throughput: None },
        Change::ReleaseAddress => Call::ReleaseAddress { address: AddressId::new(&format!("eipalloc-{hex}")).unwrap() },
        Change::AllocateAddress => Call::AllocateAddress(Box::new(WantedAddress {
            public_ip: "203.0.113.9".into(),
            pool: None,
            border_group: None,
            tags,
        })),
        Change::DeleteSnapshot => Call::DeleteSnapshot { snapshot },
        Change::ExpireSnapshot => Call::ExpireSnapshot { snapshot },
        Change::DeregisterImage => Call::DeregisterImage { image: ImageId::new(&format!("ami-{hex}")).unwrap() },
        Change::RestoreSnapshot => Call::RestoreSnapshot { snapshot },
        Change::CreateVolume => Call::CreateVolume(Box::new(NewVolume {
            snapshot,
            zone: format!("{}a", place.region),
            volume_type: "gp3".into(),
            size_gib: 8,
            iops: None,
            throughput: None,
            encrypted: false,
            kms_key: None,
            tags,
            token: "t".into(),
        })),
        Change::MakeDrill => {
            let Call::CreateVolume(mut new) = self::call(Change::CreateVolume, place, hex, tag) else { panic!() };
            new.tags.push(("costwarden:drill".to_owned(), "st-d1".to_owned()));
            Call::MakeDrill(new)
        }
        Change::EndDrill => Call::EndDrill { volume },
        Change::CreateSnapshot => Call::CreateSnapshot { volume, description, tags },
        Change::CreateSnapshots => Call::CreateSnapshots { instance, description, tags },
        Change::CreateTags => Call::CreateTags { resource, tags },
        Change::DeleteTags => Call::DeleteTags { resource, tags },
        Change::ModifyInstanceType => Call::ModifyInstanceType { instance, to: "m5.large".into() },
        Change::TerminateInstance => Call::TerminateInstance { instance },
        Change::RegisterImage => Call::RegisterImage(Box::new(NewImage {
            name: "st-0a-r1".into(),
            description,
            architecture: "x86_64".into(),
            ena: true,
            boot_mode: None,
            root_device: "/dev/xvda".into(),
            disks: vec![ImageDisk {
                device: "/dev/xvda".into(),
                snapshot: SnapshotId::new(&format!("snap-{hex}")).unwrap(),
                volume_type: "gp3".into(),
                size_gib: 8,
                iops: None,
                throughput: None,
                delete_on_termination: true,
            }],
            tags,
        })),
        Change::RunInstance => Call::RunInstance(Box::new(NewInstance {
            image: ImageId::new(&format!("ami-{hex}")).unwrap(),
            instance_type: "m5.large".into(),
            subnet: "subnet-0a".into(),
            security_groups: vec!["sg-0a".into()],
            profile: None,
            key_name: None,
            ebs_optimized: false,
            monitoring: false,
            placement_group: None,
            metadata: None,
            tags,
            token: "t".into(),
        })),
    }
}

fn session(place: &Place, call: &Call) -> Value {
    serde_json::from_str(&policy(place, call).unwrap()).unwrap()
}

fn passes(documents: &[&Value], place: &Place, call: &Call) -> bool {
    requests(place, call).iter().all(|request| allowed(documents, request))
}

fn scope() -> Scope {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    Scope {
        account: here().account,
        regions: vec![here().region, Region::new("eu-west-1").unwrap()],
        acts: [
            (Act::StopInstance, Kind::Instance),
            (Act::DeleteVolume, Kind::Volume),
            (Act::AddTags, Kind::Volume),
            (Act::AddTags, Kind::Instance),
            (Act::ResizeInstance, Kind::Instance),
            (Act::TerminateInstance, Kind::Instance),
        ]
        .into(),
        tag_keys: texts(&["owner", "costwarden:compliance-status"]),
        protect_keys: texts(&["costwarden:protect"]),
        metrics: true,
        costs: true,
        drill: true,
    }
}

#[test]
fn every_call_is_covered_by_its_session_policy_and_by_the_role_of_the_acts_that_make_it() {
    let mut wide = scope();
    let more = [
        (Act::ModifyVolume, Kind::Volume),
        (Act::ReleaseAddress, Kind::Address),
        (Act::DeleteSnapshot, Kind::Snapshot),
        (Act::ExpireSnapshot, Kind::Snapshot),
        (Act::ExpireImage, Kind::Image),
    ];
    wide.acts.extend(more);
    let role = actor(&wide).unwrap();
    for change in Change::ALL {
        let call = call(change, &here(), "0a1b2c3d4e5f60718", "owner");
        assert_eq!(Change::of(&call), change);
        assert_eq!(change.rights()[0].action, format!("ec2:{}", call.operation()), "the first right is the API's");
        let session = session(&here(), &call);
        assert!(passes(&[&session], &here(), &call), "{call}: {session}");
        assert!(passes(&[&role, &session], &here(), &call), "{call}: {role:#}");
        let text = policy(&here(), &call).unwrap();
        assert!(text.len() <= LONGEST, "{call}: {} characters", text.len());
    }
    assert_eq!(SESSION_SECONDS, 15 * 60);
}

/// Changes whose target has no account in its ARN.
const WITHOUT_ACCOUNT: [Change; 7] = [
    Change::CreateVolume,
    Change::MakeDrill,
    Change::DeleteSnapshot,
    Change::ExpireSnapshot,
    Change::DeregisterImage,
    Change::RestoreSnapshot,
    Change::RegisterImage,
];

/// SplitMix64, so that a failure names the case that made it.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }
}

#[test]
fn h42_ten_thousand_mutated_targets_are_executed_by_no_session() {
    const CASES: u64 = 10_000;
    let mut ways = std::collections::BTreeMap::<&str, u64>::new();
    let mut executed = Vec::new();
    // An address that is asked for has no id that a session could name; EC2 gives it to nobody who did not release it.
    let bound: Vec<Change> = Change::ALL.into_iter().filter(|own| *own != Change::AllocateAddress).collect();
    for case in 0..CASES {
        let mut dice = Dice(case);
        let hex = format!("0{:016x}", dice.next());
        let change = dice.one(&bound);
        let meant = call(change, &here(), &hex, "owner");
        let document = session(&here(), &meant);
        assert!(passes(&[&document], &here(), &meant), "case {case}: the session cannot do what it is for");
        let flipped = {
            let at = 1 + usize::try_from(dice.next() % 16).unwrap();
            let digit = u8::from_str_radix(&hex[at..=at], 16).unwrap() ^ dice.one(&[1, 2, 4, 8]);
            format!("{}{digit:x}{}", &hex[..at], &hex[at + 1..])
        };
        let elsewhere = place("111111111111", dice.one(&["eu-west-1", "us-east-1", "eu-central-2"]));
        let foreign = place(dice.one(&["111111111112", "999999999999"]), "eu-central-1");
        // A snapshot's ARN carries no account: what guards a foreign one is the acting account itself.
        let names_account = !WITHOUT_ACCOUNT.contains(&change);
        let (way, there, sent) = match dice.next() % 7 {
            0 => ("one digit of the id", here(), call(change, &here(), &flipped, "owner")),
            1 => ("another id", here(), call(change, &here(), &format!("0{:016x}", dice.next()), "owner")),
            2 => ("the id and more", here(), call(change, &here(), &format!("{hex}0"), "owner")),
            3 => ("the id cut", here(), call(change, &here(), &hex[..12], "owner")),
            4 => ("another Region", elsewhere.clone(), call(change, &elsewhere, &hex, "owner")),
            5 if names_account => ("another account", foreign.clone(), call(change, &foreign, &hex, "owner")),
            _ => {
                let api = |own: Change| own.rights()[0].action;
                let others: Vec<Change> = Change::ALL.into_iter().filter(|other| api(*other) != api(change)).collect();
                ("another API", here(), call(dice.one(&others), &here(), &hex, "owner"))
            }
        };
        *ways.entry(way).or_default() += 1;
        if passes(&[&document], &there, &sent) {
            executed.push(format!("case {case}, {way}: {sent} under the session of {meant}: {document}"));
        }
    }
    assert_eq!(executed, Vec::<String>::new());
    assert!(ways.len() == 7 && ways.values().all(|count| *count > 900), "each way was tried: {ways:?}");
}

#[test]
fn a_session_writes_and_removes_no_other_tag_than_its_own() {
    for change in [Change::CreateTags, Change::DeleteTags] {
        let document = session(&here(), &call(change, &here(), "0a", "owner"));
        for other in ["costwarden:protect", "Owner", "", "aws:x"] {
            assert!(!passes(&[&document], &here(), &call(change, &here(), "0a", other)), "{other:?}");
        }
    }
}

#[test]
fn an_id_that_is_a_pattern_gets_no_session() {
    for id in ["vol-*", "vol-0a?", "*", "", "vol-0a/../vol-0b", "vol-0a\",\"*"] {
        let resource = here().partition(Kind::Volume).key(id);
        let call = Call::CreateTags { resource, tags: vec![("a".into(), "b".into())] };
        assert!(policy(&here(), &call).unwrap_err().contains("letters, digits and hyphens"), "{id:?}");
    }
}

#[test]
fn many_long_tag_keys_still_name_one_resource_within_the_length_that_sts_takes() {
    let tags: Vec<_> = (0..40).map(|number| (format!("{number:0>120}"), String::new())).collect();
    let resource = here().partition(Kind::Volume).key("vol-0a");
    let text = policy(&here(), &Call::CreateTags { resource, tags: tags.clone() }).unwrap();
    assert!(text.len() <= LONGEST, "{}", text.len());
    let document: Value = serde_json::from_str(&text).unwrap();
    let other = Call::CreateTags { resource: here().partition(Kind::Volume).key("vol-0b"), tags };
    assert!(!passes(&[&document], &here(), &other));
}

#[test]
fn a_key_that_is_named_by_its_arn_is_the_only_one_and_a_name_that_is_none_is_not_written_down() {
    let with_key = |key: &str| {
        let Call::CreateVolume(mut new) = call(Change::CreateVolume, &here(), "0a", "x") else { panic!() };
        new.kms_key = Some(key.to_owned());
        policy(&here(), &Call::CreateVolume(new)).unwrap()
    };
    let named = "arn:aws:kms:eu-central-1:111111111111:key/1234abcd-12ab";
    assert!(with_key(named).contains(named) && !with_key(named).contains("key/*"));
    for hostile in ["arn:aws:kms:eu-central-1:1:key/*", "\"],\"x\":[\"", "alias/mine"] {
        assert!(!with_key(hostile).contains(hostile), "{hostile}");
    }
}

#[test]
fn under_the_document_of_nothing_no_call_passes() {
    let document: Value = serde_json::from_str(&nothing()).unwrap();
    for change in Change::ALL {
        assert!(!passes(&[&document], &here(), &call(change, &here(), "0a", "owner")));
    }
}

#[test]
fn h42_no_document_has_an_action_with_a_wildcard_and_each_fits_into_a_policy() {
    // With termination a role needs all of a launch for its undo: that fits into an inline policy of the role.
    let mut usual = scope();
    usual.acts.retain(|(act, _)| *act != Act::TerminateInstance);
    let documents = [(reader(&scope()), 6_144), (actor(&usual).unwrap(), 6_144), (actor(&scope()).unwrap(), 10_240)];
    for (document, most) in documents {
        for statement in statements(&document) {
            for key in ["Action", "NotAction"] {
                for action in statement.get(key).map(strings).unwrap_or_default() {
                    let (service, name) = action.split_once(':').unwrap();
                    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
                    assert!(plain(service) && plain(name), "{action}");
                }
            }
        }
        let size = document.to_string().len();
        assert!(size <= most, "{size} characters: AWS takes 6,144 in a managed policy, 10,240 in a role's own");
    }
    for statement in statements(&reader(&scope())) {
        for action in strings(&statement["Action"]) {
            let verb = action.split_once(':').unwrap().1;
            let read = ["Describe", "Get", "List"].iter().any(|word| verb.starts_with(word));
            assert!(read, "{action} is no read");
        }
    }
}

#[test]
fn the_role_stays_in_its_account_and_regions() {
    let role = actor(&scope()).unwrap();
    for there in [place("111111111111", "us-east-1"), place("222222222222", "eu-central-1")] {
        for change in Change::ALL.into_iter().filter(|change| {
            let names_account = !WITHOUT_ACCOUNT.contains(change);
            names_account || there.region != here().region
        }) {
            assert!(!passes(&[&role], &there, &call(change, &there, "0a", "owner")), "{change:?} in {there}");
        }
    }
}

#[test]
fn a_protected_resource_is_out_of_reach_and_its_tag_stays() {
    let role = actor(&scope()).unwrap();
    for change in [Change::StopInstance, Change::DeleteVolume] {
        let call = call(change, &here(), "0a", "owner");
        for (value, reached) in [("true", false), ("yes", false), ("", false), ("false", true), ("False", true)] {
            let mut request: Request = requests(&here(), &call).remove(0);
            request.context.insert("aws:ResourceTag/costwarden:protect".into(), vec![value.into()]);
            assert_eq!(allowed(&[&role], &request), reached, "{call} with protect={value:?}");
        }
    }
    for change in [Change::CreateTags, Change::DeleteTags] {
        assert!(!passes(&[&role], &here(), &call(change, &here(), "0a", "costwarden:protect")), "{change:?}");
        assert!(!passes(&[&role], &here(), &call(change, &here(), "0a", "another key")), "{change:?}");
    }
    let born = call(Change::CreateVolume, &here(), "0a", "costwarden:protect");
    assert!(passes(&[&role], &here(), &born), "an undo makes a volume that is protected from its birth");
}

#[test]
fn what_another_policy_on_the_role_adds_stays_denied() {
    // Resizing and terminating need some of these themselves.
    let mut own = scope();
    own.acts.retain(|(act, _)| !matches!(act, Act::ResizeInstance | Act::TerminateInstance));
    let mut role = actor(&own).unwrap();
    let everything = serde_json::json!({ "Effect": "Allow", "Action": [], "Resource": "*" });
    let surplus = [
        "ec2:TerminateInstances",
        "ec2:DeleteSnapshot",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyVolume",
        "kms:ScheduleKeyDeletion",
        "iam:PassRole",
        "s3:DeleteBucket",
    ];
    let statements = role["Statement"].as_array_mut().unwrap();
    statements.push(everything);
    statements.last_mut().unwrap()["Action"] = surplus.iter().map(|action| Value::from(*action)).collect();
    for action in surplus {
        let context = [("aws:RequestedRegion".to_owned(), vec!["eu-central-1".to_owned()])].into();
        let request = Request { action: action.into(), resources: vec!["arn:aws:x:::y".into()], context };
        assert!(!allowed(&[&role], &request), "{action}");
    }
}

#[test]
fn h26_the_sweep_reaches_what_carries_our_mark_and_nothing_else_whatever_another_policy_grants() {
    let acts = [(Act::DeleteVolume, Kind::Volume), (Act::TerminateInstance, Kind::Instance)];
    let endings = acts.iter().flat_map(|(act, _)| Changes::of(*act).endings());
    let own = Scope { acts: acts.iter().copied().chain(endings).collect(), ..scope() };
    let made: Vec<(Act, Kind)> = own.acts.iter().copied().filter(|(act, _)| act.expires()).collect();
    assert_eq!(made, [(Act::ExpireSnapshot, Kind::Snapshot), (Act::ExpireImage, Kind::Image)]);
    let mut role = actor(&own).unwrap();
    let wide = serde_json::json!({
        "Effect": "Allow", "Action": ["ec2:DeleteSnapshot", "ec2:DeregisterImage"], "Resource": "*"
    });
    role["Statement"].as_array_mut().unwrap().push(wide);
    let mark = "aws:ResourceTag/costwarden:safety-snapshot";
    for change in [Change::ExpireSnapshot, Change::DeregisterImage] {
        let call = call(change, &here(), "0a", "owner");
        let session = session(&here(), &call);
        let meant: Request = requests(&here(), &call).remove(0);
        assert!(allowed(&[&role, &session], &meant), "{call}");
        for other in [None, Some("false"), Some("")] {
            let mut request = meant.clone();
            request.context.remove(mark);
            request.context.extend(other.map(|value| (mark.to_owned(), vec![value.to_owned()])));
            assert!(!allowed(&[&session], &request), "{call} with the mark {other:?} under its session");
            assert!(!allowed(&[&role], &request), "{call} with the mark {other:?} under the role");
        }
        let mut protected = meant.clone();
        protected.context.insert("aws:ResourceTag/costwarden:protect".into(), vec!["true".into()]);
        assert!(!allowed(&[&role], &protected), "{call}");
    }
    let reads = reader(&own).to_string();
    assert!(reads.contains("ssm:GetParameters") && reads.contains("aws:CalledVia"), "{reads}");
    assert!(!reader(&scope()).to_string().contains("ssm:"), "only where images end");
}

#[test]
fn h42_a_resize_may_set_this_type_and_no_other_attribute() {
    let own = Scope { acts: [(Act::ResizeInstance, Kind::Instance)].into(), ..scope() };
    let (role, call) = (actor(&own).unwrap(), call(Change::ModifyInstanceType, &here(), "0a", "owner"));
    let session = session(&here(), &call);
    let meant: Request = requests(&here(), &call).remove(0);
    assert!(allowed(&[&role, &session], &meant));
    let mut larger = meant.clone();
    larger.context.insert("ec2:Attribute/InstanceType".into(), vec!["m5.24xlarge".into()]);
    assert!(!allowed(&[&session], &larger), "to which type, the session says");
    let mut protection = meant;
    protection.context.remove("ec2:Attribute/InstanceType");
    protection.context.insert("ec2:Attribute/DisableApiTermination".into(), vec!["false".into()]);
    assert!(!allowed(&[&session], &protection) && !allowed(&[&role], &protection));
}

#[test]
fn only_what_is_enabled_is_granted() {
    let only = |acts: &[(Act, Kind)]| Scope { acts: acts.iter().copied().collect(), drill: false, ..scope() };
    assert_eq!(actor(&only(&[])), None);
    let stop: Vec<&str> = documents::actions(&only(&[(Act::StopInstance, Kind::Instance)])).into_iter().collect();
    assert_eq!(
        stop,
        ["ec2:CreateSnapshots", "ec2:CreateTags", "ec2:StartInstances", "ec2:StopInstances", "kms:CreateGrant"]
    );
    let tags: Vec<&str> = documents::actions(&only(&[(Act::AddTags, Kind::Volume)])).into_iter().collect();
    assert_eq!(tags, ["ec2:CreateTags", "ec2:DeleteTags"]);
    let role = actor(&only(&[(Act::AddTags, Kind::Instance)])).unwrap();
    assert!(!passes(&[&role], &here(), &call(Change::CreateTags, &here(), "0a", "owner")), "a volume, not an instance");
    let quiet = reader(&Scope { metrics: false, costs: false, ..scope() }).to_string();
    assert!(!quiet.contains("cloudwatch") && !quiet.contains("ce:"), "{quiet}");
}

#[test]
fn h14_a_drill_makes_only_what_is_born_with_its_mark_and_deletes_only_what_carries_it() {
    let role = actor(&Scope { acts: [(Act::StopInstance, Kind::Instance)].into(), ..scope() }).unwrap();
    let make = call(Change::MakeDrill, &here(), "0a", "owner");
    let end = call(Change::EndDrill, &here(), "0a", "owner");
    for own in [&make, &end] {
        assert!(passes(&[&role, &session(&here(), own)], &here(), own), "{own}: {role:#}");
    }
    // The same operations without the mark: not by the role, and not by the drill's own sessions.
    let unmarked = call(Change::CreateVolume, &here(), "0a", "owner");
    let any = call(Change::DeleteVolume, &here(), "0a", "owner");
    for (other, drill) in [(&unmarked, &make), (&any, &end)] {
        assert!(!passes(&[&role], &here(), other), "{other}");
        assert!(!passes(&[&session(&here(), drill)], &here(), other), "{other}");
    }
    let without =
        actor(&Scope { acts: [(Act::StopInstance, Kind::Instance)].into(), drill: false, ..scope() }).unwrap();
    assert!(!passes(&[&without], &here(), &make) && !passes(&[&without], &here(), &end), "off means off");
}
