//! What a scan does with exceptions: what time ended is written down, conditions are asked again, uses are noted.
//!
//! `jobs::scan` calls [`pass_time`] once a scan, [`Watch::look`] for the resources of each believed partition before
//! they are reconciled, and [`Watch::used`] for what an exception took out of the count. A condition that cannot be
//! told keeps its exception and moves no date; one that is certainly broken ends it at once, and the finding then
//! begins a full new grace period.

use std::collections::HashMap;

use anyhow::Context as _;

use super::{Desk, ExceptionError};
use crate::domain::Instant;
use crate::domain::check::Subject;
use crate::domain::exception::{Exception, ExceptionRecord, ExceptionStatus, ExceptionType, ExceptionUse};
use crate::domain::finding::FindingId;
use crate::domain::lifecycle::ApprovalKind;
use crate::domain::resource::Resource;
use crate::engine::exceptions as rules;
use crate::policy::expression::Truth;

/// Writes down what time alone did: ends, and reviews that approvers must be asked for, once a period. An exception that
/// somebody changes meanwhile is looked at by the next scan.
///
/// # Errors
/// The state cannot be read or written.
pub fn pass_time(desk: &Desk<'_>, now: Instant) -> anyhow::Result<usize> {
    let mut steps = 0;
    for record in desk.store.exceptions().context("reading the exceptions")? {
        if let Some(step) = rules::pass_time(&record, now) {
            let asked = desk.store.approvals_of(ApprovalKind::Exception, &record.id)?;
            let asked: Vec<String> = asked.into_iter().map(|row| row.approver).collect();
            steps += usize::from(written(desk.save(Some(record.status), step, &asked))?);
        }
    }
    Ok(steps)
}

/// The exceptions as one partition's scan sees them.
pub struct Watch {
    /// Those of the settings and the granted ones, past ones included.
    pub exceptions: Vec<Exception>,
    conditional: HashMap<(String, String), Vec<ExceptionRecord>>,
    uses: Vec<ExceptionUse>,
}

impl Watch {
    /// Reads them.
    ///
    /// # Errors
    /// The state cannot be read: then nothing is judged.
    pub fn open(desk: &Desk<'_>, settings: &crate::settings::Settings, now: Instant) -> anyhow::Result<Watch> {
        let stored = desk.store.exceptions().context("reading the exceptions")?;
        let exceptions = super::all(settings, &stored);
        let mut conditional: HashMap<(String, String), Vec<ExceptionRecord>> = HashMap::new();
        for record in stored {
            let lives = record.status_at(now) == ExceptionStatus::Approved;
            if lives && record.exception_type == ExceptionType::Conditional {
                let key = (record.account.clone(), record.resource_id.clone());
                conditional.entry(key).or_default().push(record);
            }
        }
        Ok(Watch { exceptions, conditional, uses: Vec::new() })
    }

    /// Whether a resource has a conditional exception, so that a subject must be made for it.
    pub fn asks_about(&self, resource: &Resource) -> bool {
        !self.conditional.is_empty() && self.conditional.contains_key(&key(resource))
    }

    /// Asks the conditions about one resource.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn look(&mut self, desk: &Desk<'_>, subject: &Subject<'_>) -> anyhow::Result<()> {
        for record in self.conditional.get(&key(subject.resource)).into_iter().flatten() {
            let Some(why) = broken(record, subject) else { continue };
            let step = rules::void(record, &why, subject.now);
            let cover = step.record.cover();
            if written(desk.save(Some(record.status), step, &[]))? {
                self.exceptions.retain(|own| own.id != record.id);
                self.exceptions.extend(cover);
            }
        }
        Ok(())
    }

    /// Notes that a finding is not counted; the exception that does it is looked up here.
    pub fn used(&mut self, resource: &Resource, policy: &str, rule: &str, scan: &str, at: Instant) {
        let (account, id) = (resource.key.account().as_str(), &*resource.key.id);
        if let Some(own) = self.exceptions.iter().find(|own| own.covers(account, id, policy, rule, at)) {
            let finding = FindingId::derive(&resource.key, policy, rule);
            self.uses.push(ExceptionUse { exception: own.id.clone(), scan: scan.to_owned(), finding, at });
        }
    }

    /// What was used so far.
    pub fn into_uses(self) -> Vec<ExceptionUse> {
        self.uses
    }
}

/// Why a condition certainly does not hold any more.
fn broken(record: &ExceptionRecord, subject: &Subject<'_>) -> Option<String> {
    let text = record.conditions.as_deref().unwrap_or_default();
    let shown = crate::domain::text::clean(text);
    match rules::bind(text, record.resource_kind) {
        // A name that this version does not know any more says nothing about the resource.
        Err(_) => None,
        Ok(condition) => match condition.evaluate(subject) {
            Truth::True | Truth::Unknown(_) => None,
            Truth::False => Some(format!("its condition does not hold any more: {shown}")),
            Truth::NoRoot(name) => Some(format!("its condition asks for {name}, which the resource does not have")),
        },
    }
}

/// Whether a step was written; one that lost against somebody else's was not.
fn written(done: Result<super::Done, ExceptionError>) -> anyhow::Result<bool> {
    match done {
        Ok(_) => Ok(true),
        Err(ExceptionError::Store(error)) if matches!(error.fault(), crate::store::Fault::Refused(_)) => {
            tracing::warn!("an exception was changed during the scan; the next one looks again: {error}");
            Ok(false)
        }
        Err(error) => Err(anyhow::Error::new(error)).context("writing an exception"),
    }
}

fn key(resource: &Resource) -> (String, String) {
    (resource.key.account().to_string(), resource.key.id.to_string())
}
