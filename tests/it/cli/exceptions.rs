//! `exception` and `approval` on the command line: asked for, decided, shown, and refused with words.

use costwarden::domain::finding::{Finding, Severity};
use costwarden::domain::money::Usd;
use costwarden::store::Store;

use super::state::finding;
use super::{Desk, Ended};

const ANN: &str = "ann@example.com";
const FIN: &str = "fin@example.com";

fn stocked() -> (Desk, Finding) {
    let desk = Desk::set_up();
    let settings = desk.read("costwarden.toml").replace("finops = []", "finops = [\"fin@example.com\"]");
    desk.write("costwarden.toml", settings);
    let own = finding("vol-0a", Severity::High, Some(Usd::dollars(8)));
    let store = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    store.update_findings(std::slice::from_ref(&own), &[]).unwrap();
    (desk, own)
}

fn step(desk: &Desk, args: &[&str], by: &str) -> Ended {
    desk.call(&[&["exception"], args, &["--by", by, "-o", "json"]].concat())
}

fn requested(desk: &Desk, of: &str) -> String {
    let asked = step(desk, &["request", of, "--days", "30", "--reason", "audit"], ANN).json();
    assert_eq!(asked["told"][0], FIN);
    asked["exception"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn n1_an_exception_is_asked_for_granted_renewed_revoked_and_reported_from_the_command_line() {
    let (desk, own) = stocked();
    let id = requested(&desk, &own.id.0);
    let twice = step(&desk, &["request", "vol-0a", "--days", "3", "--reason", "x"], ANN);
    assert!(twice.one_error(2).contains("is pending already"), "{twice:?}");
    let alone = step(&desk, &["approve", &id], " ANN@example.com");
    assert!(alone.one_error(2).contains("asked for himself"), "{alone:?}");
    let granted = step(&desk, &["approve", &id, "--comment", "fine"], FIN).json();
    assert_eq!(
        (granted["exception"]["status"].as_str(), granted["record"]["comment"].as_str()),
        (Some("approved"), Some("fine"))
    );
    assert_eq!(step(&desk, &["renew", &id, "--days", "60"], FIN).code, 0);
    let list = desk.call(&["exception", "list", "--status", "approved", "-o", "json"]).json();
    assert_eq!(list["exceptions"].as_array().unwrap().len(), 1);
    let report = desk.call(&["exception", "report", "-o", "json"]).json();
    assert_eq!((report["total"].as_u64(), report["total_cost_excepted"].as_f64()), (Some(1), Some(8.0)));
    assert!(desk.call(&["exception", "report"]).out.contains("1 exceptions, $8.00 a month"));
    assert_eq!(step(&desk, &["revoke", &id, "--reason", "done"], FIN).code, 0);
    let shown = desk.call(&["exception", "show", &id[..6]]);
    assert!(shown.out.contains("revoked by fin@example.com: done"), "{shown:?}");
    let nobody = step(&desk, &["approve", "ffffffff-none"], FIN);
    assert!(nobody.one_error(2).contains("exception list"), "{nobody:?}");
}

#[test]
fn n6_the_one_table_answers_an_exception_by_the_same_rules() {
    let (desk, own) = stocked();
    let id = requested(&desk, &own.id.0);
    let open = desk.call(&["approval", "list", "-o", "json"]).json();
    let row = &open["approvals"][0];
    assert_eq!((row["kind"].as_str(), row["approver"].as_str()), (Some("exception"), Some(FIN)));
    let number = row["id"].to_string();
    let eve = desk.call(&["approval", "reject", &number, "--reason", "no", "--by", "eve@example.com"]);
    assert!(eve.one_error(2).contains("may not do that"), "{eve:?}");
    assert_eq!(desk.call(&["approval", "reject", &number, "--reason", "no", "--by", FIN]).code, 0);
    let shown = desk.call(&["exception", "show", &id, "-o", "json"]).json();
    assert_eq!(shown["record"]["tags"]["rejection_reason"], "no");
    assert_eq!(desk.call(&["approval", "list", "-o", "json"]).json()["approvals"].as_array().unwrap().len(), 0);
    let lift = desk.call(&["approval", "lift", &own.id.0, "--reason", "x", "--by", FIN]);
    assert!(lift.one_error(2).contains("nobody undid an act"), "{lift:?}");
}

#[test]
fn n10_what_is_printed_as_json_conforms_to_its_schema() {
    let (desk, own) = stocked();
    let id = requested(&desk, &own.id.0);
    step(&desk, &["approve", &id], FIN);
    let documents: [(&str, &[&str]); 4] = [
        ("exceptions", &["exception", "list"]),
        ("exception", &["exception", "show", &id]),
        ("exception-report", &["exception", "report"]),
        ("approvals", &["approval", "show", &id]),
    ];
    for (schema, command) in documents {
        let schema = desk.call(&["schema", schema]).json();
        super::documents::assert_conforms(&schema, &desk.call(&[command, &["-o", "json"]].concat()).json());
    }
}
