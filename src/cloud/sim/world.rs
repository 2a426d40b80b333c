//! A world: what a simulated account begins with and what will happen in it.
//!
//! `file` and `convert` read one from YAML; tests and the campaign put one together in code. A [`World`] is plain data:
//! the same world gives the same simulation. `settings`, `policies`, `exceptions` and `downtime` are not the account's:
//! they are handed to whoever plays the world.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use crate::domain::Instant;
use crate::domain::exception::Exception;
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind, Place, Region};
use crate::domain::resource::Resource;
use crate::domain::text::Str;

use super::actors::Event;
use super::convert;
use super::faults::Fault;
use super::metrics::Span;
use super::state::Planted;

/// A simulated account's beginning and future.
#[derive(Clone, Debug)]
pub struct World {
    /// The file it came from; none for built-in worlds and those made in code.
    pub origin: Option<PathBuf>,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The first instant.
    pub start: Instant,
    /// How many days its story takes.
    pub days: u32,
    /// Where everything comes from that looks like chance.
    pub seed: u64,
    /// How long things take.
    pub timing: Timing,
    /// Accounts with their Regions.
    pub accounts: Vec<Account>,
    /// What is there at the start.
    pub resources: Vec<Planted>,
    /// States of encryption keys, by what volumes and snapshots call them; a key that is not here is enabled.
    pub keys: BTreeMap<String, String>,
    /// What is spent.
    pub spend: Vec<Spend>,
    /// What people and other automation do.
    pub events: Vec<Event>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// When the program itself is down.
    pub downtime: Vec<Downtime>,
    /// Exceptions that somebody grants.
    pub exceptions: Vec<DatedException>,
    /// Settings to play it with, in the shape of the settings file.
    pub settings: Option<serde_json::Value>,
    /// Policies to play it with: a path (relative to the world's file), or a whole document if the text has a line
    /// break.
    pub policies: Vec<String>,
}

/// One account of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: AccountId,
    /// For people.
    pub name: Option<String>,
    /// Its Regions.
    pub regions: Vec<Region>,
}

/// How long things take, and how readers are answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Resources on a page.
    pub page_size: usize,
    /// Seconds for which readers may still see the state before a change: least and most.
    pub visibility_lag: (u32, u32),
    /// From stopping to stopped, and from shutting down to terminated.
    pub stop_seconds: u32,
    /// From pending to running.
    pub start_seconds: u32,
    /// From deleting to gone.
    pub delete_seconds: u32,
    /// How long the smallest snapshot takes.
    pub snapshot_base: TimeDelta,
    /// What each GiB of the volume adds, in thousandths of a second.
    pub snapshot_millis_per_gib: i64,
    /// Days that a Recycle Bin rule keeps each deleted snapshot; without a rule it is gone at once.
    pub recycle_bin_days: Option<u32>,
}

/// Money spent each day.
#[derive(Clone, Debug, PartialEq)]
pub struct Spend {
    /// By whom.
    pub account: AccountId,
    /// On what.
    pub service: String,
    /// With which cost-allocation tags.
    pub tags: BTreeMap<String, String>,
    /// Dollars a day.
    pub per_day: Usd,
    /// On days whose midnight lies within.
    pub span: Span,
}

/// A time in which the program does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// First instant.
    pub from: Instant,
    /// First instant after it.
    pub until: Instant,
    /// Why.
    pub reason: String,
}

/// An exception and when it was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedException {
    /// From when on the settings carry it.
    pub from: Instant,
    /// The exception, with its own end.
    pub exception: Exception,
}

/// A world that cannot be read or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("world {file}{}: {message}", self.line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct WorldError {
    /// Where it came from.
    pub file: String,
    /// Line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, what was given, what is accepted.
    pub message: String,
}

impl World {
    /// Nothing but a start.
    pub fn empty(start: Instant) -> World {
        World {
            origin: None,
            name: "made in code".into(),
            description: None,
            start,
            days: 45,
            seed: 1,
            timing: Timing::default(),
            accounts: Vec::new(),
            resources: Vec::new(),
            keys: BTreeMap::new(),
            spend: Vec::new(),
            events: Vec::new(),
            faults: Vec::new(),
            downtime: Vec::new(),
            exceptions: Vec::new(),
            settings: None,
            policies: Vec::new(),
        }
    }

    /// Reads a world from a file. Paths in `policies` are taken relative to it.
    ///
    /// # Errors
    /// Names the file, the line, what was given and what is accepted.
    pub fn load(path: &Path) -> Result<World, WorldError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| WorldError {
            file: name.clone(),
            line: None,
            message: format!("cannot be read: {error}"),
        })?;
        let mut world = World::parse(&text, &name)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for policy in world.policies.iter_mut().filter(|policy| !policy.contains('\n')) {
            *policy = folder.join(&*policy).display().to_string();
        }
        world.origin = Some(path.to_owned());
        Ok(world)
    }

    /// Reads a world from text; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`World::load`].
    pub fn parse(text: &str, name: &str) -> Result<World, WorldError> {
        convert::world(text, name)
    }

    /// The world that `costwarden demo` plays.
    ///
    /// # Errors
    /// None in a released program: a test reads it.
    pub fn demo() -> Result<World, WorldError> {
        World::parse(include_str!("../../../fixtures/worlds/demo.yaml"), "demo.yaml (built in)")
    }

    /// The JSON Schema of world files.
    pub fn schema() -> serde_json::Value {
        convert::schema()
    }

    /// When the story ends.
    pub fn end(&self) -> Instant {
        self.start + TimeDelta::days(i64::from(self.days))
    }

    /// Every account × Region.
    pub fn places(&self) -> Vec<Place> {
        let places = |account: &Account| {
            let id = account.id.clone();
            account.regions.clone().into_iter().map(move |region| Place { account: id.clone(), region })
        };
        self.accounts.iter().flat_map(places).collect()
    }

    /// The exceptions that the settings carry at an instant. Ended ones stay: that they ended is the program's to see.
    pub fn exceptions_at(&self, now: Instant) -> Vec<Exception> {
        self.exceptions.iter().filter(|dated| dated.from <= now).map(|dated| dated.exception.clone()).collect()
    }

    /// The downtime that an instant falls into.
    pub fn down_at(&self, now: Instant) -> Option<&Downtime> {
        self.downtime.iter().find(|downtime| downtime.from <= now && now < downtime.until)
    }

    /// Adds an account with its Regions.
    ///
    /// # Errors
    /// When one of them is no valid name.
    pub fn with_account(mut self, id: &str, regions: &[&str]) -> Result<World, crate::domain::place::BadName> {
        let regions = regions.iter().map(|region| Region::new(region)).collect::<Result<_, _>>()?;
        self.accounts.push(Account { id: AccountId::new(id)?, name: None, regions });
        Ok(self)
    }

    /// Whether the account can be simulated; `convert` finds the same faults earlier, with their lines.
    pub(super) fn check(&self) -> Result<(), WorldError> {
        let wrong = |message: String| {
            let file = self.origin.as_ref().map_or_else(|| self.name.clone(), |path| path.display().to_string());
            Err(WorldError { file, line: None, message })
        };
        let places = self.places();
        let mut by_id: HashMap<&Str, &Resource> = HashMap::new();
        for planted in &self.resources {
            let resource = &planted.resource;
            let key = &resource.key;
            if !key.id.starts_with(key.kind().id_prefix()) {
                let prefix = key.kind().id_prefix();
                return wrong(format!(
                    "{:?} is no id of an {}; it must begin with {prefix}",
                    key.id,
                    key.kind().noun()
                ));
            }
            if !places.contains(&key.partition.place) {
                return wrong(format!("{} lies in {}, which is not listed", key.id, key.partition.place));
            }
            if by_id.insert(&key.id, resource).is_some() {
                return wrong(format!("{} stands twice", key.id));
            }
        }
        for resource in self.resources.iter().map(|planted| &planted.resource) {
            for (own, other) in edges(resource) {
                let known = by_id.get(other).is_some_and(|resource| edges(resource).any(|edge| edge == (other, own)));
                if !known {
                    return wrong(format!("{own} is attached to {other} on one side only"));
                }
            }
        }
        Ok(())
    }
}

/// Attachments as pairs of own id and the other side's.
fn edges(resource: &Resource) -> impl Iterator<Item = (&Str, &Str)> {
    let own = &resource.key.id;
    let volumes = resource.instance().map(|instance| &*instance.volumes).unwrap_or_default();
    let instances = resource.volume().map(|volume| &*volume.attachments).unwrap_or_default();
    volumes
        .iter()
        .map(move |attached| (own, &attached.volume))
        .chain(instances.iter().map(move |attachment| (own, &attachment.instance)))
}

impl Default for Timing {
    /// No lag, pages of 100, a stop in 45 s, a delete in 15 s, and a snapshot of 100 GiB in about 4 minutes.
    fn default() -> Timing {
        Timing {
            page_size: 100,
            visibility_lag: (0, 0),
            stop_seconds: 45,
            start_seconds: 30,
            delete_seconds: 15,
            snapshot_base: TimeDelta::seconds(60),
            snapshot_millis_per_gib: 2_000,
            recycle_bin_days: None,
        }
    }
}

impl Spend {
    /// What is spent on a day, as the bill knows it at `now`: nothing of the future, a share of today.
    pub(super) fn on(&self, day: NaiveDate, now: Instant) -> Usd {
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        let elapsed = (now - midnight).num_seconds().clamp(0, 86_400);
        if self.span.holds(midnight) { self.per_day.scaled(elapsed, 86_400) } else { Usd::ZERO }
    }
}

/// The kind that an id's prefix tells.
pub(super) fn kind_of(id: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| id.strip_prefix(kind.id_prefix()).is_some_and(|rest| !rest.is_empty()))
}
