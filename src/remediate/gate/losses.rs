//! The gate's own questions about what is lost with an instance that stops: a Spot request, local disks, an address.
//!
//! Asked by `resource` for what stops an instance (stop, resize, terminate) and for nothing else. Two witnesses are
//! heard about local disks, the block map and the table of types, and one that does not know refuses like one that says
//! yes. Shares no code with `domain::guard`.

use super::super::Ruling;
use super::Facts;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::plan::HoldCode;
use crate::domain::resource::Lifecycle;

/// What a stop would lose, or why it would not be one.
pub(super) fn lost(facts: &Facts<'_>) -> Option<Ruling> {
    let instance = facts.fresh.instance()?;
    if !matches!(facts.step.act, Act::StopInstance | Act::ResizeInstance | Act::TerminateInstance) {
        return None;
    }
    let refuse = |code, why: &str| Some(Ruling::Refuse(code, why.into()));
    if instance.lifecycle != Lifecycle::OnDemand && !planted!("stop-spot-instances") {
        return refuse(HoldCode::NotAvailable, "it was not bought on demand");
    }
    let blind = planted!("ignore-local-disks");
    if !matches!(instance.instance_store, Fact::Known(false) | Fact::Absent) && !blind {
        return refuse(HoldCode::WouldLose, "it has, or may have, instance-store disks");
    }
    let of_type = facts.rules.prices.types.get(&instance.instance_type);
    let without = of_type.is_some_and(|own| own.instance_storage == Some(false));
    if !without && !blind {
        return refuse(HoldCode::WouldLose, "its type has local disks, or nobody knows whether it does");
    }
    let accepted = facts.rules.guards.allow_public_ip_loss || planted!("lose-the-public-address");
    if instance.auto_public_ip != Fact::Absent && !accepted {
        return refuse(HoldCode::WouldLose, "it has, or may have, a public address that ends with a stop");
    }
    None
}
