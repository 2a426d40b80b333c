//! Whether the state knows everything that was done with it, asked before each run of acts (safety.md, H16).
//!
//! A state that was put back from an older copy would do again what it has forgotten, under exceptions and freezes that
//! it has forgotten too. Two witnesses: the anchor beside the file (`store::anchor`), and the safety snapshots in the
//! cloud, which name the journal row that they were made for. Either freezes until a person accepts the state. A place
//! whose snapshots cannot be listed says nothing; acts there fail by their own reads.

use super::expire::row_of;
use super::{Interrupted, Remediator};
use crate::domain::plan::OWN_TAGS;
use crate::domain::text::clean;

/// What a person does about it.
pub const WAY_ON: &str = "look at what was done since then, and run `costwarden db accept` to go on with this state";

impl Remediator {
    /// Freezes when the state is older than what was done with it. The freeze then holds the run; lifting it without
    /// accepting the state brings it back.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub async fn doubt_the_state(&self) -> Result<(), Interrupted> {
        if self.tools.store.put_back()?.is_none()
            && let Some((why, row)) = self.lost_act().await?
        {
            self.tools.store.note_put_back(&why, row)?;
        }
        match self.tools.store.put_back()? {
            Some(why) => self.freeze("state", &format!("{why}; {WAY_ON}")),
            None => Ok(()),
        }
    }

    /// The newest act of this state that left a snapshot and is not in its journal.
    async fn lost_act(&self) -> Result<Option<(String, i64)>, Interrupted> {
        let (state_id, last) = (self.tools.store.state_id()?, self.tools.store.last_remediation()?);
        let mut newest: Option<(String, i64)> = None;
        for place in &self.rules.places {
            let key = format!("{OWN_TAGS}safety-snapshot");
            let found = match self.tools.read.snapshots_tagged(place, &key, "true").await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%place, "safety snapshots could not be compared with the journal: {error}");
                    continue;
                }
            };
            for snapshot in found {
                let Some(row) = row_of(&snapshot, &state_id).filter(|row| *row > last) else { continue };
                if newest.as_ref().is_none_or(|(_, own)| row > *own) {
                    let id = clean(&snapshot.key.id);
                    let why = format!(
                        "this state is an older copy: {id} in {place} was made for its act r-{row}, and its journal ends at r-{last}"
                    );
                    newest = Some((why, row));
                }
            }
        }
        Ok(newest)
    }
}
