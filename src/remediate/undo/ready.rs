//! What is read and asked before an undo's first call.
//!
//! `undo` asks here and does what follows; nothing is called and nothing written. The way is that of an act's J4: where
//! it may go at all, what an earlier try made, what is there now, what people protect, the keys, whose the credentials
//! are, the permission, and last of all the gate.

use super::super::actions::Undoing;
use super::super::recheck::{Judged, unread};
use super::super::{Interrupted, Remediator, Ruling, Run};
use super::case::{Before, Case, before, expected, makes_anew};
use super::harm::harms;
use crate::cloud::Call;
use crate::domain::Instant;
use crate::domain::place::ResourceKey;
use crate::domain::plan::HoldCode;
use crate::domain::remediation::JournalState;
use crate::domain::resource::Resource;
use crate::domain::undo::Undo;

/// What follows from a look before the call.
pub(super) enum Ready {
    /// The call that takes it back, and what it was made from.
    Call { call: Call, fresh: Box<Resource>, read_at: Instant },
    /// It was made by an earlier try.
    Made(ResourceKey),
    /// It ends here.
    End(JournalState, String),
    /// Ask again.
    Again(String),
    /// A target that may never be touched, or a clock that is not to be believed.
    Foreign(String),
}

impl Remediator {
    /// What can be said before the call. Reads only.
    pub(super) async fn ready(&self, undo: &Undo, case: &Case, run: &Run) -> Result<Ready, Interrupted> {
        let place = &undo.key.partition.place;
        if !self.rules.places.contains(place) || !undo.key.id.starts_with(undo.key.kind().id_prefix()) {
            let why = format!("{} is outside the accounts and Regions of the settings, or no id of its kind", undo.key);
            return Ok(Ready::Foreign(why));
        }
        if makes_anew(case) {
            match self.tagged(undo, case).await {
                Ok(Some(key)) => return Ok(Ready::Made(key)),
                Ok(None) => {}
                Err(error) => return Ok(Ready::Again(format!("whether it was made before is not known: {error}"))),
            }
        }
        let read_at = self.tools.clock.now();
        let fresh = match before(&*self.tools.read, case).await {
            Ok(Before::Fits(fresh)) => fresh,
            Ok(Before::Refused(why)) => return Ok(Ready::End(JournalState::Refused, why)),
            Ok(Before::Foreign(why)) => return Ok(Ready::Foreign(why)),
            Err(error) => return Ok(after(unread(&error, &format!("what {} is now could not be read", undo.key.id)))),
        };
        self.tools.halt.pass("U4.call").await?;
        let now = self.tools.clock.now();
        let undoing = Undoing { act: &case.act, recipe: &case.recipe, fresh: &fresh, token: &case.token, now };
        let call = match (case.action.undo)(&undoing) {
            Ok(call) => call,
            Err(why) => return Ok(Ready::End(JournalState::Refused, why)),
        };
        if let Err(why) = expected(case, &fresh.key, &call) {
            return Ok(Ready::Foreign(why));
        }
        if let Some(why) = harms(&call, &fresh, &self.rules.guards, &self.rules.prices) {
            return Ok(Ready::End(JournalState::Refused, why));
        }
        if let Err(judged) = self.keys_of_way_back(place, &case.recipe, &fresh).await {
            return Ok(after(judged));
        }
        if let Some(objection) = self.identity(undo.key.account(), run).await? {
            return Ok(after(objection));
        }
        if let Err(error) = self.tools.act.permitted(place, &call).await {
            return Ok(after(unread(&error, &format!("{call} would not be accepted"))));
        }
        Ok(match self.gate_undo(undo, &call, &fresh, read_at)? {
            Ruling::Pass => Ready::Call { call, fresh, read_at },
            // Read again, it may be young enough.
            Ruling::Refuse(HoldCode::StaleScan, why) => Ready::Again(why),
            objection => after(objection.into()),
        })
    }
}

fn after(judged: Judged) -> Ready {
    match judged {
        Judged::Unreadable(why) | Judged::Objection(Ruling::Hold(why)) => Ready::Again(why),
        Judged::Objection(Ruling::Refuse(_, why)) => Ready::End(JournalState::Refused, why),
        Judged::Objection(Ruling::Freeze(why)) => Ready::Foreign(why),
        Judged::Holds(..) | Judged::Objection(Ruling::Pass) => Ready::Again("nothing was asked".into()),
    }
}
