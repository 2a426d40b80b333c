//! Plans what goes wrong in a world: a list of faults, each of one kind and independent of the others, so that the
//! shortest list that still breaks an invariant can be found by leaving some out.

use chrono::TimeDelta;
use costwarden::cloud::sim::{Effect, Fault, Form, Span};
use costwarden::domain::Instant;
use costwarden::domain::place::AccountId;
use costwarden::store::Trouble;
use costwarden::worker::schedule::{Job, Schedule};

use crate::kinds::Kind;
use crate::rng::Rng;
use crate::scene::Scene;

/// One planned fault.
#[derive(Clone, Debug)]
pub struct Planned {
    pub kind: Kind,
    pub what: What,
}

/// How it comes about.
#[derive(Clone, Debug)]
pub enum What {
    /// By the simulated account.
    Cloud(Fault),
    /// When the n-th crash point of the world is passed.
    Gap(u32, Deed),
    /// At the n-th write of an acting job.
    Write(u32, Trouble),
    /// At the n-th write of any job; true: the process dies there.
    AnyWrite(u32, Trouble),
    /// At an instant, between jobs.
    Time(Instant, Deed),
}

/// What somebody or something does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed {
    /// The process dies.
    Crash,
    /// The process dies, and its successor at its n-th point.
    CrashTwice(u32),
    /// SIGTERM: the job is asked to end.
    Sigterm,
    /// The process stands still for so many minutes.
    Pause(i64),
    /// Another worker runs an act job in this very moment.
    Second,
    /// This one stands still past its lease and another worker runs an act job.
    TakeOver,
    /// A person runs plan and apply.
    ByHand,
    /// A person runs plan.
    DryRun,
    /// The wall clock jumps and is set right after so many minutes.
    JumpAndBack(i64, i64),
    /// The wall clock loses or gains so many seconds a minute for an hour.
    Drift(i64),
    /// A person freezes, and lifts it after so many hours.
    Freeze(i64),
    /// An exception is asked for and granted for so many days.
    Grant(i64),
    /// An exception is asked for.
    Ask,
    /// The newest granted exception is revoked.
    Revoke,
    /// Somebody takes a yes back.
    Withdraw,
    /// A tag of the resource changes.
    Tag,
    /// `costwarden:protect` is added to the resource.
    ProtectTag,
    /// A protection flag is switched on.
    Flag,
    /// A volume is attached, or one more is attached to the instance.
    Attach,
    /// The instance is stopped, the volume deleted, by hand.
    Stop,
    /// The instance works.
    Use,
    /// The safety snapshot is deleted.
    LoseSnapshot,
    /// The account is disarmed, and armed again after so many hours.
    Disarm(i64),
    /// What was stopped is started by hand.
    Undo,
    /// A person lets the program take its last act back.
    TakeBack,
    /// The other edition of the policies comes in force; armed again after so many hours.
    EditPolicies(i64),
    /// The first edition again.
    RollBack,
    /// Mode observe for so many hours.
    Observe(i64),
    /// The mail server answers so for so many hours.
    Mail(Mail, i64),
    /// The worker is not there for so many hours.
    Down(i64),
    /// Another installation asks for its safety snapshot of the resource.
    Claim,
    /// Somebody puts a key of what is acted on into this state for so many hours.
    Key(&'static str, i64),
}

/// What a mail server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    Down,
    Later,
    Lost,
    Refused,
}

/// The faults of a scene.
pub fn plan(scene: &Scene, rng: &mut Rng) -> Vec<Planned> {
    let schedule = Schedule::new(&scene.settings.schedule, scene.settings.zone).expect("good patterns");
    let slots = |job| schedule.slots_between(job, scene.world.start, scene.calm_from);
    let planner = Planner { scene, scans: slots(Job::Scan), acts: slots(Job::Act) };
    // Those that need something to have happened before come more often.
    const RARE: [Kind; 30] = [
        Kind::Withdrawn,
        Kind::Withdrawn,
        Kind::Undone,
        Kind::Undone,
        Kind::Undone,
        Kind::Undone,
        Kind::TakenBack,
        Kind::TakenBack,
        Kind::WrongActor,
        Kind::RolledBack,
        Kind::ActNotPermitted,
        Kind::ActWrongState,
        Kind::ActWrongState,
        Kind::ActWrongState,
        Kind::ActWrongState,
        Kind::ActTimeoutAfter,
        Kind::ActVolumeInUse,
        Kind::ActVolumeInUse,
        Kind::ActVolumeInUse,
        Kind::ActVolumeInUse,
        Kind::ActVolumeInUse,
        Kind::ActVolumeInUse,
        Kind::ActVolumeInUse,
        Kind::SnapshotFails,
        Kind::SnapshotSize,
        Kind::SnapshotRecoverable,
        Kind::SnapshotSlow,
        Kind::SnapshotRate,
        Kind::SnapshotUnanswered,
        Kind::SnapshotVanishes,
    ];
    let count = rng.between(50, 68);
    let usual = &Kind::ALL[..Kind::ALL.len() - Kind::APART];
    let mut planned: Vec<Planned> = (0..count)
        .filter_map(|_| {
            let kind = if rng.chance(30) { *rng.pick(&RARE) } else { *rng.pick(usual) };
            planner.one(kind, rng).map(|what| Planned { kind, what })
        })
        .collect();
    planned.extend(keys(scene));
    planned.extend(claims(scene));
    planned
}

/// What happens to keys, where there are any. What came later has a stream of its own.
fn keys(scene: &Scene) -> Vec<Planned> {
    if !scene.encrypted {
        return Vec::new();
    }
    let mut rng = Rng::new(scene.seed, "key-faults");
    let gap = |rng: &mut Rng| {
        let state = *rng.pick(&["Disabled", "PendingDeletion", "PendingImport", "Unavailable", "Frobnicated"]);
        let deed = Deed::Key(state, rng.between(1, 60));
        Planned { kind: Kind::KeyGap, what: What::Gap(rng.between(1, 60) as u32, deed) }
    };
    let mut planned: Vec<Planned> = (0..rng.between(1, 3)).map(|_| gap(&mut rng)).collect();
    let unread = [(Kind::Denied, Effect::Deny), (Kind::Throttle, Effect::Throttle), (Kind::Timeout, Effect::Timeout)];
    if rng.chance(50) {
        let (kind, effect) = rng.pick(&unread).clone();
        let fault = Fault { calls: vec![rng.below(6) + 1], ..Fault::on("DescribeKey", effect) };
        let span = Span { from: None, until: Some(scene.calm_from) };
        planned.push(Planned { kind, what: What::Cloud(Fault { span, ..fault }) });
    }
    planned
}

/// In some worlds another installation works on what an act is under way on.
fn claims(scene: &Scene) -> Vec<Planned> {
    let mut rng = Rng::new(scene.seed, "claims");
    let count = if rng.chance(25) { rng.between(1, 2) } else { 0 };
    let gap = |rng: &mut Rng| What::Gap(rng.between(1, 60) as u32, Deed::Claim);
    (0..count).map(|_| Planned { kind: Kind::ClaimGap, what: gap(&mut rng) }).collect()
}

/// One of some operations.
fn word<'w>(rng: &mut Rng, of: &[&'w str]) -> &'w str {
    rng.pick::<&str>(of)
}

struct Planner<'a> {
    scene: &'a Scene,
    scans: Vec<Instant>,
    acts: Vec<Instant>,
}

const READS: [&str; 5] =
    ["DescribeInstances", "DescribeVolumes", "DescribeSnapshots", "DescribeAddresses", "DescribeImages"];
const LISTED: [&str; 2] = ["DescribeInstances", "DescribeVolumes"];
/// Those that can meet an instance in another state.
const STATES: [&str; 3] = ["StopInstances", "StopInstances", "StartInstances"];
const SNAPSHOTS: [&str; 2] = ["CreateSnapshots", "CreateSnapshot"];

impl Planner<'_> {
    fn one(&self, kind: Kind, rng: &mut Rng) -> Option<What> {
        let point = |rng: &mut Rng| rng.between(1, 60) as u32;
        Some(match kind {
            Kind::Lag => return None,
            Kind::Throttle => self.read(rng, &READS, Effect::Throttle, 1),
            Kind::ThrottleBurst => self.read(rng, &LISTED, Effect::Throttle, 4),
            Kind::ThrottleHour => self.hour(rng, &LISTED, Effect::Throttle),
            Kind::Unavailable => self.read(rng, &READS, Effect::Unavailable, 1),
            Kind::Denied => self.read(rng, &READS, Effect::Deny, 1),
            Kind::Expired => self.hour(rng, &READS, Effect::Expired),
            Kind::BadToken => self.form(rng, Form::List, &LISTED, Effect::RefuseToken(2)),
            Kind::EmptyPage => self.form(rng, Form::List, &LISTED, Effect::EmptyPage(1)),
            Kind::RepeatedPage => self.form(rng, Form::List, &LISTED, Effect::RepeatPage(1)),
            Kind::CutPage => {
                let page = rng.between(1, 2) as u64;
                self.form(rng, Form::List, &LISTED, Effect::CutPage(page))
            }
            Kind::ShorterSome => {
                let percent = *rng.pick(&[20, 50]);
                self.form(rng, Form::List, &LISTED, Effect::Shorter(percent))
            }
            Kind::ShorterAll => self.form(rng, Form::List, &LISTED, Effect::Shorter(100)),
            Kind::Hidden => {
                let ids: Vec<&String> = self.scene.cards.keys().collect();
                let id = (*rng.pick(&ids)).clone();
                let operation = if id.starts_with("i-") { "DescribeInstances" } else { "DescribeVolumes" };
                let from = self.slot(rng);
                self.cloud(operation, Effect::Hide(vec![id]), from, TimeDelta::hours(rng.between(1, 90)))
            }
            Kind::TagsMissing => self.hour(rng, &LISTED, Effect::MissingTags),
            Kind::MetricsNone => self.hour(rng, &["GetMetricData"], Effect::NoDatapoints),
            Kind::MetricsPartial => self.hour(rng, &["GetMetricData"], Effect::PartialMetrics),
            Kind::MetricsNan => self.hour(rng, &["GetMetricData"], Effect::NanMetrics),
            Kind::MetricsLate => {
                let hours = rng.between(1, 60) as u32;
                self.hour(rng, &["GetMetricData"], Effect::LateMetrics(hours))
            }
            Kind::CostsNone => self.costs(rng, Effect::NoCosts)?,
            Kind::CostsThrottled => self.costs(rng, Effect::Throttle)?,
            Kind::Timeout => {
                self.read(rng, &["DescribeInstances", "DescribeVolumes", "GetMetricData"], Effect::Timeout, 1)
            }
            Kind::WrongReader | Kind::WrongActor => self.stranger(rng, kind),
            Kind::RegionOff => {
                let place = &rng.pick(&self.scene.world.places()).clone();
                let fault = Fault {
                    operation: None,
                    account: Some(place.account.clone()),
                    region: Some(place.region.clone()),
                    ..Fault::on("", Effect::Reject("OptInRequired".into()))
                };
                What::Cloud(self.span(fault, self.slot(rng), TimeDelta::hours(rng.between(1, 20))))
            }
            Kind::ActThrottled => self.act(rng, Effect::Throttle),
            Kind::ActDenied => self.act(rng, Effect::Deny),
            Kind::ActTimeoutBefore => self.act(rng, Effect::Timeout),
            Kind::ActTimeoutAfter => self.act(rng, Effect::TimeoutAfterEffect),
            Kind::ActUnavailable => self.act(rng, Effect::Unavailable),
            Kind::ActWrongState => {
                self.act_on(word(rng, &STATES), rng, Effect::Reject("IncorrectInstanceState".into()))
            }
            Kind::ActNotPermitted => self.act(rng, Effect::Reject("OperationNotPermitted".into())),
            Kind::ActVolumeInUse => self.act_on("DeleteVolume", rng, Effect::Reject("VolumeInUse".into())),
            Kind::SnapshotFails => self.snapshot(rng, Effect::SnapshotFails),
            Kind::SnapshotSize => self.snapshot(rng, Effect::SnapshotOfAnotherSize),
            Kind::SnapshotRecoverable => self.snapshot(rng, Effect::SnapshotRecoverable),
            Kind::SnapshotSlow => {
                let hours = rng.between(3, 72) as u32;
                self.snapshot(rng, Effect::SnapshotHours(hours))
            }
            Kind::SnapshotRate => self.snapshot(rng, Effect::Reject("SnapshotCreationPerVolumeRateExceeded".into())),
            Kind::SnapshotUnanswered => {
                let effect = rng.pick(&[Effect::Timeout, Effect::TimeoutAfterEffect]).clone();
                self.snapshot(rng, effect)
            }
            Kind::SnapshotVanishes => What::Gap(point(rng), Deed::LoseSnapshot),
            Kind::Crash => What::Gap(point(rng), Deed::Crash),
            Kind::CrashPair => What::Gap(point(rng), Deed::CrashTwice(rng.between(1, 12) as u32)),
            Kind::CrashWrite => What::AnyWrite(rng.between(1, 600) as u32, Trouble::Dead),
            Kind::Full => What::Write(rng.between(1, 60) as u32, Trouble::Full),
            Kind::IoError => What::AnyWrite(rng.between(1, 600) as u32, Trouble::IoError),
            Kind::Ambiguous => What::Write(rng.between(1, 60) as u32, Trouble::Ambiguous),
            Kind::Busy => What::AnyWrite(rng.between(1, 600) as u32, Trouble::Busy),
            Kind::Down => What::Time(self.slot(rng) - TimeDelta::minutes(5), Deed::Down(rng.between(1, 30))),
            Kind::Sigterm => What::Gap(point(rng), Deed::Sigterm),
            Kind::ClockForward => self.clock(rng, 1),
            Kind::ClockBack => self.clock(rng, -1),
            Kind::ClockDrift => What::Time(self.slot(rng) - TimeDelta::minutes(70), Deed::Drift(rng.between(-9, 9))),
            Kind::ClockStopped => What::Time(self.slot(rng) - TimeDelta::minutes(70), Deed::Drift(-60)),
            Kind::SecondBusy => What::Gap(point(rng), Deed::Second),
            Kind::SecondStale => What::Gap(point(rng), Deed::TakeOver),
            Kind::Paused => What::Gap(point(rng), Deed::Pause(rng.between(1, 40))),
            Kind::ByHand => What::Time(self.beside_act(rng), Deed::ByHand),
            Kind::MailDown => self.mail(rng, Mail::Down, 60),
            Kind::MailLater => self.mail(rng, Mail::Later, 30),
            Kind::MailLost => self.mail(rng, Mail::Lost, 3),
            Kind::MailRefused => self.mail(rng, Mail::Refused, 3),
            Kind::FreezeGap => What::Gap(point(rng), Deed::Freeze(rng.between(1, 30))),
            Kind::GrantGap => What::Gap(point(rng), Deed::Grant(rng.between(1, 9))),
            Kind::AskGap => What::Gap(point(rng), Deed::Ask),
            Kind::Revoked => What::Gap(point(rng), Deed::Revoke),
            Kind::Withdrawn => What::Gap(point(rng), Deed::Withdraw),
            Kind::TagGap => What::Gap(point(rng), Deed::Tag),
            Kind::ProtectGap => What::Gap(point(rng), Deed::ProtectTag),
            Kind::FlagGap => What::Gap(point(rng), Deed::Flag),
            Kind::AttachGap => What::Gap(point(rng), Deed::Attach),
            Kind::StopGap => What::Gap(point(rng), Deed::Stop),
            Kind::UseGap => What::Gap(point(rng), Deed::Use),
            Kind::DisarmGap => What::Gap(point(rng), Deed::Disarm(rng.between(1, 30))),
            Kind::Undone => What::Time(self.beside_act(rng), Deed::Undo),
            Kind::TakenBack => What::Time(self.beside_act(rng), Deed::TakeBack),
            Kind::DryRun => What::Time(self.beside_act(rng), Deed::DryRun),
            Kind::PolicyEdited => {
                What::Time(self.slot(rng) - TimeDelta::minutes(4), Deed::EditPolicies(rng.between(1, 30)))
            }
            Kind::RolledBack => What::Time(self.slot(rng) - TimeDelta::minutes(4), Deed::RollBack),
            // Planned apart, see `keys` and `claims`.
            Kind::KeyGap | Kind::ClaimGap => return None,
            Kind::ModeChanged => What::Time(self.slot(rng) - TimeDelta::minutes(4), Deed::Observe(rng.between(1, 30))),
        })
    }

    fn slot(&self, rng: &mut Rng) -> Instant {
        let slots = if rng.chance(50) && !self.acts.is_empty() { &self.acts } else { &self.scans };
        if slots.is_empty() { self.scene.world.start } else { *rng.pick(slots) }
    }

    fn beside_act(&self, rng: &mut Rng) -> Instant {
        let slot = if self.acts.is_empty() { self.scene.world.start } else { *rng.pick(&self.acts) };
        slot + TimeDelta::minutes(*rng.pick(&[-20, 30, 90]))
    }

    fn span(&self, fault: Fault, from: Instant, length: TimeDelta) -> Fault {
        let until = (from + length).min(self.scene.calm_from);
        Fault { span: Span { from: Some(from - TimeDelta::minutes(1)), until: Some(until) }, ..fault }
    }

    fn cloud(&self, operation: &str, effect: Effect, from: Instant, length: TimeDelta) -> What {
        What::Cloud(self.span(Fault::on(operation, effect), from, length))
    }

    fn read(&self, rng: &mut Rng, of: &[&str], effect: Effect, calls: u64) -> What {
        let first = rng.below(6) + 1;
        let fault = Fault { calls: (first..first + calls).collect(), ..Fault::on(word(rng, of), effect) };
        What::Cloud(self.span(fault, self.slot(rng), TimeDelta::days(9)))
    }

    fn hour(&self, rng: &mut Rng, of: &[&str], effect: Effect) -> What {
        self.cloud(word(rng, of), effect, self.slot(rng), TimeDelta::hours(1))
    }

    fn form(&self, rng: &mut Rng, form: Form, of: &[&str], effect: Effect) -> What {
        let slot = if self.scans.is_empty() { self.scene.world.start } else { *rng.pick(&self.scans) };
        let fault = Fault { form: Some(form), ..Fault::on(word(rng, of), effect) };
        What::Cloud(self.span(fault, slot, TimeDelta::hours(1)))
    }

    /// One of the first changes of the world, whatever it is.
    fn act(&self, rng: &mut Rng, effect: Effect) -> What {
        let fault = Fault { operation: None, ..Fault::on("", effect) };
        self.change(fault, rng.between(1, 6) as u64)
    }

    /// One of the first calls of an operation; in a world that terminates what it would stop, of that one.
    fn act_on(&self, operation: &str, rng: &mut Rng, effect: Effect) -> What {
        let ends = self.scene.ends && operation == "StopInstances";
        let operation = if ends { "TerminateInstances" } else { operation };
        self.change(Fault::on(operation, effect), rng.between(1, 2) as u64)
    }

    fn change(&self, fault: Fault, call: u64) -> What {
        let fault = Fault { form: Some(Form::Change), calls: vec![call], ..fault };
        What::Cloud(self.span(fault, self.scene.world.start, TimeDelta::days(60)))
    }

    /// Only where somebody pays for Cost Explorer.
    fn costs(&self, rng: &mut Rng, effect: Effect) -> Option<What> {
        let from = self.slot(rng);
        let read = self.scene.settings.costs.enabled;
        read.then(|| self.cloud("GetCostAndUsage", effect, from, TimeDelta::days(9)))
    }

    fn snapshot(&self, rng: &mut Rng, effect: Effect) -> What {
        let fault = Fault { form: Some(Form::Change), calls: vec![1], ..Fault::on(word(rng, &SNAPSHOTS), effect) };
        What::Cloud(self.span(fault, self.slot(rng), TimeDelta::days(60)))
    }

    fn stranger(&self, rng: &mut Rng, kind: Kind) -> What {
        let slots = if kind == Kind::WrongActor { &self.acts } else { &self.scans };
        let slot = if slots.is_empty() { self.scene.world.start } else { *rng.pick(slots) };
        let other = AccountId::new("999900001111").expect("twelve digits");
        let fault = Fault::on("GetCallerIdentity", Effect::WrongIdentity(other));
        What::Cloud(self.span(fault, slot, TimeDelta::hours(2)))
    }

    fn clock(&self, rng: &mut Rng, sign: i64) -> What {
        let seconds = *rng.pick(&[1, 30, 61, 600, 3_600, 86_400, 10 * 86_400, 30 * 86_400]) * sign;
        let at = self.slot(rng) - TimeDelta::minutes(rng.between(1, 9));
        What::Time(at, Deed::JumpAndBack(seconds, rng.between(1, 30)))
    }

    fn mail(&self, rng: &mut Rng, mail: Mail, hours: i64) -> What {
        let slot = if self.scans.is_empty() { self.scene.world.start } else { *rng.pick(&self.scans) };
        What::Time(slot - TimeDelta::minutes(10), Deed::Mail(mail, rng.between(1, hours)))
    }
}
