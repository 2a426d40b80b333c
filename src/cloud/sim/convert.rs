//! From a world file's shapes to a [`World`]: every name checked, every mistake told with its line.

use std::collections::{BTreeMap, HashMap};

use chrono::{TimeDelta, Weekday};

use crate::domain::Instant;
use crate::domain::exception::Exception;
use crate::domain::fact::Fact;
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind, Place, Region, ResourceKey};
use crate::domain::resource::{Detail, InstanceState, Lifecycle, Tags};
use crate::domain::text::Str;

use super::actors::{Change, Event};
use super::faults::Fault;
use super::file::{self, Name};
use super::metrics::{Busy, Peak, Shape, Span, Usage};
use super::plant;
use super::rules::MAX_TAGS;
use super::state::Planted;
use super::when::When;
use super::world::{Account, DatedException, Downtime, Spend, Timing, World, WorldError, kind_of};

/// Operations that a fault may name.
const OPERATIONS: [&str; 14] = [
    "CreateSnapshot",
    "CreateSnapshots",
    "CreateTags",
    "DeleteVolume",
    "DescribeAddresses",
    "DescribeImages",
    "DescribeInstanceAttribute",
    "DescribeInstances",
    "DescribeSnapshots",
    "DescribeVolumes",
    "GetCallerIdentity",
    "GetCostAndUsage",
    "GetMetricData",
    "StopInstances",
];

type Read<T> = Result<T, WorldError>;

/// Reads a world from YAML.
pub(super) fn world(text: &str, name: &str) -> Read<World> {
    let file: file::WorldFile = serde_saphyr::from_str(text).map_err(|error| WorldError {
        file: name.into(),
        line: error.location().map(|location| location.line()).filter(|line| *line > 0),
        message: error.without_snippet().to_string(),
    })?;
    let When::Absolute(start) = file.start else {
        let message = format!("start: {} is counted from itself; accepted: a UTC date or instant", file.start);
        return Err(WorldError { file: name.into(), line: None, message });
    };
    let mut reader = Reader { file: name.into(), start, lines: HashMap::new(), world: World::empty(start) };
    reader.whole(file)?;
    reader.world.check()?;
    Ok(reader.world)
}

/// The JSON Schema of world files.
pub(super) fn schema() -> serde_json::Value {
    schemars::schema_for!(file::WorldFile).to_value()
}

struct Reader {
    file: String,
    start: Instant,
    /// Ids that exist or will, with the line of their birth.
    lines: HashMap<String, (u64, ResourceKey)>,
    world: World,
}

impl Reader {
    fn wrong<T>(&self, line: u64, message: String) -> Read<T> {
        Err(WorldError { file: self.file.clone(), line: Some(line).filter(|line| *line > 0), message })
    }

    fn whole(&mut self, file: file::WorldFile) -> Read<()> {
        self.world.name = file.name;
        self.world.description = file.description;
        self.world.days = file.days;
        self.world.seed = file.seed;
        self.world.settings = file.settings;
        self.world.policies = file.policies;
        self.world.timing = self.timing(&file.simulation)?;
        for (id, account) in file.accounts {
            self.account(&id, account)?;
        }
        // What events create may be named before and after: all births first, then everything that refers to them.
        let mut created = Vec::new();
        for event in &file.events {
            created.push(event.create.as_ref().map(|create| self.create(create, event.at)).transpose()?);
        }
        for (event, created) in file.events.into_iter().zip(created) {
            let event = self.event(event, created)?;
            self.world.events.push(event);
        }
        for fault in file.faults {
            let fault = self.fault(fault)?;
            self.world.faults.push(fault);
        }
        for spend in file.spend {
            let spend = self.spend(spend)?;
            self.world.spend.push(spend);
        }
        for downtime in file.downtime {
            let (from, until) = (self.at(downtime.from), self.at(downtime.until));
            if until <= from {
                return self.wrong(downtime.reason.line(), format!("downtime from {from} until {until} has no length"));
            }
            self.world.downtime.push(Downtime { from, until, reason: downtime.reason.text().into() });
        }
        for exception in file.exceptions {
            let exception = self.exception(exception)?;
            self.world.exceptions.push(exception);
        }
        Ok(())
    }

    fn at(&self, when: When) -> Instant {
        when.resolve(self.start)
    }

    fn timing(&self, file: &file::SimulationFile) -> Read<Timing> {
        let default = Timing::default();
        let per_gib = match file.snapshot_seconds_per_gib {
            Some(seconds) if !(0.0..=86_400.0).contains(&seconds) => {
                return self.wrong(0, format!("snapshot_seconds_per_gib: {seconds} given; accepted: 0 to 86400"));
            }
            Some(seconds) => (seconds * 1_000.0).round() as i64,
            None => default.snapshot_millis_per_gib,
        };
        let lag = file.visibility_lag_seconds.unwrap_or(default.visibility_lag);
        if lag.0 > lag.1 {
            return self
                .wrong(0, format!("visibility_lag_seconds: [{}, {}] given; the least comes first", lag.0, lag.1));
        }
        if file.page_size == Some(0) {
            return self.wrong(0, "page_size: 0 given; accepted: 1 and more".into());
        }
        Ok(Timing {
            page_size: file.page_size.unwrap_or(default.page_size),
            visibility_lag: lag,
            stop_seconds: file.stop_seconds.unwrap_or(default.stop_seconds),
            start_seconds: file.start_seconds.unwrap_or(default.start_seconds),
            delete_seconds: file.delete_seconds.unwrap_or(default.delete_seconds),
            snapshot_seconds: file
                .snapshot_seconds
                .map_or(default.snapshot_seconds, |seconds| TimeDelta::seconds(i64::from(seconds))),
            snapshot_millis_per_gib: per_gib,
        })
    }

    fn account(&mut self, id: &Name, file: file::AccountFile) -> Read<()> {
        let account = AccountId::new(id.text()).or_else(|error| self.wrong(id.line(), error.to_string()))?;
        let mut regions = Vec::new();
        for (name, content) in file.regions {
            let region = Region::new(name.text()).or_else(|error| self.wrong(name.line(), error.to_string()))?;
            regions.push(region.clone());
            self.region(&Place { account: account.clone(), region }, content)?;
        }
        if regions.is_empty() {
            return self.wrong(id.line(), format!("account {account} has no Region"));
        }
        self.world.accounts.push(Account { id: account, name: file.name, regions });
        Ok(())
    }

    fn region(&mut self, place: &Place, content: file::RegionFile) -> Read<()> {
        let mut all = Vec::new();
        for instance in &content.instances {
            all.extend(self.instance(place, instance)?);
        }
        for volume in &content.volumes {
            all.push(self.free_volume(place, volume)?);
        }
        for snapshot in &content.snapshots {
            all.push(self.snapshot(place, snapshot)?);
        }
        for image in &content.images {
            for snapshot in &image.snapshots {
                self.existing(snapshot, Kind::Snapshot)?;
            }
            let key = self.born(place, Kind::Image, &image.id)?;
            let snapshots: Vec<&str> = image.snapshots.iter().map(Name::text).collect();
            let planted = plant::image(key, &image.name, &snapshots, self.at(image.created));
            all.push(self.tagged(planted, &image.id, &image.tags)?);
        }
        for address in &content.addresses {
            all.push(self.address(place, address)?);
        }
        self.world.resources.extend(all);
        Ok(())
    }

    fn instance(&mut self, place: &Place, file: &file::InstanceFile) -> Read<Vec<Planted>> {
        let key = self.born(place, Kind::Instance, &file.id)?;
        let launched = self.at(file.launched);
        let mut planted = plant::instance(key, &file.instance_type, launched);
        let zone = zone(place, file.zone.as_deref());
        let stopped = file.stopped.map(|when| self.at(when));
        if let Some(stopped) = stopped {
            if stopped <= launched {
                return self.wrong(file.id.line(), format!("{} was stopped before its launch", file.id.text()));
            }
            planted.activity.runs = vec![(launched, Some(stopped))];
        }
        if let Some(usage) = &file.usage {
            planted = planted.used(self.usage(usage, file.id.line())?);
        }
        planted = self.tagged(planted, &file.id, &file.tags)?.with_instance(|instance| {
            instance.zone = zone.clone();
            if let Some(stopped) = stopped {
                instance.state = InstanceState::Stopped;
                instance.state_since = Fact::Known(stopped);
            }
            if let Some(platform) = &file.platform {
                instance.platform = Fact::Known(platform.as_str().into());
            }
            if matches!(file.lifecycle, file::LifecycleFile::Spot) {
                instance.lifecycle = Lifecycle::Spot;
            }
            instance.instance_store = Fact::Known(file.instance_store);
            instance.auto_public_ip = file.auto_public_ip.as_deref().map(Str::from).into();
            instance.operator = file.operator.as_deref().map(Str::from);
            instance.termination_protected = Fact::Known(file.termination_protected);
            instance.stop_protected = Fact::Known(file.stop_protected);
            instance.image = file.image.as_deref().map(Str::from);
            instance.subnet = file.subnet.as_deref().map(Str::from);
            instance.private_ip = file.private_ip.as_deref().map(Str::from);
        });
        let mut volumes = Vec::new();
        for (index, file) in file.volumes.iter().enumerate() {
            let created = file.created.map_or(launched, |when| self.at(when));
            let mut volume = self.volume(place, file, created)?;
            if file.zone.is_none() {
                volume = volume.with_volume(|volume| volume.zone = zone.clone());
            }
            let usual = match index {
                0 => "/dev/xvda".to_owned(),
                // /dev/sdf to /dev/sdp are what EC2 recommends for data volumes.
                index => format!("/dev/sd{}", char::from(b'e' + u8::try_from(index.min(20)).unwrap_or(20))),
            };
            let device = file.device.as_deref().unwrap_or(&usual);
            plant::attach(&mut planted, &mut volume, device, file.delete_on_termination.unwrap_or(index == 0));
            volumes.push(volume);
        }
        Ok(std::iter::once(planted).chain(volumes).collect())
    }

    fn free_volume(&mut self, place: &Place, file: &file::VolumeFile) -> Read<Planted> {
        let Some(created) = file.created else {
            return self.wrong(file.id.line(), format!("{}: an unattached volume needs `created`", file.id.text()));
        };
        if file.device.is_some() || file.delete_on_termination.is_some() {
            let message = "`device` and `delete_on_termination` belong to a volume under an instance's `volumes`";
            return self.wrong(file.id.line(), format!("{}: {message}", file.id.text()));
        }
        self.volume(place, file, self.at(created))
    }

    fn volume(&mut self, place: &Place, file: &file::VolumeFile, created: Instant) -> Read<Planted> {
        let key = self.born(place, Kind::Volume, &file.id)?;
        if file.size_gib == 0 {
            return self.wrong(file.id.line(), format!("{}: size_gib is 0", file.id.text()));
        }
        let volume_type = file.volume_type.as_deref().unwrap_or("gp3");
        let mut planted = plant::volume(key, volume_type, file.size_gib, created);
        if let Some(minutes) = file.snapshot_minutes {
            if !(0.0..=100_000.0).contains(&minutes) {
                let message = format!("{}: snapshot_minutes {minutes} given; accepted: 0 to 100000", file.id.text());
                return self.wrong(file.id.line(), message);
            }
            planted.snapshot_takes = Some(TimeDelta::seconds((minutes * 60.0).round() as i64));
        }
        Ok(self.tagged(planted, &file.id, &file.tags)?.with_volume(|volume| {
            volume.zone = zone(place, file.zone.as_deref());
            volume.iops = file.iops.or(volume.iops);
            volume.throughput = file.throughput.or(volume.throughput);
            volume.kms_key = file.kms_key.as_deref().map(Str::from);
            volume.encrypted = file.kms_key.is_some();
            volume.operator = file.operator.as_deref().map(Str::from);
        }))
    }

    fn snapshot(&mut self, place: &Place, file: &file::SnapshotFile) -> Read<Planted> {
        let key = self.born(place, Kind::Snapshot, &file.id)?;
        // EC2 writes this where the source is not known.
        let source = file.volume.as_deref().unwrap_or("vol-ffffffff");
        let mut planted = plant::snapshot(key, source, file.size_gib, self.at(file.created));
        if let Detail::Snapshot(snapshot) = &mut planted.resource.detail {
            if let Some(state) = &file.state {
                snapshot.state = state.as_str().into();
                snapshot.progress = Fact::Known(if state == "completed" { 100 } else { 0 });
            }
            if let Some(tier) = &file.storage_tier {
                snapshot.storage_tier = tier.as_str().into();
            }
            snapshot.description = file.description.as_deref().unwrap_or("").into();
            snapshot.kms_key = file.kms_key.as_deref().map(Str::from);
        }
        self.tagged(planted, &file.id, &file.tags)
    }

    fn address(&mut self, place: &Place, file: &file::AddressFile) -> Read<Planted> {
        let key = self.born(place, Kind::Address, &file.id)?;
        let instance = file.instance.as_ref().map(|name| self.existing(name, Kind::Instance)).transpose()?;
        let mut planted = plant::address(key, &file.public_ip);
        if let Detail::Address(address) = &mut planted.resource.detail {
            if let Some(instance) = instance {
                address.association = Some(file.id.text().replacen("eipalloc-", "eipassoc-", 1).into());
                address.network_interface = Some(instance.id.replacen("i-", "eni-", 1).into());
                address.instance = Some(instance.id);
            }
            address.operator = file.operator.as_deref().map(Str::from);
        }
        self.tagged(planted, &file.id, &file.tags)
    }

    /// Registers a new id.
    fn born(&mut self, place: &Place, kind: Kind, id: &Name) -> Read<ResourceKey> {
        let text = id.text();
        let rest = text.strip_prefix(kind.id_prefix()).unwrap_or("");
        if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let prefix = kind.id_prefix();
            let accepted = format!("{prefix} and letters, digits or hyphens");
            return self.wrong(id.line(), format!("{text:?} is no id of an {}; accepted: {accepted}", kind.noun()));
        }
        let key = place.partition(kind).key(text);
        if let Some((line, _)) = self.lines.insert(text.to_owned(), (id.line(), key.clone())) {
            return self.wrong(id.line(), format!("{text} stands twice; the first is on line {line}"));
        }
        Ok(key)
    }

    /// The resource that a name refers to.
    fn existing(&self, name: &Name, kind: Kind) -> Read<ResourceKey> {
        match self.lines.get(name.text()) {
            Some((_, key)) if key.kind() == kind => Ok(key.clone()),
            Some(_) => self.wrong(name.line(), format!("{} is no {}", name.text(), kind.noun())),
            None => self.wrong(name.line(), format!("there is no {} {} in this world", kind.noun(), name.text())),
        }
    }

    /// The same for any kind; ids that only the simulation can make (of our snapshots) cannot be known here.
    fn any(&self, name: &Name) -> Read<String> {
        match kind_of(name.text()) {
            Some(kind) => self.existing(name, kind).map(|key| key.id.to_string()),
            None => self.wrong(name.line(), format!("{:?} is no resource id", name.text())),
        }
    }

    fn tagged(&self, mut planted: Planted, id: &Name, tags: &BTreeMap<String, String>) -> Read<Planted> {
        if tags.len() > MAX_TAGS {
            let message = format!("{} has {} tags; EC2 allows {MAX_TAGS}", id.text(), tags.len());
            return self.wrong(id.line(), message);
        }
        let pairs = tags.iter().map(|(key, value)| (Str::from(&**key), Str::from(&**value)));
        planted.resource.tags = Fact::Known(Tags::new(pairs));
        Ok(planted)
    }

    fn create(&mut self, file: &file::CreateFile, at: When) -> Read<Vec<Planted>> {
        let place = self.place(&file.account, &file.region)?;
        let line = file.account.line();
        let at = self.at(at);
        let mut made = Vec::new();
        if let Some(instance) = &file.instance {
            made.push(self.instance(&place, instance)?);
        }
        if let Some(volume) = &file.volume {
            made.push(vec![self.volume(&place, volume, at)?]);
        }
        if let Some(snapshot) = &file.snapshot {
            made.push(vec![self.snapshot(&place, snapshot)?]);
        }
        if let Some(address) = &file.address {
            made.push(vec![self.address(&place, address)?]);
        }
        match <[Vec<Planted>; 1]>::try_from(made) {
            Ok([planted]) => Ok(planted),
            Err(made) => self.wrong(
                line,
                format!(
                    "create: {} resources given; accepted: exactly one of instance, volume, snapshot, address",
                    made.len()
                ),
            ),
        }
    }

    fn place(&self, account: &Name, region: &Name) -> Read<Place> {
        let places = self.world.places();
        let found = places
            .into_iter()
            .find(|place| place.account.as_str() == account.text() && place.region.as_str() == region.text());
        match found {
            Some(place) => Ok(place),
            None => {
                let listed: Vec<String> = self.world.places().iter().map(Place::to_string).collect();
                let given = format!("{}/{}", account.text(), region.text());
                self.wrong(account.line(), format!("{given} is not in this world; accepted: {}", listed.join(", ")))
            }
        }
    }

    fn event(&self, file: file::EventFile, created: Option<Vec<Planted>>) -> Read<Event> {
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(created.map(Change::Create));
        if let Some(tag) = file.tag {
            changes.push(Change::Tag { resource: self.any(&tag.resource)?, tags: tag.tags.into_iter().collect() });
        }
        if let Some(untag) = file.untag {
            changes.push(Change::Untag { resource: self.any(&untag.resource)?, keys: untag.keys });
        }
        let id = |name: &Name, kind| self.existing(name, kind).map(|key| key.id.to_string());
        for (name, kind, change) in [
            (&file.start, Kind::Instance, Change::Start as fn(String) -> Change),
            (&file.stop, Kind::Instance, Change::Stop),
            (&file.terminate, Kind::Instance, Change::Terminate),
            (&file.detach, Kind::Volume, Change::Detach),
            (&file.snapshot, Kind::Volume, Change::Snapshot),
            (&file.disassociate, Kind::Address, Change::Disassociate),
        ] {
            if let Some(name) = name {
                changes.push(change(id(name, kind)?));
            }
        }
        if let Some(name) = &file.delete {
            changes.push(Change::Delete(self.any(name)?));
        }
        if let Some(attach) = file.attach {
            changes.push(Change::Attach {
                volume: id(&attach.volume, Kind::Volume)?,
                instance: id(&attach.instance, Kind::Instance)?,
                device: attach.device.unwrap_or_else(|| "/dev/sdf".into()),
            });
        }
        if let Some(change) = file.change_type {
            let instance = id(&change.instance, Kind::Instance)?;
            changes.push(Change::SetType { instance, instance_type: change.instance_type });
        }
        if let Some(protect) = file.protect {
            let instance = id(&protect.instance, Kind::Instance)?;
            changes.push(Change::Protect { instance, stop: protect.stop, termination: protect.termination });
        }
        if let Some(associate) = file.associate {
            changes.push(Change::Associate {
                address: id(&associate.address, Kind::Address)?,
                instance: id(&associate.instance, Kind::Instance)?,
            });
        }
        if let Some(uses) = file.uses {
            let usage = Box::new(self.usage(&uses.usage, uses.instance.line())?);
            changes.push(Change::Use { instance: id(&uses.instance, Kind::Instance)?, usage });
        }
        match <[Change; 1]>::try_from(changes) {
            Ok([change]) => Ok(Event { at: self.at(file.at), by: file.by.text().into(), change }),
            Err(changes) => self.wrong(
                file.by.line(),
                format!(
                    "an event by {} does {} things; accepted: exactly one of tag, untag, start, stop, terminate, \
                     attach, detach, delete, snapshot, create, change_type, protect, associate, disassociate, use",
                    file.by.text(),
                    changes.len()
                ),
            ),
        }
    }

    fn fault(&self, file: file::FaultFile) -> Read<Fault> {
        if let Some(operation) = &file.operation
            && !OPERATIONS.contains(&operation.text())
        {
            let message = format!("operation {:?}; accepted: {}", operation.text(), OPERATIONS.join(", "));
            return self.wrong(operation.line(), message);
        }
        let account = file.account.as_ref().map(|name| self.known_account(name)).transpose()?;
        let region = match &file.region {
            Some(name) => Some(Region::new(name.text()).or_else(|error| self.wrong(name.line(), error.to_string()))?),
            None => None,
        };
        Ok(Fault {
            operation: file.operation.map(|name| name.text().to_owned()),
            account,
            region,
            target: file.target,
            form: file.form,
            span: self.span(&file::SpanFile { from: file.from, until: file.until }),
            calls: file.calls,
            effect: file.effect,
        })
    }

    fn known_account(&self, name: &Name) -> Read<AccountId> {
        match self.world.accounts.iter().find(|account| account.id.as_str() == name.text()) {
            Some(account) => Ok(account.id.clone()),
            None => self.wrong(name.line(), format!("account {:?} is not in this world", name.text())),
        }
    }

    fn spend(&self, file: file::SpendFile) -> Read<Spend> {
        let account = self.known_account(&file.account)?;
        let Some(per_day) = Usd::from_f64(file.usd_per_day).filter(|usd| usd.0 > 0) else {
            let message = format!("usd_per_day: {} given; accepted: dollars above 0", file.usd_per_day);
            return self.wrong(file.account.line(), message);
        };
        let span = self.span(&file::SpanFile { from: file.from, until: file.until });
        Ok(Spend { account, service: file.service, tags: file.tags, per_day, span })
    }

    fn exception(&self, file: file::ExceptionFile) -> Read<DatedException> {
        let resource = self.any(&file.resource)?;
        let account = self.lines.get(&resource).map(|(_, key)| key.account().to_string());
        let (from, until) = (self.at(file.from), self.at(file.until));
        if until <= from {
            return self.wrong(file.id.line(), format!("exception {} ends before it begins", file.id.text()));
        }
        let exception = Exception {
            id: file.id.text().into(),
            resource,
            account,
            policy: file.policy,
            rule: file.rule,
            reason: file.reason,
            approved_by: file.approved_by,
            until,
        };
        Ok(DatedException { from, exception })
    }

    fn span(&self, file: &file::SpanFile) -> Span {
        Span { from: file.from.map(|when| self.at(when)), until: file.until.map(|when| self.at(when)) }
    }

    fn usage(&self, file: &file::UsageFile, line: u64) -> Read<Usage> {
        let shapes = match file {
            file::UsageFile::Like(pattern) => return Ok(pattern_usage(*pattern)),
            file::UsageFile::Shapes(shapes) => shapes,
        };
        let mut usage = shapes.like.map(pattern_usage).unwrap_or_default();
        for (what, shape, slot, most) in [
            ("cpu", &shapes.cpu, &mut usage.cpu, 100.0),
            ("network_in", &shapes.network_in, &mut usage.network_in, f64::MAX),
            ("network_out", &shapes.network_out, &mut usage.network_out, f64::MAX),
            ("disk_operations", &shapes.disk_operations, &mut usage.disk_operations, f64::MAX),
        ] {
            if let Some(shape) = shape {
                *slot = Some(self.shape(shape, what, most, line)?);
            }
        }
        usage.missing = shapes.missing.iter().map(|span| self.span(span)).collect();
        usage.unreadable = shapes.unreadable.iter().map(|span| self.span(span)).collect();
        Ok(usage)
    }

    fn shape(&self, file: &file::ShapeFile, what: &str, most: f64, line: u64) -> Read<Shape> {
        let detail = match file {
            file::ShapeFile::Constant(level) => {
                &file::ShapeDetail { level: *level, noise: 0.0, busy: Vec::new(), peaks: Vec::new(), series: None }
            }
            file::ShapeFile::Shape(detail) => detail,
        };
        let series = detail.series.iter().flat_map(|series| series.values.iter().flatten());
        let levels = std::iter::once(&detail.level)
            .chain(detail.busy.iter().map(|busy| &busy.level))
            .chain(detail.peaks.iter().map(|peak| &peak.level))
            .chain(series);
        for level in levels {
            if !(0.0..=most).contains(level) {
                let accepted = if most == 100.0 { "0 to 100 percent" } else { "0 and more" };
                return self.wrong(line, format!("usage, {what}: level {level} given; accepted: {accepted}"));
            }
        }
        if !(0.0..=1.0).contains(&detail.noise) {
            return self.wrong(line, format!("usage, {what}: noise {} given; accepted: 0 to 1", detail.noise));
        }
        if let Some(busy) = detail.busy.iter().find(|busy| busy.from_hour >= busy.until_hour || busy.until_hour > 24) {
            let given = format!("hours {} to {}", busy.from_hour, busy.until_hour);
            return self.wrong(line, format!("usage, {what}: {given} given; accepted: 0 to 24, rising"));
        }
        let days = detail
            .series
            .iter()
            .flat_map(|series| self.at(series.from).date_naive().iter_days().zip(series.values.iter().copied()));
        Ok(Shape {
            base: detail.level,
            noise: detail.noise,
            busy: detail.busy.iter().map(busy).collect(),
            peaks: detail.peaks.iter().map(|peak| Peak { at: self.at(peak.at), level: peak.level }).collect(),
            days: days.collect(),
        })
    }
}

fn busy(file: &file::BusyFile) -> Busy {
    let weekday = |day: &file::Day| match day {
        file::Day::Mon => Weekday::Mon,
        file::Day::Tue => Weekday::Tue,
        file::Day::Wed => Weekday::Wed,
        file::Day::Thu => Weekday::Thu,
        file::Day::Fri => Weekday::Fri,
        file::Day::Sat => Weekday::Sat,
        file::Day::Sun => Weekday::Sun,
    };
    Busy {
        from_hour: file.from_hour,
        until_hour: file.until_hour,
        weekdays: file.weekdays.iter().map(weekday).collect(),
        level: file.level,
    }
}

/// The ready patterns, as `docs/worlds.md` describes them.
fn pattern_usage(pattern: file::Pattern) -> Usage {
    let noisy = |level: f64| Some(Shape { base: level, noise: 0.15, ..Shape::default() });
    let all = |cpu: Shape, network_in: f64, network_out: f64, disk: f64| Usage {
        cpu: Some(cpu),
        network_in: noisy(network_in),
        network_out: noisy(network_out),
        disk_operations: noisy(disk),
        ..Usage::default()
    };
    let at_times = |base: f64, level: f64, from_hour: u32, until_hour: u32, weekdays: &[Weekday]| Shape {
        base,
        noise: 0.1,
        busy: vec![Busy { from_hour, until_hour, weekdays: weekdays.to_vec(), level }],
        ..Shape::default()
    };
    let workdays = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let idle = Shape { base: 1.4, noise: 0.2, ..Shape::default() };
    match pattern {
        file::Pattern::Idle => all(idle, 120_000.0, 80_000.0, 1_500.0),
        file::Pattern::Light => all(Shape::steady(9.0), 6e6, 4e6, 40_000.0),
        file::Pattern::Busy => all(Shape::steady(46.0), 2e9, 3e9, 900_000.0),
        file::Pattern::Office => all(at_times(3.0, 55.0, 7, 18, &workdays), 4.5e7, 3.5e7, 300_000.0),
        file::Pattern::Batch => all(at_times(1.3, 92.0, 3, 4, &[Weekday::Sun]), 200_000.0, 100_000.0, 9_000.0),
    }
}

/// A zone's whole name from its letter.
fn zone(place: &Place, given: Option<&str>) -> Str {
    match given {
        Some(whole) if whole.len() > 1 => whole.into(),
        letter => format!("{}{}", place.region, letter.unwrap_or("a")).into(),
    }
}
