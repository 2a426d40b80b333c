//! What J4 asks beside the guards before an act that stops or ends an instance for more than a stop: can it boot on its
//! new type, could it be made anew.
//!
//! Reads how it was launched and what its types can run; `domain::launch` judges. What cannot be read refuses or is
//! asked again, like every read of J4.

use super::Remediator;
use super::actions::resize_instance::Passage;
use super::recheck::{Judged, unread};
use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::launch::{Launch, anew, change_of_type};
use crate::domain::plan::{HoldCode, Step};
use crate::domain::resource::Resource;

/// The calls that may come after the first one.
pub(super) fn later_calls(step: &Step, fresh: &Resource) -> Vec<Call> {
    match step.act {
        Act::ResizeInstance => Passage::planned(step, fresh).map_or_else(|_| Vec::new(), |passage| passage.calls()),
        _ => Vec::new(),
    }
}

impl Remediator {
    /// How the instance was launched, where the act must know and nothing of it objects.
    pub(super) async fn launch_of(&self, step: &Step, fresh: &Resource) -> Result<Option<Launch>, Judged> {
        let Some(instance) = fresh.instance() else { return Ok(None) };
        if !matches!(step.act, Act::ResizeInstance | Act::TerminateInstance) {
            return Ok(None);
        }
        let launch = self.tools.read.launch(&step.key).await;
        let launch = launch.map_err(|error| unread(&error, "how it was launched could not be read"))?;
        if step.act == Act::TerminateInstance {
            anew(&launch, instance).map_err(|why| Judged::refuse(HoldCode::WouldLose, why))?;
            return Ok(Some(launch));
        }
        let to = step.to_type.as_deref().unwrap_or_default();
        let place = &step.key.partition.place;
        let facts = async |name: &str| {
            let facts = self.tools.read.type_facts(place, &instance.zone, name).await;
            facts.map_err(|error| unread(&error, &format!("what type {name} can run could not be read")))
        };
        let (from, to_facts) = (facts(&instance.instance_type).await?, facts(to).await?);
        change_of_type(&launch, &from, to, &to_facts).map_err(|why| Judged::refuse(HoldCode::NotAvailable, why))?;
        Ok(Some(launch))
    }
}
