//! EC2 instances: DescribeInstances, and DescribeInstanceAttribute for the protection flags of one.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, DeviceType, InstanceAttributeName};
use chrono::NaiveDateTime;

use super::{Conversion, PAGE_SIZE, errors, instant};
use crate::cloud::{CloudError, Page};
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::resource::{AttachedVolume, Detail, Instance, InstanceState, Lifecycle, Resource};
use crate::domain::text::Str;

const OPERATION: &str = "DescribeInstances";

/// What a listing says about protection flags.
const NOT_LISTED: &str = "a listing does not show protection flags";

pub(super) async fn list(client: &Client, partition: &Partition, cursor: Option<&str>) -> Result<Page, CloudError> {
    let request = client.describe_instances().include_managed_resources(true).max_results(PAGE_SIZE);
    let output = request
        .set_next_token(cursor.map(Into::into))
        .send()
        .await
        .map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    page(&mut Conversion::new(OPERATION, partition), output.reservations.as_deref(), output.next_token())
}

pub(super) async fn describe(client: &Client, key: &ResourceKey) -> Result<Resource, CloudError> {
    let request = client.describe_instances().include_managed_resources(true).instance_ids(&*key.id);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    let mut conversion = Conversion::new(OPERATION, &key.partition);
    let page = page(&mut conversion, output.reservations.as_deref(), None)?;
    let mut resource = conversion.single(key, page)?;
    if let Detail::Instance(instance) = &mut resource.detail {
        instance.termination_protected = flag(client, &key.id, InstanceAttributeName::DisableApiTermination).await;
        instance.stop_protected = flag(client, &key.id, InstanceAttributeName::DisableApiStop).await;
    }
    Ok(resource)
}

/// One protection flag, unknown when it cannot be read.
async fn flag(client: &Client, id: &str, name: InstanceAttributeName) -> Fact<bool> {
    let request = client.describe_instance_attribute().instance_id(id).attribute(name.clone());
    let value = match request.send().await {
        Ok(output) => match name {
            InstanceAttributeName::DisableApiTermination => output.disable_api_termination,
            _ => output.disable_api_stop,
        },
        Err(error) => {
            let error = errors::from_sdk("ec2", "DescribeInstanceAttribute", &error);
            return Fact::unknown(&format!("{} could not be read: {error}", name.as_str()));
        }
    };
    match value.and_then(|value| value.value) {
        Some(value) => Fact::Known(value),
        None => Fact::unknown(&format!("{} is not in the answer", name.as_str())),
    }
}

/// Reservations are only the envelope that instances were launched in.
fn page(
    to: &mut Conversion<'_>,
    reservations: Option<&[types::Reservation]>,
    next: Option<&str>,
) -> Result<Page, CloudError> {
    let reservations = to.need(reservations, "the answer", "its list")?;
    let mut resources = Vec::new();
    for reservation in reservations {
        let part = to.page(reservation.instances.as_deref(), None, convert)?;
        resources.extend(part.resources);
    }
    Ok(Page { resources, next: next.filter(|token| !token.is_empty()).map(Into::into) })
}

fn convert(to: &mut Conversion<'_>, instance: &types::Instance) -> Result<Resource, CloudError> {
    let id = to.need(instance.instance_id(), "an instance", "its id")?;
    let state = instance.state().and_then(|state| state.name());
    let state = InstanceState::from_word(to.need(state, id, "its state")?.as_str());
    let kind = instance.instance_type().map(|kind| kind.as_str());
    let zone = instance.placement().and_then(|placement| placement.availability_zone());
    let detail = Instance {
        state,
        instance_type: to.need_text(kind, id, "its type")?,
        zone: to.need_text(zone, id, "its Availability Zone")?,
        platform: platform(to, instance),
        lifecycle: lifecycle(instance),
        volumes: volumes(to, id, instance)?,
        instance_store: instance_store(instance),
        auto_public_ip: auto_public_ip(to, instance),
        operator: to.operator(instance.operator()),
        termination_protected: Fact::Unknown(to.text(NOT_LISTED)),
        stop_protected: Fact::Unknown(to.text(NOT_LISTED)),
        state_since: state_since(instance.state_transition_reason()),
        image: to.text_or_none(instance.image_id()),
        subnet: to.text_or_none(instance.subnet_id()),
        private_ip: to.text_or_none(instance.private_ip_address()),
    };
    let tags = to.tags(instance.tags.as_deref());
    let created_at = instant(instance.launch_time(), "the launch time");
    Ok(to.resource(id, tags, created_at, Detail::Instance(Box::new(detail))))
}

fn platform(to: &mut Conversion<'_>, instance: &types::Instance) -> Fact<Str> {
    match to.text_or_none(instance.platform_details()) {
        Some(platform) => Fact::Known(platform),
        None => Fact::unknown("the platform is not in the answer"),
    }
}

/// EC2 leaves the field out for on-demand instances.
fn lifecycle(instance: &types::Instance) -> Lifecycle {
    match instance.instance_lifecycle().map(|word| word.as_str()) {
        None => Lifecycle::OnDemand,
        Some("spot") => Lifecycle::Spot,
        Some(other) => Lifecycle::Other(Str::from(other)),
    }
}

fn volumes(to: &mut Conversion<'_>, id: &str, instance: &types::Instance) -> Result<Box<[AttachedVolume]>, CloudError> {
    let mut volumes = Vec::new();
    for mapping in instance.block_device_mappings() {
        let Some(disk) = mapping.ebs() else { continue };
        volumes.push(AttachedVolume {
            volume: to.need_text(disk.volume_id(), id, "the id of an attached volume")?,
            device: to.text(mapping.device_name().unwrap_or_default()),
            delete_on_termination: to.need(
                disk.delete_on_termination(),
                id,
                "whether an attached volume dies with it",
            )?,
        });
    }
    volumes.sort();
    Ok(volumes.into_boxed_slice())
}

/// A root on instance store, or a mapped disk that is no EBS volume, is lost by a stop.
fn instance_store(instance: &types::Instance) -> Fact<bool> {
    let local_disk = instance.block_device_mappings().iter().any(|mapping| mapping.ebs().is_none());
    match instance.root_device_type() {
        Some(DeviceType::InstanceStore) => Fact::Known(true),
        _ if local_disk => Fact::Known(true),
        Some(DeviceType::Ebs) => Fact::Known(false),
        Some(other) => Fact::unknown(&format!("the root device type {:?} is not known", other.as_str())),
        None => Fact::unknown("the root device type is not in the answer"),
    }
}

/// The public address that a stop would lose. AWS owns an auto-assigned address; an elastic one belongs to an
/// account and stays.
fn auto_public_ip(to: &mut Conversion<'_>, instance: &types::Instance) -> Fact<Str> {
    let mut explained = false;
    for interface in instance.network_interfaces() {
        let Some(association) = interface.association() else { continue };
        let Some(address) = association.public_ip().filter(|address| !address.is_empty()) else { continue };
        explained |= instance.public_ip_address() == Some(address);
        match association.ip_owner_id() {
            Some("amazon") => return Fact::Known(to.text(address)),
            Some(owner) if owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit()) => {}
            Some(owner) => return Fact::unknown(&format!("a public address belongs to {owner:?}")),
            None => return Fact::unknown("a public address came without its owner"),
        }
    }
    match instance.public_ip_address() {
        Some(address) if !address.is_empty() && !explained => {
            Fact::unknown("the public address belongs to no network interface of the answer")
        }
        _ => Fact::Absent,
    }
}

/// EC2 dates a stop by hand inside the reason: `User initiated (2026-03-01 12:34:56 GMT)`.
fn state_since(reason: Option<&str>) -> Fact<Instant> {
    let Some(reason) = reason.filter(|reason| !reason.is_empty()) else { return Fact::Absent };
    let dated = reason.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let dated = dated.map(|text| text.trim_end_matches(" GMT").trim_end_matches(" UTC"));
    match dated.map(|text| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")) {
        Some(Ok(time)) => Fact::Known(time.and_utc()),
        _ => Fact::unknown("the reason of the last state change carries no date"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceNetworkInterface, InstanceNetworkInterfaceAssociation};

    use super::*;
    use crate::domain::place::{AccountId, Kind, Place, Region};

    fn with_owner(owner: Option<&str>) -> Fact<Str> {
        let association = InstanceNetworkInterfaceAssociation::builder()
            .public_ip("203.0.113.7")
            .set_ip_owner_id(owner.map(Into::into))
            .build();
        let interface = InstanceNetworkInterface::builder().association(association).build();
        let instance =
            types::Instance::builder().public_ip_address("203.0.113.7").network_interfaces(interface).build();
        auto_public_ip(&mut Conversion::new(OPERATION, &partition()), &instance)
    }

    fn partition() -> Partition {
        let account = AccountId::new("111111111111").unwrap();
        Place { account, region: Region::new("eu-central-1").unwrap() }.partition(Kind::Instance)
    }

    #[test]
    fn only_an_address_that_aws_owns_is_lost_by_a_stop() {
        assert_eq!(with_owner(Some("amazon")), Fact::Known("203.0.113.7".into()));
        assert_eq!(with_owner(Some("111111111111")), Fact::Absent);
        assert!(with_owner(None).is_unknown());
        assert!(with_owner(Some("aws-somewhere")).is_unknown());
    }

    #[test]
    fn a_public_address_without_its_interface_is_unknown() {
        let instance = types::Instance::builder().public_ip_address("203.0.113.7").build();
        assert!(auto_public_ip(&mut Conversion::new(OPERATION, &partition()), &instance).is_unknown());
    }

    #[test]
    fn the_date_of_a_stop_is_read_from_its_reason() {
        let since = state_since(Some("User initiated (2026-03-01 12:34:56 GMT)"));
        assert_eq!(since.known().map(Instant::to_rfc3339).as_deref(), Some("2026-03-01T12:34:56+00:00"));
        assert_eq!(state_since(Some("")), Fact::Absent);
        assert!(state_since(Some("Server.SpotInstanceTermination")).is_unknown());
    }
}
