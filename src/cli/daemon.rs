//! `daemon`: works by itself at the slots of the settings, under systemd or by hand.
//!
//! One daemon per state folder (75 for a second one). SIGHUP reads settings and policies again and keeps the old ones
//! when they are wrong; SIGTERM and SIGINT let the running step reach its journal.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args as ClapArgs;
use tokio::sync::mpsc;

use super::exit::{Exit, ExitError};
use super::{Global, open};
use crate::app;
use crate::clock::Clock;
use crate::worker::daemon::{Daemon, DaemonEnd, Timings};
use crate::worker::ledger::Ledger;
use crate::worker::lock::{DaemonLock, LockError};
use crate::worker::nightly::{Loaded, Nightly};
use crate::worker::notify::Notifier;
use crate::worker::outlets::Outlets;
use crate::worker::schedule::Schedule;
use crate::worker::signals::{WakeUp, watch_signals};

/// Flags of `daemon`.
#[derive(Debug, ClapArgs)]
pub struct Args {}

/// Runs until a signal.
pub async fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    let schedule = Schedule::new(&settings.schedule, settings.zone).map_err(ExitError::bad_use)?;
    let store = open::store(&settings)?;
    let lock = DaemonLock::take(&settings.state_dir).map_err(|error| match error {
        LockError::Held { .. } => ExitError::with(Exit::Busy, error),
        other => other.into(),
    })?;
    let outlets = Outlets::open(&settings, false)?;
    let reader = app::reader(&settings).await?;
    let actor = app::actor(&settings).await?;
    let clock = Clock::System;
    let context = app::context(settings, &policies, store, reader, clock.clone())?;
    let ledger = Ledger::new(context.store.clone());

    let loaded = Loaded { context, outlets: Arc::new(outlets) };
    let nightly = Nightly::new(loaded, actor, reload(global.config.clone(), global.db.clone()));
    let (sender, events) = mpsc::channel(16);
    watch_signals(sender.clone())?;
    let wake_up = WakeUp::start(sender).await?;
    let daemon = Daemon {
        jobs: Arc::new(nightly),
        schedule,
        ledger,
        clock,
        monotonic: Clock::monotonic,
        notifier: Notifier::Systemd,
        lock: Some(lock),
        events,
        timings: Timings::default(),
    };
    let end = daemon.run().await?;
    wake_up.stop().await;
    match &end {
        DaemonEnd::Stopped(signal) => Ok(Exit::Interrupted(signal.exit_code())),
        // The runtime would wait for the blocked thread for ever; the journal stands a hard end.
        DaemonEnd::Stuck(_) => std::process::exit(i32::from(end.exit_code())),
        DaemonEnd::LockLost | DaemonEnd::NoEvents => Err(anyhow::anyhow!("{end}")),
    }
}

/// Reads settings, policies and channels again. State folder, accounts' roles and the cloud's clients stay those of the
/// start: a change of them is said to need a restart.
fn reload(config: Option<PathBuf>, db: Option<PathBuf>) -> Box<crate::worker::nightly::Reload> {
    Box::new(move |old| {
        let global = Global { config: config.clone(), db: db.clone(), ..Global::default() };
        let settings = open::settings(&global)?;
        let policies = open::policies(&settings)?;
        if settings.state_dir != old.settings.state_dir || settings.accounts != old.settings.accounts {
            anyhow::bail!("state_dir and accounts change only with a restart; the other changes were not taken either");
        }
        let outlets = Outlets::open(&settings, false)?;
        let rules = crate::engine::ruleset::Ruleset::compile(&policies)?;
        let context =
            crate::worker::context::Context { settings: Arc::new(settings), rules: Arc::new(rules), ..old.clone() };
        Ok(Loaded { context, outlets: Arc::new(outlets) })
    })
}
