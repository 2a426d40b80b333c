//! Rights that `doctor` asks for with `DryRun`, and what the answers say of a role.
//!
//! Each probe names a resource that does not exist, so that even an endpoint which ignores `DryRun` has nothing to
//! change; operations that name no resource, such as allocating an address, are therefore not asked for. AWS decides
//! on the right before it looks for the resource, so "does not exist" means "would be allowed". Rights outside EC2
//! cannot be asked for without using them: those are for people, with `iam print` beside them.

use std::collections::BTreeSet;

use serde_json::Map;

use super::documents::{Scope, Statement, document, only_marked};
use super::{Change, Changes};
use crate::cloud::{Call, CloudError, ErrorKind, ImageDisk, NewImage, NewInstance, NewVolume, WantedAddress};
use crate::domain::place::{AddressId, ImageId, InstanceId, Kind, Place, SnapshotId, VolumeId};
use crate::domain::resource::Resource;

/// The hexadecimal digits of every made-up id.
pub const NOWHERE: &str = "00000000000000000";

/// EC2's code for "would have succeeded".
pub const WOULD_SUCCEED: &str = "DryRunOperation";

macro_rules! others {
    ($($name:ident),+ $(,)?) => {
        /// Operations that this program may never make, by EC2's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is the operation of its name")]
        pub enum Other { $($name),+ }

        impl Other {
            /// All of them.
            pub const ALL: &[Other] = &[$(Other::$name),+];

            /// The action in IAM.
            pub fn action(self) -> &'static str {
                match self { $(Other::$name => concat!("ec2:", stringify!($name))),+ }
            }
        }
    };
}

others!(
    AssociateAddress,
    AttachVolume,
    CreateImage,
    DeleteKeyPair,
    DeleteNatGateway,
    DeleteNetworkInterface,
    DeleteSecurityGroup,
    DeleteSnapshot,
    DeleteSubnet,
    DeleteVpc,
    DeregisterImage,
    DetachVolume,
    DisassociateAddress,
    ModifyImageAttribute,
    ModifyInstanceAttribute,
    ModifySnapshotAttribute,
    ModifyVolume,
    RebootInstances,
    ReleaseAddress,
    ResetInstanceAttribute,
    RunInstances,
    TerminateInstances,
);

/// One right that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A change that this program can make, on a resource that does not exist.
    Call(Call),
    /// Any other.
    Other(Other),
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The role has the right.
    Yes,
    /// It has not.
    No,
    /// It cannot be told, and why.
    Unknown(String),
}

/// What the answers say of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Judged {
    /// Needed and there.
    pub there: Vec<String>,
    /// Needed and not there.
    pub missing: Vec<String>,
    /// There and not needed.
    pub surplus: Vec<String>,
    /// Needed on what carries our mark alone, and refused for what does not. Whether it is there for what does cannot be
    /// asked, because no question names anything that exists.
    pub only_marked: Vec<String>,
    /// What could not be told: the action, and why.
    pub unknown: Vec<(String, String)>,
}

impl Probe {
    /// All probes of a place: every change, then everything else. No action is asked for twice.
    pub fn all(place: &Place, tag_key: &str) -> Vec<Probe> {
        // The one names nothing that could be told not to exist, the other's action is asked for already.
        let asked = Change::ALL.iter().filter(|change| {
            !matches!(change, Change::AllocateAddress | Change::ExpireSnapshot | Change::MakeDrill | Change::EndDrill)
        });
        let changes: Vec<Probe> = asked.map(|change| Probe::Call(made_up(*change, place, tag_key))).collect();
        let known: BTreeSet<&str> = changes.iter().map(Probe::action).collect();
        let others =
            Other::ALL.iter().filter(|other| !known.contains(other.action())).map(|other| Probe::Other(*other));
        changes.iter().cloned().chain(others).collect()
    }

    /// The action in IAM.
    pub fn action(&self) -> &'static str {
        match self {
            Probe::Call(call) => Change::of(call).rights()[0].action,
            Probe::Other(other) => other.action(),
        }
    }
}

/// A volume made of a snapshot: what an undo would ask for.
///
/// # Errors
/// It is no snapshot, in words.
pub fn restore(place: &Place, resource: &Resource) -> Result<Call, String> {
    let snapshot = resource.snapshot().ok_or_else(|| format!("{} is no snapshot", resource.key))?;
    Ok(Call::CreateVolume(Box::new(NewVolume {
        snapshot: SnapshotId::new(&resource.key.id).map_err(|error| error.to_string())?,
        zone: format!("{}a", place.region),
        volume_type: "gp3".to_owned(),
        size_gib: snapshot.volume_size_gib,
        iops: None,
        throughput: None,
        encrypted: snapshot.kms_key.is_some(),
        kms_key: snapshot.kms_key.as_deref().map(str::to_owned),
        tags: Vec::new(),
        token: "costwarden-doctor".to_owned(),
    })))
}

/// The session policy under which a role is asked: these actions and no other, whatever the role may do.
pub fn session(probes: &[Probe]) -> String {
    let mut actions: Vec<&str> = probes
        .iter()
        .flat_map(|probe| match probe {
            Probe::Call(call) => Change::of(call).rights().iter().map(|right| right.action).collect(),
            Probe::Other(other) => vec![other.action()],
        })
        .collect();
    actions.sort_unstable();
    actions.dedup();
    document(&[Statement::allow("", &actions, vec!["*".into()], Map::new())]).to_string()
}

/// What an answer to a dry run says about the right.
pub fn holds(answer: Result<(), CloudError>) -> Holds {
    match answer {
        Ok(()) => Holds::Yes,
        Err(error) if error.code.as_deref() == Some(WOULD_SUCCEED) || error.kind == ErrorKind::NotFound => Holds::Yes,
        // Without a code it were our own credentials that could not be had, which says nothing about the role.
        Err(error) if error.kind == ErrorKind::Denied && error.code.is_some() => Holds::No,
        Err(error) => Holds::Unknown(error.to_string()),
    }
}

/// The APIs that a role needs for the enabled acts: what is called by itself, not what comes along with a call.
pub fn needed(scope: &Scope) -> BTreeSet<&'static str> {
    let marked = only_marked(scope);
    let changes = scope.acts.iter().flat_map(|(act, _)| Changes::of(*act).all());
    changes.map(|change| change.rights()[0].action).filter(|action| !marked.contains(action)).collect()
}

/// Compares what a role has with what it needs, and with what it needs on our own backups alone.
pub fn judge(needed: &BTreeSet<&str>, marked: &BTreeSet<&str>, answers: &[(&'static str, Holds)]) -> Judged {
    let mut judged = Judged::default();
    for (action, holds) in answers {
        let name = (*action).to_owned();
        match (holds, needed.contains(action)) {
            (Holds::Yes, true) => judged.there.push(name),
            (Holds::Yes, false) => judged.surplus.push(name),
            (Holds::No, true) => judged.missing.push(name),
            (Holds::No, false) if marked.contains(action) => judged.only_marked.push(name),
            (Holds::No, false) => {}
            (Holds::Unknown(why), _) => judged.unknown.push((name, why.clone())),
        }
    }
    // What was needed and not even asked for is no right that is there.
    for action in needed.iter().filter(|action| !answers.iter().any(|(asked, _)| asked == *action)) {
        judged.unknown.push(((*action).to_owned(), "it was not asked for".to_owned()));
    }
    judged
}

/// A change of something that does not exist.
pub fn made_up(change: Change, place: &Place, tag_key: &str) -> Call {
    let id = |kind: Kind| format!("{}{NOWHERE}", kind.id_prefix());
    // The prefix and digits of an id, so these cannot fail.
    let instance = || InstanceId::new(&id(Kind::Instance)).expect("a made-up instance id is well-formed");
    let volume = || VolumeId::new(&id(Kind::Volume)).expect("a made-up volume id is well-formed");
    let snapshot = || SnapshotId::new(&id(Kind::Snapshot)).expect("a made-up snapshot id is well-formed");
    let image = || ImageId::new(&id(Kind::Image)).expect("a made-up image id is well-formed");
    let tags = vec![(tag_key.to_owned(), "probe".to_owned())];
    let description = "a question about rights".to_owned();
    let resource = place.partition(Kind::Volume).key(&id(Kind::Volume));
    match change {
        Change::StopInstance => Call::StopInstance { instance: instance() },
        Change::StartInstance => Call::StartInstance { instance: instance() },
        Change::DeleteVolume => Call::DeleteVolume { volume: volume() },
        Change::ModifyVolume => {
            Call::ModifyVolume { volume: volume(), volume_type: "gp3".to_owned(), iops: None, throughput: None }
        }
        Change::ReleaseAddress => Call::ReleaseAddress {
            address: AddressId::new(&id(Kind::Address)).expect("a made-up allocation id is well-formed"),
        },
        Change::AllocateAddress => Call::AllocateAddress(Box::new(WantedAddress {
            public_ip: "0.0.0.0".to_owned(),
            pool: None,
            border_group: None,
            tags,
        })),
        Change::DeleteSnapshot => Call::DeleteSnapshot { snapshot: snapshot() },
        Change::ExpireSnapshot => Call::ExpireSnapshot { snapshot: snapshot() },
        Change::DeregisterImage => Call::DeregisterImage { image: image() },
        Change::RestoreSnapshot => Call::RestoreSnapshot { snapshot: snapshot() },
        Change::CreateVolume => Call::CreateVolume(Box::new(NewVolume {
            snapshot: snapshot(),
            zone: format!("{}a", place.region),
            volume_type: "gp3".to_owned(),
            size_gib: 1,
            iops: None,
            throughput: None,
            encrypted: false,
            kms_key: None,
            tags,
            token: "costwarden-doctor".to_owned(),
        })),
        Change::MakeDrill => match made_up(Change::CreateVolume, place, tag_key) {
            Call::CreateVolume(mut new) => {
                new.tags = vec![("costwarden:drill".to_owned(), "probe".to_owned())];
                Call::MakeDrill(new)
            }
            other => other,
        },
        Change::EndDrill => Call::EndDrill { volume: volume() },
        Change::CreateSnapshot => Call::CreateSnapshot { volume: volume(), description, tags },
        Change::CreateSnapshots => Call::CreateSnapshots { instance: instance(), description, tags },
        Change::CreateTags => Call::CreateTags { resource, tags },
        Change::DeleteTags => Call::DeleteTags { resource, tags },
        Change::ModifyInstanceType => Call::ModifyInstanceType { instance: instance(), to: "t3.micro".to_owned() },
        Change::TerminateInstance => Call::TerminateInstance { instance: instance() },
        Change::RegisterImage => Call::RegisterImage(Box::new(NewImage {
            name: format!("costwarden-doctor-{NOWHERE}"),
            description,
            architecture: "x86_64".to_owned(),
            ena: true,
            boot_mode: None,
            root_device: "/dev/xvda".to_owned(),
            disks: vec![ImageDisk {
                device: "/dev/xvda".to_owned(),
                snapshot: SnapshotId::new(&id(Kind::Snapshot)).expect("a made-up snapshot id is well-formed"),
                volume_type: "gp3".to_owned(),
                size_gib: 1,
                iops: None,
                throughput: None,
                delete_on_termination: true,
            }],
            tags,
        })),
        Change::RunInstance => Call::RunInstance(Box::new(NewInstance {
            image: image(),
            instance_type: "t3.micro".to_owned(),
            subnet: format!("subnet-{NOWHERE}"),
            security_groups: Vec::new(),
            profile: None,
            key_name: None,
            ebs_optimized: false,
            monitoring: false,
            placement_group: None,
            metadata: None,
            tags,
            token: "costwarden-doctor".to_owned(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::{AccountId, Region};

    fn here() -> Place {
        Place { account: AccountId::new("111111111111").unwrap(), region: Region::new("eu-central-1").unwrap() }
    }

    #[test]
    fn every_probe_names_something_that_does_not_exist_and_no_action_is_asked_twice() {
        let probes = Probe::all(&here(), "owner");
        let actions: BTreeSet<&str> = probes.iter().map(Probe::action).collect();
        assert_eq!(actions.len(), probes.len());
        assert!(probes.len() >= 28, "{}", probes.len());
        for probe in &probes {
            if let Probe::Call(call) = probe {
                assert!(call.target().ends_with(NOWHERE), "{call}");
            }
        }
        let text = session(&probes);
        assert!(text.len() <= super::super::session::LONGEST && !text.contains(":*"), "{}: {text}", text.len());
    }

    #[test]
    fn an_answer_that_does_not_tell_is_unknown_and_never_a_no() {
        let error = |kind, code: Option<&str>| holds(Err(CloudError::new(kind, "ec2", "X", code, "m")));
        assert_eq!(holds(Ok(())), Holds::Yes);
        assert_eq!(error(ErrorKind::Rejected, Some("DryRunOperation")), Holds::Yes);
        assert_eq!(error(ErrorKind::NotFound, Some("InvalidVolume.NotFound")), Holds::Yes);
        assert_eq!(error(ErrorKind::Denied, Some("UnauthorizedOperation")), Holds::No);
        for (kind, code) in [
            (ErrorKind::Denied, None),
            (ErrorKind::Throttled, Some("RequestLimitExceeded")),
            (ErrorKind::Uncertain, None),
            (ErrorKind::Rejected, Some("InvalidParameterValue")),
        ] {
            assert!(matches!(error(kind, code), Holds::Unknown(_)), "{kind:?} {code:?}");
        }
    }

    #[test]
    fn a_role_is_told_exactly_what_it_lacks_and_what_it_has_too_much() {
        let needed = BTreeSet::from(["ec2:StopInstances", "ec2:CreateTags", "ec2:DeleteVolume", "ec2:StartInstances"]);
        let answers = [
            ("ec2:StopInstances", Holds::Yes),
            ("ec2:CreateTags", Holds::No),
            ("ec2:DeleteVolume", Holds::Unknown("throttled".into())),
            ("ec2:RunInstances", Holds::Yes),
            ("ec2:DeleteVpc", Holds::No),
            ("ec2:DeleteSnapshot", Holds::No),
            ("ec2:DeregisterImage", Holds::Yes),
        ];
        let marked = BTreeSet::from(["ec2:DeleteSnapshot", "ec2:DeregisterImage"]);
        let judged = judge(&needed, &marked, &answers);
        assert_eq!(judged.only_marked, ["ec2:DeleteSnapshot"]);
        assert_eq!(judged.there, ["ec2:StopInstances"]);
        assert_eq!(judged.missing, ["ec2:CreateTags"]);
        assert_eq!(judged.surplus, ["ec2:RunInstances", "ec2:DeregisterImage"], "of images of others as well");
        let unknown: Vec<&str> = judged.unknown.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(unknown, ["ec2:DeleteVolume", "ec2:StartInstances"]);
    }
}
