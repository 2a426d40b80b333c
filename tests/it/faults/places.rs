//! The machine around the program: reports for which the disk has no room, and a machine without zone files.

use std::process::Command;

use costwarden::store::Store;

use super::reached;
use crate::cli::Desk;

/// A small account with an idle instance.
const WORLD: &str = "name: one\nstart: 2026-09-07\naccounts:\n  \"111122223333\":\n    regions:\n      us-east-1:\n        \
                     instances: [{ id: i-0a, type: m5.large, launched: -60d, usage: idle, tags: { owner: \
                     ann@example.com, cost-center: x, environment: x } }]\n";

#[test]
fn h30_a_report_for_which_there_is_no_room_is_a_failure_and_leaves_no_half_of_it() {
    let desk = Desk::set_up();
    desk.write("w.yaml", WORLD);
    assert_eq!(desk.call(&["scan", "--world", "w.yaml", "--db", "costwarden-state"]).code, 0);
    // While it is open SQLite's own files have their size, so that reading it needs no room.
    let held = Store::open_in(&desk.path().join("costwarden-state")).unwrap();
    let endings = ["txt", "html", "json", "csv"];
    for ending in endings {
        let old = format!("report of yesterday as {ending}");
        let file = format!("r.{ending}");
        for there_before in [false, true] {
            if there_before {
                desk.write(&file, &old);
            }
            // A file may have 0 bytes: to the program a full disk; the signal that would end it is ignored.
            let ended = Command::new("/bin/bash")
                .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
                .arg(env!("CARGO_BIN_EXE_costwarden"))
                .args(["report", "daily", "--period", "2026-09-07", "--out", &file])
                .current_dir(desk.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.code(), Some(1), "{ending}: {said}");
            assert!(said.contains(&format!("writing {file}")), "{ending}: {said}");
            let left = std::fs::read_to_string(desk.path().join(&file)).ok();
            assert_eq!(left, there_before.then(|| old.clone()), "{ending}: whole or as it was");
        }
        let others: Vec<_> = std::fs::read_dir(desk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let strays: Vec<_> = others.iter().filter(|name| name.to_string_lossy().contains("part")).collect();
        assert!(strays.is_empty(), "{ending}: {strays:?}");
    }
    drop(held);
    reached("the disk of the reports is full", endings.len() * 2);
}

#[test]
fn h31_without_the_machines_zone_files_every_slot_is_the_same() {
    let mut met = 0;
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
        let desk = Desk::set_up();
        let text = desk.read("costwarden.toml");
        let line = text.lines().find(|line| line.starts_with("zone = ")).expect("a zone").to_owned();
        desk.write("costwarden.toml", text.replace(&line, &format!("zone = \"{zone}\"")));
        let slots = |env: &[(&str, &str)]| {
            let ended = desk.call_with(&["config", "check"], env);
            assert_eq!(ended.code, 0, "{ended:?}");
            ended.out
        };
        let here = slots(&[]);
        assert!(here.contains(zone), "{here}");
        for env in [
            &[("TZ", ":/no/such/zone"), ("TZDIR", "/no/such/folder")][..],
            &[("TZ", "Nowhere/AtAll")],
            &[("TZ", ""), ("TZDIR", "/dev/null")],
        ] {
            // A minute may pass between the two.
            assert!(slots(env) == here || slots(env) == slots(&[]), "{zone} with {env:?}");
            met += 1;
        }
    }
    reached("zone files are missing", met);
}

#[test]
fn h32_without_room_for_its_threads_the_program_ends_and_says_so() {
    let desk = Desk::set_up();
    let mut ends = Vec::new();
    // Addresses in MiB: from too few to be loaded to enough, by less than one thread takes.
    for room in 48..1_024 {
        let ended = Command::new("/bin/bash")
            .args(["-c", &format!("ulimit -v {}; exec \"$0\" config check", room * 1_024)])
            .arg(env!("CARGO_BIN_EXE_costwarden"))
            .current_dir(desk.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ends.push((room, ended.status, said.lines().next().unwrap_or_default().to_owned()));
        if ended.status.success() {
            break;
        }
    }
    assert!(ends.last().is_some_and(|(_, status, _)| status.success()), "{ends:#?}");
    assert!(ends.iter().any(|(_, _, said)| said.starts_with("error: starting the runtime: ")), "{ends:#?}");
}
