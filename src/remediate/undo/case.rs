//! What an undo works on: the act, its recipe, what is read before the call, and whether that is as it was left.

use super::super::Remediator;
use super::super::UNDO_TAG;
use super::super::actions::{Action, Recipe, Restore, action};
use super::super::backup::usable;
use super::super::recheck::{Fresh, read_one};
use crate::cloud::{Answer, Call, CloudError, CloudRead, ErrorKind, read_partition};
use crate::domain::finding::Act;
use crate::domain::guard::managed_by;
use crate::domain::place::{Kind, ResourceKey};
use crate::domain::remediation::Remediation;
use crate::domain::resource::Resource;
use crate::domain::text::{Str, clean};
use crate::store::{Store, StoreError};

/// What an undo is about, read from the state file.
pub(super) struct Case {
    pub act: Remediation,
    pub recipe: Recipe,
    pub action: &'static Action,
    pub token: String,
}

impl Remediator {
    /// Notes the elastic addresses of an instance. That they cannot be read keeps nothing from being done: a stop
    /// leaves them where they are, and an undo then says that it cannot compare them.
    pub(in crate::remediate) async fn note_addresses(&self, remediation: &mut Remediation, fresh: &Fresh) {
        if fresh.resource.instance().is_none() || remediation.step.act == Act::AddTags {
            return;
        }
        if let Ok(mut recipe) = Recipe::of(remediation) {
            recipe.addresses = addresses_of(&*self.tools.read, &remediation.step.key).await;
            remediation.recipe = recipe.kept();
        }
    }
}

/// An act with all that is needed to take it back.
pub(super) fn case(store: &Store, act: i64) -> Result<Result<Case, String>, StoreError> {
    let Some(act) = store.remediation(act)? else {
        return Ok(Err(format!("there is no act r-{act}")));
    };
    let token = token(&store.state_id()?, act.id);
    let recipe = match Recipe::of(&act) {
        Ok(recipe) => recipe,
        Err(why) => return Ok(Err(why)),
    };
    Ok(action(act.step.act).map(|action| Case { act, recipe, action, token }))
}

/// The elastic addresses that point to an instance; `None` when they could not be read.
pub(super) async fn addresses_of(read: &dyn CloudRead, instance: &ResourceKey) -> Option<Vec<Resource>> {
    let mut found = Vec::new();
    let partition = instance.partition.place.partition(Kind::Address);
    let (_, error) = read_partition(read, &partition, |page| {
        found.extend(
            page.into_iter()
                .filter(|own| own.address().is_some_and(|address| address.instance.as_deref() == Some(&*instance.id))),
        );
    })
    .await;
    found.sort_by(|left, right| left.key.cmp(&right.key));
    error.is_none().then_some(found)
}

/// Names an undo's call and what it makes, the same for every try: at most 64 characters, EC2's limit for tokens.
fn token(state_id: &str, act: i64) -> String {
    format!("{state_id}-r{act}-undo")
}

/// What comes back under a new id, if something does.
pub(super) fn made_anew(case: &Case) -> Option<Kind> {
    match case.recipe.restore {
        Restore::CreateVolume { .. } => Some(Kind::Volume),
        Restore::AllocateAddress { .. } => Some(Kind::Address),
        Restore::LaunchInstance { .. } => Some(Kind::Instance),
        _ => None,
    }
}

/// Whether something comes back under a new id.
pub(super) fn makes_anew(case: &Case) -> bool {
    made_anew(case).is_some()
}

/// What the answer says was made.
pub(super) fn named(case: &Case, answer: &Answer) -> Option<ResourceKey> {
    let kind = made_anew(case)?;
    let id = match kind {
        Kind::Address => answer.address.as_ref()?.as_str(),
        Kind::Instance => answer.instance.as_ref()?.as_str(),
        _ => answer.volume.as_ref()?.as_str(),
    };
    Some(case.act.step.key.partition.place.partition(kind).key(id))
}

/// Whether a resource is what an earlier try of this undo made: by its tag, and an address by its number as well, which
/// nobody else can have.
pub(super) fn made_by(case: &Case, own: &Resource) -> bool {
    const GONE: [&str; 5] = ["deleting", "deleted", "error", "shutting-down", "terminated"];
    if let Restore::AllocateAddress { address } = &case.recipe.restore {
        return own.key.id != case.act.step.key.id && own.address().is_some_and(|now| *now.public_ip == **address);
    }
    own.tag(UNDO_TAG) == Some(&case.token) && !GONE.contains(&own.state())
}

/// What is read before the call.
pub(super) enum Before {
    /// The undo's call is made from it.
    Fits(Box<Resource>),
    /// It cannot be taken back, in words.
    Refused(String),
    /// An answer about something else.
    Foreign(String),
}

/// Reads what an undo's call is made from. What was released, or lies in the Recycle Bin, must certainly be there; the
/// call is then made from the recipe alone.
pub(super) async fn before(read: &dyn CloudRead, case: &Case) -> Result<Before, CloudError> {
    let act = &case.act.step;
    let recipe = || Before::Fits(Box::new(case.recipe.resource.clone()));
    match &case.recipe.restore {
        Restore::Nothing { .. } => Ok(Before::Refused(case.recipe.restore.words())),
        Restore::RecoverSnapshot { .. } => Ok(match read.recycled(&act.key).await? {
            Some(_) => recipe(),
            None => Before::Refused(format!("{} is not in the Recycle Bin any more", act.key.id)),
        }),
        Restore::AllocateAddress { .. } => match read.describe(&act.key).await {
            Ok(_) => Ok(Before::Refused(format!("{} is still there", act.key.id))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(recipe()),
            Err(error) => Err(error),
        },
        _ => {
            let subject = match subject(case) {
                Ok(subject) => subject,
                Err(why) => return Ok(Before::Refused(why)),
            };
            let fresh = read_one(read, act.act, &subject).await?;
            if fresh.key != subject {
                return Ok(Before::Foreign(format!("asked for {subject}, the cloud answered {}", fresh.key)));
            }
            Ok(match intact(case, &fresh) {
                Ok(()) => Before::Fits(Box::new(fresh)),
                Err(why) => Before::Refused(why),
            })
        }
    }
}

fn subject(case: &Case) -> Result<ResourceKey, String> {
    let key = &case.act.step.key;
    if !makes_anew(case) {
        return Ok(key.clone());
    }
    if matches!(case.recipe.restore, Restore::LaunchInstance { .. }) {
        let image = case.act.image.as_ref().and_then(|own| own.image.as_ref());
        let image = image.ok_or_else(|| format!("r-{} made no image of {}", case.act.id, key.id))?;
        return Ok(key.partition.place.partition(Kind::Image).key(image));
    }
    let own = case.act.snapshots.iter().find(|own| own.volume == key.id);
    let snapshot = own.and_then(|own| own.snapshot.as_ref());
    let snapshot = snapshot.ok_or_else(|| format!("r-{} has no safety snapshot of {}", case.act.id, key.id))?;
    Ok(key.partition.place.partition(Kind::Snapshot).key(snapshot))
}

/// Whether what was read is what the recipe was saved for: a completed snapshot of that volume, or the resource that
/// nothing else manages by now.
fn intact(case: &Case, fresh: &Resource) -> Result<(), String> {
    if !makes_anew(case) {
        return managed_by(fresh).map_or(Ok(()), Err);
    }
    if matches!(case.recipe.restore, Restore::LaunchInstance { .. }) {
        let image = fresh.image().ok_or("it was read, but not as an image")?;
        let mut wanted: Vec<&Str> = case.act.snapshots.iter().filter_map(|own| own.snapshot.as_ref()).collect();
        wanted.sort();
        if &*image.state != "available" {
            return Err(format!("its image {} is {}", fresh.key.id, clean(&image.state)));
        }
        if image.snapshots.iter().collect::<Vec<_>>() != wanted {
            return Err(format!("its image {} is not made of its safety snapshots", fresh.key.id));
        }
        return Ok(());
    }
    let own = case.act.snapshots.iter().find(|own| own.snapshot.as_deref() == Some(&*fresh.key.id));
    match usable(own.ok_or("it is none of the act's snapshots")?, fresh)? {
        None => Ok(()),
        Some(state) => Err(format!("its safety snapshot {} is {state}", fresh.key.id)),
    }
}

/// Asked once more by the gate's rule: the call is that way's, and names what was read.
pub(super) fn expected(case: &Case, subject: &ResourceKey, call: &Call) -> Result<(), String> {
    let fits = matches!(
        (&case.recipe.restore, call),
        (Restore::StartInstance { .. }, Call::StartInstance { .. })
            | (Restore::CreateVolume { .. }, Call::CreateVolume(_))
            | (Restore::ModifyVolume { .. }, Call::ModifyVolume { .. })
            | (Restore::RecoverSnapshot { .. }, Call::RestoreSnapshot { .. })
            | (Restore::RemoveTags { .. }, Call::DeleteTags { .. })
            | (Restore::LaunchInstance { .. }, Call::RunInstance(_))
            | (Restore::ResizeInstance { .. }, Call::StopInstance { .. } | Call::ModifyInstanceType { .. })
    );
    if fits && call.target() == &*subject.id {
        return Ok(());
    }
    if let (Restore::AllocateAddress { address }, Call::AllocateAddress(wanted)) = (&case.recipe.restore, call)
        && wanted.public_ip == *address
    {
        return Ok(());
    }
    Err(format!("{call} is not how r-{} on {} is taken back", case.act.id, case.act.step.key))
}
