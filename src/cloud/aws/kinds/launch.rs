//! How one instance was launched, and what a type can run: DescribeInstances, DescribeInstanceTypes,
//! DescribeInstanceTypeOfferings. Read for one instance right before an act on it. A field that decides and is not in the
//! answer makes the answer unreadable.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Filter, InstanceType, LocationType};

use super::{Conversion, errors};
use crate::cloud::{CloudError, ErrorKind};
use crate::domain::launch::{Launch, MetadataOptions, TypeFacts};
use crate::domain::place::{Kind, Place, ResourceKey};
use crate::domain::text::Str;

const INSTANCES: &str = "DescribeInstances";
const TYPES: &str = "DescribeInstanceTypes";
const OFFERINGS: &str = "DescribeInstanceTypeOfferings";

pub(in crate::cloud::aws) async fn launch(client: &Client, key: &ResourceKey) -> Result<Launch, CloudError> {
    let request = client.describe_instances().include_managed_resources(true).instance_ids(&*key.id);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", INSTANCES, &error))?;
    let mut found = output.reservations().iter().flat_map(|own| own.instances());
    match (found.next(), found.next()) {
        (Some(instance), None) if instance.instance_id() == Some(&*key.id) => {
            convert(&mut Conversion::new(INSTANCES, &key.partition), &key.id, instance)
        }
        (None, _) => {
            let message = format!("the answer does not list {}", key.id);
            Err(CloudError::new(ErrorKind::NotFound, "ec2", INSTANCES, None, &message))
        }
        _ => Err(errors::unreadable("ec2", INSTANCES, &format!("asked for {} alone, got others", key.id))),
    }
}

fn convert(to: &mut Conversion<'_>, id: &str, instance: &types::Instance) -> Result<Launch, CloudError> {
    let mut security_groups: Vec<Str> =
        instance.security_groups().iter().filter_map(|own| own.group_id()).map(|own| to.text(own)).collect();
    security_groups.sort();
    let placement = instance.placement();
    let interfaces = instance.network_interfaces();
    let others = interfaces.iter().flat_map(|own| own.private_ip_addresses()).filter(|own| own.primary() != Some(true));
    let architecture = instance.architecture().map(|own| own.as_str());
    let virtualization = instance.virtualization_type().map(|own| own.as_str());
    Ok(Launch {
        architecture: to.need_text(architecture, id, "its architecture")?,
        virtualization: to.need_text(virtualization, id, "its virtualisation")?,
        ena: instance.ena_support(),
        boot_mode: to.text_or_none(instance.boot_mode().map(|own| own.as_str())),
        root_device: to.need_text(instance.root_device_name(), id, "its root device")?,
        subnet: to.text_or_none(instance.subnet_id()),
        interfaces: number(interfaces.len()),
        security_groups,
        profile: to.text_or_none(instance.iam_instance_profile().and_then(|own| own.arn())),
        key_name: to.text_or_none(instance.key_name()),
        ebs_optimized: instance.ebs_optimized() == Some(true),
        monitoring: instance.monitoring().and_then(|own| own.state()).is_some_and(|own| own.as_str() == "enabled"),
        tenancy: to.text(placement.and_then(|own| own.tenancy()).map_or("default", |own| own.as_str())),
        placement_group: to.text_or_none(placement.and_then(|own| own.group_name())),
        metadata: instance.metadata_options().and_then(|own| metadata(to, own)),
        product_codes: !instance.product_codes().is_empty(),
        ipv6: number(interfaces.iter().map(|own| own.ipv6_addresses().len()).sum()),
        secondary_addresses: number(others.count()),
    })
}

/// `None` when a part is missing: then a new instance gets the account's own defaults, and the comparison tells it.
fn metadata(to: &mut Conversion<'_>, own: &types::InstanceMetadataOptionsResponse) -> Option<MetadataOptions> {
    Some(MetadataOptions {
        tokens: to.text(own.http_tokens()?.as_str()),
        endpoint: to.text(own.http_endpoint()?.as_str()),
        hop_limit: u32::try_from(own.http_put_response_hop_limit()?).ok()?,
        tags: to.text(own.instance_metadata_tags().map_or("disabled", |own| own.as_str())),
    })
}

pub(in crate::cloud::aws) async fn type_facts(
    client: &Client,
    place: &Place,
    zone: &str,
    name: &str,
) -> Result<TypeFacts, CloudError> {
    let request = client.describe_instance_types().instance_types(InstanceType::from(name));
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", TYPES, &error))?;
    let found = output.instance_types().iter().find(|own| own.instance_type().is_some_and(|own| own.as_str() == name));
    let Some(info) = found else {
        let message = format!("the answer does not list {name}");
        return Err(CloudError::new(ErrorKind::NotFound, "ec2", TYPES, None, &message));
    };
    let offered = client
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(Filter::builder().name("instance-type").values(name).build())
        .filters(Filter::builder().name("location").values(zone).build())
        .send()
        .await
        .map_err(|error| errors::from_sdk("ec2", OFFERINGS, &error))?;
    let offered = offered
        .instance_type_offerings()
        .iter()
        .any(|own| own.location() == Some(zone) && own.instance_type().is_some_and(|own| own.as_str() == name));
    let partition = place.partition(Kind::Instance);
    let to = &mut Conversion::new(TYPES, &partition);
    let network = info.network_info();
    let architectures = info.processor_info().map(|own| own.supported_architectures()).unwrap_or_default();
    let most = network.and_then(|own| own.maximum_network_interfaces());
    Ok(TypeFacts {
        architectures: architectures.iter().map(|own| to.text(own.as_str())).collect(),
        virtualizations: info.supported_virtualization_types().iter().map(|own| to.text(own.as_str())).collect(),
        hypervisor: to.text(info.hypervisor().map_or("", |own| own.as_str())),
        ena: to.need_text(network.and_then(|own| own.ena_support()).map(|own| own.as_str()), name, "its networking")?,
        nvme: to.need_text(
            info.ebs_info().and_then(|own| own.nvme_support()).map(|own| own.as_str()),
            name,
            "how it shows volumes",
        )?,
        local_disks: to.need(info.instance_storage_supported(), name, "whether it has local disks")?,
        bare_metal: to.need(info.bare_metal(), name, "whether it is bare metal")?,
        interfaces: to.need_u32(most, name, "its most network interfaces")?,
        boot_modes: info.supported_boot_modes().iter().map(|own| to.text(own.as_str())).collect(),
        offered,
    })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
