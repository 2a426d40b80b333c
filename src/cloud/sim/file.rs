//! The shapes of a world file: what serde reads and what `costwarden schema world` describes.
//!
//! Unknown keys are refused. Names that others refer to keep their line, so that `convert` can say where a reference
//! leads nowhere. `docs/worlds.md` tells the same to people.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::faults::{Effect, Form};
use super::when::When;

/// A simulated account (or several): what it begins with and what happens in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorldFile {
    /// A short name.
    pub name: String,
    /// What the story is about.
    pub description: Option<String>,
    /// The first instant: a UTC date or RFC 3339 instant. Offsets such as `+9d 08:30` count from here.
    pub start: When,
    /// How many days the story takes.
    #[serde(default = "forty_five")]
    pub days: u32,
    /// Where everything comes from that looks like chance.
    #[serde(default)]
    pub seed: u64,
    /// How long things take, and how readers are answered.
    #[serde(default)]
    pub simulation: SimulationFile,
    /// Account id (twelve digits, quoted) to the account.
    pub accounts: BTreeMap<Name, AccountFile>,
    /// Money spent each day.
    #[serde(default)]
    pub spend: Vec<SpendFile>,
    /// What people and other automation do, and when.
    #[serde(default)]
    pub events: Vec<EventFile>,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<FaultFile>,
    /// When the program itself is down.
    #[serde(default)]
    pub downtime: Vec<DowntimeFile>,
    /// Exceptions that somebody grants.
    #[serde(default)]
    pub exceptions: Vec<ExceptionFile>,
    /// Settings to play the world with, in the shape of the settings file.
    pub settings: Option<serde_json::Value>,
    /// Policies to play the world with: paths relative to this file, or whole documents.
    #[serde(default)]
    pub policies: Vec<String>,
}

/// A piece of text with the line where it stands.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Name(#[schemars(with = "String")] pub Spanned<String>);

impl Name {
    pub fn text(&self) -> &str {
        &self.0.value
    }

    pub fn line(&self) -> u64 {
        self.0.referenced.line()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.text() == other.text()
    }
}
impl Eq for Name {}
impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        self.text().cmp(other.text())
    }
}

/// How long things take, and how readers are answered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulationFile {
    /// Resources on a page; default 100.
    pub page_size: Option<usize>,
    /// Seconds, least and most, for which readers may still see the state before a change; default [0, 0].
    pub visibility_lag_seconds: Option<(u32, u32)>,
    /// From stopping to stopped; default 45.
    pub stop_seconds: Option<u32>,
    /// From pending to running; default 30.
    pub start_seconds: Option<u32>,
    /// From deleting to gone; default 15.
    pub delete_seconds: Option<u32>,
    /// How long the smallest snapshot takes; default 60.
    pub snapshot_seconds: Option<u32>,
    /// Seconds that each GiB of a volume adds to its snapshot; default 2.
    pub snapshot_seconds_per_gib: Option<f64>,
    /// Days that a Recycle Bin rule keeps each deleted snapshot; absent: there is no rule.
    pub recycle_bin_days: Option<u32>,
}

/// One account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountFile {
    /// For people.
    pub name: Option<String>,
    /// Region name to what is there.
    pub regions: BTreeMap<Name, RegionFile>,
}

/// What one Region of an account begins with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegionFile {
    /// EC2 instances, with their attached volumes.
    pub instances: Vec<InstanceFile>,
    /// Unattached volumes.
    pub volumes: Vec<VolumeFile>,
    /// Own snapshots.
    pub snapshots: Vec<SnapshotFile>,
    /// Elastic addresses.
    pub addresses: Vec<AddressFile>,
    /// Own images.
    pub images: Vec<ImageFile>,
    /// Encryption keys that are not simply enabled.
    pub keys: Vec<KeyFile>,
}

/// An EC2 instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceFile {
    /// `i-…`, unique in the world.
    pub id: Name,
    /// For example `m5.large`.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// When it was launched.
    pub launched: When,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was stopped; without it the instance runs.
    pub stopped: Option<When>,
    /// Availability Zone, whole or its letter; default `a`.
    pub zone: Option<String>,
    /// EC2's platform details; default `Linux/UNIX`.
    pub platform: Option<String>,
    /// `spot` for a Spot instance; default on demand.
    #[serde(default)]
    pub lifecycle: LifecycleFile,
    /// Attached EBS volumes; the first is the root volume.
    #[serde(default)]
    pub volumes: Vec<VolumeFile>,
    /// Has instance-store disks.
    #[serde(default)]
    pub instance_store: bool,
    /// An auto-assigned public IPv4 address.
    pub auto_public_ip: Option<String>,
    /// The AWS service that manages it.
    pub operator: Option<String>,
    /// Termination protection.
    #[serde(default)]
    pub termination_protected: bool,
    /// Stop protection.
    #[serde(default)]
    pub stop_protected: bool,
    /// Image id.
    pub image: Option<String>,
    /// Subnet id.
    pub subnet: Option<String>,
    /// Private IPv4 address.
    pub private_ip: Option<String>,
    /// How it is used; without it CloudWatch has no datapoint.
    pub usage: Option<UsageFile>,
}

/// How an instance was bought.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LifecycleFile {
    #[default]
    OnDemand,
    Spot,
}

/// An EBS volume.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeFile {
    /// `vol-…`, unique in the world.
    pub id: Name,
    /// Size in GiB.
    pub size_gib: u32,
    /// `gp2`, `gp3`, `io1`, …; default `gp3`.
    #[serde(rename = "type")]
    pub volume_type: Option<String>,
    /// When it was made. Needed for an unattached volume; an attached one has its instance's launch.
    pub created: Option<When>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Operations a second; default the type's baseline.
    pub iops: Option<u32>,
    /// MiB a second; default the type's baseline.
    pub throughput: Option<u32>,
    /// Availability Zone, whole or its letter; default `a`, or the instance's.
    pub zone: Option<String>,
    /// Encryption key.
    pub kms_key: Option<String>,
    /// Device name, for an attached volume.
    pub device: Option<String>,
    /// Dies with its instance, for an attached volume; default true for the first one.
    pub delete_on_termination: Option<bool>,
    /// The AWS service that manages it.
    pub operator: Option<String>,
    /// How long a snapshot of it takes.
    pub snapshot_minutes: Option<f64>,
}

/// An own EBS snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFile {
    /// `snap-…`, unique in the world.
    pub id: Name,
    /// When it was begun.
    pub created: When,
    /// Size of the source volume in GiB.
    pub size_gib: u32,
    /// The source volume; it may be gone.
    pub volume: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// EC2's word; default `completed`.
    pub state: Option<String>,
    /// `standard` (the default) or `archive`.
    pub storage_tier: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Encryption key.
    pub kms_key: Option<String>,
    /// Locked against deletion; default false.
    #[serde(default)]
    pub locked: bool,
}

/// An elastic address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressFile {
    /// `eipalloc-…`, unique in the world.
    pub id: Name,
    /// The IPv4 address.
    pub public_ip: String,
    /// The instance behind it.
    pub instance: Option<Name>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The AWS service that manages it.
    pub operator: Option<String>,
}

/// An own image.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageFile {
    /// `ami-…`, unique in the world.
    pub id: Name,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: When,
    /// Snapshots that it is made of.
    #[serde(default)]
    pub snapshots: Vec<Name>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An encryption key; one that a volume or snapshot names and nobody lists is enabled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// What volumes and snapshots call it in `kms_key`.
    pub id: Name,
    /// KMS's word: `Enabled`, `Disabled`, `PendingDeletion`, `PendingImport`, `Unavailable`, …
    pub state: String,
}

/// How an instance is used: a pattern's name, or a pattern with changes.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum UsageFile {
    /// A ready pattern.
    Like(Pattern),
    /// Metric by metric.
    Shapes(Box<ShapesFile>),
}

/// Ready patterns of use.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// About 1.4 % CPU, 0.2 MB a day.
    Idle,
    /// About 9 % CPU, 10 MB a day.
    Light,
    /// About 46 % CPU, 5 GB a day.
    Busy,
    /// 55 % CPU on workdays from 7 to 18 h, 3 % otherwise, 80 MB a day.
    Office,
    /// Idle but for one hour on Sundays at 92 % CPU.
    Batch,
}

/// Metric by metric; what is not given comes from `like`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShapesFile {
    /// A ready pattern to begin with.
    pub like: Option<Pattern>,
    /// Percent 0–100.
    pub cpu: Option<ShapeFile>,
    /// Bytes a day.
    pub network_in: Option<ShapeFile>,
    /// Bytes a day.
    pub network_out: Option<ShapeFile>,
    /// EBS operations a day.
    pub disk_operations: Option<ShapeFile>,
    /// Spans whose samples never arrived at CloudWatch.
    pub missing: Vec<SpanFile>,
    /// Spans in which a reader gets no usable answer for this instance's metrics.
    pub unreadable: Vec<SpanFile>,
}

/// One metric over time: a constant, or a level with changes.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum ShapeFile {
    /// Always exactly this level.
    Constant(f64),
    /// A level with changes.
    Shape(Box<ShapeDetail>),
}

/// A level with changes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShapeDetail {
    /// The level where nothing else is said.
    pub level: f64,
    /// Noise as a share of the level: 0.1 is ± 10 %.
    #[serde(default)]
    pub noise: f64,
    /// Hours of the day with another level.
    #[serde(default)]
    pub busy: Vec<BusyFile>,
    /// Single five-minute samples that stand out.
    #[serde(default)]
    pub peaks: Vec<PeakFile>,
    /// A level for each of some days.
    pub series: Option<SeriesFile>,
}

/// Hours of the day with another level.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusyFile {
    /// First hour, UTC, 0–23.
    pub from_hour: u32,
    /// First hour after it, 1–24.
    pub until_hour: u32,
    /// Days of the week; every day when empty.
    #[serde(default)]
    pub weekdays: Vec<Day>,
    /// The level.
    pub level: f64,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A sample that stands out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeakFile {
    /// When.
    pub at: When,
    /// How high.
    pub level: f64,
}

/// Levels day by day.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesFile {
    /// The first day.
    pub from: When,
    /// One level a day; `null` is a day without datapoints.
    pub values: Vec<Option<f64>>,
}

/// A span of time; either end may be missing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpanFile {
    /// First instant.
    pub from: Option<When>,
    /// First instant after it.
    pub until: Option<When>,
}

/// Money spent each day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendFile {
    /// By which account.
    pub account: Name,
    /// On which service, as Cost Explorer calls it.
    pub service: String,
    /// With which cost-allocation tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Dollars a day.
    pub usd_per_day: f64,
    /// First day.
    pub from: Option<When>,
    /// First day after it.
    pub until: Option<When>,
}

/// What somebody does: who, when, and exactly one of the other keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventFile {
    /// When.
    pub at: When,
    /// Who.
    pub by: Name,
    /// Adds tags or gives them other values.
    pub tag: Option<TagFile>,
    /// Takes tags away.
    pub untag: Option<UntagFile>,
    /// Starts an instance.
    pub start: Option<Name>,
    /// Stops an instance.
    pub stop: Option<Name>,
    /// Terminates an instance.
    pub terminate: Option<Name>,
    /// Attaches a volume.
    pub attach: Option<AttachFile>,
    /// Detaches a volume.
    pub detach: Option<Name>,
    /// Deletes a volume, snapshot, address or image.
    pub delete: Option<Name>,
    /// Snapshots a volume, without tags.
    pub snapshot: Option<Name>,
    /// Makes a resource.
    pub create: Option<CreateFile>,
    /// Changes the type of a stopped instance.
    pub change_type: Option<ChangeTypeFile>,
    /// Switches protection on or off.
    pub protect: Option<ProtectFile>,
    /// Associates an elastic address with an instance.
    pub associate: Option<AssociateFile>,
    /// Ends an elastic address's association.
    pub disassociate: Option<Name>,
    /// Puts an encryption key into another state.
    pub key: Option<KeyFile>,
    /// Uses an instance differently from now on.
    #[serde(rename = "use")]
    pub uses: Option<UseFile>,
}

/// Adds tags.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagFile {
    pub resource: Name,
    pub tags: BTreeMap<String, String>,
}

/// Takes tags away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UntagFile {
    pub resource: Name,
    pub keys: Vec<String>,
}

/// Attaches a volume.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachFile {
    pub volume: Name,
    pub instance: Name,
    /// Default `/dev/sdf`.
    pub device: Option<String>,
}

/// Makes a resource: where, and exactly one of the other keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFile {
    pub account: Name,
    pub region: Name,
    pub instance: Option<InstanceFile>,
    pub volume: Option<VolumeFile>,
    pub snapshot: Option<SnapshotFile>,
    pub address: Option<AddressFile>,
}

/// Changes the type of a stopped instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTypeFile {
    pub instance: Name,
    #[serde(rename = "type")]
    pub instance_type: String,
}

/// Switches protection on or off.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectFile {
    pub instance: Name,
    pub stop: Option<bool>,
    pub termination: Option<bool>,
}

/// Associates an elastic address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssociateFile {
    pub address: Name,
    pub instance: Name,
}

/// Uses an instance differently from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseFile {
    pub instance: Name,
    pub usage: UsageFile,
}

/// What goes wrong: which calls, when, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultFile {
    /// The API operation, for example `DescribeInstances`; every operation without it.
    pub operation: Option<Name>,
    /// Only in this account.
    pub account: Option<Name>,
    /// Only in this Region.
    pub region: Option<Name>,
    /// Only calls about this id.
    pub target: Option<String>,
    /// Only calls of this form.
    pub form: Option<Form>,
    /// First instant.
    pub from: Option<When>,
    /// First instant after it.
    pub until: Option<When>,
    /// Only these of the matching calls, counted from 1.
    #[serde(default)]
    pub calls: Vec<u64>,
    /// What happens.
    pub effect: Effect,
}

/// A time in which the program does not run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DowntimeFile {
    /// First instant.
    pub from: When,
    /// First instant after it.
    pub until: When,
    /// Why.
    pub reason: Name,
}

/// An exception that somebody grants.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExceptionFile {
    /// A name that people use.
    pub id: Name,
    /// The resource's id.
    pub resource: Name,
    /// The policy's name.
    pub policy: String,
    /// One rule of it; all rules without it.
    pub rule: Option<String>,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approved_by: String,
    /// When it was granted.
    pub from: When,
    /// Its last instant.
    pub until: When,
}

fn forty_five() -> u32 {
    45
}

/// Text picks a pattern, a map gives shapes. Written by hand because serde's untagged enums lose line and reason.
impl<'de> Deserialize<'de> for UsageFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UsageFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = UsageFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pattern (idle, light, busy, office, batch) or a map of shapes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UsageFile, E> {
                Pattern::deserialize(serde::de::value::StrDeserializer::new(text)).map(UsageFile::Like)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UsageFile, A::Error> {
                ShapesFile::deserialize(MapAccessDeserializer::new(map)).map(|shapes| UsageFile::Shapes(shapes.into()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A number is a constant, a map is a level with changes.
impl<'de> Deserialize<'de> for ShapeFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShapeFile, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ShapeFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a map with `level`")
            }

            fn visit_f64<E: serde::de::Error>(self, level: f64) -> Result<ShapeFile, E> {
                Ok(ShapeFile::Constant(level))
            }

            fn visit_u64<E: serde::de::Error>(self, level: u64) -> Result<ShapeFile, E> {
                Ok(ShapeFile::Constant(level as f64))
            }

            fn visit_i64<E: serde::de::Error>(self, level: i64) -> Result<ShapeFile, E> {
                Ok(ShapeFile::Constant(level as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ShapeFile, A::Error> {
                ShapeDetail::deserialize(MapAccessDeserializer::new(map)).map(|shape| ShapeFile::Shape(shape.into()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
