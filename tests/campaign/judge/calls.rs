//! Judges a change in the moment in which the program asks for it: one function an invariant.

use chrono::{TimeDelta, Timelike};
use costwarden::cloud::sim::{ChangeRecord, Effect};
use costwarden::cloud::{Answer, Call, CloudError, ErrorKind};
use costwarden::domain::Instant;
use costwarden::domain::fact::Fact;
use costwarden::domain::finding::{Act, FindingId};
use costwarden::domain::mode::Mode;
use costwarden::domain::place::{Kind, Place};
use costwarden::domain::remediation::{JournalState, Remediation};
use costwarden::domain::resource::Resource;
use costwarden::remediate::KEY_TAG;
use costwarden::store::ACTING_LEASE;

use super::book::{Sent, Word};
use super::{breaker, claims, keys, made};
use crate::director::Director;
use crate::faults::What;
use crate::policies::{self, ACTS, Class, class};
use crate::scene::{Bait, Card, weekday};

/// One request with everything that is true in its moment.
pub struct Case<'a> {
    pub(super) director: &'a Director,
    process: u32,
    pub(super) place: &'a Place,
    pub(super) call: &'a Call,
    pub(super) now: Instant,
    /// The act that is asked for; `None` for its backup.
    pub(super) act: Option<Act>,
    /// The act that is under way.
    pub(super) row: Option<Remediation>,
    truth: Option<Resource>,
    card: Option<Card>,
    pub(super) changes: Vec<ChangeRecord>,
    calls: usize,
}

pub(super) type Verdict = Option<String>;
type Judgement = fn(&Case<'_>) -> Option<Verdict>;

/// Every judgement of a request: `None` where it has nothing to say.
const JUDGEMENTS: [(&str, Judgement); 19] = [
    ("I01", i01_backup),
    ("I01", keys::i01_keys),
    ("I01", made::i01_image),
    ("I02", i02_once),
    ("I02", made::i02_taken_back),
    ("I03", i03_intent),
    ("I04", i04_complete),
    ("I05", i05_unchanged),
    ("I06", i06_in_time),
    ("I07", i07_people),
    ("I08", i08_pace),
    ("I08", breaker::i08_breaker),
    ("I09", i09_armed),
    ("I10", i10_waste),
    ("I12", i12_fence),
    ("I13", i13_untouchable),
    ("I13", claims::i13_claimed),
    ("I14", i14_kept),
    ("I21", i21_frozen),
];

/// Judges a request before it is let through.
pub fn before<'a>(director: &'a Director, process: u32, place: &'a Place, call: &'a Call) -> Case<'a> {
    let id = call.target().to_owned();
    let row = director.store.open_remediations().unwrap_or_default().into_iter().find(|row| *row.step.key.id == *id);
    let (truth, changes) = director
        .cloud
        .truth(|truth| truth.resource(&id).cloned())
        .map_or_else(|| (None, Vec::new()), |resource| (Some(resource), director.cloud.changes()));
    let act = made::act_of(call, row.as_ref());
    let case = Case {
        director,
        process,
        place,
        call,
        now: director.truth.now(),
        act,
        row,
        truth,
        card: director.scene.cards.get(&id).cloned(),
        changes,
        calls: director.cloud.call_count(),
    };
    for (invariant, judgement) in JUDGEMENTS {
        if let Some(verdict) = judgement(&case) {
            director.judge(invariant, verdict.map(|why| format!("{} on {id}: {why}", call.operation())));
        }
    }
    case
}

/// Takes down what became of it.
pub fn after(director: &Director, case: &Case<'_>, call: &Call, answer: &Result<Answer, CloudError>) {
    let record = director.cloud.calls_since(case.calls).into_iter().find(|own| own.mutating());
    let effective = record.as_ref().is_some_and(|own| own.effective);
    if let Some(record) = &record
        && !record.overwrote.is_empty()
    {
        director.judge("I10", Some(format!("CreateTags overwrote {:?} of {}", record.overwrote, call.target())));
    }
    let Some(act) = case.act else { return };
    let rejected = answer.as_ref().is_err_and(CloudError::definite);
    let sent = Sent {
        at: case.now,
        account: case.place.account.clone(),
        kind: case.truth.as_ref().map_or(Kind::Instance, Resource::kind),
        act,
        row: case.row.as_ref().map_or(0, |row| row.id),
        fence: case.row.as_ref().map_or(0, |row| row.fence),
        resource: call.target().to_owned(),
        rejected,
        effective,
    };
    director.with(|inner| {
        if effective && act == Act::StopInstance {
            inner.book.stopped.insert(sent.resource.clone());
            inner.book.reversed.remove(&sent.resource);
        }
        if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Uncertain) {
            inner.tally.did("unanswered acts", 1);
        }
        inner.book.sent.push(sent);
    });
}

impl Case<'_> {
    /// A change of the last moment that no read could show yet.
    pub(super) fn raced(&self) -> bool {
        let horizon = self.director.scene.lag + TimeDelta::seconds(62);
        let mut ids: Vec<&str> = vec![self.call.target()];
        for resource in self.truth.iter() {
            ids.extend(resource.instance().iter().flat_map(|own| own.volumes.iter()).map(|own| &*own.volume));
        }
        if let Some(row) = &self.row {
            ids.extend(row.snapshots.iter().map(|own| &*own.volume));
            ids.extend(row.snapshots.iter().filter_map(|own| own.snapshot.as_deref()));
        }
        let about = |change: &&ChangeRecord| change.refused.is_none() && ids.contains(&change.target.as_str());
        self.changes.iter().filter(about).any(|change| self.now - change.at <= horizon)
    }

    pub(super) fn finding(&self) -> Option<FindingId> {
        let act = self.act?;
        let (_, policy, rule) = ACTS.iter().find(|(own, _, _)| *own == act)?;
        Some(FindingId::derive(&self.truth.as_ref()?.key, policy, rule))
    }

    fn rule(&self) -> Option<&'static str> {
        ACTS.iter().find(|(own, _, _)| Some(*own) == self.act).map(|(_, _, rule)| *rule)
    }

    pub(super) fn set(&self) -> &'static policies::PolicySet {
        let edition = self.director.with(|inner| inner.book.edition);
        policies::of(&self.director.scene, edition)
    }

    fn destructive(&self) -> bool {
        self.act.is_some_and(|act| class(act) == Class::Destructive)
    }
}

fn i01_backup(case: &Case<'_>) -> Option<Verdict> {
    let truth = case.truth.as_ref()?;
    let volumes: Vec<String> = match case.act? {
        Act::DeleteVolume => vec![truth.key.id.to_string()],
        Act::StopInstance if !case.director.scene.settings.enforcement.create_snapshot_before_stop => return None,
        Act::StopInstance | Act::TerminateInstance | Act::ResizeInstance => {
            truth.instance()?.volumes.iter().map(|own| own.volume.to_string()).collect()
        }
        _ => return None,
    };
    if case.raced() {
        return None;
    }
    let row = case.row.as_ref().map_or(0, |row| row.id);
    let missing: Vec<String> = case.director.cloud.truth(|all| {
        let safe = |volume: &String| {
            let size = all.resource(volume).and_then(Resource::volume).map(|own| own.size_gib);
            all.snapshots_of(volume).into_iter().any(|own| {
                let snapshot = own.snapshot();
                snapshot.is_some_and(|own| &*own.state == "completed" && Some(own.volume_size_gib) == size)
                    && own.tag(KEY_TAG).is_some_and(|value| value.ends_with(&format!("-r{row}")))
            })
        };
        volumes.iter().filter(|volume| !safe(volume)).cloned().collect()
    });
    let recorded = case.row.as_ref().is_some_and(|row| {
        volumes
            .iter()
            .all(|volume| row.snapshots.iter().any(|own| *own.volume == **volume && own.completed_at.is_some()))
    });
    Some(match (missing.is_empty(), recorded) {
        (false, _) => Some(format!("no completed snapshot of {}", missing.join(", "))),
        (true, false) => Some("its snapshots are not recorded as completed".to_owned()),
        (true, true) => None,
    })
}

fn i02_once(case: &Case<'_>) -> Option<Verdict> {
    let act = case.act?;
    let row = case.row.as_ref().map_or(0, |row| row.id);
    let id = case.call.target();
    let reversed = reversed(case);
    case.director.with(|inner| {
        let sent = &inner.book.sent;
        if let Some(earlier) = sent.iter().find(|own| own.row == row && !own.rejected) {
            return Some(Some(format!("r-{row} asked for it already at {}", earlier.at)));
        }
        if act != Act::AddTags {
            let week = |own: &&Sent| own.resource == id && own.act != Act::AddTags && own.effective;
            if let Some(earlier) = sent.iter().filter(week).find(|own| case.now - own.at < TimeDelta::days(7)) {
                return Some(Some(format!("it was changed at {} already", earlier.at)));
            }
            if let Some(at) = reversed {
                return Some(Some(format!("somebody took the last act back at {at}")));
            }
        }
        Some(None)
    })
}

/// When somebody started again what a finished act of ours had stopped, long enough ago for scans to have seen it.
fn reversed(case: &Case<'_>) -> Option<Instant> {
    let id = case.call.target();
    let stopped = case.director.with(|inner| {
        let ours = |own: &&Sent| own.resource == id && own.act == Act::StopInstance && own.effective;
        inner.book.sent.iter().rfind(ours).map(|own| (own.at, own.row))
    });
    let (at, row) = stopped?;
    let done = case.director.store.remediation(row).ok()??.state == JournalState::Done;
    let started = case.changes.iter().find(|own| {
        own.refused.is_none() && own.target == id && own.what == "starts" && own.at > at + TimeDelta::minutes(30)
    });
    started.map(|own| own.at).filter(|at| done && case.now - *at > TimeDelta::days(5))
}

fn i03_intent(case: &Case<'_>) -> Option<Verdict> {
    let Some(row) = &case.row else { return Some(Some("no open row in the journal".into())) };
    let wanted = if case.act.is_some() { JournalState::ActIntent } else { JournalState::SnapIntent };
    let hash = made::hash_of(case.call);
    let committed = case.director.store.remediation_history(row.id).unwrap_or_default();
    Some(if row.state != wanted || !committed.iter().any(|own| own.state == wanted) {
        Some(format!("r-{} is {}, no committed {}", row.id, row.state.word(), wanted.word()))
    } else if row.call_hash.as_deref() != Some(hash.as_str()) {
        Some(format!("r-{} is committed for other arguments", row.id))
    } else {
        None
    })
}

fn i04_complete(case: &Case<'_>) -> Option<Verdict> {
    let kind = case.truth.as_ref()?.kind();
    case.act?;
    let partition = case.place.partition(kind);
    let (broken, scanned) =
        case.director.with(|inner| (inner.broken_reads.get(&partition).copied(), inner.book.scanned_at));
    // What was begun after a complete read and waited for its snapshots is judged again by itself.
    if case.row.as_ref().is_some_and(|row| scanned.is_none_or(|at| row.claimed_at < at)) {
        return None;
    }
    Some(match broken {
        Some(false) => None,
        Some(true) => Some(format!("the last read of {partition} met an error")),
        None => Some(format!("{partition} was never read")),
    })
}

fn i05_unchanged(case: &Case<'_>) -> Option<Verdict> {
    case.act?;
    let (row, truth) = (case.row.as_ref()?, case.truth.as_ref()?);
    let before = case.director.with(|inner| inner.claimed.get(&row.id).cloned())?;
    if case.raced() {
        return None;
    }
    Some((look(&before) != look(truth)).then(|| format!("it was {} and is {}", look(&before), look(truth))))
}

/// What must not change between plan and act.
fn look(resource: &Resource) -> String {
    let tags: Vec<String> = resource
        .tags
        .known()
        .into_iter()
        .flat_map(|tags| tags.iter())
        .filter(|(key, _)| !key.starts_with("costwarden:"))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let more = match (resource.instance(), resource.volume()) {
        (Some(own), _) => {
            format!("{} {:?} {:?} {:?}", own.instance_type, own.volumes, own.termination_protected, own.stop_protected)
        }
        (_, Some(own)) => format!("{} {} {:?}", own.volume_type, own.size_gib, own.attachments),
        _ => String::new(),
    };
    format!("{} {more} {}", resource.state(), tags.join(","))
}

fn i06_in_time(case: &Case<'_>) -> Option<Verdict> {
    if let Some(why) = out_of_hours(case.director) {
        return Some(Some(why));
    }
    let finding = case.finding()?;
    let (grace, second) = case.set().grace(case.act?);
    let (warnings, ended) = case.director.with(|inner| {
        // A request that was never granted holds, and leaves the grace as it was (N8).
        let of = |own: &&super::book::Grant| {
            own.resource == case.call.target() && Some(&*own.rule) == case.rule() && !own.asked
        };
        let ended = inner.book.grants.iter().filter(of).map(|own| own.until).filter(|until| *until < case.now).max();
        (inner.book.warnings.get(&finding.0).cloned().unwrap_or_default(), ended)
    });
    let told = |at: Instant| at + grace <= case.now && ended.is_none_or(|end| at > end);
    let first = warnings.iter().filter(|(_, word)| *word == Word::First).any(|(at, _)| told(*at));
    let last = !second
        || warnings.iter().any(|(at, word)| {
            *word == Word::Second && *at + TimeDelta::hours(24) <= case.now && ended.is_none_or(|end| *at > end)
        });
    Some((!(first && last)).then(|| {
        format!(
            "warned {warnings:?}; {} h are due, second notice {second}, exception until {ended:?}",
            grace.num_hours()
        )
    }))
}

/// Outside the window, or in another mode than enforce: nothing leaves by itself then.
pub(super) fn out_of_hours(director: &Director) -> Option<String> {
    let (now, settings) = (director.truth.now(), &director.scene.settings);
    let local = now.with_timezone(&settings.zone);
    let window = &settings.enforcement.window;
    let open = window.days.iter().any(|day| day.number_from_monday() == weekday(now, settings.zone))
        && !window.holidays.contains(&local.date_naive())
        && local.time().with_nanosecond(0).is_some_and(|time| (window.from..window.to).contains(&time));
    if !open {
        return Some(format!("{local} is outside the window"));
    }
    let mode = director.with(|inner| inner.book.mode);
    (mode != Mode::Enforce).then(|| "the mode is not enforce".to_owned())
}

fn i07_people(case: &Case<'_>) -> Option<Verdict> {
    let id = case.call.target();
    let act = case.row.as_ref().map(|row| row.step.act)?;
    let rule = case.row.as_ref().map(|row| row.step.rule.clone())?;
    let people = policies::people_for(act, case.director.scene.people);
    case.director.with(|inner| {
        let holds = |own: &&super::book::Grant| {
            own.resource == id && own.rule == rule && own.from < case.now && case.now <= own.until
        };
        if let Some(own) = inner.book.grants.iter().find(holds) {
            return Some(Some(format!("exception {} holds until {}", own.id, own.until)));
        }
        let yes = inner.book.yes.get(&(id.to_owned(), act.word()));
        let fresh = |at: Instant| case.now - at <= TimeDelta::hours(24);
        let mut who: Vec<&str> =
            yes.into_iter().flatten().filter(|(_, at)| fresh(*at)).map(|(who, _)| who.as_str()).collect();
        who.sort_unstable();
        who.dedup();
        Some((who.len() < usize::from(people)).then(|| format!("{} of {people} people said yes", who.len())))
    })
}

fn i08_pace(case: &Case<'_>) -> Option<Verdict> {
    let act = case.act?;
    let pace = case.director.with(|inner| inner.book.pace);
    let fence = case.row.as_ref().map_or(0, |row| row.fence);
    let kind = case.truth.as_ref()?.kind();
    if act.expires() {
        // Old backups have a limit of their own; no day's pace counts them.
        let gone = case.director.with(|inner| {
            let ended = |own: &&Sent| own.fence == fence && own.act == act && own.account == case.place.account;
            inner.book.sent.iter().filter(ended).count()
        });
        return Some((gone >= 100).then(|| format!("{gone} backups ended in this run")));
    }
    let total = i08_total(case, kind);
    let share = match pace.percent_of_kind_per_day {
        0 => 0,
        percent => (total * u64::from(percent) / 100).max(1),
    };
    case.director.with(|inner| {
        let own = |sent: &&Sent| sent.account == case.place.account && !sent.rejected;
        let today = |sent: &&Sent| sent.at.date_naive() == case.now.date_naive();
        let sent = || inner.book.sent.iter().filter(own);
        let in_run = sent().filter(|own| own.fence == fence && class(own.act) == class(act)).count() as u32;
        let limit = match class(act) {
            Class::Destructive => pace.destructive_per_run,
            Class::Disruptive => pace.disruptive_per_run,
            Class::Tag => pace.tags_per_run,
        };
        if in_run >= limit {
            return Some(Some(format!("{in_run} in this run, {limit} are allowed")));
        }
        // A clock that jumped lived through other days.
        if act == Act::AddTags || inner.book.jumped_at.is_some_and(|at| case.now - at < TimeDelta::days(2)) {
            return Some(None);
        }
        let deletes = sent().filter(today).filter(|own| class(own.act) == Class::Destructive).count() as u32;
        if case.destructive() && deletes >= pace.destructive_per_day {
            return Some(Some(format!("{deletes} deletes today")));
        }
        let of_kind = sent().filter(today).filter(|own| own.act != Act::AddTags && own.kind == kind).count() as u64;
        Some((of_kind >= share).then(|| format!("{of_kind} of this kind today, {share} of {total} are allowed")))
    })
}

/// Resources of a kind in the account, those that went in the last days included: the program counts by its last scan.
fn i08_total(case: &Case<'_>, kind: Kind) -> u64 {
    let listed = |place: &Place| {
        let accounts = &case.director.scene.settings.accounts;
        accounts.iter().any(|own| own.id == place.account && own.regions.contains(&place.region))
    };
    let now = case.director.cloud.truth(|truth| {
        let of = |one: &&Resource| {
            one.kind() == kind && *one.key.account() == case.place.account && listed(&one.key.partition.place)
        };
        truth.resources().filter(of).count() as u64
    });
    let lately = |at: Instant| case.now - at < TimeDelta::days(4);
    let theirs = case.changes.iter().filter(|own| own.refused.is_none() && own.what == "deletes" && lately(own.at));
    now + made::gone_lately(case, kind) + if kind == Kind::Instance { 0 } else { theirs.count() as u64 }
}

fn i09_armed(case: &Case<'_>) -> Option<Verdict> {
    let id = case.call.target();
    let listed = case.director.scene.settings.accounts.iter();
    let listed = listed.clone().any(|own| own.id == case.place.account && own.regions.contains(&case.place.region));
    let prefix = match case.call {
        Call::StopInstance { .. } | Call::CreateSnapshots { .. } => "i-",
        Call::DeleteVolume { .. } | Call::CreateSnapshot { .. } => "vol-",
        _ => "",
    };
    let stranger = foreign_credentials(case.director);
    let truly = case.truth.as_ref().is_none_or(|own| own.key.partition.place == *case.place);
    let (armed, edition) =
        case.director.with(|inner| (inner.book.armed.get(&case.place.account).copied(), inner.book.edition));
    Some(if stranger {
        Some("the acting credentials were another account's for a quarter of an hour".into())
    } else if !listed || !truly {
        Some(format!("{} is not its place, or not listed", case.place))
    } else if !id.starts_with(prefix) {
        Some(format!("{id} is no id for it"))
    } else if armed
        .is_none_or(|(_, own)| own != edition && case.row.as_ref().is_none_or(|row| row.step.policy == "waste"))
    {
        // The other edition changes `waste` alone.
        Some(format!("armed {armed:?}, edition {edition} is in force"))
    } else {
        None
    })
}

/// The acting credentials are another account's, and have been since before the last question whose they are.
pub(super) fn foreign_credentials(director: &Director) -> bool {
    let now = director.truth.now();
    let asked = now - TimeDelta::minutes(16);
    director.scene.planned.iter().any(|planned| match &planned.what {
        What::Cloud(fault) => {
            matches!(fault.effect, Effect::WrongIdentity(_)) && fault.span.holds(asked) && fault.span.holds(now)
        }
        _ => false,
    })
}

fn i10_waste(case: &Case<'_>) -> Option<Verdict> {
    let act = case.act?;
    let (truth, card) = (case.truth.as_ref()?, case.card.as_ref()?);
    if case.raced() {
        return None;
    }
    Some(match act {
        Act::StopInstance | Act::TerminateInstance if truth.state() != "running" => {
            Some(format!("it is {}", truth.state()))
        }
        Act::StopInstance | Act::TerminateInstance if matches!(card.bait, Bait::InUse | Bait::Only(_)) => {
            Some("it is in use".into())
        }
        Act::StopInstance | Act::TerminateInstance => busy_lately(case).map(|at| format!("it works since {at}")),
        Act::DeleteVolume if truth.state() != "available" => Some(format!("it is {}", truth.state())),
        Act::DeleteVolume => {
            let seen = case.director.with(|inner| inner.book.seen_attached.get(case.call.target()).copied());
            seen.filter(|at| case.now - *at < TimeDelta::days(14)).map(|at| format!("a scan saw it attached at {at}"))
        }
        Act::AddTags => {
            let (key, value) = policies::COST_CENTER;
            let Call::CreateTags { tags, .. } = case.call else { return Some(Some("another call".into())) };
            let odd = |own: &&(String, String)| (own.0 != key || own.1 != value) && !own.0.starts_with("costwarden:");
            let known = |own: &&(String, String)| truth.tag(&own.0).is_some();
            let wrong = tags.iter().find(odd).or_else(|| tags.iter().find(known));
            wrong.map(|(key, value)| format!("{key}={value} is not missing"))
        }
        other => made::not_for_it(case, other, truth, card.bait),
    })
}

/// Since when it works, if it worked long enough for metrics to show it.
fn busy_lately(case: &Case<'_>) -> Option<Instant> {
    let uses: Vec<&ChangeRecord> = case
        .changes
        .iter()
        .filter(|own| own.refused.is_none() && own.target == case.call.target() && own.what.starts_with("use"))
        .collect();
    // Uses come in turns: work, then rest again; those in a gap never end.
    let (index, last) = uses.iter().enumerate().next_back()?;
    let rests = last.by == "ann"
        && case.director.scene.world.events.iter().any(|event| {
            event.at == last.at
                && matches!(&event.change, costwarden::cloud::sim::Change::Use { usage, .. } if **usage == idle())
        });
    let begun = if rests { uses.get(index.checked_sub(1)?)?.at } else { last.at };
    let still = !rests || case.now - last.at < TimeDelta::hours(20);
    (still && case.now - begun > TimeDelta::hours(3)).then_some(begun)
}

fn idle() -> costwarden::cloud::sim::Usage {
    costwarden::cloud::sim::Usage::constant(1.0, 1e5, 1e5)
}

fn i12_fence(case: &Case<'_>) -> Option<Verdict> {
    let row = case.row.as_ref()?;
    let lease = case.director.store.lease_fence(ACTING_LEASE).ok().flatten();
    let holder = case.director.with(|inner| *inner.book.fences.entry(row.fence).or_insert(case.process));
    Some(if lease != Some(row.fence) {
        Some(format!("its fence is {}, the lease's {lease:?}", row.fence))
    } else if holder != case.process {
        Some(format!("workers {holder} and {} act under fence {}", case.process, row.fence))
    } else {
        None
    })
}

fn i13_untouchable(case: &Case<'_>) -> Option<Verdict> {
    let (truth, card) = (case.truth.as_ref()?, case.card.as_ref()?);
    let tagging = case.act == Some(Act::AddTags);
    let always = matches!(
        card.bait,
        Bait::ProtectTag | Bait::ProtectList | Bait::Flag | Bait::Managed | Bait::KeepUntil | Bait::NoOwner
    );
    let fragile = match card.bait {
        Bait::Spot | Bait::LocalDisks => true,
        // An elastic address that somebody gives it takes the place of the one that a stop would lose.
        Bait::PublicAddress => truth.instance().is_none_or(|own| own.auto_public_ip != Fact::Absent),
        _ => false,
    };
    if always || (fragile && !tagging) {
        return Some(Some(format!("it is {:?}", card.bait)));
    }
    if case.raced() {
        return None;
    }
    let on = |flag: &Fact<bool>| *flag == Fact::Known(true);
    let flagged = truth.instance().is_some_and(|own| on(&own.termination_protected) || on(&own.stop_protected));
    let tagged = truth.tag("costwarden:protect").is_some_and(|value| value != "false");
    Some((flagged || tagged).then(|| "somebody protected it".to_owned()))
}

fn i14_kept(case: &Case<'_>) -> Option<Verdict> {
    let kept = |own: &Resource| {
        let young = own.created_at.known().is_none_or(|at| case.now - *at < TimeDelta::days(90));
        let ours = match own.kind() {
            Kind::Snapshot => own.tag(KEY_TAG).is_some(),
            Kind::Image => own.tag("costwarden:safety-snapshot").is_some(),
            _ => false,
        };
        ours && young
    };
    Some(case.truth.as_ref().is_some_and(kept).then(|| "it is a backup of ours of the last ninety days".to_owned()))
}

fn i21_frozen(case: &Case<'_>) -> Option<Verdict> {
    let person = case.director.with(|inner| inner.book.frozen_by_person(case.now));
    let stored = case.director.store.frozen().ok().flatten();
    Some((person || stored.is_some()).then(|| format!("frozen by a person: {person}; on file: {stored:?}")))
}
