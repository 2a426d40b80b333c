//! When the shell stops everything by itself (product.md, "Freeze").
//!
//! A gate that disagrees with the planner, a target outside the list, anything stuck, two failed acts in one run.
//! Ordinary refusals never come here. The freeze row, its audit row and its alert are written before the journal row
//! that caused them ends, so a crash in between repeats the freeze instead of losing it.

use serde_json::json;

use super::{Event, Interrupted, Remediator, Run};
use crate::domain::mode::Freeze;
use crate::domain::remediation::Remediation;
use crate::store::AuditEntry;

/// Failed acts in one run that freeze.
const FAILED_ACTS: u32 = 2;

/// Error codes of refusals that say nothing about the program: the resource changed, is in use or is protected.
const ORDINARY: [&str; 9] = [
    "IncorrectInstanceState",
    "IncorrectState",
    "VolumeInUse",
    "OperationNotPermitted",
    "UnsupportedOperation",
    "InvalidInstanceID.NotFound",
    "InvalidVolume.NotFound",
    "InvalidVolumeID.NotFound",
    "InvalidSnapshot.NotFound",
];

/// Whether a definite rejection is of the ordinary sort.
pub(super) fn ordinary(code: Option<&str>) -> bool {
    code.is_some_and(|code| ORDINARY.contains(&code))
}

impl Remediator {
    /// Freezes everything, unless it is frozen already.
    pub(super) fn freeze(&self, by: &str, reason: &str) -> Result<(), Interrupted> {
        if self.store.frozen()?.is_some() {
            return Ok(());
        }
        let freeze = Freeze { at: self.clock.now(), by: by.to_owned(), reason: reason.to_owned() };
        tracing::error!(by, reason, "frozen");
        self.store.enqueue(&(self.announce)(&Event::Frozen(&freeze)), freeze.at)?;
        self.store.freeze(&freeze)?;
        let entry = AuditEntry {
            actor: by.to_owned(),
            what: "freeze".into(),
            subject: "everything".into(),
            detail: json!({ "reason": reason }),
        };
        self.store.audit_append(freeze.at, &entry)?;
        Ok(())
    }

    /// Counts a failed act of this run; the second freezes.
    pub(super) fn count_failure(&self, remediation: &Remediation, run: &Run, why: &str) -> Result<(), Interrupted> {
        let failed = self.remember(|memory| {
            let count = memory.failed.entry(run.id.clone()).or_default();
            *count += 1;
            *count
        });
        if failed >= FAILED_ACTS {
            let reason = format!("{failed} acts failed in one run; the last was r-{}: {why}", remediation.id);
            self.freeze("remediate", &reason)?;
        }
        Ok(())
    }
}
