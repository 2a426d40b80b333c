//! The typed constraints of seed document S1, shared by the policy front end and the checks that judge them.
//!
//! Parsing lives in `policy::document`; here are only the meanings: which resource types a scope covers, what a
//! limit forbids, what a tag must look like.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::place::Kind;

/// A resource-type pattern: `*`, `group/*` or an exact type (V5). The star stops at the slash, so `compute/*` does
/// not cover `computex/instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypePattern(pub String);

impl TypePattern {
    /// Whether the pattern covers a resource type such as `compute/instance`.
    pub fn covers(&self, resource_type: &str) -> bool {
        match self.0.strip_suffix("/*") {
            _ if self.0 == "*" => true,
            Some(group) => resource_type.split_once('/').is_some_and(|(head, _)| head == group),
            None => self.0 == resource_type,
        }
    }

    /// Whether it covers a kind that the program reads.
    pub fn covers_kind(&self, kind: Kind) -> bool {
        self.covers(kind.name())
    }
}

/// Limits on a compute instance (D3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstanceLimit {
    /// Most vCPUs; more is a violation, equal passes.
    pub max_vcpus: Option<u32>,
    /// Most memory, GiB; more is a violation, equal passes.
    pub max_memory_gib: Option<u32>,
    /// Families that are allowed; empty means all that are not denied.
    pub allowed_families: Vec<Family>,
    /// Families that are denied.
    pub denied_families: Vec<Family>,
}

/// Limits on a volume (D3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeLimit {
    /// Largest size, GiB.
    pub max_size_gib: Option<u32>,
    /// Classes that are allowed; empty means all that are not denied.
    pub allowed_types: Vec<VolumeClass>,
    /// Classes that are denied.
    pub denied_types: Vec<VolumeClass>,
}

/// Limits on a database instance (D3, X8).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatabaseLimit {
    /// Most vCPUs; more is a violation, equal passes.
    pub max_vcpus: Option<u32>,
    /// Most storage, GiB.
    pub max_storage_gib: Option<u32>,
}

/// Limit on network bandwidth (D2). No listing tells it, so requests alone are held to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkLimit {
    /// Most bandwidth, Mbit/s; more is a violation, equal passes.
    pub max_bandwidth_mbps: Option<u32>,
}

/// Instance families in the words of S1, mapped from EC2's type names as product.md says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// a, m, t.
    GeneralPurpose,
    /// c, hpc.
    ComputeOptimized,
    /// r.
    MemoryOptimized,
    /// x, u, z.
    HighMemory,
    /// i, d, h.
    StorageOptimized,
    /// g, gr, p, inf, trn, dl, vt, f, and any type with GPUs.
    Gpu,
}

/// Volume classes in the words of S1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeClass {
    /// gp2, gp3.
    Ssd,
    /// io1, io2.
    ProvisionedIops,
    /// st1, sc1, standard and anything else.
    Standard,
}

/// What one required tag must look like (D4). Length counts characters.
#[derive(Clone, Debug)]
pub struct TagRule {
    /// The tag's key.
    pub key: String,
    /// A pattern that the whole value must match; compiled at load with a true end match (V8).
    pub pattern: Option<Regex>,
    /// Values that are accepted; empty means any.
    pub allowed_values: Vec<String>,
    /// Shortest accepted value.
    pub min_length: Option<usize>,
    /// Longest accepted value.
    pub max_length: Option<usize>,
    /// The value to write where the key is missing; never overwrites.
    pub default: Option<String>,
    /// For people.
    pub description: Option<String>,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 6] = [
        Family::GeneralPurpose,
        Family::ComputeOptimized,
        Family::MemoryOptimized,
        Family::HighMemory,
        Family::StorageOptimized,
        Family::Gpu,
    ];

    /// The family of an EC2 instance type; `None` for a name that this table does not know.
    pub fn of_type(instance_type: &str, gpus: Option<u32>) -> Option<Family> {
        if gpus.is_some_and(|count| count > 0) {
            return Some(Family::Gpu);
        }
        let series = instance_type.split('.').next().unwrap_or("");
        let letters: &str = &series[..series.find(|c: char| c.is_ascii_digit() || c == '-').unwrap_or(series.len())];
        match letters {
            "g" | "gr" | "p" | "inf" | "trn" | "dl" | "vt" | "f" => Some(Family::Gpu),
            "r" => Some(Family::MemoryOptimized),
            "x" | "u" | "z" => Some(Family::HighMemory),
            "c" | "hpc" => Some(Family::ComputeOptimized),
            "i" | "d" | "h" | "im" | "is" => Some(Family::StorageOptimized),
            "a" | "m" | "t" | "mac" => Some(Family::GeneralPurpose),
            _ => None,
        }
    }

    /// The word that policies use.
    pub fn name(self) -> &'static str {
        match self {
            Family::GeneralPurpose => "general-purpose",
            Family::ComputeOptimized => "compute-optimized",
            Family::MemoryOptimized => "memory-optimized",
            Family::HighMemory => "high-memory",
            Family::StorageOptimized => "storage-optimized",
            Family::Gpu => "gpu",
        }
    }
}

impl VolumeClass {
    /// The class of an EBS volume type; `None` for a name that this table does not know.
    pub fn of_type(volume_type: &str) -> Option<VolumeClass> {
        match volume_type {
            "gp2" | "gp3" => Some(VolumeClass::Ssd),
            "io1" | "io2" => Some(VolumeClass::ProvisionedIops),
            "standard" | "st1" | "sc1" => Some(VolumeClass::Standard),
            _ => None,
        }
    }

    /// The word that policies use.
    pub fn name(self) -> &'static str {
        match self {
            VolumeClass::Ssd => "ssd",
            VolumeClass::ProvisionedIops => "provisioned-iops",
            VolumeClass::Standard => "standard",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v5_a_star_stops_at_the_slash() {
        let pattern = TypePattern("compute/*".into());
        assert!(pattern.covers("compute/instance"));
        assert!(!pattern.covers("computex/instance"));
        assert!(!pattern.covers("compute"));
        assert!(TypePattern("*".into()).covers("network/address"));
        assert!(TypePattern("storage/volume".into()).covers("storage/volume"));
        assert!(!TypePattern("storage/volume".into()).covers("storage/volumes"));
    }

    #[test]
    fn d3_families_come_from_the_type_name_or_its_gpus() {
        let cases = [
            ("m5.large", Family::GeneralPurpose),
            ("t4g.nano", Family::GeneralPurpose),
            ("c7gn.xlarge", Family::ComputeOptimized),
            ("hpc7a.12xlarge", Family::ComputeOptimized),
            ("r6id.large", Family::MemoryOptimized),
            ("x2iedn.xlarge", Family::HighMemory),
            ("u-6tb1.metal", Family::HighMemory),
            ("u7i-12tb.224xlarge", Family::HighMemory),
            ("i3en.large", Family::StorageOptimized),
            ("gr6.4xlarge", Family::Gpu),
            ("inf2.xlarge", Family::Gpu),
            ("vt1.3xlarge", Family::Gpu),
        ];
        for (name, family) in cases {
            assert_eq!(Family::of_type(name, Some(0)), Some(family), "{name}");
        }
        assert_eq!(Family::of_type("m99.large", Some(2)), Some(Family::Gpu));
        assert_eq!(Family::of_type("quantum1.large", None), None);
    }
}
