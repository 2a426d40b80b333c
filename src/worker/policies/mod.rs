//! Policies under the life cycle, with their store: what `policy` commands and library users call.
//!
//! Each function reads the record, lets `policy::lifecycle` decide, and writes the step with its messages and its audit
//! row in one commit. It sends nothing by itself: messages wait in the outbox. [`create_policy`] is the library's way to
//! make a policy (P14): the document comes without an id, the returned record has one.

pub mod import;

use std::path::Path;

use serde_json::json;

use crate::checks;
use crate::deliver::address;
use crate::deliver::outbox::outgoing;
use crate::deliver::policy::{PolicyNews, letter};
use crate::domain::Instant;
use crate::domain::lifecycle::{PolicyRecord, PolicyVersion, SemVer, Stage};
use crate::policy::document::{DocumentError, Errors};
use crate::policy::lifecycle::{self, Audience, By, Content, Edit, Moved, Refusal};
use crate::policy::{EnforcementMode, Policy, unite};
use crate::store::{AuditEntry, PolicyStep, Store, StoreError};

/// Where policies are kept, and who is told.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The state.
    pub store: &'a Store,
    /// Everybody: who gets reports.
    pub everyone: &'a [String],
    /// The zone of dates in messages.
    pub zone: chrono_tz::Tz,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The life cycle does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The document is wrong.
    #[error("{0}")]
    Document(Errors),
    /// Nobody knows this policy, or the request makes no sense with the others.
    #[error("{0}")]
    Unknown(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message cannot be laid out.
    #[error(transparent)]
    Message(anyhow::Error),
}

impl From<Errors> for PolicyError {
    fn from(errors: Errors) -> PolicyError {
        PolicyError::Document(errors)
    }
}

/// What a step brought, as stored.
#[derive(Clone, Debug)]
pub struct Done {
    /// The record.
    pub record: PolicyRecord,
    /// Messages that wait in the outbox.
    pub mails: usize,
    /// What happened, in words; empty when nothing changed.
    pub happened: Vec<String>,
}

impl Desk<'_> {
    /// Makes a policy from one document and returns it with its id (P14, L2).
    ///
    /// # Errors
    /// A wrong document, or more than one policy in it.
    pub fn create(&self, content: &Content, by: By<'_>) -> Result<Done, PolicyError> {
        let known = self.store.policies()?;
        let moved = lifecycle::create(content, by, |id| known.iter().any(|record| record.id == id));
        self.save(moved, by)
    }

    /// A new version.
    ///
    /// # Errors
    /// See [`lifecycle::update`].
    pub fn update(&self, id: &str, content: &Content, by: By<'_>, edit: Edit<'_>) -> Result<Done, PolicyError> {
        let (record, last) = self.latest(id)?;
        self.save(lifecycle::update(&record, &last, content, by, edit)?, by)
    }

    /// Another mode (P15).
    ///
    /// # Errors
    /// See [`lifecycle::switch_mode`].
    pub fn update_enforcement_mode(&self, id: &str, mode: EnforcementMode, by: By<'_>) -> Result<Done, PolicyError> {
        let (record, last) = self.latest(id)?;
        let content = lifecycle::with_mode(&last, mode, &checks::infos())?;
        self.save(lifecycle::switch_mode(&record, &last, &content, mode, by)?, by)
    }

    /// To the reviewers.
    ///
    /// # Errors
    /// See [`lifecycle::submit`].
    pub fn submit(&self, id: &str, reviewers: &[String], by: By<'_>) -> Result<Done, PolicyError> {
        self.save(lifecycle::submit(&self.record(id)?, by, reviewers)?, by)
    }

    /// One reviewer's yes. With `version`, only to that one.
    ///
    /// # Errors
    /// See [`lifecycle::approve`]; another version is in review.
    pub fn approve(
        &self,
        id: &str,
        version: Option<SemVer>,
        comment: Option<&str>,
        by: By<'_>,
    ) -> Result<Done, PolicyError> {
        let record = self.record(id)?;
        if let Some(version) = version.filter(|version| *version != record.version) {
            let message =
                format!("{id} is at version {} by now, not {version}: look at it before you approve", record.version);
            return Err(PolicyError::Unknown(message));
        }
        self.save(lifecycle::approve(&record, by, comment)?, by)
    }

    /// One reviewer's no.
    ///
    /// # Errors
    /// See [`lifecycle::request_changes`].
    pub fn request_changes(&self, id: &str, reason: &str, by: By<'_>) -> Result<Done, PolicyError> {
        self.save(lifecycle::request_changes(&self.record(id)?, by, reason)?, by)
    }

    /// In force, now or later. Only one policy of a name is in force at a time.
    ///
    /// # Errors
    /// See [`lifecycle::activate`]; another policy of that name is in force then.
    pub fn activate(&self, id: &str, on: Option<Instant>, by: By<'_>) -> Result<Done, PolicyError> {
        let record = self.record(id)?;
        let moved = lifecycle::activate(&record, by, on)?;
        let from = on.unwrap_or(by.at).max(by.at);
        let rival = self.store.policies()?.into_iter().find(|other| {
            other.name == record.name
                && other.id != record.id
                && (other.in_force(from).is_some() || other.next.is_some())
        });
        if let Some(other) = rival {
            let message = format!(
                "{} has the name {:?} too and is in force then: deprecate it first, or activate this one later",
                other.id, other.name
            );
            return Err(PolicyError::Unknown(message));
        }
        self.save(moved, by)
    }

    /// The end, announced.
    ///
    /// # Errors
    /// See [`lifecycle::deprecate`]; nobody knows the replacement.
    pub fn deprecate(
        &self,
        id: &str,
        on: Instant,
        reason: &str,
        replaced_by: Option<&str>,
        by: By<'_>,
    ) -> Result<Done, PolicyError> {
        let record = self.record(id)?;
        let replaced_by = replaced_by.map(|id| self.record(id)).transpose()?;
        let replaced_by = replaced_by.as_ref().map(|record| record.id.as_str());
        self.save(lifecycle::deprecate(&record, by, on, reason, replaced_by)?, by)
    }

    /// Put away.
    ///
    /// # Errors
    /// See [`lifecycle::archive`].
    pub fn archive(&self, id: &str, by: By<'_>) -> Result<Done, PolicyError> {
        self.save(lifecycle::archive(&self.record(id)?, by)?, by)
    }

    /// Somebody looked at it in a periodic review and leaves it as it is (T7).
    ///
    /// # Errors
    /// Nobody knows it.
    pub fn note_review(&self, id: &str, by: By<'_>) -> Result<Done, PolicyError> {
        self.save(lifecycle::note_review(&self.record(id)?, by, "confirmed as it is"), by)
    }

    /// One policy by its id, or by its name where only one that is not archived has it.
    ///
    /// # Errors
    /// Nobody knows it, or several have the name.
    pub fn record(&self, id: &str) -> Result<PolicyRecord, PolicyError> {
        find(self.store, id)
    }

    fn latest(&self, id: &str) -> Result<(PolicyRecord, PolicyVersion), PolicyError> {
        let record = self.record(id)?;
        let last = self.store.policy_version(&record.id, record.seq)?;
        let last = last.ok_or_else(|| PolicyError::Unknown(format!("version {} of {id} is not there", record.seq)))?;
        Ok((record, last))
    }

    fn save(&self, moved: Moved, by: By<'_>) -> Result<Done, PolicyError> {
        let Moved { record, version, events, news } = moved;
        let happened = events.iter().map(|event| format!("{}: {}", event.what, event.detail)).collect();
        let Some(last) = events.last() else {
            return Ok(Done { record, mails: 0, happened });
        };
        let mut mails = Vec::new();
        let description = version.as_ref().and_then(|version| description(&version.json)).map(str::to_owned);
        for item in &news {
            let people = match &item.to {
                Audience::People(people) => people.as_slice(),
                Audience::Everyone => self.everyone,
            };
            let news = PolicyNews {
                what: item.what,
                detail: &item.detail,
                by: by.who,
                at: by.at,
                description: description.as_deref(),
            };
            // A name that is no address cannot be written to; the history has it all the same.
            for to in people.iter().filter(|to| address::parse(to).is_ok()) {
                let message = letter(to, &record, &news, self.zone).map_err(PolicyError::Message)?;
                mails.push(outgoing(&message, Vec::new()).map_err(PolicyError::Message)?);
            }
        }
        let audit = AuditEntry {
            actor: by.who.to_owned(),
            what: format!("policy_{}", last.what),
            subject: record.id.clone(),
            detail: json!({
                "version": record.version, "hash": record.hash, "stage": record.stage, "detail": last.detail,
            }),
        };
        self.store.save_policy(&PolicyStep {
            record: &record,
            version: version.as_ref(),
            events: &events,
            mails: &mails,
            audit: &audit,
            now: by.at,
        })?;
        let record = self.store.policy(&record.id)?.unwrap_or(record);
        Ok(Done { record, mails: mails.len(), happened })
    }
}

/// Makes a policy from a document's text and returns it, with an id of our own making (P14).
///
/// # Errors
/// Every mistake of the document; a document with more than one policy.
pub fn create_policy(desk: &Desk<'_>, file: &Path, text: &str, by: By<'_>) -> Result<PolicyRecord, PolicyError> {
    Ok(desk.create(&draft(file, text)?, by)?.record)
}

/// The one policy of a document.
///
/// # Errors
/// Every mistake of the document; none or several policies.
pub fn one(file: &Path, text: &str) -> Result<Content, PolicyError> {
    let mut found = lifecycle::contents(file, text, &checks::infos())?;
    if found.len() != 1 {
        let problem = format!("holds {} policies", found.len());
        let accepted = "one policy; `policy apply FOLDER` takes files of several";
        return Err(Errors::from(DocumentError::of_file(file, problem, accepted)).into());
    }
    Ok(found.remove(0))
}

/// The one policy of a document that is to be stored.
///
/// # Errors
/// As [`one`] and [`storable`].
pub fn draft(file: &Path, text: &str) -> Result<Content, PolicyError> {
    let content = one(file, text)?;
    storable(file, &content)?;
    Ok(content)
}

/// Whether a document is whole by itself. One that reads a calendar beside its file is not: its days could change
/// without a version, and without the file no policy at all would load.
///
/// # Errors
/// The rule, and what it can say instead.
pub fn storable(file: &Path, content: &Content) -> Result<(), Errors> {
    let rules = content.json.pointer("/spec/rules").or_else(|| content.json.get("rules"));
    let rules = rules.and_then(serde_json::Value::as_array).into_iter().flatten().enumerate();
    let mut errors = Vec::new();
    for (index, calendar) in rules.filter_map(|(index, rule)| Some((index, rule.get("holidayCalendar")?.as_str()?))) {
        let calendar = crate::domain::text::clean(calendar);
        let problem = format!("{}: rules[{index}] reads the file {calendar:?}, which no version keeps", content.name);
        let accepted = "the days themselves under holidays; policies that stay files may read calendars";
        errors.push(Errors::from(DocumentError::of_file(file, problem, accepted)));
    }
    Errors::join(errors).map_or(Ok(()), Err)
}

/// One policy by its id, or by its name where only one that is not archived has it.
///
/// # Errors
/// Nobody knows it, or several have the name.
pub fn find(store: &Store, id: &str) -> Result<PolicyRecord, PolicyError> {
    if let Some(record) = store.policy(id)? {
        return Ok(record);
    }
    let all = store.policies()?;
    let mut named = all.iter().filter(|record| record.name == id && record.stage != Stage::Archived);
    let shown = crate::domain::text::clean(id);
    match (named.next(), named.next()) {
        (Some(record), None) => Ok(record.clone()),
        (Some(one), Some(two)) => {
            Err(PolicyError::Unknown(format!("several policies are named {shown:?}: give {} or {}", one.id, two.id)))
        }
        (None, _) => {
            let near = crate::policy::document::nearest(id, all.iter().flat_map(|one| [one.id.as_str(), &one.name]));
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            Err(PolicyError::Unknown(format!(
                "there is no policy {shown:?} in the store{near} `policy list` shows all"
            )))
        }
    }
}

/// The policies of the store that are in force at an instant, each with its version and its brake.
///
/// # Errors
/// The state cannot be read, a stored document does not load any more, or two in force have the same name.
pub fn in_force(store: &Store, at: Instant) -> Result<Vec<Policy>, PolicyError> {
    let checks = checks::infos();
    let mut loaded = Vec::new();
    for record in store.policies()? {
        let Some(force) = record.in_force(at) else { continue };
        let version = store.policy_version(&record.id, force.seq)?.ok_or_else(|| {
            PolicyError::Unknown(format!("version {} of {}, which is in force, is not there", force.version, record.id))
        })?;
        loaded.push(lifecycle::in_force(&version, record.brake_at(at), &checks));
    }
    Ok(unite(loaded)?)
}

/// The description of a document, at the places where the two front ends keep it.
pub fn description(json: &serde_json::Value) -> Option<&str> {
    json.pointer("/metadata/description").or_else(|| json.get("description")).and_then(serde_json::Value::as_str)
}
