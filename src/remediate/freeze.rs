//! When the shell stops everything by itself (product.md, "Freeze").
//!
//! A gate that disagrees with the planner, a target outside the list, anything stuck, two failed acts in one run.
//! Ordinary refusals never come here. All of it is written before the journal row that caused it ends, so a crash in
//! between repeats it instead of losing it.

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
    /// Freezes everything. The freeze comes first; after a crash the same reason brings its alert and no second freeze.
    pub(super) fn freeze(&self, by: &str, reason: &str) -> Result<(), Interrupted> {
        let known = self.tools.store.freezes()?.into_iter().find(|own| own.by == by && own.reason == reason);
        let freeze = match known {
            Some(freeze) => freeze,
            None => {
                let freeze = Freeze { at: self.tools.clock.now(), by: by.to_owned(), reason: reason.to_owned() };
                self.tools.store.freeze(&freeze)?;
                tracing::error!(by, reason, "frozen");
                let entry = AuditEntry {
                    actor: by.to_owned(),
                    what: "freeze".into(),
                    subject: "everything".into(),
                    detail: json!({ "reason": reason }),
                };
                self.tools.store.audit_append(freeze.at, &entry)?;
                freeze
            }
        };
        self.tools.store.enqueue(&(self.tools.announce)(&Event::Frozen(&freeze)), self.tools.clock.now())?;
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
