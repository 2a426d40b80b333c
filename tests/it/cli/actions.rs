//! `actions`: what was done and what is stuck, and settling it.

use chrono::TimeDelta;
use costwarden::domain::finding::{Act, Severity};
use costwarden::domain::money::Usd;
use costwarden::domain::plan::Step;
use costwarden::domain::remediation::JournalState;
use costwarden::store::{ACTING_LEASE, AuditEntry, Store};

use super::Desk;
use super::state::{at, finding};

/// A state with one act that is stuck, and one that was refused.
fn stuck() -> (Desk, i64, i64) {
    let desk = Desk::set_up();
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let now = at("2026-11-20T10:00:00Z");
    let fence = store.acquire(ACTING_LEASE, "test", TimeDelta::hours(1), now).unwrap().unwrap();
    let mut ids = Vec::new();
    for (volume, end) in [("vol-0a", JournalState::Stuck), ("vol-0b", JournalState::Refused)] {
        let finding = finding(volume, Severity::Medium, Some(Usd::dollars(5)));
        store.update_findings(std::slice::from_ref(&finding), &[]).unwrap();
        let step = Step {
            finding: finding.id.clone(),
            key: finding.key.clone(),
            name: finding.name.clone(),
            act: Act::DeleteVolume,
            policy: finding.policy.clone(),
            rule: finding.rule.clone(),
            policy_hash: finding.policy_hash.clone(),
            message: finding.message.clone(),
            backup: vec![volume.into()],
            add_tags: Vec::new(),
            to_type: None,
            monthly: finding.savings.monthly,
            fingerprint: Default::default(),
        };
        let mut act = store.claim(&step, "p-1", fence, now).unwrap();
        act.state = end;
        act.message = format!("ended as {}", end.word());
        let audit = AuditEntry {
            actor: "test".into(),
            what: "end".into(),
            subject: volume.into(),
            detail: serde_json::json!({}),
        };
        store.done(&act, fence, now + TimeDelta::minutes(1), &audit, &[]).unwrap();
        ids.push(act.id);
    }
    (desk, ids[0], ids[1])
}

fn listed(desk: &Desk, flags: &[&str]) -> Vec<String> {
    let mut args = vec!["actions", "list", "-o", "json"];
    args.extend(flags);
    let json = desk.call(&args).json();
    json["actions"].as_array().unwrap().iter().map(|act| act["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_stuck_is_listed_shown_and_settled_once_by_a_named_person_with_a_reason() {
    let (desk, stuck, refused) = stuck();
    let (stuck, refused) = (format!("r-{stuck}"), format!("r-{refused}"));
    assert_eq!(listed(&desk, &[]), [refused.clone(), stuck.clone()], "newest first");
    assert_eq!(listed(&desk, &["--open"]), std::slice::from_ref(&stuck));

    let page = desk.call(&["actions", "show", &stuck]);
    assert!(page.out.contains("failed (stuck)") && page.out.contains("vol-0a"), "{page:?}");
    assert!(!page.out.contains('\u{1b}'), "a name cannot clear the screen");

    assert!(
        desk.call(&["actions", "settle", &stuck, "--reason", " ", "--by", "ann"]).one_error(2).contains("--reason")
    );
    let wrong = desk.call(&["actions", "settle", &refused, "--reason", "looked", "--by", "ann"]);
    assert!(wrong.one_error(2).contains("is not stuck"), "{wrong:?}");
    let settled = desk.call(&["actions", "settle", &stuck, "--reason", "it is gone", "--by", "ann"]);
    assert_eq!((settled.code, settled.err.as_str()), (0, ""), "{settled:?}");
    assert_eq!(listed(&desk, &["--open"]), [] as [&str; 0]);
    desk.call(&["actions", "settle", &stuck, "--reason", "again", "--by", "ann"]).one_error(2);

    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let finding = finding("vol-0a", Severity::Medium, None);
    let history = store.finding_events(&finding.id).unwrap();
    let told = format!("ann settled {stuck}: it is gone");
    assert!(history.iter().any(|event| event.what == "settled" && event.detail == told), "{history:?}");
}

#[test]
fn an_act_that_is_not_there_is_said_to_be() {
    let (desk, ..) = stuck();
    assert!(desk.call(&["actions", "show", "r-99"]).one_error(2).contains("no act r-99"));
    assert!(desk.call(&["actions", "show", "vol-0a"]).one_error(2).contains("accepted: r- and a number"));
}

/// A volume that was deleted behind a snapshot of 50 GiB, an hour ago.
fn deleted(desk: &Desk) -> String {
    use costwarden::domain::remediation::SafetySnapshot;
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let now = costwarden::clock::Clock::System.now() - TimeDelta::hours(1);
    let fence = store.acquire(ACTING_LEASE, "test", TimeDelta::seconds(1), now).unwrap().unwrap();
    let finding = finding("vol-0c", Severity::Medium, None);
    store.update_findings(std::slice::from_ref(&finding), &[]).unwrap();
    let step = Step {
        finding: finding.id.clone(),
        key: finding.key.clone(),
        name: "old \u{1b}[2Jdisk".into(),
        act: Act::DeleteVolume,
        policy: finding.policy.clone(),
        rule: finding.rule.clone(),
        policy_hash: finding.policy_hash.clone(),
        message: finding.message.clone(),
        backup: vec!["vol-0c".into()],
        add_tags: Vec::new(),
        to_type: None,
        monthly: None,
        fingerprint: Default::default(),
    };
    let mut act = store.claim(&step, "p-1", fence, now).unwrap();
    let planted = costwarden::cloud::sim::plant::volume(finding.key.clone(), "gp3", 50, now);
    let recipe = costwarden::domain::undo::Recipe {
        restore: costwarden::domain::undo::Restore::CreateVolume { volume: "vol-0c".into() },
        resource: planted.resource,
        volumes: Vec::new(),
        addresses: None,
        bin_until: None,
        launch: None,
    };
    act.recipe = recipe.kept();
    act.snapshots = vec![SafetySnapshot {
        volume: "vol-0c".into(),
        size_gib: 50,
        snapshot: Some("snap-0c".into()),
        requested_at: Some(now),
        completed_at: Some(now),
    }];
    act.state = JournalState::Done;
    let detail = serde_json::json!({});
    let audit = AuditEntry { actor: "test".into(), what: "end".into(), subject: "vol-0c".into(), detail };
    store.done(&act, fence, now, &audit, &[]).unwrap();
    format!("r-{}", act.id)
}

#[test]
fn what_can_be_taken_back_is_listed_with_its_end_and_its_cost_a_day() {
    let (desk, _, refused) = stuck();
    let id = deleted(&desk);
    let json = desk.call(&["actions", "list", "-o", "json"]).json();
    let of = |id: &str| {
        json["actions"].as_array().unwrap().iter().find(|act| act["id"] == id).unwrap_or_else(|| panic!("{id}"))["undo"]
            .clone()
    };
    assert_eq!(of(&format!("r-{refused}")), serde_json::Value::Null, "what was refused has nothing to take back");
    let undo = of(&id);
    assert!(undo["way"].as_str().unwrap().contains("snapshot of vol-0c"), "{undo}");
    assert!(undo["until"].as_str().is_some());
    // 50 GiB at 0.05 dollars a GB-month are 2.50 a month: 8 cents a day.
    assert_eq!(undo["daily_usd"], 0.082_192);
    let page = desk.call(&["actions", "show", &id]);
    assert!(page.out.contains("at most $0.08 a day"), "{page:?}");
    assert!(!page.out.contains('\u{1b}'), "a name cannot clear the screen");
}
