//! Elastic addresses: DescribeAddresses, which has no pages.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;

use super::{Conversion, errors};
use crate::cloud::{CloudError, Page};
use crate::domain::fact::Fact;
use crate::domain::place::{Partition, ResourceKey};
use crate::domain::resource::{Address, Detail, Resource};

const OPERATION: &str = "DescribeAddresses";

pub(super) async fn list(client: &Client, partition: &Partition) -> Result<Page, CloudError> {
    let output =
        client.describe_addresses().send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    Conversion::new(OPERATION, partition).page(output.addresses.as_deref(), None, convert)
}

pub(super) async fn describe(client: &Client, key: &ResourceKey) -> Result<Resource, CloudError> {
    let request = client.describe_addresses().allocation_ids(&*key.id);
    let output = request.send().await.map_err(|error| errors::from_sdk("ec2", OPERATION, &error))?;
    let mut conversion = Conversion::new(OPERATION, &key.partition);
    let page = conversion.page(output.addresses.as_deref(), None, convert)?;
    conversion.single(key, page)
}

fn convert(to: &mut Conversion<'_>, address: &types::Address) -> Result<Resource, CloudError> {
    let id = to.need(address.allocation_id(), "an address", "its allocation id")?;
    let detail = Address {
        public_ip: to.need_text(address.public_ip(), id, "its address")?,
        association: to.text_or_none(address.association_id()),
        instance: to.text_or_none(address.instance_id()),
        network_interface: to.text_or_none(address.network_interface_id()),
        operator: to.text_or_none(address.service_managed().map(|service| service.as_str())),
        pool: to.text_or_none(address.public_ipv4_pool()),
        border_group: to.text_or_none(address.network_border_group()),
    };
    let tags = to.tags(address.tags.as_deref());
    let created_at = Fact::unknown("EC2 does not date elastic addresses");
    Ok(to.resource(id, tags, created_at, Detail::Address(Box::new(detail))))
}
