//! H47: no failure ends with 0. Every scenario has its own desk, its one code and its words; what a command does to a
//! cloud stands in `e2e::exit_codes`.

use std::fs;
use std::process::{Command, Stdio};

use costwarden::domain::finding::Severity;
use costwarden::store::{AuditEntry, Store};

use crate::cli::state::{at, finding};
use crate::cli::{Desk, Ended};

/// A small account with an idle instance.
const WORLD: &str = "name: one\nstart: 2026-09-07\naccounts:\n  \"111122223333\":\n    regions:\n      us-east-1:\n        \
                     instances: [{ id: i-0a, type: m5.large, launched: -60d, usage: idle, tags: { owner: \
                     ann@example.com, cost-center: x, environment: x } }]\n";

/// Where a command's data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    /// To somebody who reads it.
    Read,
    /// Into a pipe whose reader has gone.
    Closed,
    /// Onto a disk without room.
    Full,
}

/// What is there, what is called, how it must end, and what must be said on stderr (after `out:`, on stdout).
struct Scenario {
    there: fn(&Desk),
    args: &'static [&'static str],
    out: Out,
    code: i32,
    says: &'static [&'static str],
}

fn scenario(there: fn(&Desk), args: &'static [&'static str], code: i32, says: &'static [&'static str]) -> Scenario {
    Scenario { there, args, out: Out::Read, code, says }
}

fn nothing(_: &Desk) {}

/// Writes the world with something more, in which `DescribeInstances` is denied for example.
fn world(desk: &Desk, more: &str) {
    desk.write("w.yaml", format!("{WORLD}{more}"));
}

fn plain(desk: &Desk) {
    world(desk, "");
}

fn denied(desk: &Desk) {
    world(desk, "faults: [{ operation: DescribeInstances, effect: deny }]\n");
}

/// The settings and policies that `init` writes.
fn settled(desk: &Desk) {
    assert_eq!(desk.call(&["init"]).code, 0);
}

fn edited(desk: &Desk, from: &str, to: &str) {
    settled(desk);
    let text = desk.read("costwarden.toml");
    assert!(text.contains(from), "{from}");
    desk.write("costwarden.toml", text.replace(from, to));
}

fn state(desk: &Desk) -> Store {
    Store::open_in(&desk.path().join("costwarden-state")).unwrap()
}

/// Settings, and a state after a scan of a world.
fn scanned(desk: &Desk, there: fn(&Desk), code: i32) {
    settled(desk);
    there(desk);
    assert_eq!(desk.call(&["scan", "--world", "w.yaml", "--db", "costwarden-state"]).code, code);
}

fn after_a_scan(desk: &Desk) {
    scanned(desk, plain, 0);
}

fn after_a_denied_scan(desk: &Desk) {
    scanned(desk, denied, 4);
}

/// A mail server that nobody answers for, and a recipient.
fn without_a_mail_server(desk: &Desk) {
    after_a_scan(desk);
    let mail = "\n[mail]\nfrom = \"costwarden@example.com\"\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\n";
    desk.write("costwarden.toml", desk.read("costwarden.toml") + mail);
}

/// An exception that Ann asked for and only fin@example.com may grant.
fn asked(desk: &Desk) {
    edited(desk, "finops = []", "finops = [\"fin@example.com\"]");
    let own = finding("vol-0a", Severity::High, None);
    state(desk).update_findings(std::slice::from_ref(&own), &[]).unwrap();
    let request = ["exception", "request", "vol-0a", "--days", "30", "--reason", "audit", "--by", "ann@example.com"];
    assert_eq!(desk.call(&request).code, 0);
}

/// A trail of two rows, one of which somebody changed.
fn tampered(desk: &Desk) {
    settled(desk);
    let store = state(desk);
    for subject in ["account 1", "account 2"] {
        let entry = AuditEntry {
            actor: "ann".into(),
            what: "arm".into(),
            subject: subject.into(),
            detail: serde_json::json!({}),
        };
        store.audit_append(at("2026-11-20T02:00:00Z"), &entry).unwrap();
    }
    drop(store);
    let connection = rusqlite::Connection::open(desk.path().join("costwarden-state/costwarden.db")).unwrap();
    connection
        .execute_batch("DROP TRIGGER audit_no_update; UPDATE audit SET subject = 'account 9' WHERE seq = 1")
        .unwrap();
}

const IDLE_WORLD: &[&str] = &["scan", "--world", "w.yaml"];

#[test]
fn h47_a_scan_ends_with_what_it_could_not_read() {
    let fault = |effect: &str| format!("faults: [{{ {effect} }}]\n");
    let rows: [(&str, &[&str], i32, &[&str]); 12] = [
        ("", &[], 0, &[]),
        ("", &["-o", "json"], 0, &[]),
        ("operation: DescribeInstances, effect: deny", &[], 4, &["incomplete: ", "DescribeInstances"]),
        ("operation: DescribeInstances, effect: deny", &["--fail-on", "low"], 4, &["incomplete: "]),
        ("operation: DescribeInstances, effect: deny", &["-o", "json"], 4, &[]),
        ("operation: DescribeInstances, effect: throttle", &[], 4, &["incomplete: ", "RequestLimitExceeded"]),
        ("operation: DescribeVolumes, effect: { cut_page: 1 }", &[], 4, &["incomplete: ", "storage/volume"]),
        ("operation: GetMetricData, effect: timeout", &[], 4, &["incomplete: ", "GetMetricData"]),
        ("effect: expired", &[], 4, &["incomplete: "]),
        ("", &["--fail-on", "medium"], 3, &[]),
        ("", &["--fail-on", "high"], 0, &[]),
        ("", &["--policy", "no-such-policy", "--fail-on", "low"], 0, &[]),
    ];
    for (more, flags, code, says) in &rows {
        let desk = Desk::empty();
        world(&desk, &if more.is_empty() { String::new() } else { fault(more) });
        let args = [IDLE_WORLD, flags].concat();
        judge(&format!("{args:?} with {more:?}"), &desk.call(&args), *code, says);
    }
    eprintln!("H47 scan scenarios={} wrong=0", rows.len());
}

#[test]
fn h47_the_exit_code_says_what_happened() {
    let scenarios = [
        // What was typed.
        scenario(nothing, &["--version"], 0, &["out:costwarden "]),
        scenario(nothing, &["no-such-command"], 2, &["unrecognized subcommand"]),
        scenario(plain, &["scan", "--world", "w.yaml", "--no-such-flag"], 2, &["unexpected argument"]),
        scenario(nothing, &["scan", "--world", "none.yaml"], 2, &["error: ", "none.yaml"]),
        scenario(|desk| world(desk, "nonsense: 1\n"), IDLE_WORLD, 2, &["error: ", "nonsense"]),
        scenario(|desk| world(desk, "policies: [\"kind: CostPolicy\\n\"]\n"), IDLE_WORLD, 2, &["error: "]),
        // Where the data goes. A reader who has seen enough is no failure, and hides none.
        Scenario { out: Out::Closed, ..scenario(plain, IDLE_WORLD, 0, &[]) },
        Scenario { out: Out::Closed, ..scenario(denied, IDLE_WORLD, 4, &["incomplete: "]) },
        Scenario { out: Out::Closed, ..scenario(denied, &["scan", "--world", "w.yaml", "-o", "json"], 4, &[]) },
        Scenario { out: Out::Full, ..scenario(plain, IDLE_WORLD, 1, &["writing to stdout", "No space left"]) },
        Scenario {
            out: Out::Full,
            ..scenario(plain, &["scan", "--world", "w.yaml", "-o", "json"], 1, &["stdout", "No space left"])
        },
        Scenario { out: Out::Full, ..scenario(settled, &["config", "show"], 1, &["stdout", "No space left"]) },
        scenario(plain, &["scan", "--world", "w.yaml", "--out", "no/x.json"], 1, &["writing no/x.json"]),
        scenario(plain, &["demo", "--dir", "w.yaml"], 1, &["w.yaml"]),
        // Settings and policies.
        scenario(nothing, &["config", "check"], 2, &["error: ", "costwarden.toml"]),
        scenario(|desk| edited(desk, "mode = \"observe\"", "mood = 1"), &["config", "check"], 2, &["mood", "mode"]),
        scenario(settled, &["policy", "validate", "no-such-folder"], 2, &["no-such-folder: cannot be read"]),
        scenario(settled, &["init"], 2, &["nothing was written"]),
        scenario(settled, &["iam", "print", "reader"], 2, &["list no account"]),
        scenario(settled, &["doctor"], 1, &["out:FAILED", "out:accounts"]),
        scenario(
            settled,
            &["arm", "--account", "111122223333", "--until", "2099-01-01", "--by", "ann"],
            2,
            &["error: "],
        ),
        // The state.
        scenario(settled, &["plan"], 1, &["there is no state", "costwarden scan"]),
        scenario(settled, &["apply", "gone.json"], 2, &["gone.json cannot be read"]),
        scenario(settled, &["simulate"], 1, &["there is no state"]),
        scenario(plain, &["scan", "--world", "w.yaml", "--db", "w.yaml"], 1, &["the file cannot be made"]),
        scenario(
            |desk| {
                after_a_scan(desk);
                desk.write("costwarden-state/costwarden.db", "rubbish".repeat(1_000));
            },
            &["findings", "list"],
            1,
            &["not a SQLite database", "restore a backup"],
        ),
        scenario(after_a_scan, &["findings", "show", "f-none"], 1, &["there is no finding"]),
        scenario(after_a_scan, &["actions", "show", "r-99"], 2, &["there is no act r-99"]),
        scenario(
            after_a_scan,
            &["actions", "settle", "r-99", "--reason", "x", "--by", "ann"],
            2,
            &["r-99 is not stuck"],
        ),
        scenario(tampered, &["audit", "verify"], 1, &["out:BROKEN at row 1"]),
        scenario(tampered, &["audit", "verify", "--head", "row 1"], 2, &["ROW:HASH"]),
        // People.
        scenario(asked, &["approval", "approve", "1", "--by", "ann@example.com"], 2, &["error: "]),
        scenario(
            asked,
            &["approval", "reject", "1", "--reason", "no", "--by", "eve@example.com"],
            2,
            &["may not do that"],
        ),
        scenario(asked, &["approval", "approve", "99", "--by", "fin@example.com"], 2, &["error: "]),
        // Reports.
        scenario(after_a_denied_scan, &["report", "daily", "--period", "2026-09-07"], 4, &[]),
        scenario(after_a_scan, &["report", "daily", "--period", "soon"], 2, &["--period"]),
        scenario(after_a_scan, &["report", "daily", "--out", "x.xyz"], 2, &["no known ending"]),
        scenario(after_a_scan, &["report", "daily", "--out", "no/x.txt"], 1, &["writing no/x.txt"]),
        scenario(after_a_scan, &["report", "daily", "--send"], 2, &["nobody to send to"]),
        scenario(
            without_a_mail_server,
            &["report", "daily", "--period", "2026-09-07", "--send", "--to", "ann@example.com"],
            1,
            &["1 queued, 0 delivered", "not delivered yet: 1 messages"],
        ),
        // Policies held against requests and examples.
        scenario(
            |desk| desk.write("ask.yaml", "action: [\n"),
            &["evaluate", "--policies", "p.yaml", "ask.yaml"],
            2,
            &["error: "],
        ),
        scenario(
            |desk| {
                let wrong = "name: S\npolicy_type: usage\nenforcement_mode: monitor\nseverity: low\nrules: \
                             [{condition: a.b}]\nexamples:\n- {name: x, context: {a: {b: true}}, expect: compliant}\n";
                desk.write("p.yaml", wrong);
            },
            &["policy", "test", "p.yaml"],
            1,
            &["out:1 failed"],
        ),
    ];
    for own in &scenarios {
        let desk = Desk::empty();
        (own.there)(&desk);
        let ended = called(&desk, own.args, own.out);
        judge(&format!("{:?} with stdout {:?}", own.args, own.out), &ended, own.code, own.says);
    }
    eprintln!("H47 scenarios={} wrong=0", scenarios.len());
    assert!(scenarios.len() >= 40);
}

#[test]
fn h47_a_write_that_does_not_fit_on_the_disk_is_a_failure() {
    let desk = Desk::empty();
    plain(&desk);
    // The kernel's limit on the size of a file is a full disk to SQLite; the signal that would end the process is ignored.
    for room in ["16", "64"] {
        let ended = Command::new("/bin/bash")
            .args(["-c", &format!("trap '' XFSZ; ulimit -f {room}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_costwarden"))
            .args(["scan", "--world", "w.yaml", "--db", &format!("state-{room}")])
            .current_dir(desk.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{room} KiB: {said}");
        assert!(said.starts_with("error: ") && said.contains("disk"), "{room} KiB: {said}");
        assert!(ended.stdout.is_empty(), "nothing is told as if it were on file");
    }
}

/// The code is this one, and each of the words was said.
fn judge(what: &str, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{what}: {ended:?}");
    for words in says {
        let (place, words) = match words.strip_prefix("out:") {
            Some(words) => (&ended.out, words),
            None => (&ended.err, *words),
        };
        assert!(place.contains(words), "{what} does not say {words:?}: {ended:?}");
    }
    if matches!(code, 1 | 2) {
        assert!(!ended.err.is_empty() || !ended.out.is_empty(), "{what} fails in silence");
    }
}

fn called(desk: &Desk, args: &[&str], out: Out) -> Ended {
    let stdout = match out {
        Out::Read => return desk.call(args),
        Out::Closed => {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            Stdio::from(writer)
        }
        Out::Full => Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()),
    };
    let child = Command::new(env!("CARGO_BIN_EXE_costwarden"))
        .args(args)
        .current_dir(desk.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = child.wait_with_output().unwrap();
    Ended {
        code: ended.status.code().expect("ended by itself"),
        out: String::new(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}
