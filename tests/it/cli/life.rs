//! The life of a policy on the command line: from a file to a version in force, and what is told on the way.

use costwarden::domain::Instant;
use costwarden::policy::lifecycle::By;
use costwarden::store::Store;
use costwarden::worker::policies::{Desk, create_policy, in_force};
use serde_json::Value;

use super::{Desk as Table, Ended};

const POLICY: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: disks\nspec:\n  type: Waste\n  \
                      mode: enforce\n  rules:\n    - name: unattached\n      check: unattached-volume\n      \
                      parameters:\n        days: 7 # a week\n";

fn stocked() -> Table {
    let table = Table::set_up();
    table.write("disks.yaml", POLICY);
    table.write("longer.yaml", POLICY.replace("days: 7", "days: 9"));
    table
}

fn step(table: &Table, args: &[&str], by: &str) -> Ended {
    table.call(&[&["policy"], args, &["--by", by]].concat())
}

fn done(table: &Table, args: &[&str], by: &str) -> Value {
    table.call(&[&["policy"], args, &["--by", by, "-o", "json"]].concat()).json()
}

fn store(table: &Table) -> Store {
    Store::open_in(&table.path().join("costwarden-state")).unwrap()
}

/// Active since now, with its id.
fn active(table: &Table) -> String {
    let made = done(table, &["create", "disks.yaml"], "ann@example.com");
    let id = made["policy"]["id"].as_str().unwrap().to_owned();
    done(table, &["submit", &id, "--reviewer", "bob@example.com"], "ann@example.com");
    done(table, &["approve", &id, "--of", "0.1.0"], "bob@example.com");
    done(table, &["activate", &id], "ann@example.com");
    id
}

fn now() -> Instant {
    costwarden::clock::Clock::System.now()
}

#[test]
fn l1_a_policy_is_written_reviewed_put_in_force_and_ended_from_the_command_line() {
    let table = stocked();
    let id = active(&table);
    assert!(id.starts_with("policy-disks-20"), "{id}");
    let list = table.call(&["policy", "list"]).out;
    assert!(list.contains(&id) && list.contains("active"), "{list}");

    let changed = done(&table, &["update", "disks", "longer.yaml"], "ann@example.com");
    assert_eq!(
        (changed["policy"]["stage"].as_str(), changed["policy"]["version"].as_str()),
        (Some("review"), Some("1.0.0"))
    );
    assert_eq!(changed["policy"]["in_force"]["version"], "0.1.0", "the old version stays in force");
    let back = done(&table, &["request-changes", &id, "--reason", "why nine?"], "bob@example.com");
    assert_eq!(back["policy"]["stage"], "draft");

    let own = step(&table, &["submit", &id, "--reviewer", "ann@example.com"], "carl");
    assert!(own.one_error(2).contains("ann@example.com wrote it and may not review it"), "{own:?}");
    let nobody = table.call(&["policy", "show", "disk", "-o", "json"]);
    assert!(nobody.one_error(2).contains("did you mean \"disks\"?"), "{nobody:?}");

    let history = table.call(&["policy", "history", &id, "-o", "json"]).json();
    let versions: Vec<_> = history["versions"].as_array().unwrap().iter().map(|row| &row["version"]).collect();
    assert_eq!(versions, ["0.1.0", "1.0.0"]);
    // T6: the row has what was and what is.
    let row = &history["versions"][1];
    assert_eq!(row["previous_policy"]["spec"]["rules"][0]["parameters"]["days"], 7);
    assert_eq!(row["current_policy"]["spec"]["rules"][0]["parameters"]["days"], 9);
    assert_eq!((row["change_type"].as_str(), row["seq"].as_u64()), (Some("major"), Some(2)));
    let what: Vec<_> = history["events"].as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["created", "submitted", "approved", "activated", "updated", "submitted", "changes_requested"]);
    let audit: Vec<String> = store(&table).audit_rows(0, 99).unwrap().into_iter().map(|row| row.entry.what).collect();
    assert_eq!(audit.last().map(String::as_str), Some("policy_changes_requested"));
}

#[test]
fn l6_l7_l8_reviewers_authors_and_everybody_find_a_mail_in_the_outbox() {
    let table = stocked();
    table.write("costwarden.toml", table.read("costwarden.toml") + "\n[reports]\nto = [\"all@example.com\"]\n");
    let settings = table.read("costwarden.toml");
    if settings.matches("[reports]").count() > 1 {
        // The file that `init` writes has the table already.
        let (head, tail) = settings.split_once("[reports]").unwrap();
        let body = tail.split("\n[").next().unwrap();
        let merged = body.lines().filter(|line| !line.starts_with("to ")).collect::<Vec<_>>().join("\n");
        let rest = tail[body.len()..].replace("\n[reports]\nto = [\"all@example.com\"]\n", "");
        table.write("costwarden.toml", format!("{head}[reports]\nto = [\"all@example.com\"]{merged}{rest}"));
    }
    active(&table);
    let rows = store(&table).outbox_due(now(), 99).unwrap();
    let told: Vec<(String, String)> = rows
        .iter()
        .map(|row| {
            let message: Value = serde_json::from_str(&row.message).unwrap();
            (row.to.clone(), message["subject"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("ann@example.com", "[cost] Policy disks was created"),
        ("bob@example.com", "[cost] Policy disks asks for your review"),
        ("ann@example.com", "[cost] Policy disks was approved"),
        ("all@example.com", "[cost] Policy disks is activated"),
    ];
    assert_eq!(told, expected.map(|(to, subject)| (to.to_owned(), subject.to_owned())));
}

#[test]
fn p15_a_milder_mode_limits_the_version_in_force_at_once() {
    let table = stocked();
    let id = active(&table);
    let switched = done(&table, &["mode", &id, "monitor"], "ann@example.com");
    assert_eq!(switched["policy"]["brake"], "monitor");
    assert_eq!(switched["policy"]["version"], "1.0.0");
    let shown = table.call(&["policy", "show", &id]).out;
    assert!(shown.contains("mode: monitor") && shown.contains("# a week"), "{shown}");
    let policies = in_force(&store(&table), now()).unwrap();
    assert_eq!(
        (policies.len(), policies[0].mode.word(), policies[0].version.as_deref()),
        (1, "monitor", Some("0.1.0"))
    );
}

#[test]
fn p14_a_library_call_makes_a_policy_and_returns_it_with_an_id() {
    let store = Store::in_memory().unwrap();
    let desk = Desk { store: &store, everyone: &[], zone: chrono_tz::Tz::UTC };
    let by = By { who: "ann@example.com", at: "2026-11-02T12:00:00Z".parse().unwrap() };
    let file = std::path::Path::new("disks.yaml");
    let made = create_policy(&desk, file, POLICY, by).unwrap();
    assert_eq!(made.id, "policy-disks-20261102");
    assert_eq!(store.policy(&made.id).unwrap(), Some(made.clone()));
    let second = create_policy(&desk, file, POLICY, by).unwrap();
    assert_eq!(second.id, "policy-disks-20261102-2", "the same name on the same day is another policy");
    let wrong = create_policy(&desk, file, &POLICY.replace("unattached-volume", "unatached-volume"), by).unwrap_err();
    assert!(wrong.to_string().contains("disks.yaml:10:14"), "{wrong}");
    assert_eq!(store.policies().unwrap().len(), 2, "nothing of a wrong document is stored");
}

#[test]
fn applying_a_folder_says_what_it_changed_and_ends_nothing_by_itself() {
    let table = stocked();
    table.write("in/disks.yaml", POLICY);
    table.write("in/other.yaml", POLICY.replace("name: disks", "name: other"));
    let results = |flags: &[&str]| {
        let json = done(&table, &[&["apply", "in"], flags].concat(), "ann@example.com");
        let rows = json["policies"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| format!("{} {}", row["name"].as_str().unwrap(), row["result"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(results(&["--dry-run"]), ["disks new", "other new"]);
    assert!(!table.path().join("costwarden-state").exists(), "a dry run makes nothing");
    assert_eq!(results(&[]), ["disks new", "other new"]);
    assert_eq!(results(&[]), ["disks unchanged", "other unchanged"]);

    table.write("in/disks.yaml", POLICY.replace("days: 7 # a week", "days: 8"));
    table.write("in/other.yaml", POLICY.replace("name: disks", "name: other\n  description: Words"));
    let state = || std::fs::read(table.path().join("costwarden-state/costwarden.db")).unwrap();
    let before = state();
    assert_eq!(results(&["--dry-run"]), ["disks changed (major)", "other changed (minor)"]);
    assert!(state() == before, "a dry run changes nothing");
    assert_eq!(results(&[]), ["disks changed (major)", "other changed (minor)"]);
    std::fs::remove_file(table.path().join("in/other.yaml")).unwrap();
    assert_eq!(results(&[]), ["disks unchanged", "other gone"]);
    assert_eq!(store(&table).policies().unwrap().len(), 2);
    table.write("in/bad.yaml", POLICY.replace("type: Waste", "type: Wast"));
    assert_eq!(step(&table, &["apply", "in"], "ann").code, 2);
}

#[test]
fn in_store_mode_the_active_version_is_what_commands_judge_by() {
    let table = stocked();
    let settings = table.read("costwarden.toml").replace("policy_source = \"files\"", "policy_source = \"store\"");
    table.write("costwarden.toml", settings);
    let without = table.call(&["config", "check"]);
    assert!(without.one_error(1).contains("there is no state"), "{without:?}");
    let id = active(&table);
    assert_eq!(table.call(&["config", "check", "-o", "json"]).json()["policies"], 1);
    let today = now().date_naive();
    done(&table, &["deprecate", &id, "--on", &today.to_string(), "--reason", "merged"], "ann@example.com");
    assert_eq!(table.call(&["config", "check", "-o", "json"]).json()["policies"], 0, "its last day has passed");
    assert_eq!(done(&table, &["archive", &id], "ann@example.com")["policy"]["stage"], "archived");
}

const WORLD: &str = "name: disks\nstart: 2026-09-01T00:00:00Z\ndays: 30\naccounts:\n  \"111122223333\":\n    regions:\n      \
                     us-east-1:\n        instances:\n          - { id: i-0a, type: t3.medium, launched: -90d, usage: busy, \
                     tags: { owner: anna@example.com } }\n        volumes:\n          - { id: vol-0idle, size_gib: 100, created: -90d, \
                     tags: { owner: anna@example.com } }\n          - { id: vol-0back, size_gib: 100, created: -90d, \
                     tags: { owner: anna@example.com } }\nevents:\n  - { at: +27d 09:00, by: anna, attach: { volume: vol-0back, \
                     instance: i-0a } }\nsettings:\n  enforcement: { allow_auto_delete_volumes: true }\n  owners: { \
                     allowed_domains: [example.com] }\n";

fn strict() -> String {
    POLICY
        .replace("check: unattached-volume", "check: unattached-volume\n      severity: high\n      action: terminate")
}

#[test]
fn a_world_is_simulated_to_what_was_acted_on_and_used_again_and_nothing_is_left_behind() {
    let table = Table::empty();
    table.write("world.yaml", WORLD);
    table.write("disks.yaml", strict());
    let before = table.files();
    let json = table.call(&["simulate", "--world", "world.yaml", "--policy", "disks.yaml", "-o", "json"]).json();
    let found: Vec<_> = json["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (row["finding"]["resource"]["id"].as_str().unwrap(), row["act"].as_str(), row["used_again"].as_str())
        })
        .collect();
    let expected =
        [("vol-0back", Some("delete_volume"), Some("attached to i-0a")), ("vol-0idle", Some("delete_volume"), None)];
    assert_eq!(found, expected);
    assert_eq!((json["totals"]["false_positives"].as_u64(), json["totals"]["wrong_acts"].as_u64()), (Some(1), Some(1)));
    let saved = json["totals"]["saved_usd"].as_f64().unwrap();
    assert!(saved > 4.0 && saved < 12.0, "two volumes of 8 dollars a month for half a month: {saved}");
    assert_eq!(table.files(), before);
    let page = table.call(&["simulate", "--world", "world.yaml", "--policy", "disks.yaml"]);
    assert!(
        page.out.contains("2 acted on") && page.out.contains("1 used again later, 1 of them after the act"),
        "{page:?}"
    );
}

#[test]
fn stored_nights_are_simulated_without_a_write_to_the_state() {
    let table = stocked();
    table.write("world.yaml", WORLD);
    for day in ["02", "03", "05"] {
        let at = format!("2026-09-{day}T02:00:00Z");
        let ended = table.call(&["scan", "--world", "world.yaml", "--as-of", &at, "--db", "costwarden-state"]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let file = table.path().join("costwarden-state/costwarden.db");
    let before = std::fs::read(&file).unwrap();
    let all = table.call(&["simulate", "--policy", "disks.yaml", "-o", "json"]).json();
    assert_eq!(all["nights"].as_array().unwrap().len(), 3);
    assert_eq!(all["totals"]["found"], 2);
    let one = table.call(&["simulate", "--policy", "disks.yaml", "--night", "2026-09-03", "-o", "json"]).json();
    assert_eq!(one["nights"].as_array().unwrap()[..], [Value::from("2026-09-03T02:00:00Z")]);
    let none = table.call(&["simulate", "--policy", "disks.yaml", "--night", "2026-09-04"]);
    assert!(none.one_error(2).contains("accepted: 2026-09-02, 2026-09-03, 2026-09-05"), "{none:?}");
    assert!(std::fs::read(&file).unwrap() == before, "a simulation writes nothing");
}

#[test]
fn an_invented_resource_is_judged_by_a_policy() {
    let table = Table::empty();
    table.write("disks.yaml", strict());
    table.write("invented.yaml", "volumes:\n  - { id: vol-0dream, size_gib: 500, created: -90d }\n");
    let json = table.call(&["simulate", "--resource", "invented.yaml", "--policy", "disks.yaml", "-o", "json"]).json();
    assert_eq!(json["found"][0]["finding"]["resource"]["id"], "vol-0dream");
    assert_eq!(json["found"][0]["finding"]["savings"]["monthly_usd"], 40.0);
    table.write("invented.yaml", "disks:\n  - { id: vol-0dream }\n");
    assert_eq!(table.call(&["simulate", "--resource", "invented.yaml", "--policy", "disks.yaml"]).code, 2);
}

#[test]
fn l11_a_comparison_shows_the_text_and_what_appears_or_vanishes_on_the_last_night() {
    let table = stocked();
    let id = active(&table);
    let without = table.call(&["policy", "diff", &id, "longer.yaml"]);
    assert!(without.code == 0 && without.err.contains("the effect is not known"), "{without:?}");
    table.write("world.yaml", WORLD);
    // Two volumes, eight whole days idle on the ninth night: over seven, not over nine.
    for day in 1..=9 {
        let at = format!("2026-09-0{day}T02:00:00Z");
        assert_eq!(table.call(&["scan", "--world", "world.yaml", "--as-of", &at, "--db", "costwarden-state"]).code, 0);
    }
    let file = table.path().join("costwarden-state/costwarden.db");
    let before = std::fs::read(&file).unwrap();
    let text = table.call(&["policy", "diff", &format!("{id}@0.1.0"), "longer.yaml"]).out;
    for words in [
        "a major change",
        "-        days: 7 # a week",
        "+        days: 9 # a week",
        "- vol-0idle (vol-0idle): 100 GiB gp3 volume attached to nothing for 8 days, $8.00 a month",
        "0 findings appear ($0.00 a month), 2 vanish ($16.00 a month), 0 stay",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json = table.call(&["policy", "diff", "longer.yaml", "disks.yaml", "-o", "json"]).json();
    let ids: Vec<_> = json["effect"]["appear"].as_array().unwrap().iter().map(|row| &row["resource"]["id"]).collect();
    assert_eq!(ids, ["vol-0back", "vol-0idle"]);
    assert_eq!((&json["change"], &json["effect"]["unchanged"]), (&Value::from("major"), &Value::from(0)));
    assert_eq!(table.call(&["policy", "diff", "longer.yaml", "disks.yaml", "--fail-on-new"]).code, 3);
    assert!(std::fs::read(&file).unwrap() == before, "a comparison writes nothing");
    let missing = table.call(&["policy", "diff", &format!("{id}@9.0.0"), "disks.yaml"]);
    assert!(missing.one_error(2).contains("has no version 9.0.0; accepted: 0.1.0"), "{missing:?}");
}

#[test]
fn t7_the_quarterly_review_is_written_confirmed_and_mailed_with_its_pdf() {
    let table = stocked();
    let id = active(&table);
    let args = ["policy", "review", "--type", "quarterly", "--output", "review.txt", "--notify", "boss@example.com"];
    let ended = table.call(&args);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
    let text = table.read("review.txt");
    for words in ["Quarterly policy review", "disks 0.1.0, active", "last review 20"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let sent =
        store(&table).outbox_due(now(), 99).unwrap().into_iter().find(|row| row.to == "boss@example.com").unwrap();
    assert_eq!(sent.attachments.is_some(), cfg!(feature = "pdf"), "the PDF goes with it where there is one");
    let json = table.call(&["policy", "review", "-o", "json"]).json();
    let mine = json["policies"].as_array().unwrap().iter().find(|row| row["id"] == *id).unwrap();
    assert_eq!((mine["age_days"].as_i64(), mine["stale"].as_array().map(Vec::len)), (Some(0), Some(0)));
    assert_eq!(table.call(&["policy", "review", "--confirm", &id, "--by", "eve", "-o", "json"]).code, 0);
    let events = store(&table).policy_events(&id).unwrap();
    assert_eq!(events.last().map(|event| (event.what.as_str(), event.by.as_str())), Some(("reviewed", "eve")));
    let wrong = table.call(&["policy", "review", "--notify", "boss"]);
    assert!(wrong.one_error(2).contains("is not one mail address"), "{wrong:?}");
    assert_eq!(table.call(&["policy", "review", "--out", "review.doc"]).code, 2);
}

#[test]
fn l2_p13_the_policies_of_both_seeds_and_the_shipped_ones_are_applied_and_a_second_time_nothing_changes() {
    let table = Table::set_up();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let shipped = ["config/policies", "fixtures/policies/seeds"];
    let paths: Vec<String> = shipped.iter().map(|path| root.join(path).display().to_string()).collect();
    let apply = |paths: &[&str]| {
        let json = done(&table, &[&["apply"], paths].concat(), "ann@example.com");
        let rows = json["policies"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| (row["name"].as_str().unwrap().to_owned(), row["result"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let first = apply(&paths);
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert!(first.iter().all(|(_, result)| result == "new"), "{first:?}");
    for name in ["policy_password_001", "policy_budget_001", "policy_retention_001", "idle-resource-detection"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(apply(&paths).iter().all(|(_, result)| result == "unchanged"));
    // One policy is shown as its file has it, comments included.
    assert_eq!(
        table.call(&["policy", "show", "policy_password_001", "-o", "json"]).json()["content"],
        text("fixtures/policies/seeds/password.toml")
    );

    // Two policies of one TOML file live on their own.
    let two = "[[policies]]\nid = \"one\"\nname = \"One\"\npolicy_type = \"usage\"\nenforcement_mode = \"monitor\"\nseverity = \
               \"info\"\n[[policies.rules]]\nid = \"r\"\ncondition = \"api.calls > 10\"\n\n";
    let two = [two.to_owned(), two.replace("one", "two").replace("One", "Two")].concat();
    table.write("two.toml", &two);
    let ours = |rows: Vec<(String, String)>| {
        rows.into_iter().filter(|(_, result)| result != "gone").map(|(_, result)| result).collect::<Vec<_>>()
    };
    assert_eq!(ours(apply(&["two.toml"])), ["new", "new"]);
    table.write("two.toml", two.replacen("\"One\"", "\"Uno\"", 1).replace("\"Two\"", "\"Two\"\nscope = \"user\""));
    assert_eq!(ours(apply(&["two.toml"])), ["changed (minor)", "changed (major)"]);
    let switched = done(&table, &["mode", "two", "enforce"], "ann@example.com");
    assert_eq!(switched["policy"]["version"], "2.0.0");
    let shown = table.call(&["policy", "show", "two"]).out;
    assert!(shown.contains("enforcement_mode = \"enforce\"") && shown.contains("scope = \"user\""), "{shown}");
    assert!(!shown.contains("\"Uno\""), "{shown}");

    // And update, create and diff take every format.
    let mfa = text("fixtures/policies/seeds/mfa.json");
    table.write("mfa.json", mfa.replace("\"critical\"", "\"high\""));
    let id = "policy-mfa-requirement-for-admins";
    let changed = done(&table, &["update", id, "mfa.json"], "ann@example.com");
    assert_eq!(changed["policy"]["version"], "1.0.0");
    let diff = table.call(&["policy", "diff", &format!("{id}@0.1.0"), "mfa.json", "-o", "json"]);
    assert!(diff.code == 0 && diff.json()["change"] == "major", "{diff:?}");
    table.write("new.json", mfa.replace("\"name\": \"MFA", "\"name\": \"Other MFA"));
    assert_eq!(done(&table, &["create", "new.json"], "ann@example.com")["policy"]["stage"], "draft");
}

#[test]
fn l2_a_policy_that_reads_a_calendar_beside_its_file_is_refused_by_the_store_before_anything_is_written() {
    let table = stocked();
    let text = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: hours\nspec:\n  type: Schedule\n  rules:\n    - \
                name: office\n      timeZone: Europe/Berlin\n      from: \"07:00\"\n      until: \"19:00\"\n      \
                holidayCalendar: feasts.ics\n";
    let feasts = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    table.write("in/feasts.ics", feasts);
    table.write("in/disks.yaml", POLICY);
    table.write("in/hours.yaml", text);
    assert_eq!(table.call(&["policy", "validate", "in"]).code, 0, "as a file it is fine");
    for args in [&["apply", "in"][..], &["create", "in/hours.yaml"]] {
        let refused = step(&table, args, "ann");
        assert!(refused.one_error(2).contains("hours: rules[0] reads the file \"feasts.ics\""), "{refused:?}");
    }
    assert!(store(&table).policies().unwrap().is_empty());
}
