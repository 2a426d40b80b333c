//! Asks a role which rights it has, with `DryRun` alone: for `doctor`.
//!
//! A type of its own, which has no way to send anything without `DryRun`. It works under a session policy that allows
//! the operations it asks about and nothing else. Every request names a resource that does not exist, but for the question
//! whether a volume may be made of a safety snapshot.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::AttributeBooleanValue;

use super::session::{Attempts, Sessions};
use super::{AwsAccount, AwsOptions, act, errors, identity, session};
use crate::cloud::rights::probes::{self, Holds, NOWHERE, Other, Probe};
use crate::cloud::rights::session::policy;
use crate::cloud::{CloudError, ErrorKind};
use crate::domain::place::Place;
use crate::domain::resource::Resource;

/// Access keys of users begin so; those of roles and sessions do not.
const LONG_LIVED: &str = "AKIA";

/// Asks the roles of the accounts that it was given.
pub struct AwsProber {
    sessions: Sessions,
}

impl AwsProber {
    /// On the ambient configuration; see [`super::AwsReader::connect`]. Give it the accounts with the role to ask.
    pub async fn connect(accounts: &[AwsAccount], options: AwsOptions) -> anyhow::Result<AwsProber> {
        AwsProber::with_config(session::ambient().await, accounts, options)
    }

    /// As [`AwsProber::connect`], on a configuration that the caller made.
    pub fn with_config(config: SdkConfig, accounts: &[AwsAccount], options: AwsOptions) -> anyhow::Result<AwsProber> {
        // Reading may be retried, and a dry run is no more than a reading.
        Ok(AwsProber { sessions: Sessions::new(config, accounts, &options, Attempts::Retried)? })
    }

    /// What the role of the place's account may do there, each action once. `tag_key` is a key that may be written.
    pub async fn rights(&self, place: &Place, tag_key: &str) -> Result<Vec<(&'static str, Holds)>, CloudError> {
        let caller = identity::caller(&self.sessions.sts(&place.account).await?).await?;
        if caller.account != place.account {
            let message = format!("the role belongs to account {} ({}); it is not asked", caller.account, caller.arn);
            return Err(CloudError::new(ErrorKind::Denied, "sts", "GetCallerIdentity", None, &message));
        }
        let probes = Probe::all(place, tag_key);
        let client = self.sessions.ec2_under(place, probes::session(&probes)).await?;
        let mut answers = Vec::with_capacity(probes.len());
        for probe in &probes {
            let answer = match probe {
                Probe::Call(call) => act::permitted(&client, call).await,
                Probe::Other(other) => ask(&client, *other).await,
            };
            answers.push((probe.action(), probes::holds(answer)));
        }
        Ok(answers)
    }

    /// Whether the role would be let make a volume of a snapshot: the one question about something that exists. It is sent
    /// with `DryRun` like all others, under a session of this call alone.
    pub async fn restorable(&self, place: &Place, snapshot: &Resource) -> Result<Holds, CloudError> {
        let call = probes::restore(place, snapshot)
            .map_err(|why| CloudError::new(ErrorKind::Rejected, "ec2", "CreateVolume", None, &why))?;
        let policy = policy(place, &call)
            .map_err(|why| CloudError::new(ErrorKind::Rejected, "ec2", "CreateVolume", None, &why))?;
        let client = self.sessions.ec2_under(place, policy).await?;
        Ok(match act::permitted(&client, &call).await {
            // Unlike a made-up one it was listed a moment ago: nothing is restored from what is not found.
            Err(error) if error.kind == ErrorKind::NotFound => Holds::Unknown(error.to_string()),
            answer => probes::holds(answer),
        })
    }

    /// Whether the ambient credentials are a user's access key, which lives until somebody takes it away. `None` when
    /// there are no credentials.
    pub async fn long_lived_keys(&self) -> Option<bool> {
        Some(self.sessions.ambient_key().await?.starts_with(LONG_LIVED))
    }
}

/// One dry run.
async fn ask(client: &Client, other: Other) -> Result<(), CloudError> {
    let operation = other.action().trim_start_matches("ec2:");
    let id = |prefix: &str| format!("{prefix}-{NOWHERE}");
    /// Sends a request with `DryRun`; a plain yes to it would be an answer to something else.
    macro_rules! dry {
        ($request:expr) => {
            match $request.dry_run(true).send().await {
                Ok(_) => Err(errors::unreadable("ec2", operation, "a dry run was answered as if it were none")),
                Err(error) => Err(errors::from_sdk("ec2", operation, &error)),
            }
        };
    }
    match other {
        Other::AssociateAddress => {
            dry!(client.associate_address().allocation_id(id("eipalloc")).instance_id(id("i")))
        }
        Other::AttachVolume => {
            dry!(client.attach_volume().volume_id(id("vol")).instance_id(id("i")).device("/dev/sdf"))
        }
        Other::CreateImage => dry!(client.create_image().instance_id(id("i")).name("costwarden-doctor")),
        Other::DeleteKeyPair => dry!(client.delete_key_pair().key_pair_id(id("key"))),
        Other::DeleteNatGateway => dry!(client.delete_nat_gateway().nat_gateway_id(id("nat"))),
        Other::DeleteNetworkInterface => dry!(client.delete_network_interface().network_interface_id(id("eni"))),
        Other::DeleteSecurityGroup => dry!(client.delete_security_group().group_id(id("sg"))),
        Other::DeleteSnapshot => dry!(client.delete_snapshot().snapshot_id(id("snap"))),
        Other::DeleteSubnet => dry!(client.delete_subnet().subnet_id(id("subnet"))),
        Other::DeleteVpc => dry!(client.delete_vpc().vpc_id(id("vpc"))),
        Other::DeregisterImage => dry!(client.deregister_image().image_id(id("ami"))),
        Other::DetachVolume => dry!(client.detach_volume().volume_id(id("vol"))),
        Other::DisassociateAddress => dry!(client.disassociate_address().association_id(id("eipassoc"))),
        Other::ModifyImageAttribute => {
            dry!(client.modify_image_attribute().image_id(id("ami")).attribute("description").value("x"))
        }
        Other::ModifyInstanceAttribute => {
            let off = AttributeBooleanValue::builder().value(false).build();
            dry!(client.modify_instance_attribute().instance_id(id("i")).disable_api_termination(off))
        }
        Other::ModifySnapshotAttribute => {
            use aws_sdk_ec2::types::{OperationType, SnapshotAttributeName};
            let name = SnapshotAttributeName::CreateVolumePermission;
            let request = client.modify_snapshot_attribute().snapshot_id(id("snap")).attribute(name);
            dry!(request.operation_type(OperationType::Remove).group_names("all"))
        }
        Other::ModifyVolume => dry!(client.modify_volume().volume_id(id("vol")).size(1)),
        Other::RebootInstances => dry!(client.reboot_instances().instance_ids(id("i"))),
        Other::ReleaseAddress => dry!(client.release_address().allocation_id(id("eipalloc"))),
        Other::ResetInstanceAttribute => {
            use aws_sdk_ec2::types::InstanceAttributeName;
            let name = InstanceAttributeName::SourceDestCheck;
            dry!(client.reset_instance_attribute().instance_id(id("i")).attribute(name))
        }
        Other::RunInstances => dry!(client.run_instances().image_id(id("ami")).min_count(1).max_count(1)),
        Other::TerminateInstances => dry!(client.terminate_instances().instance_ids(id("i"))),
    }
}
