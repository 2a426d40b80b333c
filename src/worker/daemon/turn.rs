//! The daemon's loop: look at the clock and the slots, run what is due, listen, look again.
//!
//! Only [`super::Daemon::run`] makes one. One thing happens at a time; while a job runs, the loop goes on listening.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant as Monotonic, MissedTickBehavior, interval, sleep_until};

use super::{Daemon, DaemonEnd};
use crate::worker::clock_guard::{CLOUD_DIFFERENCE, ClockGuard, Reading, Trust};
use crate::worker::scanned::Scanned;
use crate::worker::schedule::Job;
use crate::worker::signals::Event;
use crate::worker::slots::{self, DueSlot, Verdict};
use crate::worker::supervise::{End, Limits, Look, Running, Work};

/// The running loop.
pub(super) struct Loop {
    parts: Daemon,
    guard: ClockGuard,
    trust: Trust,
    scanned: Scanned,
    /// SIGHUP came.
    reload: bool,
    end: Option<DaemonEnd>,
    last_tick: Monotonic,
    /// Answers of the cloud that were compared with the clock.
    cloud_readings: u64,
    /// The cloud was asked for its time since this process started.
    asked: bool,
    reload_error: Option<String>,
    tick_error: Option<String>,
    /// A freeze that could not be written holds in memory.
    unwritten_freeze: Option<String>,
}

impl Loop {
    /// A loop that has done nothing yet.
    ///
    /// # Errors
    /// A state that cannot be read.
    pub(super) fn new(parts: Daemon) -> anyhow::Result<Loop> {
        Ok(Loop {
            guard: ClockGuard::new(parts.ledger.clock_mark()?),
            parts,
            trust: Trust::Sane,
            scanned: Scanned::default(),
            reload: false,
            end: None,
            last_tick: Monotonic::now(),
            cloud_readings: 0,
            asked: false,
            reload_error: None,
            tick_error: None,
            unwritten_freeze: None,
        })
    }

    /// From READY to STOPPING.
    ///
    /// # Errors
    /// A state that cannot be read before the first tick; later errors are tried again.
    pub(super) async fn run(mut self) -> anyhow::Result<DaemonEnd> {
        self.parts.notifier.ready("recovering");
        self.recover().await?;
        tracing::info!(status = self.status(), "ready");
        self.turn().await;
        let end = self.end.unwrap_or(DaemonEnd::NoEvents);
        self.parts.notifier.stopping(&end.to_string());
        Ok(end)
    }

    async fn recover(&mut self) -> anyhow::Result<()> {
        let left = self.parts.ledger.close_left_running(self.parts.clock.now())?;
        if left > 0 {
            tracing::warn!(left, "slots were left running by a process that ended; they are not run again");
        }
        let jobs = self.parts.jobs.clone();
        match self.supervise(None, self.long(), |work| async move { jobs.recover(work).await }).await {
            End::Finished(Ok(())) => {}
            // What could not be recovered is still open; nothing new may act beside it.
            End::Finished(Err(error)) => self.freeze(&format!("recovery at the start failed: {error:#}")).await,
            other => self.broke("recovery", other).await,
        }
        Ok(())
    }

    /// The loop proper: one thing at a time, until something says stop.
    async fn turn(&mut self) {
        if self.end.is_none() {
            self.tick().await;
        }
        let mut beat = interval(self.parts.timings.beat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.end.is_none() {
            if std::mem::take(&mut self.reload) {
                self.read_again().await;
            }
            tokio::select! {
                event = self.parts.events.recv() => match event {
                    Some(Event::Tick) => self.tick().await,
                    Some(Event::Reload) => self.reload = true,
                    Some(Event::Stop(signal)) => self.end = Some(DaemonEnd::Stopped(signal)),
                    None => self.end = Some(DaemonEnd::NoEvents),
                },
                () = sleep_until(self.last_tick + self.parts.timings.late_tick) => {
                    tracing::warn!("the minute wake-up did not come; looking without it");
                    self.tick().await;
                }
                _ = beat.tick() => self.idle(),
            }
        }
    }

    /// One look at clock and slots, and the work that follows from it.
    async fn tick(&mut self) {
        let looked = self.look().await;
        if let Err(error) = &looked {
            tracing::error!(error = format!("{error:#}"), "this tick could not be handled; the next one tries again");
        }
        self.tick_error = looked.err().map(|error| format!("{error:#}"));
        self.last_tick = Monotonic::now();
        self.show_status();
        self.parts.notifier.alive();
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        if self.parts.lock.as_ref().is_some_and(|lock| !lock.still_ours()) {
            self.end = Some(DaemonEnd::LockLost);
            return Ok(());
        }
        loop {
            self.read_clock().await?;
            if let Trust::Doubt(why) | Trust::Behind(why) = &self.trust {
                // By this clock nothing has come, and so nothing was missed.
                tracing::warn!(why, "clock in doubt: nothing is started");
                return Ok(());
            }
            let now = self.parts.clock.now();
            // What was handled stays handled while the clock is corrected by a few minutes.
            let seen = self.parts.ledger.seen()?;
            let known = self.parts.ledger.known(seen.unwrap_or(now), now)?;
            let Some(slot) = slots::due(&self.parts.schedule, &known, now, seen).into_iter().next() else {
                self.parts.ledger.set_seen(now)?;
                break;
            };
            self.handle(slot).await?;
            if self.end.is_some() {
                return Ok(());
            }
        }
        let jobs = self.parts.jobs.clone();
        match self.supervise(None, self.short(), |work| async move { jobs.deliver_outbox(work).await }).await {
            End::Finished(Ok(())) => {}
            End::Finished(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "the outbox could not be worked through");
            }
            other => self.broke("delivery", other).await,
        }
        Ok(())
    }

    /// One slot: recorded as missed; or recorded as started, run, and recorded as ended.
    async fn handle(&mut self, slot: DueSlot) -> anyhow::Result<()> {
        let DueSlot { job, at, verdict } = slot;
        let now = self.parts.clock.now();
        let made_up = verdict == Verdict::MakeUp;
        let why = match verdict {
            Verdict::Missed(why) => Some(why),
            _ if job == Job::Act => self.acts_held_because(),
            _ => None,
        };
        if let Some(why) = why {
            tracing::warn!(%job, slot = %at, why, "slot not run");
            return self.parts.ledger.missed(job, at, &why, now);
        }
        if !self.parts.ledger.start(job, at, now)? {
            return Ok(());
        }
        let shown = format!("{job} of {}", self.parts.schedule.local_text(at));
        tracing::info!(%job, slot = %at, made_up, "slot starts");
        self.parts.notifier.status(&format!("running: {shown}"));
        let limits = if matches!(job, Job::Scan | Job::Act) { self.long() } else { self.short() };
        let jobs = self.parts.jobs.clone();
        let end = self.supervise(Some(job), limits, move |work| async move { jobs.run(job, at, work).await }).await;
        let (ok, message) = match &end {
            End::Finished(Ok(report)) => (true, report.message.clone()),
            End::Finished(Err(error)) => (false, format!("{error:#}")),
            End::Panicked(text) => (false, format!("panicked: {text}")),
            End::Hung { why, .. } => (false, format!("put down: {why}")),
        };
        if job == Job::Scan {
            self.scanned = self.scanned.and(match &end {
                End::Finished(Ok(report)) => Some(report.complete),
                _ => None,
            });
        }
        // First the freeze, then the books.
        match end {
            End::Finished(Ok(_)) => {
                tracing::info!(%job, slot = %at, message, "slot done");
            }
            End::Finished(Err(_)) => {
                tracing::error!(%job, slot = %at, message, "slot failed");
                self.alert(format!("{shown} failed"), message.clone()).await;
            }
            other => self.broke(job.word(), other).await,
        }
        self.parts.ledger.finish(job, at, ok, &message, self.parts.clock.now())
    }

    /// Why the daemon itself starts no act now; modes, arming, windows and freezes are the job's own guards.
    fn acts_held_because(&self) -> Option<String> {
        match &self.trust {
            Trust::Behind(why) | Trust::Doubt(why) => Some(why.clone()),
            Trust::Sane => self.scanned.holds().map(str::to_owned).or_else(|| self.unwritten_freeze.clone()),
        }
    }

    /// Compares the clocks, and asks for the cloud's where ours cannot be believed without it; freezes when ours is
    /// behind its own past and nobody says which of the two is right.
    async fn read_clock(&mut self) -> anyhow::Result<()> {
        let mark = self.parts.ledger.clock_mark()?;
        self.guard.know(mark);
        let (mut reading, wanted) = self.careful_reading();
        let mut trust = self.guard.observe(reading);
        if wanted || !self.asked {
            self.asked = true;
            self.ask_cloud().await;
            let fresh = self.reading();
            if fresh.cloud_ahead.is_some() {
                reading = fresh;
                trust = self.guard.observe(fresh);
            }
        }
        let before = std::mem::replace(&mut self.trust, trust);
        match self.trust.clone() {
            Trust::Sane if self.guard.mark() < mark => {
                tracing::warn!(now = %reading.wall, believed = ?mark, "the clock had been ahead; the cloud says so");
                self.parts.ledger.set_clock_back(reading.wall)?;
            }
            Trust::Sane => self.parts.ledger.raise_clock_mark(reading.wall)?,
            Trust::Behind(why) if !matches!(before, Trust::Behind(_)) => self.freeze(&why).await,
            Trust::Behind(_) | Trust::Doubt(_) => {}
        }
        Ok(())
    }

    /// A look at the clock in the middle of an act, in which nobody is asked: a doubt is enough to wind it down.
    fn clock_turned_doubtful(&mut self) -> bool {
        let (reading, _) = self.careful_reading();
        self.trust = self.guard.observe(reading);
        self.trust != Trust::Sane
    }

    /// A reading, and whether the cloud should be asked about it: what it said before the clock moved confirms nothing
    /// after that and is left out; what it denied stays denied.
    fn careful_reading(&mut self) -> (Reading, bool) {
        let heard = self.reading();
        let alone = Reading { cloud_ahead: None, ..heard };
        let denied = heard.cloud_ahead.is_some_and(|ahead| ahead.abs() > CLOUD_DIFFERENCE);
        let wanted = self.guard.wants_witness(&alone);
        (if wanted && !denied { alone } else { heard }, wanted)
    }

    /// Has the cloud tell its time; that it does not answer is told in the log, and leaves the doubt.
    async fn ask_cloud(&mut self) {
        let jobs = self.parts.jobs.clone();
        match self.wait(Running::start(self.short(), |work| async move { jobs.ask_cloud(work).await })).await {
            End::Finished(Ok(())) => {}
            End::Finished(Err(error)) => {
                tracing::warn!(error = format!("{error:#}"), "the cloud could not be asked for its time");
            }
            other => tracing::warn!(end = ?other, "the cloud could not be asked for its time"),
        }
    }

    fn reading(&mut self) -> Reading {
        // Each answer is a witness once: what the cloud said before the clock was set says nothing about it now.
        let heard = self.parts.jobs.cloud_clock().filter(|clock| clock.readings != self.cloud_readings);
        self.cloud_readings = heard.map_or(self.cloud_readings, |clock| clock.readings);
        let clock = &self.parts.clock;
        let monotonic = (self.parts.monotonic)(clock);
        Reading { wall: clock.now(), monotonic, cloud_ahead: heard.map(|clock| clock.ahead) }
    }

    /// Runs work to its end while the loop goes on listening: feeds the watchdog from the work's beats, puts hung
    /// work down, passes a stop on, keeps a reload for later, and winds an act down when the clock becomes doubtful.
    async fn supervise<T, F>(&mut self, job: Option<Job>, limits: Limits, make: impl FnOnce(Work) -> F) -> End<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = Running::start(limits, make);
        let mut beat = interval(self.parts.timings.beat.min(limits.stall / 2));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listening = true;
        loop {
            if self.end.is_some() {
                running.cancel(self.parts.timings.stop_grace);
            }
            tokio::select! {
                biased;
                end = running.ended() => {
                    self.parts.notifier.alive();
                    return end;
                }
                _ = beat.tick() => match running.look() {
                    Look::Moved => self.parts.notifier.alive(),
                    Look::Quiet => {}
                    Look::Hung(why) => return running.put_down(why).await,
                },
                event = self.parts.events.recv(), if listening => match event {
                    Some(Event::Stop(signal)) => {
                        tracing::info!(signal = signal.name(), "stopping; the running step may finish");
                        self.end.get_or_insert(DaemonEnd::Stopped(signal));
                    }
                    Some(Event::Reload) => self.reload = true,
                    Some(Event::Tick) if job == Some(Job::Act) && self.clock_turned_doubtful() => {
                        tracing::warn!("clock in doubt: the act winds down");
                        running.cancel(self.parts.timings.stop_grace);
                    }
                    Some(Event::Tick) => {}
                    None => listening = false,
                },
            }
        }
    }

    /// A job panicked or hung: freeze, tell a person, go on; or end, when it cannot be ended.
    async fn broke<T>(&mut self, what: &str, end: End<T>) {
        let stopping = matches!(self.end, Some(DaemonEnd::Stopped(_)));
        let (reason, gone) = match end {
            End::Finished(_) => return,
            End::Panicked(text) => (format!("{what} panicked: {text}"), true),
            // Cut off because the daemon stops: no fault of the job, and the journal knows its state.
            End::Hung { why, gone: true } if stopping => return tracing::warn!(what, why, "cut off by the stop"),
            End::Hung { why, gone } => (format!("{what} hung: {why}"), gone),
        };
        self.freeze(&reason).await;
        if !gone {
            self.end = Some(DaemonEnd::Stuck(what.to_owned()));
        }
    }

    /// Freezes acts in the state, or in memory where that fails, and tells a person.
    async fn freeze(&mut self, reason: &str) {
        tracing::error!(reason, "acts are frozen");
        if let Err(error) = self.parts.ledger.freeze(reason, self.parts.clock.now()) {
            tracing::error!(error = format!("{error:#}"), "the freeze could not be written; it holds in this process");
            self.unwritten_freeze = Some(format!("frozen: {reason}"));
        }
        self.alert("acts are frozen".to_owned(), reason.to_owned()).await;
    }

    /// Queues an alert; when that fails too, the log has it.
    async fn alert(&mut self, subject: String, text: String) {
        let jobs = self.parts.jobs.clone();
        let shown = subject.clone();
        let running = Running::start(self.short(), |_| async move { jobs.alert(subject, text).await });
        match self.wait(running).await {
            End::Finished(Ok(())) => {}
            other => tracing::error!(subject = shown, end = ?other, "an alert could not be queued"),
        }
    }

    /// SIGHUP, between two jobs.
    async fn read_again(&mut self) {
        self.parts.notifier.reloading();
        let jobs = self.parts.jobs.clone();
        match self.wait(Running::start(self.short(), |_| async move { jobs.reload() })).await {
            End::Finished(Ok(schedule)) => {
                self.parts.schedule = schedule;
                self.reload_error = None;
                tracing::info!("settings and policies read again");
            }
            End::Finished(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "settings and policies not taken; the old ones hold");
                self.reload_error = Some(format!("{error:#}"));
            }
            other => self.broke("reloading", other).await,
        }
        self.parts.notifier.ready(&self.status());
    }

    /// Waits for short work; events wait in their channel.
    async fn wait<T: Send + 'static>(&mut self, mut running: Running<T>) -> End<T> {
        let mut beat = interval(self.parts.timings.beat.min(self.parts.timings.stall / 2));
        loop {
            tokio::select! {
                biased;
                end = running.ended() => return end,
                _ = beat.tick() => if let Look::Hung(why) = running.look() {
                    return running.put_down(why).await;
                },
            }
        }
    }

    /// A sign of life while nothing is to be done: the loop turns and the state answers.
    fn idle(&mut self) {
        if let Err(error) = self.parts.ledger.frozen() {
            tracing::error!(error = format!("{error:#}"), "the state does not answer");
            self.tick_error = Some(format!("{error:#}"));
        }
        self.show_status();
        self.parts.notifier.alive();
    }

    fn show_status(&self) {
        self.parts.notifier.status(&self.status());
    }

    /// One line: what runs next, and what is wrong.
    fn status(&self) -> String {
        let next = self.parts.schedule.next(self.parts.clock.now());
        let mut parts = vec![match next {
            Some((job, slot)) => format!("next: {job} {}", self.parts.schedule.local_text(slot)),
            None => "nothing scheduled".to_owned(),
        }];
        if let Trust::Doubt(why) | Trust::Behind(why) = &self.trust {
            parts.push(format!("clock in doubt: {why}"));
        }
        match (self.parts.ledger.frozen(), &self.unwritten_freeze) {
            (Ok(Some(freeze)), _) => parts.push(format!("FROZEN: {}", freeze.reason)),
            (_, Some(why)) => parts.push(why.clone()),
            _ => {}
        }
        if let Some(error) = &self.reload_error {
            parts.push(format!("old settings hold, the new ones were not taken: {error}"));
        }
        if let Some(error) = &self.tick_error {
            parts.push(format!("trouble with the state: {error}"));
        }
        parts.join("; ")
    }

    fn long(&self) -> Limits {
        self.limits(self.parts.timings.long_job)
    }

    fn short(&self) -> Limits {
        self.limits(self.parts.timings.short_job)
    }

    fn limits(&self, total: Duration) -> Limits {
        Limits { total, stall: self.parts.timings.stall, wind_down: self.parts.timings.wind_down }
    }
}
