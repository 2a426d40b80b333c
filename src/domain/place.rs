//! Where a resource lives and what it is called: account, Region, kind, id.
//!
//! A partition (account × Region × kind) is the unit of reading, coverage, judging, storing and closing.
//! The typed ids at the end are what the acting side takes, so that an instance call cannot be handed a volume.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::Str;

/// A twelve-digit AWS account id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(Str);

/// An AWS Region name such as `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(Str);

/// The kinds of resource that the program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An EC2 instance, `compute/instance`.
    Instance,
    /// An EBS volume, `storage/volume`.
    Volume,
    /// An EBS snapshot owned by the account, `storage/snapshot`.
    Snapshot,
    /// An elastic address, `network/address`.
    Address,
    /// An own machine image, `compute/image`: read as a reference of snapshots.
    Image,
}

/// One account in one Region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// The account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// The Region.
    #[schemars(with = "String")]
    pub region: Region,
}

/// One kind of resource in one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "WrittenPartition", into = "WrittenPartition")]
pub struct Partition {
    /// Account and Region.
    pub place: Place,
    /// The kind.
    pub kind: Kind,
}

/// The full name of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "WrittenKey", into = "WrittenKey")]
pub struct ResourceKey {
    /// Account, Region and kind.
    pub partition: Partition,
    /// The id within its kind, for example `i-0abc`.
    pub id: Str,
}

/// A partition as documents have it, in one level. Serde's own flattening reads through a buffer of everything, which
/// every finding would pay for.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct WrittenPartition {
    /// The account.
    #[schemars(with = "String")]
    account: AccountId,
    /// The Region.
    #[schemars(with = "String")]
    region: Region,
    /// The kind.
    #[schemars(with = "String")]
    kind: Kind,
}

/// A resource's key as documents have it, in one level.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct WrittenKey {
    /// The account.
    #[schemars(with = "String")]
    account: AccountId,
    /// The Region.
    #[schemars(with = "String")]
    region: Region,
    /// The kind.
    #[schemars(with = "String")]
    kind: Kind,
    /// The id within its kind, for example `i-0abc`.
    #[schemars(with = "String")]
    id: Str,
}

/// Text that is not a valid name of something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {what}; accepted: {accepted}")]
pub struct BadName {
    what: &'static str,
    given: String,
    accepted: String,
}

impl AccountId {
    /// Accepts exactly twelve digits.
    pub fn new(text: &str) -> Result<AccountId, BadName> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(AccountId(Str::from(text)))
        } else {
            Err(BadName { what: "an AWS account id", given: text.into(), accepted: "twelve digits, quoted".into() })
        }
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Region {
    /// Accepts names of the form `aa-bbbb-1` (lower-case letters, digits and hyphens).
    pub fn new(text: &str) -> Result<Region, BadName> {
        let well_formed = text.len() >= 4
            && text.len() <= 32
            && text.contains('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && text.ends_with(|last: char| last.is_ascii_digit());
        if well_formed {
            Ok(Region(Str::from(text)))
        } else {
            Err(BadName { what: "a Region", given: text.into(), accepted: "a name such as eu-central-1".into() })
        }
    }

    /// The Region's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Kind {
    /// Every kind, in the order in which a place is read.
    pub const ALL: [Kind; 5] = [Kind::Instance, Kind::Volume, Kind::Snapshot, Kind::Address, Kind::Image];

    /// The wire name that policies and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Instance => "compute/instance",
            Kind::Volume => "storage/volume",
            Kind::Snapshot => "storage/snapshot",
            Kind::Address => "network/address",
            Kind::Image => "compute/image",
        }
    }

    /// What people call one of them.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Instance => "instance",
            Kind::Volume => "volume",
            Kind::Snapshot => "snapshot",
            Kind::Address => "elastic address",
            Kind::Image => "image",
        }
    }

    /// What an id of this kind must begin with; checked again at the call gate.
    pub fn id_prefix(self) -> &'static str {
        match self {
            Kind::Instance => "i-",
            Kind::Volume => "vol-",
            Kind::Snapshot => "snap-",
            Kind::Address => "eipalloc-",
            Kind::Image => "ami-",
        }
    }
}

impl FromStr for Kind {
    type Err = BadName;

    /// Accepts the wire name or the short noun (`instance`, `volume`, `snapshot`, `address`, `image`).
    fn from_str(text: &str) -> Result<Kind, BadName> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == text || kind.name().split('/').nth(1) == Some(text))
            .ok_or_else(|| BadName {
                what: "a resource kind",
                given: text.into(),
                accepted: Kind::ALL.map(Kind::name).join(", "),
            })
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<WrittenPartition> for Partition {
    fn from(WrittenPartition { account, region, kind }: WrittenPartition) -> Partition {
        Place { account, region }.partition(kind)
    }
}

impl From<Partition> for WrittenPartition {
    fn from(Partition { place: Place { account, region }, kind }: Partition) -> WrittenPartition {
        WrittenPartition { account, region, kind }
    }
}

impl From<WrittenKey> for ResourceKey {
    fn from(WrittenKey { account, region, kind, id }: WrittenKey) -> ResourceKey {
        ResourceKey { partition: Place { account, region }.partition(kind), id }
    }
}

impl From<ResourceKey> for WrittenKey {
    fn from(ResourceKey { partition, id }: ResourceKey) -> WrittenKey {
        let WrittenPartition { account, region, kind } = partition.into();
        WrittenKey { account, region, kind, id }
    }
}

impl Place {
    /// The partition of `kind` here.
    pub fn partition(&self, kind: Kind) -> Partition {
        Partition { place: self.clone(), kind }
    }
}

impl Partition {
    /// The key of the resource `id` in this partition.
    pub fn key(&self, id: &str) -> ResourceKey {
        ResourceKey { partition: self.clone(), id: Str::from(id) }
    }
}

impl ResourceKey {
    /// The account that owns it.
    pub fn account(&self) -> &AccountId {
        &self.partition.place.account
    }

    /// The Region it lives in.
    pub fn region(&self) -> &Region {
        &self.partition.place.region
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.partition.kind
    }
}

impl FromStr for ResourceKey {
    type Err = BadName;

    /// The inverse of `Display`: `account/region/group/kind/id`.
    fn from_str(text: &str) -> Result<ResourceKey, BadName> {
        let bad = || BadName {
            what: "a resource key",
            given: text.into(),
            accepted: "account/region/kind/id, for example 123456789012/eu-central-1/storage/volume/vol-0a1b".into(),
        };
        let mut parts = text.splitn(5, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(bad);
        let (account, region, group, kind, id) = (next()?, next()?, next()?, next()?, next()?);
        let place = Place { account: AccountId::new(account)?, region: Region::new(region)? };
        Ok(place.partition(format!("{group}/{kind}").parse()?).key(id))
    }
}

macro_rules! text_like {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $type {
            type Error = BadName;
            fn try_from(text: String) -> Result<$type, BadName> {
                <$type>::new(&text)
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.0.to_string()
            }
        }
    };
}

text_like!(AccountId);
text_like!(Region);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.kind)
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.id)
    }
}

macro_rules! typed_id {
    ($name:ident, $kind:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Str);

        impl $name {
            /// Accepts only ids with this kind's prefix and nothing but letters, digits and hyphens.
            pub fn new(text: &str) -> Result<$name, BadName> {
                let prefix = $kind.id_prefix();
                let rest = text.strip_prefix(prefix).unwrap_or("");
                if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                    Ok($name(Str::from(text)))
                } else {
                    Err(BadName {
                        what: concat!("an id of type ", stringify!($name)),
                        given: text.into(),
                        accepted: format!("{prefix} and letters, digits or hyphens"),
                    })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_like!($name);
    };
}

typed_id!(InstanceId, Kind::Instance, "The id of an instance, `i-…`.");
typed_id!(VolumeId, Kind::Volume, "The id of a volume, `vol-…`.");
typed_id!(SnapshotId, Kind::Snapshot, "The id of a snapshot, `snap-…`.");
typed_id!(AddressId, Kind::Address, "The allocation id of an elastic address, `eipalloc-…`.");
typed_id!(ImageId, Kind::Image, "The id of a machine image, `ami-…`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_key_survives_its_text_form() {
        let key: ResourceKey = "123456789012/eu-central-1/storage/volume/vol-0a1b".parse().unwrap();
        assert_eq!(key.kind(), Kind::Volume);
        assert_eq!(key.to_string(), "123456789012/eu-central-1/storage/volume/vol-0a1b");
    }

    #[test]
    fn ids_of_another_kind_are_refused() {
        assert!(VolumeId::new("i-0abc").is_err());
        assert!(InstanceId::new("i-").is_err());
        assert!(InstanceId::new("i-0abc\r\n").is_err());
        assert_eq!(InstanceId::new("i-0abc").unwrap().as_str(), "i-0abc");
    }

    #[test]
    fn an_account_is_twelve_digits_and_nothing_else() {
        assert!(AccountId::new("12345678901").is_err());
        assert!(AccountId::new("١٢٣٤٥٦٧٨٩٠١٢").is_err());
        assert!(AccountId::new("012345678901").is_ok());
    }
}
