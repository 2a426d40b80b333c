//! Another machine that works with a copy of this state (safety.md, H06).
//!
//! Two such machines have the same state id, leases of their own and, until one of them begins an act more, the same next
//! number for it, so that neither the lock nor the lease keeps them apart. What may is the cloud: `backup` asks here
//! whether a snapshot carries the number of an act that certainly never asked for one, and whether a volume has more of
//! them than were asked for. Either freezes everything on the machine that sees it, before its act. `put_back` looks for
//! numbers that this state never gave. Not seen: a snapshot that the cloud shows only after ours are complete, and acts
//! without a backup, which leave nothing that could be told apart.

use super::recheck::{Judged, unread};
use super::{Interrupted, KEY_TAG, Remediator, Ruling};
use crate::domain::place::ResourceKey;
use crate::domain::remediation::Remediation;
use crate::domain::resource::Resource;
use crate::domain::text::clean;

/// What a person does about it.
const ADVICE: &str = "another machine works with a copy of this state: stop one of the two for good, then unfreeze";

impl Remediator {
    /// Before the first request for snapshots: none can carry this act's number yet. `Some` is the judgement that follows.
    pub(super) fn twin_before(remediation: &Remediation, found: &[Resource]) -> Option<Judged> {
        let first = found.first()?;
        let why = format!(
            "snapshot {} carries the number of r-{}, which has asked for none; {ADVICE}",
            clean(&first.key.id),
            remediation.id
        );
        Some(Judged::Objection(Ruling::Freeze(why)))
    }

    /// When the snapshots are complete: no others carry this act's number, unless it had to ask twice. `Some` is the
    /// judgement that follows.
    pub(super) async fn twin_beside(&self, remediation: &Remediation) -> Result<Option<Judged>, Interrupted> {
        if remediation.looks > 1 {
            return Ok(None);
        }
        let place = &remediation.step.key.partition.place;
        let value = self.key_value(remediation)?;
        let found = match self.tools.read.snapshots_tagged(place, KEY_TAG, &value).await {
            Ok(found) => found,
            Err(error) => return Ok(Some(unread(&error, "whether there are other snapshots of it could not be read"))),
        };
        let ours =
            |key: &ResourceKey| remediation.snapshots.iter().any(|own| own.snapshot.as_deref() == Some(&*key.id));
        // What was attached for a moment may be in our own set as well; a twin has snapshots of the same volumes.
        let same = |own: &Resource| {
            let volume = own.snapshot().map(|snapshot| &snapshot.volume);
            remediation.snapshots.iter().any(|wanted| Some(&wanted.volume) == volume)
        };
        let other = found.iter().find(|own| !ours(&own.key) && same(own));
        Ok(other.map(|other| {
            let why = format!(
                "snapshot {} carries the number of r-{}, which did not ask for it; {ADVICE}",
                clean(&other.key.id),
                remediation.id
            );
            Judged::Objection(Ruling::Freeze(why))
        }))
    }
}
