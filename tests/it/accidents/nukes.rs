//! aws-nuke, cloud-nuke and Janitor Monkey: filters that protected nothing, dry runs that wrote, ages that nobody knew.

use std::path::Path;

use chrono::TimeDelta;
use costwarden::checks;
use costwarden::cloud::sim::{Change, Effect, plant};
use costwarden::domain::place::{AccountId, Kind};
use costwarden::domain::plan::HoldCode;
use costwarden::policy::parse;
use costwarden::settings::Settings;
use serde_json::json;

use super::story::*;

/// A filter stood under `global` where the tool knows only `__global__`; it was read, meant nothing, and what it should
/// have kept was listed for removal.
#[test]
fn accident_aws_nuke_212_a_key_that_means_nothing_is_refused_with_its_place() {
    for (settings, key) in [
        (json!({ "protected": ["tag:keep"] }), "protected"),
        (json!({ "enforcement": { "protects": ["tag:keep"] } }), "protects"),
        (json!({ "enforcement": { "protect": ["tags:keep"] } }), "tags:keep"),
        (
            json!({ "exceptions": [{ "id": "E", "resource": "vol-0a", "policies": "orphans", "reason": "x",
                                     "approved_by": "ann@example.com", "until": "2026-12-31" }] }),
            "policies",
        ),
    ] {
        let errors = Settings::from_value(&settings, Path::new(".")).expect_err(key).to_string();
        assert!(errors.contains(key), "{errors}");
    }
    for (policy, key) in [
        (IDLE.replace("spec:\n", "spec:\n  filters: [x]\n"), "filters"),
        (IDLE.replace("action: stop", "action: stop, unless: 'tag:keep'"), "unless"),
        (TAGS.replace("scope:", "scopes:"), "scopes"),
    ] {
        let errors = parse(Path::new("p.yaml"), &policy, &checks::infos()).expect_err(key).to_string();
        assert!(errors.contains(key) && errors.contains("p.yaml:"), "{errors}");
    }
}

/// A filter named a property that a fork no longer filled, so it matched nothing and everything behind it was to go.
#[test]
fn accident_aws_nuke_115_a_property_that_no_resource_has_is_a_mistake_and_not_a_filter_without_matches() {
    let policy = |condition: &str| {
        format!(
            "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: {{ name: x }}\nspec:\n  type: Expression\n  severity: \
             low\n  rules:\n    - {{ name: r, kinds: [storage/volume], condition: \"{condition}\" }}\n"
        )
    };
    let load = |condition: &str| parse(Path::new("p.yaml"), &policy(condition), &checks::infos());
    assert!(load("volume.size_gib > 100").is_ok());
    for wrong in ["volume.owner_id != '123456789'", "volume.sizegib > 100", "instance.type == 'm5.large'"] {
        let errors = load(wrong).expect_err(wrong).to_string();
        assert!(errors.contains("p.yaml:"), "{errors}");
    }
}

/// A tag that should except a user was looked for on things that carry no tags of their own, and they were removed.
#[tokio::test]
async fn accident_rebuy_aws_nuke_1259_a_protecting_tag_holds_for_every_kind_and_also_when_it_cannot_be_read() {
    let story = Story::open(|world| {
        let keep = ("exception-nuke", "value-for-exception");
        world.settings.as_mut().unwrap()["enforcement"]["protect"] = json!([format!("tag:{}={}", keep.0, keep.1)]);
        world.policies.push(TAGS.into());
        let mut machine = idle("kept");
        machine[0] = machine[0].clone().tagged(&[("owner", "ann@example.com"), keep]);
        machine[1] = machine[1].clone().tagged(&[("owner", "ann@example.com"), keep]);
        world.resources = machine;
        world.resources.push(orphan("kept2").tagged(&[("owner", "ann@example.com"), keep]));
        world.resources.push(orphan("other").tagged(&[("owner", "ann@example.com"), (keep.0, "another-value")]));
        // While the tags of volumes cannot be read nobody knows which one is kept.
        world.faults = vec![fault("DescribeVolumes", Effect::MissingTags, at(14, 0), at(16, 0))];
    });
    story.until(at(16, 0)).await;
    assert_eq!(story.acts(), ["CreateTags vol-0other"], "the missing tag is added to what nothing protects");
    story.until(at(22, 0)).await;
    assert_eq!(story.acts(), ["CreateTags vol-0other", "DeleteVolume vol-0other"]);
    let held = story.held().await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["i-0kept", "vol-0kept", "vol-0kept2"]);
    assert!(held.values().all(|(_, why)| why.contains("protect list")), "{held:?}");
}

/// The age that was asked for on the command line reached only some resource types; for the others everything was old.
#[tokio::test]
async fn accident_cloud_nuke_527_an_age_in_a_rule_reaches_every_check_that_has_one() {
    let young = |days: i64| start() - TimeDelta::days(days);
    let mut with_age = 0;
    for info in checks::infos().iter().filter(|info| info.params.iter().any(|param| param.name == "days")) {
        let rule = |days: u32| {
            format!(
                "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: {{ name: aged }}\nspec:\n  type: Waste\n  rules:\n    - \
                 {{ name: r, check: {}, severity: high, action: notify, parameters: {{ days: {days} }} }}\n",
                info.id
            )
        };
        let mut found = Vec::new();
        for days in [30, 5] {
            let Ok(parsed) = parse(Path::new("p.yaml"), &rule(days), &checks::infos()) else { continue };
            assert_eq!(parsed.len(), 1);
            let story = Story::open(|world| {
                world.policies = vec![rule(days)];
                let mut machine = idle("young");
                for planted in &mut machine {
                    planted.resource.created_at = costwarden::domain::fact::Fact::Known(young(12));
                }
                machine[0].activity.runs = vec![(young(12), None)];
                let snapshots = place().partition(Kind::Snapshot);
                world.resources = machine;
                world.resources.push(orphan("seen"));
                world
                    .resources
                    .push(plant::address(place().partition(Kind::Address).key("eipalloc-0a"), "203.0.113.9"));
                world.resources.push(plant::snapshot(snapshots.key("snap-0young"), "vol-0gone", 8, young(12)));
            });
            story.until(at(8, 0)).await;
            assert_eq!(story.acts(), Vec::<String>::new(), "{} with {days} days", info.id);
            let proven = |finding: &costwarden::domain::finding::Finding| {
                finding.standing == costwarden::domain::check::Standing::Proven
            };
            found.push(story.findings().values().filter(|finding| proven(finding)).count());
        }
        if found.len() == 2 {
            with_age += 1;
            assert_eq!(found, [0, 1], "{}: none of them is 30 days old, one is 5", info.id);
        }
    }
    assert!(with_age >= 3, "{with_age} checks have an age");
}

/// Listing resources, a dry run included, wrote a first-seen tag onto each of them, even onto those that the
/// configuration excluded.
#[tokio::test]
async fn accident_cloud_nuke_734_looking_and_telling_write_nothing_anywhere() {
    for mode in ["observe", "notify"] {
        let story = Story::open(|world| {
            world.settings.as_mut().unwrap()["enforcement"]["mode"] = json!(mode);
            world.policies.push(TAGS.into());
            world.resources = [idle("a"), busy("b")].concat();
            world.resources.push(orphan("c").tagged(&[]));
        });
        let look = || story.cloud().truth(|truth| truth.resources().cloned().collect::<Vec<_>>());
        let before = look();
        story.until(at(20, 0)).await;
        assert_eq!(story.changes(), [], "{mode}");
        assert_eq!(look(), before, "{mode}: not even a tag");
        assert!(story.findings().len() >= 2, "{mode}: it did look");
        assert!(!story.held().await.is_empty());
    }
}

/// A policy was run while the shell was logged in to another account: machines there were deleted, for their tags were
/// other ones. The policy was right, the account was wrong.
#[tokio::test]
async fn accident_cloud_custodian_5471_credentials_of_another_account_reach_nothing_in_it() {
    let other = AccountId::new("999988887777").unwrap();
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
        // The profile is switched between the scan and the acts.
        world.faults = vec![fault("GetCallerIdentity", Effect::WrongIdentity(other), at(1, 9), at(3, 0))];
    });
    story.until(at(4, 0)).await;
    assert_eq!(story.changes(), [], "not even a snapshot");
    assert!(story.frozen().is_some_and(|why| why.contains("999988887777")), "{:?}", story.frozen());
}

/// EC2 does not say when a volume was detached; the tagger that should note it missed volumes or came late, and then age
/// was counted from the making.
#[tokio::test]
async fn accident_simian_army_108_the_age_of_an_unused_volume_is_what_we_saw_ourselves() {
    let story = Story::open(|world| {
        world.policies = vec![ORPHANS.into()];
        world.resources = [busy("host"), vec![orphan("flapping"), orphan("loose")]].concat();
        let attach = |day, hour| {
            let device = "/dev/sdf".into();
            event(at(day, hour), Change::Attach { volume: "vol-0flapping".into(), instance: "i-0host".into(), device })
        };
        // Used for an hour around every sixth scan, as a cluster's volume between two pods.
        world.events = [6, 12, 18, 24]
            .into_iter()
            .flat_map(|day| [attach(day, 1), event(at(day, 3), Change::Detach("vol-0flapping".into()))])
            .collect();
    });
    story.until(at(13, 23)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "made 400 days ago, seen unused for less than 14");
    story.until(at(29, 0)).await;
    assert_eq!(story.acts(), ["DeleteVolume vol-0loose"]);
    assert_eq!(story.truth("vol-0flapping"), "available");
}

/// An exclude of the configuration file was not applied to a resource type that the file did not know.
#[tokio::test]
async fn accident_cloud_nuke_246_an_exception_that_names_nothing_we_know_is_refused_or_holds() {
    let exception = |policy: &str| {
        json!({ "exceptions": [{ "id": "E-1", "resource": "i-0a", "policy": policy, "reason": "kept",
                                 "approved_by": "ann@example.com", "until": "2026-12-31" }] })
    };
    let with = |policy: &str| {
        let exceptions = exception(policy);
        Story::open(|world| {
            world.resources = idle("a");
            world.settings.as_mut().unwrap()["exceptions"] = exceptions["exceptions"].clone();
        })
    };
    let story = with("idle");
    story.until(at(5, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new());
    assert_eq!(story.held().await["i-0a"].0, HoldCode::Excepted);
    // One letter off: whoever checks the settings is told.
    let desk = crate::cli::Desk::set_up();
    let mut text = desk.read("costwarden.toml");
    text.push_str(
        "\n[[exceptions]]\nid = \"E-1\"\nresource = \"i-0a\"\npolicy = \"idle-resource-detecton\"\nreason = \"kept\"\n\
         approved_by = \"ann@example.com\"\nuntil = \"2030-12-31\"\n",
    );
    desk.write("costwarden.toml", text);
    let ended = desk.call(&["config", "check"]);
    assert!(format!("{}{}", ended.out, ended.err).contains("idle-resource-detecton"), "{ended:?}");
}
