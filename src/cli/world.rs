//! `--world FILE` and `--as-of DATE`: a simulated account in the cloud's place.
//!
//! Shared by `scan` and `demo`. A world's state lives in memory unless `--db` names a folder, so that a stranger's first
//! try leaves nothing behind.

use std::path::PathBuf;

use chrono::{NaiveDate, NaiveTime};
use clap::Args as ClapArgs;

use super::Global;
use super::exit::ExitError;
use crate::app::WorldApp;
use crate::cloud::sim::World;
use crate::domain::Instant;
use crate::domain::mode::Mode;
use crate::store::Store;

/// Flags of commands that can run on a world.
#[derive(Clone, Debug, ClapArgs)]
pub struct WorldArgs {
    /// Use this simulated account (see docs/worlds.md) in place of AWS
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// The instant, for example 2026-09-20 or 2026-09-20T02:00:00Z; the world's start when absent
    #[arg(long, value_name = "DATE", requires = "world", value_parser = instant)]
    as_of: Option<Instant>,
}

impl WorldArgs {
    /// The world at its instant, if one was asked for.
    pub fn open(&self) -> anyhow::Result<Option<WorldApp>> {
        let Some(file) = &self.world else {
            return Ok(None);
        };
        let world = World::load(file).map_err(ExitError::bad_use)?;
        let mut app = WorldApp::open(world, Mode::Observe).map_err(|error| ExitError::bad_use(format!("{error:#}")))?;
        if let Some(instant) = self.as_of {
            if instant < app.world.start {
                return Err(ExitError::bad_use(format!(
                    "--as-of {instant} lies before the world's start, {}",
                    app.world.start
                )));
            }
            app.clock.advance_to(instant);
        }
        app.settings = app.settings_at(app.clock.now());
        Ok(Some(app))
    }

    /// The world at its start with its number of days, for who plays it night by night.
    pub fn open_at_start(&self) -> anyhow::Result<Option<(WorldApp, i64)>> {
        let days = |app: WorldApp| {
            let days = (app.world.end() - app.world.start).num_days();
            (app, days)
        };
        let at_start = WorldArgs { world: self.world.clone(), as_of: None };
        Ok(at_start.open()?.map(days))
    }

    /// The instant that was given.
    pub fn until(&self) -> Option<Instant> {
        self.as_of
    }

    /// Where its findings go.
    pub fn store(&self, global: &Global) -> anyhow::Result<Store> {
        match &global.db {
            Some(folder) => Ok(Store::open_in(folder)?),
            None => Ok(Store::in_memory()?),
        }
    }

    /// Whether an instant was given.
    pub fn as_of_given(&self) -> bool {
        self.as_of.is_some()
    }
}

fn instant(text: &str) -> Result<Instant, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    text.parse::<Instant>().map_err(|_| format!("{text:?} is no date; accepted: 2026-09-20 or 2026-09-20T02:00:00Z"))
}
