//! Who is told: by owner tag, creator tag, contact of the account, default owner, in this order and everywhere the same.
//!
//! Four machines in two accounts, one for each step; what is asserted is what stands in mails, findings, the report and
//! the breaker's count.

use std::collections::BTreeMap;

use costwarden::cloud::sim::{Planted, World};
use costwarden::domain::place::AccountId;
use serde_json::{Value, json};

use super::accidents::story::{ACCOUNT, IDLE, Story, at, idle};

const OTHER: &str = "444455556666";

/// An idle machine with these tags, in this account.
fn machine(account: &str, name: &str, tags: &[(&str, &str)]) -> Vec<Planted> {
    let mut planted = idle(name);
    for planted in &mut planted {
        planted.resource.key.partition.place.account = AccountId::new(account).unwrap();
    }
    planted[0] = planted[0].clone().tagged(tags);
    planted
}

fn world(world: &mut World, accounts: &Value, owners: &Value) {
    *world = world.clone().with_account(OTHER, &["us-east-1"]).unwrap();
    world.policies = vec![IDLE.into()];
    let settings = world.settings.as_mut().unwrap();
    settings["accounts"] = accounts.clone();
    settings["owners"] = owners.clone();
    let session = "AssumedRole:AROAEXAMPLE:bob@example.com";
    world.resources = [
        machine(ACCOUNT, "tagged", &[("owner", "ann@example.com"), ("aws:createdBy", session)]),
        machine(ACCOUNT, "made", &[("owner", "the platform team"), ("aws:createdBy", session)]),
        machine(ACCOUNT, "bare", &[("owner", "eve@elsewhere.example"), ("creator", "Root:111122223333")]),
        machine(OTHER, "other", &[("owner", "eve@elsewhere.example\r\nBcc: all@example.com")]),
    ]
    .concat();
}

fn told(story: &Story) -> BTreeMap<String, String> {
    story.findings().into_iter().map(|(id, finding)| (id, finding.owner.unwrap_or_default())).collect()
}

#[tokio::test]
async fn each_step_names_the_owner_in_mail_finding_and_report_alike() {
    let contact = json!([{ "id": ACCOUNT, "regions": ["us-east-1"], "contact": "Team@example.com" }]);
    let owners = json!({ "allowed_domains": ["example.com"], "default_owner": "finops@example.com" });
    let story = Story::open(|own| world(own, &contact, &owners));
    story.until(at(0, 12)).await;
    let expected = [
        ("i-0bare", "Team@example.com"),
        ("i-0made", "bob@example.com"),
        ("i-0other", "finops@example.com"),
        ("i-0tagged", "ann@example.com"),
    ];
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(id, owner)| ((*id).to_owned(), (*owner).to_owned())).collect();
    assert_eq!(told(&story), expected, "findings");
    let report = story.report();
    let rows: BTreeMap<String, String> =
        report.top_findings.iter().map(|row| (row.resource.clone(), row.owner.clone().unwrap_or_default())).collect();
    assert_eq!(rows, expected, "the report");
    // One digest an owner, which names his machine and no other.
    for (id, owner) in &expected {
        let to: Vec<String> =
            story.mails().into_iter().filter(|mail| mail.contains(&format!("To: {owner}\r\n"))).collect();
        assert_eq!(to.len(), 1, "mails to {owner}");
        for other in expected.keys() {
            assert_eq!(to[0].contains(other), other == id, "{other} in the mail to {owner}");
        }
    }
    assert!(story.mails().iter().all(|mail| !mail.contains("To: eve") && !mail.to_lowercase().contains("\nbcc:")));
    story.until(at(2, 0)).await;
    assert_eq!(story.acts().len(), 4, "each was told, and so each is stopped");
}

#[tokio::test]
async fn h09_what_none_of_the_four_steps_names_is_told_to_nobody_and_never_acted_on() {
    let contact = json!([{ "id": ACCOUNT, "regions": ["us-east-1"], "contact": "team@example.com" }]);
    let story = Story::open(|own| world(own, &contact, &json!({ "allowed_domains": ["example.com"] })));
    story.until(at(9, 0)).await;
    assert_eq!(story.finding("i-0other").owner, None, "the contact is the other account's");
    let mut acts = story.acts();
    acts.sort();
    assert_eq!(acts, ["StopInstances i-0bare", "StopInstances i-0made", "StopInstances i-0tagged"]);
}

#[tokio::test]
async fn the_breaker_counts_the_owners_that_all_four_steps_name() {
    for (contact, owners) in [(None, 3), (Some("team@example.com"), 4)] {
        let mut account = json!([{ "id": ACCOUNT, "regions": ["us-east-1"] }]);
        if let Some(contact) = contact {
            account[0]["contact"] = json!(contact);
        }
        let story = Story::open(|own| {
            let default = json!({ "allowed_domains": ["example.com"], "default_owner": "finops@example.com" });
            world(own, &account, &default);
            own.settings.as_mut().unwrap()["enforcement"]["breaker_owners"] = json!(3);
        });
        story.until(at(2, 0)).await;
        let names: std::collections::BTreeSet<String> = told(&story).into_values().collect();
        assert_eq!(names.len(), owners);
        assert_eq!(story.acts().len(), if owners > 3 { 0 } else { 4 }, "{names:?}");
    }
}
