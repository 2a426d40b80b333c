//! Libraries and services around us: a panic from a name, attempts without a bound, mail that nobody counted.

use std::path::Path;

use costwarden::cloud::sim::Change;
use costwarden::domain::finding::State;

use super::story::*;

/// A display name with a line break or NUL made the mail library panic; names of resources may hold any character.
#[tokio::test]
async fn accident_lettre_0_11_23_a_line_break_in_a_tag_neither_panics_nor_writes_a_header() {
    let hostile = "Ann\r\nBcc: thief@evil.example\u{0}\u{1b}[2J";
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        for (name, owner) in [("a", hostile), ("b", "ann@example.com\r\nBcc: thief@evil.example")] {
            let mut planted = idle(name);
            planted[0] = planted[0].clone().tagged(&[("owner", owner), ("Name", hostile)]);
            world.resources.extend(planted);
        }
    });
    story.until(at(2, 0)).await;
    let mails = story.mails();
    assert!(!mails.is_empty());
    for mail in &mails {
        let head = mail.split("\r\n\r\n").next().unwrap();
        let lines: Vec<&str> = head.lines().filter(|line| !line.starts_with(' ')).collect();
        assert!(lines.iter().all(|line| !line.to_lowercase().starts_with("bcc:")), "{head}");
        assert!(!head.contains("thief@evil.example"), "{head}");
        assert!(!mail.contains('\u{1b}') && !mail.contains('\u{0}'));
    }
    assert_eq!(story.acts().len(), 2, "its owner being nobody, the default owner was told");
    let notices = mails.iter().filter(|mail| mail.contains("To: team@example.com")).count();
    assert!(notices > 0);
}

/// Attempts were set to the largest number there is; the credential cache then computed a time-out in one step per
/// attempt, forty seconds of one core before every request.
#[test]
fn accident_commonware_monorepo_4670_the_number_of_attempts_is_small_wherever_it_is_set() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud/aws");
    let number = regex::Regex::new(r"(?:with_max_attempts\(|\bread_attempts: )(\d[\d_]*|[A-Za-z:]+MAX)").unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(number.captures_iter(&text).map(|given| given[1].to_owned()));
        }
    }
    assert!(found.len() >= 2, "the adapter sets its attempts itself: {found:?}");
    for given in &found {
        assert!(given.parse::<u32>().is_ok_and(|attempts| (1..=10).contains(&attempts)), "{given} attempts");
    }
}

/// A match was noted before its mail had left; a crash between the two, or a mail that failed, lost the notice for good.
#[tokio::test]
async fn accident_vulnerability_lookup_331_a_notice_counts_when_it_was_accepted_and_not_when_it_was_decided() {
    let story = Story::open(|world| {
        world.policies = vec![IDLE.into()];
        world.resources = idle("a");
        world.events = vec![event(at(30, 0), Change::Stop("i-0a".into()))];
        // A recipient whom no mail server takes: there is nobody else to tell.
        world.settings.as_mut().unwrap()["owners"] = serde_json::json!({ "allowed_domains": ["elsewhere.example"] });
    });
    story.until(at(20, 0)).await;
    assert_eq!(story.acts(), Vec::<String>::new(), "nobody was told");
    let finding = story.finding("i-0a");
    assert_eq!((finding.state, finding.clock.first_notice, finding.clock.due_at), (State::Open, None, None));
}

/// Two connections that wrote and moved the log into the file at once could lose pages, in every SQLite before 3.51.3.
#[test]
fn accident_sqlite_wal_reset_two_connections_on_one_state_lose_nothing() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    let folder = tempfile::tempdir().unwrap();
    let open = || costwarden::store::Store::open_in(folder.path()).unwrap();
    let (first, second) = (open(), open());
    for number in 0..100 {
        first.set_meta(&format!("first {number}"), "kept").unwrap();
        second.set_meta(&format!("second {number}"), "kept").unwrap();
        if number % 10 == 0 {
            let path = first.path().unwrap();
            let third = rusqlite::Connection::open(path).unwrap();
            third.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
    }
    drop((first, second));
    let again = open();
    for number in 0..100 {
        for name in ["first", "second"] {
            assert_eq!(again.meta(&format!("{name} {number}")).unwrap().as_deref(), Some("kept"));
        }
    }
}
