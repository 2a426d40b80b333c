//! One process of the worker, in miniature: the daemon's own parts (clock guard, slots, ledger, jobs) in the daemon's
//! order, without signals, systemd and real time.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use chrono::TimeDelta;
use costwarden::deliver::mail::Mailer;
use costwarden::domain::plan::Held;
use costwarden::engine::plan::select;
use costwarden::remediate::Halt;
use costwarden::settings::Settings;
use costwarden::worker::clock_guard::{CLOUD_DIFFERENCE, ClockGuard, Reading, Trust};
use costwarden::worker::context::Context;
use costwarden::worker::daemon::{JobReport, Jobs};
use costwarden::worker::jobs::plan::{input, posture};
use costwarden::worker::ledger::Ledger;
use costwarden::worker::nightly::{Loaded, Nightly};
use costwarden::worker::outlets::Outlets;
use costwarden::worker::scanned::Scanned;
use costwarden::worker::schedule::{Job, Schedule};
use costwarden::worker::slots::{self, Verdict};
use costwarden::worker::supervise::Work;

use crate::director::Director;
use crate::judge::{breaker, nights};
use crate::policies;
use crate::ports::{Actor, Reader};
use crate::rng::Rng;

/// A running worker.
pub struct Process {
    pub id: u32,
    pub nightly: Nightly,
    pub schedule: Schedule,
    director: Arc<Director>,
    ledger: Ledger,
    guard: ClockGuard,
    trust: Trust,
    scanned: Scanned,
    cloud_readings: u64,
    asked: bool,
}

/// The context that a process would load now.
pub fn context(director: &Arc<Director>) -> Context {
    let (mode, edition, pace) = director.with(|inner| (inner.book.mode, inner.book.edition, inner.book.pace));
    let scene = &director.scene;
    let mut settings: Settings = scene.settings.clone();
    settings.enforcement.mode = mode;
    settings.enforcement.pace = pace;
    let reader = Reader { director: director.clone(), inner: director.cloud.reader() };
    Context {
        settings: Arc::new(settings),
        rules: policies::of(scene, edition).rules.clone(),
        store: director.store.clone(),
        cloud: Arc::new(reader),
        prices: book(),
        clock: director.wall.clone(),
    }
}

fn book() -> Arc<costwarden::domain::price::PriceBook> {
    static BOOK: std::sync::OnceLock<Arc<costwarden::domain::price::PriceBook>> = std::sync::OnceLock::new();
    BOOK.get_or_init(|| Arc::new(costwarden::cloud::prices::embedded().expect("the price book is built in"))).clone()
}

impl Process {
    /// A process that has done nothing yet; `None` when the state cannot be read.
    pub fn start(director: &Arc<Director>, id: u32) -> Option<Process> {
        let context = context(director);
        let schedule = director.schedule.clone();
        let outlets = Arc::new(Outlets::mail(Mailer::Memory(director.mail.clone())));
        let actor = Actor { director: director.clone(), process: id, inner: director.cloud.actor() };
        let ledger = Ledger::new(director.store.clone());
        let guard = ClockGuard::new(ledger.clock_mark().ok()?);
        let asked = director.clone();
        let halt = Halt::asking(Arc::new(move |point| Box::pin(asked.clone().pass(id, point))));
        let reload = Box::new(|_: &Context| anyhow::bail!("nobody reloads here"));
        let drawn = director.clone();
        let chance = Box::new(move || {
            let moment = drawn.truth.now().timestamp_micros().unsigned_abs();
            Rng::new(drawn.scene.seed ^ moment, "drill").next()
        });
        let nightly = Nightly::new(Loaded { context, outlets }, Arc::new(actor), reload);
        let nightly = nightly.with_halt(halt).with_chance(chance);
        let trust = Trust::Sane;
        let (director, scanned, cloud_readings, asked) = (director.clone(), Scanned::default(), 0, false);
        Some(Process { id, nightly, schedule, director, ledger, guard, trust, scanned, cloud_readings, asked })
    }

    fn dead(&self) -> bool {
        self.director.dead.load(SeqCst)
    }

    /// What the daemon does before its first tick.
    pub async fn boot(&mut self) {
        let _ = self.ledger.close_left_running(self.director.wall.now());
        if self.ledger.seen().ok().flatten().is_none() {
            let _ = self.ledger.set_seen(self.director.wall.now());
        }
        self.director.acting.store(true, SeqCst);
        let recovered = self.nightly.recover(self.work()).await;
        self.director.acting.store(false, SeqCst);
        self.director.tell(|| {
            format!(
                "process {} starts, recovery: {}",
                self.id,
                recovered.as_ref().map_or_else(|error| format!("{error:#}"), |()| "ok".into())
            )
        });
        if let Err(error) = recovered
            && !self.dead()
        {
            self.freeze(&format!("recovery at the start failed: {error:#}"));
        }
    }

    fn freeze(&self, reason: &str) {
        self.director.tell(|| format!("the daemon freezes: {reason}"));
        let _ = self.ledger.freeze(reason, self.director.wall.now());
    }

    fn work(&self) -> Work {
        let work = Work::default();
        self.director.with(|inner| inner.cancel = Some(work.cancel.clone()));
        work
    }

    /// One look at clock and slots, and the work that follows from it.
    pub async fn tick(&mut self) {
        for _ in 0..40 {
            if self.dead() || self.look().await.is_err() {
                break;
            }
            match self.next_slot().await {
                Ok(true) => {}
                _ => break,
            }
        }
        if !self.dead() && self.trust == Trust::Sane {
            if let Err(error) = self.nightly.deliver().await {
                self.director.tell(|| format!("delivery: {error:#}"));
            }
            self.director.note_mail();
        }
    }

    async fn look(&mut self) -> Result<(), ()> {
        let mark = self.ledger.clock_mark().map_err(drop)?;
        self.guard.know(mark);
        let heard = self.reading();
        let alone = Reading { cloud_ahead: None, ..heard };
        let denied = heard.cloud_ahead.is_some_and(|ahead| ahead.abs() > CLOUD_DIFFERENCE);
        let wanted = self.guard.wants_witness(&alone);
        let mut reading = if wanted && !denied { alone } else { heard };
        let mut trust = self.guard.observe(reading);
        if wanted || !self.asked {
            self.asked = true;
            let asked = self.nightly.ask_cloud(self.work()).await;
            self.director.tell(|| format!("the cloud is asked for its time: {}", asked.is_ok()));
            let fresh = self.reading();
            if fresh.cloud_ahead.is_some() {
                reading = fresh;
                trust = self.guard.observe(fresh);
            }
        }
        let before = std::mem::replace(&mut self.trust, trust);
        match self.trust.clone() {
            Trust::Sane if self.guard.mark() < mark => {
                let _ = self.ledger.set_clock_back(reading.wall);
                Ok(())
            }
            Trust::Sane => {
                let _ = self.ledger.raise_clock_mark(reading.wall);
                Ok(())
            }
            Trust::Behind(why) => {
                if !matches!(before, Trust::Behind(_)) {
                    self.freeze(&why);
                }
                Err(())
            }
            Trust::Doubt(_) => Err(()),
        }
    }

    fn reading(&mut self) -> Reading {
        // Each answer is a witness once.
        let heard = self.nightly.cloud_clock().filter(|clock| clock.readings != self.cloud_readings);
        self.cloud_readings = heard.map_or(self.cloud_readings, |clock| clock.readings);
        let monotonic = self.director.truth.now().timestamp_micros().unsigned_abs();
        Reading {
            wall: self.director.wall.now(),
            monotonic: std::time::Duration::from_micros(monotonic),
            cloud_ahead: heard.map(|clock| clock.ahead),
        }
    }

    async fn next_slot(&mut self) -> anyhow::Result<bool> {
        let now = self.director.wall.now();
        let seen = self.ledger.seen()?;
        let known = self.ledger.known(seen.unwrap_or(now), now)?;
        let Some(slot) = slots::due(&self.schedule, &known, now, seen).into_iter().next() else {
            self.ledger.set_seen(now)?;
            return Ok(false);
        };
        let why = match slot.verdict {
            Verdict::Missed(why) => Some(why),
            _ if slot.job == Job::Act => match &self.trust {
                Trust::Behind(why) | Trust::Doubt(why) => Some(why.clone()),
                Trust::Sane => self.scanned.holds().map(str::to_owned),
            },
            _ => None,
        };
        if let Some(why) = why {
            self.director.tell(|| format!("{} missed: {why}", slot.job));
            self.ledger.missed(slot.job, slot.at, &why, now)?;
            return Ok(true);
        }
        if !self.ledger.start(slot.job, slot.at, now)? {
            return Ok(true);
        }
        nights::slot_starts(&self.director, slot.job, slot.at);
        let result = self.run(slot.job, slot.at).await;
        if self.dead() {
            return Ok(false);
        }
        let (ok, message) = match &result {
            Ok(report) => (true, report.message.clone()),
            Err(error) => (false, format!("{error:#}")),
        };
        self.director.tell(|| format!("{} ok={ok}: {message}", slot.job));
        if slot.job == Job::Scan {
            self.scanned = self.scanned.and(result.as_ref().ok().map(|report| report.complete));
        }
        self.ledger.finish(slot.job, slot.at, ok, &message, self.director.wall.now())?;
        Ok(true)
    }

    async fn run(&mut self, job: Job, slot: costwarden::domain::Instant) -> anyhow::Result<JobReport> {
        let director = self.director.clone();
        let before = (job == Job::Scan).then(|| nights::before_scan(&director));
        director.acting.store(job == Job::Act, SeqCst);
        let result = self.nightly.run(job, slot, self.work()).await;
        director.acting.store(false, SeqCst);
        director.sync();
        if !self.dead() {
            match job {
                Job::Scan => nights::after_scan(&director, before.unwrap_or_default(), result.is_ok()),
                Job::Act => {
                    breaker::held_rightly(&director);
                    director.tell(|| {
                        let row = |own: &Held| format!("{:?} of {}: {}", own.act, own.key.id, own.reason);
                        format!("held: {}", held_back(&director).iter().map(row).collect::<Vec<_>>().join("; "))
                    });
                }
                Job::Daily | Job::Weekly => nights::after_report(&director, &self.nightly.context()),
            }
        }
        result
    }

    /// The instant of the next slot after now, by the machine's clock; the next minute while that one is in doubt.
    pub fn next_look(&self) -> Option<costwarden::domain::Instant> {
        let now = self.director.wall.now();
        if self.trust != Trust::Sane {
            return Some(now + TimeDelta::minutes(1));
        }
        self.schedule.next(now).map(|(_, slot)| slot)
    }

    /// Settings and policies are read again, as by SIGHUP.
    pub fn reload(&self) {
        self.nightly.replace(context(&self.director));
    }
}

/// What a plan of now would hold, and why; for who reads the story. Reads the state alone and changes nothing.
pub fn held_back(director: &Arc<Director>) -> Vec<Held> {
    let cx = context(director);
    let (Ok(findings), Ok(posture)) = (cx.store.findings_open(), posture(&cx)) else { return Vec::new() };
    select(&input(&cx, &posture, &findings, false)).held
}

/// How soon a killed worker is started again.
pub const RESTART: TimeDelta = TimeDelta::seconds(5);
