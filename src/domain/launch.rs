//! What a launch of the same instance needs and no listing carries, what a type can run, and whether the two fit. Pure.
//!
//! `cloud` reads these for one instance right before an act on it; `remediate` asks [`change_of_type`] before a resize
//! and [`anew`] before a termination, and saves [`Launch`] in the recipe. User data is not read: it may hold secrets,
//! and a new instance would run it as if for the first time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::resource::Instance;
use super::text::{Str, clean};

/// How an instance was launched, as far as it can be launched so again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// `x86_64`, `arm64`, …
    pub architecture: Str,
    /// `hvm` or `paravirtual`.
    pub virtualization: Str,
    /// Enhanced networking is on; `None` when the cloud does not say.
    pub ena: Option<bool>,
    /// Boot mode, where the image asks for one.
    pub boot_mode: Option<Str>,
    /// Device name of the root volume.
    pub root_device: Str,
    /// Subnet.
    pub subnet: Option<Str>,
    /// Network interfaces.
    pub interfaces: u32,
    /// Security groups, sorted.
    pub security_groups: Vec<Str>,
    /// ARN of the instance profile.
    pub profile: Option<Str>,
    /// Name of the key pair.
    pub key_name: Option<Str>,
    /// Dedicated throughput to its volumes.
    pub ebs_optimized: bool,
    /// Detailed monitoring.
    pub monitoring: bool,
    /// `default`, `dedicated` or `host`.
    pub tenancy: Str,
    /// Placement group.
    pub placement_group: Option<Str>,
    /// Metadata options.
    pub metadata: Option<MetadataOptions>,
    /// Bought with a product of the Marketplace, which an image of ours would not carry.
    pub product_codes: bool,
    /// IPv6 addresses.
    pub ipv6: u32,
    /// Private IPv4 addresses beside the first.
    pub secondary_addresses: u32,
}

/// How an instance's metadata are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// `required` or `optional`.
    pub tokens: Str,
    /// `enabled` or `disabled`.
    pub endpoint: Str,
    /// Most hops of an answer.
    pub hop_limit: u32,
    /// `enabled` or `disabled`.
    pub tags: Str,
}

/// What an instance type can run, and whether it can be had in one Availability Zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFacts {
    /// Architectures.
    pub architectures: Vec<Str>,
    /// Kinds of virtualisation.
    pub virtualizations: Vec<Str>,
    /// `nitro`, `xen`, or empty for bare metal.
    pub hypervisor: Str,
    /// `required`, `supported` or `unsupported`.
    pub ena: Str,
    /// `required`, `supported` or `unsupported`.
    pub nvme: Str,
    /// Has local disks.
    pub local_disks: bool,
    /// No hypervisor.
    pub bare_metal: bool,
    /// Most network interfaces.
    pub interfaces: u32,
    /// Boot modes.
    pub boot_modes: Vec<Str>,
    /// Offered in the Availability Zone that was asked about.
    pub offered: bool,
}

/// Whether an instance can change from one type to another and boot.
///
/// # Errors
/// Why not, in words.
pub fn change_of_type(launch: &Launch, from: &TypeFacts, to_name: &str, to: &TypeFacts) -> Result<(), String> {
    let name = clean(to_name);
    let holds = |list: &[Str], word: &str| list.iter().any(|own| &**own == word);
    let objection = if !to.offered {
        format!("type {name} is not offered in its Availability Zone")
    } else if to.bare_metal || from.bare_metal {
        "bare metal is not changed by this program".to_owned()
    } else if to.local_disks {
        format!("type {name} has local disks, which its next stop would lose")
    } else if !holds(&to.architectures, &launch.architecture) {
        format!("type {name} does not run {}", clean(&launch.architecture))
    } else if !holds(&to.virtualizations, &launch.virtualization) {
        format!("type {name} does not run {} images", clean(&launch.virtualization))
    } else if to.hypervisor != from.hypervisor {
        format!("type {name} runs on {}, its own on {}", clean(&to.hypervisor), clean(&from.hypervisor))
    } else if &*to.ena == "required" && launch.ena != Some(true) {
        format!("type {name} needs enhanced networking, and whether its system has that is not known")
    } else if &*to.nvme == "required" && &*from.nvme != "required" {
        format!("type {name} shows volumes as NVMe, and whether its system can read them is not known")
    } else if launch.interfaces > to.interfaces {
        format!("it has {} network interfaces, type {name} takes {}", launch.interfaces, to.interfaces)
    } else if &*launch.tenancy != "default" {
        format!("its tenancy is {}", clean(&launch.tenancy))
    } else if let Some(mode) = launch.boot_mode.as_deref().filter(|mode| !boots(&to.boot_modes, mode)) {
        format!("type {name} does not boot in mode {}", clean(mode))
    } else {
        return Ok(());
    };
    Err(objection)
}

/// `uefi-preferred` boots where either mode does.
fn boots(modes: &[Str], wanted: &str) -> bool {
    wanted == "uefi-preferred" || modes.iter().any(|own| &**own == wanted)
}

/// Whether an instance could be made anew from snapshots of its volumes.
///
/// # Errors
/// Why not, in words.
pub fn anew(launch: &Launch, instance: &Instance) -> Result<(), String> {
    let platform = instance.platform.known().map(|platform| &**platform);
    let objection = if platform != Some("Linux/UNIX") {
        format!(
            "its platform is {}; only Linux without a licence can be made anew",
            clean(platform.unwrap_or("unknown"))
        )
    } else if launch.product_codes {
        "it runs a Marketplace product, which could not be made anew".to_owned()
    } else if &*launch.virtualization != "hvm" {
        format!("its virtualisation is {}, which could not be made anew", clean(&launch.virtualization))
    } else if launch.subnet.is_none() {
        "it is in no subnet, and could not be made anew in one".to_owned()
    } else if launch.interfaces != 1 {
        format!("it has {} network interfaces; only one could be made anew", launch.interfaces)
    } else if &*launch.tenancy != "default" {
        format!("its tenancy is {}", clean(&launch.tenancy))
    } else if !instance.volumes.iter().any(|own| own.device == launch.root_device) {
        format!("its root device {} is none of its volumes", clean(&launch.root_device))
    } else {
        return Ok(());
    };
    Err(objection)
}

impl Launch {
    /// By field, for comparing what came back with what was.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let word = |value: &Option<Str>| value.as_deref().unwrap_or("none").to_owned();
        let metadata = self.metadata.as_ref().map_or_else(
            || "none".to_owned(),
            |own| {
                format!("tokens {}, endpoint {}, {} hops, tags {}", own.tokens, own.endpoint, own.hop_limit, own.tags)
            },
        );
        BTreeMap::from([
            ("architecture".to_owned(), self.architecture.to_string()),
            ("boot mode".to_owned(), word(&self.boot_mode)),
            ("root device".to_owned(), self.root_device.to_string()),
            ("subnet".to_owned(), word(&self.subnet)),
            ("security groups".to_owned(), self.security_groups.join(", ")),
            ("instance profile".to_owned(), word(&self.profile)),
            ("key pair".to_owned(), word(&self.key_name)),
            ("EBS optimised".to_owned(), self.ebs_optimized.to_string()),
            ("detailed monitoring".to_owned(), self.monitoring.to_string()),
            ("placement group".to_owned(), word(&self.placement_group)),
            ("metadata options".to_owned(), metadata),
            ("IPv6 addresses".to_owned(), self.ipv6.to_string()),
            ("secondary private addresses".to_owned(), self.secondary_addresses.to_string()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Launch {
        Launch {
            architecture: "x86_64".into(),
            virtualization: "hvm".into(),
            ena: Some(true),
            boot_mode: None,
            root_device: "/dev/xvda".into(),
            subnet: Some("subnet-0a".into()),
            interfaces: 1,
            security_groups: vec!["sg-0a".into()],
            profile: None,
            key_name: None,
            ebs_optimized: true,
            monitoring: false,
            tenancy: "default".into(),
            placement_group: None,
            metadata: None,
            product_codes: false,
            ipv6: 0,
            secondary_addresses: 0,
        }
    }

    fn facts() -> TypeFacts {
        TypeFacts {
            architectures: vec!["x86_64".into()],
            virtualizations: vec!["hvm".into()],
            hypervisor: "nitro".into(),
            ena: "required".into(),
            nvme: "required".into(),
            local_disks: false,
            bare_metal: false,
            interfaces: 3,
            boot_modes: vec!["legacy-bios".into(), "uefi".into()],
            offered: true,
        }
    }

    #[test]
    fn h21_a_type_that_the_instance_could_not_boot_on_is_refused_before_anything_is_stopped() {
        assert_eq!(change_of_type(&launch(), &facts(), "m5.large", &facts()), Ok(()));
        type Case = (&'static str, fn(&mut Launch, &mut TypeFacts, &mut TypeFacts));
        let cases: [Case; 12] = [
            ("not offered", |_, _, to| to.offered = false),
            ("bare metal", |_, _, to| to.bare_metal = true),
            ("bare metal", |_, from, _| from.bare_metal = true),
            ("local disks", |_, _, to| to.local_disks = true),
            ("does not run arm64", |own, _, _| own.architecture = "arm64".into()),
            ("paravirtual images", |own, _, _| own.virtualization = "paravirtual".into()),
            ("runs on nitro", |_, from, _| from.hypervisor = "xen".into()),
            ("enhanced networking", |own, _, _| own.ena = None),
            ("NVMe", |_, from, _| from.nvme = "unsupported".into()),
            ("4 network interfaces", |own, _, _| own.interfaces = 4),
            ("tenancy is host", |own, _, _| own.tenancy = "host".into()),
            ("mode tpm", |own, _, _| own.boot_mode = Some("tpm".into())),
        ];
        for (words, change) in cases {
            let (mut own, mut from, mut to) = (launch(), facts(), facts());
            change(&mut own, &mut from, &mut to);
            let why = change_of_type(&own, &from, "m5.large", &to).unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
        let preferred = Launch { boot_mode: Some("uefi-preferred".into()), ..launch() };
        assert_eq!(change_of_type(&preferred, &facts(), "m5.large", &facts()), Ok(()));
    }
}
