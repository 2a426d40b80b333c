//! What is known without the program: people's decisions, delivered mails, requests that left.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use costwarden::deliver::{Message, MessageKind};
use costwarden::domain::Instant;
use costwarden::domain::finding::Act;
use costwarden::domain::mode::{Mode, Pace};
use costwarden::domain::place::{AccountId, Kind, Partition};
use costwarden::worker::schedule::Job;

use crate::scene::Scene;

/// An exception, or a request for one that holds by itself.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: String,
    pub resource: String,
    pub rule: String,
    pub from: Instant,
    pub until: Instant,
    /// Only asked for.
    pub asked: bool,
}

/// One request that left.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Instant,
    pub account: AccountId,
    pub kind: Kind,
    pub act: Act,
    pub row: i64,
    pub fence: i64,
    pub resource: String,
    /// The cloud certainly did not do it.
    pub rejected: bool,
    pub effective: bool,
}

/// A word of warning that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    First,
    Second,
    Reminder,
}

/// The book.
#[derive(Default)]
pub struct Book {
    pub mode: Mode,
    pub edition: u8,
    pub pace: Pace,
    /// When an account was armed, and with which edition of the policies.
    pub armed: BTreeMap<AccountId, (Instant, u8)>,
    disarmed_until: BTreeMap<AccountId, Instant>,
    pub arm_not_before: Option<Instant>,
    freezes: Vec<(Instant, Instant)>,
    pub grants: Vec<Grant>,
    /// Yes by resource and act: who, when.
    pub yes: BTreeMap<(String, &'static str), Vec<(String, Instant)>>,
    /// Warnings by finding id.
    pub warnings: BTreeMap<String, Vec<(Instant, Word)>>,
    /// Mails to people who decide, with the time at which they were taken.
    pub alerts: Vec<(Instant, String)>,
    pub mails: usize,
    /// How often each mail was taken.
    pub copies: BTreeMap<(String, String), u32>,
    pub sent: Vec<Sent>,
    /// Instances that we stopped and nobody started since.
    pub stopped: BTreeSet<String>,
    /// Resources whose act somebody took back.
    pub reversed: BTreeMap<String, Instant>,
    /// The last complete scan that saw a volume attached.
    pub seen_attached: BTreeMap<String, Instant>,
    /// The process that acts under a fence.
    pub fences: BTreeMap<i64, u32>,
    pub slots: BTreeSet<(Job, Instant)>,
    pub jumped_at: Option<Instant>,
    pub stopping: bool,
    pub scanned_at: Option<Instant>,
    /// Acts that a person asked to have back, by row.
    pub asked_back: BTreeSet<i64>,
    /// Effective calls that took an act back: row and operation.
    pub taken_back: BTreeSet<(i64, String)>,
    /// Ids that came back anew: nobody acts on them without a person.
    pub made_anew: BTreeSet<String>,
    /// A scan, and the partitions that it could not read to their end.
    pub gaps: (String, BTreeSet<Partition>),
    /// Later calls of acts of several: row, operation, whether it certainly did nothing.
    pub parts: Vec<(i64, String, bool)>,
    /// When each restore drill asked for its volume, by its mark.
    pub drills: BTreeMap<String, Instant>,
    /// Volumes that a restore drill's own call made, with its mark.
    pub drill_volumes: BTreeMap<String, String>,
}

impl Book {
    pub fn of(scene: &Scene) -> Book {
        Book { mode: Mode::Enforce, pace: scene.settings.enforcement.pace, ..Book::default() }
    }

    pub fn freeze(&mut self, from: Instant, until: Instant) {
        self.freezes.push((from, until));
    }

    pub fn frozen_by_person(&self, at: Instant) -> bool {
        self.freezes.iter().any(|(from, until)| *from <= at && at < *until)
    }

    pub fn disarm(&mut self, account: &AccountId, until: Instant) {
        self.armed.remove(account);
        self.disarmed_until.insert(account.clone(), until);
    }

    pub fn wants_arming(&self, account: &AccountId, now: Instant) -> bool {
        let held = self.disarmed_until.get(account).is_some_and(|until| now < *until)
            || self.arm_not_before.is_some_and(|until| now < until);
        !held && self.armed.get(account).is_none_or(|(_, edition)| *edition != self.edition)
    }

    pub fn arm(&mut self, account: &AccountId, now: Instant) {
        self.armed.insert(account.clone(), (now, self.edition));
    }

    pub fn asked_lately(&self, resource: &str, rule: &str, now: Instant) -> bool {
        let of = |own: &&Grant| own.resource == resource && own.rule == rule;
        self.grants.iter().filter(of).any(|own| now - own.from < TimeDelta::days(34))
    }

    pub fn agree(&mut self, resource: &str, act: Act, who: &str, at: Instant) {
        self.yes.entry((resource.to_owned(), act.word())).or_default().push((who.to_owned(), at));
    }

    pub fn refuse(&mut self, resource: &str, act: Act, who: &str) {
        if let Some(yes) = self.yes.get_mut(&(resource.to_owned(), act.word())) {
            yes.retain(|(own, _)| own != who);
        }
    }

    /// When people who decide were first told of a resource, not before `since`.
    pub fn told_of(&self, id: &str, since: Instant) -> Option<Instant> {
        self.alerts.iter().find(|(at, text)| *at >= since && text.contains(id)).map(|(at, _)| *at)
    }

    /// Takes down a mail that was really taken.
    pub fn delivered(&mut self, message: &Message, now: Instant) {
        self.mails += 1;
        *self.copies.entry((message.dedup.clone(), message.to.clone())).or_default() += 1;
        if message.kind == MessageKind::Alert || message.subject.contains("needs a person") {
            self.alerts.push((now, message.text.clone()));
        }
        if message.kind != MessageKind::Notice {
            return;
        }
        let mut word = None;
        for line in message.text.lines() {
            word = match line.trim() {
                text if text.starts_with("Warning: new") => Some(Word::First),
                text if text.starts_with("Warning: last notice") => Some(Word::Second),
                text if text.starts_with("Warning: happens soon") => Some(Word::Reminder),
                "Done" | "Needs a person" => None,
                _ => word,
            };
            let Some(word) = word else { continue };
            for part in line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-') {
                if part.len() == 18 && part.starts_with("f-") {
                    let known = self.warnings.entry(part.to_owned()).or_default();
                    if !known.contains(&(now, word)) {
                        known.push((now, word));
                    }
                }
            }
        }
    }
}
