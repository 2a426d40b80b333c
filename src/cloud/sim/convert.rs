//! From a world file's shapes to a [`World`]: every name checked, every mistake told with its line.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use crate::domain::Instant;
use crate::domain::exception::Exception;
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind, Place, ResourceKey};
use crate::domain::text::clean;

use super::file::{self, Name};
use super::metrics::Span;
use super::when::When;
use super::world::{DatedException, Downtime, Spend, Timing, World, WorldError, kind_of};

mod events;
mod resources;
mod usage;

type Read<T> = Result<T, WorldError>;

/// Reads a world from YAML.
pub(super) fn world(text: &str, name: &str) -> Read<World> {
    let file: file::WorldFile = serde_saphyr::from_str(text).map_err(|error| unreadable(&error, text, name))?;
    let When::Absolute(start) = file.start else {
        let message = format!("start: {} is counted from itself; accepted: a UTC date or instant", file.start);
        return Err(WorldError { file: name.into(), line: None, message });
    };
    let mut reader =
        Reader { file: name.into(), start, lines: HashMap::new(), keys: BTreeSet::new(), world: World::empty(start) };
    reader.whole(file)?;
    reader.world.check()?;
    Ok(reader.world)
}

/// The YAML reader's error in our form: its own words, without its position at the end, and the line as it stands.
fn unreadable(error: &serde_saphyr::Error, text: &str, name: &str) -> WorldError {
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let words = error.without_snippet().to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    let words = words.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
    let given = line
        .and_then(|line| text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?))
        .map(|given| format!("; given: {}", clean(given.trim())))
        .unwrap_or_default();
    WorldError { file: name.into(), line, message: format!("{words}{given}") }
}

/// Every key that a volume or snapshot of the file names.
fn keys_of(file: &file::WorldFile) -> BTreeSet<String> {
    let regions = file.accounts.values().flat_map(|account| account.regions.values());
    let (mut volumes, mut snapshots) = (Vec::new(), Vec::new());
    for region in regions {
        volumes.extend(region.volumes.iter().chain(region.instances.iter().flat_map(|own| &own.volumes)));
        snapshots.extend(&region.snapshots);
    }
    for made in file.events.iter().filter_map(|event| event.create.as_ref()) {
        volumes.extend(made.volume.iter().chain(made.instance.iter().flat_map(|own| &own.volumes)));
        snapshots.extend(&made.snapshot);
    }
    let volumes = volumes.into_iter().filter_map(|own| own.kms_key.clone());
    volumes.chain(snapshots.into_iter().filter_map(|own| own.kms_key.clone())).collect()
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
    /// Keys that something is or will be encrypted under.
    keys: BTreeSet<String>,
    world: World,
}

impl Reader {
    fn wrong<T>(&self, line: u64, message: String) -> Read<T> {
        Err(WorldError { file: self.file.clone(), line: Some(line).filter(|line| *line > 0), message })
    }

    fn whole(&mut self, file: file::WorldFile) -> Read<()> {
        // Keys are named across Regions and by what events create.
        self.keys = keys_of(&file);
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
            snapshot_base: file
                .snapshot_seconds
                .map_or(default.snapshot_base, |seconds| TimeDelta::seconds(i64::from(seconds))),
            snapshot_millis_per_gib: per_gib,
            recycle_bin_days: file.recycle_bin_days,
        })
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
}
