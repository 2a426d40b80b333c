//! The life of a policy (seed contract, section k): draft → review → approved → active → deprecated → archived.
//!
//! Pure: each step takes the record, who does it and when, and gives the new record with what happened and who is
//! told, or a [`Refusal`] that says where the policy stands, what is possible now and for whom. `worker::policies` reads
//! and stores records around it. What it promises: nothing that acts more than before comes in force without every
//! reviewer's word, nobody approves their own work, and the version in force stays in force until another one takes its
//! place. What it leaves out: who may log in as whom; names are taken as they are given.

mod change;
mod content;
mod create;
mod cut;
mod review;
mod serve;
mod update;

use crate::domain::Instant;
use crate::domain::lifecycle::{Force, PolicyEvent, PolicyRecord, PolicyVersion, Stage};
use crate::domain::person::same_person;

pub use change::{Difference, change_type, differences, summary};
pub use content::{Content, contents, in_force, with_mode};
pub use create::{create, id_for};
pub use review::{approve, request_changes, submit};
pub use serve::{activate, archive, deprecate, note_review};
pub use update::{Edit, switch_mode, update};

/// Who does something, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The person's name or mail address.
    pub who: &'a str,
    /// The instant.
    pub at: Instant,
}

/// What a step brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The record after it.
    pub record: PolicyRecord,
    /// The version that it made.
    pub version: Option<PolicyVersion>,
    /// What happened, in order.
    pub events: Vec<PolicyEvent>,
    /// Who is told what.
    pub news: Vec<News>,
}

/// Something that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// To whom.
    pub to: Audience,
    /// What happened; one of the words of [`PolicyEvent::what`].
    pub what: &'static str,
    /// In a sentence.
    pub detail: String,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// These people.
    People(Vec<String>),
    /// Everybody who gets reports.
    Everyone,
}

/// A step that is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} {version} is in stage {stage}: {problem}\n  possible now: {possible}")]
pub struct Refusal {
    /// Which policy.
    pub id: String,
    /// Its latest version.
    pub version: String,
    /// Where it stands.
    pub stage: Stage,
    /// Why not.
    pub problem: String,
    /// What can be done in this stage, and by whom.
    pub possible: String,
}

impl Moved {
    fn new(record: PolicyRecord) -> Moved {
        Moved { record, version: None, events: Vec::new(), news: Vec::new() }
    }

    fn event(&mut self, by: By<'_>, what: &str, detail: impl Into<String>) {
        let version = self.record.version;
        let (by, what, detail) = (by.who.to_owned(), what.to_owned(), detail.into());
        self.record.updated_at =
            self.record.updated_at.max(self.events.last().map_or(self.record.updated_at, |e| e.at));
        self.events.push(PolicyEvent { at: self.record.updated_at, by, what, version, detail });
    }

    fn tell(&mut self, to: Audience, what: &'static str, detail: impl Into<String>) {
        self.news.push(News { to, what, detail: detail.into() });
    }
}

/// The record as it stands at an instant, ready to be changed: a version whose date has come is in force now (L8).
fn settled(record: &PolicyRecord, by: By<'_>) -> Moved {
    let mut moved = Moved::new(record.clone());
    if let Some(due) = record.next.clone().filter(|next| next.from <= by.at && record.stage == Stage::Approved) {
        moved.record.updated_at = due.from;
        moved.event(By { who: "costwarden", at: due.from }, "in_force", format!("since {}", day(due.from)));
        take_force(&mut moved.record, due);
    }
    moved.record.updated_at = by.at;
    moved
}

fn take_force(record: &mut PolicyRecord, force: Force) {
    record.stage = Stage::Active;
    record.current = Some(force);
    record.next = None;
    record.brake = None;
    record.authors.clear();
}

/// The refusal of a step, with what is possible instead.
fn refuse(record: &PolicyRecord, problem: impl Into<String>) -> Refusal {
    let reviewers = || match &record.review {
        Some(review) => review.waiting().join(", "),
        None => "its reviewers".to_owned(),
    };
    let possible = match record.stage {
        Stage::Draft => {
            format!("update by anyone; submit by anyone, to reviewers other than {}", authors(record).join(", "))
        }
        Stage::Review => {
            format!("approve or request-changes by {}; update by anyone, which clears the approvals", reviewers())
        }
        Stage::Approved => "activate by anyone; update by anyone, which asks for a new review".to_owned(),
        Stage::Active => "update, mode or deprecate by anyone; a major change is reviewed first".to_owned(),
        Stage::Deprecated => match &record.deprecation {
            Some(end) => format!("archive by anyone, from {} on", day(end.on)),
            None => "archive by anyone".to_owned(),
        },
        Stage::Archived => "nothing; a new policy is made with `policy create`".to_owned(),
    };
    Refusal {
        id: record.id.clone(),
        version: record.version.to_string(),
        stage: record.stage,
        problem: problem.into(),
        possible,
    }
}

/// Everybody whose own work a review would judge: the creator, and who wrote since the last version in force.
fn authors(record: &PolicyRecord) -> Vec<String> {
    let mut all = vec![record.created_by.clone()];
    for author in &record.authors {
        if !all.iter().any(|known| same_person(known, author)) {
            all.push(author.clone());
        }
    }
    all
}

fn day(at: Instant) -> String {
    let text = at.format("%Y-%m-%d %H:%M UTC").to_string();
    text.strip_suffix(" 00:00 UTC").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests;
