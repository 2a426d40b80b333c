//! Whether the call of an undo would harm what people protect by now. Pure; asked by `ready` before the first call and by
//! `preview`, so that it is said before anybody decides. The gate asks once more, by code of its own.
//!
//! Which calls can harm, one by one:
//! - StopInstances (a resize that is taken back while it runs) ends a service, loses memory, local disks and an address
//!   that AWS assigned. ModifyInstanceAttribute (the old type) and ModifyVolume (the old type) change what works. These
//!   are refused as the acts themselves would be.
//! - StartInstances, CreateVolume, RunInstances, AllocateAddress and RestoreSnapshotFromRecycleBin start, make or bring
//!   back; what is protected loses nothing by them. That an undo of ours puts the protecting tag on what it makes anew
//!   stands in no undo's way for the same reason.
//! - DeleteTags takes away only words that we wrote ourselves, where they still have our values: it stops and changes
//!   nothing, and is not refused either.

use crate::cloud::Call;
use crate::domain::finding::Act;
use crate::domain::guard::{GuardRules, Reading, protected, refusal};
use crate::domain::price::PriceBook;
use crate::domain::resource::Resource;

/// Why the call must not be made on what was read just now; `None` when it harms nothing that is protected.
pub(super) fn harms(call: &Call, fresh: &Resource, rules: &GuardRules, prices: &PriceBook) -> Option<String> {
    let (would, why) = match call {
        // The same stop as a resize begins with, so the same questions: what is lost is lost either way.
        Call::StopInstance { .. } => {
            ("stop it", refusal(Act::ResizeInstance, fresh, rules, prices, Reading::Fresh).map(|(_, why)| why))
        }
        Call::ModifyInstanceType { .. } | Call::ModifyVolume { .. } => ("change it", protected(fresh, rules)),
        _ => return None,
    };
    why.map(|why| format!("taking it back would {would} ({}), and {why}", call.operation()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::place;
    use crate::cloud::prices;
    use crate::cloud::sim::plant;
    use crate::domain::fact::Fact;
    use crate::domain::place::{InstanceId, Kind};
    use crate::domain::resource::Instance;

    #[test]
    fn h12_h23_a_resize_that_is_taken_back_stops_nothing_with_local_disks_or_an_address_that_is_to_be_kept() {
        let instance = InstanceId::new("i-0a").unwrap();
        let stop = Call::StopInstance { instance: instance.clone() };
        let change = Call::ModifyInstanceType { instance: instance.clone(), to: "m5.large".into() };
        let start = Call::StartInstance { instance };
        let prices = prices::embedded().unwrap();
        let asked = |call: &Call, rules: &GuardRules, edit: fn(&mut Instance)| {
            let key = place().partition(Kind::Instance).key("i-0a");
            let planted =
                plant::instance(key, "m5.xlarge", "2026-11-23T10:00:00Z".parse().unwrap()).with_instance(edit);
            harms(call, &planted.resource, rules, &prices)
        };
        let rules = GuardRules::default();
        assert_eq!(asked(&stop, &rules, |_| {}), None);
        type Case = (fn(&mut Instance), &'static str);
        let cases: [Case; 5] = [
            (|own| own.instance_store = Fact::Known(true), "its instance-store disks would be lost"),
            (|own| own.instance_store = Fact::unknown("cut"), "it may have instance-store disks"),
            (|own| own.instance_type = "m5d.xlarge".into(), "has local disks"),
            (|own| own.auto_public_ip = Fact::Known("198.51.100.4".into()), "198.51.100.4"),
            (|own| own.auto_public_ip = Fact::unknown("cut"), "public"),
        ];
        for (edit, words) in cases {
            let why = asked(&stop, &rules, edit).unwrap_or_else(|| panic!("{words}"));
            let would = "taking it back would stop it (StopInstances), and ";
            assert!(why.starts_with(would) && why.contains(words), "{why}");
            assert_eq!(asked(&change, &rules, edit), None, "what is stopped already loses none of it: {words}");
            assert_eq!(asked(&start, &rules, edit), None, "{words}");
        }
        let allowed = GuardRules { allow_public_ip_loss: true, ..GuardRules::default() };
        assert_eq!(asked(&stop, &allowed, |own| own.auto_public_ip = Fact::Known("198.51.100.4".into())), None);
    }
}
