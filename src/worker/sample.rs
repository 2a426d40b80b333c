//! One invented resource, judged by a policy's rules as a scan would: for the examples that policies carry.
//!
//! The resource is written as in a world file, with its `kind`, and is read back from a simulated account, so that
//! listing, metrics and judging are those of a real scan. Its instant is fixed: the same example says the same on any
//! day. What lies unused counts as seen so in every scan since it was made. A volume that says `attached_to`, and an
//! address that says `instance`, get the instance that they name.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use serde_json::{Map, Value as Json, json};

use super::inventory;
use super::supervise::Pulse;
use crate::clock::Clock;
use crate::cloud::sim::{SimCloud, World};
use crate::domain::Instant;
use crate::domain::check::{Standing, Subject, Verdict};
use crate::domain::inventory::{RefIndex, Sighting};
use crate::domain::place::{Kind, Partition};
use crate::domain::price::PriceBook;
use crate::domain::resource::Resource;
use crate::engine::evaluate::{EvaluateRules, evaluate};
use crate::engine::ruleset::Ruleset;
use crate::policy::{Outcome, Policy};

/// The instant of every example: 5 January 2026, 02:00 UTC, a Monday.
const NOW: i64 = 1_767_578_400;

/// What each rule of a policy says about a resource that is written as in a world file.
///
/// # Errors
/// In words: a kind that is not known, keys that do not fit it, or metrics that the simulated account refuses.
pub async fn judge(policy: &Policy, written: &Json, prices: &PriceBook) -> Result<BTreeMap<String, Outcome>, String> {
    let rules = Ruleset::compile(std::slice::from_ref(policy)).map_err(|error| error.to_string())?;
    let now = DateTime::from_timestamp(NOW, 0).ok_or("the examples' instant is out of range")?;
    let (kind, world) = world(written, now)?;
    let Some(place) = world.places().into_iter().next() else { return Err("the account has no Region".into()) };
    let cloud = SimCloud::new(world, Clock::virtual_at(now)).map_err(|error| error.message)?;
    let (reader, pulse) = (cloud.reader(), Pulse::default());
    let partition = place.partition(kind);
    let read = inventory::read(&reader, &partition, &pulse).await;
    let mut refs = RefIndex::default();
    refs.mark_complete(Kind::Image);
    let resource = own(&read.resources, written).ok_or("the account does not list it")?;
    let usage = match rules.usage_days() {
        Some(days) => {
            let one = std::slice::from_ref(resource);
            let (mut map, daily) = inventory::daily_usage(&reader, &place, one, days, now, &pulse).await;
            let ids = [resource.key.id.clone()];
            let hourly = inventory::hourly_usage(&reader, &place, &ids, days, now, &mut map, &pulse).await;
            if let Some(error) = daily.or(hourly) {
                return Err(format!("metrics: {error}"));
            }
            map.remove(&resource.key.id)
        }
        None => None,
    };
    let sighting = sighting(&partition, resource, now);
    let subject = Subject { resource, usage: usage.as_ref(), refs: &refs, sighting, prices, now };
    // Whether an act would be refused is no matter of what a policy says.
    let rules_of_the_house = EvaluateRules { tag_prefix: "costwarden:", refused: &|_, _| None };
    let judged = evaluate(&rules, &subject, rules_of_the_house);
    let mut outcomes: BTreeMap<String, Outcome> =
        policy.rules.iter().map(|rule| (rule.name.clone(), Outcome::NotApplicable)).collect();
    outcomes.extend(judged.map(|judged| (judged.rule.rule.to_string(), outcome(&judged.verdict))));
    Ok(outcomes)
}

fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::NotApplicable => Outcome::NotApplicable,
        Verdict::Compliant => Outcome::Compliant,
        // Not proven yet: no finding, so nobody may call it violated.
        Verdict::Violated(violation) if matches!(violation.standing, Standing::Watching(_)) => Outcome::Unknown,
        Verdict::Violated(_) => Outcome::Violated,
        Verdict::Unknown(_) => Outcome::Unknown,
    }
}

/// An account with that resource and nothing else.
fn world(written: &Json, now: Instant) -> Result<(Kind, World), String> {
    let mut keys: Map<String, Json> = written.as_object().cloned().unwrap_or_default();
    let known = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let Some(kind) = keys.shift_remove("kind") else { return Err(format!("the key \"kind\" is missing: {}", known())) };
    let kind = Kind::ALL.into_iter().find(|known| kind == known.name());
    let Some(kind) = kind else {
        let given = crate::domain::text::clean(&written["kind"].to_string());
        return Err(format!("{given} is no kind of resource: {}", known()));
    };
    let (list, id, made) = match kind {
        Kind::Instance => ("instances", "i-0example", Some("launched")),
        Kind::Volume => ("volumes", "vol-0example", Some("created")),
        Kind::Snapshot => ("snapshots", "snap-0example", Some("created")),
        Kind::Address => ("addresses", "eipalloc-0example", None),
        Kind::Image => ("images", "ami-0example", Some("created")),
    };
    keys.entry("id").or_insert_with(|| id.into());
    if let Some(made) = made {
        keys.entry(made).or_insert_with(|| "-30d".into());
    }
    let host = match kind {
        Kind::Volume => keys.shift_remove("attached_to"),
        Kind::Address => keys.get("instance").cloned(),
        _ => None,
    };
    let mut region = Map::new();
    match (kind, host) {
        (Kind::Volume, Some(host)) => {
            let host = json!({ "id": host, "type": "m5.large", "launched": "-30d", "volumes": [keys] });
            region.insert("instances".to_owned(), json!([host]));
        }
        (_, host) => {
            if let Some(host) = host {
                let host = json!({ "id": host, "type": "m5.large", "launched": "-30d" });
                region.insert("instances".to_owned(), json!([host]));
            }
            region.insert(list.to_owned(), json!([keys]));
        }
    }
    let file = json!({
        "name": "example",
        "start": now.to_rfc3339(),
        "accounts": {"111122223333": {"regions": {"us-east-1": region}}},
    });
    // JSON is YAML; positions in it mean nothing to anybody.
    let world = World::parse(&file.to_string(), "example").map_err(|error| error.message)?;
    Ok((kind, world))
}

/// The one that was written: by its id, since an instance brings its volumes.
fn own<'r>(resources: &'r [Resource], written: &Json) -> Option<&'r Resource> {
    match written.get("id").and_then(Json::as_str) {
        Some(id) => resources.iter().find(|resource| *resource.key.id == *id),
        None => resources.first(),
    }
}

fn sighting(partition: &Partition, resource: &Resource, now: Instant) -> Option<Sighting> {
    let unused = match (resource.volume(), resource.address()) {
        (Some(volume), _) => volume.attachments.is_empty(),
        (_, Some(address)) => address.association.is_none() && address.instance.is_none(),
        _ => false,
    };
    let since = match partition.kind {
        Kind::Address => Some(now - TimeDelta::days(365)),
        _ => resource.created_at.known().copied(),
    }?;
    // One scan a night.
    let scans = u32::try_from((now - since).num_days() + 1).unwrap_or(1);
    unused.then_some(Sighting { since, scans })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::Given;

    const FINOPS: &str = include_str!("../../config/policy_frameworks/finops_baseline.yaml");

    async fn ask(policy: &Policy, resource: Json) -> Result<BTreeMap<String, Outcome>, String> {
        judge(policy, &resource, &crate::cloud::prices::embedded().unwrap()).await
    }

    #[tokio::test]
    async fn t9_the_finops_baseline_says_what_its_examples_expect() {
        let policies = crate::policy::parse(Path::new("f.yaml"), FINOPS, &crate::checks::infos()).unwrap();
        let mut asked = 0;
        for policy in &policies {
            for example in &policy.examples {
                let Given::Resource(resource) = &example.given else { panic!("{example:?}") };
                let outcomes = ask(policy, resource.clone()).await.unwrap_or_else(|error| panic!("{error}"));
                let violated: Vec<_> = outcomes.iter().filter(|(_, one)| **one == Outcome::Violated).collect();
                let names: Vec<String> = violated.iter().map(|(name, _)| (*name).clone()).collect();
                assert_eq!(names, example.violated.clone().unwrap_or_default(), "{}: {outcomes:?}", example.name);
                asked += 1;
            }
        }
        assert_eq!(asked, 8);
    }

    #[tokio::test]
    async fn an_idle_instance_is_idle_and_one_without_metrics_is_unknown() {
        let policies = crate::policy::parse(Path::new("f.yaml"), FINOPS, &crate::checks::infos()).unwrap();
        let resource = |usage: Option<&str>| {
            let mut one = json!({"kind": "compute/instance", "type": "m5.large", "launched": "-60d"});
            if let Some(usage) = usage {
                one["usage"] = usage.into();
            }
            one
        };
        for (usage, expected) in
            [(Some("idle"), Outcome::Violated), (Some("busy"), Outcome::Compliant), (None, Outcome::Unknown)]
        {
            let outcomes = ask(&policies[0], resource(usage)).await.unwrap();
            assert_eq!(outcomes["idle-instance"], expected, "{usage:?}");
            assert_eq!(outcomes["unattached-volume"], Outcome::NotApplicable);
        }
    }

    #[tokio::test]
    async fn what_an_instance_uses_is_not_unused() {
        let policies = crate::policy::parse(Path::new("f.yaml"), FINOPS, &crate::checks::infos()).unwrap();
        let volume =
            |more: &str| format!("{{\"kind\": \"storage/volume\", \"size_gib\": 8, \"created\": \"-90d\"{more}}}");
        let address = |more: &str| {
            format!("{{\"kind\": \"network/address\", \"id\": \"eipalloc-0a\", \"public_ip\": \"198.51.100.7\"{more}}}")
        };
        for (resource, rule, expected) in [
            (volume(""), "unattached-volume", Outcome::Violated),
            (volume(", \"attached_to\": \"i-0a\""), "unattached-volume", Outcome::Compliant),
            (address(""), "unassociated-address", Outcome::Violated),
            (address(", \"instance\": \"i-0a\""), "unassociated-address", Outcome::Compliant),
        ] {
            let outcomes = ask(&policies[0], serde_json::from_str(&resource).unwrap()).await.unwrap();
            assert_eq!(outcomes[rule], expected, "{resource}");
        }
    }

    #[tokio::test]
    async fn a_resource_that_cannot_be_is_an_error_in_words() {
        let policies = crate::policy::parse(Path::new("f.yaml"), FINOPS, &crate::checks::infos()).unwrap();
        for (resource, word) in [
            (json!({"type": "m5.large"}), "kind"),
            (json!({"kind": "compute/mainframe"}), "compute/mainframe"),
            (json!({"kind": "storage/volume", "colour": "red"}), "colour"),
        ] {
            let error = ask(&policies[0], resource).await.unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
