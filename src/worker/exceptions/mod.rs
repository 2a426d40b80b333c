//! Exceptions with their store: what `exception` and `approval` commands call, and what a scan does with them.
//!
//! Each step reads the record, lets `engine::exceptions` decide, and writes it with its messages and its audit row in
//! one commit. It sends nothing by itself: messages wait in the outbox. `night` is the scan's part.

pub mod night;
pub mod report;

use anyhow::Context as _;
use serde_json::json;

use crate::deliver::exception::letter;
use crate::deliver::{address, outbox::outgoing};
use crate::domain::Instant;
use crate::domain::exception::{ApproverRules, Exception, ExceptionRecord, ExceptionStatus};
use crate::domain::finding::{Finding, FindingId, State};
use crate::domain::lifecycle::ApprovalKind;
use crate::domain::text::clean;
use crate::engine::exceptions::{self as rules, Refusal, Step, Wish};
use crate::settings::Settings;
use crate::store::{AuditEntry, ExceptionStep, FindingFilter, Store, StoreError};

/// Where exceptions are kept, and who decides.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The state.
    pub store: &'a Store,
    /// Who may grant what.
    pub approvers: &'a ApproverRules,
    /// The zone of dates in messages.
    pub zone: chrono_tz::Tz,
}

/// Who does it, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Mail address, or another name.
    pub who: &'a str,
    /// The instant.
    pub at: Instant,
}

/// What an exception is asked for.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// A finding's id, or a resource's.
    pub of: String,
    /// Only findings of this policy.
    pub policy: Option<String>,
    /// Only findings of this rule.
    pub rule: Option<String>,
    /// Only findings in this account.
    pub account: Option<String>,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum ExceptionError {
    /// The rules of exceptions do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody knows what is meant.
    #[error("{0}")]
    Unknown(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message cannot be laid out.
    #[error(transparent)]
    Message(anyhow::Error),
}

/// What a step brought, as stored.
#[derive(Clone, Debug)]
pub struct Done {
    /// The record.
    pub record: ExceptionRecord,
    /// Who was told.
    pub told: Vec<String>,
}

impl<'a> Desk<'a> {
    /// A desk of these settings.
    pub fn of(store: &'a Store, settings: &'a Settings) -> Desk<'a> {
        Desk { store, approvers: &settings.approvals, zone: settings.zone }
    }

    /// Asks for an exception, and the approvers for their decision (N3, N4).
    ///
    /// # Errors
    /// Nothing, or more than one finding is meant; everything that `engine::exceptions` refuses.
    pub fn request(&self, target: &Target, wish: &Wish<'_>, at: Instant) -> Result<Done, ExceptionError> {
        let finding = self.finding(target)?;
        let ask = rules::approvers(self.approvers, wish.by, &finding.policy)?;
        let on_resource = self.store.exceptions_on(finding.key.account().as_str(), &finding.key.id)?;
        let same = |own: &ExceptionRecord| own.policy_name == finding.policy && own.rule_name == finding.rule;
        let before: Vec<ExceptionRecord> = on_resource.into_iter().filter(same).collect();
        let id = self.store.new_uuid()?;
        let step = rules::request(&finding, wish, &before, self.approvers.sla, id, at)?;
        self.save(None, step, &ask)
    }

    /// An approver's yes.
    ///
    /// # Errors
    /// As [`rules::approve`].
    pub fn approve(&self, id: &str, comment: Option<&str>, by: By<'_>) -> Result<Done, ExceptionError> {
        let (record, asked) = self.record(id)?;
        self.save(Some(record.status), rules::approve(&record, &asked, comment, by.who, by.at)?, &asked)
    }

    /// An approver's no.
    ///
    /// # Errors
    /// As [`rules::reject`].
    pub fn reject(&self, id: &str, reason: &str, by: By<'_>) -> Result<Done, ExceptionError> {
        let (record, asked) = self.record(id)?;
        self.save(Some(record.status), rules::reject(&record, &asked, reason, by.who, by.at)?, &asked)
    }

    /// Taken back.
    ///
    /// # Errors
    /// As [`rules::revoke`].
    pub fn revoke(&self, id: &str, reason: &str, by: By<'_>) -> Result<Done, ExceptionError> {
        let (record, asked) = self.record(id)?;
        self.save(Some(record.status), rules::revoke(&record, &asked, reason, by.who, by.at)?, &asked)
    }

    /// More time, or a review passed.
    ///
    /// # Errors
    /// As [`rules::renew`].
    pub fn renew(&self, id: &str, days: Option<i64>, by: By<'_>) -> Result<Done, ExceptionError> {
        let (record, asked) = self.record(id)?;
        self.save(Some(record.status), rules::renew(&record, &asked, days, by.who, by.at)?, &asked)
    }

    /// One exception by its id, or by a beginning of it that only one has.
    ///
    /// # Errors
    /// None or several.
    pub fn find(&self, id: &str) -> Result<ExceptionRecord, ExceptionError> {
        find(self.store, id)
    }

    /// The record and who may decide on it: who was asked, and whoever the settings name today.
    fn record(&self, id: &str) -> Result<(ExceptionRecord, Vec<String>), ExceptionError> {
        let record = self.find(id)?;
        let rows = self.store.approvals_of(ApprovalKind::Exception, &record.id)?;
        Ok((record, rows.into_iter().map(|row| row.approver).collect()))
    }

    fn finding(&self, target: &Target) -> Result<Finding, ExceptionError> {
        let filter = FindingFilter { states: vec![State::Open, State::Excepted], ..FindingFilter::default() };
        let meant = |finding: &Finding| {
            let says = |own: &Option<String>, is: &str| own.as_deref().is_none_or(|own| own == is);
            (finding.id == FindingId(target.of.clone()) || *finding.key.id == *target.of)
                && says(&target.policy, &finding.policy)
                && says(&target.rule, &finding.rule)
                && says(&target.account, finding.key.account().as_str())
        };
        let mut found: Vec<Finding> = self.store.findings(&filter)?.into_iter().filter(meant).collect();
        let shown = clean(&target.of);
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(ExceptionError::Unknown(format!(
                "no open finding fits {shown}: an exception is from one rule for one resource that breaks it; `findings list` shows all"
            ))),
            _ => {
                let ids: Vec<String> = found
                    .iter()
                    .map(|own| format!("{} ({} / {})", own.id, clean(&own.policy), clean(&own.rule)))
                    .collect();
                Err(ExceptionError::Unknown(format!("{shown} has several findings; name one: {}", ids.join(", "))))
            }
        }
    }

    fn save(&self, from: Option<ExceptionStatus>, step: Step, asked: &[String]) -> Result<Done, ExceptionError> {
        let Step { record, event } = step;
        let to: Vec<&str> = match event.what.as_str() {
            "requested" | "review_asked" => asked.iter().map(String::as_str).collect(),
            _ => vec![record.requested_by.as_str()],
        };
        let (mut mails, mut told) = (Vec::new(), Vec::new());
        // A name that is no address cannot be written to; the history has it all the same.
        for to in to.into_iter().filter(|to| address::parse(to).is_ok()) {
            let message = letter(to, &record, &event, &record.length(), self.zone).map_err(ExceptionError::Message)?;
            mails.push(outgoing(&message, Vec::new()).map_err(ExceptionError::Message)?);
            told.push(to.to_owned());
        }
        let audit = AuditEntry {
            actor: event.by.clone(),
            what: format!("exception_{}", event.what),
            subject: record.id.clone(),
            detail: json!({
                "resource": record.resource_id, "policy": record.policy_name, "rule": record.rule_name,
                "status": record.status, "expires_at": record.expires_at, "detail": event.detail,
            }),
        };
        let ask = if from.is_none() { asked } else { &[] };
        let step = ExceptionStep { record: &record, from, event: &event, ask, mails: &mails, audit: &audit };
        self.store.save_exception(&step)?;
        let record = self.store.exception(&record.id)?.unwrap_or(record);
        Ok(Done { record, told })
    }
}

/// One exception by its id, or by a beginning of it that only one has.
///
/// # Errors
/// None or several.
pub fn find(store: &Store, id: &str) -> Result<ExceptionRecord, ExceptionError> {
    let wanted = id.trim().to_lowercase();
    let mut found: Vec<ExceptionRecord> =
        store.exceptions()?.into_iter().filter(|own| !wanted.is_empty() && own.id.starts_with(&wanted)).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(ExceptionError::Unknown(format!(
            "there is no exception {:?} in the state; `exception list` shows all",
            clean(id)
        ))),
        several => Err(ExceptionError::Unknown(format!("{several} exceptions begin with {:?}", clean(id)))),
    }
}

/// The exceptions of the settings and the granted ones of the state. Those that are over are among them: a grace period
/// that began before their end does not count.
///
/// # Errors
/// The state cannot be read; then nothing may be decided either.
pub fn in_force(store: &Store, settings: &Settings) -> anyhow::Result<Vec<Exception>> {
    Ok(all(settings, &store.exceptions().context("reading the exceptions")?))
}

/// The exceptions of the settings and those of the records that were ever granted.
fn all(settings: &Settings, stored: &[ExceptionRecord]) -> Vec<Exception> {
    settings.exceptions.iter().cloned().chain(stored.iter().filter_map(ExceptionRecord::cover)).collect()
}

#[cfg(test)]
mod tests;
