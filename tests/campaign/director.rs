//! One running world: the account, the state, the clocks, and everything that anybody but the program knows.
//!
//! The ports, the crash points and the disk ask here what happens next; the judge asks here what is true. Locks are held
//! for a moment only and never while the state or the account is asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use costwarden::clock::Clock;
use costwarden::cloud::CloudClock;
use costwarden::cloud::sim::SimCloud;
use costwarden::deliver::Outcome;
use costwarden::deliver::mail::MemoryMailer;
use costwarden::domain::Instant;
use costwarden::domain::place::Partition;
use costwarden::domain::resource::Resource;
use costwarden::store::{Store, Trouble};
use costwarden::worker::schedule::Schedule;

use crate::faults::{Deed, Mail, What};
use crate::judge::book::Book;
use crate::kinds::Kind;
use crate::scene::Scene;
use crate::tally::{Tally, Violation};

/// A running world.
pub struct Director {
    pub scene: Arc<Scene>,
    pub schedule: Schedule,
    pub cloud: SimCloud,
    pub store: Arc<Store>,
    pub mail: MemoryMailer,
    /// What the time really is.
    pub truth: Clock,
    /// What the machine's clock says.
    pub wall: Clock,
    pub dead: AtomicBool,
    /// A second worker runs inside a point of the first.
    pub nested: AtomicBool,
    /// Somebody reads along.
    pub told: AtomicBool,
    /// An acting job runs.
    pub acting: AtomicBool,
    skew: AtomicI64,
    passes: AtomicU32,
    act_writes: AtomicU32,
    all_writes: AtomicU32,
    broken_writes: Mutex<Vec<(bool, u32, Trouble, Kind)>>,
    inner: Mutex<Inner>,
}

/// Something that happens while the program is at a point.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    pub pass: u32,
    pub kind: Kind,
    pub deed: Deed,
    pub tries: u32,
}

/// Is told each point that is passed, before anything else happens there; true kills the process.
pub type Witness = dyn Fn(&Director, &str) -> bool + Send + Sync;

/// How often a deed is tried that needs something which is not there yet.
const TRIES: u32 = 40;

/// What changes.
pub struct Inner {
    /// What happens at which pass; what cannot happen there is tried at the next ones, so many times more.
    pub gaps: Vec<Gap>,
    /// The successor of a killed process dies at its n-th point.
    pub again: Option<(u32, u32)>,
    pub book: Book,
    pub tally: Tally,
    /// A scan reads. What an act lists beside its own resource concludes nothing.
    pub scanning: bool,
    /// Partitions of the last scan, and whether its reads met an error.
    pub broken_reads: BTreeMap<Partition, bool>,
    /// Resources as they were when an act on them was claimed, by row.
    pub claimed: BTreeMap<i64, Resource>,
    pub point: String,
    /// Points passed in the present job, when somebody wants to know.
    pub trace: Option<Vec<String>>,
    /// The cloud's clock beside the machine's, at the last answer.
    pub heard: Option<CloudClock>,
    pub cancel: Option<tokio_util::sync::CancellationToken>,
    /// What a series lets happen at points that it knows by their names.
    pub witness: Option<Arc<Witness>>,
}

impl Director {
    pub fn new(scene: Arc<Scene>, store: Store, mail: MemoryMailer) -> Arc<Director> {
        let truth = Clock::virtual_at(scene.world.start);
        let mut world = scene.world.clone();
        world.faults = scene
            .planned
            .iter()
            .filter_map(|planned| match &planned.what {
                What::Cloud(fault) => Some(fault.clone()),
                _ => None,
            })
            .collect();
        let cloud = SimCloud::new(world, truth.clone()).expect("the generator makes sound worlds");
        let gap = |planned: &crate::faults::Planned| match planned.what {
            What::Gap(pass, deed) => Some(Gap { pass, kind: planned.kind, deed, tries: TRIES }),
            _ => None,
        };
        let write = |planned: &crate::faults::Planned| match planned.what {
            What::Write(number, trouble) => Some((true, number, trouble, planned.kind)),
            What::AnyWrite(number, trouble) => Some((false, number, trouble, planned.kind)),
            _ => None,
        };
        let schedule = Schedule::new(&scene.settings.schedule, scene.settings.zone).expect("good patterns");
        let director = Director {
            schedule,
            cloud,
            store: Arc::new(store),
            mail,
            wall: Clock::virtual_at(scene.world.start),
            truth,
            dead: AtomicBool::new(false),
            nested: AtomicBool::new(false),
            told: AtomicBool::new(false),
            acting: AtomicBool::new(false),
            skew: AtomicI64::new(0),
            passes: AtomicU32::new(0),
            act_writes: AtomicU32::new(0),
            all_writes: AtomicU32::new(0),
            broken_writes: Mutex::new(scene.planned.iter().filter_map(write).collect()),
            inner: Mutex::new(Inner {
                gaps: scene.planned.iter().filter_map(gap).collect(),
                again: None,
                book: Book::of(&scene),
                tally: Tally { worlds: 1, hash: 0xcbf2_9ce4_8422_2325, ..Tally::default() },
                scanning: false,
                broken_reads: BTreeMap::new(),
                claimed: BTreeMap::new(),
                point: String::new(),
                trace: None,
                heard: None,
                cancel: None,
                witness: None,
            }),
            scene,
        };
        let director = Arc::new(director);
        let weak = Arc::downgrade(&director);
        director.store.watch(Some(Arc::new(move |write| weak.upgrade()?.trouble(write))));
        director
    }

    /// Looks at or changes what is known; the state and the account must not be asked meanwhile.
    pub fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn violated(&self, invariant: &'static str, what: String) {
        let seed = self.scene.seed;
        let at = self.truth.now();
        self.tell(|| format!("VIOLATED {invariant}: {what}"));
        self.with(|inner| {
            let point = inner.point.clone();
            inner.tally.violations.push(Violation { invariant, seed, what: format!("{at} ({point}) {what}") });
        });
    }

    /// Notes that an invariant had something to judge, and what it found.
    pub fn judge(&self, invariant: &'static str, broken: Option<String>) {
        self.with(|inner| inner.tally.judge(invariant));
        if let Some(what) = broken {
            self.violated(invariant, what);
        }
    }

    /// A line of the story, where somebody replays it.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if self.told.load(SeqCst) {
            println!("{}  {}", self.truth.now().format("%Y-%m-%d %H:%M:%S"), line());
        }
    }

    pub fn reached(&self, kind: Kind) {
        self.tell(|| format!("fault: {}", kind.word()));
        self.with(|inner| inner.tally.reach(kind, 1));
    }

    // Clocks.

    /// Lets the truth follow what the program waited for on its own clock.
    pub fn sync(&self) {
        self.truth.advance_to(self.wall.now() - TimeDelta::microseconds(self.skew.load(SeqCst)));
    }

    /// Lets time pass for everybody.
    pub fn pass_to(&self, at: Instant) {
        self.sync();
        self.truth.advance_to(at);
        self.wall.advance_to(at + TimeDelta::microseconds(self.skew.load(SeqCst)));
    }

    /// The wall clock jumps.
    pub fn jump(&self, by: TimeDelta) {
        self.sync();
        let micros = by.num_microseconds().unwrap_or(0);
        self.skew.fetch_add(micros, SeqCst);
        if let Clock::Virtual(wall) = &self.wall {
            wall.fetch_add(micros, SeqCst);
        }
        let now = self.truth.now();
        self.with(|inner| inner.book.jumped_at = Some(now));
    }

    /// The wall clock is right again.
    pub fn set_right(&self) {
        let skew = self.skew.load(SeqCst);
        if skew != 0 {
            self.jump(TimeDelta::microseconds(-skew));
        }
    }

    /// An answer of the cloud carries its date.
    pub fn hear(&self) {
        let ahead = -self.skew();
        self.with(|inner| {
            let readings = inner.heard.map_or(1, |clock| clock.readings + 1);
            inner.heard = Some(CloudClock { ahead, readings });
        });
    }

    pub fn skew(&self) -> TimeDelta {
        TimeDelta::microseconds(self.skew.load(SeqCst))
    }

    /// When the machine's clock will really show an instant.
    pub fn truly(&self, shown: Instant) -> Instant {
        shown - self.skew()
    }

    /// The days at the end in which nothing goes wrong any more.
    pub fn calm(&self) -> bool {
        self.truth.now() >= self.scene.calm_from
    }

    // The disk.

    fn trouble(&self, write: bool) -> Option<Trouble> {
        if self.dead.load(SeqCst) {
            return Some(Trouble::Dead);
        }
        if !write || self.calm() {
            return None;
        }
        let all = self.all_writes.fetch_add(1, SeqCst) + 1;
        let acting = self.acting.load(SeqCst);
        let in_act = if acting { self.act_writes.fetch_add(1, SeqCst) + 1 } else { 0 };
        let mut broken = self.broken_writes.lock().unwrap_or_else(PoisonError::into_inner);
        let index = broken.iter().position(|(act, number, _, _)| *number == if *act { in_act } else { all })?;
        let (_, _, trouble, kind) = broken.remove(index);
        drop(broken);
        self.reached(kind);
        if trouble == Trouble::Dead {
            self.dead.store(true, SeqCst);
        }
        Some(trouble)
    }

    /// The process dies at a write: the next one when `after` is 0.
    pub fn die_at_write(&self, after: u32) {
        let number = self.all_writes.load(SeqCst) + after + 1;
        let mut broken = self.broken_writes.lock().unwrap_or_else(PoisonError::into_inner);
        broken.push((false, number, Trouble::Dead, Kind::CrashWrite));
    }

    // Crash points.

    /// Points passed so far.
    pub fn passes(&self) -> u32 {
        self.passes.load(SeqCst)
    }

    /// The program passes a point; true kills it.
    pub async fn pass(self: Arc<Self>, process: u32, point: String) -> bool {
        self.sync();
        if self.dead.load(SeqCst) {
            return true;
        }
        self.note_mail();
        self.with(|inner| {
            inner.point.clone_from(&point);
            if let Some(trace) = &mut inner.trace {
                trace.push(point.clone());
            }
        });
        if point == "J3.after" {
            self.note_claim();
        }
        if let Some(witness) = self.with(|inner| inner.witness.clone())
            && witness(&self, &point)
        {
            self.dead.store(true, SeqCst);
            return true;
        }
        if self.nested.load(SeqCst) || self.calm() {
            return false;
        }
        let pass = self.passes.fetch_add(1, SeqCst) + 1;
        let due = self.with(|inner| {
            let due: Vec<Gap> = inner.gaps.iter().filter(|gap| gap.pass == pass).copied().collect();
            inner.gaps.retain(|gap| gap.pass != pass);
            due
        });
        let mut dies = self.with(|inner| match &mut inner.again {
            Some((own, left)) if *own != process => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            _ => false,
        });
        if dies {
            self.with(|inner| inner.again = None);
            self.reached(Kind::CrashPair);
        }
        for gap in due {
            let (done, died) = crate::people::in_gap(&self, process, gap.kind, gap.deed).await;
            dies |= died;
            if !done && gap.tries > 0 {
                let later = Gap { pass: gap.pass + 1, tries: gap.tries - 1, ..gap };
                self.with(|inner| inner.gaps.push(later));
            }
        }
        if dies {
            self.dead.store(true, SeqCst);
        }
        dies
    }

    /// Keeps the resource as it is while an act on it is claimed.
    fn note_claim(&self) {
        let Ok(open) = self.store.open_remediations() else { return };
        let Some(row) = open.last() else { return };
        let resource = self.cloud.truth(|truth| truth.resource(&row.step.key.id).cloned());
        if let Some(resource) = resource {
            self.with(|inner| inner.claimed.insert(row.id, resource));
        }
    }

    // Mail.

    pub fn answer_mail(&self, how: Option<Mail>) {
        let kind = match how {
            None => return self.mail.answer_with(None),
            Some(Mail::Down) => Outcome::unreachable("connection refused"),
            Some(Mail::Later) => Outcome::try_later("451 greylisted"),
            Some(Mail::Lost) => return self.mail.take_and_answer(Outcome::unreachable("connection reset")),
            Some(Mail::Refused) => Outcome::Never("550 no such user".into()),
        };
        self.mail.answer_with(Some(kind));
    }

    /// Takes down what was delivered since the last look.
    pub fn note_mail(&self) {
        let known = self.with(|inner| inner.book.mails);
        let now = self.truth.now();
        for (_, message) in self.mail.taken_since(known) {
            self.with(|inner| inner.book.delivered(&message, now));
        }
    }
}
