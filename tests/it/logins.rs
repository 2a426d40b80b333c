//! Whose login typed a decision: in the audit row of each yes and no, shown beside the claimed name, and on demand two
//! yeses to one act are taken from two logins alone.

use costwarden::domain::Instant;
use costwarden::domain::act_approval::ActRequest;
use costwarden::domain::finding::{Act, FindingId};
use costwarden::domain::lifecycle::{ApprovalKind, ApprovalState};
use costwarden::domain::login::Login;
use costwarden::domain::place::Kind;
use costwarden::store::{AskAct, Store};
use costwarden::worker::act_approvals::answer;
use costwarden::worker::exceptions::By;

use super::accidents::story::place;
use super::cli::Desk;

const FIN: &str = "fin@example.com";
const SEC: &str = "sec@example.com";

fn login(uid: u32, audit_uid: u32) -> Login {
    Login { uid: Some(uid), audit_uid: Some(audit_uid), name: None }
}

fn asked(store: &Store, now: Instant) -> ActRequest {
    let request = ActRequest {
        id: 0,
        finding: FindingId("f-1".into()),
        key: place().partition(Kind::Volume).key("vol-0a"),
        name: String::new(),
        act: Act::DeleteVolume,
        policy: "orphans".into(),
        rule: "unattached".into(),
        message: "unused".into(),
        plan: "p-1".into(),
        step: "s-1".into(),
        people: 2,
        asked_at: now,
        expires_at: now + chrono::TimeDelta::hours(72),
    };
    let approvers = [FIN.to_owned(), SEC.to_owned()];
    store.ask_act(&AskAct { request: &request, approvers: &approvers, mails: &|_| Vec::new() }).unwrap()
}

/// A state with one question to two people, and what each of them says from which login.
struct Table {
    folder: tempfile::TempDir,
    request: ActRequest,
    now: Instant,
}

impl Table {
    fn set() -> Table {
        let folder = tempfile::tempdir().unwrap();
        let now: Instant = "2026-11-02T12:00:00Z".parse().unwrap();
        let request = asked(&Store::open_in(folder.path()).unwrap(), now);
        Table { folder, request, now }
    }

    /// The refusal, if there is one.
    fn says(&self, who: &str, yes: bool, login: Option<Login>, distinct: bool) -> Option<String> {
        let store = Store::open_in(self.folder.path()).unwrap();
        if let Some(login) = login {
            store.typed_by(login, distinct);
        }
        let rows = store.approvals_of(ApprovalKind::Remediation, &self.request.subject()).unwrap();
        let row = rows.iter().find(|row| row.approver == who).unwrap();
        let rows_before = store.audit_head().unwrap().unwrap().seq;
        let said = answer(&store, row, yes, None, By { who, at: self.now }).err().map(|error| error.to_string());
        let written = store.audit_head().unwrap().unwrap().seq - rows_before;
        assert_eq!(written, i64::from(said.is_none()), "a refusal leaves no row");
        said
    }

    fn yes_count(&self) -> u8 {
        let store = Store::open_in(self.folder.path()).unwrap();
        let rows = store.approvals_of(ApprovalKind::Remediation, &self.request.subject()).unwrap();
        self.request.yes_at(&rows, self.now)
    }
}

#[test]
fn i07_on_demand_a_second_yes_is_taken_only_from_a_login_that_is_certainly_another_persons() {
    let ann = login(1000, 1000);
    for (what, second, taken) in [
        ("another person's", login(1001, 1001), true),
        ("the same", ann.clone(), false),
        ("the same behind sudo as root", login(0, 1000), false),
        ("the same as another user", login(1001, 1000), false),
        ("a service's", login(999, u32::MAX), false),
        ("one that cannot be told", Login::default(), false),
    ] {
        let table = Table::set();
        assert_eq!(table.says(FIN, true, Some(ann.clone()), true), None, "{what}: the first");
        let refused = table.says(SEC, true, Some(second), true);
        assert_eq!(refused.is_none(), taken, "{what}: {refused:?}");
        assert!(refused.is_none_or(|why| why.contains("typed by user 1000") && why.contains("distinct_logins")));
        assert_eq!(table.yes_count(), if taken { 2 } else { 1 }, "{what}");
    }
    // A first yes of which no login is known makes no second person out of the next one.
    let table = Table::set();
    assert_eq!(table.says(FIN, true, None, true), None);
    assert!(table.says(SEC, true, Some(login(1001, 1001)), true).is_some_and(|why| why.contains("typed by unknown")));
}

#[test]
fn i07_a_no_is_taken_from_every_login_and_makes_room_for_the_other_persons_yes() {
    let table = Table::set();
    let ann = login(1000, 1000);
    assert_eq!(table.says(FIN, true, Some(ann.clone()), true), None);
    assert_eq!(table.says(SEC, false, Some(ann.clone()), true), None, "stopping is never refused");
    assert_eq!(table.yes_count(), 0);
    let table = Table::set();
    assert_eq!(table.says(FIN, true, Some(ann.clone()), false), None);
    assert_eq!(table.says(SEC, true, Some(ann), false), None, "nobody asked for two logins");
    assert_eq!(table.yes_count(), 2);
}

#[test]
fn i07_the_audit_row_of_each_decision_has_the_login_that_typed_it() {
    let table = Table::set();
    table.says(FIN, true, Some(login(0, 1000)), false);
    table.says(SEC, false, Some(login(1001, 1001)), false);
    let store = Store::open_in(table.folder.path()).unwrap();
    let logins: Vec<(String, Option<Login>)> = store
        .decisions(&table.request.subject())
        .unwrap()
        .into_iter()
        .map(|decision| (decision.by, decision.login))
        .collect();
    assert_eq!(logins, [(FIN.to_owned(), Some(login(0, 1000))), (SEC.to_owned(), Some(login(1001, 1001)))]);
    let rows = store.audit_rows(0, 9).unwrap();
    let details: Vec<_> = rows.iter().map(|row| (row.entry.what.as_str(), &row.entry.detail["login"])).collect();
    assert_eq!(details[0], ("act_approval_asked", &serde_json::Value::Null), "the worker types nothing");
    assert_eq!((details[1].0, details[1].1["audit_uid"].as_u64()), ("approval_approved", Some(1000)));
    assert_eq!((details[2].0, details[2].1["audit_uid"].as_u64()), ("approval_rejected", Some(1001)));
    assert!(store.audit_check(None).is_ok());
}

#[test]
fn i07_the_command_line_writes_and_shows_the_login_and_keeps_two_yeses_of_one_apart_on_demand() {
    // Two people at one keyboard: taken as it was before, unless the settings ask for two logins.
    for distinct in [false, true] {
        let desk = Desk::set_up();
        let text = desk.read("costwarden.toml");
        assert!(text.contains("distinct_logins = false"));
        desk.write(
            "costwarden.toml",
            text.replace("distinct_logins = false", &format!("distinct_logins = {distinct}")),
        );
        let state = desk.path().join("costwarden-state");
        let request = asked(&Store::open_in(&state).unwrap(), chrono::Utc::now());
        let subject = request.subject();
        assert_eq!(desk.call(&["approval", "approve", &subject, "--by", FIN]).code, 0);
        let second = desk.call(&["approval", "approve", &subject, "--by", SEC]);
        if distinct {
            assert!(second.one_error(2).contains("distinct_logins"), "{second:?}");
        } else {
            assert_eq!(second.code, 0, "{second:?}");
        }
        let shown = desk.call(&["approval", "show", &subject, "-o", "json"]).json();
        let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        for row in shown["approvals"].as_array().unwrap() {
            let yes = row["state"] == ApprovalState::Approved.word();
            assert_eq!(yes, row["approver"] == FIN || !distinct, "{row}");
            assert_eq!(row["login"]["uid"].as_u64(), yes.then_some(u64::from(uid)), "{row}");
        }
        let page = desk.call(&["approval", "show", &subject]).out;
        assert!(page.contains("TYPED BY"), "{page}");
        let trail = desk.call(&["audit", "list"]).out;
        assert_eq!(trail.matches("\"audit_uid\"").count(), if distinct { 1 } else { 2 }, "{trail}");
        let head = Store::open_in(&state).unwrap().audit_check(None).unwrap();
        assert_eq!(head.rows, if distinct { 2 } else { 3 });
    }
}
