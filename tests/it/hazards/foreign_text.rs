//! H38 in bulk: two thousand texts, each a few dangerous pieces put together by chance, through every sink.
//!
//! A text must not become anything: each sink's output is compared with what harmless texts in the same places give.

use std::collections::BTreeSet;

use costwarden::cli::output;
use costwarden::clock::Clock;
use costwarden::deliver::mail::Mailer;
use costwarden::deliver::slack::Slack;
use costwarden::deliver::teams::Teams;
use costwarden::deliver::{Message, MessageKind, Outcome};
use costwarden::domain::report::Report;
use costwarden::report;

/// What texts are made of: each piece means something to one of the sinks.
const PIECES: [&str; 46] = [
    "\r\nBcc: everyone@example.com",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    "\t",
    "\u{1b}[2J",
    "\u{1b}]0;x\u{7}",
    "\u{9b}31m",
    "\u{8}\u{8}",
    "\u{202E}",
    "\u{2066}",
    "\u{200B}",
    "\u{FEFF}",
    "\u{2028}",
    "\u{E0041}",
    "<script>alert(1)</script>",
    "<img src=x onerror=x>",
    "</td></table>",
    "<!--",
    "&lt;b&gt;",
    "\" onload=\"x",
    "'><a href=x>",
    "<!channel>",
    "<@U123>",
    "<https://evil.example|x>",
    "@everyone",
    "[x](https://evil.example)",
    "<at>all</at>",
    "*_~`",
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\",\"",
    ";",
    "{{ 7 * 7 }}",
    "{% include 'x' %}",
    "${x}",
    "%s%n",
    ") Tj /URI (x) >> endobj",
    "\\",
    "é",
    "成本",
    "🦀",
    "db-1",
];

/// So many texts, the same on every machine.
fn corpus(count: usize) -> Vec<String> {
    let mut state = 38_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    (0..count)
        .map(|number| {
            // Each piece begins some text, because a formula or a header does nothing in the middle of one.
            let first = PIECES[number % PIECES.len()].to_owned();
            (0..next(4)).fold(first, |text, _| text + PIECES[next(PIECES.len())])
        })
        .collect()
}

/// The sample report with a text in every place that a stranger can write.
fn with_names(names: &[String]) -> Report {
    let mut report = report::sample();
    let mut names = names.iter().cycle().cloned();
    let mut next = || names.next().expect("they go round");
    report.headline = next();
    for row in &mut report.due {
        (row.name, row.owner) = (next(), Some(next()));
    }
    report.decisions.iter_mut().for_each(|row| row.name = next());
    report.acts.iter_mut().for_each(|row| (row.name, row.message) = (next(), next()));
    report.by_team.iter_mut().for_each(|row| row.team = next());
    report.top_findings.iter_mut().for_each(|row| row.name = next());
    report
}

/// Texts that a report takes at once; each is in it.
const AT_ONCE: usize = 20;

/// Every tag of a page, as it stands there.
fn tags(html: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        let tag = &rest[begin..];
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        found.insert(&tag[..end]);
        rest = &tag[end..];
    }
    found
}

fn harmless(character: char) -> bool {
    character == '\n'
        || !character.is_control()
            && !matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{E0000}'..='\u{E007F}')
}

fn message(subject: &str, to: &str, text: &str) -> Message {
    Message {
        dedup: "one".into(),
        kind: MessageKind::Alert,
        to: to.into(),
        subject: subject.into(),
        text: text.into(),
        html: None,
        attachments: Vec::new(),
    }
}

#[test]
fn h38_two_thousand_texts_become_nothing_in_reports() {
    let corpus = corpus(2_000);
    let plain = with_names(&["plain".to_owned()]);
    let html_of_plain = report::html::render(&plain).unwrap();
    let tags_of_plain = tags(&html_of_plain);
    let rows_of_plain = report::csv::render(&plain).unwrap().lines().count();
    let mut judged = 0;
    for names in corpus.chunks(AT_ONCE) {
        let report = with_names(names);
        let html = report::html::render(&report).unwrap();
        let strange: Vec<&str> = tags(&html).difference(&tags_of_plain).copied().collect();
        assert_eq!(strange, Vec::<&str>::new(), "{names:?}");
        let text = report::text::render(&report);
        assert!(text.chars().all(harmless), "{names:?}");
        let csv = report::csv::render(&report).unwrap();
        let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = cells.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), rows_of_plain, "a row came or went: {names:?}");
        for cell in rows.iter().flatten() {
            let formula =
                cell.starts_with(['=', '+', '@', '\t', '\r']) || cell.starts_with('-') && cell.parse::<f64>().is_err();
            assert!(!formula, "{cell:?}");
        }
        judged += 3 * names.len();
    }
    eprintln!("H38 reports texts={} judged={judged} escapes=0", corpus.len());
    assert_eq!(judged, 6_000);
}

#[test]
fn h38_two_thousand_texts_become_nothing_on_a_screen_and_in_json() {
    let corpus = corpus(2_000);
    let lines =
        |names: &[String]| output::table(&["NAME", "X"], names.iter().map(|name| vec![name.clone(), "1".into()]));
    for name in &corpus {
        let table = lines(std::slice::from_ref(name));
        assert!(table.chars().all(harmless), "{name:?}: {table:?}");
        // Long cells are folded, and that alone makes lines.
        let folds = name.chars().count() / 20 + 2;
        assert!(table.lines().count() <= 1 + folds, "{name:?}: {table}");
        let mut json = Vec::new();
        output::write_json(&mut json, &serde_json::json!({ "name": name })).unwrap();
        let text = String::from_utf8(json).unwrap();
        assert!(text.chars().all(harmless), "{name:?}: {text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["name"].as_str(), value.as_object().unwrap().len()), (Some(name.as_str()), 1));
    }
    eprintln!("H38 screen texts={} judged={} escapes=0", corpus.len(), corpus.len() * 2);
}

#[tokio::test]
async fn h38_two_thousand_texts_become_nothing_in_what_is_sent() {
    let corpus = corpus(2_000);
    let (mailer, memory) = Mailer::memory("costwarden@example.com").unwrap();
    let now = "2026-11-23T08:00:00Z".parse().unwrap();
    let headers = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").expect("a head");
        let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        names.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(mailer.send(&message("plain", "ann@example.com", "plain"), now).await, Outcome::Accepted);
    let expected = headers(&memory.sent()[0].bytes);
    for (number, text) in corpus.iter().enumerate() {
        let mail = Message { dedup: number.to_string(), ..message(text, "ann@example.com", text) };
        assert_eq!(mailer.send(&mail, now).await, Outcome::Accepted, "{text:?}");
    }
    for sent in memory.sent() {
        assert_eq!(headers(&sent.bytes), expected, "{:?}", sent.message.subject);
    }
    // As a recipient none of them is anybody.
    for text in corpus.iter().filter(|text| text.contains(['\r', '\n', '\0', '<', '"'])) {
        assert_ne!(mailer.send(&message("x", text, "x"), now).await, Outcome::Accepted, "{text:?}");
    }

    // Rooms get many at once, one on a line: a folder keeps each message as it would be posted.
    let (clock, folder) = (Clock::virtual_at(now), tempfile::tempdir().unwrap());
    let (slack, teams) =
        (Slack::folder(&folder.path().join("s")).unwrap(), Teams::folder(&folder.path().join("t")).unwrap());
    for texts in corpus.chunks(AT_ONCE) {
        for text in [texts.join("\n"), texts.concat()] {
            clock.sleep(std::time::Duration::from_secs(2)).await;
            assert_eq!(slack.send(&message(&texts[0], "slack:#finops", &text), &clock).await, Outcome::Accepted);
            assert_eq!(teams.send(&message(&texts[0], "teams:finops", &text), &clock).await, Outcome::Accepted);
        }
    }
    let posted = |name: &str| -> Vec<String> {
        let files = std::fs::read_dir(folder.path().join(name)).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    };
    let (rooms, cards) = (posted("s"), posted("t"));
    assert_eq!((rooms.len(), cards.len()), (2 * corpus.len() / AT_ONCE, 2 * corpus.len() / AT_ONCE));
    for body in &rooms {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(!text.contains(['<', '>']), "Slack would make something of {text:?}");
    }
    for body in &cards {
        let card: serde_json::Value = serde_json::from_str(body).unwrap();
        let told = card.to_string();
        assert!(!told.contains("Action.") && !told.contains("msteams\":{\"entities"), "{told}");
    }
    eprintln!("H38 sent texts={} judged={} escapes=0", corpus.len(), corpus.len() * 3);
}

#[cfg(feature = "pdf")]
#[test]
fn h38_two_thousand_texts_become_nothing_in_a_pdf() {
    let corpus = corpus(2_000);
    let active: [&[u8]; 7] = [b"/URI", b"/JavaScript", b"/JS", b"/Launch", b"/OpenAction", b"/EmbeddedFile", b"/AA"];
    let counts = |pdf: &[u8]| active.map(|word| pdf.windows(word.len()).filter(|part| *part == word).count());
    let plain = counts(&report::pdf::render(&with_names(&["plain".to_owned()])).unwrap());
    // A page takes many names; all of them are in it.
    for names in corpus.chunks(AT_ONCE * 2) {
        let pdf = report::pdf::render(&with_names(names)).expect("a PDF");
        assert_eq!(counts(&pdf), plain, "{names:?}");
    }
    eprintln!("H38 pdf texts={} judged={} escapes=0", corpus.len(), corpus.len());
}
