//! A made-up account of any size, the same on every run: what the loopback server answers from.
//!
//! Everything about a resource follows from its number, so that the server, the reader under test and the expectation
//! agree without sharing anything. Ids look as random as real ones, because the night's blob is compressed. Shares are
//! those of an untidy account: nine in ten instances run, one in twenty of those is idle, one resource in ten lacks a
//! mandatory tag, one volume in ten hangs on nothing.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};

/// The account's id.
pub const ID: &str = "111122223333";
/// Its only Region.
pub const REGION: &str = "us-east-1";
/// Resources on a full page.
pub const PAGE: usize = 1_000;
/// Snapshots, addresses and images, whatever the account's size: one page of each.
pub const SNAPSHOTS: usize = 1_000;
pub const ADDRESSES: usize = 100;
pub const IMAGES: usize = 100;

/// How many of what there are.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub instances: usize,
    pub volumes: usize,
}

/// Which list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    Instances,
    Volumes,
    Snapshots,
    Addresses,
    Images,
}

const TYPES: [&str; 16] = [
    "m5.large",
    "t3.micro",
    "t3.medium",
    "m5.xlarge",
    "c5.large",
    "r5.large",
    "m6i.2xlarge",
    "t3.small",
    "c6i.xlarge",
    "r6i.xlarge",
    "m5.2xlarge",
    "t3.large",
    "c5.2xlarge",
    "m6i.large",
    "m5.4xlarge",
    "c5.9xlarge",
];
const SERVICES: [&str; 12] = [
    "checkout",
    "search",
    "billing",
    "inventory",
    "gateway",
    "reports",
    "mailer",
    "auth",
    "catalogue",
    "shipping",
    "ledger",
    "insights",
];

/// The night of the first scan.
pub fn now() -> DateTime<Utc> {
    "2026-11-22T02:00:00Z".parse().expect("a date")
}

/// The `index`th number of a series; neighbours have nothing in common (SplitMix64).
pub fn mix(series: u64, index: u64) -> u64 {
    let mut z = (index ^ (series << 48)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether the instance with these sixteen digits in its id does nothing.
pub fn idle(digits: u64) -> bool {
    mix(9, digits).is_multiple_of(20)
}

fn digits(index: usize) -> u64 {
    mix(1, index as u64)
}

fn instance_id(index: usize) -> String {
    format!("i-0{:016x}", digits(index))
}

fn volume_id(index: usize) -> String {
    format!("vol-0{:016x}", mix(2, index as u64))
}

fn running(index: usize) -> bool {
    !mix(3, index as u64).is_multiple_of(10)
}

/// Launched long enough ago to have a week of metrics, on the first night and on the second.
fn old(index: usize) -> bool {
    !mix(4, index as u64).is_multiple_of(20)
}

fn launched(index: usize) -> DateTime<Utc> {
    let days = mix(5, index as u64) % 400;
    let days = if old(index) { 8 + days } else { 1 + days % 5 };
    now() - TimeDelta::days(days as i64) - TimeDelta::seconds((mix(6, index as u64) % 3_600) as i64)
}

impl Account {
    /// Everything in it.
    pub fn resources(&self) -> usize {
        self.instances + self.volumes + SNAPSHOTS + ADDRESSES + IMAGES
    }

    /// List calls that show all of it, one page each at least.
    pub fn pages(&self) -> usize {
        // Elastic addresses come in one answer.
        [self.instances, self.volumes, SNAPSHOTS, IMAGES].map(|count| count.div_ceil(PAGE).max(1)).iter().sum::<usize>()
            + 1
    }

    /// Running instances that are old enough for stage 1, and those that it leaves for stage 2.
    pub fn measured(&self) -> (usize, usize) {
        let measured = (0..self.instances).filter(|index| running(*index) && old(*index));
        measured.fold((0, 0), |(all, idles), index| (all + 1, idles + usize::from(idle(digits(index)))))
    }

    fn count(&self, list: List) -> usize {
        match list {
            List::Instances => self.instances,
            List::Volumes => self.volumes,
            List::Snapshots => SNAPSHOTS,
            List::Addresses => ADDRESSES,
            List::Images => IMAGES,
        }
    }

    /// How many pages a list has.
    pub fn pages_of(&self, list: List) -> usize {
        self.count(list).div_ceil(PAGE).max(1)
    }

    /// One page as EC2 writes it, but for the indentation.
    pub fn page(&self, list: List, page: usize) -> String {
        let (operation, set, item): (_, _, fn(&Account, usize, &mut String)) = match list {
            List::Instances => ("DescribeInstances", "reservationSet", Account::instance),
            List::Volumes => ("DescribeVolumes", "volumeSet", Account::volume),
            List::Snapshots => ("DescribeSnapshots", "snapshotSet", Account::snapshot),
            List::Addresses => ("DescribeAddresses", "addressesSet", Account::address),
            List::Images => ("DescribeImages", "imagesSet", Account::image),
        };
        let range = page * PAGE..self.count(list).min((page + 1) * PAGE);
        let mut out = String::with_capacity(range.len() * 4_096 + 512);
        put(
            &mut out,
            format_args!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{operation}Response \
                 xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>8f7724cf-496f-496e-8fe3-{page:012}\
                 </requestId><{set}>"
            ),
        );
        for index in range {
            out.push_str("<item>");
            item(self, index, &mut out);
            out.push_str("</item>");
        }
        put(&mut out, format_args!("</{set}>"));
        if page + 1 < self.pages_of(list) {
            put(&mut out, format_args!("<nextToken>{}</nextToken>", page + 1));
        }
        put(&mut out, format_args!("</{operation}Response>"));
        out
    }

    fn instance(&self, index: usize, out: &mut String) {
        let id = instance_id(index);
        let roll = mix(7, index as u64);
        let kind = TYPES[(roll % 16) as usize];
        let (code, state) = if running(index) { (16, "running") } else { (80, "stopped") };
        let reason = if running(index) { "" } else { "User initiated (2026-10-30 17:05:11 GMT)" };
        let launched = stamp(launched(index));
        let ip = format!("10.{}.{}.{}", (index >> 16) & 255, (index >> 8) & 255, index & 255);
        let host = format!("ip-{}.ec2.internal", ip.replace('.', "-"));
        let zone = ["us-east-1a", "us-east-1b", "us-east-1c"][(roll >> 8) as usize % 3];
        let subnet = format!("subnet-0{:016x}", mix(20, roll % 24));
        let vpc = format!("vpc-0{:016x}", mix(21, roll % 4));
        let group = format!(
            "<groupSet><item><groupId>sg-0{:016x}</groupId><groupName>{}</groupName></item></groupSet>",
            mix(22, roll % 40),
            SERVICES[(roll >> 16) as usize % 12]
        );
        let eni = format!("eni-0{:016x}", mix(23, index as u64));
        put(
            out,
            format_args!(
                "<reservationId>r-0{:016x}</reservationId><ownerId>{ID}</ownerId><groupSet/><instancesSet><item>\
                 <instanceId>{id}</instanceId><imageId>ami-0{:016x}</imageId>\
                 <instanceState><code>{code}</code><name>{state}</name></instanceState>\
                 <privateDnsName>{host}</privateDnsName><dnsName/><reason>{reason}</reason><keyName>platform</keyName>\
                 <amiLaunchIndex>0</amiLaunchIndex><productCodes/><instanceType>{kind}</instanceType>\
                 <launchTime>{launched}</launchTime><placement><availabilityZone>{zone}</availabilityZone>\
                 <availabilityZoneId>use1-az1</availabilityZoneId><groupName/><tenancy>default</tenancy></placement>\
                 <monitoring><state>disabled</state></monitoring><subnetId>{subnet}</subnetId><vpcId>{vpc}</vpcId>\
                 <privateIpAddress>{ip}</privateIpAddress><sourceDestCheck>true</sourceDestCheck>{group}\
                 <architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType>\
                 <rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>",
                mix(24, index as u64),
                mix(25, roll % 60),
            ),
        );
        for (volume, device) in self.volumes_of(index) {
            put(
                out,
                format_args!(
                    "<item><deviceName>{device}</deviceName><ebs><volumeId>{}</volumeId><status>attached</status>\
                     <attachTime>{launched}</attachTime><deleteOnTermination>true</deleteOnTermination>\
                     <operator><managed>false</managed></operator></ebs></item>",
                    volume_id(volume)
                ),
            );
        }
        put(
            out,
            format_args!(
                "</blockDeviceMapping><virtualizationType>hvm</virtualizationType><clientToken>{:016x}{:016x}\
                 </clientToken>",
                mix(26, index as u64),
                mix(27, index as u64)
            ),
        );
        tags(out, "instance", index);
        put(
            out,
            format_args!(
                "<hypervisor>xen</hypervisor><networkInterfaceSet><item><networkInterfaceId>{eni}</networkInterfaceId>\
                 <subnetId>{subnet}</subnetId><vpcId>{vpc}</vpcId><description/><ownerId>{ID}</ownerId>\
                 <status>in-use</status><macAddress>0e:{:02x}:{:02x}:{:02x}:{:02x}:77</macAddress>\
                 <privateIpAddress>{ip}</privateIpAddress><privateDnsName>{host}</privateDnsName>\
                 <sourceDestCheck>true</sourceDestCheck>{group}<attachment>\
                 <attachmentId>eni-attach-0{:016x}</attachmentId><deviceIndex>0</deviceIndex><status>attached</status>\
                 <attachTime>{launched}</attachTime><deleteOnTermination>true</deleteOnTermination>\
                 <networkCardIndex>0</networkCardIndex></attachment><privateIpAddressesSet><item>\
                 <privateIpAddress>{ip}</privateIpAddress><privateDnsName>{host}</privateDnsName>\
                 <primary>true</primary></item></privateIpAddressesSet><ipv6AddressesSet/>\
                 <interfaceType>interface</interfaceType><operator><managed>false</managed></operator></item>\
                 </networkInterfaceSet><iamInstanceProfile>\
                 <arn>arn:aws:iam::{ID}:instance-profile/{}</arn><id>AIPA{:016X}</id></iamInstanceProfile>\
                 <ebsOptimized>true</ebsOptimized><enaSupport>true</enaSupport><cpuOptions><coreCount>1</coreCount>\
                 <threadsPerCore>2</threadsPerCore></cpuOptions><capacityReservationSpecification>\
                 <capacityReservationPreference>open</capacityReservationPreference>\
                 </capacityReservationSpecification><hibernationOptions><configured>false</configured>\
                 </hibernationOptions><enclaveOptions><enabled>false</enabled></enclaveOptions><metadataOptions>\
                 <state>applied</state><httpTokens>required</httpTokens>\
                 <httpPutResponseHopLimit>2</httpPutResponseHopLimit><httpEndpoint>enabled</httpEndpoint>\
                 <httpProtocolIpv6>disabled</httpProtocolIpv6><instanceMetadataTags>disabled</instanceMetadataTags>\
                 </metadataOptions><maintenanceOptions><autoRecovery>default</autoRecovery></maintenanceOptions>\
                 <currentInstanceBootMode>legacy-bios</currentInstanceBootMode>\
                 <platformDetails>Linux/UNIX</platformDetails><usageOperation>RunInstances</usageOperation>\
                 <usageOperationUpdateTime>{launched}</usageOperationUpdateTime><privateDnsNameOptions>\
                 <hostnameType>ip-name</hostnameType><enableResourceNameDnsARecord>false\
                 </enableResourceNameDnsARecord><enableResourceNameDnsAAAARecord>false\
                 </enableResourceNameDnsAAAARecord></privateDnsNameOptions>\
                 <operator><managed>false</managed></operator></item></instancesSet>",
                roll & 255,
                (roll >> 8) & 255,
                (roll >> 16) & 255,
                (roll >> 24) & 255,
                mix(28, index as u64),
                SERVICES[(roll >> 16) as usize % 12],
                mix(29, roll % 200),
            ),
        );
    }

    /// Every instance has its root volume; the volumes beyond those are data disks, and one volume in ten is free.
    fn volumes_of(&self, instance: usize) -> impl Iterator<Item = (usize, &'static str)> {
        let data = instance + self.instances;
        let root = (instance < self.volumes && !free(instance)).then_some((instance, "/dev/xvda"));
        let second = (data < self.volumes && !free(data)).then_some((data, "/dev/sdf"));
        root.into_iter().chain(second)
    }

    fn volume(&self, index: usize, out: &mut String) {
        let id = volume_id(index);
        let roll = mix(10, index as u64);
        let instance = if index < self.instances { index } else { index - self.instances };
        let created = stamp(launched(instance));
        let zone = ["us-east-1a", "us-east-1b", "us-east-1c"][(mix(7, instance as u64) >> 8) as usize % 3];
        let status = if free(index) { "available" } else { "in-use" };
        put(
            out,
            format_args!(
                "<volumeId>{id}</volumeId><size>{}</size><snapshotId>snap-0{:016x}</snapshotId>\
                 <availabilityZone>{zone}</availabilityZone><status>{status}</status><createTime>{created}</createTime>",
                8 + roll % 500,
                mix(30, roll % 60)
            ),
        );
        if free(index) {
            out.push_str("<attachmentSet/>");
        } else {
            let device = if index < self.instances { "/dev/xvda" } else { "/dev/sdf" };
            put(
                out,
                format_args!(
                    "<attachmentSet><item><volumeId>{id}</volumeId><instanceId>{}</instanceId>\
                     <device>{device}</device><status>attached</status><attachTime>{created}</attachTime>\
                     <deleteOnTermination>true</deleteOnTermination></item></attachmentSet>",
                    instance_id(instance)
                ),
            );
        }
        tags(out, "volume", index);
        out.push_str(
            "<volumeType>gp3</volumeType><iops>3000</iops><throughput>125</throughput><encrypted>true</encrypted>\
             <kmsKeyId>arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-0000-0000-0000-example00001</kmsKeyId>\
             <multiAttachEnabled>false</multiAttachEnabled><operator><managed>false</managed></operator>",
        );
    }

    fn snapshot(&self, index: usize, out: &mut String) {
        put(
            out,
            format_args!(
                "<snapshotId>snap-0{:016x}</snapshotId><volumeId>{}</volumeId><status>completed</status>\
                 <startTime>{}</startTime><progress>100%</progress><ownerId>{ID}</ownerId><volumeSize>100</volumeSize>\
                 <description>nightly</description><encrypted>false</encrypted><storageTier>standard</storageTier>",
                mix(31, index as u64),
                volume_id(index),
                stamp(now() - TimeDelta::days(index as i64 % 180)),
            ),
        );
        tags(out, "snapshot", index);
    }

    fn address(&self, index: usize, out: &mut String) {
        put(
            out,
            format_args!(
                "<publicIp>203.0.113.{index}</publicIp><allocationId>eipalloc-0{:016x}</allocationId>\
                 <domain>vpc</domain>",
                mix(32, index as u64)
            ),
        );
        tags(out, "address", index);
    }

    fn image(&self, index: usize, out: &mut String) {
        put(
            out,
            format_args!(
                "<imageId>ami-0{:016x}</imageId><imageState>available</imageState><imageOwnerId>{ID}</imageOwnerId>\
                 <creationDate>2026-01-01T00:00:00.000Z</creationDate><name>base-{index}</name><blockDeviceMapping>\
                 <item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-0{:016x}</snapshotId></ebs></item>\
                 </blockDeviceMapping>",
                mix(25, index as u64),
                mix(31, index as u64)
            ),
        );
        tags(out, "image", index);
    }
}

fn free(volume: usize) -> bool {
    mix(11, volume as u64).is_multiple_of(10)
}

/// Seven tags, of which one resource in ten lacks the cost center.
fn tags(out: &mut String, kind: &str, index: usize) {
    let roll = mix(12, index as u64 ^ ((kind.len() as u64) << 40));
    let service = SERVICES[(roll >> 8) as usize % 12];
    out.push_str("<tagSet>");
    let mut tag = |key: &str, value: std::fmt::Arguments<'_>| {
        put(out, format_args!("<item><key>{key}</key><value>{value}</value></item>"));
    };
    tag("Name", format_args!("{service}-{kind}-{index}"));
    tag("owner", format_args!("team-{}@example.com", roll % 150));
    if !(roll >> 20).is_multiple_of(10) {
        tag("cost-center", format_args!("CC-{:04}", roll % 60));
    }
    tag("environment", format_args!("{}", ["production", "staging", "development"][(roll >> 32) as usize % 3]));
    tag("service", format_args!("{service}"));
    tag("release", format_args!("2026.{}.{}", roll % 12, (roll >> 40) % 30));
    tag("backup", format_args!("{}", ["daily", "weekly", "none"][(roll >> 48) as usize % 3]));
    out.push_str("</tagSet>");
}

fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// Writing into a `String` cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
