//! What an undo would do and what it cannot: the dry run of `actions undo`, and what it says before it begins.
//!
//! Reads the state file and the cloud and can hold nothing that writes: it is given a `CloudRead` and no `CloudAct`.
//! Whether the credentials may make the call is not asked here.

use super::super::actions::Undoing;
use super::case::{Before, before, case};
use super::harm::harms;
use crate::cloud::{Call, CloudRead};
use crate::domain::Instant;
use crate::domain::guard::GuardRules;
use crate::domain::price::PriceBook;
use crate::domain::undo::{Undoable, losses, standing};
use crate::store::{Store, StoreError};

/// What an undo of one act would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The act, its way back, until when, and what keeping it costs.
    pub undoable: Undoable,
    /// What cannot come back, one sentence each.
    pub losses: Vec<String>,
    /// The call that it would make now, or in words why there is none.
    pub call: Result<Call, String>,
}

/// Looks at an act. `Ok(Err)` says in words why nothing can be taken back.
///
/// # Errors
/// When the state file cannot be read; what the cloud does not answer is told in [`Preview::call`].
pub async fn preview(
    store: &Store,
    read: &dyn CloudRead,
    guards: &GuardRules,
    prices: &PriceBook,
    act: i64,
    now: Instant,
) -> Result<Result<Preview, String>, StoreError> {
    let case = match case(store, act)? {
        Ok(case) => case,
        Err(why) => return Ok(Err(why)),
    };
    let undone = store.undone()?.contains(&act);
    let undoable = match standing(&case.act, undone, prices, now) {
        Ok(undoable) => undoable,
        Err(why) => return Ok(Err(why)),
    };
    let mut seen = None;
    let call = match before(read, &case).await {
        Ok(Before::Fits(fresh)) => {
            let undoing = Undoing { act: &case.act, recipe: &case.recipe, fresh: &fresh, token: &case.token, now };
            let call = (case.action.undo)(&undoing);
            let call = call.and_then(|call| harms(&call, &fresh, guards, prices).map_or(Ok(call), Err));
            seen = Some(fresh);
            call
        }
        Ok(Before::Refused(why) | Before::Foreign(why)) => Err(why),
        Err(error) => Err(format!("what {} is now could not be read: {error}", case.act.step.key.id)),
    };
    Ok(Ok(Preview { undoable, losses: losses(&case.recipe, seen.as_deref()), call }))
}
