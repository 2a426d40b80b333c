//! What people and other processes do: in the gaps of an act, and between jobs.
//!
//! Each deed tells whether it really happened, and the judge's book is written here, from what people did, never from
//! what the program made of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use chrono::TimeDelta;
use costwarden::cloud::sim::{Change, Event, Usage, plant};
use costwarden::deliver::mail::Mailer;
use costwarden::domain::exception::{ExceptionRecord, ExceptionStatus, ExceptionType};
use costwarden::domain::lifecycle::ApprovalKind;
use costwarden::domain::mode::{Arming, Freeze, Mode};
use costwarden::domain::place::Kind as Sort;
use costwarden::domain::plan::Step;
use costwarden::domain::remediation::Remediation;
use costwarden::engine::exceptions::Wish;
use costwarden::remediate::undo::UndoRequest;
use costwarden::remediate::{Halt, KEY_TAG};
use costwarden::worker::act_approvals;
use costwarden::worker::daemon::Jobs;
use costwarden::worker::exceptions::{By, Desk, Target};
use costwarden::worker::jobs::act::{Acting, act};
use costwarden::worker::jobs::announce::announce;
use costwarden::worker::jobs::plan::plan;
use costwarden::worker::jobs::undo::undo as undo_act;
use costwarden::worker::outlets::Outlets;
use costwarden::worker::post::Post;
use costwarden::worker::schedule::Job;
use costwarden::worker::supervise::Work;

use crate::director::Director;
use crate::faults::Deed;
use crate::judge::{book::Grant, ends, keys, undos};
use crate::kinds::Kind;
use crate::policies;
use crate::ports::Actor;
use crate::process::{Process, context};
use crate::rng::Rng;
use crate::run::STATE_ID;

const ANN: &str = "ann@example.com";
const FIN: &str = "fin@example.com";

/// Something happens while the program is at a point of an act: whether it did, and whether it kills the process.
pub async fn in_gap(director: &Arc<Director>, process: u32, kind: Kind, deed: Deed) -> (bool, bool) {
    let now = director.truth.now();
    let (done, dies) = match deed {
        Deed::Crash => (true, true),
        Deed::CrashTwice(next) => {
            director.with(|inner| inner.again = Some((process, next)));
            return (true, true);
        }
        Deed::Sigterm => {
            let cancel = director.with(|inner| {
                inner.book.stopping = true;
                inner.cancel.clone()
            });
            if let Some(cancel) = &cancel {
                cancel.cancel();
            }
            (cancel.is_some(), false)
        }
        Deed::Pause(minutes) => {
            director.pass_to(now + TimeDelta::minutes(minutes));
            (true, false)
        }
        Deed::Second => {
            // Two workers mostly, eight now and then.
            let others = if director.passes().is_multiple_of(5) { 7 } else { 1 };
            let mut done = false;
            for other in 0..others {
                done |= second(director, process + 1_000 + other).await;
            }
            (done, false)
        }
        Deed::TakeOver => {
            director.pass_to(now + TimeDelta::minutes(16));
            (second(director, process + 1_000).await, false)
        }
        Deed::LoseSnapshot => {
            let done = person(director, deed);
            if done {
                // Long enough for every read to show it.
                director.pass_to(now + director.scene.lag + TimeDelta::minutes(2));
            }
            (done, false)
        }
        other => (person(director, other), false),
    };
    if done {
        director.reached(kind);
    }
    (done, dies)
}

/// Another worker runs an act job while the first one stands at a point.
async fn second(director: &Arc<Director>, id: u32) -> bool {
    director.nested.store(true, SeqCst);
    if let Some(other) = Process::start(director, id) {
        let slot = director.wall.now();
        let _ = other.nightly.run(Job::Act, slot, Work::default()).await;
    }
    director.nested.store(false, SeqCst);
    true
}

/// A person runs `plan` and `apply` beside the daemon.
pub async fn by_hand(director: &Arc<Director>, id: u32) -> bool {
    let Ok(planned) = plan(&context(director), true).await else { return false };
    apply(director, id, &planned.plan.id, &planned.plan.steps).await;
    true
}

/// A person runs `apply` with some steps of a plan.
pub async fn apply(director: &Arc<Director>, id: u32, plan: &str, steps: &[Step]) {
    let cx = context(director);
    let work = Work::default();
    let inner = director.cloud.actor();
    let actor = Arc::new(Actor { director: director.clone(), process: id, inner });
    let asked = director.clone();
    let halt = Halt::asking(Arc::new(move |point| Box::pin(asked.clone().pass(id, point))));
    let acting = Acting { actor, by_hand: true, announce: announce(&cx), post: post(director), work: &work, halt };
    director.acting.store(true, SeqCst);
    let acted = act(&cx, &acting, plan, steps).await;
    director.acting.store(false, SeqCst);
    if !director.dead.load(SeqCst) {
        acting.post.go().await;
        director.note_mail();
    }
    director.tell(|| format!("apply by hand: {} steps, {acted:?}", steps.len()));
}

/// The mail of a person's command.
fn post(director: &Director) -> Arc<Post> {
    let outlets = Arc::new(Outlets::mail(Mailer::Memory(director.mail.clone())));
    Post::new(director.store.clone(), outlets, director.wall.clone())
}

/// A person runs `actions undo` on the last act that nobody asked to have back.
pub async fn take_back(director: &Arc<Director>, id: u32) -> bool {
    let last = director.with(|inner| {
        let own = |own: &&crate::judge::book::Sent| own.effective && !inner.book.asked_back.contains(&own.row);
        inner.book.sent.iter().rfind(own).map(|own| (own.row, own.resource.clone()))
    });
    let Some((row, resource)) = last else { return false };
    take_back_row(director, id, row, &resource).await
}

/// A person runs `actions undo` on this act.
pub async fn take_back_row(director: &Arc<Director>, id: u32, row: i64, resource: &str) -> bool {
    director.with(|inner| {
        inner.book.asked_back.insert(row);
        inner.book.stopped.remove(resource);
    });
    let cx = context(director);
    let work = Work::default();
    let actor = Arc::new(Actor { director: director.clone(), process: id, inner: director.cloud.actor() });
    let asked = director.clone();
    let halt = Halt::asking(Arc::new(move |point| Box::pin(asked.clone().pass(id, point))));
    let acting = Acting { actor, by_hand: true, announce: announce(&cx), post: post(director), work: &work, halt };
    let request = UndoRequest { act: row, by: "ann".into(), while_frozen: false };
    director.acting.store(true, SeqCst);
    let undone = undo_act(&cx, &acting, &request).await;
    director.acting.store(false, SeqCst);
    director.tell(|| format!("r-{row} is taken back: {undone:?}"));
    let Ok(Ok(undone)) = undone else { return false };
    undos::ended(director, &undone);
    undone.undo.is_some()
}

/// A person runs `plan` on a copy of the state; nothing may change.
pub async fn dry_run(director: &Arc<Director>) -> bool {
    let Ok(copy) = director.store.throwaway_copy() else { return false };
    let before =
        (ends::fingerprint(&director.store), director.cloud.calls().iter().filter(|own| own.mutating()).count());
    let cx = costwarden::worker::context::Context { store: Arc::new(copy), ..context(director) };
    let planned = plan(&cx, true).await;
    let after =
        (ends::fingerprint(&director.store), director.cloud.calls().iter().filter(|own| own.mutating()).count());
    director.judge("I11", (before != after).then(|| "a dry run changed something".to_owned()));
    planned.is_ok()
}

/// What a person does to the resource that is being acted on, or to everything.
pub fn person(director: &Arc<Director>, deed: Deed) -> bool {
    let now = director.truth.now();
    let shown = director.wall.now();
    match deed {
        Deed::Freeze(hours) => {
            let freeze = Freeze { at: shown, by: "eve".into(), reason: "let me look".into() };
            let frozen = director.store.freeze(&freeze).is_ok();
            if frozen {
                director.with(|inner| inner.book.freeze(now, now + TimeDelta::hours(hours)));
            }
            frozen
        }
        Deed::Disarm(hours) => {
            let account = director.scene.settings.accounts[0].id.clone();
            // Who gets an error looks whether it was taken all the same.
            let ended = || {
                let found = director.store.arming(&account).ok().flatten();
                found.is_some_and(|arming| arming.until == shown - TimeDelta::microseconds(1))
            };
            let done = director.store.disarm(&account, shown).unwrap_or_else(|_| ended());
            if done {
                director.with(|inner| inner.book.disarm(&account, now + TimeDelta::hours(hours)));
            }
            done
        }
        Deed::Withdraw => withdraw(director),
        Deed::Revoke => acting_on(director).is_some_and(|row| except(director, &row, Some(9))) && revoke(director),
        Deed::Undo => undo(director),
        Deed::Key(state, hours) => acting_on(director).is_some_and(|row| spoil_key(director, &row, state, hours)),
        Deed::Claim => acting_on(director).is_some_and(|row| claim(director, &row)),
        Deed::Grant(days) => acting_on(director).is_some_and(|row| except(director, &row, Some(days))),
        Deed::Ask => acting_on(director).is_some_and(|row| except(director, &row, None)),
        other => acting_on(director).is_some_and(|row| meddle(director, &row, other)),
    }
}

/// The act that is under way.
fn acting_on(director: &Director) -> Option<Remediation> {
    director.store.open_remediations().ok()?.into_iter().max_by_key(|row| (row.updated_at, row.id))
}

/// Changes the resource itself, in the account.
fn meddle(director: &Director, row: &Remediation, deed: Deed) -> bool {
    let id = row.step.key.id.to_string();
    let kind = row.step.key.kind();
    let tag = |key: &str, value: &str| Change::Tag { resource: id.clone(), tags: vec![(key.into(), value.into())] };
    let host = || any_host(director, row).unwrap_or_default();
    let change = match (deed, kind) {
        (Deed::Tag, _) => tag("project", "changed"),
        (Deed::ProtectTag, _) => tag("costwarden:protect", "true"),
        (Deed::Flag, Sort::Instance) => Change::Protect { instance: id.clone(), stop: Some(true), termination: None },
        (Deed::Flag, Sort::Snapshot) => Change::Lock(id.clone()),
        (Deed::Attach, Sort::Instance) => {
            let Some(volume) = free_volume(director, row) else { return false };
            Change::Attach { volume, instance: id.clone(), device: "/dev/sdz".into() }
        }
        (Deed::Attach, Sort::Volume) => {
            Change::Attach { volume: id.clone(), instance: host(), device: "/dev/sdz".into() }
        }
        (Deed::Attach, Sort::Address) => Change::Associate { address: id.clone(), instance: host() },
        (Deed::Stop, Sort::Instance) => Change::Stop(id.clone()),
        (Deed::Stop, _) => Change::Delete(id.clone()),
        (Deed::Use, Sort::Instance) => {
            Change::Use { instance: id.clone(), usage: Box::new(Usage::constant(70.0, 1e9, 1e9)) }
        }
        (Deed::LoseSnapshot, _) => {
            let own = director.cloud.truth(|truth| {
                let ours = |tag: &str| tag.starts_with(STATE_ID);
                let mut all =
                    truth.resources().filter(|one| one.snapshot().is_some() && one.tag(KEY_TAG).is_some_and(ours));
                all.next_back_id()
            });
            let Some(snapshot) = own else { return false };
            Change::Delete(snapshot)
        }
        _ => return false,
    };
    director.cloud.apply("ann", change).is_ok()
}

/// Puts a key of what an act puts at risk into another state, and some hours later, before the calm days, back.
fn spoil_key(director: &Director, row: &Remediation, state: &str, hours: i64) -> bool {
    let Some(key) = keys::at_risk(director, row.step.act, &row.step.key.id).pop() else { return false };
    let now = director.truth.now();
    let set = |state: &str| Change::SetKey { key: key.clone(), state: state.into() };
    let back = (now + TimeDelta::hours(hours)).min(director.scene.calm_from);
    director.cloud.schedule(Event { at: back, by: "sec".into(), change: set("Enabled") });
    director.cloud.apply("sec", set(state)).is_ok()
}

/// Another installation begins an act on the resource: its safety snapshot of a volume, marked as its program marks them.
/// None in the last days, of which a claim takes seven.
fn claim(director: &Director, row: &Remediation) -> bool {
    let (now, id) = (director.truth.now(), &row.step.key.id);
    let volume = director.cloud.truth(|truth| {
        let target = truth.resource(id)?;
        let attached = target.instance().and_then(|own| own.volumes.first()).map(|own| own.volume.to_string());
        let volume = attached.or_else(|| target.volume().map(|_| id.to_string()))?;
        let size = truth.resource(&volume)?.volume()?.size_gib;
        Some((volume, size))
    });
    let Some((volume, size)) = volume.filter(|_| now + TimeDelta::days(7) < director.scene.calm_from) else {
        return false;
    };
    let key = row.step.key.partition.place.partition(Sort::Snapshot).key(&format!("snap-0e{:x}", now.timestamp()));
    let marks =
        [(KEY_TAG, "st-00000000000e15e0-r900007"), ("costwarden:source", id), ("costwarden:safety-snapshot", "true")];
    let planted = plant::snapshot(key, &volume, size, now).tagged(&marks);
    director.cloud.apply("elsewhere", Change::Create(vec![planted])).is_ok()
}

/// The last id of some resources.
trait LastId {
    fn next_back_id(&mut self) -> Option<String>;
}

impl<'a, T: Iterator<Item = &'a costwarden::domain::resource::Resource>> LastId for T {
    fn next_back_id(&mut self) -> Option<String> {
        self.last().map(|one| one.key.id.to_string())
    }
}

fn free_volume(director: &Director, row: &Remediation) -> Option<String> {
    let place = &row.step.key.partition.place;
    director.cloud.truth(|truth| {
        let free = |one: &&costwarden::domain::resource::Resource| {
            one.key.partition.place == *place && one.volume().is_some_and(|volume| &*volume.state == "available")
        };
        truth.resources().find(free).map(|one| one.key.id.to_string())
    })
}

fn any_host(director: &Director, row: &Remediation) -> Option<String> {
    let place = &row.step.key.partition.place;
    director.cloud.truth(|truth| {
        let host = |one: &&costwarden::domain::resource::Resource| {
            one.key.partition.place == *place && one.instance().is_some()
        };
        truth.resources().find(host).map(|one| one.key.id.to_string())
    })
}

/// Asks for an exception on what is acted on; with days it is granted at once.
fn except(director: &Director, row: &Remediation, days: Option<i64>) -> bool {
    if director.skew() != TimeDelta::zero() {
        return false;
    }
    let settings = &director.scene.settings;
    let desk = Desk::of(&director.store, settings);
    let now = director.truth.now();
    let wish = Wish {
        exception_type: ExceptionType::Temporary,
        days: Some(days.unwrap_or(5)),
        condition: None,
        review_days: None,
        justification: "the audit needs it",
        by: ANN,
    };
    let target = Target { of: row.step.finding.0.clone(), ..Target::default() };
    let Ok(asked) = desk.request(&target, &wish, now) else { return false };
    let grant = |until, asked| Grant {
        id: String::new(),
        resource: row.step.key.id.to_string(),
        rule: row.step.rule.clone(),
        from: now,
        until,
        asked,
    };
    // A request holds by itself, but not a second one within thirty days (N8).
    let before = director.with(|inner| inner.book.asked_lately(&row.step.key.id, &row.step.rule, now));
    if !before {
        let held = Grant { id: asked.record.id.clone(), ..grant(now + settings.approvals.sla, true) };
        director.with(|inner| inner.book.grants.push(held));
    }
    let Some(days) = days else { return true };
    // Who gets an error looks whether it was taken all the same.
    let taken = |own: &ExceptionRecord| own.status_at(now) == ExceptionStatus::Approved;
    let approved = desk.approve(&asked.record.id, None, By { who: FIN, at: now });
    if approved.is_err() && !director.store.exception(&asked.record.id).is_ok_and(|own| own.as_ref().is_some_and(taken))
    {
        return false;
    }
    director.with(|inner| {
        // Granted: from now on its own end counts.
        inner.book.grants.retain(|own| own.id != asked.record.id);
        let granted = Grant { id: asked.record.id.clone(), ..grant(now + TimeDelta::days(days), false) };
        inner.book.grants.push(granted);
    });
    true
}

fn revoke(director: &Director) -> bool {
    if director.skew() != TimeDelta::zero() {
        return false;
    }
    let now = director.truth.now();
    let Ok(records) = director.store.exceptions() else { return false };
    // The last that was asked for; not by its id, which is random.
    let granted = records.iter().filter(|own| own.status_at(now) == ExceptionStatus::Approved);
    let Some(record) = granted.max_by_key(|own| (own.requested_at, &own.resource_id, &own.rule_name)) else {
        return false;
    };
    let desk = Desk::of(&director.store, &director.scene.settings);
    let revoked = desk.revoke(&record.id, "no longer", By { who: FIN, at: now });
    let holds = |own: &ExceptionRecord| own.status_at(now) == ExceptionStatus::Approved;
    if revoked.is_err() && director.store.exception(&record.id).is_ok_and(|own| own.as_ref().is_some_and(holds)) {
        return false;
    }
    director.with(|inner| {
        inner.book.grants.iter_mut().filter(|own| own.id == record.id).for_each(|own| own.until = now.min(own.until));
    });
    true
}

/// Somebody who said yes says no.
fn withdraw(director: &Director) -> bool {
    let Some(row) = acting_on(director) else { return false };
    let id = row.step.key.id.to_string();
    let Ok(requests) = director.store.act_requests_of(&row.step.finding) else { return false };
    for (request, answers) in requests.iter().rev() {
        for answer in answers {
            let by = By { who: &answer.approver, at: director.wall.now() };
            let yes = answer.state == costwarden::domain::lifecycle::ApprovalState::Approved;
            if yes && act_approvals::answer(&director.store, answer, false, None, by).is_ok() {
                director.with(|inner| inner.book.refuse(&id, request.act, &answer.approver));
                return true;
            }
        }
    }
    false
}

/// Starts by hand what the worker stopped.
fn undo(director: &Director) -> bool {
    let stopped = director.with(|inner| inner.book.stopped.iter().next().cloned());
    let Some(id) = stopped else { return false };
    director.with(|inner| inner.book.stopped.remove(&id));
    let done = director.cloud.apply("ann", Change::Start(id.clone())).is_ok();
    if done {
        let now = director.truth.now();
        director.with(|inner| inner.book.reversed.insert(id, now));
    }
    done
}

/// People's round before each act slot: they lift freezes that are not theirs, settle what is stuck, answer questions,
/// and arm again what they disarmed.
pub fn round(director: &Arc<Director>, rng: &mut Rng) {
    let (now, shown) = (director.truth.now(), director.wall.now());
    let store = &director.store;
    director.tell(|| format!("people look: frozen {:?}", store.frozen().ok().flatten().map(|own| own.reason)));
    if !director.with(|inner| inner.book.frozen_by_person(now)) && store.frozen().ok().flatten().is_some() {
        let _ = store.unfreeze("eve", shown);
    }
    for stuck in store.stuck_remediations().unwrap_or_default() {
        let _ = store.settle_stuck(stuck.id, "eve", "looked at", shown);
    }
    answer_questions(director, rng);
    arm(director);
}

/// Everybody who is asked about an act says yes.
pub fn all_say_yes(director: &Arc<Director>) {
    answer(director, || Some(true));
}

fn answer_questions(director: &Arc<Director>, rng: &mut Rng) {
    answer(director, || if rng.chance(15) { None } else { Some(rng.chance(90)) });
}

fn answer(director: &Arc<Director>, mut says: impl FnMut() -> Option<bool>) {
    let store = &director.store;
    let shown = director.wall.now();
    for row in store.approvals_pending(None).unwrap_or_default() {
        if row.kind != ApprovalKind::Remediation {
            continue;
        }
        let Ok(Some(request)) = store.act_request(&row.subject) else { continue };
        // A stranger tries first; that must never count.
        let _ = act_approvals::answer(store, &row, true, None, By { who: "mallory@example.com", at: shown });
        let Some(yes) = says() else { continue };
        let by = By { who: &row.approver, at: shown };
        if act_approvals::answer(store, &row, yes, None, by).is_ok() {
            let now = director.truth.now();
            let id = request.key.id.to_string();
            director.with(|inner| match yes {
                true => inner.book.agree(&id, request.act, &row.approver, now),
                false => inner.book.refuse(&id, request.act, &row.approver),
            });
        }
    }
}

/// Arms every account that nobody wants disarmed, with the policies in force.
pub fn arm(director: &Arc<Director>) {
    let (now, shown) = (director.truth.now(), director.wall.now());
    for account in &director.scene.settings.accounts {
        let (wanted, edition) = director.with(|inner| (inner.book.wants_arming(&account.id, now), inner.book.edition));
        if !wanted {
            continue;
        }
        let rules = &policies::of(&director.scene, edition).rules;
        let arming = Arming {
            account: account.id.clone(),
            by: "eve".into(),
            at: shown,
            // Who looks at a clock that is wrong still means three months.
            until: shown.max(now) + TimeDelta::days(89),
            policies: rules.hashes.iter().map(|(name, hash)| (name.clone(), hash.clone())).collect(),
        };
        let taken = || director.store.arming(&account.id).ok().flatten().is_some_and(|found| found == arming);
        if director.store.arm(&arming).is_ok() || taken() {
            director.with(|inner| inner.book.arm(&account.id, now));
        }
    }
}

/// The mode that people chose, and the edition of the policies.
pub fn choose(director: &Director, mode: Mode, edition: u8) {
    director.with(|inner| (inner.book.mode, inner.book.edition) = (mode, edition));
}
