//! Resources for the wire tests, built through the SDK as a customer would.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, DomainType, InstanceType, ResourceType, Tag, TagSpecification, VolumeType,
};

/// A subnet of the default network whose instances get no public address. `number` tells subnets of one Region apart.
pub async fn private_subnet(ec2: &Client, zone: &str, number: u8) -> String {
    let vpcs = ec2.describe_vpcs().send().await.expect("the default network is listed");
    let vpc = vpcs.vpcs().first().and_then(|vpc| vpc.vpc_id()).expect("there is a default network").to_owned();
    let cidr = format!("172.31.{}.0/24", 100 + u32::from(number));
    let created = ec2.create_subnet().vpc_id(vpc).cidr_block(cidr).availability_zone(zone).send().await;
    let subnet = created.expect("a subnet is made").subnet.and_then(|subnet| subnet.subnet_id);
    subnet.expect("the subnet has an id")
}

/// A running instance in a subnet, with tags from its birth.
pub async fn instance(ec2: &Client, subnet: &str, kind: &str, tags: &[(&str, &str)]) -> String {
    instance_from(ec2, "ami-0123456789abcdef0", subnet, kind, tags).await
}

/// The same from an image that says what it is.
pub async fn instance_from(ec2: &Client, image: &str, subnet: &str, kind: &str, tags: &[(&str, &str)]) -> String {
    let launched = ec2
        .run_instances()
        .image_id(image)
        .instance_type(InstanceType::from(kind))
        .subnet_id(subnet)
        .min_count(1)
        .max_count(1)
        .set_tag_specifications(specification(ResourceType::Instance, tags))
        .send()
        .await
        .expect("an instance is launched");
    launched.instances().first().and_then(|instance| instance.instance_id()).expect("it has an id").to_owned()
}

/// An unattached gp3 volume, with tags from its birth.
pub async fn volume(ec2: &Client, zone: &str, size_gib: i32, tags: &[(&str, &str)]) -> String {
    volume_of(ec2, zone, VolumeType::Gp3, size_gib, tags).await
}

/// An unattached volume of a type, with tags from its birth.
pub async fn volume_of(ec2: &Client, zone: &str, kind: VolumeType, size_gib: i32, tags: &[(&str, &str)]) -> String {
    let created = ec2
        .create_volume()
        .availability_zone(zone)
        .size(size_gib)
        .volume_type(kind)
        .set_tag_specifications(specification(ResourceType::Volume, tags))
        .send()
        .await
        .expect("a volume is made");
    created.volume_id.expect("it has an id")
}

/// An encryption key, enabled. Returns its ARN, as EC2 names it.
pub async fn key(kms: &aws_sdk_kms::Client) -> String {
    let made = kms.create_key().description("for disks").send().await.expect("a key is made");
    made.key_metadata().and_then(|key| key.arn()).expect("it has an ARN").to_owned()
}

/// Puts a key into a state that a person can put it into.
pub async fn set_key(kms: &aws_sdk_kms::Client, key: &str, state: &str) {
    // These calls of moto know keys by their ids alone.
    let key = key.rsplit('/').next().unwrap_or(key);
    match state {
        "Enabled" => drop(kms.enable_key().key_id(key).send().await.expect("the key is enabled")),
        "Disabled" => drop(kms.disable_key().key_id(key).send().await.expect("the key is disabled")),
        "PendingDeletion" => {
            let request = kms.schedule_key_deletion().key_id(key).pending_window_in_days(7);
            drop(request.send().await.expect("the key will be deleted"));
        }
        other => panic!("nobody can put a key into state {other}"),
    }
}

/// An unattached gp3 volume that is encrypted under a key.
pub async fn encrypted_volume(ec2: &Client, zone: &str, size_gib: i32, key: &str, tags: &[(&str, &str)]) -> String {
    let request = ec2.create_volume().availability_zone(zone).size(size_gib).volume_type(VolumeType::Gp3);
    let request = request.encrypted(true).kms_key_id(key);
    let created = request.set_tag_specifications(specification(ResourceType::Volume, tags)).send().await;
    created.expect("a volume is made").volume_id.expect("it has an id")
}

/// Attaches a volume.
pub async fn attach(ec2: &Client, volume: &str, instance: &str, device: &str) {
    let request = ec2.attach_volume().volume_id(volume).instance_id(instance).device(device);
    request.send().await.expect("the volume is attached");
}

/// Switches an instance's protection flags.
pub async fn protect(ec2: &Client, instance: &str, stop: bool, termination: bool) {
    let flag = |value| AttributeBooleanValue::builder().value(value).build();
    let request = ec2.modify_instance_attribute().instance_id(instance).disable_api_stop(flag(stop));
    request.send().await.expect("stop protection is switched");
    let request = ec2.modify_instance_attribute().instance_id(instance).disable_api_termination(flag(termination));
    request.send().await.expect("termination protection is switched");
}

/// An elastic address, associated with an instance or not. Returns its allocation id.
pub async fn address(ec2: &Client, instance: Option<&str>) -> String {
    let allocated = ec2.allocate_address().domain(DomainType::Vpc).send().await.expect("an address");
    let id = allocated.allocation_id.expect("it has an id");
    if let Some(instance) = instance {
        let request = ec2.associate_address().allocation_id(&id).instance_id(instance);
        request.send().await.expect("it is associated");
    }
    id
}

/// An own image of an instance.
pub async fn image(ec2: &Client, instance: &str, name: &str) -> String {
    let made = ec2.create_image().instance_id(instance).name(name).send().await.expect("an image");
    made.image_id.expect("it has an id")
}

/// A snapshot of a volume, as pending as the account's rule makes it.
pub async fn snapshot(ec2: &Client, volume: &str, description: &str) -> String {
    let request = ec2.create_snapshot().volume_id(volume).description(description);
    request.send().await.expect("a snapshot").snapshot_id.expect("it has an id")
}

fn specification(of: ResourceType, tags: &[(&str, &str)]) -> Option<Vec<TagSpecification>> {
    let tags: Vec<Tag> = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
    let specification = TagSpecification::builder().resource_type(of);
    (!tags.is_empty()).then(|| vec![specification.set_tags(Some(tags)).build()])
}
