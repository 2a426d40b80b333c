//! Judges a world at its end, after days without a fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use chrono::TimeDelta;
use costwarden::cloud::sim::{CallRecord, Outcome};
use costwarden::domain::check::Standing;
use costwarden::domain::finding::{Act, Finding, State};
use costwarden::domain::remediation::JournalState;
use costwarden::remediate::KEY_TAG;
use costwarden::store::{FindingFilter, Store};
use costwarden::worker::schedule::Job;

use crate::director::Director;
use crate::kinds::Kind;
use crate::policies::{Class, class};
use crate::process::held_back;
use crate::run::STATE_ID;
use crate::scene::Bait;

/// The whole world, once.
pub fn judge(director: &Arc<Director>) {
    i02_no_second_snapshot(director);
    i15_every_act_ends(director);
    super::parts::nothing_left_stopped(director);
    super::drills::ended(director);
    i16_the_chain_holds(director);
    i17_mail(director);
    i22_bounded(director);
}

/// What only a world that was played day by day must fulfil.
pub fn judge_days(director: &Arc<Director>) {
    judge(director);
    i19_every_slot(director);
    i20_alive(director);
}

/// Everything in the state that a dry run might change.
pub fn fingerprint(store: &Store) -> String {
    let mut text = String::new();
    let findings = store.findings(&FindingFilter::default()).unwrap_or_default();
    let _ = write!(
        text,
        "{} {:?} {:?} {:?} {:?}",
        serde_json::to_string(&findings).unwrap_or_default(),
        store.outbox_counts().ok().map(|counts| format!("{counts:?}")),
        store.audit_head().ok(),
        store.open_remediations().ok(),
        store.frozen().ok(),
    );
    text
}

/// H46: of one volume there is one snapshot for one act, and a further one for a crash or a lost answer at most.
fn i02_no_second_snapshot(director: &Director) {
    let mut made: BTreeMap<(String, String), u64> = BTreeMap::new();
    director.cloud.truth(|truth| {
        for own in truth.resources() {
            let ours = own.tag(KEY_TAG).filter(|value| value.starts_with(STATE_ID));
            if let (Some(snapshot), Some(key)) = (own.snapshot(), ours) {
                *made.entry((key.to_owned(), snapshot.volume.to_string())).or_default() += 1;
            }
        }
    });
    let extra: u64 = made.values().map(|count| count - 1).sum();
    let reasons = director.with(|inner| {
        let of = |kind: Kind| inner.tally.reached.get(&kind).copied().unwrap_or(0);
        let disks = of(Kind::Full) + of(Kind::IoError) + of(Kind::Ambiguous) + of(Kind::Busy);
        of(Kind::Crash) + of(Kind::CrashPair) + of(Kind::CrashWrite) + disks + inner.tally.crashes.values().sum::<u64>()
    });
    let lost = |call: &CallRecord| call.operation.starts_with("CreateSnapshot") && call.outcome != Outcome::Done;
    let unanswered = director.cloud.calls().into_iter().filter(lost);
    let reasons = reasons + unanswered.count() as u64;
    director.judge("I02", (extra > reasons).then(|| format!("{extra} snapshots too many after {reasons} reasons")));
}

fn i15_every_act_ends(director: &Director) {
    let end = director.scene.end;
    for row in director.store.open_remediations().unwrap_or_default() {
        let old = end - row.claimed_at > TimeDelta::days(8);
        director.judge("I15", old.then(|| format!("r-{} of {} is open: {}", row.id, row.claimed_at, row.message)));
    }
    let all = director.store.remediations_between(chrono::DateTime::UNIX_EPOCH, end + TimeDelta::days(40));
    for row in all.unwrap_or_default() {
        director.with(|inner| inner.tally.did(format!("ended {}", row.state.word()), 1));
        if row.state == JournalState::Done {
            // What people did to it in that very moment is seen as the effect and is right.
            let theirs = director.cloud.changes().iter().any(|change| *change.target == *row.step.key.id);
            let ours = director.with(|inner| inner.book.sent.iter().any(|own| own.row == row.id && own.effective));
            director.judge("I18", (!theirs && !ours).then(|| format!("r-{} is done and nothing changed", row.id)));
        }
        if row.state == JournalState::Refused {
            super::breaker::refused_rightly(director, &row);
        }
        if row.state == JournalState::Stuck {
            let id = row.step.key.id.to_string();
            let told = director.with(|inner| inner.book.told_of(&id, director.scene.world.start).is_some());
            let dead = director.store.dead_letters().unwrap_or_default().iter().any(|own| own.message.contains(&id));
            let known = told || dead;
            director.judge("I15", (!known).then(|| format!("r-{} on {id} is stuck and nobody was told", row.id)));
        }
    }
}

fn i16_the_chain_holds(director: &Director) {
    let broken = director.store.audit_verify(None).err();
    director.judge("I16", broken.map(|error| format!("{error}")));
}

fn i17_mail(director: &Director) {
    let counts = director.store.outbox_counts().unwrap_or_default();
    let late = director.store.outbox_due(director.wall.now() - TimeDelta::days(2), 10).unwrap_or_default();
    director.judge("I17", late.first().map(|row| format!("message {} ({}) still waits: {counts:?}", row.id, row.kind)));
    let (doubled, lost) = director.with(|inner| {
        let doubled: u32 = inner.book.copies.values().map(|copies| copies - 1).sum();
        let of = |kind: Kind| inner.tally.reached.get(&kind).copied().unwrap_or(0);
        let crashes = of(Kind::Crash) + of(Kind::CrashPair) + of(Kind::CrashWrite) + of(Kind::IoError) + of(Kind::Full);
        (u64::from(doubled), crashes + of(Kind::Ambiguous) + of(Kind::Busy) + 100 * of(Kind::MailLost))
    });
    director.judge("I17", (doubled > lost).then(|| format!("{doubled} mails came twice after {lost} reasons")));
}

fn i19_every_slot(director: &Director) {
    let scene = &director.scene;
    let rows = director.store.slots_between(scene.world.start, scene.end).unwrap_or_default();
    // A worker that dies before its first commit has no slots yet.
    let first = scene.world.start + TimeDelta::hours(1);
    for slot in director.schedule.slots_between(Job::Scan, first, scene.end - TimeDelta::days(3)) {
        let known = rows.iter().any(|row| row.job == "scan" && row.slot_at == slot);
        director.judge("I19", (!known).then(|| format!("the scan of {slot} is neither run nor missed")));
    }
}

/// What was due long enough, in quiet days, with room and nobody's objection: at least one of its class was done.
fn i20_alive(director: &Arc<Director>) {
    let scene = &director.scene;
    let pace = &scene.settings.enforcement.pace;
    let days = TimeDelta::days(8);
    if scene.people > 0 || scene.flood || !scene.settings.enforcement.window.holidays.is_empty() {
        return;
    }
    let armed = |finding: &Finding| {
        director.with(|inner| {
            let armed = inner.book.armed.get(finding.key.account());
            armed.is_some_and(|(at, edition)| *edition == inner.book.edition && *at < scene.end - days)
        })
    };
    let findings = director.store.findings(&FindingFilter { states: vec![State::Open], ..FindingFilter::default() });
    let findings = findings.unwrap_or_default();
    for finding in &findings {
        let Some(act) = finding.act() else { continue };
        // Whose resource may go waits for that first, whether there is room for it or not.
        let goes = |own: &Finding| own.act().is_some_and(|act| class(act) == Class::Destructive);
        if findings.iter().any(|own| own.id != finding.id && own.key == finding.key && goes(own)) {
            continue;
        }
        let room = match act {
            Act::StopInstance | Act::ResizeInstance | Act::ModifyVolume => {
                pace.disruptive_per_run > 0 && pace.percent_of_kind_per_day > 0
            }
            Act::DeleteVolume | Act::TerminateInstance => {
                let enforcement = &scene.settings.enforcement;
                let on = match act {
                    Act::DeleteVolume => enforcement.allow_auto_delete_volumes,
                    _ => enforcement.allow_auto_terminate,
                };
                on && pace.destructive_per_run > 0 && pace.percent_of_kind_per_day > 0
            }
            Act::AddTags => pace.tags_per_run > 0,
            // Two people must say yes, and may not.
            _ => false,
        };
        let id = finding.key.id.to_string();
        let there = director.cloud.truth(|truth| truth.resource(&id).is_some());
        let invites = |bait: Bait| bait == Bait::None || bait == Bait::Only(act);
        // What was asked of it half-way rests for a week, and its next slot may be days after that.
        let rests = director.with(|inner| {
            let ours = |own: &&super::book::Sent| own.resource == id && class(own.act) != class(Act::AddTags);
            inner.book.sent.iter().filter(ours).any(|own| scene.end - own.at < days + TimeDelta::days(7))
        });
        let clean = !rests
            && scene.cards.get(&id).is_some_and(|card| invites(card.bait))
            && !director.cloud.changes().iter().any(|change| change.target == id)
            && director.with(|inner| !inner.book.grants.iter().any(|own| own.resource == id));
        let due = finding.clock.due_at.is_some_and(|due| due < scene.end - days)
            && !finding.clock.waits_for_second()
            && finding.standing == Standing::Proven
            && !finding.suppressed
            && finding.seen_at > scene.end - days;
        if !(room && there && clean && due && armed(finding)) {
            continue;
        }
        let busy = director.with(|inner| {
            // Acts of one class share their room, and those on one kind of resource theirs.
            let shared = |own: &&super::book::Sent| class(own.act) == class(act) || own.kind == finding.key.kind();
            let lately = |own: &&super::book::Sent| shared(own) && scene.end - own.at < days;
            inner.book.sent.iter().filter(lately).any(|own| own.account == *finding.key.account())
        });
        director.judge(
            "I20",
            (!busy).then(|| {
                format!(
                    "{act} of {id} is due since {:?} and nothing of its kind is done: {}",
                    finding.clock.due_at,
                    why(director, finding)
                )
            }),
        );
    }
    director.with(|inner| inner.tally.judge("I20"));
}

/// What the program itself says about a finding that should have been acted on.
fn why(director: &Arc<Director>, finding: &Finding) -> String {
    let events = director.store.finding_events(&finding.id).unwrap_or_default();
    let mut last: Vec<String> =
        events.iter().rev().take(3).map(|event| format!("{} {}", event.what, event.detail)).collect();
    let acts = director.store.remediations_of_finding(&finding.id).unwrap_or_default();
    last.extend(acts.last().map(|row| format!("{}: {}", row.state.word(), row.message)));
    let held = held_back(director).into_iter().find(|own| own.finding == finding.id);
    last.push(held.map_or("a plan of now would do it".to_owned(), |own| format!("held: {}", own.reason)));
    format!("{:?}; {}", finding.unjudged, last.join(" / "))
}

/// Nothing grows without end: mails that wait, and nights that are kept.
fn i22_bounded(director: &Director) {
    let counts = director.store.outbox_counts().unwrap_or_default();
    let waiting = counts.pending;
    director.judge("I22", (waiting > 50).then(|| format!("{waiting} mails wait")));
    if director.with(|inner| inner.book.jumped_at.is_some()) {
        return;
    }
    let mut asked: BTreeMap<_, u32> = BTreeMap::new();
    for call in director.cloud.calls().iter().filter(|call| &*call.operation == "GetCostAndUsage") {
        *asked.entry(call.at.date_naive()).or_default() += 1;
    }
    let most = director.scene.settings.costs.requests_per_day;
    let over = asked.iter().find(|(_, count)| **count > most);
    director.judge("I22", over.map(|(day, count)| format!("Cost Explorer was asked {count} times on {day}")));
    let keep = TimeDelta::days(i64::from(director.scene.settings.inventory.keep_nights) + 1);
    let mut newest = BTreeMap::new();
    let nights = director.store.trusted_nights().unwrap_or_default();
    for (_, at, partition) in &nights {
        let last = newest.entry(partition).or_insert(*at);
        *last = (*at).max(*last);
    }
    let old = nights.iter().filter(|(_, at, partition)| newest.get(partition).is_some_and(|last| *last - *at > keep));
    let old = old.count();
    director.judge("I22", (old > 0).then(|| format!("{old} nights are kept longer than {} days", keep.num_days() - 1)));
}
