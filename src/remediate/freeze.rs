//! When the shell stops everything by itself (product.md, "Freeze").
//!
//! A gate that disagrees with the planner, a target outside the list, anything stuck, two failed acts in one run, an
//! audit trail that does not hold. Ordinary refusals never come here. All of it is written before the journal row that
//! caused it ends, so a crash in between repeats it instead of losing it.

use serde_json::json;

use super::{Event, Interrupted, Remediator, Run};
use crate::domain::mode::Freeze;
use crate::domain::remediation::Remediation;
use crate::store::{AuditEntry, VerifyError};

/// The fact of the state that remembers which break of the trail has frozen already.
const DOUBTED: &str = "audit_doubted";

/// Failed acts in one run that freeze.
const FAILED_ACTS: u32 = 2;

/// Error codes of refusals that say nothing about the program: the resource changed, is in use or is protected.
const ORDINARY: [&str; 14] = [
    "IncorrectInstanceState",
    "IncorrectState",
    "VolumeInUse",
    "OperationNotPermitted",
    "UnsupportedOperation",
    "InvalidInstanceID.NotFound",
    "InvalidVolume.NotFound",
    "InvalidVolumeID.NotFound",
    "InvalidSnapshot.NotFound",
    "InvalidSnapshot.InUse",
    "SnapshotLocked",
    "InvalidIPAddress.InUse",
    "IncorrectModificationState",
    "VolumeModificationRateExceeded",
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
        if planted!("stuck-in-silence") {
            return Ok(());
        }
        self.tools.store.enqueue(&(self.tools.announce)(&Event::Frozen(&freeze)), self.tools.clock.now())?;
        Ok(())
    }

    /// Freezes when the audit trail does not hold (H40). Called before a run of acts; the freeze then holds them. A
    /// person who has looked and unfrozen is not asked again about the same row: what was broken once stays broken.
    pub fn doubt_the_trail(&self) -> Result<(), Interrupted> {
        let problem = match self.tools.store.audit_check(None) {
            Ok(_) => return Ok(()),
            Err(broken @ VerifyError::Broken { .. }) => broken.to_string(),
            Err(VerifyError::Store(error)) => return Err(error.into()),
        };
        if self.tools.store.meta(DOUBTED)?.as_deref() != Some(problem.as_str()) {
            self.freeze("audit", &format!("{problem}; `costwarden audit verify` says what to do"))?;
            self.tools.store.set_meta(DOUBTED, &problem)?;
        }
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
