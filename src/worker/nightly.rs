//! The jobs behind the slots: what a scan, an act and a report slot do, and what `run` does at once.
//!
//! The daemon, `run` and the demo share it. It holds the only `CloudAct` of the process and hands it to the acting job
//! alone, in mode enforce. Settings are swapped whole by [`Nightly::replace`], never while a job runs.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use async_trait::async_trait;
use chrono::TimeDelta;

use super::context::Context;
use super::daemon::{JobReport, JobResult, Jobs};
use super::jobs::act::{ActOutcome, Acting, NotActing, act};
use super::jobs::announce::announce;
use super::jobs::costs::{CostOutcome, costs};
use super::jobs::drill::drill;
use super::jobs::expire;
use super::jobs::notices::{NoticeOutcome, notices};
use super::jobs::plan::{PlanOutcome, plan};
use super::jobs::report;
use super::jobs::scan::{Choice, ScanOutcome, scan};
use super::outlets::Outlets;
use super::post::Post;
use super::schedule::{Job, Schedule};
use super::supervise::Work;
use crate::cloud::{CloudAct, CloudClock};
use crate::deliver::alert;
use crate::deliver::outbox::{Delivered, deliver_due, outgoing};
use crate::domain::Instant;
use crate::domain::mode::Mode;
use crate::domain::remediation::JournalState;
use crate::domain::report::ReportKind;
use crate::engine::grace;
use crate::engine::ruleset::Ruleset;
use crate::remediate::Halt;
use crate::settings::PoliciesFrom;
use crate::store::ACTING_LEASE;

/// What a reload brings.
pub struct Loaded {
    /// The new context; same state, same cloud.
    pub context: Context,
    /// The new channels.
    pub outlets: Arc<Outlets>,
}

/// Reads settings and policies again.
pub type Reload = dyn Fn(&Context) -> anyhow::Result<Loaded> + Send + Sync;

/// The jobs of one installation.
pub struct Nightly {
    current: RwLock<Arc<Loaded>>,
    actor: Arc<dyn CloudAct>,
    post: Arc<Post>,
    reload: Box<Reload>,
    halt: Halt,
    chance: Box<Chance>,
}

/// Draws the number that chooses a restore drill's snapshot.
pub type Chance = dyn Fn() -> u64 + Send + Sync;

/// What one scan with everything that follows it brought.
pub struct ScanNight {
    /// The scan.
    pub scan: ScanOutcome,
    /// Spend and budgets.
    pub costs: CostOutcome,
    /// Who was told.
    pub notices: NoticeOutcome,
}

impl Nightly {
    /// Jobs on this context.
    pub fn new(loaded: Loaded, actor: Arc<dyn CloudAct>, reload: Box<Reload>) -> Nightly {
        let cx = &loaded.context;
        let post = Post::new(cx.store.clone(), loaded.outlets.clone(), cx.clock.clone());
        let (current, halt) = (RwLock::new(Arc::new(loaded)), Halt::from_environment());
        Nightly { current, actor, post, reload, halt, chance: Box::new(chance) }
    }

    /// With other crash points than the environment's, for tests.
    pub fn with_halt(self, halt: Halt) -> Nightly {
        Nightly { halt, ..self }
    }

    /// With other chance than the machine's, for tests that must tell the same story twice.
    pub fn with_chance(self, chance: Box<Chance>) -> Nightly {
        Nightly { chance, ..self }
    }

    /// The context in force.
    pub fn context(&self) -> Context {
        self.loaded().context.clone()
    }

    /// Puts another context in force, with the same channels; between jobs only.
    pub fn replace(&self, context: Context) {
        let outlets = self.loaded().outlets.clone();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Loaded { context, outlets });
    }

    /// Scan, spend, notices.
    ///
    /// # Errors
    /// When the state refuses.
    pub async fn scan_night(&self, choice: &Choice, work: &Work) -> anyhow::Result<ScanNight> {
        let cx = self.fresh()?;
        let scan = scan(&cx, choice, work).await?;
        work.pulse.beat();
        let costs = costs(&cx).await?;
        work.pulse.beat();
        let notices = notices(&cx, &scan.scan.id)?;
        Ok(ScanNight { scan, costs, notices })
    }

    /// Plan and act, as far as the mode allows. In another mode than enforce the plan is made, stored and left alone.
    ///
    /// # Errors
    /// When another worker acts, or the state refuses.
    pub async fn act_night(&self, work: &Work) -> Result<(PlanOutcome, ActOutcome), NotActing> {
        let cx = self.fresh()?;
        let planned = plan(&cx, false).await?;
        work.pulse.beat();
        if cx.settings.enforcement.mode != Mode::Enforce && !planted!("observe-acts") {
            return Ok((planned, ActOutcome::default()));
        }
        let acting = Acting {
            actor: self.actor.clone(),
            by_hand: false,
            announce: announce(&cx),
            post: self.post.clone(),
            work,
            halt: self.halt.clone(),
        };
        let mut steps = planned.plan.steps.clone();
        steps.extend(expire::steps(&cx, &*self.actor).await?);
        let acted = act(&cx, &acting, &planned.plan.id, &steps).await?;
        if !acted.interrupted {
            match drill(&cx, &acting, (self.chance)()).await {
                Ok(Some(words)) => tracing::info!("{words}"),
                Ok(None) => {}
                // The acts are done; a drill can wait for the next slot.
                Err(NotActing::Busy) => tracing::warn!("another worker acts now, so no restore drill is made"),
                Err(failed) => return Err(failed),
            }
        }
        Ok((planned, acted))
    }

    /// Tries what waits in the outbox.
    ///
    /// # Errors
    /// When the state refuses.
    pub async fn deliver(&self) -> anyhow::Result<Delivered> {
        let earlier = self.post.rest().await;
        let loaded = self.loaded();
        let cx = &loaded.context;
        Ok(earlier.then(deliver_due(&cx.store, loaded.outlets.channels(), &cx.clock, grace::delivered).await?))
    }

    /// The context with the policies that are in force now, where they come from the state: an activation or an end
    /// that fell due since the last job counts from its date on.
    fn fresh(&self) -> anyhow::Result<Context> {
        let mut cx = self.context();
        if cx.settings.policies_from == PoliciesFrom::Store {
            let policies =
                super::policies::in_force(&cx.store, cx.clock.now()).context("reading the policies in force")?;
            cx.rules = Arc::new(Ruleset::compile(&policies)?);
            self.replace(cx.clone());
        }
        Ok(cx)
    }

    /// Goes on with what is open, under the acting lease.
    async fn go_on(&self, cx: &Context, work: &Work) -> Result<ActOutcome, NotActing> {
        let (announce, post, halt) = (announce(cx), self.post.clone(), self.halt.clone());
        let acting = Acting { actor: self.actor.clone(), by_hand: false, announce, post, work, halt };
        act(cx, &acting, "", &[]).await
    }

    fn loaded(&self) -> Arc<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn report(&self, kind: ReportKind) -> JobResult {
        let cx = self.fresh()?;
        let report = report::make(&cx, kind)?;
        let mails = report::queue(&cx, &report)?;
        let message = match mails {
            0 => "made; reports.to names nobody, so it is not sent".to_owned(),
            count => format!("queued for {count} recipient{}", if count == 1 { "" } else { "s" }),
        };
        Ok(JobReport { message, complete: false })
    }
}

#[async_trait]
impl Jobs for Nightly {
    async fn run(&self, job: Job, _slot: Instant, work: Work) -> JobResult {
        match job {
            Job::Scan => {
                let night = self.scan_night(&Choice::default(), &work).await?;
                Ok(JobReport { message: scan_words(&night), complete: night.scan.scan.complete() })
            }
            Job::Act => {
                let (planned, acted) = self.act_night(&work).await?;
                Ok(JobReport { message: act_words(&planned, &acted), complete: false })
            }
            Job::Daily => self.report(ReportKind::Daily).await,
            Job::Weekly => self.report(ReportKind::Weekly).await,
        }
    }

    async fn recover(&self, work: Work) -> anyhow::Result<()> {
        let cx = self.context();
        if cx.store.open_remediations().context("reading open remediations")?.is_empty() {
            return Ok(());
        }
        match self.go_on(&cx, &work).await {
            Ok(_) => return Ok(()),
            Err(NotActing::Failed(error)) => return Err(error),
            Err(NotActing::Busy) => {}
        }
        // A killed process's lease runs out by itself. One that is renewed until then is a living worker's, which goes
        // on with its own acts.
        if let Some(lease) = cx.store.lease(ACTING_LEASE).context("reading the acting lease")? {
            wait_until(&cx, &work, lease.expires_at).await;
        }
        match self.go_on(&cx, &work).await {
            Ok(_) => Ok(()),
            Err(NotActing::Busy) => {
                tracing::warn!("another worker acts; what is open is left to it");
                Ok(())
            }
            Err(NotActing::Failed(error)) => Err(error),
        }
    }

    async fn deliver_outbox(&self, work: Work) -> anyhow::Result<()> {
        self.deliver().await?;
        work.pulse.beat();
        Ok(())
    }

    async fn alert(&self, subject: String, text: String) -> anyhow::Result<()> {
        let cx = self.context();
        let now = cx.clock.now();
        let messages = cx
            .settings
            .reports
            .to
            .iter()
            .map(|to| outgoing(&alert::job_failed(to, &subject, now, &text, cx.settings.zone)?, Vec::new()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        cx.store.enqueue(&messages, now).context("queueing an alert")?;
        Ok(())
    }

    async fn ask_cloud(&self, work: Work) -> anyhow::Result<()> {
        let cx = self.context();
        let before = cx.cloud.clock().map_or(0, |clock| clock.readings);
        let mut asked = Ok(());
        // Any answer carries the time, a refusal too; one is enough.
        for account in &cx.settings.accounts {
            asked = cx.cloud.identity(&account.id).await.map(drop);
            work.pulse.beat();
            if cx.cloud.clock().is_some_and(|clock| clock.readings > before) {
                return Ok(());
            }
        }
        asked.context("asking the cloud for its time")
    }

    fn cloud_clock(&self) -> Option<CloudClock> {
        self.context().cloud.clock()
    }

    fn reload(&self) -> anyhow::Result<Schedule> {
        let loaded = (self.reload)(&self.context())?;
        let settings = &loaded.context.settings;
        let schedule = Schedule::new(&settings.schedule, settings.zone)?;
        self.post.renew(loaded.outlets.clone());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(schedule)
    }
}

/// A number that nobody can foretell, for choosing a snapshot: the seed that std takes for its hash maps.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Sleeps in naps until an instant, or until it is asked to stop.
async fn wait_until(cx: &Context, work: &Work, at: Instant) {
    while cx.clock.now() < at && !work.cancel.is_cancelled() {
        work.pulse.beat();
        let nap = (at - cx.clock.now()).clamp(TimeDelta::milliseconds(1), TimeDelta::seconds(20));
        cx.clock.sleep(nap.to_std().unwrap_or_default()).await;
    }
}

/// One line about a scan.
pub fn scan_words(night: &ScanNight) -> String {
    let scan = &night.scan.scan;
    let resources: u64 = scan.resources.values().sum();
    let gaps = scan.gaps().count();
    let mut words = format!("{resources} resources");
    if let Some(score) = night.scan.summary.score() {
        words.push_str(&format!(", score {:.1} %", score.percent));
    }
    if gaps > 0 {
        words.push_str(&format!(
            ", {gaps} of {} partitions incomplete (nothing is concluded there)",
            scan.coverage.len()
        ));
    }
    if night.notices.notices > 0 {
        let (notices, mails) = (night.notices.notices, night.notices.mails);
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        words.push_str(&format!(", {notices} notice{} in {mails} mail{}", plural(notices), plural(mails)));
    }
    for alert in &night.costs.alerts {
        words.push_str(&format!(", {} % of {} / {} spent", alert.percent, alert.policy, alert.rule));
    }
    words
}

/// One line about a plan and its acts.
pub fn act_words(planned: &PlanOutcome, acted: &ActOutcome) -> String {
    format!(
        "{} due, {} held; {} done, {} refused, {} stuck, {} open",
        planned.plan.steps.len(),
        planned.held.len(),
        acted.ended(JournalState::Done),
        acted.ended(JournalState::Refused) + acted.ended(JournalState::Aborted),
        acted.ended(JournalState::Stuck),
        acted.open()
    )
}
