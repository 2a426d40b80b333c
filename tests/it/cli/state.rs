//! Commands on a state: lists and pages of findings, and stopping the worker.

use costwarden::domain::Instant;
use costwarden::domain::check::{Confidence, Evidence, Savings, Standing};
use costwarden::domain::finding::{Action, Finding, FindingEvent, FindingId, GraceClock, Phase, Severity, State};
use costwarden::domain::mode::Arming;
use costwarden::domain::money::Usd;
use costwarden::domain::resource::Tags;
use costwarden::store::Store;
use serde_json::Value;

use super::Desk;

pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// An open finding on a volume, noticed and long due, with a name that tries to clear the screen.
pub fn finding(volume: &str, severity: Severity, monthly: Option<Usd>) -> Finding {
    let key = format!("123456789012/eu-central-1/storage/volume/{volume}").parse().unwrap();
    Finding {
        id: FindingId::derive(&key, "orphans", "unattached"),
        key,
        name: "disk\u{1b}[2J\u{9b}1m".into(),
        tags: Tags::of(&[("owner", "ann@example.com")]),
        policy: "orphans".into(),
        policy_hash: "0123456789abcdef".into(),
        policy_version: None,
        rule: "unattached".into(),
        check: "unattached-volume".into(),
        severity,
        action: Action::Terminate,
        message: "100 GiB gp3 volume attached to nothing for 20 days".into(),
        evidence: vec![Evidence {
            name: "size".into(),
            value: "100".into(),
            unit: "GiB".into(),
            source: "EC2 listing".into(),
            at: at("2026-11-20T02:00:00Z"),
        }],
        savings: Savings { monthly, basis: "list price".into(), confidence: Confidence::High },
        standing: Standing::Proven,
        act_not_before: None,
        add_tags: Vec::new(),
        to_type: None,
        owner: Some("ann@example.com".into()),
        detected_at: at("2026-11-01T02:00:00Z"),
        seen_at: at("2026-11-20T02:00:00Z"),
        state: State::Open,
        phase: Phase::InGrace,
        clock: GraceClock {
            first_notice: Some(at("2026-11-01T03:00:00Z")),
            due_at: Some(at("2026-11-09T03:00:00Z")),
            ..GraceClock::default()
        },
        excepted_by: None,
        keep_until: None,
        keep_tag: None,
        grace_hours: None,
        approvals: 0,
        missing_since: None,
        closed_at: None,
        reason: "violated at the last look".into(),
        unjudged: None,
        suppressed: false,
        remediation: None,
    }
}

/// A state with three findings: two open (one critical without a price, one medium), one resolved.
fn stocked() -> (Desk, [Finding; 3]) {
    let desk = Desk::set_up();
    let critical = finding("vol-0a", Severity::Critical, None);
    let medium = finding("vol-0b", Severity::Medium, Some(Usd::parse("9.52").unwrap()));
    let resolved = Finding {
        state: State::Resolved,
        closed_at: Some(at("2026-11-20T02:00:00Z")),
        owner: None,
        ..finding("vol-0c", Severity::High, Some(Usd::dollars(1)))
    };
    let event = FindingEvent {
        finding: critical.id.clone(),
        at: critical.detected_at,
        what: "detected".into(),
        detail: "first seen".into(),
    };
    let all = [critical, medium, resolved];
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    store.update_findings(&all, &[event]).unwrap();
    (desk, all)
}

fn ids(json: &Value) -> Vec<String> {
    json["findings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn without_a_state_reading_says_how_to_get_one_and_makes_none() {
    let desk = Desk::set_up();
    let before = desk.files();
    for args in [&["findings", "list"][..], &["findings", "show", "f-0"], &["unfreeze", "--by", "ann"]] {
        let ended = desk.call(args);
        assert!(ended.one_error(1).contains("run `costwarden scan` first"), "{ended:?}");
    }
    assert_eq!(desk.files(), before);
}

#[test]
fn an_empty_state_lists_nothing() {
    let desk = Desk::set_up();
    drop(Store::open_in(&desk.path().join("costwarden-state")).unwrap());
    let table = desk.call(&["findings", "list"]);
    assert_eq!((table.code, table.out.as_str(), table.err.as_str()), (0, "", "no findings\n"));
    let json = desk.call(&["findings", "list", "-o", "json"]).json();
    assert_eq!((json["schema_version"].as_u64(), json["findings"].as_array().unwrap().len()), (Some(1), 0));
}

#[test]
fn findings_are_listed_worst_first_and_each_filter_lets_exactly_its_own_through() {
    let (desk, [critical, medium, resolved]) = stocked();
    let list = |flags: &[&str]| ids(&desk.call(&[&["findings", "list", "-o", "json"], flags].concat()).json());
    let id = |finding: &Finding| finding.id.0.clone();
    assert_eq!(list(&[]), [id(&critical), id(&medium)]);
    assert_eq!(list(&["--state", "resolved"]), [id(&resolved)]);
    assert_eq!(list(&["--state", "open,resolved"]), [id(&critical), id(&resolved), id(&medium)]);
    assert_eq!(list(&["--severity", "medium"]), [id(&medium)]);
    assert_eq!(list(&["--phase", "due"]), [id(&critical), id(&medium)]);
    assert_eq!(list(&["--phase", "in_grace"]), [""; 0]);
    assert_eq!(list(&["--phase", "due", "--state", "resolved"]), [""; 0]);
    assert_eq!(list(&["--limit", "1"]), [id(&critical)]);
    assert_eq!(list(&["--owner", "ann@example.com"]).len(), 2);
    assert_eq!(list(&["--owner", "bob@example.com"]), [""; 0]);
    assert_eq!(list(&["--policy", "other"]), [""; 0]);
    assert_eq!(list(&["--account", "210987654321"]), [""; 0]);
    assert_eq!(desk.call(&["findings", "list", "--account", "12"]).code, 2);
}

#[test]
fn an_unknown_price_is_null_and_never_zero() {
    let (desk, _) = stocked();
    let json = desk.call(&["findings", "list", "-o", "json"]).json();
    assert_eq!(json["findings"][0]["savings"]["monthly_usd"], Value::Null);
    assert_eq!(json["findings"][1]["savings"]["monthly_usd"], 9.52);
    assert_eq!(json["findings"][1]["due_at"], "2026-11-09T03:00:00Z");
    let table = desk.call(&["findings", "list"]);
    assert!(table.out.contains("unknown") && table.out.contains("9.52"), "{}", table.out);
    assert_eq!(table.err, "2 findings, $9.52 a month by their own figures, 1 without a known price\n");
}

#[test]
fn h38_a_hostile_name_reaches_no_terminal_and_survives_in_json() {
    let (desk, [critical, ..]) = stocked();
    for format in ["table", "json"] {
        for args in [vec!["findings", "list", "-o", format], vec!["findings", "show", &critical.id.0, "-o", format]] {
            let out = desk.call(&args).out;
            assert!(out.contains("disk") && !out.contains(['\u{1b}', '\u{9b}']), "{args:?}: {out:?}");
        }
    }
    let json = desk.call(&["findings", "list", "-o", "json"]).json();
    assert_eq!(json["findings"][0]["resource"]["name"], critical.name.as_str());
}

#[test]
fn a_finding_is_shown_by_enough_of_its_id_with_all_that_happened() {
    let (desk, [critical, medium, _]) = stocked();
    let page = desk.call(&["findings", "show", &critical.id.0[2..12]]);
    assert_eq!(page.code, 0);
    for words in [&*critical.id.0, "open, due", "100 GiB gp3 volume", "ann@example.com", "EC2 listing", "first seen"] {
        assert!(page.out.contains(words), "{words} is missing: {}", page.out);
    }
    let json = desk.call(&["findings", "show", &medium.id.0, "-o", "json"]).json();
    assert_eq!(json["finding"]["id"], medium.id.0.as_str());
    assert_eq!(json["clocks"]["first_notice"], "2026-11-01T03:00:00Z");
    assert_eq!(json["history"].as_array().unwrap().len(), 0);
    assert!(desk.call(&["findings", "show", "f-"]).one_error(1).contains("there is no finding"));
}

#[test]
fn freeze_holds_until_unfreeze_and_both_stand_in_the_audit_trail() {
    let desk = Desk::set_up();
    let folder = desk.path().join("costwarden-state");
    let frozen = desk.call_with(&["freeze", "--reason", "audit"], &[("USER", "root"), ("SUDO_USER", "ann")]);
    assert_eq!(frozen.code, 0, "{frozen:?}");
    assert!(frozen.err.contains("a new one was made"), "{frozen:?}");
    let again = desk.call(&["freeze", "--reason", "and once more", "--by", "bob", "-o", "json"]).json();
    assert_eq!(again["freezes"].as_array().unwrap().len(), 2);
    let held = Store::open_in(&folder).unwrap().frozen().unwrap().unwrap();
    assert_eq!((held.by.as_str(), held.reason.as_str()), ("ann", "audit"));

    let lifted = desk.call(&["unfreeze", "--by", "carol", "-o", "json"]).json();
    assert_eq!((lifted["frozen"].as_bool(), lifted["lifted"].as_array().unwrap().len()), (Some(false), 2));
    assert_eq!(desk.call(&["unfreeze", "--by", "carol"]).out, "Nothing was frozen.\n");
    let store = Store::open_in(&folder).unwrap();
    assert_eq!(store.frozen().unwrap(), None);
    let trail: Vec<(String, String)> =
        store.audit_rows(0, 10).unwrap().into_iter().map(|row| (row.entry.actor, row.entry.what)).collect();
    let expected = [("ann", "freeze"), ("bob", "freeze"), ("carol", "unfreeze")];
    assert_eq!(trail, expected.map(|(who, what)| (who.to_owned(), what.to_owned())));
}

#[test]
fn freeze_works_while_the_settings_are_broken_when_the_state_is_named() {
    let desk = Desk::set_up();
    desk.write("costwarden.toml", "broken = [\n");
    assert_eq!(desk.call(&["freeze", "--reason", "r", "--by", "ann"]).code, 2);
    assert_eq!(desk.call(&["freeze", "--reason", "r", "--by", "ann", "--db", "there"]).code, 0);
    assert!(Store::open_in(&desk.path().join("there")).unwrap().frozen().unwrap().is_some());
}

#[test]
fn stopping_needs_a_name_and_a_reason() {
    let desk = Desk::set_up();
    let before = desk.files();
    assert!(desk.call(&["freeze", "--reason", "r"]).one_error(2).contains("give --by NAME"));
    assert!(desk.call(&["freeze", "--reason", " ", "--by", "ann"]).one_error(2).contains("--reason is empty"));
    assert_eq!(desk.call(&["freeze", "--by", "ann"]).code, 2);
    assert_eq!(desk.files(), before);
}

#[test]
fn disarm_ends_an_arming_and_says_when_there_was_none() {
    let desk = Desk::set_up();
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let account = "123456789012".to_owned().try_into().unwrap();
    let now = costwarden::clock::Clock::System.now();
    let until = now + chrono::TimeDelta::days(9);
    store.arm(&Arming { account, by: "ann".into(), at: now, until, policies: Vec::new() }).unwrap();
    let call = |flags: &[&str]| desk.call(&[&["disarm", "--account", "123456789012", "--by", "bob"], flags].concat());
    assert_eq!(call(&["-o", "json"]).json()["changed"], true);
    assert!(store.armings().unwrap()[0].until < costwarden::clock::Clock::System.now());
    assert_eq!(call(&[]).out, "Account 123456789012 was not armed.\n");
    assert!(desk.call(&["disarm", "--account", "12", "--by", "bob"]).one_error(2).contains("twelve digits"));
    let trail = store.audit_rows(0, 10).unwrap();
    assert_eq!(trail.iter().map(|row| row.entry.what.as_str()).collect::<Vec<_>>(), ["disarm"]);
}

#[test]
fn h08_unfreeze_is_a_persons_word_that_the_clock_is_right_now() {
    let desk = Desk::set_up();
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let now = costwarden::clock::Clock::System.now();
    let (past, future) = (now - chrono::TimeDelta::days(1), now + chrono::TimeDelta::days(30));
    store.raise_clock_mark(future).unwrap();
    store.mark_missed("act", past, "it was so", past).unwrap();
    store.mark_missed("act", future - chrono::TimeDelta::days(1), "by a wrong clock", future).unwrap();
    let lifted = desk.call(&["unfreeze", "--by", "carol"]);
    assert_eq!((lifted.code, lifted.out.as_str()), (0, "Nothing was frozen.\n"));
    assert!(lifted.err.contains("is taken as the time now"), "{lifted:?}");
    let mark = store.clock_mark().unwrap().unwrap();
    assert!(mark >= now && mark <= costwarden::clock::Clock::System.now());
    let slots = store.slots_between(past, future + chrono::TimeDelta::days(1)).unwrap();
    assert_eq!(slots.iter().map(|slot| slot.message.as_str()).collect::<Vec<_>>(), ["it was so"]);
    assert_eq!(store.audit_rows(0, 10).unwrap()[0].entry.what, "set_clock_back");
    // A clock that was right all the while is no matter.
    assert_eq!(desk.call(&["unfreeze", "--by", "carol"]).err, "");
    assert_eq!(store.audit_head().unwrap().unwrap().seq, 1);
}

#[test]
fn h16_a_put_back_state_is_told_by_the_doctor_and_accepted_by_name() {
    let (desk, [critical, ..]) = stocked();
    let folder = desk.path().join("costwarden-state");
    let fine = desk.call(&["db", "accept", "--by", "ann"]);
    assert_eq!(fine.out, "Nothing speaks against this state; nothing was changed.\n");
    std::fs::remove_file(folder.join(costwarden::store::ANCHOR_NAME)).unwrap();
    let doctor = desk.call(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(doctor.out.contains("nobody can tell whether this state is the latest"), "{doctor:?}");
    assert!(doctor.out.contains("costwarden db accept"), "{doctor:?}");
    assert!(desk.call(&["db", "accept"]).one_error(2).contains("give --by NAME"));
    let accepted = desk.call(&["db", "accept", "--by", "ann", "-o", "json"]).json();
    assert_eq!((&accepted["accepted"], &accepted["findings_restarted"]), (&true.into(), &2.into()));
    let store = Store::open_in(&folder).unwrap();
    assert_eq!(store.put_back().unwrap(), None);
    assert_eq!(store.finding(&critical.id).unwrap().unwrap().clock.due_at, None, "a full grace period comes first");
    let trail = store.audit_rows(0, 10).unwrap();
    assert_eq!((trail[0].entry.actor.as_str(), trail[0].entry.what.as_str()), ("ann", "accept_state"));
}
