//! The gate: the last question before anything leaves for the cloud.
//!
//! `driver` and `backup` ask it right before every mutating call, `driver` once more when the act's intent is on file.
//! It shares no decision with the planner and none with the guards: it reads freeze, lease, arming, finding, notices, its
//! own pass counts and what else fell due from the state file in that moment and compares the call with the step. What an
//! honest planner could have hit by waiting (freeze, window, lost lease) holds; what changed meanwhile (the breaker among
//! it) refuses; what can only be a bug or a wrong target (over pace, foreign account, wrong id) freezes everything.

use chrono::{NaiveTime, TimeDelta};

use super::{FRESH_SECONDS, GateRules, Remediator, Ruling, Run};
use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::act_approval::ActRequest;
use crate::domain::exception::ExceptionRecord;
use crate::domain::finding::{Act, Finding, State};
use crate::domain::inventory::Coverage;
use crate::domain::lifecycle::Approval;
use crate::domain::mode::{Arming, Freeze, Mode};
use crate::domain::notice::NoticeKind;
use crate::domain::place::Kind;
use crate::domain::plan::{HoldCode, OWN_TAGS, Step};
use crate::domain::remediation::Remediation;
use crate::domain::resource::Resource;
use crate::domain::text::clean;
use crate::store::{ACTING_LEASE, GateClass, StoreError};

mod basis;
pub(super) mod breaker;
mod expiry;
mod losses;
pub(super) mod managers;
mod people;
pub(super) mod resource;
mod storage;

use breaker::Load;
use people::{holds, unapproved};

/// Most that the cloud's clock may differ from ours while anything is changed (safety.md, clock faults).
pub(super) const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(5);

/// What the answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Judging at J4; nothing leaves yet.
    Judge,
    /// A snapshot call.
    Backup,
    /// The act itself: pace counts.
    Act,
}

/// Everything that the gate looks at, read in one go.
pub(super) struct Facts<'a> {
    pub now: Instant,
    pub purpose: Purpose,
    pub step: &'a Step,
    pub call: &'a Call,
    pub fresh: &'a Resource,
    pub read_at: Instant,
    pub rules: &'a GateRules,
    pub run: &'a Run,
    pub clock_mark: Option<Instant>,
    /// The cloud's time minus ours.
    pub cloud_ahead: Option<TimeDelta>,
    pub fence: Option<i64>,
    pub frozen: Option<Freeze>,
    pub arming: Option<Arming>,
    pub finding: Option<Finding>,
    /// Exceptions on the resource as they stand in the state now: granted, asked for and past.
    pub stored: Vec<ExceptionRecord>,
    /// What people were asked about this act, and what they said.
    pub answers: Vec<(ActRequest, Vec<Approval>)>,
    /// Delivered notices of the finding.
    pub notices: Vec<(NoticeKind, Instant)>,
    /// The last act on the resource that was not a tag.
    pub last_act: Option<Instant>,
    pub passed: Passed,
    /// What the policy fell due on by now.
    pub load: Load,
    /// The newest word of a scan about the step's partition.
    pub look: Option<Coverage>,
    /// Where an expiring safety snapshot comes from.
    pub origin: Option<expiry::Origin>,
}

/// Acts that the gate let through, this one not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Of this class, in this run and account.
    pub in_run: u64,
    /// Destructive ones, today, in this account.
    pub destructive_today: u64,
    /// Destructive and disruptive ones of this kind, today, in this account.
    pub of_kind_today: u64,
}

impl Remediator {
    /// Asks the gate. Reads the state file in this moment and nothing else.
    pub(super) fn gate(
        &self,
        purpose: Purpose,
        step: &Step,
        call: &Call,
        fresh: &Resource,
        read_at: Instant,
        run: &Run,
    ) -> Result<Ruling, StoreError> {
        Ok(judge(&self.facts(purpose, step, call, fresh, read_at, run, None)?))
    }

    /// Asks the gate about the act whose intent was just committed: that took a moment in which people may have
    /// decided otherwise. The caller awaits nothing between the answer and the call.
    pub(super) fn gate_again(
        &self,
        remediation: &Remediation,
        call: &Call,
        fresh: &Resource,
        read_at: Instant,
        run: &Run,
    ) -> Result<Ruling, StoreError> {
        let facts = self.facts(Purpose::Act, &remediation.step, call, fresh, read_at, run, Some(remediation.id))?;
        match judge(&facts) {
            Ruling::Pass => self.gate_plan(remediation),
            objection => Ok(objection),
        }
    }

    /// What the gate looks at. An act that is on file already does not count among those before it.
    #[expect(clippy::too_many_arguments, reason = "each is another half of the question")]
    fn facts<'a>(
        &'a self,
        purpose: Purpose,
        step: &'a Step,
        call: &'a Call,
        fresh: &'a Resource,
        read_at: Instant,
        run: &'a Run,
        own: Option<i64>,
    ) -> Result<Facts<'a>, StoreError> {
        let now = self.tools.clock.now();
        let account = step.key.account();
        let armings = self.tools.store.armings()?;
        Ok(Facts {
            now,
            purpose,
            step,
            call,
            fresh,
            read_at,
            rules: &self.rules,
            run,
            clock_mark: self.tools.store.clock_mark()?,
            cloud_ahead: self.tools.read.clock().map(|clock| clock.ahead),
            fence: self.tools.store.lease_fence(ACTING_LEASE)?,
            frozen: self.tools.store.frozen()?,
            load: self.load(step, &armings, now, own)?,
            arming: armings.into_iter().find(|arming| arming.account == *account),
            finding: self.tools.store.finding(&step.finding)?,
            stored: self.tools.store.exceptions_on(account.as_str(), &step.key.id)?,
            answers: self.tools.store.act_requests_of(&step.finding)?,
            notices: self
                .tools
                .store
                .notices_of(&step.finding)?
                .into_iter()
                .filter_map(|notice| Some((notice.kind, notice.delivered_at?)))
                .collect(),
            last_act: self.tools.store.last_act_on(&step.key, own)?.map(|(at, _)| at),
            passed: self.passed(step, run, now)?,
            look: self.last_look(step, now)?,
            origin: self.origin(step, fresh, run, own)?,
        })
    }

    fn passed(&self, step: &Step, run: &Run, now: Instant) -> Result<Passed, StoreError> {
        let Some(class) = GateClass::of(step.act) else { return Ok(Passed::default()) };
        let today = self.tools.store.gate_counts_since(step.key.account(), day_start(now))?;
        Ok(Passed {
            in_run: self.tools.store.gate_counts_of_run(&run.id, step.key.account())?.of_class(class),
            destructive_today: today.of_class(GateClass::Destructive),
            of_kind_today: today.changes_of_kind(step.key.kind()),
        })
    }
}

/// First midnight UTC of the day: pace counts by calendar day.
pub(super) fn day_start(now: Instant) -> Instant {
    now.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// The decision. Pure.
pub(super) fn judge(facts: &Facts<'_>) -> Ruling {
    if facts.step.act.expires() {
        let ruling = foreign(facts).or_else(|| halted(facts)).or_else(|| expiry::stays(facts));
        return ruling.unwrap_or(Ruling::Pass);
    }
    foreign(facts)
        .or_else(|| halted(facts))
        .or_else(|| unarmed(facts))
        .or_else(|| not_due(facts))
        .or_else(|| unapproved(facts))
        .or_else(|| resource::untouchable(facts))
        .or_else(|| basis::unbelieved(facts))
        .or_else(|| breaker::tripped(facts))
        .or_else(|| over_pace(facts))
        .unwrap_or(Ruling::Pass)
}

/// A call that is not the step's, or a target that may never be touched.
fn foreign(facts: &Facts<'_>) -> Option<Ruling> {
    let (step, call) = (facts.step, facts.call);
    let freeze = |why: String| Some(Ruling::Freeze(why));
    let place = &step.key.partition.place;
    if !facts.rules.places.contains(place) {
        return freeze(format!("{} is in {place}, which the settings do not list", step.key));
    }
    if !step.key.id.starts_with(step.key.kind().id_prefix()) {
        return freeze(format!("{:?} is no id of a {}", clean(&step.key.id), step.key.kind().noun()));
    }
    if facts.fresh.key != step.key {
        return freeze(format!("the step names {}, what was read is {}", step.key, facts.fresh.key));
    }
    if let Call::RegisterImage(new) = call {
        let source = (format!("{OWN_TAGS}source"), step.key.id.to_string());
        let ours = (step.act, facts.purpose) == (Act::TerminateInstance, Purpose::Backup) && new.tags.contains(&source);
        return if ours { None } else { freeze(format!("{call} is not what {} on {} calls", step.act, step.key)) };
    }
    if call.target() != &*step.key.id {
        return freeze(format!("the call names {}, the step {}", clean(call.target()), step.key));
    }
    let expected = match (step.act, step.key.kind(), call) {
        // A resize of an instance that runs begins with its stop, of one that is stopped with its new type.
        (Act::ResizeInstance, Kind::Instance, Call::StopInstance { .. }) => {
            facts.purpose != Purpose::Backup && facts.fresh.state() == "running"
        }
        (Act::ResizeInstance, Kind::Instance, Call::ModifyInstanceType { to, .. }) => {
            facts.purpose != Purpose::Backup && facts.fresh.state() == "stopped" && step.to_type.as_ref() == Some(to)
        }
        (Act::ResizeInstance, Kind::Instance, Call::CreateSnapshots { .. }) => facts.purpose == Purpose::Backup,
        (Act::TerminateInstance, Kind::Instance, Call::TerminateInstance { .. }) => facts.purpose != Purpose::Backup,
        (Act::TerminateInstance, Kind::Instance, Call::CreateSnapshots { .. }) => facts.purpose == Purpose::Backup,
        (Act::StopInstance, Kind::Instance, Call::StopInstance { .. })
        | (Act::DeleteVolume, Kind::Volume, Call::DeleteVolume { .. }) => facts.purpose != Purpose::Backup,
        (Act::StopInstance, Kind::Instance, Call::CreateSnapshots { .. })
        | (Act::DeleteVolume, Kind::Volume, Call::CreateSnapshot { .. }) => facts.purpose == Purpose::Backup,
        (Act::ModifyVolume, Kind::Volume, Call::ModifyVolume { .. })
        | (Act::ReleaseAddress, Kind::Address, Call::ReleaseAddress { .. })
        | (Act::DeleteSnapshot, Kind::Snapshot, Call::DeleteSnapshot { .. })
        | (Act::ExpireSnapshot, Kind::Snapshot, Call::ExpireSnapshot { .. })
        | (Act::ExpireImage, Kind::Image, Call::DeregisterImage { .. }) => facts.purpose != Purpose::Backup,
        (Act::AddTags, _, Call::CreateTags { resource, .. }) => {
            *resource == step.key && facts.purpose != Purpose::Backup
        }
        _ => false,
    };
    if !expected {
        return freeze(format!("{call} is not what {} on a {} calls", step.act, step.key.kind().noun()));
    }
    storage::slower(facts.fresh, call).map(Ruling::Freeze)
}

/// Not now: frozen, another holder, outside the window, an old read; or the clock is not to be believed.
fn halted(facts: &Facts<'_>) -> Option<Ruling> {
    let hold = |why: String| Some(Ruling::Hold(why));
    if let Some(mark) = facts.clock_mark
        && facts.now + TimeDelta::seconds(60) < mark
    {
        let why = format!("the clock shows {} after it showed {}; it is not to be believed", facts.now, mark);
        return Some(Ruling::Freeze(why));
    }
    if let Some(ahead) = facts.cloud_ahead.filter(|ahead| ahead.abs() > CLOCK_DIFFERENCE) {
        let side = if ahead > TimeDelta::zero() { "behind" } else { "ahead of" };
        let why = format!(
            "our clock is {} s {side} the cloud's; set it before anything is changed",
            ahead.abs().num_seconds()
        );
        return hold(why);
    }
    if let Some(freeze) = &facts.frozen
        && !planted!("ignore-a-freeze")
    {
        return hold(format!("frozen by {} since {}: {}", clean(&freeze.by), freeze.at, clean(&freeze.reason)));
    }
    if facts.fence != Some(facts.run.fence) && !planted!("drop-the-fence") {
        return hold("another worker holds the acting lease, or it ran out".into());
    }
    if let Some(why) = facts.rules.window.closed_because(facts.now).filter(|_| !planted!("ignore-the-window")) {
        return hold(why);
    }
    let age = facts.now - facts.read_at;
    if age > TimeDelta::seconds(FRESH_SECONDS) || age < TimeDelta::zero() {
        return hold(format!("the last read of {} is {} seconds old", facts.step.key, age.num_seconds()));
    }
    None
}

/// What the mode, the arming and the switches do not allow.
fn unarmed(facts: &Facts<'_>) -> Option<Ruling> {
    let (step, rules) = (facts.step, facts.rules);
    let refuse = |code, why: String| Some(Ruling::Refuse(code, why));
    match (rules.mode, rules.by_hand) {
        (Mode::Observe, _) if planted!("observe-acts") => {}
        (Mode::Observe, _) => return refuse(HoldCode::Mode, "mode observe changes nothing".into()),
        (Mode::Notify, false) => return refuse(HoldCode::Mode, "mode notify changes nothing by itself".into()),
        (Mode::Notify, true) | (Mode::Enforce, _) => {}
    }
    if rules.policies.get(&step.policy) != Some(&step.policy_hash) {
        let why = format!("policy {} is not the one that the plan was made from", clean(&step.policy));
        return refuse(HoldCode::PolicyChanged, why);
    }
    if rules.mode == Mode::Enforce {
        let account = step.key.account();
        let Some(arming) = facts.arming.as_ref().filter(|arming| arming.account == *account) else {
            return refuse(HoldCode::NotArmed, format!("account {account} is not armed"));
        };
        if facts.now > arming.until && !planted!("a-disarmed-account-is-armed") {
            return refuse(HoldCode::NotArmed, format!("the arming of account {account} ended {}", arming.until));
        }
        let known = arming.policies.iter().any(|(name, hash)| *name == step.policy && *hash == step.policy_hash);
        if !known && !planted!("ignore-the-policys-hash") {
            let why = format!("policy {} changed after account {account} was armed", clean(&step.policy));
            return refuse(HoldCode::PolicyChanged, why);
        }
    }
    let allowed = match step.act {
        Act::StopInstance | Act::AddTags | Act::ResizeInstance | Act::ModifyVolume | Act::ReleaseAddress => true,
        Act::DeleteSnapshot => rules.switches.recycle_bin_days.is_some(),
        Act::DeleteVolume => rules.switches.allow_auto_delete_volumes,
        Act::TerminateInstance => rules.switches.allow_auto_terminate,
        Act::SendNotification => false,
        // Judged by `expiry` alone.
        Act::ExpireSnapshot | Act::ExpireImage => false,
    };
    if !allowed {
        return refuse(HoldCode::SwitchedOff, format!("{} is switched off", step.act));
    }
    None
}

/// The finding is closed, excepted, not due, or its owner was not warned long enough ago.
fn not_due(facts: &Facts<'_>) -> Option<Ruling> {
    let (step, now) = (facts.step, facts.now);
    let refuse = |code, why: String| Some(Ruling::Refuse(code, why));
    let Some(finding) = &facts.finding else {
        return refuse(HoldCode::Incomplete, format!("finding {} is not on file", step.finding));
    };
    if finding.key != step.key || finding.policy != step.policy || finding.rule != step.rule {
        return Some(Ruling::Freeze(format!("finding {} is not about {} and its rule", finding.id, step.key)));
    }
    if finding.act() != Some(step.act) {
        return refuse(HoldCode::PolicyChanged, format!("the finding does not ask to {} any more", step.act.words()));
    }
    if finding.to_type != step.to_type {
        return refuse(HoldCode::PolicyChanged, "the finding asks for another type by now".into());
    }
    if finding.state != State::Open {
        return refuse(HoldCode::Excepted, format!("the finding is {}: {}", finding.state, clean(&finding.reason)));
    }
    if let Some(why) = &finding.unjudged {
        return refuse(HoldCode::Incomplete, format!("the last look could not tell: {}", clean(why)));
    }
    if finding.standing != crate::domain::check::Standing::Proven {
        return refuse(HoldCode::ReportedOnly, "the finding is not proven".into());
    }
    if finding.suppressed && !planted!("act-after-an-undo") {
        return refuse(HoldCode::ActedRecently, "a person undid the last act".into());
    }
    if let Some(why) = holds(&facts.rules.exceptions, &facts.stored, finding, now) {
        return refuse(HoldCode::Excepted, why);
    }
    if let Some(day) = finding.keep_until.filter(|day| now.date_naive() <= *day) {
        return refuse(HoldCode::KeepUntil, format!("its owner keeps it through {day}"));
    }
    match finding.clock.due_at {
        None => return refuse(HoldCode::Unnoticed, "no notice was delivered, so no grace period runs".into()),
        Some(due) if due > now && !planted!("act-before-due") => {
            return refuse(HoldCode::InGrace, format!("it is not due before {due}"));
        }
        Some(_) => {}
    }
    // The floor counts from the delivery rows themselves, not from the clocks that were derived from them.
    let floor = match GateClass::of(step.act) {
        Some(GateClass::Destructive) | None => TimeDelta::hours(24),
        Some(GateClass::Disruptive) => TimeDelta::hours(1),
        Some(GateClass::Tag) => TimeDelta::zero(),
    };
    let since = |kind| facts.notices.iter().filter(move |(own, _)| *own == kind).map(|(_, at)| *at);
    let warned = match finding.clock.first_notice {
        Some(first) => first + floor <= now && since(NoticeKind::First).any(|at| at <= first),
        None => false,
    };
    if !warned && !planted!("act-before-due") {
        let why = format!(
            "no notice of this grace period was delivered {} hours ago or earlier; {} needs that",
            floor.num_hours(),
            step.act
        );
        return refuse(HoldCode::Unnoticed, why);
    }
    if let Some(last) = facts.last_act
        && step.act != Act::AddTags
        && now - last < TimeDelta::days(if planted!("again-within-a-week") { 0 } else { 7 })
    {
        return refuse(HoldCode::ActedRecently, format!("we acted on it {last}, less than seven days ago"));
    }
    None
}

/// One more than the pace allows can only come from a planner that miscounted.
fn over_pace(facts: &Facts<'_>) -> Option<Ruling> {
    if facts.purpose != Purpose::Act {
        return None;
    }
    let (pace, passed) = (&facts.rules.pace, &facts.passed);
    let key = (facts.step.key.account().clone(), facts.step.key.kind());
    let of_kind = pace.daily_share(facts.rules.totals.get(&key).copied().unwrap_or(0));
    let limits = match GateClass::of(facts.step.act) {
        Some(GateClass::Destructive) => vec![
            ("destructive acts in a run", passed.in_run, u64::from(pace.destructive_per_run)),
            ("destructive acts in a day", passed.destructive_today, u64::from(pace.destructive_per_day)),
            ("acts on one kind in a day", passed.of_kind_today, of_kind),
        ],
        Some(GateClass::Disruptive) => vec![
            ("stops and resizes in a run", passed.in_run, u64::from(pace.disruptive_per_run)),
            ("acts on one kind in a day", passed.of_kind_today, of_kind),
        ],
        Some(GateClass::Tag) => vec![("tag writes in a run", passed.in_run, u64::from(pace.tags_per_run))],
        None => return Some(Ruling::Freeze(format!("{} changes nothing and has no pace", facts.step.act))),
    };
    let spare = u64::from(planted!("one-over-the-pace"));
    let none = |limit: u64| limit == 0 && planted!("zero-is-no-limit");
    limits.into_iter().find(|(_, count, limit)| *count >= *limit + spare && !none(*limit)).map(
        |(what, count, limit)| {
            Ruling::Freeze(format!(
                "the gate counted {count} {what} in account {} and {limit} are allowed; the plan asked for one more",
                facts.step.key.account()
            ))
        },
    )
}
