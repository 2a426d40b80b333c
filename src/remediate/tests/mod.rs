//! Stories about the careful shell on the simulated account.
//!
//! What happened is judged from the simulator's own call log and truth: [`Watch`] looks at the truth in the very
//! moment of a destructive call and notes what it should not have seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;

use super::*;
use crate::cloud::sim::{Change, Effect, Fault, Form, Planted, SimActor, SimCloud, World, plant};
use crate::cloud::{Answer, Call, CloudError, Identity, prices};
use crate::domain::finding::{Action, Finding, Severity};
use crate::domain::mode::{Arming, Breaker};
use crate::domain::notice::NoticeKind;
use crate::engine::{grace, plan, reconcile};
use crate::store::ACTING_LEASE;

mod answers;
mod between;
mod breaker;
mod caps;
mod claim;
mod crashes;
mod drill;
mod expiry;
mod expiry_image;
mod gate_alone;
mod gates;
mod keys;
mod many;
mod on_file;
mod pairs;
mod people;
mod resize;
mod resize_back;
mod storage;
mod stories;
mod terminate;
mod trail;
mod twin;
mod undo;
mod undo_controls;
mod way_back;

const INSTANCE: &str = "i-0idle";
const ROOT: &str = "vol-0root";
const DATA: &str = "vol-0data";
const ORPHAN: &str = "vol-0orphan";
const HOLDER: &str = "test";

/// The embedded type table, read once.
fn book() -> Arc<PriceBook> {
    static BOOK: std::sync::OnceLock<Arc<PriceBook>> = std::sync::OnceLock::new();
    BOOK.get_or_init(|| Arc::new(prices::embedded().unwrap())).clone()
}

/// Monday, ten o'clock: inside the window.
fn monday() -> Instant {
    at("2026-11-23T10:00:00Z")
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// The acting port with a witness: before a destructive call goes through it looks at the truth.
struct Watch {
    cloud: SimCloud,
    actor: SimActor,
    broken: Mutex<Vec<String>>,
}

#[async_trait]
impl CloudAct for Watch {
    async fn acting_as(&self, account: &AccountId) -> Result<Identity, CloudError> {
        self.actor.acting_as(account).await
    }

    async fn permitted(&self, place: &Place, call: &Call) -> Result<(), CloudError> {
        self.actor.permitted(place, call).await
    }

    async fn execute(&self, place: &Place, call: &Call) -> Result<Answer, CloudError> {
        let mut broken = Vec::new();
        self.cloud.truth(|truth| {
            let at_risk: Vec<String> = match call {
                Call::DeleteVolume { volume } => vec![volume.as_str().to_owned()],
                Call::StopInstance { instance }
                | Call::ModifyInstanceType { instance, .. }
                | Call::TerminateInstance { instance } => {
                    let resource = truth.resource(instance.as_str());
                    let volumes = resource.and_then(Resource::instance).map(|instance| instance.volumes.clone());
                    volumes.unwrap_or_default().iter().map(|attached| attached.volume.to_string()).collect()
                }
                _ => Vec::new(),
            };
            for volume in at_risk {
                let size = truth.resource(&volume).and_then(Resource::volume).map(|volume| volume.size_gib);
                let safe = truth.snapshots_of(&volume).into_iter().any(|resource| {
                    let snapshot = resource.snapshot().unwrap();
                    &*snapshot.state == "completed"
                        && Some(snapshot.volume_size_gib) == size
                        && resource.tag(KEY_TAG).is_some()
                });
                if !safe {
                    broken.push(format!("{call} without a completed snapshot of {volume}"));
                }
            }
        });
        self.broken.lock().unwrap().extend(broken);
        self.actor.execute(place, call).await
    }
}

/// What the rule says when it is asked again.
struct Says(Mutex<Result<StillViolates, String>>);

#[async_trait]
impl Recheck for Says {
    async fn still_violates(&self, _: &Step, _: &Resource) -> Result<StillViolates, String> {
        self.0.lock().unwrap().clone()
    }
}

/// One account with an idle instance of two volumes and an orphan volume, on a Monday at ten, with everything
/// allowed that settings can allow.
struct Stage {
    cloud: SimCloud,
    clock: Clock,
    store: Arc<Store>,
    watch: Arc<Watch>,
    says: Arc<Says>,
    place: Place,
    rules: GateRules,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new() -> Stage {
        Stage::with(|_| {})
    }

    /// With another world.
    fn with(change: impl FnOnce(&mut World)) -> Stage {
        let place = crate::checks::testing::place();
        let start = at("2026-11-01T00:00:00Z");
        let volumes = place.partition(Kind::Volume);
        let mut instance = plant::instance(place.partition(Kind::Instance).key(INSTANCE), "m5.large", start).tagged(&[
            ("Name", "build box"),
            ("owner", "ann@example.com"),
            ("aws:createdBy", "ann"),
        ]);
        let mut root = plant::volume(volumes.key(ROOT), "gp3", 30, start);
        let mut data = plant::volume(volumes.key(DATA), "gp3", 100, start);
        plant::attach(&mut instance, &mut root, "/dev/xvda", true);
        plant::attach(&mut instance, &mut data, "/dev/sdf", false);
        let orphan = plant::volume(volumes.key(ORPHAN), "gp2", 50, start).tagged(&[("Name", "old database")]);
        let mut world = World::empty(start).with_account(place.account.as_str(), &[place.region.as_str()]).unwrap();
        world.resources = vec![instance, root, data, orphan];
        change(&mut world);
        let clock = Clock::virtual_at(monday());
        let cloud = SimCloud::new(world, clock.clone()).unwrap();
        let store = Arc::new(Store::in_memory().unwrap());
        Stage::on(cloud, clock, store, place)
    }

    fn on(cloud: SimCloud, clock: Clock, store: Arc<Store>, place: Place) -> Stage {
        let account = place.account.clone();
        store
            .arm(&Arming {
                account: account.clone(),
                by: "eve".into(),
                at: monday() - TimeDelta::days(20),
                until: monday() + TimeDelta::days(60),
                policies: vec![("policy".into(), "hash".into())],
            })
            .unwrap();
        let rules = GateRules {
            places: BTreeSet::from([place.clone()]),
            mode: Mode::Enforce,
            by_hand: false,
            pace: Pace::default(),
            breaker: Breaker::default(),
            totals: Kind::ALL.map(|kind| ((account.clone(), kind), 400)).into(),
            window: Window::default(),
            switches: Switches { allow_auto_delete_volumes: true, ..Switches::default() },
            guards: GuardRules { tag_prefix: "costwarden:".into(), ..GuardRules::default() },
            exceptions: Vec::new(),
            people: BTreeMap::new(),
            policies: BTreeMap::from([("policy".to_owned(), "hash".to_owned())]),
            ignore_tags: vec!["last-seen".into()],
            prices: book(),
        };
        let watch = Watch { cloud: cloud.clone(), actor: cloud.actor(), broken: Mutex::default() };
        let stage = Stage {
            cloud,
            clock,
            store,
            watch: Arc::new(watch),
            says: Arc::new(Says(Mutex::new(Ok(StillViolates::Yes)))),
            place,
            rules,
            messages: Arc::default(),
        };
        stage.scanned();
        stage
    }

    /// A remediator of a new process.
    fn remediator(&self, halt: Halt) -> Remediator {
        let messages = self.messages.clone();
        let announce = move |event: &Event<'_>| {
            let (word, to) = match event {
                Event::Done(own) => (format!("done r-{}", own.id), Some((own.step.finding.clone(), NoticeKind::Done))),
                Event::Stuck(own) => {
                    (format!("stuck r-{}", own.id), Some((own.step.finding.clone(), NoticeKind::Stuck)))
                }
                Event::TakenBack(own) => {
                    (format!("taken back r-{}", own.id), Some((own.step.finding.clone(), NoticeKind::Stuck)))
                }
                Event::Frozen(freeze) => (format!("frozen: {}", freeze.reason), None),
            };
            messages.lock().unwrap().push(word.clone());
            vec![Outgoing {
                kind: "alert".into(),
                to: "ann@example.com".into(),
                dedup: word,
                message: "{}".into(),
                attachments: None,
                notices: to.into_iter().collect(),
            }]
        };
        let tools = Tools {
            store: self.store.clone(),
            read: Arc::new(self.cloud.reader()),
            act: self.watch.clone(),
            clock: self.clock.clone(),
            recheck: self.says.clone(),
            announce: Arc::new(announce),
            halt,
        };
        Remediator::new(tools, self.rules.clone())
    }

    /// Takes the acting lease for a new run.
    fn run(&self, id: &str) -> Run {
        let now = self.clock.now();
        let fence = self.store.acquire(ACTING_LEASE, HOLDER, TimeDelta::days(30), now).unwrap().unwrap();
        Run { id: id.into(), fence, started_at: now }
    }

    /// A finding of high severity whose owner was told two days ago.
    fn due_finding(&self, id: &str, action: Action) -> Finding {
        self.finding_told(id, action, Severity::High, self.clock.now() - TimeDelta::days(2))
    }

    fn finding_told(&self, id: &str, action: Action, severity: Severity, told: Instant) -> Finding {
        let mut finding = reconcile::testing::finding(id, severity, action);
        if action == Action::Tag {
            finding.rule = "tags".into();
            finding.id = crate::domain::finding::FindingId::derive(&finding.key, "policy", "tags");
            finding.add_tags = vec![("cost-center".into(), "CC-000000".into()), ("project".into(), "unknown".into())];
        }
        if action == Action::Resize {
            finding.to_type = Some("m5.xlarge".into());
        }
        self.scanned();
        self.store.update_findings(&[finding.clone()], &[]).unwrap();
        let message = Outgoing {
            kind: "notice".into(),
            to: "ann@example.com".into(),
            dedup: format!("first {} {told}", finding.id),
            message: "{}".into(),
            attachments: None,
            notices: vec![(finding.id.clone(), NoticeKind::First)],
        };
        let row = self.store.enqueue(&[message], told).unwrap()[0];
        self.store.mark_delivered(row, told, |finding, kind| grace::delivered(finding, kind, told)).unwrap();
        self.store.finding(&finding.id).unwrap().unwrap()
    }

    /// The step that the planner makes of a finding now.
    async fn step_of(&self, finding: &Finding) -> Step {
        let fresh = self.cloud.reader().describe(&finding.key).await.unwrap();
        plan::step(finding, &fresh, &self.rules.ignore_tags, true).unwrap()
    }

    async fn due_step(&self, id: &str, action: Action) -> Step {
        self.step_of(&self.due_finding(id, action)).await
    }

    /// Calls `advance` whenever it is time, as the worker does, until it has ended or is held.
    async fn play(&self, remediator: &Remediator, first: Outcome, run: &Run) -> Outcome {
        let mut outcome = first;
        for _ in 0..20_000 {
            match outcome.progress {
                Progress::WaitUntil(until) => {
                    let now = self.clock.now();
                    assert!(until > now && until <= now + TimeDelta::seconds(60), "{until} is not soon after {now}");
                    self.clock.advance_to(until);
                    outcome = remediator.advance(outcome.id.unwrap(), run).await.unwrap();
                }
                Progress::Ended(_) | Progress::Held => return outcome,
            }
        }
        panic!("it never ends: {outcome:?}");
    }

    /// Starts a step in a new process and plays it out.
    async fn act(&self, step: &Step) -> Outcome {
        let (remediator, run) = (self.remediator(Halt::none()), self.run("run-1"));
        let first = remediator.start(step, &self.plan(step), &run).await.unwrap();
        self.play(&remediator, first, &run).await
    }

    /// A later run that goes on with what is open.
    async fn resume(&self, run: &str) -> Vec<Outcome> {
        let (remediator, run) = (self.remediator(Halt::none()), self.run(run));
        let mut ends = Vec::new();
        for outcome in remediator.resume_all(&run).await.unwrap() {
            ends.push(self.play(&remediator, outcome, &run).await);
        }
        ends
    }

    /// Every call that reached the acting side and may have changed something, from the cloud's own log.
    fn mutations(&self) -> Vec<String> {
        let calls = self.cloud.calls();
        let made = calls.iter().filter(|call| call.mutating());
        made.map(|call| format!("{} {}", call.operation, call.target.as_deref().unwrap_or(""))).collect()
    }

    /// Those that are not snapshots.
    fn acts(&self) -> Vec<String> {
        self.mutations().into_iter().filter(|call| !call.starts_with("CreateSnapshot")).collect()
    }

    /// What the truth says about a resource: its state, or gone.
    fn truth(&self, id: &str) -> String {
        self.cloud.truth(|truth| truth.resource(id).map_or("gone".into(), |resource| resource.state().to_owned()))
    }

    fn snapshots_of(&self, volume: &str) -> Vec<Resource> {
        self.cloud.truth(|truth| truth.snapshots_of(volume).into_iter().cloned().collect())
    }

    /// Nothing destructive was called without its backup.
    fn assert_watched(&self) {
        assert_eq!(*self.watch.broken.lock().unwrap(), Vec::<String>::new());
    }

    fn frozen(&self) -> Option<String> {
        self.store.frozen().unwrap().map(|freeze| freeze.reason)
    }

    fn row(&self, id: i64) -> Remediation {
        self.store.remediation(id).unwrap().unwrap()
    }

    fn fault(&self, operation: &str, effect: Effect) {
        self.cloud.add_fault(Fault::on(operation, effect));
    }

    fn tag(&self, id: &str, key: &str, value: &str) {
        let change = Change::Tag { resource: id.into(), tags: vec![(key.into(), value.into())] };
        self.cloud.apply("ann", change).unwrap();
    }
}

/// Refused without any call that changes something, and without a freeze.
fn assert_refused(stage: &Stage, outcome: &Outcome, words: &str) {
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains(words), "{:?} does not say {words:?}", outcome.message);
    assert_eq!(stage.acts(), Vec::<String>::new());
    assert_eq!(stage.frozen(), None, "an ordinary refusal never freezes");
    stage.assert_watched();
}

/// One more planted resource.
fn another_volume(place: &Place, id: &str) -> Planted {
    plant::volume(place.partition(Kind::Volume).key(id), "gp3", 8, at("2026-11-01T00:00:00Z"))
}

/// Plays a step in a process that dies at `point`. True when it did.
async fn die_at(stage: &Stage, step: &Step, point: &str) -> bool {
    let (remediator, run) = (stage.remediator(Halt::failing_at(point)), stage.run("run-1"));
    let mut next = remediator.start(step, &stage.plan(step), &run).await;
    loop {
        match next {
            Err(Interrupted::Halted(Halted(at))) => {
                assert_eq!(at, point);
                return true;
            }
            Err(other) => panic!("{point}: {other}"),
            Ok(Outcome { progress: Progress::WaitUntil(until), id, .. }) => {
                stage.clock.advance_to(until);
                next = remediator.advance(id.unwrap(), &run).await;
            }
            Ok(_) => return false,
        }
    }
}

/// The next worker, which goes on with what is open and dies at a point too; false when it came to an end before.
async fn die_again_at(stage: &Stage, point: &str) -> bool {
    let (remediator, run) = (stage.remediator(Halt::failing_at(point)), stage.run("run-2"));
    let mut next = remediator.resume_all(&run).await.map(|mut all| all.pop().unwrap());
    loop {
        match next {
            Err(Interrupted::Halted(_)) => return true,
            Err(other) => panic!("{point}: {other}"),
            Ok(Outcome { progress: Progress::WaitUntil(until), id, .. }) => {
                stage.clock.advance_to(until);
                next = remediator.advance(id.unwrap(), &run).await;
            }
            Ok(_) => return false,
        }
    }
}

/// Every point that an act without a backup passes, in their order.
const WITHOUT_BACKUP: [&str; 15] = [
    "J3.before",
    "J3.after",
    "J4.call",
    "J4.before",
    "J4.after",
    "J8.before",
    "J8.after",
    "J8.call",
    "J9.before",
    "J9.after",
    "J10.call",
    "J10.before",
    "J10.after",
    "J11.before",
    "J11.after",
];

/// The states that a row went through.
fn states(stage: &Stage, id: i64) -> Vec<JournalState> {
    let mut states: Vec<JournalState> =
        stage.store.remediation_history(id).unwrap().into_iter().map(|row| row.state).collect();
    states.dedup();
    states
}

/// A fault that meets changes, not the permission probe before them.
fn change_fault(stage: &Stage, operation: &str, effect: Effect) {
    stage.cloud.add_fault(Fault { form: Some(Form::Change), ..Fault::on(operation, effect) });
}
