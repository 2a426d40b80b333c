//! Another installation that works on the same resource (safety.md, H06): its claim is the mark on the safety snapshots
//! that every act makes first which could lose something.
//!
//! `recheck` asks here at J4 and once more right before the call, so that of two installations that both asked for their
//! snapshots neither acts. A claim holds for the seven days in which we would not act on a resource twice ourselves.
//! No tag is written on the resource for this: it would be one more change of what may not be changed at all, to be taken
//! off again after each crash, and IAM could not demand it before the dry runs of J4. Acts without snapshots (a volume's
//! type, an address, a snapshot in the Recycle Bin, tags) leave no claim; done twice, they have their effect once.
//! A machine with a copy of this very state is `twin`'s to tell.

use chrono::TimeDelta;

use super::recheck::{Judged, unread};
use super::{Interrupted, KEY_TAG, Remediator};
use crate::domain::Instant;
use crate::domain::finding::Act;
use crate::domain::place::Kind;
use crate::domain::plan::{HoldCode, OWN_TAGS, Step};
use crate::domain::resource::Resource;
use crate::domain::text::clean;

/// As long as our own pause between two acts on one resource (H25).
const HOLDS: TimeDelta = TimeDelta::days(7);

impl Remediator {
    /// Whether another installation claims the resource of this step. `Some` is the judgement that follows.
    pub(super) async fn claimed_elsewhere(&self, step: &Step) -> Result<Option<Judged>, Interrupted> {
        let snapshotted = matches!(step.key.kind(), Kind::Instance | Kind::Volume);
        if !snapshotted || step.act == Act::AddTags || planted!("ignore-a-foreign-claim") {
            return Ok(None);
        }
        let source = format!("{OWN_TAGS}source");
        let found = match self.tools.read.snapshots_tagged(&step.key.partition.place, &source, &step.key.id).await {
            Ok(found) => found,
            Err(error) => {
                return Ok(Some(unread(&error, "whether another installation works on it could not be read")));
            }
        };
        if found.iter().any(|snapshot| snapshot.tags.known().is_none()) {
            let why = "another installation may work on it: the tags of its safety snapshots came with no answer";
            return Ok(Some(Judged::Unreadable(why.into())));
        }
        let (ours, now) = (format!("{}-r", self.tools.store.state_id()?), self.tools.clock.now());
        let Some(claim) = found.iter().find(|snapshot| claims(snapshot, &ours, now)) else { return Ok(None) };
        let why = format!(
            "another installation of costwarden works on it: its act {} made {}{}; one account and Region belong to one \
             installation alone",
            clean(claim.tag(KEY_TAG).unwrap_or_default()),
            clean(&claim.key.id),
            claim.created_at.known().map(|at| format!(" at {at}")).unwrap_or_default(),
        );
        Ok(Some(Judged::refuse(HoldCode::Managed, why)))
    }
}

/// A safety snapshot of another state that is young enough. One whose age nobody knows is.
fn claims(snapshot: &Resource, ours: &str, now: Instant) -> bool {
    let foreign = snapshot.tag(KEY_TAG).is_some_and(|value| !value.starts_with(ours));
    let old = snapshot.created_at.known().is_some_and(|at| now - *at > HOLDS);
    foreign && !old
}
