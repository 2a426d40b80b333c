//! The table of what conditions over the inventory read: path, type, unit, where it comes from, for which kinds.

use super::types::Type;
use super::value::Value;
use crate::domain::check::Subject;
use crate::domain::fact::Fact;
use crate::domain::place::Kind;
use crate::domain::price::TypeSpec;
use crate::domain::resource::{Address, Image, Instance, InstanceState, Lifecycle, Snapshot, Volume};
use crate::domain::rule::{Family, VolumeClass};
use crate::domain::text::Str;

/// One name that a condition may read.
#[derive(Debug)]
pub struct Field {
    /// For example `volume.size_gib`.
    pub path: &'static str,
    /// What it gives.
    pub of: FieldType,
    /// For example `GiB`; empty where there is none.
    pub unit: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// Where it is read.
    pub source: &'static str,
    /// Kinds that have it.
    pub kinds: &'static [Kind],
    /// Full days of metrics that it needs.
    pub(super) usage_days: Option<u32>,
    pub(super) read: Read,
}

/// What a field gives; any may be unknown as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// True or false.
    Test,
    /// A whole or decimal number.
    Number,
    /// Text, null where the resource certainly has none.
    Text,
    /// An instant, null where there is none.
    Time,
    /// A list of texts.
    Texts,
    /// Text by key.
    Tags,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    Value(fn(&Subject<'_>) -> Value),
    Tags,
}

impl Field {
    /// How many segments its path has.
    pub(super) fn depth(&self) -> usize {
        self.path.bytes().filter(|byte| *byte == b'.').count() + 1
    }

    pub(super) fn holds_fields(&self) -> bool {
        self.of == FieldType::Tags
    }
}

impl FieldType {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            FieldType::Test => "bool",
            FieldType::Number => "number",
            FieldType::Text => "text",
            FieldType::Time => "timestamp",
            FieldType::Texts => "list of text",
            FieldType::Tags => "map of text",
        }
    }

    pub(super) fn as_type(self) -> Type {
        match self {
            FieldType::Test => Type::Test,
            FieldType::Number => Type::Number,
            FieldType::Text => Type::Text,
            FieldType::Time => Type::Time,
            FieldType::Texts => Type::List,
            FieldType::Tags => Type::Map,
        }
    }
}

const ALL: &[Kind] = &Kind::ALL;
const INSTANCE: &[Kind] = &[Kind::Instance];
const VOLUME: &[Kind] = &[Kind::Volume];
const SNAPSHOT: &[Kind] = &[Kind::Snapshot];
const ADDRESS: &[Kind] = &[Kind::Address];
const IMAGE: &[Kind] = &[Kind::Image];
const STATEFUL: &[Kind] = &[Kind::Instance, Kind::Volume, Kind::Snapshot, Kind::Image];
const DATED: &[Kind] = &[Kind::Instance, Kind::Volume, Kind::Snapshot, Kind::Image];
const PRICED: &[Kind] = &[Kind::Instance, Kind::Volume, Kind::Address];

const LISTING: &str = "EC2 listing";
const BOOK: &str = "price book";
const METRICS: &str = "CloudWatch, full days ending yesterday";
const SIGHT: &str = "our own scans";

use FieldType::{Number, Tags, Test, Text, Texts, Time};

/// Every name, grouped by root.
pub static FIELDS: &[Field] = &[
    field("resource.id", Text, "", "Its id, such as i-0abc", LISTING, ALL, |s| text(&s.resource.key.id)),
    field("resource.kind", Text, "", "Its kind, such as compute/instance", LISTING, ALL, |s| {
        Value::text(s.resource.kind().name())
    }),
    field("resource.name", Text, "", "The Name tag, or the id", LISTING, ALL, |s| {
        fact(&s.resource.tags, |_| Value::text(s.resource.name()))
    }),
    field("resource.account", Text, "", "The account, twelve digits", LISTING, ALL, |s| {
        Value::text(s.resource.key.account().as_str())
    }),
    field("resource.region", Text, "", "The Region", LISTING, ALL, |s| Value::text(s.resource.key.region().as_str())),
    field("resource.state", Text, "", "Its state as EC2 says it, such as running", LISTING, STATEFUL, |s| {
        Value::text(s.resource.state())
    }),
    field("resource.age_days", Number, "days", "Whole days since it was created or launched", LISTING, DATED, |s| {
        fact(&s.resource.created_at, |at| Value::Int((s.now - *at).num_days()))
    }),
    field("resource.created_at", Time, "", "When it was created or launched", LISTING, DATED, |s| {
        fact(&s.resource.created_at, |at| Value::Time(*at))
    }),
    Field {
        path: "resource.tags",
        of: Tags,
        unit: "",
        doc: "Its tags; a key that is not there is null, other keys as resource.tags['cost-center']",
        source: LISTING,
        kinds: ALL,
        usage_days: None,
        read: Read::Tags,
    },
    field("instance.type", Text, "", "Such as m5.large", LISTING, INSTANCE, |s| {
        instance(s, |i| text(&i.instance_type))
    }),
    field("instance.family", Text, "", "Such as general-purpose or gpu, from the type", BOOK, INSTANCE, |s| {
        instance(s, |i| {
            let gpus = s.prices.types.get(&i.instance_type).and_then(|spec| spec.gpus);
            let family = Family::of_type(&i.instance_type, gpus);
            family.map_or_else(|| not_in_book("the family", &i.instance_type), |family| Value::text(family.name()))
        })
    }),
    field("instance.vcpus", Number, "", "Virtual CPUs of its type", BOOK, INSTANCE, |s| {
        spec(s, "the vCPU count", |spec| spec.vcpus.map(|count| Value::Int(i64::from(count))))
    }),
    field("instance.memory_gib", Number, "GiB", "Memory of its type", BOOK, INSTANCE, |s| {
        spec(s, "the memory", |spec| spec.memory_mib.map(|mib| Value::Double(mib as f64 / 1024.0)))
    }),
    field("instance.gpus", Number, "", "GPUs and other accelerators of its type", BOOK, INSTANCE, |s| {
        spec(s, "the GPU count", |spec| spec.gpus.map(|count| Value::Int(i64::from(count))))
    }),
    field("instance.architecture", Text, "", "Such as x86_64 or arm64", BOOK, INSTANCE, |s| {
        spec(s, "the architecture", |spec| spec.arch.as_ref().map(text))
    }),
    field("instance.zone", Text, "", "Availability Zone", LISTING, INSTANCE, |s| instance(s, |i| text(&i.zone))),
    field("instance.platform", Text, "", "Such as Linux/UNIX or Windows", LISTING, INSTANCE, |s| {
        instance(s, |i| fact(&i.platform, text))
    }),
    field("instance.lifecycle", Text, "", "on-demand, spot or another word of EC2", LISTING, INSTANCE, |s| {
        instance(s, |i| match &i.lifecycle {
            Lifecycle::OnDemand => Value::text("on-demand"),
            Lifecycle::Spot => Value::text("spot"),
            Lifecycle::Other(word) => text(word),
        })
    }),
    field("instance.volumes", Texts, "", "Ids of the EBS volumes attached to it", LISTING, INSTANCE, |s| {
        instance(s, |i| texts(i.volumes.iter().map(|volume| &volume.volume)))
    }),
    field(
        "instance.instance_store",
        Test,
        "",
        "A local disk is mapped, which a stop would empty",
        LISTING,
        INSTANCE,
        |s| instance(s, |i| fact(&i.instance_store, |mapped| Value::Bool(*mapped))),
    ),
    field("instance.public_ip", Text, "", "The auto-assigned public address", LISTING, INSTANCE, |s| {
        instance(s, |i| fact(&i.auto_public_ip, text))
    }),
    field("instance.operator", Text, "", "The service that manages it", LISTING, INSTANCE, |s| {
        instance(s, |i| optional(&i.operator))
    }),
    field("instance.state_days", Number, "days", "Whole days in its state, where EC2 tells", LISTING, INSTANCE, |s| {
        instance(s, |i| match &i.state_since {
            Fact::Known(since) => Value::Int((s.now - *since).num_days()),
            Fact::Absent => Value::Unknown("EC2 does not say since when".into()),
            Fact::Unknown(reason) => Value::Unknown(reason.to_string()),
        })
    }),
    field("instance.image", Text, "", "The image it was made from", LISTING, INSTANCE, |s| {
        instance(s, |i| optional(&i.image))
    }),
    field("volume.size_gib", Number, "GiB", "Its size", LISTING, VOLUME, |s| {
        volume(s, |v| Value::Int(i64::from(v.size_gib)))
    }),
    field("volume.type", Text, "", "Such as gp3", LISTING, VOLUME, |s| volume(s, |v| text(&v.volume_type))),
    field("volume.class", Text, "", "ssd, provisioned-iops or standard, from the type", LISTING, VOLUME, |s| {
        volume(s, |v| match VolumeClass::of_type(&v.volume_type) {
            Some(class) => Value::text(class.name()),
            None => Value::Unknown("the class of this volume type is not known here".into()),
        })
    }),
    field("volume.iops", Number, "a second", "Provisioned or baseline operations", LISTING, VOLUME, |s| {
        volume(s, |v| whole(v.iops))
    }),
    field("volume.throughput", Number, "MiB a second", "Provisioned throughput", LISTING, VOLUME, |s| {
        volume(s, |v| whole(v.throughput))
    }),
    field("volume.encrypted", Test, "", "It is encrypted", LISTING, VOLUME, |s| {
        volume(s, |v| Value::Bool(v.encrypted))
    }),
    field("volume.kms_key", Text, "", "The key that it is encrypted under", LISTING, VOLUME, |s| {
        volume(s, |v| optional(&v.kms_key))
    }),
    field("volume.zone", Text, "", "Availability Zone", LISTING, VOLUME, |s| volume(s, |v| text(&v.zone))),
    field("volume.attached", Test, "", "It is attached to an instance", LISTING, VOLUME, |s| {
        volume(s, |v| Value::Bool(!v.attachments.is_empty()))
    }),
    field("volume.attached_to", Texts, "", "Ids of the instances that it is attached to", LISTING, VOLUME, |s| {
        volume(s, |v| texts(v.attachments.iter().map(|attachment| &attachment.instance)))
    }),
    field(
        "volume.unattached_days",
        Number,
        "days",
        "Whole days that we saw it unattached; 0 while attached",
        SIGHT,
        VOLUME,
        |s| volume(s, |v| seen_days(s, v.attachments.is_empty())),
    ),
    field("volume.operator", Text, "", "The service that manages it", LISTING, VOLUME, |s| {
        volume(s, |v| optional(&v.operator))
    }),
    field("snapshot.volume", Text, "", "The source volume", LISTING, SNAPSHOT, |s| snapshot(s, |d| text(&d.volume))),
    field("snapshot.volume_size_gib", Number, "GiB", "Size of the source volume", LISTING, SNAPSHOT, |s| {
        snapshot(s, |d| Value::Int(i64::from(d.volume_size_gib)))
    }),
    field("snapshot.storage_tier", Text, "", "standard or archive", LISTING, SNAPSHOT, |s| {
        snapshot(s, |d| text(&d.storage_tier))
    }),
    field("snapshot.kms_key", Text, "", "The key that it is encrypted under", LISTING, SNAPSHOT, |s| {
        snapshot(s, |d| optional(&d.kms_key))
    }),
    field("snapshot.description", Text, "", "The text given at its creation", LISTING, SNAPSHOT, |s| {
        snapshot(s, |d| text(&d.description))
    }),
    field("snapshot.image", Text, "", "The own image that is made of it; null when none is", LISTING, SNAPSHOT, |s| {
        fact(&s.refs.image_of_snapshot(&s.resource.key.id), text)
    }),
    field("address.public_ip", Text, "", "The IPv4 address", LISTING, ADDRESS, |s| address(s, |a| text(&a.public_ip))),
    field("address.associated", Test, "", "It is associated with something", LISTING, ADDRESS, |s| {
        address(s, |a| Value::Bool(a.association.is_some()))
    }),
    field("address.instance", Text, "", "The instance behind it", LISTING, ADDRESS, |s| {
        address(s, |a| optional(&a.instance))
    }),
    field(
        "address.unassociated_days",
        Number,
        "days",
        "Whole days that we saw it unassociated; 0 while it is not",
        SIGHT,
        ADDRESS,
        |s| address(s, |a| seen_days(s, a.association.is_none())),
    ),
    field("address.operator", Text, "", "The service that manages it", LISTING, ADDRESS, |s| {
        address(s, |a| optional(&a.operator))
    }),
    field("image.name", Text, "", "Its name", LISTING, IMAGE, |s| image(s, |i| text(&i.name))),
    field("image.snapshots", Texts, "", "Ids of the snapshots that it is made of", LISTING, IMAGE, |s| {
        image(s, |i| texts(i.snapshots.iter()))
    }),
    field(
        "price.monthly_usd",
        Number,
        "USD a month",
        "List price of a running Linux instance on demand, a volume or an address; 0 for a stopped instance",
        BOOK,
        PRICED,
        price,
    ),
    metric("usage.cpu_average_7d", "percent", "Average CPU over 7 full days; unknown when a day is missing", 7, |s| {
        cpu(s, 7)
    }),
    metric(
        "usage.cpu_average_14d",
        "percent",
        "Average CPU over 14 full days; unknown when a day is missing",
        14,
        |s| cpu(s, 14),
    ),
    metric("usage.network_bytes_per_day_7d", "bytes a day", "Network in and out, mean of 7 full days", 7, |s| {
        network(s, 7)
    }),
    metric("usage.network_bytes_per_day_14d", "bytes a day", "Network in and out, mean of 14 full days", 14, |s| {
        network(s, 14)
    }),
];

const fn field(
    path: &'static str,
    of: FieldType,
    unit: &'static str,
    doc: &'static str,
    source: &'static str,
    kinds: &'static [Kind],
    read: fn(&Subject<'_>) -> Value,
) -> Field {
    Field { path, of, unit, doc, source, kinds, usage_days: None, read: Read::Value(read) }
}

const fn metric(
    path: &'static str,
    unit: &'static str,
    doc: &'static str,
    days: u32,
    read: fn(&Subject<'_>) -> Value,
) -> Field {
    let kinds = INSTANCE;
    Field { path, of: Number, unit, doc, source: METRICS, kinds, usage_days: Some(days), read: Read::Value(read) }
}

/// One tag: null when the tags are known and lack it.
pub(super) fn tag(subject: &Subject<'_>, key: &str) -> Value {
    fact(&subject.resource.tags, |tags| tags.get(key).map_or(Value::Null, Value::text))
}

/// All tags as a map.
pub(super) fn all_tags(subject: &Subject<'_>) -> Value {
    fact(&subject.resource.tags, |tags| {
        Value::Map(tags.iter().map(|(key, value)| (Str::from(key), Value::text(value))).collect())
    })
}

fn text(text: &Str) -> Value {
    Value::Text(text.clone())
}

fn texts<'a>(items: impl Iterator<Item = &'a Str>) -> Value {
    Value::List(items.map(text).collect())
}

fn optional(text: &Option<Str>) -> Value {
    text.clone().map_or(Value::Null, Value::Text)
}

fn whole(number: Option<u32>) -> Value {
    number.map_or_else(|| Value::Unknown("the listing does not say".into()), |number| Value::Int(i64::from(number)))
}

/// An unknown stays unknown, what is certainly not there is null.
fn fact<T>(fact: &Fact<T>, of: impl FnOnce(&T) -> Value) -> Value {
    match fact {
        Fact::Known(value) => of(value),
        Fact::Absent => Value::Null,
        Fact::Unknown(reason) => Value::Unknown(reason.to_string()),
    }
}

/// Whole days of the sighting while the condition holds.
fn seen_days(subject: &Subject<'_>, holds: bool) -> Value {
    match (holds, subject.sighting) {
        (false, _) => Value::Int(0),
        (true, Some(sighting)) => Value::Int((subject.now - sighting.since).num_days()),
        (true, None) => Value::Unknown("no scan of ours has dated it yet".into()),
    }
}

fn other_kind() -> Value {
    Value::Unknown("the resource is of another kind".into())
}

fn instance(subject: &Subject<'_>, of: impl FnOnce(&Instance) -> Value) -> Value {
    subject.resource.instance().map_or_else(other_kind, of)
}

fn volume(subject: &Subject<'_>, of: impl FnOnce(&Volume) -> Value) -> Value {
    subject.resource.volume().map_or_else(other_kind, of)
}

fn snapshot(subject: &Subject<'_>, of: impl FnOnce(&Snapshot) -> Value) -> Value {
    subject.resource.snapshot().map_or_else(other_kind, of)
}

fn address(subject: &Subject<'_>, of: impl FnOnce(&Address) -> Value) -> Value {
    subject.resource.address().map_or_else(other_kind, of)
}

fn image(subject: &Subject<'_>, of: impl FnOnce(&Image) -> Value) -> Value {
    subject.resource.image().map_or_else(other_kind, of)
}

fn spec(subject: &Subject<'_>, what: &str, of: impl FnOnce(&TypeSpec) -> Option<Value>) -> Value {
    instance(subject, |instance| {
        let known = subject.prices.types.get(&instance.instance_type).and_then(of);
        known.unwrap_or_else(|| not_in_book(what, &instance.instance_type))
    })
}

fn not_in_book(what: &str, instance_type: &str) -> Value {
    Value::Unknown(format!("{what} of {instance_type} is not in the price book"))
}

fn price(subject: &Subject<'_>) -> Value {
    let region = subject.resource.key.region();
    let resource = subject.resource;
    let priced = if let Some(instance) = resource.instance() {
        match (&instance.state, &instance.lifecycle, instance.platform.known()) {
            (InstanceState::Stopped, ..) => return Value::Double(0.0),
            (InstanceState::Running, Lifecycle::OnDemand, Some(platform)) if &**platform == "Linux/UNIX" => {
                subject.prices.instance_month(&instance.instance_type, region)
            }
            (InstanceState::Running, ..) => {
                return Value::Unknown("the price book covers Linux/UNIX on demand alone".into());
            }
            (state, ..) => return Value::Unknown(format!("an instance that is {} has no price", state.as_str())),
        }
    } else if let Some(volume) = resource.volume() {
        subject.prices.volume_month(&volume.volume_type, volume.size_gib, volume.iops, volume.throughput, region)
    } else {
        Some(subject.prices.address_month(region))
    };
    match priced {
        Some(priced) => Value::Double(priced.monthly.as_f64()),
        None => Value::Unknown("the price book has no price for it".into()),
    }
}

fn cpu(subject: &Subject<'_>, days: usize) -> Value {
    over_days(subject, days, |usage| usage.mean("CPU", &usage.cpu_average, days))
}

fn network(subject: &Subject<'_>, days: usize) -> Value {
    over_days(subject, days, |usage| {
        let received = usage.mean("network in", &usage.network_in, days)?;
        let sent = usage.mean("network out", &usage.network_out, days)?;
        Ok(received + sent)
    })
}

fn over_days(
    subject: &Subject<'_>,
    days: usize,
    of: impl FnOnce(&crate::domain::usage::Usage) -> Result<f64, String>,
) -> Value {
    let Some(usage) = subject.usage else {
        return Value::Unknown("metrics were not read".into());
    };
    if usage.days.len() < days {
        return Value::Unknown(format!("metrics cover {} days, {days} are needed", usage.days.len()));
    }
    match of(usage) {
        Ok(value) if value.is_finite() => Value::Double(value),
        Ok(_) => Value::Unknown("the metrics are not numbers".into()),
        Err(reason) => Value::Unknown(reason),
    }
}
