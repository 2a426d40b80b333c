//! `actions undo`: says what would come back and what cannot, asks, takes the act back, and prints every difference.
//!
//! A dry run reads the state and the cloud and is built without anything that can change them. Exit codes: 0 taken back
//! and everything but an id is as it was, 5 taken back with differences or refused because the world has moved on,
//! 6 held, 1 stuck, 75 another worker acts.

use clap::Args as ClapArgs;
use serde::Serialize;
use std::sync::Arc;

use super::apply::typed_account;
use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, interrupt, open, sending};
use crate::app;
use crate::deliver::outbox::deliver_due;
use crate::domain::Instant;
use crate::domain::mode::Mode;
use crate::domain::remediation::JournalState;
use crate::domain::text::clean;
use crate::domain::undo::{Difference, Undoable};
use crate::engine::grace;
use crate::remediate::undo::UndoRequest;
use crate::remediate::undo::preview::{Preview, preview};
use crate::remediate::{Halt, Progress};
use crate::worker::context::Context;
use crate::worker::jobs::act::{Acting, NotActing};
use crate::worker::jobs::announce::announce;
use crate::worker::jobs::undo::{Undone, undo};
use crate::worker::outlets::Outlets;
use crate::worker::post::Post;
use crate::worker::supervise::Work;

/// Flags of `actions undo`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// For example r-12
    pub id: String,
    /// Say what would come back and what cannot; changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for the account id
    #[arg(long)]
    yes: bool,
    /// Do it although everything is frozen
    #[arg(long)]
    while_frozen: bool,
    /// Who decides; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// What `actions undo -o json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    act: &'a str,
    dry_run: bool,
    way: &'a str,
    cannot_come_back: &'a [String],
    /// The call that would be made, in a dry run.
    call: Option<String>,
    /// S1's word; `would` in a dry run.
    status: &'static str,
    undo: Option<String>,
    made: Option<String>,
    differences: &'a [Difference],
    message: String,
}

/// What can still be undone of an act, as JSON.
#[derive(Serialize)]
pub struct UndoableJson {
    /// In words.
    way: String,
    /// Last instant at which the backup is promised; null when none is needed.
    until: Option<Instant>,
    /// Dollars a day that keeping the backup costs at most.
    daily_usd: f64,
}

impl From<Undoable> for UndoableJson {
    fn from(own: Undoable) -> UndoableJson {
        UndoableJson { way: own.way, until: own.until, daily_usd: own.daily.as_f64() }
    }
}

/// Takes one act back.
///
/// # Errors
/// No such act, nothing to take back, another worker acts, or the state or the cloud cannot be read.
pub async fn run(global: &Global, args: &Args, act: i64) -> anyhow::Result<Exit> {
    let cx = open::context(global, args.dry_run).await?;
    let begun = cx.store.undos_of(act)?.into_iter().any(|undo| !undo.state.ended());
    let told = preview(&cx.store, &*cx.cloud, &cx.guard_rules(), &cx.prices, act, cx.clock.now()).await?;
    let told = told.map_err(|why| ExitError::bad_use(format!("{why}; see `costwarden actions list`")))?;
    if args.dry_run {
        return dry_run(global, &told);
    }
    if cx.settings.enforcement.mode == Mode::Observe {
        return Err(ExitError::with(
            Exit::Held,
            "mode observe changes nothing; set enforcement.mode to notify or enforce",
        ));
    }
    let by = open::by(args.by.as_deref())?;
    // An undo that a crash left open is gone on with; its first look then decides, not this one.
    if !begun && let Err(why) = &told.call {
        return Err(ExitError::with(Exit::Stale, format!("nothing was done: {}", clean(why))));
    }
    say(&told);
    if !args.yes {
        confirm(global, &cx, act)?;
    }
    let actor = app::actor(&cx.settings).await?;
    let outlets = Arc::new(Outlets::open(&cx.settings, false)?);
    let post = Post::new(cx.store.clone(), outlets.clone(), cx.clock.clone());
    let work = Work::default();
    let acting = Acting {
        actor,
        by_hand: true,
        announce: announce(&cx),
        post: post.clone(),
        work: &work,
        halt: Halt::from_environment(),
    };
    let request = UndoRequest { act, by, while_frozen: args.while_frozen };
    let (done, stopped) = interrupt::watch(&work, undo(&cx, &acting, &request)).await;
    let done = done.map_err(|error| match error {
        NotActing::Busy => ExitError::with(Exit::Busy, error),
        NotActing::Failed(error) => error,
    })?;
    let sent = post.rest().await.then(deliver_due(&cx.store, outlets.channels(), &cx.clock, grace::delivered).await?);
    let sent = sending::told(&sent);
    let done = done.map_err(ExitError::bad_use)?;
    show(global, &told, &done)?;
    Ok(exit(&done).and(sent).and(stopped))
}

fn dry_run(global: &Global, told: &Preview) -> anyhow::Result<Exit> {
    let (status, message) = match &told.call {
        Ok(call) => ("would", format!("would call {call} once")),
        Err(why) => ("skipped", why.clone()),
    };
    if global.output == Format::Json {
        output::json(&Document {
            schema_version: SCHEMA_VERSION,
            act: &told.undoable.id,
            dry_run: true,
            way: &told.undoable.way,
            cannot_come_back: &told.losses,
            call: told.call.as_ref().ok().map(ToString::to_string),
            status,
            undo: None,
            made: None,
            differences: &[],
            message,
        })?;
    } else {
        for line in lines(told) {
            output::line(&line)?;
        }
        output::line(&format!("  {}", clean(&message)))?;
    }
    Ok(if told.call.is_ok() { Exit::Done } else { Exit::Stale })
}

/// What comes back and what does not, before anything begins.
fn say(told: &Preview) {
    for line in lines(told) {
        output::tell(&line);
    }
}

fn lines(told: &Preview) -> Vec<String> {
    let own = &told.undoable;
    let mut lines = vec![format!("{}: {} ({}, {})", own.id, clean(&own.way), own.resource, clean(&own.name))];
    if let Some(until) = own.until {
        lines.push(format!("  its backup is kept until {}", until.format("%Y-%m-%d %H:%M UTC")));
    }
    lines.extend(told.losses.iter().map(|loss| format!("  does not come back: {}", clean(loss))));
    lines
}

fn confirm(global: &Global, cx: &Context, act: i64) -> anyhow::Result<()> {
    if global.no_input {
        return Err(ExitError::bad_use("--no-input and no --yes: give --yes to take it back without being asked"));
    }
    let account = cx.store.remediation(act)?.map(|act| act.step.key.account().clone());
    account.map_or(Ok(()), |account| typed_account(account.as_str()))
}

fn show(global: &Global, told: &Preview, done: &Undone) -> anyhow::Result<()> {
    let differences = done.undo.as_ref().map_or(&[][..], |undo| &undo.differences);
    if global.output == Format::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            act: &told.undoable.id,
            dry_run: false,
            way: &told.undoable.way,
            cannot_come_back: &told.losses,
            call: None,
            status: match done.progress {
                Progress::Ended(state) => state.status().word(),
                Progress::WaitUntil(_) | Progress::Held => "in_progress",
            },
            undo: done.undo.as_ref().map(|undo| format!("u-{}", undo.id)),
            made: done.undo.as_ref().and_then(|undo| undo.made.as_ref()).map(|made| made.id.to_string()),
            differences,
            message: done.message.clone(),
        });
    }
    output::line(&clean(&done.message))?;
    for own in differences {
        output::line(&format!("  {own}"))?;
    }
    Ok(())
}

fn exit(done: &Undone) -> Exit {
    match done.progress {
        Progress::Ended(JournalState::Stuck) => Exit::Failed,
        Progress::Ended(JournalState::Done) => {
            let moved = done.undo.as_ref().is_some_and(|undo| undo.differences.iter().any(|own| own.field != "id"));
            if moved { Exit::Stale } else { Exit::Done }
        }
        Progress::Ended(_) => Exit::Stale,
        Progress::Held | Progress::WaitUntil(_) => Exit::Held,
    }
}
