//! Plays one world from its start to its end and judges it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use chrono::TimeDelta;
use costwarden::deliver::mail::Mailer;
use costwarden::domain::Instant;
use costwarden::domain::mode::Mode;
use costwarden::store::Store;
use costwarden::worker::schedule::Job;

use crate::director::Director;
use crate::faults::{Deed, What};
use crate::judge::ends;
use crate::kinds::Kind;
use crate::people;
use crate::process::{Process, RESTART};
use crate::rng::Rng;
use crate::scene::{self, Scene};
use crate::tally::Tally;

/// The id of every world's state.
pub const STATE_ID: &str = "st-00000000000ca317";

/// What happens between jobs.
#[derive(Clone, Copy, Debug)]
enum Timed {
    Fault(Kind, Deed),
    Round,
    /// Between slots the outbox is worked through.
    Tick,
    MailWorks,
    Mode,
    Up,
}

/// Plays the world of a seed. `only` keeps some of its faults.
pub fn play(seed: u64, only: Option<&[usize]>) -> Tally {
    played(seed, only, false)
}

/// The same with its story on standard output.
pub fn play_aloud(seed: u64, only: Option<&[usize]>) -> Tally {
    played(seed, only, true)
}

fn played(seed: u64, only: Option<&[usize]>, told: bool) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let scene = Arc::new(scene::make(seed, only));
    runtime.block_on(async {
        let director = stage(scene);
        director.told.store(told, SeqCst);
        Player::new(director.clone()).play_on().await;
        ends::judge_days(&director);
        finish(&director)
    })
}

/// An empty state, copied from one that was migrated once. Its id is the same in every process: names of backups
/// carry it, and a seed tells the same story everywhere.
fn fresh_state() -> Store {
    static TEMPLATE: std::sync::OnceLock<std::sync::Mutex<Store>> = std::sync::OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let store = Store::in_memory().expect("a state in memory");
        store.set_meta("state_id", STATE_ID).expect("a state that can be written");
        std::sync::Mutex::new(store)
    });
    template.lock().expect("nobody panics with it").throwaway_copy().expect("a copy in memory")
}

/// A director at the start of a scene.
pub fn stage(scene: Arc<Scene>) -> Arc<Director> {
    let (_, memory) = Mailer::memory("costwarden@example.com").expect("a good sender");
    Director::new(scene, fresh_state(), memory)
}

/// What the world brought.
pub fn finish(director: &Arc<Director>) -> Tally {
    let hits = director.cloud.fault_hits();
    let planned = director.scene.planned.iter().filter(|one| matches!(one.what, What::Cloud(_)));
    let kinds: Vec<Kind> = planned.map(|one| one.kind).collect();
    let calls = director.cloud.calls();
    director.with(|inner| {
        for (kind, hits) in kinds.into_iter().zip(hits).filter(|(_, hits)| *hits > 0) {
            inner.tally.reach(kind, hits);
        }
        let changed = calls.iter().filter(|call| call.effective).count();
        if director.scene.lag > TimeDelta::zero() && changed > 0 {
            inner.tally.reach(Kind::Lag, changed as u64);
        }
        for call in &calls {
            if call.mutating() {
                inner.tally.stir(&format!("{} {} {:?} {}", call.at, call.operation, call.target, call.effective));
            }
            let drilled = call.target.as_ref().is_some_and(|id| inner.book.drill_volumes.contains_key(id));
            if call.mutating() && call.effective && !drilled {
                inner.tally.did(&call.operation, 1);
            }
        }
        crate::hazards::note(&director.scene, &mut inner.tally);
        std::mem::take(&mut inner.tally)
    })
}

/// Plays a world.
pub struct Player {
    pub director: Arc<Director>,
    process: Option<Process>,
    processes: u32,
    timed: BTreeMap<(Instant, usize), Timed>,
    laters: usize,
    rng: Rng,
}

impl Player {
    pub fn new(director: Arc<Director>) -> Player {
        let scene = director.scene.clone();
        let schedule = director.schedule.clone();
        let mut timed = BTreeMap::new();
        for slot in schedule.slots_between(Job::Act, scene.world.start, scene.end) {
            timed.insert((slot - TimeDelta::minutes(40), timed.len()), Timed::Round);
        }
        for day in 0..(scene.end - scene.world.start).num_days() {
            let at = scene.world.start + TimeDelta::days(day) + TimeDelta::hours(3);
            timed.insert((at, timed.len()), Timed::Tick);
        }
        for planned in &scene.planned {
            if let What::Time(at, deed) = planned.what {
                timed.insert((at, timed.len()), Timed::Fault(planned.kind, deed));
            }
        }
        let rng = Rng::new(scene.seed, "people");
        Player { director, process: None, processes: 0, timed, laters: 0, rng }
    }

    /// From the start to the end.
    pub async fn play_on(&mut self) {
        people::arm(&self.director);
        self.start().await;
        let end = self.director.scene.end;
        while self.step(end).await {}
    }

    /// One event; false at the end.
    pub async fn step(&mut self, end: Instant) -> bool {
        self.director.sync();
        let now = self.director.truth.now();
        let slot = self.process.as_ref().and_then(Process::next_look).map(|shown| self.director.truly(shown));
        let deed = self.timed.keys().next().map(|(at, _)| *at);
        let Some(next) = [slot, deed].into_iter().flatten().min().filter(|next| *next < end) else {
            self.director.pass_to(end);
            return false;
        };
        self.director.pass_to(next.max(now));
        if deed.is_some_and(|at| at <= next) {
            if let Some((_, timed)) = self.timed.pop_first() {
                self.happen(timed).await;
            }
        } else {
            self.tick().await;
        }
        true
    }

    async fn happen(&mut self, timed: Timed) {
        let director = self.director.clone();
        let now = director.truth.now();
        match timed {
            Timed::Round => people::round(&director, &mut self.rng),
            Timed::Tick => self.tick().await,
            Timed::MailWorks => director.answer_mail(None),
            Timed::Mode => {
                let edition = director.with(|inner| inner.book.edition);
                people::choose(&director, Mode::Enforce, edition);
                self.reload();
            }
            Timed::Up => self.start().await,
            Timed::Fault(kind, deed) => {
                if self.fault(deed, now).await {
                    director.reached(kind);
                } else if deed == Deed::TakeBack && now + TimeDelta::days(1) < director.scene.calm_from {
                    // Nothing was done yet that could be taken back.
                    self.later(now + TimeDelta::days(1), Timed::Fault(kind, deed));
                } else if deed == Deed::Undo {
                    // Nothing was stopped yet. That its owner starts it again is no fault that calm days would be free of.
                    self.laters += 1;
                    self.timed.insert((now + TimeDelta::days(1), 10_000 + self.laters), Timed::Fault(kind, deed));
                }
            }
        }
        self.after_a_death().await;
    }

    async fn fault(&mut self, deed: Deed, now: Instant) -> bool {
        let director = self.director.clone();
        match deed {
            Deed::ByHand => people::by_hand(&director, self.processes + 2_000).await,
            Deed::TakeBack => people::take_back(&director, self.processes + 3_000).await,
            Deed::DryRun => people::dry_run(&director).await,
            Deed::JumpAndBack(seconds, minutes) => {
                director.jump(TimeDelta::seconds(seconds));
                self.minutes(minutes).await;
                director.set_right();
                self.minutes(3).await;
                true
            }
            Deed::Drift(seconds) => {
                for _ in 0..60 {
                    director.jump(TimeDelta::seconds(seconds));
                    self.minutes(1).await;
                }
                director.set_right();
                self.minutes(3).await;
                seconds != 0
            }
            Deed::EditPolicies(hours) => {
                let mode = director.with(|inner| {
                    inner.book.arm_not_before = Some(now + TimeDelta::hours(hours));
                    inner.book.mode
                });
                people::choose(&director, mode, 1);
                self.reload();
                true
            }
            Deed::RollBack => {
                let (mode, edition) = director.with(|inner| (inner.book.mode, inner.book.edition));
                people::choose(&director, mode, 0);
                self.reload();
                edition == 1
            }
            Deed::Observe(hours) => {
                let edition = director.with(|inner| inner.book.edition);
                people::choose(&director, Mode::Observe, edition);
                self.reload();
                self.later(now + TimeDelta::hours(hours), Timed::Mode);
                true
            }
            Deed::Mail(how, hours) => {
                director.answer_mail(Some(how));
                self.later(now + TimeDelta::hours(hours), Timed::MailWorks);
                true
            }
            Deed::Down(hours) => {
                self.process = None;
                self.later(now + TimeDelta::hours(hours), Timed::Up);
                true
            }
            other => people::person(&director, other),
        }
    }

    /// Whatever somebody began is over before the calm days.
    fn later(&mut self, at: Instant, timed: Timed) {
        self.laters += 1;
        self.timed.insert((at.min(self.director.scene.calm_from), 10_000 + self.laters), timed);
    }

    async fn minutes(&mut self, count: i64) {
        for _ in 0..count {
            self.director.pass_to(self.director.truth.now() + TimeDelta::minutes(1));
            self.tick().await;
        }
    }

    async fn tick(&mut self) {
        if let Some(process) = &mut self.process {
            process.tick().await;
        }
        self.after_a_death().await;
    }

    fn reload(&self) {
        if let Some(process) = &self.process {
            process.reload();
        }
    }

    /// A killed process gets a successor, as systemd does it; so does one that was asked to stop.
    async fn after_a_death(&mut self) {
        for _ in 0..5 {
            let stopping = self.director.with(|inner| std::mem::take(&mut inner.book.stopping));
            if !self.director.dead.load(SeqCst) && !stopping {
                return;
            }
            self.process = None;
            self.director.acting.store(false, SeqCst);
            self.director.dead.store(false, SeqCst);
            self.director.pass_to(self.director.truth.now() + RESTART);
            self.start().await;
        }
        self.director.dead.store(false, SeqCst);
    }

    async fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.processes += 1;
        self.process = Process::start(&self.director, self.processes);
        if let Some(process) = &mut self.process {
            process.boot().await;
        }
    }
}
